"""Three nodes in network namespaces lose their primary, in every way this lab can take it away."""

from ahmlib.lab import record

from .scenarios import formed, needs_namespaces

pytestmark = needs_namespaces

#: The lab's databases are equal, so which standby wins is decided by who had received more.
OTHERS = ('AHM-NODE-2', 'AHM-NODE-3')


def new_leader(scenario):
    """Wait until another node than the first leads, by what the last node prints."""
    def led():
        leader = scenario.cluster.nodes[2].status().leader
        return leader if leader in OTHERS else None
    return scenario.cluster.wait_until(led, 60, 'another leader')


def rows_after(new, old_row):
    """The table after a failover of three nodes to `new`."""
    rows = dict.fromkeys(OTHERS, ('STANDBY', 'STANDBY'))
    rows.update({'AHM-NODE-1': old_row, new: ('PRIMARY', 'LEADER')})
    return rows


def streams(scenario, new):
    """Wait until the remaining standby streams from the new primary."""
    cluster = scenario.cluster
    other = next(node for node in cluster.nodes[1:] if node.name != new)
    cluster.wait_until(lambda: other.database.streams_from(cluster.node(new).database), 30,
                       '%s to stream from %s' % (other.name, new))


def test_kill_9_of_the_primary_database():
    with formed() as scenario:
        scenario.cluster.nodes[0].kill_database()
        new = new_leader(scenario)
        scenario.written_through(new)
        scenario.reads(scenario.cluster.nodes, new, rows_after(new, ('FAILED', 'STANDBY')))
        streams(scenario, new)
        scenario.finish('AHM-NODE-1', new)


def test_power_off_of_the_primary_host():
    with formed() as scenario:
        scenario.cluster.nodes[0].power_off()
        new = new_leader(scenario)
        scenario.written_through(new)
        scenario.reads(scenario.cluster.nodes[1:], new, rows_after(new, ('PRIMARY', 'LOST')))
        streams(scenario, new)
        scenario.finish('AHM-NODE-1', new)


def test_isolation_of_the_primary_host_healed_after_twenty_seconds():
    with formed() as scenario:
        cluster, old = scenario.cluster, scenario.cluster.nodes[0]
        old.isolate()
        new = new_leader(scenario)
        scenario.written_through(new)
        cluster.wait_until(lambda: old.status().rows['AHM-NODE-1'].state != 'LEADER', 10,
                           'the isolated node to lead no more')
        cluster.wait_until(lambda: 'No majority' in old.status_text(), 10,
                           'the isolated node to say that it has no majority')
        until = scenario.fault_at + 20
        cluster.wait_until(lambda: record.last_accepted(scenario.client.attempts(), new) > until,
                           40, 'a row written 20 s after the fault')
        old.heal()
        scenario.reads(cluster.nodes, new, rows_after(new, ('FAILED', 'STANDBY')))
        healed_at = scenario.fault_at + 20
        cluster.wait_until(
            lambda: record.last_accepted(scenario.client.attempts(), new) > healed_at + 5, 30,
            'rows written after the heal')
        assert record.failing_outage(scenario.client.attempts(), healed_at) < 3.0, \
            'the healed node disturbed the service'
        scenario.finish('AHM-NODE-1', new)


def test_nothing_reaches_the_primary_host():
    with formed() as scenario:
        scenario.cluster.nodes[0].cut_one_way('in')
        one_way_ends_well(scenario)


def test_nothing_leaves_the_primary_host():
    with formed() as scenario:
        scenario.cluster.nodes[0].cut_one_way('out')
        one_way_ends_well(scenario)


def one_way_ends_well(scenario):
    """After a one-way cut at the old primary, and after its heal."""
    new = new_leader(scenario)
    scenario.written_through(new)
    scenario.cluster.nodes[0].heal()
    scenario.reads(scenario.cluster.nodes, new, rows_after(new, ('FAILED', 'STANDBY')))
    streams(scenario, new)
    scenario.finish('AHM-NODE-1', new)


def test_two_nodes_and_a_witness_lose_the_primary_host():
    with formed(nodes=2, witnesses=1) as scenario:
        scenario.cluster.nodes[0].power_off()
        scenario.written_through('AHM-NODE-2')
        scenario.reads(scenario.cluster.nodes[1:], 'AHM-NODE-2', {
            'AHM-NODE-1': ('PRIMARY', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER'),
            'AHM-NODE-3': ('NOT_CONFIGURED', 'STANDBY')})
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')
