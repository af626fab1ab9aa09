"""One thing that an operator asked for and that takes a while: attach, promote.

Whoever asked looks again by its number until it is done or has failed; so a utility needs no
connection that stays open, and a lost one changes nothing.
"""

from typing import Any, Dict

RUNNING, DONE, FAILED = 'running', 'done', 'failed'


class Task:
    """A task of this node; `step` says for people what it is about now."""

    def __init__(self, number: int, name: str, step: str) -> None:
        self.number, self.name, self.step = number, name, step
        self.state, self.reason = RUNNING, ''

    @property
    def is_running(self) -> bool:
        """Whether its end is still awaited."""
        return self.state == RUNNING

    def is_at(self, step: str) -> None:
        """What it is about now, for people."""
        self.step = step

    def end(self, why: str = '') -> None:
        """It is over: done, or failed for this reason.  Only the first end counts."""
        if self.is_running:
            self.state, self.reason = (FAILED, why) if why else (DONE, '')

    def shown(self) -> Dict[str, Any]:
        """As a utility is told, in plain JSON."""
        return {'number': self.number, 'name': self.name, 'state': self.state,
                'step': self.step, 'reason': self.reason}
