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
    unit = unit_of(_proc(pid, 'cgroup').decode('utf-8', 'replace'))
    if not unit:
        return ''
    asked = programs.run(['systemctl', 'show', '-p', 'MainPID', unit], ASK_SECONDS)
    if asked.ok:
        is_main = asked.output.strip() == 'MainPID=%d' % pid
    else:                               # no bus for this user: whom systemd listens to, it started
        is_main = any(word.startswith(b'NOTIFY_SOCKET=')
                      for word in _proc(pid, 'environ').split(b'\0'))
    return unit if is_main else ''


def _proc(pid: int, name: str) -> bytes:
    try:
        with open('/proc/%d/%s' % (pid, name), 'rb') as file:
            return file.read()
    except OSError:                     # it has just ended, or is another user's
        return b''
