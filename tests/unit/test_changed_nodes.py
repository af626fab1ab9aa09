"""A daemon whose nodes.conf was changed since it ran last listens for a leader by the old one."""

import itertools
import types

import pytest

from ahmlib.core.beacon import Pause
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import build_parts
from ahmlib.core.policy.foreign import ORDER
from ahmlib.network.wire import ForeignRow
from ahmlib.runtime import changed_nodes
from ahmlib.runtime.changed_nodes import Listening, pause_of, why_not_changed, why_not_restart
from ahmlib.simulation.host import make_settings

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
    assert 'put back here what it has, or run ahm_pause_cluster' in why


def test_a_leader_of_the_other_cluster_that_falls_silent_is_waited_for():
    """All are restarted at once, and it was the last."""
    listening = Listening(TIMING, 100.0)
    listening.heard(LEADER, HOST, 101.0)
    assert listening.ends_at() == 103.25 and listening.why_not_started() == ''


def test_a_follower_of_the_other_cluster_does_not_count():
    listening = Listening(TIMING, 100.0)
    listening.heard(FOLLOWER, HOST, 103.5)
    assert listening.why_not_started() == '' and listening.ends_at() == 102.25


def test_a_leader_that_is_paused_is_no_other_one_for_who_is_paused_too():
    paused = ForeignRow('AHM-NODE-2', (), True, True)
    for listener, row, hears in ((True, paused, False), (True, LEADER, True),
                                 (False, paused, True)):
        listening = Listening(TIMING, 100.0, listener)
        listening.heard(row, HOST, 103.5)
        assert (listening.why_not_started() != '') is hears


FIVE = make_settings(5)[0]
NAMES = FIVE.addresses


def of(*places, **more):
    """The settings of a nodes.conf with these of five nodes."""
    return FIVE._replace(addresses=tuple(NAMES[place] for place in places), **more)


def those(*places):
    """Their addresses."""
    return [NAMES[place] for place in places]


@pytest.mark.parametrize('before, new, known, why', [
    (those(0, 1, 2), of(0, 1, 2, 3), those(0, 1), ''),
    (those(0, 1, 2), of(0, 1, 2, 3, 4), those(0, 1, 2), ''),
    (those(0, 1, 2), of(0, 1, 2, 3, 4), those(0, 1), 'may not know of the pause, and 3 elect'),
    (those(0, 1, 2), of(0, 1, 3), those(0, 1), ''),
    (those(0, 1, 2), of(0, 3, 4), those(0, 1, 2), 'could elect a leader by the old one'),
    (those(0, 1, 2), of(0, 1), those(0, 1), ''),
    (those(0, 1), of(0, 1, 2), those(0, 1), ''),
    (those(0, 1), of(0, 2, half_votes=True), those(0, 1), 'could elect a leader by the old one'),
    (those(0, 1), of(0), those(0, 1), ''),
    (those(0), of(0, 1), those(0), ''),
    (those(0), of(0, 1, 2), those(0), 'may not know of the pause, and 2 elect'),
    (those(0, 1, 2), of(1, 2, 3), those(0, 1, 2), 'make another node the primary first')])
def test_in_a_pause_nobody_may_be_elected_who_does_not_know_of_it(before, new, known, why):
    found = why_not_changed(before, new, NAMES[0], known)
    assert why in found if why else found == ''


def test_any_change_that_is_not_refused_leaves_no_majority_without_one_who_knows():
    """Every old file of up to four, every new one, every set that knows of a sealed pause."""
    places, tried = range(5), 0
    for size in (1, 2, 3, 4):
        for new in subsets(places):
            for known in subsets(range(size)):
                if len(known) <= size // 2 or 0 not in known:
                    continue
                if why_not_changed(those(*range(size)), of(*new), NAMES[0], those(*known)):
                    continue
                tried += 1
                for file in (range(size), new):
                    others = set(file) - set(known)
                    assert len(others) <= len(file) // 2, (size, new, known)
    assert tried > 50


def subsets(places):
    """All that are not empty."""
    return [some for count in range(1, len(places) + 1)
            for some in itertools.combinations(places, count)]


def test_a_restart_with_another_file_is_refused_but_in_a_pause(monkeypatch):
    monkeypatch.setattr(changed_nodes, 'core_settings', lambda config: config.settings)
    config = types.SimpleNamespace(settings=of(0, 1, 2, 3, cluster=8),
                                   nodes=types.SimpleNamespace(path='/etc/nodes.conf'))
    told = {'leader': 'AHM-NODE-1', 'cluster': 7, 'pause': None}
    why = why_not_restart(told, config)
    assert why.startswith('/etc/nodes.conf or the quorum rule was changed') and ORDER in why
    pause = {'holder': NAMES[0], 'known_by': those(0, 1), 'nodes': those(0, 1, 2)}
    for leader in ('AHM-NODE-1', ''):
        assert why_not_restart(dict(told, leader=leader, pause=pause), config) == ''
    pause['known_by'] = those(0)
    for leader in ('AHM-NODE-1', ''):
        why = why_not_restart(dict(told, leader=leader, pause=pause), config)
        assert '%s may not know of the pause' % ' and '.join(those(1, 2, 3)) in why
    assert why_not_restart(dict(told, cluster=8, pause=pause), config) == ''


def test_a_daemon_that_does_not_tell_of_its_cluster_may_be_restarted():
    """One of the version before, or one that did not answer; nor is one asked without a leader."""
    for answer in ({}, {'leader': 'AHM-NODE-1'}, {'leader': '', 'cluster': 7}):
        assert why_not_restart(answer, None) == ''


@pytest.mark.parametrize('pause, rests', [
    (Pause(), False), (Pause(7, 1, True, 0, False), False), (Pause(7, 1, False, 0, True), False),
    (Pause(7, 1, True, 0, True), True)])
def test_a_change_rests_on_a_pause_that_is_sealed_on_this_disk(pause, rests):
    _, parts = build_parts(make_settings(3)[1], Saved(pause=pause), 1, 0.0, 0.0)
    found = pause_of(types.SimpleNamespace(parts=parts, settings=parts.facts.settings))
    assert (found is not None) is rests
    if found is not None:
        assert found['known_by'] == [found['nodes'][1]] and found['holder'] == found['nodes'][0]
    parts.consensus.speaker.disk = Saved()      # it is not on disk
    assert parts.paused.known_by() == []
