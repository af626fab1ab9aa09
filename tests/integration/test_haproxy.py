"""A real HAProxy in front of the cluster, without a VIP: conf/haproxy.cfg.sample, in namespaces.

In each story the client writes through HAProxy on its own host, and all doors are asked all the
time: writes go on, no acknowledged row that the new primary had received is missing, and never do
two nodes say that they are the primary.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from ahmlib.lab import record
from ahmlib.lab.postgres import DATABASE, SUPERUSER
from tests.lab.cluster import Cluster

from .doors import HTTP_PORT
from .scenarios import CALM, FIRST, SECOND, is_led_by_another, needs_namespaces, succeeds, telling

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, '..', '..', 'conf', 'haproxy.cfg.sample')
HAPROXY = os.environ.get('HAPROXY') or shutil.which('haproxy')
needs_haproxy = pytest.mark.skipif(
    HAPROXY is None, reason='ROUTING NOT TESTED: no haproxy; install it, or name it by HAPROXY')
pytestmark = needs_namespaces

PORT = 5000
#: As it is written for Patroni, with its timing.
PATRONI = """
global
    maxconn 100
defaults
    log global
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s
listen primary
    bind *:5000
    option httpchk
    http-check expect status 200
    default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server db1 192.0.2.11:5432 maxconn 100 check port 8008
    server db2 192.0.2.12:5432 maxconn 100 check port 8008
    server db3 192.0.2.13:5432 maxconn 100 check port 8008
"""


def sample():
    """The text of conf/haproxy.cfg.sample."""
    with open(SAMPLE) as file:
        return file.read()


def adapted(cluster, text):
    """A configuration with the addresses of this lab in place of its own."""
    for number, node in enumerate(cluster.nodes, 1):
        text = text.replace('192.0.2.1%d:5432' % number, '%s:%d' % (
            node.host.address, cluster.plan.db_port))
    assert '192.0.2' not in text
    return text


class Routed:
    """A cluster without a VIP, and a client that writes through HAProxy on its own host, with this
    configuration; with '' by libpq alone, which knows all hosts."""

    def __init__(self, cluster, text):
        self.cluster, host = cluster, cluster.client_host
        self.processes, place = [], self._by_libpq()
        if text:
            place = 'host=%s port=%d' % (host.address, PORT)
            config = os.path.join(host.directory, 'haproxy.cfg')
            cluster.workspace.write(config, adapted(cluster, text))
            self.processes.append(host.popen([HAPROXY, '-db', '-f', config],
                                             log=os.path.join(host.directory, 'haproxy.log')))
        self.looks_path = os.path.join(host.directory, 'doors.jsonl')
        doors = ['%s=%s:%d' % (node.name, node.host.address, HTTP_PORT) for node in cluster.nodes]
        with open(os.path.join(HERE, 'watch_doors.py')) as file:
            argv = host.python('-c', file.read(), self.looks_path, *doors)
        self.processes.append(host.popen(argv))
        conninfo = '%s user=%s dbname=%s' % (place, SUPERUSER, DATABASE)
        self.client = cluster._recorder(host, 'ahmlib.lab.client',
                                        ['--conninfo', conninfo, '--first', '1'],
                                        # The client connects without waiting, where libpq does not
                                        # count connect_timeout: a dead host costs an ARP time-out.
                                        3.0 if text else 15.0)
        self.prober = cluster.start_prober()
        self.fault_at = time.monotonic()

    def _by_libpq(self):
        hosts = ','.join(node.host.address for node in self.cluster.nodes)
        return 'host=%s port=%d target_session_attrs=read-write' % (
            hosts, self.cluster.plan.db_port)

    def writes_to(self, name, since=None):
        """Wait until a row that was begun after the fault was acknowledged by this server."""
        since = self.fault_at if since is None else since
        self.cluster.wait_until(
            lambda: any(attempt.accepted and attempt.server == name and attempt.began > since
                        for attempt in self.client.attempts()), 90,
            'a row that %s acknowledged through HAProxy' % name)

    def fault(self):
        """What follows is one."""
        self.fault_at = time.monotonic()

    def looks(self):
        """[[began, ended, name, status]] so far."""
        with open(self.looks_path) as file:
            return [json.loads(line) for line in file if line.endswith('\n')]

    def settles(self, name):
        """Wait until this node alone answers 200, of those that answer."""
        def is_so():
            newest = {look[2]: look[3] for look in self.looks()}
            return [each for each, code in newest.items() if code == 200] == [name]
        self.cluster.wait_until(is_so, 60, 'only %s to say that it is the primary' % name)

    def moved(self, old, new):
        """End the recording of one move; what must hold of it.  The outage in seconds."""
        since = self.fault_at

        def opened_at():
            return [look[1] for look in self.looks()
                    if look[3] == 200 and look[2] == new and look[0] > since]
        # HAProxy may have been told a moment before the looks are.
        self.cluster.wait_until(opened_at, 30, '200 of ' + new)
        opened = opened_at()
        closed = [look[0] for look in self.looks() if look[3] == 200 and look[2] == old]
        assert max(closed) < min(opened), 'both say that they are the primary'
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        present = self.cluster.ids_on(self.cluster.node(new))
        assert record.missing_within_received(rows, old, present) == []
        outage = record.write_outage(rows, since)
        print('%s -> %s: writes went on after %.2f s; 200 of the new one %.2f s after the fault' % (
            old, new, outage, min(opened) - since))
        return outage

    def close(self):
        """End what runs here."""
        for process in self.processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def routed(text=None, **settings):
    """A Routed, through which the client writes to node 1."""
    with Cluster('namespaces', settings=dict(CALM, http_port=HTTP_PORT, **settings),
                 vip=False) as cluster, telling(cluster):
        cluster.start_ahm()
        it = Routed(cluster, sample() if text is None else text)
        try:
            it.writes_to(FIRST)
            it.settles(FIRST)
            yield it
        finally:
            it.close()


@needs_haproxy
def test_kill_9_of_the_primarys_database():
    with routed() as it:
        it.fault()
        it.cluster.nodes[0].kill_database()
        new = is_led_by_another(it.cluster, FIRST)
        it.writes_to(new)
        it.moved(FIRST, new)


@needs_haproxy
def test_a_switchover_there_and_what_patronis_own_file_makes_of_it():
    """That one asks `OPTIONS /` each 3 s, and needs two in a row."""
    with routed(PATRONI) as it:
        it.fault()
        succeeds(it.cluster.nodes[1], 'ahm_promote_node', '--wait')
        it.writes_to(SECOND)
        it.moved(FIRST, SECOND)
        rows = it.client.attempts()
        assert record.missing_rows(record.acknowledged_ids(rows),
                                   it.cluster.ids_on(it.cluster.node(SECOND))) == []


@needs_haproxy
def test_the_power_of_the_primarys_host_goes_off():
    with routed() as it:
        it.fault()
        it.cluster.nodes[0].power_off()
        new = is_led_by_another(it.cluster, FIRST)
        it.writes_to(new)
        it.moved(FIRST, new)


@needs_haproxy
def test_the_primary_is_isolated_and_comes_back_without_its_door():
    with routed() as it:
        first = it.cluster.nodes[0]
        it.fault()
        first.isolate()
        new = is_led_by_another(it.cluster, FIRST)
        it.writes_to(new)
        first.heal()
        came_back = time.monotonic()
        it.cluster.wait_until(
            lambda: any(look[2] == FIRST and look[0] > came_back and look[3] == 503
                        for look in it.looks()), 60, 'the old primary to say that it is none')
        it.settles(new)
        it.moved(FIRST, new)


@pytest.mark.parametrize('fault', ['kill_database', 'power_off'])
def test_libpq_alone_finds_the_new_primary(fault):
    with routed('') as it:
        it.fault()
        getattr(it.cluster.nodes[0], fault)()
        new = is_led_by_another(it.cluster, FIRST)
        it.writes_to(new)
        it.settles(new)         # libpq may be sooner than whoever asks the door
        it.moved(FIRST, new)


@needs_haproxy
def test_the_sample_is_one_that_haproxy_takes(tmp_path):
    path = tmp_path / 'haproxy.cfg'
    path.write_text(sample())
    done = subprocess.run([HAPROXY, '-c', '-f', str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0 and 'WARNING' not in done.stdout, done.stdout
    assert re.findall(r'httpchk (.*)', sample()) == ['OPTIONS /primary', 'OPTIONS /replica']
