"""Child processes with a time limit: where everything runs that could block the loop.

A child is a fork of the daemon that calls one Python function, writes what it returned as JSON
into a pipe, and exits.  It leads a process group of its own, so that at its limit it is killed
together with all it started.  The loop reads the pipe as it reads any descriptor:

    start ──▶ (queued) ──▶ running ──▶ pipe closed ──▶ reaped ──▶ on_end(result), once
                              │                          ▲
                              ├── limit: SIGKILL ────────┤
                              └── cancel: SIGKILL ───────┴──▶ nothing

A group is killed only while its leader has not been reaped: until then the kernel gives its
number to nobody else.  Only children started here are ever waited for.

Inside a child there is no log, no loop and no socket of the daemon: those descriptors are closed.
A descendant that makes a session of its own leaves the group, and is not killed with it.
"""

import collections
import errno
import json
import math
import os
import signal
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple, Union

from ahmlib.runtime import child_side
from ahmlib.runtime.loop import Clock, Loop

Result = Dict[str, Any]          # what a function returned, as it arrives
#: What runs in a child: it returns a dict, or a NamedTuple.
Function = Callable[..., Union[Result, Tuple[Any, ...]]]
OnEnd = Callable[[Result], None]
OnNews = Callable[[str], None]

CHILDREN_MAX = 32
#: That a child may take beyond the limit that its function keeps itself.
CHILD_SLACK_SECONDS = 0.25
READS_MAX = 16
READ_BYTES = 65536

# A child is reaped an instant after its pipe closes: look again soon, then less and less often.
REAP_FIRST_SECONDS = 0.001
REAP_MOST_SECONDS = 0.1
# A killed process that sits in the kernel (a dead NFS server) may not go for hours.
KILL_PATIENCE_SECONDS = 1.0
UNKNOWN_STATUS = -1                   # no wait status is negative


class Child:
    """The handle of one started function: an opaque token with its name."""

    def __init__(self, name: str, function: Function, args: Sequence[Any], limit_seconds: float,
                 on_end: OnEnd, kill_leftovers: bool, kept_fds: Sequence[int],
                 on_news: Optional[OnNews]) -> None:
        self.name = name
        #: None: still queued, or gone.
        self.pid: Optional[int] = None
        #: The instant of the kill, from its start on; then the end of our patience.
        self.deadline_at = math.inf
        self._call = (function, args, kept_fds)
        self._limit_seconds = limit_seconds
        #: None: cancelled, nobody wants to know.
        self._on_end: Optional[OnEnd] = on_end
        self._on_news = on_news
        self._kill_leftovers = kill_leftovers
        self._fd: Optional[int] = None
        self._output = bytearray()
        #: What is known before the child was reaped.
        self._result: Optional[Result] = None
        self._reap_at = math.inf
        self._reap_pause = REAP_FIRST_SECONDS


class Children:
    """Starts functions in child processes and reports their results to the loop.

    Nothing happens by itself but reading: call `expire(now)` after every round of the loop, and
    wake up at `next_deadline()`.

    loop: a `Loop`.  clock: returns the present instant in seconds.
    children_max: how many run at once; further ones wait in order.
    """

    def __init__(self, loop: Loop, clock: Clock, children_max: int = CHILDREN_MAX) -> None:
        self._loop = loop
        self._clock = clock
        self._children_max = children_max
        self._queue: Deque[Child] = collections.deque()
        self._running: List[Child] = []
        #: Cancelled, or past all patience: only to be reaped.
        self._dying: List[Child] = []
        #: What could not even be forked.
        self._failed: List[Tuple[Child, Result]] = []
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            # Inherited from whoever started us; the kernel would reap our children itself.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def start(self, function: Function, args: Sequence[Any], limit_seconds: float, on_end: OnEnd,
              name: str, kill_leftovers: bool = False, kept_fds: Sequence[int] = (),
              on_news: Optional[OnNews] = None) -> Child:
        """Call `function(*args)` in a child of its own and return a handle for `cancel`.

        function: returns a dict or a NamedTuple that JSON can hold (1 MiB at most), which is a dict
            when it arrives; what it raises becomes {'ok': False, 'reason': one line}.
        limit_seconds: after that long (counted from its start, not from its place in the queue)
            it is killed with its whole process group.
        on_end: called from the loop with the result dict, exactly once, unless cancelled; never
            from within `start`.
        name: what messages call it.
        kill_leftovers: kill what is left of its group when it ends by itself, too.
        kept_fds: the descriptors of this process that the function may use, numbers.
        on_news: called from the loop with what the function tells by `child_side.tell` meanwhile.
        """
        child = Child(name, function, args, limit_seconds, on_end, kill_leftovers, kept_fds,
                      on_news)
        self._queue.append(child)
        self._start_queued()
        return child

    def cancel(self, child: Child) -> None:
        """Kill the child's group at once; its `on_end` is never called.  Harmless at any time."""
        child._on_end = None
        if child in self._queue:
            self._queue.remove(child)
        if child in self._running:
            self._running.remove(child)
            self._bury(child)
            self._start_queued()

    def cancel_all(self) -> None:
        """Kill every child, and forget those that wait."""
        self._queue.clear()
        for child in list(self._running):
            self.cancel(child)

    def next_deadline(self) -> Optional[float]:
        """Return the instant at which `expire` has something to do, or None."""
        if self._failed:
            return self._clock()
        instants = [child.deadline_at for child in self._running]
        instants += [child._reap_at for child in self._running + self._dying]
        return min(instants) if instants else None

    def expire(self, now: float) -> None:
        """Kill what is past its limit, reap what ended, and report it."""
        failed, self._failed = self._failed, []
        for child, result in failed:
            if child._on_end is not None:
                child._on_end(result)
        for child in list(self._dying):
            if child._reap_at <= now and self._reap(child) is not None:
                self._dying.remove(child)
        for child in list(self._running):
            if child not in self._running:
                continue              # an on_end before it cancelled this one
            if child._reap_at <= now:
                self._try_to_finish(child)
            if child in self._running and child.deadline_at <= now:
                self._pass_deadline(child, now)

    def __len__(self) -> int:
        """Return how many children run or wait to run."""
        return len(self._running) + len(self._queue)

    # -- starting ---------------------------------------------------------------------------

    def _start_queued(self) -> None:
        while self._queue and len(self._running) < self._children_max:
            child = self._queue.popleft()
            try:
                self._fork(child)
            except OSError as error:
                reason = ('cannot start %s: %s; this host may be out of processes or memory'
                          % (child.name, error.strerror))
                self._failed.append((child, {'ok': False, 'reason': reason}))

    def _fork(self, child: Child) -> None:
        read_fd, write_fd = os.pipe()
        # Until the child has put its handlers back, a signal to it would end up in our pipe.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, child_side.every_signal())
        try:
            pid = os.fork()
            if pid == 0:
                child_side.run(write_fd, child.name, *child._call)      # does not return
        except OSError:
            os.close(read_fd)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(write_fd)
        try:
            os.setpgid(pid, pid)      # here and in the child: whoever comes first
        except OSError:
            pass                      # it has done so, and ended, already
        os.set_blocking(read_fd, False)
        child.pid, child._fd = pid, read_fd
        child.deadline_at = self._clock() + child._limit_seconds
        self._running.append(child)
        self._loop.add_reader(read_fd, lambda: self._read(child))

    # -- reading and ending -----------------------------------------------------------------

    def _read(self, child: Child) -> None:
        assert child._fd is not None
        for _ in range(READS_MAX):
            try:
                data = os.read(child._fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_pipe(child)
                self._try_to_finish(child)
                return
            child._output += data
            self._take_news(child)
            if child not in self._running:
                return                # cancelled by who was told
            if len(child._output) > child_side.RESULT_BYTES_MAX:
                reason = '%s wrote a result of more than %d bytes and was killed' % (
                    child.name, child_side.RESULT_BYTES_MAX)
                self._kill(child, {'ok': False, 'reason': reason})
                return

    def _take_news(self, child: Child) -> None:
        *lines, rest = child._output.split(child_side.NEWS_END)
        child._output = rest
        for line in lines:
            try:
                text = json.loads(line.decode('utf-8'))
            except ValueError:
                continue              # not by `tell`: no result either, as `result_of` will say
            if isinstance(text, str) and child._on_news is not None and child._on_end is not None:
                child._on_news(text)

    def _try_to_finish(self, child: Child) -> None:
        status = self._reap(child)
        if status is None:
            return
        self._running.remove(child)
        result = child._result
        if result is None:
            result = result_of(child.name, bytes(child._output), status)
        self._report(child, result)

    def _report(self, child: Child, result: Result) -> None:
        on_end, child._on_end = child._on_end, None
        self._start_queued()
        assert on_end is not None     # a cancelled one is not among those that run
        on_end(result)

    def _pass_deadline(self, child: Child, now: float) -> None:
        if child._fd is not None:
            # If it was this process that slept, the result may have been there in time.
            self._read(child)
            if child not in self._running or child.deadline_at > now:
                return
        if child._result is None and child._fd is None and self._reap(child, peek=True):
            return                    # it has ended, and is reaped in a moment
        if child._result is None:
            reason = '%s did not end within %g s and was killed' % (
                child.name, child._limit_seconds)
            self._kill(child, {'ok': False, 'timed_out': True, 'reason': reason})
            self._try_to_finish(child)
            return
        # It was killed and is still there: report it rather than wait for the kernel.
        self._running.remove(child)
        self._bury(child)
        result = dict(child._result)
        result['reason'] += ', but the process (PID %s) does not go away' % child.pid
        self._report(child, result)

    def _kill(self, child: Child, result: Result) -> None:
        """Kill the group and settle the result, which is reported once the child is reaped."""
        assert child.pid is not None
        _kill_group(child.pid)
        self._close_pipe(child)
        child._result = result
        child._output = bytearray()
        now = self._clock()
        child.deadline_at = now + KILL_PATIENCE_SECONDS
        child._reap_at = now + REAP_FIRST_SECONDS

    def _bury(self, child: Child) -> None:
        """Kill a child that nobody waits for any more; it is reaped when it goes."""
        assert child.pid is not None
        _kill_group(child.pid)
        self._close_pipe(child)
        self._dying.append(child)
        child._reap_at = self._clock()
        if self._reap(child) is not None:
            self._dying.remove(child)

    def _close_pipe(self, child: Child) -> None:
        if child._fd is not None:
            self._loop.remove(child._fd)
            os.close(child._fd)
            child._fd = None

    def _reap(self, child: Child, peek: bool = False) -> Optional[int]:
        """Return the child's wait status if it ended (UNKNOWN_STATUS where it is lost), else None
        and look again later.

        peek: only look, return whether it ended.
        """
        assert child.pid is not None
        try:
            ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if peek:
                return ended is not None
            if ended is not None:
                if child._kill_leftovers:
                    _kill_group(child.pid)
                return os.waitpid(child.pid, 0)[1]
        except ChildProcessError:     # somebody else reaped it
            return True if peek else UNKNOWN_STATUS
        child._reap_at = self._clock() + child._reap_pause
        child._reap_pause = min(2 * child._reap_pause, REAP_MOST_SECONDS)
        return None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError as error:
        if error.errno == errno.EPERM:
            _kill_alone(pid)          # a member changed its user; the leader at least is ours


def _kill_alone(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def result_of(name: str, output: bytes, status: int) -> Result:
    """Return the result dict of a child that closed its pipe and ended with `status`."""
    try:
        result = json.loads(output.decode('utf-8'))
    except ValueError:
        result = None
    if isinstance(result, dict):      # written completely: how the process ended is no matter
        return result
    if status == UNKNOWN_STATUS:
        return {'ok': False, 'reason': '%s ended without a result, and somebody else reaped it, so '
                                       'how it ended is not known' % name}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {'ok': False, 'signal': number,
                'reason': '%s was killed by %s' % (name, _signal_name(number))}
    return {'ok': False, 'reason': '%s ended with exit code %d and without a result'
                                   % (name, os.WEXITSTATUS(status))}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return 'signal %d' % number
