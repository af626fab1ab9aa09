"""The daemon as its operator meets it: start, stop, and kill -9."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

import ahmlib.main
from ahmlib.config import place
from ahmlib.core.consensus.timing import Timing
from ahmlib.lab import record
from ahmlib.runtime.log import syslog_problem
from tests.lab.network import namespaces_available

from .daemons import LIMIT, Done, Lone, is_gone, one_line, postgres, view, wait_until
from .scenarios import formed

#: A goodbye that nobody has to hear takes no longer, on a slow machine either.
PROMPT = 5


# Start and stop


def test_start_detaches_and_answers_at_once(lone):
    lone.start()
    assert lone.status()['asked'] == 'AHM-NODE-1'
    pid = lone.pid()
    assert [os.readlink('/proc/%d/fd/%d' % (pid, fd)) for fd in range(3)] == ['/dev/null'] * 3
    assert os.readlink('/proc/%d/cwd' % pid) == '/'
    assert os.getsid(pid) not in (pid, os.getsid(0)), 'it could get a terminal again'
    assert lone.workers() == [pid]


def test_no_action_means_start(lone):
    assert lone.ahm() == Done(0, '', '')
    assert lone.answers()


@pytest.mark.parametrize('words', [('start',), ('-n', 'start'), ()])
def test_a_second_start_is_refused_with_the_pid_of_the_first(lone, words):
    pid = lone.start()
    code, out, err = lone.ahm(*words)
    assert (code, out) == (1, '')
    assert 'already running' in one_line(err) and 'PID %d' % pid in err
    assert lone.answers() and lone.pid() == pid and lone.workers() == [pid]


def test_a_second_start_with_the_same_ports_leaves_the_first_alone(lone, lab):
    pid = lone.start()
    other = Lone(*lab)
    try:
        code, _, err = other.ahm('start')
        assert code == 1 and str(lone.plan.ipc_port) in one_line(err)
        assert other.files() == []
    finally:
        other.close()
    assert lone.answers() and lone.pid() == pid


@pytest.mark.parametrize('how', ['detached', 'foreground'])
def test_stop_returns_when_the_daemon_is_gone(lone, how):
    if how == 'detached':
        lone.start()
    else:
        process = lone.foreground()
    pid = lone.pid()
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')
    assert is_gone(pid) and not os.path.exists(lone.pid_file) and not os.path.exists(lone.socket)
    if how == 'foreground':
        assert process.wait(LIMIT) == 0


def test_stop_without_a_daemon_says_so(lone):
    code, out, err = lone.ahm('stop')
    assert (code, out) == (1, '') and lone.pid_file in one_line(err)
    assert 'no AHM daemon runs' in err and 'stale' not in err


def test_stop_works_while_nodes_conf_is_gone(lone):
    lone.start()
    os.unlink(lone.nodes)
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')


def test_stop_without_a_configuration_looks_where_the_manual_says(monkeypatch, tmp_path):
    monkeypatch.setattr(place, 'DEFAULT_PATHS', (str(tmp_path / 'none.yml'),))
    where = ahmlib.main._places({'--config-file': None})
    assert where.pid_path == '/tmp/ahm.pid' and where.socket == '/tmp/.s.AHM.9595'


def a_dead_pid():
    """The PID of a process that has just ended."""
    process = subprocess.Popen(['/bin/true'])
    process.wait()
    return process.pid


@pytest.mark.parametrize('whose', ['nobody', 'another program', 'no number', 'empty'])
def test_a_stale_pid_file_is_recognised_and_cleaned(lone, whose):
    other = subprocess.Popen(['/bin/sleep', '600'])
    lone.stack.callback(other.wait)
    lone.stack.callback(other.kill)
    text = {'nobody': a_dead_pid(), 'another program': other.pid, 'no number': 'x', 'empty': ''}
    lone.workspace.write(lone.pid_file, '%s\n' % text[whose])
    code, out, err = lone.ahm('stop')
    assert (code, out) == (1, '') and 'stale' in one_line(err)
    assert not os.path.exists(lone.pid_file) and other.poll() is None
    lone.workspace.write(lone.pid_file, '%s\n' % text[whose])
    assert lone.ahm('reload').code == 1 and other.poll() is None
    assert lone.start() != other.pid and lone.answers()


def test_help_is_the_specified_text(lone):
    for word in ('-h', '--help'):
        assert lone.ahm(word) == Done(0, ahmlib.main.__doc__, '')
    assert ahmlib.main.__doc__.splitlines()[:16] == [
        'ahm version 1.0,', 'HA manager for Agens[SQL|Graph] server', '', 'Usage:',
        '  ahm [-f CONFIG_FILE] [-d] [-n] [--json] [start|stop|restart|reload]', '',
        '-f, --config-file=CONFIG_FILE',
        '    Set the path to the ahm_config.yml configuration file',
        '    (default: /usr/local/etc/ahm_config.yml)',
        '    Looked for before that one: $AHM_CONFIG, else',
        '    /etc/ahm/ahm_config.yml, /usr/local/etc/ahm/ahm_config.yml',
        '-h, --help      Print this help', '-d, --debug     Debug mode',
        '-n --no-detach  Do not detach terminal',
        '--json          Print the outcome as one JSON object', '--version       Print the version']
    told = ahmlib.main.__doc__.split('--version')[1]
    assert all('\n%s ' % action in told for action in ahmlib.main.ACTIONS)


def test_help_into_a_closed_pipe_is_no_error(lone):
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    process = lone.popen('-h', stdout=write_fd, stderr=subprocess.PIPE)
    os.close(write_fd)
    assert process.communicate(timeout=LIMIT)[1] == '' and process.returncode == 0


@pytest.mark.parametrize('words', [('begin',), ('start', 'stop'), ('-x',), ('-f',)])
def test_wrong_usage_is_said_and_shown(lone, words):
    code, out, err = lone.ahm(*words)
    assert (code, out) == (2, '')
    assert words[-1] in err.splitlines()[0] and 'ahm [-f CONFIG_FILE]' in err
    assert lone.files() == [] and lone.processes() == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly(lone, number):
    process = lone.foreground()
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(LIMIT) == 0
    assert time.monotonic() - began < PROMPT
    assert [os.path.basename(path) for path in lone.files()] == ['ahm.events.jsonl', 'ahm.state']
    assert 'RESTARTING' in lone.log_text()


def test_debug_lets_all_severities_into_the_log(lone):
    lone.configure(log_severity='ERROR')
    assert lone.ahm('-d', 'start') == Done(0, '', '')
    assert 'starts at' in lone.log_text()


def test_detached_and_without_a_log_file_it_needs_no_syslog(lone):
    lone.configure(log_filename=None)
    done = lone.ahm('start')
    assert done.code == 0 and lone.answers()
    lost = 'warning: the log is lost: there is no syslog'
    assert done.err.startswith(lost) if syslog_problem() else done.err == '', done
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')


# A cleaner of old files


def clean(*paths):
    """Remove files as a cleaner of /tmp does."""
    for path in paths:
        os.unlink(path)


def test_a_pid_file_and_a_socket_that_a_cleaner_removed_are_made_anew_and_it_is_said(lone):
    lone.configure(health_check_period=1, db_connect_timeout=0.5)
    pid = lone.start()
    for _ in range(2):
        clean(lone.pid_file, lone.socket)
        wait_until(lambda: os.path.exists(lone.pid_file) and lone.answers(), 'both files')
    # Both are made at once: where the second pair comes in the other order, a line is a repetition.
    wait_until(lambda: lone.log_text().count('was gone: it was made anew')
               + lone.log_text().count('last line repeated 1 time') == 4, 'the lines')
    assert lone.pid() == pid and os.stat(lone.socket).st_mode & 0o777 == 0o600
    assert 'already running' in lone.ahm('start').err
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')
    assert is_gone(pid) and not os.path.exists(lone.pid_file) and not os.path.exists(lone.socket)


def test_stop_reload_and_restart_find_a_daemon_whose_pid_file_a_cleaner_removed(lone):
    pid = lone.start()
    clean(lone.pid_file)
    assert lone.ahm('reload').code == 0
    lone.logs('reloaded')
    assert 'already running' in one_line(lone.ahm('start').err)
    assert lone.ahm('restart') == Done(0, '', '')
    assert is_gone(pid) and lone.answers()
    pid = lone.pid()
    clean(lone.pid_file)
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')
    assert is_gone(pid)


def test_stop_without_pid_file_and_socket_says_that_a_daemon_runs_and_what_to_do(lone):
    lone.start()
    clean(lone.pid_file, lone.socket)
    for word in ('stop', 'reload'):
        code, out, err = lone.ahm(word)
        assert (code, out) == (1, '') and 'health_check_period' in one_line(err)
        assert 'no AHM daemon runs' not in err and lone.pid_file in err and lone.socket in err


def test_stop_leaves_a_daemon_of_another_data_dir_at_the_same_socket_alone(lone, lab):
    pid = lone.start()
    other = Lone(*lab)
    other.configure(socket_dir=lone.socket_dir)
    code, _, err = other.ahm('stop')
    assert code == 1 and 'no AHM daemon runs' in one_line(err)
    assert lone.answers() and lone.pid() == pid


# kill -9


def black_hole(lone):
    """Give the node a database that takes connections and never answers."""
    listener = lone.stack.enter_context(socket.socket())
    listener.bind((lone.plan.node(1), 0))
    listener.listen(8)
    programs = lone.workspace.make_directory(lone.name, 'bin')
    lone.workspace.write(os.path.join(programs, 'pg_ctl'), '#!/bin/sh\nexit 1\n', executable=True)
    lone.configure(is_witness=None, db_bin_dir=programs, db_data_dir=lone.directory,
                   db_connect_timeout=60, health_check_period=60, db_port=listener.getsockname()[1],
                   conn_string='host=%s port=%d user=x dbname=x' % listener.getsockname())
    return listener


def descriptors(pid):
    """What the descriptors of a process beyond its stdio lead to."""
    place = '/proc/%d/fd' % pid
    found = set()
    for name in os.listdir(place):
        with contextlib.suppress(OSError):
            if int(name) > 2:
                found.add(os.readlink(os.path.join(place, name)))
    return found


def shared(one, other):
    """The sockets and files that two processes both hold."""
    return {link for link in descriptors(one) & descriptors(other)
            if link.startswith(('socket:', '/tmp'))}


def test_children_hold_nothing_of_the_daemon_and_do_not_hinder_the_next_one(lone):
    listener = black_hole(lone)
    pid = lone.start()
    listener.settimeout(LIMIT)
    lone.stack.enter_context(listener.accept()[0])      # the check is under way, and hangs
    children = set(lone.workers()) - {pid}
    assert children
    for child in children:
        assert any(link.startswith('socket:') for link in descriptors(child)), 'its own'
        assert shared(pid, child) == set()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), 'the end of the daemon')
    assert os.path.exists(lone.socket) and lone.pid() == pid and children <= set(lone.processes())
    assert lone.start() != pid
    assert lone.answers()


@pytest.mark.parametrize('words', [('start',), ('restart',)])
def test_after_kill_9_a_start_works_at_once(lone, words):
    pid = lone.start()
    state = os.path.join(lone.data_dir, 'ahm.state')
    wait_until(lambda: os.path.exists(state), 'the state file')
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), 'the end of the daemon')
    assert {lone.pid_file, lone.socket, state} <= set(lone.files())
    assert lone.ahm(*words) == Done(0, '', '')
    assert lone.answers() and lone.pid() != pid
    assert 'no state file' not in lone.log_text().split('starts at')[2]


def settings_of_two_seconds():
    """Beacons slow enough that an interpreter's start fits into the lease several times."""
    return {'beacon_message_interval_seconds': 2, 'beacon_message_retry_count': 6}


@postgres
def test_a_leader_killed_and_started_again_leads_on():
    kind = 'loopback' if namespaces_available() else 'namespaces'
    hold = Timing(2, 6).hold
    with formed(kind=kind, settings=settings_of_two_seconds()) as scenario:
        cluster, leader = scenario.cluster, scenario.cluster.nodes[0]
        scenario.fault_at = time.monotonic()
        leader.kill_ahm()
        leader.start_ahm()
        holders = []

        def look():
            holders.append([node.name for node in cluster.vip_holders()])

        def leads():
            look()
            return view(leader)['states'].get('AHM-NODE-1') == ('PRIMARY', 'LEADER')
        cluster.wait_until(leads, 4 * hold, 'the restarted node to lead')
        seconds = time.monotonic() - scenario.fault_at
        scenario.reads(cluster.nodes, 'AHM-NODE-1', {
            'AHM-NODE-1': ('PRIMARY', 'LEADER'), 'AHM-NODE-2': ('STANDBY', 'STANDBY'),
            'AHM-NODE-3': ('STANDBY', 'STANDBY')})
        until = scenario.fault_at + 1.5 * hold

        def written():
            look()
            return record.last_accepted(scenario.client.attempts(), 'AHM-NODE-1') > until
        cluster.wait_until(written, 4 * hold, 'rows after T_hold')
        print('led again after %.2f s of %.2f s, VIP seen %d times' % (seconds, hold, len(holders)))
        assert seconds < hold
        assert all(seen == ['AHM-NODE-1'] for seen in holders), holders
        assert nobody_else_led(cluster)
        scenario.undisturbed('AHM-NODE-1')


def nobody_else_led(cluster):
    """Whether no log but the first node's speaks of leading."""
    for node in cluster.nodes[1:]:
        with open(node.log) as file:
            text = file.read()
        assert '-> LEADER' not in text and '-> TAKING_OVER' not in text, text
    return True
