"""The second half of the manual's walk (19.8): AHM of the primary stops, and its node comes back.

The first half, with the database of the primary, is in tests/integration/test_operators.py.  The
commands are the manual's, so the rebuilt standby streams without a name of its own at first.
"""

import shutil

from tests.integration.daemons import postgres
from tests.integration.scenarios import formed

LIMIT = 60


@postgres
def test_the_manuals_walk_ahm_stop_on_the_primary_rebuild_by_pg_basebackup_and_ahm_again():
    with formed(nodes=2, kind='loopback', settings={
            'failover_consensus_with_half_votes': True,
            'pre_promotion_command': '/bin/true'}) as scenario:
        first, second = scenario.cluster.nodes
        assert 'AHM stopped' in first.stop_ahm()                    # ahm stop
        scenario.reads([second], 'AHM-NODE-2', {
            'AHM-NODE-1': ('FAILED', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        scenario.written_through('AHM-NODE-2')
        assert not first.database.is_running()
        shutil.rmtree(first.database.data_dir)                      # rm -rf $PGDATA
        first.host.run([first.database.program('pg_basebackup'), '-h', second.host.address,
                        '-D', first.database.data_dir, '-U', 'agens',
                        '-p', str(scenario.cluster.plan.db_port), '-v', '-P', '-R',
                        '--wal-method=stream'], limit=LIMIT)
        first.database.start()                                      # ag_ctl start
        first.start_ahm()                                           # nohup ahm -f ... &
        scenario.reads([first, second], 'AHM-NODE-2', {
            'AHM-NODE-1': ('STANDBY', 'STANDBY'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        scenario.cluster.wait_until(
            lambda: second.database.sql('SELECT state FROM pg_stat_replication')
            == [('streaming',)], LIMIT, 'the rebuilt standby to stream')
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')
