"""Stories of another nodes.conf in a pause: nodes are added, replaced and taken out, one by one.

The danger is {A, B}, a majority of three, beside {C, D, E}, one of five: two leaders.
"""

from random import Random

import pytest

from ahmlib.core.policy.candidate import Candidate
from ahmlib.core.policy.pause import Paused
from ahmlib.core.states import NodeState
from ahmlib.core.status import status
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import make_settings
from ahmlib.simulation.lemma import spared
from ahmlib.simulation.lemmas import LEMMAS
from ahmlib.simulation.network import Network
from ahmlib.simulation.node_files import move
from ahmlib.simulation.world import Broken, World

from .mutants import Mutant, Patch, applied
from .test_operators import ask, trace
from .test_pause import LONG, done, promotions

#: By how many of the world's five hosts it has: the settings of each.
FILES = {size: make_settings(size, cluster=70 + size) for size in (2, 3, 4, 5)}


def began(size=3, seed=1, lemmas=None):
    """A world of five hosts, of which the first so many are a cluster, and node 0 leads."""
    world = World(FILES[size] + FILES[5][size:], seed=seed, lemmas=lemmas)
    world.network = Network(world.random, doubled=0.02)
    for place in range(size):
        world.start(place)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    world.run(5.0)
    return world


def paused(size=3, seed=1, lemmas=None):
    """The same, paused."""
    world = began(size, seed, lemmas)
    done(world, 0, 'pause')
    assert world.run_until(lambda: all(
        host.node.parts.paused.pause.sealed for host in world.hosts[:size]), 5.0)
    world.run(1.0)
    return world


def moves(world, place, size):
    """This node is restarted, or started, with the file of so many nodes."""
    assert move(world, place, FILES[size][place]) == ''
    host = world.hosts[place]
    assert world.run_until(lambda: host.node is not None
                           and host.settings.size == size, 10.0), trace(world)


def serves_all_the_while(world):
    """No second without a write, nobody promoted, and no server started again."""
    gaps = [later - earlier for (earlier, _), (later, _) in zip(world.writes, world.writes[1:])]
    return max(gaps) < 0.1 and not any(promotions(world)) \
        and {node for _, node in world.writes} == {0} and world.hosts[0].database.starts == 0


def ends(world, size):
    """The pause is over everywhere by the file of so many nodes, and what fails fails over."""
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    assert world.run_until(lambda: not world.hosts[0].node.parts.paused.moved, LONG), trace(world)
    done(world, 0, 'resume')
    assert world.run_until(lambda: not any(
        host.node.parts.paused.on or host.node.parts.paused.moved
        for host in world.hosts[:size]), LONG), trace(world)
    assert serves_all_the_while(world)
    world.run(5.0)      # standbys stream again
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() not in (None, 0), LONG), trace(world)


@pytest.mark.parametrize('order', [(3, 4, 1, 2, 0), (0, 1, 2, 3, 4), (2, 0, 4, 1, 3)])
def test_two_nodes_are_added_in_any_order(order):
    world = paused()
    for place in order:
        moves(world, place, 5)
        world.run(LONG / 8)
    ends(world, 5)


@pytest.mark.parametrize('order', [(1, 2, 0), (0, 2, 1)])
def test_two_of_five_are_taken_out(order):
    world = paused(5)
    for place in (3, 4):
        strike(world, 'stop', place)
    for place in order:
        moves(world, place, 3)
    ends(world, 3)


def test_one_of_two_is_left_out_and_put_in_again():
    world = paused(3)
    strike(world, 'stop', 2)
    for size, order in ((2, (1, 0)), (3, (0, 2, 1))):
        for place in order:
            moves(world, place, size)
        assert world.run_until(lambda: world.serves() == 0
                               and not world.hosts[0].node.parts.paused.moved, LONG), trace(world)
    ends(world, 3)


def test_who_is_waited_for_is_named_and_the_end_is_refused_until_then():
    world = paused()
    for place in (3, 4, 0):
        moves(world, place, 5)
    assert world.run_until(lambda: world.hosts[0].node.state is NodeState.LEADER, LONG), \
        trace(world)
    world.run(5.0)
    told = ' '.join(status(world.hosts[0].node.parts)['warnings'])
    refused = ask(world, 0, 'resume')
    for text in (told, refused['reason']):
        assert 'it waits for AHM-NODE-2 and AHM-NODE-3: start AHM there' in text, text
    assert 'only there: ' in ' '.join(status(world.hosts[1].node.parts)['warnings'])
    moves(world, 1, 5)
    world.run(5.0)
    assert 'it waits for AHM-NODE-3: ' in ask(world, 0, 'resume')['reason']
    assert ask(world, 3, 'promote')['ok']
    task = world.hosts[3].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.state == 'failed' and 'it waits for AHM-NODE-3: ' in task.reason, task.reason
    moves(world, 2, 5)
    ends(world, 5)


def test_a_majority_of_each_file_does_not_make_two_leaders():
    """{A, B} by the old file are cut off from {C, D, E} by the new one."""
    world = paused()
    for place in (2, 3, 4):
        moves(world, place, 5)
    world.network.part((0, 1), (2, 3, 4))
    world.run(LONG)
    for place in (2, 3):
        assert 'the cluster is paused, and only ' in ask(world, place, 'promote')['reason']
    world.run(LONG)
    assert world.serves() == 0 and promotions(world) == [0] * 5
    strike(world, 'heal', 0)
    for place in (0, 1):
        moves(world, place, 5)
    ends(world, 5)


def test_a_holder_that_is_cut_off_alone_serves_on_by_either_file():
    world = paused()
    for place in (3, 4, 1, 2):
        moves(world, place, 5)
    strike(world, 'cut', 0)
    world.run(LONG)
    assert world.serves_clients(world.hosts[0]) and not world.hosts[0].node.leads
    moves(world, 0, 5)
    world.run(LONG)
    assert world.serves_clients(world.hosts[0]) and promotions(world) == [0] * 5
    strike(world, 'heal', 0)
    ends(world, 5)


def test_a_node_that_slept_through_the_pause_does_not_help_to_elect_another():
    """C was off when the pause began; it is started by the new file, beside D, cut off."""
    world = began()
    strike(world, 'power-off', 2)
    world.run(5.0)
    done(world, 0, 'pause')
    world.run(1.0)
    assert 'may not know of the pause' in move(world, 1, FILES[5][1])
    moves(world, 1, 4)
    moves(world, 3, 4)
    world.power_on(2)
    world.hosts[2].database.start(by_hand=True)
    moves(world, 2, 4)
    world.network.part((0, 1), (2, 3))
    world.run(LONG)
    assert 'is in contact with 2 of the 4 nodes' in ask(world, 2, 'promote')['reason']
    assert promotions(world) == [0] * 5 and world.serves_clients(world.hosts[0])
    strike(world, 'heal', 0)
    moves(world, 0, 4)
    ends(world, 4)


def test_a_node_that_is_put_back_to_the_old_file_after_the_end_promotes_nothing():
    """Beside one that was taken out and runs on, which has followed: cut off from the primary."""
    world = paused(4)
    for place in (1, 2, 0):
        moves(world, place, 3)
    assert world.run_until(lambda: world.serves() == 0
                           and not world.hosts[0].node.parts.paused.moved, LONG), trace(world)
    done(world, 0, 'resume')
    world.run(5.0)
    assert world.hosts[3].node.consensus.follower.followed
    for place in (1, 2):
        strike(world, 'crash', place)
        world.network.isolate(place, (0,))
    world.network.isolate(3, (0,))
    for place in (1, 2):
        moves(world, place, 4)
    world.run(LONG)
    assert promotions(world) == [0] * 5, trace(world)


def test_a_holder_that_crashes_between_the_steps_comes_back_by_either_file():
    world = paused()
    moves(world, 1, 5)
    moves(world, 3, 5)
    strike(world, 'crash', 0)
    world.run(LONG)
    strike(world, 'start', 0)
    world.run(LONG)
    assert world.serves_clients(world.hosts[0])
    strike(world, 'crash', 0)
    moves(world, 0, 5)
    assert world.run_until(lambda: world.hosts[0].node.state is NodeState.LEADER, LONG), \
        trace(world)
    for place in (2, 4):
        moves(world, place, 5)
    ends(world, 5)


def test_a_promotion_by_force_in_the_middle():
    world = paused()
    for place in (3, 4, 1, 2):
        moves(world, place, 5)
    strike(world, 'power-off', 0)
    world.run(LONG)
    strike(world, 'force', 1)
    assert world.run_until(lambda: world.serves() == 1, LONG), trace(world)
    assert world.run_until(lambda: not world.hosts[4].node.parts.paused.on, LONG), trace(world)


def test_what_is_refused():
    world = paused()
    assert 'make another node the primary first' in move(
        world, 1, FILES[3][1]._replace(cluster=99, addresses=FILES[5][0].addresses[1:4]))
    strike(world, 'resume-cluster', 0)
    world.run(5.0)
    assert move(world, 1, FILES[5][1]) == 'the cluster is not paused'


def test_timings_are_reloaded_and_the_end_waits_until_they_are_the_same():
    world = paused()
    for place in (1, 0, 2):
        host = world.hosts[place]
        strike(world, 'reload', place)
        host.settings = host.settings._replace(interval=2.0, retries=4)
        strike(world, 'reload', place)
        if place != 2:
            world.run(3.0)
            assert 'has other timings than AHM-NODE-1' in ask(world, 0, 'resume')['reason']
    world.run(20.0)
    assert serves_all_the_while(world) and world.hosts[0].node.leads, trace(world)
    done(world, 0, 'resume')
    world.run(10.0)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() == 1, LONG), trace(world)


#: Of a plan by chance: what may happen beside restarts with either file.
CHANCE = ('cut', 'cut-between', 'part', 'heal', 'heal', 'crash', 'start', 'start', 'power-off',
          'power-on', 'promote', 'promote', 'pause-cluster', 'resume-cluster', 'restart',
          'kill-database', 'start-database', 'stop', 'crash-and-start', 'freeze', 'thaw')


def by_chance(seed, lemmas=None):
    """Nodes go to and fro between two files in a pause, whatever else happens."""
    random, size = Random(seed), Random(seed).choice((3, 4))
    world = paused(size, seed % 7, lemmas)
    for _ in range(30):
        place = random.randrange(5)
        if random.random() < 0.4:
            file = random.choice((size, 5 if size == 3 else 3))
            if place < file and not world.hosts[place].paused:
                _may_move(world, place, file)
        elif world.hosts[place].settings.size == size or world.hosts[place].life:
            strike(world, random.choice(CHANCE), place)
        world.run(random.choice((0.1, 0.5, 1.0, 3.0, 8.0)))
    return world


def _may_move(world, place, file):
    """An operator changes files in a pause only, and looks whether the cluster is paused."""
    if any(spared(host) for host in world.hosts):
        move(world, place, FILES[file][place])


@pytest.mark.parametrize('seed', range(12))
def test_no_lemma_breaks_whatever_happens_meanwhile(seed):
    by_chance(seed)


FORGETS = Mutant('a node forgets the pause with its nodes.conf', 25, '', (), (
    Patch(Paused, '__init__', 'self.pause, self.moved = saved.pause',
          'self.pause, self.moved = saved.pause._replace(on=not saved.moved and saved.pause.on)'),))


def test_the_checker_of_its_lemma_alone_catches_a_pause_that_is_forgotten():
    only = [lemma for lemma in LEMMAS if lemma.number == 25]
    with applied(FORGETS), pytest.raises(Broken) as broken:
        world = paused(lemmas=only)
        for place in (2, 3, 4):
            moves(world, place, 5)
        world.network.part((0, 1), (2, 3, 4))
        world.run(LONG)
        ask(world, 2, 'promote')
        world.run(LONG)
    assert broken.value.lemma.number == 25


HEARSAY = Mutant('who has moved believes that others have followed', 20, '', (), (
    Patch(Candidate, '_due', 'self.paused.moved or', ''),))


def test_without_the_rule_about_hearsay_a_node_that_is_put_back_promotes():
    with applied(HEARSAY), pytest.raises((AssertionError, Broken)):
        test_a_node_that_is_put_back_to_the_old_file_after_the_end_promotes_nothing()


STORIES = [
    lambda: test_two_nodes_are_added_in_any_order((0, 1, 2, 3, 4)),
    test_who_is_waited_for_is_named_and_the_end_is_refused_until_then,
    test_a_majority_of_each_file_does_not_make_two_leaders,
    test_a_node_that_is_put_back_to_the_old_file_after_the_end_promotes_nothing,
    test_timings_are_reloaded_and_the_end_waits_until_they_are_the_same,
]
