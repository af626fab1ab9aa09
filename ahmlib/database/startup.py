"""Learn why a server refuses us, whatever language it speaks.

psycopg2 raises an error for a refused connection that carries no SQLSTATE, only the server's
message, which is in the server's language (lc_messages).  "The database system is starting up"
must be told from "too many clients" without reading Korean, so this module says the first
packet of PostgreSQL's protocol by hand and reads the SQLSTATE (field 'C') of the answer.

    us      Int32 length, Int32 196608 (version 3.0), "user\\0NAME\\0database\\0NAME\\0\\0"
    server  'E' Int32 length, fields (Byte1 type, text, \\0)*, \\0     refused: read the fields
            'R' Int32 length, Int32 method                           asks us to authenticate
            'R' Int32 length, Int32 0                                takes us for authenticated

A server that asks for authentication has let us pass its state check, so it is up: starting up,
shutting down and "too many clients" are all said before that.  One that trusts us refuses only
then what the role may not (no such database, its connection limit, a place for superusers), so its
messages are read on until 'E' or 'Z' (ready).  No password is ever said here: why one was refused
has no SQLSTATE.  Source: PostgreSQL's manual, "Message Flow, Start-up" and "Message Formats".
"""
import os
import select
import socket
import struct
from typing import Any, List, NamedTuple, Optional, Tuple

from ahmlib.process.deadline import Deadline

PROTOCOL_VERSION = 196608
AUTHENTICATED = b'\0\0\0\0'
TERMINATE = b'X\0\0\0\4'
ANSWER_MAX = 30000          # PostgreSQL's own limit for an error before authentication
SOCKET_DIRECTORIES = ('/var/run/postgresql', '/tmp')


class Answer(NamedTuple):
    """What came back: a SQLSTATE, or a request to authenticate, or no PostgreSQL answer."""

    answered: bool
    sqlstate: Optional[str]     # None: not refused, or a server that gave no code
    message: str                # one line
    address: str = ''           # of whom we asked; '' for a UNIX socket
    is_closed_to_us: bool = False   # we may not use this socket, so who is behind it is not known


def ask(host: str, port: int, user: str, database: str, limit: float,
        replication: bool = False) -> Answer:
    """Say the startup packet to `host` (an address, or a socket directory) and return Answer.

    Never raises for what a network or a stranger's bytes can do; `limit` is in seconds.
    replication: as a standby does.
    """
    deadline = Deadline(limit)
    last = Answer(False, None, 'no address to try')
    for family, address in _addresses(host, port):
        where = '' if family == socket.AF_UNIX else address[0]
        try:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.setblocking(False)
                _connect(connection, address, deadline)
                connection.sendall(packet(user, database, replication))
                return _read(connection, deadline)._replace(address=where)
        except (OSError, ValueError) as error:
            is_closed = last.is_closed_to_us or (
                family == socket.AF_UNIX and isinstance(error, PermissionError))
            last = Answer(False, None, getattr(error, 'strerror', None) or str(error), where,
                          is_closed)
    return last


def packet(user: str, database: str, replication: bool = False) -> bytes:
    """Return the startup packet for this user and database, as bytes."""
    words, asked = b'', [('user', user), ('database', database)]
    if replication:
        asked = [('user', user), ('replication', 'true')]
    for name, value in asked:
        words += name.encode() + b'\0' + value.encode('utf-8').replace(b'\0', b'') + b'\0'
    body = struct.pack('!I', PROTOCOL_VERSION) + words + b'\0'
    return struct.pack('!I', len(body) + 4) + body


def parse_error(body: bytes) -> Tuple[Optional[str], str]:
    """Return (SQLSTATE or None, message) of the body of an ErrorResponse."""
    fields = {}
    for part in body.split(b'\0'):
        if part:
            fields[part[:1]] = part[1:].decode('utf-8', 'replace')
    message = ' '.join(fields.get(b'M', '').split())
    return fields.get(b'C'), message


def _addresses(host: str, port: int) -> List[Tuple[int, Any]]:
    if host and not host.startswith(('/', '@')):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return [(family, address) for family, _, _, _, address in found]
    directories = [host] if host else SOCKET_DIRECTORIES
    names = [os.path.join(each, '.s.PGSQL.%d' % port) for each in directories]
    return [(socket.AF_UNIX, '\0' + name[1:] if name.startswith('@') else name)
            for name in names]


def _connect(connection: socket.socket, address: Any, deadline: Deadline) -> None:
    try:
        connection.connect(address)
    except BlockingIOError:
        _wait(connection, select.POLLOUT, deadline)
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))


def _wait(connection: socket.socket, event: int, deadline: Deadline) -> None:
    poller = select.poll()
    poller.register(connection, event)
    if not poller.poll(deadline.remaining() * 1000):
        raise ValueError('no answer within %.3g s' % deadline.limit)


def _read(connection: socket.socket, deadline: Deadline) -> Answer:
    kind = _take(connection, 1, deadline)
    if kind == b'R':
        return _read_on(connection, deadline)
    if kind != b'E':
        raise ValueError('what listens there is no PostgreSQL server')
    return _refusal(connection, deadline)


def _refusal(connection: socket.socket, deadline: Deadline) -> Answer:
    """The Answer of an ErrorResponse whose kind has been read."""
    size = _size(connection, deadline)
    if not 4 <= size <= ANSWER_MAX:
        # The old form, a bare text: all that a postmaster can say that cannot even fork.
        return Answer(True, None, 'the server cannot start a process for us')
    sqlstate, message = parse_error(_take(connection, size - 4, deadline))
    return Answer(True, sqlstate, message)


def _read_on(connection: socket.socket, deadline: Deadline) -> Answer:
    """The Answer of a server that began to authenticate us: it is up, whatever follows."""
    kind, asked = b'R', Answer(True, None, 'the server asks for authentication')
    try:
        while kind != b'Z':
            size = _size(connection, deadline)
            body = _take(connection, min(max(size, 4), ANSWER_MAX) - 4, deadline)
            if kind == b'R' and body[:4] != AUTHENTICATED:
                return asked
            kind = _take(connection, 1, deadline)
            if kind == b'E':
                return _refusal(connection, deadline)
        connection.sendall(TERMINATE)
    except (OSError, ValueError):
        return asked                        # it answered, and then no more
    return Answer(True, None, 'the server lets us in')


def _size(connection: socket.socket, deadline: Deadline) -> int:
    return struct.unpack('!I', _take(connection, 4, deadline))[0]


def _take(connection: socket.socket, count: int, deadline: Deadline) -> bytes:
    data = b''
    while len(data) < count:
        _wait(connection, select.POLLIN, deadline)
        part = connection.recv(count - len(data))
        if not part:
            raise ValueError('the connection was closed without an answer')
        data += part
    return data
