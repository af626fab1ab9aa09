"""Neighbour advertisements: what is sent, and when AHM sends it; on a link in test_vip_wire.py."""

import pytest

from ahmlib.network import advertisement, vip


def test_an_advertisement_is_as_rfc_4861_says():
    sent = advertisement.message('2001:db8::1', bytes.fromhex('020000000001'))
    assert sent == bytes.fromhex(
        '8800 0000 20000000 20010db8000000000000000000000001 0201 020000000001'.replace(' ', ''))
    assert advertisement.message('::1', b'\1' * 6, True)[4:8] == bytes.fromhex('a0000000')
    assert len(advertisement.message('::1', b'\1' * 20)) == 24 + 24, 'a long hardware address'


@pytest.mark.parametrize('address, command, itself', [
    ('192.0.2.1', None, False), ('2001:db8::1', None, True), ('', None, False),
    ('2001:db8::1', ['/usr/bin/sudo', '/usr/sbin/arping', '-U'], True),
    ('2001:db8::1', ['/usr/bin/sudo', 'ndsend', '$_IP_$', 'eth0'], False)])
def test_ahm_announces_an_ipv6_vip_unless_a_program_for_it_is_set(address, command, itself):
    assert vip.announces_itself(vip.VipSettings(address, arping_cmd=command)) is itself
