"""What an operator asked of this node: attach its database, promote it, end the whole cluster.

One task at a time.  An attach is this node's own affair.  A promotion and the end of the cluster
concern the others, so they are published as an intent in the row, and everybody acts on that.  A
task that is asked for while a procedure is under way (a failover that this node still follows up)
begins when that is over.
"""

from typing import Callable, List, NamedTuple, Optional

from .beacon import Intent, IntentKind
from .ending import ClusterEnd
from .procedures.attach import attach
from .promotion import Promotion
from .states import NodeState
from .task import Task
from .ways_out import way_out


#: Seconds that a task may wait for the end of the procedure under way.
BUSY_SECONDS = 60.0


class Waiting(NamedTuple):
    """A task that begins once no procedure is under way: `begin` says why not, or ''."""
    task: Task
    begin: Callable[[], str]
    until: float


class Operator:
    """The operator's wishes, as far as they came through this node."""

    def __init__(self, node) -> None:
        self.node = node
        self.task: Optional[Task] = None
        self.waiting: Optional[Waiting] = None
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
        return ''

    def why_at_work(self) -> str:
        """Which procedure is under way here; '' if none is."""
        plan = self.node.plan
        return '%s is busy (%s): try again in a moment' % (
            self.node.settings.name, plan.name) if plan.busy else ''

    def _begin(self, name: str, start: Callable[[Task], str]) -> None:
        """Begin a task now, or when no procedure is under way any more."""
        self.asked += 1
        task = self.task = Task(self.asked, name, 'waits for the end of what is under way')
        self.waiting = Waiting(task, lambda: start(task), self.node.now + BUSY_SECONDS)
        self._begin_what_waits()

    def _begin_what_waits(self) -> None:
        if self.waiting is None:
            return
        why = self.why_at_work()
        if why and self.node.now < self.waiting.until and not self.node.leaving:
            return
        waiting, self.waiting = self.waiting, None
        why = why or waiting.begin()
        if why:
            waiting.task.end(why)

    # -- what can be asked ---------------------------------------------------------------------

    def why_not_promote(self, force: bool) -> str:
        """Why this database cannot be made the primary now; '' if that can be tried."""
        return self.promotion.why_not(force) or self.why_busy()

    def promote(self, force: bool = False) -> str:
        """Make this database the primary; why not, or ''."""
        why = self.why_not_promote(force)
        if not why:
            self._begin('promote', lambda task: self._start_promotion(task, force))
        return why

    def _start_promotion(self, task: Task, force: bool) -> str:
        why = self.promotion.why_not(force)
        if not why:
            self.promotion.begin(task, force)
        return why

    def attach(self) -> str:
        """Make this database a trusted standby of the present primary again; why not, or ''."""
        why = self.why_busy() or self._why_not_attach()
        if not why:
            self._begin('attach', self._start_attach)
        return why

    def _start_attach(self, task: Task) -> str:
        node, why = self.node, self._why_not_attach()
        if not why:
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
            return 'nobody leads: there is no primary to attach to; %s' % (
                way_out(node) or 'see ahm_cluster_status')
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down:
            return '%s does not lead over a primary yet: try again in a moment' % leader.name
        return ''

    # -- acting --------------------------------------------------------------------------------

    def decide(self) -> None:
        """See how far the wishes have come."""
        self._begin_what_waits()
        self.promotion.decide()
        self.shutdown.decide()

    @property
    def is_hurried(self) -> bool:
        """Whether rows are repeated quickly: somebody waits for an answer to an intent."""
        return self.published() is not None

    def deadlines(self) -> List[float]:
        """When waiting for others ends."""
        found = self.promotion.deadlines() + self.shutdown.deadlines()
        return found + ([] if self.waiting is None else [self.waiting.until])
