"""Which server answers, and to whom: real servers, with settings that point past each other.

A check compares the server behind conn_string with db_data_dir; a stop looks at both; a session
depends on nothing that somebody else set; a server that refuses us is told from a dead one.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from ahmlib.database import (
    attach,
    checkpoint,
    connection,
    control,
    follow,
    history,
    identity,
    probe,
    start,
    startup,
    stop,
)
from ahmlib.database.connection import Connection, ConnectionFailed
from ahmlib.process import programs
from tests.integration import test_database_children as children
from tests.integration.test_database_children import (  # noqa: F401 (fixtures)
    BIN_DIR,
    LIMIT,
    Server,
    adopt_orphans,
    owner,
    pair,
    pytestmark,
    run_sql,
    templates,
    until,
    version_of,
)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='NOT TESTED: only root can do that')


@pytest.fixture
def stale(pair):
    """A copy of the primary's directory in which no server runs, as an upgrade leaves one."""
    primary, _ = pair
    path = primary.settings.db_data_dir + '.before_upgrade'
    programs.run(['cp', '-a', primary.settings.db_data_dir + '.template', path], 60)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def at(server, data_dir):
    """The server's settings with another db_data_dir."""
    return server.settings._replace(db_data_dir=data_dir)


def as_role(server, role, **words):
    """The server's settings with a conn_string of another role."""
    more = ''.join(' %s=%s' % item for item in words.items())
    return server.settings._replace(
        db_user=role, conn_string='host=%s port=%d user=%s dbname=postgres%s'
        % (server.host, server.port, role, more))


# Is it the server of db_data_dir?

def test_the_server_of_the_directory_is_no_mismatch_and_that_costs_no_query(pair, monkeypatch):
    monkeypatch.setattr(identity, 'TOLD', 'no query at all')
    for server in pair:
        assert server.look().mismatch == ''


def test_a_directory_left_over_from_an_upgrade_is_a_mismatch_that_names_both(pair, stale):
    primary, _ = pair
    found = probe.check_local(at(primary, stale), LIMIT)
    assert found.answered and stale in found.mismatch, found
    for said in (primary.settings.db_data_dir, 'port', 'conn_string', 'no server runs'):
        assert said in found.mismatch


def test_a_directory_by_another_name_is_the_same(pair, tmp_path):
    primary, _ = pair
    link = str(tmp_path / 'link')
    os.symlink(primary.settings.db_data_dir, link)
    assert probe.check_local(at(primary, link), LIMIT).mismatch == ''
    assert control.postmaster(link) == primary.postmaster()


@contextlib.contextmanager
def mounted(source, target):
    os.mkdir(target)
    done = subprocess.run(['mount', '--bind', source, target], stderr=subprocess.PIPE)
    if done.returncode:
        pytest.skip('NOT TESTED: this machine mounts nothing: %r' % done.stderr)
    try:
        yield target
    finally:
        subprocess.run(['umount', '-l', target], check=True)
        os.rmdir(target)


@AS_ROOT
def test_a_stop_sees_the_server_of_a_directory_that_is_mounted_in_two_places(pair):
    primary, _ = pair
    with mounted(primary.settings.db_data_dir, primary.settings.db_data_dir + '.bind') as path:
        assert probe.check_local(at(primary, path), LIMIT).mismatch == ''
        result = stop.stop_database(at(primary, path), 'fast', 10.0)
    children.reap_orphans()
    assert result.ok and result.how == 'fast', result
    assert primary.look().verdict == 'UNREACHABLE'


@pytest.mark.parametrize('role', ['agens', 'plain'])
def test_another_nodes_server_is_a_mismatch_where_no_process_can_be_seen(pair, monkeypatch, role):
    """As from another host or container: conn_string has the address of the other node."""
    primary, standby = pair
    run_sql(primary, 'CREATE ROLE plain LOGIN')
    monkeypatch.setattr(identity, '_serves_from_here', lambda *_: None)
    for server, other in (pair, pair[::-1]):
        settings = as_role(server, role)
        until(lambda: probe.check_local(settings, LIMIT).answered)
        assert probe.check_local(settings, LIMIT).mismatch == ''
        wrong = settings._replace(db_data_dir=other.settings.db_data_dir)
        assert other.settings.db_data_dir in probe.check_local(wrong, LIMIT).mismatch


def test_a_server_of_another_system_is_a_mismatch(pair, stale, monkeypatch):
    primary, _ = pair
    monkeypatch.setattr(identity, '_serves_from_here', lambda *_: None)
    path = os.path.join(stale, 'global', 'pg_control')
    with open(path, 'r+b') as file:
        file.write(b'\1' * 8)
    assert 'system identifier' in probe.check_local(at(primary, stale), LIMIT).mismatch


def test_nothing_to_compare_is_no_mismatch(pair, monkeypatch):
    primary, _ = pair
    assert probe.check_local(at(primary, ''), LIMIT).mismatch == ''
    monkeypatch.setattr(identity, '_serves_from_here', lambda *_: None)
    assert probe.check_local(at(primary, '/no/such/directory'), LIMIT).mismatch == ''


def test_a_directory_that_was_moved_away_under_its_server_is_a_mismatch(pair, stale):
    """Somebody restores into db_data_dir while the old server still runs, from where it was."""
    primary, _ = pair
    moved = primary.settings.db_data_dir + '.old'
    os.rename(primary.settings.db_data_dir, moved)
    shutil.copytree(stale, primary.settings.db_data_dir)
    try:
        assert moved in primary.look().mismatch
    finally:
        shutil.rmtree(primary.settings.db_data_dir)
        os.rename(moved, primary.settings.db_data_dir)


# Stopped is both: no process, and no answer

def test_a_stop_of_the_wrong_directory_is_no_stop_while_the_primary_answers(pair, stale):
    primary, _ = pair
    for mode, limit in (('immediate', 0.25), ('fast', 5.0)):
        result = stop.stop_database(at(primary, stale), mode, limit)
        assert not result.ok, result
        assert stale in result.reason and '%s:%d' % (primary.host, primary.port) \
            in result.reason and 'db_stop_command' in result.reason, result
    assert primary.look().answered, 'a server of another directory is not ours to signal'


def test_the_stop_command_stops_what_answers_from_another_directory(pair, stale):
    primary, _ = pair
    command = [os.path.join(BIN_DIR, 'pg_ctl'), 'stop', '-m', 'fast', '-w', '-D',
               primary.settings.db_data_dir]
    if owner() is not None:
        command = ['setpriv', '--reuid', owner().name, '--regid', str(owner().gid),
                   '--clear-groups'] + command
    result = stop.stop_database(at(primary, stale)._replace(db_stop_command=command), 'fast', LIMIT)
    children.reap_orphans()
    assert result.ok and result.how == 'command', result
    assert primary.look().verdict == 'UNREACHABLE'


def test_a_stop_command_that_leaves_the_other_server_running_does_not_count(pair, stale):
    primary, _ = pair
    result = stop.stop_database(at(primary, stale)._replace(db_stop_command=['false']), 'fast', 5.0)
    assert not result.ok and 'status 1' in result.reason, result


def test_a_server_that_is_starting_is_not_stopped(pair, stale):
    _, standby = pair
    assert standby.stop('fast').ok
    standby.configure('hot_standby = off')
    start.start_database(standby.settings, 2.0)
    children.ADOPTED.add(until(standby.postmaster))
    until(lambda: standby.look().verdict == 'STARTING')
    result = stop.stop_database(at(standby, stale), 'immediate', 1.0)
    assert not result.ok and '57P03' in result.reason, result


def test_a_name_that_does_not_resolve_in_time_holds_up_no_stop(pair, monkeypatch):
    primary, _ = pair
    ended = threading.Event()
    monkeypatch.setattr(startup.socket, 'getaddrinfo', lambda *_, **__: ended.wait(LIMIT) and [])
    began_at = time.monotonic()
    try:
        result = primary.stop('immediate', 1.0)
        assert result.ok and result.how == 'immediate', result
        assert time.monotonic() - began_at < LIMIT / 2, 'nobody waits for a resolver'
    finally:
        ended.set()


def test_a_server_of_another_host_does_not_make_a_stopped_one_run(pair, monkeypatch):
    """conn_string has the VIP, which the next primary has by now."""
    primary, standby = pair
    settings = primary.settings._replace(conn_string=standby.settings.conn_string)
    assert not stop.stop_database(settings, 'fast', LIMIT).ok, 'of this host: it may be ours'
    monkeypatch.setattr(identity, 'is_of_this_host', lambda address: address != standby.host)
    result = stop.stop_database(settings, 'fast', LIMIT)
    children.reap_orphans()
    assert result.ok and 'another host' in result.reason, result


@AS_ROOT
def test_a_socket_that_is_closed_to_us_says_nothing(pair, stale, tmp_path):
    import socket
    primary, _ = pair
    os.chmod(str(tmp_path), 0o755)
    for parent in tmp_path.parents:
        if parent.owner() == 'root' and str(parent).startswith('/tmp/'):
            os.chmod(str(parent), 0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / '.s.PGSQL.5432'))
        os.chmod(str(tmp_path / '.s.PGSQL.5432'), 0o700)
        settings = at(primary, stale)._replace(conn_string='host=%s port=5432 user=x' % tmp_path)
        with control.acting_as(programs.User('stranger', 54321, 54321, (54321,), '/')):
            seen = identity.look(settings, 5.0)
    assert seen.is_there is None and 'cannot be seen' in seen.text, seen


# Starting

def test_a_start_whose_port_another_server_has_is_no_success(pair, stale):
    primary, _ = pair
    result = start.start_database(at(primary, stale), LIMIT)
    assert not result.ok and stale in result.reason \
        or '%s:%d' % (primary.host, primary.port) in result.reason, result
    assert control.server_processes(stale) == []


def test_a_started_server_beside_the_one_that_answers_is_no_success(pair, stale):
    """It runs, on another port than conn_string says, where another server answers."""
    primary, _ = pair
    with open(os.path.join(stale, 'postgresql.conf'), 'a') as file:
        file.write("port = %d\n" % children.free_port())
    settings = at(primary, stale)._replace(db_config_dir=stale)
    try:
        result = start.start_database(settings, LIMIT)
        children.ADOPTED.add(control.postmaster(stale))
        assert not result.ok and 'another server' in result.reason, result
        assert None not in children.ADOPTED, result.reason
    finally:
        children.ADOPTED.discard(None)
        stop.stop_database(settings._replace(conn_string='host=/nowhere'), 'kill', 5.0)
        children.reap_orphans()


# What cannot be looked at is not gone

@pytest.mark.parametrize('content', [None, '', 'garbage\n'])
def test_a_server_whose_lock_file_says_nothing_is_seen_and_stopped_gently(pair, content):
    primary, _ = pair
    pid = primary.postmaster()
    path = primary.path('postmaster.pid')
    os.unlink(path)
    if content is not None:
        with open(path, 'w') as file:
            file.write(content)
    assert primary.postmaster() == pid
    result = primary.stop('fast')
    assert result.ok and result.how == 'fast', result


@AS_ROOT
def test_an_old_pid_that_is_anothers_process_now_does_not_blind_the_owner(pair):
    primary, _ = pair
    assert primary.stop('kill').ok
    with open(primary.path('postmaster.pid'), 'w') as file:
        file.write('1\n')
    with control.acting_as(owner()):
        assert control.why_blind(primary.settings.db_data_dir) == ''
        assert control.server_processes(primary.settings.db_data_dir) == []


@AS_ROOT
def test_who_is_not_shown_others_processes_knows_nothing_of_the_server(pair, monkeypatch):
    """/proc mounted with hidepid=2, and a data directory that a group may read."""
    primary, _ = pair
    data_dir, pid = primary.settings.db_data_dir, primary.postmaster()
    os.chmod(data_dir, 0o755)
    os.chmod(primary.path('postmaster.pid'), 0o644)
    real = os.readlink

    def hidden(path, *words):
        if os.geteuid() and path.startswith('/proc/%d/' % pid):
            raise FileNotFoundError(2, 'No such file or directory', path)
        return real(path, *words)
    monkeypatch.setattr(control.os, 'readlink', hidden)
    settings = primary.settings
    try:
        with control.acting_as(programs.User('stranger', 54321, 54321, (54321,), '/')):
            for done in (stop.stop_database(settings, 'kill', 5.0),
                         start.start_database(settings, 5.0)):
                assert not done.ok and 'cannot look at' in done.reason, done
            with pytest.raises(control.Blind):
                follow.follow_primary(settings, '127.0.0.1', 1, 5.0)
            refused = attach.attach_standby(settings, '127.0.0.1', 1, 5.0)
            assert not refused.ok and 'cannot look at' in refused.reason, refused
    finally:
        os.chmod(data_dir, 0o700)


def test_a_process_that_cannot_be_looked_at_is_not_dead(pair, monkeypatch):
    import builtins
    primary, _ = pair
    process = control.server_processes(primary.settings.db_data_dir)[0]

    def exhausted(*_, **__):
        raise OSError(24, 'Too many open files')
    monkeypatch.setattr(builtins, 'open', exhausted)
    with pytest.raises(OSError):
        control.is_alive(process)


# What a session inherits

INHERITED = [
    ('default_transaction_isolation', 'serializable', 10),
    ('default_transaction_read_only', 'on', 10), ('default_transaction_deferrable', 'on', 10),
    ('statement_timeout', '1', 10), ('lock_timeout', '1', 10), ('transaction_timeout', '100', 17),
    ('idle_in_transaction_session_timeout', '1', 10), ('search_path', 'public, pg_catalog', 10),
    ('datestyle', 'German', 10), ('timezone', "'Asia/Seoul'", 10),
    ('client_encoding', 'EUC_KR', 10), ('bytea_output', 'escape', 10),
    ('standard_conforming_strings', 'off', 10), ('synchronous_commit', 'remote_apply', 10),
    ('row_security', 'off', 10), ('extra_float_digits', '-15', 10)]


def healthy(server, settings, is_standby):
    """Whether a check by these settings finds the healthy server that is there."""
    found = probe.check_local(settings, LIMIT)
    return found.answered and found.in_recovery is is_standby and found.lsn > 0 \
        and found.timeline == 1 and found.mismatch == '' \
        and (found.streaming is True or not is_standby)


def fakes(primary):
    """Functions and a view of the names that checks use, in the schema public."""
    for sql in ("CREATE FUNCTION public.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS "
                "'SELECT NOT pg_catalog.pg_is_in_recovery()'",
                "CREATE FUNCTION public.pg_current_wal_lsn() RETURNS pg_lsn LANGUAGE sql AS "
                "$$SELECT '0/0'::pg_lsn$$",
                "CREATE VIEW public.pg_stat_wal_receiver AS SELECT 'stopped'::text AS status, "
                "9 AS received_tli, ''::text AS conninfo"):
        run_sql(primary, sql)


def test_whatever_the_role_sets_a_healthy_server_is_healthy(pair):
    """default_transaction_isolation = serializable made each standby FAILED, and no failover."""
    primary, standby = pair
    run_sql(primary, 'CREATE ROLE ahm SUPERUSER LOGIN')
    fakes(primary)
    wrong = []
    for name, value, since in INHERITED:
        if version_of(primary) < since:
            continue
        run_sql(primary, 'ALTER ROLE ahm SET %s = %s' % (name, value))
        caught_up(pair)
        for server in pair:
            if not healthy(server, as_role(server, 'ahm'), server is standby):
                wrong.append((name, server.settings.node_name))
        done = checkpoint.checkpoint(as_role(primary, 'ahm'), LIMIT)
        if not done.ok:
            wrong.append((name, done.reason))
        run_sql(primary, 'ALTER ROLE ahm RESET ALL')
    assert wrong == []


def caught_up(pair):
    """Wait until the standby has replayed what the primary has now."""
    primary, standby = pair
    end = primary.look().lsn
    until(lambda: (standby.look().replayed_lsn or 0) >= end)


def test_whatever_the_servers_set_a_healthy_standby_is_healthy(pair):
    primary, standby = pair
    fakes(primary)
    caught_up(pair)
    for server in pair:
        server.configure('\n'.join(
            '%s = %s' % (name, "'%s'" % value.strip("'")) for name, value, since in INHERITED
            if version_of(primary) >= since and name != 'client_encoding'))
        server.signal(signal.SIGHUP)
        until(lambda: setting(server, 'extra_float_digits') == '-15')
        assert healthy(server, server.settings, server is standby)
        assert history.position(server.settings, server.look(), LIMIT)[0] == 1


def setting(server, name):
    """What a new session of somebody else has for a parameter."""
    import psycopg2
    one = psycopg2.connect(server.settings.conn_string)
    try:
        one.set_session(isolation_level='READ COMMITTED', autocommit=True)
        with one.cursor() as cursor:
            cursor.execute('SHOW ' + name)
            return cursor.fetchone()[0]
    finally:
        one.close()


def test_what_the_environment_sets_makes_no_standby_look_dead(pair, monkeypatch):
    primary, standby = pair
    monkeypatch.setenv('PGOPTIONS', '-c default_transaction_isolation=serializable '
                       '-c statement_timeout=1')
    monkeypatch.setenv('PGTARGETSESSIONATTRS', 'read-write')
    monkeypatch.setenv('PGCLIENTENCODING', 'EUC_KR')
    for server in pair:
        assert healthy(server, server.settings, server is standby)


def test_a_role_that_becomes_another_at_its_login_has_its_own_rights(pair):
    primary, standby = pair
    run_sql(primary, 'CREATE ROLE weak')
    run_sql(primary, 'CREATE ROLE ahm SUPERUSER LOGIN')
    run_sql(primary, 'ALTER ROLE ahm SET role = weak')
    caught_up(pair)
    found = probe.check_local(as_role(standby, 'ahm'), LIMIT)
    assert found.streaming is True, found
    assert checkpoint.checkpoint(as_role(primary, 'ahm'), LIMIT).ok


def test_two_roles_with_two_time_zones_know_one_server(pair):
    primary, _ = pair
    run_sql(primary, 'CREATE ROLE ahm SUPERUSER LOGIN')
    run_sql(primary, "ALTER ROLE ahm SET timezone = 'Asia/Seoul'")
    told = set()
    for role in ('agens', 'ahm'):
        with Connection(as_role(primary, role).conn_string, LIMIT) as one:
            told.add(one.value(attach.STARTED_AT))
    assert len(told) == 1, told


def test_bytes_that_are_no_utf8_in_a_setting_do_not_end_the_check(pair):
    """A password in primary_conninfo, written by an editor that speaks Latin 1."""
    primary, standby = pair
    if version_of(standby) < 12:
        pytest.skip('NOT TESTED: recovery.conf is not shown by SQL before PostgreSQL 12')
    with open(standby.path('postgresql.auto.conf'), 'ab') as file:
        file.write(b"primary_conninfo = 'host=%s port=%d user=agens password=\xfcber "
                   b"application_name=old'\n" % (primary.host.encode(), primary.port))
    assert standby.stop('fast').ok
    standby.start()
    found = until(lambda: (lambda f: f.answered and f)(standby.look()))
    assert found.in_recovery is True and found.lsn > 0
    assert found.upstream.host == primary.host, 'read from the file instead'


def test_nothing_stays_behind_in_the_session(pair):
    """A pooler gives it to the application next."""
    primary, _ = pair
    with Connection(primary.settings.conn_string, LIMIT) as one:
        one.query('SELECT 1')
        for name, expected in (('search_path', '"$user", public'), ('statement_timeout', '0'),
                               ('synchronous_commit', 'on')):
            assert one._execute('SHOW ' + name, None) == [(expected,)] or (
                name == 'statement_timeout' and version_of(primary) < 11)


def test_a_statement_that_nobody_waits_for_any_more_is_ended_later(pair):
    primary, _ = pair
    with Connection(primary.settings.conn_string, 2.0) as one:
        shown = one.value("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")
    assert shown == 1000 * (2 + connection.ABANDONED_SECONDS)


def test_no_timeout_of_others_is_in_force_in_a_query(pair):
    primary, _ = pair
    names = ['lock_timeout'] + ['idle_session_timeout'] * (version_of(primary) >= 14) \
        + ['transaction_timeout'] * (version_of(primary) >= 17)
    run_sql(primary, 'CREATE ROLE ahm LOGIN')
    for name in names:
        run_sql(primary, 'ALTER ROLE ahm SET %s = 60000' % name)
    with Connection(as_role(primary, 'ahm').conn_string, LIMIT) as one:
        assert {name: one.value('SHOW ' + name) for name in names} == dict.fromkeys(names, '0')


def test_a_server_that_lacks_a_parameter_is_asked_without_it(pair, monkeypatch):
    monkeypatch.setattr(connection, 'SINCE', ((0, 'SET LOCAL no_such_timeout = 0; '),))
    for server in pair:
        assert healthy(server, server.settings, server is pair[1])


def test_a_session_may_be_idle_for_longer_than_others(pair):
    primary, _ = pair
    if version_of(primary) < 14:
        pytest.skip('NOT TESTED: idle_session_timeout came with PostgreSQL 14')
    run_sql(primary, 'CREATE ROLE ahm LOGIN')
    run_sql(primary, 'ALTER ROLE ahm SET idle_session_timeout = 300')
    other = Connection(as_role(primary, 'ahm').conn_string, LIMIT)
    with Connection(as_role(primary, 'ahm').conn_string, LIMIT) as one:
        first = one.value('SELECT pg_backend_pid()')
        with other:                     # it asks nothing, so the server ends it
            until(lambda: not is_there(primary, other.backend_pid))
        assert one.value('SELECT pg_backend_pid()') == first


def is_there(server, pid):
    """Whether the server has a session of this PID."""
    with Connection(server.settings.conn_string, LIMIT) as one:
        return one.value('SELECT count(*) FROM pg_stat_activity WHERE pid = %s', (pid,)) > 0


# Who refuses us is not dead

def refusals(primary):
    """{what refuses: (SQL, lines of pg_hba.conf, words of conn_string, SQLSTATE)}."""
    trust, login = 'host all all all trust\n', 'CREATE ROLE r LOGIN'
    password = "CREATE ROLE r LOGIN PASSWORD 'right'"
    guarded = 'host all r all md5\n' + trust
    found = {
        'the role is missing': ('SELECT 1', trust, {}, '28000'),
        'the role may not log in': ('CREATE ROLE r', trust, {}, '28000'),
        'the database is missing': (login, trust, {'dbname': 'none'}, '3D000'),
        'its connection limit': (login + ' CONNECTION LIMIT 0', trust, {}, '53300'),
        'it may not connect': (login + '; REVOKE CONNECT ON DATABASE postgres FROM public',
                               trust, {}, '42501'),
        'the limit of the database': (login + '; ALTER DATABASE postgres CONNECTION LIMIT 0',
                                      trust, {}, '53300'),
        'pg_hba.conf rejects it': (login, 'host all r all reject\n' + trust, {}, '28000'),
        'pg_hba.conf does not know it': (login, 'host all agens all trust\n'
                                         'host replication all all trust\n', {}, '28000'),
        'only over SSL': (login, 'hostnossl all r all reject\n' + trust, {}, '28000'),
        'SSL that it has not': (login, trust, {'sslmode': 'require'}, None),
        'a wrong password': (password, guarded, {'password': 'wrong'}, None),
        'no password': (password, guarded, {}, None),
        'an expired password': (password + " VALID UNTIL '2001-01-01'", guarded,
                                {'password': 'right'}, None),
        'places kept for superusers': (login, trust, {}, '53300')}
    if version_of(primary) >= 17:
        found['a login trigger fails'] = (
            login + "; CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN "
            "IF session_user = 'r' THEN RAISE 'not you'; END IF; END$$; "
            'CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse()', trust, {}, 'P0001')
    return found


@pytest.mark.parametrize('socket_type', ['TCP', 'UNIX'])
def test_a_server_that_refuses_us_is_reachable_and_says_why(pair, socket_type):
    """On a primary and on a standby: what replicates hits all standbys at once."""
    primary, standby = pair
    for server in pair:
        server.configure("unix_socket_directories = '%s'" % server.settings.db_data_dir)
        assert server.stop('fast').ok
        server.start()
    wrong = []
    for name, (sql, hba, words, sqlstate) in refusals(primary).items():
        run_sql(primary, 'DROP ROLE IF EXISTS r')
        for one in sql.split('; ') if 'TRIGGER' not in sql else sql.split('; ', 1)[:1]:
            run_sql(primary, one)
        if 'TRIGGER' in sql:
            body = sql.split('; ', 1)[1]
            function, _, trigger = body.partition('$$; ')
            run_sql(primary, function + '$$')
            run_sql(primary, trigger)
        caught_up(pair)
        for server in pair:
            with open(server.path('pg_hba.conf'), 'w') as file:
                file.write('local all agens trust\nhost all agens all trust\n'
                           'host replication all all trust\n'
                           + (hba.replace('host ', 'local ').replace('hostnossl', 'local')
                              .replace(' all trust', ' trust').replace(' all md5', ' md5')
                              .replace(' all reject', ' reject')
                              if socket_type == 'UNIX' else hba))
            server.signal(signal.SIGHUP)
        for server in pair:
            if socket_type == 'UNIX' and 'SSL' in name:
                continue
            host = server.host if socket_type == 'TCP' else server.settings.db_data_dir
            settings = server.settings._replace(conn_string=' '.join(
                '%s=%s' % item for item in dict(dict(
                    host=host, port=server.port, user='r', dbname='postgres'), **words).items()))
            found = refused(server, settings, 'superusers' in name)
            if found.verdict != 'REACHABLE' or found.sqlstate != sqlstate \
                    or not found.reason or 'wrong' in found.reason.split():
                wrong.append((name, server.settings.node_name, found.verdict,
                              found.answered, found.sqlstate, found.reason))
        run_sql(primary, 'GRANT CONNECT ON DATABASE postgres TO public')
        run_sql(primary, 'ALTER DATABASE postgres CONNECTION LIMIT -1')
    assert wrong == []


def refused(server, settings, is_full):
    """The first check that is refused; with all places but those of superusers taken."""
    import psycopg2
    held = []
    try:
        while is_full and len(held) < 30:
            try:
                held.append(psycopg2.connect(settings.conn_string))
            except psycopg2.OperationalError:
                break
        return until(lambda: (lambda f: not f.answered and f)(
            probe.check_local(settings, LIMIT)))
    finally:
        for each in held:
            each.close()


def test_a_hot_standby_that_is_switched_off_says_so(pair):
    _, standby = pair
    assert standby.stop('fast').ok
    standby.configure('hot_standby = off')
    start.start_database(standby.settings, 2.0)
    children.ADOPTED.add(until(standby.postmaster))
    found = until(lambda: (lambda f: f.verdict == 'STARTING' and f)(standby.look()))
    assert found.sqlstate == '57P03' and not found.answered
    if version_of(standby) >= 14:
        assert 'Hot standby mode is disabled' in found.reason, found


def test_a_connection_that_is_lost_while_it_is_compared_is_no_mismatch(pair, stale):
    """A server that is restarted between its answer and the look at its files."""
    primary, _ = pair
    with Connection(primary.settings.conn_string, LIMIT) as one:
        assert one.value('SELECT 1') == 1
        assert primary.stop('immediate').ok
        with pytest.raises(ConnectionFailed):
            identity.mismatch(at(primary, stale), one)
