"""Promotions that are refused, in words an operator can act on, and one with a node down.

Node 3 has priority 0: it is never promoted.
"""

import pytest

from .scenarios import FIRST, HOLD, SECOND, THIRD, Shared, refusal, run, succeeds


@pytest.fixture(scope='module')
def three():
    """Three nodes, the third of which is never promoted."""
    with Shared(kind='loopback', node_settings={THIRD: {'priority': 0}}) as shared:
        yield shared


def promotion_refused(node):
    """Why this node is not promoted: asked for, and asked whether it would be."""
    words = refusal(node, 'ahm_promote_node')
    assert refusal(node, 'ahm_promote_node', '--dry-run') == words
    return words


def test_who_cannot_be_promoted_is_told_why_and_the_primary_stays(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        assert promotion_refused(first) == 'AHM-NODE-1 is the primary already'
        assert promotion_refused(third) == 'AHM-NODE-3 has priority 0'
        second.kill_database()
        scenario.reads(cluster.nodes, FIRST, scenario.table(others={SECOND: ('FAILED', 'LOST')}))
        assert promotion_refused(second) == (
            'AHM-NODE-2 was reported out: repair its database, then run ahm_attach_node')
        second.kill_ahm()
        scenario.reads([first, third], FIRST, scenario.table(others={SECOND: ('FAILED', 'LOST')}))
        gone = run(second, 'ahm_promote_node')
        assert gone.code == 3 and 'Command Failed: no AHM daemon at ' in gone.output
        second.start_ahm()
        scenario.reads(cluster.nodes, FIRST, scenario.table(others={SECOND: ('FAILED', 'STANDBY')}))
        succeeds(second, 'ahm_attach_node', '--wait')
        scenario.healthy()
        scenario.undisturbed(FIRST, HOLD)


def test_the_primary_role_is_handed_over_while_one_node_is_down(three):
    with three.story() as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        third.power_off()
        scenario.reads([first, second], FIRST, scenario.table(others={THIRD: ('STANDBY', 'LOST')}))
        succeeds(second, 'ahm_promote_node', '--wait')
        scenario.written_through(SECOND)
        scenario.reads([first, second], SECOND,
                       scenario.table(SECOND, {THIRD: ('STANDBY', 'LOST')}))
        third.power_on()
        third.start_ahm()
        scenario.reads(cluster.nodes, SECOND,
                       scenario.table(SECOND, {THIRD: ('FAILED', 'STANDBY')}))
        succeeds(third, 'ahm_attach_node', '--wait')
        scenario.healthy(SECOND)
        succeeds(first, 'ahm_promote_node', '--wait')
        scenario.healthy()
        scenario.nothing_lost()
