"""Stopping the database beside this node, for certain and within a limit.

A node that loses the primary role must have stopped its database before its successor can have
started to write, so this goes from gentle to certain inside one limit:

    SIGINT (fast)  ->  SIGQUIT (immediate)  ->  SIGKILL of the postmaster and all its processes

A fast shutdown that only waits for archive_command any more is ended by the next step: all that a
standby can get is with those that were connected (`archiver`).

The postmaster is signalled directly: pg_ctl polls coarsely and believes postmaster.pid.
Success is not what anybody returned but that no process of this server is left, and that nothing
answers at conn_string: where that leads to another server than db_data_dir, a primary may run there
that no look at db_data_dir shows.  It is not ours to signal; db_stop_command, where set, may stop
it.  A smart shutdown is never used: it waits for the clients.

Silence at conn_string is enough, whatever its cause, with two exceptions.  A socket that is closed
to us says nothing.  And a server on another host is no reason to say that this one runs: with the
VIP in conn_string the next primary answers there as soon as the VIP has moved.  The check calls
that a mismatch, unless this host has the VIP.
"""
import signal
from typing import Iterator, List, NamedTuple, Tuple

from ahmlib.database import archiver, control, control_file, identity
from ahmlib.database.control import Process
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

POLL_SECONDS = 0.01
LOOK_SECONDS, LOOK_LEAST = 1.0, 0.05    # one look at conn_string, at most, and in any case

ARCHIVE_SECONDS = 0.5   # a healthy archiver needs no more for the last file of a shutdown

FAST, IMMEDIATE, KILL = 'fast', 'immediate', 'kill'
NOT_RUNNING = 'was not running'

# mode: ((what is sent, its name, until this share of the limit), ...)
PLANS = {
    FAST: ((signal.SIGINT, FAST, 0.6), (signal.SIGQUIT, IMMEDIATE, 0.8),
           (signal.SIGKILL, KILL, 1.0)),
    IMMEDIATE: ((signal.SIGQUIT, IMMEDIATE, 0.5), (signal.SIGKILL, KILL, 1.0)),
    KILL: ((signal.SIGKILL, KILL, 1.0),),
}
# Of the limit, how much an operator's db_stop_command may use before the signals begin.
COMMAND_SHARES = {FAST: 0.5, IMMEDIATE: 0.3, KILL: 0.2}


class Stopped(NamedTuple):
    """What became of a stop."""

    ok: bool                # no process of the server is left, and nothing answers at conn_string
    reason: str
    how: str                # the last thing that was done: 'was not running', 'command' or a mode
    lsn: int = 0            # where the record of a shutdown checkpoint begins; 0: not a clean one
    timeline: int = 0       # of that record; 0 likewise
    remark: str = ''        # what people should know, where it is ok


def stop_database(settings: DatabaseSettings, mode: str, limit: float) -> Stopped:
    """Stop the server of db_data_dir within `limit` seconds, beginning with `mode`.

    `mode` is 'fast', 'immediate' or 'kill'; each goes on to the harder ones in time.
    db_stop_command, where set, runs first for a share of the limit.
    """
    if mode not in PLANS:
        raise ValueError('mode is %r, expected fast, immediate or kill' % (mode,))
    deadline = Deadline(limit)
    data_dir = settings.db_data_dir
    blind = control.why_blind(data_dir)
    if blind:
        return Stopped(False, blind, '')
    left = control.server_processes(data_dir)
    if not left:
        return _seen_from_both_sides(settings, deadline, 'the database was not running',
                                     NOT_RUNNING)
    how, notes = '', ''
    if settings.db_stop_command:
        how = 'command'
        outcome = programs.run(settings.db_stop_command, limit * COMMAND_SHARES[mode])
        notes = outcome.reason and '; db_stop_command: ' + outcome.reason
        left = _left(data_dir, left)
    for number, name, until in _remaining_plan(mode, deadline):
        if not left:
            break
        if number == signal.SIGINT and control.postmaster(data_dir) is None:
            continue                            # orphans: nobody is left to shut down cleanly
        how = name
        left = _signal_and_wait(data_dir, number, left, deadline,
                                deadline.started_at + limit * until)
    if left:
        return Stopped(False, '%d processes of the database are left after %.3g s (PID %s%s)%s'
                       % (len(left), deadline.elapsed(), left[0].pid,
                          ', in uninterruptible I/O' if left[0].state == 'D' else '', notes), how)
    reason = 'stopped (%s) in %.2f s%s' % (how, deadline.elapsed(), notes)
    return _seen_from_both_sides(settings, deadline, reason, how)


def _seen_from_both_sides(settings: DatabaseSettings, deadline: Deadline, reason: str,
                          how: str) -> Stopped:
    """The result where no process is left, or was there: what does conn_string say?"""
    found = _look(settings, deadline)
    if found.is_there and settings.db_stop_command and how == NOT_RUNNING:
        outcome = programs.run(settings.db_stop_command,
                               max(LOOK_LEAST, deadline.remaining() - LOOK_LEAST))
        how = 'command'
        reason = 'stopped (command) in %.2f s' % deadline.elapsed()
        found = _look(settings, deadline)
        if outcome.reason:
            found = found._replace(text='%s; db_stop_command: %s' % (found.text, outcome.reason))
    if found.is_there or found.is_there is None:
        return Stopped(False, 'no process works in db_data_dir, %s, but %s; correct conn_string, '
                       'db_port or db_data_dir, or set db_stop_command'
                       % (settings.db_data_dir, found.text), how)
    return _stopped(settings, reason + ('; ' + found.text if found.text else ''), how)


def _look(settings: DatabaseSettings, deadline: Deadline) -> identity.Seen:
    return identity.look(settings, max(LOOK_LEAST, min(LOOK_SECONDS, deadline.remaining())))


def _stopped(settings: DatabaseSettings, reason: str, how: str) -> Stopped:
    """The result of a stop; with the position where a clean shutdown left the WAL."""
    result = Stopped(True, reason, how)
    try:
        known = control_file.read(settings.db_data_dir)
    except (OSError, ValueError):
        return result           # it is stopped all the same; only nobody knows how cleanly
    if known.state == 'shut down':
        result = result._replace(lsn=known.checkpoint_lsn, timeline=known.timeline)
    waiting = archiver.unarchived(settings.db_data_dir)
    if waiting:
        result = result._replace(
            remark='%d WAL files are not archived yet: see archive_command; they are when this '
                   'server runs again' % waiting)
    return result


def _remaining_plan(mode: str, deadline: Deadline) -> Iterator[Tuple[int, str, float]]:
    """Yield the steps of the plan, leaving out a gentle one whose time is over already."""
    for number, name, until in PLANS[mode]:
        if number == signal.SIGKILL or deadline.elapsed() < deadline.limit * until:
            yield number, name, until


def _signal_and_wait(data_dir: str, number: int, processes: List[Process], deadline: Deadline,
                     until: float) -> List[Process]:
    """Send the signal, wait until none is left or `until` comes; return who is left."""
    is_kill = number == signal.SIGKILL
    for process in _targets(processes, is_kill):
        control.kill(process, number)
    while True:
        processes = [each for each in processes if control.is_alive(each)]
        if not processes or is_kill:
            # Look for those that were born meanwhile; between looks, the known ones suffice.
            processes = _left(data_dir, processes)
        if not processes:
            return []
        if is_kill:
            for process in processes:
                control.kill(process, number)
        elif _is_deaf(processes) or (number == signal.SIGINT and _goes_on_for_nothing(
                data_dir, processes, deadline.elapsed())):
            return processes
        if deadline.started_at + deadline.elapsed() >= until:
            return _left(data_dir, processes)
        deadline.sleep(POLL_SECONDS)


def _goes_on_for_nothing(data_dir: str, processes: List[Process], elapsed: float) -> bool:
    """Whether a shutdown waits for its archiver only, which has had a moment.

    A walsender may have come since the processes were looked up.
    """
    return elapsed >= ARCHIVE_SECONDS and archiver.is_all_that_is_left(data_dir, processes) \
        and archiver.is_all_that_is_left(data_dir, _left(data_dir, processes))


def _left(data_dir: str, known: List[Process]) -> List[Process]:
    """Return who is left of those known, and who has come since.

    Near its end a process has no program and no directory any more, so that it cannot be told for
    the server's; PostgreSQL still takes it for a running server, and would not start beside it.
    """
    left = [each for each in known if control.is_alive(each)]
    pids = {process.pid for process in left}
    return left + [each for each in control.server_processes(data_dir) if each.pid not in pids]


def _targets(processes: List[Process], is_kill: bool) -> List[Process]:
    """The postmaster alone, or, to kill, everybody with the postmaster first.

    The postmaster is the one whose parent is none of them; the orphans of a postmaster that
    was killed are all such, and get the signal each.
    """
    pids = {process.pid for process in processes}
    roots = [process for process in processes if process.parent not in pids]
    if not is_kill:
        return roots
    return roots + [process for process in processes if process.parent in pids]


def _is_deaf(processes: List[Process]) -> bool:
    """True if a postmaster is stopped (SIGSTOP): waiting for it is lost time."""
    return any(control.is_stopped(each.pid) for each in _targets(processes, False))
