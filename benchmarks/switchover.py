"""Planned switchovers under a steady load: does any lose an acknowledged row, how long are they?

    python -m benchmarks.switchover [COUNT [CLIENTS]]

Three real databases and daemons on loopback addresses; each client writes a row every 20 ms through
the VIP, so ten of them write 500 rows a second.  The role goes round; after each switchover every
other server must stream from the new primary.  Exit code 1: a row was lost, or a switchover failed.
"""

import statistics
import sys
import time

from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import Cluster

FORM_SECONDS = 60
#: Rows that each client must have written to the new primary before the next switchover.
ROWS = 25


def is_whole(cluster, leader):
    """Whether every node prints this leader with the VIP, and all other servers stream from it."""
    new = cluster.node(leader)
    for node in cluster.nodes:
        status = node.status()
        if status.leader != leader or not status.holds_vip \
                or sorted(row.state for row in status.rows.values()) != [
                    'LEADER', 'STANDBY', 'STANDBY']:
            return False
    return all(node is new or node.database.streams_from(new.database) for node in cluster.nodes)


def acknowledged(client, name):
    """How many rows this server acknowledged to the client so far."""
    return len(record.acknowledged_ids(client.attempts(), name))


def switch(cluster, clients, name):
    """One switchover to this node; the instant when it was asked for."""
    before = [acknowledged(client, name) for client in clients]
    asked_at = time.monotonic()
    done = cluster.node(name).utility('ahm_promote_node', '--wait', check=False, limit=120)
    if done.code:
        raise LabError('the switchover to %s failed: %s' % (name, done.output.strip()))
    cluster.wait_until(lambda: all(acknowledged(client, name) >= least + ROWS for client, least
                                   in zip(clients, before)), 60, 'rows on %s' % name)
    cluster.wait_until(lambda: is_whole(cluster, name), 60, 'a whole cluster under %s' % name)
    return asked_at


def main(count=20, writers=10):
    """Run them; the exit code."""
    with Cluster(nodes=3) as cluster:
        cluster.start_ahm()
        names = [node.name for node in cluster.nodes]
        cluster.wait_until(lambda: is_whole(cluster, names[0]), FORM_SECONDS, 'the cluster')
        clients = [cluster.start_client() for _ in range(writers)]
        began = time.monotonic()
        asked = [switch(cluster, clients, names[number % 3]) for number in range(1, count + 1)]
        seconds = time.monotonic() - began
        attempts = [client.stop() for client in clients]
        present = cluster.ids_on(cluster.node(names[count % 3]))
    written = set().union(*map(record.acknowledged_ids, attempts))
    missing = record.missing_rows(written, present)
    outages = [max(record.write_outage([attempt for attempt in own if attempt.t < end], start)
                   for own in attempts)
               for start, end in zip(asked, asked[1:] + [float('inf')])]
    print('%d switchovers in %.0f s under %.0f acknowledged rows a second: %d of %d rows missing'
          % (count, seconds, len(written) / seconds, len(missing), len(written)))
    print('outage: median %.2f s, least %.2f s, most %.2f s' % (
        statistics.median(outages), min(outages), max(outages)))
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main(*map(int, sys.argv[1:])))
