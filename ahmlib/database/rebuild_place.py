"""Where a rebuild works: beside the data directory, so that two renames put the copy in its place.

    main             the data directory (db_data_dir, links followed)
    main.ahm_copy/   AHM's own: ahm_rebuild (its marker), data (the copy), complete (it is whole)
    main.ahm_old     the data directory before, kept until an operator removes it

    copying          main, and main.ahm_copy with what there is of a copy
    complete         the copy is whole and on disk, configured, a standby by its files
    first rename     main is main.ahm_old now, and nothing is main: the only gap, for an instant
    second rename    main is the copy

Whoever finds the gap finishes it: the copy is whole.  An unfinished copy is removed by the next
rebuild, which knows it by its name and by the marker inside that names this data directory, and
nothing else is ever removed.  The marker is locked by the process that works there, so that one
left behind by a daemon that died is seen.

All of it is done with the rights of the data directory's owner.
"""
import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from typing import IO, Iterator, NamedTuple, Optional

from ahmlib.database import conffile, control
from ahmlib.database.attach_job import Refused
from ahmlib.process.programs import User

COPY_ENDING, KEPT_ENDING = '.ahm_copy', '.ahm_old'
MARKER, COMPLETE, DATA = 'ahm_rebuild', 'complete', 'data'
#: It is often a link to a disk in memory, and holds nothing that has to be copied.
STATISTICS = 'pg_stat_tmp'
MOUNTS = '/proc/self/mountinfo'
#: A process of pg_basebackup that outlived it may still write into what is removed.
REMOVALS, REMOVE_AGAIN_SECONDS = 5, 0.5


class Place(NamedTuple):
    """The paths of one rebuild, and whose rights it works with (None: those of this process)."""

    data_dir: str
    copy: str
    data: str
    kept: str
    user: Optional[User]

    @property
    def parent(self) -> str:
        """The directory in which all of them lie."""
        return os.path.dirname(self.data_dir)


def place_of(data_dir: str) -> Place:
    """Return the Place of this data directory, which may be missing at the moment."""
    path = os.path.realpath(data_dir)
    copy = path + COPY_ENDING
    whose = path if not _is_missing(path) or not os.path.isdir(copy) else copy
    return Place(path, copy, os.path.join(copy, DATA), path + KEPT_ENDING,
                 control.as_owner(whose))


# -- what may not be -----------------------------------------------------------------------------


def refuse_the_impossible(place: Place) -> None:
    """Raise Refused where no copy can be put in the place of this data directory, with the cure."""
    path = place.data_dir
    for mounted in _mounts():
        if mounted == path:
            raise Refused('%s is a mount point, which cannot be renamed: mount that file system '
                          'one directory above, and let the data directory be one in it' % path)
        if mounted.startswith(path + '/'):
            raise Refused('%s is a mount point inside the data directory, and a copy would have '
                          'none: rebuild it by hand' % mounted)
    _refuse_linked_parts(path)
    with control.acting_as(place.user):
        if not os.access(place.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise Refused('the owner of %s may not write in %s, where the copy would lie: give '
                          'that directory to it, or rebuild it by hand' % (path, place.parent))
        if os.path.lexists(place.kept):
            raise Refused('%s, which an earlier rebuild kept, is still there, and AHM deletes no '
                          'data: remove it once nothing in it is needed' % place.kept)
        if os.path.lexists(place.copy) and not is_ours(place) and not _is_empty(place.copy):
            raise Refused('%s is in the way, and is no copy that AHM made of %s: move it away'
                          % (place.copy, path))


def _refuse_linked_parts(path: str) -> None:
    """Raise Refused where a part of the data lies elsewhere, of which a copy would know nothing."""
    for name in sorted(os.listdir(path)):
        part = os.path.join(path, name)
        if os.path.islink(part) and os.path.isdir(part) and name != STATISTICS \
                and (name in ('base', 'global') or name.startswith('pg_')):
            raise Refused('%s is a link to %s, and a copy would have that inside the data '
                          'directory: rebuild it by hand, and a pg_wal with --waldir' % (
                              part, os.readlink(part)))


def refuse_without_space(place: Place, needed_bytes: int) -> None:
    """Raise Refused where the file system has less room than that."""
    found = os.statvfs(place.parent)
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes < needed_bytes:
        raise Refused('a copy of the primary needs %s in %s beside the data directory that is '
                      'kept, and %s are free there' % (
                          size_text(needed_bytes), place.parent, size_text(free_bytes)))


def needed_bytes(database_bytes: int, wal_bytes: int) -> int:
    """Return how much room a copy needs: all databases, what they grow by meanwhile, and the WAL.

    wal_bytes: max_wal_size, about what one checkpoint to the next may write.
    """
    return database_bytes + database_bytes // 20 + wal_bytes


def size_text(count: int) -> str:
    """Return a number of bytes for people: '512 MB', '1.5 GB'."""
    megabytes = count / 1048576.0
    return '%.1f GB' % (megabytes / 1024) if megabytes >= 1024 else '%.0f MB' % megabytes


def _mounts() -> Iterator[str]:
    with open(MOUNTS, encoding='utf-8', errors='surrogateescape') as file:
        for line in file:
            raw = line.split()[4].encode('utf-8', 'surrogateescape')
            # Blanks, tabs, line feeds and backslashes are octal there.
            for code in (b'040', b'011', b'012', b'134'):
                raw = raw.replace(b'\\' + code, bytes([int(code, 8)]))
            yield raw.decode('utf-8', 'surrogateescape')


# -- the copy ------------------------------------------------------------------------------------


def is_ours(place: Place) -> bool:
    """Whether the directory beside is one that AHM made for a copy of this data directory."""
    try:
        if not stat.S_ISDIR(os.lstat(place.copy).st_mode):
            return False
        with open(os.path.join(place.copy, MARKER), encoding='utf-8') as file:
            said = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get('data_dir') == place.data_dir


@contextlib.contextmanager
def working(place: Place) -> Iterator[None]:
    """Hold the directory for the copy, without anything of an earlier one, while inside."""
    with control.acting_as(place.user):
        if is_ours(place):
            with _locked(place):
                _remove(place)
        elif os.path.lexists(place.copy):
            os.rmdir(place.copy)            # made, and not yet marked
        os.mkdir(place.copy, 0o700)
        path = os.path.join(place.copy, MARKER)
        conffile.replace(path, json.dumps({
            'data_dir': place.data_dir, 'what': 'a copy of the primary that AHM is making for '
            'that data directory; ahm_attach_node --rebuild finishes or removes it'}) + '\n')
        conffile.sync_directory(place.parent)
        locked = _lock(place)
    try:
        yield
    except Exception:
        _give_back_the_room(place)
        raise
    finally:
        locked.close()


def _give_back_the_room(place: Place) -> None:
    """Remove a copy that came to nothing, where the data directory is in place."""
    with control.acting_as(place.user):
        if is_ours(place) and not _is_missing(place.data_dir):
            # What cannot be removed now is by the next rebuild, which says why not.
            with contextlib.suppress(OSError):
                _remove(place)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    file = _lock(place)
    try:
        yield
    finally:
        file.close()


def _lock(place: Place) -> IO[bytes]:
    """Lock the marker for this process; the lock goes with it, however it ends."""
    file = open(os.path.join(place.copy, MARKER), 'rb')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Refused('another process of AHM is rebuilding %s, for a daemon that may have died: '
                      'wait until it has ended' % place.data_dir)
    return file


def mark_complete(place: Place) -> None:
    """Note, on disk, that the copy is whole and may take the place of the data directory."""
    with control.acting_as(place.user):
        conffile.sync_directory(place.data)
        conffile.sync_directory(place.copy)
        conffile.replace(os.path.join(place.copy, COMPLETE), '')


def _remove(place: Place) -> None:
    """Remove AHM's own directory for the copy, its marker last."""
    assert is_ours(place), 'only what AHM made is removed'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(place.copy, COMPLETE))
    conffile.sync_directory(place.copy)
    for tried in range(REMOVALS):
        try:
            if os.path.lexists(place.data):
                shutil.rmtree(place.data)
            break
        except OSError:
            if tried + 1 == REMOVALS:
                raise
            time.sleep(REMOVE_AGAIN_SECONDS)
    os.unlink(os.path.join(place.copy, MARKER))
    os.rmdir(place.copy)
    conffile.sync_directory(place.parent)


# -- the swap ------------------------------------------------------------------------------------


def swap(place: Place) -> None:
    """Keep the data directory under its other name, and put the copy in its place.

    Neither may have a server.  Where the second rename is refused the first is undone.
    """
    with control.acting_as(place.user):
        os.rename(place.data_dir, place.kept)
        conffile.sync_directory(place.parent)
        try:
            os.rename(place.data, place.data_dir)
        except OSError:
            os.rename(place.kept, place.data_dir)
            raise
        conffile.sync_directory(place.copy)
        conffile.sync_directory(place.parent)
        _remove(place)


def finish(place: Place) -> bool:
    """Finish a swap that ended between its steps; return whether the copy came into place by it.

    An unfinished copy is left where it is.
    """
    missing = _is_missing(place.data_dir)
    if not is_ours(place):
        if missing and os.path.isdir(place.kept):
            raise Refused('%s is missing, and %s is what a rebuild kept of it: rename that back'
                          % (place.data_dir, place.kept))
        return False
    if not missing and os.path.lexists(place.data):
        return False
    with control.acting_as(place.user), _locked(place):
        if missing:
            if not os.path.lexists(os.path.join(place.copy, COMPLETE)):
                raise Refused('%s is missing, and the copy in %s is not complete: rename %s back'
                              % (place.data_dir, place.copy, place.kept))
            os.rename(place.data, place.data_dir)
            conffile.sync_directory(place.copy)
            conffile.sync_directory(place.parent)
        _remove(place)
    return missing


def _is_missing(path: str) -> bool:
    """Whether there is no such directory, or one that somebody made again, with nothing in it."""
    return not os.path.lexists(path) or _is_empty(path)


def _is_empty(path: str) -> bool:
    try:
        return not os.path.islink(path) and not os.listdir(path)
    except OSError:
        return False
