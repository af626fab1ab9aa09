"""What must survive a restart, in one small file: all of it or none of it.

A file holds JSON with a format version and a checksum.  It is written beside its final name,
flushed to the disk, renamed over the old one, and the directory is flushed too: after a crash
at any moment there is either the old content or the new one.  The lease is written the same way
but without flushing, at every renewal: it has no meaning after a crash of the host.  In the daemon
the writing is done by a `disk_helper`.

The directory may be one that everybody can write (/tmp), so a file that somebody else put there,
or a link, is refused: it decides whom this node votes for.
"""

import errno
import hashlib
import json
import os
import stat
from typing import Any, Dict, Optional

from ahmlib.process import users
from ahmlib.runtime import disk_helper

Content = Dict[str, Any]

FORMAT = 1
FILE_BYTES_MAX = 4 * 1024 * 1024

BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'


class StateFileError(Exception):
    """The file must not be used, or cannot be written.  One line: what, and what to do."""


class StateFileCorrupt(Exception):
    """There is a file but its content cannot be relied on.  One line: why."""


def load(path: str) -> Optional[Content]:
    """Return the dict that `save` wrote to `path`, or None if there is no file.

    Raises StateFileError if it is a link, not the daemon's own, or cannot be read: what stands in
    it is not known then, and may be a vote. Raises StateFileCorrupt if its content is not what was
    written.
    """
    data = _read(path)
    return None if data is None else _unpack(path, data)


def save(path: str, content: Content) -> None:
    """Replace the file by `content`, a dict that JSON can hold.  On disk once this returns.

    Raises StateFileError if it cannot be written; the old content is still there then.
    """
    _replace(path, pack(content), is_durable=True)


def load_lease(path: str) -> Optional[Content]:
    """Return the dict that `save_lease` wrote, or None if there is none that can be relied on.

    Raises StateFileError if the file is a link or not the daemon's own.
    """
    try:
        return load(path)
    except StateFileCorrupt:
        return None                   # it is never flushed: half a file is what a crash leaves


def save_lease(path: str, content: Content) -> None:
    """Replace the file by `content` at once for every process, but without waiting for the disk.

    Raises StateFileError if it cannot be written.
    """
    _replace(path, pack(content), is_durable=False)


def boot_id() -> str:
    """Return the text that identifies this boot of the host.  Raises StateFileError."""
    try:
        with open(BOOT_ID_PATH) as file:
            return file.read().strip()
    except OSError as error:
        raise StateFileError('cannot read %s: %s; is /proc mounted?'
                             % (BOOT_ID_PATH, error.strerror))


def pack(content: Content) -> bytes:
    """The bytes of a file with this content, a dict that JSON can hold."""
    text = _canonical(content)
    return ('{"format": %d, "checksum": "%s",\n"content": %s}\n'
            % (FORMAT, _checksum(text), text)).encode('utf-8')


def _unpack(path: str, data: bytes) -> Content:
    try:
        outer = json.loads(data.decode('utf-8'))
    except (ValueError, RecursionError):
        raise StateFileCorrupt('%s is not JSON (%d bytes); it may have been cut short'
                               % (path, len(data)))
    if not isinstance(outer, dict) or not isinstance(outer.get('content'), dict):
        raise StateFileCorrupt('%s is JSON, but not what AHM writes there' % path)
    if outer.get('format') != FORMAT:
        raise StateFileCorrupt('%s has format %r, expected %d; another version of AHM wrote it'
                               % (path, outer.get('format'), FORMAT))
    if outer.get('checksum') != _checksum(_canonical(outer['content'])):
        raise StateFileCorrupt('%s does not match its checksum; it was damaged or edited' % path)
    return outer['content']


def _canonical(content: Content) -> str:
    if not isinstance(content, dict):
        raise TypeError('a dict is expected here, got %s' % type(content).__name__)
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode('utf-8')).hexdigest()


def _read(path: str) -> Optional[bytes]:
    """Return the bytes of a file that is really ours, or None if there is none."""
    # O_NONBLOCK: should it be a FIFO, opening must not wait; fstat refuses it then.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StateFileError('%s is a symbolic link, expected a file of its own; put a regular '
                                 'file with its content in its place' % path)
        raise _unreadable(path, error)
    try:
        _check_own(path, os.fstat(fd))
        data = _read_all(fd)
    except OSError as error:
        raise _unreadable(path, error)
    finally:
        os.close(fd)
    if len(data) > FILE_BYTES_MAX:
        raise StateFileCorrupt('%s has more than %d bytes' % (path, FILE_BYTES_MAX))
    return data


def _read_all(fd: int) -> bytes:
    """Return the content, and a little more than the limit if there is more."""
    data = b''
    while len(data) <= FILE_BYTES_MAX:
        part = os.read(fd, FILE_BYTES_MAX + 1)
        if not part:
            break
        data += part
    return data


def _unreadable(path: str, error: OSError) -> StateFileError:
    """The StateFileError of a file that is there and cannot be read."""
    try:
        _check_own(path, os.lstat(path))
    except StateFileError as its_owner:
        return its_owner              # which says more
    except OSError:
        pass
    return StateFileError('cannot read %s: %s; expected what this node wrote there: make it '
                          'readable for %s, or mend the disk. A start without it would forget '
                          'votes and promises' % (path, error.strerror, users.called(os.geteuid())))


def _check_own(path: str, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise StateFileError('%s is not a regular file; remove it or set another data_dir' % path)
    if info.st_nlink > 1:
        raise StateFileError('%s is a hard link (it has %d names), expected a file of its own;'
                             ' put a copy of it in its place' % (path, info.st_nlink))
    if info.st_uid != os.geteuid():
        raise StateFileError('%s is owned by %s, expected %s, who runs this; %s; do not remove it, '
                             'it holds votes and promises' % (
                                 path, users.called(info.st_uid), users.called(os.geteuid()),
                                 _to_the_owner(path, info.st_uid, os.geteuid())))


def _to_the_owner(path: str, owner: int, here: int) -> str:
    """What to do.  A file of root was made by a start as root, which was a slip; else this is one.
    """
    chown = 'chown %s %s' % (users.word(here), path)
    if owner == 0:
        return chown + ', or run AHM as its owner'
    return 'run AHM as its owner (systemctl start ahm, or sudo -u %s ahm start), or %s where AHM ' \
        'is to run as %s from now on' % (users.for_sudo(owner), chown, users.called(here))


def _replace(path: str, data: bytes, is_durable: bool) -> None:
    try:
        disk_helper.replace(path, data, is_durable)
    except OSError as error:
        raise StateFileError(cannot_write(path, error.strerror))


def cannot_write(path: str, reason: object) -> str:
    """What is said where a file cannot be replaced."""
    return ('cannot write %s: %s; check space and permissions of %s'
            % (path, reason, os.path.dirname(path) or '.'))


def remove_left_over(path: str) -> None:
    """Remove what writers of this file left half written when they were killed.

    Only for who may be sure that none of them is at work.
    """
    directory, name = os.path.split(path)
    start, end = disk_helper.temporary_parts(name)
    try:
        found = os.listdir(directory or '.')
    except OSError:
        return                        # the first save will say it
    for left in found:
        if left.startswith(start) and left.endswith(end):
            disk_helper.remove_quietly(os.path.join(directory, left))
