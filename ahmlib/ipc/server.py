"""The daemon's side of the IPC: clients that ask, in the loop, and none of them trusted.

    accepted ──line──▶ on_request(client, request, origin) ──answer()──▶ written ──▶ closed
        │                        (the answer may come later)                │
        └── 10 s without a line: dropped            10 s without progress: dropped

A change is not passed on once its client has gone: that one was told that nothing came of it, and
a daemon that was stopped for a while would find the request in the socket all the same.
One request and one answer a connection.  Every client costs a bounded number of bytes and
seconds, and there is a bounded number of them; some places are kept for the UNIX socket, so that
nobody on the network can lock out the operator of this host.
"""

import os
import select
import socket
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple

from ahmlib.ipc import listeners, protocol
from ahmlib.ipc.doorman import Doorman
from ahmlib.ipc.listeners import IpcError
from ahmlib.ipc.protocol import Message

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Loop

Origin = Tuple[str, Any]         # ('unix', uid) or ('tcp', address)

__all__ = ('IpcServer', 'IpcError')

CLIENTS_MAX = 64
TCP_CLIENTS_MAX = 48
ACCEPTS_MAX = 16
READ_BYTES = 65536
IDLE_SECONDS = 10.0
ANSWER_SECONDS = 600.0
LOG_SECONDS = 60.0

#: The other side has closed, or at least will send no more.  Python 3.6 may lack the name.
_GONE = select.POLLHUP | select.POLLERR | getattr(select, 'POLLRDHUP', 0x2000)


class _Client:
    """One connection; outside this module an opaque token, valid until it was answered."""

    def __init__(self, connection: socket.socket, origin: Origin, deadline_at: float) -> None:
        self.connection = connection
        self.origin = origin
        self.deadline_at = deadline_at
        self.received = bytearray()
        self.is_waiting = False       # for the daemon's answer
        self.unsent = memoryview(b'')


class IpcServer:
    """Listens on the UNIX socket and on TCP, and passes on what clients ask.

    Call `expire(now)` after every round of the loop, and wake up at `next_deadline()`.
    malformed: how many requests were none.  refused: how many clients were told 'busy'.
    left: how many changes were not made because the client had gone.
    """

    def __init__(self, loop: 'Loop', log: 'Log', clock: Callable[[], float]) -> None:
        self.malformed = 0
        self.refused = 0
        self.left = 0
        self._loop = loop
        self._log = log
        self._clock = clock
        self._on_request: Optional[Callable[[_Client, Message, Origin], None]] = None
        self._door = Doorman(loop, log, clock, 'IPC', ACCEPTS_MAX, self._let_in)
        #: (path, device, inode): what close may remove.
        self._unix_file: Optional[Tuple[str, int, int]] = None
        self._clients: List[_Client] = []

    def open(self, on_request: Callable[[_Client, Message, Origin], None], socket_dir: str,
             port: int, address: Optional[str] = None) -> None:
        """Listen on `socket_dir`/.s.AHM.`port` and on TCP `port`.

        on_request(client, request, origin): called with a dict; origin is ('unix', uid of the
            client's process) or ('tcp', its address).  To be followed, at once or later, by
            `answer(client, ...)`.
        address: the only TCP address to listen on; None for all, IPv4 and IPv6.
        Raises IpcError, and listens nowhere then.
        """
        self._on_request = on_request
        unix = listeners.listen_unix(socket_dir, port)
        path = unix.getsockname()
        info = os.lstat(path)
        self._unix_file = (path, info.st_dev, info.st_ino)
        try:
            self._door.open([unix] + listeners.listen_tcp(port, address))
        except IpcError:
            self._door.open([unix])
            self.close()
            raise

    def answer(self, client: _Client, message: Message) -> bool:
        """Send `message`, a dict, to a client that asked, and end its connection.

        Returns False if the client has gone, or was answered already.
        """
        if client not in self._clients or not client.is_waiting:
            return False
        try:
            data = protocol.encode(message)
        except protocol.ProtocolError as error:
            self._log.error('an answer could not be sent: %s' % error)
            data = protocol.encode({'ok': False, 'reason': 'the answer could not be sent: %s'
                                                           % error})
        self._send(client, data)
        return True

    def next_deadline(self) -> Optional[float]:
        """Return the instant at which `expire` has something to do, or None."""
        instants = [client.deadline_at for client in self._clients]
        if self._door.resume_at is not None:
            instants.append(self._door.resume_at)
        return min(instants) if instants else None

    def expire(self, now: float) -> None:
        """Drop the clients that were too slow."""
        self._door.expire(now)
        for client in list(self._clients):
            if client.deadline_at > now:
                continue
            if client.is_waiting:
                self.answer(client, {'ok': False, 'reason': 'no answer within %g s'
                                                            % ANSWER_SECONDS})
            else:
                self._drop(client)

    def close(self) -> None:
        """Drop all clients, stop listening and remove the UNIX socket."""
        for client in list(self._clients):
            self._drop(client)
        self._remove_unix_file()
        self._door.close()

    @property
    def unix_path(self) -> Optional[str]:
        """The path of the UNIX socket; None while it is not open."""
        return self._unix_file and self._unix_file[0]

    def unix_identity(self) -> Tuple[int, int]:
        """(device, inode) of what `unix_path` led to when it was made."""
        assert self._unix_file is not None
        return self._unix_file[1:]

    def replace_unix(self, listener: socket.socket) -> None:
        """Listen on this UNIX socket, bound to `unix_path`, in place of the one whose name went.

        Who has connected to that one is served. Raises OSError, and changes nothing then.
        """
        assert self._unix_file is not None
        path = self._unix_file[0]
        info = os.lstat(path)
        listener.listen(listeners.BACKLOG)
        self._door.replace(0, listener)
        self._unix_file = (path, info.st_dev, info.st_ino)

    def leave_file(self) -> Optional[str]:
        """Return the path of the UNIX socket, which `close` is not to remove then; or None."""
        path, self._unix_file = self.unix_path, None
        return path

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self._clients)

    # -- accepting --------------------------------------------------------------------------

    def _let_in(self, connection: socket.socket, address: Any) -> None:
        origin = _origin(connection, address)
        if self._is_full(origin):
            self._refuse(connection)
        else:
            self._welcome(_Client(connection, origin, self._clock() + IDLE_SECONDS))

    def _welcome(self, client: _Client) -> None:
        self._clients.append(client)
        self._loop.add_reader(client.connection, lambda: self._read(client))

    def _is_full(self, origin: Origin) -> bool:
        if len(self._clients) >= CLIENTS_MAX:
            return True
        tcp_clients = sum(client.origin[0] == 'tcp' for client in self._clients)
        return origin[0] == 'tcp' and tcp_clients >= TCP_CLIENTS_MAX

    def _refuse(self, connection: socket.socket) -> None:
        self.refused += 1
        if self._log.bounded('ipc busy', LOG_SECONDS):
            self._log.warning('the IPC has %d clients, expected at most %d; %d were told to come'
                              ' back since the start'
                              % (len(self._clients), CLIENTS_MAX, self.refused))
        try:
            connection.recv(READ_BYTES)          # unread bytes would turn the close into a reset
        except OSError:
            pass
        try:
            connection.send(protocol.encode(
                {'ok': False, 'reason': 'busy: this daemon has too many clients; try again'}))
        except OSError:
            pass
        connection.close()

    # -- one client -------------------------------------------------------------------------

    def _read(self, client: _Client) -> None:
        try:
            data = client.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        if client.is_waiting:
            # More than one line, or it closed its side: it may still want its answer.
            self._loop.remove_reader(client.connection)
            return
        client.received += data
        if b'\n' in data:
            self._handle_line(client)
        elif len(client.received) >= protocol.REQUEST_BYTES_MAX:
            self._reject(client, 'a request of more than %d bytes' % protocol.REQUEST_BYTES_MAX)
        elif not data and client.received:
            self._reject(client, 'a request without a line end')
        elif not data:
            self._drop(client)        # it connected and left: how liveness is probed

    def _handle_line(self, client: _Client) -> None:
        line, client.received = bytes(client.received), bytearray()
        try:
            request = protocol.decode(line, protocol.REQUEST_BYTES_MAX)
        except protocol.ProtocolError as error:
            self._reject(client, str(error))
            return
        if protocol.is_change(request) and _has_gone(client.connection):
            self._leave_out(client, request)
            return
        client.is_waiting = True
        client.deadline_at = self._clock() + ANSWER_SECONDS
        assert self._on_request is not None
        self._on_request(client, request, client.origin)

    def _leave_out(self, client: _Client, request: Message) -> None:
        self.left += 1
        if self._log.bounded(('ipc left', request['ask'], client.origin), LOG_SECONDS):
            self._log.warning('%s was asked for by a client (%s %s) that has gone meanwhile:'
                              ' nothing is done; %d since the start'
                              % ((request['ask'],) + client.origin + (self.left,)))
        # Read only by who closed its own side and nothing else.
        self._send(client, protocol.encode(
            {'ok': False, 'reason': 'nothing is done for a client that closed its side: leave the'
                                    ' connection open until the answer has come'}))

    def _reject(self, client: _Client, reason: str) -> None:
        self.malformed += 1
        if self._log.bounded('ipc malformed', LOG_SECONDS):
            self._log.warning('a malformed IPC request from %s %s: %s; %d since the start'
                              % (client.origin + (reason, self.malformed)))
        client.received = bytearray()
        self._send(client, protocol.encode(
            {'ok': False, 'reason': 'malformed request: %s' % reason}))

    def _send(self, client: _Client, data: bytes) -> None:
        client.is_waiting = False
        client.unsent = memoryview(data)
        client.deadline_at = self._clock() + IDLE_SECONDS
        self._loop.remove(client.connection)
        self._loop.add_writer(client.connection, lambda: self._write(client))
        self._write(client)

    def _write(self, client: _Client) -> None:
        try:
            sent = client.connection.send(client.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        client.deadline_at = self._clock() + IDLE_SECONDS
        if not client.unsent:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._clients.remove(client)
        self._loop.remove(client.connection)
        client.connection.close()

    def _remove_unix_file(self) -> None:
        if self._unix_file is None:
            return
        path, device, inode = self._unix_file
        self._unix_file = None
        try:
            info = os.lstat(path)
            if (info.st_dev, info.st_ino) == (device, inode):
                os.unlink(path)
        except OSError:
            pass                      # a left-over socket is recognised at the next start


def _has_gone(connection: socket.socket) -> bool:
    """Whether the client has closed its side.  By TCP that is all that can be seen of a close."""
    poll = select.poll()
    poll.register(connection, _GONE)
    return bool(poll.poll(0))


def _origin(connection: socket.socket, address: Any) -> Origin:
    if connection.family == socket.AF_UNIX:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                    protocol.PEER_CREDENTIALS.size)
        return ('unix', protocol.PEER_CREDENTIALS.unpack(raw)[1])
    return ('tcp', address[0].split('%')[0])
