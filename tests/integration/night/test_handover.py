"""What only a handover needs, and this cluster lacks: it is said on a good day, by every node.

AHM comes as a role of its own, with a password, as on hosts that are kept well.  It looks again at
a reload and every minute; at the other servers every fifteen, and soon where one has refused.
"""

import pytest

from ahmlib.database import conninfo
from tests.lab import server_faults

from ..scenarios import FIRST, refusal, succeeds
from .reading import CRITICAL, WARNING, is_over, is_told, utility

ROLE, PASSWORD = 'watcher', 'right'
OVER = 'a switchover would get through now, as far as can be tried'
REFUSED = 'the database is not trusted while this lasts: it runs, and refuses AHM: '
MONITORS, CHECKPOINTS = 'pg_monitor', 'pg_checkpoint'
FIRST_VERSION_WITH_CHECKPOINTS = 15


def as_a_role_of_its_own(cluster):
    """AHM connects as ROLE, by password; a superuser only where a CHECKPOINT takes one."""
    first = cluster.nodes[0].database
    may = 'IN ROLE %s, %s' % (MONITORS, CHECKPOINTS) if has_checkpoints(first) else 'SUPERUSER'
    first.sql("CREATE ROLE %s LOGIN PASSWORD '%s' %s" % (ROLE, PASSWORD, may))
    for node in cluster.nodes:
        server_faults.hba_first(node.database, 'local all %s md5' % ROLE)
        node.reconfigure(conn_string=conninfo.build(dict(
            conninfo.parse(node.database.conninfo()), user=ROLE, password=PASSWORD)))
    for node in cluster.nodes[1:]:
        cluster.wait_until(lambda: node.database.sql(
            'SELECT count(*) FROM pg_roles WHERE rolname = %s', (ROLE,)) == [(1,)], 30, ROLE)


def has_checkpoints(database):
    """Whether the right to CHECKPOINT can be given."""
    return database.installation.version >= FIRST_VERSION_WITH_CHECKPOINTS


#: A standby that refuses AHM is in quarantine soon.
SETTINGS = {'max_consec_failures': 10}
CLUSTER = {'prepare': as_a_role_of_its_own,
           'server_settings': ('archive_mode = on', "archive_command = '/bin/true'")}


def test_a_standby_whose_pg_hba_conf_would_not_let_the_primary_in(night):
    """The switchover went well, and the old primary never streamed."""
    scenario, first, second, third = night
    before = server_faults.hba_first(second.database, 'host replication all all reject')
    first.reload_ahm()
    text = 'the database of AHM-NODE-2 would not let this one in as its standby: '
    is_told(scenario, first, third, text, WARNING)
    assert 'pg_hba.conf rejects replication connection' in utility(third)[0]
    assert refusal(second, 'ahm_promote_node', '--dry-run').startswith(
        'the database of %s would not be let in here as a standby afterwards: ' % FIRST)
    succeeds(third, 'ahm_promote_node', '--dry-run')
    server_faults.hba(second.database, before)
    first.reload_ahm()
    is_over(scenario, first, third, text, OVER)
    succeeds(second, 'ahm_promote_node', '--dry-run')


def test_a_primary_on_which_ahm_may_not_order_a_checkpoint(night):
    """--dry-run said yes, and the switchover was undone."""
    scenario, first, second, _ = night
    if not has_checkpoints(first.database):
        pytest.skip('before PostgreSQL 15 a superuser may, and nobody else')
    first.database.sql('REVOKE %s FROM %s' % (CHECKPOINTS, ROLE))
    first.reload_ahm()
    why = '%s, as whom AHM connects, may not run CHECKPOINT: GRANT pg_checkpoint TO %s' % (
        ROLE, ROLE)
    is_told(scenario, first, second, 'a switchover from here would be undone: ' + why, WARNING)
    assert refusal(second, 'ahm_promote_node', '--dry-run') == '%s cannot hand over: %s' % (
        FIRST, why)
    first.database.sql(why.rpartition(': ')[2])
    first.reload_ahm()
    is_over(scenario, first, second, 'a switchover from here would be undone', OVER)


def test_an_archive_command_that_fails(night):
    scenario, first, second, _ = night
    first.database.sql("ALTER SYSTEM SET archive_command = '/bin/false'")
    server_faults.reload(first.database)
    first.database.sql('SELECT pg_switch_wal()')
    scenario.cluster.wait_until(lambda: first.database.sql(
        'SELECT failed_count > 0 FROM pg_stat_archiver') == [(True,)], 60, 'the archiver to fail')
    first.reload_ahm()
    text = 'archive_command fails ('
    is_told(scenario, first, second, text, WARNING)
    first.database.sql('ALTER SYSTEM RESET archive_command')
    server_faults.reload(first.database)
    first.database.sql('SELECT pg_switch_wal()')
    scenario.cluster.wait_until(lambda: first.database.sql(
        'SELECT last_archived_time > last_failed_time FROM pg_stat_archiver') == [(True,)], 120,
        'the archiver to get through')
    first.reload_ahm()
    is_over(scenario, first, second, text, 'the archiver keeps up again')


@pytest.mark.parametrize('hurts, mends', [
    ("PASSWORD 'another'", "PASSWORD '%s'" % PASSWORD),
    ("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'")], ids=['changed', 'expired'])
def test_a_password_that_is_not_valid_any_more(night, hurts, mends):
    """It hits all nodes at once, for roles replicate."""
    scenario, first, second, third = night
    first.database.sql('ALTER ROLE %s %s' % (ROLE, hurts))
    is_told(scenario, second, third, REFUSED, CRITICAL)
    for node in (first, third):
        told = utility(node)[0]
        assert told.count('password authentication failed for user "%s"' % ROLE) == 3, told
        assert '%s: the database fails its checks here (' % FIRST in told
    first.database.sql('ALTER ROLE %s %s' % (ROLE, mends))
    is_over(scenario, second, third, REFUSED, 'the database is trusted again')
