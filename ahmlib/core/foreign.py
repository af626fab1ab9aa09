"""Nodes of another cluster: another nodes.conf or another quorum rule.  They do not count."""

from .events import ForeignHeard
from .settings import Settings


def describe_foreign(settings: Settings, event: ForeignHeard) -> str:
    """What is different there, entry by entry where the sender has told its entries."""
    ours, theirs = set(settings.addresses), set(event.nodes)
    differ = '; '.join(filter(None, (
        'only there: %s' % ', '.join(sorted(theirs - ours)) if theirs - ours else '',
        'only here: %s' % ', '.join(sorted(ours - theirs)) if theirs and ours - theirs else '',
    ))) or 'the quorum rule or the entries differ'
    return 'the node at %s (%s) belongs to another cluster: %s' % (
        event.host, event.name or 'name unknown', differ)
