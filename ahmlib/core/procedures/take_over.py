"""Take over: from the election won to the VIP up (ahm_protocol(7), R30 to R32).

    lease -> fencing script -> VIP silent -> positions compared again -> everybody looks again
          -> promote -> on record -> VIP up

A running rightful primary skips what is about promotion, but the VIP has to be silent for it, too.
A winner that is stopped resigns, says why, and stands again when a verdict has changed, or after
wait_for_primary_timeout_seconds.
"""

from typing import List

from ..beacon import Beacon, Farewell, Verdict
from ..effects import PingVip, Promote, RaiseVip, RunHook
from ..election import why_not_eligible, why_sync_forbids
from ..evidence import runs_by_its_word
from ..plan import Until, pause
from ..states import DatabaseState, NodeState
from ..timing import CLOCK_RATE_MARGIN
from ..variables import hook_variables
from ..vip import PING_SECONDS, describe
from .step_down import Reason, step_down

PING_AGAIN_SECONDS = 0.5
#: For a stranger to answer, on the same network, where the old leader says that it dropped the VIP.
STRANGER_SECONDS = 0.3
LOOK_AGAIN_SECONDS = 1.0
VIP_SECONDS = 10.0


def take_over(node):
    """The election is won; make this the node of the primary."""
    if not (yield Until(node.leadership.has_lease, node.timing.lease)):
        return _give_up(node, 'not enough nodes acknowledged it', 0.0)
    promotes = not node.database.runs_as_primary
    sure = _make_sure if promotes or _half_is_silent(node) else _vip_silent
    why = yield from sure(node)
    if promotes and not node.force.claims:
        why = why or why_not_eligible(node.own_row(), node.view)    # any more
    if why:
        return _give_up(node, why, node.settings.wait_for_primary)
    second = node.investigation.second_primary() if promotes else None
    if second is not None and not node.force.claims:
        return _give_up(node, 'the database of %s is a primary, as its own daemon says, and has to '
                        'stop first' % node.name_of(second), 0.0)
    if promotes:
        node.promoting = True
        event = yield Promote(0, node.settings.promote_timeout)
        if not event.ok:
            return _promotion_failed(node, event)
        _promoted(node, event)
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


def _promoted(node, event) -> None:
    """The database is a primary: say so, and what it lacks of what it had received."""
    needed = event.needed_lsn
    node.database.promoted(event.timeline, event.lsn, node.now)
    node.promoting = False
    node.report('NOTICE', 'promoted', 'the database is primary now, on timeline %d'
                % event.timeline)
    if event.switch_lsn and needed > event.switch_lsn:
        node.report('CRITICAL', 'rows lost', 'the promotion ended recovery %d bytes before the end '
                    'of the WAL that this standby had (%d; the new timeline %d began at %d): what '
                    'was committed there is lost here, and is in the WAL files of the old timeline'
                    % (needed - event.switch_lsn, needed, event.timeline, event.switch_lsn))


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
    if not why and node.settings.pre_promotion and node.suspect not in (None, node.own) \
            and not node.force.claims:
        why = yield from _compare_again(node)
    if not why and (node.settings.pre_promotion or node.now > began + LOOK_AGAIN_SECONDS):
        why = yield from _look_again(node)
    elif not why and _suspect_runs(node):
        why = 'the database of %s runs, as its own daemon says' % node.name_of(node.suspect)
    return why


def _suspect_runs(node) -> bool:
    """Whether the old primary's own daemon, alive, says that its database runs."""
    row = None if node.suspect in (None, node.own) else node.living_row(node.suspect)
    return row is not None and runs_by_its_word(row)


def _suspect_is(node, state: DatabaseState) -> bool:
    """Whether the old primary's own daemon, alive, says that its database is in this state."""
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


def _compare_again(node):
    """Until it was fenced the old primary may have written on; the reason not to promote, or ''.

    One standby may have got that and another not: so positions are compared as of after fencing,
    and who has more goes first; once, for its own takeover may be stopped again and again.  The
    question about the old primary makes everybody look at his own position, too.
    """
    began = node.now

    def told() -> List[Beacon]:
        """The standbys in contact whose positions were looked at since."""
        return [row for row in standbys() if row.ok_age is not None
                and node.members.peers[row.sender].row_at
                - CLOCK_RATE_MARGIN * row.ok_age >= began]

    def standbys() -> List[Beacon]:
        """The standbys in contact."""
        return [row for row in node.members.in_touch(node.now)
                if row.database is DatabaseState.STANDBY]

    def is_known() -> bool:
        """Whether the own position is."""
        return node.database.ok_at >= began and node.database.lsn_known

    node.chores.check_soon()
    node.leadership.ask_about(node.suspect)
    yield Until(lambda: is_known() and len(told()) == len(standbys()), node.investigation.patience)
    if not is_known():
        return 'its position is not known since the old primary was fenced'
    own, rows = node.own_row(), told()
    ahead = [row for row in rows if not why_not_eligible(row, node.view)
             and (row.timeline, row.lsn) > (own.timeline, own.lsn)
             and not node.elections.gave_way_to(row)]
    if ahead:
        node.elections.give_way_to(ahead)
        return '%s has more data since the old primary was fenced (%d bytes): it goes first' % (
            ahead[0].name, ahead[0].lsn - own.lsn)
    return why_sync_forbids(own, node.contact_rows(), node.view, rows + [own])


def _holders(node) -> List[str]:
    """The names of those in contact who say that they hold the VIP."""
    return [row.name for row in node.members.in_touch(node.now) if row.holds_vip]


def _vip_silent(node):
    """Nobody may answer for the VIP; the reason not to go on, or ''.

    Where the old primary's own daemon says that it holds it no more, a stranger is listened for,
    and no silence is waited out.
    """
    if not node.vip.configured or node.vip.here or (
            node.vip.silent_lately() and not _holders(node)):
        return ''
    began, given_up = node.now, _given_up_by_suspect(node)
    while True:
        holders = [row.name for row in node.members.living(node.now) if row.holds_vip]
        if holders:
            why = 'the VIP is still on %s' % holders[0]
        else:
            event = yield PingVip(0, STRANGER_SECONDS if given_up else PING_SECONDS,
                                  node.vip.suspect())
            if event.answers is False or (given_up and event.answers is None):
                return ''
            why = _who_answers(node, event) if event.answers else event.reason
            if event.answers and event.of_suspect:
                why = yield from _why_no_dead_house(node, why)
                if not why:
                    node.vip.has_rival(event.by, node.vip.suspect())
                    return ''
        left = began + node.settings.wait_for_primary - node.now
        if left <= 0:
            return why
        node.problem = 'takes over: %s; waits for the end of that, for %.0f s at most' % (why, left)
        yield pause(PING_AGAIN_SECONDS)


def _who_answers(node, event) -> str:
    """Who it is; what the ping says besides follows, for an address alone tells less."""
    about = node.vip.suspect() if event.of_suspect else None
    return 'the VIP still answers, from %s: drop it there%s' % (
        describe(node, event.by, about), event.reason and ' (%s)' % event.reason)


def _why_no_dead_house(node, why: str):
    """Whether of the old primary only its host is left, which answers for the VIP: ''; else why.

    Its AHM is lost, and elected as it is this node knows that its lease and its fence are over;
    nobody reaches its database.
    """
    if node.living_row(node.vip.suspect()) is not None:
        return why
    return (yield from _look_again(node))


def _given_up_by_suspect(node) -> bool:
    """Whether the old primary's own daemon says that it holds the VIP no more, and nobody does.

    One that said goodbye says nothing of what came after.
    """
    # On record alone is not enough: who was seen as the primary has to say so.
    seen = node.primary_seen
    row = node.living_row(seen) if seen is not None else None
    if row is None or row.leads or row.stepping_down or row.holds_vip is not False \
            or row.farewell is not Farewell.NONE:
        return False
    return not any(row.holds_vip for row in node.members.living(node.now))


def _raise_vip(node):
    """Raise and announce; a failure is reported, and put right by every health check.

    Where the VIP still answered, whose daemon is back by now drops it; one that does not is a rival
    of the leader.
    """
    if not node.vip.configured:
        return
    if not (yield Until(lambda: not _holders(node), node.timing.fence)):
        node.report('CRITICAL', 'vip', 'the VIP is still on %s: drop it there' % _holders(node)[0])
        node.vip.look_for_rival_soon()
        return
    event = yield RaiseVip(0, VIP_SECONDS)
    node.vip.observe(event.here, '' if event.ok else event.reason)
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


def _promotion_failed(node, event) -> None:
    """Where the order was taken back for certain, the standby lives on, and others go first."""
    why = 'the promotion failed: %s' % event.reason
    if event.withdrawn:
        node.promoting = False
        node.database.not_promoted(why, node.now + node.settings.wait_for_primary)
        return _give_up(node, why, node.settings.wait_for_primary)
    node.plan.start('step down', step_down(node, Reason('promotion', why, 'immediate')), node.now)


def _abandon(node, why: str) -> None:
    node.plan.start('step down', step_down(node, Reason('lease', why, 'immediate')), node.now)


def is_primary(row) -> bool:
    """Whether this row leads over a primary database."""
    return row.state is NodeState.LEADER and row.database is DatabaseState.PRIMARY
