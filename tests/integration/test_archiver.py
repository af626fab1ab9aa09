"""A shutdown does not wait for an archive_command that hangs, on a real PostgreSQL.

LAB_POSTGRES runs it on another version.
"""

import time

from ahmlib.database import archiver, control_file
from tests.integration.test_database_children import (
    adopt_orphans,
    pair,
    reap_orphans,
    run_sql,
    templates,
    until,
)
from tests.integration.test_replay import pytestmark, restart, rows, story

assert adopt_orphans and pair and templates and pytestmark     # fixtures

LIMIT = 20.0


def archives(primary, command):
    """The primary archives by this command from now on."""
    run_sql(primary, "ALTER SYSTEM SET archive_mode = 'on'")
    run_sql(primary, "ALTER SYSTEM SET archive_command = '%s'" % command)
    restart(primary)


def test_a_shutdown_whose_archive_command_hangs_ends_once_the_standby_has_all(pair):
    """A switchover took 20 s, 18 of them for an archiver that nobody needed."""
    primary, standby = pair
    archives(primary, 'sleep 600')
    story(primary, standby)
    until(lambda: standby.look().streaming)
    run_sql(primary, 'SELECT pg_switch_wal()')
    run_sql(primary, 'INSERT INTO story SELECT generate_series(1, 100)')
    began = time.monotonic()
    result = primary.stop('fast', LIMIT)
    # The limit of the fast step is 12 s; nothing else ends it sooner.
    assert result.ok and time.monotonic() - began < 0.5 * LIMIT, result
    assert result.how == 'immediate' and result.lsn, result
    assert 'WAL files are not archived yet' in result.remark
    assert control_file.read(primary.settings.db_data_dir).state == 'shut down'
    until(lambda: standby.look().replayed_lsn > result.lsn)
    assert rows(standby) == 200
    reap_orphans()
    assert primary.start() is not False and rows(primary) == 200


def test_a_shutdown_whose_archiver_works_is_a_fast_one(pair):
    primary, standby = pair
    archives(primary, '/bin/true')
    story(primary, standby)
    result = primary.stop('fast', LIMIT)
    assert result.ok and result.how == 'fast' and result.lsn, result
    assert archiver.unarchived(primary.settings.db_data_dir) == 0
    assert not result.remark
