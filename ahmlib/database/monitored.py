"""What monitors are told of the WAL directory: its room, and where the timelines before ended.

No decision rests on it, so it is looked at by a child of its own: a directory that does not answer
costs monitors these figures, and no check of the database.
"""
import os
from typing import NamedTuple, Optional, Tuple

from ahmlib.database import control, wal


class Ended(NamedTuple):
    """A timeline that was left: `began_at` is when its follower `next` began, as its file says."""

    timeline: int
    lsn: int
    reason: str
    next: int
    began_at: Optional[float]       # seconds since 1970: of a copy, when it was copied


class Monitored(NamedTuple):
    """What was found.  `ok` is False, with a reason, where the directory cannot be read."""

    ok: bool
    reason: str = ''
    timeline: int = 0               # whose history it is
    free_bytes: int = 0             # for the owner of the server
    ended: Tuple[Ended, ...] = ()   # the earliest first


def look(data_dir: str, timeline: int) -> Monitored:
    """Return the Monitored of this server, whose timeline is this one (0: not known)."""
    place = wal.directory(data_dir)
    try:
        with control.acting_as(control.as_owner(data_dir)):
            found = os.statvfs(place)
    except OSError as error:
        return Monitored(False, '%s: %s' % (place, error.strerror))
    return Monitored(True, '', timeline, found.f_bavail * found.f_frsize,
                     _ended(data_dir, timeline))


def _ended(data_dir: str, timeline: int) -> Tuple[Ended, ...]:
    """The timelines before this one, by its history file."""
    text = wal.history_text(data_dir, timeline) if timeline > 1 else None
    switches = wal.parse_history(text or b'')
    following = [number for number, _ in switches[1:]] + [timeline]
    return tuple(
        Ended(number, lsn, _reason(text or b'', number), after, _began_at(data_dir, after))
        for (number, lsn), after in zip(switches, following))


def _reason(text: bytes, timeline: int) -> str:
    """Why the server left this timeline, in its own words."""
    for line in text.decode('utf-8', 'replace').splitlines():
        words = line.split(None, 2)
        if words[:1] == [str(timeline)] and len(words) == 3:
            return words[2].strip()
    return ''


def _began_at(data_dir: str, timeline: int) -> Optional[float]:
    path = os.path.join(wal.directory(data_dir), wal.history_name(timeline))
    try:
        with control.acting_as(control.as_owner(data_dir)):
            return os.stat(path).st_mtime
    except OSError:
        return None
