"""db_start_at_boot on real servers: all hosts lose their power at once, and nobody does anything.

The hosts of this lab have one boot in common.  What a host loses with its memory is the lease file;
tests/packages/test_quick_starts.py has hosts that do boot.
"""

import glob
import os
import re

from ahmlib.config.rules import LEASE_NAME
from ahmlib.runtime.lease_place import PLACES, lease_paths

from .scenarios import NAMES, all_stream_from, formed, log_of

TOLD = {'db_start_at_boot': True, 'auto_attach': True}


def lose_memory(node):
    """What lies in the memory of this node's host is gone, as after a power cut."""
    which = re.search(r'-([0-9a-f]+)\.lease$', '\n'.join(
        lease_paths(node.data_dir, ('/dev/shm',))), re.MULTILINE).group(1)
    for place in PLACES:
        for path in glob.glob(os.path.join(place, 'ahm-*-%s.lease' % which)):
            os.unlink(path)
    assert not os.path.exists(os.path.join(node.data_dir, LEASE_NAME))


def lose_power(cluster):
    """Every daemon and every server is killed."""
    for node in cluster.nodes:
        node.power_off()
    for node in cluster.nodes:
        node.power_on()


def test_after_a_power_cut_of_all_every_server_is_started_as_what_it_was():
    with formed(kind='loopback', settings=TOLD) as scenario:
        cluster = scenario.cluster
        lose_power(cluster)
        for node in cluster.nodes:
            lose_memory(node)
        cluster.start_ahm()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', dict(
            dict.fromkeys(NAMES, ('STANDBY', 'STANDBY')), **{
                'AHM-NODE-1': ('PRIMARY', 'LEADER')}))
        all_stream_from(cluster, 'AHM-NODE-1')
        assert [node.name for node in cluster.primaries()] == ['AHM-NODE-1']
        assert 'starting its database as the primary on record' in log_of(cluster.nodes[0])


def test_a_daemon_that_is_started_again_in_the_same_boot_starts_no_server():
    with formed(kind='loopback', settings=TOLD) as scenario:
        cluster = scenario.cluster
        lose_power(cluster)
        cluster.start_ahm()
        for node in cluster.nodes:
            cluster.wait_until(lambda node=node: 'checks of the database failed' in log_of(
                node).split(' starts at ')[-1], 30, 'the first look at the server that is down')
        for node in cluster.nodes:
            assert not node.database.is_running(), log_of(node)[-2000:]
            assert 'this host has booted' not in log_of(node)
