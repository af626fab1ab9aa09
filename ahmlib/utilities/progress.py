"""What is waited for, and for how long already, on stderr, once it takes longer than a moment.

On a terminal it is one line that is rewritten, and gone at the end; elsewhere a plain line now and
then.  A thread draws, so whatever is waited for may block: an answer, a pipe, a program.  What a
quick command prints is as ever.
"""

import re
import sys
import threading
import time
from typing import Any, Optional, TextIO

from ahmlib.utilities import terminal
from ahmlib.utilities.outcome import printable, put

#: From here on something is shown.
PATIENT_SECONDS = 3.0
#: Between two lines where they are not rewritten, and where they are.
LINE_SECONDS, REWRITE_SECONDS = 10.0, 0.5
#: What changes while a step gets on: a number, with its unit.
_FIGURE = re.compile(r'\b\d+(\.\d+)?( (s|min|MB|GB))?\b')


class Progress:
    """With it around what may take long: `with Progress('attach') as progress: ...`.

    `step` is what is being done now, in words.
    """

    def __init__(self, what: str, stream: Optional[TextIO] = None) -> None:
        self.step = ''
        self.is_shown = False
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._rewrites = terminal.is_steered(self._stream)
        self._began_at = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._draw_until_ended, daemon=True)

    def __enter__(self) -> 'Progress':
        self._began_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self._ended.set()
        self._thread.join()
        if self.is_shown and self._rewrites:
            self._write('\r\033[K')
        elif self.is_shown:
            self._write('%s: %s after %s\n' % (self._what, 'done' if kind is None else 'ended',
                                               spent(self.seconds())))

    def seconds(self) -> float:
        """How long it has taken up to now."""
        return time.monotonic() - self._began_at

    def say(self, text: str) -> None:
        """Print a line on stdout that stays, above the one that is rewritten."""
        with self._lock:
            if self.is_shown and self._rewrites:
                self._write('\r\033[K')
            put(text)
            sys.stdout.flush()

    def _draw_until_ended(self) -> None:
        # Scripts keep what is printed, so what ends within moments prints nothing for them.
        pause = PATIENT_SECONDS if self._rewrites else LINE_SECONDS
        while not self._ended.wait(pause):
            with self._lock:
                self._draw()
            pause = REWRITE_SECONDS if self._rewrites else LINE_SECONDS

    def _draw(self) -> None:
        self.is_shown = True
        text = '%s: %s' % (self._what, spent(self.seconds()))
        if self.step:
            text += ', ' + printable(self.step)
        if not self._rewrites:
            self._write(text + '\n')
            return
        columns = (terminal.window(self._stream) or (80, 24))[0]
        while terminal.width(text) >= columns:
            text = text[:-1]
        self._write('\r%s\033[K' % text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._ended.set()       # nobody reads stderr any more: what is done goes on


def without_figures(text: str) -> str:
    """What a step is about, whatever has become of it by now."""
    return _FIGURE.sub('#', text)


def spent(seconds: float) -> str:
    """A time as it is counted up: '12 s', '3 min 07 s'."""
    minutes, rest = divmod(int(seconds), 60)
    return '%d min %02d s' % (minutes, rest) if minutes else '%d s' % rest
