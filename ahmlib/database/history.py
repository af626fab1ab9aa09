"""The primary's timelines, and whether a position of ours lies on them.

A promotion ends one timeline and begins the next at a switch point.  WAL of a server beyond the
point at which the primary's history left that timeline exists nowhere else: it diverged.  The
history is asked for over a replication connection, which the standby needs anyway, as the user that
the standby would use.  Source: PostgreSQL's manual, "Streaming Replication Protocol"
(IDENTIFY_SYSTEM, TIMELINE_HISTORY).
"""
from typing import NamedTuple, Tuple

from ahmlib.database import conninfo
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.probe import parse_lsn

NOWHERE = 'nowhere'


class Primary(NamedTuple):
    """What a primary says of itself; `switches` are (timeline, its end) before the present one."""

    system_identifier: str
    timeline: int
    lsn: int
    switches: Tuple[Tuple[int, int], ...]


def ask(primary_conninfo, limit):
    """Return (Primary, '') of the server that this primary_conninfo names, or (None, why)."""
    words = conninfo.parse(primary_conninfo)
    words['replication'] = 'true'
    try:
        with Connection(conninfo.build(words), limit) as connection:
            identifier, timeline, lsn = connection.query('IDENTIFY_SYSTEM')[0][:3]
            text = b''
            if int(timeline) > 1:
                text = connection.query('TIMELINE_HISTORY %d' % int(timeline))[0][1]
    except (ConnectionFailed, QueryFailed) as error:
        return None, 'the primary refuses a replication connection: %s' % error
    return Primary(identifier, int(timeline), parse_lsn(lsn), parse(text)), ''


def parse(text):
    """Return ((timeline, its end), ...) of a timeline history file (text, bytes or a buffer)."""
    if not isinstance(text, str):
        text = bytes(text).decode('utf-8', 'replace')
    found = []
    for line in text.splitlines():
        words = line.split('#')[0].split()
        if len(words) >= 2 and words[0].isdigit() and '/' in words[1]:
            found.append((int(words[0]), parse_lsn(words[1])))
    return tuple(found)


def end_of(primary, timeline):
    """Return where the primary's history left this timeline; None where it is not on it at all."""
    if timeline == primary.timeline:
        return primary.lsn
    return dict(primary.switches).get(timeline)


def divergence(primary, timeline, lsn):
    """Return how many bytes of WAL up to `lsn` the primary does not have: 0 where it has all.

    None where the primary was never on this timeline.
    """
    end = end_of(primary, timeline)
    return None if end is None else max(0, lsn - end)


def lsn_text(lsn):
    """Return a position as PostgreSQL writes it: two hexadecimal halves."""
    return '%X/%X' % (lsn >> 32, lsn & 0xFFFFFFFF)
