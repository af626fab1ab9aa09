"""What an operator asked of this node: attach its database, promote it, end the whole cluster.

One task at a time.  An attach is this node's own affair.  A promotion and the end of the cluster
concern the others, so they are published as an intent in the row, and everybody acts on that.
"""

from typing import List, Optional

from .beacon import Intent, IntentKind
from .ending import ClusterEnd
from .procedures.attach import attach
from .promotion import Promotion
from .states import NodeState
from .task import Task


class Operator:
    """The operator's wishes, as far as they came through this node."""

    def __init__(self, node) -> None:
        self.node = node
        self.task: Optional[Task] = None
        self.asked = 0
        self.carried_out: Optional[Intent] = None   # the intent that this leader acts on now
        self.promotion, self.shutdown = Promotion(node), ClusterEnd(node)

    def new_intent(self, kind: IntentKind) -> Intent:
        """An intent of this node that is unlike all others."""
        self.asked += 1
        node = self.node
        return Intent(kind, node.own, node.incarnation, self.asked, node.term)

    def published(self) -> Optional[Intent]:
        """What the row says."""
        return self.shutdown.intent or self.carried_out or self.promotion.intent

    def why_busy(self) -> str:
        """Why nothing more can be asked of this node now; '' if it can."""
        node = self.node
        if node.leaving:
            return 'this daemon is about to end'
        if self.task is not None and self.task.is_running:
            return '%s is busy with %s: wait until that is over' % (
                node.settings.name, self.task.name)
        if node.plan.busy:
            return '%s is busy (%s): try again in a moment' % (node.settings.name, node.plan.name)
        return ''

    def _begin(self, name: str, step: str) -> Task:
        self.asked += 1
        self.task = Task(self.asked, name, step)
        return self.task

    # -- what can be asked ---------------------------------------------------------------------

    def promote(self, force: bool = False) -> str:
        """Make this database the primary; why not, or ''."""
        why = self.promotion.why_not(force)
        if not why:
            self.promotion.begin(self._begin('promote', 'asks the cluster for it'), force)
        return why

    def attach(self) -> str:
        """Make this database a trusted standby of the present primary again; why not, or ''."""
        node = self.node
        why = self.why_busy() or self._why_not_attach()
        if not why:
            task = self._begin('attach', 'looks at the database')
            node.plan.start('attach', attach(node, node.promise.leader, task), node.now)
        return why

    def _why_not_attach(self) -> str:
        node = self.node
        if node.settings.witness:
            return '%s is a witness: it has no database to attach' % node.settings.name
        if node.is_leading:
            return '%s leads: there is nothing to attach' % node.settings.name
        leader = node.leader_row()
        if leader is None or not node.promise.holds(node.now):
            return 'nobody leads: there is no primary to attach to; see ahm_cluster_status'
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down:
            return '%s does not lead over a primary yet: try again in a moment' % leader.name
        return ''

    # -- acting --------------------------------------------------------------------------------

    def decide(self) -> None:
        """See how far the wishes have come."""
        self.promotion.decide()
        self.shutdown.decide()

    @property
    def is_hurried(self) -> bool:
        """Whether rows are repeated quickly: somebody waits for an answer to an intent."""
        return self.published() is not None

    def deadlines(self) -> List[float]:
        """When waiting for others ends."""
        return self.promotion.deadlines() + self.shutdown.deadlines()
