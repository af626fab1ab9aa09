"""What is asked before a promotion by force: what force does not override, and what is given up."""

from typing import List, Optional

from ..beacon import Beacon, Verdict
from ..consensus.consensus import Consensus
from ..facts import Facts
from .candidate import Candidate
from .election import sentence, why_not_eligible
from .evidence import Investigation
from .force import Force
from .foreign import ORDER_OF_FEW
from .place import PrimaryPlace


class Forced:
    """Questions of an operator who wants force; they change nothing."""

    def __init__(self, facts: Facts, consensus: Consensus, place: PrimaryPlace, force: Force,
                 investigation: Investigation, candidate: Candidate) -> None:
        self.facts, self.consensus, self.place, self.force = facts, consensus, place, force
        self.investigation, self.candidate = investigation, candidate

    def why_not(self, otherwise: str) -> str:
        """What force does not override; '' where nothing is in its way.

        `otherwise`: why it is not possible without force.
        """
        return (self.force.why_no_database() or self._why_somebody_leads(otherwise)
                or self.force.why_not_all_vote() or self.force.why_two_primaries()
                or self._why_not_gone())

    def _why_somebody_leads(self, otherwise: str) -> str:
        promise = self.consensus.promise
        leading = [row.name for row in self.consensus.members.living() if row.leads]
        if leading:
            return '%s leads, and --force is for where nobody can lead; without it: %s' % (
                leading[0], otherwise)
        until = max(promise.until if promise.leader is not None else 0.0,
                    promise.blind_until if promise.blind else 0.0)
        if not self.facts.reached(until):
            return '%s may still lead: wait %.0f s' % (
                self.facts.name_of(promise.leader) if promise.leader is not None else 'somebody',
                until - self.facts.now + 0.5)
        return ''

    def _why_not_gone(self) -> str:
        if self.place.suspect is not None and not self.facts.settings.pre_promotion \
                and self.investigation.weigh() is Verdict.REACHABLE:
            return 'the database of %s still answers: stop it first' % self.facts.name_of(
                self.place.suspect)
        return ''

    def risks(self) -> List[str]:
        """What the operator vouches for, or gives up: a sentence each."""
        own = self.facts.row
        rows = self.consensus.contact_rows()
        missing = [self.facts.name_of(place) for place in self.facts.settings.order
                   if place not in [row.sender for row in rows]]
        found = []
        if len(rows) < self.facts.majority:
            found.append('%s: not heard; where such a host is alive behind a cut network, there '
                         'will be two primaries' % ', '.join(missing))
        paused = self.candidate.paused
        if paused.on and not paused.is_held:
            found.append('the cluster is paused: where %s is alive behind a cut network, its '
                         'primary runs on, and there will be two' % self.facts.name_of(
                             paused.pause.holder))
        for why in (why_not_eligible(own, self.candidate.view()), self.candidate.why_stale(own),
                    self.candidate.why_claim_forbids(own)):
            if why:
                found.append(sentence(own.name, why))
        found += ['%s has more data than %s (%s), which would be lost' % (
            row.name, own.name, '%d bytes' % (row.lsn - own.lsn)
            if row.timeline == own.timeline else 'timeline %d and %d' % (
                row.timeline, own.timeline))
                  for row in rows if (row.timeline, row.lsn) > (own.timeline, own.lsn)]
        suspect = self.place.suspect
        last = '' if suspect is None else ' (%s)' % self.facts.name_of(suspect)
        return found + ['what the last primary%s had acknowledged, and %s has not received, is '
                        'lost' % (last, own.name)]


def warning(leader: Optional[Beacon]) -> str:
    """What the status says of one that leads by force; '' where there is nothing to say."""
    if leader is None or not leader.forced:
        return ''
    return '%s leads by force, without a majority: the nodes that are lost must not come ' \
        'back out of its reach, and the next failover would have to be forced, too; to ' \
        'go on without them %s' % (leader.name, ORDER_OF_FEW)
