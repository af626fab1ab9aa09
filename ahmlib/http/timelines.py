"""/history: each timeline that was left, in the form that Patroni's tools read.

    [timeline, LSN at which it ended, reason, when the next one began, who leads over that]

Where it ended is in the history file of the server beside this node, as of the newest look at it.
Who began the next one, and when, is what this node has kept in its history of events: of its own
promotions, and of the new primaries of others that it saw while it ran.  What is not known is null.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ahmlib.core.beacon import Record
from ahmlib.core.policy.history import FAILOVER, FORCED, SWITCHOVER
from ahmlib.database.monitored import Ended, Monitored
from ahmlib.http.counters import TIMELINE
from ahmlib.runtime.history import instant

PROMOTED = 'promoted'
#: The event that tells why a promotion was, which follows it.
WHY = (FAILOVER, SWITCHOVER, FORCED)


class Begun(NamedTuple):
    """What is known of the beginning of a timeline."""
    leader: Optional[str] = None
    at: Optional[str] = None
    reason: str = ''


def history_page(looked: Optional[Monitored], events: Sequence[Dict[str, Any]],
                 record: Optional[Record], names: Sequence[Optional[str]]) -> List[List[Any]]:
    """The page; `record` is the primary on record, of which `names` has the name by its place."""
    begun = _begun(events)
    if record is not None:
        begun.setdefault(record.timeline, Begun(names[record.node]))
    found = [_row(each, begun.get(each.next, Begun())) for each in (looked.ended if looked else ())]
    # A witness has no such file, and others have not looked since the newest promotion.
    last = looked.timeline if looked is not None else 1
    return found + [[timeline - 1, None, told.reason or None, told.at, told.leader]
                    for timeline, told in sorted(begun.items()) if timeline > max(1, last)]


def _row(ended: Ended, told: Begun) -> List[Any]:
    at = None if ended.began_at is None else instant(ended.began_at)
    return [ended.timeline, ended.lsn, told.reason or ended.reason or None, told.at or at,
            told.leader]


def _begun(events: Sequence[Dict[str, Any]]) -> Dict[int, Begun]:
    """By timeline: what the events tell of its beginning, the oldest first."""
    found: Dict[int, Begun] = {}
    promoted = None
    for event in events:
        if event['kind'] == PROMOTED:
            promoted = _number(event['text'].rpartition('timeline ')[2])
            found[promoted] = Begun(event['node'], event['at'])
        elif event['kind'] in WHY and promoted is not None:
            found[promoted] = found[promoted]._replace(reason=event['cause'])
            promoted = None
        elif event['kind'] == TIMELINE:
            leader = event['text'].rpartition(' leads over ')[0]
            found.setdefault(_number(event['cause']), Begun(leader, event['at']))
    found.pop(0, None)
    return found


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 0
