"""The leader's lease: counted from when it spoke, resting on who is bound."""

import pytest

from ahmlib.core.beacon import Farewell
from ahmlib.core.lease import FOREVER, NEVER, Lease
from ahmlib.core.timing import Timing

from .rows import one_settings, row

LEASE = Timing(0.5, 2).lease


def acknowledged(lease, sender, sent_at, **changes):
    """A peer repeats a leading row that was sent at that instant."""
    lease.acknowledged(row(sender, lease.size, **changes), sent_at)


def test_it_is_counted_from_the_send_time_of_what_is_acknowledged():
    lease = Lease(one_settings())
    assert lease.until(10.0) == NEVER
    acknowledged(lease, 1, 10.0)
    assert lease.until(10.4) == pytest.approx(10.0 + LEASE)


def test_an_older_acknowledgement_takes_nothing_back():
    lease = Lease(one_settings())
    acknowledged(lease, 1, 10.0)
    acknowledged(lease, 1, 9.0)
    assert lease.until(10.4) == pytest.approx(10.0 + LEASE)


def test_five_nodes_need_two_others():
    lease = Lease(one_settings(5))
    acknowledged(lease, 1, 10.0)
    assert lease.until(10.1) == NEVER
    acknowledged(lease, 2, 9.5)
    assert lease.until(10.1) == pytest.approx(9.5 + LEASE)


def test_two_nodes_without_half_votes_cannot_be_outvoted():
    assert Lease(one_settings(2)).until(10.0) == FOREVER


def test_who_left_counts_while_everybody_who_stayed_acknowledges():
    lease = Lease(one_settings())
    acknowledged(lease, 1, 10.0, farewell=Farewell.LEAVING, bound=True)
    assert lease.until(100.0) == NEVER           # node 2 never acknowledged
    acknowledged(lease, 2, 99.0)
    assert lease.until(100.0) == pytest.approx(99.0 + LEASE)


def test_when_all_standbys_left_the_lease_does_not_end():
    lease = Lease(one_settings())
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0, farewell=Farewell.LEAVING, bound=True)
    assert lease.until(1000.0) == pytest.approx(1000.0 + LEASE)


def test_who_comes_back_answers_for_itself_from_then_on():
    lease = Lease(one_settings())
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0, farewell=Farewell.LEAVING, bound=True)
    lease.returned(1, 50.0)
    assert lease.until(50.2) == pytest.approx(50.0 + LEASE)


def test_who_came_back_backs_no_lease_longer_than_those_whose_election_would_free_it():
    lease = Lease(one_settings())
    acknowledged(lease, 1, 10.0)
    acknowledged(lease, 2, 10.0, farewell=Farewell.LEAVING, bound=True)
    lease.returned(2, 15.0)
    assert lease.until(15.2) == pytest.approx(10.0 + LEASE)
    acknowledged(lease, 2, 16.0)
    assert lease.until(16.2) == pytest.approx(16.0 + LEASE)


def test_a_goodbye_without_a_bond_binds_nobody():
    lease = Lease(one_settings())
    acknowledged(lease, 1, 10.0, farewell=Farewell.RESTARTING)
    assert lease.until(100.0) == pytest.approx(10.0 + LEASE)


def test_half_the_nodes_need_a_trusted_server_where_one_is_set():
    lease = Lease(one_settings(2, half_votes=True, trusted=True))
    assert lease.until(10.0) == NEVER
    lease.trusted_at = 9.5
    assert lease.until(10.0) == pytest.approx(9.5 + LEASE)


def test_more_than_half_need_no_trusted_server():
    lease = Lease(one_settings(4, half_votes=True, trusted=True))
    for sender in (1, 2):
        acknowledged(lease, sender, 10.0)
    assert lease.until(10.1) == pytest.approx(10.0 + LEASE)
