"""AHM as it was: versions of an earlier time, taken from the repository's own history.

Where there is no history (a tarball, a clone of little depth) `lacks` says so, and the tests that
need it are skipped with that reason.
"""
import io
import os
import shutil
import subprocess
import tarfile
from typing import NamedTuple, Optional

from ahmlib.lab import LabError
from ahmlib.lab.users import ROOT, LabUser, give_to

#: What a node runs.
PROGRAMS = ('ahm.py', 'ahmlib', 'bin')


class Version(NamedTuple):
    """One of an earlier time: how it is called in tests, its commit, and what it is."""
    name: str
    commit: str
    about: str
    tells_replay: bool      # in its rows: how far a standby has replayed


VERSIONS = (
    Version('short-rows', '4d095e238cb4df377c6b613ffb4c58e28c0122a6',
            'its rows lack the last fields, its state file the claim and the cluster', False),
    Version('one-core', '44c1ceb7d1d37e12ad402e4a53c0dfc99cd76ed9',
            'its rows are as long as those of the version after it; its core was one object', True),
)


def lacks(version: Version) -> Optional[str]:
    """None where this version can be had here, else the reason why not."""
    try:
        found = _git('cat-file', '-e', version.commit + '^{tree}')
    except OSError as error:
        return 'git cannot be run: %s' % error.strerror
    if found.returncode == 0:
        return None
    said = found.stderr.decode(errors='replace').strip().splitlines()
    return 'EARLIER VERSION SKIPPED: no commit %.7s in the history of %s (%s)' % (
        version.commit, ROOT, said[-1] if said else 'git says no more')


def unpack(version: Optional[Version], directory: str) -> str:
    """Make this directory, with the programs of a version (None: of this checkout); its path."""
    os.makedirs(directory)
    if version is None:
        for name in PROGRAMS:
            _copy(os.path.join(ROOT, name), os.path.join(directory, name))
        return directory
    done = _git('archive', '--format=tar', version.commit, *PROGRAMS)
    if done.returncode != 0:
        raise LabError('git archive %s: %s' % (version.commit, done.stderr.decode().strip()))
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory)
    return directory


def install(unpacked: str, directory: str, user: LabUser) -> None:
    """Let `directory` hold what was unpacked, for this user, instead of what it holds.

    As by a package, the files change beneath a daemon that runs, and some are gone.
    """
    shutil.copytree(unpacked, directory + '.new')
    give_to(user, directory + '.new')
    if os.path.isdir(directory):
        shutil.rmtree(directory)
    os.rename(directory + '.new', directory)


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy(source, target)


def _git(*words: str) -> 'subprocess.CompletedProcess[bytes]':
    # Somebody else may own the checkout; nothing of it is run by git.
    argv = ['git', '-c', 'safe.directory=*', '-C', ROOT] + list(words)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
