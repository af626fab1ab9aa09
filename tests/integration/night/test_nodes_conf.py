"""A nodes.conf that is changed node by node: nobody acts on it while a leader lives by the old one.

Restarted one after the other, the nodes would leave the old cluster until its leader is alone, and
stop a primary with which nothing is wrong.
"""

import os

from ahmlib.core.policy.foreign import ORDER

from ..scenarios import FIRST, PAUSE, succeeds
from .reading import LIMIT, WARNING, is_checked, is_kept, is_over, is_told, utility

#: Of no host: a witness that is to come.
MORE = '127.255.255.1:9500\n'


def gets_more(node):
    """This node's file has one node more; the text from before."""
    with open(node.nodes_file) as file:
        text = file.read()
    return node.write_nodes(text + MORE)


def test_a_nodes_conf_that_is_changed_node_by_node(night):
    scenario, first, second, third = night
    before, daemon = gets_more(second), second.daemon
    done = second.ask_to_reload()
    assert done.code == 1 and 'refused: nodes.conf: ' in done.output and ORDER in done.output
    refused = 'reload refused: nodes.conf cannot change while the daemon runs; ' + ORDER
    scenario.cluster.wait_until(lambda: refused in scenario.log(second), LIMIT, refused)
    done = second.restart_ahm()
    assert done.code == 1 and done.output.count('\n') == 1, done
    assert '%s leads by the one before' % FIRST in done.output and ORDER in done.output
    assert second.daemon is daemon and second.ahm_runs()
    is_kept(scenario, third, second, 'reload refused: nodes.conf cannot change')
    is_checked(scenario, second)

    second.terminate_ahm()
    second.start_ahm()
    scenario.cluster.wait_until(lambda: not second.ahm_runs(), LIMIT, 'the refusal', PAUSE)
    assert second.daemon.returncode == 1
    told = [line for line in scenario.log(second).splitlines() if line.startswith(
        '%s at %s leads by another nodes.conf' % (FIRST, first.host.address))]
    assert len(told) == 1 and ORDER in told[0]
    second.start_ahm()      # as a service manager does, again and again
    scenario.cluster.wait_until(lambda: not second.ahm_runs(), LIMIT, 'the refusal', PAUSE)
    assert second.daemon.returncode == 1
    scenario.reads((first, third), FIRST, scenario.table(FIRST, {second.name: (
        'STANDBY', 'LOST')}))
    second.write_nodes(before)
    second.start_ahm()
    scenario.healthy()
    is_over(scenario, third, first, 'the node at %s (%s) belongs to another cluster: ' % (
        second.host.address, second.name), 'no node of another cluster is heard any more')
    scenario.undisturbed(FIRST)


def test_a_node_that_has_never_run_before_and_has_another_nodes_conf(night):
    scenario, first, second, third = night
    second.stop_ahm()
    for name in os.listdir(second.data_dir):
        os.unlink(os.path.join(second.data_dir, name))
    before = gets_more(second)
    second.start_ahm()
    text = 'the node at %s (%s) belongs to another cluster: ' % (second.host.address, second.name)
    is_told(scenario, third, first, text, WARNING)
    for node, where in ((first, 'there'), (second, 'here')):
        words = 'belongs to another cluster: only %s: %s' % (where, MORE.strip())
        scenario.cluster.wait_until(lambda: words in utility(node)[0], LIMIT, words, PAUSE)
    second.stop_ahm()
    second.write_nodes(before)
    second.start_ahm()
    is_over(scenario, third, first, text, 'no node of another cluster is heard any more')


def test_the_order_in_which_nodes_conf_is_changed_without_an_outage(night):
    """What the refusals say; and back again, which is a change, too."""
    scenario, first, second, third = night
    scenario.next_fault()
    with open(first.nodes_file) as file:
        old = file.read()
    for text in (old + MORE, old):
        succeeds(third, 'ahm_shutdown_cluster')
        for node in scenario.cluster.nodes:
            node.daemon.wait(LIMIT)
            node.write_nodes(text)
        for node in (second, third, first):
            node.start_ahm()
        scenario.cluster.wait_until(
            lambda: all(node.status().leader == FIRST for node in scenario.cluster.nodes), LIMIT,
            'the same leader by the other file', PAUSE)
    is_kept(scenario, first, third, 'shutdown was asked for by')
    scenario.undisturbed(FIRST)
