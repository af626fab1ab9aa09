"""An operator wants the database of this node to be the primary: ahm_promote_node (R40, R42).

Where somebody leads, that one hands over (procedures.switch_over); where nobody leads, and nobody
would by itself because no node has followed a leader since its start, the intent is what makes the
election due for this node.  All rules of an election hold for it, and all evidence against the old
primary is asked for: the operator chooses, and vouches for nothing.  What may be vouched for,
where a majority is gone for good, stands in `force`.
"""

from typing import Optional

from ..beacon import Beacon, IntentKind, Verdict
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..states import DatabaseState, NodeState, Role
from .agreement import why_unlike_leader
from .candidate import Candidate
from .checks import Checks
from .database import LocalDatabase
from .election import best, sentence, why_not_eligible
from .evidence import Investigation
from .force import Force
from .forced import Forced
from .intents import Intents
from .pause import Paused
from .place import PrimaryPlace
from .record import primaries
from .rehearsals import Rehearsals
from .task import Task
from .vip import Vip
from .ways_out import way_out

#: Seconds within which a leader takes an intent up, at the most.
ACCEPT_SECONDS = 10.0
#: Seconds that a promotion may take beyond the configured limits of its parts.
SLACK_SECONDS = 120.0
#: Within which a new leader has to have the VIP, once its takeover has tried to raise it.
VIP_UP_SECONDS = 5.0


class Promotion:
    """The wish to be the primary, while it is open."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, place: PrimaryPlace, intents: Intents, checks: Checks,
                 force: Force, investigation: Investigation, vip: Vip, rehearsals: Rehearsals,
                 candidate: Candidate) -> None:
        self.paused = paused
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.place, self.intents, self.checks, self.force = place, intents, checks, force
        self.investigation, self.vip, self.rehearsals = investigation, vip, rehearsals
        self.candidate = candidate
        self.forced = Forced(facts, consensus, place, force, investigation, candidate)
        self.task: Optional[Task] = None
        self.leader: Optional[int] = None       # who led when it was asked
        self.asked_at = self.until = 0.0
        self.accepted = False                   # that leader has begun
        self.led_at: Optional[float] = None     # since when this node leads over the primary

    # -- asking --------------------------------------------------------------------------------

    def why_not(self, force: bool = False) -> str:
        """Why this database cannot be made the primary now; '' where it can be tried."""
        why = self._why_never()
        if why or not force:
            return why or self._why_not()
        otherwise = self._why_not()
        if not otherwise:
            return '%s can be promoted without --force' % self.facts.settings.name
        return self.forced.why_not(otherwise)

    def _why_never(self) -> str:
        name = self.facts.settings.name
        if self.facts.settings.witness:
            return '%s is a witness: it has no database to promote' % name
        if self.database.maintained:
            return '%s is in maintenance: end that first, with "ahm_resume_cluster --node=%s"' % (
                name, name)
        if self.consensus.leads:
            return '%s is the primary already' % name if self.consensus.role is not Role.ELECTED \
                else '%s is taking over already' % name
        return ''

    def _why_not(self) -> str:
        """What speaks against it, and what force may override."""
        name = self.facts.settings.name
        if not self.consensus.members.has_majority():
            return '%s is in contact with %d of the %d nodes, itself among them, and needs %d: ' \
                'start the others, or use --force if they are gone for good' % (
                    name, len(self.consensus.contact_rows()), self.facts.settings.size,
                    self.facts.votes_needed)
        if self.consensus.tie_break.is_isolated():
            return '%s reaches no trusted server, and not more than half of the nodes: start the ' \
                'others, or use --force if they are gone for good' % name
        why = why_not_eligible(self.facts.row, self.candidate.view())
        if why:
            failed = self.database.state is DatabaseState.FAILED and not self.database.out
            # "Attach it", where there is nobody to attach it to, is no way out.
            way = self._way_out() if self.database.out else ''
            return sentence(name, why) + (': ' + self.database.reason if failed else '') + (
                '; nobody leads: %s' % way if way else '')
        if self.rehearsals.would_fail:
            return 'a takeover of %s would fail: %s' % (
                name, '; '.join(self.rehearsals.would_fail))
        unlike = why_unlike_leader(self.facts, self.consensus)
        if unlike:
            return '%s would serve elsewhere: %s' % (name, unlike)
        leader = self.consensus.leader_row()
        if leader is not None and self.consensus.promise.holds():
            return self._why_not_switch(leader)
        return self._why_not_alone()

    def _why_not_switch(self, leader: Beacon) -> str:
        name = self.facts.settings.name
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down:
            return '%s does not lead over a primary: try again when it does' % leader.name
        if leader.no_handover:
            return '%s cannot hand over: %s' % (leader.name, leader.no_handover)
        if self.facts.own in leader.refused_by:
            return 'the database of %s would not be let in here as a standby afterwards: see the ' \
                'status for what was said, mend pg_hba.conf or the replication user here, and ' \
                'run "ahm reload" on %s, which asks again' % (leader.name, leader.name)
        if leader.intent is not None:
            return '%s is carrying out something else: try again in a moment' % leader.name
        answer = self.database.answer
        if self.database.failures or answer is None or not answer.streaming:
            return '%s does not stream from %s: see the log of its database' % (name, leader.name)
        return ''

    def _why_not_alone(self) -> str:
        name = self.facts.settings.name
        if self.consensus.promise.bound:
            return '%s is bound to %s, whom it followed last, and waits for it: start the AHM of ' \
                '%s, or use --force if that is gone for good' % (
                    (name,) + 2 * (self.facts.name_of(self.consensus.promise.leader),))
        if self.consensus.promise.holds():
            return '%s may still lead: wait until the election is over, then see ' \
                'ahm_cluster_status' % self.facts.name_of(self.consensus.promise.leader)
        if self.paused.on and not self.paused.is_held:
            return 'the cluster is paused, and only %s may lead: start its AHM and its database, ' \
                'or use --force if it is gone for good' % self.facts.name_of(
                    self.paused.pause.holder)
        rows = self.consensus.contact_rows()
        running = [row.name for row in primaries(rows)]
        if running:
            return 'the database of %s is a primary: stop it, or let it lead' % running[0]
        stale = self.candidate.why_stale(self.facts.row)
        if stale:
            return '%s %s' % (name, stale)
        first = best(rows, self.candidate.view())
        if first is not None and (first.timeline, first.lsn) > (
                self.database.timeline, self.database.lsn):
            return '%s has more data than %s (%d bytes, timeline %d and %d): promote that one' % (
                first.name, name, first.lsn - self.database.lsn, first.timeline,
                self.database.timeline)
        if self.place.suspect is not None and self.investigation.weigh() is Verdict.REACHABLE:
            return 'the database of %s still answers: stop it first' % self.facts.name_of(
                self.place.suspect)
        return ''

    def begin(self, task: Task, force: bool) -> None:
        """Ask the cluster for it."""
        leader = self.consensus.leader_row()
        self.leader = leader.sender if leader is not None else None
        self.task, self.accepted, self.asked_at, self.led_at = task, False, self.facts.now, None
        task.is_at('asks the cluster for it')
        self.intents.promote(self.intents.new(
            IntentKind.FORCE if force else IntentKind.PROMOTE))
        self.until = self.facts.now + SLACK_SECONDS + self.facts.settings.handover_seconds
        if force:
            self.force.begin()
        self.checks.soon()

    # -- waiting -------------------------------------------------------------------------------

    def decide(self) -> None:
        """See whether it came true, or cannot any more."""
        task, leader = self.task, self.consensus.leader_row()
        if self.intents.promotion is None or task is None:
            return
        if self.consensus.role in (Role.LEADS, Role.YIELDS) and self.database.runs_as_primary:
            self._see_vip(task)
        elif self.facts.reached(self.until):
            self._end('it was not done in %.0f s: %s' % (
                self.until - self.asked_at, self.out.problem or self.consensus.contest.why_not))
        elif self.intents.leaving:
            self._end('the daemon was told to end')
        elif self.consensus.leads:
            task.is_at('takes over')
        elif self.leader is not None:
            self._watch_leader(task, leader)
        elif leader is not None:
            self._end('%s leads now' % leader.name)
        else:
            task.is_at(self.out.problem or 'waits for its election')

    def _see_vip(self, task: Task) -> None:
        """Clients come through the VIP: without it nothing is done yet."""
        if self.led_at is None:
            self.led_at = self.facts.now
        if self.vip.here or not self.vip.configured:
            self._end('')
        elif self.facts.reached(self.led_at + VIP_UP_SECONDS):
            self._end('%s leads over the primary, and clients are out: %s' % (
                self.facts.settings.name, self.vip.problem or 'the VIP is not on its host'))
        else:
            task.is_at('raises the VIP')

    def _watch_leader(self, task: Task, row: Optional[Beacon]) -> None:
        """What became of it at the leader who was to hand over."""
        if row is None:
            task.is_at('waits for its election')
        elif row.sender != self.leader:
            self._end('%s leads now instead' % row.name)
        elif row.intent == self.intents.promotion:
            self.accepted = True
            task.is_at(('%s stops its database' if row.stepping_down else '%s prepares') % row.name)
        elif self.accepted and not row.stepping_down:
            self._end(row.problem or '%s has not handed over' % row.name)
        elif not self.accepted and self.facts.reached(self.asked_at + ACCEPT_SECONDS):
            self._end('%s did not begin within %g s: %s' % (
                row.name, ACCEPT_SECONDS, row.problem or 'see its log'))

    def _end(self, why: str) -> None:
        self.intents.promote(None)
        if self.task is not None:
            self.task.end(why)
        if why:
            self.out.report('ERROR', 'promotion', 'not promoted as asked: %s' % why)

    def _way_out(self) -> str:
        return way_out(self.facts, self.consensus, self.place, self.candidate)
