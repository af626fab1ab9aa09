"""Where WAL ends: on pages that are made here, and that go wrong in every way."""

import os
import shutil
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahmlib.database import crc32c, wal, wal_end, wal_page
from ahmlib.process.deadline import Deadline

SIZE = 1 << 20
PAGE = 8192
MAGIC = 0xD110
IDENTIFIER = 7123456789012345678
BASE = 5 * SIZE


class Writer:
    """Writes records into segments as a server does."""

    def __init__(self, lsn=BASE, timeline=1, before=BASE - 64):
        self.at, self.timeline, self.before = lsn, timeline, before
        self.bytes = {}                 # page: bytearray
        self.ends = []
        self.lsns = []

    def _page(self, lsn, left=0, flags=0):
        number = lsn // PAGE
        if number not in self.bytes:
            flags |= 1 if left else 0
            if lsn % SIZE == 0:
                head = struct.pack('=HHIQI4xQII', MAGIC, flags | 2, self.timeline, number * PAGE,
                                   left, IDENTIFIER, SIZE, PAGE)
            else:
                head = struct.pack('=HHIQI4x', MAGIC, flags, self.timeline, number * PAGE, left)
            self.bytes[number] = bytearray(head + bytes(PAGE - len(head)))
        return self.bytes[number]

    def _start(self, left=0, flags=0):
        """Go behind the header where a page begins."""
        if self.at % PAGE == 0:
            self._page(self.at, left, flags)
            self.at += 40 if self.at % SIZE == 0 else 24

    def record(self, body, info=0, manager=10, until=None):
        """Write one record (until that many bytes of it); returns where it ends."""
        self._start()
        head = struct.pack('=IIQBB2x', 24 + len(body), 7, self.before, info, manager)
        crc = crc32c.checksums([body + head])[0]
        data = head + struct.pack('=I', crc) + body
        self.before = self.at
        self.lsns.append(self.at)
        left = len(data)
        data = data[:until]
        while data:
            self._start(left)
            page, place = self._page(self.at), self.at % PAGE
            part = data[:PAGE - place]
            page[place:place + len(part)] = part
            data, left = data[len(part):], left - len(part)
            self.at += len(part)
        self.at += -self.at % 8
        if until is None:
            self.ends.append(self.at)
        return self.at

    def switch(self):
        """End the segment, as pg_switch_wal() does."""
        self.record(b'', 0x40, 0)
        self.at += -self.at % SIZE
        self.ends[-1] = self.at

    def put(self, data_dir, timeline=None, until=None):
        """Write the files, up to the position `until`."""
        names = set()
        for number, page in sorted(self.bytes.items()):
            lsn = number * PAGE
            if until is not None and lsn >= until:
                continue
            name = wal.segment_name(timeline or self.timeline, lsn, SIZE)
            path = os.path.join(data_dir, 'pg_wal', name)
            if name not in names:
                with open(path, 'wb') as file:
                    file.truncate(SIZE)
            names.add(name)
            with open(path, 'r+b') as file:
                file.seek(lsn % SIZE)
                file.write(bytes(page[:None if until is None else min(PAGE, until - lsn)]))


@pytest.fixture
def data_dir(tmp_path):
    return fresh(str(tmp_path / 'data'))


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.join(path, 'pg_wal'))
    return path


def find(data_dir, replayed=BASE, received=None, timeline=1, limit=20.0,
         identifier=str(IDENTIFIER)):
    return wal_end.find(data_dir, timeline, replayed, received, identifier, Deadline(limit))


def written(count=400, size=200, **begin):
    writer = Writer(**begin)
    for number in range(count):
        writer.record(bytes([number % 255 + 1]) * (size + number % 13))
    return writer


def change(data_dir, lsn, data, timeline=1):
    with open(os.path.join(data_dir, 'pg_wal', wal.segment_name(timeline, lsn, SIZE)),
              'r+b') as file:
        file.seek(lsn % SIZE)
        file.write(data)


def test_the_end_is_behind_the_last_record(data_dir):
    writer = written()
    writer.put(data_dir)
    assert find(data_dir) == (writer.at, True, '')
    assert find(data_dir, writer.ends[17]) == (writer.at, True, '')
    assert find(data_dir, writer.at) == (writer.at, True, '')


def test_from_the_middle_of_a_record_on(data_dir):
    """What has been received ends anywhere; no end is before it."""
    writer = written(100)
    writer.put(data_dir)
    assert find(data_dir, BASE, writer.ends[50] + 12) == (writer.at, True, '')
    assert find(data_dir, BASE, writer.at + 100) == (writer.at + 100, True, '')


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(0, 30000), min_size=1, max_size=60),
       last=st.integers(0, 20000), share=st.floats(0, 0.99))
def test_half_a_record_at_the_end_is_not_counted(tmp_path_factory, sizes, last, share):
    path = fresh(str(tmp_path_factory.getbasetemp() / 'sizes'))
    writer = Writer()
    for size in sizes:
        writer.record(os.urandom(8) * (size // 8) + bytes(size % 8))
    end = writer.at
    writer.record(b'\x01' * last, until=int((last + 24) * share))
    writer.put(path)
    assert find(path) == (end, True, '')


@settings(deadline=None, max_examples=80)
@given(place=st.integers(0, 100000), byte=st.integers(1, 255), start=st.integers(0, 299))
def test_no_wrong_byte_is_overlooked(tmp_path_factory, place, byte, start):
    path = fresh(str(tmp_path_factory.getbasetemp() / 'bytes'))
    writer = written(300)
    begin = writer.lsns[start]
    place = begin + place % (writer.at - begin)
    writer.put(path)
    page = writer.bytes[place // PAGE]
    change(path, place, bytes([page[place % PAGE] ^ byte]))
    end = find(path, begin)
    whole = [begin] + [each for each in writer.ends if begin < each <= place]
    assert end.is_known
    if _matters(place, writer):
        assert end.lsn == max(whole), (end, place)
    else:
        assert end.lsn >= max(whole)


def _matters(place, writer):
    """Whether recovery looks at this byte: not at padding, nor at sizes in a header."""
    on_page = place % PAGE
    if on_page < (40 if place % SIZE < PAGE else 24):
        return False
    start = max(each for each in writer.lsns if each <= place)
    page = writer.bytes[start // PAGE]
    length = struct.unpack_from('=I', page, start % PAGE)[0]
    headers = sum(24 for edge in range(start // PAGE + 1, place // PAGE + 1))
    return place - start - headers < length and not 18 <= place - start < 20


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(100, 90000))
def test_a_page_that_was_never_written_is_the_end(tmp_path_factory, cut):
    path = fresh(str(tmp_path_factory.getbasetemp() / 'cut'))
    writer = written(400)
    writer.put(path, until=BASE + cut)
    assert find(path) == (max([BASE] + [each for each in writer.ends if each <= BASE + cut]),
                          True, '') or _padding(writer, BASE + cut, find(path).lsn)


def _padding(writer, until, end):
    """A record is whole without the zeros that fill it up."""
    return end in writer.ends and end - 8 < until < end


def test_an_old_segment_with_a_new_name_is_no_wal(data_dir):
    writer = written(4000)
    writer.put(data_dir)
    last = writer.at // SIZE
    old = os.path.join(data_dir, 'pg_wal', wal.segment_name(1, BASE, SIZE))
    for number in (last + 1, last + 2):
        shutil.copy(old, os.path.join(data_dir, 'pg_wal',
                                      wal.segment_name(1, number * SIZE, SIZE)))
    assert find(data_dir) == (writer.at, True, '')
    recycled = wal.segment_name(1, writer.at, SIZE)
    with open(os.path.join(data_dir, 'pg_wal', recycled), 'r+b') as file, open(old, 'rb') as other:
        beyond = -(-writer.at // PAGE) * PAGE % SIZE
        file.seek(beyond)
        other.seek(beyond)
        file.write(other.read())
    assert find(data_dir) == (writer.at, True, ''), 'nor its later pages'


def test_segments_are_skipped_and_a_record_that_crosses_is_read(data_dir):
    writer = Writer()
    while writer.at < BASE + 6 * SIZE - 60000:
        writer.record(b'x' * 900)
    writer.record(b'y' * 100000)
    crossing = writer.ends[-1]
    assert writer.lsns[-1] // SIZE < (crossing - 1) // SIZE
    for _ in range(20):
        writer.record(b'z' * 900)
    writer.put(data_dir)
    assert find(data_dir) == (writer.at, True, '')
    change(data_dir, crossing - 8, b'\xff')
    assert find(data_dir).lsn == writer.lsns[-21], 'what crosses into the last one is checked'
    missing = wal.segment_name(1, BASE + 2 * SIZE, SIZE)
    os.unlink(os.path.join(data_dir, 'pg_wal', missing))
    assert BASE + 2 * SIZE - 2000 < find(data_dir).lsn <= BASE + 2 * SIZE


def test_behind_a_switch_the_next_segment_goes_on(data_dir):
    writer = written(20)
    writer.switch()
    assert writer.at == BASE + SIZE
    writer.put(data_dir)
    assert find(data_dir) == (BASE + SIZE, True, '')
    for _ in range(5):
        writer.record(b'again')
    writer.put(data_dir)
    assert find(data_dir) == (writer.at, True, '')
    assert find(data_dir, BASE + SIZE) == (writer.at, True, ''), 'from the edge of a segment'


def test_a_record_that_was_given_up_is_passed_over(data_dir):
    """A primary that crashed amid a record goes on on a new page, which says so."""
    writer = written(20)
    before = writer.before
    writer.record(b'y' * 20000, until=5000)
    writer.at += -writer.at % PAGE
    writer.before = before
    writer._start(flags=8)
    writer.record(b'the record that says so')
    writer.record(b'and another')
    writer.put(data_dir)
    assert find(data_dir) == (writer.at, True, '')


def history(data_dir, timeline, *switches):
    with open(os.path.join(data_dir, 'pg_wal', wal.history_name(timeline)), 'w') as file:
        for number, end in switches:
            file.write('%d\t%X/%X\tno recovery target specified\n'
                       % (number, end >> 32, end & 0xffffffff))


def forked(data_dir):
    """Timeline 1, and timeline 2 that left it at the 200th record; returns both writers."""
    one, two = written(400), written(200)
    two.timeline = 2
    fork = two.at
    for _ in range(100):
        two.record(b'second' * 20)
    one.put(data_dir)
    two.put(data_dir)
    history(data_dir, 2, (1, fork))
    return one, two, fork


def test_the_newest_timeline_is_followed(data_dir):
    _, two, fork = forked(data_dir)
    assert find(data_dir) == (two.at, True, '')
    assert find(data_dir, fork) == (two.at, True, '')


def test_a_timeline_that_left_ours_before_our_position_is_not_followed(data_dir):
    one, _, fork = forked(data_dir)
    beyond = [end for end in one.ends if end > fork][3]
    assert find(data_dir, beyond) == (one.at, True, '')


def test_a_timeline_that_is_no_child_of_ours_is_not_followed(data_dir):
    one, _, _ = forked(data_dir)
    history(data_dir, 2, (7, BASE + 100))
    assert find(data_dir) == (one.at, True, '')


def test_nothing_counts_behind_the_point_where_the_next_timeline_began(data_dir):
    _, _, fork = forked(data_dir)
    os.unlink(os.path.join(data_dir, 'pg_wal', wal.segment_name(2, BASE, SIZE)))
    assert find(data_dir) == (fork, True, '')


def test_what_cannot_be_read_is_not_known(data_dir):
    written().put(data_dir)
    assert find(data_dir, limit=0.0)[:2] == (BASE, False)
    assert find('')[:2] == (BASE, False)
    assert find(data_dir, replayed=None)[:2] == (0, False)
    assert find(data_dir, timeline=0)[:2] == (BASE, False)
    assert find(data_dir, BASE + 3 * SIZE + 1000)[:2] == (BASE + 3 * SIZE + 1000, False), 'no file'
    strange = find(data_dir, identifier='17')
    assert strange[:2] == (BASE, False) and 'not of 17' in strange.reason
    shutil.rmtree(os.path.join(data_dir, 'pg_wal'))
    assert find(data_dir)[:2] == (BASE, False)


def test_a_file_that_may_not_be_read_is_not_known(data_dir):
    written().put(data_dir)
    path = os.path.join(data_dir, 'pg_wal', wal.segment_name(1, BASE, SIZE))
    os.unlink(path)
    os.mkdir(path)
    assert find(data_dir)[:2] == (BASE, False)


def test_the_time_ends_before_the_wal_does(data_dir, monkeypatch):
    monkeypatch.setattr(wal_end, 'BATCH_BYTES', 1000)
    writer = written()
    writer.put(data_dir)

    class Slow:
        limit, looks = 1.0, 0

        def is_over(self):
            self.looks += 1
            return self.looks > 6
    end = wal_end.find(data_dir, 1, BASE, None, str(IDENTIFIER), Slow())
    assert not end.is_known and BASE < end.lsn < writer.at and 'could not be read' in end.reason
    assert end.lsn in writer.ends


def test_a_torn_page_before_the_time_ends_is_still_the_end(data_dir):
    writer = written(4000)
    writer.put(data_dir)
    change(data_dir, writer.lsns[10] + 30, b'\x7f\x7f')
    assert find(data_dir, writer.lsns[5])[:2] == (writer.lsns[10], True) \
        or writer.at // SIZE > BASE // SIZE


def test_a_long_record_is_not_held_in_memory(data_dir, monkeypatch):
    monkeypatch.setattr(wal_end, 'RECORD_MAX', 50000)
    writer = written(10)
    end = writer.at
    writer.record(b'x' * 60000)
    writer.put(data_dir)
    assert find(data_dir)[:2] == (end, False)


@given(st.lists(st.binary(min_size=4, max_size=300), max_size=40))
def test_checksums_are_those_of_a_byte_at_a_time(messages):
    assert crc32c.checksums(messages) == [slow(message) for message in messages]


def test_a_checksum_that_is_known():
    assert crc32c.checksums([b'123456789', bytes(32)]) == [0xe3069283, 0x8a9136aa]


def slow(message):
    value = 0xffffffff
    for byte in message:
        value = value >> 8 ^ crc32c.TABLE[(value ^ byte) & 0xff]
    return value ^ 0xffffffff


def test_legs_end_where_the_next_begins(data_dir):
    history(data_dir, 2, (1, 1000))
    history(data_dir, 3, (1, 1000), (2, 2000))
    assert wal_page.legs(data_dir, 1, 500) == ((1, 0, 1000), (2, 1000, 2000), (3, 2000, None))
    assert wal_page.legs(data_dir, 2, 2500) == ((1, 0, 1000), (2, 1000, None))
