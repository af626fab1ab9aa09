"""ahm_config.yml: what is read, what is refused, and in which words."""

import os
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ahmlib.config import loader, problems
from ahmlib.config.loader import ConfigError, parse
from ahmlib.config.schema import BY_NAME, PARAMETERS

MANUAL_SAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                             'data', 'manual_ahm_config.sample.yml')
PATH = '/etc/ahm/ahm_config.yml'
WITNESS = 'node_name: w\nis_witness: true\n'
LINE = re.compile(r'%s:[0-9]+: .*found .*, expected .*; .+' % re.escape(PATH))


def refusals(text, environ=None):
    """The problems of a text that has to be refused, each checked for its shape."""
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH, environ or {})
    for line in caught.value.problems:
        assert LINE.fullmatch(line), line
    assert str(caught.value) == '\n'.join(caught.value.problems)
    return caught.value.problems


def refusal(text, environ=None):
    """The one problem of such a text."""
    lines = refusals(text, environ)
    assert len(lines) == 1, lines
    return lines[0]


def witness(text):
    """A witness's Config with some lines more."""
    return parse(WITNESS + text, PATH, {})


def test_the_sample_of_the_manual_loads_value_for_value():
    with open(MANUAL_SAMPLE, 'rb') as stream:
        config = parse(stream.read(), PATH, {})
    sudo = '/usr/bin/sudo'
    told = {
        'is_witness': False, 'priority': 1, 'data_dir': '/tmp/', 'ahm_port': 9500,
        'ipc_port': 9595, 'socket_dir': '/tmp', 'node_name': 'AHM-NODE-1',
        'conn_string': 'host=localhost port=5432 dbname=postgres user=agens',
        'beacon_message_interval_seconds': 8, 'beacon_message_retry_count': 2,
        'promote_leader_timeout_seconds': 20, 'wait_for_primary_timeout_seconds': 20,
        'db_connect_timeout': 5, 'health_check_period': 30, 'max_consec_failures': 5,
        'virtual_ip': '210.104.181.42', 'if_cmd_path': '/bin',
        'if_up_cmd': (sudo, '/sbin/ip', 'addr', 'add', '$_IP_$/24', 'dev', 'eno1', 'label',
                      'eno1:0'),
        'if_down_cmd': (sudo, '/sbin/ip', 'addr', 'del', '$_IP_$/24', 'dev', 'eno1'),
        'arping_path': '/usr/sbin',
        'arping_cmd': (sudo, '/usr/sbin/arping', '-U', '$_IP_$', '-w', '1', '-I', 'eno1'),
        'ping_path': '/bin', 'log_prefix': '%l PID:%p %t ', 'log_verbose': False,
        'db_user': 'agens', 'db_database': 'postgres', 'db_port': 5432,
        'db_bin_dir': '/home/agens/AgensSQL-2.13.7.0/bin',
        'db_data_dir': '/home/agens/AgensSQL-2.13.7.0/db_cluster',
        'db_config_dir': '/home/agens/AgensSQL-2.13.7.0/db_cluster',
        'pre_promotion_command': ('/home/agens/AHM/etc/failover.sh',),
        'standby_startup_delay': 3, 'use_pg_rewind': False,
        'failover_consensus_with_half_votes': True, 'use_recovery_min_apply_delay': False,
        'recovery_min_apply_delay': 0, 'pid_file_name': 'ahm.pid',
    }
    empty = {'log_filename', 'promotion_command', 'post_promotion_command', 'restore_command',
             'archive_cleanup_command', 'primary_conninfo_options'}
    assert config.given == set(told)
    for name, value in told.items():
        assert getattr(config, name) == value, name
    for name in empty:
        assert getattr(config, name) is None, name
    assert [line for line in config.warnings if 'data_dir' not in line] == []


def test_keys_are_matched_without_regard_to_case():
    config = witness('pre_Promotion_command: a b\nVIRTUAL_ip: 192.0.2.9\nIF_UP_CMD: u $_IP_$\n'
                     'If_Down_Cmd: d $_IP_$\n')
    assert config.pre_promotion_command == ('a', 'b')
    assert config.virtual_ip == '192.0.2.9'


@pytest.mark.parametrize('written, meant', [
    ('ip addr add $_IP_$ /24 dev eno1', ('ip', 'addr', 'add', '$_IP_$/24', 'dev', 'eno1')),
    ('ip addr add $_IP_ $/24 dev eno1', ('ip', 'addr', 'add', '$_IP_$/24', 'dev', 'eno1')),
    ('arping -U $_IP_ $ -w 1', ('arping', '-U', '$_IP_$', '-w', '1')),
    ("sh -c 'x $_IP_$ && y'", ('sh', '-c', 'x $_IP_$ && y')),
    ('/opt/vip_up', ('/opt/vip_up',)),
])
def test_slips_of_the_printed_samples_are_mended(written, meant):
    text = 'if_up_cmd: "%s"\n' % written
    assert witness(text).if_up_cmd == meant


@pytest.mark.parametrize('written', ['ip add $IP', 'ip add $_ip_$', 'ip add _IP_', 'ip $_IP'])
def test_a_misspelt_place_for_the_address_is_refused(written):
    assert 'exactly as $_IP_$' in refusal(WITNESS + 'if_up_cmd: "%s"\n' % written)


def test_an_empty_value_means_not_set():
    config = witness('log_filename: ""\npriority:\ndb_user: \'\'\nlog_prefix: " "\n'
                     'trusted_servers: []\ndb_port: ~\n')
    assert config.given == {'node_name', 'is_witness'}
    assert config.priority == 1 and config.db_user == 'agens' and config.db_port == 5432
    assert config.log_prefix == '%l PID:%p %t '


def test_every_mistake_is_reported_at_once_with_its_line():
    lines = refusals('priorty: 1\ndb_port: 99999\n\nlog_verbose: 1\nDB_port: x\n'
                     'virtual_IP: 192.0.2.9\n')
    assert [line.split(':')[1:3] for line in lines] == [
        ['1', " 'priorty'"], ['1', ' node_name'], ['2', ' db_port'], ['4', ' log_verbose'],
        ['5', ' db_port'], ['5', ' db_port'], ['6', ' virtual_IP'], ['1', ' db_data_dir']]
    assert 'write priority if that is meant' in lines[0]
    assert 'first in line 2' in lines[4] or 'first in line 2' in lines[5]


def test_a_key_given_twice_is_refused_even_if_only_the_case_differs():
    line = refusal(WITNESS + 'priority: 1\nPriority: 1\n')
    assert line.startswith(PATH + ':4: priority: ') and 'first in line 3' in line


@pytest.mark.parametrize('text', [
    'priority: true', 'priority: off', "priority: '1'", 'priority: 1.0', 'priority: -1',
    'priority: 65536', 'priority: 010', 'priority: 0x10', 'priority: 1_000', 'priority: 1:30',
    'priority: one', 'priority: [1]', 'priority: {a: 1}', 'priority: +1', 'priority: !!int "1"',
    'priority: ' + '9' * 6000, 'priority: !foo 1', 'priority: 0b1', 'priority: ٣',
    'db_connect_timeout: .nan', 'db_connect_timeout: .inf', 'db_connect_timeout: -5',
    'db_connect_timeout: 0', 'db_connect_timeout: 0.05', 'db_connect_timeout: 5s',
    'db_connect_timeout: 1e3', 'db_connect_timeout: yes', 'db_connect_timeout: 1:30',
    'db_connect_timeout: NaN', 'db_connect_timeout: 100000', 'db_connect_timeout: "."',
    'beacon_message_interval_seconds: 0.09', 'beacon_message_retry_count: 0',
    'log_verbose: 1', "log_verbose: 'true'", 'log_verbose: maybe', 'log_verbose: !!bool maybe',
    'log_severity: LOUD', 'log_severity: 1', 'db_failure_action: true',
    'db_user: true', 'promotion_command: off', 'db_user: "a\\0b"', 'db_user: "a\\nb"',
    'db_user: "a\u00a0b"', 'db_user: "\\ud800"', 'promotion_command: "a \'b"',
    'promotion_command: "\'\' b"', 'promotion_command: [a, b]', 'promotion_command: "# x"\nx: 1',
    'pid_file_name: /run/ahm.pid', 'pid_file_name: ..', 'log_prefix: "%x "', 'log_prefix: "50%"',
    'conn_string: "host=\'a"', 'conn_string: justwords', 'primary_conninfo_options: "a=b c"',
    'virtual_IP: db.example.org', 'virtual_IP: 192.0.2.1/24', 'virtual_IP: 192.0.2.256',
    'virtual_IP: 192.0.02.1', 'virtual_IP: 0.0.0.0', 'virtual_IP: 224.0.0.1',
    'listen_address: fe80::1%eth0', 'listen_address: "::"', 'multicast_group: 192.0.2.1',
    'trusted_servers: [192.0.2.1, router]', 'trusted_servers: [[192.0.2.1]]',
    'trusted_servers: 192.0.2.1 router', 'failover_lag_limit_bytes: 0',
    'failover_lag_limit_bytes: 16MB', 'synchronous_mode: false', 'watchdog_mode: 1',
    '1: 2', '? [a]\n: b', '? {a: b}\n: c', '"": x', '<<: {priority: 1}', 'other: 1',
])
def test_a_wrong_value_is_refused_with_its_line(text):
    for line in refusals(WITNESS + text + '\n'):
        assert re.match(r'%s:[34]: ' % re.escape(PATH), line), line


@pytest.mark.parametrize('text', ['[192.0.2.1, router]', '192.0.2.1 router', '[router, router]'])
def test_the_one_of_several_addresses_that_is_wrong_is_named(text):
    assert "; mend 'router' in it: write the literal address" in refusal(
        WITNESS + 'trusted_servers: %s\n' % text)


@pytest.mark.parametrize('name', ['', 'AHM NODE', 'a' * 64, 'nöde', 'a"b', "a'b", 'a,b', 'a\\b'])
def test_a_node_name_has_to_be_an_application_name(name):
    line = refusal("is_witness: true\nnode_name: '%s'\n" % name.replace("'", "''"))
    assert ':2: node_name: ' in line


def test_a_missing_node_name_is_refused():
    assert ': node_name: found nothing' in refusal('is_witness: true\n')


@pytest.mark.parametrize('text, name, value', [
    ('node_name: 007\nis_witness: yes', 'node_name', '007'),
    ("node_name: 'on'\nis_witness: true", 'node_name', 'on'),
    ('node_name: 12:30\nis_witness: On', 'node_name', '12:30'),
    (WITNESS + 'watchdog_mode: off', 'watchdog_mode', 'off'),
    (WITNESS + 'synchronous_mode: ON', 'synchronous_mode', 'on'),
    (WITNESS + 'log_severity: debug', 'log_severity', 'DEBUG'),
    (WITNESS + 'health_check_period: 0.5', 'health_check_period', 0.5),
    (WITNESS + 'health_check_period: .5', 'health_check_period', 0.5),
    (WITNESS + 'standby_startup_delay: 0', 'standby_startup_delay', 0),
    (WITNESS + "log_prefix: '%n 100%% '", 'log_prefix', '%n 100%% '),
    (WITNESS + 'trusted_servers: 192.0.2.1, 2001:DB8::1 192.0.2.1', 'trusted_servers',
     ('192.0.2.1', '2001:db8::1')),
    (WITNESS + 'trusted_servers: [192.0.2.1, "2001:db8:0::1"]', 'trusted_servers',
     ('192.0.2.1', '2001:db8::1')),
    (WITNESS + 'listen_address: "::ffff:192.0.2.1"', 'listen_address', '192.0.2.1'),
    (WITNESS + 'promotion_command: "sh -c \'a && b\' x"', 'promotion_command',
     ('sh', '-c', 'a && b', 'x')),
    (WITNESS + 'promotion_command: |\n  sh -c "a\n  b"\n', 'promotion_command',
     ('sh', '-c', 'a\nb')),
    (WITNESS + 'db_user: |\n  agens\n', 'db_user', 'agens'),
    (WITNESS + 'conn_string: postgresql://agens@localhost/postgres', 'conn_string',
     'postgresql://agens@localhost/postgres'),
    (WITNESS + 'pid_file_name : a.pid   # comment', 'pid_file_name', 'a.pid'),
])
def test_what_was_written_is_what_is_meant(text, name, value):
    config = parse(text, PATH, {})
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(value) or isinstance(value, int)
    assert name in config.given


def test_relative_paths_are_relative_to_the_file_and_logs_lie_in_data_dir():
    config = witness('data_dir: state\nsocket_dir: ../run\nlog_filename: ahm.log\n'
                     'auth_key_file: key\n')
    assert config.data_dir == '/etc/ahm/state'
    assert config.socket_dir == '/etc/run'
    assert config.log_filename == '/etc/ahm/state/ahm.log'
    assert config.auth_key_file == '/etc/ahm/key'
    assert witness('log_filename: /var/log/ahm.log').log_filename == '/var/log/ahm.log'


def test_defaults_come_from_the_environment():
    text = 'node_name: a\n'
    config = parse(text, PATH, {'AGHOME': '/opt/ag', 'PGDATA': '/pg', 'AGDATA': '/ag'})
    assert (config.db_bin_dir, config.db_data_dir) == ('/opt/ag/bin', '/pg')
    assert config.db_config_dir == '/pg'
    assert parse(text, PATH, {'AGDATA': '/ag'}).db_data_dir == '/ag'
    assert 'PGDATA' in refusal(text, {})
    assert parse(WITNESS, PATH, {}).db_data_dir is None


def test_the_control_program_is_found_on_path(tmp_path):
    for directory, program in (('a', 'pg_ctl'), ('b', 'ag_ctl')):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / program).write_text('')
        (tmp_path / directory / program).chmod(0o755)
    both = {'PATH': '%s:%s' % (tmp_path / 'a', tmp_path / 'b')}
    assert parse(WITNESS, PATH, both).db_bin_dir == str(tmp_path / 'b')
    assert parse(WITNESS, PATH, {'PATH': str(tmp_path / 'a')}).db_bin_dir == str(tmp_path / 'a')
    assert parse(WITNESS, PATH, {'PATH': str(tmp_path)}).db_bin_dir is None


def test_conn_string_is_built_from_the_database_parameters():
    assert witness('').conn_string == 'host=localhost port=5432 dbname=postgres user=agens'
    config = witness("db_user: it's\ndb_database: a b\ndb_port: 6000\n")
    assert config.conn_string == r"host=localhost port=6000 dbname='a b' user='it\'s'"


@pytest.mark.parametrize('text, words', [
    ('', 'an empty file'), ('# nothing\n', 'an empty file'), ('- a\n- b\n', 'a list'),
    ('just words', 'just words'), ('null', 'null'), ('a: b: c\n', 'mapping values'),
    ("a: 'b\n", 'quoted scalar'), ('a: 1\n---\nb: 2\n', 'YAML error'), ('a: \x00', 'YAML error'),
    ('a: *b', 'undefined alias'), ('\ta: 1', 'YAML error'), ('[' * 5000, 'nested too deeply'),
    ('a: "\\U00110000"', 'YAML error'), ('%YAML 9.9\n---\na: 1', 'YAML error'),
])
def test_what_is_no_mapping_is_refused_with_one_line(text, words):
    assert words in refusal(text)


def test_the_line_of_a_yaml_error_is_the_one_to_look_at():
    assert refusal('node_name: a\nis_witness: true\nx: y: z\n').startswith(PATH + ':3: ')
    assert refusal('a: 1\nb: \x07\n').startswith(PATH + ':2: ')
    assert refusal(b'a: 1\nb: \xff\n').startswith(PATH + ':2: found a byte that is not UTF-8')


def test_a_byte_order_mark_is_no_mistake():
    assert parse(b'\xef\xbb\xbf' + WITNESS.encode(), PATH, {}).node_name == 'w'


def test_passwords_never_show():
    for text in ("conn_string: \"host=a password='se cret' x\"", 'conn_string: password=secret x'):
        line = refusal(WITNESS + text)
        assert 'cret' not in line and 'password=***' in line
    assert 'pw' not in problems.show('postgresql://user:pw@host/db')
    assert 'secret' not in repr(witness('conn_string: password=secret'))


@given(st.binary(max_size=200))
@example(b'a: &a [*a]')
@example(b'&a {? *a : *a}')
@example(b'!<tag:yaml.org,2002:int> {}')
@example(b'a: !!binary ////')
@example(b'"\\x')
@settings(max_examples=3 * settings().max_examples)
def test_any_bytes_load_or_are_refused_with_file_and_line(source):
    assert_loads_or_is_refused(source)


FRAGMENTS = st.sampled_from([row.name for row in PARAMETERS] + [
    ': ', ':', '\n', '\n\n', ' ', '#', "'", '"', '[', ']', '{', '}', ', ', '- ', '&a ', '*a', '!!',
    '|\n ', '>', 'true', 'off', '1', '-1', '1.5', '.nan', '192.0.2.1', '::1', '$_IP_$', 'a', '\\',
    '%', '\t', '\r', '\u2028', '---\n', '~', '=', '<<', '?'])


@given(st.lists(FRAGMENTS, max_size=25).map(''.join))
@settings(max_examples=4 * settings().max_examples)
def test_any_text_out_of_fitting_pieces_loads_or_is_refused(text):
    assert_loads_or_is_refused(text.encode('utf-8'))
    assert_loads_or_is_refused((WITNESS + text).encode('utf-8'))


@given(st.sampled_from(PARAMETERS), st.text(max_size=20))
@settings(max_examples=3 * settings().max_examples)
def test_any_quoted_value_of_any_parameter_loads_or_is_refused(row, value):
    quoted = "'%s'" % value.replace("'", "''")
    assert_loads_or_is_refused((WITNESS + '%s: %s\n' % (row.name, quoted)).encode(
        'utf-8', 'replace'))


def assert_loads_or_is_refused(source):
    try:
        config = parse(source, PATH, {'PGDATA': '/pg'})
    except ConfigError as error:
        assert error.problems
        for line in error.problems:
            assert LINE.fullmatch(line), line
            assert line.isprintable()
    else:
        assert config.node_name
        for row in PARAMETERS:
            value = getattr(config, row.attribute)
            if row.minimum is not None and value is not None:
                assert row.minimum <= value <= row.maximum


def test_differences_name_the_changed_parameters():
    old, new = witness('priority: 1\n'), witness('priority: 2\nlog_severity: DEBUG\n')
    assert loader.differences(old, new) == (BY_NAME['priority'], BY_NAME['log_severity'])
    assert loader.differences(old, old) == ()
