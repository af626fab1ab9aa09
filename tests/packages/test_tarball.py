"""`make dist` as its users get it: fetched by the pins, unpacked, and run on every Python here."""

import os
import shutil
import tarfile

import pytest

from .pythons import MINORS, build_tarball, found, run, walk

PYTHONS = found()
LOADED = '''
import sys
sys.path.insert(0, sys.argv[1])
from ahmlib import needs
needs.demand(needs.DAEMON)
import psycopg2, msgpack
print(psycopg2.__file__)
print(msgpack.Packer.__module__)
'''


@pytest.fixture(scope='module')
def home(built, tmp_path_factory):
    """Where the tarball was unpacked."""
    place = str(tmp_path_factory.mktemp('a place'))
    with tarfile.open(built) as archive:
        archive.extractall(place)
    return os.path.join(place, 'AHM_1.0')


def test_the_same_commit_gives_the_same_tarball(built, tmp_path):
    build_tarball(str(tmp_path))
    with open(built, 'rb') as one, open(str(tmp_path / 'AHM_1.0.tar.gz'), 'rb') as other:
        assert one.read() == other.read()


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
