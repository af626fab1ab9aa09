"""The manual's chapters 19.4 to 19.8 (tests/data/manual.ko.txt), taken apart.

The text comes out of a PDF: code is fenced by ```, the columns of tables are parted by tabs, and
what a utility prints stands sometimes within a fence and sometimes without.  Nothing is corrected
here but a word that the PDF broke in two.
"""

import os
import re
from typing import NamedTuple, Tuple

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data',
                    'manual.ko.txt')
HEADING = re.compile(r'(19\.\d+(?:\.\d+)?) (.+)')
#: The beginnings of lines that utilities print.
PRINTED = re.compile(r'Cluster Status$|Command Success$|Info: |Node\s|AHM-NODE-\d\s'
                     r'|(Leader|Successor|Leader-[Hh]old|Virtual|VIP|Remote)[- ]?\w* ?\w* ?:')


class Line(NamedTuple):
    """A line of the manual, not empty.  `code`: the number of its fence, None where it is prose."""
    number: int
    section: str
    text: str
    code: object


def text():
    """The manual."""
    with open(PATH, encoding='utf-8') as file:
        return file.read()


def lines(source):
    """The Lines of a text, without the fences themselves."""
    section, fence, fences = '', None, 0
    for number, line in enumerate(source.splitlines(), 1):
        line = line.rstrip()
        if line.startswith('```'):
            fences += fence is None
            fence = fences if fence is None else None
            continue
        heading = HEADING.match(line) if fence is None else None
        section = heading.group(1) if heading else section
        if line:
            yield Line(number, section, line, fence)


def headings(source):
    """(number, title) of every section."""
    return [HEADING.match(line.text).groups() for line in lines(source)
            if line.code is None and HEADING.match(line.text)]


def table(source, section, first):
    """The rows of the tables of a section whose first cell matches `first`, as tuples of cells."""
    rows = [tuple(line.text.split('\t')) for line in lines(source)
            if line.section == section and line.code is None and '\t' in line.text]
    return [row for row in rows if re.match(first, row[0])]


def parameters(source):
    """The names in the table of 19.4.1, in its order."""
    return [name for name, _ in table(source, '19.4.1', r'[A-Za-z_]+$')]


def utilities(source):
    """The names of the utilities that 19.6 has a section for."""
    return [title for number, title in headings(source) if number.startswith('19.6.')]


def states(source):
    """The two tables of 19.6.1: [(number, name)] of nodes, and of databases."""
    rows = table(source, '19.6.1', r'\d+$')
    found = [(int(cells[0]), cells[1].replace(' ', '')) for cells in rows]
    second = max([place for place, (number, _) in enumerate(found) if number == 0] or [0])
    return found[:second], found[second:]


def blocks(source, section):
    """The fenced texts of a section that stand together, as one text each, in order.

    A page's end splits a listing into two fences; a listing begins with the line of its command.
    """
    found = []
    for line in lines(source):
        if line.section == section and line.code is not None:
            if re.match(r'[>$] ', line.text) or not found:
                found.append([])
            found[-1].append(line.text)
    return ['\n'.join(block) + '\n' for block in found]


def statements(source):
    """The sentences that say or order something, as Lines of their own.

    These are all but what follows a command within its fence, what utilities print, and the tables
    of the parameters and of the states.
    """
    for line in lines(source):
        listed = line.code is not None and not re.match(r'[>$] ', line.text)
        row = line.section in ('19.4.1', '19.6.1') and '\t' in line.text
        if not listed and not row and not PRINTED.match(line.text):
            for sentence in re.split(r'(?<=[다요]\.) ', line.text):
                yield line._replace(text=sentence)


class Status(NamedTuple):
    """A status that the manual prints: (label, value) above the table, and the table's rows."""
    section: str
    values: Tuple[Tuple[str, str], ...]
    rows: Tuple[Tuple[str, ...], ...]


def printed_statuses(source):
    """The Statuses that are printed, in the manual's order."""
    found = []
    for line in lines(source):
        if not PRINTED.match(line.text) or line.text.startswith(('Command', 'Info')):
            continue
        if line.text == 'Cluster Status':
            found.append(Status(line.section, (), ()))
        status = found[-1]
        if re.match(r'Node\s+Database|AHM-NODE-\d\s', line.text):
            found[-1] = status._replace(rows=status.rows + (tuple(line.text.split()),))
        elif line.text != 'Cluster Status':
            label, _, value = line.text.partition(':')
            found[-1] = status._replace(values=status.values + ((label.strip(), value.strip()),))
    return found
