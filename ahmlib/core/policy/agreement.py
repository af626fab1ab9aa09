"""What all nodes have to agree on, and what has to be told apart: as their rows tell it.

A file that somebody edited on one host only shows at the next takeover, when clients find nobody at
the address they know.  Each node compares itself with its leader: so the odd one says it, and where
the leader is the odd one all others do.
"""

from typing import Dict, List, Optional

from ..beacon import Beacon
from ..consensus.consensus import Consensus
from ..facts import Facts

ROUNDS = 1.5        # rows that are this late, in intervals, are not waited for


def why_unlike_leader(facts: Facts, consensus: Consensus) -> str:
    """Which parameters of this node are not those of the leader it follows, and what they are."""
    leader = consensus.leader_row()
    if leader is None:
        return ''
    theirs, ours = dict(leader.shared), dict(facts.settings.shared)
    return '; '.join('%s is %s here and %s at %s, which leads: it has to be the same everywhere' % (
        parameter, ours[parameter] or 'not set', theirs[parameter] or 'not set', leader.name)
                     for parameter in ours if theirs.get(parameter, ours[parameter])
                     != ours[parameter])


def why_names_clash(facts: Facts) -> str:
    """Which nodes have one name: the one that starts later ends, and only its own log says why."""
    known = list(filter(None, facts.names))
    if len(set(known)) == len(known):
        return ''
    named: Dict[str, List[str]] = {}
    for place in facts.settings.order:
        named.setdefault(facts.names[place] or '', []).append(facts.settings.addresses[place])
    return '; '.join('the nodes at %s have one name, %s: give each a node_name of its own' % (
        ' and '.join(places), name) for name, places in named.items() if name and len(places) > 1)


class Namesake:
    """The older node of this one's name: then this one ends, and the others are to know why.

    A row counts only with those whose rows it echoes.  So this node goes on until its word counts
    with all, or a round of beacons later: else only the first that it heard would know of it.
    """

    def __init__(self, facts: Facts, consensus: Consensus) -> None:
        self.facts, self.consensus = facts, consensus
        self.place: Optional[int] = None
        self.heard_at = 0.0

    def heard(self, row: Beacon) -> None:
        """A row came that counts."""
        facts = self.facts
        if row.name == facts.settings.name and row.uptime > facts.now - facts.started_at \
                and self.place is None:
            self.place, self.heard_at = row.sender, facts.now

    def why_end(self) -> str:
        """Why this daemon ends now; '' while it goes on."""
        facts, heard = self.facts, len(self.consensus.members.in_touch()) + 1
        if self.place is None or heard < facts.settings.size and not facts.reached(
                self.heard_at + ROUNDS * facts.settings.interval):
            return ''
        return 'node_name %s is already used by the node at %s: give each its own name' % (
            facts.settings.name, facts.settings.addresses[self.place])
