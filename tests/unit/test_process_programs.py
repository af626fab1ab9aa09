"""Running programs and hooks: their limits, their output, and what becomes of them."""
import os
import signal
import subprocess
import sys
import time

import pytest

from ahmlib.database import control
from ahmlib.process import hooks, programs


def until(predicate, limit=10.0):
    """Return the first true value of the predicate; fails after `limit` seconds."""
    ends_at = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < ends_at, 'waited %s s' % limit
        time.sleep(0.01)


def test_exit_status_and_output():
    outcome = programs.run(['sh', '-c', 'echo out; echo why >&2; exit 3'], 5)
    assert (outcome.ok, outcome.started, outcome.code) == (False, True, 3)
    assert outcome.output == 'out\nwhy\n'
    assert outcome.reason == "'sh' exited with status 3: why"
    assert programs.run(['true'], 5) == programs.Outcome(True, 0, False, '', '')


@pytest.mark.parametrize('argv', [['/no/such/program'], ['/etc/passwd'], [], ['a\0b']])
def test_what_cannot_be_executed_is_an_error(argv):
    outcome = programs.run(argv, 5)
    assert not outcome.ok and not outcome.started and outcome.code is None
    assert outcome.reason.startswith('cannot run ') and '\n' not in outcome.reason


def test_the_whole_group_is_killed_at_the_limit():
    began_at = time.monotonic()
    outcome = programs.run(['sh', '-c', 'sleep 60 & echo $!; wait'], 0.3)
    assert outcome.timed_out and not outcome.ok and outcome.code is None
    assert time.monotonic() - began_at < 5
    pid = int(outcome.output)
    until(lambda: control.look_up(pid) is None)


def test_a_daemon_left_behind_is_not_waited_for():
    began_at = time.monotonic()
    outcome = programs.run(['sh', '-c', 'sleep 60 & echo $!'], 30)
    assert outcome.ok and time.monotonic() - began_at < 10
    os.kill(int(outcome.output), signal.SIGKILL)


def test_output_is_bounded_to_its_tail():
    outcome = programs.run([sys.executable, '-c', 'print("x" * 10**6 + "end")'], 20)
    assert outcome.ok and len(outcome.output) == programs.OUTPUT_MAX
    assert outcome.output.endswith('end\n')


def test_a_program_dies_with_the_child_that_runs_it(tmp_path):
    code = ('from ahmlib.process import programs; '
            'programs.run(["sh", "-c", "echo $$ > %s; exec sleep 60"], 60)' % (tmp_path / 'pid'))
    child = subprocess.Popen([sys.executable, '-c', code], env=dict(
        os.environ, PYTHONPATH=os.pathsep.join(path or os.getcwd() for path in sys.path)))
    pid = int(until(lambda: (tmp_path / 'pid').exists() and (tmp_path / 'pid').read_text()))
    assert control.look_up(pid) is not None
    child.kill()
    child.wait()
    until(lambda: control.look_up(pid) is None)


def test_a_program_gets_no_terminal_and_an_empty_stdin():
    assert programs.run(['sh', '-c', 'test -z "$(cat)" && ! (: < /dev/tty) 2> /dev/null'], 5).ok


def test_hooks_get_their_environment_and_say_how_they_ended():
    result = hooks.run_hook(['sh', '-c', 'echo "$AHM_EVENT $AHM_TERM"'],
                            {'AHM_EVENT': 'PROMOTION', 'AHM_TERM': 7}, 5)
    assert result == hooks.HookEnded(True, 0, True, False, '', 'PROMOTION 7\n')
    absent = hooks.run_hook(['/no/such/hook'], {}, 5)
    assert not absent.ok and not absent.started and absent.code is None
    late = hooks.run_hook(['sleep', '60'], None, 0.1)
    assert late.timed_out and '0.1' in late.reason
    assert hooks.run_hook(['sh', '-c', 'kill -9 $$'], {}, 5).code == -9
