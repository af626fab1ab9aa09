"""ahm_cluster_status: the manual's shape to the letter, and every way to fail in one line."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from ahmlib.ipc import protocol
from ahmlib.utilities import cluster_status, common
from ahmlib.utilities.cluster_status import render

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
                connection.sendall(protocol.encode(self.answer))

    def close(self):
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
    assert out == json.dumps(status(), sort_keys=True, indent=2) + '\n'


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
    (['extra'], 'not understood: extra'), (['-p', 'x'], 'port x found'),
    (['-p', '0'], 'port 0 found'), (['-p', '65536'], 'port 65536 found'),
    (['-p', '-1'], 'port -1 found'), (['--json=1'], '--json must not have an argument'),
    (['-p', '1', '-p', '2'], 'not understood'), (['-f', '/nowhere/x.yml'], '/nowhere/x.yml')])
def test_a_wrong_usage_is_2_in_one_line(argv, said):
    code, reason = failure(*argv)
    assert code == 2
    assert said in reason


def test_help_is_the_docstring():
    code, out, error = run('--help')
    assert (code, out, error) == (0, cluster_status.__doc__.strip() + '\n', '')
    for option in ('-h, --host=', '-p, --port=', '-s, --socket-dir=', '-f, --config-file=',
                   '--json', '--help'):
        assert '\n  ' + option in out


def test_h_is_the_host_and_not_help():
    assert common.arguments(cluster_status.__doc__, ['-h', '10.0.0.1'])['--host'] == '10.0.0.1'


def test_output_that_nobody_reads_to_its_end_is_no_error(answerer):
    command = '%s %s -s %s; echo $? >&2' % (sys.executable, ENTRANCE, answerer.directory)
    process = subprocess.Popen(['sh', '-c', '{ sleep 0.2; %s; } | true' % command],
                               stderr=subprocess.PIPE)
    _, error = process.communicate(timeout=60)
    assert error == b'0\n'


# -- where the daemon is ----------------------------------------------------------------------


def where(*argv):
    return common.where(common.arguments(cluster_status.__doc__, list(argv)))


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


@pytest.mark.parametrize('text', ['socket_dir: [\n', '', '- a\n', 'ipc_port: many\n'])
def test_a_configuration_that_cannot_be_read_is_a_usage_error(tmp_path, text):
    path = tmp_path / 'ahm_config.yml'
    path.write_text(text)
    assert failure('-f', str(path))[0] == 2
