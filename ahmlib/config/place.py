"""Where the configuration file is, for the daemon and every utility: one order, in one place.

`-f` names it; else AHM_CONFIG in the environment; else it is the first of DEFAULT_PATHS that is
there.  The last one is the manual's of version 1.0.  Who names a file means that one: where it is
not there, no other is taken in its place.
"""

import os
from typing import Mapping, NamedTuple, Optional

from ahmlib.config.problems import ConfigError, Problem

VARIABLE = 'AHM_CONFIG'
OPTION = '-f'
DEFAULT_PATHS = ('/etc/ahm/ahm_config.yml', '/usr/local/etc/ahm/ahm_config.yml',
                 '/usr/local/etc/ahm_config.yml')


class Place(NamedTuple):
    """The file, its path absolute, and who named it: OPTION, VARIABLE, or '' (it is a default)."""
    path: str
    named_by: str = ''


class NotThere(ConfigError):
    """There is no configuration file where it should be: of a command, a wrong usage."""

    def __init__(self, text: str) -> None:
        super().__init__([Problem(text)])


def absolute(path: str, directory: str) -> str:
    """`path`, taken from `directory` where it is relative."""
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(directory, path))


def find(given: Optional[str], environ: Optional[Mapping[str, str]] = None) -> Optional[Place]:
    """The Place of the file, `given` being what follows -f (None: nothing); None: there is none.

    Raises NotThere where one is named and is not there.
    """
    environ = os.environ if environ is None else environ
    # An empty variable is one that is not set; of an empty -f the commands say more themselves.
    named, named_by = (given, OPTION) if given is not None else (environ.get(VARIABLE), VARIABLE)
    if not named:
        return next((Place(path) for path in DEFAULT_PATHS if os.path.exists(path)), None)
    path = absolute(named, os.getcwd())
    if not os.path.lexists(path):
        raise NotThere('%s: found no file %s, expected the configuration file there; create it or '
                       'correct %s' % (named_by, path, 'the path' if named_by == OPTION
                                       else 'the variable'))
    return Place(path, named_by)


def demand(given: Optional[str], environ: Optional[Mapping[str, str]] = None) -> str:
    """The path of the file; raises NotThere with all that was tried where there is none."""
    place = find(given, environ)
    if place is None:
        raise NotThere('found no configuration file (-f and %s name none, and there is no %s), '
                       'expected one of them; create it, or name yours with -f'
                       % (VARIABLE, ', no '.join(DEFAULT_PATHS)))
    return place.path
