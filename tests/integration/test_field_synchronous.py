"""One power-off after the other under load, in each mode: no acknowledged row is ever missing.

AHM_ROUNDS=50 for many; each takes about half a minute.
"""

import os
import shutil

import pytest

from ahmlib.lab import record
from tests.integration.scenarios import NAMES, formed, is_led_by_another, succeeds
from tests.integration.test_synchronous_mode import (
    LACK,
    ON,
    STRICT,
    any_one,
    waits_for,
)

ROUNDS = int(os.environ.get('AHM_ROUNDS', '3'))
pytestmark = pytest.mark.skipif(LACK is not None, reason=str(LACK))


@pytest.mark.parametrize('settings', [ON, STRICT], ids=['on', 'strict'])
def test_no_power_off_loses_an_acknowledged_row(settings):
    with formed(kind='loopback', settings=settings) as scenario:
        cluster, leader = scenario.cluster, NAMES[0]
        for _ in range(ROUNDS):
            waits_for(scenario, cluster.node(leader), any_one(
                *(name for name in NAMES if name != leader)))
            scenario.next_fault()
            lost = cluster.node(leader)
            lost.power_off()
            leader = is_led_by_another(cluster, leader, next(
                node for node in cluster.nodes if node is not lost))
            scenario.written_through(leader)
            present = cluster.ids_on(cluster.node(leader))
            so_far = [attempt for attempt in scenario.client.attempts()
                      if attempt.t < scenario.fault_at]
            assert record.missing_rows(record.acknowledged_ids(so_far), present) == []
            lost.power_on()
            lost.start_ahm()
            scenario.reads(cluster.nodes, leader, scenario.table(
                leader, {lost.name: ('FAILED', 'STANDBY')}))
            succeeds(lost, 'ahm_attach_node', '--rebuild', '--wait')
            # What a rebuild kept is the operator's to remove, before the next one.
            shutil.rmtree(lost.database.data_dir + '.ahm_old', ignore_errors=True)
            scenario.healthy(leader)
        rows, probes = scenario.client.stop(), scenario.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        present = cluster.ids_on(cluster.node(leader))
        assert record.missing_rows(record.acknowledged_ids(rows), present) == []
