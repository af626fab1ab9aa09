"""Connection strings and configuration files: what is written is what is read back."""
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ahmlib.database import conffile, conninfo

LINES = st.text(st.characters(blacklist_categories=('Cs',), blacklist_characters='\0\r\n'))
NAMES = st.text('abcdefghijklmnopqrstuvwxyz_', min_size=1, max_size=8)


@given(st.dictionaries(NAMES, LINES))
def test_a_connection_string_reads_back(words):
    assert dict(conninfo.parse(conninfo.build(words))) == words


@given(st.dictionaries(NAMES, LINES))
def test_libpq_agrees_on_quoting(words):
    from psycopg2.extensions import parse_dsn
    known = dict(zip(('user', 'password', 'host', 'dbname'), words.values()))
    assert parse_dsn(conninfo.build(known)) == known


@pytest.mark.parametrize('text, words', [
    ('', {}),
    ("host = 'a b'  port=5432", {'host': 'a b', 'port': '5432'}),
    (r"password='it\'s \\ here' user=x\ y", {'password': r"it's \ here", 'user': 'x y'}),
    ("user=a user=b", {'user': 'b'}),
    ("password=''", {'password': ''}),
    ('postgresql://u:p%40ss@10.0.0.1:6000/db?sslmode=require',
     {'user': 'u', 'password': 'p@ss', 'host': '10.0.0.1', 'port': '6000', 'dbname': 'db',
      'sslmode': 'require'}),
    ('postgres://[::1]/x', {'host': '::1', 'dbname': 'x'}),
])
def test_connection_strings(text, words):
    assert dict(conninfo.parse(text)) == words


ODD = st.text("ab='\\\\ \t\n\v\u00a0\u2028", max_size=12)


@given(ODD)
@example(" 'a=b")
def test_what_libpq_reads_is_read_likewise_and_what_it_refuses_is_refused(text):
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn
    text = 'password=' + text
    try:
        expected = parse_dsn(text)
    except ProgrammingError:
        expected = None
    try:
        found = dict(conninfo.parse(text))
    except ValueError:
        found = None
    if found is not None and set(found) - {'password'}:
        found = None                    # libpq refuses keywords that it does not know
    assert found == expected


@pytest.mark.parametrize('text', [
    'postgresql://u:p%23%40@h:1,[::1]:2/d%20b?ssl=true&options=a+b', 'postgresql:///?host=/tmp',
    'postgresql://u:p#q@h', 'postgresql://h?user=%c3%bc', 'postgres://u@/db'])
def test_libpq_agrees_on_uris(text):
    from psycopg2.extensions import parse_dsn
    assert dict(conninfo.parse(text)) == parse_dsn(text)


URI_PARTS = st.lists(st.sampled_from([
    'a', 'b', '@', ':', '/', '?', '&', '=', ',', '[', ']', '%41', '%', '%0', '%00', '%fc', '%c3%bc',
    'user=', 'ssl=true', '#', ' ', '[::1]']), max_size=9)


@given(URI_PARTS)
def test_libpq_agrees_on_uris_of_all_kinds(parts):
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn
    text = 'postgresql://' + ''.join(parts)
    try:
        expected = parse_dsn(text)
    except (ProgrammingError, UnicodeDecodeError):
        expected = None
    try:
        found = dict(conninfo.parse(text))
    except ValueError:
        found = None
    if found and set(found) - {'user', 'password', 'host', 'port', 'dbname', 'sslmode'}:
        found = None                    # libpq refuses keywords that it does not know
    assert found == expected


@pytest.mark.parametrize('text', ["host", "host='x", "=x", "secret word=x"])
def test_a_malformed_connection_string_is_refused_without_quoting_it(text):
    with pytest.raises(ValueError) as error:
        conninfo.parse(text)
    assert 'secret' not in str(error.value) and '\n' not in str(error.value)


def test_upstream_lets_no_secret_out():
    found = conninfo.upstream("host=10.0.0.1 port=5433 user=u password=s application_name=n")
    assert found == ('10.0.0.1', 5433, 'n') and found.application_name == 'n'
    assert conninfo.upstream('') is None
    assert conninfo.upstream(None) is None
    assert conninfo.upstream("host='") is None
    assert conninfo.upstream('user=x') == (None, None, None)


@given(LINES)
def test_a_configuration_value_reads_back(value):
    text = conffile.with_values('', {'restore_command': value})
    assert text.count('\n') == 1 or not value.isprintable()
    assert conffile.unquote(conffile.quote(value)) == value


def test_a_configuration_value_cannot_hold_a_line_break():
    for value in ('a\nb', 'a\rb', 'a\0b'):
        with pytest.raises(ValueError):
            conffile.quote(value)


@pytest.mark.parametrize('line, value', [
    ("primary_conninfo = 'host=a password=''it''''s'''", "host=a password='it''s'"),
    ("Primary_ConnInfo 'x'  # why", 'x'),
    (r"primary_conninfo='a\'b\\c\101\n'", "a'b\\cA\n"),
    ('primary_conninfo=bare', 'bare'),
    ('#primary_conninfo = x', None),
    ('primary_conninfo_more = x', None),
    ("primary_conninfo = 'x' 'y'", None),
    ("primary_conninfo'x'", 'x'),
    ("primary_conninfo = 'a\x0c\x85\u2028b'", 'a\x0c\x85\u2028b'),
    (r"primary_conninfo = 'p\303\274'", 'p\u00fc'),
    ("primary_conninfo = 'x'\r", 'x'),
])
def test_reading_an_entry(line, value):
    assert conffile.value_of(line, 'primary_conninfo') == value


def test_the_last_entry_wins_and_all_old_ones_are_replaced():
    text = "# kept\nA = 1\nport = 5 # kept too\na 2\nb = 'a = 3'\n"
    assert conffile.value_of(text, 'a') == '2'
    assert conffile.with_values(text, {'a': "it's"}) == (
        "# kept\nport = 5 # kept too\nb = 'a = 3'\na = 'it''s'\n")


def test_a_line_ends_with_a_line_feed_and_nothing_else():
    text = "a = 'x\x0cy\u2028z'\nB'gone'\nc = 1"
    assert conffile.with_values(text, {'b': None}) == "a = 'x\x0cy\u2028z'\nc = 1\n"
    assert conffile.value_of(text, 'b') == 'gone'


def test_replacing_a_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / 'postgresql.auto.conf'
    conffile.replace(str(path), 'a\n')
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    conffile.replace(str(path), 'b\udcff\n')
    assert path.read_bytes() == b'b\xff\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert conffile.read(str(path)) == 'b\udcff\n'
    assert [each.name for each in tmp_path.iterdir()] == ['postgresql.auto.conf']
    assert conffile.read(str(tmp_path / 'none')) == ''
