"""Making the standby beside this node follow a new primary, seen to stream from it.

The recovery settings are written (recovery.py), and put into force in the mildest way there is:

    the server does not run     written only: a later start makes a standby of that primary
    it runs in recovery         reload where that suffices (primary_conninfo from PostgreSQL 13
                                on), else restart, once
    it runs as a primary        refused: whoever wants that must stop it first

"In force" is not assumed: a new connection must show that the server has read the file again,
and, where AHM's user may see it, that the setting is the new one.  Nor does that suffice: it has
to stream (follow_stream.py).  The slot that it uses is made on the primary first (slots.py).
"""
import os
import signal
from typing import Any, NamedTuple, Optional, Tuple

from ahmlib.database import (
    conninfo,
    control,
    control_file,
    follow_stream,
    history,
    probe,
    recovery,
    settings_in_force,
    slots,
    start,
    stop,
    streaming,
)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline
from ahmlib.process.programs import Environment

POLL_SECONDS = 0.02
#: A server that answers nobody for so long: a login that is refused is not waited for.
UNSEEN_SECONDS = 10.0
ASK_SECONDS = 5.0
FIRST_VERSION_THAT_RELOADS = 130000

CONTEXT = "SELECT context FROM pg_settings WHERE name = 'primary_conninfo'"
LOADED = 'SELECT extract(epoch FROM pg_conf_load_time())::float8'
STARTED = 'SELECT extract(epoch FROM pg_postmaster_start_time())::float8'


class Followed(NamedTuple):
    """Whether the standby follows, and how it came to that."""

    ok: bool                # it streams, or replays first what it has; one that is down will
    reason: str
    #: 'reloaded', 'restarted', 'unchanged', 'written' or 'command'; '' where it was refused.
    how: str
    remark: str = ''        # what people should know, where it is ok
    diverged: bool = False  # its history is not the primary's


class Pointed(NamedTuple):
    """Whether the standby is set to follow, which is not yet to stream."""

    ok: bool
    reason: str
    how: str                # as in Followed
    slot_problem: str = ''  # why the slot that it uses cannot be made


def follow_primary(settings: DatabaseSettings, host: str, port: Optional[int], limit: float,
                   environment: Optional[Environment] = None) -> Followed:
    """Make the server of db_data_dir a standby of `host`:`port`, within `limit` seconds.

    follow_command, where set, does it all instead, with the hook's `environment` added.
    """
    deadline = Deadline(limit)
    was_running = bool(control.server_processes(settings.db_data_dir))
    log_at = streaming.log_size(settings)
    done = point(settings, host, port, limit, environment)
    if not done.ok or not was_running or done.how == 'written':
        return Followed(done.ok, done.reason, done.how, done.slot_problem if done.ok else '')
    seen = follow_stream.await_stream(settings, host, port, deadline, done.how, log_at)
    if not seen.ok:
        return Followed(False, _joined(done.slot_problem, seen.reason), done.how,
                        diverged=seen.diverged)
    stale = without_stale_slots(settings, host, port, _limit(settings, deadline))
    return Followed(True, '%s; %s' % (done.how, seen.reason), done.how,
                    _joined(seen.remark, stale))


def _joined(*texts: str) -> str:
    return '; '.join(text for text in texts if text)


def point(settings: DatabaseSettings, host: str, port: Optional[int], limit: float,
          environment: Optional[Environment] = None) -> Pointed:
    """Do what follow_primary does, but for seeing it stream."""
    deadline = Deadline(limit)
    if settings.follow_command:
        outcome = programs.run(settings.follow_command, limit, environment=environment)
        if not outcome.ok or not control.server_processes(settings.db_data_dir):
            return Pointed(outcome.ok, outcome.reason, 'command')
        return Pointed(True, outcome.reason, 'command',
                       make_slot(settings, host, port, _limit(settings, deadline)))
    state, refusal = _state(settings, deadline)
    if refusal:
        return Pointed(False, refusal, '')
    # Before it is asked for: who finds none tries again only after wal_retrieve_retry_interval.
    slot_problem = make_slot(settings, host, port, _limit(settings, deadline))
    if state == 'stopped':
        return _write_for_later(settings, host, port)._replace(slot_problem=slot_problem)
    loaded_at = _ask(settings, deadline, LOADED)
    written = recovery.write_primary(settings, host, port)
    if not written.ok:
        return Pointed(False, written.reason, '')
    return _put_into_force(settings, deadline, loaded_at, written.changed)._replace(
        slot_problem=slot_problem)


def make_slot(settings: DatabaseSettings, host: str, port: Optional[int], limit: float) -> str:
    """Have the slot that this standby uses on that primary; returns '' or why it is not there."""
    try:
        name = settings_in_force.primary_slot_name(settings, limit / 3)
        if not name:
            return ''
        text = recovery.new_conninfo(settings_in_force.primary_conninfo(settings, limit / 3),
                                     settings, host, port)
    except (OSError, ValueError) as error:
        return str(error)
    return slots.ensure(name, settings.node_name, history.replication_string(settings, text),
                        conninfo.remote_conn_string(settings, host, port), limit)


def without_stale_slots(settings: DatabaseSettings, host: str, port: Optional[int],
                        limit: float) -> str:
    """Drop the slots that this standby kept as a primary; returns what to say of slots, or ''."""
    try:
        own = settings_in_force.primary_slot_name(settings, limit / 3)
    except (OSError, ValueError):
        own = ''                        # not known: a slot of that name is said, and not dropped
    names = slots.names_of_the_cluster(
        settings, own, conninfo.remote_conn_string(settings, host, port), limit / 3)
    return slots.drop_stale(conninfo.local_conn_string(settings), names, limit / 3)


def _put_into_force(settings: DatabaseSettings, deadline: Deadline, loaded_at: Optional[float],
                    is_changed: bool) -> Pointed:
    """Reload or restart, whichever the settings need that are on file now."""
    wrong = settings_in_force.obstructing(settings, _limit(settings, deadline))
    is_reloadable = _is_reloadable(settings, deadline)
    if is_reloadable and not wrong:
        return _reload(settings, deadline, loaded_at)
    # A restart costs what readers do and the position received, so it is done once.
    if not is_changed and _is_started_since(settings, deadline):
        done = _verified(settings, deadline, 'unchanged')
    elif any(each.place == settings_in_force.COMMAND_LINE for each in (wrong or {}).values()):
        done = _reload(settings, deadline, loaded_at) if is_reloadable else \
            _restart(settings, deadline)
    else:
        done = _restart(settings, deadline)
    wrong = settings_in_force.obstructing(settings, _limit(settings, deadline))
    if not done.ok or not wrong:
        return done
    name, found = sorted(wrong.items())[0]
    return Pointed(False, 'the database still has %s = %s, so it does not replay all that the '
                   'primary writes: it is set in %s, take it out there and restart the database'
                   % (name, found.value, found.place or 'its configuration'), done.how)


def _is_started_since(settings: DatabaseSettings, deadline: Deadline) -> bool:
    """Whether the server was started after its recovery settings were last written."""
    started_at = _ask(settings, deadline, STARTED)
    version = control.data_directory_version(settings.db_data_dir)
    try:
        written_at = os.stat(recovery.own_file(settings, version)).st_mtime
    except OSError:
        return False
    return started_at is not None and written_at < started_at


def _limit(settings: DatabaseSettings, deadline: Deadline) -> float:
    return max(0.5, min(ASK_SECONDS, settings.db_connect_timeout, deadline.remaining()))


def _state(settings: DatabaseSettings, deadline: Deadline) -> Tuple[Optional[str], str]:
    """Return ('stopped' or 'standby', ''), or (None, why we keep our hands off)."""
    if not control.server_processes(settings.db_data_dir):
        return 'stopped', ''
    limit = max(0.1, min(settings.db_connect_timeout, deadline.remaining() / 2))
    in_recovery = probe.check_local(settings, limit).in_recovery
    if in_recovery is None:
        # It does not answer us: its control file still says which of the two it is.
        state = control_file.state(settings.db_data_dir)
        in_recovery = {'in archive recovery': True, 'in production': False}.get(state)
    if in_recovery is None:
        return None, ('the database runs but does not say whether it is a standby; '
                      'wait until it answers')
    if not in_recovery:
        return None, 'the database runs as a primary; stop it before it can follow another one'
    return 'standby', ''


def _write_for_later(settings: DatabaseSettings, host: str, port: Optional[int]) -> Pointed:
    signal_left = recovery.leave_standby_signal(settings)
    written = recovery.write_primary(settings, host, port) if signal_left.ok else signal_left
    return Pointed(written.ok, written.reason or 'written; the database does not run', 'written')


def _is_reloadable(settings: DatabaseSettings, deadline: Deadline) -> bool:
    context = _ask(settings, deadline, CONTEXT)
    if context is not None:
        return context == 'sighup'
    # The row is hidden from a user without pg_read_all_settings; the version still tells.
    version = _ask(settings, deadline, "SELECT current_setting('server_version_num')::int")
    if version is None:
        version = control.data_directory_version(settings.db_data_dir) * 10000
    return version >= FIRST_VERSION_THAT_RELOADS


def _reload(settings: DatabaseSettings, deadline: Deadline, loaded_at: Optional[float]) -> Pointed:
    pid = control.postmaster(settings.db_data_dir)
    if pid is None:
        return Pointed(False, 'the database ended before it could be reloaded', 'reloaded')
    os.kill(pid, signal.SIGHUP)                 # what pg_ctl reload does, without its waiting
    answered_at = deadline.elapsed()
    while True:
        try:
            now_loaded_at = _value(settings, deadline, LOADED)
            answered_at = deadline.elapsed()
        except (ConnectionFailed, QueryFailed) as failure:
            now_loaded_at = None
            if deadline.elapsed() > answered_at + UNSEEN_SECONDS:
                return Pointed(False, 'the database was told to reload its settings; whether it '
                               'did cannot be seen: %s' % failure, 'reloaded')
        if now_loaded_at is not None and now_loaded_at != loaded_at:
            return _verified(settings, deadline, 'reloaded')
        if deadline.is_over() or control.postmaster(settings.db_data_dir) is None:
            return Pointed(False, 'the database did not reload its settings within %.3g s'
                           % deadline.limit, 'reloaded')
        deadline.sleep(POLL_SECONDS)


def _restart(settings: DatabaseSettings, deadline: Deadline) -> Pointed:
    """Stop (fast), wait standby_startup_delay, start; or db_restart_command."""
    left = recovery.leave_standby_signal(settings)
    if not left.ok:
        return Pointed(False, left.reason, 'restarted')
    if settings.db_restart_command:
        outcome = programs.run(settings.db_restart_command, deadline.remaining())
        if not outcome.ok:
            return Pointed(False, 'db_restart_command: ' + outcome.reason, 'restarted')
        started = start.await_connections(settings, deadline, 'command', None)
    else:
        stopped = stop.stop_database(settings, stop.FAST, deadline.remaining() / 2)
        if not stopped.ok:
            return Pointed(False, stopped.reason, 'restarted')
        deadline.sleep(settings.standby_startup_delay)
        started = start.start_database(settings, deadline.remaining())
    if not started.ok:
        return Pointed(False, started.reason, 'restarted')
    return _verified(settings, deadline, 'restarted')


def _verified(settings: DatabaseSettings, deadline: Deadline, how: str) -> Pointed:
    """The result: ok unless the server shows another primary_conninfo than the file's."""
    shown = (settings_in_force.of_server(settings, _limit(settings, deadline)) or {}).get(
        'primary_conninfo')
    wanted = recovery.conninfo_written(settings)
    if shown is not None and shown.value != wanted:
        return Pointed(False, 'the database still follows %s: primary_conninfo is set in %s too, '
                       'take it out there and restart the database' % (
                           _place(shown.value), shown.place or 'another place'), how)
    return Pointed(True, '%s; follows %s' % (how, _place(wanted)), how)


def _place(text: Optional[str]) -> str:
    found = conninfo.upstream(text) or conninfo.Upstream(None, None, None)
    return '%s:%s' % (found.host, found.port)


def _ask(settings: DatabaseSettings, deadline: Deadline, sql: str) -> Any:
    """The only value of `sql` on a new connection; None where it cannot be had."""
    try:
        return _value(settings, deadline, sql)
    except (ConnectionFailed, QueryFailed):
        return None


def _value(settings: DatabaseSettings, deadline: Deadline, sql: str) -> Any:
    limit = max(0.05, min(settings.db_connect_timeout, deadline.remaining()))
    with Connection(conninfo.local_conn_string(settings), limit) as connection:
        return connection.value(sql)

