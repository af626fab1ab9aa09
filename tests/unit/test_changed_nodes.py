"""A daemon whose nodes.conf was changed since it ran last listens before it acts."""

import pytest

from ahmlib.core.states import NodeState
from ahmlib.network import wire
from ahmlib.runtime.changed_nodes import Listening

from .test_wire import a_row

PEER = ('192.0.2.2', 9500)
OURS, OTHER = 71, 72


class Timing:
    """The durations that listening goes by, in seconds."""
    lease, hold = 2.25, 3.0


class Settings:
    """What it is told of the core's settings."""
    cluster, size, timing = OURS, 3, Timing


class Time:
    """A clock that a test sets."""
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    """A Time of its own for each test."""
    return Time()


def heard(listening, time, at, state, cluster=OTHER, **fields):
    """A row in this node state comes at this instant."""
    time.now = at
    listening.datagram(wire.encode(a_row(cluster=cluster, state=state, **fields)), PEER)


def test_silence_is_listened_to_for_as_long_as_a_leader_may_be_silent(time):
    listening = Listening(Settings, time, led=False)
    assert listening.ends_at() == 102.25 and not listening.still_lives()
    listening.datagram(b'junk', PEER)
    assert listening.ends_at() == 102.25


def test_a_leader_of_the_other_cluster_that_leads_on_is_not_started_beside(time):
    listening = Listening(Settings, time, led=False)
    for at in (100.5, 101.5, 102.5):
        heard(listening, time, at, NodeState.LEADER)
        assert not listening.still_lives() and listening.ends_at() == at + 2.25
    heard(listening, time, 103.5, NodeState.LEADER)
    assert listening.still_lives()


def test_a_leader_of_the_other_cluster_that_falls_silent_is_waited_for(time):
    """All are restarted at once, and it was the last."""
    listening = Listening(Settings, time, led=False)
    heard(listening, time, 101.0, NodeState.LEADER)
    time.now = listening.ends_at()
    assert time.now == 103.25 and not listening.still_lives()


def test_a_follower_of_the_other_cluster_counts_only_for_who_led_it(time):
    for led in (False, True):
        listening = Listening(Settings, time, led)
        heard(listening, time, listening.began_at + 3.5, NodeState.STANDBY)
        assert listening.still_lives() is led


def test_a_leader_by_the_own_file_ends_it(time):
    listening = Listening(Settings, time, led=False)
    heard(listening, time, 103.5, NodeState.LEADER)
    heard(listening, time, 103.6, NodeState.LEADER, cluster=OURS)
    assert listening.is_joined and not listening.still_lives()
