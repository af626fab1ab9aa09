"""What a node wants of its world, collected while it thinks: effects, and who waits for an answer.

And what it tells people it is about: `problem`, in a few words, until there is something else.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .effects import Cancel, Exit, Report, RunHook, SaveState, SendBeacon


class Ready(NamedTuple):
    """What one event brings; performed in this order, and only then is the next event taken.

    `save` is asked for first, and `rows` hold nothing that it has still to write (R3).  The last
    word of a node leaves before it ends: its leader may wait for that, to end itself.
    """
    save: Optional[SaveState] = None
    asked: Tuple[Any, ...] = ()         # all the rest, in the order of the decisions
    rows: Tuple[SendBeacon, ...] = ()
    end: Optional[Exit] = None

    def in_order(self) -> Tuple[Any, ...]:
        """All effects, as they are to be performed."""
        everything = (self.save,) + self.asked + self.rows + (self.end,)
        return tuple(effect for effect in everything if effect is not None)


class Out:
    """The effects of the event that is being handled; answers find who asked."""

    def __init__(self) -> None:
        self.save: Optional[SaveState] = None
        self.effects: List[Any] = []
        self.rows: List[SendBeacon] = []
        self.end: Optional[Exit] = None
        self.waiting: Dict[int, Tuple[Any, Callable[[Any], None]]] = {}
        self.tokens = 0
        self.problem = ''

    def emit(self, effect: Any) -> None:
        """Want this done."""
        self.effects.append(effect)

    def write(self, save: SaveState) -> None:
        """Want this on disk, before anything else is asked for."""
        assert self.save is None, 'one save at a time'
        self.save = save

    def say(self, row: SendBeacon) -> None:
        """Want this sent, once all the rest is asked for."""
        self.rows.append(row)

    def report(self, severity: str, event: str, text: str, kind: str = '',
               cause: str = '') -> None:
        """Tell people."""
        self.effects.append(Report(severity, event, text, kind, cause))

    def note(self, problem: str) -> None:
        """What is wrong here, for people; '' where nothing is."""
        self.problem = problem

    def exit(self, code: int, reason: str) -> None:
        """End the daemon."""
        self.end = self.end or Exit(code, reason)

    def run_in_background(self, hook: RunHook) -> None:
        """Run a hook whose end nothing waits for."""
        self.ask(hook, lambda event: self.report(
            'NOTICE' if event.ok else 'ERROR', 'hook', '%s %s' % (
                hook.hook, 'succeeded' if event.ok else 'failed: %s' % event.reason)))

    def ask(self, effect: Any, on_answer: Callable[[Any], None]) -> int:
        """Want this done, and be told of its end."""
        self.tokens += 1
        self.waiting[self.tokens] = (effect, on_answer)
        self.emit(effect._replace(token=self.tokens))
        return self.tokens

    def answered(self, event: Any) -> None:
        """Tell who asked; an answer that nobody waits for changes nothing."""
        _, on_answer = self.waiting.pop(event.token, (None, None))
        if on_answer is not None:
            on_answer(event)

    def cancel(self, token: int) -> None:
        """Wait for this effect no more, and end it; a hook is killed by its own limit only."""
        effect, _ = self.waiting.pop(token, (None, None))
        if effect is not None and not isinstance(effect, RunHook):
            self.emit(Cancel(token))

    def take(self) -> Ready:
        """What was collected since the last time."""
        found = Ready(self.save, tuple(self.effects), tuple(self.rows), self.end)
        self.save, self.effects, self.rows = None, [], []
        return found
