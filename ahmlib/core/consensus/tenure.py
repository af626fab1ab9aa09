"""This node as leader: its lease, its term, its end (ahm_protocol(7), R8, R10).

A leader acts only under a valid lease.  When the lease ends it steps down at once, and does not ask
whether anybody else leads by now: the lease was made to end before anybody could.

A leader that was elected by force *reigns*: its right has no end, also over a restart, until a
majority acknowledges it.
"""

from ..beacon import Beacon
from ..facts import Facts
from ..out import Out
from .ballot import Ballot
from .lease import Lease
from .membership import Membership
from .quorum import next_own_term
from .speaking import Speaker
from .tie_break import TieBreak


class Tenure:
    """The right to lead; idle while this node does not."""

    def __init__(self, facts: Facts, out: Out, members: Membership, ballot: Ballot,
                 tie_break: TieBreak, speaker: Speaker, reigns: bool) -> None:
        self.facts, self.out, self.members, self.ballot = facts, out, members, ballot
        self.tie_break, self.speaker = tie_break, speaker
        self.lease = Lease(facts, tie_break)
        self.acting = False         # a lease was held since the election was won
        self.reigns = reigns        # leads, or led when its daemon last ended, without a majority

    def begin(self, votes: int, forced: bool) -> None:
        """The election is won."""
        self.lease = Lease(self.facts, self.tie_break)
        self.acting = False
        self.reigns = forced and votes < self.facts.majority
        self.ballot.lead(votes)

    def until(self) -> float:
        """When the right to act ends."""
        if not self.reigns:
            return self.lease.until()
        # A reign needs nobody, but has to be heard by who comes back.
        return self.speaker.unsaved_since + self.lease.seconds

    def has_lease(self) -> bool:
        """Whether this node may act as leader now."""
        return self.ballot.leads and not self.facts.reached(self.until())

    def has_ended(self) -> bool:
        """Whether the lease has ended under which this leader acted: said once."""
        if not self.ballot.leads:
            return False
        if self.has_lease():
            self.acting = True
            return False
        ended, self.acting = self.acting, False
        return ended

    def heard(self, row: Beacon, counts: bool, restarted: bool) -> None:
        """A row came: it may acknowledge, or show that one that had left is back."""
        if not self.ballot.leads:
            return
        if restarted:
            self.lease.returned(row.sender)
        if not counts or row.term != self.ballot.term or row.leader != self.facts.own:
            return
        sent_at = self.members.sent_at.get(row.leader_seq)
        if row.leader_incarnation == self.members.incarnation and sent_at is not None:
            self.lease.acknowledged(row, sent_at)

    def is_backed(self) -> bool:
        """Whether a majority acknowledges this leader, an operator's word apart."""
        return self.lease.is_backed_by_majority()

    def is_deposed_by(self, row: Beacon) -> bool:
        """Whether this leading row ends the lead: whatever my clock says, my lease is over."""
        return self.ballot.leads and row.term > self.ballot.term \
            and not (row.forced and self.is_backed())

    def keep_term_above(self) -> None:
        """Terms only rise: a live node in a higher one could not follow me any more."""
        terms = [row.term for row in self.members.in_touch()
                 if not row.leads or (row.forced and self.is_backed())]
        highest = max(terms, default=0)
        if highest > self.ballot.term:
            self.ballot.move(next_own_term(highest, self.facts.own, self.facts.settings.size))
            self.out.report('NOTICE', 'term', 'goes on leading in term %d: a node had reached %d'
                            % (self.ballot.term, highest))

    def ended(self) -> None:
        """This node leads no more."""
        self.acting = self.reigns = False

    def reign_ended(self) -> None:
        """It leads by votes from now on, or not at all."""
        self.reigns = False

    def wants_acknowledgements(self) -> bool:
        """Whether the newest beacon was not acknowledged by enough nodes yet."""
        if not self.ballot.leads or self.lease.needed <= 1 or self.reigns:
            return False
        return self.lease.basis(self.lease.needed) < self.speaker.round_at
