"""What all nodes have to agree on, and what has to be told apart: as their rows tell it.

A file that somebody edited on one host only shows at the next takeover, when clients find nobody at
the address they know.  Each node compares itself with its leader: so the odd one says it, and where
the leader is the odd one all others do.
"""

from typing import Dict, List

from ..consensus.consensus import Consensus
from ..facts import Facts


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
    named: Dict[str, List[str]] = {}
    for place in facts.settings.order:
        named.setdefault(facts.names[place] or '', []).append(facts.settings.addresses[place])
    return '; '.join('the nodes at %s have one name, %s: give each a node_name of its own' % (
        ' and '.join(places), name) for name, places in named.items() if name and len(places) > 1)
