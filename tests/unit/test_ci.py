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


def test_no_check_of_the_source_may_be_missing(monkeypatch):
    monkeypatch.setenv('AHM_LINT', '')
    known = runpy.run_path(os.path.join(ROOT, '.ci', 'test'))
    asked = []

    class Started:
        """A pytest that passed."""

        def __init__(self, argv, **_):
            asked.append(os.environ.get('AHM_LINT'))

        def wait(self):
            return 0

        poll = wait
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(known['subprocess'], 'Popen', Started)
    assert known['main']() == 0 and asked == ['demanded'] * 3
