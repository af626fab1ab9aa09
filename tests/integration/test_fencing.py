"""The primary's AHM is gone, its database is not: nothing is promoted unless it is fenced first.

Fencing here is conf/failover.sh.sample itself: by ssh to a real sshd on the old primary's host, with
sudo for one command only.  Where nothing may happen, three times T_hold are watched by the client's
record, in which any promotion had time to happen; a script that is stopped every second tries again
in that time, too.
"""

import contextlib
import os
import shutil
import time

import pytest

from ahmlib.core.timing import Timing
from ahmlib.lab import record
from ahmlib.lab.cluster import DEFAULTS, Cluster
from ahmlib.lab.ssh import PORT, Logins, ssh_unavailable
from ahmlib.lab.users import ROOT

from .scenarios import FORM_LIMIT, Scenario, formed, needs_namespaces
from .test_failover import new_leader, rows_after, streams

pytestmark = needs_namespaces
needs_ssh = pytest.mark.skipif(
    bool(ssh_unavailable()), reason='FENCING TESTS SKIPPED: %s' % ssh_unavailable())

WATCHED = 3 * Timing(DEFAULTS['beacon_message_interval_seconds'],
                     DEFAULTS['beacon_message_retry_count']).hold
#: Retries of a takeover that was stopped come within the time that is watched.
RETRY = {'wait_for_primary_timeout_seconds': 1}
HEALTHY = {'AHM-NODE-1': ('PRIMARY', 'LEADER'), 'AHM-NODE-2': ('STANDBY', 'STANDBY'),
           'AHM-NODE-3': ('STANDBY', 'STANDBY')}
FENCED = "AHM-NODE-1 (10.77.0.11) is fenced"


@contextlib.contextmanager
def fencing():
    """A formed Scenario whose nodes have the sample as their fencing script, and its Logins."""
    with Cluster('namespaces', nodes=3) as cluster, Logins(cluster) as logins:
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
        scenario.reads(cluster.nodes, 'AHM-NODE-1', HEALTHY, limit=FORM_LIMIT)
        scenario.observe()
        yield scenario, logins


def log_of(node):
    """All that the AHM of a node has logged."""
    with open(node.log, errors='replace') as file:
        return file.read()


def fenced_and_took_over(scenario):
    """Wait for the takeover after the fencing; the name of the new leader."""
    old = scenario.cluster.nodes[0]
    new = new_leader(scenario)
    scenario.written_through(new)
    assert not old.database.is_running()
    assert not old.host.holds_vip()
    log = log_of(scenario.cluster.node(new))
    said = [log.find(words) for words in (
        'the VIP is dropped', 'the database is stopped', FENCED,
        'pre_promotion_command succeeded', 'the database is primary now')]
    assert -1 not in said and said == sorted(said), log
    return new


def nothing_happens(scenario, living, state_of_the_others=('STANDBY', 'IN_RESOURCE_LIMITATION')):
    """Watch the old primary serve for three times T_hold after everybody lost its AHM."""
    rows = dict.fromkeys(('AHM-NODE-2', 'AHM-NODE-3'), state_of_the_others)
    rows['AHM-NODE-1'] = ('PRIMARY', 'LOST')
    cluster = scenario.cluster

    def lost():
        return all(node.status().leader is None and
                   node.status().rows['AHM-NODE-1'][::5] == ('PRIMARY', 'LOST') for node in living)
    cluster.wait_until(lost, 30, 'everybody to have lost the AHM of the primary')
    until = time.monotonic() + WATCHED
    cluster.wait_until(
        lambda: (record.last_accepted(scenario.client.attempts(), 'AHM-NODE-1') or 0) > until,
        WATCHED + 30, 'the primary to serve %.1f s more' % WATCHED)
    scenario.reads(living, None, rows, holds_vip=None)
    assert [node.name for node in cluster.primaries()] == ['AHM-NODE-1']


@needs_ssh
def test_the_sudoers_entry_allows_what_fencing_needs_and_nothing_else():
    with Cluster('namespaces', nodes=2) as cluster, Logins(cluster) as logins:
        old, new = cluster.nodes
        old.host.vip_up()

        def sudo(command):
            return logins.run(new, old, 'PATH=$PATH:/sbin:/usr/sbin; sudo -n ' + command,
                              check=False)
        vip, own, cut = cluster.plan.vip, old.host.address, 'addr del %s/24 dev %s'
        for refused in ('true', 'sh -c true', 'ip addr', 'ip ' + cut % (own, 'eth0'),
                        'ip ' + cut % (vip, 'lo'), 'ip addr add %s/24 dev eth0' % vip,
                        'ip link set eth0 down'):
            done = sudo(refused)
            assert done.code == 1 and 'password is required' in done.output, done
        assert logins.run(new, old, 'ip ' + cut % (vip, 'eth0'), check=False).code != 0
        assert old.host.holds_vip()
        assert sudo('ip ' + cut % (vip, 'eth0')).code == 0
        assert not old.host.holds_vip()


@needs_ssh
def test_a_killed_ahm_its_primary_is_fenced_by_the_best_standby_which_takes_over():
    with fencing() as (scenario, _):
        cluster = scenario.cluster
        cluster.nodes[0].kill_ahm()
        new = fenced_and_took_over(scenario)
        streams(scenario, new)
        scenario.reads(cluster.nodes[1:], new, rows_after(new, ('PRIMARY', 'LOST')))
        cluster.nodes[0].start_ahm()
        scenario.reads(cluster.nodes, new, rows_after(new, ('FAILED', 'STANDBY')))
        scenario.finish('AHM-NODE-1', new)


@needs_ssh
def test_a_frozen_ahm_its_primary_is_fenced_and_it_finds_so_when_it_thaws():
    with fencing() as (scenario, _):
        cluster = scenario.cluster
        cluster.nodes[0].freeze_ahm()
        new = fenced_and_took_over(scenario)
        streams(scenario, new)
        cluster.nodes[0].thaw_ahm()
        scenario.reads(cluster.nodes, new, rows_after(new, ('FAILED', 'STANDBY')))
        scenario.finish('AHM-NODE-1', new)


@needs_ssh
def test_a_script_that_cannot_log_in_promotes_nobody():
    with fencing() as (scenario, logins):
        cluster = scenario.cluster
        for node in cluster.nodes:
            logins.forget_hosts(node)
        cluster.nodes[0].kill_ahm()
        nothing_happens(scenario, cluster.nodes[1:])
        assert 'answers, but fencing it failed' in log_of(cluster.nodes[1]) \
            + log_of(cluster.nodes[2])
        scenario.undisturbed('AHM-NODE-1')


def test_a_killed_ahm_without_a_fencing_script_promotes_nobody_and_is_reported():
    with formed(settings=RETRY) as scenario:
        cluster = scenario.cluster
        cluster.nodes[0].kill_ahm()
        nothing_happens(scenario, cluster.nodes[1:])
        for node in cluster.nodes[1:]:
            assert 'AHM-NODE-1 is lost' in log_of(node)
            assert 'stands for leader' not in log_of(node)
            print(node.status_text())
        cluster.nodes[0].start_ahm()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', HEALTHY)
        scenario.undisturbed('AHM-NODE-1')


def test_a_frozen_ahm_without_a_fencing_script_promotes_nobody_and_leads_again_when_it_thaws():
    with formed(settings=RETRY) as scenario:
        cluster = scenario.cluster
        cluster.nodes[0].freeze_ahm()
        nothing_happens(scenario, cluster.nodes[1:])
        rows = scenario.client.attempts()
        assert record.write_outage(rows, scenario.fault_at) < 1.0
        cluster.nodes[0].thaw_ahm()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', HEALTHY)
        scenario.written_through('AHM-NODE-1')
        assert record.double_primary_seconds(scenario.prober.stop()) == 0.0


@pytest.mark.parametrize('script, reason', [
    pytest.param('/bin/false', 'pre_promotion_command failed: ', id='fails'),
    pytest.param('/bin/true', 'the database of AHM-NODE-1 still answers after fencing', id='lies'),
])
def test_a_fencing_script_that_does_not_fence_promotes_nobody(script, reason):
    with formed(settings=dict(RETRY, pre_promotion_command=script)) as scenario:
        cluster = scenario.cluster
        cluster.nodes[0].kill_ahm()
        nothing_happens(scenario, cluster.nodes[1:])
        logs = [log_of(node) for node in cluster.nodes[1:]]
        assert any('no promotion: ' + reason in log for log in logs), logs
        assert not any('the database is primary now' in log for log in logs)
        cluster.nodes[0].start_ahm()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', HEALTHY)
        scenario.undisturbed('AHM-NODE-1')


def test_a_primary_without_its_ahm_that_later_stops_answering_is_failed_over():
    with formed(settings=RETRY) as scenario:
        cluster, old = scenario.cluster, scenario.cluster.nodes[0]
        old.kill_ahm()
        nothing_happens(scenario, cluster.nodes[1:])
        old.kill_database()
        old.host.vip_down()
        new = new_leader(scenario)
        scenario.written_through(new)
        streams(scenario, new)
        scenario.reads(cluster.nodes[1:], new, rows_after(new, ('PRIMARY', 'LOST')))
        scenario.finish('AHM-NODE-1', new)
