"""A follower's duty to its leader, counted from when it listened (ahm_protocol(7), R7).

From the receipt of a leading row until T_hold later a node neither votes for anybody but that
leader, nor follows or acknowledges anybody else, nor takes over a higher term from anybody else.
The promise survives a restart: the leader is on disk before the first acknowledgement leaves.

Three things end it early: a row of that leader that resigns; for its own return alone, a row of
its new incarnation beside a database that still runs; and, where there is no state file to know
the leader from, a row of every configured node that leads nothing.
"""

from typing import Optional

from .beacon import Beacon, Farewell
from .states import DatabaseState, NodeState
from .timing import Timing

#: Database states of a leader that gave its role up: nothing there accepts writes.
_GIVEN_UP = (DatabaseState.STANDBY, DatabaseState.FAILED, DatabaseState.NOT_CONFIGURED,
             DatabaseState.UNKNOWN)


class Promise:
    """To whom, until when, and whether it has no end (`bound`)."""

    def __init__(self) -> None:
        self.leader: Optional[int] = None
        self.incarnation = 0        # of the leader, when its row was taken; 0: known from disk only
        self.seq = 0                # of the newest leading row taken
        self.until = 0.0
        self.bound = False
        self.reigned = False        # bound because that leader reigns

    def holds(self, now: float) -> bool:
        """Whether it is in force."""
        return self.leader is not None and (self.bound or now < self.until)

    def recall(self, leader: int, now: float, hold: float, bound: bool, reigned: bool) -> None:
        """Take up, after a restart, the promise found on disk."""
        self.leader, self.until, self.bound, self.reigned = leader, now + hold, bound, reigned
        self.incarnation = self.seq = 0

    def renew(self, row: Beacon, now: float, hold: float) -> None:
        """Promise anew to the leader whose leading row was just taken; without end if it reigns."""
        self.leader, self.incarnation, self.seq = row.sender, row.incarnation, row.seq
        self.until, self.bound, self.reigned = now + hold, row.forced, row.forced

    def end(self) -> None:
        """Owe nothing to anybody."""
        self.leader, self.bound, self.reigned = None, False, False


def hold_for(row: Beacon, own_hold: float) -> float:
    """How long a promise to the sender of this leading row lasts.

    Both sides count from the same two numbers, or the argument fails: where the leader's timings
    differ from ours, its own lease decides, and the longer hold is kept.
    """
    return max(own_hold, Timing(row.interval, row.retries).hold)


def resigns(row: Beacon) -> bool:
    """Whether this row says that its sender gave up all that a leader has."""
    return (_idle(row) and row.holds_vip is not True and row.database in _GIVEN_UP)


def returns(row: Beacon, promise: Promise) -> bool:
    """Whether this row shows the leader's new incarnation beside a primary that still runs."""
    return (_idle(row) and row.incarnation != promise.incarnation
            and row.database is DatabaseState.PRIMARY)


def _idle(row: Beacon) -> bool:
    return (not row.leads and row.state is not NodeState.STAND_FOR_LEADER
            and row.state is not NodeState.INITIALIZING and not row.stepping_down
            and row.farewell is Farewell.NONE)
