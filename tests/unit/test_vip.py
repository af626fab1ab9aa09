"""The virtual IP, with commands that touch a file instead of an interface."""
import json
import os
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


# What programs say, and not how they exit


FAR = '198.51.100.77'       # on no link of this machine, so ping alone counts
SENT_NOTHING_BACK = '1 packets transmitted, 0 received, 100% packet loss, time 0ms'


@pytest.mark.parametrize('said, answers, words', [
    # iputils, BusyBox and toybox, inetutils, a wrapper around fping
    (SENT_NOTHING_BACK, False, ''),
    ('1 packets transmitted, 0 packets received, 100% packet loss', False, ''),
    ('192.0.2.77 : xmt/rcv/%loss = 1/0/100%', False, ''),
    ('1 packets transmitted, 1 received, 0% packet loss, time 0ms', True, ''),
    ('1 packets transmitted, 1 packets received, 1 duplicates, 0% packet loss', True, ''),
    ('192.0.2.77 : xmt/rcv/%loss = 1/1/0%, min/avg/max = 0.0/0.0/0.0', True, ''),
    # The link was asked, and nobody replied; whoever says so.
    ('From 192.0.2.11 icmp_seq=1 Destination Host Unreachable\n\n1 packets transmitted, '
     '0 received, +1 errors, 100% packet loss, time 0ms', False, ''),
    ('92 bytes from 192.0.2.11: Destination Host Unreachable\n1 packets transmitted, '
     '0 packets received, 100% packet loss', False, ''),
    # The address itself says that it does not want to be pinged.
    ('From 192.0.2.77 icmp_seq=1 Destination Host Prohibited\n\n1 packets transmitted, '
     '0 received, +1 errors, 100% packet loss, time 0ms', True, 'somebody is there'),
    ('92 bytes from 192.0.2.77: Dest Unreachable, Unknown Code: 10\n1 packets transmitted, '
     '0 packets received, 100% packet loss', True, 'somebody is there'),
    # A router says that the ping did not arrive.
    ('From 192.0.2.1 icmp_seq=1 Packet filtered\n' + SENT_NOTHING_BACK, None, 'Packet filtered'),
    ('From 192.0.2.1 icmp_seq=1 Destination Net Unreachable\n' + SENT_NOTHING_BACK, None,
     'Net Unreachable'),
    ('From 192.0.2.1 icmp_seq=1 Time to live exceeded\n' + SENT_NOTHING_BACK, None, 'exceeded'),
    ('ping: sendmsg: Operation not permitted\n' + SENT_NOTHING_BACK, None, 'not permitted'),
    ('ping: sendmsg: No buffer space available\n' + SENT_NOTHING_BACK, None, 'buffer space'),
    # It sent nothing, or does not say that it did.
    ('0 packets transmitted, 0 received', None, 'sent nothing'),
    ('ping: permission denied (are you root?)', None, 'permission denied'),
    ('ping: sendto: Network is unreachable', None, 'Network is unreachable'),
    ('ping: unknown host', None, 'unknown host'),
    ('1 Pakete \u00fcbertragen, 0 empfangen, 100% Paketverlust', None, 'did not say'),
    ('', None, 'printed nothing'),
])
@pytest.mark.parametrize('status', [0, 1, 2])
def test_silence_is_what_ping_says_and_no_exit_status(settings, said, answers, words, status):
    """BusyBox and inetutils exit with 1 where they may not send, and wrappers as they like."""
    script(settings, 'ping', 'case $6 in 127.0.0.1) echo "1 packets transmitted, 1 received"; '
           'exit 0;; esac\ncat <<"EOF"\n%s\nEOF\nexit %d\n'
           % (said.replace('192.0.2.77', FAR), status))
    found = vip.ping_vip(settings._replace(virtual_ip=FAR, arping_path='/no'), 5)
    assert found['answers'] is answers and found['ok'] is (answers is not None), found
    assert words in found['reason'], found
    many = vip.ping_any([FAR], settings.ping_path, 5)
    assert many['ok'] is bool(answers), many


def test_an_ipv6_address_says_that_it_refuses_pings():
    from ahmlib.network import ping
    said = ('From fd77:0:0::13 icmp_seq=1 Destination unreachable: Administratively prohibited\n'
            + SENT_NOTHING_BACK)
    assert ping.read(said, 'fd77::13').answers is True
    assert ping.read(said, 'fd77::14').answers is None


def test_an_ipv6_address_is_pinged_by_ping6_where_there_is_one(settings):
    """An older iputils has one program for each family."""
    script(settings, 'ping', 'echo "ping: unknown host"; exit 2')
    script(settings, 'ping6', 'echo "1 packets transmitted, 1 received"')
    assert not vip.try_ping(settings._replace(virtual_ip='fd77::77'), 5)['ok']
    os.chmod(settings.if_cmd_path + '/ping6', 0o755)
    assert vip.try_ping(settings._replace(virtual_ip='fd77::77'), 5)['ok']
    assert not vip.try_ping(settings, 5)['ok'], 'an IPv4 one is not'


def test_ping_is_asked_to_speak_english(settings, monkeypatch):
    monkeypatch.setenv('LC_ALL', 'de_DE.UTF-8')
    monkeypatch.setenv('LANGUAGE', 'de')
    script(settings, 'ping', 'test "$LC_ALL$LANGUAGE" = CC && echo "1 packets transmitted, '
           '1 received"')
    assert vip.try_ping(settings, 5) == {'ok': True, 'reason': ''}


def test_a_ping_that_does_not_hear_itself_is_not_believed(settings):
    """A firewall of this host, or a wrapper: it says 1 sent and 0 received of everybody."""
    script(settings, 'ping', 'echo "%s"; exit 1' % SENT_NOTHING_BACK)
    found = vip.ping_vip(settings._replace(virtual_ip=FAR), 5)
    assert not found['ok'] and found['answers'] is None, found
    assert 'does not hear this host itself' in found['reason'], found
    tried = vip.try_ping(settings, 5)
    assert not tried['ok'] and 'set ping_path' in tried['reason']


@pytest.mark.parametrize('said', [
    'sh: 1: ip: not found', 'bash: ip: command not found',
    '/x/check: line 3: ip: Permission denied',
    'Device "eth9" does not exist.', 'Cannot open netlink socket: Operation not permitted',
    'sudo: a password is required', 'cat: /run/vip: No such file or directory',
    'check: 4: Syntax error: "fi" unexpected'])
def test_a_check_that_could_not_look_does_not_say_that_the_vip_is_not_here(settings, said):
    """`ip addr | grep -q` exits with 1 where there is no ip: the VIP stayed, and was "not here"."""
    script(settings, 'check', "echo '%s' >&2; exit 1" % said)
    found = vip.check_vip(settings)
    assert not found['ok'] and found['here'] is None and said[-9:] in found['reason'], found
    assert not vip.lower_vip(settings, 0.3)['ok']
    assert 'down %s' % ADDRESS in calls(settings), 'it is tried all the same'


@pytest.mark.parametrize('said', ['', 'the VIP is on no interface', 'inactive'])
def test_a_check_that_looked_is_believed(settings, said):
    script(settings, 'check', "echo '%s' >&2; exit 1" % said)
    assert vip.check_vip(settings)['here'] is False


@pytest.mark.parametrize('status', [2, 126, 127, 255])
def test_a_check_that_could_not_run_says_nothing(settings, status):
    script(settings, 'check', 'exit %d' % status)
    assert vip.check_vip(settings)['here'] is None
    script(settings, 'check', 'kill -9 $$')
    assert vip.check_vip(settings)['here'] is None


@pytest.mark.parametrize('said, status, ok', [
    ('Sent 1 probes (1 broadcast(s))\nReceived 0 response(s)', 0, True),
    ('Sent 2 probes (2 broadcast(s))\nReceived 0 response(s)', 1, True),    # older iputils
    ('Sent 1 probe(s) (0 broadcast(s))\nReceived 0 response(s) (0 request(s), 0 broadcast(s))',
     0, True),
    ('1 packets transmitted, 0 packets received, 100% unanswered (0 extra)', 1, True),
    ('', 0, True),                                                          # another program
    ('Sent 0 probes (0 broadcast(s))\nReceived 0 response(s)', 0, False),
    ('Sent 0 probes (0 broadcast(s))\nReceived 0 response(s)', 1, False),
    ('arping: socket: Operation not permitted', 1, False),                  # BusyBox
    ('arping: socket: Operation not permitted', 2, False),
    ('Interface "lo" is not ARPable', 0, False),
    ('', 1, False),
])
def test_an_announcement_counts_by_what_arping_says_it_sent(settings, said, status, ok):
    script(settings, 'arping', "cat <<'EOF'\n%s\nEOF\nexit %d\n" % (said, status))
    found = vip.announce_vip(settings, 5)
    assert found['ok'] is ok, found
    assert ok or 'arping_cmd: ' in found['reason']


@pytest.mark.parametrize('command, words, interface', [
    (['arping', '-U', '$_IP_$', '-w', '1', '-I', 'eth1'], ['/sbin/arping'], 'eth1'),
    (['/usr/bin/sudo', '-n', '/usr/bin/arping', '-Ieth1', '-U'],
     ['/usr/bin/sudo', '-n', '/usr/bin/arping'], 'eth1'),
    (['/bin/busybox', 'arping', '-U', '-I', 'eth1'], ['/bin/busybox', 'arping'], 'eth1'),
    (['arping', '-U', '-i', 'eth1'], ['/sbin/arping'], 'eth1'),     # Thomas Habets'
    (['arping', '-U', '-i', '0.2', '-I', 'eth1'], ['/sbin/arping'], 'eth1'),
    (['arping', '-U', '-i', '0.2'], ['/sbin/arping'], ''),          # an interval of iputils
])
def test_the_probe_is_asked_as_the_announcement_is_made(command, words, interface):
    from ahmlib.network import arping
    found = arping.program(command, '/sbin')
    assert (list(found.words), found.interface) == (words, interface)


def test_a_wrapper_is_no_arping(tmp_path):
    from ahmlib.network import arping
    assert arping.program(['/usr/local/bin/announce', 'eth0'], str(tmp_path)) is None
    (tmp_path / 'arping').write_text('')
    (tmp_path / 'arping').chmod(0o755)
    assert arping.program(None, str(tmp_path)).words == (str(tmp_path / 'arping'),)


@pytest.mark.parametrize('said, told', [
    ('ARPING 10.77.0.12 from 0.0.0.0 eth0\nUnicast reply from 10.77.0.12 [0E:C8:9D:30:D0:0F]  '
     '0.539ms\nSent 1 probes (1 broadcast(s))\nReceived 1 response(s)',
     (1, ('0e:c8:9d:30:d0:0f',))),
    ('Unicast reply from 10.77.0.12 [e:c8:9d:30:d0:f] 0.007ms\nSent 1 probe(s) (0 broadcast(s))',
     (1, ('0e:c8:9d:30:d0:0f',))),
    ('42 bytes from 9e:0c:1c:ed:d6:64 (10.77.0.12): index=0 time=10.896 usec\n'
     '2 packets transmitted, 2 packets received,   0% unanswered', (2, ('9e:0c:1c:ed:d6:64',))),
    ('.\t100% packet loss (0 extra)', (None, ())),
    ('arping: socket: Operation not permitted', (None, ())),
    ('Sent 0 probes (0 broadcast(s))\nReceived 0 response(s)', (0, ())),
])
def test_who_replies_is_read_from_each_arping(said, told):
    from ahmlib.network import arping
    assert arping.read(said) == told
