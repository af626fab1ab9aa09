"""What is wrong with a configuration file, as lines that a person can act on.

Every line has the same shape: where, what was found, what was expected, what to do.
"""

import os
import re
import stat
from typing import Iterable

# More than any configuration needs, and little enough to read without a second thought.
FILE_BYTES_MAX = 1024 * 1024
SHOWN_MAX = 60
# A quote that was opened before the key ends with the text, and is none of the password.
PASSWORD = re.compile(r"""((?:password|oauth_client_secret|scram_(?:client|server)_key)\s*=\s*)"""
                      r"""('(?:[^'\\]|\\.)*'?"""
                      r"""|(?:[^\s\\]|\\.)+?(?=['"][]:,;.)}]*(?:\s|$)|\s|$)"""
                      r"""|(?:[^\s\\]|\\.)+)""", re.IGNORECASE)
URI_PASSWORD = re.compile(r'(://[^/@:\s]*:)[^/@\s]*@')


class Problem(str):
    """A problem's line, with the parts that it was made of, and a code that stays the same."""

    path: str
    line: int
    key: str
    found: str
    expected: str
    remedy: str
    code: str


class ConfigError(Exception):
    """A configuration that cannot be used.  `problems`: every mistake in it, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__('\n'.join(self.problems))


def problem(path: str, line: int, key: str, found: str, expected: str, remedy: str,
            code: str = 'config') -> Problem:
    """One line: FILE:LINE: key: found X, expected Y; what to do.  `key` may be empty.

    Where it is the file itself that is wrong, or missing, `line` is 0 and is not said.
    `code` names what was looked at (ahm_check_config(1)).
    """
    place = '%s:%d' % (path, line) if line else path
    subject = '%s: %s' % (place, key + ': ' if key else '')
    text = Problem('%sfound %s, expected %s; %s' % (subject, found, expected, remedy))
    text.path, text.line, text.key, text.code = path, line, key, code
    text.found, text.expected, text.remedy = found, expected, remedy
    return text


def show(text: str) -> str:
    """`text` as it can stand in a message: quoted, on one line, short, without passwords."""
    text = without_password(text)
    if len(text) > SHOWN_MAX:
        text = text[:SHOWN_MAX - 3] + '...'
    return repr(text)


def show_path(path: str) -> str:
    """A path as it can stand in a message: quoted, and whole, however long."""
    return repr(path)


def without_password(text: str) -> str:
    """A connection string with its password, if there is one, replaced by ***."""
    return URI_PASSWORD.sub(r'\1***@', PASSWORD.sub(r'\1***', text))


def read_text(path: str, what: str) -> str:
    """The text of the file `path`; `what` names it in messages.  Raises ConfigError."""
    return decode(read_bytes(path, what), path)


def read_bytes(path: str, what: str) -> bytes:
    """The bytes of the regular file `path`.  Raises ConfigError with one problem."""
    expected = '%s, a text file' % what
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError([problem(path, 0, '', 'something that is no regular file', expected,
                                       'name the file itself')])
        with open(path, 'rb') as stream:
            source = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigError([problem(path, 0, '', 'no such file', expected,
                                   'create it or correct the path')])
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        raise ConfigError([problem(path, 0, '', 'a file that cannot be read (%s)' % reason,
                                   expected, 'correct the path or the permissions')])
    if len(source) > FILE_BYTES_MAX:
        raise ConfigError([problem(path, 0, '', 'more than %d bytes' % FILE_BYTES_MAX, expected,
                                   'correct the path')])
    return source


def decode(source: bytes, path: str) -> str:
    """UTF-8 bytes, with or without a byte order mark, as text.  Raises ConfigError."""
    try:
        return source.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = source.count(b'\n', 0, error.start) + 1
        raise ConfigError([problem(path, line, '', 'a byte that is not UTF-8', 'UTF-8 text',
                                   'save the file in UTF-8')])
