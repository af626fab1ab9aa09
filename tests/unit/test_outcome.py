"""--json: one shape for the outcome of every command, and nothing of it on stderr."""

import json
import os
import socket
import threading

import pytest

import ahmlib.main
from ahmlib.ipc import client
from ahmlib.runtime import reload
from ahmlib.utilities import (
    attach_node,
    check_config,
    common,
    promote_node,
    shutdown_cluster,
    simulate,
)

from .test_cluster_status import Answerer
from .test_operator_utilities import RISKS, daemon, task  # noqa: F401

SHAPE = {'ok', 'text', 'exit_code'}


def told(capsys):
    """The object on stdout, of which nothing is on stderr."""
    out, err = capsys.readouterr()
    assert err == ''
    found = json.loads(out)
    assert SHAPE <= set(found)
    return found


def test_attach_tells_its_steps(daemon, capsys):  # noqa: F811
    daemon.answers = [task('running'), task('running', 'one'), task('running', 'one'),
                      task('done', 'two')]
    assert common.run(attach_node.main, ['--json', '--wait']) == 0
    found = told(capsys)
    assert (found['ok'], found['exit_code']) == (True, 0)
    assert found['text'] == 'attach database executed successfully'
    assert [step['text'] for step in found['steps']] == ['one', 'two']
    assert found['seconds'] >= found['steps'][-1]['at_seconds'] >= 0.0


@pytest.mark.parametrize('words, answers, text', [
    ([], [task('running')], 'Promote node task successfully scheduled'),
    (['--wait'], [task('running'), task('done')], 'Promote node task successfully finished'),
    (['--dry-run'], [{'ok': True}], 'the node can be promoted now')])
def test_promote_tells_its_outcome(daemon, capsys, words, answers, text):  # noqa: F811
    daemon.answers = list(answers)
    assert common.run(promote_node.main, ['--json'] + words) == 0
    found = told(capsys)
    assert (found['ok'], found['text']) == (True, text)


@pytest.mark.parametrize('words', [['--yes'], ['--dry-run']])
def test_promote_by_force_tells_the_risks(daemon, capsys, words):  # noqa: F811
    daemon.answers = [RISKS, task('running')]
    assert common.run(promote_node.main, ['--json', '--force'] + words) == 0
    assert told(capsys)['risks'] == RISKS['risks']


def test_promote_by_force_asks_nothing_with_json(daemon, capsys):  # noqa: F811
    assert common.run(promote_node.main, ['--json', '--force']) == 2
    assert 'add --yes' in told(capsys)['text'] and daemon.asked == []


@pytest.mark.parametrize('main', [attach_node.main, promote_node.main, shutdown_cluster.main])
@pytest.mark.parametrize('answer, code, text', [
    ({'ok': False, 'reason': 'it\ndiverged'}, 1, 'it diverged'),
    (client.NoDaemon('nobody'), 3, 'nobody'), (client.NoAnswer('late'), 1, 'late'),
    (KeyboardInterrupt(), 1, 'interrupted')])
def test_a_failure_has_the_same_shape(daemon, capsys, main, answer, code, text):  # noqa: F811
    daemon.answers = [answer]
    assert common.run(main, ['--json']) == code
    assert told(capsys) == {'ok': False, 'text': text, 'exit_code': code}


@pytest.mark.parametrize('main', [attach_node.main, promote_node.main, shutdown_cluster.main,
                                  check_config.main, simulate.main])
@pytest.mark.parametrize('words', [['--json', '--bogus'], ['--bogus', '--js'], ['--json=1']])
def test_a_wrong_usage_has_it_too(capsys, main, words):
    assert common.run(main, words) == 2
    found = told(capsys)
    assert (found['ok'], found['exit_code']) == (False, 2) and '--' in found['text']


# -- ahm_shutdown_cluster ----------------------------------------------------------------------


@pytest.fixture
def listening():
    """Two listeners on one port, as the daemons of two nodes; {name: (host, listener)}."""
    first = socket.socket()
    first.bind(('127.0.0.1', 0))
    second = socket.socket()
    second.bind(('127.0.0.2', first.getsockname()[1]))
    for each in (first, second):
        each.listen(5)
    yield {'db1': ('127.0.0.1', first), 'db2': ('127.0.0.2', second)}
    first.close()
    second.close()


def nodes_of(listening):
    """The status that names the nodes, and one that does not live."""
    return {'ok': True, 'status': {'nodes': [
        {'name': name, 'address': host, 'alive': True} for name, (host, _) in listening.items()]
        + [{'name': 'db3', 'address': '127.0.0.3', 'alive': False}]}}


def test_shutdown_waits_until_nobody_listens_any_more(
        daemon, listening, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shutdown_cluster, 'LOOK_SECONDS', 0.01)
    port = listening['db1'][1].getsockname()[1]
    order = []

    def end():
        for name in ('db2', 'db1'):
            order.append(name)
            listening[name][1].close()
    daemon.answers = [nodes_of(listening), {'ok': True}]
    asking = client.ask

    def ask(request, **where):
        if request == {'ask': 'shutdown'}:
            threading.Timer(0.05, end).start()
        return asking(request, **where)
    monkeypatch.setattr(client, 'ask', ask)
    assert common.run(shutdown_cluster.main, ['--wait', '--json', '-p', str(port)]) == 0
    found = told(capsys)
    assert (found['text'], found['ended']) == ('All daemons have ended', ['db1', 'db2'])
    assert order == ['db2', 'db1']


def test_shutdown_says_which_daemons_still_run(
        daemon, listening, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shutdown_cluster, 'ENDED_SECONDS', 0.0)
    port = listening['db1'][1].getsockname()[1]
    daemon.answers = [nodes_of(listening), {'ok': True}]
    assert common.run(shutdown_cluster.main, ['--wait', '-p', str(port)]) == 1
    assert 'still run: db1, db2; see' in capsys.readouterr().err


def test_shutdown_that_cannot_be_looked_at_is_not_asked_for(
        daemon, listening, capsys):  # noqa: F811
    port = listening['db1'][1].getsockname()[1]
    listening['db2'][1].close()
    daemon.answers = [nodes_of(listening)]
    assert common.run(shutdown_cluster.main, ['--wait', '-p', str(port)]) == 1
    assert 'nothing was changed' in capsys.readouterr().err
    assert daemon.asked == [{'ask': 'status'}]


# -- ahm ---------------------------------------------------------------------------------------


@pytest.fixture
def witness(tmp_path):
    """The file of a witness; its path."""
    path = tmp_path / 'ahm_config.yml'
    path.write_text('node_name: w\nis_witness: true\ndata_dir: .\nsocket_dir: .\n')
    (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n')
    return str(path)


@pytest.mark.parametrize('words, code, text', [
    (['stop'], 1, 'no AHM daemon runs with PID file'), (['reload'], 1, 'nothing to reload'),
    (['-n', 'start'], 2, '--json: found -n besides'), (['begin'], 2, 'not understood: begin')])
def test_the_daemons_command_fails_in_the_same_shape(witness, capsys, words, code, text):
    assert ahmlib.main.main(['--json', '-f', witness] + words) == code
    found = told(capsys)
    assert (found['ok'], found['exit_code']) == (False, code) and text in found['text']


def test_a_wrong_configuration_has_all_its_problems(witness, capsys):
    with open(witness, 'a') as file:
        file.write('priority: -1\nnonsense: 1\n')
    assert ahmlib.main.main(['--json', '-f', witness, 'start']) == 1
    assert len(told(capsys)['problems']) == 2


# -- ahm reload --------------------------------------------------------------------------------


class Daemon(Answerer):
    """Something at the UNIX socket that answers `daemon` and `reload`, and takes signals."""

    def __init__(self, directory, answer, monkeypatch, pid=None):
        super().__init__(directory)
        self.answer, self.signals = answer, []
        self.pid_file = os.path.join(directory, 'ahm.pid')
        found = os.getpid() if pid is None else pid
        monkeypatch.setattr(ahmlib.main, 'find_daemon', lambda where: found)
        monkeypatch.setattr(os, 'kill', lambda pid, number: self.signals.append((pid, number)))

    def answer_to(self, request):
        """A reload is answered as the test wants, all else with the PID file."""
        return self.answer if request == reload.REQUEST else {
            'ok': True, 'pid_file': self.pid_file}


@pytest.fixture
def running(tmp_path, monkeypatch):
    """running(answer) -> a Daemon that answers a reload so."""
    made = []

    def run(answer, pid=None):
        made.append(Daemon(str(tmp_path), answer, monkeypatch, pid))
        return made[-1]
    yield run
    for each in made:
        each.close()


TAKEN = {'name': 'priority', 'before': '1', 'after': '7', 'why': ''}
FIXED = {'name': 'ahm_port', 'before': '9500', 'after': '9600',
         'why': 'cannot change while the daemon runs: use `ahm restart`'}


def test_reload_prints_what_was_taken(running, witness, capsys):
    daemon_there = running({'ok': True, 'changes': [TAKEN]})
    assert ahmlib.main.main(['-f', witness, 'reload']) == 0
    assert capsys.readouterr() == (
        'AHM reloaded %s: changes taken: 1\ntaken: priority: 1 -> 7\n' % witness, '')
    assert daemon_there.requests[-1] == reload.REQUEST and daemon_there.signals == []


def test_reload_of_what_has_not_changed_says_so(running, witness, capsys):
    running({'ok': True, 'changes': []})
    assert ahmlib.main.main(['-f', witness, 'reload', '--json']) == 0
    found = told(capsys)
    assert found['text'].endswith('no parameter has changed') and found['changes'] == []


def test_reload_that_is_refused_prints_why_and_what_was_not_taken_and_is_1(
        running, witness, capsys):
    running({'ok': False, 'reason': 'ahm_port cannot change', 'changes': [TAKEN, FIXED]})
    assert ahmlib.main.main(['-f', witness, 'reload']) == 1
    assert capsys.readouterr().err.splitlines() == [
        'AHM refused to reload %s: ahm_port cannot change' % witness,
        'not taken: priority: 1 -> 7; it is all of the file or nothing',
        'refused: ahm_port: 9500 -> 9600; cannot change while the daemon runs: use `ahm restart`']
    assert ahmlib.main.main(['-f', witness, 'reload', '--json']) == 1
    assert told(capsys)['changes'] == [TAKEN, FIXED]


def test_reload_of_a_file_that_the_daemon_cannot_read_says_all_its_problems(
        running, witness, capsys):
    running({'ok': False, 'reason': 'one', 'problems': ['one', 'two']})
    assert ahmlib.main.main(['-f', witness, 'reload']) == 1
    assert capsys.readouterr().err.splitlines() == [
        'AHM refused to reload %s: one' % witness, 'two']


@pytest.mark.parametrize('answer, pid', [
    ({'ok': False, 'reason': "this daemon does not know the request 'reload'"}, None),
    ({'ok': True, 'changes': []}, 4711)])
def test_a_daemon_that_cannot_tell_is_asked_by_a_signal_and_it_is_1(
        running, witness, capsys, answer, pid):
    daemon_there = running(answer, pid)
    assert ahmlib.main.main(['-f', witness, 'reload']) == 1
    assert daemon_there.signals == [(pid or os.getpid(), 1)]
    assert 'that is in its log' in capsys.readouterr().err
