"""The states of the manual's two tables (19.6.1), each in the story in which a node takes it.

What is looked at is the status that a node's core gives to the utilities; the cluster is simulated.
"""

import os

import pytest

import ahmlib.main
from ahmlib.config import loader
from ahmlib.core import events
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.ipc import client

from . import manual
from .configured import starting, world

LIMIT = 120


def status(cluster, asked):
    """What this node answers to ahm_cluster_status."""
    host = cluster.hosts[asked]
    host.node.handle(events.Ticked(), host.clock(cluster.now))
    answers = [effect.answer for effect in host.node.handle(
        events.ClientAsked(99, {'ask': 'status'}), host.clock(cluster.now)).asked
        if type(effect).__name__ == 'Reply']
    return answers[-1]['status']


def seen(cluster, place, asked):
    """(database, state) of a node, by name, in the status of another node or its own."""
    row = status(cluster, asked)['nodes'][place]
    return row['database'], row['state']


def reaches(cluster, place, database=None, state=None, asked=None):
    """Let time pass until a node takes this state; whether it is shown by the asked one, too."""
    def is_there():
        node = cluster.hosts[place].node
        return node is not None and (state is None or node.state.name == state) and (
            database is None or node.parts.database.state.name == database)
    if asked in (None, place):
        assert cluster.run_until(is_there, LIMIT), '\n'.join(cluster.trace[-30:])
        asked = place
    found = (None, None)
    for _ in range(LIMIT * 10):
        found = seen(cluster, place, asked)
        if (database or found[0], state or found[1]) == found:
            return True
        cluster.run(0.1)
    raise AssertionError('%s instead of %s' % (found, (database, state)))


def test_the_names_and_numbers_are_the_manuals():
    for printed, states in zip(manual.states(manual.text()), (NodeState, DatabaseState)):
        assert [(int(state), state.name) for state in states] == printed


def test_a_node_that_is_loading_its_files_can_be_seen_by_nobody(tmp_path, monkeypatch):
    """So LOADING has a number, and no story: it is over before there is anybody to be asked."""
    path, load = tmp_path / 'ahm_config.yml', loader.load
    data_dir = tmp_path / 'data'
    data_dir.mkdir()
    path.write_text('node_name: a\nis_witness: true\nlisten_address: 127.0.0.1\ndata_dir: %s\n'
                    'socket_dir: %s\n' % (data_dir, data_dir))
    (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n')
    looked = []

    def loading(given):
        looked.append(load(given).node_name)
        with pytest.raises(client.NoDaemon):
            client.ask({'ask': 'status'}, port=9595, socket_dir=str(data_dir))
        raise loader.ConfigError(['seen enough'])
    monkeypatch.setattr(ahmlib.main.loader, 'load', loading)
    assert ahmlib.main.main(['-n', '-f', str(path)]) == 1
    assert looked == ['a'] and os.listdir(str(data_dir)) == []


def test_a_node_that_was_never_heard_is_dead_and_its_database_unknown(tmp_path):
    cluster = starting(tmp_path)
    cluster.hosts[2].powered = False
    cluster.run(5)
    assert seen(cluster, 2, 0) == ('UNKNOWN', 'DEAD')


def test_a_node_that_has_not_looked_yet_is_initializing(tmp_path):
    cluster = starting(tmp_path)
    assert cluster.run_until(lambda: cluster.hosts[0].node is not None, 5)
    assert seen(cluster, 0, 0) == ('UNKNOWN', 'INITIALIZING')


def test_the_leader_has_the_primary_and_the_others_are_standbys(tmp_path):
    cluster = world(tmp_path)
    assert seen(cluster, 0, 1) == ('PRIMARY', 'LEADER')
    assert seen(cluster, 1, 0) == ('STANDBY', 'STANDBY')


@pytest.mark.parametrize('state', ['PARTICIPATE_IN_ELECTION', 'STAND_FOR_LEADER', 'TAKING_OVER'])
def test_an_election_and_its_winner(tmp_path, state):
    cluster = world(tmp_path)
    passed = []

    def is_there():
        passed.extend(host.node.state.name for host in cluster.hosts if host.node is not None)
        return state in passed
    cluster.network.isolate(0, range(3))
    for host in cluster.hosts:
        host.behaves['promote'] = 'slow'
    assert cluster.run_until(is_there, LIMIT), sorted(set(passed))


def test_without_a_leader_a_node_waits_for_one(tmp_path):
    cluster = world(tmp_path)
    cluster.crash(0)        # its database goes on, so nobody is elected beside it
    assert reaches(cluster, 1, state='WAITING_FOR_LEADER_FORMATION')


def test_without_a_valid_standby_a_node_is_in_resource_limitation(tmp_path):
    cluster = world(tmp_path, own={2: {'priority': 0}, 3: {'priority': 0}})
    cluster.power_off(0)
    assert reaches(cluster, 1, state='IN_RESOURCE_LIMITATION')


def test_a_standby_whose_database_failed_is_lost(tmp_path):
    cluster = world(tmp_path)
    cluster.hosts[2].database.stop()
    assert reaches(cluster, 2, database='FAILED', state='LOST', asked=0)


def test_a_host_that_is_not_reached_is_lost(tmp_path):
    cluster = world(tmp_path)
    cluster.power_off(2)
    assert reaches(cluster, 2, state='LOST', asked=0)


def test_a_node_that_says_goodbye_is_shut_down(tmp_path):
    cluster = world(tmp_path)
    cluster.stop(2)
    found = set()
    for _ in range(100):
        cluster.run(0.02)
        found.add(seen(cluster, 2, 0)[1])
    assert 'SHUTDOWN' in found, found


def test_a_database_that_only_others_reach_is_quarantined(tmp_path):
    cluster = world(tmp_path)
    cluster.local_path_fails.add(0)
    assert reaches(cluster, 0, database='QUARANTINED', asked=1)


def test_a_witness_has_no_database(tmp_path):
    cluster = world(tmp_path, own={3: {'is_witness': True}})
    assert seen(cluster, 2, 0) == ('NOT_CONFIGURED', 'STANDBY')
