"""Physical replication slots: one policy for the standbys of a cluster.

A slot lives on one server and does not replicate.  So after a failover the slot that a standby uses
(primary_slot_name) is missing on the new primary, and the standby never streams; and the slots on
the server that was the primary go on keeping WAL for standbys that will never ask for it there.

    a standby that is pointed to a primary   has its slot made there first (ensure)
    a server that is a standby now           loses the slots that were the cluster's (drop_stale)
    any server                               says which inactive slots keep much WAL (remark)

A slot is the cluster's own only where its name is one that this cluster's standbys use: this node's
own primary_slot_name, the name or address of a node, or a slot by which a node streams from the new
primary.  Only inactive physical ones are dropped; a logical, temporary, synchronised or active slot
is never touched, nor one that keeps nothing.
"""
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from ahmlib.database.connection import Arguments, Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline

#: What inactive slots may keep before it is said.
KEPT_MAX = 64 * 1024 * 1024
NAMED_MAX = 5
RETAINED_MAX = 100          # slots of which a check tells what they keep
DUPLICATE, LIMIT_EXCEEDED = '42710', '53400'
_NAME = re.compile(r'[a-z0-9_]{1,63}\Z')

# As JSON, for later versions have more columns.  A standby keeps WAL from where it has received it.
ALL = """SELECT to_jsonb(slots), pg_wal_lsn_diff(
                    CASE WHEN pg_is_in_recovery()
                         THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                         ELSE pg_current_wal_lsn() END, restart_lsn)::bigint
           FROM pg_replication_slots AS slots ORDER BY slot_name"""
USERS = """SELECT slots.slot_name, sender.application_name FROM pg_replication_slots AS slots
             JOIN pg_stat_replication AS sender ON sender.pid = slots.active_pid
            WHERE slots.slot_type = 'physical'"""
LOOK = """SELECT to_jsonb(slots), (SELECT application_name FROM pg_stat_replication AS sender
                                   WHERE sender.pid = slots.active_pid)
            FROM pg_replication_slots AS slots WHERE slot_name = %s"""
# What the new primary used while it was a standby; not a setting before PostgreSQL 12.
ITS_OWN = "SELECT current_setting('primary_slot_name', true)"
CREATE_AS_STANDBY = 'CREATE_REPLICATION_SLOT "%s" PHYSICAL RESERVE_WAL'
CREATE = 'SELECT pg_create_physical_replication_slot(%s, true)'
DROP = """SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
           WHERE slot_name = %s AND slot_type = 'physical' AND NOT active AND pg_is_in_recovery()"""
DROP_LOST = """SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                WHERE slot_name = %s AND slot_type = 'physical' AND NOT active"""


class Slot(NamedTuple):
    """A row of pg_replication_slots; None or False where this version does not have the column."""

    slot_name: str
    slot_type: str                  # 'physical' or 'logical'
    active: bool
    temporary: bool = False
    synced: bool = False            # a copy of the primary's
    wal_status: Optional[str] = None


Keeping = List[Tuple[Slot, int]]        # with the bytes of WAL that each keeps


def folded(name: str) -> str:
    """Return a node's name or address as it may be written in the name of a slot."""
    return re.sub(r'[^a-z0-9_]', '_', name.lower())[:63]


def ensure(name: str, standby: str, as_walreceiver: str, as_db_user: str, limit: float) -> str:
    """Make sure that the primary has the physical slot `name` for the standby of that node name.

    It is made through a replication connection as the walreceiver's user, and where that is
    refused by db_user; both connection strings are those of the primary.  Returns '' or why there
    is no such slot for this standby, with what to do.
    """
    if not _NAME.match(name):
        return ('primary_slot_name is "%s", which is no name of a slot (a-z, 0-9, _): correct it'
                % name)
    deadline = Deadline(limit)
    found = _look(as_db_user, name, deadline)
    # One that was invalidated when this server was a primary before is useless to everybody.
    if found and found[0].wal_status == 'lost' and not found[0].active \
            and found[0].slot_type == 'physical' \
            and not _told(as_db_user, DROP_LOST, (name,), deadline):
        found = None
    if found:
        return _why_not_ours(name, standby, *found)
    refused = _told(as_walreceiver, CREATE_AS_STANDBY % name, None, deadline, 2)
    if not refused or refused.sqlstate == DUPLICATE:
        return ''
    if refused.sqlstate != LIMIT_EXCEEDED:
        refused_too = _told(as_db_user, CREATE, (name,), deadline)
        if not refused_too or refused_too.sqlstate == DUPLICATE:
            return ''
        also = str(refused_too)
    else:
        also = 'max_replication_slots of the primary is reached: drop slots that nobody needs, ' \
            'or raise it'
    return ('the replication slot "%s" of primary_slot_name cannot be made on the primary (%s; %s):'
            " run SELECT pg_create_physical_replication_slot('%s') there, or unset "
            'primary_slot_name' % (name, refused, also, name))


def names_of_the_cluster(settings: DatabaseSettings, own: str, primary: str,
                         limit: float) -> Set[str]:
    """Return the set of slot names that this cluster's standbys use.

    `own` is this node's primary_slot_name, `primary` the connection string of the new primary: the
    slots by which nodes stream from there are this cluster's, and the one that it used itself.
    """
    nodes = {each.lower() for each in settings.node_names}
    names = {folded(each) for each in nodes} | ({own} if own else set())
    try:
        with Connection(primary, limit) as connection:
            names.update(slot for slot, user in connection.query(USERS)
                         if (user or '').lower() in nodes)
            names.add(connection.value(ITS_OWN) or own)
    except (ConnectionFailed, QueryFailed):
        pass                            # not known: then those slots are said, and not dropped
    return names - {''}


def drop_stale(conn_string: str, names: Set[str], limit: float) -> str:
    """Drop the cluster's own inactive slots on this server, if it is a standby.

    Returns what was done and what is left, in words; '' where there is nothing to say.
    """
    deadline, said = Deadline(limit), []
    try:
        with Connection(conn_string, limit) as connection:
            if not connection.value('SELECT pg_is_in_recovery()'):
                return ''
            for slot, kept in _inactive(keeping(connection)):
                if slot.slot_type == 'physical' and slot.slot_name in names:
                    said.append(_dropped(connection, slot.slot_name, kept))
            left = remark(keeping(connection))
    except (ConnectionFailed, QueryFailed) as error:
        if deadline.is_over() and not said:
            return ''
        left = 'whether replication slots keep WAL here is not known: %s' % error
    return '; '.join(said + [left] * bool(left))


def keeping(connection: Connection) -> Keeping:
    """Return the (Slot, bytes of WAL kept) of the slots of this server that reserve any WAL."""
    return [(_slot(row), max(0, kept)) for row, kept in connection.query(ALL)
            if kept is not None]


def retained(found: Keeping) -> Tuple[Tuple[str, int], ...]:
    """Return the (name, bytes of WAL kept) of the slots, for monitors; of very many the worst."""
    worst = sorted(found, key=lambda each: -each[1])[:RETAINED_MAX]
    return tuple(sorted((slot.slot_name, kept) for slot, kept in worst))


def remark(found: Keeping) -> str:
    """Return which inactive slots of this server keep more than KEPT_MAX, in words; '' if none.

    The bytes are told by powers of two, so that the text does not change with every look.
    """
    kept = [(kept, slot.slot_name) for slot, kept in _inactive(found) if kept > KEPT_MAX]
    if not kept:
        return ''
    kept.sort(key=lambda each: (-each[0], each[1]))
    shown = ', '.join('"%s" more than %s' % (name, _rounded(size)) for size, name in
                      kept[:NAMED_MAX])
    more = ' and %d others' % (len(kept) - NAMED_MAX) if len(kept) > NAMED_MAX else ''
    return ('inactive replication slots keep WAL here: %s%s; drop those that nobody needs (SELECT '
            "pg_drop_replication_slot('%s'))" % (shown, more, kept[0][1]))


def _inactive(found: Keeping) -> Iterator[Tuple[Slot, int]]:
    """Those of the slots that nobody uses."""
    for slot, kept in found:
        if not slot.active and not slot.temporary and not slot.synced:
            yield slot, kept


def _slot(row: Dict[str, Any]) -> Slot:
    """The Slot of a row as JSON."""
    return Slot(row['slot_name'], row['slot_type'], bool(row.get('active')),
                bool(row.get('temporary')), bool(row.get('synced')), row.get('wal_status'))


def _dropped(connection: Connection, name: str, kept: int) -> str:
    try:
        connection.query(DROP, (name,))
    except QueryFailed as failure:
        return ('the replication slot "%s" of the time when this server was the primary keeps %s of'
                ' WAL and cannot be dropped (%s): run SELECT pg_drop_replication_slot(\'%s\')'
                % (name, _size(kept), failure, name))
    return 'dropped the replication slot "%s" of the time when this server was the primary, ' \
        'which kept %s of WAL' % (name, _size(kept))


def _look(conn_string: str, name: str, deadline: Deadline) -> Optional[Tuple[Slot, Optional[str]]]:
    """(Slot, application_name of who uses it) of a slot; None where there is none or no answer."""
    try:
        with Connection(conn_string, max(0.1, deadline.remaining() / 3)) as connection:
            rows = connection.query(LOOK, (name,))
            return (_slot(rows[0][0]), rows[0][1]) if rows else None
    except (ConnectionFailed, QueryFailed):
        return None


def _why_not_ours(name: str, standby: str, slot: Slot, user: Optional[str]) -> str:
    if slot.slot_type != 'physical':
        return ('the replication slot "%s" of primary_slot_name is a logical one on the primary: '
                'give this standby another primary_slot_name' % name)
    if user and user != standby:
        return ('the replication slot "%s" of primary_slot_name is in use on the primary by %s: '
                'give each standby a primary_slot_name of its own' % (name, user))
    return ''


def _told(conn_string: str, sql: str, arguments: Optional[Arguments], deadline: Deadline,
          share: int = 1) -> Optional[Union[ConnectionFailed, QueryFailed]]:
    """Say `sql` to a server; returns the error, None where there was none."""
    try:
        with Connection(conn_string, max(0.1, deadline.remaining() / share)) as connection:
            connection.query(sql, arguments)
    except (ConnectionFailed, QueryFailed) as error:
        return error
    return None


def _rounded(size: int) -> str:
    """The greatest doubling of KEPT_MAX that `size` exceeds, in words."""
    step = KEPT_MAX
    while step * 2 < size:
        step *= 2
    return _size(step)


def _size(size: int) -> str:
    return '%d GB' % (size >> 30) if size >= 10 << 30 else '%d MB' % (size >> 20)
