"""Show the state of the cluster, as the asked AHM node sees it.

Usage:
  ahm_cluster_status [options]
  ahm_cluster_status --watch [SECONDS] [options]

Options:
  -h, --host=HOST         AHM node to ask: an address, or the virtual IP; its
                          listen_address, where one is set.  Without it, the
                          daemon of this host is asked through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  -v, --verbose           Below the table: positions, lag, who hears whom, and
                          why each node may lead or may not.
  --json                  Print the status as JSON, which always holds all.
  -w, --watch             Ask and print again and again, until Ctrl-C, with a
                          pause of so many SECONDS in between (default: 2).
  --check                 One line and an exit code for Nagios-like monitors.
  --help                  Print this help.
  --version               Print the version.

Exit status: 0 shown, and --watch that was ended; 1 refused, the reason is on
stderr; 2 wrong usage; 3 no daemon there, or no answer within 10 s; 4 shown,
and the cluster has no leader.

Exit status of --check: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN: no daemon, no
answer within 5 s, refused, or wrong usage.
"""

import json
import os
import sys
import time
from typing import Sequence, Tuple

from ahmlib.ipc.client import NoDaemon, ProtocolError
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, status_check
from ahmlib.utilities.common import Args
from ahmlib.utilities.status_text import render

NO_LEADER = 4

PAUSE_SECONDS = 2.0
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.1, 86400.0
CHECK_SECONDS = 5
CLEAR = '\033[H\033[2J'


def main(argv: Sequence[str]) -> int:
    """Ask for the status, print it, and return the exit code."""
    if _is_check(argv):
        return _check(argv)
    args = common.arguments(__doc__, argv)
    pause = _pause(args)
    if args['--watch']:
        return _watch(args, pause)
    status = _ask(args)
    common.put(_shown(args, status))
    return common.OK if status.get('leader') else NO_LEADER


def _ask(args: Args, limit: float = common.ANSWER_SECONDS) -> Message:
    """Return the status object of the daemon that the options name."""
    status = common.ask(args, {'ask': 'status'}, limit).get('status')
    nodes = status.get('nodes') if isinstance(status, dict) else None
    if status is None or not isinstance(nodes, list) \
            or not all(isinstance(node, dict) for node in nodes):
        raise ProtocolError('the answer holds no status; is an AHM daemon of this version'
                            ' listening there?')
    return status


def _shown(args: Args, status: Message) -> str:
    if args['--json']:
        # While watching, one object a line: the stream can be read line by line.
        return json.dumps(status, sort_keys=True, indent=None if args['--watch'] else 2)
    return render(status, args['--verbose']).rstrip('\n')


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


# -- --watch ----------------------------------------------------------------------------------


def _watch(args: Args, pause: float) -> int:
    """Print until Ctrl-C; a daemon that is not there, or not yet again, is a line like others."""
    steers = not args['--json'] and _steers_terminal()
    first = True
    try:
        while True:
            block = _block(args)
            if not args['--json']:
                block = '%s\n%s' % (time.strftime('%Y-%m-%d %H:%M:%S'), block)
                block = (CLEAR if steers else '' if first else '\n') + block
            common.put(block)
            sys.stdout.flush()
            first = False
            time.sleep(pause)
    except KeyboardInterrupt:
        return common.OK


def _block(args: Args) -> str:
    try:
        return _shown(args, _ask(args))
    except common.Failure as failure:
        if failure.code == common.USAGE:
            raise
        said = str(failure)
    except (NoDaemon, ProtocolError) as error:
        said = str(error)
    reason = common.printable(' '.join(said.split()))
    return json.dumps({'error': reason}) if args['--json'] else 'No status: %s' % reason


def _steers_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get('TERM', 'dumb') != 'dumb'


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
    return status_check.check(_ask(args, CHECK_SECONDS))
