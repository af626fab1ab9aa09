"""What operators asked of the whole cluster, as far as this node says it (R40, R43, R45)."""

from typing import Optional

from ..beacon import Farewell, Intent, IntentKind
from ..consensus.consensus import Consensus
from ..facts import Facts


class Intents:
    """The intents that this node asks for, repeats, or carries out."""

    def __init__(self, facts: Facts, consensus: Consensus) -> None:
        self.facts, self.consensus = facts, consensus
        self.asked = 0
        self.promotion: Optional[Intent] = None     # asked here: make this database the primary
        self.shutdown: Optional[Intent] = None      # asked anywhere, and repeated here
        self.carried_out: Optional[Intent] = None   # that this leader acts on now
        self.farewell = Farewell.NONE               # with which this daemon was told to end
        self.hands_over = True                      # a leader does so first

    def new(self, kind: IntentKind) -> Intent:
        """An intent of this node that is unlike all others."""
        self.asked += 1
        return Intent(kind, self.facts.own, self.consensus.incarnation, self.asked,
                      self.consensus.term)

    def published(self) -> Optional[Intent]:
        """What the row says."""
        return self.shutdown or self.carried_out or self.promotion

    @property
    def wants_force(self) -> bool:
        """Whether an operator waits for this node to be promoted by force."""
        return self.promotion is not None and self.promotion.kind is IntentKind.FORCE

    @property
    def leaving(self) -> bool:
        """Whether this daemon was told to end."""
        return self.farewell is not Farewell.NONE

    def leave(self, farewell: Farewell, hands_over: bool) -> None:
        """End this daemon."""
        self.farewell, self.hands_over = farewell, hands_over

    def promote(self, intent: Optional[Intent]) -> None:
        """Ask for a promotion here; None: no more."""
        self.promotion = intent

    def end_cluster(self, intent: Optional[Intent]) -> None:
        """Repeat the end of the cluster; None: no more."""
        self.shutdown = intent

    def carry_out(self, intent: Optional[Intent]) -> None:
        """This is being done; None: it is over."""
        self.carried_out = intent
