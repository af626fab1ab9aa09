"""Daemons that cannot be what they should: of one name, without their port, without a leader."""

import socket

from ..scenarios import FIRST, PAUSE, SECOND, THIRD, log_of, switched_over, taken_back
from .reading import CRITICAL, LIMIT, WARNING, is_checked, is_kept, is_over, is_told, utility


def ends_at_once(scenario, node):
    """Start a daemon that refuses to run; its last line, which is one."""
    node.start_ahm()
    scenario.cluster.wait_until(lambda: not node.ahm_runs(), LIMIT, 'it to end', PAUSE)
    assert node.daemon.returncode == 1
    return log_of(node).splitlines()[-1]


def test_two_nodes_of_one_name(night):
    """The one that starts later ends; who asks another one is told why as well."""
    scenario, first, second, third = night
    second.terminate_ahm()
    second.reconfigure(node_name=THIRD)
    assert THIRD in ends_at_once(scenario, second)
    text = 'the nodes at %s:%d and %s:%d have one name, %s: give each a node_name of its own' % (
        second.host.address, second.plan.ahm_port, third.host.address, third.plan.ahm_port, THIRD)
    is_told(scenario, first, third, text, WARNING, at=second)
    second.reconfigure(node_name=SECOND)
    second.start_ahm()
    is_over(scenario, first, third, text, 'every node has a name of its own')


def test_a_beacon_port_that_somebody_else_uses(night):
    scenario, first, second, third = night
    second.stop_ahm()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((second.host.address, second.plan.ahm_port))
        line = ends_at_once(scenario, second)
        is_checked(scenario, second)
    assert line == (
        'cannot bind the beacon port, UDP %s port %d: Address already in use; check the own entry '
        'in nodes.conf and ahm_port, and what else uses that port' % (
            second.host.address, second.plan.ahm_port))
    scenario.reads((first, third), FIRST, scenario.table(FIRST, {SECOND: ('STANDBY', 'LOST')}))
    is_kept(scenario, third, first, '%s was stopped' % SECOND)
    second.start_ahm()
    scenario.healthy()
    is_kept(scenario, third, first, '%s is there' % SECOND)


def test_no_leader_since_all_daemons_were_started_anew_without_the_primary(night):
    """Nobody is promoted by itself then; the command that is named is run where it is named."""
    scenario, first, second, third = night
    for node in (first, second, third):
        node.kill_ahm()
    first.database.stop()
    for node in (first, second, third):
        node.start_ahm()
    text = 'nobody leads, and nobody will by itself: run "ahm_promote_node" on %s (%s)' % (
        SECOND, second.host.address)
    scenario.cluster.wait_until(lambda: all(
        text in utility(node, *words)[0] for node in (first, second, third)
        for words in ((), ('--check',))), 2 * LIMIT, text, PAUSE)
    assert all(utility(node, '--check')[1] == CRITICAL for node in (first, second, third))
    is_kept(scenario, third, second, 'no node may lead')
    is_checked(scenario, first)
    switched_over(scenario, second)
    scenario.cluster.wait_until(lambda: not any(
        'nobody leads' in utility(node)[0] for node in (first, second, third)), LIMIT, 'no more')
    taken_back(scenario, first, SECOND)
