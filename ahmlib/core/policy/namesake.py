"""An older daemon of this one's name: then this one ends, and the others are to know why.

A row counts only with those whose rows it echoes, so who hears of the other and ends at once is
known to that other alone.  It goes on until its word counts with all, or a round of beacons later.
"""

from typing import Optional

from ..beacon import Beacon
from ..consensus.consensus import Consensus
from ..facts import Facts

#: Rows that are this late, in intervals, are not waited for.
ROUNDS = 1.5


class Namesake:
    """The node that has this one's name, and had it first."""

    def __init__(self, facts: Facts, consensus: Consensus) -> None:
        self.facts, self.consensus = facts, consensus
        self.place: Optional[int] = None
        self.heard_at = 0.0

    def heard(self, row: Beacon) -> None:
        """A row came that counts."""
        facts = self.facts
        if row.name == facts.settings.name and row.uptime > facts.now - facts.started_at \
                and self.place is None:
            self.place, self.heard_at = row.sender, facts.now

    def why_end(self) -> str:
        """Why this daemon ends now; '' while it goes on."""
        facts, members = self.facts, self.consensus.members
        if self.place is None:
            return ''
        if len(members.in_touch()) + 1 < facts.settings.size and not facts.reached(
                self.heard_at + ROUNDS * facts.settings.interval):
            return ''
        return 'node_name %s is already used by the node at %s: give each its own name' % (
            facts.settings.name, facts.settings.addresses[self.place])
