"""Whether what this server has written is what the primary has, where positions do not tell.

A standby that loses its standby.signal, and is started, becomes a primary on the timeline of its
primary.  Both write on, and their WAL differs at equal positions; no history file tells of it.
Made a standby again it would find the primary ahead of it on a common timeline, and never stream:
it repeats "incorrect prev-link" for ever, and serves data that nobody else has.

So the newest checkpoint that its control file knows is looked up in the primary's WAL, over a
replication connection.  A server that has been a primary made that checkpoint itself; one that was
a standby all the time got it from the primary, so it is there, byte for byte.
Source: src/include/access/xlogrecord.h, xlog_internal.h; PostgreSQL's manual, "Streaming
Replication Protocol" (START_REPLICATION).
"""
import select
import struct
from typing import NamedTuple, Optional

from ahmlib.database import conninfo, history, wal
from ahmlib.database.connection import Connection, ConnectionFailed
from ahmlib.database.control_file import ControlFile
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline

PAGE = 8192
PAGE_HEADER, SEGMENT_HEADER = 24, 40    # of a page, and of the first one of a WAL file
# Record: length, transaction, previous record, kind, resource manager, checksum; then the marker
# and the length of its data, whose first field is the redo position.
RECORD = struct.Struct('=IIQBBxxI2xQ')
CHECKPOINTS = (0x00, 0x10)              # at a shutdown, and while it runs
CHECKPOINT_MANAGER = 0


class Record(NamedTuple):
    """The head of a WAL record, as far as a checkpoint has it."""

    length: int
    transaction: int
    previous: int
    kind: int
    manager: int
    checksum: int
    redo: int

    def is_checkpoint(self, redo: int) -> bool:
        """Whether it is a checkpoint with this redo position."""
        return (self.manager == CHECKPOINT_MANAGER and self.kind & 0xF0 in CHECKPOINTS
                and self.redo == redo)


def is_own_work(settings: DatabaseSettings, primary_conninfo: str, known: ControlFile,
                limit: float) -> Optional[bool]:
    """Whether the checkpoint of a ControlFile is none of the primary's, though it has passed it.

    None where nobody can tell: the primary has removed that WAL, or refuses the connection.
    """
    data_dir = settings.db_data_dir
    size = wal.segment_size(data_dir)
    if not size:
        return None
    count = RECORD.size + SEGMENT_HEADER            # a page may begin within it
    at = known.checkpoint_lsn
    theirs = _record(_of_primary(settings, primary_conninfo, known.timeline, at, count, limit), at,
                     size)
    if theirs is None:
        return None
    if not theirs.is_checkpoint(known.redo_lsn):
        return True
    # Two servers may have checkpoints at one position.  Ours may have been written over by now, by
    # what was received; then the primary has none here, and the answer was given above.
    ours = _record(wal.read(data_dir, known.timeline, at, count, size), at, size)
    return ours is not None and ours.is_checkpoint(known.redo_lsn) and ours != theirs


def _record(data: Optional[bytes], at: int, size: int) -> Optional[Record]:
    """The Record that begins these bytes of WAL from position `at`; None where they are too few."""
    left = PAGE - at % PAGE                         # on its page
    if data and left < RECORD.size:
        header = PAGE_HEADER if (at + left) % size else SEGMENT_HEADER
        data = data[:left] + data[left + header:]
    return Record(*RECORD.unpack_from(data)) if data and len(data) >= RECORD.size else None


def _of_primary(settings: DatabaseSettings, primary_conninfo: str, timeline: int, lsn: int,
                count: int, limit: float) -> Optional[bytes]:
    """So many bytes of the primary's WAL, fewer where it has no more; None without an answer."""
    deadline = Deadline(limit)
    text = history.replication_string(settings, primary_conninfo)
    try:
        with _Sender(text, limit) as sender:
            return sender.read(timeline, lsn, count, deadline)
    except ConnectionFailed:
        return None


class _Sender(Connection):
    """A replication connection that WAL is read from."""

    def __init__(self, conn_string: str, limit: float) -> None:
        from psycopg2.extras import PhysicalReplicationConnection
        words = conninfo.parse(conn_string)
        words.pop('replication', None)              # the factory adds it
        Connection.__init__(self, conninfo.build(words), limit, PhysicalReplicationConnection)

    def read(self, timeline: int, lsn: int, count: int, deadline: Deadline) -> bytes:
        """Return up to `count` bytes from `lsn` on; raises ConnectionFailed."""
        data = b''
        try:
            cursor = self._connection.cursor()
            cursor.start_replication(start_lsn=lsn, timeline=timeline)
            self._wait()
            while len(data) < count and not deadline.is_over():
                message = cursor.read_message()
                if message is not None:
                    data += bytes(message.payload)
                else:
                    select.select([self._connection], [], [], deadline.remaining())
        except self._psycopg2.Error as error:
            raise self._failure(error)
        return data[:count]
