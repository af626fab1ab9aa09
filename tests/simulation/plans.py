"""Fault plans as data: a list of (gap, fault, node), run against a world.

hypothesis draws and shrinks the list itself, so the shortest list that still breaks something is the
bug report, and becomes a pinned story.  Gaps are drawn uniformly and close around the protocol's own
deadlines, because that is where the mistakes are.
"""

from hypothesis import strategies as st

from ahmlib.core.beacon import Farewell
from ahmlib.simulation.network import Network
from ahmlib.simulation.world import World

#: Beyond T_hold and the takeover: everything that can happen by itself has happened.
SETTLE_SECONDS = 60.0
RESTART_SECONDS = 3.0


def _cut(world, node):
    world.network.isolate(node, range(len(world.hosts)))


def _cut_one_way(world, node):
    world.network.cut(node, (node + 1) % len(world.hosts))


def _mute(world, node):
    for other in range(len(world.hosts)):
        if other != node:
            world.network.cut(node, other)


def _deafen(world, node):
    for other in range(len(world.hosts)):
        if other != node:
            world.network.cut(other, node)


def _heal(world, node):
    world.network.heal()


def _crash(world, node):
    if world.hosts[node].node is not None:
        world.crash(node)


def _start(world, node):
    if world.hosts[node].powered and world.hosts[node].node is None:
        world.start(node)


def _crash_and_start(world, node):
    _crash(world, node)
    world.after(0.1, lambda: _start(world, node))


def _power_off(world, node):
    world.power_off(node)


def _power_on(world, node):
    host = world.hosts[node]
    if not host.powered:
        world.power_on(node)
        if host.database is not None:
            host.database.start()
        world.start(node)


def _kill_database(world, node):
    if world.hosts[node].database is not None:
        world.hosts[node].database.stop()


def _hang_database(world, node):
    if world.hosts[node].database is not None:
        world.hosts[node].database.hung = True


def _start_database(world, node):
    host = world.hosts[node]
    if host.powered and host.database is not None and not host.database.running:
        host.database.start()


def _stop(world, node):
    if world.hosts[node].node is not None:
        world.stop(node)


def _restart(world, node):
    if world.hosts[node].node is not None:
        world.stop(node, Farewell.RESTARTING)
        world.after(0.3, lambda: _start(world, node))


def _lose_state(world, node):
    """The daemon is killed, and its data_dir was a /tmp."""
    _crash(world, node)
    world.hosts[node].saved, world.hosts[node].lease_until = None, 0.0


FAULTS = {function.__name__[1:]: function for function in (
    _cut, _cut_one_way, _mute, _deafen, _heal, _crash, _start, _crash_and_start, _power_off,
    _power_on, _kill_database, _hang_database, _start_database, _stop, _restart, _lose_state)}


def gaps(timing):
    """Seconds between two faults: anything, or close around a deadline of the protocol."""
    deadlines = (timing.interval, 1.5 * timing.interval, timing.lease, timing.hold,
                 timing.lease + timing.fence)
    near = st.sampled_from(deadlines).flatmap(
        lambda at: st.floats(max(0.0, at - 0.05), at + 0.05))
    return st.one_of(st.floats(0.0, 2 * timing.hold), near)


def plans(settings, length_max=8):
    """Lists of (gap, fault, node) for a cluster with these settings."""
    step = st.tuples(gaps(settings[0].timing), st.sampled_from(sorted(FAULTS)),
                     st.integers(0, len(settings) - 1))
    return st.lists(step, max_size=length_max)


def formed(settings, seed=0, loss=0.0):
    """A world in which node 0 leads over the primary with the VIP."""
    world = World(settings, seed=seed)
    world.network = Network(world.random, loss=loss, doubled=0.02)
    world.start_all()
    limit = 3 * settings[0].timing.hold + 10
    assert world.run_until(lambda: world.serves() == 0, limit), '\n'.join(world.trace)
    world.run(settings[0].timing.hold + 1)
    return world


def apply(world, plan):
    """Run the plan; the world looks for what must never be after everything that happens."""
    for gap, fault, node in plan:
        world.run(gap)
        world.note(world.hosts[node], '--- %s' % fault)
        FAULTS[fault](world, node)
    world.run(world.hosts[0].settings.timing.hold * 2)


def heal(world):
    """End all faults: the network is whole, hosts run, servers run, daemons run and stay."""
    world.network.heal()
    world.network.loss = 0.0
    for node, host in enumerate(world.hosts):
        _power_on(world, node)
        if host.database is not None:
            host.database.hung = False
            _start_database(world, node)
    _keep_started(world)


def _keep_started(world):
    for node in range(len(world.hosts)):
        _start(world, node)
    world.after(RESTART_SECONDS, lambda: _keep_started(world))


def recovers(world):
    """Whether the healed cluster serves again, or has a reason of the design not to."""
    limit = SETTLE_SECONDS + 4 * world.hosts[0].settings.timing.hold \
        + 2 * world.hosts[0].settings.wait_for_primary
    if world.run_until(lambda: world.serves() is not None, limit):
        return True
    # A majority of which no node has followed a leader since its start does not promote by itself.
    return not any(host.node is not None and host.node.followed for host in world.hosts)
