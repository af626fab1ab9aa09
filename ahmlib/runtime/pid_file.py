"""The PID file: one daemon for one data directory, and who it is.

The file is locked (flock) for as long as the daemon lives, and the lock dies with the process:
so a file is stale exactly if nobody holds its lock, whatever number is in it and whoever has
that number now.  Forked children close the descriptor (`children`), programs never inherit it.
"""

import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING, Optional, Tuple

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

# While `running_pid` of another process looks, it holds the lock itself for an instant.
TRIES = 20
TRY_SECONDS = 0.01
# A writer that does not wait for its disk ends with its daemon.
WRITER_SECONDS = 5.0


#: Where the name of a file leads: to the file that this process holds, nowhere, or elsewhere.
THERE, GONE, OTHER = 'there', 'gone', 'other'


class PidFileError(Exception):
    """The file cannot or must not be used.  One line: what was found and what to do."""


class AlreadyRunning(PidFileError):
    """Another daemon holds the file.

    pid: its process id; 0 if it has not written it yet.
    """

    def __init__(self, path: str, pid: int) -> None:
        super().__init__('another AHM daemon runs with %s%s; stop it first, or set another'
                         ' data_dir' % (path, ' (PID %d)' % pid if pid else ''))
        self.pid = pid


class PidFile:
    """The daemon's own side: acquire after detaching (the lock belongs to who wrote its PID)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd: Optional[int] = None

    def acquire(self) -> None:
        """Lock the file and write this process's id into it.

        Raises AlreadyRunning if another daemon holds it, PidFileError if it cannot be used.
        """
        for _ in range(TRIES):
            try:
                # Without O_CREAT: on a disk that stalls it would wait, even where the file is.
                fd = _open(self.path, os.O_RDWR)
            except FileNotFoundError:
                fd = _open(self.path, os.O_RDWR | os.O_CREAT)
            try:
                is_ours = _try_lock(fd, fcntl.LOCK_EX) and _is_at(self.path, fd)
                if is_ours:
                    os.ftruncate(fd, 0)
                    os.write(fd, b'%d\n' % os.getpid())
                    self._fd = fd
                    return
            except OSError as error:
                raise PidFileError('cannot write PID file %s: %s; check its directory'
                                   % (self.path, error.strerror))
            finally:
                if self._fd is None:
                    os.close(fd)
            time.sleep(TRY_SECONDS)
        raise AlreadyRunning(self.path, _read_pid_at(self.path))

    def release(self) -> None:
        """Remove the file and its lock.  Does nothing if it is not held."""
        if self._fd is None:
            return
        if _is_at(self.path, self._fd):
            try:
                os.unlink(self.path)
            except OSError:
                pass                  # it stays, and is stale: nobody holds its lock
        self.let_go()

    def let_go(self) -> None:
        """Give the lock back and leave the file as it is.  Does nothing if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def fileno(self) -> Optional[int]:
        """The descriptor that holds the lock."""
        return self._fd

    def whereabouts(self) -> str:
        """THERE, GONE or OTHER: where the name of the file leads that is held."""
        assert self._fd is not None
        return whereabouts(self.path, *_identity(self._fd))

    def take_anew(self) -> None:
        """Hold the file that `make` has made in place of the one that is gone.

        Raises PidFileError; what was held is still held then.
        """
        try:
            fd = _open(self.path, os.O_RDWR)
        except FileNotFoundError:
            raise PidFileError('it has gone again')
        if not _try_lock(fd, fcntl.LOCK_EX) or _read_pid(fd) != os.getpid():
            os.close(fd)
            raise PidFileError('another process has made it')
        self.let_go()
        self._fd = fd


class StateLock(PidFile):
    """Held by a daemon and by the process that writes its state, for as long as one of them lives.

    A process that waits for a disk that stalls outlives its daemon, even kill -9, and writes what
    it was asked to once the disk lets it: an old state over the one of a daemon that was started
    meanwhile.  So that one is not started before.
    """

    def acquire_after(self, pid_path: str, seconds: float = WRITER_SECONDS) -> None:
        """Take it, and wait at most so long for the writer of a daemon that has ended.

        Raises AlreadyRunning where a daemon runs with this PID file, PidFileError where the writer
        is still there, or the file cannot be used.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.acquire()
                return
            except AlreadyRunning as error:
                running = running_pid(pid_path)
                if running is not None:
                    raise AlreadyRunning(pid_path, running)
                if time.monotonic() > deadline:
                    raise PidFileError(
                        'a former AHM daemon of %s has ended, but its process that writes the'
                        ' state (PID %d) still waits for the disk, and holds %s: wait until that'
                        ' disk answers, or restart this host. (If that daemon does run, its PID'
                        ' file was removed: it makes it anew at its next health check.)'
                        % (os.path.dirname(self.path), error.pid, self.path))


def pid_path(config: 'Config') -> str:
    """Where the PID file of this configuration is."""
    return os.path.join(config.data_dir, config.pid_file_name)


def make(path: str, pid: int) -> None:
    """Make a PID file where there is nothing, for the daemon to lock. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, b'%d\n' % pid)
    finally:
        os.close(fd)


def whereabouts(path: str, device: int, inode: int) -> str:
    """THERE, GONE or OTHER: where `path` leads, for who holds the file with this inode."""
    try:
        found = os.lstat(path)
    except OSError:
        return GONE
    return THERE if (found.st_dev, found.st_ino) == (device, inode) else OTHER


def running_pid(path: str) -> Optional[int]:
    """Return the process id of the daemon that holds the PID file, or None if none does.

    A file that nobody holds is stale and left as it is: the next `acquire` takes it over.
    Raises PidFileError if the file is held but cannot be used.
    """
    for _ in range(TRIES):
        try:
            fd = _open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if _try_lock(fd, fcntl.LOCK_SH):
                return None           # closing gives it back
            pid = _read_pid(fd)
            owner = os.fstat(fd).st_uid
        finally:
            os.close(fd)
        if pid:
            _check_owner(path, pid, owner)
            return pid
        time.sleep(TRY_SECONDS)       # it is just starting
    raise PidFileError('%s is locked but holds no PID; another program uses this file' % path)


def _open(path: str, flags: int) -> int:
    """Open a regular file that is no link.  Raises PidFileError, or FileNotFoundError."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except FileNotFoundError as error:
        if not flags & os.O_CREAT:
            raise
        raise PidFileError('cannot create PID file %s: %s; create its directory or set another'
                           ' data_dir' % (path, error.strerror))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PidFileError('PID file %s is a symbolic link, expected a file of its own;'
                               ' remove it' % path)
        raise PidFileError('cannot open PID file %s: %s; run AHM as its owner or set another'
                           ' data_dir' % (path, error.strerror))
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(fd)
        raise PidFileError('PID file %s is no regular file with one name; remove it' % path)
    return fd


def _check_owner(path: str, pid: int, owner: int) -> None:
    """Make sure that a file which a stranger made never names a process of somebody else."""
    try:
        with open('/proc/%d/status' % pid) as status:
            uids = [line.split()[1:] for line in status if line.startswith('Uid:')][0]
    except (OSError, IndexError):
        return                        # it ended this instant
    if str(owner) not in uids:
        raise PidFileError('PID file %s is owned by uid %d, but PID %d in it runs as uid %s;'
                           ' no AHM daemon wrote it: remove it' % (path, owner, pid, uids[0]))


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: str, fd: int) -> bool:
    """Return whether `path` still names the open file: its last holder may have removed it."""
    return whereabouts(path, *_identity(fd)) == THERE


def _identity(fd: int) -> Tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino


def _read_pid(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _read_pid_at(path: str) -> int:
    try:
        fd = _open(path, os.O_RDONLY)
    except (OSError, PidFileError):
        return 0
    try:
        return _read_pid(fd)
    finally:
        os.close(fd)
