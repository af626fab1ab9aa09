"""Figures about how the core hangs together, by `ast`; `test_core_shape` says what they may be.

The idea: a design that is improved in steps needs a measure that shows each step and that nobody
can undo unnoticed.  A figure is a list of places, so that whoever exceeds it sees where.  The
measures know no types: what they cannot see is said where it is decided.
"""

import ast
import os
import re
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

import ahmlib

PACKAGE = os.path.dirname(os.path.abspath(ahmlib.__file__))
CORE = os.path.join(PACKAGE, 'core')

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class Module(NamedTuple):
    """One module below a directory."""
    name: str                   # 'procedures.take_over'; a package is its '__init__'
    source: str
    tree: ast.Module


def module(name: str, source: str) -> Module:
    """A module of this text."""
    return Module(name, source, ast.parse(source))


def modules(below: str) -> List[Module]:
    """All modules below this directory."""
    found = []
    for directory, _, files in os.walk(below):
        for name in files:
            if name.endswith('.py'):
                path = os.path.join(directory, name)
                with open(path, encoding='utf-8') as source:
                    dotted = os.path.relpath(path, below)[:-len('.py')].replace(os.sep, '.')
                    found.append(module(dotted, source.read()))
    return sorted(found, key=lambda item: item.name)


# -- reaching through the Node -----------------------------------------------------------------

class Names(NamedTuple):
    """What the names of one function stand for, as far as its own assignments tell."""
    nodes: Set[str]             # the Node: `node`, and x of `x = self.node`
    parts: Set[str]             # a part or a value of it: x of `x = node.members`

    def is_node(self, tree: ast.AST) -> bool:
        """Whether this expression is the Node."""
        return isinstance(tree, ast.Name) and tree.id in self.nodes or is_held_node(tree)

    def stands_for(self, tree: ast.AST) -> bool:
        """Whether this expression is the Node, or a name for what was got from it."""
        return self.is_node(tree) or isinstance(tree, ast.Name) and tree.id in self.parts

    def is_reached(self, tree: ast.AST) -> bool:
        """Whether this expression is the Node, or reached through it, or through such a name."""
        while isinstance(tree, (ast.Attribute, ast.Subscript)) and not self.is_node(tree):
            tree = tree.value
        return self.stands_for(tree)


def is_held_node(tree: ast.AST) -> bool:
    """Whether this is `self.node`."""
    return isinstance(tree, ast.Attribute) and tree.attr == 'node' and is_self(tree.value)


def is_self(tree: ast.AST) -> bool:
    """Whether this is `self`."""
    return isinstance(tree, ast.Name) and tree.id == 'self'


def scopes(tree: ast.AST) -> Iterator[ast.AST]:
    """The outermost functions below a tree: names of one are also those of the ones in it."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
        else:
            yield from scopes(child)


def names_of(scope: ast.AST) -> Names:
    """What the assignments of this function say of its names."""
    names = Names({'node'}, set())
    for target, value in assigned(scope):
        if isinstance(target, ast.Name) and value is not None:
            if is_held_node(value):
                names.nodes.add(target.id)
            elif isinstance(value, ast.Attribute) and names.is_reached(value):
                names.parts.add(target.id)
    return names


def assigned(tree: ast.AST) -> Iterator[Tuple[ast.AST, Optional[ast.AST]]]:
    """(target, value) of each assignment below a tree; of an unpacked call the value is unknown."""
    for item in ast.walk(tree):
        targets: List[ast.expr] = []
        if isinstance(item, ast.Assign):
            targets = item.targets
        elif isinstance(item, ast.AugAssign) or isinstance(item, ast.AnnAssign) and item.value:
            targets = [item.target]
        for target in targets:
            if not isinstance(target, (ast.Tuple, ast.List)):
                yield target, item.value
            elif isinstance(item.value, (ast.Tuple, ast.List)):
                yield from zip(target.elts, item.value.elts)
            else:
                yield from ((element, None) for element in target.elts)


def accesses(found: Iterable[Module]) -> List[str]:
    """Attributes taken of the Node (`node.x`, `self.node.x`), or of what a name got from it.

    `node.plan.name` counts once, for `plan`; after `plan = node.plan`, so does each `plan.name`.
    By this definition the tree of 26 November 2026 (0f3035f) had 1,316 from 24 modules.  Not seen:
    a Node or a part that is called otherwise because it came as an argument of another name.
    """
    places = []
    for item in found:
        if item.name != 'node':
            for scope in scopes(item.tree):
                names = names_of(scope)
                places += [_place(item, tree, tree.attr) for tree in ast.walk(scope)
                           if isinstance(tree, ast.Attribute) and names.stands_for(tree.value)]
    return places


def foreign_writes(found: Iterable[Module]) -> List[str]:
    """Assignments to an attribute, or to an item of one, that belongs to another class or module.

    What `self` has is its own: `self.x = ...`.  So is what its module's own classes have, on an
    object that was not reached through the Node or held by `self`: `peer.row_at = ...` beside the
    class of peers.  The tree of 26 November 2026 had 100, to 30 attributes.  Not seen: what a
    method call changes, as `node.speaker.answers.add` does.
    """
    places = []
    for item in found:
        own = _attributes_of_classes(item.tree)
        for scope in scopes(item.tree):
            names = names_of(scope)
            places += [_place(item, target, ast_text(target)) for target, _ in assigned(scope)
                       if _is_foreign(_without_items(target), names, own)]
    return places


def _is_foreign(target: ast.AST, names: Names, own: Set[str]) -> bool:
    if not isinstance(target, ast.Attribute) or is_self(target.value):
        return False
    is_local = isinstance(target.value, ast.Name) and not names.is_reached(target.value)
    return not (is_local and target.attr in own)


def _without_items(tree: ast.AST) -> ast.AST:
    while isinstance(tree, ast.Subscript):
        tree = tree.value
    return tree


def _attributes_of_classes(tree: ast.Module) -> Set[str]:
    return {target.attr for item in tree.body if isinstance(item, ast.ClassDef)
            for target, _ in assigned(item)
            if isinstance(target, ast.Attribute) and is_self(target.value)}


def ast_text(tree: ast.AST) -> str:
    """A target in short: the names of its chain."""
    words = []
    while isinstance(tree, (ast.Attribute, ast.Subscript)):
        words += [tree.attr] if isinstance(tree, ast.Attribute) else []
        tree = tree.value
    return '.'.join([getattr(tree, 'id', '...')] + words[::-1])


def _place(item: Module, tree: ast.AST, what: str) -> str:
    return '%s:%d %s' % (item.name, getattr(tree, 'lineno', 0), what)


# -- imports -----------------------------------------------------------------------------------

def in_circles(found: Iterable[Module]) -> List[str]:
    """Modules that import themselves through others.

    Imports inside functions count, those that only a type checker sees do not.
    """
    found = list(found)
    known = {item.name for item in found}
    graph = {item.name: imported(item, known) for item in found}
    return [name for name in sorted(graph) if name in _reachable(graph, name)]


def imported(item: Module, known: Set[str]) -> Set[str]:
    """Which of these modules a module imports."""
    here, targets = item.name.split('.')[:-1], set()
    for tree in _executed(item.tree):
        if isinstance(tree, ast.ImportFrom) and tree.level:
            base = here[:len(here) - tree.level + 1] + (tree.module or '').split('.')
            base = [word for word in base if word]
            targets |= {'.'.join(base)} | {'.'.join(base + [alias.name]) for alias in tree.names}
    return {name for name in known if name in targets or name.replace('.__init__', '') in targets}


def outside(item: Module, allowed: Iterable[str]) -> List[Tuple[str, str]]:
    """(module, what it imports) of all that is neither allowed nor below the same directory."""
    found = []
    for tree in ast.walk(item.tree):
        if isinstance(tree, ast.Import):
            found += [alias.name for alias in tree.names if alias.name not in allowed]
        elif isinstance(tree, ast.ImportFrom):
            name = '.' * tree.level + (tree.module or '')
            inside = 0 < tree.level <= len(item.name.split('.'))
            if not inside and name not in allowed:
                found.append(name)
    return [(item.name, name) for name in found]


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All below a tree but what is there for a type checker only."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.dump(child.test):
            continue
        yield child
        yield from _executed(child)


def _reachable(graph: Dict[str, Set[str]], start: str) -> Set[str]:
    seen: Set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


# -- sizes -------------------------------------------------------------------------------------

def lines(found: Iterable[Module]) -> List[str]:
    """One place for each line."""
    return ['%s:%d' % (item.name, number) for item in found
            for number, _ in enumerate(item.source.splitlines(), 1)]


def longest_function(found: Iterable[Module]) -> List[str]:
    """One place for each line of the longest function, from its `def` to its last line."""
    spans = [(function_lines(item, tree), item, tree.name) for item in found
             for tree in ast.walk(item.tree)
             if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef))]
    numbers, item, name = max(spans, key=lambda span: len(span[0]))
    return ['%s:%d %s' % (item.name, number, name) for number in numbers]


def function_lines(item: Module, tree: Function) -> List[int]:
    """The numbers of a function's lines; before Python 3.8 a tree does not know its last line."""
    text = [''] + item.source.splitlines()
    first = next(number for number in range(tree.lineno, len(text))
                 if re.match(r'\s*(async )?def ', text[number]))
    last = tree.body[0].lineno
    for number in range(last, len(text)):
        indent = len(text[number]) - len(text[number].lstrip())
        if text[number].strip() and indent <= tree.col_offset:
            break
        last = number if text[number].strip() else last
    return list(range(first, last + 1))


# -- words -------------------------------------------------------------------------------------

def identifiers(tree: ast.AST) -> Set[str]:
    """All names that a module gives or uses."""
    found: Set[str] = set()
    for item in ast.walk(tree):
        for field in ('id', 'attr', 'arg', 'name', 'asname', 'module'):
            value = getattr(item, field, None)
            if isinstance(value, str):
                found.update(value.split('.'))
    return found


def words(identifier: str) -> Set[str]:
    """The words of an identifier, in small letters, each also without its plural s."""
    parts = re.findall(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+', identifier)
    small = {part.lower() for part in parts}
    return small | {part[:-1] for part in small if part.endswith('s')}
