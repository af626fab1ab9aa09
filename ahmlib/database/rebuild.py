"""Rebuilding a server that cannot become a standby by itself: a copy of the primary in its place.

    1  what forbids it is looked for, before anything is touched      refused
    2  its turn at the primary: one rebuild at a time in a cluster    refused
    3  pg_basebackup into a directory beside                          ends: the next one cleans up
    4  the files of the server here go along; it is a standby on file
    5  the server here is stopped; the primary is looked at again     refused: nothing has changed
    6  two renames (rebuild_place.py)                                 ends: the next attach finishes

Until 6 the data directory is what it was, and after it what it was is kept under another name: AHM
deletes no data that it did not copy there itself.  Where one is kept already, nothing is done, for
it may hold rows that nobody else has; only an operator knows that they are not needed.

Another system identifier stays refused: then db_data_dir names another cluster's data more likely
than this one's, and nobody wants those replaced.

The turn is an advisory lock at the primary, in a session that lasts as long as the copy, so it ends
with whoever held it.  That primary has to be one, and the same system, right before the renames:
so no database is given up for a copy of one that is gone, and where the server that was stopped was
the primary itself, whatever is configured, its directory stays.
"""
import os
from typing import NamedTuple, Optional

from ahmlib.database import (
    base_backup,
    conninfo,
    control,
    control_file,
    follow,
    probe,
    rebuild_files,
    rebuild_place,
    recovery,
    sync_names,
)
from ahmlib.database.attach_job import Job, Refused, must
from ahmlib.database.base_backup import Progress
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.rebuild_place import Place, size_text

#: 'AHM', and which of its locks.
TURN = 0x41484D, 1
TAKE_TURN = 'SELECT pg_try_advisory_lock(%s, %s)'
#: So that a host that lost its power keeps the turn for less than a minute.
NOTICE_THE_DEAD = """SELECT set_config('tcp_keepalives_idle', '10', false),
                            set_config('tcp_keepalives_interval', '5', false),
                            set_config('tcp_keepalives_count', '3', false)"""
SIZES = """SELECT (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),
                  (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_wal_size'),
                  current_setting('synchronous_standby_names')"""
TABLESPACES = """SELECT spcname || ' in ' || pg_tablespace_location(oid) FROM pg_tablespace
                  WHERE pg_tablespace_location(oid) LIKE '/%%' ORDER BY 1"""
TELL_SECONDS = 1.0


class _Primary(NamedTuple):
    """What the primary is asked before the copy."""

    needed_bytes: int
    with_slot: bool         # whether the copy may report what it has flushed


def rebuild(job: Job) -> str:
    """Put a copy of the primary in the place of the data directory here; raises Refused, OSError.

    The server here does not run then.  Returns what is to be remarked: what was kept, and where.
    """
    place = rebuild_place.place_of(job.data_dir)
    rebuild_place.refuse_the_impossible(place)
    base_backup.program(job)
    text = conninfo.remote_conn_string(job.settings, job.host, job.port)
    try:
        with Connection(text, job.limit()) as connection:
            asked = _take_turn(job, connection)
            rebuild_place.refuse_without_space(place, asked.needed_bytes)
            job.slot_problem = follow.make_slot(job.settings, job.host, job.port, job.limit())
            with rebuild_place.working(place):
                job.tell('copies the primary: begins')
                base_backup.take(job, place.data, asked.with_slot, _Watch(job, connection).see)
                _make_a_standby(job, place)
                _take_its_place(job, place)
    except (ConnectionFailed, QueryFailed) as error:
        raise Refused('the primary at %s:%s: %s' % (job.host, job.port, error))
    return 'the data directory before is kept in %s: remove it once nothing in it is needed' \
        % place.kept


def _take_turn(job: Job, connection: Connection) -> _Primary:
    """Have the turn, and what has to be known of the primary."""
    if not connection.value(TAKE_TURN, TURN):
        raise Refused('another node of the cluster is being rebuilt, and one is at a time: try '
                      'again when it is done')
    connection.query(NOTICE_THE_DEAD)
    elsewhere = [str(row[0]) for row in connection.query(TABLESPACES)]
    if elsewhere:
        raise Refused('the primary has tablespaces outside its data directory (%s), and this '
                      'node\'s own lie in their place: rebuild it by hand, with '
                      '--tablespace-mapping' % ', '.join(elsewhere))
    database_bytes, wal_bytes, names = connection.query(SIZES)[0]
    confirm = [sync_names.fold(name) for name in sync_names.parse(names).names]
    name = conninfo.name_of_a_copy(job.settings.node_name)
    if sync_names.fold(name) in confirm:
        raise Refused('synchronous_standby_names of the primary names %s, as a copy is called '
                      'that is not complete: take it out there' % name)
    return _Primary(rebuild_place.needed_bytes(int(database_bytes), int(wal_bytes)),
                    sync_names.EVERYBODY not in confirm)


class _Watch:
    """What is looked at while the copy is made."""

    def __init__(self, job: Job, connection: Connection) -> None:
        self.job, self.connection = job, connection
        self._told_at: Optional[float] = None

    def see(self, progress: Progress) -> None:
        """Tell how far it is; raise Refused where the turn, or the daemon that asked, is gone."""
        if self._told_at is not None and progress.seconds - self._told_at < TELL_SECONDS:
            return
        self._told_at = progress.seconds
        self.job.refuse_an_orphan()
        self.connection.renew(self.job.limit())
        self.connection.value('SELECT 1')
        self.job.tell(told(progress))


def told(progress: Progress) -> str:
    """Say for people how far a copy is."""
    left = progress.seconds_left()
    if left is None:
        return 'copies the primary: begins'
    share = min(100, 100 * progress.done_bytes // progress.total_bytes)
    minutes, seconds = divmod(int(left), 60)
    return 'copies the primary: %s of %s (%d %%), about %s left' % (
        size_text(progress.done_bytes), size_text(progress.total_bytes), share,
        '%d min' % minutes if minutes else '%d s' % seconds)


def _make_a_standby(job: Job, place: Place) -> None:
    """Configure the copy as the server here, as a standby of the primary."""
    job.tell('configures the copy')
    rebuild_files.carry(job.settings, place)
    config = job.settings.db_config_dir
    if config and os.path.realpath(config) == place.data_dir:
        config = place.data
    copy = job.settings._replace(db_data_dir=place.data, db_config_dir=config)
    must(recovery.leave_standby_signal(copy))
    must(recovery.write_primary(copy, job.host, job.port))
    rebuild_place.mark_complete(place)


def _take_its_place(job: Job, place: Place) -> None:
    """Swap, once nothing runs here, and the primary is seen to be one that has all."""
    job.tell('puts the copy in place')
    copied = control_file.read(place.data).system_identifier
    job.stop()
    if control.server_processes(job.data_dir):
        raise Refused('a server still runs in %s' % job.data_dir)
    found = probe.probe_remote(job.settings, job.host, job.port, job.limit())
    if not found.answered or found.in_recovery:
        raise Refused('the primary at %s:%s is none any more, so the data directory stays: %s' % (
            job.host, job.port, found.reason or 'it is in recovery'))
    own = control_file.read(job.data_dir).system_identifier
    if not own == copied == job.primary().system_identifier:
        raise Refused('the copy has system identifier %s, and this database %s' % (copied, own))
    job.refuse_an_orphan()
    rebuild_place.swap(place)
