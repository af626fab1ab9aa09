"""`survivors.txt`: mutants that no test has to kill, each with its reason.

An entry is a place and a change, as `mutants.py` says them:

    # Why no behaviour of value changes.
    module.function: the text of the line
                  => the text that it becomes

An entry whose line is not in its function any more explains nothing: a test says so.
"""

import ast
import pathlib
from typing import Dict, List, NamedTuple, Tuple

LISTED = pathlib.Path(__file__).with_name('survivors.txt')
CORE = pathlib.Path(__file__).resolve().parents[2] / 'ahmlib' / 'core'
BECOMES = '=> '


class Place(NamedTuple):
    """A line of a function of a module ('' for what stands outside of functions)."""
    module: str         # consensus.lease
    function: str       # Lease.until
    line: str           # its text, without what it is indented by
    again: int = 1      # 2 for the second line of this text there

    def said(self) -> str:
        """As it is written in the list."""
        where = '.'.join(part for part in (self.module, self.function) if part)
        return '%s: %s%s' % (where, self.line, ' (%d)' % self.again if self.again > 1 else '')


def listed() -> Dict[Tuple[str, str], str]:
    """By (place as it is said, text that it becomes): the reason.

    Raises ValueError where a line of the list is none that belongs there.
    """
    found: Dict[Tuple[str, str], str] = {}
    reason, place, goes_on = '', '', False
    for text in LISTED.read_text().splitlines():
        line = text.strip()
        if line.startswith('#'):
            reason = '%s %s' % (reason if goes_on else '', line[1:].strip())
            place = place if goes_on else ''
        elif line.startswith(BECOMES) and place and reason.strip():
            found[place, line[len(BECOMES):]] = reason.strip()
        elif ': ' in line and not line.startswith(BECOMES):
            place = line
        elif line:
            raise ValueError('%s: %r is neither a reason, nor a place, nor a change with both' % (
                LISTED.name, text))
        goes_on = line.startswith('#')
    return found


def places(source: str, module: str) -> List[Place]:
    """Where each line of this source is, from the first one on."""
    lines = source.splitlines()
    functions = [''] * len(lines)
    for name, first, last in _functions(ast.parse(source), ''):
        functions[first - 1:last] = [name] * (last - first + 1)
    found: List[Place] = []
    seen: Dict[Tuple[str, str], int] = {}
    for key in zip(functions, map(str.strip, lines)):
        seen[key] = seen.get(key, 0) + 1
        found.append(Place(module, *key, again=seen[key]))
    return found


def _functions(tree: ast.AST, prefix: str) -> List[Tuple[str, int, int]]:
    """Name, first and last line of functions and classes, of inner ones after outer ones."""
    found: List[Tuple[str, int, int]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append((prefix + node.name, node.lineno, _end(node)))
            found += _functions(node, prefix + node.name + '.')
        else:
            found += _functions(node, prefix)
    return found


def _end(tree: ast.AST) -> int:
    """The last line of this; its `end_lineno`, which came with Python 3.8."""
    return max(getattr(node, 'end_lineno', None) or getattr(node, 'lineno', 0)
               for node in ast.walk(tree))
