"""The time of a node, and when it wants to be called again.

Whoever asks whether an instant has come, and hears that it has not, is asked again at that instant:
the clock remembers the least of these.  So nobody keeps a list of deadlines beside its conditions.
"""

#: Between two looks where nobody waits for anything.
IDLE_SECONDS = 3600.0


class Clock:
    """`now` in seconds of a clock that goes on during a suspend; `turn` counts the events."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.turn = 0
        self._next = float('inf')

    def advance(self, now: float) -> None:
        """A new event, at this instant; what was asked before is asked again."""
        self.now = max(now, self.now)
        self.turn += 1
        self._next = self.now + IDLE_SECONDS

    def reached(self, at: float) -> bool:
        """Whether this instant has come."""
        if self.now >= at:
            return True
        if at < self._next:
            self._next = at
        return False

    def wake_by(self, at: float) -> None:
        """Be called again at this instant at the latest."""
        self.reached(at)

    @property
    def wake_at(self) -> float:
        """The least instant that somebody waits for."""
        return self._next
