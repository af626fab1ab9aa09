"""Pages of WAL files, read as recovery reads them: from the newest timeline that has the file.

A segment is a file of pages of 8 kB.  Each page begins with a header that says its version (magic),
timeline and position, and how much of a record that began before is left; so an old file that was
given a new name, or a page that was never written, is told by its header.  The format has been the
same since PostgreSQL 10 but for the magic.  Source: src/include/access/xlog_internal.h.

This module knows files, timelines and headers; wal_end knows records.
"""
import contextlib
import os
import struct
from typing import Any, FrozenSet, NamedTuple, Optional, Tuple

from ahmlib.database import control, wal
from ahmlib.database.wal import Switches

HEADER = struct.Struct('=HHIQI4x')      # magic, flags, timeline, position, left of a record
FIRST_HEADER = struct.Struct('=HHIQI4xQII')     # of a file: system identifier, sizes of it, a page
CONTINUES, OVERWRITES = 0x0001, 0x0008  # flags; the second: what began before was given up
FLAGS_MAX = 0x000F
BLOCK_PAGES = 64                        # pages that are read at once


class Unreadable(Exception):
    """The files cannot be read, or are not those of this server; the text is one line."""


class Page(NamedTuple):
    """One page with a good header; `data` is all of it, header too."""

    lsn: int
    data: bytes
    timeline: int
    left: int               # bytes of a record that began on an earlier page
    flags: int

    @property
    def start(self) -> int:
        """Where its content begins."""
        return header_size(self.data)

    @property
    def end_of_record(self) -> int:
        """Where, in its content, the record ends that began before; it may be beyond the page."""
        return self.start + -(-self.left // wal.ALIGNMENT) * wal.ALIGNMENT


class Leg(NamedTuple):
    """A timeline on the way to the newest one: it has what is from `begin` to `end`."""

    timeline: int
    begin: int
    end: Optional[int]      # None: it is the newest


def header_size(data: bytes) -> int:
    """Return the size of the header of this page."""
    return FIRST_HEADER.size if HEADER.unpack_from(data)[1] & 0x0002 else HEADER.size


def legs(data_dir: str, timeline: int, lsn: int) -> Tuple[Leg, ...]:
    """Return the Legs of recovery_target_timeline = latest for a server at `lsn` of `timeline`.

    As recovery does it goes by the history files that follow each other without a gap, and keeps
    its timeline where the newest one left it before `lsn`, or is no child of it.
    """
    newest = timeline
    while wal.history_text(data_dir, newest + 1) is not None:
        newest += 1
    switches = _switches(data_dir, newest)
    if newest != timeline and dict(switches).get(timeline, -1) < lsn:
        newest, switches = timeline, _switches(data_dir, timeline)
    begins = [0] + [end for _, end in switches]
    past = [Leg(number, begin, end) for (number, end), begin in zip(switches, begins)]
    return tuple(past + [Leg(newest, begins[-1], None)])


def _switches(data_dir: str, timeline: int) -> Switches:
    text = wal.history_text(data_dir, timeline) if timeline > 1 else None
    return wal.parse_history(text) if text else ()


class Pages:
    """The pages of one data directory, from a position of a timeline on.

    A context manager; inside, files are read with the rights of their owner.
    """

    def __init__(self, data_dir: str, timeline: int, lsn: int,
                 system_identifier: Optional[str]) -> None:
        self._data_dir = data_dir
        self._identifier = system_identifier
        self._rights = contextlib.ExitStack()
        self._number: Optional[int] = None
        # Of the segment that is open, and the Leg that it is of; none where _open says False.
        self._file: Any = None
        self._leg: Any = None
        self._block_at: Optional[int] = None
        self._block = b''
        self.size = wal.segment_size(data_dir) or 0     # 0: there are no WAL files
        self.page_size = 0
        self.magic: Optional[int] = None
        self._names: FrozenSet[str] = frozenset()
        self._legs = legs(data_dir, timeline, lsn)

    def __enter__(self) -> 'Pages':
        self._rights.enter_context(control.acting_as(control.as_owner(self._data_dir)))
        try:
            self._names = frozenset(os.listdir(wal.directory(self._data_dir)))
        except OSError as error:
            self.__exit__()
            raise Unreadable('cannot read %s: %s' % (wal.directory(self._data_dir),
                                                     error.strerror))
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._close()
        self._rights.close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _leg_of(self, number: int) -> Optional[Leg]:
        """The Leg whose file holds this segment, the newest that has one; None: nobody has."""
        for leg in reversed(self._legs):
            if number >= leg.begin // self.size and \
                    wal.segment_name(leg.timeline, number * self.size, self.size) in self._names:
                return leg
        return None

    def _open(self, number: int) -> bool:
        """Make this segment the open one; whether it is there and is this server's."""
        if number == self._number:
            return self._file is not None
        self._close()
        self._number, self._block_at, self._leg = number, None, self._leg_of(number)
        if self._leg is None:
            return False
        name = wal.segment_name(self._leg.timeline, number * self.size, self.size)
        try:
            self._file = open(os.path.join(wal.directory(self._data_dir), name), 'rb', 0)
        except FileNotFoundError:               # a running server gives files other names
            return False
        except OSError as error:
            raise Unreadable('cannot read %s: %s' % (name, error.strerror))
        return self._is_good_first(number)

    def _is_good_first(self, number: int) -> bool:
        """Whether the segment begins with its own first page (else it is a recycled one)."""
        head = self._file.read(FIRST_HEADER.size)
        if len(head) < FIRST_HEADER.size:
            self._close()
            return False
        magic, _, _, lsn, _, identifier, size, page_size = FIRST_HEADER.unpack(head)
        if lsn != number * self.size or size != self.size or self.magic not in (None, magic) \
                or page_size < 1024 or page_size & page_size - 1:
            self._close()
            return False
        if self._identifier and str(identifier) != self._identifier:
            raise Unreadable('the WAL in %s is that of system %d, not of %s' % (
                wal.directory(self._data_dir), identifier, self._identifier))
        self.magic, self.page_size = magic, page_size
        return True

    def has_segment(self, number: int) -> bool:
        """Whether the files hold the beginning of this segment."""
        return self._open(number)

    def end_of_leg(self, lsn: int) -> Optional[int]:
        """Where the timeline ended whose file holds this position; None: it goes on."""
        return self._leg.end if self._open(lsn // self.size) else None

    def page(self, lsn: int) -> Optional[Page]:
        """Return the Page that holds this position; None where it is not there, or not good."""
        if not self._open(lsn // self.size):
            return None
        lsn -= lsn % self.page_size
        data = self._read(lsn)
        if len(data) < self.page_size:
            return None
        magic, flags, timeline, position, left = HEADER.unpack_from(data)
        is_first = lsn % self.size == 0
        if magic != self.magic or position != lsn or flags > FLAGS_MAX \
                or bool(flags & 0x0002) != is_first \
                or not any(leg.timeline == timeline for leg in self._legs) \
                or timeline > self._leg.timeline:
            return None
        return Page(lsn, data, timeline, left if flags & CONTINUES else 0, flags)

    def _read(self, lsn: int) -> bytes:
        """The bytes of one page, which begins at `lsn`; they come in blocks."""
        at = lsn % self.size
        span = self.page_size * BLOCK_PAGES
        if self._block_at is None or not 0 <= at - self._block_at < span:
            self._block_at = at
            try:
                self._file.seek(at)
                self._block = self._file.read(span) or b''
            except OSError as error:
                raise Unreadable('cannot read the WAL in %s: %s' % (
                    wal.directory(self._data_dir), error.strerror))
        return self._block[at - self._block_at:at - self._block_at + self.page_size]
