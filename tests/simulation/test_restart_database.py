"""An operator restarts a database that works: nothing fails over, and what goes wrong is told."""

import functools

import pytest

from ahmlib.core.policy.election import why_not_eligible
from ahmlib.core.states import DatabaseState
from ahmlib.simulation import perform
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import FAILS, HANGS, SLOW

from .test_operators import ask, formed, settled, trace


def ended(world, own, seconds=200.0):
    """The task of this node, once it is over."""
    task = world.hosts[own].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, seconds), trace(world)
    return task


def restarted(world, own, **more):
    """This database is restarted, as is asked for there; the task at its end."""
    before = world.hosts[own].database.starts
    answer = ask(world, own, 'restart', **more)
    assert answer['ok'], answer
    task = ended(world, own)
    assert (task.state, world.hosts[own].database.starts) == ('done', before + 1), \
        task.reason + trace(world)
    return answer


@pytest.mark.parametrize('seed', range(6))
def test_a_primary_is_restarted_in_place_without_a_failover(seed):
    """By its checks it would have failed twice over before it answers again."""
    world = formed(seed, health_check_period=0.5, max_consec_failures=2)
    term = world.hosts[0].node.consensus.term
    world.harmless = True
    assert restarted(world, 0)['warnings'] == []
    assert world.serves() == 0 and world.hosts[0].node.consensus.term == term
    assert world.run_until(lambda: settled(world), 10.0), trace(world)
    world.run(30.0)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]
    assert world.clients.lost_by(0) == 0
    assert not any('step-down' in line or 'failed' in line for line in world.trace), trace(world)


def test_the_vip_stays_and_the_rows_say_why_nothing_answers():
    world = formed()
    assert ask(world, 0, 'restart')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 5.0), trace(world)
    world.run(2.0)
    assert world.hosts[0].has_vip and world.leader() == 0
    row = world.hosts[1].node.leader_row()
    assert row.database is DatabaseState.PRIMARY and row.holds_vip
    assert row.problem == 'its database is being restarted, as an operator asked'
    ended(world, 0)
    assert world.hosts[0].node.own_row().problem == ''


def test_commits_count_as_waiting_only_where_standbys_have_had_the_time_to_connect_again():
    """Every restart of a primary under synchronous replication was told as CRITICAL."""
    world = formed(world={'synchronous': 1}, health_check_period=0.5)
    for own in (1, 2):
        world.hosts[own].behaves['replication'] = HANGS
    restarted(world, 0)
    database = world.hosts[0].node.parts.database
    world.run(5.0)
    assert database.commits_wait == ''
    assert world.run_until(lambda: database.commits_wait != '', 10.0), trace(world)


@pytest.mark.parametrize('own', [1, 2])
def test_a_standby_is_restarted_and_is_in_again_without_an_attach(own):
    world = formed(health_check_period=0.5, max_consec_failures=2)
    restarted(world, own)
    assert settled(world) and world.serves() == 0, trace(world)
    assert not world.hosts[own].node.parts.database.out
    assert not any('inquiry' in line or 'FAILED' in line for line in world.trace), trace(world)


def test_a_restart_may_take_as_long_as_the_operator_allows():
    world = formed(health_check_period=0.5, max_consec_failures=2)
    world.hosts[0].behaves['start'] = SLOW      # longer than any check, lease or promise
    assert world.settings.timing.hold < 20 * perform.RESTART_SECONDS
    restarted(world, 0, timeout=90)
    assert world.serves() == 0
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


@pytest.mark.parametrize('restart_failed', [False, True])
def test_a_primary_that_does_not_come_back_fails_over_at_once(restart_failed):
    """It is not started a second time, whatever db_failure_action says: that was tried."""
    world = formed(health_check_period=30.0, max_consec_failures=5, restart_failed=restart_failed)
    world.hosts[0].behaves['start'] = FAILS
    assert ask(world, 0, 'restart')['ok']
    task = ended(world, 0)
    assert (task.state, task.reason) == ('failed', 'exited with 1')
    assert world.run_until(lambda: world.serves() in (1, 2), 15.0), trace(world)
    assert world.clients.lost_by(world.serves()) == 0
    assert not any('starting it again, once' in line for line in world.trace), trace(world)
    assert world.hosts[0].node.parts.database.out.startswith('its database failed: ')


def test_a_primary_whose_start_hangs_fails_over_when_the_time_of_the_operator_is_over():
    world = formed(pre_promotion=True)
    world.hosts[0].behaves['start'] = HANGS
    assert ask(world, 0, 'restart', timeout=20)['ok']
    world.run(19.0)
    assert world.leader() == 0
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


def test_a_standby_that_does_not_come_back_is_reported_out_with_the_reason():
    world = formed(health_check_period=30.0, max_consec_failures=5)
    world.hosts[2].behaves['start'] = FAILS
    assert ask(world, 2, 'restart')['ok']
    assert ended(world, 2).reason == 'exited with 1'
    database = world.hosts[2].node.parts.database
    assert world.hosts[2].node.own_row().problem == \
        'the restart of its database failed: exited with 1'
    assert database.state is DatabaseState.FAILED
    assert world.run_until(lambda: database.out != '', 10.0), trace(world)
    assert world.serves() == 0
    world.hosts[2].behaves.clear()
    assert ask(world, 2, 'attach')['ok']
    assert ended(world, 2).state == 'done'


def test_a_server_that_cannot_be_stopped_was_not_restarted_and_serves_on():
    world = formed()
    world.hosts[0].behaves['stop'] = FAILS
    assert ask(world, 0, 'restart')['ok']
    assert (ended(world, 0).state, world.serves()) == ('failed', 0)
    assert world.hosts[0].node.own_row().problem.startswith('the restart of its database failed')


def test_a_standby_that_does_not_stream_after_it_is_no_success():
    world = formed()
    world.hosts[1].behaves['replication'] = HANGS
    assert ask(world, 1, 'restart')['ok']
    assert 'does not stream within' in ended(world, 1).reason


def test_a_primary_that_comes_back_as_a_standby_is_no_success_and_somebody_leads():
    world = formed()
    assert ask(world, 0, 'restart')['ok']
    world.hosts[0].database.signal = True
    assert ended(world, 0).reason == 'it is in recovery now'
    assert world.run_until(lambda: world.serves() is not None, 60.0), trace(world)


def test_a_checkpoint_that_takes_too_long_changes_nothing():
    world = formed()
    world.hosts[0].behaves['checkpoint'] = HANGS
    assert ask(world, 0, 'restart')['ok']
    assert ended(world, 0).reason.startswith('nothing was changed: the checkpoint')
    assert (world.serves(), world.hosts[0].database.starts) == (0, 0)


def test_a_checkpoint_that_is_refused_keeps_nobody_from_it():
    world = formed()
    world.hosts[0].behaves['checkpoint'] = FAILS
    restarted(world, 0)


def test_a_leader_that_is_cut_off_in_the_middle_stops_what_is_half_started():
    world = formed()
    assert ask(world, 0, 'restart')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 5.0), trace(world)
    world.hosts[0].behaves['start'] = SLOW
    strike(world, 'cut', 0)
    task = ended(world, 0)
    assert task.state == 'failed' and task.reason.startswith('it was overtaken'), task.reason
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    assert world.clients.lost_by(world.serves()) == 0
    world.network.heal()
    world.run(30.0)
    assert not world.hosts[0].database.writable, trace(world)


def test_a_standby_is_left_alone_where_the_leader_dies_before_it_is_stopped():
    world = formed()
    world.hosts[1].behaves['checkpoint'] = HANGS
    assert ask(world, 1, 'restart')['ok']
    strike(world, 'power-off', 0)
    task = ended(world, 1, 130.0)
    assert task.state == 'failed' and world.hosts[1].database.starts == 0, task.reason


def test_a_standby_that_is_left_alone_before_it_is_stopped_runs_on():
    world = formed()
    world.hosts[1].behaves['checkpoint'] = HANGS
    assert ask(world, 1, 'restart')['ok']
    strike(world, 'power-off', 0)
    strike(world, 'power-off', 2)
    assert ended(world, 1, 130.0).reason == 'nothing was changed: nobody leads any more'
    assert world.hosts[1].database.starts == 0


def test_a_standby_in_its_restart_is_no_candidate_before_it_has_looked():
    """The newest position of before it is not known to be the end of its WAL."""
    world = formed(priorities=(1, 2, 9))
    assert ask(world, 1, 'restart')['ok']
    assert world.run_until(lambda: not world.hosts[1].database.running, 5.0), trace(world)
    world.hosts[1].behaves['start'] = SLOW
    strike(world, 'power-off', 0)
    assert not world.hosts[1].node.own_row().fresh
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)


def test_what_waits_for_a_restart_alone_is_restarted_where_that_is_asked():
    world = formed(health_check_period=30.0)
    assert ask(world, 1, 'restart', pending=True)['ok']
    task = ended(world, 1)
    assert (task.state, world.hosts[1].database.starts) == ('done', 0)
    assert task.step == 'nothing: no parameter waits for a restart'
    world.hosts[1].database.pending = ('max_connections',)
    restarted(world, 1, pending=True)
    world.hosts[1].database.pending = None
    assert ask(world, 1, 'restart', pending=True)['ok']
    assert 'could not be found out: its check did not say' in ended(world, 1).reason
    world.hosts[1].refuses_checks = True
    assert ask(world, 1, 'restart', pending=True)['ok']
    assert 'could not be found out: password' in ended(world, 1).reason


def test_it_is_refused_where_it_would_do_harm():
    world = formed(size=4, witnesses=(3,))
    assert 'is a witness' in ask(world, 3, 'restart')['reason']
    assert 'expected 1 to' in ask(world, 0, 'restart', timeout=0)['reason']
    assert ask(world, 0, 'restart', dry_run=True) == {'ok': True, 'warnings': []}
    assert world.hosts[0].node.parts.operator.task is None
    assert ask(world, 2, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[1].node.leader_row().intent is not None, 5.0)
    assert 'busy with promote' in ask(world, 2, 'restart')['reason']
    assert 'busy (switch over)' in ask(world, 0, 'restart')['reason']
    assert 'a switchover' in ask(world, 1, 'restart')['reason']
    assert world.run_until(lambda: world.serves() == 2 and settled(world), 60.0), trace(world)
    world.hosts[1].database.stop()
    assert world.run_until(lambda: world.hosts[1].node.parts.database.out, 60.0), trace(world)
    assert 'is FAILED' in ask(world, 1, 'restart')['reason']
    for own in (0, 1, 3):
        strike(world, 'power-off', own)
    node = world.hosts[2].node
    assert world.run_until(lambda: not node.leads and not node.plan.busy, 60.0), trace(world)
    assert 'nobody leads' in ask(world, 2, 'restart')['reason']


def test_who_restarts_a_primary_that_nobody_could_stand_in_for_is_warned():
    world = formed(priorities=(1, 0, 0))
    warnings = restarted(world, 0)['warnings']
    assert len(warnings) == 1 and 'AHM-NODE-2 has priority 0' in warnings[0], warnings
    view = world.hosts[0].node.parts.candidate.view()
    assert why_not_eligible(world.hosts[1].node.own_row(), view)


#: For test_reach: whatever a story is given, a seed or a node, 1 is one.
STORIES = [functools.partial(story, 1) if story.__code__.co_argcount else story
           for name, story in sorted(globals().items()) if name.startswith('test_')]
