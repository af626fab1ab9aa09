"""The leader's right to act, counted from when it spoke (ahm_protocol(7), R8).

A follower that takes a leading row promises, from its receipt, not to help anybody else for
T_hold. The leader cannot know the receipt, but it knows when it sent what is acknowledged, and
that was earlier: so the lease, counted from the *send* time of the newest row that enough nodes
acknowledged, ends before the first of their promises can.

A follower that left for good is bound on disk to this leader.  It counts as acknowledging, but only
while every node that did not leave acknowledges too: whoever could release it (a node that had not
left and finds an election due) is then under a promise of its own.
"""

from typing import Dict, Set

from .beacon import Beacon, Farewell
from .quorum import lease_needed, reached_by
from .settings import Settings

FOREVER = float('inf')
NEVER = float('-inf')


class Lease:
    """One leadership's acknowledgements; a new one begins with every election won."""

    def __init__(self, settings: Settings) -> None:
        self.own = settings.own
        self.size = settings.size
        self.needed = lease_needed(settings.size, settings.half_votes)
        self.seconds = settings.timing.lease
        self.halves = settings.half_votes and settings.size % 2 == 0
        self.trusted = settings.trusted
        self.acked: Dict[int, float] = {}       # by node: send time of my newest row it took
        self.left: Set[int] = set()             # said LEAVING, bound to me
        self.returned_at: Dict[int, float] = {}     # left, came back, has not acknowledged since
        self.trusted_at = NEVER                 # when a trusted server was last asked and answered

    def acknowledged(self, row: Beacon, sent_at: float) -> None:
        """A row of my term follows me and repeats a leading row of mine, sent at that instant."""
        self.acked[row.sender] = max(sent_at, self.acked.get(row.sender, NEVER))
        self.returned_at.pop(row.sender, None)
        if row.farewell is Farewell.LEAVING and row.bound:
            self.left.add(row.sender)

    def returned(self, node: int, now: float) -> None:
        """A new incarnation of a node that left was heard: from now on it answers for itself.

        It is bound until it takes a leading row that echoes its new incarnation, which only leaves
        after now, or until somebody who is not bound finds an election due.  So until it answers
        it counts as of now, and no longer than the least of those who answer.
        """
        if node in self.left:
            self.left.discard(node)
            self.returned_at[node] = now

    def basis(self, now: float, needed: int) -> float:
        """The latest instant that `needed` nodes, I among them, acknowledge."""
        answering = [node for node in range(self.size) if node != self.own
                     and node not in self.left and node not in self.returned_at]
        stayed = [self.acked.get(node, NEVER) for node in answering]
        least = min(stayed + list(self.returned_at.values()) + [now])
        silent = len(self.left) + len(self.returned_at)
        return reached_by([now] + stayed + [least] * silent, needed)

    def until(self, now: float) -> float:
        """When the lease ends; FOREVER where nobody can outvote this leader."""
        held = self._ends(now, self.needed)
        if not self.halves or not self.trusted:
            return held
        majority = self._ends(now, self.size // 2 + 1)
        return max(majority, min(held, self.trusted_at + self.seconds))

    def _ends(self, now: float, needed: int) -> float:
        if needed <= 1:
            return FOREVER
        return self.basis(now, needed) + self.seconds
