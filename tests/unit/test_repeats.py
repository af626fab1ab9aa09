"""Which report is news: a trouble is told once, then hourly, and once when it is over."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib import core
from ahmlib.core.policy.trouble_kinds import KINDS
from ahmlib.runtime import repeats
from ahmlib.runtime.repeats import QUIET_SECONDS, Repeats, Told, without_numbers

TEXT = 'a VIP command failed: ended with status 2'


def texts(told):
    """The texts of what was told."""
    return [line.text for line in told]


@pytest.fixture
def made():
    """A Repeats."""
    return Repeats()


def test_the_same_trouble_is_told_once_and_its_end_once(made):
    assert made.take('ERROR', 'vip', TEXT, 0.0) == [Told('ERROR', 'vip', TEXT)]
    for second in range(1, 34):
        assert made.take('ERROR', 'vip', TEXT, second) == []
    assert made.next_deadline() == 33 + QUIET_SECONDS
    assert made.expire(33 + QUIET_SECONDS - 0.1) == []
    assert made.expire(33 + QUIET_SECONDS) == [
        Told('NOTICE', 'vip', 'has not come again for 60 s; it came 34 times in 33 s: ' + TEXT)]
    assert made.next_deadline() is None and len(made) == 0
    assert made.take('ERROR', 'vip', TEXT, 200.0) == [Told('ERROR', 'vip', TEXT)]


def test_what_came_once_was_an_incident_and_has_no_end_to_tell(made):
    made.take('CRITICAL', 'second primary', 'the database here accepts writes', 0.0)
    assert made.expire(QUIET_SECONDS) == [] and len(made) == 0


def test_a_trouble_that_lasts_is_told_hourly_with_how_often_it_came(made):
    told = [made.take('ERROR', 'vip', TEXT, second) for second in range(0, 7201, 30)]
    heard = [line.text for lines in told for line in lines]
    assert heard == [TEXT] + [TEXT + ' (120 times in the last 60 min)'] * 2


def test_a_trouble_that_gets_worse_is_told_at_once(made):
    made.take('WARNING', 'vip', TEXT, 0.0)
    assert texts(made.take('CRITICAL', 'vip', TEXT, 1.0)) == [TEXT + ' (once in the last 1 s)']
    assert made.take('CRITICAL', 'vip', TEXT, 2.0) == []
    assert made.take('ERROR', 'vip', TEXT, 3.0) == []


def test_good_news_of_the_same_event_ends_it(made):
    for second in range(3):
        made.take('ERROR', 'vip', TEXT, second)
        made.take('ERROR', 'state', 'no space', second)
    good = Told('NOTICE', 'vip', 'the VIP is up')
    assert made.take(*good, now=3.0) == [good]
    assert made.take('ERROR', 'vip', TEXT, 4.0) == [Told('ERROR', 'vip', TEXT)]
    assert made.take('ERROR', 'state', 'no space', 4.0) == []


@pytest.mark.parametrize('good, bad', [(good, bad) for good, ended in repeats.GOOD_NEWS.items()
                                       for bad in ended])
def test_a_trouble_that_comes_back_after_its_good_news_is_told_though_a_minute_has_not_passed(
        made, good, bad):
    made.take('ERROR', bad, TEXT, 0.0)
    made.take('NOTICE', good, 'it is well again', 10.0)
    assert texts(made.take('ERROR', bad, TEXT, 20.0)) == [TEXT]


def test_the_events_that_are_named_are_events_of_the_core():
    directory, text = os.path.dirname(core.__file__), ''
    for place, _, names in os.walk(directory):
        for name in names:
            if name.endswith('.py'):
                with open(os.path.join(place, name)) as file:
                    text += file.read()
    reported = set(re.findall(r"report\([^,]*,\s*'([a-z -]+)'", text))
    reported |= {name for kind in KINDS for name in (kind.event, kind.ends)}
    named = set(repeats.STEPS) | set(repeats.GOOD_NEWS) | {repeats.ASKED}
    assert named.union(*repeats.GOOD_NEWS.values()) <= reported


def test_an_info_is_no_notification_so_the_end_is_told_beside_it(made):
    for second in range(3):
        made.take('WARNING', 'synchronous', 'a doubt', second)
    told = made.take('INFO', 'synchronous', 'claims', 3.0)
    assert told == [Told('NOTICE', 'synchronous', 'is over; it came 3 times in 2 s: a doubt'),
                    Told('INFO', 'synchronous', 'claims')]


def test_an_operator_reads_why_his_second_try_failed_too(made):
    made.take('ERROR', 'attach failed', 'the database was not attached: no WAL', 0.0)
    made.take('NOTICE', 'asked', 'attach was asked for by user 0', 5.0)
    assert texts(made.take('ERROR', 'attach failed', 'the database was not attached: no WAL', 6.0))


def test_a_second_node_that_is_lost_is_told_although_only_a_digit_differs(made):
    names = {'AHM-NODE-2', 'AHM-NODE-3', '7', '8'}
    for name in sorted(names):
        lost = '%s is lost: not heard for 2.5 s' % name
        assert texts(made.take('WARNING', 'node', lost, 0.0, names)) == [lost]
        assert made.take('WARNING', 'node', lost.replace('2.5', '71.25'), 1.0, names) == []


@pytest.mark.parametrize('event', sorted(repeats.STEPS))
def test_a_step_is_told_every_time(made, event):
    for second in range(5):
        assert len(made.take('WARNING', event, 'steps down', second)) == 1


@pytest.mark.parametrize('text, plain', [
    ('not heard for 12.3 s, 4 of 5 (30%)', 'not heard for # s, # of # (#)'),
    ('held up for 19ms', 'held up for #'), ('at 0/3000148, in term 7.', 'at #, in term #.'),
    ('PID 4711: ended', 'PID #: ended'), ('2026-11-29 01:41:50.123 UTC [77]', '# # UTC [#]'),
    ('at 01:41:50: no', 'at #: no'), ('db-2026-11-29', 'db-2026-11-29'),
    ('10.0.0.2:9500 of [fd00::2]:9500', '10.0.0.2:9500 of [fd00::2]:9500'),
    ('db2 and AHM-NODE-3 at /data/15/main', 'db2 and AHM-NODE-3 at /data/15/main'), ('', '')])
def test_numbers_are_none_of_the_trouble_and_names_are(text, plain):
    assert without_numbers(text) == plain


def test_what_is_remembered_is_bounded(made):
    for number in range(5 * repeats.TROUBLES_MAX):
        assert len(made.take('ERROR', 'vip', 'x' * 5000 + 'n%d' % number, 0.0)) <= 1
        made.take('ERROR', 'e%d' % number, 'same', 0.0)
        assert len(made) <= repeats.TROUBLES_MAX


REPORTS = st.lists(st.tuples(
    st.sampled_from([0.0, 0.5, 1.0, 59.9, 60.0, 61.0, 700.0, 3600.0]),
    st.sampled_from(['INFO', 'NOTICE', 'WARNING', 'WARNING', 'ERROR', 'CRITICAL']),
    st.sampled_from(['vip', 'vip', 'node', 'step-down']),
    st.sampled_from(['one', 'one', 'other'])), max_size=60)


def counts(told):
    """(event, how often it came) of the lines that tell an end."""
    return sorted((line.event, int(re.search('it came ([0-9]+) times', line.text).group(1)))
                  for line in told if ' it came ' in line.text)


@given(REPORTS)
def test_whatever_comes_the_first_is_told_the_next_is_not_and_the_counts_are_right(reports):
    made, now, lasting = Repeats(), 0.0, {}
    for gap, severity, event, text in reports:
        now += gap
        told = made.take(severity, event, text, now)
        over = [key for key, times in lasting.items() if now - times[-1][0] >= QUIET_SECONDS]
        expected = [(key[0], len(lasting.pop(key))) for key in over]
        is_told = bool([line for line in told if line[:2] == (severity, event)])
        if severity in ('INFO', 'NOTICE'):
            assert Told(severity, event, text) in told
            ended = [(key[0], len(lasting.pop(key))) for key in list(lasting) if key[0] == event]
            expected += ended if severity == 'INFO' else []
        elif event == 'step-down':
            assert is_told
        else:
            times = lasting.setdefault((event, text), [])
            ranks = [repeats.RANKS.index(each) for _, each in times]
            times.append((now, severity))
            assert is_told == (not ranks or repeats.RANKS.index(severity) > max(ranks)), times
        assert counts(told) == sorted(pair for pair in expected if pair[1] > 1)
    assert counts(made.expire(now + QUIET_SECONDS)) == sorted(
        (key[0], len(times)) for key, times in lasting.items() if len(times) > 1)
    assert len(made) == 0 and made.next_deadline() is None
