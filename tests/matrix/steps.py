"""What the tests on several versions of PostgreSQL do and look at, step by step.

A step takes a Scenario of tests/integration/scenarios.py on a loopback lab, which needs no root.
What AHM must have left on disk is read here from the files, not by AHM's own reader of them.
"""
import contextlib
import os
import re
import shutil
import time

import pytest

from ahmlib.lab import LabError, record
from ahmlib.lab.installations import find_postgres
from tests.integration.scenarios import FORM_LIMIT, Scenario, run, switched_over
from tests.lab import binaries
from tests.lab.cluster import Cluster, loopback_available

OLD = 'AHM-NODE-1'
LIMIT = 30

FIRST_VERSION_WITH_SIGNAL = 12
FIRST_VERSION_THAT_RELOADS = 13             # primary_conninfo
FIRST_VERSION_WITHOUT_ALTER_SYSTEM = 17     # where allow_alter_system says so


def chosen_versions():
    """The major versions to test on: AHM_VERSIONS (`all`, or some of them), else two.

    Two by default, because each takes half a minute and `make test` is to be run often: the
    machine's, which every other test runs on, and the oldest, which differs most (recovery.conf,
    no reload of primary_conninfo, other names in the views).  `make test-matrix` runs all.
    """
    wanted = os.environ.get('AHM_VERSIONS', '').replace(',', ' ').split()
    if wanted == ['all']:
        return binaries.VERSIONS
    if wanted:
        return tuple(int(word) for word in wanted)
    try:
        return tuple(sorted({binaries.VERSIONS[0], find_postgres().version}))
    except LabError:
        return binaries.VERSIONS[:1]


def provide(version):
    """Have the server of this major version on the machine, or skip the test and say so."""
    reason = loopback_available(version)
    if reason:
        pytest.skip('NOT TESTED ON POSTGRESQL %d: %s' % (version, reason))


@contextlib.contextmanager
def formed(version, settings=None, installation=None, environments=None):
    """A Scenario of three nodes on this major version, node 1 leads, client and prober at work.

    `installation` is used instead of a found one, `environments` maps a Node to the variables
    that its daemon gets.
    """
    if installation is None:
        provide(version)
    # Without autovacuum nothing writes but clients, so a moment without any is a quiet one.
    server_settings = ['autovacuum = off']
    if version >= FIRST_VERSION_WITHOUT_ALTER_SYSTEM:
        server_settings.append('allow_alter_system = off')
    with Cluster('loopback', nodes=3, settings=settings, version=version,
                 installation=installation, server_settings=server_settings) as cluster:
        for node in cluster.nodes:
            node.start_ahm(environments(node) if environments else None)
        scenario = Scenario(cluster)
        is_healthy(scenario, OLD, limit=FORM_LIMIT)
        for node in cluster.nodes:
            shown = node.database.sql('SHOW server_version_num')[0][0]
            assert int(shown) // 10000 == version
        scenario.observe()
        yield scenario


def rows(cluster, leader, others=()):
    """The table with this leader: standbys that follow it, but for {name: (database, state)}."""
    table = {node.name: ('STANDBY', 'STANDBY') for node in cluster.nodes}
    table[leader] = ('PRIMARY', 'LEADER')
    table.update(others)
    return table


def is_healthy(scenario, leader, limit=60):
    """Wait until all is well on every node: one leader, and the others stream from it."""
    cluster = scenario.cluster
    scenario.reads(cluster.nodes, leader, rows(cluster, leader), limit=limit)
    for node in cluster.nodes:
        if node.name != leader:
            streams(scenario, node.name, leader)


def new_leader(scenario):
    """Wait until another node than the first leads, by what the last node prints; its name."""
    def led():
        leader = scenario.cluster.nodes[-1].status().leader
        return leader if leader not in (None, OLD) else None
    return scenario.cluster.wait_until(led, 60, 'another leader')


def streams(scenario, name, upstream):
    """Wait until a node's database streams from another one's, under its own name."""
    cluster = scenario.cluster
    cluster.wait_until(
        lambda: cluster.node(name).database.streams_from(cluster.node(upstream).database), LIMIT,
        '%s to stream from %s' % (name, upstream))


def outage(scenario):
    """How long the client could not write since the last fault, in seconds."""
    return record.write_outage(scenario.client.attempts(), scenario.fault_at)


@contextlib.contextmanager
def quiet(scenario):
    """Nobody writes inside, and the standbys have all that was written.

    What dies now can be attached without a rewind, which is no matter of luck then.
    """
    cluster = scenario.cluster
    old = cluster.node(OLD).database
    seen = []

    def shipped():
        # Twice the same: what a client had sent when it was stopped may still be on its way.
        seen.append(old.sql('SELECT pg_current_wal_lsn()'))
        return seen[-2:-1] == seen[-1:] and all(
            node.database.sql('SELECT pg_last_wal_replay_lsn()') == seen[-1]
            for node in cluster.nodes[1:])
    with scenario.client.paused(), scenario.prober.paused():
        cluster.wait_until(shipped, LIMIT, 'the standbys to have it all')
        yield


# Failover

def kill_9_of_the_primary_database(scenario):
    """At a quiet moment; the name of the node that leads after it.

    The client's rows go on through the VIP, the third node streams from the new primary, and the
    old node reads FAILED and is a standby of it on disk.
    """
    cluster = scenario.cluster
    started_at = {node.name: _started_at(node) for node in cluster.nodes}
    with quiet(scenario):
        scenario.fault_at = time.monotonic()
        cluster.node(OLD).kill_database()
    new = new_leader(scenario)
    scenario.written_through(new)
    scenario.reads(cluster.nodes, new, rows(cluster, new, {OLD: ('FAILED', 'STANDBY')}))
    third = next(node for node in cluster.nodes if node.name not in (OLD, new))
    streams(scenario, third.name, new)
    reloads = cluster.installation.version >= FIRST_VERSION_THAT_RELOADS
    assert (_started_at(third) == started_at[third.name]) is reloads, \
        'a standby is restarted only where its primary_conninfo cannot be reloaded'
    is_fenced_on_disk(scenario, new)
    return new


def _started_at(node):
    return node.database.sql('SELECT pg_postmaster_start_time()')


def the_primary_host_dies_under_load(scenario):
    """Database and daemon at once, in the midst of writes; the name of the next leader."""
    cluster = scenario.cluster
    scenario.fault_at = time.monotonic()
    cluster.node(OLD).power_off()
    new = new_leader(scenario)
    scenario.written_through(new)
    living = [node for node in cluster.nodes if node.name != OLD]
    scenario.reads(living, new, rows(cluster, new, {OLD: ('PRIMARY', 'LOST')}))
    streams(scenario, next(node.name for node in living if node.name != new), new)
    return new


# Fencing

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


def is_fenced_on_disk(scenario, new):
    """Wait until the old node's stopped server is a standby of the new primary by its files."""
    cluster = scenario.cluster
    node, upstream = cluster.node(OLD), cluster.node(new)
    version = cluster.installation.version

    def pointed():
        files = standby_files(node.database.data_dir, version)
        conninfo = dict(re.findall(r"(\w+)=(\S+)", files.get('primary_conninfo', '')))
        place = tuple(conninfo.get(word, '').strip("'") for word in ('host', 'port'))
        return place == (upstream.host.address, str(upstream.database.port)) and files
    files = cluster.wait_until(pointed, LIMIT, '%s to be a standby of %s on disk' % (OLD, new))
    assert files['recovery_target_timeline'] == 'latest'
    if version < FIRST_VERSION_WITH_SIGNAL:
        assert files['standby_mode'] == 'on'
    assert not node.database.is_running()


def a_plain_start_makes_a_standby(scenario):
    """pg_ctl start of the old server, as an operator may do, makes no second primary; stops it."""
    database = scenario.cluster.node(OLD).database
    database.start()
    assert database.sql('SELECT pg_is_in_recovery()') == [(True,)]
    with pytest.raises(LabError, match='read-only|recovery'):
        database.sql('CREATE TABLE second_primary ()')
    database.stop()


def a_stale_primary_is_stopped(scenario, new):
    """The host is back, and PostgreSQL starts before AHM: a second primary, on the old timeline."""
    cluster, old = scenario.cluster, scenario.cluster.node(OLD)
    assert standby_files(old.database.data_dir, cluster.installation.version) == {}
    old.database.start()
    old.database.sql('CREATE TABLE only_here AS SELECT generate_series(1, 1000) AS id')
    old.start_ahm()
    scenario.reads(cluster.nodes, new, rows(cluster, new, {OLD: ('QUARANTINED', 'STANDBY')}))
    is_fenced_on_disk(scenario, new)


# What operators do

def is_attached(scenario, leader):
    """ahm_attach_node on the old node succeeds, and the cluster is healthy then."""
    node = scenario.cluster.node(OLD)
    done = run(node, 'ahm_attach_node')
    assert done.code == 0, done.output + node.log_tail()
    # Progress stands before it where that took a while.
    assert done.output.endswith(
        'Command Success\nInfo: attach database executed successfully\n'), done.output
    streams(scenario, OLD, leader)
    is_healthy(scenario, leader)


def is_promoted_back(scenario):
    """ahm_promote_node on the old node: a switchover, after which the others follow it."""
    said = switched_over(scenario, scenario.cluster.node(OLD))
    assert said.endswith('Command Success\nInfo: Promote node task successfully finished\n')
    scenario.written_through(OLD)
    is_healthy(scenario, OLD)


def is_refused_as_diverged(scenario, new):
    """ahm_attach_node says by how much it diverged, and how to rebuild it."""
    cluster, node = scenario.cluster, scenario.cluster.node(OLD)
    refused = run(node, 'ahm_attach_node', '--wait')
    assert refused.code == 1, refused.output + node.log_tail()
    told = re.search(r'Command Failed: this database diverged: (\d+) bytes of WAL beyond',
                     refused.output)
    assert told and int(told.group(1)) > 0, refused.output
    assert '-d "host=%s port=%d user=agens application_name=ahm_copy_of_%s" -D %s -R' % (
        cluster.node(new).host.address, node.database.port, OLD,
        node.database.data_dir) in refused.output
    assert not node.database.is_running()
    scenario.reads(cluster.nodes, new, rows(cluster, new, {OLD: ('QUARANTINED', 'STANDBY')}))


def is_brought_back(scenario, new):
    """A diverged node is rewound where there is a pg_rewind, else rebuilt; then attached."""
    node = scenario.cluster.node(OLD)
    if node.database.program('pg_rewind') is None:
        shutil.rmtree(node.database.data_dir)
        node.database.clone_from(scenario.cluster.node(new).database)
    else:
        node.reconfigure(use_pg_rewind=True)
        node.reload_ahm()
    is_attached(scenario, new)
    assert node.database.sql("SELECT to_regclass('only_here') IS NULL") == [(True,)]


# The end

def lost_nothing(scenario, leader):
    """End the recording; every acknowledged row is there, and nobody was primary twice."""
    cluster = scenario.cluster
    written, probes = scenario.client.stop(), scenario.prober.stop()
    present = cluster.ids_on(cluster.node(leader))
    assert record.missing_rows(record.acknowledged_ids(written), present) == []
    assert record.double_primary_seconds(probes) == 0.0
    assert [node.name for node in cluster.vip_holders()] == [leader]


def was_served_by(scenario, name):
    """End the recording; the client's rows all went to this node, and are there."""
    written = scenario.client.stop()
    scenario.prober.stop()
    assert {attempt.server for attempt in written if attempt.accepted} == {name}
    present = scenario.cluster.ids_on(scenario.cluster.node(name))
    assert record.missing_rows(record.acknowledged_ids(written), present) == []
    assert [node.name for node in scenario.cluster.vip_holders()] == [name]
