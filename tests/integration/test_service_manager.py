"""A real daemon and its service manager: what it is told and when, and that no child tells it."""

import os
import re
import signal
import socket

import pytest

from .daemons import Done, wait_until


def read(path):
    """The text of a file."""
    with open(path) as file:
        return file.read()


class Listener:
    """The socket of a service manager; whatever comes is kept."""

    def __init__(self, lone):
        self.path = os.path.join(lone.directory, 'notify')
        self.socket = lone.stack.enter_context(
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        os.chmod(self.path, 0o777)
        self.told = []

    def look(self):
        """All datagrams so far."""
        while True:
            try:
                self.told.append(self.socket.recv(65536).decode('utf-8'))
            except BlockingIOError:
                return self.told

    def hears(self, text, times=1):
        """Wait until so many begin like this."""
        wait_until(lambda: sum(each.startswith(text) for each in self.look()) >= times,
                   '%r of %s' % (text, self.told))


@pytest.fixture
def listener(lone):
    return Listener(lone)


def test_it_tells_of_its_start_its_verdict_its_life_its_reload_and_its_end(lone, listener):
    process = lone.foreground(NOTIFY_SOCKET=listener.path, WATCHDOG_USEC='400000')
    listener.hears('READY=1')
    assert os.path.exists(os.path.join(lone.data_dir, 'ahm.state')), 'READY before the state'
    listener.hears('WATCHDOG=1', 3)
    listener.hears('STATUS=CRITICAL: no leader; AHM-NODE-1 is not in contact with a majority')
    process.send_signal(signal.SIGHUP)
    listener.hears('RELOADING=1\nMONOTONIC_USEC=')
    listener.hears('READY=1', 2)
    lone.configure(priority='first')
    process.send_signal(signal.SIGHUP)
    listener.hears('READY=1', 3)
    assert 'reload refused' in lone.log_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    listener.hears('STOPPING=1')
    states = [each.split('\n')[0] for each in listener.told if not re.match('STA|WAT', each)]
    assert states == ['READY=1', 'RELOADING=1', 'READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1']


def test_no_child_inherits_the_service_managers_variables(lone, listener):
    seen = os.path.join(lone.directory, 'seen')
    lone.configure(log_verbose=True, notification_command="sh -c 'env >>%s'" % seen)
    lone.foreground(NOTIFY_SOCKET=listener.path, WATCHDOG_USEC='60000000', WATCHDOG_PID='1')
    listener.hears('READY=1')
    for pid in wait_until(lone.helpers, 'the writers').values():
        environ = read('/proc/%d/environ' % pid)
        assert 'AHM_LAB_HOST=' in environ and not re.search('NOTIFY_SOCKET|WATCHDOG', environ)
    wait_until(lambda: os.path.exists(seen) and 'AHM_MESSAGE=' in read(seen), 'a notification')
    assert not re.search('NOTIFY_SOCKET|WATCHDOG', read(seen))
    assert 'WATCHDOG=1' not in listener.look(), 'signs of life are wanted of another process'


def test_a_daemon_that_detaches_is_not_the_one_that_the_service_manager_started(lone, listener):
    process = lone.popen('start', variables={'NOTIFY_SOCKET': listener.path})
    assert process.wait(60) == 0
    assert lone.answers() and lone.ahm('stop') == Done(0, 'AHM stopped\n', '')
    assert listener.look() == []


def test_a_service_manager_that_is_gone_is_told_once_to_the_log_and_nothing_else_changes(lone):
    process = lone.foreground(NOTIFY_SOCKET=os.path.join(lone.directory, 'gone'))
    lone.logs('cannot tell the service manager (NOTIFY_SOCKET) how AHM does: No such file')
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '') and process.wait(30) == 0
    assert lone.log_text().count('cannot tell the service manager') == 1
