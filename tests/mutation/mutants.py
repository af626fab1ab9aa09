"""Where a mutant of Cosmic Ray is and what it changes, in words that outlive changes elsewhere."""

import difflib
import pathlib
from typing import NamedTuple

import cosmic_ray.plugins
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_item import WorkItem

from tests.mutation.survivors import places


class Mutant(NamedTuple):
    """The line that is changed, as `survivors.txt` says it, and what it becomes."""
    place: str
    becomes: str

    def __str__(self) -> str:
        return '%s\n        => %s' % self


def mutant(item: WorkItem, tree: pathlib.Path) -> Mutant:
    """What this item of a session changes in this tree, which has to be unchanged."""
    mutation, = item.mutations
    source = (tree / mutation.module_path).read_text()
    operator = cosmic_ray.plugins.get_operator(mutation.operator_name)
    changed = mutate_code(source, operator(**mutation.operator_args), mutation.occurrence)
    module = '%s.%s' % (mutation.module_path.parent.name, mutation.module_path.stem)
    before, after = source.splitlines(), changed.splitlines()
    for kind, start, _, begins, ends in difflib.SequenceMatcher(
            None, before, after, autojunk=False).get_opcodes():
        if kind != 'equal':
            return Mutant(places(source, module)[start].said(),
                          ' '.join(line.strip() for line in after[begins:ends]) or 'nothing')
    raise AssertionError('a mutant that changes nothing: %s' % (mutation,))
