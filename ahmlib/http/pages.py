"""What is known of the cluster, in the form that Patroni's tools read.

`status` is what `ahm_cluster_status --json` prints; of rows only what that leaves out is taken.
"""

from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ahmlib import __version__
from ahmlib.core.states import DatabaseState
from ahmlib.http.view import ASYNC, QUORUM, SYNC, confirms, primary_row

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.beacon import Beacon
    from ahmlib.core.node import Node
    from ahmlib.core.parts import Parts

Page = Dict[str, Any]

#: Whose form the pages have: tools ask for it, and take a lower one's words for roles.
FORM_VERSION = '4.1.0'
MEMBERS = {SYNC: 'sync_standby', QUORUM: 'quorum_standby', ASYNC: 'replica'}
UNKNOWN = 'unknown'


def scope(parts: 'Parts') -> str:
    """What tools call the cluster: it has no name but the number of its nodes.conf."""
    return 'ahm-%d' % parts.facts.settings.cluster


def node_page(node: 'Node', version: int, seen_at: float) -> Page:
    """/patroni: this node.

    `version`: of its server, such as 150003, 0 where not known; `seen_at`: when a majority was in
    contact last, in seconds since 1970.
    """
    parts, database = node.parts, node.parts.database
    page: Page = {
        'state': server_state(parts), 'role': server_role(parts),
        'patroni': {'version': FORM_VERSION, 'scope': scope(parts),
                    'name': parts.facts.settings.name},
        'ahm': {'version': __version__, 'state': parts.consensus.state.name,
                'database': database.state.name},
        'dcs_last_seen': int(seen_at), 'pause': parts.paused.on,
        'cluster_unlocked': not has_leader(parts)}
    if version:
        page['server_version'] = version
    if database.pending:
        page['pending_restart'] = True
    if database.system_id:
        page.update(database_system_identifier=database.system_id, timeline=database.timeline,
                    xlog=_xlog(parts))
    if database.runs_as_primary:
        page['replication'] = _replication(parts)
    else:
        page.update(_as_standby(parts))
    return page


def _as_standby(parts: 'Parts') -> Page:
    """What a standby is besides: whether it streams, and whether commits wait for it."""
    page: Page = {}
    leader = primary_row(parts)
    if parts.database.state is DatabaseState.STANDBY:
        if parts.database.streams:
            page['replication_state'] = 'streaming'
        kind = None if leader is None else MEMBERS[confirms(leader, parts.facts.own)]
        if kind in (MEMBERS[SYNC], MEMBERS[QUORUM]):
            page[kind] = True
    return page


def has_leader(parts: 'Parts') -> bool:
    """Whether somebody leads, as this node knows it now."""
    return parts.consensus.leads or parts.consensus.leader_in_force() is not None


def server_state(parts: 'Parts') -> str:
    """Whether the server here runs, in Patroni's words."""
    database = parts.database
    if database.answer is not None and not database.failures:
        return 'running'
    if database.is_there:
        return 'starting'
    return UNKNOWN if not database.checked else 'stopped'


def server_role(parts: 'Parts') -> str:
    """What the server here was when it last answered."""
    if parts.database.answer is None:
        return 'uninitialized'
    return 'replica' if parts.database.in_recovery else 'primary'


def _xlog(parts: 'Parts') -> Page:
    database = parts.database
    if not database.in_recovery:
        return {'location': database.lsn}
    return {'received_location': database.lsn, 'replayed_location': database.replayed,
            'paused': database.held}


def _replication(parts: 'Parts') -> List[Page]:
    """The standbys that stream from here, as they say themselves."""
    rows = [row for row in parts.consensus.members.in_touch() if row.streaming]
    own = primary_row(parts)
    return [{'application_name': row.name,
             'client_addr': parts.facts.settings.host(row.sender), 'state': 'streaming',
             'sync_state': ASYNC if own is None else confirms(own, row.sender)} for row in rows]


# -- the cluster -------------------------------------------------------------------------------


def cluster_page(node: 'Node', status: Page, http_port: Optional[int]) -> Page:
    """/cluster: all nodes that have a database."""
    parts = node.parts
    members = [_member(parts, line, place, status, http_port)
               for place, line in zip(parts.facts.settings.order, status['nodes'])
               if not line['witness']]
    return {'members': members, 'scope': scope(parts), 'pause': status['paused']}


def _member(parts: 'Parts', line: Page, place: int, status: Page,
            http_port: Optional[int]) -> Page:
    host = parts.facts.settings.host(place)
    row = parts.facts.row if place == parts.facts.own else parts.consensus.members.row(place)
    leader = primary_row(parts)
    leads = leader is not None and leader.sender == place
    member: Page = {
        'name': line['name'] or line['address'], 'role': 'leader' if leads else 'replica',
        'state': _member_state(line, leads), 'host': host, 'port': parts.facts.settings.db_port,
        'api_url': 'http://%s:%d/patroni' % ('[%s]' % host if ':' in host else host,
                                             http_port or 0),
        # Tools take it for a number in any case; PostgreSQL's first is 1.
        'timeline': line['timeline']}
    if not leads:
        if leader is not None and line['alive']:
            member['role'] = MEMBERS[confirms(leader, place)]
        member.update(lag=_known(line['lag_bytes']), receive_lag=_behind(leader, row, 'lsn'),
                      replay_lag=_behind(leader, row, 'replayed'))
    return member


def _member_state(line: Page, leads: bool) -> str:
    if not line['alive']:
        return UNKNOWN
    if line['database'] not in ('PRIMARY', 'STANDBY'):
        return 'stopped' if line['database'] == 'FAILED' else UNKNOWN
    return 'streaming' if line['streaming'] and not leads else 'running'


def _known(value: Optional[int]) -> Any:
    return UNKNOWN if value is None else value


def _behind(leader: Optional['Beacon'], row: Optional['Beacon'], field: str) -> Any:
    """How far a standby is behind the leader in what it has received, or replayed."""
    if leader is None or row is None or not leader.lsn or not getattr(row, field):
        return UNKNOWN
    return max(0, leader.lsn - getattr(row, field))


# -- what stays --------------------------------------------------------------------------------


def config_page(node: 'Node', config: 'Config') -> Page:
    """/config: timings and what all nodes have to agree on; no secret, no path."""
    timing = node.facts.timing
    names = ('beacon_message_interval_seconds', 'beacon_message_retry_count',
             'health_check_period', 'max_consec_failures', 'db_connect_timeout',
             'promote_leader_timeout_seconds', 'wait_for_primary_timeout_seconds',
             'failover_consensus_with_half_votes', 'failover_lag_limit_bytes',
             'stop_isolated_primary', 'auto_attach', 'db_failure_action', 'use_pg_rewind')
    page = {name: getattr(config, name) for name in names}
    page.update(cluster=str(node.settings.cluster), loop_wait=config.health_check_period,
                ttl=timing.hold, lease_seconds=timing.lease, hold_seconds=timing.hold,
                fence_seconds=timing.fence,
                maximum_lag_on_failover=config.failover_lag_limit_bytes)
    return page
