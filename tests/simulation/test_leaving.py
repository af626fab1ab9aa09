"""A daemon ends, or all do, while the primary role moves or could: stories that once went wrong.

What is planned may cost a second without writes; it costs no row, and never the service.
"""

import functools

import pytest

from ahmlib.core.beacon import Farewell
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation import faults, perform
from ahmlib.simulation.host import FAILS, HANGS, SLOW

from .test_operators import ask, formed, settled, trace


def left_after(world, node, limit=300.0):
    """Run until the daemon of this node is gone; how long that took."""
    began = world.now
    assert world.run_until(lambda: world.hosts[node].node is None, limit), trace(world)
    return world.now - began


def said(world, words):
    """Whether the trace has these words."""
    return any(words in line for line in world.trace)


# -- ahm stop on the leader -----------------------------------------------------------------------


def test_a_standby_in_sync_is_handed_over_to_however_long_ago_it_looked_at_its_position():
    """It was refused for bytes that it had long received: its row was as old as its last check."""
    world = formed(pre_promotion=True, health_check_period=60.0)
    world.run(61.0)
    world.hosts[0].database.lsn += 20 * 1024 * 1024
    world.run(0.5)
    world.stop(0)
    assert left_after(world, 0) < 5.0 and world.serves() == 1, trace(world)
    assert world.clients.lost_by(1) == 0


def test_a_leader_does_not_leave_before_its_successor_is_through_with_its_fencing_script():
    """It left once it followed one that was taking over; the script failed, and nobody led."""
    world = formed(pre_promotion=True)
    world.hosts[1].behaves['hook'] = world.hosts[2].behaves['hook'] = HANGS
    world.stop(0)
    assert left_after(world, 0) > world.hosts[1].settings.promote_timeout
    assert said(world, 'taking the role back') and said(world, 'ends (RESTARTING)'), trace(world)
    assert world.serves_clients(world.hosts[0]), trace(world)


def test_a_leader_hands_over_to_nobody_who_has_just_left():
    """It waited for the successor that its row still named, and left beside a running primary."""
    world = formed(size=5, pre_promotion=True)
    world.stop(1)
    left_after(world, 1)
    world.run(0.2)
    world.stop(0)
    assert left_after(world, 0) < 5.0, trace(world)
    assert world.run_until(lambda: world.serves() in (2, 3, 4), 5.0), trace(world)
    assert world.clients.lost_by(world.serves()) == 0


@pytest.mark.parametrize('size, lost', [(3, (2,)), (5, (3, 4))])
def test_a_leader_hands_over_to_nobody_who_could_not_lead_without_it(size, lost):
    """The successor took over, and lost its lease with the old leader's goodbye: nobody served."""
    world = formed(size=size, pre_promotion=True)
    for node in lost:
        world.power_off(node)
    world.run(10.0)
    assert world.serves() == 0
    world.stop(0)
    left_after(world, 0)
    world.run(120.0)
    assert world.serves_clients(world.hosts[0]), trace(world)


def test_one_failed_check_does_not_keep_a_leader_from_handing_over():
    world = formed(pre_promotion=True)
    world.local_path_fails.add(0)
    assert world.run_until(lambda: world.hosts[0].node.parts.database.failures == 1, 5.0)
    world.local_path_fails.clear()
    world.stop(0)
    left_after(world, 0)
    assert world.run_until(lambda: world.serves() == 1, 10.0), trace(world)
    assert world.clients.lost_by(1) == 0


def test_a_leader_whose_checkpoint_hangs_stops_no_database():
    """Its stop has to write the same, and was cut short: a crash in place of a handover."""
    world = formed(pre_promotion=True)
    world.hosts[0].behaves['checkpoint'] = HANGS
    starts = world.hosts[0].database.starts
    world.stop(0)
    left_after(world, 0)
    assert said(world, 'the checkpoint before it takes longer than'), trace(world)
    assert world.serves_clients(world.hosts[0]), trace(world)
    assert world.hosts[0].database.starts == starts, trace(world)


@pytest.mark.parametrize('vip', ['10.0.0.100', ''])
def test_a_handover_that_was_undone_is_waited_for_no_longer_than_its_vip(vip):
    """Without a VIP it waited for one, three times as long as for a primary."""
    world = formed(pre_promotion=True, vip=vip)
    world.stop(0)
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[1].behaves['replication'] = world.hosts[2].behaves['replication'] = HANGS
    assert world.run_until(lambda: not world.hosts[0].node.consensus.steps_down, 90.0), trace(world)
    assert left_after(world, 0) < 2.0, trace(world)
    assert said(world, 'start it again within')


# -- ahm stop during a switchover -----------------------------------------------------------------


def test_a_leader_that_is_told_to_end_during_its_switchover_leaves_its_vote_to_the_target():
    """It resigned and ended in one moment: of two nodes the other one had no second vote."""
    world = formed(size=2)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.stop(0)
    left_after(world, 0)
    assert world.run_until(lambda: world.serves() == 1, 10.0), trace(world)
    assert world.clients.lost_by(1) == 0


def test_who_is_told_to_end_during_its_switchover_takes_the_role_back_where_the_target_fails():
    world = formed(size=2)
    world.hosts[1].behaves['promote'] = FAILS
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.stop(0)
    left_after(world, 0)
    assert said(world, 'taking the role back'), trace(world)
    assert world.serves_clients(world.hosts[0]), trace(world)


@pytest.mark.parametrize('seconds', [0.0, 0.1, 0.16, 0.17, 0.18])
def test_a_target_that_leaves_is_not_resigned_to(seconds):
    """Its goodbye had the position that was waited for: both databases were no primary then."""
    world = formed(size=2)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.run(seconds)
    if world.hosts[0].node.consensus.steps_down:
        world.stop(1)
        left_after(world, 1)
    assert world.run_until(lambda: world.serves() is not None, 60.0), trace(world)
    assert world.hosts[world.serves()].node is not None


@pytest.mark.parametrize('farewell', [Farewell.LEAVING, Farewell.RESTARTING])
@pytest.mark.parametrize('size', [2, 3])
def test_who_handed_over_ends_also_where_nobody_takes_over(size, farewell):
    """It waited for that, took the role back in vain, and began to wait anew, for ever."""
    world = formed(size=size)
    assert ask(world, 1, 'promote')['ok']
    place = world.hosts[0].node.parts.place
    assert world.run_until(lambda: place.handed_to == 1, 10.0), trace(world)
    for node in range(1, size):
        world.hosts[node].database.stop()
    world.hosts[0].behaves['start'] = FAILS
    world.stop(0, farewell)
    left_after(world, 0, 160.0)


def test_a_leader_without_anybody_to_hand_over_to_ends():
    world = formed(priorities=(0, 1, 0), pre_promotion=True)
    world.stop(0)
    place = world.hosts[0].node.parts.place
    assert world.run_until(lambda: place.handed_to == 1, 10.0), trace(world)
    world.hosts[1].database.stop()
    left_after(world, 0, 160.0)


@pytest.mark.parametrize('half_votes', [False, True])
@pytest.mark.parametrize('promotion', [None, SLOW])
def test_who_handed_over_leaves_when_the_new_leader_leads_over_a_primary(half_votes, promotion):
    """It left while the other one took over, which then had nobody to put it on record."""
    world = formed(size=2, half_votes=half_votes)
    world.hosts[1].behaves['promote'] = promotion
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.follower.following
                           and world.hosts[1].node.state is NodeState.TAKING_OVER, 20.0), \
        trace(world)
    world.stop(0)
    left_after(world, 0)
    world.run(60.0)
    assert world.serves() == 1, trace(world)


@pytest.mark.parametrize('farewell', [Farewell.LEAVING, Farewell.RESTARTING])
def test_a_daemon_that_ends_while_its_switchover_is_undone_puts_the_vip_back(farewell):
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.hosts[1].behaves['replication'] = HANGS
    world.stop(0, farewell)
    left_after(world, 0)
    assert world.serves_clients(world.hosts[0]), trace(world)


@pytest.mark.parametrize('stops', [True, False])
def test_a_switchover_whose_lease_ends_leaves_a_standby_behind(stops):
    """With stop_isolated_primary off the server stayed down, and nobody started it."""
    world = formed(witnesses=(2,), stop_isolated_primary=stops)
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 10.0), trace(world)
    world.power_off(1)
    world.network.isolate(0, range(3))
    world.run(5.0)
    world.network.heal()
    assert world.run_until(lambda: world.serves() == 0, 150.0), trace(world)


def test_who_leads_again_after_a_switchover_has_forgotten_it():
    """A later step-down was taken for one of a switchover, and named the target of that one."""
    world = formed()
    world.hosts[1].behaves['promote'] = world.hosts[2].behaves['promote'] = FAILS
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: not world.hosts[0].database.running, 10.0), trace(world)
    assert world.run_until(lambda: world.serves() == 0, 200.0), trace(world)
    node = world.hosts[0].node
    assert (node.parts.place.handed_to, node.parts.repoint.handed_over) == (None, False)
    world.hosts[1].behaves.clear()
    world.hosts[2].behaves.clear()
    world.run(30.0)
    world.network.isolate(0, range(3))
    world.run(15.0)
    world.network.heal()
    assert world.run_until(lambda: world.serves() in (1, 2), 40.0), trace(world)
    world.run(20.0)
    assert node.parts.database.state is DatabaseState.FAILED, trace(world)


def test_a_resignation_is_repeated_quickly():
    """The instant of the first loss of all was taken for that of this one."""
    world = formed()
    world.run(30.0)
    node = world.hosts[0].node
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: node.consensus.steps_down, 10.0), trace(world)
    assert world.run_until(lambda: not node.consensus.steps_down, 10.0), trace(world)
    speaker = node.consensus.speaker
    assert node.wake_at <= speaker.sent_at + speaker.quick


# -- ahm_shutdown_cluster -------------------------------------------------------------------------


@pytest.mark.parametrize('fence', [False, True])
@pytest.mark.parametrize('begin', ['promote', 'power-off'])
def test_the_end_of_the_cluster_waits_until_the_primary_role_has_arrived(fence, begin):
    """All who voted for the new leader left under its hands, and it gave its primary up again."""
    world = formed(pre_promotion=fence)
    if begin == 'promote':
        assert ask(world, 2, 'promote')['ok']
    else:
        faults.strike(world, begin, 0)

    def taking_over():
        return [host.settings.own for host in world.hosts
                if host.node is not None and host.node.state is NodeState.TAKING_OVER]
    assert world.run_until(taking_over, 20.0), trace(world)
    new = taking_over()[0]
    other = next(node for node in (1, 2) if node != new)
    assert ask(world, other, 'shutdown')['ok']
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 90.0), \
        trace(world)
    assert world.serves_clients(world.hosts[new]), trace(world)


def all_end(world, limit):
    """Run until no daemon is left."""
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), limit), \
        trace(world)


@pytest.mark.parametrize('seconds', [0.0, 0.05, 0.1, 0.15, 0.2, 0.25])
def test_the_end_of_the_cluster_waits_for_a_resigned_role_to_be_taken(seconds):
    """Between the resignation and the candidacy nobody moved, so all left, without a primary."""
    world = formed()
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 10.0), trace(world)
    world.run(seconds)
    assert ask(world, 2, 'shutdown')['ok']
    all_end(world, 200.0)
    assert any(map(world.serves_clients, world.hosts)), trace(world)


@pytest.mark.parametrize('seconds', [0.5, 0.58, 0.6, 0.61, 0.62, 0.65, 0.7])
def test_the_end_of_the_cluster_waits_for_a_switchover_that_is_prepared(seconds):
    world = formed()
    world.hosts[0].behaves['checkpoint'] = SLOW
    assert ask(world, 1, 'promote')['ok']
    assert world.run_until(lambda: world.hosts[0].node.plan.name == 'switch over', 10.0), \
        trace(world)
    world.run(seconds)
    ask(world, 2, 'shutdown')
    all_end(world, 100.0)
    assert any(map(world.serves_clients, world.hosts)), trace(world)


@pytest.mark.parametrize('fence', [False, True])
def test_the_end_of_the_cluster_waits_for_no_step_down_for_ever(fence):
    """One that was never through kept all others, until it was: then they ended, days later."""
    world = formed(pre_promotion=fence)
    world.hosts[0].behaves['vip'] = HANGS
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 30.0), trace(world)
    assert ask(world, 2, 'shutdown')['ok']
    assert world.run_until(lambda: world.hosts[1].node is None and world.hosts[2].node is None,
                           200.0), trace(world)


# -- what is starting -----------------------------------------------------------------------------


def test_an_old_primary_that_comes_back_as_a_standby_holds_up_nobody(monkeypatch):
    """Its daemon said what it was; it was waited for like a primary that starts."""
    world = formed(pre_promotion=True, promote_timeout=0.5)
    world.hosts[1].behaves['hook'] = 'lies'
    monkeypatch.setattr(perform, 'COMMAND_SECONDS', 1.0)
    world.stop(0)
    assert world.run_until(lambda: world.serves() == 1, 15.0), trace(world)


def test_a_second_crash_recovery_is_waited_for_like_the_first():
    """The wait was counted from the first one, long over."""
    world = formed()
    faults.strike(world, 'fail-checks', 0)
    world.run(5.0)
    faults.strike(world, 'crash-recovery', 0)
    world.run(52.0)
    assert world.serves() == 0, trace(world)
    faults.strike(world, 'crash-recovery', 0)
    world.run(15.0)
    assert not world.hosts[0].node.consensus.steps_down and world.serves() == 0, trace(world)
    assert settled(world), trace(world)


#: For the test of what is reached.
STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and not story.__code__.co_argcount] + [
    functools.partial(test_a_target_that_leaves_is_not_resigned_to, 0.17),
    functools.partial(test_a_leader_hands_over_to_nobody_who_could_not_lead_without_it, 3, (2,)),
    functools.partial(test_a_handover_that_was_undone_is_waited_for_no_longer_than_its_vip, ''),
    functools.partial(test_a_switchover_whose_lease_ends_leaves_a_standby_behind, False),
    functools.partial(test_who_handed_over_ends_also_where_nobody_takes_over, 3,
                      Farewell.RESTARTING),
    functools.partial(test_who_handed_over_leaves_when_the_new_leader_leads_over_a_primary, False,
                      SLOW),
    functools.partial(test_a_daemon_that_ends_while_its_switchover_is_undone_puts_the_vip_back,
                      Farewell.LEAVING),
    functools.partial(test_the_end_of_the_cluster_waits_for_a_resigned_role_to_be_taken, 0.1),
    functools.partial(test_the_end_of_the_cluster_waits_for_no_step_down_for_ever, False),
    functools.partial(test_the_end_of_the_cluster_waits_until_the_primary_role_has_arrived, True,
                      'promote'),
]
