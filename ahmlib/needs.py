"""The Python modules that AHM does not bring.  One that is missing is said in one line.

This module, and what an entrance imports before it asks here, needs nothing but Python itself.
"""

import importlib.util
import sys
from typing import Iterable

#: Module -> the package that brings it.
PACKAGES = {'docopt': 'docopt', 'msgpack': 'msgpack', 'psycopg2': 'psycopg2-binary',
            'yaml': 'PyYAML'}

UTILITY = ('docopt', 'yaml')
SIMULATION = UTILITY + ('msgpack',)
#: psycopg2 is imported by the daemon's children only, and without it they can check no database.
DAEMON = SIMULATION + ('psycopg2',)


def demand(modules: Iterable[str], prefix: str = '') -> None:
    """End this process with exit code 1 and one line, after `prefix`, if one of them is missing."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        sys.stderr.write('%sno Python module %s found for %s; install what is missing (%s -m pip '
                         'install %s), or AHM as the README of the checkout says\n' % (
                             prefix, ', '.join(missing), sys.executable, sys.executable,
                             ' '.join(PACKAGES[module] for module in missing)))
        sys.exit(1)
