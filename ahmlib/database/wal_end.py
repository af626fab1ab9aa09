"""Where the WAL ends that a standby has on its disk: behind the last record that recovery can read.

A standby that was restarted does not know what it had received: pg_last_wal_receive_lsn() is null,
or the beginning of a segment, while WAL that it confirmed lies unreplayed in pg_wal (a delay, a
reader, much WAL).  So the files are read, as recovery will read them: records follow each other,
each with its length, with the position of the one before it, and with a checksum.  The first that
does not fit is the end.  pg_waldump could tell the same, but small packages lack it, and
the answer must not depend on what is installed.

**What is checked.**  A segment is on disk for good before the next one is begun (the receiver of
WAL syncs it when it closes it, and what comes from an archive is whole).  So a torn page can only
be in the last segment, and of those before it only the first page is looked at, however many they
are.  From the last record that begins in the last segment but one, all is checked: headers,
lengths, the chain of positions, and the checksums (crc32c), for a page is 8 kB and a disk writes
less at once, so a power loss can leave half of one behind whole ones.

A time and a buffer limit it.  Where the time ends first the end is not known, only how far it is at
least: nobody may take that for "nothing".
"""
import struct
from typing import List, NamedTuple, Optional, Tuple

from ahmlib.database import crc32c, wal
from ahmlib.database.wal_page import CONTINUES, OVERWRITES, Page, Pages, Unreadable
from ahmlib.process.deadline import Deadline

RECORD = struct.Struct('=IIQBB2xI')     # length, transaction, the one before, info, manager, CRC
LENGTH = struct.Struct('=I')
CRC_AT = 20
SWITCH = (0, 0x40)                      # manager and info: the rest of the segment is empty
BATCH_BYTES = 1 << 20                   # that are checked at once
RECORD_MAX = 64 << 20                   # a longer one is not held in memory
BACK_PAGES = 512                        # how far to look for the beginning of a record


class End(NamedTuple):
    """The end of the WAL, or how far it is at least."""

    lsn: int
    is_known: bool          # False: there may be more
    reason: str = ''        # why it is not known, one line


class _Stop(Exception):
    """No further record; `is_known` False: it could not be read."""

    def __init__(self, is_known: bool = True, reason: str = '') -> None:
        Exception.__init__(self)
        self.is_known, self.reason = is_known, reason


def find(data_dir: str, timeline: int, replayed: Optional[int], received: Optional[int],
         system_identifier: Optional[str], deadline: Deadline) -> End:
    """Return the End of the WAL of a standby; never raises for what it finds.

    `replayed` is where a record begins, `received` (or None) up to where all is known to be on
    disk.  `deadline` is a Deadline.
    """
    base = max(replayed or 0, received or 0)
    if not base or not timeline or not data_dir:
        return End(base, False, 'no position is known' if data_dir else 'db_data_dir is not set')
    try:
        with Pages(data_dir, timeline, base, system_identifier) as pages:
            if not pages.size:
                return End(base, False, 'there are no WAL files in %s' % data_dir)
            walk = _Walk(pages, deadline)
            walk.go(base, base == replayed)
            return End(max(base, walk.end), walk.is_known, walk.reason)
    except Unreadable as error:
        return End(base, False, str(error))


class _Walk:
    """The way from record to record; `end` is behind the last good one."""

    def __init__(self, pages: Pages, deadline: Deadline) -> None:
        self.pages, self.deadline = pages, deadline
        self.end, self.is_known, self.reason = 0, True, ''
        self._at = 0                    # where the next record begins
        self._before: Optional[int] = None      # where the one before it began; None: not known
        self._page = Page(0, b'', 0, 0, 0)          # that is read; at first none
        self._batch: List[Tuple[bytes, int, int]] = []      # (what is summed, its CRC, its end)
        self._batch_bytes = 0

    # -- the beginning -------------------------------------------------------------------------

    def _begin(self, base: int, is_start: bool) -> None:
        """Set out from `base`, or from near the end where there are segments behind it."""
        if not self.pages.has_segment(base // self.pages.size) and base % self.pages.size:
            raise _Stop(False, 'the file of the position that is replayed is not there')
        last = self._last_segment(base)
        if last == base // self.pages.size:
            self._at = self._content(base) if is_start else self._first_record(base)
            return
        first = last * self.pages.size
        self._at = self._first_record(first)
        page = self.pages.page(first)
        if page is None or not page.flags & CONTINUES or page.flags & OVERWRITES:
            return
        # A record crosses into the last segment: it is read from where it begins.
        at = first - self.pages.page_size
        while at >= max(base, first - BACK_PAGES * self.pages.page_size):
            page = self.pages.page(at)
            if page is not None and page.end_of_record < self.pages.page_size:
                self._at = at + page.end_of_record
                return
            at -= self.pages.page_size

    def _last_segment(self, base: int) -> int:
        """The number of the last segment that is there without a gap from `base` on."""
        number = base // self.pages.size
        while self.pages.has_segment(number + 1) and not self.deadline.is_over():
            end = self.pages.end_of_leg(number * self.pages.size)
            if end is not None and end < (number + 1) * self.pages.size:
                break                   # of this timeline nothing behind `end` counts
            number += 1
        return number

    def _content(self, lsn: int) -> int:
        """Where content is: a position on the edge of a page is that of its header."""
        page_size = self.pages.page_size or 8192
        if lsn % page_size:
            return lsn
        page = self.pages.page(lsn)
        return lsn + page.start if page is not None else lsn

    def _first_record(self, lsn: int) -> int:
        """Where the first record begins that does so on the page of `lsn` or behind it."""
        page = self.pages.page(lsn)
        while page is not None:
            if page.end_of_record < self.pages.page_size:
                return page.lsn + page.end_of_record
            page = self.pages.page(page.lsn + self.pages.page_size)
        return lsn

    # -- going on ------------------------------------------------------------------------------

    def go(self, base: int, is_start: bool) -> None:
        """Read from `base` until a record does not fit; `is_start`: one begins at `base`."""
        try:
            self._begin(base, is_start)
            while True:
                self._records_of_page()
        except _Stop as stop:
            self.is_known, self.reason = stop.is_known, stop.reason
        except Unreadable as error:
            self.is_known, self.reason = False, str(error)
        self._check_batch()

    def _turn_to(self, lsn: int) -> None:
        """Make the page of `lsn` the present one."""
        page = self.pages.page(lsn)
        if page is None or page.timeline < self._page.timeline:
            raise _Stop()
        if self.deadline.is_over():
            raise _Stop(False, 'its WAL could not be read to the end in %.3g s'
                        % self.deadline.limit)
        self._page = page

    def _records_of_page(self) -> None:
        """Read the records that begin on the page of the next one."""
        self._turn_to(self._at)
        lsn, data, size = self._page.lsn, self._page.data, self.pages.page_size
        place = max(self._at - lsn, self._page.start)
        while place < size:
            length = LENGTH.unpack_from(data, place)[0]
            if length < RECORD.size:
                raise _Stop()
            start = lsn + place
            if place + length <= size:
                record = data[place:place + length]
                place += -(-length // wal.ALIGNMENT) * wal.ALIGNMENT
                self._take(record, start, lsn + place)
                if self._at != lsn + place:
                    return                      # a switch: the next one is in the next segment
            else:
                self._long_record(start, length)
                return
        self._at = lsn + size

    def _long_record(self, start: int, length: int) -> None:
        """Read a record that goes on on the next pages."""
        if length > RECORD_MAX:
            raise _Stop(False, 'a record of %d bytes is not read' % length)
        parts = [self._page.data[start - self._page.lsn:]]
        if len(parts[0]) >= RECORD.size:
            self._check_chain(parts[0], start)
        missing = length - len(parts[0])
        while missing > 0:
            self._turn_to(self._page.lsn + self.pages.page_size)
            if self._page.flags & OVERWRITES:
                self._at = self._page.lsn + self._page.start
                return
            if self._page.left != missing:
                raise _Stop()
            parts.append(self._page.data[self._page.start:][:missing])
            missing -= len(parts[-1])
        self._take(b''.join(parts), start, self._page.lsn + self._page.end_of_record)

    def _check_chain(self, record: bytes, start: int) -> None:
        before = RECORD.unpack_from(record)[2]
        if before >= start or self._before not in (None, before):
            raise _Stop()

    def _take(self, record: bytes, start: int, end: int) -> None:
        """One whole record: into the batch that is checked, if it fits to the one before."""
        self._check_chain(record, start)
        length, _, _, info, manager, crc = RECORD.unpack_from(record)
        if (manager, info & 0xF0) == SWITCH:
            end += -end % self.pages.size
        limit = self.pages.end_of_leg(start)
        if limit is not None and end > limit:
            raise _Stop()                       # recovery goes on on the next timeline here
        self._before, self._at = start, end
        self._batch.append((record[RECORD.size:] + record[:CRC_AT], crc, end))
        self._batch_bytes += length + crc32c.LANE
        if self._batch_bytes > BATCH_BYTES:
            self._check_batch()
            if self._batch:
                raise _Stop()

    def _check_batch(self) -> None:
        """Move `end` behind the last record of the batch whose checksum is right.

        What is left in the batch begins with one whose checksum is wrong.
        """
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        sums = crc32c.checksums([message for message, _, _ in batch])
        for place, (value, (_, crc, end)) in enumerate(zip(sums, batch)):
            if value != crc:
                self._batch = batch[place:]
                self.is_known, self.reason = True, ''
                return
            self.end = end
