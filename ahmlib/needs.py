"""The Python modules that are not AHM's own: where they are, and one line where one is missing.

The tarball brings them, in `lib` beside this package: `lib/pure` for every Python, and for some
Pythons a directory with compiled modules, which goes before it.  They go before those of the
system, which may be too old.  Everybody else installs them.

This module, and what an entrance imports before it asks here, needs nothing but Python itself.
"""

import importlib.util
import os
import platform
import re
import sys
import sysconfig
from typing import Dict, Iterable, List, Optional, Tuple

#: Module -> the package that brings it.
PACKAGES = {'docopt': 'docopt', 'msgpack': 'msgpack', 'psycopg2': 'psycopg2-binary',
            'yaml': 'PyYAML'}

UTILITY = ('docopt', 'yaml')
SIMULATION = UTILITY + ('msgpack',)
#: psycopg2 is imported by the daemon's children only, and without it they can check no database.
DAEMON = SIMULATION + ('psycopg2',)

OLDEST = (3, 6)
#: The oldest C library that has all that the compiled modules of the tarball use.
OLDEST_GLIBC = (2, 17)

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OS_RELEASE = ('/etc/os-release', '/usr/lib/os-release')
_DEBIAN = {'docopt': 'python3-docopt', 'msgpack': 'python3-msgpack', 'psycopg2': 'python3-psycopg2',
           'yaml': 'python3-yaml'}
_RED_HAT = dict(_DEBIAN, yaml='python3-pyyaml')
#: In Red Hat's family up to here PyYAML and psycopg2 are older than AHM can use (setup.py).
_RED_HAT_TOO_OLD = 8


def demand(modules: Iterable[str], prefix: str = '') -> None:
    """Put what the tarball brings on the import path.  End this process with exit code 1 and one
    line, after `prefix`, if this Python is too old, or a module is missing.
    """
    if sys.version_info[:2] < OLDEST:
        _end('%sfound Python %s (%s), expected %d.%d or later; run AHM with a newer one\n' % (
            prefix, platform.python_version(), sys.executable, OLDEST[0], OLDEST[1]))
    # After the directory of this package, which an entrance has put first.
    sys.path[1:1] = bundled(_HOME)
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        _end('%sno Python module %s found for %s%s; install what is missing (%s), or AHM as its '
             'README says\n' % (prefix, ', '.join(missing), sys.executable, _brought(_HOME),
                                ', or '.join(commands(missing))))


def bundled(home: str) -> List[str]:
    """The directories with modules that the tarball unpacked at `home` has for this interpreter."""
    lib = os.path.join(home, 'lib')
    if not os.path.isdir(lib):
        return []
    return [path for path in (os.path.join(lib, tag()), os.path.join(lib, 'pure'))
            if os.path.isdir(path)]


def tag() -> str:
    """What the directory with compiled modules for this interpreter is called, as 'cp39-x86_64'."""
    kind = 'cp' if sys.implementation.name == 'cpython' and _glibc() >= OLDEST_GLIBC else 'other'
    return '%s%d%d-%s' % (kind, sys.version_info[0], sys.version_info[1], platform.machine())


def commands(missing: Iterable[str], release: Optional[Dict[str, str]] = None) -> List[str]:
    """The commands of which each installs these modules, the distribution's own first.

    release: what os-release(5) says here, {} where that is not known.  Only the distribution's own
    Python finds its packages, and where it manages them alone (PEP 668) pip refuses.
    """
    found, modules = [], list(missing)
    release = os_release() if release is None else release
    if sys.prefix == '/usr':
        install, names = _packager(release)
        if install:
            found.append(' '.join([install] + [names[module] for module in modules]))
    managed = os.path.join(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')
    if not found or sys.prefix != sys.base_prefix or not os.path.exists(managed):
        found.append('%s -m pip install %s' % (
            sys.executable, ' '.join(PACKAGES[module] for module in modules)))
    return found


def os_release() -> Dict[str, str]:
    """What os-release(5) says of this host; {} where there is none that can be read."""
    for path in _OS_RELEASE:
        try:
            with open(path, encoding='utf-8', errors='replace') as file:
                return dict(re.findall(r'^(\w+)=["\']?(.*?)["\']?\s*$', file.read(), re.MULTILINE))
        except OSError:
            continue
    return {}


def _packager(release: Dict[str, str]) -> Tuple[str, Dict[str, str]]:
    """(the command that installs, {module: its package}); ('', {}) where none has what is needed.

    The names: packages.debian.org, packages.fedoraproject.org (docopt and msgpack: EPEL).
    """
    family = [release.get('ID', '')] + release.get('ID_LIKE', '').split()
    if 'debian' in family or 'ubuntu' in family:
        return 'apt-get install', _DEBIAN
    version = re.match(r'\d+', release.get('VERSION_ID', ''))
    if family[0] == 'fedora' or ('fedora' in family or 'rhel' in family) and version \
            and int(version.group()) > _RED_HAT_TOO_OLD:
        return 'dnf install', _RED_HAT
    return '', {}


def _brought(home: str) -> str:
    """What the tarball has for other interpreters, as words; '' where this is no tarball."""
    try:
        names = os.listdir(os.path.join(home, 'lib'))
    except OSError:
        return ''
    pythons = sorted((int(found.group(1)), found.group(2)) for found in
                     (re.match(r'cp3(\d+)-(.+)$', name) for name in names) if found)
    if not pythons:
        return ''
    return ' (%s on %s; AHM brings compiled modules for Python %s on %s with glibc %d.%d or ' \
        'later)' % (platform.python_version(), platform.machine(),
                    ', '.join('3.%d' % minor for minor, _ in pythons),
                    ', '.join(sorted({machine for _, machine in pythons})), *OLDEST_GLIBC)


def _glibc() -> Tuple[int, ...]:
    """The version of the C library; () where it is another one."""
    try:
        found = re.match(r'glibc (\d+)\.(\d+)', os.confstr('CS_GNU_LIBC_VERSION') or '')
    except (AttributeError, OSError, ValueError):
        return ()
    return tuple(map(int, found.groups())) if found else ()


def _end(line: str) -> None:
    sys.stderr.write(line)
    sys.exit(1)
