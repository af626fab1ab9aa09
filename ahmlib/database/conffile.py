"""Reading and rewriting PostgreSQL's configuration files, entry by entry.

postgresql.auto.conf, postgresql.conf and (before PostgreSQL 12) recovery.conf share one grammar:
`name = value` a line, the `=` optional, strings in single quotes with '' or \\' for a quote and
backslash escapes, # comments, the last entry of a name wins.  Entries are replaced as
pg_basebackup -R does: all old entries of the name go, the new one is appended.
"""
import os
import re

_ENTRY = re.compile(r"""
    ^\s*([A-Za-z_][\w$.]*)                      # name
    (?:\s*=\s*|\s+)
    ('(?:[^'\\]|\\.|'')*'|[^\s#'=]+)            # 'value' or value
    \s*(?:\#.*)?$""", re.VERBOSE)
_NAME = re.compile(r"^\s*([A-Za-z_][\w$.]*)(?:\s*=|\s)")
_ESCAPE = re.compile(r"''|\\([0-7]{1,3}|.)", re.DOTALL)
_CONTROL = {'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}


def value_of(text, name):
    """Return the value that a file with this text gives to `name`, None where it gives none."""
    found = None
    for line in text.splitlines():
        match = _ENTRY.match(line)
        if match and match.group(1).lower() == name:
            found = unquote(match.group(2))
    return found


def with_values(text, values):
    """Return `text` with the entries of `values` (a mapping) replacing all of their names."""
    kept = []
    for line in text.splitlines():
        match = _NAME.match(line)
        if not match or match.group(1).lower() not in values:
            kept.append(line)
    kept += ['%s = %s' % (name, quote(value)) for name, value in values.items()]
    return '\n'.join(kept) + '\n'


def quote(value):
    """Return `value` as a string of a configuration file.

    Raises ValueError for a line break, which no configuration file can hold.
    """
    text = str(value)
    if re.search(r'[\r\n\0]', text):
        raise ValueError('a configuration value must not contain a line break')
    return "'%s'" % text.replace('\\', '\\\\').replace("'", "''")


def unquote(text):
    """Return the value of one word of a configuration file: the reverse of quote."""
    if not text.startswith("'"):
        return text
    return _ESCAPE.sub(_unescape, text[1:-1])


def read(path):
    """Return the text of the file, '' where there is none; other errors raise OSError."""
    try:
        # What is no UTF-8 in it comes through unchanged.
        with open(path, encoding='utf-8', errors='surrogateescape', newline='\n') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def replace(path, text):
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


def sync_directory(path):
    """Make the names in a directory durable."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _unescape(match):
    code = match.group(1)
    if code is None:
        return "'"
    if code[0] in '01234567':
        return chr(int(code, 8) & 0xff)
    return _CONTROL.get(code, code)
