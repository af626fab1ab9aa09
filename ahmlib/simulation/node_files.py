"""Nodes that are restarted with another nodes.conf: what the daemon does about it, in this world.

A host is its place in every file, so a file has the first so many hosts of the world, and two of
the same length differ by their fingerprint alone, as by another quorum rule.  What is refused is
what `runtime.changed_nodes` refuses; the state goes along as `runtime.memory` reads it.
"""

from typing import TYPE_CHECKING, Optional

from ahmlib.core.beacon import Farewell
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.settings import Settings
from ahmlib.runtime.changed_nodes import pause_of, why_not_changed
from ahmlib.simulation.lemma import sealed_pause

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World

#: Between two looks whether the daemon has ended.
ENDING_SECONDS = 0.1


def carried(saved: Saved, size: int) -> Saved:
    """This state as a daemon reads it whose file has the first so many hosts."""
    def place(found: Optional[int]) -> Optional[int]:
        return found if found is None or found < size else None
    claim, record, pause = saved.claim, saved.record, saved.pause
    nodes = tuple(each for each in claim.nodes if each < size)
    holder = place(pause.holder)
    return saved._replace(
        voted_for=place(saved.voted_for), leader=place(saved.leader), moved=True,
        names=(saved.names + size * (None,))[:size],
        record=None if record is None or record.node >= size else record,
        claim=claim._replace(nodes=nodes, needed=min(claim.needed, len(nodes))),
        pause=pause._replace(on=pause.on and holder is not None, holder=holder))


def why_not_moved(host: 'Host', settings: Settings) -> str:
    """Why this host's daemon is not restarted with these settings; '' where it is."""
    if settings.cluster == host.settings.cluster:
        return ''
    if host.node is not None:
        found = pause_of(host.node)
        return 'the cluster is not paused' if found is None else why_not_changed(
            found['nodes'], settings, found['holder'], found['known_by'])
    pause, addresses = sealed_pause(host), host.settings.addresses
    if pause is None:
        return ''           # it listens, and stays: nobody of another file is heard, or is to be
    assert pause.holder is not None
    return why_not_changed(addresses, settings, addresses[pause.holder], addresses)


def move(world: 'World', place: int, settings: Settings) -> str:
    """`ahm restart`, or a start, with this file; why it is refused, or ''."""
    host = world.hosts[place]
    why = why_not_moved(host, settings)
    world.note(host, '--- is restarted with the nodes.conf of %d nodes (%d)%s' % (
        settings.size, settings.cluster, why and ': refused, %s' % why))
    if why:
        return why
    if host.node is not None:
        world.stop(place, Farewell.RESTARTING)
    _start_once_ended(world, host, settings)
    return ''


def _start_once_ended(world: 'World', host: 'Host', settings: Settings) -> None:
    if host.node is not None or host.writing is not None:
        world.after(ENDING_SECONDS, lambda: _start_once_ended(world, host, settings))
        return
    if not host.powered:
        return
    if host.saved is not None and settings.cluster != host.settings.cluster:
        host.saved = carried(host.saved, settings.size)
    host.settings = settings
    world.start(settings.own)
