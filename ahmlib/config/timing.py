"""The intervals that follow from a configuration: lease, promise, fence, and how long a failover
takes.

All figures leave out T, the takeover itself (votes, the fencing script, promotion, the VIP): a few
tenths of a second where there is no script.  After a script all nodes look once more whether the
old primary answers, which a silent host draws out to the connect timeout.
"""

import re
from typing import TYPE_CHECKING, List, NamedTuple

from ahmlib.core.consensus.timing import Timing

if TYPE_CHECKING:
    from ahmlib.config.loader import Config


class Interval(NamedTuple):
    """A duration that lies between two bounds, in seconds."""

    least: float
    most: float


class FailoverIntervals(NamedTuple):
    """From a fault to the start of the takeover.

    `lost_node`: the primary's AHM or host is gone.  `database_refusing`: its database refuses
    connections.  `database_hanging`: its database takes connections and never answers, which
    costs the last check its whole time limit and the confirmation by the others another.
    """

    lost_node: Interval
    database_refusing: Interval
    database_hanging: Interval


def timing_of(config: 'Config') -> Timing:
    """The Timing (lease, hold, fence) of a Config."""
    return Timing(config.beacon_message_interval_seconds, config.beacon_message_retry_count)


def failover_intervals(config: 'Config') -> FailoverIntervals:
    """The FailoverIntervals of a Config."""
    hold = timing_of(config).hold
    period, failures = config.health_check_period, config.max_consec_failures
    refusing = Interval((failures - 1) * period, failures * period)
    waits = 2 * config.db_connect_timeout
    return FailoverIntervals(
        Interval(hold - config.beacon_message_interval_seconds, hold), refusing,
        Interval(refusing.least + waits, refusing.most + waits))


class Sum(NamedTuple):
    """A duration with how it is computed: the formula, with numbers in it, and what that gives."""

    name: str
    formula: str
    numbers: str
    seconds: float
    meaning: str

    @property
    def text(self) -> str:
        """Name, formula, numbers and outcome as one equation."""
        return '%s = %s = %s = %s' % (self.name, self.formula, self.numbers, _text(self.seconds))


#: What the letters of the formulas stand for.
LETTERS = (('I', 'beacon_message_interval_seconds'), ('R', 'beacon_message_retry_count'),
           ('P', 'health_check_period'), ('F', 'max_consec_failures'), ('C', 'db_connect_timeout'))
#: (name, formula, what it is) of the fields of Timing; formulas as README.md and ahm_protocol(7)
#: have them.  The text of one is for people and computes nothing; tests compare it with the value.
DURATIONS = (
    ('T_lease', 'I x (R + 0.25)', 'how long an acknowledged beacon entitles the leader to lead'),
    ('T_hold', '1.1 x T_lease + max(I / 4, 0.5)',
     'how long the others are bound to a leader they heard'),
    ('T_fence', 'T_hold / 1.1 - T_lease',
     'within it an outvoted leader has dropped the VIP and stopped its database'),
)


class Window(NamedTuple):
    """The formulas of one field of FailoverIntervals: at best, and at worst; what each is."""

    name: str
    field: str
    least: str
    most: str
    meaning: str
    worst: str


WINDOWS = (
    Window('host lost', 'lost_node', 'T_hold - I', 'T_hold',
           'until the takeover begins after the loss of a host, or of AHM and its database',
           'the same, where it is lost right after a beacon'),
    Window('database refuses', 'database_refusing', '(F - 1) x P', 'F x P',
           'until the takeover begins after the loss of a database that refuses connections',
           'the same, where it is lost right after a check'),
    Window('database hangs', 'database_hanging', '(F - 1) x P + 2 x C', 'F x P + 2 x C',
           'until the takeover begins where a database takes connections and never answers',
           'the same, where it begins right after a check'),
)
_NAME = re.compile(r'T_\w+|[A-Z]\b')


def arithmetic(config: 'Config') -> List[Sum]:
    """The durations and intervals of a Config, each with its formula and the numbers in it."""
    known = {letter: _text(getattr(config, name)) for letter, name in LETTERS}
    found = []

    def add(name: str, formula: str, seconds: float, meaning: str) -> None:
        numbers = _NAME.sub(lambda match: known[match.group()], formula)
        found.append(Sum(name, formula, numbers, seconds, meaning))
    timing, intervals = timing_of(config), failover_intervals(config)
    for name, formula, meaning in DURATIONS:
        seconds = _duration(timing, name)
        add(name, formula, seconds, meaning)
        known[name] = _text(seconds)
    for window in WINDOWS:
        least, most = getattr(intervals, window.field)
        add(window.name + ', at best', window.least, least, window.meaning)
        add(window.name + ', at worst', window.most, most, window.worst)
    return found


def _duration(timing: Timing, name: str) -> float:
    """T_lease is Timing.lease, and so on."""
    return float(getattr(timing, name[len('T_'):]))


def _text(seconds: float) -> str:
    """To a millisecond: what is computed with it is not seen to be another number."""
    return ('%.3f' % seconds).rstrip('0').rstrip('.')


def explain(config: 'Config') -> List[str]:
    """The durations and intervals of a Config as lines of text."""
    timing, intervals = timing_of(config), failover_intervals(config)
    limit, takes = config.promote_leader_timeout_seconds, 'a few tenths of a second'
    if config.pre_promotion_command:
        limit += config.hook_timeout_seconds
        takes += ', what the fencing script takes, and up to %g s for a second look at a host ' \
            'that is silent' % config.db_connect_timeout
    return ['%s %.4g s: %s' % (name, _duration(timing, name), meaning)
            for name, _, meaning in DURATIONS] + [
        'Lost AHM node or host: %s plus the takeover' % _range(intervals.lost_node),
        'Failed database, refusing connections: %s plus the takeover'
        % _range(intervals.database_refusing),
        'Failed database, hanging: %s plus the takeover' % _range(intervals.database_hanging),
        'The takeover: %s; given up after %.4g s' % (takes, limit),
    ]


def _range(interval: Interval) -> str:
    return '%.4g to %.4g s' % interval
