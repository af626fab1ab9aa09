"""ahm_attach_node, ahm_promote_node, ahm_shutdown_cluster: what they ask, print and return.

The daemon is a list of answers here; tests/integration/test_operators.py has the real one.
"""

import json
import re

import pytest

from ahmlib.ipc import client
from ahmlib.utilities import (
    attach_node,
    common,
    pause_cluster,
    promote_node,
    resume_cluster,
    shutdown_cluster,
    tasks,
)

from . import pages

UTILITIES = {'ahm_attach_node': attach_node, 'ahm_promote_node': promote_node,
             'ahm_shutdown_cluster': shutdown_cluster}


@pytest.fixture
def daemon(monkeypatch):
    """A daemon: `answers` in order (an exception is raised), `asked` what it was asked."""
    class Daemon:
        """What it will say, and what it heard."""
        answers, asked = [], []

        def ask(self, request, **where):
            """Stands for client.ask."""
            self.asked.append(request)
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer
    it = Daemon()
    it.answers, it.asked = [], []
    monkeypatch.setattr(client, 'ask', it.ask)
    monkeypatch.setattr(tasks, 'LOOK_SECONDS', 0.0)
    return it


def task(state, step='a step', reason=''):
    """The answer to a question about the task of number 7."""
    return {'ok': True, 'task': {'number': 7, 'name': 'attach', 'state': state, 'step': step,
                                 'reason': reason}}


def test_attach_prints_success_only_once_it_is_done(daemon, capsys):
    daemon.answers = [task('running'), task('running'), task('done')]
    assert common.run(attach_node.main, []) == 0
    assert capsys.readouterr().out == (
        'Command Success\nInfo: attach database executed successfully\n')
    assert daemon.asked == [{'ask': 'attach'}] + 2 * [{'ask': 'task', 'task': 7}]


def test_with_wait_each_step_is_shown_once(daemon, capsys):
    daemon.answers = [task('running'), task('running', 'one'), task('running', 'one'),
                      task('running', 'two'), task('done', 'two')]
    assert common.run(attach_node.main, ['--wait']) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ['attach: one', 'attach: two']


def test_a_rebuild_is_asked_for_by_its_word_and_its_figures_are_no_new_steps(daemon, capsys):
    steps = ['copies the primary: begins', 'copies the primary: 900 MB of 2.5 GB (35 %), about 1 '
             'min left', 'copies the primary: 2.4 GB of 2.5 GB (96 %), about 9 s left', 'ends']
    daemon.answers = [task('running', step) for step in ['waits'] + steps] + [task('done', 'ends')]
    assert common.run(attach_node.main, ['--rebuild', '--wait', '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each['text'] for each in told['steps']] == [steps[0], steps[2], steps[3]]
    assert daemon.asked[0] == {'ask': 'attach', 'rebuild': True}


def test_a_task_that_fails_says_why_and_is_1(daemon, capsys):
    daemon.answers = [task('running'), task('failed', reason='it diverged')]
    assert common.run(attach_node.main, []) == 1
    assert capsys.readouterr() == ('', 'Command Failed: it diverged\n')


def test_a_daemon_that_is_silent_or_breaks_off_for_a_moment_is_asked_again(daemon):
    daemon.answers = [task('running'), client.NoDaemon('nobody'), client.ProtocolError('closed'),
                      {'ok': True}, task('done')]
    assert common.run(attach_node.main, []) == 0


@pytest.mark.parametrize('utility, words', [
    ('ahm_attach_node', []), ('ahm_promote_node', ['--wait'])])
def test_a_daemon_that_took_the_request_and_stays_silent_is_1_for_it_may_have_begun(
        daemon, monkeypatch, capsys, utility, words):
    monkeypatch.setattr(tasks, 'SILENCE_SECONDS', -1.0)
    daemon.answers = [task('running'), client.NoDaemon('nobody there')]
    assert common.run(UTILITIES[utility].main, words) == 1
    said = capsys.readouterr().err
    assert said.startswith('Command Failed: the daemon took the request and has not answered')
    assert '(nobody there)' in said and 'ahm_cluster_status' in said


def test_who_interrupts_the_waiting_is_told_that_it_goes_on(daemon, capsys):
    daemon.answers = [task('running'), KeyboardInterrupt()]
    assert common.run(attach_node.main, []) == 1
    assert 'interrupted; what was asked for goes on' in capsys.readouterr().err


@pytest.mark.parametrize('utility', sorted(UTILITIES))
def test_a_daemon_that_may_have_begun_is_1_and_not_nobody(daemon, capsys, utility):
    daemon.answers = [client.NoAnswer('it did not answer')]
    assert common.run(UTILITIES[utility].main, []) == 1
    assert capsys.readouterr().err == 'Command Failed: it did not answer\n'


def test_promote_is_scheduled_and_not_waited_for(daemon, capsys):
    daemon.answers = [task('running')]
    assert common.run(promote_node.main, []) == 0
    assert capsys.readouterr().out == (
        'Command Success\nInfo: Promote node task successfully scheduled\n')
    assert daemon.asked == [{'ask': 'promote', 'force': False, 'dry_run': False}]


def test_promote_can_be_waited_for(daemon, capsys):
    daemon.answers = [task('running'), task('done')]
    assert common.run(promote_node.main, ['--wait']) == 0
    assert capsys.readouterr().out.endswith('Info: Promote node task successfully finished\n')


def test_a_dry_run_asks_for_nothing_else(daemon, capsys):
    daemon.answers = [{'ok': True}]
    assert common.run(promote_node.main, ['--dry-run']) == 0
    assert capsys.readouterr().out == 'Info: the node can be promoted now\n'
    assert daemon.asked == [{'ask': 'promote', 'force': False, 'dry_run': True}]


def test_a_dry_run_that_would_fail_says_why(daemon, capsys):
    daemon.answers = [{'ok': False, 'reason': 'AHM-NODE-3 has priority 0'}]
    assert common.run(promote_node.main, ['--dry-run']) == 1
    assert capsys.readouterr().err == 'Command Failed: AHM-NODE-3 has priority 0\n'


def test_a_dry_run_has_nothing_to_wait_for(daemon):
    assert common.run(promote_node.main, ['--dry-run', '--wait']) == 2
    assert daemon.asked == []


RISKS = {'ok': True, 'risks': ['AHM-NODE-1: not heard', 'what it had is lost']}
FORCED = {'ask': 'promote', 'force': True, 'dry_run': False}


class Terminal:
    """A terminal on which this is typed."""

    def __init__(self, typed, is_one=True):
        self.typed, self.is_one = typed, is_one

    def isatty(self):
        """Whether somebody sits there."""
        return self.is_one

    def readline(self):
        """What was typed."""
        return self.typed


@pytest.mark.parametrize('words, typed, code, asked', [
    (['--yes'], '', 0, True), ([], 'yes\n', 0, True), ([], 'y\n', 1, False), ([], '', 1, False)])
def test_force_says_what_it_risks_and_asks_first(daemon, monkeypatch, capsys, words, typed, code,
                                                 asked):
    monkeypatch.setattr('sys.stdin', Terminal(typed))
    daemon.answers = [RISKS, task('running')]
    assert common.run(promote_node.main, ['--force'] + words) == code
    assert (FORCED in daemon.asked) is asked
    out = capsys.readouterr().out
    assert '  - AHM-NODE-1: not heard\n  - what it had is lost\n' in out
    assert ('successfully scheduled' in out) is asked


def test_force_without_a_terminal_needs_yes(daemon, monkeypatch, capsys):
    monkeypatch.setattr('sys.stdin', Terminal('yes\n', is_one=False))
    daemon.answers = [RISKS]
    assert common.run(promote_node.main, ['--force']) == 2
    assert FORCED not in daemon.asked and 'add --yes' in capsys.readouterr().err


def test_a_dry_run_of_force_says_the_risks_and_asks_nothing(daemon, capsys):
    daemon.answers = [RISKS, RISKS]
    assert common.run(promote_node.main, ['--force', '--dry-run']) == 0
    assert FORCED not in daemon.asked
    assert capsys.readouterr().out.endswith('Info: the node can be promoted by force now\n')


def test_force_that_is_refused_says_why_and_asks_nothing(daemon, capsys):
    daemon.answers = [{'ok': False, 'reason': 'AHM-NODE-1 leads'}]
    assert common.run(promote_node.main, ['--force']) == 1
    assert capsys.readouterr() == ('', 'Command Failed: AHM-NODE-1 leads\n')


def test_yes_alone_is_a_wrong_usage(daemon):
    assert common.run(promote_node.main, ['--yes']) == 2
    assert daemon.asked == []


@pytest.mark.parametrize('risks', [None, 'all', [1]])
def test_an_answer_without_risks_is_a_failure(daemon, risks):
    daemon.answers = [{'ok': True, 'risks': risks}]
    assert common.run(promote_node.main, ['--force', '--yes']) == 1


def test_shutdown_prints_what_the_manual_prints(daemon, capsys):
    daemon.answers = [{'ok': True}]
    assert common.run(shutdown_cluster.main, []) == 0
    assert capsys.readouterr().out == (
        'Command Success\nInfo: Shutdown request sent to remote nodes\n')


@pytest.mark.parametrize('name', ['ahm_attach_node', 'ahm_promote_node'])
@pytest.mark.parametrize('answer', [
    {'ok': True}, {'ok': True, 'task': {}}, {'ok': True, 'task': 7}])
def test_an_answer_without_a_task_is_a_failure(daemon, name, answer, capsys):
    daemon.answers = [answer]
    assert common.run(UTILITIES[name].main, ['--wait']) == 1
    assert 'holds no task' in capsys.readouterr().err


@pytest.mark.parametrize('name', sorted(UTILITIES))
@pytest.mark.parametrize('argv', [['--nonsense'], ['a', 'word'], ['--port', 'x'], ['-h', ''],
                                  ['-f', '/no/file']])
def test_a_wrong_usage_is_2_in_one_line(daemon, name, argv, capsys):
    assert common.run(UTILITIES[name].main, argv) == 2
    assert capsys.readouterr().err.count('\n') == 1
    assert daemon.asked == []


@pytest.mark.parametrize('name', sorted(UTILITIES))
def test_the_page_has_the_exit_codes_of_the_program(name):
    assert list(pages.items(name + '.1', 'EXIT STATUS')) == ['0', '1', '2', '3']
    codes = re.findall(r'(\d) ', UTILITIES[name].__doc__.split('Exit status:')[1])
    assert codes == ['0', '1', '2', '3']


# -- the primary goes elsewhere ------------------------------------------------------------------


def status_of(leader='db1', successor='db2', host='192.0.2.12'):
    """The answer of db1 to what the cluster is like."""
    return {'ok': True, 'status': {'asked': 'db1', 'leader': leader, 'successor': successor,
                                   'successor_host': host}}


@pytest.fixture
def going(monkeypatch):
    """going(words): what systemctl says of the system, from now on."""
    def says(*words):
        monkeypatch.setattr(promote_node, 'SYSTEM_STATE', ('echo',) + words)
    monkeypatch.setattr(promote_node, 'RETRY_SECONDS', 0.0)
    monkeypatch.setattr(promote_node, 'GRACE_SECONDS', 0.0)
    return says


def test_elsewhere_asks_the_successor_of_the_node_that_leads(daemon, monkeypatch, capsys):
    asked = []

    def ask(request, host=None, **where):
        asked.append((host, request))
        return daemon.answers.pop(0)
    monkeypatch.setattr(client, 'ask', ask)
    daemon.answers = [status_of(), task('running'), task('done')]
    assert common.run(promote_node.main, ['--elsewhere', '--wait']) == 0
    assert asked[0] == (None, {'ask': 'status'})
    assert asked[1] == ('192.0.2.12', {'ask': 'promote', 'force': False, 'dry_run': False})
    assert asked[2] == ('192.0.2.12', {'ask': 'task', 'task': 7})
    assert 'Info: db1 hands over to db2 (192.0.2.12)' in capsys.readouterr().out


def test_elsewhere_does_nothing_at_a_node_that_does_not_lead(daemon, capsys):
    daemon.answers = [status_of(leader='db3')]
    assert common.run(promote_node.main, ['--elsewhere']) == 0
    assert daemon.asked == [{'ask': 'status'}]
    assert capsys.readouterr().out == 'Info: db1 does not lead: nothing is handed over\n'


def test_elsewhere_fails_where_nobody_could_take_over(daemon, capsys):
    daemon.answers = [status_of(successor=None, host=None)]
    assert common.run(promote_node.main, ['--elsewhere']) == 1
    assert 'db1 leads, and no other node could take over' in capsys.readouterr().err


def test_at_shutdown_nothing_is_asked_of_a_host_that_stays_up(daemon, going, capsys):
    going('running')
    assert common.run(promote_node.main, ['--elsewhere', '--at-shutdown', '--wait']) == 0
    assert daemon.asked == [] and 'does not go down' in capsys.readouterr().out


def test_a_host_that_goes_down_right_after_it_was_promoted_hands_over_once_it_may(
        daemon, going, capsys):
    """The successor had not followed yet: the refusal was the last word, and a failover came."""
    going('stopping')
    daemon.answers = [
        status_of(), status_of(), {'ok': False, 'reason': 'db2 does not stream from db1'},
        status_of(), task('running'), task('failed', reason='it lacks the last of the WAL'),
        client.NoAnswer('busy'), status_of(), client.NoDaemon('nobody there'),
        status_of(), task('running'), task('done')]
    assert common.run(promote_node.main, ['--elsewhere', '--at-shutdown', '--wait']) == 0
    said = capsys.readouterr().out
    assert 'not yet: db2 does not stream' in said and 'not yet: it lacks' in said
    assert daemon.answers == []


def test_a_host_that_goes_down_does_not_try_for_ever(daemon, going, monkeypatch, capsys):
    going('stopping')
    monkeypatch.setattr(promote_node, 'SHUTDOWN_SECONDS', 0.0)
    daemon.answers = [status_of(), status_of(),
                      {'ok': False, 'reason': 'db2 does not stream from db1'}]
    assert common.run(promote_node.main, ['--elsewhere', '--at-shutdown', '--wait']) == 1
    assert 'db2 does not stream from db1' in capsys.readouterr().err


def test_a_host_without_a_daemon_goes_down_at_once(daemon, going):
    going('stopping')
    daemon.answers = [client.NoDaemon('nobody there')]
    assert common.run(promote_node.main, ['--elsewhere', '--at-shutdown', '--wait']) == 3
    assert daemon.asked == [{'ask': 'status'}]


def test_where_systemctl_cannot_be_asked_nothing_is_done_and_it_is_said(
        daemon, monkeypatch, capsys):
    monkeypatch.setattr(promote_node, 'SYSTEM_STATE', ('/nowhere/systemctl',))
    assert common.run(promote_node.main, ['--elsewhere', '--at-shutdown']) == 1
    assert 'cannot be asked whether this host goes down' in capsys.readouterr().err
    assert daemon.asked == []


@pytest.mark.parametrize('words', [
    ['--at-shutdown'], ['--elsewhere', '--force'], ['--elsewhere', '--force', '--yes']])
def test_elsewhere_goes_with_what_it_goes_with(daemon, words):
    assert common.run(promote_node.main, words) == 2 and daemon.asked == []


# -- one node, by its name ---------------------------------------------------------------------

STATUS = {'ok': True, 'status': {'asked': 'a', 'nodes': [
    {'name': 'a', 'address': '192.0.2.11'}, {'name': 'b', 'address': '192.0.2.12'},
    {'name': None, 'address': '192.0.2.13'}]}}


@pytest.mark.parametrize('utility, what, info', [
    (pause_cluster, 'pause', 'b is in maintenance'),
    (resume_cluster, 'resume', 'b is not in maintenance')])
def test_a_node_is_asked_by_its_name(monkeypatch, daemon, capsys, utility, what, info):
    hosts = []
    asks = client.ask
    monkeypatch.setattr(client, 'ask', lambda request, **where: (
        hosts.append(where['host']), asks(request, **where))[1])
    daemon.answers = [STATUS, dict(task('running'), remarks=['nobody could take over']),
                      task('done')]
    assert common.run(utility.main, ['--node=b', '-p', '9000']) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('Command Success\nInfo: %s\n' % info)
    assert ('Warning: nobody could take over' in printed) is (what == 'pause')
    assert daemon.asked == [{'ask': 'status'}, {'ask': what, 'node': 'b'},
                            {'ask': 'task', 'task': 7}]
    assert hosts == [None, '192.0.2.12', '192.0.2.12']


def test_the_node_of_this_host_is_asked_through_its_socket(monkeypatch, daemon):
    daemon.answers = [STATUS, task('done'), task('done')]
    assert common.run(pause_cluster.main, ['--node=a']) == 0
    assert daemon.asked[1] == {'ask': 'pause', 'node': 'a'}


@pytest.mark.parametrize('utility', [pause_cluster, resume_cluster])
@pytest.mark.parametrize('argv, code, said', [
    ([], 1, 'nobody leads, as a sees it, and only a leader begins or ends a pause; see '
     'ahm_cluster_status'),
    (['--node='], 2, "--node: found '', expected the node_name of a node; name one, or leave it "
     'out'),
    (['--node=c'], 2, "--node: found 'c', expected one of a, b, 192.0.2.13")])
def test_a_node_that_is_not_there_is_asked_for_nothing(daemon, capsys, utility, argv, code, said):
    daemon.answers = [STATUS]
    assert common.run(utility.main, argv) == code
    assert capsys.readouterr().err == 'Command Failed: %s\n' % said
    assert all(asked == {'ask': 'status'} for asked in daemon.asked)


def test_what_does_not_answer_like_a_daemon_names_no_nodes(daemon, capsys):
    daemon.answers = [{'ok': True, 'status': {'nodes': [7]}}]
    assert common.run(pause_cluster.main, ['--node=b']) == 1
    assert 'holds no status' in capsys.readouterr().err


@pytest.mark.parametrize('utility, what, info', [
    (pause_cluster, 'pause', 'the cluster is paused'),
    (resume_cluster, 'resume', 'the cluster is not paused')])
def test_the_leader_is_asked_about_the_whole_cluster(daemon, capsys, utility, what, info):
    led = {'ok': True, 'status': dict(STATUS['status'], leader='b')}
    daemon.answers = [led, task('running'), task('done')]
    assert common.run(utility.main, []) == 0
    assert capsys.readouterr().out == 'Command Success\nInfo: %s\n' % info
    assert daemon.asked[:2] == [{'ask': 'status'}, {'ask': what}]
