"""Units of systemd: in which one a process runs, and whether it is that one's main process.

The main process of a unit is started and ended by systemd.  Whoever starts another one in its place
has a daemon that systemd does not know, and a unit that reads failed.
"""

import os

from ahmlib.process import programs

#: For systemd's answer, which it has at hand.
ASK_SECONDS = 5.0


def unit_of(cgroups: str) -> str:
    """The unit of a process, by its /proc/PID/cgroup; '' where it runs in none."""
    for line in cgroups.splitlines():
        number, controllers, path = (line.split(':', 2) + ['', ''])[:3]
        if (number == '0' or controllers == 'name=systemd') and path.endswith('.service'):
            return os.path.basename(path)
    return ''


def that_runs(pid: int) -> str:
    """The unit whose main process this is; '' where there is none, or that cannot be told."""
    try:
        with open('/proc/%d/cgroup' % pid, encoding='utf-8', errors='replace') as file:
            unit = unit_of(file.read())
    except OSError:                     # it has just ended
        return ''
    if not unit:
        return ''
    asked = programs.run(['systemctl', 'show', '-p', 'MainPID', unit], ASK_SECONDS)
    is_main = asked.output.strip() == 'MainPID=%d' % pid if asked.ok else _has_from_unit(pid)
    return unit if is_main else ''


def _has_from_unit(pid: int) -> bool:
    """Where this user reaches no bus: whether it has what a unit gives, and no shell.

    Systemd listens to whom it has started.  A process whose environment is closed to its own user
    has capabilities which that one lacks, and could not give to another one.
    """
    try:
        with open('/proc/%d/environ' % pid, 'rb') as file:
            return b'NOTIFY_SOCKET=' in file.read()
    except PermissionError:
        return True
    except OSError:
        return False
