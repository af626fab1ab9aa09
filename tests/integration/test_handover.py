"""The primary's AHM ends where a fencing script is set: another node takes over (manual 19.7.3),
unless the script fails or does not do what it says.  (An AHM that is killed: test_fencing.py.)

Three nodes, one fault after the other on the same cluster; the old primary comes back each time by
`ahm start`, `ahm_attach_node` and `ahm_promote_node`.
"""

import pytest

from .fences import fenced, fencing_script, replaced
from .scenarios import (
    CALM,
    FIRST,
    SECOND,
    Shared,
    comes_back,
    is_led_by_another,
    lost_and_left_alone,
)


@pytest.fixture(scope='module')
def fence():
    """The path of a fencing script."""
    with fencing_script() as script:
        yield script


@pytest.fixture(scope='module')
def three(fence):
    """Three nodes with this fencing script."""
    with Shared(kind='loopback', settings=dict(
            CALM, pre_promotion_command=fence, use_pg_rewind=True,
            wait_for_primary_timeout_seconds=2)) as shared:
        yield shared


def taken_over(scenario, fence, last_known):
    """Wait until another node serves, with node 1 LOST; the name of the node, fenced for by now."""
    cluster = scenario.cluster
    new = is_led_by_another(cluster, FIRST)
    scenario.written_through(new)
    scenario.reads(cluster.nodes[1:], new, scenario.table(new, {FIRST: (last_known, 'LOST')}))
    assert not cluster.nodes[0].database.is_running()
    assert [node.name for node in cluster.vip_holders()] == [new]
    assert fenced(fence)[-1] == 'PRE_PROMOTION %s -> %s' % (FIRST, new)
    return new


def test_ahm_stop_on_the_leader_hands_over_to_the_successor_and_loses_nothing(three, fence):
    with three.story() as scenario:
        assert 'AHM stopped' in scenario.cluster.nodes[0].stop_ahm()
        assert taken_over(scenario, fence, 'FAILED') == SECOND
        comes_back(scenario, scenario.cluster.nodes[0], SECOND)
        scenario.nothing_lost()


def test_kill_9_of_ahm_and_database_of_the_primary_fences_the_vip_before_the_takeover(three, fence):
    with three.story() as scenario:
        first = scenario.cluster.nodes[0]
        first.kill_ahm()
        first.kill_database()
        comes_back(scenario, first, taken_over(scenario, fence, 'PRIMARY'))


def says_and_promotes_nobody(scenario, text):
    """Wait until a standby's log says so; the first server is the only one that served so far."""
    scenario.cluster.wait_until(lambda: text in scenario.log(*scenario.cluster.nodes[1:]), 30,
                                'a standby to log: ' + text)
    assert scenario.accepting() == [FIRST]


def test_a_fencing_script_that_fails_promotes_nobody(three, fence):
    with three.story() as scenario, replaced(fence, 'exit 1'):
        first, second, third = scenario.cluster.nodes
        first.kill_ahm()
        lost_and_left_alone(scenario, [second, third], scenario.watched)
        says_and_promotes_nobody(scenario, 'no promotion: pre_promotion_command failed: ')
        first.start_ahm()
        scenario.healthy()
        scenario.undisturbed(FIRST)


def test_a_fencing_script_that_lies_promotes_nobody(three, fence):
    with three.story() as scenario, replaced(fence, 'exit 0'):
        first, second, third = scenario.cluster.nodes
        first.kill_ahm()
        lost_and_left_alone(scenario, [second, third], scenario.watched)
        says_and_promotes_nobody(scenario, 'no promotion: the VIP still answers')
        first.host.vip_down()
        says_and_promotes_nobody(
            scenario, 'no promotion: the database of AHM-NODE-1 still answers after fencing')
        lost_and_left_alone(scenario, [second, third])
        first.start_ahm()
        scenario.healthy()
        assert scenario.accepting() == [FIRST]
