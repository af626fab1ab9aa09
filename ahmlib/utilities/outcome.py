"""How a utility ends: its exit code, what is printed, and the same as JSON.

    0  done                                    2  wrong usage
    1  refused, or failed: why is on stderr    3  no daemon there

With --json there is one object on stdout, of one shape for all: {ok, text, exit_code} and what the
command has besides.  Without it a success is what the command prints, and a failure one line on
stderr, after `Command Failed: `.
"""

import json
import sys
from typing import Any, Sequence

from ahmlib.utilities.usage import Args

OK = 0
REFUSED = 1
USAGE = 2
NO_DAEMON = 3


class Failure(Exception):
    """Ends a utility: its text after `Command Failed: `, its exit code."""

    def __init__(self, reason: str, code: int = REFUSED) -> None:
        super().__init__(reason)
        self.code = code


def succeed(args: Args, info: str, **more: Any) -> int:
    """Print what the manual's utilities print on success; with --json `more`, too."""
    if args['--json']:
        put_object(True, info, OK, **more)
    else:
        put('Command Success')
        put('Info: %s' % info)
    return OK


def fail(reason: object, code: int, as_json: bool) -> int:
    """Say why it failed; returns the exit code."""
    text = printable(' '.join(str(reason).split()))
    if as_json:
        put_object(False, text, code)
    sys.stdout.flush()
    if not as_json:
        sys.stderr.write('Command Failed: %s\n' % text)    # stderr escapes what its encoding lacks
    return code


def put_object(ok: bool, text: str, code: int, **more: Any) -> None:
    """Print the one object of a command with --json."""
    put(json.dumps(dict(more, ok=ok, text=text, exit_code=code), sort_keys=True, indent=2))


def wants_json(argv: Sequence[str]) -> bool:
    """Whether --json, or its beginning, is among the words, also where others are wrong."""
    words = [word.split('=')[0] for word in argv]
    return any('--json'.startswith(word) and word.startswith('--j') for word in words)


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
