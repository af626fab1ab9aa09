"""The wire format: any row survives it, other bytes are refused, versions understand each other."""

import math

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ahmlib.core.beacon import (
    Beacon,
    Due,
    Evidence,
    Farewell,
    Inquiry,
    Intent,
    IntentKind,
    Pause,
    Record,
    Trouble,
    Verdict,
)
from ahmlib.core.states import LEADING, DatabaseState, NodeState
from ahmlib.network import wire

CLUSTER = 2 ** 62 + 5
HEAD = 3                        # magic, version, fingerprint
REQUIRED = len(Beacon._fields) - 1 - len(Beacon._field_defaults)

numbers = st.integers(0, wire.INTEGER_MAX)
# What is sent is rounded to a tenth of a millisecond.
seconds = st.floats(0, 1e9).map(lambda value: round(value, 4))
intervals = st.floats(wire.INTERVAL_LEAST, 1e9).map(lambda value: round(value, 4))
texts = st.text(st.characters(blacklist_categories=('Cs',)), max_size=wire.NAME_MAX)
sizes = st.integers(1, 7)


def fields(size):
    """Any value of each field of a row, in a cluster of so many nodes."""
    nodes = st.integers(0, size - 1)
    maybe_node = st.none() | nodes
    values = {
        'cluster': st.just(CLUSTER), 'sender': nodes, 'name': texts, 'priority': numbers,
        'witness': st.booleans(), 'interval': intervals, 'retries': numbers,
        'incarnation': numbers, 'seq': numbers, 'uptime': seconds,
        'heard': st.tuples(*[st.none() | st.tuples(numbers, numbers)] * size),
        'term': numbers, 'voted_for': maybe_node | st.just(-1), 'leader': maybe_node,
        'leader_incarnation': numbers, 'leader_seq': numbers, 'due': st.sampled_from(Due),
        'due_only': maybe_node, 'followed': st.booleans(),
        'record': st.none() | st.builds(Record, numbers, numbers, nodes, texts),
        'state': st.sampled_from(NodeState), 'stepping_down': st.booleans(),
        'farewell': st.sampled_from(Farewell), 'bound': st.booleans(), 'successor': maybe_node,
        'database': st.sampled_from(DatabaseState), 'system_id': texts, 'timeline': numbers,
        'lsn': numbers, 'fresh': st.booleans(), 'streaming': st.none() | st.booleans(),
        'rightful': st.booleans(), 'out': st.booleans(), 'ok_age': st.none() | seconds,
        'primary_lsn': numbers, 'sync_needed': numbers,
        'sync_nodes': st.lists(nodes, max_size=size).map(tuple),
        'inquiry': st.none() | st.builds(Inquiry, nodes, numbers),
        'evidence': st.none() | st.builds(Evidence, nodes, st.sampled_from(Verdict), seconds,
                                          maybe_node, numbers),
        'can_fence': st.booleans(), 'holds_vip': st.none() | st.booleans(), 'problem': texts,
        'nodes': st.lists(texts, max_size=5).map(tuple),
        'intent': st.none() | st.builds(Intent, st.sampled_from(IntentKind), nodes, numbers,
                                        numbers, numbers),
        'forced': st.booleans(), 'replayed': numbers, 'held': st.booleans(), 'standstill': texts,
        'sync_term': numbers, 'sync_version': numbers, 'sync_doubt': texts,
        'troubles': st.lists(st.builds(Trouble, texts, st.booleans(), texts, seconds),
                             max_size=wire.TROUBLES_MAX).map(tuple),
        'hindered': st.booleans(), 'refused_by': st.lists(nodes, max_size=size).map(tuple),
        'no_handover': texts, 'state_age': st.none() | seconds,
        'database_age': st.none() | seconds, 'events': numbers,
        'maintenance': st.booleans(),
        'pause': st.builds(Pause, numbers, numbers, st.booleans(), maybe_node, st.booleans()),
        'shared': st.lists(st.tuples(texts, texts), max_size=wire.SHARED_MAX).map(tuple),
    }
    assert set(values) == set(Beacon._fields), 'a field of the row has no strategy'
    return values


def rows(size):
    """Any row of a cluster of so many nodes."""
    return st.fixed_dictionaries(fields(size)).map(lambda found: Beacon(**found))


def same(one, other):
    """Whether two rows are equal, down to the kinds of their values: True is not 1."""
    def kinds(value):
        deep = [kinds(item) for item in value] if isinstance(value, tuple) else None
        return type(value), deep
    return one == other and kinds(one) == kinds(other)


def a_row(size=3, **changes):
    """A plain row."""
    return Beacon(CLUSTER, 1, 'AHM-NODE-2', 2, False, 0.5, 2, 4711, 12, 3.25,
                  ((1, 2),) * size)._replace(**changes)


def changed(row, place, value):
    """The datagram of a row in which one value was replaced."""
    values = msgpack.unpackb(wire.encode(row), raw=False)
    values[place] = value
    return msgpack.packb(values, use_bin_type=True)


def place_of(name):
    """Where a field is in the datagram."""
    return HEAD + [field.name for field in wire.FIELDS].index(name)


def test_the_fields_on_the_wire_are_those_of_the_row():
    names = [field.name for field in wire.FIELDS]
    assert sorted(names) == sorted(set(Beacon._fields) - {'cluster'})
    assert len(set(names)) == len(names)
    assert not set(names[:REQUIRED]) & set(Beacon._field_defaults), 'a tail that may be missing'


@given(st.data(), sizes)
def test_every_row_comes_back_as_it_was(data, size):
    row = data.draw(rows(size))
    datagram = wire.encode(row)
    if len(datagram) <= wire.DATAGRAM_MAX:
        assert same(wire.decode(datagram, CLUSTER, size), row)


@given(st.binary(max_size=300), sizes)
@example(b'', 3)
@example(b'\x90', 3)
@example(b'\x91' * 5000, 3)
@example(b'\xdd\xff\xff\xff\xff', 3)
@example(b'\xdf\xff\xff\xff\xff', 3)
def test_bytes_are_a_row_or_refused(data, size):
    assert decodes_or_refuses(data, size)


@given(st.data(), sizes, st.lists(st.tuples(st.integers(0, 10 ** 6), st.integers(0, 255)),
                                  min_size=1, max_size=4))
def test_a_damaged_row_is_a_row_or_refused(data, size, damage):
    damaged = bytearray(wire.encode(data.draw(rows(size))))
    for place, value in damage:
        damaged[place % len(damaged)] = value
    assert decodes_or_refuses(bytes(damaged), size)


@given(st.data(), st.integers(0, HEAD + len(wire.FIELDS) - 1), st.recursive(
    st.none() | st.booleans() | st.integers(-2 ** 63, 2 ** 64 - 1) | st.floats() | st.text()
    | st.binary(), lambda deep: st.lists(deep) | st.dictionaries(st.text(), deep), max_leaves=5))
def test_a_foreign_value_in_any_place_is_a_row_or_refused(data, place, value):
    assert decodes_or_refuses(changed(data.draw(rows(3)), place, value), 3)


def decodes_or_refuses(data, size):
    """Whether decoding ends in a row that is one, or in WireError."""
    try:
        row = wire.decode(data, CLUSTER, size)
    except wire.WireError as error:
        assert '\n' not in str(error) and len(str(error)) < 200
        return True
    again = wire.decode(wire.encode(row), CLUSTER, size)
    return again.sender < size and len(again.heard) == size and row.interval > 0


@pytest.mark.parametrize('name, value', [
    ('sender', 3), ('sender', -1), ('sender', True), ('name', 'x' * 257), ('name', b'x'),
    ('interval', 0), ('interval', 1e-5), ('interval', float('nan')), ('interval', float('inf')),
    ('interval', True),
    ('seq', -1), ('seq', 2 ** 63), ('seq', 1.0), ('witness', 1), ('heard', []),
    ('heard', [None, None, [1]]), ('due', 9), ('due', True), ('state', 'LEADER'), ('leader', 3),
    ('voted_for', -2), ('voted_for', True), ('record', [1, 2, 3, 'x']), ('record', [1, 2, 0]),
    ('sync_nodes', [0, 1, 2, 0]), ('streaming', 0), ('ok_age', -0.5), ('ok_age', 1e12),
    ('evidence', [0, 7, 0.0, None, 0]), ('inquiry', [3, 0]), ('nodes', 'abc'),
    ('shared', [['virtual_IP']]), ('shared', [['virtual_IP', 1]]), ('shared', [['a', 'b']] * 17),
])
def test_a_value_out_of_its_kind_or_range_is_refused(name, value):
    with pytest.raises(wire.WireError) as refused:
        wire.decode(changed(a_row(), place_of(name), value), CLUSTER, 3)
    assert not isinstance(refused.value, wire.ForeignRow)


@pytest.mark.parametrize('interval, taken', [
    (wire.INTERVAL_LEAST, True), (0.0009, False), (0.00004, False), (0.0, False)])
def test_the_shortest_interval_that_is_taken_survives_the_rounding_of_what_is_sent(interval, taken):
    datagram = changed(a_row(), place_of('interval'), interval)
    if not taken:
        with pytest.raises(wire.WireError, match='a beacon interval of'):
            wire.decode(datagram, CLUSTER, 3)
    else:
        row = wire.decode(datagram, CLUSTER, 3)
        assert same(wire.decode(wire.encode(row), CLUSTER, 3), row)


def test_what_only_a_later_version_can_ask_for_is_ignored_and_the_rest_of_the_row_counts():
    row = a_row(intent=Intent(IntentKind.PROMOTE, 2, 5, 6, 7))
    later = changed(row, place_of('intent'), [99, 2, 5, 6, 7])
    assert same(wire.decode(later, CLUSTER, 3), row._replace(intent=None))
    for value in ([-1, 2, 5, 6, 7], [True, 2, 5, 6, 7], ['PAUSE', 2, 5, 6, 7], [99, 3, 5, 6, 7],
                  [99, 2, 5, 6], [0.5, 2, 5, 6, 7]):
        with pytest.raises(wire.WireError):
            wire.decode(changed(row, place_of('intent'), value), CLUSTER, 3)


def test_unknown_trailing_fields_are_ignored():
    values = msgpack.unpackb(wire.encode(a_row()), raw=False)
    data = msgpack.packb(values + ['later', {'a': 1}, None], use_bin_type=True)
    assert same(wire.decode(data, CLUSTER, 3), a_row())


@pytest.mark.parametrize('kept', range(REQUIRED, len(wire.FIELDS) + 1))
def test_a_missing_tail_takes_the_defaults(kept):
    row = a_row(term=7, leader=0, problem='none', nodes=('a', 'b'))
    values = msgpack.unpackb(wire.encode(row), raw=False)[:HEAD + kept]
    cut = {field.name: Beacon._field_defaults[field.name] for field in wire.FIELDS[kept:]}
    assert same(wire.decode(msgpack.packb(values), CLUSTER, 3), row._replace(**cut))


@pytest.mark.parametrize('kept', range(REQUIRED))
def test_a_row_without_its_head_is_refused(kept):
    values = msgpack.unpackb(wire.encode(a_row()), raw=False)[:HEAD + kept]
    with pytest.raises(wire.WireError):
        wire.decode(msgpack.packb(values), CLUSTER, 3)


def test_another_version_and_another_magic_are_refused():
    for place, value in ((0, 'MHA'), (0, None), (1, 2), (1, True), (1, '1')):
        with pytest.raises(wire.WireError):
            wire.decode(changed(a_row(), place, value), CLUSTER, 3)


def test_a_row_of_another_cluster_says_whose_it_is():
    nodes = ('192.0.2.1:9500', '192.0.2.2:9500')
    with pytest.raises(wire.ForeignRow) as foreign:
        wire.decode(wire.encode(a_row(cluster=CLUSTER + 1, nodes=nodes)), CLUSTER, 3)
    assert (foreign.value.name, foreign.value.nodes) == ('AHM-NODE-2', nodes)
    for state in NodeState:
        with pytest.raises(wire.ForeignRow) as foreign:
            wire.decode(wire.encode(a_row(cluster=CLUSTER + 1, state=state)), CLUSTER, 3)
        assert foreign.value.leads is (state in LEADING)


def test_a_row_of_another_cluster_says_whether_it_is_paused():
    for pause in (Pause(3, 1, True, 2, True), Pause(3, 2, False, 2)):
        with pytest.raises(wire.ForeignRow) as foreign:
            wire.decode(wire.encode(a_row(cluster=CLUSTER + 1, pause=pause)), CLUSTER, 2)
        assert foreign.value.paused is pause.on
    row = changed(a_row(cluster=CLUSTER + 1), place_of('pause'), [3])
    with pytest.raises(wire.ForeignRow) as foreign:
        wire.decode(row, CLUSTER, 3)
    assert (foreign.value.name, foreign.value.paused) == ('AHM-NODE-2', False)


def test_a_row_of_another_cluster_in_a_state_of_a_later_version_says_whose_it_is():
    row = changed(a_row(cluster=CLUSTER + 1), place_of('state'), 99)
    with pytest.raises(wire.ForeignRow) as foreign:
        wire.decode(row, CLUSTER, 3)
    assert (foreign.value.name, foreign.value.leads) == ('AHM-NODE-2', False)


def test_a_row_of_another_cluster_that_is_none_says_nothing():
    for place, value in ((place_of('name'), 5), (place_of('nodes'), [5])):
        row = a_row(cluster=CLUSTER + 1)
        with pytest.raises(wire.ForeignRow) as foreign:
            wire.decode(changed(row, place, value), CLUSTER, 3)
        assert (foreign.value.name, foreign.value.nodes) == ('', ()) and not foreign.value.leads


def test_the_longest_row_of_a_hundred_nodes_is_a_datagram():
    size, longest = 100, wire.INTEGER_MAX
    address = '[2001:db8:1111:2222:3333:4444:5555:%04x]:65535'
    row = Beacon(
        CLUSTER, size - 1, '\u1100' * wire.NAME_MAX, longest, True, 1e9 + 0.1, longest, longest,
        longest, 1e9 + 0.1, ((longest, longest),) * size, term=longest, voted_for=size - 1,
        leader=size - 1, leader_incarnation=longest, leader_seq=longest,
        record=Record(longest, longest, size - 1, '9' * wire.NAME_MAX),
        system_id='9' * wire.NAME_MAX, timeline=longest, lsn=longest, ok_age=1e9 + 0.1,
        primary_lsn=longest, sync_needed=longest, sync_nodes=tuple(range(size)),
        inquiry=Inquiry(size - 1, longest),
        evidence=Evidence(size - 1, Verdict.REACHABLE, math.pi, size - 1, longest),
        problem='\u1100' * wire.NAME_MAX, nodes=tuple(address % number for number in range(size)))
    datagram = wire.encode(row)
    print('the longest row of %d nodes has %d bytes, a plain one %d' % (
        size, len(datagram), len(wire.encode(a_row(size)))))
    assert len(datagram) < 64 * 1024 and len(datagram) <= wire.DATAGRAM_MAX
    assert wire.decode(datagram, CLUSTER, size).nodes == row.nodes
