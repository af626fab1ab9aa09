"""`python -m tests.walk`: the whole bound, with what was seen; `make walk` runs it."""

import sys
import time

from .bounds import WHOLE
from .walk import walk


def main() -> int:
    """Walk to every bound; 1 where something is violated."""
    began, states, code = time.time(), 0, 0
    for bound in WHOLE:
        found = walk(bound)
        print('%s\n  %s' % (bound.said(), found), flush=True)
        states += found.states
        code = code or int(found.violated is not None)
    print('%d states in %.0f s' % (states, time.time() - began))
    return code


if __name__ == '__main__':
    sys.exit(main())
