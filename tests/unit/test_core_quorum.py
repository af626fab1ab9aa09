"""Votes and acknowledgements share a node, or nothing else here matters."""

from hypothesis import given
from hypothesis import strategies as st

from ahmlib.core.consensus.quorum import lease_needed, next_own_term, reached_by, votes_needed

SIZES = st.integers(1, 200)


@given(SIZES)
def test_any_voters_and_any_acknowledgers_share_a_node(size):
    assert votes_needed(size, False) + lease_needed(size, False) > size
    assert 2 * votes_needed(size, False) > size


@given(SIZES)
def test_half_votes_change_even_clusters_only(size):
    if size % 2:
        assert votes_needed(size, True) == votes_needed(size, False)
        assert lease_needed(size, True) == lease_needed(size, False)
    else:
        assert votes_needed(size, True) == lease_needed(size, True) == size // 2


def test_two_nodes_without_half_votes_need_nobody_to_keep_the_lead():
    assert votes_needed(2, False) == 2 and lease_needed(2, False) == 1


@given(st.integers(0, 10 ** 9), st.integers(1, 50), st.data())
def test_a_term_belongs_to_one_node(above, size, data):
    own = data.draw(st.integers(0, size - 1))
    term = next_own_term(above, own, size)
    assert above < term <= above + size and term % size == own


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.data())
def test_reached_by_is_the_latest_instant_that_so_many_reach(instants, data):
    needed = data.draw(st.integers(1, len(instants)))
    found = reached_by(instants, needed)
    assert sum(instant >= found for instant in instants) >= needed
    assert sum(instant > found for instant in instants) < needed
