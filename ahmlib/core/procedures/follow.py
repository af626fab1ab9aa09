"""Point the local database to the new primary, whether it runs or not.

A running standby is re-pointed; one that is down only gets its settings, so that a later start, by
whomever, makes a standby of the new primary and not a second primary (manual 19.7.1).
"""

from ..effects import AttachDatabase, FollowPrimary
from ..events import ActionEnded
from ..limits import COME_BACK_SECONDS, FOLLOW_SECONDS
from ..parts import Parts
from ..plan import Procedure
from ..variables import hook_variables
from .attach import seen_streaming, trusted_again

RETRY_SECONDS = 10.0


def follow(parts: Parts, leader: int) -> Procedure:
    """Make the local database follow the primary of node `leader`."""
    database, was_down = parts.database, not parts.database.in_recovery
    event = yield FollowPrimary(0, leader, FOLLOW_SECONDS, hook_variables(
        parts.facts, parts.place, parts.consensus.term, 'FOLLOW', leader))
    name = parts.facts.name_of(leader)
    if not event.ok:
        parts.out.note('could not be pointed to the primary of %s: %s' % (name, event.reason))
        parts.out.report('ERROR', 'follow failed', 'the database %s' % parts.out.problem)
        parts.repoint.follow_failed(RETRY_SECONDS)
        if event.diverged and not database.out:
            database.has_diverged(True)
            database.tell_out(event.reason)
        return
    _tell_remark(parts, event)
    if was_down and parts.place.had_role and not database.second_primary:
        database.tell_out('the primary role went to %s' % name)
    parts.place.lost_role()
    parts.out.note(database.out)
    if not was_down:
        database.followed()
    parts.out.report('NOTICE', 'follow', 'the database is set to follow the primary of %s%s' % (
        name, ' (it is not running)' if was_down else ''))
    parts.repoint.follow_done(leader)


def _tell_remark(parts: Parts, event: ActionEnded) -> None:
    """Of an action that succeeded, what people should know all the same."""
    if event.remark:
        parts.out.report('WARNING', 'remark', event.remark)


def come_back(parts: Parts, leader: int) -> Procedure:
    """After a switchover: start the database that was stopped for it as a standby.

    It has nothing that the new primary lacks, so nobody needs to attach it.
    """
    name = parts.facts.name_of(leader)
    event = yield AttachDatabase(0, leader, False, COME_BACK_SECONDS, hook_variables(
        parts.facts, parts.place, parts.consensus.term, 'FOLLOW', leader))
    _tell_remark(parts, event)
    if event.ok and (yield from seen_streaming(parts)):
        trusted_again(parts, leader)
        parts.out.report('NOTICE', 'follow', 'the database is a standby of %s, and streams' % name)
        return
    why = event.reason or parts.database.reason or 'it does not stream'
    parts.repoint.hands_over(False)
    parts.database.has_diverged(event.diverged)
    parts.out.note('it did not come back as a standby of %s: %s' % (name, why))
    parts.database.tell_out(parts.out.problem)
