"""Parameters about the files, ports and the log of a daemon, on one real daemon."""

import contextlib
import os
import select
import socket
import struct

import pytest

from .daemons import Done, Lone, one_line, wait_until


@pytest.fixture
def lone(lab):
    """A daemon whose ports are not the default ones."""
    workspace, plan = lab
    one = Lone(workspace, plan._replace(ahm_port=plan.ahm_port + 1111,
                                        ipc_port=plan.ipc_port + 1111))
    with contextlib.closing(one):
        yield one


def test_pid_file_name_is_the_name_in_data_dir(lone):
    lone.configure(pid_file_name='other.pid')
    assert lone.ahm('start') == Done(0, '', '')
    assert os.path.exists(os.path.join(lone.data_dir, 'other.pid'))
    assert not os.path.exists(lone.pid_file)
    assert lone.ahm('stop') == Done(0, 'AHM stopped\n', '')


def test_data_dir_has_the_files_and_socket_dir_the_socket(lone):
    lone.start()
    wait_until(lambda: os.path.exists(os.path.join(lone.data_dir, 'ahm.state')), 'the state file')
    assert os.listdir(lone.socket_dir) == ['.s.AHM.%d' % lone.plan.ipc_port]
    assert {'ahm.pid', 'ahm.state', 'ahm.log'} <= set(os.listdir(lone.data_dir))


def test_ipc_port_is_the_utilities(lone):
    lone.start()
    with socket.create_connection((lone.plan.node(1), lone.plan.ipc_port), 5):
        assert lone.answers()


def test_ahm_port_is_the_beacons(lone):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(30)
        peer.bind((lone.plan.node(2), lone.plan.ahm_port))
        lone.start()
        assert peer.recvfrom(65535)[1] == (lone.plan.node(1), lone.plan.ahm_port)


def test_listen_address_is_the_only_one_that_is_listened_at(lone):
    lone.configure(listen_address=lone.plan.node(3))
    lone.write_nodes()
    lone.start()
    with socket.create_connection((lone.plan.node(3), lone.plan.ipc_port), 5):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((lone.plan.node(1), lone.plan.ipc_port), 5)


def health(address, port):
    """The first line that a health check is answered."""
    with socket.create_connection((address, port), 5) as connection:
        connection.sendall(b'GET /liveness HTTP/1.0\r\n\r\n')
        return connection.recv(100).split(b'\r\n')[0]


def test_http_port_is_the_health_checks(lone):
    lone.configure(http_port=lone.plan.ipc_port + 1)
    lone.start()
    assert health(lone.plan.node(1), lone.plan.ipc_port + 1) == b'HTTP/1.1 200 OK'


def test_http_listen_address_is_the_only_one_for_http(lone):
    lone.configure(http_port=lone.plan.ipc_port + 1, http_listen_address=lone.plan.node(2))
    lone.start()
    assert health(lone.plan.node(2), lone.plan.ipc_port + 1) == b'HTTP/1.1 200 OK'
    with pytest.raises(ConnectionRefusedError):
        health(lone.plan.node(1), lone.plan.ipc_port + 1)


def test_log_prefix_starts_every_line(lone):
    lone.configure(log_prefix='<%n %%> ')
    lone.start()
    assert lone.log_text() and all(
        line.startswith('<AHM-NODE-1 %> ') for line in lone.log_text().splitlines())


def test_log_severity_is_the_least_that_is_logged_and_log_verbose_lets_all_through(lone):
    for lines, logs in (({'log_severity': 'ERROR'}, False), ({'log_severity': 'INFO'}, True),
                        ({'log_severity': 'ERROR', 'log_verbose': True}, True)):
        lone.configure(**dict({'log_verbose': None}, **lines))
        lone.workspace.write(lone.log, '')
        lone.start()
        assert ('starts at' in lone.log_text()) is logs, lines
        lone.ahm('stop')


def test_a_detailed_log_has_every_check_and_what_it_found(lone):
    """By log_verbose, by log_severity, and by -d; each of them changed nothing."""
    lone.configure(is_witness=None, virtual_IP=None, db_data_dir=lone.data_dir,
                   conn_string='host=/nowhere dbname=none', health_check_period=0.5)
    for lines, words, logs in (({}, (), False), ({'log_verbose': True}, (), True),
                               ({'log_severity': 'DEBUG'}, (), True), ({}, ('-d',), True)):
        lone.configure(**dict({'log_verbose': None, 'log_severity': None}, **lines))
        lone.workspace.write(lone.log, '')
        assert lone.ahm(*words + ('start',)).code == 0
        wait_until(lambda: 'checks of the database failed' in lone.log_text(), 'a check')
        assert ('DEBUG PID:%d' % lone.pid() in lone.log_text()
                and 'check database took' in lone.log_text()) is logs, (lines, words)
        lone.ahm('stop')


def test_log_filename_is_where_the_log_is(lone):
    lone.configure(log_filename='other.log')
    lone.start()
    with open(os.path.join(lone.data_dir, 'other.log')) as file:
        assert 'starts at' in file.read()
    assert not os.path.exists(lone.log)


GROUP = '239.77.0.9'


def test_beacons_go_to_multicast_group_with_multicast_ttl(lone):
    lone.configure(multicast_group=GROUP, multicast_interface='lo', multicast_ttl=7,
                   beacon_message_interval_seconds=0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((lone.plan.node(2), lone.plan.ahm_port))
        member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        member.setsockopt(socket.IPPROTO_IP, 12, 1)                     # IP_RECVTTL
        member.bind((GROUP, lone.plan.ahm_port))
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP)
                          + struct.pack('=4si', b'\0' * 4, socket.if_nametoindex('lo')))
        lone.start()
        while True:
            ready = select.select([member, peer], [], [], 30)[0]
            assert ready == [member], 'instead of to every node'
            _, extras, _, (host, _) = member.recvmsg(65535, 64)
            if host == lone.plan.node(1):
                break
    ttl = [struct.unpack('=i', data[:4])[0] for level, kind, data in extras
           if (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL)]
    assert ttl == [7]


def test_multicast_interface_is_the_one_that_is_used(lone):
    lone.configure(multicast_group=GROUP, multicast_interface='nosuch0')
    code, _, err = lone.ahm('start')
    assert code == 1 and 'nosuch0' in one_line(err)
