"""Where the local database belongs: to the new primary, or back to the candidates.

A second primary is stopped.  A standby is pointed to the new primary, whether it runs or not.  What
was stopped, and nobody took over from, is started as a standby.
"""

from typing import Any, Optional, Tuple, Union

from ..beacon import Beacon
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..states import DatabaseState, NodeState
from ..wanted import ComeBack, Follow, Reason, Rejoin, StepDown
from .candidate import Candidate
from .checks import Checks
from .database import LocalDatabase
from .election import why_not_eligible
from .force import Force
from .place import PrimaryPlace


class Repoint:
    """Whose standby this database is, and should be."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 place: PrimaryPlace, checks: Checks, force: Force, candidate: Candidate) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.place, self.checks, self.force, self.candidate = place, checks, force, candidate
        # For which (leader, timeline, role) `follow` was begun.
        self.followed_to: Optional[Tuple[int, int, bool]] = None
        self.upstream: Optional[int] = None     # the node whose primary it is known to follow
        self.presumed = False           # only because it streamed when its daemon began
        self.follow_after = facts.now
        self.leaderless_since: Optional[float] = None
        self.handed_over = False        # a switchover stopped the database: to be a standby next

    def decide(self) -> Any:
        """The procedure that puts it where it belongs, if one does; asked while none runs."""
        looks = (self._second_primary, self._follow, self._rejoin)
        for look in looks[:1] if self.database.maintained else looks:
            wanted = look()
            if wanted is not None:
                return wanted
        return None

    def _second_primary(self) -> Optional[StepDown]:
        """A second primary while somebody leads, or may lead: stopped, and quarantined."""
        if self.consensus.leads or self.consensus.steps_down or not self.database.runs_as_primary:
            return None
        leader = self.consensus.leader_row()
        if leader is not None and leader.rightful:
            beside, though = leader.name, '%s leads' % leader.name
        elif self.place.record is not None and self._is_outvoted():
            beside = self.facts.name_of(self.place.record.node)
            though = 'the primary on record is that of %s, and others may lead' % beside
        else:
            return None
        self.out.report('CRITICAL', 'second primary', 'the database here accepts writes though %s: '
                        'stopping it' % though)
        return StepDown(Reason('second primary', 'its database ran as a second primary beside %s'
                               % beside, 'fast'))

    def _is_outvoted(self) -> bool:
        """Whether a majority's rows know a newer primary, and somebody in contact may lead."""
        own, members, view = self.facts.row, self.consensus.members, self.candidate.view()
        return members.has_majority() and own.database is DatabaseState.PRIMARY \
            and not own.rightful and any(
                not why_not_eligible(row, view) for row in members.in_touch())

    def _follow(self) -> Union[None, Follow, ComeBack]:
        """Point the database to the new primary, running or not."""
        database = self.database
        leader = self.consensus.leader_row()
        if self.facts.settings.witness or self.consensus.leads or leader is None \
                or leader.state is not NodeState.LEADER or not leader.rightful \
                or not database.checked or database.runs_as_primary \
                or not self.facts.reached(self.follow_after):
            return None
        wanted = (leader.sender, leader.timeline, database.in_recovery)
        if wanted == self.followed_to or not self._needs_pointing(leader):
            return None
        self.followed_to = wanted
        if self.handed_over and database.stopped:
            return ComeBack(leader.sender)
        return Follow(leader.sender)

    def _needs_pointing(self, leader: Beacon) -> bool:
        """Whether this database is set to follow another primary than the leader's.

        A server that is down gets its settings.  One that streams is left alone, however its
        primary_conninfo spells the host, until the primary moves.
        """
        database = self.database
        if not database.in_recovery:
            return database.failures > 0
        if self._is_set_to(leader.sender):
            self.upstream, self.presumed = leader.sender, False
        elif self.upstream is None and any(
                self._is_set_to(place) for place in range(self.facts.settings.size)):
            return True     # to a node that was the primary before, and may be a standby by now
        elif self.upstream is None and database.streaming:
            self.upstream, self.presumed = leader.sender, True
        if self.upstream is None or (self.presumed and self.upstream == leader.sender):
            return database.streaming is False
        return self.upstream != leader.sender

    def _is_set_to(self, place: int) -> bool:
        settings, answer = self.facts.settings, self.database.answer
        upstream = None if answer is None else answer.upstream
        if upstream is None:
            return False
        return upstream == (settings.host(place), settings.db_port) \
            or bool(settings.vip) and upstream[0] == settings.vip

    def follow_done(self, leader: int) -> None:
        """The database is set to follow the primary of this node."""
        self.upstream, self.presumed, self.handed_over = leader, False, False
        self.checks.soon()

    def follow_failed(self, seconds: float) -> None:
        """Try again after so many seconds."""
        self.followed_to = None
        self.follow_after = self.facts.now + seconds

    def _rejoin(self) -> Optional[Rejoin]:
        """Stepped down healthy, and nobody took over: start the database as a standby."""
        database, members = self.database, self.consensus.members
        if not database.stopped or database.out or self.consensus.leader_row() is not None \
                or not (members.has_majority() or self.force.claims):
            self.leaderless_since = None
            return None
        if self.leaderless_since is None:
            self.leaderless_since = self.facts.now
        if not self.facts.reached(self.leaderless_since + self.facts.settings.wait_for_primary):
            return None
        self.leaderless_since = None
        return Rejoin()

    def hands_over(self, done: bool) -> None:
        """A handover stopped this database: it is to be a standby next; or not any more."""
        self.handed_over = done
