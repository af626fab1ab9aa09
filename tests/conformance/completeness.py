"""What the conformance table lacks, and what in it is stale.

It is compared with the manual, the schema and README.md, as texts that a test can alter.
"""

import re
from typing import Any, NamedTuple

from ahmlib.config.schema import BY_NAME
from ahmlib.config.schema import PARAMETERS as SCHEMA

from . import manual
from .parameters import PARAMETERS, WITHOUT_EFFECT
from .statements import STATEMENTS, STATES

#: In the manual's samples, and not in its table of the parameters.
SAMPLES_ONLY = ('log_severity',)


class Table(NamedTuple):
    """The conformance table."""
    parameters: Any = PARAMETERS
    without_effect: Any = WITHOUT_EFFECT
    states: Any = STATES
    statements: Any = STATEMENTS


def problems(table, source, readme):
    """All that is missing or stale, one line each."""
    return (parameter_problems(table, source) + readme_problems(table, readme)
            + state_problems(table, source) + statement_problems(table, source)
            + ['no test: %s' % subject for subject, tests in subjects(table) if not tests])


def subjects(table):
    """(what, its tests) of everything in the table."""
    return (list(table.parameters.items())
            + [('%s state %d %s' % key, tests) for key, tests in table.states.items()]
            + [('%s: %s' % (row.section, row.what), row.tests) for row in table.statements])


def _differences(what, table, truth, where):
    return (['%s %s is %s and not in the table' % (what, name, where)
             for name in truth if name not in table]
            + ['%s %s is in the table and not %s' % (what, name, where)
               for name in table if name not in truth])


def parameter_problems(table, source):
    """The manual's parameters, and those of the schema, are those of the table."""
    tabled = list(table.parameters) + list(table.without_effect)
    printed = [BY_NAME[name.lower()].name if name.lower() in BY_NAME else name
               for name in manual.parameters(source)]
    own = [name for name in tabled
           if name not in SAMPLES_ONLY and not (name.lower() in BY_NAME
                                                and BY_NAME[name.lower()].beyond)]
    found = _differences('the parameter', own, printed, "in the manual's 19.4.1")
    found += _differences('the parameter', tabled, [row.name for row in SCHEMA], 'in the schema')
    return found + ['the parameter %s has an effect or has none' % name
                    for name in table.parameters if name in table.without_effect]


def readme_problems(table, readme):
    """The parameters without effect are those that README.md names."""
    section = readme[readme.index('| not there yet |'):]
    rows = section[:section.index('\n\n')]
    assert 'are read and checked, and then have no effect' in section
    named = [word for word in re.findall(r'`(\w+)`', rows) if word in BY_NAME]
    return _differences('the parameter', table.without_effect, named,
                        'in the list of README.md of what has no effect')


def state_problems(table, source):
    """The manual's states with their numbers are those of the table."""
    nodes, databases = manual.states(source)
    printed = [('node',) + state for state in nodes] + [
        ('database',) + state for state in databases]
    return _differences('the state', list(table.states), printed, "in the manual's 19.6.1")


def statement_problems(table, source):
    """Every statement of the manual is quoted, and every quote is there, in the manual's order."""
    found = []
    statements = list(manual.statements(source))
    sections = [line.section for line in statements] + [row.section for row in table.statements]
    for section in sorted(set(sections)):
        lines = [line for line in statements if line.section == section]
        text = ''.join(line.text + '\n' for line in lines)
        quoted, at = set(), 0
        for row in table.statements:
            for quote in row.quotes if row.section == section else ():
                place = text.find(quote, at)
                if place < 0:
                    found.append('%s has no "%s" (row "%s") where the table has it' % (
                        section, quote, row.what))
                    continue
                quoted.add(text.count('\n', 0, place))
                at = place + len(quote)
        found += ['line %d of the manual, in %s, is in no row: %s' % (
            line.number, section, line.text) for place, line in enumerate(lines)
            if place not in quoted]
    return found
