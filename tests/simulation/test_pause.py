"""Stories of a pause of the whole cluster: nothing fails over, and the primary stays."""

import pytest

from ahmlib.core.states import DatabaseState
from ahmlib.core.status import status
from ahmlib.simulation.faults import strike
from ahmlib.simulation.lemma import spared

from .clusters import CLUSTERS
from .plans import formed
from .test_operators import ask, settled, trace

THREE = CLUSTERS['three nodes']
LONG = 40.0


def done(world, place, what, **more):
    """An operator asks for that, and it is done."""
    answer = ask(world, place, what, **more)
    assert answer['ok'], answer
    task = world.hosts[place].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.state == 'done', task.reason + trace(world)


def paused(cluster='three nodes', seed=1):
    """A paused world in which node 0 leads."""
    world = formed(CLUSTERS[cluster], seed)
    done(world, 0, 'pause')
    assert spared(world.hosts[0])
    assert world.run_until(lambda: all(host.node.parts.paused.on for host in world.hosts), 5.0)
    return world


def promotions(world):
    """How often each database was promoted."""
    return [host.database.promotions for host in world.hosts if host.database is not None]


@pytest.mark.parametrize('fault', ['kill-database', 'hang-database', 'power-off', 'crash'])
def test_nothing_fails_over(fault):
    world = paused()
    strike(world, fault, 0)
    world.run(LONG)
    assert promotions(world) == [0, 0, 0]
    for undo in ('power-on', 'thaw-database', 'start-database', 'start'):
        strike(world, undo, 0)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    done(world, 0, 'resume')
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() == 1, LONG), trace(world)


def test_a_leader_that_is_cut_off_serves_on_and_leads_again():
    world = paused()
    strike(world, 'cut', 0)
    world.run(LONG)
    assert world.serves_clients(world.hosts[0]) and not world.hosts[0].node.leads
    assert promotions(world) == [0, 0, 0]
    told = status(world.hosts[1].node.parts)
    assert told['paused'] and 'the cluster is paused' in ' '.join(told['warnings'])
    for place in (0, 1):
        for what in ('pause', 'resume'):
            refused = ask(world, place, what)
            assert 'does not lead, and only a leader' in refused['reason'], refused
    strike(world, 'heal', 0)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    done(world, 0, 'resume')
    assert world.run_until(lambda: not any(
        host.node.parts.paused.on for host in world.hosts), LONG), trace(world)
    world.run(5.0)      # the standbys stream again
    strike(world, 'cut', 0)
    assert world.run_until(lambda: world.serves_clients(world.hosts[1]), LONG), trace(world)
    assert not world.hosts[0].database.running


def test_all_daemons_are_restarted_and_the_primary_stays():
    world = paused()
    for place in (2, 0, 1):
        strike(world, 'crash', place)
    world.run(LONG)
    for place in (1, 2):
        strike(world, 'start', place)
    world.run(LONG)
    assert promotions(world) == [0, 0, 0]
    strike(world, 'cut', 0)
    strike(world, 'start', 0)
    world.run(LONG)
    assert world.serves_clients(world.hosts[0])
    strike(world, 'heal', 0)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    assert world.hosts[0].database.starts == 0


def test_a_switchover_has_a_target_and_takes_the_pause_along():
    world = paused()
    done(world, 2, 'promote')
    assert world.run_until(lambda: world.serves() == 2 and settled(world)
                           and spared(world.hosts[2]), LONG), trace(world)
    assert not spared(world.hosts[0])
    assert 'the database is down' not in '\n'.join(world.trace)     # it was stopped for that
    strike(world, 'cut', 2)
    world.run(LONG)
    assert world.serves_clients(world.hosts[2]) and promotions(world) == [0, 0, 1]
    strike(world, 'heal', 2)
    assert world.run_until(lambda: world.serves() == 2, LONG), trace(world)
    done(world, 2, 'resume')


def test_a_primary_that_does_not_come_back_from_its_restart_is_relieved_by_nobody():
    world = paused()
    strike(world, 'start-fails', 0)
    assert ask(world, 0, 'restart')['ok']
    world.run(LONG)
    assert world.hosts[0].node.parts.operator.task.state == 'failed', trace(world)
    assert promotions(world) == [0, 0, 0] and world.leader() == 0
    for undo in ('commands-work', 'start-database'):
        strike(world, undo, 0)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)


def test_a_daemon_that_leaves_for_good_hands_over_to_nobody():
    world = paused('three nodes with fencing')
    strike(world, 'stop', 0)
    world.run(LONG)
    assert promotions(world) == [0, 0, 0] and world.serves_clients(world.hosts[0])
    strike(world, 'start', 0)
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)


def test_who_did_not_hear_of_it_is_not_elected():
    world = formed(THREE, 1)
    strike(world, 'cut', 2)
    world.run(0.2)
    done(world, 0, 'pause')
    strike(world, 'heal', 0)
    world.network.isolate(0, range(3))      # the two others meet, and one has not heard of it
    world.run(LONG)
    assert promotions(world) == [0, 0, 0] and world.serves_clients(world.hosts[0])
    assert world.hosts[2].node.parts.paused.on


def test_a_pause_that_too_few_hear_of_is_none():
    world = formed(THREE, 1)
    strike(world, 'mute', 0)
    answer = ask(world, 0, 'pause')
    assert answer['ok'], answer
    task = world.hosts[0].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, LONG), trace(world)
    assert task.state == 'failed' and 'too few nodes' in task.reason
    assert world.run_until(lambda: world.serves() == 1, LONG), trace(world)
    assert not world.hosts[0].database.running


def test_a_leader_with_a_lease_and_too_few_others_does_not_pause():
    """Of four nodes two keep a lease, and three are needed so that nobody else is elected."""
    world = formed(CLUSTERS['four nodes, one with priority 0'], 1)
    for place in (2, 3):
        strike(world, 'power-off', place)
    world.run(5.0)
    assert ask(world, 0, 'pause')['ok']
    task = world.hosts[0].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, LONG), trace(world)
    assert task.state == 'failed' and world.serves() == 0 and not spared(world.hosts[0])
    assert world.run_until(lambda: not any(
        host.node.parts.paused.on for host in world.hosts if host.node), LONG), trace(world)


def test_it_is_refused_while_the_role_moves_and_beside_no_healthy_primary():
    world = formed(THREE, 1)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.plan.busy, 5.0)
    assert 'is busy (switch over)' in ask(world, 0, 'pause')['reason']
    world = formed(THREE, 1)
    strike(world, 'kill-database', 0)
    assert world.run_until(lambda: world.hosts[0].node.parts.database.failures, 5.0)
    assert 'does not lead over a healthy primary' in ask(world, 0, 'pause')['reason']
    world = formed(THREE, 1)
    assert ask(world, 1, 'shutdown')['ok']
    assert world.run_until(
        lambda: world.hosts[0].node.consensus.members.row(1).intent is not None, 5.0)
    assert 'is under way (AHM-NODE-2)' in ask(world, 0, 'pause')['reason']


def test_the_way_out_where_the_holder_is_gone_for_good():
    world = paused()
    strike(world, 'power-off', 0)

    def advice():
        return ' '.join(status(world.hosts[1].node.parts)['warnings'])
    assert world.run_until(lambda: '"ahm_promote_node --force" on AHM-NODE-2' in advice(), LONG), \
        trace(world) + advice()
    assert 'only AHM-NODE-1 may lead' in advice()
    assert 'only AHM-NODE-1 may lead' in ask(world, 1, 'promote')['reason']
    risks = ask(world, 1, 'promote', force=True, dry_run=True)['risks']
    assert any('its primary runs on, and there will be two' in risk for risk in risks)
    strike(world, 'force', 1)
    assert world.run_until(lambda: world.serves() == 1, LONG), trace(world)


def test_the_way_out_where_its_database_is_a_standby():
    world = paused()
    strike(world, 'demote-by-hand', 0)

    def advice():
        return ' '.join(status(world.hosts[1].node.parts)['warnings'])
    assert world.run_until(lambda: '"ahm_promote_node" on AHM-NODE-1' in advice(), LONG), \
        trace(world) + advice()
    assert promotions(world) == [0, 0, 0]
    done(world, 0, 'promote')
    assert world.run_until(lambda: world.serves() == 0, LONG), trace(world)
    assert promotions(world) == [1, 0, 0]


def test_a_second_primary_is_stopped_in_a_pause_too():
    world = paused()
    strike(world, 'promote-by-hand', 1)
    assert world.run_until(lambda: not world.hosts[1].database.running, LONG), trace(world)
    assert world.serves() == 0


def test_who_lost_its_state_file_learns_of_it_and_spares_nothing_by_hearsay():
    world = paused()
    strike(world, 'lose-state', 0)
    strike(world, 'cut', 0)
    strike(world, 'start', 0)
    world.run(LONG)
    strike(world, 'heal', 0)
    assert world.run_until(lambda: world.hosts[0].node.parts.paused.on, LONG), trace(world)
    assert world.run_until(lambda: world.serves() == 0 and spared(world.hosts[0]), LONG), \
        trace(world)


def test_a_failed_primary_is_told_and_not_given_up():
    world = paused()
    strike(world, 'kill-database', 0)
    text = 'and nothing fails over in a pause: start it'
    assert world.run_until(lambda: any(text in warning for warning in status(
        world.hosts[2].node.parts)['warnings']), LONG), trace(world)
    assert world.hosts[0].node.leads
    assert world.hosts[0].node.parts.database.state is DatabaseState.FAILED


def test_a_leader_that_is_not_its_holder_ends_it():
    """Too few had heard of it when its leader died, so somebody else was elected."""
    world = formed(CLUSTERS['five nodes, equal priorities'], 1)
    for place in (2, 3, 4):
        world.network.cut(0, place)
    world.run(0.1)
    assert ask(world, 0, 'pause')['ok']
    assert world.run_until(lambda: world.hosts[1].node.parts.paused.on, 2.0), trace(world)
    strike(world, 'power-off', 0)
    strike(world, 'heal', 0)
    world.network.isolate(1, range(5))
    assert world.run_until(lambda: world.serves() in (2, 3, 4), LONG), trace(world)
    strike(world, 'heal', 0)
    assert world.run_until(lambda: world.leader() is not None and not any(
        host.node.parts.paused.on for host in world.hosts if host.node), LONG), trace(world)


@pytest.mark.parametrize('fault, undo, why', [
    ('stall-disk', 'unstall-disk', 'the pause is not on the disk of AHM-NODE-1 (no answer)'),
    ('fill-disk', 'free-disk', 'the pause is not on the disk of AHM-NODE-1 (No space left')])
def test_a_leader_whose_disk_fails_leads_on_when_it_is_asked_for_a_pause(fault, undo, why):
    """Who pauses because of a disk must not lose the primary by that."""
    world = formed(THREE)
    strike(world, fault, 0)
    assert ask(world, 0, 'pause')['ok']
    task = world.hosts[0].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.reason.startswith(why), task.reason
    world.run(LONG)
    assert world.serves() == 0 and promotions(world) == [0, 0, 0], trace(world)
    assert not any(host.node.parts.paused.on for host in world.hosts)
    strike(world, undo, 0)
    world.run(1.5)
    done(world, 0, 'pause')


def test_a_pause_is_sealed_beside_a_node_whose_disk_stalls_and_that_is_not_lost():
    world = formed(THREE)
    strike(world, 'stall-disk', 2)
    done(world, 0, 'pause')
    world.run(LONG)
    leader, stalled = world.hosts[0].node, world.hosts[2].node
    row = leader.consensus.members.living_row(2)
    assert stalled.parts.paused.on and row is not None and not row.pause.on
    assert row.leader == 0, 'it follows, and says so'
    strike(world, 'unstall-disk', 2)
    assert world.run_until(lambda: leader.consensus.members.row(2).pause.on, 5.0), trace(world)


def test_an_end_of_the_pause_that_is_not_on_disk_is_told_to_nobody_until_it_is():
    world = paused()
    strike(world, 'stall-disk', 0)
    assert ask(world, 0, 'resume')['ok']
    task = world.hosts[0].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.reason.startswith('the end of the pause is not on the disk of AHM-NODE-1'), \
        task.reason
    assert [host.node.parts.paused.on for host in world.hosts] == [False, True, True]
    assert world.serves() == 0 and promotions(world) == [0, 0, 0], trace(world)
    strike(world, 'unstall-disk', 0)
    assert world.run_until(lambda: not any(host.node.parts.paused.on for host in world.hosts), 5.0)


STORIES = [
    lambda: test_nothing_fails_over('kill-database'),
    lambda: test_nothing_fails_over('power-off'),
    test_a_leader_that_is_cut_off_serves_on_and_leads_again,
    test_all_daemons_are_restarted_and_the_primary_stays,
    test_a_switchover_has_a_target_and_takes_the_pause_along,
    test_a_primary_that_does_not_come_back_from_its_restart_is_relieved_by_nobody,
    test_a_pause_that_too_few_hear_of_is_none,
    test_a_leader_with_a_lease_and_too_few_others_does_not_pause,
    test_it_is_refused_while_the_role_moves_and_beside_no_healthy_primary,
    test_the_way_out_where_the_holder_is_gone_for_good,
    test_the_way_out_where_its_database_is_a_standby,
    test_who_lost_its_state_file_learns_of_it_and_spares_nothing_by_hearsay,
    test_a_failed_primary_is_told_and_not_given_up,
    test_a_leader_that_is_not_its_holder_ends_it,
    lambda: test_a_leader_whose_disk_fails_leads_on_when_it_is_asked_for_a_pause(
        'stall-disk', 'unstall-disk', ''),
    test_a_pause_is_sealed_beside_a_node_whose_disk_stalls_and_that_is_not_lost,
    test_an_end_of_the_pause_that_is_not_on_disk_is_told_to_nobody_until_it_is,
]
