"""What AHM starts by itself once its host has booted, where it is told to (R55).

A standby is started at once: it accepts no writes, whoever leads.  What would come up as a primary
is started only where all that lives has just started, too, as after a power cut: nobody in contact
has followed a leader since its start, so nobody is promoted by itself (R12), and the rows of more
than half of the nodes hold the newest record behind which clients ever wrote (R32).  Where that
names this node, on the timeline of its files, nobody has more.  Else somebody was promoted, or is
about to be, and this database is to be its standby: `repoint` makes it one, and then it is started.

It is tried until the server runs, whoever starts it.  A daemon that is started later in the same
boot starts nothing: somebody has stopped that server.

On a node in maintenance nothing is started, nor after it in the same boot: its operator sees to
that server.  In a pause a primary is started for its holder only: nobody else may lead then.
"""

from typing import Optional

from ..consensus.consensus import Consensus
from ..events import DatabaseInspected
from ..facts import Facts
from ..out import Out
from ..wanted import StartUp
from .database import LocalDatabase
from .intents import Intents
from .pause import Paused
from .place import PrimaryPlace
from .record import primaries

#: Between two looks whether it may be started, and before another start where one failed.
RETRY_SECONDS, FAILED_SECONDS = 2.0, 30.0


class Boot:
    """The server of this host, which does not run yet since the host booted; `booted`: this is the
    first daemon since then."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, place: PrimaryPlace, intents: Intents, booted: bool) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.paused, self.place, self.intents = paused, place, intents
        self.is_over = not booted or facts.settings.witness
        self.next_at = facts.now
        self.why = ''               # it was not started yet

    def decide(self) -> Optional[StartUp]:
        """Try to start it, while nothing else is under way."""
        database = self.database
        if self.is_over or not database.checked:
            return None
        if database.is_there or database.answer is not None or database.maintained:
            self.ended()
            return None
        if not self.facts.settings.start_at_boot or self.intents.leaving \
                or not self.facts.reached(self.next_at):
            return None
        self.next_at = self.facts.now + RETRY_SECONDS
        return StartUp()

    def ended(self) -> None:
        """It runs, or is left to its operator: its end has another reason than a boot now."""
        self.is_over, self.why = True, ''

    def failed(self, why: str) -> None:
        """It could not be started; that is tried again."""
        self.next_at = self.facts.now + FAILED_SECONDS
        self.why = 'its database could not be started: %s' % why
        self.out.report('WARNING', 'boot', 'this host has booted, and %s; tried again in %.0f s' % (
            self.why, FAILED_SECONDS))

    def waits_for(self, why: str) -> None:
        """It was not started, for this reason; people are told once."""
        self.next_at = self.facts.now + RETRY_SECONDS
        if why != self.why:
            self.why = why
            self.out.report('NOTICE', 'boot', 'this host has booted, and its database is not '
                            'started yet: %s' % why)

    def why_not_start(self, found: DatabaseInspected) -> str:
        """Why it may not be started as what its files say; '' where it may."""
        if found.standby is None:
            return found.reason
        return '' if found.standby else self._why_no_primary(found)

    def _why_no_primary(self, found: DatabaseInspected) -> str:
        if self.paused.on and not self.paused.is_held:
            return 'it would be a primary, and the cluster is paused: only %s may lead' % (
                self.facts.name_of(self.paused.pause.holder))
        record, rows = self.place.record, self.consensus.members.in_touch()
        if 1 + len(rows) < self.facts.majority:
            return 'it would be a primary, and too few nodes are in contact to know whether ' \
                'another one was promoted meanwhile'
        if record is None or record.node != self.facts.own:
            return 'it would be a primary, and the primary on record is that of %s' % (
                self.facts.name_of(record.node) if record else 'nobody')
        if (found.system_id, found.timeline) != (record.system_id, record.timeline):
            return 'it would be a primary on timeline %d, and on record is timeline %d of system ' \
                'identifier %s' % (found.timeline, record.timeline, record.system_id)
        if self.consensus.follower.followed or self.intents.published() is not None or any(
                row.followed or row.leads or row.intent is not None for row in rows):
            return 'it would be a primary, and other nodes have a leader, or choose one'
        if primaries(rows) or any(row.timeline > record.timeline for row in rows):
            return 'it would be a primary, and another database was promoted meanwhile'
        return ''
