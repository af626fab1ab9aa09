"""The .deb and the RPM: built, installed where nothing of AHM was, walked, and removed again."""

import os
import shutil
import subprocess
import sys

import pytest

from release import tarball

from .pythons import configured, run
from .roots import Root, debian, why_not

COMMANDS = sorted(os.listdir(os.path.join(tarball.ROOT, 'bin')))

HELPS = 'for each in %s; do $each --help | grep -q Usage: || exit 9; done\n' % ' '.join(COMMANDS)
#: A witness of three nodes starts, is asked and ends, as the user of the package.
WALK = '''
install -d -m 0700 -o %(user)s /tmp/data
install -m 0644 /mnt/ahm_config.yml /mnt/nodes.conf /etc/ahm/
as() { setpriv --reuid %(user)s --regid %(user)s --clear-groups "$@"; }
sed -i 's,^\\(data\\|socket\\)_dir:.*,\\1_dir: /tmp/data,' /etc/ahm/ahm_config.yml
as ahm -f /etc/ahm/ahm_config.yml start
as ahm_cluster_status -f /etc/ahm/ahm_config.yml || [ $? = 4 ]
as ahm -f /etc/ahm/ahm_config.yml stop
'''


# -- Debian -----------------------------------------------------------------------------------


def build_deb(directory):
    """Build the .deb; returns its path."""
    if not shutil.which('dpkg-deb'):
        pytest.skip('NO .deb MADE: no dpkg-deb here')
    subprocess.check_call([sys.executable, '-m', 'release.deb', directory], cwd=tarball.ROOT)
    return os.path.join(directory, 'ahm_%s_all.deb' % tarball.ahmlib.__version__)


def read(path):
    """The bytes of a file."""
    with open(path, 'rb') as file:
        return file.read()


def test_the_same_files_give_the_same_deb(tmp_path):
    assert read(build_deb(str(tmp_path / 'one'))) == read(build_deb(str(tmp_path / 'two')))


@pytest.fixture
def in_debian(tmp_path):
    """A new Debian with the .deb in /mnt, and the network to fetch what it depends on."""
    files = [build_deb(str(tmp_path / 'dist'))]
    configuration = tmp_path / 'configuration'
    configuration.mkdir()
    files += [configured(str(configuration)), str(configuration / 'nodes.conf'),
              '/etc/resolv.conf']
    state = tmp_path / 'state'
    state.mkdir()
    return Root(debian(), state, *files)


INSTALL = '''
cp /mnt/resolv.conf /etc/resolv.conf
apt-get -q update >/dev/null
apt-get -y -q install --no-install-recommends /mnt/ahm_1.0_all.deb >/dev/null 2>&1
'''


def test_the_deb_brings_what_it_needs_runs_and_goes_again(in_debian):
    in_debian.run(INSTALL)
    in_debian.run(HELPS)
    assert 'AHM-NODE-1' in in_debian.run(WALK % {'user': 'ahm'})
    assert in_debian.run("stat -c '%A %U %n' /var/lib/ahm /etc/sudoers.d/ahm "
                         '/usr/share/ahm/failover.sh.sample').splitlines() == [
        'drwx------ ahm /var/lib/ahm', '-r--r----- root /etc/sudoers.d/ahm',
        '-rwxr-xr-x root /usr/share/ahm/failover.sh.sample']
    assert in_debian.run("grep ^ExecStart /usr/lib/systemd/system/ahm.service") == \
        'ExecStart=/usr/bin/ahm -n -f /etc/ahm/ahm_config.yml\n'
    in_debian.run('ls /usr/lib/ahm/ahmlib/__pycache__/needs.*.pyc')
    # What an operator has changed stays, his data, too.
    assert in_debian.run('''
        echo '# mine' >>/etc/logrotate.d/ahm; touch /var/lib/ahm/ahm.state
        dpkg -i /mnt/ahm_1.0_all.deb >/dev/null 2>&1
        tail -n 1 /etc/logrotate.d/ahm''') == '# mine\n'
    assert in_debian.run('''
        dpkg -r ahm >/dev/null 2>&1
        ls /var/lib/ahm; ls -d /usr/lib/ahm /usr/bin/ahm 2>/dev/null || echo gone'''
                         ).splitlines() == ['ahm.state', 'gone']


def test_beside_a_database_the_directory_is_the_databases_owners(in_debian):
    in_debian.run('useradd -r -m postgres')
    in_debian.run(INSTALL)
    assert in_debian.run('stat -c %U:%G:%a /var/lib/ahm') == 'postgres:postgres:700\n'


# -- RPM --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def rpm(built, tmp_path_factory):
    """The path of the RPM, built of the tarball."""
    for program in ('rpmbuild', 'rpm'):
        if not shutil.which(program):
            pytest.skip('NO RPM MADE: no %s here' % program)
    place = str(tmp_path_factory.mktemp('rpm'))
    subprocess.check_call([os.path.join(tarball.ROOT, 'release', 'rpm.sh'), built, place])
    return os.path.join(place, 'ahm-1.0-1.x86_64.rpm')


def query(rpm, *words):
    """What rpm says of the file."""
    return subprocess.check_output(['rpm', '-qp', rpm] + list(words), universal_newlines=True,
                                   stderr=subprocess.DEVNULL)


def test_the_rpm_asks_for_no_more_than_it_needs_and_offers_nothing_of_others(rpm):
    required = {line.split()[0] for line in query(rpm, '--requires').splitlines()}
    assert {name for name in required if not name.startswith('rpmlib(')} == {
        '/bin/sh', 'python3', 'iproute', 'iputils', 'shadow-utils'}
    assert all(line.startswith('ahm') for line in query(rpm, '--provides').splitlines())
    # rpm before 4.14, Enterprise Linux 7, knows no newer features.
    assert 'Zstd' not in query(rpm, '--requires')
    assert query(rpm, '--configfiles').split() == ['/etc/logrotate.d/ahm', '/etc/sudoers.d/ahm']
    assert '/var/lib/ahm' not in query(rpm, '--list').split(), 'an upgrade would change its owner'


def test_the_rpm_runs_from_an_empty_root(rpm, tmp_path):
    root = str(tmp_path / 'root')
    os.mkdir(root)
    subprocess.check_call(['rpm', '--root', root, '-i', '--nodeps', '--noscripts', rpm])
    for name in COMMANDS:
        done = run(os.path.join(root, 'usr', 'bin', name), '--help', PATH='/usr/bin:/bin')
        assert (done.code, done.err) == (0, '') and 'Usage:' in done.out
    sudoers = os.stat(os.path.join(root, 'etc', 'sudoers.d', 'ahm'))
    assert (sudoers.st_mode & 0o7777, sudoers.st_uid) == (0o440, 0)


def test_the_rpm_is_installed_with_its_user_walked_upgraded_and_goes_again(rpm, tmp_path):
    reason = why_not('rpm')
    if reason:
        pytest.skip('NO ROOT TO INSTALL INTO: %s' % reason)
    configuration = tmp_path / 'configuration'
    state = tmp_path / 'state'
    configuration.mkdir()
    state.mkdir()
    root = Root('/', state, rpm, configured(str(configuration)), str(configuration / 'nodes.conf'))
    said = root.run('''
        rpm() { /usr/bin/rpm "$@" 2>/dev/null; }       # Debian's warns of itself
        rpm -i --nodeps /mnt/*.rpm
        PATH=/usr/bin:/bin:/usr/sbin:/sbin
        %s %s
        stat -c %%U:%%a /var/lib/ahm; ls /usr/lib/ahm/ahmlib/__pycache__/needs.*.pyc
        chown daemon /var/lib/ahm; echo '# mine' >>/etc/logrotate.d/ahm
        rpm -U --nodeps --replacepkgs --replacefiles /mnt/*.rpm
        stat -c %%U /var/lib/ahm; tail -n 1 /etc/logrotate.d/ahm
        rpm -e --nodeps ahm
        ls -d /var/lib/ahm /usr/lib/ahm /usr/bin/ahm 2>/dev/null || echo gone
    ''' % (HELPS, WALK % {'user': 'ahm'})).splitlines()
    assert any('AHM-NODE-1' in line for line in said), said
    owner = said.index('AHM stopped') + 1
    assert said[owner] in ('postgres:700', 'ahm:700')
    assert said[owner + 2:owner + 4] == ['daemon', '# mine']
    assert said[-2:] == ['/var/lib/ahm', 'gone']
