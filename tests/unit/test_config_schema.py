"""The table of parameters is complete, consistent, and what the sample is made of."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.config import kinds, loader, sample
from ahmlib.config.defaults import DERIVED
from ahmlib.config.document import read_entries
from ahmlib.config.schema import (
    ADVICE,
    ALWAYS,
    BY_NAME,
    PARAMETERS,
    PAUSED,
    REQUIRED,
    RESTART,
    RULES,
    SECTIONS,
    Derived,
)
from ahmlib.database import conninfo

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Every parameter of the manual, as it spells them, with its default; None: none, or derived.
MANUAL = {
    'conn_string': None, 'node_name': None, 'nodes_filename': None, 'is_witness': False,
    'priority': 1, 'ahm_port': 9500, 'ipc_port': 9595, 'data_dir': '/tmp', 'socket_dir': '/tmp',
    'log_filename': None, 'log_prefix': '%l PID:%p %t ', 'log_verbose': False,
    'log_severity': 'INFO', 'health_check_period': 30, 'max_consec_failures': 5,
    'db_connect_timeout': 5, 'db_user': 'agens', 'db_database': 'postgres', 'db_port': 5432,
    'db_bin_dir': None, 'db_data_dir': None, 'db_config_dir': None, 'pre_promotion_command': None,
    'promotion_command': None, 'post_promotion_command': None,
    'promote_leader_timeout_seconds': 20, 'virtual_IP': None, 'if_cmd_path': '/bin',
    'if_up_cmd': None, 'if_down_cmd': None, 'arping_cmd': None, 'arping_path': '/usr/sbin',
    'ping_path': '/bin', 'follow_command': None, 'service_restart_command': None,
    'restore_command': None, 'archive_cleanup_command': None,
    'use_recovery_min_apply_delay': False, 'recovery_min_apply_delay': 0,
    'primary_conninfo_options': None, 'standby_startup_delay': 3, 'use_pg_rewind': False,
    'beacon_message_interval_seconds': 8, 'beacon_message_retry_count': 2,
    'wait_for_primary_timeout_seconds': 20, 'failover_consensus_with_half_votes': False,
    'pid_file_name': 'ahm.pid',
}
BEYOND = {
    'multicast_group': None, 'multicast_interface': None, 'multicast_ttl': 1,
    'auth_key_file': None, 'trusted_servers': (), 'stop_isolated_primary': True,
    'replication_user': None, 'auto_attach': False, 'notification_command': None,
    'failover_lag_limit_bytes': None, 'db_failure_action': 'failover', 'db_start_command': None,
    'db_stop_command': None, 'db_restart_command': None, 'hook_timeout_seconds': 60,
    'listen_address': None, 'watchdog_device': None, 'watchdog_mode': 'automatic',
    'synchronous_mode': 'off', 'synchronous_node_count': 1, 'if_check_cmd': None,
    'db_start_at_boot': False, 'http_port': None, 'http_listen_address': None,
}


def test_the_table_holds_every_parameter_and_no_other():
    assert {row.name for row in PARAMETERS if not row.beyond} == set(MANUAL)
    assert {row.name for row in PARAMETERS if row.beyond} == set(BEYOND)
    assert len(BY_NAME) == len(PARAMETERS)


@pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)
def test_each_default_is_the_specified_one(row):
    specified = dict(MANUAL, **BEYOND)[row.name]
    if isinstance(row.default, Derived):
        assert specified is None
    else:
        assert row.default == specified and isinstance(row.default, bool) == isinstance(
            specified, bool)


@pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)
def test_each_row_is_complete_and_consistent(row):
    assert row.doc and row.doc.endswith('.')
    assert row.section in SECTIONS
    assert row.reload in (ALWAYS, PAUSED, RESTART)
    assert bool(row.choices) == (row.kind is kinds.CHOICE)
    assert (row.minimum is not None and row.maximum is not None) == (
        row.kind in (kinds.INTEGER, kinds.SECONDS))
    if row.minimum is not None and row.default is not None:
        assert row.minimum <= row.default <= row.maximum
    if row.choices:
        assert row.default in row.choices


def test_only_the_node_name_is_required():
    assert [row.name for row in PARAMETERS if row.default is REQUIRED] == ['node_name']
    for name, _ in DERIVED:
        assert isinstance(BY_NAME[name].default, Derived)


@pytest.mark.parametrize('rule', RULES + ADVICE, ids=lambda rule: rule.text[:40])
def test_each_rule_names_parameters_as_the_table_spells_them(rule):
    names = {row.name for row in PARAMETERS}
    assert rule.keys and set(rule.keys) <= names
    assert rule.text and rule.remedy and '\n' not in rule.text + rule.remedy


def test_what_reloads_is_what_the_specification_says():
    reload = {row.attribute: row.reload for row in PARAMETERS}
    for name in ('log_severity', 'log_prefix', 'log_filename', 'log_verbose', 'priority'):
        assert reload[name] == ALWAYS
    for row in PARAMETERS:
        if row.kind in (kinds.COMMAND, kinds.VIP_COMMAND):
            assert row.reload == ALWAYS, row.name
        if row.kind is kinds.SECONDS:
            assert row.reload == PAUSED, row.name
    assert reload['beacon_message_retry_count'] == reload['nodes_filename'] == PAUSED
    assert reload['ahm_port'] == reload['data_dir'] == reload['node_name'] == RESTART


def test_the_sample_in_the_tree_is_the_generated_one():
    with open(os.path.join(TOP, 'conf', 'ahm_config.yml.sample')) as stream:
        assert stream.read() == sample.sample()


def test_the_sample_has_every_parameter_once_and_loads_value_for_value():
    text = sample.sample()
    lines = [line.lstrip('#').split(':')[0] for line in text.splitlines()
             if not line.startswith('# ')]
    for row in PARAMETERS:
        assert lines.count(row.name) == 1
    config = loader.parse(text, '/etc/ahm_config.yml', {})
    for row in PARAMETERS:
        if row.example is not None:
            assert getattr(config, row.attribute) == row.example, row.name
            assert row.attribute in config.given
        elif not isinstance(row.default, Derived):
            assert getattr(config, row.attribute) == row.default, row.name


WITHOUT_EFFECT = {row.name for row in PARAMETERS if row.without_effect}


def test_what_has_no_effect_yet_says_so_in_the_sample_and_nothing_else_does():
    for part in sample.sample().split('\n\n'):
        name = part.splitlines()[-1].lstrip('#').split(':')[0]
        assert ('Without effect yet' in part) == (name in WITHOUT_EFFECT), name


@pytest.mark.parametrize('name, before, after', [
    ('README.md', '| not there yet |', '**The parameters named in this table'),
    ('CHANGELOG.md', '- These parameters are accepted', '\n\n')])
def test_what_has_no_effect_yet_is_listed_where_people_read(name, before, after):
    with open(os.path.join(TOP, name), encoding='utf-8') as source:
        text = (source.read() + '\n\n').split(before)[1].split(after)[0]
    assert {row.name for row in PARAMETERS if '`%s`' % row.name in text} == WITHOUT_EFFECT


def test_the_sample_speaks_of_no_command_that_is_not_there():
    commands = {os.path.basename(name) for name in os.listdir(os.path.join(TOP, 'bin'))}
    assert set(re.findall(r'\bahm_\w+(?=")|(?<=")ahm_\w+', sample.HEAD)) <= commands


def test_the_sample_uncommented_as_a_whole_is_still_valid():
    text = '\n'.join(line[1:] if line.startswith('#') and line[1:2].isalpha() else line
                     for line in sample.sample().splitlines())
    config = loader.parse(text, '/etc/ahm_config.yml', {})
    for row in PARAMETERS:
        if row.example is None and not isinstance(row.default, Derived):
            assert getattr(config, row.attribute) == row.default, row.name


def read_back(kind, value, row=None):
    entries, problems = read_entries('x: %s\n' % kind.write(value), 'f')
    assert not problems
    return kind.parse(entries[0].written, row)


PRINTABLE = st.text(min_size=1, max_size=30).filter(str.isprintable)


@given(st.integers(-10 ** 18, 10 ** 18))
def test_integers_are_written_as_they_are_read(value):
    assert read_back(kinds.INTEGER, value) == value


@given(st.integers(0, 10 ** 9))
def test_seconds_are_written_as_they_are_read(thousandths):
    assert read_back(kinds.SECONDS, thousandths / 1000) == thousandths / 1000


@given(PRINTABLE)
def test_text_is_written_as_it_is_read(value):
    if value.strip():
        assert read_back(kinds.TEXT, value) == value.strip()


@given(st.lists(st.text(alphabet='ab $\'"\\|;\n\t%é', max_size=8), min_size=1, max_size=5))
def test_commands_are_written_as_they_are_read(words):
    words[0] = 'run' + words[0]
    assert read_back(kinds.COMMAND, tuple(words)) == tuple(words)


@given(st.lists(st.ip_addresses(), max_size=4, unique=True))
def test_addresses_are_written_as_they_are_read(found):
    usable = [str(address) for address in found
              if not (address.is_multicast or address.is_unspecified or address.is_reserved
                      or getattr(address, 'ipv4_mapped', None))]
    assert read_back(kinds.ADDRESSES, usable) == tuple(usable)


@given(st.booleans())
def test_booleans_are_written_as_they_are_read(value):
    assert read_back(kinds.BOOLEAN, value) is value


@given(PRINTABLE, PRINTABLE)
def test_a_quoted_connection_value_is_read_back(user, database):
    text = 'user=%s dbname=%s' % (conninfo.quote(user), conninfo.quote(database))
    assert conninfo.pairs(text) == [('user', user), ('dbname', database)]
