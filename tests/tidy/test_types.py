"""Packages whose functions all say their types.  What is new in them says them too."""

import ast
import os

import pytest

from tests.tidy.test_house import modules, tree_of

TYPED = ('database', 'process')
FUNCTION_LINES_MAX = 40


def functions(path):
    """(name, node, the arguments without self) of each function of a module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args.args + node.args.kwonlyargs + [
                each for each in (node.args.vararg, node.args.kwarg) if each is not None]
            yield node.name, node, [each for each in arguments if each.arg != 'self']


@pytest.mark.parametrize('path', [each for name in TYPED for each in modules(name)])
def test_functions_say_their_types(path):
    missing = [name for name, node, arguments in functions(path)
               if node.returns is None or any(each.annotation is None for each in arguments)]
    assert not missing, '%s: annotate the arguments and the result of %s' % (
        path, ', '.join(missing))


@pytest.mark.parametrize('path', [each for name in TYPED for each in modules(name)])
def test_functions_are_short(path):
    for name, node, _ in functions(path):
        last = max(getattr(each, 'lineno', 0) for each in ast.walk(node))
        assert last - node.lineno < FUNCTION_LINES_MAX, '%s: split %s' % (path, name)


@pytest.mark.parametrize('path', [each for name in TYPED for each in modules(name)])
def test_imports_of_our_own_are_absolute(path):
    levels = {node.level for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)}
    assert levels <= {0}, '%s: write from ahmlib.%s.x import y' % (path, path.split(os.sep)[0])
