"""The history of events: numbered, bounded, kept across restarts, and never a reason to wait."""

import json
import os
import signal
import time

import pytest

from ahmlib.lab import procfs
from ahmlib.runtime import disk_helper, event_file, history, origins
from ahmlib.runtime.event_file import EventWriter
from ahmlib.runtime.history import History
from ahmlib.runtime.loop import Loop, clock
from tests.lab.small_disk import _mount, _unmount, small_disks_available

LIMIT = 20


class Kept:
    """A History with its writer in a loop, and what the core was told."""

    def __init__(self, directory, bytes_max=event_file.FILE_BYTES_MAX):
        self.directory, self.troubles, self.deaths = str(directory), [], []
        self.loop, self.term, self.skew = Loop(), 3, 0.0
        self.writer = EventWriter(self.loop, clock, self.directory, self.deaths.append, bytes_max)
        self.history = History(self.writer, 'db1', lambda: clock() + self.skew, lambda: self.term,
                               self.troubles.append)
        self.history.go_on(event_file.read(self.directory))

    def until(self, predicate):
        """Run the loop until predicate()."""
        deadline = time.monotonic() + LIMIT
        while not predicate():
            assert time.monotonic() < deadline, 'waited in vain'
            self.loop.run_once(clock() + 0.02)
            self.history.expire(clock() + self.skew)

    def written(self):
        """Wait until all is written, or was tried."""
        self.until(lambda: not self.writer._waiting and not self.writer.has_failed())

    def end(self):
        """As at the end of a daemon."""
        self.writer.finish(LIMIT)
        self.loop.close()

    def texts(self):
        """What is in the files."""
        return [event['text'] for event in event_file.read(self.directory)]


@pytest.fixture
def kept(tmp_path):
    """A Kept."""
    one = Kept(tmp_path)
    yield one
    one.end()


def test_an_event_has_all_its_fields_and_is_a_line_of_the_file(kept):
    began = clock() - 2.0
    kept.history.add('failover', 'why', 'a text', {'uid': 0}, [('promotion', began, 1.5)])
    kept.written()
    with open(os.path.join(kept.directory, event_file.NAME)) as file:
        event = json.loads(file.read())
    assert set(event) == {'schema', 'at', 'node', 'term', 'seq', 'kind', 'cause', 'by', 'steps',
                          'text'}
    assert (event['node'], event['term'], event['seq'], event['by']) == ('db1', 3, 1, {'uid': 0})
    assert event['steps'][0]['name'] == 'promotion' and event['steps'][0]['took'] == 1.5
    assert event['steps'][0]['at'] < event['at'] and event['at'].endswith('Z')
    assert os.stat(os.path.join(kept.directory, event_file.NAME)).st_mode & 0o777 == 0o640


def test_numbers_go_on_after_a_restart_and_terms_do_not_fall(kept):
    for number in range(3):
        kept.history.add('state', '', 'number %d' % number)
    kept.written()
    again = Kept(kept.directory)
    again.term = 0          # the state file was lost
    again.history.add('state', '', 'after')
    found = again.history.answer({'ask': 'events'})['events']
    assert [(event['term'], event['seq']) for event in found] == [(3, 1), (3, 2), (3, 3), (3, 4)]
    again.written()
    assert again.texts()[-1] == 'after'
    again.end()


def test_what_follows_from_an_event_of_another_node_has_a_higher_number(kept):
    kept.history.add('state', '', 'one')
    kept.history.heard(40)
    kept.history.heard(7)
    kept.history.heard(2 ** 60)     # of no daemon
    kept.history.add('state', '', 'two')
    assert [event['seq'] for event in kept.history.answer({})['events']] == [1, 41]


def test_a_line_that_was_cut_short_is_left_out_and_the_next_one_is_whole(kept):
    kept.history.add('state', '', 'one')
    kept.written()
    with open(os.path.join(kept.directory, event_file.NAME), 'a') as file:
        file.write('{"seq": 2, "term": 3, "te')
    again = Kept(kept.directory)
    again.history.add('state', '', 'two')
    again.written()
    assert again.texts() == ['one', 'two']
    again.end()


def test_the_files_are_bounded_and_the_newest_stay(tmp_path):
    kept = Kept(tmp_path, bytes_max=4000)
    for number in range(60):
        kept.history.add('kind %d' % number, '', 'number %d' % number)
    kept.written()
    names = sorted(os.listdir(kept.directory))
    assert names == [event_file.NAME, event_file.NAME + disk_helper.ROTATED]
    assert all(os.stat(os.path.join(kept.directory, name)).st_size <= 4000 for name in names)
    texts = kept.texts()
    assert texts[-1] == 'number 59' and 10 < len(texts) < 60
    assert texts == ['number %d' % number for number in range(60 - len(texts), 60)]
    kept.end()


def test_one_kind_cannot_push_the_others_out(kept):
    for number in range(history.KIND_MAX + 5):
        kept.history.add('vip', '', 'number %d' % number)
    kept.history.add('failover', '', 'the other kind')
    assert len(kept.history._tail) == history.KIND_MAX + 1
    kept.skew = history.KIND_SECONDS + 1
    kept.history.add('vip', '', 'an hour later')
    told = [event for event in kept.history._tail if event['kind'] == history.LOST]
    assert len(told) == 1 and told[0]['text'].startswith('5 events "vip" were left out')
    assert kept.history._tail[-1]['text'] == 'an hour later'


def test_a_disk_that_stalls_is_not_waited_for_and_what_is_too_much_is_counted(kept, monkeypatch):
    kept.history.add('state', '', 'one')
    kept.written()
    pid = kept.writer._helper.pid
    os.kill(pid, signal.SIGSTOP)
    kept.until(lambda: procfs.state(pid) == 'T')
    monkeypatch.setattr(event_file, 'UNSENT_BYTES_MAX', 1000)
    began = time.monotonic()
    for number in range(900):
        kept.history.add('kind %d' % (number % 30), '', 'x' * 1000)
    assert time.monotonic() - began < LIMIT and kept.writer.has_failed()
    kept.until(lambda: kept.history.lost)
    assert 'the disk does not answer' in kept.troubles[0]
    os.kill(pid, signal.SIGCONT)
    lost, kept.skew = kept.history.lost, history.RETRY_SECONDS + 1
    kept.until(lambda: kept.troubles[-1] == '')
    assert any(text.startswith('%d events before this one are missing' % lost)
               for text in kept.texts())


@pytest.mark.skipif(bool(small_disks_available()), reason='SMALL DISK SKIPPED: %s' % (
    small_disks_available()))
def test_a_full_disk_drops_events_and_counts_them_until_there_is_room(tmp_path):
    directory = str(tmp_path / 'disk')
    os.mkdir(directory)
    _mount(directory, 1, os.geteuid(), os.getegid())
    kept = Kept(directory)
    try:
        kept.history.add('state', '', 'before')
        kept.written()
        filler = os.path.join(directory, 'filler')
        with open(filler, 'ab', buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b'x' * 4096)
        for number in range(30):
            kept.history.add('state', '', ('number %d ' % number) + 'x' * 900)
        for _ in range(30):             # what room a page of the disk has left is for short ones
            kept.history.add('short', '', '')
        kept.written()
        lost = kept.history.lost
        assert 30 < lost <= 60 and 'No space left on device' in kept.troubles[0]
        # Who asks is given them all the same: they are in memory.
        assert len(kept.history.answer({})['events']) == 61
        kept.skew = history.RETRY_SECONDS + 1
        kept.until(lambda: len(kept.troubles) > 1)      # tried in vain
        assert '%d are missing' % lost in kept.troubles[-1]
        os.unlink(filler)
        kept.skew += history.RETRY_SECONDS + 1
        kept.until(lambda: kept.troubles[-1] == '')
        assert kept.texts()[0] == 'before' and kept.history.lost == 0
        assert kept.texts()[-1].startswith('%d events before this one are missing' % lost)
    finally:
        kept.end()
        _unmount(directory)


def test_a_link_in_place_of_the_file_is_not_followed(kept):
    other = os.path.join(kept.directory, 'other')
    with open(other, 'w') as file:
        file.write('precious')
    os.symlink(other, os.path.join(kept.directory, event_file.NAME))
    kept.history.add('state', '', 'one')
    kept.until(lambda: kept.troubles)
    with open(other) as file:
        assert file.read() == 'precious'
    with pytest.raises(OSError):
        event_file.read(kept.directory)


def test_answers_come_in_pages_after_what_is_known(kept):
    kept.history.go_on({'term': 1, 'seq': number} for number in range(1, 451))
    pages, after = [], [0, 0]
    while True:
        answer = kept.history.answer({'ask': 'events', 'after': after})
        pages.append(len(answer['events']))
        after = [answer['events'][-1]['term'], answer['events'][-1]['seq']]
        if not answer['more']:
            break
    assert pages == [200, 200, 50] and after == [1, 450]
    assert kept.history.answer({'after': after})['events'] == []


@pytest.mark.parametrize('after', [None, [1], [1, 'x'], [True, 1], {}, [1, 2, 3]])
def test_a_question_that_is_none_is_refused(kept, after):
    assert not kept.history.answer({'ask': 'events', 'after': after})['ok']


def test_who_asked_is_an_address_or_a_user():
    origins.learn_users()
    assert origins.who(('tcp', '192.0.2.1')) == {'address': '192.0.2.1', 'uid': None, 'user': None}
    assert origins.who(('unix', 0)) == {'address': None, 'uid': 0, 'user': 'root'}
    assert origins.who(('unix', 3999999)) == {'address': None, 'uid': 3999999, 'user': None}
