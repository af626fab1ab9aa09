"""The beacon's socket: peers only, errors counted, and nothing waits.  Uses 127.x and ::1."""

import socket

import pytest

from ahmlib.network import udp
from ahmlib.network.udp import BeaconSocket, UdpError
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import clock

GROUP = '239.255.77.1'


@pytest.fixture
def log(tmp_path):
    made = Log('%l ', 'DEBUG', str(tmp_path / 'log'), 'n', clock)
    yield made
    made.close()


@pytest.fixture
def port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('0.0.0.0', 0))
        return probe.getsockname()[1]


@pytest.fixture
def make(loop, log):
    """A factory of nodes; each has a list `got` of (data, peer)."""
    made = []

    def factory(own, peers, **options):
        got = []
        node = BeaconSocket(own, peers, lambda data, peer: got.append((data, peer)), loop, log,
                            **options)
        node.got = got
        made.append(node)
        return node
    yield factory
    for node in made:
        node.close()


def turn_until(loop, predicate, seconds=10):
    limit = clock() + seconds
    while not predicate():
        assert clock() < limit, 'it did not happen within %g s' % seconds
        loop.run_once(clock() + 0.01)


def settle(loop):
    """Turn the loop until nothing comes any more; a busy machine may deliver a little late."""
    while loop.run_once(clock() + 0.2):
        pass


def text_of(log):
    with open(log.destination) as file:
        return file.read()


def test_everybody_hears_everybody_else_and_knows_who_it_was(make, loop, port):
    addresses = [('127.0.0.%d' % number, port) for number in (1, 2, 3)]
    nodes = [make(own, [peer for peer in addresses if peer != own]) for own in addresses]
    for number, node in enumerate(nodes):
        assert node.send(b'row %d' % number) == 2
    settle(loop)
    for number, node in enumerate(nodes):
        assert sorted(node.got) == [(b'row %d' % other, addresses[other])
                                    for other in range(3) if other != number]
        assert node.received == 2 and node.foreign == 0


def test_to_one_is_to_one(make, loop, port):
    a, b, c = [('127.0.0.%d' % number, port) for number in (1, 2, 3)]
    sender, other, third = make(a, [b, c]), make(b, [a, c]), make(c, [a, b])
    assert sender.send(b'x', to=c) == 1
    settle(loop)
    assert other.got == [] and third.got == [(b'x', a)]


def test_ipv6_however_the_addresses_are_written(make, loop, port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('::1', 0))
        except OSError:
            pytest.skip('SKIPPED: no IPv6 loopback on this host')
        other = probe.getsockname()[1]
    written = ('0:0:0:0:0:0:0:1', other)
    a, b = make(('::1', port), [written]), make(written, [('::1', port)])
    a.send(b'there')
    b.send(b'back')
    settle(loop)
    assert b.got == [(b'there', ('::1', port))]
    assert a.got == [(b'back', written)], 'the peer is named as it was given'


def test_strangers_are_counted_and_never_parsed(make, loop, log, port):
    peer = ('127.0.0.2', port)
    node = make(('127.0.0.1', port), [peer])
    for source in (('127.0.0.3', port), ('127.0.0.2', port + 1)):   # wrong host, wrong port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(source)
            for _ in range(10):
                stranger.sendto(b'x', ('127.0.0.1', port))
    settle(loop)
    assert node.got == [] and node.foreign == 20
    assert text_of(log).count('not in nodes.conf') == 1


def test_own_datagrams_are_neither_heard_nor_foreign(make, loop, port):
    node = make(('127.0.0.1', port), [('127.0.0.2', port)])
    node.send(b'x', to=('127.0.0.1', port))
    settle(loop)
    assert node.got == [] and node.foreign == 0


def test_a_wake_up_reads_a_bounded_number(make, loop, port):
    a, b = ('127.0.0.1', port), ('127.0.0.2', port)
    sender, node = make(a, [b]), make(b, [a])
    for number in range(udp.READS_MAX + 10):
        sender.send(b'%d' % number)
    assert loop.run_once(clock() + 5) == 1
    assert len(node.got) == udp.READS_MAX
    settle(loop)
    assert [int(data) for data, _ in node.got] == list(range(udp.READS_MAX + 10))


def test_the_biggest_datagram_and_one_more_byte(make, loop, port):
    a, b = ('127.0.0.1', port), ('127.0.0.2', port)
    sender, node = make(a, [b]), make(b, [a])
    assert sender.send(b'x' * udp.DATAGRAM_BYTES_MAX) == 1
    assert sender.send(b'x' * (udp.DATAGRAM_BYTES_MAX + 1)) == 0
    assert sender.send(b'') == 1
    settle(loop)
    assert [len(data) for data, _ in node.got] == [udp.DATAGRAM_BYTES_MAX, 0]
    assert sender.send_errors == 1


@pytest.mark.parametrize('error', [101, 111, 1, 11, 113, 105])
def test_what_the_network_does_is_counted_logged_once_and_not_raised(make, log, port, error):
    class Broken:
        def sendto(self, data, target):
            raise OSError(error, 'x')

    node = make(('127.0.0.1', port), [('127.0.0.2', port), ('127.0.0.3', port)])
    node._unicast = Broken()
    for _ in range(5):
        assert node.send(b'x') == 0
    assert node.send_errors == 10
    assert text_of(log).count('cannot send a beacon') == 2, 'once a peer'


def test_nobody_listening_there_is_nothing_special(make, loop, port):
    node = make(('127.0.0.1', port), [('127.0.0.2', port)])
    for _ in range(3):
        assert node.send(b'x') == 1
    settle(loop)
    assert node.got == []


def test_other_peers_after_a_reload(make, loop, port):
    a, b, c = [('127.0.0.%d' % number, port) for number in (1, 2, 3)]
    node, other, third = make(a, [b]), make(b, [a]), make(c, [a])
    node.set_peers([c])
    node.send(b'x')
    other.send(b'from b')
    third.send(b'from c')
    settle(loop)
    assert other.got == [] and third.got == [(b'x', a)]
    assert node.got == [(b'from c', c)] and node.foreign == 1


def test_the_buffer_holds_a_row_of_every_node(make, log, port):
    peers = [('127.1.0.%d' % number, port) for number in range(1, 10)]
    node = make(('127.0.0.1', port), peers)
    granted = node._unicast.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    assert granted >= 10 * 64 * 1024 or 'raise net.core.rmem_max' in text_of(log)
    node.set_peers([('127.1.%d.%d' % (number // 250, number % 250 + 1), port)
                    for number in range(1000)])
    granted = node._unicast.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    assert granted <= udp.RECEIVE_BUFFER_BYTES_MAX


def test_an_address_in_use_or_not_ours_is_said(make, port):
    make(('127.0.0.1', port), [])
    with pytest.raises(UdpError) as caught:
        make(('127.0.0.1', port), [])
    assert 'UDP 127.0.0.1 port %d: Address already in use' % port in str(caught.value)
    with pytest.raises(UdpError) as caught:
        make(('203.0.113.9', port), [])
    assert 'check the own entry in nodes.conf' in str(caught.value)


def test_nothing_is_heard_after_closing(make, loop, port):
    a, b = ('127.0.0.1', port), ('127.0.0.2', port)
    node, other = make(a, [b]), make(b, [a])
    other.send(b'x')
    node.close()
    settle(loop)
    assert node.got == []


def test_closing_from_within_the_callback(loop, log, port):
    a, b = ('127.0.0.1', port), ('127.0.0.2', port)
    got = []

    def take(data, peer):
        got.append(data)
        node.close()
    node = BeaconSocket(a, [b], take, loop, log)
    other = BeaconSocket(b, [a], take, loop, log)
    other.send(b'1')
    other.send(b'2')
    settle(loop)
    other.close()
    assert got == [b'1']


# -- multicast --------------------------------------------------------------------------------


def needs_loopback_multicast(family=socket.AF_INET):
    """Skip, and say so, where this host's loopback carries no multicast."""
    group, host = (GROUP, '127.0.0.1') if family == socket.AF_INET else ('ff05::4148', '::1')
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, \
            socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            if family == socket.AF_INET:
                member = socket.inet_aton(group) + socket.inet_aton(host)
                receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                                  socket.inet_aton(host))
            else:
                index = udp._interface_6(None, host)
                member = socket.inet_pton(family, group) + udp.struct.pack('@I', index)
                receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
                sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            receiver.bind((group, 0))
            receiver.settimeout(1)
            sender.sendto(b'x', receiver.getsockname()[:2])
            receiver.recv(10)
        except OSError as error:
            pytest.skip('SKIPPED: no multicast on the loopback of this host: %s' % error)


@pytest.mark.parametrize('interface', [None, '127.0.0.1', 'lo'])
def test_multicast_reaches_all_peers_and_only_them(make, loop, port, interface):
    needs_loopback_multicast()
    addresses = [('127.0.0.%d' % number, port) for number in (1, 2, 3)]
    nodes = [make(own, [peer for peer in addresses if peer != own],
                  multicast=(GROUP, interface, 1)) for own in addresses]
    outsider = make(('127.0.0.9', port), addresses[:1], multicast=(GROUP, interface, 1))
    assert nodes[0].send(b'row') == 1, 'one datagram for all of them'
    settle(loop)
    assert set(nodes[1].got) == set(nodes[2].got) == {(b'row', addresses[0])}
    assert nodes[0].got == [] and nodes[0].foreign == 0, 'its own are ignored'
    outsider.send(b'row of a stranger')
    settle(loop)
    assert set(nodes[1].got) == {(b'row', addresses[0])}
    assert nodes[1].foreign >= 1


def test_with_multicast_one_node_is_still_reached_by_unicast(make, loop, port):
    needs_loopback_multicast()
    a, b, c = [('127.0.0.%d' % number, port) for number in (1, 2, 3)]
    options = {'multicast': (GROUP, None, 1)}
    node, other, third = (make(a, [b, c], **options), make(b, [a, c], **options),
                          make(c, [a, b], **options))
    node.send(b'x', to=b)
    settle(loop)
    assert other.got == [(b'x', a)] and third.got == []


def test_multicast_with_a_port_for_every_node(make, loop, port):
    needs_loopback_multicast()
    a, b, c = [('127.0.0.1', port + offset) for offset in range(3)]
    options = {'multicast': (GROUP, None, 1)}
    node, other, third = (make(a, [b, c], **options), make(b, [a, c], **options),
                          make(c, [a, b], **options))
    assert node.send(b'x') == 2
    settle(loop)
    assert set(other.got) == set(third.got) == {(b'x', a)}


def test_the_ttl_is_set(make, port):
    node = make(('127.0.0.1', port), [], multicast=(GROUP, 'lo', 7))
    assert node._unicast.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7


def test_multicast_over_ipv6(make, loop, port):
    needs_loopback_multicast(socket.AF_INET6)
    a, b = ('::1', port), ('::1', port + 1)
    options = {'multicast': ('ff05::4148', None, 1)}
    node, other = make(a, [b], **options), make(b, [a], **options)
    node.send(b'x')
    settle(loop)
    assert set(other.got) == {(b'x', a)}


@pytest.mark.parametrize('multicast, said', [
    (('10.0.0.1', None, 1), 'expected an IPv4 multicast address'),
    (('ff05::1', None, 1), 'expected an IPv4 multicast address'),
    (('junk', None, 1), 'expected an IPv4 multicast address'),
    ((GROUP, 'no-such-if', 1), 'check multicast_group and multicast_interface')])
def test_a_group_that_cannot_be_joined_is_said(make, port, multicast, said):
    with pytest.raises(UdpError) as caught:
        make(('127.0.0.1', port), [], multicast=multicast)
    assert said in str(caught.value) and '\n' not in str(caught.value)
    make(('127.0.0.1', port), []).close()
