"""Each parameter's tests fail where AHM ignores it: tried here for those that need no daemon.

`make test-parameters` tries it for the others, on real databases.
"""

import json
import os
import subprocess
import sys

import pytest
import yaml

from ahmlib.config import loader
from ahmlib.config.schema import Derived

from .ignored import chosen, run_ignoring
from .ignoring import INSTEAD, ignore
from .parameters import DECISIONS, PARAMETERS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 600
WITH_UNIT_TESTS = [name for name, tests in PARAMETERS.items() if chosen(tests, 'unit')]


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
    """{parameter: {test: (outcome, reason)}} of a run in a process of its own."""
    path = str(tmp_path_factory.mktemp('ignored') / 'ended.json')
    done = subprocess.run(
        [sys.executable, '-m', __package__ + '.ignored', '--unit', '--json', path], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=LIMIT)
    print(done.stdout)
    with open(path) as file:
        return json.load(file)


@pytest.mark.parametrize('name', WITH_UNIT_TESTS)
def test_the_tests_of_a_parameter_fail_where_it_is_ignored(name, ended):
    assert set(ended[name]) == set(chosen(PARAMETERS[name], 'unit'))
    for test, (outcome, reason) in ended[name].items():
        assert outcome == 'failed', '%s %s: %s' % (test, outcome, reason)


def test_most_parameters_are_tried_without_a_daemon():
    """The others are about its files and sockets."""
    assert set(PARAMETERS) - set(WITH_UNIT_TESTS) == {
        'ahm_port', 'ipc_port', 'listen_address', 'data_dir', 'socket_dir', 'pid_file_name',
        'log_filename', 'log_prefix', 'log_verbose', 'log_severity', 'service_restart_command',
        'multicast_group', 'multicast_interface', 'multicast_ttl', 'http_port',
        'http_listen_address'}


def test_a_test_that_does_not_show_a_parameter_passes_without_it():
    test = DECISIONS + 'priority_decides_between_equal_standbys'
    (outcome, _), = run_ignoring('auto_attach', [test])[0].values()
    assert outcome == 'passed'


# How a parameter is ignored


LINES = {'node_name': 'busan', 'priority': 3, 'data_dir': '/var/lib/ahm', 'socket_dir': '/run/ahm',
         'db_data_dir': '/data', 'db_config_dir': '/etc/data', 'db_port': 5499,
         'virtual_IP': '192.0.2.9', 'if_up_cmd': 'up $_IP_$', 'if_down_cmd': 'down $_IP_$',
         'log_verbose': True, 'PRE_promotion_command': 'fence it', 'trusted_servers': '192.0.2.8'}
DEPENDS = {'db_port': {'conn_string'}}


def parsed():
    """The Config of LINES."""
    return loader.parse(yaml.safe_dump(LINES), '/etc/ahm_config.yml', {})


@pytest.mark.parametrize('name', sorted(LINES))
def test_an_ignored_parameter_is_checked_and_then_as_if_it_were_not_in_the_file(name):
    row = loader.BY_NAME[name.lower()]
    whole, undo = parsed(), ignore(name)
    try:
        config = parsed()       # no rule is broken, also where two parameters need each other
        changed = {one.name for one in loader.differences(whole, config)}
        assert changed == {row.name} | DEPENDS.get(name, set())
        if row.name not in INSTEAD and not isinstance(row.default, Derived):
            assert getattr(config, row.attribute) == row.default
        assert config.given == whole.given - {row.attribute}
    finally:
        undo()
    assert loader.differences(whole, parsed()) == ()


def test_an_ignored_parameter_with_a_mistake_is_refused_all_the_same():
    undo = ignore('priority')
    try:
        with pytest.raises(loader.ConfigError, match='priority'):
            loader.parse('node_name: x\nis_witness: true\npriority: first\n', '/etc/a.yml', {})
    finally:
        undo()
