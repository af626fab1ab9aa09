"""Say goodbye and end (ahm_protocol(7), R35 to R38).

A follower that leaves for good binds itself on disk to its leader, and says so until the leader
has heard it.  A leader hands over, as in a switchover, where a successor is there that can fence,
because then a promotion beside this host is safe.  In every other case, also where the successor
does not get the last of the WAL, and always when it is only restarted, database and VIP stay as
they are: but only once a majority has heard the goodbye, for a leader that is cut off has to step
down first.
"""

from ..beacon import Farewell, IntentKind
from ..effects import CheckpointDatabase, Exit, SaveLease
from ..election import why_not_eligible
from ..lease import FOREVER
from ..plan import Until
from ..states import NodeState
from .step_down import Reason, give_up_role
from .switch_over import CHECKPOINT_SECONDS, hand_over, keep_up
from .take_over import is_primary

GOODBYE_SECONDS = 1.0


def shut_down(node, farewell: Farewell):
    """End this daemon, with this goodbye."""
    if farewell is Farewell.LEAVING and node.exits.hands_over and _can_hand_over(node):
        if not (yield from _hand_over(node)):
            return
    elif _is_handing_over(node) and node.exits.taking_back_until is None:
        # In a switchover that is not over yet: its vote and its promise are needed.
        if not (yield from _see_taken_over(
                node, node.promise.leader if node.successor is None else node.successor)):
            return
    yield from _say_goodbye(node, farewell)


def _is_handing_over(node) -> bool:
    if node.is_leading or not node.has_majority():
        return False
    return node.successor is not None or (node.chores.handed_over and not somebody_leads(node))


def _can_hand_over(node) -> bool:
    if node.state is not NodeState.LEADER or not node.settings.pre_promotion \
            or not node.has_majority() or not node.database.runs_as_primary \
            or node.database.failed or not _can_lead_without(node):
        return False
    successor = node.leadership.successor
    row = node.living_row(successor) if successor is not None else None
    return row is not None and row.farewell is Farewell.NONE and row.can_fence \
        and not why_not_eligible(row, node.view)


def _can_lead_without(node) -> bool:
    """Whether those who stay suffice for a lease: who left counts only while all others answer."""
    staying = [row for row in node.members.in_touch(node.now) if row.farewell is Farewell.NONE]
    return len(staying) >= node.leadership.lease.needed


def _hand_over(node):
    """Stop the primary cleanly and let the successor take over; whether it did."""
    successor = node.leadership.successor
    name = node.name_of(successor)
    node.report('NOTICE', 'hand over', 'stops for good: handing over to %s' % name)
    # So that the successor looks at its position again and again.
    node.operator.carried_out = node.operator.new_intent(IntentKind.PROMOTE)._replace(
        node=successor)
    try:
        why = yield from _prepare_and_hand_over(node, successor)
    finally:
        node.operator.carried_out = None
    if why:
        node.report('ERROR', 'hand over', 'nothing was handed over to %s (%s): this daemon ends as '
                    'for a restart; start it again within %.1f s, or who can fence takes over' % (
                        name, why, node.timing.hold))
        node.exits.stay()
        return False
    return (yield from _see_taken_over(node, successor))


def _prepare_and_hand_over(node, successor):
    began = node.now
    event = yield CheckpointDatabase(0, CHECKPOINT_SECONDS)
    if not event.ok and node.now >= began + CHECKPOINT_SECONDS:
        # The stop has to write the same: cut short, it would be a crash.
        return 'the checkpoint before it takes longer than %g s' % CHECKPOINT_SECONDS
    if not event.ok:
        node.report('NOTICE', 'hand over', 'no checkpoint before it, so the stop may take longer: '
                    '%s' % event.reason)
    return (yield from keep_up(node, successor)) or (yield from hand_over(node, successor))


def _see_taken_over(node, successor: int):
    """Wait until somebody leads over a primary; where nobody does, take the role back: False."""
    if (yield Until(lambda: somebody_leads(node), node.settings.promote_timeout)):
        return True
    node.report('ERROR', 'hand over', '%s did not take over in %g s: taking the role back before '
                'this daemon ends' % (node.name_of(successor), node.settings.promote_timeout))
    node.exits.take_back()
    return False


def somebody_leads(node) -> bool:
    """Whether another node leads, and over a primary."""
    row = node.leader_row()
    return row is not None and is_primary(row)


def _all_are_bound(node) -> bool:
    """Whether this node led, and all others have left for good, bound to it on disk."""
    return node.leader == node.own \
        and len(node.leadership.lease.left) == node.settings.size - 1


def _say_goodbye(node, farewell: Farewell):
    if farewell is Farewell.LEAVING and node.following:
        node.promise.bound = True
    leader = node.promise.leader if node.following else None
    needed, lease_until = 0, FOREVER
    if node.state is NodeState.LEADER:
        needed, lease_until = node.leadership.lease.needed - 1, node.leadership.lease_until()
    elif node.vip.configured and node.vip.here is not False:
        # Found at the start, under a lease of the life before, or beside its primary.
        needed, lease_until = node.leadership.lease.needed - 1, node.vip.may_stay_until()
    if lease_until == FOREVER:
        needed = 0
    node.farewell = farewell
    node.become(NodeState.SHUTDOWN, 'ends (%s)' % farewell.name)
    said_at = node.now
    limit = GOODBYE_SECONDS if lease_until == FOREVER else max(0.0, lease_until - node.now)
    heard = yield Until(lambda: node.exits.was_heard(said_at, leader, needed), limit)
    if not heard and lease_until != FOREVER:
        # Cut off: others may elect a leader, and this daemon would not be there to step down.
        yield from give_up_role(node, Reason(
            'lease', 'no majority heard its goodbye: others may elect a leader', 'immediate'))
    if farewell is Farewell.LEAVING and node.state is NodeState.SHUTDOWN and _all_are_bound(node):
        node.emit(SaveLease(0.0))   # nobody can be elected beside the primary that is left (R50)
    node.emit(Exit(0, 'stopped (%s)' % farewell.name))
