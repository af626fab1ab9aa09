"""The virtual IP, with commands that touch a file instead of an interface."""
import json
import time

import pytest

from ahmlib.network import vip

ADDRESS = '192.0.2.77'


@pytest.fixture
def settings(tmp_path):
    """Commands that keep the address as a file, and log what they were called with."""
    state, log = tmp_path / 'here', tmp_path / 'log'
    bin_dir = tmp_path / 'bin'
    bin_dir.mkdir()

    def program(name, body):
        (bin_dir / name).write_text('#!/bin/sh\necho "%s $*" >> "%s"\n%s\n' % (name, log, body))
        (bin_dir / name).chmod(0o755)

    program('up', 'touch "%s"' % state)
    program('down', 'rm -f "%s"' % state)
    program('check', 'test -e "%s"' % state)
    program('arping', '')
    program('ping', 'said() { echo "1 packets transmitted, $1 received, +0% packet loss"; }; '
                    'case "$6" in *.1) said 1; exit 0;; *.2) said 0; exit 1;; '
                    '*.3) echo odd; exit 2;; esac; sleep 60')
    path = str(bin_dir)
    return vip.VipSettings(ADDRESS, path, ['up', '$_IP_$/24'], ['down', '$_IP_$'], path,
                           ['arping', '-U', '$_IP_$'], path, ['check'])


def calls(settings):
    """Names and arguments of what ran, checks left out."""
    try:
        with open(settings.if_cmd_path + '/../log') as file:
            return [line.strip() for line in file if not line.startswith('check')]
    except FileNotFoundError:
        return []


def script(settings, name, body):
    with open('%s/%s' % (settings.if_cmd_path, name), 'w') as file:
        file.write('#!/bin/sh\n' + body)


def test_up_and_down_once(settings):
    assert vip.check_vip(settings) == {'ok': True, 'reason': '', 'here': False, 'usable': True}
    assert vip.lower_vip(settings, 5)['ok'] and calls(settings) == []
    assert vip.raise_vip(settings, 5) == {'ok': True, 'reason': '', 'here': True}
    assert calls(settings) == ['up %s/24' % ADDRESS, 'arping -U %s' % ADDRESS]
    assert vip.raise_vip(settings, 5)['here'] is True
    assert len(calls(settings)) == 2
    assert vip.lower_vip(settings, 5) == {'ok': True, 'reason': '', 'here': False}
    assert calls(settings)[2:] == ['down %s' % ADDRESS]


def test_raising_without_the_announcement(settings):
    assert vip.raise_vip(settings, 5, announce=False)['ok']
    assert calls(settings) == ['up %s/24' % ADDRESS]


def test_the_exit_status_alone_proves_nothing(settings):
    result = vip.raise_vip(settings._replace(if_up_cmd=['/bin/true']), 0.2)
    assert not result['ok'] and result['here'] is False and 'did not appear' in result['reason']
    vip.raise_vip(settings, 5)
    result = vip.lower_vip(settings._replace(if_down_cmd=['/bin/true']), 0.3)
    assert not result['ok'] and result['here'] is True and 'still here' in result['reason']


def test_a_failing_command_is_told(settings):
    script(settings, 'up', 'echo "RTNETLINK answers: Operation not permitted" >&2; exit 2')
    result = vip.raise_vip(settings, 5)
    assert not result['ok'] and 'Operation not permitted' in result['reason']
    assert 'status 2' in result['reason']


@pytest.mark.parametrize('command', [['/no/such/ip'], ['nosuchprogram'], [], None])
def test_a_command_that_cannot_run_is_an_error_at_once(settings, command):
    began_at = time.monotonic()
    raised = vip.raise_vip(settings._replace(if_up_cmd=command), 30)
    assert not raised['ok'] and 'cannot run' in raised['reason'], raised
    vip.raise_vip(settings, 5)
    lowered = vip.lower_vip(settings._replace(if_down_cmd=command), 30)
    assert not lowered['ok'] and 'cannot run' in lowered['reason'] and lowered['here'] is True
    assert time.monotonic() - began_at < 10


def test_lowering_is_repeated_until_it_is_gone(settings, tmp_path):
    vip.raise_vip(settings, 5)
    script(settings, 'down', 'echo x >> %s; test $(wc -l < %s) -lt 3 || rm -f %s'
           % (tmp_path / 'count', tmp_path / 'count', tmp_path / 'here'))
    assert vip.lower_vip(settings, 10)['ok']
    assert (tmp_path / 'count').read_text().count('x') == 3


def test_a_down_command_that_hangs_is_cut_off(settings):
    vip.raise_vip(settings, 5)
    script(settings, 'down', 'sleep 60')
    began_at = time.monotonic()
    result = vip.lower_vip(settings, 0.6)
    assert not result['ok'] and result['here'] is True and 'killed' in result['reason']
    assert time.monotonic() - began_at < 3


@pytest.mark.parametrize('command', [['/bin/sh', '-c', 'exit 2'], ['/no/such'],
                                     ['/bin/sleep', '60']])
def test_a_check_that_cannot_tell_is_an_error_and_not_absence(settings, command):
    blind = settings._replace(if_check_cmd=command)
    found = vip.check_vip(blind, 0.3)
    assert not found['ok'] and found['here'] is None and 'if_check_cmd' in found['reason']
    assert not vip.lower_vip(blind, 0.3)['ok']
    assert 'down %s' % ADDRESS in calls(settings), 'it is tried all the same'
    assert not vip.raise_vip(blind, 0.3)['ok']


def test_the_kernel_is_asked_without_a_check_command(settings):
    from ahmlib.network import addresses
    plain = settings._replace(if_check_cmd=None)
    assert vip.check_vip(plain) == {'ok': True, 'reason': '', 'here': False, 'usable': True}
    if addresses.is_configured('127.0.0.1'):
        assert vip.check_vip(plain._replace(virtual_ip='127.0.0.1'))['here'] is True
    assert vip.check_vip(plain._replace(virtual_ip='no address'))['here'] is None


def test_announcing(settings):
    assert vip.announce_vip(settings._replace(arping_cmd=None), 5)['ok']
    assert vip.announce_vip(settings, 5)['ok']
    missing = settings._replace(arping_cmd=['/no/such/arping'])
    assert not vip.announce_vip(missing, 5)['ok']
    raised = vip.raise_vip(missing, 5)
    assert raised['ok'] and raised['here'] and 'arping_cmd' in raised['reason']


@pytest.mark.parametrize('address, ok, answers', [
    ('10.0.0.1', True, True), ('10.0.0.2', True, False), ('10.0.0.3', False, None)])
def test_ping(settings, address, ok, answers):
    found = vip.ping_vip(settings._replace(virtual_ip=address), 30)
    assert (found['ok'], found['answers']) == (ok, answers), found
    json.dumps(found)


def test_a_ping_that_had_to_be_ended_is_never_silence(settings):
    """On a busy host it had not even sent anything, and a standby was promoted beside a VIP."""
    found = vip.ping_vip(settings._replace(virtual_ip='10.0.0.4'), 0.5)
    assert not found['ok'] and found['answers'] is None, found


def test_a_missing_ping_is_never_silence(settings):
    found = vip.ping_vip(settings._replace(ping_path='/no/such'), 0.5)
    assert not found['ok'] and found['answers'] is None and '/no/such/ping' in found['reason']
    many = vip.ping_any(['10.0.0.1'], '/no/such', 0.5)
    assert not many['ok'] and 'cannot run ping' in many['reason']


def test_ping_any_is_content_with_the_first_answer(settings):
    began_at = time.monotonic()
    found = vip.ping_any(['10.0.0.4', '10.0.0.2', '10.0.0.1'], settings.ping_path, 30)
    assert found == {'ok': True, 'reason': '', 'answered': '10.0.0.1'}
    assert time.monotonic() - began_at < 10
    none = vip.ping_any(['10.0.0.2', '10.0.0.3', '10.0.0.4'], settings.ping_path, 3)
    assert not none['ok'] and none['answered'] is None
    assert none['reason'] == (
        '10.0.0.2: silent, 10.0.0.3: ping did not say how many packets it sent and received (exit '
        "status 2): odd, 10.0.0.4: '%s/ping' had not ended in time" % settings.ping_path)
    assert not vip.ping_any([], settings.ping_path, 1)['ok']
