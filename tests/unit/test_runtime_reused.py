"""The child that is asked again and again, with real processes: as good as one for each."""

import os
import signal
import subprocess
import time

import pytest

from ahmlib.runtime import reused
from ahmlib.runtime.children import Children
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.reused import Reused

from .test_runtime_children import add, big, fail, is_alive, read_numbers, wait_for_ever

LIMIT = 30


class World:
    """A loop with such a child, driven as the daemon drives it."""

    def __init__(self):
        self.loop = Loop()
        self.now = 0.0          # what is added to the clock
        self.children = Children(self.loop, self.clock)
        self.reused = Reused(self.children, self.loop, self.clock)

    def clock(self):
        return clock() + self.now

    def start(self, function, *args, limit=LIMIT, results=None):
        results = [] if results is None else results
        return results, self.reused.start(function, args, limit, results.append, 'a check')

    def ask(self, function, *args, limit=LIMIT):
        """Its result."""
        results, _ = self.start(function, *args, limit=limit)
        self.run_until(lambda: results)
        assert len(results) == 1
        return results[0]

    def run_until(self, predicate, seconds=LIMIT):
        limit = clock() + seconds
        while not predicate():
            assert clock() < limit, 'it did not happen within %g s' % seconds
            dues = [due for due in (self.children.next_deadline(), self.reused.next_deadline())
                    if due is not None]
            self.loop.run_once(min([self.clock() + 0.02] + dues) - self.now)
            self.children.expire(self.clock())
            self.reused.expire(self.clock())


@pytest.fixture
def world():
    made = World()
    yield made
    made.children.cancel_all()
    made.run_until(lambda: not made.children._dying)
    made.loop.close()


def who():
    return {'ok': True, 'pid': os.getpid()}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def leave_one_behind():
    return {'ok': True, 'pid': subprocess.Popen(['sleep', '1000']).pid}


def sleep(seconds):
    time.sleep(seconds)
    return who()


def test_one_child_answers_one_question_after_the_other(world):
    assert world.ask(add, 2, 3) == {'ok': True, 'sum': 5}
    pids = {world.ask(who)['pid'] for _ in range(5)}
    assert len(pids) == 1 and os.getpid() not in pids


def test_what_a_function_raises_is_its_answer_and_the_child_goes_on(world):
    before = world.ask(who)
    assert world.ask(fail, 'no such thing') == {
        'ok': False, 'reason': 'RuntimeError: no such thing'}
    assert world.ask(who) == before


def test_a_question_that_comes_while_it_is_at_work_gets_a_child_of_its_own(world):
    slow, _ = world.start(sleep, 0.3)
    quick, _ = world.start(who)
    world.run_until(lambda: slow and quick)
    assert slow[0]['pid'] != quick[0]['pid'] and slow[0]['ok'] and quick[0]['ok']


def test_at_its_limit_the_whole_group_is_killed_and_the_next_question_is_answered(world, tmp_path):
    before = world.ask(who)['pid']
    path = str(tmp_path / 'pids')
    result = world.ask(wait_for_ever, path, limit=1.0)
    assert result == {'ok': False, 'timed_out': True,
                      'reason': 'a check did not end within 1 s and was killed'}
    pids = read_numbers(path)
    assert pids[0] == before
    world.run_until(lambda: not any(map(is_alive, pids)))
    assert world.ask(who)['pid'] != before


def test_one_that_dies_is_told_how_and_the_next_question_is_answered(world):
    assert world.ask(die) == {'ok': False, 'signal': signal.SIGKILL,
                              'reason': 'a child for checks was killed by SIGKILL'}
    assert world.ask(who)['ok']


def test_one_that_died_between_two_questions_is_not_noticed(world):
    pid = world.ask(who)['pid']
    os.kill(pid, signal.SIGKILL)
    limit = clock() + LIMIT
    while is_alive(pid):
        assert clock() < limit
    assert world.ask(who)['ok']
    world.run_until(lambda: len(world.children) == 1)


def test_one_that_is_cancelled_says_nothing_and_ends(world):
    pid = world.ask(who)['pid']
    results, handle = world.start(sleep, 1000)
    world.reused.cancel(handle)
    world.run_until(lambda: not is_alive(pid))
    assert world.ask(who)['pid'] != pid and not results
    world.reused.cancel(handle)         # harmless, and not the next one's end
    slow, other = world.start(sleep, 0.2)
    world.reused.cancel(handle)
    world.run_until(lambda: slow)
    own, third = world.start(sleep, 0.2)
    more, fourth = world.start(sleep, 1000)
    world.reused.cancel(fourth)
    world.run_until(lambda: own)
    assert not more


def test_it_is_renewed_and_what_it_left_behind_ends_with_it(world):
    left = world.ask(leave_one_behind)['pid']
    before = world.ask(who)['pid']
    world.now += reused.RENEWED_SECONDS + 1
    after = world.ask(who)['pid']
    assert after != before
    world.run_until(lambda: not is_alive(before) and not is_alive(left))
    assert world.ask(who)['pid'] == after


def test_an_answer_that_is_long_arrives_and_one_that_is_too_long_is_refused(world):
    assert len(world.ask(big, 500000)['text']) == 500000
    assert 'expected at most' in world.ask(big, 2 * 1024 * 1024)['reason']


def test_where_all_children_are_taken_a_question_waits_for_its_turn(world):
    world.children._children_max = 1
    slow = []
    world.children.start(sleep, (0.3,), LIMIT, slow.append, 'slow')
    result = world.ask(who)
    assert slow and result['ok'] and result['pid'] != slow[0]['pid']


def test_this_process_slept_past_the_limit_of_a_question_that_was_answered_in_time(world):
    results, _ = world.start(who, limit=5.0)
    time.sleep(0.5)
    world.now += 10.0
    world.run_until(lambda: results)
    assert results[0]['ok']
