"""The three durations on which the safety argument rests.

    leader     |--- lease ---|- fence -|              from the send time of an acknowledged beacon
    followers  |------------ hold -----------|        from the receipt of that beacon or a later one

A leader may act until its lease ends, and has dropped the VIP and stopped its database before
`fence` has passed after that.  A follower keeps its promise to that leader during `hold`.  Since
hold = 1.1 x (lease + fence), the promise outlasts both even where the rates of two clocks differ
by 10 %; the settings of clocks do not matter at all.
"""

from typing import NamedTuple

# By how much the clocks of two hosts may differ in rate.
CLOCK_RATE_MARGIN = 1.1
# Seconds by which the promise outlasts the lease at least, the margin apart, for the step-down.
LEAST_GRACE = 0.5


def candidacy_seconds(interval: float) -> float:
    """How long a candidacy may count votes; it is never resumed in its term."""
    return max(interval / 4, LEAST_GRACE)


class Timing(NamedTuple):
    """The two settings from which the durations follow.  All durations are in seconds."""

    interval: float
    retries: int

    @property
    def lease(self) -> float:
        """How long an acknowledged beacon entitles its sender to lead, from when it was sent."""
        return self.interval * (self.retries + 0.25)

    @property
    def hold(self) -> float:
        """How long a node is bound to a leader, from when it received that leader's beacon."""
        return CLOCK_RATE_MARGIN * self.lease + candidacy_seconds(self.interval)

    @property
    def fence(self) -> float:
        """How long a leader whose lease ended may take to drop the VIP and stop its database."""
        return self.hold / CLOCK_RATE_MARGIN - self.lease
