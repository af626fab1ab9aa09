"""Restart the database of a node, or of all nodes, without a failover.

Usage:
  ahm_restart_database [NODE] [options]

Options:
  -h, --host=HOST         AHM node to ask: its name or address.  Without it, the
                          node of this host, through its UNIX socket.
  -p, --port=PORT         Its ipc_port, and that of all others (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --rolling               All nodes: one standby after the other, each only when
                          the one before streams again, then the primary.
  --switchover            With --rolling: the successor becomes the primary, and
                          the old primary's database comes back as its standby.
  --pending               Only where a parameter waits for a restart.
  --timeout=SECONDS       How long stop and start of one database may take
                          (default: 150).
  --dry-run               Say what would be restarted, in order; change nothing.
  --json                  Print what became of each node as one JSON object.
  --help                  Print this help.
  --version               Print the version.

NODE is a name or an address of the table of ahm_cluster_status (default: the
node that is asked); it goes without --rolling.  A primary is restarted in
place: it stays the primary, and the virtual IP stays with it.

Exit status: 0 restarted; 1 refused, failed or not answered in time, the reason
is on stderr, and whatever comes after that node is left as it is; 2 wrong
usage; 3 no daemon there.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ahmlib.core.limits import RESTART_SECONDS, RESTART_SECONDS_MAX
from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, tasks
from ahmlib.utilities.common import Args

LOOK_SECONDS = 0.5
#: How long the others may take to stream again once a database is back.
STREAM_SECONDS = 60.0
RESTARTED, SWITCHED, NOTHING, FAILED, LEFT = (
    'restarted', 'switched over', 'nothing to do', 'failed', 'left as it is')


class Step(NamedTuple):
    """One node whose database is to be restarted, and how its daemon is asked."""
    name: str
    address: str
    role: str               # 'standby' or 'primary'
    args: Args


def main(argv: Sequence[str]) -> int:
    """Restart what is wanted, node by node, and return the exit code."""
    args = common.arguments(__doc__, argv)
    common.refuse_empty(args)
    # NODE is looked up in the status, and need not be the node that is asked.
    wanted, args['NODE'] = args['NODE'], None
    request = _request(args, wanted)
    status = common.ask_status(args)
    steps = _all(args, status) if args['--rolling'] else [_one(args, status, wanted)]
    # Who would refuse does so before anything is changed anywhere.
    for step in steps:
        answer = common.ask(step.args, dict(request, dry_run=True))
        for warning in answer.get('warnings') or ():
            _say(args, 'Warning: %s' % common.printable(str(warning)))
    if args['--dry-run']:
        return _would(args, steps)
    return _Run(args, request, steps).run()


def _request(args: Args, wanted: Optional[str]) -> Message:
    if args['--rolling'] and wanted is not None:
        raise common.Failure('--rolling: found NODE %s besides, expected one of the two; --rolling '
                             'restarts all nodes' % wanted, common.USAGE)
    if args['--switchover'] and not args['--rolling']:
        raise common.Failure('--switchover: found no --rolling besides, expected both; to make one '
                             'node the primary there is ahm_promote_node', common.USAGE)
    if args['--switchover'] and args['--pending']:
        raise common.Failure('--switchover: found --pending besides, expected one of the two; a '
                             'switchover restarts the old primary in any case', common.USAGE)
    text = args['--timeout']
    try:
        limit = RESTART_SECONDS if text is None else float(text)
    except ValueError:
        limit = 0.0
    if not 1 <= limit <= RESTART_SECONDS_MAX:
        raise common.Failure('--timeout: found %r, expected a number of seconds from 1 to %d' % (
            text, RESTART_SECONDS_MAX), common.USAGE)
    return {'ask': 'restart', 'timeout': limit, 'pending': bool(args['--pending'])}


def _say(args: Args, text: str) -> None:
    if not args['--json']:
        common.put(text)


# -- which nodes ------------------------------------------------------------------------------


def _one(args: Args, status: Message, wanted: Optional[str]) -> Step:
    wanted = wanted or status.get('asked')
    for node in status['nodes']:
        if wanted in (node.get('name'), node.get('address')):
            return _step(args, status, node)
    raise common.Failure('%s: found no such node, expected one of %s' % (
        wanted, ', '.join(str(node.get('name') or node.get('address'))
                          for node in status['nodes'])), common.USAGE)


def _step(args: Args, status: Message, node: Message) -> Step:
    """How to ask that node: the way that was given leads to the one that was asked."""
    reached = dict(args)
    if node.get('name') != status.get('asked'):
        reached['--host'] = node['address']
    role = 'primary' if node.get('name') == status.get('leader') else 'standby'
    return Step(str(node.get('name') or node['address']), node['address'], role, reached)


def _all(args: Args, status: Message) -> List[Step]:
    """All nodes with a database, the primary last; only where all is well."""
    if not status.get('leader'):
        raise common.Failure('nobody leads: nothing is restarted before somebody does; see '
                             'ahm_cluster_status')
    nodes = [node for node in status['nodes'] if not node.get('witness')]
    for node in nodes:
        why = _why_unwell(status, node)
        if why:
            raise common.Failure('nothing was restarted: %s, and each database is restarted only '
                                 'while all others are well' % why)
    if args['--switchover'] and not status.get('successor'):
        raise common.Failure('nothing was restarted: no standby could take over; see '
                             'ahm_cluster_status --verbose')
    steps = [_step(args, status, node) for node in nodes]
    return sorted(steps, key=lambda step: step.role == 'primary')


def _why_unwell(status: Message, node: Message) -> str:
    """Why this node with a database does not lead, and is no standby that streams; '' if it is."""
    name = node.get('name') or node.get('address')
    if node.get('name') == status.get('leader'):
        return '' if (node.get('database'), node.get('state')) == ('PRIMARY', 'LEADER') else \
            '%s is %s (%s)' % (name, node.get('state'), node.get('database'))
    if not node.get('alive') or (node.get('database'), node.get('state')) != ('STANDBY', 'STANDBY'):
        return '%s is %s (%s)' % (name, node.get('state'), node.get('database'))
    return '%s does not stream' % name if node.get('streaming') is not True else ''


# -- one after the other ----------------------------------------------------------------------


def _would(args: Args, steps: List[Step]) -> int:
    which = ' where a parameter waits for it' if args['--pending'] else ''
    done = [{'name': step.name, 'address': step.address, 'role': step.role,
             'result': 'would be ' + (SWITCHED if _switches(args, step) else RESTARTED) + which}
            for step in steps]
    if args['--json']:
        return common.succeed(args, 'nothing was changed', nodes=done)
    for each in done:
        _say(args, '%s (%s): %s' % (each['name'], each['role'], each['result']))
    return common.OK


def _switches(args: Args, step: Step) -> bool:
    return bool(args['--switchover']) and step.role == 'primary'


class _Run:
    """The restarts, and what became of each."""

    def __init__(self, args: Args, request: Message, steps: List[Step]) -> None:
        self.args, self.request, self.steps = args, request, steps
        self.done: List[Dict[str, Any]] = []

    def run(self) -> int:
        """Restart one after the other; the first that fails ends it."""
        failure: Optional[Exception] = None
        for step in self.steps:
            began = time.monotonic()
            try:
                result, reason = self._restart(step), ''
            except (common.Failure, client.NoDaemon, client.ProtocolError) as error:
                failure, result, reason = error, FAILED, str(error)
            self.done.append({
                'name': step.name, 'address': step.address, 'role': step.role, 'result': result,
                'reason': reason, 'seconds': round(time.monotonic() - began, 3)})
            if failure is not None:
                break
        for step in self.steps[len(self.done):]:
            self.done.append({'name': step.name, 'address': step.address, 'role': step.role,
                              'result': LEFT, 'reason': '', 'seconds': 0.0})
        return self._tell(failure)

    def _tell(self, failure: Optional[Exception]) -> int:
        if failure is not None:
            at = next(each for each in self.done if each['result'] == FAILED)
            left = [each['name'] for each in self.done if each['result'] == LEFT]
            text = '%s: %s%s' % (at['name'], failure, (
                '; left as they are: %s' % ', '.join(left)) if left else '')
            if not self.args['--json']:
                raise common.Failure(text)
            common.put_object(False, text, common.REFUSED, nodes=self.done)
            return common.REFUSED
        return common.succeed(self.args, '; '.join(
            '%s %s' % (each['name'], each['result']) for each in self.done), nodes=self.done)

    def _restart(self, step: Step) -> str:
        _say(self.args, '%s (%s):' % (step.name, step.role))
        if self.args['--rolling']:
            self._same_leader()
        if _switches(self.args, step):
            return self._switch_over()
        steps = tasks.wait(step.args, common.ask(step.args, self.request), True)['steps']
        if self.args['--rolling']:
            self._until(_first_unwell, STREAM_SECONDS)
        # A task that had nothing to do says so by its last step.
        return NOTHING if steps[-1]['text'].startswith('nothing') else RESTARTED

    def _same_leader(self) -> None:
        """Whoever takes the role over meanwhile ends this: the order is another one then."""
        primary, leader = self.steps[-1].name, common.ask_status(self.args).get('leader')
        if leader != primary:
            raise common.Failure('%s led when this began, and %s leads now' % (
                primary, leader or 'nobody'))

    def _switch_over(self) -> str:
        """The old primary is stopped for it, and started as a standby: that is its restart."""
        status = common.ask_status(self.args)
        new = next((node for node in status['nodes'] if node.get('name') == status['successor']),
                   None)
        if new is None:
            raise common.Failure('no standby could take over; see ahm_cluster_status --verbose')
        there = _step(self.args, status, new)
        _say(self.args, 'promotes %s' % there.name)
        tasks.wait(there.args, common.ask(there.args, {'ask': 'promote', 'force': False}), True)
        self._until(lambda status: _first_unwell(status) if status.get('leader') == there.name
                    else '%s does not lead' % there.name, self.request['timeout'] + STREAM_SECONDS)
        return SWITCHED

    def _until(self, why_not: Callable[[Message], str], seconds: float) -> None:
        """Wait until the asked node's status gives no reason any more."""
        until = time.monotonic() + seconds
        while True:
            try:
                why = why_not(common.ask_status(self.args))
            except (client.NoDaemon, client.ProtocolError) as error:
                why = str(error)        # the host that is asked may be that of the virtual IP
            if not why:
                return
            if time.monotonic() > until:
                raise common.Failure('%s, %g s after its restart' % (why, seconds))
            time.sleep(LOOK_SECONDS)


def _first_unwell(status: Message) -> str:
    """Why one of the nodes is not well; '' where all are."""
    reasons = [_why_unwell(status, node) for node in status['nodes'] if not node.get('witness')]
    return next(filter(None, reasons), '')
