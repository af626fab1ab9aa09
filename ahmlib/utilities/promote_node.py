"""Make the database of a node the primary.

Usage:
  ahm_promote_node [options]

Options:
  -h, --host=HOST         AHM node to promote: its address.  Without it, the
                          node of this host, through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  --wait                  Show what is being done until it is done or failed.
  --dry-run               Say whether it would begin, and if not, why; change
                          nothing.
  --help                  Print this help.

Where a primary lives this is a switchover: it is stopped, and the node takes
over once it has received all of it, or all is undone.  Where no node leads,
the node is elected if no other one has more data.

Exit status: 0 scheduled, or with --wait done; 1 refused or failed, the reason
is on stderr; 2 wrong usage; 3 no daemon there.
"""

from ahmlib.utilities import common, tasks


def main(argv):
    """Ask for it, wait where that is wanted, and return the exit code."""
    args = common.arguments(__doc__, argv)
    if args['--dry-run'] and args['--wait']:
        raise common.Failure('--dry-run and --wait exclude each other: nothing is begun that '
                             'could be waited for', common.USAGE)
    answer = common.ask(args, {'ask': 'promote', 'dry_run': bool(args['--dry-run'])})
    if args['--dry-run']:
        common.put('Info: the node can be promoted now')
        return common.OK
    if args['--wait']:
        tasks.wait(args, tasks.number_of(answer), True)
        return tasks.succeed('Promote node task successfully finished')
    return tasks.succeed('Promote node task successfully scheduled')
