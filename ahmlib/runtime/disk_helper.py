"""The process that waits for a disk, so that the daemon's loop never does.

A disk that stalls holds up whoever writes to it, in the kernel, where no signal ends the wait.  So
the daemon has three of these, for its state, its log and its events: each is asked by a socket,
does one thing after the other, and answers.  It ends when the daemon's end of the socket closes,
after all that was asked for; no signal that ends the daemon ends it before.

A frame is a head (how many bytes follow, and what they are) and a body; both directions have the
same form.  This module is also a program of its own (`python -S disk_helper.py FD`), which takes a
quarter of the memory of a fork of the daemon.  So it imports next to nothing.
"""

import errno
import os
import stat
import struct
import sys
from typing import List, Optional, Tuple

HEAD = struct.Struct('!Ic')
READ_BYTES = 65536

#: What is asked: the PID to be written into a locked file; a file to be replaced, flushed or not;
#: the log to be opened; a line for it; an answer once all before it is done; names to be removed;
#: a line to be appended to a bounded file, and flushed.
PID, SAVE, NOTE, OPEN, LINE, SYNC, REMOVE = b'P', b'S', b'N', b'O', b'L', b'Y', b'R'
KEEP = b'K'
#: What is answered to SAVE, NOTE, KEEP, SYNC; and to a LINE that could not be written.
DONE, FAILED, LOST = b'+', b'-', b'!'

#: In the body of a request, between a path and what else there is.
MARK = b'\0'
STDERR_PATH = b''
#: What the name of a bounded file gets behind it, once it is full.
ROTATED = '.1'


def frame(kind: bytes, body: bytes = b'') -> bytes:
    """The bytes of one frame."""
    return HEAD.pack(len(body), kind) + body


class Frames:
    """Takes bytes as they come and gives frames, as (kind, body)."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, data: bytes) -> List[Tuple[bytes, bytes]]:
        """The frames that are complete with these further bytes, as a list."""
        self._bytes += data
        found = []
        while len(self._bytes) >= HEAD.size:
            length, kind = HEAD.unpack_from(self._bytes)
            end = HEAD.size + length
            if len(self._bytes) < end:
                break
            found.append((kind, bytes(self._bytes[HEAD.size:end])))
            del self._bytes[:end]
        return found


# -- what is done to files -----------------------------------------------------------------------


def replace(path: str, data: bytes, is_durable: bool) -> None:
    """Replace a file by these bytes; with `is_durable` they are on the disk once this returns.

    Raises OSError; the old content is still there then.
    """
    directory = os.path.dirname(path) or '.'
    temporary = _write_temporary(directory, os.path.basename(path), data, is_durable)
    try:
        os.rename(temporary, path)
    except OSError:
        remove_quietly(temporary)
        raise
    if is_durable:
        _sync_directory(directory)


def remove_quietly(path: str) -> None:
    """Remove a file; one that cannot be removed stays."""
    try:
        os.unlink(path)
    except OSError:
        pass


def temporary_parts(name: str) -> Tuple[str, str]:
    """(start, end) of the names of the files that `replace` makes for one of this name."""
    return '.%s.' % name, '.new'


def keep(path: str, bytes_max: int, line: bytes) -> None:
    """Append a line, which is on the disk once this returns.

    A file that would get longer than `bytes_max` is renamed first, to its name with `.1` behind.
    Raises OSError, and adds nothing then.
    """
    fd = _open_kept(path)
    try:
        if os.fstat(fd).st_size + len(line) + 2 > bytes_max:
            os.rename(path, path + ROTATED)
            os.close(fd)
            fd = _open_kept(path)
        size = os.fstat(fd).st_size
        is_torn = size and os.pread(fd, 1, size - 1) != b'\n'    # by who was killed within
        data = (b'\n' if is_torn else b'') + line + b'\n'
        try:
            if os.write(fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)


def _open_kept(path: str) -> int:
    """A link, and a file of somebody else, are refused: a directory may be open to all."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o640)
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() or not stat.S_ISREG(info.st_mode):
        os.close(fd)
        raise OSError(errno.EPERM, 'it is no file of this user: remove it')
    return fd


class AppendedFile:
    """A log file.  One that cannot be opened is tried again with every line."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._fd = -1
        self._is_torn = False
        try:
            self._open()
        except OSError:
            pass

    def write(self, severity: str, data: bytes) -> bool:
        """Append a line; whether it is written.  Raises OSError."""
        if self._fd < 0:
            self._open()
        if self._is_torn:             # half a line went out before the disk was full
            data = b'\n' + data
        data += b'\n'
        written = os.write(self._fd, data)
        self._is_torn = written < len(data) and (written > 0 or self._is_torn)
        return written == len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd > 2:
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> None:
        if self._path == STDERR_PATH:
            self._fd = 2
            return
        # O_NONBLOCK: should this be a FIFO without a reader, nobody must wait for one.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)


def _write_temporary(directory: str, name: str, data: bytes, is_durable: bool) -> str:
    start, end = temporary_parts(name)
    temporary = os.path.join(directory, start + os.urandom(6).hex() + end)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view):]
            if is_durable:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        remove_quietly(temporary)
        raise
    return temporary


def _sync_directory(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- the process ---------------------------------------------------------------------------------


class Server:
    """Does what comes out of the socket `fd`, in order, until the other end is closed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._log: Optional[AppendedFile] = None

    def run(self) -> None:
        """Serve to the end."""
        frames = Frames()
        while True:
            try:
                data = os.read(self._fd, READ_BYTES)
            except OSError:           # the daemon died with an answer unread
                return
            if not data:
                return
            for kind, body in frames.take(data):
                self.DO[kind](self, body)

    def _answer(self, kind: bytes, body: bytes = b'') -> None:
        data = frame(kind, body)
        try:
            while data:
                data = data[os.write(self._fd, data):]
        except OSError:
            pass                      # nobody is there any more who wants to know

    def _write_pid(self, body: bytes) -> None:
        fd = int(body)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b'%d\n' % os.getpid(), 0)
        except OSError:
            pass                      # it only names us in a message

    def _save(self, body: bytes) -> None:
        self._replace(body, is_durable=True)

    def _note(self, body: bytes) -> None:
        self._replace(body, is_durable=False)

    def _replace(self, body: bytes, is_durable: bool) -> None:
        path, _, data = body.partition(MARK)
        try:
            replace(os.fsdecode(path), data, is_durable)
        except OSError as error:
            self._answer(FAILED, os.fsencode(error.strerror or os.strerror(errno.EIO)))
            return
        self._answer(DONE)

    def _keep(self, body: bytes) -> None:
        path, bytes_max, line = body.split(MARK, 2)
        try:
            keep(os.fsdecode(path), int(bytes_max), line)
        except OSError as error:
            self._answer(FAILED, os.fsencode(error.strerror or os.strerror(errno.EIO)))
            return
        self._answer(DONE)

    def _open_log(self, body: bytes) -> None:
        if self._log is not None:
            self._log.close()
        self._log = AppendedFile(body)

    def _line(self, body: bytes) -> None:
        try:
            is_written = self._log is not None and self._log.write('', body)
        except OSError:
            is_written = False
        if not is_written:
            self._answer(LOST)

    def _sync(self, body: bytes) -> None:
        self._answer(DONE)

    def _remove(self, body: bytes) -> None:
        """Remove a name as long as it is that of this file (device, inode)."""
        path, device, inode = body.split(MARK)
        try:
            info = os.lstat(path)
            if (info.st_dev, info.st_ino) == (int(device), int(inode)):
                os.unlink(path)
        except OSError:
            pass                      # a left-over is recognised at the next start

    DO = {PID: _write_pid, SAVE: _save, NOTE: _note, OPEN: _open_log, LINE: _line, SYNC: _sync,
          REMOVE: _remove, KEEP: _keep}


def removal(path: str, info: os.stat_result) -> bytes:
    """The body of a REMOVE of the file of this name and os.stat_result."""
    return MARK.join([os.fsencode(path), b'%d' % info.st_dev, b'%d' % info.st_ino])


if __name__ == '__main__':
    Server(int(sys.argv[1])).run()
    os._exit(0)
