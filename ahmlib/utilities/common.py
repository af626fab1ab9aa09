"""What every utility shares: its usage, where the daemon is, and how it ends.

    0  done                                    2  wrong usage
    1  refused, or failed: why is on stderr    3  no daemon there

A daemon that is there and does not answer in time is 3 for who only looks, and 1 for who asked for
a change, also while that is waited for: it may have begun.

Failure is one line on stderr: `Command Failed: ` and a reason that a person can act on.
"""

import os
import sys
import warnings
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from ahmlib import __version__
from ahmlib.config import document
from ahmlib.config.defaults import absolute
from ahmlib.config.document import Entry
from ahmlib.config.problems import ConfigError, read_text
from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message

Args = Dict[str, Any]            # what docopt makes of a command line

with warnings.catch_warnings():
    # docopt 0.6.2 has four invalid escapes, which Python 3.12 reports when it compiles it.
    warnings.simplefilter('ignore')
    import docopt

OK = 0
REFUSED = 1
USAGE = 2
NO_DAEMON = 3

ANSWER_SECONDS = 10

_EXPECTED = (('--host', 'the address or the name of a host'), ('--port', 'a port'),
             ('--socket-dir', 'a directory'), ('--config-file', 'the path of an ahm_config.yml'))


class Failure(Exception):
    """Ends a utility: its text after `Command Failed: `, its exit code."""

    def __init__(self, reason: str, code: int = REFUSED) -> None:
        super().__init__(reason)
        self.code = code


def run(main: Callable[[Sequence[str]], Optional[int]],
        argv: Optional[Sequence[str]] = None) -> int:
    """Run a utility's `main(argv)` and return its exit code (None from it counts as 0).

    argv: the arguments without the program's name; None takes this process's.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        code = main(argv)
        sys.stdout.flush()
        return OK if code is None else code
    except Failure as failure:
        return _fail(failure, failure.code)
    except (client.NotAllowed, client.NoAnswer) as error:
        return _fail(error, REFUSED)
    except client.NoDaemon as error:
        return _fail(error, NO_DAEMON)
    except client.ProtocolError as error:
        return _fail(error, REFUSED)
    except BrokenPipeError:
        # `| head` has seen enough.  The interpreter flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return _fail('interrupted', REFUSED)


def arguments(doc: str, argv: Optional[Sequence[str]]) -> Args:
    """Return docopt's dict for `argv`.

    doc: the utility's docstring.  If --help is asked for it is printed, if --version that, and
    both end with 0.  Raises Failure with exit code 2 for a wrong usage.
    """
    try:
        args = docopt.docopt(doc, argv, help=False)
    except docopt.DocoptExit as error:
        raise Failure(_usage_problem(str(error), argv, doc), USAGE)
    if args['--help'] or args['--version']:
        put(doc.strip() if args['--help'] else '%s (AHM) %s' % (_program(doc), __version__))
        sys.stdout.flush()
        raise SystemExit(OK)
    return args


def ask(args: Args, request: Message, limit: float = ANSWER_SECONDS) -> Message:
    """Send `request` to the daemon that the utility's options name; return its answer, a dict.

    args: what `arguments` returned; --host, --port, --socket-dir, --config-file are read.
    Raises Failure if the daemon refuses, or the options are wrong; NoDaemon, ProtocolError.
    """
    socket_dir, port = where(args)
    answer = client.ask(request, host=args.get('--host'), port=port, socket_dir=socket_dir,
                        limit=limit)
    if answer.get('ok') is not True:
        reason = answer.get('reason')
        raise Failure(reason if isinstance(reason, str) else 'the daemon gave no reason')
    return answer


def where(args: Args) -> Tuple[str, int]:
    """Return (socket_dir, port): from the options, else the configuration file, else defaults.

    Raises Failure with exit code 2 if one of them is wrong.
    """
    refuse_empty(args)
    path, written = '', {}
    if args.get('--config-file') is not None:
        path = os.path.abspath(args['--config-file'])
        written = _read_config(path)
    if args.get('--port') is not None:
        port = _port_number(args['--port'], '--port')
    elif 'ipc_port' in written:
        port = _port_number(*_one_value(written['ipc_port'], path))
    else:
        port = client.DEFAULT_PORT
    if args.get('--socket-dir') is not None:
        socket_dir = args['--socket-dir']
    elif 'socket_dir' in written:
        text, _ = _one_value(written['socket_dir'], path)
        socket_dir = absolute(text, os.path.dirname(path))
    else:
        socket_dir = client.DEFAULT_SOCKET_DIR
    return socket_dir, port


def refuse_empty(args: Args) -> None:
    """Raise Failure for an option with an empty value: of a shell variable not set, mostly."""
    for option, expected in _EXPECTED:
        if args.get(option) == '':
            raise Failure("%s: found '', expected %s" % (option, expected), USAGE)


def put(text: str) -> None:
    """Print `text`, whatever characters the terminal's encoding lacks."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or 'ascii'
        print(text.encode(encoding, 'backslashreplace').decode(encoding))


def printable(text: str) -> str:
    """Return `text` without anything that could steer a terminal, on one line."""
    return ''.join(character if character.isprintable() else '?' for character in text)


def _fail(reason: object, code: int) -> int:
    line = 'Command Failed: ' + printable(' '.join(str(reason).split()))
    sys.stdout.flush()
    sys.stderr.write(line + '\n')     # stderr escapes what its encoding lacks
    return code


def _usage_problem(message: str, argv: Optional[Sequence[str]], doc: str) -> str:
    """Return one line from docopt's several; it often says only how it should have been."""
    program = _program(doc)
    reason = message.split('Usage:')[0].strip()
    if not reason:
        given = ' '.join(argv) if argv else 'no arguments'
        reason = 'these arguments are not understood: %s' % given
    return '%s; see "%s --help"' % (reason, program)


def _program(doc: str) -> str:
    for line in doc.split('Usage:')[-1].splitlines():
        if line.strip():
            return line.split()[0]
    return 'the utility'


def _port_number(text: str, where: str) -> int:
    is_number = 0 < len(text) <= 5 and all(character in '0123456789' for character in text)
    if not is_number or not 1 <= int(text) <= 65535:
        raise Failure('%s: found %r, expected a port, a number from 1 to 65535' % (where, text),
                      USAGE)
    return int(text)


def _read_config(path: str) -> Dict[str, Entry]:
    """Return {name: entry} of socket_dir and ipc_port in a configuration file, where they are set.

    Only these two are looked at: a utility must work while the rest is being edited.
    """
    try:
        text = read_text(path, 'the configuration file')
        entries, _ = document.read_entries(text, path)
    except ConfigError as error:
        raise Failure(error.problems[0], USAGE)
    names = {entry.key.strip().lower(): entry for entry in entries
             if not document.is_unset(entry.written)}
    return {name: names[name] for name in ('socket_dir', 'ipc_port') if name in names}


def _one_value(entry: Entry, path: str) -> Tuple[str, str]:
    """Return (text, where it stands) of an entry.  Raises Failure if it is a list or the like."""
    where = '%s:%d: %s' % (path, entry.line, entry.key.strip())
    if entry.written.text is None:
        raise Failure('%s: found %s, expected one value' % (
            where, document.describe(entry.written)), USAGE)
    return entry.written.text, where
