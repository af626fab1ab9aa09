"""What a lemma is, and what lemmas ask of the world; the lemmas themselves stand in `lemmas`."""

from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional, Tuple

from ahmlib.core.beacon import Pause
from ahmlib.core.consensus.saved import Saved

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World

OBSTRUCTING = ('vip', 'stop', 'signal')


class Violated(AssertionError):
    """A lemma does not hold; the message says what was seen."""


class Lemma:
    """One lemma.  A subclass overrides what it needs, and names it here."""

    number = 0
    watches: Tuple[type, ...] = ()      # effects before whose performance `performed` is called
    watches_steps = False               # `step` is called after every happening
    watches_events = False              # `handled` is called after every event of a daemon
    watches_disks = False               # `saved` is called when a state is about to be on disk

    def __init__(self, world: 'World') -> None:
        self.world = world

    @property
    def title(self) -> str:
        """Its number and its text."""
        return 'L%d (%s)' % (self.number, (self.__doc__ or '').strip().splitlines()[0])

    def step(self) -> None:
        """Something happened in the world."""

    def handled(self, host: 'Host', event: Any) -> None:
        """The daemon of this host has handled this event, and its effects were performed."""

    def performed(self, host: 'Host', effect: Any) -> None:
        """This effect is about to be performed on this host."""

    def saved(self, host: 'Host', saved: Saved) -> None:
        """This state is about to replace `host.saved`."""


def halves(world: 'World') -> bool:
    """Half votes on an even number of nodes: voters and acknowledgers need not share a node."""
    return world.settings.half_votes and world.settings.size % 2 == 0


def may_split(world: 'World', serving: Iterable['Host']) -> bool:
    """Half votes whose tie nothing breaks: each half may have a leader.

    A trusted server breaks it once one of the two has not reached it for as long as the other half
    waits.
    """
    if not halves(world):
        return False
    wait = world.settings.timing.hold + 2 * world.settings.interval
    return not world.settings.trusted or all(
        host.reaches_trusted or world.now < host.trusted_lost_at + wait for host in serving)


def by_force(world: 'World', host: 'Host') -> bool:
    """Whether this node leads, or may be elected, by the word of an operator who was there."""
    return host.settings.own in world.forced and host.node.parts.force.claims


def leases(world: 'World') -> Dict[int, float]:
    """The nodes that hold a lease now, and when it ends on the clock of each."""
    found = {}
    for host in world.hosts:
        node = host.node
        if node is None or not node.leads or not host.powered:
            continue
        until = node.consensus.tenure.until()
        if host.clock(world.now) < until:
            found[host.settings.own] = until
    return found


def sealed_pause(host: 'Host') -> Optional[Pause]:
    """The sealed pause on the disk of this host, if there is one."""
    pause = host.saved.pause if host.saved is not None else None
    return pause if pause is not None and pause.on and pause.sealed else None


def spared(host: 'Host') -> bool:
    """Whether a pause spares the primary and the VIP of this host, as its disk says."""
    pause = sealed_pause(host)
    return pause is not None and pause.holder == host.settings.own


def excused(world: 'World', host: 'Host') -> bool:
    """Beyond any program in user space: this host cannot be made to step down in time."""
    if host.node is None or host.paused or is_obstructed(host):
        return True
    return world.now < max(host.resumed_at + host.settings.timing.fence, host.obstructed_until)


def is_obstructed(host: 'Host') -> bool:
    """Whether the commands of a step-down do not do their work on this host."""
    return any(host.behaviour(what) != 'works' for what in OBSTRUCTING)
