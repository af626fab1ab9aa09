"""Term, vote and role: a term only rises, one vote in a term, roles change by the table alone."""

import pytest

from ahmlib.core.consensus.ballot import SHOWN, TRANSITIONS
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.consensus.timing import CLOCK_RATE_MARGIN
from ahmlib.core.states import NodeState, Role

from .rows import one_consensus, told


def a_ballot(saved=Saved(), **changes):
    """The ballot of a node that has just been started, at instant 100."""
    return one_consensus(saved=saved, **changes).ballot


def at(ballot, now):
    """The same, at this instant."""
    ballot.facts.clock.advance(now)
    return ballot


def test_who_starts_follows_nobody_and_claims_nothing():
    ballot = a_ballot(Saved(term=7, voted_for=2))
    assert (ballot.term, ballot.voted_for, ballot.leader) == (7, 2, None)
    assert (ballot.role, ballot.leads, ballot.steps_down) == (Role.FOLLOWS, False, False)


def test_a_term_never_falls():
    ballot = a_ballot(Saved(term=7))
    ballot.follow(1, 7)
    with pytest.raises(AssertionError, match='never falls'):
        ballot.follow(1, 6)


def test_a_second_vote_in_one_term_ends_the_daemon():
    ballot = a_ballot(Saved(term=7, voted_for=2))
    ballot.vote(7, 2, 1.0)
    with pytest.raises(AssertionError, match='one vote'):
        ballot.vote(7, 1, 1.0)


def test_the_vote_of_an_old_term_is_not_kept_under_a_leader_of_a_higher_one():
    """Else it would seem to be given in that term, and a vote for its candidate be pending."""
    ballot = a_ballot(Saved(term=7, voted_for=2))
    ballot.follow(1, 8)
    assert (ballot.term, ballot.voted_for, ballot.leader) == (8, None, 1)
    assert not ballot.has_vote_pending(1)


def test_the_vote_of_a_term_is_kept_under_its_leader():
    ballot = a_ballot(Saved(term=7, voted_for=2))
    ballot.follow(2, 7)
    assert (ballot.term, ballot.voted_for, ballot.leader) == (7, 2, 2)


def test_a_vote_may_be_counted_for_as_long_as_its_candidate_counts_on_the_fastest_clock_here():
    ballot = a_ballot()
    ballot.vote(4, 1, 2.0)
    until = 100.0 + CLOCK_RATE_MARGIN * 2.0
    assert ballot.leader is None
    assert at(ballot, until - 0.01).has_vote_pending(2)
    assert not ballot.has_vote_pending(1), 'to follow whom it elects is no double promise'
    assert not at(ballot, until + 0.001).has_vote_pending(2)


def test_a_vote_given_before_a_restart_may_still_be_counted():
    ballot = a_ballot(Saved(term=7, voted_for=2))
    until = 100.0 + CLOCK_RATE_MARGIN * ballot.facts.patience
    assert at(ballot, until - 0.01).has_vote_pending(1)
    assert not at(ballot, until + 0.001).has_vote_pending(1)


@pytest.mark.parametrize('voted_for', [None, SPENT, 0])
def test_no_vote_of_another_is_pending_where_none_was_given(voted_for):
    assert not a_ballot(Saved(term=7, voted_for=voted_for)).has_vote_pending(1)


def test_who_spends_the_vote_of_a_higher_term_can_give_it_to_nobody():
    ballot = a_ballot(Saved(term=7, voted_for=2))
    ballot.spend(9)
    assert (ballot.term, ballot.voted_for) == (9, SPENT)
    with pytest.raises(AssertionError, match='one vote'):
        ballot.vote(9, 1, 1.0)


def test_a_spent_vote_is_no_nodes_and_the_same_on_the_wire_in_every_version():
    assert SPENT == -1


@pytest.mark.parametrize('term', [6, 7])
def test_the_vote_of_a_term_that_was_entered_is_not_spent_again(term):
    ballot = a_ballot(Saved(term=7))
    ballot.spend(term)
    assert (ballot.term, ballot.voted_for) == (7, None)


def test_only_who_leads_goes_on_leading_and_only_who_does_not_follows():
    ballot = a_ballot()
    with pytest.raises(AssertionError):
        ballot.move(3)
    ballot.stand(3)
    ballot.lead(2)
    assert (ballot.role, ballot.leader) == (Role.ELECTED, 0)
    with pytest.raises(AssertionError):
        ballot.follow(1, 4)
    ballot.move(6)
    assert (ballot.term, ballot.voted_for, ballot.leader) == (6, 0, 0)


@pytest.mark.parametrize('voted_for', [0, 2])
def test_nobody_is_elected_without_the_own_vote(voted_for):
    ballot = a_ballot(Saved(term=3, voted_for=voted_for), own=1)
    ballot.become(Role.STANDS)
    with pytest.raises(AssertionError):
        ballot.lead(3)


@pytest.mark.parametrize('role', list(Role))
def test_what_follows_from_a_role_alone(role):
    ballot = a_ballot()
    ballot.take(role)
    assert ballot.leads == (role in (Role.ELECTED, Role.LEADS, Role.YIELDS))
    assert ballot.steps_down == (role in (Role.YIELDS, Role.RETREATS))


def test_a_role_that_the_table_does_not_lead_to_ends_the_daemon():
    with pytest.raises(KeyError):
        a_ballot().become(Role.LEADS)


@pytest.mark.parametrize('before, after', TRANSITIONS)
def test_what_people_are_shown_follows_from_the_role_and_is_told_where_it_changes(before, after):
    consensus = one_consensus()
    ballot = consensus.ballot
    ballot.role, ballot.state = before, SHOWN.get(before, NodeState.STANDBY)
    shown = ballot.state
    ballot.become(after, 'a reason', 2)
    assert ballot.role is after
    assert ballot.state is SHOWN.get(after, NodeState.PARTICIPATE_IN_ELECTION)
    text = TRANSITIONS[before, after].format(term=0, votes=2, size=3, why='a reason')
    assert told(consensus) == ([] if ballot.state is shown else [
        '%s -> %s: %s' % (shown.name, ballot.state.name, text)])


def test_who_follows_is_shown_as_what_it_waits_for():
    ballot = a_ballot()
    ballot.stand(3)
    ballot.become(Role.FOLLOWS, shown=NodeState.STANDBY)
    assert ballot.state is NodeState.STANDBY
