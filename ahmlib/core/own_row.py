"""Build this node's row from what it knows: the one place where facts become claims."""

from .beacon import Beacon
from .record import is_rightful
from .states import DatabaseState, NodeState
from .troubles import cut


def build_row(node) -> Beacon:
    """The row of this node as of `node.now`."""
    settings, database, promise = node.settings, node.database, node.promise
    claim = node.claims.claim
    row = Beacon(
        cluster=settings.cluster, sender=node.own, name=settings.name,
        priority=settings.priority, witness=settings.witness,
        interval=settings.interval, retries=settings.retries,
        incarnation=node.incarnation, seq=node.speaker.seq, uptime=node.now - node.started_at,
        heard=node.members.heard(),
        term=node.term, voted_for=node.voted_for, leader=node.leader,
        leader_incarnation=promise.incarnation if node.leader is not None else 0,
        leader_seq=promise.seq if node.leader is not None else 0,
        due=node.elections.due, due_only=node.elections.due_only, followed=node.followed,
        record=node.record, state=node.state, stepping_down=node.stepping_down,
        farewell=node.farewell, bound=promise.bound,
        successor=node.leadership.successor if node.is_leading else node.successor,
        database=database.state, system_id=database.system_id, timeline=database.timeline,
        lsn=database.lsn, replayed=database.replayed, held=database.held,
        standstill=cut(database.standstill), fresh=_is_fresh(node),
        streaming=database.streaming,
        out=bool(database.out),
        ok_age=None if database.ok_at is None else node.now - database.ok_at,
        inquiry=node.leadership.inquiry if node.is_leading else node.standby.inquiry,
        evidence=node.investigation.published(),
        can_fence=settings.pre_promotion,
        holds_vip=node.vip.held if node.vip.configured else None,
        primary_lsn=node.primary_lsn, sync_needed=claim.needed, sync_nodes=claim.nodes,
        sync_term=claim.term, sync_version=claim.version,
        sync_doubt=cut(node.claims.doubt), problem=cut(_problem(node)),
        nodes=settings.addresses if node.foreign.heard else (), intent=node.operator.published(),
        forced=node.force.reigns if node.is_leading else node.force.claims,
        shared=settings.shared, hindered=bool(node.rehearsals.would_fail),
        refused_by=tuple(node.rehearsals.refused_by()),
        no_handover=cut(node.rehearsals.why_no_handover()), troubles=node.troubles.published())
    return row._replace(rightful=_is_rightful(node, row))


def _problem(node) -> str:
    """What is wrong here: what the node is about first, then what its checks say."""
    database = node.database
    return node.problem or node.speaker.problem or node.vip.problem or database.distrust \
        or database.standstill or database.remark


def _is_fresh(node) -> bool:
    """Whether its position is known, and was looked at since the leader was lost."""
    database, lost_at = node.database, node.lost_at
    return lost_at is not None and database.ok_at is not None and database.ok_at >= lost_at \
        and database.lsn_known


def _is_rightful(node, row: Beacon) -> bool:
    """A primary that leads is the one on record; any other is judged by the rows of a majority.

    Where a majority is gone for good, an operator's word stands for these rows.
    """
    if row.database is not DatabaseState.PRIMARY or not node.database.runs_as_primary:
        return False
    if node.state is NodeState.LEADER or node.force.claims:
        return True
    rows = node.members.in_touch(node.now) + [row]
    if len(rows) < node.votes_needed:
        return False
    return is_rightful(node.own, row.timeline, row.system_id, rows)
