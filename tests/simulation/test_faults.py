"""Under any faults every lemma holds; once the faults end, the cluster serves again.

hypothesis draws the plans and shrinks what breaks.  AHM_PROFILE (tests/conftest.py): `dev` takes
seconds, `ci` (the default) minutes, `nightly` an hour.
The long search (`make search`) draws several times as fast; the first of its schedules run here.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..conftest import PROFILE
from .clusters import CLUSTERS, EVERY, SYNCHRONOUS
from .plans import apply, formed, heal, plans, recovers
from .search import SHUFFLED_EVERY, look, shuffled

EXAMPLES = {'dev': 4, 'ci': 25, 'nightly': 20000}

#: How many schedules of the long search run, in slices so that a failure does not hide the others.
LOOKED_AT = {'dev': 40, 'ci': 480, 'nightly': 10000}[PROFILE]
SLICES = 8


@pytest.mark.parametrize('cluster', sorted(EVERY))
def test_all_lemmas_hold_and_service_returns_after_the_faults(cluster):
    members = EVERY[cluster]

    @settings(max_examples=EXAMPLES[PROFILE], suppress_health_check=list(HealthCheck))
    @given(plan=plans(members), seed=st.integers(0, 7), loss=st.sampled_from((0.0, 0.1)))
    def search(plan, seed, loss):
        world = formed(members, seed, loss, synchronous=SYNCHRONOUS.get(cluster, 0))
        apply(world, plan)
        heal(world)
        assert recovers(world), '%s\n%s' % (plan, '\n'.join(world.trace[-100:]))

    search()


def test_the_long_search_shuffles_the_order_in_which_parts_decide():
    """All of them decide still, and afterwards as before."""
    def order():
        world = formed(CLUSTERS['three nodes, default timings'])
        return [step.__qualname__ for step in world.hosts[0].node.steps]
    straight = order()
    with shuffled(3):
        other = order()
    assert sorted(other) == sorted(straight) and other != straight and order() == straight
    assert len(CLUSTERS) % SHUFFLED_EVERY != 0 and len(EVERY) % SHUFFLED_EVERY != 0


@pytest.mark.parametrize('slice_number', range(SLICES))
def test_the_long_search_begins_without_a_finding(slice_number):
    for number in range(slice_number, LOOKED_AT, SLICES):
        _, finding = look(number)
        assert finding is None, finding
