"""The daemon's reload and restart: what is taken, what is refused and said, and by whom it ends."""

import os
import signal

from .daemons import Done, is_gone, one_line, wait_until


def test_reload_takes_severity_and_priority(lone):
    lone.configure(log_severity='ERROR', priority=3)
    pid = lone.start()
    assert lone.status()['nodes'][0]['priority'] == 3 and lone.log_text() == ''
    lone.configure(log_severity='INFO', priority=7)
    code, out, err = lone.ahm('reload')
    assert (code, err) == (0, '')
    assert out.splitlines() == [
        'AHM reloaded %s: changes taken: 2' % lone.config, 'taken: priority: 3 -> 7',
        "taken: log_severity: 'ERROR' -> 'INFO'"]
    assert lone.status()['nodes'][0]['priority'] == 7, 'the command waits until it is taken'
    lone.logs('NOTICE PID:%d' % pid)
    lone.logs('reloaded %s' % lone.config)


def test_reload_by_sighup_refuses_an_interval_and_takes_nothing_with_it(lone):
    pid = lone.start()
    lone.configure(beacon_message_interval_seconds=3, priority=7)
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: beacon_message_interval_seconds cannot change while the daemon runs')
    assert lone.status()['nodes'][0]['priority'] == 1
    lone.configure(beacon_message_interval_seconds=None)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: lone.status()['nodes'][0]['priority'] == 7, 'the priority')


def test_reload_says_what_it_refuses_and_why_and_is_1(lone):
    lone.start()
    lone.configure(beacon_message_interval_seconds=3, priority=7)
    code, out, err = lone.ahm('reload')
    head, *changes = err.splitlines()
    assert (code, out) == (1, '') and head.startswith('AHM refused to reload %s: ' % lone.config)
    assert 'not taken: priority: 1 -> 7; it is all of the file or nothing' in changes
    refused, = [line for line in changes if line.startswith('refused: ')]
    assert refused.startswith('refused: beacon_message_interval_seconds: ')
    assert refused.endswith('-> 3; cannot change while the daemon runs: use `ahm restart`')
    assert lone.status()['nodes'][0]['priority'] == 1


def test_reload_of_the_same_file_says_that_nothing_has_changed(lone):
    lone.start()
    assert lone.ahm('reload') == Done(
        0, 'AHM reloaded %s: no parameter has changed\n' % lone.config, '')


def test_reload_of_a_daemon_whose_socket_is_gone_is_by_a_signal_and_not_known(lone):
    lone.start()
    os.unlink(lone.socket)
    lone.configure(priority=7)
    code, out, err = lone.ahm('reload')
    assert (code, out) == (1, '') and 'was asked to reload by a signal' in one_line(err)
    lone.logs('reloaded %s' % lone.config)


def test_reload_refuses_other_nodes(lone):
    pid = lone.start()
    lone.write_nodes('192.0.2.1:9500')
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: nodes.conf cannot change while the daemon runs')
    assert lone.status()['remote_nodes'] == 2


def test_reload_refuses_a_broken_file(lone):
    pid = lone.start()
    lone.configure(priority='first')
    code, out, err = lone.ahm('reload')
    assert (code, out) == (1, '') and one_line(err).startswith(lone.line('priority'))
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: %s priority: found' % lone.line('priority'))
    os.unlink(lone.config)
    os.kill(pid, signal.SIGHUP)
    lone.logs('reload refused: %s: found no such file' % lone.config)
    assert lone.answers() and lone.pid() == pid


def test_reload_moves_the_log(lone):
    process = lone.foreground()
    before = lone.log_text()
    assert 'starts at' in before and lone.stderr() == ''
    lone.configure(log_filename=None)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'reloaded' in lone.stderr(), 'the log on stderr')
    lone.configure(log_filename='none/ahm.log')
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'reload refused: cannot write the log' in lone.stderr(), 'the refusal')
    assert lone.log_text().startswith(before) and 'reloaded' not in lone.log_text()


def test_reload_without_a_daemon_says_so(lone):
    code, out, err = lone.ahm('reload')
    assert (code, out) == (1, '') and 'no AHM daemon runs' in one_line(err)


def test_restart_ends_one_daemon_and_starts_another(lone):
    assert lone.ahm('restart') == Done(0, '', '')
    pid = lone.pid()
    assert lone.ahm('restart') == Done(0, '', '')
    assert is_gone(pid) and lone.pid() != pid and lone.answers()
    assert 'RESTARTING' in lone.log_text() and 'LEAVING' not in lone.log_text()


def test_restart_does_not_end_what_it_could_not_start_again(lone):
    pid = lone.start()
    lone.configure(priority='first')
    assert lone.ahm('restart').code == 1
    assert lone.answers() and lone.pid() == pid


def test_restart_runs_the_service_managers_command_where_there_is_one(lone):
    pid = lone.start()
    lone.configure(service_restart_command="/bin/sh -c 'echo asked; exit 3'")
    done = lone.ahm('restart')
    assert (done.code, done.out) == (1, 'asked\n')
    assert 'service_restart_command' in done.err and 'ended with exit code 3' in done.err
    assert lone.answers() and lone.pid() == pid
