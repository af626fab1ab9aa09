"""A client that writes through a real HAProxy on its own host, without a VIP, in namespaces.

In each story all doors are asked all the time: writes go on, no acknowledged row that the new
primary had received is missing, and never do two nodes say that they are the primary.
"""

import contextlib
import json
import os
import shutil
import time

import pytest

from ahmlib.lab import record
from ahmlib.lab.postgres import DATABASE, SUPERUSER
from tests.lab.cluster import Cluster

from .doors import HTTP_PORT
from .scenarios import CALM, FIRST, SECOND, is_led_by_another, succeeds, telling

HERE = os.path.dirname(os.path.abspath(__file__))
HAPROXY = os.environ.get('HAPROXY') or shutil.which('haproxy')
needs_haproxy = pytest.mark.skipif(
    HAPROXY is None, reason='ROUTING NOT TESTED: no haproxy; install it, or name it by HAPROXY')

PORT = 5000
#: Told to an interpreter: it prints what the server behind a connection string is.
READ = """
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1])
cursor = connection.cursor()
cursor.execute('SELECT pg_is_in_recovery()')
print(cursor.fetchone()[0])
"""
SAMPLE = os.path.join(HERE, '..', '..', 'conf', 'haproxy.cfg.sample')
OTHERS = os.path.join(HERE, '..', 'data', 'haproxy')
#: Name -> where the configuration is: our own, and what others wrote for Patroni.
FILES = {'sample': SAMPLE, 'patroni': os.path.join(OTHERS, 'patroni.cfg'),
         'patroni_oldest': os.path.join(OTHERS, 'patroni_oldest.cfg'),
         'autobase': os.path.join(OTHERS, 'autobase.cfg')}


def configuration(name):
    """The text of this file."""
    with open(FILES[name]) as file:
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
        self.haproxy, self.haproxy_log = None, os.path.join(host.directory, 'haproxy.log')
        if text:
            place = self.place(PORT)
            config = os.path.join(host.directory, 'haproxy.cfg')
            cluster.workspace.write(config, adapted(cluster, text))
            self.haproxy = host.popen([HAPROXY, '-db', '-f', config], log=self.haproxy_log)
            self.processes.append(self.haproxy)
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

    def place(self, port):
        """Where HAProxy listens, for libpq."""
        return 'host=%s port=%d' % (self.cluster.client_host.address, port)

    def proxy_lives(self):
        """Raise where HAProxy has ended."""
        if self.haproxy is not None and self.haproxy.poll() is not None:
            with open(self.haproxy_log) as file:
                raise AssertionError('HAProxy has ended: ' + file.read())

    def writes_to(self, name):
        """Wait until a row that was begun after the fault was acknowledged by this server."""
        def is_so():
            self.proxy_lives()
            return any(attempt.accepted and attempt.server == name
                       and attempt.began > self.fault_at for attempt in self.client.attempts())
        self.cluster.wait_until(is_so, 90, 'a row that %s acknowledged' % name)

    def reads(self, port):
        """What a session at this port of HAProxy's says of pg_is_in_recovery(); None: no server."""
        host = self.cluster.client_host
        conninfo = '%s user=%s dbname=%s connect_timeout=3' % (
            self.place(port), SUPERUSER, DATABASE)
        done = host.run(host.python('-c', READ, conninfo), limit=30, check=False)
        return {'True': True, 'False': False}.get(done.output.strip()) if not done.code else None

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
def routed(name, **settings):
    """A Routed with this file ('': libpq alone), through which the client writes to node 1."""
    with Cluster('namespaces', settings=dict(CALM, http_port=HTTP_PORT, **settings),
                 vip=False) as cluster, telling(cluster):
        cluster.start_ahm()
        it = Routed(cluster, name and configuration(name))
        try:
            it.writes_to(FIRST)
            it.settles(FIRST)
            yield it
        finally:
            it.close()


# -- the stories ---------------------------------------------------------------------------------


def kill_9_of_its_database(it):
    """Another one leads, and has the writes."""
    it.fault()
    it.cluster.nodes[0].kill_database()
    new = is_led_by_another(it.cluster, FIRST)
    it.writes_to(new)
    it.moved(FIRST, new)


def a_switchover(it):
    """As it was asked for, and no acknowledged row is missing at all."""
    it.fault()
    succeeds(it.cluster.nodes[1], 'ahm_promote_node', '--wait')
    it.writes_to(SECOND)
    it.moved(FIRST, SECOND)
    rows = it.client.attempts()
    assert record.missing_rows(record.acknowledged_ids(rows),
                               it.cluster.ids_on(it.cluster.node(SECOND))) == []


def the_power_of_its_host_goes_off(it):
    """Nobody answers there any more."""
    it.fault()
    it.cluster.nodes[0].power_off()
    new = is_led_by_another(it.cluster, FIRST)
    it.writes_to(new)
    it.moved(FIRST, new)


def isolated_and_back(it):
    """It comes back without its door."""
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


STORIES = {story.__name__: story for story in (
    kill_9_of_its_database, a_switchover, the_power_of_its_host_goes_off, isolated_and_back)}
#: What `make test` tells; the others are of `make test-field`.
SHORT = [('sample', 'kill_9_of_its_database'), ('sample', 'isolated_and_back'),
         ('patroni', 'a_switchover'), ('autobase', 'the_power_of_its_host_goes_off')]
LONG = [(name, story) for name in sorted(FILES) for story in sorted(STORIES)
        if (name, story) not in SHORT]
