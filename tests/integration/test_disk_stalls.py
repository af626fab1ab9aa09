"""A disk that does not write for a while: it costs nothing that its delay does not touch.

The disks are real: a small ext4 below data_dir, or below the log, that is frozen.
"""

import json
import os
import signal
import socket
import time

import pytest

from ahmlib.core.beacon import Beacon
from ahmlib.lab import procfs
from ahmlib.network import wire
from ahmlib.runtime.settings import fingerprint
from tests.lab.network import namespaces_available
from tests.lab.stalling_disk import StallingDisk, stalling_disks_available

from .daemons import LIMIT, Done, is_gone, postgres, wait_until
from .scenarios import FIRST, SECOND, THIRD, formed

LACK = stalling_disks_available()
pytestmark = pytest.mark.skipif(LACK is not None, reason='DISK STALLS SKIPPED: %s' % LACK)

#: What the daemon waits for at its end, twice, and a little for a slow machine.
BOUNDED = 10


# A cluster


FAST = {'beacon_message_interval_seconds': 0.1, 'beacon_message_retry_count': 3}


def with_disks(cluster):
    """The disks of all nodes' data_dirs, which hold their logs, too; by node name."""
    for node in cluster.nodes:
        node.reconfigure(log_filename='ahm.log')
    disks = {node.name: cluster.stalling_disk(node.data_dir) for node in cluster.nodes}
    for node in cluster.nodes:
        # Here the scenario looks for what a node has said.
        node.log = os.path.join(node.data_dir, 'ahm.log')
        cluster.workspace.write(node.log, '')
    return disks


@postgres
@pytest.mark.parametrize('settings', [FAST, {}], ids=['0.1 s x 3', '0.5 s x 2'])
def test_the_leaders_disk_stalls_and_nobody_notices(settings):
    kind = 'loopback' if namespaces_available() else 'namespaces'
    with formed(kind=kind, settings=settings, prepare=with_disks) as scenario:
        cluster, leader = scenario.cluster, scenario.cluster.nodes[0]
        with scenario.prepared[FIRST].frozen():
            scenario.serves_on(FIRST, 3.0)
            assert leader.status().leader == FIRST
        scenario.serves_on(FIRST, scenario.hold)
        # A line that comes after all those that waited for the disk.
        leader.reload_ahm()
        assert 'steps down' not in scenario.log(leader) and 'slept' not in scenario.log(leader)
        assert all(node.status().leader == FIRST for node in cluster.nodes)
        scenario.undisturbed(FIRST)


@postgres
def test_all_disks_stall_through_a_failover_and_it_goes_on_when_they_write():
    with formed(kind='loopback', prepare=with_disks) as scenario:
        cluster = scenario.cluster
        second, third = cluster.nodes[1:]
        with scenario.prepared[SECOND].frozen(), scenario.prepared[THIRD].frozen():
            scenario.next_fault()
            cluster.nodes[0].power_off()
            # Each says nothing that is not on its disk, so nobody is elected.
            cluster.wait_until(lambda: all(node.status().leader is None
                                           for node in (second, third)), 30, 'no leader')
            scenario.nothing_happens(None)
        # One that wanted to be elected, or to vote, says why it did not.
        cluster.wait_until(lambda: any(
            'the disk of %s has not answered for' % node.data_dir in scenario.log(node)
            and 'answers again, after' in scenario.log(node) for node in (second, third)),
            30, 'the disk to be named')
        cluster.wait_until(lambda: second.status().leader in (SECOND, THIRD), 60, 'a failover')
        leader = second.status().leader
        scenario.written_through(leader)
        scenario.finish(FIRST, leader)


# One daemon


@pytest.fixture
def disk(lone):
    """The StallingDisk below the data_dir of the Lone."""
    lone.configure(beacon_message_interval_seconds=0.5, beacon_message_retry_count=2)
    with StallingDisk(lone.data_dir) as one:
        yield one
        # Nothing that waits for the disk can be ended before.
        one.thaw()
        lone.close()


@pytest.fixture
def log_disk(lone):
    """A StallingDisk for the log of the Lone alone."""
    directory = lone.workspace.make_directory(lone.name, 'logs')
    lone.log = os.path.join(directory, 'ahm.log')
    lone.configure(log_filename=lone.log, beacon_message_interval_seconds=0.5,
                   beacon_message_retry_count=2)
    with StallingDisk(directory) as one:
        yield one
        one.thaw()
        lone.close()


class Peer:
    """The node 2 as far as a row of it is heard: its new name is something to be saved."""

    def __init__(self, lone):
        plan = lone.plan
        self.nodes = ['%s:%d' % (plan.node(number), plan.ahm_port) for number in (1, 2, 3)]
        self.to = plan.node(1), plan.ahm_port
        self.seq, self.heard = 0, None
        self.socket = lone.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind((plan.node(2), plan.ahm_port))
        self.socket.settimeout(LIMIT)

    def is_called(self, name):
        """Say this name, with the echo of a row of the daemon, without which it does not count."""
        cluster = fingerprint(self.nodes, False)
        if self.heard is None:
            row = wire.decode(self.socket.recv(65536), cluster, 3)
            self.heard = row.incarnation, row.seq
        self.seq += 1
        self.socket.sendto(wire.encode(Beacon(
            cluster, 1, name, 2, True, 0.5, 2, os.getpid(), self.seq, 1.0,
            (self.heard, None, None))), self.to)


def names_saved(lone):
    """The names of nodes in the state file."""
    path = os.path.join(lone.data_dir, 'ahm.state')
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return sorted(name for name in json.load(file)['content']['names'].values() if name)


def waits_in_the_kernel(pid):
    return procfs.state(pid) == 'D'


def stuck(lone):
    """Start the daemon, and let its helper wait for the frozen disk; (daemon, helper)."""
    pid = lone.start()
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1'], 'the first state')
    lone.peer = peer = Peer(lone)
    peer.is_called('first')
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1', 'first'], 'the second state')
    lone.frozen.freeze()
    peer.is_called('second')
    helper = lone.helpers()['state']
    wait_until(lambda: waits_in_the_kernel(helper), 'the helper to wait')
    return pid, helper


@pytest.fixture
def held_up(lone, disk):
    """A Lone whose `frozen` is its disk."""
    lone.frozen = disk
    return lone


def test_the_daemon_answers_while_its_state_waits_and_says_so_once(held_up):
    lone = held_up
    logs = lone.workspace.make_directory(lone.name, 'logs')
    lone.log = os.path.join(logs, 'ahm.log')
    lone.configure(log_filename=lone.log)
    stuck(lone)
    lone.logs('WARNING')
    lone.logs('the disk of %s has not answered for' % lone.data_dir)
    assert lone.answers()
    lone.frozen.thaw()
    lone.logs('the disk of %s answers again, after' % lone.data_dir)
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1', 'second'], 'the state')
    assert lone.log_text().count("the disk of %s has not answered for" % lone.data_dir) == 1


def test_kill_9_while_the_state_waits_and_a_start_meanwhile_is_refused(held_up):
    lone = held_up
    pid, helper = stuck(lone)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid), 'the end of the daemon')
    assert waits_in_the_kernel(helper)
    for words in (('start',), ('-n', 'start'), ('restart',)):
        code, _, err = lone.ahm(*words)
        assert code == 1
        line = err.splitlines()[-1]     # progress stands before it where that took a while
        assert 'PID %d' % helper in line and 'waits for the disk' in line and lone.data_dir in line
    assert lone.pid() == pid
    lone.frozen.thaw()
    assert lone.start() != pid and is_gone(helper)
    # What the old one was asked to write came before the new one had read.
    assert names_saved(lone) == ['AHM-NODE-1', 'second']
    lone.peer.socket.close()
    Peer(lone).is_called('third')
    wait_until(lambda: 'third' in names_saved(lone), 'the state of the new one')


def test_an_end_does_not_wait_for_a_disk_that_stalls_and_what_was_asked_for_is_written(held_up):
    lone = held_up
    pid, helper = stuck(lone)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: is_gone(pid), 'the end of the daemon')
    assert time.monotonic() - began < BOUNDED
    assert waits_in_the_kernel(helper)
    lone.frozen.thaw()
    wait_until(lambda: is_gone(helper), 'the end of the helper')
    assert names_saved(lone) == ['AHM-NODE-1', 'second']
    wait_until(lambda: not os.path.exists(lone.pid_file) and not os.path.exists(lone.socket),
               'the names of the daemon to go')
    assert 'ends: ' in lone.log_text()
    assert sorted(os.listdir(lone.data_dir)) == [
        'ahm.events.jsonl', 'ahm.log', 'ahm.state', 'lost+found']


def test_what_a_killed_helper_left_half_written_goes_at_the_next_start(held_up):
    lone = held_up
    lone.start()
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1'], 'the first state')
    assert lone.ahm('stop').code == 0
    lone.workspace.write(os.path.join(lone.data_dir, '.ahm.state.0123456789ab.new'), 'half')
    lone.start()
    assert [name for name in os.listdir(lone.data_dir) if name.endswith('.new')] == []


def test_a_full_disk_makes_the_node_silent_and_says_so(held_up):
    lone = held_up
    logs = lone.workspace.make_directory(lone.name, 'logs')
    lone.log = os.path.join(logs, 'ahm.log')
    lone.configure(log_filename=lone.log)
    lone.start()
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1'], 'the first state')
    filler = os.path.join(lone.data_dir, 'filler')
    with open(filler, 'wb', buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b'\0' * 4096)
    Peer(lone).is_called('second')
    lone.logs('No space left on device; check space and permissions of %s' % lone.data_dir)
    os.unlink(filler)
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1', 'second'], 'the state')


def test_a_helper_that_is_killed_is_said_and_replaced(lone):
    lone.configure(beacon_message_interval_seconds=0.5, beacon_message_retry_count=2)
    lone.start()
    wait_until(lambda: os.path.exists(os.path.join(lone.data_dir, 'ahm.state')), 'the state')
    before = lone.helpers()
    for kind, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        lone.logs('the process that writes the %s' % kind)
        lone.logs('(PID %d) has ended' % pid)
    Peer(lone).is_called('second')
    wait_until(lambda: names_saved(lone) == ['AHM-NODE-1', 'second'], 'the state')
    after = lone.helpers()
    assert set(after) == set(before) and not set(after.values()) & set(before.values())
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')
    assert lone.processes() == []


def test_the_logs_disk_stalls_and_no_line_is_lost_or_out_of_order(lone, log_disk):
    pid = lone.start()
    peer = Peer(lone)
    peer.is_called('a name')
    with log_disk.frozen():
        os.kill(pid, signal.SIGHUP)
        for number in range(20):
            peer.is_called('name %d' % number)
            assert lone.answers()
        wait_until(lambda: waits_in_the_kernel(lone.helpers()['log']), 'the log to wait')
        wait_until(lambda: 'name 19' in names_saved(lone), 'the state')
    lone.logs('starts at')
    assert lone.ahm('stop').code == 0
    lines = lone.log_text().splitlines()
    instants = [line.split(' ')[2:4] for line in lines]
    assert instants == sorted(instants) and 'could not be written' not in lone.log_text()
    assert 'ends: ' in lines[-1]


def test_a_log_on_a_disk_that_stalls_does_not_keep_the_daemon(lone, log_disk):
    pid = lone.start()
    with log_disk.frozen():
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_gone(pid), 'the end of the daemon')
        assert time.monotonic() - began < BOUNDED
        assert not os.path.exists(lone.pid_file)
    lone.logs('ends: ')


def test_a_configuration_on_a_disk_that_stalls_is_read_beside_the_loop(lone):
    directory = lone.workspace.make_directory(lone.name, 'etc')
    with StallingDisk(directory) as etc:
        lone.config = os.path.join(directory, 'ahm_config.yml')
        lone.configure(nodes_filename=lone.nodes, log_severity='INFO')
        pid = lone.start()
        # Reading goes on while a disk is frozen; making the new log file there does not.
        lone.configure(priority=7, log_filename=os.path.join(directory, 'new.log'))
        with etc.frozen():
            os.kill(pid, signal.SIGHUP)
            reader = wait_until(lambda: [one for one in lone.workers()
                                         if waits_in_the_kernel(one)], 'the reader to wait')
            assert reader != [pid]
            assert lone.answers() and lone.status()['nodes'][0]['priority'] == 1
        wait_until(lambda: lone.status()['nodes'][0]['priority'] == 7, 'the priority')
        lone.close()


@pytest.mark.parametrize('how', ['renamed', 'copied and truncated'])
def test_the_log_is_rotated(lone, how):
    pid = lone.start()
    lone.logs('no majority is in contact yet')
    old = lone.log + '.1'
    text = lone.log_text()
    if how == 'renamed':
        os.rename(lone.log, old)
    else:
        with open(old, 'w') as copy:
            copy.write(text)
        os.truncate(lone.log, 0)
    os.kill(pid, signal.SIGHUP)
    lone.logs('reloaded')
    assert '\0' not in lone.log_text() and 'starts at' not in lone.log_text()
    with open(old) as file:
        assert file.read() == text


def test_a_stderr_that_nobody_reads_does_not_stop_the_daemon(lone):
    lone.configure(log_filename=None, log_severity='DEBUG')
    read_fd, write_fd = os.pipe()
    try:
        process = lone.popen('-n', stdout=write_fd, stderr=write_fd)
        wait_until(lone.answers, 'the daemon')
        os.set_blocking(write_fd, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write_fd, b'x' * 4096)
        process.send_signal(signal.SIGHUP)
        assert lone.answers()
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        os.close(read_fd)
        os.close(write_fd)
