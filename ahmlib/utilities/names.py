"""Which host is meant: the name of a node stands for its address wherever an address is taken.

Names are asked of the daemon of this host, which knows those that it heard; where none answers,
they are in its state file, for the addresses of nodes.conf.  A node's name goes before a host's in
the DNS: it is the one that ahm_cluster_status prints, it means the address by which the daemons
know that node, and the same word in the DNS may be an address that moves with a service.
"""

import ipaddress
import os
import socket
from typing import List, Tuple

from ahmlib.ipc import client
from ahmlib.utilities.outcome import USAGE, Failure
from ahmlib.utilities.where import Where

#: A daemon that is there and busy is not waited for longer: the files know the names, too.
ASK_SECONDS = 3.0

Known = List[Tuple[str, str]]    # the name of a node, its host


def resolve(text: str, option: str, here: Where) -> str:
    """The host that `text` after `option` means.  Raises Failure with exit code 2."""
    if is_address(text):
        return text
    known, lacking = known_nodes(here)
    hosts = sorted({host for name, host in known if name == text})
    if len(hosts) == 1:
        return hosts[0]
    if hosts:
        raise Failure('%s: found %r, which is the name of several nodes (%s), expected one node; '
                      'give its address' % (option, text, ', '.join(hosts)), USAGE)
    if _is_host(text):
        return text
    names = ', '.join('%s (%s)' % each for each in known)
    raise Failure('%s: found %r, expected the name of a node or host, or an address; %s' % (
        option, text, 'known nodes are %s' % names if known
        else 'no node is known here by its name (%s), so give an address' % lacking), USAGE)


def is_address(text: str) -> bool:
    """Whether it is a literal address, with or without brackets or a zone."""
    inner = text[1:-1] if text.startswith('[') and text.endswith(']') else text
    try:
        ipaddress.ip_address(inner.partition('%')[0] if ':' in inner else inner)
    except ValueError:
        return False
    return True


def known_nodes(here: Where) -> Tuple[Known, str]:
    """(name, host) of the nodes whose name is known on this host; and if none, why."""
    try:
        answer = client.ask({'ask': 'status'}, port=here.port, socket_dir=here.socket_dir,
                            limit=ASK_SECONDS)
        known = _of_status(answer.get('status'))
        if known:
            return known, ''
        lacking = 'the daemon of this host told none'
    except (client.NoDaemon, client.ProtocolError) as error:
        lacking = str(error)
    if here.config_path is None:
        return [], lacking
    known, more = _of_files(here.config_path)
    return known, '%s; %s' % (lacking, more)


def _of_status(status: object) -> Known:
    nodes = status.get('nodes') if isinstance(status, dict) else None
    return [(node['name'], node['address']) for node in (nodes if isinstance(nodes, list) else ())
            if isinstance(node, dict) and isinstance(node.get('name'), str) and node['name']
            and isinstance(node.get('address'), str)]


def _of_files(path: str) -> Tuple[Known, str]:
    """Of nodes.conf, by the names of the state file, and of this node by its configuration."""
    # Rarely needed, and slow to load.
    from ahmlib.config import loader, rules
    from ahmlib.runtime import state_file
    try:
        config = loader.load(path, check_host=False)
    except loader.ConfigError as error:
        return [], error.problems[0]
    assert config.nodes is not None and config.nodes.own is not None
    try:
        saved = state_file.load(os.path.join(config.data_dir, rules.STATE_NAME)) or {}
        lacking = 'the state file in %s has no other name' % config.data_dir
    except (state_file.StateFileError, state_file.StateFileCorrupt) as error:
        saved, lacking = {}, str(error)
    names = saved.get('names')
    names = names if isinstance(names, dict) else {}
    entries = config.nodes.entries
    found = [(config.node_name if place == config.nodes.own else names.get(entry.address),
              entry.host) for place, entry in enumerate(entries)]
    return [(name, host) for name, host in found if isinstance(name, str) and name], lacking


def _is_host(text: str) -> bool:
    """Whether the resolver of this host knows that name."""
    try:
        socket.getaddrinfo(text, None)
    except (OSError, UnicodeError):
        return False
    return True
