"""The command `ahm` and the entrances in bin/, as far as they need no daemon and no database."""

import ast
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import types

import pytest

import ahmlib.main
from ahmlib import __version__, needs
from ahmlib.main import main
from ahmlib.process import units, users
from ahmlib.runtime import log

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENTRANCES = sorted(os.path.join('bin', name) for name in os.listdir(os.path.join(ROOT, 'bin')))


@pytest.fixture
def witness(tmp_path):
    """Configures a witness; the arguments that name its configuration."""
    def configure(text=''):
        path = tmp_path / 'ahm_config.yml'
        path.write_text('node_name: w\nis_witness: true\ndata_dir: .\nsocket_dir: .\n' + text)
        (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n')
        return ['-f', str(path)]
    return configure


# -- restart ----------------------------------------------------------------------------------


@pytest.mark.parametrize('command, words', [
    ("sh -c 'echo no >/dev/null; exit 3'", 'ended with exit code 3'),
    ("sh -c 'kill -9 $$'", 'was ended by signal 9'),
    ('/no/such/program x', 'cannot be run: No such file or directory'),
])
def test_a_restart_command_that_fails_is_named_with_its_end_and_is_1(witness, capfd, command,
                                                                     words):
    arguments = witness('service_restart_command: "%s"\n' % command)
    assert main(arguments + ['restart']) == 1
    line, = capfd.readouterr().err.splitlines()
    assert line.startswith('service_restart_command %s ' % command.split()[0]) and words in line
    assert command.split()[-1] in line


def test_a_restart_command_that_succeeds_is_0_and_silent(witness, capfd):
    assert main(witness('service_restart_command: sh -c "echo done"\n') + ['restart']) == 0
    assert capfd.readouterr() == ('done\n', '')


@pytest.fixture
def daemon(monkeypatch):
    """A process that is taken for the daemon; it is not to be ended by `ahm restart`."""
    child = subprocess.Popen(['sleep', '100'])
    monkeypatch.setattr(ahmlib.main, 'find_daemon', lambda where: child.pid)
    monkeypatch.setattr(ahmlib.main, 'tells', lambda where: {})
    yield child
    assert child.poll() is None, 'ended'
    child.kill()
    child.wait()


def test_the_daemon_of_a_unit_is_restarted_by_systemd_and_by_nobody_else(
        witness, daemon, monkeypatch, tmp_path, capfd):
    systemctl = tmp_path / 'systemctl'
    systemctl.write_text('#!/bin/sh\necho "$@" >&2; exit 4\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv('PATH', '%s:%s' % (tmp_path, os.environ['PATH']))
    monkeypatch.setattr(units, 'that_runs', lambda pid: {daemon.pid: 'ahm.service'}[pid])
    assert main(witness() + ['restart']) == 1
    ran, said = capfd.readouterr().err.splitlines()
    assert ran == '--no-ask-password restart ahm.service'
    assert said == 'systemctl --no-ask-password restart ahm.service ended with exit code 4; ' \
        'see with ahm_cluster_status whether AHM runs'
    systemctl.write_text('#!/bin/sh\n')
    assert main(witness() + ['--json', 'restart']) == 0
    assert json.loads(capfd.readouterr().out)['text'] == \
        'AHM was restarted by systemctl --no-ask-password restart ahm.service'


def test_a_daemon_that_this_user_could_not_start_again_is_not_ended(witness, daemon, monkeypatch,
                                                                    capfd):
    monkeypatch.setattr(os, 'geteuid', lambda: 4711)
    assert main(witness() + ['restart']) == 1
    name = users.called(os.getuid())
    assert capfd.readouterr().err == (
        'the AHM daemon with PID %d runs as %s, and this is run by uid 4711, who could not start '
        'it again: run this as %s (sudo -u %s ...)\n' % (daemon.pid, name, name, name))


@pytest.mark.parametrize('cgroup, answer, environ, unit', [
    ('0::/system.slice/ahm.service', 'MainPID=77', '', 'ahm.service'),
    ('0::/system.slice/ahm.service', 'MainPID=1', 'NOTIFY_SOCKET=/x', ''),  # a program of that unit
    ('0::/user.slice/session-3.scope', 'MainPID=77', '', ''), ('', 'MainPID=77', '', ''),
    ('0::/system.slice/ahm.service', None, 'A=b\0NOTIFY_SOCKET=/run/x', 'ahm.service'),
    ('0::/system.slice/ahm.service', None, None, 'ahm.service'),
    ('0::/system.slice/ahm.service', None, 'A=b', '')])
def test_a_unit_runs_a_process_where_it_is_its_main_process(monkeypatch, tmp_path, cgroup, answer,
                                                            environ, unit):
    """answer: what systemctl prints; None: it reaches no bus, as in many containers.

    environ: None where it may not be read, as that of a process with capabilities.
    """
    def opened(path, *mode, **more):
        if os.path.basename(path) == 'environ' and environ is None:
            raise PermissionError(13, 'Permission denied')
        return open(str(tmp_path / os.path.basename(path)), *mode, **more)
    (tmp_path / 'cgroup').write_text(cgroup + '\n')
    (tmp_path / 'environ').write_text(environ or '')
    monkeypatch.setattr(units, 'open', opened, raising=False)
    systemctl = tmp_path / 'systemctl'
    systemctl.write_text('#!/bin/sh\n[ "$*" = "show -p MainPID ahm.service" ] && %s\n' % (
        'exit 1' if answer is None else 'echo ' + answer))
    systemctl.chmod(0o755)
    monkeypatch.setenv('PATH', '%s:%s' % (tmp_path, os.environ['PATH']))
    assert units.that_runs(77) == unit


def test_what_has_ended_runs_in_no_unit_and_is_nobodys():
    assert units.that_runs(2 ** 22 + 1) == '' and users.of_process(2 ** 22 + 1) is None
    assert users.of_process(os.getpid()) == os.geteuid()


# -- wrong usage ------------------------------------------------------------------------------


@pytest.mark.parametrize('action', ['start', 'stop', 'restart', 'reload'])
def test_an_empty_path_is_not_taken_for_the_default(action, capfd):
    assert main(['-f', '', action]) == 2
    line = capfd.readouterr().err.splitlines()[0]
    assert line.startswith("-f: found '', expected the path of a configuration file")


# -- a log that would be lost -----------------------------------------------------------------


@pytest.fixture
def started(witness, monkeypatch):
    """Starts a daemon that does nothing; [(ok, message)] of what the waiting command was told."""
    def start(text=''):
        told = []
        idle = types.SimpleNamespace(open=lambda: None, run=lambda ready: ready(True) or 0)
        monkeypatch.setattr(ahmlib.main.daemonize, 'detach', lambda tell: lambda ok, message='':
                            told.append((ok, message)))
        monkeypatch.setattr(ahmlib.main, 'Daemon', lambda *_, **__: idle)
        assert main(witness(text) + ['start']) == 0
        return told
    return start


@pytest.mark.parametrize('there', ['nothing', 'a socket that nobody reads'])
def test_who_detaches_without_any_log_is_told(started, monkeypatch, tmp_path, there):
    path = str(tmp_path / 'log.socket')
    monkeypatch.setattr(log, '_SYSLOG_SOCKET', path)
    if there != 'nothing':
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(path)
    (ok, warning), = started()
    assert ok and warning.startswith('warning: the log is lost: ') and path in warning
    assert warning.endswith('set log_filename')


def test_who_has_a_log_is_told_nothing(started, monkeypatch, tmp_path):
    path = str(tmp_path / 'log.socket')
    monkeypatch.setattr(log, '_SYSLOG_SOCKET', path)
    assert started('log_filename: ahm.log\n') == [(True, '')]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(path)
        assert started() == [(True, '')]


# -- modules that are missing -----------------------------------------------------------------


def run(*words):
    """Run python with these words; (exit code, stdout, stderr)."""
    done = subprocess.run((sys.executable,) + words, cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize('path', ENTRANCES + ['ahm.py'])
def test_a_missing_module_is_named_in_one_line_that_says_how_to_install_it(path):
    code, out, error = run('-S', path, '--help')         # -S: without site-packages
    line, = error.splitlines()
    assert (code, out) == (1, '')
    assert 'docopt' in line and 'yaml' in line
    # -S makes the system's Python of a virtual environment's, which has its own command.
    commands = ('%s -m pip install .*PyYAML' % re.escape(sys.executable),
                'apt-get install .*python3-yaml', 'dnf install .*python3-pyyaml')
    assert re.search(r'install what is missing \((%s)' % '|'.join(commands), line)
    assert line.startswith('Command Failed: ') == ('_' in path)


LOADED = """
import runpy, sys
sys.argv = [sys.argv[1], '--help']
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as end:
    assert not end.code, end.code
print(sorted(set(%r) & set(sys.modules)))
""" % sorted(needs.PACKAGES)


@pytest.mark.parametrize('path', ENTRANCES + ['ahm.py'])
def test_what_an_entrance_demands_is_what_it_imports(path):
    code, out, error = run('-c', LOADED, path)
    assert (code, error) == (0, '')
    with open(os.path.join(ROOT, path)) as source:
        name = re.search(r'needs\.demand\(needs\.(\w+)', source.read()).group(1)
    demanded = getattr(needs, name)
    # Children import psycopg2, and without it those of these could check no database.
    children = ['psycopg2'] if 'psycopg2' in demanded else []
    # A utility loads what reads a configuration once there is one.
    late = {'yaml'} if name == 'UTILITY' else set()
    assert set(ast.literal_eval(out.splitlines()[-1])) | late == set(demanded) - set(children)
    assert bool(children) == (path in ('ahm.py', os.path.join('bin', 'ahm'),
                                       os.path.join('bin', 'ahm_check_config')))


# -- what is installed ------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """What setup.py tells setuptools, which need not be there: {keyword: value}."""
    told = {}
    monkeypatch.setitem(sys.modules, 'setuptools', types.SimpleNamespace(
        find_packages=lambda include: include, setup=told.update))
    runpy.run_path(os.path.join(ROOT, 'setup.py'))
    return told


def test_the_packages_are_those_that_an_installation_brings(installed):
    required = [re.match(r'[\w-]+', text).group() for text in installed['install_requires']]
    assert sorted(required) == sorted(needs.PACKAGES.values())


def test_each_manual_page_goes_where_man_looks_for_it(installed):
    pages = {path: place for place, paths in installed['data_files'] for path in paths
             if path.startswith('man' + os.sep)}
    assert pages == {os.path.join('man', name): 'share/man/man' + name[-1]
                     for name in os.listdir(os.path.join(ROOT, 'man')) if name != 'README.md'}
    assert {'share/man/man1', 'share/man/man7'} <= set(pages.values())


# -- the version ------------------------------------------------------------------------------

OTHER_VERSION = """
import runpy, sys
import ahmlib
ahmlib.__version__ = '9.8.7'
sys.argv = [sys.argv[1], '--version']
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('path', ENTRANCES + ['ahm.py'])
def test_every_entrance_tells_the_version_of_the_package_and_no_other(path):
    name = os.path.basename(path)
    said = '%s (AHM) %%s\n' % name if '_' in name else 'ahm %s\n'
    assert run(path, '--version') == (0, said % __version__, '')
    assert run('-c', OTHER_VERSION, path) == (0, said % '9.8.7', '')


def test_the_version_that_is_installed_written_and_told_is_one(installed):
    assert installed['version'] == __version__
    assert ahmlib.main.__doc__.splitlines()[0] == 'ahm version %s,' % __version__
    with open(os.path.join(ROOT, 'CHANGELOG.md'), encoding='utf-8') as source:
        newest = re.search(r'^## (\S+)', source.read(), re.MULTILINE).group(1)
    assert newest == __version__
