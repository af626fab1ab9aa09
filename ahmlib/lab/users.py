"""Who runs the lab's processes, with which interpreter, from which copy of the source.

PostgreSQL refuses to run as root, so a lab started by root runs everything as an ordinary user:
LAB_USER, else `postgres`, else `nobody`.  That user cannot execute an interpreter, nor read a
checkout, below a directory that is closed to him (/root is).  So nothing is assumed from paths and
modes: it is tried, as that user, and copied to the lab's own directory where it does not work.
"""
import json
import os
import pwd
import shutil
import subprocess
import sys
from typing import Callable, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

from ahmlib.lab import LabError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAFE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
NEEDED = ('yaml', 'msgpack', 'psycopg2', 'docopt')

# Run by the interpreter on trial.  Reading every file, for a checkout may be readable in part only.
TRIAL = """
import os, sys
import yaml, msgpack, psycopg2, docopt
for top in sys.argv[1:]:
    os.listdir(top)
    for directory, _, names in os.walk(top):
        for name in names:
            if name.endswith('.py'):
                open(os.path.join(directory, name)).close()
"""

# Run by an interpreter to say where its packages lie: modules, and the libraries bundled with them.
LOCATE = """
import glob, importlib, json, os, sys
found = []
for name in sys.argv[1:]:
    path = importlib.import_module(name).__file__
    inside = os.path.basename(path).startswith('__init__.')
    path = os.path.dirname(path) if inside else path
    found.append(path)
    found += glob.glob(os.path.join(os.path.dirname(path), name + '*.libs'))
    found += glob.glob(os.path.join(os.path.dirname(path), '_' + name))
print(json.dumps(found))
"""


def tool(name: str) -> str:
    """The absolute path of a program, sbin directories included; LabError where there is none."""
    path = shutil.which(name, path=SAFE_PATH)
    if path is None:
        raise LabError('%s is not installed' % name)
    return path


class LabUser(NamedTuple):
    """The operating system user the lab's processes run as."""
    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether processes have to change to this user."""
        return self.uid != os.geteuid()


class Interpreter(NamedTuple):
    """A Python that the lab's user can execute, and where it finds what AHM needs."""
    executable: str
    import_path: Tuple[str, ...]


def lab_user() -> LabUser:
    """The LabUser: oneself, or for root LAB_USER, `postgres` or `nobody`; LabError without one."""
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return LabUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    wanted = os.environ.get('LAB_USER')
    for name in [wanted] if wanted else ['postgres', 'nobody']:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise LabError('PostgreSQL does not run as %s (uid 0): set LAB_USER' % name)
        return LabUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise LabError('no user to run PostgreSQL as: there is no %s' % (wanted or 'postgres, nobody'))


def demotion(user: LabUser) -> Optional[Callable[[], None]]:
    """What a child does before exec to become `user`, for Popen's preexec_fn; None if it is him."""
    if not user.is_other:
        return None

    def become() -> None:
        os.initgroups(user.name, user.gid)
        os.setgid(user.gid)
        os.setuid(user.uid)
    return become


def works_for(user: LabUser, argv: Sequence[str],
              env: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """None when `argv` succeeds as `user`, else a line that says what happened."""
    try:
        done = subprocess.run(argv, preexec_fn=demotion(user), env=env or {'PATH': SAFE_PATH},
                              cwd='/', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stdout.strip().splitlines() or ['exit code %d' % done.returncode]
    return lines[-1]


def _environment(import_path: Iterable[str]) -> Dict[str, str]:
    return {'PATH': SAFE_PATH, 'PYTHONPATH': os.pathsep.join(import_path),
            'PYTHONDONTWRITEBYTECODE': '1'}


def give_to(user: LabUser, path: str) -> None:
    """Make `user` the owner of `path` and all below it, readable and traversable for him."""
    for directory, _, names in os.walk(path):
        for entry in [directory] + [os.path.join(directory, name) for name in names]:
            if os.path.islink(entry):
                continue
            os.chmod(entry, os.stat(entry).st_mode | (0o700 if os.path.isdir(entry) else 0o400))
            if user.is_other:
                os.chown(entry, user.uid, user.gid)


def interpreter_for(user: LabUser, directory: str) -> Interpreter:
    """An Interpreter that really imports what AHM needs as `user`.

    Tried is LAB_PYTHON alone where it is set; else the running one, that of the checkout's .venv,
    and the system's.  Where only the packages are out of reach (a virtual environment below /root,
    made from a system Python), they are copied to `directory`.  Raises
    LabError with every attempt and what came of it.
    """
    wanted = os.environ.get('LAB_PYTHON')
    candidates = [wanted] if wanted else [
        sys.executable, os.path.join(ROOT, '.venv/bin/python'), '/usr/bin/python3']
    attempts = []
    for candidate in candidates:
        problem = works_for(user, [candidate, '-c', TRIAL], _environment(()))
        if problem is None:
            return Interpreter(candidate, ())
        attempts.append('%s: %s' % (candidate, problem))
    for candidate in candidates:
        base = os.path.realpath(candidate)
        if works_for(user, [base, '-c', '']) is not None:
            continue
        copied = _copy_packages(candidate, os.path.join(directory, 'packages'), user)
        problem = works_for(user, [base, '-c', TRIAL], _environment((copied,)))
        if problem is None:
            return Interpreter(base, (copied,))
        attempts.append('%s with copied packages: %s' % (base, problem))
    raise LabError(
        'no Python with %s that user %s can execute (%s).  Set LAB_PYTHON to one, for instance '
        'of a virtual environment made from /usr/bin/python3 outside of /root'
        % (', '.join(NEEDED), user.name, '; '.join(attempts)))


def _copy_packages(executable: str, target: str, user: LabUser) -> str:
    """Copy what `executable` imports for AHM to `target`; what it cannot import stays away."""
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    try:
        said = subprocess.check_output([executable, '-c', LOCATE] + list(NEEDED),
                                       stderr=subprocess.DEVNULL, universal_newlines=True)
    except (OSError, subprocess.SubprocessError):
        said = '[]'
    for path in json.loads(said):
        goal = os.path.join(target, os.path.basename(path))
        if os.path.isdir(path):
            shutil.copytree(path, goal, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(path, goal)
    give_to(user, target)
    return target


def source_for(user: LabUser, interpreter: Interpreter, directory: str) -> str:
    """A directory with ahm.py, ahmlib and bin that `user` can read: the checkout, else a copy."""
    argv = [interpreter.executable, '-c', TRIAL, os.path.join(ROOT, 'ahmlib')]
    if works_for(user, argv, _environment(interpreter.import_path)) is None:
        return ROOT
    return copy_source(user, directory)


def copy_source(user: LabUser, directory: str) -> str:
    """Copy ahm.py, ahmlib and bin to `directory` for `user`; the path of the copy."""
    target = os.path.join(directory, 'source')
    os.makedirs(target)
    for name in ('ahm.py', 'ahmlib', 'bin'):
        path = os.path.join(ROOT, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(target, name),
                            ignore=shutil.ignore_patterns('__pycache__'))
        elif os.path.exists(path):
            shutil.copy(path, os.path.join(target, name))
    give_to(user, target)
    return target
