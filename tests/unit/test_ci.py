"""How .ci/test, which runs all tests, says whether they passed."""

import os
import runpy

import pytest

import ahmlib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(ahmlib.__file__)))


@pytest.mark.parametrize('codes, code', [
    ([0, 0, 0], 0), ([0, 1, 0], 1), ([0, 0, -9], 1), ([-15, 0, 0], 1), ([2, -9, 1], 1)])
def test_all_passed_only_where_every_process_says_so(codes, code):
    assert runpy.run_path(os.path.join(ROOT, '.ci', 'test'))['exit_code'](codes) == code
