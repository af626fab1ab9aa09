"""Names of nodes wherever an address is taken: who knows them, who wins, and what is refused."""

import os
import socket

import pytest

from ahmlib.ipc import client
from ahmlib.runtime import state_file
from ahmlib.utilities import attach_node, cluster_status, common, names, promote_node
from ahmlib.utilities.where import Where

from .test_cluster_status import Answerer, answerer, node, status  # noqa: F401

DNS = {'db.example.com', 'AHM-NODE-2', 'localhost'}


@pytest.fixture(autouse=True)
def dns(monkeypatch):
    """A resolver that knows these names only, one of which is a node's, too."""
    def resolve(name, port, *rest, **more):
        if name not in DNS:
            raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('203.0.113.9', 0))]
    monkeypatch.setattr(socket, 'getaddrinfo', resolve)


@pytest.mark.parametrize('text', ['203.0.113.1', '::1', '[2001:db8::1]', 'fe80::1%eth0'])
def test_an_address_is_asked_of_nobody(text, monkeypatch):
    monkeypatch.setattr(client, 'ask', None)
    assert names.resolve(text, '--host', Where('/nowhere', 1)) == text


def test_the_daemon_of_this_host_knows_the_names(answerer):  # noqa: F811
    here = Where(answerer.directory, 9595)
    assert names.resolve('AHM-NODE-1', '--host', here) == '210.104.181.77'
    assert answerer.requests == [{'ask': 'status'}]


def test_a_node_goes_before_a_host_of_the_dns_and_a_full_name_means_the_host(
        answerer):  # noqa: F811
    here = Where(answerer.directory, 9595)
    assert names.resolve('AHM-NODE-2', '--host', here) == '210.104.181.78'
    assert names.resolve('db.example.com', '--host', here) == 'db.example.com'


def test_a_name_that_nobody_knows_is_refused_with_those_that_are_known(answerer):  # noqa: F811
    with pytest.raises(common.Failure) as caught:
        names.resolve('db9', 'NODE', Where(answerer.directory, 9595))
    assert caught.value.code == 2
    assert str(caught.value) == (
        "NODE: found 'db9', expected the name of a node or host, or an address; known nodes are "
        'AHM-NODE-1 (210.104.181.77), AHM-NODE-2 (210.104.181.78)')


def test_a_name_of_two_nodes_is_refused_with_both(answerer):  # noqa: F811
    twice = [node(1), node(2, name='AHM-NODE-1'), node(3)]
    answerer.answer = {'ok': True, 'status': status(nodes=twice)}
    with pytest.raises(common.Failure) as caught:
        names.resolve('AHM-NODE-1', '--host', Where(answerer.directory, 9595))
    assert caught.value.code == 2
    assert 'several nodes (210.104.181.77, 210.104.181.78)' in str(caught.value)


@pytest.mark.parametrize('answer', [
    {'ok': False, 'reason': 'no'}, {'ok': True, 'status': 5}, {'ok': True, 'status': {'nodes': 7}},
    {'ok': True, 'status': {'nodes': [5, {'name': None}, {'name': 'x', 'address': 1}]}}])
def test_an_answer_without_names_is_as_none(answerer, answer):  # noqa: F811
    answerer.answer = answer
    with pytest.raises(common.Failure, match='no node is known here by its name'):
        names.resolve('x', '--host', Where(answerer.directory, 9595))


@pytest.fixture
def files(tmp_path):
    """The files of a node whose daemon does not run: it is db1, and has heard db2."""
    path = tmp_path / 'ahm_config.yml'
    path.write_text('node_name: db1\nis_witness: true\ndata_dir: %s\nsocket_dir: %s\n'
                    % (tmp_path, tmp_path))
    (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n203.0.113.2:9500\n203.0.113.3:9500\n')
    state_file.save(str(tmp_path / 'ahm.state'), {'names': {
        '127.0.0.1:9500': 'an older name', '203.0.113.2:9500': 'db2', '203.0.113.99:9500': 'gone'}})
    return path


def test_without_a_daemon_the_files_know_the_names(files, tmp_path):
    here = Where(str(tmp_path), 9595, str(files))
    assert names.resolve('db2', '--host', here) == '203.0.113.2'
    assert names.resolve('db1', '--host', here) == '127.0.0.1'
    for unknown in ('gone', 'an older name'):
        with pytest.raises(common.Failure, match=r'known nodes are db1 .*, db2 \(203.0.113.2\)'):
            names.resolve(unknown, '--host', here)


@pytest.mark.parametrize('spoil', ['state', 'configuration'])
def test_files_that_cannot_be_used_are_said_where_a_name_is_not_known(files, tmp_path, spoil):
    if spoil == 'state':
        (tmp_path / 'ahm.state').write_text('nonsense')
        (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n203.0.113.2:9500\n')
    else:
        files.write_text('node_name: [\n')
    with pytest.raises(common.Failure) as caught:
        names.resolve('db2', '--host', Where(str(tmp_path), 9595, str(files)))
    assert ('known nodes are db1' if spoil == 'state' else str(files)) in str(caught.value)


class Asked(list):
    """Stands for client.ask: knows the names, and notes whom it was asked for."""

    def __call__(self, request, host=None, **where):
        if request == {'ask': 'status'} and host is None:
            return {'ok': True, 'status': status()}
        self.append((request['ask'], host))
        return {'ok': True, 'task': {'number': 7, 'name': 'x', 'state': 'done', 'step': 's'}}


@pytest.fixture
def asked(monkeypatch):
    """The hosts that commands ask."""
    it = Asked()
    monkeypatch.setattr(client, 'ask', it)
    return it


@pytest.mark.parametrize('words', [['AHM-NODE-2'], ['-h', 'AHM-NODE-2'], ['210.104.181.78']])
@pytest.mark.parametrize('main, request_name', [
    (attach_node.main, 'attach'), (promote_node.main, 'promote')])
def test_commands_take_a_name_as_an_argument_and_as_an_option(asked, main, request_name, words):
    assert common.run(main, words) == 0
    assert asked[0] == (request_name, '210.104.181.78')
    assert {host for _, host in asked} == {'210.104.181.78'}


@pytest.mark.parametrize('main', [attach_node.main, promote_node.main])
@pytest.mark.parametrize('words, said', [
    (['db9'], "NODE: found 'db9'"), (['-h', 'db9'], "--host: found 'db9'"),
    ([''], "NODE: found ''"),
    (['AHM-NODE-1', '-h', 'AHM-NODE-2'], '--host: found NODE besides')])
def test_a_wrong_name_is_2_and_nothing_is_asked_for(asked, capsys, main, words, said):
    assert common.run(main, words) == 2
    assert said in capsys.readouterr().err and asked == []


def test_check_with_an_unknown_name_is_unknown(asked, capsys):
    assert common.run(cluster_status.main, ['--check', '-h', 'db9']) == 3
    assert capsys.readouterr().out.startswith("AHM UNKNOWN - --host: found 'db9'")


def test_the_entrance_of_the_status_knows_names_too(tmp_path, monkeypatch):
    made = Answerer(str(tmp_path))
    try:
        made.answer = {'ok': True, 'status': status(nodes=[node(1, name='here', address='::1')])}
        args = common.arguments(cluster_status.__doc__, ['-h', 'here', '-s', str(tmp_path)])
        with pytest.raises(client.NoDaemon):
            common.ask(args, {'ask': 'status'})
        assert args['--host'] == '::1'
    finally:
        made.close()
    assert os.path.exists(str(tmp_path / '.s.AHM.9595'))
