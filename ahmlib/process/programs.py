"""Running a program on behalf of AHM: bounded in time, in output, and honest about failure.

A program runs without a shell, stdin from /dev/null, in a session (so a process group) of its
own, and is killed with its whole group at its limit.  "Could not be started" is told apart
from "ran and failed": a VIP command that does not exist must never look like one that worked.

The reader does not wait for the end of the output but for the end of the program, because a
program that leaves a daemon behind (pg_ctl, a start script) leaves its stdout open with it.
"""
import ctypes
import os
import select
import signal
import subprocess
import time
from typing import IO, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

OUTPUT_MAX = 4096           # bytes kept of the output: the tail, where errors are
POLL_SECONDS = 0.005        # between looks whether the program has ended
READ_MAX = 65536

Environment = Mapping[str, str]
Output = Union[int, IO[bytes]]      # where it goes, as subprocess takes it

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class User(NamedTuple):
    """An operating-system user as whom a program can be run."""

    name: str
    uid: int
    gid: int
    groups: Tuple[int, ...]     # supplementary group ids
    home: str


class Outcome(NamedTuple):
    """What became of a program."""

    started: bool           # False: it could not be executed at all
    code: Optional[int]     # exit status; negative: ended by that signal; None: never ended
    timed_out: bool
    output: str             # tail of stdout and stderr together
    reason: str             # one line; '' when it ended with exit status 0

    @property
    def ok(self) -> bool:
        """True when the program ran and ended with exit status 0."""
        return self.code == 0 and not self.timed_out


def run(argv: Sequence[str], limit: float, user: Optional[User] = None,
        environment: Optional[Environment] = None,
        output_file: Optional[IO[bytes]] = None) -> Outcome:
    """Run `argv` for at most `limit` seconds and return its Outcome; never raises for it.

    `user` (a User) is whom to run as, None the present one.  `environment` is added to the
    present one.  With `output_file` (a file object) the output goes there instead.
    """
    try:
        child = _start(argv, user, environment, output_file or subprocess.PIPE)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Outcome(False, None, False, '', 'cannot run %s: %s; check the path and the '
                       'permissions' % (_shown(argv), _why(error)))
    output, timed_out = _attend(child, limit)
    if timed_out:
        kill_group(child)
    text = output.decode('utf-8', 'replace')
    if timed_out:
        return Outcome(True, None, True, text, '%s had not ended after %.3g s and was killed' % (
            _shown(argv), limit))
    return Outcome(True, child.returncode, False, text, _verdict(argv, child.returncode, text))


def last_line(text: str, length: int = 300) -> str:
    """Return the last line of `text` that says anything, cut to `length` characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:length] if lines else ''


def start(argv: Sequence[str], output: Output = subprocess.DEVNULL, user: Optional[User] = None,
          environment: Optional[Environment] = None) -> 'subprocess.Popen[bytes]':
    """Start `argv` in a session of its own and return the Popen; raises OSError."""
    return _start(argv, user, environment, output)


def kill_group(child: 'subprocess.Popen[bytes]') -> None:
    """Kill the whole process group of a Popen made here, and reap it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        pass
    # SIGKILL cannot be refused but can be late (uninterruptible I/O): do not wait for ever.
    until = time.monotonic() + 0.5
    while child.poll() is None and time.monotonic() < until:
        time.sleep(POLL_SECONDS)


def end_with(parent: int) -> None:
    """Let this process be killed when `parent`, which forked it, ends; so now, if it has."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def _start(argv: Sequence[str], user: Optional[User], environment: Optional[Environment],
           output: Output) -> 'subprocess.Popen[bytes]':
    if not argv:
        raise ValueError('the command is empty')
    env = dict(os.environ)
    if user is not None:
        env.update(HOME=user.home, USER=user.name, LOGNAME=user.name)
    env.update(environment or {})
    parent = os.getpid()

    def prepare() -> None:
        # In the new process, before exec.  It dies with its parent, so that the daemon's kill
        # of our process group also ends a program that has a group of its own.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if user is not None:
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
        end_with(parent)

    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                            stderr=subprocess.STDOUT, env=env, preexec_fn=prepare,
                            start_new_session=True, cwd='/' if user is not None else None)


def _attend(child: 'subprocess.Popen[bytes]', limit: float) -> Tuple[bytes, bool]:
    """Read until the program ends or the limit passes: (tail of the output, timed out)."""
    until = time.monotonic() + limit
    tail = b''
    pipe = child.stdout
    try:
        while True:
            ended = child.poll() is not None
            if pipe is not None:
                tail, is_open = _read_waiting(pipe, tail, 0.0 if ended else POLL_SECONDS)
                if not is_open:
                    pipe.close()
                    pipe = None
            elif not ended:
                time.sleep(POLL_SECONDS)
            if ended:
                return tail, False
            if time.monotonic() >= until:
                return tail, True
    finally:
        if pipe is not None:
            pipe.close()


def _read_waiting(pipe: IO[bytes], tail: bytes, patience: float) -> Tuple[bytes, bool]:
    """Take what the pipe has, waiting `patience` seconds: (new tail, whether still open)."""
    poller = select.poll()
    poller.register(pipe, select.POLLIN | select.POLLHUP)
    if not poller.poll(patience * 1000):
        return tail, True
    data = os.read(pipe.fileno(), READ_MAX)
    return (tail + data)[-OUTPUT_MAX:], bool(data)


def _verdict(argv: Sequence[str], code: int, output: str) -> str:
    if code == 0:
        return ''
    how = 'was ended by signal %d' % -code if code < 0 else 'exited with status %d' % code
    said = last_line(output)
    return '%s %s%s' % (_shown(argv), how, ': ' + said if said else '')


def _shown(argv: Sequence[str]) -> str:
    # The program only: arguments may carry a password.
    return repr(str(argv[0])) if argv else 'an empty command'


def _why(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
