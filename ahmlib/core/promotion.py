"""An operator wants the database of this node to be the primary: ahm_promote_node (R40, R42).

Where somebody leads, that one hands over (procedures.switch_over); where nobody leads, and nobody
would by itself because no node has followed a leader since its start, the intent is what makes the
election due for this node.  All rules of an election hold for it, and all evidence against the old
primary is asked for: the operator chooses, and vouches for nothing.  What he may vouch for, where a
majority is gone for good, stands in `force`.
"""

from typing import List, Optional

from .agreement import why_unlike_leader
from .beacon import Due, Intent, IntentKind, Verdict
from .election import best, sentence, why_not_eligible
from .states import DatabaseState, NodeState
from .task import Task
from .ways_out import way_out

#: Seconds within which a leader takes an intent up, at the most.
ACCEPT_SECONDS = 10.0
#: Seconds that a promotion may take beyond the configured limits of its parts.
SLACK_SECONDS = 120.0
#: Within which a new leader has to have the VIP, once its takeover has tried to raise it.
VIP_UP_SECONDS = 5.0


class Promotion:
    """The wish to be the primary, while it is open."""

    def __init__(self, node) -> None:
        self.node = node
        self.intent: Optional[Intent] = None
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
        if not self._why_not():
            return '%s can be promoted without --force' % self.node.settings.name
        return self.node.force.why_not()

    def _why_never(self) -> str:
        node, name = self.node, self.node.settings.name
        if node.settings.witness:
            return '%s is a witness: it has no database to promote' % name
        if node.is_leading:
            return '%s is the primary already' % name if node.state is NodeState.LEADER \
                else '%s is taking over already' % name
        return ''

    def _why_not(self) -> str:
        """What speaks against it, and what force may override."""
        node, name = self.node, self.node.settings.name
        if not node.has_majority():
            return '%s is in contact with %d of the %d nodes, itself among them, and needs %d: ' \
                'start the others, or use --force if they are gone for good' % (
                    name, len(node.contact_rows()), node.settings.size, node.votes_needed)
        if node.elections.is_half_isolated():
            return '%s reaches no trusted server, and not more than half of the nodes: start the ' \
                'others, or use --force if they are gone for good' % name
        why = why_not_eligible(node.own_row(), node.view)
        if why:
            failed = node.database.state is DatabaseState.FAILED and not node.database.out
            # "Attach it", where there is nobody to attach it to, is no way out.
            way = way_out(node) if node.database.out else ''
            return sentence(name, why) + (': ' + node.database.reason if failed else '') + (
                '; nobody leads: %s' % way if way else '')
        if node.rehearsals.would_fail:
            return 'a takeover of %s would fail: %s' % (
                name, '; '.join(node.rehearsals.would_fail))
        unlike = why_unlike_leader(node)
        if unlike:
            return '%s would serve elsewhere: %s' % (name, unlike)
        leader = node.leader_row()
        if leader is not None and node.promise.holds(node.now):
            return self._why_not_switch(leader)
        return self._why_not_alone()

    def _why_not_switch(self, leader) -> str:
        node, name = self.node, self.node.settings.name
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down:
            return '%s does not lead over a primary: try again when it does' % leader.name
        if leader.no_handover:
            return '%s cannot hand over: %s' % (leader.name, leader.no_handover)
        if node.own in leader.refused_by:
            return 'the database of %s would not be let in here as a standby afterwards: see the ' \
                'status for what was said, mend pg_hba.conf or the replication user here, and ' \
                'run "ahm reload" on %s, which asks again' % (leader.name, leader.name)
        if leader.intent is not None:
            return '%s is carrying out something else: try again in a moment' % leader.name
        if node.database.failures or not node.database.answer.streaming:
            return '%s does not stream from %s: see the log of its database' % (name, leader.name)
        return ''

    def _why_not_alone(self) -> str:
        node, name = self.node, self.node.settings.name
        if node.promise.bound:
            return '%s is bound to %s, whom it followed last, and waits for it: start the AHM of ' \
                '%s, or use --force if that is gone for good' % (
                    (name,) + 2 * (node.name_of(node.promise.leader),))
        if node.promise.holds(node.now):
            return '%s may still lead: wait until the election is over, then see ' \
                'ahm_cluster_status' % node.name_of(node.promise.leader)
        rows = node.contact_rows()
        running = [row.name for row in rows if row.database is DatabaseState.PRIMARY]
        if running:
            return 'the database of %s is a primary: stop it, or let it lead' % running[0]
        stale = node.elections.why_stale(node.own_row())
        if stale:
            return '%s %s' % (name, stale)
        first = best(rows, node.view)
        if first is not None and (first.timeline, first.lsn) > (
                node.database.timeline, node.database.lsn):
            return '%s has more data than %s (%d bytes, timeline %d and %d): promote that one' % (
                first.name, name, first.lsn - node.database.lsn, first.timeline,
                node.database.timeline)
        if node.suspect is not None and node.investigation.weigh() is Verdict.REACHABLE:
            return 'the database of %s still answers: stop it first' % node.name_of(node.suspect)
        return ''

    def begin(self, task: Task, force: bool) -> None:
        """Ask the cluster for it."""
        node, settings = self.node, self.node.settings
        leader = node.leader_row()
        self.leader = leader.sender if leader is not None else None
        self.task, self.accepted, self.asked_at, self.led_at = task, False, node.now, None
        task.step = 'asks the cluster for it'
        self.intent = node.operator.new_intent(
            IntentKind.FORCE if force else IntentKind.PROMOTE)
        self.until = node.now + SLACK_SECONDS + settings.promote_timeout + settings.hook_timeout \
            + 2 * settings.wait_for_primary + 2 * node.timing.hold
        if force:
            node.force.begin()
        node.chores.check_soon()

    # -- waiting -------------------------------------------------------------------------------

    def decide(self) -> None:
        """See whether it came true, or cannot any more."""
        node = self.node
        if self.intent is None:
            return
        if node.state is NodeState.LEADER and node.database.runs_as_primary:
            self._see_vip()
        elif node.now >= self.until:
            self._end('it was not done in %.0f s: %s' % (
                self.until - self.asked_at, node.problem or node.elections.why_not))
        elif node.leaving:
            self._end('the daemon was told to end')
        elif node.is_leading:
            self.task.step = 'takes over'
        elif self.leader is not None:
            self._watch_leader()
        elif node.leader_row() is not None:
            self._end('%s leads now' % node.leader_row().name)
        else:
            self.task.step = node.problem or 'waits for its election'

    def _see_vip(self) -> None:
        """Clients come through the VIP: without it nothing is done yet."""
        node = self.node
        if self.led_at is None:
            self.led_at = node.now
        if node.vip.here or not node.vip.configured:
            self._end('')
        elif node.now >= self.led_at + VIP_UP_SECONDS:
            self._end('%s leads over the primary, and clients are out: %s' % (
                node.settings.name, node.vip.problem or 'the VIP is not on its host'))
        else:
            self.task.step = 'raises the VIP'

    def _watch_leader(self) -> None:
        """What became of it at the leader who was to hand over."""
        node, row = self.node, self.node.leader_row()
        if row is None:
            self.task.step = 'waits for its election'
        elif row.sender != self.leader:
            self._end('%s leads now instead' % row.name)
        elif row.intent == self.intent:
            self.accepted = True
            self.task.step = '%s stops its database' % row.name if row.stepping_down \
                else '%s prepares' % row.name
        elif self.accepted and not row.stepping_down:
            self._end(row.problem or '%s has not handed over' % row.name)
        elif not self.accepted and node.now >= self.asked_at + ACCEPT_SECONDS:
            self._end('%s did not begin within %g s: %s' % (
                row.name, ACCEPT_SECONDS, row.problem or 'see its log'))

    def _end(self, why: str) -> None:
        self.intent = None
        self.task.end(why)
        if why:
            self.node.report('ERROR', 'promotion', 'not promoted as asked: %s' % why)

    # -- what it means for elections -----------------------------------------------------------

    def level(self) -> Due:
        """How due an election is where nobody has followed a leader: only for whom is wanted."""
        node = self.node
        rows = node.contact_rows()
        wanted = [(row.intent.kind is not IntentKind.FORCE, row.sender) for row in rows
                  if row.intent is not None and row.intent.kind is not IntentKind.SHUTDOWN
                  and row.intent.node == row.sender]
        if not wanted or any(row.database is DatabaseState.PRIMARY for row in rows):
            return Due.PRIMARY
        node.elections.due_only = min(wanted)[1]    # all choose the same one
        if node.suspect is None:
            return Due.ANYBODY      # nothing was ever on record: there is no old primary
        return {Verdict.UNREACHABLE: Due.ANYBODY, Verdict.REACHABLE: Due.FENCER,
                None: Due.PRIMARY}[node.investigation.weigh()]

    @property
    def wants_position(self) -> bool:
        """Whether the position of this database is waited for: asked for, or handed over to."""
        own, leader = self.node.own, self.node.leader_row()
        if self.intent is not None or leader is None:
            return self.intent is not None
        if leader.intent is not None and leader.intent.kind is IntentKind.PROMOTE:
            return leader.intent.node == own
        return leader.stepping_down and leader.successor == own

    def deadlines(self) -> List[float]:
        """When waiting ends."""
        if self.intent is None:
            return []
        return [self.until, self.asked_at + ACCEPT_SECONDS, (self.led_at or 0.0) + VIP_UP_SECONDS]
