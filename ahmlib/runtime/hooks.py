"""The operator's commands, one at a time and in order.

Two queues: hooks of procedures, whose end the core waits for, and notifications, which delay
nothing. A hook is killed by its own time limit only; a procedure that is overtaken does not end
it.
"""

import collections

from ahmlib.process.hooks import run_hook

NOTIFICATIONS_MAX = 100


class HookQueue:
    """Runs commands one after the other.

    `start(function, args, limit, on_end, name)` is `Children.start`.
    """

    def __init__(self, start, length_max=None):
        self._start = start
        self._waiting = collections.deque()
        self._length_max = length_max
        self._busy = False
        self.dropped = 0

    def add(self, name, argv, environment, limit, on_end):
        """Run this command when those before it have ended; `on_end` gets the result dict."""
        if self._length_max is not None and len(self._waiting) >= self._length_max:
            self.dropped += 1
            return
        self._waiting.append((name, argv, environment, limit, on_end))
        self._next()

    def _next(self):
        if self._busy or not self._waiting:
            return
        self._busy = True
        name, argv, environment, limit, on_end = self._waiting.popleft()

        def ended(result):
            self._busy = False
            on_end(result)
            self._next()
        # The function keeps the limit itself; the child's own is the net below it.
        self._start(run_hook, (list(argv), environment, limit), limit + 1.0, ended, name)
