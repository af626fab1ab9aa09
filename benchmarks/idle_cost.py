"""What AHM costs while nothing happens: memory and processor time of each node.

    python -m benchmarks.idle_cost [SECONDS]

Three real databases and daemons on loopback addresses, once for each of some timings.  Of a daemon
and all its processes, over SECONDS (default: 30) of a calm cluster: processor time a minute, that
of children that have ended included; what its memory takes (PSS: shared pages are divided among
who shares them); and the datagrams that it sends.  The leader's and a standby's are printed.
"""

import os
import sys
import time
from typing import Dict, List, NamedTuple, Tuple

from ahmlib.lab.cluster import Cluster
from ahmlib.lab.node import Node

SECONDS = 30.0
FORM_SECONDS = 120
TICKS = os.sysconf('SC_CLK_TCK')
TIMINGS: Dict[str, Dict[str, object]] = {
    '8 s x 2, checks 30 s (the defaults)': {
        'beacon_message_interval_seconds': 8, 'beacon_message_retry_count': 2,
        'health_check_period': 30, 'max_consec_failures': 5},
    '0.5 s x 2, checks 0.5 s': {
        'beacon_message_interval_seconds': 0.5, 'beacon_message_retry_count': 2,
        'health_check_period': 0.5, 'max_consec_failures': 2},
    '0.1 s x 3, checks 0.2 s': {
        'beacon_message_interval_seconds': 0.1, 'beacon_message_retry_count': 3,
        'health_check_period': 0.2, 'max_consec_failures': 2},
}


class Cost(NamedTuple):
    """Of one daemon, so far: seconds of a processor, bytes of memory, processes."""
    processor_seconds: float
    memory_bytes: int
    processes: int


def stat(pid: int) -> List[str]:
    """The fields of /proc/PID/stat from the state on; none of a process that is gone."""
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rpartition(')')[2].split()
    except OSError:
        return []


def family(pid: int) -> List[int]:
    """A process and all that it has started and that runs."""
    parents = {int(name): stat(int(name)) for name in os.listdir('/proc') if name.isdigit()}
    found = [pid]
    for parent in found:
        found += [child for child, fields in parents.items() if fields and int(fields[1]) == parent]
    return found


def memory_bytes(pid: int) -> int:
    """Its proportional set."""
    try:
        with open('/proc/%d/smaps_rollup' % pid) as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith('Pss:'))
    except OSError:
        return 0


def cost(pid: int) -> Cost:
    """What this daemon has cost."""
    pids = family(pid)
    # utime and stime of each, and of the daemon's children that have ended.
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in map(stat, pids) if fields)
    own = stat(pid)
    ticks += int(own[13]) + int(own[14])
    return Cost(ticks / TICKS, sum(map(memory_bytes, pids)), len(pids))


def measured(nodes: List[Node], seconds: float) -> List[Tuple[str, Cost, Cost]]:
    """(name, before, after) of each."""
    pids = [(node.name, node.daemon.pid) for node in nodes if node.daemon is not None]
    before = [cost(pid) for _, pid in pids]
    time.sleep(seconds)
    return [(name, first, cost(pid)) for (name, pid), first in zip(pids, before)]


def main(seconds: float = SECONDS) -> int:
    """Measure them; the exit code."""
    print('| timing | node | CPU s a minute | PSS MiB | processes |\n|---|---|---|---|---|')
    for text, settings in TIMINGS.items():
        with Cluster(nodes=3, settings=settings) as cluster:
            cluster.start_ahm()
            cluster.wait_until(lambda: cluster.nodes[0].status().leader == cluster.nodes[0].name,
                               FORM_SECONDS, 'a leader')
            time.sleep(5.0)
            for name, before, after in measured(cluster.nodes[:2], seconds):
                used = (after.processor_seconds - before.processor_seconds) / seconds * 60
                print('| %s | %s | %.2f | %.1f | %d |' % (
                    text, name, used, after.memory_bytes / 2 ** 20, after.processes), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(*map(float, sys.argv[1:])))
