"""Restart the local database because an operator asked for it (ahm_protocol(7), R44).

    checkpoint -> stop and start, without checks meanwhile -> a check -> a standby streams again

A server has to be restarted for a changed parameter, or for other binaries, and works before and
after.  So nothing fails over: a leader goes on leading, and the VIP stays, because no other host
could serve clients sooner; they connect again to the address that they know.  A step-down closes
this where the lease ends meanwhile, and stops what is half done.

What does not answer after its start has failed: then nothing more is waited for, and everybody is
asked at once whether it can be reached, as after failed checks.
"""

from ..effects import CheckpointDatabase, RestartDatabase
from ..limits import CHECKPOINT_SECONDS, SEEN_SECONDS
from ..parts import Parts
from ..plan import Procedure, Until
from ..policy.task import Task
from .attach import seen_streaming


def restart_asked(parts: Parts, task: Task, limit: float, pending: bool) -> Procedure:
    """Restart the local database."""
    try:
        if pending and not (yield from _is_pending(parts, task)):
            return
        why = yield from _checkpoint(parts, task)
        if why:
            task.end(why)
            return
        began = parts.facts.now
        task.is_at('stops the database and starts it again')
        parts.out.note('its database is being restarted, as an operator asked')
        parts.out.report('NOTICE', 'restart', parts.out.problem)
        why = yield from _restart(parts, task, limit)
        parts.out.note(why and 'the restart of its database failed: %s' % why)
        if why:
            parts.out.report('ERROR', 'restart', parts.out.problem)
        else:
            parts.out.report('NOTICE', 'restart', 'the database was restarted in %.1f s, and %s' % (
                parts.facts.now - began, 'accepts writes: no failover' if parts.consensus.leads
                else 'streams again'))
        task.end(why)
    finally:
        parts.database.end_restart()
        task.end('it was overtaken: %s' % (parts.out.problem or 'the leader changed'))


def _is_pending(parts: Parts, task: Task) -> Procedure:
    """By a new check, for who asks may have changed a parameter a moment ago."""
    task.is_at('looks whether a parameter waits for a restart')
    if not (yield from _checked(parts)) or parts.database.pending is None:
        task.end('whether a parameter waits for a restart could not be found out: %s' % (
            parts.database.reason or 'its check did not say'))
        return False
    if not parts.database.pending:
        task.is_at('nothing: no parameter waits for a restart')
        task.end()
        return False
    return True


def _checkpoint(parts: Parts, task: Task) -> Procedure:
    """So that the stop has little to write; the reason not to go on, or ''."""
    task.is_at('orders a checkpoint, so that the stop takes no time')
    began = parts.facts.now
    event = yield CheckpointDatabase(0, CHECKPOINT_SECONDS)
    if not parts.consensus.leads and parts.consensus.leader_in_force() is None:
        return 'nothing was changed: nobody leads any more'
    if not event.ok and parts.facts.now >= began + CHECKPOINT_SECONDS:
        # The stop has to write the same: cut short, it would be a crash.
        return 'nothing was changed: the checkpoint before it takes longer than %g s' \
            % CHECKPOINT_SECONDS
    if not event.ok:
        parts.out.report('NOTICE', 'restart', 'no checkpoint before it, so the stop may take '
                         'longer: %s' % event.reason)
    return ''


def _restart(parts: Parts, task: Task, limit: float) -> Procedure:
    """Down and up again; why that did not work, or ''."""
    database, leads = parts.database, parts.consensus.leads
    if leads:
        database.begin_change()     # a step-down now must stop what is being started
    database.begin_restart()
    event = yield RestartDatabase(0, limit)
    database.end_restart()
    task.is_at('waits for a check of the database')
    answers = yield from _checked(parts)
    database.end_change()
    if not answers:
        why = event.reason or database.reason or 'it does not answer its check'
        database.has_failed(why)
        if leads:
            parts.duties.was_restarted()
        return why
    if not event.ok:
        return event.reason
    if leads:
        return '' if database.runs_as_primary else 'it is in recovery now'
    if not (yield from seen_streaming(parts)):
        return 'it runs again, and does not stream within %g s%s; see its log' % (
            SEEN_SECONDS, ': ' + database.reason if database.reason else '')
    return ''


def _checked(parts: Parts) -> Procedure:
    """Have the database checked anew; whether it answered."""
    began, database = parts.facts.now, parts.database
    parts.checks.soon()
    return (yield Until(lambda: database.ok_at is not None and database.ok_at >= began,
                        parts.facts.settings.connect_timeout + 1.0, parts.checks.soon,
                        'check'))
