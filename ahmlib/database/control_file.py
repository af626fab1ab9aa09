"""Reading global/pg_control: what a server that does not run says of itself.

pg_controldata is missing from minimal installations, and its words are translated; the head of the
file has been the same since PostgreSQL 10, but for the previous checkpoint, which went with 11.
What a standby's file says of settings is what the primary's were, as far as WAL has been replayed.
They come behind the copy of the newest checkpoint, which grew with 12.
Numbers are in the byte order of the machine.  Source: src/include/catalog/pg_control.h of each
major version.
"""
import os
import struct
from typing import Dict, NamedTuple

from ahmlib.database import control

STATES = ('starting up', 'shut down', 'shut down in recovery', 'shutting down',
          'in crash recovery', 'in archive recovery', 'in production')
SHUT_DOWN = ('shut down', 'shut down in recovery')
# PostgreSQL 10, 11 (the first without a previous checkpoint), and the newest that may be taken
# for one: 18 says 1800.
VERSION_LEAST, VERSION_WITHOUT_PREVIOUS, VERSION_MOST = 1002, 1100, 1899
READ_MAX = 512                          # the sector that PostgreSQL keeps all of it in
HEAD = struct.Struct('=QIIi4xqQ')       # identifier, version, catalogue, state, time, checkpoint
REDO = struct.Struct('=QI')             # redo position, timeline
# PostgreSQL 12: with max_wal_senders, and a copy of the checkpoint of 88 bytes, before of 80.
VERSION_WITH_SENDERS = 1201
CHECKPOINT_SIZES = (80, 88)
END = struct.Struct('=QQI')             # behind it: unlogged position, end of recovery, timeline
SETTINGS_AT, FLOAT_AT = 52, 80          # behind the checkpoint, too
FLOAT = struct.Struct('=d')
FLOAT_FORMAT = 1234567.0                # a constant, which shows that this is the right place
SETTING_NAMES = ('max_connections', 'max_worker_processes', 'max_wal_senders',
                 'max_prepared_transactions', 'max_locks_per_transaction')


class ControlFile(NamedTuple):
    """The head of a control file.  Positions are byte counts."""

    system_identifier: str
    version: int
    state: str              # one of STATES
    checkpoint_lsn: int     # where the newest checkpoint record begins
    redo_lsn: int
    timeline: int           # of that checkpoint

    @property
    def is_clean(self) -> bool:
        """Whether the server was shut down, so that nothing follows its checkpoint."""
        return self.state in SHUT_DOWN


class Stamp(NamedTuple):
    """What tells one control file from another, by its last writing."""

    system_identifier: str
    written: int            # seconds of the server's clock
    checkpoint_lsn: int
    recovery_end: int       # how far a standby has to replay to be consistent; of a primary 0


def path_of(data_dir: str) -> str:
    """Return the path of the control file of this data directory."""
    return os.path.join(data_dir, 'global', 'pg_control')


def raw(data_dir: str) -> bytes:
    """Return the bytes that the control file consists of; raises OSError."""
    with control.acting_as(control.as_owner(data_dir)):
        with open(path_of(data_dir), 'rb') as file:
            return file.read(READ_MAX)


def stamp(data_dir: str) -> Stamp:
    """Return the Stamp of this data directory; raises OSError, ValueError as read."""
    known, data = read(data_dir), raw(data_dir)
    written = HEAD.unpack_from(data)[4]
    return Stamp(known.system_identifier, written, known.checkpoint_lsn,
                 END.unpack_from(data, _behind_checkpoint(known.version))[1])


def _checkpoint_at(version: int) -> int:
    return HEAD.size + (0 if version >= VERSION_WITHOUT_PREVIOUS else 8)


def _behind_checkpoint(version: int) -> int:
    return _checkpoint_at(version) + CHECKPOINT_SIZES[version >= VERSION_WITH_SENDERS]


def read(data_dir: str) -> ControlFile:
    """Return the ControlFile of this data directory; raises OSError, ValueError (one line)."""
    data = raw(data_dir)
    path = path_of(data_dir)
    try:
        identifier, version, _, state, _, checkpoint = HEAD.unpack_from(data)
        redo, timeline = REDO.unpack_from(data, _checkpoint_at(version))
    except struct.error:
        raise ValueError('%s has %d bytes only, expected a control file' % (path, len(data)))
    if not VERSION_LEAST <= version <= VERSION_MOST or not 0 <= state < len(STATES):
        raise ValueError('%s has version %d and state %d, expected a control file of PostgreSQL '
                         '10 to 18' % (path, version, state))
    return ControlFile(str(identifier), version, STATES[state], checkpoint, redo, timeline)


def timeline_of_start(data_dir: str) -> int:
    """Return the timeline that a start as a primary comes up on; raises as read does.

    For minutes after a promotion the newest checkpoint is of the timeline before.  What a promotion
    writes at once is up to where a crash has to recover.
    """
    known, data = read(data_dir), raw(data_dir)
    return max(known.timeline, int(END.unpack_from(data, _behind_checkpoint(known.version))[2]))


def state(data_dir: str) -> str:
    """Return the state of this data directory, one of STATES; '' where it cannot be read."""
    try:
        return read(data_dir).state
    except (OSError, ValueError):
        return ''


def settings(data_dir: str) -> Dict[str, int]:
    """Return {name: value} of the settings that a standby must not have lower than its primary.

    max_wal_senders is among them from PostgreSQL 12 on.  Raises OSError, ValueError (one line).
    """
    data = raw(data_dir)
    try:
        version = HEAD.unpack_from(data)[1]
        has_senders, at = version >= VERSION_WITH_SENDERS, _behind_checkpoint(version)
        names = [name for name in SETTING_NAMES if has_senders or name != 'max_wal_senders']
        values = struct.unpack_from('=%di' % len(names), data, at + SETTINGS_AT)
        constant = FLOAT.unpack_from(data, at + FLOAT_AT)[0]
    except struct.error:
        raise ValueError('%s has %d bytes only, expected a control file' % (path_of(data_dir),
                                                                            len(data)))
    if constant != FLOAT_FORMAT:
        raise ValueError('%s of version %d is not laid out as expected of PostgreSQL 10 to 18'
                         % (path_of(data_dir), version))
    return dict(zip(names, values))
