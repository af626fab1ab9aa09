"""What the service manager is told, over a real socket; and what odd variables do: nothing."""

import os
import re
import socket
import subprocess
import sys
import time
import types

import pytest
from hypothesis import given, strategies

from ahmlib.runtime import log as log_module
from ahmlib.runtime import service_manager
from ahmlib.runtime.daemon import Daemon
from ahmlib.runtime.service_manager import ServiceManager


class Log:
    """Keeps what is warned of."""

    def __init__(self):
        self.warnings = []

    def warning(self, message, *args):
        self.warnings.append(message % args)


class Listener:
    """A service manager's socket, and the daemon's clock."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.name = address.replace('\0', '@')
        self.log, self.now, self.verdict = Log(), 100.0, 'OK: all is well'

    def manager(self, **variables):
        return ServiceManager(dict({'NOTIFY_SOCKET': self.name}, **variables), self.log,
                              lambda: self.now, lambda: self.verdict)

    def got(self):
        """The datagrams since the last time."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(65536).decode('utf-8'))
            except BlockingIOError:
                return found


@pytest.fixture(params=['path', 'abstract'])
def listener(request, tmp_path):
    made = Listener(str(tmp_path / 'notify') if request.param == 'path'
                    else '\0ahm-test-%d' % os.getpid())
    with made.socket:
        yield made


def test_it_is_told_of_the_start_once_and_of_the_end_once(listener):
    manager = listener.manager()
    assert listener.got() == []
    for _ in range(2):
        manager.started()
    assert listener.got() == ['READY=1']
    for _ in range(2):
        manager.stopping()
    assert listener.got() == ['STOPPING=1'] and listener.log.warnings == []


def test_the_verdict_is_told_when_it_changes_and_looked_at_now_and_then(listener):
    manager = listener.manager()
    manager.expire(100)
    assert listener.got() == ['STATUS=OK: all is well']
    assert manager.next_deadline() == 105
    listener.verdict = 'CRITICAL: no leader;\nx=1 ' + 'y' * 1000
    manager.expire(104)
    assert listener.got() == []
    manager.expire(105)
    told, = listener.got()
    assert told.startswith('STATUS=CRITICAL: no leader; x=1 yyy') and '\n' not in told
    assert len(told) == len('STATUS=') + service_manager.STATUS_CHARACTERS_MAX
    manager.expire(110)
    assert listener.got() == []


def test_a_reload_has_a_begin_with_its_instant_and_an_end(listener):
    manager = listener.manager()
    manager.reloading()
    manager.reloaded()
    assert listener.got() == [], 'it is not even up'
    manager.started()
    before = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    manager.reloading()
    manager.reloading()
    ready, reloading = listener.got()
    first, second = reloading.split('\n')
    assert (ready, first) == ('READY=1', 'RELOADING=1')
    name, value = second.split('=')
    assert name == 'MONOTONIC_USEC'
    assert before - 1 <= int(value) <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    manager.reloaded()
    manager.reloaded()
    assert listener.got() == ['READY=1']


@pytest.mark.parametrize('pid', [None, str(os.getpid())])
def test_signs_of_life_come_twice_as_often_as_asked_for(listener, pid):
    more = {} if pid is None else {'WATCHDOG_PID': pid}
    manager = listener.manager(WATCHDOG_USEC='3000000', **more)
    manager.expire(100)
    assert listener.got()[0] == 'WATCHDOG=1'
    assert manager.next_deadline() == 101.5
    manager.expire(101.4)
    assert listener.got() == []
    manager.expire(101.5)
    manager.expire(101.6)
    assert listener.got() == ['WATCHDOG=1']


def test_signs_of_life_that_are_wanted_of_another_process_are_not_given(listener):
    manager = listener.manager(WATCHDOG_USEC='3000000', WATCHDOG_PID='1')
    manager.expire(100)
    assert not [text for text in listener.got() if 'WATCHDOG' in text]
    assert listener.log.warnings == []


@pytest.mark.parametrize('text', ['', '0', '-5', 'infinity', '3s', '1.5', '٣', '9' * 19 + '99',
                                  str(2 ** 64 - 1), '3000000\n'])
def test_a_watchdog_that_is_none_is_said_and_left_out(listener, text):
    manager = listener.manager(WATCHDOG_USEC=text)
    warning, = listener.log.warnings
    assert warning.startswith('WATCHDOG_USEC is ')
    manager.expire(100)
    assert listener.got() == ['STATUS=OK: all is well']


@pytest.mark.parametrize('text', ['notify', '@', '/', 'vsock:2:1234', ' /run/x', '\0x', '\ud800'])
def test_a_socket_that_is_none_is_said_once_and_nothing_is_told(text):
    log = Log()
    manager = ServiceManager({'NOTIFY_SOCKET': text, 'WATCHDOG_USEC': '10'}, log, lambda: 0.0, None)
    warning, = log.warnings
    assert warning.startswith('NOTIFY_SOCKET is ') and 'expected a path' in warning
    manager.started()
    manager.stopping()
    manager.expire(0)
    assert manager.next_deadline() is None and len(log.warnings) == 1


@pytest.mark.parametrize('variables', [{}, {'NOTIFY_SOCKET': ''}, {'WATCHDOG_USEC': '10'}])
def test_without_a_service_manager_nobody_is_asked_for_a_verdict(variables):
    log = Log()
    manager = ServiceManager(variables, log, lambda: 0.0, None)
    manager.started()
    manager.reloading()
    manager.expire(0)
    assert manager.next_deadline() is None and log.warnings == []


def test_what_must_arrive_is_tried_again_until_it_does_and_said_once(tmp_path):
    path, log, now = str(tmp_path / 'later'), Log(), [100.0]
    manager = ServiceManager({'NOTIFY_SOCKET': path}, log, lambda: now[0], lambda: 'OK: x')
    manager.started()
    for _ in range(3):
        now[0] += 1
        manager.expire(now[0])
    warning, = log.warnings
    assert warning.startswith('cannot tell the service manager (NOTIFY_SOCKET) how AHM does: No ')
    listener = Listener(path)
    with listener.socket:
        assert manager.next_deadline() == now[0] + service_manager.RETRY_SECONDS
        now[0] += 1
        manager.expire(now[0])
        manager.expire(now[0] + service_manager.STATUS_SECONDS)
        assert listener.got() == ['READY=1', 'STATUS=OK: x']
    now[0] += 100
    manager.expire(now[0])
    manager.stopping()
    assert len(log.warnings) == 2, 'a second trouble is said again'


def test_a_service_manager_that_does_not_read_holds_nobody_up(listener):
    manager = listener.manager(WATCHDOG_USEC='2000000')
    for _ in range(2000):
        listener.now += 1
        manager.expire(listener.now)
        manager.started()
        manager.reloading()
        manager.reloaded()
    warning, = listener.log.warnings
    assert 'Resource temporarily unavailable' in warning
    assert len(manager._unsent) == service_manager.UNSENT_MAX
    listener.got()
    listener.now += 2
    manager.expire(listener.now)
    assert listener.got()[-1] in ('READY=1', 'STATUS=OK: all is well')
    assert not manager._unsent


@given(strategies.dictionaries(
    strategies.sampled_from(service_manager.VARIABLES),
    strategies.text(max_size=200) | strategies.from_regex(r'[/@].{0,150}', fullmatch=True)
    | strategies.integers().map(str)))
def test_no_value_of_the_variables_raises_or_keeps_the_loop_busy(variables):
    manager = ServiceManager(variables, Log(), lambda: 7.0, lambda: 'OK: x')
    for call in (manager.started, manager.reloading, manager.reloaded, manager.stopping):
        call()
    manager.expire(7.0)
    deadline = manager.next_deadline()
    assert deadline is None or deadline >= 7.0 + service_manager.WATCHDOG_SECONDS_LEAST


def test_taken_variables_are_inherited_by_nobody(monkeypatch):
    for name in service_manager.VARIABLES:
        monkeypatch.setenv(name, 'x')
    monkeypatch.setenv('NOTIFY_OTHER', 'y')
    assert service_manager.take(os.environ) == dict.fromkeys(service_manager.VARIABLES, 'x')
    seen = subprocess.check_output(['env'], universal_newlines=True)
    assert 'NOTIFY_OTHER=y' in seen
    assert not re.search('^(NOTIFY_SOCKET|WATCHDOG_)', seen, re.MULTILINE)
    assert service_manager.take(os.environ) == {}


@pytest.mark.parametrize('has_spoken, listening, code, told', [
    (False, None, None, []), (True, 'of another file', None, []), (True, None, None, ['started']),
    (True, None, 0, [])])
def test_the_daemon_is_started_once_a_row_of_it_has_left_and_it_stays(has_spoken, listening, code,
                                                                      told):
    daemon, found = Daemon.__new__(Daemon), []
    daemon.driver = types.SimpleNamespace(has_spoken=has_spoken)
    daemon.listening, daemon.code = listening, code
    daemon.service = types.SimpleNamespace(started=lambda: found.append('started'),
                                           expire=lambda now: None)
    daemon._tell_service_manager()
    assert found == told


# -- the journal ------------------------------------------------------------------------------

WRITES = '''
import os, sys
from ahmlib.runtime.log import Log, marked
found = os.fstat(2)
os.environ['JOURNAL_STREAM'] = sys.argv[1] % (found.st_dev, found.st_ino)
log = Log('%l ', 'DEBUG', 'stderr', 'n', lambda: 0.0)
for name in ('debug', 'info', 'notice', 'warning', 'error', 'critical'):
    getattr(log, name)('a')
sys.stderr.write(marked('ERROR', 'b\\nc') + '\\n')
'''


@pytest.mark.parametrize('names', [True, False])
def test_lines_are_marked_with_their_severity_where_stderr_is_the_journal(names):
    done = subprocess.run([sys.executable, '-c', WRITES, '%d:%d' if names else '%d:9%d'],
                          stderr=subprocess.PIPE, universal_newlines=True,
                          cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))) or '.')
    marks = ['<7>', '<6>', '<5>', '<4>', '<3>', '<2>', '<3>', '<3>'] if names else [''] * 8
    words = ['DEBUG a', 'INFO a', 'NOTICE a', 'WARNING a', 'ERROR a', 'CRITICAL a', 'b', 'c']
    assert done.stderr.splitlines() == [mark + word for mark, word in zip(marks, words)]


def test_the_log_of_a_file_is_never_marked(monkeypatch, tmp_path):
    monkeypatch.setattr(log_module, 'leads_to_the_journal', lambda fd: True)
    log = log_module.Log('', 'INFO', str(tmp_path / 'log'), 'n', lambda: 0.0)
    log.error('a')
    assert (tmp_path / 'log').read_text() == 'a\n'
