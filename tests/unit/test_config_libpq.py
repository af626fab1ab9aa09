"""The keywords of libpq in connection strings: the list, and what is said of others."""

import ctypes
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ahmlib.config import kinds, libpq
from ahmlib.config.loader import ConfigError, parse
from ahmlib.database import recovery
from ahmlib.database.settings import DatabaseSettings

psycopg2 = pytest.importorskip('psycopg2')

WITNESS = 'node_name: w\nis_witness: true\n'
PATH = '/etc/ahm_config.yml'
VERSION = psycopg2.extensions.libpq_version() // 10000


def refusal(line):
    """The one problem of a configuration with this line."""
    with pytest.raises(ConfigError) as caught:
        parse(WITNESS + line, PATH, {})
    problem, = caught.value.problems
    assert '\n' not in problem
    return problem


# -- the list ---------------------------------------------------------------------------------


@pytest.mark.parametrize('keyword', sorted(libpq.KEYWORDS))
def test_libpq_knows_each_keyword_from_its_version_on(keyword):
    try:
        psycopg2.extensions.parse_dsn('%s=1' % keyword)
        is_known = True
    except psycopg2.ProgrammingError as error:
        assert 'invalid connection option' in str(error)
        is_known = False
    assert is_known == (libpq.KEYWORDS[keyword] <= VERSION)


class Option(ctypes.Structure):
    """PQconninfoOption, of libpq-fe.h."""

    _fields_ = [(name, ctypes.c_char_p) for name in (
        'keyword', 'envvar', 'compiled', 'val', 'label', 'dispchar')] + [
            ('dispsize', ctypes.c_int)]


def defaults_of_libpq():
    """The keywords that PQconndefaults of psycopg2's libpq has; skips where it is not found."""
    with open('/proc/self/maps') as maps:
        found = re.search(r'/\S*/libpq[^/]*\.so\S*$', maps.read(), re.MULTILINE)
    if not found:
        pytest.skip('psycopg2 holds its libpq in itself here')
    library = ctypes.CDLL(found.group())
    library.PQconndefaults.restype = ctypes.POINTER(Option)
    options, keywords = library.PQconndefaults(), set()
    while options[len(keywords)].keyword:
        keywords.add(options[len(keywords)].keyword.decode())
    return keywords


def test_libpq_knows_no_keyword_besides():
    if VERSION > 18:
        pytest.skip('AHM is for libpq up to 18')
    gone = {'authtype', 'tty'}          # up to 13, and without effect
    assert defaults_of_libpq() - gone <= set(libpq.KEYWORDS)


# -- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['conn_string', 'primary_conninfo_options'])
@pytest.mark.parametrize('text, words', [
    ('sslmod=prefer', 'sslmod is no keyword of libpq: write sslmode if that is meant'),
    ('SSLMODE=prefer', 'SSLMODE is no keyword of libpq: write sslmode if that is meant'),
    ('sslmode=prefer keepalive_idle=5', 'write keepalives_idle if that is meant'),
    ('qqq=1', 'qqq is no keyword of libpq: take it out'),
    ('authtype=x', 'authtype is no keyword of libpq'),
])
def test_a_keyword_that_libpq_does_not_know_is_refused(name, text, words):
    line = refusal('%s: %s\n' % (name, text))
    assert line.startswith(PATH + ':3: %s: found ' % name) and words in line


def test_a_misspelt_host_is_refused_before_the_database_counts_as_failed():
    assert refusal('conn_string: hots=localhost port=5432\n').endswith(
        'hots is no keyword of libpq: write host if that is meant')


@pytest.mark.parametrize('text', ['postgresql://a:5433/b?sslmod=x', 'postgres://?a%62=1&ssl=true'])
def test_the_keywords_of_a_uri_are_looked_at_too(text):
    assert 'is no keyword of libpq' in refusal('conn_string: %s\n' % text)


@pytest.mark.parametrize('text', [
    'postgresql://a:5433/b', 'postgresql:///b?host=/tmp&ssl=true&application_name=c',
    "host=/tmp dbname='a b' user=c password='x y=z' sslrootcert=system connect_timeout=3"])
def test_what_libpq_knows_is_taken(text):
    config = parse(WITNESS + 'conn_string: "%s"\n' % text, PATH, {})
    assert config.conn_string == text


@pytest.mark.parametrize('keyword', libpq.OWN)
def test_what_ahm_writes_itself_is_no_option_of_primary_conninfo(keyword):
    line = refusal('primary_conninfo_options: sslmode=prefer %s=1\n' % keyword)
    assert line.endswith('take %s out: AHM writes host, hostaddr, port, user, application_name '
                         'itself, the user from replication_user' % keyword)
    assert 'host' in line.split('expected')[0] or keyword != 'host'


def test_a_uri_is_no_option_of_primary_conninfo():
    assert 'keyword=value' in refusal('primary_conninfo_options: postgresql://h/?sslmode=require\n')


def test_options_of_primary_conninfo_are_taken_as_they_are():
    text = "sslmode=prefer passfile='/a b' keepalives_idle=5"
    config = parse(WITNESS + 'primary_conninfo_options: "%s"\n' % text, PATH, {})
    assert config.primary_conninfo_options == text


# -- from the start to the attach -------------------------------------------------------------


ODD = st.text("ab=%'\\\\ \u2028", max_size=12)


def at_the_start(name, text):
    """The value of a parameter that the start takes, or None where it refuses it."""
    try:
        return getattr(parse(WITNESS + '%s: %s\n' % (name, kinds.write_text(text)), PATH, {}), name)
    except ConfigError:
        return None


def at_the_attach(options):
    """The words of the primary_conninfo that is written with these options, as libpq reads it."""
    settings = DatabaseSettings(node_name='n', primary_conninfo_options=options)
    return psycopg2.extensions.parse_dsn(recovery.new_conninfo('', settings, 'h', 5432))


@given(ODD)
@example("it's")
@example("'it''s'")
@example("'its")
@example("it\\'s user")
@example('')
def test_what_passes_the_start_is_used_at_the_attach_and_what_fails_there_is_refused(text):
    text = 'sslmode=prefer password=' + text
    taken = at_the_start('primary_conninfo_options', text)
    if taken is not None:
        expected = psycopg2.extensions.parse_dsn(taken)
        assert dict(expected, host='h', port='5432', user='agens', application_name='n') \
            == at_the_attach(taken)
    elif '\u2028' not in text:          # which no parameter may hold
        with pytest.raises((ValueError, psycopg2.ProgrammingError)):
            at_the_attach(text)


def test_a_quote_within_a_password_arrives():
    assert at_the_attach(at_the_start('primary_conninfo_options', "password=it's"))[
        'password'] == "it's"


@pytest.mark.parametrize('name', ['conn_string', 'primary_conninfo_options'])
@pytest.mark.parametrize('text, words', [
    ("sslmode=prefer password='its", 'at character 25: found a quoted value that does not end, '
     'write a single quote behind it'),
    ("sslmode=prefer password = 'its", 'at character 27: found a quoted value'),
    ('sslmode=prefer keepalives', 'at character 16: found no keyword=value pair, write such pairs'),
    ('=x', 'at character 1: found no keyword=value pair'),
])
def test_a_string_that_libpq_cannot_read_is_refused_with_the_place(name, text, words):
    line = refusal('%s: %s\n' % (name, kinds.write_text(text)))
    assert line.startswith(PATH + ':3: %s: found ' % name) and words in line and 'its' not in line


@pytest.mark.parametrize('text, words', [
    ('postgresql://h/?sslmode', 'a word behind the "?" without one "="'),
    ('postgresql://h/?user=a=b', 'a word behind the "?" without one "="'),
    ('postgresql://u:p%zz@h/', 'a % without two hexadecimal digits'),
    ('postgresql://u:p%fc@h/', 'bytes that are not UTF-8'),
    ('postgresql://[::1/', 'an address in brackets that does not end'),
    ('postgresql://h/?ssl=false', 'ssl is no keyword of libpq'),
    ('postgresql://h/a b', 'write %20 for a blank in a URI'),
])
def test_a_uri_that_libpq_cannot_read_is_refused_at_the_start(text, words):
    assert words in refusal('conn_string: %s\n' % kinds.write_text(text))


@pytest.mark.parametrize('text', [
    "password=hei'mlich", "password='hei mlich", r'password=a\ mlich'])
def test_no_part_of_a_password_is_shown_however_it_is_quoted(text):
    assert 'mlich' not in refusal('conn_string: %s\n' % kinds.write_text('sslmod=x ' + text))


@pytest.mark.parametrize('keyword', ['password', 'sslpassword', 'oauth_client_secret',
                                     'scram_client_key', 'scram_server_key'])
def test_a_refused_string_shows_no_secret(keyword):
    for name in ('conn_string', 'primary_conninfo_options'):
        line = refusal("%s: sslmod=x %s='ge heim'\n" % (name, keyword))
        assert 'heim' not in line and keyword + '=***' in line
