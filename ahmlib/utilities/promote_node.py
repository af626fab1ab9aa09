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
  --elsewhere             Asked at the node that leads: promote its successor
                          instead, so that this host can go down.  Does nothing
                          where this node does not lead.
  --at-shutdown           With --elsewhere: only where this host goes down
                          (systemctl is-system-running says: stopping).
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

import subprocess
import sys
import time
from typing import Any, Dict, List, Sequence

from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, tasks
from ahmlib.utilities.common import Args

YES = 'yes'
#: What tells whether this host goes down, and what it says then.
SYSTEM_STATE = ('systemctl', 'is-system-running')
STOPPING = 'stopping'
STATE_SECONDS = 10.0
#: For so long a host that goes down tries to hand over: one that has just become the primary has
#: no standby yet that follows it.
SHUTDOWN_SECONDS, RETRY_SECONDS = 20.0, 1.0
#: Before that it hears whether the others go down, too, as where a whole room is shut down: a role
#: that is handed to a host that ends as well is nobody's afterwards.
GRACE_SECONDS = 2.0


def main(argv: Sequence[str]) -> int:
    """Ask for it, wait where that is wanted, and return the exit code."""
    args = common.arguments(__doc__, argv)
    force, dry_run = bool(args['--force']), bool(args['--dry-run'])
    _check_combination(args)
    _check_elsewhere(args)
    if args['--elsewhere']:
        return _hand_over(args)
    request = {'ask': 'promote', 'force': force}
    told: Dict[str, Any] = {}
    if force:
        told['risks'] = _risks(common.ask(args, dict(request, dry_run=True)))
        if not args['--json']:
            _show(told['risks'])
        if not dry_run and not args['--yes']:
            _make_sure()
    return _promote(args, request, told)


def _promote(args: Args, request: Message, told: Dict[str, Any]) -> int:
    """Ask for it, and see it through where that is wanted; `told`: what --json has besides."""
    force, dry_run = bool(args['--force']), bool(args['--dry-run'])
    answer = common.ask(args, dict(request, dry_run=dry_run))
    if dry_run:
        return _inform(args, 'the node can be promoted %snow' % ('by force ' if force else ''),
                       **told)
    if args['--wait']:
        told.update(tasks.wait(args, answer, True))
        return common.succeed(args, 'Promote node task successfully finished', **told)
    return common.succeed(args, 'Promote node task successfully scheduled', **told)


def _inform(args: Args, text: str, **more: Any) -> int:
    """End where nothing was changed: no success of anything, but what was found out."""
    if args['--json']:
        return common.succeed(args, text, **more)
    common.put('Info: ' + text)
    return common.OK


def _check_combination(args: Args) -> None:
    if args['--dry-run'] and args['--wait']:
        raise common.Failure('--dry-run and --wait exclude each other: nothing is begun that '
                             'could be waited for', common.USAGE)
    if args['--yes'] and not args['--force']:
        raise common.Failure('--yes goes with --force: nothing else is asked', common.USAGE)
    if args['--json'] and args['--force'] and not (args['--yes'] or args['--dry-run']):
        raise common.Failure('--json asks no questions: read the risks with --dry-run, then add '
                             '--yes', common.USAGE)


def _check_elsewhere(args: Args) -> None:
    if args['--at-shutdown'] and not args['--elsewhere']:
        raise common.Failure('--at-shutdown goes with --elsewhere', common.USAGE)
    if args['--elsewhere'] and args['--force']:
        raise common.Failure('--elsewhere and --force exclude each other: a node that leads has '
                             'no need of force', common.USAGE)


def _hand_over(args: Args) -> int:
    """Promote the successor of the node that is asked; a host that goes down tries again."""
    if args['--at-shutdown'] and not _goes_down():
        return _inform(args, 'this host does not go down: nothing is handed over')
    until = time.monotonic()
    if args['--at-shutdown'] and _leads(args):
        time.sleep(GRACE_SECONDS)
        until += GRACE_SECONDS + SHUTDOWN_SECONDS
    while True:
        begun = False
        try:
            status = _status(args)
            if status['asked'] != status.get('leader'):
                return _inform(args, '%s does not lead: nothing is handed over' % status['asked'])
            host = _successor(args, status)
            begun = True
            return _promote(dict(args, **{'NODE': None, '--host': host}),
                            {'ask': 'promote', 'force': False},
                            {'successor': status.get('successor'), 'successor_host': host})
        except (common.Failure, client.NoDaemon, client.ProtocolError) as error:
            if time.monotonic() >= until or (not begun and _is_not_there(error)):
                raise
            _tell(args, 'not yet: %s' % common.printable(str(error)))
        time.sleep(RETRY_SECONDS)


def _tell(args: Args, text: str) -> None:
    """A line on the way; with --json there is only the object at the end."""
    if not args['--json']:
        common.put('Info: ' + text)


def _is_not_there(error: Exception) -> bool:
    """Whether no daemon of this host was found, so that nothing here is to be handed over."""
    return isinstance(error, client.NoDaemon) and not isinstance(error, client.NoAnswer)


def _successor(args: Args, status: Message) -> str:
    """The address of the node that is to take over from the one that leads.  Raises Failure."""
    host = status.get('successor_host')
    if not isinstance(host, str):
        raise common.Failure('%s leads, and no other node could take over: see ahm_cluster_status '
                             '--verbose' % status['asked'])
    _tell(args, '%s hands over to %s (%s)' % (
        status['asked'], common.printable(str(status.get('successor'))), common.printable(host)))
    return host


def _leads(args: Args) -> bool:
    try:
        status = _status(args)
    except client.NoAnswer:
        return True                     # it may: it is asked again
    return bool(status['asked'] == status.get('leader'))


def _status(args: Args) -> Message:
    status = common.ask(args, {'ask': 'status'}).get('status')
    if not isinstance(status, dict) or not isinstance(status.get('asked'), str):
        raise client.ProtocolError('the answer holds no status; is an AHM daemon of this version '
                                   'listening there?')
    return status


def _goes_down() -> bool:
    try:
        said = subprocess.run(SYSTEM_STATE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=STATE_SECONDS,
                              universal_newlines=True).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise common.Failure('--at-shutdown: %s cannot be asked whether this host goes down: %s'
                             % (' '.join(SYSTEM_STATE), error))
    return said.strip() == STOPPING


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
