"""What a terminal may be sent besides text: whether it can be steered, its size, colours.

Elsewhere, and where TERM is dumb or not set, nothing is sent but text; NO_COLOR, set to anything,
keeps it without colours.
"""

import os
import re
import unicodedata
from typing import Callable, Dict, Optional, TextIO, Tuple

BOLD, BAD, DOUBTFUL = 'bold', 'bad', 'doubtful'
_CODES: Dict[str, str] = {BOLD: '1', BAD: '1;31', DOUBTFUL: '33'}
_STEERING = re.compile(r'\033\[[0-9;]*m')

#: Takes a text and one of the styles above ('' is none), gives what is printed.
Paint = Callable[[str, str], str]


def is_steered(stream: TextIO) -> bool:
    """Whether a stream leads to a terminal that understands more than text."""
    return stream.isatty() and os.environ.get('TERM', '') not in ('', 'dumb')


def painter(stream: TextIO) -> Paint:
    """How texts are coloured on this stream: not at all, but on a terminal."""
    return coloured if is_steered(stream) and not os.environ.get('NO_COLOR') else plain


def plain(text: str, style: str) -> str:
    """The text as it is."""
    return text


def coloured(text: str, style: str) -> str:
    """The text in one of the styles."""
    return '\033[%sm%s\033[0m' % (_CODES[style], text) if style and text else text


def window(stream: TextIO) -> Optional[Tuple[int, int]]:
    """(columns, lines) of the terminal as it is now; None where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None
    return (size.columns, size.lines) if size.columns > 0 and size.lines > 0 else None


def width(text: str) -> int:
    """The columns that `text` takes on a terminal: Hangul and the like take two, colours none."""
    return sum(2 if unicodedata.east_asian_width(character) in 'WF' else 1
               for character in _STEERING.sub('', text))
