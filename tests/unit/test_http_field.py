"""Stories of the field: how load balancers and monitors of others' health checks came to grief.

Each test says which one it is.  What was right here already is pinned all the same.
"""

import http.client
import io
import json
import socket

import pytest

from ahmlib.http import pages
from ahmlib.http import server as servers
from ahmlib.http.request import BadRequest, Request, end_of_head, parse
from ahmlib.http.response import as_json, render

from .test_http import CHECK, Daemon, has_status
from .test_http_metrics import Driver, checked, metrics_of, site_of


@pytest.fixture
def daemon(tmp_path):
    """A server in a loop that the test turns."""
    made = Daemon(str(tmp_path))
    yield made
    made.close()


class Wire:
    """Where a socket is: bytes that came."""

    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        """To be read from."""
        return io.BytesIO(self.data)


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'OPTIONS'])
def test_an_answer_is_a_whole_one_whatever_is_asked(method):
    """HAProxy from 2.2 on reads answers as HTTP: a bare status line, which others send to OPTIONS,
    is no answer to it, and the server is down."""
    response = http.client.HTTPResponse(Wire(render(as_json(200, {}), method)), method=method)
    response.begin()
    assert response.status == 200 and response.read() == (b'{}\n' if method == 'GET' else b'')
    assert response.headers['Content-Length'] == ('0' if method == 'OPTIONS' else '3')
    assert not response.headers.defects and response.headers['Connection'] == 'close'


@pytest.mark.parametrize('head', [
    # HAProxy: the default, with a header hidden behind the version, and by http-check send.
    'OPTIONS / HTTP/1.0\r\n\r\n', 'OPTIONS / HTTP/1.1\r\nHost: pg\r\n\r\n',
    'OPTIONS / HTTP/1.1\r\nhost: pg\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    # keepalived, Consul, a load balancer of a cloud, a probe of Kubernetes, curl by its proxy.
    'GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 192.0.2.11\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a:8008\r\nUser-Agent: Consul Health Check\r\nAccept: text/plain, '
    'text/*, */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: 10.0.0.1:8008\r\nConnection: keep-alive\r\nUser-Agent: '
    'ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8008\r\nUser-Agent: kube-probe/1.30\r\nAccept: */*\r\n'
    'Connection: close\r\n\r\n',
    'GET http://a:8008/ HTTP/1.1\r\nHost: a:8008\r\nProxy-Connection: Keep-Alive\r\n\r\n'])
def test_what_balancers_and_probes_send_is_the_primarys_check(head):
    data = head.encode('ascii')
    assert parse(data[:end_of_head(data)]).path == '/'


@pytest.mark.parametrize('data', [
    b'PROXY TCP4 192.0.2.9 192.0.2.11 5 8008\r\nOPTIONS / HTTP/1.0\r\n\r\n',
    b'\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'])
def test_who_speaks_another_protocol_is_refused_at_once_and_not_kept_waiting(data):
    """`send-proxy` in a server line also counts for its checks; and HTTP/2 without asking."""
    with pytest.raises(BadRequest) as caught:
        parse(data[:end_of_head(data)])
    assert caught.value.code == 400


def test_a_balancer_whose_own_connections_hang_is_answered_all_the_same(daemon):
    """Five connections that a balancer had opened and forgotten took all threads of Patroni's API,
    and its node was down for that very balancer."""
    silent = [daemon.connect() for _ in range(3 * servers.SOURCE_CLIENTS_MAX)]
    for _ in range(5):
        assert has_status(daemon.talk(CHECK), 200)
    assert len(daemon.server) <= servers.SOURCE_CLIENTS_MAX
    for connection in silent:
        connection.close()


def test_a_check_whose_bytes_are_on_their_way_is_no_slow_client(daemon, monkeypatch):
    """Measured: 3 of 298 checks beside 1,000 slow clients lost their place before they spoke."""
    monkeypatch.setattr(servers, 'HEAD_SECONDS', 1000.0)
    monkeypatch.setattr(servers, 'GRACE_SECONDS', 100.0)
    slow = [daemon.connect(b'GET / HTTP/1.1\r\n') for _ in range(servers.SOURCE_CLIENTS_MAX)]
    daemon.turn_until(lambda: len(daemon.server) == len(slow))
    daemon.shift += 200.0
    with daemon.connect() as check:
        daemon.turn_until(lambda: daemon.server.crowded == 1)
        slow += [daemon.connect(b'GET / HTTP/1.1\r\n') for _ in range(3)]
        daemon.turn_until(lambda: daemon.server.crowded == 4)
        check.sendall(CHECK)
        assert has_status(daemon.hears(check), 200)
    for connection in slow:
        connection.close()


def test_a_scan_of_the_port_costs_nothing(daemon):
    """A security scanner's handshakes, resets and half requests froze an API."""
    for data in (b'\x16\x03\x01\x02\x00', b'', b'GET', b'\x00' * 40, b'HELP\r\n\r\n', b'{"a": 1}'):
        with daemon.connect(data) as connection:
            daemon.turn()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    assert has_status(daemon.talk(CHECK), 200)
    daemon.turn_until(lambda: not len(daemon.server))
    log = open(daemon.log_path).read()
    assert 'WARNING' not in log and 'ERROR' not in log


def test_who_goes_before_the_answer_is_written_ends_nothing(daemon):
    """A traceback at the shutdown of a connection that was gone already."""
    with daemon.connect(CHECK) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    for _ in range(5):
        daemon.turn()
    assert has_status(daemon.talk(CHECK), 200) and 'ERROR' not in open(daemon.log_path).read()


def test_what_monitors_compare_is_there_while_the_database_is_down():
    """cluster_unlocked and dcs_last_seen were missing then, and alerts with them."""
    page = pages.node_page(Driver().node, 0, 1.7e9)
    assert page['cluster_unlocked'] is True and page['dcs_last_seen'] == 1700000000
    names = {name.partition('{')[0] for name in metrics_of(Driver(), 'patroni')}
    assert {'patroni_' + name for name in (
        'cluster_unlocked', 'dcs_last_seen', 'postgres_running')} <= names


def test_a_standby_that_does_not_stream_is_not_shown_as_one_that_does(monkeypatch):
    """`running` for a replica that received nothing for hours."""
    monkeypatch.setattr('ahmlib.http.view.is_cut_off', lambda parts: False)
    driver = Driver()
    checked(driver, streaming=False)
    page = json.loads(site_of(driver).answer(Request('GET', '/patroni')).body.decode())
    assert page['role'] == 'replica' and 'replication_state' not in page
    assert metrics_of(driver)['ahm_streaming'] == '0'
    query = (('replication_state', 'streaming'),)
    assert site_of(driver).answer(Request('GET', '/replica')).code == 200
    assert site_of(driver).answer(Request('GET', '/replica', query)).code == 503


@pytest.mark.parametrize('lag', ['1M', '100MB'])
def test_a_lag_that_says_nothing_lets_nobody_pass(monkeypatch, lag):
    """?lag=1M was no unit there, and every replica passed; so did one whose lag nobody knew."""
    monkeypatch.setattr('ahmlib.http.view.is_cut_off', lambda parts: False)
    driver = Driver()
    checked(driver)
    assert site_of(driver).answer(Request('GET', '/replica')).code == 200
    assert site_of(driver).answer(Request('GET', '/replica', (('lag', lag),))).code == 503


def test_every_metric_is_told_of_once_and_has_no_empty_number():
    """A second TYPE line, or a None, and the whole scrape is refused."""
    driver = Driver()
    checked(driver)
    for names in ((), (('names', 'patroni'),)):
        text = site_of(driver).answer(Request('GET', '/metrics', names)).body.decode()
        heads = [line.split()[2] for line in text.splitlines() if line.startswith('# TYPE ')]
        assert len(heads) == len(set(heads)) and 'None' not in text
        for line in text.splitlines():
            assert line.startswith('#') or float(line.rpartition(' ')[2]) >= 0
