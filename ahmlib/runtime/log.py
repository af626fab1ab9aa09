"""The log: one event, one line, and never a reason for the daemon to wait or to fail.

A line is written with one write that cannot block, or handed to a process that may: a stuck pipe
or a full disk costs the line, which is counted and reported once writing works again.  The same
line again becomes a count.
Whatever is in a message, it stays on its line: control characters are escaped.
"""

import os
import re
import select
import socket
import syslog
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, Optional, Sequence, Tuple

from ahmlib.runtime.disk import is_a_file
from ahmlib.runtime.disk_helper import STDERR_PATH, AppendedFile

if TYPE_CHECKING:
    from ahmlib.runtime.loop import Clock

SEVERITIES = ('DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL')
STDERR = 'stderr'
SYSLOG = 'syslog'

# Up to PIPE_BUF (4,096) bytes, a pipe that says it can be written takes a line without blocking.
LINE_BYTES_MAX = 4000
REPEAT_SECONDS = 30.0
BOUNDED_KEYS_MAX = 1000

_SYSLOG_SOCKET = '/dev/log'
_SYSLOG_LEVELS = {
    'DEBUG': syslog.LOG_DEBUG, 'INFO': syslog.LOG_INFO, 'NOTICE': syslog.LOG_NOTICE,
    'WARNING': syslog.LOG_WARNING, 'ERROR': syslog.LOG_ERR, 'CRITICAL': syslog.LOG_CRIT,
}


class Log:
    """Writes lines of at least one severity to stderr, a file or syslog.

    prefix: the text before every message; `%l` severity, `%p` PID, `%t` local time, `%n` node
        name, `%%` a percent sign.
    severity: the least of SEVERITIES that is written.
    destination: 'stderr', 'syslog', or the path of a file that is appended to.
    node_name: what `%n` stands for.
    clock: monotonic seconds, for repeated and rate-limited lines; never for `%t`.
    open_file: returns what writes to the file of a path (STDERR_PATH: to the file that stderr is);
        the daemon gives one that does not wait for a disk, `disk.LogWriter.open`.
    lost_lines: how many lines could not be written since the start.
    """

    def __init__(self, prefix: str, severity: str, destination: str, node_name: str, clock: 'Clock',
                 open_file: Callable[[bytes], Any] = AppendedFile) -> None:
        self.lost_lines = 0
        self.node_name = node_name
        self._clock = clock
        self._open_file = open_file
        self._sink: Any = None
        self._lost_reported = 0
        #: Severity and text that a further one would repeat.
        self._last_line: Optional[Tuple[str, str]] = None
        self._last_at = 0.0
        self._repeats = 0
        #: Key -> the instant before which it is not written again.
        self._bounded_until: Dict[Hashable, float] = {}
        self.configure(prefix, severity, destination)

    def configure(self, prefix: str, severity: str, destination: str) -> None:
        """Apply settings, at start and at a reload.  Raises ValueError for a wrong severity."""
        if severity not in SEVERITIES:
            raise ValueError('log severity %r found, expected one of %s'
                             % (severity, ', '.join(SEVERITIES)))
        if self._sink is not None:
            self.close()
        self.prefix = prefix
        self.severity = severity
        self.destination = destination
        self._sink = self._open_sink(destination)

    def debug(self, message: str, *args: object) -> None:
        """Write at DEBUG; `message % args` where there are any.  Likewise the ones below."""
        self.write('DEBUG', message, *args)

    def info(self, message: str, *args: object) -> None:
        """Write at INFO."""
        self.write('INFO', message, *args)

    def notice(self, message: str, *args: object) -> None:
        """Write at NOTICE."""
        self.write('NOTICE', message, *args)

    def warning(self, message: str, *args: object) -> None:
        """Write at WARNING."""
        self.write('WARNING', message, *args)

    def error(self, message: str, *args: object) -> None:
        """Write at ERROR."""
        self.write('ERROR', message, *args)

    def critical(self, message: str, *args: object) -> None:
        """Write at CRITICAL."""
        self.write('CRITICAL', message, *args)

    def write(self, severity: str, message: str, *args: object) -> None:
        """Write one event as one line, if `severity` is written at all.  Never raises."""
        if SEVERITIES.index(severity) < SEVERITIES.index(self.severity):
            return
        message = one_line(_format(message, args))
        now = self._clock()
        if (severity, message) == self._last_line:
            self._repeats += 1
            if now - self._last_at >= REPEAT_SECONDS:
                self.flush()
                self._last_at = now
            return
        self.flush()
        self._last_line = (severity, message)
        self._last_at = now
        self._emit(severity, message)

    def flush(self) -> None:
        """Write the count of a repeated line now, if there is one."""
        repeats, self._repeats = self._repeats, 0
        if repeats and self._last_line is not None:
            self._emit(self._last_line[0], 'last line repeated %d time%s'
                       % (repeats, '' if repeats == 1 else 's'))

    def bounded(self, key: Hashable, seconds: float) -> bool:
        """Return True at most once in `seconds` for one `key`: whether to write a line of it.

        Kept for a bounded number of keys; what overflows is forgotten, the oldest first.
        """
        now = self._clock()
        if now < self._bounded_until.get(key, now):
            return False
        self._bounded_until.pop(key, None)
        if len(self._bounded_until) >= BOUNDED_KEYS_MAX:
            del self._bounded_until[min(self._bounded_until, key=self._bounded_until.__getitem__)]
        self._bounded_until[key] = now + seconds
        return True

    def reopen(self) -> None:
        """Open the file anew, after logrotate moved the old one away (SIGHUP)."""
        self.flush()
        self._sink.close()
        self._sink = self._open_sink(self.destination)

    def close(self) -> None:
        """Write what is pending and let go of the file or socket."""
        self.flush()
        self._last_line = None
        self._sink.close()

    def _open_sink(self, destination: str) -> Any:
        if destination == SYSLOG:
            return _Syslog()
        if destination == STDERR and not is_a_file(2):
            return _Stderr()
        return self._open_file(STDERR_PATH if destination == STDERR else os.fsencode(destination))

    def _emit(self, severity: str, message: str) -> None:
        if self.lost_lines > self._lost_reported:
            missing = self.lost_lines - self._lost_reported
            note = '%d log line%s could not be written' % (
                missing, '' if missing == 1 else 's')
            if self._write_line('WARNING', note):
                self._lost_reported = self.lost_lines
        if not self._write_line(severity, message):
            self.lost_lines += 1

    def _write_line(self, severity: str, message: str) -> bool:
        prefix = one_line(expand_prefix(self.prefix, severity, self.node_name))
        data = (prefix + message).encode('utf-8', 'backslashreplace')
        if len(data) > LINE_BYTES_MAX:
            shortened = data[:LINE_BYTES_MAX - 3].decode('utf-8', 'ignore')
            data = shortened.encode('utf-8') + b'...'
        try:
            return self._sink.write(severity, data)
        except OSError:
            return False


def syslog_problem() -> str:
    """Why lines for syslog would be lost now, or ''."""
    sink = _Syslog()
    try:
        sink.connect()
    except OSError as error:
        return '%s: %s' % (_SYSLOG_SOCKET, error.strerror)
    finally:
        sink.close()
    return ''


def marked(severity: str, text: str) -> str:
    """Return `text`, every line with the mark of its severity where stderr leads to the journal.

    Without it systemd-journald takes all for INFO (sd-daemon(3)).
    """
    if not leads_to_the_journal(2):
        return text
    return re.sub('^', _mark(severity), text, flags=re.MULTILINE)


def leads_to_the_journal(fd: int) -> bool:
    """Whether a descriptor is the one that JOURNAL_STREAM names, and nobody has redirected it."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get('JOURNAL_STREAM') == '%d:%d' % (found.st_dev, found.st_ino)


def _mark(severity: str) -> str:
    return '<%d>' % _SYSLOG_LEVELS[severity]


def one_line(text: str) -> str:
    """Return `text` with everything escaped that could end a line or steer a terminal."""
    if text.isprintable():
        return text
    return ''.join(_escape(character) for character in text)


def expand_prefix(prefix: str, severity: str, node_name: str) -> str:
    """Return `prefix` with its `%` escapes replaced; an unknown escape stays as it is."""
    parts = prefix.split('%%')
    values = (('%l', severity), ('%p', str(os.getpid())), ('%t', _timestamp()))
    for name, value in values:
        parts = [part.replace(name, value) for part in parts]
    # The name last: what a node is called is not to be expanded again.
    return '%'.join(part.replace('%n', node_name or '') for part in parts)


def _format(message: str, args: Sequence[object]) -> str:
    if not args:
        return str(message)
    try:
        return message % tuple(args)
    except (TypeError, ValueError):   # a slip in a message must not end the daemon
        return '%s %r' % (message, args)


def _timestamp() -> str:
    now = time.time()
    milliseconds = int(now % 1 * 1000)
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now)) + '.%03d' % milliseconds


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    named = {'\n': '\\n', '\r': '\\r', '\t': '\\t'}.get(character)
    if named:
        return named
    code = ord(character)
    return '\\x%02x' % code if code < 256 else '\\u%04x' % code


class _Stderr:
    """Descriptor 2 as it is: it may be a terminal shared with a shell, so its flags stay."""

    def __init__(self) -> None:
        self._is_marked = leads_to_the_journal(2)

    def write(self, severity: str, data: bytes) -> bool:
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if not poll.poll(0):
            return False
        mark = _mark(severity).encode('ascii') if self._is_marked else b''
        data = mark + data + b'\n'
        return os.write(2, data) == len(data)

    def close(self) -> None:
        pass


class _Syslog:
    """The local syslog socket, written without blocking.

    The C library's syslog(3), and so the `syslog` module, waits for a syslog daemon that is
    stuck: it would stop this node's loop.
    """

    def __init__(self) -> None:
        self._socket: Optional[socket.socket] = None

    def write(self, severity: str, data: bytes) -> bool:
        connection = self._socket or self.connect()
        priority = syslog.LOG_DAEMON | _SYSLOG_LEVELS[severity]
        head = '<%d>%s ahm[%d]: ' % (priority, _syslog_time(), os.getpid())
        try:
            connection.send(head.encode('ascii') + data)
        except BlockingIOError:
            return False
        except OSError:               # the syslog daemon was restarted: once more, anew
            self.close()
            self.connect().send(head.encode('ascii') + data)
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def connect(self) -> socket.socket:
        """Open the socket anew, and return it.  Raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            connection.setblocking(False)
            connection.connect(_SYSLOG_SOCKET)
        except OSError:
            connection.close()
            raise
        self._socket = connection
        return connection


def _syslog_time() -> str:
    # RFC 3164 wants English month names and a day padded with a blank, whatever the locale.
    now = time.localtime()
    months = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun',
              'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')
    return '%s %2d %02d:%02d:%02d' % (months[now.tm_mon - 1], now.tm_mday,
                                      now.tm_hour, now.tm_min, now.tm_sec)
