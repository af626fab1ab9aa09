"""Which timeline a position is on, as the WAL files of a data directory tell."""

import os

import pytest

from ahmlib.database import wal

SIZE = 16 * 1024 * 1024
FORK = 3 * SIZE + 5000          # where timeline 2 left timeline 1


@pytest.fixture
def data_dir(tmp_path):
    """A data directory with WAL of timeline 1, and of timeline 2 from where it began."""
    (tmp_path / 'pg_wal').mkdir()
    for timeline, numbers in ((1, (1, 2, 3, 4)), (2, (3, 4))):
        for number in numbers:
            path = tmp_path / 'pg_wal' / wal.segment_name(timeline, number * SIZE, SIZE)
            with open(str(path), 'wb') as file:
                file.truncate(SIZE)
    (tmp_path / 'pg_wal' / '00000002.history').write_text(
        '1\t%X/%08X\tno recovery target specified\n' % (FORK >> 32, FORK & 0xffffffff))
    return str(tmp_path)


@pytest.mark.parametrize('lsn, timeline', [
    (0, 0), (None, 0), (SIZE, 0), (SIZE + 1, 1), (3 * SIZE, 1), (3 * SIZE + 1, 1), (FORK, 1),
    (FORK + 1, 2), (4 * SIZE, 2), (5 * SIZE, 2), (5 * SIZE + 1, 0)])
def test_a_position_is_on_the_timeline_that_wrote_what_is_before_it(data_dir, lsn, timeline):
    assert wal.timeline_at(data_dir, lsn) == timeline


def test_a_timeline_whose_beginning_is_not_known_tells_nothing(data_dir):
    os.unlink(os.path.join(data_dir, 'pg_wal', '00000002.history'))
    assert wal.timeline_at(data_dir, 4 * SIZE) == 1


def test_without_files_nothing_is_known(tmp_path):
    assert wal.timeline_at(str(tmp_path), 4 * SIZE) == 0
