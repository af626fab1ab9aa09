"""A standby whose server runs and refuses AHM's role: in quarantine for as long as that lasts."""

from ahmlib.lab import server_faults

from ..scenarios import FIRST
from .reading import WARNING, is_over, is_told, utility

#: A failed standby fails within seconds; on a busy machine none does by chance.
SETTINGS = {'max_consec_failures': 10}
ROLE = 'agens'
REFUSED = 'the database is not trusted while this lasts: it runs, and refuses AHM: '
TRUSTED = 'the database is trusted again'


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
