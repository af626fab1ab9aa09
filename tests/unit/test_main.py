"""The command `ahm` as far as it needs no daemon and no database."""

import socket

import pytest

import ahmlib.main
from ahmlib.main import main
from ahmlib.runtime import log


@pytest.fixture
def witness(tmp_path, monkeypatch):
    """Configures a witness; `start` ends where it would detach."""
    def configure(text=''):
        path = tmp_path / 'ahm_config.yml'
        path.write_text('node_name: w\nis_witness: true\ndata_dir: .\nsocket_dir: .\n' + text)
        (tmp_path / 'nodes.conf').write_text('127.0.0.1:9500\n')
        return ['-f', str(path)]

    def detach():
        raise ahmlib.main.Refused('detached')
    monkeypatch.setattr(ahmlib.main.daemonize, 'detach', detach)
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


# -- a log that would be lost -----------------------------------------------------------------


@pytest.mark.parametrize('there', ['nothing', 'a socket that nobody reads'])
def test_who_detaches_without_any_log_is_told_before(witness, capfd, monkeypatch, tmp_path, there):
    path = str(tmp_path / 'log.socket')
    monkeypatch.setattr(log, '_SYSLOG_SOCKET', path)
    if there != 'nothing':
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(path)
    assert main(witness() + ['start']) == 1
    warning, end = capfd.readouterr().err.splitlines()
    assert end == 'detached'
    assert warning.startswith('warning: the log will be lost: ') and path in warning
    assert warning.endswith('set log_filename')


def test_who_has_a_log_is_told_nothing(witness, capfd, monkeypatch, tmp_path):
    path = str(tmp_path / 'log.socket')
    monkeypatch.setattr(log, '_SYSLOG_SOCKET', path)
    assert main(witness('log_filename: ahm.log\n') + ['start']) == 1
    assert capfd.readouterr().err == 'detached\n'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(path)
        assert main(witness() + ['start']) == 1
    assert capfd.readouterr().err == 'detached\n'
