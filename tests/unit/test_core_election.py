"""Data first, then preference; and who may not lead is told why."""

import pytest

from ahmlib.core.beacon import Due, Record
from ahmlib.core.consensus.contest import pause_after_losing
from ahmlib.core.policy.election import (
    View,
    best,
    finds_due,
    has_replayed,
    level_needed,
    rank,
    why_not_eligible,
    why_sync_forbids,
)
from ahmlib.core.policy.record import is_rightful, newest_record
from ahmlib.core.states import DatabaseState

from .rows import SYSTEM, row

VIEW = View(system_id=SYSTEM)

BETTER = [
    (dict(database=DatabaseState.PRIMARY, rightful=True, lsn=1), dict(timeline=9, lsn=9000)),
    (dict(timeline=2, lsn=1), dict(timeline=1, lsn=9000)),
    (dict(lsn=1001, priority=9), dict(lsn=1000, priority=1)),
    (dict(lsn=1001, hindered=True), dict(lsn=1000)),
    (dict(priority=9), dict(priority=1, hindered=True)),
    (dict(lsn=9000000, replayed=1), dict(lsn=9000000, replayed=9000000, hindered=True)),
    (dict(priority=1), dict(priority=2)),
    (dict(priority=1, name='A'), dict(priority=1, name='AB')),
    (dict(priority=1, name='A'), dict(priority=1, name='B')),
]


@pytest.mark.parametrize('better, worse', BETTER)
def test_rank(better, worse):
    one, other = row(1, **better), row(2, **worse)
    assert rank(one, VIEW) > rank(other, VIEW)
    assert best([other, one], VIEW) == one


def test_whom_a_resignation_named_wins_over_a_better_priority():
    one, other = row(1, priority=1), row(2, priority=2)
    assert rank(other, VIEW._replace(named=2)) > rank(one, VIEW._replace(named=2))


@pytest.mark.parametrize('lsn', [1000, 9900, 10000, 19500])
def test_positions_within_a_step_count_as_equal_for_the_successor_wherever_they_are(lsn):
    one, other = row(1, lsn=lsn, priority=1), row(2, lsn=lsn + 500, priority=2)
    assert best([one, other], VIEW, lsn_step=10000) == one
    assert best([one, other], VIEW, lsn_step=499) == other
    assert best([one, other], VIEW) == other


@pytest.mark.parametrize('changes, why', [
    (dict(witness=True), 'witness'),
    (dict(priority=0), 'priority 0'),
    (dict(database=DatabaseState.FAILED), 'failed'),
    (dict(database=DatabaseState.QUARANTINED), 'quarantined'),
    (dict(database=DatabaseState.UNKNOWN), 'not answered'),
    (dict(database=DatabaseState.PRIMARY), 'not the one on record'),
    (dict(out=True), 'ahm_attach_node'),
    (dict(streaming=False), 'does not stream'),
    (dict(system_id='8'), 'another system identifier'),
    (dict(standstill='replay is paused'), 'cannot replay what it has received: replay is paused'),
])
def test_who_may_not_lead_is_told_why(changes, why):
    assert why in why_not_eligible(row(1, **changes), VIEW)


def test_the_lag_limit_names_both_numbers():
    view = VIEW._replace(primary_lsn=5000, lag_limit=100)
    assert why_not_eligible(row(1, lsn=4900), view) == ''
    assert why_not_eligible(row(1, lsn=4899), view) == \
        'is 101 bytes behind the primary and failover_lag_limit_bytes is 100 bytes'


def test_a_running_primary_may_lead_whatever_its_priority():
    assert why_not_eligible(row(1, database=DatabaseState.PRIMARY, rightful=True, priority=0),
                            VIEW) == ''


def test_how_due_an_election_must_be_depends_on_the_candidate():
    assert level_needed(row(1, database=DatabaseState.PRIMARY), 0) is Due.PRIMARY
    assert level_needed(row(1, can_fence=True), 0) is Due.FENCER
    assert level_needed(row(1), 1) is Due.FENCER
    assert level_needed(row(1), 0) is Due.ANYBODY


def test_an_election_may_be_due_for_one_node_alone():
    assert finds_due(row(2, due=Due.PRIMARY, due_only=1), 1, Due.PRIMARY)
    assert not finds_due(row(2, due=Due.ANYBODY, due_only=1), 0, Due.PRIMARY)


def test_losers_wait_differently():
    waits = {pause_after_losing('AHM-NODE-%d' % number, 7, 0.5) for number in range(9)}
    assert len(waits) == 9 and all(0.1 < wait < 0.7 for wait in waits)


def forbids(mine, rows, view):
    """Why the newest claim in these rows forbids mine; positions of fresh rows are known."""
    return why_sync_forbids(mine, rows, view, [each for each in rows if each.fresh])


def test_one_of_two_synchronous_standbys_must_not_be_missed():
    one = dict(sync_needed=1, sync_nodes=(1, 2))
    mine, other = row(1, lsn=1000, **one), row(2, lsn=1001, **one)
    assert 'heard 1 of the 2' in forbids(mine, [mine], VIEW)
    assert 'more data' in forbids(mine, [mine, other], VIEW)
    assert forbids(other, [mine, other], VIEW) == ''
    both = row(1, lsn=1000, sync_needed=2, sync_nodes=(1, 2))
    assert forbids(both, [both], VIEW) == ''
    assert forbids(row(1), [row(1)], VIEW) == ''


def test_a_candidate_that_was_restarted_learns_of_synchronous_standbys_from_the_others():
    mine, witness = row(1, lsn=1000), row(3, sync_needed=1, sync_nodes=(1, 2))
    assert 'heard 1 of the 2' in forbids(mine, [mine, witness], VIEW)


def test_a_synchronous_standby_that_somebody_promoted_had_confirmed_no_more_than_its_position():
    claims, view = dict(sync_needed=1, sync_nodes=(1, 2)), View(system_id=SYSTEM, timeline=1)
    promoted = row(2, lsn=500, timeline=2, **claims)
    mine, behind = row(1, lsn=1000, timeline=1, **claims), row(1, lsn=400, timeline=1, **claims)
    assert forbids(mine, [mine, promoted], view) == ''
    assert 'more data' in forbids(behind, [behind, promoted], view)
    assert 'promoted by somebody else' in why_not_eligible(promoted, view)


def test_a_running_primary_lacks_nothing():
    mine = row(1, database=DatabaseState.PRIMARY, sync_needed=1, sync_nodes=(2,))
    assert forbids(mine, [mine], VIEW) == ''


def test_only_the_newest_claim_counts():
    """An old one of a node that was cut off for long blocked everybody for ever."""
    old = dict(sync_needed=1, sync_nodes=(2,), sync_term=4, sync_version=9)
    new = dict(sync_needed=1, sync_nodes=(1,), sync_term=7, sync_version=0)
    mine, stale = row(1, lsn=1000, **new), row(3, **old)
    assert forbids(mine, [mine, stale], VIEW) == ''
    assert 'heard 0 of the 1' in forbids(mine, [mine, stale._replace(sync_term=8)], VIEW)


def test_a_position_that_is_not_known_cannot_be_overlooked():
    claim = dict(sync_needed=1, sync_nodes=(1, 2), sync_term=4)
    mine, other = row(1, lsn=1000, **claim), row(2, lsn=900, fresh=False, **claim)
    assert 'heard 1 of the 2' in forbids(mine, [mine, other], VIEW)


def test_of_those_level_in_what_they_received_who_has_replayed_it_goes_first():
    """A reader held up the one that was promoted; the other could have served at once."""
    lagging = row(1, lsn=9000000, replayed=1000, priority=1)
    level = row(2, lsn=9000000, replayed=9000000, priority=9)
    assert rank(level, VIEW) > rank(lagging, VIEW)
    assert rank(lagging._replace(lsn=9000001), VIEW) > rank(level, VIEW), 'data first'
    assert best([lagging, level], VIEW) == level


def test_whom_a_resignation_named_goes_before_who_seems_to_have_replayed_more():
    """It had replayed the last of the WAL, and a look on a busy host said that it waits."""
    named, other = row(1, replayed=900, held=True, priority=9), row(2, replayed=1000, priority=1)
    assert rank(named, VIEW._replace(named=1)) > rank(other, VIEW._replace(named=1))


def test_a_replay_that_is_held_up_or_lags_by_much_has_not_replayed():
    near = row(1, lsn=9000000, replayed=9000000 - 1000)
    assert has_replayed(near) and not has_replayed(near._replace(held=True))
    assert not has_replayed(near._replace(replayed=1))
    assert has_replayed(near._replace(replayed=0)), 'the version before does not tell'
    assert has_replayed(near._replace(database=DatabaseState.PRIMARY, replayed=1))


def test_the_rightful_primary_is_the_one_on_record_or_on_a_higher_timeline():
    record = Record(2, 5, 1, SYSTEM)
    rows = [row(0), row(2, record=record)]
    assert newest_record(rows) == record
    assert is_rightful(1, 2, SYSTEM, rows)
    assert not is_rightful(0, 2, SYSTEM, rows)
    assert not is_rightful(0, 1, SYSTEM, rows)
    assert is_rightful(0, 3, SYSTEM, rows)


def test_with_nothing_on_record_no_database_may_be_on_a_higher_timeline():
    assert is_rightful(0, 1, SYSTEM, [row(0), row(1)])
    assert not is_rightful(0, 1, SYSTEM, [row(0), row(1, timeline=2)])


def test_the_record_of_another_cluster_says_nothing():
    rows = [row(0), row(2, record=Record(9, 9, 1, '8'))]
    assert is_rightful(0, 1, SYSTEM, rows)
