"""Asking one node of the cluster by its name or role, through whichever daemon the options name.

What concerns one node is decided there.  So the daemon that is asked first only says where that
node is, and the request goes there by TCP, as with -h.
"""

from typing import Tuple

from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common
from ahmlib.utilities.common import Args


def ask_named(args: Args, what: str) -> Tuple[Args, Message]:
    """Ask the node of --node for this; (the options that name its daemon, its answer).

    Raises Failure where no node is called so, or it refuses.
    """
    name = args['--node']
    common.refuse_empty(args)
    there = _options_of(args, common.ask_status(args), name)
    return there, common.ask(there, {'ask': what, 'node': name})


def ask_leader(args: Args, what: str) -> Tuple[Args, Message]:
    """Ask the node that leads for this, likewise.  Raises Failure where nobody does."""
    status = common.ask_status(args)
    if not isinstance(status.get('leader'), str):
        raise common.Failure('nobody leads, as %s sees it, and only a leader begins or ends a '
                             'pause; see ahm_cluster_status' % status.get('asked'))
    there = _options_of(args, status, status['leader'])
    return there, common.ask(there, {'ask': what})


def _options_of(args: Args, status: Message, name: str) -> Args:
    nodes = status['nodes']
    if name == status.get('asked'):
        return args
    found = [node for node in nodes if node.get('name') == name]
    if not found:
        raise common.Failure('--node: found %r, expected one of %s' % (name, ', '.join(
            str(node.get('name') or node.get('address')) for node in nodes)), common.USAGE)
    return dict(args, **{'--host': str(found[0].get('address'))})
