"""Attaching on a real PostgreSQL: three servers on 127.77.0.x, of one database system.

Skipped, and said so, where no PostgreSQL is installed; the rewinds also without pg_rewind.
"""
import glob
import os
import re
import shutil
import signal
import socket
import stat
import tempfile

import pytest

from ahmlib.database import (
    attach,
    attach_stream,
    checkpoint,
    conffile,
    control,
    control_file,
    history,
    probe,
    promotion,
    recovery,
    rewind,
    start,
    stop,
    wal,
)
from ahmlib.database.settings import DatabaseSettings
from ahmlib.lab import installations
from ahmlib.process import programs
from tests.integration.test_database_children import (
    BIN_DIR,
    HAS_SERVER,
    LIMIT,
    Server,
    adopt_orphans,
    kept_wal,
    owner,
    run_sql,
    until,
    version_of,
)

HOSTS = ('127.77.0.1', '127.77.0.2', '127.77.0.3')
NAMES = ('one', 'two', 'three')
PAGE = 8192
MANY_ROWS = 'CREATE TABLE only_here AS SELECT generate_series(1, 1000) AS id'

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')
needs_rewind = pytest.mark.skipif(
    control.find_program(BIN_DIR, *rewind.PROGRAMS) is None,
    reason='NOT TESTED: no pg_rewind beside the server; install it')

assert adopt_orphans        # an autouse fixture


def reap():
    """Reap every postmaster that pg_ctl left to us and that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Member(Server):
    """A server with an AHM directory of its own, and with what these tests do to it."""

    def __init__(self, root, name, host, port):
        Server.__init__(self, root, name, host, port)
        work_dir = os.path.join(root, 'ahm-' + name)
        os.mkdir(work_dir)
        self.settings = self.settings._replace(work_dir=work_dir)

    def start(self):
        reap()
        result = start.start_database(self.settings, LIMIT)
        assert result.ok, result

    def stop(self, mode='fast', limit=20.0):
        result = stop.stop_database(self.settings, mode, limit)
        assert result.ok, result
        reap()
        return result

    def is_running(self):
        return bool(control.server_processes(self.settings.db_data_dir))

    def follow_on_file(self, primary, name=None):
        settings = self.settings._replace(node_name=name or self.settings.node_name)
        assert recovery.leave_standby_signal(settings).ok
        assert recovery.write_primary(settings, primary.host, primary.port).ok

    def promote(self):
        result = promotion.promote(self.settings, LIMIT)
        assert result.ok, result
        return result

    def attach(self, primary, limit=40.0, environment=None, **changes):
        reap()
        result = attach.attach_standby(self.settings._replace(**changes), primary.host,
                                       primary.port, limit, environment)
        reap()
        return result

    def has(self, table):
        import psycopg2
        connection = psycopg2.connect(self.settings.conn_string)
        try:
            cursor = connection.cursor()
            cursor.execute('SELECT to_regclass(%s) IS NOT NULL', (table,))
            return cursor.fetchone()[0]
        finally:
            connection.close()

    def caught_up(self, primary):
        return self.look().replayed_lsn == primary.look().lsn

    def settle(self, primary):
        """Wait until this standby has all that the primary has written."""
        until(lambda: self.caught_up(primary))


@pytest.fixture(scope='module')
def templates():
    """Three stopped servers, the first a primary and the others its standbys, made once."""
    root = tempfile.mkdtemp(prefix='ahm-attach-')
    user = owner()
    if user is not None:
        os.chown(root, user.uid, user.gid)
    os.chmod(root, 0o755)
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        one.bind((HOSTS[0], 0))
        port = one.getsockname()[1]
        two.bind((HOSTS[1], port))
        three.bind((HOSTS[2], port))
    members = [Member(root, name, host, port) for name, host in zip(NAMES, HOSTS)]
    primary = members[0]
    try:
        # So that wal_log_hints alone decides whether a rewind is possible.
        plain = ['--no-data-checksums'] if installations.version_of(BIN_DIR) >= 18 else []
        primary.run('initdb', '-D', primary.settings.db_data_dir, '-U', 'agens', '-A', 'trust',
                    '-N', *plain)
        primary.configure(
            "port = %d\nunix_socket_directories = ''\nfsync = off\nlisten_addresses = '%s'\n"
            "wal_log_hints = on\nmax_connections = 30\nwal_retrieve_retry_interval = 200ms\n"
            "autovacuum = off\ndynamic_shared_memory_type = mmap\n%s"
            % (port, HOSTS[0], kept_wal(primary)))
        with open(primary.path('pg_hba.conf'), 'w') as file:
            file.write('host all all 127.0.0.0/8 trust\n'
                       'host replication all 127.0.0.0/8 trust\n')
        primary.start()
        primary.stop()
        for standby in members[1:]:
            programs.run(['cp', '-a', primary.settings.db_data_dir,
                          standby.settings.db_data_dir], 60)
            standby.configure("listen_addresses = '%s'" % standby.host)
            standby.follow_on_file(primary)
        for member in members:
            os.rename(member.settings.db_data_dir, member.settings.db_data_dir + '.template')
        yield members
    finally:
        for member in members:
            member.stop('kill')
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def servers(templates):
    """Fresh copies: the primary and the second server run and stream, the third does not run."""
    for member in templates:
        data_dir = member.settings.db_data_dir
        shutil.rmtree(data_dir, ignore_errors=True)
        programs.run(['cp', '-a', data_dir + '.template', data_dir], 60)
        shutil.rmtree(member.settings.work_dir)
        os.mkdir(member.settings.work_dir)
    one, two, three = templates
    for member in (one, two):
        member.start()
    until(lambda: two.look().streaming)
    yield one, two, three
    for member in templates:
        member.stop('kill')


@pytest.fixture
def impatient(monkeypatch):
    """What never comes is not waited for."""
    monkeypatch.setattr(attach_stream, 'STREAM_SECONDS', 2.0)
    monkeypatch.setattr(attach_stream, 'REPLAY_SECONDS', 2.0)
    monkeypatch.setattr(attach_stream, 'FINAL_SECONDS', 0.5)


def streams(standby, primary, name=None):
    """Assert that it does, as both of them say it, under its name."""
    found = standby.look()
    assert found.in_recovery and found.streaming, found
    assert found.upstream.host == primary.host
    names = [each.application_name for each in primary.look().sync_standbys]
    assert (name or standby.settings.node_name) in names


def diverge(one, two, how):
    """`one` writes into two WAL files what `two` does not get, ends, and `two` is promoted.

    Returns where they parted, and where the WAL of `one` ends.
    """
    two.settle(one)
    # Its own position: by now the primary's processes may have written more, which it gets or not.
    fork = two.look().replayed_lsn
    two.stop()
    run_sql(one, MANY_ROWS)
    run_sql(one, 'SELECT pg_switch_wal()')
    run_sql(one, 'CREATE TABLE later ()')
    end = one.look().lsn
    stopped = one.stop(how)
    if how == 'fast':
        end = wal.record_end(one.settings.db_data_dir, 1, stopped.lsn)
    two.start()
    two.promote()
    return fork, end


def is_measured(one, begin, end, fork, last, mode):
    """Assert that the told WAL begins and ends where it does, and lies in more than one file."""
    assert begin >= fork
    # Before it was killed, its own processes may have written a record more than was asked for.
    assert last <= end <= last + (PAGE if mode == 'kill' else 0)
    size = wal.segment_size(one.settings.db_data_dir)
    assert begin // size < end // size, 'a WAL file was switched'


# The control file, the checkpoint, what a stop leaves

def test_the_control_file_says_what_pg_controldata_says(servers):
    one, two, _ = servers
    program = control.find_program(BIN_DIR, 'pg_controldata', 'ag_controldata')
    if program is None:
        pytest.skip('NOT TESTED: no pg_controldata to compare with')
    for member, mode in ((one, None), (two, None), (one, 'fast'), (two, 'fast')):
        if mode:
            member.stop(mode)
        outcome = programs.run([program, member.settings.db_data_dir], 10, owner(),
                               environment={'LC_ALL': 'C'})
        said = dict(re.findall(r"^(.*?):\s*(.*)$", outcome.output, re.MULTILINE))
        known = control_file.read(member.settings.db_data_dir)
        assert known == control_file.ControlFile(
            said['Database system identifier'], int(said['pg_control version number']),
            said['Database cluster state'],
            probe.parse_lsn(said['Latest checkpoint location']),
            probe.parse_lsn(said["Latest checkpoint's REDO location"]),
            int(said["Latest checkpoint's TimeLineID"]))
        assert control_file.state(member.settings.db_data_dir) == known.state
        assert known.is_clean == bool(mode)


def test_a_stop_says_where_a_primary_ended_and_the_standby_has_it(servers):
    one, two, _ = servers
    stopped = one.stop()
    assert stopped.timeline == 1 and stopped.lsn > 0
    assert one.stop().lsn == stopped.lsn, 'was not running'
    until(lambda: two.look().replayed_lsn > stopped.lsn)
    assert wal.record_end(one.settings.db_data_dir, 1, stopped.lsn) \
        == two.look().replayed_lsn
    standby = two.stop()
    assert (standby.lsn, standby.timeline) == (0, 0)


def test_a_stop_that_was_not_clean_says_nothing_of_positions(servers):
    one = servers[0]
    killed = one.stop('kill')
    assert (killed.lsn, killed.timeline) == (0, 0)


def test_a_checkpoint_is_done_or_says_why_not(servers):
    one = servers[0]
    before = control_file.read(one.settings.db_data_dir)
    assert checkpoint.checkpoint(one.settings, LIMIT) == (True, '')
    assert control_file.read(one.settings.db_data_dir).checkpoint_lsn > before.checkpoint_lsn
    run_sql(one, 'CREATE ROLE plain LOGIN')
    refused = checkpoint.checkpoint(one.settings._replace(
        conn_string=one.settings.conn_string.replace('agens', 'plain')), LIMIT)
    assert not refused.ok and refused.reason


# Standbys

def test_a_standby_that_streams_already_is_left_alone(servers):
    one, two, _ = servers
    before = two.postmaster()
    result = two.attach(one)
    assert (result.ok, result.how, result.diverged) == (True, 'nothing', False), result
    assert two.postmaster() == before


def test_a_wrong_application_name_is_put_right(servers):
    one, _, three = servers
    three.follow_on_file(one, name='walreceiver')
    three.start()
    until(lambda: three.look().streaming)
    before = three.postmaster()
    result = three.attach(one)
    assert result.ok and result.how in ('reloaded', 'restarted'), result
    assert three.postmaster() == before or result.how == 'restarted'
    streams(three, one)


@pytest.mark.parametrize('mode', ['fast', 'kill'])
def test_a_stopped_standby_is_started(servers, mode):
    one, two, _ = servers
    two.stop(mode)
    run_sql(one, 'CREATE TABLE meanwhile ()')
    result = two.attach(one)
    assert result.ok and result.how == 'started', result
    streams(two, one)
    until(lambda: two.has('meanwhile'))


def test_a_standby_of_the_old_primary_is_pointed_to_the_new_one(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    one.stop()
    two.promote()
    run_sql(two, "ALTER SYSTEM SET datestyle = 'German'")
    two.signal(signal.SIGHUP)
    result = three.attach(two)
    assert result.ok and result.how in ('reloaded', 'restarted'), result
    streams(three, two)
    assert three.look().timeline == 2
    # What is replayed is on timeline 2 though the last restartpoint is of the first.
    found = three.look()
    assert history.position(three.settings, found, LIMIT)[0] == 2
    assert wal.timeline_at(three.settings.db_data_dir, found.lsn) == 2


def test_a_standby_that_is_started_without_its_primary_is_on_the_timeline_that_it_streamed(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    one.stop()
    two.promote()
    assert three.attach(two).ok
    two.stop()
    three.stop('kill')
    three.start()
    assert control_file.read(three.settings.db_data_dir).timeline == 1, 'nothing is shown: a ' \
        'restartpoint came in between'
    assert three.look().timeline == 2


def test_a_standby_ahead_of_the_new_primary_has_diverged(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    two.settle(one)
    two.stop()
    run_sql(one, MANY_ROWS)
    three.settle(one)
    one.stop('kill')
    two.start()
    two.promote()
    result = three.attach(two)
    assert not result.ok and result.diverged, result
    assert not three.is_running()


def test_two_timelines_of_one_number_are_told_apart(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    three.settle(one)
    three.stop()
    run_sql(one, MANY_ROWS)
    two.settle(one)
    one.stop('kill')
    two.promote()
    three.start()
    three.promote()
    assert two.look().timeline == three.look().timeline == 2
    result = three.attach(two)
    assert not result.ok and result.diverged and 'on timeline 1' in result.reason, result
    assert not three.is_running()


# Old primaries

def test_an_old_primary_that_ended_cleanly_comes_back(servers):
    one, two, _ = servers
    stopped = one.stop()
    until(lambda: two.look().replayed_lsn > stopped.lsn)
    two.promote()
    run_sql(two, 'CREATE TABLE meanwhile ()')
    result = one.attach(two)
    assert result.ok and result.how == 'started' and not result.diverged, result
    streams(one, two)
    until(lambda: one.has('meanwhile'))
    assert one.look().timeline == 2


def test_a_killed_primary_whose_wal_was_all_shipped_comes_back(servers):
    one, two, _ = servers
    run_sql(one, 'CREATE TABLE shipped ()')
    two.settle(one)
    one.stop('kill')
    two.promote()
    result = one.attach(two)
    assert result.ok and result.how == 'started', result
    streams(one, two)


@pytest.mark.parametrize('mode', ['kill', 'fast'])
def test_an_old_primary_with_wal_of_its_own_is_refused_with_bytes_and_command(servers, mode):
    one, two, _ = servers
    fork, end = diverge(one, two, mode)
    result = one.attach(two, primary_conninfo_options='password=s3cret')
    assert (result.ok, result.diverged) == (False, True), result
    told = re.search(r'(\d+) bytes of WAL beyond (\S+) on timeline 1', result.reason)
    begin = probe.parse_lsn(told.group(2))
    is_measured(one, begin, begin + int(told.group(1)), fork, end, mode)
    assert ('pg_basebackup -d "host=%s port=%d user=agens application_name=ahm_copy_of_one" -D %s '
            '-R -X stream -P' % (two.host, two.port, one.settings.db_data_dir)) in result.reason
    assert 's3cret' not in result.reason
    assert not one.is_running() and os.path.isfile(one.path('PG_VERSION'))
    assert recovery.is_standby_on_file(one.settings) or mode == 'fast'


def test_a_killed_primary_ahead_by_a_few_bytes_is_not_taken_for_streaming(servers):
    """Its walreceiver streams up to the switch point in the same WAL file, again and again."""
    one, two, _ = servers
    two.settle(one)
    two.stop()
    run_sql(one, 'CREATE TABLE only_here ()')
    one.stop('kill')
    two.start()
    two.promote()
    result = one.attach(two)
    assert (result.ok, result.diverged) == (False, True), result
    assert not one.is_running()


def test_a_second_primary_is_stopped_first(servers):
    one, two, _ = servers
    two.promote()
    run_sql(one, 'CREATE TABLE only_here ()')
    result = one.attach(two)
    assert (result.ok, result.diverged) == (False, True), result
    assert not one.is_running() and two.is_running()


@pytest.mark.parametrize('mode, is_standby', [('fast', False), ('kill', False), ('fast', True),
                                              (None, False)])
def test_a_second_primary_on_the_timeline_of_its_primary_is_refused(servers, mode, is_standby):
    """It lost its standby.signal.  Positions tell nothing: the primary is ahead of it by now."""
    one, two, _ = servers
    two.settle(one)
    two.stop()
    has_signal = version_of(two) >= recovery.FIRST_VERSION_WITH_SIGNAL
    os.unlink(two.path('standby.signal' if has_signal else 'recovery.conf'))
    two.start()
    run_sql(two, 'CREATE TABLE only_here ()')
    run_sql(one, MANY_ROWS)
    assert two.look().timeline == one.look().timeline == 1
    assert two.look().lsn < one.look().lsn
    if mode:
        two.stop(mode)
    if is_standby:
        # As an operator may start it who finds it stopped, and its files in order.
        two.follow_on_file(one)
        two.start()
    result = two.attach(one, use_pg_rewind=True)
    assert (result.ok, result.diverged) == (False, True), result
    assert 'ran as a second primary on timeline 1' in result.reason
    assert 'pg_basebackup' in result.reason and not two.is_running()


def test_a_copy_of_the_stopped_primary_is_no_second_primary(servers):
    """Its control file says that it was one, on the present timeline; but all it has is there."""
    one, _, three = servers
    one.stop()
    shutil.rmtree(three.settings.db_data_dir)
    programs.run(['cp', '-a', one.settings.db_data_dir, three.settings.db_data_dir], 60)
    three.configure("listen_addresses = '%s'" % three.host)
    one.start()
    run_sql(one, MANY_ROWS)
    result = three.attach(one)
    assert result.ok and result.how == 'started', result
    streams(three, one)
    until(lambda: three.has('only_here'))


def test_a_primary_is_not_attached_to_itself(servers):
    one = servers[0]
    result = one.attach(one)
    assert not result.ok and 'the very database' in result.reason, result
    assert one.is_running()


# Rewinding

@needs_rewind
@pytest.mark.parametrize('mode', ['kill', 'fast'])
def test_a_diverged_primary_is_rewound_and_keeps_its_own_files(servers, mode):
    one, two, _ = servers
    own = conffile.read(one.path('postgresql.conf'))
    with open(one.path('server.key'), 'w') as file:
        file.write('the key of one')
    os.chmod(one.path('server.key'), 0o600)
    if owner():
        os.chown(one.path('server.key'), owner().uid, owner().gid)
    two.configure('# this is two')
    fork, last = diverge(one, two, mode)
    result = one.attach(two, use_pg_rewind=True)
    assert result.ok and result.how == 'rewound' and not result.diverged, result
    streams(one, two)
    assert not one.has('only_here')
    told = re.match(r'(\S+)\.\.(\S+) on timeline 1 \((\d+) bytes\)$', result.discarded)
    begin, end = probe.parse_lsn(told.group(1)), probe.parse_lsn(told.group(2))
    assert end - begin == int(told.group(3))
    is_measured(one, begin, end, fork, last, mode)
    assert conffile.read(one.path('postgresql.conf')) == own
    assert conffile.read(one.path('server.key')) == 'the key of one'
    status = os.stat(one.path('server.key'))
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.stat(one.settings.db_data_dir).st_uid
    assert not glob.glob(os.path.join(one.settings.work_dir, 'ahm_rewind*'))


@needs_rewind
def test_a_primary_that_died_before_its_first_checkpoint_is_rewound(servers):
    """Its control file still names the timeline before, and pg_rewind before 16 trusts that."""
    one, two, three = servers
    checkpointer = next(each for each in control.server_processes(two.settings.db_data_dir)
                        if b'checkpointer' in control.title(each.pid))
    os.kill(checkpointer.pid, signal.SIGSTOP)
    one.stop()
    two.promote()
    assert three.attach(two).ok
    three.settle(two)
    three.stop()
    run_sql(two, MANY_ROWS)
    two.stop('kill')
    assert control_file.read(two.settings.db_data_dir).timeline == 1
    three.start()
    three.promote()
    result = two.attach(three, use_pg_rewind=True)
    assert result.ok and result.how == 'rewound', result
    assert 'on timeline 2' in result.discarded, result
    streams(two, three)
    assert not two.has('only_here')


@needs_rewind
def test_a_second_primary_is_stopped_and_rewound(servers):
    one, two, _ = servers
    two.promote()
    run_sql(one, 'CREATE TABLE only_here ()')
    result = one.attach(two, use_pg_rewind=True)
    assert result.ok and result.how == 'rewound', result
    streams(one, two)
    assert not one.has('only_here')


@needs_rewind
def test_a_killed_server_with_a_standby_signal_is_recovered_for_the_rewind(servers):
    """A single-user server refuses standby.signal, so pg_rewind would by itself."""
    one, two, _ = servers
    fork, _ = diverge(one, two, 'kill')
    assert recovery.leave_standby_signal(one.settings).ok
    told = history.Fork(1, fork, 1)
    result = rewind.rewind(one.settings, two.host, two.port, 60.0, told, fork)
    assert result.ok and result.changed and 'on timeline 1' in result.discarded, result


@needs_rewind
def test_a_rewind_without_hints_is_refused_before_it_changes_anything(servers):
    one, two, _ = servers
    one.configure('wal_log_hints = off')
    one.stop()
    one.start()
    until(lambda: two.look().streaming)
    diverge(one, two, 'fast')
    before = control_file.raw(one.settings.db_data_dir)
    result = one.attach(two, use_pg_rewind=True)
    assert not result.ok and result.diverged, result
    assert 'wal_log_hints = on' in result.reason and 'pg_basebackup' in result.reason
    assert 'damaged' not in result.reason
    assert control_file.raw(one.settings.db_data_dir) == before
    assert not rewind.is_interrupted(one.settings) and not one.is_running()


@needs_rewind
def test_a_rewind_that_may_not_order_a_checkpoint_says_so(servers):
    one, two, _ = servers
    two.configure('checkpoint_timeout = 1d')
    run_sql(one, 'CREATE ROLE plain LOGIN')
    fork, _ = diverge(one, two, 'fast')
    # Until the one after the promotion is complete, one must be ordered; then none is needed.
    until(lambda: control_file.read(two.settings.db_data_dir).timeline == 2)
    result = rewind.rewind(one.settings._replace(db_user='plain'), two.host, two.port, 30.0,
                           history.Fork(1, fork, 1), fork)
    assert not result.ok and not result.changed, result
    assert 'permission denied' in result.reason


def test_a_rewind_that_did_not_end_is_not_repeated(servers):
    one, two, _ = servers
    diverge(one, two, 'fast')
    rewind._keep(one.settings)                              # and killed
    result = one.attach(two, use_pg_rewind=True)
    assert not result.ok and result.diverged and 'did not end' in result.reason, result
    assert 'pg_basebackup' in result.reason and not one.is_running()


# What does not fit, and causes in words

def test_another_database_system_is_refused(servers):
    one, two, _ = servers
    two.stop()
    shutil.rmtree(two.settings.db_data_dir)
    two.run('initdb', '-D', two.settings.db_data_dir, '-U', 'agens', '-A', 'trust', '-N')
    result = two.attach(one)
    assert not result.ok and 'system identifier' in result.reason, result
    assert not two.is_running() and not recovery.is_standby_on_file(two.settings)


def test_a_standby_or_nobody_is_no_primary(servers):
    one, two, three = servers
    in_recovery = three.attach(two)
    assert not in_recovery.ok and 'in recovery' in in_recovery.reason, in_recovery
    one.stop()
    silent = three.attach(one)
    assert not silent.ok and 'does not answer' in silent.reason, silent
    assert not three.is_running() and not silent.diverged


def test_wal_that_the_primary_removed_is_said_in_words(servers, impatient):
    one, two, _ = servers
    two.settle(one)
    two.stop()
    name = wal.segment_name(1, one.look().lsn, wal.segment_size(one.settings.db_data_dir))
    one.configure('%s = 0\nmin_wal_size = 32MB\nmax_wal_size = 32MB'
                  % kept_wal(one).split()[0])
    one.signal(signal.SIGHUP)

    def is_gone():
        run_sql(one, 'CREATE TABLE IF NOT EXISTS filling (); DROP TABLE filling')
        run_sql(one, 'SELECT pg_switch_wal()')
        run_sql(one, 'CHECKPOINT')
        return not os.path.exists(one.path('pg_wal/' + name))
    until(is_gone)
    result = two.attach(one)
    assert not result.ok and not result.diverged, result
    assert 'has removed WAL' in result.reason and 'pg_basebackup' in result.reason
    assert two.is_running(), 'it serves reads, and is no danger'


def test_removed_wal_is_noticed_without_an_english_log(servers, impatient, monkeypatch):
    from ahmlib.database import streaming
    monkeypatch.setattr(streaming, 'CAUSES', ())
    test_wal_that_the_primary_removed_is_said_in_words(servers, None)


def test_a_primary_that_refuses_replication_is_said_in_words(servers, impatient):
    """Its history is read over an ordinary connection then."""
    one, two, three = servers
    one.stop()
    two.promote()
    with open(two.path('pg_hba.conf'), 'w') as file:
        file.write('host all all 127.0.0.0/8 trust\n')
    two.signal(signal.SIGHUP)
    until(lambda: 'no pg_hba' in history_refusal(three, two))
    result = three.attach(two)
    assert not result.ok and not result.diverged, result
    assert 'pg_hba.conf of the primary has no replication entry' in result.reason


def history_refusal(standby, primary):
    """What a replication connection to the primary says; '' where it is let in."""
    from ahmlib.database.connection import Connection, ConnectionFailed
    try:
        Connection('host=%s port=%d user=agens replication=true'
                   % (primary.host, primary.port), 5.0).close()
    except ConnectionFailed as error:
        return str(error)
    return ''


def use_up_the_slots(server):
    """Leave no slot free on this server, so that none can be made for a standby."""
    run_sql(server, """SELECT pg_create_physical_replication_slot('filler_' || number)
                         FROM generate_series(1, current_setting('max_replication_slots')::int)
                              AS number""")


def test_a_missing_slot_is_said_in_words(servers, impatient):
    """One that cannot be made: all that max_replication_slots allows are in use."""
    one, _, three = servers
    use_up_the_slots(one)
    path = three.path('postgresql.auto.conf')
    if version_of(three) < 12:
        path = three.path('recovery.conf')
    conffile.replace(path, conffile.with_values(conffile.read(path),
                                                {'primary_slot_name': 'not_there'}))
    if owner():
        os.chown(path, owner().uid, owner().gid)
    result = three.attach(one)
    assert not result.ok and 'primary_slot_name' in result.reason, result


def test_a_missing_slot_is_noticed_without_an_english_log(servers, impatient, monkeypatch):
    from ahmlib.database import streaming
    if control.data_directory_version(servers[2].settings.db_data_dir) < 12:
        pytest.skip('NOT TESTED: a server before PostgreSQL 12 does not tell its primary_slot_name')
    monkeypatch.setattr(streaming, 'CAUSES', ())
    test_a_missing_slot_is_said_in_words(servers, None)
    one, _, three = servers
    result = three.attach(one)
    assert "pg_create_physical_replication_slot('not_there')" in result.reason, result
    run_sql(one, "SELECT pg_drop_replication_slot('filler_1')")
    run_sql(one, "SELECT pg_create_physical_replication_slot('not_there')")
    until(lambda: three.look().streaming)
    assert three.attach(one).ok


def test_a_server_that_dies_at_its_start_says_why(servers):
    one, _, three = servers
    three.configure('no_such_setting = 1')
    result = three.attach(one)
    assert not result.ok and 'no_such_setting' in result.reason, result


# follow_command

def test_a_follow_command_counts_by_what_is_seen_to_stream(servers, impatient):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    one.stop()
    two.promote()
    lied = three.attach(two, follow_command=['true'])
    assert not lied.ok and 'does not stream' in lied.reason, lied
    failed = three.attach(two, follow_command=['false'])
    assert not failed.ok and 'false' in failed.reason, failed
    path = three.path('postgresql.auto.conf')
    if version_of(three) < 13:
        return                          # a restart is the script's business there
    done = three.attach(two, environment={'AHM_TO': two.host}, follow_command=[
        'sh', '-c', 'sed -i "s/host=[0-9.]*/host=$AHM_TO/" %s && kill -HUP %d'
        % (path, three.postmaster())])
    assert done.ok and done.how == 'command', done
    streams(three, two)


def test_a_follow_command_is_used_for_a_stopped_server_too(servers):
    one, _, three = servers
    marker = os.path.join(three.settings.work_dir, 'ahm_followed')
    result = three.attach(one, environment={'AHM_TO': one.host},
                          follow_command=['sh', '-c', 'echo $AHM_TO > ' + marker])
    assert result.ok and result.how == 'command', result
    with open(marker) as file:
        assert file.read().strip() == one.host
    streams(three, one)


# Rights

def test_a_user_without_rights_to_statistics_is_enough_for_a_standby(servers):
    """The walreceiver's row is hidden then, and the primary has to say who streams."""
    one, two, three = servers
    run_sql(one, 'CREATE ROLE plain LOGIN')
    two.settle(one)
    for member in (three, two):
        settings = member.settings._replace(
            db_user='plain', replication_user='agens',
            conn_string=member.settings.conn_string.replace('agens', 'plain'))
        result = attach.attach_standby(settings, one.host, one.port, 40.0)
        reap()
        assert result.ok, result
        streams(member, one)


def test_an_empty_data_directory_is_refused_in_one_line(tmp_path):
    settings = DatabaseSettings(node_name='n', db_data_dir=str(tmp_path))
    result = attach.attach_standby(settings, '127.0.0.1', 1, 5.0)
    assert not result.ok and '\n' not in result.reason and result.reason
