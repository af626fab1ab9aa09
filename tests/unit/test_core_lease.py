"""The leader's lease: counted from when it spoke, resting on who is bound."""

import pytest

from ahmlib.core.beacon import Farewell
from ahmlib.core.consensus.lease import FOREVER, NEVER, Lease
from ahmlib.core.consensus.membership import Membership
from ahmlib.core.consensus.promise import Promise
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.tie_break import TieBreak
from ahmlib.core.consensus.timing import Timing
from ahmlib.core.facts import Facts

from .rows import one_settings, row

LEASE = Timing(0.5, 2).lease


def a_lease(size=3, own=0, **changes):
    """The lease of a leader that nobody acknowledges yet."""
    facts = Facts(one_settings(size, own, **changes), 0.0)
    return Lease(facts, TieBreak(facts, Membership(facts, 4711), Promise(facts, Saved())))


def acknowledged(lease, sender, sent_at, **changes):
    """A peer repeats a leading row that was sent at that instant."""
    lease.acknowledged(row(sender, lease.facts.settings.size, **changes), sent_at)


def returned(lease, sender, now):
    """One that had left is heard again, at this instant."""
    lease.facts.clock.advance(now)
    lease.returned(sender)


def until(lease, now):
    """When it ends, as far as is known at this instant."""
    lease.facts.clock.advance(now)
    return lease.until()


def test_it_is_counted_from_the_send_time_of_what_is_acknowledged():
    lease = a_lease()
    assert until(lease, 10.0) == NEVER
    acknowledged(lease, 1, 10.0)
    assert until(lease, 10.4) == pytest.approx(10.0 + LEASE)


def test_everybody_else_counts_whatever_the_place_of_the_leader():
    for own in range(5):
        lease = a_lease(5, own)
        for sender in range(5):
            if sender != own:
                acknowledged(lease, sender, 10.0)
        lease.facts.clock.advance(20.0)
        assert [lease.basis(needed) for needed in range(1, 6)] == [20.0] + [10.0] * 4


def test_an_older_acknowledgement_takes_nothing_back():
    lease = a_lease()
    acknowledged(lease, 1, 10.0)
    acknowledged(lease, 1, 9.0)
    assert until(lease, 10.4) == pytest.approx(10.0 + LEASE)


def test_five_nodes_need_two_others():
    lease = a_lease(5)
    acknowledged(lease, 1, 10.0)
    assert until(lease, 10.1) == NEVER
    acknowledged(lease, 2, 9.5)
    assert until(lease, 10.1) == pytest.approx(9.5 + LEASE)


def test_two_nodes_without_half_votes_cannot_be_outvoted():
    assert until(a_lease(2), 10.0) == FOREVER


def test_who_left_counts_while_everybody_who_stayed_acknowledges():
    lease = a_lease()
    acknowledged(lease, 1, 10.0, farewell=Farewell.LEAVING, bound=True)
    assert until(lease, 100.0) == NEVER           # node 2 never acknowledged
    acknowledged(lease, 2, 99.0)
    assert until(lease, 100.0) == pytest.approx(99.0 + LEASE)


def test_when_all_standbys_left_the_lease_does_not_end():
    lease = a_lease()
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0, farewell=Farewell.LEAVING, bound=True)
    assert until(lease, 1000.0) == pytest.approx(1000.0 + LEASE)


def test_who_comes_back_answers_for_itself_from_then_on():
    lease = a_lease()
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0, farewell=Farewell.LEAVING, bound=True)
    returned(lease, 1, 50.0)
    assert until(lease, 50.2) == pytest.approx(50.0 + LEASE)


def test_who_came_back_backs_no_lease_longer_than_those_whose_election_would_free_it():
    lease = a_lease()
    acknowledged(lease, 1, 10.0)
    acknowledged(lease, 2, 10.0, farewell=Farewell.LEAVING, bound=True)
    returned(lease, 2, 15.0)
    assert until(lease, 15.2) == pytest.approx(10.0 + LEASE)
    acknowledged(lease, 2, 16.0)
    assert until(lease, 16.2) == pytest.approx(16.0 + LEASE)


def test_a_goodbye_without_a_bond_binds_nobody():
    lease = a_lease()
    acknowledged(lease, 1, 10.0, farewell=Farewell.RESTARTING)
    assert until(lease, 100.0) == pytest.approx(10.0 + LEASE)


def test_half_the_nodes_need_a_trusted_server_where_one_is_set():
    lease = a_lease(2, half_votes=True, trusted=True)
    assert until(lease, 10.0) == NEVER
    lease.tie_break.reached(9.5)
    assert until(lease, 10.0) == pytest.approx(9.5 + LEASE)


def test_more_than_half_need_no_trusted_server():
    lease = a_lease(4, half_votes=True, trusted=True)
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0)
    assert until(lease, 10.1) == pytest.approx(10.0 + LEASE)


def test_who_does_not_leave_for_good_or_is_not_bound_yet_answers_for_itself():
    for changes in (dict(farewell=Farewell.LEAVING), dict(bound=True),
                    dict(farewell=Farewell.LEAVING, bound=False)):
        lease = a_lease()
        acknowledged(lease, 1, 10.0, **changes)
        acknowledged(lease, 2, 99.0)
        assert lease.left == set()


def test_a_node_that_had_not_left_returns_from_nowhere():
    lease = a_lease()
    acknowledged(lease, 1, 10.0)
    returned(lease, 1, 11.0)
    assert lease.returned_at == {}
    assert until(lease, 11.0) == pytest.approx(10.0 + LEASE)


def test_who_came_back_and_acknowledges_anew_counts_by_its_word_again():
    lease = a_lease()
    acknowledged(lease, 1, 10.0, farewell=Farewell.LEAVING, bound=True)
    returned(lease, 1, 50.0)
    assert lease.returned_at == {1: 50.0} and lease.left == set()
    acknowledged(lease, 1, 51.0)
    assert lease.returned_at == {}


def test_an_acknowledgement_counts_for_a_lease_and_no_longer():
    lease = a_lease(5)
    acknowledged(lease, 1, 10.0)
    acknowledged(lease, 2, 11.0)
    lease.facts.clock.advance(10.0 + LEASE - 0.001)
    assert lease.acknowledging() == 3
    lease.facts.clock.advance(10.0 + LEASE)
    assert lease.acknowledging() == 2


def test_a_majority_backs_it_as_long_as_its_acknowledgements_count():
    lease = a_lease(4, half_votes=True)
    acknowledged(lease, 1, 10.0)
    lease.facts.clock.advance(10.1)
    assert lease.needed == 2 and not lease.is_backed_by_majority()
    acknowledged(lease, 2, 10.0)
    assert lease.is_backed_by_majority()
    lease.facts.clock.advance(10.0 + LEASE - 0.001)
    assert lease.is_backed_by_majority()
    lease.facts.clock.advance(10.0 + LEASE)
    assert not lease.is_backed_by_majority()


def test_half_the_nodes_keep_a_lease_no_longer_than_they_and_the_trusted_server_count():
    lease = a_lease(4, half_votes=True, trusted=True)
    acknowledged(lease, 1, 10.0)
    lease.tie_break.reached(9.5)
    assert until(lease, 10.0) == pytest.approx(9.5 + LEASE)
    lease.tie_break.reached(10.5)
    assert until(lease, 10.6) == pytest.approx(10.0 + LEASE)


def test_half_the_nodes_need_nobody_else_where_no_trusted_server_is_set():
    lease = a_lease(4, half_votes=True)
    acknowledged(lease, 1, 10.0)
    assert until(lease, 10.0) == pytest.approx(10.0 + LEASE)


def test_who_left_counts_no_longer_than_the_last_of_those_who_stayed():
    lease = a_lease(5)
    acknowledged(lease, 1, 10.0, farewell=Farewell.LEAVING, bound=True)
    for sender, sent_at in ((2, 12.0), (3, 11.0), (4, 10.5)):
        acknowledged(lease, sender, sent_at)
    assert until(lease, 12.0) == pytest.approx(11.0 + LEASE)
    assert [lease.basis(needed) for needed in range(1, 6)] == [12.0, 12.0, 11.0, 10.5, 10.5]
