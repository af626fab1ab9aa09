"""Rows, settings and a node's consensus for unit tests of the core."""

from ahmlib.core.beacon import Beacon
from ahmlib.core.consensus.consensus import Consensus
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.facts import Facts
from ahmlib.core.out import Out
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.host import make_settings

SYSTEM = '7000000000000000001'
#: Of the node whose consensus is looked at.
INCARNATION = 4711


def row(sender=1, size=3, **changes):
    """A healthy standby's row."""
    values = dict(
        cluster=77, sender=sender, name='AHM-NODE-%d' % (sender + 1), priority=sender + 1,
        witness=False, interval=0.5, retries=2, incarnation=100 + sender, seq=1, uptime=10.0,
        heard=(None,) * size, state=NodeState.STANDBY, database=DatabaseState.STANDBY,
        system_id=SYSTEM, timeline=1, lsn=1000, fresh=True, streaming=True, holds_vip=False)
    values.update(changes)
    return Beacon(**values)


def elect(node, term):
    """Let this node win an election of that term, with all votes."""
    node.consensus.ballot.stand(term)
    node.consensus.ballot.lead(node.settings.size)


def one_settings(size=3, own=0, **changes):
    """The settings of one node of a cluster."""
    return make_settings(size, **changes)[own]


def one_consensus(size=3, own=0, now=100.0, saved=Saved(), **changes):
    """The consensus of one node that has just been started, and has said one row."""
    facts = Facts(one_settings(size, own, **changes), now)
    facts.take_row(row(own, size))
    consensus = Consensus(facts, Out(), saved, INCARNATION)
    consensus.members.sent(1, now)
    return consensus


def hear(consensus, sender, **changes):
    """A row of this sender counts there; it echoes the newest row that was said, unless told so."""
    members = consensus.members
    seq, before = max(members.sent_at), members.row(sender)
    echoes = [None] * consensus.facts.settings.size
    echoes[consensus.facts.own] = (INCARNATION, changes.pop('echo', seq))
    changes.setdefault('seq', 1 + (before.seq if before is not None else 0))
    heard = row(sender, consensus.facts.settings.size, heard=tuple(echoes), **changes)
    assert consensus.heard(heard), 'it does not count'
    return heard


def goes_on(consensus, seconds):
    """So much later, and a row more was said."""
    consensus.facts.clock.advance(consensus.facts.now + seconds)
    consensus.members.sent(max(consensus.members.sent_at) + 1, consensus.facts.now)


def told(consensus):
    """What people were told since the last time."""
    return [effect.text for effect in consensus.ballot.out.take().asked if hasattr(effect, 'text')]


def elect_consensus(consensus, term, votes=2, forced=False):
    """It wins an election of that term, with so many votes."""
    consensus.ballot.stand(term)
    consensus.tenure.begin(votes, forced)
    consensus.promise.end()
    consensus.follower.led()
