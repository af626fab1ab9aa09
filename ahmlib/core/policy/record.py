"""Which primary database is the rightful one: the one on record (ahm_protocol(7), R32).

Every node keeps on disk and publishes the newest (timeline, term, node) seen leading over a
primary, and a new leader raises the VIP only once a majority repeats its record.  So the rows of
any majority hold the newest record behind which clients ever wrote, and a database that runs as a
primary can be judged by them, whoever was started first.
"""

from typing import Iterable, List, Optional

from ..beacon import Beacon, Record, newer_record
from ..states import DatabaseState


def newest_record(rows: Iterable[Beacon], system_id: str = '') -> Optional[Record]:
    """The newest record in these rows, of this system identifier where one is given."""
    newest = None
    for row in rows:
        if row.record is None or (system_id and row.record.system_id != system_id):
            continue
        newest = newer_record(newest, row.record)
    return newest


def primaries(rows: Iterable[Beacon]) -> List[Beacon]:
    """Those whose database accepts writes, as their own daemons say; rightful or not."""
    return [row for row in rows if row.database is DatabaseState.PRIMARY]


def is_rightful(node: int, timeline: int, system_id: str, rows: Iterable[Beacon]) -> bool:
    """Whether the primary database of `node` may lead, judged by the rows of a majority.

    Its timeline is higher than the newest on record, or equal and it is the one on record; with
    nothing on record, no database in these rows has a higher timeline.
    """
    rows = list(rows)
    newest = newest_record(rows, system_id)
    if newest is None:
        return all(row.timeline <= timeline for row in rows if row.system_id == system_id)
    return timeline > newest.timeline or (timeline == newest.timeline and newest.node == node)
