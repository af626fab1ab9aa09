"""libpq connection strings, taken apart and put together without libpq.

libpq's own parser refuses options it does not know, and the one inside psycopg2 may be older
than the server that wrote primary_conninfo.  So the two forms are read here, as fe-connect.c
(conninfo_parse, conninfo_uri_parse_options) reads them: "key=value key='quoted value'" and
"postgresql://user:password@host:port/database?key=value".  Nobody else in AHM takes one apart: the
configuration reads conn_string and primary_conninfo_options with this at the start, and whoever
writes a primary_conninfo reads them with this again.

What is wrong with a string is said without quoting it, for it may hold a password.
"""
import re
from collections import OrderedDict
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from ahmlib.database.settings import DatabaseSettings

Pair = Tuple[str, str]

# A quote means something at the beginning of a value only, and nothing has to follow its end.
# Blanks are those of C: a no-break space is a character of a password like any other.
_WORD = re.compile(r"""
    ([^\s=]+)\s*=\s*(?!\s)                       # key =
    (?:'((?:[^'\\]|\\.)*)'|(?!')((?:[^\s\\]|\\.)*)\\?) # 'value' or value; \ takes one along
    \s*""", re.VERBOSE | re.DOTALL | re.ASCII)
_KEY = re.compile(r'[^\s=]+\s*=\s*', re.ASCII)
_BLANKS = ' \t\n\r\v\f'
_URI = re.compile(r'postgres(?:ql)?://')
# A host in brackets ends with them, any other before what ends it; a port is what follows a colon.
_PLACE = re.compile(r'(?:\[([^]]+)\](?=[:/?,]|\Z)|([^:/?,]*))(?::([^/?,]*))?(.*)', re.DOTALL)
_ESCAPE = re.compile(r'%(?![0-9A-Fa-f]{2})|%00')
#: What libpq shows instead of a password (pg_stat_wal_receiver); never a password itself.
MASK = '********'


class Upstream(NamedTuple):
    """Where a primary_conninfo leads to.  Nothing else of the string, so no secret, is in it."""

    host: Optional[str]
    port: Optional[int]
    application_name: Optional[str]


def is_uri(text: str) -> bool:
    """Return whether libpq takes this connection string for a URI."""
    return _URI.match(text) is not None


def pairs(text: str) -> List[Pair]:
    """Return the (keyword, value) pairs of a connection string, in their order.

    Raises ValueError, which says where it is malformed and what to write.
    """
    return list(_uri_pairs(text) if is_uri(text) else _word_pairs(text))


def parse(text: str) -> 'OrderedDict[str, str]':
    """Return the words of a connection string, a later one replacing; raises as pairs."""
    words: OrderedDict[str, str] = OrderedDict()
    for key, value in pairs(text):
        words.pop(key, None)
        words[key] = value
    return words


def build(words: Mapping[str, Any]) -> str:
    """Return the connection string of a mapping; the reverse of parse."""
    return ' '.join('%s=%s' % (key, quote(str(value))) for key, value in words.items())


def quote(value: str) -> str:
    """Return `value` as libpq reads one: in quotes where it must be."""
    if re.match(r"[^\s'\\=]+\Z", value):
        return value
    return "'%s'" % value.replace('\\', '\\\\').replace("'", "\\'")


def local_conn_string(settings: DatabaseSettings) -> str:
    """Return conn_string, or what is built from db_port, db_user and db_database."""
    return settings.conn_string or remote_conn_string(settings, 'localhost', None)


def remote_conn_string(settings: DatabaseSettings, host: str, port: Optional[int]) -> str:
    """Return the connection string for another node's database."""
    return build({'host': host, 'port': port or settings.db_port,
                  'user': settings.db_user, 'dbname': settings.db_database})


def name_of_a_copy(node_name: str) -> str:
    """Return the application_name of the connections that copy the primary for that node.

    It begins with what no node's name does, so that cut to PostgreSQL's length it differs, too.
    """
    return 'ahm_copy_of_' + node_name


def upstream(text: Optional[str]) -> Optional[Upstream]:
    """Return the Upstream of a primary_conninfo; None where it says nothing, or is malformed."""
    try:
        words = parse(text or '')
    except ValueError:
        return None
    if not words:
        return None
    port = words.get('port', '')
    return Upstream(words.get('hostaddr') or words.get('host'),
                    int(port) if re.match(r'\d+$', port) else None, words.get('application_name'))


def _word_pairs(text: str) -> Iterator[Pair]:
    """The pairs of "key=value" words."""
    position = len(text) - len(text.lstrip(_BLANKS))
    while position < len(text):
        match = _WORD.match(text, position)
        if not match:
            key = _KEY.match(text, position)
            raise ValueError('malformed connection string at character %d: %s' % (
                (key.end() if key else position) + 1,
                'found a quoted value that does not end, write a single quote behind it' if key else
                'found no keyword=value pair, write such pairs, with values that hold blanks in '
                'single quotes'))
        keyword, quoted, bare = match.groups()
        yield keyword, re.sub(r'\\(.)', r'\1', bare if quoted is None else quoted, flags=re.DOTALL)
        position = match.end()


def _uri_pairs(text: str) -> Iterator[Pair]:
    """The pairs of a URI: its parts by their keywords, then those after the question mark."""
    rest = _URI.sub('', text, 1)
    # The first @ ends the credentials, unless the host's end comes before it.
    credentials, has_credentials, after = rest.partition('@')
    if has_credentials and '/' not in credentials:
        rest = after
        user, _, password = credentials.partition(':')
        yield from _if_given('user', user)
        yield from _if_given('password', password)
    hosts, ports, rest = _places(rest)
    yield from _if_given('host', ','.join(hosts))
    yield from _if_given('port', ','.join(ports))
    path, _, query = rest.partition('?')
    yield from _if_given('dbname', path[1:])
    yield from _query_pairs(query)


def _places(rest: str) -> Tuple[List[str], List[str], str]:
    """The hosts and ports at the beginning of this, and what is behind them."""
    hosts: List[str] = []
    ports: List[str] = []
    while True:
        bracketed, plain, port, rest = _PLACE.findall(rest)[0]
        if plain[:1] == '[':
            raise _malformed_uri('an address in brackets that does not end, or says nothing')
        hosts.append(bracketed or plain)
        ports.append(port)
        if rest[:1] != ',':
            return hosts, ports, rest
        rest = rest[1:]


def _query_pairs(query: str) -> Iterator[Pair]:
    """The pairs of what follows the question mark; one & may end it."""
    words = query.split('&')
    for word in words if words[-1] else words[:-1]:
        if word.count('=') != 1:
            raise _malformed_uri('a word behind the "?" without one "="')
        key, value = map(_decode, word.split('='))
        # As JDBC writes it; libpq takes it in a URI only.
        yield ('sslmode', 'require') if (key, value) == ('ssl', 'true') else (key, value)


def _if_given(keyword: str, value: str) -> Iterator[Pair]:
    if value:
        yield keyword, _decode(value)


def _decode(text: str) -> str:
    if _ESCAPE.search(text):
        raise _malformed_uri('a % without two hexadecimal digits behind it, or %00')
    try:
        return unquote(text, errors='strict')
    except UnicodeDecodeError:
        raise _malformed_uri('bytes that are not UTF-8')


def _malformed_uri(found: str) -> ValueError:
    return ValueError('malformed connection URI: found %s, write postgresql://user:password@host:'
                      'port/database?keyword=value, with %%25 for a percent sign' % found)
