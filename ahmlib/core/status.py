"""What `ahm_cluster_status` prints, as this node sees it.  Asking changes nothing.

The keys are the documented schema of `ahm_cluster_status --json`: `tests/unit/test_man.py` compares
them with ahm_cluster_status(1).  One that is taken away or changes its meaning raises SCHEMA.
"""

from typing import Any, Dict, List, Optional

from .beacon import Beacon, Due, Farewell
from .election import sentence, why_not_eligible
from .settings import split_address
from .states import DatabaseState, NodeState
from .troubles import OUT
from .ways_out import waits_for_somebody

SCHEMA = 1

#: What is told of a node of which no row counts; name, address and port are added.
NEVER_HEARD: Dict[str, Any] = {
    'priority': None, 'witness': None, 'database': DatabaseState.UNKNOWN.name,
    'state': NodeState.DEAD.name, 'alive': False, 'eligible': False,
    'reason': 'was never heard: see whether its AHM runs, and whether the network lets its '
              'beacons through',
    'problem': '', 'troubles': [], 'term': None, 'timeline': 0, 'lsn': 0, 'lag_bytes': None,
    'last_beacon_seconds': None, 'sync_state': None, 'streaming': None, 'uptime_seconds': None,
    'hears': None, 'out': None, 'holds_vip': None,
}
ONE_WAY = 'its beacons arrive, but do not repeat those of this node: see whether the network ' \
          'lets beacons through to it'
SILENT = {
    Farewell.NONE: 'not heard for %.0f s: see whether its host and its AHM run, and the network',
    Farewell.LEAVING: 'its AHM was stopped %.0f s ago: start it with "ahm start"',
    Farewell.RESTARTING: 'its AHM said %.0f s ago that it restarts, and is not back: see its log',
}
LEAVES = 'its AHM is about to end'


def status(node) -> Dict[str, Any]:
    """The cluster as this node sees it; all values are plain JSON."""
    leader = node.own if node.is_leading else _living_leader(node)
    row = _row(node, leader)
    successor = row.successor if row is not None else None
    return {
        'schema': SCHEMA,
        'asked': node.settings.name,
        'leader': _name(node, leader), 'leader_host': _host(node, leader),
        'successor': _name(node, successor), 'successor_host': _host(node, successor),
        'virtual_ip': node.settings.vip or None,
        'leader_holds_vip': row.holds_vip if row is not None else None,
        'remote_nodes': node.settings.size - 1,
        'has_majority': node.has_majority(),
        'term': node.term,
        'problem': node.problem,
        'warnings': _warnings(node),
        'nodes': [_node(node, place, row) for place in node.settings.order],
    }


def _living_leader(node) -> Optional[int]:
    row = node.leader_row()
    return row.sender if row is not None and node.promise.holds(node.now) else None


def _row(node, place: Optional[int]) -> Optional[Beacon]:
    if place is None:
        return None
    return node.own_row() if place == node.own else node.members.row(place)


def _name(node, place: Optional[int]) -> Optional[str]:
    return None if place is None else node.names[place]


def _host(node, place: Optional[int]) -> Optional[str]:
    return None if place is None else node.settings.host(place)


# -- one node ---------------------------------------------------------------------------------


def _node(node, place: int, leader: Optional[Beacon]) -> Dict[str, Any]:
    """One line of the table, and all else that is known of that node."""
    row = _row(node, place)
    host, port = split_address(node.settings.addresses[place])
    line = dict(NEVER_HEARD, name=node.names[place], address=host, port=port)
    if row is None:
        line['reason'] = ONE_WAY if node.members.peers[place].heard else line['reason']
        return line
    silence = 0.0 if place == node.own else max(0.0, node.members.silence(place, node.now))
    alive = place == node.own or node.members.is_alive(place, node.now)
    why = _why_not(node, row) if alive else SILENT[row.farewell] % silence
    line.update(
        priority=row.priority, witness=row.witness, database=row.database.name,
        state=(row.state if alive else NodeState.LOST).name, alive=alive,
        eligible=not why, reason=why, problem=row.problem,
        troubles=[{'kind': trouble.kind, 'critical': trouble.critical, 'text': trouble.text,
                   'since_seconds': round(trouble.age + silence, 1)} for trouble in row.troubles],
        term=row.term, timeline=row.timeline, lsn=row.lsn,
        lag_bytes=_lag(node, row, leader) if alive else None,
        last_beacon_seconds=round(silence, 3), sync_state=_sync_state(row, leader),
        streaming=row.streaming, uptime_seconds=round(row.uptime, 3),
        hears=_hears(node, row) if alive else None, out=row.out, holds_vip=row.holds_vip)
    return line


def _why_not(node, row: Beacon) -> str:
    """Why the living node of this row may not lead; of its own database this node knows more."""
    why = LEAVES if row.farewell is not Farewell.NONE else why_not_eligible(row, node.view)
    why = why or _why_not_now(node, row)
    if row.sender != node.own:
        return why
    database = node.database
    details = database.out or (database.reason if database.failures else '')
    if why:
        return '%s (%s)' % (why, details) if details else why
    return '' if node.is_leading else node.elections.why_stale(row)


def _why_not_now(node, row: Beacon) -> str:
    """Why this one, which may lead, does not while an election is due: confirmed commits."""
    if node.is_leading or node.elections.due is Due.NOBODY:
        return ''
    return node.elections.why_claim_forbids(row)


def _lag(node, row: Beacon, leader: Optional[Beacon]) -> Optional[int]:
    """Bytes behind the last position known of the primary; None where that says nothing."""
    if row.database is DatabaseState.PRIMARY:
        return 0 if row.rightful else None
    if row.database is DatabaseState.QUARANTINED or not row.lsn:
        return None
    position = leader.lsn if _over_primary(leader) else node.view.primary_lsn
    return max(0, position - row.lsn) if position else None


def _sync_state(row: Beacon, leader: Optional[Beacon]) -> Optional[str]:
    """What the commits of the present primary wait for, as far as this standby is concerned."""
    if row.database is not DatabaseState.STANDBY or not _over_primary(leader):
        return None
    if row.sender not in leader.sync_nodes or not leader.sync_needed:
        return 'async'
    return 'quorum' if leader.sync_needed < len(leader.sync_nodes) else 'sync'


def _over_primary(leader: Optional[Beacon]) -> bool:
    return leader is not None and leader.database is DatabaseState.PRIMARY


def _hears(node, row: Beacon) -> List[str]:
    """Whom this node hears: only what concerns the asked node is known as of now."""
    def hears(other: int) -> bool:
        """Whether it hears that node."""
        if row.sender == node.own:
            return node.members.is_alive(other, node.now)
        if other == node.own:
            return node.members.is_two_way(row.sender, node.now)
        return row.heard[other] is not None

    return [node.name_of(other) for other in node.settings.order
            if other != row.sender and hears(other)]


# -- the cluster ------------------------------------------------------------------------------


def _troubles(node) -> List[str]:
    """What lasts anywhere, as its own node says: whoever is asked tells it."""
    rows = [node.own_row()] + node.members.living(node.now)
    return [text for row in rows for text in _texts(row)]


def _texts(row: Beacon) -> List[str]:
    """That a database is out is in the table, which the manual ends there after a failover.

    A daemon of the version before tells of its replay, and of nothing else that lasts.
    """
    if row.standstill and not row.troubles:
        return ['%s receives, and cannot replay: %s; it is not promoted while that lasts' % (
            row.name, row.standstill)]
    return ['%s: %s' % (row.name, trouble.text) for trouble in row.troubles
            if trouble.kind != OUT]


def _held_back(node) -> List[str]:
    """Who would be promoted, if that could not lose what a synchronous standby confirmed."""
    rows = [row for row in node.contact_rows() if not why_not_eligible(row, node.view)]
    found = [(row.name, _why_not_now(node, row)) for row in rows]
    return ['%s; a confirmed commit might be lost, so it is not promoted' % sentence(name, why)
            for name, why in found if why]


def _warnings(node) -> List[str]:
    leader = node.own if node.is_leading else _living_leader(node)
    way = waits_for_somebody(node)
    found = ['nobody leads, and nobody will by itself: %s' % way] if way else []
    found += node.settings.warnings
    found += filter(None, [node.force.warning(_row(node, leader))])
    found += _troubles(node) + _held_back(node)
    row = _row(node, leader)
    if row is not None and row.sync_doubt:
        found.append(row.sync_doubt)
    for row in node.members.living(node.now):
        if (row.interval, row.retries) != (node.settings.interval, node.settings.retries):
            found.append('%s has other timings: beacons every %g s and %d retries there, '
                         'every %g s and %d here' % (
                             row.name, row.interval, row.retries, node.settings.interval,
                             node.settings.retries))
    return found
