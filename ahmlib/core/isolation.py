"""How long a primary may run beside a daemon that does not lead (ahm_protocol(7), R50).

A leader that is cut off stops its database when its lease ends.  A daemon that does not lead owes
the same: one that was restarted while its host is cut off, one beside a server that was started, or
was not stopped, after its step-down.  Others elect a leader once they count this node as lost, and
nobody reaches its database.

What keeps them from it is this node's own word that its database is a primary, for T_hold from
when they heard it.  So a primary may run for T_lease from when the newest row that says so was
sent which as many nodes as a lease needs have heard.  A row that says that its daemon has just
started and has not looked yet keeps others from promotions as well, so it counts as one.  After a
start it may run until the lease on file has ended, and for the part of T_fence more that its stop
leaves; where that has ended already, for T_hold: that is how long it takes to be heard.

A primary that is found later was started by somebody.  Who hears others then waits for T_lease to
be answered by them; who hears nobody is cut off.

After a boot of its host a node knows of no lease.  It may be the first of a cluster that starts, so
it waits for the others with its primary, and owes all this only once it was heard by enough.
"""

from typing import List, Optional

from .procedures.step_down import Reason, step_down
from .quorum import reached_by
from .states import NodeState

NEVER = float('-inf')
#: Share of T_fence beyond the lease on file: to look, to say that a primary runs, to be answered.
#: What the stop of a database needs of T_fence is left (`step_down`).
HEARD_SHARE = 0.4


def has_not_looked(state: NodeState, looked: bool) -> bool:
    """Whether a daemon has just started, and does not know yet what its database is."""
    return state is NodeState.INITIALIZING and not looked


class Isolation:
    """Whether a primary that this node does not lead over has to be stopped."""

    def __init__(self, node, lease_until: float) -> None:
        self.node = node
        self.owes = lease_until > 0.0       # it led since its host's boot, or was heard by enough
        lease_runs = lease_until > node.now
        self.starts_until = lease_until + HEARD_SHARE * node.timing.fence if lease_runs \
            else node.now + node.timing.hold
        #: Since when my rows say that it is one, or that nobody has looked yet.
        self.primary_since: Optional[float] = node.now

    def decide(self) -> None:
        """Stop a primary whose time is over."""
        node = self.node
        self.owes = self.owes or node.is_leading
        if has_not_looked(node.state, node.database.checked):
            return
        if not node.database.runs_as_primary or node.stepping_down:
            self.primary_since = None
            return
        if self.primary_since is None:
            self.primary_since = node.now
        if node.is_leading:
            return      # what its rows say then counts, too, where it resigns beside its primary
        self.owes = self.owes or self._heard(node.leadership.lease.needed) > NEVER
        if node.plan.busy or not self.applies() or node.now < self.ends_at():
            return
        node.report('CRITICAL', 'isolated primary', 'the database here accepts writes, this node '
                    'does not lead, and too few nodes hear it (%d of the %d that are needed): '
                    'others may promote one, so it is stopped' % (
                        1 + len(node.members.in_touch(node.now)), node.leadership.lease.needed))
        node.followed = True    # it led, as far as its database goes: somebody may be elected after
        node.plan.start('step down', step_down(node, Reason(
            'isolated', 'its database ran as a primary, cut off from the others', 'immediate')),
            node.now)

    def applies(self) -> bool:
        """Whether others could lead beside this primary at all, and the operator wants it stopped.

        Where nothing was ever on record no cluster was formed: the database is somebody's who tries
        AHM out on one host.
        """
        node, lease = self.node, self.node.leadership.lease
        if not self.owes or not node.settings.stop_isolated_primary or node.record is None \
                or node.force.reigns or node.leaving:
            return False
        return lease.needed > 1 or (lease.halves and node.settings.trusted)

    def ends_at(self) -> float:
        """When others may have somebody else promoted."""
        return max(self.starts_until, self._answered_until(), self.believed_until())

    def believed_until(self) -> float:
        """Until when so many believe that a primary runs here that nobody else is elected."""
        node, lease = self.node, self.node.leadership.lease
        heard = self._heard(lease.needed)
        if lease.halves and node.settings.trusted:
            trusted = NEVER if node.leadership.trusted_at is None else node.leadership.trusted_at
            heard = max(self._heard(node.settings.size // 2 + 1), min(heard, trusted))
        return heard + lease.seconds

    def _answered_until(self) -> float:
        """Until when a primary that was found later waits for answers, where others are heard."""
        node = self.node
        if self.primary_since in (None, node.started_at) or not any(
                node.members.arrives(place, node.now) for place in range(node.settings.size)):
            return NEVER
        return self.primary_since + node.leadership.lease.seconds

    def _heard(self, needed: int) -> float:
        """When the newest row was sent that says so, and was heard by so many nodes, me among them.
        """
        node = self.node
        sent = [node.members.echoed_at(place) for place in range(node.settings.size)
                if place != node.own]
        known = [at for at in sent if at is not None and at >= (self.primary_since or node.now)]
        known += [NEVER] * (len(sent) - len(known))
        return reached_by([node.now] + known, needed)

    def wants_echoes(self) -> bool:
        """Whether too few have answered the newest row that says that a primary runs here."""
        node = self.node
        return self.primary_since is not None and not node.is_leading and self.applies() \
            and self._heard(node.leadership.lease.needed) < node.speaker.round_at

    def deadlines(self) -> List[float]:
        """When its time is over."""
        if self.primary_since is None or self.node.is_leading or not self.applies():
            return []
        return [self.ends_at()]
