"""Half votes on an even number of nodes: something outside breaks the tie (ahm_protocol(7), R23).

Two halves may each have the votes that they need.  So a half that reaches no trusted server counts
as isolated: it neither elects nor leads.
"""

from typing import Optional

from ..facts import Facts
from .membership import Membership
from .promise import Promise
from .timing import CLOCK_RATE_MARGIN

NEVER = float('-inf')


class TieBreak:
    """What the trusted servers have answered."""

    def __init__(self, facts: Facts, members: Membership, promise: Promise) -> None:
        self.facts, self.members, self.promise = facts, members, promise
        self.reached_at = NEVER                 # when one was last asked that answered
        self.since: Optional[float] = None      # the first such instant without a long gap since

    @property
    def halves(self) -> bool:
        """Whether half of the nodes elect a leader."""
        return self.facts.settings.half_votes and self.facts.settings.size % 2 == 0

    @property
    def is_needed(self) -> bool:
        """Whether trusted servers decide at all."""
        return self.halves and self.facts.settings.trusted

    def reached(self, asked_at: float) -> None:
        """A trusted server answered what was asked at this instant."""
        if self.since is None or asked_at > self.reached_at + self.facts.lease_seconds:
            self.since = asked_at
        self.reached_at = asked_at

    def is_isolated(self) -> bool:
        """Whether this is a half that reaches no trusted server."""
        if not self.is_needed or len(self.members.in_touch()) + 1 > self.facts.settings.size // 2:
            return False
        if self.reached_at == NEVER or self.facts.reached(
                self.reached_at + self.facts.lease_seconds):
            return True
        # The other half may lead on a server that it reached an interval after its newest row here.
        rests = self.promise.until + CLOCK_RATE_MARGIN * self.facts.settings.interval
        return self.promise.leader is not None and self.reached_at < rests

    def is_heard_out(self) -> bool:
        """Whether this half has listened long enough to know that the other one is silent."""
        if not self.halves or len(self.members.in_touch()) >= self.facts.settings.size // 2:
            return True
        return self.facts.reached(self._listening_since() + self.facts.hold_seconds)

    def _listening_since(self) -> float:
        """Since when this node would have heard others: its start, or the end of its isolation."""
        since = self.since if self.facts.settings.trusted else self.facts.started_at
        return max(self.facts.started_at, self.facts.now if since is None else since)
