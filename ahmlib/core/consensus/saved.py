"""What a node must not forget: its state file."""

from typing import NamedTuple, Optional, Tuple

from ..beacon import Claim, Pause, Record

#: `Saved.voted_for` of a vote that is spent without having been given to anybody.
SPENT = -1


class Saved(NamedTuple):
    """Term, vote, promise, record and names, as they stand on disk."""
    term: int = 0
    voted_for: Optional[int] = None
    leader: Optional[int] = None            # whom it acknowledged last; itself where it leads
    hold: float = 0.0                       # seconds that a promise to this leader lasts
    bound: bool = False                     # said LEAVING: bound until it hears that leader
    blind: bool = False                     # began without a state file, and T_hold is not over
    record: Optional[Record] = None
    names: Tuple[Optional[str], ...] = ()   # by node: the name once heard
    forced: bool = False                    # that leader leads by force, as far as is known here
    claim: Claim = Claim()                  # the newest claim known here
    maintenance: bool = False               # this node is left alone (R56)
    pause: Pause = Pause()                  # the newest pause known here (R57)
    moved: bool = False                     # runs by another nodes.conf than before (R62)

    def backing(self) -> 'Saved':
        """What no row may leave without (R3); the rest is told once it is there."""
        return self._replace(names=(), maintenance=False, pause=Pause(), moved=False)
