"""The node state, where it follows from all the rest and is not a decision.

A node that leads, stands, steps down or ends has the state that this made it; every other one has
the state that says what it waits for.
"""

from typing import Tuple

from .parts import Parts
from .states import NodeState, Role


def settle(parts: Parts) -> None:
    """Give the node the state that follows from what it knows."""
    consensus = parts.consensus
    if consensus.role is not Role.FOLLOWS or parts.out.end:
        return
    looked = parts.database.checked and parts.vip.here is not None
    if consensus.state is not NodeState.INITIALIZING or looked:
        consensus.ballot.show(*_settled(parts))


def followers_state(parts: Parts) -> NodeState:
    """The state of who follows a leader."""
    return NodeState.LOST if parts.standby.lost else NodeState.STANDBY


def _settled(parts: Parts) -> Tuple[NodeState, str]:
    consensus, facts = parts.consensus, parts.facts
    leader = consensus.leader_in_force()
    if leader is not None:
        return followers_state(parts), 'follows %s' % leader.name
    if not consensus.members.has_majority():
        if consensus.follower.followed or facts.reached(
                facts.started_at + facts.settings.wait_for_primary):
            return NodeState.IN_RESOURCE_LIMITATION, 'no majority of the nodes is in contact'
        return NodeState.WAITING_FOR_LEADER_FORMATION, 'no majority is in contact yet'
    return parts.candidate.describe()
