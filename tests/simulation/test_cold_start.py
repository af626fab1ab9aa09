"""The whole cluster is started cold, in every order of its nodes, in the simulated world.

What a start must never do: promote anybody, or let a stale primary lead, however early it is there
and however late the others come.
"""

import itertools

import pytest

from ahmlib.core.states import DatabaseState

from .test_operators import ask, formed, settled, trace

ORDERS = tuple(itertools.permutations(range(3)))
#: Seconds between two starts: less than a beacon's interval, and more than any limit of a start.
GAPS = (0.2, 12.0)


def shut_down(world):
    """ahm_shutdown_cluster, then all hosts lose their power and boot."""
    assert ask(world, 1, 'shutdown') == {'ok': True}
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), 60.0), \
        trace(world)
    world.run(1.0)
    lose_power(world)


def lose_power(world):
    """Nothing runs any more anywhere, and every host is on again."""
    for own in range(3):
        world.power_off(own)
    world.run(5.0)
    for own in range(3):
        world.power_on(own)


def start_databases(world, order, gap):
    """By hand, in this order."""
    for own in order:
        world.hosts[own].database.start(by_hand=True)
        world.run(gap)


def start_daemons(world, order, gap):
    """In this order."""
    for own in order:
        world.start(own)
        world.run(gap)


def together(world, order, gap):
    """Host after host, each with its database before its AHM."""
    for own in order:
        start_databases(world, (own,), 0.1)
        start_daemons(world, (own,), gap)


def databases_first(world, order, gap):
    """All databases, the last one first; then all daemons."""
    start_databases(world, reversed(order), gap)
    start_daemons(world, order, gap)


def daemons_first(world, order, gap):
    """All daemons; then all databases, the last one first."""
    start_daemons(world, order, gap)
    start_databases(world, reversed(order), gap)


@pytest.mark.parametrize('gap', GAPS)
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('start', [together, databases_first, daemons_first])
def test_a_cold_start_promotes_nobody_and_the_primary_leads(start, order, gap):
    world = formed(seed=ORDERS.index(order))
    world.harmless = True
    shut_down(world)
    start(world, order, gap)
    assert world.run_until(lambda: world.serves() == 0 and settled(world), 60.0), trace(world)
    assert [host.database.promotions for host in world.hosts] == [0, 0, 0]


@pytest.mark.parametrize('gap', GAPS)
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('start', [together, databases_first, daemons_first])
def test_a_stale_primary_never_leads_whoever_starts_first(start, order, gap):
    world = formed(seed=ORDERS.index(order))
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2) and settled(world), 60.0), trace(world)
    new = world.serves()
    lose_power(world)
    written = len(world.writes)
    start(world, order, gap)
    assert world.run_until(lambda: world.serves() == new and settled_but(world, 0), 60.0), \
        trace(world)
    assert {node for _, node in world.writes[written:]} <= {new}
    assert sum(host.database.promotions for host in world.hosts) == 1
    stale = world.hosts[0]
    if start is not daemons_first:      # there it may have been made a standby before its start
        assert stale.node.parts.database.state is DatabaseState.QUARANTINED
        assert not stale.database.running


def settled_but(world, stale):
    """Whether all are well under a leader, but for a stale primary, which accepts no writes."""
    leader = world.leader()
    return all(host.settings.own in (leader, stale) or (
        host.node.consensus.follower.following and world.upstream_of(host) is not None)
               for host in world.hosts) \
        and not world.hosts[stale].database.writable and not world.hosts[stale].node.plan.busy
