"""Whether two servers are one, against a connection that is a few lines of Python."""
import os
import socket
import struct

import pytest

from ahmlib.database import control_file, driver, identity, startup, stop
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from tests.unit.test_database_probe import HOST, error, server

STAMP = control_file.Stamp('77', 1600000000, 0x2000028, 0)


class Answers:
    """A connection to a server whose process is not to be seen here."""

    backend_pid = 0

    def __init__(self, started=1000.5, port=5432, stamp=STAMP):
        self.told = (1, started, port, None, None)
        self.stamp = stamp

    def age(self):
        return 0.0

    def query(self, sql):
        if sql is identity.TOLD:
            return [self.told]
        if self.stamp is None:
            raise QueryFailed('permission denied', '42501')
        return [(self.stamp.system_identifier, self.stamp.written, '0/2000028', '0/0')]


@pytest.fixture
def data_dir(tmp_path):
    """A data directory of PostgreSQL 15 with the control file of STAMP, and its lock file."""
    body = struct.pack('=QIIi4xqQ', 77, 1300, 1, 6, STAMP.written, STAMP.checkpoint_lsn)
    body += struct.pack('=QI', 0x2000000, 1) + b'\0' * 76 + struct.pack('=QQ', 1, 0)
    (tmp_path / 'global').mkdir()
    (tmp_path / 'global' / 'pg_control').write_bytes(body + b'\0' * 200)
    lock(tmp_path)
    return tmp_path


def lock(path, *lines):
    lines = lines or ('999999', str(path), '1000', '5432', '/tmp', '*')
    (path / 'postmaster.pid').write_text('\n'.join(lines) + '\n')


def compare(path, **told):
    return identity.mismatch(DatabaseSettings(db_data_dir=str(path)), Answers(**told))


def test_the_control_file_is_read_as_the_server_reads_it(data_dir):
    assert control_file.stamp(str(data_dir)) == STAMP


@pytest.mark.parametrize('of_recovery, timeline', [(0, 1), (2, 2), (1, 1)])
def test_a_crash_right_after_a_promotion_does_not_take_the_timeline_back(
        data_dir, of_recovery, timeline):
    """The checkpoint on file is of timeline 1 for minutes: what was promoted was not started."""
    path = data_dir / 'global' / 'pg_control'
    known = path.read_bytes()
    at = len(known) - 200           # behind the unlogged position and that of the end of recovery
    path.write_bytes(known[:at] + struct.pack('=I', of_recovery) + known[at + 4:])
    assert control_file.timeline_of_start(str(data_dir)) == timeline


@pytest.mark.parametrize('told', [
    {}, {'stamp': None}, {'started': 1030.0}, {'stamp': None, 'started': 999.0}])
def test_what_agrees_or_cannot_be_compared_is_no_mismatch(data_dir, told):
    assert compare(data_dir, **told) == ''


@pytest.mark.parametrize('told, said', [
    ({'stamp': STAMP._replace(system_identifier='78')}, 'system identifier is 78'),
    ({'stamp': STAMP._replace(written=STAMP.written + 1)}, 'control file is another'),
    ({'port': 5433}, 'its port is 5433'),
    ({'started': 2000.0, 'stamp': None}, '1000 s later'),
    ({'started': 900.0, 'stamp': None}, '100 s earlier')])
def test_what_disagrees_is_one_line_that_says_what_to_correct(data_dir, told, said):
    line = compare(data_dir, **told)
    for each in (said, str(data_dir), 'correct conn_string, db_port or db_data_dir'):
        assert each in line
    assert '\n' not in line


@pytest.mark.parametrize('lines', [
    ('',), ('garbage',), ('12',), ('12', '/x'), ('12', '/x', 'then')])
def test_a_lock_file_that_is_being_written_proves_nothing(data_dir, lines):
    lock(data_dir, *lines)
    assert compare(data_dir) == ''


def test_no_lock_file_beside_a_control_file_means_that_no_server_runs_there(data_dir):
    (data_dir / 'postmaster.pid').unlink()
    assert 'no postmaster.pid' in compare(data_dir)
    (data_dir / 'global' / 'pg_control').unlink()
    assert compare(data_dir) == '', 'an empty mount point says nothing'


def test_a_server_that_was_restarted_between_two_looks_is_looked_at_again(data_dir, monkeypatch):
    lock(data_dir, '1', str(data_dir), '50', '5432')
    monkeypatch.setattr(identity.time, 'sleep', lambda _: lock(data_dir))
    assert compare(data_dir) == ''


def test_a_control_file_that_changes_all_the_time_is_not_compared(data_dir, monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr(control_file, 'stamp', lambda _: STAMP._replace(written=next(times)))
    assert compare(data_dir) == ''


@pytest.mark.parametrize('text, expected', [
    ('', [('localhost', 5433)]), ('host=a port=1', [('a', 1)]), ('host=a,b port=1,2',
                                                               [('a', 1), ('b', 2)]),
    ('host=a,b port=7', [('a', 7), ('b', 7)]), ('host=/run/pg', [('/run/pg', 5432)]),
    ('postgresql://u:s3cret@h:9/d', [('h', 9)]),
    ('hostaddr=127.0.0.1 host=h', [('127.0.0.1', 5432)])])
def test_the_places_of_a_connection_string(text, expected, monkeypatch):
    for name in ('PGHOST', 'PGPORT'):
        monkeypatch.delenv(name, raising=False)
    settings = DatabaseSettings(conn_string=text, db_port=5433)
    assert identity.places(settings) == expected
    assert 's3cret' not in identity.place_text(settings)


def test_addresses_of_this_host_and_of_others():
    assert identity.is_of_this_host('127.77.0.9') and identity.is_of_this_host('::1')
    assert not identity.is_of_this_host('198.51.100.7') or not _has_route('198.51.100.7')


def _has_route(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect((address, 9))
        except OSError:
            return False
    return True


def test_a_look_that_fails_by_our_own_fault_is_no_silence(monkeypatch):
    def fails(*_):
        raise RuntimeError('no thread\nleft')
    monkeypatch.setattr(startup, 'ask', fails)
    seen = identity.look(DatabaseSettings(conn_string='host=127.0.0.1'), 1.0)
    assert seen.is_there is None and 'no thread left' in seen.text


def test_nothing_that_runs_and_something_that_answers_is_not_stopped(data_dir):
    (data_dir / 'postmaster.pid').unlink()
    with server(error('57P03')) as port:
        settings = DatabaseSettings(db_data_dir=str(data_dir), conn_string='host=%s port=%d user=u'
                                    % (HOST, port))
        result = stop.stop_database(settings, 'kill', 2.0)
    assert not result.ok and '57P03' in result.reason and str(data_dir) in result.reason
    again = stop.stop_database(settings, 'kill', 2.0)
    assert again.ok and again.how == 'was not running', again


@pytest.mark.parametrize('answer', [None, b'', b'HTTP/1.1 400 Bad Request\r\n\r\n'])
def test_silence_and_strangers_are_no_server(data_dir, answer):
    """A listener that says nothing, closes without a word, or is another program."""
    (data_dir / 'postmaster.pid').unlink()
    with server(answer) as port:
        settings = DatabaseSettings(db_data_dir=str(data_dir), conn_string='host=%s port=%d user=u'
                                    % (HOST, port))
        assert stop.stop_database(settings, 'kill', 0.3).ok


TRUSTED = b'R' + struct.pack('!II', 8, 0) + b'S' + struct.pack('!I', 8) + b'a\0b\0'


@pytest.mark.parametrize('answer, sqlstate', [
    (TRUSTED + error('3D000'), '3D000'), (TRUSTED + error('53300'), '53300'),
    (TRUSTED + b'Z' + struct.pack('!I', 5) + b'I', None), (TRUSTED, None),
    (b'R' + struct.pack('!II', 8, 5), None), (b'R', None), (b'R\0\0', None)])
def test_a_refusal_after_authentication_has_its_sqlstate(answer, sqlstate):
    with server(answer) as port:
        found = startup.ask(HOST, port, 'u', 'd', 5.0)
    assert found.answered and found.sqlstate == sqlstate and found.message


def test_an_answer_that_psycopg2_cannot_decode_is_a_failure_whose_reason_is_not_told():
    """As with Python 3.13; it was an exception that nobody expected."""
    psycopg2 = driver.load()

    class Odd(psycopg2.extensions.connection):
        def poll(self):
            b'\xfc'.decode('utf-8')
    with server(TRUSTED) as port, pytest.raises(ConnectionFailed) as failed:
        Connection('host=%s port=%d user=u dbname=d' % (HOST, port), 5.0, Odd)
    assert not failed.value.is_told and failed.value.sqlstate is None


def test_a_refusal_in_another_encoding_than_utf8_has_a_reason():
    from ahmlib.database import probe
    text = 'Rolle «ü» existiert nicht'.encode('latin1')
    body = b'SFATAL\0C28000\0M' + text + b'\0\0'
    with server(b'E' + struct.pack('!I', len(body) + 4) + body) as port:
        found = probe.check_local(DatabaseSettings(
            conn_string='host=%s port=%d user=u dbname=d' % (HOST, port)), 5.0)
    assert found.sqlstate == '28000' and 'existiert nicht' in found.reason
    assert os.linesep not in found.reason
