"""The life of an old primary on every major version that AHM supports, on real servers.

`make test` runs it on two versions, `make test-matrix` on all; see steps.chosen_versions.
"""

import pytest

from . import steps


@pytest.mark.parametrize('version', steps.chosen_versions())
def test_a_primary_dies_comes_back_dies_with_its_host_and_returns_as_a_second_primary(
        version, record_property):
    record_property('row', 'PostgreSQL %d' % version)
    with steps.formed(version) as scenario:
        new = steps.kill_9_of_the_primary_database(scenario)
        record_property('kill -9', steps.outage(scenario))
        steps.a_plain_start_makes_a_standby(scenario)
        steps.is_attached(scenario, new)
        steps.is_promoted_back(scenario)
        record_property('switchover', steps.outage(scenario))
        new = steps.the_primary_host_dies_under_load(scenario)
        record_property('dead host', scenario.finish(steps.OLD, new))
        scenario.observe()
        steps.a_stale_primary_is_stopped(scenario, new)
        steps.a_plain_start_makes_a_standby(scenario)
        steps.is_refused_as_diverged(scenario, new)
        steps.is_brought_back(scenario, new)
        steps.was_served_by(scenario, new)
