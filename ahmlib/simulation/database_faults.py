"""What can go wrong with the databases of the simulated world; part of the table of `faults`.

The docstring of a fault is its description for people.
"""

from typing import TYPE_CHECKING

from ahmlib.simulation.host import HANGS

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

RECOVERY_SECONDS = 4.0


def kill_database(world: 'World', place: int) -> None:
    """its database server is killed or stopped"""
    if world.hosts[place].database is not None:
        world.hosts[place].database.stop()


def hang_database(world: 'World', place: int) -> None:
    """its database server is frozen: it accepts connections and never answers"""
    host = world.hosts[place]
    if host.database is not None and host.database.running:
        host.database.hung = True


def thaw_database(world: 'World', place: int) -> None:
    """its frozen database server goes on"""
    mine = world.hosts[place].database
    if mine is not None and mine.hung:
        mine.hung = False
        mine.thaws += 1


def start_database(world: 'World', place: int) -> None:
    """its database server is started by hand"""
    host = world.hosts[place]
    if host.powered and host.database is not None and not host.database.running:
        host.database.start(by_hand=True)


def crash_recovery(world: 'World', place: int) -> None:
    """its database server crashes and recovers for a while"""
    host = world.hosts[place]
    if host.powered and host.database is not None and host.database.running:
        host.database.stop()
        host.database.start(by_hand=True)
        host.database.starting, starts = True, host.database.starts

        def recovered() -> None:
            if host.database.starts == starts:
                host.database.starting = False
        world.after(RECOVERY_SECONDS, recovered)


def promote_by_hand(world: 'World', place: int) -> None:
    """somebody promotes its standby behind the back of AHM"""
    host = world.hosts[place]
    if host.database is not None and host.database.running and host.database.in_recovery:
        world.branches += 1
        world.tampered = True
        host.database.promote(world.branches)


def demote_by_hand(world: 'World', place: int) -> None:
    """somebody restarts its primary as a standby behind the back of AHM"""
    host = world.hosts[place]
    if host.database is not None and host.database.writable:
        host.database.stop()
        host.database.signal = True
        host.database.start(by_hand=True)


def restart_standby(world: 'World', place: int) -> None:
    """its standby is restarted by hand"""
    host = world.hosts[place]
    if host.powered and host.database is not None and host.database.running \
            and host.database.in_recovery:
        host.database.stop()
        host.database.start(by_hand=True)


def pause_replay(world: 'World', place: int) -> None:
    """its standby receives, and stands still at a recovery target"""
    if world.hosts[place].database is not None and world.hosts[place].database.in_recovery:
        world.hosts[place].database.standstill = 'a recovery target was reached'


def hold_replay(world: 'World', place: int) -> None:
    """a reader holds up the replay of its standby"""
    if world.hosts[place].database is not None and world.hosts[place].database.in_recovery:
        world.hosts[place].database.held = True


def resume_replay(world: 'World', place: int) -> None:
    """its standby replays again"""
    mine = world.hosts[place].database
    if mine is not None:
        mine.standstill, mine.held = '', False
        mine.replay()


def hide_wal(world: 'World', place: int) -> None:
    """what its standby has not replayed cannot be read while it does not stream"""
    if world.hosts[place].database is not None:
        world.hosts[place].database.hides_wal = True


def refuse_checks(world: 'World', place: int) -> None:
    """its database refuses AHM (a password that expired)"""
    world.hosts[place].refuses_checks = True


def stop_replication(world: 'World', place: int) -> None:
    """its standby receives nothing"""
    world.hosts[place].behaves['replication'] = HANGS


def fail_checks(world: 'World', place: int) -> None:
    """its own checks of its database fail, those of others do not"""
    world.local_path_fails.add(place)
