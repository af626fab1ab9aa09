"""A takeover is rehearsed: what would fail is said, and what cannot be known is not made up."""

import os
import shutil
import subprocess

import pytest

from ahmlib.network import rehearsal
from ahmlib.network.vip import VipSettings


def program(path, text='exit 0', mode=0o755):
    """A script at this path; its name."""
    path.write_text('#!/bin/sh\n%s\n' % text)
    os.chmod(str(path), mode)
    return str(path)


def rehearsed(up=None, hooks=None, arping=None, virtual_ip='192.0.2.1'):
    """What a rehearsal with these commands finds."""
    done = rehearsal.rehearse(VipSettings(virtual_ip, '/bin', up, None, '/usr/sbin', arping),
                              hooks or {}, 20.0, False)
    assert done['ok']
    return done['fails'], done['lacks']


def troubles(*words, **more):
    """All of what it finds."""
    fails, lacks = rehearsed(*words, **more)
    return fails + lacks


def test_sudo_is_asked_and_runs_nothing(tmp_path):
    told = tmp_path / 'told'
    sudo = program(tmp_path / 'sudo', 'printf "%%s\\n" "$*" >> %s' % told)
    assert troubles([sudo, '-n', '/sbin/ip', 'addr', 'add', '$_IP_$/24', 'dev', 'lo']) == []
    assert told.read_text() == '-n -l -n /sbin/ip addr add 192.0.2.1/24 dev lo\n'


def test_a_command_that_sudo_refuses_is_told_with_what_sudo_says(tmp_path):
    """The takeover got the primary, and never the VIP."""
    sudo = program(tmp_path / 'sudo', 'echo "sudo: a password is required" >&2; exit 1')
    told, = troubles([sudo, '/sbin/ip', 'addr', 'add', '$_IP_$/24', 'dev', 'lo'])
    assert told.startswith('if_up_cmd: sudo does not let this user run "/sbin/ip addr add '
                           '192.0.2.1/24 dev lo" without a password')
    assert 'a password is required' in told and told.endswith('see sudoers(5)')


def test_of_other_commands_sudo_is_asked_alone_and_a_missing_one_is_not_told(tmp_path):
    sudo = program(tmp_path / 'sudo', '[ "$5" = start ] || { echo no >&2; exit 1; }')
    commands = {'a': [sudo, 'systemctl', 'x', 'start'], 'b': [sudo, 'systemctl', 'x', 'stop'],
                'c': [str(tmp_path / 'none' / 'sudo'), 'x'], 'd': ['/bin/false']}
    told, = rehearsal.refused_by_sudo(commands, 10.0)
    assert told.startswith('b: sudo does not let this user run "systemctl x stop" without a ')


@pytest.mark.parametrize('words', [['dev', 'eno99'], ['-I', 'eno99']])
def test_an_interface_that_is_not_there_is_told(tmp_path, words):
    assert troubles([program(tmp_path / 'up'), 'x'] + words) == [
        'if_up_cmd: this host has no interface eno99: see "ip link"']


def test_a_program_or_hook_that_is_missing_or_may_not_be_run_is_told(tmp_path):
    missing, locked = str(tmp_path / 'no'), program(tmp_path / 'locked', mode=0o644)
    assert troubles([missing], {'post_promotion_command': [str(tmp_path)]}, arping=['no-arping']) \
        == ['if_up_cmd: %s is not there: install it, or correct the path' % missing,
            'arping_cmd: /usr/sbin/no-arping is not there: install it, or correct the path',
            'post_promotion_command: %s may not be run by this user: see its mode and its owner'
            % tmp_path]
    assert troubles(hooks={'pre_promotion_command': [locked]}) == [
        'pre_promotion_command: %s may not be run by this user: see its mode and its owner'
        % locked]
    assert troubles(hooks={'follow_command': ['sh', '-c', 'no-such-thing']}) == []


def test_the_right_to_change_addresses_is_looked_up(tmp_path, monkeypatch):
    tool = program(tmp_path / 'ip')
    monkeypatch.setattr(rehearsal, '_child_would_have', lambda number: False)
    told, = troubles([tool, 'addr', 'add', '$_IP_$/24', 'dev', 'lo'])
    assert told.endswith('(CAP_NET_ADMIN): use sudo in the command, or give AHM that capability')
    os.chmod(tool, 0o4755)
    assert troubles([tool, 'addr', 'add', '$_IP_$/24', 'dev', 'lo']) == []


def test_the_rights_of_this_process_are_those_of_proc():
    """A user without rights has none; root has, where its capabilities were not taken away."""
    with open('/proc/self/status') as lines:
        effective = [int(line.split()[1], 16) for line in lines if line.startswith('CapEff')][0]
    if os.geteuid() == 0:
        assert rehearsal._child_would_have(12) is bool(effective >> 12 & 1)
    else:
        assert not rehearsal._child_would_have(12)


def test_without_a_vip_its_commands_are_not_looked_at(tmp_path):
    assert troubles([str(tmp_path / 'no')], virtual_ip='') == []


@pytest.mark.parametrize('said, found', [
    ('1 packets transmitted, 1 received, 0% packet loss', ''),
    ('1 packets transmitted, 0 received, 100% packet loss', 'no answer'),
    ('', 'ping did not say how many packets it sent and received')])
def test_a_ping_that_does_not_hear_this_host_is_told(tmp_path, said, found):
    """Its silence is never believed, so nobody takes over from a host that is lost."""
    program(tmp_path / 'ping', 'echo "%s"; exit 1' % said)
    settings = VipSettings('192.0.2.1', '/bin', None, None, '/usr/sbin', None,
                           ping_path=str(tmp_path))
    for pings in (True, False):
        done = rehearsal.rehearse(settings, {}, 20.0, pings)
        assert done['fails'] == []
        if not found or not pings:
            assert done['lacks'] == []
            continue
        text, = done['lacks']
        assert text.startswith('ping: no failover of a lost host: %s/ping does not hear this host '
                               'itself (127.0.0.1: %s' % (tmp_path, found))
        assert text.endswith('set ping_path')


def test_what_a_takeover_can_do_without_is_no_reason_against_it(tmp_path):
    """A node whose notification_command is not there has to be promoted all the same."""
    missing = [str(tmp_path / 'no')]
    fails, lacks = rehearsed(hooks={'notification_command': missing,
                                    'pre_promotion_command': missing})
    assert [text.split(':')[0] for text in fails] == ['pre_promotion_command']
    assert [text.split(':')[0] for text in lacks] == ['notification_command']


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('setpriv'),
                    reason='NOT TESTED: only root, by setpriv, gives capabilities away')
def test_what_another_process_passes_on_is_what_was_given_to_it():
    """A daemon of a unit with AmbientCapabilities; a shell of the same user has none."""
    words = ['setpriv', '--reuid=12345', '--clear-groups', '--inh-caps=+net_admin',
             '--ambient-caps=+net_admin', 'sh', '-c', 'echo ready; read line']
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'ready\n'
        passed = rehearsal.passed_on(process.pid)
        process.stdin.close()
    assert passed == 1 << rehearsal.CAP_NET_ADMIN
    assert rehearsal.passed_on(process.pid) is None
