"""What the tests on several versions of PostgreSQL do and look at, step by step.

A step takes a Scenario of tests/integration/scenarios.py on a loopback lab, which needs no root.
What AHM must have left on disk is read here from the files, not by AHM's own reader of them.
"""
import contextlib
import os
import re

import pytest

from ahmlib.lab import LabError, binaries
from ahmlib.lab.cluster import Cluster, loopback_available
from ahmlib.lab.postgres import find_postgres
from tests.integration.scenarios import FORM_LIMIT, Scenario

VERSIONS = tuple(sorted(binaries.RELEASES))
FIRST_VERSION_WITH_SIGNAL = 12
OLD = 'AHM-NODE-1'
LIMIT = 30


def provide(version):
    """Have the server of this major version on the machine, or skip the test and say so."""
    try:
        try:
            find_postgres(version)
        except LabError:
            binaries.fetch(version)
    except LabError as error:
        pytest.skip('NOT TESTED ON POSTGRESQL %d: %s' % (version, error))
    # Asked after the server is there: a machine may have no other one.
    if loopback_available() and 'no PostgreSQL' not in loopback_available():
        pytest.skip('NOT TESTED ON POSTGRESQL %d: %s' % (version, loopback_available()))


@contextlib.contextmanager
def formed(version, nodes=3, settings=None, node_settings=None):
    """A Scenario on this major version whose node 1 leads, with a client and a prober at work."""
    provide(version)
    with Cluster('loopback', nodes=nodes, settings=settings, node_settings=node_settings,
                 version=version) as cluster:
        cluster.start_ahm()
        scenario = Scenario(cluster)
        scenario.reads(cluster.nodes, OLD, rows(cluster, OLD, {}), limit=FORM_LIMIT)
        for node in cluster.nodes:
            shown = node.database.sql('SHOW server_version_num')[0][0]
            assert int(shown) // 10000 == version
        scenario.observe()
        yield scenario


def rows(cluster, leader, others):
    """The table with this leader: standbys that follow it, but for {name: (database, state)}."""
    table = {node.name: ('STANDBY', 'STANDBY') for node in cluster.nodes}
    table[leader] = ('PRIMARY', 'LEADER')
    table.update(others)
    return table


def new_leader(scenario):
    """Wait until another node than the first leads, by what the last node prints; its name."""
    def led():
        leader = scenario.cluster.nodes[-1].status().leader
        return leader if leader not in (None, OLD) and 'AHM' in leader else None
    return scenario.cluster.wait_until(led, 60, 'another leader')


def fails_over(scenario):
    """kill -9 of the primary's database; the name of the node that leads after it.

    The client's rows go on through the VIP, the third node streams from the new primary, and the
    old node reads FAILED and follows.
    """
    cluster = scenario.cluster
    cluster.node(OLD).kill_database()
    new = new_leader(scenario)
    scenario.written_through(new)
    scenario.reads(cluster.nodes, new, rows(cluster, new, {OLD: ('FAILED', 'STANDBY')}))
    for node in cluster.nodes:
        if node.name not in (OLD, new):
            streams(scenario, node.name, new)
    return new


def streams(scenario, name, upstream):
    """Wait until a node's database streams from another one's, under its own name."""
    cluster = scenario.cluster
    cluster.wait_until(
        lambda: cluster.node(name).database.streams_from(cluster.node(upstream).database), LIMIT,
        '%s to stream from %s' % (name, upstream))


def standby_files(data_dir, version):
    """The recovery settings on disk as a dict, {} where the next start would make a primary."""
    signal = os.path.join(data_dir, 'standby.signal')
    found = {}
    if version < FIRST_VERSION_WITH_SIGNAL:
        assert not os.path.exists(signal), 'this version ignores standby.signal'
        names = ['recovery.conf']
    else:
        # With a recovery.conf the server would refuse to start.
        assert not os.path.exists(os.path.join(data_dir, 'recovery.conf'))
        names = ['postgresql.auto.conf'] if os.path.exists(signal) else []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(data_dir, name)) as lines:
                for line in lines:
                    entry = re.match(r"\s*(\w+)\s*=\s*'?(.*?)'?\s*$", line)
                    if entry:
                        found[entry.group(1)] = entry.group(2).replace("''", "'")
    return found


def is_fenced_on_disk(scenario, name, new):
    """Wait until a stopped node's files say that its server is a standby of the new primary."""
    cluster = scenario.cluster
    node, upstream = cluster.node(name), cluster.node(new)
    version = node.database.installation.version

    def pointed():
        files = standby_files(node.database.data_dir, version)
        conninfo = dict(re.findall(r"(\w+)=(\S+)", files.get('primary_conninfo', '')))
        place = tuple(conninfo.get(word, '').strip("'") for word in ('host', 'port'))
        return place == (upstream.host.address, str(upstream.database.port)) and files
    files = cluster.wait_until(pointed, LIMIT, '%s to be a standby of %s on disk' % (name, new))
    assert files['recovery_target_timeline'] == 'latest'
    if version < FIRST_VERSION_WITH_SIGNAL:
        assert files['standby_mode'] == 'on'


def a_plain_start_makes_a_standby(scenario, name):
    """pg_ctl start of a server that was the primary, as an operator may do: no second primary."""
    database = scenario.cluster.node(name).database
    assert not database.is_running()
    database.start()
    assert database.sql('SELECT pg_is_in_recovery()') == [(True,)]
    with pytest.raises(LabError, match='read-only|recovery'):
        database.sql('CREATE TABLE second_primary ()')


def kill_9_of_the_primary_database(scenario):
    """The whole story of a failover, from the fault to the plain start of the old server."""
    new = fails_over(scenario)
    is_fenced_on_disk(scenario, OLD, new)
    a_plain_start_makes_a_standby(scenario, OLD)
    scenario.written_through(new)
    scenario.finish(OLD, new)
    return new
