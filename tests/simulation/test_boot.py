"""db_start_at_boot: what AHM starts once its host has booted, and what it must not start (R55).

A host that is switched on here has no server that something else starts, as with a unit of
PostgreSQL that is disabled: its daemon alone decides.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahmlib.core import effects
from ahmlib.core.policy.boot import Boot
from ahmlib.core.states import DatabaseState
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import FAILS, make_settings
from ahmlib.simulation.lemma import Lemma, Violated
from ahmlib.simulation.lemmas import LEMMAS
from ahmlib.simulation.world import Broken

from .plans import formed, gaps
from .test_operators import ask, trace

THREE = make_settings(3, start_at_boot=True, auto_attach=True)
FIVE = make_settings(5, start_at_boot=True, auto_attach=True)
WITNESS = make_settings(3, start_at_boot=True, auto_attach=True, witnesses=(2,))
HALVES = make_settings(2, start_at_boot=True, auto_attach=True, half_votes=True)
LIMIT = 120.0


class StartsTheNewest(Lemma):
    """What is started at boot as a primary has every row that clients were told of before."""
    number = 99
    watches = (effects.StartDatabase,)

    def performed(self, host, effect):
        mine = host.database
        if host.node.plan.name != 'start' or mine.signal:
            return
        wrote = [row.node for row in self.world.clients.acknowledged]
        if wrote and wrote[-1] != host.settings.own:
            raise Violated('%s starts its database as a primary (timeline %d), and clients wrote '
                           'last on node %d' % (host.settings.name, mine.timeline, wrote[-1] + 1))


def world_of(of, seed=1):
    """A formed World whose lemmas include that one."""
    return formed(of, seed, lemmas=tuple(LEMMAS) + (StartsTheNewest,))


def cut_power(world, *places):
    """Nothing runs on these hosts any more."""
    for place in places:
        world.power_off(place)
    world.run(1.0)


def boot(world, *places):
    """They are switched on; daemons start, and nothing else."""
    for place in places:
        if not world.hosts[place].powered:
            world.power_on(place)
            world.start(place)


def well_under(world, leader, former=None):
    """Whether that node serves, and every other database is a standby that streams.

    A `former` primary runs in recovery; it may have rows that nobody else had, and needs a rewind.
    """
    return world.serves() == leader and all(
        host.settings.own == leader or host.settings.witness
        or (host.settings.own == former and host.database.running and host.database.in_recovery)
        or (world.upstream_of(host) is not None
            and host.node.own_row().database is DatabaseState.STANDBY)
        for host in world.hosts)


def after_a_power_cut_the_same_primary_leads(of=THREE, gap=0.3):
    """Every order of the hosts; nobody does anything, and nobody is promoted."""
    world = world_of(of)
    everybody = range(len(world.hosts))
    cut_power(world, *everybody)
    for place in everybody:
        boot(world, place)
        world.run(gap)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    assert not sum(host.database.promotions for host in world.hosts if host.database)
    return world


def a_former_primary_waits_for_the_newest(of=THREE):
    """The newest primary is the last to come back; the former one was the first."""
    world = world_of(of)
    cut_power(world, 0)
    assert world.run_until(lambda: world.serves() in (1, 2), LIMIT), trace(world)
    world.run(5.0)
    new = world.serves()
    cut_power(world, *range(1, len(world.hosts)))
    boot(world, *(place for place in range(len(world.hosts)) if place != new))
    world.run(30.0)
    assert not world.hosts[0].database.running and world.serves() is None, trace(world)
    assert world.hosts[0].node.parts.boot.why.endswith('is that of AHM-NODE-%d' % (new + 1))
    boot(world, new)
    assert world.run_until(lambda: well_under(world, new, 0), LIMIT), trace(world)
    return world


def a_standby_whose_host_boots_is_back():
    """And its daemon, restarted later beside a server that somebody has stopped, starts nothing."""
    world = world_of(THREE)
    cut_power(world, 1)
    world.run(30.0)
    boot(world, 1)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    world.crash(1)
    world.hosts[1].database.stop()
    starts = world.hosts[1].database.starts
    world.start(1)
    world.run(30.0)
    assert world.hosts[1].database.starts == starts, trace(world)
    return world


def a_primary_whose_host_boots_beside_a_new_leader_becomes_its_standby():
    """It would come up as a primary, until it was made a standby."""
    world = world_of(THREE)
    cut_power(world, 0)
    assert world.run_until(lambda: world.serves() in (1, 2), LIMIT), trace(world)
    boot(world, 0)
    assert world.run_until(lambda: well_under(world, world.leader(), 0), LIMIT), trace(world)
    assert world.leader() != 0
    return world


def one_that_attaches_itself_has_nothing_wrong_any_more():
    """A monitor would warn of what is over, until somebody attached it by hand."""
    world = world_of(THREE)
    strike(world, 'kill-database', 1)
    world.run(10.0)
    parts = world.hosts[1].node.parts
    assert parts.database.out, trace(world)
    parts.out.note('the primary role went to AHM-NODE-1')   # as one that led is told
    strike(world, 'start-database', 1)
    assert world.run_until(lambda: not parts.database.out, LIMIT), trace(world)
    world.run(5.0)
    assert parts.out.problem == '' and world.hosts[1].node.own_row().problem == '', trace(world)


def a_server_that_does_not_start_is_tried_again():
    """Its command fails first."""
    world = world_of(THREE)
    cut_power(world, 0, 1, 2)
    strike(world, 'start-fails', 0)
    boot(world, 0, 1, 2)
    assert world.run_until(lambda: 'could not be started' in world.hosts[0].node.parts.boot.why,
                           LIMIT), trace(world)
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    return world


def files_that_cannot_be_read_start_nothing():
    """Its disk is not mounted yet, say."""
    world = world_of(THREE)
    cut_power(world, 0, 1, 2)
    world.hosts[0].behaves['inspect'] = FAILS
    boot(world, 0, 1, 2)
    assert world.run_until(lambda: world.hosts[0].node.parts.boot.why == 'it cannot be read',
                           LIMIT), trace(world)
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    return world


def one_that_somebody_promoted_meanwhile_keeps_the_primary_on_record_down():
    """By hand, and made a standby again: only people know which of the two counts."""
    world = world_of(THREE)
    cut_power(world, 0, 1, 2)
    boot(world, 1)
    assert world.run_until(lambda: world.hosts[1].database.running, LIMIT)
    strike(world, 'promote-by-hand', 1)
    strike(world, 'demote-by-hand', 1)
    world.run(2.0)
    boot(world, 0)
    world.run(20.0)
    assert not world.hosts[0].database.running, trace(world)
    assert 'promoted meanwhile' in world.hosts[0].node.parts.boot.why
    return world


def another_copy_of_the_data_is_not_started_as_the_primary():
    """Files that are on another timeline than the record."""
    world = world_of(THREE)
    cut_power(world, 0, 1, 2)
    world.hosts[0].database.timeline = 7
    boot(world, 0, 1, 2)
    world.run(20.0)
    assert not world.hosts[0].database.running, trace(world)
    assert 'on timeline 7, and on record is timeline 1' in world.hosts[0].node.parts.boot.why
    return world


def whom_an_operator_promotes_is_not_overtaken():
    """He wants node 2, while the former primary is still away; then that comes back."""
    world = world_of(THREE)
    cut_power(world, 0, 1, 2)
    boot(world, 1, 2)
    world.run(60.0)
    answer = ask(world, 1, 'promote')
    assert answer['ok'], answer
    boot(world, 0)
    assert world.run_until(lambda: well_under(world, 1, 0), LIMIT), trace(world)
    return world


def after_the_end_of_the_cluster_and_a_shutdown_of_all_the_same_primary_leads():
    """ahm_shutdown_cluster, and all hosts go down in order: nobody does anything afterwards."""
    world = world_of(THREE)
    assert ask(world, 1, 'shutdown') == {'ok': True}
    assert world.run_until(lambda: all(host.node is None for host in world.hosts), LIMIT)
    cut_power(world, 0, 1, 2)
    boot(world, 2, 1, 0)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    return world


def done(world, place, what, **more):
    """An operator asks this node for that, and it is done."""
    answer = ask(world, place, what, **more)
    assert answer['ok'], answer
    task = world.hosts[place].node.parts.operator.task
    assert world.run_until(lambda: not task.is_running, LIMIT), trace(world)
    assert task.state == 'done', task.reason


def on_a_node_in_maintenance_nothing_is_started():
    """Nor once the maintenance is over, in the same boot: its operator sees to that server."""
    world = world_of(THREE)
    done(world, 1, 'pause', node='AHM-NODE-2')
    cut_power(world, 1)
    boot(world, 1)
    world.run(30.0)
    assert not world.hosts[1].database.running, trace(world)
    done(world, 1, 'resume', node='AHM-NODE-2')
    world.run(30.0)
    assert not world.hosts[1].database.running and world.serves() == 0, trace(world)
    return world


def after_a_power_cut_in_a_pause_its_holder_leads():
    """All is started as it was, nobody is promoted, and the cluster is paused as before."""
    world = world_of(THREE)
    done(world, 0, 'pause')
    world.run(5.0)
    cut_power(world, 0, 1, 2)
    boot(world, 2, 1, 0)
    assert world.run_until(lambda: well_under(world, 0), LIMIT), trace(world)
    assert all(host.node.parts.paused.on for host in world.hosts)
    assert not sum(host.database.promotions for host in world.hosts)
    return world


def in_a_pause_that_has_another_holder_no_primary_is_started():
    """The power went while a switchover took the pause along: only its target may lead."""
    world = world_of(THREE)
    done(world, 0, 'pause')
    world.run(5.0)
    cut_power(world, 0, 1, 2)
    for host in world.hosts:
        pause = host.saved.pause
        host.saved = host.saved._replace(pause=pause._replace(
            version=pause.version + 1, holder=1, sealed=False))
    boot(world, 0, 1, 2)
    world.run(20.0)
    assert not world.hosts[0].database.running, trace(world)
    assert world.hosts[0].node.parts.boot.why.endswith('only AHM-NODE-2 may lead')
    return world


STORIES = [
    on_a_node_in_maintenance_nothing_is_started, after_a_power_cut_in_a_pause_its_holder_leads,
    in_a_pause_that_has_another_holder_no_primary_is_started,
    after_the_end_of_the_cluster_and_a_shutdown_of_all_the_same_primary_leads,
    after_a_power_cut_the_same_primary_leads, a_former_primary_waits_for_the_newest,
    a_standby_whose_host_boots_is_back,
    a_primary_whose_host_boots_beside_a_new_leader_becomes_its_standby,
    one_that_attaches_itself_has_nothing_wrong_any_more,
    a_server_that_does_not_start_is_tried_again, files_that_cannot_be_read_start_nothing,
    one_that_somebody_promoted_meanwhile_keeps_the_primary_on_record_down,
    another_copy_of_the_data_is_not_started_as_the_primary,
    whom_an_operator_promotes_is_not_overtaken]


@pytest.mark.parametrize('story', STORIES, ids=[story.__name__ for story in STORIES])
def test_at_boot(story):
    story()


def test_the_newest_is_looked_for(monkeypatch):
    """Without R55 the former primary is started, and this is seen."""
    monkeypatch.setattr(Boot, '_why_no_primary', lambda self, found: '')
    with pytest.raises(Broken) as caught:
        a_former_primary_waits_for_the_newest()
    assert caught.value.lemma.number == StartsTheNewest.number


@pytest.mark.parametrize('of, gap', ((THREE, 12.0), (FIVE, 0.0), (WITNESS, 0.3), (HALVES, 12.0)))
def test_after_a_power_cut_of_every_kind_of_cluster_the_same_primary_leads(of, gap):
    after_a_power_cut_the_same_primary_leads(of, gap)


def test_in_a_cluster_of_half_votes_one_of_two_is_not_enough_to_know():
    world = world_of(HALVES)
    cut_power(world, 0, 1)
    boot(world, 0)
    world.run(60.0)
    assert not world.hosts[0].database.running, trace(world)


def test_without_db_start_at_boot_nothing_is_started():
    world = world_of(make_settings(3))
    cut_power(world, 0, 1, 2)
    boot(world, 0, 1, 2)
    world.run(60.0)
    assert not any(host.database.running for host in world.hosts), trace(world)


STEPS = ('power-off', 'boot', 'cut', 'heal', 'crash-and-start', 'promote', 'kill-database', 'stop')


@settings(max_examples=25, deadline=None)
@given(plan=st.lists(st.tuples(gaps(THREE[0].timing), st.sampled_from(STEPS), st.integers(0, 4)),
                     max_size=14), seed=st.integers(0, 999), of=st.sampled_from((THREE, FIVE)))
def test_whatever_loses_its_power_and_boots_only_the_newest_starts_as_a_primary(plan, seed, of):
    world = world_of(of, seed)
    for gap, what, place in plan:
        world.run(gap)
        place %= len(of)
        if what == 'boot':
            boot(world, place)
        elif what != 'power-off' or world.hosts[place].powered:
            strike(world, what, place)
    world.run(30.0)
