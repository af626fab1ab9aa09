"""The tests that one mutant has to survive; run in a copy of the tree, by the tests' interpreter.

    python -m tests.mutation.stages [STAGE ...]

The first failure ends it: what takes seconds comes first, so that most mutants cost no more.  The
last line says which stage it was.  A mutant that never ends is killed by the limit of its stage,
and the last line says that, too.
"""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple, Sequence, Tuple

#: Begins the last line of what is printed where a stage fails.
KILLED_BY = 'killed by '
#: Follows the stage where it was not done in time.
LIMIT = ', which did not end'


class Stage(NamedTuple):
    """Some tests: arguments of python, and a limit in seconds, many times what they take."""
    name: str
    arguments: Tuple[str, ...]
    limit: float


PYTEST = ('-m', 'pytest', '-x', '-q', '-p', 'no:cacheprovider', '--tb=line')
FUZZ = 'tests/unit/test_core_fuzz.py'
#: Those of consensus by itself; most mutants end here.
CONSENSUS = sorted(glob.glob('tests/unit/test_consensus_*.py')) + [
    'tests/unit/test_core_%s.py' % name for name in ('lease', 'membership', 'quorum')]
UNITS = sorted(set(glob.glob('tests/unit/test_core_*.py')) - {FUZZ} - set(CONSENSUS))
STORIES = ['tests/simulation/test_%s.py' % name
           for name in ('stories', 'found', 'leaving', 'cold_start')]

STAGES = (
    Stage('consensus', PYTEST + tuple(CONSENSUS), 60.0),
    Stage('units', PYTEST + tuple(UNITS), 100.0),
    Stage('traces', PYTEST + ('tests/traces', '-k', 'gives_the_trace'), 400.0),
    Stage('walk', PYTEST + ('tests/walk', '-k', 'no_state_within'), 1200.0),
    Stage('fuzz', PYTEST + (FUZZ,), 400.0),
    Stage('stories', PYTEST + tuple(STORIES), 6000.0),
    Stage('search', ('-m', 'tests.simulation.search', '30', '1'), 900.0),
)


def passes(stage: Stage) -> Tuple[bool, str]:
    """Whether this stage passes; else what its last lines say, or LIMIT."""
    parent, until = os.getppid(), time.monotonic() + stage.limit
    with tempfile.TemporaryFile('w+') as output, subprocess.Popen(
            [sys.executable, *stage.arguments], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True) as running:
        try:
            # Whoever asks may be gone, and with it the copy of the tree.
            while running.poll() is None and time.monotonic() < until and os.getppid() == parent:
                time.sleep(0.02)
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            raise
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            return False, LIMIT
        output.seek(0)
        return running.returncode == 0, '\n'.join(output.read().splitlines()[-8:])


def main(names: Sequence[str]) -> int:
    """Run these stages, or all; the exit code: 1 where one fails."""
    unknown = set(names) - {stage.name for stage in STAGES}
    if unknown:
        raise SystemExit('%s is no stage; there are %s' % (
            ', '.join(sorted(unknown)), ', '.join(stage.name for stage in STAGES)))
    for stage in STAGES:
        if not names or stage.name in names:
            passed, said = passes(stage)
            if not passed:
                print(said if said != LIMIT else '')
                print(KILLED_BY + stage.name + (LIMIT if said == LIMIT else ''))
                return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
