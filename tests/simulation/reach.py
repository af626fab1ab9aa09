"""What a search reaches: state transitions, and statements of the core.

Statements stand for procedure steps and failure branches: each is one line of text in its
function.  Which of them no schedule reaches, and why, is listed in `unreached.txt`.
"""

import ast
import contextlib
import dis
import fnmatch
import pathlib
import re
import sys

import ahmlib.core
from ahmlib.core.states import NodeState

CORE = pathlib.Path(ahmlib.core.__file__).parent
LISTED = pathlib.Path(__file__).with_name('unreached.txt')
TRANSITION = re.compile(r' state: (\w+ -> \w+):')


def statements():
    """{(file, line): key} of every line of every statement within the functions of the core."""
    found = {}
    for path in sorted(CORE.rglob('*.py')):
        module = '.'.join(path.relative_to(CORE).with_suffix('').parts)
        text = path.read_text().splitlines()
        for name, function in _functions(ast.parse(path.read_text()), module):
            seen = {}
            for statement in _own_statements(function):
                first = text[statement.lineno - 1].strip()
                seen[first] = seen.get(first, 0) + 1
                again = ' (%d)' % seen[first] if seen[first] > 1 else ''
                for line in range(statement.lineno, _last_line(statement) + 1):
                    found[str(path), line] = '%s: %s%s' % (name, first, again)
    return found


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


def _last_line(statement):
    """The last line of this statement, or of its head where others stand within it."""
    body = getattr(statement, 'body', None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno


class Reached:
    """What was reached so far."""

    def __init__(self):
        self.transitions, self.statements = set(), set()
        self.lines = statements()
        self.missing = {}       # code: its lines that were not reached yet

    def _lines_of(self, code):
        return {line for _, line in dis.findlinestarts(code)
                if (code.co_filename, line) in self.lines}

    def take(self, trace):
        """Take the transitions from a world's trace."""
        self.transitions.update(found.group(1) for found in map(TRANSITION.search, trace) if found)

    @contextlib.contextmanager
    def watching(self):
        """Take the statements that run meanwhile."""
        seen = set()

        def within(frame, event, _):
            if event == 'line':
                code, line = frame.f_code, frame.f_lineno
                seen.add((code.co_filename, line))
                self.missing[code].discard(line)
            return within

        def enter(frame, _event, _arg):
            # A function of which all was reached costs no more than this.
            code = frame.f_code
            missing = self.missing.get(code)
            if missing is None:
                missing = self.missing[code] = self._lines_of(code)
            return within if missing else None
        before = sys.gettrace()
        sys.settrace(enter)
        try:
            yield
        finally:
            sys.settrace(before)
            self.statements.update(self.lines[place] for place in seen if place in self.lines)

    def unreached(self):
        """All that was not: 'transition A -> B' and 'statement function: text'."""
        names = [state.name for state in NodeState]
        pairs = {'%s -> %s' % (one, other) for one in names for other in names if one != other}
        return sorted(['transition ' + pair for pair in pairs - self.transitions]
                      + ['statement ' + key for key in set(self.lines.values()) - self.statements])


def listed():
    """[(pattern, reason)] of what may stay unreached."""
    found, reason = [], ''
    for line in LISTED.read_text().splitlines():
        if line.startswith('# '):
            reason = line[2:]
        elif line.strip():
            found.append((line.strip(), reason))
    return found


def matches(pattern, key):
    """Whether this entry of the list speaks of this; only * stands for anything."""
    return fnmatch.fnmatchcase(key, pattern.replace('[', '[[]'))
