"""Node: the only entrance of the core.  Events in, effects out.

Each event goes the same way: the time, the deadline of the lease, the event, then rounds of
decisions until nothing changes any more, then the state is saved or the row leaves.  Node is the
only one that knows all parts: it builds them, each with those that it may look at, lets them decide
in turn, and starts the procedures that they want.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import events
from .beacon import Beacon, Farewell, Verdict, significant
from .consensus.consensus import Consensus
from .consensus.saved import Saved
from .effects import UNKEPT, ProbeDatabase, Reply
from .facts import Facts
from .out import Out, Ready
from .own_row import build_row
from .parts import Parts
from .plan import Plan
from .policy.agreement import Namesake
from .policy.boot import Boot
from .policy.candidate import Candidate
from .policy.checks import Checks
from .policy.claims import Claims
from .policy.database import LocalDatabase
from .policy.duties import Duties
from .policy.ending import ClusterEnd
from .policy.evidence import Investigation, runs_by_its_word
from .policy.force import Force
from .policy.foreign import Foreign
from .policy.history import History
from .policy.intents import Intents
from .policy.isolation import Isolation
from .policy.leaving import Leaving
from .policy.maintenance import Maintenance
from .policy.operator import Operator
from .policy.pause import Paused
from .policy.place import PrimaryPlace
from .policy.promotion import Promotion
from .policy.rehearsals import Rehearsals
from .policy.repoint import Repoint
from .policy.standby import StandbyWatch
from .policy.synchronous import Synchronous
from .policy.trouble_kinds import KINDS
from .policy.troubles import Troubles
from .policy.vip import Vip
from .procedures import STEPS
from .requests import answer
from .settings import Settings
from .settling import followers_state, settle
from .states import DatabaseState, NodeState, Role
from .variables import hook_variables
from .wanted import GaveUp, TakeOver

#: Rounds of decisions within one event: each may enable the next, and a cycle would be a bug.
ROUNDS_MAX = 16


def build_parts(settings: Settings, saved: Optional[Saved], incarnation: int, now: float,
                lease_until: float, booted: bool = False) -> Tuple[Plan, Parts]:
    """All parts of a node, and the plan that runs its procedures."""
    on_disk = saved or Saved()
    facts, out = Facts(settings, now, on_disk.names), Out()
    plan = Plan(facts, out)
    consensus = Consensus(facts, out, saved, incarnation)
    database = LocalDatabase(facts, out, on_disk.maintenance)
    paused = Paused(facts, out, consensus, database, on_disk)
    place = PrimaryPlace(facts, consensus, database, on_disk)
    claims = Claims(facts, out, consensus, database, on_disk.claim)
    intents = Intents(facts, consensus)
    force = Force(facts, out, consensus, database, place, intents, lease_until)
    checks = Checks(facts, out, consensus, database, claims, intents)
    synchronous = Synchronous(facts, out, consensus, database, claims, checks)
    investigation = Investigation(facts, out, consensus, database, place, checks)
    standby = StandbyWatch(facts, out, consensus, database, investigation, plan)
    isolation = Isolation(facts, out, consensus, database, paused, place, intents, plan,
                          lease_until)
    vip = Vip(facts, out, consensus, database, paused, place, isolation, lease_until)
    rehearsals = Rehearsals(facts, out, consensus, database, plan)
    candidate = Candidate(facts, consensus, database, paused, place, force, investigation, vip)
    promotion = Promotion(facts, out, consensus, database, paused, place, intents, checks, force,
                          investigation, vip, rehearsals, candidate)
    leaving = Leaving(facts, out, consensus, vip, intents, plan)
    shutdown = ClusterEnd(facts, out, consensus, intents, leaving)
    maintenance = Maintenance(facts, out, consensus, database, checks, candidate)
    operator = Operator(facts, consensus, database, place, intents, candidate, plan, promotion,
                        shutdown, maintenance, paused)
    duties = Duties(facts, out, consensus, database, paused, intents, investigation, candidate,
                    plan)
    repoint = Repoint(facts, out, consensus, database, place, checks, force, candidate)
    boot = Boot(facts, out, consensus, database, paused, place, intents, booted)
    return plan, Parts(
        facts, out, consensus, database, paused, place, Foreign(), Namesake(facts, consensus),
        claims, intents, force, checks, synchronous, investigation, standby, isolation, vip,
        rehearsals, candidate, promotion, shutdown, maintenance, operator, duties, repoint, leaving,
        boot, Troubles(facts, out), History(facts, out, plan))


class Node:
    """One node of the cluster.

    `saved`: what was on disk, None without a readable state file.  `incarnation`: random, non-zero.
    `lease_until`: until when a VIP found at the start may stay (0: not at all).
    `booted`: no daemon ran since this host booted.
    """

    def __init__(self, settings: Settings, saved: Optional[Saved], incarnation: int, now: float,
                 lease_until: float = 0.0, booted: bool = False) -> None:
        self.plan, self.parts = build_parts(settings, saved, incarnation, now, lease_until,
                                            booted)
        self.facts, self.out = self.parts.facts, self.parts.out
        self.consensus = self.parts.consensus
        self.wake_at = now
        self.picture: Any = None        # what mattered in the last round of decisions
        self.steps = self.each_in_turn()
        self.facts.take_row(self.own_row())

    # -- the entrance --------------------------------------------------------------------------

    def handle(self, event: Any, now: float) -> Ready:
        """One event, at this instant -> what is wanted."""
        if self.out.end:
            return Ready()
        self._wake(now)
        self._start(self.parts.duties.lease_ended())
        self.DISPATCH[type(event)](self, event)
        self.facts.take_row(self.own_row())
        self._decide()
        self.consensus.check()
        self._publish()
        self.wake_at = self.facts.clock.wake_at
        return self.out.take()

    def _wake(self, now: float) -> None:
        """Take the time; nobody's silence counts that fell into my own sleep."""
        late = now - max(self.wake_at, self.facts.now)
        self.facts.clock.advance(now)
        if late > self.facts.patience:
            self.consensus.members.slept(late)
            self.out.report('WARNING', 'slept', 'was not run for %.2f s: looks at all anew' % late)
            self.parts.vip.check_soon()

    def _decide(self) -> None:
        for _ in range(ROUNDS_MAX):
            self._round()
            self.facts.take_row(self.own_row())
            settle(self.parts)
            row = self.facts.row
            if row.state is not self.consensus.state:
                row = row._replace(state=self.consensus.state)
                self.facts.take_row(row)
            before, self.picture = self.picture, (
                significant(row), self.plan.name, self.out.tokens, self.consensus.contest.ready)
            if self.picture == before:
                return
        raise AssertionError('the decisions of one event do not come to an end')

    def _round(self) -> None:
        """Let every part decide."""
        for step in self.steps:
            step()

    def each_in_turn(self) -> List[Callable[[], None]]:
        """A round, in the order in which facts become decisions; the search shuffles it."""
        parts = self.parts
        return [
            self._notice_changes, self._follow, parts.force.decide, parts.investigation.decide,
            self._starts(parts.duties.lease_ended), self._starts(parts.duties.decide),
            parts.claims.decide, parts.synchronous.decide, parts.paused.decide, self._elect,
            self._advance,
            self._starts(parts.operator.decide), self._starts(parts.leaving.decide),
            parts.standby.decide, self._starts(parts.isolation.decide), parts.checks.decide,
            self._repoint, self._starts_up, parts.rehearsals.decide, parts.vip.decide,
            lambda: parts.troubles.decide(parts, KINDS), lambda: parts.history.decide(parts)]

    def _starts(self, decide: Callable[[], Any]) -> Callable[[], None]:
        """Let this part decide, and begin what it wants."""
        return lambda: self._start(decide())

    def _advance(self) -> None:
        self.plan.advance()
        self._follow_up()

    def _repoint(self) -> None:
        if not self.plan.busy and not self.parts.intents.leaving:
            self._start(self.parts.repoint.decide())

    def _starts_up(self) -> None:
        if not self.plan.busy:
            self._start(self.parts.boot.decide())

    def own_row(self) -> Beacon:
        """The row of this node, as of now."""
        return build_row(self.parts)

    # -- what the world may read ---------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """What it was told."""
        return self.facts.settings

    @property
    def own(self) -> int:
        """Its place."""
        return self.facts.own

    @property
    def state(self) -> NodeState:
        """What people are shown."""
        return self.consensus.state

    @property
    def leads(self) -> bool:
        """Whether its row leads."""
        return self.consensus.leads

    def leader_row(self) -> Optional[Beacon]:
        """The newest row of the leader that it follows."""
        return self.consensus.leader_row()

    @property
    def names(self) -> List[Optional[str]]:
        """By place: the name once heard."""
        return self.facts.names

    def waits_for(self, token: int) -> bool:
        """Whether an answer to this token would be heard."""
        return token in self.out.waiting

    def variables(self, event: str, new: Optional[int] = None) -> Tuple[Tuple[str, str], ...]:
        """What a command of the operator is told; `new`: the place of the new primary, or this."""
        return hook_variables(self.facts, self.parts.place, self.consensus.term, event,
                              self.own if new is None else new)

    # -- what is saved and said ----------------------------------------------------------------

    def _publish(self) -> None:
        speaker, row = self.consensus.speaker, self.facts.row
        misses = self.consensus.follower.misses_leader
        speaker.want(self.to_save())
        # In an election positions are compared, so those of others have to be the newest.
        self.consensus.publish(row, self._is_hurried(), row.lsn if misses else 0)
        why_end = self.parts.namesake.why_end()
        if why_end:
            speaker.say_last(row)       # who reads it knows of both
            self.out.exit(1, why_end)

    def to_save(self) -> Saved:
        """What must not be forgotten, as of now."""
        return self.consensus.to_save(self.parts.place.record, tuple(self.facts.names),
                                      self.parts.claims.claim, self.parts.database.maintained,
                                      self.parts.paused.pause, self.parts.paused.moved)

    def _is_hurried(self) -> bool:
        """Whether rows are repeated quickly: an election or a procedure is under way."""
        consensus, intents = self.consensus, self.parts.intents
        if consensus.tenure.wants_acknowledgements() or self.parts.isolation.wants_echoes() \
                or intents.published() is not None or intents.leaving \
                or consensus.role not in (Role.FOLLOWS, Role.LEADS):
            return True
        lost_at = consensus.follower.lost_at
        return lost_at is not None and not consensus.leads and not self.facts.reached(
            lost_at + self.facts.hold_seconds + 4 * self.facts.patience)

    # -- who leads -----------------------------------------------------------------------------

    def _follow(self) -> None:
        parts = self.parts
        parts.place.learn()
        self.consensus.speaker.want(self.to_save())
        came = self.consensus.follow(parts.place.record, followers_state(parts))
        if came.deposed_by is not None:
            self._start(parts.duties.deposed_by(came.deposed_by))
        if came.taken is not None:
            parts.place.followed(came.taken)
            parts.candidate.followed(came.taken)

    def _elect(self) -> None:
        parts = self.parts
        wish, followed = parts.candidate.wish(), self.consensus.role is Role.FOLLOWS
        votes = self.consensus.elect(wish)
        if followed and self.consensus.role is not Role.FOLLOWS:
            parts.candidate.stood()
        if votes:
            parts.duties.begin()
            parts.synchronous.elected()
            parts.place.elected()
            parts.repoint.hands_over(False)
            parts.force.elected(votes)
            self._start(TakeOver())

    def _notice_changes(self) -> None:
        members = self.consensus.members
        for place, alive in members.turned():
            row = members.row(place)
            assert row is not None
            if alive:
                self.out.report('NOTICE', 'node', '%s is there' % row.name)
            elif row.farewell is Farewell.NONE:
                self.out.report('WARNING', 'node', '%s is lost: not heard for %.1f s' % (
                    row.name, members.silence(place)))
            else:
                self.out.report('NOTICE', 'node', '%s %s' % (
                    row.name, 'was stopped' if row.farewell is Farewell.LEAVING
                    else 'is being restarted'))
            if not alive and place != self.parts.place.suspect and not row.witness:
                self._try_database_of(place)

    def _try_database_of(self, place: int) -> None:
        """A standby's AHM is gone: tell whether its database is, too (manual 19.7.4)."""
        name, out = self.facts.name_of(place), self.out
        out.ask(ProbeDatabase(0, place, self.facts.settings.connect_timeout), lambda event:
                out.report('NOTICE', 'node', 'the database of %s %s from here' % (
                    name, 'does not answer' if event.verdict is Verdict.UNREACHABLE
                    else 'answers')))

    # -- procedures ----------------------------------------------------------------------------

    def _start(self, wanted: Any) -> None:
        """Begin what a part wants, where it overtakes what is under way."""
        if wanted is not None and self.plan.may_start(wanted):
            self.plan.start(wanted, STEPS[type(wanted)](self.parts, *wanted))
            self.facts.take_row(self.own_row())     # who decides after it has to see it
            self._follow_up()

    def _follow_up(self) -> None:
        """See to what ended procedures leave to be done."""
        for outcome in self.plan.outcomes():
            if isinstance(outcome, GaveUp):
                self._gave_up(outcome)
            else:
                self._start(outcome)

    def _gave_up(self, outcome: GaveUp) -> None:
        """A takeover was stopped before anything was changed."""
        self.out.note('takeover stopped: %s' % outcome.why)
        self.parts.investigation.close()
        self.parts.force.stopped()
        self.out.report('ERROR', 'takeover stopped', 'no promotion: %s' % outcome.why, UNKEPT)
        self.parts.synchronous.gave_up()
        self.consensus.resign()
        self.parts.candidate.stopped(outcome.seconds)

    # -- events --------------------------------------------------------------------------------

    def _on_beacon(self, event: events.BeaconHeard) -> None:
        row, parts = event.beacon, self.parts
        if not self.consensus.heard(row):
            return
        self.facts.learn_name(row.sender, row.name)
        parts.namesake.heard(row)
        parts.claims.learn(row)
        parts.paused.learn(row)
        believed = row.database is DatabaseState.PRIMARY or row.sender == parts.place.suspect and (
            runs_by_its_word(row) or row.database is DatabaseState.UNKNOWN)
        if believed and not row.leads and not parts.database.runs_as_primary:
            self.consensus.speaker.answer_quickly(row.sender)   # it may run while heard (R50)

    def _on_saved(self, event: events.StateSaved) -> None:
        self.consensus.speaker.saved(event.saved)

    def _on_save_failed(self, event: events.StateSaveFailed) -> None:
        self.consensus.speaker.save_failed(event.reason)

    def _on_own_files(self, event: events.OwnFilesLooked) -> None:
        self.parts.troubles.own_files_looked(event.reason)

    def _on_history(self, event: events.HistoryLooked) -> None:
        self.parts.troubles.history_looked(event.reason)

    def _on_answer(self, event: Any) -> None:
        if event.token == self.plan.token and self.plan.token is not None:
            self.parts.checks.action_ended(self.out.waiting[event.token][0], event)
        self.out.answered(event)
        self._follow_up()

    def _on_progress(self, event: events.ActionProgressed) -> None:
        if event.token == self.plan.token and self.parts.operator.task is not None:
            self.parts.operator.task.is_at(event.text)

    def _on_stop(self, event: events.StopAsked) -> None:
        self.parts.leaving.ask(event.farewell)

    def _on_client(self, event: events.ClientAsked) -> None:
        self.facts.take_row(self.own_row())     # ages as of now
        self.out.emit(Reply(event.token, answer(
            self.parts, event.request, event.origin, event.by)))

    def _on_foreign(self, event: events.ForeignHeard) -> None:
        self.parts.foreign.take(self.facts.settings, event, self.facts.now)

    def _on_settings(self, event: events.SettingsChanged) -> None:
        before = self.facts.lease_seconds
        self.facts.take_settings(event.settings)
        self.consensus.tenure.lease.took_settings(before)
        self.parts.rehearsals.soon()

    def _ignore(self, event: Any) -> None:
        """Nothing but what every event does."""

    DISPATCH: Dict[type, Callable[[Any, Any], None]] = {
        events.Started: _ignore, events.Ticked: _ignore,
        events.BeaconHeard: _on_beacon,
        events.StateSaved: _on_saved, events.StateSaveFailed: _on_save_failed,
        events.OwnFilesLooked: _on_own_files, events.HistoryLooked: _on_history,
        events.DatabaseChecked: _on_answer, events.DatabaseProbed: _on_answer,
        events.VipChecked: _on_answer, events.VipPinged: _on_answer,
        events.TrustedPinged: _on_answer, events.ActionEnded: _on_answer,
        events.DatabaseInspected: _on_answer, events.ActionProgressed: _on_progress,
        events.Rehearsed: _on_answer, events.HandoverRehearsed: _on_answer,
        events.StopAsked: _on_stop,
        events.ClientAsked: _on_client,
        events.SettingsChanged: _on_settings,
        events.ForeignHeard: _on_foreign,
    }
