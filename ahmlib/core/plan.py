"""Runs one procedure at a time.

A procedure is a generator: it yields an effect and receives the event that answers it, or it
yields `Until(condition, seconds)` and receives whether the condition came true in that time.  So
nine steps read as nine lines, every wait has a limit, and the core stays free of callbacks and of
clocks.  What it returns says how it ended; who runs it follows that up.
"""

from typing import Any, Callable, Generator, List, NamedTuple, Optional, Tuple

from .facts import Facts
from .out import Out
from .steps import WAITS, Course, Step, name_of_effect
from .wanted import name_of, overtakes

Procedure = Generator[Any, Any, Any]


class Until(NamedTuple):
    """Wait for the condition, for at most so many seconds; `meanwhile` is done while it is not so.

    `step`: what is waited for, as the history of events calls it.
    """
    condition: Callable[[], bool]
    seconds: float
    meanwhile: Callable[[], None] = lambda: None
    step: str = ''


def pause(seconds: float) -> Until:
    """Wait that long, whatever happens."""
    return Until(lambda: False, seconds, step='pause')


class Ending(NamedTuple):
    """How a procedure ended: what it was, its steps, what it returned.

    `overtaken_by`: what people are told of the one that closed it; '' where it came to its end.
    """
    wanted: Any
    steps: Tuple[Step, ...]
    outcome: Any
    overtaken_by: str = ''


class Plan:
    """The procedure under way, if any."""

    def __init__(self, facts: Facts, out: Out) -> None:
        self.facts, self.out = facts, out
        self._steps: Optional[Procedure] = None
        self._wanted: Any = None
        self.token: Optional[int] = None        # of the effect that it waits for
        self._until: Optional[Until] = None
        self._ends_at = 0.0                     # of the wait under way
        self._outcomes: List[Any] = []
        self._course = Course()
        self._endings: List[Ending] = []

    def is_at(self, kind: type) -> bool:
        """Whether a procedure of this kind is under way."""
        return type(self._wanted) is kind

    @property
    def busy(self) -> bool:
        """Whether a procedure is under way."""
        return self._steps is not None

    @property
    def under_way(self) -> Optional[Procedure]:
        """The procedure itself, to tell it from the one before."""
        return self._steps

    @property
    def name(self) -> str:
        """What is under way, for people; '' where nothing is."""
        return name_of(self._wanted) if self._wanted is not None else ''

    def may_start(self, wanted: Any) -> bool:
        """Whether this one may begin now: nothing is under way, or what it overtakes."""
        return self._wanted is None or overtakes(wanted, self._wanted)

    def start(self, wanted: Any, steps: Procedure) -> None:
        """Begin this procedure; one that is under way is closed first."""
        assert self.may_start(wanted), '%s does not overtake %s' % (name_of(wanted), self.name)
        self.close(name_of(wanted))
        self._wanted, self._steps, self._course = wanted, steps, Course()
        self._go(None)

    def close(self, overtaken_by: str = 'the end') -> None:
        """End the procedure where it stands, and the effect it waits for with it."""
        if self.token is not None:
            self.out.cancel(self.token)
        if self._wanted is not None:
            self._note_end(None, overtaken_by)
        steps, self._steps, self._wanted = self._steps, None, None
        self.token = self._until = None
        if steps is not None:
            steps.close()

    def advance(self) -> None:
        """Look again at the condition that is waited for."""
        while self._until is not None:
            if self._until.condition():
                self._go(True)
            elif self.facts.reached(self._ends_at):
                self._go(False)
            else:
                self._until.meanwhile()
                return

    def answered(self, event: Any) -> None:
        """The effect that is waited for was answered."""
        self.token = None
        self._go(event)

    def outcomes(self) -> List[Any]:
        """How procedures ended since this was asked last."""
        found, self._outcomes = self._outcomes, []
        return found

    def endings(self) -> List[Ending]:
        """The procedures that ended since this was asked last."""
        found, self._endings = self._endings, []
        return found

    def _note_end(self, outcome: Any, overtaken_by: str = '') -> None:
        self._endings.append(Ending(self._wanted, self._course.ended(self.facts.now), outcome,
                                    overtaken_by))

    def _go(self, value: Any) -> None:
        assert self._steps is not None
        self._until = None
        try:
            asked = self._steps.send(value)
        except StopIteration as end:
            self._note_end(end.value)
            self._steps, self._wanted = None, None
            if end.value is not None:
                self._outcomes.append(end.value)
            return
        assert self._steps is not None, 'a procedure starts no other one while it runs'
        if isinstance(asked, Until):
            self._course.enters(asked.step or WAITS, self.facts.now)
            self._until, self._ends_at = asked, self.facts.now + asked.seconds
        else:
            self._course.enters(name_of_effect(asked), self.facts.now)
            self.token = self.out.ask(asked, self.answered)
