"""Chores that take one node after the other while clients write: priorities, another AHM."""

import contextlib
import json
import time

import psycopg2
import pytest

from ahmlib.lab import record

from .scenarios import CALM, FIRST, NAMES, SECOND, THIRD, Shared, refusal, succeeds


@pytest.fixture(scope='module')
def shared():
    """One cluster for all, with the lease of a busy machine."""
    with Shared(kind='loopback', settings=CALM) as one:
        yield one


@pytest.fixture
def scenario(shared):
    with shared.story() as one:
        yield one


def told(node):
    """What a node's status says, as JSON."""
    return json.loads(succeeds(node, 'ahm_cluster_status', '--json'))


def test_another_priority_counts_on_all_nodes_after_a_reload(scenario):
    cluster = scenario.cluster
    second = cluster.node(SECOND)

    def everybody_says(priority, successor):
        def so():
            seen = [told(node) for node in cluster.nodes]
            return all(each['nodes'][1]['priority'] == priority
                       and each['successor'] == successor for each in seen)
        cluster.wait_until(so, 30, 'priority %d of %s, and %s as the successor, everywhere' % (
            priority, SECOND, successor), 0.2)
    everybody_says(2, SECOND)
    second.reload_ahm(priority=9)
    everybody_says(9, THIRD)
    second.reload_ahm(priority=0)
    everybody_says(0, THIRD)
    assert refusal(second, 'ahm_promote_node') == 'AHM-NODE-2 has priority 0'
    assert [row['reason'] for row in told(cluster.node(FIRST))['nodes'] if row['name'] == SECOND] \
        == ['has priority 0']
    second.reload_ahm(priority=2)
    everybody_says(2, SECOND)
    scenario.healthy()
    scenario.undisturbed(FIRST)


def test_daemons_are_restarted_one_by_one_and_no_connection_breaks(scenario):
    """The leader's last.  As `ahm restart` does it: a goodbye, an end, a start."""
    cluster = scenario.cluster
    primary = cluster.node(FIRST).database
    pids = [node.database.postmaster() for node in cluster.nodes]
    with contextlib.closing(psycopg2.connect(primary.conninfo())) as session:
        with session.cursor() as cursor:
            cursor.execute('SELECT pg_backend_pid()')
            backend = cursor.fetchall()
            for name in (SECOND, THIRD, FIRST):
                node = cluster.node(name)
                began = time.monotonic()
                node.terminate_ahm()
                node.start_ahm()
                scenario.healthy()
                print('%s: its AHM was back, and all well, in %.1f s' % (
                    name, time.monotonic() - began))
            cursor.execute('SELECT pg_backend_pid()')
            assert cursor.fetchall() == backend
    assert [node.database.postmaster() for node in cluster.nodes] == pids
    assert scenario.accepting() == [FIRST] and list(NAMES) == [node.name for node in cluster.nodes]
    print('the client could not write for %.2f s' % record.write_outage(
        scenario.client.attempts(), scenario.fault_at))
    scenario.undisturbed(FIRST)
