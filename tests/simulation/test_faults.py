"""Under any faults nothing terrible happens; once they end, the cluster serves again.

The world raises at the step at which two hosts hold the VIP over a writable database, or a term has
two leaders.  AHM_PROFILE=nightly searches for an hour with random seeds.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahmlib.simulation.host import make_settings

from .plans import apply, formed, heal, plans, recovers

EXAMPLES = {'dev': 25, 'ci': 80, 'nightly': 20000}
PROFILE = os.environ.get('AHM_PROFILE', 'ci')

CLUSTERS = {
    'three nodes': make_settings(3),
    'two nodes and a witness': make_settings(3, witnesses=(2,)),
    'three nodes with fencing': make_settings(3, pre_promotion=True),
    'five nodes, equal priorities': make_settings(5, priorities=(1, 1, 1, 1, 1)),
    'two nodes without half votes': make_settings(2),
    'three nodes, default timings': make_settings(
        3, interval=8.0, health_check_period=30.0, max_consec_failures=5, connect_timeout=5.0),
}


@pytest.mark.parametrize('cluster', sorted(CLUSTERS))
def test_never_two_primaries_and_service_again_after_the_faults(cluster):
    members = CLUSTERS[cluster]

    @settings(max_examples=EXAMPLES[PROFILE], deadline=None, derandomize=PROFILE != 'nightly',
              suppress_health_check=list(HealthCheck))
    @given(plan=plans(members), seed=st.integers(0, 7), loss=st.sampled_from((0.0, 0.1)))
    def search(plan, seed, loss):
        world = formed(members, seed, loss)
        apply(world, plan)
        heal(world)
        assert recovers(world), '%s\n%s' % (plan, '\n'.join(world.trace[-100:]))

    search()
