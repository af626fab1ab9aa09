"""The lemmas that consensus alone can state, as the walk checks them.

They say the same as those of `ahmlib/simulation/lemmas.py`.  What one node does by itself is
checked when it is computed, for the first time: what comes after is the same.
"""

from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.states import LEADING, NodeState

from .body import Body
from .frozen import Down, Frozen, Node, Row, Said

Vote = Tuple[int, int, int]         # term, voter, candidate


class Violated(AssertionError):
    """A lemma does not hold."""

    def __init__(self, lemma: int, text: str) -> None:
        super().__init__('L%d: %s' % (lemma, text))
        self.lemma = lemma


#: `Standing.bound` of who votes for nobody.
ANYBODY = -1


class Standing(NamedTuple):
    """What is asked of one node in every state; `bound`: the leader that it owes."""
    leaders: FrozenSet[Tuple[int, int]]     # (term, leader), as it knows
    has_lease: bool
    bound: Optional[int]


class Lemmas:
    """Each raises Violated."""

    def __init__(self, bodies: Sequence[Body], nodes: List[Node]) -> None:
        self.bodies, self.nodes = bodies, nodes
        self.found: Dict[int, Standing] = {}
        self.needed = bodies[0].consensus.tenure.lease.needed

    # -- one node ------------------------------------------------------------------------------

    def said(self, place: int, node: Frozen, said: Said) -> None:
        """L7 and L19, before a row leaves."""
        disk = node.disk
        kept = disk is not None and (disk.term, disk.voted_for) == (said.term, said.voted_for) \
            and (said.leader in (None, place) or disk.leader == said.leader)
        if not kept:
            raise Violated(7, 'node %d says %s, and has on disk %s' % (place, said, disk))
        leads = said.state in LEADING or said.state is NodeState.STAND_FOR_LEADER
        if leads and said.term % len(self.bodies) != place:
            raise Violated(19, 'node %d says %s' % (place, said))

    def saved(self, place: int, node: Frozen, saved: Saved) -> None:
        """L6, before this is on disk."""
        before = node.disk
        if before is None:
            return
        if saved.term < before.term or saved.term == before.term \
                and before.voted_for not in (None, saved.voted_for):
            raise Violated(6, 'node %d has on disk %s, and writes %s' % (place, before, saved))

    def handled(self, place: int, node: Frozen) -> None:
        """L12, after every event."""
        if node.held is not None and node.held.acting and self.bodies[place].acts_on(node):
            raise Violated(12, 'node %d leads on' % place)

    def heard(self, place: int, sender: int, row: Row, is_newer: bool, idle: Frozen,
              after: Frozen) -> None:
        """L15, after a row came; `idle`: what came of none."""
        peer, found = idle.peers[sender], after.peers[sender]
        assert peer is not None and found is not None
        is_old = row.stamp[0] in peer.past or not is_newer and peer.heard is not None \
            and peer.heard[0] == row.stamp[0]
        if not is_old and (row.echo is None or row.echo[0] != idle.incarnation):
            # Nothing, but that it was heard is echoed, and that who left answers for itself.
            is_old = True
            after = after._replace(peers=idle.peers[:sender] + (
                found._replace(heard=peer.heard),) + idle.peers[sender + 1:])
            if idle.held is not None and after.held is not None \
                    and after.held.left == idle.held.left - {sender}:
                after = after._replace(held=idle.held)
        if is_old and after != idle:
            raise Violated(15, 'node %d was changed by %s of node %d' % (place, row, sender))

    # -- all nodes -----------------------------------------------------------------------------

    def at(self, numbers: Sequence[int]) -> None:
        """L1, L8 and L9, in every state."""
        standings = []
        for place, number in enumerate(numbers):
            found = self.found.get(number)
            if found is None:
                found = self.found[number] = self._standing(place, self.nodes[number])
            standings.append(found)
        leaders = frozenset().union(*[found.leaders for found in standings])
        if len(leaders) > 1 and len({term for term, _ in leaders}) < len(leaders):
            raise Violated(1, 'leaders by term: %s' % sorted(leaders))
        held = [place for place, found in enumerate(standings) if found.has_lease]
        if len(held) > 1:
            raise Violated(8, 'nodes %s hold a lease' % held)
        for leader in held:
            bound = 1 + sum(found.bound in (ANYBODY, leader) for found in standings)
            if bound < self.needed:
                raise Violated(9, 'node %d holds a lease that %d nodes back' % (leader, bound))

    def _standing(self, place: int, node: Node) -> Standing:
        if isinstance(node, Down):
            blind = node.disk is None or node.disk.blind
            return Standing(frozenset(), False,
                            ANYBODY if node.disk is None or blind else node.disk.leader)
        owed, bound = node.owed, None
        if owed.blind_for is not None:
            bound = ANYBODY
        elif owed.bound or owed.until > 0:
            bound = owed.leader
        return Standing(frozenset(known_leaders(place, node)),
                        node.held is not None and self.bodies[place].leads_on(node), bound)

    def voted(self, numbers: Sequence[int], vote: Vote) -> None:
        """L10, before a vote is on disk."""
        _, voter, whom = vote
        for place, number in enumerate(numbers):
            node = self.nodes[number]
            if place in (voter, whom) or not isinstance(node, Frozen) or node.held is None:
                continue
            acked = node.held.acked[voter]
            if acked is not None and acked + self.bodies[place].lease > 0:
                raise Violated(10, 'node %d votes for node %d, and node %d counts on it' % (
                    voter, whom, place))

    def elected(self, place: int, term: int, votes: FrozenSet[Vote]) -> None:
        """L3, when a node is elected."""
        given = {voter for at, voter, whom in votes if (at, whom) == (term, place)}
        if len(given) < self.bodies[place].facts.votes_needed:
            raise Violated(3, 'node %d leads in term %d by the votes of %s' % (
                place, term, sorted(given)))


def known_leaders(place: int, node: Frozen) -> List[Tuple[int, int]]:
    """Who leads in which term, as this node knows."""
    found = [(node.term, place)] if node.held is not None else []
    for sender, peer in enumerate(node.peers):
        if peer is not None and peer.row is not None and peer.row.said.state in LEADING:
            found.append((peer.row.said.term, sender))
    return found


def new_vote(place: int, before: Any, saved: Saved) -> Any:
    """The vote that this save adds to what was on disk before, or None."""
    if saved.voted_for in (None, SPENT) or (
            before and (before.term, before.voted_for) == (saved.term, saved.voted_for)):
        return None
    return saved.term, place, saved.voted_for
