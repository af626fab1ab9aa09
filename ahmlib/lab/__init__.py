"""Real clusters on one machine: real PostgreSQL, real AHM, real faults, and a record of it all.

The simulator proves the protocol; the lab proves what the simulator has to assume: that PostgreSQL,
the kernel and the programs AHM runs behave as the core believes.  Here is what users can run, and
what it takes: `python3 -m ahmlib.lab.demo` shows a failover from start to end.  It needs no root:
every node has its own 127.x address, and the VIP is a 127.x address behind which a small TCP relay
(relay.py) leads to the local database.  Hosts in network namespaces, and faults of networks and
disks, are the tests' (tests/lab).

Reading order: demo.py, cluster.py, hosts.py, postgres.py; then the two witnesses client.py and
prober.py, and record.py, which turns what they wrote into figures.  Everything runs on
CLOCK_MONOTONIC of the one machine, so all instants can be compared.
"""


class LabError(Exception):
    """The lab cannot do what it was asked to; the text says why, and what was seen last."""
