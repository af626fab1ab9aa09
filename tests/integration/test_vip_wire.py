"""The VIP on a real link: who has it, asked of hosts that lie, and addresses of no use.

Hosts are network namespaces on a switch.  A function is called on a host by a forked child that
enters its namespace, as root or as a user without rights.
"""
import ctypes
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from ahmlib.lab.users import tool
from ahmlib.network import neighbours, netlink, rehearsal, vip
from tests.lab.network import Switch, call, namespaces_available

WHY_NOT = namespaces_available()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

VIP, VIP6 = '10.77.0.100', 'fd77::100'
OLD, STRANGER = '10.77.0.12', '10.77.0.13'
LIMIT = 3.0
NOBODY = 65534
BUSYBOX = shutil.which('busybox')
needs_busybox = pytest.mark.skipif(BUSYBOX is None, reason='busybox is not installed')

libc = ctypes.CDLL(None, use_errno=True)


class Net:
    """Three hosts on one link: ours (h1), the old leader's (h2), and a stranger's (h3)."""

    def __init__(self, switch):
        self.switch = switch
        for number in (1, 2, 3):
            switch.plug('h%d' % number, '10.77.0.%d' % (10 + number))
            self.ip('h%d' % number, 'addr', 'add', 'fd77::%d/64' % (10 + number), 'dev', 'eth0',
                    'nodad')

    def ip(self, host, *words):
        """`ip` on a host."""
        return call('ip', '-n', self.switch.namespace(host), *words)

    def run(self, host, *words):
        """A program on a host; its exit status."""
        return subprocess.call(['ip', 'netns', 'exec', self.switch.namespace(host)] + list(words),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sysctl(self, host, name, value):
        """Set a sysctl of a host's network."""
        assert self.run(host, 'sh', '-c', 'echo %s > /proc/sys/net/%s' % (value, name)) == 0, name

    def firewall(self, host, hook, rule):
        """One nftables rule on a host."""
        call('ip', 'netns', 'exec', self.switch.namespace(host), tool('nft'), '-f', '-',
             text='table inet test {\nchain %s {\ntype filter hook %s priority 0;\n%s\n}\n}\n'
             % (hook, hook, rule))

    def unplug(self):
        """Take h1 off its switch, and wait until its kernel has noticed."""
        call('ip', '-n', self.switch.namespace('sw'), 'link', 'set', 'port-h1', 'down')
        end = time.monotonic() + 10
        while 'LOWERLAYERDOWN' not in self.ip('h1', 'link', 'show', 'eth0') \
                and 'state DOWN' not in self.ip('h1', 'link', 'show', 'eth0'):
            assert time.monotonic() < end, self.ip('h1', 'link', 'show', 'eth0')
            time.sleep(0.02)

    def hardware(self, host):
        """The hardware address of a host's eth0."""
        return re.search(r'link/ether (\S+)', self.ip(host, '-o', 'link', 'show', 'eth0')).group(1)

    def give(self, host, address=VIP):
        """Put an address on a host, and tell nobody."""
        length = ['/64', 'nodad'] if ':' in address else ['/24']
        self.ip(host, 'addr', 'add', address + length[0], 'dev', 'eth0', *length[1:])

    def call(self, function, *args, **options):
        """What `function` returns on h1; with as_nobody=True called by a user without rights."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self._enter('h1', options.get('as_nobody'))
                os.write(writer, json.dumps(function(*args)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        assert said, 'the child said nothing'
        return json.loads(said)

    def _enter(self, host, as_nobody):
        with open('/var/run/netns/' + self.switch.namespace(host)) as namespace:
            assert libc.setns(namespace.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())
        if as_nobody:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)


@pytest.fixture
def net():
    """A fresh Net."""
    with Switch() as switch:
        yield Net(switch)


@pytest.fixture(params=['arping', 'entry', 'entry, without rights'])
def asking(request):
    """How h1 asks the link: (VipSettings, as_nobody)."""
    blind = settings(arping_cmd=None, arping_path='/no')
    return settings() if request.param == 'arping' else blind, 'without' in request.param


def settings(address=VIP, **changes):
    """As an operator would write them."""
    length = '/64' if ':' in address else '/24'
    return vip.VipSettings(
        address, '/bin', [tool('ip'), 'addr', 'add', '$_IP_$' + length, 'dev', 'eth0'],
        [tool('ip'), 'addr', 'del', '$_IP_$' + length, 'dev', 'eth0'], '/usr/sbin',
        [tool('arping'), '-U', '-c', '1', '-w', '1', '-I', 'eth0', '$_IP_$'],
        os.path.dirname(tool('ping')))._replace(**changes)


def asked(net, asking, suspect=None):
    """What ping_vip says on h1."""
    return net.call(vip.ping_vip, asking[0], LIMIT, suspect, as_nobody=asking[1])


def until(net, asking, wanted, seconds):
    """Ask again until `answers` is as wanted; it is never the opposite."""
    end = time.monotonic() + seconds
    while True:
        found = asked(net, asking)
        assert found['answers'] in (wanted, None), found
        if found['answers'] is wanted:
            return found
        assert time.monotonic() < end, found


# Somebody else has it (R)


def test_nobody_has_the_vip(net, asking):
    found = asked(net, asking)
    assert (found['ok'], found['answers'], found['by']) == (True, False, ''), found


def test_who_answers_is_named(net, asking):
    net.give('h3')
    found = asked(net, asking, OLD)
    assert found['answers'] and found['by'] == net.hardware('h3') and not found['of_suspect']


@pytest.mark.parametrize('verdict', ['drop', 'reject with icmp type host-prohibited'])
def test_a_stranger_that_drops_pings_has_the_vip_all_the_same(net, asking, verdict):
    net.give('h3')
    net.firewall('h3', 'input', 'icmp type echo-request ' + verdict)
    found = asked(net, asking, OLD)
    assert found['ok'] and found['answers'], found
    assert found['by'] == net.hardware('h3') and not found['of_suspect']


def test_an_ipv6_stranger_that_drops_pings_has_the_vip_all_the_same(net):
    net.give('h3', VIP6)
    net.firewall('h3', 'input', 'icmpv6 type echo-request drop')
    for as_nobody in (True, False):
        found = asked(net, (settings(VIP6), as_nobody), OLD)
        assert found['answers'] and found['by'] == net.hardware('h3'), found
    net.ip('h3', 'addr', 'del', VIP6 + '/64', 'dev', 'eth0')
    assert asked(net, (settings(VIP6), False))['answers'] is False


@needs_busybox
def test_busybox_asks_the_link_as_well(net, tmp_path):
    for name in ('ping', 'arping'):
        (tmp_path / name).symlink_to(BUSYBOX)
    ours = settings(ping_path=str(tmp_path), arping_cmd=[str(tmp_path / 'arping'), '-U', '-I',
                                                         'eth0', '-c', '1', '$_IP_$'])
    assert asked(net, (ours, False))['answers'] is False
    net.give('h3')
    net.firewall('h3', 'input', 'icmp type echo-request drop')
    found = asked(net, (ours, False))
    assert found['answers'] and found['by'] == net.hardware('h3'), found


def test_after_a_host_loss_the_ping_does_not_follow_the_old_neighbour_entry(net, asking):
    """A stranger had taken the VIP without a word, and the old entry led to the dead host."""
    net.give('h2')
    assert asked(net, asking)['by'] == net.hardware('h2')
    net.switch.power_off('h2')
    net.give('h3')
    found = asked(net, asking)
    assert found['answers'] is not False, 'the VIP would be on two hosts'
    if not asking[1]:
        assert found['answers'] and found['by'] == net.hardware('h3'), found
    else:
        assert net.hardware('h2') in found['reason'] and 'arping_cmd' in found['reason'], found


def test_after_a_host_loss_silence_is_known_even_without_rights(net, asking):
    """Who may do nothing waits until the kernel has let go of the old entry."""
    for name, value in (('base_reachable_time_ms', 1000), ('delay_first_probe_time', 1)):
        net.sysctl('h1', 'ipv4/neigh/eth0/' + name, value)
    net.give('h2')
    assert asked(net, asking)['answers'] is True
    net.switch.power_off('h2')
    if not asking[1]:
        assert asked(net, asking)['answers'] is False
    else:
        until(net, asking, False, 60)


def test_a_firewall_of_ones_own_host_that_drops_pings_is_not_silence(net, asking):
    """iputils says "1 packets transmitted, 0 received" of packets that never left."""
    net.give('h3')
    net.firewall('h1', 'output', 'icmp type echo-request ip daddr %s drop' % VIP)
    found = asked(net, asking)
    assert found['answers'] and found['by'] == net.hardware('h3'), found


def test_a_firewall_that_lets_nothing_out_is_not_silence(net):
    """Neither ping nor the kernel asks anybody: only arping, below the firewall, can."""
    net.give('h3')
    net.firewall('h1', 'output', 'ip daddr %s drop' % VIP)
    found = asked(net, (settings(arping_cmd=None, arping_path='/no'), False))
    assert not found['ok'] and found['answers'] is None and 'firewall' in found['reason'], found
    assert asked(net, (settings(), False))['answers'] is True


def test_without_a_carrier_nothing_has_left(net, asking):
    net.unplug()
    found = asked(net, asking)
    assert not found['ok'] and found['answers'] is None, found


def test_a_vip_of_ones_own_is_no_stranger_and_hides_none(net):
    """Once raised it answers every ping of this host, which says nothing of the others."""
    net.give('h1')
    found = asked(net, (settings(), False))
    assert found['ok'] and found['answers'] is False, found
    blind = asked(net, (settings(arping_cmd=None, arping_path='/no'), False))
    assert not blind['ok'] and blind['answers'] is None and 'on this host' in blind['reason']
    net.give('h2')
    found = asked(net, (settings(), False), OLD)
    assert found['answers'] and found['by'] == net.hardware('h2') and found['of_suspect'], found


def test_behind_a_router_ping_alone_counts(net, asking):
    net.ip('h1', 'route', 'add', '192.0.2.0/24', 'via', OLD)
    net.sysctl('h2', 'ipv4/ip_forward', 1)
    net.ip('h2', 'route', 'add', '192.0.2.2', 'via', STRANGER)
    net.ip('h3', 'addr', 'add', '192.0.2.2/32', 'dev', 'lo')
    away = (asking[0]._replace(virtual_ip='192.0.2.2'), asking[1])
    found = asked(net, away, OLD)
    assert found['answers'] is True and not found['of_suspect'], found
    net.firewall('h2', 'forward', 'drop')
    net.ip('h3', 'addr', 'del', '192.0.2.2/32', 'dev', 'lo')
    found = asked(net, away)
    assert found['ok'] and found['answers'] is False, found


# The dead house (W)


@pytest.mark.parametrize('drops', [False, True])
def test_the_dead_house_answers_for_the_vip_and_is_known_by_its_own_address(net, asking, drops):
    net.give('h2')
    if drops:
        net.firewall('h2', 'input', 'icmp type echo-request drop')
    found = asked(net, asking, OLD)
    assert found['answers'] and found['of_suspect'] and found['by'] == net.hardware('h2'), found


def test_nobody_but_the_suspect_is_the_suspect(net):
    ours = settings(), False
    net.give('h2')
    assert not asked(net, ours, STRANGER)['of_suspect'], 'that one is another host'
    assert not asked(net, ours)['of_suspect'], 'nobody was asked about'
    assert not asked(net, ours, '10.77.0.66')['of_suspect'], 'nobody has that address'


def test_two_addresses_behind_one_router_are_not_one_house(net):
    """VIP and suspect are both reached through h2, so both seem to have its hardware address."""
    for target in ('198.51.100.1', '198.51.100.2'):
        net.ip('h1', 'route', 'add', target, 'via', OLD)
        net.ip('h2', 'addr', 'add', target, 'dev', 'lo')
    found = asked(net, (settings('198.51.100.1'), False), '198.51.100.2')
    assert found['answers'] and not found['of_suspect'], found
    net.give('h2')
    assert not asked(net, (settings(), False), '198.51.100.2')['of_suspect']


def test_a_virtual_router_address_is_no_house(net):
    """It moves from host to host, with the service."""
    net.ip('h2', 'link', 'set', 'eth0', 'address', '00:00:5e:00:01:07')
    net.give('h2')
    found = asked(net, (settings(), False), OLD)
    assert found['by'] == '00:00:5e:00:01:07' and not found['of_suspect'], found


def test_a_machine_that_answers_for_every_address_is_nobody(net, asking):
    """Proxy ARP: the kernel's entry is filled for an address that no host has."""
    net.sysctl('h2', 'ipv4/conf/eth0/proxy_arp_pvlan', 1)
    net.sysctl('h2', 'ipv4/ip_forward', 1)
    net.firewall('h2', 'forward', 'drop')
    net.sysctl('h2', 'ipv4/neigh/eth0/proxy_delay', 0)
    assert net.call(_learned, VIP) == net.hardware('h2'), 'the proxy works'
    found = until(net, asking, False, 60)
    assert not found['of_suspect']


def test_the_suspect_is_not_named_where_it_answers_for_every_address(net):
    net.sysctl('h2', 'ipv4/conf/eth0/proxy_arp_pvlan', 1)
    net.sysctl('h2', 'ipv4/ip_forward', 1)
    net.sysctl('h2', 'ipv4/neigh/eth0/proxy_delay', 0)
    net.give('h3')
    net.firewall('h3', 'input', 'icmp type echo-request drop')
    net.give('h2')
    found = asked(net, (settings(), False), OLD)
    assert found['answers'] and not found['of_suspect'], found


def _learned(address):
    """The hardware address that the kernel learns for `address`."""
    link = neighbours.find_link(address)
    neighbours.solicit(address)
    until_at = time.monotonic() + 5
    while not neighbours.hardware_of(address, link) and time.monotonic() < until_at:
        time.sleep(0.01)
    return neighbours.hardware_of(address, link)


# Programs that lie (F)


@needs_busybox
def test_a_ping_that_may_not_send_is_not_silence(net, tmp_path):
    """BusyBox says "permission denied" and exits with 1, as for silence: the VIP was doubled."""
    (tmp_path / 'ping').symlink_to(BUSYBOX)
    os.chmod(str(tmp_path), 0o755)
    for parent in list(tmp_path.parents)[:3]:
        os.chmod(str(parent), 0o755)
    ours = settings(ping_path=str(tmp_path), arping_cmd=None, arping_path='/no')
    net.sysctl('h1', 'ipv4/ping_group_range', '"1 0"')
    found = net.call(vip.ping_vip, ours, LIMIT, None, as_nobody=True)
    assert not found['ok'] and found['answers'] is None, found
    assert 'permission denied' in found['reason'], found
    tried = net.call(vip.try_ping, ours, LIMIT, as_nobody=True)
    assert not tried['ok'] and 'permission denied' in tried['reason'], tried
    assert net.call(vip.try_ping, ours, LIMIT)['ok']


@pytest.mark.parametrize('program', ['iputils', pytest.param('busybox', marks=needs_busybox)])
def test_an_announcement_counts_by_what_was_sent(net, program):
    head = [tool('arping')] if program == 'iputils' else [BUSYBOX, 'arping']
    ours = settings(arping_cmd=head + ['-U', '-c', '1', '-w', '1', '-I', 'eth0', '$_IP_$'])
    gone = net.call(vip.announce_vip, ours, LIMIT)
    assert not gone['ok'] and 'requested address' in gone['reason'], 'the VIP is not here'
    net.give('h1')
    assert net.call(vip.announce_vip, ours, LIMIT)['ok']
    on_lo = ours._replace(arping_cmd=head + ['-U', '-c', '1', '-w', '1', '-I', 'lo', '$_IP_$'])
    found = net.call(vip.announce_vip, on_lo, LIMIT)
    assert not found['ok'] and 'not ARPable' in found['reason'], 'its exit status is 0'
    net.unplug()
    found = net.call(vip.announce_vip, ours, LIMIT)
    assert not found['ok'] and 'no carrier' in found['reason'], found


@needs_busybox
def test_an_arping_without_rights_has_announced_nothing(net):
    """Its exit status is 1, as where nobody answers."""
    net.give('h1')
    ours = settings(arping_cmd=[BUSYBOX, 'arping', '-U', '-c', '1', '-w', '1', '-I', 'eth0',
                                '$_IP_$'])
    found = net.call(vip.announce_vip, ours, LIMIT, as_nobody=True)
    assert not found['ok'] and 'not permitted' in found['reason'], found


# On the interface is not usable (G)


def test_an_ipv6_vip_that_was_refused_is_of_no_use(net):
    """Duplicate address detection found the stranger, and AHM counted the address as held."""
    ours = settings(VIP6)
    net.give('h3', VIP6)
    found = net.call(vip.raise_vip, ours, 10.0, False)
    assert not found['ok'] and found['here'] is False and 'dadfailed' in found['reason'], found
    net.ip('h1', 'addr', 'add', VIP6 + '/64', 'dev', 'eth0')
    _await_flag(net, 'dadfailed')
    found = net.call(vip.check_vip, ours)
    assert found['ok'] and found['here'] and not found['usable'], found
    assert 'dadfailed' in found['reason']
    net.ip('h3', 'addr', 'del', VIP6 + '/64', 'dev', 'eth0')
    found = net.call(vip.raise_vip, ours, 10.0, False)
    assert found['ok'] and found['here'], 'it is taken off and put on again: %s' % found
    checked = net.call(vip.check_vip, ours)
    assert (checked['here'], checked['usable'], checked['reason']) == (True, True, ''), checked


def test_a_tentative_address_is_waited_for(net):
    ours = settings(VIP6)
    net.ip('h1', 'addr', 'add', VIP6 + '/64', 'dev', 'eth0')
    found = net.call(vip.check_vip, ours)
    assert found['here'] and not found['usable'] and 'tentative' in found['reason'], found
    assert net.call(vip.raise_vip, ours, 10.0, False)['ok']
    assert net.call(vip.check_vip, ours)['usable']


def test_a_check_command_does_not_hide_a_refused_address(net):
    net.give('h3', VIP6)
    net.ip('h1', 'addr', 'add', VIP6 + '/64', 'dev', 'eth0')
    _await_flag(net, 'dadfailed')
    found = net.call(vip.check_vip, settings(VIP6, if_check_cmd=['/bin/true']))
    assert found['here'] and not found['usable'], found


def test_without_a_carrier_detection_never_ends(net):
    net.ip('h1', 'link', 'set', 'eth0', 'down')
    net.unplug()
    net.ip('h1', 'link', 'set', 'eth0', 'up')
    found = net.call(vip.raise_vip, settings(VIP6), 5.0, False)
    assert not found['ok'] and found['here'] and 'no carrier' in found['reason'], found


def test_an_address_on_an_interface_that_is_down_is_of_no_use(net):
    net.give('h1')
    net.ip('h1', 'link', 'set', 'eth0', 'down')
    found = net.call(vip.check_vip, settings())
    assert found['here'] and not found['usable'] and 'eth0 is down' in found['reason'], found
    found = net.call(vip.raise_vip, settings(), 5.0, False)
    assert not found['ok'] and found['here'] and 'eth0 is down' in found['reason'], found
    up = ['/bin/sh', '-c', '%s link set eth0 up; %s addr add $_IP_$/24 dev eth0'
          % (tool('ip'), tool('ip'))]
    assert net.call(vip.raise_vip, settings(if_up_cmd=up), 5.0, False)['ok']


def test_what_is_used_but_odd_is_told(net):
    net.give('h1')
    assert net.call(vip.check_vip, settings())['reason'] == ''
    net.ip('h1', 'addr', 'add', VIP + '/32', 'dev', 'lo')
    assert net.call(vip.check_vip, settings())['reason'] == '', 'routers announce what is on lo'
    net.ip('h1', 'link', 'add', 'spare', 'type', 'veth', 'peer', 'name', 'other')
    net.ip('h1', 'link', 'set', 'other', 'up')
    net.ip('h1', 'addr', 'add', VIP + '/32', 'dev', 'spare')
    net.ip('h1', 'link', 'set', 'spare', 'up')
    found = net.call(vip.check_vip, settings())
    assert found['usable'] and 'eth0 and spare' in found['reason'], found
    lowered = net.call(vip.lower_vip, settings(), 1.0)
    assert not lowered['ok'] and lowered['here'], 'if_down_cmd takes it off one of them'
    net.ip('h1', 'link', 'del', 'spare')
    net.ip('h1', 'addr', 'del', VIP + '/32', 'dev', 'lo')
    net.give('h1')
    net.unplug()
    found = net.call(vip.check_vip, settings())
    assert found['here'] and found['usable'] and 'no carrier' in found['reason'], found


def test_an_address_that_is_deprecated_is_used(net):
    """Nobody's source address, on purpose; the kernel answers for it."""
    net.ip('h1', 'addr', 'add', VIP6 + '/64', 'dev', 'eth0', 'nodad', 'preferred_lft', '0')
    found = net.call(vip.check_vip, settings(VIP6))
    assert (found['here'], found['usable']) == (True, True), found


def _await_flag(net, flag):
    end = time.monotonic() + 10
    while flag not in net.ip('h1', '-6', '-o', 'addr', 'show', 'to', VIP6):
        assert time.monotonic() < end, 'never ' + flag
        time.sleep(0.02)


def test_the_tables_are_read_as_ip_shows_them(net):
    net.give('h1')
    names = {link.ifindex: link.name for link in map(netlink.Link._make,
                                                   net.call(_links))}
    shown = re.findall(r'(?m)^(\d+): (\w+)', net.ip('h1', '-o', 'link', 'show'))
    assert names == {int(index): name for index, name in shown}


def _links():
    return [list(link) for link in netlink.links().values()]


# An IPv6 VIP is announced (N)


def taught(net):
    """h2 knows the VIP at the hardware address of h3, whose host is gone now."""
    net.give('h3', VIP6)
    assert net.run('h2', tool('ping'), '-6', '-c', '1', '-W', '2', VIP6) == 0
    net.ip('h3', 'addr', 'del', VIP6 + '/64', 'dev', 'eth0')
    assert known_on_h2(net) == net.hardware('h3')


def known_on_h2(net):
    """Where h2 would send what is for the VIP."""
    found = re.search(r'lladdr (\S+)', net.ip('h2', '-6', 'neigh', 'show', VIP6))
    return found and found.group(1)


@pytest.mark.parametrize('command', [None, 'arping'])
def test_an_ipv6_vip_is_announced_after_a_takeover(net, command):
    """No arping can do that, and the kernel does not: clients went on sending to the dead host."""
    ours = settings(VIP6)
    ours = ours._replace(if_up_cmd=ours.if_up_cmd + ['nodad'],
                         arping_cmd=ours.arping_cmd if command else None)
    taught(net)
    assert net.call(vip.raise_vip, ours, LIMIT, False)['ok']
    assert known_on_h2(net) == net.hardware('h3'), 'the kernel has told of it by itself'
    found = net.call(vip.announce_vip, ours, LIMIT)
    assert found == {'ok': True, 'reason': '', 'here': None}
    end = time.monotonic() + 5
    while known_on_h2(net) != net.hardware('h1'):
        assert time.monotonic() < end, net.ip('h2', '-6', 'neigh', 'show')
        time.sleep(0.02)


def test_who_may_not_announce_an_ipv6_vip_is_told_what_to_do(net):
    ours = settings(VIP6, arping_cmd=None)
    net.give('h1', VIP6)
    found = net.call(vip.announce_vip, ours, LIMIT, as_nobody=True)
    assert not found['ok'] and 'CAP_NET_RAW' in found['reason'], found
    assert 'net.ipv6.conf.eth0.ndisc_notify' in found['reason']
    tried = net.call(rehearsal.rehearse, ours, {}, LIMIT, False, as_nobody=True)
    assert ['announcement of the virtual_IP: ' + found['reason']] == [
        each for each in tried['lacks'] if each.startswith('announcement')], tried
    assert not any(each.startswith('announcement') for each in net.call(
        rehearsal.rehearse, ours, {}, LIMIT, False)['lacks'])


def test_with_ndisc_notify_the_kernel_announces_an_ipv6_vip_itself(net):
    ours = settings(VIP6, arping_cmd=None)
    net.sysctl('h1', 'ipv6/conf/eth0/ndisc_notify', '1')
    taught(net)
    assert net.call(vip.raise_vip, ours, 10.0, False)['ok']
    assert net.call(vip.announce_vip, ours, LIMIT, as_nobody=True)['ok']
    end = time.monotonic() + 5
    while known_on_h2(net) != net.hardware('h1'):
        assert time.monotonic() < end, net.ip('h2', '-6', 'neigh', 'show')
        time.sleep(0.02)


def test_a_program_of_the_operator_announces_an_ipv6_vip(net):
    ours = settings(VIP6, arping_cmd=[tool('false'), 'ndsend', '$_IP_$', 'eth0'])
    net.give('h1', VIP6)
    found = net.call(vip.announce_vip, ours, LIMIT)
    assert not found['ok'] and found['reason'].startswith('arping_cmd: '), found


def test_what_is_not_here_is_not_announced(net):
    found = net.call(vip.announce_vip, settings(VIP6, arping_cmd=None), LIMIT)
    assert found['reason'] == 'the address is on no interface of this host'
    net.ip('h1', 'addr', 'add', VIP6 + '/128', 'dev', 'lo', 'nodad')
    assert net.call(vip.announce_vip, settings(VIP6, arping_cmd=None), LIMIT)['ok'], \
        'routers announce it'
