"""Build this node's row from what it knows: the one place where facts become claims."""

from .beacon import Beacon
from .parts import Parts
from .policy.troubles import cut


def build_row(parts: Parts) -> Beacon:
    """The row of this node as of `parts.facts.now`."""
    facts, settings, database = parts.facts, parts.facts.settings, parts.database
    consensus, ballot = parts.consensus, parts.consensus.ballot
    promise, contest, claim = consensus.promise, consensus.contest, parts.claims.claim
    follows = ballot.leader is not None
    row = Beacon(
        cluster=settings.cluster, sender=facts.own, name=settings.name,
        priority=settings.priority, witness=settings.witness, maintenance=database.maintained,
        interval=settings.interval, retries=settings.retries, pause=parts.paused.pause,
        incarnation=consensus.incarnation, seq=consensus.speaker.seq,
        uptime=facts.now - facts.started_at, heard=consensus.members.heard(),
        term=ballot.term, voted_for=ballot.voted_for, leader=ballot.leader,
        leader_incarnation=promise.incarnation if follows else 0,
        leader_seq=promise.seq if follows else 0,
        due=contest.due, due_only=contest.due_only, followed=consensus.follower.followed,
        record=parts.place.record, state=ballot.state, stepping_down=ballot.steps_down,
        farewell=consensus.farewell, bound=promise.bound,
        successor=parts.duties.successor if ballot.leads else parts.place.handed_to,
        database=database.state, system_id=database.system_id, timeline=database.timeline,
        lsn=database.lsn, replayed=database.replayed, held=database.held,
        standstill=cut(database.standstill), fresh=_is_fresh(parts),
        streaming=database.streaming, out=bool(database.out),
        ok_age=None if database.ok_at is None else facts.now - database.ok_at,
        inquiry=parts.investigation.asked if ballot.leads else parts.standby.inquiry,
        evidence=parts.investigation.published(), can_fence=settings.pre_promotion,
        holds_vip=parts.vip.held if parts.vip.configured else None,
        primary_lsn=parts.place.lsn, sync_needed=claim.needed, sync_nodes=claim.nodes,
        sync_term=claim.term, sync_version=claim.version,
        sync_doubt=cut(parts.claims.doubt), problem=cut(_problem(parts)),
        nodes=settings.addresses if parts.foreign.heard else (), intent=parts.intents.published(),
        forced=consensus.tenure.reigns if ballot.leads else parts.force.claims,
        shared=settings.shared, hindered=bool(parts.rehearsals.would_fail),
        refused_by=tuple(parts.rehearsals.refused_by()),
        no_handover=cut(parts.rehearsals.why_no_handover()), troubles=parts.troubles.published(),
        state_age=parts.history.state_age(), database_age=parts.history.database_age())
    rightful = parts.place.is_rightful(row, parts.force.claims)
    return row._replace(rightful=True) if rightful else row


def _problem(parts: Parts) -> str:
    """What is wrong here: what the node is about first, then what its checks say."""
    database = parts.database
    return parts.out.problem or parts.vip.problem or database.distrust or database.standstill \
        or database.remark or parts.boot.why


def _is_fresh(parts: Parts) -> bool:
    """Whether its position is known, and was looked at since the leader was lost."""
    database, lost_at = parts.database, parts.consensus.follower.lost_at
    return lost_at is not None and database.ok_at is not None and database.ok_at >= lost_at \
        and database.lsn_known
