"""Who says of himself that clients may write there (ahm_protocol(7), R64), in a few stories.

That no two say so at once is L26, which is checked in every story and in the search.
"""

import pytest

from ahmlib.core.states import NodeState
from ahmlib.simulation.faults import strike

from .clusters import CLUSTERS
from .plans import formed
from .test_operators import ask
from .test_pause import LONG, paused


def says(world):
    """The places of the nodes that say so now."""
    return [place for place, host in enumerate(world.hosts) if host.node is not None
            and host.node.parts.vip.serves(host.clock(world.now))]


@pytest.mark.parametrize('cluster', ['three nodes', 'three nodes without a VIP',
                                     'two nodes, half votes', 'two nodes and a witness'])
def test_the_leader_says_so_and_nobody_else(cluster):
    assert says(formed(CLUSTERS[cluster], 1)) == [0]


def test_at_an_instant_beyond_its_lease_it_does_not_though_nothing_has_told_it_yet():
    """As a daemon finds it that was stopped: its newest event is old, and the clock is not."""
    host = formed(CLUSTERS['three nodes'], 1).hosts[0]
    vip, until = host.node.parts.vip, host.node.consensus.tenure.until()
    assert host.node.state is NodeState.LEADER
    assert vip.serves(until - 0.001) and not vip.serves(until)


def test_nobody_says_so_between_two_leaders():
    """In a switchover: from the first step of the old one to the last of the new one."""
    world = formed(CLUSTERS['three nodes'], 1)
    assert ask(world, 1, 'promote')['ok']
    told = [says(world)]
    while told[-1] != [1]:
        world.run(0.01)
        told.append(says(world))
        assert len(told) < 100 * LONG
    assert told == sorted(told, key=[[0], [], [1]].index) and [] in told
    assert world.hosts[1].node.state is NodeState.LEADER


def test_who_takes_over_does_not_say_so_yet():
    world = formed(CLUSTERS['three nodes'], 1)
    strike(world, 'promote-slow', 1)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.hosts[1].node.state is NodeState.TAKING_OVER, LONG)
    assert says(world) == []
    assert world.run_until(lambda: says(world) == [1], LONG)
    assert world.hosts[1].node.state is NodeState.LEADER


def test_a_database_that_counts_as_failed_is_none_though_its_node_leads_on():
    world = formed(CLUSTERS['three nodes'], 1)
    for place in (1, 2):
        strike(world, 'kill-database', place)
    world.run(LONG)
    strike(world, 'kill-database', 0)
    assert world.run_until(lambda: says(world) == [], LONG)
    assert world.hosts[0].node.state is NodeState.LEADER


def test_in_a_pause_who_is_cut_off_says_so_on():
    world = paused()
    strike(world, 'cut', 0)
    world.run(LONG)
    assert says(world) == [0] and not world.hosts[0].node.leads


def test_an_isolated_leader_says_so_no_more_once_its_lease_has_ended():
    world = formed(CLUSTERS['three nodes'], 1)
    strike(world, 'cut', 0)
    assert world.run_until(lambda: 0 not in says(world), LONG)
    assert world.run_until(lambda: says(world) == [1], LONG)
    strike(world, 'heal', 0)
    world.run(LONG)
    assert says(world) == [1]
