"""The log: one event, one line, and never a problem of the daemon's."""

import os
import re
import socket

import pytest
from hypothesis import given, strategies

from ahmlib.runtime import log as log_module
from ahmlib.runtime.log import Log, expand_prefix, one_line


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def now():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'ahm.log')


def lines(path):
    with open(path, 'rb') as file:
        return file.read().decode('utf-8').splitlines()


def test_the_manuals_prefix(path, now):
    log = Log('%l PID:%p %t ', 'INFO', path, 'n', now)
    log.notice('started')
    pattern = (r'^NOTICE PID:%d \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} started$' % os.getpid())
    assert re.match(pattern, lines(path)[0])


def test_every_escape():
    assert expand_prefix('%n %% %l %x %%l %', 'INFO', 'a%pb') == 'a%pb % INFO %x %l %'


@pytest.mark.parametrize('severity, written', [
    ('DEBUG', 6), ('INFO', 5), ('NOTICE', 4), ('WARNING', 3), ('ERROR', 2), ('CRITICAL', 1)])
def test_only_what_is_severe_enough(path, now, severity, written):
    log = Log('%l ', severity, path, 'n', now)
    for name in ('debug', 'info', 'notice', 'warning', 'error', 'critical'):
        getattr(log, name)('it is %s', name)
    assert len(lines(path)) == written


def test_an_unknown_severity_is_refused(path, now):
    with pytest.raises(ValueError):
        Log('', 'LOUD', path, 'n', now)


def test_one_event_is_one_line(path, now):
    log = Log('', 'INFO', path, 'n', now)
    log.info('a\nb\r\n\tc\x1b[31m\x00\x85\u2028 노드')
    assert lines(path) == ['a\\nb\\r\\n\\tc\\x1b[31m\\x00\\x85\\u2028 노드']


@given(strategies.text(strategies.characters(blacklist_categories=())))
def test_any_text_stays_on_its_line(text):
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(text).isprintable()


def test_a_lone_surrogate_and_a_slip_in_a_message_do_not_raise(path, now):
    log = Log('', 'INFO', path, 'n', now)
    log.info('\udcff')
    log.info('%d and %d', 'x')          # noqa: PLE1206 (the slip)
    assert lines(path) == ['\\udcff', "%d and %d ('x',)"]


def test_a_long_line_is_cut(path, now):
    log = Log('', 'INFO', path, 'n', now)
    log.info('노' * 100000)
    assert len(lines(path)) == 1
    assert os.path.getsize(path) <= log_module.LINE_BYTES_MAX + 1
    assert lines(path)[0].endswith('노...')


def test_a_repeated_line_becomes_a_count(path, now):
    log = Log('%l ', 'INFO', path, 'n', now)
    for _ in range(4):
        log.info('again')
    log.warning('again')
    log.info('else')
    assert lines(path) == ['INFO again', 'INFO last line repeated 3 times', 'WARNING again',
                           'INFO else']


def test_a_line_repeated_for_long_is_counted_now_and_then(path, now):
    log = Log('', 'INFO', path, 'n', now)
    for _ in range(100):
        log.info('again')
        now.now += 1
    log.close()
    assert len(lines(path)) == 5
    counts = [int(line.split()[3]) for line in lines(path)[1:]]
    assert sum(counts) == 99


def test_bounded_is_true_once_in_its_time_for_each_key(path, now):
    log = Log('', 'INFO', path, 'n', now)
    assert log.bounded('a', 10) and not log.bounded('a', 10)
    assert log.bounded('b', 10)
    now.now += 9.9
    assert not log.bounded('a', 10)
    now.now += 0.2
    assert log.bounded('a', 10)


def test_the_keys_are_bounded_too(path, now):
    log = Log('', 'INFO', path, 'n', now)
    for number in range(3 * log_module.BOUNDED_KEYS_MAX):
        log.bounded(number, 10)
    assert len(log._bounded_until) <= log_module.BOUNDED_KEYS_MAX


def test_reopening_goes_on_in_a_new_file(path, now):
    log = Log('', 'INFO', path, 'n', now)
    log.info('one')
    os.rename(path, path + '.1')
    log.info('two')
    log.reopen()
    log.info('three')
    assert lines(path + '.1') == ['one', 'two']
    assert lines(path) == ['three']


def test_an_old_file_is_appended_to(path, now):
    for text in ('one', 'two'):
        log = Log('', 'INFO', path, 'n', now)
        log.info(text)
        log.close()
    assert lines(path) == ['one', 'two']


def test_a_full_disk_costs_lines_and_is_reported_later(path, now, monkeypatch):
    log = Log('', 'INFO', path, 'n', now)
    write = os.write

    def full(fd, data):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(log_module.os, 'write', full)
    log.info('lost 1')
    log.info('lost 2')
    assert log.lost_lines == 2
    monkeypatch.setattr(log_module.os, 'write', write)
    log.info('kept')
    log.info('kept, too')
    assert lines(path) == ['2 log lines could not be written', 'kept', 'kept, too']


def test_half_a_line_does_not_swallow_the_next_one(path, now, monkeypatch):
    log = Log('', 'INFO', path, 'n', now)
    write = os.write
    monkeypatch.setattr(log_module.os, 'write', lambda fd, data: write(fd, data[:3]))
    log.info('lost')
    monkeypatch.setattr(log_module.os, 'write', write)
    log.info('kept')
    assert log.lost_lines == 1
    assert lines(path) == ['los', '1 log line could not be written', 'kept']


def test_a_real_full_device_does_not_raise(now):
    log = Log('', 'INFO', '/dev/full', 'n', now)
    log.info('lost')
    assert log.lost_lines == 1


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path, now):
    directory = tmp_path / 'later'
    log = Log('', 'INFO', str(directory / 'log'), 'n', now)
    log.info('lost')
    assert log.lost_lines == 1
    directory.mkdir()
    log.info('kept')
    assert lines(str(directory / 'log'))[-1] == 'kept'


def test_a_fifo_without_a_reader_does_not_hold_the_daemon(path, now):
    os.mkfifo(path)
    log = Log('', 'INFO', path, 'n', now)
    log.info('lost')
    assert log.lost_lines == 1


def test_a_stuck_stderr_does_not_hold_the_daemon(now):
    reader, writer = os.pipe()
    saved = os.dup(2)
    os.dup2(writer, 2)
    try:
        log = Log('', 'INFO', 'stderr', 'n', now)
        for number in range(1000):
            log.info('%d %s', number, 'x' * 1000)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(writer)
    assert 0 < log.lost_lines < 1000
    with os.fdopen(reader, 'rb') as file:
        assert file.readline().startswith(b'0 xxx')


def test_syslog_gets_datagrams_and_never_holds_the_daemon(tmp_path, now, monkeypatch):
    address = str(tmp_path / 'dev-log')
    monkeypatch.setattr(log_module, '_SYSLOG_SOCKET', address)
    log = Log('%n: ', 'INFO', 'syslog', 'node', now)
    log.info('nobody listens')
    assert log.lost_lines == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(10)
        log.error('hello')
        got = [receiver.recv(65536) for _ in range(2)]
        assert re.match(rb'^<28>\w{3} [ \d]\d \d\d:\d\d:\d\d ahm\[%d\]: node: 1 log line '
                        % os.getpid(), got[0])
        assert got[1].startswith(b'<27>') and got[1].endswith(b'node: hello')
        for number in range(5000):                # its queue fills up, and nobody reads
            log.info('%d', number)
        assert log.lost_lines > 1
    log.close()


def test_settings_change_without_losing_the_pending_count(path, now):
    log = Log('', 'INFO', path, 'n', now)
    log.info('a')
    log.info('a')
    log.configure('%l ', 'DEBUG', path + '.2')
    log.debug('b')
    assert lines(path) == ['a', 'last line repeated 1 time']
    assert lines(path + '.2') == ['DEBUG b']
