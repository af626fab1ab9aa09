"""Vote, stand, count: what a node may do for a wish, and what it may not do whatever the wish."""

import pytest

from ahmlib.core.beacon import Due, Farewell
from ahmlib.core.consensus.contest import pause_after_losing
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.timing import candidacy_seconds
from ahmlib.core.consensus.wish import Wish
from ahmlib.core.states import NodeState, Role

from .rows import goes_on, hear, one_consensus, row, told

HOLD = one_consensus().facts.hold_seconds
#: One that may stand, where one other node agrees.
STAND = Wish(due=Due.ANYBODY, agree=frozenset((1,)))
#: One that may vote for node 1, and not stand itself.
VOTE = Wish(due=Due.ANYBODY, acceptable=((1, Due.ANYBODY),), why_not='is no candidate')
CANDIDATE = dict(state=NodeState.STAND_FOR_LEADER)


def a_candidate(**changes):
    """A node that stands in its own term 3, and has its own vote."""
    consensus = one_consensus(**changes)
    consensus.elect(STAND._replace(agree=frozenset((1, 2))))
    assert consensus.role is Role.STANDS
    has_saved(consensus)
    consensus.members.sent(2, consensus.facts.now)
    consensus.contest.said()
    told(consensus)
    return consensus


def has_saved(consensus):
    """All that has to be on disk as of now is there."""
    consensus.speaker.want(consensus.to_save(None, (), None))
    consensus.speaker.saved(consensus.speaker.wanted)


def votes(consensus, sender, **changes):
    """This one has voted for node 0, in the term of its candidacy."""
    values = dict(term=consensus.term, voted_for=0)
    values.update(changes)
    return hear(consensus, sender, **values)


# -- who takes part --------------------------------------------------------------------------------

@pytest.mark.parametrize('role', list(Role))
def test_only_who_follows_or_stands_takes_part(role):
    consensus = one_consensus()
    consensus.ballot.take(role)
    assert consensus.contest.is_free(Wish()) is (role in (Role.FOLLOWS, Role.STANDS))


def test_who_is_blind_or_abstains_takes_no_part_not_even_by_force():
    assert not one_consensus(saved=None).contest.is_free(Wish(forced=True))
    assert not one_consensus().contest.is_free(Wish(abstains=True, forced=True))
    assert one_consensus().contest.is_free(Wish())


def test_an_isolated_half_takes_part_by_force_alone_its_own_or_another_ones():
    consensus = one_consensus(4, half_votes=True, trusted=True)
    assert not consensus.contest.is_free(Wish())
    assert consensus.contest.is_free(Wish(forced=True))
    hear(consensus, 1)
    assert not consensus.contest.is_free(Wish())
    hear(consensus, 1, forced=True)
    assert consensus.contest.is_free(Wish())


def test_no_election_is_due_under_a_promise_but_for_whom_it_leaves_free():
    consensus = one_consensus()
    wish = Wish(due=Due.FENCER, due_for=0)
    consensus.contest.judge(wish)
    assert (consensus.contest.due, consensus.contest.due_only) == (Due.FENCER, 0)
    consensus.promise.renew(row(1))
    consensus.contest.judge(wish)
    assert (consensus.contest.due, consensus.contest.due_only) == (Due.NOBODY, None)
    consensus.promise.frees(1)
    consensus.contest.judge(wish)
    assert (consensus.contest.due, consensus.contest.due_only) == (Due.FENCER, 1)
    consensus.facts.clock.advance(100.0 + HOLD)
    consensus.contest.judge(wish)
    assert (consensus.contest.due, consensus.contest.due_only) == (Due.FENCER, 0)


@pytest.mark.parametrize('term, is_open', [(6, True), (7, False), (8, False)])
def test_no_election_is_due_while_a_leader_of_this_term_or_a_later_one_is_heard(term, is_open):
    consensus = one_consensus(saved=Saved(term=7))
    hear(consensus, 1, state=NodeState.LEADER, term=term)
    assert consensus.contest.is_open(Wish()) is is_open
    consensus.facts.clock.advance(100.0 + HOLD)
    assert consensus.contest.is_open(Wish())


def test_none_is_due_for_who_takes_no_part():
    consensus = one_consensus()
    consensus.contest.judge(Wish(due=Due.ANYBODY, abstains=True))
    assert consensus.contest.due is Due.NOBODY


# -- voting ----------------------------------------------------------------------------------------

def test_it_votes_for_whom_it_may_and_lets_that_one_go_first():
    consensus = one_consensus()
    hear(consensus, 1, term=4, interval=8.0, **CANDIDATE)
    assert consensus.elect(VOTE) == 0
    assert (consensus.term, consensus.ballot.voted_for) == (4, 1)
    assert consensus.ballot.pending_until == pytest.approx(100.0 + 1.1 * candidacy_seconds(8.0))
    assert consensus.contest.stand_after == pytest.approx(100.0 + 2 * consensus.facts.patience)
    assert told(consensus) == ['voted for AHM-NODE-2 in term 4']


@pytest.mark.parametrize('why, wish, term', [
    ('it holds what only a leader has', VOTE._replace(holds_role=True), 4),
    ('it abstains', VOTE._replace(abstains=True), 4),
    ('the term is no higher', VOTE, 3),
    ('the term is lower', VOTE, 1),
    ('nothing is due', VOTE._replace(due=Due.NOBODY), 4),
    ('it is not due enough', VOTE._replace(due=Due.FENCER), 4),
    ('it is due for itself alone', VOTE._replace(due_for=0), 4),
    ('it was not heard', VOTE._replace(acceptable=((2, Due.ANYBODY),)), 4),
])
def test_it_does_not_vote(why, wish, term):
    consensus = one_consensus(saved=Saved(term=3))
    hear(consensus, 1, term=term, **CANDIDATE)
    consensus.elect(wish)
    assert (consensus.term, consensus.ballot.voted_for) == (3, None), why


def test_it_votes_for_one_of_whom_it_is_due_alone_or_more_than_due():
    for wish in (VOTE._replace(due_for=1),
                 VOTE._replace(due=Due.FENCER, acceptable=((1, Due.PRIMARY),)),
                 VOTE._replace(due=Due.FENCER, acceptable=((1, Due.FENCER),))):
        consensus = one_consensus()
        hear(consensus, 1, term=4, **CANDIDATE)
        consensus.elect(wish)
        assert consensus.ballot.voted_for == 1


def test_under_a_promise_it_votes_for_its_leader_alone():
    for leader, voted_for in ((1, 1), (2, None)):
        consensus = one_consensus()
        hear(consensus, 1, term=4, **CANDIDATE)
        consensus.promise.renew(row(leader))
        consensus.promise.frees(1)
        consensus.elect(VOTE)
        assert consensus.ballot.voted_for == voted_for


def test_it_votes_for_the_best_first_and_once():
    consensus = one_consensus()
    hear(consensus, 1, term=4, **CANDIDATE)
    hear(consensus, 2, term=5, **CANDIDATE)
    consensus.elect(VOTE._replace(acceptable=((2, Due.ANYBODY), (1, Due.ANYBODY))))
    assert (consensus.term, consensus.ballot.voted_for) == (5, 2)


def test_a_vote_shortens_no_pause():
    contest = one_consensus().contest
    contest.pause(9.0)
    contest.pause(1.0)
    assert contest.stand_after == 109.0


# -- standing --------------------------------------------------------------------------------------

def test_it_stands_in_the_next_term_of_its_own_above_all_that_it_knows():
    consensus = one_consensus(saved=Saved(term=4))
    hear(consensus, 2, term=7)
    assert consensus.elect(STAND) == 0
    assert (consensus.term, consensus.ballot.voted_for, consensus.role) == (9, 0, Role.STANDS)
    assert consensus.contest.stand_until is None, 'nobody has been told of it'
    consensus = one_consensus(saved=Saved(term=4))
    consensus.elect(STAND)
    assert consensus.term == 6


@pytest.mark.parametrize('wish, why', [
    (Wish(due=Due.NOBODY), 'no election is due for it'),
    (Wish(due=Due.ANYBODY, due_for=1), 'no election is due for it'),
    (Wish(due=Due.FENCER, level=Due.ANYBODY), 'no election is due for it'),
    (STAND._replace(why_not='is a witness'), 'is a witness'),
    (Wish(due=Due.ANYBODY),
     'only 1 of the 2 nodes that are needed find an election due'),
])
def test_why_it_does_not_stand(wish, why):
    consensus = one_consensus()
    assert consensus.elect(wish) == 0
    assert consensus.contest.why_not == why and not consensus.contest.ready
    assert consensus.role is Role.FOLLOWS


def test_a_half_that_has_not_listened_for_long_does_not_stand_but_by_force():
    wish = Wish(due=Due.ANYBODY, agree=frozenset((1,)))
    consensus = one_consensus(4, half_votes=True)
    consensus.elect(wish)
    assert 'has not listened long enough' in consensus.contest.why_not
    consensus.elect(wish._replace(forced=True))
    assert consensus.term == 4, 'it stood'


def test_by_force_it_needs_nobody_who_agrees():
    consensus = one_consensus()
    forced = Wish(due=Due.ANYBODY, forced=True)
    assert consensus.elect(forced) == 0 and consensus.role is Role.STANDS, 'its vote is not on disk'
    has_saved(consensus)
    assert consensus.elect(forced) == 1
    assert consensus.role is Role.ELECTED and consensus.tenure.reigns


def test_it_leaves_a_better_one_a_moment_and_says_that_it_would_stand():
    consensus = one_consensus()
    assert consensus.elect(STAND._replace(waits=True)) == 0
    assert consensus.role is Role.FOLLOWS and consensus.contest.ready
    consensus.elect(STAND)
    assert consensus.role is Role.STANDS and not consensus.contest.ready


def test_it_does_not_stand_again_before_its_pause_is_over():
    consensus = one_consensus()
    consensus.contest.pause(2.0)
    consensus.elect(STAND)
    assert consensus.role is Role.FOLLOWS and not consensus.contest.ready
    consensus.facts.clock.advance(102.0)
    consensus.elect(STAND)
    assert consensus.role is Role.STANDS


def test_a_leader_neither_votes_nor_stands():
    consensus = a_candidate()
    votes(consensus, 1)
    assert consensus.elect(STAND) == 2
    hear(consensus, 1, term=99, **CANDIDATE)
    assert consensus.elect(VOTE._replace(why_not='')) == 0
    assert consensus.ballot.voted_for == 0 and consensus.role is Role.ELECTED


# -- counting --------------------------------------------------------------------------------------

def test_a_majority_elects_it_and_ends_what_it_owed():
    consensus = a_candidate()
    consensus.promise.renew(row(1))
    consensus.promise.frees(0)
    assert consensus.elect(STAND) == 0 and not consensus.follower.followed
    votes(consensus, 1)
    assert consensus.elect(STAND) == 2
    assert consensus.role is Role.ELECTED and consensus.promise.leader is None
    assert consensus.follower.followed and not consensus.tenure.reigns
    assert told(consensus)[-1].endswith('elected in term 3 by 2 of 3 nodes')


@pytest.mark.parametrize('size, changes, needed', [
    (2, dict(half_votes=True), 1), (3, {}, 2)])
def test_no_vote_elects_it_before_its_own_is_on_disk(size, changes, needed):
    """Where its own is enough it would lead, and after a crash not know that it has voted."""
    consensus = one_consensus(size, **changes)
    agree = STAND._replace(agree=frozenset(range(1, size)))
    goes_on(consensus, 2 * HOLD)
    consensus.elect(agree)
    assert consensus.role is Role.STANDS
    if needed == 2:
        votes(consensus, 1)
    assert consensus.elect(agree) == 0 and consensus.role is Role.STANDS
    has_saved(consensus)
    assert consensus.elect(agree) == needed and consensus.role is Role.ELECTED


@pytest.mark.parametrize('changes', [
    dict(term=2), dict(term=4), dict(voted_for=1), dict(voted_for=None)])
def test_a_vote_of_another_term_or_for_another_elects_nobody(changes):
    consensus = a_candidate()
    votes(consensus, 1, **changes)
    assert consensus.elect(STAND) == 0 and consensus.role is Role.STANDS


def test_the_vote_of_who_does_not_hear_it_any_more_elects_nobody():
    consensus = a_candidate()
    votes(consensus, 1)
    consensus.members.sent_at[2] = 100.0 - HOLD
    consensus.members.slept(0.0)
    assert consensus.elect(STAND) == 0 and consensus.role is Role.STANDS


def test_a_candidacy_ends_after_the_patience_and_the_next_one_has_to_wait():
    consensus = a_candidate()
    patience = consensus.facts.patience
    consensus.facts.clock.advance(100.0 + patience - 0.001)
    assert consensus.elect(STAND) == 0 and consensus.role is Role.STANDS
    consensus.facts.clock.advance(100.0 + patience)
    votes(consensus, 1)
    assert consensus.elect(STAND) == 0 and consensus.role is Role.FOLLOWS
    assert told(consensus)[-1].endswith('was not elected in term 3')
    assert consensus.contest.stand_after == pytest.approx(
        100.0 + patience + pause_after_losing('AHM-NODE-1', 3, patience))


def test_a_candidacy_lasts_from_its_first_row_to_whomever_it_goes():
    """On a slow host its own save took half of the time for votes, and elections were repeated."""
    consensus = one_consensus()
    patience, wish = consensus.facts.patience, STAND._replace(agree=frozenset((1, 2)))
    consensus.elect(wish)
    for _ in range(3):
        goes_on(consensus, patience)
        consensus.speaker.want(consensus.to_save(None, (), None))
        consensus.publish(consensus.facts.row, False, None)
        assert consensus.elect(wish) == 0 and consensus.role is Role.STANDS
    publishes(consensus)
    assert consensus.contest.stand_until == consensus.facts.now + patience
    assert consensus.facts.clock.wake_at <= consensus.contest.stand_until
    until = consensus.contest.stand_until
    goes_on(consensus, patience / 2)
    publishes(consensus)
    assert consensus.contest.stand_until == until, 'a later row gives it no more time'
    consensus.facts.clock.advance(until)
    votes(consensus, 1)
    assert consensus.elect(wish) == 0 and consensus.role is Role.FOLLOWS


def publishes(consensus):
    """Its state is on disk, and its row leaves."""
    has_saved(consensus)
    consensus.facts.take_row(consensus.facts.row._replace(
        term=consensus.term, voted_for=consensus.ballot.voted_for, state=consensus.state))
    consensus.publish(consensus.facts.row, True, None)
    assert consensus.speaker.out.take().rows


def test_what_is_said_by_who_does_not_stand_begins_no_candidacy():
    consensus = one_consensus()
    publishes(consensus)
    assert consensus.contest.stand_until is None


@pytest.mark.parametrize('wish', [
    Wish(due=Due.NOBODY, agree=frozenset((1,))), Wish(due=Due.ANYBODY, due_for=1,
                                                      agree=frozenset((1,))),
    Wish(due=Due.ANYBODY)])
def test_a_candidacy_of_which_nobody_was_told_ends_where_it_would_not_begin(wish):
    consensus = one_consensus()
    consensus.elect(STAND)
    assert consensus.elect(STAND) == 0 and consensus.role is Role.STANDS
    assert consensus.elect(wish) == 0 and consensus.role is Role.FOLLOWS
    consensus = a_candidate()
    assert consensus.elect(wish) == 0 and consensus.role is Role.STANDS, 'somebody may have voted'


def test_who_takes_no_part_any_more_ends_its_candidacy_and_who_withdraws_says_why():
    consensus = a_candidate()
    votes(consensus, 1)
    consensus.elect(STAND._replace(abstains=True))
    assert consensus.role is Role.FOLLOWS
    consensus = a_candidate()
    votes(consensus, 1)
    consensus.elect(STAND._replace(withdraws='its server is gone'))
    assert consensus.role is Role.FOLLOWS and told(consensus)[-1].endswith('its server is gone')


def test_who_must_not_be_elected_is_not_whatever_the_votes():
    consensus = a_candidate()
    assert consensus.elect(STAND._replace(forbidden='a standby may have more')) == 0
    assert consensus.role is Role.STANDS
    votes(consensus, 1)
    assert consensus.elect(STAND._replace(forbidden='a standby may have more')) == 0
    assert consensus.role is Role.FOLLOWS
    assert told(consensus)[-1].endswith('is not elected: a standby may have more')


def test_it_yields_to_a_rival_of_a_higher_term_and_to_no_other():
    for changes, role, text in (
            (dict(term=4, **CANDIDATE), Role.FOLLOWS, 'was not elected in term 3'),
            (dict(term=3, **CANDIDATE), Role.STANDS, None),
            (dict(term=2, **CANDIDATE), Role.STANDS, None),
            (dict(term=4), Role.STANDS, None)):
        consensus = a_candidate()
        hear(consensus, 1, **changes)
        assert consensus.elect(STAND) == 0
        assert consensus.role is role
        assert (told(consensus) or [None])[-1] == (text and (
            'STAND_FOR_LEADER -> PARTICIPATE_IN_ELECTION: ' + text))


def test_it_yields_to_a_better_rival_but_not_by_force():
    outranked = STAND._replace(outranked_by=frozenset((1,)))
    consensus = a_candidate()
    hear(consensus, 2, term=4)
    assert consensus.elect(outranked) == 0 and consensus.role is Role.STANDS
    hear(consensus, 1, term=4, **CANDIDATE)
    consensus.elect(outranked)
    assert told(consensus)[-1].endswith('yields to a better candidate')
    consensus = a_candidate(size=4)
    hear(consensus, 1, term=5, **CANDIDATE)
    consensus.elect(outranked._replace(forced=True))
    assert told(consensus)[-1].endswith('was not elected in term 4')


@pytest.mark.parametrize('size, living, left, needed', [
    (5, (), (), 1), (5, (1,), (), 2), (5, (1, 2), (), 3), (5, (1, 2, 3), (), 3),
    (5, (1, 2), (2,), 2), (3, (1, 2), (), 2)])
def test_by_force_all_who_are_left_elect_or_a_majority(size, living, left, needed):
    consensus = one_consensus(size)
    for place in living:
        hear(consensus, place, farewell=Farewell.LEAVING if place in left else Farewell.NONE)
    assert consensus.contest._needed(Wish(forced=True)) == needed
    assert consensus.contest._needed(Wish()) == size // 2 + 1


def test_who_is_elected_by_force_and_by_a_majority_does_not_reign():
    consensus = a_candidate()
    votes(consensus, 1)
    assert consensus.elect(STAND._replace(forced=True)) == 2
    assert not consensus.tenure.reigns


def test_losers_wait_between_a_quarter_of_the_patience_and_five_quarters_by_name_and_term():
    waits = [pause_after_losing('AHM-NODE-1', term, 2.0) for term in range(5000)]
    assert min(waits) == pytest.approx(0.5, abs=0.01) and max(waits) == pytest.approx(2.5, abs=0.01)
    assert waits != [pause_after_losing('AHM-NODE-2', term, 2.0) for term in range(5000)]
    assert len(set(waits[:100])) > 50, 'the next term is another draw'
