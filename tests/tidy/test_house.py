"""The architecture and the house rules that are our own, as tests; the others: test_lint.py."""

import ast
import os
import re

import pytest

import ahmlib

PACKAGE = os.path.dirname(os.path.abspath(ahmlib.__file__))
ROOT = os.path.dirname(PACKAGE)
LINES_MAX = 440
FUNCTION_LINES_MAX = 40

#: The packages that may meet psycopg2: the daemon's children, and the lab.
PSYCOPG2_ALLOWED = ('database', 'lab')

#: What a user can run of the lab; see README.md.
LAB_ENTRANCE = os.path.join('lab', 'demo.py')


def modules(*below):
    """Paths of all modules of the package, relative to it."""
    found = []
    for directory, _, files in os.walk(os.path.join(PACKAGE, *below)):
        found += [os.path.relpath(os.path.join(directory, name), PACKAGE)
                  for name in files if name.endswith('.py')]
    return sorted(found)


def tree_of(path):
    """The syntax tree of one module."""
    with open(os.path.join(PACKAGE, path), encoding='utf-8') as source:
        return ast.parse(source.read())


def imports(tree):
    """(level, module, is at the top) of every import in a tree."""
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, node in top
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or '', node in top


@pytest.mark.parametrize('path', modules('core'))
def test_the_core_imports_nothing_that_can_touch_the_world(path):
    depth = path.count(os.sep)
    for level, module, _ in imports(tree_of(path)):
        if level == 0:
            assert module in ('enum', 'typing')
        else:
            assert level <= depth, '%s imports from outside the core' % path


@pytest.mark.parametrize('path', [path for path in modules() if not path.startswith('core')])
def test_only_children_and_the_lab_import_psycopg2(path):
    for _, module, at_top in imports(tree_of(path)):
        if module.split('.')[0] == 'psycopg2':
            assert path.split(os.sep)[0] in PSYCOPG2_ALLOWED
            assert not at_top or path.startswith('lab'), 'importing it at the top loads it ' \
                'into the daemon'


@pytest.mark.parametrize('path', modules())
def test_what_is_installed_does_not_import_what_is_not(path):
    for _, module, _ in imports(tree_of(path)):
        assert module.split('.')[0] not in ('tests', 'benchmarks'), path


def test_the_installed_lab_is_what_its_demo_uses():
    known, to_read = set(), {LAB_ENTRANCE}
    while to_read:
        path = to_read.pop()
        known.add(path)
        to_read |= set(used_of_the_lab(path)) - known
    unused = set(modules('lab')) - known - {os.path.join('lab', '__init__.py')}
    assert not unused, 'used by tests only: move to tests/lab: %s' % sorted(unused)


def used_of_the_lab(path):
    """The modules of the lab that another one imports, or runs (`python -m`)."""
    with open(os.path.join(PACKAGE, path), encoding='utf-8') as source:
        words = re.findall(r'^from ahmlib\.lab import (.*)|ahmlib\.lab\.(\w+)', source.read(),
                           re.MULTILINE)
    names = ', '.join(filter(None, (word for pair in words for word in pair))).split(', ')
    return [found for found in modules('lab')
            if os.path.basename(found)[:-len('.py')] in names]


@pytest.mark.parametrize('path', modules())
def test_modules_stay_small(path):
    with open(os.path.join(PACKAGE, path), encoding='utf-8') as source:
        lines = source.read().splitlines()
    assert len(lines) <= LINES_MAX, '%s has %d lines' % (path, len(lines))


@pytest.mark.parametrize('path', modules())
def test_functions_are_short(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            last = max(getattr(each, 'lineno', 0) for each in ast.walk(node))
            assert last - node.lineno < FUNCTION_LINES_MAX, '%s: split %s' % (path, node.name)


def test_nothing_is_a_master():
    for path in modules():
        with open(os.path.join(PACKAGE, path), encoding='utf-8') as source:
            text = source.read().replace("'master', 'br0'", '')     # iproute2's own word
        assert not re.search(r'\b(master|slave)\b', text, re.IGNORECASE), path


def test_the_reading_orders_of_the_core_name_every_module():
    """Whoever reads in their order has read all, and who adds a module says where it stands."""
    for package, below in (('core', ['', 'policy']), ('core/consensus', [''])):
        with open(os.path.join(PACKAGE, package, '__init__.py'), encoding='utf-8') as source:
            order = source.read()
        order = order[order.index('Reading order:'):]
        found = {name[:-3] for place in below
                 for name in os.listdir(os.path.join(PACKAGE, package, place))
                 if name.endswith('.py') and name != '__init__.py'}
        named = set(re.findall(r'(?:^    | {4,})([a-z_]+) {2,}', order, re.MULTILINE))
        assert found - named == set(), 'not in the reading order of %s' % package
