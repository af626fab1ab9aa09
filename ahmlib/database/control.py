"""Where the database server lives: its programs, its postmaster, its processes, its owner.

All of it is read from /proc and from postmaster.pid, because a server that hangs answers no
question.  postmaster.pid alone proves nothing: it outlives a crash, and its PID may belong to
another program by now.  A process belongs to the server when its working directory is the data
directory (PostgreSQL changes to it first of all) and it runs a server program; a process that
archive_command or an operator's shell started there is not one.

What cannot be looked at is never taken for absent: Blind is raised, and whoever asked refuses.
"""
import contextlib
import errno
import os
import pwd
import re
import shutil
from typing import Iterator, List, NamedTuple, Optional

from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.programs import User

# AgensSQL and AgensGraph bring ag_ctl; the server program is called postgres in all of them.
CONTROL_PROGRAMS = ('ag_ctl', 'pg_ctl')
# What says nothing about the process that was looked at.
UNAVAILABLE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
SERVER_PROGRAM = re.compile(r'(edb-)?postgres(-?\d+)?$|postmaster$')


class Process(NamedTuple):
    """One process.  The start time tells it from a later one that was given the same PID."""

    pid: int
    started: str            # /proc/<pid>/stat field 22, clock ticks since boot
    parent: int
    state: str              # one letter: R, S, D, T (stopped), Z (zombie) ...


def find_program(bin_dir: str, *names: str) -> Optional[str]:
    """Return the path of the first of `names` that exists in `bin_dir` ('': on PATH), or None."""
    for name in names:
        path = os.path.join(bin_dir, name) if bin_dir else shutil.which(name)
        if path and os.access(path, os.X_OK):
            return path
    return None


def pg_ctl(settings: DatabaseSettings) -> Optional[str]:
    """Return the path of ag_ctl or pg_ctl, or None."""
    return find_program(settings.db_bin_dir, *CONTROL_PROGRAMS)


class Blind(OSError):
    """The server's processes cannot be seen from here; the text says why, and what to do."""


def postmaster(data_dir: str) -> Optional[int]:
    """Return the PID of the living postmaster of `data_dir`, or None; raises Blind.

    None also for a stale postmaster.pid: no such process, a zombie, or another program.  Where
    that file is gone, empty or garbage it is found among the processes.
    """
    refuse_blind(data_dir)
    try:
        pid = _recorded_pid(data_dir)
    except (OSError, ValueError):
        return _root(server_processes(data_dir))
    # A single-user server writes its PID negated; it is no postmaster, but it is a process of
    # the server (server_processes).
    program = _program(pid, _Place(data_dir)) if pid > 0 else None
    if program is None or look_up(pid) is None:
        return None
    # A derivative may call its server otherwise; it still lies beside its control program.
    return pid if _is_server_program(program) or _has_control_program(program) else None


def _root(processes: List[Process]) -> Optional[int]:
    """The PID of the one that has children among these processes, and no parent; else None."""
    pids = {process.pid for process in processes}
    parents = {process.parent for process in processes}
    return next((process.pid for process in processes
                 if process.pid in parents and process.parent not in pids), None)


def why_blind(data_dir: str) -> str:
    """Return why the server's processes cannot be seen from here, one line; '' if they can.

    A server that cannot be seen must never be taken for one that does not run.  It runs as the
    owner of its data directory or not at all, so whoever is that owner sees it in /proc, even
    where the directory cannot be read any more; and whose process an old PID is now, is no matter.
    """
    if not data_dir:
        return 'db_data_dir is not set'
    try:
        pid = abs(_recorded_pid(data_dir))
    except FileNotFoundError:
        return ''                               # seen to be absent
    except (OSError, ValueError) as error:
        # Root sees all processes, unless it was robbed of its rights, which is when a
        # file is closed to it.
        sees_all = os.geteuid() == 0 and not isinstance(error, PermissionError)
        return '' if sees_all or _is_ours(data_dir) else _blind(error, data_dir)
    return _why_unseen(pid, data_dir)


def _why_unseen(pid: int, data_dir: str) -> str:
    """Why the process on file cannot be looked at; '' where it can, or where there is none.

    A process of somebody else than the owner is no server of this directory, seen or not.
    """
    try:
        os.readlink('/proc/%d/cwd' % pid)
    except PermissionError as error:
        return '' if _is_of_another(pid, data_dir) else _blind(error, data_dir)
    except OSError:
        try:
            os.kill(pid, 0)
        except PermissionError as error:        # hidepid: it is there, and /proc does not show it
            error.filename = 'process %d' % pid
            return _blind(error, data_dir)
        except OSError:
            pass                                # no such process
    return ''


def _is_of_another(pid: int, data_dir: str) -> bool:
    try:
        with open('/proc/%d/status' % pid) as file:
            words = next(line.split() for line in file if line.startswith('Uid:'))
        return int(words[1]) != os.stat(data_dir).st_uid
    except (OSError, StopIteration):
        return False


def refuse_blind(data_dir: str) -> None:
    """Raise Blind where the server's processes cannot be seen from here."""
    blind = why_blind(data_dir)
    if blind:
        raise Blind(blind)


def _blind(error: Exception, data_dir: str) -> str:
    path = os.path.join(data_dir, 'postmaster.pid')
    return ('cannot look at %s: %s; AHM must run as the user that owns %s, or as root with '
            'CAP_SYS_PTRACE' % (getattr(error, 'filename', None) or path,
                                getattr(error, 'strerror', None) or error, data_dir))


def _is_ours(data_dir: str) -> bool:
    try:
        return os.stat(data_dir).st_uid == os.geteuid()
    except OSError:
        return False


def server_processes(data_dir: str) -> List[Process]:
    """Return every living process of the server of `data_dir`, as Process tuples; raises Blind.

    The postmaster, its children, and orphans of a postmaster that was killed.
    """
    refuse_blind(data_dir)
    place = _Place(data_dir)
    own = _own_program(data_dir, place)
    found = []
    for name in os.listdir('/proc'):
        program = _program(int(name), place) if name.isdigit() else None
        if program and (program == own or _is_server_program(program)):
            process = look_up(int(name))
            if process is not None:
                found.append(process)
    return found


def _own_program(data_dir: str, place: '_Place') -> Optional[str]:
    """The program of the process in postmaster.pid, where it is one of a server; else None."""
    try:
        program = _program(_recorded_pid(data_dir), place)
    except (OSError, ValueError):
        return None
    return program if program and _has_control_program(program) else None


def look_up(pid: int) -> Optional[Process]:
    """Return the Process with this PID; None if there is none, or only a zombie.

    Raises OSError where that cannot be seen (no file descriptor is left): it may well be alive.
    """
    try:
        with open('/proc/%d/stat' % pid, 'rb') as file:
            text = file.read().decode('ascii', 'replace')
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself hold some.
    fields = text[text.rindex(')') + 2:].split()
    if fields[0] in 'ZX':
        return None
    return Process(pid, fields[19], int(fields[1]), fields[0])


def is_alive(process: Process) -> bool:
    """Return True while this very process lives (a zombie does not)."""
    present = look_up(process.pid)
    return present is not None and present.started == process.started


def is_stopped(pid: int) -> bool:
    """Return True if the process is stopped (SIGSTOP): it then obeys nothing but SIGKILL."""
    process = look_up(pid)
    return process is not None and process.state == 'T'


def kill(process: Process, number: int) -> bool:
    """Send signal `number` to this very process; return False if it is gone or not ours."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True


def title(pid: int) -> bytes:
    """Return what the process calls itself, as bytes; b'' where it cannot be read."""
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as file:
            return file.read(200)
    except OSError:
        return b''


def is_startup_process(pid: int) -> bool:
    """Return True if the process replays WAL: it calls itself so in its title."""
    return re.match(rb'\S+: ([^ ]+: )?startup', title(pid)) is not None


def owner(data_dir: str) -> User:
    """Return the User that owns `data_dir`; raises OSError if there is no such directory."""
    status = os.stat(data_dir)
    try:
        entry = pwd.getpwuid(status.st_uid)
    except KeyError:                            # a UID without a name, as in containers
        return User(str(status.st_uid), status.st_uid, status.st_gid, (status.st_gid,), '/')
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def as_owner(data_dir: str) -> Optional[User]:
    """Return whom the database's programs run as: the owner if AHM is root, else None.

    None means the present user.  Also None where the directory cannot be looked at: the
    program that is about to run will say what is wrong with it.
    """
    if os.geteuid() != 0:
        return None
    try:
        user = owner(data_dir)
    except OSError:
        return None
    return user if user.uid != 0 else None


@contextlib.contextmanager
def acting_as(user: Optional[User]) -> Iterator[None]:
    """Do what is inside with the file rights of `user` (None: no change).

    Root that reads and writes in a directory of another user could be led anywhere by a link;
    with that user's own rights nothing is to be gained, and new files belong to it at once.
    """
    if user is None:
        yield
        return
    before = os.getegid(), os.getgroups()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[0])
        os.setgroups(before[1])


def data_directory_version(data_dir: str) -> int:
    """Return the major version in PG_VERSION, e.g. 15.

    Raises ValueError (one line, what to do) where `data_dir` is no data directory.
    """
    path = os.path.join(data_dir, 'PG_VERSION')
    try:
        with open(path) as file:
            text = file.readline().strip()
    except OSError as error:
        raise ValueError('cannot read %s: %s; db_data_dir must be a data directory'
                         % (path, error.strerror))
    match = re.match(r'\d+', text)
    if not match:
        raise ValueError('%s says %r, expected a version such as 15' % (path, text[:20]))
    return int(match.group())


def _recorded_pid(data_dir: str) -> int:
    with open(os.path.join(data_dir, 'postmaster.pid')) as file:
        return int(file.readline())


class _Place:
    """A directory, by its path and by what it is."""

    def __init__(self, data_dir: str) -> None:
        self.path = os.path.realpath(data_dir)
        self._status: Optional[os.stat_result] = None       # removed, or on a disk that fails
        with contextlib.suppress(OSError):
            self._status = os.stat(data_dir)

    def is_cwd_of(self, pid: int) -> bool:
        """Whether the process works here; raises OSError where that cannot be seen."""
        link = '/proc/%d/cwd' % pid
        path = os.readlink(link)
        # A data directory that was removed under its server keeps its name there.
        if self._status is None or path == self.path + ' (deleted)':
            return path in (self.path, self.path + ' (deleted)')
        # One directory may be mounted in two places, and in a container the same path is another.
        # Only servers are looked at so: what lies on a dead network disk would hold us up.
        return (path == self.path or _is_server_program(_executable(pid))) \
            and os.path.samestat(os.stat(link), self._status)


def works_in(pid: int, data_dir: str) -> Optional[bool]:
    """Return whether this process of a server works in `data_dir`.

    None where that cannot be seen, or where it is no process of a server.
    """
    try:
        program = _executable(pid)
        if _is_server_program(program) or _has_control_program(program):
            return _Place(data_dir).is_cwd_of(pid)
    except OSError:
        pass                                    # gone, or not ours to look at
    return None


def directory_of(pid: int) -> str:
    """Return the directory that this process works in, as text."""
    try:
        return os.readlink('/proc/%d/cwd' % pid)
    except OSError:
        return 'another directory'


def _executable(pid: int) -> str:
    program = os.readlink('/proc/%d/exe' % pid)
    # " (deleted)": the program was replaced by an upgrade while the server runs.
    return program[:-len(' (deleted)')] if program.endswith(' (deleted)') else program


def _program(pid: int, place: '_Place') -> Optional[str]:
    """Return the program of a process that works in this _Place, or None."""
    try:
        return _executable(pid) if place.is_cwd_of(pid) else None
    except OSError as error:
        if error.errno in UNAVAILABLE:
            raise
        return None                             # gone, a zombie, or not ours to look at


def _is_server_program(path: str) -> bool:
    return SERVER_PROGRAM.match(os.path.basename(path)) is not None


def _has_control_program(path: str) -> bool:
    return any(os.path.exists(os.path.join(os.path.dirname(path), each))
               for each in CONTROL_PROGRAMS)
