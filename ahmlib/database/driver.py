"""psycopg2, loaded in a child that is to ask a server, without what it does not need.

Most of what a database check costs is to load psycopg2 in a new process (some 20 ms of a processor,
where the questions take 3).  A third of that is Python's own `ssl`: psycopg2 imports it for nothing
but to let it, and not libpq, set OpenSSL up for threads.  Where it cannot be imported libpq
does that itself, as in every program without Python.  A child of AHM has one thread and uses no
`ssl`, so here it cannot be imported for that moment.
"""

import sys
from typing import Any


def load() -> Any:
    """The module psycopg2."""
    if 'psycopg2' in sys.modules or 'ssl' in sys.modules:
        import psycopg2
        return psycopg2
    sys.modules['ssl'] = None       # type: ignore[assignment]
    try:
        import psycopg2
    finally:
        del sys.modules['ssl']
    return psycopg2
