"""docs/coming-from.md: a live cluster is taken over and given back, and no client notices."""

import pytest

from tests.lab.cluster import Cluster
from tests.unit.documents import document

from .scenarios import (
    CALM,
    FIRST,
    FORM_LIMIT,
    PAUSE,
    Scenario,
    log_of,
    needs_namespaces,
    succeeds,
)

pytestmark = needs_namespaces


@pytest.fixture
def served():
    """A Scenario of servers that stream, with the VIP of another manager, and no AHM yet."""
    with Cluster('namespaces', settings=CALM) as cluster:
        cluster.nodes[0].host.vip_up()
        for node in cluster.nodes:
            cluster.workspace.write(node.log, '')
        scenario = Scenario(cluster)
        scenario.observe()
        yield scenario


def test_a_live_cluster_is_taken_over_in_the_order_that_is_said_and_given_back(served):
    """Standbys first: so a majority is there, and the primary's host has the VIP after it."""
    said = document('docs', 'coming-from.md')
    assert '**Start AHM** on the standbys and witnesses' in said and ', then on the primary' in said
    cluster, (first, second, third) = served.cluster, served.cluster.nodes
    for node in (second, third):
        node.start_ahm()
    for node in (second, third):
        cluster.wait_until(lambda: 'node: ' in log_of(node), FORM_LIMIT, 'the standbys to meet')
    first.start_ahm()
    served.healthy()
    assert first.host.holds_vip()
    for node in (second, third):
        succeeds(node, 'ahm_promote_node', '--dry-run')

    succeeds(third, 'ahm_shutdown_cluster')
    for node in cluster.nodes:
        node.daemon.wait(FORM_LIMIT)
    served.next_fault()
    served.written_through(FIRST)
    assert [node.name for node in cluster.primaries()] == [FIRST]
    assert all(node.database.is_running() for node in cluster.nodes)
    cluster.wait_until(lambda: all(node.database.streams_from(first.database)
                                   for node in (second, third)), FORM_LIMIT, 'both', PAUSE)
    served.undisturbed(FIRST)
