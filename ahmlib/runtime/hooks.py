"""The operator's commands, one at a time and in order.

Two queues: hooks of procedures, whose end the core waits for, and notifications, which delay
nothing. A hook is killed by its own time limit only; a procedure that is overtaken does not end
it.
"""

import collections
from typing import TYPE_CHECKING, Any, Callable, Deque, Mapping, Optional, Sequence, Tuple

from ahmlib.process.hooks import run_hook

if TYPE_CHECKING:
    from ahmlib.runtime.children import OnEnd, Result

NOTIFICATIONS_MAX = 100


class HookQueue:
    """Runs commands one after the other.

    `start(function, args, limit, on_end, name)` is `Children.start`.
    """

    def __init__(self, start: Callable[..., Any], length_max: Optional[int] = None) -> None:
        self._start = start
        self._waiting: Deque[Tuple[str, Sequence[str], Mapping[str, str], float, OnEnd]] = \
            collections.deque()
        self._length_max = length_max
        self._busy = False
        self.dropped = 0

    def add(self, name: str, argv: Sequence[str], environment: Mapping[str, str], limit: float,
            on_end: 'OnEnd') -> None:
        """Run this command when those before it have ended; `on_end` gets the result dict."""
        if self._length_max is not None and len(self._waiting) >= self._length_max:
            self.dropped += 1
            return
        self._waiting.append((name, argv, environment, limit, on_end))
        self._next()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        self._busy = True
        name, argv, environment, limit, on_end = self._waiting.popleft()

        def ended(result: 'Result') -> None:
            self._busy = False
            on_end(result)
            self._next()
        # The function keeps the limit itself; the child's own is the net below it.
        self._start(run_hook, (list(argv), environment, limit), limit + 1.0, ended, name)
