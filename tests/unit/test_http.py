"""HTTP: requests of anybody, the server in its loop, and the checks as functions of a View."""

import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.http import request as requests
from ahmlib.http import server as servers
from ahmlib.http.health import CHECKS, OLDER_SPELLING, bytes_of
from ahmlib.http.request import HEAD_BYTES_MAX, BadRequest, Request, end_of_head, parse
from ahmlib.http.response import BODY_BYTES_MAX, Response, as_json, render
from ahmlib.http.server import HttpServer, IpcError
from ahmlib.http.view import ASYNC, QUORUM, SYNC, View
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import Loop, clock

from .test_ipc import drain, free_port

CHECK = b'OPTIONS / HTTP/1.0\r\n\r\n'
LIMIT = 20


# -- requests ----------------------------------------------------------------------------------


def asked(head):
    """The Request of a whole head."""
    assert end_of_head(head) == len(head)
    return parse(head)


def refusal(data):
    """The code by which this is refused."""
    with pytest.raises(BadRequest) as caught:
        end = end_of_head(data)
        assert end is not None, 'it waits for more'
        parse(data[:end])
    assert caught.value.reason
    return caught.value.code


def test_what_haproxy_prometheus_and_a_browser_send_is_read():
    assert asked(CHECK) == Request('OPTIONS', '/')
    found = asked(b'GET /metrics?names=patroni HTTP/1.1\r\nHost: h:8008\r\nAccept: */*\r\n\r\n')
    assert found == Request('GET', '/metrics', (('names', 'patroni'),),
                            {'host': 'h:8008', 'accept': '*/*'})
    assert asked(b'HEAD /replica?lag=16MB&lag=1%4db HTTP/1.0\n\n').values('lag') == ['16MB', '1Mb']


@pytest.mark.parametrize('target, path', [
    ('//primary', '/primary'), ('/primary/', '/primary'), ('/', '/'), ('//', '/'),
    ('http://h:8008/primary?lag=1', '/primary'), ('http://h', '/'), ('/a//b/', '/a/b'),
    ('/%70rimary', '/%70rimary'), ('/primary#x', '/primary')])
def test_a_path_is_one_whatever_slashes_it_has(target, path):
    assert asked(b'GET %s HTTP/1.1\r\n\r\n' % target.encode()).path == path


@pytest.mark.parametrize('data, code', [
    (b'\x16\x03\x01\x02\x00\x01\x00', 400), (b'\x00', 400), (b'get / HTTP/1.1\r\n\r\n', 400),
    (b'GET /\r\n\r\n', 400), (b'GET / HTTP/2.0\r\n\r\n', 400), (b'GET  / HTTP/1.1\r\n\r\n', 400),
    (b'GET primary HTTP/1.1\r\n\r\n', 400), (b'OPTIONS * HTTP/1.1\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\nno header\r\n\r\n', 400), (b'GET / HTTP/1.1\r\n : x\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello', 413),
    (b'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n', 413),
    (b'GET /?' + b'&' * 16 + b' HTTP/1.1\r\n\r\n', 400),
    (b'GET / HTTP/1.1\r\nA: ' + b'x' * HEAD_BYTES_MAX, 431),
    (b'GET / HTTP/1.1\r\nA: ' + b'x' * HEAD_BYTES_MAX + b'\r\n\r\n', 431)])
def test_what_is_no_request_is_refused_with_its_own_status(data, code):
    assert refusal(data) == code


def test_a_body_is_of_no_matter_where_the_method_is_refused_anyhow():
    assert asked(b'POST /switchover HTTP/1.1\r\nContent-Length: 9\r\n\r\n').method == 'POST'


def test_a_head_is_waited_for_until_its_empty_line_has_come():
    for length in range(len(CHECK)):
        assert end_of_head(CHECK[:length]) is None
    assert end_of_head(CHECK + b'GET /pipelined') == len(CHECK)


PIECES = st.sampled_from([b'GET', b' ', b'/', b'primary', b'?', b'lag=', b'&', b'%', b'%f', b'\r\n',
                          b'\n', b'HTTP/1.1', b'HTTP/1.0', b':', b'Host', b'Content-Length', b'0',
                          b'\x00', b'\xff', b'\t', b'#', b'http://', b'9' * 30])


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b''.join),
                 st.lists(PIECES, max_size=20).map(
                     lambda pieces: b'GET /' + b''.join(pieces) + b' HTTP/1.1\r\n\r\n')))
def test_no_bytes_raise_anything_but_a_refusal(data):
    try:
        end = end_of_head(data)
        found = None if end is None else parse(data[:end])
    except BadRequest as refused:
        assert refused.code in (400, 413, 431)
        return
    assert found is None or found.path.startswith('/') and isinstance(found.query, tuple)


# -- answers -----------------------------------------------------------------------------------


def test_an_answer_is_closed_and_kept_by_nobody_on_the_way():
    data = render(as_json(200, {'a': 1}), 'GET')
    head, body = data.split(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    assert lines[0] == 'HTTP/1.1 200 OK' and body == b'{"a": 1}\n'
    assert {'Connection: close', 'Cache-Control: no-store', 'Content-Length: 9',
            'X-Content-Type-Options: nosniff'} <= set(lines)
    assert not [line for line in lines if line.startswith('Access-Control')]
    assert render(as_json(200, {'a': 1}), 'HEAD') == head + b'\r\n\r\n'
    assert b'Content-Length: 0\r\n' in render(as_json(503, {}), 'OPTIONS')


def test_a_body_has_a_limit():
    assert render(Response(200, b'x' * (BODY_BYTES_MAX + 1)), 'GET').startswith(b'HTTP/1.1 503 ')


# -- the checks --------------------------------------------------------------------------------

PRIMARY = View(serves=True, checked_well=True)
STREAMS = View(standby=True, streams=True, applied_lag=1000, written_lag=10, confirms=ASYNC,
               checked_well=True)
ALL = set(CHECKS)
PRIMARY_PATHS = {'/', '/primary', '/read-write', '/leader', OLDER_SPELLING}
#: What a primary is as well as a replica.
EITHER = {'/read-only', '/read-only-sync', '/read-only-synchronous', '/read-only-quorum'}
ALWAYS = {'/health', '/patroni', '/liveness', '/readiness'}


def passes(view, query=''):
    """The paths that are 200 for this View."""
    found = set()
    for path in CHECKS:
        request = asked(('GET %s?%s HTTP/1.1\r\n\r\n' % (path, query)).encode())
        if CHECKS[path](request, view):
            found.add(path)
    return found


def test_who_serves_is_the_primary_and_nothing_else():
    assert passes(PRIMARY) == PRIMARY_PATHS | EITHER | ALWAYS


def test_the_paths_of_the_primary_do_not_ask_for_tags_or_lag():
    assert PRIMARY_PATHS < passes(PRIMARY, 'tag_nofailover=true&lag=none')


@pytest.mark.parametrize('confirms, paths', [
    (ASYNC, {'/async', '/asynchronous'}),
    (SYNC, {'/sync', '/synchronous', '/read-only-sync', '/read-only-synchronous'}),
    (QUORUM, {'/quorum', '/read-only-quorum'}), (None, set())])
def test_a_replica_is_one_and_what_commits_wait_for(confirms, paths):
    assert passes(STREAMS._replace(confirms=confirms)) == {
        '/replica', '/read-only'} | paths | ALWAYS


def test_nobody_is_the_leader_of_a_standby_cluster():
    assert not {'/standby-leader', '/standby_leader'} & (passes(PRIMARY) | passes(STREAMS))


@pytest.mark.parametrize('query, is_one', [
    ('lag=1000', True), ('lag=999', False), ('lag=1kB', True), ('lag=1%20kb', True),
    ('lag=1MB&lag=10', False), ('lag=', False), ('lag=-1', False), ('lag=1XB', False),
    ('lag=1.5MB', False), ('lag=%C2%B2', False), ('replication_state=streaming', True),
    ('replication_state=catchup', False), ('tag_clonefrom=true', False), ('tag_=', False)])
def test_a_replica_is_what_the_query_asks_for_and_a_doubt_is_none(query, is_one):
    assert ('/replica' in passes(STREAMS, query)) is is_one
    assert '/replica' not in passes(STREAMS._replace(applied_lag=None), 'lag=1GB')


def test_a_standby_that_does_not_stream_is_a_replica_and_not_ready():
    view = STREAMS._replace(streams=False)
    assert '/replica' in passes(view) and '/readiness' not in passes(view)
    assert '/replica' not in passes(view, 'replication_state=streaming')


def test_readiness_counts_what_was_replayed_or_what_was_received():
    assert '/readiness' not in passes(STREAMS, 'lag=100')
    assert '/readiness' in passes(STREAMS, 'lag=100&mode=write')
    assert '/readiness' not in passes(STREAMS, 'lag=100&mode=apply')
    assert '/readiness' not in passes(STREAMS, 'mode=other')
    assert '/readiness' not in passes(STREAMS._replace(written_lag=None), 'lag=1GB&mode=write')


def test_health_is_the_check_and_liveness_is_the_daemon():
    assert passes(View(stuck='the disk')) == set()
    assert passes(View()) == {'/liveness'}
    assert passes(View(checked_well=True)) == {'/liveness', '/health', '/patroni'}


@given(st.builds(View, st.booleans(), st.booleans(), st.booleans(),
                 st.none() | st.integers(0, 10 ** 12), st.none() | st.integers(0, 10 ** 12),
                 st.sampled_from([SYNC, QUORUM, ASYNC, None]), st.booleans(), st.just('')),
       st.sampled_from(['', 'lag=1MB', 'replication_state=streaming', 'tag_a=b']))
def test_no_view_is_the_primary_and_a_replica(view, query):
    found = passes(view, query)
    assert PRIMARY_PATHS <= found if view.serves else not PRIMARY_PATHS & found
    assert not (view.serves and {'/replica', '/sync', '/quorum', '/async'} & found)


def test_units():
    assert [bytes_of(text) for text in ('0', '7B', '1kB', '16MB', '2GB', '1 TB', 'x', '')] == [
        0, 7, 1024, 16 * 1024 ** 2, 2 * 1024 ** 3, 1024 ** 4, None, None]


# -- the server --------------------------------------------------------------------------------


class Daemon:
    """A server whose clock the test owns, in a loop that the test turns."""

    def __init__(self, directory, address='127.0.0.1'):
        self.loop, self.shift = Loop(), 0.0
        self.log_path = os.path.join(directory, 'log')
        self.log = Log('%l ', 'DEBUG', self.log_path, 'n', clock)
        self.code, self.asked, self.answered = 200, [], []
        self.body = b'{}\n'
        self.server = HttpServer(self.loop, self.log, self.now, self.answer,
                                 lambda request, code: self.answered.append(code))
        self.port = free_port()
        self.server.open(self.port, address)

    def now(self):
        return clock() + self.shift

    def answer(self, request):
        self.asked.append(request)
        return Response(self.code, self.body)

    def turn(self):
        self.loop.run_once(clock() + 0.01)
        self.server.expire(self.now())

    def turn_until(self, predicate, seconds=LIMIT):
        limit = clock() + seconds
        while not predicate():
            assert clock() < limit, 'it did not happen within %g s' % seconds
            self.turn()

    def connect(self, data=b'', source=None):
        connection = socket.create_connection(
            ('127.0.0.1', self.port), LIMIT, (source, 0) if source else None)
        connection.setblocking(False)
        connection.sendall(data)
        return connection

    def hears(self, connection):
        """All that comes until the server closes its side."""
        received = []
        self.turn_until(lambda: drain(connection, received))
        return b''.join(received)

    def talk(self, data):
        """Send this; all that comes back."""
        with self.connect(data) as connection:
            return self.hears(connection)

    def close(self):
        self.server.close()
        self.loop.close()
        self.log.close()


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(str(tmp_path))
    yield made
    made.close()


def has_status(data, code):
    """Whether these bytes are an answer of this status."""
    return data.startswith(b'HTTP/1.1 %d ' % code)


def test_a_check_is_answered_and_closed(daemon):
    assert has_status(daemon.talk(CHECK), 200)
    daemon.code = 503
    assert has_status(daemon.talk(b'GET /primary HTTP/1.1\r\nHost: a\r\n\r\n'), 503)
    assert [request.path for request in daemon.asked] == ['/', '/primary']
    assert daemon.answered == [200, 503]
    daemon.turn_until(lambda: not len(daemon.server))


def test_a_head_that_comes_byte_by_byte_is_one(daemon):
    with daemon.connect() as connection:
        for byte in CHECK:
            connection.sendall(bytes([byte]))
            daemon.turn()
        assert has_status(daemon.hears(connection), 200)


def test_what_is_pipelined_is_ignored_and_loses_no_answer(daemon):
    """A close with unread bytes would reset the connection, and the answer with it."""
    data = daemon.talk(CHECK + b'GET /metrics HTTP/1.1\r\n\r\n' + b'x' * 100000)
    assert has_status(data, 200) and data.count(b'HTTP/1.1 ') == 1
    assert len(daemon.asked) == 1


def test_a_body_that_is_refused_is_told_so_while_it_is_being_sent(daemon):
    head = b'GET / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n'
    assert has_status(daemon.talk(head + b'x' * 200000), 413)
    assert daemon.asked == [] and daemon.answered == [413]


def test_who_shakes_hands_for_tls_is_told_at_once(daemon):
    """A field story: one such client kept a single-threaded server of health checks busy."""
    assert has_status(daemon.talk(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'), 400)


def test_a_check_that_resets_the_connection_once_it_knows_the_status_is_nothing_to_tell(daemon):
    """HAProxy does so, to save ports."""
    with daemon.connect(CHECK) as connection:
        daemon.turn_until(lambda: daemon.answered)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    daemon.turn_until(lambda: not len(daemon.server))
    assert 'WARNING' not in open(daemon.log_path).read()


def test_who_sends_no_whole_head_is_dropped_after_a_while(daemon):
    with daemon.connect(CHECK[:-1]) as connection:
        daemon.turn_until(lambda: len(daemon.server))
        daemon.shift += servers.HEAD_SECONDS
        assert daemon.hears(connection) == b'' and daemon.asked == []


def test_who_does_not_close_is_closed_a_second_after_its_answer(daemon):
    with daemon.connect(CHECK) as connection:
        assert has_status(daemon.hears(connection), 200)
        assert len(daemon.server) == 1
        daemon.shift += servers.END_SECONDS
        daemon.turn_until(lambda: not len(daemon.server))
        assert connection.fileno() != -1


def test_who_does_not_read_its_answer_is_dropped_after_a_while(daemon):
    daemon.body = b'x' * BODY_BYTES_MAX
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with small:
        small.connect(('127.0.0.1', daemon.port))
        small.sendall(b'GET /status HTTP/1.1\r\n\r\n')
        daemon.turn_until(lambda: daemon.answered)
        daemon.turn()
        held = len(daemon.server)
        daemon.shift += servers.ANSWER_SECONDS
        daemon.turn_until(lambda: not len(daemon.server))
    assert held == 1


def test_what_is_told_is_as_of_the_first_byte_that_leaves(daemon, monkeypatch):
    """While the socket takes nothing the answer is not fixed: a lease may end meanwhile."""
    full = [True]
    real = socket.socket.send

    class Stubborn(socket.socket):
        """Takes nothing while it is full."""

        def send(self, data, *flags):
            if full[0]:
                raise BlockingIOError
            return real(self, data, *flags)
    accept = socket.socket.accept

    def accepted(listener):
        connection, address = accept(listener)
        return Stubborn(fileno=connection.detach()), address
    monkeypatch.setattr(socket.socket, 'accept', accepted)
    with daemon.connect(CHECK) as connection:
        daemon.turn_until(lambda: daemon.asked)
        assert daemon.answered == []
        daemon.code, full[0] = 503, False
        assert has_status(daemon.hears(connection), 503)
    assert daemon.answered == [503]


def test_slow_clients_of_one_source_take_no_place_of_another_one(daemon):
    slow = [daemon.connect(b'GET / HTTP/1.1\r\nA: %d' % number, '127.0.0.2')
            for number in range(3 * servers.SOURCE_CLIENTS_MAX)]
    daemon.turn_until(lambda: daemon.server.crowded == 2 * servers.SOURCE_CLIENTS_MAX)
    assert len(daemon.server) == servers.SOURCE_CLIENTS_MAX
    assert has_status(daemon.talk(CHECK), 200)
    for connection in slow:
        connection.close()


def test_a_check_is_answered_beside_any_number_of_slow_clients(daemon):
    """The bound is of places, not of time: nobody waits for who is slow."""
    slow = []
    for number in range(240):
        slow.append(daemon.connect(b'G', '127.0.0.%d' % (2 + number % 60)))
        daemon.turn()
    for number in range(40):
        assert has_status(daemon.talk(CHECK), 200), number
        slow.append(daemon.connect(b'GET / HTTP/1.1\r\n', '127.0.0.%d' % (2 + number)))
    assert len(daemon.server) <= servers.CLIENTS_MAX
    for connection in slow:
        connection.close()


def test_who_has_sent_least_loses_its_place_and_before_it_who_was_answered(daemon):
    first = [daemon.connect(b'GET / HT', '127.0.1.1')]
    first += [daemon.connect(b'GET / HTTP/1.1\r\n', '127.0.1.1')
              for _ in range(servers.SOURCE_CLIENTS_MAX - 2)]
    daemon.turn_until(lambda: len(daemon.server) == servers.SOURCE_CLIENTS_MAX - 1)
    with daemon.connect(CHECK, '127.0.1.1') as answered:
        assert has_status(daemon.hears(answered), 200)
        first.append(daemon.connect(b'GET / HTTP/1.1\r\n', '127.0.1.1'))
        daemon.turn_until(lambda: daemon.server.crowded == 1)
        assert len(daemon.server) == servers.SOURCE_CLIENTS_MAX
        first.append(daemon.connect(b'GET / HTTP/1.1\r\n', '127.0.1.1'))
        assert daemon.hears(first[0]) == b''
    for connection in first:
        connection.close()


def test_a_port_that_is_taken_keeps_it_from_opening_and_says_which_parameter(daemon, tmp_path):
    other = HttpServer(daemon.loop, daemon.log, clock, daemon.answer, lambda *told: None)
    with pytest.raises(IpcError) as caught:
        other.open(daemon.port, '127.0.0.1')
    assert 'set another http_port' in str(caught.value)


def test_ipv6_is_served_where_the_host_has_it(tmp_path):
    if not socket.has_ipv6 or not os.path.exists('/proc/net/if_inet6'):
        pytest.skip('this host has no IPv6')
    daemon = Daemon(str(tmp_path), None)
    try:
        with socket.create_connection(('::1', daemon.port), LIMIT) as connection:
            connection.setblocking(False)
            connection.sendall(CHECK)
            assert has_status(daemon.hears(connection), 200)
    finally:
        daemon.close()


@given(st.lists(st.one_of(st.binary(max_size=60), PIECES, st.just(CHECK)), max_size=12))
def test_no_bytes_of_a_client_end_the_server(pieces):
    daemon = SHARED.daemon()
    with daemon.connect() as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:         # it was answered, and is closed
                break
            daemon.turn()
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        daemon.hears(connection)
    assert has_status(daemon.talk(CHECK), 200)


class Shared:
    """One Daemon for all examples of a property."""

    made = None

    def daemon(self):
        """It, made at the first use."""
        if self.made is None:
            self.made = Daemon(SHARED_DIRECTORY[0])
        return self.made


SHARED, SHARED_DIRECTORY = Shared(), []


@pytest.fixture(scope='module', autouse=True)
def shared_directory(tmp_path_factory):
    """Where the log of the shared Daemon is."""
    SHARED_DIRECTORY[:] = [str(tmp_path_factory.mktemp('http'))]
    yield
    if SHARED.made is not None:
        SHARED.made.close()


def test_the_limits_are_those_that_are_told():
    assert (servers.CLIENTS_MAX, servers.SOURCE_CLIENTS_MAX, requests.HEAD_BYTES_MAX,
            servers.HEAD_SECONDS, servers.END_SECONDS) == (32, 8, 8192, 5.0, 1.0)
    assert json.loads(as_json(200, {}).body.decode()) == {}
