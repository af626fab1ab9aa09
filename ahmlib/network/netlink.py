"""The kernel's own tables of addresses, interfaces, neighbours and routes, by rtnetlink.

What `ip addr`, `ip link`, `ip neigh` and `ip route get` show, without those programs: anybody may
read it, and it carries what /proc leaves out (the flags of an address, how long ago a neighbour
was confirmed).  Everything is read anew at every call; OSError where the kernel does not tell.
"""
import errno
import ipaddress
import os
import socket
import struct
import time
from typing import Dict, List, NamedTuple, Optional, Union

Parsed = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

ANSWER_SECONDS = 1.0
BUFFER = 65536

_GETLINK, _GETADDR, _GETROUTE, _DELNEIGH, _GETNEIGH = 18, 22, 26, 29, 30
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300

_HEADER = struct.Struct('=IHHII')       # length, type, flags, sequence, port
_LINK = struct.Struct('=BxHiII')        # family, type, index, flags, change
_ADDRESS = struct.Struct('=BBBBI')      # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct('=B3xiHBB')  # family, index, state, flags, type
_ROUTE = struct.Struct('=8BI')          # family, lengths, tos, table, protocol, scope, type; flags
_ATTRIBUTE = struct.Struct('=HH')

# Flags of an address.
OPTIMISTIC, DADFAILED, DEPRECATED, TENTATIVE = 0x04, 0x08, 0x20, 0x40
# Flags of an interface.
IFF_UP, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x8, 0x80, 0x10000
# States of a neighbour.
INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED, NOARP, PERMANENT = (
    0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80)
_LOCAL_ROUTE = 2


class Link(NamedTuple):
    """An interface."""

    ifindex: int
    name: str
    flags: int
    hardware: str           # lower case, with colons; '' where it has none


class Address(NamedTuple):
    """An address on an interface."""

    text: str               # canonical
    ifindex: int
    prefix_length: int
    flags: int


class Neighbour(NamedTuple):
    """What the kernel knows of one address on one link."""

    text: str
    ifindex: int
    state: int
    hardware: str           # '' where nobody has answered
    confirmed: float        # seconds since it was last confirmed


class Route(NamedTuple):
    """How a packet for an address leaves."""

    ifindex: int              # of the interface
    is_local: bool          # it does not leave: the address is this host's
    has_gateway: bool       # to a router, so nothing is known of who has the address


def links() -> Dict[int, Link]:
    """All interfaces, as a dict: index -> Link."""
    found = {}
    for body in _ask(_GETLINK, _LINK.pack(0, 0, 0, 0, 0), _DUMP):
        _, _, index, flags, _ = _LINK.unpack_from(body)
        told = _attributes(body[_LINK.size:])
        name = told.get(3, b'').rstrip(b'\0').decode('utf-8', 'replace')
        found[index] = Link(index, name, flags, _hardware(told.get(1, b'')))
    return found


def addresses() -> List[Address]:
    """All addresses on interfaces, as a list of Address."""
    found = []
    for body in _ask(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0), _DUMP):
        _, length, flags, _, index = _ADDRESS.unpack_from(body)
        told = _attributes(body[_ADDRESS.size:])
        # IFA_ADDRESS is the other end of a point-to-point link, where IFA_LOCAL is this one.
        raw = told.get(2) or told.get(1)
        if 8 in told:
            flags = struct.unpack('=I', told[8][:4])[0]
        if raw and len(raw) in (4, 16):
            found.append(Address(str(ipaddress.ip_address(raw)), index, length, flags))
    return found


def neighbour(address: str, index: int) -> Optional[Neighbour]:
    """The kernel's Neighbour entry for an address on the interface `index`; None: there is none."""
    parsed = ipaddress.ip_address(address)
    ticks = os.sysconf('SC_CLK_TCK')
    for body in _ask(_GETNEIGH, _NEIGHBOUR.pack(_family(parsed), 0, 0, 0, 0), _DUMP):
        _, where, state, _, _ = _NEIGHBOUR.unpack_from(body)
        told = _attributes(body[_NEIGHBOUR.size:])
        if where == index and told.get(1) == parsed.packed:
            age = struct.unpack('=I', told[3][:4])[0] / ticks if 3 in told else float('inf')
            return Neighbour(str(parsed), where, state, _hardware(told.get(2, b'')), age)
    return None


def forget_neighbour(address: str, index: int) -> bool:
    """Make the kernel ask the link anew at the next packet; False where we may not."""
    parsed = ipaddress.ip_address(address)
    body = _NEIGHBOUR.pack(_family(parsed), index, 0, 0, 0) + _attribute(1, parsed.packed)
    try:
        _ask(_DELNEIGH, body, _ACK)
    except OSError as error:
        return error.errno == errno.ENOENT      # there is none to forget
    return True


def route(address: str) -> Route:
    """The Route of packets for an address; OSError (ENETUNREACH) where there is none."""
    parsed = ipaddress.ip_address(address)
    body = _ROUTE.pack(_family(parsed), parsed.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    for answer in _ask(_GETROUTE, body + _attribute(1, parsed.packed), 0):
        told = _attributes(answer[_ROUTE.size:])
        index = struct.unpack('=I', told[4][:4])[0] if 4 in told else 0
        kind = _ROUTE.unpack_from(answer)[7]
        return Route(index, kind == _LOCAL_ROUTE, 5 in told or 18 in told)
    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


def _family(parsed: Parsed) -> int:
    return socket.AF_INET if parsed.version == 4 else socket.AF_INET6


def _hardware(raw: bytes) -> str:
    return ':'.join('%02x' % byte for byte in bytearray(raw))


def _attribute(kind: int, data: bytes) -> bytes:
    padding = b'\0' * (-len(data) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + padding


def _attributes(data: bytes) -> Dict[int, bytes]:
    """The attributes in `data` as a dict: type -> bytes."""
    found, at = {}, 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3fff] = data[at + _ATTRIBUTE.size:at + length]
        at += (length + 3) & ~3
    return found


def _ask(kind: int, body: bytes, flags: int) -> List[bytes]:
    """Send one request; the bodies of all that answers it, as a list."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(ANSWER_SECONDS)
        kernel.bind((0, 0))
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        found: List[bytes] = []
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            is_last = _take(kernel.recv(BUFFER), found)
            if is_last or not flags and found:
                return found
    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _take(data: bytes, found: List[bytes]) -> bool:
    """Append the bodies of the messages in `data`; whether the last one was among them."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size:at + length]
        if kind == _DONE:
            return True
        if kind == _ERROR:
            code = -struct.unpack_from('=i', body)[0]
            if code:
                raise OSError(code, os.strerror(code))
            return True
        found.append(body)
        at += max(_HEADER.size, (length + 3) & ~3)
    return False
