"""All daemons end, databases and VIP stay: ahm_shutdown_cluster (ahm_protocol(7), R43).

The intent is repeated by everybody who hears it, and carried out when every living node repeats
it and they are a majority, or after T_hold a majority; else it fails, and says who is missing.
Followers go first and bind themselves to the leader, so that it keeps its place to the end; the
leader goes last.  Where a node is missing, the leader goes first, while it still holds its lease.
A node that was started meanwhile takes none over: it finds the intent in the first row that it
hears.
"""

from typing import Optional, Set, Tuple

from ..beacon import Beacon, Farewell, Intent, IntentKind
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..states import NodeState
from .intents import Intents
from .leaving import Leaving


class ClusterEnd:
    """The intent to end, as far as this node repeats it."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, intents: Intents,
                 leaving: Leaving) -> None:
        self.facts, self.out, self.consensus, self.intents = facts, out, consensus, intents
        self.leaving = leaving
        self.since = 0.0
        self.met: Set[Tuple[int, int]] = set()      # (node, incarnation) heard before
        self.ignored: Set[Intent] = set()
        self.leaves_at: Optional[float] = None      # since when it is carried out

    def ask(self) -> str:
        """End the cluster; why not, or ''."""
        facts, members = self.facts, self.consensus.members
        if self.intents.shutdown is not None:
            return 'the cluster is being shut down already'
        if not members.has_majority():
            return '%s is in contact with %d of the %d nodes, itself among them, and needs %d: ' \
                'use `ahm stop` on every node' % (
                    facts.settings.name, 1 + len(members.in_touch()), facts.settings.size,
                    facts.votes_needed)
        self._take(self.intents.new(IntentKind.SHUTDOWN))
        return ''

    def _take(self, intent: Intent) -> None:
        self.intents.end_cluster(intent)
        self.since = self.facts.now
        self.out.report('NOTICE', 'shutdown', 'the cluster is to be shut down, as asked at %s' %
                        self.facts.name_of(intent.node))

    def decide(self) -> None:
        """Hear of it, wait for all, leave in order."""
        self._hear()
        if self.intents.shutdown is None or self.intents.leaving:
            return
        if self.leaves_at is None:
            self._judge(self.intents.shutdown)
        if self.leaves_at is not None and self._is_my_turn(self.leaves_at):
            self.leaving.ask(Farewell.LEAVING, hand_over=False)

    def _is_my_turn(self, leaves_at: float) -> bool:
        """Followers first, the leader last; the other way round where somebody is missing.

        No follower leaves while the primary role is on its way from one node to another.

        A node that left counts for the lease only while all others acknowledge, one that is missing
        does not: the leader would have to step down as soon as a follower has left.
        """
        if not self.consensus.leads and self._role_moves(leaves_at):
            return False
        if self._somebody_is_missing():
            return self.consensus.leads or self.consensus.leader_row() is None
        return not self.consensus.leads or self._others_left()

    def _role_moves(self, leaves_at: float) -> bool:
        """Whether the primary role is on its way: whoever takes it over needs those who follow.

        Not for ever: a step-down may never be through, and a row may go on naming a successor.
        """
        return not self.facts.reached(leaves_at + self.facts.settings.handover_seconds) and any(
            _moves_the_role(row) for row in self.consensus.members.living() + [self.facts.row]
            if row.farewell is Farewell.NONE)

    def _somebody_is_missing(self) -> bool:
        """Whether a node of nodes.conf is silent that did not say goodbye for good."""
        members = self.consensus.members
        rows = [members.row(peer) for peer in members.peers
                if not members.is_alive(peer)]
        return any(row is None or row.farewell is not Farewell.LEAVING for row in rows)

    def _hear(self) -> None:
        for row in self.consensus.members.living():
            is_new = (row.sender, row.incarnation) not in self.met
            self.met.add((row.sender, row.incarnation))
            if row.intent is None or row.intent.kind is not IntentKind.SHUTDOWN:
                continue
            if is_new:
                self.ignored.add(row.intent)
            elif self.intents.shutdown is None and row.intent not in self.ignored:
                self._take(row.intent)

    def _judge(self, intent: Intent) -> None:
        missing = [row.name for row in self.consensus.members.living() if not self._repeats(row)]
        waited = self.facts.reached(self.since + self.facts.hold_seconds)
        if self._repeaters() >= self.facts.votes_needed and (waited or not missing):
            if missing:
                self.out.report('WARNING', 'shutdown', 'shuts down without %s' % ', '.join(missing))
            self.leaves_at = self.facts.now
        elif waited:
            self.out.note('the cluster was not shut down: %d of %d nodes agree%s' % (
                self._repeaters(), self.facts.settings.size,
                ', not ' + ', '.join(missing) if missing else ''))
            self.out.report('ERROR', 'shutdown', self.out.problem)
            self.ignored.add(intent)
            self.intents.end_cluster(None)

    def _repeats(self, row: Beacon) -> bool:
        return row.intent == self.intents.shutdown or row.farewell is not Farewell.NONE

    def _repeaters(self) -> int:
        return 1 + sum(self._repeats(row) for row in self.consensus.members.in_touch())

    def _others_left(self) -> bool:
        """Whether everybody who repeats it has said goodbye."""
        return all(row.farewell is not Farewell.NONE or not self._repeats(row)
                   for row in self.consensus.members.living())


def _moves_the_role(row: Beacon) -> bool:
    """Whether this node takes the role over, gives it up, or has done so for somebody else."""
    return row.state in (NodeState.STAND_FOR_LEADER, NodeState.TAKING_OVER) or row.stepping_down \
        or (row.successor is not None and not row.leads) \
        or (row.intent is not None and row.intent.kind is IntentKind.PROMOTE)
