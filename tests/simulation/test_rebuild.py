"""A rebuild in the simulated world (R65): what diverged becomes a standby with all the data."""

import pytest

from ahmlib.core.states import DatabaseState
from ahmlib.simulation import faults
from ahmlib.simulation.host import FAILS, HANGS, LIES, SLOW
from tests.simulation.test_operators import ask, ends, formed, settled, trace


def diverged(**changes):
    """A world in which node 0 has rows that nobody has, and does not run; another one serves."""
    world = formed(**changes)
    world.hosts[1].behaves['replication'] = world.hosts[2].behaves['replication'] = HANGS
    world.run(1.0)
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 90.0), trace(world)
    world.hosts[1].behaves.pop('replication')
    world.hosts[2].behaves.pop('replication')
    world.run(5.0)
    return world


def rebuild(world, place=0):
    """Ask for it; returns the task."""
    answer = ask(world, place, 'attach', rebuild=True)
    assert answer['ok'], answer
    return world.hosts[place].node.parts.operator.task


def test_what_diverged_is_rebuilt_streams_and_can_be_promoted():
    world = diverged()
    new = world.serves()
    rebuild(world)
    assert world.run_until(lambda: world.hosts[0].node.parts.operator.task.step
                           == 'copies the primary', 5.0), trace(world)
    assert world.hosts[0].database.copies == 0, 'in place at its end'
    assert ends(world, 0) == '', trace(world)
    assert world.hosts[0].database.copies == 1 and world.hosts[0].database.copied_from == new
    assert world.run_until(lambda: settled(world), 30.0), trace(world)
    assert world.serves() == new
    assert ask(world, 0, 'promote')['ok'] and ends(world, 0) == ''
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)


def test_what_streams_as_it_is_is_not_copied():
    world = formed()
    rebuild(world, 1)
    assert ends(world, 1) == '' and world.hosts[1].database.copies == 0


def test_without_the_word_nothing_is_copied():
    world = diverged()
    assert ask(world, 0, 'attach')['ok']
    assert ends(world, 0) == 'it diverged' and world.hosts[0].database.copies == 0


@pytest.mark.parametrize('how', [FAILS, HANGS])
def test_a_copy_that_fails_leaves_what_is_there(how):
    world = diverged()
    before = world.hosts[0].database.position
    world.hosts[0].behaves['copy'] = how
    task = rebuild(world)
    if how == HANGS:
        world.run(60.0)
        assert task.is_running and world.serves() in (1, 2)
        assert world.run_until(lambda: not task.is_running, 60.0), 'one that does not get on'
        rebuild(world)
        world.crash(0)
        world.start(0)
        world.run(5.0)
    else:
        assert ends(world, 0) == 'exited with 1'
    assert world.hosts[0].database.position == before and not world.hosts[0].database.copies
    world.hosts[0].behaves.pop('copy')
    assert world.run_until(lambda: not world.hosts[0].node.plan.busy, 30.0), trace(world)
    rebuild(world)
    assert ends(world, 0) == '' and world.hosts[0].database.copies == 1, trace(world)


def test_nobody_is_rebuilt_who_leads_or_is_in_maintenance_or_where_nobody_leads():
    world = formed()
    assert 'leads: there is nothing' in ask(world, 0, 'attach', rebuild=True)['reason']
    faults.strike(world, 'pause-node', 2)
    world.run(2.0)
    assert 'is in maintenance' in ask(world, 2, 'attach', rebuild=True)['reason']
    world.power_off(0)
    world.power_off(2)
    world.run(60.0)
    assert ask(world, 1, 'attach', rebuild=True)['reason'].startswith('nobody leads')
    assert world.hosts[1].database.copies == 0


def test_a_copy_ends_where_another_one_leads_than_the_one_that_is_copied():
    world = diverged(pre_promotion=True)
    leader = world.serves()
    other = 3 - leader
    world.hosts[0].behaves['copy'] = SLOW
    task = rebuild(world)
    world.run(1.0)
    world.hosts[0].behaves['hook'] = world.hosts[other].behaves['hook'] = LIES
    world.crash(leader)
    assert world.run_until(lambda: world.hosts[other].node.leads, 90.0), trace(world)
    assert world.hosts[leader].database.writable, 'nobody fenced it'
    assert world.run_until(lambda: not task.is_running, 5.0), trace(world)
    assert 'overtaken' in task.reason
    world.run(90.0)
    assert world.hosts[0].database.copies == 0
    assert world.hosts[0].node.parts.database.state in (DatabaseState.QUARANTINED,
                                                        DatabaseState.FAILED)
