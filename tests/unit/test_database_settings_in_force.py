"""Which recovery settings are in force, on data directories that are only files."""
import os

import pytest

from ahmlib.database import conffile, conninfo, recovery, settings_in_force
from ahmlib.database.settings import DatabaseSettings

SETTINGS = DatabaseSettings(node_name='n2', db_user='agens', db_port=5432)


@pytest.fixture
def server(tmp_path):
    """(settings, directory) of a stopped server of PostgreSQL 15."""
    (tmp_path / 'PG_VERSION').write_text('15\n')
    (tmp_path / 'postgresql.conf').write_text('port = 5432\n')
    return SETTINGS._replace(db_data_dir=str(tmp_path)), tmp_path


def slot(settings):
    """The primary_slot_name in force: any setting would do to show where it is read from."""
    return settings_in_force.primary_slot_name(settings, 1.0)


def entry(value):
    return "primary_slot_name = '%s'\n" % value


def test_files_are_read_in_the_order_in_which_the_server_reads_them(server):
    settings, directory = server
    conf, auto = directory / 'postgresql.conf', directory / 'postgresql.auto.conf'
    conf.write_text(entry('early') + "include 'more/a.conf'\n")
    (directory / 'more').mkdir()
    (directory / 'more' / 'a.conf').write_text(entry('included') + "Include_If_Exists = 'none'\n"
                                               "include_dir 'd'\n")
    (directory / 'more' / 'd').mkdir()
    assert slot(settings) == 'included'
    for name in ('b.conf', 'B.conf', 'a.conf', 'z.conf.bak', '.z.conf', 'zconf'):
        (directory / 'more' / 'd' / name).write_text(entry(name))
    (directory / 'more' / 'd' / 'z.conf').mkdir()
    assert slot(settings) == 'b.conf', 'by bytes, hidden and other names left out'
    conf.write_text(conf.read_text() + entry('late'))
    assert slot(settings) == 'late'
    auto.write_text(entry('auto') + "include 'more/a.conf'\n")
    assert slot(settings) == 'b.conf', 'postgresql.auto.conf may include as well'
    auto.write_text(entry('auto'))
    assert slot(settings) == 'auto'


def test_an_absolute_and_a_nested_path_are_followed_up_to_the_servers_limit(server):
    settings, directory = server
    for number in range(12):
        (directory / ('%d.conf' % number)).write_text(
            "%sinclude '%d.conf'\n" % (entry('depth_%d' % number), number + 1))
    (directory / 'postgresql.conf').write_text("include '%s'\n" % (directory / '3.conf'))

    assert 'cannot read' in settings_in_force.on_file(settings).problem
    (directory / '12.conf').write_text(entry('last'))
    assert settings_in_force.on_file(settings).problem == '' and slot(settings) == 'last'
    (directory / 'postgresql.conf').write_text("include '2.conf'\n")
    assert 'too deep' in settings_in_force.on_file(settings).problem
    assert slot(settings) == 'depth_11'


def test_what_cannot_be_read_is_not_known(server):
    settings, directory = server
    (directory / 'postgresql.conf').write_text("include 'none.conf'\n")
    with pytest.raises(ValueError) as error:
        settings_in_force.primary_conninfo(settings, 1.0)
    assert 'none.conf' in str(error.value) and 'not known' in str(error.value)
    result = recovery.write_primary(settings, 'h', 1)
    assert not result.ok and 'none.conf' in result.reason
    assert not (directory / 'postgresql.auto.conf').exists()
    assert recovery.leave_standby_signal(settings).ok, 'a start must make a standby all the same'
    (directory / 'postgresql.auto.conf').write_text("primary_conninfo = 'user=rep'\n")
    assert settings_in_force.primary_conninfo(settings, 1.0) == 'user=rep', 'it is read last'


def test_the_configuration_file_of_the_last_start_is_found(server):
    settings, directory = server
    (directory / 'postgresql.conf').unlink()
    (directory / 'etc').mkdir()
    (directory / 'etc' / 'postgresql.conf').write_text(entry('etc'))
    for option in ('"-c" "config_file=%s/postgresql.conf"', '"--config-file=%s/postgresql.conf"',
                   '"-D" "%s"', '"-D%s"'):
        (directory / 'postmaster.opts').write_text(
            '/usr/bin/postgres "-p" "5432" %s\n' % (option % (directory / 'etc')))
        assert slot(settings) == 'etc', option
    (directory / 'postgresql.conf').write_text(entry('own'))
    assert slot(settings) == 'own', 'AHM starts it with this one'
    assert slot(settings._replace(db_start_command=['x'])) == 'etc'


def test_the_command_line_of_a_server_that_is_down_fills_gaps_only(server):
    settings, directory = server
    (directory / 'postmaster.opts').write_text(
        '/x/postgres "-c" "primary_slot_name=line" "--recovery-target=immediate"\n')
    assert slot(settings) == 'line'
    assert settings_in_force.targets_below(settings) == {}, 'the next start has another one'
    (directory / 'postgresql.conf').write_text(entry('conf'))
    assert slot(settings) == 'conf'


# What is written over it

def test_an_included_primary_conninfo_is_not_overlooked(server):
    settings, directory = server
    (directory / 'postgresql.conf').write_text("include 'own.conf'\n")
    (directory / 'own.conf').write_text(
        "primary_conninfo = 'user=rep password=it''s sslmode=require'\n")
    assert recovery.write_primary(settings, '10.0.0.1', 5432).ok
    assert dict(conninfo.parse(recovery.conninfo_written(settings))) == {
        'user': 'rep', 'password': "it's", 'sslmode': 'require', 'host': '10.0.0.1',
        'port': '5432', 'application_name': 'n2'}


def test_targets_are_unset_only_where_they_are_set(server):
    settings, directory = server
    auto = directory / 'postgresql.auto.conf'
    auto.write_text("recovery_target_time = '2001-01-01'\nwork_mem = '1MB'\n"
                    "recovery_target_action = 'pause'\n")
    assert recovery.write_primary(settings, 'h', 1).ok
    text = auto.read_text()
    assert 'recovery_target_time =' not in text and 'work_mem' in text
    (directory / 'postgresql.conf').write_text("recovery_target_name = 'x'\n"
                                               "recovery_target_lsn = ''\n")
    assert recovery.write_primary(settings, 'h', 1).changed
    text = auto.read_text()
    assert conffile.value_of(text, 'recovery_target_name') == ''
    assert 'recovery_target_lsn' not in text and 'recovery_target_xid' not in text
    assert not recovery.write_primary(settings, 'h', 1).changed


def test_a_standby_signal_takes_targets_and_the_other_signal_away(server):
    settings, directory = server
    (directory / 'recovery.signal').write_text('')
    (directory / 'postgresql.conf').write_text("recovery_target = 'immediate'\n")
    assert recovery.leave_standby_signal(settings) == recovery.Written(True, changed=True)
    assert sorted(name for name in os.listdir(str(directory)) if name.endswith('.signal')) == [
        'standby.signal']
    assert (directory / 'postgresql.auto.conf').read_text() == "recovery_target = ''\n"
    assert not recovery.leave_standby_signal(settings).changed


def test_a_recovery_conf_is_rid_of_targets_or_says_who_sets_them(server):
    settings, directory = server
    (directory / 'PG_VERSION').write_text('11\n')
    own = directory / 'recovery.conf'
    own.write_text("standby_mode = on\nrecovery_target_lsn = '0/1'\nprimary_slot_name = 's'\n")
    assert recovery.write_primary(settings, 'h', 1).ok
    assert 'target_lsn' not in own.read_text() and slot(settings) == 's'
    (directory / 'x.conf').write_text("recovery_target_xid = '7'\n")
    own.write_text(own.read_text() + "include 'x.conf'\n")
    refused = recovery.write_primary(settings, 'h', 1)
    assert not refused.ok and 'x.conf' in refused.reason


def test_a_masked_password_is_none_and_a_service_keeps_its_user():
    made = conninfo.parse(recovery.new_conninfo(
        'user=rep password=%s' % conninfo.MASK, SETTINGS, 'h', 1))
    assert 'password' not in made and made['user'] == 'rep'
    made = conninfo.parse(recovery.new_conninfo('service=rep', SETTINGS, '10.0.0.1', 1))
    assert made['service'] == 'rep' and 'user' not in made and made['hostaddr'] == '10.0.0.1'
    assert 'hostaddr' not in conninfo.parse(recovery.new_conninfo('service=rep', SETTINGS, 'h', 1))
