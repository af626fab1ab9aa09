"""The entrance: what must be on disk before a row leaves, and what a sleeper does first."""

from ahmlib.core import effects, events
from ahmlib.core.node import Node
from ahmlib.core.promise import Promise, resigns, returns
from ahmlib.core.saved import Saved
from ahmlib.core.states import DatabaseState, NodeState

from .rows import one_settings, row


def a_node(saved=Saved(), now=100.0, **changes):
    """A node that has just been started."""
    return Node(one_settings(**changes), saved, 4711, now)


def of_kind(found, kind):
    """The effects of one kind."""
    return [effect for effect in found if isinstance(effect, kind)]


def test_no_row_leaves_before_the_state_is_on_disk():
    node = a_node(saved=None)
    found = node.handle(events.Started(), 100.0)
    saves = of_kind(found, effects.SaveState)
    assert len(saves) == 1 and not of_kind(found, effects.SendBeacon)
    found = node.handle(events.StateSaved(saves[0].saved), 100.0)
    assert len(of_kind(found, effects.SendBeacon)) == 1


def test_a_node_whose_disk_refuses_is_silent_and_tries_again():
    node = a_node(saved=None)
    node.handle(events.Started(), 100.0)
    found = node.handle(events.StateSaveFailed('no space left on device'), 100.0)
    assert not of_kind(found, effects.SendBeacon)
    assert 'no space left' in node.own_row().troubles[0].text
    found = node.handle(events.Ticked(), 100.9)
    assert not of_kind(found, effects.SaveState) and not of_kind(found, effects.SendBeacon)
    assert of_kind(node.handle(events.Ticked(), 101.0), effects.SaveState)


def test_an_answer_that_nobody_waits_for_changes_nothing():
    node = a_node()
    node.handle(events.Started(), 100.0)
    before = node.own_row()
    node.handle(events.ActionEnded(999, True, timeline=9), 100.0)
    assert node.own_row() == before


def test_a_node_without_a_state_file_stays_blind_over_a_crash():
    saved = of_kind(a_node(saved=None).handle(events.Started(), 100.0), effects.SaveState)[0].saved
    assert saved.blind and Node(one_settings(), saved, 4712, 101.0).blind


def test_a_starting_node_is_bound_to_the_leader_on_file_unless_that_was_itself():
    bound = a_node(saved=Saved(term=7, leader=1, hold=2.0))
    assert bound.promise.holds(101.9) and not bound.promise.holds(102.1)
    assert not a_node(saved=Saved(term=6, leader=0, hold=2.0)).promise.holds(100.1)


def test_the_longer_hold_time_of_the_leader_on_file_is_kept():
    node = a_node(saved=Saved(term=7, leader=1, hold=50.0))
    assert node.promise.holds(149.0)


def test_a_name_that_an_older_node_uses_ends_the_younger_one():
    node = a_node()
    node.handle(events.Started(), 100.0)
    node.handle(events.StateSaved(node.speaker.to_save()), 100.0)
    heard = ((4711, node.speaker.seq), None, None)
    found = node.handle(events.BeaconHeard(row(1, name='AHM-NODE-1', uptime=50.0, heard=heard)),
                        100.5)
    assert [effect.code for effect in of_kind(found, effects.Exit)] == [1]


def test_the_wake_up_is_always_in_the_future():
    node, now = a_node(), 100.0
    node.handle(events.Started(), now)
    for _ in range(500):
        assert node.wake_at > now
        now = node.wake_at
        node.handle(events.Ticked(), now)


def test_a_voter_acknowledges_no_other_leader_while_its_vote_may_still_be_counted():
    """In four nodes a leader that only moved its term and a newly elected one could both lead."""
    node = a_node(saved=Saved(term=9, voted_for=1))
    assert node.elections.has_vote_pending(2) and not node.elections.has_vote_pending(1)
    candidacy = node.patience
    node.handle(events.Started(), 100.0)
    node.handle(events.Ticked(), 100.0 + 1.05 * candidacy)
    assert node.elections.has_vote_pending(2)
    node.handle(events.Ticked(), 100.0 + 1.11 * candidacy)
    assert not node.elections.has_vote_pending(2)


def test_what_a_resignation_is():
    gone = row(0, state=NodeState.STANDBY, database=DatabaseState.FAILED, holds_vip=False)
    assert resigns(gone)
    assert not resigns(gone._replace(holds_vip=True))
    assert not resigns(gone._replace(stepping_down=True))
    assert not resigns(gone._replace(database=DatabaseState.PRIMARY))
    assert not resigns(gone._replace(state=NodeState.INITIALIZING))
    assert not resigns(gone._replace(state=NodeState.STAND_FOR_LEADER))
    assert not resigns(gone._replace(state=NodeState.LEADER))


def test_what_a_return_is():
    promise = Promise()
    promise.renew(row(0, incarnation=5), 10.0, 2.0)
    back = row(0, incarnation=6, state=NodeState.WAITING_FOR_LEADER_FORMATION,
               database=DatabaseState.PRIMARY, holds_vip=True)
    assert returns(back, promise)
    assert not returns(back._replace(incarnation=5), promise)
    assert not returns(back._replace(database=DatabaseState.FAILED), promise)


def test_an_unknown_request_is_refused_in_words():
    node = a_node()
    node.handle(events.Started(), 100.0)
    found = node.handle(events.ClientAsked(1, {'ask': 'destroy'}), 100.1)
    assert of_kind(found, effects.Reply)[0].answer == {
        'ok': False, 'reason': "this daemon does not know the request 'destroy'"}


def test_a_new_primary_does_not_repeat_the_position_of_the_one_before():
    node = a_node()
    node.primary_lsn = 5000
    node.database.promoted(2, 3000, 100.0)
    node.put_on_record()
    assert node.own_row().primary_lsn == 3000
