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

from ..beacon import Beacon, Farewell
from ..facts import Facts
from .quorum import lease_needed, reached_by
from .tie_break import NEVER, TieBreak

FOREVER = float('inf')


class Lease:
    """One leadership's acknowledgements; a new one begins with every election won."""

    def __init__(self, facts: Facts, tie_break: TieBreak) -> None:
        self.facts, self.tie_break = facts, tie_break
        self.acked: Dict[int, float] = {}       # by node: send time of my newest row it took
        self.left: Set[int] = set()             # said LEAVING, bound to me
        self.returned_at: Dict[int, float] = {}     # left, came back, has not acknowledged since
        self.counts_from = NEVER                    # sent before that: with other timings

    @property
    def needed(self) -> int:
        """Acknowledgements, my own among them, that keep me from being outvoted."""
        return lease_needed(self.facts.settings.size, self.facts.settings.half_votes)

    @property
    def seconds(self) -> float:
        """How long an acknowledged row entitles to lead, from when it was sent."""
        return self.facts.lease_seconds

    def acknowledged(self, row: Beacon, sent_at: float) -> None:
        """A row of my term follows me and repeats a leading row of mine, sent at that instant."""
        if sent_at >= self.counts_from:
            self.acked[row.sender] = max(sent_at, self.acked.get(row.sender, NEVER))
        self.returned_at.pop(row.sender, None)
        if row.farewell is Farewell.LEAVING and row.bound:
            self.left.add(row.sender)

    def took_settings(self, before: float) -> None:
        """It lasted so long before: what was sent before was promised for that."""
        if self.seconds > before:
            self.acked = {place: at + before - self.seconds for place, at in self.acked.items()}
            self.counts_from = self.facts.now

    def returned(self, place: int) -> None:
        """A new incarnation of a node that left was heard: from now on it answers for itself.

        It is bound until it takes a leading row that echoes its new incarnation, which only leaves
        after now, or until somebody who is not bound finds an election due.  So until it answers
        it counts as of now, and no longer than the least of those who answer.
        """
        if place in self.left:
            self.left.discard(place)
            self.returned_at[place] = self.facts.now

    def acknowledging(self) -> int:
        """How many nodes acknowledge me now, I among them."""
        least = self.facts.now - self.seconds
        return 1 + sum(1 for instant in self.acked.values() if instant > least)

    def basis(self, needed: int) -> float:
        """The latest instant that `needed` nodes, I among them, acknowledge."""
        now = self.facts.now
        stayed = [self.acked.get(place, NEVER) for place in range(self.facts.settings.size)
                  if place != self.facts.own
                  and place not in self.left and place not in self.returned_at]
        silent = len(self.left) + len(self.returned_at)
        least = min([now, *stayed, *self.returned_at.values()]) if silent else now
        return reached_by([now] + stayed + [least] * silent, needed)

    def until(self) -> float:
        """When the lease ends; FOREVER where nobody can outvote this leader."""
        held = self._ends(self.needed)
        if not self.tie_break.is_needed:
            return held
        return max(self._ends(self.facts.majority),
                   min(held, self.tie_break.reached_at + self.seconds))

    def is_backed_by_majority(self) -> bool:
        """Whether more than half of all nodes acknowledge it."""
        return self.basis(self.facts.majority) + self.seconds > self.facts.now

    def _ends(self, needed: int) -> float:
        if needed <= 1:
            return FOREVER
        return self.basis(needed) + self.seconds
