"""Builds dist/ahm_1.0_all.deb: AHM with the Python and the modules of Debian or Ubuntu.

Its files are a table: where each comes from, where it goes.  `dpkg-deb` packs them; what it is told
of the package is in conf/debian.

    python -m release.deb [DIRECTORY]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Dict, List, Tuple

import ahmlib
from release.tarball import DOCUMENTS, ROOT, SAMPLES, CannotBuild, epoch, package, sources

HOME = 'usr/lib/ahm'
COMPLETIONS = 'usr/share/bash-completion/completions'
#: File of conf/ -> (where it goes, its mode).
PLACES: Dict[str, Tuple[str, int]] = {
    'ahm.service': ('usr/lib/systemd/system/ahm.service', 0o644),
    'ahm-handover.service': ('usr/lib/systemd/system/ahm-handover.service', 0o644),
    'ahm.tmpfiles': ('usr/lib/tmpfiles.d/ahm.conf', 0o644),
    'ahm.logrotate': ('etc/logrotate.d/ahm', 0o644),
    'ahm.sudoers': ('etc/sudoers.d/ahm', 0o440),
    'ahm.bash_completion': (COMPLETIONS + '/ahm', 0o644),
    'ahm.xml': ('usr/lib/firewalld/services/ahm.xml', 0o644),
    'ahm-http.xml': ('usr/lib/firewalld/services/ahm-http.xml', 0o644),
    'ahm-capabilities.conf': ('usr/share/ahm/ahm-capabilities.conf', 0o644),
    'ahm-postgresql.conf': ('usr/share/ahm/ahm-postgresql.conf', 0o644),
    'prometheus/ahm.rules.yml': ('usr/share/ahm/prometheus/ahm.rules.yml', 0o644),
    'ahm-witness.conf': ('usr/share/ahm/ahm-witness.conf', 0o644),
}


def stage(root: str) -> None:
    """Put all that the package holds below a directory."""
    for path in package():
        _put(root, os.path.join(HOME, path), _read(path))
    for name in sorted(os.listdir(os.path.join(ROOT, 'bin'))):
        text = _read('bin', name).replace('#!/usr/bin/env python3\n', '#!/usr/bin/python3\n', 1)
        _put(root, os.path.join(HOME, 'bin', name), text, 0o755)
        os.makedirs(os.path.join(root, 'usr/bin'), exist_ok=True)
        os.symlink('../lib/ahm/bin/' + name, os.path.join(root, 'usr/bin', name))
        if name != 'ahm':       # each is looked for by its own name, and this one has them all
            os.makedirs(os.path.join(root, COMPLETIONS), exist_ok=True)
            os.symlink('ahm', os.path.join(root, COMPLETIONS, name))
    for path in sources('man', ''):
        if re.search(r'\.[1-8]$', path):
            _put(root, 'usr/share/man/man%s/%s' % (path[-1], os.path.basename(path)), _read(path))
    for name in SAMPLES:
        mode = 0o755 if name.endswith('.sh.sample') else 0o644
        _put(root, 'usr/share/ahm/' + name, _read('conf', name), mode)
    for name, (path, mode) in PLACES.items():
        _put(root, path, _read('conf', name).replace('/opt/ahm/bin/', '/usr/bin/'), mode)
    for name in DOCUMENTS:
        target = 'copyright' if name == 'LICENSE' else name
        place = os.path.join(root, 'usr/share/doc/ahm', target)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copyfile(os.path.join(ROOT, name), place)    # pictures are no text
        os.chmod(place, 0o644)
    os.makedirs(os.path.join(root, 'etc/ahm'))
    _describe(root)


def _describe(root: str) -> None:
    """Put what dpkg wants to know into DEBIAN/."""
    size = sum(os.lstat(os.path.join(place, name)).st_size
               for place, _, names in os.walk(root) for name in names)
    for name in sorted(os.listdir(os.path.join(ROOT, 'conf', 'debian'))):
        text = _read('conf', 'debian', name).replace('@VERSION@', ahmlib.__version__)
        _put(root, 'DEBIAN/' + name, text.replace('@SIZE@', str(size // 1024 + 1)),
             0o755 if text.startswith('#!') else 0o644)


def _put(root: str, path: str, text: str, mode: int = 0o644) -> None:
    target = os.path.join(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(target, mode)


def _read(*path: str) -> str:
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


def main(argv: List[str]) -> int:
    """Build it; returns the exit code."""
    directory = (argv + ['dist'])[0]
    path = os.path.join(directory, 'ahm_%s_all.deb' % ahmlib.__version__)
    try:
        if not shutil.which('dpkg-deb'):
            raise CannotBuild('no dpkg-deb found; install the package dpkg')
        time = epoch()
    except CannotBuild as error:
        sys.stderr.write('no package was made: %s\n' % error)
        return 1
    os.makedirs(directory, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as place:
        root = os.path.join(place, 'ahm')
        os.mkdir(root)
        stage(root)
        # What was just written is younger, and gets this time; so the same files, the same bytes.
        return subprocess.call(
            ['dpkg-deb', '--root-owner-group', '-Zxz', '--build', root, path],
            env=dict(os.environ, SOURCE_DATE_EPOCH=str(time)))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
