"""Look at the local database, and ask trusted servers, again and again.

Checks begin `health_check_period` apart, start to start.  When the leader is missed the position of
the own database is looked at once more, because that is what the election compares, and again and
again until somebody leads.
"""

from typing import Any, Optional

from ..beacon import IntentKind
from ..consensus.consensus import Consensus
from ..effects import (
    AttachDatabase,
    CheckDatabase,
    FollowPrimary,
    PingTrusted,
    Promote,
    RestartDatabase,
    StartDatabase,
    StopDatabase,
)
from ..events import DatabaseChecked, TrustedPinged
from ..facts import Facts
from ..out import Out
from ..settings import SynchronousMode
from ..states import DatabaseState, NodeState
from .claims import Claims
from .database import LocalDatabase
from .intents import Intents

#: Seconds within which the check child must have ended beyond the connection's own limit.
CHECK_SLACK_SECONDS = 0.5
#: Between checks while a leader waits for this node's position.
QUICK_CHECK_SECONDS = 0.2
#: What this daemon does to its database; also where that failed something may have changed.
CHANGE_DATABASE = (Promote, StopDatabase, StartDatabase, RestartDatabase, FollowPrimary,
                   AttachDatabase)
#: Until a standby that streams again is checked once more: a walreceiver that is refused is gone by
#: then, and not back yet (wal_retrieve_retry_interval, 5 s).
STREAMS_ANEW_SECONDS = 1.0


class Checks:
    """What is looked at all the time."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 claims: Claims, intents: Intents) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.claims, self.intents = claims, intents
        self.token: Optional[int] = None
        self.next_at = facts.now
        self.began_at = float('-inf')       # the newest one
        self.anew = False                   # it replaces one that began before the leader was lost
        self.trusted_token: Optional[int] = None
        self.trusted_at = facts.now

    def decide(self) -> None:
        """Start what is due."""
        if not self.facts.settings.witness:
            self._check_database()
        self._ping_trusted()

    # -- checks --------------------------------------------------------------------------------

    def _check_database(self) -> None:
        if self.database.restarts:
            self._end_check()       # the server is down on purpose
            return
        settings, period = self.facts.settings, self.facts.settings.health_check_period
        stale, lost_at = False, self.consensus.follower.lost_at
        if lost_at is not None and not self.consensus.leads:
            period = min(period, max(0.5, settings.interval / 2))
            stale = self.database.asked_at < lost_at
            if self.token is not None and self.began_at < lost_at and not self.anew:
                # What it finds does not count in an election.
                self._end_check()
                self.anew = True
        elif settings.synchronous_mode is not SynchronousMode.OFF and self.consensus.leads:
            period = min(period, max(0.5, settings.interval / 2))   # commits may wait for the dead
        if self.token is not None or not stale and not self.facts.reached(self._due_at()):
            return
        self.next_at = self.facts.now + period
        self.began_at = began = self.facts.now
        self.token = self.out.ask(CheckDatabase(0, settings.connect_timeout),
                                  lambda event: self._checked(event, began))

    def _due_at(self) -> float:
        if not self.is_position_wanted():
            return self.next_at
        return min(self.next_at, self.began_at + QUICK_CHECK_SECONDS)

    def is_position_wanted(self) -> bool:
        """Whether the position of this database is waited for: asked for, or handed over to."""
        own, leader = self.facts.own, self.consensus.leader_row()
        if self.intents.promotion is not None or leader is None:
            return self.intents.promotion is not None
        if leader.intent is not None and leader.intent.kind is IntentKind.PROMOTE:
            return leader.intent.node == own
        return leader.stepping_down and leader.successor == own

    def soon(self) -> None:
        """Check at once, or again at once where a check is under way."""
        self.next_at = self.facts.now

    def look_anew(self) -> None:
        """What a check that is under way finds may be out of date."""
        self._end_check()
        self.soon()

    def action_ended(self, effect: Any, event: Any) -> None:
        """Where it changed the database, a check that began before found what is out of date (R15).

        A stop that failed changed nothing.  It is tried again at once, so no check would ever end.
        """
        if isinstance(effect, CHANGE_DATABASE) \
                and (event.ok or not isinstance(effect, StopDatabase)):
            self.look_anew()

    def _end_check(self) -> None:
        if self.token is not None:
            self.out.cancel(self.token)
            self.token = None

    def _checked(self, event: DatabaseChecked, began: float) -> None:
        self.token, self.anew = None, False
        before = self.database.state
        self.database.apply(event, began)
        leader = self.consensus.leader_row()
        ok_at = None
        if leader is not None and leader.database is DatabaseState.PRIMARY \
                and leader.ok_age is not None:
            ok_at = self.consensus.members.row_at(leader.sender) - leader.ok_age
        self.database.judge_streaming(self.facts.now, ok_at)
        if self.database.streams_anew:
            self.next_at = min(self.next_at, self.facts.now + STREAMS_ANEW_SECONDS)
        if leader is not None and leader.state is NodeState.TAKING_OVER:
            self.consensus.speaker.answer(leader.sender)     # it may wait for this position
        self.claims.checked(event)
        after = self.database.state
        if after is not before:
            bad = self.database.failures and not self.database.maintained
            self.out.report('WARNING' if bad else 'NOTICE', 'database',
                        'the database is %s%s' % (after.name, ': ' + self.database.reason
                                                  if self.database.reason else ''),
                            cause=self.database.reason)

    def _ping_trusted(self) -> None:
        if not self.consensus.tie_break.is_needed or self.trusted_token is not None \
                or not self.facts.reached(self.trusted_at):
            return
        began = self.facts.now
        self.trusted_at = began + max(0.2, self.facts.settings.interval / 4)
        self.trusted_token = self.out.ask(
            PingTrusted(0, max(1.0, self.facts.settings.interval / 2)),
            lambda event: self._pinged(event, began))

    def _pinged(self, event: TrustedPinged, began: float) -> None:
        self.trusted_token = None
        if event.reached:
            self.consensus.tie_break.reached(began)
