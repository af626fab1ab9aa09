"""Say goodbye and end (ahm_protocol(7), R35 to R38).

A follower that leaves for good binds itself on disk to its leader, and says so until the leader
has heard it.  A leader hands over, as in a switchover, where a successor is there that can fence,
because then a promotion beside this host is safe.  In every other case, also where the successor
does not get the last of the WAL, and always when it is only restarted, database and VIP stay as
they are: but only once a majority has heard the goodbye, for a leader that is cut off has to step
down first.
"""

from typing import Optional, Union

from ..beacon import Farewell, IntentKind
from ..consensus.lease import FOREVER
from ..effects import CheckpointDatabase, SaveLease
from ..limits import CHECKPOINT_SECONDS, GOODBYE_SECONDS, VIP_COMMAND_SECONDS
from ..parts import Parts
from ..plan import Procedure, Until
from ..policy.election import why_not_eligible
from ..states import Role
from ..wanted import Reason, Rejoin, StepDown
from .step_down import give_up_role
from .switch_over import hand_over, keep_up

#: Why this daemon stays for now: what has to be done first, or nothing but to wait.
Stays = Union[None, Rejoin, StepDown]


def shut_down(parts: Parts, farewell: Farewell) -> Procedure:
    """End this daemon, with this goodbye."""
    if farewell is Farewell.LEAVING and parts.intents.hands_over and _can_hand_over(parts):
        done, stays = yield from _hand_over(parts)
        if not done:
            return stays
    elif _is_handing_over(parts) and parts.leaving.taking_back_until is None:
        # In a switchover that is not over yet: its vote and its promise are needed.
        target = parts.place.handed_to
        if not (yield from _see_taken_over(
                parts, parts.consensus.promise.leader if target is None else target)):
            return Rejoin()
    yield from _say_goodbye(parts, farewell)
    return None


def _is_handing_over(parts: Parts) -> bool:
    if parts.consensus.leads or not parts.consensus.members.has_majority():
        return False
    return parts.place.handed_to is not None \
        or (parts.repoint.handed_over and not parts.leaving.somebody_leads())


def _can_hand_over(parts: Parts) -> bool:
    consensus, database = parts.consensus, parts.database
    if consensus.role is not Role.LEADS or not parts.facts.settings.pre_promotion \
            or not consensus.members.has_majority() or not database.runs_as_primary \
            or database.failed or parts.paused.on or not _can_lead_without(parts):
        return False
    successor = parts.duties.successor
    row = consensus.members.living_row(successor) if successor is not None else None
    return row is not None and row.farewell is Farewell.NONE and row.can_fence \
        and not why_not_eligible(row, parts.candidate.view())


def _can_lead_without(parts: Parts) -> bool:
    """Whether those who stay suffice for a lease: who left counts only while all others answer."""
    staying = [row for row in parts.consensus.members.in_touch()
               if row.farewell is Farewell.NONE]
    return len(staying) >= parts.consensus.tenure.lease.needed


def _hand_over(parts: Parts) -> Procedure:
    """Stop the primary cleanly and let the successor take over: whether it did, and what else."""
    successor = parts.duties.successor
    assert successor is not None
    name = parts.facts.name_of(successor)
    parts.out.report('NOTICE', 'hand over', 'stops for good: handing over to %s' % name)
    # So that the successor looks at its position again and again.
    parts.intents.carry_out(parts.intents.new(IntentKind.PROMOTE)._replace(node=successor))
    try:
        ended = yield from _prepare_and_hand_over(parts, successor)
    finally:
        parts.intents.carry_out(None)
    if isinstance(ended, StepDown):
        return False, ended
    if ended:
        parts.out.report('ERROR', 'hand over', 'nothing was handed over to %s (%s): this daemon '
                         'ends as for a restart; start it again within %.1f s, or who can fence '
                         'takes over' % (name, ended, parts.facts.hold_seconds))
        parts.leaving.stay()
        return False, None
    return (yield from _see_taken_over(parts, successor)), Rejoin()


def _prepare_and_hand_over(parts: Parts, successor: int) -> Procedure:
    began = parts.facts.now
    event = yield CheckpointDatabase(0, CHECKPOINT_SECONDS)
    if not event.ok and parts.facts.now >= began + CHECKPOINT_SECONDS:
        # The stop has to write the same: cut short, it would be a crash.
        return 'the checkpoint before it takes longer than %g s' % CHECKPOINT_SECONDS
    if not event.ok:
        parts.out.report('NOTICE', 'hand over', 'no checkpoint before it, so the stop may take '
                         'longer: %s' % event.reason)
    return (yield from keep_up(parts, successor)) or (yield from hand_over(parts, successor))


def _see_taken_over(parts: Parts, successor: Optional[int]) -> Procedure:
    """Wait until somebody leads over a primary; where nobody does, the role is to be taken back."""
    limit = parts.facts.settings.promote_timeout
    if (yield Until(parts.leaving.somebody_leads, limit, step='taken over')):
        return True
    parts.out.report('ERROR', 'hand over', '%s did not take over in %g s: taking the role back '
                     'before this daemon ends' % (parts.facts.name_of(successor), limit))
    parts.leaving.stay()
    return False


def _all_are_bound(parts: Parts) -> bool:
    """Whether this node led, and all others have left for good, bound to it on disk."""
    return parts.consensus.ballot.leader == parts.facts.own \
        and len(parts.consensus.tenure.lease.left) == parts.facts.settings.size - 1


def _say_goodbye(parts: Parts, farewell: Farewell) -> Procedure:
    facts, consensus, tenure = parts.facts, parts.consensus, parts.consensus.tenure
    yield Until(lambda: not parts.vip.busy, VIP_COMMAND_SECONDS, step='VIP command')
    leader = consensus.promise.leader if consensus.follower.following else None
    needed, lease_until = 0, FOREVER
    if consensus.role is Role.LEADS:
        needed, lease_until = tenure.lease.needed - 1, tenure.until()
    elif parts.vip.configured and parts.vip.here is not False:
        # Found at the start, under a lease of the life before, or beside its primary.
        needed, lease_until = tenure.lease.needed - 1, parts.vip.may_stay_until()
    if lease_until == FOREVER:
        needed = 0
    consensus.leave(farewell)
    said_at = facts.now
    limit = GOODBYE_SECONDS if lease_until == FOREVER else max(0.0, lease_until - facts.now)
    heard = yield Until(lambda: parts.leaving.was_heard(said_at, leader, needed), limit,
                        step='goodbye heard')
    if not heard and lease_until != FOREVER:
        # Cut off: others may elect a leader, and this daemon would not be there to step down.
        yield from give_up_role(parts, Reason(
            'lease', 'no majority heard its goodbye: others may elect a leader', 'immediate'))
    if farewell is Farewell.LEAVING and _all_are_bound(parts):
        parts.out.emit(SaveLease(0.0))  # nobody can be elected beside the primary left (R50)
    parts.out.exit(0, 'stopped (%s)' % farewell.name)
