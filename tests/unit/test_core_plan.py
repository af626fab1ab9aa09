"""Procedures: straight lines that can wait, be overtaken, and end."""

from ahmlib.core.plan import Plan, Until, pause


class Asked:
    """Records what a plan asks for and cancels."""

    def __init__(self):
        self.wanted, self.cancelled = [], []
        self.plan = Plan(self.ask, self.cancelled.append)

    def ask(self, effect):
        self.wanted.append(effect)
        return len(self.wanted)


def test_an_effect_is_answered_by_its_event():
    asked, seen = Asked(), []

    def steps():
        seen.append((yield 'raise'))
        seen.append((yield 'announce'))
    asked.plan.start('both', steps(), 0.0)
    assert asked.wanted == ['raise'] and asked.plan.busy
    asked.plan.answered('raised', 1.0)
    asked.plan.answered('announced', 2.0)
    assert seen == ['raised', 'announced'] and not asked.plan.busy and asked.plan.name == ''


def test_a_wait_ends_by_its_condition_or_by_its_limit():
    asked, seen, ready = Asked(), [], []

    def steps():
        seen.append((yield Until(lambda: bool(ready), 5.0)))
        seen.append((yield pause(1.0)))
    asked.plan.start('waits', steps(), 10.0)
    asked.plan.advance(14.9)
    assert seen == [] and asked.plan.ends_at == 15.0
    ready.append(True)
    asked.plan.advance(14.95)
    assert seen == [True] and asked.plan.ends_at == 15.95
    asked.plan.advance(15.95)
    assert seen == [True, False] and not asked.plan.busy


def test_a_procedure_that_is_overtaken_is_closed_and_its_effect_cancelled():
    asked, closed = Asked(), []

    def first():
        try:
            yield 'promote'
        finally:
            closed.append(True)

    def second():
        yield 'stop'
    asked.plan.start('first', first(), 0.0)
    asked.plan.start('second', second(), 1.0)
    assert closed == [True] and asked.cancelled == [1] and asked.wanted == ['promote', 'stop']


def test_a_procedure_may_start_the_next_one_itself():
    asked = Asked()

    def second():
        yield 'stop'

    def first():
        yield 'promote'
        asked.plan.start('second', second(), 1.0)
    asked.plan.start('first', first(), 0.0)
    asked.plan.answered('failed', 1.0)
    assert asked.plan.name == 'second' and asked.wanted == ['promote', 'stop']
