"""The database functions against a real PostgreSQL: a primary and its standby on 127.77.0.x.

Skipped, and said so, where no PostgreSQL is installed.  As root the servers run as `postgres` or
`nobody`, through the functions under test themselves.
"""
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ahmlib.database import control, follow, probe, promotion, recovery, start, startup, stop
from ahmlib.database.settings import DatabaseSettings
from ahmlib.lab import base_backup
from ahmlib.lab.users import give_to, lab_user
from ahmlib.process import programs

PROGRAMS = sorted(glob.glob('/usr/lib/postgresql/*/bin') + glob.glob('/usr/pgsql-*/bin'),
                  key=lambda path: [int(part) for part in path.replace('-', '/').split('/')
                                    if part.isdigit()])
if os.environ.get('LAB_POSTGRES'):
    PROGRAMS = [os.environ['LAB_POSTGRES']]
HAS_SERVER = bool(PROGRAMS) or shutil.which('pg_ctl') is not None
BIN_DIR = PROGRAMS[-1] if PROGRAMS else os.path.dirname(shutil.which('pg_ctl') or '')
LIMIT = 20.0
PRIMARY_HOST, STANDBY_HOST = '127.77.0.1', '127.77.0.2'

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')


def until(predicate, limit=LIMIT):
    """Return the first true value of the predicate; fails after `limit` seconds."""
    ends_at = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < ends_at, 'waited %s s for %r' % (limit, predicate)
        reap_orphans()
        time.sleep(0.02)


@pytest.fixture(scope='module', autouse=True)
def adopt_orphans():
    """Take in the postmasters that pg_ctl leaves behind, so that a killed one can be reaped.

    PostgreSQL does not start while the PID in its lock file exists, be it only as a zombie.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)                          # PR_SET_CHILD_SUBREAPER
    yield
    libc.prctl(36, 0, 0, 0, 0)


def reap_orphans():
    """Reap the adopted postmasters that have ended; other children are left to their parents."""
    for pid in list(ADOPTED):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                ADOPTED.discard(pid)
        except ChildProcessError:
            ADOPTED.discard(pid)


ADOPTED = set()


def free_port():
    """Return a port that is free on both addresses now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind((PRIMARY_HOST, 0))
        other.bind((STANDBY_HOST, one.getsockname()[1]))
        return one.getsockname()[1]


def owner():
    """Whom the servers run as: None for the present user."""
    if os.geteuid() != 0:
        return None
    for name in ('postgres', 'nobody'):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return programs.User(name, entry.pw_uid, entry.pw_gid, (entry.pw_gid,), '/')
    pytest.skip('NOT TESTED: neither the user postgres nor nobody exists')


class Server:
    """One server: its settings, and the functions under test bound to them."""

    def __init__(self, root, name, host, port):
        self.host, self.port = host, port
        data_dir = os.path.join(root, name)
        self.settings = DatabaseSettings(
            node_name=name, db_port=port, db_user='agens', db_database='postgres',
            conn_string='host=%s port=%d user=agens dbname=postgres' % (host, port),
            db_bin_dir=BIN_DIR, db_data_dir=data_dir, db_config_dir=data_dir,
            work_dir=root, standby_startup_delay=0.1)

    def path(self, name):
        return os.path.join(self.settings.db_data_dir, name)

    def configure(self, text):
        with open(self.path('postgresql.conf'), 'a') as file:
            file.write(text + '\n')

    def run(self, program, *arguments):
        outcome = programs.run([os.path.join(BIN_DIR, program)] + list(arguments), 60, owner())
        assert outcome.ok, outcome.reason + outcome.output

    def start(self):
        reap_orphans()
        result = start.start_database(self.settings, LIMIT)
        assert result.ok, result
        ADOPTED.add(self.postmaster())
        return result

    def postmaster(self):
        return control.postmaster(self.settings.db_data_dir)

    def signal(self, number):
        os.kill(self.postmaster(), number)

    def stop(self, mode='immediate', limit=10.0):
        result = stop.stop_database(self.settings, mode, limit)
        reap_orphans()
        return result

    def look(self, limit=LIMIT):
        return probe.check_local(self.settings, limit)

    def ask(self, **changes):
        """Probe this server from afar, with other settings."""
        return probe.probe_remote(self.settings._replace(**changes), self.host, self.port, 5.0)


def version_of(server):
    """The major version of the server's data directory."""
    return control.data_directory_version(server.settings.db_data_dir)


def kept_wal(server):
    """The line of the configuration that lets a standby be away for a while."""
    return 'wal_keep_size = 160MB' if version_of(server) >= 13 else 'wal_keep_segments = 10'


def copy(primary, standby):
    """Make `standby` one of `primary`, as `pg_basebackup -R` does where there is one."""
    place = 'host=%s port=%d user=agens application_name=old' % (primary.host, primary.port)
    data_dir = standby.settings.db_data_dir
    if os.path.exists(os.path.join(BIN_DIR, 'pg_basebackup')):
        standby.run('pg_basebackup', '-D', data_dir, '-R', '-X', 'stream', '-c', 'fast', '-d',
                    place)
        return
    base_backup.take(primary.settings.db_data_dir, data_dir, primary.settings.conn_string,
                     version_of(primary))
    base_backup.make_standby(data_dir, place, version_of(primary))
    give_to(lab_user(), data_dir)


@pytest.fixture(scope='module')
def templates():
    """A directory with a stopped primary and a stopped standby of it, made once."""
    root = tempfile.mkdtemp(prefix='ahm-test-')
    user = owner()
    if user is not None:
        os.chown(root, user.uid, user.gid)
    os.chmod(root, 0o755)
    port = free_port()
    primary = Server(root, 'primary', PRIMARY_HOST, port)
    standby = Server(root, 'standby', STANDBY_HOST, port)
    try:
        primary.run('initdb', '-D', primary.settings.db_data_dir, '-U', 'agens', '-A', 'trust',
                    '-N')
        primary.configure("port = %d\nunix_socket_directories = ''\nfsync = off\n"
                          "listen_addresses = '%s'\nwal_log_hints = on\nmax_connections = 20\n%s"
                          % (port, PRIMARY_HOST, kept_wal(primary)))
        primary.start()
        copy(primary, standby)
        standby.configure("listen_addresses = '%s'" % STANDBY_HOST)
        assert primary.stop('fast').ok
        for server in (primary, standby):
            os.rename(server.settings.db_data_dir, server.settings.db_data_dir + '.template')
        yield root, primary, standby
    finally:
        for server in (primary, standby):
            server.stop('kill')
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def pair(templates):
    """A fresh primary and its streaming standby, both running."""
    _, primary, standby = templates
    for server in (primary, standby):
        data_dir = server.settings.db_data_dir
        shutil.rmtree(data_dir, ignore_errors=True)
        programs.run(['cp', '-a', data_dir + '.template', data_dir], 60)
        server.start()
    until(lambda: standby.look().streaming)
    yield primary, standby
    for server in (primary, standby):
        assert server.stop('kill').ok
    until(lambda: not ADOPTED)


# Probing

def test_probe_of_a_primary_and_of_its_standby(pair):
    primary, standby = pair
    found = primary.look()
    assert (found.verdict, found.answered, found.in_recovery) == ('REACHABLE', True, False)
    assert found.timeline == 1 and found.lsn > 0 and found.server_version >= 100000
    assert found.sync_standbys == (('old', 'streaming', 'async'),)
    copy = standby.ask()
    assert copy.in_recovery is True and copy.streaming is True
    assert copy.system_identifier == found.system_identifier
    assert copy.timeline == 1 and copy.lsn > 0
    assert copy.upstream == (primary.host, primary.port, 'old')


def test_probe_by_a_user_without_rights_says_none_and_not_failure(pair):
    primary, standby = pair
    run_sql(primary, 'CREATE ROLE plain LOGIN')
    # Until the standby has replayed it, the role does not exist there.
    found = until(lambda: (lambda f: f.answered and f)(standby.ask(db_user='plain')))
    assert found.in_recovery is True and found.lsn > 0 and found.timeline == 1
    assert found.streaming is None and found.upstream is None
    local = probe.check_local(standby.settings._replace(
        conn_string=standby.settings.conn_string.replace('agens', 'plain')), 5)
    assert local.upstream.host == primary.host, 'read from the file instead'


def test_refused_for_what_we_are_is_reachable(pair):
    primary, _ = pair
    for changes, sqlstate in (({'db_user': 'nobody_here'}, '28000'),
                              ({'db_database': 'none'}, '3D000')):
        found = primary.ask(**changes)
        assert found.verdict == 'REACHABLE' and not found.answered, found
        # A server that trusts us refuses after the step at which we stop reading.
        assert found.sqlstate in (sqlstate, None)


def test_wrong_password_and_no_entry_are_reachable_and_tell_no_secret(pair):
    primary, _ = pair
    run_sql(primary, "CREATE ROLE guarded LOGIN PASSWORD 'right'")
    with open(primary.path('pg_hba.conf'), 'w') as file:
        file.write('host all guarded 0.0.0.0/0 md5\n')
    primary.signal(signal.SIGHUP)
    no_entry = until(lambda: (lambda f: not f.answered and f)(primary.ask()))
    assert (no_entry.verdict, no_entry.sqlstate) == ('REACHABLE', '28000')
    wrong = probe.check_local(primary.settings._replace(
        conn_string='host=%s port=%d user=guarded dbname=postgres password=wr0ngs3cret'
        % (primary.host, primary.port)), 5)
    assert wrong.verdict == 'REACHABLE' and not wrong.answered
    assert 'wr0ngs3cret' not in repr(wrong)
    assert primary.ask(db_user='guarded').verdict == 'REACHABLE', 'no password at all'


def test_too_many_clients_is_reachable(pair):
    import psycopg2
    primary, _ = pair
    connections = []
    try:
        with pytest.raises(psycopg2.OperationalError):
            for _ in range(40):
                connections.append(psycopg2.connect(primary.settings.conn_string))
        found = primary.look()
        assert found.verdict == 'REACHABLE' and not found.answered, found
    finally:
        for connection in connections:
            connection.close()


def test_a_hung_server_is_unreachable_within_the_limit(pair):
    primary, _ = pair
    primary.signal(signal.SIGSTOP)
    began_at = time.monotonic()
    found = primary.look(0.4)
    assert found.verdict == 'UNREACHABLE' and '0.4' in found.reason
    assert time.monotonic() - began_at < 10


def test_a_stopped_server_is_unreachable(pair):
    primary, _ = pair
    assert primary.stop('fast').how == 'fast'
    found = primary.look()
    assert found.verdict == 'UNREACHABLE' and found.reason, found


def test_a_server_that_does_not_accept_yet_is_starting_whatever_its_language(pair):
    _, standby = pair
    assert standby.stop('fast').ok
    standby.configure("hot_standby = off\nlc_messages = 'C'")

    def starting():
        # On a busy machine it may not even listen yet when the limit ends: then the next call
        # finds it running.
        result = start.start_database(standby.settings, 2.0)
        ADOPTED.add(standby.postmaster())
        assert not result.ok, result
        return result.verdict == 'STARTING'
    until(starting)
    found = standby.look()
    assert (found.verdict, found.sqlstate) == ('STARTING', '57P03')
    assert startup.ask(standby.host, standby.port, 'x', 'y', 5).sqlstate == '57P03'


# Stopping and starting

def test_stop_fast_leaves_nothing_and_is_done_once(pair):
    primary, _ = pair
    assert primary.stop('fast').how == 'fast'
    assert control.server_processes(primary.settings.db_data_dir) == []
    again = primary.stop('fast')
    assert again.ok and again.how == 'was not running'


def test_stop_escalates_to_kill_for_a_stopped_postmaster(pair):
    primary, _ = pair
    primary.signal(signal.SIGSTOP)
    began_at = time.monotonic()
    result = primary.stop('fast', 30.0)
    assert result.ok and result.how == 'kill', result
    assert time.monotonic() - began_at < 12, 'no waiting for who cannot hear'


def test_stop_escalates_past_a_stopped_backend(pair):
    import psycopg2
    primary, _ = pair
    with_backend = psycopg2.connect(primary.settings.conn_string)
    pid = with_backend.get_backend_pid()
    os.kill(pid, signal.SIGSTOP)
    result = primary.stop('fast', 5.0)
    assert result.ok and result.how == 'kill', result
    with_backend.close()


def test_stop_ends_the_orphans_of_a_killed_postmaster(pair):
    import psycopg2
    primary, _ = pair
    backend = psycopg2.connect(primary.settings.conn_string)
    os.kill(backend.get_backend_pid(), signal.SIGSTOP)      # so that it cannot notice
    primary.signal(signal.SIGKILL)
    until(lambda: primary.postmaster() is None)
    result = primary.stop('fast', 5.0)
    assert result.ok, result
    assert control.server_processes(primary.settings.db_data_dir) == []


def test_stop_finds_the_server_of_a_data_directory_that_was_removed(pair):
    primary, _ = pair
    shutil.rmtree(primary.settings.db_data_dir)
    assert control.server_processes(primary.settings.db_data_dir)
    assert primary.stop('fast', 5.0).ok
    assert primary.look().verdict == 'UNREACHABLE'


def test_stop_sees_the_server_of_a_directory_that_its_owner_cannot_read_any_more(pair):
    primary, _ = pair
    data_dir = primary.settings.db_data_dir
    os.chmod(data_dir, 0)
    with control.acting_as(owner()):
        with pytest.raises(PermissionError):
            os.listdir(data_dir)
        assert control.why_blind(data_dir) == ''
        seen = control.server_processes(data_dir)
    os.chmod(data_dir, 0o700)
    assert seen and seen == control.server_processes(data_dir)


def test_who_is_not_the_owner_of_an_unreadable_directory_knows_nothing_of_its_server(pair):
    if os.geteuid() != 0:
        pytest.skip('NOT TESTED: only root can become somebody else')
    stranger = programs.User('stranger', 54321, 54321, (54321,), '/')
    with control.acting_as(stranger):
        refusal = stop.stop_database(pair[0].settings, 'kill', 5.0)
    assert not refusal.ok and 'cannot look at' in refusal.reason, refusal
    assert pair[0].postmaster()


def test_stop_command_that_does_nothing_does_not_count(pair):
    primary, _ = pair
    primary.settings = primary.settings._replace(db_stop_command=['true'])
    try:
        assert primary.stop('immediate').how == 'immediate'
    finally:
        primary.settings = primary.settings._replace(db_stop_command=None)


def test_start_says_why_it_failed(pair):
    primary, _ = pair
    assert primary.stop('fast').ok
    primary.configure('no_such_setting = 1')
    result = start.start_database(primary.settings, LIMIT)
    assert not result.ok and 'no_such_setting' in result.reason, result


def test_start_with_a_configuration_directory_of_its_own(pair, templates):
    primary, _ = pair
    assert primary.stop('fast').ok
    config_dir = os.path.join(templates[0], "it's config")
    shutil.rmtree(config_dir, ignore_errors=True)
    os.mkdir(config_dir)
    for name in ('postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'):
        shutil.copy(primary.path(name), config_dir)
        os.unlink(primary.path(name))
    if owner():
        programs.run(['chown', '-R', owner().name, config_dir], 5)
    settings = primary.settings._replace(db_config_dir=config_dir)
    result = start.start_database(settings, LIMIT)
    ADOPTED.add(primary.postmaster())
    assert result.ok, result
    assert control.postmaster(primary.settings.db_data_dir)


# Promotion

def test_promotion(pair):
    _, standby = pair
    result = promotion.promote(standby.settings, LIMIT)
    assert result.ok and result.how == 'pg_ctl' and result.timeline == 2, result
    assert result.lsn > 0
    assert not os.path.exists(standby.path('standby.signal'))
    again = promotion.promote(standby.settings, LIMIT)
    assert again.ok and again.how == 'was primary'


@pytest.mark.parametrize('delay', [0.0, 0.004, 0.01])
def test_promotion_right_after_the_primary_was_killed_is_not_slept_over(pair, delay):
    primary, standby = pair
    primary.signal(signal.SIGKILL)
    time.sleep(delay)                   # the instant decides, not what has come true by then
    result = promotion.promote(standby.settings, LIMIT)
    assert result.ok and result.seconds < 4.0, result


def test_promotion_command_counts_by_what_the_database_says(pair):
    _, standby = pair
    settings = standby.settings._replace(promotion_command=['true'])
    lied = promotion.promote(settings, 3.0)
    assert not lied.ok and 'still in recovery' in lied.reason
    settings = settings._replace(promotion_command=['/no/such/program'])
    absent = promotion.promote(settings, LIMIT)
    assert not absent.ok and '/no/such/program' in absent.reason
    assert standby.look().in_recovery is True


def test_promotion_that_times_out_takes_its_order_back(pair):
    primary, standby = pair
    startups = [each for each in control.server_processes(standby.settings.db_data_dir)
                if control.is_startup_process(each.pid)]
    assert len(startups) == 1
    os.kill(startups[0].pid, signal.SIGSTOP)
    result = promotion.promote(standby.settings, 3.0)
    assert not result.ok and 'withdrawn' in result.reason, result
    forgets = result.withdrawn
    assert forgets == (control.data_directory_version(standby.settings.db_data_dir) >= 14)
    os.kill(startups[0].pid, signal.SIGCONT)
    if forgets:
        run_sql(primary, 'CREATE TABLE replayed ()')
        until(lambda: standby.look().replayed_lsn == primary.look().lsn)
        assert standby.look().in_recovery is True


# Following

def test_follow_by_reload(pair):
    primary, standby = pair
    if version_of(standby) < follow.FIRST_VERSION_THAT_RELOADS // 10000:
        pytest.skip('before PostgreSQL 13 primary_conninfo is not reloaded')
    before = standby.postmaster()
    result = follow.follow_primary(standby.settings, primary.host, primary.port, LIMIT)
    assert result.ok and result.how == 'reloaded', result
    assert standby.postmaster() == before
    assert until(lambda: [each for each in primary.look().sync_standbys
                          if each.application_name == 'standby' and each.state == 'streaming'])
    status = os.stat(standby.path('postgresql.auto.conf'))
    assert status.st_uid == os.stat(standby.settings.db_data_dir).st_uid
    assert status.st_mode & 0o777 == 0o600


def test_follow_does_not_wait_for_a_login_that_is_refused(pair, monkeypatch):
    """It asked again and again for two minutes, and `ahm stop` waited for that."""
    primary, standby = pair
    if version_of(standby) < follow.FIRST_VERSION_THAT_RELOADS // 10000:
        pytest.skip('before PostgreSQL 13 primary_conninfo is not reloaded')
    monkeypatch.setattr(follow, 'UNSEEN_SECONDS', 0.1)
    settings = standby.settings._replace(
        conn_string=standby.settings.conn_string + ' user=nobody_knows')
    result = follow.follow_primary(settings, primary.host, primary.port, LIMIT)
    assert not result.ok and 'cannot be seen: ' in result.reason, result
    assert 'nobody_knows' in result.reason, result


def test_follow_refuses_on_a_primary(pair):
    primary, standby = pair
    result = follow.follow_primary(primary.settings, standby.host, standby.port, LIMIT)
    assert not result.ok and 'primary' in result.reason
    assert not recovery.is_standby_on_file(primary.settings)


def test_an_old_primary_comes_back_as_a_standby(pair):
    """The whole of a failover: stop, standby.signal, promote, follow, and a later pg_ctl start."""
    primary, standby = pair
    assert primary.stop('fast').ok
    assert recovery.leave_standby_signal(primary.settings).ok
    assert promotion.promote(standby.settings, LIMIT).ok
    written = follow.follow_primary(primary.settings, standby.host, standby.port, LIMIT)
    assert written.ok and written.how == 'written', written
    assert primary.postmaster() is None, 'never started'
    has_signal = version_of(primary) >= recovery.FIRST_VERSION_WITH_SIGNAL
    made = os.stat(primary.path('standby.signal' if has_signal else 'recovery.conf'))
    assert made.st_uid == os.stat(primary.settings.db_data_dir).st_uid
    log = os.path.join(primary.settings.work_dir, 'later.log')
    primary.run('pg_ctl', 'start', '-w', '-s', '-D', primary.settings.db_data_dir, '-l', log)
    ADOPTED.add(primary.postmaster())
    assert primary.look().in_recovery is True
    found = until(lambda: (lambda f: f.streaming and f.timeline == 2 and f)(primary.look()))
    assert found.upstream.application_name == 'primary'


def test_standby_signal_alone_prevents_a_second_primary(pair):
    primary, standby = pair
    primary.signal(signal.SIGKILL)
    until(lambda: not control.server_processes(primary.settings.db_data_dir))
    assert recovery.leave_standby_signal(primary.settings).ok
    reap_orphans()
    primary.start()
    assert primary.look().in_recovery is True


def test_follow_by_restart(pair, monkeypatch):
    primary, standby = pair
    monkeypatch.setattr(follow, '_is_reloadable', lambda *_: False)
    before = standby.postmaster()
    result = follow.follow_primary(standby.settings, primary.host, primary.port, LIMIT)
    ADOPTED.add(standby.postmaster())
    assert result.ok and result.how == 'restarted', result
    assert standby.postmaster() != before
    until(lambda: standby.look().streaming)


#: What a child does that asks over TLS, in a Python in which nothing has loaded `ssl` before.
ASKS = """
import sys
sys.path.insert(0, sys.argv[1])
from ahmlib.database.connection import Connection
with Connection(sys.argv[2], 10) as connection:
    print(connection.value('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'))
print('ssl' in sys.modules)
import ssl
ssl.create_default_context()
"""


@pytest.mark.skipif(shutil.which('openssl') is None,
                    reason='NOT TESTED: no openssl to make a certificate with; install it')
def test_a_child_asks_over_tls_though_it_does_without_the_ssl_of_python(pair):
    primary, _ = pair
    certificate = primary.path('server.crt')
    primary.run('/usr/bin/env', 'openssl', 'req', '-new', '-x509', '-nodes', '-days', '2', '-subj',
                '/CN=primary', '-out', certificate, '-keyout', primary.path('server.key'))
    os.chmod(primary.path('server.key'), 0o600)
    trusted = os.path.join(os.path.dirname(primary.settings.db_data_dir), 'root.crt')
    shutil.copy(certificate, trusted)
    primary.configure('ssl = on')
    assert primary.stop('fast').ok
    primary.start()
    done = subprocess.run(
        [sys.executable, '-c', ASKS, str(Path(__file__).resolve().parents[2]),
         primary.settings.conn_string + ' sslmode=verify-ca sslrootcert=' + trusted],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    assert done.stdout.decode().split() == ['True', 'False'], done.stdout


def run_sql(server, sql):
    import psycopg2
    connection = psycopg2.connect(server.settings.conn_string)
    connection.autocommit = True
    connection.cursor().execute(sql)
    connection.close()
