"""What `ahm_cluster_status` prints, as this node sees it.  Asking changes nothing.

The keys are the documented schema of `ahm_cluster_status --json`: `tests/unit/test_man.py` compares
them with ahm_cluster_status(1).  One that is taken away or changes its meaning raises SCHEMA.
"""

from typing import Any, Dict, List, Optional

from .beacon import Beacon, Due, Farewell
from .parts import Parts
from .policy.election import sentence, why_not_eligible
from .policy.forced import warning
from .policy.trouble_kinds import OUT
from .policy.ways_out import way_out
from .settings import split_address
from .states import DatabaseState, NodeState

SCHEMA = 1

#: What is told of a node of which no row counts; name, address and port are added.
NEVER_HEARD: Dict[str, Any] = {
    'priority': None, 'witness': None, 'database': DatabaseState.UNKNOWN.name,
    'state': NodeState.DEAD.name, 'alive': False, 'eligible': False,
    'reason': 'was never heard: see whether its AHM runs, and whether the network lets its '
              'beacons through',
    'problem': '', 'troubles': [], 'term': None, 'timeline': 0, 'lsn': 0, 'lag_bytes': None,
    'last_beacon_seconds': None, 'sync_state': None, 'streaming': None, 'uptime_seconds': None,
    'hears': None, 'out': None, 'holds_vip': None, 'maintenance': None,
    'state_since_seconds': None, 'database_since_seconds': None,
}
ONE_WAY = 'its beacons arrive, but do not repeat those of this node: see whether the network ' \
          'lets beacons through to it'
SILENT = {
    Farewell.NONE: 'not heard for %.0f s: see whether its host and its AHM run, and the network',
    Farewell.LEAVING: 'its AHM was stopped %.0f s ago: start it with "ahm start"',
    Farewell.RESTARTING: 'its AHM said %.0f s ago that it restarts, and is not back: see its log',
}
IN_MAINTENANCE = '; it is in maintenance'
LEAVES = 'its AHM is about to end'


def status(parts: Parts) -> Dict[str, Any]:
    """The cluster as this node sees it; all values are plain JSON."""
    leader = parts.facts.own if parts.consensus.leads else _living_leader(parts)
    row = _row(parts, leader)
    successor = row.successor if row is not None else None
    return {
        'schema': SCHEMA,
        'asked': parts.facts.settings.name,
        'leader': _name(parts, leader), 'leader_host': _host(parts, leader),
        'successor': _name(parts, successor), 'successor_host': _host(parts, successor),
        'virtual_ip': parts.facts.settings.vip or None,
        'leader_holds_vip': row.holds_vip if row is not None else None,
        'remote_nodes': parts.facts.settings.size - 1,
        'has_majority': parts.consensus.members.has_majority(),
        'term': parts.consensus.term,
        'problem': parts.out.problem,
        'paused': parts.paused.on,
        'warnings': _warnings(parts),
        'advice': list(parts.facts.settings.advice),
        'nodes': [_node(parts, place, row) for place in parts.facts.settings.order],
    }


def _living_leader(parts: Parts) -> Optional[int]:
    row = parts.consensus.leader_row()
    return row.sender if row is not None and parts.consensus.promise.holds() else None


def _row(parts: Parts, place: Optional[int]) -> Optional[Beacon]:
    if place is None:
        return None
    return parts.facts.row if place == parts.facts.own else parts.consensus.members.row(place)


def _name(parts: Parts, place: Optional[int]) -> Optional[str]:
    return None if place is None else parts.facts.names[place]


def _host(parts: Parts, place: Optional[int]) -> Optional[str]:
    return None if place is None else parts.facts.settings.host(place)


# -- one node ---------------------------------------------------------------------------------


def _node(parts: Parts, place: int, leader: Optional[Beacon]) -> Dict[str, Any]:
    """One line of the table, and all else that is known of that node."""
    row = _row(parts, place)
    host, port = split_address(parts.facts.settings.addresses[place])
    line = dict(NEVER_HEARD, name=parts.facts.names[place], address=host, port=port)
    if row is None:
        line['reason'] = ONE_WAY if parts.consensus.members.peers[place].heard else line['reason']
        return line
    silence = 0.0 if place == parts.facts.own else max(0.0, parts.consensus.members.silence(place))
    alive = place == parts.facts.own or parts.consensus.members.is_alive(place)
    why = _why_not(parts, row) if alive else SILENT[row.farewell] % silence
    why += IN_MAINTENANCE if row.maintenance and not alive else ''
    line.update(
        priority=row.priority, witness=row.witness, database=row.database.name,
        state=(row.state if alive else NodeState.LOST).name, alive=alive,
        eligible=not why, reason=why, problem=row.problem,
        troubles=[{'kind': trouble.kind, 'critical': trouble.critical, 'text': trouble.text,
                   'since_seconds': round(trouble.age + silence, 1)} for trouble in row.troubles],
        term=row.term, timeline=row.timeline, lsn=row.lsn,
        lag_bytes=_lag(parts, row, leader) if alive else None,
        last_beacon_seconds=round(silence, 3), sync_state=_sync_state(row, leader),
        streaming=row.streaming, uptime_seconds=round(row.uptime, 3),
        hears=_hears(parts, row) if alive else None, out=row.out, holds_vip=row.holds_vip,
        maintenance=row.maintenance,
        state_since_seconds=_since(row.state_age if alive else 0.0, silence),
        database_since_seconds=_since(row.database_age, silence))
    return line


def _since(age: Optional[float], silence: float) -> Optional[float]:
    """For how long, by the age in a row that came so long ago; LOST since the last row."""
    return None if age is None else round(age + silence, 1)


def _why_not(parts: Parts, row: Beacon) -> str:
    """Why the living node of this row may not lead; of its own database this node knows more."""
    why = LEAVES if row.farewell is not Farewell.NONE \
        else why_not_eligible(row, parts.candidate.view())
    why = why or _why_not_now(parts, row)
    if row.sender != parts.facts.own:
        return why
    database = parts.database
    details = database.out or (database.reason if database.failures else '')
    if why:
        return '%s (%s)' % (why, details) if details else why
    return '' if parts.consensus.leads else parts.candidate.why_stale(row)


def _why_not_now(parts: Parts, row: Beacon) -> str:
    """Why this one, which may lead, does not while an election is due: confirmed commits."""
    if parts.consensus.leads or parts.consensus.contest.due is Due.NOBODY:
        return ''
    return parts.candidate.why_claim_forbids(row)


def _lag(parts: Parts, row: Beacon, leader: Optional[Beacon]) -> Optional[int]:
    """Bytes behind the last position known of the primary; None where that says nothing."""
    if row.database is DatabaseState.PRIMARY:
        return 0 if row.rightful else None
    if row.database is DatabaseState.QUARANTINED or not row.lsn:
        return None
    over = _over_primary(leader)
    position = over.lsn if over is not None else parts.candidate.view().primary_lsn
    return max(0, position - row.lsn) if position else None


def _sync_state(row: Beacon, leader: Optional[Beacon]) -> Optional[str]:
    """What the commits of the present primary wait for, as far as this standby is concerned."""
    over = _over_primary(leader)
    if row.database is not DatabaseState.STANDBY or over is None:
        return None
    if row.sender not in over.sync_nodes or not over.sync_needed:
        return 'async'
    return 'quorum' if over.sync_needed < len(over.sync_nodes) else 'sync'


def _over_primary(leader: Optional[Beacon]) -> Optional[Beacon]:
    """The leader, where it leads over a primary."""
    return leader if leader is not None and leader.database is DatabaseState.PRIMARY else None


def _hears(parts: Parts, row: Beacon) -> List[str]:
    """Whom this node hears: only what concerns the asked node is known as of now."""
    def hears(other: int) -> bool:
        """Whether it hears that node."""
        if row.sender == parts.facts.own:
            return parts.consensus.members.is_alive(other)
        if other == parts.facts.own:
            return parts.consensus.members.is_two_way(row.sender)
        return row.heard[other] is not None

    return [parts.facts.name_of(other) for other in parts.facts.settings.order
            if other != row.sender and hears(other)]


# -- the cluster ------------------------------------------------------------------------------


def _troubles(parts: Parts) -> List[str]:
    """What lasts anywhere, as its own node says: whoever is asked tells it."""
    rows = [parts.facts.row] + parts.consensus.members.living()
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


def _held_back(parts: Parts) -> List[str]:
    """Who would be promoted, if that could not lose what a synchronous standby confirmed."""
    view = parts.candidate.view()
    rows = [row for row in parts.consensus.contact_rows() if not why_not_eligible(row, view)]
    found = [(row.name, _why_not_now(parts, row)) for row in rows]
    return ['%s; a confirmed commit might be lost, so it is not promoted' % sentence(name, why)
            for name, why in found if why]


def _warnings(parts: Parts) -> List[str]:
    settings = parts.facts.settings
    leader = parts.facts.own if parts.consensus.leads else _living_leader(parts)
    way = _waits_for_somebody(parts)
    found = ['nobody leads, and nobody will by itself: %s' % way] if way else []
    found += settings.warnings
    found += filter(None, [warning(_row(parts, leader))])
    found += _troubles(parts) + _held_back(parts)
    row = _row(parts, leader)
    if row is not None and row.sync_doubt:
        found.append(row.sync_doubt)
    for row in parts.consensus.members.living():
        if (row.interval, row.retries) != (settings.interval, settings.retries):
            found.append('%s has other timings: beacons every %g s and %d retries there, '
                         'every %g s and %d here' % (
                             row.name, row.interval, row.retries, settings.interval,
                             settings.retries))
    return found


def _waits_for_somebody(parts: Parts) -> str:
    """The way out, once it is clear that the cluster finds none by itself."""
    if parts.consensus.state is not NodeState.IN_RESOURCE_LIMITATION:
        return ''
    return way_out(parts.facts, parts.consensus, parts.place, parts.candidate)
