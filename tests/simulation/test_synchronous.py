"""Stories of the modes in which AHM sets what commits wait for: nothing acknowledged is lost."""

import functools

import pytest

from ahmlib.core.policy.claims import NOBODY, covers
from ahmlib.simulation.faults import strike

from .clusters import MODES
from .plans import formed, waits_for_operator
from .test_operators import ask, trace

LONG = 40.0


def ready(cluster='three nodes, mode on', seed=1):
    """A world whose leader, node 0, has claimed what it has set."""
    world = formed(MODES[cluster], seed)
    assert world.run_until(lambda: is_settled(world), LONG), trace(world)
    return world


def is_settled(world):
    """Whether its leader's claim is the setting in force, and nothing is under way."""
    leader = world.serves()
    if leader is None:
        return False
    claim, (needed, names) = claim_of(world, leader), world.hosts[leader].database.synchronous
    nodes = tuple(host.settings.own for host in world.hosts if host.settings.name in names)
    return claim[2:] == ((needed, nodes) if needed else (1, (leader,)))


def claim_of(world, own):
    """The newest claim that this node has on its disk."""
    return world.hosts[own].saved.claim


def waits_for(world, own):
    """What the commits of this server wait for."""
    needed, names = world.hosts[own].database.synchronous
    return needed, tuple(host.settings.own for host in world.hosts if host.settings.name in names)


def rows(world):
    """How many rows were acknowledged."""
    return len(world.clients.acknowledged)


def changes(world):
    """How often a server was given a setting."""
    return sum(' commits wait for ' in line and 'synchronous:' not in line for line in world.trace)


def ends_well(world, at=None):
    """Somebody serves, and has all that was promised."""
    assert world.run_until(lambda: world.serves() is not None and at in (None, world.serves()),
                           2 * LONG), trace(world)
    assert world.clients.lost_by(world.serves(), promised=True) == 0, trace(world)


# -- what is set -------------------------------------------------------------------------------

def test_all_standbys_are_members_and_nobody_is_claimed_before_one_has_all():
    world = ready()
    assert waits_for(world, 0) == (1, (1, 2)) and claim_of(world, 0)[2:] == (1, (1, 2))
    world = ready('five nodes, mode on, two confirm')
    assert waits_for(world, 0) == (2, (1, 2, 3, 4))


def test_one_of_priority_0_is_a_member_only_where_nobody_else_is():
    world = ready('four nodes, mode on, one with priority 0')
    assert waits_for(world, 0) == (1, (1, 3))
    for own in (1, 3):
        strike(world, 'kill-database', own)
    assert world.run_until(lambda: waits_for(world, 0) == (1, (2,)), LONG), trace(world)


def test_a_dead_member_is_taken_out_while_it_is_still_believed_to_live():
    world = ready()
    strike(world, 'kill-database', 1)
    timing = world.settings.timing
    assert world.run_until(lambda: waits_for(world, 0) == (1, (2,)), timing.hold), trace(world)


def test_without_a_standby_writes_go_on_and_nobody_else_is_promoted():
    world = ready()
    for own in (1, 2):
        strike(world, 'kill-database', own)
    assert world.run_until(lambda: waits_for(world, 0) == (0, ()), LONG), trace(world)
    before = rows(world)
    world.run(3.0)
    assert rows(world) > before and claim_of(world, 1)[2:] == (1, (0,))
    world.power_off(0)
    for own in (1, 2):
        strike(world, 'start-database', own)
    world.run(LONG)
    assert world.serves() is None, trace(world)
    strike(world, 'power-on', 0)
    ends_well(world, 0)


def test_a_leader_that_is_cut_off_never_falls_back():
    world = ready()
    strike(world, 'cut', 0)
    world.run(LONG)
    assert waits_for(world, 0) == (1, (1, 2)) and claim_of(world, 1).needed
    strike(world, 'heal', 0)
    ends_well(world)


def test_in_mode_strict_commits_wait_and_go_on_once_a_standby_is_there():
    world = ready('three nodes, mode strict')
    for own in (1, 2):
        strike(world, 'kill-database', own)
    world.run(3.0)
    before = rows(world)
    world.run(LONG)
    assert rows(world) == before and waits_for(world, 0)[0] == 1
    strike(world, 'start-database', 2)
    strike(world, 'attach', 2)
    assert world.run_until(lambda: rows(world) > before, LONG), trace(world)


def test_in_mode_strict_no_commit_of_a_new_primary_is_alone():
    world = ready('three nodes, mode strict')
    for own in (1, 2):
        world.hosts[own].behaves['follow'] = 'fails'
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), LONG), trace(world)
    before, new = rows(world), world.serves()
    assert waits_for(world, new)[0] == 1
    world.run(5.0)
    assert rows(world) == before and claim_of(world, 3 - new)[2:] == (1, (new,))
    strike(world, 'commands-work', 3 - new)
    assert world.run_until(lambda: rows(world) > before, LONG), trace(world)


def test_in_mode_strict_who_cannot_set_it_is_not_promoted():
    world = ready('three nodes, mode strict')
    for own in (1, 2):
        strike(world, 'set-synchronous-fails', own)
    world.power_off(0)
    world.run(LONG)
    assert world.serves() is None, trace(world)
    assert all(host.database.promotions == 0 for host in world.hosts)
    for own in (1, 2):
        strike(world, 'commands-work', own)
    ends_well(world)


def test_in_mode_strict_a_name_that_nobody_has_stands_for_who_was_never_there():
    world = formed(MODES['five nodes, mode strict, two confirm'], 1)
    for own in (1, 2, 3, 4):
        strike(world, 'kill-database', own)
    world.tampered = True
    world.hosts[0].database.synchronous = (0, ())       # as it was before the mode was chosen
    assert world.run_until(lambda: world.hosts[0].database.synchronous == (2, (NOBODY,)),
                           LONG), trace(world)
    before = rows(world)
    world.run(5.0)
    assert rows(world) == before


def test_a_standby_that_comes_and_goes_changes_the_setting_seldom():
    world = ready()
    before = changes(world)
    for _ in range(40):
        strike(world, 'stop-replication', 2)
        world.run(0.3)
        strike(world, 'start-replication', 2)
        world.run(0.7)
    assert changes(world) - before <= 8, trace(world)


# -- who is promoted ---------------------------------------------------------------------------

def test_a_standby_that_lags_is_not_counted_on_before_it_has_all():
    """Named at once, it would be all that is asked for, and lack what the other one confirmed."""
    world = ready()
    strike(world, 'stop-replication', 2)
    assert world.run_until(lambda: waits_for(world, 0) == (1, (1,)) and is_settled(world),
                           LONG), trace(world)
    world.run(3.0)
    strike(world, 'slow-replication', 2)
    world.power_off(1)
    world.run(5.0)
    assert claim_of(world, 2)[2:] != (1, (2,)), trace(world)
    world.power_off(0)
    world.run(LONG)
    assert world.serves() is None, trace(world)
    strike(world, 'commands-work', 2)
    strike(world, 'power-on', 1)
    ends_well(world)


def test_right_after_a_failover_the_new_primary_alone_has_all():
    world = ready()
    for own in (1, 2):
        world.hosts[own].behaves['follow'] = 'fails'
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), LONG), trace(world)
    new = world.serves()
    before = rows(world)
    assert world.run_until(lambda: waits_for(world, new) == (0, ()), LONG), trace(world)
    world.run(1.0)
    assert rows(world) > before and claim_of(world, 3 - new)[2:] == (1, (new,))
    world.power_off(new)
    strike(world, 'power-on', 0)
    world.run(LONG)
    assert world.serves() is None, trace(world)
    for own in (1, 2):
        strike(world, 'commands-work', own)
    strike(world, 'power-on', new)
    ends_well(world, new)


def test_a_takeover_that_is_stopped_asks_for_no_more_nodes_than_before():
    world = ready('five nodes, mode on, two confirm')
    before = claim_of(world, 0)[2:]
    for own in (1, 2, 3, 4):
        world.vip_answers.add(own)
    world.power_off(0)
    assert world.run_until(lambda: any('takeover stopped' in line for line in world.trace), LONG)
    world.run(1.0)
    stood = max(claim_of(world, own) for own in (1, 2, 3, 4))
    assert stood[2:] == before, trace(world)
    for own in (1, 2, 3, 4):
        strike(world, 'commands-work', own)
    ends_well(world)


def test_a_switchover_of_a_primary_that_was_alone_names_who_has_all():
    world = ready()
    for own in (1, 2):
        strike(world, 'stop-replication', own)
    assert world.run_until(lambda: waits_for(world, 0) == (0, ()), LONG), trace(world)
    strike(world, 'slow-replication', 2)
    world.hosts[1].behaves.clear()
    world.run(0.3)
    assert ask(world, 1, 'promote')['ok']
    ends_well(world, 1)


# -- a change that is left at any step ---------------------------------------------------------

def _is_joined(world):
    return claim_of(world, 0)[2:] == (1, (0,))


def _is_set(world):
    return waits_for(world, 0) == (0, ())


def _comes_back(world):
    return waits_for(world, 0)[0] == 1 and claim_of(world, 0)[2:] == (1, (0,))


STEPS = {'claimed': _is_joined, 'set': _is_set, 'set again': _comes_back}


@pytest.mark.parametrize('fault', ['crash-and-start', 'power-off', 'cut', 'kill-database',
                                   'freeze'])
@pytest.mark.parametrize('step', sorted(STEPS))
def test_a_change_may_be_left_at_any_step(step, fault):
    world = ready()
    for own in (1, 2):
        strike(world, 'kill-database', own)
    for each in ('claimed', 'set', 'set again'):
        if each == 'set again':
            strike(world, 'start-database', 1)
            world.run(1.0)
            strike(world, 'attach', 1)
        assert world.run_until(lambda: STEPS[each](world), LONG), trace(world)
        if each == step:
            break
    strike(world, fault, 0)
    world.run(5.0)
    for own in (1, 2):
        strike(world, 'start-database', own)
    for undo in ('power-on', 'heal', 'start-database', 'thaw'):
        strike(world, undo, 0)
    world.run(1.0)
    for own in (0, 1, 2):
        strike(world, 'attach', own)
    if not world.run_until(lambda: world.serves() is not None, 2 * LONG):
        # The one that has all was reported out: an operator has to look at it.
        assert 'may hold more' in waits_for_operator([host.node for host in world.hosts])
        assert step == 'set again' and fault == 'kill-database', trace(world)
        return
    ends_well(world)


@pytest.mark.parametrize('how', ['set-synchronous-slow', 'set-synchronous-fails',
                                 'set-synchronous-hangs'])
def test_an_order_of_which_nobody_knows_whether_it_was_done(how):
    world = ready()
    strike(world, how, 0)
    strike(world, 'kill-database', 1)
    world.run(4.0)
    strike(world, 'kill-database', 2)
    world.run(8.0)
    strike(world, 'crash-and-start', 0)
    world.run(8.0)
    strike(world, 'commands-work', 0)
    for own in (1, 2):
        strike(world, 'start-database', own)
        strike(world, 'attach', own)
    ends_well(world)
    assert world.run_until(lambda: is_settled(world), LONG), trace(world)


def test_all_daemons_restarted_still_know_what_was_claimed():
    world = ready()
    for own in (0, 1, 2):
        strike(world, 'crash', own)
    world.power_off(0)
    world.power_off(1)
    for own in (1, 2):
        strike(world, 'start', own)
    world.run(LONG)
    assert world.serves() is None, trace(world)
    strike(world, 'power-on', 0)
    ends_well(world)


def test_a_setting_by_hand_is_put_right():
    world = ready()
    world.tampered = True       # it is seen, and claimed, one check late
    world.hosts[0].database.synchronous = (0, ())
    assert world.run_until(lambda: claim_of(world, 0)[2:] == (1, (0, 1, 2)), LONG), trace(world)
    assert world.run_until(lambda: waits_for(world, 0) == (1, (1, 2)), LONG), trace(world)
    assert world.run_until(lambda: is_settled(world), LONG), trace(world)


# -- the claim ---------------------------------------------------------------------------------

def test_it_is_told_who_confirms_no_commit_and_why():
    world = ready('five nodes, mode on, two confirm')
    for place in (1, 2, 3):
        strike(world, 'stop-replication', place)
    strike(world, 'kill-database', 4)
    said = 'AHM-NODE-1 synchronous: commits wait for 0, and synchronous_node_count is 2: ' + \
        '; '.join(['0 connections stream under the name AHM-NODE-%d, its application_name, as far '
                   'as AHM may see (pg_monitor)' % number for number in (2, 3, 4)])
    assert world.run_until(lambda: said in trace(world), LONG), trace(world)
    assert 'AHM-NODE-5 has no standby that follows' in trace(world)
    strike(world, 'start-replication', 1)
    shortage = world.hosts[0].node.parts.synchronous.shortage
    only = 'commits wait for 1, and synchronous_node_count is 2: 0 connections stream under the ' \
        'name AHM-NODE-3'
    assert world.run_until(lambda: shortage().startswith(only), LONG), shortage()
    strike(world, 'start-replication', 2)
    over = 'as many standbys confirm each commit as was asked for'
    assert world.run_until(lambda: over in trace(world), LONG), trace(world)


def test_a_claim_covers_what_some_of_it_confirm_in_any_case():
    """Against all cases of five nodes, of which node 0 has the primary."""
    from itertools import combinations

    from ahmlib.core.beacon import Claim
    everybody = [nodes for size in range(5) for nodes in combinations((1, 2, 3, 4), size)]
    cases = 0
    for claimed in everybody:
        for with_own in ((), (0,)):
            nodes = with_own + claimed
            for needed in range(1, len(nodes) + 1):
                for listed in everybody:
                    for wait in range(len(listed) + 1):
                        least = min(len({0, *some} & set(nodes))
                                    for some in combinations(listed, wait))
                        assert covers(Claim(1, 1, needed, nodes), wait, listed, 0) \
                            == (least >= needed), (needed, nodes, wait, listed)
                        cases += 1
    assert cases == 3840


STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and not story.__code__.co_argcount] + [
    functools.partial(test_a_change_may_be_left_at_any_step, 'set', 'crash-and-start'),
    functools.partial(test_an_order_of_which_nobody_knows_whether_it_was_done,
                      'set-synchronous-hangs'),
    functools.partial(test_an_order_of_which_nobody_knows_whether_it_was_done,
                      'set-synchronous-fails')]
