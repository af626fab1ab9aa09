"""Children, with real processes: results, limits, whole groups killed, nothing left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ahmlib.database import conninfo, probe
from ahmlib.runtime import child_side
from ahmlib.runtime.children import Children
from ahmlib.runtime.loop import Loop, clock

LIMIT = 30


class World:
    """A loop with children, driven as the daemon drives it."""

    def __init__(self, **options):
        self.loop = Loop()
        self.children = Children(self.loop, clock, **options)
        self.results = []

    def start(self, function, *args, **options):
        options.setdefault('limit_seconds', LIMIT)
        options.setdefault('name', function.__name__)
        options.setdefault('on_end', self.results.append)
        return self.children.start(function, args, **options)

    def run_until(self, predicate, seconds=LIMIT):
        limit = clock() + seconds
        while not predicate():
            assert clock() < limit, 'it did not happen within %g s' % seconds
            due = self.children.next_deadline()
            # The predicate may be about something that does not wake the loop.
            soon = clock() + 0.05
            self.loop.run_once(soon if due is None else min(soon, due))
            self.children.expire(clock())

    def result(self):
        self.run_until(lambda: self.results)
        assert len(self.results) == 1
        return self.results[0]


@pytest.fixture
def world():
    made = World()
    yield made
    made.children.cancel_all()
    made.run_until(lambda: not made.children._dying)
    made.loop.close()


def is_alive(pid):
    """Whether a process runs: a zombie that its own parent has not reaped does not."""
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def read_numbers(path):
    try:
        with open(path) as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []


def tells(count):
    """Tell as often, then return."""
    for number in range(count):
        child_side.tell('step %d\n' % number)
    return {'ok': True, 'reason': 'told'}


def test_what_a_child_tells_meanwhile_comes_before_its_result(world):
    told = []
    world.start(tells, 1000, on_news=lambda text: told.append((text, list(world.results))))
    assert world.result() == {'ok': True, 'reason': 'told'}
    assert told == [('step %d\n' % number, []) for number in range(1000)]


def test_who_is_told_may_cancel_the_child(world):
    told = []

    def cancel(text):
        told.append(text)
        world.children.cancel(child)
    child = world.start(tells, 1000, on_news=cancel)
    world.run_until(lambda: told and not world.children._dying)
    assert told == ['step 0\n'] and not world.results and not len(world.children)


def test_outside_a_child_nobody_is_told():
    child_side.tell('nothing')
    assert not child_side._PIPES


def add(a, b):
    return {'ok': True, 'sum': a + b}


def fail(message):
    raise RuntimeError(message)


def big(size):
    return {'ok': True, 'text': 'x' * size}


def wait_for_ever(path):
    """Leave two processes of the group behind, tell their PIDs, and hang."""
    grandchild = subprocess.Popen(['sleep', '1000'])
    with open(path + '.new', 'w') as file:
        file.write('%d %d\n' % (os.getpid(), grandchild.pid))
    os.rename(path + '.new', path)
    time.sleep(1000)


def leave_one_behind():
    return {'ok': True, 'pid': subprocess.Popen(['sleep', '1000']).pid}


def describe():
    return {'pid': os.getpid(), 'group': os.getpgid(0),
            'fds': sorted(os.listdir('/proc/self/fd')),
            'stdin': os.readlink('/proc/self/fd/0'),
            'handler': signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
            'wakeup': signal.set_wakeup_fd(-1),
            'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}


def test_the_result_comes_back_from_another_process(world):
    world.start(add, 2, 3)
    assert world.results == []
    assert world.result() == {'ok': True, 'sum': 5}
    assert len(world.children) == 0
    assert world.children.next_deadline() is None


def test_it_is_reaped(world):
    child = world.start(add, 2, 3)
    world.result()
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def test_other_children_of_the_process_are_never_reaped(world):
    other = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(7)'])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    world.start(add, 2, 3)
    world.result()
    assert other.wait() == 7


def test_a_child_has_nothing_of_the_daemon_but_its_pipe(world):
    world.loop.on_signal(signal.SIGUSR1, lambda signum: None)
    leak = os.open('/dev/null', os.O_RDONLY)
    os.set_inheritable(leak, True)
    child = world.start(describe)
    result = world.result()
    os.close(leak)
    assert result['pid'] == result['group'] == child.pid != os.getpid()
    # 0, 1, 2, the pipe, and the one that lists the directory.
    assert len(result['fds']) == 5
    assert result['stdin'] == '/dev/null'
    assert result['handler'] is True
    assert result['wakeup'] == -1
    assert result['blocked'] == []


def test_the_daemons_signals_are_not_left_blocked(world):
    world.start(add, 1, 1)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_an_exception_is_one_line_of_reason(world):
    world.start(fail, 'first\nsecond')
    assert world.result() == {'ok': False, 'reason': 'RuntimeError: first second'}


@pytest.mark.parametrize('function, said', [
    (lambda: 5, 'returned int, expected a dict or a NamedTuple'),
    (lambda: {'ok': object()}, 'not JSON serializable'),
    (lambda: sys.exit(3), 'SystemExit: 3'),
    (lambda: big(2 * 1024 * 1024), 'expected at most 1048576'),
])
def test_a_result_that_cannot_be_one_is_a_failure(world, function, said):
    world.start(function, name='probe')
    result = world.result()
    assert result['ok'] is False
    assert said in result['reason']


def found():
    """A result as the functions of `database` return it."""
    return probe.Found('REACHABLE', upstream=conninfo.Upstream('h', 5, 'n'), sync_names=('a', 'b'),
                       sync_standbys=(probe.SyncStandby('n', 'streaming', None),))


def test_a_named_tuple_arrives_as_a_dict_with_all_that_is_in_it(world):
    world.start(found)
    result = world.result()
    assert set(result) == set(probe.Found._fields)
    assert result['upstream'] == {'host': 'h', 'port': 5, 'application_name': 'n'}
    assert result['sync_names'] == ['a', 'b'] and result['lsn'] is None
    assert result['sync_standbys'] == [
        {'application_name': 'n', 'state': 'streaming', 'sync_state': None}]


def test_a_big_result_comes_whole(world):
    world.start(big, 1000 * 1000)
    assert world.result() == {'ok': True, 'text': 'x' * 1000 * 1000}


def test_at_the_limit_the_grandchildren_are_killed_too(world, tmp_path):
    path = str(tmp_path / 'pids')
    world.start(wait_for_ever, path, limit_seconds=3, name='fence')
    world.run_until(lambda: read_numbers(path))
    pids = read_numbers(path)
    assert all(is_alive(pid) for pid in pids)
    assert world.result() == {'ok': False, 'timed_out': True,
                              'reason': 'fence did not end within 3 s and was killed'}
    world.run_until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_stopped_child_is_killed_at_its_limit(world):
    world.start(lambda: os.kill(os.getpid(), signal.SIGSTOP), limit_seconds=0.3, name='x')
    assert world.result()['timed_out'] is True


def test_a_result_that_was_there_in_time_counts_though_the_daemon_slept(world):
    child = world.start(add, 2, 3, limit_seconds=0.2)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    world.children.expire(clock() + 100)
    assert world.result() == {'ok': True, 'sum': 5}


def test_cancel_kills_the_group_and_says_nothing(world, tmp_path):
    path = str(tmp_path / 'pids')
    child = world.start(wait_for_ever, path)
    world.run_until(lambda: read_numbers(path))
    pids = read_numbers(path)
    world.children.cancel(child)
    world.run_until(lambda: not any(is_alive(pid) for pid in pids))
    world.run_until(lambda: not world.children._dying)
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    world.children.cancel(child)
    world.children.expire(clock() + 1000)
    assert world.results == []


def test_what_a_child_leaves_behind_lives_on(world):
    world.start(leave_one_behind)
    pid = world.result()['pid']
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_what_a_child_leaves_behind_is_killed_if_asked(world):
    world.start(leave_one_behind, kill_leftovers=True)
    pid = world.result()['pid']
    world.run_until(lambda: not is_alive(pid))


def test_a_child_killed_by_a_signal_says_which(world):
    world.start(lambda: os.kill(os.getpid(), signal.SIGTERM), name='probe')
    assert world.result() == {'ok': False, 'signal': signal.SIGTERM,
                              'reason': 'probe was killed by SIGTERM'}


def test_a_child_that_leaves_without_a_result_says_so(world):
    world.start(lambda: os._exit(9), name='probe')
    assert world.result() == {'ok': False,
                              'reason': 'probe ended with exit code 9 and without a result'}


def test_more_than_the_bound_wait_in_order():
    world = World(children_max=2)
    for number in range(7):
        world.start(add, number, 0)
        assert len(world.children._running) <= 2
    world.run_until(lambda: len(world.results) == 7)
    assert sorted(result['sum'] for result in world.results) == list(range(7))
    world.loop.close()


def test_one_that_waits_can_be_cancelled_and_never_runs(tmp_path):
    world = World(children_max=1)
    path = str(tmp_path / 'made')
    first = world.start(time.sleep, 1000)
    second = world.start(lambda: open(path, 'w').close())
    world.start(add, 1, 1)
    world.children.cancel(second)
    world.children.cancel(first)
    assert world.result() == {'ok': True, 'sum': 2}
    assert not os.path.exists(path)
    world.loop.close()


def test_on_end_may_start_the_next_one(world):
    world.start(add, 1, 2, on_end=lambda result: world.start(add, result['sum'], 10))
    assert world.result() == {'ok': True, 'sum': 13}


def test_on_end_may_cancel_another_one(world):
    other = world.start(time.sleep, 1000)
    world.start(add, 1, 2, on_end=lambda result: world.children.cancel(other))
    world.run_until(lambda: len(world.children) == 0)
    assert world.results == []


def test_a_fork_that_fails_is_a_result_later(world, monkeypatch):
    def refuse():
        raise BlockingIOError(11, 'Resource temporarily unavailable')
    monkeypatch.setattr(os, 'fork', refuse)
    before = sorted(os.listdir('/proc/self/fd'))
    world.start(add, 1, 2, name='probe')
    assert sorted(os.listdir('/proc/self/fd')) == before
    assert world.results == []
    assert world.result()['reason'].startswith(
        'cannot start probe: Resource temporarily unavailable; ')


def test_a_hundred_children_leave_no_descriptor_open(world):
    before = len(os.listdir('/proc/self/fd'))
    for number in range(100):
        world.start(add, number, 0)
    world.run_until(lambda: len(world.results) == 100, 60)
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_child_that_somebody_else_reaped_is_not_said_to_have_ended_well(world):
    child = world.start(os._exit, 7)
    os.waitpid(child.pid, 0)
    result = world.result()
    assert not result['ok'] and 'not known' in result['reason'], result
