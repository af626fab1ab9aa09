"""Rows count only if they echo me; silence counts only while I was awake."""

import pytest

from ahmlib.core.consensus.membership import SENT_MAX, Membership
from ahmlib.core.facts import Facts

from .rows import one_settings, row

ME, MINE = 0, 4711
HOLD = one_settings().timing.hold


def members(sent=(1, 2, 3)):
    """A node that has sent beacons with these seqs, at the instants of the same number."""
    found = Membership(Facts(one_settings(), 0.0), MINE)
    for seq in sent:
        found.sent(seq, float(seq))
    return found


def at(found, now):
    """The same node, at this instant."""
    found.facts.clock.advance(now)
    return found


def heard(echo, sender=1, **changes):
    """A row of that sender which echoes (incarnation, seq) of mine."""
    echoes = [None, None, None]
    echoes[ME] = echo
    return row(sender, heard=tuple(echoes), **changes)


def test_a_row_that_does_not_echo_me_is_entered_and_changes_nothing_else():
    found = members()
    assert not at(found, 3.0).accept(heard(None))
    assert found.heard() == (None, (101, 1), None)
    assert found.row(1) is None and not at(found, 3.0).is_alive(1)


@pytest.mark.parametrize('incarnation', [MINE - 1, MINE + 1])
def test_a_recorded_row_that_echoes_an_earlier_life_of_mine_proves_nothing(incarnation):
    found = members()
    assert not at(found, 3.0).accept(heard((incarnation, 2)))
    assert not at(found, 3.0).is_alive(1)


def test_an_echo_of_what_i_never_sent_proves_nothing():
    assert not at(members(), 3.0).accept(heard((MINE, 99)))


def test_old_and_doubled_rows_are_ignored():
    found = members()
    assert at(found, 3.0).accept(heard((MINE, 2), seq=5))
    assert not at(found, 3.1).accept(heard((MINE, 2), seq=5))
    assert not at(found, 3.2).accept(heard((MINE, 2), seq=4))
    assert found.row(1).seq == 5 and found.heard()[1] == (101, 5)


@pytest.mark.parametrize('seq', [4, 5])
def test_a_row_that_is_no_newer_than_one_that_did_not_count_does_not_count_either(seq):
    found = members()
    assert not at(found, 3.0).accept(heard(None, seq=5))
    assert not at(found, 3.1).accept(heard((MINE, 2), seq=seq))
    assert found.heard()[1] == (101, 5) and found.row(1) is None


def test_a_late_row_of_the_incarnation_before_never_displaces_the_present_one():
    found = members()
    at(found, 1.5).accept(heard((MINE, 1), incarnation=7, seq=900))
    assert at(found, 3.0).accept(heard((MINE, 3), incarnation=8, seq=1))
    assert not at(found, 3.1).accept(heard((MINE, 2), incarnation=7, seq=901))
    assert found.row(1).incarnation == 8


def test_a_deaf_peer_is_alive_and_not_in_two_way_contact():
    found = members()
    at(found, 1.0).accept(heard((MINE, 1), seq=1))
    at(found, 2.9).accept(heard((MINE, 1), seq=2))
    assert at(found, 3.0).is_alive(1) and not at(found, 3.0).is_two_way(1)


def test_a_silent_peer_is_lost_after_the_hold_time():
    found = members()
    at(found, 3.0).accept(heard((MINE, 3)))
    assert at(found, 3.0 + HOLD - 0.001).is_alive(1)
    assert not at(found, 3.0 + HOLD).is_alive(1) and not found.is_two_way(1)
    assert not found.is_alive(2) and not found.is_two_way(2), 'it was never heard'


def test_nobodys_silence_counts_while_i_slept():
    found = members()
    at(found, 3.0).accept(heard((MINE, 3)))
    found.slept(100.0)
    assert at(found, 103.0 + HOLD - 0.001).is_alive(1)


def test_instants_of_own_rows_are_kept_in_bounds_and_the_newest_are_kept():
    found = members(sent=range(1, 3 * SENT_MAX))
    assert len(found.sent_at) <= SENT_MAX
    assert at(found, 3.0 * SENT_MAX).accept(heard((MINE, 3 * SENT_MAX - 1)))
    assert not at(found, 3.0 * SENT_MAX).accept(heard((MINE, 1), seq=2))


def test_so_many_instants_are_kept_as_fit_and_then_the_newer_half():
    found = members(sent=range(1, SENT_MAX + 1))
    assert len(found.sent_at) == SENT_MAX and 1 in found.sent_at
    found.sent(SENT_MAX + 1, 0.0)
    assert sorted(found.sent_at) == list(range(SENT_MAX // 2 + 1, SENT_MAX + 2))


@pytest.mark.parametrize('old, new', [(7, 8), (8, 7)])
def test_an_incarnation_that_was_displaced_never_comes_back(old, new):
    found = members()
    at(found, 1.5).accept(heard((MINE, 1), incarnation=old, seq=900))
    at(found, 3.0).accept(heard((MINE, 2), incarnation=new, seq=1))
    assert found.peers[1].past == {old}
    before = found.heard()
    assert not at(found, 3.1).accept(heard((MINE, 3), incarnation=old, seq=901))
    assert found.row(1).incarnation == new and found.heard() == before


def test_rows_of_one_incarnation_displace_nobody():
    found = members()
    for seq in (1, 2):
        at(found, 3.0).accept(heard((MINE, seq), incarnation=7, seq=seq))
    assert found.peers[1].past == set()


@pytest.mark.parametrize('old, new', [(7, 8), (8, 7)])
def test_of_two_incarnations_that_echo_the_same_the_one_that_was_there_stays(old, new):
    found = members()
    at(found, 3.0).accept(heard((MINE, 2), incarnation=old))
    assert not at(found, 3.1).accept(heard((MINE, 2), incarnation=new))
    assert found.row(1).incarnation == old and found.heard()[1] == (old, 1)


@pytest.mark.parametrize('old, new', [(7, 8), (8, 7)])
def test_an_incarnation_displaces_one_whose_echo_is_not_known_any_more(old, new):
    found = members()
    at(found, 3.0).accept(heard((MINE, 1), incarnation=old))
    del found.sent_at[1]
    assert at(found, 3.1).accept(heard((MINE, 2), incarnation=new))


@pytest.mark.parametrize('old, new', [(7, 8), (8, 7)])
def test_a_row_of_another_incarnation_that_does_not_echo_me_displaces_nobody(old, new):
    found = members()
    at(found, 3.0).accept(heard((MINE, 1), incarnation=old, seq=5))
    assert not at(found, 3.1).accept(heard(None, incarnation=new, seq=1))
    assert found.row(1).incarnation == old and found.heard()[1] == (new, 1)
    assert not at(found, 3.2).accept(heard((MINE, 2), incarnation=old, seq=5))
    assert at(found, 3.2).accept(heard((MINE, 2), incarnation=old, seq=6))


@pytest.mark.parametrize('old, new', [(7, 8), (8, 7)])
def test_a_restart_is_seen_in_the_first_row_of_an_incarnation_that_was_not_there_before(old, new):
    found = members()
    first = heard((MINE, 1), incarnation=old)
    assert not found.restarted(first)
    at(found, 3.0).accept(first)
    assert not found.restarted(first._replace(seq=2))
    second = heard((MINE, 2), incarnation=new)
    assert found.restarted(second)
    at(found, 3.0).accept(second)
    assert not found.restarted(first._replace(seq=3)), 'it was displaced'


def test_when_a_peer_has_heard_me_is_the_instant_that_it_echoes():
    found = members()
    assert found.echoed_at(1) is None and found.echoed_at(ME) is None
    at(found, 3.0).accept(heard((MINE, 2)))
    assert found.echoed_at(1) == 2.0
    del found.sent_at[2]
    assert found.echoed_at(1) is None and not found.is_two_way(1)


def test_two_way_contact_ends_the_hold_time_after_the_row_that_is_echoed():
    found = members()
    at(found, 3.0).accept(heard((MINE, 2)))
    assert at(found, 2.0 + HOLD - 0.001).is_two_way(1)
    assert not at(found, 2.0 + HOLD).is_two_way(1)


def test_what_does_not_hear_me_only_arrives_until_it_is_silent_too():
    found = members()
    assert not found.arrives(1) and not found.only_arrives(1) and not found.arrives(ME)
    at(found, 3.0).accept(heard(None))
    assert found.arrives(1) and found.only_arrives(1)
    assert at(found, 3.0 + HOLD - 0.001).arrives(1)
    assert not at(found, 3.0 + HOLD).arrives(1) and not found.only_arrives(1)
    at(found, 6.0).accept(heard((MINE, 3), seq=2))
    assert found.arrives(1) and not found.only_arrives(1)


def test_a_beacon_is_overdue_after_an_interval_and_a_half():
    found = members()
    at(found, 3.0).accept(heard((MINE, 3)))
    interval = found.facts.settings.interval
    assert not at(found, 3.0 + 1.5 * interval - 0.001).is_late(1)
    assert at(found, 3.0 + 1.5 * interval).is_late(1)
    assert found.silence(1) == 1.5 * interval


def test_living_and_in_touch_are_looked_at_anew_with_each_event_and_each_row():
    found = members()
    assert found.living() == [] and found.in_touch() == []
    first = heard((MINE, 3))
    at(found, 3.0).accept(first)
    assert found.living() == [first] and found.in_touch() == [first]
    second = heard((MINE, 3), sender=2)
    found.accept(second)
    assert found.living() == [first, second]
    at(found, 3.0 + HOLD)
    assert found.living() == []
    found.slept(HOLD)
    assert found.living() == [first, second], 'after a sleep, too, within one event'


def test_rows_come_in_the_order_of_places_and_of_the_dead_too():
    found = members()
    one, two = heard((MINE, 3)), heard((MINE, 3), sender=2)
    at(found, 3.0).accept(two)
    assert found.all_rows() == [two]
    found.accept(one)
    assert found.all_rows() == [one, two] and at(found, 99.0).all_rows() == [one, two]
    assert found.row(1) is one and found.row(ME) is None and found.row_at(1) == 3.0
    assert found.living_row(1) is None


def test_as_many_as_an_election_needs_are_in_contact_or_not():
    found = members()
    assert not found.has_majority()
    at(found, 3.0).accept(heard((MINE, 3)))
    assert found.has_majority()
    five = Membership(Facts(one_settings(5), 0.0), MINE)
    five.sent(1, 0.0)
    for sender, enough in ((1, False), (2, True), (3, True)):
        five.accept(row(sender, 5, heard=((MINE, 1), None, None, None, None)))
        assert five.has_majority() is enough


def test_who_became_alive_or_was_lost_is_told_once():
    found = members()
    assert found.turned() == [] and found.regained_at == 0.0
    at(found, 3.0).accept(heard((MINE, 3)))
    assert found.turned() == [(1, True)] and found.turned() == []
    assert found.regained_at == 3.0
    assert at(found, 3.0 + HOLD).turned() == [(1, False)] and found.regained_at == 3.0


def test_what_is_heard_of_all_others_is_echoed_whatever_the_own_place():
    for own in range(3):
        found = Membership(Facts(one_settings(3, own), 0.0), MINE)
        for sender in set(range(3)) - {own}:
            found.accept(row(sender))
        assert found.heard() == tuple(
            None if place == own else (100 + place, 1) for place in range(3))
