"""Several short programs at once, and what each of them said.

A ping and a probe of the link take a second each where nobody answers; one after the other they
would take two of the few that a takeover has.  Messages are asked for in English (LC_ALL=C),
because what a program says is what counts, and never its exit status alone.
"""
import os
import subprocess
from typing import IO, Callable, Iterable, List, Optional

from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

ENGLISH = {'LC_ALL': 'C', 'LANGUAGE': 'C'}
POLL_SECONDS = 0.01
OUTPUT_MAX = 65536


class Running:
    """A program that was started, or could not be: then `trouble` says why."""

    def __init__(self, argv: List[str]) -> None:
        self.argv = argv
        self.child: Optional[subprocess.Popen[bytes]] = None
        self.trouble = ''
        self._said: Optional[str] = None
        try:
            self.child = programs.start(argv, subprocess.PIPE, environment=ENGLISH)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.trouble = '%r: %s; check the path and the permissions' % (
                argv[0], getattr(error, 'strerror', None) or error)

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself, or never started."""
        return self.child is None or self.child.poll() is not None

    @property
    def code(self) -> Optional[int]:
        """Its exit status; None where it has none (yet)."""
        return None if self.child is None else self.child.returncode

    def said(self) -> str:
        """What it has written, both streams together; only once it has ended."""
        if self._said is None:
            pipe = None if self.child is None else self.child.stdout
            self._said = '' if pipe is None else _waiting(pipe)
        return self._said

    def kill(self) -> None:
        """End it with all that it started."""
        if self.child is not None:
            if self.child.poll() is None:
                programs.kill_group(self.child)
            if self.child.stdout is not None:
                self.child.stdout.close()


def await_all(running: Iterable[Running], deadline: Deadline,
              is_enough: Optional[Callable[[], bool]] = None) -> None:
    """Wait until all have ended, `is_enough()` says so, or the deadline is over."""
    while not deadline.is_over():
        if all(each.has_ended for each in running) or is_enough is not None and is_enough():
            return
        deadline.sleep(POLL_SECONDS)


def _waiting(pipe: IO[bytes]) -> str:
    """What the pipe holds now.  Its end may be far: a program can leave another one behind."""
    os.set_blocking(pipe.fileno(), False)
    data = b''
    try:
        while len(data) < OUTPUT_MAX:
            piece = os.read(pipe.fileno(), OUTPUT_MAX)
            if not piece:
                break
            data += piece
    except BlockingIOError:
        pass
    return data.decode('utf-8', 'replace')
