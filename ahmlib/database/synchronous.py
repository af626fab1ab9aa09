"""Setting what the commits of the server beside this node wait for, seen in force.

synchronous_standby_names is written to postgresql.auto.conf, which is read last, as the owner of
the file: ALTER SYSTEM may be forbidden (allow_alter_system, PostgreSQL 17).  Then the server reads
its files again.

The setting is in force once nobody acts by the one before.  A new connection that shows it was
forked after the postmaster had told all its processes; a walsender or the checkpointer that was
just busy reads the files a moment later, and could still release a commit by the old setting.  So
it is looked at twice, SETTLE_SECONDS apart, and the position of the primary is read after that.

An order must not be carried out for a daemon that is gone: its successor decides anew.  So this
process is killed with its daemon, and holds a lock, which the next order waits for.  What was
written and not put into force by then is written anew by the next order.

Sources: src/backend/replication/syncrep.c and walsender.c; PostgreSQL's manual, "Synchronous
Replication" and "Setting Parameters".
"""
import contextlib
import fcntl
import os
import signal
from typing import Any, Iterator, NamedTuple, Optional, Sequence

from ahmlib.database import conffile, conninfo, control, settings_in_force, sync_names
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

PARAMETER = 'synchronous_standby_names'
LOCK_FILE = 'synchronous.lock'
SETTLE_SECONDS = 1.0
POLL_SECONDS = 0.02
#: Of one connection and what is asked on it.
ASK_SECONDS = 2.0

#: In force, whether it is a standby, whether db_user sees who replicates, and the position.
LOOK = """
    SELECT current_setting('synchronous_standby_names'), pg_is_in_recovery(),
           pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
           CASE WHEN pg_is_in_recovery() THEN 0
                ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END"""


class Look(NamedTuple):
    """How the server stands, as a new connection shows it."""

    value: str
    in_recovery: bool
    sees_standbys: bool
    lsn: int                    # of what is on its disk; 0 in recovery


class Waits(NamedTuple):
    """Whether commits wait for what was asked for, and why not."""

    ok: bool
    reason: str = ''
    lsn: int = 0                # the primary's own position once that was so; 0 of a standby


class _Failed(Exception):
    """It cannot be done; the text is the reason."""


def value_of(needed: int, names: Sequence[str]) -> str:
    """The text of the setting with which `needed` of these names confirm each commit.

    Quoted, a name means itself alone, whatever it is, but for `*`, which is no node's.
    """
    if not needed:
        return ''
    return 'ANY %d (%s)' % (needed, ', '.join(
        '"%s"' % name.replace('"', '""') for name in names))


def set_synchronous(settings: DatabaseSettings, needed: int, names: Sequence[str], parent: int,
                    limit: float) -> Waits:
    """Let commits wait for `needed` of `names`, none: for nobody, within `limit` seconds.

    `parent`: the PID of the daemon, whose end is the end of this process.  On a standby the setting
    counts once it is promoted.  db_user has to see who replicates (pg_monitor, or a superuser).
    """
    programs.end_with(parent)
    deadline, value = Deadline(limit), value_of(needed, names)
    try:
        with _alone(settings, deadline):
            _refuse(settings, _look(settings, deadline))
            _write(settings, value)
            _reload(settings)
            return Waits(True, '', _in_force(settings, value, deadline))
    except (_Failed, ConnectionFailed, QueryFailed, control.Blind, ValueError) as error:
        return Waits(False, str(error))
    except OSError as error:
        return Waits(False, 'cannot write %s: %s' % (
            error.filename or settings.db_data_dir, error.strerror or error))


@contextlib.contextmanager
def _alone(settings: DatabaseSettings, deadline: Deadline) -> Iterator[None]:
    """Hold the lock of the orders of this node."""
    path = os.path.join(settings.work_dir, LOCK_FILE)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.is_over():
                    raise _Failed('an earlier order has not ended within %.3g s: its process '
                                  'holds %s' % (deadline.limit, path))
                deadline.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(number)


def _refuse(settings: DatabaseSettings, look: Look) -> None:
    """Raise _Failed where what is written would not count, or not be seen."""
    given = settings_in_force.command_line(settings.db_data_dir).get(PARAMETER)
    if given is not None:
        raise _Failed('%s is on the command line of the server, above all files: start the '
                      'database without it' % PARAMETER)
    if not look.sees_standbys:
        raise _Failed('%s may not see who replicates from this server: GRANT pg_monitor TO it'
                      % settings.db_user)


def _write(settings: DatabaseSettings, value: str) -> None:
    path = os.path.join(settings.db_data_dir, settings_in_force.AUTO_CONF)
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        text = conffile.read(path)
        if conffile.value_of(text, PARAMETER) != value:
            conffile.replace(path, conffile.with_values(text, {PARAMETER: value}))


def _reload(settings: DatabaseSettings) -> None:
    pid = control.postmaster(settings.db_data_dir)
    if pid is None:
        raise _Failed('the database ended before it could read its settings again')
    os.kill(pid, signal.SIGHUP)


def _in_force(settings: DatabaseSettings, value: str, deadline: Deadline) -> int:
    """Wait until nobody acts by another setting; the position after that."""
    look = _await(settings, value, deadline)
    if look.in_recovery:
        return 0
    if deadline.remaining() < SETTLE_SECONDS:
        raise _Failed('it was seen too late to know that nobody acts by the one before')
    deadline.sleep(SETTLE_SECONDS)
    again = _await(settings, value, deadline)
    if again.in_recovery:
        raise _Failed('the server is no primary any more')
    return again.lsn


def _await(settings: DatabaseSettings, value: str, deadline: Deadline) -> Look:
    wanted, reason = sync_names.parse(value), ''
    while True:
        try:
            look = _look(settings, deadline)
            if _parsed(look.value) == wanted:
                return look
            reason = 'it has %r in force' % look.value
        except (ConnectionFailed, QueryFailed) as failure:
            reason = str(failure)
        if deadline.is_over():
            raise _Failed('the server has not taken up %s = %r within %.3g s (%s): its log tells '
                          'of a mistake in its files' % (PARAMETER, value, deadline.limit, reason))
        deadline.sleep(POLL_SECONDS)


def _parsed(value: str) -> Optional[sync_names.SyncNames]:
    try:
        return sync_names.parse(value)
    except ValueError:
        return None


def _look(settings: DatabaseSettings, deadline: Deadline) -> Look:
    """What a new connection shows; raises ConnectionFailed, QueryFailed."""
    limit = max(0.1, min(ASK_SECONDS, settings.db_connect_timeout, deadline.remaining()))
    with Connection(conninfo.local_conn_string(settings), limit) as connection:
        row: Any = connection.query(LOOK)[0]
    return Look(str(row[0]), bool(row[1]), bool(row[2]), int(row[3]))
