"""The IPC: the lines, the server in its loop, the client that waits, and junk."""

import json
import os
import socket
import stat
import threading

import pytest
from hypothesis import given, strategies

from ahmlib.ipc import client, protocol, server
from ahmlib.ipc.client import NoAnswer, NoDaemon, ask
from ahmlib.ipc.protocol import ProtocolError, decode, encode
from ahmlib.ipc.server import IpcError, IpcServer
from ahmlib.process import users
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import Loop, clock

JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-2**63, 2**64 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False) | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=20)


def free_port():
    with socket.socket() as probe:
        probe.bind(('0.0.0.0', 0))
        return probe.getsockname()[1]


class Daemon:
    """A server whose clock the test owns, in a loop that the test turns."""

    def __init__(self, directory, port=None, answer=None):
        self.loop = Loop()
        self.directory = directory
        self.log_path = os.path.join(directory, 'log')
        self.log = Log('%l ', 'DEBUG', self.log_path, 'n', clock)
        self.shift = 0.0
        self.requests = []
        self._answer = answer or (lambda request: {'ok': True, 'echo': request})
        self.server = IpcServer(self.loop, self.log, self.now)
        self.port = port or free_port()
        self.server.open(self.on_request, directory, self.port)

    def now(self):
        return clock() + self.shift

    def on_request(self, client, request, origin):
        self.requests.append((client, request, origin))
        message = self._answer(request)
        if message is not None:
            self.server.answer(client, message)

    def turn(self):
        self.loop.run_once(clock() + 0.01)
        self.server.expire(self.now())

    def turn_until(self, predicate, seconds=20):
        limit = clock() + seconds
        while not predicate():
            assert clock() < limit, 'it did not happen within %g s' % seconds
            self.turn()

    def ask(self, request, **options):
        """Call `ask` in a thread, since it waits, while the loop turns here."""
        outcome = []
        options.setdefault('port', self.port)
        options.setdefault('socket_dir', self.directory)

        def run():
            try:
                outcome.append(ask(request, **options))
            except Exception as error:
                outcome.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        self.turn_until(lambda: outcome)
        thread.join()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def connect(self, family=socket.AF_UNIX):
        if family == socket.AF_UNIX:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.path.join(self.directory, '.s.AHM.%d' % self.port))
        else:
            connection = socket.socket(family)
            connection.connect(('127.0.0.1' if family == socket.AF_INET else '::1', self.port))
        connection.setblocking(False)
        return connection

    def talk(self, data, end=False):
        """Send raw bytes; return everything that comes back until the server closes."""
        received = []
        with self.connect() as connection:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            self.turn_until(lambda: drain(connection, received))
        return b''.join(received)

    def close(self):
        self.server.close()
        self.loop.close()
        self.log.close()


def drain(connection, received):
    """Append what has come; return whether the other side has closed."""
    try:
        data = connection.recv(1 << 20)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    received.append(data)
    return not data


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(str(tmp_path))
    yield made
    made.close()


def log_lines(daemon):
    with open(daemon.log_path) as file:
        return file.read().splitlines()


# -- protocol ---------------------------------------------------------------------------------


@given(strategies.dictionaries(strategies.text(), JSON))
def test_what_is_encoded_is_one_line_and_decodes_to_itself(message):
    try:
        line = encode(message)
    except ProtocolError:
        assert any(0xd800 <= ord(c) < 0xe000 for c in json.dumps(message, ensure_ascii=False))
        return
    assert line.count(b'\n') == 1 and line.endswith(b'\n')
    assert decode(line) == message
    assert decode(line[:-1]) == message


@given(strategies.binary(max_size=300))
def test_any_bytes_are_a_dict_or_a_protocol_error(data):
    try:
        assert isinstance(decode(data), dict)
    except ProtocolError as error:
        assert '\n' not in str(error)


@given(JSON, strategies.lists(strategies.tuples(strategies.integers(0, 10**6),
                                                strategies.integers(0, 255)), max_size=4))
def test_damaged_json_is_a_dict_or_a_protocol_error(value, changes):
    data = bytearray(json.dumps({'ask': value}).encode())
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        message = decode(bytes(data))
    except ProtocolError:
        return
    assert decode(encode(message)) == message


@pytest.mark.parametrize('line', [
    b'', b'\n', b'5', b'[]', b'null', b'"x"', b'{', b'{}{}', b'{}\n\n', b'{\n}', b'\xff',
    b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": 1, "a": 1}',
    b'{"a": "\\ud800"}', b'{"a": ' + b'9' * 30 + b'}', b'{"a":' + b'[' * 60000 + b'}',
    b'\xef\xbb\xbf{}'])
def test_what_is_not_quite_a_json_object(line):
    with pytest.raises(ProtocolError) as caught:
        decode(line)
    assert '\n' not in str(caught.value)


def test_the_limits_are_exact():
    assert decode(b'{}' + b' ' * 8, 10) == {}
    with pytest.raises(ProtocolError):
        decode(b'{}' + b' ' * 9, 10)
    assert len(encode({'a': 'x' * 10}, 19)) == 19
    with pytest.raises(ProtocolError):
        encode({'a': 'x' * 11}, 19)


@pytest.mark.parametrize('message', [[], None, {'a': float('nan')}, {'a': object()},
                                     {'a': '\ud800'}])
def test_what_cannot_be_encoded(message):
    with pytest.raises(ProtocolError):
        encode(message)


# -- asking and answering ---------------------------------------------------------------------


def test_asking_through_the_unix_socket(daemon):
    assert daemon.ask({'ask': 'status'}) == {'ok': True, 'echo': {'ask': 'status'}}
    assert daemon.requests[0][1:] == ({'ask': 'status'}, ('unix', os.getuid()))
    daemon.turn_until(lambda: len(daemon.server) == 0)


@pytest.mark.parametrize('host, address', [('127.0.0.1', '127.0.0.1'), ('::1', '::1'),
                                           ('[::1]', '::1')])
def test_asking_by_tcp(daemon, host, address):
    assert daemon.ask({'ask': 'status'}, host=host)['ok'] is True
    assert daemon.requests[0][2] == ('tcp', address)


def test_a_single_tcp_address(tmp_path):
    loop = Loop()
    made = IpcServer(loop, Log('', 'INFO', str(tmp_path / 'log'), 'n', clock), clock)
    port = free_port()
    made.open(lambda *args: None, str(tmp_path), port, address='127.0.0.2')
    socket.create_connection(('127.0.0.2', port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', port))
    made.close()
    loop.close()


def test_the_answer_may_come_later(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: None)
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(
        ask({'ask': 'attach'}, port=daemon.port, socket_dir=daemon.directory)))
    thread.start()
    daemon.turn_until(lambda: daemon.requests)
    for _ in range(5):
        daemon.turn()
    assert outcome == []
    asker = daemon.requests[0][0]
    assert daemon.server.answer(asker, {'ok': True}) is True
    daemon.turn_until(lambda: outcome)
    thread.join()
    assert outcome == [{'ok': True}]
    assert daemon.server.answer(asker, {'ok': False}) is False
    daemon.close()


def test_a_client_that_has_gone_is_no_problem(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: None)
    connection = daemon.connect()
    connection.sendall(b'{"ask": "status"}\n')
    daemon.turn_until(lambda: daemon.requests)
    connection.close()
    for _ in range(3):
        daemon.turn()
    daemon.server.answer(daemon.requests[0][0], {'ok': True, 'text': 'x' * 900000})
    daemon.turn_until(lambda: len(daemon.server) == 0)
    daemon.close()


def test_a_client_that_closed_its_side_still_gets_its_answer_and_costs_no_time(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: None)
    with daemon.connect() as connection:
        connection.sendall(b'{"ask": "status"}\n')
        connection.shutdown(socket.SHUT_WR)
        daemon.turn_until(lambda: daemon.requests)
        daemon.turn()
        assert daemon.loop.run_once(clock()) == 0, 'the loop must not spin on the closed side'
        daemon.server.answer(daemon.requests[0][0], {'ok': True})
        assert connection.recv(100) == b'{"ok":true}\n'
    daemon.close()


@pytest.mark.parametrize('family', [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6])
def test_a_change_that_is_read_after_its_client_has_gone_is_not_made(daemon, family):
    with daemon.connect(family) as connection:
        connection.sendall(b'{"ask": "promote"}\n')
    daemon.turn_until(lambda: log_lines(daemon))
    daemon.turn_until(lambda: len(daemon.server) == 0)
    assert daemon.requests == []
    line, = log_lines(daemon)
    assert 'promote' in line and 'has gone' in line and 'nothing is done' in line


def test_a_trial_of_a_change_and_a_question_need_no_client_that_waits(daemon):
    for data in (b'{"ask": "promote", "dry_run": true}\n', b'{"ask": "status"}\n',
                 b'{"ask": ["promote"]}\n'):
        with daemon.connect() as connection:
            connection.sendall(data)
        daemon.turn_until(lambda: len(daemon.server) == 0 and daemon.requests)
        assert daemon.requests.pop()[1] == decode(data)


def test_who_closed_only_its_own_side_is_told_that_its_change_is_not_made(daemon):
    answer = decode(daemon.talk(b'{"ask": "attach"}\n', end=True))
    assert answer['ok'] is False and 'leave the connection open' in answer['reason']
    assert daemon.requests == []


def test_changes_whose_clients_have_gone_are_logged_at_a_bounded_rate(daemon):
    for _ in range(20):
        daemon.talk(b'{"ask": "attach"}\n', end=True)
    assert daemon.requests == [] and len(log_lines(daemon)) == 1
    for family in (socket.AF_INET, socket.AF_UNIX):
        with daemon.connect(family) as connection:
            connection.sendall(b'{"ask": "promote"}\n')
    daemon.turn_until(lambda: daemon.server.left == 22)
    assert len(log_lines(daemon)) == 3, 'an operator looks for the line of each kind'


def test_a_big_answer_comes_whole(tmp_path):
    text = 'x' * (protocol.ANSWER_BYTES_MAX - 100)
    daemon = Daemon(str(tmp_path), answer=lambda request: {'ok': True, 'text': text})
    for host in (None, '127.0.0.1'):
        assert daemon.ask({'ask': 'x'}, host=host) == {'ok': True, 'text': text}
    daemon.close()


def test_an_answer_that_is_too_big_is_said(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: {'text': 'x' * (1 << 20)})
    answer = daemon.ask({'ask': 'x'})
    assert answer['ok'] is False and 'expected at most 1048576' in answer['reason']
    daemon.close()


# -- junk, and clients that cost too much -----------------------------------------------------


@pytest.mark.parametrize('data, end', [
    (b'junk\n', False), (b'{"a": 1}\n{"b": 2}\n', False), (b'[]\n', False), (b'\n', False),
    (b'{"ask": "status"}', True), (b'GET / HTTP/1.1\r\n\r\n', False), (b'\x00' * 70000, False)])
def test_junk_is_counted_answered_and_changes_nothing(daemon, data, end):
    answer = decode(daemon.talk(data, end))
    assert answer['ok'] is False and answer['reason'].startswith('malformed request: ')
    assert daemon.requests == []
    assert daemon.server.malformed == 1
    assert daemon.ask({'ask': 'status'})['ok'] is True


@given(strategies.binary(max_size=200))
def test_any_bytes_leave_the_server_well(data):
    import tempfile
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(directory)
        daemon.talk(data, end=True)
        daemon.turn_until(lambda: len(daemon.server) == 0)
        assert daemon.server.malformed + len(daemon.requests) <= 1
        daemon.close()


def test_junk_is_logged_at_a_bounded_rate(daemon):
    for _ in range(20):
        daemon.talk(b'junk\n')
    assert daemon.server.malformed == 20
    assert len([line for line in log_lines(daemon) if 'malformed' in line]) == 1


def test_who_connects_and_leaves_is_not_malformed(daemon):
    assert daemon.talk(b'', end=True) == b''
    assert daemon.server.malformed == 0


def test_a_request_in_pieces_is_one(daemon):
    received = []
    with daemon.connect() as connection:
        for part in (b'{"ask"', b': "sta', b'tus"}', b'\n'):
            connection.sendall(part)
            daemon.turn()
        daemon.turn_until(lambda: drain(connection, received))
    assert decode(b''.join(received))['echo'] == {'ask': 'status'}


def test_the_idle_are_dropped_after_ten_seconds_even_if_they_drip(daemon):
    received = []
    with daemon.connect() as idle, daemon.connect() as dripping:
        daemon.turn_until(lambda: len(daemon.server) == 2)
        daemon.shift = 9.0
        dripping.sendall(b'{')
        for _ in range(3):
            daemon.turn()
        assert len(daemon.server) == 2
        assert daemon.server.next_deadline() - daemon.now() < 1.5
        daemon.shift = 10.5
        daemon.turn_until(lambda: len(daemon.server) == 0)
        assert drain(idle, received)
    assert daemon.server.next_deadline() is None


def test_who_does_not_take_the_answer_is_dropped(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: {'text': 'x' * 1000000})
    with daemon.connect() as connection:
        connection.sendall(b'{}\n')
        daemon.turn_until(lambda: daemon.requests)
        for _ in range(3):
            daemon.turn()
        assert len(daemon.server) == 1
        daemon.shift = 11.0
        daemon.turn_until(lambda: len(daemon.server) == 0)
    daemon.close()


def test_a_request_that_is_never_answered_ends(tmp_path):
    daemon = Daemon(str(tmp_path), answer=lambda request: None)
    received = []
    with daemon.connect() as connection:
        connection.sendall(b'{}\n')
        daemon.turn_until(lambda: daemon.requests)
        daemon.shift = server.ANSWER_SECONDS + 1
        daemon.turn_until(lambda: drain(connection, received))
    assert decode(b''.join(received))['ok'] is False
    daemon.close()


def test_too_many_are_told_busy(daemon):
    crowd = []
    for _ in range(server.CLIENTS_MAX):
        crowd.append(daemon.connect())
        daemon.turn()
    daemon.turn_until(lambda: len(daemon.server) == server.CLIENTS_MAX)
    answer = daemon.ask({'ask': 'status'})
    assert answer['ok'] is False and answer['reason'].startswith('busy: ')
    assert daemon.server.refused == 1 and daemon.requests == []
    for connection in crowd:
        connection.close()
    daemon.turn_until(lambda: len(daemon.server) == 0)
    assert daemon.ask({'ask': 'status'})['ok'] is True


def test_a_crowd_on_the_network_does_not_lock_out_this_host(daemon):
    crowd = []
    for _ in range(server.TCP_CLIENTS_MAX + 10):
        crowd.append(daemon.connect(socket.AF_INET))
        daemon.turn()
    daemon.turn_until(lambda: daemon.server.refused == 10)
    assert daemon.ask({'ask': 'x'}, host='127.0.0.1')['reason'].startswith('busy: ')
    assert daemon.ask({'ask': 'x'})['ok'] is True
    for connection in crowd:
        connection.close()


def test_running_out_of_descriptors_does_not_make_the_loop_spin(daemon, monkeypatch):
    class Exhausted:
        """The UNIX listener, at the limit of open files."""

        def __init__(self, real):
            self.real = real

        def accept(self):
            raise OSError(24, 'Too many open files')

    with daemon.connect():
        daemon.server._door.accept(Exhausted(None))
        assert daemon.loop.run_once(clock()) == 0
        assert daemon.server.next_deadline() is not None
        daemon.shift = 2.0
        daemon.turn_until(lambda: len(daemon.server) == 1)


# -- sockets that are there already -----------------------------------------------------------


def test_the_sockets_mode_and_removal(tmp_path):
    daemon = Daemon(str(tmp_path))
    path = str(tmp_path / ('.s.AHM.%d' % daemon.port))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    daemon.close()
    assert not os.path.exists(path)


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path):
    port = free_port()
    path = str(tmp_path / ('.s.AHM.%d' % port))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert os.path.exists(path)
    daemon = Daemon(str(tmp_path), port)
    assert daemon.ask({'ask': 'x'})['ok'] is True
    daemon.close()


def test_a_living_daemon_is_not_disturbed(tmp_path, daemon):
    second = IpcServer(daemon.loop, daemon.log, clock)
    with pytest.raises(IpcError) as caught:
        second.open(lambda *args: None, daemon.directory, daemon.port)
    assert 'another AHM daemon listens on' in str(caught.value)
    assert daemon.ask({'ask': 'x'})['ok'] is True


def test_a_port_in_use_is_said_and_nothing_is_left(tmp_path):
    with socket.socket() as other:
        other.bind(('0.0.0.0', 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(IpcError) as caught:
            Daemon(str(tmp_path), port)
    assert 'TCP 0.0.0.0 port %d' % port in str(caught.value)
    assert 'set another ipc_port' in str(caught.value)
    assert not os.path.exists(str(tmp_path / ('.s.AHM.%d' % port)))


def test_a_path_that_is_too_long_is_said(tmp_path):
    directory = tmp_path / ('d' * 100)
    directory.mkdir()
    with pytest.raises(IpcError) as caught:
        Daemon(str(directory))
    assert 'expected at most 107; set a shorter socket_dir' in str(caught.value)


def test_what_is_no_socket_is_not_removed(tmp_path):
    port = free_port()
    precious = tmp_path / ('.s.AHM.%d' % port)
    precious.write_text('precious')
    with pytest.raises(IpcError):
        Daemon(str(tmp_path), port)
    assert precious.read_text() == 'precious'


def test_a_missing_directory_is_said(tmp_path):
    made = IpcServer(Loop(), None, clock)
    with pytest.raises(IpcError) as caught:
        made.open(lambda *args: None, str(tmp_path / 'nowhere'), free_port())
    assert 'check that socket_dir exists' in str(caught.value)


# -- client -----------------------------------------------------------------------------------


def test_nobody_there(tmp_path):
    with pytest.raises(NoDaemon) as caught:
        ask({'ask': 'x'}, port=9, socket_dir=str(tmp_path))
    assert str(tmp_path / '.s.AHM.9') in str(caught.value)
    assert '"ahm start"' in str(caught.value)
    with pytest.raises(NoDaemon) as caught:
        ask({'ask': 'x'}, host='127.0.0.1', port=free_port())
    assert 'Connection refused' in str(caught.value)
    with pytest.raises(NoDaemon) as caught:
        ask({'ask': 'x'}, host='no such host')
    assert 'no such host' in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('host', ['a..b', 'a' * 64, '.a', 'a' * 70 + '.example.com'])
def test_a_host_name_with_a_label_that_is_empty_or_too_long_is_not_known(host):
    with pytest.raises(NoDaemon) as caught:
        ask({'ask': 'x'}, host=host)
    line = str(caught.value)
    assert line.startswith('the host %s is not known (' % host) and line.endswith('check -h')


def test_a_stopped_daemon_is_waited_for_within_the_limit(tmp_path):
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / '.s.AHM.9595'))
        stopped.listen(5)
        started_at = clock()
        with pytest.raises(NoDaemon) as caught:
            ask({'ask': 'x'}, socket_dir=str(tmp_path), limit=0.2)
        assert clock() - started_at < 5
    assert 'did not answer within 0.2 s' in str(caught.value)


@pytest.mark.parametrize('request_, kind', [
    ({'ask': 'promote'}, NoAnswer), ({'ask': 'attach'}, NoAnswer), ({'ask': 'shutdown'}, NoAnswer),
    ({'ask': 'pause'}, NoAnswer), ({'ask': 'resume'}, NoAnswer),
    ({'ask': 'promote', 'dry_run': True}, NoDaemon), ({'ask': 'task', 'task': 1}, NoDaemon)])
def test_no_answer_to_a_change_says_what_will_become_of_it(tmp_path, request_, kind):
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / '.s.AHM.9595'))
        stopped.listen(5)
        with pytest.raises(NoDaemon) as caught:
            ask(request_, socket_dir=str(tmp_path), limit=0.1)
    assert type(caught.value) is kind
    line = str(caught.value)
    assert 'did not answer within 0.1 s' in line and '\n' not in line
    assert ('drops' in line and 'ahm_cluster_status' in line) == (kind is NoAnswer)


@pytest.mark.parametrize('answer', [b'', b'220 mail.example.com ESMTP\r\n', b'{"ok"',
                                    b'x' * (protocol.ANSWER_BYTES_MAX + 100000)])
def test_what_is_no_daemon(answer):
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                try:
                    connection.sendall(answer)
                except OSError:
                    pass
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ProtocolError) as caught:
            ask({'ask': 'x'}, host='127.0.0.1', port=listener.getsockname()[1])
        thread.join()
    assert '\n' not in str(caught.value)


def test_a_request_that_is_too_long_is_not_sent():
    with pytest.raises(ProtocolError):
        ask({'ask': 'x' * protocol.REQUEST_BYTES_MAX})


def test_no_permission_is_not_nobody_there(tmp_path, monkeypatch):
    class Forbidden(socket.socket):
        def connect(self, address):
            raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(client.socket, 'socket', Forbidden)
    with pytest.raises(client.NotAllowed) as caught:
        ask({'ask': 'x'}, socket_dir=str(tmp_path))
    assert 'run this as the user that runs the daemon' in str(caught.value)
    (tmp_path / '.s.AHM.9595').write_text('')           # its owner is who has to ask
    with pytest.raises(client.NotAllowed) as caught:
        ask({'ask': 'x'}, socket_dir=str(tmp_path))
    assert 'run this as %s, who runs' % users.called(os.getuid()) in str(caught.value)
