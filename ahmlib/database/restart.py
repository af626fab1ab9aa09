"""Restarting the database beside this node as it is: for a parameter, or for other binaries.

By db_restart_command, where one is set: where a service manager or another user owns the server,
nothing else may start it.  Else it is stopped (fast) and started, as AHM does both anywhere else.

What counts is not what a command returned, but that another postmaster accepts connections: one
that was not restarted has not taken the parameter, or runs the old binaries.
"""
from typing import NamedTuple, Optional, Tuple

from ahmlib.database import control, start, stop
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

#: Of the limit, how much the stop may use before the start has the rest.
STOP_SHARE = 0.2


class Restarted(NamedTuple):
    """What became of a restart."""

    ok: bool                # another postmaster than before accepts connections
    reason: str
    how: str                # 'command', or 'stop and start'
    remark: str = ''        # what people should know, where it is ok


def restart_database(settings: DatabaseSettings, limit: float) -> Restarted:
    """Restart the server of db_data_dir, and wait until it accepts us, for at most `limit` seconds.
    """
    deadline = Deadline(limit)
    how = 'command' if settings.db_restart_command else 'stop and start'
    blind = control.why_blind(settings.db_data_dir)
    if blind:
        return Restarted(False, blind, how)
    before = _identity(settings)
    if settings.db_restart_command:
        return _by_command(settings, deadline, before)
    stopped = stop.stop_database(settings, stop.FAST, limit * STOP_SHARE)
    if not stopped.ok:
        return Restarted(False, 'it could not be stopped: %s' % stopped.reason, how)
    started = start.start_database(settings, max(0.0, deadline.remaining()))
    return Restarted(started.ok, started.reason, how, stopped.remark)


def _by_command(settings: DatabaseSettings, deadline: Deadline,
                before: Optional[Tuple[int, str]]) -> Restarted:
    assert settings.db_restart_command
    outcome = programs.run(settings.db_restart_command, deadline.remaining())
    said = 'db_restart_command: ' + (outcome.reason or 'exited with 0')
    now = _identity(settings)
    if now is not None and now == before:
        return Restarted(False, 'the server that ran before runs on (%s)' % said, 'command')
    if now is None and not outcome.ok:
        return Restarted(False, said, 'command')
    # A command may exit with an error though the server was restarted: the server decides.
    started = start.await_connections(settings, deadline, 'command',
                                      lambda reason: '%s (%s)' % (reason, said))
    return Restarted(started.ok, started.reason, 'command')


def _identity(settings: DatabaseSettings) -> Optional[Tuple[int, str]]:
    """What tells this postmaster from any other one: its PID and when it began; None: none runs."""
    pid = control.postmaster(settings.db_data_dir)
    process = None if pid is None else control.look_up(pid)
    return None if process is None else (process.pid, process.started)
