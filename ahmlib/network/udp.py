"""The beacon's socket: datagrams to and from the nodes of nodes.conf, and nobody else.

Everything is sent from, and received on, the own address and port of nodes.conf, so that the
sender of a datagram is known before anybody parses it: what does not come from an address and
port of a peer is counted and dropped.  With multicast, a second socket receives what is sent to
the group; the sender's address is still its own, so the same rule holds.

A datagram that cannot be sent is a lost one, and those the protocol is made for: it is counted,
logged now and then, and never an error of the caller's.
"""

import collections
import errno
import ipaddress
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Callable, Counter, Iterable, List, Optional, Tuple

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Loop

Address = Tuple[str, int]        # host, port

DATAGRAM_BYTES_MAX = 65507
READS_MAX = 64
RECEIVE_BUFFER_BYTES_MAX = 8 * 1024 * 1024
ROW_BYTES_MAX = 64 * 1024
LOG_SECONDS = 60.0

# Not in the socket module: the number that lets root exceed net.core.rmem_max.
_SO_RCVBUFFORCE = 33

_INTERFACES_6_PATH = '/proc/net/if_inet6'


class UdpError(Exception):
    """The beacon socket cannot be opened.  One line: what was found, what to do."""


class BeaconSocket:
    """Sends beacons to the peers, and passes on what comes from them.

    own: (host, port) of this node; peers: those of the others.  Hosts are addresses.
    multicast: None, or (group, interface, ttl): the interface's name or address, None for the
        one that has the own address.
    on_datagram(data, peer): called with what peer, one of `peers` as given, sent.
    received, foreign, send_errors: datagrams of peers, of others, and those that did not leave.
    received_from, sent: by peer, those of it and those for it.
    """

    def __init__(self, own: Address, peers: Iterable[Address],
                 on_datagram: Callable[[bytes, Address], None], loop: 'Loop', log: 'Log',
                 multicast: Optional[Tuple[str, Optional[str], int]] = None) -> None:
        self.received = 0
        self.received_from: Counter[Address] = collections.Counter()
        self.sent: Counter[Address] = collections.Counter()     # by peer, by multicast too
        self.foreign = 0
        self.send_errors = 0
        self._own = own
        self._on_datagram = on_datagram
        self._loop = loop
        self._log = log
        self._group = multicast[0] if multicast else ''
        self._sockets: List[socket.socket] = []
        try:
            self._unicast = self._open_unicast(own)
            if multicast:
                self._open_multicast(*multicast)
        except UdpError:
            self.close()
            raise
        self.set_peers(peers)
        for sock in self._sockets:
            self._watch(sock)

    def _watch(self, sock: socket.socket) -> None:
        self._loop.add_reader(sock, lambda: self._read(sock))

    def set_peers(self, peers: Iterable[Address]) -> None:
        """Take other peers from now on: (host, port) each."""
        self._peers = list(peers)
        self._known = {_normal(peer): peer for peer in peers}
        # One group, and every port that somebody listens on: as a rule, that is one.
        self._group_targets = sorted({(self._group, port) for _, port in peers})
        self._grow_buffers(len(self._peers) + 1)

    def send(self, data: bytes, to: Optional[Address] = None) -> int:
        """Send `data` to every peer (by multicast where it is used), or by unicast to one.

        to: (host, port), or None for all.  Returns how many datagrams left.  Never raises for
        what the network does.
        """
        if to is not None:
            targets = [to]
        else:
            targets = self._group_targets if self._group else self._peers
        self.sent.update(self._peers if to is None else [to])
        return sum(self._send_one(data, target) for target in targets)

    def close(self) -> None:
        """Close the sockets.  Nothing is received or sent any more."""
        for sock in self._sockets:
            self._loop.remove(sock)
            sock.close()
        self._sockets = []

    # -- opening ----------------------------------------------------------------------------

    def _open_unicast(self, own: Address) -> socket.socket:
        return self._open(own, 'the beacon port', is_shared=False)

    def _open_multicast(self, group: str, interface: Optional[str], ttl: int) -> None:
        try:
            address = ipaddress.ip_address(group)
        except ValueError:
            address = None
        own_version = ipaddress.ip_address(self._own[0]).version
        if address is None or not address.is_multicast or address.version != own_version:
            raise UdpError('multicast_group %s found, expected an IPv%d multicast address'
                           % (group, own_version))
        try:
            if address.version == 4:
                self._join_4(group, interface, ttl)
            else:
                self._join_6(group, interface, ttl)
        except OSError as error:
            raise UdpError('cannot join multicast group %s on %s: %s; check multicast_group and'
                           ' multicast_interface'
                           % (group, interface or self._own[0], error.strerror or error))

    def _open(self, address: Tuple[Any, ...], what: str, is_shared: bool) -> socket.socket:
        sock = None
        try:
            sock = socket.socket(_family(address[0]), socket.SOCK_DGRAM)
            self._sockets.append(sock)
            sock.setblocking(False)
            # Never on the unicast socket: a second daemon would take the first one's beacons.
            # The group's is shared by several daemons of one host, in a lab.
            if is_shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            return sock
        except OSError as error:
            raise UdpError('cannot bind %s, UDP %s port %d: %s; check the own entry in nodes.conf'
                           ' and ahm_port, and what else uses that port'
                           % (what, address[0], address[1], error.strerror or error))

    def _join_4(self, group: str, interface: Optional[str], ttl: int) -> None:
        membership = socket.inet_aton(group) + _interface_4(interface, self._own[0])
        sock = self._open((group, self._own[1]), 'the multicast group', is_shared=True)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        sender = self._unicast
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, membership)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        # On: another node may live on this very host.  Own datagrams are ignored instead.
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def _join_6(self, group: str, interface: Optional[str], ttl: int) -> None:
        index = _interface_6(interface, self._own[0])
        # A group of link-local scope (ff02::) exists once on every interface.
        sock = self._open((group, self._own[1], 0, index), 'the multicast group', is_shared=True)
        membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack('@I', index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        sender = self._unicast
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)

    def _grow_buffers(self, nodes: int) -> None:
        wanted = min(nodes * ROW_BYTES_MAX, RECEIVE_BUFFER_BYTES_MAX)
        for sock in self._sockets:
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
            except OSError:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
            # The kernel doubles what it was asked for, for its own bookkeeping.
            granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
            if granted < wanted:
                self._log.info('the UDP receive buffer has %d bytes, expected %d for %d nodes;'
                               ' raise net.core.rmem_max should beacons get lost'
                               % (granted, wanted, nodes))

    # -- sending and receiving --------------------------------------------------------------

    def _send_one(self, data: bytes, target: Address) -> int:
        try:
            self._unicast.sendto(data, target)
            return 1
        except OSError as error:
            self.send_errors += 1
            if self._log.bounded(('udp send', target, error.errno), LOG_SECONDS):
                number = error.errno or errno.EIO
                self._log.warning('cannot send a beacon of %d bytes to %s port %d: %s; %d could'
                                  ' not be sent since the start'
                                  % (len(data), target[0], target[1], os.strerror(number),
                                     self.send_errors))
            return 0

    def _read(self, sock: socket.socket) -> None:
        for _ in range(READS_MAX):
            try:
                data, source = sock.recvfrom(DATAGRAM_BYTES_MAX + 1)
            except BlockingIOError:
                return
            except OSError as error:
                if self._log.bounded(('udp receive', error.errno), LOG_SECONDS):
                    self._log.warning('cannot receive beacons: %s' % error.strerror)
                return
            self._take(data, _normal(source))
            if sock not in self._sockets:
                return                # closed by whoever got the datagram

    def _take(self, data: bytes, source: Tuple[Any, ...]) -> None:
        peer = self._known.get(source)
        if peer is not None:
            self.received += 1
            self.received_from[peer] += 1
            self._on_datagram(data, peer)
        elif source != _normal(self._own):
            self.foreign += 1
            if self._log.bounded('udp foreign', LOG_SECONDS):
                self._log.warning('a datagram from %s port %d, which is not in nodes.conf, was'
                                  ' dropped; %d since the start'
                                  % (source[0], source[1], self.foreign))


def _normal(address: Tuple[Any, ...]) -> Address:
    """Return (host, port) in the one spelling that addresses are compared in."""
    host = address[0].split('%')[0]
    return (str(ipaddress.ip_address(host)), address[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ':' in host else socket.AF_INET


def _interface_4(interface: Optional[str], own_host: str) -> bytes:
    """Return the tail of an ip_mreqn: local address and interface index."""
    if interface is None:
        return socket.inet_aton(own_host) + struct.pack('@i', 0)
    try:
        ipaddress.IPv4Address(interface)
    except ValueError:
        index = socket.if_nametoindex(interface)
        return socket.inet_aton('0.0.0.0') + struct.pack('@i', index)
    return socket.inet_aton(interface) + struct.pack('@i', 0)


def _interface_6(interface: Optional[str], own_host: str) -> int:
    """Return the index of the interface with that name, or address, or the own address."""
    host = own_host if interface is None else interface
    try:
        wanted = ipaddress.IPv6Address(host.split('%')[0])
    except ValueError:
        return socket.if_nametoindex(host)
    with open(_INTERFACES_6_PATH) as file:
        for line in file:
            digits, index = line.split()[:2]
            if int(digits, 16) == int(wanted):
                return int(index, 16)
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
