"""The recovery settings, on data directories that are only files."""
import os

import pytest

from ahmlib.database import conffile, conninfo, control, follow, recovery
from ahmlib.database.settings import DatabaseSettings

SETTINGS = DatabaseSettings(node_name='n2', db_user='agens', db_port=5432)


@pytest.fixture(params=['15', '11'])
def server(request, tmp_path):
    """A stopped server of a version that has standby.signal, and of one that has not."""
    (tmp_path / 'PG_VERSION').write_text(request.param + '\n')
    (tmp_path / 'postgresql.conf').write_text("port = 5432\n")
    return SETTINGS._replace(db_data_dir=str(tmp_path)), tmp_path, int(request.param)


def written(directory, version):
    name = 'postgresql.auto.conf' if version >= 12 else 'recovery.conf'
    return (directory / name).read_text()


def test_standby_signal(server):
    settings, directory, version = server
    assert recovery.is_standby_on_file(settings) is False
    assert recovery.leave_standby_signal(settings) == recovery.Written(True, changed=True)
    assert recovery.is_standby_on_file(settings) is True
    assert recovery.leave_standby_signal(settings).changed is False
    assert (directory / 'standby.signal').exists() == (version >= 12)
    if version < 12:
        text = written(directory, version)
        assert conffile.value_of(text, 'standby_mode') == 'on'
        assert conffile.value_of(text, 'recovery_target_timeline') == 'latest'
        assert conffile.value_of(text, 'primary_conninfo') is None


def test_writing_the_primary(server):
    settings, directory, version = server
    result = recovery.write_primary(settings, '10.0.0.1', 5444)
    assert result == recovery.Written(True, changed=True)
    text = written(directory, version)
    assert dict(conninfo.parse(conffile.value_of(text, 'primary_conninfo'))) == {
        'user': 'agens', 'host': '10.0.0.1', 'port': '5444', 'application_name': 'n2'}
    assert conffile.value_of(text, 'recovery_target_timeline') == 'latest'
    assert conffile.value_of(text, 'restore_command') is None
    assert recovery.write_primary(settings, '10.0.0.1', 5444).changed is False
    assert recovery.conninfo_on_file(settings) == conffile.value_of(text, 'primary_conninfo')


def test_what_was_set_is_kept_and_what_is_ours_is_replaced(server):
    settings, directory, version = server
    name = 'postgresql.auto.conf' if version >= 12 else 'recovery.conf'
    (directory / name).write_text(
        "primary_slot_name = 'slot'\nwork_mem = '1MB'\nprimary_conninfo = 'user=rep "
        "password=''p w'' hostaddr=1.2.3.4 host=old port=1 sslmode=verify-full "
        "application_name=walreceiver'\n")
    settings = settings._replace(
        restore_command="cp /a/%f '%p'", archive_cleanup_command='clean %r',
        use_recovery_min_apply_delay=True, recovery_min_apply_delay=5000,
        primary_conninfo_options='keepalives_idle=5 sslmode=require')
    assert recovery.write_primary(settings, 'fe80::1', 5432).ok
    text = written(directory, version)
    words = conninfo.parse(conffile.value_of(text, 'primary_conninfo'))
    assert dict(words) == {'user': 'rep', 'password': 'p w', 'host': 'fe80::1', 'port': '5432',
                           'application_name': 'n2', 'keepalives_idle': '5',
                           'sslmode': 'require'}
    assert conffile.value_of(text, 'primary_slot_name') == 'slot'
    assert conffile.value_of(text, 'work_mem') == '1MB'
    assert conffile.value_of(text, 'restore_command') == "cp /a/%f '%p'"
    assert conffile.value_of(text, 'archive_cleanup_command') == 'clean %r'
    assert conffile.value_of(text, 'recovery_min_apply_delay') == '5000'
    assert text.lower().count('primary_conninfo') == 1


def test_the_replication_user_overrides():
    settings = SETTINGS._replace(replication_user='rep')
    words = conninfo.parse(recovery.new_conninfo('user=old', settings, 'h', None))
    assert words['user'] == 'rep' and words['port'] == '5432'


def test_a_promoted_server_of_old_keeps_the_connection_of_recovery_done(tmp_path):
    (tmp_path / 'PG_VERSION').write_text('10\n')
    (tmp_path / 'recovery.done').write_text("primary_conninfo = 'user=rep password=x'\n")
    settings = SETTINGS._replace(db_data_dir=str(tmp_path))
    assert recovery.write_primary(settings, 'h', 1).ok
    words = conninfo.parse(conffile.value_of((tmp_path / 'recovery.conf').read_text(),
                                             'primary_conninfo'))
    assert words['password'] == 'x' and words['host'] == 'h'


def test_errors_are_one_line_and_tell_no_secret(tmp_path):
    settings = SETTINGS._replace(db_data_dir=str(tmp_path))
    missing = recovery.leave_standby_signal(settings)
    assert not missing.ok and 'PG_VERSION' in missing.reason
    (tmp_path / 'PG_VERSION').write_text('15\n')
    malformed = recovery.write_primary(
        settings._replace(primary_conninfo_options="password='s3cret"), 'h', 1)
    assert not malformed.ok and 's3cret' not in malformed.reason
    assert 'primary_conninfo_options' in malformed.reason
    broken = recovery.write_primary(settings._replace(restore_command='a\nb'), 'h', 1)
    assert not broken.ok and 'line break' in broken.reason
    assert not os.path.exists(str(tmp_path / 'postgresql.auto.conf'))


def test_following_with_a_stopped_server_writes_only(server):
    settings, directory, version = server
    result = follow.follow_primary(settings, '10.0.0.1', 5432, 5)
    assert result.ok and result.how == 'written', result
    assert recovery.is_standby_on_file(settings)
    assert 'host=10.0.0.1' in written(directory, version)


def test_the_follow_command_does_it_all(server):
    settings, directory, _ = server
    settings = settings._replace(follow_command=['sh', '-c', 'exit "$CODE"'])
    assert follow.follow_primary(settings, 'h', 1, 5, {'CODE': '0'}) == follow.Followed(
        True, '', 'command')
    failed = follow.follow_primary(settings, 'h', 1, 5, {'CODE': '7'})
    assert not failed.ok and 'status 7' in failed.reason
    assert not (directory / 'standby.signal').exists()


@pytest.mark.skipif(os.geteuid() != 0, reason='NOT TESTED: needs root')
def test_what_root_writes_belongs_to_the_owner_and_follows_no_link(server):
    settings, directory, version = server
    victim = directory.parent / 'victim'
    victim.write_text('untouched')
    victim.chmod(0o600)
    for parent in (directory,) + tuple(directory.parents)[:3]:
        parent.chmod(0o755)
    os.chown(str(directory), 65534, 65534)
    assert recovery.leave_standby_signal(settings).ok
    assert recovery.write_primary(settings, 'h', 1).ok
    for name in ('standby.signal', 'postgresql.auto.conf') if version >= 12 else (
            'recovery.conf',):
        assert (directory / name).stat().st_uid == 65534
    assert os.geteuid() == 0
    name = 'postgresql.auto.conf' if version >= 12 else 'recovery.conf'
    (directory / name).unlink()
    (directory / name).symlink_to(victim)
    assert recovery.write_primary(settings, 'h', 2).ok is False, 'not readable by the owner'
    assert victim.read_text() == 'untouched'
    assert control.as_owner(str(directory)).uid == 65534
