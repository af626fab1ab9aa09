"""Stories that a reader of R50 to R53 found, where everything else held (see `test_field_data`)."""

import pytest

from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import make_settings

from .plans import formed

THREE = make_settings(3)
FENCED = make_settings(3, pre_promotion=True)


def trace(world):
    """What happened, for a failure's message."""
    return '\n'.join(world.trace[-80:])


def said(world, text):
    """Whether somebody told people this."""
    return any(text in line for line in world.trace)


# -- R30: positions are compared again after fencing ---------------------------------------------

def test_who_is_ahead_and_whose_fencing_fails_every_time_is_not_given_way_to_for_ever():
    """The one fenced and gave way, the other could not fence: nobody was ever promoted."""
    world = formed(FENCED, 1)
    strike(world, 'hook-fails', 1)
    strike(world, 'stop-replication', 2)
    world.run(0.5)
    world.crash(0)
    assert world.run_until(lambda: world.serves() == 2, 90.0), trace(world)
    assert said(world, 'AHM-NODE-2 has more data (')


def test_a_promotion_by_force_waits_for_no_synchronous_standby_after_fencing():
    """Force was refused for good wherever a fencing script and synchronous standbys were set."""
    world = formed(FENCED, 1, synchronous=1)
    for own in (0, 1):
        strike(world, 'power-off', own)
    world.run(20.0)
    strike(world, 'force', 2)
    assert world.hosts[2].answered['ok'], world.hosts[2].answered
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)


# -- R50: a healthy primary is not stopped for nothing ---------------------------------------------

@pytest.mark.parametrize('left', [0.001, 0.01, 0.02, 0.03])
def test_a_daemon_that_starts_as_its_lease_on_file_ends_is_heard_before_it_stops_its_primary(left):
    """A restart stopped it at its first look, before anybody could have answered."""
    world = formed(THREE, 1)
    host = world.hosts[0]
    world.crash(0)
    world.run((host.lease_until - host.clock(world.now)) / host.rate - left)
    world.start(0)
    world.run(10.0)
    assert not said(world, 'isolated primary') and world.serves() == 0, trace(world)


def test_a_running_primary_whose_takeover_is_stopped_runs_on_while_it_is_heard():
    """Everybody heard it, and it was stopped: "too few nodes hear it (3 of the 2 ...)"."""
    world = formed(THREE, 1)
    world.crash(0)
    strike(world, 'drop-vip', 0)
    strike(world, 'answer-for-vip', 0)
    world.start(0)
    world.run(40.0)
    assert said(world, 'takeover stopped: no promotion: the VIP still answers'), trace(world)
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: world.serves() == 0, 60.0), trace(world)
    assert world.hosts[0].database.starts == 0 and not said(world, 'isolated primary')


@pytest.mark.parametrize('fault', ['refuse-checks', 'fail-checks'])
def test_nobody_is_promoted_beside_a_cut_off_primary_whose_checks_had_failed(fault):
    """Its rows said "primary" no more, so nobody waited until it had to be stopped (L20)."""
    world = formed(make_settings(3, connect_timeout=0.3), 1)
    world.crash(0)
    strike(world, 'drop-vip', 0)
    strike(world, 'answer-for-vip', 0)
    world.start(0)
    assert world.run_until(lambda: said(world, 'takeover stopped'), 60.0), trace(world)
    strike(world, fault, 0)
    node = world.hosts[0].node
    assert world.run_until(lambda: node.parts.database.state is not DatabaseState.PRIMARY, 5.0)
    assert not node.leads and world.hosts[0].database.writable
    strike(world, 'cut', 0)
    assert world.run_until(lambda: world.serves() == 1, 10.0), trace(world)
    assert not world.hosts[0].database.running


def test_a_dead_database_beside_a_daemon_that_does_not_lead_is_still_replaced_at_once():
    world = formed(THREE, 1)
    world.crash(0)
    strike(world, 'drop-vip', 0)
    strike(world, 'answer-for-vip', 0)
    world.start(0)
    assert world.run_until(lambda: said(world, 'takeover stopped'), 60.0), trace(world)
    strike(world, 'kill-database', 0)
    assert world.run_until(lambda: world.serves() == 1, 5.0), trace(world)


# -- R18: what keeps a standby from being promoted may come up during its takeover -------------

@pytest.mark.parametrize('fault', ['pause-replay', 'refuse-checks'])
def test_a_standby_that_cannot_be_promoted_any_more_once_it_is_elected_is_not(fault):
    """It was elected, waited for the VIP, learned that it does not replay: promoted (L14)."""
    world = formed(THREE, 1)
    strike(world, 'answer-for-vip', 1)
    world.power_off(0)
    assert world.run_until(lambda: world.hosts[1].node.state is NodeState.TAKING_OVER, 20.0)
    strike(world, fault, 1)
    world.run(5.0)
    world.vip_answers.clear()
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)


def test_the_primary_of_a_cluster_that_was_shut_down_waits_for_the_others():
    """All others were bound to it, nobody could be promoted, and it was stopped all the same."""
    world = formed(THREE, 1)
    strike(world, 'shutdown-cluster', 1)
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 30.0)
    world.start(0)
    world.run(60.0)
    assert world.hosts[0].database.writable and not said(world, 'isolated primary'), trace(world)
    for own in (1, 2):
        world.start(own)
    assert world.run_until(lambda: world.serves() == 0, 60.0), trace(world)


# -- R51: others are asked about a standby ------------------------------------------------------

def test_a_standby_is_not_reported_out_because_everybody_answers_a_leader_that_takes_its_time():
    """Three of its questions went unanswered, and its own checks alone counted (L23)."""
    world = formed(THREE, 1)
    strike(world, 'vip-hangs', 0)
    strike(world, 'hang-database', 0)
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 30.0), trace(world)
    strike(world, 'fail-checks', 1)
    world.run(8.0)
    assert world.hosts[0].node.consensus.steps_down, trace(world)
    assert not world.hosts[1].node.parts.database.out, trace(world)
    for own in (0, 1):
        strike(world, 'commands-work', own)
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)


# -- R28, R50: a primary that is not the one on record ---------------------------------------------

def left_behind(settings):
    """The daemon of node 1 was killed, its host cut off; node 2 led after it, and lost power."""
    world = formed(settings, 1)
    world.crash(0)
    strike(world, 'cut', 0)
    assert world.run_until(lambda: world.hosts[1].node.state is NodeState.LEADER, 30.0)
    strike(world, 'power-off', 1)
    return world


def second_primary(world, name):
    """Whether this node told people that its database is a second primary."""
    return said(world, '%s second primary: the database here accepts writes though the primary on '
                       'record is' % name)


def test_a_primary_of_an_earlier_time_stops_before_anybody_is_promoted_beside_it():
    """It came back as the next leader's host died: an election was due, a primary in sight."""
    world = left_behind(THREE)
    strike(world, 'heal', 0)
    world.start(0)
    promoted = world.hosts[2].database.promotions
    third = world.hosts[2].database
    assert world.run_until(lambda: third.promotions > promoted, 30.0), trace(world)
    assert second_primary(world, 'AHM-NODE-1') and not world.hosts[0].database.running, trace(world)
    assert world.run_until(lambda: world.serves() == 2, 10.0), trace(world)
    assert world.hosts[0].node.parts.database.out


def test_a_primary_of_an_earlier_time_whose_stop_fails_holds_up_promotions():
    """The old primary on record was gone, so nobody asked who else accepts writes (L20)."""
    world = left_behind(make_settings(5))
    strike(world, 'stop-fails', 0)
    strike(world, 'heal', 0)
    world.start(0)
    world.run(60.0)
    assert world.serves() is None and world.hosts[2].database.in_recovery, trace(world)
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)


def test_a_primary_of_an_earlier_time_runs_on_where_nobody_else_could_lead():
    """An operator may have started it because nothing else is left; AHM does not lead over it."""
    world = left_behind(make_settings(3, witnesses=(2,)))
    strike(world, 'heal', 0)
    world.start(0)
    world.run(60.0)
    assert world.hosts[0].database.writable and world.serves() is None, trace(world)
    assert not second_primary(world, 'AHM-NODE-1')


# -- R52: the daemon of a dead house comes back ---------------------------------------------------

@pytest.mark.parametrize('how', ['vip-slow', 'vip-fails'])
def test_the_daemon_of_a_dead_house_that_is_back_before_the_vip_is_raised_drops_it_first(how):
    """Its host answered and was a rival; it came back, and the VIP was raised beside it (L22)."""
    world = formed(THREE, 1)
    strike(world, 'kill-daemon-and-database', 0)
    vip = world.hosts[1].node.parts.vip
    assert world.run_until(lambda: vip.rival is not None, 30.0), trace(world)
    strike(world, how, 0)
    world.start(0)
    assert world.run_until(lambda: world.hosts[1].node.state is NodeState.LEADER, 10.0)
    assert world.run_until(lambda: world.hosts[1].has_vip, 5.0), trace(world)
    assert world.hosts[0].has_vip is (how == 'vip-fails'), trace(world)
    assert said(world, 'AHM-NODE-2 vip: the VIP is still on AHM-NODE-1: drop it there') \
        is (how == 'vip-fails')
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)
