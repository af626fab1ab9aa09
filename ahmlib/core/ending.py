"""All daemons end, databases and VIP stay: ahm_shutdown_cluster (ahm_protocol(7), R43).

The intent is repeated by everybody who hears it, and carried out when every living node repeats
it and they are a majority, or after T_hold a majority; else it fails, and says who is missing.
Followers go first and bind themselves to the leader, so that it keeps its place to the end; the
leader goes last.  Where a node is missing, the leader goes first, while it still holds its lease.
A node that was started meanwhile takes none over: it finds the intent in the first row that it
hears.
"""

from typing import List, Optional, Set, Tuple

from .beacon import Beacon, Farewell, Intent, IntentKind
from .states import NodeState


class ClusterEnd:
    """The intent to end, as far as this node repeats it."""

    def __init__(self, node) -> None:
        self.node = node
        self.intent: Optional[Intent] = None
        self.since = 0.0
        self.met: Set[Tuple[int, int]] = set()      # (node, incarnation) heard before
        self.ignored: Set[Intent] = set()
        self.leaves_at: Optional[float] = None      # since when it is carried out

    def ask(self) -> str:
        """End the cluster; why not, or ''."""
        node = self.node
        why = node.operator.why_busy() or node.operator.why_at_work()
        if not why and self.intent is not None:
            why = 'the cluster is being shut down already'
        if not why and not node.has_majority():
            why = '%s is in contact with %d of the %d nodes, itself among them, and needs %d: ' \
                'use `ahm stop` on every node' % (
                    node.settings.name, len(node.contact_rows()), node.settings.size,
                    node.votes_needed)
        if not why:
            self._take(node.operator.new_intent(IntentKind.SHUTDOWN))
        return why

    def _take(self, intent: Intent) -> None:
        self.intent, self.since = intent, self.node.now
        self.node.report('NOTICE', 'shutdown', 'the cluster is to be shut down, as asked at %s' %
                         self.node.name_of(intent.node))

    def decide(self) -> None:
        """Hear of it, wait for all, leave in order."""
        self._hear()
        if self.intent is None or self.node.leaving:
            return
        if self.leaves_at is None:
            self._judge()
        if self.leaves_at is not None and self._is_my_turn():
            self.node.exits.ask(Farewell.LEAVING, hand_over=False)

    def _is_my_turn(self) -> bool:
        """Followers first, the leader last; the other way round where somebody is missing.

        No follower leaves while the primary role is on its way from one node to another.

        Who left counts for the lease only while all others acknowledge, and who is missing does
        not: the leader would have to step down as soon as a follower has left.
        """
        node = self.node
        if not node.is_leading and self._role_moves():
            return False
        if self._somebody_is_missing():
            return node.is_leading or node.leader_row() is None
        return not node.is_leading or self._others_left()

    def _role_moves(self) -> bool:
        """Whether the primary role is on its way: who takes it over needs those who follow.

        Not for ever: a step-down may never be through, and a row may go on naming a successor.
        """
        node, settings = self.node, self.node.settings
        needed = settings.hook_timeout + settings.promote_timeout \
            + 2 * settings.wait_for_primary + 2 * node.timing.hold
        return node.now < self.leaves_at + needed and any(
            _moves_the_role(row) for row in node.members.living(node.now) + [node.own_row()]
            if row.farewell is Farewell.NONE)

    def _somebody_is_missing(self) -> bool:
        """Whether a node of nodes.conf is silent that did not say goodbye for good."""
        members = self.node.members
        rows = [members.row(peer) for peer in members.peers
                if not members.is_alive(peer, self.node.now)]
        return any(row is None or row.farewell is not Farewell.LEAVING for row in rows)

    def _hear(self) -> None:
        for row in self.node.members.living(self.node.now):
            is_new = (row.sender, row.incarnation) not in self.met
            self.met.add((row.sender, row.incarnation))
            if row.intent is None or row.intent.kind is not IntentKind.SHUTDOWN:
                continue
            if is_new:
                self.ignored.add(row.intent)
            elif self.intent is None and row.intent not in self.ignored:
                self._take(row.intent)

    def _judge(self) -> None:
        node = self.node
        missing = [row.name for row in node.members.living(node.now) if not self._repeats(row)]
        waited = node.now >= self.since + node.timing.hold
        if self._repeaters() >= node.votes_needed and (waited or not missing):
            if missing:
                node.report('WARNING', 'shutdown', 'shuts down without %s' % ', '.join(missing))
            self.leaves_at = node.now
        elif waited:
            node.problem = 'the cluster was not shut down: %d of %d nodes agree%s' % (
                self._repeaters(), node.settings.size,
                ', not ' + ', '.join(missing) if missing else '')
            node.report('ERROR', 'shutdown', node.problem)
            self.ignored.add(self.intent)
            self.intent = None

    def _repeats(self, row: Beacon) -> bool:
        return row.intent == self.intent or row.farewell is not Farewell.NONE

    def _repeaters(self) -> int:
        return 1 + sum(self._repeats(row) for row in self.node.members.in_touch(self.node.now))

    def _others_left(self) -> bool:
        """Whether everybody who repeats it has said goodbye."""
        node = self.node
        return all(row.farewell is not Farewell.NONE or not self._repeats(row)
                   for row in node.members.living(node.now))

    def deadlines(self) -> List[float]:
        """When waiting for the others ends."""
        return [] if self.intent is None else [self.since + self.node.timing.hold]


def _moves_the_role(row: Beacon) -> bool:
    """Whether this node takes the role over, gives it up, or has done so for somebody else."""
    return row.state in (NodeState.STAND_FOR_LEADER, NodeState.TAKING_OVER) or row.stepping_down \
        or (row.successor is not None and not row.leads) \
        or (row.intent is not None and row.intent.kind is IntentKind.PROMOTE)
