"""Procedures: straight lines that can wait, be overtaken, and end."""

import pytest

from ahmlib.core import effects
from ahmlib.core.facts import Facts
from ahmlib.core.out import Out
from ahmlib.core.plan import Plan, Until, pause
from ahmlib.core.wanted import (
    OVERTAKES,
    Follow,
    GaveUp,
    Reason,
    Rejoin,
    RestartAsked,
    StartUp,
    StepDown,
    TakeOver,
    overtakes,
)

from .rows import one_settings

STOP = StepDown(Reason('lease', 'its lease ended', 'immediate'))


class Running:
    """A plan, and what it asks for."""

    def __init__(self):
        self.facts, self.out = Facts(one_settings(), 0.0), Out()
        self.plan = Plan(self.facts, self.out)

    def asked(self):
        """The kinds of effects that were asked for since."""
        return [type(effect) for effect in self.out.take().in_order()]

    def answer(self, answer):
        """The effect that the plan waits for is answered."""
        self.plan.answered(answer)

    def at(self, now):
        """Look again at what is waited for, at this instant."""
        self.facts.clock.advance(now)
        self.plan.advance()


def test_an_effect_is_answered_by_its_event():
    running, seen = Running(), []

    def steps():
        seen.append((yield effects.RaiseVip()))
        seen.append((yield effects.AnnounceVip()))
    running.plan.start(TakeOver(), steps())
    assert running.asked() == [effects.RaiseVip]
    assert running.plan.busy and running.plan.name == 'take over'
    running.answer('raised')
    running.answer('announced')
    assert seen == ['raised', 'announced'] and not running.plan.busy and running.plan.name == ''


def test_a_wait_ends_by_its_condition_or_by_its_limit():
    running, seen, ready = Running(), [], []

    def steps():
        seen.append((yield Until(lambda: bool(ready), 5.0)))
        seen.append((yield pause(1.0)))
    running.at(10.0)
    running.plan.start(TakeOver(), steps())
    running.at(14.9)
    assert seen == [] and running.facts.clock.wake_at == 15.0
    ready.append(True)
    running.at(14.95)
    assert seen == [True] and running.facts.clock.wake_at == 15.95
    running.at(15.95)
    assert seen == [True, False] and not running.plan.busy


def test_a_procedure_that_is_overtaken_is_closed_and_its_effect_cancelled():
    running, closed = Running(), []

    def first():
        try:
            yield effects.FollowPrimary()
        finally:
            closed.append(True)

    def second():
        yield effects.StopDatabase()
    running.plan.start(Follow(1), first())
    running.plan.start(STOP, second())
    assert closed == [True]
    assert running.asked() == [effects.FollowPrimary, effects.Cancel, effects.StopDatabase]


def test_how_a_procedure_ended_is_told_once():
    running = Running()

    def steps():
        yield effects.PingVip()
        return GaveUp('the VIP still answers', 20.0)
    running.plan.start(TakeOver(), steps())
    running.answer('somebody')
    assert running.plan.outcomes() == [GaveUp('the VIP still answers', 20.0)]
    assert running.plan.outcomes() == [] and not running.plan.busy


def test_who_stands_lower_waits_and_who_stands_higher_overtakes():
    order = list(OVERTAKES)
    assert order.index(StepDown) == 0 and order.index(RestartAsked) == len(order) - 1
    assert overtakes(STOP, TakeOver()) and not overtakes(TakeOver(), STOP)
    assert overtakes(TakeOver(), Follow(1)) and overtakes(Follow(1), Rejoin())
    assert not overtakes(Rejoin(), Follow(1)) and overtakes(Rejoin(), StartUp())


def test_a_step_down_gives_way_to_one_that_cannot_wait_and_nothing_else_to_its_like():
    assert overtakes(STOP, STOP)
    assert not overtakes(TakeOver(), TakeOver()) and not overtakes(Follow(1), Follow(2))


def test_a_procedure_that_may_not_begin_is_never_begun():
    running = Running()

    def steps():
        yield effects.StopDatabase()
    running.plan.start(STOP, steps())
    assert not running.plan.may_start(Follow(1))
    with pytest.raises(AssertionError):
        running.plan.start(Follow(1), steps())
