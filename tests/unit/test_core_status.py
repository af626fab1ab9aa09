"""What the core tells utilities of every node: the rules behind the fields of the status."""

import json

import pytest

from ahmlib.core.beacon import Claim, Due, Farewell, Record, Verdict
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.events import DatabaseChecked
from ahmlib.core.node import Node
from ahmlib.core.out import Ready
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.core.status import NEVER_HEARD, SCHEMA, status
from ahmlib.utilities.status_check import check as check_status
from ahmlib.utilities.status_text import render

from .rows import SYSTEM, one_settings, row

MINE, NOW = 4711, 100.0
LEADS = dict(state=NodeState.LEADER, database=DatabaseState.PRIMARY, rightful=True, streaming=None,
             lsn=5000, holds_vip=True, successor=0)


def a_node(**settings):
    """A node that has been there for a while; it follows nobody yet."""
    node = Node(one_settings(**settings), Saved(), MINE, NOW - 50)
    node.facts.clock.advance(NOW)
    node.consensus.members.sent(7, NOW - 1)
    return node


def hear(node, sender, at=NOW, **changes):
    """Let it hear a row that echoes its newest beacon."""
    changes.setdefault('heard', tuple((MINE, 7) if place == 0 else (100 + place, 1)
                                      if place != sender else None for place in range(3)))
    beacon = row(sender, **changes)
    assert node.consensus.members.accept(beacon)
    peer = node.consensus.members.peers[sender]
    peer.row_at = peer.heard_at = at
    node.facts.names[sender] = beacon.name
    return beacon


def follow(node, **changes):
    """Let it follow node 1."""
    hear(node, 1, **dict(LEADS, **changes))
    node._follow()
    assert node.consensus.follower.following


def check(node, **changes):
    """Let a check of its database succeed."""
    values = dict(in_recovery=True, timeline=1, lsn=4000, system_id=SYSTEM, streaming=True)
    values.update(changes)
    node.parts.database.apply(DatabaseChecked(0, Verdict.REACHABLE)._replace(**values), NOW - 1)


def fail(node, reason):
    """Let its database fail its checks for good."""
    for _ in range(node.settings.max_consec_failures):
        found = DatabaseChecked(0, Verdict.UNREACHABLE)._replace(reason=reason)
        node.parts.database.apply(found, NOW)


def told(node):
    """The status, as of now."""
    node.facts.take_row(node.own_row())
    return status(node.parts)


def line_of(node, place):
    return told(node)['nodes'][place]


def standby(node, **changes):
    """What is told of node 2, a standby beside the leader 1."""
    follow(node)
    hear(node, 2, **changes)
    return line_of(node, 2)


# -- the schema -------------------------------------------------------------------------------


def test_every_node_has_the_same_keys_heard_or_not():
    node = a_node()
    follow(node)
    nodes = told(node)['nodes']
    expected = set(NEVER_HEARD) | {'name', 'address', 'port'}
    assert [set(line) for line in nodes] == [expected] * 3
    assert told(node)['schema'] == SCHEMA == 1


def test_it_is_plain_json_and_asking_changes_nothing():
    node = a_node()
    follow(node)
    before, _ = node.own_row(), node.out.take()
    assert json.loads(json.dumps(told(node), allow_nan=False)) == told(node)
    assert node.own_row() == before and node.out.take() == Ready()


@pytest.mark.parametrize('changes', [
    {}, {'database': DatabaseState.FAILED}, {'out': True}, {'priority': 0}, {'witness': True},
    {'streaming': False}, {'farewell': Farewell.LEAVING}, {'timeline': 9}])
def test_who_is_not_eligible_has_a_reason_and_nobody_else(changes):
    node = a_node()
    node.parts.place.record = Record(1, 3, 1, SYSTEM)
    line = standby(node, **changes)
    assert line['eligible'] is (line['reason'] == '') is (changes == {})


# -- why not ----------------------------------------------------------------------------------


def test_a_node_that_was_never_heard():
    line = line_of(a_node(), 2)
    assert dict(line, name=None, address=None, port=None) \
        == dict(NEVER_HEARD, name=None, address=None, port=None)
    assert 'was never heard' in line['reason'] and line['state'] == 'DEAD'


def test_a_node_whose_beacons_do_not_repeat_mine():
    node = a_node()
    assert not node.consensus.members.accept(row(2))
    assert 'do not repeat those of this node' in line_of(node, 2)['reason']
    assert not line_of(node, 2)['alive']


@pytest.mark.parametrize('farewell, said', [
    (Farewell.NONE, 'not heard for 40 s: see whether'),
    (Farewell.LEAVING, 'its AHM was stopped 40 s ago: start it'),
    (Farewell.RESTARTING, 'its AHM said 40 s ago that it restarts')])
def test_a_node_that_is_not_heard_any_more(farewell, said):
    node = a_node()
    hear(node, 2, at=NOW - 40, farewell=farewell)
    line = line_of(node, 2)
    assert line['reason'].startswith(said)
    assert (line['state'], line['alive'], line['eligible']) == ('LOST', False, False)
    assert line['last_beacon_seconds'] == 40.0
    assert (line['hears'], line['lag_bytes'], line['lsn']) == (None, None, 1000)
    assert line['database'] == 'STANDBY', 'the last one known'


def test_a_node_that_says_goodbye_is_heard_and_may_not_lead():
    line = standby(a_node(), farewell=Farewell.LEAVING, state=NodeState.SHUTDOWN)
    assert (line['alive'], line['state']) == (True, 'SHUTDOWN')
    assert line['reason'] == 'its AHM is about to end'


def test_too_far_behind_is_said_with_both_figures():
    node = a_node(lag_limit=1000)
    line = standby(node, lsn=3000)
    assert '2000 bytes' in line['reason'] and 'failover_lag_limit_bytes is 1000' in line['reason']
    assert line['lag_bytes'] == 2000


def test_of_its_own_database_it_says_what_failed():
    node = a_node()
    check(node)
    fail(node, 'connection refused')
    assert line_of(node, 0)['reason'] == 'its database failed its checks (connection refused)'
    node.parts.database.out = 'its database failed: no disk'
    assert line_of(node, 0)['reason'].endswith('(its database failed: no disk)')
    assert line_of(node, 0)['out'] is True


def test_a_standby_that_never_followed_the_primary_on_record_says_so():
    node = a_node()
    check(node)
    assert line_of(node, 0)['eligible']
    node.parts.place.record = Record(3, 9, 2, SYSTEM)
    assert 'never followed 10.0.0.3:9500' in line_of(node, 0)['reason']


def test_a_leader_whose_database_failed_is_not_eligible_and_says_why():
    node = a_node()
    follow(node, database=DatabaseState.FAILED)
    line = line_of(node, 1)
    assert told(node)['leader'] == line['name']
    assert (line['eligible'], line['reason']) == (False, 'its database failed its checks')


def test_a_leader_is_eligible():
    node = a_node()
    follow(node)
    assert (line_of(node, 1)['eligible'], line_of(node, 1)['reason']) == (True, '')


# -- lag --------------------------------------------------------------------------------------


@pytest.mark.parametrize('changes, lag', [
    ({'lsn': 4000}, 1000), ({'lsn': 5000}, 0), ({'lsn': 6000}, 0), ({'lsn': 0}, None),
    ({'database': DatabaseState.FAILED, 'lsn': 4000}, 1000),
    ({'database': DatabaseState.QUARANTINED, 'lsn': 4000}, None),
    ({'database': DatabaseState.PRIMARY, 'lsn': 9000}, None),
    ({'witness': True, 'database': DatabaseState.NOT_CONFIGURED, 'lsn': 0}, None)])
def test_lag_is_counted_from_the_leaders_position(changes, lag):
    assert standby(a_node(), **changes)['lag_bytes'] == lag


def test_the_primary_has_no_lag():
    node = a_node()
    follow(node)
    assert line_of(node, 1)['lag_bytes'] == 0


def test_without_a_leader_lag_is_counted_from_the_last_position_known():
    node = a_node()
    hear(node, 2, lsn=4000)
    assert line_of(node, 2)['lag_bytes'] is None
    node.parts.place.lsn = 4500
    assert line_of(node, 2)['lag_bytes'] == 500


# -- synchronous replication ------------------------------------------------------------------


@pytest.mark.parametrize('needed, nodes, state', [
    (0, (), 'async'), (1, (2,), 'sync'), (1, (0, 2), 'quorum'), (2, (0, 2), 'sync'),
    (1, (0,), 'async'), (0, (2,), 'async')])
def test_the_state_of_a_synchronous_standby(needed, nodes, state):
    node = a_node()
    follow(node, sync_needed=needed, sync_nodes=nodes)
    hear(node, 2)
    assert line_of(node, 2)['sync_state'] == state
    assert line_of(node, 1)['sync_state'] is None, 'the primary'


def test_without_a_primary_it_is_not_known():
    node = a_node()
    hear(node, 2)
    assert line_of(node, 2)['sync_state'] is None
    assert standby(a_node(), database=DatabaseState.FAILED)['sync_state'] is None


# -- who hears whom ---------------------------------------------------------------------------


def test_whom_a_node_has_ever_heard_by_name_where_that_is_known():
    node = a_node()
    hear(node, 1)
    assert line_of(node, 1)['hears'] == ['AHM-NODE-1', '10.0.0.3:9500']
    assert line_of(node, 0)['hears'] == ['AHM-NODE-2']
    hear(node, 2, heard=((MINE, 7), None, None))
    assert line_of(node, 2)['hears'] == ['AHM-NODE-1']
    assert line_of(node, 0)['hears'] == ['AHM-NODE-2', 'AHM-NODE-3']


def test_a_peer_that_echoes_only_what_is_old_does_not_hear_me():
    node = a_node()
    node.consensus.members.sent(3, NOW - 40)
    hear(node, 1, heard=((MINE, 3), None, (102, 1)))
    assert line_of(node, 1)['hears'] == ['10.0.0.3:9500']
    assert line_of(node, 0)['hears'] == ['AHM-NODE-2']


def test_the_asked_node_itself():
    node = a_node()
    check(node)
    line = line_of(node, 0)
    assert (line['last_beacon_seconds'], line['uptime_seconds'], line['alive']) == (0.0, 50.0, True)
    assert (line['lsn'], line['timeline'], line['streaming']) == (4000, 1, None)
    assert line['term'] == node.consensus.term and line['holds_vip'] is None


def test_what_a_row_says_is_passed_on():
    line = standby(a_node(), state_age=3.0, database_age=8.25)
    silence = line['last_beacon_seconds']
    assert line['state_since_seconds'] == pytest.approx(3.0 + silence, abs=0.06)
    assert line['database_since_seconds'] == pytest.approx(8.25 + silence, abs=0.06)
    assert standby(a_node())['state_since_seconds'] is None     # of the version before
    line = standby(a_node(), out=True, term=12, uptime=7.25, streaming=False, problem='no disk')
    assert (line['out'], line['term'], line['uptime_seconds']) == (True, 12, 7.25)
    assert (line['streaming'], line['problem'], line['holds_vip']) == (False, 'no disk', False)


# -- warnings ---------------------------------------------------------------------------------


def test_other_timings_are_warned_of():
    node = a_node()
    hear(node, 1, interval=2.0)
    assert 'AHM-NODE-2 has other timings' in told(node)['warnings'][0]


# -- what keeps a database from being promoted, though it looks well ----------------------------


def test_a_standby_that_cannot_replay_is_named_wherever_one_looks():
    """Lag 0 B for days, and the failover found nobody."""
    node = a_node()
    follow(node)
    hear(node, 2, standstill='replay is paused')
    shown = told(node)
    assert 'AHM-NODE-3 receives, and cannot replay: replay is paused' in shown['warnings'][0]
    assert not shown['nodes'][2]['eligible'] and 'replay is paused' in shown['nodes'][2]['reason']
    code, line = check_status(shown)
    assert code == 1 and 'cannot replay: replay is paused' in line
    assert 'cannot replay' in render(shown) and 'cannot replay' in render(shown, verbose=True)


def test_the_own_standby_that_cannot_replay_is_named_too():
    node = a_node()
    follow(node)
    check(node, replayed=100, standstill='a recovery target was reached')
    assert 'AHM-NODE-1 receives, and cannot replay' in told(node)['warnings'][0]
    assert 'a recovery target was reached' in line_of(node, 0)['problem']


def test_a_server_that_is_not_the_one_of_the_directory_is_quarantined_and_says_why():
    node = a_node()
    follow(node)
    check(node, mismatch='another server answers')
    assert line_of(node, 0)['database'] == 'QUARANTINED' and not line_of(node, 0)['eligible']
    assert line_of(node, 0)['problem'] == 'another server answers'


def test_commits_that_nobody_can_tell_who_confirmed_are_warned_of():
    node = a_node()
    follow(node, sync_doubt='synchronous_standby_names lists *')
    assert told(node)['warnings'] == ['synchronous_standby_names lists *']


def test_who_is_held_back_by_what_another_standby_may_have_confirmed_says_so():
    """It stood there, liked by all, and no status said what it waited for."""
    node = a_node()
    check(node)
    node.parts.claims.claim = Claim(1, 0, 1, (0, 2))
    assert told(node)['warnings'] == [] and line_of(node, 0)['eligible'], 'no election is due'
    node.consensus.contest.due = Due.ANYBODY
    shown, why = told(node), 'of the 2 synchronous standbys, needs 2'
    assert not shown['nodes'][0]['eligible'] and why in shown['nodes'][0]['reason']
    assert shown['warnings'][0].startswith('AHM-NODE-1 heard ') and why in shown['warnings'][0]
    assert why in check_status(shown)[1] and why in render(shown)


def test_a_remark_of_the_checks_is_a_problem_of_its_node():
    node = a_node()
    follow(node)
    check(node, remark='an inactive slot keeps 208 MB')
    assert line_of(node, 0)['problem'] == 'an inactive slot keeps 208 MB'
