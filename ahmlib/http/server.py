"""The sockets of HTTP: clients in the daemon's loop, none of them trusted, and none waited for.

    accepted ──head──▶ answer(request) at the instant of its write ──▶ shutdown ──end──▶ closed
        │                                      │                        │
        └── 5 s without a whole head        10 s in all              1 s at most

An answer is asked for when the socket takes its first byte, not before: what a health check is told
was true when it left.  Who sends on after his request is read to the end before the close, for a
close with unread bytes resets the connection and loses the answer on its way.

There are places for 32 clients, and 8 of one source.  Where they are taken, a new one gets that of
who has been answered already, else of who has sent least: so nobody keeps a check waiting by being
slow.  Who has only just come is spared, while there are others: a check whose bytes are still on
their way has sent nothing, too.
"""

import socket
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from ahmlib.http.request import BadRequest, Request, end_of_head, parse
from ahmlib.http.response import Response, as_text, render
from ahmlib.ipc import listeners
from ahmlib.ipc.doorman import Doorman
from ahmlib.ipc.listeners import IpcError

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock, Loop

__all__ = ('HttpServer', 'IpcError')

CLIENTS_MAX, SOURCE_CLIENTS_MAX = 32, 8
#: In one step of the loop: others are not to wait for a crowd.
ACCEPTS_MAX = 4
#: Who connects waits there for a turn of the loop: more than any flood of clients between two.
BACKLOG = 1024
#: For so long a new client is spared.
GRACE_SECONDS = 0.02
READ_BYTES = 16384
HEAD_SECONDS, ANSWER_SECONDS, END_SECONDS = 5.0, 10.0, 1.0
LOG_SECONDS = 60.0
PARAMETER = 'http_port'

Answer = Callable[[Request], Response]


class _Stage(IntEnum):
    """How far a client has come; who has least to lose first."""
    ENDS = 0        # was answered, and has not closed yet
    ASKS = 1        # has not sent a whole head
    TAKES = 2       # its answer is being written


class _Client:
    """One connection."""

    def __init__(self, connection: socket.socket, source: str, came_at: float) -> None:
        self.connection, self.source, self.came_at = connection, source, came_at
        self.deadline_at = came_at + HEAD_SECONDS
        self.stage = _Stage.ASKS
        self.received = bytearray()
        self.request: Optional[Request] = None
        self.refused: Optional[BadRequest] = None
        #: None: nothing of the answer has left, and it is not known yet.
        self.unsent: Optional[memoryview] = None


class HttpServer:
    """Listens, reads requests, and has each answered by `answer(request)`.

    `on_answered(request, code)` is told of each answer that has begun to leave; the request is None
    where there was none.  Call `expire(now)` after every round of the loop, and wake up at
    `next_deadline()`.
    crowded: how many clients lost their place to another one.
    """

    def __init__(self, loop: 'Loop', log: 'Log', clock: 'Clock', answer: Answer,
                 on_answered: Callable[[Optional[Request], int], None]) -> None:
        self.crowded = 0
        self._loop, self._log, self._clock = loop, log, clock
        self._answer, self._on_answered = answer, on_answered
        self._clients: List[_Client] = []       # the oldest first
        self._door = Doorman(loop, log, clock, 'HTTP', ACCEPTS_MAX, self._welcome)

    def open(self, port: int, address: Optional[str] = None) -> None:
        """Listen on TCP `port`, on one address or on all of IPv4 and IPv6.  Raises IpcError."""
        found = listeners.listen_tcp(port, address, PARAMETER)
        for listener in found:
            listener.listen(BACKLOG)
        self._door.open(found)

    def close(self) -> None:
        """Drop all clients and stop listening."""
        for client in list(self._clients):
            self._drop(client)
        self._door.close()

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        instants = [client.deadline_at for client in self._clients]
        if self._door.resume_at is not None:
            instants.append(self._door.resume_at)
        return min(instants) if instants else None

    def expire(self, now: float) -> None:
        """Drop the clients that were too slow."""
        self._door.expire(now)
        for client in [client for client in self._clients if client.deadline_at <= now]:
            self._drop(client)

    def __len__(self) -> int:
        """The number of clients."""
        return len(self._clients)

    # -- accepting -----------------------------------------------------------------------------

    def _welcome(self, connection: socket.socket, address: Any) -> None:
        source = address[0].split('%')[0]
        self._make_room([client for client in self._clients if client.source == source],
                        SOURCE_CLIENTS_MAX)
        self._make_room(self._clients, CLIENTS_MAX)
        client = _Client(connection, source, self._clock())
        self._clients.append(client)
        self._loop.add_reader(connection, lambda: self._read(client))
        # What it has sent already counts before the next one is let in.
        self._read(client)

    def _make_room(self, among: List[_Client], places: int) -> None:
        if len(among) < places:
            return
        since = self._clock() - GRACE_SECONDS
        had_time = [client for client in among
                    if client.stage is _Stage.ENDS or client.came_at <= since]
        self._drop(min(had_time or among,
                       key=lambda client: (client.stage, len(client.received))))
        self.crowded += 1
        if self._log.bounded('http crowded', LOG_SECONDS):
            self._log.warning('more HTTP clients than places (%d, and %d of one source): %d lost '
                              'theirs to another one since the start; see who connects to http_port'
                              % (CLIENTS_MAX, SOURCE_CLIENTS_MAX, self.crowded))

    # -- one client ----------------------------------------------------------------------------

    def _read(self, client: _Client) -> None:
        try:
            data = client.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:             # a check that has read the status resets the connection
            self._drop(client)
            return
        if client.stage is _Stage.ENDS:
            if not data:
                self._drop(client)
        elif client.stage is _Stage.TAKES:
            # It is pipelined, or the client closed its side, which may still want its answer.
            self._loop.remove_reader(client.connection)
        elif not data:
            self._drop(client)
        else:
            client.received += data
            self._look_at_head(client)

    def _look_at_head(self, client: _Client) -> None:
        received = bytes(client.received)
        try:
            end = end_of_head(received)
            if end is None:
                return
            client.request = parse(received[:end])
        except BadRequest as refused:
            client.refused = refused
        client.stage = _Stage.TAKES
        client.deadline_at = self._clock() + ANSWER_SECONDS
        self._write(client)
        if client.stage is _Stage.TAKES and client in self._clients:
            self._loop.add_writer(client.connection, lambda: self._write(client))

    def _write(self, client: _Client) -> None:
        begins = client.unsent is None
        response = self._response(client) if begins else None
        unsent = client.unsent if response is None else memoryview(
            render(response, client.request.method if client.request else 'GET'))
        assert unsent is not None
        try:
            sent = client.connection.send(unsent)
        except BlockingIOError:
            return                  # nothing has left: what is sent later is judged later
        except OSError:
            self._drop(client)
            return
        if response is not None:
            self._on_answered(client.request, response.code)
        client.unsent = unsent[sent:]
        if not client.unsent:
            self._end(client)

    def _response(self, client: _Client) -> Response:
        if client.refused is not None:
            return as_text(client.refused.code, client.refused.reason)
        assert client.request is not None
        return self._answer(client.request)

    def _end(self, client: _Client) -> None:
        """It has its answer: read what it still sends, until it closes, for a moment."""
        client.stage = _Stage.ENDS
        client.deadline_at = self._clock() + END_SECONDS
        self._loop.remove(client.connection)
        try:
            client.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(client)
            return
        self._loop.add_reader(client.connection, lambda: self._read(client))

    def _drop(self, client: _Client) -> None:
        self._clients.remove(client)
        self._loop.remove(client.connection)
        client.connection.close()
