"""A failover to look at: `make demo`, or `python3 -m ahmlib.lab.demo`.

Three real databases with three real AHM daemons on loopback addresses, and a client that writes
through the VIP.  The primary's postmaster and all its children are killed with SIGKILL; what the
cluster does is shown as it happens, and then what the client saw of it.  Then the killed node is
attached and made the primary again.  Takes about twenty seconds, needs no root, leaves nothing
behind.  Exit code 0: another node led, held the VIP and acknowledged a row written through it, no
row is missing that it had received, and the switchover lost none; else 1.
"""
import platform
import signal
import sys
import time
from typing import List, Optional

from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import DEFAULTS, Cluster, Recorder
from ahmlib.lab.node import Node
from ahmlib.lab.status import Status

START_LIMIT = 60
FAILOVER_LIMIT = 60
ROWS = 50


def say(text: str = '') -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def is_formed(cluster: Cluster) -> Optional[Status]:
    """The Status when node 1 leads with the VIP and all others stand by; else None."""
    status = cluster.nodes[1].status()
    states = sorted(row.state for row in status.rows.values())
    formed = (status.leader == cluster.nodes[0].name and status.holds_vip and status.successor
              and states == ['LEADER', 'STANDBY', 'STANDBY'])
    return status if formed else None


def summary(status: Status) -> str:
    """One line of a Status."""
    nodes = ', '.join('%s %s/%s' % (name, row.database, row.state)
                      for name, row in sorted(status.rows.items()))
    return 'leader %s, VIP %s: %s' % (status.leader or 'none',
                                      'held' if status.holds_vip else 'not held', nodes)


def acknowledged_by(client: Recorder, name: str) -> int:
    """How many rows a server acknowledged to the client so far."""
    return len(record.acknowledged_ids(client.attempts(), name))


def watch_failover(cluster: Cluster, client: Recorder, fault_at: float) -> Node:
    """Show every change of the status until another node leads, holds the VIP and takes writes.

    Returns the new leader's Node; LabError when that takes longer than FAILOVER_LIMIT.
    """
    old, observer = cluster.nodes[:2]
    shown: List[str] = []

    def look() -> Optional[str]:
        status = observer.status()
        line = summary(status)
        if line not in shown[-1:]:
            say('%7.2f s  %s' % (time.monotonic() - fault_at, line))
            shown.append(line)
        leader = status.leader
        is_settled = leader is not None and leader != old.name and status.holds_vip \
            and acknowledged_by(client, leader)
        return leader if is_settled else None
    return cluster.node(cluster.wait_until(look, FAILOVER_LIMIT, 'another leader with the VIP'))


def verdict(cluster: Cluster, attempts: List[record.Attempt], new: Node, fault_at: float) -> int:
    """Say what the client saw; returns the exit code."""
    old = cluster.nodes[0]
    present = cluster.ids_on(new)
    missing = record.missing_rows(record.acknowledged_ids(attempts), present)
    lost = record.missing_within_received(attempts, old.name, present)
    say('The client wrote %d rows, acknowledged by %s and then by %s.'
        % (len(record.acknowledged_ids(attempts)), old.name, new.name))
    say('Writes were impossible for %.2f s.' % record.write_outage(attempts, fault_at))
    if not missing:
        say('No acknowledged row is missing.')
    elif not lost:
        say('%d acknowledged rows are missing: the last ones of %s, which %s had not received yet '
            '(replication is asynchronous).' % (len(missing), old.name, new.name))
    else:
        say('FAILED: %d acknowledged rows are missing, %d of them although %s had received them: %s'
            % (len(missing), len(lost), new.name, lost[:20]))
    return 1 if lost else 0


def demonstrate(cluster: Cluster) -> int:
    """The demo on a cluster that was just made; returns the exit code."""
    old = cluster.nodes[0]
    say('Three databases stream; starting three AHM daemons ...')
    cluster.start_ahm()
    cluster.wait_until(lambda: is_formed(cluster), START_LIMIT, 'the cluster to form')
    client = cluster.start_client()
    cluster.wait_until(lambda: acknowledged_by(client, old.name) >= ROWS, START_LIMIT,
                       'the client to write through the VIP')
    say('A client writes a row every 20 ms through the VIP %s.\n' % cluster.plan.vip)
    say(cluster.nodes[1].status_text())
    fault_at = time.monotonic()
    old.kill_database()
    say('%7.2f s  kill -9 of the postmaster of %s and all its children' % (0.0, old.name))
    new = watch_failover(cluster, client, fault_at)
    cluster.wait_until(lambda: acknowledged_by(client, new.name) >= ROWS, START_LIMIT,
                       'the client to write to %s' % new.name)
    say()
    say(new.status_text())
    code = verdict(cluster, client.stop(), new, fault_at)
    return code or switch_back(cluster, old, new)


def switch_back(cluster: Cluster, old: Node, new: Node) -> int:
    """Attach the old primary and make it the primary again; returns the exit code."""
    say('\nThe old primary comes back, as an operator would bring it:\n')
    client = cluster.start_client()
    cluster.wait_until(lambda: acknowledged_by(client, new.name) >= ROWS, START_LIMIT,
                       'the client to write to %s' % new.name)
    attached = operate(old, 'ahm_attach_node')
    if attached != 0:
        client.stop()
        return 1
    fault_at = time.monotonic()
    if operate(old, 'ahm_promote_node', '--wait') != 0:
        client.stop()
        return 1
    cluster.wait_until(lambda: acknowledged_by(client, old.name) >= ROWS, START_LIMIT,
                       'the client to write to %s' % old.name)
    cluster.wait_until(lambda: is_formed(cluster), START_LIMIT, 'the cluster to be whole again')
    say()
    say(new.status_text())
    attempts = client.stop()
    missing = record.missing_rows(record.acknowledged_ids(attempts), cluster.ids_on(old))
    say('Writes were impossible for %.2f s of the switchover.'
        % record.write_outage(attempts, fault_at))
    say('FAILED: %d acknowledged rows are missing.' % len(missing) if missing
        else 'No acknowledged row is missing.')
    return 1 if missing else 0


def operate(node: Node, utility: str, *words: str) -> int:
    """Run a utility on a node and show what it prints; its exit code."""
    say('%s$ %s' % (node.name, ' '.join((utility,) + words)))
    done = node.utility(utility, *words, check=False, limit=120)
    say(done.output)
    return done.code


def main() -> int:
    """Run the demo; returns the exit code."""
    # A SIGTERM ends the demo like an exception, so that everything is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        # What the killed primary had not sent any more is discarded when it comes back.  A check
        # has to be over when the next one is due, or the table warns of it.
        cluster = Cluster(nodes=3, settings={
            'use_pg_rewind': True, 'db_connect_timeout': DEFAULTS['health_check_period']})
        say('AHM demo: three nodes on loopback addresses, PostgreSQL %d, Python %s.'
            % (cluster.installation.version, platform.python_version()))
        with cluster:
            return demonstrate(cluster)
    except LabError as error:
        sys.stderr.write('FAILED: %s\n' % error)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        return 1


if __name__ == '__main__':
    sys.exit(main())
