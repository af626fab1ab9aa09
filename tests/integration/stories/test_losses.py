"""One failover after the other, three nodes lost one by one, and what is left of them comes back.

Old primaries come back by `ahm start`, `ahm_attach_node` and `ahm_promote_node`.
"""

import re

from ..scenarios import (
    FIRST,
    SECOND,
    THIRD,
    comes_back,
    is_led_by_another,
    no_majority,
    refusal,
    succeeds,
    switched_over,
)


def fails_over(scenario, old):
    """kill -9 of the database of the leading node; the name of the node that leads after it."""
    scenario.next_fault()
    old.kill_database()
    new = is_led_by_another(scenario.cluster, old.name, scenario.cluster.nodes[0])
    scenario.written_through(new)
    scenario.reads(scenario.cluster.nodes, new,
                   scenario.table(new, {old.name: ('FAILED', 'STANDBY')}))
    return scenario.cluster.node(new)


def test_a_second_failover_after_the_first(three):
    with three.story() as scenario:
        old = scenario.cluster.nodes[0]
        for _ in range(2):
            new = fails_over(scenario, old)
            succeeds(old, 'ahm_attach_node', '--wait')
            scenario.healthy(new.name)
            old = new
        if new.name != FIRST:
            switched_over(scenario, scenario.cluster.nodes[0])
        scenario.healthy()


def test_three_nodes_are_lost_one_by_one_and_come_back_one_by_one(three):
    with three.story() as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        first.power_off()
        new = cluster.node(is_led_by_another(cluster, FIRST))
        last = cluster.node(THIRD if new.name == SECOND else SECOND)
        scenario.written_through(new.name)
        scenario.reads([new, last], new.name,
                       scenario.table(new.name, {FIRST: ('PRIMARY', 'LOST')}))
        cluster.wait_until(lambda: last.database.streams_from(new.database), 30,
                           '%s to stream from %s' % (last.name, new.name))
        new.power_off()
        no_majority(scenario, last)
        scenario.next_fault()
        new.power_on()
        new.start_ahm()         # without its database: two of three agree that it is gone
        scenario.written_through(last.name)
        first.power_on()
        first.start_ahm()
        out = ('FAILED', 'STANDBY')
        scenario.reads(cluster.nodes, last.name,
                       scenario.table(last.name, {new.name: out, FIRST: out}))
        for node in (new, first):
            succeeds(node, 'ahm_attach_node', '--wait')
        scenario.healthy(last.name)
        switched_over(scenario, first)
        scenario.healthy()


def test_the_whole_cluster_is_lost_only_standbys_start_and_an_operator_chooses_the_newest(three):
    with three.story() as scenario:
        first, second, third = scenario.cluster.nodes
        # There and back: the timeline is newer than what a restarted standby says by itself.
        for node in (second, first):
            switched_over(scenario, node)
            scenario.healthy(node.name)
        third.power_off()
        written_further(scenario)
        first.power_off()
        no_majority(scenario, second)
        second.power_off()
        scenario.next_fault()
        for node in (third, second):
            node.power_on()
            node.database.start()
            node.start_ahm()
        idle = ('STANDBY', 'IN_RESOURCE_LIMITATION')
        scenario.reads([second, third], None, {FIRST: ('UNKNOWN', 'DEAD'), SECOND: idle,
                                               THIRD: idle}, holds_vip=None)
        scenario.nothing_happens(None)
        said = refusal(third, 'ahm_promote_node')
        assert re.match(r'AHM-NODE-2 has more data than AHM-NODE-3 '
                        r'\([1-9]\d* bytes, timeline (\d+) and \1\): promote that one$', said), said
        succeeds(second, 'ahm_promote_node', '--dry-run')
        succeeds(second, 'ahm_promote_node', '--wait')
        scenario.written_through(SECOND)
        scenario.reads([second, third], SECOND,
                       scenario.table(SECOND, {FIRST: ('UNKNOWN', 'DEAD')}))
        first.power_on()
        comes_back(scenario, first, SECOND)


def written_further(scenario):
    """Wait for rows that the node which was just lost has not received."""
    scenario.next_fault()
    scenario.written_through(FIRST)
