"""What a takeover says of an old primary that is found to answer after the election."""

from types import SimpleNamespace

import pytest

from ahmlib.core.beacon import Verdict
from ahmlib.core.facts import Facts
from ahmlib.core.procedures.take_over import _look_again

from .rows import one_settings


@pytest.mark.parametrize('fences, said', [
    (True, 'the database of %s still answers after fencing'),
    (False, 'the database of %s answers, now that everybody looks again')])
def test_fencing_is_named_only_where_a_script_ran(fences, said):
    asked = []
    facts = Facts(one_settings(pre_promotion=fences), 100.0)
    parts = SimpleNamespace(facts=facts, place=SimpleNamespace(suspect=1), investigation=(
        SimpleNamespace(ask_about=asked.append, is_answered=lambda: True, patience=1.0,
                        all_answers=lambda: ([Verdict.UNREACHABLE, Verdict.REACHABLE], []))))
    looking = _look_again(parts)
    assert next(looking).step == 'everybody looks again' and asked == [1]
    with pytest.raises(StopIteration) as end:
        looking.send(True)
    assert end.value.value == said % facts.name_of(1)
