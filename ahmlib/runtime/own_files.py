"""Makes the PID file and the UNIX socket anew where a cleaner of old files has removed them.

Without them `ahm stop`, `ahm reload` and the utilities of this host find no daemon, on the day on
which they are needed.

The loop only looks: one lstat each. That does not wait for a disk: as long as the file is open and
the socket is bound, the kernel keeps their names, and the directories above, in memory. To make a
file does wait, so a child does it: the PID file, which the daemon then opens (its name is in memory
by then) and locks, and the name of a socket that the daemon has opened, and then listens on.
Neither takes the place of a file that somebody else has put there.
"""

import os
import socket
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence

from ahmlib.ipc import listeners
from ahmlib.runtime.pid_file import GONE, THERE, PidFileError, make, whereabouts

if TYPE_CHECKING:
    from ahmlib.ipc.server import IpcServer
    from ahmlib.runtime.children import Children, Function, Result
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock
    from ahmlib.runtime.pid_file import PidFile

#: A disk that takes longer has stalled: it is tried again at the next look.
LIMIT_SECONDS = 10.0


class OwnFiles:
    """Looks after the files of one daemon.

    period: returns the seconds between two looks. on_looked(reason): called when what cannot be
    mended here has changed, '' where nothing is left. on_made(text): called when a file was made
    anew. Call `expire(now)` after every round of the
    loop, and wake up at `next_deadline()`.
    """

    def __init__(self, pid_file: 'PidFile', ipc: 'IpcServer', children: 'Children', log: 'Log',
                 clock: 'Clock', period: Callable[[], float],
                 on_looked: Callable[[str], None], on_made: Callable[[str], None]) -> None:
        self._log, self._clock, self._period, self._on_looked = log, clock, period, on_looked
        self._on_made = on_made
        self._look_at = clock() + period()
        self._files = (_OwnPidFile(pid_file, children), _OwnSocket(ipc, children))
        self._troubles: Dict[_Own, str] = {}        # what is wrong with it

    def next_deadline(self) -> float:
        """The instant at which `expire` has something to do."""
        return self._look_at

    def expire(self, now: float) -> None:
        """Look, if it is time."""
        if now < self._look_at:
            return
        self._look_at = now + self._period()
        for file in self._files:
            self._look_after(file)

    def _look_after(self, file: '_Own') -> None:
        if file.is_being_made:
            return
        found = file.whereabouts()
        if found == THERE:
            self._tell('', file)
        elif found == GONE:
            file.make(lambda reason: self._made(file, reason))
        elif file.was_late and not file.take():
            self._made(file, '')
        else:
            self._tell('%s is another file now, not %s of this daemon: it is left alone; remove '
                       'it, then this daemon makes its own within %g s'
                       % (file.path, file.kind, self._period()), file)

    def _made(self, file: '_Own', reason: str) -> None:
        if reason:
            self._tell('%s %s is gone and cannot be made anew: %s; check space and permissions of '
                       '%s. It is tried again every %g s'
                       % (file.kind, file.path, reason, os.path.dirname(file.path),
                          self._period()), file)
            return
        self._tell('', file)
        text = '%s %s was gone: it was made anew; except it from what removes old files there' % (
            file.kind, file.path)
        self._log.warning(text)
        self._on_made(text)

    def _tell(self, text: str, file: '_Own') -> None:
        if self._troubles.get(file, '') != text:
            self._troubles[file] = text
            self._on_looked('; '.join(filter(None, self._troubles.values())))


class _Own:
    """One of the files. `make` begins to make it, `take` takes what was made into use.

    was_late: the child that made it was killed at its limit, and may have made it after all.
    """
    kind = ''
    is_being_made = was_late = False

    def __init__(self, children: 'Children') -> None:
        self._children = children

    @property
    def path(self) -> str:
        """Where it is."""
        raise NotImplementedError

    def whereabouts(self) -> str:
        """THERE, GONE or OTHER."""
        raise NotImplementedError

    def make(self, on_end: Callable[[str], None]) -> None:
        """Make it anew; `on_end(reason)` is called later, '' where it was."""
        raise NotImplementedError

    def _take(self) -> None:
        raise NotImplementedError

    def _run(self, function: 'Function', args: Sequence[Any],
             on_end: Callable[[str], None], **options: Any) -> None:
        def ended(result: 'Result') -> None:
            self.is_being_made, self.was_late = False, bool(result.get('timed_out'))
            on_end(self.take() if result.get('ok') else result.get('reason', 'it failed'))
        self.is_being_made = True
        self._children.start(function, args, LIMIT_SECONDS, ended, 'making %s' % self.path,
                             **options)

    def take(self) -> str:
        """Take it into use; why that failed, or ''."""
        try:
            self._take()
        except PidFileError as error:
            return str(error)
        except OSError as error:
            return str(error.strerror)
        return ''


class _OwnPidFile(_Own):
    kind = 'the PID file'

    def __init__(self, pid_file: 'PidFile', children: 'Children') -> None:
        super().__init__(children)
        self._pid_file = pid_file

    @property
    def path(self) -> str:
        return self._pid_file.path

    def whereabouts(self) -> str:
        return self._pid_file.whereabouts()

    def _take(self) -> None:
        self._pid_file.take_anew()

    def make(self, on_end: Callable[[str], None]) -> None:
        self._run(_make_pid_file, (self.path, os.getpid()), on_end)


class _OwnSocket(_Own):
    kind = 'the UNIX socket'

    def __init__(self, ipc: 'IpcServer', children: 'Children') -> None:
        super().__init__(children)
        self._ipc = ipc
        #: The one that is being bound, or was last.
        self._listener: Optional[socket.socket] = None

    @property
    def path(self) -> str:
        path = self._ipc.unix_path
        assert path is not None
        return path

    def whereabouts(self) -> str:
        return whereabouts(self.path, *self._ipc.unix_identity())

    def make(self, on_end: Callable[[str], None]) -> None:
        self._close()
        self._listener = listeners.unbound()
        fd = self._listener.fileno()
        self._run(_bind, (fd, self.path), on_end, kept_fds=(fd,))

    def _take(self) -> None:
        if self._listener is None or not self._listener.getsockname():
            raise PidFileError('another process has made it')
        self._ipc.replace_unix(self._listener)
        self._listener = None         # the server's now

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = None


def _make_pid_file(path: str, pid: int) -> 'Result':
    """In a child."""
    return _outcome(make, path, pid)


def _bind(fd: int, path: str) -> 'Result':
    """In a child."""
    return _outcome(listeners.bind_unix, fd, path)


def _outcome(function: Callable[..., None], *args: Any) -> 'Result':
    try:
        function(*args)
    except OSError as error:
        return {'ok': False, 'reason': error.strerror}
    return {'ok': True}
