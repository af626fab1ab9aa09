"""Node: the only entrance of the core.  Events in, effects out.

Each event goes the same way: deadlines first, then the event, then `_decide`, which derives all
that follows from (own row, newest rows, now) until nothing changes any more, then the speaker,
which has the state saved before any row that depends on it leaves.

The parts that decide are small objects that know this node: follower, elections, leadership,
evidence, VIP, chores.  What they share (term, leader, role, procedure) is held here.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import events
from .beacon import Beacon, Farewell, Record, Verdict, newer_record, significant
from .chores import Chores
from .claims import Claims
from .database import LocalDatabase
from .effects import Cancel, Exit, ProbeDatabase, Reply, Report, RunHook
from .election import View
from .elections import Elections
from .evidence import Investigation, runs_by_its_word
from .force import Force
from .foreign import Foreign
from .following import Following
from .isolation import Isolation
from .leadership import Leadership
from .leaving import Leaving
from .membership import Membership
from .operator import Operator
from .own_row import build_row
from .plan import Plan
from .promise import Promise
from .quorum import votes_needed
from .rehearsals import Rehearsals
from .saved import Saved
from .settings import Settings
from .settling import settle
from .requests import answer
from .speaking import Speaker
from .standby import StandbyWatch
from .states import LEADING, DatabaseState, NodeState
from .timing import candidacy_seconds
from .troubles import Troubles
from .vip import Vip

#: Rounds of `_decide` within one event: each may enable the next, and a cycle would be a bug.
ROUNDS_MAX = 16
IDLE_SECONDS = 3600.0


class Node:
    """One node of the cluster.

    `saved`: what was on disk, None without a readable state file.  `incarnation`: random, non-zero.
    `lease_until`: until when a VIP found at the start may stay (0: not at all).
    """

    def __init__(self, settings: Settings, saved: Optional[Saved], incarnation: int, now: float,
                 lease_until: float = 0.0) -> None:
        self.settings, self.timing, self.own = settings, settings.timing, settings.own
        self.incarnation, self.now, self.started_at = incarnation, now, now
        self.votes_needed = votes_needed(settings.size, settings.half_votes)
        self.patience = candidacy_seconds(settings.interval)
        on_disk = saved or Saved()
        self.term, self.voted_for = on_disk.term, on_disk.voted_for
        self.leader: Optional[int] = None
        self.hold = on_disk.hold
        self.record: Optional[Record] = on_disk.record
        self.names: List[Optional[str]] = list(on_disk.names) or [None] * settings.size
        self.names[self.own] = settings.name
        self.promise = Promise()
        self.blind = saved is None or saved.blind
        self.blind_until = now + self.timing.hold
        if saved is not None and saved.leader not in (None, self.own):
            self.promise.recall(saved.leader, now, max(saved.hold, self.timing.hold), saved.bound,
                                saved.forced)
        self._clean_slate(now)
        self.had_role = self.record is not None and self.record.node == self.own
        self.database = LocalDatabase(settings)
        self.members = Membership(settings, incarnation)
        self.plan = Plan(self._ask_for_plan, self.cancel)
        self.claims, self.standby = Claims(self, on_disk.claim), StandbyWatch(self)
        self.isolation = Isolation(self, lease_until)
        self.follower, self.elections = Following(self), Elections(self)
        self.leadership, self.investigation = Leadership(self), Investigation(self)
        self.vip, self.chores = Vip(self, lease_until), Chores(self)
        self.speaker, self.exits = Speaker(self, saved), Leaving(self)
        self.operator, self.troubles = Operator(self), Troubles(self)
        self.force = Force(self, on_disk.forced and on_disk.leader == self.own)
        self.rehearsals = Rehearsals(self)
        self.wake_at = now
        self.row, self.picture = self.own_row(), None   # as of the last round of decisions

    def _clean_slate(self, now: float) -> None:
        """What a node begins with."""
        self.state = NodeState.INITIALIZING
        self.followed = self.stepping_down = self.promoting = self.exited = False
        self.farewell = Farewell.NONE
        self.successor: Optional[int] = None        # whom this node handed over to
        self.problem, self.out_as = '', None
        self.lost_at: Optional[float] = now
        self.primary_seen: Optional[int] = None     # whom it last followed, or led as, over one
        self.replaced: Optional[int] = None         # whose primary was the one before that
        self.answered_at = float('-inf')    # when a row that does not lead was answered last
        self.regained_at = now              # when a node was last heard that had not been
        self.primary_lsn = 0
        self.seen_timeline = 0              # of the newest primary that was followed, or led over
        self.foreign = Foreign()
        self.effects: List[Any] = []
        self.waiting: Dict[int, Tuple[Any, Callable[[Any], None]]] = {}
        self.tokens = 0

    # -- the entrance --------------------------------------------------------------------------

    def handle(self, event: Any, now: float) -> List[Any]:
        """One event, at this instant -> what is wanted, in order."""
        self.effects = []
        if self.exited:
            return self.effects
        self._wake(now)
        self.leadership.check_lease()
        self.DISPATCH[type(event)](self, event)
        self._decide()
        self.speaker.publish(self.row)
        if self.farewell is not Farewell.NONE:
            # Its last word leaves before it ends: its leader may wait for that, to end itself.
            self.effects.sort(key=lambda effect: isinstance(effect, Exit))
        self.wake_at = self._next_deadline()
        return self.effects

    def _wake(self, now: float) -> None:
        """Take the time; nobody's silence counts that fell into my own sleep."""
        late = now - max(self.wake_at, self.now)
        if late > self.patience:
            self.members.slept(late)
            self.report('WARNING', 'slept', 'was not run for %.2f s: looks at all anew' % late)
            self.vip.check_soon()
        self.now = max(now, self.now)

    def _decide(self) -> None:
        for _ in range(ROUNDS_MAX):
            self._notice_changes()
            self.follower.decide()
            self.force.decide()
            self.investigation.decide()
            self.leadership.decide()
            self.claims.decide()
            self.elections.decide()
            self.plan.advance(self.now)
            self.operator.decide()
            self.exits.decide()
            self.standby.decide()
            self.isolation.decide()
            self.chores.decide()
            self.rehearsals.decide()
            self.vip.decide()
            self.troubles.decide()
            settle(self)
            before, self.picture = self.picture, self._picture()
            if self.picture == before:
                return

    def _picture(self) -> Any:
        self.row = self.own_row()
        return significant(self.row), self.plan.name, self.tokens

    def _notice_changes(self) -> None:
        for node, alive in self.members.turned(self.now):
            row = self.members.row(node)
            if alive:
                self.regained_at = self.now
                self.report('NOTICE', 'node', '%s is there' % row.name)
            elif row.farewell is Farewell.NONE:
                self.report('WARNING', 'node', '%s is lost: not heard for %.1f s' % (
                    row.name, self.members.silence(node, self.now)))
            if not alive and node != self.suspect and not row.witness:
                self._try_database_of(node)

    def _try_database_of(self, node: int) -> None:
        """A standby's AHM is gone: tell whether its database is, too (manual 19.7.4)."""
        self.ask(ProbeDatabase(0, node, self.settings.connect_timeout), lambda event: self.report(
            'NOTICE', 'node', 'the database of %s %s from here' % (
                self.name_of(node), 'does not answer' if event.verdict is Verdict.UNREACHABLE
                else 'answers')))

    # -- events --------------------------------------------------------------------------------

    def _on_beacon(self, event: events.BeaconHeard) -> None:
        row = event.beacon
        restarted = self.members.restarted(row)
        counts = self.members.accept(row, self.now)
        if counts:
            self._learn_name(row)
            self.claims.learn(row)
            believed = row.database is DatabaseState.PRIMARY or row.sender == self.suspect and (
                runs_by_its_word(row) or row.database is DatabaseState.UNKNOWN)
            if believed and not row.leads and not self.database.runs_as_primary \
                    and self.now >= self.answered_at + self.speaker.quick:
                self.answered_at = self.now     # two that answer each other do so no faster
                self.speaker.answers.add(row.sender)    # it may run only while it is heard (R50)
        self.leadership.heard(row, counts, restarted)

    def _learn_name(self, row: Beacon) -> None:
        if row.name == self.settings.name and row.uptime > self.now - self.started_at:
            self.speaker.say_last(self.own_row())       # who reads it knows of both
            self.exit(1, 'node_name %s is already used by the node at %s: give each its own name'
                      % (row.name, self.settings.addresses[row.sender]))
        self.names[row.sender] = row.name

    def _on_saved(self, event: events.StateSaved) -> None:
        self.speaker.saved(event.saved)

    def _on_save_failed(self, event: events.StateSaveFailed) -> None:
        self.speaker.save_failed(event.reason)

    def _on_own_files(self, event: events.OwnFilesLooked) -> None:
        self.troubles.own_files_looked(event.reason)

    def _on_answer(self, event: Any) -> None:
        _, on_answer = self.waiting.pop(event.token, (None, None))
        if on_answer is not None:
            on_answer(event)

    def _on_stop(self, event: events.StopAsked) -> None:
        self.exits.ask(event.farewell)

    def _on_client(self, event: events.ClientAsked) -> None:
        self.emit(Reply(event.token, answer(self, event.request, event.origin)))

    def _on_foreign(self, event: events.ForeignHeard) -> None:
        self.foreign.take(self.settings, event, self.now)

    def _on_settings(self, event: events.SettingsChanged) -> None:
        self.settings = event.settings
        self.database.failures_max = event.settings.max_consec_failures
        self.rehearsals.soon()

    def _ignore(self, event: Any) -> None:
        """Nothing but what every event does."""

    # -- what the parts use --------------------------------------------------------------------

    def emit(self, effect: Any) -> None:
        """Want this done."""
        self.effects.append(effect)

    def ask(self, effect: Any, on_answer: Callable[[Any], None]) -> int:
        """Want this done, and be told of its end."""
        self.tokens += 1
        self.waiting[self.tokens] = (effect, on_answer)
        self.emit(effect._replace(token=self.tokens))
        return self.tokens

    def _ask_for_plan(self, effect: Any) -> int:
        def _answered(event: Any) -> None:
            self.chores.action_ended(effect, event)
            self.plan.answered(event, self.now)
        return self.ask(effect, _answered)

    def cancel(self, token: int) -> None:
        """Wait for this effect no more, and end it; a hook is killed by its own limit only."""
        effect, _ = self.waiting.pop(token, (None, None))
        if effect is not None and not isinstance(effect, RunHook):
            self.emit(Cancel(token))

    def run_in_background(self, hook: RunHook) -> None:
        """Run a hook whose end nothing waits for."""
        self.ask(hook, lambda event: self.report(
            'NOTICE' if event.ok else 'ERROR', 'hook', '%s %s' % (
                hook.hook, 'succeeded' if event.ok else 'failed: %s' % event.reason)))

    def report(self, severity: str, event: str, text: str) -> None:
        """Tell people."""
        self.emit(Report(severity, event, text))

    def exit(self, code: int, reason: str) -> None:
        """End the daemon."""
        self.exited = True
        self.emit(Exit(code, reason))

    def become(self, state: NodeState, why: str) -> None:
        """Change the node state, and say why."""
        if state is not self.state:
            self.report('NOTICE', 'state', '%s -> %s: %s' % (self.state.name, state.name, why))
        self.state = state

    def report_out(self, why: str) -> None:
        """This database is reported out of the cluster until it is attached again."""
        self.database.out = why
        self.report('WARNING', 'out', 'reported out until attached again: %s' % why)

    # -- facts ---------------------------------------------------------------------------------

    @property
    def is_leading(self) -> bool:
        """Whether my row leads."""
        return self.state in LEADING

    @property
    def leaving(self) -> bool:
        """Whether this daemon was asked to end."""
        return self.exits.asked is not Farewell.NONE

    @property
    def following(self) -> bool:
        """Whether this node follows a leader whom it does not miss."""
        return not self.is_leading and self.promise.leader is not None and self.lost_at is None

    @property
    def misses_leader(self) -> bool:
        """Whether the leader is late, lost, or was never there."""
        return self.lost_at is not None and not self.is_leading

    @property
    def suspect(self) -> Optional[int]:
        """Whose database was the primary last: nobody is promoted beside it."""
        if self.primary_seen is not None:
            return self.primary_seen
        return self.record.node if self.record else None

    @property
    def free_to_elect(self) -> bool:
        """Whether this node takes part in elections at all now."""
        return (not self.blind and not self.is_leading and not self.stepping_down
                and self.farewell is Farewell.NONE and self.state is not NodeState.INITIALIZING
                and (not self.elections.is_half_isolated() or self.force.is_heard()))

    def may_vote_for(self, node: int) -> bool:
        """Whether promise and VIP allow a vote for this node."""
        if not self.free_to_elect or self.vip.here is not False:
            return False
        return not self.promise.holds(self.now) or self.promise.leader == node

    @property
    def view(self) -> View:
        """What eligibility is judged against."""
        return self.elections.view()

    def own_row(self) -> Beacon:
        """My row as of now."""
        return build_row(self)

    def contact_rows(self) -> List[Beacon]:
        """My row, and the newest rows of those in two-way contact."""
        return [self.own_row()] + self.members.in_touch(self.now)

    def has_majority(self) -> bool:
        """Whether as many nodes as an election needs are in contact, I among them."""
        return len(self.members.in_touch(self.now)) + 1 >= self.votes_needed

    def living_row(self, node: int) -> Optional[Beacon]:
        """The newest row of a living peer."""
        return self.members.row(node) if self.members.is_alive(node, self.now) else None

    def leader_row(self) -> Optional[Beacon]:
        """The newest row of the leader that this node follows, if it is alive and leads."""
        if self.is_leading or self.promise.leader is None:
            return None
        row = self.living_row(self.promise.leader)
        return row if row is not None and row.leads else None

    def name_of(self, node: Optional[int]) -> str:
        """The name of a node, or its address while the name is unknown."""
        if node is None:
            return 'nobody'
        return self.names[node] or self.settings.addresses[node]

    # -- the leader comes and goes -------------------------------------------------------------

    def miss_leader(self) -> None:
        """The leader is late, or leads no more: look around."""
        if self.lost_at is None:
            self.lost_at = self.now

    def found_leader(self, row: Beacon) -> None:
        """A leading row was taken."""
        self.lost_at, self.followed = None, True
        self.successor = None
        self.force.ended()
        if row.database is DatabaseState.PRIMARY:
            self._saw_primary(row.sender)
            self.primary_lsn = row.lsn
            self.seen_timeline = row.timeline
        if self.state is not NodeState.SHUTDOWN:
            self.become(self.out_as or NodeState.STANDBY, 'follows %s' % row.name)

    def _saw_primary(self, node: int) -> None:
        """This node has the primary; hooks are told whose it was before."""
        if self.suspect not in (None, node):
            self.replaced = self.suspect
        self.primary_seen = node

    def put_on_record(self) -> None:
        """I lead over a primary database: that is on record from now on."""
        database = self.database
        self.had_role = True
        self._saw_primary(self.own)
        self.seen_timeline, self.primary_lsn = database.timeline, database.lsn
        self.claims.begin()
        mine = Record(database.timeline, self.term, self.own, database.system_id)
        known = self.record is not None and self.record.system_id == mine.system_id
        self.record = newer_record(self.record, mine) if known else mine

    def is_on_record(self) -> bool:
        """Whether a majority, my disk included, repeats that I lead over the primary."""
        record, disk = self.record, self.speaker.disk
        if disk is None or disk.record != record or record.node != self.own:
            return False
        rows = self.members.in_touch(self.now)
        needed = min(self.votes_needed, 1 + len(rows)) if self.force.reigns else self.votes_needed
        return 1 + sum(row.record == record for row in rows) >= needed

    # -- time ---------------------------------------------------------------------------------

    def _next_deadline(self) -> float:
        found = [self.now + IDLE_SECONDS, self.promise.until, self.blind_until,
                 self.started_at + self.settings.wait_for_primary]
        if self.plan.ends_at is not None:
            found.append(self.plan.ends_at)
        for part in (self.speaker, self.leadership, self.investigation, self.elections, self.vip,
                     self.chores, self.exits, self.operator, self.force, self.standby,
                     self.isolation, self.troubles, self.rehearsals):
            found += part.deadlines()
        found += self.members.deadlines(self.now)
        return min(instant for instant in found if instant > self.now)

    DISPATCH = {
        events.Started: _ignore, events.Ticked: _ignore,
        events.BeaconHeard: _on_beacon,
        events.StateSaved: _on_saved, events.StateSaveFailed: _on_save_failed,
        events.OwnFilesLooked: _on_own_files,
        events.DatabaseChecked: _on_answer, events.DatabaseProbed: _on_answer,
        events.VipChecked: _on_answer, events.VipPinged: _on_answer,
        events.TrustedPinged: _on_answer, events.ActionEnded: _on_answer,
        events.Rehearsed: _on_answer, events.HandoverRehearsed: _on_answer,
        events.StopAsked: _on_stop,
        events.ClientAsked: _on_client,
        events.SettingsChanged: _on_settings,
        events.ForeignHeard: _on_foreign,
    }
