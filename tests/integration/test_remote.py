"""The utilities over the network, and a primary that only some others reach (manual 19.5, 19.7.3).

Who may change something is decided by where the request comes from, so each host has a network
namespace of its own here, and the client's is not in nodes.conf.
"""

import os

import pytest

from .scenarios import (
    CALM,
    FIRST,
    SECOND,
    THIRD,
    UTILITY_LIMIT,
    Shared,
    needs_namespaces,
    refusal,
    succeeds,
    switched_over,
)

pytestmark = needs_namespaces

CHANGING = {'ahm_promote_node': 'promote', 'ahm_attach_node': 'attach',
            'ahm_restart_database': 'restart', 'ahm_shutdown_cluster': 'shutdown'}


@pytest.fixture(scope='module')
def three():
    """Three nodes on hosts of their own."""
    with Shared(settings=dict(CALM, wait_for_primary_timeout_seconds=2,
                              use_pg_rewind=True)) as shared:
        yield shared


def from_outside(cluster, utility, *words):
    """Run a utility on the client's host; its Finished."""
    host = cluster.client_host
    script = os.path.join(host.workspace.source, 'bin', utility)
    return host.run(host.python(script, '-p', str(cluster.plan.ipc_port)) + list(words),
                    check=False, limit=UTILITY_LIMIT)


def test_a_host_that_is_no_node_may_look_and_change_nothing(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        for asked in (cluster.plan.vip, cluster.nodes[2].host.address):
            shown = from_outside(cluster, 'ahm_cluster_status', '-h', asked)
            assert shown.code == 0 and 'Leader Node: ' + FIRST in shown.output
            for utility, request in CHANGING.items():
                refused = from_outside(cluster, utility, '-h', asked)
                assert refused == (
                    1, 'Command Failed: %s is refused from %s: it is no host of this cluster; run '
                    'it on a host of nodes.conf\n' % (request, cluster.plan.client))
        scenario.nothing_happens(FIRST)
        scenario.healthy()
        assert 'was asked for' not in scenario.log(*cluster.nodes)
        scenario.undisturbed(FIRST)


def test_a_node_is_attached_and_promoted_from_another_nodes_host(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        vip = cluster.plan.vip
        third.kill_database()
        scenario.reads(cluster.nodes, FIRST, scenario.table(others={THIRD: ('FAILED', 'LOST')}))
        assert refusal(second, 'ahm_promote_node', '-h', third.host.address) == (
            THIRD + ' was reported out: repair its database, then run ahm_attach_node')
        succeeds(second, 'ahm_attach_node', '-h', third.host.address)
        scenario.healthy()
        switched_over(scenario, second, third, ('-h', second.host.address))
        scenario.healthy(SECOND)
        for node in cluster.nodes:
            assert 'Leader Node: ' + SECOND in succeeds(node, 'ahm_cluster_status', '-h', vip)
        # Behind the VIP is the leader: there is nothing to do for it.
        assert refusal(first, 'ahm_promote_node', '-h', vip) == SECOND + ' is the primary already'
        assert refusal(first, 'ahm_attach_node', '-h', vip) == (
            SECOND + ' leads: there is nothing to attach')
        switched_over(scenario, first, second, ('-h', first.host.address))
        scenario.healthy()


def test_the_primarys_ahm_is_killed_and_one_node_alone_reaches_its_database(three):
    with three.story() as scenario:
        first, second, third = scenario.cluster.nodes
        first.cut_from(second)
        first.kill_ahm()
        for node, verdict in ((second, 'UNREACHABLE'), (third, 'REACHABLE')):
            scenario.cluster.wait_until(
                lambda: 'the database of AHM-NODE-1 is %s from here' % verdict
                in scenario.log(node), 30, '%s to find it %s' % (node.name, verdict))
        idle = ('STANDBY', 'IN_RESOURCE_LIMITATION')
        scenario.reads([second, third], None, {FIRST: ('PRIMARY', 'LOST'), SECOND: idle,
                                               THIRD: idle}, holds_vip=None)
        scenario.nothing_happens(FIRST)
        assert first.host.holds_vip()
        first.heal()
        first.start_ahm()
        scenario.healthy()
        scenario.undisturbed(FIRST)


def test_all_databases_are_restarted_from_one_host_and_the_vip_stays(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        before = [node.database.postmaster() for node in cluster.nodes]
        scenario.next_fault()
        said = succeeds(cluster.nodes[1], 'ahm_restart_database', '--rolling', '-h',
                        cluster.plan.vip)
        assert 'AHM-NODE-2 restarted; AHM-NODE-3 restarted; AHM-NODE-1 restarted' in said
        after = [node.database.postmaster() for node in cluster.nodes]
        assert not set(before) & set(after) and None not in after
        assert [node.name for node in cluster.vip_holders()] == [FIRST]
        scenario.written_through(FIRST)
        scenario.healthy()
        assert scenario.accepting() == [FIRST]
        log = scenario.log(*cluster.nodes)
        assert 'dropped the VIP' not in log and 'step-down' not in log
