"""What every part of the core may read: the time, the settings, names, the own row.

Node alone writes it.  Settings are read where they are needed and never copied, so a reload counts
at once.  The own row is of the beginning of the round of decisions that is under way.
"""

from typing import List, Optional, Sequence

from .beacon import Beacon
from .clock import Clock
from .consensus.quorum import votes_needed
from .consensus.timing import Timing, candidacy_seconds
from .settings import Settings


class Facts:
    """The settings as of now, what follows from them alone, and what this node says of itself."""

    def __init__(self, settings: Settings, now: float,
                 names: Sequence[Optional[str]] = ()) -> None:
        self.take_settings(settings)
        self.clock = Clock(now)
        self.started_at = now
        self.names: List[Optional[str]] = list(names) or [None] * settings.size
        self.names[settings.own] = settings.name
        self._row: Optional[Beacon] = None

    def take_settings(self, settings: Settings) -> None:
        """These settings count from now on.

        `own` is the place of this node; `patience` how long a candidacy may count votes, in
        seconds; `majority` more than half of the nodes, whatever elects a leader.
        """
        self.settings, self.own = settings, settings.own
        self.timing: Timing = settings.timing
        self.hold_seconds, self.lease_seconds = self.timing.hold, self.timing.lease
        self.patience = candidacy_seconds(settings.interval)
        self.votes_needed = votes_needed(settings.size, settings.half_votes)
        self.majority = settings.size // 2 + 1

    @property
    def row(self) -> Beacon:
        """The row of this node."""
        assert self._row is not None, 'the row is built before anything is decided'
        return self._row

    def take_row(self, row: Beacon) -> None:
        """A round of decisions begins with this row."""
        self._row = row

    def learn_name(self, place: int, name: str) -> None:
        """That node is called so."""
        self.names[place] = name

    def name_of(self, place: Optional[int]) -> str:
        """The name of a node, or its address while the name is unknown."""
        if place is None:
            return 'nobody'
        return self.names[place] or self.settings.addresses[place]

    @property
    def now(self) -> float:
        """The instant of the event that is being handled."""
        return self.clock.now

    def reached(self, at: float) -> bool:
        """Whether this instant has come; else the node is called again then."""
        return self.clock.reached(at)
