"""/metrics: this node in numbers, in base units, for Prometheus.

Instants are those of the wall clock, for display and for alerts that compare them with time(); no
decision rests on them.  What is not known has no sample: a zero would be a claim.
"""

import hashlib
import json
import platform
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from ahmlib import __version__
from ahmlib.core.beacon import Beacon
from ahmlib.core.policy.history import FAILOVER, FORCED, SWITCHOVER
from ahmlib.core.settings import split_address
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.database.monitored import Monitored
from ahmlib.http import causes, exposition, process
from ahmlib.http.exposition import COUNTER, GAUGE, Family, Sample, one, states
from ahmlib.http.health import OLDER_SPELLING
from ahmlib.http.pages import server_state
from ahmlib.http.view import QUORUM, SYNC, View
from ahmlib.runtime.loop import BUSY_SECONDS

if TYPE_CHECKING:
    from ahmlib.core.node import Node
    from ahmlib.http.counters import Counters
    from ahmlib.runtime.driver import Driver

#: Steps of a takeover as the history of events calls them -> as the metric does.
STEPS = {'detection': 'detect', 'election': 'elect', 'pre_promotion_command': 'fence',
         'promotion': 'promote', 'VIP up': 'vip'}


class Seen(NamedTuple):
    """All that the metrics are made of, as of one instant."""

    driver: 'Driver'
    counters: 'Counters'
    status: Dict[str, Any]
    view: View
    events: List[Dict[str, Any]]
    config: Dict[str, Any]          # what all nodes have to agree on
    reloaded: bool                  # the newest reload was taken
    looked: Optional[Monitored]     # what the newest look at the WAL directory found
    now: float
    wall: float

    @property
    def node(self) -> 'Node':
        """The node."""
        return self.driver.node

    @property
    def line(self) -> Dict[str, Any]:
        """This node in the status."""
        return self.status['nodes'][self.node.settings.order.index(self.node.own)]


def render(seen: Seen, loop: Any) -> str:
    """The whole text."""
    families = _about(seen) + _standing(seen) + _peers(seen) + _history(seen) + _data(seen) \
        + _counted(seen) + process.families()
    return exposition.render(families) + exposition.histogram(
        'ahm_loop_lateness_seconds', 'How long everything else waited for one step of the loop.',
        BUSY_SECONDS, loop.busy_counts, loop.busy_seconds)


def _about(seen: Seen) -> List[Family]:
    settings = seen.node.settings
    text = json.dumps(seen.config, sort_keys=True).encode('ascii')
    return [
        Family('ahm_build_info', GAUGE, 'Version of AHM and of its Python.', [
            ({'version': __version__, 'python': platform.python_version()}, 1)]),
        Family('ahm_node_info', GAUGE, 'This node.', [
            ({'name': settings.name, 'priority': str(settings.priority),
              'witness': str(settings.witness).lower()}, 1)]),
        Family('ahm_config_info', GAUGE, 'Fingerprint of what all nodes have to agree on.', [
            ({'fingerprint': hashlib.sha256(text).hexdigest()[:16]}, 1)]),
        Family('ahm_config_last_reload_successful', GAUGE, 'The newest reload was taken.',
               one(seen.reloaded))]


def _standing(seen: Seen) -> List[Family]:
    parts, node = seen.node.parts, seen.node
    lease = parts.consensus.tenure.until() - seen.now if parts.consensus.leads else 0.0
    found = [
        ('ahm_leader', 'Clients may write here, as /primary says.', seen.view.serves),
        ('ahm_has_majority', 'A majority is in contact.', seen.status['has_majority']),
        ('ahm_unprotected', 'Nobody could take over now.', seen.status['successor'] is None),
        ('ahm_paused', 'The cluster is paused.', seen.status['paused']),
        ('ahm_eligible', 'This node may lead.', seen.line['eligible']),
        ('ahm_streaming', 'The standby here streams.', seen.view.streams),
        ('ahm_watchdog_armed', 'A watchdog would reset this host; none in this version.', False),
        ('ahm_term', 'The highest term that this node has entered.', parts.consensus.term),
        ('ahm_nodes', 'Nodes of nodes.conf.', node.settings.size),
        ('ahm_nodes_alive', 'Nodes that are alive, this one included.',
         1 + len(parts.consensus.members.living())),
        ('ahm_lease_remaining_seconds', 'For how long this leader may act if nobody answers it.',
         max(0.0, lease))]
    families = [Family(name, GAUGE, text, one(value)) for name, text, value in found]
    if parts.vip.configured and parts.vip.held is not None:
        families.append(Family('ahm_vip_held', GAUGE, 'The virtual IP is on this host.',
                               one(parts.vip.held)))
    return families + [
        Family('ahm_node_state', GAUGE, 'The state of this node.', states(
            'state', [state.name for state in NodeState], parts.consensus.state.name)),
        Family('ahm_database_state', GAUGE, 'The state of its database.', states(
            'state', [state.name for state in DatabaseState], parts.database.state.name))]


def _peers(seen: Seen) -> List[Family]:
    members, facts = seen.node.consensus.members, seen.node.facts
    beacons, driver = seen.driver.beacons, seen.driver
    places = {split_address(facts.settings.addresses[place]): place for place in members.peers}
    heard = [({'peer': facts.name_of(place)}, seen.wall - members.silence(place))
             for place in members.peers if members.row(place) is not None]
    rejected = {'malformed': driver.malformed, 'cluster': driver.foreign,
                'stale': seen.counters.stale, 'stranger': beacons.foreign}

    def by_peer(counts: Dict[Any, int]) -> List[Sample]:
        return [({'peer': facts.name_of(place)}, counts.get(address, 0))
                for address, place in places.items()]
    return [
        Family('ahm_peer_alive', GAUGE, 'The peer was heard within T_hold.', [
            ({'peer': facts.name_of(place)}, members.is_alive(place)) for place in members.peers]),
        Family('ahm_peer_last_beacon_timestamp_seconds', GAUGE, 'When the peer was heard last.',
               heard),
        Family('ahm_beacons_sent_total', COUNTER, 'Beacons sent.', by_peer(beacons.sent)),
        Family('ahm_beacons_received_total', COUNTER, 'Datagrams of the peer.',
               by_peer(beacons.received_from)),
        Family('ahm_beacons_rejected_total', COUNTER, 'Datagrams that were no row of this cluster.',
               [({'cause': cause}, count) for cause, count in rejected.items()])]


def _history(seen: Seen) -> List[Family]:
    history, counters = seen.driver.history, seen.counters
    kinds = {} if history is None else history.kinds
    moments = [('ahm_majority_contact_timestamp_seconds', 'When a majority was in contact last.',
                counters.majority_at),
               ('ahm_last_leader_change_timestamp_seconds', 'When another node came to lead.',
                counters.leader_changed_at)]
    counted = [('ahm_failovers_total', 'Failovers to this node.', FAILOVER),
               ('ahm_forced_promotions_total', 'Promotions of this node by force.', FORCED),
               ('ahm_switchovers_total', 'Switchovers to this node.', SWITCHOVER)]
    return [Family(name, GAUGE, text, one(at)) for name, text, at in moments if at] + [
        Family(name, COUNTER, text, one(kinds.get(kind, 0))) for name, text, kind in counted] + [
        Family('ahm_takeovers_stopped_total', COUNTER, 'Takeovers here that were stopped.', [
            ({'cause': cause}, counters.stopped[cause]) for cause in causes.OF_TAKEOVERS]),
        Family('ahm_step_downs_total', COUNTER, 'Step-downs of this node.', [
            ({'cause': cause}, counters.step_downs[cause]) for cause in causes.OF_STEP_DOWNS]),
        Family('ahm_last_failover_seconds', GAUGE, 'What the newest failover to this node took.',
               _last_failover(seen.events))]


def _last_failover(events: List[Dict[str, Any]]) -> List[Sample]:
    found = [event for event in events if event['kind'] == FAILOVER]
    if not found:
        return []
    steps = found[-1]['steps']
    took: Dict[str, float] = {}
    for step in steps:
        if step['name'] in STEPS:
            took[STEPS[step['name']]] = step['took']
    took['total'] = round(sum(step['took'] for step in steps), 3)
    return [({'step': name}, seconds) for name, seconds in took.items()]


def _data(seen: Seen) -> List[Family]:
    parts, database = seen.node.parts, seen.node.parts.database
    claim = parts.claims.claim
    rows: List[Beacon] = parts.consensus.members.in_touch()
    confirming = [row for row in rows if row.sender in claim.nodes and row.streaming]
    families = [
        Family('ahm_sync_needed', GAUGE, 'Standbys that confirm a commit.', one(claim.needed)),
        Family('ahm_sync_members', GAUGE, 'Standbys of which they are.', one(len(claim.nodes))),
        Family('ahm_sync_confirmed', GAUGE, 'Of these, those that stream.', one(len(confirming))),
        Family('ahm_sync_commits_blocked', GAUGE, 'Commits wait for a standby that is not there.',
               one(bool(database.commits_wait)))]
    if database.answer is not None:
        families += [
            Family('ahm_timeline', GAUGE, 'Timeline of the database.', one(database.timeline)),
            Family('ahm_wal_position_bytes', GAUGE, 'Position in its WAL.', one(database.lsn))]
    if database.answer is not None and not database.failures:
        families.append(Family(
            'ahm_slot_retained_bytes', GAUGE, 'WAL that a replication slot here keeps.',
            [({'slot': name}, kept) for name, kept in seen.driver.server.slots]))
    if seen.looked is not None and seen.looked.ok:
        families.append(Family('ahm_wal_free_bytes', GAUGE, 'Room where the WAL is written.',
                               one(seen.looked.free_bytes)))
    if seen.line['lag_bytes'] is not None:
        families.append(Family('ahm_replication_lag_bytes', GAUGE, 'How far it is behind.',
                               one(seen.line['lag_bytes'])))
    return families


def _counted(seen: Seen) -> List[Family]:
    counters = seen.counters
    return [
        Family('ahm_elections_total', COUNTER, 'Candidacies of this node.', [
            ({'result': result}, counters.elections[result]) for result in ('won', 'lost')]),
        Family('ahm_database_checks_total', COUNTER, 'Checks of the database.', [
            ({'result': result}, counters.checks[result]) for result in ('ok', 'failed')]),
        Family('ahm_vip_command_failures_total', COUNTER, 'Commands of the VIP that failed.',
               one(counters.vip_failures)),
        Family('ahm_hook_runs_total', COUNTER, 'Commands of the operator.', [
            ({'hook': hook, 'result': result}, count)
            for (hook, result), count in sorted(counters.hooks.items())]),
        Family('ahm_requests_total', COUNTER, 'Requests of utilities.', [
            ({'command': command, 'result': result}, count)
            for (command, result), count in sorted(counters.requests.items())]),
        Family('ahm_http_requests_total', COUNTER, 'Answers by HTTP.', [
            ({'path': path, 'code': code}, count)
            for (path, code), count in sorted(counters.answers.items())])]


# -- the names of others -----------------------------------------------------------------------


def render_patroni(seen: Seen, page: Dict[str, Any]) -> str:
    """What boards and rules for Patroni ask for; `page` is /patroni."""
    labels = {'scope': page['patroni']['scope'], 'name': page['patroni']['name']}
    xlog, view = page.get('xlog', {}), seen.view
    found: Dict[str, Any] = {
        'primary': view.serves, OLDER_SPELLING[1:]: view.serves, 'replica': view.standby,
        'standby_leader': False, 'sync_standby': view.standby and view.confirms == SYNC,
        'quorum_standby': view.standby and view.confirms == QUORUM,
        'postgres_running': server_state(seen.node.parts) == 'running',
        'postgres_streaming': view.streams, 'postgres_timeline': page.get('timeline', 0),
        'postgres_server_version': page.get('server_version'),
        'xlog_location': xlog.get('location', 0),
        'xlog_received_location': xlog.get('received_location', 0),
        'xlog_replayed_location': xlog.get('replayed_location', 0),
        'xlog_paused': xlog.get('paused', False),
        'cluster_unlocked': page['cluster_unlocked'], 'is_paused': page['pause'],
        'pending_restart': bool(seen.node.parts.database.pending),
        'dcs_last_seen': page['dcs_last_seen']}
    return exposition.render(
        Family('patroni_' + name, GAUGE, 'As Patroni names it.', [(labels, value)])
        for name, value in found.items() if value is not None)


