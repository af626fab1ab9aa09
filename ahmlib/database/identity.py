"""Whether the server that answers through conn_string is the one of db_data_dir.

The two are configured apart.  A db_data_dir left over from an upgrade, a conn_string with another
node's address, the VIP or another port: then AHM stops one server and looks at another, and takes
a primary that it does not see for one that does not run.  So each check compares.  What does not
agree is a mismatch, and a node with one does not lead; what cannot be compared is none.

    the process that serves us   works in db_data_dir: it is the one, whatever else is said.
                                 Works elsewhere: another one.  It is ours if it is no older than
                                 our connection, so that a PID of another host or container that
                                 is some other process here proves nothing
    system identifier            against global/pg_control; clones have the same
    what else pg_control says    SQL functions that everybody may call read that very file: when it
                                 was last written, its checkpoint, its end of recovery
    postmaster.pid               its port, and roughly its start time: both are of one clock

The first costs nothing: libpq is told the PID when it connects.  The others, one query, are asked
for where the process is not to be seen here: another host, a container, a pooler.  data_directory
is only quoted, for another host or container may have another directory of that name.

A stop asks less, and without a login: does anything at all answer there (`look`)?

**Another node's server.**  On a standby a conn_string with the VIP reaches the primary: a mismatch,
and rightly, for such a node knows nothing of its own server.  On the node that holds the VIP it
agrees.
"""
import ipaddress
import os
import socket
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.database import conninfo, control, control_file, startup
from ahmlib.database.connection import Connection, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.wal import parse_lsn
from ahmlib.process.deadline import Deadline

LOOKS = 3                               # before a mismatch is believed
LOOK_AGAIN_SECONDS = 0.05
AGE_SLACK_SECONDS = 0.1                 # /proc counts hundredths of a second
#: A postmaster writes its file when it begins, and notes its start time when it has set up all.
SET_UP_SECONDS = 60.0

TOLD = """
    SELECT pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time())::float8,
           current_setting('port')::int, host(inet_server_addr()),
           (SELECT setting FROM pg_settings WHERE name = 'data_directory')"""
CONTROL = """
    SELECT system_identifier::text, extract(epoch FROM pg_control_last_modified)::int8,
           checkpoint_lsn::text, min_recovery_end_lsn::text
      FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery()"""


class Told(NamedTuple):
    """What the server says of itself over the connection; None where it does not tell us."""

    pid: int                            # of the process that serves us
    started: float                      # seconds of its own clock
    port: int
    address: Optional[str]              # where it was reached; None: its UNIX socket
    directory: Optional[str]
    stamp: Optional[control_file.Stamp] = None


def mismatch(settings: DatabaseSettings, connection: Connection) -> str:
    """Return why the server of this open connection is not that of db_data_dir, one line; '' if it
    is, or if that cannot be known.  Raises ConnectionFailed where the connection is lost.
    """
    if not settings.db_data_dir or _serves_from_here(settings, connection, connection.backend_pid):
        return ''
    for look in range(LOOKS):           # it may have been restarted since it answered
        if look:
            time.sleep(LOOK_AGAIN_SECONDS)
        before = _on_file(settings)
        try:
            told = _told(connection)
        except QueryFailed:
            return ''
        why = _difference(settings, connection, told, (before, _on_file(settings)))
        if not why:
            return ''
    return '%s answers at %s: %s; correct conn_string, db_port or db_data_dir' % (
        _name(told), place_text(settings), why)


def place_text(settings: DatabaseSettings) -> str:
    """Return where conn_string leads to, host:port, without anything secret."""
    host, port = places(settings)[0]
    return '%s:%d' % (host or 'the local socket', port)


def places(settings: DatabaseSettings) -> List[Tuple[str, int]]:
    """Return the [(host, port)] that conn_string names, as libpq would try them; '' is a socket."""
    words = _words(settings)
    if not settings.conn_string:
        words = {'host': 'localhost', 'port': str(settings.db_port)}
    hosts = (words.get('hostaddr') or words.get('host') or os.environ.get('PGHOST', '')).split(',')
    told = (words.get('port') or os.environ.get('PGPORT') or '').split(',')
    ports = [int(port) if port.strip().isdigit() else 5432 for port in told]
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    return list(zip(hosts, ports))


def _words(settings: DatabaseSettings) -> Dict[str, str]:
    """The words of conn_string; none where it is malformed."""
    try:
        return conninfo.parse(settings.conn_string or '')
    except ValueError:
        return {}


def is_of_this_host(address: str) -> bool:
    """Return whether an address is one of this host's; True where that cannot be found out.

    The kernel talks to its own addresses from the same address.  (To bind one tells nothing where
    ip_nonlocal_bind is set, as failover managers advise.)
    """
    try:
        if ipaddress.ip_address(address.partition('%')[0]).is_loopback:
            return True
        found = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM,
                                   flags=socket.AI_NUMERICHOST)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as one:
            one.connect(found[4])                   # sends nothing
            return one.getsockname()[0] == found[4][0]
    except (OSError, ValueError):
        return True


class Seen(NamedTuple):
    """Whether a server is there, None where that cannot be found out, and what to say of it."""

    is_there: Optional[bool]
    text: str


def look(settings: DatabaseSettings, limit: float) -> Seen:
    """Return Seen: whether a PostgreSQL server of this host answers at conn_string.

    By the startup packet alone: no login, no psycopg2 to load.  Names are resolved in a thread,
    because a resolver knows no limit; one that hangs leads nobody to a server.
    """
    found: List[Seen] = []
    thread = threading.Thread(target=_into(found, _look_at_all), args=(settings, limit))
    thread.daemon = True
    thread.start()
    thread.join(limit + LOOK_AGAIN_SECONDS)
    return found[0] if found else Seen(False, 'nothing answers at conn_string (%s) within %.3g s'
                                       % (place_text(settings), limit))


def _into(results: List[Seen], function: Callable[..., Seen]) -> Callable[..., None]:
    """A function that appends what `function` returns, or that it failed, which is no silence."""
    def run(*arguments: Any) -> None:
        try:
            results.append(function(*arguments))
        except Exception as error:
            results.append(Seen(None, 'conn_string cannot be looked at: %s: %s' % (
                type(error).__name__, ' '.join(str(error).split()))))
    return run


def _look_at_all(settings: DatabaseSettings, limit: float) -> Seen:
    """One look at each place of conn_string; the first that answers decides."""
    deadline = Deadline(limit)
    user, database = _login(settings)
    places_to_see, seen = places(settings), Seen(False, '')
    for number, (host, port) in enumerate(places_to_see):
        answer = startup.ask(host, port, user, database,
                             deadline.remaining() / (len(places_to_see) - number))
        if answer.answered and answer.address and not is_of_this_host(answer.address):
            seen = Seen(False, 'at conn_string (%s:%d) answers a server of another host, %s'
                        % (host, port, answer.address))
        elif answer.answered:
            return Seen(True, 'a server answers at conn_string (%s:%d): %s%s' % (
                host or 'the local socket', port, answer.message,
                ' (SQLSTATE %s)' % answer.sqlstate if answer.sqlstate else ''))
        elif answer.is_closed_to_us:
            seen = Seen(None, 'whether a server answers at conn_string (%s:%d) cannot be seen: %s'
                        % (host or 'the local socket', port, answer.message))
    return seen


def _login(settings: DatabaseSettings) -> Tuple[str, str]:
    """(user, database) of conn_string, as libpq would take them."""
    words = _words(settings)
    user = words.get('user') or settings.db_user
    return user, words.get('dbname') or settings.db_database or user


def _serves_from_here(settings: DatabaseSettings, connection: Connection,
                      pid: int) -> Optional[bool]:
    """Whether this process, which serves the connection, works in db_data_dir.

    None where there is no such process to be seen, or it is another's of the same number.
    """
    if pid <= 0 or not _is_young(pid, connection.age()):
        return None
    return control.works_in(pid, settings.db_data_dir)


def _is_young(pid: int, age: float) -> bool:
    """Whether a process is there that was born within the last `age` seconds."""
    try:
        process = control.look_up(pid)
        with open('/proc/uptime') as file:
            uptime = float(file.read().split()[0])
    except OSError:
        return False
    if process is None:
        return False
    born = int(process.started) / os.sysconf('SC_CLK_TCK')
    return uptime - born <= age + AGE_SLACK_SECONDS


def _told(connection: Connection) -> Told:
    told = Told(*connection.query(TOLD)[0])
    try:
        identifier, written, checkpoint, end = connection.query(CONTROL)[0]
    except QueryFailed:                 # the right to call these was taken away
        return told
    return told._replace(stamp=control_file.Stamp(identifier, written, parse_lsn(checkpoint),
                                                  parse_lsn(end)))


class OnFile(NamedTuple):
    """What the files of db_data_dir say; None where they cannot be read."""

    stamp: Optional[control_file.Stamp] = None
    is_locked: Optional[bool] = None    # whether there is a postmaster.pid
    started: Optional[int] = None       # line 3 of it
    port: Optional[int] = None          # line 4


def _on_file(settings: DatabaseSettings) -> OnFile:
    data_dir = settings.db_data_dir
    try:
        stamp = control_file.stamp(data_dir)
    except (OSError, ValueError):
        stamp = None
    try:
        with open(os.path.join(data_dir, 'postmaster.pid'), encoding='utf-8',
                  errors='replace') as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        # Only a directory that is there can be seen to have no such file.
        return OnFile(stamp, False if stamp else None)
    except OSError:
        return OnFile(stamp)
    numbers = [int(line) if line.strip().isdigit() else None for line in lines[2:4]]
    return OnFile(stamp, True, *(numbers + [None, None])[:2])


def _difference(settings: DatabaseSettings, connection: Connection, told: Told,
                files: Tuple[OnFile, OnFile]) -> str:
    """Return in words in what they differ; '' where they do not, or where nobody can tell."""
    here = settings.db_data_dir
    works_here = _serves_from_here(settings, connection, told.pid)
    if works_here:
        return ''
    if works_here is False:
        return 'it runs in %s, and db_data_dir is %s%s' % (
            control.directory_of(told.pid), here, _whose(settings))
    first, last = files
    if last.stamp and told.stamp \
            and told.stamp.system_identifier != last.stamp.system_identifier:
        return 'its system identifier is %s, and that of db_data_dir %s is %s' % (
            told.stamp.system_identifier, here, last.stamp.system_identifier)
    if last.is_locked is False:
        return 'no server runs in db_data_dir, %s: there is no postmaster.pid' % here
    return _older_or_elsewhere(settings, told, first, last)


def _older_or_elsewhere(settings: DatabaseSettings, told: Told, first: OnFile, last: OnFile) -> str:
    here = settings.db_data_dir
    if last.port and told.port != last.port:
        return 'its port is %d, and the server of db_data_dir %s has %d' % (
            told.port, here, last.port)
    if last.started and not -2 <= told.started - last.started <= SET_UP_SECONDS:
        return 'it was started %.0f s %s than the server of db_data_dir %s' % (
            abs(told.started - last.started),
            'later' if told.started > last.started else 'earlier', here)
    # A file that changes all the time cannot be compared.
    if told.stamp and last.stamp and first.stamp == last.stamp != told.stamp:
        return 'its control file is another than that in db_data_dir, %s%s' % (
            here, _whose(settings))
    return ''


def _name(told: Told) -> str:
    """What is to be said of a server: the same at every check, or it would be told of each time."""
    words = []
    if told.address and not is_of_this_host(told.address):
        words.append('on another host, %s' % told.address)
    if told.directory:
        words.append('data_directory %s' % told.directory)
    return 'another server' + (' (%s)' % ', '.join(words) if words else '')


def _whose(settings: DatabaseSettings) -> str:
    try:
        pid = control.postmaster(settings.db_data_dir)
    except OSError:
        return ''
    return ' (where no server runs)' if pid is None else ' (whose server has PID %d)' % pid
