"""Who may lead, who should, and when (R12 to R21): pure functions of rows.

Data first, then preference: a running rightful primary, then the higher timeline, then the higher
position, then whom a resignation named (it has replayed all), who could carry a takeover out, who
has replayed what it received, the lower `priority`, the name.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..beacon import Beacon, Claim, Due
from ..states import DatabaseState

Rank = Tuple[bool, int, int, bool, bool, bool, int, Tuple[int, ...]]
#: So much WAL is replayed in no time: a standby that lags by no more counts as having replayed all.
REPLAY_STEP_BYTES = 1024 * 1024


class View(NamedTuple):
    """What eligibility is judged against, as one node sees it."""
    system_id: str = ''         # of the primary on record; '' while unknown
    timeline: int = 0           # of the primary on record; 0 while unknown
    primary_lsn: int = 0        # the last position known of the primary
    lag_limit: int = 0          # failover_lag_limit_bytes; 0: none
    named: Optional[int] = None     # the successor that a resignation named
    primary: str = 'the primary'    # the name of the node on record


def why_not_eligible(row: Beacon, view: View) -> str:
    """Why the node of this row may not lead; '' where it may."""
    if row.witness or row.maintenance:
        return 'is in maintenance' if row.maintenance else 'is a witness'
    if row.database is DatabaseState.QUARANTINED:
        return 'its database is quarantined'
    if row.out:
        return 'was reported out: repair its database, then run ahm_attach_node'
    if row.database is DatabaseState.FAILED:
        return 'its database failed its checks'
    if row.database is DatabaseState.UNKNOWN:
        return 'its database has not answered yet'
    if row.database is DatabaseState.PRIMARY:
        return '' if row.rightful else 'its database is a primary, but not the one on record'
    if row.priority == 0:
        return 'has priority 0'
    if view.system_id and row.system_id and row.system_id != view.system_id:
        return 'its database has another system identifier (%s, the primary has %s)' % (
            row.system_id, view.system_id)
    if view.timeline and row.timeline > view.timeline:
        return 'is on timeline %d, and the primary on record is on %d: promoted by somebody else' \
            % (row.timeline, view.timeline)
    if row.standstill:
        return 'cannot replay what it has received: %s' % row.standstill
    if row.streaming is False:
        return 'does not stream from the primary'
    return why_too_far_behind(row, view)


def sentence(name: str, why: str) -> str:
    """Why the node of this name may not lead, as people say it."""
    return name + ("'s " + why[4:] if why.startswith('its ') else ' ' + why)


def why_too_far_behind(row: Beacon, view: View) -> str:
    """Why this standby lacks too much of what the primary had; '' if it does not."""
    behind = view.primary_lsn - row.lsn
    if view.lag_limit and behind > view.lag_limit:
        return 'is %s behind %s and failover_lag_limit_bytes is %s' % (
            _size(behind), view.primary, _size(view.lag_limit))
    return ''


def _size(count: int) -> str:
    """Bytes, for people too."""
    megabytes = count / 1048576.0
    return '%d bytes%s' % (count, ' (%.3g MB)' % megabytes if megabytes >= 1 else '')


def rank(row: Beacon, view: View) -> Rank:
    """Sort key: greater leads.  Data first, then preference."""
    return _data(row) + _preference(row, view)


def _data(row: Beacon) -> Tuple[bool, int, int]:
    running = row.database is DatabaseState.PRIMARY and row.rightful
    return running, row.timeline, row.lsn


def _preference(row: Beacon, view: View) -> Tuple[bool, bool, bool, int, Tuple[int, ...]]:
    return (row.sender == view.named, not row.hindered, has_replayed(row), -row.priority,
            tuple(-ord(letter) for letter in row.name) + (1,))


def has_replayed(row: Beacon) -> bool:
    """Whether its promotion need not wait for replay; one that does not tell is believed to have.
    """
    if row.database is DatabaseState.PRIMARY or not row.replayed:
        return True
    return not row.held and row.lsn - row.replayed <= REPLAY_STEP_BYTES


def level_needed(row: Beacon, on_record: Optional[int]) -> Due:
    """How due an election must be for the node of this row to stand in it."""
    if row.database is DatabaseState.PRIMARY:
        return Due.PRIMARY
    if row.sender == on_record or row.can_fence:
        return Due.FENCER
    return Due.ANYBODY


def finds_due(row: Beacon, candidate: int, level: Due) -> bool:
    """Whether this row finds an election due for that candidate."""
    return row.due >= level and (row.due_only is None or row.due_only == candidate)


def why_sync_forbids(row: Beacon, rows: Sequence[Beacon], view: View,
                     known: Sequence[Beacon]) -> str:
    """With synchronous replication: why this candidate might lack an acknowledged commit.

    `rows` are those in contact, the own one included; the newest claim in them is what commits
    waited for.  Of `known` ones the position is known, as it is since the old primary is gone.
    A running primary lacks nothing: only its return is voted on.
    """
    if row.database is DatabaseState.PRIMARY:
        return ''
    newest = max(other.claim[:2] for other in rows)
    claims = {other.claim for other in rows if other.claim[:2] == newest}
    found = [_why_sync_forbids(row, known, view, claim) for claim in sorted(claims)
             if claim.needed and claim.nodes]
    return next((why for why in found if why), '')


def _why_sync_forbids(row: Beacon, known: Sequence[Beacon], view: View, claim: Claim) -> str:
    """As above, for one claim: `needed` of these `nodes` confirmed every commit.

    So among any m - needed + 1 of these m nodes is one that has it.  One that somebody else has
    promoted since had confirmed nothing beyond its position, on the timeline on record.
    """
    def position(other: Beacon) -> Tuple[int, int]:
        """How far it confirmed, on the timeline on record."""
        return min(other.timeline, view.timeline or other.timeline), other.lsn

    having = [other for other in known if other.sender in claim.nodes]
    enough = len(claim.nodes) - claim.needed + 1
    if len(having) < enough:
        return 'heard %d of the %d synchronous standbys, needs %d' % (
            len(having), len(claim.nodes), enough)
    ahead = [other.name for other in having if position(other) > position(row)]
    return 'synchronous standby %s has more data' % ahead[0] if ahead else ''


def best(rows: List[Beacon], view: View, lsn_step: int = 0) -> Optional[Beacon]:
    """The best eligible row, or None.

    One that is behind the first by no more than `lsn_step` bytes counts as level with it.
    """
    eligible = [row for row in rows if not why_not_eligible(row, view)]
    if not eligible:
        return None
    running, timeline, lsn = max(map(_data, eligible))
    level = [row for row in eligible if _data(row) >= (running, timeline, lsn - lsn_step)]
    return max(level, key=lambda row: _preference(row, view))
