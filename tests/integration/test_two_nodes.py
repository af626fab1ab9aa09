"""Two nodes: with half votes and a fencing script, and without half votes."""

import os
import shutil
import tempfile

import pytest

from .scenarios import formed, needs_namespaces

pytestmark = needs_namespaces

#: Fences as conf/failover.sh.sample does, by signals in place of ssh: the lab's hosts share their
#: processes, and the data directories differ in the host's name only.
FENCE = """#!/bin/sh
echo "$AHM_EVENT $AHM_OLD_PRIMARY_NAME -> $AHM_NEW_PRIMARY_NAME" >> "$(dirname "$0")/log"
case $AHM_DB_DATA_DIR in
    */h1/*) other=$(echo "$AHM_DB_DATA_DIR" | sed s,/h1/,/h2/,) ;;
    *) other=$(echo "$AHM_DB_DATA_DIR" | sed s,/h2/,/h1/,) ;;
esac
[ -e "$other/PG_VERSION" ] || exit 1
pid=$(head -1 "$other/postmaster.pid" 2>/dev/null) || exit 0
[ -n "$pid" ] || exit 0
kill -QUIT "$pid" 2>/dev/null
tries=0
while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || exit 1
    sleep 0.05
done
exit 0
"""


@pytest.fixture
def fence():
    """The path of a fencing script that the lab's user can run; `log` beside it is its record."""
    directory = tempfile.mkdtemp(prefix='ahmfence-')
    os.chmod(directory, 0o777)
    path = os.path.join(directory, 'fence.sh')
    with open(path, 'w') as script:
        script.write(FENCE)
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(directory)


def half_votes(fence):
    """Two nodes with half votes and this fencing script, formed."""
    return formed(nodes=2, settings={'failover_consensus_with_half_votes': True,
                                     'pre_promotion_command': fence})


def fenced(fence):
    """What the fencing script has recorded so far."""
    path = os.path.join(os.path.dirname(fence), 'log')
    if not os.path.exists(path):
        return []
    with open(path) as lines:
        return lines.read().splitlines()


def test_ahm_stop_on_the_leader_hands_over_to_the_standby(fence):
    with half_votes(fence) as scenario:
        first, second = scenario.cluster.nodes
        said = first.stop_ahm()
        assert 'AHM stopped' in said
        scenario.written_through('AHM-NODE-2')
        scenario.reads([second], 'AHM-NODE-2', {
            'AHM-NODE-1': ('FAILED', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        assert first.database.is_running() is False
        assert fenced(fence) == ['PRE_PROMOTION AHM-NODE-1 -> AHM-NODE-2']
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')


def test_ahm_stop_of_the_standby_leaves_the_service_untouched(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[1].stop_ahm()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))
        assert fenced(fence) == []


def test_kill_9_of_the_standbys_ahm_leaves_the_service_untouched(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[1].kill_ahm()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))
        assert fenced(fence) == []


def test_power_off_of_the_leaders_host_with_half_votes_and_fencing(fence):
    with half_votes(fence) as scenario:
        scenario.cluster.nodes[0].power_off()
        scenario.written_through('AHM-NODE-2')
        scenario.reads([scenario.cluster.nodes[1]], 'AHM-NODE-2', {
            'AHM-NODE-1': ('PRIMARY', 'LOST'), 'AHM-NODE-2': ('PRIMARY', 'LEADER')})
        assert fenced(fence) == ['PRE_PROMOTION AHM-NODE-1 -> AHM-NODE-2']
        scenario.finish('AHM-NODE-1', 'AHM-NODE-2')


def test_without_half_votes_the_loss_of_the_standbys_host_leaves_the_service_untouched():
    with formed(nodes=2) as scenario:
        scenario.cluster.nodes[1].power_off()
        the_leader_stays(scenario, ('STANDBY', 'LOST'))


def the_leader_stays(scenario, standby_row):
    """The first node leads on, and goes on serving well after any promise has ended."""
    first = scenario.cluster.nodes[0]
    rows = {'AHM-NODE-1': ('PRIMARY', 'LEADER'), 'AHM-NODE-2': standby_row}
    scenario.reads([first], 'AHM-NODE-1', rows)
    until = scenario.fault_at + 8
    scenario.cluster.wait_until(
        lambda: max(attempt.t for attempt in scenario.client.attempts()) > until, 30,
        'the client to go on for 8 s')
    scenario.reads([first], 'AHM-NODE-1', rows)
    scenario.undisturbed('AHM-NODE-1')
