"""Who answers on the link: hardware addresses, from the kernel's neighbour table.

An entry that is older than the question is no answer: the kernel goes on sending to the dead
host's hardware address for seconds (an entry that is STALE is used without asking) or most of a
minute (REACHABLE).  So an entry counts as asked where it was confirmed, or refused, since then.
Who may (root, CAP_NET_ADMIN) makes the kernel forget the entry before; who may not can only wait.
"""
import ipaddress
import random
import socket
from typing import List, NamedTuple, Optional, Sequence, Set

from ahmlib.network import netlink
from ahmlib.network.addresses import Network
from ahmlib.process.deadline import Deadline

DISCARD_PORT = 9
DECOYS = 2
DECOY_SECONDS = 0.3
CLOCK_SECONDS = 0.01    # by which the kernel's ages may be off: it counts in ticks of 10 ms
# VRRP and its kind: the address of a service, which moves from host to host.
VIRTUAL_ROUTER = ('00:00:5e:00:01:', '00:00:5e:00:02:', '00:00:0c:07:ac:', '00:00:0c:9f:f')

UNDECIDED = netlink.INCOMPLETE
NOBODY = netlink.INCOMPLETE | netlink.FAILED
UNASKED = netlink.PERMANENT | netlink.NOARP
USABLE = netlink.REACHABLE | netlink.STALE | netlink.DELAY | netlink.PROBE | netlink.PERMANENT


class OnLink(NamedTuple):
    """The interface on which an address is a neighbour of this host."""

    ifindex: int
    name: str
    has_carrier: bool
    asks: bool          # whether the kernel asks this link for hardware addresses (ARP, NDP)


def own_hardware() -> Set[str]:
    """The hardware addresses of this host's interfaces, as a set; empty where not told."""
    try:
        return {link.hardware for link in netlink.links().values() if link.hardware}
    except OSError:
        return set()


def find_link(address: str, name: str = '') -> Optional[OnLink]:
    """The OnLink of `address`; None where a router stands between, or nothing is told.

    `name` is an interface that is known to be the one.
    """
    try:
        links = netlink.links()
        if name:
            index = next((link.ifindex for link in links.values() if link.name == name), None)
        else:
            route = netlink.route(address)
            index = None if route.has_gateway or route.is_local else route.ifindex
    except OSError:
        return None
    if index not in links:
        return None
    link = links[index]
    asks = not link.flags & (netlink.IFF_NOARP | netlink.IFF_LOOPBACK)
    return OnLink(index, link.name, bool(link.flags & netlink.IFF_LOWER_UP), asks)


def has_router(address: str) -> Optional[bool]:
    """Whether packets for `address` go to a router first; None where that is not told."""
    try:
        return netlink.route(address).has_gateway
    except OSError:
        return None


def entry(address: str, link: OnLink) -> Optional[netlink.Neighbour]:
    """The kernel's entry for `address` on `link`, None where there is none.  OSError: not told."""
    return netlink.neighbour(address, link.ifindex)


def forget(address: str, link: OnLink) -> None:
    """Make the kernel ask anew, where we may; an entry that people made stays."""
    try:
        found = netlink.neighbour(address, link.ifindex)
        if found is not None and not found.state & UNASKED:
            netlink.forget_neighbour(address, link.ifindex)
    except OSError:
        pass        # an old entry is noticed by its age


def solicit(address: str) -> None:
    """Make the kernel look for the hardware address: a datagram to a port where nobody listens."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto(b'', (address, DISCARD_PORT))
    except OSError:
        pass        # no route, a firewall: then there will be no entry, which is what is looked at


def hardware_of(address: str, link: OnLink) -> str:
    """The hardware address of a neighbour, the last known one if need be; '' where unknown."""
    try:
        found = netlink.neighbour(address, link.ifindex)
    except OSError:
        return ''
    return found.hardware if found is not None and found.state & USABLE else ''


def is_virtual_router(hardware: str) -> bool:
    """Whether this is the address of a service that moves (VRRP, HSRP), and so no host's own."""
    return hardware.startswith(VIRTUAL_ROUTER)


def answers_for_all(hardware: str, link: OnLink, besides: Sequence[str],
                    deadline: Deadline) -> bool:
    """Whether `hardware` answers for addresses that nobody uses: proxy ARP, a cloud's network.

    Some addresses of the same network are asked for.  Nobody can tell them from a host that has
    them all, so there are two, drawn at random; False where the network has none to spare.
    """
    decoys = _decoys(link, besides)
    for decoy in decoys:
        solicit(decoy)
    until = deadline.elapsed() + DECOY_SECONDS
    while decoys:
        if all(hardware_of(decoy, link) == hardware for decoy in decoys):
            return True
        if deadline.is_over() or deadline.elapsed() > until:
            return False
        deadline.sleep(0.01)
    return False


def _decoys(link: OnLink, besides: Sequence[str]) -> List[str]:
    """Addresses that probably nobody has, on the network of the first of `besides`."""
    try:
        own = netlink.addresses()
    except OSError:
        return []
    network = _network(ipaddress.ip_address(besides[0]), link, own)
    if network is None or network.num_addresses < 8:
        return []
    taken = set(besides) | {each.text for each in own}
    found = []
    for _ in range(20):
        drawn = str(network[random.randrange(1, min(network.num_addresses - 1, 1 << 16))])
        if drawn not in taken and not hardware_of(drawn, link):
            taken.add(drawn)
            found.append(drawn)
        if len(found) == DECOYS:
            return found
    return []


def _network(address: netlink.Parsed, link: OnLink,
             own: List[netlink.Address]) -> Optional[Network]:
    """The network on `link` that `address` belongs to."""
    for each in own:
        network = ipaddress.ip_network('%s/%d' % (each.text, each.prefix_length), strict=False)
        if each.ifindex == link.ifindex and address in network and network.num_addresses > 1:
            return network
    return None
