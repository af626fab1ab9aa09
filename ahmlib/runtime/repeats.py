"""Which report is news: the same trouble is told once, then hourly, and once when it is over.

A trouble is an event and its text, whatever numbers stand in it: the seconds go up, the trouble
stays. Names and addresses are no numbers, so two nodes have two troubles.

    first time    told
    again         not told, until an hour has passed since it was told, or it got worse
    60 s without  told that it is over, if it came more than once: one that came once was an
                  incident, and nobody waits for its end
    good news     a NOTICE or INFO of the same event, or of one that GOOD_NEWS names, ends it; the
                  next one is told anew

Time comes from the caller. Nothing here writes or runs anything: what is to be told is returned.
"""

import re
from typing import Container, Dict, Iterable, List, NamedTuple, Optional, Tuple

Key = Tuple[str, str]            # of a trouble: event, and its text without numbers

QUIET_SECONDS = 60.0
AGAIN_SECONDS = 3600.0
#: What is remembered: so many troubles, and so much of the text of each.
TROUBLES_MAX = 200
TEXT_MAX = 1000
RANKS = ('DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL')
TROUBLE_FROM = RANKS.index('WARNING')

#: Steps that a node takes, not states that last: each of them is told.
STEPS = frozenset(('step-down', 'out', 'rows lost', 'restart', 'hand over'))
#: Events whose NOTICE or INFO ends troubles of other names.
GOOD_NEWS = {'streaming': ('not streaming',), 'database': ('quarantined',),
             'attached': ('standby failed', 'attach failed'), 'promoted': ('takeover stopped',)}
#: A person has asked for something, and wants to read what comes of it, also for the second time.
ASKED = 'asked'

#: A number with a unit, a position in the WAL, a date or a time, between blanks and punctuation.
_NUMBER = re.compile(r'(?<![^\s(\[=+"\'])(?:[0-9A-F]{1,8}/[0-9A-F]{1,8}|\d{4}-\d\d-\d\d'
                     r'|\d\d:\d\d:\d\d(?:[.,]\d+)?|-?\d+(?:\.\d+)?(?:ms|s|%|[kMGT]?B)?)'
                     r'(?![^\s)\],;:"\'.]|[.:]\S)')


class Told(NamedTuple):
    """One line to tell."""
    severity: str
    event: str
    text: str


class _Trouble:
    """One trouble that lasts."""

    def __init__(self, severity: str, text: str, now: float) -> None:
        self.text = text[:TEXT_MAX]
        self.told_severity = severity
        self.began_at = self.told_at = self.last_at = now
        self.count = 1                # since it began
        self.untold = 0               # since it was told


class Repeats:
    """Remembers the troubles that last. Call `expire(now)` at `next_deadline()`."""

    def __init__(self) -> None:
        self._troubles: Dict[Key, _Trouble] = {}    # in the order of last_at

    def __len__(self) -> int:
        """How many troubles are remembered."""
        return len(self._troubles)

    def take(self, severity: str, event: str, text: str, now: float,
             names: Container[str] = ()) -> List[Told]:
        """What is to be told now, as a list of Told; without this report where it is no news.

        names: those of the nodes, which are no numbers even if they look like one.
        """
        told = self.expire(now)
        if RANKS.index(severity) < TROUBLE_FROM:
            told += self._good_news(severity, event)
            news: Optional[str] = text
        elif event in STEPS:
            news = text
        else:
            news = self._trouble(severity, event, text, now, names)
        return told if news is None else told + [Told(severity, event, news)]

    def expire(self, now: float) -> List[Told]:
        """What is to be told of troubles that have not come again, as a list of Told."""
        over = []
        for key, trouble in self._troubles.items():
            if now < trouble.last_at + QUIET_SECONDS:
                break                 # all that follow came later
            over.append(key)
        return self._end(over, 'has not come again for %.0f s' % QUIET_SECONDS)

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        first = next(iter(self._troubles.values()), None)
        return None if first is None else first.last_at + QUIET_SECONDS

    def _trouble(self, severity: str, event: str, text: str, now: float,
                 names: Container[str]) -> Optional[str]:
        """The text to tell, or None."""
        key = event, without_numbers(text, names)[:TEXT_MAX]
        trouble = self._troubles.pop(key, None)
        if trouble is None:
            trouble = _Trouble(severity, text, now)
            self._make_room()
            self._troubles[key] = trouble
            return text
        self._troubles[key] = trouble   # last: they are in the order of last_at
        trouble.last_at, trouble.count, trouble.untold = now, trouble.count + 1, trouble.untold + 1
        is_worse = RANKS.index(severity) > RANKS.index(trouble.told_severity)
        if not is_worse and now - trouble.told_at < AGAIN_SECONDS:
            return None
        untold, seconds = trouble.untold, now - trouble.told_at
        trouble.untold, trouble.told_at, trouble.told_severity = 0, now, severity
        return '%s (%s in the last %s)' % (text, _times(untold), _duration(seconds))

    def _good_news(self, severity: str, event: str) -> List[Told]:
        """Forget what this ends. An INFO is no notification, so the end of a series is told."""
        names = (event,) + GOOD_NEWS.get(event, ())
        ended = [key for key in self._troubles if key[0] in names or event == ASKED]
        if severity == 'NOTICE':
            for key in ended:
                del self._troubles[key]
            return []
        return self._end(ended, 'is over')

    def _end(self, keys: Iterable[Key], how: str) -> List[Told]:
        told = []
        for key in keys:
            trouble = self._troubles.pop(key)
            if trouble.count > 1:
                told.append(Told('NOTICE', key[0], '%s; it came %s in %s: %s' % (
                    how, _times(trouble.count), _duration(trouble.last_at - trouble.began_at),
                    trouble.text)))
        return told

    def _make_room(self) -> None:
        if len(self._troubles) >= TROUBLES_MAX:
            del self._troubles[next(iter(self._troubles))]


def without_numbers(text: str, names: Container[str] = ()) -> str:
    """The text with `#` for every number that is no part of a name or an address."""
    return _NUMBER.sub(lambda match: match.group() if match.group() in names else '#', text)


def _times(count: int) -> str:
    return 'once' if count == 1 else '%d times' % count


def _duration(seconds: float) -> str:
    return '%.0f s' % seconds if seconds < 600 else '%.0f min' % (seconds / 60)
