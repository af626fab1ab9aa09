"""Where the lease file is: in memory, for it is written at every renewal, and never on a disk that
could hold it up.

It means nothing after the host was started anew, so what goes with the memory is not missed.  The
place has to be the same for every start, whoever starts the daemon: $XDG_RUNTIME_DIR is not, and
goes when its user logs out.  Where there is no such place it is in data_dir, and written as the
state is.  A file that somebody else put into a directory that everybody can write is left alone,
and the next place is taken.
"""

import hashlib
import os
import stat
from typing import Dict, List, Sequence

from ahmlib.config.rules import LEASE_NAME

PLACES = ('/run/ahm', '/run', '/dev/shm')
IN_MEMORY = ('tmpfs', 'ramfs')
MOUNTS = '/proc/self/mountinfo'


def lease_paths(data_dir: str, places: Sequence[str] = PLACES) -> List[str]:
    """Where the lease of the daemon of this data_dir may be, as a list: the best place first.

    The last one is in data_dir; all others are in memory.
    """
    name = _name(data_dir)
    kinds = _kinds()
    paths = [os.path.join(place, name) for place in places if _is_in_memory(place, kinds)]
    return [path for path in paths if _is_ours(path)] + [os.path.join(data_dir, LEASE_NAME)]


def _name(data_dir: str) -> str:
    """A name for this directory alone: of several daemons, containers and users on one host."""
    info = os.stat(data_dir)
    text = '%s %d %d' % (os.path.realpath(data_dir), info.st_dev, info.st_ino)
    return 'ahm-%d-%s.lease' % (os.geteuid(), hashlib.sha256(os.fsencode(text)).hexdigest()[:16])


def _is_in_memory(place: str, kinds: Dict[int, str]) -> bool:
    try:
        device = os.stat(place).st_dev
    except OSError:
        return False
    return kinds.get(device) in IN_MEMORY and os.access(place, os.R_OK | os.W_OK | os.X_OK)


def _kinds() -> Dict[int, str]:
    """The kind of each file system that is mounted here, by its device."""
    found = {}
    try:
        with open(MOUNTS, encoding='utf-8', errors='replace') as mounts:
            for line in mounts:
                words = line.split()
                major, _, minor = words[2].partition(':')
                kind = words[words.index('-') + 1]
                found[os.makedev(int(major), int(minor))] = kind
    except (OSError, ValueError, IndexError):
        return found                  # what cannot be told is no memory
    return found


def _is_ours(path: str) -> bool:
    """Whether there is nothing, or a file of this user's own that no other name leads to."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_nlink == 1 and info.st_uid == os.geteuid()
