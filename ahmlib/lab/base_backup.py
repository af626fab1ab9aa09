"""A base backup without pg_basebackup: what a lab does with a server that came without it.

The primary runs on.  Between its backup's start and end its data directory is copied file by file;
files may change or vanish meanwhile, which the recovery from the backup_label repairs.  No WAL is
copied: the standby streams all of it from its primary, which keeps enough (wal_keep_size).
"""
import contextlib
import os
import shutil
from typing import List

import psycopg2

from ahmlib.lab import LabError
from ahmlib.lab.bounded import BoundedConnection, TimedOut

FIRST_VERSION_WITH_NEW_NAMES = 15
FIRST_VERSION_WITH_SIGNAL = 12

# Their contents are the running server's own, or made again by the next start.
EMPTY = ('pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots',
         'pg_stat_tmp', 'pg_subtrans')
LEFT_OUT = ('postmaster.pid', 'postmaster.opts', 'backup_label', 'recovery.conf', 'recovery.done',
            'standby.signal', 'pg_internal.init', 'promote')
CONTROL_FILE = 'pg_control'


def take(source: str, target: str, conninfo: str, version: int, limit: float = 120.0) -> None:
    """Copy the data directory `source` of the running server at `conninfo` to `target`.

    Raises LabError where the server refuses or is silent for `limit` seconds, or a file cannot be
    read.  `target` belongs to the present user then, without settings that make it a standby.
    """
    new = version >= FIRST_VERSION_WITH_NEW_NAMES
    try:
        with contextlib.closing(BoundedConnection(conninfo, limit)) as connection:
            connection.execute("SELECT pg_backup_start('lab', true)" if new
                               else "SELECT pg_start_backup('lab', true, false)")
            _copy(source, target)
            label = connection.execute('SELECT labelfile FROM %s' % (
                'pg_backup_stop(false)' if new else 'pg_stop_backup(false, false)'))[0][0]
    except (psycopg2.Error, TimedOut, OSError, shutil.Error) as error:
        raise LabError('no base backup of %s: %s' % (source, str(error).strip()))
    with open(os.path.join(target, 'backup_label'), 'w') as file:
        file.write(label)


def _copy(source: str, target: str) -> None:
    def skipped(directory: str, names: List[str]) -> List[str]:
        if os.path.basename(directory) in EMPTY and os.path.dirname(directory) == source:
            return names
        return [name for name in names if name in LEFT_OUT or name == CONTROL_FILE]

    def copy(path: str, goal: str) -> str:
        # What vanishes during the copy was dropped; its WAL tells the standby so.
        try:
            return shutil.copy2(path, goal)
        except FileNotFoundError:
            return goal
    shutil.copytree(source, target, ignore=skipped, copy_function=copy)
    # Last, as pg_basebackup does: it must not be older than what was copied before it.
    control = os.path.join('global', CONTROL_FILE)
    shutil.copy2(os.path.join(source, control), os.path.join(target, control))


def make_standby(data_dir: str, conninfo: str, version: int) -> None:
    """Write what pg_basebackup -R writes, so that the server follows the one at `conninfo`."""
    assert "'" not in conninfo, 'the lab needs no quoting'
    if version < FIRST_VERSION_WITH_SIGNAL:
        with open(os.path.join(data_dir, 'recovery.conf'), 'w') as file:
            file.write("standby_mode = 'on'\nprimary_conninfo = '%s'\n" % conninfo)
        return
    with open(os.path.join(data_dir, 'postgresql.auto.conf'), 'a') as file:
        file.write("primary_conninfo = '%s'\n" % conninfo)
    with open(os.path.join(data_dir, 'standby.signal'), 'w'):
        pass
