"""A cleaner removes the PID file or the socket of a daemon that runs: made anew, and found."""

import os
import socket
import stat

import pytest

from ahmlib.ipc import client, listeners
from ahmlib.ipc.server import IpcServer
from ahmlib.runtime import find, own_files
from ahmlib.runtime.children import Children
from ahmlib.runtime.find import Places, find_daemon
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.own_files import OwnFiles
from ahmlib.runtime.pid_file import PidFile, PidFileError, running_pid

PERIOD, LIMIT = 30.0, 20.0
PORT = 9


class World:
    """The files of a daemon in a loop that the test turns, by a clock that it shifts."""

    def __init__(self, directory):
        self.shift = 0.0
        self.loop, self.log_path = Loop(), str(directory / 'log')
        self.log = Log('%l ', 'INFO', self.log_path, 'n', clock)
        self.children = Children(self.loop, self.now)
        self.ipc = IpcServer(self.loop, self.log, self.now)
        self.ipc.open(lambda *request: None, str(directory), PORT, '127.98.7.6')
        self.pid_file = PidFile(str(directory / 'ahm.pid'))
        self.pid_file.acquire()
        self.kept = []          # what the history of events is told
        self.files = OwnFiles(self.pid_file, self.ipc, self.children, self.log, self.now,
                              lambda: PERIOD, self.looked, self.kept.append)
        self.where = Places(self.pid_file.path, str(directory), PORT)

    def looked(self, reason):
        """What the core would tell."""
        if reason:
            self.log.error(reason)

    def now(self):
        """The time of the daemon."""
        return clock() + self.shift

    def turn(self):
        """One round of the daemon's loop."""
        self.loop.run_once(clock() + 0.01)
        self.children.expire(self.now())
        self.ipc.expire(self.now())
        self.files.expire(self.now())

    def until(self, predicate):
        """Turn until something is so."""
        limit = clock() + LIMIT
        while not predicate():
            assert clock() < limit, 'it did not happen within %g s' % LIMIT
            self.turn()

    def look(self):
        """Let it look, and do what that leads to."""
        self.shift += PERIOD
        self.turn()
        self.until(lambda: not len(self.children))

    def lines(self):
        """The lines of the log."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path) as file:
            return file.read().splitlines()

    def is_reached(self):
        """Whether somebody listens at the path of the socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.where.socket)
            except OSError:
                return False
        return True

    def close(self):
        """Let go of everything."""
        self.children.cancel_all()
        self.ipc.close()
        self.pid_file.release()
        self.loop.close()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A World; its TCP port is any."""
    listen = listeners.listen_tcp
    monkeypatch.setattr(listeners, 'listen_tcp', lambda port, address: listen(0, address))
    made = World(tmp_path)
    yield made
    made.close()


def test_what_is_there_is_left_alone_and_nothing_is_said(world):
    before = [os.stat(path).st_ino for path in (world.where.pid_path, world.where.socket)]
    world.look()
    assert before == [os.stat(path).st_ino for path in (world.where.pid_path, world.where.socket)]
    assert world.lines() == []


def test_a_pid_file_that_is_gone_is_made_anew_locked_and_said_once(world):
    os.unlink(world.where.pid_path)
    assert running_pid(world.where.pid_path) is None
    world.look()
    world.look()
    assert running_pid(world.where.pid_path) == os.getpid()
    line, = world.lines()
    assert line.startswith('WARNING the PID file %s was gone' % world.where.pid_path)
    assert ['WARNING ' + text for text in world.kept] == [line]


def test_a_socket_that_is_gone_is_made_anew_with_its_mode_and_who_had_connected_is_served(world):
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(world.where.socket)
        early.sendall(b'nonsense\n')
        os.unlink(world.where.socket)
        assert not world.is_reached()
        world.look()
        assert world.is_reached()
        assert stat.S_IMODE(os.stat(world.where.socket).st_mode) == 0o600
        world.until(lambda: world.ipc.malformed)
        assert b'malformed' in early.recv(1000)
    assert [line.split(' was gone')[0] for line in world.lines()
            if 'malformed' not in line] == ['WARNING the UNIX socket ' + world.where.socket]
    os.unlink(world.where.socket)
    world.look()
    assert world.is_reached()
    world.ipc.close()
    assert not os.path.exists(world.where.socket)


@pytest.mark.parametrize('attribute', ['pid_path', 'socket'])
def test_a_file_of_somebody_else_is_not_removed_and_that_is_said_once(world, attribute):
    path = getattr(world.where, attribute)
    os.unlink(path)
    with open(path, 'w') as file:
        file.write('precious')
    for _ in range(3):
        world.look()
    with open(path) as file:
        assert file.read() == 'precious'
    line, = world.lines()
    assert line.startswith('ERROR %s is another file now' % path) and 'remove it' in line
    os.unlink(path)
    world.look()
    assert 'made anew' in world.lines()[-1]


@pytest.mark.parametrize('attribute', ['pid_path', 'socket'])
def test_a_file_that_comes_between_the_look_and_the_making_is_not_taken(world, attribute,
                                                                               monkeypatch):
    path = getattr(world.where, attribute)
    os.unlink(path)
    for module, name in ((own_files, 'make'), (listeners, 'bind_unix')):
        function = getattr(module, name)

        def late(*args, function=function):
            if path in args:
                with open(path, 'w') as file:
                    file.write('precious')
            return function(*args)
        monkeypatch.setattr(module, name, late)
    world.look()
    with open(path) as file:
        assert file.read() == 'precious'
    assert 'cannot be made anew' in world.lines()[0]


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_closed_directory_is_said_once(world, tmp_path):
    os.unlink(world.where.pid_path)
    tmp_path.chmod(0o500)
    try:
        world.look()
        world.look()
    finally:
        tmp_path.chmod(0o700)
    line, = world.lines()
    assert line.startswith('ERROR the PID file') and 'Permission denied' in line
    world.look()
    assert running_pid(world.where.pid_path) == os.getpid()


def test_files_in_a_directory_that_is_gone_are_said_once_and_made_when_it_is_back(world, tmp_path):
    os.rename(str(tmp_path), str(tmp_path) + '.away')
    try:
        world.look()
        world.look()
    finally:
        os.rename(str(tmp_path) + '.away', str(tmp_path))
    assert [line.split()[0] for line in world.lines()] == ['ERROR'] * 2
    assert all('No such file or directory' in line for line in world.lines())
    world.look()
    assert running_pid(world.where.pid_path) == os.getpid() and world.is_reached()


def test_a_disk_that_stalls_while_the_files_are_made_does_not_stop_the_loop(world, monkeypatch):
    """The child is killed at its limit; what it had made by then is taken at the next look."""
    for name, module in (('make', own_files), ('bind_unix', listeners)):
        function = getattr(module, name)

        def stalls(*args, function=function):
            function(*args)
            while True:
                os.read(os.pipe()[0], 1)
        monkeypatch.setattr(module, name, stalls)
    for path in (world.where.pid_path, world.where.socket):
        os.unlink(path)
    world.shift += PERIOD
    world.turn()
    assert len(world.children) == 2
    world.until(lambda: all(os.path.exists(path) for path in (world.where.pid_path,
                                                             world.where.socket)))
    world.shift += own_files.LIMIT_SECONDS
    world.until(lambda: not len(world.children))
    assert [line.split()[0] for line in world.lines()] == ['ERROR'] * 2
    world.look()
    assert running_pid(world.where.pid_path) == os.getpid() and world.is_reached()


# Who is found


@pytest.fixture
def listening(world, monkeypatch):
    """A World whose PID file is gone, with an answer of who listens at its socket."""
    os.unlink(world.where.pid_path)
    answers = {'pid': 4711, 'uid': os.geteuid(), 'answer': {'pid_file': world.where.pid_path}}
    monkeypatch.setattr(client, 'ask_with_peer', lambda *args: (
        answers['pid'], answers['uid'], answers['answer']))
    world.answers = answers
    return world


def test_a_daemon_without_pid_file_is_found_at_its_socket(listening):
    assert find_daemon(listening.where) == 4711


@pytest.mark.parametrize('answer', [{'pid_file': '/other/ahm.pid'}, {'pid_file': 7}, {},
                                    {'ok': False, 'reason': 'unknown request'}])
def test_who_holds_another_pid_file_is_not_found(listening, answer):
    listening.answers['answer'] = answer
    assert find_daemon(listening.where) is None


def test_a_strangers_process_at_the_socket_gets_no_signal(listening):
    listening.answers['uid'] = os.geteuid() + 4711
    with pytest.raises(PidFileError) as caught:
        find_daemon(listening.where)
    assert 'no signal is sent' in str(caught.value) and '\n' not in str(caught.value)


def test_a_daemon_that_does_not_answer_is_not_taken_for_none(listening):
    listening.answers['answer'] = None
    with pytest.raises(PidFileError) as caught:
        find_daemon(listening.where)
    assert 'PID 4711' in str(caught.value) and 'did not answer' in str(caught.value)


def test_who_listens_is_told_by_the_kernel(tmp_path):
    with listeners.listen_unix(str(tmp_path), PORT):
        pid, uid, answer = client.ask_with_peer(find.REQUEST, PORT, str(tmp_path), 0.1)
    assert (pid, uid, answer) == (os.getpid(), os.geteuid(), None)


def test_a_lock_that_is_held_is_said_where_nothing_else_is_there(world):
    lock = PidFile(world.where.lock_path)
    lock.acquire()
    with pytest.raises(PidFileError) as caught:
        find.refuse_doubt(world.where)
    assert 'PID %d' % os.getpid() in str(caught.value) and 'try again' in str(caught.value)
    lock.release()
    find.refuse_doubt(world.where)
