"""The daemon's side of its disks: whoever has something to write hands it over and goes on.

    Helper       one `disk_helper`: made when it is first needed, and anew where it ended
    StateWriter  files that are replaced, each answered later by "written", or why not
    LogWriter    lines that are appended; what does not fit into its buffer is lost, and counted

Nothing here waits but what says `seconds`: at the start and at the end, for a bounded time.
"""

import collections
import math
import os
import select
import signal
import socket
import stat
import sys
import time
from typing import Callable, Deque, Iterable, List, NoReturn, Optional, Tuple

from ahmlib.runtime import child_side, disk_helper
from ahmlib.runtime.loop import Clock, Loop

OnDeath = Callable[[str], None]
OnSaved = Callable[[str], None]          # '', or why it was not

#: Absolute from the start on: a daemon changes its working directory.
PROGRAM = os.path.abspath(disk_helper.__file__)
READ_BYTES = 65536
READS_MAX = 16
#: A helper that ended before it could do anything is not replaced sooner than this.
AGAIN_SECONDS = 1.0
#: A disk that takes longer than this for the state is said.
PATIENT_SECONDS = 1.0
#: What the log may have waiting in the daemon: some thousands of lines.
LOG_BYTES_MAX = 1024 * 1024
LOG_SYNC_SECONDS = 1.0

#: The daemon decides when it ends, and its helper with it: a signal to all of them must not take
#: away the last state and the last lines.
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
           signal.SIGUSR2, signal.SIGPIPE)


class Helper:
    """One helper process and the socket to it.

    greeting: returns the frames that a new process has to begin with, as bytes.
    on_answer(kind, body): called for each answer.  on_death(reason): it ended by itself; what had
        been asked for is not answered any more.
    name: what `ps` shows.  kept_fds: what it inherits, such as a lock that it holds to its end.
    """

    def __init__(self, loop: Loop, clock: Clock, name: str, greeting: Callable[[], bytes],
                 on_answer: Callable[[bytes, bytes], None], on_death: OnDeath) -> None:
        self.name = name
        self.kept_fds: List[int] = []
        self.resends = False          # what a dead one was not sent is for the next one
        self._ended: List[int] = []   # PIDs that are still to be reaped
        self.pid: Optional[int] = None
        self._loop, self._clock = loop, clock
        self._greeting, self._on_answer, self._on_death = greeting, on_answer, on_death
        self._socket: Optional[socket.socket] = None
        self._unsent: Deque[bytes] = collections.deque()    # frames
        self._unsent_bytes = self._sent = 0     # of all of them; sent of the first one
        self._frames = disk_helper.Frames()
        self._made_at = -math.inf
        self._has_answered = True     # False: the last one ended before it had answered anything
        self._runs_program = True

    @property
    def unsent_bytes(self) -> int:
        """How much waits in this process."""
        return self._unsent_bytes

    def begin(self) -> None:
        """Make the process now, where there is none.  Raises OSError."""
        if self._socket is None:
            self._make()
            self._flush()

    def send(self, kind: bytes, body: bytes = b'') -> None:
        """Ask for something; a helper is made where there is none.  Raises OSError."""
        self.begin()
        self._add(self._unsent.append, disk_helper.frame(kind, body))
        self._flush()

    def drain(self, until_done: Callable[[], bool], seconds: float) -> bool:
        """Read and write for at most so many seconds, until until_done(); whether it is."""
        deadline = time.monotonic() + seconds
        while not until_done():
            left = deadline - time.monotonic()
            if self._socket is None or left <= 0:
                return False
            poll = select.poll()
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            for _, mask in poll.poll(left * 1000):
                if mask & select.POLLOUT:
                    self._flush()
                if mask & ~select.POLLOUT and self._socket is not None:
                    self._read()
        return True

    def finish(self, seconds: float) -> bool:
        """Let it do what was asked for and end; whether it has ended within so many seconds.

        One that has not ends by itself, once its disk lets it.
        """
        deadline = time.monotonic() + seconds
        if self._socket is not None:
            self.drain(lambda: not self._unsent, seconds)
        return self._end(deadline)

    def _end(self, deadline: float) -> bool:
        if self._socket is None:
            return True
        self._on_death = _nobody_minds
        self._socket.shutdown(socket.SHUT_WR)
        self.drain(lambda: self._socket is None, max(0.0, deadline - time.monotonic()))
        has_ended = self._socket is None
        if not has_ended:
            self._close()
        self._reap()
        return has_ended

    # -- making one ----------------------------------------------------------------------------

    def _make(self) -> None:
        now = self._clock()
        if not self._has_answered and now < self._made_at + AGAIN_SECONDS:
            raise OSError(0, 'the process that writes for this daemon has just ended')
        self._made_at = now
        self._reap()
        # A program that cannot even begin (an interpreter that was removed by an upgrade) is not
        # tried again: then it is a fork of this process that writes.
        self._runs_program = self._runs_program and self._has_answered
        self._has_answered = False
        own, other = socket.socketpair()
        own.setblocking(False)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, child_side.every_signal())
        try:
            pid = os.fork()
            if pid == 0:
                self._become(other.fileno())            # does not return
        except OSError:
            own.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            other.close()
        self.pid, self._socket, self._frames = pid, own, disk_helper.Frames()
        self._loop.add_reader(own, self._read)
        self._add(self._unsent.appendleft,
                  self._greeting() + disk_helper.frame(disk_helper.SYNC))

    def _become(self, fd: int) -> NoReturn:
        """In the child: let go of the daemon, and become the program, or at least do its work."""
        try:
            kept = [fd] + self.kept_fds
            child_side.let_go(kept, IGNORED)
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            for number in (1, 2):
                # A pipe that stayed open here would keep its reader waiting for us.
                if number == 1 or not is_a_file(2):
                    os.dup2(null, number)
            if self._runs_program and sys.executable:
                for number in kept:
                    os.set_inheritable(number, True)
                try:
                    os.execv(sys.executable, [sys.executable, '-S', PROGRAM, str(fd), self.name])
                except OSError:
                    pass              # then without
            disk_helper.Server(fd).run()
        finally:
            os._exit(0)

    # -- the socket ----------------------------------------------------------------------------

    def _add(self, add: Callable[[bytes], None], data: bytes) -> None:
        add(data)
        self._unsent_bytes += len(data)

    def _drop_first(self) -> None:
        self._unsent_bytes -= len(self._unsent.popleft())
        self._sent = 0

    def _flush(self) -> None:
        while self._unsent and self._socket is not None:
            try:
                self._sent += self._socket.send(memoryview(self._unsent[0])[self._sent:])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                return                # its end is read in a moment
            if self._sent == len(self._unsent[0]):
                self._drop_first()
        if self._socket is not None:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        for _ in range(READS_MAX):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b''
            if not data:
                self._died()
                return
            for kind, body in self._frames.take(data):
                if self._has_answered:
                    self._on_answer(kind, body)
                self._has_answered = True           # the first one is that of the greeting

    def _died(self) -> None:
        self._close()
        while self._unsent and (self._sent or not self.resends):
            self._drop_first()
        self._on_death('the process that writes the %s (PID %s) has ended'
                       % (self.name, self.pid))

    def _close(self) -> None:
        assert self._socket is not None and self.pid is not None
        self._loop.remove(self._socket)
        self._socket.close()
        self._socket = None
        self._ended.append(self.pid)

    def _reap(self) -> None:
        for pid in list(self._ended):
            try:
                is_there = os.waitpid(pid, os.WNOHANG)[0] == 0
            except ChildProcessError:
                is_there = False
            if not is_there:
                self._ended.remove(pid)


class StateWriter:
    """Replaces files on the disk of `directory`, one after the other.

    on_death(text): the helper ended by itself, which a new one makes up for.
    on_slow(seconds): a state waits for that long already; called once a stall, and on_fast(seconds)
    once it is over.  Call `expire(now)` after every round of the loop.
    """

    def __init__(self, loop: Loop, clock: Clock, directory: str, on_death: OnDeath,
                 on_slow: Callable[[float], None], on_fast: Callable[[float], None]) -> None:
        self._clock = clock
        self._on_death = on_death
        self._on_slow, self._on_fast = on_slow, on_fast
        #: What to call, whether it is the state, since when.
        self._waiting: Deque[Tuple[OnSaved, bool, float]] = collections.deque()
        #: What to call, and why nobody could be asked.
        self._failed: List[Tuple[OnSaved, str]] = []
        self._is_slow = False
        self._lock_fd: Optional[int] = None
        self._helper = Helper(loop, clock, 'state of ' + directory, self._greeting,
                              self._answered, self._died)

    @property
    def pid(self) -> Optional[int]:
        """The helper's PID; None before there was one."""
        return self._helper.pid

    def hold(self, lock_fd: int) -> None:
        """Begin with a helper that holds this lock to its end.  Raises OSError."""
        self._lock_fd = lock_fd
        self._helper.kept_fds = [lock_fd]
        self._helper.begin()

    def replace(self, path: str, data: bytes, on_end: OnSaved, is_durable: bool = True) -> None:
        """Have a file replaced by these bytes; `on_end(reason)` is called later, '' where it was.

        Never called from within.
        """
        kind = disk_helper.SAVE if is_durable else disk_helper.NOTE
        self._ask(kind, os.fsencode(path) + disk_helper.MARK + data, on_end, is_durable)

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        if self._failed:
            return self._clock()
        since = self._stalled_since()
        return None if self._is_slow or since is None else since + PATIENT_SECONDS

    def expire(self, now: float) -> None:
        """Say what could not be asked for, and that the disk takes its time."""
        failed, self._failed = self._failed, []
        for on_end, reason in failed:
            on_end(reason)
        since = self._stalled_since()
        if not self._is_slow and since is not None and now >= since + PATIENT_SECONDS:
            self._is_slow = True
            self._on_slow(now - since)

    def finish(self, paths: Iterable[str], seconds: float) -> bool:
        """Have what was asked for written, then these names removed; whether all is done in time.

        The names last, by the helper too: a disk that stalls must not keep the daemon from ending.
        """
        for path in paths:
            try:
                body = disk_helper.removal(path, os.lstat(path))
                self._helper.send(disk_helper.REMOVE, body)
            except OSError:
                pass                  # it is not there; or a left-over is recognised at the start
        return self._helper.finish(seconds)

    def _stalled_since(self) -> Optional[float]:
        """Since when a state waits to be written."""
        return next((instant for _, is_state, instant in self._waiting if is_state), None)

    def _ask(self, kind: bytes, body: bytes, on_end: OnSaved, is_state: bool) -> None:
        try:
            self._helper.send(kind, body)
        except OSError as error:
            self._failed.append((on_end, str(error.strerror)))
            return
        self._waiting.append((on_end, is_state, self._clock()))

    def _greeting(self) -> bytes:
        if self._lock_fd is None:
            return b''
        return disk_helper.frame(disk_helper.PID, b'%d' % self._lock_fd)

    def _answered(self, kind: bytes, body: bytes) -> None:
        on_end, _, instant = self._waiting.popleft()
        if self._is_slow and self._stalled_since() is None:
            self._is_slow = False
            self._on_fast(self._clock() - instant)
        on_end('' if kind == disk_helper.DONE else os.fsdecode(body))

    def _died(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, collections.deque()
        self._is_slow = False
        self._on_death(reason)
        for on_end, _, _ in waiting:
            on_end(reason)


class LogWriter:
    """Appends lines to a file.

    on_lost(count): so many lines could not be written.  on_death(text): the helper ended by itself.
    """

    def __init__(self, loop: Loop, clock: Clock, on_lost: Callable[[int], None],
                 on_death: OnDeath) -> None:
        self._path = b''
        self._on_lost, self._on_death = on_lost, on_death
        self._syncs = 0
        self._is_used = False
        self._helper = Helper(loop, clock, 'log', self._greeting, self._answered, self._died)
        self._helper.resends = True

    def open(self, path: bytes) -> 'LogWriter':
        """Go on in this file (bytes), opened anew; STDERR_PATH: in the one that stderr is."""
        self._path = path
        if self._is_used:
            self._send(disk_helper.OPEN, path)
        return self

    def write(self, severity: str, data: bytes) -> bool:
        """Hand a line over; whether there was room for it."""
        self._is_used = True
        if self._helper.unsent_bytes > LOG_BYTES_MAX:
            return False
        return self._send(disk_helper.LINE, data)

    def close(self) -> None:
        """Nothing: the next file is opened by the same helper, after these lines."""

    def sync(self, seconds: float) -> None:
        """Wait until all lines are written, at most so long."""
        if self._is_used and self._send(disk_helper.SYNC):
            self._syncs += 1
            self._helper.drain(lambda: not self._syncs, seconds)

    def finish(self, seconds: float) -> bool:
        """Have all lines written, at most for so long; whether they are."""
        self._is_used = False
        return self._helper.finish(seconds)

    def _send(self, kind: bytes, body: bytes = b'') -> bool:
        try:
            self._helper.send(kind, body)
        except OSError:
            return False
        return True

    def _greeting(self) -> bytes:
        return disk_helper.frame(disk_helper.OPEN, self._path)

    def _answered(self, kind: bytes, body: bytes) -> None:
        if kind == disk_helper.LOST:
            self._on_lost(1)
        else:
            self._syncs -= 1

    def _died(self, reason: str) -> None:
        self._syncs = 0
        self._on_death('%s; lines may be missing' % reason)


def is_a_file(fd: int) -> bool:
    """Whether a descriptor leads to a regular file, so that writing to it may wait for a disk."""
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _nobody_minds(reason: str) -> None:
    """The end of a helper that was told to end."""
