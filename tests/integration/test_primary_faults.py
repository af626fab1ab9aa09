"""The database of the primary is at fault (manual 19.7.1): refuses us, hangs, starts for
ever, is full.

Each story ends by a documented utility or a wait, and a healthy table on every node.  A server that
refuses is alive, so nothing may happen to it but that people are told; one that hangs, or is
starting for too long, is really stopped before another is promoted.
"""

import contextlib
import os
import re

import psycopg2
import pytest

from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import DEFAULTS
from tests.lab import server_faults
from tests.lab.small_disk import small_disks_available

from .scenarios import NOTIFY, PATIENT, all_stream_from, formed, is_led_by_another, log_of, run

#: How long a primary may be starting up; the long one is for who needs it on a slow machine.
PATIENCE, LONG_PATIENCE = 3.0, 60.0
#: What a dying server wrote and nobody received is thrown away when it is attached.
REWINDS = dict(PATIENT, use_pg_rewind=True, wait_for_primary_timeout_seconds=PATIENCE)
#: Seconds in which everybody is asked twice more whether the failed database is reached.
WATCHED = 2.5 * DEFAULTS['db_connect_timeout']
#: Room for the WAL that a rewind brings, and for what is to be filled.
DISK_MEGABYTES = 256


def comes_back(scenario, name, leader):
    """Attach this node, by the utility; then all is well on every node."""
    cluster = scenario.cluster
    done = run(cluster.node(name), 'ahm_attach_node')
    assert done.code == 0, done.output + cluster.log_tails()
    scenario.reads(cluster.nodes, leader, scenario.table(leader))
    all_stream_from(cluster, leader)


def is_failed_over(scenario, old):
    """Wait for the failover of this node's database, which is stopped then; the new leader."""
    cluster, node = scenario.cluster, scenario.cluster.node(old)
    new = is_led_by_another(cluster, old)
    scenario.led_by(new)
    scenario.written_through(new)
    assert not node.database.is_running()
    assert [holder.name for holder in cluster.vip_holders()] == [new]
    scenario.reads(cluster.nodes, new, scenario.table(new, {old: ('FAILED', 'STANDBY')}))
    return new


# It refuses us

class Crowd:
    """Clients that take every connection of a server, those reserved for superusers too."""

    def __init__(self, database):
        self.database = database
        self.connections = []

    def comes(self):
        """Take what is free, until the server refuses one more."""
        while True:
            try:
                self.connections.append(psycopg2.connect(self.database.conninfo()))
            except psycopg2.OperationalError as error:
                assert 'too many clients' in str(error)
                return

    def goes(self):
        """Leave."""
        while self.connections:
            self.connections.pop().close()


@contextlib.contextmanager
def broken_authentication(database):
    """No login to any database, but replication as ever."""
    good = server_faults.hba_first(
        database, 'local all all reject', 'host all all 0.0.0.0/0 reject')
    yield
    server_faults.hba(database, good)


def write(path, text):
    """Write a file that exists; its owner stays who it is."""
    with open(path, 'w') as file:
        file.write(text)


def is_quarantined_and_serves_on(scenario, meanwhile=lambda: None):
    """Everybody says so of node 1, which goes on leading, and serves those who are connected.

    Until then `meanwhile` is called again and again.
    """
    cluster = scenario.cluster
    rows = scenario.table('AHM-NODE-1', {'AHM-NODE-1': ('QUARANTINED', 'LEADER')})

    def quarantined():
        meanwhile()
        return cluster.nodes[0].status().rows['AHM-NODE-1'].database == 'QUARANTINED'
    cluster.wait_until(quarantined, 60, 'the primary to be quarantined')
    scenario.reads(cluster.nodes, 'AHM-NODE-1', rows)
    scenario.serves_on('AHM-NODE-1', WATCHED)
    scenario.reads(cluster.nodes, 'AHM-NODE-1', rows)


def test_a_primary_that_refuses_us_is_not_failed_over_and_recovers_by_itself():
    # Who is given up on a busy machine cannot connect again, and would tell nothing any more.
    with formed(kind='loopback', settings=dict(PATIENT, **NOTIFY),
                recorders_limit=30) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        crowd = Crowd(first.database)
        is_quarantined_and_serves_on(scenario, crowd.comes)
        crowd.goes()
        scenario.reads(cluster.nodes, 'AHM-NODE-1', scenario.table('AHM-NODE-1'))
        with broken_authentication(first.database):
            is_quarantined_and_serves_on(scenario)
        scenario.reads(cluster.nodes, 'AHM-NODE-1', scenario.table('AHM-NODE-1'))
        told = [line for line in scenario.notified() if ' QUARANTINED: ' in line]
        assert len(told) == 4 and 'too many clients' in told[0] and 'rejects' in told[2], told
        assert all('another node reaches it: no failover' in line for line in told[::2]), told
        assert all('the database is trusted again' in line for line in told[1::2]), told
        all_stream_from(cluster, 'AHM-NODE-1')
        scenario.undisturbed('AHM-NODE-1', 3.0)


# It hangs, or does not get up

def test_a_primary_that_hangs_or_recovers_for_too_long_is_stopped_and_failed_over():
    with formed(kind='loopback', settings=REWINDS, node_settings={
            'AHM-NODE-1': {'wait_for_primary_timeout_seconds': LONG_PATIENCE}}) as scenario:
        for fault in (recovers_in_time, hangs, recovers_for_too_long):
            scenario.next_fault()
            fault(scenario, scenario.turns[-1][0])
        scenario.finish_chain()


def hangs(scenario, old):
    """The postmaster is stopped; who was connected goes on, and nobody else gets in."""
    cluster = scenario.cluster
    server_faults.hang(cluster.node(old).database)
    new = is_failed_over(scenario, old)
    assert record.last_accepted(scenario.prober.attempts(), old) > scenario.fault_at
    comes_back(scenario, old, new)


def recovers_in_time(scenario, leader):
    """It crashes, and is starting up long enough to be missed, but not too long."""
    cluster, node = scenario.cluster, scenario.cluster.node(leader)
    others = [other for other in cluster.nodes if other is not node]
    server_faults.hold_recovery(node.database)
    said = 'the database of %s is STARTING from here' % leader
    cluster.wait_until(lambda: all(said in log_of(other) for other in others), 60,
                       'everybody to see it starting')
    assert node.status().rows[leader][::5] == ('FAILED', 'LEADER')
    server_faults.resume(node.database)
    scenario.written_through(leader)
    scenario.reads(cluster.nodes, leader, scenario.table(leader))
    all_stream_from(cluster, leader)


def recovers_for_too_long(scenario, old):
    """The same, for ever: given up after wait_for_primary_timeout_seconds."""
    server_faults.hold_recovery(scenario.cluster.node(old).database)
    new = is_failed_over(scenario, old)
    began_at = record.first_accepted(scenario.prober.attempts(), new, scenario.fault_at)
    assert began_at - scenario.fault_at > PATIENCE
    comes_back(scenario, old, new)


# It has no disk any more

@pytest.mark.skipif(bool(small_disks_available()),
                    reason='DISK TESTS SKIPPED: %s' % small_disks_available())
def test_a_primary_whose_disk_is_full_is_failed_over_and_attached_when_there_is_room_again():
    with formed(nodes=2, witnesses=1, kind='loopback', settings=REWINDS,
                prepare=wal_on_a_small_disk) as scenario:
        cluster, first = scenario.cluster, scenario.cluster.nodes[0]
        scenario.prepared.fill()
        cluster.wait_until(lambda: has_run_out_of_wal(first.database), 60, 'the server to end')
        assert re.search('PANIC:.*No space left on device', first.database.log_tail(1000))
        new = is_failed_over(scenario, 'AHM-NODE-1')
        scenario.prepared.free()
        comes_back(scenario, 'AHM-NODE-1', new)
        scenario.finish_chain()


def has_run_out_of_wal(database):
    """Use up the WAL files that are there, each to its very end; whether the server has ended.

    So no record is torn between two files: PostgreSQL could not go on streaming after that.
    """
    try:
        database.sql('SELECT pg_switch_wal()')
    except LabError:
        pass                            # refused, for it panics or has ended
    return database.postmaster() is None


def wal_on_a_small_disk(cluster):
    """Put the WAL of the primary on a disk of its own; the SmallDisk."""
    first = cluster.nodes[0]
    first.database.stop()
    disk = cluster.small_wal_disk(first, DISK_MEGABYTES)
    first.database.start()
    return disk


# It cannot be started again

def test_a_primary_that_cannot_be_restarted_is_failed_over_when_the_restart_is_over():
    with formed(kind='loopback', settings=dict(REWINDS, db_failure_action='restart')) as scenario:
        for breaks in (unreadable, misconfigured):
            old = scenario.turns[-1][0]
            node = scenario.cluster.node(old)
            before = {each.name: len(log_of(each)) for each in scenario.cluster.nodes}
            scenario.next_fault()
            with breaks(node.database) as complaint:
                node.kill_database()
                new = is_failed_over(scenario, old)
            is_in_order(log_of(node)[before[old]:], 'starting it again, once',
                        'the restart did not help', complaint, 'steps down', 'has stepped down')
            is_in_order(log_of(scenario.cluster.node(new))[before[new]:],
                        '%s leads no more' % old, 'stands for leader',
                        'the database is primary now')
            comes_back(scenario, old, new)
        scenario.finish_chain()


def is_in_order(log, *said):
    """Assert that a log says all of this, and each of it first after the one before."""
    log = ''.join(line for line in log.splitlines(True) if not line.startswith('DEBUG '))
    places = [log.find(words) for words in said]
    assert -1 not in places and places == sorted(places), (places, log)


@contextlib.contextmanager
def unreadable(database):
    """Nobody but root may look into the data directory."""
    os.chmod(database.data_dir, 0)
    yield 'Permission denied'
    os.chmod(database.data_dir, 0o700)


@contextlib.contextmanager
def misconfigured(database):
    """A slip in postgresql.conf."""
    path = os.path.join(database.data_dir, 'postgresql.conf')
    with open(path) as file:
        good = file.read()
    write(path, good + 'no_such_setting = 1\n')
    yield 'no_such_setting'
    write(path, good)
