"""What ruff and mypy find: nothing.  Their rules are in pyproject.toml, each with its reason.

Neither of them serves all Pythons that AHM does, and requirements-tests.txt has them where both do.
Elsewhere, and where they are not installed, this is skipped; but not by .ci/test (AHM_LINT), so
that nobody takes a machine that lacks them for a tree that is clean.
"""
import importlib.util
import os
import subprocess
import sys

import pytest

import ahmlib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(ahmlib.__file__)))
#: The oldest Python on which they are demanded; the same as in requirements-tests.txt.
OLDEST = (3, 10)


def why_not(tool, version=sys.version_info, environ=os.environ):
    """Why a tool cannot run here, as words; None where it can, or must."""
    if version[:2] < OLDEST:
        return 'NOT CHECKED BY %s: it needs Python %d.%d' % ((tool,) + OLDEST)
    if importlib.util.find_spec(tool) is None and not environ.get('AHM_LINT'):
        return 'NOT CHECKED BY %s: it is not installed (requirements-tests.txt)' % tool
    return None


@pytest.mark.parametrize('argv', [
    ['ruff', 'check', '--quiet', '--output-format=concise'], ['mypy', '--no-error-summary'],
], ids=lambda argv: argv[0])
def test_nothing_is_found_by(argv):
    reason = why_not(argv[0])
    if reason:
        pytest.skip(reason)
    done = subprocess.run([sys.executable, '-m'] + argv, cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    assert done.returncode == 0, '%s:\n%s' % (' '.join(argv), done.stdout)


def test_a_tool_that_is_missing_is_skipped_but_not_where_all_tests_are_run():
    assert 'needs Python 3.10' in why_not('ruff', (3, 9), {'AHM_LINT': 'demanded'})
    assert 'not installed' in why_not('no_such_tool', OLDEST, {})
    assert why_not('no_such_tool', OLDEST, {'AHM_LINT': 'demanded'}) is None
