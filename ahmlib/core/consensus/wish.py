"""What the rest of the core wishes of an election: it can refuse, and grants nothing.

Consensus knows terms and promises. Who is fit to lead, and whether the old leader is gone, it is
told here, before every step.
"""

from typing import FrozenSet, NamedTuple, Optional, Tuple

from ..beacon import Due


class Wish(NamedTuple):
    """For whom an election is due, who may be elected, and what speaks against this node.

    `acceptable`: candidates that may have its vote, each with how due an election has to be for it,
    the best first.  `forced`: an operator's word in place of a majority.
    """
    due: Due = Due.NOBODY               # where no promise forbids it
    due_for: Optional[int] = None       # for this node alone
    abstains: bool = False              # takes no part: it does not know itself yet
    holds_role: bool = False            # what only a leader has may be here: no vote
    acceptable: Tuple[Tuple[int, Due], ...] = ()
    level: Due = Due.ANYBODY            # how due an election has to be for this node
    agree: FrozenSet[int] = frozenset()     # peers that find one due for it
    why_not: str = ''                   # why this node does not stand; '' where it may
    waits: bool = False                 # leaves a better one a moment to stand
    outranked_by: FrozenSet[int] = frozenset()  # candidates that are better than this node
    withdraws: str = ''                 # why a candidacy has to end; '' where it may go on
    forbidden: str = ''                 # why it must not be elected, whatever the votes
    forced: bool = False
