"""AHM sets what commits wait for, on real databases: who confirms changes, and nothing is lost.

`acknowledged` rows are those of the recorded client, written without pause; all of them have to be
on whatever server leads at the end.
"""

import pytest

from ahmlib.lab import record
from tests.lab.cluster import loopback_available
from tests.integration.scenarios import (
    CALM,
    FIRST,
    PAUSE,
    SECOND,
    THIRD,
    formed,
    is_led_by_another,
    succeeds,
    switched_over,
)

LACK = loopback_available()
pytestmark = pytest.mark.skipif(LACK is not None, reason=str(LACK))

ON, STRICT = dict(CALM, synchronous_mode='on'), dict(CALM, synchronous_mode='strict')
SHOW = "SELECT current_setting('synchronous_standby_names')"


def any_one(*names):
    """The setting with which any one of these nodes confirms a commit."""
    return 'ANY 1 (%s)' % ', '.join('"%s"' % name for name in names) if names else ''


def waits_for(scenario, node, value):
    """Wait until the commits of this node's server wait for that."""
    scenario.cluster.wait_until(lambda: node.database.sql(SHOW)[0][0] == value, 60,
                                'commits of %s to wait for %r' % (node.name, value), PAUSE)


def test_the_setting_follows_who_is_there_and_a_failover_loses_nothing():
    with formed(kind='loopback', settings=ON) as scenario:
        first, second, third = scenario.cluster.nodes
        waits_for(scenario, first, any_one(SECOND, THIRD))
        second.kill_database()
        waits_for(scenario, first, any_one(THIRD))
        third.kill_database()
        waits_for(scenario, first, '')
        scenario.serves_on(FIRST, 1.0)
        for node in (second, third):
            succeeds(node, 'ahm_attach_node', '--wait')
        waits_for(scenario, first, any_one(SECOND, THIRD))
        scenario.next_fault()
        first.kill_database()
        new = is_led_by_another(scenario.cluster, FIRST)
        other = {SECOND: THIRD, THIRD: SECOND}[new]
        waits_for(scenario, scenario.cluster.node(new), any_one(other))
        scenario.written_through(new)
        nothing_acknowledged_is_lost(scenario, new)


def nothing_acknowledged_is_lost(scenario, leader):
    """End the recording: every acknowledged row is there, and no two primaries were."""
    rows, probes = scenario.client.stop(), scenario.prober.stop()
    assert record.double_primary_seconds(probes) == 0.0
    present = scenario.cluster.ids_on(scenario.cluster.node(leader))
    assert record.missing_rows(record.acknowledged_ids(rows), present) == []
