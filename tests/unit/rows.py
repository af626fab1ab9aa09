"""Rows and settings for unit tests of the core."""

from ahmlib.core.beacon import Beacon
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.host import make_settings

SYSTEM = '7000000000000000001'


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
