"""A standby whose server runs and refuses AHM's role: in quarantine for as long as that lasts."""

import os

from ahmlib.lab import server_faults

from ..scenarios import FIRST
from .reading import WARNING, is_over, is_told, utility

#: A failed standby fails within seconds; on a busy machine none does by chance.
SETTINGS = {'max_consec_failures': 10}
ROLE = 'agens'
REFUSED = 'the database is not trusted while this lasts: it runs, and refuses AHM: '
TRUSTED = 'the database is trusted again'


def hba(database, first_line):
    """Lay this line over pg_hba.conf and have it read; returns what was there."""
    path = os.path.join(database.data_dir, 'pg_hba.conf')
    with open(path) as file:
        before = file.read()
    with open(path, 'w') as file:
        file.write(first_line + '\n' + before)
    server_faults.reload(database)
    return before


def restore_hba(database, text):
    """Put this back, and have it read."""
    with open(os.path.join(database.data_dir, 'pg_hba.conf'), 'w') as file:
        file.write(text)
    server_faults.reload(database)


def is_quarantined(scenario, failed):
    """Every node's table has it in quarantine, and the leader leads on."""
    scenario.reads(scenario.cluster.nodes, FIRST, scenario.table(
        FIRST, {failed.name: ('QUARANTINED', 'STANDBY')}))


def test_a_standby_whose_pg_hba_conf_refuses_the_role(night):
    scenario, _, second, third = night
    before = hba(second.database, 'local all %s reject' % ROLE)
    is_told(scenario, second, third, REFUSED, WARNING)
    assert 'pg_hba.conf rejects' in utility(third)[0]
    is_quarantined(scenario, second)
    restore_hba(second.database, before)
    is_over(scenario, second, third, REFUSED, TRUSTED)
