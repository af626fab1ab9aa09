"""ahm_restart_database: whom it asks, in which order, and where it ends.

The daemons are a table here; tests/integration/test_restart_database.py has real ones.
"""

import json
import re

import pytest

from ahmlib.ipc import client
from ahmlib.utilities import common, restart_database, tasks

from . import pages

OWN, OTHERS = None, ('192.0.2.2', '192.0.2.3')


def node(number, **changes):
    """What the status says of a node that is well."""
    leads = number == 1
    return dict({
        'name': 'N%d' % number, 'address': '192.0.2.%d' % number, 'witness': False, 'alive': True,
        'database': 'PRIMARY' if leads else 'STANDBY', 'state': 'LEADER' if leads else 'STANDBY',
        'streaming': None if leads else True}, **changes)


class Cluster:
    """Three nodes; N1 leads, and is the one that is asked through its UNIX socket."""

    def __init__(self):
        self.nodes = [node(number) for number in (1, 2, 3)]
        self.leader, self.successor = 'N1', 'N2'
        self.asked = []             # (host, what) of what changes something
        self.refusals, self.fails, self.steps = {}, {}, {}
        self.warnings = []

    def ask(self, request, host=None, **where):
        """Stands for client.ask."""
        what = request['ask']
        if what == 'status':
            return {'ok': True, 'status': {
                'asked': 'N1', 'leader': self.leader, 'successor': self.successor,
                'nodes': self.nodes}}
        if what == 'task':
            why = self.fails.get(host)
            return {'ok': True, 'task': {
                'number': 1, 'name': 'restart', 'state': 'failed' if why else 'done',
                'step': self.steps.get(host, 'a step'), 'reason': why or ''}}
        if request.get('dry_run'):
            why = self.refusals.get(host)
            return {'ok': False, 'reason': why} if why else {'ok': True, 'warnings': self.warnings}
        self.asked.append((host, what))
        if what == 'promote':
            self.moved('N2')
        return {'ok': True, 'task': {'number': 1, 'name': what, 'state': 'running', 'step': '',
                                     'reason': ''}}

    def moved(self, leader):
        """This one leads now."""
        self.leader = leader
        self.nodes = [node(int(each['name'][1])) for each in self.nodes]
        for each in self.nodes:
            leads = each['name'] == leader
            each.update(database='PRIMARY' if leads else 'STANDBY', streaming=not leads,
                        state='LEADER' if leads else 'STANDBY')


@pytest.fixture
def cluster(monkeypatch):
    it = Cluster()
    monkeypatch.setattr(client, 'ask', it.ask)
    monkeypatch.setattr(tasks, 'LOOK_SECONDS', 0.0)
    monkeypatch.setattr(restart_database, 'LOOK_SECONDS', 0.0)
    monkeypatch.setattr(restart_database, 'STREAM_SECONDS', 0.05)
    return it


def run(*words):
    """The exit code for these words."""
    return common.run(restart_database.main, list(words))


@pytest.mark.parametrize('words, host', [
    ([], OWN), (['N1'], OWN), (['192.0.2.1'], OWN), (['N3'], OTHERS[1]),
    (['192.0.2.2'], OTHERS[0])])
def test_one_node_is_asked_by_the_way_that_was_given_or_at_its_address(cluster, words, host):
    assert run(*words) == 0
    assert cluster.asked == [(host, 'restart')]


def test_rolling_takes_standbys_first_and_leaves_out_witnesses(cluster, capsys):
    cluster.nodes.insert(0, node(4, witness=True, database='NOT_CONFIGURED'))
    assert run('--rolling') == 0
    assert cluster.asked == [(OTHERS[0], 'restart'), (OTHERS[1], 'restart'), (OWN, 'restart')]
    assert capsys.readouterr().out.endswith('Info: N2 restarted; N3 restarted; N1 restarted\n')


def test_with_a_switchover_the_old_primary_is_not_restarted_once_more(cluster, capsys):
    assert run('--rolling', '--switchover', '--json') == 0
    assert cluster.asked == [(OTHERS[0], 'restart'), (OTHERS[1], 'restart'),
                             (OTHERS[0], 'promote')]
    told = json.loads(capsys.readouterr().out)
    assert [(each['name'], each['role'], each['result']) for each in told['nodes']] == [
        ('N2', 'standby', 'restarted'), ('N3', 'standby', 'restarted'),
        ('N1', 'primary', 'switched over')]


def test_the_first_that_fails_ends_it_and_the_others_are_left(cluster, capsys):
    cluster.fails[OTHERS[1]] = 'it is broken'
    assert run('--rolling', '--json') == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert said.err == '' and told['text'] == 'N3: it is broken; left as they are: N1'
    assert not told['ok'] and [each['result'] for each in told['nodes']] == [
        'restarted', 'failed', 'left as it is']
    assert cluster.asked == [(OTHERS[0], 'restart'), (OTHERS[1], 'restart')]


def test_who_would_refuse_keeps_all_from_being_restarted(cluster, capsys):
    cluster.refusals[OWN] = 'N1 is busy'
    assert run('--rolling') == 1
    assert (cluster.asked, capsys.readouterr().err) == ([], 'Command Failed: N1 is busy\n')


@pytest.mark.parametrize('change, said', [
    (dict(streaming=False), 'N3 does not stream'), (dict(streaming=None), 'N3 does not stream'),
    (dict(alive=False, state='LOST'), 'N3 is LOST (STANDBY)'),
    (dict(database='FAILED'), 'N3 is STANDBY (FAILED)')])
def test_nothing_rolls_where_a_node_is_not_well(cluster, capsys, change, said):
    cluster.nodes[2].update(change)
    assert run('--rolling') == 1
    assert 'nothing was restarted: ' + said in capsys.readouterr().err
    assert cluster.asked == []


def test_nothing_rolls_without_a_leader_or_over_to_nobody(cluster, capsys):
    cluster.successor = None
    assert run('--rolling', '--switchover') == 1
    cluster.leader = None
    assert run('--rolling') == 1
    said = capsys.readouterr().err
    assert 'no standby could take over' in said and 'nobody leads' in said and not cluster.asked


def test_who_takes_the_role_over_meanwhile_ends_it(cluster, capsys, monkeypatch):
    before = cluster.ask

    def ask(request, host=None, **where):
        answer = before(request, host, **where)
        if (host, request['ask']) == (OTHERS[1], 'task'):
            cluster.moved('N2')
        return answer
    monkeypatch.setattr(client, 'ask', ask)
    assert run('--rolling') == 1
    assert 'N1 led when this began, and N2 leads now' in capsys.readouterr().err
    assert (OWN, 'restart') not in cluster.asked


def test_a_standby_that_streams_no_more_ends_it(cluster, capsys, monkeypatch):
    before = cluster.ask

    def ask(request, host=None, **where):
        if request['ask'] == 'task':
            cluster.nodes[1]['streaming'] = False
        return before(request, host, **where)
    monkeypatch.setattr(client, 'ask', ask)
    assert run('--rolling') == 1
    assert 'N2: N2 does not stream, 0.05 s after its restart' in capsys.readouterr().err
    assert cluster.asked == [(OTHERS[0], 'restart')]


def test_a_dry_run_tells_the_order_and_the_warnings(cluster, capsys):
    cluster.warnings = ['nobody could stand in']
    assert run('--dry-run') == 0
    assert capsys.readouterr().out == ('Warning: nobody could stand in\n'
                                       'N1 (primary): would be restarted\n')
    assert run('--rolling', '--switchover', '--dry-run', '--json') == 0
    told = json.loads(capsys.readouterr().out)
    assert told['nodes'][-1]['result'] == 'would be switched over' and cluster.asked == []


def test_where_nothing_waits_for_a_restart_that_is_said(cluster, capsys):
    cluster.steps[OWN] = 'nothing: no parameter waits for a restart'
    assert run('--pending') == 0
    assert capsys.readouterr().out.endswith('Info: N1 nothing to do\n')


def test_the_page_has_the_exit_codes_of_the_program():
    assert list(pages.items('ahm_restart_database.1', 'EXIT STATUS')) == ['0', '1', '2', '3']
    codes = re.findall(r'(\d) ', restart_database.__doc__.split('Exit status:')[1])
    assert codes == ['0', '1', '2', '3']


@pytest.mark.parametrize('argv, said', [
    ([''], "NODE: found '', expected the address or the name of a node"),
    (['N2', '--rolling'], '--rolling: found NODE N2 besides, expected one of the two'),
    (['--switchover'], '--switchover: found no --rolling besides, expected both'),
    (['--rolling', '--switchover', '--pending'], '--switchover: found --pending besides')])
def test_words_that_do_not_go_together_change_nothing(cluster, argv, said):
    """An empty NODE is a variable that is not set, and not the node of this host."""
    with pytest.raises(common.Failure) as refused:
        restart_database.main(argv)
    assert refused.value.code == common.USAGE and str(refused.value).startswith(said)
    assert cluster.asked == []


def test_a_dry_run_does_not_claim_that_a_parameter_waits_for_a_restart(cluster, capsys):
    assert restart_database.main(['--pending', '--dry-run']) == common.OK
    assert capsys.readouterr().out == \
        'N1 (primary): would be restarted where a parameter waits for it\n'
    assert cluster.asked == []
