"""The thresholds of --check: how far a standby may be behind, and how many there have to be.

A lag is compared with a range as monitoring plugins write it (Monitoring Plugins Development
Guidelines, "Threshold and Ranges"), whose ends may have units: `16MB` and `0:16MB` tell of more
than that, `1MB:` of less, `~:16MB` of more, `1MB:16MB` of what is not between, `@1MB:16MB` of what
is.
"""

import re
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from ahmlib.utilities.outcome import USAGE, Failure
from ahmlib.utilities.usage import Args

UNITS: Dict[str, int] = {'': 1, 'B': 1, 'KB': 1024, 'MB': 1024 ** 2, 'GB': 1024 ** 3,
                         'TB': 1024 ** 4}
SIZE = re.compile(r'([0-9]{1,15}) ?([A-Za-z]{0,2})$')
STANDBYS_MAX = 1000
TIMEOUT = '--timeout'
TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX = 5.0, 3600.0


class Range(NamedTuple):
    """What is in order is from `low` (None: however little) to `high` (None: however much), both
    of them too; where it is `inverted`, what is not."""
    low: Optional[int] = 0
    high: Optional[int] = None
    inverted: bool = False

    def is_exceeded(self, value: int) -> bool:
        """Whether this value is to be told of."""
        is_inside = (self.low is None or value >= self.low) \
            and (self.high is None or value <= self.high)
        return is_inside if self.inverted else not is_inside

    def __str__(self) -> str:
        """As plugins write it."""
        high = '' if self.high is None else '%d' % self.high
        low = '~:' if self.low is None else '%d:' % self.low if self.low or not high else ''
        return ('@' if self.inverted else '') + low + high


class Limits(NamedTuple):
    """What --check is told of; None: no limit."""
    lag_warning: Optional[Range] = None
    lag_critical: Optional[Range] = None
    standbys_warning: Optional[int] = None
    standbys_critical: Optional[int] = None


NO_LIMITS = Limits()


def _size(text: str) -> int:
    """Bytes; ValueError where it is none."""
    found = SIZE.match(text)
    if found is None or found.group(2).upper() not in UNITS:
        raise ValueError(text)
    return int(found.group(1)) * UNITS[found.group(2).upper()]


def _range(option: str, text: str) -> Range:
    inverted, ends = text[:1] == '@', text[1:] if text[:1] == '@' else text
    start, colon, end = ends.rpartition(':')
    is_open = bool(colon) and not end
    try:
        found = Range(None if start == '~' else _size(start if colon else '0'),
                      None if is_open else _size(end), inverted)
    except ValueError:
        raise Failure('%s: found %r, expected bytes, or a number with B, kB, MB, GB or TB, as '
                      '16MB, or a range of these, as 1MB:16MB, ~:16MB or @1MB:' % (option, text),
                      USAGE)
    if found.low is not None and found.high is not None and found.low > found.high:
        raise Failure('%s: found %r, whose end is less than its start, expected start:end; '
                      'exchange them' % (option, text), USAGE)
    return found


def _count(option: str, text: str) -> int:
    is_number = 0 < len(text) <= 4 and all(character in '0123456789' for character in text)
    if not is_number or int(text) > STANDBYS_MAX:
        raise Failure('%s: found %r, expected a number of standbys from 0 to %d' % (
            option, text, STANDBYS_MAX), USAGE)
    return int(text)


OPTIONS: Tuple[Tuple[str, str, Callable[[str, str], Any]], ...] = (
    ('--lag-warning', 'lag_warning', _range), ('--lag-critical', 'lag_critical', _range),
    ('--standbys-warning', 'standbys_warning', _count),
    ('--standbys-critical', 'standbys_critical', _count),
)


def of(args: Args) -> Limits:
    """The Limits that the options set.  Raises Failure for one that is wrong."""
    limits = Limits(**{name: parse(option, args[option]) for option, name, parse in OPTIONS
                       if args[option] is not None})
    _refuse_order(limits)
    return limits


def seconds_of(args: Args) -> float:
    """For how long an answer is waited for.  Raises Failure for a wrong --timeout."""
    text = args[TIMEOUT]
    if text is None:
        return TIMEOUT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= TIMEOUT_SECONDS_MAX:
        raise Failure('%s: found %r, expected a number of seconds from 0.1 to %g' % (
            TIMEOUT, text, TIMEOUT_SECONDS_MAX), USAGE)
    return seconds


def _refuse_order(limits: Limits) -> None:
    """A warning that would come only where it is critical already is one that never comes."""
    least = limits.standbys_critical
    highs = [lag.high for lag in (limits.lag_warning, limits.lag_critical)
             if lag is not None and not lag.inverted and not lag.low and lag.high is not None]
    if len(highs) == 2 and highs[0] > highs[1]:
        raise Failure('--lag-warning: found more than --lag-critical, expected less; exchange them',
                      USAGE)
    if least is not None and limits.standbys_warning is not None \
            and limits.standbys_warning < least:
        raise Failure('--standbys-warning: found fewer than --standbys-critical, expected more; '
                      'exchange them', USAGE)


def refuse(args: Args) -> None:
    """Raise Failure for a threshold, or a time limit, without --check."""
    for option in [option for option, _, _ in OPTIONS] + [TIMEOUT]:
        if args[option] is not None:
            raise Failure('%s: found no --check, which it belongs to, expected both; add --check'
                          % option, USAGE)
