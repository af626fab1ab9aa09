"""The part of the lab that only tests use: hosts on a switch, disks that fail, servers by version.

`ahmlib.lab` is what users run (`make demo`): clusters on loopback addresses, with the PostgreSQL of
the machine.  What is here comes on top of it:

    cluster.py        Cluster for tests: both kinds of host, any major version, disks that fail
    network.py        a switch and hosts made of network namespaces; hosts.py: a node on one
    binaries.py       servers of all major versions, fetched once
    small_disk.py, stalling_disk.py, server_faults.py       what goes wrong below and in a server
    ssh.py            logins between the hosts, which fencing needs

Reading order: cluster.py, hosts.py, network.py; the rest by need.
"""
