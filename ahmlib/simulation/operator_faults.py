"""What operators ask of the daemons, also at a bad moment: faults like the others.

The operator never lies: force is asked for only where all hosts that are silent are off for good.
"""

from typing import TYPE_CHECKING

from ahmlib.core import events

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

#: What the operator allows a restart of the database.
RESTART_LIMIT_SECONDS = 30


def _ask(world: 'World', place: int, what: str) -> None:
    world.feed(world.hosts[place], events.ClientAsked(0, {'ask': what}, 'an operator'))


def attach(world: 'World', place: int) -> None:
    """an operator attaches it (ahm_attach_node)"""
    _ask(world, place, 'attach')


def rebuild(world: 'World', place: int) -> None:
    """an operator attaches it, by a copy if need be (ahm_attach_node --rebuild)"""
    world.feed(world.hosts[place], events.ClientAsked(
        0, {'ask': 'attach', 'rebuild': True}, 'an operator'))


def promote(world: 'World', place: int) -> None:
    """an operator wants its database to be the primary (ahm_promote_node)"""
    _ask(world, place, 'promote')


def force(world: 'World', place: int) -> None:
    """an operator promotes it by force: hosts that are off now are gone for good"""
    host = world.hosts[place]
    others = [other for other in range(len(world.hosts)) if other != place]
    off = [other for other in others if not world.hosts[other].powered]
    if host.node is None or host.paused or any(
            not host.node.consensus.members.is_two_way(other)
            or world.hosts[other].node is None or world.hosts[other].paused
            for other in others if other not in off):
        # An operator would see that they are not gone.
        world.note(host, 'no operator would force it: it is silent, or another node is and not off')
        return
    world.feed(host, events.ClientAsked(0, {'ask': 'promote', 'force': True}, 'an operator'))
    if host.answered['ok']:
        world.gone.update(off)


def restart_database(world: 'World', place: int) -> None:
    """an operator restarts its database (ahm_restart_database)"""
    world.feed(world.hosts[place], events.ClientAsked(
        0, {'ask': 'restart', 'timeout': RESTART_LIMIT_SECONDS}, 'an operator'))


def shutdown_cluster(world: 'World', place: int) -> None:
    """an operator ends all daemons through it (ahm_shutdown_cluster)"""
    _ask(world, place, 'shutdown')


def pause_node(world: 'World', place: int) -> None:
    """an operator puts it in maintenance (ahm_pause_cluster --node)"""
    _ask_node(world, place, 'pause')


def resume_node(world: 'World', place: int) -> None:
    """an operator ends its maintenance (ahm_resume_cluster --node)"""
    _ask_node(world, place, 'resume')


def pause_cluster(world: 'World', place: int) -> None:
    """an operator pauses the cluster through it (ahm_pause_cluster)"""
    _ask_leader(world, place, 'pause')


def resume_cluster(world: 'World', place: int) -> None:
    """an operator ends the pause of the cluster through it (ahm_resume_cluster)"""
    _ask_leader(world, place, 'resume')


def _ask_leader(world: 'World', place: int, what: str) -> None:
    """The command asks the leader that this node follows."""
    node = world.hosts[place].node
    row = None if node is None else node.leader_row()
    _ask(world, place if row is None else row.sender, what)


def _ask_node(world: 'World', place: int, what: str) -> None:
    host = world.hosts[place]
    world.feed(host, events.ClientAsked(0, {'ask': what, 'node': host.settings.name},
                                        'an operator'))
