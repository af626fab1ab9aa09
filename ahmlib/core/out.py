"""What a node wants of its world, collected while it thinks: effects, and who waits for an answer.

And what it tells people it is about: `problem`, in a few words, until there is something else.
"""

from typing import Any, Callable, Dict, List, Tuple

from .effects import Cancel, Exit, Report, RunHook


class Out:
    """The effects of the event that is being handled, in order; answers find who asked."""

    def __init__(self) -> None:
        self.effects: List[Any] = []
        self.waiting: Dict[int, Tuple[Any, Callable[[Any], None]]] = {}
        self.tokens = 0
        self.problem = ''
        self.exited = False

    def emit(self, effect: Any) -> None:
        """Want this done."""
        self.effects.append(effect)

    def save(self, effect: Any) -> None:
        """Want this on disk before anything else is done."""
        self.effects.insert(0, effect)

    def report(self, severity: str, event: str, text: str) -> None:
        """Tell people."""
        self.effects.append(Report(severity, event, text))

    def note(self, problem: str) -> None:
        """What is wrong here, for people; '' where nothing is."""
        self.problem = problem

    def exit(self, code: int, reason: str) -> None:
        """End the daemon."""
        self.exited = True
        self.emit(Exit(code, reason))

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

    def take(self) -> List[Any]:
        """What was collected, for the last time."""
        found, self.effects = self.effects, []
        return found
