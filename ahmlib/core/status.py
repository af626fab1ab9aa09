"""What `ahm_cluster_status` prints, as this node sees it.  Asking changes nothing."""

from typing import Any, Dict, List, Optional

from .beacon import Beacon, Farewell
from .election import why_not_eligible
from .settings import split_address
from .states import DatabaseState, NodeState

FOREIGN_SECONDS = 60.0


def status(node) -> Dict[str, Any]:
    """The cluster as this node sees it; all values are plain JSON."""
    leader = node.own if node.is_leading else _living_leader(node)
    row = _row(node, leader)
    successor = row.successor if row is not None else None
    vip = node.settings.vip or None
    return {
        'asked': node.settings.name,
        'leader': _name(node, leader), 'leader_host': _host(node, leader),
        'successor': _name(node, successor), 'successor_host': _host(node, successor),
        'virtual_ip': vip,
        'leader_holds_vip': row.holds_vip if row is not None else None,
        'remote_nodes': node.settings.size - 1,
        'has_majority': node.has_majority(),
        'term': node.term,
        'problem': node.problem,
        'warnings': _warnings(node),
        'nodes': [_node(node, place) for place in node.settings.order],
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


def _node(node, place: int) -> Dict[str, Any]:
    """One line of the table."""
    row = _row(node, place)
    host, port = split_address(node.settings.addresses[place])
    line = {'name': node.names[place], 'address': host, 'port': port, 'priority': None,
            'witness': None, 'database': DatabaseState.UNKNOWN.name,
            'state': NodeState.DEAD.name, 'reason': 'was never heard', 'problem': ''}
    if row is None:
        return line
    line.update(priority=row.priority, witness=row.witness, database=row.database.name,
                state=_state(node, row).name, reason=_reason(node, row), problem=row.problem,
                timeline=row.timeline, lsn=row.lsn)
    return line


def _state(node, row: Beacon) -> NodeState:
    """A peer that is not heard any more is lost; after a goodbye, too, once that is settled."""
    if row.sender == node.own or node.members.is_alive(row.sender, node.now):
        return row.state
    return NodeState.LOST


def _reason(node, row: Beacon) -> str:
    if row.sender != node.own and not node.members.is_alive(row.sender, node.now):
        said = 'it said goodbye' if row.farewell is not Farewell.NONE else 'not heard any more'
        return '%s, %.0f s ago' % (said, node.members.silence(row.sender, node.now))
    return why_not_eligible(row, node.view)


def _warnings(node) -> List[str]:
    found = list(node.settings.warnings)
    for _, (at, text) in sorted(node.foreign.items()):
        if node.now < at + FOREIGN_SECONDS:
            found.append(text)
    for row in node.members.living(node.now):
        if (row.interval, row.retries) != (node.settings.interval, node.settings.retries):
            found.append('%s has other timings: beacons every %g s and %d retries there, '
                         'every %g s and %d here' % (
                             row.name, row.interval, row.retries, node.settings.interval,
                             node.settings.retries))
    return found
