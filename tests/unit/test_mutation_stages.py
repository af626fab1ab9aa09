"""The stages of `make mutation`: what fails or never ends kills, what passes does not."""

import os
import time

import pytest

from tests.mutation import stages
from tests.mutation.stages import LIMIT, STAGES, Stage, passes


def python(code):
    """A stage that is this program."""
    return Stage('units', ('-c', code), 60.0)


def test_a_stage_that_fails_says_its_last_lines():
    assert passes(python('print("one test failed"); raise SystemExit(1)')) == (
        False, 'one test failed')


def test_a_stage_that_passes_passes():
    assert passes(python('pass')) == (True, '')


def test_a_stage_that_never_ends_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    path = tmp_path / 'pid'

    class Clock:
        """Its limit has passed once it has started what it starts."""
        sleep = staticmethod(time.sleep)

        @staticmethod
        def monotonic():
            return 100.0 if path.exists() and path.read_text() else 0.0

    monkeypatch.setattr(stages, 'time', Clock)
    code = 'import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, "-c", ' \
        '"import time; time.sleep(600)"])\nopen(%r, "w").write(str(child.pid))\ntime.sleep(600)'
    assert passes(python(code % str(path))) == (False, LIMIT)
    child, until = int(path.read_text()), time.monotonic() + 30.0
    while alive(child):
        assert time.monotonic() < until, 'it goes on'
        time.sleep(0.05)


def alive(pid):
    """Whether this process runs; one that is dead and not waited for yet does not."""
    try:
        with open('/proc/%d/stat' % pid) as status:
            return status.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_the_last_line_names_the_stage_that_killed_and_the_next_ones_are_not_run(
        monkeypatch, capsys):
    monkeypatch.setattr(stages, 'STAGES', (
        python('pass'), python('raise SystemExit(1)')._replace(name='walk'),
        python('assert False, "it was run"')._replace(name='search')))
    assert stages.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == 'killed by walk'
    assert stages.main(['units']) == 0


def test_a_stage_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit, match='trace is no stage; there are consensus, units'):
        stages.main(['trace'])


def test_the_files_that_the_stages_run_are_there():
    paths = [path for stage in STAGES for path in stage.arguments if path.startswith('tests/')]
    assert len(paths) > 15 and all(os.path.exists(path) for path in paths)
