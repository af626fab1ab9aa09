"""Vote, stand, count (ahm_protocol(7), R12 to R24).

An election is due for a node when it owes nobody a promise and the evidence allows it; it says so
in its row.  A node stands only while the newest rows of a majority, its own among them, say that
an election is due for it (the pre-vote that costs no message), so an isolated node never raises
its term and its return disturbs nobody.
"""

from typing import List, Optional

from ..beacon import Beacon, Due, Farewell
from ..facts import Facts
from ..out import Out
from ..states import Role
from .ballot import Ballot
from .follower import Follower
from .membership import Membership
from .promise import Promise
from .quorum import next_own_term
from .speaking import Speaker
from .tenure import Tenure
from .tie_break import TieBreak
from .timing import candidacy_seconds
from .wish import Wish


class Contest:
    """This node as voter and candidate."""

    def __init__(self, facts: Facts, out: Out, members: Membership, ballot: Ballot,
                 promise: Promise, tie_break: TieBreak, follower: Follower,
                 tenure: Tenure, speaker: Speaker) -> None:
        self.facts, self.out, self.members, self.ballot = facts, out, members, ballot
        self.promise, self.tie_break, self.tenure = promise, tie_break, tenure
        self.follower, self.speaker = follower, speaker
        self.due = Due.NOBODY
        self.due_only: Optional[int] = None
        # Of the candidacy under way; None until a row has told of it.
        self.stand_until: Optional[float] = None
        self.stand_after = 0.0              # not again before this instant
        self.why_not = ''                   # why this node does not stand, for people
        self.ready = False                  # it would, were there not a better one

    # -- for whom an election is due -----------------------------------------------------------

    def is_free(self, wish: Wish) -> bool:
        """Whether this node takes part in elections at all now."""
        if self.promise.blind or wish.abstains \
                or self.ballot.role not in (Role.FOLLOWS, Role.STANDS):
            return False
        return wish.forced or not self.tie_break.is_isolated() \
            or any(row.forced for row in self.members.in_touch())

    def is_open(self, wish: Wish) -> bool:
        """Whether an election may be due here, as far as promises go and leaders are heard."""
        return self.is_free(wish) \
            and (self.promise.free_for is not None or not self.promise.holds()) \
            and not any(row.leads and row.term >= self.ballot.term
                        for row in self.members.living())

    def judge(self, wish: Wish) -> None:
        """Find out for whom an election is due."""
        self.due, self.due_only = Due.NOBODY, None
        if self.is_open(wish):
            self.due, self.due_only = wish.due, self.only_for(wish.due_for)

    def only_for(self, due_for: Optional[int]) -> Optional[int]:
        """For whom alone an election may be due here: whom a promise leaves free, else this one."""
        return self.promise.free_for if self.promise.holds() else due_for

    def _is_due_for(self, place: int, level: Due) -> bool:
        return self.due >= level and self.due_only in (None, place)

    # -- deciding ------------------------------------------------------------------------------

    def decide(self, wish: Wish) -> int:
        """Vote, stand, yield; the votes with which this node is elected, or 0."""
        self.judge(wish)
        if self.ballot.role is Role.STANDS:
            return self._count(wish)
        if not self.ballot.leads:
            self._vote(wish)
            return self._maybe_stand(wish)
        return 0

    def _vote(self, wish: Wish) -> None:
        """For the best that may have it."""
        if wish.holds_role or not self.is_free(wish):
            return
        for place, level in wish.acceptable:
            row = self.members.row(place)
            if row is not None and row.term > self.ballot.term and self.promise.allows(place) \
                    and self._is_due_for(place, level):
                self.ballot.vote(row.term, place, candidacy_seconds(row.interval))
                self.pause(2 * self.facts.patience)
                self.out.report('INFO', 'vote', 'voted for %s in term %d' % (row.name, row.term))
                return

    # -- standing ------------------------------------------------------------------------------

    def _maybe_stand(self, wish: Wish) -> int:
        self.why_not = self._why_not(wish)
        self.ready = not self.why_not and self.facts.reached(self.stand_after)
        if not self.ready or wish.waits:
            return 0
        terms = [row.term for row in self.members.all_rows()] + [self.ballot.term]
        self.ready, self.stand_until = False, None
        self.ballot.stand(next_own_term(max(terms), self.facts.own, self.facts.settings.size))
        return self._count(wish)

    def _why_not(self, wish: Wish) -> str:
        """Why this node does not stand; '' where it may."""
        if not self._is_due_for(self.facts.own, wish.level):
            return 'no election is due for it'
        if wish.why_not:
            return wish.why_not
        if not wish.forced and not self.tie_break.is_heard_out():
            return 'has not listened long enough to know that the other half is silent'
        return self._why_too_few(wish)

    def _why_too_few(self, wish: Wish) -> str:
        agree = 1 + len(wish.agree)
        if not wish.forced and agree < self.facts.votes_needed:
            return 'only %d of the %d nodes that are needed find an election due' % (
                agree, self.facts.votes_needed)
        return ''

    def said(self) -> None:
        """A row has left: from now on the candidacy under way may get votes."""
        if self.ballot.role is Role.STANDS and self.stand_until is None:
            self.stand_until = self.facts.now + self.facts.patience
            self.facts.clock.wake_by(self.stand_until)

    def pause(self, seconds: float) -> None:
        """Do not stand for so long."""
        self.stand_after = max(self.stand_after, self.facts.now + seconds)

    # -- counting ------------------------------------------------------------------------------

    def _count(self, wish: Wish) -> int:
        """Count the votes of my candidacy: win, go on, yield or lose."""
        ballot = self.ballot
        if self._is_over(wish) or not self.is_free(wish):
            return self._lose('was not elected in term %d' % ballot.term)
        if wish.withdraws:
            return self._lose(wish.withdraws)
        voters = [row for row in self.members.in_touch()
                  if row.term == ballot.term and row.voted_for == self.facts.own]
        if self.speaker.has_vote(ballot.term, self.facts.own) \
                and len(voters) + 1 >= self._needed(wish):
            if wish.forbidden:
                return self._lose('is not elected: %s' % wish.forbidden)
            self.tenure.begin(len(voters) + 1, wish.forced)
            self.promise.end()
            self.follower.led()
            return len(voters) + 1
        rivals = self._rivals()
        if not wish.forced and any(row.sender in wish.outranked_by for row in rivals):
            return self._lose('yields to a better candidate')
        if rivals:
            return self._lose('was not elected in term %d' % ballot.term)
        return 0

    def _is_over(self, wish: Wish) -> bool:
        """Whether no vote counts any more, or none is to be asked for any more (R16)."""
        if self.stand_until is not None:
            return self.facts.reached(self.stand_until)
        return not self._is_due_for(self.facts.own, wish.level) or self._why_too_few(wish) != ''

    def _needed(self, wish: Wish) -> int:
        """Votes that elect this candidate; by force: of everybody who is left, or of a majority."""
        if not wish.forced:
            return self.facts.votes_needed
        left = [row for row in self.members.living() if row.farewell is Farewell.NONE]
        return min(1 + len(left), self.facts.majority)

    def _rivals(self) -> List[Beacon]:
        return [row for row in self.members.in_touch()
                if row.role is Role.STANDS and row.term > self.ballot.term]

    def _lose(self, why: str) -> int:
        self.stopped()
        self.ballot.become(Role.FOLLOWS, why)
        return 0

    def stopped(self) -> None:
        """A candidacy or takeover of mine is over: let others go first."""
        self.stand_after = self.facts.now + pause_after_losing(
            self.facts.settings.name, self.ballot.term, self.facts.patience)


def pause_after_losing(name: str, term: int, least: float) -> float:
    """Seconds to wait before standing again: different for every node, without a random source."""
    mixed = term * 2654435761
    for letter in name:
        mixed = (mixed * 31 + ord(letter)) & 0xFFFFFFFF
    return least * (0.25 + (mixed % 1000) / 1000.0)
