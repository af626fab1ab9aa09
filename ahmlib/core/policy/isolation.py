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
be answered by them; one that hears nobody is cut off.

After a boot of its host a node knows of no lease.  It may be the first of a cluster that starts, so
it waits for the others with its primary, and owes all this only once it was heard by enough.
"""

from typing import Optional

from ..consensus.consensus import Consensus
from ..consensus.quorum import reached_by
from ..facts import Facts
from ..out import Out
from ..plan import Plan
from ..wanted import Reason, StepDown
from .database import LocalDatabase
from .evidence import has_not_looked
from .intents import Intents
from .pause import Paused
from .place import PrimaryPlace

NEVER = float('-inf')
#: Share of T_fence beyond the lease on file: to look, to say that a primary runs, to be answered.
#: What the stop of a database needs of T_fence is left (`step_down`).
HEARD_SHARE = 0.4


class Isolation:
    """Whether a primary that this node does not lead over has to be stopped."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, place: PrimaryPlace, intents: Intents, plan: Plan,
                 lease_until: float) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.paused, self.place, self.intents, self.plan = paused, place, intents, plan
        self.owes = lease_until > 0.0       # it led since its host's boot, or was heard by enough
        lease_runs = lease_until > facts.now
        self.starts_until = lease_until + HEARD_SHARE * facts.timing.fence if lease_runs \
            else facts.now + facts.hold_seconds
        #: Since when my rows say that it is one, or that nobody has looked yet.
        self.primary_since: Optional[float] = self.facts.now

    def decide(self) -> Optional[StepDown]:
        """Stop a primary whose time is over."""
        consensus = self.consensus
        self.owes = self.owes or consensus.leads
        if has_not_looked(consensus.state, self.database.checked):
            return None
        if not self.database.runs_as_primary or consensus.steps_down:
            self.primary_since = None
            return None
        if self.primary_since is None:
            self.primary_since = self.facts.now
        if consensus.leads:
            return None     # what its rows say then counts where it resigns beside its primary
        needed = consensus.tenure.lease.needed
        self.owes = self.owes or self._heard(needed) > NEVER
        if self.plan.busy or not self.applies() or not self.facts.reached(self.ends_at()):
            return None
        self.out.report('CRITICAL', 'isolated primary', 'the database here accepts writes, this '
                        'node does not lead, and too few nodes hear it (%d of the %d that are '
                        'needed): others may promote one, so it is stopped' % (
                            1 + len(consensus.members.in_touch()), needed))
        consensus.follower.led()    # as far as its database goes: somebody may be elected after
        return StepDown(Reason('isolated', 'its database ran as a primary, cut off from the others',
                               'immediate'))

    def applies(self) -> bool:
        """Whether others could lead beside this primary at all, and the operator wants it stopped.

        Where nothing was ever on record no cluster was formed: the database is somebody's who tries
        AHM out on one host.
        """
        if not self.owes or not self.facts.settings.stop_isolated_primary \
                or self.place.record is None or self.consensus.tenure.reigns \
                or self.intents.leaving or self.paused.spares():
            return False
        return self.consensus.tenure.lease.needed > 1 or self.consensus.tie_break.is_needed

    def ends_at(self) -> float:
        """When others may have somebody else promoted."""
        return max(self.starts_until, self._answered_until(), self.believed_until())

    def believed_until(self) -> float:
        """Until when so many believe that a primary runs here that nobody else is elected."""
        lease = self.consensus.tenure.lease
        heard = self._heard(lease.needed)
        if self.consensus.tie_break.is_needed:
            heard = max(self._heard(self.facts.majority),
                        min(heard, self.consensus.tie_break.reached_at))
        return heard + lease.seconds

    def _answered_until(self) -> float:
        """Until when a primary that was found later waits for answers, where others are heard."""
        if self.primary_since in (None, self.facts.started_at) or not any(
                self.consensus.members.arrives(place) for place in range(self.facts.settings.size)):
            return NEVER
        return self.primary_since + self.consensus.tenure.lease.seconds

    def _heard(self, needed: int) -> float:
        """When the newest row was sent that says so, and was heard by so many nodes, me among them.
        """
        sent = [self.consensus.members.echoed_at(place) for place in range(self.facts.settings.size)
                if place != self.facts.own]
        least = self.primary_since or self.facts.now
        known = [at for at in sent if at is not None and at >= least]
        known += [NEVER] * (len(sent) - len(known))
        return reached_by([self.facts.now] + known, needed)

    def wants_echoes(self) -> bool:
        """Whether too few have answered the newest row that says that a primary runs here."""
        return self.primary_since is not None and not self.consensus.leads and self.applies() \
            and self._heard(self.consensus.tenure.lease.needed) < self.consensus.speaker.round_at
