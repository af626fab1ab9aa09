"""ahm_cluster_status: the manual's shape to the letter, and every way to fail in one line."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from ahmlib.ipc import protocol
from ahmlib.utilities import cluster_status, common, status_check, watch
from ahmlib.utilities.status_check import CRITICAL, OK, UNKNOWN, WARNING
from ahmlib.utilities.status_text import duration, position, render, size

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENTRANCE = os.path.join(ROOT, 'bin', 'ahm_cluster_status')

# The specification's own example.
GOLDEN = """\
Cluster Status

Leader Node: AHM-NODE-1
Leader Host: 210.104.181.77
Successor Node: AHM-NODE-2
Successor Host: 210.104.181.78
Virtual IP : 210.104.181.42
Leader-Hold-VIP: True
Remote Nodes: 1

Node       Database Address        Port Priority Witness State
AHM-NODE-1 PRIMARY  210.104.181.77 9500 1        False   LEADER
AHM-NODE-2 STANDBY  210.104.181.78 9500 2        False   STANDBY
"""


def node(number, **changes):
    made = {'name': 'AHM-NODE-%d' % number, 'database': 'STANDBY',
            'address': '210.104.181.%d' % (76 + number), 'port': 9500, 'priority': number,
            'witness': False, 'state': 'STANDBY', 'reason': ''}
    made.update(changes)
    return made


def status(**changes):
    made = {'leader': 'AHM-NODE-1', 'leader_host': '210.104.181.77',
            'successor': 'AHM-NODE-2', 'successor_host': '210.104.181.78',
            'virtual_ip': '210.104.181.42', 'leader_holds_vip': True, 'remote_nodes': 1,
            'has_majority': True, 'asked': 'AHM-NODE-1', 'warnings': [],
            'nodes': [node(1, database='PRIMARY', state='LEADER'), node(2)]}
    made.update(changes)
    return made


# -- the text ---------------------------------------------------------------------------------


def test_the_specifications_example_to_the_letter():
    assert render(status()) == GOLDEN


def test_without_a_virtual_ip():
    text = render(status(virtual_ip=None, leader_holds_vip=None))
    assert 'Virtual IP : Not Set\nLeader-Hold-VIP: Not Set\n' in text


def test_a_leader_that_does_not_hold_the_virtual_ip():
    assert 'Leader-Hold-VIP: False\n' in render(status(leader_holds_vip=False))


def test_without_a_leader():
    text = render(status(leader=None, leader_host=None, successor=None, successor_host=None,
                         leader_holds_vip=None))
    assert text.startswith("""\
Cluster Status

Leader Node: Not Set
Leader Host: Not Set
Successor Node: Not Set
Successor Host: Not Set
Virtual IP : 210.104.181.42
Leader-Hold-VIP: Not Set
Remote Nodes: 1

Node """)


def test_a_node_that_was_never_heard_of():
    unknown = node(2, name=None, database='UNKNOWN', priority=None, witness=None, state='DEAD')
    text = render(status(nodes=[node(1, database='PRIMARY', state='LEADER'), unknown]))
    assert text.endswith("""\
Node       Database Address        Port Priority Witness State
AHM-NODE-1 PRIMARY  210.104.181.77 9500 1        False   LEADER
Not Set    UNKNOWN  210.104.181.78 9500 Not Set  Not Set DEAD
""")


def test_columns_are_as_wide_as_their_widest_entry():
    nodes = [node(1, name='a'), node(2, name='a-very-long-name-indeed', database='NOT_CONFIGURED',
                                     address='2001:db8::1', port=65535, witness=True,
                                     state='WAITING_FOR_LEADER_FORMATION')]
    assert render(status(nodes=nodes)).endswith("""\
Node                    Database       Address        Port  Priority Witness State
a                       STANDBY        210.104.181.77 9500  1        False   STANDBY
a-very-long-name-indeed NOT_CONFIGURED 2001:db8::1    65535 2        True    \
WAITING_FOR_LEADER_FORMATION
""")


def test_hangul_takes_two_columns():
    lines = render(status(nodes=[node(1, name='노드'), node(2, name='abcd')])).splitlines()
    assert lines[-2].startswith('노드 STANDBY')
    assert lines[-1].startswith('abcd STANDBY')


def test_without_a_majority_one_line_says_so_after_the_unchanged_shape():
    text = render(status(has_majority=False, asked='AHM-NODE-2'))
    assert text == GOLDEN + (
        '\nNo majority: AHM-NODE-2 is not in contact with a majority of the nodes; this is only'
        ' what it sees\n')


def test_warnings_follow_the_table_one_a_line():
    text = render(status(warnings=['two nodes can split', 'data_dir is /tmp']))
    assert text == GOLDEN + '\nWarning: two nodes can split\nWarning: data_dir is /tmp\n'


def test_what_is_only_advice_is_called_so():
    text = render(status(warnings=['two nodes can split', 'even'], advice=['even']))
    assert text == GOLDEN + '\nWarning: two nodes can split\nAdvice: even\n'


def test_nothing_of_an_answer_steers_the_terminal():
    text = render(status(warnings=['a\x1b[2J\nb'], leader='x\ny'))
    assert '\x1b' not in text
    assert 'Warning: a?[2J?b\n' in text and 'Leader Node: x?y\n' in text


@pytest.mark.parametrize('changes', [{}, {'leader': None}, {'nodes': []},
                                     {'warnings': ['x'], 'has_majority': False}])
def test_no_line_has_trailing_blanks(changes):
    text = render(status(**changes))
    assert all(line == line.rstrip() for line in text.split('\n'))
    assert text.endswith('\n') and not text.endswith('\n\n')


# -- the command ------------------------------------------------------------------------------


class Answerer:
    """Something that listens where a daemon would and gives one prepared answer a client."""

    def __init__(self, directory, port=9595):
        self.directory = directory
        self.port = port
        self.requests = []
        self.answer = {'ok': True, 'status': status()}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(directory, '.s.AHM.%d' % port))
        self._listener.listen(5)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(protocol.decode(connection.recv(65536)))
                connection.sendall(protocol.encode(self.answer_to(self.requests[-1])))

    def answer_to(self, request):
        """What this request is answered."""
        return self.answer

    def close(self):
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def answerer(tmp_path):
    made = Answerer(str(tmp_path))
    yield made
    made.close()


def run(*argv, **environ):
    process = subprocess.Popen([sys.executable, ENTRANCE] + list(argv), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd='/', env=dict(os.environ, **environ))
    out, error = process.communicate(timeout=60)
    return process.returncode, out.decode('utf-8'), error.decode('utf-8')


def failure(*argv, **environ):
    """Run what must fail: nothing on stdout, one line on stderr.  Returns (code, reason)."""
    code, out, error = run(*argv, **environ)
    assert out == ''
    assert error.startswith('Command Failed: ')
    assert error.endswith('\n') and error.count('\n') == 1
    return code, error[len('Command Failed: '):-1]


def test_the_entrance_prints_the_status(answerer):
    assert run('-s', answerer.directory) == (0, GOLDEN, '')
    assert answerer.requests == [{'ask': 'status'}]


def test_json_is_the_status_object(answerer):
    code, out, _ = run('--json', '--socket-dir', answerer.directory)
    assert code == 0
    assert out == json.dumps(as_json(), sort_keys=True, indent=2) + '\n'


def as_json():
    """What --json prints of the good status: the outcome as of every command, and the status."""
    return dict(status(), ok=True, exit_code=0,
                text='OK: leader AHM-NODE-1, successor AHM-NODE-2, 2 of 2 nodes alive')


def test_json_without_a_daemon_is_the_outcome_alone_and_stderr_is_empty(tmp_path):
    code, out, error = run('--json', '-s', str(tmp_path))
    told = json.loads(out)
    assert (code, error, sorted(told)) == (3, '', ['exit_code', 'ok', 'text'])
    assert (told['ok'], told['exit_code']) == (False, 3)
    assert told['text'].startswith('no AHM daemon at %s' % tmp_path)


def test_json_of_a_status_that_no_verdict_fits_is_shown_all_the_same(answerer):
    answerer.answer = {'ok': True, 'status': status(has_majority=None)}
    code, out, _ = run('--json', '-s', answerer.directory)
    assert code == 0 and json.loads(out)['text'] == 'the status holds no proper has_majority'


@pytest.mark.parametrize('options', [[], ['--json']])
def test_without_a_leader_the_exit_code_is_4(answerer, options):
    answerer.answer = {'ok': True, 'status': status(leader=None, leader_host=None)}
    code, out, error = run('-s', answerer.directory, *options)
    assert (code, error) == (4, '')
    assert 'Not Set' in out or 'null' in out


def test_a_terminal_without_hangul_still_gets_its_status(answerer):
    answerer.answer = {'ok': True, 'status': status(leader='노드')}
    code, out, error = run('-s', answerer.directory, PYTHONIOENCODING='ascii')
    assert (code, error) == (0, '')
    assert 'Leader Node: \\ub178\\ub4dc\n' in out


def test_a_refusal_is_passed_on_in_one_line(answerer):
    answerer.answer = {'ok': False, 'reason': 'not from\nthere'}
    assert failure('-s', answerer.directory) == (1, 'not from there')


@pytest.mark.parametrize('answer', [{'ok': True}, {'ok': True, 'status': []},
                                    {'ok': True, 'status': {}}, {}])
def test_an_answer_without_a_status_is_a_failure(answerer, answer):
    answerer.answer = answer
    assert failure('-s', answerer.directory)[0] == 1


def test_no_daemon_there_is_3_and_says_where(tmp_path):
    code, reason = failure('-s', str(tmp_path), '-p', '9777')
    assert code == 3
    assert str(tmp_path / '.s.AHM.9777') in reason


def test_no_daemon_at_a_host():
    code, reason = failure('-h', '127.0.0.1', '-p', '1')
    assert code == 3 and '127.0.0.1:1' in reason


@pytest.mark.parametrize('argv, said', [
    (['-p'], '-p requires argument'), (['--bogus'], 'not understood: --bogus'),
    (['extra'], 'not understood: extra'), (['-p', 'x'], "--port: found 'x', expected a port"),
    (['-p', '0'], "found '0'"), (['-p', '65536'], "found '65536'"),
    (['-p', '-1'], "found '-1'"), (['--watch=1'], '--watch must not have an argument'),
    (['-p', '1', '-p', '2'], 'not understood: -p 2;'),
    (['-f', '/nowhere/x.yml'], '-f: found no file /nowhere/x.yml'),
    (['-v', '--bogus', '-p', '1', 'extra'], 'not understood: --bogus extra;'),
    (['--lag-warning', '1'], '--lag-warning: found no --check'),
    (['-w', 'x'], "--watch: found 'x'"), (['-w', '0'], "found '0'"), (['-w', 'nan'], "'nan'"),
    (['-w', '0.09'], 'from 0.1 to'), (['1e9', '--watch'], "found '1e9'"),
    (['--watch=2'], '--watch must not have an argument'), (['2'], 'not understood: 2'),
    (['-w', '1', '2'], 'not understood'), (['--watch', ''], "found ''"),
    (['-w', '-p', 'x'], "--port: found 'x', expected a port")])
def test_a_wrong_usage_is_2_in_one_line(argv, said):
    code, reason = failure(*argv)
    assert code == 2
    assert said in reason


def test_help_is_the_docstring():
    code, out, error = run('--help')
    assert (code, out, error) == (0, cluster_status.__doc__.strip() + '\n', '')
    for option in ('-h, --host=', '-p, --port=', '-s, --socket-dir=', '-f, --config-file=',
                   '--json', '--help', '--version', '-v, --verbose', '-w, --watch', '--check'):
        assert '\n  ' + option in out


def test_h_is_the_host_and_not_help():
    assert common.arguments(cluster_status.__doc__, ['-h', '10.0.0.1'])['--host'] == '10.0.0.1'


def test_output_that_nobody_reads_to_its_end_is_no_error(answerer):
    command = '%s %s -s %s; echo $? >&2' % (sys.executable, ENTRANCE, answerer.directory)
    process = subprocess.Popen(['sh', '-c', '{ sleep 0.2; %s; } | true' % command],
                               stderr=subprocess.PIPE)
    _, error = process.communicate(timeout=60)
    assert error == b'0\n'


# -- --verbose --------------------------------------------------------------------------------

KNOWN = {'alive': True, 'eligible': True, 'term': 12, 'timeline': 3, 'lsn': 0x2A0000060,
         'lag_bytes': 0, 'last_beacon_seconds': 0.0, 'sync_state': None, 'streaming': None,
         'uptime_seconds': 93784.0, 'hears': ['AHM-NODE-2'], 'out': False, 'holds_vip': True,
         'problem': ''}
NEVER = dict.fromkeys(('name', 'priority', 'witness', 'term', 'lag_bytes', 'last_beacon_seconds',
                       'sync_state', 'streaming', 'uptime_seconds', 'hears', 'out', 'holds_vip'))


def full(**changes):
    """The status of three nodes with all keys: the third was never heard."""
    nodes = [node(1, database='PRIMARY', state='LEADER', **KNOWN),
             node(2, **dict(KNOWN, lsn=0x29E800060, lag_bytes=25165824, last_beacon_seconds=0.44,
                            sync_state='quorum', streaming=True, uptime_seconds=187.0,
                            hears=['AHM-NODE-1', '210.104.181.79:9500'], holds_vip=False)),
             node(3, **dict(NEVER, alive=False, eligible=False, reason='was never heard',
                            database='UNKNOWN', state='DEAD', timeline=0, lsn=0, problem=''))]
    return status(nodes=nodes, remote_nodes=2, **changes)


def test_verbose_to_the_letter():
    text = render(full(), verbose=True)
    assert text == render(full()) + """
Node                 Term  Timeline  Position    Lag    Last-Beacon  Sync    Streaming  Out  VIP  \
Uptime
AHM-NODE-1           12    3         2/A0000060  0 B    0.0 s        -       -          no   yes  \
1 d 02 h
AHM-NODE-2           12    3         2/9E800060  24 MB  0.4 s        quorum  yes        no   no   \
3 min 07 s
210.104.181.79:9500  -     -         -           -      -            -       -          -    -    -

Hears                  1    2    3
1 AHM-NODE-1           -    yes  no
2 AHM-NODE-2           yes  -    once
3 210.104.181.79:9500  ?    ?    -

AHM-NODE-1 leads
AHM-NODE-2 may lead, and is the successor
210.104.181.79:9500 may not lead: was never heard
"""


def test_verbose_begins_with_the_manuals_shape_and_the_warnings():
    text = render(status(warnings=['two nodes can split']), verbose=True)
    assert text.startswith(GOLDEN + '\nWarning: two nodes can split\n\nNode ')
    assert not [line for line in text.split('\n') if line != line.rstrip()]


def test_problems_and_a_leader_that_should_not_lead_are_said():
    changed = full(successor=None)
    changed['nodes'][0].update(reason='its database failed its checks', problem='no\x1b disk')
    lines = render(changed, verbose=True).splitlines()
    assert lines[-4:-1] == ['AHM-NODE-1 leads, and should not: its database failed its checks',
                            'AHM-NODE-1 has a problem: no? disk', 'AHM-NODE-2 may lead']


def test_since_when_a_state_holds_is_said():
    changed = full()
    changed['nodes'][0].update(state_since_seconds=187.0, database_since_seconds=7500.0)
    changed['nodes'][1].update(state_since_seconds=None, database_since_seconds='\x1b')
    lines = render(changed, verbose=True).splitlines()
    assert 'AHM-NODE-1 has been LEADER for 3 min 07 s, and its database PRIMARY for 2 h 05 min' \
        in lines
    assert 'AHM-NODE-2 has been its database STANDBY for ?' in lines


@pytest.mark.parametrize('key, value', [
    ('lag_bytes', 'x'), ('lag_bytes', []), ('uptime_seconds', 'x'), ('hears', 5), ('lsn', '0/1'),
    ('hears', [[]]), ('last_beacon_seconds', {}), ('sync_state', 7), ('term', '\x1b')])
def test_verbose_survives_what_another_version_may_send(key, value):
    changed = full()
    changed['nodes'][1][key] = value
    assert '\x1b' not in render(changed, verbose=True)


def test_verbose_of_a_daemon_that_does_not_know_the_new_keys():
    lines = render(status(), verbose=True).splitlines()
    assert re.match('AHM-NODE-1( +-)+$', lines[-9])
    assert lines[-5:-3] == ['1 AHM-NODE-1  -  ?', '2 AHM-NODE-2  ?  -']


@pytest.mark.parametrize('value, text', [
    (0, '0 B'), (1023, '1023 B'), (1024, '1 kB'), (1536, '1.5 kB'), (25165824, '24 MB'),
    (1024 ** 2 * 99.94, '99.9 MB'), (1024 ** 2 * 99.96, '100 MB'), (1024 ** 6, '1024 PB')])
def test_sizes(value, text):
    assert size(value) == text


@pytest.mark.parametrize('value, text', [
    (0, '0.0 s'), (0.44, '0.4 s'), (59.94, '59.9 s'), (59.96, '1 min 00 s'), (61, '1 min 01 s'),
    (3599, '59 min 59 s'), (3600, '1 h 00 min'), (86400, '1 d 00 h'), (93784, '1 d 02 h')])
def test_durations(value, text):
    assert duration(value) == text


def test_positions_are_written_as_postgresql_does():
    assert (position(0), position(0x2A0000060)) == ('0/0', '2/A0000060')


@pytest.mark.parametrize('option', ['-v', '--verbose'])
def test_the_entrance_prints_more_if_asked_to(answerer, option):
    answerer.answer = {'ok': True, 'status': full()}
    assert run('-s', answerer.directory, option) == (0, render(full(), verbose=True), '')


# -- --watch ----------------------------------------------------------------------------------

STAMP = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n'


class Watcher:
    """A running `ahm_cluster_status --watch`."""

    def __init__(self, *argv, **popen):
        popen.setdefault('stdout', subprocess.PIPE)
        self.process = subprocess.Popen(
            [sys.executable, ENTRANCE, '--watch', '0.1'] + list(argv),
            stderr=subprocess.PIPE, cwd='/', **popen)
        # So nothing that waits for its output does so for ever.
        self.limit = threading.Timer(60, self.process.kill)
        self.limit.start()

    def read_until(self, text, times=1):
        """What it prints until this was there so often."""
        found = ''
        while found.count(text) < times:
            line = self.process.stdout.readline().decode('utf-8')
            assert line, 'it ended after %r' % found
            found += line
        return found

    def end(self, number=signal.SIGINT):
        """Interrupt it.  Returns (exit code, the rest of stdout, stderr)."""
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=60)
        self.limit.cancel()
        return self.process.returncode, (out or b'').decode('utf-8'), error.decode('utf-8')


def test_watch_prints_blocks_with_the_time_and_ends_well(answerer):
    watcher = Watcher('-s', answerer.directory)
    text = watcher.read_until(GOLDEN.splitlines()[-1], 3)
    code, _, error = watcher.end()
    assert (code, error) == (0, '')
    assert re.match('(?:%s%s\n)*%s%s$' % (STAMP, re.escape(GOLDEN), STAMP, re.escape(GOLDEN)), text)


def test_watch_goes_on_without_a_daemon_and_sees_it_come_back(tmp_path):
    watcher = Watcher('-s', str(tmp_path), '--verbose')
    assert re.match(STAMP + 'No status: no AHM daemon at ', watcher.read_until('No status', 2))
    answerer = Answerer(str(tmp_path))
    try:
        watcher.read_until('AHM-NODE-2 may lead, and is the successor')
        answerer.answer = {'ok': False, 'reason': 'not from\nthere'}
        watcher.read_until('No status: not from there\n')
        answerer.answer = {'ok': True}
        watcher.read_until('No status: the answer holds no status')
    finally:
        answerer.close()
    os.unlink(str(tmp_path / '.s.AHM.9595'))
    watcher.read_until('No status: no AHM daemon at ')
    assert watcher.end()[::2] == (0, '')


def test_watch_as_json_is_an_object_a_line(answerer):
    watcher = Watcher('-s', answerer.directory, '--json')
    lines = [watcher.process.stdout.readline().decode('utf-8') for _ in range(3)]
    assert [json.loads(line) for line in lines] == [as_json()] * 3
    answerer.answer = {'ok': False, 'reason': 'no'}
    assert json.loads(watcher.read_until('"ok": false').splitlines()[-1]) == {
        'ok': False, 'text': 'no', 'exit_code': 1}
    assert watcher.end()[::2] == (0, '')


def test_watch_ends_when_nobody_reads_any_more(answerer):
    watcher = Watcher('-s', answerer.directory)
    watcher.read_until('AHM-NODE-2 ')
    watcher.process.stdout.close()
    assert watcher.process.wait(timeout=60) == 0
    watcher.limit.cancel()
    assert watcher.process.stderr.read() == b''
    watcher.process.stderr.close()


@pytest.mark.parametrize('term, clears', [('xterm', True), ('dumb', False)])
def test_watch_clears_only_a_terminal_that_can_be_cleared(answerer, term, clears):
    parent, child = pty.openpty()
    watcher = Watcher('-s', answerer.directory, stdout=child, env=dict(os.environ, TERM=term))
    os.close(child)
    seen = b''
    while seen.count(b'210.104.181.78 9500') < 2:
        seen += os.read(parent, 65536)
    assert watcher.end()[0] == 0
    os.close(parent)
    assert seen.startswith(watch.CLEAR.encode()) is clears
    assert (b'\033' in seen) is clears


# -- --check ----------------------------------------------------------------------------------


def test_all_is_well():
    assert status_check.check(status()) == (
        OK, 'AHM OK - leader AHM-NODE-1, successor AHM-NODE-2, 2 of 2 nodes alive | '
            'nodes_alive=2;;;0;2 nodes_total=2 standbys=1;;;0 lag_AHM-NODE-2=U')


def changed(place, **changes):
    """The status of two nodes, of which one is changed."""
    nodes = [node(1, database='PRIMARY', state='LEADER'), node(2)]
    nodes[place].update(changes)
    return {'nodes': nodes}


# By rule: what is changed of a good status, the code, what the line says.
CASES = {
    '_no_leader': [({'leader': None}, CRITICAL, 'no leader'),
                   ({'leader': ''}, CRITICAL, 'no leader')],
    '_no_majority': [({'has_majority': False}, CRITICAL, 'AHM-NODE-1 is not in contact with a')],
    '_leader_without_primary': [
        (changed(0, database='FAILED'), CRITICAL, 'leader AHM-NODE-1 is FAILED'),
        (changed(0, database='STANDBY', state='TAKING_OVER'), CRITICAL, 'AHM-NODE-1 is STANDBY')],
    '_leader_without_vip': [({'leader_holds_vip': False}, CRITICAL, 'does not hold the virtual')],
    '_second_primary': [(changed(1, database='PRIMARY'), CRITICAL, 'AHM-NODE-2 is a second')],
    '_vip_not_known': [({'leader_holds_vip': None}, WARNING, 'is not known')],
    '_node_trouble': [
        (changed(1, state='LOST', reason='not heard for 9 s'), WARNING,
         'AHM-NODE-2 is LOST: not heard for 9 s'),
        (changed(1, state='DEAD', name=None), WARNING, '210.104.181.78:9500 is DEAD'),
        (changed(1, alive=False, database='PRIMARY', state='LOST'), WARNING, 'is LOST |'),
        (changed(1, state='INITIALIZING'), WARNING, 'is INITIALIZING, its database STANDBY'),
        (changed(1, state='LOST', alive=True, out=True, database='FAILED'), WARNING,
         'is LOST, its database FAILED and reported out'),
        (changed(1, out=True, reason='was reported out: repair it'), WARNING,
         'is STANDBY, its database STANDBY: was reported out: repair it'),
        (changed(1, database='QUARANTINED'), WARNING, 'its database QUARANTINED'),
        (changed(1, database='UNKNOWN'), WARNING, 'its database UNKNOWN'),
        (changed(1, out=True), WARNING, 'and reported out')],
    '_no_successor': [({'successor': None}, WARNING, 'no successor though there are standbys')],
    '_critical_trouble': [
        (changed(1, troubles=[{'kind': 'commits', 'critical': True, 'text': 'commits wait',
                               'since_seconds': 1.0}]), CRITICAL, 'AHM-NODE-2: commits wait')],
    '_trouble': [
        (changed(1, troubles=[{'kind': 'out', 'critical': False, 'text': 'reported out',
                               'since_seconds': 1.0}]), WARNING, 'AHM-NODE-2: reported out')],
    '_problem': [(changed(1, problem='no disk'), WARNING, 'AHM-NODE-2: no disk')],
    '_warned': [({'warnings': ['two nodes can split']}, WARNING, 'two nodes can split'),
                ({'warnings': ['an even number', 'two nodes can split'],
                  'advice': ['an even number']}, WARNING, 'WARNING - two nodes can split |')],
}


def test_every_rule_has_its_cases():
    assert sorted(CASES) == sorted(rule.find.__name__ for rule in status_check.RULES)


@pytest.mark.parametrize('rule, changes, code, said', [
    (rule,) + case for rule, cases in sorted(CASES.items()) for case in cases])
def test_what_a_rule_finds(rule, changes, code, said):
    made = status(**changes)
    found, line = status_check.check(made)
    assert found == code and said in line
    assert line.startswith('AHM %s - ' % status_check.WORDS[code]) and line.count('|') == 1
    finds = {rule.find.__name__: list(rule.find(made)) for rule in status_check.RULES}
    assert [text for text in finds[rule] if text in line or text in line.replace('/', '|')]


@pytest.mark.parametrize('changes', [
    {'virtual_ip': None, 'leader_holds_vip': None},
    dict(changed(1, witness=True, database='NOT_CONFIGURED'), successor=None),
    dict(warnings=['/tmp is cleaned', 'even'], advice=['even', '/tmp is cleaned']),
    dict(nodes=[node(1, database='PRIMARY', state='LEADER')], successor=None)])
def test_what_is_no_fault(changes):
    assert status_check.check(status(**changes))[0] == OK


def test_the_worst_comes_first_and_counts_and_nothing_is_said_twice():
    code, line = status_check.check(status(leader_holds_vip=False, warnings=['x', 'y', 'x']))
    assert code == CRITICAL
    assert line.startswith('AHM CRITICAL - the leader AHM-NODE-1 does not hold the virtual IP'
                           ' 210.104.181.42; x; y | ')


def test_without_a_leader_waiting_nodes_are_no_news():
    nodes = [node(1, state='STAND_FOR_LEADER'), node(2, state='PARTICIPATE_IN_ELECTION')]
    code, line = status_check.check(status(leader=None, successor=None, nodes=nodes))
    assert (code, line.split(' | ')[0]) == (CRITICAL, 'AHM CRITICAL - no leader')


def test_performance_data():
    nodes = [node(1, database='PRIMARY', state='LEADER', lag_bytes=0),
             node(2, lag_bytes=25165824), node(3, witness=True, database='NOT_CONFIGURED'),
             node(4, name="it's a=b |\n", lag_bytes=7),
             node(5, name=None, state='DEAD', lag_bytes=None), node(6, lag_bytes='x')]
    line = status_check.check(status(nodes=nodes))[1]
    assert line.split(' | ')[1] == (
        "nodes_alive=5;;;0;6 nodes_total=6 standbys=3;;;0 lag_AHM-NODE-2=25165824B;;;0"
        " 'lag_it_s a_b _?'=7B;;;0"
        ' lag_210.104.181.81:9500=U lag_AHM-NODE-6=U')


def test_no_text_adds_a_line_or_data():
    line = status_check.check(status(warnings=['a|b=1\n\x1b[2Jc']))[1]
    assert '- a/b=1 ?[2Jc |' in line and '\n' not in line


def checked(*argv, **environ):
    """Run --check.  Returns (code, its line); there is one, and stderr is empty."""
    code, out, error = run(*argv, **environ)
    assert error == '' and out.endswith('\n') and out.count('\n') == 1
    return code, out[:-1]


def test_the_entrance_checks(answerer):
    assert checked('--check', '-s', answerer.directory) == status_check.check(status())
    answerer.answer = {'ok': True, 'status': status(warnings=['x'])}
    assert checked('--check', '-s', answerer.directory)[0] == WARNING
    answerer.answer = {'ok': True, 'status': status(leader='노드', has_majority=False)}
    assert checked('-s', answerer.directory, '--check', PYTHONIOENCODING='ascii')[0] == CRITICAL


@pytest.mark.parametrize('answer', [
    {'ok': True}, {'ok': True, 'status': {}}, {'ok': False, 'reason': 'a|b\nc'}, {},
    {'ok': True, 'status': {'nodes': []}}, {'ok': True, 'status': status(nodes=['x'])},
    {'ok': True, 'status': status(leader=5)}, {'ok': True, 'status': status(has_majority=None)},
    {'ok': True, 'status': status(nodes=5)}, {'ok': True, 'status': status(warnings=5)}])
def test_an_answer_that_is_no_status_is_unknown(answerer, answer):
    answerer.answer = answer
    code, line = checked('--check', '-s', answerer.directory)
    assert code == UNKNOWN and line.startswith('AHM UNKNOWN - ') and '|' not in line


def test_without_a_daemon_it_is_unknown(tmp_path):
    code, line = checked('--check', '-s', str(tmp_path))
    assert code == UNKNOWN and line.startswith('AHM UNKNOWN - no AHM daemon at ')


@pytest.mark.parametrize('argv, said', [
    (['--json'], 'without --json'), (['--watch'], 'without --watch'), (['-w'], 'without --watch'),
    (['-v'], 'without --verbose'), (['-w', '1'], 'without --watch'),
    (['--bogus'], 'not understood'), (['x'], 'not unders'),
    (['-p', 'x'], "--port: found 'x'"), (['-f', '/nowhere/x.yml'], '/nowhere/x.yml'),
    (['--check'], 'not understood')])
def test_a_wrong_usage_of_check_is_unknown(argv, said):
    code, line = checked('--check', *argv)
    assert code == UNKNOWN and line.startswith('AHM UNKNOWN - ') and said in line


def test_check_is_known_by_its_beginning_and_where_it_is_wrong():
    assert checked('--ch', '-p', 'x')[0] == UNKNOWN
    assert checked('--check=1')[0] == UNKNOWN


def test_a_check_that_nobody_reads_keeps_its_code(tmp_path):
    command = '%s %s --check -s %s; echo $? >&2' % (sys.executable, ENTRANCE, tmp_path)
    process = subprocess.Popen(['sh', '-c', '{ sleep 0.2; %s; } | true' % command],
                               stderr=subprocess.PIPE)
    _, error = process.communicate(timeout=60)
    assert error == b'3\n'


# -- where the daemon is ----------------------------------------------------------------------


def where(*argv):
    return common.where(common.arguments(cluster_status.__doc__, list(argv)))[:2]


def test_the_defaults():
    assert where() == ('/tmp', 9595)


def test_the_configuration_file_says_where(tmp_path):
    path = tmp_path / 'ahm_config.yml'
    path.write_text("node_name: x\nSOCKET_DIR: '/run/ahm'\nIPC_Port: 9777\nnonsense: [\n"
                    .replace('nonsense: [\n', 'nonsense: 5\n'))
    assert where('-f', str(path)) == ('/run/ahm', 9777)
    assert where('-f', str(path), '-p', '9888') == ('/run/ahm', 9888)
    assert where('-f', str(path), '-s', '/x') == ('/x', 9777)


def test_what_is_not_set_in_it_is_the_default(tmp_path):
    path = tmp_path / 'ahm_config.yml'
    path.write_text("socket_dir: ''\nipc_port:\n")
    assert where('-f', str(path)) == ('/tmp', 9595)


def test_a_relative_directory_in_it_is_relative_to_the_file(tmp_path):
    path = tmp_path / 'ahm_config.yml'
    path.write_text('socket_dir: run\n')
    assert where('-f', str(path)) == (str(tmp_path / 'run'), 9595)


def test_what_an_option_replaces_is_not_looked_at(tmp_path):
    path = tmp_path / 'ahm_config.yml'
    path.write_text('ipc_port: many\nsocket_dir: [a]\n')
    assert where('-f', str(path), '-s', '/x', '-p', '9888') == ('/x', 9888)


@pytest.mark.parametrize('text, said', [
    ('\nipc_port: many\n', ":2: ipc_port: found 'many', expected a port"),
    ('ipc_port: [1]\n', ':1: ipc_port: found a list, expected one value'),
    ('Socket_Dir: {a: 1}\n', ':1: Socket_Dir: found a mapping, expected one value')])
def test_a_wrong_value_in_it_is_named_with_its_place(tmp_path, text, said):
    path = tmp_path / 'ahm_config.yml'
    path.write_text(text)
    code, reason = failure('-f', str(path))
    assert code == 2 and str(path) + said in reason


@pytest.mark.parametrize('option', ['-h', '-p', '-s', '-f'])
def test_an_empty_value_of_an_option_is_a_usage_error(option):
    code, reason = failure(option, '')
    assert code == 2 and "found '', expected" in reason


@pytest.mark.parametrize('text', ['socket_dir: [\n', '', '- a\n', 'ipc_port: many\n'])
def test_a_configuration_that_cannot_be_read_is_a_usage_error(tmp_path, text):
    path = tmp_path / 'ahm_config.yml'
    path.write_text(text)
    assert failure('-f', str(path))[0] == 2
