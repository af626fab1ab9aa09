"""The utilities' side of the IPC: ask one thing, wait for the answer, not for ever."""

import os
import socket
import time
from typing import Any, Dict, Optional, Tuple

from ahmlib.ipc import listeners, protocol
from ahmlib.ipc.protocol import ProtocolError
from ahmlib.process import users

Message = Dict[str, Any]

__all__ = ('ask', 'NoAnswer', 'NoDaemon', 'NotAllowed', 'ProtocolError')

DEFAULT_PORT = 9595
DEFAULT_SOCKET_DIR = '/tmp'
READ_BYTES = 65536


class NoDaemon(Exception):
    """Nobody answers there.  One line: where it was looked for, and what to do."""


class NotAllowed(NoDaemon):
    """Somebody may be there, but this user must not ask."""


class NoAnswer(NoDaemon):
    """Somebody is there, and may have begun the change that was asked for, or not."""


def ask(request: Message, host: Optional[str] = None, port: int = DEFAULT_PORT,
        socket_dir: str = DEFAULT_SOCKET_DIR, limit: float = 10) -> Message:
    """Send `request`, a dict, to a daemon, and return its answer, a dict.

    host: an address or a name, to ask by TCP; None asks through the UNIX socket in `socket_dir`.
    port: the daemon's ipc_port; it is in the UNIX socket's name, too.
    limit: seconds that all of it may take.
    Raises NoDaemon if nobody answers there (NoAnswer where a change was asked for and may have
    begun), ProtocolError if what answers is no AHM daemon.
    """
    data = protocol.encode(request, protocol.REQUEST_BYTES_MAX)
    deadline_at = time.monotonic() + limit
    if host is None:
        connection, where = _connect_unix(socket_dir, port, deadline_at)
    else:
        connection, where = _connect_tcp(host, port, deadline_at)
    with connection:
        try:
            return _exchange(connection, data, where, deadline_at)
        except socket.timeout:
            if protocol.is_change(request):
                raise NoAnswer('the daemon at %s did not answer within %g s: if it reads the'
                               ' request only now, it drops it; see with ahm_cluster_status, and'
                               ' in its log, whether it had begun, before you ask again'
                               % (where, limit))
            raise NoDaemon('the daemon at %s did not answer within %g s; see its log, or whether'
                           ' it is stopped or overloaded' % (where, limit))
        except OSError as error:
            raise ProtocolError('the connection to %s broke: %s; is an AHM daemon listening'
                                ' there?' % (where, error.strerror or error))


def ask_with_peer(request: Message, port: int = DEFAULT_PORT, socket_dir: str = DEFAULT_SOCKET_DIR,
                  limit: float = 10) -> Tuple[int, int, Optional[Message]]:
    """Ask through the UNIX socket; (PID, uid, answer) of who listens there, by the kernel's word.

    The answer is None where none came in time.  Raises NoDaemon, NotAllowed or ProtocolError.
    """
    deadline_at = time.monotonic() + limit
    connection, where = _connect_unix(socket_dir, port, deadline_at)
    with connection:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                    protocol.PEER_CREDENTIALS.size)
        pid, uid, _ = protocol.PEER_CREDENTIALS.unpack(raw)
        try:
            return pid, uid, _exchange(connection, protocol.encode(request), where, deadline_at)
        except socket.timeout:
            return pid, uid, None
        except OSError as error:
            raise ProtocolError('the connection to %s broke: %s'
                                % (where, error.strerror or error))


def _exchange(connection: socket.socket, data: bytes, where: str, deadline_at: float) -> Message:
    _arm(connection, deadline_at)
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass                          # a busy daemon answers without having read
    received = bytearray()
    while b'\n' not in received:
        if len(received) > protocol.ANSWER_BYTES_MAX:
            raise ProtocolError('%s sent more than %d bytes; it is no AHM daemon'
                                % (where, protocol.ANSWER_BYTES_MAX))
        _arm(connection, deadline_at)
        part = connection.recv(READ_BYTES)
        if not part:
            raise ProtocolError('%s closed the connection without an answer; is an AHM daemon'
                                ' listening there?' % where)
        received += part
    try:
        return protocol.decode(bytes(received))
    except ProtocolError as error:
        raise ProtocolError('%s answered %s; it is no AHM daemon' % (where, error))


def _connect_unix(socket_dir: str, port: int, deadline_at: float) -> Tuple[socket.socket, str]:
    try:
        path = listeners.unix_path(socket_dir, port)
    except listeners.IpcError as error:
        raise NoDaemon(str(error))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _arm(connection, deadline_at)
        connection.connect(path)
        return connection, path
    except PermissionError:
        connection.close()
        raise NotAllowed('no permission for %s; run this as %s, or name a host with -h' % (
            path, _owner(path)))
    except OSError as error:
        connection.close()
        raise NoDaemon('no AHM daemon at %s (%s); start it with "systemctl start ahm" or "ahm '
                       'start", or say where it is with -f, -h, -p or -s' % (path, _reason(error)))


def _owner(path: str) -> str:
    try:
        return '%s, who runs the daemon' % users.called(os.lstat(path).st_uid)
    except OSError:                     # the daemon has just ended, or the directory is closed
        return 'the user that runs the daemon'


def _connect_tcp(host: str, port: int, deadline_at: float) -> Tuple[socket.socket, str]:
    host = host[1:-1] if host.startswith('[') and host.endswith(']') else host
    where = ('[%s]:%d' if ':' in host else '%s:%d') % (host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoDaemon('the host %s is not known (%s); check -h' % (host, _reason(error)))
    reason = ''
    for family, kind, proto, _, address in found:
        try:
            connection = socket.socket(family, kind, proto)
        except OSError as error:
            reason = _reason(error)
            continue
        try:
            _arm(connection, deadline_at)
            connection.connect(address)
            return connection, where
        except OSError as error:
            connection.close()
            reason = _reason(error)
    raise NoDaemon('no AHM daemon at %s (%s); check -h and -p, and whether it runs there'
                   % (where, reason))


def _arm(connection: socket.socket, deadline_at: float) -> None:
    """Let the next call on the socket take the time that is left."""
    left = deadline_at - time.monotonic()
    if left <= 0:
        raise socket.timeout('timed out')
    connection.settimeout(left)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return 'no answer in time'
    number = getattr(error, 'errno', None)
    # A UnicodeError, of a name that is none in the DNS, has neither.
    return (getattr(error, 'strerror', None)
            or (os.strerror(number) if number else ' '.join(str(error).split())))
