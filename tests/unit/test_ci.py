"""How .ci/test, which runs all tests, says whether they passed; and that it leaves none out."""

import os
import runpy

import pytest

import ahmlib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(ahmlib.__file__)))


@pytest.mark.parametrize('codes, code', [
    ([0, 0, 0], 0), ([0, 1, 0], 1), ([0, 0, -9], 1), ([-15, 0, 0], 1), ([2, -9, 1], 1)])
def test_all_passed_only_where_every_process_says_so(codes, code):
    assert runpy.run_path(os.path.join(ROOT, '.ci', 'test'))['exit_code'](codes) == code


@pytest.mark.parametrize('is_slow', [False, True])
def test_all_is_run_and_no_check_of_the_source_may_be_missing(monkeypatch, is_slow):
    """Where the processor is slow, the real tests of one half wait for those of the other."""
    monkeypatch.setenv('AHM_LINT', '')
    known = runpy.run_path(os.path.join(ROOT, '.ci', 'test'))
    asked, happened = [], []

    class Started:
        """A pytest that passed, or failed in the second half."""

        def __init__(self, argv, **_):
            asked.append(os.environ.get('AHM_LINT'))
            self.which = next(word for word in argv if word.startswith('tests'))
            happened.append('starts ' + self.which)

        def wait(self):
            happened.append('ends ' + self.which)
            return 1 if self.which == 'tests/integration' else 0

        def poll(self):
            return 0
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(known['subprocess'], 'Popen', Started)
    assert known['main'](is_slow) == 1 and asked == ['demanded'] * 3
    assert sorted(happened) == sorted(
        what + which for what in ('starts ', 'ends ')
        for which in ('tests/integration/stories', 'tests/integration', 'tests'))
    second, first = (happened.index(word) for word in (
        'starts tests/integration', 'ends tests/integration/stories'))
    assert (second > first) is is_slow
