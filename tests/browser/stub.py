"""A server that answers as a test wants: each path by a function, on a thread of its own."""
import json
import socket
import threading

from ahmlib.http import page
from ahmlib.http.response import LINES, Response, as_json, as_text, render


class Stub:
    """Answers at `url`; `answers` maps a path to a function that gives the bytes of an answer, or
    None for silence: the client waits, as with a process that was stopped.

    `asked`: (path, head) of each request, in their order.
    """

    def __init__(self, status=None, events=()):
        self.asked = []
        self.answers = {'/': lambda: rendered(page.load().response(200)),
                        '/ui': lambda: rendered(page.load().response(200))}
        self.status(status)
        self.events(events)
        self._listener = socket.socket()
        self._listener.bind(('127.0.0.1', 0))
        self._listener.listen(64)
        self.url = 'http://127.0.0.1:%d' % self._listener.getsockname()[1]
        self._held = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def status(self, value):
        """Say this at /status from now on."""
        self.answers['/status'] = lambda: rendered(as_json(200, value))

    def events(self, events):
        """Say these at /events from now on."""
        body = ''.join(json.dumps(event) + '\n' for event in events).encode()
        self.answers['/events'] = lambda: rendered(Response(200, body, LINES))

    def count(self, path):
        """How often a path was asked for."""
        return [each for each, _ in self.asked].count(path)

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        try:
            head = b''
            while b'\r\n\r\n' not in head:
                data = connection.recv(65536)
                if not data:
                    return connection.close()
                head += data
            path = head.split()[1].decode().partition('?')[0]
            self.asked.append((path, head.decode('latin-1')))
            make = self.answers.get(path, lambda: rendered(as_text(404, 'none')))
            answer = make()
            if answer is None:
                self._held.append(connection)       # until the stub is closed
                return None
            connection.sendall(answer)
        except OSError:
            pass        # the browser went away, as it may
        return connection.close()

    def close(self):
        """Answer nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


def rendered(response, method='GET'):
    """The bytes of an answer, as the daemon sends them."""
    return render(response, method)
