"""Which IP addresses are this host's, asked of the kernel's own tables.

IPv4 addresses come from /proc/net/fib_trie, where each stands as a `/32 host LOCAL` leaf; IPv6
addresses from /proc/net/if_inet6.  Binding a socket proves nothing: with ip_nonlocal_bind set
(keepalived and HAProxy hosts set it) every bind succeeds.

Two questions are kept apart.  `is_local`: would the kernel take a packet for this address as its
own?  All of 127.0.0.0/8 is, though only 127.0.0.1 stands on an interface.  `is_configured`: does
exactly this address stand on an interface now?  That is the question for the VIP.
"""

import ipaddress

IPV4_TABLE = '/proc/net/fib_trie'
IPV6_TABLE = '/proc/net/if_inet6'


def canonical(text):
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


def local_addresses():
    """All addresses that stand on this host's interfaces, canonical, as a frozenset.

    Raises OSError where the kernel's IPv4 table cannot be read: not knowing is not "none".
    """
    singles, _ = _ipv4_local()
    return frozenset(singles) | _ipv6_local()


def is_configured(address):
    """Whether exactly this address stands on an interface of this host now.

    Raises OSError where that cannot be found out, ValueError for what is no address.
    """
    return canonical(address) in local_addresses()


def is_local(address):
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


def _ipv4_local():
    with open(IPV4_TABLE) as table:
        return parse_fib_trie(table)


def _ipv6_local():
    try:
        with open(IPV6_TABLE) as table:
            return parse_if_inet6(table)
    except FileNotFoundError:
        return frozenset()          # a kernel without IPv6


def parse_fib_trie(lines):
    """(single addresses, networks) that are local, from the lines of /proc/net/fib_trie.

    A leaf is named by a `|-- 192.0.2.0` line; the lines under it say for which prefix lengths
    there is which kind of route.  A local route for more than one address comes from an address
    on the loopback interface: the kernel takes the whole network as its own.
    """
    singles, networks = set(), set()
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


def parse_if_inet6(lines):
    """The addresses in the lines of /proc/net/if_inet6, canonical, as a frozenset."""
    return frozenset(str(ipaddress.IPv6Address(int(line.split()[0], 16)))
                     for line in lines if line.strip())
