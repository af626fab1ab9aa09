"""Prints conf/ahm_config.yml.sample from the table of parameters:

    python3 -m ahmlib.config.sample > conf/ahm_config.yml.sample

What most installations set is set, for the first of two nodes; everything else shows its default
behind a #.
"""

import textwrap

from ahmlib.config.kinds import expected
from ahmlib.config.schema import PARAMETERS, REQUIRED, SECTIONS, Derived, Parameter

WIDTH = 99
HEAD = """\
# AHM configuration: copy it to ahm_config.yml and adapt it, on every node.
#
# Generated from ahmlib/config/schema.py by python3 -m ahmlib.config.sample: to change the text of
# a parameter, change it there.
#
# Names are read in any case; '' means "not set". Commands are split into words like a shell does
# and run without one: write sh -c '...' where one is wanted. Times are seconds and may have
# fractions. Relative paths are relative to this file. ahm_check_config says all that is wrong.
"""


def sample() -> str:
    """The text of the sample."""
    return HEAD + ''.join(_section(section) for section in SECTIONS)


def _section(section: str) -> str:
    rows = [row for row in PARAMETERS if row.section == section]
    return '\n\n#\n#   %s\n#\n' % section + ''.join(_parameter(row) for row in rows)


def _parameter(row: Parameter) -> str:
    """A parameter's comment and its line."""
    text = row.doc
    if row.without_effect:
        text += ' Without effect yet, only read and checked: %s; %s.' % row.without_effect
    text += ' Expected: %s.' % expected(row)
    if row.default is not REQUIRED:
        text += ' Default: %s.' % default_text(row)
    comment = ''.join('# %s\n' % line for line in textwrap.wrap(
        text, WIDTH - 2, break_long_words=False, break_on_hyphens=False))
    if row.example is not None:
        return '\n%s%s: %s\n' % (comment, row.name, row.kind.write(row.example))
    value = row.default
    written = "''" if value is None or isinstance(value, Derived) else row.kind.write(value)
    return '\n%s#%s: %s\n' % (comment, row.name, written)


def default_text(row: Parameter) -> str:
    """A parameter's default in words."""
    if isinstance(row.default, Derived):
        return row.default.text
    if row.default is None or row.default == ():
        return 'not set'
    return row.kind.write(row.default)


if __name__ == '__main__':
    print(sample(), end='')
