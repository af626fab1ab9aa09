"""End the AHM daemons of all nodes; databases and virtual IP stay as they are.

Usage:
  ahm_shutdown_cluster [options]

Options:
  -h, --host=HOST         Any AHM node of the cluster: an address, or the
                          virtual IP; its listen_address, where one is set.
                          Without it, the daemon of this host is asked through
                          its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  --help                  Print this help.
  --version               Print the version.

The daemons of the standbys end first, the leader's last; where a node is
missing, the leader's first.

Exit status: 0 asked for; 1 refused or not answered in time, the reason is on
stderr; 2 wrong usage; 3 no daemon there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks


def main(argv: Sequence[str]) -> int:
    """Ask for it, and return the exit code."""
    args = common.arguments(__doc__, argv)
    common.ask(args, {'ask': 'shutdown'})
    return tasks.succeed('Shutdown request sent to remote nodes')
