"""What every node does all the time: check its database, ask trusted servers, mind its place.

Checks begin `health_check_period` apart, start to start.  When the leader is missed the position of
the own database is looked at once more, because that is what the election compares, and again and
again until somebody leads.
"""

from typing import Any, List, Optional

from .effects import (AttachDatabase, CheckDatabase, FollowPrimary, PingTrusted, Promote,
                      StartDatabase, StopDatabase)
from .election import why_not_eligible
from .procedures.follow import come_back, follow
from .procedures.rejoin import rejoin
from .procedures.step_down import Reason, step_down
from .states import DatabaseState, NodeState

#: Seconds within which the check child must have ended beyond the connection's own limit.
CHECK_SLACK_SECONDS = 0.5
#: Between checks while a leader waits for this node's position.
QUICK_CHECK_SECONDS = 0.2
#: What this daemon does to its database; also where that failed something may have changed.
CHANGE_DATABASE = (Promote, StopDatabase, StartDatabase, FollowPrimary, AttachDatabase)
#: Until a standby that streams again is checked once more: a walreceiver that is refused is gone by
#: then, and not back yet (wal_retrieve_retry_interval, 5 s).
STREAMS_ANEW_SECONDS = 1.0


class Chores:
    """The routine of this node."""

    def __init__(self, node) -> None:
        self.node = node
        self.check_token: Optional[int] = None
        self.check_at = node.now
        self.check_began = float('-inf')    # the newest one
        self.checks_anew = False        # it replaces one that began before the leader was lost
        self.trusted_token: Optional[int] = None
        self.trusted_at = node.now
        self.followed_to = None         # for which (leader, timeline, role) `follow` was begun
        self.upstream: Optional[int] = None     # the node whose primary it is known to follow
        self.presumed = False           # only because it streamed when its daemon began
        self.follow_after = node.now
        self.leaderless_since: Optional[float] = None
        self.handed_over = False        # a switchover stopped the database: to be a standby next

    def decide(self) -> None:
        """Start what is due."""
        self._check_database()
        self._ping_trusted()
        if not self.node.plan.busy and not self.node.leaving:
            self._maybe_quarantine()
        if not self.node.plan.busy and not self.node.leaving:
            self._maybe_follow()
        if not self.node.plan.busy and not self.node.leaving:
            self._maybe_rejoin()

    # -- checks --------------------------------------------------------------------------------

    def _check_database(self) -> None:
        node = self.node
        if node.settings.witness:
            return
        if node.misses_leader and self.check_began < node.lost_at and not self.checks_anew \
                and self.check_token is not None:
            # What it finds does not count in an election.
            self._end_check()
            self.checks_anew = True
        stale = node.misses_leader and node.database.asked_at < node.lost_at
        if self.check_token is not None or node.now < self._check_due_at() and not stale:
            return
        period = node.settings.health_check_period
        if node.misses_leader:
            period = min(period, max(0.5, node.settings.interval / 2))
        self.check_at = node.now + period
        self.check_began = began = node.now
        self.check_token = node.ask(CheckDatabase(0, node.settings.connect_timeout),
                                    lambda event: self._checked(event, began))

    def _check_due_at(self) -> float:
        if not self.node.operator.promotion.wants_position:
            return self.check_at
        return min(self.check_at, self.check_began + QUICK_CHECK_SECONDS)

    def check_soon(self) -> None:
        """Check at once, or again at once where a check is under way."""
        self.check_at = self.node.now

    def action_ended(self, effect: Any, event: Any) -> None:
        """Where it changed the database, a check that began before found what is out of date (R15).

        A stop that failed changed nothing.  It is tried again at once, so no check would ever end.
        """
        if isinstance(effect, CHANGE_DATABASE) \
                and (event.ok or not isinstance(effect, StopDatabase)):
            self._end_check()
            self.check_soon()

    def _end_check(self) -> None:
        if self.check_token is not None:
            self.node.cancel(self.check_token)
            self.check_token = None

    def _checked(self, event, began: float) -> None:
        self.check_token, self.checks_anew = None, False
        node = self.node
        before = node.database.state
        node.database.apply(event, began)
        leader = node.leader_row()
        ok_at = None
        if leader is not None and leader.database is DatabaseState.PRIMARY \
                and leader.ok_age is not None:
            ok_at = node.members.peers[leader.sender].row_at - leader.ok_age
        node.database.judge_streaming(node.now, ok_at)
        if node.database.streams_anew:
            self.check_at = min(self.check_at, node.now + STREAMS_ANEW_SECONDS)
        if leader is not None and leader.state is NodeState.TAKING_OVER:
            node.speaker.answers.add(leader.sender)     # it may wait for this position
        node.claims.checked(event)
        after = node.database.state
        if after is not before:
            node.report('WARNING' if node.database.failures else 'NOTICE', 'database',
                        'the database is %s%s' % (after.name, ': ' + node.database.reason
                                                  if node.database.reason else ''))

    def _ping_trusted(self) -> None:
        node = self.node
        if not node.leadership.lease.halves or not node.settings.trusted \
                or self.trusted_token is not None or node.now < self.trusted_at:
            return
        began = node.now
        self.trusted_at = began + max(0.2, node.settings.interval / 4)
        self.trusted_token = node.ask(
            PingTrusted(0, max(1.0, node.settings.interval / 2)),
            lambda event: self._pinged(event, began))

    def _pinged(self, event, began: float) -> None:
        self.trusted_token = None
        if event.reached:
            self.node.leadership.trusted(began)

    # -- procedures that start by themselves ---------------------------------------------------

    def _maybe_quarantine(self) -> None:
        """A second primary while somebody leads, or may lead: stopped, and quarantined."""
        node = self.node
        if node.is_leading or node.stepping_down or not node.database.runs_as_primary:
            return
        leader = node.leader_row()
        if leader is not None and leader.rightful:
            beside, though = leader.name, '%s leads' % leader.name
        elif node.record is not None and self._is_outvoted():
            beside = node.name_of(node.record.node)
            though = 'the primary on record is that of %s, and others may lead' % beside
        else:
            return
        node.report('CRITICAL', 'second primary', 'the database here accepts writes though %s: '
                    'stopping it' % though)
        node.plan.start('step down', step_down(node, Reason(
            'second primary', 'its database ran as a second primary beside %s' % beside,
            'fast')), node.now)

    def _is_outvoted(self) -> bool:
        """Whether a majority's rows know a newer primary, and somebody in contact may lead."""
        node, own = self.node, self.node.own_row()
        return node.has_majority() and own.database is DatabaseState.PRIMARY \
            and not own.rightful and any(
                not why_not_eligible(row, node.view) for row in node.members.in_touch(node.now))

    def _maybe_follow(self) -> None:
        """Point the database to the new primary, running or not."""
        node, database = self.node, self.node.database
        leader = node.leader_row()
        if node.settings.witness or node.is_leading or leader is None \
                or leader.state is not NodeState.LEADER or not leader.rightful \
                or not database.checked or database.runs_as_primary \
                or node.now < self.follow_after:
            return
        wanted = (leader.sender, leader.timeline, database.in_recovery)
        if wanted != self.followed_to and self._needs_pointing(leader):
            self.followed_to = wanted
            steps = come_back if self.handed_over and database.stopped else follow
            node.plan.start('follow', steps(node, leader.sender), node.now)

    def _needs_pointing(self, leader) -> bool:
        """Whether this database is set to follow another primary than the leader's.

        A server that is down gets its settings.  One that streams is left alone, however its
        primary_conninfo spells the host, until the primary moves.
        """
        database = self.node.database
        if not database.in_recovery:
            return database.failures > 0
        if self._is_set_to(leader.sender):
            self.upstream, self.presumed = leader.sender, False
        elif self.upstream is None and any(
                self._is_set_to(place) for place in range(self.node.settings.size)):
            return True     # to a node that was the primary before, and may be a standby by now
        elif self.upstream is None and database.streaming:
            self.upstream, self.presumed = leader.sender, True
        if self.upstream is None or (self.presumed and self.upstream == leader.sender):
            return database.streaming is False
        return self.upstream != leader.sender

    def _is_set_to(self, place: int) -> bool:
        settings, upstream = self.node.settings, self.node.database.answer.upstream
        if upstream is None:
            return False
        return upstream == (settings.host(place), settings.db_port) \
            or bool(settings.vip) and upstream[0] == settings.vip

    def follow_done(self, leader: int) -> None:
        """The database is set to follow the primary of this node."""
        self.upstream, self.presumed, self.handed_over = leader, False, False
        self.check_soon()

    def follow_failed(self, seconds: float) -> None:
        """Try again after so many seconds."""
        self.followed_to = None
        self.follow_after = self.node.now + seconds

    def _maybe_rejoin(self) -> None:
        """Stepped down healthy, and nobody took over: start the database as a standby."""
        node = self.node
        if not node.database.stopped or node.database.out or node.leader_row() is not None \
                or not (node.has_majority() or node.force.claims):
            self.leaderless_since = None
            return
        if self.leaderless_since is None:
            self.leaderless_since = node.now
        elif node.now >= self.leaderless_since + node.settings.wait_for_primary:
            self.leaderless_since = None
            node.plan.start('rejoin', rejoin(node), node.now)

    def rejoin_now(self) -> None:
        """Do not wait any longer for somebody to take over."""
        self.node.plan.start('rejoin', rejoin(self.node), self.node.now)

    def deadlines(self) -> List[float]:
        """When the next check or wait is due."""
        found = [self._check_due_at(), self.trusted_at, self.follow_after]
        if self.leaderless_since is not None:
            found.append(self.leaderless_since + self.node.settings.wait_for_primary)
        return found
