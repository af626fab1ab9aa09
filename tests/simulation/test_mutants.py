"""Deliberate faults in the core are caught, each by the checker of its lemma alone.

This shows that the checkers can fail, and that the schedules reach what they are for.
"""

import pytest

from ahmlib.simulation.faults import apply, repair
from ahmlib.simulation.lemmas import LEMMAS
from ahmlib.simulation.world import Broken

from .clusters import EVERY, SYNCHRONOUS
from .mutants import MUTANTS, applied
from .plans import formed

#: Some faults show in some worlds only: so many are tried.
SEEDS = range(8)
AFTER_SECONDS = 20.0


def run(mutant, seed, lemmas):
    """The lemma that this mutant's schedule breaks in the world of this seed, or None."""
    try:
        world = formed(EVERY[mutant.cluster], seed, lemmas=lemmas,
                       synchronous=SYNCHRONOUS.get(mutant.cluster, 0))
        apply(world, mutant.plan)
        repair(world)
        world.run(AFTER_SECONDS)
    except Broken as broken:
        return broken.lemma.number
    return None


@pytest.mark.parametrize('mutant', MUTANTS, ids=lambda mutant: mutant.name)
def test_the_checker_of_its_lemma_alone_catches_this_fault(mutant):
    only = [lemma for lemma in LEMMAS if lemma.number == mutant.lemma]
    with applied(mutant):
        caught = next((seed for seed in SEEDS if run(mutant, seed, only)), None)
    assert caught is not None, 'L%d does not see it' % mutant.lemma
    assert run(mutant, caught, None) is None, 'the schedule breaks the core as it is'


@pytest.mark.parametrize('name', [
    'a vote is said before it is on disk', 'a row leaves while its state is being written',
    'terms belong to anybody', 'two candidates win one term'])
def test_of_these_faults_the_core_sees_by_itself_that_something_is_wrong(name):
    """It ends as by a crash, and a crash breaks no lemma."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    with applied(mutant, asserts=True), pytest.raises(AssertionError) as caught:
        for seed in SEEDS:
            run(mutant, seed, None)
    assert not isinstance(caught.value, Broken)


def test_every_lemma_has_a_fault_that_its_checker_catches():
    assert {mutant.lemma for mutant in MUTANTS} == {lemma.number for lemma in LEMMAS}
    assert [lemma.number for lemma in LEMMAS] == list(range(1, len(LEMMAS) + 1))


def test_a_fault_is_gone_once_it_was_tried():
    for mutant in MUTANTS:
        before = [getattr(patch.where, patch.function) for patch in mutant.patches]
        with applied(mutant):
            assert before != [getattr(patch.where, patch.function) for patch in mutant.patches]
        assert before == [getattr(patch.where, patch.function) for patch in mutant.patches]
