"""Users as people know them: by name, and by number where there is no name, as in containers."""

import pwd
from typing import Optional


def word(uid: int) -> str:
    """What chown takes for this user: its name, else its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return '%d' % uid


def called(uid: int) -> str:
    """How a message calls this user: by its name, else "uid 4711"."""
    name = word(uid)
    return 'uid %s' % name if name.isdigit() else name


def for_sudo(uid: int) -> str:
    """What `sudo -u` takes for this user, as a shell reads it."""
    name = word(uid)
    return "'#%s'" % name if name.isdigit() else name


def of_process(pid: int) -> Optional[int]:
    """The effective user of a process; None: it has ended, or is hidden.

    Not the owner of /proc/PID: that is root where the process may not be dumped.
    """
    try:
        with open('/proc/%d/status' % pid, encoding='utf-8', errors='replace') as lines:
            return next((int(line.split()[2]) for line in lines if line.startswith('Uid:')), None)
    except OSError:
        return None
