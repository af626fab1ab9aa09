"""The tarball as whoever unpacks it meets it: it runs from anywhere, on nothing but a Python.

The modules that it brings are here those of this interpreter; `make test-packages` fetches those
that are pinned, and looks at every Python.
"""

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import docopt
import msgpack
import pytest
import yaml

from ahmlib import needs
from release import pinned, tarball

TIME = 1700000000
UTILITIES = sorted(os.listdir(os.path.join(tarball.ROOT, 'bin')))


def wheel_of(path, *packages):
    """Write a wheel that holds these installed packages, and what a wheel says of itself."""
    with zipfile.ZipFile(path, 'w') as wheel:
        for package in packages:
            top = os.path.dirname(package.__file__)
            for place, _, names in os.walk(top):
                for name in names:
                    if name.endswith(('.py', '.so')):
                        full = os.path.join(place, name)
                        wheel.write(full, os.path.relpath(full, os.path.dirname(top)))
        for name in ('METADATA', 'LICENSE', 'RECORD'):
            wheel.writestr('some-1.dist-info/' + name, name)


def sources_of_docopt(path):
    """Write a package of sources as docopt's is."""
    with tarfile.open(path, 'w:gz') as archive:
        archive.add(docopt.__file__, 'docopt-0/docopt.py')
        for name in ('docopt-0/setup.py', 'docopt-0/LICENSE-MIT'):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


@pytest.fixture(scope='module')
def fetched(tmp_path_factory):
    """(pins, directory): the modules of this interpreter, as if they were fetched."""
    directory = tmp_path_factory.mktemp('fetched')
    files = {name: str(directory / name) for name in ('docopt.tar.gz', 'yaml', 'msgpack', 'pq')}
    sources_of_docopt(files['docopt.tar.gz'])
    wheel_of(files['yaml'], yaml)
    wheel_of(files['msgpack'], msgpack)
    with zipfile.ZipFile(files['pq'], 'w') as wheel:
        wheel.writestr('psycopg2/__init__.py', '')
    places = [('pure', 'docopt.tar.gz'), ('pure', 'yaml'), ('pure', 'msgpack'),
              (needs.tag(), 'msgpack'), (needs.tag(), 'pq')]
    pins = []
    for place, name in places:
        with open(files[name], 'rb') as file:
            pins.append(pinned.Pin(place, name + '==1', hashlib.sha256(file.read()).hexdigest()))
    return pins, str(directory)


@pytest.fixture(scope='module')
def built(fetched):
    """The bytes of a tarball."""
    pins, directory = fetched
    tree = dict(tarball.own(), **tarball.modules(pins, pinned.fetch(pins, directory)))
    return tarball.packed(tree, 'AHM_1.0', TIME)


@pytest.fixture(scope='module')
def unpacked(built, tmp_path_factory):
    """Where it was unpacked, below a directory with a blank in its name."""
    place = tmp_path_factory.mktemp('any where')
    with tarfile.open(fileobj=io.BytesIO(built)) as archive:
        archive.extractall(str(place))
    return str(place / 'AHM_1.0')


@pytest.fixture
def run(unpacked, tmp_path):
    """run(command, words): its end, with AHM_1.0/bin on PATH and a Python that has no modules."""
    bare = tmp_path / 'bare'
    bare.write_text('#!/bin/sh\nexec "%s" -S "$@"\n' % sys.executable)
    bare.chmod(0o755)

    def call(*words, **more):
        variables = {'PATH': os.path.join(unpacked, 'bin') + ':/usr/bin:/bin',
                     'AHM_PYTHON': str(bare), 'PYTHONDONTWRITEBYTECODE': '1'}
        variables.update(more)
        return subprocess.run(['/bin/sh', '-c', '"$@"', 'sh'] + list(words), env=variables,
                              cwd='/', stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60)
    return call


@pytest.mark.parametrize('name', UTILITIES)
def test_each_command_runs_by_path_on_a_python_without_modules(run, name):
    done = run(name, '--help')
    assert (done.returncode, done.stderr) == (0, '') and 'Usage:' in done.stdout


def test_a_command_runs_by_a_link_from_elsewhere(run, unpacked, tmp_path):
    link = tmp_path / 'ahm'
    link.symlink_to(os.path.join(unpacked, 'bin', 'ahm'))
    done = run(str(link), '--help')
    assert (done.returncode, done.stderr) == (0, '')


def test_it_reads_a_configuration_and_packs_messages_with_what_it_brings(run, tmp_path):
    (tmp_path / 'ahm_config.yml').write_text('node_name: a\ndb_data_dir: /nowhere\n')
    (tmp_path / 'nodes.conf').write_text(''.join('192.0.2.%d:9500\n' % n for n in (1, 2, 3)))
    done = run('sh', '-c', 'cd "%s" && ahm_simulate -f ahm_config.yml --fault power-off' % tmp_path)
    assert (done.returncode, done.stderr) == (0, '') and 'power-off' in done.stdout


def test_the_compiled_modules_go_before_the_others_and_those_before_the_system(unpacked, run):
    found = needs.bundled(unpacked)
    assert [os.path.basename(path) for path in found] == [needs.tag(), 'pure']
    pure = [name for _, _, names in os.walk(found[1]) for name in names]
    assert 'docopt.py' in pure and 'fallback.py' in pure
    assert not [name for name in pure if name.endswith('.so')]
    told = run(sys.executable, '-c', 'import sys; sys.path.insert(0, sys.argv[1])\n'
               'from ahmlib import needs; needs.demand(needs.DAEMON)\n'
               'import msgpack, yaml, psycopg2\n'
               'print(msgpack.__file__, yaml.__file__, psycopg2.__file__)', unpacked)
    assert told.stderr == '' and told.stdout.count(unpacked) == 3


def test_a_module_that_neither_it_nor_the_system_has_is_named_with_the_pythons_it_serves(
        run, unpacked):
    place = os.path.join(unpacked, 'lib', needs.tag())
    other = os.path.join(unpacked, 'lib', 'cp399-sparc')
    os.rename(place, other)
    try:
        done = run('ahm')
    finally:
        os.rename(other, place)
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and 'no Python module psycopg2 found' in line
    assert 'AHM brings compiled modules for Python 3.99 on sparc with glibc 2.17' in line


@pytest.mark.parametrize('python', ['/no/such/python', '/bin/false', 'an old one'])
def test_a_python_that_does_not_serve_is_said_in_one_line(run, tmp_path, python):
    if python == 'an old one':
        python = str(tmp_path / 'old')
        with open(python, 'w') as file:
            file.write('#!/bin/sh\necho "$2" | grep -q "3, 6" && exit 1\nexit 0\n')
        os.chmod(python, 0o755)
    done = run('ahm', 'start', AHM_PYTHON=python)
    line, = done.stderr.splitlines()
    assert done.returncode == 1
    assert line == 'ahm: AHM_PYTHON is %s, expected a Python 3.6 or later that runs' % python


def test_no_python_at_all_is_said_in_one_line(run, unpacked, tmp_path):
    for name in ('sh', 'readlink'):
        os.symlink('/bin/' + name if os.path.exists('/bin/' + name) else '/usr/bin/' + name,
                   str(tmp_path / name))
    done = run(os.path.join(unpacked, 'bin', 'ahm_cluster_status'), PATH=str(tmp_path),
               AHM_PYTHON='')
    if os.path.exists('/usr/libexec/platform-python'):
        pytest.skip('NOT TRIED: this system has a Python that is not found by PATH')
    line, = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith('ahm_cluster_status: no Python 3.6 to 3.13 found on PATH; install one')


def test_the_same_files_give_the_same_bytes_whatever_the_clock_and_the_owner(fetched, built):
    pins, directory = fetched
    tree = dict(tarball.modules(pins, pinned.fetch(pins, directory)), **tarball.own())
    assert tarball.packed(tree, 'AHM_1.0', TIME) == built
    with tarfile.open(fileobj=io.BytesIO(built)) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert names == sorted(names) and len(names) == len(set(names))
    assert {(member.mtime, member.uname, member.gname, member.uid) for member in members} == {
        (TIME, 'root', 'root', 0)}
    assert {member.mode for member in members} == {0o644, 0o755}
    assert not [name for name in names if '__pycache__' in name or name.endswith('.pyc')]


def test_it_holds_the_samples_pages_and_licences(unpacked):
    held = {os.path.relpath(os.path.join(place, name), unpacked)
            for place, _, names in os.walk(unpacked) for name in names}
    assert {'etc/ahm_config.yml.sample', 'etc/failover.sh.sample', 'README.md', 'LICENSE',
            'share/man/man1/ahm_simulate.1', 'share/man/man7/ahm_protocol.7',
            'lib/pure/docopt.LICENSE-MIT', 'lib/pure/some-1.dist-info/LICENSE',
            'lib/pure/some-1.dist-info/METADATA'} <= held
    assert 'lib/pure/some-1.dist-info/RECORD' not in held and 'lib/pure/setup.py' not in held
    assert os.access(os.path.join(unpacked, 'etc', 'failover.sh.sample'), os.X_OK)
    with open(os.path.join(unpacked, 'bin', 'ahm')) as file:
        assert '@NAME@' not in file.read()


def test_what_cannot_be_fetched_is_said_with_what_to_do_and_no_tarball_is_made(
        monkeypatch, tmp_path, capfd):
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1700000000')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    monkeypatch.delenv('PIP_FIND_LINKS', raising=False)
    assert tarball.main([str(tmp_path / 'dist'), str(tmp_path / 'none')]) == 1
    line, = capfd.readouterr().err.splitlines()
    first = pinned.read()[0]
    assert line.startswith('no tarball was made: cannot fetch %s for pure: pip ended with 1'
                           % first.requirement) and first.sha256 in line
    assert not os.path.exists(str(tmp_path / 'dist'))


def test_a_file_that_is_not_the_pinned_one_is_not_taken(fetched, monkeypatch, tmp_path):
    pins, directory = fetched
    wrong = pins[0]._replace(sha256='0' * 64)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    with pytest.raises(pinned.CannotFetch):
        pinned.fetch([wrong], directory)


def test_the_pins_serve_every_python_with_all_modules():
    pins = pinned.read()
    by_place = {}
    for pin in pins:
        by_place.setdefault(pin.place, set()).add(pin.requirement.split('==')[0])
        assert re.match('[0-9a-f]{64}$', pin.sha256)
    assert by_place.pop('pure') == {'docopt', 'PyYAML', 'msgpack'}
    assert by_place == {'cp3%d-x86_64' % minor: {'msgpack', 'psycopg2-binary'}
                        for minor in range(6, 14)}


@pytest.mark.parametrize('text', ['', 'yesterday', '-1', '123456789012'])
def test_a_time_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv('SOURCE_DATE_EPOCH', text)
    with pytest.raises(tarball.CannotBuild, match='SOURCE_DATE_EPOCH is .*, expected seconds'):
        tarball.epoch()


def test_without_a_history_a_time_has_to_be_given(monkeypatch, tmp_path):
    monkeypatch.delenv('SOURCE_DATE_EPOCH', raising=False)
    monkeypatch.setattr(tarball, 'ROOT', str(tmp_path))
    with pytest.raises(tarball.CannotBuild, match='set SOURCE_DATE_EPOCH'):
        tarball.epoch()
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '17')
    assert tarball.epoch() == 17
