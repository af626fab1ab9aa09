"""Reading and rewriting PostgreSQL's configuration files, entry by entry.

postgresql.auto.conf, postgresql.conf and (before PostgreSQL 12) recovery.conf share one grammar:
`name = value` a line, the `=` optional, strings in single quotes with '' or \\' for a quote and
backslash escapes, # comments, the last entry of a name wins.  Entries are replaced as
pg_basebackup -R does: all old entries of the name go, the new one is appended.

A line ends with a line feed and with nothing else (guc-file.l): whatever else Python takes for a
line's end may stand in a password.
"""
import os
import re
from typing import Any, Iterator, Mapping, Match, Optional, Tuple

_ENTRY = re.compile(r"""
    ^\s*([A-Za-z_][\w$.]*)                      # name
    (?:\s*=\s*|\s+|(?='))
    ('(?:[^'\\]|\\.|'')*'|[^\s#'=]+)            # 'value' or value
    \s*(?:\#.*)?$""", re.VERBOSE | re.DOTALL)
_NAME = re.compile(r"^\s*([A-Za-z_][\w$.]*)(?:\s*=|\s|')")
_ESCAPE = re.compile(rb"''|\\([0-7]{1,3}|.)", re.DOTALL)
_CONTROL = {b'b': b'\b', b'f': b'\f', b'n': b'\n', b'r': b'\r', b't': b'\t'}


def entries(text: str) -> Iterator[Tuple[str, str]]:
    """Yield (name in lower case, value) of every entry of a file with this text, in its order."""
    for line in text.split('\n'):
        match = _ENTRY.match(line)
        if match:
            yield match.group(1).lower(), unquote(match.group(2))


def value_of(text: str, name: str) -> Optional[str]:
    """Return the value that a file with this text gives to `name`, None where it gives none."""
    found = None
    for each, value in entries(text):
        if each == name:
            found = value
    return found


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """Return `text` with the entries of `values` (a mapping) replacing all of their names.

    A name whose value is None is left out of the file.
    """
    kept = []
    for line in text.split('\n'):
        match = _NAME.match(line + ' ')
        if not match or match.group(1).lower() not in values:
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    kept += ['%s = %s' % (name, quote(value)) for name, value in values.items()
             if value is not None]
    return '\n'.join(kept) + '\n'


def quote(value: Any) -> str:
    """Return `value` as a string of a configuration file.

    Raises ValueError for a line break, which no configuration file can hold.
    """
    text = str(value)
    if re.search(r'[\r\n\0]', text):
        raise ValueError('a configuration value must not contain a line break')
    return "'%s'" % text.replace('\\', '\\\\').replace("'", "''")


def unquote(text: str) -> str:
    """Return the value of one word of a configuration file: the reverse of quote."""
    if not text.startswith("'"):
        return text
    # An octal escape is a byte, so two of them may be one character.
    raw = _ESCAPE.sub(_unescape, text[1:-1].encode('utf-8', 'surrogateescape'))
    return raw.decode('utf-8', 'surrogateescape')


def read(path: str) -> str:
    """Return the text of the file, '' where there is none; other errors raise OSError."""
    try:
        # What is no UTF-8 in it comes through unchanged.
        with open(path, encoding='utf-8', errors='surrogateescape', newline='\n') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def replace(path: str, text: str) -> None:
    """Put `text` into the file: all of it or nothing, on disk when this returns.

    An existing file keeps its mode; a new one gets 0600, for it may hold a password.
    """
    try:
        mode = os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        mode = 0o600
    temporary = path + '.ahm'
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(number, 'wb') as file:
            file.write(text.encode('utf-8', 'surrogateescape'))
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _unescape(match: 'Match[bytes]') -> bytes:
    code = match.group(1)
    if code is None:
        return b"'"
    if code[:1] in b'01234567':
        return bytes([int(code, 8) & 0xff])
    return _CONTROL.get(code, code)
