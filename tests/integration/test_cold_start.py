"""Three nodes start with a stale old primary among them, and that one first."""

import time

from ahmlib.lab import record
from tests.lab.cluster import Cluster

from .scenarios import Scenario, needs_namespaces

pytestmark = needs_namespaces


def test_a_stale_old_primary_that_starts_first_never_leads():
    """Node 1 was the primary on timeline 1; node 2 was promoted by hand while it was down."""
    with Cluster('namespaces', nodes=3) as cluster:
        stale, second, third = cluster.nodes
        make_stale(cluster)
        stale.start_ahm()
        cluster.wait_until(stale.status, 20, 'the AHM of the stale primary to answer')
        scenario = Scenario(cluster)
        scenario.client, scenario.prober = cluster.start_client(), cluster.start_prober()
        scenario.fault_at = time.monotonic()
        third.start_ahm()
        # With these two a majority is there, and a running primary: but not the rightful one.
        cluster.wait_until(lambda: 'AHM-NODE-3' in stale.status().rows, 20,
                           'the two nodes to hear each other')
        until = time.monotonic() + 5
        cluster.wait_until(lambda: time.monotonic() > until or leads(stale) or leads(third), 10,
                           'five seconds, or the mistake')
        assert not leads(stale) and not leads(third)
        second.start_ahm()
        scenario.written_through('AHM-NODE-2')
        scenario.reads(cluster.nodes, 'AHM-NODE-2', {
            'AHM-NODE-1': ('QUARANTINED', 'STANDBY'), 'AHM-NODE-2': ('PRIMARY', 'LEADER'),
            'AHM-NODE-3': ('STANDBY', 'STANDBY')})
        assert not stale.database.is_running()
        rows = scenario.client.stop()
        scenario.prober.stop()
        assert record.acknowledged_ids(rows, 'AHM-NODE-1') == set()
        assert [node.name for node in cluster.vip_holders()] == ['AHM-NODE-2']


def make_stale(cluster):
    """Node 1 is stopped, node 2 promoted, node 3 follows it, and node 1 is started as it was."""
    stale, second, third = cluster.nodes
    stale.database.stop()
    second.database.promote()
    third.database.stop()
    third.database.discard()
    third.database.clone_from(second.database)
    third.database.start()
    cluster.wait_until(lambda: third.database.streams_from(second.database), 30,
                       'node 3 to stream from node 2')
    stale.database.start()
    assert {node.name for node in cluster.primaries()} == {'AHM-NODE-1', 'AHM-NODE-2'}


def leads(node):
    """Whether this node's status shows any leader, or the VIP on its host."""
    return node.status().leader is not None or node.host.holds_vip()
