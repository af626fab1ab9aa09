"""What is wrong at this node, for as long as it lasts: one cause, told once, and again at its end.

A trouble is looked for anew in every round, in a table of kinds.  Its text may change while it
lasts (a count, say); people are told when it begins, every hour, and when it is over.  The row
carries it, so every node can tell it of every other one: whoever asks through the VIP must not be
sent to another host to find out what is the matter there.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from ..beacon import Trouble
from ..effects import TROUBLE, TROUBLE_OVER, UNKEPT, Record
from ..facts import Facts
from ..out import Out

HOUR_SECONDS = 3600.0
#: Of one row, so that it stays a small datagram.
TROUBLES_MAX = 8
TEXT_MAX = 240


class Kind(NamedTuple):
    """One kind of trouble.

    `find(parts)` says what is wrong, '' where nothing is; `over(parts)` what people are told at the
    end, '' where something else has taken its place.  `begins` False: who finds it says so itself.
    `ends`: the event of the end, where that has another name.
    """
    event: str
    severity: Callable[[Any], str]
    find: Callable[[Any], str]
    over: Callable[[Any], str]
    begins: bool = True
    ends: str = ''


class Lasting(NamedTuple):
    """A trouble that lasts."""
    text: str
    severity: str
    since: float
    told_at: float


class Troubles:
    """What lasts at this node."""

    def __init__(self, facts: Facts, out: Out) -> None:
        self.facts, self.out = facts, out
        self.of_own_files = ''      # what is wrong with the PID file or the socket, as was told
        self.of_history = ''        # why events are lost
        self.lasting: Dict[str, Lasting] = {}   # by the event of its kind

    def own_files_looked(self, reason: str) -> None:
        """What the daemon found when it looked after its PID file and socket; '' where nothing."""
        self.of_own_files = reason

    def history_looked(self, reason: str) -> None:
        """Why events are lost that should be kept; '' where none are."""
        self.of_history = reason

    def decide(self, parts: Any, kinds: Sequence[Kind]) -> None:
        """Tell people of what began, lasts, and is over; `parts` is what the kinds look at."""
        for kind in kinds:
            text, before = kind.find(parts), self.lasting.get(kind.event)
            if text:
                self.lasting[kind.event] = self._goes_on(kind, kind.severity(parts), text, before)
            elif before is not None:
                del self.lasting[kind.event]
                over = kind.over(parts)
                if over:
                    self.out.report('NOTICE', kind.ends or kind.event, over, UNKEPT)
                self._keep(TROUBLE_OVER, kind, over or 'it has ended, or is told as another one: %s'
                           % before.text, before.since)

    def _goes_on(self, kind: Kind, severity: str, text: str,
                 before: Optional[Lasting]) -> Lasting:
        now = self.facts.now
        if before is None:
            if kind.begins:
                self.out.report(severity, kind.event, text, UNKEPT)
            self._keep(TROUBLE, kind, text, now)
            return Lasting(text, severity, now, now)
        if not self.facts.reached(before.told_at + HOUR_SECONDS) and severity == before.severity:
            return before._replace(text=text)
        self.out.report(severity, kind.event, '%s (for %.0f min by now)' % (
            text, (now - before.since) / 60), UNKEPT)
        return Lasting(text, severity, before.since, now)

    def _keep(self, what: str, kind: Kind, text: str, since: float) -> None:
        """In the history a trouble begins and ends, and what lasts in between is one step."""
        lasted = () if what == TROUBLE else (('lasted', since, self.facts.now - since),)
        self.out.emit(Record(what, kind.event, text, None, lasted))

    def published(self) -> Tuple[Trouble, ...]:
        """For the row: what is critical first."""
        if not self.lasting:
            return ()
        found = [Trouble(event, item.severity == 'CRITICAL', cut(item.text),
                         max(0.0, self.facts.now - item.since))
                 for event, item in self.lasting.items()]
        return tuple(sorted(found, key=lambda trouble: not trouble.critical)[:TROUBLES_MAX])


def cut(text: str, most: int = TEXT_MAX) -> str:
    """A text that fits into a row, or into so many letters of one, cut between words."""
    if len(text) <= most:
        return text
    whole = text[:max(0, most - 4)].rsplit(' ', 1)[0]
    return whole + ' ...'


def around(head: str, reason: str, tail: str) -> str:
    """A reason between what is wrong and what comes of it: where it is long, it is what is cut."""
    return head + cut(reason, TEXT_MAX - len(head) - len(tail)) + tail
