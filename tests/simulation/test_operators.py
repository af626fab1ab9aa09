"""What operators ask for, in the simulated world: switchover, attach, the end of the cluster."""

import functools

import pytest

from ahmlib.core import events
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation import faults, perform
from ahmlib.simulation.host import FAILS, HANGS, SLOW, make_settings
from ahmlib.simulation.world import World


def formed(seed=0, size=3, world=None, **changes):
    """A world in which node 0 serves and everybody follows; `world` are options of the World."""
    world = World(make_settings(size, **changes), seed=seed, **(world or {}))
    world.start_all()
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)
    world.run(2.0)
    return world


def settled(world):
    """Whether every daemon's node leads or follows, and every database but the leader's streams."""
    leader = world.leader()
    return leader is not None and all(
        host.node is None or host.settings.own == leader or (
            host.node.consensus.follower.following and (host.database is None or (
                host.node.parts.database.state is DatabaseState.STANDBY
                and world.upstream_of(host) is not None)))
        for host in world.hosts)


def trace(world):
    """The end of the trace, for a failed assertion."""
    return '\n'.join(world.trace[-60:])


def ask(world, own, what, **more):
    """Ask this node for something; its answer."""
    world.feed(world.hosts[own], events.ClientAsked(0, dict(more, ask=what), 'a test'))
    return world.hosts[own].answered


@pytest.mark.parametrize('seed', range(8))
def test_a_switchover_loses_no_row_and_everybody_follows_the_new_primary(seed):
    world = formed(seed)
    answer = ask(world, 2, 'promote')
    assert answer['ok'], answer
    task = world.hosts[2].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.state == 'done', task.reason + '\n' + trace(world)
    assert world.run_until(lambda: world.serves() == 2 and settled(world), 60.0), trace(world)
    assert world.clients.lost_by(2) == 0
    states = [host.node.parts.database.state for host in world.hosts]
    assert states == [DatabaseState.STANDBY, DatabaseState.STANDBY, DatabaseState.PRIMARY]


def test_the_role_goes_there_and_back():
    world = formed()
    for target in (1, 0, 2, 0):
        assert ask(world, target, 'promote')['task']['state'] == 'running'
        assert world.run_until(lambda: world.serves() == target and settled(world), 60.0), \
            trace(world)
        world.run(1.0)
    assert world.clients.lost_by(0) == 0


def test_a_target_that_does_not_get_the_last_of_the_wal_is_not_promoted_and_all_is_undone():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[1].behaves['replication'] = HANGS
    task = world.hosts[1].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.state == 'failed' and 'has not received the last of the WAL' in task.reason
    world.hosts[1].behaves.clear()
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 30.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


def test_a_leader_that_leaves_hands_over_only_to_a_successor_that_got_the_last_of_the_wal():
    """It resigned whatever the successor had: what that lacked was lost by a planned stop."""
    world = formed(pre_promotion=True)
    world.stop(0)
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[1].behaves['replication'] = world.hosts[2].behaves['replication'] = HANGS
    assert world.run_until(lambda: world.hosts[0].node is None, 90.0), trace(world)
    assert any('ends (RESTARTING)' in line for line in world.trace), trace(world)
    assert world.serves_clients(world.hosts[0]), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


@pytest.mark.parametrize('period', [0.5, 30.0])
def test_a_leader_that_leaves_hands_over_without_a_lost_row_and_without_waiting_for_checks(period):
    world = formed(pre_promotion=True, health_check_period=period)
    world.hosts[0].behaves['checkpoint'] = FAILS        # a user that may not: nothing depends on it
    world.stop(0)
    assert world.run_until(lambda: world.serves() == 1, 5.0), trace(world)
    assert world.clients.lost_by(1) == 0
    assert world.run_until(lambda: world.hosts[0].node is None, 5.0), trace(world)
    assert any('ends (LEAVING)' in line for line in world.trace), trace(world)


def test_a_target_that_dies_is_not_waited_for_for_ever():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.power_off(1)
    assert world.run_until(lambda: world.serves() == 0, 60.0), trace(world)


def test_the_primary_host_dies_in_the_middle_of_a_switchover():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 20.0), trace(world)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    assert world.clients.lost_by(world.serves()) == 0


def test_whoever_may_not_be_promoted_is_told_why():
    world = formed(size=4, witnesses=(3,), priorities=(1, 2, 0, 4))
    assert ask(world, 0, 'promote')['reason'] == 'AHM-NODE-1 is the primary already'
    assert ask(world, 2, 'promote')['reason'] == 'AHM-NODE-3 has priority 0'
    assert 'is a witness' in ask(world, 3, 'promote')['reason']
    world.hosts[1].behaves['replication'] = HANGS
    world.run(2.0)
    assert ask(world, 1, 'promote')['reason'].startswith('AHM-NODE-2 does not stream')
    assert ask(world, 1, 'promote', dry_run=True)['ok'] is False
    assert world.hosts[1].node.parts.operator.task is None


def test_a_dry_run_changes_nothing():
    world = formed()
    assert ask(world, 1, 'promote', dry_run=True) == {'ok': True}
    world.run(10.0)
    assert world.serves() == 0 and world.hosts[1].node.parts.operator.task is None


def test_a_failed_primary_is_attached_and_promoted_back():
    world = formed()
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    world.run(5.0)
    new = world.serves()
    assert world.hosts[0].node.parts.database.state is DatabaseState.FAILED
    assert ask(world, 0, 'attach')['ok']
    task = world.hosts[0].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    if task.state == 'failed':
        assert 'diverged' in task.reason
        assert world.hosts[0].node.parts.database.state is DatabaseState.QUARANTINED
        return
    assert world.run_until(lambda: settled(world), 30.0), trace(world)
    assert world.serves() == new
    assert ask(world, 0, 'promote')['ok']
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)


def test_nothing_is_attached_where_nobody_leads_or_to_oneself():
    world = formed()
    assert 'leads: there is nothing' in ask(world, 0, 'attach')['reason']
    world.power_off(0)
    world.run(0.1)
    world.crash(2)
    assert world.run_until(lambda: world.hosts[1].node.state
                           is NodeState.IN_RESOURCE_LIMITATION, 60.0), trace(world)
    assert ask(world, 1, 'attach')['reason'].startswith('nobody leads')


def test_a_diverged_primary_is_quarantined_when_it_is_attached():
    world = formed()
    world.hosts[1].behaves['replication'] = world.hosts[2].behaves['replication'] = HANGS
    world.run(1.0)
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 90.0), trace(world)
    world.run(5.0)
    assert ask(world, 0, 'attach')['ok']
    assert world.run_until(lambda: not world.hosts[0].node.parts.operator.task.is_running, 60.0)
    assert world.hosts[0].node.parts.operator.task.reason == 'it diverged'
    world.run(5.0)
    assert world.hosts[0].node.parts.database.state is DatabaseState.QUARANTINED


@pytest.mark.parametrize('asked', range(3))
def test_the_cluster_ends_and_nothing_is_promoted_then_or_at_the_cold_start(asked):
    world = formed(seed=asked)
    world.harmless = True
    assert ask(world, asked, 'shutdown') == {'ok': True}
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 60.0), \
        trace(world)
    assert world.hosts[0].has_vip and world.hosts[0].database.writable
    world.run(3 * world.settings.timing.hold)
    for own in (2, 1, 0):
        world.start(own)
        world.run(world.settings.timing.hold)
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


#: (size, hosts that are off, who is asked)
MISSING = ((3, (2,), 0), (3, (2,), 1), (4, (3,), 0), (4, (3,), 2), (5, (3, 4), 0), (5, (3, 4), 1))


@pytest.mark.parametrize('case', range(len(MISSING)))
def test_the_end_of_a_cluster_in_which_nodes_are_missing_leaves_database_and_vip_too(case):
    size, gone, asked = MISSING[case]
    world = formed(seed=asked, size=size)
    for place in gone:
        world.power_off(place)
    world.run(3 * world.settings.timing.hold)
    assert ask(world, asked, 'shutdown') == {'ok': True}
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 60.0), \
        trace(world)
    assert world.hosts[0].has_vip and world.hosts[0].database.writable, trace(world)
    world.run(3 * world.settings.timing.hold)
    for place in reversed(range(size)):
        faults.strike(world, 'power-on', place)
        faults.strike(world, 'start', place)
    assert world.run_until(lambda: world.serves() == 0, 60.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0] * size


def test_a_node_that_starts_takes_no_shutdown_over():
    world = formed()
    world.crash(2)
    world.run(0.1)
    assert ask(world, 1, 'shutdown') == {'ok': True}
    world.run(0.3)
    world.start(2)
    assert world.run_until(lambda: world.hosts[0].node is None, 60.0), trace(world)
    world.run(5.0)
    assert world.hosts[2].node is not None and world.hosts[2].database.promotions == 0


def test_standbys_without_a_primary_wait_until_an_operator_chooses_one():
    world = formed()
    world.power_off(0)
    for own in (1, 2):
        world.crash(own)
        world.start(own)
    world.run(60.0)
    assert world.serves() is None
    assert ask(world, 2, 'promote')['ok'], ask(world, 2, 'promote')
    assert world.run_until(lambda: world.serves() == 2 and settled(world), 60.0), trace(world)


def frozen_while_an_election_is_due(seconds):
    """Node 2 has less, and leaves node 1, which has more, a moment; that one sleeps for so long."""
    world = formed()
    world.hosts[2].behaves['replication'] = HANGS
    world.run(1.0)
    world.hosts[0].database.stop()
    old = world.hosts[0].node.consensus
    assert world.run_until(lambda: not (old.leads or old.steps_down), 30.0), trace(world)
    world.pause(1)
    world.run(seconds)
    assert world.hosts[2].node.consensus.contest.due and world.serves() is None, trace(world)
    world.resume(1)
    return world


def test_a_standby_with_less_leaves_one_that_has_more_a_moment_to_find_the_election_due():
    world = frozen_while_an_election_is_due(0.4)
    assert world.run_until(lambda: world.serves() == 1, 20.0), trace(world)


def test_of_two_that_stand_at_once_one_is_elected():
    met = 0
    for milliseconds in range(998, 1006):
        world = frozen_while_an_election_is_due(milliseconds / 1000.0)
        assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)
        met += any('was not elected in term' in line for line in world.trace)
    assert met, 'nothing is shown: they never stood at once'


def test_who_cannot_be_promoted_for_its_database_is_told_what_ails_that():
    world = formed()
    world.crash(2)
    world.hosts[2].database.stop()
    world.start(2)
    state = DatabaseState.FAILED
    database = world.hosts[2].node.parts.database
    assert world.run_until(lambda: database.state is state, 30.0), trace(world)
    assert ask(world, 2, 'promote')['reason'] == \
        "AHM-NODE-3's database failed its checks: connection refused"


def test_people_are_told_of_a_standby_that_does_not_stream_and_of_its_return():
    world = formed()
    world.hosts[2].behaves['replication'] = HANGS
    assert world.run_until(lambda: world.hosts[2].node.parts.database.streaming is False, 30.0)
    world.hosts[2].behaves.clear()
    assert world.run_until(lambda: world.hosts[2].node.parts.database.streaming, 30.0)
    said = [line for line in world.trace if 'AHM-NODE-3' in line and 'streaming: ' in line]
    assert len(said) == 2, said
    assert 'does not stream from the primary' in said[0] and 'streams from' in said[1]


def test_a_failed_database_is_restarted_in_place_before_anybody_is_elected():
    world = formed(restart_failed=True)
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() == 0, 30.0), trace(world)
    world.run(10.0)
    assert world.serves() == 0 and [host.database.promotions for host in world.hosts] == [0, 0, 0]


def test_a_restart_in_place_that_fails_is_followed_by_a_failover():
    world = formed(restart_failed=True)
    faults.strike(world, 'start-fails', 0)
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)


def refusal(world, own, what, **more):
    """Why this node refuses."""
    answer = ask(world, own, what, **more)
    assert not answer['ok'], answer
    return answer['reason']


def ends(world, own):
    """Wait for the end of this node's task; '' or why it failed."""
    task = world.hosts[own].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 250.0), trace(world)
    return task.reason


#: What goes wrong at the old primary, at which moment: the switchover is refused or undone.
WRONG = (
    ('checkpoint', FAILS, False, 'the checkpoint before it failed'),
    ('vip', FAILS, False, 'the VIP could not be dropped'),
    ('stop', FAILS, False, 'the database could not be stopped'),
)


@pytest.mark.parametrize('case', range(len(WRONG)))
def test_what_fails_at_the_old_primary_leaves_it_the_primary(case):
    what, how, _, said = WRONG[case]
    world = formed()
    world.hosts[0].behaves[what] = how
    assert ask(world, 1, 'promote')['ok']
    assert said in ends(world, 1)
    world.hosts[0].behaves.clear()
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 30.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


def test_all_that_can_fail_at_the_old_primary_leaves_it_the_primary():
    for case in range(len(WRONG)):
        test_what_fails_at_the_old_primary_leaves_it_the_primary(case)


def test_a_primary_that_hangs_when_it_is_stopped_is_started_again():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[0].database.hung = True
    assert 'was not shut down cleanly' in ends(world, 1)
    assert world.run_until(lambda: world.serves() == 0, 30.0), trace(world)


def test_an_undo_that_fails_is_followed_by_a_failover():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[1].behaves['replication'] = HANGS
    world.hosts[0].behaves['start'] = FAILS
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)
    assert world.clients.lost_by(2) == 0


def test_a_target_that_falls_too_far_behind_is_not_waited_for_with_a_stopped_primary():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    world.hosts[1].behaves['replication'] = HANGS
    world.hosts[0].database.lsn += 20 * 1024 * 1024
    assert 'bytes behind AHM-NODE-1' in ends(world, 1)
    assert world.serves() == 0


def test_a_target_that_is_lost_before_anything_was_stopped_costs_nothing():
    world = formed()
    world.hosts[0].behaves['checkpoint'] = SLOW
    assert ask(world, 1, 'promote')['ok']
    world.run(0.1)
    world.power_off(1)
    world.run(60.0)
    assert world.serves() == 0 and world.hosts[0].database.starts == 0


def clean_failover(world):
    """The primary is stopped by hand, having sent all; the new leader."""
    perform._send_the_last(world, world.hosts[0])
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    world.run(5.0)
    return world.serves()


def test_an_old_primary_that_had_sent_all_is_attached_and_promoted_back():
    world = formed()
    new = clean_failover(world)
    assert ask(world, 0, 'attach')['ok']
    assert ends(world, 0) == '', trace(world)
    assert world.run_until(lambda: settled(world), 30.0), trace(world)
    assert world.serves() == new
    assert ask(world, 0, 'promote')['ok'] and ends(world, 0) == ''
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)


def test_an_attach_whose_stream_breaks_at_once_is_no_success():
    world = formed()
    clean_failover(world)
    world.hosts[0].behaves['replication'] = HANGS
    assert ask(world, 0, 'attach')['ok']
    assert 'and then failed its check' in ends(world, 0)
    assert world.hosts[0].node.parts.database.out


def test_an_old_primary_that_cannot_come_back_by_itself_is_reported_out():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 20.0), trace(world)
    world.hosts[0].behaves['start'] = FAILS
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)
    world.run(5.0)
    assert 'did not come back as a standby' in world.hosts[0].node.parts.database.out


def test_one_thing_at_a_time():
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert refusal(world, 1, 'promote').startswith('AHM-NODE-2 is busy with promote')
    assert world.run_until(lambda: world.hosts[0].node.plan.busy, 10.0), trace(world)
    assert refusal(world, 0, 'shutdown') \
        == 'AHM-NODE-1 is busy (switch over): try again in a moment'
    world.run(0.02)
    assert refusal(world, 2, 'promote').startswith('AHM-NODE-1 is carrying out something else')
    assert ends(world, 1) == ''


def test_a_node_that_is_told_to_end_gives_its_wish_up():
    world = formed()
    world.hosts[0].behaves['checkpoint'] = SLOW
    assert ask(world, 1, 'promote')['ok']
    task = world.hosts[1].node.parts.operator.task
    world.hosts[1].disk_full = True         # so that its goodbye takes a moment
    world.stop(1)
    assert task.reason == 'the daemon was told to end'
    if world.hosts[1].node is not None:
        assert refusal(world, 1, 'attach') == 'this daemon is about to end'


def test_a_node_alone_asks_for_nothing():
    world = formed()
    world.power_off(0)
    world.crash(2)
    world.run(10.0)
    for what in ('promote', 'shutdown'):
        assert 'is in contact with 1 of the 3 nodes' in refusal(world, 1, what)


def test_a_shutdown_that_no_majority_agrees_to_ends_nobody():
    world = formed()
    assert ask(world, 1, 'shutdown')['ok']
    assert world.hosts[1].node.parts.shutdown.leaves_at is None, 'not carried out yet'
    assert refusal(world, 1, 'shutdown') == 'the cluster is being shut down already'
    world = formed()
    world.network.isolate(1, range(3))
    assert ask(world, 1, 'shutdown')['ok']
    world.run(10.0)
    assert world.hosts[1].node.out.problem.startswith('the cluster was not shut down: 1 of 3 nodes')
    assert all(host.node is not None for host in world.hosts)


def test_whoever_cannot_be_attached_is_told_why():
    world = formed(size=4, witnesses=(3,))
    assert refusal(world, 3, 'attach') == 'AHM-NODE-4 is a witness: it has no database to attach'
    world.power_off(0)
    assert world.run_until(lambda: world.hosts[1].node.leader_row() is not None
                           and world.hosts[1].node.leader_row().sender == 2
                           or world.hosts[2].node.leader_row() is not None
                           and world.hosts[2].node.leader_row().sender == 1, 30.0)
    follower = 1 if world.hosts[2].node.leads else 2
    assert 'does not lead over a primary yet' in refusal(world, follower, 'attach')
    assert 'does not lead over a primary' in refusal(world, follower, 'promote')


def test_without_a_leader_whoever_has_less_or_must_wait_is_told_so():
    world = formed()
    world.crash(0)
    world.run(20.0)
    assert refusal(world, 1, 'promote') \
        == 'the database of AHM-NODE-1 still answers: stop it first'
    world = formed()
    world.power_off(0)
    world.crash(1)
    world.start(1)
    world.run(0.5)
    assert refusal(world, 1, 'promote').startswith('AHM-NODE-1 may still lead')
    world = formed()
    world.hosts[1].behaves['replication'] = HANGS
    world.run(1.0)
    world.power_off(0)
    for own in (1, 2):
        world.crash(own)
        world.start(own)
    world.run(60.0)
    assert refusal(world, 1, 'promote').startswith('AHM-NODE-3 has more data than AHM-NODE-2')


def test_who_said_goodbye_waits_for_its_leader():
    world = formed()
    assert ask(world, 0, 'shutdown')['ok']
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 60.0)
    world.power_off(0)
    for own in (1, 2):
        world.start(own)
    world.run(30.0)
    assert refusal(world, 1, 'promote') == (
        'AHM-NODE-2 is bound to AHM-NODE-1, whom it followed last, and waits for it: start the AHM '
        'of AHM-NODE-1, or use --force if that is gone for good')


def test_who_said_goodbye_and_comes_back_after_a_failover_follows_the_new_leader():
    world = formed(size=5)
    world.stop(4)
    world.run(5.0)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2, 3), 60.0), trace(world)
    world.run(10.0)
    world.start(4)
    assert world.run_until(lambda: settled(world), 60.0), trace(world)
    assert world.hosts[4].node.consensus.promise.leader == world.serves()


def test_a_standby_whose_daemon_begins_is_pointed_to_the_primary_though_it_streams_from_a_standby():
    world = formed()
    world.power_off(2)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.serves() == 1 and settled(world), 60.0), trace(world)
    faults.strike(world, 'power-on', 2)
    assert world.hosts[2].database.upstream == 0
    assert world.run_until(lambda: world.hosts[2].database.upstream == 1, 10.0), trace(world)


def test_a_standby_that_streamed_from_a_second_primary_when_its_daemon_began_is_pointed_right():
    world = formed(size=5)
    world.crash(2)
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)
    world.crash(0)
    world.hosts[0].database.signal = False
    world.hosts[0].database.start(by_hand=True)
    world.start(2)
    assert world.run_until(lambda: world.hosts[2].node.consensus.follower.following
                           and world.hosts[2].node.parts.database.streaming, 20.0), trace(world)
    assert world.upstream_of(world.hosts[2]) is world.hosts[0].database
    world.start(0)
    assert world.run_until(lambda: world.hosts[2].database.upstream == 1, 60.0), trace(world)


def test_an_attach_that_is_asked_for_while_the_node_follows_up_a_handover_waits_for_that():
    world = formed()
    world.hosts[0].behaves['start'] = SLOW
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.plan.name == 'follow', 60.0), trace(world)
    assert ask(world, 0, 'attach')['task']['step'] == 'waits for the end of what is under way'
    assert ends(world, 0) == ''
    assert world.run_until(lambda: settled(world), 30.0), trace(world)


def test_a_task_does_not_wait_for_ever_for_what_is_under_way():
    world = formed()
    world.hosts[0].behaves['follow'] = HANGS
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.hosts[0].node.plan.name == 'follow', 60.0), trace(world)
    assert ask(world, 0, 'attach')['ok']
    assert ends(world, 0) == 'AHM-NODE-1 is busy (follow): try again in a moment'


def test_tasks_are_known_by_their_number():
    world = formed()
    number = ask(world, 1, 'promote')['task']['number']
    assert ask(world, 1, 'task', task=number)['task']['state'] == 'running'
    assert 'does not know that task' in refusal(world, 1, 'task', task=number + 1)
    assert 'does not know the request' in refusal(world, 1, 'nonsense')
    assert ends(world, 1) == ''
    assert ask(world, 1, 'task', task=number)['task']['state'] == 'done'


#: All of them, for the test of what is reached.
STORIES = [functools.partial(story, 0) if story.__code__.co_argcount else story
           for name, story in sorted(globals().items()) if name.startswith('test_')]
