"""What every utility shares: its usage, asking the daemon, and how it ends (`outcome`).

A daemon that is there and does not answer in time is 3 for who only looks, and 1 for who asked for
a change, also while that is waited for: it may have begun.
"""

import os
import sys
from typing import Callable, Optional, Sequence

from ahmlib import __version__
from ahmlib.config import place
from ahmlib.config.problems import ConfigError
from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message, ProtocolError
from ahmlib.utilities import names, usage
from ahmlib.utilities.outcome import (
    NO_DAEMON,
    OK,
    REFUSED,
    USAGE,
    Failure,
    fail,
    printable,
    put,
    put_object,
    succeed,
    wants_json,
)
from ahmlib.utilities.usage import Args
from ahmlib.utilities.where import refuse_empty, where

__all__ = ('Args', 'Failure', 'NO_DAEMON', 'OK', 'REFUSED', 'USAGE', 'arguments', 'ask',
           'ask_status', 'config_path', 'printable', 'put', 'put_object', 'refuse_empty', 'run',
           'succeed', 'where')

ANSWER_SECONDS = 10


def run(main: Callable[[Sequence[str]], Optional[int]],
        argv: Optional[Sequence[str]] = None) -> int:
    """Run a utility's `main(argv)` and return its exit code (None from it counts as 0).

    argv: the arguments without the program's name; None takes this process's.
    """
    argv = sys.argv[1:] if argv is None else argv
    as_json = wants_json(argv)
    try:
        code = main(argv)
        sys.stdout.flush()
        return OK if code is None else code
    except Failure as failure:
        return fail(failure, failure.code, as_json)
    except (client.NotAllowed, client.NoAnswer) as error:
        return fail(error, REFUSED, as_json)
    except client.NoDaemon as error:
        return fail(error, NO_DAEMON, as_json)
    except client.ProtocolError as error:
        return fail(error, REFUSED, as_json)
    except BrokenPipeError:
        # `| head` has seen enough.  The interpreter flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return fail('interrupted', REFUSED, as_json)


def arguments(doc: str, argv: Optional[Sequence[str]]) -> Args:
    """Return docopt's dict for `argv`.

    doc: the utility's docstring.  If --help is asked for it is printed, if --version that, and
    both end with 0.  Raises Failure with exit code 2 for a wrong usage.
    """
    program = usage.program(doc)
    try:
        args = usage.parse(doc, sys.argv[1:] if argv is None else argv)
    except usage.Wrong as error:
        raise Failure('%s; see "%s --help"' % (error, program), USAGE)
    if args['--help'] or args['--version']:
        put(doc.strip() if args['--help'] else '%s (AHM) %s' % (program, __version__))
        sys.stdout.flush()
        raise SystemExit(OK)
    return args


def config_path(args: Args) -> str:
    """The path of the configuration file, for who needs one.  Raises Failure with exit code 2."""
    try:
        return place.demand(args['--config-file'])
    except ConfigError as error:
        raise Failure(error.problems[0], USAGE)


def ask(args: Args, request: Message, limit: float = ANSWER_SECONDS) -> Message:
    """Send `request` to the daemon that the utility's options name; return its answer, a dict.

    args: what `arguments` returned; --host or NODE, --port, --socket-dir, --config-file are read.
    A name among them is replaced by its address, so that it is looked up once.
    Raises Failure if the daemon refuses, or the options are wrong; NoDaemon, ProtocolError.
    """
    here = where(args)
    option = 'NODE' if args.get('NODE') is not None else '--host'
    if args.get('NODE') is not None and args.get('--host') is not None:
        raise Failure('--host: found NODE besides, expected one of the two', USAGE)
    if args.get(option) is not None:
        args[option] = names.resolve(args[option], option, here)
    try:
        answer = client.ask(request, host=args.get(option), port=here.port,
                            socket_dir=here.socket_dir, limit=limit)
    except client.NoDaemon as error:
        if here.remark:
            error.args = ('%s (%s)' % (error, here.remark),)
        raise
    if answer.get('ok') is not True:
        reason = answer.get('reason')
        raise Failure(reason if isinstance(reason, str) else 'the daemon gave no reason')
    return answer


def ask_status(args: Args, limit: float = ANSWER_SECONDS) -> Message:
    """Ask for the status, and return it; its `nodes` are a list of dicts.  Raises as `ask` does."""
    status = ask(args, {'ask': 'status'}, limit).get('status')
    nodes = status.get('nodes') if isinstance(status, dict) else None
    if status is None or not isinstance(nodes, list) \
            or not all(isinstance(node, dict) for node in nodes):
        raise ProtocolError('the answer holds no status; is an AHM daemon of this version'
                            ' listening there?')
    return status
