"""Real clusters on one machine: real PostgreSQL, real AHM, real faults, and a record of it all.

The simulator proves the protocol; the lab proves what the simulator has to assume: that PostgreSQL,
the kernel and the programs AHM runs behave as the core believes.  Two kinds of host share one
interface (hosts.py):

    loopback     no root needed.  Every node has its own 127.x address; the VIP is a 127.x address
                 behind which a small TCP relay (relay.py) leads to the local database.
    namespaces   root, iproute2, nftables, arping, setpriv.  Hosts on a bridge (network.py) with
                 real VIPs and gratuitous ARP; faults are made in the switch.

Reading order: cluster.py (what a test uses), hosts.py, network.py, postgres.py; then the two
witnesses client.py and prober.py, and record.py, which turns what they wrote into figures.
Everything runs on CLOCK_MONOTONIC of the one machine, so all instants can be compared.
`python3 -m ahmlib.lab.demo` shows a failover from start to end.
"""


class LabError(Exception):
    """The lab cannot do what it was asked to; the text says why, and what was seen last."""
