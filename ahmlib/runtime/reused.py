"""A child that is asked again and again: for questions that come so often that a fork is dear.

Nearly all that a check of a database costs is its beginning: a process, and psycopg2 in it.  Where
checks come every second or so, one child answers them, one after the other.  Each keeps its limit:
at that the child is killed with its whole group, as one of its own would be, and the next question
makes a new one.  A question that comes while the child is at work gets a child of its own.

It is replaced every RENEWED_SECONDS, so nothing that it remembers gets older than that: what the C
library read of resolv.conf, what a library leaks, a thread that waits for a name for ever.
"""

import math
import pickle
import socket
from typing import Any, Dict, Optional, Sequence, Union

from ahmlib.runtime import child_side
from ahmlib.runtime.children import Child, Children, Function, OnEnd, Result, result_of
from ahmlib.runtime.disk_helper import READ_BYTES, Frames, frame
from ahmlib.runtime.loop import Clock, Loop

RENEWED_SECONDS = 60.0
#: The kinds of frames: a pickle of (name, function, arguments), and JSON.
ASKED, ANSWERED = b'?', b'+'


class Question:
    """A question that the child is at; a token for `cancel`."""

    def __init__(self, name: str, limit_seconds: float, on_end: OnEnd, now: float) -> None:
        self.name, self.limit_seconds, self.on_end = name, limit_seconds, on_end
        self.deadline_at = now + limit_seconds


class Worker:
    """One such child, and the socket to it; `question`: what it is at."""

    def __init__(self, children: Children, loop: Loop, clock: Clock) -> None:
        self._children, self._loop, self._clock = children, loop, clock
        self.made_at = clock()
        self.question: Optional[Question] = None
        self.is_over = False
        self._frames = Frames()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._child = children.start(serve, (theirs.fileno(),), math.inf, self._ended,
                                         'a child for checks', True, [theirs.fileno()])
            # One that waits for its turn would begin without the descriptor.
            self.is_over = self._child.pid is None
        if self.is_over:
            self.kill()
            return
        loop.add_reader(self._socket, self._read)

    def ask(self, question: Question, function: Function, args: Sequence[Any]) -> bool:
        """Ask it; whether that could be done."""
        data = frame(ASKED, pickle.dumps((question.name, function, tuple(args))))
        try:
            if self._socket.send(data) < len(data):
                raise BlockingIOError
        except OSError:
            self.kill()
            return False
        self.question = question
        return True

    def retire(self) -> None:
        """Let it end: it is at nothing."""
        self._close()

    def kill(self) -> None:
        """End it at once, with all that it started; nobody hears of it."""
        self._close()
        self._children.cancel(self._child)

    def _close(self) -> None:
        self.is_over = True
        self._loop.remove(self._socket)
        self._socket.close()

    def look(self) -> None:
        """Take what has come: this process may have slept."""
        if not self.is_over:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self._close()       # it has died: how, is told once it is reaped
            return
        for _, body in self._frames.take(data):
            self._report(result_of('a check', body, 0))

    def pass_deadline(self) -> None:
        """The question's limit has come."""
        self.look()
        question = self.question
        if question is not None and question.deadline_at <= self._clock():
            self.kill()
            self._report({'ok': False, 'timed_out': True, 'reason':
                          '%s did not end within %g s and was killed' % (
                              question.name, question.limit_seconds)})

    def _ended(self, result: Result) -> None:
        """It has ended by itself."""
        if not self.is_over:
            self._close()
        self._report(dict(result, reason=result.get('reason') or 'it ended without an answer',
                          ok=False))

    def _report(self, result: Result) -> None:
        question, self.question = self.question, None
        if question is not None:
            question.on_end(result)


Handle = Union[Question, Child]


class Reused:
    """Has `start` and `cancel` as Children has; call `expire(now)` after every round of the loop.

    children: for the child, and for questions that it is too busy for.
    """

    def __init__(self, children: Children, loop: Loop, clock: Clock) -> None:
        self._children, self._loop, self._clock = children, loop, clock
        self._worker: Optional[Worker] = None

    def start(self, function: Function, args: Sequence[Any], limit_seconds: float, on_end: OnEnd,
              name: str) -> Handle:
        """Call `function(*args)` in the child, or in one of its own; see Children.start."""
        worker = self._free()
        question = Question(name, limit_seconds, on_end, self._clock())
        if worker is not None and worker.ask(question, function, args):
            return question
        return self._children.start(function, args, limit_seconds, on_end, name)

    def _free(self) -> Optional[Worker]:
        """The child, made anew where that is due; None while it is at work, or cannot be made."""
        worker = self._worker
        if worker is not None:
            worker.look()       # it may have died since
        if worker is not None and worker.question is not None:
            return None
        if worker is not None and not worker.is_over \
                and self._clock() >= worker.made_at + RENEWED_SECONDS:
            worker.retire()
        if worker is None or worker.is_over:
            worker = self._worker = Worker(self._children, self._loop, self._clock)
        return None if worker.is_over else worker

    def cancel(self, handle: Handle) -> None:
        """End it at once; its `on_end` is never called.  Harmless at any time."""
        if isinstance(handle, Child):
            self._children.cancel(handle)
        elif self._worker is not None and self._worker.question is handle:
            self._worker.question = None
            self._worker.kill()

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        question = None if self._worker is None else self._worker.question
        return None if question is None else question.deadline_at

    def expire(self, now: float) -> None:
        """End what is past its limit."""
        deadline_at = self.next_deadline()
        if deadline_at is not None and deadline_at <= now:
            assert self._worker is not None
            self._worker.pass_deadline()


# -- in the child --------------------------------------------------------------------------------


def serve(fd: int) -> Dict[str, Any]:
    """Answer what comes out of this descriptor, one question after the other, to its end."""
    frames = Frames()
    with socket.socket(fileno=fd) as link:
        while True:
            data = link.recv(READ_BYTES)
            if not data:
                return {}
            for _, body in frames.take(data):
                name, function, args = pickle.loads(body)
                link.sendall(frame(ANSWERED, child_side.outcome(name, function, args)))
