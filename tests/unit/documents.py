"""The documents of docs/ and what the source says, as their tests read them."""

import ast
import glob
import os
import re
import sys

from .pages import ROOT

GAP = '…'
#: What is left out where two texts are compared piece by piece.
PIECE_LEAST = 6


def document(*path):
    """The text of a document of the project."""
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


def below(text, heading, level=2):
    """What stands below this heading, up to the next one of its level or above."""
    found = re.search(r'^#{%d} %s\n(.*?)(?=^#{1,%d} |\Z)' % (level, re.escape(heading), level),
                      text, re.MULTILINE | re.DOTALL)
    assert found is not None, 'no heading %r' % heading
    return found.group(1)


def headings(text, level):
    """The headings of this level, in order."""
    return re.findall(r'^#{%d} (.*)$' % level, text, re.MULTILINE)


def rows(text):
    """The tables of a text as lists of cells, without their heads."""
    found = []
    for table in re.findall(r'^\|.*\n\|[-| ]+\n((?:\|.*\n)*)', text, re.MULTILINE):
        found += [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]
                  for line in table.splitlines()]
    return found


def codes(text):
    """What stands in backticks."""
    return re.findall(r'`([^`]+)`', ' '.join(text.split()))


def blocks(text):
    """The indented blocks of a text, in order, without their indentation."""
    found = re.findall(r'\n\n((?:    .*\n|\n(?=    ))+)', '\n' + text)
    return [re.sub('^    ', '', block, flags=re.MULTILINE).strip('\n') + '\n' for block in found]


# -- the source ---------------------------------------------------------------------------------


def parsed(path):
    """The syntax tree of a module below ahmlib."""
    return ast.parse(document('ahmlib', *path.split('/')))


def modules(*directories):
    """The paths, relative to ahmlib, of all modules below these directories of it."""
    base = os.path.join(ROOT, 'ahmlib')
    return sorted(os.path.relpath(path, base) for directory in directories
                  for path in glob.glob(os.path.join(base, directory, '**', '*.py'),
                                        recursive=True))


def strings(tree):
    """The texts that stand in a syntax tree, without docstrings."""
    said = []
    for node in ast.walk(tree):
        for inner in ast.iter_child_nodes(node):
            text = _text(inner)
            if text is not None and not isinstance(node, ast.Expr):
                said.append(text)
    return said


def _text(node):
    if sys.version_info < (3, 8):
        return node.s if isinstance(node, ast.Str) else None
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None


def texts(node):
    """The texts that an expression may be; a choice has several."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    text = _text(node)
    return [] if text is None else [text]


def function(tree, name):
    """The function of this name."""
    found, = [node for node in ast.walk(tree)
              if isinstance(node, ast.FunctionDef) and node.name == name]
    return found


def calls(tree, *names):
    """All calls of what is called so, whatever it belongs to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, 'attr', getattr(node.func, 'id', None))
            if called in names:
                yield node


def pieces(text):
    """What is fixed in a text of the source, or in one of a document: between what differs."""
    text = re.sub(r'%(?:\(\w+\))?[-+ #0-9.*]*[a-zA-Z]', GAP, text).replace('%%', '%')
    text = ' '.join(text.split())
    return [piece.strip(' .:;,') for piece in text.split(GAP)
            if len(piece.strip(' .:;,')) >= PIECE_LEAST]
