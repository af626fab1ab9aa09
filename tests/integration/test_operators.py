"""What operators ask for, on real databases: attach, promote, the end of the cluster.

The first test is the walk through the manual's 19.8 with the database of the primary; each ends by
a documented utility and a healthy table on every node.
"""

import re
import shlex
import shutil
import time

from ahmlib.lab import record

from .scenarios import (
    NAMES,
    UTILITY_LIMIT,
    all_stream_from,
    formed,
    is_led_by_another,
    run,
    switched_over,
)


def healthy(leader):
    """The table of a cluster in which all is well under this leader."""
    rows = dict.fromkeys(NAMES, ('STANDBY', 'STANDBY'))
    rows[leader] = ('PRIMARY', 'LEADER')
    return rows


def test_the_walk_of_the_manual_stop_the_primary_start_it_attach_it_promote_it_back():
    with formed(kind='loopback') as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        first.database.stop()                                       # ag_ctl stop
        new = is_led_by_another(cluster, 'AHM-NODE-1')
        scenario.written_through(new)
        scenario.reads(cluster.nodes, new, dict(healthy(new), **{
            'AHM-NODE-1': ('FAILED', 'STANDBY')}))
        first.database.start()                                      # ag_ctl start
        attached = run(first, 'ahm_attach_node')
        assert attached.code == 0, attached.output + first.log_tail()
        # Progress stands before it where that took a while.
        assert attached.output.endswith('Command Success\n'
                                        'Info: attach database executed successfully\n')
        all_stream_from(cluster, new)
        scenario.reads(cluster.nodes, new, healthy(new))
        would = run(first, 'ahm_promote_node', '--dry-run')
        assert (would.code, would.output) == (0, 'Info: the node can be promoted now\n')
        scheduled = run(first, 'ahm_promote_node')
        assert (scheduled.code, scheduled.output) == (
            0, 'Command Success\nInfo: Promote node task successfully scheduled\n')
        scenario.reads(cluster.nodes, 'AHM-NODE-1', healthy('AHM-NODE-1'))
        all_stream_from(cluster, 'AHM-NODE-1')
        scenario.fault_at = time.monotonic()
        scenario.written_through('AHM-NODE-1')


def test_a_switchover_under_load_loses_no_acknowledged_row():
    with formed(kind='loopback') as scenario:
        cluster = scenario.cluster
        for name in ('AHM-NODE-3', 'AHM-NODE-2', 'AHM-NODE-1'):
            said = switched_over(scenario, cluster.node(name))
            assert said.endswith('Command Success\n'
                                 'Info: Promote node task successfully finished\n')
            scenario.written_through(name)
            scenario.reads(cluster.nodes, name, healthy(name))
            all_stream_from(cluster, name)
        rows, probes = scenario.client.stop(), scenario.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        present = cluster.ids_on(cluster.nodes[0])
        assert record.missing_rows(record.acknowledged_ids(rows), present) == []
        print('outage of the last switchover %.2f s' % record.write_outage(
            rows, scenario.fault_at))


def test_the_cluster_is_shut_down_and_started_again_in_any_order_and_nothing_is_promoted():
    with formed(kind='loopback') as scenario:
        cluster = scenario.cluster
        asked = run(cluster.nodes[1], 'ahm_shutdown_cluster')
        assert (asked.code, asked.output) == (
            0, 'Command Success\nInfo: Shutdown request sent to remote nodes\n')
        cluster.wait_until(lambda: not any(node.ahm_runs() for node in cluster.nodes), 30,
                           'all daemons to end')
        assert [node.name for node in cluster.vip_holders()] == ['AHM-NODE-1']
        assert [node.name for node in cluster.primaries()] == ['AHM-NODE-1']
        for node in reversed(cluster.nodes):
            node.start_ahm()
            cluster.wait_until(node.status, 20, '%s to answer' % node.name)
        scenario.reads(cluster.nodes, 'AHM-NODE-1', healthy('AHM-NODE-1'))
        probes = scenario.prober.stop()
        assert {attempt.server for attempt in probes if attempt.accepted} == {'AHM-NODE-1'}
        scenario.client.stop()


def diverge(scenario):
    """Node 1 gets WAL that nobody else has, and dies; returns the new leader's name."""
    cluster, first = scenario.cluster, scenario.cluster.nodes[0]
    for node in cluster.nodes[1:]:
        node.database.sql("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
        node.database.sql('SELECT pg_reload_conf()')
        cluster.wait_until(lambda: not node.database.streams_from(first.database), 30,
                           '%s to stream no more' % node.name)
    first.database.sql('CREATE TABLE only_here AS SELECT generate_series(1, 1000) AS id')
    first.kill_database()
    new = is_led_by_another(cluster, 'AHM-NODE-1')
    scenario.written_through(new)
    return new


def test_a_diverged_primary_is_refused_and_the_message_says_how_to_rebuild_it():
    with formed(kind='loopback') as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        new = diverge(scenario)
        refused = run(first, 'ahm_attach_node', '--wait')
        assert refused.code == 1, refused.output + first.log_tail()
        assert 'Command Failed: this database diverged' in refused.output
        assert 'bytes of WAL beyond' in refused.output and 'pg_basebackup -d' in refused.output
        assert 'application_name=ahm_copy_of_AHM-NODE-1' in refused.output
        assert not first.database.is_running()
        scenario.reads(cluster.nodes, new, dict(healthy(new), **{
            'AHM-NODE-1': ('QUARANTINED', 'STANDBY')}))
        rebuild(first, re.search(r'pg_basebackup .* -P', refused.output).group(), new, cluster)
        done = run(first, 'ahm_attach_node', '--wait')
        assert done.code == 0, done.output + first.log_tail()
        scenario.reads(cluster.nodes, new, healthy(new))
        all_stream_from(cluster, new)


def rebuild(node, command, leader, cluster):
    """Run the command that the refusal named, in place of the old data directory."""
    shutil.rmtree(node.database.data_dir)
    words = shlex.split(command)
    program = node.database.program(words[0])
    if program is None:                 # a server alone, as the lab may fetch it
        node.database.clone_from(cluster.node(leader).database)
    else:
        node.host.run([program] + words[1:], limit=UTILITY_LIMIT)


def test_a_diverged_primary_is_rewound_where_that_is_allowed():
    with formed(kind='loopback', settings={'use_pg_rewind': True}) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        new = diverge(scenario)
        done = run(first, 'ahm_attach_node', '--wait')
        assert done.code == 0, done.output + first.log_tail()
        scenario.reads(cluster.nodes, new, healthy(new))
        all_stream_from(cluster, new)
        gone = first.database.sql("SELECT to_regclass('only_here') IS NULL")
        assert gone == [(True,)]


def test_a_failed_standby_is_attached_again():
    with formed(kind='loopback') as scenario:
        cluster, third = scenario.cluster, scenario.cluster.nodes[2]
        third.kill_database()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', dict(
            healthy('AHM-NODE-1'), **{'AHM-NODE-3': ('FAILED', 'LOST')}))
        done = run(cluster.nodes[0], 'ahm_attach_node', '-h', third.host.address)
        assert done.code == 0, done.output + third.log_tail()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', healthy('AHM-NODE-1'))


def test_a_failed_primary_is_restarted_in_place_where_that_is_configured():
    with formed(kind='loopback', settings={'db_failure_action': 'restart'}) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        first.kill_database()
        scenario.written_through('AHM-NODE-1')
        scenario.reads(cluster.nodes, 'AHM-NODE-1', healthy('AHM-NODE-1'))
        probes = scenario.prober.stop()
        assert {attempt.server for attempt in probes if attempt.accepted} == {'AHM-NODE-1'}
