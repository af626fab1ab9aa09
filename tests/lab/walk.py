"""The blocks of commands of a document, run as they stand on the hosts that they name.

A block is a fenced one of the language sh; its first line says where, as in `# on db1, db2`.  So
what people are told to type is what the tests type, and neither can drift from the other.
"""

import re
from typing import NamedTuple, Tuple

#: Only a host of the lab has it: what a document says must never be done to this machine.
LAB_ALONE = 'test -e /etc/systemd/.installed || { echo "this is no host of the lab"; exit 99; }\n'
FENCED = re.compile(r'^```sh\n(.*?)^```$', re.MULTILINE | re.DOTALL)
REBOOT = 'systemctl reboot'
WHERE = re.compile(r'# on ([a-z0-9, ]+)\n')


class Block(NamedTuple):
    """Commands, and the names of the hosts on which they are typed, in this order."""
    hosts: Tuple[str, ...]
    text: str


def blocks(text):
    """The Blocks of a document, in their order."""
    found = []
    for body in FENCED.findall(text):
        where = WHERE.match(body)
        if where is None:
            raise ValueError('a block does not begin with the hosts it is for: %r' % body[:60])
        found.append(Block(tuple(where.group(1).replace(' ', '').split(',')), body[where.end():]))
    return found


def typed(host, block, directory):
    """Type a Block on a SystemdHost, as root in a shell that ends at the first error.

    Where it reboots the host, that is up again afterwards.
    """
    do = host.reboot if REBOOT in block.text.splitlines() else host.says
    return do('%scd %s\nset -e\n%s' % (LAB_ALONE, directory, block.text), 'bash')


def walk(hosts, text, directory):
    """Type all blocks on {name: SystemdHost}; what the last one printed on its last host."""
    said = ''
    for block in blocks(text):
        for name in block.hosts:
            said = typed(hosts[name], block, directory)
    return said
