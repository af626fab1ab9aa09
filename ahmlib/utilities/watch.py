"""Printing something again and again: on a terminal within its window, elsewhere block after block.

    the block, anew ──▶ its head fits ──▶ cut ──▶ shown ──▶ a pause
           ▲                              ▲                   │
           └──────── the pause is over ───┴── was resized ◀───┘

What does not fit is left out at the end, and a line says how much. A window that is resized shows
the same block once more, as it fits now.
"""

import os
import select
import signal
import sys
import time
from typing import Callable, List

from ahmlib.utilities import terminal
from ahmlib.utilities.outcome import put

CLEAR = '\033[H\033[2J'
LEFT_OUT = '... %d more lines: enlarge the window, or look without --watch'


def watch(block: Callable[[], str], pause: float, is_framed: bool) -> None:
    """Print what `block` returns, with the time above it if `is_framed`, until Ctrl-C."""
    steers = is_framed and terminal.is_steered(sys.stdout)
    resized = _Resized() if steers else None
    first = True
    try:
        while True:
            text = block()
            if is_framed:
                text = '%s\n%s' % (time.strftime('%Y-%m-%d %H:%M:%S'), text)
            if resized is None:
                put(('\n' if is_framed and not first else '') + text)
                sys.stdout.flush()
                time.sleep(pause)
            else:
                _show_for(text, pause, resized)
            first = False
    except KeyboardInterrupt:
        return
    finally:
        if resized is not None:
            resized.close()


def _show_for(text: str, pause: float, resized: '_Resized') -> None:
    """Show a block for so many seconds, again where the window was resized."""
    until = time.monotonic() + pause
    while True:
        columns, lines = terminal.window(sys.stdout) or (0, 0)
        # The last line stays free: a line end there would move the head out of sight.
        put(CLEAR + '\n'.join(cut(text.split('\n'), columns, lines - 1)))
        sys.stdout.flush()
        if not resized.wait(until - time.monotonic()):
            return


def cut(lines: List[str], columns: int, rows: int) -> List[str]:
    """The first of the lines, and how many were left out, in a window; all where it has no size."""
    if columns < 1 or rows < 1:
        return lines
    heights = [max(1, -(-terminal.width(line) // columns)) for line in lines]
    if sum(heights) <= rows:
        return lines
    kept, used = 0, _rows_of_note(len(lines), columns)
    while used + heights[kept] <= rows:
        used += heights[kept]
        kept += 1
    return lines[:kept] + [LEFT_OUT % (len(lines) - kept)]


def _rows_of_note(count: int, columns: int) -> int:
    return -(-len(LEFT_OUT % count) // columns)


class _Resized:
    """Waits, and wakes up when the window has another size."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._before = signal.signal(signal.SIGWINCH, self._note)

    def _note(self, number: int, frame: object) -> None:
        try:
            os.write(self._write_fd, b'w')
        except BlockingIOError:
            pass                # full: it will wake up all the same

    def wait(self, seconds: float) -> bool:
        """Return after so many seconds, or earlier with True: it was resized."""
        if not select.select([self._read_fd], [], [], max(0.0, seconds))[0]:
            return False
        os.read(self._read_fd, 65536)
        return True

    def close(self) -> None:
        """Wait no more."""
        signal.signal(signal.SIGWINCH, self._before)
        os.close(self._read_fd)
        os.close(self._write_fd)
