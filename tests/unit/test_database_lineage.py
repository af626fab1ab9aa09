"""Reading the head of a WAL record that a page begins within, and telling checkpoints apart."""

import pytest

from ahmlib.database import control_file, lineage
from ahmlib.database.settings import DatabaseSettings

SIZE = 16 << 20
REDO = 0x1500700


def record(kind=0x10, manager=0, redo=REDO, checksum=7):
    """The bytes of a checkpoint record's head, and of what follows it."""
    return lineage.RECORD.pack(114, 0, 0x15006B8, kind, manager, checksum, redo) + b'\xaa' * 100


def in_wal(at, data):
    """What stands in the WAL from `at` on where this is written there: with page headers."""
    found = b''
    while data:
        room = lineage.PAGE - at % lineage.PAGE
        if room == lineage.PAGE:
            header = b'\xee' * (lineage.PAGE_HEADER if at % SIZE else lineage.SEGMENT_HEADER)
            found, at, room = found + header, at + len(header), room - len(header)
        found, at, data = found + data[:room], at + len(data[:room]), data[room:]
    return found


@pytest.mark.parametrize('at', [
    0x1500700, 5 * lineage.PAGE - 8, 5 * lineage.PAGE - 32, 5 * lineage.PAGE - 40, SIZE - 8,
    SIZE - 24])
def test_a_record_is_read_across_the_header_of_a_page(at):
    read = lineage._record(in_wal(at, record()), at, SIZE)
    assert read == lineage.Record(114, 0, 0x15006B8, 0x10, 0, 7, REDO)
    assert read.is_checkpoint(REDO)


def test_what_is_too_short_is_no_record():
    assert lineage._record(record()[:20], 0x1500700, SIZE) is None
    assert lineage._record(None, 0x1500700, SIZE) is None


@pytest.mark.parametrize('theirs, ours, verdict', [
    (record(), record(), False),
    (record(), None, False),                            # our WAL file is gone
    (None, record(), None),                             # theirs is gone
    (record(kind=0x50), record(), True),                # of another kind
    (record(manager=10), record(), True),
    (record(redo=REDO + 8), record(), True),            # another checkpoint
    (b'\xaa' * 100, record(), True),                    # the middle of something
    (record(checksum=8), record(), True),               # at another time
    (b'\xaa' * 100, b'\xaa' * 100, True),               # ours was written over by what was received
])
def test_a_checkpoint_of_its_own_tells_a_second_primary(monkeypatch, theirs, ours, verdict):
    monkeypatch.setattr(lineage.wal, 'segment_size', lambda data_dir: SIZE)
    monkeypatch.setattr(lineage.wal, 'read', lambda *_: ours)
    monkeypatch.setattr(lineage, '_of_primary', lambda *_: theirs)
    known = control_file.ControlFile('1', 1300, 'shut down', 0x1500700, REDO, 1)
    assert lineage.is_own_work(DatabaseSettings(), 'host=x', known, 1.0) is verdict
