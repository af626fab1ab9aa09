"""Rebuilding on a real PostgreSQL: a server that diverged becomes a copy of its primary.

The servers are those of test_attach.py.  Skipped, and said so, where there is no pg_basebackup.
"""
import contextlib
import glob
import os
import re
import shutil
import signal
import stat
import threading

import psycopg2
import pytest

from ahmlib.database import (
    attach,
    base_backup,
    conffile,
    control,
    control_file,
    rebuild,
    rebuild_place,
    recovery,
    rewind,
)
from tests.integration.test_attach import (
    adopt_orphans,
    diverge,
    impatient,
    reap,
    servers,
    streams,
    templates,
)
from tests.integration.test_database_children import (
    BIN_DIR,
    HAS_SERVER,
    owner,
    run_sql,
    until,
    version_of,
)
from tests.lab.network import call
from tests.lab.small_disk import small_disks_available

pytestmark = pytest.mark.skipif(
    not HAS_SERVER or control.find_program(BIN_DIR, *base_backup.PROGRAMS) is None,
    reason='NOT TESTED: no pg_basebackup beside the server; install it')

assert adopt_orphans and impatient and servers and templates       # fixtures

REBUILD_SECONDS = 120.0


@pytest.fixture(autouse=True)
def nothing_is_left(templates):
    """What a rebuild keeps is the next test's concern no more."""
    yield
    for member in templates:
        for name in beside(member):
            shutil.rmtree(member.settings.db_data_dir + name)


def rebuilt(member, primary, tell=lambda step: None, **changes):
    """Attach it, by a copy if need be."""
    reap()
    result = attach.attach_standby(member.settings._replace(**changes), primary.host, primary.port,
                                   REBUILD_SECONDS, None, True, tell)
    reap()
    return result


def beside(member):
    """The names beside its data directory that a rebuild makes."""
    return sorted(name[len(member.settings.db_data_dir):]
                  for name in glob.glob(member.settings.db_data_dir + '.ahm_*'))


def ask(member, sql):
    """All rows of a query."""
    with contextlib.closing(psycopg2.connect(member.settings.conn_string)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall()


class Load:
    """Rows that a client inserts all the while, and was told are committed."""

    def __init__(self, member):
        self.member, self.acknowledged, self.error = member, 0, None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._insert)

    def __enter__(self):
        run_sql(self.member, 'CREATE TABLE load (id int PRIMARY KEY, text text)')
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self._thread.join()
        assert self.error is None, self.error

    def _insert(self):
        try:
            with contextlib.closing(psycopg2.connect(self.member.settings.conn_string)) as one:
                one.autocommit = True
                cursor = one.cursor()
                while not self._ended.is_set():
                    cursor.execute("INSERT INTO load VALUES (%s, repeat('x', 500))",
                                   (self.acknowledged + 1,))
                    self.acknowledged += 1
        except psycopg2.Error as error:
            self.error = error


@pytest.fixture
def senders(monkeypatch):
    """Whoever receives WAL from the primary while it is copied: {(name, flushed or not)}."""
    seen, see = set(), rebuild._Watch.see

    def also(watch, progress):
        for name, flushed in watch.connection.query(
                'SELECT application_name, flush_lsn IS NOT NULL FROM pg_stat_replication'):
            seen.add((name, flushed))
        see(watch, progress)
    monkeypatch.setattr(rebuild._Watch, 'see', also)
    return seen


def test_what_diverged_is_rebuilt_under_load_with_all_rows_and_its_own_files(servers, senders):
    one, two, _ = servers
    os.mkdir(one.path('conf.d'), 0o700)
    one.configure("include_dir = 'conf.d'\n# this is one")
    with open(one.path('conf.d/10.conf'), 'w') as file:
        file.write('# of one')
    os.mkdir(two.path('conf.d'), 0o700)
    with open(two.path('conf.d/20.conf'), 'w') as file:
        file.write('work_mem = 77MB')
    run_owned(one, two)
    two.configure('# this is two')
    diverge(one, two, 'fast')
    run_sql(two, "ALTER SYSTEM SET work_mem = '66MB'")
    own, raw = conffile.read(one.path('postgresql.conf')), control_file.raw(one.path(''))
    told = []
    with Load(two) as load:
        result = rebuilt(one, two, told.append)
        assert result.ok and result.how == 'rebuilt' and not result.diverged, result
        streams(one, two)
    until(lambda: one.caught_up(two))
    assert ask(one, 'SELECT count(*) FROM load')[0][0] == load.acknowledged > 0
    assert not one.has('only_here')
    assert conffile.read(one.path('postgresql.conf')) == own
    assert os.listdir(one.path('conf.d')) == ['10.conf']
    assert 'work_mem' not in conffile.read(one.path('postgresql.auto.conf'))
    status, kept = os.stat(one.path('')), one.settings.db_data_dir + '.ahm_old'
    assert stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == os.stat(kept).st_uid
    assert beside(one) == ['.ahm_old'] and 'kept in %s' % kept in result.remark
    assert control_file.raw(kept) == raw, 'untouched'
    assert {name for name, _ in senders} == {'ahm_copy_of_one'}
    assert any(step.startswith('copies the primary: ') for step in told), told


def run_owned(*members):
    """Let what the tests made belong to the servers' user."""
    if owner():
        for member in members:
            call('chown', '-R', '%d:%d' % owner()[1:3], member.settings.db_data_dir)


def test_a_copy_confirms_no_commit_where_every_name_does(servers, senders):
    one, two, _ = servers
    diverge(one, two, 'fast')
    run_sql(two, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    run_sql(two, 'SELECT pg_reload_conf()')
    until(lambda: ask(two, 'SHOW synchronous_standby_names') == [('*',)])
    result = rebuilt(one, two)
    assert result.ok and result.how == 'rebuilt', result
    assert ('ahm_copy_of_one', True) not in senders and ('ahm_copy_of_one', False) in senders
    assert 'synchronous_standby_names' not in conffile.read(one.path('postgresql.auto.conf'))


def test_what_streams_is_attached_as_ever_and_what_is_of_another_system_is_refused(servers):
    one, two, three = servers
    result = rebuilt(two, one)
    assert result.ok and result.how == 'nothing' and not beside(two), result
    shutil.rmtree(three.settings.db_data_dir)
    three.run('initdb', '-D', three.settings.db_data_dir, '-U', 'agens', '-A', 'trust', '-N')
    result = rebuilt(three, one)
    assert not result.ok and 'it is another cluster' in result.reason and not beside(three)
    assert '--rebuild' not in result.reason and 'pg_basebackup' in result.reason


def test_a_second_rebuild_waits_until_what_is_kept_is_removed(servers):
    one, two, _ = servers
    diverge(one, two, 'fast')
    assert rebuilt(one, two).ok
    one.stop()
    os.unlink(one.path('standby.signal' if version_of(one) >= 12 else 'recovery.conf'))
    one.start()
    run_sql(one, 'CREATE TABLE second_life ()')
    result = rebuilt(one, two)
    kept = one.settings.db_data_dir + '.ahm_old'
    assert not result.ok and result.diverged, result
    assert '%s, which an earlier rebuild kept, is still there' % kept in result.reason
    assert beside(one) == ['.ahm_old'] and os.path.exists(os.path.join(kept, 'PG_VERSION'))
    shutil.rmtree(kept)
    assert rebuilt(one, two).ok
    streams(one, two)


def in_a_child(function):
    """Call it in a process of its own; returns by which signal that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            function()
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def die(*_):
    """As if the power failed, for this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(instant):
    """Have this process die there."""
    renames, rename = [], os.rename

    def second_rename(source, target):
        if os.path.basename(source) in ('data', 'one'):
            renames.append(source)
            if len(renames) == 2:
                die()
        rename(source, target)
    if instant == 'copying':
        rebuild._Watch.see = die
    elif instant == 'copied':
        rebuild_place.mark_complete = die
    elif instant == 'complete':
        rebuild_place.swap = die
    elif instant == 'between the renames':
        os.rename = second_rename
    else:
        rebuild_place._remove = die


@pytest.mark.parametrize('instant', ['copying', 'copied', 'complete', 'between the renames',
                                     'swapped'])
def test_a_rebuild_that_was_killed_leaves_one_whole_and_the_next_one_goes_on(servers, instant):
    one, two, _ = servers
    diverge(one, two, 'fast')
    raw = control_file.raw(one.path(''))

    def killed():
        dying_at(instant)
        rebuilt(one, two)
    assert in_a_child(killed) == signal.SIGKILL
    is_in_place = instant in ('copying', 'copied', 'complete')
    kept = one.settings.db_data_dir + '.ahm_old'
    assert control_file.raw(one.path('') if is_in_place else kept) == raw
    assert beside(one) == ['.ahm_copy'] + ([] if is_in_place else ['.ahm_old'])
    assert os.path.exists(one.path('')) == (instant != 'between the renames')
    result = rebuilt(one, two) if is_in_place else one.attach(two)
    assert result.ok, result
    assert result.how == ('started' if instant == 'swapped' else 'rebuilt'), result
    streams(one, two)
    assert beside(one) == ['.ahm_old'] and control_file.raw(kept) == raw


def test_a_copy_whose_program_is_killed_fails_and_the_next_one_is_made(servers, monkeypatch):
    one, two, _ = servers
    diverge(one, two, 'fast')
    raw, see = control_file.raw(one.path('')), rebuild._Watch.see

    def kill_it(watch, progress):
        for name in os.listdir('/proc'):
            with contextlib.suppress(OSError):
                if name.isdigit() and os.readlink('/proc/%s/exe' % name).endswith(
                        '/pg_basebackup') and one.settings.db_data_dir.encode() in open(
                            '/proc/%s/cmdline' % name, 'rb').read():
                    os.kill(int(name), signal.SIGKILL)
        see(watch, progress)
    with monkeypatch.context() as patched:
        patched.setattr(rebuild._Watch, 'see', kill_it)
        result = rebuilt(one, two)
    assert not result.ok and result.diverged and 'pg_basebackup failed' in result.reason, result
    assert control_file.raw(one.path('')) == raw and not one.is_running()
    assert rebuilt(one, two).ok
    streams(one, two)


def test_a_primary_that_is_gone_at_the_end_of_the_copy_replaces_nothing(servers, monkeypatch):
    one, two, _ = servers
    diverge(one, two, 'fast')
    raw, complete = control_file.raw(one.path('')), rebuild_place.mark_complete

    def then_it_dies(place):
        complete(place)
        two.stop('kill')
    monkeypatch.setattr(rebuild_place, 'mark_complete', then_it_dies)
    result = rebuilt(one, two)
    assert not result.ok and 'so the data directory stays' in result.reason, result
    assert control_file.raw(one.path('')) == raw and beside(one) == []


def test_one_at_a_time_in_a_cluster(servers, monkeypatch):
    one, two, _ = servers
    diverge(one, two, 'fast')
    with contextlib.closing(psycopg2.connect(two.settings.conn_string)) as other:
        other.cursor().execute(rebuild.TAKE_TURN, rebuild.TURN)
        result = rebuilt(one, two)
        assert not result.ok and 'another node of the cluster is being rebuilt' in result.reason
    assert not beside(one)
    until(lambda: rebuilt(one, two).ok)


@pytest.mark.skipif(small_disks_available() is not None, reason='NOT TESTED: %s'
                    % small_disks_available())
def test_without_space_nothing_is_touched(servers):
    one, two, _ = servers
    diverge(one, two, 'fast')
    root = os.path.dirname(one.settings.db_data_dir)
    small = os.path.join(root, 'small')
    os.mkdir(small)
    call('mount', '-t', 'tmpfs', '-o', 'size=400m,mode=0777', 'ahmlab', small)
    try:
        call('cp', '-a', one.settings.db_data_dir, small)
        there = os.path.join(small, 'one')
        result = rebuilt(one, two, db_data_dir=there, db_config_dir=there)
        assert not result.ok and re.search(r'needs .* and \d+ MB are free there', result.reason), \
            result
        assert os.listdir(small) == ['one']
        # A mount point itself cannot be renamed.
        call('mount', '--bind', there, there)
        try:
            result = rebuilt(one, two, db_data_dir=there, db_config_dir=there)
            assert not result.ok and 'is a mount point, which cannot' in result.reason, result
        finally:
            call('umount', there)
    finally:
        call('umount', small)


def test_tablespaces_and_a_pg_wal_elsewhere_are_refused(servers):
    one, two, _ = servers
    diverge(one, two, 'fast')
    elsewhere = os.path.join(os.path.dirname(one.settings.db_data_dir), 'elsewhere')
    os.rename(one.path('pg_wal'), elsewhere)
    os.symlink(elsewhere, one.path('pg_wal'))
    result = rebuilt(one, two)
    assert not result.ok and 'a pg_wal with --waldir' in result.reason, result
    os.unlink(one.path('pg_wal'))
    os.rename(elsewhere, one.path('pg_wal'))
    os.mkdir(elsewhere, 0o700)
    if owner():
        os.chown(elsewhere, *owner()[1:3])
    run_sql(two, "CREATE TABLESPACE far LOCATION '%s'" % elsewhere)
    try:
        result = rebuilt(one, two)
        assert not result.ok and 'far in %s' % elsewhere in result.reason, result
        assert not beside(one)
    finally:
        run_sql(two, 'DROP TABLESPACE far')
        os.rmdir(elsewhere)
    assert rebuilt(one, two).ok


def test_what_a_rewind_left_damaged_is_rebuilt_with_the_files_from_before(servers):
    one, two, _ = servers
    one.configure('# this is one')
    diverge(one, two, 'fast')
    own = conffile.read(one.path('postgresql.conf'))
    rewind._keep(one.settings)
    assert rewind.is_interrupted(one.settings)
    shutil.copy(two.path('postgresql.conf'), one.path('postgresql.conf'))
    result = rebuilt(one, two)
    assert result.ok and result.how == 'rebuilt', result
    assert conffile.read(one.path('postgresql.conf')) == own
    assert not rewind.is_interrupted(one.settings)
    streams(one, two)


def test_a_standby_that_needs_wal_that_is_gone_is_rebuilt_while_it_runs(servers, impatient):
    one, two, _ = servers
    two.settle(one)
    two.stop()
    one.configure('wal_keep_size = 0' if version_of(one) >= 13 else 'wal_keep_segments = 0')
    run_sql(one, 'SELECT pg_reload_conf()')
    for number in range(4):
        run_sql(one, 'CREATE TABLE gone_%d ()' % number)
        run_sql(one, 'SELECT pg_switch_wal()')
        run_sql(one, 'CHECKPOINT')
    two.start()
    result = two.attach(one)
    assert not result.ok and 'ahm_attach_node --rebuild' in result.reason, result
    assert two.is_running()
    result = rebuilt(two, one)
    assert result.ok and result.how == 'rebuilt', result
    streams(two, one)
    assert recovery.is_standby_on_file(two.settings)
