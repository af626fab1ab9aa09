"""Give up the primary role: VIP down, database stopped, standby.signal left, then say so.

In this order, because clients come through the VIP; and never resigning before both are done,
because the resignation frees the voters at once.  A step that fails is tried again for ever: a
node that could not step down must not be taken for one that did.

A leader whose database failed goes on leading, under its lease, until this is done: nobody may
take its silence for the end.  Where the lease has ended all this must be over within T_fence, so
the first round is short and rough (immediate stop, SIGKILL by its end); a stuck VIP command does
not keep the database from being stopped.
"""

from typing import NamedTuple

from ..effects import LeaveStandbySignal, LowerVip, SaveLease, StopDatabase
from ..plan import pause
from ..states import NodeState

#: Shares of T_fence for the first round; the rest is for the loop and for starting the children.
VIP_SHARE, STOP_SHARE = 0.3, 0.55
PATIENT_SECONDS = 10.0
RETRY_SECONDS = 0.25


class Reason(NamedTuple):
    """Why the role is given up: `kind` for decisions, `text` for people, `mode` of the stop.

    Kinds: lease, deposed, database, promotion, second primary, not primary.
    Modes: 'immediate' within T_fence, 'fast' with patience, 'none' where nothing runs.
    """
    kind: str
    text: str
    mode: str


def step_down(node, reason: Reason):
    """Give up the primary role; ends only when that is done."""
    _begin(node, reason)
    yield from give_up_role(node, reason)
    _end(node, reason)


def give_up_role(node, reason: Reason):
    """VIP down, database stopped, standby.signal left; tried until it worked."""
    node.emit(SaveLease(node.now))
    stop = _must_stop(node, reason)
    hurried = reason.mode == 'immediate'
    fence = node.timing.fence
    vip_down, stopped = not node.vip.configured, not stop
    while not (vip_down and stopped):
        if not vip_down:
            event = yield LowerVip(0, fence * VIP_SHARE if hurried else PATIENT_SECONDS)
            node.vip.observe(event.here)
            vip_down = _took(node, event, 'the VIP could not be dropped')
        if not stopped:
            limit = fence * STOP_SHARE if hurried else PATIENT_SECONDS
            event = yield StopDatabase(0, reason.mode, limit)
            stopped = _took(node, event, 'the database could not be stopped')
            if stopped:
                node.report('WARNING', 'database', 'the database was stopped (%s): %s' % (
                    reason.mode, reason.text))
                yield from _leave_signal(node, reason)
        if not (vip_down and stopped):
            hurried = False
            yield pause(RETRY_SECONDS)
            if stop and node.database.runs_as_primary:
                stopped = False     # somebody has started it again


def _leave_signal(node, reason: Reason):
    """At once: whoever starts this server next must not get a primary."""
    node.database.was_stopped(healthy=reason.kind != 'database')
    event = yield LeaveStandbySignal(0, PATIENT_SECONDS)
    if not _took(node, event, 'standby.signal could not be left: do not start this database'):
        node.database.stopped = False       # nor will this daemon


def _begin(node, reason: Reason) -> None:
    node.stepping_down = True
    node.problem = reason.text
    if reason.mode == 'fast' and node.leadership.has_lease():
        return
    node.leader = None
    node.become(NodeState.WAITING_FOR_LEADER_FORMATION, 'is stepping down: %s' % reason.text)


def _end(node, reason: Reason) -> None:
    node.stepping_down = node.promoting = False
    node.leader = None
    # Where the VIP could not be dropped for long, somebody may have started it as a standby since.
    if reason.kind == 'database' and (node.database.failures or not node.database.in_recovery):
        node.report_out(reason.text)
    if reason.kind == 'second primary':
        node.database.second_primary = True
        node.report_out(reason.text)
    node.become(NodeState.WAITING_FOR_LEADER_FORMATION, 'has stepped down: %s' % reason.text)
    node.leadership.ended()
    node.miss_leader()


def _must_stop(node, reason: Reason) -> bool:
    if node.settings.witness or reason.mode == 'none':
        return False
    if reason.kind == 'lease' and not node.settings.stop_isolated_primary:
        return node.promoting   # a handover, restart or promotion is not left half done
    return node.database.runs_as_primary or node.promoting or reason.kind == 'database'


def _took(node, event, problem: str) -> bool:
    if not event.ok:
        node.problem = '%s: %s' % (problem, event.reason)
        node.report('CRITICAL', 'step-down failed', '%s: %s' % (problem, event.reason))
    return event.ok
