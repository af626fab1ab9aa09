"""What the WAL files of this server's data directory say: segments, timelines, records.

A WAL file is called after its timeline and its number, eight and sixteen hexadecimal digits; all of
a server have one size.  <timeline>.history tells where a timeline's forerunners were left.
Files are read with the rights of their owner.  Source: src/include/access/xlog_internal.h.
"""
import contextlib
import os
import re
import struct
from typing import List, Optional, Tuple, Union

from ahmlib.database import control

Switches = Tuple[Tuple[int, int], ...]      # (timeline, its end), the earliest first

SEGMENT_NAME = re.compile(r'[0-9A-F]{24}$')
ALIGNMENT = 8                           # of a record, on every machine of 64 bits
SEGMENT_SIZE = struct.Struct('=32xI')   # in the head of a file
SEGMENT_SIZES = frozenset(1 << bits for bits in range(20, 31))
LENGTH = struct.Struct('=I')            # the first field of a record, never split by a page


def parse_lsn(text: str) -> int:
    """Return the number of an LSN 'X/Y' (two hexadecimal halves)."""
    high, _, low = text.partition('/')
    return (int(high, 16) << 32) + int(low, 16)


def parse_history(text: Union[str, bytes, memoryview]) -> Switches:
    """Return ((timeline, its end), ...) of a timeline history file (text, bytes or a buffer)."""
    if not isinstance(text, str):
        text = bytes(text).decode('utf-8', 'replace')
    found = []
    for line in text.splitlines():
        words = line.split('#')[0].split()
        if len(words) < 2 or not words[0].isdigit():
            continue
        try:
            found.append((int(words[0]), parse_lsn(words[1])))
        except ValueError:
            continue
    return tuple(found)


def directory(data_dir: str) -> str:
    """Return where the WAL files lie."""
    return os.path.join(data_dir, 'pg_wal')


def history_name(timeline: int) -> str:
    """Return the name of the file with the history of this timeline."""
    return '%08X.history' % timeline


def history_text(data_dir: str, timeline: int) -> Optional[bytes]:
    """Return the history file of this timeline as bytes; None where there is none."""
    return _read(data_dir, history_name(timeline))


def segment_size(data_dir: str) -> Optional[int]:
    """Return the size of this server's WAL files in bytes; None where it has none.

    The head of a file says it; a file itself may be shorter, where a copy of it was not finished.
    """
    size = None
    with control.acting_as(control.as_owner(data_dir)):
        for name in _names(data_dir):
            if SEGMENT_NAME.match(name):
                # A running server takes files away and gives them other names.
                with contextlib.suppress(OSError):
                    with open(os.path.join(directory(data_dir), name), 'rb') as file:
                        said = SEGMENT_SIZE.unpack(file.read(SEGMENT_SIZE.size))[0]
                        if said in SEGMENT_SIZES:
                            return said
                        size = size or os.fstat(file.fileno()).st_size
    return size


def segment_name(timeline: int, lsn: int, size: int) -> str:
    """Return the name of the WAL file that holds this position."""
    files_per_number = 0x100000000 // size
    number = lsn // size
    return '%08X%08X%08X' % (timeline, number // files_per_number, number % files_per_number)


def timeline_at(data_dir: str, lsn: Optional[int]) -> int:
    """Return the highest timeline that wrote the WAL just before `lsn`; 0 where none is known.

    A file of a later timeline begins with a copy of what its forerunner wrote: it says something
    of positions beyond the point only at which its timeline began.
    """
    size = segment_size(data_dir)
    if not size or not lsn:
        return 0
    wanted = segment_name(0, lsn - 1, size)[8:]
    with control.acting_as(control.as_owner(data_dir)):
        found = [int(name[:8], 16) for name in _names(data_dir)
                 if SEGMENT_NAME.match(name) and name[8:] == wanted]
    return max([timeline for timeline in found if _began_before(data_dir, timeline, lsn)] or [0])


def _began_before(data_dir: str, timeline: int, lsn: int) -> bool:
    if timeline == 1:
        return True
    text = history_text(data_dir, timeline)
    switches = parse_history(text) if text else ()
    return bool(switches) and switches[-1][1] < lsn


def read(data_dir: str, timeline: int, lsn: int, count: int, size: int) -> Optional[bytes]:
    """Return up to `count` bytes of the WAL from `lsn` on, of one file of `size`; None without it.
    """
    return _read(data_dir, segment_name(timeline, lsn, size), lsn % size, count)


def record_end(data_dir: str, timeline: int, lsn: int) -> int:
    """Return where the record ends that begins at `lsn`; `lsn` itself where it cannot be read.

    A page header in between is not counted: good enough to say how much there is.
    """
    size = segment_size(data_dir)
    data = size and read(data_dir, timeline, lsn, LENGTH.size, size)
    if not data or len(data) < LENGTH.size:
        return lsn
    length = LENGTH.unpack(data)[0]
    return lsn + -(-length // ALIGNMENT) * ALIGNMENT if length <= size else lsn


def _names(data_dir: str) -> List[str]:
    try:
        return os.listdir(directory(data_dir))
    except OSError:
        return []


def _read(data_dir: str, name: str, offset: int = 0, count: int = -1) -> Optional[bytes]:
    try:
        with control.acting_as(control.as_owner(data_dir)):
            with open(os.path.join(directory(data_dir), name), 'rb') as file:
                file.seek(offset)
                return file.read(count)
    except OSError:
        return None
