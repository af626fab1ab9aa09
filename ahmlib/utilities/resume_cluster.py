"""End a pause of the whole cluster, or the maintenance of one node.

Usage:
  ahm_resume_cluster [options]

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

A pause of the cluster can be ended while a node leads.  The database of a node
that was in maintenance is checked at once: a standby that follows another
primary than the present one is pointed to that; one that is down is reported
out.

Exit status: 0 it is over, and that is on disk; 1 refused, failed or not
answered in time, the reason is on stderr; 2 wrong usage; 3 no daemon there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks
from ahmlib.utilities.named_node import ask_leader, ask_named


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait for the disk, and return the exit code."""
    args = common.arguments(__doc__, argv)
    one = args['--node'] is not None
    there, answer = (ask_named if one else ask_leader)(args, 'resume')
    outcome = tasks.wait(there, answer, False)
    return common.succeed(args, '%s is not in maintenance' % args['--node'] if one
                          else 'the cluster is not paused', **outcome)
