"""The daemon's one wait: descriptors, signals, and the instant until which nothing is due.

A thin wrapper over `selectors`.  It adds three things: signals arrive as ordinary callbacks (a
handler does nothing; the interpreter writes the signal's number into a pipe, and the loop reads
it), a callback that was removed by an earlier one of the same round is not called, and every
callback is timed, since one that blocks makes this node late for everybody. That is told to people
only where it is so long that it matters.
"""

import bisect
import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Optional, Tuple, Union

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log

Clock = Callable[[], float]
Callback = Callable[[], Any]
Fd = Union[int, socket.socket]

# time.CLOCK_BOOTTIME exists from Python 3.7; the kernel's number for it is 7 everywhere.
CLOCK_BOOTTIME = getattr(time, 'CLOCK_BOOTTIME', 7)

#: From here on it is worth a line for who reads the log at DEBUG.
SLOW_SECONDS = 0.010
SLOW_LOG_SECONDS = 60.0
#: How long steps took is counted up to each of these, and beyond.
BUSY_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def clock() -> float:
    """Return the seconds since this host's boot, as a float.  Time spent suspended counts."""
    return time.clock_gettime(CLOCK_BOOTTIME)


class Loop:
    """Waits for what happens and calls who asked for it, in one thread.

    clock: returns the present instant in seconds.
    log: a `Log`, or None; told when a callback took longer than 10 ms, at DEBUG.
    late_seconds: from so many on it is a WARNING, since others may notice.
    slowest_seconds: the longest any callback took so far; busy_counts: how many took up to each of
    BUSY_SECONDS, and more than the last one; busy_seconds: all of them together.
    """

    def __init__(self, clock: Clock = clock, log: Optional['Log'] = None,
                 late_seconds: float = float('inf')) -> None:
        self.clock = clock
        self.log = log
        self.late_seconds = late_seconds
        self.slowest_seconds = 0.0
        self.busy_counts = [0] * (len(BUSY_SECONDS) + 1)
        self.busy_seconds = 0.0
        self._selector = selectors.DefaultSelector()
        #: fd -> {event: callback}; a new dict for every registration.
        self._callbacks: Dict[int, Dict[int, Callback]] = {}
        self._signals: Dict[int, Callable[[int], Any]] = {}
        #: Number -> the handler that was there before.
        self._replaced: Dict[int, Any] = {}
        self._signal_pipe: Optional[Tuple[int, int]] = None

    def add_reader(self, fd: Fd, callback: Callback) -> None:
        """Call `callback()` whenever `fd` can be read.  Replaces an earlier reader of it."""
        self._add(fd, selectors.EVENT_READ, callback)

    def add_writer(self, fd: Fd, callback: Callback) -> None:
        """Call `callback()` whenever `fd` can be written.  Replaces an earlier writer of it."""
        self._add(fd, selectors.EVENT_WRITE, callback)

    def remove_reader(self, fd: Fd) -> None:
        """Stop reading from `fd`; its writer stays.  Nothing happens if there is none."""
        self._discard(fd, selectors.EVENT_READ)

    def remove_writer(self, fd: Fd) -> None:
        """Stop writing to `fd`; its reader stays.  Nothing happens if there is none."""
        self._discard(fd, selectors.EVENT_WRITE)

    def remove(self, fd: Fd) -> None:
        """Forget `fd`.  To be called before it is closed.  Nothing happens if it is unknown."""
        fd = _number(fd)
        if self._callbacks.pop(fd, None) is not None:
            self._selector.unregister(fd)

    def on_signal(self, signum: int, callback: Callable[[int], Any]) -> None:
        """Call `callback(signum)` from the loop after this process received that signal.

        Must be called in the main thread.  Equal signals that arrive together may count as one.
        """
        if self._signal_pipe is None:
            self._open_signal_pipe()
        before = signal.signal(signum, _do_nothing)
        self._replaced.setdefault(signum, before)
        self._signals[signum] = callback

    def run_once(self, until: Optional[float] = None) -> int:
        """Wait until something happens, at most until the instant `until`; call who asked.

        until: an instant of `clock`, or None to wait for ever.  One in the past: do not wait.
        Returns the number of callbacks that ran.  What a callback raises is not caught here.
        """
        timeout = None if until is None else max(0.0, until - self.clock())
        count = 0
        for key, mask in self._selector.select(timeout):
            # A callback of this round may have removed this descriptor, closed it, and opened
            # another one under the same number: then this is news about the old one.
            wanted: Dict[int, Callback] = key.data
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                if not mask & event or self._callbacks.get(key.fd) is not wanted:
                    continue
                if event in wanted:
                    self.measure(wanted[event])
                    count += 1
        return count

    def measure(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function(*args)`, time it, complain if it was slow, and return its result."""
        started_at = self.clock()
        try:
            return function(*args)
        finally:
            self._note_duration(function, self.clock() - started_at)

    def close(self) -> None:
        """Put the signal handlers back and close the selector; the descriptors stay open."""
        for signum, handler in self._replaced.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._replaced.clear()
        self._signals.clear()
        if self._signal_pipe is not None:
            signal.set_wakeup_fd(-1)
            self.remove(self._signal_pipe[0])
            for fd in self._signal_pipe:
                os.close(fd)
            self._signal_pipe = None
        self._callbacks.clear()
        self._selector.close()

    def _add(self, fd: Fd, event: int, callback: Callback) -> None:
        fd = _number(fd)
        known = self._callbacks.get(fd)
        if known is None:
            entry = {event: callback}
            self._selector.register(fd, event, entry)
            self._callbacks[fd] = entry
            return
        is_new_event = event not in known
        known[event] = callback
        if is_new_event:
            self._selector.modify(fd, _mask(known), known)

    def _discard(self, fd: Fd, event: int) -> None:
        fd = _number(fd)
        known = self._callbacks.get(fd)
        if known is None or event not in known:
            return
        del known[event]
        if known:
            self._selector.modify(fd, _mask(known), known)
        else:
            self.remove(fd)

    def _open_signal_pipe(self) -> None:
        read_fd, write_fd = self._signal_pipe = os.pipe()
        for fd in self._signal_pipe:
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write_fd)
        self.add_reader(read_fd, lambda: self._read_signals(read_fd))

    def _read_signals(self, fd: int) -> None:
        try:
            numbers = os.read(fd, 4096)
        except BlockingIOError:
            return
        for signum in sorted(set(numbers)):
            callback = self._signals.get(signum)
            if callback is not None:
                callback(signum)

    def _note_duration(self, function: Callable[..., Any], seconds: float) -> None:
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        self.busy_counts[bisect.bisect_left(BUSY_SECONDS, seconds)] += 1
        self.busy_seconds += seconds
        if seconds <= SLOW_SECONDS or self.log is None:
            return
        name = getattr(function, '__qualname__', None) or repr(function)
        if seconds < self.late_seconds:
            if self.log.bounded('slow callback', SLOW_LOG_SECONDS):
                self.log.debug('one step (%s) took %.0f ms' % (name, seconds * 1000))
        elif self.log.bounded('late', SLOW_LOG_SECONDS):
            self.log.warning(
                'AHM on this host was late: one step took %.2f s, expected less than %.2f s; its '
                'beacons may be as late, so other nodes may take this one for lost: look whether '
                'the host lacks CPU or memory, or swaps (the step: %s)'
                % (seconds, self.late_seconds, name))


def _do_nothing(signum: int, frame: Any) -> None:
    """The handler of every signal: its number is in the pipe already."""


def _number(fd: Fd) -> int:
    return fd if isinstance(fd, int) else fd.fileno()


def _mask(entry: Iterable[int]) -> int:
    mask = 0
    for event in entry:
        mask |= event
    return mask
