"""The database of a standby is at fault (manual 19.7.2): it is down, or it runs and does
not stream.

Neither disturbs the service.  What is down is reported out until somebody has attached it; what
does not stream stays a standby, and is shown and not promoted, whatever becomes of the primary.
"""

import os
import re
import shutil

from ahmlib.core.consensus.timing import Timing
from ahmlib.database import probe, wal
from ahmlib.lab.cluster import DEFAULTS
from ahmlib.lab.users import SAFE_PATH
from tests.lab import server_faults

from .scenarios import NOTIFY, PATIENT, all_stream_from, formed, is_led_by_another, run

FIRST, SECOND, THIRD, FOURTH, FIFTH = ['AHM-NODE-%d' % number for number in range(1, 6)]
DOWN = ('FAILED', 'LOST')
#: By then a leader that nobody acknowledges has lost its lease.
WATCHED = 1.5 * Timing(DEFAULTS['beacon_message_interval_seconds'],
                       PATIENT['beacon_message_retry_count']).lease


def successor_is(scenario, name):
    """Wait until every node names this successor."""
    cluster = scenario.cluster
    cluster.wait_until(lambda: all(node.status().successor == name for node in cluster.nodes), 60,
                       'every node to name %s the successor' % name)


def attach(scenario, name):
    """The utility says that this node is attached."""
    done = run(scenario.cluster.node(name), 'ahm_attach_node')
    assert done.code == 0, done.output + scenario.cluster.log_tails()


# It is down

def test_standbys_that_are_down_disturb_nobody_and_come_back():
    with formed(kind='loopback', settings=PATIENT,
                node_settings={THIRD: {'auto_attach': True}}) as scenario:
        cluster, (_, second, third) = scenario.cluster, scenario.cluster.nodes
        successor_is(scenario, SECOND)

        second.database.stop()                              # by an operator
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {SECOND: DOWN}))
        successor_is(scenario, THIRD)
        third.kill_database()
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {SECOND: DOWN,
                                                                   THIRD: DOWN}))
        successor_is(scenario, None)
        scenario.serves_on(FIRST, WATCHED)                  # their AHMs go on acknowledging
        third.database.start()                              # and it is attached by itself
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {SECOND: DOWN}))
        attach(scenario, SECOND)
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST))

        server_faults.hang(second.database)
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {SECOND: DOWN}))
        successor_is(scenario, THIRD)
        refused = run(second, 'ahm_attach_node')
        assert refused.code == 1 and 'runs and does not answer' in refused.output, refused
        server_faults.resume(second.database)
        attach(scenario, SECOND)
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST))
        successor_is(scenario, SECOND)
        all_stream_from(cluster, FIRST)
        scenario.undisturbed(FIRST, 5.0)


# It runs, and does not stream

NO_STREAM = 'does not stream from the primary'
#: Replication keeps no more than this of what no standby needs; autovacuum would write more.
LITTLE_WAL = {'wal_keep_size': '32MB', 'min_wal_size': '32MB', 'autovacuum': 'off'}
LOST_SLOT = 'lost'


def test_standbys_that_do_not_stream_are_shown_and_not_promoted():
    with formed(nodes=5, kind='loopback', settings=dict(
            PATIENT, use_pg_rewind=True, wait_for_primary_timeout_seconds=3, **NOTIFY)) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        loses_wal(cluster, cluster.node(THIRD))
        sets(cluster.node(SECOND).database, primary_slot_name=LOST_SLOT)
        points_elsewhere(cluster, cluster.node(FOURTH))
        are_shown(scenario, (SECOND, THIRD, FOURTH))
        successor_is(scenario, FIFTH)
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST))
        cluster.wait_until(lambda: 'AHM-NODE-1 SUCCESSOR: the successor is AHM-NODE-5'
                           in scenario.notified(), 30, 'the successor to be told of')
        cluster.wait_until(lambda: all(
            any(line.startswith(name) and 'does not stream' in line
                for line in scenario.notified())
            for name in (SECOND, THIRD, FOURTH)), 30, 'who does not stream to be told of')

        nobody_else_takes_over(scenario)
        first.database.start()
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {FIFTH: DOWN}))
        attach(scenario, FIFTH)
        scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST))
        scenario.written_through(FIRST)

        scenario.next_fault()
        first.kill_database()
        assert is_led_by_another(cluster, FIRST) == FIFTH
        scenario.led_by(FIFTH)
        scenario.written_through(FIFTH)
        scenario.reads(cluster.nodes, FIFTH,
                       scenario.table(FIFTH, {FIRST: ('FAILED', 'STANDBY')}))
        comes_back_from_a_wrong_primary(scenario)
        comes_back_from_a_lost_slot(scenario)
        comes_back_without_its_wal(scenario)
        attach(scenario, FIRST)
        scenario.reads(cluster.nodes, FIFTH, scenario.table(FIFTH))
        all_stream_from(cluster, FIFTH)
        scenario.finish_chain()


def sets(database, **settings):
    """ALTER SYSTEM SET each of these, and reload."""
    for name, value in settings.items():
        database.sql('ALTER SYSTEM SET %s = %%s' % name, (value,))
    database.sql('SELECT pg_reload_conf()')


def points_elsewhere(cluster, node):
    """Where this standby looks for its primary, nobody listens; it looks there already."""
    sets(node.database, primary_conninfo='host=%s port=%d user=agens application_name=%s' % (
        cluster.plan.client, cluster.plan.db_port, node.name))
    cluster.wait_until(lambda: node.database.sql('SELECT count(*) FROM pg_stat_wal_receiver '
                                                 "WHERE status = 'streaming'") == [(0,)], 60,
                       '%s to stream no more' % node.name)


def loses_wal(cluster, node):
    """This standby looks elsewhere until nobody has the WAL any more that it needs next."""
    first, others = cluster.nodes[0], [each for each in cluster.nodes if each is not node]
    for each in others:
        sets(each.database, **LITTLE_WAL)
    right = node.database.sql('SHOW primary_conninfo')[0][0]
    points_elsewhere(cluster, node)
    lsn = probe.parse_lsn(node.database.sql('SELECT pg_last_wal_replay_lsn()::text')[0][0])
    needed = wal.segment_name(1, lsn, 16 << 20)

    def is_gone():
        first.database.sql('CREATE TABLE lab_written (); DROP TABLE lab_written')
        first.database.sql('SELECT pg_switch_wal()')
        for each in others:
            each.database.sql('CHECKPOINT', limit=60.0)
        return not any(os.path.exists(os.path.join(each.database.data_dir, 'pg_wal', needed))
                       for each in others)
    cluster.wait_until(is_gone, 120, 'the WAL that %s needs to be removed' % node.name)
    sets(node.database, primary_conninfo=right)


def are_shown(scenario, names):
    """Wait until every node's --verbose says why these may not lead."""
    cluster = scenario.cluster

    def shown():
        texts = [node.utility('ahm_cluster_status', '--verbose').output for node in cluster.nodes]
        return all(re.search('^%s may not lead: %s' % (name, NO_STREAM), text, re.MULTILINE)
                   for name in names for text in texts)
    cluster.wait_until(shown, 120, 'every node to show why %s may not lead' % (names,))


def nobody_else_takes_over(scenario):
    """The one standby that streams is down when the primary dies: then nobody is promoted."""
    cluster, first = scenario.cluster, scenario.cluster.nodes[0]
    cluster.node(FIFTH).kill_database()
    scenario.reads(cluster.nodes, FIRST, scenario.table(FIRST, {FIFTH: DOWN}))
    successor_is(scenario, None)
    first.kill_database()
    scenario.reads(cluster.nodes, FIRST, scenario.table(
        FIRST, {FIRST: ('FAILED', 'LEADER'), FIFTH: DOWN}))
    cluster.wait_until(lambda: 'no other node could take over' in first.utility(
        'ahm_cluster_status', '--verbose').output, 60, 'the leader to say why it goes on')
    assert cluster.primaries() == []


def comes_back_from_a_wrong_primary(scenario):
    """It was pointed to the new primary as all are; led astray again, it is attached."""
    cluster, fourth = scenario.cluster, scenario.cluster.node(FOURTH)
    cluster.wait_until(lambda: fourth.database.streams_from(cluster.node(FIFTH).database), 60,
                       '%s to stream from %s' % (FOURTH, FIFTH))
    points_elsewhere(cluster, fourth)
    attach(scenario, FOURTH)
    cluster.wait_until(lambda: fourth.database.streams_from(cluster.node(FIFTH).database), 60,
                       '%s to stream from %s again' % (FOURTH, FIFTH))


def refusal(scenario, name):
    """What the utility says of this node, which it does not attach."""
    done = run(scenario.cluster.node(name), 'ahm_attach_node')
    line = done.output.splitlines()[-1]     # progress stands before it where that took a while
    assert done.code == 1 and line.startswith('Command Failed: '), done.output
    return line


def comes_back_from_a_lost_slot(scenario):
    """The new primary does not have the slot either: it is made there."""
    attach(scenario, SECOND)
    assert scenario.cluster.node(FIFTH).database.sql(
        'SELECT active FROM pg_replication_slots WHERE slot_name = %s', (LOST_SLOT,)) == [(True,)]


def rebuilt_as_it_says(node, said):
    """Run the pg_basebackup command in this refusal of a standby whose WAL is gone."""
    command = re.search(r'into an empty directory: (pg_basebackup .* -P)', said)
    assert 'has removed WAL' in said and command, said
    node.database.stop()
    shutil.rmtree(node.database.data_dir)
    node.host.run(['sh', '-c', command.group(1)], limit=120.0, env={
        'PATH': node.database.installation.bin_dir + os.pathsep + SAFE_PATH})


def comes_back_without_its_wal(scenario):
    """What it needs is nowhere; it is rebuilt by the command that the refusal prints."""
    rebuilt_as_it_says(scenario.cluster.node(THIRD), refusal(scenario, THIRD))
    attach(scenario, THIRD)
