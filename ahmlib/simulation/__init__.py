"""The core in a small simulated world: virtual clock, lossy network, toy databases.

The same `core.node.Node` that the daemon runs, and every row through the real wire code.  `world`
is to the core what `runtime` is in the daemon: it performs effects and brings events.
"""
