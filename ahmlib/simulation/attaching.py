"""What attaching a database does to it in the simulated world: a standby of a primary, or a copy.

A copy takes its time, and is in place at its end or not at all; who was told to end makes none.
"""

from typing import TYPE_CHECKING

from ahmlib.core import effects, events
from ahmlib.simulation.host import Host

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

#: Of a copy of the whole primary.
COPY_SECONDS = 3.0
#: One that does not get on is ended after so long.
STALL_SECONDS = 100.0


def attached(world: 'World', host: Host, effect: effects.AttachDatabase) -> events.ActionEnded:
    """Attach the database of this host; the answer."""
    mine, other = host.database, world.hosts[effect.leader]
    theirs = other.database
    if not other.powered or theirs is None or not theirs.writable \
            or not world.network.connects(host.settings.own, effect.leader):
        return events.ActionEnded(effect.token, False, 'the primary does not answer')
    copied = effect.rebuild and not mine.can_stream_from(theirs)
    if copied and not theirs.is_closed:
        if host.node is None or not host.node.waits_for(effect.token):
            return events.ActionEnded(effect.token, False, 'it was killed')
        mine.become_copy(theirs, effect.leader)
        world.note(host, 'database rebuilt')
    elif not mine.can_stream_from(theirs):
        mine.stop()
        return events.ActionEnded(effect.token, False, 'it diverged', diverged=True)
    mine.upstream, mine.signal = effect.leader, True
    if not mine.running or not mine.in_recovery:
        mine.stop()
        mine.start()
    mine.stream_from(theirs)
    world.note(host, 'database attached')
    return events.ActionEnded(effect.token, True)
