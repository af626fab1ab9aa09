"""Which statements of the core run: each is preceded by a mark, when the core is imported.

A tracer (sys.settrace, coverage) is asked at every line, and the search would take four times as
long; a mark is one item of a dictionary.  The marks are put into the syntax tree of each module of
the core, so this has to be there before the core is imported: in a process of its own.

    python -m tests.simulation.marks

runs what test_reach.py lists, and prints what it reached as JSON.
"""

import ast
import importlib.abc
import importlib.machinery
import json
import sys
from pathlib import Path

CORE = 'ahmlib.core'
#: What the marks of a module are called in it.
NAME = '_reached'


def marked(text, prefix, path='<core>'):
    """(tree with marks, their keys): each statement of each function is one line of text in it."""
    tree, keys, lines = ast.parse(text, path), [], text.splitlines()
    for name, function in list(_functions(tree, prefix)):
        seen, own = {}, set()
        for statement in _own_statements(function):
            first = lines[statement.lineno - 1].strip()
            seen[first] = seen.get(first, 0) + 1
            again = ' (%d)' % seen[first] if seen[first] > 1 else ''
            statement.key = '%s: %s%s' % (name, first, again)
            own.add(statement)
            keys.append(statement.key)
        _mark(function, own)
    return ast.fix_missing_locations(tree), keys


def _functions(tree, prefix):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = '%s.%s' % (prefix, node.name)
            if isinstance(node, ast.FunctionDef):
                yield name, node
            yield from _functions(node, name)


def _own_statements(function):
    """The statements of this function, not of functions within it; without its docstring."""
    waiting = list(function.body)
    if ast.get_docstring(function) is not None:
        waiting = waiting[1:]
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            continue
        if not isinstance(statement, (ast.Try, ast.Pass)):
            yield statement
        for field in ('body', 'orelse', 'finalbody'):
            waiting += getattr(statement, field, [])
        waiting += [line for handler in getattr(statement, 'handlers', ()) for line in handler.body]


def _mark(block, own):
    """Put a mark before each of these statements in this block, and in the blocks within it."""
    for field in ('body', 'orelse', 'finalbody'):
        inside = getattr(block, field, None)
        if not isinstance(inside, list):
            continue
        lines = []
        for statement in inside:
            if statement in own:
                mark = ast.parse('%s[%r] = True' % (NAME, statement.key)).body[0]
                for node in ast.walk(mark):
                    ast.copy_location(node, statement)
                lines.append(mark)
            lines.append(statement)
            if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                _mark(statement, own)
        setattr(block, field, lines)
    for handler in getattr(block, 'handlers', ()):
        _mark(handler, own)


class Marks(importlib.abc.MetaPathFinder):
    """Finds the modules of the core, and marks them; `reached` and `keys` grow with each."""

    def __init__(self):
        self.reached, self.keys = {}, set()

    def find_spec(self, fullname, path=None, target=None):
        """The specification of a module of the core; None for all others."""
        if not (fullname + '.').startswith(CORE + '.'):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles anew: what is marked belongs in no cache."""

    def __init__(self, fullname, path, marks):
        super().__init__(fullname, path)
        self._marks = marks

    def get_code(self, fullname):
        text = Path(self.path).read_text()
        tree, keys = marked(text, fullname[len(CORE) + 1:] or '__init__', self.path)
        self._marks.keys.update(keys)
        return compile(tree, self.path, 'exec')

    def exec_module(self, module):
        setattr(module, NAME, self._marks.reached)
        super().exec_module(module)


def main():
    """Run all that test_reach.py lists, and print what was reached."""
    early = sorted(name for name in sys.modules if name.startswith(CORE))
    assert not early, 'imported before it could be marked: %s' % early
    marks = Marks()
    sys.meta_path.insert(0, marks)
    from . import test_reach
    transitions = test_reach.run_all()
    json.dump({'transitions': sorted(transitions), 'statements': sorted(marks.keys),
               'reached': sorted(marks.reached)}, sys.stdout)


if __name__ == '__main__':
    main()
