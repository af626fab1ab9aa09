"""AHM as it would be if it ignored one parameter: a pytest plugin.

    python -m pytest -p tests.conformance.ignoring --ignore-parameter priority TEST ...

The parameter is read and checked as always, and then everything goes on as if its line were not
in the file.  In the test's own process that is done to the loader; what a lab starts runs a copy
of the source whose loader does it, so daemons and utilities ignore the parameter, too.  A test
that passes nevertheless does not show what the parameter does.
"""

import os
import shutil

from ahmlib.config import loader

#: Where no line is no way to ignore a parameter: a node needs a name, and the default of the
#: directories is /tmp, where an AHM of this machine may keep its files.
INSTEAD = {'node_name': lambda config: 'IGNORED',
           'data_dir': lambda config: os.path.dirname(config.path),
           'socket_dir': lambda config: os.path.dirname(config.path)}


def ignore(name):
    """Let the loader of this process ignore a parameter; returns what takes that back."""
    attribute = loader.BY_NAME[name.lower()].attribute
    examine, match_keys = loader._examine, loader._match_keys

    def without_its_lines(entries, path):
        known, problems = match_keys(entries, path)
        known.pop(attribute, None)
        return known, problems

    def examine_and_ignore(source, path, environ):
        _, broken, problems = examine(source, path, environ)
        loader._match_keys = without_its_lines
        try:
            config, _, _ = examine(source, path, environ)
        finally:
            loader._match_keys = match_keys
        if attribute in INSTEAD:
            setattr(config, attribute, INSTEAD[attribute](config))
        return config, broken, problems

    def undo():
        loader._examine = examine
    loader._examine = examine_and_ignore
    return undo


def let_daemons_ignore(name):
    """Let all that labs start from now on ignore a parameter; returns what takes that back."""
    from ahmlib.lab import users, workspace
    source_for = workspace.source_for

    def source_that_ignores(user, _, directory):
        source = users.copy_source(user, directory)
        package = os.path.join(source, 'ahmlib', 'config')
        shutil.copy(__file__, os.path.join(package, 'ignoring.py'))
        with open(os.path.join(package, 'loader.py'), 'a') as file:
            file.write('\n\nfrom ahmlib.config import ignoring\nignoring.ignore(%r)\n' % name)
        users.give_to(user, package)
        return source

    def undo():
        workspace.source_for = source_for
    workspace.source_for = source_that_ignores
    return undo


def pytest_addoption(parser):
    """The option --ignore-parameter."""
    parser.addoption('--ignore-parameter', metavar='NAME', help='run as if AHM ignored it')


def pytest_configure(config):
    """Ignore the parameter until the session ends."""
    name = config.getoption('--ignore-parameter')
    if name:
        for ignores in (ignore, let_daemons_ignore):
            config.add_cleanup(ignores(name))
