"""The primary's AHM is gone, its database is not: nothing is promoted unless it is fenced first.

Fencing here is conf/failover.sh.sample itself: by ssh to a real sshd on the old primary's host,
with sudo for one command only.  A script that was stopped is tried again while that is watched.
"""

import contextlib
import os
import shutil

import pytest

from ahmlib.lab import record
from ahmlib.lab.users import ROOT
from tests.lab.cluster import Cluster
from tests.lab.ssh import PORT, Logins, ssh_unavailable

from .scenarios import (
    CALM,
    FIRST,
    FORM_LIMIT,
    SECOND,
    THIRD,
    Scenario,
    Shared,
    comes_back,
    is_led_by_another,
    lost_and_left_alone,
    needs_namespaces,
    taken_back,
)

pytestmark = needs_namespaces
needs_ssh = pytest.mark.skipif(
    bool(ssh_unavailable()), reason='FENCING TESTS SKIPPED: %s' % ssh_unavailable())

SETTINGS = dict(CALM, wait_for_primary_timeout_seconds=2, use_pg_rewind=True)
FENCED = 'AHM-NODE-1 (10.77.0.11) is fenced'


@contextlib.contextmanager
def fencing():
    """A formed Scenario whose nodes have the sample as their fencing script, and its `logins`."""
    with Cluster('namespaces', nodes=3, settings=SETTINGS) as cluster, Logins(cluster) as logins:
        for node in cluster.nodes:
            script = os.path.join(node.host.directory, 'failover.sh')
            shutil.copy(os.path.join(ROOT, 'conf', 'failover.sh.sample'), script)
            os.chmod(script, 0o755)
            with open(node.config_file, 'a') as file:
                file.write('pre_promotion_command: env PATH=%s:/usr/bin:/bin '
                           'AHM_FENCE_SSH_PORT=%d AHM_FENCE_BIN_DIR=%s %s\n' % (
                               logins.bin_dir(node), PORT, node.database.installation.bin_dir,
                               script))
        cluster.start_ahm()
        scenario = Scenario(cluster)
        scenario.logins = logins
        scenario.reads(cluster.nodes, FIRST, scenario.table(), limit=FORM_LIMIT)
        scenario.observe()
        yield scenario


@pytest.fixture(scope='module')
def with_ssh():
    """Three nodes that can fence one another."""
    with Shared(fencing) as shared:
        yield shared


@pytest.fixture(scope='module')
def without():
    """Three nodes without a fencing script."""
    with Shared(settings=SETTINGS) as shared:
        yield shared


def fenced_and_took_over(scenario):
    """Wait for the takeover after the fencing; the name of the new leader."""
    cluster, old = scenario.cluster, scenario.cluster.nodes[0]
    new = is_led_by_another(cluster, FIRST)
    scenario.written_through(new)
    assert not old.database.is_running()
    assert not old.host.holds_vip()
    log = scenario.log(cluster.node(new))
    said = [log.find(words) for words in (
        'the VIP is dropped', 'the database is stopped', FENCED,
        'pre_promotion_command succeeded', 'the database is primary now')]
    assert -1 not in said and said == sorted(said), log
    other = next(node for node in cluster.nodes[1:] if node.name != new)
    cluster.wait_until(lambda: other.database.streams_from(cluster.node(new).database), 30,
                       '%s to stream from %s' % (other.name, new))
    return new


def leads_nowhere(scenario, watchers):
    """Nobody leads, and says why."""
    idle = ('STANDBY', 'IN_RESOURCE_LIMITATION')
    scenario.reads(watchers, None, {FIRST: ('PRIMARY', 'LOST'), SECOND: idle, THIRD: idle},
                   holds_vip=None)
    for node in watchers:
        assert 'waits for evidence against the old primary' in scenario.log(node)


@needs_ssh
def test_the_sudoers_entry_allows_what_fencing_needs_and_nothing_else(with_ssh):
    with with_ssh.story() as scenario:
        cluster = scenario.cluster
        old, new = cluster.nodes[:2]

        def sudo(command):
            return scenario.logins.run(new, old, 'PATH=$PATH:/sbin:/usr/sbin; sudo -n ' + command,
                                       check=False)
        vip, own, cut = cluster.plan.vip, old.host.address, 'addr del %s/24 dev %s'
        for refused in ('true', 'sh -c true', 'ip addr', 'ip ' + cut % (own, 'eth0'),
                        'ip ' + cut % (vip, 'lo'), 'ip addr add %s/24 dev eth0' % vip,
                        'ip link set eth0 down'):
            done = sudo(refused)
            assert done.code == 1 and 'password is required' in done.output, done
        assert scenario.logins.run(new, old, 'ip ' + cut % (vip, 'eth0'), check=False).code != 0
        assert old.host.holds_vip()
        assert sudo('ip ' + cut % (vip, 'eth0')).code == 0
        # That dropped it: the leader finds so, and puts it back.
        cluster.wait_until(lambda: 'the VIP is not on this host, whose node leads'
                           in scenario.log(old) and old.host.holds_vip(), 30,
                           'the VIP to be put back')
        scenario.healthy()


@needs_ssh
def test_a_killed_ahm_its_primary_is_fenced_by_the_best_standby_which_takes_over(with_ssh):
    with with_ssh.story() as scenario:
        old = scenario.cluster.nodes[0]
        old.kill_ahm()
        new = fenced_and_took_over(scenario)
        scenario.reads(scenario.cluster.nodes[1:], new,
                       scenario.table(new, {FIRST: ('PRIMARY', 'LOST')}))
        scenario.finish(FIRST, new)
        comes_back(scenario, old, new)


@needs_ssh
def test_a_frozen_ahm_its_primary_is_fenced_and_it_finds_so_when_it_thaws(with_ssh):
    with with_ssh.story() as scenario:
        old = scenario.cluster.nodes[0]
        old.freeze_ahm()
        new = fenced_and_took_over(scenario)
        old.thaw_ahm()
        scenario.reads(scenario.cluster.nodes, new,
                       scenario.table(new, {FIRST: ('FAILED', 'STANDBY')}))
        scenario.finish(FIRST, new)
        taken_back(scenario, old, new)


@needs_ssh
def test_a_script_that_cannot_log_in_promotes_nobody(with_ssh):
    with with_ssh.story() as scenario:
        first, second, third = scenario.cluster.nodes
        with scenario.logins.forgotten():
            first.kill_ahm()
            lost_and_left_alone(scenario, [second, third], scenario.watched)
            scenario.cluster.wait_until(
                lambda: 'answers, but fencing it failed' in scenario.log(second, third), 30,
                'a standby to say that the fencing failed')
            assert scenario.accepting() == [FIRST]
            first.start_ahm()
            scenario.healthy()
        scenario.undisturbed(FIRST)


def test_a_killed_ahm_without_a_fencing_script_promotes_nobody_and_is_reported(without):
    with without.story() as scenario:
        first, second, third = scenario.cluster.nodes
        first.kill_ahm()
        lost_and_left_alone(scenario, [second, third], scenario.watched)
        leads_nowhere(scenario, [second, third])
        for node in (second, third):
            assert 'AHM-NODE-1 is lost' in scenario.log(node)
            assert 'stands for leader' not in scenario.log(node)
        first.start_ahm()
        scenario.healthy()
        scenario.undisturbed(FIRST)


def test_a_frozen_ahm_without_a_fencing_script_promotes_nobody_until_it_thaws_and_steps_down(
        without):
    with without.story() as scenario:
        first, second, third = scenario.cluster.nodes
        first.freeze_ahm()
        lost_and_left_alone(scenario, [second, third])
        leads_nowhere(scenario, [second, third])
        assert record.failing_outage(scenario.client.attempts(), scenario.fault_at) < 3.0
        scenario.next_fault()
        first.thaw_ahm()        # its lease is over, so it steps down before anything else
        new = is_led_by_another(scenario.cluster, FIRST)
        scenario.written_through(new)
        scenario.reads(scenario.cluster.nodes, new,
                       scenario.table(new, {FIRST: ('FAILED', 'STANDBY')}))
        scenario.finish(FIRST, new)
        taken_back(scenario, first, new)


def test_a_primary_without_its_ahm_that_later_stops_answering_is_failed_over(without):
    with without.story() as scenario:
        first, second, third = scenario.cluster.nodes
        first.kill_ahm()
        lost_and_left_alone(scenario, [second, third])
        scenario.next_fault()
        first.kill_database()
        first.host.vip_down()
        new = is_led_by_another(scenario.cluster, FIRST)
        scenario.written_through(new)
        scenario.reads([second, third], new, scenario.table(new, {FIRST: ('PRIMARY', 'LOST')}))
        scenario.finish(FIRST, new)
        comes_back(scenario, first, new)
