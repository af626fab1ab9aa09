"""The lab itself: its clusters, faults and witnesses, with a failover made by hand.

Before anything that the lab measures is believed, the lab has to show what it claims: that a cut is
a cut, that the client's and the prober's figures are right where the truth is known, and that
nothing stays behind.  AHM has no part in these tests.
"""
import glob
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from ahmlib.lab import LabError, addresses, procfs, record
from ahmlib.lab.installations import installations
from ahmlib.lab.users import ROOT, interpreter_for, lab_user, tool, works_for
from ahmlib.lab.workspace import Workspace
from tests.lab.cluster import Cluster, loopback_available
from tests.lab.network import Switch, namespaces_available

REASON = namespaces_available()
namespaces = pytest.mark.skipif(REASON is not None, reason=str(REASON))
LACK = loopback_available()
postgres = pytest.mark.skipif(LACK is not None, reason=str(LACK))

LIMIT = 20


def fail_over_by_hand(cluster, fault, old, new):
    """Fault `old`, promote `new`, move the VIP; returns (the instant of the fault, client's and
    prober's attempts)."""
    old.host.vip_up()
    client, prober = cluster.start_client(), cluster.start_prober()
    cluster.wait_until(lambda: acknowledged(client, old) >= 25, LIMIT, 'the client to write')
    cluster.wait_until(lambda: acknowledged(prober, old) >= 10, LIMIT, 'the prober to write')
    fault_at = time.monotonic()
    fault()
    new.database.promote()
    new.host.vip_up()
    cluster.wait_until(lambda: acknowledged(client, new) >= 25, LIMIT, 'the client to move')
    assert cluster.vip_holders() == [new]
    return fault_at, client.stop(), prober.stop()


def acknowledged(recorder, node):
    """How many rows the server of `node` acknowledged to a recorder so far."""
    return len(record.acknowledged_ids(recorder.attempts(), node.name))


def check_failover(cluster, outcome, old, new):
    """What must hold of the record of any failover in which nobody was primary twice."""
    fault_at, writes, probes = outcome
    # The record of the client and that of the prober must tell the same story.
    last, first = record.last_accepted(writes, old.name), record.first_accepted(writes, new.name)
    assert record.Gap(last, first) in record.gaps(writes, fault_at)
    assert last < first < last + LIMIT
    assert first >= record.first_accepted(probes, new.name) - 0.1
    assert record.double_primary_seconds(probes) == 0.0
    assert record.missing_within_received(writes, old.name, cluster.ids_on(new)) == []
    assert cluster.primaries() == [new]


@postgres
@pytest.mark.parametrize('version', [known.version for known in installations()])
def test_a_loopback_cluster_replicates_and_fails_over_by_hand(version):
    with Cluster('loopback', nodes=3, version=version) as cluster:
        old, new, third = cluster.nodes
        assert new.database.streams_from(old.database) and third.database.streams_from(old.database)
        assert cluster.primaries() == [old]

        def fault():
            old.host.vip_down()
            old.kill_database()
            assert not old.database.is_running()
        outcome = fail_over_by_hand(cluster, fault, old, new)
        check_failover(cluster, outcome, old, new)
        workspace = cluster.workspace
    assert_nothing_left(workspace)


def assert_nothing_left(workspace):
    """No process, file or namespace of a closed lab remains."""
    assert workspace.leftovers() == []
    assert not os.path.exists(workspace.directory)
    assert not glob.glob('/run/netns/ahmlab%d*' % os.getpid())


@postgres
def test_a_lab_that_fails_cleans_up_and_so_does_one_that_is_interrupted():
    with pytest.raises(KeyboardInterrupt):
        with Cluster('loopback', nodes=1, witnesses=1) as cluster:
            workspace = cluster.workspace
            cluster.nodes[0].host.vip_up()
            cluster.start_client()
            raise KeyboardInterrupt
    assert_nothing_left(workspace)


def last_accepted_began(attempts, server):
    """When the last attempt that `server` acknowledged was begun; it may be read late."""
    return max(each.began for each in attempts if each.accepted and each.server == server)


@postgres
def test_two_primaries_are_seen_by_the_prober():
    with Cluster('loopback', nodes=2) as cluster:
        one, other = cluster.nodes
        prober = cluster.start_prober()
        cluster.wait_until(lambda: acknowledged(prober, one) >= 5, LIMIT, 'the prober to write')
        promoting = time.monotonic()
        other.database.promote()
        promoted = time.monotonic()
        cluster.wait_until(lambda: acknowledged(prober, other) >= 20, LIMIT, 'a second primary')
        killing = time.monotonic()
        one.kill_database()
        killed = time.monotonic()
        cluster.wait_until(lambda: prober.attempts()[-1].t > killed + 0.2, LIMIT, 'the end')
        probes = prober.stop()
        seen = record.double_primary_seconds(probes)
        assert 0.5 < seen
        assert killing - promoted - 0.5 < seen < killed - promoting + 0.5
        assert last_accepted_began(probes, one.name) < killed


@postgres
def test_a_killed_server_starts_again_and_a_frozen_one_costs_a_second():
    with Cluster('loopback', nodes=1) as cluster:
        node = cluster.nodes[0]
        node.kill_database()
        node.database.start()
        assert cluster.primaries() == [node]
        prober = cluster.start_prober()
        cluster.wait_until(lambda: acknowledged(prober, node) >= 5, LIMIT, 'the prober to write')
        node.freeze()
        frozen_at = time.monotonic()
        cluster.wait_until(lambda: prober.attempts()[-1].t > frozen_at + 1.5, LIMIT, 'two probes')
        late = [probe for probe in prober.attempts() if probe.began > frozen_at]
        assert late and not any(probe.accepted for probe in late)
        assert all(probe.t - probe.began < 10 for probe in late)
        node.thaw()
        thawed_at = time.monotonic()
        cluster.wait_until(
            lambda: record.first_accepted(prober.attempts(), node.name, thawed_at), LIMIT, 'thaw')


@postgres
def test_the_relay_is_the_loopback_vip():
    with Cluster('loopback', nodes=2) as cluster:
        one, other = cluster.nodes
        ping = [one.host.vip_commands()['ping_path'] + '/ping', '-c', '1', '-W', '1',
                cluster.plan.vip]
        assert cluster.vip_holders() == []
        assert one.host.run(ping, check=False).code == 1
        one.host.vip_up()
        one.host.vip_up()
        assert cluster.vip_holders() == [one]
        assert other.host.run(ping, check=False).code == 0
        with pytest.raises(LabError, match='cannot listen'):
            other.host.vip_up()
        first, client = cluster.start_client(), cluster.start_client()
        cluster.wait_until(lambda: acknowledged(first, one), LIMIT, 'the client to write')
        cluster.wait_until(lambda: acknowledged(client, one), LIMIT, 'a second client to write')
        one.host.vip_down()
        one.host.vip_down()
        down_at = time.monotonic()
        assert cluster.vip_holders() == []
        cluster.wait_until(lambda: client.attempts()[-1].t > down_at + 0.2, LIMIT, 'refusals')
        assert last_accepted_began(client.stop(), one.name) < down_at


@postgres
def test_configuration_files_are_the_users_and_say_what_the_cluster_is():
    settings = {'pre_promotion_command': '/bin/true'}
    own = {'AHM-NODE-2': {'priority': 0, 'pre_promotion_command': None}}
    with Cluster('loopback', 2, 1, settings=settings, node_settings=own) as cluster:
        read = []
        for node in cluster.nodes:
            with open(node.config_file) as file:
                read.append(yaml.safe_load(file))
        assert [one['priority'] for one in read] == [1, 0, 3]
        assert [one['is_witness'] for one in read] == [False, False, True]
        assert [one.get('pre_promotion_command') for one in read] == [
            '/bin/true', None, '/bin/true']
        assert 'virtual_IP' not in read[2] and read[0]['virtual_IP'] == cluster.plan.vip
        for node in cluster.nodes:
            lines = node.host.run(['cat', node.host.directory + '/nodes.conf']).output.split()
            assert lines == ['%s:%d' % (each.host.address, cluster.plan.ahm_port)
                             for each in cluster.nodes]
            assert len(node.socket_dir + '/.s.AHM.%d' % cluster.plan.ipc_port) < 100


@postgres
def test_the_interpreter_really_runs_as_the_labs_user():
    with Workspace() as workspace:
        found = workspace.interpreter
        assert works_for(workspace.user, [found.executable, '-c', '']) is None


def test_an_interpreter_that_cannot_be_used_is_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv('LAB_PYTHON', str(tmp_path / 'python'))
    with pytest.raises(LabError, match='LAB_PYTHON'):
        interpreter_for(lab_user(), str(tmp_path))


@postgres
def test_a_labs_processes_are_known_by_their_mark():
    with Workspace() as workspace:
        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],
                                 env=workspace.environment('x'))
        try:
            assert procfs.with_variable('AHM_LAB', workspace.directory) == [child.pid]
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()
        assert workspace.leftovers() == []


def test_another_process_chooses_another_network_though_no_port_is_taken_yet():
    program = ('import os; os.getpid = lambda: %d; from ahmlib.lab import addresses; '
               'print(addresses.loopback_plan(3).prefix)' % os.getpid())
    own = addresses.loopback_plan(3).prefix
    assert addresses.loopback_plan(3).prefix == own
    other = subprocess.check_output([sys.executable, '-c', program], cwd=ROOT,
                                    universal_newlines=True).strip()
    assert other.startswith('127.77.') and other != own


# Namespaces

@pytest.fixture
def switch():
    with Switch() as made:
        for number, name in enumerate(('h1', 'h2', 'h3')):
            made.plug(name, '10.77.0.%d' % (11 + number))
        yield made
    assert not glob.glob('/run/netns/ahmlab%d*' % os.getpid())


def reaches(switch, source, target, count=1):
    """How many of `count` pings from one host to another are answered, each within 1 s."""
    argv = [tool('ip'), 'netns', 'exec', switch.namespace(source), tool('ping'), '-c', str(count),
            '-i', '0.01', '-W', '1', switch.addresses[target]]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    return int(done.stdout.partition(' received')[0].split()[-1])


@namespaces
def test_cut_and_heal(switch):
    assert reaches(switch, 'h1', 'h2') and reaches(switch, 'h2', 'h3')
    switch.cut('h1')
    assert not reaches(switch, 'h1', 'h2') and reaches(switch, 'h2', 'h3')
    switch.heal('h1')
    assert reaches(switch, 'h1', 'h2', 3)


@namespaces
def test_a_cut_between_two_hosts_leaves_the_third_to_both(switch):
    switch.cut_between('h1', 'h2')
    assert not reaches(switch, 'h1', 'h2')
    assert reaches(switch, 'h1', 'h3') and reaches(switch, 'h2', 'h3')
    switch.heal()
    assert reaches(switch, 'h1', 'h2', 3)


@namespaces
@pytest.mark.parametrize('direction', ['in', 'out'])
def test_a_one_way_cut_lets_the_other_way_through(switch, direction):
    # ARP needs both ways, so it is done before; a datagram then needs only one.
    assert reaches(switch, 'h1', 'h2')
    switch.cut_one_way('h1', direction)
    arrives = {'in': ('h1', 'h2'), 'out': ('h2', 'h1')}[direction]
    assert datagram_arrives(switch, *arrives, within=15)
    assert not datagram_arrives(switch, *reversed(arrives), within=2)


def datagram_arrives(switch, source, target, within):
    """Whether a UDP datagram sent five times on one host is received on another, at most so many
    seconds after the sender's end."""
    receive = ("import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); "
               "s.bind(('',9)); print('ready',flush=True); print(s.recv(9))")
    send = ("import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); "
            "[s.sendto(b'x',('%s',9)) for _ in range(5)]" % switch.addresses[target])
    prefix = [tool('ip'), 'netns', 'exec']
    child = subprocess.Popen(prefix + [switch.namespace(target), sys.executable, '-c', receive],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b'ready\n'
    subprocess.check_call(prefix + [switch.namespace(source), sys.executable, '-c', send])
    try:
        child.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
    return child.returncode == 0


@namespaces
def test_loss_is_about_what_was_asked_for(switch):
    assert reaches(switch, 'h1', 'h2')
    switch.loss('h1', 20)
    # Each way 20 %: 64 of 100 answers; the chance of less than 100 or more than 156 of 200
    # is below one in a million.
    assert 95 < reaches(switch, 'h1', 'h2', 200) < 160


@namespaces
def test_power_off_kills_what_runs_and_power_on_brings_the_link_back(switch):
    child = subprocess.Popen([tool('ip'), 'netns', 'exec', switch.namespace('h1'), 'sleep', '60'])
    deadline = time.monotonic() + LIMIT
    while child.pid not in switch.pids('h1'):
        assert time.monotonic() < deadline
    switch.freeze('h1')
    assert procfs.state(child.pid) == 'T'
    switch.thaw('h1')
    switch.power_off('h1')
    assert child.wait() == -signal.SIGKILL
    assert not reaches(switch, 'h2', 'h1')
    switch.power_on('h1')
    deadline = time.monotonic() + LIMIT
    while not reaches(switch, 'h2', 'h1'):
        assert time.monotonic() < deadline


@namespaces
@postgres
@pytest.mark.parametrize('fault', ['power_off', 'isolate', 'freeze and isolate'])
def test_a_failover_by_hand_between_namespaces(fault):
    with Cluster('namespaces', nodes=3) as cluster:
        old, new, _ = cluster.nodes
        assert new.database.streams_from(old.database)

        def strike():
            if fault == 'isolate':
                # Cut off and going on: a client on its side could still write, the prober sees it.
                old.isolate()
                assert old.database.sql('SELECT pg_is_in_recovery()') == [(False,)]
                old.host.vip_down()
                old.kill_database()
            elif fault == 'power_off':
                old.power_off()
                assert not old.database.is_running()
            else:
                old.freeze()
                old.isolate()
        if fault == 'freeze and isolate':
            check_frozen(cluster, strike, old, new)
        else:
            check_failover(cluster, fail_over_by_hand(cluster, strike, old, new), old, new)
        workspace = cluster.workspace
    assert_nothing_left(workspace)


def check_frozen(cluster, strike, old, new):
    """A frozen primary keeps the VIP's address and wakes as a primary: both must be seen."""
    old.host.vip_up()
    client, prober = cluster.start_client(), cluster.start_prober()
    cluster.wait_until(lambda: acknowledged(client, old) >= 25, LIMIT, 'the client to write')
    strike()
    struck_at = time.monotonic()
    new.database.promote()
    new.host.vip_up()
    cluster.wait_until(lambda: acknowledged(client, new) >= 25, LIMIT, 'the client to move')
    assert cluster.vip_holders() == [old, new]
    old.thaw()
    thawed_at = time.monotonic()
    cluster.wait_until(lambda: record.first_accepted(prober.attempts(), old.name, thawed_at),
                       LIMIT, 'the old primary to wake')
    # A client that was black-holed for the failover lost at most a second more on its attempt.
    writes = client.stop()
    assert all(each.t - each.began < 10 for each in writes if each.t > struck_at)
    assert set(cluster.primaries()) == {old, new}
    assert prober.runs()


@namespaces
@postgres
def test_the_daemons_rights_suffice_for_the_vip_and_its_announcement():
    with Cluster('namespaces', nodes=1) as cluster:
        host = cluster.nodes[0].host
        up = host.vip_commands()['if_up_cmd'].replace('$_IP_$', host.vip).split()
        assert host.run(up, check=False).code != 0, 'without capabilities it must not work'
        host.vip_up()
        assert host.holds_vip()
        host.vip_down()
        assert not host.holds_vip()
