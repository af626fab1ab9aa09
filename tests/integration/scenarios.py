"""What the scenario tests share: a running cluster with its witnesses, and what must hold at the end.

A scenario is: form, hurt, wait until the table reads as it should *on every living node*, then look
at what the client and the prober recorded.  Nothing sleeps for a guess, and nothing asserts a speed.
"""

import contextlib
import time

import pytest

from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import Cluster
from ahmlib.lab.network import namespaces_available

FORM_LIMIT = 30
SETTLE_LIMIT = 60
UTILITY_LIMIT = 120

needs_namespaces = pytest.mark.skipif(
    bool(namespaces_available()),
    reason='NAMESPACE TESTS SKIPPED: %s' % namespaces_available())


class Scenario:
    """A formed cluster in which node 1 leads, with a client and a prober at work."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.client = self.prober = None
        self.fault_at = None

    def observe(self):
        """Start the client and the prober, and wait until both see the primary accept writes."""
        self.client, self.prober = self.cluster.start_client(), self.cluster.start_prober()
        for recorder in (self.client, self.prober):
            self.cluster.wait_until(
                lambda: any(attempt.accepted for attempt in recorder.attempts()), 15,
                'a row acknowledged to %s' % recorder.path)
        self.fault_at = time.monotonic()

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

    def undisturbed(self, name, seconds_without_write=1.0):
        """End the recording; the service of this node went on through the fault."""
        rows, probes = self.client.stop(), self.prober.stop()
        assert record.double_primary_seconds(probes) == 0.0
        assert {attempt.server for attempt in probes if attempt.accepted} == {name}
        assert record.write_outage(rows, self.fault_at) < seconds_without_write
        assert [node.name for node in self.cluster.vip_holders()] == [name]


def ask(cluster, node, utility, *words):
    """Run a utility on this node's host as an operator does: again where it says so; its Result."""
    def answered():
        done = node.utility(utility, *words, check=False, limit=UTILITY_LIMIT)
        return None if done.code == 1 and 'try again in a moment' in done.output else done
    return cluster.wait_until(answered, SETTLE_LIMIT, '%s on %s' % (utility, node.name))


def _text(node):
    try:
        return '--- %s prints:\n%s' % (node.name, node.status_text())
    except LabError as error:
        return '--- %s: %s' % (node.name, error)


@contextlib.contextmanager
def formed(nodes=3, witnesses=0, kind='namespaces', settings=None, node_settings=None):
    """A Scenario whose node 1 leads over the primary, with everybody following."""
    with Cluster(kind, nodes=nodes, witnesses=witnesses, settings=settings,
                 node_settings=node_settings) as cluster:
        cluster.start_ahm()
        scenario = Scenario(cluster)
        rows = {'AHM-NODE-1': ('PRIMARY', 'LEADER')}
        for node in cluster.nodes[1:]:
            kind_of = 'STANDBY' if node.database is not None else 'NOT_CONFIGURED'
            rows[node.name] = (kind_of, 'STANDBY')
        scenario.reads(cluster.nodes, 'AHM-NODE-1', rows, limit=FORM_LIMIT)
        scenario.observe()
        yield scenario
