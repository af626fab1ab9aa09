"""The listening sockets of the IPC, and the errors that keep a daemon from starting.

A UNIX socket outlives a daemon that was killed.  Whether one is left over is found out by
connecting to it: only a live daemon accepts.
"""

import errno
import os
import socket
import stat
from typing import List, Optional

BACKLOG = 64

# sockaddr_un holds 108 bytes, the closing zero among them.
UNIX_PATH_BYTES_MAX = 107


class IpcError(Exception):
    """The daemon cannot be reached there.  One line: what was found, what to do."""


def unix_path(socket_dir: str, port: int) -> str:
    """Return the path of the UNIX socket that belongs to an `ipc_port`.

    Raises IpcError if it is too long for the kernel.
    """
    path = os.path.join(socket_dir, '.s.AHM.%d' % port)
    length = len(os.fsencode(path))
    if length > UNIX_PATH_BYTES_MAX:
        raise IpcError('the socket path %s has %d bytes, expected at most %d; set a shorter'
                       ' socket_dir' % (path, length, UNIX_PATH_BYTES_MAX))
    return path


def listen_unix(socket_dir: str, port: int) -> socket.socket:
    """Return a listening UNIX socket, mode 0600; one left over by a dead daemon is replaced.

    Raises IpcError if another daemon listens there, or it cannot be made.
    """
    path = unix_path(socket_dir, port)
    _remove_left_over(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must be right from the first instant; this process has one thread.
    umask = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise IpcError('cannot make the UNIX socket %s: %s; check that socket_dir exists and is'
                       ' writable' % (path, error.strerror))
    finally:
        os.umask(umask)
    return listener


def unbound() -> socket.socket:
    """A UNIX socket for `bind_unix` and `listen_anew`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    return listener


def bind_unix(fd: int, path: str) -> None:
    """Give the UNIX socket `fd` a name that is not there, mode 0600. Raises OSError.

    This writes into a directory, so it may wait for a disk. A child of whoever listens can do it:
    both have the same socket. What stands there already stays.
    """
    umask = os.umask(0o177)
    try:
        with socket.fromfd(fd, socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
    finally:
        os.umask(umask)


def listen_tcp(port: int, address: Optional[str] = None,
               parameter: str = 'ipc_port') -> List[socket.socket]:
    """Return the listening TCP sockets for one address, or for all of IPv4 and of IPv6.

    parameter: which one is to be set otherwise where that fails.
    port: 0 takes a free one (the same for both families only by chance: for tests).
    Raises IpcError if there is none in the end.
    """
    if address is not None:
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        return [_listen_tcp(family, address, port, parameter)]
    listeners = []
    problem = IpcError('this host has neither IPv4 nor IPv6')
    for family, everywhere in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        try:
            listeners.append(_listen_tcp(family, everywhere, port, parameter))
        except _FamilyMissing as error:
            problem = error           # a host without IPv6, say: the other family will do
        except IpcError:
            for listener in listeners:
                listener.close()
            raise
    if not listeners:
        raise problem
    return listeners


class _FamilyMissing(IpcError):
    """The host has no such address family."""


def _listen_tcp(family: socket.AddressFamily, address: str, port: int,
                parameter: str) -> socket.socket:
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        return listener
    except OSError as error:
        if listener is not None:
            listener.close()
        is_missing = error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
        kind = _FamilyMissing if is_missing else IpcError
        raise kind('cannot listen on TCP %s port %d: %s; stop what uses it or set another'
                   ' %s' % (address, port, error.strerror, parameter))


def is_left_over(path: str) -> bool:
    """Whether a dead daemon left a UNIX socket there; False where there is nothing.

    Raises IpcError where no daemon can listen there: another one does, or it is no socket.
    """
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IpcError('cannot look at %s: %s; check socket_dir' % (path, error.strerror))
    if not stat.S_ISSOCK(info.st_mode):
        raise IpcError('%s exists and is no socket; remove it or set another socket_dir' % path)
    if _is_answered(path):
        raise IpcError('another AHM daemon listens on %s; stop it first, or set another ipc_port'
                       ' or socket_dir' % path)
    return True


def _remove_left_over(path: str) -> None:
    if not is_left_over(path):
        return
    try:
        os.unlink(path)
    except OSError as error:
        raise IpcError('cannot remove the left-over socket %s: %s; remove it as its owner'
                       % (path, error.strerror))


def _is_answered(path: str) -> bool:
    """Return whether a process listens on the UNIX socket, without waiting for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True               # its queue is full, or it is not ours to ask: it lives
    return True
