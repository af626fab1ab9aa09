"""Whether the standby beside this node streams from a given primary, and why it does not.

Two witnesses: the standby's walreceiver says where it is connected and which timeline it receives,
and the primary says who is connected to it, by application_name.  "streaming" alone proves little:
the walreceiver of a diverged server streams what both have, up to the switch point, again and
again.  It never receives the primary's present timeline, though, so that is what is asked for.
"""
import socket
from typing import Any, List, NamedTuple, Optional, Set

from ahmlib.database import conninfo, control, settings_in_force, start
from ahmlib.database.connection import Arguments, Connection, ConnectionFailed, QueryFailed
from ahmlib.database.conninfo import Upstream
from ahmlib.database.history import Position, Primary
from ahmlib.database.settings import DatabaseSettings

LOG_MAX = 20000                         # bytes of the server's log that are looked at
SAID_MAX = 600
DEFAULT_PORT = 5432

#: As JSON, for PostgreSQL 10 has neither sender_host nor sender_port.
RECEIVER = 'SELECT to_jsonb(receiver) FROM pg_stat_wal_receiver AS receiver'
# The state is hidden from a user without pg_monitor; the name is not.
SENDER = """SELECT count(*) FROM pg_stat_replication WHERE application_name = %s
               AND coalesce(state, 'streaming') IN ('streaming', 'catchup')"""
# Whether the WAL file of a position is older than all that the primary still has.
OLDEST = """SELECT pg_size_bytes(current_setting('wal_segment_size')), min(right(name, 16))
              FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"""

SLOTS = 'SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s'

REMOVED = ('the primary has removed WAL that this server still needs, so it can never catch up: '
           'rebuild it')
TORN = ('its WAL ends within a record, and what follows it on the primary\'s timeline is not to be '
        'had by streaming: rebuild it')
#: What a server's log says, what it means, and whether waiting can help.
CAUSES = (
    ('PANIC:  could not open file "pg_wal/', TORN, False),
    ('has already been removed', REMOVED, False),
    ('no pg_hba.conf entry', 'pg_hba.conf of the primary has no replication entry for this host '
     'and user: add one and reload the primary', False),
    ('password authentication failed', 'the primary does not accept the password of the '
     'replication user: see primary_conninfo, or .pgpass of the owner of the database', False),
    ('no password supplied', 'the primary asks for a password of the replication user, and there '
     'is none in primary_conninfo or .pgpass of the owner of the database', False),
    ('must be superuser or replication role', 'the replication user lacks the attribute '
     'REPLICATION on the primary', False),
    ('permission denied to start WAL sender', 'the replication user lacks the attribute '
     'REPLICATION on the primary', False),
    ('replication slot', 'the replication slot of primary_slot_name is missing on the primary, or '
     'in use: create it there (pg_create_physical_replication_slot), or unset primary_slot_name',
     True),
    ('number of requested standby connections exceeds', 'max_wal_senders of the primary is '
     'reached', True),
    ('database system identifier differs', 'the primary belongs to another database system: '
     'rebuild this server', False),
    ('requested timeline', 'recovery_target_timeline or a base backup of another history keeps it '
     'from the timeline of the primary', True),
)
#: How an entry begins that a server writes of a client of its own which it refuses.
TO_A_CLIENT = (
    'no pg_hba.conf entry', 'pg_hba.conf rejects', 'password authentication failed',
    'must be superuser or replication role', 'permission denied to start WAL sender',
    'number of requested standby connections exceeds', 'replication slot "',
    'requested WAL segment', 'requested starting point')


class Cause:
    """Why a standby does not stream, as far as its log tells it."""

    def __init__(self, meanings: List[str], said: List[str], is_final: bool) -> None:
        self.meanings, self.said, self.is_final = meanings, said, is_final

    def __str__(self) -> str:
        return '; '.join(self.meanings + self.said)[:SAID_MAX] or 'see the log of the database'


class Receiver(NamedTuple):
    """A row of pg_stat_wal_receiver; all None where it is hidden from us."""

    status: Optional[str] = None
    received_tli: Optional[int] = None
    conninfo: Optional[str] = None
    sender_host: Optional[str] = None
    sender_port: Optional[int] = None


def receiver(settings: DatabaseSettings, limit: float) -> Optional[Receiver]:
    """Return the Receiver of this standby; None where there is none, or no answer."""
    try:
        with Connection(conninfo.local_conn_string(settings), limit) as connection:
            row = connection.value(RECEIVER)
    except (ConnectionFailed, QueryFailed):
        return None
    return Receiver(*(row.get(name) for name in Receiver._fields)) if row else None


def is_of(row: Optional[Receiver], wanted: Optional[Upstream], timeline: int) -> Optional[bool]:
    """Whether this walreceiver streams this timeline from there; None where it is hidden from us.

    `wanted` is what conninfo.upstream says of the primary_conninfo that is to be in force; None: it
    is not known how that is spelt, and the timeline has to tell.
    """
    if row is None:
        return False
    if row.status is None:
        return None
    told = conninfo.upstream(row.conninfo) or Upstream(None, None, None)
    host = row.sender_host or told.host
    port = row.sender_port or told.port or DEFAULT_PORT
    is_streaming = row.status == 'streaming' and row.received_tli == timeline
    return is_streaming and (wanted is None or (
        told.application_name == wanted.application_name
        and port == (wanted.port or DEFAULT_PORT) and is_same_host(host, wanted.host)))


def streams(settings: DatabaseSettings, host: str, port: Optional[int], wanted: Optional[Upstream],
            primary: Primary, here: Position, limit: float) -> bool:
    """Whether both the walreceiver and the primary say that it streams what is now written.

    `wanted` as in is_of, `primary` a history.Primary, `here` what history.position says.
    """
    is_streaming = is_of(receiver(settings, limit), wanted, primary.timeline)
    if is_streaming is False:
        return False
    name = wanted and wanted.application_name or settings.node_name
    seen = is_seen_by_primary(settings, host, port, name, limit)
    if is_streaming is None:                # hidden from this user: the primary has to say it
        return bool(seen or not wanted) and here[0] == primary.timeline
    return seen is not False or not wanted


def is_seen_by_primary(settings: DatabaseSettings, host: str, port: Optional[int], name: str,
                       limit: float) -> Optional[bool]:
    """Whether a standby of this application_name is connected to the primary; None: not seen."""
    try:
        with Connection(conninfo.remote_conn_string(settings, host, port), limit) as connection:
            return connection.value(SENDER, (name,)) > 0
    except (ConnectionFailed, QueryFailed):
        return None


def refusal(conn_string: str, limit: float) -> str:
    """Return why the primary refuses the replication connection of a standby; '' if it does not."""
    said = refused(conn_string, limit)
    known = [meaning for words, meaning, _ in CAUSES if words in said]
    return '; '.join(known[:1] + [said])


def refused(conn_string: str, limit: float) -> str:
    """Return what is said to a replication connection that gets no answer; '' if it gets one."""
    try:
        with Connection(conn_string, limit) as connection:
            connection.query('IDENTIFY_SYSTEM')
    except (ConnectionFailed, QueryFailed) as error:
        return str(error)
    return ''


def obstacle(settings: DatabaseSettings, host: str, port: Optional[int], lsn: int,
             limit: float) -> str:
    """Return why this standby at `lsn` cannot stream, as the primary itself shows it; '' if not.

    So it is known wherever the server writes its log, and in whatever language.
    """
    try:
        slot = settings_in_force.primary_slot_name(settings, limit)
    except (OSError, ValueError):
        slot = ''                               # not known; the log may tell
    there = conninfo.remote_conn_string(settings, host, port)
    if slot and _value(there, SLOTS, (slot,), limit) == 0:
        return ('the replication slot "%s" of primary_slot_name is missing on the primary: create '
                "it there (SELECT pg_create_physical_replication_slot('%s')), or unset "
                'primary_slot_name' % (slot, slot))
    return REMOVED if _is_removed(there, lsn, limit) else ''


def _is_removed(there: str, lsn: int, limit: float) -> Optional[bool]:
    """Whether the primary has removed the WAL at `lsn`; None where it does not tell db_user."""
    try:
        with Connection(there, limit) as connection:
            size, oldest = connection.query(OLDEST)[0]
    except (ConnectionFailed, QueryFailed):
        return None
    if not oldest:
        return None
    number = int(oldest[:8], 16) * (0x100000000 // size) + int(oldest[8:], 16)
    return lsn // size < number


def _value(conn_string: str, sql: str, arguments: Arguments, limit: float) -> Any:
    """The only value of `sql`; None where it cannot be had."""
    try:
        with Connection(conn_string, limit) as connection:
            return connection.value(sql, arguments)
    except (ConnectionFailed, QueryFailed):
        return None


def is_same_host(one: Optional[str], other: Optional[str]) -> bool:
    """Whether two names or addresses are one host, as far as the resolver knows."""
    if one == other:
        return True
    if not one or not other:
        return False
    return bool(_addresses(one) & _addresses(other))


def log_size(settings: DatabaseSettings) -> int:
    """Return how long the log of a server that AHM started is now; 0 where there is none."""
    try:
        with open(start.log_path(settings), 'rb') as file:
            return file.seek(0, 2)
    except OSError:
        return 0


def causes(settings: DatabaseSettings, log_at: int) -> Cause:
    """Return the Cause that the server's log gives from `log_at` on.

    Nothing is found where the server writes its log elsewhere (logging_collector), and no meaning
    where it does not speak English; the last lines are told all the same.
    """
    try:
        with open(start.log_path(settings), 'rb') as file:
            end = file.seek(0, 2)
            file.seek(max(log_at, end - LOG_MAX))
            text = file.read().decode('utf-8', 'replace')
    except OSError:
        text = ''
    lines = [line for line in _entries(text) if not _is_to_a_client(line)]
    known = [(meaning, waits) for words, meaning, waits in CAUSES
             if any(words in line for line in lines)]
    grave = [line for line in lines if 'FATAL' in line or 'ERROR' in line]
    # Whoever asks while the server panics is refused with a FATAL, which says nothing.
    grave += [line for line in lines if 'PANIC' in line]
    return Cause([meaning for meaning, _ in known], grave[-1:] or lines[-2:],
                 any(not waits for _, waits in known))


def _entries(text: str) -> List[str]:
    """The entries of a log, one line each: what goes on in a new line begins with a tab there."""
    return [line.strip() for line in text.replace('\n\t', ' ').splitlines() if line.strip()]


def _is_to_a_client(entry: str) -> bool:
    """Whether this server refused somebody else in this entry, a standby of its own, or AHM, say.

    The words are those with which the primary refuses; those come behind "could not connect to the
    primary server: " or the like.
    """
    _, severity, said = min((entry.partition(word) for word in ('FATAL:  ', 'ERROR:  ')),
                            key=lambda parts: len(parts[0]))
    return bool(severity) and said.startswith(TO_A_CLIENT)


def progress(settings: DatabaseSettings) -> Optional[bytes]:
    """Return something that changes while the server replays WAL and answers nobody yet."""
    for process in control.server_processes(settings.db_data_dir):
        if control.is_startup_process(process.pid):
            return control.title(process.pid)
    return None


def _addresses(host: str) -> Set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()
