"""libpq connection strings, taken apart and put together without libpq.

libpq's own parser refuses options it does not know, and the one inside psycopg2 may be older
than the server that wrote primary_conninfo.  So the two forms are read here:
"key=value key='quoted value'" and "postgresql://user:password@host:port/database?key=value".
"""
import re
from collections import OrderedDict
from urllib.parse import parse_qsl, unquote, urlsplit

_WORD = re.compile(r"""
    \s*([^\s=']+)\s*=\s*                        # key =
    (?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*)) # 'value' or value; a backslash takes one along
    (?:\s+|$)""", re.VERBOSE | re.DOTALL)
_URI = re.compile(r'postgres(?:ql)?://', re.IGNORECASE)


def parse(text):
    """Return an OrderedDict of the words of a connection string, a later one replacing.

    Raises ValueError, without quoting the text: it may hold a password.
    """
    if _URI.match(text.strip()):
        return _parse_uri(text.strip())
    words = OrderedDict()
    position = 0
    text = text.strip()
    while position < len(text):
        match = _WORD.match(text, position)
        if not match:
            raise ValueError('malformed connection string at character %d; expected '
                             'key=value words' % (position + 1))
        key, quoted, bare = match.groups()
        value = quoted if quoted is not None else bare
        words.pop(key, None)
        words[key] = re.sub(r'\\(.)', r'\1', value, flags=re.DOTALL)
        position = match.end()
    return words


def build(words):
    """Return the connection string of a mapping; the reverse of parse."""
    return ' '.join('%s=%s' % (key, quote(str(value))) for key, value in words.items())


def quote(value):
    """Return `value` as libpq reads one: in quotes where it must be."""
    if re.match(r"[^\s'\\=]+$", value):
        return value
    return "'%s'" % value.replace('\\', '\\\\').replace("'", "\\'")


def upstream(text):
    """Return {'host', 'port', 'application_name'} of a primary_conninfo; None if it has none.

    `port` is an int or None.  Nothing else of the string, so no secret, gets out.
    """
    try:
        words = parse(text or '')
    except ValueError:
        return None
    if not words:
        return None
    port = words.get('port', '')
    return {'host': words.get('hostaddr') or words.get('host'),
            'port': int(port) if re.match(r'\d+$', port) else None,
            'application_name': words.get('application_name')}


def _parse_uri(text):
    words = OrderedDict()
    parts = urlsplit(text)
    credentials, _, places = parts.netloc.rpartition('@')
    user, has_password, password = credentials.partition(':')
    hosts, ports = [], []
    for place in places.split(','):
        match = re.match(r'(\[[^]]*\]|[^:]*)(?::(\d*))?$', place)
        if not match:
            raise ValueError('malformed connection URI; expected postgresql://host:port/database')
        hosts.append(unquote(match.group(1).strip('[]')))
        ports.append(match.group(2) or '')
    if user:
        words['user'] = unquote(user)
    if has_password:
        words['password'] = unquote(password)
    if any(hosts):
        words['host'] = ','.join(hosts)
    if any(ports):
        words['port'] = ','.join(ports)
    if parts.path.strip('/'):
        words['dbname'] = unquote(parts.path.lstrip('/'))
    words.update(parse_qsl(parts.query, keep_blank_values=True))
    return words
