"""Traces to review: each file here is a schedule and the trace that it gives.

A difference is not wrong by itself: it is what a change of the core does to a story.  Who accepts
it writes the files anew (`pytest tests/traces --rewrite`), and the diff is read in review.
"""

import difflib
import os
from typing import List, Tuple

import pytest

from . import recorder, schedule

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = sorted(name for name in os.listdir(HERE) if name.endswith('.txt'))
#: The line between a schedule and its trace.
TRACE = 'trace:'
#: Nobody reads a longer or wider file in review.
LINES_MAX, COLUMNS_MAX = 90, 100
#: So many lines of a difference are shown.
DIFFERENCE_MAX = 60
ADVICE = """
%s is not what this tree gives. If that is what the change is meant to do, run
    python -m pytest tests/traces --rewrite
and commit the file: its difference is read in review.

%s"""


def read(name: str) -> Tuple[List[str], List[str]]:
    """The lines of the head of a file, up to `trace:`, and those of its trace."""
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        lines = file.read().splitlines()
    end = lines.index(TRACE) if TRACE in lines else len(lines)
    return lines[:end], lines[end + 1:]


def write(name: str, head: List[str], trace: List[str]) -> None:
    """A file of this head and this trace."""
    with open(os.path.join(HERE, name), 'w', encoding='utf-8') as file:
        file.write('\n'.join(head + [TRACE] + trace) + '\n')


def difference(expected: List[str], found: List[str]) -> str:
    """What changed, of limited length."""
    lines = list(difflib.unified_diff(expected, found, 'in the file', 'of this tree', lineterm=''))
    left = len(lines) - DIFFERENCE_MAX
    return '\n'.join(lines[:DIFFERENCE_MAX] + ['... and %d lines more' % left] * (left > 0))


@pytest.mark.parametrize('name', FILES)
def test_the_schedule_gives_the_trace_of_its_file(name: str, request: pytest.FixtureRequest
                                                  ) -> None:
    head, expected = read(name)
    found = schedule.run(schedule.parse(head))
    if request.config.getoption('--rewrite'):
        write(name, head, found)
    elif found != expected:
        pytest.fail(ADVICE % (os.path.join('tests', 'traces', name), difference(expected, found)),
                    pytrace=False)


@pytest.mark.parametrize('name', FILES)
def test_a_file_can_be_read_in_review(name: str) -> None:
    head, trace = read(name)
    assert head[0].startswith('# ') and any('Look at:' in line for line in head), \
        'its head has to say what the story is and what to look at'
    assert len(head) + 1 + len(trace) <= LINES_MAX, 'tell less in one story'
    assert max(map(len, head + trace)) <= COLUMNS_MAX


@pytest.mark.parametrize('name', FILES)
def test_chance_is_not_in_a_trace(name: str) -> None:
    """Another seed means other incarnations and clocks; a trace has neither."""
    plan = schedule.parse(read(name)[0])
    assert schedule.run(plan, seed=1) == schedule.run(plan)


def test_a_state_that_no_report_explains_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder.Recorder, 'watches', tuple(recorder.DEEDS))    # deaf to reports
    trace = schedule.run(schedule.parse(read('cold_start.txt')[0]))
    assert any(line.endswith('alpha   state: LEADER, and no report says why') for line in trace)


def test_a_long_difference_is_cut() -> None:
    shown = difference([], ['line %d' % number for number in range(1000)]).splitlines()
    assert len(shown) == DIFFERENCE_MAX + 1 and shown[-1] == '... and 943 lines more'


@pytest.mark.parametrize('head, word', [
    (['cluster: alpha', 'begins: formed', 'plan:', '+1.0 alpha power-off'], 'ends with'),
    (['cluster: alpha', 'begins: at once', 'plan:', '+1.0 end'], 'at once'),
    (['clutser: alpha', 'begins: formed', 'plan:', '+1.0 end'], 'clutser'),
    (['cluster: alpha', 'with: luck', 'begins: formed', 'plan:', '+1.0 end'], 'luck'),
    (['cluster: alpha', 'begins: down', 'plan:', '+1.0 beta start', '+1.0 end'], 'beta'),
    (['cluster: alpha', 'begins: down', 'plan:', '+1.0 alpha strat', '+1.0 end'], 'strat')])
def test_a_head_that_nobody_understands_is_refused(head: List[str], word: str) -> None:
    with pytest.raises(schedule.Unreadable) as refused:
        schedule.parse(head)
    assert word in str(refused.value)
