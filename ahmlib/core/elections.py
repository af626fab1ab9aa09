"""Stand, vote, win, lose (ahm_protocol(7), R12 to R24).

An election is due for a node when it owes nobody a promise and the evidence allows it; it says so
in its row.  A node stands only while the newest rows of a majority, its own among them, say that
an election is due for it (the pre-vote that costs no message), so an isolated node never raises
its term and its return disturbs nobody.  A better candidate that could stand is left a moment to
do so.
"""

from typing import Dict, List, Optional, Tuple

from .beacon import Beacon, Due, Farewell, IntentKind, Verdict
from .election import (View, best, finds_due, level_needed, pause_after_losing, rank,
                       sentence, why_not_eligible, why_sync_forbids)
from .quorum import next_own_term
from .record import is_rightful
from .saved import SPENT
from .states import DatabaseState, NodeState
from .timing import CLOCK_RATE_MARGIN, candidacy_seconds

_LEVELS = {Verdict.UNREACHABLE: Due.ANYBODY, Verdict.REACHABLE: Due.FENCER, None: Due.PRIMARY}


class Elections:
    """This node as voter and candidate."""

    def __init__(self, node) -> None:
        self.node = node
        self.due = Due.NOBODY
        self.due_only: Optional[int] = None
        self.stand_until = 0.0              # of the candidacy under way
        self.stand_after = 0.0              # not again before this instant
        self.better_since: Optional[float] = None
        # Until then my vote for another may still be counted by its candidacy.
        self.vote_pending_until = node.now + CLOCK_RATE_MARGIN * node.patience
        self.stood_on: Optional[Verdict] = None     # what was said of the suspect when I stood
        self.stopped_until = 0.0            # until then only another verdict lets me try again
        self.gave_way: Dict[int, Tuple[int, int]] = {}  # by node: with this much it went first
        self.why_not = ''                   # why nobody stands, for people

    # -- what candidates are judged against ----------------------------------------------------

    def view(self) -> View:
        """What eligibility is judged against: where it can be, what the rows say, for all alike."""
        node, record = self.node, self.node.record
        if record is None:
            return View(primary_lsn=self._primary_lsn(), lag_limit=node.settings.lag_limit,
                        named=self._named())
        return View(record.system_id, record.timeline, self._primary_lsn(),
                    node.settings.lag_limit, self._named(), node.name_of(record.node))

    def _primary_lsn(self) -> int:
        """The last position that anybody in contact knows of the primary on record."""
        node = self.node
        if not node.settings.lag_limit:
            return node.primary_lsn
        return max([node.primary_lsn] + [row.primary_lsn for row in node.members.in_touch(node.now)
                                         if row.record == node.record])

    def _named(self) -> Optional[int]:
        """Whom the living node that resigned last names."""
        node = self.node
        named = [(row.term, row.successor) for row in node.members.living(node.now)
                 if row.successor is not None and not row.leads]
        if node.successor is not None and not node.is_leading:
            named.append((node.term, node.successor))
        return max(named)[1] if named else None

    # -- half votes ----------------------------------------------------------------------------

    def is_half_isolated(self) -> bool:
        """A half that reaches no trusted server counts as isolated."""
        node, lease = self.node, self.node.leadership.lease
        if not lease.halves or not node.settings.trusted:
            return False
        if len(node.members.in_touch(node.now)) + 1 > node.settings.size // 2:
            return False
        reached = node.leadership.trusted_at
        if reached is None or node.now >= reached + lease.seconds:
            return True
        # The other half may lead on a server that it reached an interval after its newest row here.
        rests = node.promise.until + CLOCK_RATE_MARGIN * node.settings.interval
        return node.promise.leader is not None and reached < rests

    def listening_since(self) -> float:
        """Since when this node would have heard others: its start, or the end of its isolation."""
        node = self.node
        reached = node.leadership.trusted_since if node.settings.trusted else node.started_at
        return max(node.started_at, node.now if reached is None else reached)

    # -- what the row says ---------------------------------------------------------------------

    def judge(self) -> None:
        """Find out for whom an election is due."""
        node = self.node
        self.due, self.due_only = Due.NOBODY, None
        if not node.free_to_elect:
            return
        if node.promise.holds(node.now):
            if node.follower.free_for is None:
                return
            self.due_only = node.follower.free_for
        if any(row.leads and row.term >= node.term
               for row in node.members.living(node.now)):
            self.due_only = None
            return
        self.due = self._level()

    def _level(self) -> Due:
        node = self.node
        if not node.followed and not any(
                row.followed for row in node.members.in_touch(node.now)):
            return node.operator.promotion.level()
        return _LEVELS[self._weigh()]

    def _weigh(self) -> Optional[Verdict]:
        """What is said of the old primary; not known while another one runs: that goes first."""
        if self.node.investigation.second_primary() is not None:
            return None
        return self.node.investigation.weigh(strict=self.node.leadership.lease.halves)

    # -- deciding ------------------------------------------------------------------------------

    def decide(self) -> None:
        """Vote, count, stand, yield."""
        node = self.node
        self.judge()
        if node.state is NodeState.STAND_FOR_LEADER:
            self._count()
        if node.state is not NodeState.STAND_FOR_LEADER and not node.is_leading:
            self._vote()
        if node.state is not NodeState.STAND_FOR_LEADER and not node.is_leading:
            self._maybe_stand()

    # -- voting --------------------------------------------------------------------------------

    def _vote(self) -> None:
        node = self.node
        candidates = [row for row in node.members.in_touch(node.now)
                      if row.state is NodeState.STAND_FOR_LEADER and self._deserves(row)]
        if not candidates:
            return
        row = max(candidates, key=lambda row: (rank(row, node.view), row.term))
        node.term, node.voted_for, node.leader = row.term, row.sender, None
        self.vote_pending_until = node.now + CLOCK_RATE_MARGIN * candidacy_seconds(row.interval)
        self.stand_after = max(self.stand_after, node.now + 2 * node.patience)
        node.report('INFO', 'vote', 'voted for %s in term %d' % (row.name, row.term))

    def _deserves(self, row: Beacon) -> bool:
        """Whether this candidate gets my vote."""
        node = self.node
        if row.term <= node.term or not node.may_vote_for(row.sender):
            return False
        own = node.own_row()
        if not finds_due(own, row.sender, level_needed(row, node.suspect)):
            return False
        if row.forced and row.intent is not None and row.intent.kind is IntentKind.FORCE:
            return True     # the operator's word in place of what follows
        if why_not_eligible(row, node.view) or not self._position_counts(row):
            return False
        if row.database is DatabaseState.PRIMARY \
                and not is_rightful(row.sender, row.timeline, row.system_id, [own]):
            return False
        if why_not_eligible(own, node.view) or not self._position_counts(own) \
                or not self._could_win(own):
            return True     # as a witness: who cannot replace a candidate must not block it
        return rank(row, node.view) >= rank(own, node.view)

    def _could_win(self, own: Beacon) -> bool:
        node = self.node
        agree = [row for row in node.contact_rows() if self.agrees(row, own)]
        return len(agree) >= node.votes_needed and node.now >= self.stopped_until

    def _position_counts(self, row: Beacon) -> bool:
        return row.fresh or row.database is DatabaseState.PRIMARY

    # -- standing ------------------------------------------------------------------------------

    def _maybe_stand(self) -> None:
        node = self.node
        self.why_not = self._why_not_stand()
        if self.why_not:
            self.better_since = None
            return
        if node.now < self.stand_after or (not node.force.claims and self._waits_for_better()):
            return
        self._stand()

    def _why_not_stand(self) -> str:
        """Why this node does not stand; '' where it may."""
        node, own = self.node, self.node.own_row()
        level = level_needed(own, node.suspect)
        if not finds_due(own, own.sender, level):
            return 'no election is due for it'
        if node.vip.here and not node.database.runs_as_primary:
            return 'the VIP is still on this host'
        if node.force.claims:
            return node.force.why_not_stand()
        why = why_not_eligible(own, node.view)
        if not why and not self._position_counts(own):
            why = 'its position is not known since the leader was lost'
        rows = node.contact_rows()
        if node.leadership.lease.halves and len(rows) <= node.settings.size // 2 \
                and node.now < self.listening_since() + node.timing.hold:
            why = why or 'has not listened long enough to know that the other half is silent'
        why = why or self.why_stale(own)
        why = why or self.why_claim_forbids(own)
        if why:
            return why
        if node.now < self.stopped_until and self._weigh() in (None, self.stood_on):
            return 'its last takeover was stopped, and nothing has changed since'
        agree = [row for row in rows if self.agrees(row, own)]
        if len(agree) < node.votes_needed:
            return node.force.lost or 'only %d of the %d nodes that are needed find an election ' \
                'due' % (len(agree), node.votes_needed)
        return ''

    def why_stale(self, own: Beacon) -> str:
        """Why this database is older than a primary that this node never followed; '' if not.

        It holds nothing of that primary's timeline, and does not know which standbys confirmed
        what was committed there.
        """
        record = self.node.record
        if own.database is DatabaseState.PRIMARY or record is None \
                or own.timeline >= record.timeline or self.node.seen_timeline >= record.timeline:
            return ''
        return 'is on timeline %d and never followed %s, the primary on record on timeline %d' % (
            own.timeline, self.node.name_of(record.node), record.timeline)

    def why_claim_forbids(self, own: Beacon) -> str:
        """Why this database might lack what a synchronous standby confirmed; '' if not."""
        rows = self.node.contact_rows()
        return why_sync_forbids(own, rows, self.node.view, [row for row in rows if row.fresh])

    def agrees(self, row: Beacon, own: Beacon) -> bool:
        """Whether this row finds an election due for me, as its sender judges it.

        Its sender may suspect another primary than I do: then it is due for me as for anybody.
        """
        suspect = self.node.suspect if row.evidence is None else row.evidence.about
        return finds_due(row, own.sender, level_needed(own, suspect))

    def _waits_for_better(self) -> bool:
        """Leave a better candidate a moment to find the election due, to look, and to stand.

        One that has not looked at its position since the loss may be the better one, too.
        """
        node, view = self.node, self.node.view
        rows = [row for row in node.contact_rows()
                if row.farewell is Farewell.NONE and not row.leads]
        better = best(rows, view)
        if better is None or better.sender == node.own and (
                better.database is DatabaseState.PRIMARY
                or all(self._position_counts(row) or why_not_eligible(row, view)
                       for row in rows)):
            self.better_since = None
            return False
        if self.better_since is None:
            self.better_since = node.now
        return node.now < self.better_since + 2 * node.patience

    def _stand(self) -> None:
        node = self.node
        terms = [row.term for row in node.members.all_rows()] + [node.term]
        node.term = next_own_term(max(terms), node.own, node.settings.size)
        node.voted_for, node.leader = node.own, None
        self.stand_until = node.now + node.patience
        self.better_since, self.stood_on = None, self._weigh()
        node.become(NodeState.STAND_FOR_LEADER, 'stands for leader in term %d' % node.term)
        self._count()

    def has_vote_pending(self, leader: int) -> bool:
        """Whether my vote for another than this leader may still elect that one.

        To acknowledge a leader after having voted for another would give both what they need: the
        voters of the one and the acknowledgers of the other share this node alone.
        """
        node = self.node
        return (node.voted_for not in (None, SPENT, node.own, leader)
                and node.now < self.vote_pending_until)

    def _count(self) -> None:
        """Count the votes of my candidacy; win, go on, yield or lose."""
        node = self.node
        if node.now >= self.stand_until or not node.free_to_elect:
            self._lose('was not elected in term %d' % node.term)
            return
        own = node.own_row()
        if level_needed(own, node.suspect) > Due.FENCER and self._weigh() is Verdict.REACHABLE:
            self._lose('the old primary answers again')
            return
        voters = [row for row in node.members.in_touch(node.now)
                  if row.term == node.term and row.voted_for == node.own]
        needed = node.force.votes_needed() if node.force.claims else node.votes_needed
        if len(voters) + 1 >= needed:
            why = '' if node.force.claims else self.why_claim_forbids(own)
            if why:
                self._lose('is not elected: %s' % why)
            else:
                node.leadership.begin(len(voters) + 1)
            return
        rivals = [row for row in node.members.in_touch(node.now)
                  if row.state is NodeState.STAND_FOR_LEADER and row.term > node.term]
        if not node.force.claims and any(
                rank(row, node.view) > rank(own, node.view) for row in rivals):
            self._lose('yields to a better candidate')
        elif rivals:
            self._lose('was not elected in term %d' % node.term)

    def _lose(self, why: str) -> None:
        node = self.node
        wait = pause_after_losing(node.settings.name, node.term, node.patience)
        self.stand_after = node.now + wait
        node.become(NodeState.PARTICIPATE_IN_ELECTION, why)

    def describe(self) -> Tuple[NodeState, str]:
        """The node state of a node in contact with a majority, while nobody leads."""
        node = self.node
        rows = node.contact_rows()
        able = [row for row in rows if not why_not_eligible(row, node.view)
                and max(other.due for other in rows) >= level_needed(row, node.suspect)]
        if able and self.due > Due.NOBODY:
            return NodeState.PARTICIPATE_IN_ELECTION, 'an election is due'
        if node.now < (node.lost_at or 0.0) + node.settings.wait_for_primary \
                or node.promise.holds(node.now):
            return NodeState.WAITING_FOR_LEADER_FORMATION, 'nobody leads yet'
        return NodeState.IN_RESOURCE_LIMITATION, 'no node may lead: %s' % self.reasons(rows)

    def reasons(self, rows: List[Beacon]) -> str:
        """Why none of these leads, node by node."""
        waits = 'waits for evidence against the old primary'
        if not any(row.followed for row in rows):
            waits = 'has not followed a leader since its start, so it is not promoted by itself'
        return '; '.join(sentence(row.name, why_not_eligible(row, self.node.view) or waits)
                         for row in rows)

    # -- after a takeover that was stopped -----------------------------------------------------

    def stopped(self, seconds: float) -> None:
        """My takeover was stopped: not again before a verdict changes, or so many seconds pass."""
        wait = pause_after_losing(self.node.settings.name, self.node.term, self.node.patience)
        self.stand_after = self.node.now + wait
        self.stopped_until = self.node.now + seconds

    def gave_way_to(self, row: Beacon) -> bool:
        """Whether my takeover was stopped once for this better one, which had as much then."""
        return self.gave_way.get(row.sender) == (row.timeline, row.lsn)

    def give_way_to(self, rows: List[Beacon]) -> None:
        """My takeover is stopped for these: once, for theirs may be stopped every time."""
        self.gave_way.update((row.sender, (row.timeline, row.lsn)) for row in rows)

    def deadlines(self) -> List[float]:
        """When a candidacy, a wait or a courtesy ends."""
        found = [self.stand_until, self.stand_after, self.stopped_until, self.vote_pending_until,
                 self.listening_since() + self.node.timing.hold]
        if self.better_since is not None:
            found.append(self.better_since + 2 * self.node.patience)
        return found
