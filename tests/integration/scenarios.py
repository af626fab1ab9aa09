"""What the scenario tests share: a running cluster with its witnesses, and what must hold.

A scenario is: form, hurt, wait until the table reads as it should *on every living node*, then
look at what the client and the prober recorded.  Nothing sleeps for a guess, and nothing asserts a
speed.

Where nothing may happen, at least one T_hold is watched after all have noticed the fault: any
promotion begins in that.  Stories that end as they began share one cluster (`Shared`), for to form
one costs seconds.
"""

import contextlib
import math
import os
import sys
import time

import pytest

from ahmlib.core.consensus.timing import Timing
from ahmlib.lab import LabError, record
from ahmlib.lab.status import parse_status
from tests.lab.cluster import Cluster
from tests.lab.network import namespaces_available

FORM_LIMIT = 60
SETTLE_LIMIT = 60
UTILITY_LIMIT = 120
FIRST, SECOND, THIRD = NAMES = ('AHM-NODE-1', 'AHM-NODE-2', 'AHM-NODE-3')
#: Seconds between two looks that start programs: to look all the time would slow down what is
#: looked at.
PAUSE = 0.2

#: For clusters in which nodes are lost on purpose only: none is because the machine is busy.
CALM = {'beacon_message_retry_count': 4}

#: For faults of databases: no node is lost, and no standby fails, because the machine is busy.
PATIENT = {'beacon_message_retry_count': 8, 'max_consec_failures': 3}

#: Settings with which every node writes its notifications down; Scenario.notified() reads them.
NOTIFY = {'notification_command':
          """sh -c 'echo "$AHM_NODE_NAME $AHM_EVENT: $AHM_MESSAGE" >> "$HOME/notified"'"""}

needs_namespaces = pytest.mark.skipif(
    bool(namespaces_available()),
    reason='NAMESPACE TESTS SKIPPED: %s' % namespaces_available())


class Scenario:
    """A formed cluster in which node 1 leads, with a client and a prober at work."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.hold = Timing(cluster.settings['beacon_message_interval_seconds'],
                           cluster.settings['beacon_message_retry_count']).hold
        #: Seconds that are watched where promotions are tried, or must never be.
        self.watched = 3 * self.hold
        self.client = self.prober = self.prepared = None
        self.fault_at = None
        self.turns = [('AHM-NODE-1', -math.inf)]    # who led, and since which fault
        self.logged = {}        # how much each node had logged when the story began

    def observe(self, limit=None):
        """Start the client and the prober, and wait until both see the primary accept writes.

        `limit` bounds each of their connects and statements, in seconds.
        """
        self.client = self.cluster.start_client(limit)
        self.prober = self.cluster.start_prober(limit)
        for recorder in (self.client, self.prober):
            self.cluster.wait_until(
                lambda: any(attempt.accepted for attempt in recorder.attempts()), 60,
                'a row acknowledged to %s' % recorder.path)
        self.logged = {node.name: len(log_of(node)) for node in self.cluster.nodes}
        self.next_fault()

    def next_fault(self):
        """What follows is a fault: outages and first writes are counted from now on."""
        self.fault_at = time.monotonic()

    def reads(self, living, leader, rows, holds_vip=True, limit=SETTLE_LIMIT):
        """Wait until every living node prints this leader and these {name: (database, state)}."""
        def is_it(status):
            table = {name: (row.database, row.state) for name, row in status.rows.items()}
            return status.leader == leader and table == rows and status.holds_vip is holds_vip

        def seen():
            # The program that operators use is started once all nodes say so.
            return all(is_it(node.status()) for node in living) and all(
                is_it(parse_status(node.status_text())) for node in living)
        try:
            self.cluster.wait_until(seen, limit, 'the same table on every living node: leader %s, '
                                    '%s' % (leader, rows), PAUSE)
        except LabError as error:
            raise LabError('%s\n%s' % (error, '\n'.join(_text(node) for node in living)))

    def table(self, leader=FIRST, others=None):
        """The rows under this leader, all well but for these {name: (database, state)}."""
        rows = {node.name: ('NOT_CONFIGURED' if node.database is None else 'STANDBY', 'STANDBY')
                for node in self.cluster.nodes}
        rows[leader] = ('PRIMARY', 'LEADER')
        rows.update(others or {})
        return rows

    def healthy(self, leader=FIRST, limit=SETTLE_LIMIT):
        """Wait until every node prints the table of a cluster in which all is well, all standbys
        stream from this leader, and the VIP is there and nowhere else."""
        self.reads(self.cluster.nodes, leader, self.table(leader), limit=limit)
        all_stream_from(self.cluster, leader)
        assert [node.name for node in self.cluster.vip_holders()] == [leader]

    def nothing_happens(self, server, seconds=None):
        """Watch for so long (T_hold): this server (None: no server at all) accepts writes, and no
        other."""
        seconds = self.hold if seconds is None else seconds
        since = time.monotonic()
        until = since + seconds

        def is_over():
            times = [attempt.t for attempt in self.prober.attempts()
                     if server is None or attempt.accepted and attempt.server == server]
            return times and max(times) > until
        self.cluster.wait_until(is_over, seconds + 30, '%s to go on for %.1f s' % (
            server or 'the prober', seconds), PAUSE)
        assert self.accepting(since) == ([server] if server else [])

    def accepting(self, since=None):
        """The servers that accepted a write since an instant (the fault), as the prober saw it."""
        since = self.fault_at if since is None else since
        return sorted({attempt.server for attempt in self.prober.attempts()
                       if attempt.accepted and attempt.t > since})

    def log(self, *nodes):
        """What the AHMs of these nodes have logged in this story, one after the other."""
        return ''.join(log_of(node)[self.logged[node.name]:] for node in nodes)

    def nothing_lost(self):
        """End the client; the primary of node 1 has every row that was acknowledged to it."""
        rows, present = self.client.stop(), self.cluster.ids_on(self.cluster.node(FIRST))
        assert record.missing_rows(record.acknowledged_ids(rows), present) == []

    def written_through(self, name, limit=30):
        """Wait until this node's server has acknowledged a row of the client after the fault."""
        self.cluster.wait_until(
            lambda: record.first_accepted(self.client.attempts(), name, self.fault_at), limit,
            'a row that %s acknowledged to the client' % name)

    def end(self):
        """End what still records; the attempts of the prober."""
        for recorder in (self.client, self.prober):
            if recorder.runs():
                recorder.stop()
        return self.prober.attempts()

    def serves_on(self, name, seconds):
        """Wait until this node's server has gone on acknowledging rows for so many seconds."""
        until = time.monotonic() + seconds
        self.cluster.wait_until(
            lambda: (record.last_accepted(self.client.attempts(), name) or 0) > until,
            seconds + 30, '%s to serve for %.1f s more' % (name, seconds))

    def notified(self):
        """What notification_command was told so far, as lines `NODE EVENT: message`."""
        path = os.path.join(self.cluster.workspace.directory, 'notified')
        if not os.path.exists(path):
            return []
        with open(path) as lines:
            return lines.read().splitlines()

    def finish(self, old, new):
        """End the recording; what must hold after every failover from `old` to `new`."""
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        stopped_at = record.last_accepted(probes, old)
        began_at = record.first_accepted(probes, new, self.fault_at)
        assert began_at is not None and stopped_at < began_at
        missing = record.missing_within_received(
            rows, old, self.cluster.ids_on(self.cluster.node(new)))
        assert missing == []
        assert [node.name for node in self.cluster.vip_holders()] == [new]
        outage = record.write_outage(rows, self.fault_at)
        print('outage %.2f s; %s accepted until %.2f s, %s from %.2f s after the fault' % (
            outage, old, stopped_at - self.fault_at, new, began_at - self.fault_at))
        return outage

    def led_by(self, name):
        """The fault has made this node the leader."""
        self.turns.append((name, self.fault_at))

    def finish_chain(self):
        """End the recording; what must hold after several failovers, from each turn to the next."""
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        last = self.turns[-1][0]
        present = self.cluster.ids_on(self.cluster.node(last))
        stopped_at = -math.inf
        for place, (name, since) in enumerate(self.turns):
            # What it acknowledged from then on until it may have led again.
            until = ([instant for _, instant in self.turns[place + 2:]] + [math.inf])[0]
            own, probed = ([attempt for attempt in attempts if attempt.server == name
                            and since < attempt.t < until] for attempts in (rows, probes))
            assert stopped_at < record.first_accepted(probed, name)
            stopped_at = record.last_accepted(probed, name)
            assert record.missing_within_received(own, name, present) == []
        assert record.missing_rows(record.acknowledged_ids(own), present) == []
        assert [node.name for node in self.cluster.vip_holders()] == [last]

    def undisturbed(self, name, seconds_without_write=3.0):
        """End the recording; the service of this node went on through the fault.

        A busy machine may hold it up, and holds up those who ask the other servers as well.
        """
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        assert {attempt.server for attempt in probes if attempt.accepted} == {name}
        delay = record.machine_delay(probes, name, self.fault_at)
        assert record.failing_outage(rows, self.fault_at) < seconds_without_write + delay
        assert [node.name for node in self.cluster.vip_holders()] == [name]


def run(node, utility, *words, **options):
    """Run a utility on this node's host; its Finished."""
    return node.utility(utility, *words, check=False, limit=UTILITY_LIMIT, **options)


def succeeds(node, utility, *words):
    """Run a utility on this node's host that does what is asked; what it printed."""
    done = run(node, utility, *words)
    assert done.code == 0, done.output + node.log_tail()
    return done.output


def refusal(node, utility, *words):
    """Run a utility on this node's host that is refused; the reason that it printed."""
    done = run(node, utility, *words)
    head = 'Command Failed: '
    line = done.output.splitlines()[-1]
    assert done.code == 1 and line.startswith(head), done
    return line[len(head):]


def all_stream_from(cluster, leader):
    """Wait until every other server streams from this node's."""
    new = cluster.node(leader)
    for node in cluster.nodes:
        if node is not new and node.database is not None:
            cluster.wait_until(lambda: node.database.streams_from(new.database), 60,
                               '%s to stream from %s' % (node.name, leader))


def is_led_by_another(cluster, old, asked=None):
    """Wait until another node leads, by what the asked one (the last one) prints; its name."""
    def led():
        leader = (asked or cluster.nodes[2]).status().leader
        return leader if leader not in (None, old) else None
    return cluster.wait_until(led, 60, 'another leader than %s' % old, PAUSE)


def lost_and_left_alone(scenario, watchers, seconds=None):
    """Everybody loses the AHM of node 1, and its database serves on for so long (T_hold).

    The watchers try and resign again and again where they have a fencing script, so their own
    states are not looked at.
    """
    def lost():
        return all(row.state == 'LOST' and row.database == 'PRIMARY' for row in (
            node.status().rows[FIRST] for node in watchers))
    scenario.cluster.wait_until(lost, 30, 'everybody to have lost the AHM of the primary')
    scenario.nothing_happens(FIRST, seconds)
    assert lost()
    assert {node.status().rows[name].database for node in watchers for name in (SECOND, THIRD)} \
        == {'STANDBY'}
    assert [node.name for node in scenario.cluster.primaries()] == [FIRST]


def comes_back(scenario, node, leader):
    """A node whose AHM and database are down is started, attached under this leader, and promoted.

    It finds out by itself that it is the primary no more: its database is not started before that.
    """
    node.start_ahm()
    scenario.reads(scenario.cluster.nodes, leader,
                   scenario.table(leader, {node.name: ('FAILED', 'STANDBY')}))
    taken_back(scenario, node, leader)


def taken_back(scenario, node, leader):
    """A node that was reported out is attached under this leader, and promoted."""
    succeeds(node, 'ahm_attach_node', '--wait')
    scenario.healthy(leader)
    switched_over(scenario, node)
    scenario.healthy(node.name)


def switched_over(scenario, node, asked=None, words=()):
    """A switchover to this node succeeds, asked for there or on another one; what was printed.

    What follows is counted from when it was asked for.
    """
    scenario.next_fault()
    done = run(asked or node, 'ahm_promote_node', *words, '--wait')
    assert done.code == 0, done.output + scenario.cluster.log_tails()
    return done.output


def no_majority(scenario, node):
    """The last living node says that it has no majority, and promotes nothing, asked or not."""
    scenario.cluster.wait_until(lambda: 'No majority' in node.status_text(), 30,
                                '%s to say that it has no majority' % node.name)
    scenario.nothing_happens(None)
    status = node.status()
    assert status.leader is None and status.rows[node.name].state == 'IN_RESOURCE_LIMITATION'
    assert 'in contact with 1 of the 3 nodes' in refusal(node, 'ahm_promote_node')
    assert refusal(node, 'ahm_attach_node').startswith('nobody leads: ')


def log_of(node):
    """All that the AHM of a node has logged."""
    with open(node.log, errors='replace') as file:
        return file.read()


def _text(node):
    try:
        return '--- %s prints:\n%s' % (node.name, node.status_text())
    except LabError as error:
        return '--- %s: %s' % (node.name, error)


@contextlib.contextmanager
def telling(cluster):
    """Where what follows fails, print what every node logged last, for pytest to show."""
    try:
        yield
    except Exception:
        print(cluster.log_tails())
        raise


@contextlib.contextmanager
def formed(nodes=3, witnesses=0, kind='namespaces', settings=None, node_settings=None,
           prepare=None, recorders_limit=None, server_settings=()):
    """A Scenario whose node 1 leads over the primary, with everybody following.

    `prepare` is called with the Cluster before any AHM starts; what it returns is `prepared`.
    `recorders_limit` is that of observe(), `server_settings` that of Cluster.
    """
    with Cluster(kind, nodes=nodes, witnesses=witnesses, settings=settings,
                 node_settings=node_settings, server_settings=server_settings) as cluster:
        scenario = Scenario(cluster)
        scenario.prepared = prepare(cluster) if prepare else None
        cluster.start_ahm()
        with telling(cluster):
            scenario.reads(cluster.nodes, FIRST, scenario.table(), limit=FORM_LIMIT)
            scenario.observe(recorders_limit)
            yield scenario


class Shared:
    """A formed cluster for one story after the other, each of which ends healthy under node 1.

    A story that fails takes the cluster with it, and the next one gets a new one.  `form` makes
    the Scenario, with the arguments that follow.  A context manager, as the fixture of a module.
    """

    def __init__(self, form=formed, **options):
        self.form = form
        self.options = options
        self._stack = contextlib.ExitStack()
        self._scenario = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._stack.close()

    @contextlib.contextmanager
    def story(self):
        """The healthy Scenario, with a new record; at the end, no two servers accepted writes."""
        if self._scenario is None:
            scenario = self._stack.enter_context(self.form(**self.options))
        else:
            scenario, self._scenario = self._scenario, None
            scenario.healthy()
            scenario.observe()
        try:
            yield scenario
            probes = scenario.end()
            assert record.double_primary_seconds(probes) == 0.0
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
        self._scenario = scenario
