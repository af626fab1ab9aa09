"""Starting the database beside this node, and seeing that it accepts connections.

The start program is pg_ctl (or ag_ctl) with -W, or db_start_command; the waiting is done here.
pg_ctl is given no -l: its own output, and with it the server's, goes to
`<AHM's data_dir>/ahm_database_<db_port>.log`, opened by AHM.  So the file may lie where the
database's owner cannot write, and is never a link.  With logging_collector the server leaves it
after its first lines; without, all of the server's log is there, as with pg_ctl -l.
"""
import os
import shlex
import stat
from typing import IO, Callable, List, NamedTuple, Optional

from ahmlib.database import control, identity, probe
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

POLL_SECONDS = 0.02
PROBE_SECONDS = 1.0         # one look during the wait
LOOK_SECONDS = 0.5          # who answers in place of a server that died
APPEAR_SECONDS = 1.0        # a started server that has no process by then has died
FOREIGN_SECONDS = 3.0       # how long another server may answer in place of the started one
LOG_TAIL = 2000


class Started(NamedTuple):
    """What became of a start."""

    ok: bool
    reason: str                 # one line; where the server died, with what its log says last
    how: str                    # 'was running', 'command' or 'pg_ctl'
    verdict: str = probe.UNREACHABLE            # of the last probe
    in_recovery: Optional[bool] = None          # likewise


def start_database(settings: DatabaseSettings, limit: float) -> Started:
    """Start the server of db_data_dir and wait up to `limit` seconds until it accepts us.

    Another server that answers at conn_string, because it has the port or conn_string is wrong, is
    no success.
    """
    deadline = Deadline(limit)
    how = 'command' if settings.db_start_command else 'pg_ctl'
    blind = control.why_blind(settings.db_data_dir)
    if blind:
        return Started(False, blind, how)
    if control.postmaster(settings.db_data_dir) is not None:
        return await_connections(settings, deadline, 'was running', None)
    try:
        log = _open_log(settings)
    except OSError as error:
        return Started(False, 'cannot write %s: %s' % (log_path(settings), error.strerror), how)
    with log:
        began_at = log.seek(0, os.SEEK_END)
        forget_a_zombie(settings.db_data_dir)
        outcome = _run(settings, limit, log)
        # A command may exit with an error though the server runs: the server decides.
        if not outcome.ok and control.postmaster(settings.db_data_dir) is None:
            return Started(False, _with_log(outcome.reason, log, began_at), how)
        return await_connections(settings, deadline, how, lambda reason:
                                 _with_log(reason, log, began_at))


def forget_a_zombie(data_dir: str) -> None:
    """Remove the lock files of a postmaster that has died, and is only waiting to be reaped.

    PostgreSQL takes such a process for a running server and refuses to start, for ever where
    nobody reaps it (a container without an init).  So does pg_rewind.
    """
    path = os.path.join(data_dir, 'postmaster.pid')
    try:
        lines = _lines(path)
        pid = abs(int(lines[0]))
        port, directory = lines[3], lines[4]    # as miscadmin.h numbers them
    except (OSError, ValueError, IndexError):
        return
    if control.why_blind(data_dir) or not os.path.exists('/proc/%d' % pid) \
            or control.look_up(pid) is not None or control.server_processes(data_dir):
        return
    with control.acting_as(control.as_owner(data_dir)):
        socket_lock = os.path.join(directory, '.s.PGSQL.%s.lock' % port)
        if directory and os.path.exists(socket_lock) and _lines(socket_lock)[:1] == [str(pid)]:
            os.unlink(socket_lock)
        os.unlink(path)


def _lines(path: str) -> List[str]:
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read().splitlines()


def await_connections(settings: DatabaseSettings, deadline: Deadline, how: str,
                      explain: Optional[Callable[[str], str]]) -> Started:
    """Poll until the server accepts connections, dies, or the deadline ends.

    `explain` makes a fuller reason of a reason (None: as it is).
    """
    explain = explain or (lambda reason: reason)
    unseen_since = deadline.elapsed()
    was_seen, foreign_since = False, None
    found = probe.Found()
    while True:
        if control.server_processes(settings.db_data_dir):
            was_seen = True
            unseen_since = deadline.elapsed()
            found = probe.check_local(settings, min(PROBE_SECONDS, deadline.remaining()) or 0.01)
            if found.verdict == probe.REACHABLE and not found.mismatch \
                    and control.server_processes(settings.db_data_dir):
                return _started(True, found.reason or 'the database accepts connections', how,
                                found)
        elif was_seen or deadline.elapsed() - unseen_since > APPEAR_SECONDS:
            return Started(False, explain('the database ended while it was starting%s'
                                          % _who_else(settings, found)), how)
        foreign_since = (foreign_since or deadline.elapsed()) if found.mismatch else None
        if foreign_since and deadline.elapsed() - foreign_since > FOREIGN_SECONDS:
            return Started(False, explain(found.mismatch), how)
        if deadline.is_over():
            return _started(False, explain(
                'the database does not accept connections after %.3g s (%s: %s)' % (
                    deadline.limit, found.verdict, found.mismatch or found.reason)), how, found)
        deadline.sleep(POLL_SECONDS)


def _who_else(settings: DatabaseSettings, found: probe.Found) -> str:
    """What to add where the started server is gone and another one answers in its place."""
    if found.mismatch:
        return ' (%s)' % found.mismatch
    seen = identity.look(settings, LOOK_SECONDS)
    return ' (%s)' % seen.text if seen.is_there else ''


def log_path(settings: DatabaseSettings) -> str:
    """Return the file that a server started by AHM writes its first lines to."""
    return os.path.join(settings.work_dir, 'ahm_database_%d.log' % settings.db_port)


def start_arguments(settings: DatabaseSettings, program: str) -> List[str]:
    """Return the argument vector of pg_ctl that starts the server."""
    config_dir = settings.db_config_dir or settings.db_data_dir
    argv = [program, 'start', '-W', '-s', '-D', config_dir]
    if os.path.realpath(config_dir) != os.path.realpath(settings.db_data_dir):
        # pg_ctl hands -o to a shell.
        argv += ['-o', '-c ' + shlex.quote('data_directory=' + settings.db_data_dir)]
    return argv


def _run(settings: DatabaseSettings, limit: float, log: IO[bytes]) -> programs.Outcome:
    user = control.as_owner(settings.db_data_dir)
    if settings.db_start_command:
        return programs.run(settings.db_start_command, limit, output_file=log)
    program = control.pg_ctl(settings)
    if program is None:
        return programs.Outcome(False, None, False, '', 'found neither ag_ctl nor pg_ctl in %s; '
                                'set db_bin_dir' % (settings.db_bin_dir or 'PATH'))
    return programs.run(start_arguments(settings, program), limit, user, output_file=log)


def _open_log(settings: DatabaseSettings) -> IO[bytes]:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    number = os.open(log_path(settings), flags, 0o600)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(number)
        raise OSError(1, 'it is not a plain file of the user AHM runs as; remove it')
    return os.fdopen(number, 'r+b', buffering=0)


def _with_log(reason: str, log: IO[bytes], began_at: int) -> str:
    """Return `reason` with the last lines that were logged since `began_at`."""
    end = log.seek(0, os.SEEK_END)
    log.seek(max(began_at, end - LOG_TAIL))
    lines = [line.strip() for line in log.read(LOG_TAIL).decode('utf-8', 'replace').splitlines()]
    said = ' | '.join(line for line in lines[-4:] if line)
    return '%s: %s' % (reason, said[-600:]) if said else reason


def _started(ok: bool, reason: str, how: str, found: probe.Found) -> Started:
    return Started(ok, reason, how, found.verdict, found.in_recovery)
