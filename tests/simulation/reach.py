"""What a search reaches: state transitions, and statements of the core.

Statements stand for procedure steps and failure branches: each is one line of text in its
function.  Which of them no schedule reaches, and why, is listed in `unreached.txt`.
"""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys

from ahmlib.core.states import NodeState

LISTED = pathlib.Path(__file__).with_name('unreached.txt')
ROOT = pathlib.Path(__file__).parents[2]
TRANSITION = re.compile(r' state: (\w+ -> \w+):')


def transitions_of(trace):
    """Those of a world's trace: 'A -> B'."""
    return {found.group(1) for found in map(TRANSITION.search, trace) if found}


def unreached():
    """All that was not reached: 'transition A -> B' and 'statement function: text'.

    It runs in a process of its own, for the core is marked when it is imported.
    """
    said = subprocess.run([sys.executable, '-m', 'tests.simulation.marks'], cwd=str(ROOT),
                          stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(said.decode())
    assert set(found['reached']) <= set(found['statements'])
    names = [state.name for state in NodeState]
    pairs = {'%s -> %s' % (one, other) for one in names for other in names if one != other}
    return sorted(['transition ' + pair for pair in pairs - set(found['transitions'])]
                  + ['statement ' + key
                     for key in set(found['statements']) - set(found['reached'])])


def listed():
    """[(pattern, reason)] of what may stay unreached."""
    found, reason = [], ''
    for line in LISTED.read_text().splitlines():
        if line.startswith('# '):
            reason = line[2:]
        elif line.strip():
            found.append((line.strip(), reason))
    return found


def matches(pattern, key):
    """Whether this entry of the list speaks of this; only * stands for anything."""
    return fnmatch.fnmatchcase(key, pattern.replace('[', '[[]'))
