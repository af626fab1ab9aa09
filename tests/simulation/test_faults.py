"""Under any faults nothing terrible happens; once they end, the cluster serves again.

The world raises at the step at which two hosts hold the VIP over a writable database, or a term has
two leaders.  AHM_PROFILE=nightly searches for an hour with random seeds.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .clusters import CLUSTERS, SYNCHRONOUS
from .plans import apply, formed, heal, plans, recovers

EXAMPLES = {'dev': 25, 'ci': 80, 'nightly': 20000}
PROFILE = os.environ.get('AHM_PROFILE', 'ci')

@pytest.mark.parametrize('cluster', sorted(CLUSTERS))
def test_never_two_primaries_and_service_again_after_the_faults(cluster):
    members = CLUSTERS[cluster]

    @settings(max_examples=EXAMPLES[PROFILE], deadline=None, derandomize=PROFILE != 'nightly',
              suppress_health_check=list(HealthCheck))
    @given(plan=plans(members), seed=st.integers(0, 7), loss=st.sampled_from((0.0, 0.1)))
    def search(plan, seed, loss):
        world = formed(members, seed, loss, synchronous=SYNCHRONOUS.get(cluster, 0))
        apply(world, plan)
        heal(world)
        assert recovers(world), '%s\n%s' % (plan, '\n'.join(world.trace[-100:]))

    search()
