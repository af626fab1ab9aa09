"""The status as ahm_cluster_status prints it, read back by the lab."""
import pytest

from ahmlib.lab import LabError
from ahmlib.lab.status import Row, parse_status

SAMPLE = """\
Cluster Status

Leader Node: AHM-NODE-1
Leader Host: 210.104.181.77
Successor Node: AHM-NODE-2
Successor Host: 210.104.181.78
Virtual IP : 210.104.181.42
Leader-Hold-VIP: True
Remote Nodes: 1

Node       Database Address        Port Priority Witness State
AHM-NODE-1 PRIMARY  210.104.181.77 9500 1        False   LEADER
AHM-NODE-2 STANDBY  210.104.181.78 9500 2        False   STANDBY
"""

UNKNOWN = """\
Cluster Status

Leader Node: Not Set
Leader Host: Not Set
Successor Node: Not Set
Successor Host: Not Set
Virtual IP : Not Set
Leader-Hold-VIP: Not Set
Remote Nodes: 1

Node       Database       Address   Port Priority Witness State
AHM-NODE-1 NOT_CONFIGURED 10.77.0.1 9500 1        True    WAITING_FOR_LEADER_FORMATION
Not Set    UNKNOWN        10.77.0.2 9500 Not Set  False   DEAD
"""


def test_the_manuals_sample():
    status = parse_status(SAMPLE)
    assert (status.leader, status.successor, status.vip) == (
        'AHM-NODE-1', 'AHM-NODE-2', '210.104.181.42')
    assert status.holds_vip is True and status.remote_nodes == 1
    assert status.rows['AHM-NODE-2'] == Row('STANDBY', '210.104.181.78', 9500, 2, False, 'STANDBY')


def test_what_is_not_set_is_none():
    status = parse_status(UNKNOWN)
    assert status[:6] == (None,) * 6
    assert status.rows['AHM-NODE-1'].witness
    assert status.rows['10.77.0.2:9500'] == Row('UNKNOWN', '10.77.0.2', 9500, None, False, 'DEAD')


def test_anything_else_is_refused_with_its_text():
    with pytest.raises(LabError, match='Command Failed'):
        parse_status('Command Failed\n')
