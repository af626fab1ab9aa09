"""Wherever the cluster waits for a person, every node names the command, and the command works."""

import re

import pytest

from ahmlib.core.status import status
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import make_settings

from .plans import formed
from .test_field_found import left_behind

THREE = make_settings(3)
FOUR = make_settings(4)
STARTS = re.compile(r'start the AHM of AHM-NODE-(\d) \("ahm start" there\)')
PROMOTES = re.compile(r'"ahm_promote_node( --force)?" on AHM-NODE-(\d)')
LIMIT = 120.0


def trace(world):
    """What happened, for a failure's message."""
    return '\n'.join(world.trace[-80:])


def advice(world, asked):
    """What the status of that node says about the way out."""
    found = [text for text in status(world.hosts[asked].node.parts)['warnings']
             if text.startswith('nobody leads, and nobody will by itself: ')]
    return found[0] if found else ''


def living(world):
    """The nodes whose daemons run."""
    return [host.settings.own for host in world.hosts if host.node is not None]


def take(world, text):
    """Do what it says."""
    started, promoted = STARTS.search(text), PROMOTES.search(text)
    if started:
        strike(world, 'start', int(started.group(1)) - 1)
    else:
        force, number = promoted.groups()
        strike(world, 'force' if force else 'promote', int(number) - 1)


def waits(world):
    """Whether all say what to do."""
    return all(advice(world, own) for own in living(world))


def both_standbys_out():
    """A world in which node 1 leads, and nobody else may."""
    world = formed(THREE, 1)
    for own in (1, 2):
        strike(world, 'kill-database', own)
    databases = [host.node.parts.database for host in world.hosts[1:]]
    assert world.run_until(lambda: all(database.out for database in databases), LIMIT)
    return world


def test_a_majority_that_is_gone_for_good():
    world = formed(THREE, 1)
    for own in (0, 1):
        strike(world, 'power-off', own)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    text = advice(world, 2)
    assert 'start the AHM of AHM-NODE-1 or AHM-NODE-2, or mend the network' in text
    assert '"ahm_promote_node --force" on AHM-NODE-3 (10.0.0.3)' in text
    take(world, text)
    assert world.run_until(lambda: world.serves() == 2, LIMIT), trace(world)


def test_all_daemons_started_anew_without_the_old_primary():
    """Four nodes that all "may lead", and nothing that named ahm_promote_node."""
    world = formed(FOUR, 1)
    strike(world, 'power-off', 0)
    for own in (1, 2, 3):
        world.crash(own)
    world.run(5.0)
    for own in (1, 2, 3):
        world.start(own)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    texts = {advice(world, own) for own in living(world)}
    assert len(texts) == 1 and '"ahm_promote_node" on AHM-NODE-2' in texts.pop(), trace(world)
    take(world, advice(world, 3))
    assert world.run_until(lambda: world.serves() == 1, LIMIT), trace(world)


def test_both_standbys_out_and_the_primary_a_standby():
    """"attach it" and "nobody leads, there is no primary to attach to" were a circle."""
    world = both_standbys_out()
    strike(world, 'promote', 1)
    assert world.hosts[1].answered['reason'] == 'AHM-NODE-2 was reported out: repair its ' \
        'database, then run ahm_attach_node'        # somebody leads: that is the way
    strike(world, 'power-off', 0)
    for own in (1, 2):
        strike(world, 'start-database', own)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    assert '"ahm_promote_node --force" on AHM-NODE-2' in advice(world, 2)
    for asked in ('attach', 'promote'):
        strike(world, asked, 1)
        assert '"ahm_promote_node --force" on AHM-NODE-2' in world.hosts[1].answered['reason']
    take(world, advice(world, 2))
    assert world.run_until(lambda: world.serves() == 1, LIMIT), trace(world)


def test_both_standbys_out_and_the_primary_of_the_leader_gone_for_good():
    """It led on over nothing, and no status said so."""
    world = both_standbys_out()
    strike(world, 'kill-database', 0)
    text = 'AHM-NODE-1: the database is down (connection refused), and no other node may take ' \
        'over: start it; if it is gone for good, run "ahm stop" here'
    assert world.run_until(lambda: all(any(
        warning.startswith(text) for warning in status(host.node.parts)['warnings'])
        for host in world.hosts), LIMIT), trace(world)
    for own in (1, 2):
        strike(world, 'start-database', own)
    strike(world, 'stop', 0)
    assert world.run_until(lambda: world.hosts[0].node is None and waits(world), LIMIT), \
        trace(world)
    strike(world, 'power-off', 0)       # what the operator vouches for
    assert '"ahm_promote_node --force" on AHM-NODE-2' in advice(world, 2)
    take(world, advice(world, 2))
    assert world.run_until(lambda: world.serves() == 1, LIMIT), trace(world)


def test_both_standbys_out_and_the_primary_of_the_leader_started_again():
    world = both_standbys_out()
    strike(world, 'kill-database', 0)
    assert world.run_until(lambda: 'AHM-NODE-1: the database is down' in '\n'.join(
        status(world.hosts[2].node.parts)['warnings']), LIMIT), trace(world)
    strike(world, 'start-database', 0)
    parts = world.hosts[2].node.parts
    assert world.run_until(lambda: world.serves() == 0 and not any(
        'is down' in warning for warning in status(parts)['warnings']), LIMIT), trace(world)


def test_only_the_daemon_of_the_primary_is_gone():
    world = formed(THREE, 1)
    world.crash(0)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    text = advice(world, 2)
    assert text.endswith('start the AHM of AHM-NODE-1 ("ahm start" there), whose database answers, '
                         'or stop that database')
    take(world, text)
    assert world.run_until(lambda: world.serves() == 0, LIMIT), trace(world)


def test_all_databases_that_are_left_are_down_since_their_daemons_started():
    world = formed(THREE, 1)
    strike(world, 'power-off', 0)
    for own in (1, 2):
        world.crash(own)
        strike(world, 'kill-database', own)
        world.start(own)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    assert 'start the database of the node that had the newest data, as a standby' in advice(
        world, 1)
    for own in (1, 2):
        strike(world, 'start-database', own)
    world.run(2.0)      # both are looked at
    assert world.run_until(lambda: waits(world) and '"ahm_promote_node" on' in advice(world, 1),
                           LIMIT), trace(world)
    take(world, advice(world, 2))
    assert world.run_until(lambda: world.serves() == 1, LIMIT), trace(world)


def test_a_primary_that_is_not_the_one_on_record_and_nobody_else_who_could_lead():
    world = left_behind(make_settings(3, witnesses=(2,)))
    strike(world, 'heal', 0)
    world.start(0)
    assert world.run_until(lambda: waits(world), LIMIT), trace(world)
    assert advice(world, 2).endswith('stop the database of AHM-NODE-1: it is a primary, and not '
                                     'the one on record')


def test_an_attach_that_is_asked_for_during_an_election_is_told_to_look_at_the_status():
    world = formed(THREE, 1)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.hosts[2].node.leader_row() is None, 10.0)
    strike(world, 'attach', 2)
    assert world.hosts[2].answered['reason'] == \
        'nobody leads: there is no primary to attach to; see ahm_cluster_status'


@pytest.mark.parametrize('seconds', [1.0, 3.0])
def test_during_a_failover_nobody_is_told_to_do_anything(seconds):
    world = formed(THREE, 1)
    strike(world, 'power-off', 0)
    world.run(seconds)
    assert not any(advice(world, own) for own in living(world))
    assert world.run_until(lambda: world.serves() == 1, LIMIT)


#: For the test of what is reached.
STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and not story.__code__.co_argcount]
