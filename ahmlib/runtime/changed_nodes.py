"""A nodes.conf, or a quorum rule, that was changed since the daemon ran last.

A node that starts with another one belongs to another cluster from then on (R5), and its old one
has a vote less: restarted one after the other, they end an innocent leader, and nobody is enough to
elect the next one.  So a daemon whose state is of another cluster ends again where somebody leads
the other one on; who starts it is told.  All restarted at once is no such case: their leader is
soon silent.  Meanwhile it does all that a daemon does, for it may owe something at once: a primary
that is cut off has to be stopped.  So it stays where its database is a primary, or the VIP is here.

In a sealed pause it is a change for one node after the other (R62): who knows of the pause votes
for its holder alone, by whichever file.  So among those who could elect somebody by either file
there has to be one who knows of it, and the holder has to be in the new one.
"""

from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple

from ahmlib.core.consensus.quorum import votes_needed
from ahmlib.core.policy.foreign import ORDER
from ahmlib.runtime.settings import core_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.consensus.timing import Timing
    from ahmlib.core.node import Node
    from ahmlib.core.settings import Settings
    from ahmlib.network.wire import ForeignRow


class Listening:
    """What is heard of the other cluster after the start.  `timing` is that of this one.

    `paused`: this node has a sealed pause on disk, so a leader that is paused is no other one.
    """

    def __init__(self, timing: 'Timing', now: float, paused: bool = False) -> None:
        self._timing, self._paused = timing, paused
        self.began_at = now
        #: The newest ForeignRow that leads, and the host it came from; and when that was heard.
        self.other: Optional[Tuple[ForeignRow, str]] = None
        self.other_at: Optional[float] = None

    def heard(self, error: 'ForeignRow', host: str, now: float) -> None:
        """A row of another cluster came from this host."""
        if error.leads and not (self._paused and error.paused):
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


def why_not_changed(before: Sequence[str], new: 'Settings', holder: str,
                    known_by: Iterable[str]) -> str:
    """Why the nodes are not changed so in a pause that `holder` holds; '' where they may be (R62).

    before: the addresses in the nodes.conf until now.  known_by: those of the nodes that are known
    to have the pause on disk.
    """
    nodes = ', '.join(new.addresses)
    if holder not in new.addresses:
        return 'the cluster is paused, and its primary is at %s, which is not in the new ' \
            'nodes.conf (%s): make another node the primary first, with "ahm_promote_node" there' \
            % (holder, nodes)
    gone = sorted(set(before).difference(new.addresses))
    if len(gone) >= votes_needed(len(before), new.half_votes):
        return 'the new nodes.conf (%s) takes out %s, who could elect a leader by the old one: ' \
            'take out fewer at once' % (nodes, ' and '.join(gone))
    unknown = sorted(set(new.addresses).difference(known_by))
    needed = votes_needed(new.size, new.half_votes)
    if len(unknown) >= needed:
        return 'of the nodes in the new nodes.conf (%s) %s may not know of the pause, and %d ' \
            'elect a leader by it: add fewer at once, or start AHM first on those that were in ' \
            'the old one' % (nodes, ' and '.join(unknown), needed)
    return ''


def pause_of(node: 'Node') -> Optional[Dict[str, Any]]:
    """What a change of nodes.conf rests on: the sealed pause, by addresses; None: there is none."""
    addresses, known_by = node.settings.addresses, node.parts.paused.known_by()
    holder = node.parts.paused.pause.holder
    if holder is None or not known_by:
        return None
    return {'holder': addresses[holder], 'known_by': [addresses[place] for place in known_by],
            'nodes': list(addresses)}


def why_not_restart(answer: Mapping[str, Any], config: 'Config') -> str:
    """Why a daemon is not restarted, which has answered `answer` about itself; '' where it may be.

    What it answers is the driver's; one of the version before does not tell.
    """
    leader, cluster, pause = answer.get('leader'), answer.get('cluster'), answer.get('pause')
    if not (leader or pause) or cluster is None or cluster == core_settings(config).cluster:
        return ''
    assert config.nodes is not None
    if pause:
        return why_not_changed(pause['nodes'], core_settings(config), pause['holder'],
                               pause['known_by'])
    return '%s or the quorum rule was changed since AHM was started here, and %s leads by the ' \
        'one before: restarted node by node, no majority is left for either.  Nothing was ' \
        'stopped; %s' % (config.nodes.path, leader, ORDER)
