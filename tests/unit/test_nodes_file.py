"""nodes.conf: what is an entry, and which one is this node."""

import ipaddress
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahmlib.config import nodes_file
from ahmlib.config.nodes_file import Entry, NodeList, find_own, parse, sorted_addresses
from ahmlib.config.problems import ConfigError

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'conf',
                      'nodes.conf.sample')
PATH = '/etc/ahm/nodes.conf'
LINE = re.compile(r'%s:[0-9]+: found .*, expected .*; .+' % re.escape(PATH))
PAIR = [(Entry('192.0.2.1', 9500), 1), (Entry('192.0.2.2', 9500), 2)]


def entries_of(text):
    """The entries of a text that has no problems."""
    lines, problems = parse(text, PATH)
    assert problems == []
    return [entry for entry, _ in lines]


def test_the_file_of_the_manual_and_the_sample_are_read():
    text = ('# IP:port list of AHM nodes\n# one ip:port pair per line\n\n'
            '210.104.181.77:9500 #Node1 IP:AHM Port\n210.104.181.78:9500#Node2\n')
    expected = [Entry('210.104.181.77', 9500), Entry('210.104.181.78', 9500)]
    assert entries_of(text) == expected
    with open(SAMPLE) as stream:
        assert entries_of(stream.read()) == expected


def test_blanks_carriage_returns_and_ipv6_are_read():
    assert entries_of('  192.0.2.1:1\t\r\n\r\n[2001:DB8:0:0::1]:65535\r\n[::1]:9500') == [
        Entry('192.0.2.1', 1), Entry('2001:db8::1', 65535), Entry('::1', 9500)]
    assert entries_of('[::ffff:192.0.2.1]:9500') == [Entry('192.0.2.1', 9500)]


@pytest.mark.parametrize('line, words', [
    ('192.0.2.1', 'a colon and the AHM port'), ('192.0.2.1:', 'port from 1 to 65535'),
    ('192.0.2.1:0', 'port'), ('192.0.2.1:65536', 'port'), ('192.0.2.1:09500', 'port'),
    ('192.0.2.1:+1', 'port'), ('192.0.2.1: 9500', 'port'), ('192.0.2.1:٣', 'port'),
    ('node1:9500', 'no host name'), (':9500', 'literal'), ('192.0.2.1/24:9500', 'literal'),
    ('192.0.2:9500', 'literal'), ('192.0.02.1:9500', 'leading zeros'), ('256.0.0.1:1', 'literal'),
    ('::1:9500', 'in brackets'), ('2001:db8::1', 'in brackets'), ('[fe80::1%eth0]:1', 'zone'),
    ('[192.0.2.1]:9500', 'brackets away'), ('[::1]', 'a colon'), ('[::1]9500', 'a colon'),
    ('0.0.0.0:9500', 'one host'), ('[::]:9500', 'one host'), ('224.0.0.1:9500', 'one host'),
    ('255.255.255.255:9500', 'one host'), ('192.0.2.1:9500 192.0.2.2:9500', 'a colon'),
    ('192.0.2.1:9500, 9501', 'port'),
])
def test_a_malformed_line_is_refused_with_its_number(line, words):
    lines, problems = parse('# first\n192.0.2.7:9500\n%s\n' % line, PATH)
    assert len(problems) == 1 and LINE.fullmatch(problems[0])
    assert problems[0].startswith(PATH + ':3: ')
    assert words in problems[0]
    assert [entry for entry, _ in lines] == [Entry('192.0.2.7', 9500)]


def test_every_mistake_of_a_file_is_reported():
    problems = parse('x\n192.0.2.1:1\n192.0.2.1:1\n[2001:db8::1]:1\n[2001:DB8:0::1]:1\n', PATH)[1]
    assert [line.split(':')[1] for line in problems] == ['1', '3', '5']
    assert 'first in line 2' in problems[1] and '[2001:db8::1]:1 again' in problems[2]


@pytest.mark.parametrize('text', ['', '\n\n', '# nothing\n', '  # 192.0.2.1:9500'])
def test_a_file_without_entries_is_refused(text):
    problem, = parse(text, PATH)[1]
    assert problem.startswith(PATH + ':1: found no entry')


def test_the_own_entry_is_local_and_has_this_port():
    assert find_own(PAIR, PATH, 9500, None, '192.0.2.2'.__eq__) == (1, [])
    shared = [(Entry('192.0.2.1', 9500), 1), (Entry('192.0.2.1', 9501), 2)]
    assert find_own(shared, PATH, 9501, None, '192.0.2.1'.__eq__) == (1, [])


def test_no_own_entry_is_refused():
    own, (problem,) = find_own(PAIR, PATH, 9500, None, lambda address: False)
    assert own is None and LINE.fullmatch(problem) and 'no entry of this host' in problem


def test_an_own_entry_with_another_port_is_named():
    own, (problem,) = find_own(PAIR, PATH, 9555, None, '192.0.2.2'.__eq__)
    assert own is None and problem.startswith(PATH + ':2: ')
    assert '192.0.2.2:9500' in problem and '9555' in problem


def test_two_own_entries_need_a_listen_address():
    own, (problem,) = find_own(PAIR, PATH, 9500, None, lambda address: True)
    assert own is None and problem.startswith(PATH + ':2: ') and 'listen_address' in problem
    assert find_own(PAIR, PATH, 9500, '192.0.2.1', lambda address: True) == (0, [])
    assert find_own(PAIR, PATH, 9500, '192.0.2.9', lambda address: True)[0] is None
    assert find_own(PAIR, PATH, 9500, '192.0.2.1', '192.0.2.2'.__eq__)[0] is None


def test_not_knowing_the_addresses_of_this_host_is_refused():
    def unknown(address):
        raise FileNotFoundError(2, 'No such file', address)
    own, (problem,) = find_own(PAIR, PATH, 9500, None, unknown)
    assert own is None and 'mount /proc' in problem


def test_load_reads_a_file(tmp_path):
    path = str(tmp_path / 'nodes.conf')
    with open(path, 'w') as stream:
        stream.write('192.0.2.2:9500\n192.0.2.1:9500\n')
    nodes = nodes_file.load(path, 9500, None, '192.0.2.1'.__eq__)
    assert nodes == NodeList((Entry('192.0.2.2', 9500), Entry('192.0.2.1', 9500)), 1, path)
    with open(path, 'ab') as stream:
        stream.write(b'\xff')
    for wrong in (path, str(tmp_path), path + '.gone'):
        with pytest.raises(ConfigError) as caught:
            nodes_file.load(wrong, 9500)
        assert caught.value.problems[0].startswith(wrong + ':')


def test_an_address_is_written_with_its_port():
    assert Entry('192.0.2.1', 9500).address == '192.0.2.1:9500'
    assert Entry('2001:db8::1', 9500).address == str(Entry('2001:db8::1', 9500)) == (
        '[2001:db8::1]:9500')


def test_addresses_sort_by_number_not_by_text():
    nodes = NodeList((Entry('2001:db8::1', 1), Entry('192.0.2.10', 1), Entry('192.0.2.9', 10),
                      Entry('192.0.2.9', 9)), 0, PATH)
    assert sorted_addresses(nodes) == ('[2001:db8::1]:1', '192.0.2.9:9', '192.0.2.9:10',
                                       '192.0.2.10:1')


HOSTS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(
    lambda address: not (address.is_multicast or address.is_unspecified
                         or str(address) == '255.255.255.255'
                         or getattr(address, 'ipv4_mapped', None)))
ENTRIES = st.lists(st.tuples(HOSTS.map(str), st.integers(1, 65535)), min_size=1, max_size=6,
                   unique=True)


@given(ENTRIES, st.randoms())
def test_what_is_written_is_read_and_the_order_of_lines_does_not_matter(pairs, random):
    entries = [Entry(host, port) for host, port in pairs]
    assert entries_of('\n'.join(str(entry) for entry in entries)) == entries
    shuffled = list(entries)
    random.shuffle(shuffled)
    expected = sorted_addresses(NodeList(tuple(entries), 0, PATH))
    assert sorted_addresses(NodeList(tuple(shuffled), 0, PATH)) == expected
    packed = [ipaddress.ip_address(nodes_file.parse_entry(text).host).packed for text in expected]
    assert packed == sorted(packed)


PIECES = st.lists(st.sampled_from(['192.0.2.1', '::1', '[', ']', ':', '9500', '#', '\n', ' ', '.',
                                   '0', 'a', '%', '/', '\t', '\x00', '\u2028', '\ud800']))


@given(st.one_of(PIECES.map(''.join), st.text()))
@settings(max_examples=4 * settings().max_examples)
def test_any_text_is_read_or_refused_with_its_lines(text):
    lines, problems = parse(text, PATH)
    assert lines or problems
    for problem in problems:
        assert LINE.fullmatch(problem) and problem.isprintable()
    for entry, line in lines:
        assert nodes_file.parse_entry(str(entry)) == entry
        assert 1 <= line <= text.count('\n') + 1
