"""Lets clients in at the daemon's sockets, for the IPC and for HTTP alike.

Some at a time, so that a crowd does not keep the loop.  Where this host has run out of descriptors
nobody is let in for a moment: the client stays in the queue, and would wake the loop again at once.
"""

import errno
import socket
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock, Loop

PAUSE_SECONDS = 1.0
LOG_SECONDS = 60.0
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

#: Called with (connection, address) of each; the connection does not block.
Welcome = Callable[[socket.socket, Any], None]


class Doorman:
    """Listening sockets, and who is let in there; `what` names a client in the log.

    accepts_max: how many in one step of the loop.
    """

    def __init__(self, loop: 'Loop', log: 'Log', clock: 'Clock', what: str, accepts_max: int,
                 welcome: Welcome) -> None:
        self._loop, self._log, self._clock = loop, log, clock
        self._what, self._accepts_max, self._welcome = what, accepts_max, welcome
        self._listeners: List[socket.socket] = []
        #: Accepting again after this host ran out of descriptors.
        self.resume_at: Optional[float] = None

    def open(self, listeners: Iterable[socket.socket]) -> None:
        """Let clients in at these."""
        self._listeners = list(listeners)
        self._resume()

    def replace(self, place: int, listener: socket.socket) -> None:
        """Another one in place of that; who waits at the old one is let in before."""
        old = self._listeners[place]
        self.accept(old)
        self._loop.remove(old)
        old.close()
        self._listeners[place] = listener
        if self.resume_at is None:
            self._watch(listener)

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            self._loop.remove(listener)
            listener.close()
        self._listeners, self.resume_at = [], None

    def expire(self, now: float) -> None:
        """Let clients in again, where that is due: at `resume_at`."""
        if self.resume_at is not None and self.resume_at <= now:
            self._resume()

    def _resume(self) -> None:
        self.resume_at = None
        for listener in self._listeners:
            self._watch(listener)

    def _watch(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener, lambda: self.accept(listener))

    def accept(self, listener: socket.socket) -> None:
        """Let in who waits at this one."""
        for _ in range(self._accepts_max):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._note_problem(error)
                return
            connection.setblocking(False)
            self._welcome(connection, address)

    def _note_problem(self, error: OSError) -> None:
        if error.errno in EXHAUSTED:
            for listener in self._listeners:
                self._loop.remove(listener)
            self.resume_at = self._clock() + PAUSE_SECONDS
        if self._log.bounded('accept ' + self._what, LOG_SECONDS):
            self._log.warning('cannot accept an %s client: %s' % (self._what, error.strerror))
