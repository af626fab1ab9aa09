"""Stories that people told of failover managers, about data and two primaries (R50, L20, L21).

Each went wrong on AHM once; the world had to learn what it could not show before: what is replayed
beside what is received, WAL that cannot be read, stops that lie, refused checks, disks that stall,
addresses that are there and of no use.
"""

import functools

import pytest

from ahmlib.core.beacon import Farewell
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import SLOW, make_settings

from .plans import formed

THREE = make_settings(3)
FENCED = make_settings(3, pre_promotion=True)


def trace(world):
    """What happened, for a failure's message."""
    return '\n'.join(world.trace[-80:])


def said(world, text):
    """Whether somebody told people this."""
    return any(text in line for line in world.trace)


def switched(world, target):
    """Ask that node to be promoted, and wait; the task."""
    strike(world, 'promote', target)
    node = world.hosts[target].node
    assert world.hosts[target].answered['ok'], world.hosts[target].answered
    assert world.run_until(lambda: not node.parts.operator.task.is_running, 300.0), trace(world)
    return node.parts.operator.task


# -- A: what is not seen is taken for absent ----------------------------------------------------

def test_a_stop_that_lies_is_found_out_by_the_next_check_and_done_again():
    """The isolated leader "stopped" a database that ran on, and nothing followed."""
    world = formed(THREE)
    world.hosts[0].behaves['stop'] = 'lies'
    world.network.isolate(0, range(3))
    world.run(6.0)
    assert world.hosts[0].database.writable
    world.hosts[0].behaves.clear()
    assert world.run_until(lambda: not world.hosts[0].database.writable, 3.0), trace(world)


@pytest.mark.parametrize('own', [0, 1])
def test_a_node_whose_server_is_not_that_of_its_directory_neither_leads_nor_is_promoted(own):
    world = formed(THREE)
    world.hosts[own].database.mismatch = 'another server answers'
    world.run(3.0)
    node = world.hosts[own].node
    assert node.parts.database.state is DatabaseState.QUARANTINED
    assert 'another server answers' in node.own_row().problem
    if own == 0:
        world.stop(0, Farewell.RESTARTING)
        world.run(0.5)
        world.start(0)
        world.run(30.0)
        assert world.leader() is None and world.hosts[0].database.writable, trace(world)
    else:
        world.power_off(0)
        assert world.run_until(lambda: world.serves() == 2, 20.0), trace(world)


# -- B: the position received is taken for what a promotion will have ----------------------------

def test_a_standby_that_receives_all_and_replays_nothing_is_not_the_successor():
    world = formed(THREE)
    strike(world, 'pause-replay', 1)
    world.run(3.0)
    assert world.hosts[0].node.parts.duties.successor == 2
    assert said(world, 'receives, and cannot replay: a recovery target was reached')
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 2, 20.0), trace(world)
    assert world.clients.lost_by(2) <= 2


def test_a_switchover_to_a_standby_whose_replay_stands_still_is_refused():
    world = formed(THREE)
    strike(world, 'pause-replay', 1)
    world.run(3.0)
    strike(world, 'promote', 1)
    assert 'cannot replay what it has received' in world.hosts[1].answered['reason']
    assert world.serves() == 0


def test_a_switchover_is_undone_where_the_target_receives_the_last_of_the_wal_and_replays_it_not():
    """"Command Success" twice, and 100 of 100 acknowledged rows were gone."""
    world = formed(THREE)
    world.fast_stop_seconds = 1.0
    strike(world, 'promote', 1)
    assert world.run_until(lambda: world.hosts[0].node.parts.database.half_done, 10.0), trace(world)
    strike(world, 'hold-replay', 1)
    node = world.hosts[1].node
    assert world.run_until(lambda: not node.parts.operator.task.is_running, 60.0), trace(world)
    assert 'has not replayed the last of the WAL' in node.parts.operator.task.reason
    assert world.run_until(lambda: world.serves() == 0, 20.0), trace(world)
    assert world.clients.lost_by(0) == 0


def test_who_has_replayed_goes_before_who_waits_for_a_reader():
    """23 seconds without a primary, although another standby was level."""
    world = formed(THREE)
    strike(world, 'hold-replay', 1)
    world.run(3.0)
    world.hosts[0].database.stop()      # both have received the same
    began = world.now
    assert world.run_until(lambda: world.serves() == 2, 20.0), trace(world)
    assert world.now - began < 6.0 and world.hosts[1].database.running


def test_a_promotion_that_does_not_get_through_its_replay_gives_way_and_its_server_lives():
    """It was killed for that."""
    world = formed(THREE)
    strike(world, 'stop-replication', 2)
    world.run(2.0)
    strike(world, 'hold-replay', 1)
    world.run(0.1)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 2, 60.0), trace(world)
    assert said(world, 'the promotion failed: replay does not go on')
    assert world.hosts[1].database.running and world.hosts[1].database.in_recovery


def test_a_standby_that_replays_again_may_be_promoted_again():
    world = formed(THREE)
    strike(world, 'pause-replay', 1)
    world.run(3.0)
    strike(world, 'resume-replay', 1)
    world.run(3.0)
    assert said(world, 'the standby replays again')
    assert world.hosts[0].node.parts.duties.successor == 1
    assert switched(world, 1).state == 'done'


# -- E: for a standby, refused is dead ----------------------------------------------------------

def test_standbys_that_refuse_ahm_for_a_while_come_back_by_themselves():
    """A password expired for ten seconds; half a minute later nobody could be promoted."""
    world = formed(THREE)
    for own in range(3):
        strike(world, 'refuse-checks', own)
    world.run(10.0)
    assert [host.node.parts.database.state for host in world.hosts] \
        == [DatabaseState.QUARANTINED] * 3
    assert [host.node.state for host in world.hosts[1:]] == [NodeState.STANDBY] * 2
    assert world.serves() == 0
    for own in range(3):
        strike(world, 'commands-work', own)
    world.run(10.0)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


def test_a_standby_that_only_its_own_ahm_does_not_reach_is_not_out():
    world = formed(THREE)
    for own in (1, 2):
        strike(world, 'fail-checks', own)
    world.run(10.0)
    assert [host.node.parts.database.state for host in world.hosts[1:]] \
        == [DatabaseState.QUARANTINED] * 2
    for own in (1, 2):
        strike(world, 'commands-work', own)
    world.run(3.0)
    assert [host.node.parts.database.state for host in world.hosts[1:]] \
        == [DatabaseState.STANDBY] * 2


def test_a_standby_that_nobody_reaches_is_out_and_stays_out():
    world = formed(THREE)
    strike(world, 'kill-database', 1)
    world.run(5.0)
    assert world.hosts[1].node.state is NodeState.LOST and world.hosts[1].node.parts.database.out
    strike(world, 'start-database', 1)
    world.run(5.0)
    assert world.hosts[1].node.parts.database.out


def test_a_reached_standby_that_dies_after_all_is_out():
    world = formed(THREE)
    strike(world, 'fail-checks', 1)
    world.run(10.0)
    assert not world.hosts[1].node.parts.database.out
    strike(world, 'kill-database', 1)
    world.run(10.0)
    assert world.hosts[1].node.parts.database.out


# -- F, G, R, W: the VIP -------------------------------------------------------------------------

def test_a_ping_that_may_not_send_is_no_silence():
    """The VIP was on two hosts, and nothing was said."""
    world = formed(THREE)
    for own in (1, 2):
        strike(world, 'ping-in-vain', own)
    world.power_off(0)
    world.run(30.0)
    assert world.serves() is None and said(world, 'no promotion: ping may not send')


def test_a_vip_that_the_kernel_does_not_use_is_not_held_and_raised_anew():
    world = formed(THREE)
    strike(world, 'vip-unusable', 0)
    world.run(2.0)
    row = world.hosts[0].node.own_row()
    assert row.holds_vip is False and 'cannot be used' in row.problem
    strike(world, 'commands-work', 0)
    world.run(2.0)
    assert world.hosts[0].node.own_row().holds_vip is True and world.serves() == 0


def test_a_stranger_that_answers_for_the_vip_is_named_and_stops_a_takeover():
    world = formed(THREE)
    for own in (1, 2):
        strike(world, 'answer-for-vip', own)
    world.power_off(0)
    world.run(10.0)
    waiting = [host.node.out.problem for host in world.hosts[1:]
               if host.node.state is NodeState.TAKING_OVER]
    assert 'from 02:ff:ff:ff:ff:ff' in waiting[0] and 's at most' in waiting[0]
    world.run(30.0)
    assert world.serves() is None and said(world, 'still answers, from 02:ff:ff:ff:ff:ff')


def test_a_stranger_is_looked_for_after_a_goodbye_too():
    """Where the old primary's daemon had said goodbye, the VIP was not looked for at all."""
    world = formed(FENCED)
    for own in (1, 2):
        strike(world, 'answer-for-vip', own)
    world.stop(0)
    world.run(30.0)
    assert not any(host.has_vip for host in world.hosts[1:]), trace(world)
    assert said(world, 'the VIP still answers')


def test_a_stranger_that_answers_while_the_leader_holds_the_vip_is_told_of():
    world = formed(THREE)
    strike(world, 'answer-for-vip', 0)
    world.run(70.0)
    assert world.hosts[0].node.parts.vip.rival is not None
    assert said(world, 'is answered for by 02:ff')
    strike(world, 'commands-work', 0)
    world.run(5.0)
    assert world.hosts[0].node.parts.vip.rival is None and world.serves() == 0


def test_the_vip_of_a_dead_house_is_taken_over():
    """The kernel of its host answers for the VIP for ever; every takeover stopped at that."""
    world = formed(THREE)
    strike(world, 'kill-daemon-and-database', 0)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)
    node = world.hosts[world.serves()].node
    assert node.parts.vip.rival.node == 0 and 'AHM-NODE-1' in node.own_row().problem
    world.hosts[0].has_vip = False
    world.run(5.0)
    assert node.parts.vip.rival is None and not node.own_row().problem


@pytest.mark.parametrize('size', [3, 5])
def test_who_was_stopped_by_the_vip_and_has_more_goes_first_once_that_is_over(size):
    """While it paused it voted as a witness does: one with less was promoted, and it diverged."""
    world = formed(make_settings(size))
    best, others = size - 1, range(1, size - 1)
    for own in others:
        strike(world, 'stop-replication', own)
    world.run(2.0)
    for own in range(1, size):
        strike(world, 'answer-for-vip', own)
    world.power_off(0)
    assert world.run_until(lambda: world.hosts[best].node.state is NodeState.TAKING_OVER, 20.0)
    assert world.run_until(lambda: any(world.hosts[own].node.state is NodeState.TAKING_OVER
                                       for own in others), 60.0), trace(world)
    for own in range(1, size):
        strike(world, 'commands-work', own)
    assert world.run_until(lambda: said(world, 'AHM-NODE-%d has more data (' % size), 30.0)
    # It does not wait for the end of its pause: something has changed.
    assert world.run_until(lambda: world.serves() is not None, 10.0), trace(world)
    assert world.serves() == best


def test_who_has_more_and_is_stopped_for_ever_keeps_the_others_from_it_no_longer_than_once():
    world = formed(THREE)
    strike(world, 'stop-replication', 1)
    world.run(2.0)
    strike(world, 'ping-in-vain', 2)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 1, 90.0), trace(world)
    assert said(world, 'no promotion: ping may not send')


def test_a_house_whose_daemon_lives_is_not_dead():
    world = formed(THREE)
    world.hosts[0].behaves['vip'] = 'fails'
    strike(world, 'kill-database', 0)
    world.run(30.0)
    assert world.serves() is None


# -- T: a daemon that starts cut off leaves a primary running -------------------------------------

@pytest.mark.parametrize('how', ['crash', 'restart'])
def test_a_daemon_that_starts_cut_off_stops_its_primary_before_anybody_is_promoted(how):
    """29.7 seconds of two writable primaries, and 1,545 acknowledged rows lost."""
    world = formed(THREE)
    strike(world, how, 0)
    world.run(0.1)
    world.network.isolate(0, range(3))
    if how == 'crash':
        world.start(0)
    promoted = []
    assert world.run_until(
        lambda: promoted.extend(host for host in world.hosts[1:] if host.database.writable)
        or not world.hosts[0].database.writable, 10.0), trace(world)
    assert not promoted
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)
    assert said(world, 'too few nodes hear it')


def test_a_daemon_that_is_restarted_among_the_others_leaves_its_primary_alone():
    world = formed(THREE)
    for _ in range(4):
        strike(world, 'crash-and-start', 0)
        world.run(8.0)
    assert world.serves() == 0 and world.hosts[0].database.starts == 0


def starts_as_its_lease_ends(world, seconds):
    """The leader's daemon dies, and is started so long before its lease on file has ended."""
    world.crash(0)
    host = world.hosts[0]
    world.run((host.lease_until - host.clock(world.now)) / host.rate - seconds)
    world.start(0)


@pytest.mark.parametrize('seconds', [0.01, 0.005, 0.019])
def test_a_daemon_whose_first_check_outlasts_its_lease_leaves_alone_what_everybody_hears(seconds):
    """It stopped a healthy primary at once: "too few nodes hear it (3 of the 2 needed)"."""
    world = formed(THREE)
    starts_as_its_lease_ends(world, seconds)
    assert world.run_until(lambda: world.serves() == 0, 20.0), trace(world)
    assert world.hosts[0].database.starts == 0 and not said(world, 'too few nodes hear it')


def test_a_daemon_that_nobody_hears_and_whose_first_check_outlasts_its_lease_stops_at_once():
    world = formed(THREE)
    world.network.isolate(0, range(3))
    starts_as_its_lease_ends(world, 0.01)
    at = world.now
    assert world.run_until(lambda: said(world, 'too few nodes hear it'), 5.0), trace(world)
    assert world.now - at < 0.3 and not any(host.database.writable for host in world.hosts[1:])


def test_nobody_is_promoted_beside_a_daemon_that_has_just_started_and_was_cut_off_since():
    """It counts on those who have heard that it has not looked yet; so they wait for it."""
    world = formed(THREE)
    world.hosts[0].behaves['check'] = SLOW
    starts_as_its_lease_ends(world, 0.01)
    world.run(0.03)
    world.network.isolate(0, range(3))
    promoted = []
    assert world.run_until(
        lambda: promoted.extend(host for host in world.hosts[1:] if host.database.writable)
        or not world.hosts[0].database.writable, 10.0), trace(world)
    assert not promoted, trace(world)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


@pytest.mark.parametrize('seed', [1, 24])
def test_a_quarantined_primary_that_is_cut_off_is_stopped_before_anybody_is_promoted(seed):
    """Its daemon was restarted, and leads no more; nobody took its word that its server runs."""
    world = formed(THREE, seed)
    world.hosts[0].database.mismatch = 'another server'
    strike(world, 'restart', 0)
    world.run(6.0 + seed / 17)
    assert world.serves() is None and world.hosts[0].database.writable
    world.network.isolate(0, range(3))
    assert world.run_until(lambda: not world.hosts[0].database.writable, 10.0), trace(world)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


def test_a_primary_that_was_stopped_for_its_isolation_serves_again_when_that_ends():
    world = formed(THREE)
    for own in (1, 2):
        world.crash(own)
    strike(world, 'crash-and-start', 0)
    world.run(10.0)
    assert not world.hosts[0].database.writable
    for own in (1, 2):
        world.start(own)
    assert world.run_until(lambda: world.serves() is not None, 90.0), trace(world)


def test_a_primary_of_a_cluster_that_starts_waits_for_the_others():
    world = formed(THREE)
    for own in range(3):
        world.power_off(own)
    strike(world, 'power-on', 0)
    world.run(60.0)
    assert world.hosts[0].database.writable
    strike(world, 'power-on', 1)
    assert world.run_until(lambda: world.serves() == 0, 20.0), trace(world)


def test_nobody_stops_the_primary_of_two_nodes_whom_nobody_can_outvote():
    world = formed(make_settings(2))
    world.network.isolate(0, range(2))
    strike(world, 'crash-and-start', 0)
    world.run(30.0)
    assert world.hosts[0].database.writable


# -- U: a disk that stalls kills a healthy database -----------------------------------------------

def test_a_disk_that_stalls_costs_a_leader_nothing():
    world = formed(THREE)
    for own in range(3):
        strike(world, 'stall-disk', own)
    world.run(20.0)
    assert world.serves() == 0 and world.hosts[0].node.state is NodeState.LEADER


def test_a_follower_whose_disk_stalls_is_silent_only_while_there_is_something_to_write():
    world = formed(THREE)
    strike(world, 'stall-disk', 1)
    world.power_off(0)
    world.run(8.0)
    assert world.serves() is None, 'two disks are needed'
    strike(world, 'unstall-disk', 1)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


def test_a_stall_is_told_of():
    world = formed(THREE)
    strike(world, 'stall-disk', 1)
    world.power_off(0)
    world.run(8.0)
    assert said(world, 'AHM-NODE-2 state: the state file cannot be written: the disk of data_dir '
                       'has not answered for 1 s; silent until it can be')


def test_where_the_disks_are_slow_the_first_candidacy_is_enough():
    """Its own save took of the time for votes, so no vote ever came within a candidacy."""
    world = formed(THREE)
    for own in range(3):
        strike(world, 'slow-disk', own)
    term = world.hosts[0].node.consensus.term
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)
    assert world.hosts[1].node.consensus.term == term + 1, trace(world)


def test_a_candidate_whose_disk_stalls_gives_way_to_a_rival():
    world = formed(make_settings(5))
    world.power_off(0)
    strike(world, 'stall-disk', 1)
    assert world.run_until(lambda: world.serves() in (2, 3, 4), 20.0), trace(world)
    strike(world, 'unstall-disk', 1)
    world.run(2.0)
    assert world.hosts[1].node.state is NodeState.STANDBY


def test_a_daemon_that_starts_beside_the_writer_of_its_forerunner_waits_for_it():
    world = formed(THREE)
    strike(world, 'stall-disk', 1)
    world.power_off(0)
    world.run(3.0)
    before = world.hosts[1].saved
    strike(world, 'crash-and-start', 1)
    world.run(3.0)
    assert world.hosts[1].node is None and world.hosts[1].saved == before
    strike(world, 'unstall-disk', 1)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)


# -- V: what a synchronous standby confirmed is lost ----------------------------------------------

def test_what_a_standby_confirmed_that_is_not_there_is_not_overlooked():
    """Claims were read from who was connected, so the one that had confirmed did not count."""
    world = formed(THREE, synchronous=1)
    strike(world, 'stop-replication', 2)
    world.run(2.0)
    for own in (1, 2):
        strike(world, 'restart-standby', own)
    world.run(1.0)
    world.power_off(0)
    world.power_off(1)
    world.run(20.0)
    assert world.serves() is None
    assert 'heard 1 of the 2 synchronous' in world.hosts[2].node.consensus.contest.why_not
    strike(world, 'power-on', 1)
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)


def test_all_daemons_restarted_still_know_what_was_claimed():
    world = formed(THREE, synchronous=1)
    strike(world, 'stop-replication', 2)
    world.run(2.0)
    world.power_off(0)
    world.power_off(1)
    strike(world, 'crash-and-start', 2)
    world.run(5.0)
    claim = world.hosts[2].node.parts.claims.claim
    assert (claim.needed, claim.nodes) == (1, (1, 2))


def test_a_standby_whose_wal_cannot_be_read_to_its_end_has_no_position():
    """It told how far it had replayed; what it had confirmed lay unreplayed on its disk."""
    world = formed(THREE, synchronous=1)
    strike(world, 'stop-replication', 2)
    strike(world, 'hold-replay', 1)
    strike(world, 'hide-wal', 1)
    world.run(2.0)
    world.power_off(0)
    world.run(20.0)
    assert world.serves() is None, trace(world)
    strike(world, 'commands-work', 1)
    strike(world, 'resume-replay', 1)
    assert world.run_until(lambda: world.serves() == 1, 60.0), trace(world)
    assert world.clients.lost_by(1, promised=True) == 0


def test_after_fencing_who_has_more_goes_first():
    """While the script ran, the old primary had one more standby confirm its commits."""
    world = formed(FENCED, synchronous=1)
    world.hosts[1].settings = world.hosts[1].settings._replace(priority=1)
    for own in (1, 2):
        world.hosts[own].behaves['hook'] = 'slow'
    world.crash(0)
    assert world.run_until(lambda: any(
        host.node is not None and host.node.state is NodeState.TAKING_OVER
        for host in world.hosts), 20.0), trace(world)
    winner = next(host.settings.own for host in world.hosts[1:]
                  if host.node.state is NodeState.TAKING_OVER)
    strike(world, 'stop-replication', winner)
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    assert world.clients.lost_by(world.serves(), promised=True) == 0
    assert world.serves() == 3 - winner
    assert said(world, 'has more data (')


STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and not story.__code__.co_argcount] + [
    functools.partial(
        test_a_node_whose_server_is_not_that_of_its_directory_neither_leads_nor_is_promoted, 1),
    functools.partial(
        test_a_daemon_that_starts_cut_off_stops_its_primary_before_anybody_is_promoted, 'crash')]
