"""The local standby, as the cluster should see it: in, out, or not trusted for a while.

A standby that was down is out until somebody has looked at it and attached it.  One that answers
and refuses AHM (an expired password, too many clients) was not down, and neither was one that
another node reaches: it is quarantined for as long as that lasts, and back by itself.  What refuses
AHM often refuses it on all standbys at once, because roles and passwords are replicated.

So a standby whose checks fail is not reported out before everybody has tried it (an inquiry of its
own node), as with a primary.
"""

from typing import Optional

from ..beacon import Inquiry, Verdict
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..plan import Plan
from .database import LocalDatabase
from .evidence import Investigation

#: Between two inquiries about a standby that others reach.
ASK_AGAIN_SECONDS = 5.0


class StandbyWatch:
    """Whether this standby is out; idle where there is none."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 investigation: Investigation, plan: Plan) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.investigation, self.plan = investigation, plan
        self.inquiry: Optional[Inquiry] = None
        self.asked_at = 0.0
        self.lost = False               # it was found to be down, and nobody has attached it since

    def decide(self) -> None:
        """Ask, report out, take back."""
        database = self.database
        if self.facts.settings.witness or database.maintained \
                or not self.consensus.follower.following:
            self.inquiry = None
            return
        self.lost = self.lost and bool(database.out)
        if self._is_down():
            self._ask_everybody()
            return
        self.inquiry = None
        if database.out and self.facts.settings.auto_attach and not database.failures \
                and database.in_recovery and database.streams and not database.mismatch:
            database.attached()
            self.out.note('')
            self.lost = False
            self.out.report('NOTICE', 'attached', 'the standby streams again: attached '
                            '(auto_attach)')

    def _is_down(self) -> bool:
        """Whether its own checks say that it is down.

        A procedure of its own may be restarting it (before PostgreSQL 13 to follow another one).
        """
        database = self.database
        return database.failed and database.in_recovery and not database.out \
            and not database.is_there and not database.stopped \
            and not database.second_primary and not self.plan.busy

    def _ask_everybody(self) -> None:
        if self.inquiry is None:
            self._inquire()
            return
        if not self.consensus.members.in_touch():
            return
        verdicts, silent = self.investigation.replies(self.inquiry)
        if any(verdict is not Verdict.UNREACHABLE for verdict in verdicts):
            self.database.was_reached(True)
            if self.facts.reached(self.asked_at + ASK_AGAIN_SECONDS):
                self._inquire()
        elif silent and not self.facts.reached(self.asked_at + self.investigation.patience):
            return
        elif not verdicts:
            self._inquire()         # a leader's question goes first, and may take its time
        else:
            self._report_out()

    def _inquire(self) -> None:
        self.inquiry, self.asked_at = self.investigation.new_inquiry(), self.facts.now

    def _report_out(self) -> None:
        database = self.database
        self.inquiry, self.lost = None, True
        database.was_reached(False)
        database.report_out('its database failed: %s' % database.reason)
        self.out.report('ERROR', 'standby failed', 'the standby database failed (%s): reported '
                        'out until it is attached again' % database.reason)
