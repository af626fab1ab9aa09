"""What the live page shows beside the status: /status has it as `live`.

It is what this node alone knows, or what has to be computed of a configuration that the page does
not have.  Nothing here is decided; all values are plain JSON.
"""

import math
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ahmlib import __version__
from ahmlib.config.timing import failover_intervals
from ahmlib.core.policy.history import FAILOVER, FORCED, SWITCHOVER
from ahmlib.core.states import DatabaseState
from ahmlib.http.view import primary_row
from ahmlib.utilities import status_check

if TYPE_CHECKING:
    from ahmlib.core.parts import Parts
    from ahmlib.runtime.driver import Driver

Json = Dict[str, Any]

#: Takeovers whose steps are drawn, and those of their steps that are no takeover yet.
TAKEOVERS = (FAILOVER, SWITCHOVER, FORCED)
BEFORE = ('detection', 'handover', 'election')
FINDINGS_MAX = 100
#: The troubles of a leader that, where they are critical, say that its commits wait.
COMMITS_WAIT = ('commits', 'synchronous')
#: Of more nodes the page shows no matrix of who hears whom, but the exceptions.
MATRIX_MOST = 12


def live(driver: 'Driver', status: Json, events: List[Json], now: float, digest: str) -> Json:
    """The rest that the page shows.  `digest`: of the page that is served now."""
    parts = driver.node.parts
    code, text = status_check.verdict(status)
    findings = status_check.findings(status)
    newest = _newest_takeover(events)
    return {
        'version': __version__, 'page': digest, 'http_port': driver.config.http_port,
        'check': status_check.WORDS[code], 'verdict': text,
        'findings': [[status_check.WORDS[each], said] for each, said in findings[:FINDINGS_MAX]],
        'findings_more': max(0, len(findings) - FINDINGS_MAX),
        'lease': _lease(parts, now), 'failover': _failover(driver, newest),
        'confirming': _confirming(parts), 'differences': _differences(parts),
        'takeover': newest, 'deaf': _deaf(status),
        'newest_event': [events[-1]['term'], events[-1]['seq']] if events else None}


def _newest_takeover(events: List[Json]) -> Optional[Json]:
    found = [event for event in events if event['kind'] in TAKEOVERS and event['steps']]
    return found[-1] if found else None


def _lease(parts: 'Parts', now: float) -> Optional[Json]:
    """Of a leader its lease, of another node its promise; a `remaining` of None has no end."""
    consensus = parts.consensus
    if consensus.leads:
        tenure = consensus.tenure
        return _draining('lease', tenure.lease.seconds, tenure.until() - now)
    promise = consensus.promise
    if not promise.holds():
        return None
    return _draining('promise', promise.hold, math.inf if promise.bound else promise.until - now)


def _draining(kind: str, seconds: float, remaining: float) -> Json:
    return {'kind': kind, 'seconds': round(seconds, 3),
            'remaining': round(max(0.0, remaining), 3) if math.isfinite(remaining) else None}


def _failover(driver: 'Driver', newest: Optional[Json]) -> Json:
    """From a fault now to the start of the takeover, and what the newest takeover itself took."""
    intervals = failover_intervals(driver.config)
    takeover = None
    if newest is not None:
        takeover = round(sum(step['took'] for step in newest['steps']
                             if step['name'] not in BEFORE), 3)
    return {'host': list(intervals.lost_node), 'database': list(intervals.database_refusing),
            'takeover': takeover}


def _confirming(parts: 'Parts') -> Optional[Json]:
    """How many standbys the commits of the present primary wait for; None where nobody tells."""
    row = primary_row(parts)
    if row is None:
        return None
    names = [parts.facts.name_of(place) for place in row.sync_nodes]
    streaming = [each.name for each in parts.consensus.members.in_touch() + [parts.facts.row]
                 if each.sender in row.sync_nodes and each.streaming
                 and each.database is DatabaseState.STANDBY]
    return {'needed': row.sync_needed, 'members': names, 'streaming': streaming,
            'wait': any(
                trouble.critical and trouble.kind in COMMITS_WAIT for trouble in row.troubles)}


def short(status: Json) -> Json:
    """The status without who hears whom, where that grows with the square of many nodes."""
    if len(status['nodes']) <= MATRIX_MOST:
        return status
    return dict(status, nodes=[dict(node, hears=None) for node in status['nodes']])


def _deaf(status: Json) -> List[Json]:
    """Which living nodes do not hear which others, as far as that is known here."""
    names = {_name(node): node['hears'] for node in status['nodes'] if node['hears'] is not None}
    found, everybody = [], set(names)
    for name, hears in names.items():
        misses = sorted(everybody.difference(hears) - {name})
        if misses:
            found.append({'node': name, 'misses': misses[:MATRIX_MOST],
                          'more': max(0, len(misses) - MATRIX_MOST)})
    return found


def _name(node: Json) -> str:
    """As those who hear it call it (Facts.name_of)."""
    if node['name']:
        return str(node['name'])
    return ('[%s]:%s' if ':' in node['address'] else '%s:%s') % (node['address'], node['port'])


def _differences(parts: 'Parts') -> List[Json]:
    """What living nodes say of their configuration that is not so here."""
    found = []
    for row in parts.consensus.members.living():
        theirs = dict(row.shared, beacon_message_interval_seconds='%g' % row.interval,
                      beacon_message_retry_count=str(row.retries))
        settings = parts.facts.settings
        ours = dict(settings.shared, beacon_message_interval_seconds='%g' % settings.interval,
                    beacon_message_retry_count=str(settings.retries))
        found += [{'parameter': name, 'here': ours[name], 'node': row.name, 'there': value}
                  for name, value in theirs.items() if ours.get(name, value) != value]
    return found
