"""A follower's duty to its leader, counted from when it listened (ahm_protocol(7), R7).

From the receipt of a leading row until T_hold later a node neither votes for anybody but that
leader, nor follows or acknowledges anybody else, nor takes over a higher term from anybody else.
The promise survives a restart: the leader is on disk before the first acknowledgement leaves.

Three things end it early: a row of that leader that resigns; for its own return alone, a row of
its new incarnation beside what still runs there; and, where there is no state file to know the
leader from, a row of every configured node that leads nothing.
"""

from typing import Optional

from ..beacon import Beacon
from ..facts import Facts
from .saved import Saved
from .timing import Timing


class Promise:
    """To whom, until when, and whether it has no end (`bound`).

    `blind`: this node began without a state file, so it may owe one that it does not know of.
    """

    def __init__(self, facts: Facts, saved: Optional[Saved]) -> None:
        self.facts = facts
        self.leader: Optional[int] = None
        self.incarnation = 0        # of the leader, when its row was taken; 0: known from disk only
        self.seq = 0                # of the newest leading row taken
        self.until = 0.0
        self.bound = False
        self.reigned = False        # bound because that leader reigns
        self.hold = 0.0 if saved is None else saved.hold    # seconds that it lasts
        self.free_for: Optional[int] = None     # it lets this node alone be elected
        self.blind = saved is None or saved.blind
        self.blind_until = facts.now + facts.hold_seconds
        if saved is not None and saved.leader not in (None, facts.own):
            self.recall(saved.leader, max(saved.hold, facts.hold_seconds), saved.bound,
                        saved.forced)

    def holds(self) -> bool:
        """Whether it is in force."""
        return self.leader is not None and (self.bound or not self.facts.reached(self.until))

    def holds_at(self, now: float) -> bool:
        """Whether it is in force at this instant."""
        return self.leader is not None and (self.bound or now < self.until)

    def allows(self, candidate: int) -> bool:
        """Whether this candidate may get a vote."""
        return not self.holds() or self.leader == candidate

    def recall(self, leader: int, hold: float, bound: bool, reigned: bool) -> None:
        """Take up, after a restart, the promise found on disk."""
        self.leader, self.until = leader, self.facts.now + hold
        self.bound, self.reigned = bound, reigned
        self.incarnation = self.seq = 0

    def renew(self, row: Beacon) -> None:
        """Promise anew to the leader whose leading row was just taken; without end if it reigns."""
        self.hold = hold_for(row, self.facts.hold_seconds)
        self.leader, self.incarnation, self.seq = row.sender, row.incarnation, row.seq
        self.until = self.facts.now + self.hold
        self.bound = self.reigned = row.forced
        self.free_for = None

    def bind(self) -> None:
        """Stay bound to this leader until it is heard again: this node leaves for good."""
        self.bound = True

    def see(self) -> None:
        """Nothing is owed any more that is not known."""
        self.blind = False

    def frees(self, place: int) -> None:
        """Let this node alone be elected while it lasts."""
        self.free_for = place

    def end(self) -> None:
        """Owe nothing to anybody."""
        self.leader, self.bound, self.reigned = None, False, False

    def is_returned_to(self, row: Beacon) -> bool:
        """Whether this row shows the leader's new incarnation, which could lead on at once."""
        return row.returns and row.incarnation != self.incarnation


def hold_for(row: Beacon, own_hold: float) -> float:
    """How long a promise to the sender of this leading row lasts.

    Both sides count from the same two numbers, or the argument fails: where the leader's timings
    differ from ours, its own lease decides, and the longer hold is kept.
    """
    return max(own_hold, Timing(row.interval, row.retries).hold)
