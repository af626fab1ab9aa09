"""End the AHM daemons of all nodes; databases and virtual IP stay as they are.

Usage:
  ahm_shutdown_cluster [options]

Options:
  -h, --host=HOST         Any AHM node of the cluster: a name or address, or the
                          virtual IP; its listen_address, where one is set.
                          Without it, the daemon of this host is asked through
                          its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --wait                  Wait until the daemons have ended, and say which have
                          not.
  --json                  Print the outcome as one JSON object.
  --help                  Print this help.
  --version               Print the version.

The daemons of the standbys end first, the leader's last; where a node is
missing, the leader's first.

Exit status: 0 asked for, or with --wait ended; 1 refused, not answered in
time, or not ended in time, the reason is on stderr; 2 wrong usage; 3 no daemon
there.
"""

import socket
import time
from typing import Dict, Optional, Sequence

from ahmlib.ipc import client
from ahmlib.utilities import common
from ahmlib.utilities.common import Args
from ahmlib.utilities.progress import Progress

LOOK_SECONDS = 0.5
#: Longer than any goodbye of two daemons, one after the other.
ENDED_SECONDS = 300.0
#: To see whether a daemon still listens.
CONNECT_SECONDS = 3.0


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait where that is wanted, and return the exit code."""
    args = common.arguments(__doc__, argv)
    if not args['--wait']:
        with Progress('shutdown'):
            common.ask(args, {'ask': 'shutdown'})
        return common.succeed(args, 'Shutdown request sent to remote nodes')
    with Progress('shutdown') as progress:
        progress.step = 'looks which daemons answer'
        watched = _watched(args)
        common.ask(args, {'ask': 'shutdown'})
        _wait(watched, common.where(args).port, progress)
        seconds = round(progress.seconds(), 1)
    return common.succeed(args, 'All daemons have ended', ended=sorted(watched), seconds=seconds)


def _watched(args: Args) -> Dict[str, str]:
    """{name or host: host} of the living nodes, all of which have to answer from here now."""
    nodes = common.ask(args, {'ask': 'status'}).get('status', {}).get('nodes')
    if not isinstance(nodes, list):
        raise client.ProtocolError('the answer holds no status; is an AHM daemon of this version'
                                   ' listening there?')
    alive = {str(node.get('name') or node.get('address')): str(node.get('address'))
             for node in nodes if isinstance(node, dict) and node.get('alive')}
    port = common.where(args).port
    silent = [name for name, host in sorted(alive.items()) if not _listens(host, port)]
    if silent:
        raise common.Failure('nothing was changed: --wait looks at every daemon from here, and %s '
                             'cannot be reached at ipc_port %d; open that port, or leave --wait '
                             'out' % (', '.join(silent), port))
    return alive


def _wait(watched: Dict[str, str], port: int, progress: Progress) -> None:
    """Return once none of them listens any more.  Raises Failure after a while."""
    left = sorted(watched)
    while True:
        left = [name for name in left if _listens(watched[name], port) is not False]
        if not left:
            return
        progress.step = 'waits for ' + ', '.join(left)
        if progress.seconds() > ENDED_SECONDS:
            raise common.Failure('asked for, and after %d s these daemons still run: %s; see '
                                 'their logs' % (ENDED_SECONDS, ', '.join(left)))
        time.sleep(LOOK_SECONDS)


def _listens(host: str, port: int) -> Optional[bool]:
    """Whether somebody listens at that ipc_port; None: it cannot be told."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True
