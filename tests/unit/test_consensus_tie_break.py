"""Half votes on an even number of nodes: a trusted server decides, and what it said grows old."""

import pytest

from ahmlib.core.consensus.timing import CLOCK_RATE_MARGIN

from .rows import goes_on, hear, one_consensus, one_settings, row

LEASE = one_settings().timing.lease
HOLD = one_settings().timing.hold
HALVES = dict(half_votes=True, trusted=True)


def at(consensus, now):
    """Its tie break, at this instant."""
    consensus.facts.clock.advance(now)
    return consensus.tie_break


@pytest.mark.parametrize('size, changes, halves, is_needed', [
    (2, dict(half_votes=True, trusted=True), True, True),
    (4, dict(half_votes=True, trusted=False), True, False),
    (4, dict(half_votes=False, trusted=True), False, False),
    (3, dict(half_votes=True, trusted=True), False, False),
    (5, dict(half_votes=True, trusted=True), False, False),
])
def test_where_half_of_the_nodes_elect_and_where_a_trusted_server_decides(
        size, changes, halves, is_needed):
    found = one_consensus(size, **changes).tie_break
    assert bool(found.halves) is halves and bool(found.is_needed) is is_needed


def test_a_half_that_has_reached_no_trusted_server_is_isolated():
    assert one_consensus(2, **HALVES).tie_break.is_isolated()
    assert not one_consensus(2, half_votes=True).tie_break.is_isolated()
    assert not one_consensus(3, **HALVES).tie_break.is_isolated()


def test_an_answer_of_a_trusted_server_counts_for_a_lease():
    consensus = one_consensus(2, **HALVES)
    consensus.tie_break.reached(100.0)
    assert not at(consensus, 100.0 + LEASE - 0.001).is_isolated()
    assert at(consensus, 100.0 + LEASE).is_isolated()


def test_more_than_half_of_the_nodes_are_never_isolated():
    consensus = one_consensus(4, **HALVES)
    hear(consensus, 1)
    assert consensus.tie_break.is_isolated()
    hear(consensus, 2)
    assert not consensus.tie_break.is_isolated()


def test_a_half_that_owes_the_other_one_a_promise_counts_no_answer_from_before_that_rests():
    """The other half may lead on a server that it reached an interval after its newest row here."""
    consensus = one_consensus(4, **HALVES)
    consensus.promise.renew(row(3, 4))
    rests = 100.0 + HOLD + CLOCK_RATE_MARGIN * consensus.facts.settings.interval
    consensus.tie_break.reached(rests - 0.01)
    assert at(consensus, rests - 0.01).is_isolated()
    consensus.tie_break.reached(rests)
    assert not at(consensus, rests).is_isolated()


def test_without_a_promise_any_answer_counts():
    consensus = one_consensus(4, **HALVES)
    consensus.promise.renew(row(3, 4))
    consensus.promise.end()
    consensus.tie_break.reached(100.1)
    assert not at(consensus, 100.1).is_isolated()


def test_a_half_has_heard_out_the_other_one_after_it_listened_for_the_hold_time():
    consensus = one_consensus(4, half_votes=True)
    hear(consensus, 1)
    assert not at(consensus, 100.0 + HOLD - 0.001).is_heard_out()
    assert at(consensus, 100.0 + HOLD).is_heard_out()


def test_where_more_than_half_are_in_touch_or_half_do_not_elect_nobody_has_to_be_heard_out():
    assert one_consensus(4).tie_break.is_heard_out()
    consensus = one_consensus(4, half_votes=True)
    hear(consensus, 1)
    assert not consensus.tie_break.is_heard_out()
    hear(consensus, 2)
    assert consensus.tie_break.is_heard_out()


def test_a_half_listens_since_its_isolation_ended_and_the_start_of_the_daemon():
    consensus = one_consensus(2, **HALVES)
    assert not at(consensus, 200.0).is_heard_out(), 'no trusted server was reached yet'
    consensus.tie_break.reached(200.0)
    assert not at(consensus, 200.0 + HOLD - 0.001).is_heard_out()
    assert at(consensus, 200.0 + HOLD).is_heard_out()
    consensus = one_consensus(2, **HALVES)
    consensus.tie_break.reached(99.0)       # asked before the start counts from the start
    assert not at(consensus, 100.0 + HOLD - 0.001).is_heard_out()
    assert at(consensus, 100.0 + HOLD).is_heard_out()


def test_a_gap_of_a_lease_between_two_answers_begins_the_listening_anew():
    found = one_consensus(2, **HALVES).tie_break
    found.reached(100.0)
    found.reached(100.0 + LEASE)
    assert (found.since, found.reached_at) == (100.0, 100.0 + LEASE)
    later = 100.0 + 2 * LEASE + 0.001
    found.reached(later)
    assert (found.since, found.reached_at) == (later, later)


def test_no_answer_of_a_server_makes_up_for_a_start_that_is_later():
    consensus = one_consensus(2, now=50.0, half_votes=True)
    goes_on(consensus, HOLD - 0.01)
    assert not consensus.tie_break.is_heard_out()
