"""What strangers may not disturb, on a whole cluster that has a leader: malformed datagrams, rows
of others, old rows, junk and crowds on the TCP port.
"""

import contextlib
import os
import random
import socket
import struct
import time

import pytest

from ahmlib.lab import addresses
from ahmlib.network import wire
from tests.lab.cluster import Cluster

from .daemons import LACK, LIMIT, view, wait_until


class Target:
    """A cluster of two nodes and a witness, and two nodes more that are the test's own sockets."""

    def __init__(self, cluster):
        self.cluster, self.plan = cluster, cluster.plan
        self.since = time.monotonic()
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

    def minutes(self):
        """The whole minutes since the start: most complaints are logged once in each."""
        return int((time.monotonic() - self.since) // 60)

    def calm(self):
        """Wait until no daemon uses more than a third of a processor over a second."""
        for node in self.cluster.nodes:
            wait_until(lambda: cpu_share(node.daemon.pid) < 0.33, 'a calm %s' % node.name, LIMIT)


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
    assert 0 < target.lines('malformed datagrams') <= (2 + target.minutes()) * len(
        target.cluster.nodes)


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
    assert 0 < target.lines('which is not in nodes.conf') <= (2 + target.minutes()) * len(
        target.cluster.nodes)


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
    assert target.lines('malformed IPC request') <= 3 + target.minutes()


def test_two_hundred_connections_at_once_lock_nobody_out(target):
    before = target.seen()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(tcp(target))
        target.assert_reads(before)         # through the UNIX socket
        target.calm()
    wait_until(lambda: b'"ok":true' in said(target, b'{"ask":"status"}\n'), 'TCP to be free again')
    target.assert_reads(before)
    assert target.lines('the IPC has') <= 2 + target.minutes()


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
