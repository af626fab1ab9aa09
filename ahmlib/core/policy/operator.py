"""What an operator asked of this node: attach, promote or restart its database, end the cluster.

One task at a time.  An attach and a restart are this node's own affair.  A promotion and the end of
the cluster concern the others, so they are published as an intent in the row, and everybody acts on
that.  A task that is asked for while a procedure is under way (a failover that this node still
follows up) begins when that is over.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Union

from ..consensus.consensus import Consensus
from ..facts import Facts
from ..plan import Plan
from ..states import DatabaseState, NodeState, Role
from ..wanted import Attach, RestartAsked
from .candidate import Candidate
from .database import LocalDatabase
from .election import sentence, why_not_eligible
from .ending import ClusterEnd
from .intents import Intents
from .maintenance import Maintenance
from .pause import Paused
from .place import PrimaryPlace
from .promotion import Promotion
from .task import Task
from .ways_out import way_out

#: Seconds that a task may wait for the end of the procedure under way.
BUSY_SECONDS = 60.0


class Waiting(NamedTuple):
    """A task that begins once no procedure is under way: `begin` says why not, or ''."""
    task: Task
    begin: Callable[[], str]
    until: float


class Operator:
    """The operator's wishes, as far as they came through this node."""

    def __init__(self, facts: Facts, consensus: Consensus, database: LocalDatabase,
                 place: PrimaryPlace, intents: Intents, candidate: Candidate, plan: Plan,
                 promotion: Promotion, shutdown: ClusterEnd, maintenance: Maintenance,
                 paused: Paused) -> None:
        self.facts, self.consensus, self.place, self.intents = facts, consensus, place, intents
        self.candidate, self.plan = candidate, plan
        self.promotion, self.shutdown = promotion, shutdown
        self.database, self.maintenance, self.paused = database, maintenance, paused
        self.task: Optional[Task] = None
        self.waiting: Optional[Waiting] = None
        self.asked = 0
        self.wanted: Union[None, Attach, RestartAsked] = None
        self.copied: Optional[int] = None       # whose primary a rebuild copies

    def why_busy(self) -> str:
        """Why nothing more can be asked of this node now; '' if it can."""
        if self.intents.leaving:
            return 'this daemon is about to end'
        if self.task is not None and self.task.is_running:
            return '%s is busy with %s: wait until that is over' % (
                self.facts.settings.name, self.task.name)
        return ''

    def why_at_work(self) -> str:
        """Which procedure is under way here; '' if none is."""
        plan = self.plan
        return '%s is busy (%s): try again in a moment' % (
            self.facts.settings.name, plan.name) if plan.busy else ''

    def _begin(self, name: str, start: Callable[[Task], str]) -> None:
        """Begin a task now, or when no procedure is under way any more."""
        self.asked += 1
        task = self.task = Task(self.asked, name, 'waits for the end of what is under way')
        self.waiting = Waiting(task, lambda: start(task), self.facts.now + BUSY_SECONDS)
        self._begin_what_waits()

    def _begin_what_waits(self) -> None:
        if self.waiting is None:
            return
        why = self.why_at_work()
        if why and not self.facts.reached(self.waiting.until) and not self.intents.leaving:
            return
        waiting, self.waiting = self.waiting, None
        why = why or waiting.begin()
        if why:
            waiting.task.end(why)

    # -- what can be asked ---------------------------------------------------------------------

    def why_not_promote(self, force: bool) -> str:
        """Why this database cannot be made the primary now; '' if that can be tried."""
        return self.promotion.why_not(force) or self.why_busy()

    def promote(self, force: bool = False) -> str:
        """Make this database the primary; why not, or ''."""
        why = self.why_not_promote(force)
        if not why:
            self._begin('promote', lambda task: self._start_promotion(task, force))
        return why

    def _start_promotion(self, task: Task, force: bool) -> str:
        why = self.promotion.why_not(force)
        if not why:
            self.promotion.begin(task, force)
        return why

    def attach(self, rebuild: bool = False) -> str:
        """Make this database a trusted standby of the present primary again; why not, or ''.

        rebuild: a copy of that primary may replace what cannot be one (R65).
        """
        why = self.why_busy() or self._why_not_attach(rebuild)
        if not why:
            self._begin('attach', lambda task: self._start_attach(task, rebuild))
        return why

    def _start_attach(self, task: Task, rebuild: bool) -> str:
        why, leader = self._why_not_attach(rebuild), self.consensus.leader_row()
        if not why and leader is not None:
            self.wanted = Attach(leader.sender, task, rebuild)
            self.copied = leader.sender if rebuild else None
        return why

    def _end_a_copy_of_another(self) -> None:
        """A rebuild copies the primary of one leader, and ends where another one leads (R65)."""
        leader = self.consensus.leader_in_force()
        if self.copied is not None and self.plan.is_at(Attach) and leader is not None \
                and leader.sender != self.copied:
            self.copied = None
            self.plan.close('another leader')

    def _why_not_attach(self, rebuild: bool) -> str:
        if self.facts.settings.witness:
            return '%s is a witness: it has no database to attach' % self.facts.settings.name
        if self.database.maintained:
            return '%s is in maintenance: end that first, with "ahm_resume_cluster --node=%s"' % (
                2 * (self.facts.settings.name,))
        if self.consensus.leads:
            return '%s leads: there is nothing to attach' % self.facts.settings.name
        leader = self.consensus.leader_row()
        if leader is None or not self.consensus.promise.holds():
            return 'nobody leads: there is no primary to attach to; %s' % (
                way_out(self.facts, self.consensus, self.place, self.candidate)
                or 'see ahm_cluster_status')
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down:
            return '%s does not lead over a primary yet: try again in a moment' % leader.name
        if rebuild and (self.place.record is None or self.place.record.node != leader.sender):
            return '%s is not the one on record: its primary is not copied' % leader.name
        return ''

    # -- a restart of the database -------------------------------------------------------------

    def restart(self, limit: float, pending: bool) -> str:
        """Restart this database within so many seconds; why not, or ''."""
        why = self.why_not_restart()
        if not why:
            self._begin('restart', lambda task: self._start_restart(task, limit, pending))
        return why

    def _start_restart(self, task: Task, limit: float, pending: bool) -> str:
        why = self._why_no_restart()
        if not why:
            self.wanted = RestartAsked(task, limit, pending)
        return why

    def why_not_restart(self) -> str:
        """Why this database is not restarted now; '' if it can be."""
        return self.why_busy() or self.why_at_work() or self._why_no_restart()

    def _why_no_restart(self) -> str:
        name, state = self.facts.settings.name, self.database.state
        if self.facts.settings.witness:
            return '%s is a witness: it has no database to restart' % name
        if self.database.maintained:
            return '%s is in maintenance: restart its database yourself, or end that first, with ' \
                '"ahm_resume_cluster --node=%s"' % (2 * (name,))
        leads = self.consensus.role is Role.LEADS
        leader = self.facts.row if leads else self.consensus.leader_in_force()
        if leader is None or leader.state is not NodeState.LEADER or leader.stepping_down:
            return 'nobody leads over a primary now: see ahm_cluster_status, and try again once ' \
                'somebody does'
        if self.intents.published() is not None or leader.intent is not None:
            return 'a switchover or the end of the cluster is under way: try again after it'
        expected = DatabaseState.PRIMARY if leads else DatabaseState.STANDBY
        if state is not expected:
            return 'the database of %s is %s%s, and only one that works is restarted: see to ' \
                'that first' % (name, state.name, ' (%s)' % self.database.reason
                                if self.database.reason else '')
        return ''

    def restart_warnings(self) -> List[str]:
        """What an operator should know before the primary is restarted."""
        if not self.consensus.leads:
            return []
        rows, view = self.consensus.members.in_touch(), self.candidate.view()
        why = {row.name: why_not_eligible(row, view) for row in rows if not row.witness}
        if not all(why.values()):
            return []
        return ['no standby could take over if this primary does not come back: %s' % (
            '; '.join(sentence(name, reason) for name, reason in sorted(why.items()))
            or 'no other node with a database is in contact')]

    # -- maintenance, and pauses -----------------------------------------------------------------

    def maintain(self, on: bool, name: Any) -> str:
        """Put this node, of that name, in maintenance, or end that; why not, or ''."""
        own = self.facts.settings.name
        if name != own:
            return 'this is %s, and it was asked for %.60s: ask that node itself, with -h' % (
                own, name)
        why = self.why_busy()
        if on and not self.database.maintained:
            why = why or self.why_at_work() or self.maintenance.why_not_begin()
        if not why:
            self._begin('pause' if on else 'resume', lambda task: self._start_maintenance(on, task))
        return why

    def _start_maintenance(self, on: bool, task: Task) -> str:
        self.maintenance.set(on, task)
        return ''

    def pause(self, on: bool) -> str:
        """Pause the whole cluster, or end that; why not, or ''."""
        why = self.why_busy() or self._why_no_leader(on)
        if on and not self.paused.on:
            why = why or self.why_at_work() or self._why_moving()
        if not on and self.paused.on:
            why = why or self.paused.why_not_end()
        if not why:
            self._begin('pause' if on else 'resume', lambda task: self._start_pause(on, task))
        return why

    def _why_no_leader(self, on: bool) -> str:
        if self.consensus.role is Role.LEADS and self.consensus.tenure.has_lease():
            return ''
        row = self.consensus.leader_row()
        return '%s does not lead, and only a leader %s a pause: %s' % (
            self.facts.settings.name, 'begins' if on else 'ends',
            'ask %s' % row.name if row is not None else 'nobody leads; see ahm_cluster_status')

    def _why_moving(self) -> str:
        """Why a pause cannot begin: the primary role moves, or there is none."""
        if self.consensus.tenure.reigns or not self.database.runs_as_primary \
                or self.database.failures:
            return '%s does not lead over a healthy primary, by the votes of a majority: see ' \
                'ahm_cluster_status, and ask again once it does' % self.facts.settings.name
        moving = [row.name for row in self.consensus.members.living()
                  if row.intent is not None or row.role in (Role.STANDS, Role.ELECTED)]
        if moving or self.intents.published() is not None:
            return 'a switchover or a failover is under way%s: try again when it is over' % (
                ' (%s)' % moving[0] if moving else '')
        return ''

    def _start_pause(self, on: bool, task: Task) -> str:
        self.paused.set(on, task)
        return ''

    def shut_down(self) -> str:
        """End all daemons of the cluster; why not, or ''."""
        return self.why_busy() or self.why_at_work() or self.shutdown.ask()

    # -- acting --------------------------------------------------------------------------------

    def decide(self) -> Union[None, Attach, RestartAsked]:
        """See how far the wishes have come; the procedure that one of them needs."""
        self._begin_what_waits()
        self.promotion.decide()
        self.shutdown.decide()
        self.maintenance.decide()
        self._end_a_copy_of_another()
        wanted, self.wanted = self.wanted, None
        if wanted is not None and not self.plan.may_start(wanted):
            wanted.task.end(self.why_at_work())     # something else has begun at this very instant
            return None
        return wanted
