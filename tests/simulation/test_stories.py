"""Stories: plans and scripts whose end is known, each named after what it tells."""

from ahmlib.core.beacon import Farewell, Record
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.database import SYSTEM_ID
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import HANGS, SLOW, make_settings
from ahmlib.simulation.world import World

from .plans import apply, formed, heal, recovers


def states(world):
    """What every living node says of itself: {place: (database, state)}."""
    return {place: (host.node.parts.database.state, host.node.state)
            for place, host in enumerate(world.hosts) if host.node is not None}


def serves_elsewhere(world, limit=30):
    """Run until another node than the first serves, and return it."""
    assert world.run_until(lambda: world.serves() in (1, 2), limit), '\n'.join(world.trace)
    return world.serves()


def test_power_off_of_the_primary_is_over_within_T_hold_and_a_takeover():
    world = formed(make_settings(3))
    timing, at = world.hosts[0].settings.timing, world.now
    world.power_off(0)
    serves_elsewhere(world)
    assert world.now - at < 1.05 * timing.hold + 1.0


def test_a_better_one_that_dies_as_it_stands_is_not_left_another_moment():
    """Who had waited for it waits until its candidacy is over, and stands at once then."""
    world = formed(make_settings(5), 1)
    world.power_off(0)
    assert world.run_until(lambda: states(world)[1][1] is NodeState.STAND_FOR_LEADER, 30)
    world.run(0.004)        # it is heard, and no vote is back yet
    world.power_off(1)
    at, others = world.now, [host.node for host in world.hosts[2:]]
    world.run(0.05)
    ballots = [node.consensus.ballot for node in others]
    assert [(ballot.voted_for, ballot.leader) for ballot in ballots] == [(1, None)] * 3
    assert world.run_until(lambda: world.serves() is not None, 30)
    assert world.now - at < 3 * others[0].facts.patience


def test_default_timings_beat_the_manual():
    """Manual 19.4.2: about 36 to 44 s for a lost host, 195 to 230 s for a failed database."""
    defaults = dict(interval=8.0, health_check_period=30.0, max_consec_failures=5,
                    connect_timeout=5.0)
    world = formed(make_settings(3, **defaults))
    at = world.now
    world.power_off(0)
    serves_elsewhere(world, 60)
    assert world.now - at < 36
    world = formed(make_settings(3, **defaults))
    at = world.now
    world.hosts[0].database.hung = True
    serves_elsewhere(world, 300)
    assert world.now - at < 195


def test_an_isolated_primary_stops_before_the_other_one_starts():
    world = formed(make_settings(3))
    world.network.isolate(0, range(3))
    assert world.run_until(lambda: not world.hosts[0].database.running, 10)
    stopped_at = world.now
    serves_elsewhere(world)
    assert world.writes[-1][0] > stopped_at or world.writes[-1][1] == 0
    world.network.heal()
    world.run(10)
    assert world.serves() in (1, 2)
    assert states(world)[0] == (DatabaseState.FAILED, NodeState.STANDBY)


def test_one_reachable_verdict_stops_the_failover():
    """The daemon of the primary dies, its database lives: reported, and not promoted beside."""
    world = formed(make_settings(3))
    world.crash(0)
    world.run(30)
    assert world.hosts[1].database.in_recovery and world.hosts[2].database.in_recovery
    assert world.hosts[0].database.writable


def test_a_primary_whose_daemon_is_gone_stays_watched():
    world = formed(make_settings(3))
    world.crash(0)
    world.run(20)
    world.hosts[0].database.stop()
    world.hosts[0].has_vip = False
    serves_elsewhere(world)


def test_with_a_fencing_script_a_reachable_primary_without_its_daemon_is_fenced():
    world = formed(make_settings(3, pre_promotion=True))
    world.crash(0)
    serves_elsewhere(world)
    assert not world.hosts[0].database.running


def test_a_fencing_script_that_fails_stops_the_takeover():
    world = formed(make_settings(3, pre_promotion=True))
    for host in world.hosts:
        host.fencing_works = False
    world.crash(0)
    world.run(60)
    assert world.hosts[1].database.in_recovery and world.hosts[2].database.in_recovery
    assert any('pre_promotion_command failed' in line for line in world.trace)


def test_a_fencing_script_that_fails_is_not_run_again_and_again():
    """The verdicts of which a change allows a new try changed by the failed try itself."""
    world = formed(make_settings(3, pre_promotion=True))
    for host in world.hosts:
        host.fencing_works = False
    world.power_off(0)
    world.run(60)
    tries = sum('no promotion: pre_promotion_command failed' in line for line in world.trace)
    wait = world.hosts[0].settings.wait_for_primary
    assert 1 <= tries <= 2 * (60 / (wait / 1.05) + 1)


def test_after_a_handover_all_nodes_judge_the_named_successor_alike():
    """One had heard the resignation and the other had made it: each stood, neither ever won."""
    world = formed(make_settings(3, pre_promotion=True))
    world.stop(0)
    assert world.run_until(lambda: world.hosts[0].node.parts.place.handed_to == 1, 5)
    world.run(0.01)     # the resignation has arrived, and nobody stands yet
    named = {host.node.parts.candidate.view().named for host in world.hosts}
    assert named == {1}


def test_a_leader_forms_its_own_verdict_after_fencing():
    """Its own inquiry was forgotten as soon as it was made, and half votes never got a verdict."""
    world = formed(make_settings(2, half_votes=True, pre_promotion=True))
    at = world.now
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 1, 30), '\n'.join(world.trace)
    timing, probe = world.hosts[0].settings.timing, world.hosts[0].settings.connect_timeout
    assert world.now - at < 1.05 * (timing.hold + 2 * probe) + 1.0


def test_an_isolated_leader_that_is_told_to_stop_steps_down_before_it_ends():
    """It left its VIP and its database up on a host that nobody could hear."""
    plan = [(0.0, 'cut', 0), (0.6, 'stop', 0)]
    world = formed(make_settings(3))
    apply(world, plan)
    assert world.serves() in (1, 2)
    assert world.hosts[0].node is None
    assert not world.hosts[0].has_vip and not world.hosts[0].database.running


def test_a_restart_within_the_lease_keeps_the_role_and_the_vip():
    world = formed(make_settings(3))
    at, hold = world.now, world.hosts[0].settings.timing.hold
    vip_seen = []
    world.crash(0)
    world.run(0.3)
    world.start(0)
    assert world.run_until(lambda: vip_seen.append(world.hosts[0].has_vip)
                           or world.serves() == 0, hold)
    assert world.now - at < hold and all(vip_seen)
    assert set(world.leaders.values()) == {0}


def kept_until_it_leads(world):
    """Run until the first node leads again; whether its VIP was there all the while."""
    seen = []
    assert world.run_until(lambda: seen.append(world.hosts[0].has_vip) or world.serves() == 0,
                           20), '\n'.join(world.trace)
    return all(seen)


def test_a_daemon_that_starts_after_its_lease_keeps_the_vip_beside_its_primary():
    world = formed(make_settings(3))
    world.crash(0)
    world.run(world.hosts[0].settings.timing.hold * 3)
    world.start(0)
    assert kept_until_it_leads(world)


def test_all_daemons_start_again_the_primarys_last_and_it_keeps_the_vip():
    """After ahm_shutdown_cluster clients were out from its start to its election."""
    world = formed(make_settings(3))
    strike(world, 'shutdown-cluster', 1)
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 20)
    world.run(30)
    world.start(1)
    world.start(2)
    world.run(10)
    world.start(0)
    assert kept_until_it_leads(world)


def test_a_daemon_that_starts_after_its_lease_drops_the_vip_where_it_has_no_primary():
    world = formed(make_settings(3))
    world.crash(0)
    world.hosts[0].database.stop()
    world.run(world.hosts[0].settings.timing.hold * 3)
    world.start(0)
    assert world.run_until(lambda: not world.hosts[0].has_vip, 5)


def test_a_daemon_that_starts_cut_off_drops_the_vip_with_its_primary():
    world = formed(make_settings(3))
    world.crash(0)
    world.network.isolate(0, range(3))
    world.run(1.0)
    world.start(0)
    assert world.run_until(lambda: not world.hosts[0].has_vip, 10), '\n'.join(world.trace)
    assert world.run_until(lambda: not world.hosts[0].database.writable, 10)


def test_a_daemon_that_is_restarted_twice_leaves_the_service_as_it_is():
    """It kept the VIP beside its primary, did not lead yet, and stopped its database to end."""
    for farewell in (Farewell.LEAVING, Farewell.RESTARTING):
        world = formed(make_settings(3))
        world.crash(0)
        world.run(world.hosts[0].settings.timing.hold * 3)
        world.start(0)
        node = world.hosts[0].node
        members = node.consensus.members
        assert world.run_until(lambda node=node, members=members: members.has_majority()
                               and node.own_row().rightful, 5)
        assert not node.leads, '\n'.join(world.trace)
        world.stop(0, farewell)
        assert world.run_until(lambda: world.hosts[0].node is None, 20)
        assert world.hosts[0].database.writable, '\n'.join(world.trace)
        world.start(0)
        assert world.run_until(lambda: world.serves() == 0, 20), '\n'.join(world.trace)


def test_stopping_the_daemons_of_all_standbys_stops_nothing_else():
    world = formed(make_settings(3))
    world.stop(1)
    world.run(5)
    world.stop(2)
    world.run(30)
    assert world.serves() == 0 and world.hosts[1].node is None and world.hosts[2].node is None
    world.start(1)
    world.run(10)
    assert world.serves() == 0


def test_a_leader_that_leaves_last_leaves_the_service_as_it_is():
    """It waited for others to hear its goodbye that had left before it, and stopped its server."""
    for farewell in (Farewell.LEAVING, Farewell.RESTARTING):
        world = formed(make_settings(3))
        world.stop(1)
        world.run(3)
        world.stop(2)
        world.run(3)
        world.stop(0, farewell)
        assert world.run_until(lambda: world.hosts[0].node is None, 30)
        assert world.hosts[0].has_vip and world.hosts[0].database.writable


def test_a_standby_whose_daemon_starts_before_its_database_joins_when_it_streams():
    """It was reported out, as if it had been the primary."""
    world = formed(make_settings(3))
    world.crash(1)
    world.hosts[1].database.stop()
    world.run(1)
    world.start(1)
    world.run(20)
    world.hosts[1].database.start()
    assert world.run_until(lambda: states(world)[1] == (DatabaseState.STANDBY, NodeState.STANDBY),
                           20), states(world)


def test_whether_the_vip_is_here_stays_known_while_it_is_announced():
    world = formed(make_settings(3, health_check_period=5.0))
    world.power_off(0)
    new = serves_elsewhere(world)
    vip, seen = world.hosts[new].node.parts.vip, []
    world.run_until(lambda: seen.append(vip.here) or len(seen) > 2000, 15)
    assert set(seen) == {True}


def test_a_standby_that_said_goodbye_and_one_that_is_lost_cost_the_leader_its_place():
    world = formed(make_settings(3))
    world.stop(1)
    world.run(5)
    world.power_off(2)
    assert world.run_until(lambda: not world.hosts[0].has_vip, 10)


def test_a_restart_of_every_daemon_promotes_nobody():
    world = formed(make_settings(3))
    for place in range(3):
        world.stop(place, Farewell.RESTARTING)
    world.run(2)
    for place in (2, 1, 0):
        world.start(place)
        world.run(1)
    assert world.run_until(lambda: world.serves() == 0, 20)
    assert not any(host.database.promotions for host in world.hosts)


def test_standbys_that_never_followed_anybody_promote_nobody():
    world = formed(make_settings(3))
    world.power_off(0)
    for place in (1, 2):
        world.crash(place)
        world.start(place)
    world.run(120)
    assert not any(host.database.promotions for host in world.hosts)


def test_a_stale_old_primary_that_comes_back_is_stopped():
    world = formed(make_settings(3))
    world.power_off(0)
    serves_elsewhere(world)
    world.power_on(0)
    world.hosts[0].database.start()
    assert world.hosts[0].database.writable
    world.start(0)
    assert world.run_until(lambda: not world.hosts[0].database.running, 20)
    world.run(5)
    assert world.hosts[0].database.signal
    assert states(world)[0] == (DatabaseState.QUARANTINED, NodeState.STANDBY)


def test_a_stale_old_primary_that_starts_before_the_others_never_leads():
    world = formed(make_settings(3))
    world.power_off(0)
    new = serves_elsewhere(world)
    for place in (1, 2):
        world.crash(place)
    world.run(5)
    world.power_on(0)
    world.hosts[0].database.start()
    world.start(0)
    world.start(3 - new)
    world.run(60)
    assert world.serves() is None and not world.hosts[0].has_vip
    world.start(new)
    assert world.run_until(lambda: world.serves() == new, 30), '\n'.join(world.trace)


def test_a_leader_hands_over_when_it_is_stopped_for_good():
    world = formed(make_settings(2, half_votes=True, pre_promotion=True))
    world.stop(0)
    assert world.run_until(lambda: world.serves() == 1, 10), '\n'.join(world.trace)
    world.run(5)
    assert world.hosts[0].node is None and world.hosts[0].database.signal


def test_a_handover_that_fails_is_taken_back():
    """The successor cannot fence: the old leader starts its database, leads again, and leaves."""
    world = formed(make_settings(3, pre_promotion=True))
    for host in world.hosts[1:]:
        host.fencing_works = False
    world.stop(0)
    assert world.run_until(lambda: world.hosts[0].node is None, 200), '\n'.join(world.trace)
    assert world.hosts[0].has_vip and world.hosts[0].database.writable


def test_two_nodes_without_half_votes_do_without_the_standby():
    world = formed(make_settings(2))
    world.power_off(1)
    world.run(60)
    assert world.serves() == 0


def test_every_node_repeats_the_primary_on_record():
    world = formed(make_settings(3, witnesses=(2,)))
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 1, 30)
    world.run(2)
    records = {host.node.parts.place.record for host in world.hosts[1:]}
    assert len(records) == 1 and records.pop().timeline == 2


def test_an_isolated_node_never_raises_its_term():
    world = formed(make_settings(3))
    world.network.isolate(2, range(3))
    world.run(60)
    term = world.hosts[2].node.consensus.term
    world.network.heal()
    world.run(10)
    assert world.hosts[2].node.consensus.term == term == world.hosts[0].node.consensus.term
    assert world.serves() == 0


def test_priority_zero_is_never_promoted():
    world = formed(make_settings(3, priorities=(1, 0, 3)))
    world.power_off(0)
    assert serves_elsewhere(world) == 2


def test_the_most_advanced_standby_wins_over_the_preferred_one():
    world = formed(make_settings(3))
    world.network.cut(0, 1)         # node 1 neither receives nor hears; node 2 does
    world.run(0.4)
    world.power_off(0)
    assert serves_elsewhere(world) == 2


def test_a_named_successor_that_is_slow_to_look_at_its_position_is_left_a_moment():
    """The other one held the last records of the stop already, and was elected as ahead of it."""
    for seed in range(8):
        world = formed(make_settings(3, pre_promotion=True), seed)
        world.hosts[1].behaves['check'] = SLOW
        world.run(2.0)
        world.stop(0)
        assert serves_elsewhere(world) == 1, '\n'.join(world.trace[-40:])


def test_a_standby_with_more_that_is_slow_to_look_at_its_position_is_left_a_moment():
    """Who had less knew of its old position only, and had its vote, too."""
    for seed in range(8):
        world = formed(make_settings(3, pre_promotion=True), seed)
        database = world.hosts[2].node.parts.database
        world.hosts[2].behaves['check'] = SLOW
        world.run(2.0)
        looked_at = database.ok_at
        assert world.run_until(lambda: database.ok_at > looked_at, 5)
        world.run(0.1)
        world.hosts[1].behaves['replication'] = HANGS
        world.stop(0)
        assert serves_elsewhere(world) == 2, '\n'.join(world.trace[-40:])


def test_a_check_that_saw_the_standby_does_not_depose_the_primary_that_it_became():
    """It came a moment after the promotion: the new leader dropped its VIP, to be elected anew."""
    for seed in range(8):
        world = formed(make_settings(3), seed)
        for host in world.hosts:
            host.behaves['check'] = SLOW
        world.power_off(0)
        serves_elsewhere(world)
        world.run(10)
        assert not [line for line in world.trace if 'it is no primary any more' in line], \
            '\n'.join(world.trace[-40:])


def test_a_database_that_others_reach_is_quarantined_and_recovers():
    world = formed(make_settings(3))
    database = world.hosts[0].node.parts.database
    # Only the local path fails: the check's new connection is refused, everybody else gets one.
    world.local_path_fails.add(0)
    assert world.run_until(lambda: database.state is DatabaseState.QUARANTINED, 20)
    world.run(20)
    assert world.serves() == 0
    world.local_path_fails.clear()
    assert world.run_until(lambda: database.state is DatabaseState.PRIMARY, 20)


def test_a_primary_that_dies_while_it_starts_up_is_not_waited_for_any_longer():
    """It was asked about once, and its answer held until the wait for its start was over."""
    world = formed(make_settings(3, wait_for_primary=30.0))
    world.hosts[0].database.starting = True
    world.run(10.0)
    assert world.serves() is None and world.hosts[0].node.consensus.ballot.leader == 0
    world.hosts[0].database.stop()
    assert serves_elsewhere(world, 5) == 1


def test_a_primary_that_starts_up_for_too_long_is_given_up():
    world = formed(make_settings(3, wait_for_primary=30.0))
    at = world.now
    world.hosts[0].database.starting = True
    assert serves_elsewhere(world, 60) == 1
    assert world.now - at > 0.9 * 30.0


def test_a_failed_primary_that_stops_slowly_leads_until_it_has_stopped():
    """Its sessions may still commit: its silence must not run out before the server has ended."""
    world = formed(make_settings(3))
    world.fast_stop_seconds = 6.0
    world.hosts[0].database.hung = True
    assert world.run_until(lambda: not world.hosts[0].database.running, 30)
    assert all(host.node.consensus.ballot.leader == 0 for host in world.hosts)
    serves_elsewhere(world)


def test_a_failed_primary_that_is_cut_off_while_it_stops_is_killed_within_its_lease():
    world = formed(make_settings(3))
    world.fast_stop_seconds = 60.0
    world.hosts[0].database.hung = True
    assert world.run_until(lambda: world.hosts[0].node.consensus.steps_down, 20)
    world.network.isolate(0, range(3))
    timing, at = world.hosts[0].settings.timing, world.now
    assert world.run_until(lambda: not world.hosts[0].database.running, 20)
    assert world.now - at < 1.05 * (timing.lease + timing.fence)
    serves_elsewhere(world)


def test_a_candidate_that_was_asleep_does_not_count_votes_after_its_candidacy():
    """Its voters may have acknowledged another leader by then."""
    world = formed(make_settings(3))
    world.power_off(0)

    def standing():
        return [place for place in (1, 2)
                if world.hosts[place].node.state is NodeState.STAND_FOR_LEADER]
    assert world.run_until(standing, 20)
    place = standing()[0]
    term = world.hosts[place].node.consensus.term
    world.pause(place)
    world.run(1.0)
    world.resume(place)
    world.run(1.0)
    assert term not in world.leaders


def test_the_primary_on_record_that_was_down_at_its_daemons_start_leads_once_it_is_up():
    """It was taken for a failed standby, reported out, and kept everybody from being elected."""
    world = formed(make_settings(3, pre_promotion=True))
    for host in world.hosts:
        host.fencing_works = False
    world.power_off(0)
    world.run(3)
    world.power_on(0)
    world.start(0)
    world.run(5)
    world.hosts[0].database.start()
    assert world.run_until(lambda: world.serves() == 0, 60), '\n'.join(world.trace)


def test_a_vip_of_which_nobody_knows_where_it_is_is_dropped_where_no_leader_is():
    world = formed(make_settings(3))
    world.crash(0)
    world.hosts[0].database.stop()
    world.run(30)
    world.vip_unknown.add(0)
    world.start(0)
    assert world.run_until(lambda: not world.hosts[0].has_vip, 5)


def test_nobody_is_promoted_beside_an_old_primary_that_came_back_while_the_vip_was_waited_for():
    world = formed(make_settings(3))
    world.power_off(0)
    for host in world.hosts[1:]:
        world.vip_answers.add(host.settings.own)
    assert world.run_until(lambda: any(
        host.node.state is NodeState.TAKING_OVER for host in world.hosts[1:]), 20)
    world.run(3)
    world.power_on(0)
    world.hosts[0].database.start()
    world.start(0)
    world.run(0.1)
    world.vip_answers.clear()
    assert world.run_until(lambda: world.serves() == 0, 60), '\n'.join(world.trace)
    assert not any(host.database.promotions for host in world.hosts)


def test_half_of_the_votes_do_not_elect_a_node_that_has_only_just_begun_to_listen():
    """Its own vote was enough, milliseconds before it heard that the other one led by now."""
    world = formed(make_settings(2, half_votes=True, pre_promotion=True))
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 1, 30)
    world.run(5)
    world.power_on(0)
    world.hosts[0].database.start()
    world.start(0)
    assert world.run_until(lambda: not world.hosts[0].database.running, 20)
    assert world.serves() == 1 and set(world.leaders.values()) == {0, 1}
    assert sum(owner == 0 for owner in world.leaders.values()) == 1


def test_a_record_from_another_life_does_not_turn_the_eyes_from_the_real_primary():
    """Everybody then probed the wrong database, and promoted beside the right one."""
    world = formed(make_settings(3))
    world.hosts[2].node.parts.place.record = Record(5, 1, 2, SYSTEM_ID)
    world.run(3)
    world.crash(0)
    world.run(60)
    assert world.hosts[0].database.writable
    assert not any(host.database.promotions for host in world.hosts)


def test_the_record_of_another_system_blocks_no_failover():
    world = formed(make_settings(3))
    for place in (0, 1, 2):
        world.crash(place)
        saved = world.hosts[place].saved
        world.hosts[place].saved = saved._replace(record=Record(5, 29, 2, 'another system'))
        world.start(place)
    assert world.run_until(lambda: world.serves() == 0, 30), '\n'.join(world.trace)
    world.run(3)
    world.power_off(0)
    serves_elsewhere(world)


def test_a_leader_that_is_lost_before_it_was_on_record_is_not_promoted_beside():
    world = World(make_settings(3), seed=1)
    world.start_all()
    assert world.run_until(lambda: world.hosts[0].node is not None
                           and world.hosts[0].node.leads, 10)
    world.network.cut(1, 0)
    world.network.cut(2, 0)
    assert world.run_until(
        lambda: all(host.node.consensus.follower.followed for host in world.hosts[1:]), 5)
    world.run(0.3)
    world.crash(0)
    world.network.heal()
    world.run(30)
    assert not any(host.database.promotions for host in world.hosts)


def test_a_goodbye_that_was_heard_stays_bound_on_disk():
    """The leader's answer to the goodbye was a leading row, and loosened the bond."""
    world = formed(make_settings(3))
    world.stop(1)
    assert world.run_until(lambda: world.hosts[1].node is None, 10)
    assert world.hosts[1].saved.bound and world.hosts[1].saved.leader == 0


def test_a_check_that_fails_makes_no_position_fresh():
    world = formed(make_settings(3))
    world.local_path_fails.add(1)
    world.power_off(0)
    assert world.run_until(lambda: world.hosts[1].node.consensus.follower.lost_at is not None, 10)
    world.run(0.3)
    assert not world.hosts[1].node.own_row().fresh


def test_a_voter_that_cannot_win_itself_blocks_nobody():
    """Five nodes, two gone, and no link between the best candidate and one of the others."""
    world = formed(make_settings(5))
    world.network.cut(1, 4)
    world.network.cut(4, 1)
    world.power_off(0)
    world.power_off(3)
    assert world.run_until(lambda: world.serves() == 2, 60), '\n'.join(world.trace[-60:])


def test_a_candidate_whose_fencing_fails_lets_the_other_one_try():
    world = formed(make_settings(3, pre_promotion=True))
    world.hosts[1].fencing_works = False
    world.power_off(0)
    assert world.run_until(lambda: world.serves() == 2, 60), '\n'.join(world.trace[-60:])


def test_verdicts_from_before_the_heal_promote_nobody():
    """A switch reboots; the primary went on, and two standbys met again before they met it."""
    world = formed(make_settings(3, stop_isolated_primary=False))
    for place in range(3):
        world.network.isolate(place, range(3))
    world.run(20)
    world.network.cuts.difference_update(((1, 2), (2, 1)))
    world.run(0.02)
    world.network.heal()
    assert world.run_until(lambda: world.serves() == 0, 30), '\n'.join(world.trace[-60:])
    assert not any(host.database.promotions for host in world.hosts)


def test_a_restarted_leader_that_is_stopped_while_cut_off_takes_its_vip_down():
    world = formed(make_settings(3))
    world.crash(0)
    world.network.isolate(0, range(3))
    world.run(0.2)
    world.start(0)
    world.run(0.2)
    world.stop(0)
    assert world.run_until(lambda: world.hosts[0].node is None, 20)
    assert not world.hosts[0].has_vip and not world.hosts[0].database.writable


def test_a_standby_that_streams_under_another_name_of_its_primary_is_left_alone():
    world = formed(make_settings(3))
    host = world.hosts[1]
    world.spelled[1] = 'db-one.example.com'
    follows = sum('set to follow' in line for line in world.trace)
    world.crash(1)
    world.start(1)
    world.run(30)
    assert sum('set to follow' in line for line in world.trace) == follows
    world.power_off(0)
    new = serves_elsewhere(world)
    world.run(5)
    follower = 3 - new
    assert world.hosts[follower].database.upstream == new and host.powered


def test_a_standby_whose_daemon_missed_the_failover_is_pointed_to_the_new_primary():
    world = formed(make_settings(3, priorities=(1, 2, 3)))
    world.crash(2)
    world.power_off(0)
    world.run(5)
    world.start(2)
    assert world.run_until(lambda: world.serves() == 1, 30), '\n'.join(world.trace)
    assert world.run_until(lambda: world.hosts[2].database.upstream == 1, 60)


def test_whole_network_down_and_up_again_serves_again():
    world = formed(make_settings(3))
    for place in range(3):
        world.network.isolate(place, range(3))
    world.run(30)
    assert not any(host.database.writable for host in world.hosts)
    heal(world)
    assert recovers(world)
    assert world.serves() is not None
