"""What a handover will need of the servers, tried while all is well.

The primary that hands over orders a CHECKPOINT, and is a standby of the server that takes its place
from then on.  A pg_hba.conf that lets in only the standbys of today, and a replication user with
another password there, are found by nobody before that day.  So this asks for what a standby asks
for, as the user that the standby will be, and lets go at once.
"""
import os
import time
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.database import (
    archiver,
    conninfo,
    history,
    probe,
    recovery,
    settings_in_force,
    startup,
    streaming,
)
from ahmlib.database.connection import APPLICATION_NAME, Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline

Servers = Sequence[Tuple[int, str, Optional[int]]]      # (place, host, port)

#: In what libpq says, where a server has refused it or asks for more than there is.
OF_SERVER = ('FATAL', 'no password supplied')
TRIES = 2
#: Of two WAL files.
ROOM_BYTES = 2 * 16 * 1024 * 1024
#: A WAL file that has waited for so long to be archived is late.
LATE_SECONDS = 300.0
FIRST_VERSION_WITH_ROLE = 150000        # pg_checkpoint

MAY_CHECKPOINT = "SELECT rolsuper, quote_ident(rolname) FROM pg_roles WHERE rolname = session_user"
HAS_ROLE = "SELECT pg_has_role(session_user, 'pg_checkpoint', 'USAGE')"
ARCHIVER = """SELECT failed_count, last_failed_wal FROM pg_stat_archiver
               WHERE last_failed_time > coalesce(last_archived_time, '-infinity')
                 AND current_setting('archive_mode') <> 'off'"""


class Rehearsed(NamedTuple):
    """What a handover would lack; a sentence each, '' where it lacks nothing."""

    ok: bool                # False, with a reason: the server here does not answer
    reason: str = ''
    #: The (place, why it would not let this one in as a standby) of the servers that said.  Who is
    #: down, starts, or cannot be asked as a standby would is not in it.
    asked: Tuple[Tuple[int, str], ...] = ()
    #: Why a CHECKPOINT may not be ordered here: the user of conn_string lacks the right, or the
    #: disk of a primary the room.
    no_checkpoint: str = ''
    no_start: str = ''      # why AHM could not start this server again, as far as that shows
    unarchived: str = ''    # of a primary, what its archiver fails to do


def rehearse_handover(settings: DatabaseSettings, servers: Servers, limit: float) -> Rehearsed:
    """Return the Rehearsed of a handover to any of these servers, within `limit` seconds.

    servers: [(place, host, port)] of the other nodes.
    """
    deadline = Deadline(limit)
    try:
        with Connection(conninfo.local_conn_string(settings), limit) as connection:
            in_recovery, version = connection.query(
                "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int")[0]
            found = Rehearsed(
                True, no_checkpoint=_no_checkpoint(connection, version)
                or ('' if in_recovery else _no_room(settings)),
                no_start=_no_start(settings, connection),
                unarchived='' if in_recovery else _unarchived(settings, connection))
    except (ConnectionFailed, QueryFailed) as error:
        return Rehearsed(False, str(error))
    return found._replace(asked=tuple(_ask_all(settings, servers, deadline)))


def _ask_all(settings: DatabaseSettings, servers: Servers,
             deadline: Deadline) -> List[Tuple[int, str]]:
    try:
        existing = settings_in_force.primary_conninfo(settings, deadline.remaining())
        texts = [(place, recovery.new_conninfo(existing, settings, host, port))
                 for place, host, port in servers]
    except (OSError, ValueError):
        return []                       # what this one would say to them is not known
    found = []
    for number, (place, text) in enumerate(texts):
        why = _refusal(settings, text, deadline.remaining() / (len(texts) - number))
        if why is not None:
            found.append((place, why))
    return found


def _no_checkpoint(connection: Connection, version: int) -> str:
    is_superuser, name = connection.query(MAY_CHECKPOINT)[0]
    if is_superuser or version >= FIRST_VERSION_WITH_ROLE and connection.value(HAS_ROLE):
        return ''
    return '%s, as whom AHM connects, may not run CHECKPOINT: %s' % (
        name, 'GRANT pg_checkpoint TO %s' % name
        if version >= FIRST_VERSION_WITH_ROLE else 'before PostgreSQL 15 only a superuser may')


def _no_room(settings: DatabaseSettings) -> str:
    """A server whose WAL finds no room panics, and a checkpoint writes WAL."""
    for place in ('pg_wal', 'pg_xlog'):
        try:
            found = os.statvfs(os.path.join(settings.db_data_dir, place))
        except OSError:
            continue                    # another version, or not for this user to see
        left = found.f_bavail * found.f_frsize
        return '' if left >= ROOM_BYTES else (
            'the disk of its WAL has %d MB left, and a checkpoint may crash it: make room, or stop '
            'that database, and AHM fails over' % (left >> 20))
    return ''


def _no_start(settings: DatabaseSettings, connection: Connection) -> str:
    """Where its postgresql.conf is in another directory than the one that AHM starts it with.

    Debian keeps it in /etc.  Who may not see where it is, is not told.
    """
    if settings.db_start_command:
        return ''
    rows = connection.query("SELECT setting FROM pg_settings WHERE name = 'config_file'")
    directory = settings.db_config_dir or settings.db_data_dir
    if not rows or not directory or os.path.realpath(os.path.dirname(rows[0][0])) \
            == os.path.realpath(directory):
        return ''
    return 'AHM would start this database with %s, and it was started with %s: set ' \
        'db_config_dir' % (directory, os.path.dirname(rows[0][0]))


def _unarchived(settings: DatabaseSettings, connection: Connection) -> str:
    """What the archiver fails to do: its command fails, or a file waits for too long."""
    waiting = archiver.waiting_since(settings.db_data_dir)
    failing = connection.query(ARCHIVER)
    if failing:
        return 'archive_command fails (%d times so far, last for %s), and %d WAL files wait for ' \
            'it: see the log of the database' % (failing[0][0], failing[0][1], len(waiting))
    if waiting and time.time() > waiting[0] + LATE_SECONDS:
        return 'archive_command does not keep up: a WAL file has waited for it for %.0f min, and ' \
            '%d wait: see what it does' % ((time.time() - waiting[0]) / 60, len(waiting))
    return ''


def _refusal(settings: DatabaseSettings, text: str, limit: float) -> Optional[str]:
    """Why the server of this primary_conninfo would not let a standby in, '' where it would.

    None where that is not known.  Only what the server itself says is a refusal: a time-out, a
    file of TLS that only the owner of the database has, or a word that this libpq does not know,
    says nothing of the walreceiver.
    """
    words = conninfo.parse(text)
    # Nobody is to take it for the standby, neither in pg_stat_replication nor in a log.
    conn_string = history.replication_string(
        settings, conninfo.build(dict(words, application_name=APPLICATION_NAME)))
    for _ in range(TRIES):              # it may start, or be stopped, this moment
        said = streaming.refused(conn_string, limit / TRIES / 2)
        if not said:
            return ''
        answer = startup.ask(words['host'], int(words['port']),
                             words.get('user') or settings.db_user, settings.db_database,
                             limit / TRIES / 2, replication=True)
        if not answer.answered or probe.verdict_of(answer.sqlstate) != probe.REACHABLE:
            return None
    is_of_server = answer.sqlstate and answer.message in said or any(
        word in said for word in OF_SERVER)
    return said if is_of_server else None
