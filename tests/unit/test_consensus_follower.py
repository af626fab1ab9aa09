"""Follow the leader, lead, and come back without a state file: what rows do to a node."""

import pytest

from ahmlib.core.beacon import Farewell
from ahmlib.core.consensus.lease import FOREVER
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.states import DatabaseState, NodeState, Role

from .rows import INCARNATION, elect_consensus, goes_on, hear, one_consensus, row, told

HOLD = one_consensus().facts.hold_seconds
LEASE = one_consensus().facts.lease_seconds
INTERVAL = one_consensus().facts.settings.interval
LEADER = dict(state=NodeState.LEADER, database=DatabaseState.PRIMARY)


def follows(consensus):
    """It decides by the newest rows."""
    return consensus.follow(None, NodeState.STANDBY)


def a_follower(**changes):
    """A node that follows node 1 of term 4."""
    consensus = one_consensus(**changes)
    hear(consensus, 1, term=4, **LEADER)
    follows(consensus)
    assert consensus.follower.following
    consensus.members.sent(2, consensus.facts.now)
    told(consensus)
    return consensus


def a_leader(size=3, term=6, **changes):
    """A node that was elected in this term of its own at instant 100, and said a row then."""
    consensus = one_consensus(size, **changes)
    elect_consensus(consensus, term)
    consensus.lead()
    consensus.members.sent(2, 100.0)
    return consensus


def acknowledges(consensus, sender, seq=2, **changes):
    """It takes the row of this seq of the leader, and says so."""
    values = dict(term=consensus.term, leader=0, leader_incarnation=INCARNATION, leader_seq=seq)
    values.update(changes)
    return hear(consensus, sender, **values)


# -- following -------------------------------------------------------------------------------------

def test_who_starts_misses_a_leader_and_has_never_followed():
    consensus = one_consensus()
    assert consensus.follower.misses_leader and consensus.follower.lost_at == 100.0
    assert not consensus.follower.following and not consensus.follower.followed
    assert consensus.leader_row() is None and consensus.leader_in_force() is None


def test_to_follow_is_to_promise_to_answer_and_to_tell():
    consensus = one_consensus()
    heard = hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is heard
    follower = consensus.follower
    assert follower.following and follower.followed and not follower.misses_leader
    assert consensus.promise.leader == 1 and consensus.ballot.leader == 1 and consensus.term == 4
    assert consensus.speaker.answers == {1} and consensus.state is NodeState.STANDBY
    assert consensus.leader_row() is heard and consensus.leader_in_force() is heard
    assert told(consensus) == ['AHM-NODE-2 leads in term 4: following it',
                               'INITIALIZING -> STANDBY: follows AHM-NODE-2']


def test_a_row_is_taken_once_and_the_next_one_is_no_news_to_people():
    consensus = a_follower()
    consensus.speaker.answers.clear()
    assert follows(consensus).taken is None and not consensus.speaker.answers
    goes_on(consensus, 0.2)
    assert hear(consensus, 1, term=4, **LEADER) is follows(consensus).taken
    assert consensus.promise.until == pytest.approx(100.2 + HOLD) and told(consensus) == []


@pytest.mark.parametrize('changes', [
    dict(seq=2), dict(seq=1, incarnation=7), dict(seq=2, term=5)])
def test_a_row_is_another_one_by_its_seq_incarnation_or_term(changes):
    consensus = a_follower()
    before = consensus.members.row(1)
    consensus.members.peers[1].row = before._replace(**changes)
    consensus.facts.clock.advance(100.1)
    assert follows(consensus).taken == before._replace(**changes)


def test_the_same_row_in_a_term_that_this_node_left_is_taken_no_more():
    consensus = a_follower()
    consensus.ballot.spend(5)
    assert follows(consensus).taken is None


def test_a_new_leader_is_told_of_and_so_is_one_that_was_missed():
    consensus = a_follower()
    consensus.follower.miss_leader()
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, **LEADER)
    follows(consensus)
    assert told(consensus) == ['AHM-NODE-2 leads in term 4: following it']
    goes_on(consensus, HOLD)
    hear(consensus, 2, term=5, **LEADER)
    follows(consensus)
    assert told(consensus) == ['AHM-NODE-3 leads in term 5: following it']


@pytest.mark.parametrize('changes, taken', [
    (dict(term=4), True), (dict(term=3), True), (dict(term=2), False),
    (dict(term=4, state=NodeState.STANDBY), False)])
def test_a_leading_row_of_this_term_or_a_later_one_is_taken(changes, taken):
    consensus = one_consensus(saved=Saved(term=3))
    hear(consensus, 1, **dict(LEADER, **changes))
    assert (follows(consensus).taken is not None) is taken


@pytest.mark.parametrize('own, other', [(0, 2), (2, 0)])
def test_under_a_promise_its_leader_alone_is_followed(own, other):
    consensus = a_follower(own=own)
    goes_on(consensus, 0.1)
    hear(consensus, other, term=5, **LEADER)
    assert follows(consensus).taken is None and consensus.promise.leader == 1
    goes_on(consensus, HOLD - 0.1)
    hear(consensus, other, term=5, **LEADER)
    assert follows(consensus).taken is not None and consensus.promise.leader == other


def test_nobody_is_followed_while_the_vote_for_another_may_elect_that_one():
    consensus = one_consensus()
    consensus.ballot.vote(4, 2, 1.0)
    hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is None
    consensus.facts.clock.advance(101.11)
    assert follows(consensus).taken is not None


def test_of_two_leaders_the_one_of_the_higher_term_is_followed_and_force_comes_last():
    consensus = one_consensus()
    hear(consensus, 1, term=4, **LEADER)
    hear(consensus, 2, term=5, **LEADER)
    assert follows(consensus).taken.sender == 2
    consensus = one_consensus()
    hear(consensus, 1, term=4, **LEADER)
    hear(consensus, 2, term=5, forced=True, **LEADER)
    assert follows(consensus).taken.sender == 1


def test_a_candidate_that_hears_a_leader_follows_it():
    consensus = one_consensus()
    consensus.ballot.stand(3)
    hear(consensus, 1, term=4, **LEADER)
    follows(consensus)
    assert consensus.role is Role.FOLLOWS and consensus.state is NodeState.STANDBY


def test_who_is_gone_follows_without_being_shown_as_a_follower():
    consensus = a_follower()
    consensus.leave(Farewell.RESTARTING)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is not None
    assert consensus.role is Role.GONE and consensus.state is NodeState.SHUTDOWN


def test_who_leaves_for_good_takes_nothing_that_could_loosen_its_bond():
    consensus = a_follower()
    consensus.leave(Farewell.LEAVING)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is None and consensus.promise.bound


def test_who_retreats_or_is_blind_follows_nobody():
    consensus = one_consensus(saved=None)
    hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is None
    consensus = one_consensus()
    consensus.ballot.become(Role.RETREATS, 'it began so')
    hear(consensus, 1, term=4, **LEADER)
    assert follows(consensus).taken is None


def test_a_leader_is_missed_once_its_row_is_overdue_and_since_then():
    consensus = a_follower()
    late = 100.0 + 1.5 * INTERVAL
    consensus.facts.clock.advance(late - 0.001)
    follows(consensus)
    assert not consensus.follower.misses_leader
    consensus.facts.clock.advance(late)
    follows(consensus)
    follower = consensus.follower
    assert follower.misses_leader and follower.lost_at == late and not follower.following
    consensus.facts.clock.advance(late + 0.1)
    follows(consensus)
    assert consensus.follower.lost_at == late


def test_a_leader_that_stops_leading_is_missed_at_once():
    consensus = a_follower()
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, state=NodeState.STANDBY, database=DatabaseState.PRIMARY,
         stepping_down=True)
    follows(consensus)
    assert consensus.follower.misses_leader and consensus.promise.leader == 1
    assert consensus.leader_row() is None


def test_a_leader_known_from_disk_is_missed_from_the_start_and_owed_until_the_hold_time():
    consensus = one_consensus(saved=Saved(term=4, leader=1, hold=HOLD))
    consensus.follower.lost_at = None
    follows(consensus)
    assert not consensus.follower.misses_leader
    consensus.facts.clock.advance(100.0 + HOLD)
    follows(consensus)
    assert consensus.follower.misses_leader


def test_the_row_of_a_leader_that_is_silent_for_the_hold_time_is_none():
    consensus = a_follower()
    consensus.promise.bind()
    consensus.facts.clock.advance(100.0 + HOLD)
    assert consensus.leader_row() is None


def test_a_row_of_a_leader_is_in_force_while_the_promise_to_it_holds():
    consensus = a_follower()
    consensus.facts.clock.advance(100.1)
    consensus.promise.until = 100.1
    assert consensus.leader_row() is not None and consensus.leader_in_force() is None


def test_a_leader_that_resigns_is_told_of_with_its_reason():
    for problem, text in (('', 'AHM-NODE-2 leads no more'),
                          ('its disk is full', 'AHM-NODE-2 leads no more: its disk is full')):
        consensus = a_follower()
        goes_on(consensus, 0.1)
        hear(consensus, 1, term=4, problem=problem)
        follows(consensus)
        assert text in told(consensus)


# -- without a state file --------------------------------------------------------------------------

def sees(consensus):
    """Whether it is blind no more, after a decision."""
    follows(consensus)
    return not consensus.promise.blind


def test_a_blind_node_waits_for_the_hold_time_and_for_enough_nodes():
    consensus = one_consensus(saved=None)
    hear(consensus, 1, state=NodeState.STANDBY, term=7)
    consensus.facts.clock.advance(100.0 + HOLD - 0.001)
    assert not sees(consensus)
    consensus.facts.clock.advance(100.0 + HOLD)
    consensus.members.slept(HOLD)
    consensus.members.sent(1, 100.0 + HOLD)
    assert sees(consensus)
    assert (consensus.term, consensus.ballot.voted_for) == (7, SPENT)


def test_a_blind_node_alone_stays_blind_but_beside_force():
    consensus = one_consensus(5, saved=None)
    consensus.facts.clock.advance(100.0 + HOLD)
    consensus.members.sent(2, 100.0 + HOLD)
    assert not sees(consensus)
    hear(consensus, 1)
    assert not sees(consensus)
    hear(consensus, 1, forced=True)
    assert sees(consensus)


def test_a_blind_node_sees_at_once_where_every_node_leads_nothing():
    consensus = one_consensus(saved=None)
    hear(consensus, 1)
    assert not sees(consensus)
    hear(consensus, 2)
    assert sees(consensus)


@pytest.mark.parametrize('changes', [
    dict(LEADER), dict(database=DatabaseState.QUARANTINED), dict(holds_vip=True)])
def test_a_blind_node_waits_beside_one_that_may_lead(changes):
    consensus = one_consensus(saved=None)
    hear(consensus, 1)
    hear(consensus, 2, **changes)
    assert not sees(consensus)


@pytest.mark.parametrize('own', [0, 1])
def test_beside_one_that_could_lead_on_a_blind_node_sees_for_the_election_of_that_one_alone(own):
    consensus = one_consensus(saved=None, own=own)
    other = 1 - own
    hear(consensus, 2)
    hear(consensus, other, database=DatabaseState.PRIMARY)
    consensus.facts.clock.advance(100.1)
    assert sees(consensus)
    promise = consensus.promise
    assert (promise.leader, promise.free_for) == (other, other)
    assert promise.until == pytest.approx(100.0 + HOLD)
    assert not promise.bound and not promise.reigned


def test_a_blind_node_waits_beside_two_that_could_lead_on():
    consensus = one_consensus(saved=None)
    for sender in (1, 2):
        hear(consensus, sender, database=DatabaseState.PRIMARY)
    assert not sees(consensus)


def test_a_blind_node_beside_its_own_primary_owes_itself_nothing():
    consensus = one_consensus(saved=None)
    consensus.facts.take_row(row(0, database=DatabaseState.PRIMARY))
    for sender in (1, 2):
        hear(consensus, sender)
    assert sees(consensus)
    assert consensus.promise.leader is None and consensus.promise.free_for is None


# -- leading ---------------------------------------------------------------------------------------

def test_a_leader_has_no_lease_before_others_acknowledge_it():
    consensus = a_leader()
    assert not consensus.tenure.has_lease() and not consensus.tenure.has_ended()
    acknowledges(consensus, 1)
    assert consensus.tenure.has_lease()
    assert consensus.tenure.until() == pytest.approx(100.0 + LEASE)
    consensus.facts.clock.advance(100.0 + LEASE - 0.001)
    assert consensus.tenure.has_lease()
    consensus.facts.clock.advance(100.0 + LEASE)
    assert not consensus.tenure.has_lease()


def test_the_end_of_a_lease_is_said_once_and_only_where_there_was_one():
    consensus = a_leader()
    acknowledges(consensus, 1)
    assert not consensus.tenure.has_ended()
    consensus.facts.clock.advance(100.0 + LEASE)
    assert consensus.tenure.has_ended() and not consensus.tenure.has_ended()
    follower = a_follower()
    follower.tenure.acting = True
    assert not follower.tenure.has_ended(), 'who does not lead has no lease that could end'


@pytest.mark.parametrize('changes', [
    dict(term=5), dict(term=7), dict(leader=2), dict(leader=None), dict(leader_seq=99),
    dict(leader_incarnation=INCARNATION - 1), dict(leader_incarnation=INCARNATION + 1)])
def test_what_acknowledges_another_term_leader_or_life_gives_no_lease(changes):
    consensus = a_leader()
    acknowledges(consensus, 1, **changes)
    assert not consensus.tenure.has_lease()


def test_a_row_that_does_not_count_gives_no_lease():
    consensus = a_leader()
    consensus.tenure.heard(row(1, term=6, leader=0, leader_incarnation=INCARNATION, leader_seq=2),
                           False, False)
    assert not consensus.tenure.has_lease()


def test_who_does_not_lead_collects_no_acknowledgements():
    consensus = one_consensus()
    consensus.ballot.follow(1, 6)
    consensus.tenure.heard(row(1, term=6, leader=0, leader_incarnation=INCARNATION, leader_seq=1),
                           True, False)
    assert consensus.tenure.lease.acked == {}


def test_who_left_and_is_back_is_noticed_by_its_first_row():
    consensus = a_leader()
    acknowledges(consensus, 1, farewell=Farewell.LEAVING, bound=True)
    assert consensus.tenure.lease.left == {1}
    goes_on(consensus, 1.0)
    hear(consensus, 1, incarnation=7)
    assert consensus.tenure.lease.left == set()
    assert consensus.tenure.lease.returned_at == {1: 101.0}


def test_an_election_begins_with_a_new_lease_and_ends_a_reign():
    consensus = one_consensus()
    consensus.tenure.acting = consensus.tenure.reigns = True
    consensus.tenure.lease.acked[1] = 100.0
    elect_consensus(consensus, 3)
    assert not consensus.tenure.acting and not consensus.tenure.reigns
    assert not consensus.tenure.has_lease()


@pytest.mark.parametrize('votes, forced, reigns', [
    (1, True, True), (2, True, False), (3, True, False), (1, False, False), (2, False, False)])
def test_who_is_elected_by_force_and_by_less_than_a_majority_reigns(votes, forced, reigns):
    consensus = one_consensus()
    elect_consensus(consensus, 3, votes, forced)
    assert consensus.tenure.reigns is reigns


def test_a_reign_has_no_end_but_where_the_node_is_silent_for_a_lease():
    consensus = one_consensus()
    elect_consensus(consensus, 3, 1, True)
    assert consensus.tenure.until() == FOREVER and consensus.tenure.has_lease()
    consensus.speaker.unsaved_since = 101.0
    assert consensus.tenure.until() == pytest.approx(101.0 + LEASE)
    consensus.tenure.reign_ended()
    assert not consensus.tenure.has_lease()


def test_a_reign_survives_a_restart_of_the_leader_and_of_nobody_else():
    assert one_consensus(saved=Saved(term=3, leader=0, forced=True)).tenure.reigns
    assert not one_consensus(saved=Saved(term=3, leader=0)).tenure.reigns
    for own, leader in ((0, 1), (1, 0)):
        saved = Saved(term=3, leader=leader, forced=True)
        assert not one_consensus(own=own, saved=saved).tenure.reigns
    assert not one_consensus(saved=None).tenure.reigns


@pytest.mark.parametrize('term, forced, backed, deposed', [
    (7, False, False, True), (7, False, True, True), (7, True, False, True), (7, True, True, False),
    (6, False, False, False), (5, False, False, False)])
def test_a_leading_row_of_a_higher_term_deposes_a_leader_but_not_force_one_that_is_backed(
        term, forced, backed, deposed):
    consensus = a_leader()
    if backed:
        acknowledges(consensus, 2)
    heard = hear(consensus, 1, term=term, forced=forced, **LEADER)
    assert follows(consensus).deposed_by == (heard if deposed else None)
    assert follows(consensus).taken is None


def test_who_does_not_lead_is_deposed_by_nobody():
    consensus = a_follower()
    assert not consensus.tenure.is_deposed_by(row(1, term=9, **LEADER))


@pytest.mark.parametrize('changes, term', [
    (dict(term=7), 9), (dict(term=6), 6), (dict(term=5), 6), (dict(term=9), 12),
    (dict(term=7, **LEADER), 6), (dict(term=7, forced=True), 9),
    (dict(term=7, forced=True, **LEADER), 6)])
def test_a_leader_goes_on_in_a_term_of_its_own_above_those_of_who_could_not_follow_else(
        changes, term):
    consensus = a_leader()
    hear(consensus, 1, **changes)
    consensus.tenure.keep_term_above()
    assert consensus.term == term
    texts = [text for text in told(consensus) if 'goes on leading' in text]
    assert texts == ([] if term == 6 else [
        'goes on leading in term %d: a node had reached %d' % (term, changes['term'])])


def test_a_leader_that_is_backed_goes_on_above_one_that_leads_by_force():
    consensus = a_leader()
    acknowledges(consensus, 2)
    hear(consensus, 1, term=7, forced=True, **LEADER)
    consensus.tenure.keep_term_above()
    assert consensus.term == 9


def test_a_leader_wants_the_acknowledgement_of_its_newest_round():
    consensus = a_follower()
    consensus.speaker.round_at = 100.0
    assert not consensus.tenure.wants_acknowledgements()
    consensus = a_leader()
    consensus.speaker.round_at = 100.0
    assert consensus.tenure.wants_acknowledgements()
    acknowledges(consensus, 1)
    assert not consensus.tenure.wants_acknowledgements()
    consensus.speaker.round_at = 100.5
    assert consensus.tenure.wants_acknowledgements()
    consensus.tenure.reigns = True
    assert not consensus.tenure.wants_acknowledgements()
    assert not a_leader(2).tenure.wants_acknowledgements(), 'nobody can outvote it'


# -- giving up -------------------------------------------------------------------------------------

def test_under_a_lease_it_gives_up_patiently_and_else_at_once():
    consensus = a_leader()
    acknowledges(consensus, 1)
    consensus.step_down('it was asked to', True)
    assert consensus.role is Role.YIELDS and consensus.ballot.leader == 0
    consensus.step_down('it was asked to', True)
    assert consensus.role is Role.YIELDS
    consensus.step_down('its server is gone', False)
    assert consensus.role is Role.RETREATS and consensus.ballot.leader is None
    consensus.step_down('its server is gone', False)
    assert consensus.role is Role.RETREATS
    consensus = a_leader()
    consensus.step_down('it has no lease', True)
    assert consensus.role is Role.RETREATS


def test_who_has_stepped_down_misses_a_leader_from_then_on():
    consensus = a_leader()
    consensus.tenure.acting = consensus.tenure.reigns = True
    consensus.follower.lost_at = 99.0
    consensus.step_down('it ended', False)
    consensus.facts.clock.advance(105.0)
    consensus.stepped_down('it ended', NodeState.STANDBY)
    assert consensus.role is Role.FOLLOWS and consensus.state is NodeState.STANDBY
    assert consensus.ballot.leader is None and consensus.follower.lost_at == 105.0
    assert not consensus.tenure.acting and not consensus.tenure.reigns


def test_who_resigns_before_it_took_over_lets_others_go_first():
    consensus = one_consensus()
    elect_consensus(consensus, 3)
    consensus.follower.lost_at = None
    consensus.resign()
    assert consensus.role is Role.FOLLOWS and consensus.ballot.leader is None
    assert consensus.follower.lost_at == 100.0 and consensus.contest.stand_after > 100.0


def test_a_handover_can_be_undone():
    consensus = a_leader()
    consensus.hand_over()
    assert consensus.role is Role.YIELDS and consensus.leads and consensus.steps_down
    consensus.stay()
    assert consensus.role is Role.LEADS and not consensus.steps_down


def test_a_leader_misses_no_leader_and_follows_none():
    consensus = a_leader()
    assert not consensus.follower.misses_leader and not consensus.follower.following
    assert consensus.leader_row() is None
    consensus.follower.lost_at = None
    consensus.promise.leader = 1
    assert not consensus.follower.following


def test_force_ends_a_bond_and_nothing_else():
    consensus = a_follower()
    consensus.answer_by_force()
    assert consensus.promise.leader == 1
    consensus.promise.bind()
    consensus.answer_by_force()
    assert consensus.promise.leader is None and not consensus.promise.bound


# -- what is saved, and what is seen of the invariants ---------------------------------------------

def test_a_leader_saves_itself_and_a_follower_its_leader():
    consensus = a_leader()
    assert consensus.to_save(None, (), None).leader == 0
    saved = a_follower().to_save('record', ('a',), 'claim')
    assert saved == Saved(4, None, 1, HOLD, False, False, 'record', ('a',), False, 'claim')


def test_who_steps_down_saves_itself_but_beside_a_leader_its_leader():
    consensus = a_leader()
    consensus.step_down('it ended', False)
    assert consensus.to_save(None, (), None).leader == 0
    consensus.promise.renew(row(2, forced=True))
    saved = consensus.to_save(None, (), None)
    assert saved.leader == 2 and saved.forced


def test_who_reigned_when_its_daemon_ended_still_saves_that():
    consensus = one_consensus(saved=Saved(term=3, leader=0, forced=True))
    saved = consensus.to_save(None, (), None)
    assert saved.leader == 0 and saved.forced


@pytest.mark.parametrize('spoil', [
    lambda consensus: setattr(consensus.ballot, 'voted_for', 1),
    lambda consensus: setattr(consensus.ballot, 'term', 7),
    lambda consensus: setattr(consensus.ballot, 'leader', None),
    lambda consensus: setattr(consensus.promise, 'leader', 1),
    lambda consensus: setattr(consensus, 'farewell', Farewell.LEAVING)])
def test_a_leader_that_breaks_an_invariant_ends_as_by_a_crash(spoil):
    consensus = a_leader()
    consensus.check()
    spoil(consensus)
    with pytest.raises(AssertionError):
        consensus.check()


@pytest.mark.parametrize('name, value', [
    ('term', 3), ('term', 5), ('voted_for', 0), ('voted_for', 2), ('voted_for', None)])
def test_a_candidate_of_a_term_or_with_a_vote_of_another_ends_as_by_a_crash(name, value):
    consensus = one_consensus(own=1)
    consensus.ballot.stand(4)
    consensus.check()
    setattr(consensus.ballot, name, value)
    with pytest.raises(AssertionError):
        consensus.check()


def test_a_follower_may_have_voted_for_another_and_end():
    consensus = a_follower()
    consensus.ballot.voted_for = 2
    consensus.check()
    consensus.leave(Farewell.RESTARTING)
    consensus.check()


@pytest.mark.parametrize('own, spoil', [(0, 1), (1, 0)])
def test_a_leader_that_follows_another_ends_as_by_a_crash(own, spoil):
    consensus = one_consensus(own=own)
    elect_consensus(consensus, 3 + own)
    consensus.check()
    consensus.ballot.leader = spoil
    with pytest.raises(AssertionError):
        consensus.check()
