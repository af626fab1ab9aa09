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

from typing import Union

from ..beacon import Beacon, Farewell, Intent
from ..effects import (
    HAND_OVER,
    CheckpointDatabase,
    LeaveStandbySignal,
    LowerVip,
    SaveLease,
    StartDatabase,
    StopDatabase,
)
from ..limits import (
    CHECKPOINT_SECONDS,
    FAST_STOP_SECONDS,
    KEEP_UP_SECONDS,
    RECEIVE_SECONDS,
    SIGNAL_FILE_SECONDS,
    START_PRIMARY_SECONDS,
    VIP_COMMAND_SECONDS,
)
from ..parts import Parts
from ..plan import Procedure, Until
from ..states import NodeState
from ..wanted import Reason, StepDown

#: How far behind the target may be before anything is stopped, and how long it may catch up.
BEHIND_MAX_BYTES = 16 * 1024 * 1024


#: How a handover ended: '' where it is done, why it was undone, or what has to be done instead.
Ended = Union[str, StepDown]


def switch_over(parts: Parts, intent: Intent) -> Procedure:
    """Hand over to the node that asked for it."""
    target, name = intent.node, parts.facts.name_of(intent.node)
    parts.intents.carry_out(intent)
    try:
        parts.out.report('NOTICE', 'switchover', 'hands over to %s, as an operator asked there'
                         % name, HAND_OVER)
        event = yield CheckpointDatabase(0, CHECKPOINT_SECONDS)
        why = '' if event.ok else 'the checkpoint before it failed: %s' % event.reason
        why = why or (yield from keep_up(parts, target))
        if why:
            parts.out.note('no switchover to %s: %s' % (name, why))
            parts.out.report('ERROR', 'switchover', parts.out.problem, HAND_OVER)
            return None
        ended = yield from hand_over(parts, target)
        parts.repoint.hands_over(ended == '')
        return ended if isinstance(ended, StepDown) else None
    finally:
        parts.intents.carry_out(None)


def keep_up(parts: Parts, target: int) -> Procedure:
    """Nothing is stopped yet: wait until the target is near; the reason not to go on, or ''."""
    name, began = parts.facts.name_of(target), parts.facts.now
    parts.checks.soon()
    if (yield Until(lambda: parts.database.asked_at >= began and _is_heard(parts, target, began)
                    and not _row_of(parts, target).maintenance
                    and 0 < _row_of(parts, target).replayed     # else who knows when it has all?
                    and _behind(parts, target) <= BEHIND_MAX_BYTES, KEEP_UP_SECONDS,
                    step='the target keeps up')):
        return ''
    if not _is_heard(parts, target, began):
        return '%s is not heard any more' % name
    row = _row_of(parts, target)
    if row.maintenance:
        return '%s is in maintenance' % name
    if row.standstill:
        return '%s cannot replay what it receives: %s' % (name, row.standstill)
    if not row.replayed:
        return '%s does not tell how far it has replayed, expected that of every standby; where ' \
            'its AHM is of an earlier version, upgrade that first' % name
    return '%s is %d bytes behind %s%s, and may be %d' % (
        name, _behind(parts, target), parts.facts.settings.name,
        ' in what it has replayed' if row.lsn > row.replayed else '', BEHIND_MAX_BYTES)


def _row_of(parts: Parts, target: int) -> Beacon:
    row = parts.consensus.members.row(target)
    assert row is not None, 'it has asked for this'
    return row


def _is_heard(parts: Parts, target: int, since: float) -> bool:
    """Whether it is there now: one that died a moment ago counts as alive for T_hold."""
    members = parts.consensus.members
    return members.living_row(target) is not None and members.row_at(target) > since


def _behind(parts: Parts, target: int) -> int:
    """How much the target has not replayed yet."""
    return parts.database.lsn - _row_of(parts, target).replayed


def hand_over(parts: Parts, target: int) -> Procedure:
    """Stop the primary, resign once the target has all; how that ended."""
    name = parts.facts.name_of(target)
    parts.consensus.hand_over()
    parts.out.emit(SaveLease(parts.facts.now))
    why = yield from _stop(parts, target)
    if not why:
        event = yield LeaveStandbySignal(0, SIGNAL_FILE_SECONDS)
        why = '' if event.ok else 'standby.signal could not be left: %s' % event.reason
    if why:
        return (yield from _undo(parts, why, 'the switchover to %s was undone: %s' % (name, why)))
    parts.database.was_stopped(healthy=True)
    parts.database.end_change()
    parts.duties.ended()
    parts.place.handed_over(target)
    parts.paused.hand_to(target)
    parts.synchronous.hand_to(target)
    parts.out.note('handed over to %s' % name)
    parts.consensus.stepped_down(parts.out.problem, NodeState.PARTICIPATE_IN_ELECTION)
    return ''


def _stop(parts: Parts, target: int) -> Procedure:
    """VIP down, server down, and the target has all of it; the reason not to go on, or ''."""
    if parts.vip.configured:
        event = yield LowerVip(0, VIP_COMMAND_SECONDS)
        parts.vip.observe(event.here)
        if not event.ok:
            return 'the VIP could not be dropped: %s' % event.reason
    parts.database.begin_change()   # a step-down from here on must stop it, and leave the signal
    event = yield StopDatabase(0, 'fast', FAST_STOP_SECONDS)
    if not event.ok:
        return 'the database could not be stopped: %s' % event.reason
    if event.remark:
        parts.out.report('WARNING', 'remark', event.remark)
    # Not to be started as a standby by anybody before standby.signal is there.
    parts.database.was_stopped(healthy=False)
    if not event.lsn:
        return 'the database was not shut down cleanly'
    timeline, lsn = event.timeline, event.lsn

    def has_it() -> bool:
        """Whether the target has replayed the shutdown checkpoint record."""
        row = parts.consensus.members.living_row(target)
        return row is not None and row.farewell is Farewell.NONE and not row.maintenance \
            and row.timeline == timeline and row.replayed > lsn
    if (yield Until(has_it, RECEIVE_SECONDS, step='the target has all')):
        return ''
    row = parts.consensus.members.living_row(target)
    if row is None:
        return '%s is not heard any more' % parts.facts.name_of(target)
    return '%s has not %s the last of the WAL in %g s (received %d, replayed %d, needed beyond ' \
        '%d)%s' % (parts.facts.name_of(target), 'received' if row.lsn <= lsn else 'replayed',
                   RECEIVE_SECONDS, row.lsn, row.replayed, lsn,
                   ': ' + row.standstill if row.standstill else '')


def _undo(parts: Parts, why: str, text: str) -> Procedure:
    """Be the primary again, under the lease that still holds; why that was needed, or what else is.
    """
    database = parts.database
    parts.out.report('ERROR', 'switchover', '%s; starting the database again' % text, HAND_OVER)
    if parts.intents.leaving:
        parts.leaving.stay()        # until the VIP is back, too
    database.begin_change()         # a step-down now must stop what is being started
    event = yield StartDatabase(0, START_PRIMARY_SECONDS)
    if event.ok:
        parts.checks.soon()
        event = event._replace(ok=(yield Until(
            lambda: database.runs_as_primary and not database.failures,
            parts.facts.settings.connect_timeout + 1.0, parts.checks.soon, 'seen to be up')))
    database.end_change()
    parts.out.note(text)
    if event.ok:
        parts.consensus.stay()      # the VIP is put back by the next look at it
        parts.out.report('NOTICE', 'switchover', 'undone: leads over the primary as before',
                         HAND_OVER)
        return why
    return StepDown(Reason('database', '%s, and the database could not be started again: %s' % (
        text, event.reason or 'it does not accept writes'), 'fast'))
