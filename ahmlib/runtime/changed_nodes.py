"""A nodes.conf, or a quorum rule, that was changed since the daemon ran last.

A node that starts with another one belongs to another cluster from then on (R5), and its old one
has a vote less: restarted one after the other, they end an innocent leader, and nobody is enough to
elect the next one.  So a daemon whose state is of another cluster ends again where somebody leads
the other one on; who starts it is told.  All restarted at once is no such case: their leader is
soon silent.  Meanwhile it does all that a daemon does, for it may owe something at once: a primary
that is cut off has to be stopped.  So it stays where its database is a primary, or the VIP is here.
"""

from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple

from ahmlib.core.policy.foreign import ORDER
from ahmlib.runtime.settings import core_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.consensus.timing import Timing
    from ahmlib.network.wire import ForeignRow


class Listening:
    """What is heard of the other cluster after the start.  `timing` is that of this one."""

    def __init__(self, timing: 'Timing', now: float) -> None:
        self._timing = timing
        self.began_at = now
        #: The newest ForeignRow that leads, and the host it came from; and when that was heard.
        self.other: Optional[Tuple[ForeignRow, str]] = None
        self.other_at: Optional[float] = None

    def heard(self, error: 'ForeignRow', host: str, now: float) -> None:
        """A row of another cluster came from this host."""
        if error.leads:
            self.other, self.other_at = (error, host), now

    def ends_at(self) -> float:
        """Until when to listen: as long as a leader may be silent, from its newest row on.

        One that still leads after the promises to it would have ended has not been told to end.
        """
        timing = self._timing
        if self.other_at is None:
            return self.began_at + timing.lease
        return min(self.other_at, self.began_at + timing.hold) + timing.lease

    def why_not_started(self) -> str:
        """Why this daemon must not stay, once that is clear; '' else."""
        if self.other is None or self.other_at is None \
                or self.other_at < self.began_at + self._timing.hold:
            return ''
        row, host = self.other
        return '%s at %s leads by another nodes.conf or quorum rule than that of this node%s, ' \
            'and this node is not started beside it: put back here what it has, or %s' % (
                row.name or 'the node', host,
                row.nodes and ' (%s there)' % ', '.join(row.nodes) or '', ORDER)


def why_not_restart(answer: Mapping[str, Any], config: 'Config') -> str:
    """Why a daemon is not restarted, which has answered `answer` about itself; '' where it may be.

    What it answers is the driver's; one of the version before does not tell.
    """
    leader, cluster = answer.get('leader'), answer.get('cluster')
    if not leader or cluster is None or cluster == core_settings(config).cluster:
        return ''
    assert config.nodes is not None
    return '%s or the quorum rule was changed since AHM was started here, and %s leads by the ' \
        'one before: restarted node by node, no majority is left for either.  Nothing was ' \
        'stopped; %s' % (config.nodes.path, leader, ORDER)
