"""What commits wait for, where AHM sets that: the order to set it, and what was promised so far."""

from typing import TYPE_CHECKING, List

from ahmlib.core import effects, events
from ahmlib.core.beacon import Claim
from ahmlib.core.settings import SynchronousMode
from ahmlib.simulation.host import FAILS, HANGS, SLOW

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World

#: From the order until the setting counts, and from then on until the answer.
WRITE_SECONDS, SEEN_SECONDS = 0.05, 0.05
#: Of a slow server; longer than the order may take.
LONG_SECONDS = 12.0


def set_synchronous(world: 'World', host: 'Host', effect: effects.SetSynchronous) -> None:
    """It counts from one instant on; the position is read, and answered, a moment later.

    Where it hangs it counts, and nobody is told; where it is slow it counts after its limit.
    """
    behaves, life = host.behaviour('synchronous'), host.life

    def counts() -> None:
        if host.life == life and host.database.running and not host.database.hung:
            host.database.synchronous = effect.needed, effect.names
            world.note(host, 'commits wait for %d of %s' % (
                effect.needed, ', '.join(effect.names) or 'nobody'))

    def seen() -> events.ActionEnded:
        mine = host.database
        if not mine.running or mine.hung or mine.synchronous != (effect.needed, effect.names):
            return events.ActionEnded(effect.token, False, 'it is not seen in force')
        return events.ActionEnded(effect.token, True, lsn=mine.lsn)

    if behaves != FAILS:
        world.after(LONG_SECONDS if behaves == SLOW else WRITE_SECONDS, counts)
    if behaves in (HANGS, SLOW):
        world.later(host, effect.limit, lambda: events.ActionEnded(
            effect.token, False, 'not done in %g s' % effect.limit))
    else:
        world.later(host, WRITE_SECONDS + SEEN_SECONDS, seen)


def is_set_by_ahm(world: 'World') -> bool:
    """Whether AHM sets what commits wait for in this world."""
    return world.settings.synchronous_mode is not SynchronousMode.OFF


def newest_claims(world: 'World') -> List[Claim]:
    """The claims of which each is the newest one on the disks of some voters.

    A node without a state file does not vote until it has heard the others.
    """
    known = sorted(host.saved.claim for host in world.hosts if host.saved is not None)
    needed = world.settings.size // 2 + 1
    return sorted(set(known[needed - 1:]))


def is_promised(world: 'World') -> bool:
    """Whether whoever is elected knows that commits were promised to be kept."""
    newest = newest_claims(world)
    return bool(newest) and all(claim.needed for claim in newest)
