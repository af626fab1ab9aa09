"""The lab's own directory: whose it is, what its processes find in their environment, its end.

One temporary directory holds every file of a lab.  Its path must be short (a UNIX socket's path is
limited to 107 bytes), so it lies in /var/tmp whatever TMPDIR says.  Every process the lab starts
inherits AHM_LAB=<directory>: with the working directory it is the mark by which close() finds what
is left, also what detached itself.
"""
import atexit
import glob
import os
import shutil
import tempfile
from typing import Dict, List

from ahmlib.lab import procfs
from ahmlib.lab.users import SAFE_PATH, LabUser, give_to, interpreter_for, lab_user, source_for

MARK = 'AHM_LAB'
HOST_MARK = 'AHM_LAB_HOST'


_compiled: List[str] = []


def compiled_directory(user: LabUser) -> str:
    """Where the labs of this process keep what Python compiles; it goes with the interpreter."""
    if not _compiled:
        directory = tempfile.mkdtemp(prefix='ahmlab-', dir='/var/tmp')
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        give_to(user, directory)
        _compiled.append(directory)
    return _compiled[0]


class Workspace:
    """A directory below /var/tmp with the user, the interpreter and the source its processes use.

    Use it as a context manager.  LAB_KEEP=1 in the environment keeps the files for a look.
    Raises LabError where there is no user or no interpreter to run things with.
    """

    def __init__(self) -> None:
        self.user = lab_user()
        self.directory = tempfile.mkdtemp(prefix='ahmlab-', dir='/var/tmp')
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.own(self.directory)
        self.interpreter = interpreter_for(self.user, self.directory)
        self.source = source_for(self.user, self.interpreter, self.directory)

    def __enter__(self) -> 'Workspace':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def own(self, path: str) -> None:
        """Give a file or directory that the lab made to the lab's user."""
        os.chmod(path, 0o700 if os.path.isdir(path) else 0o600)
        if self.user.is_other:
            os.chown(path, self.user.uid, self.user.gid)

    def make_directory(self, *parts: str) -> str:
        """Make a directory (its parents exist) that the lab's user owns; returns its path."""
        path = os.path.join(self.directory, *parts)
        os.mkdir(path, 0o755)         # a data_dir that others may write is refused
        self.own(path)
        return path

    def write(self, path: str, text: str, executable: bool = False) -> None:
        """Write a text file that the lab's user owns."""
        with open(path, 'w') as file:
            file.write(text)
        self.own(path)
        if executable:
            os.chmod(path, 0o700)

    def environment(self, host: str = '') -> Dict[str, str]:
        """The environment of the lab's processes, as a dict; nothing of the caller's leaks in."""
        import_path = (self.source,) + self.interpreter.import_path
        return {'PATH': SAFE_PATH, 'HOME': self.directory, 'LC_ALL': 'C',
                'PYTHONPATH': os.pathsep.join(import_path), 'PYTHONUNBUFFERED': '1',
                # The checkout may not be the user's to write to: then without this every start
                # of a program would compile all of it again.
                'PYTHONPYCACHEPREFIX': compiled_directory(self.user),
                MARK: self.directory, HOST_MARK: self.mark_of(host)}

    def mark_of(self, host: str) -> str:
        """The value of AHM_LAB_HOST that the processes of the host of this name carry."""
        return '%s:%s' % (self.directory, host)

    def leftovers(self) -> List[int]:
        """The ids of processes that this lab started and that still run."""
        return sorted(set(procfs.with_variable(MARK, self.directory)
                          + procfs.working_below(self.directory)) - {os.getpid()})

    def close(self) -> None:
        """Kill what is left of this lab's processes and remove its files."""
        try:
            procfs.kill_all(self.leftovers)
        finally:
            self._remove_leases()
            if not os.environ.get('LAB_KEEP'):
                shutil.rmtree(self.directory, ignore_errors=True)

    def _remove_leases(self) -> None:
        """Remove what the daemons of this lab left in memory: each file names its data_dir."""
        for path in glob.glob('/run/ahm/ahm-*.lease') + glob.glob('/run/ahm-*.lease') \
                + glob.glob('/dev/shm/ahm-*.lease'):
            try:
                with open(path) as file:
                    is_ours = '"%s/' % self.directory in file.read()
                if is_ours:
                    os.unlink(path)
            except OSError:
                pass                  # another lab's, which has just removed it
