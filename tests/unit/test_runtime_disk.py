"""What is handed to a process that waits for the disk: answered, in order, and never waited for."""

import os
import signal
import time

import pytest

from ahmlib.lab import procfs
from ahmlib.runtime import disk as disk_module
from ahmlib.runtime import disk_helper, pid_file
from ahmlib.runtime.disk import LogWriter, StateWriter
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.pid_file import AlreadyRunning, PidFile, PidFileError, StateLock

LIMIT = 20


class World:
    """A loop with both writers, and what they said."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.path = os.path.join(self.directory, 'state')
        self.log_path = os.path.join(self.directory, 'log')
        self.loop, self.lost, self.said = Loop(), 0, []
        self.state = StateWriter(self.loop, clock, self.directory, self.said.append,
                                 lambda seconds: self.said.append('slow'),
                                 lambda seconds: self.said.append('fast'))
        self.log = LogWriter(self.loop, clock, self.count, self.said.append)
        self.log.open(os.fsencode(self.log_path))
        self.ended = []

    def count(self, lines):
        """Note that lines were lost."""
        self.lost += lines

    def save(self, text, path=None):
        """Have the state file say this."""
        self.state.replace(path or self.path, text.encode(), lambda reason:
                           self.ended.append((text, reason)))

    def until(self, predicate):
        """Run the loop until predicate()."""
        deadline = time.monotonic() + LIMIT
        while not predicate():
            assert time.monotonic() < deadline, 'waited in vain'
            self.loop.run_once(clock() + 0.02)
            self.state.expire(clock())

    def text(self, path):
        """What is in a file."""
        with open(path) as file:
            return file.read()


@pytest.fixture
def world(tmp_path):
    """A World."""
    one = World(tmp_path)
    yield one
    for writer in (one.state, one.log):
        if writer._helper.pid is not None:
            try:
                os.kill(writer._helper.pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
    one.state.finish([], LIMIT)
    one.log.finish(LIMIT)
    one.loop.close()


def stopped(world, writer):
    """Stop the helper of a writer, which stands for a disk that stalls; its PID."""
    pid = writer._helper.pid
    os.kill(pid, signal.SIGSTOP)
    world.until(lambda: procfs.state(pid) == 'T')
    return pid


def test_a_state_is_written_and_answered_later(world):
    world.save('one')
    assert world.ended == []
    world.until(lambda: world.ended)
    assert world.ended == [('one', '')] and world.text(world.path) == 'one'
    assert os.stat(world.path).st_mode & 0o777 == 0o600
    assert os.listdir(world.directory) == ['state']


def test_states_are_answered_in_their_order_and_a_failure_is_its_own(world):
    world.save('one')
    world.save('two', os.path.join(world.directory, 'none', 'state'))
    world.save('three')
    world.until(lambda: len(world.ended) == 3)
    assert [text for text, _ in world.ended] == ['one', 'two', 'three']
    assert [bool(reason) for _, reason in world.ended] == [False, True, False]
    assert 'No such file' in world.ended[1][1] and world.text(world.path) == 'three'


def test_a_disk_that_stalls_is_said_once_and_again_when_it_is_over(world, monkeypatch):
    world.save('one')
    world.until(lambda: world.ended)
    pid = stopped(world, world.state)
    monkeypatch.setattr(disk_module, 'PATIENT_SECONDS', 0.05)   # on a busy host all is slow
    world.save('two')
    assert world.state.next_deadline() is not None
    world.until(lambda: world.said == ['slow'])
    assert world.state.next_deadline() is None and len(world.ended) == 1
    os.kill(pid, signal.SIGCONT)
    world.until(lambda: len(world.ended) == 2)
    assert world.said == ['slow', 'fast'] and world.text(world.path) == 'two'


def test_a_helper_that_dies_fails_what_it_was_asked_for_and_a_new_one_is_made(world):
    world.save('one')
    world.until(lambda: world.ended)
    pid = stopped(world, world.state)
    world.save('two')
    os.kill(pid, signal.SIGKILL)
    world.until(lambda: len(world.ended) == 2)
    assert 'PID %d' % pid in world.ended[1][1] and world.text(world.path) == 'one'
    world.save('three')
    world.until(lambda: len(world.ended) == 3)
    assert world.ended[2] == ('three', '') and world.state.pid != pid
    assert len(world.said) == 1 and 'has ended' in world.said[0]


@pytest.mark.parametrize('program', ['/nowhere/python', '/bin/false', None])
def test_without_an_interpreter_a_fork_of_the_daemon_writes(world, monkeypatch, program):
    monkeypatch.setattr(disk_module.sys, 'executable', program)
    monkeypatch.setattr(disk_module, 'AGAIN_SECONDS', 0.05)

    def saved():
        if not world.state._waiting and not world.state._failed:
            world.save('text')
        return ('text', '') in world.ended
    world.until(saved)
    assert world.text(world.path) == 'text'


@pytest.mark.parametrize('number', disk_module.IGNORED)
def test_a_signal_for_all_of_the_daemon_takes_no_state_away(world, number):
    world.save('one')
    world.until(lambda: world.ended)
    os.kill(world.state.pid, number)
    world.save('two')
    world.until(lambda: len(world.ended) == 2)
    assert world.ended[1] == ('two', '') and world.said == []


def test_what_was_asked_for_is_written_after_the_end_of_who_asked(world):
    world.save('one')
    world.until(lambda: world.ended)
    pid = stopped(world, world.state)
    world.save('two')
    assert not world.state.finish([world.path + '.none'], 0.05)
    os.kill(pid, signal.SIGCONT)
    world.until(lambda: world.text(world.path) == 'two')


def test_names_are_removed_at_the_end_only_as_long_as_they_are_ours(world):
    names = [os.path.join(world.directory, name) for name in ('a', 'b')]
    for name in names:
        with open(name, 'w') as file:
            file.write('old')
    world.save('one')
    world.until(lambda: world.ended)
    pid = stopped(world, world.state)
    assert not world.state.finish(names, 0.05)
    os.rename(names[1], names[1] + '.before')
    with open(names[1], 'w') as file:
        file.write('new')
    os.kill(pid, signal.SIGCONT)
    world.until(lambda: not os.path.exists(names[0]))
    assert world.text(names[1]) == 'new'


def test_lines_wait_in_order_while_the_disk_stalls(world):
    assert world.log.write('', b'first')
    world.log.sync(LIMIT)
    assert world.text(world.log_path) == 'first\n'
    pid = stopped(world, world.log)
    lines = ['%d %s' % (number, 'x' * 100) for number in range(5000)]
    assert all(world.log.write('', line.encode()) for line in lines)
    os.kill(pid, signal.SIGCONT)
    assert world.log.finish(LIMIT)
    assert world.text(world.log_path).splitlines() == ['first'] + lines and world.lost == 0


def test_what_waits_is_bounded_and_the_rest_is_lost(world, monkeypatch):
    monkeypatch.setattr(disk_module, 'LOG_BYTES_MAX', 20000)
    world.log.write('', b'first')
    world.log.sync(LIMIT)
    pid = stopped(world, world.log)
    kept = [world.log.write('', b'x' * 1000) for _ in range(2000)]
    assert True in kept and kept == sorted(kept, reverse=True) and False in kept
    os.kill(pid, signal.SIGCONT)
    assert world.log.finish(LIMIT)
    assert len(world.text(world.log_path).splitlines()) == 1 + kept.count(True)


def test_lines_that_the_disk_refuses_are_counted(world):
    world.log.open(b'/dev/full')
    world.log.write('', b'one')
    world.log.write('', b'two')
    world.until(lambda: world.lost == 2)


def test_a_log_that_was_renamed_is_opened_anew_after_the_lines_before(world):
    world.log.write('', b'one')
    world.log.sync(LIMIT)
    os.rename(world.log_path, world.log_path + '.1')
    world.log.write('', b'two')
    world.log.open(os.fsencode(world.log_path))
    world.log.write('', b'three')
    assert world.log.finish(LIMIT)
    assert world.text(world.log_path + '.1') == 'one\ntwo\n'
    assert world.text(world.log_path) == 'three\n'


def test_frames_come_in_any_pieces():
    data = b''.join(disk_helper.frame(kind, body) for kind, body in (
        (b'a', b''), (b'b', b'x' * 1000), (b'c', b'\0\0')))
    frames = disk_helper.Frames()
    found = [one for place in range(len(data)) for one in frames.take(data[place:place + 1])]
    assert found == [(b'a', b''), (b'b', b'x' * 1000), (b'c', b'\0\0')]


# -- the lock of the state ------------------------------------------------------------------------


def test_a_writer_that_outlives_its_daemon_keeps_the_next_one_from_starting(world, monkeypatch):
    monkeypatch.setattr(pid_file, 'TRIES', 2)
    path, pid_path = (os.path.join(world.directory, name) for name in ('lock', 'pid'))
    lock = StateLock(path)
    lock.acquire_after(pid_path)
    world.state.hold(lock.fileno())
    world.until(lambda: world.text(path) == '%d\n' % world.state.pid)
    pid = stopped(world, world.state)
    world.save('an old state')
    lock.let_go()                     # as kill -9 of the daemon does
    with pytest.raises(PidFileError) as caught:
        StateLock(path).acquire_after(pid_path, 0.05)
    assert not isinstance(caught.value, AlreadyRunning)
    assert 'PID %d' % pid in str(caught.value) and world.directory in str(caught.value)
    world.state.finish([], 0.0)
    os.kill(pid, signal.SIGCONT)
    later = StateLock(path)
    later.acquire_after(pid_path, LIMIT)    # waits for the writer, which ends now
    assert world.text(world.path) == 'an old state'
    later.release()
    assert not os.path.exists(path)


def test_a_daemon_that_runs_is_named_rather_than_its_writer(world):
    path, pid_path = (os.path.join(world.directory, name) for name in ('lock', 'pid'))
    lock, running = StateLock(path), PidFile(pid_path)
    lock.acquire_after(pid_path)
    running.acquire()
    with pytest.raises(AlreadyRunning) as caught:
        StateLock(path).acquire_after(pid_path, LIMIT)
    assert caught.value.pid == os.getpid() and pid_path in str(caught.value)
    running.release()
    lock.release()
