"""End the maintenance of a node: AHM looks after its database again.

Usage:
  ahm_resume_cluster [options]

Options:
  --node=NAME             The node, by its node_name.
  -h, --host=HOST         Any AHM node of the cluster: its address.  Without it,
                          the node of this host, through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  --help                  Print this help.
  --version               Print the version.

Its database is checked at once.  A standby that follows another primary than
the present one is pointed to that; one that is down is reported out.

Exit status: 0 it is over, and that is on its disk; 1 refused, failed or not
answered in time, the reason is on stderr; 2 wrong usage; 3 no daemon there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks
from ahmlib.utilities.named_node import ask_named


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait for the disk, and return the exit code."""
    args = common.arguments(__doc__, argv)
    there, answer = ask_named(args, 'resume')
    tasks.wait(there, tasks.number_of(answer), False)
    return tasks.succeed('%s is in maintenance no more' % args['--node'])
