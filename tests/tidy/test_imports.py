"""No module of AHM imports itself by way of others.

A circle is two modules that cannot be read one after the other, nor be tested one without the
other.  An import inside of a function hides a circle and does not open it, so those count too.
What is imported under TYPE_CHECKING does not: it is for annotations alone, and never runs.
"""

import ast
import os
from typing import Container, Dict, Iterator, List, Set

from tests.tidy.test_house import PACKAGE, modules, tree_of

Graph = Dict[str, Set[str]]


def name_of(path: str) -> str:
    """The dotted name of a module, whose path is relative to the package."""
    parts = [os.path.basename(PACKAGE)] + path[:-len('.py')].split(os.sep)
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, but for what stands under `if TYPE_CHECKING:`."""
    yield tree
    is_for_types = isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) \
        and tree.test.id == 'TYPE_CHECKING'
    for child in [] if is_for_types else ast.iter_child_nodes(tree):
        yield from nodes_that_run(child)


def imported(name: str, is_package: bool, tree: ast.AST, known: Container[str]) -> Iterator[str]:
    """The dotted names of the modules that a module imports, anywhere in it.

    `from package import name` means the module of that name, where it is `known`; else the package.
    """
    for node in nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split('.') if is_package else name.split('.')[:-1]
            base = parts[:len(parts) - node.level + 1] if node.level else []
            package = '.'.join(base + [node.module] * bool(node.module))
            for alias in node.names:
                full = '%s.%s' % (package, alias.name)
                yield full if full in known else package


def graph() -> Graph:
    """Module -> the modules of AHM that it imports."""
    paths = {name_of(path): path for path in modules()}
    found = {}
    for name, path in paths.items():
        is_package = os.path.basename(path) == '__init__.py'
        found[name] = {each for each in imported(name, is_package, tree_of(path), paths)
                       if each in paths and each != name}
    return found


def circle_from(start: str, imports: Graph) -> List[str]:
    """The shortest way from a module back to itself; [] where there is none."""
    ways, seen = [[start]], set()           # type: List[List[str]], Set[str]
    while ways:
        way = ways.pop(0)
        for name in sorted(imports[way[-1]]):
            if name == start:
                return way + [start]
            if name not in seen:
                seen.add(name)
                ways.append(way + [name])
    return []


def test_no_module_imports_itself_by_way_of_others():
    imports = graph()
    circles = sorted((circle_from(name, imports) for name in imports), key=len)
    first = next(filter(None, circles), [])
    assert not first, 'an import circle: %s; move what they share into a module of its own' % (
        ' -> '.join(first))


def test_the_check_sees_a_circle_and_an_import_in_a_function():
    tree = ast.parse('def f():\n    from ahmlib.a import c, D\n    from . import d\n'
                     '    import e.f\nif TYPE_CHECKING:\n    from ahmlib.g import h\n')
    assert list(imported('ahmlib.a.b', False, tree, ('ahmlib.a.c', 'ahmlib.a.d'))) == [
        'ahmlib.a.c', 'ahmlib.a', 'ahmlib.a.d', 'e.f']
    assert circle_from('x', {'x': {'y', 'z'}, 'y': set(), 'z': {'y', 'x'}}) == ['x', 'z', 'x']
    assert 'ahmlib.database.control' in graph()['ahmlib.database.control_file']
