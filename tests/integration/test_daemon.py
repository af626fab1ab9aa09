"""The daemon as its operator meets it: start, stop, reload, bad input, strangers, and kill -9.

Most of it needs one daemon only: a witness of a three-node cluster whose other nodes are not there.
What strangers may not disturb is shown on a whole cluster that has a leader.
"""

import contextlib
import itertools
import os
import random
import signal
import socket
import struct
import subprocess
import time
from typing import NamedTuple

import pytest
import yaml

import ahmlib.main
from ahmlib.core.timing import Timing
from ahmlib.ipc import client
from ahmlib.lab import LabError, addresses, procfs, record
from ahmlib.lab.cluster import Cluster, loopback_available
from ahmlib.lab.network import namespaces_available
from ahmlib.lab.users import demotion
from ahmlib.lab.workspace import HOST_MARK, Workspace
from ahmlib.network import wire

from .scenarios import formed

LIMIT = 30
#: A goodbye that nobody has to hear takes no longer, on a slow machine either.
PROMPT = 5
LACK = loopback_available()
postgres = pytest.mark.skipif(LACK is not None, reason=str(LACK))
numbers = itertools.count(1)


def wait_until(predicate, what, limit=LIMIT):
    """Wait until predicate() is true, and return its value."""
    deadline = time.monotonic() + limit
    while True:
        seen = predicate()
        if seen:
            return seen
        assert time.monotonic() < deadline, 'waited %g s in vain for %s' % (limit, what)
        time.sleep(0.05)


class Done(NamedTuple):
    """How a command ended."""
    code: int
    out: str
    err: str


class Lone:
    """One node of its own: its files, and the command `ahm` for them, run as the lab's user."""

    def __init__(self, workspace, plan):
        self.workspace, self.plan = workspace, plan
        self.name = 'd%d' % next(numbers)
        self.directory = workspace.make_directory(self.name)
        self.data_dir = workspace.make_directory(self.name, 'data')
        self.socket_dir = workspace.make_directory(self.name, 'ipc')
        self.config = os.path.join(self.directory, 'ahm_config.yml')
        self.nodes = os.path.join(self.directory, 'nodes.conf')
        self.pid_file = os.path.join(self.data_dir, 'ahm.pid')
        self.log = os.path.join(self.data_dir, 'ahm.log')
        self.socket = os.path.join(self.socket_dir, '.s.AHM.%d' % plan.ipc_port)
        self.stack = contextlib.ExitStack()
        self.settings = {
            'node_name': 'AHM-NODE-1', 'is_witness': True, 'nodes_filename': 'nodes.conf',
            'ahm_port': plan.ahm_port, 'ipc_port': plan.ipc_port, 'data_dir': self.data_dir,
            'socket_dir': self.socket_dir, 'listen_address': plan.node(1),
            'log_filename': 'ahm.log'}
        self.configure()
        self.write_nodes()

    def configure(self, **changes):
        """Write ahm_config.yml with these changes, None takes a line out."""
        self.settings.update(changes)
        kept = {key: value for key, value in self.settings.items() if value is not None}
        self.workspace.write(self.config, yaml.safe_dump(kept, default_flow_style=False))

    def write_nodes(self, *more, **options):
        """Write nodes.conf with the nodes `first` (1) to 3, and `more` lines."""
        lines = ['%s:%d' % (self.plan.node(number), self.plan.ahm_port)
                 for number in range(options.get('first', 1), 4)]
        self.workspace.write(self.nodes, '\n'.join(lines + list(more)) + '\n')

    def line(self, key):
        """'FILE:LINE:' of a key in ahm_config.yml."""
        with open(self.config) as file:
            found = [number for number, line in enumerate(file, 1) if line.startswith(key + ':')]
        return '%s:%d:' % (self.config, found[0])

    def popen(self, *words, **options):
        """Start `ahm` with these words; returns the Popen."""
        argv = [self.workspace.interpreter.executable,
                os.path.join(self.workspace.source, 'ahm.py'), '-f', self.config] + list(words)
        return subprocess.Popen(
            argv, env=self.workspace.environment(self.name), cwd=self.directory,
            stdin=subprocess.DEVNULL, preexec_fn=demotion(self.workspace.user),
            start_new_session=True, universal_newlines=True, **options)

    def ahm(self, *words):
        """Run `ahm` with these words to its end; returns Done."""
        process = self.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=2 * LIMIT)
        return Done(process.returncode, out, err)

    def start(self):
        """`ahm start`, which must succeed in silence; returns the daemon's PID."""
        assert self.ahm('start') == Done(0, '', '')
        return self.pid()

    def foreground(self):
        """`ahm -n` up and answering; returns its Popen, its stderr is the file `stderr`."""
        with open(os.path.join(self.directory, 'stderr'), 'w') as file:
            process = self.popen('-n', stdout=file, stderr=file)
        wait_until(self.answers, 'the daemon to answer')
        return process

    def stderr(self):
        """What `foreground` has said so far."""
        with open(os.path.join(self.directory, 'stderr')) as file:
            return file.read()

    def pid(self):
        """The PID in the PID file."""
        with open(self.pid_file) as file:
            return int(file.read())

    def status(self):
        """The daemon's own view, asked once through its UNIX socket."""
        answer = client.ask({'ask': 'status'}, port=self.plan.ipc_port,
                            socket_dir=self.socket_dir)
        return answer['status']

    def answers(self):
        """Whether the daemon answers."""
        try:
            return self.status()['asked'] == 'AHM-NODE-1'
        except (client.NoDaemon, client.ProtocolError):
            return False

    def log_text(self):
        """The log so far."""
        if not os.path.exists(self.log):
            return ''
        with open(self.log) as file:
            return file.read()

    def logs(self, text):
        """Wait until the log has this text."""
        wait_until(lambda: text in self.log_text(), '%r in %s' % (text, self.log))

    def processes(self):
        """The PIDs of all processes that were started here and live."""
        return procfs.with_variable(HOST_MARK, self.workspace.mark_of(self.name))

    def files(self):
        """All files in data_dir and socket_dir but the log."""
        return sorted(os.path.join(place, name) for place in (self.data_dir, self.socket_dir)
                      if os.path.isdir(place)
                      for name in os.listdir(place) if name != 'ahm.log')

    def close(self):
        """End everything that was started here."""
        procfs.kill_all(self.processes)
        self.stack.close()


@pytest.fixture(scope='module')
def lab():
    """(Workspace, Plan) of all daemons of this module."""
    try:
        workspace = Workspace()
    except LabError as error:
        pytest.skip('DAEMON TESTS SKIPPED: %s' % error)
    with workspace:
        yield workspace, addresses.loopback_plan(3)


@pytest.fixture
def lone(lab):
    """A Lone."""
    one = Lone(*lab)
    try:
        yield one
    finally:
        one.close()


def is_gone(pid):
    """Whether a process is no more; a zombie that its parent did not reap is none."""
    return procfs.state(pid) in 'ZX'


def one_line(text):
    """The only line of a text."""
    assert text.endswith('\n') and text.count('\n') == 1, text
    return text[:-1]


# Start and stop


def test_start_detaches_and_answers_at_once(lone):
    lone.start()
    assert lone.status()['asked'] == 'AHM-NODE-1'
    pid = lone.pid()
    assert [os.readlink('/proc/%d/fd/%d' % (pid, fd)) for fd in range(3)] == ['/dev/null'] * 3
    assert os.readlink('/proc/%d/cwd' % pid) == '/'
    assert os.getsid(pid) not in (pid, os.getsid(0)), 'it could get a terminal again'
    assert lone.processes() == [pid]


def test_no_action_means_start(lone):
    assert lone.ahm() == Done(0, '', '')
    assert lone.answers()


@pytest.mark.parametrize('words', [('start',), ('-n', 'start'), ()])
def test_a_second_start_is_refused_with_the_pid_of_the_first(lone, words):
    pid = lone.start()
    code, out, err = lone.ahm(*words)
    assert (code, out) == (1, '')
    assert 'already running' in one_line(err) and 'PID %d' % pid in err
    assert lone.answers() and lone.pid() == pid and lone.processes() == [pid]


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
    monkeypatch.setattr(ahmlib.main.loader, 'DEFAULT_PATH', str(tmp_path / 'none.yml'))
    assert ahmlib.main._pid_path({'--config-file': None}) == '/tmp/ahm.pid'


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
    assert ahmlib.main.__doc__.splitlines() == [
        'ahm version 1.0,', 'HA manager for Agens[SQL|Graph] server', '', 'Usage:',
        '  ahm [-f CONFIG_FILE] [-d] [-n] [start|stop|restart|reload]', '',
        '-f, --config-file=CONFIG_FILE',
        '    Set the path to the ahm_config.yml configuration file',
        '    (default: /usr/local/etc/ahm_config.yml)',
        '-h, --help      Print this help', '-d, --debug     Debug mode',
        '-n --no-detach  Do not detach terminal']


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
    assert words[0] in err.splitlines()[0] and 'ahm [-f CONFIG_FILE]' in err
    assert lone.files() == [] and lone.processes() == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly(lone, number):
    process = lone.foreground()
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(LIMIT) == 0
    assert time.monotonic() - began < PROMPT
    assert [os.path.basename(path) for path in lone.files()] == ['ahm.state']
    assert 'RESTARTING' in lone.log_text()


def test_detached_and_without_a_log_file_it_needs_no_syslog(lone):
    lone.configure(log_filename=None)
    lone.start()
    assert lone.answers()
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')


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
            if link.startswith('socket:') or link.startswith('/tmp')}


def test_children_hold_nothing_of_the_daemon_and_do_not_hinder_the_next_one(lone):
    listener = black_hole(lone)
    pid = lone.start()
    listener.settimeout(LIMIT)
    lone.stack.enter_context(listener.accept()[0])      # the check is under way, and hangs
    children = set(lone.processes()) - {pid}
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
    return {'beacon_message_interval_seconds': 2, 'beacon_message_retry_count': 3}


@postgres
def test_a_leader_killed_and_started_again_leads_on():
    kind = 'loopback' if namespaces_available() else 'namespaces'
    hold = Timing(2, 3).hold
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
        until = scenario.fault_at + 2 * hold

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


# Bad input: each breaks one thing and returns what the line has to name


def unknown_key(lone):
    lone.configure(beacon_intervall=3)
    return [lone.line('beacon_intervall'), "'beacon_intervall'", 'found', 'expected']


def text_for_a_number(lone):
    lone.configure(health_check_period='often')
    return [lone.line('health_check_period'), 'health_check_period: found', 'often', 'expected']


def malformed_node(lone):
    lone.write_nodes('10.0.0.300:9500')
    return ['%s:4:' % lone.nodes, "found '10.0.0.300:9500'", 'expected']


def no_configuration(lone):
    os.unlink(lone.config)
    return ['%s:1:' % lone.config, 'found no such file', 'expected']


def no_nodes(lone):
    os.unlink(lone.nodes)
    return [lone.line('nodes_filename'), 'nodes_filename: found no such file', lone.nodes]


def no_data_dir(lone):
    lone.configure(data_dir=os.path.join(lone.directory, 'none'))
    return [lone.line('data_dir'), 'data_dir: found no such directory', 'none', 'expected']


def closed_data_dir(lone):
    os.chmod(lone.data_dir, 0)
    lone.stack.callback(os.chmod, lone.data_dir, 0o700)
    return [lone.line('data_dir'), 'data_dir: found no permission', lone.data_dir, 'expected']


def no_socket_dir(lone):
    lone.configure(socket_dir=os.path.join(lone.directory, 'none'))
    return [lone.line('socket_dir'), 'socket_dir: found no such directory', 'none', 'expected']


def beacon_port_in_use(lone):
    holder = lone.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    holder.bind((lone.plan.node(1), lone.plan.ahm_port))
    return [lone.plan.node(1), 'UDP', str(lone.plan.ahm_port), 'in use', 'ahm_port']


def ipc_port_in_use(lone):
    holder = lone.stack.enter_context(socket.socket())
    holder.bind((lone.plan.node(1), lone.plan.ipc_port))
    holder.listen(1)
    return [lone.plan.node(1), 'TCP', str(lone.plan.ipc_port), 'in use', 'ipc_port']


def not_in_nodes(lone):
    lone.write_nodes(first=2)
    return ['%s:1:' % lone.nodes, 'found', 'listen_address ' + lone.plan.node(1), 'expected']


def linked(lone, name):
    """A symbolic link in data_dir, to a file that must stay as it is."""
    target = os.path.join(lone.directory, 'target')
    lone.workspace.write(target, 'precious')
    path = os.path.join(lone.data_dir, name)
    os.symlink(target, path)
    return [path, 'symbolic link', 'remove it']


def linked_state(lone):
    return linked(lone, 'ahm.state')


def linked_lease(lone):
    return linked(lone, 'ahm.lease')


def linked_pid_file(lone):
    return linked(lone, 'ahm.pid')


def log_in_no_directory(lone):
    lone.configure(log_filename='none/ahm.log')
    return [os.path.join(lone.data_dir, 'none', 'ahm.log'), 'log_filename']


BAD_INPUT = (unknown_key, text_for_a_number, malformed_node, no_configuration, no_nodes,
             no_data_dir, closed_data_dir, no_socket_dir, beacon_port_in_use, ipc_port_in_use,
             not_in_nodes, linked_state, linked_lease, linked_pid_file, log_in_no_directory)


@pytest.mark.parametrize('words', [('-n', 'start'), ('start',)], ids=['foreground', 'detached'])
@pytest.mark.parametrize('log', ['ahm.log', None], ids=['log file', 'no log file'])
@pytest.mark.parametrize('breaks', BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(lone, breaks, words, log):
    lone.configure(log_filename=log)
    expected = breaks(lone)
    before = lone.files()
    code, out, err = lone.ahm(*words)
    assert code not in (0, 2) and out == ''
    line = one_line(err)
    assert all(text in line for text in expected), (expected, line)
    assert 'Traceback' not in line and 'Errno' not in line
    assert lone.files() == before
    wait_until(lambda: lone.processes() == [], 'nothing to run')
    if 'symbolic link' in expected:
        with open(os.path.join(lone.directory, 'target')) as file:
            assert file.read() == 'precious'


def test_several_mistakes_are_reported_together(lone):
    lone.configure(beacon_intervall=3, priority='first')
    lone.write_nodes('nonsense')
    code, _, err = lone.ahm('start')
    assert code == 1 and len(err.splitlines()) == 3


def test_a_corrupt_state_file_is_replaced_and_said(lone):
    lone.workspace.write(os.path.join(lone.data_dir, 'ahm.state'), '{"format": 1')
    lone.start()
    assert lone.answers()
    assert 'ahm.state is not JSON' in lone.log_text() and 'starting without it' in lone.log_text()


# Reload and restart


def test_reload_takes_severity_and_priority(lone):
    lone.configure(log_severity='ERROR', priority=3)
    pid = lone.start()
    assert lone.status()['nodes'][0]['priority'] == 3 and lone.log_text() == ''
    lone.configure(log_severity='INFO', priority=7)
    assert lone.ahm('reload').code == 0
    wait_until(lambda: lone.status()['nodes'][0]['priority'] == 7, 'the priority')
    lone.logs('NOTICE PID:%d' % pid)
    lone.logs('reloaded %s' % lone.config)


def test_reload_by_sighup_refuses_an_interval_and_takes_nothing_with_it(lone):
    pid = lone.start()
    lone.configure(beacon_message_interval_seconds=3, priority=7)
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: beacon_message_interval_seconds cannot change while the daemon runs')
    assert lone.status()['nodes'][0]['priority'] == 1
    lone.configure(beacon_message_interval_seconds=None)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: lone.status()['nodes'][0]['priority'] == 7, 'the priority')


def test_reload_refuses_other_nodes(lone):
    pid = lone.start()
    lone.write_nodes('192.0.2.1:9500')
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: nodes.conf cannot change while the daemon runs')
    assert lone.status()['remote_nodes'] == 2


def test_reload_refuses_a_broken_file(lone):
    pid = lone.start()
    lone.configure(priority='first')
    code, out, err = lone.ahm('reload')
    assert (code, out) == (1, '') and one_line(err).startswith(lone.line('priority'))
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: %s priority: found' % lone.line('priority'))
    os.unlink(lone.config)
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: %s:1: found no such file' % lone.config)
    assert lone.answers() and lone.pid() == pid


def test_reload_moves_the_log(lone):
    process = lone.foreground()
    before = lone.log_text()
    assert 'starts at' in before and lone.stderr() == ''
    lone.configure(log_filename=None)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'reloaded' in lone.stderr(), 'the log on stderr')
    lone.configure(log_filename='none/ahm.log')
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'reload refused: cannot write the log' in lone.stderr(), 'the refusal')
    assert lone.log_text().startswith(before) and 'reloaded' not in lone.log_text()


def test_reload_without_a_daemon_says_so(lone):
    code, out, err = lone.ahm('reload')
    assert (code, out) == (1, '') and 'no AHM daemon runs' in one_line(err)


def test_restart_ends_one_daemon_and_starts_another(lone):
    assert lone.ahm('restart') == Done(0, '', '')
    pid = lone.pid()
    assert lone.ahm('restart') == Done(0, '', '')
    assert is_gone(pid) and lone.pid() != pid and lone.answers()
    assert 'RESTARTING' in lone.log_text() and 'LEAVING' not in lone.log_text()


def test_restart_does_not_end_what_it_could_not_start_again(lone):
    pid = lone.start()
    lone.configure(priority='first')
    assert lone.ahm('restart').code == 1
    assert lone.answers() and lone.pid() == pid


def test_restart_runs_the_service_managers_command_where_there_is_one(lone):
    pid = lone.start()
    lone.configure(service_restart_command="/bin/sh -c 'echo asked; exit 3'")
    assert lone.ahm('restart') == Done(3, 'asked\n', '')
    assert lone.answers() and lone.pid() == pid


# Strangers


class Target:
    """A cluster of two nodes and a witness, and two nodes more that are the test's own sockets."""

    def __init__(self, cluster):
        self.cluster, self.plan = cluster, cluster.plan
        self.stack = contextlib.ExitStack()
        lines = ['%s:%d' % (self.plan.node(number), self.plan.ahm_port) for number in range(1, 6)]
        for node in cluster.nodes:
            node.configure(dict(cluster.settings), '\n'.join(lines) + '\n')
        self.peer, self.stranger = self.bind(4), self.bind(9)
        cluster.start_ahm()
        cluster.wait_until(lambda: all(is_formed(view(node)) for node in cluster.nodes), LIMIT,
                           'everybody to see a complete cluster')
        self.captured = self.capture()

    def bind(self, number):
        """A UDP socket with the address and port of a node of this number."""
        sock = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((self.plan.node(number), self.plan.ahm_port))
        return sock

    def capture(self):
        """{node number: its rows as datagrams}, of what everybody says to everybody."""
        found = {number: [] for number in (1, 2, 3)}
        self.peer.settimeout(LIMIT)
        while not all(len(rows) >= 5 for rows in found.values()):
            data, (host, _) = self.peer.recvfrom(65535)
            found[int(host.rpartition('.')[2]) - addresses.FIRST_NODE + 1].append(data)
        return found

    def place(self, node):
        """(address, beacon port) of a Node."""
        return node.host.address, self.plan.ahm_port

    def waiting(self, node):
        """The bytes that the kernel still holds for a Node's beacon port."""
        host = ''.join('%02X' % number for number in reversed(socket.inet_aton(node.host.address)))
        name = '%s:%04X' % (host, self.plan.ahm_port)
        with open('/proc/net/udp') as file:
            fields = [line.split() for line in file]
        return sum(int(row[4].split(':')[1], 16) for row in fields if row[1] == name)

    def drained(self, nodes=None):
        """Wait until the living daemons have read all that was sent to them."""
        for node in nodes or self.cluster.nodes:
            wait_until(lambda: self.waiting(node) == 0, 'an empty queue', LIMIT)

    def seen(self):
        """The view of every node, and who holds the VIP."""
        # Not whether the VIP was seen at the newest check, which a busy machine may let time out:
        # who holds it is looked up.
        return ([dict(view(node), vip=None) for node in self.cluster.nodes],
                [node.name for node in self.cluster.vip_holders()],
                [node.daemon.poll() for node in self.cluster.nodes])

    def assert_reads(self, before):
        """Assert that all is as it was."""
        assert self.seen() == before, self.cluster.log_tails()

    def lines(self, *texts):
        """How many lines of all logs hold one of these texts."""
        count = 0
        for node in self.cluster.nodes:
            with open(node.log, errors='replace') as file:
                count += sum(any(text in line for text in texts) for line in file)
        return count

    def calm(self):
        """Wait until no daemon uses more than a third of a processor over a second."""
        for node in self.cluster.nodes:
            wait_until(lambda: cpu_share(node.daemon.pid) < 0.33, 'a calm %s' % node.name, LIMIT)


def view(node):
    """What a Node says of the cluster, without what changes all the time."""
    try:
        status = client.ask({'ask': 'status'}, port=node.plan.ipc_port,
                            socket_dir=node.socket_dir)['status']
    except (client.NoDaemon, client.ProtocolError) as error:
        raise LabError(str(error))
    return {'leader': status['leader'], 'successor': status['successor'], 'term': status['term'],
            'vip': status['leader_holds_vip'], 'majority': status['has_majority'],
            'states': {row['name'] or 'ABSENT': (row['database'], row['state'])
                       for row in status['nodes']}}


def is_formed(seen):
    """Whether a view is that of a cluster in which nothing is under way any more."""
    states = {name: state for name, (_, state) in seen['states'].items()}
    return seen['vip'] and seen['successor'] == 'AHM-NODE-2' and states == {
        'AHM-NODE-1': 'LEADER', 'AHM-NODE-2': 'STANDBY', 'AHM-NODE-3': 'STANDBY',
        'ABSENT': 'DEAD'}


def cpu_share(pid):
    """The part of a processor that a process uses over the next second."""
    def ticks():
        with open('/proc/%d/stat' % pid) as file:
            fields = file.read().rpartition(')')[2].split()
        return int(fields[11]) + int(fields[12])
    began, before = time.monotonic(), ticks()
    time.sleep(1)
    return (ticks() - before) / os.sysconf('SC_CLK_TCK') / (time.monotonic() - began)


@pytest.fixture(scope='module')
def target():
    """A Target."""
    if LACK:
        pytest.skip(str(LACK))
    patient = {'beacon_message_interval_seconds': 1, 'beacon_message_retry_count': 3,
               'db_connect_timeout': 5, 'health_check_period': 1, 'max_consec_failures': 5}
    with Cluster('loopback', nodes=2, witnesses=1, settings=patient) as cluster:
        one = Target(cluster)
        with one.stack:
            yield one


def test_datagrams_of_a_peer_that_are_no_rows_change_nothing(target):
    before = target.seen()
    chance = random.Random(1)
    good = target.captured[1][0]
    junk = [b'', b'\0', bytes(65507), b'\x91' * 9000, b'\xdd\xff\xff\xff\xff', good + b'x']
    junk += [good[:size] for size in range(1, len(good), 7)]
    junk += [bytes(chance.getrandbits(8) for _ in range(chance.randrange(1, 1400)))
             for _ in range(500)]
    throw(target, target.peer, junk)
    target.assert_reads(before)
    assert 0 < target.lines('malformed datagrams') <= 2 * len(target.cluster.nodes)


def throw(target, sock, junk):
    """Send all of these datagrams to all nodes, and wait until they were read."""
    for node in target.cluster.nodes:
        for number, data in enumerate(junk):
            sock.sendto(data, target.place(node))
            if number % 50 == 49:
                target.drained([node])        # or the kernel drops what nobody has read yet
    target.drained()
    target.calm()


def test_rows_of_another_cluster_and_of_other_senders_change_nothing(target):
    before = target.seen()
    fingerprint = wire.msgpack.unpackb(target.captured[1][0], raw=False)[2]
    rows = [wire.decode(data, fingerprint, 5) for data in target.captured[1]]
    foreign = [wire.encode(row._replace(cluster=fingerprint ^ 1, name='no %d' % number, sender=3))
               for number, row in enumerate(rows * 20)]
    lies = [wire.encode(row._replace(term=row.term + 1000, seq=row.seq + 10 ** 6)) for row in rows]
    throw(target, target.peer, foreign + lies * 20)
    target.assert_reads(before)
    assert 0 < target.lines('belongs to another cluster') <= 4 * len(target.cluster.nodes)


def test_rows_from_an_address_that_is_no_nodes_change_nothing(target):
    before = target.seen()
    throw(target, target.stranger, (target.captured[1] + target.captured[2] + [b'junk']) * 20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other_port:
        other_port.bind((target.plan.node(4), 0))
        throw(target, other_port, target.captured[1] * 20)
    target.assert_reads(before)
    assert 0 < target.lines('which is not in nodes.conf') <= 2 * len(target.cluster.nodes)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can send in the name of a live daemon')
def test_old_rows_replayed_in_the_name_of_live_nodes_change_nothing(target):
    before = target.seen()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for source in target.cluster.nodes:
            for node in target.cluster.nodes:
                for data in target.captured[source.number] * 20 if node is not source else ():
                    raw.sendto(packet(data, source.host.address, node.host.address,
                                      target.plan.ahm_port), (node.host.address, 0))
                target.drained()
    target.calm()
    target.assert_reads(before)


def packet(data, source, to, port):
    """An IPv4 packet with a UDP datagram; the kernel fills in the sums that are 0 here."""
    return struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28 + len(data), 0, 0, 64, socket.IPPROTO_UDP, 0,
                       socket.inet_aton(source), socket.inet_aton(to)) \
        + struct.pack('!HHHH', port, port, 8 + len(data), 0) + data


def tcp(target):
    """A connection to the first node's ipc_port."""
    connection = socket.create_connection((target.plan.node(1), target.plan.ipc_port), LIMIT)
    connection.settimeout(LIMIT)
    return connection


def said(target, data):
    """What the daemon answers to these bytes, up to its closing the connection."""
    with tcp(target) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        answer = b''
        with contextlib.suppress(ConnectionResetError):
            for part in iter(lambda: connection.recv(65536), b''):
                answer += part
        return answer


@pytest.mark.parametrize('data', [
    b'\xff\xfe\x00\x80' * 100 + b'\n', b'{"ask": "sta', b'x' * 10 ** 7, b'[1, 2]\n', b'5\n',
    b'"status"\n', b'null\n', b'\n', b'[' * 60000 + b'\n', b'{"ask": "status"}' * 2 + b'\n',
    b'{"ask": {"a": []}}\n', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'], ids=range(12))
def test_junk_on_the_tcp_port_is_refused_and_changes_nothing(target, data):
    before = target.seen()
    answer = said(target, data)
    assert answer == b'' and len(data) > 65536 or b'"ok":false' in answer
    target.calm()
    target.assert_reads(before)
    assert target.lines('malformed IPC request') <= 3


def test_two_hundred_connections_at_once_lock_nobody_out(target):
    before = target.seen()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(tcp(target))
        target.assert_reads(before)         # through the UNIX socket
        target.calm()
    wait_until(lambda: b'"ok":true' in said(target, b'{"ask":"status"}\n'), 'TCP to be free again')
    target.assert_reads(before)
    assert target.lines('the IPC has') <= 2


def test_old_rows_do_not_bring_a_dead_node_back(target):
    """The last one: it leaves the third node dead."""
    witness, others = target.cluster.nodes[2], target.cluster.nodes[:2]
    target.peer.setblocking(False)
    witness.kill_ahm()
    target.cluster.wait_until(
        lambda: all(view(node)['states']['AHM-NODE-3'][1] == 'LOST' for node in others), LIMIT,
        'the witness to be lost')
    before = [view(node)['states']['AHM-NODE-3'] for node in others]
    with target.bind(3) as sock:
        for node in others:
            for data in target.captured[3] * 20:
                sock.sendto(data, target.place(node))
            target.drained([node])
        assert [view(node)['states']['AHM-NODE-3'] for node in others] == before
