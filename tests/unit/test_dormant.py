"""What a server that does not run would come up as: standby, primary, or nobody knows."""

import pytest

from ahmlib.database import control, dormant
from ahmlib.database.control_file import ControlFile
from ahmlib.database.settings import DatabaseSettings

KNOWN = ControlFile('77', 1300, 'in production', 1000, 900, 3)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """DatabaseSettings of a data directory of PostgreSQL 15 that was a primary."""
    (tmp_path / 'PG_VERSION').write_text('15\n')
    monkeypatch.setattr(dormant.control_file, 'read', lambda data_dir: KNOWN)
    monkeypatch.setattr(dormant.control_file, 'timeline_of_start', lambda data_dir: 4)
    return DatabaseSettings()._replace(db_data_dir=str(tmp_path))


def test_without_a_signal_it_is_a_primary_on_the_timeline_of_its_start(settings):
    assert dormant.inspect(settings) == dormant.Inspected(True, '', False, 4, '77')


def test_with_a_standby_signal_it_is_a_standby_whatever_lies_beside_it(settings, tmp_path):
    (tmp_path / 'standby.signal').write_text('')
    (tmp_path / 'recovery.signal').write_text('')
    assert dormant.inspect(settings) == dormant.Inspected(True, '', True, 4, '77')


def test_what_recovers_to_a_target_first_is_not_started(settings, tmp_path):
    (tmp_path / 'recovery.signal').write_text('')
    found = dormant.inspect(settings)
    assert not found.ok and 'remove %s' % (tmp_path / 'recovery.signal') in found.reason


def test_before_postgresql_12_recovery_conf_makes_the_standby(settings, tmp_path):
    (tmp_path / 'PG_VERSION').write_text('11\n')
    assert not dormant.inspect(settings).standby
    (tmp_path / 'recovery.conf').write_text("standby_mode = 'on'\n")
    assert dormant.inspect(settings).standby


def test_a_directory_that_is_not_there_says_nothing(settings, tmp_path):
    found = dormant.inspect(settings._replace(db_data_dir=str(tmp_path / 'not-mounted')))
    assert not found.ok and 'not-mounted' in found.reason


def test_a_control_file_that_cannot_be_read_says_nothing(settings, monkeypatch):
    def broken(data_dir):
        raise ValueError('%s/global/pg_control has 0 bytes only' % data_dir)
    monkeypatch.setattr(dormant.control_file, 'read', broken)
    found = dormant.inspect(settings)
    assert not found.ok and 'has 0 bytes only; see whether it is mounted' in found.reason


def test_a_server_whose_processes_are_there_is_left_alone(settings, monkeypatch):
    monkeypatch.setattr(control, 'server_processes', lambda data_dir: [
        control.Process(7, '1', 1, 'S')])
    assert dormant.inspect(settings).reason == 'processes of its server are there already'


def test_one_that_cannot_be_seen_is_left_alone(settings, monkeypatch):
    monkeypatch.setattr(control, 'why_blind', lambda data_dir: 'cannot look at it')
    assert dormant.inspect(settings) == dormant.Inspected(False, 'cannot look at it')
