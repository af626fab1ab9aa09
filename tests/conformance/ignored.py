"""The tests of each parameter fail where AHM ignores it: run them so, and see.

    python -m tests.conformance.ignored [--unit | --real] [--json FILE] [PARAMETER ...]

Every test that parameters.py names for a parameter is run as ignoring.py says, with that parameter
ignored, and has to fail.  --unit takes those that need no daemon (tests/unit), --real the others;
without PARAMETER all parameters are tried.  The exit code is 1 where a test passed or was skipped.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time

import pytest

from .parameters import PARAMETERS

UNIT = 'tests/unit/'


class Recorder:
    """Notes how each test ended: {test id: (outcome, first line of the reason)}."""

    def __init__(self):
        self.ended = {}

    def pytest_runtest_logreport(self, report):
        """Keep the first outcome that is no success; a failure that was expected is none."""
        crash = getattr(report.longrepr, 'reprcrash', None)
        reason = (crash.message if crash else str(report.longrepr or '')).strip().split('\n')[0]
        if report.outcome != 'passed' or report.nodeid not in self.ended:
            if report.when != 'call' and reason:
                reason = '(%s) %s' % (report.when, reason)
            self.ended[report.nodeid] = (report.outcome, reason)


def run_ignoring(parameter, tests):
    """Run tests with this parameter ignored; returns Recorder.ended and what pytest printed."""
    recorder, said = Recorder(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix='ahmignored-') as directory:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            pytest.main(['-q', '-s', '--tb=line', '-p', 'no:cacheprovider', '-p', __package__
                         + '.ignoring', '--ignore-parameter', parameter, '--basetemp',
                         directory] + list(tests), plugins=[recorder])
    return recorder.ended, said.getvalue()


def chosen(tests, level):
    """Those of these tests that are of a level: 'unit', 'real', or None for all."""
    return [test for test in tests
            if level is None or test.startswith(UNIT) == (level == 'unit')]


def report(parameter, tests, file):
    """Run the tests of one parameter; returns {test: (outcome, reason)}, with what it says."""
    began_at = time.monotonic()
    ended, said = run_ignoring(parameter, tests)
    missing = [test for test in tests if test not in ended]
    ended.update((test, ('not run', said.strip().split('\n')[-1])) for test in missing)
    right = all(outcome == 'failed' for outcome, _ in ended.values())
    print('%s %s: %d tests, %.1f s' % ('ok    ' if right else 'WRONG ', parameter, len(tests),
                                       time.monotonic() - began_at), file=file, flush=True)
    for test, (outcome, reason) in sorted(ended.items()):
        print('         %s %s\n             %s' % (outcome, test, reason[:150]), file=file,
              flush=True)
    return ended


def main():
    """The command."""
    options = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    options.add_argument('--unit', dest='level', action='store_const', const='unit')
    options.add_argument('--real', dest='level', action='store_const', const='real')
    options.add_argument('--json', metavar='FILE')
    options.add_argument('parameter', nargs='*')
    given = options.parse_args()
    found = {}
    for parameter in given.parameter or PARAMETERS:
        tests = chosen(PARAMETERS[parameter], given.level)
        if tests:
            found[parameter] = report(parameter, tests, sys.stdout)
    if given.json:
        with open(given.json, 'w') as file:
            json.dump(found, file)
    wrong = sorted(parameter for parameter, ended in found.items()
                   if any(outcome != 'failed' for outcome, _ in ended.values()))
    print('%d parameters tried, %s' % (len(found), 'wrong: ' + ', '.join(wrong) if wrong
                                       else 'all tests fail where they have to'))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
