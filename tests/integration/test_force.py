"""Promotion by force on real databases, to the end of the story: two of three hosts burn, the last
one serves again, and goes on in a cluster of its own.
"""

import os

import pytest

from tests.lab.cluster import loopback_available

from .scenarios import formed
from .test_operators import run

postgres = pytest.mark.skipif(bool(loopback_available()),
                              reason='LAB TESTS SKIPPED: %s' % loopback_available())
OTHERS = {'AHM-NODE-1': ('PRIMARY', 'LOST'), 'AHM-NODE-2': ('STANDBY', 'LOST')}


@postgres
def test_the_last_of_three_hosts_is_promoted_by_force_and_goes_on_in_a_cluster_of_its_own():
    with formed(kind='loopback') as scenario:
        cluster, last = scenario.cluster, scenario.cluster.nodes[2]
        for node in cluster.nodes[:2]:
            node.power_off()
        alone = dict(OTHERS, **{'AHM-NODE-3': ('STANDBY', 'IN_RESOURCE_LIMITATION')})
        scenario.reads([last], None, alone, holds_vip=None)
        refused = run(last, 'ahm_promote_node')
        assert refused.code == 1 and 'use --force if they are gone for good' in refused.output
        asked = run(last, 'ahm_promote_node', '--force')
        assert asked.code == 2 and 'AHM-NODE-1, AHM-NODE-2: not heard' in asked.output
        assert 'add --yes' in asked.output and not last.host.holds_vip()

        forced = run(last, 'ahm_promote_node', '--force', '--yes', '--wait')
        assert forced.code == 0, forced.output + last.log_tail()
        scenario.written_through('AHM-NODE-3')
        scenario.reads([last], 'AHM-NODE-3', dict(OTHERS, **{
            'AHM-NODE-3': ('PRIMARY', 'LEADER')}))
        assert 'AHM-NODE-3 leads by force' in last.status_text()
        last.kill_ahm()
        last.start_ahm()        # a new daemon, which has never heard the others
        scenario.reads([last], 'AHM-NODE-3', {
            'AHM-NODE-1': ('UNKNOWN', 'DEAD'), 'AHM-NODE-2': ('UNKNOWN', 'DEAD'),
            'AHM-NODE-3': ('PRIMARY', 'LEADER')})

        with open(os.path.join(last.host.directory, 'nodes.conf'), 'w') as file:
            file.write('%s:%d\n' % (last.host.address, cluster.plan.ahm_port))
        last.terminate_ahm()
        last.start_ahm()
        scenario.reads([last], 'AHM-NODE-3', {'AHM-NODE-3': ('PRIMARY', 'LEADER')})
        assert 'by force' not in last.status_text()
        scenario.finish('AHM-NODE-1', 'AHM-NODE-3')
