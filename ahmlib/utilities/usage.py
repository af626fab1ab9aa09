"""Command lines by their docopt text, and what is wrong with one: only that, not all of it.

docopt says of most wrong command lines just that they do not match.  Which words are to blame is
found by leaving some out: the fewest without which the rest is understood, of several the last.
"""

import itertools
import re
import warnings
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

with warnings.catch_warnings():
    # docopt 0.6.2 has four invalid escapes, which Python 3.12 reports when it compiles it.
    warnings.simplefilter('ignore')
    import docopt

Args = Dict[str, Any]            # what docopt makes of a command line

#: Of how many words at once it is tried whether they are the wrong ones, and among how many.
BLAMED_MAX, UNITS_MAX = 3, 16


class Wrong(Exception):
    """A command line that its usage does not allow.  One line: what is wrong."""


def parse(doc: str, argv: Sequence[str], version: str = '') -> Args:
    """docopt's dict; raises Wrong.

    With a `version`, --help and --version are answered, and end this process; without one they are
    options like others.
    """
    try:
        return docopt.docopt(doc, list(argv), help=bool(version), version=version or None)
    except docopt.DocoptExit as error:
        said = str(error).split('Usage:')[0].strip()
        raise Wrong(said or 'these arguments are not understood: %s' % ' '.join(
            to_blame(doc, argv)))


def to_blame(doc: str, argv: Sequence[str]) -> List[str]:
    """The words of a wrong command line that are wrong; all where that cannot be told."""
    units = _units(doc, argv)
    if len(units) <= UNITS_MAX:
        places = range(len(units) - 1, -1, -1)
        for count in range(1, BLAMED_MAX + 1):
            for blamed in itertools.combinations(places, count):
                rest = [unit for place, unit in enumerate(units) if place not in blamed]
                if _is_understood(doc, _flat(rest)):
                    return _flat([units[place] for place in sorted(blamed)])
    return list(argv)


def _is_understood(doc: str, words: Sequence[str]) -> bool:
    try:
        docopt.docopt(doc, list(words), help=False)
    except docopt.DocoptExit:
        return False
    return True


def _flat(units: Sequence[Sequence[str]]) -> List[str]:
    return [word for unit in units for word in unit]


def _units(doc: str, argv: Sequence[str]) -> List[List[str]]:
    """The words, an option and the value that it takes together."""
    takes = {name for option in options(doc) if option.value for name in option.names}
    units: List[List[str]] = []
    for word in argv:
        if units and len(units[-1]) == 1 and units[-1][0] in takes:
            units[-1].append(word)
        else:
            units.append([word])
    return units


class Option(NamedTuple):
    """One option of a docopt text: its names, the short one first, and its value's; '' for none."""
    names: Tuple[str, ...]
    value: str


def options(doc: str) -> List[Option]:
    """The options that a docopt text describes, in its order."""
    found = re.findall(r'^ {0,2}(-\S.*?)(?:  .*)?$', doc, re.MULTILINE)
    return [Option(tuple(re.findall(r'(?<![\w-])--?\w[\w-]*', text)), text.partition('=')[2])
            for text in found]


def program(doc: str) -> str:
    """The name of the command in its docopt text."""
    return doc.split('Usage:')[-1].split(None, 1)[0]
