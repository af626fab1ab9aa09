"""Procedures that parts want, and how they end: what each is given, which one overtakes which.

One procedure is under way at a time.  One that is wanted closes the one under way where it stands
above it here, and waits else; so nobody's place in the order of decisions decides that.
"""

from typing import Any, Dict, NamedTuple

from .beacon import Farewell, Intent
from .policy.task import Task


class Reason(NamedTuple):
    """Why the role is given up: `kind` for decisions, `text` for people, `mode` of the stop.

    Kinds: lease, deposed, database, promotion, isolated, second primary, not primary.
    Modes: 'immediate' within T_fence, 'fast' with patience, 'none' where nothing runs.
    """
    kind: str
    text: str
    mode: str


class StepDown(NamedTuple):
    """Give up what a leader has."""
    reason: Reason


class TakeOver(NamedTuple):
    """The election is won: make this the node of the primary."""


class HandOver(NamedTuple):
    """Hand the primary role to the node that asked for it."""
    intent: Intent


class ShutDown(NamedTuple):
    """Say goodbye and end."""
    farewell: Farewell


class Restart(NamedTuple):
    """Start the failed primary again, once."""


class Attach(NamedTuple):
    """Make the database a trusted standby of that leader's primary, as an operator asked."""
    leader: int
    task: Task
    rebuild: bool = False


class Follow(NamedTuple):
    """Point the database to that leader's primary."""
    leader: int


class ComeBack(NamedTuple):
    """Start the database that was stopped for a handover as a standby of that leader's primary."""
    leader: int


class Rejoin(NamedTuple):
    """Start the database that was stopped as a standby of nobody yet."""


class StartUp(NamedTuple):
    """Start the database that does not run since this host booted."""


class RestartAsked(NamedTuple):
    """Restart the database, which works, as an operator asked; `limit` is how long it may take.

    `pending`: only if the server waits for a restart itself, to take a parameter.
    """
    task: Task
    limit: float
    pending: bool


class GaveUp(NamedTuple):
    """How a takeover ended that was stopped before anything was changed; not again so soon."""
    why: str
    seconds: float


#: The first overtakes all others, the last none; a step-down overtakes a more patient one.
#: By kind: what people are told is under way.
OVERTAKES: Dict[type, str] = {
    StepDown: 'step down', TakeOver: 'take over', HandOver: 'switch over', ShutDown: 'shut down',
    Restart: 'restart', Attach: 'attach', Follow: 'follow', ComeBack: 'follow', Rejoin: 'rejoin',
    StartUp: 'start', RestartAsked: 'restart database',
}
_ORDER = list(OVERTAKES)


def name_of(wanted: Any) -> str:
    """What people are told is under way."""
    return OVERTAKES[type(wanted)]


def overtakes(wanted: Any, under_way: Any) -> bool:
    """Whether this one closes that one, and does not wait for its end."""
    mine, theirs = _ORDER.index(type(wanted)), _ORDER.index(type(under_way))
    return mine < theirs or mine == theirs == 0
