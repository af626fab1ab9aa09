"""`make dist` as its users get it: fetched by the pins, unpacked, and run on every Python here."""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from release import tarball

from .pythons import MINORS, found, run, walk

PYTHONS = found()
FETCHED = os.path.join(tarball.ROOT, 'build', 'fetched')
LOADED = '''
import sys
sys.path.insert(0, sys.argv[1])
from ahmlib import needs
needs.demand(needs.DAEMON)
import psycopg2, msgpack
print(psycopg2.__file__)
print(msgpack.Packer.__module__)
'''


def build(directory):
    """Build it in a process of its own, as make does; returns the bytes."""
    subprocess.check_call([sys.executable, '-m', 'release.tarball', directory, FETCHED],
                          cwd=tarball.ROOT)
    with open(os.path.join(directory, 'AHM_%s.tar.gz' % tarball.ahmlib.__version__), 'rb') as file:
        return file.read()


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """Where the tarball was unpacked."""
    place = tmp_path_factory.mktemp('a place')
    first = build(str(place / 'dist'))
    assert build(str(place / 'again')) == first, 'two builds, other bytes'
    with tarfile.open(str(place / 'dist' / 'AHM_1.0.tar.gz')) as archive:
        archive.extractall(str(place))
    return str(place / 'AHM_1.0')


@pytest.mark.parametrize('minor', MINORS)
def test_a_daemon_runs_on_this_python_with_the_modules_inside(home, minor, tmp_path):
    python = PYTHONS.get((3, minor))
    if python is None:
        pytest.skip('NOT RUN: no Python 3.%d here' % minor)
    loaded = run(python, '-I', '-W', 'ignore', '-c', LOADED, home)
    assert loaded.err == '' and loaded.code == 0
    psycopg2, packer = loaded.out.splitlines()
    assert psycopg2.startswith(os.path.join(home, 'lib', 'cp3%d-' % minor))
    assert packer == 'msgpack._cmsgpack'
    walk(str(tmp_path), PATH=os.path.join(home, 'bin') + ':/usr/sbin:/usr/bin:/sbin:/bin',
         AHM_PYTHON=python)


def test_its_pages_are_found_by_path(home):
    if not shutil.which('man'):
        pytest.skip('NOT TRIED: no man here')
    path = os.path.join(home, 'bin') + ':/usr/bin:/bin'
    shown = run('man', '-w', 'ahm_cluster_status', PATH=path)
    assert shown.out.startswith(home), shown
