"""The entrance: what must be on disk before a row leaves, and what a sleeper does first."""

import pytest

from ahmlib.core import effects, events
from ahmlib.core.beacon import Due, Evidence, Verdict
from ahmlib.core.consensus.promise import Promise
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.facts import Facts
from ahmlib.core.node import Node
from ahmlib.core.policy.agreement import ROUNDS
from ahmlib.core.policy.task import FAILED, Task
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.core.wanted import Attach, Reason, StepDown

from .rows import SYSTEM, elect, one_settings, row


def a_node(saved=Saved(), now=100.0, **changes):
    """A node that has just been started."""
    return Node(one_settings(**changes), saved, 4711, now)


def is_bound(node, now):
    """Whether it owes somebody a promise at this instant."""
    node.facts.clock.advance(now)
    return node.consensus.promise.holds()


def of_kind(found, kind):
    """The effects of one kind."""
    return [effect for effect in found.in_order() if isinstance(effect, kind)]


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
    assert saved.blind and Node(one_settings(), saved, 4712, 101.0).consensus.promise.blind


def test_a_starting_node_is_bound_to_the_leader_on_file_unless_that_was_itself():
    bound = a_node(saved=Saved(term=7, leader=1, hold=2.0))
    assert is_bound(bound, 101.9) and not is_bound(bound, 102.1)
    assert not is_bound(a_node(saved=Saved(term=6, leader=0, hold=2.0)), 100.1)


def test_the_longer_hold_time_of_the_leader_on_file_is_kept():
    node = a_node(saved=Saved(term=7, leader=1, hold=50.0))
    assert is_bound(node, 149.0)


def test_who_left_for_good_owes_its_leader_no_less_than_who_stayed():
    """Its leader may not have heard the goodbye, and count what was acknowledged before it."""
    node = a_node(saved=Saved(term=4, leader=1, hold=1.0, bound=True))
    node.handle(events.Started(), 100.0)
    node.handle(events.StateSaved(node.to_save()), 100.0)

    def hears_who_owes_nothing(seq, now):
        heard = ((4711, node.consensus.speaker.seq), None, None)
        node.handle(events.BeaconHeard(row(
            2, heard=heard, seq=seq, term=4, due=Due.ANYBODY,
            state=NodeState.PARTICIPATE_IN_ELECTION)), now)
        node.handle(events.StateSaved(node.to_save()), now)
        return node.consensus.promise.leader

    hold = node.facts.timing.hold
    assert hears_who_owes_nothing(1, 100.1) == 1
    assert hears_who_owes_nothing(2, 100.0 + 0.9 * hold) == 1
    assert hears_who_owes_nothing(3, 100.1 + hold) is None


@pytest.mark.parametrize('third_is_heard', [True, False])
def test_a_name_that_an_older_node_uses_ends_the_younger_one(third_is_heard):
    """At once where all others hear it, else a round of beacons later: they are to know why."""
    node = a_node()
    node.handle(events.Started(), 100.0)
    node.handle(events.StateSaved(node.to_save()), 100.0)
    heard = ((4711, node.consensus.speaker.seq), None, None)

    def exits(event, at):
        return [effect.code for effect in of_kind(node.handle(event, at), effects.Exit)]
    older = events.BeaconHeard(row(1, name='AHM-NODE-1', uptime=50.0, heard=heard))
    assert exits(older, 100.5) == []
    if third_is_heard:
        assert exits(events.BeaconHeard(row(2, heard=heard)), 100.6) == [1]
    else:
        late = 100.5 + ROUNDS * node.settings.interval
        assert node.wake_at <= late
        assert exits(events.Ticked(), late - 0.01) == [] and exits(events.Ticked(), late) == [1]


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
    ballot = node.consensus.ballot
    assert ballot.has_vote_pending(2) and not ballot.has_vote_pending(1)
    candidacy = node.facts.patience
    node.handle(events.Started(), 100.0)
    node.handle(events.Ticked(), 100.0 + 1.05 * candidacy)
    assert node.consensus.ballot.has_vote_pending(2)
    node.handle(events.Ticked(), 100.0 + 1.11 * candidacy)
    assert not node.consensus.ballot.has_vote_pending(2)


def test_what_was_said_of_the_old_primary_as_it_stood_is_not_what_is_said_as_it_takes_over():
    """A takeover that was stopped is tried again early only if something has changed since."""
    node = a_node()
    node.handle(events.Started(), 100.0)
    node.parts.candidate.stood_on = Verdict.REACHABLE
    elect(node, 3)
    assert node.parts.candidate._weigh() is not Verdict.REACHABLE
    node.handle(events.Ticked(), 100.1)
    assert node.parts.candidate.stood_on is Verdict.REACHABLE


def test_what_a_resignation_is():
    gone = row(0, state=NodeState.STANDBY, database=DatabaseState.FAILED, holds_vip=False)
    assert gone.resigns
    assert not gone._replace(holds_vip=True).resigns
    assert not gone._replace(stepping_down=True).resigns
    assert not gone._replace(database=DatabaseState.PRIMARY).resigns
    assert not gone._replace(state=NodeState.INITIALIZING).resigns
    assert not gone._replace(state=NodeState.STAND_FOR_LEADER).resigns
    assert not gone._replace(state=NodeState.LEADER).resigns


def test_what_a_return_is():
    promise = Promise(Facts(one_settings(own=1), 10.0), Saved())
    promise.renew(row(0, incarnation=5))
    back = row(0, incarnation=6, state=NodeState.WAITING_FOR_LEADER_FORMATION,
               database=DatabaseState.PRIMARY, holds_vip=True)
    assert promise.is_returned_to(back)
    assert not promise.is_returned_to(back._replace(incarnation=5))
    assert not promise.is_returned_to(back._replace(database=DatabaseState.FAILED))


def test_an_unknown_request_is_refused_in_words():
    node = a_node()
    node.handle(events.Started(), 100.0)
    found = node.handle(events.ClientAsked(1, {'ask': 'destroy'}), 100.1)
    assert of_kind(found, effects.Reply)[0].answer == {
        'ok': False, 'reason': "this daemon does not know the request 'destroy'"}


def test_a_new_primary_does_not_repeat_the_position_of_the_one_before():
    node = a_node()
    node.parts.place.lsn = 5000
    node.parts.database.promoted(2, 3000, 100.0)
    node.parts.place.put_on_record()
    assert node.own_row().primary_lsn == 3000


def test_an_attach_that_is_overtaken_as_it_begins_has_failed_and_holds_up_nobody():
    node, task = a_node(), Task(1, 'attach', 'begins')
    node.parts.operator.wanted = Attach(1, task)
    node._start(StepDown(Reason('lease', 'its lease ended', 'immediate')))
    assert node.parts.operator.decide() is None
    assert task.state == FAILED and 'is busy (step down)' in task.reason


def test_whose_election_becomes_due_as_it_sees_a_candidate_does_not_vote_as_a_witness():
    """It has more than that candidate, and its own row said until then that nothing is due."""
    node = a_node(size=4)
    parts, gone = node.parts, Evidence(3, Verdict.UNREACHABLE, 0.0, None, 0)
    parts.database.apply(events.DatabaseChecked(
        0, Verdict.REACHABLE, in_recovery=True, system_id=SYSTEM, timeline=1, lsn=9000,
        replayed=9000, streaming=True), 100.0)
    parts.vip.observe(False)
    parts.place.followed(row(3, size=4, state=NodeState.LEADER, database=DatabaseState.PRIMARY))
    parts.investigation.about, parts.investigation.verdict = 3, Verdict.UNREACHABLE
    parts.investigation.formed_at = 100.0
    node.consensus.members.sent(7, 100.0)
    for place, state in ((1, NodeState.STAND_FOR_LEADER), (2, NodeState.STANDBY)):
        heard = tuple((4711, 7) if other == 0 else None for other in range(4))
        assert node.consensus.members.accept(row(
            place, size=4, state=state, term=5, due=Due.ANYBODY, followed=True, evidence=gone,
            heard=heard, lsn=1000))
    node.consensus.ballot.show(NodeState.WAITING_FOR_LEADER_FORMATION, 'it has looked')
    node.facts.take_row(node.own_row())
    assert node.facts.row.due is Due.NOBODY and node.facts.row.fresh
    wish = parts.candidate.wish()
    assert wish.due is Due.ANYBODY and wish.acceptable == ()
