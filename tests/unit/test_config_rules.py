"""Relations between parameters, what only the host can tell, and the intervals that follow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.config import host, loader, nodes_file, rules, timing
from ahmlib.config.loader import ConfigError, advice, parse
from ahmlib.config.rules import NOBODY_YET
from ahmlib.core.consensus.timing import Timing
from ahmlib.core.policy.claims import NOBODY

PATH = '/etc/ahm_config.yml'
BASE = 'node_name: a\ndata_dir: /var/lib/ahm\ndb_data_dir: /pg\ndb_bin_dir: /pg/bin\n'
VIP = ('virtual_IP: 192.0.2.9\nif_up_cmd: up $_IP_$\nif_down_cmd: down $_IP_$\n'
       'arping_cmd: a $_IP_$\n')


def config_of(text='', nodes=3, hosts=None):
    """A Config with so many nodes."""
    config = parse(BASE + text, PATH, {})
    hosts = hosts or ['192.0.2.%d' % number for number in range(1, nodes + 1)]
    entries = tuple(nodes_file.Entry(address, 9500) for address in hosts)
    config.nodes = nodes_file.NodeList(entries, 0, 'nodes.conf')
    return config


def refusals(text='', nodes=3, hosts=None):
    """The texts of the RULES that a configuration breaks."""
    try:
        config = config_of(text, nodes, hosts)
    except ConfigError as error:
        return error.problems
    return loader._broken_rules(config, set(), needs_nodes=True)


@pytest.mark.parametrize('text, word', [
    ('virtual_IP: 192.0.2.9\n', 'if_down_cmd'),
    ('virtual_IP: 192.0.2.9\nif_up_cmd: up\n', 'if_down_cmd not set'),
    ('virtual_IP: 192.0.2.9\nif_down_cmd: down\n', 'if_up_cmd not set'),
    (VIP.replace('192.0.2.9', '192.0.2.1'), 'none of the addresses in nodes.conf'),
    ('ipc_port: 5432\n', 'another ipc_port'),
    ('http_port: 9595\n', 'another http_port'),
    ('http_port: 5432\n', 'another http_port'),
    ('db_start_command: a\n', 'set both or neither'),
    ('db_stop_command: a\n', 'set both or neither'),
    ('socket_dir: /%s\n' % ('x' * 100), 'shorter socket_dir'),
    ('trusted_servers: 192.0.2.2\n', 'no addresses of the cluster'),
    (VIP + 'trusted_servers: [192.0.2.7, 192.0.2.9]\n', 'no addresses of the cluster'),
    ('trusted_servers: 127.0.0.1\n', 'no loopback'),
    ('multicast_group: ff02::1\n', 'same family'),
    ('watchdog_mode: required\n', 'comes with a watchdog_device'),
    ('synchronous_mode: strict\nsynchronous_node_count: 3\n', 'less than the number of nodes'),
    ('synchronous_mode: on\nsynchronous_node_count: 9\n', 'less than the number of nodes'),
    ('watchdog_mode: required\nwatchdog_device: /dev/watchdog\n'
     'beacon_message_interval_seconds: 0.1\n', '1 second'),
    ('pid_file_name: ahm.state\n', 'what AHM remembers'),
    ('pid_file_name: ahm.lease\n', 'what AHM remembers'),
    ('log_filename: ahm.state\n', 'what AHM remembers'),
    ('log_filename: /var/lib//x/../ahm/ahm.lease\n', 'what AHM remembers'),
    ('log_filename: ahm.pid\n', 'two files'),
    ('log_filename: ./a\npid_file_name: a\n', 'two files'),
])
def test_what_cannot_be_safe_is_refused(text, word):
    line, = refusals(text)
    assert line.startswith(PATH + ':') and word in line and ', expected that ' in line
    assert text.splitlines()[0].split(':')[0] in line


@pytest.mark.parametrize('text', [
    '', VIP, 'trusted_servers: 192.0.2.77\n', 'multicast_group: 239.1.1.1\n',
    'db_start_command: a\ndb_stop_command: b\n', 'is_witness: true\nipc_port: 5432\n',
    'watchdog_mode: required\nwatchdog_device: /dev/watchdog\n',
    'log_filename: /var/log/ahm.state\npid_file_name: AHM.STATE\n', 'log_filename: log/ahm.pid\n',
])
def test_what_fits_is_not_refused(text):
    assert refusals(text) == []


def test_half_the_votes_and_a_mode_that_falls_back_do_not_go_together():
    hosts = ['192.0.2.1', '192.0.2.2']
    half = 'failover_consensus_with_half_votes: true\n'
    assert 'each half would let its commits wait for nobody' in refusals(
        half + 'synchronous_mode: on\n', hosts=hosts)[0]
    assert refusals(half + 'synchronous_mode: strict\n', hosts=hosts) == []
    assert refusals('synchronous_mode: on\n', hosts=hosts) == []


@pytest.mark.parametrize('name', ['AHM_nobody_yet', "'*'"])
def test_a_node_is_not_called_as_nobody_or_everybody_is_that_commits_wait_for(name):
    text = BASE.replace('node_name: a', 'node_name: ' + name)
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH, {})
    assert 'choose another name' in str(caught.value)
    assert NOBODY_YET == NOBODY


def test_a_laboratory_on_loopback_addresses_may_trust_one():
    hosts = ['127.0.0.1', '127.0.0.2']
    assert refusals('trusted_servers: 127.0.0.50\n', hosts=hosts) == []
    assert refusals('trusted_servers: 127.0.0.2\n', hosts=hosts) != []


def test_a_rule_keeps_quiet_about_values_that_are_refused_anyway():
    with pytest.raises(ConfigError) as caught:
        parse(BASE + 'virtual_IP: nonsense\nipc_port: 5432\ndb_port: x\n', PATH, {})
    assert len(caught.value.problems) == 2


HALF = 'failover_consensus_with_half_votes: true\n'


@pytest.mark.parametrize('text, nodes, word', [
    (HALF, 2, 'both can have a primary'),
    (HALF, 4, 'both can have a primary'),
    (HALF, 3, 'mean nothing'),
    ('', 1, 'nobody to fail over to'),
    ('', 2, 'neither can take over'),
    ('', 4, 'one node less'),
    ('data_dir: /tmp\n', 3, '/tmp is cleaned'),
    ('data_dir: /tmp/ahm/\n', 3, '/tmp is cleaned'),
    ('priority: 0\n', 3, 'never promoted'),
    (VIP.replace('arping_cmd: a $_IP_$\n', ''), 3, 'arping_cmd'),
    (VIP.replace('up $_IP_$', 'up 192.0.2.8'), 3, 'if_up_cmd: it names another address'),
    (VIP.replace('down $_IP_$', 'down 192.0.2.8'), 3, 'if_down_cmd: it names another address'),
    (VIP.replace('a $_IP_$', 'a 192.0.2.8'), 3, 'arping_cmd: it names another address'),
    (VIP + 'if_check_cmd: here 192.0.2.8/24\n', 3, 'if_check_cmd: it names another address'),
    ('stop_isolated_primary: false\n', 3, 'goes on accepting writes'),
    ('db_connect_timeout: 31\n', 3, 'longer than health_check_period'),
    ('conn_string: host=a port=5433\n', 3, 'not db_port'),
    ('use_recovery_min_apply_delay: true\n', 3, 'without the other'),
    ('recovery_min_apply_delay: 5\n', 3, 'without the other'),
    ('multicast_interface: eth0\n', 3, 'multicast_group'),
    ('watchdog_mode: off\nwatchdog_device: /dev/watchdog\n', 3, 'not feed a watchdog'),
    ('auth_key_file: /etc/ahm.key\n', 3, 'not authenticate'),
    ('watchdog_device: /dev/watchdog\n', 3, 'not feed a watchdog'),
    ('post_promotion_command: a && b\n', 3, 'post_promotion_command: '),
])
def test_what_is_unwise_is_warned_about(text, nodes, word):
    base = BASE.replace('data_dir: /var/lib/ahm\n', '') if 'data_dir' in text else BASE
    config = parse(base + text, PATH, {})
    config.nodes = config_of(nodes=nodes).nodes
    line, = advice(config)
    assert word in line and line.isprintable()


@pytest.mark.parametrize('text, nodes', [
    ('', 3), ('', 5), (VIP, 3), (HALF + 'pre_promotion_command: f\n', 2),
    (HALF + 'trusted_servers: 192.0.2.77\n', 4), ('is_witness: true\npriority: 0\n', 3),
    ('conn_string: host=a port=5432\n', 3), (VIP + 'if_check_cmd: here\n', 3),
    (VIP.replace('down $_IP_$', 'down 192.0.2.9/24'), 3),
    ('watchdog_mode: off\nsynchronous_mode: on\nsynchronous_node_count: 2\n', 3),
    ("promotion_command: sh -c 'a && b'\n", 3), ('conn_string: postgresql://a:5433/b\n', 3),
])
def test_what_is_sound_is_not_warned_about(text, nodes):
    assert advice(config_of(text, nodes)) == []


def test_an_isolated_primary_that_is_not_stopped_is_worse_where_http_says_who_is_primary():
    lines = advice(config_of('http_port: 8008\nstop_isolated_primary: false\n'))
    assert [line.split(':')[0] for line in lines] == [
        'stop_isolated_primary', 'http_port']
    assert 'goes on writing to an isolated one' in lines[1]
    assert advice(config_of('http_port: 8008\n')) == []


def test_no_advice_speaks_of_a_parameter_without_effect_as_if_it_had_one():
    lines = advice(config_of('watchdog_mode: required\nwatchdog_device: /dev/watchdog\n'
                             'auth_key_file: /etc/ahm.key\n'))
    assert [line.split(':')[0] for line in lines] == [
        'auth_key_file', 'watchdog_device', 'watchdog_mode']
    assert not any('set watchdog_mode' in line for line in lines)


def test_each_requirement_and_each_warning_has_a_test_above():
    general = len(rules.ADVICE) - len(rules.COMMANDS) - len(rules.VIP_COMMANDS)
    assert (len(rules.RULES), general) == (18, 14)


# The host.

@pytest.fixture
def ready(tmp_path):
    """A directory that has all a node needs, and the lines that say so."""
    for name in ('state', 'bin', 'pg'):
        (tmp_path / name).mkdir()
    for name in ('pg_ctl', 'tool'):
        (tmp_path / 'bin' / name).write_text('#!/bin/sh\n')
        (tmp_path / 'bin' / name).chmod(0o755)
    return tmp_path


def host_config(directory, text=''):
    """A Config of paths relative to `directory`."""
    return parse('node_name: a\ndata_dir: state\nsocket_dir: state\ndb_bin_dir: bin\n'
                 'db_data_dir: pg\n' + text, str(directory / 'ahm_config.yml'), {})


def test_a_ready_host_has_no_problems(ready):
    (ready / 'key').write_text('secret')
    (ready / 'key').chmod(0o600)
    config = host_config(ready, 'auth_key_file: key\npromotion_command: %s/bin/tool\n' % ready)
    assert host.check_host(config) == [] and host.advise_host(config) == []


@pytest.mark.parametrize('spoil, text, word', [
    (lambda top: (top / 'state').rmdir(), '', 'no such directory'),
    (lambda top: (top / 'bin' / 'pg_ctl').unlink(), '', 'neither ag_ctl nor pg_ctl is in'),
    (lambda top: (top / 'bin' / 'pg_ctl').chmod(0o644), '', 'neither ag_ctl nor pg_ctl is in'),
    (lambda top: None, 'auth_key_file: key\n', 'No such file'),
    (lambda top: (top / 'key').write_text('k') and (top / 'key').chmod(0o640),
     'auth_key_file: key\n', 'mode 0640'),
    (lambda top: (top / 'key').touch(mode=0o600), 'auth_key_file: key\n', 'an empty file'),
    (lambda top: None, 'watchdog_mode: required\nwatchdog_device: dog\n', 'no device'),
])
def test_what_the_host_lacks_is_a_problem(ready, spoil, text, word):
    spoil(ready)
    lines = host.check_host(host_config(ready, text))
    assert lines and all(line.startswith(str(ready)) for line in lines)
    assert all(word in line for line in lines)


def test_a_file_in_place_of_data_dir_is_a_problem(ready):
    (ready / 'state').rmdir()
    (ready / 'state').write_text('')
    data_dir, socket_dir = host.check_host(host_config(ready))
    assert ':2: data_dir: found no directory' in data_dir
    assert ':3: socket_dir: found no directory' in socket_dir


@pytest.mark.parametrize('mode, is_refused', [
    (0o777, True), (0o770, True), (0o722, True), (0o2775, True), (0o702, True),
    (0o700, False), (0o755, False), (0o1777, False), (0o1770, False)])
def test_a_data_dir_where_others_may_replace_the_state_is_a_problem(ready, mode, is_refused):
    (ready / 'state').chmod(mode)
    lines = host.check_host(host_config(ready))
    if not is_refused:
        assert lines == []
        return
    line, = lines
    assert ':2: data_dir: found mode %04o of ' % mode in line and 'expected' in line
    assert 'alone may write' in line and 'chmod go-w' in line


def test_a_directory_without_permission_is_a_problem(ready, monkeypatch):
    monkeypatch.setattr(host.os, 'access', lambda path, mode: not path.endswith('state'))
    assert 'no permission' in host.check_host(host_config(ready))[0]


def test_a_witness_needs_no_control_program(ready):
    (ready / 'bin' / 'pg_ctl').unlink()
    assert host.check_host(host_config(ready, 'is_witness: true\n')) == []


@pytest.mark.parametrize('text, word', [
    ('pre_promotion_command: /no/such/script\n', 'pre_promotion_command'),
    ('virtual_IP: 192.0.2.9\nif_cmd_path: bin\nif_up_cmd: gone $_IP_$\nif_down_cmd: tool\n'
     'ping_path: bin\n', "gone'"),
    ('trusted_servers: 192.0.2.77\nping_path: pg\n', 'ping_path'),
])
def test_what_will_hurt_later_is_warned_about(ready, text, word):
    (ready / 'bin' / 'ping').symlink_to('tool')
    line, = host.advise_host(host_config(ready, text))
    assert word in line


def test_a_missing_database_directory_is_warned_about(ready):
    (ready / 'pg').rmdir()
    line, = host.advise_host(host_config(ready))
    assert line.startswith('db_data_dir: ')


# Timing.

@pytest.mark.parametrize('interval, retries, lease, hold, fence', [
    (8, 2, 18, 21.8, 1.8182), (0.1, 3, 0.325, 0.8575, 0.4545),
])
def test_the_figures_of_the_design(interval, retries, lease, hold, fence):
    found = Timing(interval, retries)
    assert found.lease == pytest.approx(lease)
    assert found.hold == pytest.approx(hold)
    assert found.fence == pytest.approx(fence, abs=1e-4)


@given(st.floats(0.1, 3600), st.integers(1, 100))
def test_the_promise_outlasts_lease_and_step_down_at_ten_percent_of_drift(interval, retries):
    found = Timing(interval, retries)
    assert found.hold >= 1.1 * (found.lease + found.fence) * (1 - 1e-12)
    assert found.fence >= 0.5 / 1.1 * (1 - 1e-6)
    assert found.lease > interval


def test_the_failover_intervals_of_the_defaults():
    found = timing.failover_intervals(config_of())
    assert found.lost_node == pytest.approx((13.8, 21.8))
    assert found.database_refusing == pytest.approx((120, 150))
    assert found.database_hanging == pytest.approx((130, 160))
    assert found.lost_node.most <= 36 and found.database_hanging.most <= 195


@given(st.integers(1, 36000), st.integers(1, 4))
def test_ahm_is_never_slower_than_the_manual_promises(tenths, retries):
    """The manual's upper bound for a lost node: one interval more than I x R, plus 20 s."""
    interval = tenths / 10
    found = timing.failover_intervals(config_of(
        'beacon_message_interval_seconds: %s\nbeacon_message_retry_count: %d\n'
        % (interval, retries)))
    assert found.lost_node.most <= interval * (retries + 1) + 20


def test_the_explanation_names_the_figures_and_the_limit():
    lines = timing.explain(config_of('pre_promotion_command: f\n'))
    assert lines[0].startswith('T_lease 18 s') and lines[1].startswith('T_hold 21.8 s')
    assert lines[2].startswith('T_fence 1.818 s')
    assert '13.8 to 21.8 s' in lines[3] and '120 to 150 s' in lines[4]
    assert lines[-1].endswith('given up after 80 s')
    assert timing.explain(config_of())[-1].endswith('given up after 20 s')
