"""Leaving the terminal, and telling whoever typed `start` whether the start succeeded.

    the command ──fork──▶ (session leader) ──fork──▶ the daemon
        │                                               │ ready(ok, message)
        └──────────────── waits on a pipe ◀─────────────┘
        exits 0, or prints the message and exits 1

The second fork makes sure that the daemon can never get a terminal again.  If it dies before it
is ready, its end of the pipe closes, and the command says so instead of claiming success.
"""

import os
import sys
from typing import Callable, NoReturn

from ahmlib.utilities.progress import Progress

MESSAGE_BYTES_MAX = 64 * 1024

_OK = b'+'
_FAILED = b'-'


def say(ok: bool, message: str) -> None:
    """How the command that was typed tells of the start: the message, if there is one."""
    if message:
        sys.stderr.write(message + '\n')


def detach(tell: Callable[[bool, str], None] = say) -> Callable[..., None]:
    """Go on as a daemon; return `ready(ok, message='')`, which must be called once it is up.

    The process that called does not return from here: it waits, has `tell(ok, message)` say what
    came of it, and exits with 0 or 1.  In the daemon, stdin, stdout and stderr are /dev/null
    and the working directory is `/`: resolve relative paths before.
    """
    ensure_stdio()
    sys.stdout.flush()
    sys.stderr.flush()
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child:
        os.close(write_fd)
        os.waitpid(child, 0)
        _wait_and_exit(read_fd, tell)
    os.close(read_fd)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir('/')
    # Nothing the daemon makes may be written by everybody, however loose the umask was.
    os.umask(os.umask(0o022) | 0o022)
    _redirect_stdio()
    return _readiness(write_fd)


def ensure_stdio() -> None:
    """Open /dev/null for each of the descriptors 0 to 2 that is closed.

    A process started without them would get its first sockets there, and children write to them.
    """
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def _readiness(write_fd: int) -> Callable[..., None]:
    """Return the function that reports through the pipe, once."""
    open_fds = [write_fd]

    def ready(ok: bool, message: str = '') -> None:
        """Tell the waiting command that the daemon is up, or why it is not, or what to warn of."""
        if not open_fds:
            return
        data = (_OK if ok else _FAILED) + message.encode('utf-8', 'backslashreplace')
        fd = open_fds.pop()
        try:
            os.write(fd, data[:MESSAGE_BYTES_MAX])
        except OSError:
            pass                      # the command was interrupted: nobody is waiting
        os.close(fd)

    return ready


def _wait_and_exit(read_fd: int, tell: Callable[[bool, str], None]) -> NoReturn:
    try:
        # Its thread begins here, after the fork, and is none of the daemon's.
        with os.fdopen(read_fd, 'rb') as pipe, Progress('start') as progress:
            progress.step = 'waits until the daemon is up'
            data = pipe.read()
    except KeyboardInterrupt:
        data = _FAILED + b'interrupted; the daemon may still be starting'
    message = data[1:].decode('utf-8', 'replace')
    is_ok = data[:1] == _OK
    if not data:
        message = 'the daemon ended before it was ready; its log may say why'
    tell(is_ok, message)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: nothing that the caller prepared for the daemon is to be undone here.
    os._exit(0 if is_ok else 1)


def _redirect_stdio() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
