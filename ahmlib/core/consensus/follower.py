"""Follow the leader: take its rows, keep the promise, and notice when it is over (R7, R9)."""

from typing import Any, List, NamedTuple, Optional

from ..beacon import Beacon, Due
from ..facts import Facts
from ..out import Out
from ..states import NodeState, Role
from .ballot import Ballot
from .membership import Membership
from .promise import Promise
from .speaking import Speaker
from .tenure import Tenure


class Followed(NamedTuple):
    """What came of the newest rows: a leading row that was taken, or one that deposes this node."""
    taken: Optional[Beacon] = None
    deposed_by: Optional[Beacon] = None


class Follower:
    """This node as a follower; `lost_at`: since when it misses a leader."""

    def __init__(self, facts: Facts, out: Out, members: Membership, ballot: Ballot,
                 promise: Promise, tenure: Tenure, speaker: Speaker) -> None:
        self.facts, self.out, self.members = facts, out, members
        self.ballot, self.promise, self.tenure, self.speaker = ballot, promise, tenure, speaker
        self.lost_at: Optional[float] = facts.now
        self.followed = False           # has followed a leader, or led, since its start

    @property
    def following(self) -> bool:
        """Whether this node follows a leader whom it does not miss."""
        return not self.ballot.leads and self.promise.leader is not None and self.lost_at is None

    @property
    def misses_leader(self) -> bool:
        """Whether the leader is late, lost, or was never there."""
        return self.lost_at is not None and not self.ballot.leads

    def leader_row(self) -> Optional[Beacon]:
        """The newest row of the leader that this node follows, if it is alive and leads."""
        if self.ballot.leads or self.promise.leader is None:
            return None
        row = self.members.living_row(self.promise.leader)
        return row if row is not None and row.leads else None

    def miss_leader(self) -> None:
        """The leader is late, or leads no more: look around."""
        if self.lost_at is None:
            self.lost_at = self.facts.now

    def miss_anew(self) -> None:
        """A leader is missed from now on, not since the last time."""
        self.lost_at = self.facts.now

    def led(self) -> None:
        """This node leads, or led as far as others are concerned: somebody may be elected after."""
        self.followed = True

    def decide(self, record: Any, shown: NodeState) -> Followed:
        """Release, follow: from the newest rows.

        `record` is what this node has on record, `shown` the state of who follows.
        """
        self._see_the_blind_through()
        self._release(record)
        if self.promise.blind or self.ballot.role is Role.RETREATS:
            return Followed()
        row = self._leading_row()
        if self.ballot.leads:
            return Followed(deposed_by=row if row and self.tenure.is_deposed_by(row) else None)
        if row is not None and not self._was_taken(row):
            self._take(row, shown)
            return Followed(taken=row)
        if self.promise.leader is not None and self._leader_is_late():
            self.miss_leader()
        return Followed()

    # -- taking --------------------------------------------------------------------------------

    def _leading_row(self) -> Optional[Beacon]:
        """The newest leading row that may be taken."""
        rows = [row for row in self.members.living()
                if row.leads and row.term >= self.ballot.term
                and not self.ballot.has_vote_pending(row.sender)]
        if self.promise.holds():
            rows = [row for row in rows if row.sender == self.promise.leader]
        return max(rows, key=lambda row: (not row.forced, row.term), default=None)

    def _was_taken(self, row: Beacon) -> bool:
        promise = self.promise
        return (row.sender, row.incarnation, row.seq, row.term) == (
            promise.leader, promise.incarnation, promise.seq, self.ballot.term)

    def _take(self, row: Beacon, shown: NodeState) -> None:
        if self.ballot.leader != row.sender or not self.following:
            self.out.report('NOTICE', 'leader', '%s leads in term %d: following it' % (
                row.name, row.term))
        self.ballot.follow(row.sender, row.term)
        self.promise.renew(row)
        self.speaker.answer(row.sender)
        self.tenure.ended()
        self.lost_at, self.followed = None, True
        why = 'follows %s' % row.name
        if self.ballot.role is Role.STANDS:
            self.ballot.become(Role.FOLLOWS, why, shown=shown)
        elif self.ballot.role is Role.FOLLOWS:
            self.ballot.show(shown, why)

    def _leader_is_late(self) -> bool:
        leader = self.promise.leader
        assert leader is not None
        row = self.members.row(leader)
        if row is None:
            return not self.promise.holds()
        return not row.leads or self.members.is_late(leader)

    # -- being released ------------------------------------------------------------------------

    def _release(self, record: Any) -> None:
        promise = self.promise
        if promise.leader is None:
            return
        if promise.bound and self._is_freed_by_others(record):
            self.release()
            return
        row = self.members.row(promise.leader)
        if row is None or row.term < self.ballot.term:
            return
        if row.incarnation == promise.incarnation and row.seq <= promise.seq:
            return
        if row.resigns:
            self.out.report('NOTICE', 'leader', '%s leads no more%s' % (
                row.name, ': ' + row.problem if row.problem else ''), cause=row.problem)
            self.release()
        elif promise.is_returned_to(row):
            promise.frees(row.sender)

    def release(self) -> None:
        """Owe nothing, and say so: a row that follows somebody has to be backed by the disk."""
        self.promise.end()
        self.ballot.follow_nobody()
        self.miss_leader()

    def _is_freed_by_others(self, record: Any) -> bool:
        """Whether somebody who is not bound owes my leader nothing any more.

        It finds an election due, and not for my leader's return alone, or leads in a later term.
        My leader counts me only while all who did not leave acknowledge it, so it counts me no
        more.  One that reigns needs nobody, so it takes a later leader, or one whom an operator
        wants by force, or wanted since.
        """
        return any(not row.bound and self._frees(row, record) for row in self.members.in_touch())

    def _frees(self, row: Beacon, record: Any) -> bool:
        if row.leads:
            return row.term > self.ballot.term and row.sender != self.promise.leader
        if row.due is Due.NOBODY or row.due_only == self.promise.leader:
            return False
        if not self.promise.reigned:    # who did not hear the goodbye counts what came before it
            return self.facts.reached(self.promise.until)
        return row.forced and row.record == record

    # -- without a state file ------------------------------------------------------------------

    def _see_the_blind_through(self) -> None:
        """A start without a state file: no vote and no acknowledgement before T_hold has passed.

        It ends early when a row of every configured node shows that nobody leads; beside one that
        could lead on at once, it ends for the election of that node alone.
        """
        if not self.promise.blind:
            return
        rows = [self.facts.row] + self.members.in_touch()
        if len(rows) < self.facts.votes_needed and not any(row.forced for row in rows):
            return
        if not self.facts.reached(self.promise.blind_until) and not self._nobody_leads(rows):
            return
        self.promise.see()
        self.ballot.spend(max(row.term for row in rows))

    def _nobody_leads(self, rows: List[Beacon]) -> bool:
        if len(rows) < self.facts.settings.size:
            return False
        returning = [row for row in rows if row.returns]
        if len(returning) > 1 or not all(row.resigns or row.returns for row in rows):
            return False
        if returning and returning[0].sender != self.facts.own:
            self.promise.recall(returning[0].sender, self.promise.blind_until - self.facts.now,
                                False, False)
            self.promise.frees(returning[0].sender)
        return True
