"""This process as client libraries of Prometheus name it, from /proc, which no disk is behind."""

import os
import resource
from typing import List

from ahmlib.http.exposition import COUNTER, GAUGE, Family, one

TICKS = os.sysconf('SC_CLK_TCK')
PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')


def _boot_at() -> float:
    """When this host booted, in seconds since 1970."""
    with open('/proc/stat') as file:
        found = [line.split()[1] for line in file if line.startswith('btime ')]
    return float(found[0]) if found else 0.0


def families() -> List[Family]:
    """CPU, memory and descriptors of this process."""
    with open('/proc/self/stat') as file:
        # What is behind the name, which may hold anything.
        fields = file.read().rpartition(')')[2].split()
    return [
        Family('process_cpu_seconds_total', COUNTER, 'CPU time of user and system.',
               one((int(fields[11]) + int(fields[12])) / TICKS)),
        Family('process_start_time_seconds', GAUGE, 'When it started, since 1970.',
               one(_boot_at() + int(fields[19]) / TICKS)),
        Family('process_virtual_memory_bytes', GAUGE, 'Virtual memory.', one(int(fields[20]))),
        Family('process_resident_memory_bytes', GAUGE, 'Resident memory.',
               one(int(fields[21]) * PAGE_BYTES)),
        Family('process_open_fds', GAUGE, 'Open file descriptors.',
               one(len(os.listdir('/proc/self/fd')))),
        Family('process_max_fds', GAUGE, 'How many it may have open.',
               one(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))]
