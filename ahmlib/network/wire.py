"""Rows to bytes and back: the one place that meets strangers' bytes.

A datagram is one msgpack array: magic, wire version, fingerprint of the cluster, then the fields
of the row in the order of FIELDS.  New fields are appended, so a version reads the rows of the
one before it (a missing tail takes the defaults) and of the one after it (a longer tail is
ignored, and so is an intent of a kind that is not known here).

Everything is checked before a row is made: types, ranges, lengths, and that numbers of nodes exist.
What is not a row of this cluster raises, and changes nothing.
"""

import math
from typing import Any, Callable, List, NamedTuple, Optional, Tuple, Type

import msgpack

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

MAGIC = 'AHM'
VERSION = 1
#: The largest UDP payload over IPv4.
DATAGRAM_MAX = 65507
NAME_MAX = 256
NODES_MAX = 1024
TROUBLES_MAX = 16
SHARED_MAX = 16
INTEGER_MAX = 2 ** 63 - 1
#: Seconds; a row has four decimals, and nothing is divided by less.
INTERVAL_LEAST = 0.001
_INTENTS = frozenset(IntentKind)


class WireError(ValueError):
    """These bytes are no row."""


class ForeignRow(WireError):
    """A row of another cluster: another nodes.conf or another quorum rule.

    `name` is '' and `leads` False where it cannot be told; `nodes` is () where it did not say.
    `paused`: it knows of a pause.
    """

    def __init__(self, name: str, nodes: Tuple[str, ...], leads: bool,
                 paused: bool = False) -> None:
        super().__init__('a row of another cluster')
        self.name, self.nodes, self.leads, self.paused = name, nodes, leads, paused


def _number(value: Any, size: int) -> int:
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise WireError('expected a number, found %.40r' % (value,))
    return value


def _vote(value: Any, size: int) -> Optional[int]:
    """A node, nobody, or -1: a vote that is spent."""
    return value if value == -1 and type(value) is int else _maybe_node(value, size)


def _seconds(value: Any, size: int) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e12 or math.isnan(value):
        raise WireError('expected seconds, found %.40r' % (value,))
    return float(value)


def _maybe_seconds(value: Any, size: int) -> Optional[float]:
    return None if value is None else _seconds(value, size)


def _truth(value: Any, size: int) -> bool:
    if type(value) is not bool:
        raise WireError('expected true or false, found %.40r' % (value,))
    return value


def _maybe_truth(value: Any, size: int) -> Optional[bool]:
    return None if value is None else _truth(value, size)


def _text(value: Any, size: int) -> str:
    if type(value) is not str or len(value) > NAME_MAX:
        raise WireError('expected a text of at most %d characters' % NAME_MAX)
    return value


def _node(value: Any, size: int) -> int:
    if type(value) is not int or not 0 <= value < size:
        raise WireError('expected a node below %d, found %.40r' % (size, value))
    return value


def _maybe_node(value: Any, size: int) -> Optional[int]:
    return None if value is None else _node(value, size)


def _one_of(kind: Type[Any]) -> Callable[[Any, int], Any]:
    def parse(value: Any, size: int) -> Any:
        if type(value) is not int:
            raise WireError('expected a number of %s, found %.40r' % (kind.__name__, value))
        try:
            return kind(value)
        except ValueError:
            raise WireError('%d is no %s' % (value, kind.__name__))
    return parse


def _array(value: Any, length: int) -> List[Any]:
    if type(value) is not list or len(value) != length:
        raise WireError('expected %d items, found %.40r' % (length, value))
    return value


def _heard(value: Any, size: int) -> Tuple[Optional[Tuple[int, int]], ...]:
    return tuple(None if item is None else (_number(_array(item, 2)[0], size),
                                            _number(item[1], size))
                 for item in _array(value, size))


def _record(value: Any, size: int) -> Optional[Record]:
    if value is None:
        return None
    timeline, term, node, system_id = _array(value, 4)
    return Record(_number(timeline, size), _number(term, size), _node(node, size),
                  _text(system_id, size))


def _inquiry(value: Any, size: int) -> Optional[Inquiry]:
    if value is None:
        return None
    about, number = _array(value, 2)
    return Inquiry(_node(about, size), _number(number, size))


def _evidence(value: Any, size: int) -> Optional[Evidence]:
    if value is None:
        return None
    about, verdict, age, inquirer, number = _array(value, 5)
    return Evidence(_node(about, size), _one_of(Verdict)(verdict, size), _seconds(age, size),
                    _maybe_node(inquirer, size), _number(number, size))


def _intent(value: Any, size: int) -> Optional[Intent]:
    if value is None:
        return None
    kind, node, incarnation, number, term = _array(value, 5)
    known = _number(kind, size) in _INTENTS     # a later version may ask for more
    parts = (_node(node, size), _number(incarnation, size), _number(number, size),
             _number(term, size))
    return Intent(IntentKind(kind), *parts) if known else None


def _pause(value: Any, size: int) -> Pause:
    term, version, on, holder, sealed = _array(value, 5)
    return Pause(_number(term, size), _number(version, size), _truth(on, size),
                 _maybe_node(holder, size), _truth(sealed, size))


def _at_most(most: int, what: str, value: Any) -> List[Any]:
    if type(value) is not list or len(value) > most:
        raise WireError('expected at most %d %s' % (most, what))
    return value


def _some_nodes(value: Any, size: int) -> Tuple[int, ...]:
    return tuple(_node(item, size) for item in _at_most(size, 'nodes', value))


def _texts(value: Any, size: int) -> Tuple[str, ...]:
    return tuple(_text(item, size) for item in _at_most(NODES_MAX, 'texts', value))


def _troubles(value: Any, size: int) -> Tuple[Trouble, ...]:
    return tuple(Trouble(_text(kind, size), _truth(critical, size), _text(text, size),
                         _seconds(age, size))
                 for kind, critical, text, age in (
                     _array(item, 4) for item in _at_most(TROUBLES_MAX, 'troubles', value)))


def _shared(value: Any, size: int) -> Tuple[Tuple[str, str], ...]:
    return tuple((_text(parameter, size), _text(text, size)) for parameter, text in (
        _array(item, 2) for item in _at_most(SHARED_MAX, 'parameters', value)))


class Field(NamedTuple):
    """One field of the row: its name, and how what came is checked and turned into it."""
    name: str
    parse: Callable[[Any, int], Any]


#: In the order in which they are sent.  Append only.
FIELDS = (
    Field('sender', _node), Field('name', _text), Field('priority', _number),
    Field('witness', _truth), Field('interval', _seconds), Field('retries', _number),
    Field('incarnation', _number), Field('seq', _number), Field('uptime', _seconds),
    Field('heard', _heard),
    Field('term', _number), Field('voted_for', _vote), Field('leader', _maybe_node),
    Field('leader_incarnation', _number), Field('leader_seq', _number),
    Field('due', _one_of(Due)), Field('due_only', _maybe_node), Field('followed', _truth),
    Field('record', _record), Field('state', _one_of(NodeState)), Field('stepping_down', _truth),
    Field('farewell', _one_of(Farewell)), Field('bound', _truth),
    Field('successor', _maybe_node),
    Field('database', _one_of(DatabaseState)), Field('system_id', _text),
    Field('timeline', _number), Field('lsn', _number), Field('fresh', _truth),
    Field('streaming', _maybe_truth), Field('rightful', _truth), Field('out', _truth),
    Field('ok_age', _maybe_seconds), Field('primary_lsn', _number),
    Field('sync_needed', _number), Field('sync_nodes', _some_nodes),
    Field('inquiry', _inquiry), Field('evidence', _evidence), Field('can_fence', _truth),
    Field('holds_vip', _maybe_truth), Field('problem', _text), Field('nodes', _texts),
    Field('intent', _intent), Field('forced', _truth),
    Field('replayed', _number), Field('held', _truth), Field('standstill', _text),
    Field('sync_term', _number), Field('sync_version', _number), Field('sync_doubt', _text),
    Field('troubles', _troubles), Field('shared', _shared),
    Field('refused_by', _some_nodes), Field('no_handover', _text), Field('hindered', _truth),
    Field('state_age', _maybe_seconds), Field('database_age', _maybe_seconds),
    Field('events', _number),
    Field('maintenance', _truth), Field('pause', _pause),
)
_HEAD = 3
_PLACES = {field.name: place for place, field in enumerate(FIELDS)}


def encode(row: Beacon) -> bytes:
    """The datagram of this row."""
    values = [_plain(getattr(row, field.name)) for field in FIELDS]
    return msgpack.packb([MAGIC, VERSION, row.cluster] + values, use_bin_type=True)


def _plain(value: Any) -> Any:
    return round(value, 4) if type(value) is float else value


def decode(data: bytes, cluster: int, size: int) -> Beacon:
    """The row in these bytes, of the cluster with this fingerprint and so many nodes.

    Raises ForeignRow for a row of another cluster, WireError for everything else.
    """
    values = _unpack(data)
    if len(values) < _HEAD + 1 or values[0] != MAGIC:
        raise WireError('no AHM beacon')
    if type(values[1]) is not int or values[1] != VERSION:
        raise WireError('wire version %.20r, this daemon speaks %d' % (values[1], VERSION))
    fields = values[_HEAD:_HEAD + len(FIELDS)]
    if values[2] != cluster or type(values[2]) is not int:
        raise _foreign(fields)
    parsed = {field.name: field.parse(value, size) for field, value in zip(FIELDS, fields)}
    try:
        row = Beacon(cluster=cluster, **parsed)
    except TypeError:
        raise WireError('the row is cut short: %d fields' % len(fields))
    if row.interval < INTERVAL_LEAST:
        raise WireError('a beacon interval of %g s, expected at least %g' % (
            row.interval, INTERVAL_LEAST))
    return row


def _foreign(fields: List[Any]) -> ForeignRow:
    try:
        name = _text(fields[_PLACES['name']], 0)
        nodes = _texts(fields[_PLACES['nodes']], 0) if len(fields) > _PLACES['nodes'] else ()
    except (WireError, IndexError):
        return ForeignRow('', (), False)
    state = fields[_PLACES['state']] if len(fields) > _PLACES['state'] else None
    try:
        paused = _pause(fields[_PLACES['pause']], NODES_MAX).on
    except (WireError, IndexError):
        paused = False
    return ForeignRow(name, nodes, type(state) is int and state in LEADING, paused)


def _unpack(data: bytes) -> List[Any]:
    if len(data) > DATAGRAM_MAX:
        raise WireError('%d bytes are no datagram' % len(data))
    try:
        values = msgpack.unpackb(data, raw=False, strict_map_key=True, max_str_len=NAME_MAX * 4,
                                 max_array_len=NODES_MAX * 2, max_map_len=16, max_bin_len=64,
                                 max_ext_len=64)
    except Exception as error:     # msgpack raises many kinds for bytes that are not its own
        raise WireError('no msgpack: %s' % type(error).__name__)
    if type(values) is not list:
        raise WireError('expected an array, found %s' % type(values).__name__)
    return values
