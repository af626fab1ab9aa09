"""Promotion by force, and what operators ask for, where it once went wrong.

Each schedule broke a lemma, left a cluster without a primary, or misled an operator, before what it
tells of was put right.
"""

import functools

import pytest

from ahmlib.core.beacon import Due
from ahmlib.simulation import faults
from ahmlib.simulation.host import HANGS

from .test_force import (
    come_back,
    force,
    half_that_is_isolated,
    left,
    reign_beside_a_leader,
    reigns,
    serves,
)
from .test_operators import ask, formed, refusal, trace


def second_reign():
    """Node 4 reigned and died; node 3, which had followed it, was promoted by force after it."""
    world = left(3, 4, size=5)
    force(world, 4)
    serves(world, 4)
    world.power_off(4)
    world.run(60.0)
    force(world, 3)
    serves(world, 3)
    return world


def test_a_reign_that_comes_back_does_not_stand_before_it_could_have_heard_who_came_after_it():
    world = second_reign()
    world.network.loss = 1.0
    faults.strike(world, 'power-on', 4)
    world.run(0.4)
    world.network.loss = 0.0
    world.run(30.0)
    assert world.serves() == 3 and not world.hosts[4].database.writable
    assert not world.hosts[4].node.consensus.tenure.reigns


def test_who_comes_back_beside_a_reign_whose_daemon_is_down_for_a_moment_raises_no_vip():
    world = left(2)
    force(world, 2)
    serves(world, 2)
    lost = world.clients.lost_by(2)
    world.crash(2)
    for place in (0, 1):
        faults.strike(world, 'power-on', place)
    world.run(3.0)
    assert world.hosts[2].has_vip and not world.hosts[0].has_vip
    world.start(2)
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)
    assert world.clients.two_primaries_seconds == 0.0 and world.clients.lost_by(2) == lost


def test_a_primary_that_is_forced_in_its_place_raises_no_vip_for_which_somebody_answers():
    world = formed(stop_isolated_primary=False)
    world.power_off(1)
    world.power_off(2)
    world.run(30.0)
    assert world.hosts[0].database.writable and not world.hosts[0].has_vip
    faults.strike(world, 'answer-for-vip', 0)
    world.run(3.0)
    assert ask(world, 0, 'promote', force=True)['ok']
    world.run(5.0)
    assert not world.hosts[0].has_vip
    faults.strike(world, 'commands-work', 0)
    serves(world, 0)
    assert reigns(world, 0)


def test_a_reign_is_taken_up_again_beside_an_old_primary_that_came_back_meanwhile():
    """Its daemon, which was away, would have stopped that database, which is not on record."""
    world = left(2)
    force(world, 2)
    serves(world, 2)
    world.crash(2)
    faults.strike(world, 'power-on', 0)
    world.run(1.0)
    world.start(2)
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)
    world.run(5.0)
    assert not world.hosts[0].database.writable


def test_whose_place_was_taken_by_force_does_not_take_it_back_when_its_successor_restarts():
    world = second_reign()
    faults.strike(world, 'restart', 3)
    faults.strike(world, 'power-on', 4)
    assert world.run_until(lambda: world.serves() == 3, 60.0), trace(world)
    world.run(10.0)
    assert world.serves() == 3 and not world.hosts[4].database.writable


def test_who_is_forced_in_contact_with_a_majority_needs_no_vote_of_one_who_does_not_hear_it():
    world = left(1, 2, 3, 4, size=5, priorities=(1, 0, 0, 0, 0))
    world.network.cut(4, 3)
    assert force(world, 4) == ''
    assert world.run_until(lambda: world.serves() == 4, 5.0), trace(world)
    assert not reigns(world, 4)


def test_followers_of_a_majority_that_was_forced_are_bound_to_nobody():
    """It dies in the middle of its takeover, and never reigned: those who are left may elect."""
    world = formed(size=5, priorities=(1, 0, 0, 0, 0))
    world.power_off(0)
    world.run(30.0)
    faults.strike(world, 'promote-slow', 4)
    assert ask(world, 4, 'promote', force=True)['ok']
    assert world.run_until(lambda: world.hosts[4].node.parts.database.half_done, 30.0), trace(world)
    world.run(0.5)
    followers = [host.node for host in world.hosts[1:4]]
    assert [node.consensus.promise.leader for node in followers] == [4, 4, 4]
    world.power_off(4)
    world.run(30.0)
    assert not any(node.consensus.promise.bound for node in followers)
    assert all(node.consensus.contest.due is Due.ANYBODY for node in followers)


def test_who_followed_a_reign_elects_nobody_after_it_with_those_who_come_back_then():
    """They never heard of the reign, whose host may come back out of the reach of all."""
    world = left(3, 4, size=5)
    force(world, 4)
    serves(world, 4)
    world.power_off(4)
    world.run(30.0)
    come_back(world, 0, 1, 2)
    world.run(60.0)
    assert world.serves() is None and world.hosts[3].node.consensus.promise.bound
    world.network.isolate(4, range(5))
    faults.strike(world, 'power-on', 4)
    world.run(20.0)
    assert world.serves() == 4
    world.network.heal()
    assert world.run_until(lambda: not reigns(world, 4), 20.0), trace(world)
    assert world.serves() == 4


def test_who_was_bound_to_a_reign_that_is_gone_returns_to_the_one_that_was_forced_after_it():
    """Its daemon is down all the while; that of the new leader restarts, and needs its vote."""
    world = left(2, 3, 4, size=7)
    force(world, 4)
    serves(world, 4)
    world.crash(2)
    world.power_off(4)
    world.run(30.0)
    force(world, 3)
    serves(world, 3)
    world.crash(3)
    world.start(2)
    world.run(5.0)
    assert world.hosts[2].node.consensus.promise.leader == 4
    world.start(3)
    serves(world, 3)
    assert world.hosts[2].node.consensus.promise.leader == 3


def reign_that_yielded():
    """The leader of a majority that was not gone has met a reign, of a timeline above its own."""
    world = reign_beside_a_leader()
    world.network.heal()
    world.run(20.0)
    assert world.serves() == 0 and world.hosts[4].database.timeline == 2
    return world


def test_a_leader_to_whom_a_reign_yielded_serves_again_after_its_restart():
    world = reign_that_yielded()
    assert {host.node.parts.place.record.node for host in world.hosts} == {0}
    faults.strike(world, 'drop-vip', 0)
    world.run(5.0)
    assert world.serves() == 0
    faults.strike(world, 'crash-and-start', 0)
    world.run(1.0)
    assert world.run_until(lambda: world.serves() == 0, 20.0), trace(world)


def test_a_leader_to_whom_a_reign_yielded_is_followed_by_a_standby_of_its_own():
    world = reign_that_yielded()
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


@pytest.mark.parametrize('size, more', ((5, dict(force=True)), (3, {})))
def test_of_two_who_are_wanted_at_once_all_elect_the_same_one(size, more):
    world = formed(size=size)
    two = (size - 2, size - 1)
    for place in range(size - 2):
        world.power_off(place)
    for place in two:
        world.crash(place)
        world.start(place)
    world.run(60.0)
    assert [ask(world, place, 'promote', **more)['ok'] for place in two] == [True, True]
    assert world.run_until(lambda: world.serves() == two[0], 10.0), trace(world)
    assert 'leads now' in world.hosts[two[1]].node.parts.operator.task.reason


def test_force_names_who_is_not_heard_also_where_half_the_votes_would_do():
    world = half_that_is_isolated()
    risks = ask(world, 2, 'promote', force=True, dry_run=True)['risks']
    assert risks[0].startswith('AHM-NODE-1, AHM-NODE-2: not heard; '), risks


def test_force_is_refused_where_beacons_of_somebody_arrive_though_none_counts():
    """It was restarted, and nothing that it sends reaches anybody: nobody echoes its new life."""
    world = formed()
    faults.strike(world, 'mute', 2)
    world.crash(2)
    world.start(2)
    world.run(20.0)
    assert refusal(world, 2, 'promote', force=True).startswith(
        'AHM-NODE-1 is heard, and does not hear AHM-NODE-3: ')


def test_a_switchover_in_which_the_lease_ends_leaves_a_standby_that_is_started_again():
    world = formed(witnesses=(2,))
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 20.0), trace(world)
    world.hosts[1].behaves['replication'] = HANGS
    world.power_off(1)
    world.network.isolate(0, range(3))
    world.run(5.0)
    assert not world.hosts[0].node.leads and world.hosts[0].database.signal
    world.network.heal()
    assert world.run_until(lambda: world.serves() == 0, 120.0), trace(world)


def test_a_reign_over_a_database_that_is_a_standby_by_now_is_elected_like_any_other_by_a_majority():
    """Its disk was full when a majority came back, and it died before it could be written."""
    world = left(1)
    force(world, 1)
    serves(world, 1)
    world.hosts[1].disk_full = True
    faults.strike(world, 'power-on', 0)
    assert world.run_until(lambda: not world.hosts[1].node.consensus.tenure.reigns, 30.0), \
        trace(world)
    faults.strike(world, 'demote-by-hand', 1)
    world.power_off(1)
    world.hosts[1].disk_full = False
    world.run(20.0)
    assert world.hosts[1].saved.forced and world.hosts[0].node.parts.database.out
    come_back(world, 1, 2)
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)
    assert not world.hosts[1].node.consensus.tenure.reigns


def test_a_reign_whose_disk_refuses_is_silent_and_ends_as_every_lease():
    """Else who comes back would not hear it, and without a VIP nothing else would tell them."""
    world = left(2, vip='')
    force(world, 2)
    serves(world, 2)
    world.hosts[2].disk_full = True
    world.run(30.0)
    assert world.serves() == 2
    consensus = world.hosts[2].node.consensus
    consensus.ballot.move(consensus.term + world.settings.size)     # it has something to save
    world.run(world.settings.timing.hold)
    assert not world.hosts[2].database.writable
    for place in (0, 1):
        faults.strike(world, 'power-on', place)
    world.run(20.0)
    assert sum(world.serves_clients(host) for host in world.hosts) <= 1


#: All of them, for the test of what is reached.
STORIES = [functools.partial(story, 5, dict(force=True)) if story.__code__.co_argcount else story
           for name, story in sorted(globals().items()) if name.startswith('test_')]
