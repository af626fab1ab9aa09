"""A daemon whose nodes.conf was changed since it ran last listens for a leader by the old one."""

import types

from ahmlib.network.wire import ForeignRow
from ahmlib.runtime.changed_nodes import Listening, why_not_restart

HOST = '192.0.2.2'
LEADER = ForeignRow('AHM-NODE-2', ('192.0.2.1:9500', '192.0.2.2:9500'), True)
FOLLOWER = ForeignRow('AHM-NODE-3', (), False)
TIMING = types.SimpleNamespace(lease=2.25, hold=3.0)


def test_silence_is_listened_to_for_as_long_as_a_leader_may_be_silent():
    listening = Listening(TIMING, 100.0)
    assert listening.ends_at() == 102.25 and listening.why_not_started() == ''


def test_a_leader_of_the_other_cluster_that_leads_on_is_not_stayed_beside():
    listening = Listening(TIMING, 100.0)
    for at in (100.5, 101.5, 102.5):
        listening.heard(LEADER, HOST, at)
        assert listening.why_not_started() == '' and listening.ends_at() == at + 2.25
    listening.heard(LEADER, HOST, 103.5)
    why = listening.why_not_started()
    assert why.startswith('AHM-NODE-2 at 192.0.2.2 leads by another nodes.conf or quorum rule than '
                          'that of this node (192.0.2.1:9500, 192.0.2.2:9500 there)')
    assert 'put back here what it has, or run ahm_shutdown_cluster' in why


def test_a_leader_of_the_other_cluster_that_falls_silent_is_waited_for():
    """All are restarted at once, and it was the last."""
    listening = Listening(TIMING, 100.0)
    listening.heard(LEADER, HOST, 101.0)
    assert listening.ends_at() == 103.25 and listening.why_not_started() == ''


def test_a_follower_of_the_other_cluster_does_not_count():
    listening = Listening(TIMING, 100.0)
    listening.heard(FOLLOWER, HOST, 103.5)
    assert listening.why_not_started() == '' and listening.ends_at() == 102.25


def test_a_daemon_that_does_not_tell_of_its_cluster_may_be_restarted():
    """One of the version before, or one that did not answer; nor is one asked without a leader."""
    for answer in ({}, {'leader': 'AHM-NODE-1'}, {'leader': '', 'cluster': 7}):
        assert why_not_restart(answer, None) == ''
