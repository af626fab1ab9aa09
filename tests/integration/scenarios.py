"""What the scenario tests share: a running cluster with its witnesses, and what must hold at the end.

A scenario is: form, hurt, wait until the table reads as it should *on every living node*, then look
at what the client and the prober recorded.  Nothing sleeps for a guess, and nothing asserts a speed.
"""

import contextlib
import math
import os
import time

import pytest

from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import Cluster
from ahmlib.lab.network import namespaces_available

FORM_LIMIT = 30
SETTLE_LIMIT = 60

#: For faults of databases: no node is lost, and no standby fails, because the machine is busy.
PATIENT = {'beacon_message_retry_count': 8, 'max_consec_failures': 3}

#: Settings with which every node writes its notifications down; Scenario.notified() reads them.
NOTIFY = {'notification_command':
          """sh -c 'echo "$AHM_NODE_NAME $AHM_EVENT: $AHM_MESSAGE" >> "$HOME/notified"'"""}

needs_namespaces = pytest.mark.skipif(
    bool(namespaces_available()),
    reason='NAMESPACE TESTS SKIPPED: %s' % namespaces_available())


def table(cluster, leader, others=None):
    """All is well under this leader but for the rows in `others`, by their node's name."""
    rows = {node.name: ('STANDBY' if node.database else 'NOT_CONFIGURED', 'STANDBY')
            for node in cluster.nodes}
    rows[leader] = ('PRIMARY', 'LEADER')
    return dict(rows, **(others or {}))


class Scenario:
    """A formed cluster in which node 1 leads, with a client and a prober at work."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.client = self.prober = self.prepared = None
        self.fault_at = None
        self.turns = [('AHM-NODE-1', -math.inf)]    # who led, and since which fault

    def hurt(self):
        """A fault is about to be made: what comes from now on came after it."""
        self.fault_at = time.monotonic()

    def observe(self):
        """Start the client and the prober, and wait until both see the primary accept writes."""
        self.client, self.prober = self.cluster.start_client(), self.cluster.start_prober()
        for recorder in (self.client, self.prober):
            self.cluster.wait_until(
                lambda: any(attempt.accepted for attempt in recorder.attempts()), 15,
                'a row acknowledged to %s' % recorder.path)
        self.hurt()

    def reads(self, living, leader, rows, holds_vip=True, limit=SETTLE_LIMIT):
        """Wait until every living node prints this leader and these {name: (database, state)}."""
        def seen():
            for node in living:
                status = node.status()
                table = {name: (row.database, row.state) for name, row in status.rows.items()}
                if status.leader != leader or table != rows or status.holds_vip is not holds_vip:
                    return None
            return True
        try:
            self.cluster.wait_until(seen, limit, 'the same table on every living node: leader %s, '
                                    '%s' % (leader, rows))
        except LabError as error:
            raise LabError('%s\n%s' % (error, '\n'.join(_text(node) for node in living)))

    def written_through(self, name, limit=30):
        """Wait until this node's server has acknowledged a row of the client after the fault."""
        self.cluster.wait_until(
            lambda: record.first_accepted(self.client.attempts(), name, self.fault_at), limit,
            'a row that %s acknowledged to the client' % name)

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

    def undisturbed(self, name, seconds_without_write=1.0):
        """End the recording; the service of this node went on through the fault."""
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        assert {attempt.server for attempt in probes if attempt.accepted} == {name}
        assert record.write_outage(rows, self.fault_at) < seconds_without_write
        assert [node.name for node in self.cluster.vip_holders()] == [name]


def _text(node):
    try:
        return '--- %s prints:\n%s' % (node.name, node.status_text())
    except LabError as error:
        return '--- %s: %s' % (node.name, error)


@contextlib.contextmanager
def formed(nodes=3, witnesses=0, kind='namespaces', settings=None, node_settings=None,
           prepare=None):
    """A Scenario whose node 1 leads over the primary, with everybody following.

    `prepare` is called with the Cluster before any AHM starts; what it returns is `prepared`.
    """
    with Cluster(kind, nodes=nodes, witnesses=witnesses, settings=settings,
                 node_settings=node_settings) as cluster:
        scenario = Scenario(cluster)
        scenario.prepared = prepare(cluster) if prepare else None
        cluster.start_ahm()
        rows = {'AHM-NODE-1': ('PRIMARY', 'LEADER')}
        for node in cluster.nodes[1:]:
            kind_of = 'STANDBY' if node.database is not None else 'NOT_CONFIGURED'
            rows[node.name] = (kind_of, 'STANDBY')
        scenario.reads(cluster.nodes, 'AHM-NODE-1', rows, limit=FORM_LIMIT)
        scenario.observe()
        yield scenario
