"""Stories from the field, on real servers and a real link: who is cut off, restarted, or dead by
half, and who else has the VIP.

    another directory   db_data_dir does not name the server that conn_string reaches
    starts cut off      the primary's AHM ends, is started again, and nobody hears it
    a dead house        AHM and PostgreSQL are gone, and the kernel still answers for the VIP
    a stranger          a host of no node has the VIP, and drops pings
"""

import contextlib
import os
import re
import shutil

import pytest

from ahmlib.ipc import client
from ahmlib.lab import record
from ahmlib.lab.users import tool
from tests.lab.cluster import Cluster
from tests.lab.hosts import NamespaceHost
from tests.lab.network import PREFIX_LENGTH, call

from .scenarios import (
    CALM,
    FIRST,
    Scenario,
    formed,
    is_led_by_another,
    log_of,
    needs_namespaces,
    telling,
)

pytestmark = needs_namespaces

#: For what takes a failover on a busy machine.
LIMIT = 60
STRANGER = '10.77.0.66'
STOPPED_FOR_BEING_CUT_OFF = 'its database ran as a primary, cut off from the others'


def problem(node, about=FIRST):
    """What this node says is wrong with another, or with itself; '' where it says nothing."""
    answer = client.ask({'ask': 'status'}, port=node.plan.ipc_port, socket_dir=node.socket_dir,
                        limit=10)
    return next(row['problem'] or '' for row in answer['status']['nodes'] if row['name'] == about)


def hardware(scenario, host):
    """The hardware address of a host of this name."""
    shown = call('ip', '-n', scenario.cluster.switch.namespace(host), '-o', 'link', 'show', 'eth0')
    return re.search(r'link/ether (\S+)', shown).group(1)


def says(scenario, node, pattern, times=1):
    """Wait until a node has logged this (a pattern) in this story, and so often."""
    scenario.cluster.wait_until(
        lambda: len(re.findall(pattern, scenario.log(node))) >= times, LIMIT,
        '%s to log %r %d times' % (node.name, pattern, times), 0.2)


def nobody_else_wrote(scenario, new):
    """The old primary accepted nothing once the new one did, and the service goes on there."""
    scenario.serves_on(new, scenario.watched)
    scenario.finish(FIRST, new)


# Another directory

def old_copy(node):
    """The path of a copy of a node's data directory, as an upgrade leaves one: no server in it."""
    path = node.database.data_dir + '.before_upgrade'
    if not os.path.exists(path):
        node.host.run(['cp', '-a', node.database.data_dir, path])
        os.unlink(os.path.join(path, 'postmaster.pid'))
    return path


def service(database, data_dir):
    """The settings of an operator for whom something else starts and stops the server there."""
    run = '%s %%s -w -D %s' % (database.installation.control_program, data_dir)
    return {'db_start_command': run % 'start', 'db_stop_command': run % 'stop -m immediate'}


def names_both(text, node, copy):
    """Whether a text names the directory that is configured, and that of the server."""
    return 'it runs in %s, and db_data_dir is %s' % (node.database.data_dir, copy) in text


def is_distrusted(scenario, node, copy, leads):
    """Wait until every node shows this one's database as not trusted, and its own says why."""
    cluster = scenario.cluster
    cluster.wait_until(
        lambda: all(each.status().rows[FIRST].database == 'QUARANTINED' for each in cluster.nodes)
        and (node.status().rows[FIRST].state == 'LEADER') is leads, LIMIT,
        'everybody to distrust the database of node 1, which %s' % (
            'leads' if leads else 'does not lead'), 0.2)
    assert names_both(problem(node), node, copy), problem(node)
    assert len(re.findall('not trusted while this lasts', log_of(node))) == 1, log_of(node)


def test_a_cluster_does_not_begin_over_a_server_of_another_directory_than_the_configured():
    with Cluster('namespaces', settings=CALM) as cluster:
        scenario, first = Scenario(cluster), cluster.nodes[0]
        right, copy = first.database.data_dir, old_copy(first)
        first.reconfigure(db_data_dir=copy)
        scenario.prober = cluster.start_prober()
        cluster.start_ahm()
        with telling(cluster):
            is_distrusted(scenario, first, copy, leads=False)
            scenario.nothing_happens(FIRST, scenario.watched)
            assert [node.status().leader for node in cluster.nodes] == [None] * 3
            assert not cluster.vip_holders()
            first.reconfigure(db_data_dir=right)
            first.terminate_ahm()
            first.start_ahm()
            scenario.healthy()
            assert record.double_primary_seconds(scenario.prober.stop()) == 0.0


def test_a_leader_that_is_restarted_with_another_directory_is_stopped_when_it_is_cut_off():
    with formed(settings=CALM) as scenario:
        first = scenario.cluster.nodes[0]
        copy = old_copy(first)
        first.reconfigure(db_data_dir=copy, **service(first.database, first.database.data_dir))
        first.terminate_ahm()
        first.start_ahm()
        is_distrusted(scenario, first, copy, leads=False)
        cut_off_and_stopped(scenario, first)


def test_a_leader_whose_directory_was_moved_away_under_it_is_stopped_when_it_is_cut_off():
    with formed(settings=CALM, prepare=set_stop_of_moved) as scenario, \
            moved_away(scenario.cluster.nodes[0]) as moved:
        first = scenario.cluster.nodes[0]
        is_distrusted(scenario, first, moved, leads=True)
        cut_off_and_stopped(scenario, first)


def set_stop_of_moved(cluster):
    """The operator has a stop command for where the directory of node 1 will be."""
    first = cluster.nodes[0]
    first.reconfigure(**service(first.database, first.database.data_dir + '.moved'))


@contextlib.contextmanager
def moved_away(node):
    """The data directory is elsewhere, under its running server, and an old copy in its place."""
    copy, moved = old_copy(node), node.database.data_dir + '.moved'
    os.rename(node.database.data_dir, moved)
    os.rename(copy, node.database.data_dir)
    node.database.data_dir, configured = moved, node.database.data_dir
    try:
        yield configured
    finally:
        node.database.kill()
        shutil.rmtree(configured)
        os.rename(moved, configured)
        node.database.data_dir = configured


def cut_off_and_stopped(scenario, first):
    """Node 1 is cut off: its server is stopped before another one accepts writes."""
    scenario.next_fault()
    first.isolate()
    new = is_led_by_another(scenario.cluster, FIRST)
    scenario.written_through(new)
    assert not first.database.is_running()
    nobody_else_wrote(scenario, new)


def test_a_server_of_another_directory_that_cannot_be_stopped_is_critical_and_tried_on_and_on():
    """Told once, for the same trouble is no news; that it is tried again is in the detailed log."""
    with formed(settings=CALM) as scenario, moved_away(scenario.cluster.nodes[0]) as configured:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        is_distrusted(scenario, first, configured, leads=True)
        scenario.next_fault()
        first.isolate()
        why = 'could not be stopped: .*%s.*db_stop_command' % re.escape(configured)
        says(scenario, first, 'CRITICAL.*' + why)
        says(scenario, first, 'DEBUG.*step-down failed: .*' + why, 3)
        assert len(re.findall('CRITICAL.*' + why, scenario.log(first))) == 1
        assert 'could not be stopped' in problem(first) and configured in problem(first)
        assert first.status().rows[FIRST].state == 'WAITING_FOR_LEADER_FORMATION'
        assert first.database.is_running() and not first.host.holds_vip()
        is_led_by_another(cluster, FIRST)
        first.database.stop('immediate')
        says(scenario, first, 'the database was stopped .immediate.: no majority')


# Starts cut off

def kills_and_starts(node):
    """As a service manager does within a second."""
    node.kill_ahm()
    node.start_ahm()


def terminates_and_starts(node):
    """`ahm restart`, and `systemctl restart`."""
    node.terminate_ahm()
    node.start_ahm()


AGAIN = pytest.mark.parametrize('again', [kills_and_starts, terminates_and_starts])


@AGAIN
def test_a_daemon_that_is_started_anew_while_cut_off_stops_its_primary_in_time(again):
    # A daemon that is not back before its lease has ended comes too late for that.
    with formed(settings=CALM) as scenario:
        first = scenario.cluster.nodes[0]
        first.isolate()
        again(first)
        is_stopped_before_another_serves(scenario, first)


@AGAIN
def test_a_daemon_that_is_started_anew_and_cut_off_right_then_stops_its_primary_in_time(again):
    with formed(settings=CALM) as scenario:
        first = scenario.cluster.nodes[0]
        again(first)
        first.isolate()
        is_stopped_before_another_serves(scenario, first)


def test_a_daemon_that_is_gone_when_its_host_is_cut_off_stops_its_primary_when_it_is_back():
    with formed(settings=CALM) as scenario:
        first = scenario.cluster.nodes[0]
        first.terminate_ahm()
        first.isolate()
        first.start_ahm()
        is_stopped_before_another_serves(scenario, first)


def is_stopped_before_another_serves(scenario, first):
    """The others promote; the old primary had stopped by then, and stays so for good."""
    new = is_led_by_another(scenario.cluster, FIRST)
    scenario.written_through(new)
    assert not first.database.is_running()
    scenario.cluster.wait_until(lambda: 'No majority' in first.status_text(), LIMIT,
                                'the daemon that is cut off to say that it has no majority')
    nobody_else_wrote(scenario, new)


@AGAIN
def test_restarts_of_the_primarys_daemon_in_a_row_never_stop_the_database(again):
    # The VIP goes for a moment where a start takes longer than the lease; the database never does.
    with formed(settings=CALM) as scenario:
        first = scenario.cluster.nodes[0]
        postmaster = first.database.postmaster()
        for _ in range(4):
            again(first)
            scenario.healthy()
        assert first.database.postmaster() == postmaster
        assert STOPPED_FOR_BEING_CUT_OFF not in log_of(first)
        assert scenario.accepting() == [FIRST]


# A dead house

def dies_but_for_its_kernel(node):
    """kill -9 of AHM and PostgreSQL together; the host lives, with the VIP on its interface."""
    node.kill_ahm()
    node.kill_database()


def test_the_vip_of_a_dead_house_is_taken_over_and_it_is_said_until_the_house_is_cleared():
    with formed(settings=CALM) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        dies_but_for_its_kernel(first)
        new = cluster.node(is_led_by_another(cluster, FIRST))
        scenario.written_through(new.name, LIMIT)
        answers = '%s .the host of %s, %s' % (hardware(scenario, 'h1'), FIRST, first.host.address)
        says(scenario, new, r'CRITICAL.*the VIP %s of this node .%s. is answered for by %s' % (
            first.host.vip, new.host.address, answers))
        scenario.reads(cluster.nodes[1:], new.name,
                       scenario.table(new.name, {FIRST: ('PRIMARY', 'LOST')}))
        assert cluster.vip_holders() == [first, new]
        assert hardware(scenario, 'h1') in problem(new, new.name)
        scenario.serves_on(new.name, scenario.watched)
        first.host.vip_down()
        says(scenario, new, 'nobody else answers for the VIP any more')
        cluster.wait_until(lambda: not problem(new, new.name), LIMIT, 'no problem to be shown')
        scenario.finish(FIRST, new.name)


# A stranger

class Stranger:
    """A host of no node on the cluster's link.  It can have the VIP, and answers no ping."""

    def __init__(self, scenario):
        cluster = scenario.cluster
        self.host = NamespaceHost(cluster.workspace, 'st', STRANGER, cluster.plan.vip,
                                  cluster.switch)
        self.namespace = cluster.switch.namespace('st')
        self.hardware = hardware(scenario, 'st')
        call('ip', 'netns', 'exec', self.namespace, tool('nft'), '-f', '-',
             text='table inet lab {\nchain input {\ntype filter hook input priority 0;\n'
                  'meta l4proto icmp drop\n}\n}\n')

    def comes(self):
        """It has the VIP, and tells nobody."""
        self._address('add')

    def goes(self):
        """It has it no more."""
        self._address('del')

    def _address(self, action):
        call('ip', '-n', self.namespace, 'addr', action,
             '%s/%d' % (self.host.vip, PREFIX_LENGTH), 'dev', 'eth0')


def is_waited_for(scenario, stranger, nodes):
    """Wait until a node that could take over names the stranger, in log and status; nobody has the
    VIP meanwhile, for as long as takeovers are tried."""
    cluster = scenario.cluster
    named = 'the VIP still answers.*%s' % stranger.hardware

    def told():
        return any(re.search(named, problem(node, node.name)) for node in nodes) \
            and re.search(named, scenario.log(*nodes))
    cluster.wait_until(told, LIMIT, 'a node to name %s' % stranger.hardware, 0.2)
    cluster.wait_until(lambda: any(
        re.search('takes over: .*waits for the end of that', problem(node, node.name))
        for node in nodes), LIMIT, 'a node to say what it waits for', 0.05)
    assert not [node for node in nodes if node.host.holds_vip()]
    scenario.nothing_happens(None, scenario.watched)
    assert not [node for node in nodes if node.host.holds_vip()]
    assert all(node.status().holds_vip is not True for node in nodes)


def test_after_a_host_loss_the_vip_of_a_stranger_is_not_doubled_and_is_waited_for():
    with formed(settings=CALM) as scenario:
        cluster, stranger = scenario.cluster, Stranger(scenario)
        stranger.comes()
        cluster.nodes[0].power_off()
        is_waited_for(scenario, stranger, cluster.nodes[1:])
        stranger.goes()
        is_taken_over(scenario)


def test_after_a_goodbye_the_vip_of_a_stranger_is_not_doubled_and_is_waited_for():
    with formed(settings=CALM) as scenario:
        cluster, stranger = scenario.cluster, Stranger(scenario)
        first = cluster.nodes[0]
        first.stop_ahm()
        first.host.vip_down()
        first.database.stop()
        stranger.comes()
        is_waited_for(scenario, stranger, cluster.nodes[1:])
        stranger.goes()
        is_taken_over(scenario)


def is_taken_over(scenario):
    """Wait until another node serves; nothing was accepted twice."""
    def served_by():
        """Who leads for good: several were elected, and gave up."""
        rows = scenario.cluster.nodes[2].status().rows
        return [name for name, row in rows.items()
                if row[::5] == ('PRIMARY', 'LEADER') and name != FIRST]
    new, = scenario.cluster.wait_until(served_by, LIMIT, 'another node to lead', 0.2)
    scenario.written_through(new, LIMIT)
    scenario.serves_on(new, scenario.hold)
    scenario.finish(FIRST, new)
