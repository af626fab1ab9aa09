"""Take over: from the election won to the VIP up (ahm_protocol(7), R30 to R32).

    lease -> fencing script -> VIP silent -> everybody looks again -> promote -> on record -> VIP up

A running rightful primary skips what is about promotion, but the VIP has to be silent for it, too.
A winner that is stopped resigns, says why, and stands again when a verdict has changed, or after
wait_for_primary_timeout_seconds.
"""

from ..beacon import Verdict
from ..effects import PingVip, Promote, RaiseVip, RunHook
from ..plan import Until, pause
from ..states import DatabaseState, NodeState
from ..variables import hook_variables
from ..vip import PING_SECONDS
from .step_down import Reason, step_down

PING_AGAIN_SECONDS = 0.5
LOOK_AGAIN_SECONDS = 1.0
VIP_SECONDS = 10.0


def take_over(node):
    """The election is won; make this the node of the primary."""
    if not (yield Until(node.leadership.has_lease, node.timing.lease)):
        return _give_up(node, 'not enough nodes acknowledged it', 0.0)
    promotes = not node.database.runs_as_primary
    sure = _make_sure if promotes or _half_is_silent(node) else _vip_silent
    why = yield from sure(node)
    if why:
        return _give_up(node, why, node.settings.wait_for_primary)
    if promotes:
        node.promoting = True
        event = yield Promote(0, node.settings.promote_timeout)
        if not event.ok:
            return _promotion_failed(node, event.reason)
        node.database.promoted(event.timeline, event.lsn, node.now)
        node.promoting = False
        node.report('NOTICE', 'promoted', 'the database is primary now, on timeline %d'
                    % event.timeline)
    node.put_on_record()
    if not (yield Until(node.is_on_record, node.timing.hold)):
        return _abandon(node, 'no majority repeated the primary on record')
    yield from _raise_vip(node)
    node.become(NodeState.LEADER, 'leads in term %d' % node.term)
    node.problem = ''
    if promotes and node.settings.post_promotion:
        node.run_in_background(RunHook(
            0, 'post_promotion_command', hook_variables(node, 'POST_PROMOTION', node.own),
            node.settings.hook_timeout))


def _half_is_silent(node) -> bool:
    """Half votes: whether the other half, which is not heard, may have a leader of its own."""
    return (node.leadership.lease.halves
            and len(node.members.in_touch(node.now)) < node.settings.size // 2)


def _make_sure(node):
    """Fence, listen, ask; the reason not to promote, or ''.

    What was said before the election holds for a moment only: after a fencing script, or a wait for
    the VIP, everybody looks again.
    """
    began = node.now
    if node.settings.pre_promotion:
        variables = hook_variables(node, 'PRE_PROMOTION', node.own)
        event = yield RunHook(0, 'pre_promotion_command', variables, node.settings.hook_timeout)
        if not event.ok:
            return 'pre_promotion_command failed: %s' % event.reason
        node.report('NOTICE', 'fenced', 'pre_promotion_command succeeded')
    why = yield from _vip_silent(node)
    if not why and (node.settings.pre_promotion or node.now > began + LOOK_AGAIN_SECONDS):
        why = yield from _look_again(node)
    elif not why and _suspect_is(node, DatabaseState.PRIMARY):
        why = 'the database of %s is a primary' % node.name_of(node.suspect)
    return why


def _suspect_is(node, state: DatabaseState) -> bool:
    """Whether the old primary's own daemon, alive, says that its database is in this state."""
    if node.suspect in (None, node.own):
        return False
    row = node.living_row(node.suspect)
    return row is not None and row.database is state


def _look_again(node):
    """After fencing, new probes by every living node; the reason not to promote, or ''."""
    suspect = node.suspect
    if suspect is None or suspect == node.own:
        return ''
    began = node.now
    while True:
        node.leadership.ask_about(suspect)
        yield Until(node.leadership.is_answered, node.investigation.patience)
        verdicts, silent = node.leadership.answers()
        if Verdict.REACHABLE in verdicts:
            return 'the database of %s still answers after fencing' % node.name_of(suspect)
        waited = node.now >= began + node.settings.wait_for_primary
        # The suspect's own daemon is believed where it says that what starts is a standby.
        if Verdict.STARTING in verdicts and not waited \
                and not _suspect_is(node, DatabaseState.STANDBY):
            yield pause(LOOK_AGAIN_SECONDS)
            continue
        if silent and node.leadership.lease.halves:
            return 'not every living node said that it cannot reach the database of %s' \
                % node.name_of(suspect)
        node.leadership.inquiry = None
        return ''


def _vip_silent(node):
    """Nobody may answer for the VIP; the reason not to go on, or ''."""
    if not node.vip.configured or node.vip.here or node.vip.silent_lately() \
            or _given_up_by_suspect(node):
        return ''
    began = node.now
    while True:
        holders = [row.name for row in node.members.living(node.now) if row.holds_vip]
        if holders:
            why = 'the VIP is still on %s' % holders[0]
        else:
            event = yield PingVip(0, PING_SECONDS)
            if event.answers is False:
                return ''
            why = event.reason or 'the VIP still answers: drop it on the host that holds it'
        if node.now >= began + node.settings.wait_for_primary:
            return why
        yield pause(PING_AGAIN_SECONDS)


def _given_up_by_suspect(node) -> bool:
    """Whether the old primary's own daemon says that it holds the VIP no more, and nobody does."""
    # On record alone is not enough: who was seen as the primary has to say so.
    seen = node.primary_seen
    row = node.living_row(seen) if seen is not None else None
    if row is None or row.leads or row.stepping_down or row.holds_vip is not False:
        return False
    return not any(row.holds_vip for row in node.members.living(node.now))


def _raise_vip(node):
    """Raise and announce; a failure is reported, and put right by every health check."""
    if not node.vip.configured:
        return
    event = yield RaiseVip(0, VIP_SECONDS)
    node.vip.observe(event.here)
    if event.ok:
        node.vip.announce_again()
    else:
        node.problem = 'the VIP could not be raised: %s' % event.reason
        node.report('CRITICAL', 'vip', node.problem)


def _give_up(node, why: str, seconds: float) -> None:
    """Resign before anything was changed."""
    node.leader = None
    node.problem = 'takeover stopped: %s' % why
    node.leadership.inquiry = None
    node.force.stopped()
    node.report('ERROR', 'takeover stopped', 'no promotion: %s' % why)
    node.become(NodeState.PARTICIPATE_IN_ELECTION, 'resigns')
    node.miss_leader()
    node.elections.stopped(seconds)


def _promotion_failed(node, why: str) -> None:
    node.plan.start('step down', step_down(node, Reason(
        'promotion', 'the promotion failed: %s' % why, 'immediate')), node.now)


def _abandon(node, why: str) -> None:
    node.plan.start('step down', step_down(node, Reason('lease', why, 'immediate')), node.now)


def is_primary(row) -> bool:
    """Whether this row leads over a primary database."""
    return row.state is NodeState.LEADER and row.database is DatabaseState.PRIMARY
