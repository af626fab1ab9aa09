"""The node state, where it follows from all the rest and is not a decision.

A node that leads, stands, steps down or ends has the state that this made it; every other one has
the state that says what it waits for.
"""

from typing import Tuple

from .beacon import Farewell
from .states import NodeState


def settle(node) -> None:
    """Give the node the state that follows from what it knows."""
    if node.is_leading or node.stepping_down or node.farewell is not Farewell.NONE \
            or node.state is NodeState.STAND_FOR_LEADER or node.exited:
        return
    looked = node.database.checked and node.vip.here is not None
    if node.state is NodeState.INITIALIZING and not looked:
        return
    node.become(*_settled(node))


def _settled(node) -> Tuple[NodeState, str]:
    leader = node.leader_row()
    if leader is not None and node.promise.holds(node.now):
        return node.out_as or NodeState.STANDBY, 'follows %s' % leader.name
    if not node.has_majority():
        if node.followed or node.now >= node.started_at + node.settings.wait_for_primary:
            return NodeState.IN_RESOURCE_LIMITATION, 'no majority of the nodes is in contact'
        return NodeState.WAITING_FOR_LEADER_FORMATION, 'no majority is in contact yet'
    return node.elections.describe()
