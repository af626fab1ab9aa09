"""The thresholds of --check: how far a standby may be behind, and how many there have to be."""

import re
from typing import Callable, Dict, NamedTuple, Optional, Tuple

from ahmlib.utilities.outcome import USAGE, Failure
from ahmlib.utilities.usage import Args

UNITS: Dict[str, int] = {'': 1, 'B': 1, 'KB': 1024, 'MB': 1024 ** 2, 'GB': 1024 ** 3,
                         'TB': 1024 ** 4}
SIZE = re.compile(r'([0-9]{1,15}) ?([A-Za-z]{0,2})$')
STANDBYS_MAX = 1000


class Limits(NamedTuple):
    """What --check is told of; None: no limit.  A lag may be as large as its limit."""
    lag_warning: Optional[int] = None
    lag_critical: Optional[int] = None
    standbys_warning: Optional[int] = None
    standbys_critical: Optional[int] = None


NO_LIMITS = Limits()


def _size(option: str, text: str) -> int:
    found = SIZE.match(text)
    if found is None or found.group(2).upper() not in UNITS:
        raise Failure('%s: found %r, expected bytes, or a number with B, kB, MB, GB or TB, as 16MB'
                      % (option, text), USAGE)
    return int(found.group(1)) * UNITS[found.group(2).upper()]


def _count(option: str, text: str) -> int:
    is_number = 0 < len(text) <= 4 and all(character in '0123456789' for character in text)
    if not is_number or int(text) > STANDBYS_MAX:
        raise Failure('%s: found %r, expected a number of standbys from 0 to %d' % (
            option, text, STANDBYS_MAX), USAGE)
    return int(text)


OPTIONS: Tuple[Tuple[str, str, Callable[[str, str], int]], ...] = (
    ('--lag-warning', 'lag_warning', _size), ('--lag-critical', 'lag_critical', _size),
    ('--standbys-warning', 'standbys_warning', _count),
    ('--standbys-critical', 'standbys_critical', _count),
)


def of(args: Args) -> Limits:
    """The Limits that the options set.  Raises Failure for one that is wrong."""
    limits = Limits(**{name: parse(option, args[option]) for option, name, parse in OPTIONS
                       if args[option] is not None})
    _refuse_order(limits)
    return limits


def _refuse_order(limits: Limits) -> None:
    """A warning that would come only where it is critical already is one that never comes."""
    lag, least = limits.lag_critical, limits.standbys_critical
    if lag is not None and limits.lag_warning is not None and limits.lag_warning > lag:
        raise Failure('--lag-warning: found more than --lag-critical, expected less; exchange them',
                      USAGE)
    if least is not None and limits.standbys_warning is not None \
            and limits.standbys_warning < least:
        raise Failure('--standbys-warning: found fewer than --standbys-critical, expected more; '
                      'exchange them', USAGE)


def refuse(args: Args) -> None:
    """Raise Failure for a threshold without --check."""
    for option, _, _ in OPTIONS:
        if args[option] is not None:
            raise Failure('%s: found no --check, which it belongs to, expected both; add --check'
                          % option, USAGE)
