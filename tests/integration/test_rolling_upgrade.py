"""A cluster of an earlier version is upgraded node by node, and works all the while.

The earlier version is of the repository's own history (tests/lab/versions.py). As by a package, its
files are replaced beneath the daemon that runs, which is then told to end, by the new command or as
a service manager does, and started anew. The leader is last. On the way two versions are one
cluster: each prints all nodes, and each takes over from the other. Then one node goes back.
"""

import contextlib
import os
import re
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.lab import versions

from .daemons import postgres
from .scenarios import (
    CALM,
    FIRST,
    SECOND,
    THIRD,
    formed,
    is_led_by_another,
    log_of,
    refusal,
    succeeds,
    switched_over,
)

pytestmark = postgres

EACH = pytest.mark.parametrize('version', versions.VERSIONS, ids=lambda version: version.name)
#: Node 3 never leads, so it is known which version takes over.
NODE_SETTINGS = {THIRD: {'priority': 0}}
#: What a daemon says where it cannot read what another version sent or left.
NOT_UNDERSTOOD = re.compile('malformed|Traceback|of another version|another version of AHM|'
                            'cannot be relied on|does not write there|another cluster|'
                            'no state file')
CHANGED = re.compile(r'^\w+ PID:\d+ (\S+ [\d:.]+) state: (\w+) -> (\w+)', re.MULTILINE)
LEADING = ('TAKING_OVER', 'LEADER')


class Programs:
    """What the nodes of a cluster run: each its own copy, of the earlier version but for some."""

    def __init__(self, cluster, version, upgraded):
        self.workspace = cluster.workspace
        self.unpacked = {each: versions.unpack(each, os.path.join(
            self.workspace.directory, each.name if each else 'this')) for each in (version, None)}
        for node in cluster.nodes:
            self.install(node, None if node.name in upgraded else version)

    def install(self, node, version):
        """This version (None: the one of this checkout) is on the node's host from now on."""
        node.source = os.path.join(node.host.directory, 'installed')
        versions.install(self.unpacked[version], node.source, self.workspace.user)


class Reign(NamedTuple):
    """A node took over, or led."""
    name: str
    began: datetime
    ended: datetime


def reigns(node):
    """Those of a node, by its log."""
    found, began = [], None
    for instant, before, after in CHANGED.findall(log_of(node)):
        now = datetime.strptime(instant, '%Y-%m-%d %H:%M:%S.%f')
        if after in LEADING and before not in LEADING:
            began = now
        elif before in LEADING and after not in LEADING:
            found.append(Reign(node.name, began, now))
            began = None
    return found + ([Reign(node.name, began, datetime.max)] if began else [])


def one_at_a_time(cluster):
    """The names of those who led, one after the other; no two at once."""
    found = sorted((each for node in cluster.nodes for each in reigns(node)),
                   key=lambda reign: reign.began)
    for one, next_one in zip(found, found[1:]):
        assert one.ended <= next_one.began, (one, next_one)
    return [reign.name for reign in found]


def not_understood(scenario):
    """What the daemons said, since the cluster was formed, of what they could not read."""
    return [line for node in scenario.cluster.nodes for line in scenario.log(node).splitlines()
            if NOT_UNDERSTOOD.search(line)]


@contextlib.contextmanager
def of_version(version, upgraded=()):
    """A formed Scenario whose nodes run this version, but for some; `prepared` is its Programs."""
    reason = versions.lacks(version)
    if reason:
        pytest.skip(reason)
    with formed(kind='loopback', settings=dict(CALM, use_pg_rewind=True),
                node_settings=NODE_SETTINGS,
                prepare=lambda cluster: Programs(cluster, version, upgraded)) as scenario:
        yield scenario


def changed(scenario, node, version, how):
    """Another version is installed on a node, and runs there; node 1 leads and serves on.

    `how`: the method of Node by which the daemon ends.
    """
    scenario.next_fault()
    scenario.prepared.install(node, version)
    scenario.healthy()
    getattr(node, how)()
    node.start_ahm()
    scenario.healthy()
    scenario.written_through(FIRST)
    assert scenario.accepting() == [FIRST]
    assert {each.status().remote_nodes for each in scenario.cluster.nodes} == {2}


def fails_over(scenario):
    """kill -9 of the primary: node 2 leads. The old primary is attached."""
    first = scenario.cluster.node(FIRST)
    scenario.next_fault()
    first.kill_database()
    assert is_led_by_another(scenario.cluster, FIRST) == SECOND
    scenario.written_through(SECOND)
    scenario.reads(scenario.cluster.nodes, SECOND,
                   scenario.table(SECOND, {FIRST: ('FAILED', 'STANDBY')}))
    scenario.led_by(SECOND)
    succeeds(first, 'ahm_attach_node', '--wait')
    scenario.healthy(SECOND)


def goes_back(scenario):
    """Node 1 is promoted again, without losing a row."""
    switched_over(scenario, scenario.cluster.node(FIRST))
    scenario.led_by(FIRST)
    scenario.healthy()


def ends_well(scenario, led):
    """These led, one after the other, and everybody read what the others said and left."""
    assert one_at_a_time(scenario.cluster) == led
    assert not_understood(scenario) == []
    scenario.finish_chain()


@EACH
def test_nodes_are_upgraded_one_by_one_the_leader_last_and_one_goes_back(version):
    with of_version(version) as scenario:
        first, second, third = scenario.cluster.nodes
        changed(scenario, third, None, 'stop_ahm')
        fails_over(scenario)                # from old to old, by a vote of the new
        goes_back(scenario)
        changed(scenario, second, None, 'terminate_ahm')
        changed(scenario, first, None, 'terminate_ahm')
        changed(scenario, second, version, 'terminate_ahm')
        fails_over(scenario)                # from new to old
        goes_back(scenario)
        ends_well(scenario, [FIRST, SECOND, FIRST, FIRST, SECOND, FIRST])


@EACH
def test_the_new_version_takes_over_from_the_old_one_and_hands_back(version):
    with of_version(version, upgraded=(SECOND, THIRD)) as scenario:
        first = scenario.cluster.node(FIRST)
        fails_over(scenario)
        if not version.tells_replay:
            assert 'does not tell how far it has replayed' in refusal(first, 'ahm_promote_node',
                                                                      '--wait')
            scenario.healthy(SECOND)
            scenario.prepared.install(first, None)
            first.terminate_ahm()
            first.start_ahm()
            scenario.healthy(SECOND)
        goes_back(scenario)
        ends_well(scenario, [FIRST, SECOND, FIRST])
