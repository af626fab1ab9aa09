"""Running other programs, each within a limit of time.

    deadline    one overall limit that every step of a function draws from
    programs    running a program: no shell, own process group, killed at the limit
    hooks       running one of the operator's scripts

All that waits here blocks, so it runs in a child process of the daemon and never in its loop.
Nothing here knows of a database, an address or a cluster.
"""
