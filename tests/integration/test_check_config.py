"""ahm_check_config beside real servers, from the oldest version to the cluster.

Each test makes some mistakes at once, and reads what is told of each.  The cluster has a primary,
a standby and a witness, and the daemons run in one test only.
"""

import contextlib
import json
import os
import re
import signal
import socket

import psycopg2
import psycopg2.extras
import pytest

from ahmlib.lab import LabError
from tests.lab.cluster import Cluster, loopback_available

FIRST, SECOND = 'AHM-NODE-1', 'AHM-NODE-2'
VERSIONS = (10, 15, 18)
#: Seconds that one run may take on a busy machine, whatever hangs.
LIMIT = 60
UNIX_PASSWORD = 'a-very-secret-word'


@pytest.fixture(scope='module', params=VERSIONS)
def cluster(request):
    """A primary, its standby and a witness, on a version; no AHM runs."""
    reason = loopback_available(request.param)
    if reason:
        pytest.skip('NOT TESTED on PostgreSQL %d: %s' % (request.param, reason))
    with Cluster(nodes=2, witnesses=1, version=request.param, settings={
            'health_check_period': 5, 'log_filename': 'ahm.log'}) as made:
        yield made


#: What is asked is the same on every version.
on_newest = pytest.mark.parametrize('cluster', VERSIONS[-1:], indirect=True)


def check(node, *words):
    """(exit code, [findings as dicts]) of the command on this node's host."""
    done = run(node, '--json', *words)
    return done.code, json.loads(done.output)


def run(node, *words):
    """The command, as the user that runs AHM there."""
    script = os.path.join(node.host.workspace.source, 'bin', 'ahm_check_config')
    return node.host.run(node.host.python(script, '-f', node.config_file, *words), check=False,
                         limit=LIMIT)


def told(findings, code):
    """{subject: finding} of what is not well of this code."""
    return {each['subject']: each for each in findings
            if each['code'] == code and each['level'] != 'OK'}


@contextlib.contextmanager
def configured(node, **changes):
    """The node's file with these lines, and as it was again."""
    with open(node.config_file) as file:
        before = file.read()
    node.reconfigure(**changes)
    try:
        yield
    finally:
        node.host.workspace.write(node.config_file, before)


@contextlib.contextmanager
def altered(database, **settings):
    """A server that was restarted with these settings, and without them again."""
    before = auto_conf(database)
    for name, value in settings.items():
        database.sql("ALTER SYSTEM SET %s = '%s'" % (name, value))
    try:
        restart(database)
        yield
    finally:
        database.host.workspace.write(auto_path(database), before)
        restart(database)


def auto_path(database):
    """The file of ALTER SYSTEM."""
    return os.path.join(database.data_dir, 'postgresql.auto.conf')


def auto_conf(database):
    """What is in it."""
    with open(auto_path(database)) as file:
        return file.read()


def restart(database):
    """Stop it, if it runs, and start it."""
    if database.is_running():
        database.stop()
    database.start()


@contextlib.contextmanager
def statements(database, *pairs):
    """Each first statement is run now, each second one afterwards, in turn."""
    with contextlib.ExitStack() as stack:
        for before, after in pairs:
            database.sql(before)
            stack.callback(database.sql, after)
        yield


def of_standby(database):
    """(the file that says whom a standby follows, its text)."""
    name = 'postgresql.auto.conf' if database.installation.version >= 12 else 'recovery.conf'
    path = os.path.join(database.data_dir, name)
    with open(path) as file:
        return path, file.read()


@contextlib.contextmanager
def namesake(primary, name):
    """A second connection that streams from the primary under this name."""
    lsn, = primary.sql('SELECT pg_current_wal_lsn()::text')[0]
    connection = psycopg2.connect(
        '%s application_name=%s' % (primary.conninfo(), name),
        connection_factory=psycopg2.extras.PhysicalReplicationConnection)
    try:
        connection.cursor().start_replication(start_lsn=lsn)
        yield
    finally:
        connection.close()


def streams(cluster):
    """Wait until the standby streams."""
    first, second = cluster.databases()
    cluster.wait_until(lambda: second.streams_from(first), 30, 'the standby to stream')


# -- all is well -------------------------------------------------------------------------------


def test_a_cluster_as_it_should_be_has_no_errors_and_no_warnings(cluster):
    for node in reversed(cluster.nodes):
        code, findings = check(node, '--strict')
        bad = [each for each in findings if each['level'] in ('ERROR', 'WARNING')]
        assert bad == [], bad
        # No daemon runs that could tell that the third is a witness.
        unknown = {each['code'] for each in findings if each['level'] == 'UNKNOWN'}
        assert unknown == (set() if node.database is None else {'other-servers',
                                                                'standby-refused'})
        assert code == bool(unknown)
        assert {each['code'] for each in findings} >= {'window', 'ports', 'takeover'}
    version, = cluster.databases()[0].sql("SELECT current_setting('server_version_num')")[0]
    answers, = [each for each in findings if each['code'] == 'db-answers']
    assert answers['found'] == 'it answers: PostgreSQL %d.%d, a primary' % divmod(
        int(version), 10000)


# -- mistakes ----------------------------------------------------------------------------------


def test_mistakes_in_roles_and_files_of_a_primary(cluster):
    node = cluster.node(FIRST)
    database = node.database
    weak = database.conninfo().replace('user=agens', 'user=weak')
    with statements(database, ('CREATE ROLE weak LOGIN', 'DROP ROLE weak'),
                    ("ALTER ROLE weak SET synchronous_commit = 'off'",
                     'ALTER ROLE weak RESET ALL'),
                    ("ALTER DATABASE postgres SET synchronous_commit = 'off'",
                     'ALTER DATABASE postgres RESET ALL')), \
            configured(node, conn_string=weak + ' password=' + UNIX_PASSWORD,
                       replication_user='nobody_there', use_pg_rewind=True), \
            namesake(database, SECOND):
        os.chmod(node.config_file, 0o644)
        cluster.wait_until(lambda: len(database.sql(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '%s'"
            "AND state = 'streaming'" % SECOND)) == 2, 30, 'two of one name')
        code, findings = check(node)
        text = run(node).output
        shown = run(node, '--show').output
    assert code == 1
    assert told(findings, 'monitor-right')['weak']['fix'].endswith('GRANT pg_monitor TO "weak";')
    assert 'CHECKPOINT' in told(findings, 'checkpoint')
    assert set(told(findings, 'synchronous-commit')) == {'role weak', 'database postgres'}
    assert 'password in %s, mode 0644' % node.config_file in told(
        findings, 'password-file')['conn_string']['found']
    assert 'no such role' in told(findings, 'replication-role')['nobody_there']['found']
    assert 'nobody_there' in told(findings, 'standby-refused')[
        cluster.node(SECOND).host.address]['found']
    calls = [each['fix'] for each in findings if each['code'] == 'rewind'
             and each['subject'] == 'weak']
    assert len(calls) == 4 and 'pg_catalog.pg_read_binary_file(text)' in ''.join(calls)
    # Whoever may not see it is not told that all is well.
    unique, = told(findings, 'unique-names').values()
    assert unique['level'] == 'UNKNOWN', unique
    for output in (text, shown, json.dumps(findings)):
        assert UNIX_PASSWORD not in output
    assert 'password=***' in shown


@on_newest
def test_two_standbys_of_one_name_are_told_on_either_node(cluster):
    database = cluster.node(FIRST).database
    with namesake(database, SECOND):
        for node in cluster.nodes[:2]:
            found = cluster.wait_until(lambda: told(check(node)[1], 'unique-names').get(SECOND),
                                       30, 'both to be seen')
            assert found['found'].startswith('2 connections to the primary have this name')


def test_mistakes_of_a_standby(cluster):
    node, version = cluster.node(SECOND), cluster.installation.version
    database = node.database
    path, before = of_standby(database)
    database.host.workspace.write(path, before.replace(
        'application_name=' + SECOND, 'application_name=somebody')
        + "recovery_target_name = 'never'\n")
    try:
        with altered(database, max_connections=70, wal_receiver_timeout='20min'):
            code, findings = check(node)
    finally:
        database.host.workspace.write(path, before)
        restart(database)
        streams(cluster)
    assert code == 1
    name = told(findings, 'application-name')['primary_conninfo']
    assert name['found'] == 'application_name is somebody, and node_name is ' + SECOND
    target = told(findings, 'recovery-target')['recovery_target_name']
    assert target['level'] == 'ERROR' and target['fix'].startswith('in %s: take the line' % path)
    late = told(findings, 'replication-timeouts')['wal_receiver_timeout']
    assert late['level'] == 'WARNING' and late['found'].startswith('1200 s, and neither')
    more = told(findings, 'standby-settings')['max_connections']
    assert more['level'] == 'WARNING' and more['found'].startswith('70 at this standby, and 60')
    assert re.search(r'on the primary: .*: max_connections = 70, then restart', more['fix'])
    assert version >= 12 or path.endswith('recovery.conf')


@on_newest
def test_archiving_into_nothing_and_a_standby_that_will_not(cluster):
    first, second = cluster.nodes[:2]
    with altered(first.database, archive_mode='on'):
        assert 'archive_command is empty' in told(check(first)[1], 'archive')[
            'archive_mode']['found']
        assert told(check(second)[1], 'same-archiving')['archive_mode']['found'] \
            == 'off, and on at the primary'


@on_newest
def test_logical_slots_that_wait_for_a_standby_or_for_none(cluster):
    node = cluster.node(FIRST)
    wanted = '''SELECT pg_create_logical_replication_slot('feed', 'pgoutput', false, false, true)'''
    with altered(node.database, wal_level='logical'), statements(
            node.database, (wanted, "SELECT pg_drop_replication_slot('feed')")):
        none = told(check(node)[1], 'synchronized-slots')['synchronized_standby_slots']
        with statements(node.database, (
                "SELECT pg_create_physical_replication_slot('one')",
                "SELECT pg_drop_replication_slot('one')")), \
                altered(node.database, synchronized_standby_slots='one'):
            idle = told(check(node)[1], 'synchronized-slots')['synchronized_standby_slots']
    assert none['found'] == 'not set, and the logical slots feed have failover'
    assert idle['found'] == 'it lists one, and no standby uses that slot'
    assert "SET synchronized_standby_slots = ''" in idle['fix']


@on_newest
def test_a_server_that_refuses_the_others(cluster):
    """The standby streams, and AHM of its host, and of the witness, may not look."""
    first, second, witness = cluster.nodes
    path = os.path.join(first.database.data_dir, 'pg_hba.conf')
    with open(path) as file:
        before = file.read()
    first.host.workspace.write(path, before.replace('host all', 'host nothing'))
    first.database.sql('SELECT pg_reload_conf()')
    try:
        place = '%s:%d' % (first.host.address, cluster.plan.db_port)
        refused = cluster.wait_until(lambda: told(check(second)[1], 'other-servers').get(place),
                                     30, 'the refusal')
        of_witness = told(check(witness)[1], 'other-servers')[place]
    finally:
        first.host.workspace.write(path, before)
        first.database.sql('SELECT pg_reload_conf()')
    for each in (refused, of_witness):
        assert each['level'] == 'ERROR' and 'no pg_hba.conf entry' in each['found']


@on_newest
def test_what_a_role_has_of_its_own_does_not_hide_what_the_server_has(cluster):
    """And a directory that is none is told from that of the server."""
    node = cluster.node(FIRST)
    empty = os.path.join(node.data_dir, 'empty')
    node.host.run(['mkdir', empty])
    with altered(node.database, synchronous_commit='off'), statements(node.database, (
            "ALTER ROLE agens SET synchronous_commit = 'on'", 'ALTER ROLE agens RESET ALL')):
        _, findings = check(node)
        with configured(node, db_data_dir=empty):
            code, elsewhere = check(node)
    assert told(findings, 'synchronous-commit')['synchronous_commit']['fix'].startswith(
        'ALTER SYSTEM SET synchronous_commit = on;')
    identity = told(elsewhere, 'db-identity')['db_data_dir']
    assert code == 1 and identity['level'] == 'ERROR'
    assert '%s is no data directory (no PG_VERSION)' % empty in identity['found']
    assert identity['fix'].endswith(': db_data_dir: ' + node.database.data_dir)


# -- what no server is asked for ---------------------------------------------------------------


@on_newest
def test_mistakes_of_the_configuration_and_the_host(cluster):
    first, second = cluster.nodes[:2]
    with configured(first, db_data_dir=second.database.data_dir, db_port=5999,
                    if_up_cmd='/bin/sh addr add $_IP_$/24 dev nowhere0',
                    pre_promotion_command='/no/such/script'), \
            socket.socket() as taken, \
            open(os.path.join(first.data_dir, 'ahm.state'), 'w') as state:
        taken.bind((first.host.address, cluster.plan.ipc_port))
        taken.listen(1)
        state.write('nonsense')
        state.flush()
        os.chown(state.name, os.stat(first.data_dir).st_uid, -1)
        code, findings = check(first)
    os.unlink(state.name)
    assert code == 1
    assert 'another server' in told(findings, 'db-identity')['db_data_dir']['found']
    assert told(findings, 'db-port')['db_port']['fix'].endswith(
        ': db_port: %d' % cluster.plan.db_port)
    assert set(told(findings, 'takeover')) == {'if_up_cmd', 'pre_promotion_command'}
    assert 'no interface nowhere0' in told(findings, 'takeover')['if_up_cmd']['found']
    assert 'port %d: Address already in use' % cluster.plan.ipc_port in told(
        findings, 'ports')['ipc_port']['found']
    assert told(findings, 'state-file')['data_dir']['level'] == 'WARNING'


@on_newest
def test_a_file_that_a_start_refuses_is_told_in_full_and_nothing_else(cluster):
    first = cluster.nodes[0]
    with configured(first, priority='first', ipc_port=cluster.plan.db_port, data_dir='/no/where',
                    conn_string='host=a password=%s nonsense=1' % UNIX_PASSWORD):
        code, findings = check(first)
        text = run(first)
    assert code == text.code == 1 and UNIX_PASSWORD not in text.output
    assert {(each['code'], each['subject']) for each in findings} == {
        ('config', 'priority'), ('config', 'conn_string'), ('tcp-ports', 'ipc_port'),
        ('data-dir', 'data_dir')}
    assert all(re.match(re.escape(first.config_file) + r':\d+: ', each['fix'])
               for each in findings)


@on_newest
def test_beside_running_daemons_it_knows_the_witness_and_disturbs_nobody(cluster):
    cluster.start_ahm()
    first, second, _ = cluster.nodes
    cluster.wait_until(lambda: all(node.status().leader == FIRST and 'AHM-NODE-3' in node.status()
                                  .rows for node in cluster.nodes), 60, 'a leader')
    cluster.wait_until(lambda: check(second, '--strict')[0] == 0, 60, 'all to be well')
    with open(second.nodes_file) as file:
        before = file.read()
    second.write_nodes(before + '%s:9\n' % cluster.plan.node(9))
    try:
        code, findings = check(second)
    finally:
        second.write_nodes(before)
    running, = [each for each in findings if each['code'] == 'daemon']
    assert running['found'] == 'a daemon runs, PID %d' % second.daemon.pid
    assert 'by which AHM runs here' in told(findings, 'nodes-changed')['nodes.conf']['found']
    assert code == 0 and all(node.ahm_runs() for node in cluster.nodes)
    for node in cluster.nodes:
        node.stop_ahm()
    with pytest.raises(LabError):
        second.status()


def test_all_nodes_are_asked_by_one_command():
    """One node is wrong, and the daemon of another is down: both are told, and what differs."""
    with Cluster(nodes=3, settings={'health_check_period': 5, 'log_filename': 'ahm.log'},
                 node_settings={SECOND: {'health_check_period': 7, 'priority': 1,
                                         'pre_promotion_command': '/bin/true'}}) as made:
        first, second, third = made.nodes
        made.start_ahm()
        made.wait_until(lambda: all(node.status().leader == FIRST for node in made.nodes), 60,
                        'a leader')
        second.database.sql("ALTER SYSTEM SET wal_receiver_timeout = 0")
        second.database.sql('SELECT pg_reload_conf()')
        made.wait_until(lambda: second.database.sql('SHOW wal_receiver_timeout')[0][0] == '0', 30,
                        'the setting')
        code, findings = check(first, '--cluster')
        assert not told(findings, 'unanswered') and told(findings, 'same-parameters')
        third.stop_ahm()
        code, findings = check(first, '--cluster')
        text = run(first, '--cluster').output
        assert first.ahm_runs() and second.ahm_runs() and first.status().leader == FIRST
    assert code == 1
    silent, = told(findings, 'unanswered').values()
    assert silent['level'] == 'ERROR' and silent['subject'].startswith(third.host.address)
    late = told(findings, 'replication-timeouts')['wal_receiver_timeout']
    assert late['node'] == SECOND and late['level'] == 'WARNING'
    period = told(findings, 'same-parameters')['health_check_period']
    assert SECOND in period['found'] and period['node'] == ''
    assert told(findings, 'priorities')['priority']['found'] == '1 at %s, %s' % (FIRST, SECOND)
    assert 'wal_receiver_timeout (%s)' % SECOND in text
    assert re.search(r'^Clocks, against the one here: .*\b%s [+-]\d\.\d{3} s' % SECOND, text,
                     re.MULTILINE)
    assert re.match(r'\d+ errors?, ', text.splitlines()[-1])      # the sum is the last word


# -- the last ones: no standby survives them ----------------------------------------------------


@on_newest
def test_a_standby_with_less_than_its_primary_is_told(cluster):
    """From 14 on its replay waits; before, it ends, and there is nobody to ask."""
    first, second = cluster.nodes[:2]
    with altered(first.database, max_worker_processes=20):
        found = cluster.wait_until(lambda: told(check(second)[1], 'replay'), 30,
                                   'the replay to stand still')
        less = told(check(second)[1], 'standby-settings')['max_worker_processes']
        there = told(check(first)[1], 'standby-settings')['max_worker_processes']
    assert 'max_worker_processes' in found[SECOND]['found']
    assert less['level'] == there['level'] == 'ERROR'
    assert less['fix'].endswith('max_worker_processes = 20, then restart that server')
    assert there['fix'].startswith('on %s:' % second.host.address)


def test_settings_with_which_nothing_can_follow_a_server(cluster):
    node, version = cluster.node(FIRST), cluster.installation.version
    settings = dict(wal_level='minimal', max_wal_senders=0, hot_standby='off',
                    listen_addresses='localhost', archive_mode='off', wal_log_hints='off',
                    synchronous_commit='off')
    if version >= 18:
        settings['idle_replication_slot_timeout'] = '1min'
    settings['wal_sender_timeout'] = 0
    with altered(node.database, **settings), configured(node, use_pg_rewind=True):
        code, findings = check(node)
        checksums, = node.database.sql('SHOW data_checksums')[0]
    assert code == 1
    assert told(findings, 'wal-level')['wal_level']['fix'].startswith(
        'ALTER SYSTEM SET wal_level = replica; (it is in %s)' % auto_path(node.database))
    assert told(findings, 'hot-standby')['hot_standby']['found'] == 'off'
    assert told(findings, 'max-wal-senders')['max_wal_senders']['level'] == 'ERROR'
    assert told(findings, 'listen-addresses')['listen_addresses']['found'] == 'localhost'
    assert told(findings, 'synchronous-commit')['synchronous_commit']['found'] == 'off'
    assert told(findings, 'replication-timeouts')['wal_sender_timeout']['fix'].startswith(
        "ALTER SYSTEM SET wal_sender_timeout = '60s';")
    assert ('wal_log_hints' in told(findings, 'rewind')) is (checksums == 'off')
    assert ('idle-slot-timeout' in {each['code'] for each in findings}) is (version >= 18)
    assert bool(told(findings, 'idle-slot-timeout')) is (version >= 18)


@on_newest
def test_a_server_that_hangs_and_one_that_is_down_leave_nothing_well(cluster):
    node = cluster.node(FIRST)
    pid = node.database.postmaster()
    os.kill(pid, signal.SIGSTOP)
    try:
        code, findings = check(node)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 0 and told(findings, 'db-answers')['conn_string']['level'] == 'UNKNOWN'
    assert told(findings, 'wal-level')['']['level'] == 'UNKNOWN'
    node.database.stop()
    code, findings = check(node, '--strict')
    text = run(node).output
    assert code == 1
    well = {each['code'] for each in findings if each['level'] == 'OK'}
    assert not well & {'wal-level', 'db-identity', 'checkpoint', 'monitor-right', 'db-answers'}
    assert 'NOT KNOWN db-answers' in text and 'start AHM, then the database' in text
    assert ':%d, database ' % cluster.plan.db_port in told(findings, 'db-answers')[
        'conn_string']['found']
