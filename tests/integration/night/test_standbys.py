"""Standbys that cannot take over: refused, without slot or WAL, or all of them out at once."""

from tests.lab import server_faults

from ..scenarios import FIRST, refusal, succeeds
from ..test_standby_faults import loses_wal, rebuilt_as_it_says
from .reading import CRITICAL, LIMIT, WARNING, is_gone, is_kept, is_over, is_told, utility

#: A failed standby fails within seconds; on a busy machine none does by chance.
SETTINGS = {'max_consec_failures': 10}
ROLE = 'agens'
REFUSED = 'the database is not trusted while this lasts: it runs, and refuses AHM: '
TRUSTED = 'the database is trusted again'
NO_STREAM = 'the standby does not stream from the primary'


def is_quarantined(scenario, failed):
    """Every node's table has it in quarantine, and the leader leads on."""
    scenario.reads(scenario.cluster.nodes, FIRST, scenario.table(
        FIRST, {failed.name: ('QUARANTINED', 'STANDBY')}))


def test_a_standby_whose_pg_hba_conf_refuses_the_role(night):
    scenario, _, second, third = night
    before = server_faults.hba_first(second.database, 'local all %s reject' % ROLE)
    is_told(scenario, second, third, REFUSED, WARNING)
    assert 'pg_hba.conf rejects' in utility(third)[0]
    is_quarantined(scenario, second)
    server_faults.hba(second.database, before)
    is_over(scenario, second, third, REFUSED, TRUSTED)


def test_a_standby_whose_slot_is_missing_on_the_primary(night):
    scenario, first, second, third = night
    second.database.sql("ALTER SYSTEM SET primary_slot_name = 'lost'")
    server_faults.reload(second.database)
    needs_a_restart_to_look_there(second.database)
    is_told(scenario, second, third, NO_STREAM, WARNING)
    succeeds(second, 'ahm_attach_node')     # which makes the slot
    is_over(scenario, second, third, NO_STREAM, 'the standby streams from the primary again')
    second.database.sql('ALTER SYSTEM RESET primary_slot_name')
    server_faults.reload(second.database)
    needs_a_restart_to_look_there(second.database)
    scenario.healthy()
    scenario.cluster.wait_until(lambda: first.database.sql(
        "SELECT pg_drop_replication_slot('lost')") is not None, LIMIT, 'the slot to be free')


def needs_a_restart_to_look_there(database):
    """Before PostgreSQL 13 no standby reads primary_slot_name anew while it runs."""
    if database.installation.version < 13:
        database.stop()
        database.start()


def test_a_standby_whose_wal_is_gone_is_rebuilt_by_the_command_that_is_named(night):
    scenario, _, second, third = night
    loses_wal(scenario.cluster, second)
    is_told(scenario, second, third, NO_STREAM, WARNING)
    rebuilt_as_it_says(second, refusal(second, 'ahm_attach_node'))
    succeeds(second, 'ahm_attach_node')
    is_gone(scenario, second, third, NO_STREAM)


def test_all_standbys_out_and_then_the_primary(night):
    """Nobody may be promoted by itself; what a person may do is named, and done."""
    scenario, first, second, third = night
    for node in (second, third):
        node.database.stop()
    scenario.reads(scenario.cluster.nodes, FIRST, scenario.table(FIRST, {
        node.name: ('FAILED', 'LOST') for node in (second, third)}))
    for node in (second, third):
        text = 'reported out until it is attached'
        scenario.cluster.wait_until(lambda: text in scenario.log(node), LIMIT, text)
        assert [line for line in scenario.notified() if line.startswith(node.name)
                and text in line]
        is_kept(scenario, first, node, text)
        assert 'was reported out: repair its database, then run ahm_attach_node' in utility(
            first, '--verbose')[0]
    first.kill_database()
    text = 'the database is down ('
    is_told(scenario, first, third, text, CRITICAL)
    for node in scenario.cluster.nodes:
        assert 'no other node may take over: start it; if it is gone for good' in utility(node)[0]
    first.database.start()
    is_gone(scenario, first, third, text)
    # It starts: another node may reach it before the next check of its own does.
    assert any(over in scenario.log(first) for over in (
        'the database is up again', 'another node reaches it: no failover'))
    scenario.reads(scenario.cluster.nodes, FIRST, scenario.table(FIRST, {
        node.name: ('FAILED', 'LOST') for node in (second, third)}), limit=2 * LIMIT)
    for node in (second, third):
        succeeds(node, 'ahm_attach_node', '--wait')
