"""What is made of the facts of a standby's replay, and of a control file's settings."""

import os
import struct

import pytest

from ahmlib.database import control_file, replay
from ahmlib.database.settings import DatabaseSettings

OWN = {'max_connections': '20', 'max_worker_processes': '8', 'max_wal_senders': '10',
       'max_prepared_transactions': '0', 'max_locks_per_transaction': '64'}


def control(version, checkpoint_size, values):
    """The bytes of a control file as this version lays it out."""
    head = struct.pack('=QIIi4xqQ', 1, version, 1, 5, 0, 100)
    head += bytes(8) if version < 1100 else b''
    data = head + bytes(checkpoint_size + 52) + struct.pack('=%di' % len(values), *values)
    data += bytes(len(head) + checkpoint_size + 80 - len(data))
    return data + struct.pack('=d', 1234567.0)


@pytest.fixture
def place(tmp_path):
    """(DatabaseSettings, a function that writes its control file)."""
    (tmp_path / 'global').mkdir()

    def write(data):
        (tmp_path / 'global' / 'pg_control').write_bytes(data)
    write(control(1300, 88, (20, 8, 10, 0, 64)))
    return DatabaseSettings(db_data_dir=str(tmp_path)), write


@pytest.mark.parametrize('version, checkpoint_size, values', [
    (1002, 80, (60, 8, 7, 64)), (1100, 80, (60, 8, 7, 64)), (1201, 88, (60, 8, 9, 7, 64)),
    (1300, 88, (60, 8, 9, 7, 64)), (1700, 88, (60, 8, 9, 7, 64)), (1800, 88, (60, 8, 9, 7, 64))])
def test_settings_of_the_primary_are_read_from_a_control_file(place, version, checkpoint_size,
                                                              values):
    settings, write = place
    write(control(version, checkpoint_size, values))
    found = control_file.settings(settings.db_data_dir)
    assert found['max_connections'] == 60 and found['max_prepared_transactions'] == 7
    assert found.get('max_wal_senders') == (9 if version >= 1201 else None)


@pytest.mark.parametrize('data', [b'', bytes(100), bytes(512), control(1300, 80, (1, 2, 3, 4, 5))])
def test_what_is_laid_out_otherwise_is_no_control_file(place, data):
    settings, write = place
    write(data)
    with pytest.raises(ValueError):
        control_file.settings(settings.db_data_dir)
    paused = replay.judge(settings, replay.Facts(True, OWN), True)
    assert paused.standstill and not paused.forbids, 'it stands still all the same'


def judged(place, is_paused=False, is_behind=False, **values):
    return replay.judge(place[0], replay.Facts(is_paused, dict(OWN, **values)), is_behind)


@pytest.mark.parametrize('name', replay.TARGETS)
def test_any_recovery_target_forbids_a_promotion(place, name):
    for is_paused in (False, True):
        found = judged(place, is_paused, **{name: 'some\nwhere'})
        assert found.forbids and '%s = some where' % name in found.standstill, found
        assert ('paused' in found.standstill) == is_paused


def test_a_target_that_is_empty_is_none(place):
    assert judged(place, recovery_target_time='', recovery_target_action='pause') == ('', False,
                                                                                       False)


@pytest.mark.parametrize('place_in_file, name', list(enumerate(
    ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions',
     'max_locks_per_transaction'))))
def test_a_pause_for_a_lower_setting_forbids_a_promotion(place, place_in_file, name):
    values = [20, 8, 10, 0, 64]
    values[place_in_file] += 1
    place[1](control(1300, 88, values))
    found = judged(place, True)
    assert found.forbids and name in found.standstill and 'max_' in found.standstill
    assert judged(place, False) == ('', False, False), 'it was not met yet'


def test_a_pause_by_hand_forbids_no_promotion(place):
    found = judged(place, True)
    assert 'pg_wal_replay_resume' in found.standstill and not found.forbids and not found.held


@pytest.mark.parametrize('delay, is_behind, held', [
    ('0', True, False), ('', True, False), ('0ms', True, False), ('1h', True, True),
    ('5000', True, True), ('1h', False, False)])
def test_a_delay_holds_what_is_behind(place, delay, is_behind, held):
    assert judged(place, False, is_behind, recovery_min_apply_delay=delay).held is held


@pytest.mark.parametrize('kind, event, held', [
    ('IPC', 'RecoveryConflictSnapshot', True), ('Timeout', 'RecoveryApplyDelay', True),
    ('Lock', 'relation', True), ('BufferPin', 'BufferPin', True), (None, None, False),
    ('Activity', 'RecoveryWalStream', False), ('IO', 'WALRead', False)])
def test_wait_events_that_hold(place, kind, event, held):
    facts = replay.Facts(False, OWN, os.getpid(), kind, event)
    assert replay.judge(place[0], facts, True).held is held
    assert replay.judge(place[0], facts, False).held is False


def test_nothing_is_known_where_nothing_was_said(place):
    assert replay.judge(place[0], replay.Facts(), True) == ('', False, False)
