"""What is said where a module is missing: the command that helps on this very host."""

import os
import re
import sys
import sysconfig

import pytest

from ahmlib import needs

DEBIAN = {'ID': 'debian', 'VERSION_ID': '12'}
UBUNTU = {'ID': 'ubuntu', 'ID_LIKE': 'debian', 'VERSION_ID': '24.04'}
MINT = {'ID': 'linuxmint', 'ID_LIKE': 'ubuntu debian', 'VERSION_ID': '21'}
FEDORA = {'ID': 'fedora', 'VERSION_ID': '41'}
ROCKY = {'ID': 'rocky', 'ID_LIKE': 'rhel centos fedora', 'VERSION_ID': '9.4'}
ORACLE = {'ID': 'ol', 'ID_LIKE': 'fedora', 'VERSION_ID': '9.3'}
RHEL = {'ID': 'rhel', 'ID_LIKE': 'fedora', 'VERSION_ID': '10.0'}
OLD = {'ID': 'centos', 'ID_LIKE': 'rhel fedora', 'VERSION_ID': '8'}
OLDER = {'ID': 'centos', 'ID_LIKE': 'rhel fedora', 'VERSION_ID': '7'}
ODD = [{}, {'ID': ''}, {'ID': 'alpine', 'VERSION_ID': '3.20'}, {'ID': 'rhel'},
       {'ID': 'rhel', 'VERSION_ID': 'rawhide'}]


@pytest.fixture
def system(monkeypatch, tmp_path):
    """This Python is the system's; system(True): and its distribution alone manages it."""
    def be(managed=False):
        monkeypatch.setattr(sys, 'prefix', '/usr')
        monkeypatch.setattr(sys, 'base_prefix', '/usr')
        monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
        if managed:
            (tmp_path / 'EXTERNALLY-MANAGED').write_text('')
    return be


@pytest.mark.parametrize('release, command', [
    (release, 'apt-get install python3-docopt python3-yaml') for release in (DEBIAN, UBUNTU, MINT)
] + [(release, 'dnf install python3-docopt python3-pyyaml')
     for release in (FEDORA, ROCKY, ORACLE, RHEL)])
def test_the_command_of_the_distribution_comes_first(system, release, command):
    system()
    assert needs.commands(['docopt', 'yaml'], release) == [
        command, '%s -m pip install docopt PyYAML' % sys.executable]


def test_where_pip_refuses_it_is_not_proposed(system):
    system(managed=True)
    assert needs.commands(['psycopg2', 'msgpack'], DEBIAN) == [
        'apt-get install python3-psycopg2 python3-msgpack']


@pytest.mark.parametrize('release', [OLD, OLDER] + ODD)
def test_packages_that_are_too_old_or_not_known_are_not_proposed(system, release):
    system()
    assert needs.commands(['yaml'], release) == ['%s -m pip install PyYAML' % sys.executable]


def test_a_python_that_does_not_find_the_packages_of_the_distribution_gets_pip_alone(monkeypatch):
    monkeypatch.setattr(sys, 'prefix', '/opt/ahm')
    assert needs.commands(['yaml'], DEBIAN) == ['%s -m pip install PyYAML' % sys.executable]


@pytest.mark.parametrize('text, expected', [
    ('ID=debian\nVERSION_ID="12"\n# more\nNAME=\'x y\'\n',
     {'ID': 'debian', 'VERSION_ID': '12', 'NAME': 'x y'}),
    ('', {}), ('\0=\n=\nID\n ID=x\n', {})])
def test_os_release_is_read_as_it_is_written(monkeypatch, tmp_path, text, expected):
    path = tmp_path / 'os-release'
    path.write_text(text)
    monkeypatch.setattr(needs, '_OS_RELEASE', (str(tmp_path / 'none'), str(path)))
    assert needs.os_release() == expected


def test_without_os_release_nothing_is_known(monkeypatch):
    monkeypatch.setattr(needs, '_OS_RELEASE', ('/no/such/file',))
    assert needs.os_release() == {}


def test_a_python_that_is_too_old_is_named_with_what_is_expected(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'version_info', (3, 5, 10))
    monkeypatch.setattr(needs.platform, 'python_version', lambda: '3.5.10')
    with pytest.raises(SystemExit) as end:
        needs.demand(needs.UTILITY, 'Command Failed: ')
    line, = capsys.readouterr().err.splitlines()
    assert end.value.code == 1
    assert re.match('Command Failed: found Python 3.5.10 .*, expected 3.6 or later', line)


@pytest.mark.parametrize('library, starts', [
    ('glibc 2.17', 'cp'), ('glibc 2.12', 'other'), ('musl', 'other'), (None, 'other')])
def test_compiled_modules_are_only_for_the_c_library_they_were_made_for(monkeypatch, library,
                                                                        starts):
    monkeypatch.setattr(sys.implementation, 'name', 'cpython')
    monkeypatch.setattr(os, 'confstr', lambda name: library)
    assert needs.tag().startswith(starts)


def test_a_checkout_brings_no_modules(tmp_path):
    assert needs.bundled(str(tmp_path)) == [] and needs._brought(str(tmp_path)) == ''
