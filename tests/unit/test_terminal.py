"""What terminals are sent and others are not: colours, a window that is filled, progress."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from ahmlib.utilities import progress, terminal, watch
from ahmlib.utilities.progress import Progress
from ahmlib.utilities.status_text import render

from .test_cluster_status import ENTRANCE, GOLDEN, answerer, changed, node, status  # noqa: F401

LIMIT = 60.0


def plain(text):
    """A text without its colours."""
    return re.sub(r'\033\[[0-9;]*m', '', text)


# -- colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize('changes, painted', [
    (changed(1, state='LOST'), '\033[1;31mLOST\033[0m'),
    (changed(1, state='DEAD'), '\033[1;31mDEAD\033[0m'),
    (changed(1, state='STAND_FOR_LEADER'), '\033[33mSTAND_FOR_LEADER\033[0m'),
    (changed(1, database='FAILED'), '\033[1;31mFAILED\033[0m'),
    (changed(1, database='QUARANTINED'), '\033[1;31mQUARANTINED\033[0m'),
    (changed(1, database='UNKNOWN'), '\033[33mUNKNOWN\033[0m'),
    ({'leader': None}, 'Leader Node: \033[1;31mNot Set\033[0m'),
    ({'leader_holds_vip': False}, 'Leader-Hold-VIP: \033[1;31mFalse\033[0m'),
    ({'leader_holds_vip': None}, 'Leader-Hold-VIP: \033[33mNot Set\033[0m'),
    ({'has_majority': False}, '\033[1;31mNo majority: '),
    ({'warnings': ['x']}, '\033[33mWarning:\033[0m x')])
def test_what_needs_attention_is_painted_and_nothing_moves(changes, painted):
    made = status(**changes)
    text = render(made, False, terminal.coloured)
    assert painted in text and plain(text) == render(made)


def test_of_a_cluster_that_is_well_only_the_leader_and_the_title_stand_out():
    text = render(status(virtual_ip=None, leader_holds_vip=None, warnings=['even'],
                         advice=['even']), False, terminal.coloured)
    assert set(re.findall(r'\033\[([0-9;]+)m', text)) == {'0', '1'}
    assert 'Advice: even' in text


@pytest.fixture
def pair():
    """A pseudo terminal: (the side that is read, the one that is written)."""
    parent, child = pty.openpty()
    yield parent, child
    for fd in (parent, child):
        try:
            os.close(fd)
        except OSError:
            pass            # the test has closed it


def resize(fd, columns, lines):
    """Give a terminal this size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))


@pytest.mark.parametrize('environ, steered, coloured', [
    ({'TERM': 'xterm'}, True, True), ({'TERM': 'dumb'}, False, False), ({}, False, False),
    ({'TERM': 'xterm', 'NO_COLOR': '1'}, True, False),
    ({'TERM': 'xterm', 'NO_COLOR': ''}, True, True)])
def test_who_is_sent_colours(pair, monkeypatch, environ, steered, coloured):
    for name in ('TERM', 'NO_COLOR'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with os.fdopen(os.dup(pair[1]), 'w') as stream:
        assert terminal.is_steered(stream) is steered
        assert (terminal.painter(stream) is terminal.coloured) is coloured
    assert terminal.painter(io.StringIO()) is terminal.plain


def test_the_window_is_the_terminals_and_elsewhere_there_is_none(pair):
    resize(pair[0], 91, 17)
    with os.fdopen(os.dup(pair[1]), 'w') as stream:
        assert terminal.window(stream) == (91, 17)
        resize(pair[0], 0, 0)
        assert terminal.window(stream) is None
    assert terminal.window(io.StringIO()) is None


class OnTerminal:
    """A command whose stdout is a terminal of this size."""

    def __init__(self, pair, size, *argv, **environ):
        self.parent, self.seen = pair[0], ''
        resize(self.parent, *size)
        known = {key: value for key, value in os.environ.items() if key != 'NO_COLOR'}
        self.process = subprocess.Popen(
            [sys.executable, ENTRANCE] + list(argv), stdout=pair[1], stderr=subprocess.PIPE,
            cwd='/', env=dict(known, TERM='xterm', **environ))
        os.close(pair[1])

    def read_until(self, is_there, seconds=LIMIT):
        """What it has sent, once that is so."""
        until = time.monotonic() + seconds
        while not is_there(self.seen):
            left = until - time.monotonic()
            assert left > 0 and select.select([self.parent], [], [], left)[0], self.seen
            try:
                self.seen += os.read(self.parent, 65536).decode('utf-8').replace('\r\n', '\n')
            except OSError:         # it has ended, and nobody else writes there
                assert is_there(self.seen), 'it ended after %r' % self.seen
        return self.seen

    def end(self):
        """Interrupt it; its exit code and stderr."""
        self.process.send_signal(signal.SIGINT)
        error = self.process.communicate(timeout=LIMIT)[1]
        return self.process.returncode, error


@pytest.mark.parametrize('environ, colours', [({}, True), ({'NO_COLOR': '1'}, False)])
def test_the_status_on_a_terminal_has_colours_unless_they_are_not_wanted(
        answerer, pair, environ, colours):  # noqa: F811
    shown = OnTerminal(pair, (120, 50), '-s', answerer.directory, **environ)
    text = shown.read_until(lambda text: plain(text).endswith(GOLDEN))
    assert ('\033[1m' in text) is colours
    assert shown.process.wait(LIMIT) == 0
    shown.process.stderr.close()


# -- --watch -----------------------------------------------------------------------------------


LINES = ['line %d' % number for number in range(10)]


@pytest.mark.parametrize('columns, rows, kept', [
    (80, 10, 10), (80, 11, 10), (80, 9, 8), (80, 2, 1), (80, 1, 0), (0, 0, 10), (80, 0, 10)])
def test_the_head_is_kept_and_the_rest_is_counted(columns, rows, kept):
    found = watch.cut(LINES, columns, rows)
    assert found[:kept] == LINES[:kept]
    assert found[kept:] == ([] if kept == 10 else [watch.LEFT_OUT % (10 - kept)])


def test_a_line_that_is_wrapped_counts_as_the_rows_that_it_takes():
    lines = ['head', terminal.coloured('x' * 80, terminal.BAD), 'y' * 81, 'z']
    assert watch.cut(lines, 80, 5) == lines
    assert watch.cut(lines, 80, 4) == lines[:2] + [watch.LEFT_OUT % 2]
    assert watch.cut(['노' * 41, 'a', 'b'], 80, 3) == ['노' * 41, watch.LEFT_OUT % 2]


def last_frame(text):
    """What the terminal shows after all that it was sent."""
    return plain(text.split(watch.CLEAR)[-1])


def test_watch_fits_the_window_and_follows_its_size(answerer, pair):  # noqa: F811
    many = [node(1, database='PRIMARY', state='LEADER')] + [node(n) for n in range(2, 30)]
    answerer.answer = {'ok': True, 'status': status(nodes=many)}
    shown = OnTerminal(pair, (100, 20), '--watch', '3600', '-s', answerer.directory)
    shown.read_until(lambda text: ' more lines' in last_frame(text))
    frame = last_frame(shown.seen).rstrip('\n').split('\n')
    # The time, 10 lines of head, a line for each node that fits; the last line of all stays free.
    assert len(frame) == 19 and frame[1] == 'Cluster Status' and frame[-2].startswith('AHM-NODE-')
    assert frame[-1] == watch.LEFT_OUT % (1 + 11 + 29 - 18)
    asked = len(answerer.requests)
    resize(shown.parent, 100, 60)
    shown.process.send_signal(signal.SIGWINCH)
    shown.read_until(lambda text: 'AHM-NODE-29' in last_frame(text))
    assert 'more lines' not in last_frame(shown.seen)
    assert len(answerer.requests) == asked, 'the same block, as it fits now'
    assert shown.end() == (0, b'')


# -- progress ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says that it is a terminal, or not."""

    def __init__(self, is_one):
        super().__init__()
        self.is_one = is_one

    def isatty(self):
        """As it was made."""
        return self.is_one


@pytest.fixture
def quick(monkeypatch):
    """Patience is short, and lines follow soon."""
    monkeypatch.setenv('TERM', 'xterm')
    for name in ('PATIENT_SECONDS', 'LINE_SECONDS', 'REWRITE_SECONDS'):
        monkeypatch.setattr(progress, name, 0.01)


def wait_for(stream, text):
    """Until this was written."""
    until = time.monotonic() + LIMIT
    while text not in stream.getvalue():
        assert time.monotonic() < until, stream.getvalue()
        threading.Event().wait(0.005)


def test_what_is_quick_says_nothing():
    for is_one in (True, False):
        stream = Terminal(is_one)
        with Progress('attach', stream) as shown:
            shown.step = 'a step'
        assert stream.getvalue() == ''


def test_on_a_terminal_one_line_is_rewritten_and_gone_at_the_end(quick):
    stream = Terminal(True)
    with Progress('attach', stream) as shown:
        shown.step = 'one\x1b[2J'
        wait_for(stream, '\rattach: 0 s, one?[2J\033[K')
        shown.step = 'two' + 'x' * 200
        wait_for(stream, ', two')
    text = stream.getvalue()
    assert text.endswith('\r\033[K') and '\n' not in text
    assert max(map(len, text.replace('\033[K', '').split('\r'))) < 80


@pytest.mark.parametrize('fails', [True, False])
def test_elsewhere_there_are_lines_now_and_then_and_one_at_the_end(quick, fails):
    stream = Terminal(False)
    try:
        with Progress('stop', stream) as shown:
            shown.step = 'it hands over'
            wait_for(stream, 'stop: 0 s, it hands over\n')
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert stream.getvalue().endswith('stop: %s after 0 s\n' % ('ended' if fails else 'done'))
    assert '\r' not in stream.getvalue() and '\033' not in stream.getvalue()


def test_a_line_that_stays_is_printed_in_place_of_the_one_that_is_rewritten(quick, capsys):
    stream = Terminal(True)
    with Progress('attach', stream) as shown:
        wait_for(stream, 'attach: 0 s')
        shown.say('attach: a step')
    assert capsys.readouterr().out == 'attach: a step\n'


def test_progress_that_nobody_can_be_shown_hinders_nothing(quick):
    stream = Terminal(True)
    stream.close()
    with Progress('attach', stream) as shown:
        until = time.monotonic() + LIMIT
        while not shown.is_shown and time.monotonic() < until:
            threading.Event().wait(0.005)
    assert shown.is_shown


@pytest.mark.parametrize('seconds, text', [(0.9, '0 s'), (59.9, '59 s'), (187, '3 min 07 s')])
def test_times_are_counted_up(seconds, text):
    assert progress.spent(seconds) == text
