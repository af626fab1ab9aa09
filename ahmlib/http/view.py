"""What a health check needs to know of this node, as of one instant.

It is taken from the core without waking it: only the lease is compared with a clock of its own, for
the core's is that of the newest event.
"""

from typing import TYPE_CHECKING, NamedTuple, Optional

from ahmlib.core.consensus.speaking import TRY_STALL_SECONDS
from ahmlib.core.states import DatabaseState, Role

if TYPE_CHECKING:
    from ahmlib.core.beacon import Beacon
    from ahmlib.core.node import Node
    from ahmlib.core.parts import Parts

SYNC, QUORUM, ASYNC = 'sync', 'quorum', 'async'


class View(NamedTuple):
    """One node at one instant."""

    serves: bool = False            # clients may write here (Vip.serves)
    standby: bool = False           # a standby that belongs to the cluster, and passed its check
    streams: bool = False           # it streamed at its newest check
    applied_lag: Optional[int] = None       # bytes that it has not replayed; None: not known
    written_lag: Optional[int] = None       # bytes that it has not received
    confirms: Optional[str] = None  # SYNC, QUORUM or ASYNC; None: no leader in force tells
    checked_well: bool = False      # the newest check of its database succeeded
    stuck: str = ''                 # why this daemon cannot do its work


def view_of(node: 'Node', now: float) -> View:
    """The View of a node at this instant of its clock."""
    parts = node.parts
    database = parts.database
    # A standby that fails its checks is a replica no more from the first one on: nothing else but
    # reads goes by that, so there is no failover to be slow about.
    standby = database.state is DatabaseState.STANDBY and not database.failures \
        and not is_cut_off(parts)
    leader = primary_row(parts)
    return View(
        parts.vip.serves(now), standby, standby and database.streams,
        _lag(leader, database.replayed), _lag(leader, database.lsn),
        None if leader is None else confirms(leader, node.own),
        database.answer is not None and not database.failures, why_stuck(parts, now))


def is_cut_off(parts: 'Parts') -> bool:
    """Whether this node hears no other one, and so counts as LOST for them."""
    return parts.facts.settings.size > 1 and not parts.consensus.members.in_touch()


def primary_row(parts: 'Parts') -> Optional['Beacon']:
    """The row of the leader in force, where that leads over a primary; never an old one."""
    row = parts.facts.row if parts.consensus.leads else parts.consensus.leader_in_force()
    return row if row is not None and row.database is DatabaseState.PRIMARY else None


def _lag(leader: Optional['Beacon'], position: int) -> Optional[int]:
    if leader is None or not leader.lsn or not position:
        return None
    return max(0, leader.lsn - position)


def confirms(leader: 'Beacon', place: int) -> str:
    """Whether the commits of this leader's primary wait for the standby of that node."""
    if not leader.sync_needed or place not in leader.sync_nodes:
        return ASYNC
    return QUORUM if leader.sync_needed < len(leader.sync_nodes) else SYNC


def why_stuck(parts: 'Parts', now: float) -> str:
    """Why this daemon cannot do its work; '' where it can."""
    speaker = parts.consensus.speaker
    if speaker.refused:
        return 'the disk of data_dir refuses: %s' % speaker.refused
    if speaker.stalls() >= TRY_STALL_SECONDS:
        return 'the disk of data_dir does not answer'
    if parts.consensus.role is Role.RETREATS \
            and now > parts.history.state_since + parts.facts.timing.fence:
        return 'its step-down takes longer than T_fence'
    return ''
