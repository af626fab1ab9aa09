"""Rows count only if they echo me; silence counts only while I was awake."""

from ahmlib.core.membership import SENT_MAX, Membership

from .rows import one_settings, row

ME, MINE = 0, 4711
HOLD = one_settings().timing.hold


def members(sent=(1, 2, 3)):
    """A node that has sent beacons with these seqs, at the instants of the same number."""
    found = Membership(one_settings(), MINE)
    for seq in sent:
        found.sent(seq, float(seq))
    return found


def heard(echo, sender=1, **changes):
    """A row of that sender which echoes (incarnation, seq) of mine."""
    echoes = [None, None, None]
    echoes[ME] = echo
    return row(sender, heard=tuple(echoes), **changes)


def test_a_row_that_does_not_echo_me_is_entered_and_changes_nothing_else():
    found = members()
    assert not found.accept(heard(None), 3.0)
    assert found.heard() == (None, (101, 1), None)
    assert found.row(1) is None and not found.is_alive(1, 3.0)


def test_a_recorded_row_that_echoes_an_earlier_life_of_mine_proves_nothing():
    found = members()
    assert not found.accept(heard((MINE - 1, 2)), 3.0)
    assert not found.is_alive(1, 3.0)


def test_an_echo_of_what_i_never_sent_proves_nothing():
    assert not members().accept(heard((MINE, 99)), 3.0)


def test_old_and_doubled_rows_are_ignored():
    found = members()
    assert found.accept(heard((MINE, 2), seq=5), 3.0)
    assert not found.accept(heard((MINE, 2), seq=5), 3.1)
    assert not found.accept(heard((MINE, 2), seq=4), 3.2)
    assert found.row(1).seq == 5 and found.heard()[1] == (101, 5)


def test_a_late_row_of_the_incarnation_before_never_displaces_the_present_one():
    found = members()
    found.accept(heard((MINE, 1), incarnation=7, seq=900), 1.5)
    assert found.accept(heard((MINE, 3), incarnation=8, seq=1), 3.0)
    assert not found.accept(heard((MINE, 2), incarnation=7, seq=901), 3.1)
    assert found.row(1).incarnation == 8


def test_a_deaf_peer_is_alive_and_not_in_two_way_contact():
    found = members()
    found.accept(heard((MINE, 1), seq=1), 1.0)
    found.accept(heard((MINE, 1), seq=2), 2.9)
    assert found.is_alive(1, 3.0) and not found.is_two_way(1, 3.0)


def test_a_silent_peer_is_lost_after_the_hold_time():
    found = members()
    found.accept(heard((MINE, 3)), 3.0)
    assert found.is_alive(1, 3.0 + HOLD - 0.001)
    assert not found.is_alive(1, 3.0 + HOLD)


def test_nobodys_silence_counts_while_i_slept():
    found = members()
    found.accept(heard((MINE, 3)), 3.0)
    found.slept(100.0)
    assert found.is_alive(1, 103.0 + HOLD - 0.001)


def test_instants_of_own_rows_are_kept_in_bounds_and_the_newest_are_kept():
    found = members(sent=range(1, 3 * SENT_MAX))
    assert len(found.sent_at) <= SENT_MAX
    assert found.accept(heard((MINE, 3 * SENT_MAX - 1)), 3.0 * SENT_MAX)
    assert not found.accept(heard((MINE, 1), seq=2), 3.0 * SENT_MAX)
