"""What monitors are told of a WAL directory: room, and where timelines ended."""

import os

import pytest

from ahmlib.database import monitored
from ahmlib.database.monitored import Ended

HISTORY = (b'1\t0/3000060\tno recovery target specified\n'
           b'# a comment\n\n'
           b'2\t1/A0\tbefore 2026-01-02 03:04:05+00\n')


@pytest.fixture
def data_dir(tmp_path):
    """A data directory on timeline 4, which began once timeline 2 had been left."""
    (tmp_path / 'pg_wal').mkdir()
    for timeline, began_at in ((2, 1000.0), (4, 2000.0)):
        path = tmp_path / 'pg_wal' / ('%08X.history' % timeline)
        path.write_bytes(HISTORY)
        os.utime(str(path), (began_at, began_at))
    return str(tmp_path)


def test_where_each_timeline_ended_why_and_when_the_next_one_began(data_dir):
    found = monitored.look(data_dir, 4)
    assert found.ok and found.timeline == 4
    assert found.ended == (
        Ended(1, 0x3000060, 'no recovery target specified', 2, 1000.0),
        Ended(2, 0x1000000A0, 'before 2026-01-02 03:04:05+00', 4, 2000.0))
    room = os.statvfs(data_dir)
    assert abs(found.free_bytes - room.f_bavail * room.f_frsize) < 2 ** 30


@pytest.mark.parametrize('timeline', [0, 1, 3])
def test_without_a_history_file_none_is_told(data_dir, timeline):
    assert monitored.look(data_dir, timeline).ended == ()


def test_a_time_that_is_not_on_file_is_not_told(data_dir):
    os.unlink(os.path.join(data_dir, 'pg_wal', '00000002.history'))
    assert [each.began_at for each in monitored.look(data_dir, 4).ended] == [None, 2000.0]


def test_a_directory_that_is_not_there_is_named(tmp_path):
    found = monitored.look(str(tmp_path), 1)
    assert not found.ok and 'pg_wal: No such file' in found.reason
