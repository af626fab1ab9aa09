"""One overall limit that all the steps of a function draw from."""
import time


class Deadline:
    """An instant `limit` seconds from now, on the monotonic clock of this process."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.started_at = time.monotonic()
        self.ends_at = self.started_at + limit

    def remaining(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.ends_at - time.monotonic())

    def elapsed(self) -> float:
        """Return the seconds since this deadline was set."""
        return time.monotonic() - self.started_at

    def is_over(self) -> bool:
        """Return True once the limit has passed."""
        return time.monotonic() >= self.ends_at

    def sleep(self, seconds: float) -> None:
        """Sleep `seconds`, or less where the limit comes first."""
        time.sleep(min(seconds, self.remaining()))
