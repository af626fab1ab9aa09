"""Which IP addresses are this host's, asked of the kernel's own tables.

IPv4 addresses come from /proc/net/fib_trie, where each stands as a `/32 host LOCAL` leaf; IPv6
addresses from /proc/net/if_inet6.  Binding a socket proves nothing: with ip_nonlocal_bind set
(keepalived and HAProxy hosts set it) every bind succeeds.

Two questions are kept apart.  `is_local`: would the kernel take a packet for this address as its
own?  All of 127.0.0.0/8 is, though only 127.0.0.1 stands on an interface.  `is_configured`: does
exactly this address stand on an interface now?  That is the question for the VIP.

On an interface is not usable: `unusable` says why the kernel does not use an address that stands
there, from the flags that rtnetlink shows and /proc does not.
"""

import ipaddress
from typing import FrozenSet, Iterable, List, NamedTuple, Sequence, Set, Tuple, Union

from ahmlib.network import netlink

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

IPV4_TABLE = '/proc/net/fib_trie'
IPV6_TABLE = '/proc/net/if_inet6'

# The two answers of `unusable` after which more can be done than to say it.
REFUSED = 'duplicate address detection found another host that has it'
UNDECIDED = 'duplicate address detection has not ended'


def canonical(text: str) -> str:
    """The one way to write the address in `text`; an IPv4 address mapped into IPv6 becomes IPv4.

    Raises ValueError for anything but a literal IPv4 or IPv6 address: host names, zones
    (fe80::1%eth0), prefix lengths, and IPv4 numbers with leading zeros, which some programs
    read as octal.
    """
    if '%' in text:
        raise ValueError('an address is written without a zone')
    address = ipaddress.ip_address(text)
    if address.version == 4 and str(address) != text:
        raise ValueError('an IPv4 address is written without leading zeros')
    mapped = getattr(address, 'ipv4_mapped', None)
    return str(mapped or address)


def local_addresses() -> FrozenSet[str]:
    """All addresses that stand on this host's interfaces, canonical, as a frozenset.

    Raises OSError where the kernel's IPv4 table cannot be read: not knowing is not "none".
    """
    singles, _ = _ipv4_local()
    return frozenset(singles) | _ipv6_local()


def is_configured(address: str) -> bool:
    """Whether exactly this address stands on an interface of this host now.

    Raises OSError where that cannot be found out, ValueError for what is no address.
    """
    return canonical(address) in local_addresses()


class Place(NamedTuple):
    """One interface that an address stands on."""

    interface: str
    flags: int          # of the address
    link_flags: int     # of the interface

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside is asked about it: lo, where routers announce the address."""
        return bool(self.link_flags & netlink.IFF_LOOPBACK)


def places(address: str) -> List[Place]:
    """Every Place that the address stands on, as a list; OSError, ValueError as is_configured."""
    wanted = canonical(address)
    links = netlink.links()
    return [Place(links[each.ifindex].name, each.flags, links[each.ifindex].flags)
            for each in netlink.addresses() if each.text == wanted and each.ifindex in links]


def unusable(found: Sequence[Place]) -> str:
    """Why an address that stands on the Places `found` is of no use; '' where it is.

    It is used where one place will do; a place on lo does not mend the others, for nobody on a
    link is answered by it.  Without a carrier an address is as good as its interface, and raising
    it again mends nothing: that is `remark`.
    """
    outside = [place for place in found if not place.is_loopback] or found
    reasons = [_place_trouble(place) for place in outside]
    return '' if not all(reasons) or not reasons else reasons[0]


def _place_trouble(place: Place) -> str:
    if place.flags & netlink.DADFAILED:
        return '%s (dadfailed on %s): find that host, and take the address off it' % (
            REFUSED, place.interface)
    if not place.link_flags & netlink.IFF_UP:
        return 'its interface %s is down: set it up' % place.interface
    if place.flags & netlink.TENTATIVE and not place.flags & netlink.OPTIMISTIC:
        return '%s (tentative on %s%s)' % (
            UNDECIDED, place.interface, '' if place.link_flags & netlink.IFF_LOWER_UP else
            ', which has no carrier')
    return ''


def remark(found: Sequence[Place]) -> str:
    """What people should know of the Places of an address that is used; '' for nothing."""
    outside = [place for place in found if not place.is_loopback]
    told = ['%s has no carrier, so nobody reaches it there' % place.interface
            for place in outside if not place.link_flags & netlink.IFF_LOWER_UP]
    if len(outside) > 1:
        told.append('it stands on %s: take it off all but one'
                    % ' and '.join(place.interface for place in outside))
    return '; '.join(told)


def is_local(address: str) -> bool:
    """Whether packets for this address are this host's own.

    Raises OSError where that cannot be found out, ValueError for what is no address.
    """
    parsed = ipaddress.ip_address(canonical(address))
    if parsed.is_loopback:
        return True
    if parsed.version == 6:
        return str(parsed) in _ipv6_local()
    singles, networks = _ipv4_local()
    return str(parsed) in singles or any(parsed in network for network in networks)


def _ipv4_local() -> Tuple[Set[str], Set[Network]]:
    with open(IPV4_TABLE) as table:
        return parse_fib_trie(table)


def _ipv6_local() -> FrozenSet[str]:
    try:
        with open(IPV6_TABLE) as table:
            return parse_if_inet6(table)
    except FileNotFoundError:
        return frozenset()          # a kernel without IPv6


def parse_fib_trie(lines: Iterable[str]) -> Tuple[Set[str], Set[Network]]:
    """(single addresses, networks) that are local, from the lines of /proc/net/fib_trie.

    A leaf is named by a `|-- 192.0.2.0` line; the lines under it say for which prefix lengths
    there is which kind of route.  A local route for more than one address comes from an address
    on the loopback interface: the kernel takes the whole network as its own.
    """
    singles: Set[str] = set()
    networks: Set[Network] = set()
    leaf = None
    for line in lines:
        words = line.split()
        if len(words) == 2 and words[0] == '|--':
            leaf = words[1]
        elif leaf and words[1:] == ['host', 'LOCAL']:
            if words[0] == '/32':
                singles.add(leaf)
            else:
                networks.add(ipaddress.ip_network(leaf + words[0], strict=False))
    return singles, networks


def parse_if_inet6(lines: Iterable[str]) -> FrozenSet[str]:
    """The addresses in the lines of /proc/net/if_inet6, canonical, as a frozenset."""
    return frozenset(str(ipaddress.IPv6Address(int(line.split()[0], 16)))
                     for line in lines if line.strip())
