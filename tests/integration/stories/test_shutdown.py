"""The whole cluster is shut down and started again, in several orders: nothing is promoted by that.

Databases that go on, that start before AHM, and that start after it; and an old primary among them
that was dead while another one was promoted.  All orders of three nodes are in
tests/simulation/test_cold_start.py.
"""

from ahmlib.lab import record

from ..scenarios import FIRST, is_led_by_another, succeeds, taken_back


def shuts_down(scenario, asked):
    """ahm_shutdown_cluster at this node, and the end of all daemons."""
    assert succeeds(asked, 'ahm_shutdown_cluster') == (
        'Command Success\nInfo: Shutdown request sent to remote nodes\n')
    scenario.cluster.wait_until(
        lambda: not any(node.ahm_runs() for node in scenario.cluster.nodes), 30,
        'all daemons to end')


def in_order(cluster, numbers):
    """The nodes of these numbers."""
    return [cluster.nodes[number - 1] for number in numbers]


def answers(cluster, node):
    """Start the AHM of a node, and wait until it answers."""
    node.start_ahm()
    cluster.wait_until(node.status, 20, '%s to answer' % node.name)


def test_the_daemons_end_and_start_again_and_the_service_goes_on(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        shuts_down(scenario, cluster.nodes[1])
        scenario.nothing_happens(FIRST, scenario.watched)
        assert [node.name for node in cluster.vip_holders()] == [FIRST]
        for node in in_order(cluster, (3, 2, 1)):
            answers(cluster, node)
        scenario.healthy()
        scenario.undisturbed(FIRST)


def test_a_cold_start_with_the_databases_before_ahm(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        goes_cold(scenario)
        for node in in_order(cluster, (3, 1, 2)):
            node.database.start()
        for node in in_order(cluster, (2, 3, 1)):
            answers(cluster, node)
        scenario.healthy()
        scenario.written_through(FIRST)
        assert scenario.accepting() == [FIRST]


def test_a_cold_start_with_ahm_before_the_databases(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        goes_cold(scenario)
        for node in in_order(cluster, (1, 3, 2)):
            answers(cluster, node)
        for node in in_order(cluster, (2, 3, 1)):
            node.database.start()
        scenario.healthy()
        scenario.written_through(FIRST)
        assert scenario.accepting() == [FIRST]


def goes_cold(scenario):
    """The cluster is shut down, and all hosts lose their power."""
    shuts_down(scenario, scenario.cluster.nodes[2])
    loses_power(scenario)


def loses_power(scenario):
    """Nothing runs any more on any host, and all are on again."""
    for node in scenario.cluster.nodes:
        node.power_off()
    scenario.next_fault()
    for node in scenario.cluster.nodes:
        node.power_on()


def test_a_stale_primary_that_starts_before_its_ahm_and_before_all_others_never_leads(three):
    with three.story() as scenario:
        cluster, stale = scenario.cluster, scenario.cluster.nodes[0]
        stale.power_off()
        new = is_led_by_another(cluster, FIRST)
        scenario.written_through(new)
        scenario.reads(cluster.nodes[1:], new,
                       scenario.table(new, {FIRST: ('PRIMARY', 'LOST')}))
        scenario.prober.stop()      # for two servers will accept writes now
        loses_power(scenario)
        for node in cluster.nodes:
            node.database.start()
        assert sorted(node.name for node in cluster.primaries()) == sorted([FIRST, new])
        for node in cluster.nodes:
            answers(cluster, node)
        scenario.written_through(new)
        scenario.reads(cluster.nodes, new,
                       scenario.table(new, {FIRST: ('QUARANTINED', 'STANDBY')}))
        assert not stale.database.is_running()
        rows = scenario.client.attempts()
        assert record.first_accepted(rows, FIRST, scenario.fault_at) is None
        taken_back(scenario, stale, new)
