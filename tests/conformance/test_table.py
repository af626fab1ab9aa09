"""The conformance table is complete and has nothing stale: against the manual's text, the schema of
the parameters, README.md, and the tests that it names.
"""

import ast
import collections
import contextlib
import io
import os

import pytest

from . import manual, page
from .completeness import Table, problems, subjects

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = Table()
TEXT = manual.text()


def readme():
    """README.md."""
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as file:
        return file.read()


def test_the_table_has_everything_that_the_manual_says_and_nothing_else():
    assert problems(TABLE, TEXT, readme()) == []


# What would be noticed


def without(rows, place):
    """The rows without one; a dict or a tuple."""
    if isinstance(rows, dict):
        return {key: rows[key] for number, key in enumerate(rows) if number != place}
    return rows[:place] + rows[place + 1:]


@pytest.mark.parametrize('part', Table._fields)
def test_a_row_that_is_deleted_is_noticed(part):
    rows = getattr(TABLE, part)
    for place in range(len(rows)):
        table = TABLE._replace(**{part: without(rows, place)})
        assert problems(table, TEXT, readme()), list(rows)[place]


ADDED = {
    'a parameter': ('log_verbose\t상세', 'fence_harder\t더 세게\n'),
    'an interval': ('AHM 상태 체크\t', 'AHM 상태\tpriority\t1초\n'),
    'a section on a utility': ('19.7 지원하는', '19.6.5 ahm_fly\n\n'),
    'a state': ('11\tSHUTDOWN', '12\tFLYING\tNode flies\n'),
    'a state of a database': ('5\tNOT_CONFIGURED', '6\tFLYING\tDatabase flies\n'),
    'a scenario': ('19.8 시나리오', '19.7.5 Witness exits\n\n'),
    'a sentence of a scenario': ('Standby 데이터베이스를 정상', '그리고 날아갑니다.\n\n'),
    'a step of the walk': ('3) 상태 확인', '2) AHM Fly 진행\n\n'),
    'a command of the walk': ('$ ag_ctl start', '$ ahm_fly\n'),
    'a command of the walk again': ('$ ag_ctl start', '$ ahm_cluster_status -h 210.104.181.42\n'),
    'a word on nodes.conf': ('파일은 IP:PORT', '이름도 됩니다.\n\n'),
}


@pytest.mark.parametrize('what', sorted(ADDED))
def test_a_line_that_is_added_to_the_manual_is_noticed(what):
    before, line = ADDED[what]
    assert before in TEXT
    place = TEXT.index(before)
    assert problems(TABLE, TEXT[:place] + line + TEXT[place:], readme())


def test_any_statement_that_is_taken_out_of_the_manual_or_doubled_is_noticed():
    lines = TEXT.split('\n')
    for statement in manual.statements(TEXT):
        place, text = statement.number - 1, lines[statement.number - 1]
        for line in (text.replace(statement.text, ''), text + '\n' + statement.text):
            changed = lines[:place] + [line] + lines[place + 1:]
            assert problems(TABLE, '\n'.join(changed), readme()), statement


def test_a_parameter_that_gets_its_effect_is_noticed_in_the_readme():
    assert problems(TABLE, TEXT, readme().replace('`watchdog_device`, ', '')) == [
        'the parameter watchdog_device is in the table and not in the list of README.md of what '
        'has no effect']


def test_a_subject_without_a_test_is_noticed():
    parameters = dict(TABLE.parameters, priority=())
    assert problems(TABLE._replace(parameters=parameters), TEXT, readme()) == ['no test: priority']


# The tests that are named


class Collector:
    """What pytest finds of what it is asked for."""

    def __init__(self):
        self.items = []

    def pytest_collection_finish(self, session):
        """Keep them."""
        self.items = session.items


@pytest.fixture(scope='module')
def collected():
    """{test id with and without its parameters: its items}, of all modules that are named."""
    named = {test.split('::')[0] for _, tests in subjects(TABLE) for test in tests}
    collector = Collector()
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(['--collect-only', '-q', '-s', '-p', 'no:cacheprovider', '--rootdir', ROOT]
                    + [os.path.join(ROOT, path) for path in sorted(named)], plugins=[collector])
    found = collections.defaultdict(list)
    for item in collector.items:
        for name in {item.nodeid, item.nodeid.split('[')[0]}:
            found[name].append(item)
    return found


@pytest.mark.parametrize('subject, tests', subjects(TABLE), ids=lambda each: each if isinstance(
    each, str) else '')
def test_the_tests_that_are_named_exist_and_are_not_skipped_by_construction(subject, tests,
                                                                           collected):
    owed = {'%s: %s' % (row.section, row.what) for row in TABLE.statements if row.owed}
    for test in tests:
        assert collected[test], '%s names %s, which does not exist' % (subject, test)
        for item in collected[test]:
            assert why_not_run(item.function, item.iter_markers()) is None, test
            expected_to_fail = list(item.iter_markers('xfail'))
            assert bool(expected_to_fail) == (subject in owed), test
            assert all(mark.kwargs.get('strict') for mark in expected_to_fail), test


def why_not_run(function, marks):
    """What keeps a test from ever running, whatever the machine has; None where nothing does."""
    for mark in marks:
        if mark.name == 'skip':
            return 'marked to be skipped'
    with open(function.__code__.co_filename, encoding='utf-8') as file:
        tree = ast.parse(file.read())
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
                and node.name == function.__name__)
    for node in tree.body + body.body:
        if _calls(node, 'skip'):
            return 'skips itself'
    for decorator in body.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, 'attr', '') == 'skipif' \
                and not any(isinstance(each, (ast.Name, ast.Call, ast.Attribute))
                            for each in ast.walk(decorator.args[0])):
            return 'skipped by a condition that never changes'
    return None


def _calls(statement, name):
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and getattr(call.func, 'attr', '') == name


@pytest.mark.skip(reason='an example')
def example_that_is_marked():
    """Never run."""


def example_that_skips_itself():
    """Never run to its end."""
    pytest.skip('an example')


@pytest.mark.skipif(1 + 1 == 2, reason='an example')
def example_with_a_condition():
    """Never run."""


@pytest.mark.parametrize('example', [example_that_is_marked, example_that_skips_itself,
                                     example_with_a_condition])
def test_a_test_that_never_runs_is_noticed(example):
    assert why_not_run(example, getattr(example, 'pytestmark', ()))


def test_the_page_for_people_is_the_generated_one():
    with open(page.PATH, encoding='utf-8') as file:
        assert file.read() == page.page(), 'python -m tests.conformance.page'
