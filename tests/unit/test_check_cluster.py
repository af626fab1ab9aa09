"""ahm_check_config --cluster: what nodes say, what differs, and one check at a time."""

import json

import pytest

from ahmlib.checking import of_nodes, own, table
from ahmlib.checking.finding import ERROR, OK, WARNING, Finding
from ahmlib.checking.of_nodes import Told
from ahmlib.runtime.checks import Checks
from ahmlib.runtime.child_side import plain
from ahmlib.utilities import check_config

from .test_checking import PRIMARY, SERVER, config_of, setting

#: Of the three nodes of a cluster that is well.
NODES = (('one', '192.0.2.1', 1, PRIMARY), ('two', '192.0.2.2', 2, SERVER),
         ('three', '192.0.2.3', 3, SERVER))


def node(name, address, priority, survey, **changes):
    """A Told of a node."""
    about = dict(own.about(config_of()), name=name, address=address, priority=priority)
    about['parameters'] = dict(about['parameters'], **changes.pop('parameters', {}))
    return Told(address, '', (), dict(about, **changes), survey)


def nodes(second=None):
    """All three, or with another second one."""
    one, two, three = NODES
    return [node(*one), second or node(*two), node(*three)]


@pytest.mark.parametrize('second, code, level, found', [
    (Told('192.0.2.2', 'no AHM daemon at 192.0.2.2'), 'unanswered', ERROR, 'no AHM daemon'),
    (node(*NODES[1], cluster=5), 'same-cluster', ERROR, 'one, three | two'),
    (node(*NODES[1], parameters={'beacon_message_retry_count': '9'}), 'same-parameters', ERROR,
     '9 at two'),
    (node(*NODES[1], parameters={'hook_timeout_seconds': '9'}), 'same-parameters', WARNING,
     '9 at two'),
    (node('one', '192.0.2.2', 2, SERVER), 'node-names', ERROR, 'one at 192.0.2.1, 192.0.2.2'),
    (node('two', '192.0.2.2', 1, SERVER), 'priorities', WARNING, '1 at one, two'),
    (node(*NODES[1], ahm='0.9'), 'ahm-versions', WARNING, '0.9 at two'),
    (node('two', '192.0.2.2', 2, SERVER._replace(version=180001)), 'mixed-versions', WARNING,
     'servers of 18.1, 18.3'),
    (node('two', '192.0.2.2', 2, setting(SERVER, max_connections='9')), 'standby-settings', ERROR,
     '9 at two, and 100 at its primary')])
def test_what_differs_is_told_once_and_nothing_else(second, code, level, found):
    told = [each for each in of_nodes.compare(nodes(second)) if each.level != OK]
    assert [(each.code, each.level) for each in told] == [(code, level)]
    assert found in told[0].found and told[0].fix


def test_nodes_that_fit_are_well_and_every_code_is_on_the_page():
    told = of_nodes.compare(nodes())
    assert {each.level for each in told} == {OK}
    assert {each.code for each in told} <= set(table.codes())


def test_nodes_that_never_lead_may_have_one_priority():
    two, three = (node(name, address, 0, server) for name, address, _, server in NODES[1:])
    assert list(of_nodes.priorities([node(*NODES[0]), two, three])) == []


def test_an_answer_crosses_the_ipc_as_it_was():
    finding = Finding(WARNING, 'log', 'x', 'f', 'w', 'y')
    answer = {'ok': True, 'check': dict(plain({'findings': [finding], 'about': own.about(
        config_of()), 'survey': PRIMARY}), clock=102.5)}
    told = of_nodes.told('a', json.loads(json.dumps(answer)), 100.0)
    assert told.findings == [finding] and told.ahead_seconds == 2.5 and told.name == 'two'
    assert [tuple(each) for each in told.survey.slots] == [tuple(each) for each in PRIMARY.slots]


@pytest.mark.parametrize('answer', [
    {}, {'ok': True}, {'ok': True, 'check': 5}, {'ok': False, 'reason': 'it does not know'},
    {'ok': True, 'check': {'findings': [{}], 'about': {}, 'survey': None, 'clock': 1}},
    {'ok': True, 'check': {'findings': [], 'about': {'parameters': {}}, 'survey': None,
                           'clock': 1}},
    {'ok': True, 'check': {'findings': [], 'about': {'parameters': 5}, 'survey': 5, 'clock': 1}}])
def test_an_answer_that_is_none_is_that_of_a_node_that_does_not_answer(answer):
    told = of_nodes.told('192.0.2.2:9500', answer, 0.0)
    assert told.reason and not told.findings
    assert [each.code for each in of_nodes.compare(nodes(told)) if each.level == ERROR] == [
        'unanswered']


class Starts:
    """Children that end when they are told to."""

    def __init__(self):
        self.ends = []

    def start(self, function, args, limit, on_end, name):
        """Note it."""
        assert function is own.check and limit > 10
        self.ends.append(on_end)


def test_one_check_runs_at_a_time_and_who_asks_meanwhile_gets_the_next():
    children, told = Starts(), []
    checks = Checks(children)
    for name in ('a', 'b', 'c'):
        checks.ask(config_of(), lambda answer, name=name: told.append((name, answer['ok'])))
    assert len(children.ends) == 1
    children.ends[0]({'ok': False, 'reason': 'killed'})
    assert told == [('a', False)] and len(children.ends) == 2
    children.ends[1]({'findings': []})
    assert told[1:] == [('b', True), ('c', True)] and len(children.ends) == 2


def test_what_several_nodes_say_is_printed_once_with_their_names(monkeypatch, capsys):
    finding = Finding(WARNING, 'log', 'x', 'found', 'why', 'fix')
    all_nodes = [each._replace(findings=[finding]) for each in nodes()]
    monkeypatch.setattr(check_config, 'gather_nodes', lambda config: all_nodes)
    args = {'--json': False, '--strict': False}
    assert check_config._cluster(args, config_of()) == 0
    assert capsys.readouterr().out.count('WARNING log: x (one, two, three)\n') == 1
    assert check_config._cluster({'--json': True, '--strict': True}, config_of()) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each['node'] for each in told if each['code'] == 'log'] == ['one', 'two', 'three']
