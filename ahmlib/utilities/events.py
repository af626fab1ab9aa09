"""Show the history of the cluster: what happened, when, why, and how long each step took.

Usage:
  ahm_events [--node=NAME]... [--kind=KIND]... [options]

Options:
  -h, --host=HOST         AHM node to begin with: its name or address, or the
                          virtual IP.  Without it, the daemon of this host is
                          asked through its UNIX socket.  It tells the other
                          nodes.
  -p, --port=PORT         The ipc_port of all nodes (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --node=NAME             Only the events of this node; several may be given.
  --kind=KIND             Only events of this kind, such as failover, switchover
                          or trouble; several may be given.
  --since=WHEN            Only what happened since: a duration (90s, 15m, 2h, 3d)
                          or a time (2026-11-30, 2026-11-30T06:15, with Z: UTC).
  --json                  Print one JSON object, which holds the events; where
                          it goes on (--follow) each event is one, a line each.
  --follow                Go on with what happens from now on, until Ctrl-C.
  --plot=FILE             Draw the newest failover or switchover as SVG, and say
                          which one that is.
  --help                  Print this help.
  --version               Print the version.

Events are in the order of term and number, which holds across nodes whatever
their clocks say; times are those of each node's own clock.

Exit status: 0 shown, and --follow that was ended; 1 refused, failed, or
nothing to show or draw, the reason is on stderr; 2 wrong usage; 3 no daemon
there; 4 shown, and not every node answered: stderr names those.
"""

import datetime
import json
import re
import sys
import time
from typing import Dict, List, Optional, Sequence

from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, event_plot
from ahmlib.utilities.common import Args
from ahmlib.utilities.event_sources import Source, ask_all, merged, moment, sources_of

NOT_ALL = 4
PAUSE_SECONDS = 1.0
UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
TIMES = ('%Y-%m-%d', '%Y-%m-%dT%H:%M', '%Y-%m-%dT%H:%M:%S', '%Y-%m-%dT%H:%M:%S.%f')
EXPECTED = 'expected a duration such as 90s, 15m, 2h or 3d, or a time such as 2026-11-30T06:15'


def main(argv: Sequence[str]) -> int:
    """Ask all nodes, print what they know, and return the exit code."""
    args = common.arguments(__doc__, argv)
    common.refuse_empty(args)
    for option in ('--follow', '--kind'):
        if args[option] and args['--plot'] is not None:
            raise common.Failure('--plot: found %s besides, expected one of the two; what is '
                                 'drawn is what there is' % option, common.USAGE)
    since = None if args['--since'] is None else since_when(args['--since'], time.time())
    sources = _sources(args)
    if args['--follow']:
        return _follow(args, sources, since)
    events = of_kinds(merged(ask_all(sources), since), args['--kind'])
    silent = [source for source in sources if source.why]
    code = NOT_ALL if silent else common.OK
    drawn = None if args['--plot'] is None else _plot(args['--plot'], events)
    if args['--json']:
        text = drawn or '%d events' % len(events)
        common.put_object(True, text + (', and not every node answered' if silent else ''), code,
                          events=events, silent={source.name: source.why for source in silent})
        return code
    if drawn is not None:
        common.put(common.printable(drawn))
    else:
        _print(args, events)
    for source in silent:
        _tell_silent(source)
    return code


def of_kinds(events: List[Message], kinds: Sequence[str]) -> List[Message]:
    """Those of these kinds, all without any.  Raises Failure where there are none of them.

    Kinds are named as in the log, so there is no list of all; but a slip has to be noticed.
    """
    if not kinds:
        return events
    found = [event for event in events if event['kind'] in kinds]
    if not found:
        there = sorted({event['kind'] for event in events})
        raise common.Failure('--kind: found no event of the kind %s, expected one of those that '
                             'there are: %s' % (' or '.join(kinds), ', '.join(there) or 'none'))
    return found


def since_when(text: str, now: float) -> float:
    """The instant that --since means, in seconds since 1970.  Raises Failure."""
    found = re.match(r'(\d+(?:\.\d+)?)([smhd])$', text)
    if found:
        return now - float(found.group(1)) * UNITS[found.group(2)]
    is_utc = text.endswith('Z')
    for form in TIMES:
        try:
            found_at = datetime.datetime.strptime(text[:-1] if is_utc else text, form)
        except ValueError:
            continue
        zone = datetime.timezone.utc if is_utc else None
        return found_at.replace(tzinfo=zone).timestamp()
    raise common.Failure('--since: found %r, %s' % (text, EXPECTED), common.USAGE)


def _sources(args: Args) -> List[Source]:
    """The nodes to be asked; the first one that is asked knows them."""
    found = sources_of(args, common.ask_status(args))
    wanted = args['--node']
    known = [source.name for source in found]
    for name in wanted:
        if name not in known:
            raise common.Failure('--node: found %r, expected one of %s' % (
                name, ', '.join(known)), common.USAGE)
    return [source for source in found if not wanted or source.name in wanted]


def _follow(args: Args, sources: List[Source], since: Optional[float]) -> int:
    """Print until Ctrl-C; what a node says late is printed when it comes.

    There is no one object with --json, for this has no end of its own.
    """
    told: Dict[str, str] = {}
    try:
        while True:
            _print(args, [event for event in merged(ask_all(sources), since)
                          if not args['--kind'] or event['kind'] in args['--kind']])
            for source in sources:
                if source.why and not told.get(source.name):
                    _tell_silent(source)
                told[source.name] = source.why
            time.sleep(PAUSE_SECONDS)
    except KeyboardInterrupt:
        return common.OK


def _tell_silent(source: Source) -> None:
    sys.stdout.flush()
    sys.stderr.write('Warning: no events from %s: %s\n' % (
        common.printable(source.name), common.printable(' '.join(source.why.split()))))


def _print(args: Args, events: List[Message]) -> None:
    for event in events:
        if args['--json']:
            common.put(json.dumps(event, sort_keys=True))
        else:
            for line in _lines(event):
                common.put(common.printable(line))
    sys.stdout.flush()


def _lines(event: Message) -> List[str]:
    """An event for people: a line, who asked, and its steps where it has several."""
    by, steps = event['by'], event['steps']
    text, who = event['text'], asked_by(by) if by else ''
    if by and by.get('uid') is not None:        # a daemon knows the number, and people the name
        text = text.replace('user %s of this host' % by['uid'], who)
    lines = ['%s  %s  term %d  %s: %s%s' % (
        _local(event['at']), event['node'], event['term'], event['kind'], text,
        '' if who in text else ' (asked by %s)' % who)]
    lines += ['    %9.3f s  %s' % (step['took'], step['name']) for step in steps]
    return lines


def asked_by(by: Message) -> str:
    """Who asked, in words."""
    if by.get('uid') is None:
        return str(by.get('address'))
    return 'user %s' % (by['user'] or 'of uid %d' % by['uid'])


def _local(at: str) -> str:
    """An instant in the time zone of who reads."""
    seconds = moment(at)
    local = datetime.datetime.fromtimestamp(seconds)
    return local.strftime('%Y-%m-%d %H:%M:%S') + '.%03d' % (local.microsecond // 1000)


def _plot(path: str, events: List[Message]) -> str:
    """Draw the newest takeover to this path; returns which one, in words."""
    told = event_plot.newest(events)
    if told is None:
        raise common.Failure('nothing to draw: no failover or switchover is in these events; take '
                             'more of them, without --node or with an earlier --since')
    try:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(event_plot.picture(told, events))
    except OSError as error:
        raise common.Failure('--plot: %s cannot be written: %s; expected a file that this user '
                             'may write' % (path, error.strerror))
    return 'drawn: %s, the %s of %s to %s' % (path, told['kind'], _local(told['at']), told['node'])
