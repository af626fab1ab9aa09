"""Who answers 200 at /primary, asked all the time, as load balancers ask."""

import json
import socket
import threading
import time
from typing import NamedTuple, Optional

HTTP_PORT = 8008
CHECK = b'OPTIONS / HTTP/1.0\r\n\r\n'
LIMIT = 2.0


class Look(NamedTuple):
    """One check: asked from `began` to `ended` of node `name`; None: no answer."""
    began: float
    ended: float
    name: str
    code: Optional[int]


def connect(node, limit=LIMIT):
    """A connection to the HTTP port of a node."""
    return socket.create_connection((node.host.address, HTTP_PORT), limit)


def answer_of(connection):
    """All that comes until the other side closes."""
    received = b''
    while True:
        data = connection.recv(65536)
        if not data:
            return received
        received += data


def code_of(data):
    """The status of an answer; None where it is none."""
    return int(data.split()[1]) if data.startswith(b'HTTP/1.1 ') else None


def ask(node, path='/primary', method='GET'):
    """(status, body) of an answer of this node; (None, b'') where it does not answer."""
    try:
        with connect(node) as connection:
            connection.sendall(('%s %s HTTP/1.1\r\nHost: a\r\n\r\n' % (method, path)).encode())
            data = answer_of(connection)
    except OSError:
        return None, b''
    return code_of(data), data.partition(b'\r\n\r\n')[2]


def page(node, path):
    """A page in JSON."""
    code, body = ask(node, path)
    assert code == 200, (code, body)
    return json.loads(body.decode())


class Doors:
    """Asks each of these nodes, one after the other, until it is ended."""

    def __init__(self, nodes):
        self.nodes, self.looks = nodes, []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(node,), daemon=True)
                         for node in nodes]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self, node):
        while not self._ends.wait(0.02):
            began = time.monotonic()
            code = ask(node, '/')[0]
            self.looks.append(Look(began, time.monotonic(), node.name, code))

    def open_since(self, since):
        """The nodes that were said to take writes since then."""
        return sorted({look.name for look in list(self.looks)
                       if look.code == 200 and look.began >= since})

    def moved(self, old, new, since):
        """Whether no answer of the old one is later than one of the new one.

        None where the new one was not seen to be open yet: what another client was told, these
        looks may meet a moment later.
        """
        closed = [look.began for look in list(self.looks)
                  if look.name == old and look.code == 200]
        opened = [look.ended for look in list(self.looks) if look.name == new
                  and look.code == 200 and look.began >= since]
        return max(closed) < min(opened) if opened else None
