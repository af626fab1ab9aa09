"""The failover on every major version that AHM supports, on real servers; see steps.py."""

import pytest

from . import steps


@pytest.mark.parametrize('version', steps.VERSIONS)
def test_kill_9_of_the_primary_database(version):
    with steps.formed(version) as scenario:
        steps.kill_9_of_the_primary_database(scenario)
