"""Bring a node that was reported lost or failed back into the cluster.

Usage:
  ahm_attach_node [NODE] [options]

Options:
  -h, --host=HOST         AHM node to attach, in place of NODE: its name or
                          address.  Without both, the node of this host,
                          through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --rebuild               Where nothing else helps, put a copy of the primary in
                          place of its data directory, which is kept.
  --wait                  Show what is being done, step by step.
  --json                  Print the outcome as one JSON object.
  --help                  Print this help.
  --version               Print the version.

Its database, running or stopped, is made a standby of the present primary;
success is printed once it streams from there.  No data directory is deleted;
one that --rebuild replaced is kept beside, and is yours to remove.

Exit status: 0 attached; 1 refused, failed or not answered in time, the reason
is on stderr; 2 wrong usage; 3 no daemon there.
"""

from typing import Sequence

from ahmlib.utilities import common, tasks


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait for its end, and return the exit code."""
    args = common.arguments(__doc__, argv)
    request = {'ask': 'attach', 'rebuild': True} if args['--rebuild'] else {'ask': 'attach'}
    outcome = tasks.wait(args, common.ask(args, request), bool(args['--wait']))
    return common.succeed(args, 'attach database executed successfully', **outcome)
