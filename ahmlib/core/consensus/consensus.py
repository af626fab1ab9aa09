"""Ties together what decides who leads, and is all that the rest of the core talks to.

Every event brings rows and time; every step brings a `Wish`.  What comes out is a role, and the
instants until which it holds.
"""

from typing import Any, List, Optional, Tuple

from ..beacon import Beacon, Farewell, Pause
from ..facts import Facts
from ..out import Out
from ..states import NodeState, Role
from .ballot import Ballot
from .contest import Contest
from .follower import Followed, Follower
from .membership import Membership
from .promise import Promise
from .saved import Saved
from .speaking import Speaker
from .tenure import Tenure
from .tie_break import TieBreak
from .wish import Wish


class Consensus:
    """This node among the others.

    `saved`: what was on disk, None without a readable state file.  `incarnation`: random, non-zero.
    """

    def __init__(self, facts: Facts, out: Out, saved: Optional[Saved], incarnation: int) -> None:
        on_disk = saved or Saved()
        self.facts = facts
        self.incarnation = incarnation
        self.members = Membership(facts, incarnation)
        self.ballot = Ballot(facts, out, on_disk)
        self.promise = Promise(facts, saved)
        self.tie_break = TieBreak(facts, self.members, self.promise)
        self.speaker = Speaker(facts, out, self.members, saved)
        self.tenure = Tenure(facts, out, self.members, self.ballot, self.tie_break, self.speaker,
                             on_disk.forced and on_disk.leader == facts.own)
        self.follower = Follower(facts, out, self.members, self.ballot, self.promise, self.tenure,
                                 self.speaker)
        self.contest = Contest(facts, out, self.members, self.ballot, self.promise,
                               self.tie_break, self.follower, self.tenure, self.speaker)
        self.farewell = Farewell.NONE

    # -- the standing: for everybody to read ---------------------------------------------------

    @property
    def term(self) -> int:
        """The highest term it has entered."""
        return self.ballot.term

    @property
    def role(self) -> Role:
        """What it is in the contest for the lead."""
        return self.ballot.role

    @property
    def state(self) -> NodeState:
        """What people are shown."""
        return self.ballot.state

    @property
    def leads(self) -> bool:
        """Whether its row leads."""
        return self.ballot.leads

    @property
    def steps_down(self) -> bool:
        """Whether it gives up what a leader has."""
        return self.ballot.steps_down

    def leader_row(self) -> Optional[Beacon]:
        """The newest row of the leader that it follows, if that is alive and leads."""
        return self.follower.leader_row()

    def leader_in_force(self) -> Optional[Beacon]:
        """The same, where the promise to it holds."""
        row = self.follower.leader_row()
        return row if row is not None and self.promise.holds() else None

    def contact_rows(self) -> List[Beacon]:
        """Its row, and the newest rows of those in two-way contact."""
        return [self.facts.row] + self.members.in_touch()

    # -- events and steps ----------------------------------------------------------------------

    def heard(self, row: Beacon) -> bool:
        """A row came; whether it counts."""
        restarted = self.members.restarted(row)
        counts = self.members.accept(row)
        self.tenure.heard(row, counts, restarted)
        return counts

    def follow(self, record: Any, shown: NodeState) -> Followed:
        """Release and follow, by the newest rows.

        `record`: what this node has on record; `shown`: the state of who follows.
        """
        if self.farewell is Farewell.LEAVING:
            return Followed()   # bound, on disk: what its leader still sends must not loosen that
        return self.follower.decide(record, shown)

    def elect(self, wish: Wish) -> int:
        """Vote and stand; the votes with which this node is elected now, or 0."""
        return self.contest.decide(wish)

    def to_save(self, record: Any, names: Tuple[Optional[str], ...], claim: Any,
                maintenance: bool = False, pause: Optional[Pause] = None,
                moved: bool = False) -> Saved:
        """What must not be forgotten, as of now, with what others keep beside it."""
        # Who retreats beside a leader of its own leads nothing, and owes its promise.
        leads = self.ballot.leads or self.tenure.reigns \
            or (self.ballot.steps_down and self.promise.leader is None)
        return Saved(self.ballot.term, self.ballot.voted_for,
                     self.facts.own if leads else self.promise.leader, self.promise.hold,
                     self.promise.bound, self.promise.blind, record, names,
                     self.tenure.reigns if leads else self.promise.reigned, claim, maintenance,
                     pause or Pause(), moved)

    def publish(self, row: Beacon, hurried: bool, matters: Any) -> None:
        """Have the state saved, or say what there is to say; see Speaker."""
        before = self.speaker.seq
        self.speaker.publish(row, hurried, matters)
        self.speaker.go_on(hurried)
        if self.speaker.seq != before:
            self.contest.said()

    def check(self) -> None:
        """What one node can see of the invariants; a broken one ends the daemon like a crash."""
        ballot, own = self.ballot, self.facts.own
        candidate = ballot.role is Role.STANDS or ballot.leads
        assert not candidate or ballot.voted_for == own, 'it has its own vote'
        assert not candidate or ballot.term % self.facts.settings.size == own, 'in its own term'
        assert not ballot.leads or ballot.leader == own, 'who leads follows nobody'
        assert not ballot.leads or self.promise.leader is None, 'who leads owes nothing'
        assert (self.farewell is Farewell.NONE) is not (ballot.role is Role.GONE)

    # -- what becomes of a leader ----------------------------------------------------------------

    def lead(self) -> None:
        """All that makes a leader is here."""
        self.ballot.become(Role.LEADS)

    def resign(self) -> None:
        """Give up before anything was taken over."""
        self.ballot.follow_nobody()
        self.ballot.become(Role.FOLLOWS)
        self.follower.miss_leader()
        self.contest.stopped()

    def hand_over(self) -> None:
        """Give the lead up, under the lease: followers still count on this node."""
        self.ballot.become(Role.YIELDS)

    def stay(self) -> None:
        """What was to be handed over is kept after all."""
        self.ballot.become(Role.LEADS)

    def step_down(self, why: str, patiently: bool) -> None:
        """Give up what a leader has: under the lease where there is one and that may take time."""
        if patiently and self.tenure.has_lease():
            if self.ballot.role is not Role.YIELDS:
                self.ballot.become(Role.YIELDS)
            return
        self.ballot.follow_nobody()
        if self.ballot.role is not Role.RETREATS:
            self.ballot.become(Role.RETREATS, why)

    def stepped_down(self, why: str, shown: NodeState) -> None:
        """Nothing of a leader is here any more."""
        self.ballot.follow_nobody()
        self.ballot.become(Role.FOLLOWS, why, shown=shown)
        self.tenure.ended()
        self.follower.miss_anew()

    def leave(self, farewell: Farewell) -> None:
        """Say goodbye; for good a follower binds itself to its leader first."""
        if farewell is Farewell.LEAVING and self.follower.following:
            self.promise.bind()
        self.farewell = farewell
        self.ballot.become(Role.GONE, farewell.name)

    def answer_by_force(self) -> None:
        """An operator's word ends a promise that has no end."""
        if self.promise.bound:
            self.follower.release()
