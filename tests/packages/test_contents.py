"""What an administrator looks for is in every artefact, at its place, and as the checkout has it.

The table names all files of conf, docs and man: a new one that no artefact was told of fails here.
"""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from release import tarball

COMMANDS = sorted(os.listdir(os.path.join(tarball.ROOT, 'bin')))
SHARE = 'usr/share/ahm/'
#: File of conf -> where a package has it.
IN_PACKAGES = {
    'ahm-capabilities.conf': SHARE + 'ahm-capabilities.conf',
    'ahm-handover.service': 'usr/lib/systemd/system/ahm-handover.service',
    'ahm-http.xml': 'usr/lib/firewalld/services/ahm-http.xml',
    'ahm-postgresql.conf': SHARE + 'ahm-postgresql.conf',
    'ahm-witness.conf': SHARE + 'ahm-witness.conf',
    'ahm.bash_completion': 'usr/share/bash-completion/completions/ahm',
    'ahm.logrotate': 'etc/logrotate.d/ahm',
    'ahm.service': 'usr/lib/systemd/system/ahm.service',
    'ahm.sudoers': 'etc/sudoers.d/ahm',
    'ahm.tmpfiles': 'usr/lib/tmpfiles.d/ahm.conf',
    'ahm.xml': 'usr/lib/firewalld/services/ahm.xml',
    'ahm_config.yml.sample': SHARE + 'ahm_config.yml.sample',
    'failover.sh.sample': SHARE + 'failover.sh.sample',
    'haproxy.cfg.sample': SHARE + 'haproxy.cfg.sample',
    'nodes.conf.sample': SHARE + 'nodes.conf.sample',
    'prometheus/ahm.rules.yml': SHARE + 'prometheus/ahm.rules.yml',
}
#: What packages are made by, and do not hold; the tarball has the spec, for rpmbuild -tb.
OF_THE_PACKAGES = ('ahm.spec', 'debian/')
TOP = ('README.md', 'README.ko.md', 'CHANGELOG.md')


def below(*path):
    """The paths of all files below a directory of the checkout, relative to it."""
    top = os.path.join(tarball.ROOT, *path)
    return sorted(os.path.relpath(os.path.join(place, name), top)
                  for place, _, names in os.walk(top) for name in names)


def read(*path):
    """The bytes of a file of the checkout, or of one below another root."""
    with open(os.path.join(tarball.ROOT, *path), 'rb') as file:
        return file.read()


CONF = [name for name in below('conf') if not name.startswith(OF_THE_PACKAGES)]
DOCS = ['docs/' + name for name in below('docs')]
PAGES = [name for name in below('man') if name[-2] == '.' and name[-1].isdigit()]


def test_the_table_has_every_file_of_conf():
    assert sorted(IN_PACKAGES) == CONF


def made_for(where, data):
    """The bytes of a file of conf as an artefact that is installed to /usr/bin has it."""
    return data.replace(b'/opt/ahm/bin/', b'/usr/bin/') if where.endswith('.service') else data


def assert_holds(root, documents, licence):
    """That a package was unpacked there, with all that is to be in it."""
    for name, where in IN_PACKAGES.items():
        assert read(root, where) == made_for(where, read('conf', name)), where
    for name in TOP + tuple(DOCS):
        assert read(root, documents, name) == read(name), name
    assert read(root, licence) == read('LICENSE')
    for name in PAGES:
        assert read(root, 'usr/share/man/man' + name[-1], name) == read('man', name), name
    for name in COMMANDS:
        assert os.access(os.path.join(root, 'usr/bin', name), os.X_OK), name
        # bash looks for a completion by the name of the command.
        assert read(root, 'usr/share/bash-completion/completions', name) == \
            read('conf', 'ahm.bash_completion'), name


def test_the_tarball_holds_all(built, tmp_path):
    with tarfile.open(built) as archive:
        archive.extractall(str(tmp_path))
    home = str(tmp_path / 'AHM_1.0')
    for name in CONF + ['ahm.spec']:
        where = 'etc/' if name in tarball.SAMPLES else 'share/ahm/'
        assert read(home, where + name) == read('conf', name), name
    for name in TOP + ('LICENSE',) + tuple(DOCS):
        assert read(home, name) == read(name), name
    for name in PAGES:
        assert read(home, 'share/man/man' + name[-1], name) == read('man', name), name
    for name in COMMANDS:
        assert os.access(os.path.join(home, 'bin', name), os.X_OK), name


def test_the_deb_holds_all(tmp_path):
    if not shutil.which('dpkg-deb'):
        pytest.skip('NO .deb MADE: no dpkg-deb here')
    dist, root = str(tmp_path / 'dist'), str(tmp_path / 'root')
    subprocess.check_call([sys.executable, '-m', 'release.deb', dist], cwd=tarball.ROOT)
    subprocess.check_call(['dpkg-deb', '-x', os.path.join(dist, os.listdir(dist)[0]), root])
    assert_holds(root, 'usr/share/doc/ahm', 'usr/share/doc/ahm/copyright')


def test_the_rpm_holds_all(built, tmp_path):
    for program in ('rpmbuild', 'rpm'):
        if not shutil.which(program):
            pytest.skip('NO RPM MADE: no %s here' % program)
    dist, root = str(tmp_path / 'dist'), str(tmp_path / 'root')
    subprocess.check_call([os.path.join(tarball.ROOT, 'release', 'rpm.sh'), built, dist])
    os.mkdir(root)
    package = os.path.join(dist, os.listdir(dist)[0])
    subprocess.check_call(['rpm', '--root', root, '-i', '--nodeps', '--noscripts', package])
    assert_holds(root, 'usr/share/doc/ahm-1.0', 'usr/share/licenses/ahm-1.0/LICENSE')


def test_pip_installs_all(tmp_path):
    source, home = str(tmp_path / 'source'), str(tmp_path / 'home')
    names = subprocess.check_output(['git', '-C', tarball.ROOT, 'ls-files', '-z'])
    for name in filter(None, names.decode().split('\0')):
        if os.path.exists(os.path.join(tarball.ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(source, name)), exist_ok=True)
            shutil.copy(os.path.join(tarball.ROOT, name), os.path.join(source, name))
    subprocess.check_call([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--prefix',
                           home, source], stdin=subprocess.DEVNULL)
    for name in CONF:
        assert read(home, 'share/ahm', name) == read('conf', name), name
    for name in TOP + tuple(DOCS):
        assert read(home, 'share/doc/ahm', name) == read(name), name
    for name in PAGES:
        assert read(home, 'share/man/man' + name[-1], name) == read('man', name), name
    for name in COMMANDS:
        assert os.access(os.path.join(home, 'bin', name), os.X_OK), name
