"""Draws docs/failover.svg, README.md's picture of one failover: `make picture`.

ahm_simulate draws it, of the files that README.md's quick start shows, so the picture is what the
software does with them.  The same source gives the same bytes (tests/unit/test_readme.py).

    python -m release.picture [FILE]
"""

import os
import re
import subprocess
import sys
import tempfile
from typing import List

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURE = os.path.join('docs', 'failover.svg')
FAULT = 'power-off'
#: File of the quick start -> how the line begins after which README.md shows it.
FILES = {'nodes.conf': '### 2. ', 'ahm_config.yml': '### 3. '}


def shown(readme: str, heading: str) -> str:
    """The first indented block below the heading that begins so."""
    below = readme[readme.index('\n' + heading):]
    found = re.search(r'\n\n((?:    .*\n)+)', below)
    assert found is not None, 'README.md shows no file below %r' % heading
    return re.sub('^    ', '', found.group(1), flags=re.MULTILINE)


def draw(target: str) -> None:
    """Write the picture to this file."""
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as file:
        readme = file.read()
    with tempfile.TemporaryDirectory() as place:
        for name, heading in FILES.items():
            with open(os.path.join(place, name), 'w', encoding='utf-8') as file:
                file.write(shown(readme, heading))
        subprocess.check_call(
            [sys.executable, os.path.join(ROOT, 'bin', 'ahm_simulate'), '-f', 'ahm_config.yml',
             '--fault', FAULT, '--plot', os.path.abspath(target)],
            cwd=place, stdout=subprocess.DEVNULL)


def main(argv: List[str]) -> int:
    """Draw it; returns the exit code."""
    draw((argv + [os.path.join(ROOT, PICTURE)])[0])
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
