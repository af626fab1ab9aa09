"""Runs one procedure at a time.

A procedure is a generator: it yields an effect and receives the event that answers it, or it
yields `Until(condition, seconds)` and receives whether the condition came true in that time.  So
nine steps read as nine lines, every wait has a limit, and the core stays free of callbacks and of
clocks.
"""

from typing import Any, Callable, Generator, NamedTuple, Optional

Procedure = Generator[Any, Any, None]


class Until(NamedTuple):
    """Wait for the condition, for at most so many seconds."""
    condition: Callable[[], bool]
    seconds: float


def pause(seconds: float) -> Until:
    """Wait that long, whatever happens."""
    return Until(lambda: False, seconds)


class Plan:
    """The procedure under way, if any."""

    def __init__(self, ask: Callable[[Any], int], cancel: Callable[[int], None]) -> None:
        self._ask, self._cancel = ask, cancel
        self._steps: Optional[Procedure] = None
        self._token: Optional[int] = None
        self._until: Optional[Until] = None
        self.name = ''
        self.ends_at: Optional[float] = None    # of the wait under way

    @property
    def busy(self) -> bool:
        """Whether a procedure is under way."""
        return self._steps is not None

    def start(self, name: str, steps: Procedure, now: float) -> None:
        """Begin this procedure; one that is under way is closed first."""
        self.close()
        self.name, self._steps = name, steps
        self._go(None, now)

    def close(self) -> None:
        """End the procedure where it stands, and the effect it waits for with it."""
        if self._token is not None:
            self._cancel(self._token)
        steps, self._steps = self._steps, None
        self._token = self._until = self.ends_at = None
        self.name = ''
        if steps is not None and not steps.gi_running:
            steps.close()

    def advance(self, now: float) -> None:
        """Look again at the condition that is waited for."""
        while self._until is not None:
            if self._until.condition():
                self._go(True, now)
            elif now >= self.ends_at:
                self._go(False, now)
            else:
                return

    def answered(self, event: Any, now: float) -> None:
        """The effect that is waited for was answered."""
        self._token = None
        self._go(event, now)

    def _go(self, value: Any, now: float) -> None:
        self._until = self.ends_at = None
        steps = self._steps
        try:
            wanted = steps.send(value)
        except StopIteration:
            if self._steps is steps:
                self._steps, self.name = None, ''
            return
        if self._steps is not steps:
            steps.close()       # it started another procedure and went on: it is over
        elif isinstance(wanted, Until):
            self._until, self.ends_at = wanted, now + wanted.seconds
        else:
            self._token = self._ask(wanted)
