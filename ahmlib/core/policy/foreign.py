"""Nodes of another cluster: another nodes.conf or another quorum rule.  They do not count.

To change that file node by node is to take the majority from both: neither the nodes that have the
old one nor those that have the new one are enough in the middle.  So whoever hears of it says so.
"""

from typing import Dict, NamedTuple, Tuple

from ..events import ForeignHeard
from ..settings import Settings

#: So long a node of another cluster counts as heard, and for three of its beacons at least.
FOREIGN_SECONDS = 30.0
#: How the nodes, or the quorum rule, are changed.
ORDER = 'run ahm_pause_cluster, restart AHM on one node after the other with the new file, and ' \
    'run ahm_resume_cluster; or ahm_shutdown_cluster, bring the new file to all nodes, and ' \
    'then start AHM on all of them, on the host of the primary last'
#: Likewise where too few are left for that command.
ORDER_OF_FEW = 'run "ahm stop" on all nodes that are left (their databases stay), take the ' \
    'others out of nodes.conf there, and start AHM, on the host of the primary last'


class Heard(NamedTuple):
    """What was heard of one host, and when."""
    at: float
    text: str


class Foreign:
    """Who was heard that belongs to another cluster."""

    def __init__(self) -> None:
        self.heard: Dict[str, Heard] = {}

    def take(self, settings: Settings, event: ForeignHeard, now: float) -> None:
        """A host of this nodes.conf sent a row of another cluster."""
        self.heard[event.host] = Heard(now, describe_foreign(settings, event))

    def told(self, interval: float, now: float) -> str:
        """Who belongs to another cluster, as heard of late; '' where nobody does."""
        lasts = max(FOREIGN_SECONDS, 3 * interval)
        texts = [heard.text for _, heard in sorted(self.heard.items())
                 if now < heard.at + lasts]
        if not texts:
            return ''
        return '%s; correct the file that is wrong, and restart AHM there' % '; '.join(texts)


def describe_foreign(settings: Settings, event: ForeignHeard) -> str:
    """What is different there, entry by entry where the sender has told its entries."""
    ours, theirs = set(settings.addresses), set(event.nodes)
    differ: Tuple[str, ...] = tuple(filter(None, (
        'only there: %s' % ', '.join(sorted(theirs - ours)) if theirs - ours else '',
        'only here: %s' % ', '.join(sorted(ours - theirs)) if theirs and ours - theirs else '')))
    return 'the node at %s (%s) belongs to another cluster: %s' % (
        event.host, event.name or 'name unknown',
        '; '.join(differ) or 'its nodes.conf or its quorum rule differs')
