"""Being asked to end: when the goodbye may begin, and when it has arrived."""

from typing import List, Optional

from .beacon import Farewell
from .procedures.shut_down import shut_down, somebody_leads
from .states import NodeState


class Leaving:
    """The end of this daemon, once it was asked for."""

    def __init__(self, node) -> None:
        self.node = node
        self.asked = Farewell.NONE
        self.hands_over = True
        self.taking_back_until: Optional[float] = None

    def ask(self, farewell: Farewell, hand_over: bool = True) -> None:
        """End, with this goodbye; asked a second time by a signal: at once."""
        if self.asked is Farewell.NONE:
            self.asked, self.hands_over = farewell, hand_over
            plan = self.node.plan
            self.node.report('NOTICE', 'told to end', 'was told to end (%s)%s' % (
                farewell.name, ': waits until "%s" is over' % plan.name if plan.busy else ''))
        elif farewell is Farewell.RESTARTING:
            self.node.exit(1, 'asked to stop again: ends at once')

    def decide(self) -> None:
        """Begin the goodbye when no other procedure is under way."""
        node = self.node
        if self.asked is Farewell.NONE or node.plan.busy or node.farewell is not Farewell.NONE:
            return
        farewell = self.asked
        if self.taking_back_until is not None and not somebody_leads(node):
            back = node.state is NodeState.LEADER and (
                not node.vip.configured or node.vip.here is not False)
            if not back and node.now < self.taking_back_until:
                return
            farewell = Farewell.RESTARTING      # the database and the VIP stay as they are
        node.plan.start('shut down', shut_down(node, farewell), node.now)

    def stay(self) -> None:
        """A handover was undone: leave once this node leads with the VIP, or another one leads."""
        self.taking_back_until = self.node.now + 3 * self.node.settings.wait_for_primary

    def take_back(self) -> None:
        """Nobody took over: be a candidate again, and leave as above."""
        self.stay()
        self.node.chores.rejoin_now()

    def was_heard(self, said_at: float, leader: Optional[int], needed: int) -> bool:
        """Whether my goodbye, on disk before, has arrived: at the leader where there is one, else
        at so many peers, or at all who live."""
        node = self.node
        if not node.speaker.is_saved() or node.speaker.sent_at < said_at:
            return False
        if leader is not None:
            return node.living_row(leader) is None or self._heard(leader, said_at)
        living = [row.sender for row in node.members.living(node.now)]
        heard = [peer for peer in living if self._heard(peer, said_at)]
        if not needed:
            return len(heard) == len(living)
        # Who left is bound to me, as long as nobody who stayed could release it.
        left = node.leadership.lease.left - set(heard)
        stayed = set(node.members.peers) - left
        return len(heard) + (len(left) if stayed == set(heard) else 0) >= needed

    def _heard(self, peer: int, said_at: float) -> bool:
        echo = self.node.members.echo(self.node.members.row(peer))
        return echo is not None and self.node.members.sent_at[echo] >= said_at

    def deadlines(self) -> List[float]:
        """When taking back has lasted long enough."""
        return [] if self.taking_back_until is None else [self.taking_back_until]
