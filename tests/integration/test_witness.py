"""Two nodes and a witness: the witness goes, with and without the primary after it, and comes back.

Two of three are a majority, so the loss of the witness alone changes nothing; what it took away is
the failover, until it is back (manual 19.7.4).
"""

import pytest

from .scenarios import CALM, FIRST, SECOND, THIRD, Shared, comes_back, no_majority, refusal

WITNESS_LOST = {THIRD: ('NOT_CONFIGURED', 'LOST')}


@pytest.fixture(scope='module')
def two():
    """Two nodes with a database, and a witness."""
    with Shared(kind='loopback', nodes=2, witnesses=1,
                settings=dict(CALM, use_pg_rewind=True)) as shared:
        yield shared


def test_the_witness_is_killed_and_the_leader_stays(two):
    with two.story() as scenario:
        first, second, witness = scenario.cluster.nodes
        witness.kill_ahm()
        scenario.reads([first, second], FIRST, scenario.table(others=WITNESS_LOST))
        scenario.nothing_happens(FIRST)
        scenario.reads([first, second], FIRST, scenario.table(others=WITNESS_LOST))
        witness.start_ahm()
        scenario.healthy()
        assert refusal(first, 'ahm_promote_node', '-h', witness.host.address) == (
            'AHM-NODE-3 is a witness: it has no database to promote')
        assert refusal(witness, 'ahm_attach_node') == (
            'AHM-NODE-3 is a witness: it has no database to attach')
        scenario.undisturbed(FIRST)


def test_without_the_witness_the_last_node_promotes_nothing_until_the_witness_is_back(two):
    with two.story() as scenario:
        first, second, witness = scenario.cluster.nodes
        witness.power_off()
        scenario.reads([first, second], FIRST, scenario.table(others=WITNESS_LOST))
        first.power_off()
        no_majority(scenario, second)
        scenario.next_fault()
        witness.power_on()
        witness.start_ahm()
        scenario.written_through(SECOND)
        scenario.reads([second], SECOND, scenario.table(SECOND, {FIRST: ('PRIMARY', 'LOST')}))
        # The witness has not heard of that node since its own start.
        scenario.reads([witness], SECOND, scenario.table(SECOND, {FIRST: ('UNKNOWN', 'DEAD')}))
        first.power_on()
        comes_back(scenario, first, SECOND)
