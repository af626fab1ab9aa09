"""Save, then say: what leaves, when, to whom, and what a disk that refuses or stalls does."""

import pytest

from ahmlib.core.beacon import Farewell, Pause
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.speaking import (
    SAVE_RETRY_SECONDS,
    STALL_SECONDS,
    TRY_SECONDS,
    TRY_STALL_SECONDS,
)
from ahmlib.core.effects import SaveState

from .rows import one_consensus, row

INTERVAL = one_consensus().facts.settings.interval
SAVED = Saved(term=3)
MINE = row(0, term=3)


def a_speaker(saved=SAVED, **changes):
    """One whose state is on disk, and which has said nothing yet, at instant 100."""
    return one_consensus(saved=saved, **changes).speaker


def later(speaker, now):
    """The same, at this instant."""
    speaker.facts.clock.advance(now)
    return speaker


def said(speaker, mine=MINE, hurried=False, matters=None):
    """To whom rows leave when this is published now: None is everybody."""
    speaker.publish(mine, hurried, matters)
    return [effect.to for effect in speaker.out.take().rows]


def saves(speaker, mine=MINE):
    """How often it has its state saved when this is published now."""
    speaker.publish(mine, False, None)
    return 0 if speaker.out.take().save is None else 1


def test_the_first_row_leaves_at_once_and_then_one_each_interval():
    speaker = a_speaker()
    assert said(speaker) == [None] and said(speaker) == []
    assert later(speaker, 100.0 + INTERVAL - 0.001) and said(speaker) == []
    assert later(speaker, 100.0 + INTERVAL) and said(speaker) == [None]
    assert speaker.round_at == speaker.sent_at == 100.0 + INTERVAL


def test_rows_are_numbered_and_their_instants_known_to_who_counts_echoes():
    speaker = a_speaker()
    speaker.publish(MINE, False, None)
    speaker.publish(MINE._replace(state=5), False, None)
    assert [effect.beacon.seq for effect in speaker.out.take().in_order()] == [1, 2]
    assert speaker.seq == 2 and speaker.members.sent_at == {1: 100.0, 2: 100.0}


@pytest.mark.parametrize('interval, quick', [(0.1, 0.05), (0.5, 0.0625), (1.6, 0.2), (8.0, 0.25)])
def test_what_hurries_is_repeated_an_eighth_of_the_interval_later_within_limits(interval, quick):
    speaker = a_speaker(interval=interval)
    assert speaker.quick == pytest.approx(quick)
    assert said(speaker, hurried=True) == [None] and said(speaker, hurried=True) == []
    assert later(speaker, 100.0 + quick - 0.001) and said(speaker, hurried=True) == []
    assert later(speaker, 100.0 + quick + 0.001) and said(speaker) == []
    assert said(speaker, hurried=True) == [None]
    assert speaker.round_at == 100.0, 'the round goes on as it was'


def test_a_change_that_matters_leaves_at_once():
    speaker = a_speaker()
    said(speaker)
    assert said(speaker, MINE._replace(problem='a disk')) == [None]
    assert said(speaker, MINE._replace(problem='a disk')) == []
    assert said(speaker, MINE._replace(problem='a disk', uptime=11.0)) == []
    assert said(speaker, MINE._replace(problem='a disk'), matters=1) == [None]
    assert speaker.round_at == 100.0


def test_an_answer_goes_to_whom_it_is_for_unless_all_are_told():
    speaker = a_speaker()
    speaker.answer(2)
    assert said(speaker) == [None] and said(speaker) == []
    speaker.answer(2)
    speaker.answer(1)
    assert said(speaker) == [1, 2] and said(speaker) == []


def test_two_that_answer_each_other_do_so_no_faster_than_rows_are_repeated():
    speaker = a_speaker()
    said(speaker)
    speaker.answer_quickly(1)
    assert said(speaker) == [1]
    speaker.answer_quickly(1)
    assert said(speaker) == []
    later(speaker, 100.0 + speaker.quick).answer_quickly(1)
    assert said(speaker) == [1] and speaker.answered_at == 100.0 + speaker.quick


def test_it_is_called_again_for_the_next_row():
    speaker = a_speaker()
    said(speaker)
    later(speaker, 100.0).go_on(False)
    assert speaker.facts.clock.wake_at == 100.0 + INTERVAL
    later(speaker, 100.0).go_on(True)
    assert speaker.facts.clock.wake_at == 100.0 + speaker.quick


def test_nothing_leaves_before_the_state_is_on_disk_and_one_save_is_under_way_at_a_time():
    speaker = a_speaker(None)
    speaker.want(SAVED)
    assert not speaker.is_saved() and speaker.saving_since is None
    speaker.publish(MINE, False, None)
    assert speaker.out.take().in_order() == (SaveState(SAVED),)
    assert speaker.saving_since == speaker.unsaved_since == 100.0
    assert later(speaker, 100.5) and saves(speaker) == 0
    assert speaker.unsaved_since == 100.0
    speaker.saved(SAVED)
    assert speaker.is_saved() and speaker.saving_since is None
    assert said(speaker) == [None] and speaker.unsaved_since == float('inf')


@pytest.mark.parametrize('later_told', [
    dict(pause=Pause(3, 1, True, 0)), dict(maintenance=True), dict(names=('a', None, None)),
    dict(moved=True)])
def test_what_no_election_rests_on_keeps_nobody_silent_and_is_told_once_it_is_on_disk(later_told):
    speaker, mine = a_speaker(), MINE._replace(**{
        name: value for name, value in later_told.items() if name in ('pause', 'maintenance')})
    speaker.want(SAVED._replace(**later_told))
    speaker.publish(mine, False, None)
    asked = speaker.out.take()
    assert asked.save == SaveState(speaker.wanted) and speaker.unsaved_since == float('inf')
    assert [effect.beacon._replace(seq=0) for effect in asked.rows] == [MINE._replace(seq=0)]
    assert later(speaker, 100.0 + INTERVAL) and said(speaker, mine) == [None], 'it stalls'
    speaker.saved(speaker.wanted)
    assert said(speaker, mine) == ([None] if mine != MINE else []), 'at once, where a row tells it'


def test_a_disk_that_refuses_what_no_election_rests_on_is_tried_again_and_rows_go_on():
    speaker = a_speaker()
    speaker.want(SAVED._replace(maintenance=True))
    assert saves(speaker) == 1
    speaker.save_failed('No space left on device')
    assert saves(speaker) == 0
    assert later(speaker, 100.0 + SAVE_RETRY_SECONDS) and saves(speaker) == 1
    assert later(speaker, 100.0 + SAVE_RETRY_SECONDS + INTERVAL) and said(speaker) == [None]


def test_what_must_be_on_disk_goes_before_all_else():
    speaker = a_speaker(None)
    speaker.out.report('INFO', 'state', 'something else')
    speaker.publish(MINE, False, None)
    assert isinstance(speaker.out.take().in_order()[0], SaveState)


def test_a_disk_that_refuses_is_tried_again_after_a_while():
    speaker = a_speaker(None)
    speaker.want(SAVED)
    saves(speaker)
    speaker.save_failed('no space left')
    assert speaker.refused == 'no space left' and speaker.saving_since is None
    assert later(speaker, 100.0 + SAVE_RETRY_SECONDS - 0.001) and saves(speaker) == 0
    assert later(speaker, 100.0 + SAVE_RETRY_SECONDS) and saves(speaker) == 1
    speaker.saved(SAVED)
    assert speaker.refused == ''


def test_the_durations_of_the_disk():
    """A person waits for the word of a stall; a daemon that is silent longer looks dead first."""
    assert (SAVE_RETRY_SECONDS, TRY_SECONDS, STALL_SECONDS, TRY_STALL_SECONDS) == (
        1.0, 10.0, 1.0, 5.0)


def test_a_disk_that_does_not_answer_while_the_node_is_silent_stalls_soon():
    speaker = a_speaker(None)
    for began in (100.0, 200.0):
        speaker.want(Saved(term=int(began)))
        assert saves(later(speaker, began)) == 1 and speaker.stalls() == 0
        assert speaker.facts.clock.wake_at == began + STALL_SECONDS
        assert later(speaker, began + STALL_SECONDS - 0.001).stalls() == 0
        assert later(speaker, began + STALL_SECONDS).stalls() == STALL_SECONDS
        assert later(speaker, began + TRY_STALL_SECONDS).stalls() == TRY_STALL_SECONDS
        speaker.saved(speaker.wanted)
        assert said(speaker, MINE._replace(term=int(began))) == [None] and speaker.stalls() == 0


def test_a_disk_that_refuses_at_once_does_not_stall():
    speaker = a_speaker(None)
    speaker.want(SAVED)
    saves(speaker)
    speaker.save_failed('read-only')
    speaker.save_retry_at = 1e9
    later(speaker, 150.0).publish(MINE, False, None)
    assert speaker.out.take().in_order() == () and speaker.stalls() == 0


def test_whatever_is_written_a_disk_that_does_not_answer_for_long_stalls():
    speaker = a_speaker()
    assert not later(speaker, 500.0).stalls()
    speaker.saving_since = 500.0
    assert not later(speaker, 500.0 + TRY_STALL_SECONDS - 0.001).stalls()
    assert later(speaker, 500.0 + TRY_STALL_SECONDS).stalls() == TRY_STALL_SECONDS


@pytest.mark.parametrize('period, seconds', [(0.5, TRY_SECONDS), (30.0, 30.0)])
def test_what_is_on_disk_is_saved_again_now_and_then_to_know_whether_it_could_be(period, seconds):
    speaker = a_speaker(health_check_period=period)
    later(speaker, 100.0 + seconds - 0.001)
    assert saves(speaker) == 0
    later(speaker, 100.0 + seconds)
    assert saves(speaker) == 1 and speaker.saving_since == 100.0 + seconds
    later(speaker, 100.0 + 2 * seconds)
    assert saves(speaker) == 0, 'that one is still under way'
    speaker.saved(SAVED)
    assert saves(speaker) == 1
    assert speaker.try_at == 100.0 + 3 * seconds


def test_who_says_goodbye_tries_its_disk_no_more():
    speaker = a_speaker()
    later(speaker, 100.0 + TRY_SECONDS)
    assert saves(speaker, MINE._replace(farewell=Farewell.LEAVING)) == 0


def test_the_last_row_leaves_where_nothing_but_names_is_not_on_disk():
    for wanted, leaves in ((SAVED, True), (SAVED._replace(names=('a',)), True),
                           (SAVED._replace(bound=True), False)):
        speaker = a_speaker()
        speaker.want(wanted)
        speaker.say_last(MINE)
        assert bool(speaker.out.take().in_order()) is leaves
    speaker = a_speaker(SAVED._replace(bound=True))
    speaker.want(SAVED)
    speaker.say_last(MINE)
    assert speaker.out.take().in_order() == ()
    speaker = a_speaker(None)
    speaker.say_last(MINE)
    assert speaker.out.take().in_order() == ()


@pytest.mark.parametrize('changes', [dict(term=4), dict(voted_for=1), dict(record=(1, 2))])
def test_a_row_that_says_more_than_the_disk_knows_ends_the_daemon_before_it_leaves(changes):
    speaker = a_speaker()
    with pytest.raises(AssertionError, match='saved before said'):
        speaker.publish(MINE._replace(**changes), False, None)
    assert not speaker.out.take().rows
