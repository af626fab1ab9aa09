"""The shape of the core: figures that may only fall, and what its `consensus` may know.

Each maximum below is the figure of this tree.  A change that exceeds one has to find another way.
A change that falls below one writes the new number here, so that the next one cannot take it back.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from . import core_shape
from .core_shape import Module, module, modules

#: What is measured, how, and the most that it may be.
RATCHETS = (
    ('accesses through the Node', core_shape.accesses, 0),
    ('writes to what others own', core_shape.foreign_writes, 0),
    ('modules in circles of imports', core_shape.in_circles, 0),
    ('lines of its longest function', core_shape.longest_function, 38),
)
#: Of the whole core, with a little room.  It was 7034 before each part named what it is given, and
#: shall be so again.
LINES_MAX = 10294

#: What safety rests on shall be one package that can be read alone, and walked by a program.
CONSENSUS = os.path.join(core_shape.CORE, 'consensus')
#: Beside itself it reads the words, and what every part is given.
CONSENSUS_IMPORTS = ('enum', 'typing', '..beacon', '..states', '..effects', '..facts', '..out')
CONSENSUS_LINES_MAX = 1600
#: It knows places, terms and seconds.  A word of databases, addresses or people in a name of it
#: means that policy has got in; comments may say what a fact is for.
FOREIGN_WORDS = frozenset((
    'database', 'db', 'postgres', 'primary', 'standby', 'lsn', 'timeline', 'wal', 'promote',
    'promotion', 'replay', 'replication', 'recovery', 'vip', 'arp', 'hook', 'operator'))


@pytest.mark.parametrize('what, measure, most', RATCHETS, ids=[row[0] for row in RATCHETS])
def test_a_figure_of_the_core_only_falls(what: str, measure: Callable[[List[Module]], List[str]],
                                         most: int) -> None:
    places = measure(modules(core_shape.CORE))
    found = len(places)
    where = ', '.join('%s %d' % pair for pair in Counter(
        place.split(':')[0] for place in places).most_common())
    assert found <= most, '%s: found %d, and they may be %d at most; by module: %s' % (
        what, found, most, where)
    assert found == most, '%s: found only %d; write this number into RATCHETS, where %d stands' % (
        what, found, most)


def test_the_core_does_not_grow() -> None:
    assert len(core_shape.lines(modules(core_shape.CORE))) <= LINES_MAX


# -- the measures ------------------------------------------------------------------------------

IN_A_PART = 'class Part:\n    def decide(self):\n        %s'


@pytest.mark.parametrize('body, taken', [
    ('return self.node.term', ['term']),
    ('return self.node.plan.name', ['plan']),
    ('node = self.node; return node.plan.name + node.term', ['plan', 'term']),
    ('owner = self.node; return owner.term', ['term']),
    ('a, plan = 1, self.node.plan; return plan.name', ['plan', 'name']),
    ('return lambda: node.term', ['term']),
    ('return self.term + self.node', []),
    ('return other.plan.name', [])])
def test_an_access_is_seen(body: str, taken: List[str]) -> None:
    places = core_shape.accesses([module('part', IN_A_PART % body)])
    assert sorted(place.split()[1] for place in places) == sorted(taken)
    assert not core_shape.accesses([module('node', IN_A_PART % body)])


@pytest.mark.parametrize('body, written', [
    ('self.node.problem = ""', ['self.node.problem']),
    ('node.leadership.inquiry = None', ['node.leadership.inquiry']),
    ('node.term, self.seen = 3, 4', ['node.term']),
    ('node.voted_for = node.leader = 1', ['node.voted_for', 'node.leader']),
    ('node.term += 1', ['node.term']),
    ('node.names[3] = "c"', ['node.names']),
    ('self.plan.step = 3', ['self.plan.step']),
    ('plan = node.plan; plan.step = 3', ['plan.step']),
    ('other.step = 3', ['other.step']),
    ('self.step = 3; other.step = 4', []),
    ('self.step = 3; node.plan.step = 4', ['node.plan.step']),
    ('self.step: int = 3', []),
    ('self.steps[3] = 4', []),
    ('step = 3', [])])
def test_a_foreign_write_is_seen(body: str, written: List[str]) -> None:
    places = core_shape.foreign_writes([module('part', IN_A_PART % body)])
    assert sorted(place.split()[1] for place in places) == sorted(written)


@pytest.mark.parametrize('sources, circle', [
    ({'a': 'from .b import x', 'b': 'from . import c', 'c': 'import typing'}, []),
    ({'a': 'from .b import x', 'b': 'from . import a'}, ['a', 'b']),
    ({'a': 'def late():\n    from .b import x', 'b': 'from .a import y'}, ['a', 'b']),
    ({'a': 'if TYPE_CHECKING:\n    from .b import x', 'b': 'from .a import y'}, []),
    ({'a': 'from .deep.b import x', 'deep.b': 'from ..a import y'}, ['a', 'deep.b']),
    ({'a': 'from .deep import x', 'deep.__init__': 'from ..a import y'}, ['a', 'deep.__init__'])])
def test_a_circle_of_imports_is_seen(sources: Dict[str, str], circle: List[str]) -> None:
    assert core_shape.in_circles(module(*item) for item in sources.items()) == circle


def test_the_lines_of_a_function_are_the_same_on_every_python() -> None:
    source = ('@one\n@two(\n    3)\ndef long():\n    """Says\n    more."""\n\n    call(\n'
              '        4\n    )\n\n\nclass Last:\n    def short(self): return 1\n')
    places = core_shape.longest_function([module('some', source)])
    assert places == ['some:%d long' % number for number in range(4, 11)]


# -- consensus ---------------------------------------------------------------------------------

def offences(directory: str) -> List[str]:
    """What the modules below this directory do that consensus may not."""
    found, inside = [], modules(directory)
    for item in inside:
        found += ['%s imports %s' % pair for pair in core_shape.outside(item, CONSENSUS_IMPORTS)]
        found += ['%s says %s' % (item.name, name)
                  for name in sorted(core_shape.identifiers(item.tree))
                  if core_shape.words(name) & FOREIGN_WORDS]
    length = len(core_shape.lines(inside))
    if length > CONSENSUS_LINES_MAX:
        found.append('%d lines, expected %d at most' % (length, CONSENSUS_LINES_MAX))
    return found


@pytest.mark.skipif(not os.path.isdir(CONSENSUS), reason='core/consensus does not exist yet')
def test_consensus_knows_places_terms_and_seconds_only() -> None:
    assert len(modules(CONSENSUS)) > 1, 'a package without modules would show nothing'
    assert offences(CONSENSUS) == []


@pytest.mark.parametrize('source, offence', [
    ('import os', 'deep.some imports os'),
    ('from ..ballot import Ballot', ''),
    ('from ...row import Row', 'deep.some imports ...row'),
    ('from .... import network', 'deep.some imports ....'),
    ('from typing import Dict', ''),
    ('term = hold_seconds = 3', ''),
    ('"""The database, the VIP and the operator are policy."""', ''),
    ('database_seen = 3', 'deep.some says database_seen'),
    ('row.lsns', 'deep.some says lsns'),
    ('def step(holds_vip): pass', 'deep.some says holds_vip'),
    ('class HoldsVIP: pass', 'deep.some says HoldsVIP'),
    ('step(wal=3)', 'deep.some says wal'),
    ('#\n' * (CONSENSUS_LINES_MAX + 1), '%d lines, expected %d at most' % (
        CONSENSUS_LINES_MAX + 1, CONSENSUS_LINES_MAX))])
def test_what_consensus_may_not_do_is_seen(tmp_path: Path, source: str, offence: str) -> None:
    (tmp_path / 'deep').mkdir()
    (tmp_path / 'deep' / 'some.py').write_text(source, encoding='utf-8')
    assert offences(str(tmp_path)) == ([offence] if offence else [])
