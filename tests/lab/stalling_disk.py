"""A disk that stalls on demand: a small ext4 in a file, mounted over a directory, and frozen.

While it is frozen, whoever writes to it waits in the kernel, where no signal ends the wait; what
is there can still be read.  Only root can do this; it is thawed and unmounted however a lab ends.
"""
import contextlib
import os
import shutil
import tempfile

from ahmlib.lab import LabError
from tests.lab.network import call

MEGABYTES = 8
_reason = []


def stalling_disks_available():
    """None where this machine can freeze a small disk, else the reason why not (str).

    A real one is frozen and thawed.  Asked once a process.
    """
    if not _reason:
        _reason.append(_trial())
    return _reason[0]


def _trial():
    if os.geteuid() != 0:
        return 'freezing a file system needs root'
    lacking = [name for name in ('mkfs.ext4', 'fsfreeze') if shutil.which(name) is None]
    if lacking:
        return 'there is no %s' % ' and no '.join(lacking)
    directory = tempfile.mkdtemp(prefix='ahmlab-')
    try:
        with StallingDisk(directory) as disk, disk.frozen():
            return None
    except LabError as error:
        return 'a small disk cannot be frozen here: %s' % error
    finally:
        os.rmdir(directory)


class StallingDisk:
    """An ext4 over an empty `directory`, which keeps its owner; a context manager."""

    def __init__(self, directory):
        self.directory = directory
        self.image = directory.rstrip('/') + '.image'
        self.is_frozen = False

    def __enter__(self):
        owner = os.stat(self.directory)
        try:
            with open(self.image, 'wb') as image:
                image.truncate(MEGABYTES * 1024 * 1024)
            call('mkfs.ext4', '-q', '-F', self.image)
            call('mount', '-o', 'loop', self.image, self.directory)
        except BaseException:
            os.unlink(self.image)
            raise
        os.chown(self.directory, owner.st_uid, owner.st_gid)
        os.chmod(self.directory, owner.st_mode & 0o777)
        return self

    def __exit__(self, *exception):
        self.thaw()
        # Lazily: a daemon that has yet to be killed may hold a file there.
        call('umount', '-l', self.directory)
        os.unlink(self.image)

    def freeze(self):
        """Let everybody wait who writes."""
        call('fsfreeze', '-f', self.directory)
        self.is_frozen = True

    def thaw(self):
        """Let them go on; does nothing where it is not frozen."""
        if self.is_frozen:
            call('fsfreeze', '-u', self.directory)
            self.is_frozen = False

    @contextlib.contextmanager
    def frozen(self):
        """Frozen inside."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()
