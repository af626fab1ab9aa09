"""Verdicts, against servers that are a few lines of socket each."""
import json
import select
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.database import probe, startup
from ahmlib.database.connection import one_line
from ahmlib.database.settings import DatabaseSettings
from ahmlib.runtime import child_side

HOST = '127.77.0.9'


def error(sqlstate, message='nein'):
    body = b''.join(kind + text.encode() + b'\0' for kind, text in (
        (b'S', 'FATAL'), (b'C', sqlstate), (b'M', message))) + b'\0'
    return b'E' + struct.pack('!I', len(body) + 4) + body


@contextmanager
def server(answer):
    """A listener that answers every startup packet with these bytes; None: with silence."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen(5)
    done_reader, done = socket.socketpair()
    held = []

    def serve():
        while True:
            ready = select.select([listener, done_reader], [], [])[0]
            if done_reader in ready:
                return
            connection = listener.accept()[0]
            held.append(connection)
            if answer is None:
                continue
            connection.settimeout(5)
            request = connection.recv(1000)
            if request[4:8] == struct.pack('!I', 80877103):         # SSLRequest
                connection.sendall(b'N')
                connection.recv(1000)
            connection.sendall(answer)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.send(b'x')
        thread.join()
        for each in held + [listener, done, done_reader]:
            each.close()


def look(port, limit=5.0):
    return probe.probe_remote(DatabaseSettings(db_user='u', db_database='d'), HOST, port, limit)


@pytest.mark.parametrize('sqlstate, verdict', [
    ('57P03', 'STARTING'), ('57P01', 'STARTING'), ('57P02', 'STARTING'),
    ('53300', 'REACHABLE'), ('28P01', 'REACHABLE'), ('28000', 'REACHABLE'),
    ('3D000', 'REACHABLE'), ('42501', 'REACHABLE')])
def test_the_sqlstate_decides_and_not_the_language(sqlstate, verdict):
    with server(error(sqlstate, '데이터베이스 시스템이 새로 가동 중입니다')) as port:
        found = look(port)
    assert (found.verdict, found.sqlstate, found.answered) == (verdict, sqlstate, False)
    assert '\n' not in found.reason and found.reason
    json.dumps(child_side.plain(found))


def test_a_server_that_cannot_fork_is_alive():
    with server(b'Ecould not fork new process for connection: no memory\n\0') as port:
        assert look(port).verdict == 'REACHABLE'


def test_a_request_for_a_password_is_an_answer():
    with server(b'R' + struct.pack('!II', 8, 3)) as port:
        found = look(port)
    assert found.verdict == 'REACHABLE' and not found.answered


@pytest.mark.parametrize('answer', [b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', b'E\0\0'])
def test_who_is_no_postgresql_server_is_no_answer(answer):
    with server(answer) as port:
        found = look(port)
    assert found.verdict == 'UNREACHABLE' and found.reason


def test_silence_ends_at_the_limit():
    with server(None) as port:
        began_at = time.monotonic()
        found = look(port, 0.3)
        assert 0.25 < time.monotonic() - began_at < 2
    assert found.verdict == 'UNREACHABLE' and 'no answer within 0.3 s' in found.reason


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        found = look(unused.getsockname()[1])
    assert found.verdict == 'UNREACHABLE' and found.reason
    settings = DatabaseSettings(conn_string='host=/no/such/directory user=u dbname=d')
    assert probe.check_local(settings, 1).verdict == 'UNREACHABLE'


def test_a_malformed_connection_string_is_not_quoted():
    found = probe.check_local(DatabaseSettings(conn_string="host=x password='s3cret"), 1)
    assert found.verdict == 'UNREACHABLE' and 's3cret' not in found.reason


def test_reasons_are_one_line_without_the_secret():
    assert one_line('a\n  b s3c\n', 's3c') == 'a; b ***'
    assert len(one_line('x' * 5000)) == 300
    assert one_line('') == 'no reason given'


@pytest.mark.parametrize('text, number', [
    ('0/0', 0), ('0/1F', 31), ('1/0', 1 << 32), ('A/B0000000', 0xAB0000000)])
def test_lsn(text, number):
    assert probe.parse_lsn(text) == number


@given(st.binary())
def test_any_bytes_of_an_error_are_survived(body):
    startup.parse_error(body)


def test_the_startup_packet():
    assert startup.packet('u', 'd') == b'\0\0\0\x1b\0\3\0\0user\0u\0database\0d\0\0'
