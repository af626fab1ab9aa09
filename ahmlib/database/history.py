"""The primary's timelines, and whether a position of ours lies on them.

A promotion ends one timeline and begins the next at a switch point.  WAL of a server beyond the
point at which the primary's history left that timeline exists nowhere else: it diverged.  So it did
where it is ahead of the primary on the primary's present timeline, and where both were on a
timeline of the same number that they began at different points.

The history is asked for over a replication connection, which the standby needs anyway, as the user
that the standby would use; where that is refused, over an ordinary one as db_user, which has to be
allowed to read files.  Source: PostgreSQL's manual, "Streaming Replication Protocol"
(IDENTIFY_SYSTEM, TIMELINE_HISTORY).
"""
import os
from typing import NamedTuple, Optional, Tuple

from ahmlib.database import conninfo, control, probe, wal
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.probe import Found
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.wal import Switches, parse_history, parse_lsn
from ahmlib.process.deadline import Deadline

Position = Tuple[int, int]          # (timeline, LSN)


class Primary(NamedTuple):
    """What a primary says of itself; `switches` are (timeline, its end) before the present one."""

    system_identifier: str
    timeline: int
    lsn: int                # up to which its WAL is on its disk
    switches: Switches = ()


class Fork(NamedTuple):
    """Where a server's history left the primary's, or its own position where it did not."""

    timeline: int           # the last that both were on; 0: there is none
    lsn: int                # how far both have the same
    beyond: int             # bytes of WAL that the primary does not have


def ask(settings: DatabaseSettings, host: str, port: Optional[int], primary_conninfo: str,
        limit: float) -> Tuple[Optional[Primary], str]:
    """Return (Primary, '') of the server at `host`:`port`, or (None, why).

    `primary_conninfo` is what the standby would connect with.
    """
    deadline = Deadline(limit)
    try:
        with Connection(replication_string(settings, primary_conninfo), limit / 2) as connection:
            identifier, timeline, lsn = connection.query('IDENTIFY_SYSTEM')[0][:3]
            text = b''
            if int(timeline) > 1:
                text = connection.query('TIMELINE_HISTORY %d' % int(timeline))[0][1]
            return Primary(identifier, int(timeline), parse_lsn(lsn), parse_history(text)), ''
    except (ConnectionFailed, QueryFailed) as error:
        refusal = str(error)
    found, why = _ask_plainly(settings, host, port, max(0.1, deadline.remaining()))
    if found is None:
        user = conninfo.parse(primary_conninfo).get('user')
        why = ('its history cannot be had: it refuses a replication connection of user %s (%s), '
               'and says to user %s: %s' % (user, refusal, settings.db_user, why))
    return found, why


def replication_string(settings: DatabaseSettings, text: str) -> str:
    """Return the connection string of a replication connection like that of a standby.

    The password of the walreceiver may be in .pgpass of the server's owner, who is not we.
    """
    words = conninfo.parse(text)
    # An asynchronous connection of psycopg2 would SET it, and no walsender understands that.
    words['options'] = (words.get('options', '') + ' -c datestyle=ISO').strip()
    words['replication'] = 'true'
    user = control.as_owner(settings.db_data_dir)
    path = os.path.join(user.home, '.pgpass') if user else ''
    if path and not words.get('password') and not words.get('passfile') \
            and not os.environ.get('PGPASSFILE') and os.path.isfile(path):
        words['passfile'] = path
    return conninfo.build(words)


def own_switches(data_dir: str, timeline: int) -> Optional[Switches]:
    """Return the switches before this timeline in this server's files; None: not on file."""
    if timeline <= 1:
        return ()
    text = wal.history_text(data_dir, timeline)
    return None if text is None else parse_history(text)


def end_of(primary: Primary, timeline: int) -> Optional[int]:
    """Return where the primary's history left this timeline; None where it is not on it at all."""
    if timeline == primary.timeline:
        return primary.lsn
    return dict(primary.switches).get(timeline)


def divergence(primary: Primary, timeline: int, lsn: int) -> Optional[int]:
    """Return how many bytes of WAL up to `lsn` the primary does not have: 0 where it has all.

    None where the primary was never on this timeline.
    """
    end = end_of(primary, timeline)
    return None if end is None else max(0, lsn - end)


def compare(primary: Primary, switches: Optional[Switches], timeline: int, lsn: int) -> Fork:
    """Return the Fork of a server at `lsn` of `timeline` that came there by `switches`.

    `switches` None: how it came there is not known, so a timeline of the same number is taken for
    the same timeline.
    """
    if switches is None:
        beyond = divergence(primary, timeline, lsn)
        if beyond is None:
            return Fork(0, 0, lsn)
        return Fork(timeline, lsn - beyond, beyond)
    common = (0, 0)
    theirs = primary.switches + ((primary.timeline, primary.lsn),)
    for (mine, my_end), (its, its_end) in zip(switches + ((timeline, lsn),), theirs):
        if mine != its:
            break
        common = mine, min(my_end, its_end)
        if my_end != its_end:
            break
    is_same = common[0] == timeline
    return Fork(common[0], common[1], max(0 if is_same else 1, lsn - common[1]))


def position(settings: DatabaseSettings, found: Found, limit: float) -> Optional[Position]:
    """Return (timeline, lsn) of the running standby beside this node; None where unknown.

    `found` is what probe.check_local said of it, by the WAL files that are there.  A walsender
    knows which timeline is replayed.
    """
    try:
        text = replication_string(settings, conninfo.local_conn_string(settings))
        with Connection(text, limit) as connection:
            _, timeline, lsn = connection.query('IDENTIFY_SYSTEM')[0][:3]
            return int(timeline), parse_lsn(lsn)
    except (ConnectionFailed, QueryFailed, ValueError):
        pass
    if not found.lsn or not found.timeline:
        return None
    return found.timeline, found.lsn


def lsn_text(lsn: int) -> str:
    """Return a position as PostgreSQL writes it: two hexadecimal halves."""
    return '%X/%X' % (lsn >> 32, lsn & 0xFFFFFFFF)


def _ask_plainly(settings: DatabaseSettings, host: str, port: Optional[int],
                 limit: float) -> Tuple[Optional[Primary], str]:
    """What ask does, over an ordinary connection."""
    deadline = Deadline(limit)
    found = probe.probe_remote(settings, host, port, limit / 2)
    if not found.answered or not found.system_identifier or not found.timeline:
        return None, found.reason or 'it does not tell its timeline'
    text = ''
    if found.timeline > 1:
        path = 'pg_wal/' + wal.history_name(found.timeline)
        try:
            with Connection(conninfo.remote_conn_string(settings, host, port),
                            max(0.1, deadline.remaining())) as connection:
                text = connection.value('SELECT pg_read_file(%s)', (path,))
        except (ConnectionFailed, QueryFailed) as error:
            return None, str(error)
    return Primary(found.system_identifier, found.timeline, found.lsn or 0,
                   parse_history(text)), ''
