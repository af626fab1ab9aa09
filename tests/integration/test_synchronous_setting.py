"""What commits wait for is set on a real PostgreSQL, and seen in force; or it is said why not.

A primary and its standby on 127.77.0.x, as in test_database_children; LAB_POSTGRES runs them on
another version.  The standby streams under the name `old`.
"""
import contextlib
import fcntl
import json
import os
import signal
import threading

import pytest

from ahmlib.database import conffile, promotion, sync_names, synchronous
from tests.integration.test_database_children import (
    HAS_SERVER,
    LIMIT,
    adopt_orphans,
    pair,
    reap_orphans,
    run_sql,
    templates,
    until,
)

assert adopt_orphans and pair and templates     # fixtures

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')

SHOW = "SELECT current_setting('synchronous_standby_names')"


class Order:
    """An order to set it, in a process of its own, as the daemon has it done."""

    def __init__(self, server, needed, names, limit=10.0, **changes):
        reader, writer = os.pipe()
        parent, self.pid = os.getpid(), os.fork()
        if not self.pid:
            try:
                found = synchronous.set_synchronous(
                    server.settings._replace(**changes), needed, names, parent, limit)
                os.write(writer, json.dumps(found).encode())
            finally:
                os._exit(0)
        os.close(writer)
        self._reader = reader

    def result(self):
        """What came of it."""
        with os.fdopen(self._reader) as file:
            said = file.read()
        os.waitpid(self.pid, 0)
        assert said, 'its process ended without an answer'
        return synchronous.Waits(*json.loads(said))


def ordered(*arguments, **changes):
    """The Waits of an order."""
    return Order(*arguments, **changes).result()


def asked(server, sql):
    """The one value that this query brings there."""
    import psycopg2
    with contextlib.closing(psycopg2.connect(server.settings.conn_string)) as connection:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchone()[0]


def on_file(server):
    """The value in the file that AHM writes."""
    return conffile.value_of(conffile.read(server.path('postgresql.auto.conf')),
                             synchronous.PARAMETER)


class Writer(threading.Thread):
    """Commits one row; `done` once the commit has returned."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.done = server, threading.Event()
        self.start()

    def run(self):
        run_sql(self.server, 'INSERT INTO waits VALUES (1)')
        self.done.set()


def waiting(server):
    """How many sessions wait for a standby."""
    return asked(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")


def test_commits_wait_for_whom_they_are_told_and_go_on_when_they_wait_for_nobody(pair):
    primary, _ = pair
    run_sql(primary, 'CREATE TABLE waits (x int)')
    before = asked(primary, "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
    found = ordered(primary, 1, ('old',))
    assert found.ok and found.lsn >= before > 0, found
    assert asked(primary, SHOW) == on_file(primary) == 'ANY 1 ("old")'
    assert asked(primary, "SELECT sync_state FROM pg_stat_replication") == 'quorum'
    assert Writer(primary).done.wait(LIMIT), 'the standby is there'
    assert ordered(primary, 1, ('somebody else',)).ok
    writer = Writer(primary)
    until(lambda: waiting(primary) == 1)
    found = ordered(primary, 0, ())
    assert found.ok and asked(primary, SHOW) == on_file(primary) == ''
    assert writer.done.wait(LIMIT), 'nobody is waited for any more'


@pytest.mark.parametrize('names', [
    ('any', 'first'), ('Größe', 'with "quotes"', "o'brien", 'back\\slash', ' a b '),
    tuple('node-%d' % number for number in range(99))])
def test_a_name_means_itself_whatever_it_is(pair, names):
    primary, _ = pair
    assert ordered(primary, 1, names).ok
    shown = sync_names.parse(asked(primary, SHOW))
    assert shown == sync_names.SyncNames(1, names)
    assert asked(primary, 'SELECT sync_state FROM pg_stat_replication') == 'async'


def test_the_file_keeps_what_else_it_says_and_its_owner(pair):
    primary, _ = pair
    path = primary.path('postgresql.auto.conf')
    with open(path, 'a') as file:
        file.write("work_mem = '5MB'\nsynchronous_standby_names = 'by hand'\n")
    before = os.stat(path)
    assert ordered(primary, 1, ('old',)).ok
    after = os.stat(path)
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid, before.st_gid, before.st_mode)
    text = conffile.read(path)
    assert conffile.value_of(text, 'work_mem') == '5MB' and text.count('standby_names') == 1


def test_on_a_standby_it_counts_once_that_is_promoted(pair):
    _, standby = pair
    found = ordered(standby, 1, ('nobody',))
    assert found.ok and found.lsn == 0, found
    assert promotion.promote(standby.settings, LIMIT).ok
    assert asked(standby, SHOW) == 'ANY 1 ("nobody")'


def test_who_may_not_see_who_replicates_sets_nothing(pair):
    """Else nobody would seem to be there, and commits would wait for nobody."""
    primary, _ = pair
    run_sql(primary, 'CREATE ROLE plain LOGIN')
    place = primary.settings.conn_string.replace('user=agens', 'user=plain')
    found = ordered(primary, 1, ('old',), conn_string=place, db_user='plain')
    assert not found.ok and found.reason == \
        'plain may not see who replicates from this server: GRANT pg_monitor TO it'
    assert on_file(primary) is None
    run_sql(primary, 'GRANT pg_monitor TO plain')
    assert ordered(primary, 1, ('old',), conn_string=place, db_user='plain').ok


def test_a_setting_on_the_command_line_would_win_and_is_said(pair):
    primary, _ = pair
    assert primary.stop('fast').ok
    primary.run('pg_ctl', '-D', primary.settings.db_data_dir, '-w', '-l', primary.path('log'),
                '-o', '-c synchronous_standby_names=x', 'start')
    try:
        found = ordered(primary, 1, ('old',))
        assert not found.ok and 'on the command line of the server' in found.reason
        assert on_file(primary) is None
    finally:
        assert primary.stop('immediate').ok
        until(lambda: primary.postmaster() is None)
        primary.start()


def test_a_mistake_in_the_files_is_not_taken_for_a_setting_in_force(pair):
    primary, _ = pair
    primary.configure('this is no = = setting')
    found = ordered(primary, 1, ('old',), 2.0)
    assert not found.ok and 'has not taken up' in found.reason and found.reason.isprintable()
    assert asked(primary, SHOW) == ''


def test_a_server_that_hangs_is_not_waited_for_beyond_the_limit(pair):
    primary, _ = pair
    primary.signal(signal.SIGSTOP)
    try:
        assert not ordered(primary, 1, ('old',), 2.0).ok
        assert on_file(primary) is None
    finally:
        primary.signal(signal.SIGCONT)


def test_one_order_at_a_time_and_none_for_a_daemon_that_is_gone(pair):
    """The daemon that starts next decides anew: nothing of the one before may come later."""
    primary, _ = pair
    lock = os.path.join(primary.settings.work_dir, synchronous.LOCK_FILE)
    with open(lock, 'w') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = ordered(primary, 1, ('old',), 1.0)
        assert not found.ok and 'an earlier order has not ended within 1 s' in found.reason
        reader, writer = os.pipe()
        daemon = os.fork()
        if not daemon:
            os.write(writer, b'%d\n' % Order(primary, 1, ('old',), 60.0).pid)
            signal.pause()
        os.close(writer)
        with os.fdopen(reader) as file:
            waits = int(file.readline())
            os.kill(daemon, signal.SIGKILL)
            os.waitpid(daemon, 0)
        until(lambda: reap_orphans() or is_gone(waits))
    assert on_file(primary) is None
    assert ordered(primary, 1, ('old',)).ok, 'the lock is free'


def is_gone(pid):
    """Whether no such process runs any more."""
    try:
        os.waitpid(pid, os.WNOHANG)         # adopted, or not ours
    except ChildProcessError:
        pass
    return not os.path.exists('/proc/%d' % pid)
