"""Hand the primary role to a standby without losing a row (ahm_protocol(7), R40 and R41).

    checkpoint -> the target keeps up -> VIP down -> fast stop -> the target has replayed the
    shutdown checkpoint -> standby.signal -> resign

A primary that is stopped fast sends everything, and last of all its shutdown checkpoint record; a
standby that has replayed that record has every row.  Received is not replayed: a standby whose
replay stands still receives all, and has nothing of it once it is promoted.  One that does not get
there must not be promoted: then all is undone, and the old primary is started again.  All the while
this node leads, and its lease is renewed; when that ends the plan is closed, and the step-down does
what is left to do.

A leader whose daemon ends for good hands over in the same way (shut_down).
"""

from ..beacon import Farewell, Intent
from ..effects import (CheckpointDatabase, LeaveStandbySignal, LowerVip, SaveLease, StartDatabase,
                       StopDatabase)
from ..plan import Until
from ..states import NodeState
from .step_down import Reason, step_down

CHECKPOINT_SECONDS = 120.0
#: How far behind the target may be before anything is stopped, and how long it may catch up.
BEHIND_MAX_BYTES = 16 * 1024 * 1024
KEEP_UP_SECONDS = 30.0
VIP_SECONDS = 10.0
STOP_SECONDS = 30.0
RECEIVE_SECONDS = 10.0
START_SECONDS = 120.0


def switch_over(node, intent: Intent):
    """Hand over to the node that asked for it."""
    target, name = intent.node, node.name_of(intent.node)
    node.operator.carried_out = intent
    try:
        node.report('NOTICE', 'switchover', 'hands over to %s, as an operator asked there' % name)
        event = yield CheckpointDatabase(0, CHECKPOINT_SECONDS)
        why = '' if event.ok else 'the checkpoint before it failed: %s' % event.reason
        why = why or (yield from keep_up(node, target))
        if why:
            _decline(node, 'no switchover to %s: %s' % (name, why))
        elif not (yield from hand_over(node, target)):
            node.chores.handed_over = True
    finally:
        node.operator.carried_out = None


def keep_up(node, target: int):
    """Nothing is stopped yet: wait until the target is near; the reason not to go on, or ''."""
    name, began = node.name_of(target), node.now
    node.chores.check_soon()
    if (yield Until(lambda: node.database.asked_at >= began and _is_heard(node, target, began)
                    and _behind(node, target) <= BEHIND_MAX_BYTES, KEEP_UP_SECONDS)):
        return ''
    if not _is_heard(node, target, began):
        return '%s is not heard any more' % name
    row = node.members.row(target)
    if row.standstill:
        return '%s cannot replay what it receives: %s' % (name, row.standstill)
    return '%s is %d bytes behind %s%s, and may be %d' % (
        name, _behind(node, target), node.settings.name,
        ' in what it has replayed' if row.lsn > row.replayed else '', BEHIND_MAX_BYTES)


def _is_heard(node, target: int, since: float) -> bool:
    """Whether it is there now: who died a moment ago counts as alive for T_hold."""
    return node.living_row(target) is not None and node.members.peers[target].row_at > since


def _behind(node, target: int) -> int:
    """How much the target has not replayed yet."""
    return node.database.lsn - node.members.row(target).replayed


def _decline(node, why: str) -> None:
    node.problem = why
    node.report('ERROR', 'switchover', why)


def hand_over(node, target: int):
    """Stop the primary, resign once the target has all; the reason why it was undone, or ''."""
    name = node.name_of(target)
    node.stepping_down = True
    node.emit(SaveLease(node.now))
    why = yield from _stop(node, target)
    if not why:
        event = yield LeaveStandbySignal(0, VIP_SECONDS)
        why = '' if event.ok else 'standby.signal could not be left: %s' % event.reason
    if why:
        yield from _undo(node, 'the switchover to %s was undone: %s' % (name, why))
        return why
    node.database.was_stopped(healthy=True)
    node.stepping_down = node.promoting = False
    node.leadership.ended()
    node.successor, node.leader = target, None
    node.problem = 'handed over to %s' % name
    node.become(NodeState.PARTICIPATE_IN_ELECTION, 'has handed over to %s' % name)
    node.miss_leader()
    return ''


def _stop(node, target: int):
    """VIP down, server down, and the target has all of it; the reason not to go on, or ''."""
    if node.vip.configured:
        event = yield LowerVip(0, VIP_SECONDS)
        node.vip.observe(event.here)
        if not event.ok:
            return 'the VIP could not be dropped: %s' % event.reason
    node.promoting = True       # a step-down from here on must stop it, and leave standby.signal
    event = yield StopDatabase(0, 'fast', STOP_SECONDS)
    if not event.ok:
        return 'the database could not be stopped: %s' % event.reason
    if event.remark:
        node.report('WARNING', 'remark', event.remark)
    # Not to be started as a standby by anybody before standby.signal is there.
    node.database.was_stopped(healthy=False)
    if not event.lsn:
        return 'the database was not shut down cleanly'
    timeline, lsn = event.timeline, event.lsn

    def has_it() -> bool:
        """Whether the target has replayed the shutdown checkpoint record."""
        row = node.living_row(target)
        return row is not None and row.farewell is Farewell.NONE and row.timeline == timeline \
            and row.replayed > lsn
    if (yield Until(has_it, RECEIVE_SECONDS)):
        return ''
    row = node.living_row(target)
    if row is None:
        return '%s is not heard any more' % node.name_of(target)
    return '%s has not %s the last of the WAL in %g s (received %d, replayed %d, needed beyond ' \
        '%d)%s' % (node.name_of(target), 'received' if row.lsn <= lsn else 'replayed',
                   RECEIVE_SECONDS, row.lsn, row.replayed, lsn,
                   ': ' + row.standstill if row.standstill else '')


def _undo(node, why: str):
    """Be the primary again, under the lease that still holds."""
    node.report('ERROR', 'switchover', '%s; starting the database again' % why)
    if node.leaving:
        node.exits.stay()       # until the VIP is back, too
    node.promoting = True       # a step-down now must stop what is being started
    event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        node.chores.check_soon()
        event = event._replace(ok=(yield Until(
            lambda: node.database.runs_as_primary and not node.database.failures
            or node.chores.check_soon(), node.settings.connect_timeout + 1.0)))
    node.promoting = False
    node.problem = why
    if event.ok:
        node.stepping_down = False      # the VIP is put back by the next look at it
        node.report('NOTICE', 'switchover', 'undone: leads over the primary as before')
        return
    node.plan.start('step down', step_down(node, Reason(
        'database', '%s, and the database could not be started again: %s' % (
            why, event.reason or 'it does not accept writes'), 'fast')), node.now)
