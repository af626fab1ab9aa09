"""Finding the processes of a server that is none, and starting and stopping what is not there."""
import os
import signal
import subprocess
import time

import pytest

from ahmlib.database import control, promotion, start, stop
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs


def until(predicate, limit=10.0):
    """Return the first true value of the predicate; fails after `limit` seconds."""
    ends_at = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < ends_at, 'waited %s s' % limit
        time.sleep(0.01)


@pytest.mark.skipif(os.geteuid() != 0, reason='NOT TESTED: needs root')
def test_root_runs_as_the_owner(tmp_path):
    os.chown(str(tmp_path), 65534, 65534)
    user = control.as_owner(str(tmp_path))
    outcome = programs.run(['sh', '-c', 'id -u; id -g; id -G; pwd'], 5, user)
    assert outcome.output.split()[:2] == ['65534', '65534'] and outcome.output.split()[-1] == '/'
    assert '0' not in outcome.output.split()
    os.chown(str(tmp_path), 0, 0)
    assert control.as_owner(str(tmp_path)) is None
    assert control.as_owner(str(tmp_path / 'none')) is None


def test_finding_programs(tmp_path):
    assert control.find_program(str(tmp_path), 'ag_ctl', 'pg_ctl') is None
    for name in ('pg_ctl', 'ag_ctl'):
        (tmp_path / name).write_text('#!/bin/sh\n')
        (tmp_path / name).chmod(0o755)
    settings = DatabaseSettings(db_bin_dir=str(tmp_path), db_data_dir=str(tmp_path))
    assert control.pg_ctl(settings) == str(tmp_path / 'ag_ctl')
    assert control.find_program('', 'sh')


def test_a_stale_postmaster_pid_is_no_server(tmp_path):
    settings = DatabaseSettings(db_data_dir=str(tmp_path))
    own = '%d\n%s\n' % (os.getpid(), tmp_path)
    for text in (own, '-%s' % own, '999999999\n', 'x\n', ''):
        (tmp_path / 'postmaster.pid').write_text(text)
        assert control.postmaster(str(tmp_path)) is None
    assert stop.stop_database(settings, 'fast', 1).how == 'was not running'


def test_a_server_that_cannot_be_seen_does_not_count_as_stopped(tmp_path, monkeypatch):
    assert not stop.stop_database(DatabaseSettings(), 'fast', 1).ok, 'no db_data_dir'
    (tmp_path / 'postmaster.pid').write_text('1\n')

    def refuse(path):
        raise PermissionError(13, 'Permission denied', path)

    monkeypatch.setattr(os, 'readlink', refuse)
    result = stop.stop_database(DatabaseSettings(db_data_dir=str(tmp_path)), 'fast', 1)
    assert not result.ok and '/proc/1/cwd' in result.reason and 'AHM must run as' in \
        result.reason


def test_another_program_in_the_data_directory_is_not_the_server(tmp_path):
    other = subprocess.Popen(['sleep', '60'], cwd=str(tmp_path))
    try:
        (tmp_path / 'postmaster.pid').write_text('%d\n' % other.pid)
        until(lambda: 'sleep' in os.readlink('/proc/%d/exe' % other.pid))
        assert control.postmaster(str(tmp_path)) is None
        assert control.server_processes(str(tmp_path)) == []
    finally:
        other.kill()
        other.wait()


def test_a_zombie_and_a_reused_pid_are_not_alive():
    child = subprocess.Popen(['sleep', '60'])
    process = control.look_up(child.pid)
    assert control.is_alive(process) and not control.is_stopped(child.pid)
    assert not control.is_alive(process._replace(started='1'))
    assert not control.kill(process._replace(started='1'), signal.SIGKILL)
    child.send_signal(signal.SIGSTOP)
    until(lambda: control.is_stopped(child.pid))
    assert control.kill(process, signal.SIGKILL)
    until(lambda: not control.is_alive(process))        # a zombie now
    child.wait()


def test_a_server_near_its_end_has_not_ended_though_it_cannot_be_told_for_the_server_any_more(
        tmp_path, monkeypatch):
    """A stop was over some moments too early, and PostgreSQL did not start beside what was left."""
    child = subprocess.Popen(['sleep', '60'])
    seen, signals = [[control.look_up(child.pid)]], []

    def kill(process, number):
        signals.append((process.pid, number))
        if len(signals) == 3:
            child.kill()
    monkeypatch.setattr(control, 'server_processes', lambda data_dir: seen.pop() if seen else [])
    monkeypatch.setattr(control, 'kill', kill)
    try:
        result = stop.stop_database(DatabaseSettings(db_data_dir=str(tmp_path)), 'kill', 20)
        assert result.ok and result.how == 'kill', result
        assert len(signals) >= 3 and set(signals) == {(child.pid, signal.SIGKILL)}
    finally:
        child.kill()
        child.wait()


def test_starting_without_pg_ctl_says_so(tmp_path):
    settings = DatabaseSettings(db_data_dir=str(tmp_path), db_bin_dir=str(tmp_path),
                                work_dir=str(tmp_path))
    for result in (start.start_database(settings, 1), promotion.promote(
            settings._replace(conn_string='host=127.77.9.9 port=1'), 1)):
        assert not result.ok and 'pg_ctl' in result.reason and 'db_bin_dir' in \
            result.reason


def test_the_start_log_is_never_a_link(tmp_path):
    settings = DatabaseSettings(db_data_dir=str(tmp_path), work_dir=str(tmp_path))
    victim = tmp_path / 'victim'
    victim.write_text('')
    os.symlink(str(victim), start.log_path(settings))
    result = start.start_database(settings, 1)
    assert not result.ok and start.log_path(settings) in result.reason


def test_the_start_arguments(tmp_path):
    settings = DatabaseSettings(db_data_dir='/data', db_config_dir='/data')
    assert start.start_arguments(settings, 'ctl') == ['ctl', 'start', '-W', '-s', '-D', '/data']
    settings = settings._replace(db_data_dir="/it's", db_config_dir='/etc/pg')
    assert start.start_arguments(settings, 'ctl')[4:] == [
        '-D', '/etc/pg', '-o', "-c 'data_directory=/it'\"'\"'s'"]


def test_an_unknown_stop_mode_is_refused():
    with pytest.raises(ValueError):
        stop.stop_database(DatabaseSettings(), 'smart', 1)
