"""Daemons end and come back while their databases go on, and nobody has a fencing script.

Whatever happens to an AHM, the database beside it is not touched, and no other one is promoted
while it answers (manual 19.7.3, 19.7.4).  The primary's AHM that is killed or frozen:
../test_fencing.py.
"""

import time

import pytest

from ..scenarios import (
    FIRST,
    SECOND,
    THIRD,
    all_stream_from,
    comes_back,
    is_led_by_another,
    run,
    succeeds,
)


def leaderless(scenario):
    """The table while the AHM of the primary is gone, and the VIP where nobody tells of it."""
    rows = {SECOND: ('STANDBY', 'IN_RESOURCE_LIMITATION'),
            THIRD: ('STANDBY', 'IN_RESOURCE_LIMITATION'), FIRST: ('PRIMARY', 'LOST')}
    scenario.reads(scenario.cluster.nodes[1:], None, rows, holds_vip=None)


GOODBYES = {
    'ahm-stop': ('stop_ahm', 'its AHM was stopped'),
    'SIGTERM': ('terminate_ahm', 'its AHM said'),
}


@pytest.mark.parametrize('how', sorted(GOODBYES))
def test_the_primarys_ahm_ends_and_database_and_vip_stay_until_it_is_back(three, how):
    end, said = GOODBYES[how]
    with three.story() as scenario:
        first, second, _ = scenario.cluster.nodes
        getattr(first, end)()
        leaderless(scenario)
        assert said in run(second, 'ahm_cluster_status', '--verbose').output
        scenario.nothing_happens(FIRST)
        assert first.host.holds_vip()
        first.start_ahm()
        scenario.healthy()
        scenario.undisturbed(FIRST)


GONE = (('stop_ahm', 'start_ahm'), ('kill_ahm', 'start_ahm'), ('freeze_ahm', 'thaw_ahm'))


def test_a_standbys_ahm_is_stopped_killed_and_frozen_and_another_successor_is_named(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        for goes, comes in GONE:
            names_successor(scenario, cluster.nodes, SECOND)
            getattr(second, goes)()
            scenario.reads([first, third], FIRST,
                           scenario.table(others={SECOND: ('STANDBY', 'LOST')}))
            names_successor(scenario, [first, third], THIRD)
            all_stream_from(cluster, FIRST)
            getattr(second, comes)()
            scenario.healthy()
        names_successor(scenario, cluster.nodes, SECOND)
        scenario.undisturbed(FIRST)


def names_successor(scenario, living, name):
    """Wait until all who live print this successor."""
    scenario.cluster.wait_until(
        lambda: {node.status().successor for node in living} == {name}, 30,
        '%s to be the successor' % name)


def test_every_daemon_is_restarted_and_asked_everything_and_nothing_is_promoted(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        for node in cluster.nodes:
            node.terminate_ahm()
            node.start_ahm()
            scenario.healthy()
        until = time.monotonic() + scenario.watched

        def asked_long_enough():
            for node in cluster.nodes:
                ask_everything(node)
            return time.monotonic() > until
        cluster.wait_until(asked_long_enough, scenario.watched + 60, 'the time to watch to be over')
        scenario.healthy()
        scenario.undisturbed(FIRST)


def ask_everything(node):
    """Every command that only reads, on this node's host."""
    for words in ((), ('--verbose',), ('--json',), ('-h', node.host.address)):
        assert FIRST in succeeds(node, 'ahm_cluster_status', *words)
    assert 'nodes_alive=3' in run(node, 'ahm_cluster_status', '--check').output
    would = run(node, 'ahm_promote_node', '--dry-run')
    assert 'can be promoted' in would.output or 'is the primary already' in would.output, would


def test_ahm_and_database_of_the_primary_are_killed_and_the_vip_keeps_the_others_from_taking_over(
        three):
    with three.story() as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        first.kill_ahm()
        first.kill_database()
        cluster.wait_until(lambda: 'no promotion: the VIP still answers' in scenario.log(
            *cluster.nodes[1:]), 30, 'the VIP to be noticed')
        scenario.nothing_happens(None)
        first.host.vip_down()
        scenario.next_fault()
        new = is_led_by_another(cluster, FIRST)
        scenario.written_through(new)
        scenario.reads(cluster.nodes[1:], new, scenario.table(new, {FIRST: ('PRIMARY', 'LOST')}))
        comes_back(scenario, first, new)
