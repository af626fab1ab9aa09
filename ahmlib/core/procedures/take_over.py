"""Take over: from the election won to the VIP up (ahm_protocol(7), R30 to R32).

    lease -> fencing script -> VIP silent -> positions compared again -> everybody looks again
          -> nobody has more -> promote -> on record -> VIP up

A running rightful primary skips what is about promotion, but the VIP has to be silent for it, too.
A winner that is stopped resigns, says why, and stands again when a verdict has changed, or after
wait_for_primary_timeout_seconds.
"""

from typing import List, Sequence, Tuple, Union

from ..beacon import Beacon, Farewell, Verdict
from ..consensus.timing import CLOCK_RATE_MARGIN
from ..effects import PingVip, Promote, RaiseVip, RunHook
from ..events import ActionEnded, VipPinged
from ..limits import PING_SECONDS, STRANGER_SECONDS, VIP_COMMAND_SECONDS
from ..parts import Parts
from ..plan import Procedure, Until, pause
from ..policy.election import why_not_eligible, why_sync_forbids
from ..policy.evidence import LOOK_AGAIN_SECONDS, runs_by_its_word
from ..policy.grace import Grace
from ..policy.vip import describe
from ..states import DatabaseState
from ..variables import hook_variables
from ..wanted import GaveUp, Reason, StepDown

PING_AGAIN_SECONDS = 0.5


def take_over(parts: Parts) -> Procedure:
    """The election is won; make this the node of the primary."""
    facts, consensus, database = parts.facts, parts.consensus, parts.database
    if not (yield Until(consensus.tenure.has_lease, facts.lease_seconds, step='lease')):
        return GaveUp('not enough nodes acknowledged it', 0.0)
    promotes = not database.runs_as_primary
    sure = _make_sure if promotes or _half_is_silent(parts) else _vip_silent
    why = (yield from _claimed(parts)) if promotes else ''
    why = why or (yield from sure(parts))
    if promotes and not parts.force.claims:
        why = why or why_not_eligible(facts.row, parts.candidate.view()) \
            or _give_way(parts, parts.consensus.members.in_touch())     # as of now
    if why:
        return GaveUp(why, facts.settings.wait_for_primary)
    second = parts.investigation.second_primary() if promotes else None
    if second is not None and not parts.force.claims:
        return GaveUp('the database of %s is a primary, as its own daemon says, and has to stop '
                      'first' % facts.name_of(second), 0.0)
    if promotes:
        database.begin_change()
        event = yield Promote(0, facts.settings.promote_timeout)
        if not event.ok:
            return _promotion_failed(parts, event)
        _promoted(parts, event)
    parts.place.put_on_record()
    parts.synchronous.begin(promotes)
    if not (yield Until(parts.place.is_on_record, facts.hold_seconds, step='on record')):
        return StepDown(Reason('lease', 'no majority repeated the primary on record', 'immediate'))
    yield from _raise_vip(parts)
    consensus.lead()
    parts.out.note('')
    if promotes and facts.settings.post_promotion:
        parts.out.run_in_background(RunHook(
            0, 'post_promotion_command', _variables(parts, 'POST_PROMOTION'),
            facts.settings.hook_timeout))
    return None


def _variables(parts: Parts, event: str) -> Tuple[Tuple[str, str], ...]:
    return hook_variables(parts.facts, parts.place, parts.consensus.term, event, parts.facts.own)


def _promoted(parts: Parts, event: ActionEnded) -> None:
    """The database is a primary: say so, and what it lacks of what it had received."""
    needed = event.needed_lsn
    parts.database.promoted(event.timeline, event.lsn, parts.facts.now)
    parts.database.end_change()
    parts.out.report('NOTICE', 'promoted', 'the database is primary now, on timeline %d'
                     % event.timeline)
    if event.switch_lsn and needed > event.switch_lsn:
        parts.out.report('CRITICAL', 'rows lost', 'the promotion ended recovery %d bytes before '
                         'the end of the WAL that this standby had (%d; the new timeline %d began '
                         'at %d): what was committed there is lost here, and is in the WAL files '
                         'of the old timeline' % (needed - event.switch_lsn, needed,
                                                  event.timeline, event.switch_lsn))


def _promotion_failed(parts: Parts, event: ActionEnded) -> Union[GaveUp, StepDown]:
    """Where the order was taken back for certain, the standby lives on, and others go first."""
    why, seconds = 'the promotion failed: %s' % event.reason, parts.facts.settings.wait_for_primary
    if not event.withdrawn:
        return StepDown(Reason('promotion', why, 'immediate'))
    parts.database.end_change()
    parts.database.not_promoted(why, parts.facts.now + seconds)
    return GaveUp(why, seconds)


def _claimed(parts: Parts) -> Procedure:
    """What commits will wait for is known by enough, and set where it has to be (R69); why not, or
    ''."""
    synchronous = parts.synchronous
    if not synchronous.enabled:
        return ''
    if not parts.force.claims and not (yield Until(
            synchronous.is_confirmed, parts.facts.hold_seconds, step='claim')):
        return 'not enough nodes have acknowledged which standbys confirm its commits'
    order = synchronous.before_promotion()
    if order is None:
        return ''
    event = yield order
    synchronous.was_prepared()
    return '' if event.ok else 'what its commits wait for could not be set: %s' % event.reason


def _half_is_silent(parts: Parts) -> bool:
    """Half votes: whether the other half, which is not heard, may have a leader of its own."""
    return (parts.consensus.tie_break.halves
            and len(parts.consensus.members.in_touch()) < parts.facts.settings.size // 2)


def _make_sure(parts: Parts) -> Procedure:
    """Fence, listen, ask; the reason not to promote, or ''.

    What was said before the election holds for a moment only: after a fencing script, a wait for
    the VIP, or a contact that was regained, everybody looks again.
    """
    began, settings, suspect = parts.facts.now, parts.facts.settings, parts.place.suspect
    if settings.pre_promotion:
        event = yield RunHook(0, 'pre_promotion_command', _variables(parts, 'PRE_PROMOTION'),
                              settings.hook_timeout)
        if not event.ok:
            return 'pre_promotion_command failed: %s' % event.reason
        parts.out.report('NOTICE', 'fenced', 'pre_promotion_command succeeded')
    why = yield from _vip_silent(parts)
    if not why and settings.pre_promotion and suspect is not None \
            and suspect != parts.facts.own and not parts.force.claims:
        why = yield from _compare_again(parts, suspect)
    if not why and (settings.pre_promotion or parts.facts.now > began + LOOK_AGAIN_SECONDS
                    or suspect is not None and parts.investigation.is_stale()):
        why = yield from _look_again(parts)
    elif not why and _suspect_runs(parts):
        why = 'the database of %s runs, as its own daemon says' % parts.facts.name_of(suspect)
    return why


def _suspect_runs(parts: Parts) -> bool:
    """Whether the old primary's own daemon, alive, says that its database runs."""
    suspect = parts.place.suspect
    if suspect is None or suspect == parts.facts.own:
        return False
    row = parts.consensus.members.living_row(suspect)
    return row is not None and runs_by_its_word(row)


def _says(parts: Parts, suspect: int, state: DatabaseState) -> bool:
    """Whether the daemon of this node, alive, says that its database is in this state."""
    row = parts.consensus.members.living_row(suspect)
    return row is not None and row.database is state


def _look_again(parts: Parts) -> Procedure:
    """New probes by every living node; the reason not to promote, or ''."""
    suspect = parts.place.suspect
    if suspect is None or suspect == parts.facts.own:
        return ''
    starting = Grace(parts.facts)
    starting.note(True)     # counted from now, whatever is found
    while True:
        parts.investigation.ask_about(suspect)
        yield Until(parts.investigation.is_answered, parts.investigation.patience,
                    step='everybody looks again')
        verdicts, silent = parts.investigation.all_answers()
        if Verdict.REACHABLE in verdicts:
            how = 'still answers after fencing' if parts.facts.settings.pre_promotion \
                else 'answers, now that everybody looks again'
            return 'the database of %s %s' % (parts.facts.name_of(suspect), how)
        # The suspect's own daemon is believed where it says that what starts is a standby.
        if Verdict.STARTING in verdicts and starting.is_left() \
                and not _says(parts, suspect, DatabaseState.STANDBY):
            yield pause(LOOK_AGAIN_SECONDS)
            continue
        if silent and parts.consensus.tie_break.halves:
            return 'not every living node said that it cannot reach the database of %s' \
                % parts.facts.name_of(suspect)
        parts.investigation.close()
        return ''


def _compare_again(parts: Parts, suspect: int) -> Procedure:
    """Until it was fenced the old primary may have written on; the reason not to promote, or ''.

    One standby may have got that and another not: so positions are compared as of after fencing.
    The question about the old primary makes every node look at its own position, too.
    """
    began, members = parts.facts.now, parts.consensus.members

    def told() -> List[Beacon]:
        """The standbys in contact whose positions were looked at since."""
        return [row for row in standbys() if row.ok_age is not None
                and members.row_at(row.sender) - CLOCK_RATE_MARGIN * row.ok_age >= began]

    def standbys() -> List[Beacon]:
        """The standbys in contact."""
        return [row for row in members.in_touch() if row.database is DatabaseState.STANDBY]

    def is_known() -> bool:
        """Whether the own position is."""
        ok_at = parts.database.ok_at
        return ok_at is not None and ok_at >= began and parts.database.lsn_known

    parts.checks.soon()
    parts.investigation.ask_about(suspect)
    yield Until(lambda: is_known() and len(told()) == len(standbys()), parts.investigation.patience,
                step='positions compared')
    if not is_known():
        return 'its position is not known since the old primary was fenced'
    own, rows, view = parts.facts.row, told(), parts.candidate.view()
    return _give_way(parts, rows) or why_sync_forbids(
        own, parts.consensus.contact_rows(), view, rows + [own])


def _give_way(parts: Parts, rows: Sequence[Beacon]) -> str:
    """Who of these has more data goes first, once for what it has; the reason to stop, or ''.

    It may have been stopped before, by what stops nobody any more, and this one was elected then.
    """
    ahead = parts.candidate.ahead(rows)
    if not ahead:
        return ''
    parts.candidate.give_way_to(ahead)
    return '%s has more data (%d bytes): it goes first' % (
        ahead[0].name, ahead[0].lsn - parts.facts.row.lsn)


def _holders(parts: Parts) -> List[str]:
    """The names of those in contact who say that they hold the VIP."""
    return [row.name for row in parts.consensus.members.in_touch() if row.holds_vip]


def _vip_silent(parts: Parts) -> Procedure:
    """Nobody may answer for the VIP; the reason not to go on, or ''.

    Where the old primary's own daemon says that it holds it no more, a stranger is listened for,
    and no silence is waited out.
    """
    if not parts.vip.configured or parts.vip.here or (
            parts.vip.silent_lately() and not _holders(parts)):
        return ''
    began, given_up = parts.facts.now, _given_up_by_suspect(parts)
    while True:
        holders = [row.name for row in parts.consensus.members.living() if row.holds_vip]
        if holders:
            why = 'the VIP is still on %s' % holders[0]
        else:
            event = yield PingVip(0, STRANGER_SECONDS if given_up else PING_SECONDS,
                                  parts.vip.suspect())
            if event.answers is False or (given_up and event.answers is None):
                return ''
            why = _who_answers(parts, event) if event.answers else event.reason
            if event.answers and event.of_suspect:
                why = yield from _why_no_dead_house(parts, why)
                if not why:
                    parts.vip.has_rival(event.by, parts.vip.suspect())
                    return ''
        left = began + parts.facts.settings.wait_for_primary - parts.facts.now
        if left <= 0:
            return why
        parts.out.note('takes over: %s; waits for the end of that, for %.0f s at most' % (
            why, left))
        yield pause(PING_AGAIN_SECONDS)


def _who_answers(parts: Parts, event: VipPinged) -> str:
    """Who it is; what the ping says besides follows, for an address alone tells less."""
    about = parts.vip.suspect() if event.of_suspect else None
    return 'the VIP still answers, from %s: drop it there%s' % (
        describe(parts.facts, event.by, about), event.reason and ' (%s)' % event.reason)


def _why_no_dead_house(parts: Parts, why: str) -> Procedure:
    """Whether of the old primary only its host is left, which answers for the VIP: ''; else why.

    Its AHM is lost, and elected as it is this node knows that its lease and its fence are over;
    nobody reaches its database.
    """
    suspect = parts.vip.suspect()
    if suspect is not None and parts.consensus.members.living_row(suspect) is not None:
        return why
    return (yield from _look_again(parts))


def _given_up_by_suspect(parts: Parts) -> bool:
    """Whether the old primary's own daemon says that it holds the VIP no more, and nobody does.

    One that said goodbye says nothing of what came after.
    """
    # On record alone is not enough: who was seen as the primary has to say so.
    seen = parts.place.seen
    row = parts.consensus.members.living_row(seen) if seen is not None else None
    if row is None or row.leads or row.stepping_down or row.holds_vip is not False \
            or row.farewell is not Farewell.NONE:
        return False
    return not any(row.holds_vip for row in parts.consensus.members.living())


def _raise_vip(parts: Parts) -> Procedure:
    """Raise and announce; a failure is reported, and put right by every health check.

    Where the VIP still answered, whose daemon is back by now drops it; one that does not is a rival
    of the leader.
    """
    if not parts.vip.configured:
        return
    if not (yield Until(lambda: not _holders(parts), parts.facts.timing.fence,
                        step='VIP dropped elsewhere')):
        parts.out.report('CRITICAL', 'vip', 'the VIP is still on %s: drop it there'
                         % _holders(parts)[0])
        parts.vip.look_for_rival_soon()
        return
    event = yield RaiseVip(0, VIP_COMMAND_SECONDS)
    parts.vip.observe(event.here, '' if event.ok else event.reason)
    if event.ok:
        parts.vip.announce_again()
    else:
        parts.out.note('the VIP could not be raised: %s' % event.reason)
        parts.out.report('CRITICAL', 'vip', parts.out.problem)
