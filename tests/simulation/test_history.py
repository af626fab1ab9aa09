"""What the history of events holds of a story: the timeline of a takeover, and who asked."""

import pytest

from ahmlib.core import events
from ahmlib.simulation.host import FAILS

from .test_operators import formed, settled, trace

BY = {'address': None, 'uid': 26, 'user': 'postgres'}


def told(world, own, kind):
    """The records of this kind in the history of a host."""
    return [record for record in world.hosts[own].history if record.kind == kind]


def adds_up(world, record, began, ended):
    """Its steps follow each other without a gap, from about the one to about the other instant."""
    for step, after in zip(record.steps, record.steps[1:]):
        assert step.at + step.took == pytest.approx(after.at)
    assert sum(step.took for step in record.steps) == pytest.approx(ended - began)


def test_one_event_holds_the_whole_timeline_of_a_failover():
    world = formed()
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    world.run(1.0)
    new = world.serves()
    record, = told(world, new, 'failover')
    host = world.hosts[new]
    assert record.cause == 'AHM-NODE-1 was not heard any more' and record.by is None
    assert [step.name for step in record.steps] == [
        'detection', 'election', 'lease', 'promotion', 'on record', 'VIP dropped elsewhere',
        'VIP up']
    last = record.steps[-1]
    adds_up(world, record, record.steps[0].at, last.at + last.took)
    took = {step.name: step.took for step in record.steps}
    assert took['promotion'] == pytest.approx(0.2 * host.rate) and took['detection'] > 1.0
    assert all(told(world, own, 'failover') == [] for own in range(3) if own != new)


def test_a_failed_database_is_told_by_who_gave_up_and_by_who_took_over():
    world = formed()
    world.hosts[0].behaves['start'] = FAILS
    world.hosts[0].database.stop()
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    world.run(1.0)
    gave_up, = told(world, 0, 'step down')
    assert [step.name for step in gave_up.steps] == ['VIP down', 'database stopped',
                                                     'standby.signal']
    took_over, = told(world, world.serves(), 'failover')
    assert 'its database failed: connection refused' in took_over.cause == gave_up.cause \
        or took_over.cause.endswith(gave_up.cause)
    begun, over = told(world, 0, 'trouble')[0], told(world, 0, 'trouble over')[0]
    assert begun.cause == over.cause == 'checks' and over.steps[0][0] == 'lasted'


def test_a_switchover_says_who_asked_and_so_does_a_refusal():
    world = formed()

    def ask(own, what):
        world.feed(world.hosts[own], events.ClientAsked(0, {'ask': what}, 'user 26', BY))
    ask(0, 'promote')
    refused, = told(world, 0, 'refused')
    assert 'is the primary already' in refused.cause and refused.by == BY
    ask(2, 'promote')
    assert world.run_until(lambda: world.serves() == 2 and settled(world), 60.0), trace(world)
    world.run(1.0)
    record, = told(world, 2, 'switchover')
    assert record.by == BY and record.steps[0].name == 'handover'
    assert record.cause == 'AHM-NODE-1 leads no more: handed over to AHM-NODE-3'
    assert told(world, 0, 'switchover') == [] and len(told(world, 0, 'hand over')) == 1
    old, = told(world, 0, 'switch over')
    assert 'the target has all' in [step.name for step in old.steps]
    # One that nobody asked for has nobody's name, also after one that somebody did.
    world.power_off(2)
    assert world.run_until(lambda: world.serves() in (0, 1), 60.0), trace(world)
    world.run(1.0)
    assert told(world, world.serves(), 'failover')[-1].by is None


def test_a_takeover_that_is_stopped_says_why_and_after_which_steps():
    world = formed(pre_promotion=True)
    for host in world.hosts[1:]:
        host.fencing_works = False
    world.power_off(0)
    stopped = []

    def is_stopped():
        stopped[:] = told(world, 1, 'takeover stopped') + told(world, 2, 'takeover stopped')
        return bool(stopped)
    assert world.run_until(is_stopped, 60.0), trace(world)
    assert stopped[0].cause == 'pre_promotion_command failed: exited with 1'
    assert [step.name for step in stopped[0].steps] == ['lease', 'pre_promotion_command']


def test_events_that_cannot_be_kept_are_a_trouble_that_every_node_tells():
    world = formed()
    reason = 'events cannot be kept (No space left on device): 3 are missing in the file so far'
    world.feed(world.hosts[2], events.HistoryLooked(reason))
    world.run(2.0)
    assert [item.text for item in world.hosts[0].node.consensus.members.row(2).troubles] == [reason]
    world.feed(world.hosts[2], events.HistoryLooked(''))
    world.run(2.0)
    assert world.hosts[0].node.consensus.members.row(2).troubles == ()
    assert told(world, 2, 'trouble over')[-1].text == 'events are kept again'


def test_since_when_a_state_holds_is_in_every_row():
    world = formed()
    began = world.now
    world.run(5.0)
    row = world.hosts[0].node.consensus.members.row(1)
    assert row.state_age > 5.0 and row.database_age > 5.0
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), 60.0), trace(world)
    new = world.hosts[world.serves()].node.own_row()
    assert new.state_age < 1.0 and new.database_age < 1.0 and world.now > began


STORIES = [test_one_event_holds_the_whole_timeline_of_a_failover,
           test_a_failed_database_is_told_by_who_gave_up_and_by_who_took_over,
           test_a_switchover_says_who_asked_and_so_does_a_refusal,
           test_a_takeover_that_is_stopped_says_why_and_after_which_steps,
           test_events_that_cannot_be_kept_are_a_trouble_that_every_node_tells]
