"""What a forked child of the daemon does, from the fork to its exit; see `children`.

It first lets go of everything of the daemon's: process group, signal handlers, descriptors.  A
client's socket or the PID file's lock that stayed open here would outlive the daemon.
"""

import gc
import json
import os
import signal
from typing import Any, Callable, Iterable, List, NoReturn, Sequence, Set

RESULT_BYTES_MAX = 1024 * 1024
REASON_CHARACTERS_MAX = 500

#: Ends each line of news; the result comes after all of them, and has no end of its own.
NEWS_END = b'\n'

_FALLBACK_FDS_MAX = 65536
#: Where the daemon reads, in a child; else none.
_PIPES: List[int] = []


def run(write_fd: int, name: str, function: Callable[..., Any], args: Sequence[Any],
        kept_fds: Sequence[int] = ()) -> NoReturn:
    """Call the function, write its result to `write_fd` as JSON, and exit.  Never returns.

    kept_fds: descriptors of the daemon that the function works on.
    """
    _PIPES.append(write_fd)
    try:
        let_go([write_fd] + list(kept_fds))
        _write_all(write_fd, outcome(name, function, args))
    except BaseException:
        # Whatever it is, the daemon's code above us must not go on running in this process.
        os._exit(1)
    os._exit(0)


def tell(text: str) -> None:
    """Tell the daemon what is being done now, for people; nothing outside a child."""
    for pipe in _PIPES:
        _write_all(pipe, json.dumps(text).encode('ascii') + NEWS_END)


def every_signal() -> Set[int]:
    """Return the numbers of all signals that a program may handle."""
    if hasattr(signal, 'valid_signals'):          # from Python 3.8
        return set(signal.valid_signals())
    # The C library keeps 32 and 33 for itself.
    return {signum for signum in range(1, signal.NSIG) if signum not in (32, 33)}


def let_go(kept_fds: Sequence[int], ignored: Iterable[int] = ()) -> None:
    """Let go of everything of the daemon's but these descriptors; ignore these signals."""
    # Collecting a socket object of the daemon would close a descriptor that is ours by then.
    gc.disable()
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for signum in every_signal():
        if callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)
    _close_all_but(kept_fds)
    null = os.open(os.devnull, os.O_RDONLY)
    if null != 0:
        os.dup2(null, 0)
        os.close(null)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_all_but(kept_fds: Sequence[int]) -> None:
    try:
        fds = [int(fd) for fd in os.listdir('/proc/self/fd')]
    except OSError:
        fds = list(range(_FALLBACK_FDS_MAX))
    for fd in fds:
        if fd > 2 and fd not in kept_fds:
            try:
                os.close(fd)
            except OSError:
                pass                  # the descriptor that listed the directory


def outcome(name: str, function: Callable[..., Any], args: Sequence[Any]) -> bytes:
    """Return the function's result, or why there is none, as JSON in bytes."""
    try:
        result = plain(function(*args))
        if not isinstance(result, dict):
            raise TypeError('%s returned %s, expected a dict or a NamedTuple'
                            % (name, type(result).__name__))
        data = json.dumps(result).encode('utf-8')
        if len(data) > RESULT_BYTES_MAX:
            raise ValueError('%s returned %d bytes, expected at most %d'
                             % (name, len(data), RESULT_BYTES_MAX))
        return data
    except BaseException as error:    # SystemExit, too: it is not this function's to decide
        result = {'ok': False, 'reason': reason_of(error)}
        return json.dumps(result).encode('utf-8')


def plain(value: Any) -> Any:
    """Return a value as JSON may hold it: a NamedTuple becomes a dict, at every depth.

    This is where a result leaves the child: on its own, json writes a NamedTuple as a list.
    """
    if hasattr(value, '_asdict'):
        return {name: plain(each) for name, each in zip(value._fields, value)}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def reason_of(error: BaseException) -> str:
    """Return one line that says what an exception says, with its kind."""
    text = ' '.join(str(error).split())
    kind = type(error).__name__
    return ('%s: %s' % (kind, text) if text else kind)[:REASON_CHARACTERS_MAX]


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
