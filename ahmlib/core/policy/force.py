"""Promotion by force: a majority of the nodes is gone for good, as an operator says (R45 to R49).

In place of a majority, everybody who is left elects: a forced candidate needs a majority or the
vote of each living node, and no eligibility.  That the others are not alive behind a cut network is
the operator's word; nothing here can check it.  What can be checked is: nobody who is left follows
another leader or owes a promise, nobody reaches the old primary's database, nobody else answers for
the VIP.

A leader that was elected so *reigns*: its right to act has no end, also over a restart (it is on
disk), until a majority acknowledges it.  Then it is a leader like any other.  Who acknowledges a
reigning leader is bound to it without end, like one who left: its reign may still be on its disk
when it dies, and then nobody else may be elected by those who knew it, except by force again.

Where a reigning leader meets one whom a majority acknowledges, it yields, whatever the terms.
"""

from typing import FrozenSet, List

from ..beacon import Beacon, Farewell
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from .database import LocalDatabase
from .intents import Intents
from .place import PrimaryPlace
from .record import primaries


class Force:
    """The operator's word in place of a majority, as far as this node goes by it."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 place: PrimaryPlace, intents: Intents, lease_until: float) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.place, self.intents = place, intents
        self.said = False           # to people, that this node leads by force
        # Who came after this reign may lead by now: that is listened for.  Shortly only where the
        # lease on file still runs, for then nobody can have come.
        quick = lease_until > facts.now
        self.listens_until = facts.now + (facts.patience if quick else facts.hold_seconds)

    @property
    def claims(self) -> bool:
        """Whether this node leads, or may be elected, without a majority."""
        return self.intents.wants_force \
            or (self.consensus.tenure.reigns and self.database.runs_as_primary)

    @property
    def lost(self) -> str:
        """What became of a reign that is on disk, where nothing is left of it."""
        return 'its database is no primary any more: promote it by force again' \
            if self.consensus.tenure.reigns and not self.claims else ''

    # -- what force does not override ----------------------------------------------------------

    def why_no_database(self) -> str:
        """Why this database could be nobody's primary; '' where it could."""
        database, record = self.database, self.place.record
        name = self.facts.settings.name
        if database.answer is None or database.failures:
            return 'the database of %s does not answer: start it first, as a standby' % name
        if record is None:
            return ''
        if record.system_id != database.system_id:
            return 'the database of %s is not of this cluster: its system identifier is %s, and ' \
                'that of the primary on record %s' % (name, database.system_id, record.system_id)
        would_have = database.timeline + (not database.runs_as_primary)
        if would_have < record.timeline:
            return '%s would be on timeline %d, and %s was the primary on timeline %d: it could ' \
                'not be told from older ones; stop all AHMs that are left, remove their state ' \
                'files (ahm.state), start them, and promote again' % (
                    name, would_have, self.facts.name_of(record.node), record.timeline)
        return ''

    def why_not_all_vote(self) -> str:
        """Whoever lives has to vote; a row that does not echo this node's cannot carry a vote."""
        deaf = [row.name for row in self.others()
                if not self.consensus.members.is_two_way(row.sender)]
        deaf += [self.facts.name_of(place) for place in self.facts.settings.order
                 if self.consensus.members.only_arrives(place)]
        return '' if not deaf else \
            '%s is heard, and does not hear %s: mend the network, or stop its AHM' % (
                deaf[0], self.facts.settings.name)

    def why_two_primaries(self) -> str:
        """Why another primary is in the way; '' where none is."""
        running = [row.name for row in primaries(self.others())]
        return '' if not running else \
            'the database of %s is a primary: stop it, or promote that one' % running[0]

    def others(self) -> List[Beacon]:
        """Who else lives, and does not leave."""
        return [row for row in self.consensus.members.living()
                if row.farewell is Farewell.NONE]

    # -- standing ------------------------------------------------------------------------------

    def why_not_stand(self, agree: FrozenSet[int]) -> str:
        """Why a forced candidate does not stand yet; the evidence was weighed before.

        `agree`: the peers that find an election due for it.
        """
        why = self.why_no_database() \
            or (self.why_two_primaries() if self.intents.wants_force else self._why_not_return())
        if why or 1 + len(agree) >= self.facts.majority:
            return why
        waits = [row.name for row in self.others() if row.sender not in agree]
        return self.why_not_all_vote() or (
            '%s finds no election due for it' % waits[0] if waits else '')

    def _why_not_return(self) -> str:
        """Why a reign is not taken up again after a restart, or not yet."""
        return 'listens whether somebody else was promoted meanwhile' \
            if not self.facts.reached(self.listens_until) else ''

    # -- reigning ------------------------------------------------------------------------------

    def begin(self) -> None:
        """An operator has asked for it: that word ends a promise that has no end."""
        self.said = False
        self.consensus.answer_by_force()

    def elected(self, votes: int) -> None:
        """This node was elected by so many."""
        if self.claims:
            self.database.trusted_by_force()
            if self.consensus.tenure.reigns and not self.said:
                self.said = True
                self.out.report('CRITICAL', 'forced', 'leads by force: %d of %d nodes elected it, '
                                'as an operator asked; the others must not come back out of its '
                                'reach' % (votes, self.facts.settings.size))

    def decide(self) -> None:
        """A reign ends where a majority acknowledges it, or where another one was put on record."""
        if not self.consensus.tenure.reigns:
            return
        if self.consensus.leads:
            if not self.consensus.steps_down and self.consensus.tenure.is_backed():
                self.out.report('NOTICE', 'forced', 'a majority acknowledges this leader: it '
                                'leads by force no more')
                self.consensus.tenure.reign_ended()
        elif self.place.record is None or self.place.record.node != self.facts.own:
            self.consensus.tenure.reign_ended()

    def stopped(self) -> None:
        """Its takeover was stopped; a reign that only returns is taken up again later."""
        if self.intents.wants_force or not self.database.runs_as_primary:
            self.consensus.tenure.reign_ended()
