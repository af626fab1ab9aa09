"""The local standby, as the cluster should see it: in, out, or not trusted for a while.

A standby that was down is out until somebody has looked at it and attached it.  One that answers
and refuses AHM (an expired password, too many clients) was not down, and neither was one that
another node reaches: it is quarantined for as long as that lasts, and back by itself.  What refuses
AHM often refuses it on all standbys at once, because roles and passwords are replicated.

So a standby whose checks fail is not reported out before everybody has tried it (an inquiry of its
own node), as with a primary.
"""

from typing import List, Optional

from .beacon import Inquiry, Verdict
from .states import NodeState

#: Between two inquiries about a standby that others reach.
ASK_AGAIN_SECONDS = 5.0


class StandbyWatch:
    """Whether this standby is out; idle where there is none."""

    def __init__(self, node) -> None:
        self.node = node
        self.inquiry: Optional[Inquiry] = None
        self.inquired_at = 0.0

    def decide(self) -> None:
        """Ask, report out, take back."""
        node, database = self.node, self.node.database
        if node.settings.witness or not node.following:
            self.inquiry = None
            return
        if not database.out:
            node.out_as = None
        if self._is_down():
            self._ask_everybody()
            return
        self.inquiry = None
        if database.out and node.settings.auto_attach and not database.failures \
                and database.in_recovery and database.streams and not database.mismatch:
            database.attached()
            node.out_as = None
            node.report('NOTICE', 'attached', 'the standby streams again: attached (auto_attach)')

    def _is_down(self) -> bool:
        """Whether its own checks say that it is down.

        A procedure of its own may be restarting it (before PostgreSQL 13 to follow another one).
        """
        database = self.node.database
        return database.failed and database.in_recovery and not database.out \
            and not database.is_there and not database.stopped \
            and not database.second_primary and not self.node.plan.busy

    def _ask_everybody(self) -> None:
        node, database = self.node, self.node.database
        if self.inquiry is None:
            self._inquire()
            return
        if not node.members.in_touch(node.now):
            return
        verdicts, silent = node.investigation.replies(self.inquiry)
        waited = node.now >= self.inquired_at + node.investigation.patience
        if any(verdict is not Verdict.UNREACHABLE for verdict in verdicts):
            database.reached_by_others = True
            if node.now >= self.inquired_at + ASK_AGAIN_SECONDS:
                self._inquire()
        elif silent and not waited:
            return
        elif not verdicts:
            self._inquire()         # a leader's question goes first, and may take its time
        else:
            self._report_out()

    def _inquire(self) -> None:
        node = self.node
        node.leadership.inquiries += 1
        self.inquiry = Inquiry(node.own, node.leadership.inquiries)
        self.inquired_at = node.now

    def _report_out(self) -> None:
        node, database = self.node, self.node.database
        self.inquiry, database.reached_by_others = None, False
        database.out = 'its database failed: %s' % database.reason
        node.out_as = NodeState.LOST
        node.report('ERROR', 'standby failed', 'the standby database failed (%s): reported '
                    'out until it is attached again' % database.reason)

    def deadlines(self) -> List[float]:
        """When waiting for answers ends, or is to begin anew."""
        if self.inquiry is None:
            return []
        return [self.inquired_at + self.node.investigation.patience,
                self.inquired_at + ASK_AGAIN_SECONDS]
