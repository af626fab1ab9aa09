"""Pause the whole cluster, or put one node in maintenance.

Usage:
  ahm_pause_cluster [options]

Options:
  --node=NAME             Only this node, by its node_name.
  -h, --host=HOST         Any AHM node of the cluster: its name or address.
                          Without it, the node of this host, through its UNIX
                          socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --json                  Print the outcome as one JSON object.
  --help                  Print this help.
  --version               Print the version.

While the cluster is paused nothing fails over, and the primary and its VIP
stay where they are, whatever becomes of the daemons and the network between
them.  A node in maintenance is no candidate, and its standby may be stopped,
rebuilt and started at will; the others go on failing over.  Either lasts until
ahm_resume_cluster ends it.

Exit status: 0 it is so, and on disk; 1 refused, failed or not answered in time,
the reason is on stderr; 2 wrong usage; 3 no daemon there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks
from ahmlib.utilities.named_node import ask_leader, ask_named


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait for the disk, and return the exit code."""
    args = common.arguments(__doc__, argv)
    one = args['--node'] is not None
    there, answer = (ask_named if one else ask_leader)(args, 'pause')
    outcome = tasks.wait(there, answer, False)
    remarks = [str(remark) for remark in answer.get('remarks') or ()]
    code = common.succeed(args, '%s is in maintenance' % args['--node'] if one
                          else 'the cluster is paused', warnings=remarks, **outcome)
    if not args['--json']:
        for remark in remarks:
            common.put('Warning: %s' % common.printable(remark))
    return code
