"""The file of the history of events: appended to by a process that waits for the disk, read once.

A line an event, in JSON.  Two files, each of at most FILE_BYTES_MAX: the present one, and the one
before it.  A line that was cut short by a crash is left out when they are read.
"""

import collections
import json
import os
import stat
from typing import Any, Callable, Deque, Dict, List, Tuple

from ahmlib.runtime import disk_helper
from ahmlib.runtime.disk import Helper, OnDeath
from ahmlib.runtime.loop import Clock, Loop

Event = Dict[str, Any]
OnKept = Callable[[str], None]          # '', or why it was not

NAME = 'ahm.events.jsonl'
FILE_BYTES_MAX = 1024 * 1024
#: What may wait for the disk.
UNSENT_BYTES_MAX = 256 * 1024
#: What is read of the end of each file: more than the daemon keeps in memory.
READ_BYTES = FILE_BYTES_MAX


class EventWriter:
    """Appends events to the file in `data_dir`; each is answered later by "kept", or why not."""

    def __init__(self, loop: Loop, clock: Clock, data_dir: str, on_death: OnDeath,
                 bytes_max: int = FILE_BYTES_MAX) -> None:
        self.path = os.path.join(data_dir, NAME)
        self._clock, self._on_death = clock, on_death
        self._head = os.fsencode(self.path) + disk_helper.MARK + b'%d' % bytes_max \
            + disk_helper.MARK
        self._waiting: Deque[OnKept] = collections.deque()
        self._failed: List[Tuple[OnKept, str]] = []     # of nobody who could be asked
        self._helper = Helper(loop, clock, 'events of ' + data_dir, lambda: b'', self._answered,
                              self._died)

    def keep(self, event: Event, on_end: OnKept) -> None:
        """Have it appended; `on_end(reason)` is called later, '' where it was."""
        if self._helper.unsent_bytes > UNSENT_BYTES_MAX:
            self._failed.append((on_end, 'the disk does not answer'))
            return
        line = json.dumps(event, ensure_ascii=True, sort_keys=True).encode('ascii')
        try:
            self._helper.send(disk_helper.KEEP, self._head + line)
        except OSError as error:
            self._failed.append((on_end, str(error.strerror)))
            return
        self._waiting.append(on_end)

    def has_failed(self) -> bool:
        """Whether `expire` has something to say."""
        return bool(self._failed)

    def expire(self) -> None:
        """Say what could not be asked for."""
        failed, self._failed = self._failed, []
        for on_end, reason in failed:
            on_end(reason)

    def finish(self, seconds: float) -> bool:
        """Have all written, at most for so long; whether it is."""
        return self._helper.finish(seconds)

    def _answered(self, kind: bytes, body: bytes) -> None:
        on_end = self._waiting.popleft()
        on_end('' if kind == disk_helper.DONE else os.fsdecode(body) or 'it cannot be written')

    def _died(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, collections.deque()
        self._on_death(reason)
        self._failed += [(on_end, reason) for on_end in waiting]


def read(data_dir: str) -> List[Event]:
    """The events in the files there, the newest last.  Raises OSError where one cannot be read."""
    path = os.path.join(data_dir, NAME)
    found: List[Event] = []
    for name in (path + disk_helper.ROTATED, path):
        found += filter(None, map(_event, _end_of(name).split(b'\n')))
    return found


def _end_of(path: str) -> bytes:
    """The last bytes of a file; none of one that is not there, or not a file of this user."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b''
    with open(fd, 'rb') as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
            raise OSError(0, '%s is no file of this user: remove it' % path)
        file.seek(max(0, info.st_size - READ_BYTES))
        return file.read(READ_BYTES)


def _event(line: bytes) -> Any:
    """The event in a line; None where it holds none: cut short, or damaged."""
    try:
        event = json.loads(line.decode('utf-8'))
    except ValueError:
        return None
    numbers = isinstance(event, dict) and [event.get('term'), event.get('seq')]
    return event if numbers and all(type(item) is int and item >= 0 for item in numbers) else None
