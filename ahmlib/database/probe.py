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

from ahmlib.database import (conninfo, identity, recovery, replay, slots, startup, sync_names,
                             wal, wal_end)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.wal import parse_lsn
from ahmlib.process.deadline import Deadline

REACHABLE, STARTING, UNREACHABLE = 'REACHABLE', 'STARTING', 'UNREACHABLE'

# admin_shutdown, crash_shutdown, cannot_connect_now.
STARTING_SQLSTATES = ('57P01', '57P02', '57P03')
STANDBYS_MAX = 100              # rows of pg_stat_replication that are passed on
NOT_STREAMING = ('startup', 'backup')   # states of a walsender that confirms nothing
WAL_SHARE = 0.6                 # of the time that is left, for reading WAL files
SECOND_LOOK_MIN = 0.2           # seconds that the startup packet gets in any case

NOTHING = {'verdict': UNREACHABLE, 'reason': '', 'answered': False, 'sqlstate': None,
           'in_recovery': None, 'system_identifier': None, 'timeline': None, 'lsn': None,
           'replayed_lsn': None, 'streaming': None, 'upstream': None, 'server_version': None,
           'sync_standbys': None, 'sync_needed': None, 'sync_names': None, 'sync_peers': None,
           'lsn_known': True, 'standstill': '', 'held': False, 'mismatch': '',
           'remark': ''}


def check_local(settings, limit):
    """Probe the database beside this node through conn_string, for at most `limit` seconds.

    Returns a dict with the keys of NOTHING:
    verdict             'REACHABLE', 'STARTING' or 'UNREACHABLE' (module docstring)
    reason              one line, nothing secret; '' where a query answered
    answered            True when a query answered: what a health check asks for
    sqlstate            the server's code where it refused us, or None
    in_recovery         True on a standby
    system_identifier   text
    timeline            int; a primary's own, on a standby the highest that it has received
    lsn                 int; a primary's insert position as written; of a standby the end of
                        the WAL that it has on disk, received or not since its last start
    lsn_known           False: a standby may have more than `lsn` says (wal_end)
    replayed_lsn        int, standby only
    standstill          standby only: why its replay cannot go on by itself, '' where it can
    held                standby only: whether its replay waits for a reader or a delay
    streaming           standby only: whether it streams now
    upstream            standby only: {'host', 'port', 'application_name'} it is to follow
    server_version      int, e.g. 150003
    remark              what people should know of it, e.g. of slots that keep WAL; ''
    sync_standbys       primary only: [{'application_name', 'state', 'sync_state'}]
    mismatch            why the server that answers is not that of db_data_dir (identity.py)
    sync_needed, sync_names     how many of which names confirm a commit, or would on a standby,
                        of synchronous_standby_names as the server runs it, connected or not;
                        None where the server does not tell
    sync_peers          primary only: [(application_name, address)] of the standbys that are
                        connected, '' for a socket; None where that is hidden from us
    """
    result = _probe(conninfo.local_conn_string(settings), limit, settings)
    if result['in_recovery']:
        result['timeline'] = _timeline_on_file(settings, result)
        if result['upstream'] is None:
            result['upstream'] = _upstream_on_file(settings)
    return result


def probe_remote(settings, host, port, limit):
    """Probe the database at `host`:`port` (port None: db_port) for at most `limit` seconds.

    It connects as db_user to db_database; a password comes from where libpq looks for one
    (PGPASSFILE, ~/.pgpass, the environment).  Returns what check_local does, but for what needs
    the files of a standby: `lsn` is what it has received, standstill and held are not looked at.
    """
    return _probe(conninfo.remote_conn_string(settings, host, port), limit)


def verdict_of(sqlstate):
    """Return the verdict on a server that answered with an error of this SQLSTATE (or None)."""
    return STARTING if sqlstate in STARTING_SQLSTATES else REACHABLE


def _probe(conn_string, limit, local=None):
    """`local` are the settings of the node whose database it is, where its files are here."""
    deadline = Deadline(limit)
    result = dict(NOTHING)
    try:
        with Connection(conn_string, limit) as connection:
            _describe(connection, result, local, deadline)
            result['mismatch'] = identity.mismatch(local, connection) if local else ''
    except ConnectionFailed as failure:
        if not result['answered']:
            result.update(_refusal(failure, conn_string, deadline))
    except QueryFailed as failure:
        result.update(verdict=REACHABLE, reason=str(failure), sqlstate=failure.sqlstate)
    return result


def _describe(connection, result, local, deadline):
    """Fill `result` with what the server says; raises where the first query gets no answer."""
    in_recovery, version = connection.query(
        "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int")[0]
    result.update(verdict=REACHABLE, answered=True, in_recovery=in_recovery,
                  server_version=version)
    result['system_identifier'] = _value(
        connection, 'SELECT system_identifier::text FROM pg_control_system()')
    if in_recovery:
        received = _describe_standby(connection, result)
        if local is not None:
            _describe_replay(connection, result, received, local, deadline)
    else:
        _describe_primary(connection, result)
    if local is not None:
        with contextlib.suppress(QueryFailed, ConnectionFailed):    # the answer counts without it
            result['remark'] = slots.remark(connection)


def _describe_primary(connection, result):
    # pg_control_checkpoint() is of the last checkpoint: after a promotion it may still show
    # the old timeline.  The name of the WAL file being written shows the present one.
    lsn, timeline, names = _row(connection, """
        SELECT lsn::text, left(pg_walfile_name(lsn), 8),
               current_setting('synchronous_standby_names')
          FROM (SELECT pg_current_wal_lsn() AS lsn) AS now""", 3)
    result['lsn'] = parse_lsn(lsn)
    result['timeline'] = int(timeline, 16) if timeline else None
    if names is not None:
        result.update(_claim(names))
    rows = _rows(connection, """
        SELECT application_name, state, sync_state, coalesce(host(client_addr), '')
          FROM pg_stat_replication ORDER BY 1 LIMIT %d""" % STANDBYS_MAX)
    if rows is None:
        return
    keys = ('application_name', 'state', 'sync_state')
    result['sync_standbys'] = [dict(zip(keys, row)) for row in rows]
    if all(row[1] for row in rows):             # who may not see it gets a null
        result['sync_peers'] = [[row[0], row[3]] for row in rows if row[1] not in NOT_STREAMING]


def _claim(text):
    try:
        needed, names = sync_names.parse(text)
    except ValueError:
        # The server runs it, so it means something: who confirms is not known, and somebody does.
        needed, names = 1, (sync_names.EVERYBODY,)
    return {'sync_needed': needed, 'sync_names': list(names)}


def _describe_standby(connection, result):
    """Fill in what SQL says of a standby; returns how far it has received, or None."""
    # The receive position starts over at a segment's beginning when a standby restarts, so it
    # may be behind what has been replayed.
    received, replayed, names = _row(connection, """
        SELECT pg_last_wal_receive_lsn()::text, pg_last_wal_replay_lsn()::text,
               current_setting('synchronous_standby_names')""", 3)
    if names is not None:
        result.update(_claim(names))
    known = [parse_lsn(each) for each in (received, replayed) if each]
    result['lsn'] = max(known) if known else None
    result['replayed_lsn'] = parse_lsn(replayed)
    # Who may not read statistics sees a row of nulls: then streaming is unknown, not False.
    receivers = _rows(connection, """
        SELECT status = 'streaming', received_tli, conninfo FROM pg_stat_wal_receiver""")
    streaming, timeline, followed = receivers[0] if receivers else (None, None, None)
    result['streaming'] = False if receivers == [] else streaming
    checkpoint = _value(connection, 'SELECT timeline_id FROM pg_control_checkpoint()')
    # Without a walreceiver the last restartpoint may be of the timeline before.
    reached = _value(connection, 'SELECT min_recovery_end_timeline FROM pg_control_recovery()')
    timelines = [each for each in (timeline, checkpoint, reached) if each is not None]
    result['timeline'] = max(timelines) if timelines else None
    # Not a setting before PostgreSQL 12, and shown to a superuser or pg_read_all_settings only.
    setting = _value(connection,
                     "SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'")
    result['upstream'] = conninfo.upstream(setting or followed)
    return parse_lsn(received)


def _describe_replay(connection, result, received, local, deadline):
    """Fill in where its WAL ends, and whether its replay can go on."""
    facts = replay.ask(connection, local, result['server_version'])
    replayed = result['replayed_lsn']
    timeline = result['timeline'] or 0
    if local.db_data_dir and replayed:
        timeline = max(timeline, wal.timeline_at(local.db_data_dir, replayed))
    end = wal_end.find(local.db_data_dir, timeline, replayed, received,
                       result['system_identifier'], Deadline(deadline.remaining() * WAL_SHARE))
    result.update(lsn=end.lsn or None, lsn_known=end.is_known)
    found = replay.judge(local, facts, (replayed or 0) < end.lsn)
    result.update(standstill=found.standstill, held=found.held)


def _rows(connection, sql):
    """Return the rows of `sql`, or None where we may not ask or get no answer any more."""
    try:
        return connection.query(sql)
    except (QueryFailed, ConnectionFailed):
        return None


def _row(connection, sql, width):
    rows = _rows(connection, sql)
    return rows[0] if rows else (None,) * width


def _value(connection, sql):
    return _row(connection, sql, 1)[0]


def _refusal(failure, conn_string, deadline):
    """Return the verdict, reason and sqlstate of a connection that did not come about."""
    result = {'verdict': UNREACHABLE, 'reason': str(failure), 'sqlstate': failure.sqlstate}
    if failure.is_timeout:
        return result
    if failure.sqlstate:
        result['verdict'] = verdict_of(failure.sqlstate)
    # The second look decides: a session ended by 57P01 may be an operator's doing.
    host, port, user, database = _place(conn_string, failure)
    limit = max(SECOND_LOOK_MIN, deadline.remaining())
    answer = startup.ask(host, port, user, database, limit)
    if answer.answered:
        result['verdict'] = verdict_of(answer.sqlstate)
        result['sqlstate'] = answer.sqlstate or failure.sqlstate
        if not failure.is_told:                 # in an encoding that psycopg2 cannot read
            result['reason'] = answer.message
    elif failure.sqlstate:
        # It spoke a moment ago and is gone now.
        result['verdict'] = UNREACHABLE
    return result


def _place(conn_string, failure):
    """Return (host, port, user, database) to say the startup packet to, as libpq would."""
    try:
        words = conninfo.parse(conn_string)
    except ValueError:
        words = {}
    host, port = failure.address or (None, None)
    host = host or words.get('hostaddr') or words.get('host') or os.environ.get('PGHOST')
    port = port or words.get('port') or os.environ.get('PGPORT') or '5432'
    user = words.get('user') or os.environ.get('PGUSER') or 'postgres'
    database = words.get('dbname') or os.environ.get('PGDATABASE') or user
    number = re.match(r'\d+', str(port))
    return ((host or '').split(',')[0], int(number.group()) if number else 5432, user, database)


def _timeline_on_file(settings, result):
    """Return the timeline of a standby, which without a walreceiver its WAL files tell best.

    What SQL tells then is as of the last restartpoint: a standby that was restarted since, and
    has no primary to stream from, is on a later timeline than it says.
    """
    if result['streaming'] or not result['lsn'] or not settings.db_data_dir:
        return result['timeline']
    on_file = wal.timeline_at(settings.db_data_dir, result['lsn'])
    return max(result['timeline'] or 0, on_file) or None


def _upstream_on_file(settings):
    try:
        return conninfo.upstream(recovery.conninfo_on_file(settings))
    except (OSError, ValueError):
        return None
