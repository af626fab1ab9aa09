"""Announcing an IPv6 address that has moved here: unsolicited neighbour advertisements (RFC 4861).

What gratuitous ARP is for IPv4, and no arping can send.  Without one, the hosts of the link go on
sending to the old host's hardware address until their entry ends, half a minute or more.  The
kernel sends none by itself where an address is added, unless the sysctl ndisc_notify is 1.

It goes to all nodes of the link, from the address itself, with the flag that lets it replace what
they know.  Who may send it has CAP_NET_RAW; for others there is arping_cmd, with a program such as
ndsend, or that sysctl.
"""
import errno
import ipaddress
import socket
import struct
from typing import List, NamedTuple, Optional

from ahmlib.network import netlink

ALL_NODES = 'ff02::1'
ADVERTISEMENT = 136
ROUTER, OVERRIDE = 1 << 31, 1 << 29
TARGET_HARDWARE = 2             # the option that carries the hardware address
HOPS = 255                      # who receives one with less ignores it
NOTIFY = '/proc/sys/net/ipv6/conf/%s/ndisc_notify'
FORWARDING = '/proc/sys/net/ipv6/conf/%s/forwarding'


class Link(NamedTuple):
    """An interface that has the address, and can be told of by a hardware address."""

    ifindex: int
    name: str
    hardware: bytes


def message(address: str, hardware: bytes, is_router: bool = False) -> bytes:
    """The ICMPv6 message that says who has `address`; its checksum is the kernel's to fill in."""
    length = len(hardware) + 2
    padded = hardware + b'\0' * (-length % 8)
    flags = OVERRIDE | (ROUTER if is_router else 0)
    return struct.pack('!BBHI', ADVERTISEMENT, 0, 0, flags) \
        + socket.inet_pton(socket.AF_INET6, address) \
        + struct.pack('!BB', TARGET_HARDWARE, (length + 7) // 8) + padded


def announce(address: str) -> str:
    """Tell all nodes of each link that has `address` that it is here; why that failed, or ''."""
    try:
        links = _links(address)
    except OSError as error:
        return 'the interfaces of this host cannot be read: %s' % (error.strerror or error)
    if links is None:
        return 'the address is on no interface of this host'
    reasons = [_announce_on(address, link) for link in links]
    return '; '.join(filter(None, reasons))


def _links(address: str) -> Optional[List[Link]]:
    """Where it is to be told; None: it is not here.  On lo or a dummy, routers announce it."""
    known, wanted = netlink.links(), str(ipaddress.ip_address(address))
    held = {each.ifindex for each in netlink.addresses()
            if each.text == wanted and each.ifindex in known}
    if not held:
        return None
    found = [known[index] for index in sorted(held)]
    return [Link(link.ifindex, link.name, bytes.fromhex(link.hardware.replace(':', '')))
            for link in found if link.hardware
            and not link.flags & (netlink.IFF_NOARP | netlink.IFF_LOOPBACK)]


def why_not(address: str) -> str:
    """Why `announce` would fail here once the address is here, as far as rights go; '' if not."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6):
            return ''
    except OSError:
        return _without_rights(_on_the_way(address))


def _on_the_way(address: str) -> str:
    """The interface where the address is, or its network; 'all' where that is not told."""
    try:
        for link in _links(address) or ():
            return link.name
        return netlink.links()[netlink.route(address).ifindex].name
    except (OSError, KeyError):
        return 'all'


def _announce_on(address: str, link: Link) -> str:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.ifindex)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            raw.bind((address, 0, 0, 0))
            raw.sendto(message(address, link.hardware, _is_on(FORWARDING, link.name)),
                       (ALL_NODES, 0, 0, link.ifindex))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return _without_rights(link.name)
        return 'a neighbour advertisement on %s: %s' % (link.name, error.strerror or error)
    return ''


def _without_rights(name: str) -> str:
    """The kernel announces it by itself, where it was told to."""
    if _is_on(NOTIFY, name) or _is_on(NOTIFY, 'all'):
        return ''
    return ('this user may not send a neighbour advertisement: give AHM CAP_NET_RAW, set '
            'arping_cmd to a program that sends one (ndsend), or set the sysctl '
            'net.ipv6.conf.%s.ndisc_notify to 1' % name)


def _is_on(path: str, name: str) -> bool:
    """Whether this sysctl of the interface is on; not where it cannot be read."""
    try:
        with open(path % name) as file:
            return file.read().strip() != '0'
    except OSError:
        return False
