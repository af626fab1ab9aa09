"""What the nights read, and what a person then looks up: tests/integration/night and the runbook.

Each night is in the table of what is to be read in it, reads that, and its kind of trouble has a
section in docs/runbook.md which names the night and the codes of ahm_check_config.
"""

import ast
import os
import re

import pytest

from ahmlib.checking.table import codes as codes_of_checks
from ahmlib.core.policy.trouble_kinds import KINDS
from tests.integration.night.table import NIGHTS, night_of

from .documents import ROOT, below, document, headings

PLACE = ('tests', 'integration', 'night')
#: What reads the history of events of a trouble from its begin to its end, of anything; and what
#: reads ahm_check_config.
OF_TROUBLES, OF_EVENTS = {'is_gone', 'is_over'}, {'is_gone', 'is_over', 'is_kept'}
OF_CHECKS = {'is_told', 'is_checked'}


def stories():
    """{name: its function} of the night tests."""
    found = {}
    for name in sorted(os.listdir(os.path.join(ROOT, *PLACE))):
        if name.startswith('test_') and name.endswith('.py'):
            for item in ast.parse(document(*PLACE, name)).body:
                if isinstance(item, ast.FunctionDef) and item.name.startswith('test_'):
                    found[item.name] = item
    return found


STORIES = stories()


def called(story):
    """The names of what it calls."""
    return {node.func.id for node in ast.walk(story)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def nights_of(name):
    """What is to be read in a story, with each of its parameters."""
    return [night for key, night in NIGHTS.items() if key.partition('[')[0] == name]


def test_every_night_is_in_the_table_and_no_other_one():
    assert {name.partition('[')[0] for name in NIGHTS} == set(STORIES)
    assert len(STORIES) >= 29


def test_a_night_is_found_by_its_parameters_and_without_them():
    assert night_of('test_a_command_whose_program_cannot_be_run[arping_cmd]').codes == (
        'takeover-lacks',)
    assert night_of('test_a_password_that_is_not_valid_any_more[expired]').kind == 'quarantined'


@pytest.mark.parametrize('name', NIGHTS)
def test_a_night_says_its_kind_or_its_section_and_its_codes_or_why_there_are_none(name):
    night = NIGHTS[name]
    assert bool(night.kind) != bool(night.section)
    assert not night.kind or night.kind in {kind.event for kind in KINDS}
    assert bool(night.codes) != bool(night.unseen)
    assert set(night.codes) <= set(codes_of_checks())


@pytest.mark.parametrize('name', STORIES)
def test_a_night_reads_ahm_events_and_ahm_check_config(name):
    names, nights = called(STORIES[name]), nights_of(name)
    assert names & (OF_TROUBLES if any(night.kind for night in nights) else OF_EVENTS)
    assert bool(names & OF_CHECKS) or all(night.unseen for night in nights)


def section(heading):
    """The text below a heading of the runbook, of whichever depth."""
    text = document('docs', 'runbook.md')
    troubles = below(text, 'Troubles')
    return below(troubles, heading, 3) if heading in headings(troubles, 3) else below(text, heading)


@pytest.mark.parametrize('name', STORIES)
def test_the_section_of_its_trouble_names_the_night_and_its_codes(name):
    for night in nights_of(name):
        text = section(night.heading)
        named = ' '.join(re.findall(r'<!-- night: (.*) -->', text)).split()
        assert name in named, 'no comment "night: %s" below %s' % (name, night.heading)
        for code in night.codes:
            assert '`%s`' % code in text, '%s: %s' % (night.heading, code)
