"""Give up the primary role: VIP down, database stopped, standby.signal left, then say so.

In this order, because clients come through the VIP; and never resigning before both are done,
because the resignation frees the voters at once.  A step that fails is tried again for ever: a
node that could not step down must not be taken for one that did.

A leader whose database failed goes on leading, under its lease, until this is done: nobody may
take its silence for the end.  Where the lease has ended all this must be over within T_fence, so
the first round is short and rough (immediate stop, SIGKILL by its end); a stuck VIP command does
not keep the database from being stopped.
"""

from ..effects import LeaveStandbySignal, LowerVip, SaveLease, StopDatabase
from ..events import ActionEnded
from ..limits import PATIENT_SECONDS
from ..parts import Parts
from ..plan import Procedure, pause
from ..states import NodeState
from ..wanted import Reason

#: Shares of T_fence for the first round; the rest is for the loop and for starting the children.
VIP_SHARE, STOP_SHARE = 0.3, 0.55
RETRY_SECONDS = 0.25


def step_down(parts: Parts, reason: Reason) -> Procedure:
    """Give up the primary role; ends only when that is done."""
    _begin(parts, reason)
    yield from give_up_role(parts, reason)
    _end(parts, reason)


def give_up_role(parts: Parts, reason: Reason) -> Procedure:
    """VIP down, database stopped, standby.signal left; tried until it worked."""
    if reason.kind == 'lease' and parts.paused.spares():
        return      # nobody else can be elected (R59)
    parts.out.emit(SaveLease(parts.facts.now))
    stop = _must_stop(parts, reason)
    hurried = reason.mode == 'immediate'
    fence = parts.facts.timing.fence
    vip_down, stopped = not parts.vip.configured, not stop
    while not (vip_down and stopped):
        if not vip_down:
            event = yield LowerVip(0, fence * VIP_SHARE if hurried else PATIENT_SECONDS)
            parts.vip.observe(event.here)
            vip_down = _took(parts, event, 'the VIP could not be dropped')
        if not stopped:
            limit = fence * STOP_SHARE if hurried else PATIENT_SECONDS
            event = yield StopDatabase(0, reason.mode, limit)
            stopped = _took(parts, event, 'the database could not be stopped')
            if stopped:
                parts.out.report('WARNING', 'database', 'the database was stopped (%s): %s' % (
                    reason.mode, reason.text))
                yield from _leave_signal(parts, reason)
        if not (vip_down and stopped):
            hurried = False
            yield pause(RETRY_SECONDS)
            if stop and parts.database.runs_as_primary:
                stopped = False     # somebody has started it again


def _leave_signal(parts: Parts, reason: Reason) -> Procedure:
    """At once: whoever starts this server next must not get a primary."""
    parts.database.was_stopped(healthy=reason.kind != 'database')
    event = yield LeaveStandbySignal(0, PATIENT_SECONDS)
    if not _took(parts, event, 'standby.signal could not be left: do not start this database'):
        parts.database.may_be_started(False)     # nor will this daemon do so


def _begin(parts: Parts, reason: Reason) -> None:
    parts.out.note(reason.text)
    parts.consensus.step_down(reason.text, patiently=reason.mode == 'fast')


def _end(parts: Parts, reason: Reason) -> None:
    parts.database.end_change()
    # Where the VIP could not be dropped for long, somebody may have started it as a standby since.
    if reason.kind == 'database' and (parts.database.failures or not parts.database.in_recovery):
        parts.database.tell_out(reason.text)
    if reason.kind == 'second primary':
        parts.database.is_second()
        parts.database.tell_out(reason.text)
    parts.consensus.stepped_down(reason.text, NodeState.WAITING_FOR_LEADER_FORMATION)
    parts.duties.ended()


def _must_stop(parts: Parts, reason: Reason) -> bool:
    if parts.facts.settings.witness or reason.mode == 'none':
        return False
    if reason.kind == 'lease' and not parts.facts.settings.stop_isolated_primary:
        return parts.database.half_done   # a handover, restart or promotion is not left half done
    return parts.database.runs_as_primary or parts.database.half_done or reason.kind == 'database'


def _took(parts: Parts, event: ActionEnded, problem: str) -> bool:
    if not event.ok:
        parts.out.note('%s: %s' % (problem, event.reason))
        parts.out.report('CRITICAL', 'step-down failed', '%s: %s' % (problem, event.reason))
    return event.ok
