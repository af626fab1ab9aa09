"""What 1,000 slow HTTP clients cost the daemon's loop, and the health checks beside them.

    python -m benchmarks.slow_clients [SECONDS [CLIENTS [REPORT.json]]]

Three real databases and daemons on loopback addresses; node 1 leads.  For SECONDS (default: 30) it
is left alone, then for as long it has CLIENTS (default: 1000), each of a source address of its own:
a third sends the head of a request byte by byte, a third asks for the largest page and reads a byte
now and then, a third says nothing.  Who is dropped comes again a second later.  Both times a load
balancer's check is asked ten times a second.

Of both: which share of the steps of the loop took less than 10 ms, the longest class of steps that
came, how many beacons were sent, and how long the checks took to be answered.  It fails where a
check was not answered, or the leader did not lead on in its term.
"""

import json
import multiprocessing
import resource
import selectors
import socket
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.lab.cluster import Cluster
from ahmlib.lab.node import Node

SECONDS, CLIENTS = 30.0, 1000
PORT = 8008
FORM_SECONDS = 120
#: Between two bytes, and between the end of a connection and the next one.
PAUSE_SECONDS = 1.0
CHECK_SECONDS = 0.1
LIMIT_SECONDS = 5.0
SMALL = 0.01
CHECK = b'OPTIONS /primary HTTP/1.0\r\n\r\n'
HEAD = b'GET /metrics HTTP/1.1\r\nHost: slow\r\nX-Slow: ' + b'x' * 200
FIRST_BYTES = 16        # of the head, at once
WHOLE = b'GET /metrics?names=patroni HTTP/1.1\r\nHost: slow\r\n\r\n'
SENDS, READS, IDLES = 'sends', 'reads', 'idles'
BUCKET, BEACONS = 'ahm_loop_lateness_seconds_bucket{le="', 'ahm_beacons_sent_total'


class Seen(NamedTuple):
    """One stretch of time, as it was."""
    name: str
    steps: int
    share_small: float          # of the steps, those under SMALL
    worst_below: str            # the least bound that all steps were under, in seconds
    beacons: int
    checks: int
    unanswered: int
    median_ms: float
    worst_ms: float
    connected: int              # connections of slow clients
    term: int


class Slow:
    """One slow client, which comes again and again."""

    def __init__(self, number: int, target: Tuple[str, int]) -> None:
        self.kind = (SENDS, READS, IDLES)[number % 3]
        self.source = '127.201.%d.%d' % (1 + number // 250, 1 + number % 250)
        self.target, self.sent, self.connections = target, 0, 0
        self.socket: Optional[socket.socket] = None
        self.next_at = 0.0

    def act(self, now: float, selector: selectors.BaseSelector) -> None:
        """Do the next slow thing."""
        self.next_at = now + PAUSE_SECONDS
        try:
            if self.socket is None:
                self._connect(selector)
            elif self.kind == SENDS:
                self.socket.send(HEAD[self.sent % len(HEAD):][:1])
                self.sent += 1
            elif self.kind == READS and not self.socket.recv(1):
                self.drop(selector)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(selector)

    def _connect(self, selector: selectors.BaseSelector) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.socket.bind((self.source, 0))
        self.connections, self.sent = self.connections + 1, 0
        self.socket.connect_ex(self.target)
        selector.register(self.socket, selectors.EVENT_READ if self.kind == IDLES
                          else selectors.EVENT_WRITE, self)

    def happens(self, now: float, selector: selectors.BaseSelector) -> None:
        """It is connected, or something has come: the end, for a slow one."""
        assert self.socket is not None
        try:
            if self.kind == READS:      # and is told of nothing that comes: it looks when it likes
                self.socket.send(WHOLE)
                selector.unregister(self.socket)
                return
            if self.kind == SENDS and not self.sent:
                self.sent = self.socket.send(HEAD[:FIRST_BYTES])
                selector.modify(self.socket, selectors.EVENT_READ, self)
                return
            if self.socket.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.next_at = now + PAUSE_SECONDS
        self.drop(selector)

    def drop(self, selector: selectors.BaseSelector) -> None:
        """Close what there is."""
        if self.socket is not None:
            if self.socket.fileno() in selector.get_map():
                selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


def be_slow(clients: List[Slow], ends: Any, connections: Any) -> None:
    """Let all of them be slow until the end, in a process of their own; how often they came."""
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.next_at = time.monotonic() + PAUSE_SECONDS * number / len(clients)
        while not ends.is_set():
            now = time.monotonic()
            for client in clients:
                if client.next_at <= now:
                    client.act(now, selector)
            for key, _ in selector.select(0.01):
                key.data.happens(time.monotonic(), selector)
        for client in clients:
            client.drop(selector)
    connections.value = sum(client.connections for client in clients)


def asked(node: Node, request: bytes) -> bytes:
    """The whole answer."""
    with socket.create_connection((node.host.address, PORT), LIMIT_SECONDS) as connection:
        connection.sendall(request)
        received = []
        while True:
            data = connection.recv(65536)
            if not data:
                return b''.join(received)
            received.append(data)


def metrics(node: Node) -> Dict[str, float]:
    """{name and labels: value} of /metrics."""
    body = asked(node, b'GET /metrics HTTP/1.0\r\n\r\n').partition(b'\r\n\r\n')[2].decode()
    return {name: float(value) for name, _, value in (
        line.rpartition(' ') for line in body.splitlines() if not line.startswith('#'))}


def checks(node: Node, seconds: float) -> List[Optional[float]]:
    """How long each check took that was asked in that time; None: no 200 came."""
    found: List[Optional[float]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            answer = asked(node, CHECK)
        except OSError:
            answer = b''
        well = answer.startswith(b'HTTP/1.1 200 ')
        found.append(time.monotonic() - began if well else None)
        time.sleep(max(0.0, began + CHECK_SECONDS - time.monotonic()))
    return found


def steps(before: Dict[str, float], after: Dict[str, float]) -> List[Tuple[str, int]]:
    """(bound, how many steps of that time were under it) each, the last of them all."""
    return [(name[len(BUCKET):-2], int(value - before.get(name, 0.0)))
            for name, value in after.items() if name.startswith(BUCKET)]


def stretch(name: str, node: Node, seconds: float, clients: List[Slow]) -> Seen:
    """Watch so long, beside these clients."""
    ends, connections = multiprocessing.Event(), multiprocessing.Value('i', 0)
    # Not a thread: the checks would wait for these clients here, and not for the daemon.
    process = multiprocessing.Process(target=be_slow, args=(clients, ends, connections))
    before = metrics(node)
    process.start()
    took = checks(node, seconds)
    after = metrics(node)
    ends.set()
    process.join()
    counted = steps(before, after)
    total = counted[-1][1]
    small = next(count for bound, count in counted if float(bound) >= SMALL)
    answered = sorted(each for each in took if each is not None) or [0.0]

    def beacons(found: Dict[str, float]) -> float:
        return sum(value for each, value in found.items() if each.startswith(BEACONS))
    return Seen(name, total, small / total, next(bound for bound, count in counted
                                                 if count == total),
                int(beacons(after) - beacons(before)), len(took), took.count(None),
                1000 * answered[len(answered) // 2], 1000 * answered[-1],
                connections.value, int(after['ahm_term']))


def line(seen: Seen) -> str:
    """A line of Markdown."""
    return '| %s | %d | %.3f %% | %s s | %d | %d of %d | %.1f ms | %.1f ms | %d |' % (
        seen.name, seen.steps, 100 * seen.share_small, seen.worst_below, seen.beacons,
        seen.checks - seen.unanswered, seen.checks, seen.median_ms, seen.worst_ms, seen.connected)


def main(seconds: float = SECONDS, clients: float = CLIENTS, report: str = '') -> int:
    """Measure; the exit code."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings: Dict[str, Any] = {'http_port': PORT}
    with Cluster(nodes=3, settings=settings) as cluster:
        cluster.start_ahm()
        first = cluster.nodes[0]
        cluster.wait_until(lambda: first.status().leader == first.name, FORM_SECONDS, 'a leader')
        time.sleep(5.0)
        target = first.host.address, PORT
        slow = [Slow(number, target) for number in range(int(clients))]
        found = [stretch('alone', first, seconds, []),
                 stretch('%d slow clients' % clients, first, seconds, slow)]
        leads = first.status().leader == first.name
    print('| | steps | under 10 ms | all under | beacons | checks answered | median | slowest '
          '| connections |\n|---|---|---|---|---|---|---|---|---|')
    for seen in found:
        print(line(seen))
    if report:
        with open(report, 'w') as file:
            json.dump([seen._asdict() for seen in found], file, indent=1)
    well = leads and found[0].term == found[1].term and not any(seen.unanswered for seen in found)
    return 0 if well else 1


if __name__ == '__main__':
    words = sys.argv[1:]
    sys.exit(main(*([float(word) for word in words[:2]] + words[2:])))       # type: ignore
