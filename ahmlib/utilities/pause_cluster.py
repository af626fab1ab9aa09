"""Put a node in maintenance: AHM leaves its standby alone.

Usage:
  ahm_pause_cluster [options]

Options:
  --node=NAME             The node, by its node_name.  It has to be given: the
                          whole cluster cannot be paused yet.
  -h, --host=HOST         Any AHM node of the cluster: its address.  Without it,
                          the node of this host, through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  --help                  Print this help.
  --version               Print the version.

Until ahm_resume_cluster ends it, that node is no candidate, and its database
may be stopped, rebuilt and started at will; the others go on failing over.

Exit status: 0 it is in maintenance, and that is on its disk; 1 refused, failed
or not answered in time, the reason is on stderr; 2 wrong usage; 3 no daemon
there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks
from ahmlib.utilities.named_node import ask_named


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait for the disk, and return the exit code."""
    args = common.arguments(__doc__, argv)
    there, answer = ask_named(args, 'pause')
    tasks.wait(there, tasks.number_of(answer), False)
    code = tasks.succeed('%s is in maintenance' % args['--node'])
    for remark in answer.get('remarks') or ():
        common.put('Warning: %s' % common.printable(str(remark)))
    return code
