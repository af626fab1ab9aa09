"""/history, the looks at the WAL directory that it is made of, and why things are counted."""

import ast
import glob
import json
import os
import re

import pytest

from ahmlib.core.beacon import Record
from ahmlib.database.monitored import Ended, Monitored
from ahmlib.http import causes, looks
from ahmlib.http.counters import TIMELINE, Counters
from ahmlib.http.looks import WalLooks
from ahmlib.http.timelines import history_page
from ahmlib.runtime import child_side
from ahmlib.runtime.history import instant

from .pages import ROOT
from .rows import hear, one_consensus

NAMES = ('db1', 'db2', None)
LOOKED = Monitored(True, '', 3, 1 << 30, (
    Ended(1, 0x3000060, 'no recovery target specified', 2, 1000.0),
    Ended(2, 0x1000000A0, 'no recovery target specified', 3, None)))


def event(kind, text='', cause='', at='2026-01-01T00:00:00.000Z', node='db1'):
    """One of the history of events, as far as it matters."""
    return {'kind': kind, 'text': text, 'cause': cause, 'at': at, 'node': node}


# -- the page ----------------------------------------------------------------------------------


def test_of_files_alone_it_is_told_where_why_and_when_and_not_by_whom():
    assert history_page(LOOKED, [], None, NAMES) == [
        [1, 0x3000060, 'no recovery target specified', instant(1000.0), None],
        [2, 0x1000000A0, 'no recovery target specified', None, None]]


def test_own_promotions_and_those_of_others_have_their_leader_and_their_time():
    events = [
        event('promoted', 'the database is primary now, on timeline 2'),
        event('failover', cause='db2 was not heard any more', at='2026-01-01T00:00:09.000Z'),
        event(TIMELINE, 'a leads over b leads over a primary on timeline 3', '3',
              '2026-02-02T00:00:00.000Z')]
    assert history_page(LOOKED, events, None, NAMES) == [
        [1, 0x3000060, 'db2 was not heard any more', '2026-01-01T00:00:00.000Z', 'db1'],
        [2, 0x1000000A0, 'no recovery target specified', '2026-02-02T00:00:00.000Z',
         'a leads over b']]


def test_whose_primary_is_on_record_began_its_timeline_where_no_event_tells():
    record = Record(3, 7, 1, '1')
    assert [row[4] for row in history_page(LOOKED, [], record, NAMES)] == [None, 'db2']
    told = [event(TIMELINE, 'db9 leads over a primary on timeline 3', '3')]
    assert [row[4] for row in history_page(LOOKED, told, record, NAMES)] == [None, 'db9']
    assert history_page(LOOKED, [], record._replace(node=2), NAMES)[1][4] is None


@pytest.mark.parametrize('looked', [None, Monitored(True, '', 1)])
def test_a_witness_and_who_has_not_looked_since_tell_what_events_do(looked):
    told = [event(TIMELINE, 'db2 leads over a primary on timeline 2', '2')]
    assert history_page(looked, told, None, NAMES) == [
        [1, None, None, '2026-01-01T00:00:00.000Z', 'db2']]


def test_a_cluster_that_never_failed_over_has_no_history():
    taken_over = [event('takeover', 'db1 leads over the primary: nobody led', 'nobody led')]
    assert history_page(Monitored(True, '', 1), taken_over, Record(1, 1, 0, '1'), NAMES) == []


@pytest.mark.parametrize('text', ['', 'x', '99999999999999999999', '-1'])
def test_an_event_that_nobody_understands_is_none(text):
    assert history_page(None, [event('promoted', 'on timeline ' + text), event(TIMELINE, '', text),
                               event('switchover')], None, NAMES) == []


# -- the looks ---------------------------------------------------------------------------------


class Children:
    """Where Children are: what was started, and not answered yet."""

    def __init__(self):
        self.asked = []

    def start(self, function, args, limit, on_end, name):
        """Note it."""
        assert function is looks.look and limit == looks.LIMIT_SECONDS and name
        self.asked.append((args, on_end))

    def answer(self, **result):
        """The end of the only one."""
        (_, on_end), = self.asked
        self.asked.clear()
        on_end(result)


class Watched:
    """A WalLooks, its clock and the timeline that it sees."""

    def __init__(self, witness=False):
        self.now, self.children = 100.0, Children()
        self.database = type('Database', (), {'timeline': 1})()
        facts = type('Facts', (), {'settings': type('Settings', (), {'witness': witness})()})()
        parts = type('Parts', (), {'database': self.database})()
        node = type('Node', (), {'facts': facts, 'parts': parts})()
        driver = type('Driver', (), {
            'node': node, 'children': self.children,
            'database': type('Settings', (), {'db_data_dir': '/data'})()})()
        self.looks = WalLooks(driver, lambda: self.now)

    def begins(self):
        """Whether a look begins now."""
        before = len(self.children.asked)
        self.looks.expire(self.now)
        return len(self.children.asked) > before


FOUND = Monitored(True, '', 2, 5, (Ended(1, 9, 'x', 2, 1.0),))
#: As it comes out of a child.
WELL = json.loads(child_side.outcome('a look', lambda: FOUND, ()).decode())


def test_it_looks_once_at_a_time_and_again_after_a_while():
    watched = Watched()
    assert watched.begins() and watched.children.asked[0][0] == ('/data', 1)
    assert not watched.begins() and watched.looks.next_deadline() is None
    watched.children.answer(**WELL)
    assert watched.looks.found == FOUND
    assert not watched.begins()
    watched.now = watched.looks.next_deadline()
    assert watched.begins()


def test_it_looks_at_once_where_the_database_is_on_another_timeline():
    watched = Watched()
    assert watched.begins()
    watched.database.timeline = 2
    assert not watched.begins(), 'one at a time'
    watched.children.answer(**WELL)
    assert watched.begins() and watched.children.asked[0][0] == ('/data', 2)
    watched.children.answer(**WELL)
    assert not watched.begins()


def test_a_directory_that_does_not_answer_is_looked_at_more_and_more_seldom():
    watched, pauses = Watched(), []
    assert watched.begins()
    watched.children.answer(**WELL)
    for _ in range(12):
        watched.now = watched.looks.next_deadline()
        assert watched.begins()
        watched.children.answer(ok=False, timed_out=True, reason='killed')
        pauses.append(watched.looks.next_deadline() - watched.now)
    assert pauses[:2] == [2 * looks.LOOK_SECONDS, 4 * looks.LOOK_SECONDS]
    assert pauses[-1] == looks.PAUSE_SECONDS_MAX
    assert watched.looks.found == FOUND._replace(ok=False), 'where timelines ended stays known'
    watched.now = watched.looks.next_deadline()
    assert watched.begins()
    watched.children.answer(**WELL)
    assert watched.looks.next_deadline() == watched.now + looks.LOOK_SECONDS


def test_a_witness_has_no_such_directory():
    watched = Watched(witness=True)
    assert not watched.begins() and watched.looks.next_deadline() is None


# -- what is counted ---------------------------------------------------------------------------


class Followed:
    """Counters of a follower, and what they keep."""

    def __init__(self):
        self.consensus, self.kept = one_consensus(), []
        parts = type('Parts', (), {'consensus': self.consensus, 'facts': self.consensus.facts})()
        node = type('Node', (), {'consensus': self.consensus, 'parts': parts, 'own': 0})()
        self.node, self.history = node, None
        self.counters = Counters(self, lambda: 1.0)

    def keep(self, *told):
        """Into the history of events."""
        self.kept.append(told)


def test_the_first_sight_of_a_new_timeline_is_kept_and_not_that_of_an_old_one(monkeypatch):
    followed = Followed()
    rows = {}
    monkeypatch.setattr('ahmlib.http.counters.primary_row', lambda parts: rows.get('leader'))

    def leads(**changes):
        rows['leader'] = hear(followed.consensus, 1, **changes)
        followed.counters.watch(None)
    leads(timeline=4)
    leads(timeline=4)
    assert followed.kept == [], 'when it began is not known'
    leads(timeline=5)
    leads(timeline=5)
    assert followed.kept == [(TIMELINE, '5', 'AHM-NODE-2 leads over a primary on timeline 5',
                              None, ())]
    leads(timeline=6, name='')
    rows['leader'] = rows['leader']._replace(sender=0, timeline=7)
    followed.counters.watch(None)
    assert len(followed.kept) == 2, 'its own promotion is an event of its own'


def of_core(name):
    """(arguments as texts) of every call of this name in the core; '' for what is no text."""
    found = []
    for path in glob.glob(os.path.join(ROOT, 'ahmlib', 'core', '**', '*.py'), recursive=True):
        with open(path, encoding='utf-8') as file:
            for each in ast.walk(ast.parse(file.read())):
                if isinstance(each, ast.Call) and getattr(each.func, 'id', '') == name:
                    found.append([literal(argument) for argument in each.args])
    return found


def literal(tree):
    """The text in the source, with `x` and 1 in place of what is filled in; '' where it is none."""
    if isinstance(tree, ast.BinOp):
        tree = tree.left
    text = getattr(tree, 'value', getattr(tree, 's', ''))
    return re.sub('%s', 'x', text.replace('%d', '1')) if isinstance(text, str) else ''


#: Of a daemon that ends: that is no step-down of a node that goes on.
AT_THE_END = 'no majority heard its goodbye: others may elect a leader'


def test_every_reason_of_the_core_for_a_step_down_has_its_word():
    found = {(kind, causes.of_step_down(text)) for kind, text, *_ in of_core('Reason')
             if text and text != AT_THE_END}
    assert len(found) >= 6
    assert {kind for kind, word in found if word != kind} <= {'lease'}
    assert {word for kind, word in found if kind == 'lease'} == {'lease', 'record'}
    assert causes.of_step_down('the promotion failed: x') == 'promotion'
    assert causes.of_step_down('its database failed: the database system is in recovery mode') \
        == 'database'
    assert causes.of_step_down('no majority acknowledges any more (1 of the 2 ...)') == 'lease'
    assert {word for _, word in found} < set(causes.OF_STEP_DOWNS)


def test_every_sentence_by_which_the_core_gives_up_a_takeover_has_its_word():
    sentences = [words[0] for words in of_core('GaveUp') if words[0]]
    assert len(sentences) >= 2
    words = [causes.of_takeover(text, '', ()) for text in sentences]
    assert causes.OTHER not in words and set(words) < set(causes.OF_TAKEOVERS)


@pytest.mark.parametrize('sentence, text, steps, word', [
    ('pre_promotion_command failed: exit code 1', '', (), 'fencing'),
    ('db2 has more data (9 bytes): it goes first', '', (('lease', 0, 0),), 'data'),
    ('the VIP still answers, from 02:00:00:00:00:01: drop it there', '', (), 'vip'),
    ('the database of db1 still answers after fencing', '', (), 'evidence'),
    ('has priority 0', '', (('lease', 0, 0), ('VIP silent', 0, 0)), causes.NOT_ELIGIBLE),
    ('its database failed its checks', '', (), causes.NOT_ELIGIBLE),
    ('the promotion failed: db2 leads in term 5, has more data', '', (), 'promotion'),
    ('ping: not permitted', '', (('lease', 0, 0), ('VIP silent', 0, 0)), 'vip'),
    ('db1 was not heard', 'the takeover was stopped: x (1.00 s; overtaken by step down)', (),
     causes.OVERTAKEN),
    ('a sentence of tomorrow', '', (('lease', 0, 0),), causes.OTHER)])
def test_why_a_takeover_was_stopped(sentence, text, steps, word):
    assert causes.of_takeover(sentence, text, steps) == word
    assert word in causes.OF_TAKEOVERS


def test_they_are_counted_by_what_the_history_is_told():
    counters = Followed().counters
    counters.kept('step down', 'db2 leads in term 5, above mine (4)', '', ())
    counters.kept('step down', 'who knows', '', ())
    counters.kept('takeover stopped', 'not enough nodes acknowledged it', '', ())
    counters.kept('failover', 'db1 was not heard any more', '', ())
    assert counters.step_downs == {'deposed': 1, 'other': 1}
    assert counters.stopped == {'lease': 1}
