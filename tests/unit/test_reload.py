"""What a reload answers: of a reading that began after it was asked for, and of each change."""

import types

import pytest

from ahmlib.config import loader
from ahmlib.runtime import daemon, reload

TEXT = 'node_name: w\nis_witness: true\nsocket_dir: .\ndata_dir: .\n'


@pytest.fixture
def configured(tmp_path):
    """configured(text, nodes) -> the Config of a witness with this text added."""
    def configure(text='', nodes='127.0.0.1:9500\n203.0.113.2:9500\n'):
        (tmp_path / 'ahm_config.yml').write_text(TEXT + text)
        (tmp_path / 'nodes.conf').write_text(nodes)
        return loader.load(str(tmp_path / 'ahm_config.yml'), {}, str(tmp_path))
    return configure


def test_each_change_has_its_values_and_why_it_cannot_be(configured):
    found = reload.changes(configured(), configured(
        'priority: 7\nbeacon_message_interval_seconds: 3\n'), 'do that')
    assert [(each['name'], each['before'], each['after']) for each in found] == [
        ('priority', '1', '7'), ('beacon_message_interval_seconds', '8', '3')]
    assert [each['why'] for each in found] == [
        '', 'cannot change while the daemon runs: do that']


def test_in_a_pause_timings_can_change_too_and_nothing_else(configured):
    found = reload.changes(configured(), configured(
        'beacon_message_interval_seconds: 3\nipc_port: 9600\n', '127.0.0.1:9500\n'),
        'do that', True)
    assert {each['name']: each['why'] != '' for each in found} == {
        'beacon_message_interval_seconds': False, 'ipc_port': True, 'nodes.conf': True}


def test_other_nodes_are_a_change_that_cannot_be(configured):
    found, = reload.changes(configured(), configured(nodes='127.0.0.1:9500\n'), 'do that')
    assert (found['name'], found['after']) == ('nodes.conf', '127.0.0.1:9500')
    assert found['before'] == '127.0.0.1:9500, 203.0.113.2:9500' and found['why']


def test_the_order_of_the_nodes_is_no_change(configured):
    assert reload.changes(configured(), configured(
        nodes='203.0.113.2:9500\n127.0.0.1:9500\n'), 'x') == []


def test_no_password_is_told(configured):
    change, = reload.changes(configured(), configured(
        'primary_conninfo_options: password=secret\n'), 'x')
    assert 'secret' not in str(change) and '***' in change['after']


class Daemon:
    """What Reload needs of one: readings end when the test says so."""

    def __init__(self, config):
        self.config, self.ends, self.answered, self.taken, self.errors = config, [], [], [], []
        self.service = types.SimpleNamespace(reloading=lambda: None, reloaded=lambda: None)
        self.log = types.SimpleNamespace(error=self.errors.append)
        self.ipc = types.SimpleNamespace(answer=lambda *words: self.answered.append(words))
        self.children = types.SimpleNamespace(
            start=lambda run, arguments, limit, on_end, what: self.ends.append(on_end))

    def take(self, config):
        """All is taken."""
        self.taken.append(config)
        return {'ok': True, 'changes': []}


def test_who_asks_while_a_file_is_read_is_told_of_the_next_reading(configured):
    config = configured()
    it = Daemon(config)
    reloading = reload.Reload(it)
    reloading.ask('first')
    reloading.ask('second')
    reloading.ask()                 # a signal, whom nobody answers
    assert len(it.ends) == 1
    it.ends[0]({'ok': True, 'config': reload.pack(config)})
    assert [client for client, _ in it.answered] == ['first'] and len(it.ends) == 2
    it.ends[1]({'ok': False, 'problems': ['one', 'two']})
    assert it.answered[1:] == [('second', {'ok': False, 'reason': 'one',
                                           'problems': ['one', 'two']})]
    assert len(it.ends) == 2 and len(it.taken) == 1
    assert it.errors == ['reload refused: one', 'reload refused: two']


def test_a_reading_that_was_killed_is_told_too():
    it = Daemon(types.SimpleNamespace(path='/x'))
    reloading = reload.Reload(it)
    reloading.ask('who')
    it.ends[0]({'ok': False, 'reason': 'killed at its limit'})
    assert it.answered == [('who', {'ok': False, 'reason': 'killed at its limit',
                                    'problems': ['killed at its limit']})]


@pytest.mark.parametrize('request_, origin, passed, reloads', [
    ({'ask': 'reload'}, ('unix', 0), False, True),
    ({'ask': 'reload'}, ('tcp', '::1'), False, False),
    ({'ask': 'reload', 'x': 1}, ('unix', 0), True, False),
    ({'ask': 'status'}, ('unix', 0), True, False)])
def test_a_reload_is_taken_at_the_unix_socket_only(request_, origin, passed, reloads):
    passed_on, answered, asked = [], [], []
    it = types.SimpleNamespace(
        driver=types.SimpleNamespace(client_asked=lambda *words: passed_on.append(words)),
        ipc=types.SimpleNamespace(answer=lambda client, message: answered.append(message)),
        log=types.SimpleNamespace(notice=lambda *words: None), reload=asked.append, http=None)
    daemon.Daemon._client_asked(it, 'who', request_, origin)
    assert (bool(passed_on), asked == ['who']) == (passed, reloads)
    if not passed and not reloads:
        assert 'run `ahm reload` there' in answered[0]['reason']
