"""Being asked to end: when the goodbye may begin, and when it has arrived."""

from typing import Optional

from ..beacon import Farewell
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..plan import Plan
from ..states import DatabaseState, NodeState, Role
from ..wanted import ShutDown
from .intents import Intents
from .vip import Vip


class Leaving:
    """The end of this daemon, once it was asked for."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, vip: Vip, intents: Intents,
                 plan: Plan) -> None:
        self.facts, self.out, self.consensus, self.vip = facts, out, consensus, vip
        self.intents, self.plan = intents, plan
        self.taking_back_until: Optional[float] = None

    def ask(self, farewell: Farewell, hand_over: bool = True) -> None:
        """End, with this goodbye; asked a second time by a signal: at once."""
        if not self.intents.leaving:
            self.intents.leave(farewell, hand_over)
            self.out.report('NOTICE', 'told to end', 'was told to end (%s)%s' % (
                farewell.name, ': waits until "%s" is over' % self.plan.name
                if self.plan.busy else ''))
        elif farewell is Farewell.RESTARTING:
            self.out.exit(1, 'asked to stop again: ends at once')

    def decide(self) -> Optional[ShutDown]:
        """Begin the goodbye when no other procedure is under way."""
        if not self.intents.leaving or self.plan.busy or self.consensus.role is Role.GONE:
            return None
        farewell = self.intents.farewell
        if self.taking_back_until is not None and not self.somebody_leads():
            back = self.consensus.role is Role.LEADS and (
                not self.vip.configured or self.vip.here is not False)
            if not back and not self.facts.reached(self.taking_back_until):
                return None
            farewell = Farewell.RESTARTING      # the database and the VIP stay as they are
        return ShutDown(farewell)

    def somebody_leads(self) -> bool:
        """Whether another node leads, and over a primary."""
        row = self.consensus.leader_row()
        return row is not None and row.state is NodeState.LEADER \
            and row.database is DatabaseState.PRIMARY

    def stay(self) -> None:
        """A handover was undone: leave once this node leads with the VIP, or another one leads."""
        self.taking_back_until = self.facts.now + 3 * self.facts.settings.wait_for_primary

    def was_heard(self, said_at: float, leader: Optional[int], needed: int) -> bool:
        """Whether my goodbye, on disk before, has arrived: at the leader where there is one, else
        at so many peers, or at all who live."""
        if not self.consensus.speaker.is_saved() or self.consensus.speaker.sent_at < said_at:
            return False
        if leader is not None:
            return self.consensus.members.living_row(leader) is None or self._heard(leader, said_at)
        living = [row.sender for row in self.consensus.members.living()]
        heard = [peer for peer in living if self._heard(peer, said_at)]
        if not needed:
            return len(heard) == len(living)
        # Who left is bound to me, as long as nobody who stayed could release it.
        left = self.consensus.tenure.lease.left - set(heard)
        stayed = set(self.consensus.members.peers) - left
        return len(heard) + (len(left) if stayed == set(heard) else 0) >= needed

    def _heard(self, peer: int, said_at: float) -> bool:
        echoed_at = self.consensus.members.echoed_at(peer)
        return echoed_at is not None and echoed_at >= said_at
