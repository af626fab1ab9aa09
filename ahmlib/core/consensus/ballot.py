"""Term, vote and role of this node: what it is in the contest for the lead.

A term only rises, a vote is given once in a term, and the role changes only along TRANSITIONS; the
line that people read comes from that table, and so does the table of ahm_protocol(7).
"""

from typing import Dict, Optional, Tuple

from ..facts import Facts
from ..out import Out
from ..states import NodeState, Role
from .saved import SPENT, Saved
from .timing import CLOCK_RATE_MARGIN

#: From one role to another, and what is told of it; '' where the state for people stays the same.
TRANSITIONS: Dict[Tuple[Role, Role], str] = {
    (Role.FOLLOWS, Role.STANDS): 'stands for leader in term {term}',
    (Role.STANDS, Role.FOLLOWS): '{why}',
    (Role.STANDS, Role.ELECTED): 'elected in term {term} by {votes} of {size} nodes',
    (Role.ELECTED, Role.LEADS): 'leads in term {term}',
    (Role.ELECTED, Role.FOLLOWS): 'resigns',
    (Role.LEADS, Role.YIELDS): '',
    (Role.YIELDS, Role.LEADS): '',
    (Role.YIELDS, Role.FOLLOWS): 'has stepped down: {why}',
    (Role.FOLLOWS, Role.RETREATS): 'is stepping down: {why}',
    (Role.STANDS, Role.RETREATS): 'is stepping down: {why}',
    (Role.ELECTED, Role.RETREATS): 'is stepping down: {why}',
    (Role.LEADS, Role.RETREATS): 'is stepping down: {why}',
    (Role.YIELDS, Role.RETREATS): 'is stepping down: {why}',
    (Role.RETREATS, Role.FOLLOWS): 'has stepped down: {why}',
    (Role.FOLLOWS, Role.GONE): 'ends ({why})',
    (Role.STANDS, Role.GONE): 'ends ({why})',
    (Role.LEADS, Role.GONE): 'ends ({why})',
}

#: What people are shown in each role; who follows has a state that says what it waits for.
SHOWN: Dict[Role, NodeState] = {
    Role.STANDS: NodeState.STAND_FOR_LEADER,
    Role.ELECTED: NodeState.TAKING_OVER,
    Role.LEADS: NodeState.LEADER,
    Role.YIELDS: NodeState.LEADER,
    Role.RETREATS: NodeState.WAITING_FOR_LEADER_FORMATION,
    Role.GONE: NodeState.SHUTDOWN,
}


class Ballot:
    """Term, vote, whom it follows in this term, and its role."""

    def __init__(self, facts: Facts, out: Out, saved: Saved) -> None:
        self.facts, self.out = facts, out
        self.term, self.voted_for = saved.term, saved.voted_for
        self.leader: Optional[int] = None
        # Until then my vote for another may still be counted by its candidacy.
        self.pending_until = facts.now + CLOCK_RATE_MARGIN * facts.patience
        self.role, self.leads, self.steps_down = Role.FOLLOWS, False, False
        self.state = NodeState.INITIALIZING

    # -- terms and votes -----------------------------------------------------------------------

    def _enter(self, term: int, voted_for: Optional[int], leader: Optional[int]) -> None:
        assert term >= self.term, 'a term never falls'
        assert term > self.term or self.voted_for in (None, voted_for), 'one vote in a term'
        self.term, self.voted_for, self.leader = term, voted_for, leader

    def vote(self, term: int, candidate: int, counted_seconds: float) -> None:
        """Vote for this candidate, which may count it for so long."""
        self._enter(term, candidate, None)
        self.pending_until = self.facts.now + CLOCK_RATE_MARGIN * counted_seconds

    def stand(self, term: int) -> None:
        """Stand in this term, with the own vote."""
        self._enter(term, self.facts.own, None)
        self.become(Role.STANDS)

    def move(self, term: int) -> None:
        """Go on leading in a higher term."""
        assert self.leads
        self._enter(term, self.facts.own, self.facts.own)

    def follow(self, leader: int, term: int) -> None:
        """Follow this leader of this term."""
        assert not self.leads
        self._enter(term, None if term > self.term else self.voted_for, leader)

    def lead(self, votes: int) -> None:
        """The votes are enough."""
        assert self.voted_for == self.facts.own
        self.leader = self.facts.own
        self.become(Role.ELECTED, votes=votes)

    def spend(self, term: int) -> None:
        """Enter the term of others with a vote that nobody gets."""
        if term > self.term:
            self._enter(term, SPENT, self.leader)

    def follow_nobody(self) -> None:
        """Be in nobody's following."""
        self.leader = None

    def has_vote_pending(self, leader: int) -> bool:
        """Whether my vote for another than this leader may still elect that one.

        To acknowledge a leader after having voted for another would give both what they need: the
        voters of the one and the acknowledgers of the other share this node alone.
        """
        return self.voted_for not in (None, SPENT, self.facts.own, leader) \
            and not self.facts.reached(self.pending_until)

    # -- the role ------------------------------------------------------------------------------

    def become(self, role: Role, why: str = '', votes: int = 0,
               shown: Optional[NodeState] = None) -> None:
        """Change the role, and say why; `shown`: the state of who follows from now on."""
        text = TRANSITIONS[self.role, role].format(
            term=self.term, votes=votes, size=self.facts.settings.size, why=why)
        self.take(role)
        self.show(SHOWN.get(role) or shown or NodeState.PARTICIPATE_IN_ELECTION, text)

    def take(self, role: Role) -> None:
        """Have this role, and what follows from it alone."""
        self.role = role
        self.leads = role in (Role.ELECTED, Role.LEADS, Role.YIELDS)
        self.steps_down = role in (Role.YIELDS, Role.RETREATS)

    def show(self, state: NodeState, why: str) -> None:
        """Change the state that people are shown, and say why."""
        if state is not self.state:
            self.out.report('NOTICE', 'state', '%s -> %s: %s' % (
                self.state.name, state.name, why), cause=why)
        self.state = state
