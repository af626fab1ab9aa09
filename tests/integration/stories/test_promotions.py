"""Promotions that are refused, in words to act on; one while a node is down; two at once."""

import concurrent.futures

from ..scenarios import (
    FIRST,
    SECOND,
    THIRD,
    is_led_by_another,
    refusal,
    run,
    succeeds,
    switched_over,
)


def promotion_refused(node):
    """Why this node is not promoted: asked for, and asked whether it would be."""
    words = refusal(node, 'ahm_promote_node')
    assert refusal(node, 'ahm_promote_node', '--dry-run') == words
    return words


def test_who_cannot_be_promoted_is_told_why_and_the_primary_stays(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        assert promotion_refused(first) == 'AHM-NODE-1 is the primary already'
        third.reload_ahm(priority=0)
        cluster.wait_until(lambda: third.status().rows[THIRD].priority == 0, 30,
                           'the priority to be reloaded')
        assert promotion_refused(third) == 'AHM-NODE-3 has priority 0'
        third.reload_ahm(priority=3)
        second.kill_database()
        scenario.reads(cluster.nodes, FIRST, scenario.table(others={SECOND: ('FAILED', 'LOST')}))
        assert promotion_refused(second) == (
            'AHM-NODE-2 was reported out: repair its database, then run ahm_attach_node')
        second.kill_ahm()
        scenario.reads([first, third], FIRST, scenario.table(others={SECOND: ('FAILED', 'LOST')}))
        gone = run(second, 'ahm_promote_node')
        assert gone.code == 3 and 'Command Failed: no AHM daemon at ' in gone.output
        second.start_ahm()
        scenario.reads(cluster.nodes, FIRST, scenario.table(others={SECOND: ('FAILED', 'STANDBY')}))
        succeeds(second, 'ahm_attach_node', '--wait')
        scenario.healthy()
        scenario.undisturbed(FIRST)


def test_the_primary_role_is_handed_over_while_one_node_is_down(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        third.power_off()
        scenario.reads([first, second], FIRST, scenario.table(others={THIRD: ('STANDBY', 'LOST')}))
        succeeds(second, 'ahm_promote_node', '--wait')
        scenario.written_through(SECOND)
        scenario.reads([first, second], SECOND,
                       scenario.table(SECOND, {THIRD: ('STANDBY', 'LOST')}))
        third.power_on()
        third.start_ahm()
        scenario.reads(cluster.nodes, SECOND,
                       scenario.table(SECOND, {THIRD: ('FAILED', 'STANDBY')}))
        succeeds(third, 'ahm_attach_node', '--wait')
        scenario.healthy(SECOND)
        switched_over(scenario, first)
        scenario.healthy()
        scenario.nothing_lost()


def test_two_operators_promote_two_nodes_at_once_and_one_of_them_wins(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        with concurrent.futures.ThreadPoolExecutor(2) as operators:
            said = list(operators.map(lambda node: run(node, 'ahm_promote_node', '--wait'),
                                      cluster.nodes[1:]))
        # Both may have got what they asked for, one after the other.
        done = [node.name for node, ended in zip(cluster.nodes[1:], said) if ended.code == 0]
        assert done and all(ended.code == 0 or 'Command Failed: ' in ended.output
                            for ended in said), said
        leader = is_led_by_another(cluster, FIRST)
        assert leader in done, said
        scenario.healthy(leader)
        switched_over(scenario, cluster.nodes[0])
        scenario.healthy()
        scenario.nothing_lost()
