"""Promotion by force, where a majority is gone for good: what it does, what it never overrides, how
it ends, and what follows where the operator's word was not true.
"""

import pytest

from ahmlib.core.consensus.promise import Promise
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation import faults
from ahmlib.simulation.host import HANGS, make_settings
from ahmlib.simulation.lemmas import LEMMAS, OneLease
from ahmlib.simulation.world import Broken, World

from .mutants import Mutant, Patch, applied
from .test_operators import ask, ends, formed, refusal, settled, trace

#: What holds even where the operator's word is not true: all but "one primary" and "one lease".
ANYWAY = tuple(lemma for lemma in LEMMAS if lemma.number not in (2, 8, 26))


def left(*own, size=3, **changes):
    """A world whose other hosts are gone, long enough for everything that happens by itself."""
    world = formed(size=size, **changes)
    for place in reversed(range(size)):     # the primary last: who is left has all it had
        if place not in own:
            world.power_off(place)
    world.run(3 * world.settings.timing.hold + 5)
    return world


def force(world, own):
    """Promote this node by force, to the end; why it failed, or ''."""
    answer = ask(world, own, 'promote', force=True)
    assert answer['ok'], answer
    return ends(world, own)


def serves(world, own, seconds=60.0):
    """Wait until this node serves, and everybody who lives follows it."""
    assert world.run_until(lambda: world.serves() == own and settled(world), seconds), trace(world)


def come_back(world, *places):
    """These hosts are there again, their databases as standbys."""
    for place in places:
        world.power_on(place)
        world.hosts[place].database.signal = True
        world.hosts[place].database.start(by_hand=True)
        world.start(place)


def reigns(world, own):
    """Whether this node leads without a majority, and the status says so."""
    node = world.hosts[own].node
    warnings = ask(world, own, 'status')['status']['warnings']
    warned = any('leads by force' in text for text in warnings)
    assert warned is node.consensus.tenure.reigns is node.own_row().forced
    return node.consensus.tenure.reigns


def test_the_last_of_three_serves_again():
    world = left(2)
    assert world.serves() is None
    assert 'use --force if they are gone for good' in refusal(world, 2, 'promote')
    asked = ask(world, 2, 'promote', force=True, dry_run=True)
    assert asked['risks'][0].startswith('AHM-NODE-1, AHM-NODE-2: not heard')
    assert world.hosts[2].node.parts.operator.task is None
    assert force(world, 2) == ''
    serves(world, 2)
    assert reigns(world, 2)


def test_its_service_goes_on_over_restarts_of_its_daemon_and_of_its_host():
    world = left(2)
    force(world, 2)
    world.run(5.0)
    faults.strike(world, 'restart', 2)
    world.run(0.5)
    serves(world, 2)
    world.crash(2)
    world.run(30.0)
    world.start(2)
    serves(world, 2)
    world.power_off(2)
    faults.strike(world, 'power-on', 2)
    serves(world, 2)
    assert reigns(world, 2) and world.hosts[2].database.promotions == 1


def test_of_two_nodes_without_half_votes_the_standby_serves_and_the_old_primary_comes_back_to_it():
    world = left(1, size=2)
    force(world, 1)
    serves(world, 1)
    faults.strike(world, 'power-on', 0)
    assert world.run_until(lambda: not world.hosts[0].database.writable, 30.0), trace(world)
    world.run(30.0)
    assert world.serves() == 1 and not reigns(world, 1)
    assert world.hosts[0].node.parts.database.state in (
        DatabaseState.FAILED, DatabaseState.QUARANTINED)
    ask(world, 0, 'attach')
    world.run(60.0)
    assert world.serves() == 1


def test_all_who_are_left_vote_for_it_and_follow_it_and_are_not_elected_after_it_but_by_force():
    world = left(3, 4, size=5)
    assert force(world, 4) == ''
    serves(world, 4)
    assert reigns(world, 4) and world.hosts[3].node.consensus.promise.bound
    world.power_off(4)
    world.run(60.0)
    assert world.serves() is None
    assert 'in contact with 1 of the 5 nodes' in refusal(world, 3, 'promote')
    assert force(world, 3) == ''
    serves(world, 3)


def test_those_who_come_back_to_it_make_it_a_leader_like_any_other():
    world = left(2)
    force(world, 2)
    come_back(world, 0, 1)
    assert world.run_until(lambda: not world.hosts[2].node.consensus.tenure.reigns, 30.0), \
        trace(world)
    world.run(30.0)
    assert world.serves() == 2 and not world.hosts[1].node.consensus.promise.bound
    assert not world.hosts[2].saved.forced
    world.power_off(2)
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)


def reign_that_its_disk_remembers():
    """A majority comes back to a reigning leader, which cannot write that down, dies, and comes
    back out of the reach of all; the others come back, too.
    """
    world = left(2, world=dict(lemmas=(OneLease,)))
    force(world, 2)
    world.run(2.0)
    world.hosts[2].disk_full = True
    come_back(world, 0, 1)
    assert world.run_until(lambda: not world.hosts[2].node.consensus.tenure.reigns, 30.0), \
        trace(world)
    world.crash(2)
    world.network.isolate(2, range(3))
    world.run(0.1)      # what it was about to write has failed
    world.hosts[2].disk_full = False
    world.start(2)
    world.run(60.0)
    return world


def test_who_followed_a_reign_elects_nobody_beside_it_though_it_ended_without_a_trace_on_disk():
    world = reign_that_its_disk_remembers()
    assert world.serves() == 2
    world.network.heal()
    world.run(20.0)
    assert world.serves() == 2 and not reigns(world, 2)
    assert [host.node.consensus.promise.leader for host in world.hosts[:2]] == [2, 2]


def test_that_is_so_because_its_followers_are_bound():
    unbound = Mutant('followers of a reign are not bound', 8, '', (), (
        Patch(Promise, 'renew', 'self.bound = self.reigned = row.forced',
              'self.bound, self.reigned = False, row.forced'),))
    with applied(unbound), pytest.raises(Broken, match='hold a lease'):
        reign_that_its_disk_remembers()


def reign_beside_a_leader():
    """The operator was wrong: node 4 reigns, and node 0 leads a majority that is cut off."""
    world = formed(size=5, world=dict(lemmas=ANYWAY))
    world.network.part((3, 4), (0, 1, 2))
    world.run(10.0)
    assert force(world, 4) == ''
    world.run(5.0)
    return world


def test_a_reign_yields_to_the_leader_of_a_majority_that_was_not_gone():
    world = reign_beside_a_leader()
    assert world.hosts[4].node.consensus.tenure.reigns
    assert world.hosts[0].node.state is NodeState.LEADER
    term = world.hosts[4].node.consensus.term
    world.network.heal()
    world.run(20.0)
    assert world.serves() == 0 and world.hosts[0].node.consensus.term > term
    assert not world.hosts[4].database.writable and not world.hosts[4].node.consensus.tenure.reigns
    assert world.hosts[3].node.consensus.promise.leader == 0


def test_a_reign_that_nobody_follows_yields_as_well():
    world = formed(world=dict(lemmas=ANYWAY))
    world.network.isolate(2, range(3))
    world.run(10.0)
    assert force(world, 2) == ''
    world.network.heal()
    world.run(20.0)
    assert world.serves() == 0 and not world.hosts[2].database.writable


def test_a_reign_is_over_once_somebody_else_was_put_on_record():
    world = formed(world=dict(lemmas=ANYWAY))
    world.network.isolate(2, range(3))
    world.run(10.0)
    force(world, 2)
    world.power_off(2)
    world.network.heal()
    for new in (1, 0):
        assert ask(world, new, 'promote')['ok']
        assert world.run_until(lambda: world.serves() == new, 60.0), trace(world)
        world.run(10.0)
    world.power_off(0)
    world.run(10.0)
    faults.strike(world, 'power-on', 2)
    assert world.run_until(lambda: not world.hosts[2].node.consensus.tenure.reigns, 10.0), \
        trace(world)
    world.run(60.0)
    assert not world.hosts[2].saved.forced and world.serves() == 1


def test_a_reign_is_not_taken_up_over_a_database_that_is_no_primary_any_more():
    world = left(3, 4, size=5)
    force(world, 4)
    world.run(5.0)
    world.crash(4)
    faults.strike(world, 'demote-by-hand', 4)
    world.start(4)
    world.run(20.0)
    assert world.serves() is None
    assert world.hosts[4].node.consensus.contest.why_not \
        == 'its database is no primary any more: promote it by force again'
    assert force(world, 4) == ''
    serves(world, 4)


def test_a_forced_promotion_that_fails_is_tried_again_with_the_database_that_it_stopped():
    world = left(2)
    faults.strike(world, 'promote-hangs', 2)
    assert ask(world, 2, 'promote', force=True)['ok']
    assert world.run_until(lambda: not world.hosts[2].database.running, 60.0), trace(world)
    faults.strike(world, 'commands-work', 2)
    assert ends(world, 2) == ''
    serves(world, 2)


def test_force_in_contact_with_a_majority_is_an_election_of_whoever_was_asked():
    """Both standbys have priority 0: an operator's word overrides that, and nothing reigns."""
    world = left(1, 2, priorities=(1, 0, 0))
    assert world.serves() is None
    assert refusal(world, 1, 'promote') == 'AHM-NODE-2 has priority 0'
    rehearsed = ask(world, 1, 'promote', force=True, dry_run=True)
    assert 'AHM-NODE-2 has priority 0' in rehearsed['risks']
    assert force(world, 1) == ''
    serves(world, 1)
    assert not reigns(world, 1)


def test_force_chooses_the_one_with_less_data_and_says_how_much_is_lost():
    world = formed(priorities=(1, 0, 0))
    world.hosts[1].behaves['replication'] = HANGS
    world.run(2.0)
    world.power_off(0)
    world.run(20.0)
    risks = ask(world, 1, 'promote', force=True, dry_run=True)['risks']
    assert any('AHM-NODE-3 has more data than AHM-NODE-2' in risk for risk in risks), risks
    assert force(world, 1) == ''
    world.run(20.0)
    assert world.serves() == 1


def half_that_is_isolated():
    """Nodes 2 and 3 of four with half votes: the others are off, no trusted server is reached."""
    world = World(make_settings(4, half_votes=True, trusted=True))
    world.start_all()
    assert world.run_until(lambda: world.serves() == 0, 60.0), trace(world)
    world.run(2.0)
    for place in (0, 1):
        world.power_off(place)
    for place in (2, 3):
        faults.strike(world, 'lose-trusted', place)
    world.run(30.0)
    return world


def test_half_of_four_with_a_trusted_server_is_promoted_by_force_where_it_does_not_reach_that():
    world = half_that_is_isolated()
    assert world.serves() is None
    assert force(world, 2) == ''
    world.run(20.0)
    assert world.serves() == 2 and reigns(world, 2)


# What it never overrides


def test_force_is_refused_where_there_is_a_better_way():
    world = formed()
    assert refusal(world, 0, 'promote', force=True) == 'AHM-NODE-1 is the primary already'
    assert refusal(world, 1, 'promote', force=True) \
        == 'AHM-NODE-2 can be promoted without --force'
    world = formed(priorities=(1, 0, 2))
    assert refusal(world, 1, 'promote', force=True) \
        == 'AHM-NODE-1 leads, and --force is for where nobody can lead; without it: ' \
           'AHM-NODE-2 has priority 0'
    world = formed(size=4, witnesses=(3,))
    assert 'is a witness' in refusal(world, 3, 'promote', force=True)


def test_force_waits_for_the_end_of_every_promise():
    world = formed()
    world.power_off(0)
    world.power_off(1)
    world.run(0.5)
    assert refusal(world, 2, 'promote', force=True).startswith('AHM-NODE-1 leads, and')
    world = formed()
    world.power_off(0)
    world.power_off(1)
    world.crash(2)
    world.start(2)
    world.run(0.5)
    assert refusal(world, 2, 'promote', force=True).startswith('AHM-NODE-1 may still lead: wait')
    world.run(world.settings.timing.hold)
    assert force(world, 2) == ''


def test_force_without_a_state_file_waits_as_long():
    world = left(2)
    faults.strike(world, 'lose-state', 2)
    world.start(2)
    world.run(0.5)
    assert refusal(world, 2, 'promote', force=True).startswith('somebody may still lead: wait')
    world.run(3 * world.settings.timing.hold)
    assert force(world, 2) == ''
    serves(world, 2)


def test_who_said_goodbye_to_a_leader_that_is_gone_is_promoted_by_force():
    world = formed()
    assert ask(world, 0, 'shutdown')['ok']
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 60.0)
    world.power_off(0)
    for own in (1, 2):
        world.start(own)
    world.run(30.0)
    assert 'use --force if that is gone for good' in refusal(world, 1, 'promote')
    assert force(world, 1) == ''
    serves(world, 1)
    assert not reigns(world, 1)


def test_force_never_overrides_a_database_that_answers_or_that_does_not():
    world = formed()
    world.crash(0)
    world.crash(1)
    world.run(20.0)
    assert refusal(world, 2, 'promote', force=True) \
        == 'the database of AHM-NODE-1 still answers: stop it first'
    world.hosts[0].database.stop()
    world.hosts[2].database.stop()
    world.run(20.0)
    assert 'the database of AHM-NODE-3 does not answer' in refusal(world, 2, 'promote', force=True)


def test_force_never_overrides_who_hears_nothing_or_runs_as_a_primary():
    world = left(3, 4, size=5)
    world.network.cut(4, 3)
    world.run(10.0)
    assert refusal(world, 4, 'promote', force=True).startswith(
        'AHM-NODE-4 is heard, and does not hear AHM-NODE-5')
    world.network.heal()
    world.run(5.0)
    faults.strike(world, 'promote-by-hand', 3)
    world.run(5.0)
    assert 'the database of AHM-NODE-4 is a primary' in refusal(world, 4, 'promote', force=True)


def test_force_does_not_promote_a_database_that_could_not_be_told_from_older_ones():
    world = formed()
    world.hosts[2].behaves['replication'] = HANGS
    world.run(1.0)
    for new in (1, 0):
        assert ask(world, new, 'promote')['ok']
        assert world.run_until(lambda: world.serves() == new, 60.0), trace(world)
        world.run(5.0)
    assert world.hosts[2].node.parts.place.record.timeline == 3, trace(world)
    world.power_off(1)
    world.power_off(0)
    world.run(30.0)
    why = refusal(world, 2, 'promote', force=True)
    assert 'AHM-NODE-3 would be on timeline 2, and AHM-NODE-1 was the primary on timeline 3' in why


def test_a_forced_candidate_whose_voter_dies_is_elected_by_those_who_are_left():
    world = left(3, 4, size=5)
    assert ask(world, 4, 'promote', force=True)['ok']
    world.power_off(3)
    assert ends(world, 4) == ''
    serves(world, 4)


def test_a_forced_takeover_that_its_script_stops_reigns_no_more():
    world = left(2, pre_promotion=True)
    faults.strike(world, 'hook-fails', 2)
    assert ask(world, 2, 'promote', force=True)['ok']
    world.run(10.0)
    assert world.serves() is None and not world.hosts[2].node.consensus.tenure.reigns
    assert 'pre_promotion_command failed' in world.hosts[2].node.out.problem
    faults.strike(world, 'commands-work', 2)
    assert ends(world, 2) == ''
    serves(world, 2)


#: All of them, for the test of what is reached.
STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and 'because_its_followers' not in name]
