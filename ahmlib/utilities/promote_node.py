"""Make the database of a node the primary.

Usage:
  ahm_promote_node [NODE] [options]

Options:
  -h, --host=HOST         AHM node to promote, in place of NODE: its name or
                          address.  Without both, the node of this host,
                          through its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --wait                  Show what is being done until it is done or failed.
  --dry-run               Say whether it would begin, and if not, why; change
                          nothing.
  --force                 A majority of the nodes is gone for good: promote with
                          the votes of those who are left.  Says what that
                          risks, and asks.
  --yes                   With --force: do not ask.
  --json                  Print the outcome as one JSON object.
  --help                  Print this help.
  --version               Print the version.

Where a primary lives this is a switchover: it is stopped, and the node takes
over once it has received all of it, or all is undone.  Where no node leads,
the node is elected if no other one has more data.

Exit status: 0 scheduled, or with --wait done; 1 refused, failed or not
answered in time, the reason is on stderr; 2 wrong usage; 3 no daemon there.
"""

import sys
from typing import Any, Dict, List, Sequence

from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, tasks
from ahmlib.utilities.common import Args

YES = 'yes'


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait where that is wanted, and return the exit code."""
    args = common.arguments(__doc__, argv)
    force, dry_run = bool(args['--force']), bool(args['--dry-run'])
    _check_combination(args)
    request = {'ask': 'promote', 'force': force}
    told: Dict[str, Any] = {}
    if force:
        told['risks'] = _risks(common.ask(args, dict(request, dry_run=True)))
        if not args['--json']:
            _show(told['risks'])
        if not dry_run and not args['--yes']:
            _make_sure()
    answer = common.ask(args, dict(request, dry_run=dry_run))
    if dry_run:
        text = 'the node can be promoted %snow' % ('by force ' if force else '')
        if args['--json']:
            return common.succeed(args, text, **told)
        common.put('Info: ' + text)
        return common.OK
    if args['--wait']:
        told.update(tasks.wait(args, answer, True))
        return common.succeed(args, 'Promote node task successfully finished', **told)
    return common.succeed(args, 'Promote node task successfully scheduled', **told)


def _check_combination(args: Args) -> None:
    if args['--dry-run'] and args['--wait']:
        raise common.Failure('--dry-run and --wait exclude each other: nothing is begun that '
                             'could be waited for', common.USAGE)
    if args['--yes'] and not args['--force']:
        raise common.Failure('--yes goes with --force: nothing else is asked', common.USAGE)
    if args['--json'] and args['--force'] and not (args['--yes'] or args['--dry-run']):
        raise common.Failure('--json asks no questions: read the risks with --dry-run, then add '
                             '--yes', common.USAGE)


def _risks(answer: Message) -> List[str]:
    """What the operator vouches for, or gives up."""
    risks = answer.get('risks')
    if not isinstance(risks, list) or not all(isinstance(risk, str) for risk in risks):
        raise client.ProtocolError('the answer names no risks; is an AHM daemon of this version '
                                   'listening there?')
    return risks


def _show(risks: Sequence[str]) -> None:
    common.put('Promotion by force.  What you vouch for, or give up:')
    for risk in risks:
        common.put('  - ' + common.printable(risk))


def _make_sure() -> None:
    """Ask on the terminal; raises Failure unless the answer is yes."""
    if not sys.stdin.isatty():
        raise common.Failure('--force asks on a terminal, and there is none: read the above, then '
                             'add --yes', common.USAGE)
    common.put('Are all of these nodes gone for good, and do you want that?  Type "%s":' % YES)
    if sys.stdin.readline().strip() != YES:
        raise common.Failure('nothing was changed: the answer was not "%s"' % YES)
