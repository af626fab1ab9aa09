"""What the parameters that decisions need change, from the line in ahm_config.yml to what happens.

Each test sets two values and sees two things happen: with the parameter ignored, it fails.  The
clusters are simulated, and the node under test is the daemon's own core.
"""

from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.faults import strike
from tests.conformance.configured import settings, starting, world

FAILED_STANDBY = (DatabaseState.FAILED, NodeState.LOST)
HEALTHY_STANDBY = (DatabaseState.STANDBY, NodeState.STANDBY)


def seconds_until(cluster, condition, limit=600):
    """Virtual seconds until the condition holds."""
    began = cluster.now
    assert cluster.run_until(condition, limit), '\n'.join(cluster.trace[-40:])
    return cluster.now - began


def says(cluster, text):
    """Whether the trace has this text."""
    return any(text in line for line in cluster.trace)


def moved(cluster):
    """Whether another node than the first serves."""
    return cluster.serves() not in (None, 0)


def row(cluster, place):
    """(database, state) of a node, as it says itself."""
    node = cluster.hosts[place].node
    return node.parts.database.state, node.state


# Losing a node


def seconds_to_replace_a_lost_host(directory, **lines):
    """Virtual seconds from the power-off of the primary's host to the new primary."""
    cluster = world(directory, **lines)
    cluster.power_off(0)
    return seconds_until(cluster, lambda: moved(cluster))


def test_beacon_message_interval_seconds_decides_how_fast_a_host_is_missed(tmp_path):
    fast = seconds_to_replace_a_lost_host(tmp_path, beacon_message_interval_seconds=0.5)
    slow = seconds_to_replace_a_lost_host(tmp_path, beacon_message_interval_seconds=4)
    assert fast < 0.5 * 5 and slow > 4 * 1.5


def test_beacon_message_retry_count_decides_how_many_beacons_may_be_missed(tmp_path):
    hasty = seconds_to_replace_a_lost_host(tmp_path, beacon_message_retry_count=2)
    patient = seconds_to_replace_a_lost_host(tmp_path, beacon_message_retry_count=10)
    assert hasty < 0.5 * 6 and patient > 0.5 * 8


# The database


def seconds_to_replace_a_failed_database(directory, **lines):
    """Virtual seconds from the hang of the primary database to the new primary."""
    cluster = world(directory, **lines)
    cluster.hosts[0].database.hung = True
    return seconds_until(cluster, lambda: moved(cluster))


def test_health_check_period_decides_how_often_the_database_is_looked_at(tmp_path):
    fast = seconds_to_replace_a_failed_database(tmp_path, health_check_period=1,
                                                max_consec_failures=5)
    slow = seconds_to_replace_a_failed_database(tmp_path, health_check_period=10,
                                                max_consec_failures=5)
    assert fast < 4 * 10 * 0.9 < slow


def test_max_consec_failures_decides_how_many_checks_may_fail(tmp_path):
    few = seconds_to_replace_a_failed_database(tmp_path, max_consec_failures=2,
                                               health_check_period=2)
    many = seconds_to_replace_a_failed_database(tmp_path, max_consec_failures=20,
                                                health_check_period=2)
    assert few < 10 and many > 18 * 2


def test_db_connect_timeout_is_what_a_check_of_a_hung_database_takes(tmp_path):
    short = seconds_to_replace_a_failed_database(tmp_path, db_connect_timeout=0.5)
    long = seconds_to_replace_a_failed_database(tmp_path, db_connect_timeout=15)
    assert short < 10 and long > 2 * 15 * 0.9


def test_db_failure_action_decides_whether_the_database_is_started_again_first(tmp_path):
    cluster = world(tmp_path, db_failure_action='restart')
    cluster.hosts[0].database.stop()
    seconds_until(cluster, lambda: cluster.serves() == 0, 60)
    cluster.run(30)
    assert cluster.serves() == 0 and cluster.hosts[0].database.starts == 1
    cluster = world(tmp_path, db_failure_action='failover')
    cluster.hosts[0].database.stop()
    seconds_until(cluster, lambda: moved(cluster))
    assert cluster.hosts[0].database.starts == 0


def test_db_start_at_boot_decides_whether_a_server_is_started_once_its_host_has_booted(tmp_path):
    for told, runs in ((True, True), (False, False)):
        cluster = world(tmp_path, db_start_at_boot=told)
        for place in range(3):
            cluster.power_off(place)
        for place in range(3):
            cluster.power_on(place)
            cluster.start(place)
        cluster.run(60)
        assert (cluster.serves() == 0) is runs
        assert [host.database.running for host in cluster.hosts] == [runs] * 3


# Who takes over


def test_priority_decides_between_equal_standbys(tmp_path):
    for second, third, expected in ((2, 3, 1), (3, 2, 2), (0, 3, 2), (2, 0, 1)):
        cluster = world(tmp_path, own={2: {'priority': second}, 3: {'priority': third}})
        cluster.power_off(0)
        seconds_until(cluster, lambda: moved(cluster))
        assert cluster.serves() == expected, (second, third)


def test_a_standby_behind_by_more_than_failover_lag_limit_bytes_is_not_promoted(tmp_path):
    for limit, expected in ((10 ** 9, 1), (100, None)):
        cluster = world(tmp_path, own={3: {'priority': 0}}, failover_lag_limit_bytes=limit)
        primary, standby = cluster.hosts[0].database, cluster.hosts[1].database
        cluster.network.cut(0, 1)       # what is written now reaches the third node only
        seconds_until(cluster, lambda: primary.lsn > standby.lsn + 3000, 9)
        cluster.power_off(0)
        cluster.run(60)
        assert cluster.serves() == expected, limit


def commits_wait_for(cluster):
    """How many of whom, in what is in force at the first node, once it stays so."""
    cluster.run(60)
    return cluster.hosts[0].database.synchronous


def test_synchronous_mode_decides_what_commits_wait_for(tmp_path):
    for mode, alone in (('off', 0), ('on', 0), ('strict', 1)):
        cluster = world(tmp_path, synchronous_mode=mode)
        needed, names = commits_wait_for(cluster)
        assert (needed, len(names)) == ((0, 0) if mode == 'off' else (1, 2)), mode
        for place in (1, 2):
            strike(cluster, 'kill-database', place)
        assert commits_wait_for(cluster)[0] == alone, mode


def test_synchronous_node_count_decides_how_many_standbys_confirm_a_commit(tmp_path):
    for count in (1, 2):
        cluster = world(tmp_path, synchronous_mode='on', synchronous_node_count=count)
        assert commits_wait_for(cluster)[0] == count


def test_is_witness_says_that_a_node_has_no_database(tmp_path):
    cluster = world(tmp_path, own={3: {'is_witness': True}})
    assert row(cluster, 2) == (DatabaseState.NOT_CONFIGURED, NodeState.STANDBY)
    cluster.power_off(0)
    seconds_until(cluster, lambda: moved(cluster))
    assert cluster.serves() == 1


def test_failover_consensus_with_half_votes_lets_one_of_two_nodes_take_over(tmp_path):
    for half, expected in ((True, 1), (False, None)):
        cluster = world(tmp_path, size=2, failover_consensus_with_half_votes=half,
                        pre_promotion_command='/bin/true')
        cluster.power_off(0)
        cluster.run(60)
        assert cluster.serves() == expected


def test_trusted_servers_decide_who_is_isolated_where_half_the_votes_suffice(tmp_path):
    for trusted, serves in ((['198.51.100.1'], None), (None, 0)):
        cluster = world(tmp_path, size=2, failover_consensus_with_half_votes=True,
                        trusted_servers=trusted)
        cluster.power_off(1)
        cluster.run(20)
        assert cluster.serves() == 0
        cluster.hosts[0].reaches_trusted = False
        cluster.run(20)
        assert cluster.serves() == serves, trusted


# Waiting


def seconds_until_a_takeover_is_stopped(directory, wait):
    """Virtual seconds for which an answering VIP is waited for."""
    cluster = world(directory, wait_for_primary_timeout_seconds=wait)
    cluster.vip_answers.update((1, 2))
    cluster.power_off(0)
    seconds_until(cluster, lambda: says(cluster, '-> TAKING_OVER') or any(
        host.node is not None and host.node.state is NodeState.TAKING_OVER
        for host in cluster.hosts))
    return seconds_until(cluster, lambda: says(cluster, 'no promotion: the VIP still answers'))


def test_wait_for_primary_timeout_seconds_decides_how_long_an_answering_vip_is_waited_for(
        tmp_path):
    assert seconds_until_a_takeover_is_stopped(tmp_path, 2) < 5
    assert seconds_until_a_takeover_is_stopped(tmp_path, 40) > 36


def test_wait_for_primary_timeout_seconds_decides_how_long_a_starting_cluster_waits_for_one(
        tmp_path):
    for wait in (4, 60):
        cluster = starting(tmp_path, wait_for_primary_timeout_seconds=wait)
        cluster.hosts[0].database.stop()

        def gives_up():
            node = cluster.hosts[1].node
            return node is not None and node.state is NodeState.IN_RESOURCE_LIMITATION
        took = seconds_until(cluster, gives_up)
        assert says(cluster, 'WAITING_FOR_LEADER_FORMATION: nobody leads yet')
        assert wait * 0.9 < took < wait * 1.1 + 0.5


def test_promote_leader_timeout_seconds_decides_how_long_promotion_may_take(tmp_path):
    for limit in (3, 40):
        cluster = world(tmp_path, promote_leader_timeout_seconds=limit)
        for host in cluster.hosts[1:]:
            host.behaves['promote'] = 'hangs'
        cluster.power_off(0)
        seconds_until(cluster, lambda: any(
            host.node is not None and host.node.parts.database.half_done for host in cluster.hosts))
        took = seconds_until(cluster, lambda: says(cluster, 'the promotion failed'))
        assert limit * 0.9 < took < limit * 1.1 + 0.5


def test_hook_timeout_seconds_decides_how_long_a_hook_may_take(tmp_path):
    for limit in (2, 30):
        cluster = world(tmp_path, hook_timeout_seconds=limit, pre_promotion_command='/bin/hook')
        for host in cluster.hosts:
            host.behaves['hook'] = 'hangs'
        cluster.power_off(0)
        seconds_until(cluster, lambda: any(
            host.node is not None and host.node.state is NodeState.TAKING_OVER
            for host in cluster.hosts))
        took = seconds_until(cluster, lambda: says(cluster, 'pre_promotion_command failed'))
        assert limit * 0.9 < took < limit * 1.1 + 1.5


# Isolation, and coming back


def test_stop_isolated_primary_decides_whether_the_database_is_stopped_as_well(tmp_path):
    for stops in (True, False):
        cluster = world(tmp_path, stop_isolated_primary=stops, wait_for_primary_timeout_seconds=5,
                        own={2: {'priority': 0}, 3: {'priority': 0}})
        cluster.crash(1)
        cluster.crash(2)
        host = cluster.hosts[0]
        seconds_until(cluster, lambda: not host.has_vip)
        cluster.run(10)
        assert host.database.running is not stops and not host.has_vip


def test_auto_attach_takes_a_repaired_standby_back(tmp_path):
    for attaches, expected in ((True, HEALTHY_STANDBY), (False, FAILED_STANDBY)):
        cluster = world(tmp_path, auto_attach=attaches)
        cluster.hosts[2].database.stop()
        seconds_until(cluster, lambda: row(cluster, 2) == FAILED_STANDBY)
        cluster.hosts[2].database.start()
        cluster.run(30)
        assert row(cluster, 2)[1] is expected[1]


def test_only_with_a_pre_promotion_command_is_a_primary_that_answers_fenced(tmp_path):
    for command, expected in (('/bin/fence', True), (None, False)):
        cluster = world(tmp_path, pre_promotion_command=command)
        cluster.crash(0)
        cluster.run(30)
        assert moved(cluster) is expected


def test_only_with_a_virtual_ip_is_there_one_to_hold(tmp_path):
    for address in ('192.0.2.100', None):
        cluster = starting(tmp_path, virtual_IP=address, if_up_cmd=address and '/bin/true',
                           if_down_cmd=address and '/bin/true')
        seconds_until(cluster, lambda: cluster.leader() == 0)
        assert cluster.hosts[0].has_vip is bool(address)


def test_node_name_is_what_the_others_call_a_node(tmp_path):
    cluster = world(tmp_path, own={2: {'node_name': 'seoul'}})
    assert cluster.hosts[0].node.facts.name_of(1) == 'seoul'


def test_the_nodes_are_those_of_nodes_filename(tmp_path):
    (tmp_path / 'others.conf').write_text('192.0.2.1:9500\n192.0.2.7:9500\n')
    one = settings(tmp_path, size=1, nodes_filename='others.conf')[0]
    assert one.addresses == ('192.0.2.1:9500', '192.0.2.7:9500')
