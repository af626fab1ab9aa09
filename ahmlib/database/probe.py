"""Is a database there, and what does it say of itself?

A probe is always a new connection: a server that hangs keeps its old ones, and accepts new ones
without ever answering.  There are three verdicts:

    REACHABLE    a query answered, or the server refused *us* (too many clients, authentication,
                 no such role or database): it is alive, and somebody else may be writing to it
    STARTING     it says that it is starting up or shutting down (SQLSTATE class 57P)
    UNREACHABLE  refused, no route, no socket, a time-out: no answer of a PostgreSQL server

One REACHABLE stops a failover, so what is refused must be told from what is dead.  Where
psycopg2 gives no SQLSTATE (it never does for a connection that was refused), the startup packet
is said once more by hand (startup.py).

What the user that AHM connects as may not see is None, never a failure.
"""
import contextlib
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.database import (
    conninfo,
    identity,
    recovery,
    replay,
    slots,
    startup,
    sync_names,
    wal,
    wal_end,
)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed, Row
from ahmlib.database.conninfo import Upstream
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.wal import parse_lsn
from ahmlib.process.deadline import Deadline

REACHABLE, STARTING, UNREACHABLE = 'REACHABLE', 'STARTING', 'UNREACHABLE'

# admin_shutdown, crash_shutdown, cannot_connect_now.
STARTING_SQLSTATES = ('57P01', '57P02', '57P03')
STANDBYS_MAX = 100              # rows of pg_stat_replication that are passed on
NOT_STREAMING = ('startup', 'backup')   # states of a walsender that confirms nothing
WAL_SHARE = 0.6                 # of the time that is left, for reading WAL files
SECOND_LOOK_MIN = 0.2           # seconds that the startup packet gets in any case


class SyncStandby(NamedTuple):
    """A row of pg_stat_replication; None where it is hidden from us."""

    application_name: Optional[str]
    state: Optional[str]
    sync_state: Optional[str]


class Found(NamedTuple):
    """What a probe found.  None is what the server, or the user we are, does not tell."""

    verdict: str = UNREACHABLE          # one of the three
    reason: str = ''                    # one line, nothing secret; '' where a query answered
    answered: bool = False              # a query answered: what a health check asks for
    sqlstate: Optional[str] = None      # the server's code where it refused us
    in_recovery: Optional[bool] = None  # True on a standby
    system_identifier: Optional[str] = None
    #: A primary's own; on a standby the highest that it has received.
    timeline: Optional[int] = None
    #: A primary's insert position as written; of a standby the end of the WAL that it has on disk,
    #: received or not since its last start.
    lsn: Optional[int] = None
    lsn_known: bool = True              # False: a standby may have more than `lsn` says (wal_end)
    replayed_lsn: Optional[int] = None  # of a standby
    standstill: str = ''                # why its replay cannot go on by itself; '' where it can
    held: bool = False                  # whether its replay waits for a reader or a delay
    streaming: Optional[bool] = None    # whether a standby streams now
    upstream: Optional[Upstream] = None             # whom a standby is to follow
    server_version: Optional[int] = None            # e.g. 150003
    remark: str = ''                    # what people should know of it, e.g. of slots that keep WAL
    mismatch: str = ''                  # why this server is not that of db_data_dir (identity.py)
    #: How many of which names confirm a commit, or would on a standby, of
    #: synchronous_standby_names as the server runs it, connected or not.
    sync_needed: Optional[int] = None
    sync_names: Optional[Tuple[str, ...]] = None
    sync_standbys: Optional[Tuple[SyncStandby, ...]] = None         # of a primary
    #: The (application_name, address) of the standbys that a primary has; '' for a socket.
    sync_peers: Optional[Tuple[Tuple[str, str], ...]] = None
    #: The parameters that it takes at its next restart; None: not told.
    pending: Optional[Tuple[str, ...]] = None
    #: What its slots keep, for monitors: (name, bytes of WAL) each.
    slots: Optional[Tuple[Tuple[str, int], ...]] = None


def check_local(settings: DatabaseSettings, limit: float) -> Found:
    """Probe the database beside this node through conn_string, for at most `limit` seconds."""
    found = _probe(conninfo.local_conn_string(settings), limit, settings)
    if not found.in_recovery:
        return found
    return found._replace(timeline=_timeline_on_file(settings, found),
                          upstream=found.upstream or _upstream_on_file(settings))


def probe_remote(settings: DatabaseSettings, host: str, port: Optional[int], limit: float) -> Found:
    """Probe the database at `host`:`port` (port None: db_port) for at most `limit` seconds.

    It connects as db_user to db_database; a password comes from where libpq looks for one
    (PGPASSFILE, ~/.pgpass, the environment).  Returns what check_local does, but for what needs
    the files of a standby: `lsn` is what it has received, standstill and held are not looked at.
    """
    return _probe(conninfo.remote_conn_string(settings, host, port), limit)


def verdict_of(sqlstate: Optional[str]) -> str:
    """Return the verdict on a server that answered with an error of this SQLSTATE (or None)."""
    return STARTING if sqlstate in STARTING_SQLSTATES else REACHABLE


def _probe(conn_string: str, limit: float, local: Optional[DatabaseSettings] = None) -> Found:
    """`local` are the settings of the node whose database it is, where its files are here."""
    deadline = Deadline(limit)
    found = Found()
    try:
        with Connection(conn_string, limit) as connection:
            found = _describe(connection, local, deadline)
            if local is not None:
                found = found._replace(mismatch=identity.mismatch(local, connection))
    except ConnectionFailed as failure:
        if not found.answered:
            return _refusal(failure, conn_string, deadline)
    except QueryFailed as failure:
        found = found._replace(verdict=REACHABLE, reason=str(failure), sqlstate=failure.sqlstate)
    return found


def _describe(connection: Connection, local: Optional[DatabaseSettings],
              deadline: Deadline) -> Found:
    """What the server says; raises where the first query gets no answer."""
    in_recovery, version = connection.query(
        "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int")[0]
    found = Found(REACHABLE, answered=True, in_recovery=in_recovery, server_version=version)
    found = found._replace(system_identifier=_value(
        connection, 'SELECT system_identifier::text FROM pg_control_system()'))
    if in_recovery:
        found, received = _with_standby(connection, found)
        if local is not None:
            found = _with_replay(connection, found, received, local, deadline)
    else:
        found = _with_primary(connection, found)
    if local is not None:
        with contextlib.suppress(QueryFailed, ConnectionFailed):    # the answer counts without it
            kept = slots.keeping(connection)
            found = found._replace(remark=slots.remark(kept), slots=slots.retained(kept))
        rows = _rows(connection, 'SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1')
        found = found._replace(pending=None if rows is None else tuple(name for name, in rows))
    return found


def _with_primary(connection: Connection, found: Found) -> Found:
    # pg_control_checkpoint() is of the last checkpoint: after a promotion it may still show
    # the old timeline.  The name of the WAL file being written shows the present one.
    lsn, timeline, names = _row(connection, """
        SELECT lsn::text, left(pg_walfile_name(lsn), 8),
               current_setting('synchronous_standby_names')
          FROM (SELECT pg_current_wal_lsn() AS lsn) AS now""", 3)
    found = _with_claim(found, names)._replace(
        lsn=_lsn(lsn), timeline=int(timeline, 16) if timeline else None)
    rows = _rows(connection, """
        SELECT application_name, state, sync_state, coalesce(host(client_addr), '')
          FROM pg_stat_replication ORDER BY 1 LIMIT %d""" % STANDBYS_MAX)
    if rows is None:
        return found
    found = found._replace(sync_standbys=tuple(SyncStandby(*row[:3]) for row in rows))
    if all(row[1] for row in rows):             # who may not see it gets a null
        found = found._replace(sync_peers=tuple(
            (row[0], row[3]) for row in rows if row[1] not in NOT_STREAMING))
    return found


def _with_claim(found: Found, text: Optional[str]) -> Found:
    """With who confirms a commit, by a synchronous_standby_names; None: it is not told."""
    if text is None:
        return found
    try:
        needed, names = sync_names.parse(text)
    except ValueError:
        # The server runs it, so it means something: who confirms is not known, and somebody does.
        needed, names = 1, (sync_names.EVERYBODY,)
    return found._replace(sync_needed=needed, sync_names=names)


def _with_standby(connection: Connection, found: Found) -> Tuple[Found, Optional[int]]:
    """With what SQL says of a standby; and how far it has received, or None."""
    # The receive position starts over at a segment's beginning when a standby restarts, so it
    # may be behind what has been replayed.
    received, replayed, names = _row(connection, """
        SELECT pg_last_wal_receive_lsn()::text, pg_last_wal_replay_lsn()::text,
               current_setting('synchronous_standby_names')""", 3)
    known = [parse_lsn(each) for each in (received, replayed) if each]
    # Who may not read statistics sees a row of nulls: then streaming is unknown, not False.
    receivers = _rows(connection, """
        SELECT status = 'streaming', received_tli, conninfo FROM pg_stat_wal_receiver""")
    streaming, timeline, followed = receivers[0] if receivers else (None, None, None)
    checkpoint = _value(connection, 'SELECT timeline_id FROM pg_control_checkpoint()')
    # Without a walreceiver the last restartpoint may be of the timeline before.
    reached = _value(connection, 'SELECT min_recovery_end_timeline FROM pg_control_recovery()')
    timelines = [each for each in (timeline, checkpoint, reached) if each is not None]
    # Not a setting before PostgreSQL 12, and shown to a superuser or pg_read_all_settings only.
    setting = _value(connection,
                     "SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'")
    return _with_claim(found, names)._replace(
        lsn=max(known) if known else None, replayed_lsn=_lsn(replayed),
        streaming=False if receivers == [] else streaming,
        timeline=max(timelines) if timelines else None,
        upstream=conninfo.upstream(setting or followed)), _lsn(received)


def _with_replay(connection: Connection, found: Found, received: Optional[int],
                 local: DatabaseSettings, deadline: Deadline) -> Found:
    """With where its WAL ends, and whether its replay can go on."""
    facts = replay.ask(connection, local, found.server_version or 0)
    replayed = found.replayed_lsn
    timeline = found.timeline or 0
    if local.db_data_dir and replayed:
        timeline = max(timeline, wal.timeline_at(local.db_data_dir, replayed))
    end = wal_end.find(local.db_data_dir, timeline, replayed, received, found.system_identifier,
                       Deadline(deadline.remaining() * WAL_SHARE))
    judged = replay.judge(local, facts, (replayed or 0) < end.lsn)
    return found._replace(lsn=end.lsn or None, lsn_known=end.is_known,
                          standstill=judged.standstill, held=judged.held)


def _lsn(text: Optional[str]) -> Optional[int]:
    return None if text is None else parse_lsn(text)


def _rows(connection: Connection, sql: str) -> Optional[List[Row]]:
    """Return the rows of `sql`, or None where we may not ask or get no answer any more."""
    try:
        return connection.query(sql)
    except (QueryFailed, ConnectionFailed):
        return None


def _row(connection: Connection, sql: str, width: int) -> Row:
    rows = _rows(connection, sql)
    return rows[0] if rows else (None,) * width


def _value(connection: Connection, sql: str) -> Any:
    return _row(connection, sql, 1)[0]


def _refusal(failure: ConnectionFailed, conn_string: str, deadline: Deadline) -> Found:
    """What is found where a connection did not come about."""
    found = Found(UNREACHABLE, str(failure), sqlstate=failure.sqlstate)
    if failure.is_timeout:
        return found
    # The second look decides: a session ended by 57P01 may be an operator's doing.
    host, port, user, database = _place(conn_string, failure)
    limit = max(SECOND_LOOK_MIN, deadline.remaining())
    answer = startup.ask(host, port, user, database, limit)
    if not answer.answered:             # it may have spoken a moment ago, and is gone now
        return found
    # A message in an encoding that psycopg2 cannot read is told by this look only.
    return found._replace(verdict=verdict_of(answer.sqlstate),
                          sqlstate=answer.sqlstate or failure.sqlstate,
                          reason=found.reason if failure.is_told else answer.message)


def _place(conn_string: str, failure: ConnectionFailed) -> Tuple[str, int, str, str]:
    """Return (host, port, user, database) to say the startup packet to, as libpq would."""
    words: Dict[str, str] = {}
    with contextlib.suppress(ValueError):
        words = conninfo.parse(conn_string)
    address = failure.address or ('', 0)
    host = address[0] or words.get('hostaddr') or words.get('host') or os.environ.get('PGHOST')
    port = address[1] or words.get('port') or os.environ.get('PGPORT') or '5432'
    user = words.get('user') or os.environ.get('PGUSER') or 'postgres'
    database = words.get('dbname') or os.environ.get('PGDATABASE') or user
    number = re.match(r'\d+', str(port))
    return ((host or '').split(',')[0], int(number.group()) if number else 5432, user, database)


def _timeline_on_file(settings: DatabaseSettings, found: Found) -> Optional[int]:
    """Return the timeline of a standby, which without a walreceiver its WAL files tell best.

    What SQL tells then is as of the last restartpoint: a standby that was restarted since, and
    has no primary to stream from, is on a later timeline than it says.
    """
    if found.streaming or not found.lsn or not settings.db_data_dir:
        return found.timeline
    on_file = wal.timeline_at(settings.db_data_dir, found.lsn)
    return max(found.timeline or 0, on_file) or None


def _upstream_on_file(settings: DatabaseSettings) -> Optional[Upstream]:
    try:
        return conninfo.upstream(recovery.conninfo_on_file(settings))
    except (OSError, ValueError):
        return None
