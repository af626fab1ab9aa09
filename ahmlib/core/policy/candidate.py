"""What this node wishes of an election (ahm_protocol(7), R12 to R24).

Who is fit to lead, who is better, and what the evidence allows: consensus is told of it, and counts
the votes.  A better candidate that could stand is left a moment to do so.
"""

from typing import Dict, FrozenSet, List, Optional, Sequence, Tuple

from ..beacon import Beacon, Due, Farewell, IntentKind, Verdict
from ..consensus.consensus import Consensus
from ..consensus.wish import Wish
from ..facts import Facts
from ..states import DatabaseState, NodeState, Role
from .database import LocalDatabase
from .election import (
    View,
    best,
    finds_due,
    level_needed,
    rank,
    sentence,
    why_not_eligible,
    why_sync_forbids,
)
from .evidence import Investigation
from .force import Force
from .pause import Paused
from .place import PrimaryPlace
from .record import is_rightful, primaries
from .vip import Vip

_LEVELS = {Verdict.UNREACHABLE: Due.ANYBODY, Verdict.REACHABLE: Due.FENCER, None: Due.PRIMARY}


class Candidate:
    """This node's database, and those of others, as candidates."""

    def __init__(self, facts: Facts, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, place: PrimaryPlace, force: Force, investigation: Investigation,
                 vip: Vip) -> None:
        self.paused = paused
        self.facts, self.consensus, self.database, self.place = facts, consensus, database, place
        self.force, self.investigation, self.vip = force, investigation, vip
        self.better_since: Optional[float] = None
        self.stood_on: Optional[Verdict] = None     # what was said of the suspect when I stood
        self.stopped_until = 0.0            # until then only another verdict lets me try again
        self.gave_way: Dict[int, Tuple[int, int]] = {}  # by node: with this much it went first

    # -- what candidates are judged against ----------------------------------------------------

    def view(self) -> View:
        """What eligibility is judged against: where it can be, what the rows say, for all alike."""
        record = self.place.record
        if record is None:
            return View(primary_lsn=self._primary_lsn(), lag_limit=self.facts.settings.lag_limit,
                        named=self._named())
        return View(record.system_id, record.timeline, self._primary_lsn(),
                    self.facts.settings.lag_limit, self._named(), self.facts.name_of(record.node))

    def _primary_lsn(self) -> int:
        """The last position that anybody in contact knows of the primary on record."""
        if not self.facts.settings.lag_limit:
            return self.place.lsn
        return max([self.place.lsn] + [row.primary_lsn for row in self.consensus.members.in_touch()
                                         if row.record == self.place.record])

    def _named(self) -> Optional[int]:
        """Whom the living node that resigned last names."""
        named = [(row.term, row.successor) for row in self.consensus.members.living()
                 if row.successor is not None and not row.leads]
        if self.place.handed_to is not None and not self.consensus.leads:
            named.append((self.consensus.term, self.place.handed_to))
        return max(named)[1] if named else None

    # -- the wish ------------------------------------------------------------------------------

    def wish(self) -> Wish:
        """What consensus is told before each of its steps."""
        forced = self.force.claims
        if self.consensus.leads or self.consensus.steps_down:
            return Wish(abstains=True)
        idle = Wish(abstains=self.consensus.state is NodeState.INITIALIZING, forced=forced)
        standing = self.consensus.role is Role.STANDS
        if not standing and not self.consensus.contest.is_open(idle):
            self.better_since = None
            return idle
        return self._weighed(idle, standing)

    def _weighed(self, idle: Wish, standing: bool) -> Wish:
        """What is wished while an election may be due."""
        due, due_for = self.paused.limit(*self._due())
        # As consensus is about to judge: who finds an election due now may do better at once.
        own = self.facts.row._replace(due=due, due_only=self.consensus.contest.only_for(due_for))
        level = level_needed(own, self.place.suspect)
        in_touch = self.consensus.members.in_touch()
        agree = frozenset(row.sender for row in in_touch if self.agrees(row, own))
        rivals = [row for row in in_touch if row.role is Role.STANDS]
        why_not = self._why_not(own, agree) if due >= level else ''
        return idle._replace(
            due=due, due_for=due_for, holds_role=self.vip.here is not False,
            acceptable=self._acceptable(rivals, own), level=level, agree=agree,
            why_not=why_not or self._why_too_few(agree),
            waits=not idle.forced and self._waits_for_better(),
            withdraws=self._why_withdraw(level) if standing else '',
            forbidden='' if idle.forced else self.why_claim_forbids(own),
            outranked_by=self._better(rivals, own) if standing else frozenset())

    def _due(self) -> Tuple[Due, Optional[int]]:
        """For whom an election is due, as far as the old primary is concerned."""
        in_touch = self.consensus.members.in_touch()
        if not self.consensus.follower.followed and (
                self.paused.moved or not any(row.followed for row in in_touch)):
            return self._due_at_first()
        return _LEVELS[self._weigh()], None

    def _due_at_first(self) -> Tuple[Due, Optional[int]]:
        """How due an election is where nobody has followed a leader: for the wanted one only."""
        rows = self.consensus.contact_rows()
        wanted = [(row.intent.kind is not IntentKind.FORCE, row.sender) for row in rows
                  if row.intent is not None and row.intent.kind is not IntentKind.SHUTDOWN
                  and row.intent.node == row.sender]
        if not wanted or primaries(rows):
            return Due.PRIMARY, None
        chosen = min(wanted)[1]     # all choose the same one
        if self.place.suspect is None:
            return Due.ANYBODY, chosen      # nothing was ever on record: there is no old primary
        return _LEVELS[self.investigation.weigh()], chosen

    def _weigh(self) -> Optional[Verdict]:
        """What is said of the old primary; not known while another one runs: that goes first."""
        if self.investigation.second_primary() is not None:
            return None
        return self.investigation.weigh(strict=self.consensus.tie_break.halves)

    def _better(self, rivals: List[Beacon], own: Beacon) -> FrozenSet[int]:
        view = self.view()
        return frozenset(row.sender for row in rivals if rank(row, view) > rank(own, view))

    def _why_withdraw(self, level: Due) -> str:
        return 'the old primary answers again' \
            if level > Due.FENCER and self._weigh() is Verdict.REACHABLE else ''

    # -- others --------------------------------------------------------------------------------

    def _acceptable(self, rivals: List[Beacon], own: Beacon) -> Tuple[Tuple[int, Due], ...]:
        """Those of these candidates that deserve a vote, the best first."""
        view = self.view()
        found = sorted((row for row in rivals if self._deserves(row, own)), reverse=True,
                       key=lambda row: (rank(row, view), row.term))
        return tuple((row.sender, level_needed(row, self.place.suspect)) for row in found)

    def _deserves(self, row: Beacon, own: Beacon) -> bool:
        """Whether nothing is held against this candidate, and this node could not do better."""
        if row.forced and row.intent is not None and row.intent.kind is IntentKind.FORCE:
            return True     # the operator's word in place of what follows
        if why_not_eligible(row, self.view()) or not self._position_counts(row):
            return False
        if row.database is DatabaseState.PRIMARY \
                and not is_rightful(row.sender, row.timeline, row.system_id, [own]):
            return False
        if why_not_eligible(own, self.view()) or not self._position_counts(own) \
                or not self._could_win(own):
            return True     # as a witness: who cannot replace a candidate must not block it
        return rank(row, self.view()) >= rank(own, self.view())

    def _could_win(self, own: Beacon) -> bool:
        rows = [own] + self.consensus.members.in_touch()
        agree = [row for row in rows if self.agrees(row, own)]
        return len(agree) >= self.facts.votes_needed and self.facts.reached(self.stopped_until)

    def _position_counts(self, row: Beacon) -> bool:
        return row.fresh or row.database is DatabaseState.PRIMARY

    # -- this node -----------------------------------------------------------------------------

    def _why_not(self, own: Beacon, agree: FrozenSet[int]) -> str:
        """Why this node does not stand, where an election is due for it; '' where it may."""
        if self.vip.here and not self.database.runs_as_primary:
            return 'the VIP is still on this host'
        if self.force.claims:
            return self.force.why_not_stand(agree)
        why = why_not_eligible(own, self.view())
        if not why and not self._position_counts(own):
            why = 'its position is not known since the leader was lost'
        why = why or self.why_stale(own) or self.why_claim_forbids(own)
        if why:
            return why
        if not self.facts.reached(self.stopped_until) \
                and self._weigh() in (None, self.stood_on):
            return 'its last takeover was stopped, and nothing has changed since'
        return ''

    def _why_too_few(self, agree: FrozenSet[int]) -> str:
        """A reign of which nothing is left says that instead of counting."""
        return self.force.lost if 1 + len(agree) < self.facts.votes_needed else ''

    def why_stale(self, own: Beacon) -> str:
        """Why this database is older than a primary that this node never followed; '' if not.

        It holds nothing of that primary's timeline, and does not know which standbys confirmed
        what was committed there.
        """
        record = self.place.record
        if own.database is DatabaseState.PRIMARY or record is None \
                or own.timeline >= record.timeline or self.place.seen_timeline >= record.timeline:
            return ''
        return 'is on timeline %d and never followed %s, the primary on record on timeline %d' % (
            own.timeline, self.facts.name_of(record.node), record.timeline)

    def why_claim_forbids(self, own: Beacon) -> str:
        """Why this database might lack what a synchronous standby confirmed; '' if not."""
        rows = self.consensus.contact_rows()
        return why_sync_forbids(own, rows, self.view(), [row for row in rows if row.fresh])

    def agrees(self, row: Beacon, own: Beacon) -> bool:
        """Whether this row finds an election due for me, as its sender judges it.

        Its sender may suspect another primary than I do: then it is due for me as for anybody.
        """
        suspect = self.place.suspect if row.evidence is None else row.evidence.about
        return finds_due(row, own.sender, level_needed(own, suspect))

    def _waits_for_better(self) -> bool:
        """Leave a better candidate a moment to find the election due, to look, and to stand.

        One that has not looked at its position since the loss may be the better one, too.  The
        moment begins when nothing else keeps this node from standing, and goes on while it pauses.
        """
        view = self.view()
        rows = [row for row in self.consensus.contact_rows()
                if row.farewell is Farewell.NONE and not row.leads]
        better = best(rows, view)
        if better is None or better.sender == self.facts.own and (
                better.database is DatabaseState.PRIMARY
                or all(self._position_counts(row) or why_not_eligible(row, view)
                       for row in rows)):
            self.better_since = None
            return False
        if not self.consensus.contest.ready:
            if self.consensus.contest.why_not:
                self.better_since = None
            return True
        if self.better_since is None:
            self.better_since = self.facts.now
        return not self.facts.reached(self.better_since + 2 * self.facts.patience)

    def stood(self) -> None:
        """This node stands, on what is said of the old primary now."""
        self.better_since, self.stood_on = None, self._weigh()

    # -- for people ----------------------------------------------------------------------------

    def describe(self) -> Tuple[NodeState, str]:
        """The node state of a node in contact with a majority, while nobody leads."""
        rows = self.consensus.contact_rows()
        able = [row for row in rows if not why_not_eligible(row, self.view())
                and max(other.due for other in rows) >= level_needed(row, self.place.suspect)]
        if able and self.consensus.contest.due > Due.NOBODY:
            return NodeState.PARTICIPATE_IN_ELECTION, 'an election is due'
        since = self.consensus.follower.lost_at or 0.0
        if not self.facts.reached(since + self.facts.settings.wait_for_primary) \
                or self.consensus.promise.holds():
            return NodeState.WAITING_FOR_LEADER_FORMATION, 'nobody leads yet'
        return NodeState.IN_RESOURCE_LIMITATION, 'no node may lead: %s' % self.reasons(rows)

    def reasons(self, rows: List[Beacon]) -> str:
        """Why none of these leads, node by node."""
        waits = 'waits for evidence against the old primary'
        if not any(row.followed for row in rows):
            waits = 'has not followed a leader since its start, so it is not promoted by itself'
        return '; '.join(sentence(row.name, why_not_eligible(row, self.view()) or waits)
                         for row in rows)

    # -- after a takeover that was stopped -----------------------------------------------------

    def stopped(self, seconds: float) -> None:
        """My takeover was stopped: not again before a verdict changes, or so many seconds pass."""
        self.stopped_until = self.facts.now + seconds

    def followed(self, leader: Beacon) -> None:
        """I follow it.  If it is stopped like me, and has less, nothing keeps me from going next.

        What stopped me may be over: else the one with less would be promoted beside me.
        """
        own = self.facts.row
        if leader.database is DatabaseState.STANDBY \
                and (leader.timeline, leader.lsn) < (own.timeline, own.lsn):
            self.stopped_until = 0.0

    def ahead(self, rows: Sequence[Beacon]) -> List[Beacon]:
        """The standbys among these that may lead, have more data, and were not given their turn.
        """
        own, view = self.facts.row, self.view()
        return [row for row in rows if row.database is DatabaseState.STANDBY
                and (row.timeline, row.lsn) > (own.timeline, own.lsn)
                and not why_not_eligible(row, view)
                and self.gave_way.get(row.sender) != (row.timeline, row.lsn)]

    def give_way_to(self, rows: Sequence[Beacon]) -> None:
        """My takeover is stopped for these: once, for theirs may be stopped every time."""
        self.gave_way.update((row.sender, (row.timeline, row.lsn)) for row in rows)
