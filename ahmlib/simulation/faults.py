"""Everything that can go wrong, as a table, and fault plans as data.

A plan is a list of (gap, fault, node): wait so many seconds, then do that to this node.  Because it
is data, a search can shrink it, a story can pin it, and an operator can name a fault on the command
line.  The docstring of a fault is its description for people.
"""

from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Tuple

from ahmlib.core import events
from ahmlib.core.beacon import Farewell
from ahmlib.core.consensus.quorum import votes_needed
from ahmlib.core.consensus.timing import candidacy_seconds
from ahmlib.core.limits import PATIENT_SECONDS
from ahmlib.simulation import perform
from ahmlib.simulation.database_faults import (
    crash_recovery,
    demote_by_hand,
    fail_checks,
    hang_database,
    hide_wal,
    hold_replay,
    kill_database,
    pause_replay,
    promote_by_hand,
    refuse_checks,
    restart_standby,
    resume_replay,
    start_database,
    stop_replication,
    thaw_database,
)
from ahmlib.simulation.host import FAILS, HANGS, LIES, SAVE_SECONDS, SLOW, WORKS
from ahmlib.simulation.lemma import is_obstructed
from ahmlib.simulation.operator_faults import (
    attach,
    force,
    pause_cluster,
    pause_node,
    promote,
    rebuild,
    restart_database,
    resume_cluster,
    resume_node,
    shutdown_cluster,
)

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

Plan = Iterable[Tuple[float, str, int]]
Fault = Callable[..., None]

REPAIR_SECONDS = 3.0
#: A save on a slow disk, in candidacies: the candidate's and its voter's are longer than one.
SLOW_SAVE = 0.8
RESTART_SECONDS = 0.3

#: A command that hung ends after so long at most, and is then tried again.
RETRIED_SECONDS = PATIENT_SECONDS + 1.0


def _others(world: 'World', place: int) -> List[int]:
    return [other for other in range(len(world.hosts)) if other != place]


# -- the network -------------------------------------------------------------------------------

def cut(world: 'World', place: int) -> None:
    """its host is cut off from all others"""
    world.network.isolate(place, range(len(world.hosts)))


def cut_one_way(world: 'World', place: int) -> None:
    """nothing that it sends reaches the next node"""
    world.network.cut(place, (place + 1) % len(world.hosts))


def cut_between(world: 'World', place: int) -> None:
    """it and the next node cannot reach each other"""
    world.network.part((place,), ((place + 1) % len(world.hosts),))


def part(world: 'World', place: int) -> None:
    """it and half of the others are cut off from the rest"""
    size = len(world.hosts)
    some = [(place + step) % size for step in range((size + 1) // 2)]
    world.network.part(some, [other for other in range(size) if other not in some])


def mute(world: 'World', place: int) -> None:
    """nothing that it sends reaches anybody"""
    for other in _others(world, place):
        world.network.cut(place, other)


def deafen(world: 'World', place: int) -> None:
    """it hears nobody"""
    for other in _others(world, place):
        world.network.cut(other, place)


def deafen_multicast(world: 'World', place: int) -> None:
    """it gets only what is sent to it alone"""
    world.network.multicast_deaf.add(place)


def heal(world: 'World', place: int) -> None:
    """the network is whole again"""
    world.network.heal()


def replay(world: 'World', place: int) -> None:
    """old datagrams reach it once more"""
    perform.replay(world, place)


def lose_trusted(world: 'World', place: int) -> None:
    """it reaches no trusted server"""
    if world.hosts[place].reaches_trusted:
        world.hosts[place].reaches_trusted, world.hosts[place].trusted_lost_at = False, world.now


def reach_trusted(world: 'World', place: int) -> None:
    """it reaches the trusted servers again"""
    world.hosts[place].reaches_trusted = True


# -- daemons -----------------------------------------------------------------------------------

def crash(world: 'World', place: int) -> None:
    """its daemon is killed"""
    if world.hosts[place].node is not None:
        world.crash(place)


def start(world: 'World', place: int) -> None:
    """its daemon is started"""
    if world.hosts[place].powered and world.hosts[place].node is None:
        world.start(place)


def crash_and_start(world: 'World', place: int) -> None:
    """its daemon is killed and started again at once"""
    crash(world, place)
    world.after(0.1, lambda: start(world, place))


def freeze(world: 'World', place: int) -> None:
    """its daemon is stopped (SIGSTOP)"""
    if world.hosts[place].node is not None:
        world.pause(place)


def thaw(world: 'World', place: int) -> None:
    """its daemon goes on (SIGCONT)"""
    if world.hosts[place].paused and world.hosts[place].node is not None:
        world.resume(place)


def stop(world: 'World', place: int) -> None:
    """its daemon is told to leave for good (ahm stop)"""
    if world.hosts[place].node is not None:
        world.stop(place)


def restart(world: 'World', place: int) -> None:
    """its daemon is restarted (ahm restart)"""
    if world.hosts[place].node is not None:
        world.stop(place, Farewell.RESTARTING)
        world.after(RESTART_SECONDS, lambda: start(world, place))


def stop_twice(world: 'World', place: int) -> None:
    """its daemon is told to leave, and told again"""
    stop(world, place)
    stop(world, place)


def reload(world: 'World', place: int) -> None:
    """its configuration is read again"""
    host = world.hosts[place]
    world.feed(host, events.SettingsChanged(host.settings))


def ask_status(world: 'World', place: int) -> None:
    """somebody asks it for the cluster's status"""
    world.feed(world.hosts[place], events.ClientAsked(0, {'ask': 'status'}))


def hear_stranger(world: 'World', place: int) -> None:
    """a host of its nodes.conf belongs to another cluster"""
    settings = world.hosts[place].settings
    world.feed(world.hosts[place], events.ForeignHeard(
        settings.host((place + 1) % settings.size), 'STRANGER', settings.addresses[:1]))


def lose_state(world: 'World', place: int) -> None:
    """its daemon is killed and its state file is gone"""
    crash(world, place)
    saved = world.hosts[place].saved
    world.pause_forgotten = world.pause_forgotten or saved is not None and saved.pause.on
    world.hosts[place].saved, world.hosts[place].lease_until = None, 0.0
    if saved is not None and saved.claim.needed:
        left = sum(host.saved is not None and host.saved.claim >= saved.claim
                   for host in world.hosts)
        needed = world.settings.size - votes_needed(world.settings.size, False) + 1
        world.claim_forgotten = world.claim_forgotten or left < needed


def fill_disk(world: 'World', place: int) -> None:
    """its state file cannot be written"""
    world.hosts[place].disk_full = True


def free_disk(world: 'World', place: int) -> None:
    """its state file can be written again"""
    world.hosts[place].disk_full = False


def stall_disk(world: 'World', place: int) -> None:
    """what it writes does not get to its disk, and nothing says so"""
    world.hosts[place].disk_stalls = True


def slow_disk(world: 'World', place: int) -> None:
    """each of its saves takes nearly as long as a candidacy lasts"""
    host = world.hosts[place]
    host.save_seconds = SLOW_SAVE * candidacy_seconds(host.settings.interval)


def unstall_disk(world: 'World', place: int) -> None:
    """its disk goes on, and is quick"""
    world.hosts[place].save_seconds = SAVE_SECONDS
    perform.unstall(world, world.hosts[place])


# -- hosts -------------------------------------------------------------------------------------

def power_off(world: 'World', place: int) -> None:
    """its host loses power"""
    world.power_off(place)


def power_on(world: 'World', place: int) -> None:
    """its host is switched on; database and daemon start"""
    host = world.hosts[place]
    if not host.powered and place not in world.gone:
        world.power_on(place)
        if host.database is not None:
            host.database.start(by_hand=True)
        world.start(place)


def drop_vip(world: 'World', place: int) -> None:
    """somebody removes the VIP from its host"""
    world.hosts[place].has_vip = False


def hide_vip(world: 'World', place: int) -> None:
    """it cannot find out whether the VIP is on its host"""
    world.vip_unknown.add(place)


def answer_for_vip(world: 'World', place: int) -> None:
    """a stranger answers for the VIP where it asks"""
    world.vip_answers.add(place)


def ping_in_vain(world: 'World', place: int) -> None:
    """its ping may not send"""
    world.pings_in_vain.add(place)


def vip_unusable(world: 'World', place: int) -> None:
    """its kernel does not use the VIP where it is raised (a duplicate address)"""
    world.hosts[place].vip_usable = False


def kill_daemon_and_database(world: 'World', place: int) -> None:
    """its daemon and its database die together, and its host lives"""
    crash(world, place)
    kill_database(world, place)


# -- commands ----------------------------------------------------------------------------------

def _behave(what: str, how: str, text: str) -> Callable[['World', int], None]:
    def fault(world: 'World', place: int) -> None:
        world.hosts[place].behaves[what] = how
    fault.__doc__ = text
    return fault


def commands_work(world: 'World', place: int) -> None:
    """all commands on its host work again"""
    host = world.hosts[place]
    if is_obstructed(host):
        host.obstructed_until = world.now + host.settings.timing.fence + RETRIED_SECONDS
    host.behaves.clear()
    host.fencing_works = True
    world.local_path_fails.discard(place)
    world.vip_answers.discard(place)
    world.vip_unknown.discard(place)
    world.pings_in_vain.discard(place)
    host.vip_usable, host.refuses_checks = True, False
    if host.database is not None:
        host.database.hides_wal = False


COMMANDS: Dict[str, Fault] = {
    'vip-slow': _behave('vip', SLOW, 'its VIP commands are slow'),
    'vip-fails': _behave('vip', FAILS, 'its VIP commands fail'),
    'vip-hangs': _behave('vip', HANGS, 'its VIP commands hang'),
    'announce-fails': _behave('announce', FAILS, 'it cannot announce the VIP'),
    'check-slow': _behave('check', SLOW, 'its checks take long to say what they saw'),
    'stop-slow': _behave('stop', SLOW, 'its database server stops slowly'),
    'stop-fails': _behave('stop', FAILS, 'its database server cannot be stopped'),
    'stop-lies': _behave('stop', LIES, 'its database server seems to be stopped, and runs'),
    'promote-slow': _behave('promote', SLOW, 'its promotion takes long'),
    'promote-fails': _behave('promote', FAILS, 'its promotion fails'),
    'promote-hangs': _behave('promote', HANGS, 'its promotion hangs'),
    'start-fails': _behave('start', FAILS, 'its database server cannot be started'),
    'follow-fails': _behave('follow', FAILS, 'its database cannot be pointed to another primary'),
    'signal-fails': _behave('signal', FAILS, 'its standby.signal cannot be written'),
    'hook-fails': _behave('hook', FAILS, 'its scripts fail'),
    'copy-fails': _behave('copy', FAILS, 'it cannot copy a primary'),
    'copy-slow': _behave('copy', SLOW, 'it copies a primary slowly'),
    'copy-hangs': _behave('copy', HANGS, 'its copy of a primary does not get on'),
    'hook-slow': _behave('hook', SLOW, 'its scripts are slow'),
    'hook-hangs': _behave('hook', HANGS, 'its scripts hang'),
    'hook-lies': _behave('hook', LIES, 'its fencing script says it worked, and did nothing'),
}

FAULTS: Dict[str, Fault] = {function.__name__.replace('_', '-'): function for function in (
    cut, cut_one_way, cut_between, part, mute, deafen, deafen_multicast, heal, replay,
    lose_trusted, reach_trusted, crash, start, crash_and_start, freeze, thaw, stop, stop_twice,
    restart, reload, ask_status, attach, rebuild, promote, force, restart_database,
    shutdown_cluster, pause_node, resume_node, pause_cluster, resume_cluster,
    hear_stranger, lose_state, fill_disk, free_disk, stall_disk, slow_disk, unstall_disk,
    power_off, power_on, drop_vip, hide_vip, answer_for_vip, ping_in_vain, vip_unusable,
    kill_daemon_and_database,
    kill_database, hang_database, thaw_database, start_database, crash_recovery,
    restart_standby, pause_replay, hold_replay, resume_replay, hide_wal, refuse_checks,
    promote_by_hand, demote_by_hand, stop_replication, fail_checks, commands_work)}
FAULTS.update(COMMANDS)

#: Of worlds in which AHM sets what commits wait for.
OF_MODES: Dict[str, Fault] = {
    'set-synchronous-slow': _behave('synchronous', SLOW, 'what its commits wait for is set late'),
    'set-synchronous-fails': _behave('synchronous', FAILS, 'its setting cannot be written'),
    'set-synchronous-hangs': _behave('synchronous', HANGS, 'its setting is written, and no answer '
                                     'comes'),
    'slow-replication': _behave('replication', SLOW, 'its standby receives less than is written'),
    'start-replication': _behave('replication', WORKS, 'its standby receives again'),
}

#: What operators ask for, and how a copy behaves that only they ask for.
OPERATORS = ('attach', 'rebuild', 'promote', 'force', 'restart-database', 'shutdown-cluster',
             'pause-node', 'resume-node', 'pause-cluster', 'resume-cluster', 'copy-fails',
             'copy-slow', 'copy-hangs')

#: After these nothing may be promoted, however often they happen (L17).
HARMLESS = ('restart', 'replay', 'heal', 'start', 'thaw', 'reload', 'ask-status', 'hear-stranger',
            'attach', 'rebuild', 'shutdown-cluster', 'stall-disk', 'slow-disk', 'unstall-disk',
            'pause-replay', 'hold-replay', 'resume-replay', 'refuse-checks', 'restart-standby',
            'restart-database', 'pause-node', 'resume-node', 'pause-cluster', 'resume-cluster')


def strike(world: 'World', fault: str, place: int) -> None:
    """Let this fault happen to this node now."""
    name = fault.replace('_', '-')
    fault_of = FAULTS.get(name) or OF_MODES[name]
    world.note(world.hosts[place], '--- %s' % fault_of.__doc__)
    fault_of(world, place)


def is_harmless(world: 'World', plan: Plan) -> bool:
    """Whether nothing of this may promote anything; on a network that loses rows all may."""
    return world.network.loss == 0.0 and all(
        fault.replace('_', '-') in HARMLESS for _, fault, _ in plan)


def apply(world: 'World', plan: Plan) -> None:
    """Run the plan; the world checks the lemmas all the while."""
    world.harmless = is_harmless(world, plan)
    for gap, fault, place in plan:
        world.run(gap)
        strike(world, fault, place)
    world.run(world.settings.timing.hold * 2)


def repair(world: 'World') -> None:
    """End all faults: the network is whole, hosts, servers and daemons run, and stay running."""
    world.harmless = False
    heal(world, 0)
    world.network.loss = 0.0
    for place in range(len(world.hosts)):
        for undo in (power_on, commands_work, free_disk, unstall_disk, reach_trusted,
                     thaw_database, resume_replay, start_database, thaw):
            undo(world, place)
    _keep_started(world)


def _keep_started(world: 'World') -> None:
    for place, host in enumerate(world.hosts):
        start(world, place)
        if host.node is not None and host.node.parts.database.maintained:
            resume_node(world, place)
        if host.node is not None and host.node.leads and host.node.parts.paused.on:
            resume_cluster(world, place)
    world.after(REPAIR_SECONDS, lambda: _keep_started(world))
