"""AHM: failover for PostgreSQL and its family.

The decisions are in `core`; everything else performs them (`runtime`, `network`, `database`),
asks about them (`ipc`, `utilities`, `http`), or tries them out (`simulation`, `lab`).
"""

__version__ = '1.0'
