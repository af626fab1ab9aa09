"""Nodes are added, taken out and replaced, and timings changed, in a pause: on real databases.

The client writes through the VIP all the while, and loses neither a write nor the server.
"""

from ahmlib.lab import record
from tests.lab.cluster import Cluster

from .scenarios import (
    FIRST,
    PATIENT,
    PAUSE,
    THIRD,
    Scenario,
    is_led_by_another,
    refusal,
    succeeds,
)

LIMIT = 60


class Recipe:
    """A cluster of four hosts, of which some are in nodes.conf."""

    def __init__(self, cluster):
        self.cluster, self.all = cluster, list(cluster.nodes)
        self.scenario = Scenario(cluster)
        self.members = []

    def text(self, *numbers):
        """The nodes.conf of these nodes."""
        return ''.join('%s:%d\n' % (self.all[number - 1].host.address, self.cluster.plan.ahm_port)
                       for number in numbers)

    def of(self, *numbers):
        """These are the cluster from now on."""
        self.members = [self.all[number - 1] for number in numbers]
        self.cluster.nodes[:] = self.members

    def is_formed(self):
        """Node 1 leads, the others stream from it, and all is well."""
        self.scenario.healthy()

    def paused(self):
        """The cluster is paused."""
        succeeds(self.members[1], 'ahm_pause_cluster')
        self.cluster.wait_until(lambda: all(
            'the cluster is paused' in node.status_text() for node in self.members[:1]),
            LIMIT, 'the status to say it', PAUSE)

    def moves(self, number, text):
        """This node has that file, and its AHM is restarted, as by a service manager, or started.
        """
        node = self.all[number - 1]
        if node.ahm_runs():
            node.terminate_ahm()
        node.write_nodes(text)
        node.start_ahm()

    def leads(self, expected):
        """Node 1 leads again, and these nodes follow it."""
        def seen():
            status = self.all[0].status()
            states = {name: row.state for name, row in status.rows.items()}
            return status.leader == FIRST and all(
                states.get(name) == 'STANDBY' for name in expected)
        self.cluster.wait_until(seen, LIMIT, '%s to be followed by %s' % (FIRST, expected), PAUSE)

    def resumed(self):
        """The pause is over, and all is well."""
        self.leads([node.name for node in self.members[1:]])
        self.cluster.wait_until(
            lambda: 'was changed in this pause' not in self.all[0].status_text(), LIMIT,
            'all nodes to be there', PAUSE)
        succeeds(self.members[1], 'ahm_resume_cluster')
        self.is_formed()


def test_nodes_are_added_taken_out_and_replaced_and_timings_changed_without_an_interruption():
    with Cluster(nodes=4, kind='loopback', settings=PATIENT) as cluster:
        recipe = Recipe(cluster)
        three, four, other = recipe.text(1, 2, 3), recipe.text(1, 2, 3, 4), recipe.text(1, 2, 4)
        recipe.of(1, 2, 3)
        for node in cluster.nodes:
            node.write_nodes(three)
            node.start_ahm()
        recipe.is_formed()
        recipe.scenario.observe()
        is_added(recipe, four)
        is_taken_out(recipe, other)
        is_replaced(recipe, three)
        has_other_timings(recipe)
        recipe.scenario.undisturbed(FIRST)
        written = record.acknowledged_ids(recipe.scenario.client.attempts())
        assert record.missing_rows(written, cluster.ids_on(recipe.all[0])) == []
        recipe.all[0].power_off()
        is_led_by_another(cluster, FIRST, recipe.all[1])


def is_added(recipe, four):
    """A fourth node; the holder goes in the middle, and the end waits for the last one."""
    first, second, third, _ = recipe.all
    before = third.write_nodes(four)
    refused = third.restart_ahm()
    assert refused.code == 1 and '%s leads by the one before' % FIRST in refused.output
    third.write_nodes(before)
    recipe.paused()
    for number in (4, 1, 2):
        recipe.moves(number, four)
    recipe.leads((second.name, recipe.all[3].name))
    why = refusal(first, 'ahm_resume_cluster')
    assert 'it waits for %s: start AHM there with that file' % THIRD in why
    assert 'it waits for %s: ' % THIRD in first.status_text()
    recipe.moves(3, four)
    recipe.of(1, 2, 3, 4)
    recipe.resumed()


def is_taken_out(recipe, other):
    """The third node leaves."""
    recipe.paused()
    recipe.all[2].stop_ahm()
    recipe.of(1, 2, 4)
    for number in (2, 4, 1):
        recipe.moves(number, other)
    recipe.resumed()


def is_replaced(recipe, three):
    """The third node comes in the fourth one's stead; a change without the holder is refused."""
    first, second, third, fourth = recipe.all
    recipe.paused()
    before = second.write_nodes(recipe.text(2, 3, 4))
    refused = second.restart_ahm()
    assert refused.code == 1 and 'make another node the primary first' in refused.output
    assert second.ahm_runs()
    second.terminate_ahm()      # as a service manager does, which does not ask
    second.start_ahm()
    recipe.cluster.wait_until(lambda: not second.ahm_runs(), LIMIT, 'the refusal', PAUSE)
    assert 'make another node the primary first' in second.log_tail()
    second.write_nodes(before)
    fourth.stop_ahm()
    recipe.of(1, 2, 3)
    for number in (3, 2, 1):
        recipe.moves(number, three)
    recipe.resumed()


def has_other_timings(recipe):
    """Reloaded node by node; the end waits until they are the same on all."""
    first, second, third, _ = recipe.all
    refused = changed(first, beacon_message_retry_count=9)
    assert refused.code == 1 and 'cannot change while the daemon runs' in refused.output
    first.reconfigure(beacon_message_retry_count=PATIENT['beacon_message_retry_count'])
    recipe.paused()
    for node in (first, second):
        node.reload_ahm(beacon_message_retry_count=9)
    recipe.cluster.wait_until(
        lambda: '%s has other timings than %s' % (THIRD, FIRST) in refusal(
            first, 'ahm_resume_cluster'), LIMIT, 'the end to be refused', PAUSE)
    third.reload_ahm(beacon_message_retry_count=9)
    recipe.cluster.wait_until(
        lambda: first.utility('ahm_resume_cluster', check=False).code == 0, LIMIT, 'the end', PAUSE)
    recipe.is_formed()


def changed(node, **changes):
    """`ahm reload` of a file that was changed so."""
    node.reconfigure(**changes)
    return node.ask_to_reload()
