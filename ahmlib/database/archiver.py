"""What a fast shutdown waits for last: the archiver, however long archive_command takes.

A server that shuts down writes its shutdown checkpoint, lets its walsenders send that to the
standbys, and its archiver archive it.  When the walsenders are gone every standby that was
connected has all of the WAL, and the control file says "shut down": whatever the archiver still
does changes nothing that a promotion could lose.  Its files stay marked as ready, and are archived
at the next start (PostgreSQL documentation, "Continuous Archiving").
"""

import contextlib
import os
import re
from typing import List

from ahmlib.database import control, control_file
from ahmlib.database.control import Process

#: "postgres: archiver ...", with the cluster_name in between where one is set.
_ARCHIVER = re.compile(rb'\S+: ([^ ]+: )?archiver')
#: Who has nothing to do any more by then; checkpointer and I/O workers stay to the end from 18 on.
_IDLE = re.compile(rb'\S+: ([^ ]+: )?(logger|checkpointer|io worker)')


def is_all_that_is_left(data_dir: str, processes: List[Process]) -> bool:
    """Whether of these processes of a server only its archiver has still work to do.

    processes: those that are left, the postmaster among them.
    """
    titles = {process.pid: control.title(process.pid) for process in processes}
    archivers = [pid for pid, title in titles.items() if _ARCHIVER.match(title)]
    if not archivers:
        return False
    parents = {process.pid for process in processes}
    others = [process for process in processes
              if process.pid not in archivers and process.parent in parents
              and process.parent not in archivers and not _IDLE.match(titles[process.pid])]
    return not others and control_file.state(data_dir) == 'shut down'


def unarchived(data_dir: str) -> int:
    """How many WAL files wait to be archived."""
    return len(_ready(data_dir))


def waiting_since(data_dir: str) -> List[float]:
    """Since when each of them waits, in seconds since the epoch, the oldest first."""
    found = []
    for path in _ready(data_dir):
        with contextlib.suppress(OSError):      # archived by now
            found.append(os.stat(path).st_mtime)
    return sorted(found)


def _ready(data_dir: str) -> List[str]:
    """The paths of the files that say so; none where this user may not look."""
    for place in ('pg_wal', 'pg_xlog'):
        directory = os.path.join(data_dir, place, 'archive_status')
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        return [os.path.join(directory, name) for name in names if name.endswith('.ready')]
    return []
