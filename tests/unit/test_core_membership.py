"""Rows count only if they echo me; silence counts only while I was awake."""

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


def test_a_recorded_row_that_echoes_an_earlier_life_of_mine_proves_nothing():
    found = members()
    assert not at(found, 3.0).accept(heard((MINE - 1, 2)))
    assert not at(found, 3.0).is_alive(1)


def test_an_echo_of_what_i_never_sent_proves_nothing():
    assert not at(members(), 3.0).accept(heard((MINE, 99)))


def test_old_and_doubled_rows_are_ignored():
    found = members()
    assert at(found, 3.0).accept(heard((MINE, 2), seq=5))
    assert not at(found, 3.1).accept(heard((MINE, 2), seq=5))
    assert not at(found, 3.2).accept(heard((MINE, 2), seq=4))
    assert found.row(1).seq == 5 and found.heard()[1] == (101, 5)


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
    assert not at(found, 3.0 + HOLD).is_alive(1)


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
