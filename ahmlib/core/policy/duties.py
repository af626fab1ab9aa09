"""What a leader does with its role: look after the database, name a successor, hear wishes.

It acts only under a valid lease (`consensus.tenure`).  When that ends it steps down at once.
"""

from typing import Any, Optional, Union

from ..beacon import Beacon, Farewell, Intent, IntentKind, Verdict
from ..consensus.consensus import Consensus
from ..consensus.lease import FOREVER
from ..effects import HAND_OVER, SaveLease
from ..facts import Facts
from ..out import Out
from ..plan import Plan
from ..states import DatabaseState, Role
from ..wanted import HandOver, Reason, Restart, RestartAsked, StepDown
from .candidate import Candidate
from .database import LocalDatabase
from .election import best, sentence, why_not_eligible
from .evidence import LOOK_AGAIN_SECONDS, Investigation
from .grace import Grace
from .intents import Intents
from .pause import Paused


class Duties:
    """This node as leader; idle while it is none."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, intents: Intents, investigation: Investigation,
                 candidate: Candidate, plan: Plan) -> None:
        self.paused = paused
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.intents, self.investigation, self.candidate = intents, investigation, candidate
        self.plan = plan
        self.starting = Grace(facts)    # of the own server, as others find it
        self.noted_lease = 0.0          # as last written to the lease file
        self.successor: Optional[int] = None
        self.wal_rate = 0.0             # bytes a second that the primary writes
        self._wal_seen = (0.0, 0)
        self.restarted = False          # db_failure_action: restart was tried for this failure
        self.has_no_heir = False        # the database is down, and nobody could take over
        self.taken_up: Optional[Intent] = None

    # -- beginning and end ---------------------------------------------------------------------

    def begin(self) -> None:
        """The election is won."""
        self.investigation.close()
        self.has_no_heir = False

    def lease_ended(self) -> Optional[StepDown]:
        """The deadline that comes before every event."""
        if not self.consensus.tenure.has_ended():
            return None
        lease = self.consensus.tenure.lease
        return self._step_down(Reason(
            'lease', 'no majority acknowledges any more (%d of the %d nodes that are needed): '
            'others may elect a leader' % (lease.acknowledging(), lease.needed), 'immediate'))

    def deposed_by(self, row: Beacon) -> StepDown:
        """Another node leads in a higher term: whatever my clock says, my lease is over."""
        return self._step_down(Reason('deposed', '%s leads in term %d, above mine (%d)' % (
            row.name, row.term, self.consensus.term), 'immediate'))

    def _step_down(self, reason: Reason) -> StepDown:
        self.out.report('WARNING', 'step-down', 'steps down: %s' % reason.text, cause=reason.text)
        return StepDown(reason)

    def ended(self) -> None:
        """This leadership is over."""
        self.investigation.close()
        self.successor = None
        self.starting.note(False)

    def decide(self) -> Any:
        """All that a leader does besides its procedures; the one that it wants, if any."""
        if not self.consensus.tenure.has_lease():
            return None
        self.consensus.tenure.keep_term_above()
        self._note_lease()
        if self.consensus.role is not Role.LEADS or self.intents.leaving:
            return None
        wanted = self._mind_database()
        self._name_successor()
        return wanted if wanted is not None else self._hear_wishes()

    def _hear_wishes(self) -> Optional[HandOver]:
        """A follower is to be the primary instead: hand over to it (R40)."""
        if self.plan.busy or not self.database.runs_as_primary or self.database.failures:
            return None
        for row in self.consensus.members.in_touch():
            intent = row.intent
            if intent is None or intent.kind is not IntentKind.PROMOTE or intent == self.taken_up \
                    or (intent.node, intent.incarnation) != (row.sender, row.incarnation) \
                    or row.leader != self.facts.own or intent.term > self.consensus.term:
                continue
            self.taken_up = intent
            why = why_not_eligible(row, self.candidate.view())
            waits_for = self.paused.waits_for()
            if not why and not waits_for:
                return HandOver(intent)
            self.out.note('no switchover: %s' % (waits_for or sentence(row.name, why)))
            self.out.report('ERROR', 'switchover', self.out.problem, HAND_OVER)
        return None

    def _note_lease(self) -> None:
        until = self.consensus.tenure.until()
        if until == FOREVER:
            until = self.facts.now + self.facts.lease_seconds
        step = self.facts.settings.interval / 4
        if not self.consensus.steps_down and until > self.noted_lease + step:
            self.noted_lease = until
            self.out.emit(SaveLease(until))

    # -- the database --------------------------------------------------------------------------

    def _mind_database(self) -> Union[None, StepDown, Restart]:
        database = self.database
        if self.facts.settings.witness or self.plan.is_at(Restart) \
                or self.plan.is_at(RestartAsked):
            return None
        if database.in_recovery and not database.failures:
            return self._step_down(Reason('not primary', 'its database is in recovery: it is no '
                                          'primary any more', 'none'))
        if database.failed and not self.paused.is_held:
            return self._ask_everybody()
        if self.investigation.asked is not None and not database.failed:
            self.out.report('NOTICE', 'database', 'the database answers its checks again')
        self.investigation.close()
        self.starting.note(False)
        self.restarted = self.has_no_heir = False
        return None

    def _ask_everybody(self) -> Union[None, StepDown, Restart]:
        """The own checks fail: it is down only if nobody else reaches it either (R34)."""
        investigation, database = self.investigation, self.database
        if investigation.asked is None:
            self.out.report('WARNING', 'database', 'the database failed %d checks (%s): asking all '
                            'nodes whether they reach it' % (database.failures, database.reason))
            self._inquire()
            return None
        verdicts, silent = investigation.replies(investigation.asked)
        waited = investigation.has_waited()
        if verdicts and not silent and Verdict.STARTING not in verdicts:
            self.starting.note(False)
        if Verdict.REACHABLE in verdicts:
            self._quarantine()
        elif silent and not waited \
                or Verdict.STARTING in verdicts and self._leaves_it_time_to_start():
            return None
        elif self.facts.settings.restart_failed and not self.restarted and not self.plan.busy:
            self.restarted = True
            return Restart()
        elif self._somebody_could_take_over():
            self.has_no_heir = False
            database.was_reached(False)
            return self._step_down(Reason('database', 'its database failed: %s' % database.reason,
                                          'fast'))
        elif waited:
            self.out.note('the database failed, and no other node could take over')
            self.has_no_heir = True
            self._inquire()
        return None

    def _inquire(self) -> None:
        self.investigation.inquire(self.facts.own)

    def _leaves_it_time_to_start(self) -> bool:
        """Whether to wait on for a server that is starting up; asked again whether it still is."""
        self.starting.note(True)
        if not self.starting.is_left():
            return False
        if self.facts.reached(self.investigation.asked_at + LOOK_AGAIN_SECONDS):
            self._inquire()
        return True

    def _quarantine(self) -> None:
        self.database.was_reached(True)
        self.has_no_heir = False
        settings = self.facts.settings
        if self.facts.reached(self.investigation.asked_at + max(settings.health_check_period,
                                                                settings.connect_timeout)):
            self._inquire()

    def _somebody_could_take_over(self) -> bool:
        return any(not why_not_eligible(row, self.candidate.view())
                   for row in self.consensus.members.in_touch())

    def was_restarted(self) -> None:
        """A start was tried already for this failure."""
        self.restarted = True

    # -- the successor -------------------------------------------------------------------------

    def _name_successor(self) -> None:
        """Who would win an election now, with positions of one interval's WAL counted as equal."""
        self._measure_wal()
        rows = [row for row in self.consensus.members.in_touch()
                if row.database is DatabaseState.STANDBY and row.streaming is not False
                and row.farewell is Farewell.NONE]
        span = max(self.facts.settings.interval, self.facts.settings.health_check_period)
        winner = best(rows, self.candidate.view(), int(self.wal_rate * span) + 16 * 1024 * 1024)
        successor = winner.sender if winner else None
        if successor != self.successor:
            self.successor = successor
            self.out.report('NOTICE', 'successor', 'the successor is %s' % (
                winner.name if winner else 'nobody: no node is eligible'))

    def _measure_wal(self) -> None:
        database = self.database
        at, lsn = self._wal_seen
        if database.ok_at is None or database.ok_at <= at:
            return
        if lsn and database.lsn >= lsn:
            self.wal_rate = (database.lsn - lsn) / (database.ok_at - at)
        self._wal_seen = (database.ok_at, database.lsn)
