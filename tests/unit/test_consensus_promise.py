"""A follower's duty to its leader: whom it binds, for how long, and what ends it."""

import pytest

from ahmlib.core.beacon import Due, Farewell
from ahmlib.core.consensus.promise import Promise, hold_for
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.timing import LEAST_GRACE, Timing, candidacy_seconds
from ahmlib.core.facts import Facts
from ahmlib.core.states import DatabaseState, NodeState

from .rows import goes_on, hear, one_consensus, one_settings, row

HOLD = one_settings().timing.hold


def a_promise(saved=Saved(), now=100.0):
    """What this node owes as it starts."""
    return Promise(Facts(one_settings(), now), saved)


def at(promise, now):
    """The same, at this instant."""
    promise.facts.clock.advance(now)
    return promise


def test_the_three_durations():
    timing = Timing(8.0, 2)
    assert timing.lease == pytest.approx(18.0)
    assert timing.hold == pytest.approx(1.1 * 18.0 + 2.0)
    assert timing.fence == pytest.approx(timing.hold / 1.1 - 18.0)
    assert candidacy_seconds(8.0) == 2.0 and candidacy_seconds(1.0) == LEAST_GRACE == 0.5


def test_it_holds_until_its_instant():
    promise = a_promise()
    promise.renew(row(1))
    until = 100.0 + HOLD
    assert at(promise, until - 0.001).holds()
    assert promise.holds_at(until - 0.001) and not promise.holds_at(until)
    assert not at(promise, until).holds()


def test_it_holds_longer_where_the_leaders_timings_are_longer():
    """Both count from the same two numbers: its own lease is as long as the leader's row says."""
    promise = a_promise()
    promise.renew(row(1, interval=8.0, retries=5))
    hold = Timing(8.0, 5).hold
    assert promise.hold == pytest.approx(hold) and hold > HOLD
    assert at(promise, 100.0 + hold - 0.001).holds() and not at(promise, 100.0 + hold).holds()


def test_it_holds_as_long_as_the_own_timings_say_where_these_are_longer():
    assert hold_for(row(1, interval=0.5, retries=2), 9.0) == 9.0


def test_what_a_longer_hold_promised_is_kept_over_a_restart():
    consensus = one_consensus()
    consensus.follow(None, NodeState.STANDBY)
    hear(consensus, 1, state=NodeState.LEADER, term=4, interval=8.0, retries=5)
    consensus.follow(None, NodeState.STANDBY)
    saved = consensus.to_save(None, (), None)
    assert saved.leader == 1 and saved.hold == pytest.approx(Timing(8.0, 5).hold)
    again = a_promise(saved)
    assert at(again, 100.0 + saved.hold - 0.001).holds()
    assert not at(again, 100.0 + saved.hold).holds()


def test_who_never_promised_anything_has_no_hold_on_disk():
    assert Saved().hold == 0.0 == one_consensus().to_save(None, (), None).hold


def test_a_restart_takes_the_longer_of_what_was_promised_and_what_would_be_now():
    assert a_promise(Saved(leader=1, hold=0.1)).until == pytest.approx(100.0 + HOLD)


def test_of_a_leader_that_is_known_from_disk_only_any_row_is_news():
    promise = a_promise(Saved(leader=1, hold=HOLD))
    assert (promise.leader, promise.incarnation, promise.seq) == (1, 0, 0)
    promise.renew(row(1, incarnation=5, seq=9))
    assert (promise.incarnation, promise.seq) == (5, 9)
    promise.recall(2, 1.0, False, False)
    assert (promise.leader, promise.incarnation, promise.seq) == (2, 0, 0)


@pytest.mark.parametrize('leader', [None, 0])
def test_who_led_itself_owes_nothing_after_a_restart(leader):
    promise = a_promise(Saved(leader=leader, hold=9.0, bound=True, forced=True))
    assert promise.leader is None and not promise.bound and not promise.reigned
    assert not promise.holds() and not promise.holds_at(100.0) and promise.allows(2)
    assert (promise.incarnation, promise.seq, promise.free_for) == (0, 0, None)


def test_a_bond_has_no_end_and_survives_a_restart():
    promise = a_promise()
    promise.renew(row(1))
    promise.bind()
    assert promise.bound and at(promise, 1e6).holds() and promise.holds_at(1e6)
    promise = a_promise(Saved(leader=1, hold=HOLD, bound=True, forced=True))
    assert promise.reigned and at(promise, 1e6).holds()


def test_a_leader_that_reigns_is_owed_without_end_until_it_does_not_reign():
    promise = a_promise()
    promise.renew(row(1, forced=True))
    assert promise.bound and promise.reigned
    promise.renew(row(1, seq=2))
    assert not promise.bound and not promise.reigned


def test_it_lets_its_leader_alone_be_elected():
    promise = a_promise()
    assert promise.allows(1) and promise.allows(2)
    promise.renew(row(1))
    assert promise.allows(1) and not promise.allows(2)
    assert at(promise, 100.0 + HOLD).allows(2)


def test_to_promise_anew_takes_back_that_a_return_was_free():
    promise = a_promise()
    promise.renew(row(1))
    promise.frees(1)
    assert promise.free_for == 1
    promise.renew(row(1, seq=2))
    assert promise.free_for is None


def test_once_it_ended_nothing_is_owed():
    promise = a_promise()
    promise.renew(row(1, forced=True))
    promise.end()
    assert (promise.leader, promise.bound, promise.reigned) == (None, False, False)


def test_without_a_state_file_it_may_owe_what_it_does_not_know():
    promise = a_promise(None)
    assert promise.blind and promise.hold == 0.0
    assert promise.blind_until == pytest.approx(100.0 + HOLD)
    promise.see()
    assert not promise.blind
    assert a_promise(Saved(blind=True)).blind and not a_promise(Saved()).blind


def following(consensus, **changes):
    """This node follows node 1 of term 4, by a row that it has just heard."""
    found = hear(consensus, 1, state=NodeState.LEADER, term=4, incarnation=50, **changes)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader == 1
    return found


#: A row of a leader that has given everything up.
RESIGNED = dict(state=NodeState.STANDBY, database=DatabaseState.STANDBY, incarnation=50)


def test_a_resignation_releases():
    consensus = one_consensus()
    following(consensus)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, **RESIGNED)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader is None and consensus.ballot.leader is None
    assert consensus.follower.lost_at == consensus.facts.now


def test_an_old_resignation_does_not_release_a_promise_that_was_renewed():
    """What stands in the table may be older than the row that the promise was renewed for."""
    consensus = one_consensus()
    hear(consensus, 1, term=4, **RESIGNED)
    led = row(1, state=NodeState.LEADER, term=4, incarnation=50, seq=2)
    consensus.ballot.follow(1, 4)
    consensus.promise.renew(led)
    for newest in (1, 2):           # older than what was promised for, and the same
        consensus.members.peers[1].row = consensus.members.row(1)._replace(seq=newest)
        consensus.follower.decide(None, NodeState.STANDBY)
        assert consensus.promise.leader == 1
    consensus.members.peers[1].row = consensus.members.row(1)._replace(seq=3)
    consensus.follower.decide(None, NodeState.STANDBY)
    assert consensus.promise.leader is None


def test_a_resignation_of_an_older_term_releases_nobody():
    """Its sender may lead in the term that this node has entered since."""
    consensus = one_consensus()
    following(consensus)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=3, **RESIGNED)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader == 1


@pytest.mark.parametrize('incarnation', [49, 51])
def test_another_incarnation_of_the_leader_that_gave_all_up_releases_whatever_its_seq(incarnation):
    consensus = one_consensus()
    following(consensus, seq=9)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, **dict(RESIGNED, incarnation=incarnation, seq=1))
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader is None


@pytest.mark.parametrize('incarnation', [49, 51])
def test_whose_leader_is_back_beside_its_primary_is_free_for_its_return_alone(incarnation):
    consensus = one_consensus()
    following(consensus)
    goes_on(consensus, 0.1)
    hear(consensus, 1, term=4, state=NodeState.PARTICIPATE_IN_ELECTION,
         database=DatabaseState.PRIMARY, incarnation=incarnation)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader == 1 and consensus.promise.free_for == 1


def bound(consensus, **changes):
    """It left for good, bound to node 1 of term 4, and is back."""
    following(consensus, **changes)
    consensus.promise.bind()
    goes_on(consensus, HOLD + 0.1)


@pytest.mark.parametrize('changes, freed', [
    (dict(due=Due.ANYBODY), True),
    (dict(due=Due.NOBODY), False),
    (dict(due=Due.ANYBODY, bound=True), False),
    (dict(due=Due.ANYBODY, due_only=1), False),
    (dict(due=Due.ANYBODY, due_only=2), True),
    (dict(state=NodeState.LEADER, term=5), True),
    (dict(state=NodeState.LEADER, term=4), False),
])
def test_who_is_bound_is_freed_by_one_who_is_not_and_owes_that_leader_nothing(changes, freed):
    consensus = one_consensus(size=5)
    bound(consensus)
    hear(consensus, 2, **changes)
    consensus.follower._release(None)
    assert (consensus.promise.leader is None) is freed


@pytest.mark.parametrize('sender', [0, 2])
def test_who_is_bound_is_freed_by_a_later_leader_whatever_its_place(sender):
    consensus = one_consensus(size=5, own=4)
    bound(consensus)
    hear(consensus, sender, state=NodeState.LEADER, term=7)
    consensus.follower._release(None)
    assert consensus.promise.leader is None


def test_who_is_bound_is_not_freed_by_its_leader_in_a_later_term():
    consensus = one_consensus(size=5)
    bound(consensus)
    hear(consensus, 1, state=NodeState.LEADER, term=6, incarnation=50)
    consensus.follower._release(None)
    assert consensus.promise.leader == 1 and consensus.promise.bound


def test_who_is_bound_is_freed_by_an_election_only_after_what_it_had_promised_before():
    consensus = one_consensus(size=5)
    following(consensus)
    consensus.promise.bind()
    goes_on(consensus, HOLD - 0.01)
    hear(consensus, 2, due=Due.ANYBODY)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader == 1
    goes_on(consensus, 0.02)
    consensus.follow(None, NodeState.STANDBY)
    assert consensus.promise.leader is None


@pytest.mark.parametrize('changes, freed', [
    (dict(due=Due.ANYBODY), False),
    (dict(due=Due.ANYBODY, forced=True), True),
    (dict(due=Due.ANYBODY, forced=True, record=(9, 9)), False),
])
def test_who_is_bound_to_a_leader_that_reigns_is_freed_by_force_alone(changes, freed):
    consensus = one_consensus(size=5)
    bound(consensus, forced=True)
    hear(consensus, 2, **changes)
    consensus.follower._release(None)
    assert (consensus.promise.leader is None) is freed


def test_who_leaves_for_good_binds_itself_and_only_a_follower_does():
    consensus = one_consensus()
    following(consensus)
    consensus.leave(Farewell.LEAVING)
    assert consensus.promise.bound and consensus.farewell is Farewell.LEAVING
    consensus = one_consensus()
    following(consensus)
    consensus.leave(Farewell.RESTARTING)
    assert not consensus.promise.bound
    consensus = one_consensus()
    consensus.leave(Farewell.LEAVING)
    assert not consensus.promise.bound
