"""A small disk for a server's WAL, to be filled: a tmpfs mounted as pg_wal.

A server that cannot write WAL panics, finds in its recovery that it cannot either, and ends.  Only
root can mount; what was mounted is unmounted however a lab ends (Cluster.small_wal_disk).
"""
import os
import shutil
import tempfile
import time

from ahmlib.lab import LabError
from tests.lab.network import call

BLOCK = 65536
END_SECONDS, POLL_INTERVAL = 10.0, 0.02
_reason = []


def small_disks_available():
    """None where this machine can mount a small disk, else the reason why not (str).

    A real one is mounted and unmounted: containers often refuse what their root seems to be
    allowed.  Asked once a process.
    """
    if not _reason:
        _reason.append(_trial())
    return _reason[0]


def _trial():
    if os.geteuid() != 0:
        return 'mounting a small disk needs root'
    directory = tempfile.mkdtemp(prefix='ahmlab-')
    try:
        _mount(directory, 1, 0, 0)
        _unmount(directory)
    except LabError as error:
        return 'a small disk cannot be mounted here: %s' % error
    finally:
        os.rmdir(directory)
    return None


class SmallDisk:
    """The disk with the WAL of a Database that does not run; a context manager.

    Leaving it kills the server for good: it could not go on without its WAL.
    """

    def __init__(self, database, megabytes):
        self.database = database
        self.megabytes = megabytes
        self.directory = os.path.join(database.data_dir, 'pg_wal')
        self.filler = os.path.join(self.directory, 'filler')

    def __enter__(self):
        # pg_ctl stop returns when postmaster.pid is gone, a moment before the process is.
        deadline = time.monotonic() + END_SECONDS
        while self.database.is_running():
            if time.monotonic() > deadline:
                raise LabError('stop %s before its WAL is moved' % self.database.name)
            time.sleep(POLL_INTERVAL)
        owner = os.stat(self.directory)
        before = self.directory + '.before'
        os.rename(self.directory, before)
        os.mkdir(self.directory)
        _mount(self.directory, self.megabytes, owner.st_uid, owner.st_gid)
        try:
            for name in os.listdir(before):
                call('cp', '-a', os.path.join(before, name), self.directory)
        except BaseException:
            _unmount(self.directory)
            raise
        shutil.rmtree(before)
        return self

    def __exit__(self, *exception):
        try:
            self.database.discard()
        finally:
            _unmount(self.directory)

    def fill(self):
        """Leave not a byte."""
        with open(self.filler, 'ab', buffering=0) as file:
            try:
                while True:
                    file.write(b'\0' * BLOCK)
            except OSError:
                if os.statvfs(self.directory).f_bavail:
                    raise

    def free(self):
        """Take away what fill() wrote."""
        os.unlink(self.filler)


def _mount(directory, megabytes, uid, gid):
    call('mount', '-t', 'tmpfs', '-o', 'size=%dm,mode=0700,uid=%d,gid=%d' % (megabytes, uid, gid),
         'ahmlab', directory)


def _unmount(directory):
    """Unmount it; where somebody still has a file open on it, take it out of the tree at least."""
    try:
        call('umount', directory)
    except LabError:
        call('umount', '-l', directory)
