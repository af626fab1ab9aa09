"""The lines of the IPC: a request, then an answer, each one JSON object on one line of UTF-8.

    {"ask": "status"}                      -->
    <--  {"ok": true, "status": {...}}     or   {"ok": false, "reason": "why, in one line"}

So a terminal with `socat` is a debugger.  A change is made only for a client that still waits for
its answer, so whoever asks for one leaves the connection open until then.  What comes in is a
stranger's: everything that is not exactly that, or is too long, raises ProtocolError and nothing
else.
"""

import json
import math
import struct
from typing import Any, Dict, List, NoReturn, Tuple

from ahmlib.core.asks import CHANGING

Message = Dict[str, Any]

REQUEST_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 1024 * 1024

#: What SO_PEERCRED gives: pid, uid, gid.
PEER_CREDENTIALS = struct.Struct('=iII')

# Enough for 64 bits; and the time that int() takes grows with the square of the digits.
_DIGITS_MAX = 20


class ProtocolError(Exception):
    """A line that is not a JSON object, or too long.  One line: what was found."""


def encode(message: Message, limit: int = ANSWER_BYTES_MAX) -> bytes:
    """Return `message`, a dict that JSON can hold, as one line of bytes with its line end.

    limit: the most bytes it may take, line end included.  Raises ProtocolError.
    """
    if not isinstance(message, dict):
        raise ProtocolError('a %s was given, expected a dict' % type(message).__name__)
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
        data = text.encode('utf-8') + b'\n'
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError('the message cannot be written as JSON: %s' % error)
    if len(data) > limit:
        raise ProtocolError('the message has %d bytes, expected at most %d' % (len(data), limit))
    return data


def decode(line: bytes, limit: int = ANSWER_BYTES_MAX) -> Message:
    """Return the dict that `line`, bytes with or without a line end, stands for.

    limit: the most bytes it may have.  Raises ProtocolError for anything else.
    """
    if len(line) > limit:
        raise ProtocolError('a line of %d bytes, expected at most %d' % (len(line), limit))
    body = line[:-1] if line.endswith(b'\n') else line
    if b'\n' in body:
        raise ProtocolError('more than one line, expected one')
    try:
        message = json.loads(body.decode('utf-8'), object_pairs_hook=_object,
                             parse_constant=_no_constant, parse_float=_float, parse_int=_int)
        if b'\\u' in body:
            # Half of a surrogate pair is no character; nobody could print or store it.
            json.dumps(message, ensure_ascii=False).encode('utf-8')
    except ProtocolError:
        raise
    except RecursionError:
        raise ProtocolError('JSON nested too deeply')
    except UnicodeError:
        raise ProtocolError('text that is not UTF-8')
    except ValueError as error:
        raise ProtocolError('no JSON: %s' % error)
    if not isinstance(message, dict):
        raise ProtocolError('a JSON %s, expected an object' % type(message).__name__)
    return message


def is_change(request: Message) -> bool:
    """Whether a request, a dict, asks for a change rather than for what is or would be."""
    asked = request.get('ask')
    return isinstance(asked, str) and asked in CHANGING and not request.get('dry_run')


def _object(pairs: List[Tuple[str, Any]]) -> Message:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ProtocolError('a JSON object with the same key twice')
    return result


def _no_constant(text: str) -> NoReturn:
    raise ProtocolError('%s, which is no number of JSON' % text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProtocolError('a number that is too large')
    return value


def _int(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise ProtocolError('a number of %d digits, expected at most %d'
                            % (len(text), _DIGITS_MAX))
    return int(text)
