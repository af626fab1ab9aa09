"""Which processes are ours, found in /proc by what they are and never by their name.

A lab must end everything it started, also what was started by what it started (a daemon's hook, a
relay that detached itself, a postmaster's children) and nothing else.  Three marks tell: the
working directory (PostgreSQL works in its data directory), the network namespace, and a variable
in the environment that every child inherits.  PostgreSQL overwrites its environment's memory to
show its process title, so for it only the first two hold.
"""
import os
import signal
import time
from typing import Callable, List, Optional

from ahmlib.lab import LabError

POLL_INTERVAL = 0.02


def pids() -> List[int]:
    """The process ids of this machine, as a list of int."""
    return [int(entry) for entry in os.listdir('/proc') if entry.isdigit()]


def _link(pid: int, name: str) -> Optional[str]:
    """Where the link /proc/PID/NAME points to; None where the process is gone, or another's."""
    try:
        return os.readlink('/proc/%d/%s' % (pid, name))
    except OSError:
        return None


def working_below(directory: str) -> List[int]:
    """The ids of the processes whose working directory is `directory` or lies below it."""
    top = os.path.realpath(directory)
    found = []
    for pid in pids():
        where = _link(pid, 'cwd')
        if where is not None and (where + '/').startswith(top + '/'):
            found.append(pid)
    return found


def in_network_namespace(name: str) -> List[int]:
    """The ids of the processes in the network namespace that `ip netns` calls `name`."""
    try:
        inode = os.stat('/run/netns/' + name).st_ino
    except OSError:
        return []
    wanted = 'net:[%d]' % inode
    return [pid for pid in pids() if _link(pid, 'ns/net') == wanted and state(pid) not in 'ZX']


def with_variable(name: str, value: str) -> List[int]:
    """The ids of the processes (but this one) that were started with NAME=VALUE around them."""
    wanted = ('%s=%s' % (name, value)).encode()
    found = []
    for pid in pids():
        if pid != os.getpid() and wanted in _read(pid, 'environ').split(b'\0'):
            found.append(pid)
    return found


def _read(pid: int, name: str) -> bytes:
    """The bytes of /proc/PID/NAME; none where the process is gone, or another's."""
    try:
        with open('/proc/%d/%s' % (pid, name), 'rb') as file:
            return file.read()
    except OSError:
        return b''


def command_line(pid: int) -> List[str]:
    """The argument list of a process, as a list of str; empty where it is gone or a zombie."""
    return [word.decode(errors='replace') for word in _read(pid, 'cmdline').split(b'\0')][:-1]


def state(pid: int) -> str:
    """One letter as in ps: R running, S sleeping, T stopped, Z zombie; X where it is gone."""
    stat = _read(pid, 'stat').decode(errors='replace')
    return stat.rpartition(')')[2].split()[0] if stat else 'X'


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_all(find: Callable[[], List[int]], limit: float = 10.0,
             first: Optional[int] = None) -> None:
    """SIGKILL what find() returns, until it returns nothing; the parent `first` sees none of it.

    That one is stopped before, and killed last.  The newest of the others go first: of a server
    those who write before those who send, else a busy machine leaves its last row to it alone.
    Again and again, because a process may fork between the look and the blow.  Raises LabError when
    some are left after `limit` seconds (a process in uninterruptible sleep).
    """
    deadline = time.monotonic() + limit
    while True:
        left = find()
        if not left:
            return
        if time.monotonic() > deadline:
            raise LabError('processes survive SIGKILL: %s' % left)
        if first is not None and first in left:
            send(first, signal.SIGSTOP)
        for pid in sorted(left, key=lambda pid: (pid == first, -pid)):
            send(pid, signal.SIGKILL)
        time.sleep(POLL_INTERVAL)


def wait_reaped(pid: int, limit: float = 10.0) -> None:
    """Wait while `pid` is a zombie: some machines' init takes seconds to reap an orphan."""
    deadline = time.monotonic() + limit
    while state(pid) == 'Z' and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)


def freeze_all(find: Callable[[], List[int]], limit: float = 5.0) -> None:
    """SIGSTOP what find() returns until all of it is stopped; LabError after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        running = [pid for pid in find() if state(pid) not in 'TtZX']
        if not running:
            return
        if time.monotonic() > deadline:
            raise LabError('processes do not stop: %s' % running)
        for pid in running:
            send(pid, signal.SIGSTOP)
        time.sleep(POLL_INTERVAL)


def thaw_all(find: Callable[[], List[int]]) -> None:
    """SIGCONT to all that find() returns."""
    for pid in find():
        send(pid, signal.SIGCONT)
