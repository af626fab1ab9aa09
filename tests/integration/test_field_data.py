"""What the field told of data, with real daemons and servers: positions, settings, sessions,
refusals, and what synchronous standbys confirmed.

Each story is a public report, or what an adversary made of one, with the smallest inputs that show
it.  Who must not be promoted is always the one that is liked better (a lower `priority`), or heard
alone, so that nothing but what the story is about keeps it back.
"""

import contextlib
import os

import psycopg2
import pytest

from ahmlib.lab import procfs, record
from tests.lab import server_faults

from .scenarios import (
    FIRST,
    PATIENT,
    PAUSE,
    SECOND,
    THIRD,
    all_stream_from,
    formed,
    is_led_by_another,
    refusal,
    run,
    succeeds,
    switched_over,
)
from .test_standby_faults import sets

#: Rows that are acknowledged meanwhile, before anything is said to be so.
ROWS = 25
GONE = {FIRST: ('PRIMARY', 'LOST')}
#: A standby whose server is down for some seconds is not reported out for it.
LENIENT = dict(PATIENT, max_consec_failures=20)
ROLE, STREAMER, PASSWORD = 'ahm', 'streamer', 'in-no-log'
EVERYWHERE = '127.0.0.0/8'


# What the stories are told with

def acknowledged(scenario):
    """The ids that were acknowledged to the client so far."""
    return record.acknowledged_ids(scenario.client.attempts())


def goes_on(scenario):
    """Wait until so many more rows are acknowledged; all of them so far."""
    before = len(acknowledged(scenario))
    scenario.cluster.wait_until(lambda: len(acknowledged(scenario)) >= before + ROWS, 60,
                                'rows to be acknowledged', PAUSE)
    return acknowledged(scenario)


def arrives(scenario, name, ids):
    """Wait until this node's server shows all of these rows."""
    cluster = scenario.cluster
    cluster.wait_until(lambda: not record.missing_rows(ids, cluster.ids_on(cluster.node(name))),
                       60, 'rows to arrive on %s' % name, PAUSE)


def takes_over(scenario, name, ids, asked=None):
    """Node 1 is lost: wait until this one leads and serves; it has all of these rows.

    `asked`: who heard of node 1 since its own start.
    """
    cluster, node = scenario.cluster, scenario.cluster.node(name)
    assert is_led_by_another(cluster, FIRST, cluster.nodes[-1]) == name
    scenario.written_through(name, 60)
    assert record.missing_rows(ids, cluster.ids_on(node)) == []
    scenario.reads(asked or cluster.nodes[1:], name, scenario.table(name, GONE))
    assert cluster.primaries() == [node]


def successor_is(scenario, name):
    """Wait until every living node names this successor."""
    living = [node for node in scenario.cluster.nodes if node.ahm_runs()]
    scenario.cluster.wait_until(lambda: all(node.status().successor == name for node in living), 60,
                                'every living node to name %s the successor' % name, PAUSE)


def says(node, words, *options):
    """Whether the status that this node prints with these options says so."""
    return words in run(node, 'ahm_cluster_status', *options).output


def is_said(scenario, nodes, words, *options):
    """Wait until each of these nodes says so in its status."""
    scenario.cluster.wait_until(lambda: all(says(node, words, *options) for node in nodes), 120,
                                '"%s" in the status' % words, PAUSE)


def auto_conf(database, **values):
    """Lay these over the settings of a stopped server (None takes one out)."""
    path = os.path.join(database.data_dir, 'postgresql.auto.conf')
    with open(path) as file:
        kept = [line for line in file if line.partition('=')[0].strip() not in values]
    with open(path, 'w') as file:
        file.writelines(kept + ["%s = '%s'\n" % item for item in values.items()
                                if item[1] is not None])


def restarted(database, **values):
    """Start this server anew, with other settings."""
    database.stop()
    auto_conf(database, **values)
    database.start()


def own_role(cluster):
    """AHM connects as a role that is no superuser, with a password that is in ~/.pgpass."""
    cluster.databases()[0].sql("CREATE ROLE %s LOGIN IN ROLE pg_monitor PASSWORD '%s'" % (
        ROLE, PASSWORD))
    cluster.workspace.write(os.path.join(cluster.workspace.directory, '.pgpass'),
                            '*:*:*:%s:%s\n' % (ROLE, PASSWORD))
    for node in cluster.nodes:
        server_faults.hba_first(node.database, 'local all %s scram-sha-256' % ROLE,
                                'host all %s %s scram-sha-256' % (ROLE, EVERYWHERE))
        node.reconfigure(db_user=ROLE, conn_string=node.database.conninfo().replace(
            'user=agens', 'user=' + ROLE))
    return cluster


# B. Received is not replayed

def at_a_target(cluster):
    """A restore left a recovery target on node 2; what comes now is received and not replayed."""
    (now,), = cluster.databases()[0].sql('SELECT clock_timestamp()::text')
    restarted(cluster.databases()[1], recovery_target_time=now,
              recovery_target_action='pause')


def test_a_standby_at_the_target_of_a_restore_is_named_and_neither_promoted_nor_handed_over_to():
    with formed(kind='loopback', settings=PATIENT, prepare=at_a_target) as scenario:
        cluster, (first, second, _) = scenario.cluster, scenario.cluster.nodes
        successor_is(scenario, THIRD)
        named = '%s: the standby receives, and cannot replay: replay is paused, and ' \
            'recovery_target_time' % SECOND
        for options in ((), ('--check',)):
            is_said(scenario, cluster.nodes, named, *options)
        for words in ((), ('--dry-run',)):
            assert 'recovery_target_time' in refusal(second, 'ahm_promote_node', *words)
        rows = goes_on(scenario)
        arrives(scenario, THIRD, rows)
        assert not cluster.ids_on(second) & rows, 'nothing of it is replayed'
        scenario.next_fault()
        first.power_off()
        takes_over(scenario, THIRD, rows)
        # Pointed to the new primary, it has the target no more.
        arrives(scenario, SECOND, goes_on(scenario))
        successor_is(scenario, SECOND)
        scenario.finish(FIRST, THIRD)


@contextlib.contextmanager
def reader_on(scenario, name):
    """A reader's snapshot on this standby holds its replay back."""
    cluster, database = scenario.cluster, scenario.cluster.node(name).database
    first = cluster.nodes[0].database
    sets(database, max_standby_streaming_delay='-1')
    first.sql('CREATE TABLE story AS SELECT generate_series(1, 100) AS id')
    cluster.wait_until(lambda: database.sql("SELECT to_regclass('story') IS NOT NULL") == [(True,)],
                       60, 'the table to be replayed')
    with contextlib.closing(psycopg2.connect(database.conninfo())) as connection:
        cursor = connection.cursor()
        cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
        cursor.execute('SELECT count(*) FROM story')

        def is_held():
            first.sql('UPDATE story SET id = id + 1')
            first.sql('VACUUM story')
            return database.sql("SELECT wait_event FROM pg_stat_activity WHERE backend_type = "
                                "'startup'") == [('RecoveryConflictSnapshot',)]
        cluster.wait_until(is_held, 60, 'the replay of %s to wait for the reader' % name)
        yield


def test_of_two_level_standbys_the_one_that_no_reader_holds_back_is_promoted():
    with formed(kind='loopback', settings=PATIENT) as scenario:
        first, second, _ = scenario.cluster.nodes
        successor_is(scenario, SECOND)
        server = second.database.postmaster()
        with reader_on(scenario, SECOND):
            successor_is(scenario, THIRD)
            rows = goes_on(scenario)
            arrives(scenario, THIRD, rows)
            scenario.next_fault()
            first.power_off()
            takes_over(scenario, THIRD, rows)
            assert second.database.postmaster() == server, 'it is not killed for its reader'
        arrives(scenario, SECOND, goes_on(scenario))
        assert second.database.postmaster() == server
        all_stream(scenario, THIRD)
        scenario.finish(FIRST, THIRD)


def all_stream(scenario, leader):
    """Wait until node 2 or 3, whichever does not lead, streams from the leader."""
    cluster = scenario.cluster
    other = cluster.node(SECOND if leader == THIRD else THIRD)
    cluster.wait_until(lambda: other.database.streams_from(cluster.node(leader).database), 120,
                       '%s to stream from %s' % (other.name, leader))


def test_a_switchover_to_a_standby_that_a_reader_holds_back_is_undone_and_loses_nothing():
    with formed(kind='loopback', settings=PATIENT) as scenario:
        second = scenario.cluster.nodes[1]
        with reader_on(scenario, SECOND):
            done = run(second, 'ahm_promote_node', '--wait')
            assert done.code == 1 and 'has not replayed' in done.output, done.output
            scenario.next_fault()
            scenario.written_through(FIRST, 60)
            scenario.reads(scenario.cluster.nodes, FIRST, scenario.table())
        # It could not stream again before it had replayed what it had.
        successor_is(scenario, SECOND)
        scenario.next_fault()
        switched_over(scenario, second)
        scenario.written_through(SECOND)
        scenario.healthy(SECOND)
        scenario.finish(FIRST, SECOND)


def raised_on_the_primary_alone(cluster):
    """max_connections, so that both standbys stop replaying (PostgreSQL 14 and later)."""
    if cluster.installation.version < 14:
        pytest.skip('before PostgreSQL 14 such a standby ends at once')
    restarted(cluster.databases()[0], max_connections='100')


def test_a_setting_raised_on_the_primary_alone_is_named_and_no_server_ends_of_it():
    with formed(kind='loopback', settings=dict(LENIENT, auto_attach=True),
                node_settings={FIRST: {'max_consec_failures': 3}},
                prepare=raised_on_the_primary_alone) as scenario:
        cluster, (first, second, third) = scenario.cluster, scenario.cluster.nodes
        successor_is(scenario, None)
        for name in (SECOND, THIRD):
            is_said(scenario, cluster.nodes, "%s: the standby receives, and cannot replay: "
                    "replay is paused, for max_connections = 60 is lower than the primary's 100"
                    % name, '--check')
        assert 'max_connections = 60' in refusal(second, 'ahm_promote_node')
        first.kill_database()
        is_said(scenario, [first], 'no other node could take over', '--verbose')
        assert cluster.primaries() == []
        assert second.database.is_running() and third.database.is_running()
        first.database.start()
        for node in (second, third):
            restarted(node.database, max_connections='100')
        scenario.healthy()
        successor_is(scenario, SECOND)
        scenario.next_fault()
        switched_over(scenario, second)
        scenario.written_through(SECOND)
        scenario.healthy(SECOND)
        scenario.finish(FIRST, SECOND)


# C. Recovery settings that others made

def in_an_included_file(cluster):
    """User and password of the walreceivers are in an included file, and nobody else may stream."""
    cluster.databases()[0].sql("CREATE ROLE %s LOGIN REPLICATION PASSWORD '%s'" % (
        STREAMER, PASSWORD))
    for node in cluster.nodes:
        database = node.database
        primary = cluster.nodes[1 if node.name == FIRST else 0]
        server_faults.hba_first(
            database, 'host replication %s %s scram-sha-256' % (STREAMER, EVERYWHERE),
            'host replication all %s reject' % EVERYWHERE)
        cluster.workspace.write(
            os.path.join(database.data_dir, 'replication.conf'),
            "primary_conninfo = 'host=%s port=%d user=%s password=%s application_name=%s'\n" % (
                primary.host.address, database.port, STREAMER, PASSWORD, node.name))
        with open(os.path.join(database.data_dir, 'postgresql.conf'), 'a') as file:
            file.write("include 'replication.conf'\n")
        restarted(database, primary_conninfo=None)
    all_stream_from(cluster, FIRST)


def slots_on_the_first_primary(cluster):
    """The standbys stream by slots, which only the first primary has."""
    for number, database in enumerate(cluster.databases()[1:]):
        cluster.databases()[0].sql('SELECT pg_create_physical_replication_slot(%s, true)',
                                   ('slot_%d' % number,))
        restarted(database, primary_slot_name='slot_%d' % number)
    all_stream_from(cluster, FIRST)


@pytest.mark.parametrize('set_up', [in_an_included_file, slots_on_the_first_primary])
def test_after_a_failover_all_stream_from_the_new_primary_whatever_they_streamed_by(set_up):
    with formed(kind='loopback', settings=dict(PATIENT, use_pg_rewind=True),
                prepare=set_up) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        rows = goes_on(scenario)
        arrives(scenario, SECOND, rows)
        scenario.next_fault()
        first.power_off()
        takes_over(scenario, SECOND, rows)
        all_stream(scenario, SECOND)
        first.power_on()
        first.start_ahm()
        scenario.reads(cluster.nodes, SECOND,
                       scenario.table(SECOND, {FIRST: ('FAILED', 'STANDBY')}))
        succeeds(first, 'ahm_attach_node', '--wait')
        scenario.healthy(SECOND)
        assert first.database.sql('SELECT slot_name FROM pg_replication_slots '
                                  "WHERE slot_name LIKE 'slot_%' AND NOT active") == []
        assert PASSWORD not in scenario.log(*cluster.nodes)
        scenario.finish(FIRST, SECOND)


# D. What sessions inherit

def settings_that_sessions_inherit(cluster):
    """What somebody set for the database and for AHM's role."""
    own_role(cluster)
    sql = cluster.databases()[0].sql
    for setting in ('default_transaction_isolation = serializable',
                    'default_transaction_deferrable = on'):
        sql('ALTER DATABASE postgres SET ' + setting)
    for setting in ('statement_timeout = 1', 'lock_timeout = 1', 'search_path = nowhere',
                    'default_transaction_read_only = on', 'client_encoding = latin1',
                    'idle_in_transaction_session_timeout = 1'):
        sql('ALTER ROLE %s SET %s' % (ROLE, setting))


def test_what_sessions_inherit_from_role_and_database_fails_no_check_and_no_failover():
    with formed(kind='loopback', settings=PATIENT,
                prepare=settings_that_sessions_inherit) as scenario:
        cluster = scenario.cluster
        scenario.nothing_happens(FIRST)
        scenario.reads(cluster.nodes, FIRST, scenario.table())
        rows = goes_on(scenario)
        scenario.next_fault()
        cluster.nodes[0].power_off()
        takes_over(scenario, SECOND, ())
        assert record.missing_within_received(
            scenario.client.attempts(), FIRST, cluster.ids_on(cluster.node(SECOND))) == []
        assert rows & cluster.ids_on(cluster.node(SECOND))
        all_stream(scenario, SECOND)
        scenario.finish(FIRST, SECOND)


# E. Refused is not dead

def expires(cluster, when):
    """The password of AHM's role is valid until then, on every server: it replicates."""
    cluster.databases()[0].sql("ALTER ROLE %s VALID UNTIL '%s'" % (ROLE, when))


def test_standbys_that_refuse_us_for_a_while_come_back_by_themselves_and_are_promoted():
    with formed(kind='loopback', settings=PATIENT, prepare=own_role) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        expires(cluster, '2000-01-01')
        scenario.reads(cluster.nodes, FIRST, {
            FIRST: ('QUARANTINED', 'LEADER'), SECOND: ('QUARANTINED', 'STANDBY'),
            THIRD: ('QUARANTINED', 'STANDBY')})
        successor_is(scenario, None)
        scenario.nothing_happens(FIRST)
        expires(cluster, 'infinity')
        scenario.healthy()
        successor_is(scenario, SECOND)
        rows = goes_on(scenario)
        arrives(scenario, SECOND, rows)
        scenario.next_fault()
        first.power_off()
        takes_over(scenario, SECOND, rows)
        all_stream(scenario, SECOND)
        scenario.finish(FIRST, SECOND)


# V. What a synchronous standby confirmed

def confirmed_by(names):
    """A preparation: commits wait for what `names` says, the standbys' names as they stream."""
    def prepare(cluster):
        if 'walreceiver' in names:
            for node in cluster.nodes[1:3]:
                restarted(node.database, primary_conninfo=(
                    'host=%s port=%d user=agens application_name=walreceiver' % (
                        cluster.nodes[0].host.address, node.database.port)))
        sets(cluster.databases()[0], synchronous_standby_names=names)
    return prepare


@contextlib.contextmanager
def only_the_second_confirms(scenario):
    """Node 3 receives nothing any more: its walreceiver is stopped.  The rows that it lacks."""
    third = scenario.cluster.node(THIRD).database
    before = goes_on(scenario)
    procfs.freeze_all(lambda: [pid for pid in third.pids()
                               if 'walreceiver' in ' '.join(procfs.command_line(pid))])
    rows = goes_on(scenario)
    assert before and record.missing_rows(rows, scenario.cluster.ids_on(
        scenario.cluster.node(THIRD)))
    yield rows
    server_faults.resume(third)


BOTH = 'ANY 1 ("AHM-NODE-2", "AHM-NODE-3")'


@pytest.mark.parametrize('names', [BOTH, 'FIRST 1 ("AHM-NODE-2", "AHM-NODE-3")', 'ANY 1 (*)',
                                   'ANY 1 (walreceiver)'])
def test_what_the_other_standby_confirmed_holds_back_the_one_that_came_back_alone(names):
    with formed(kind='loopback', witnesses=2, settings=LENIENT,
                prepare=confirmed_by(names)) as scenario:
        cluster, (first, second, third) = scenario.cluster, scenario.cluster.nodes[:3]
        with only_the_second_confirms(scenario) as rows:
            second.kill_database()
            third.kill_database()
        # Long enough for the leader to see that nobody is connected who confirms.
        scenario.nothing_happens(None, 4 * cluster.settings['health_check_period'])
        scenario.next_fault()
        first.power_off()
        second.power_off()
        third.database.start()
        is_said(scenario, [third], 'heard 1 of the 2 synchronous standbys, needs 2', '--verbose')
        scenario.nothing_happens(None)
        assert third.database.sql('SELECT pg_is_in_recovery()') == [(True,)]
        assert record.missing_rows(rows, cluster.ids_on(third)), 'it lacks what node 2 has'

        second.power_on()
        second.database.start()
        second.start_ahm()
        takes_over(scenario, SECOND, acknowledged(scenario), cluster.nodes[2:])
        all_stream_by_any_name(cluster, second, 1)
        rows = scenario.client.stop()
        assert record.missing_rows(record.acknowledged_ids(rows), cluster.ids_on(second)) == []
        assert record.double_primary_seconds(scenario.prober.stop()) == 0.0


def all_stream_by_any_name(cluster, node, count):
    """Wait until so many standbys stream from this node."""
    cluster.wait_until(lambda: node.database.sql(
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(count,)], 120,
        'the standbys to stream')


def delayed_and_confirming(cluster):
    """Node 2 replays an hour later what it receives and confirms at once."""
    restarted(cluster.databases()[1], recovery_min_apply_delay='1h')
    confirmed_by(BOTH)(cluster)


def test_wal_that_a_restarted_standby_had_confirmed_and_not_replayed_is_not_overlooked():
    with formed(kind='loopback', settings=LENIENT, prepare=delayed_and_confirming) as scenario:
        cluster, (first, second, third) = scenario.cluster, scenario.cluster.nodes
        with only_the_second_confirms(scenario) as rows:
            second.kill_database()
            third.kill_database()
        scenario.next_fault()
        first.power_off()
        second.database.start()
        third.database.start()
        replayed = cluster.ids_on(second)
        assert record.missing_rows(rows, replayed), 'it has not replayed what it confirmed'
        takes_over(scenario, SECOND, acknowledged(scenario))
        all_stream(scenario, SECOND)
        attempts = scenario.client.stop()
        assert record.missing_rows(record.acknowledged_ids(attempts), cluster.ids_on(second)) == []
        assert record.double_primary_seconds(scenario.prober.stop()) == 0.0
