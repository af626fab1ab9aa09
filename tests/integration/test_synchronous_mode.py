"""AHM sets what commits wait for, on real databases: who confirms changes, and nothing is lost.

`acknowledged` rows are those of the recorded client, written without pause; all of them have to be
on whatever server leads at the end.
"""

import pytest

from ahmlib.lab import record
from tests.integration.scenarios import (
    CALM,
    FIRST,
    NAMES,
    PAUSE,
    SECOND,
    THIRD,
    formed,
    is_led_by_another,
    succeeds,
    switched_over,
)
from tests.lab.cluster import loopback_available

LACK = loopback_available()
pytestmark = pytest.mark.skipif(LACK is not None, reason=str(LACK))

ON, STRICT = dict(CALM, synchronous_mode='on'), dict(CALM, synchronous_mode='strict')
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
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


def test_strict_commits_wait_while_too_few_standbys_are_there():
    with formed(kind='loopback', settings=STRICT) as scenario:
        first, second, third = scenario.cluster.nodes
        waits_for(scenario, first, any_one(SECOND, THIRD))
        second.kill_database()
        third.kill_database()
        scenario.cluster.wait_until(
            lambda: first.database.sql(WAITING)[0][0] > 0, 60, 'a commit that waits', PAUSE)
        assert first.database.sql(SHOW)[0][0], 'they would not wait'
        since = record.last_accepted(scenario.client.attempts(), FIRST)
        succeeds(second, 'ahm_attach_node', '--wait')
        waits_for(scenario, first, any_one(SECOND))
        scenario.cluster.wait_until(
            lambda: record.last_accepted(scenario.client.attempts(), FIRST) > since, 60,
            'writes to go on', PAUSE)
        succeeds(third, 'ahm_attach_node', '--wait')
        waits_for(scenario, first, any_one(SECOND, THIRD))
        scenario.next_fault()
        first.kill_database()
        new = is_led_by_another(scenario.cluster, FIRST)
        scenario.written_through(new)
        nothing_acknowledged_is_lost(scenario, new)


@pytest.mark.parametrize('settings', [ON, STRICT], ids=['on', 'strict'])
def test_one_loss_after_the_other_loses_nothing(settings):
    """A switchover, a killed server and a killed house, each under whoever leads by then."""
    with formed(kind='loopback', settings=settings) as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        waits_for(scenario, first, any_one(SECOND, THIRD))
        switched_over(scenario, second)
        scenario.healthy(SECOND)
        waits_for(scenario, second, any_one(FIRST, THIRD))
        scenario.next_fault()
        second.kill_database()
        leader = is_led_by_another(cluster, SECOND, second)
        scenario.written_through(leader)
        # What was not confirmed to anybody it has all the same, so it may have diverged.
        succeeds(second, 'ahm_attach_node', '--rebuild', '--wait')
        scenario.healthy(leader)
        waits_for(scenario, cluster.node(leader), any_one(
            *(name for name in NAMES if name != leader)))
        scenario.next_fault()
        cluster.node(leader).power_off()
        asked = next(node for node in cluster.nodes if node.name != leader)
        last = is_led_by_another(cluster, leader, asked)
        scenario.written_through(last)
        nothing_acknowledged_is_lost(scenario, last)


def test_what_was_set_by_hand_is_set_back():
    with formed(kind='loopback', settings=ON) as scenario:
        first = scenario.cluster.nodes[0]
        waits_for(scenario, first, any_one(SECOND, THIRD))
        first.database.sql("ALTER SYSTEM SET synchronous_standby_names = 'somebody'")
        first.database.sql('SELECT pg_reload_conf()')
        waits_for(scenario, first, 'somebody')
        waits_for(scenario, first, any_one(SECOND, THIRD))


def test_who_may_not_see_who_replicates_is_told_and_nothing_is_set():
    def without_the_right(cluster):
        cluster.nodes[0].database.sql('CREATE ROLE ahm LOGIN')
        for node in cluster.nodes:
            node.reconfigure(conn_string='host=%s port=%d user=ahm dbname=postgres' % (
                node.database.socket_dir, node.database.port))
    with formed(kind='loopback', settings=ON, prepare=without_the_right) as scenario:
        first = scenario.cluster.nodes[0]
        text = 'commits wait for 0, and synchronous_node_count is 1: 0 connections stream under ' \
            'the name AHM-NODE-2'
        scenario.cluster.wait_until(lambda: text in scenario.log(first), 60, text, PAUSE)
        assert first.database.sql(SHOW) == [('',)]
