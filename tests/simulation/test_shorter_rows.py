"""A cluster of which some nodes tell less: their rows end where those of an earlier version ended.

Their core is the one of today; what daemons of an earlier version really do is seen in
tests/integration/test_rolling_upgrade.py.  Here many schedules are tried, and all lemmas checked.
"""

import contextlib

import msgpack
import pytest

from ahmlib.network import wire

from ..conftest import PROFILE
from . import search
from .clusters import CLUSTERS
from .test_operators import ask, ends, formed, settled

#: The last field of the shortest rows that are read beside those of today.
LAST = 'forced'
HEAD = 3                        # magic, version, fingerprint
KEPT = HEAD + [field.name for field in wire.FIELDS].index(LAST) + 1

LOOKED_AT = {'dev': 16, 'ci': 64, 'nightly': 5000}[PROFILE]
SLICES = 4


@contextlib.contextmanager
def shortened(*senders):
    """The rows of these nodes end with LAST."""
    whole = wire.encode

    def encode(row):
        data = whole(row)
        if row.sender not in senders:
            return data
        return msgpack.packb(msgpack.unpackb(data, raw=False)[:KEPT], use_bin_type=True)
    wire.encode = encode
    try:
        yield
    finally:
        wire.encode = whole


def test_a_row_that_is_shortened_is_read_and_lacks_the_end():
    row = formed().hosts[0].node.own_row()._replace(replayed=5, forced=True)
    with shortened(0):
        read = wire.decode(wire.encode(row), row.cluster, 3)
    assert (read.forced, read.replayed) == (True, 0)
    assert wire.decode(wire.encode(row), row.cluster, 3).replayed == 5


@pytest.mark.parametrize('short', ((1, 2), (0,), (1,)))
def test_who_tells_less_votes_follows_and_takes_over(short):
    with shortened(*short):
        world = formed()
        world.power_off(0)
        assert world.run_until(lambda: world.serves() == 1, 60.0)
        assert world.run_until(
            lambda: world.upstream_of(world.hosts[2]) is world.hosts[1].database, 20.0)


def test_who_does_not_tell_what_it_has_replayed_is_handed_nothing_and_the_primary_runs_on():
    with shortened(1):
        world = formed()
        assert ask(world, 1, 'promote')['ok']
        reason = ends(world, 1)
    assert 'AHM-NODE-2 does not tell how far it has replayed' in reason
    assert 'upgrade that first' in reason
    assert world.serves() == 0 and world.hosts[0].database.starts == 0


def test_who_tells_less_hands_over_to_who_tells_all():
    with shortened(0, 2):
        world = formed()
        assert ask(world, 1, 'promote')['ok']
        assert world.run_until(lambda: world.serves() == 1 and settled(world), 60.0)
    assert world.clients.lost_by(1) == 0


@pytest.mark.parametrize('slice_number', range(SLICES))
def test_schedules_of_the_long_search_find_nothing_where_some_tell_less(slice_number):
    for number in range(slice_number, LOOKED_AT, SLICES):
        cluster = search.place(number)
        short = [place for place in range(len(CLUSTERS[cluster]))
                 if (number // len(CLUSTERS) + place) % 3 != 1]
        with shortened(*short):
            finding = search.attempt(cluster, *search.draw(cluster, number))
        assert finding is None, (number, short, finding)


STORIES = [test_who_does_not_tell_what_it_has_replayed_is_handed_nothing_and_the_primary_runs_on]
