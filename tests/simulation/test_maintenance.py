"""Stories of a node in maintenance: its standby is left alone, and the others fail over."""

import pytest

from ahmlib.core.policy.troubles import HOUR_SECONDS
from ahmlib.core.states import DatabaseState
from ahmlib.core.status import status
from ahmlib.simulation.faults import strike

from .clusters import CLUSTERS
from .plans import formed
from .test_operators import ask, settled, trace

THREE = CLUSTERS['three nodes']
NAME = 'AHM-NODE-%d'


def asked(world, place, what):
    """An operator asks this node for that, and it is on disk; its answer."""
    answer = ask(world, place, what, node=NAME % (place + 1))
    task = world.hosts[place].node.parts.operator.task
    if answer['ok']:
        assert world.run_until(lambda: not task.is_running, 5.0), trace(world)
        assert task.state == 'done', task.reason
    return answer


def maintained(place=1, size_of=THREE, seed=1):
    """A world in which node 0 leads, and that one is in maintenance."""
    world = formed(size_of, seed)
    assert asked(world, place, 'pause')['ok'], trace(world)
    return world


def line(world, teller, place):
    """What the status of one node says of another."""
    return status(world.hosts[teller].node.parts)['nodes'][place]


def test_its_database_is_not_restarted_for_who_asks_its_daemon():
    world = maintained()
    for dry in (True, False):
        answer = ask(world, 1, 'restart', dry_run=dry)
        assert not answer['ok'] and 'is in maintenance: restart its database yourself' in \
            answer['reason']
    assert world.hosts[1].database.running


def test_its_standby_is_stopped_and_started_and_nobody_minds():
    world = maintained()
    strike(world, 'kill-database', 1)
    world.run(20.0)
    for teller in (0, 1, 2):
        told = line(world, teller, 1)
        assert (told['database'], told['state'], told['out']) == ('UNKNOWN', 'STANDBY', False)
        assert told['maintenance'] and 'is in maintenance' in told['reason'], told
        assert any(NAME % 2 + ': in maintenance' in text for text in status(
            world.hosts[teller].node.parts)['warnings'])
    kinds = [trouble['kind'] for trouble in line(world, 0, 1)['troubles']]
    assert kinds == ['maintenance']
    strike(world, 'start-database', 1)
    assert world.run_until(lambda: line(world, 0, 1)['database'] == 'STANDBY', 5.0), trace(world)
    assert asked(world, 1, 'resume')['ok']
    assert world.run_until(lambda: settled(world), 10.0), trace(world)
    assert world.run_until(lambda: not line(world, 2, 1)['maintenance']
                           and line(world, 0, 1)['eligible'], 5.0), trace(world)
    assert world.hosts[1].database.starts == 1      # by hand


def test_the_others_fail_over_with_its_vote_and_it_follows_once_it_is_resumed():
    world = maintained()
    strike(world, 'kill-database', 1)
    world.run(5.0)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() == 2, 20.0), trace(world)
    strike(world, 'start-database', 1)
    world.run(5.0)
    assert world.hosts[1].database.upstream == 0    # nobody has touched it
    assert asked(world, 1, 'resume')['ok']
    assert world.run_until(
        lambda: world.upstream_of(world.hosts[1]) is world.hosts[2].database, 20.0), trace(world)
    assert world.hosts[1].node.parts.database.state is DatabaseState.STANDBY


def test_it_lasts_over_restarts_and_not_over_the_loss_of_the_state_file():
    world = maintained()
    for what in ('restart', 'crash-and-start'):
        strike(world, what, 1)
        world.run(3.0)
        assert line(world, 0, 1)['maintenance'] and line(world, 1, 1)['maintenance']
    strike(world, 'stop', 1)
    world.run(5.0)
    assert line(world, 0, 1)['reason'].endswith('it is in maintenance')
    strike(world, 'lose-state', 1)
    strike(world, 'start', 1)
    world.run(3.0)
    assert not line(world, 0, 1)['maintenance']


def test_one_that_is_down_when_it_is_resumed_is_reported_out():
    world = maintained()
    strike(world, 'kill-database', 1)
    world.run(10.0)
    assert asked(world, 1, 'resume')['ok']
    assert world.run_until(lambda: line(world, 0, 1)['out'], 10.0), trace(world)


def test_a_primary_beside_the_leader_is_stopped_in_maintenance_too():
    world = maintained()
    strike(world, 'promote-by-hand', 1)
    assert world.run_until(lambda: not world.hosts[1].database.running, 10.0), trace(world)
    assert world.run_until(lambda: line(world, 0, 1)['database'] == 'QUARANTINED', 5.0)
    assert world.serves() == 0


def test_a_primary_there_while_nobody_leads_holds_up_nobody():
    world = maintained()
    strike(world, 'power-off', 0)
    world.run(0.3)
    strike(world, 'promote-by-hand', 1)
    assert world.run_until(lambda: world.serves() == 2, 30.0), trace(world)
    assert not world.hosts[1].database.running


def test_a_switchover_to_it_is_refused_and_so_are_attach_and_force():
    world = maintained()
    for what in ('promote', 'attach', 'force'):
        strike(world, what, 1)
        refused = world.hosts[1].answered
        if what != 'force':     # no operator would force it beside hosts that run
            assert not refused['ok'] and 'ahm_resume_cluster --node=' + NAME % 2 in \
                refused['reason'], refused
    assert ask(world, 1, 'promote', force=True)['reason'].startswith(NAME % 2 + ' is in main')


@pytest.mark.parametrize('is_stopping', [False, True])
def test_a_switchover_to_one_that_is_put_in_maintenance_meanwhile_is_undone(is_stopping):
    """Its word was on its way when the leader began."""
    world = formed(THREE, 1)
    assert ask(world, 1, 'promote')['ok']
    leader = world.hosts[0].node
    assert world.run_until(lambda: leader.consensus.steps_down if is_stopping
                           else leader.plan.busy, 10.0), trace(world)
    world.hosts[1].node.parts.database.maintain(True)   # what it refuses once it has heard of it
    assert world.run_until(lambda: world.serves() == 0 and world.hosts[0].node.plan.name == ''
                           and not world.hosts[0].node.consensus.steps_down, 60.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


@pytest.mark.parametrize('place, words', [
    (0, 'leads, and maintenance is for standbys: make another node the primary first, with '
        '"ahm_promote_node" on AHM-NODE-2 (10.0.0.2)'), (2, 'is a witness')])
def test_who_cannot_be_put_in_maintenance(place, words):
    world = formed(CLUSTERS['two nodes and a witness'], 1)
    answer = asked(world, place, 'pause')
    assert not answer['ok'] and words in answer['reason']


def test_it_does_not_begin_where_nobody_leads_or_another_node_is_meant():
    world = formed(THREE, 1)
    assert ask(world, 1, 'pause', node=NAME % 3)['reason'] == \
        'this is AHM-NODE-2, and it was asked for AHM-NODE-3: ask that node itself, with -h'
    assert ask(world, 1, 'pause')['ok'] is False
    strike(world, 'power-off', 0)
    world.run(0.1)
    strike(world, 'power-off', 2)
    world.run(5.0)
    assert asked(world, 1, 'pause')['reason'].startswith('nobody leads: ')


def test_a_leader_that_hands_over_is_not_disturbed():
    world = formed(THREE, 1)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.parts.intents.published() is not None, 5.0)
    world.run(0.05)
    assert 'is carrying out something else' in ask(world, 2, 'pause', node=NAME % 3)['reason']
    assert 'is busy with promote' in ask(world, 1, 'pause', node=NAME % 2)['reason']


def test_a_leader_without_a_primary_and_a_primary_beside_it_wait():
    world = formed(THREE, 1)
    strike(world, 'promote-by-hand', 2)
    assert world.run_until(lambda: world.hosts[2].node.parts.database.runs_as_primary, 5.0)
    assert not ask(world, 2, 'pause', node=NAME % 3)['ok']
    strike(world, 'fail-checks', 0)
    strike(world, 'kill-database', 0)
    leader = world.hosts[1].node.leader_row
    assert world.run_until(lambda: leader() and not leader().rightful, 10.0), trace(world)
    answer = ask(world, 1, 'pause', node=NAME % 2)
    assert 'does not lead over a primary' in answer['reason'], trace(world)


def test_what_it_costs_is_said():
    world = formed(CLUSTERS['three nodes, synchronous'], 1, synchronous=1)
    assert asked(world, 1, 'pause')['remarks'] == []
    world.run(2.0)
    remarks = asked(world, 2, 'pause')['remarks']
    assert remarks[0] == 'no other node could take over from AHM-NODE-1 meanwhile'
    world = formed(THREE, 1)
    assert asked(world, 1, 'pause')['remarks'] == []
    assert asked(world, 1, 'pause')['ok']      # once more: it is a success


def test_synchronous_commits_that_would_wait_are_said():
    world = formed(CLUSTERS['three nodes, synchronous'], 1, synchronous=1)
    strike(world, 'kill-database', 2)
    assert world.run_until(lambda: line(world, 0, 2)['out'], 20.0), trace(world)
    world.run(2.0)
    remarks = asked(world, 1, 'pause')['remarks']
    assert any(text.startswith('commits wait while the database of AHM-NODE-2 is down')
               for text in remarks), remarks


def test_where_only_it_could_lead_every_node_names_the_command():
    world = maintained()
    for place in (0, 2):
        strike(world, 'power-off', place)
    world.run(3.0)
    strike(world, 'power-on', 2)
    strike(world, 'kill-database', 2)
    strike(world, 'start-fails', 2)

    def advised():
        return all('run "ahm_resume_cluster --node=AHM-NODE-2"' in ' '.join(
            status(world.hosts[place].node.parts)['warnings']) for place in (1, 2))
    assert world.run_until(advised, 60.0), trace(world)
    assert asked(world, 1, 'resume')['ok']
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)


def test_a_disk_that_refuses_is_said():
    world = formed(THREE, 1)
    strike(world, 'fill-disk', 1)
    assert ask(world, 1, 'pause', node=NAME % 2)['ok']
    task = world.hosts[1].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, 20.0)
    assert task.state == 'failed' and 'is not on disk after 10 s' in task.reason


def test_it_is_warned_of_every_hour():
    world = maintained(size_of=CLUSTERS['three nodes, default timings'])
    before = len([text for text in world.trace if 'in maintenance: it is no' in text])
    assert before == 1
    world.run(HOUR_SECONDS + 60.0)
    told = [text for text in world.trace if 'in maintenance: it is no' in text]
    assert len(told) == 2 and '(for 60 min by now)' in told[1]


STORIES = [
    test_its_standby_is_stopped_and_started_and_nobody_minds,
    test_its_database_is_not_restarted_for_who_asks_its_daemon,
    test_the_others_fail_over_with_its_vote_and_it_follows_once_it_is_resumed,
    test_it_lasts_over_restarts_and_not_over_the_loss_of_the_state_file,
    test_one_that_is_down_when_it_is_resumed_is_reported_out,
    test_a_primary_beside_the_leader_is_stopped_in_maintenance_too,
    test_a_switchover_to_it_is_refused_and_so_are_attach_and_force,
    lambda: test_a_switchover_to_one_that_is_put_in_maintenance_meanwhile_is_undone(False),
    lambda: test_a_switchover_to_one_that_is_put_in_maintenance_meanwhile_is_undone(True),
    lambda: test_who_cannot_be_put_in_maintenance(0, 'leads'),
    lambda: test_who_cannot_be_put_in_maintenance(2, 'is a witness'),
    test_it_does_not_begin_where_nobody_leads_or_another_node_is_meant,
    test_a_leader_that_hands_over_is_not_disturbed,
    test_a_leader_without_a_primary_and_a_primary_beside_it_wait,
    test_what_it_costs_is_said,
    test_synchronous_commits_that_would_wait_are_said,
    test_where_only_it_could_lead_every_node_names_the_command,
    test_a_disk_that_refuses_is_said,
]
