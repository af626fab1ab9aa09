"""Which addresses are this host's, from the kernel's tables."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.network import addresses

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     +-- 198.51.100.0/24 2 0 2
        |-- 198.51.100.0
           /24 link UNICAST
           /24 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 203.0.113.7
        /32 link UNICAST
"""
IF_INET6 = """\
20010db8000000000000000000000001 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The kernel's tables above in place of this host's."""
    (tmp_path / 'v4').write_text(FIB_TRIE)
    (tmp_path / 'v6').write_text(IF_INET6)
    monkeypatch.setattr(addresses, 'IPV4_TABLE', str(tmp_path / 'v4'))
    monkeypatch.setattr(addresses, 'IPV6_TABLE', str(tmp_path / 'v6'))
    return tmp_path


def test_host_entries_are_the_local_addresses(tables):
    assert addresses.local_addresses() == {'127.0.0.1', '192.0.2.2', '2001:db8::1', '::1'}


@pytest.mark.parametrize('address, local, configured', [
    ('192.0.2.2', True, True), ('192.0.2.3', False, False), ('192.0.2.255', False, False),
    ('203.0.113.7', False, False), ('127.0.0.1', True, True), ('127.5.6.7', True, False),
    ('198.51.100.9', True, False), ('2001:db8::1', True, True), ('2001:DB8:0::1', True, True),
    ('2001:db8::2', False, False), ('::1', True, True), ('::ffff:192.0.2.2', True, True),
])
def test_local_and_configured_are_two_questions(tables, address, local, configured):
    assert addresses.is_local(address) is local
    assert addresses.is_configured(address) is configured


def test_a_kernel_without_ipv6_has_no_such_addresses(tables):
    (tables / 'v6').unlink()
    assert addresses.local_addresses() == {'127.0.0.1', '192.0.2.2'}
    assert addresses.is_local('::1')


def test_not_knowing_is_not_absence(tables):
    (tables / 'v4').unlink()
    for question in (addresses.is_local, addresses.is_configured):
        with pytest.raises(OSError):
            question('192.0.2.2')
    with pytest.raises(OSError):
        addresses.local_addresses()


def test_this_host_has_a_loopback_address():
    assert '127.0.0.1' in addresses.local_addresses()
    assert addresses.is_configured('127.0.0.1') and addresses.is_local('127.1.2.3')
    assert not addresses.is_local('192.0.2.254') and not addresses.is_configured('127.1.2.3')


@pytest.mark.parametrize('text', ['', 'localhost', '192.0.2.1/24', '192.0.02.1', 'fe80::1%lo',
                                  '1.2.3', '[::1]', ' ::1', '192.0.2.1\n'])
def test_what_is_no_literal_address_is_an_error(text):
    for question in (addresses.canonical, addresses.is_local, addresses.is_configured):
        with pytest.raises(ValueError):
            question(text)


@given(st.ip_addresses())
def test_every_spelling_has_one_canonical_form(address):
    text = addresses.canonical(str(address))
    assert addresses.canonical(text) == text
    assert addresses.canonical(address.exploded) == text
    if not getattr(address, 'ipv4_mapped', None):
        assert ipaddress.ip_address(text) == address
