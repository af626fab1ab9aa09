"""Builds AHM_1.0.tar.gz: unpack it anywhere, put AHM_1.0/bin on PATH, run it, without a network.

    bin/       what is typed: finds a Python and gives over to it (launcher.sh)
    libexec/   the same commands for the Python that was found
    ahmlib/    AHM itself
    lib/       the modules that it needs: `pure` for every Python, others for one each
    etc/       the samples of the configuration
    share/     manual pages, where man finds them by PATH, and what a service manager needs

The same files and pins give the same bytes: names are sorted, owners are root, and all times are
that of the last commit, or SOURCE_DATE_EPOCH.

    python -m release.tarball [DIRECTORY [FETCHED]]

DIRECTORY is where it goes (dist), FETCHED is where the wheels are or go (build/fetched).
"""

import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import ahmlib
from release import pinned

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = 'AHM_%s'
#: Kept of what a wheel says of itself: its name and version, and its licence.
ABOUT = re.compile(r'[^/]+\.dist-info/((METADATA|(LICEN[CS]E|COPYING|NOTICE)[^/]*)$|licenses/)')
#: Of modules that run without their compiled parts.
COMPILED = re.compile(r'\.so(\.[\d.]+)?$|^_yaml/')
#: Of a package of sources: what it installs, and its licence.
OF_SOURCES = re.compile(r'[^/]+/(docopt\.py|LICENSE[^/]*)$')
SAMPLES = ('ahm_config.yml.sample', 'nodes.conf.sample', 'failover.sh.sample',
           'haproxy.cfg.sample')
#: Alerts, below conf.
RULES = 'prometheus/ahm.rules.yml'
#: bash looks for it by the name of each command; it is the same for all.
COMPLETION = '. "${BASH_SOURCE[0]%/*}/../../ahm/ahm.bash_completion"\n'
DOCUMENTS = ('README.md', 'README.ko.md', 'CHANGELOG.md', 'LICENSE', 'docs/coming-from.md',
             'docs/failover.svg', 'docs/live-page.ko.png', 'docs/live-page.png',
             'docs/quick-start-debian.md', 'docs/quick-start-el.md', 'docs/routing.md',
             'docs/runbook.md', 'docs/tutorial.md')


class File(NamedTuple):
    """One file of the tarball."""
    data: bytes
    executable: bool = False


Tree = Dict[str, File]      # the path below AHM_1.0/ -> the file


class CannotBuild(Exception):
    """One line: what was found, what was expected, what to do."""


def epoch() -> int:
    """The time that all files get, in seconds: SOURCE_DATE_EPOCH, or that of the last commit.

    Raises CannotBuild where there is neither.
    """
    text = os.environ.get('SOURCE_DATE_EPOCH')
    if text is None:
        done = subprocess.run(['git', '-C', ROOT, 'log', '-1', '--format=%ct'],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        text = done.stdout.decode('ascii', 'replace').strip()
        if not text:
            raise CannotBuild('no git history found at %s; set SOURCE_DATE_EPOCH to the seconds '
                              'that all files are to bear' % ROOT)
    if not re.match(r'\d{1,11}$', text):
        raise CannotBuild('SOURCE_DATE_EPOCH is %r, expected seconds since 1970' % text)
    return int(text)


def own() -> Tree:
    """All files of the tarball but the modules that AHM needs."""
    tree = {path: _read(path) for path in package()}
    with open(os.path.join(ROOT, 'release', 'launcher.sh'), encoding='utf-8') as file:
        launcher = file.read()
    for name in sorted(os.listdir(os.path.join(ROOT, 'bin'))):
        tree['bin/' + name] = File(launcher.replace('@NAME@', name).encode('utf-8'), True)
        tree['libexec/' + name] = _read('bin', name)
        tree['share/bash-completion/completions/' + name] = File(COMPLETION.encode('ascii'))
    tree.update({'etc/' + name: _read('conf', name) for name in SAMPLES})
    tree.update({'share/ahm/' + name: _read('conf', name)
                 for name in sorted(os.listdir(os.path.join(ROOT, 'conf')))
                 if name not in SAMPLES and os.path.isfile(os.path.join(ROOT, 'conf', name))})
    tree['share/ahm/' + RULES] = _read('conf', RULES)
    for path in sources('man', ''):
        if re.search(r'\.[1-8]$', path):
            tree['share/man/man%s/%s' % (path[-1], os.path.basename(path))] = _read(path)
    tree.update({name: _read(name) for name in DOCUMENTS})
    return tree


def package() -> List[str]:
    """The paths of all files of ahmlib: modules, and the live page."""
    return [path for ending in ('.py', '.html') for path in sources('ahmlib', ending)]


def sources(directory: str, ending: str) -> Iterator[str]:
    """The paths, relative to the project, of the files below a directory that end so."""
    for place, below, names in os.walk(os.path.join(ROOT, directory)):
        below[:] = sorted(name for name in below if name != '__pycache__')
        for name in sorted(names):
            if name.endswith(ending) and not name.startswith('.'):
                yield os.path.relpath(os.path.join(place, name), ROOT)


def modules(pins: List[pinned.Pin], files: Dict[str, str]) -> Tree:
    """lib/ of the tarball, from the files that `pinned.fetch` gave."""
    tree = {}
    for pin in pins:
        inside = _of_wheel if zipfile.is_zipfile(files[pin.sha256]) else _of_sources
        for path, data in inside(files[pin.sha256]):
            if pin.place != 'pure' or not COMPILED.search(path):
                tree['lib/%s/%s' % (pin.place, path)] = File(data)
    return tree


def _of_wheel(path: str) -> Iterator[Tuple[str, bytes]]:
    with zipfile.ZipFile(path) as wheel:
        for name in sorted(wheel.namelist()):
            if not name.endswith('/') and ('.dist-info/' not in name or ABOUT.match(name)):
                yield name, wheel.read(name)


def _of_sources(path: str) -> Iterator[Tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            found = OF_SOURCES.match(member.name)
            if found:
                name = found.group(1)
                file = archive.extractfile(member)
                assert file is not None         # a directory's name does not match
                yield name if name.endswith('.py') else 'docopt.' + name, file.read()


def packed(tree: Tree, top: str, time: int) -> bytes:
    """The bytes of the tarball in which everything is below the directory `top`."""
    directories = {os.path.dirname(path) for path in tree}
    for path in list(directories):
        while path:
            directories.add(path)
            path = os.path.dirname(path)
    buffer = io.BytesIO()
    with gzip.GzipFile('', 'wb', 6, buffer, mtime=time) as compressed, \
            tarfile.open(fileobj=compressed, mode='w', format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(directories | set(tree)):
            archive.addfile(*_member(path, tree.get(path), top, time))
    return buffer.getvalue()


def _member(path: str, file: Optional[File], top: str,
            time: int) -> Tuple[tarfile.TarInfo, Optional[io.BytesIO]]:
    """What tarfile.addfile() takes; without a File it is a directory."""
    member = tarfile.TarInfo(os.path.join(top, path) if path else top)
    member.mtime, member.uname, member.gname = time, 'root', 'root'
    member.mode = 0o755 if file is None or file.executable else 0o644
    if file is None:
        member.type = tarfile.DIRTYPE
        return member, None
    member.size = len(file.data)
    return member, io.BytesIO(file.data)


def _read(*path: str) -> File:
    name = os.path.join(ROOT, *path)
    with open(name, 'rb') as file:
        return File(file.read(), bool(os.stat(name).st_mode & 0o100))


def main(argv: List[str]) -> int:
    """Build it; returns the exit code."""
    directory, fetched = (argv + ['dist', os.path.join('build', 'fetched')][len(argv):])[:2]
    try:
        top, time, pins = NAME % ahmlib.__version__, epoch(), pinned.read()
        tree = dict(own(), **modules(pins, pinned.fetch(pins, fetched)))
    except (CannotBuild, pinned.CannotFetch) as error:
        sys.stderr.write('no tarball was made: %s\n' % error)
        return 1
    data = packed(tree, top, time)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, top + '.tar.gz')
    with open(path + '.new', 'wb') as file:
        file.write(data)
    os.rename(path + '.new', path)
    print('%s: %d files, %.1f MB' % (path, len(tree), len(data) / 1e6))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
