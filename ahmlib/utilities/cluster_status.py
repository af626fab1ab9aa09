"""Show the state of the cluster, as the asked AHM node sees it.

Usage:
  ahm_cluster_status [options]
  ahm_cluster_status --watch [SECONDS] [options]

Options:
  -h, --host=HOST         AHM node to ask: its name or address, or the virtual
                          IP; its listen_address, where one is set.  Without
                          it, the daemon of this host is asked through its UNIX
                          socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  -v, --verbose           Below the table: positions, lag, who hears whom, and
                          why each node may lead or may not.
  --json                  Print the status as JSON, which always holds all.
  -w, --watch             Ask and print again and again, until Ctrl-C, with a
                          pause of so many SECONDS in between (default: 2).
  --check                 One line and an exit code for Nagios-like monitors.
  --lag-warning=RANGE     With --check: WARNING where a standby is further
                          behind, in bytes, or as 16MB; also a range as
                          plugins take it: 1MB:16MB, ~:16MB, @1MB:16MB.
  --lag-critical=RANGE    CRITICAL likewise.
  --standbys-warning=N    With --check: WARNING where fewer than N standbys are
                          in order.
  --standbys-critical=N   CRITICAL likewise.
  -t, --timeout=SECONDS   With --check: UNKNOWN where no answer comes in that
                          time (default: 5).
  --help                  Print this help.
  --version               Print the version.

Exit status: 0 shown, and --watch that was ended; 1 refused, the reason is on
stderr; 2 wrong usage; 3 no daemon there, or no answer within 10 s; 4 shown,
and the cluster has no leader.

Exit status of --check: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN: no daemon, no
answer in time, refused, or wrong usage.
"""

import json
import os
import sys
from typing import Sequence, Tuple

from ahmlib.ipc.client import NoDaemon, ProtocolError
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, limits, status_check, terminal, watch
from ahmlib.utilities.common import Args
from ahmlib.utilities.status_text import render

PAUSE_SECONDS = 2.0
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.1, 86400.0


def main(argv: Sequence[str]) -> int:
    """Ask for the status, print it, and return the exit code."""
    if _is_check(argv):
        return _check(argv)
    args = common.arguments(__doc__, argv)
    pause = _pause(args)
    limits.refuse(args)
    if args['--watch']:
        watch.watch(lambda: _block(args), pause, not args['--json'])
        return common.OK
    status = common.ask_status(args)
    common.put(_shown(args, status))
    return status_check.exit_code(status)


def _shown(args: Args, status: Message) -> str:
    if args['--json']:
        return _json(args, status_check.told(status))
    return render(status, args['--verbose'], terminal.painter(sys.stdout)).rstrip('\n')


def _json(args: Args, told: Message) -> str:
    # While watching, one object a line: the stream can be read line by line.
    return json.dumps(told, sort_keys=True, indent=None if args['--watch'] else 2)


def _pause(args: Args) -> float:
    """Return the seconds between two looks."""
    text = args['SECONDS']
    if text is None:
        return PAUSE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = None
    if seconds is None or not PAUSE_SECONDS_MIN <= seconds <= PAUSE_SECONDS_MAX:
        raise common.Failure('--watch: found %r, expected a number of seconds from %g to %g' % (
            text, PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX), common.USAGE)
    return seconds


def _block(args: Args) -> str:
    """What --watch shows now; a daemon that is not there, or not yet again, is a line, too."""
    try:
        return _shown(args, common.ask_status(args))
    except common.Failure as failure:
        if failure.code == common.USAGE:
            raise
        said, code = str(failure), failure.code
    except NoDaemon as error:
        said, code = str(error), common.NO_DAEMON
    except ProtocolError as error:
        said, code = str(error), common.REFUSED
    reason = common.printable(' '.join(said.split()))
    if args['--json']:
        return _json(args, {'ok': False, 'text': reason, 'exit_code': code})
    return terminal.painter(sys.stdout)('No status: %s' % reason, terminal.BAD)


# -- --check ----------------------------------------------------------------------------------


def _is_check(argv: Sequence[str]) -> bool:
    """Return whether --check is asked for, also among arguments that are wrong otherwise."""
    words = [word.split('=')[0] for word in argv]
    return any('--check'.startswith(word) and word.startswith('--ch') for word in words)


def _check(argv: Sequence[str]) -> int:
    """Print the one line.  All that goes wrong is UNKNOWN, for 1 and 2 mean something else."""
    try:
        code, line = _checked(argv)
    except (Exception, KeyboardInterrupt) as error:   # a traceback would end with 1: WARNING
        code = status_check.UNKNOWN
        line = status_check.line(code, str(error) or type(error).__name__)
    try:
        common.put(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _checked(argv: Sequence[str]) -> Tuple[int, str]:
    args = common.arguments(__doc__, argv)
    for other in ('--json', '--watch', '--verbose'):
        if args[other]:
            raise common.Failure('--check goes without %s' % other, common.USAGE)
    limits_given = limits.of(args)
    return status_check.check(common.ask_status(args, limits.seconds_of(args)), limits_given)
