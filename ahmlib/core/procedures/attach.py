"""Attach: make the local database a trusted standby of the present primary again.

What is done to the server (nothing, a new primary_conninfo, a start, a rewind) is the world's to
find out; here it counts only whether it streams from the primary afterwards.
"""

from ..effects import AttachDatabase
from ..events import ActionEnded
from ..limits import ATTACH_SECONDS, REBUILD_SECONDS, SEEN_SECONDS
from ..parts import Parts
from ..plan import Procedure, Until
from ..policy.task import Task
from ..variables import hook_variables


def attach(parts: Parts, leader: int, task: Task, rebuild: bool = False) -> Procedure:
    """Attach the local database to the primary of node `leader`; `rebuild`: by a copy, if need be.
    """
    name = parts.facts.name_of(leader)
    try:
        task.is_at('makes the database a standby of %s' % name)
        limit = REBUILD_SECONDS if rebuild else ATTACH_SECONDS
        event = yield AttachDatabase(0, leader, True, limit, hook_variables(
            parts.facts, parts.place, parts.consensus.term, 'FOLLOW', leader), rebuild)
        if not event.ok:
            _refuse(parts, event, task)
            return
        if event.remark:
            parts.out.report('WARNING', 'remark', event.remark)
        task.is_at('waits for a check of the database')
        if not (yield from seen_streaming(parts)):
            task.end('it streamed from %s, and then failed its check: %s' % (
                name, parts.database.reason or 'it does not stream any more'))
            return
        trusted_again(parts, leader)
        task.end()
        parts.out.report('NOTICE', 'attached', 'the database is a standby of %s, and streams'
                         % name)
    finally:
        task.end('it was overtaken: %s' % (parts.out.problem or 'the leader changed'))


def _refuse(parts: Parts, event: ActionEnded, task: Task) -> None:
    parts.checks.soon()
    if event.diverged:
        parts.database.has_diverged(True)
        parts.database.tell_out(event.reason)
    parts.out.report('ERROR', 'attach failed', 'the database was not attached: %s' % event.reason)
    task.end(event.reason)


def seen_streaming(parts: Parts) -> Procedure:
    """Have the database checked anew; whether it is a standby that streams."""
    began, database = parts.facts.now, parts.database
    parts.checks.soon()

    def streams() -> bool:
        """Whether a check since then says so."""
        answer = database.answer
        return database.failures == 0 and answer is not None and bool(answer.in_recovery) \
            and answer.streaming and database.ok_at is not None and database.ok_at >= began
    return (yield Until(streams, SEEN_SECONDS, parts.checks.soon, 'seen to stream'))


def trusted_again(parts: Parts, leader: int) -> None:
    """This database is a standby of that node's primary, and was seen to stream."""
    parts.database.attached()
    parts.place.lost_role()
    parts.out.note('')
    parts.repoint.follow_done(leader)
