"""What a handover will need of the servers, asked while all is well, on a real PostgreSQL.

LAB_POSTGRES runs it on another version.
"""

import os
import re
import signal

import pytest

from ahmlib.database import rehearsal
from tests.integration.test_attach import reap, servers, templates
from tests.integration.test_database_children import (
    HAS_SERVER,
    LIMIT,
    adopt_orphans,
    run_sql,
    until,
    version_of,
)
from tests.integration.test_recovery_settings import needs_signal, only_by_password, restart

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')

assert adopt_orphans and servers and templates                          # fixtures

FIRST_VERSION_WITH_CHECKPOINTS = 15


@pytest.fixture
def three_run(servers):
    """The three servers, the third of which runs and follows nobody."""
    servers[2].start()
    return servers


def rehearsed(member, *others, **changes):
    """What a rehearsal beside this server finds, of others numbered from 1 on."""
    reap()
    settings = member.settings._replace(**changes)
    found = rehearsal.rehearse_handover(settings, [
        (number, other.host, other.port) for number, other in enumerate(others, 1)], LIMIT)
    reap()
    return found


def as_role(member, role):
    """A conn_string of another user."""
    return member.settings.conn_string + ' user=' + role


def archives_by(member, command):
    """Its archive_command from now on; there is something to archive."""
    run_sql(member, "ALTER SYSTEM SET archive_command = '%s'" % command)
    member.signal(signal.SIGHUP)
    run_sql(member, 'CREATE TABLE IF NOT EXISTS archived (); DROP TABLE archived')
    run_sql(member, 'SELECT pg_switch_wal()')


def refused(member, *others, **changes):
    """[(number, why)] of the others that would not let this server in."""
    return [said for said in rehearsed(member, *others, **changes).asked if said[1]]


def test_where_all_is_well_nothing_is_found(three_run):
    one, two, three = three_run
    for member, others in ((one, (two, three)), (two, (one, three))):
        assert rehearsed(member, *others) == rehearsal.Rehearsed(True, asked=((1, ''), (2, '')))


def test_a_server_that_would_not_let_in_is_told_with_what_it_said(three_run):
    one, two, three = three_run
    with open(three.path('pg_hba.conf'), 'w') as file:
        file.write('host all agens 127.0.0.0/8 trust\n')
    three.signal(signal.SIGHUP)
    for member, other in ((one, two), (two, one)):
        until(lambda: refused(member, other, three))
        (place, why), = refused(member, other, three)
        assert place == 2 and 'no pg_hba.conf entry for replication connection' in why, why


def test_a_replication_user_without_its_password_is_told(three_run):
    one, two, three = three_run
    only_by_password(one, two, three)
    until(lambda: refused(one, two, three, replication_user='rep'))
    found = refused(one, two, three, replication_user='rep')
    assert [place for place, _ in found] == [1, 2] and 'no password supplied' in found[0][1]
    nobody = refused(one, two, replication_user='nobody_there')
    assert 'nobody_there' in nobody[0][1]


def test_a_server_that_is_down_or_silent_is_another_trouble(three_run):
    one, two, three = three_run
    three.signal(signal.SIGSTOP)
    try:
        assert rehearsed(one, two, three).asked == ((1, ''),)
    finally:
        three.signal(signal.SIGCONT)
    three.stop()
    assert rehearsed(one, two, three).asked == ((1, ''),)
    one.stop()
    assert not rehearsed(one, two).ok


@pytest.mark.parametrize('options', [
    'sslmode=verify-full sslrootcert=/nowhere/root.crt', 'sslmode=require', 'no_such_word=1'])
def test_what_only_this_client_lacks_says_nothing_of_the_walreceiver(servers, options):
    """The files of TLS are in the home of the owner of the database; its libpq may be newer."""
    one, two = servers[:2]
    assert rehearsed(one, two, primary_conninfo_options=options).asked == ()


def test_a_service_file_names_the_user(servers, tmp_path, monkeypatch):
    one, two = servers[:2]
    needs_signal(one)
    run_sql(one, "ALTER SYSTEM SET primary_conninfo = 'service=rep'")
    one.signal(signal.SIGHUP)
    service = tmp_path / 'services'
    service.write_text('[rep]\nuser=nobody_there\n')
    monkeypatch.setenv('PGSERVICEFILE', str(service))
    (place, why), = until(lambda: refused(one, two))
    assert place == 1 and 'nobody_there' in why


def test_a_primary_whose_walsenders_are_used_up_takes_nobody_more(servers):
    one, two, three = servers
    run_sql(one, 'ALTER SYSTEM SET max_wal_senders = 1')
    run_sql(one, 'ALTER SYSTEM SET max_replication_slots = 1')
    restart(one)
    until(lambda: two.look().streaming)
    (place, why), = refused(two, one)
    assert place == 1 and 'exceeds' in why and 'max_wal_senders' in why, why


def test_who_may_not_order_a_checkpoint_is_told_how_to_give_that_right(servers):
    one = servers[0]
    run_sql(one, 'CREATE ROLE "of AHM" LOGIN IN ROLE pg_monitor')
    conn_string = as_role(one, "'of AHM'")
    why = rehearsed(one, conn_string=conn_string).no_checkpoint
    if version_of(one) < FIRST_VERSION_WITH_CHECKPOINTS:
        assert why.endswith('before PostgreSQL 15 only a superuser may')
        run_sql(one, 'ALTER ROLE "of AHM" SUPERUSER')
    else:
        assert why.endswith('may not run CHECKPOINT: GRANT pg_checkpoint TO "of AHM"')
        run_sql(one, why.rpartition(': ')[2])
    assert rehearsed(one, conn_string=conn_string).no_checkpoint == ''


def test_a_primary_whose_disk_is_full_is_not_checkpointed(servers, monkeypatch):
    """It panicked, was started again, and panicked."""
    one, two = servers[:2]
    left = os.statvfs(one.settings.db_data_dir)
    monkeypatch.setattr(rehearsal, 'ROOM_BYTES', (left.f_bavail + (1 << 20)) * left.f_frsize)
    told = rehearsed(one).no_checkpoint
    assert re.match(r'the disk of its WAL has \d+ MB left, and a checkpoint may crash it',
                    told), told
    assert rehearsed(two).no_checkpoint == ''


def test_a_postgresql_conf_in_another_directory_is_told_to_who_may_see_it(servers):
    """Debian keeps it in /etc."""
    one = servers[0]
    told = rehearsed(one, db_config_dir='/etc/somewhere').no_start
    assert told == 'AHM would start this database with /etc/somewhere, and it was started with ' \
        '%s: set db_config_dir' % one.settings.db_data_dir
    assert rehearsed(one, db_config_dir=one.settings.db_data_dir + '/').no_start == ''
    assert rehearsed(one, db_config_dir='/etc/somewhere',
                     db_start_command=['/bin/true']).no_start == ''
    run_sql(one, 'CREATE ROLE blind LOGIN')
    assert rehearsed(one, db_config_dir='/etc/somewhere',
                     conn_string=as_role(one, 'blind')).no_start == ''


def test_an_archive_command_that_fails_or_hangs_is_told(servers, monkeypatch):
    one, two = servers[:2]
    run_sql(one, "ALTER SYSTEM SET archive_mode = 'on'")
    run_sql(one, "ALTER SYSTEM SET archive_command = '/bin/true'")
    restart(one)
    assert rehearsed(one).unarchived == ''
    archives_by(one, '/bin/false')
    until(lambda: rehearsed(one).unarchived)
    told = rehearsed(one).unarchived
    assert told.startswith('archive_command fails (') and 'WAL files wait for it' in told
    assert rehearsed(two).unarchived == ''
    archives_by(one, '/bin/true')
    until(lambda: not rehearsed(one).unarchived, LIMIT * 4)
    archives_by(one, 'sleep 600')
    monkeypatch.setattr(rehearsal, 'LATE_SECONDS', 0.0)
    until(lambda: 'archive_command does not keep up' in rehearsed(one).unarchived)
