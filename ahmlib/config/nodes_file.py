"""nodes.conf: the nodes of the cluster, one IP:PORT a line, the same file on all of them.

A node finds its own entry by asking which address is this host's.  Addresses have to be literal:
a name could mean different hosts on different nodes, or none when it matters.
"""

import ipaddress
import re
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.config.problems import ConfigError, Problem, problem, read_text, show
from ahmlib.network import addresses

EXPECTED = 'IP:PORT, or [IP]:PORT for IPv6'
ENTRY = re.compile(r'(?:\[([^\[\]]*)\]|([^\[\]:]*)):([^:]*)')
PORT = re.compile(r'[1-9][0-9]{0,4}')


class Entry(NamedTuple):
    """One node: its address, canonical, and its UDP port."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """The canonical 'host:port', with an IPv6 address in brackets."""
        return ('[%s]:%d' if ':' in self.host else '%s:%d') % self

    def __str__(self) -> str:
        return self.address


class NodeList(NamedTuple):
    """The nodes in the order of the file, and which of them is this one."""

    entries: Tuple[Entry, ...]
    own: Optional[int]                      # index into entries
    path: str


def sorted_addresses(nodes: NodeList) -> Tuple[str, ...]:
    """All entries of a NodeList as canonical 'host:port', by packed address, then port.

    The order is the same on all nodes, however each of them orders its file.
    """
    return tuple(str(entry) for entry in sorted(nodes.entries, key=_sort_key))


def _sort_key(entry: Entry) -> Tuple[bytes, int]:
    return ipaddress.ip_address(entry.host).packed, entry.port


def load(path: str, ahm_port: int, listen_address: Optional[str] = None,
         is_local: Optional[Callable[[str], bool]] = None) -> NodeList:
    """The NodeList of the file `path`.

    `is_local(address)` says which addresses are this host's; by default the kernel is asked.
    Raises ConfigError with all that is wrong.
    """
    lines = read(path)
    own, problems = find_own(lines, path, ahm_port, listen_address, is_local)
    if problems:
        raise ConfigError(problems)
    return NodeList(tuple(entry for entry, _ in lines), own, path)


def read(path: str) -> List[Tuple[Entry, int]]:
    """[(entry, line number)] of the file `path`.  Raises ConfigError with all that is wrong."""
    lines, problems = parse(read_text(path, 'the list of nodes'), path)
    if problems:
        raise ConfigError(problems)
    return lines


def parse(text: str, path: str) -> Tuple[List[Tuple[Entry, int]], List[Problem]]:
    """([(entry, line number)], problems) of the text of a nodes.conf."""
    found: Dict[Entry, int] = {}
    problems = []
    for line, content in enumerate(text.split('\n'), 1):
        content = content.partition('#')[0].strip()
        if not content:
            continue
        try:
            entry = parse_entry(content)
        except ValueError as error:
            problems.append(problem(path, line, '', show(content), EXPECTED, str(error)))
            continue
        if entry in found:
            problems.append(problem(path, line, '', '%s again, first in line %d'
                                    % (entry, found[entry]), 'every node once',
                                    'take one of the two out'))
        found.setdefault(entry, line)
    if not found and not problems:
        problems.append(problem(path, 1, '', 'no entry', EXPECTED + ', one node a line',
                                'list all nodes of the cluster, this one too'))
    return list(found.items()), problems


def parse_entry(text: str) -> Entry:
    """The Entry that `text` names.  Raises ValueError whose text says what to do."""
    match = ENTRY.fullmatch(text)
    if not match:
        if re.fullmatch(r'[0-9A-Fa-f:]*:[0-9A-Fa-f]*:[0-9A-Fa-f:]*', text):
            raise ValueError('put an IPv6 address in brackets, as in [2001:db8::1]:9500')
        raise ValueError('write one address, a colon and the AHM port, as in 192.0.2.1:9500')
    bracketed, host, port = match.groups()
    if not PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError('write a port from 1 to 65535')
    try:
        address = addresses.canonical(host if bracketed is None else bracketed)
    except ValueError:
        raise ValueError('write a literal address: no host name, prefix length, zone or leading '
                         'zeros')
    if bracketed is not None and ':' not in bracketed:
        raise ValueError('take the brackets away')
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast or address == '255.255.255.255':
        raise ValueError('write the address of one host')
    return Entry(address, int(port))


def find_own(lines: List[Tuple[Entry, int]], path: str, ahm_port: int,
             listen_address: Optional[str] = None,
             is_local: Optional[Callable[[str], bool]] = None
             ) -> Tuple[Optional[int], List[Problem]]:
    """(index of this node's own entry, problems)."""
    is_local = is_local or addresses.is_local
    try:
        local = [index for index, (entry, _) in enumerate(lines) if is_local(entry.host)]
    except OSError as error:
        return None, [problem(path, 1, '', 'that the addresses of this host are unknown (%s)'
                              % error, 'a readable %s' % addresses.IPV4_TABLE, 'mount /proc')]
    own = [index for index in local if lines[index][0].port == ahm_port]
    if listen_address is not None:
        own = [index for index in own if lines[index][0].host == listen_address]
    if len(own) == 1:
        return own[0], []
    if own:
        entries = ' and '.join(str(lines[index][0]) for index in own)
        return None, [problem(path, lines[own[1]][1], '', 'two own entries, %s' % entries,
                              'one that is this node', 'name its address in listen_address')]
    return None, [_no_own_entry(lines, local, path, ahm_port, listen_address)]


def _no_own_entry(lines: List[Tuple[Entry, int]], local: List[int], path: str, ahm_port: int,
                  listen_address: Optional[str]) -> Problem:
    wanted = 'an address of this host with ahm_port %d' % ahm_port
    if listen_address is not None:
        wanted = 'listen_address %s, of this host, with ahm_port %d' % (listen_address, ahm_port)
    if local:
        entry, line = lines[local[0]]
        return problem(path, line, '', 'of this host only ' + str(entry), wanted,
                       'correct this line, ahm_port or listen_address')
    return problem(path, lines[0][1], '', 'no entry of this host', wanted,
                   'add the address of this host, the same on all nodes')
