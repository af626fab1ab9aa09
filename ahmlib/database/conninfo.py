"""libpq connection strings, taken apart and put together without libpq.

libpq's own parser refuses options it does not know, and the one inside psycopg2 may be older
than the server that wrote primary_conninfo.  So the two forms are read here, as fe-connect.c
(conninfo_parse, conninfo_uri_parse_options) reads them: "key=value key='quoted value'" and
"postgresql://user:password@host:port/database?key=value".  Nobody else in AHM takes one apart.
"""
import re
from collections import OrderedDict
from urllib.parse import unquote

# A quote means something at the beginning of a value only, and nothing has to follow its end.
# Blanks are those of C: a no-break space is a character of a password like any other.
_WORD = re.compile(r"""
    ([^\s=]+)\s*=\s*                             # key =
    (?:'((?:[^'\\]|\\.)*)'|(?!')((?:[^\s\\]|\\.)*)\\?) # 'value' or value; \ takes one along
    \s*""", re.VERBOSE | re.DOTALL | re.ASCII)
_BLANKS = ' \t\n\r\v\f'
_URI = re.compile(r'postgres(?:ql)?://')
_PLACE = re.compile(r'(\[[^]]*\]|[^:\[\]]*)(?::(\d*))?$')
#: What libpq shows instead of a password (pg_stat_wal_receiver); never a password itself.
MASK = '********'


def pairs(text):
    """Return the (keyword, value) pairs of "key=value" words, in their order.

    Raises ValueError, without quoting the text: it may hold a password.
    """
    found, position = [], len(text) - len(text.lstrip(_BLANKS))
    while position < len(text):
        match = _WORD.match(text, position)
        if not match:
            raise ValueError('malformed connection string at character %d; expected '
                             'key=value words' % (position + 1))
        key, quoted, bare = match.groups()
        value = quoted if quoted is not None else bare
        found.append((key, re.sub(r'\\(.)', r'\1', value, flags=re.DOTALL)))
        position = match.end()
    return found


def parse(text):
    """Return an OrderedDict of the words of a connection string, a later one replacing.

    Raises ValueError, without quoting the text: it may hold a password.
    """
    found = _uri_pairs(text) if _URI.match(text) else pairs(text)
    words = OrderedDict()
    for key, value in found:
        words.pop(key, None)
        words[key] = value
    return words


def build(words):
    """Return the connection string of a mapping; the reverse of parse."""
    return ' '.join('%s=%s' % (key, quote(str(value))) for key, value in words.items())


def quote(value):
    """Return `value` as libpq reads one: in quotes where it must be."""
    if re.match(r"[^\s'\\=]+\Z", value):
        return value
    return "'%s'" % value.replace('\\', '\\\\').replace("'", "\\'")


def local_conn_string(settings):
    """Return conn_string, or what is built from db_port, db_user and db_database."""
    return settings.conn_string or remote_conn_string(settings, 'localhost', None)


def remote_conn_string(settings, host, port):
    """Return the connection string for another node's database."""
    return build({'host': host, 'port': port or settings.db_port,
                  'user': settings.db_user, 'dbname': settings.db_database})


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


def _uri_pairs(text):
    """The pairs of a URI: its parts by their keywords, then those after the question mark."""
    rest = text[_URI.match(text).end():]
    found = []
    # The first @ ends the credentials, unless the host's end comes before it.
    credentials, has_credentials, after = rest.partition('@')
    if has_credentials and '/' not in credentials:
        rest = after
        user, has_password, password = credentials.partition(':')
        found += [('user', unquote(user))] * bool(user)
        found += [('password', unquote(password))] * bool(has_password)
    rest, _, query = rest.partition('?')
    places, _, database = rest.partition('/')
    matches = [_PLACE.match(place) for place in places.split(',')]
    if None in matches:
        raise ValueError('malformed connection URI; expected postgresql://host:port/database')
    hosts = [unquote(match.group(1).strip('[]')) for match in matches]
    ports = [match.group(2) or '' for match in matches]
    found += [('host', ','.join(hosts))] * any(hosts) + [('port', ','.join(ports))] * any(ports)
    found += [('dbname', unquote(database))] * bool(database)
    for word in query.split('&') if query else ():
        key, has_value, value = word.partition('=')
        if not has_value:
            raise ValueError('malformed connection URI; expected key=value after the "?"')
        key, value = unquote(key), unquote(value)
        # As JDBC writes it; libpq takes it in a URI only.
        found.append(('sslmode', 'require') if (key, value) == ('ssl', 'true') else (key, value))
    return found
