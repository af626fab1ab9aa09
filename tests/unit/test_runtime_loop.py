"""The loop: descriptors, deadlines, signals, and that it notices when it is held up."""

import os
import signal
import subprocess
import sys
import time
import types

import pytest

from ahmlib.core.consensus.timing import Timing
from ahmlib.runtime import loop as loop_module
from ahmlib.runtime.daemon import late_seconds
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import Loop, clock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_the_clock_counts_since_boot_and_never_goes_back():
    with open('/proc/uptime') as file:
        uptime = float(file.read().split()[0])
    first = clock()
    assert abs(first - uptime) < 5
    assert clock() >= first


def test_a_reader_is_called_while_there_is_something_to_read(loop, pipe):
    got = []
    loop.add_reader(pipe[0], lambda: got.append(os.read(pipe[0], 1)))
    os.write(pipe[1], b'ab')
    assert loop.run_once(clock() + 5) == 1
    assert loop.run_once(clock() + 5) == 1
    assert loop.run_once(clock()) == 0
    assert got == [b'a', b'b']


def test_it_waits_until_the_instant_and_no_longer(loop):
    started_at = clock()
    assert loop.run_once(started_at + 0.05) == 0
    assert 0.045 <= clock() - started_at < 2


def test_an_instant_in_the_past_does_not_wait(loop):
    started_at = clock()
    loop.run_once(started_at - 100)
    assert clock() - started_at < 1


def test_reader_and_writer_of_one_descriptor_are_independent(loop):
    import socket
    ours, theirs = socket.socketpair()
    with ours, theirs:
        calls = []
        loop.add_reader(ours, lambda: calls.append('read'))
        loop.add_writer(ours, lambda: calls.append('write'))
        theirs.send(b'x')
        loop.run_once(clock() + 5)
        assert sorted(calls) == ['read', 'write']
        loop.remove_writer(ours)
        loop.run_once(clock() + 5)
        assert sorted(calls) == ['read', 'read', 'write']
        loop.remove_reader(ours)
        loop.remove_reader(ours)
        assert loop.run_once(clock()) == 0


def test_what_an_earlier_callback_removed_is_not_called(loop):
    pairs = [os.pipe(), os.pipe()]
    called = []

    def forget_the_other(mine, other):
        called.append(mine)
        loop.remove(other)

    loop.add_reader(pairs[0][0], lambda: forget_the_other(0, pairs[1][0]))
    loop.add_reader(pairs[1][0], lambda: forget_the_other(1, pairs[0][0]))
    for _, writer in pairs:
        os.write(writer, b'x')
    assert loop.run_once(clock() + 5) == 1
    assert len(called) == 1
    for fd in pairs[0] + pairs[1]:
        os.close(fd)


def test_a_number_used_again_by_another_descriptor_is_not_mistaken(loop):
    pairs = [os.pipe(), os.pipe()]
    called = []

    def replace(mine):
        called.append(mine)
        other = pairs[1 - mine][0]
        loop.remove(other)
        loop.add_reader(other, lambda: called.append('new'))

    for place in (0, 1):
        loop.add_reader(pairs[place][0], lambda place=place: replace(place))
        os.write(pairs[place][1], b'x')
    loop.run_once(clock() + 5)
    assert len(called) == 1 and called[0] in (0, 1)
    for fd in pairs[0] + pairs[1]:
        os.close(fd)


def test_a_signal_ends_the_wait_and_arrives_as_a_callback(loop):
    got = []
    loop.on_signal(signal.SIGUSR1, got.append)
    child = subprocess.Popen([sys.executable, '-c',
                              'import os, signal; os.kill(%d, signal.SIGUSR1)' % os.getpid()])
    limit = clock() + 20
    while not got and clock() < limit:
        loop.run_once(limit)
    child.wait()
    assert got == [signal.SIGUSR1]


def test_several_signals_all_arrive(loop):
    got = []
    for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        loop.on_signal(signum, got.append)
        os.kill(os.getpid(), signum)
    loop.run_once(clock() + 5)
    assert sorted(got) == sorted([signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP])


def test_closing_puts_the_handlers_back():
    before = signal.getsignal(signal.SIGUSR1)
    made = Loop()
    made.on_signal(signal.SIGUSR1, lambda signum: None)
    assert signal.getsignal(signal.SIGUSR1) is not before
    made.close()
    assert signal.getsignal(signal.SIGUSR1) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_slow_callback_is_measured_and_reported_once(tmp_path, pipe):
    path = str(tmp_path / 'log')
    loop = Loop(log=Log('%l ', 'INFO', path, 'n', clock), late_seconds=0.02)
    loop.add_reader(pipe[0], lambda: time.sleep(0.03))
    os.write(pipe[1], b'x')
    for _ in range(3):
        loop.run_once(clock() + 5)
    loop.close()
    assert loop.slowest_seconds >= 0.03
    with open(path) as file:
        lines = file.read().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('WARNING AHM on this host was late: one step took 0.0')
    assert 'expected less than 0.02 s' in lines[0]
    for words in ('beacons may be as late', 'look whether the host lacks CPU or memory', 'lambda'):
        assert words in lines[0]


@pytest.mark.parametrize('seconds, severities', [(0.009, []), (0.019, ['DEBUG']),
                                                 (0.11, ['DEBUG']), (0.12, ['WARNING'])])
def test_19_ms_on_a_small_host_are_no_warning(tmp_path, seconds, severities):
    """It is one from T_fence / 4 on: 113 ms with the shortest beacons."""
    path, now = tmp_path / 'log', [5.0]
    path.write_text('')
    settings = types.SimpleNamespace(timing=Timing(0.1, 2))
    loop = Loop(lambda: now[0], Log('%l ', 'DEBUG', str(path), 'n', lambda: now[0]),
                late_seconds(settings))

    def step():
        now[0] += seconds
    for _ in range(3):
        loop.measure(step)
    loop.close()
    assert [line.split()[0] for line in path.read_text().splitlines()] == severities


def test_measure_returns_what_the_function_returns(loop):
    assert loop.measure(max, 3, 7) == 7
    assert loop.slowest_seconds > 0


def test_the_boot_clock_has_its_number_on_every_python():
    assert loop_module.CLOCK_BOOTTIME == 7
