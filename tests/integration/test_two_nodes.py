"""Two nodes: with half votes and a fencing script, and without half votes."""

import pytest

from .fences import fenced, fencing_script
from .scenarios import CALM, formed, needs_namespaces

pytestmark = needs_namespaces


@pytest.fixture
def fence():
    """The path of a fencing script."""
    with fencing_script() as script:
        yield script


def half_votes(fence):
    """Two nodes with half votes and this fencing script, formed."""
    return formed(nodes=2, settings=dict(CALM, failover_consensus_with_half_votes=True,
                                         pre_promotion_command=fence))


def test_ahm_stop_on_the_leader_hands_over_to_the_standby(fence):
    with half_votes(fence) as scenario:
        first, second = scenario.cluster.nodes
        said = first.stop_ahm()
        assert 'AHM stopped' in said
        scenario.written_through('AHM-NODE-2')
        scenario.reads([second], 'AHM-NODE-2', {
            'AHM-NODE-1': ('FAILED', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        assert first.database.is_running() is False
        assert fenced(fence) == ['PRE_PROMOTION AHM-NODE-1 -> AHM-NODE-2']
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')


def test_ahm_stop_of_the_standby_leaves_the_service_untouched(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[1].stop_ahm()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))
        assert fenced(fence) == []


def test_kill_9_of_the_standbys_ahm_leaves_the_service_untouched(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[1].kill_ahm()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))
        assert fenced(fence) == []


def test_power_off_of_the_leaders_host_with_half_votes_and_fencing(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[0].power_off()
        scenario.written_through('AHM-NODE-2')
        scenario.reads([scenario.cluster.nodes[1]], 'AHM-NODE-2', {
            'AHM-NODE-1': ('PRIMARY', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        assert fenced(fence) == ['PRE_PROMOTION AHM-NODE-1 -> AHM-NODE-2']
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')


def test_without_half_votes_the_loss_of_the_standbys_host_leaves_the_service_untouched():
    with formed(nodes=2, settings=CALM) as scenario:
        scenario.cluster.nodes[1].power_off()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))


def the_leader_stays(scenario, standby_row):
    """The first node leads on, and goes on serving well after any promise has ended."""
    first = scenario.cluster.nodes[0]
    rows = {'AHM-NODE-1': ('PRIMARY', 'LEADER'), 'AHM-NODE-2': standby_row}
    scenario.reads([first], 'AHM-NODE-1', rows)
    until = scenario.fault_at + 8
    scenario.cluster.wait_until(
        lambda: max(attempt.t for attempt in scenario.client.attempts()) > until, 30,
        'the client to go on for 8 s')
    scenario.reads([first], 'AHM-NODE-1', rows)
    scenario.undisturbed('AHM-NODE-1')
