"""What a daemon cannot start with: one line says why, and nothing is left.

Each mistake is a function that breaks one thing and returns what the line has to name.
"""

import os
import socket

import pytest

from .daemons import one_line, wait_until


def unknown_key(lone):
    lone.configure(beacon_intervall=3)
    return [lone.line('beacon_intervall'), "'beacon_intervall'", 'found', 'expected']


def text_for_a_number(lone):
    lone.configure(health_check_period='often')
    return [lone.line('health_check_period'), 'health_check_period: found', 'often', 'expected']


def malformed_node(lone):
    lone.write_nodes('10.0.0.300:9500')
    return ['%s:4:' % lone.nodes, "found '10.0.0.300:9500'", 'expected']


def no_configuration(lone):
    os.unlink(lone.config)
    return ['found no file %s' % lone.config, 'expected']


def no_nodes(lone):
    os.unlink(lone.nodes)
    return [lone.line('nodes_filename'), 'nodes_filename: found no such file', lone.nodes]


def no_data_dir(lone):
    lone.configure(data_dir=os.path.join(lone.directory, 'none'))
    return [lone.line('data_dir'), 'data_dir: found no such directory', 'none', 'expected']


def closed_data_dir(lone):
    os.chmod(lone.data_dir, 0)
    lone.stack.callback(os.chmod, lone.data_dir, 0o700)
    return [lone.line('data_dir'), 'data_dir: found no permission', lone.data_dir, 'expected']


def open_data_dir(lone):
    os.chmod(lone.data_dir, 0o777)
    return [lone.line('data_dir'), 'data_dir: found mode 0777', lone.data_dir, 'expected',
            'chmod go-w']


def data_dir_of_a_group(lone):
    os.chmod(lone.data_dir, 0o770)
    return [lone.line('data_dir'), 'data_dir: found mode 0770', lone.data_dir, 'chmod go-w']


def unreadable_state(lone):
    path = os.path.join(lone.data_dir, 'ahm.state')
    lone.workspace.write(path, 'precious')
    os.chmod(path, 0)
    return ['cannot read ' + path, 'Permission denied', 'expected', 'make it readable']


def state_of_another_user(lone):
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    path = os.path.join(lone.data_dir, 'ahm.state')
    lone.workspace.write(path, 'precious')
    os.chmod(path, 0o600)
    os.chown(path, 4711, -1)
    return [path, 'owned by uid 4711', 'expected', 'do not remove it']


def no_socket_dir(lone):
    lone.configure(socket_dir=os.path.join(lone.directory, 'none'))
    return [lone.line('socket_dir'), 'socket_dir: found no such directory', 'none', 'expected']


def beacon_port_in_use(lone):
    holder = lone.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    holder.bind((lone.plan.node(1), lone.plan.ahm_port))
    return [lone.plan.node(1), 'UDP', str(lone.plan.ahm_port), 'in use', 'ahm_port']


def ipc_port_in_use(lone):
    holder = lone.stack.enter_context(socket.socket())
    holder.bind((lone.plan.node(1), lone.plan.ipc_port))
    holder.listen(1)
    return [lone.plan.node(1), 'TCP', str(lone.plan.ipc_port), 'in use', 'ipc_port']


def not_in_nodes(lone):
    lone.write_nodes(first=2)
    return ['%s:1:' % lone.nodes, 'found', 'listen_address ' + lone.plan.node(1), 'expected']


def linked(lone, name, fix='put a regular file with its content in its place'):
    """A symbolic link in data_dir, to a file that must stay as it is."""
    target = os.path.join(lone.directory, 'target')
    lone.workspace.write(target, 'precious')
    path = os.path.join(lone.data_dir, name)
    os.symlink(target, path)
    return [path, 'symbolic link', fix]


def linked_state(lone):
    return linked(lone, 'ahm.state')


def linked_lease(lone):
    return linked(lone, 'ahm.lease')


def linked_pid_file(lone):
    return linked(lone, 'ahm.pid', 'remove it')


def log_in_no_directory(lone):
    lone.configure(log_filename='none/ahm.log')
    return [os.path.join(lone.data_dir, 'none', 'ahm.log'), 'log_filename']


BAD_INPUT = (unknown_key, text_for_a_number, malformed_node, no_configuration, no_nodes,
             no_data_dir, closed_data_dir, no_socket_dir, beacon_port_in_use, ipc_port_in_use,
             open_data_dir, data_dir_of_a_group, unreadable_state, state_of_another_user,
             not_in_nodes, linked_state, linked_lease, linked_pid_file, log_in_no_directory)


@pytest.mark.parametrize('words', [('-n', 'start'), ('start',)], ids=['foreground', 'detached'])
@pytest.mark.parametrize('log', ['ahm.log', None], ids=['log file', 'no log file'])
@pytest.mark.parametrize('breaks', BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(lone, breaks, words, log):
    lone.configure(log_filename=log)
    expected = breaks(lone)
    before = lone.files()
    code, out, err = lone.ahm(*words)
    assert (code == 2 if breaks is no_configuration else code not in (0, 2)) and out == ''
    line = one_line(err)
    assert all(text in line for text in expected), (expected, line)
    assert 'Traceback' not in line and 'Errno' not in line
    assert lone.files() == before
    wait_until(lambda: lone.processes() == [], 'nothing to run')
    if 'symbolic link' in expected:
        with open(os.path.join(lone.directory, 'target')) as file:
            assert file.read() == 'precious'


def test_several_mistakes_are_reported_together(lone):
    lone.configure(beacon_intervall=3, priority='first')
    lone.write_nodes('nonsense')
    code, _, err = lone.ahm('start')
    assert code == 1 and len(err.splitlines()) == 3


def test_a_data_dir_where_nobody_removes_what_is_not_his_may_be_written_by_all(lone):
    os.chmod(lone.data_dir, 0o1777)
    lone.start()
    assert lone.answers()


def test_a_corrupt_state_file_is_replaced_and_said(lone):
    lone.workspace.write(os.path.join(lone.data_dir, 'ahm.state'), '{"format": 1')
    lone.start()
    assert lone.answers()
    assert 'ahm.state is not JSON' in lone.log_text() and 'starting without it' in lone.log_text()
