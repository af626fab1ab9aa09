"""Versions of AHM read each other's rows and state files, and a change of either is noticed.

What earlier versions write stands in tests/data; where the repository has its history, their own
code is asked too (tests/lab/versions.py).
"""

import json
import subprocess
import sys
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.core.beacon import Beacon, Claim, Pause
from ahmlib.core.consensus.saved import Saved
from ahmlib.network import wire
from ahmlib.runtime.memory import Memory
from tests.lab import versions

from . import pinned
from .pinned import ADDRESSES, CLUSTER, ROW, SIZE, STATE
from .test_memory import saved_states
from .test_wire import rows

ROWS, STATES = pinned.pinned('wire_rows.txt'), pinned.pinned('state_files.txt')
CHANGED = '''%s of tests/unit/pinned.py is written in other bytes than %s says.
If a field was appended: give it a value there, and add the line that `python -m tests.unit.pinned
COMMIT` prints; the versions in use read it. If anything else changed, they do not.'''

#: Asked on its input, a line at a time: what a version reads, and what it writes of that.
ASKED = """
import json, os, sys
from ahmlib.core import beacon, states
from ahmlib.network import wire
from ahmlib.runtime.memory import Memory
directory, addresses = sys.argv[1], json.loads(sys.argv[2])
kinds = (beacon.Due, beacon.Farewell, beacon.IntentKind, beacon.Verdict, states.DatabaseState,
         states.NodeState)
print(json.dumps({kind.__name__: list(map(int, kind)) for kind in kinds}), flush=True)
for line in sys.stdin:
    kind, cluster, size, data = json.loads(line)
    data = bytes.fromhex(data)
    try:
        if kind == 'row':
            read = wire.decode(data, cluster, size)
            written = wire.encode(read).hex()
        else:
            memory = Memory(directory, addresses)
            with open(memory.state_path, 'wb') as file:
                file.write(data)
            os.chmod(memory.state_path, 0o600)
            read = memory.load()
            memory.save(read)
            with open(memory.state_path, 'rb') as file:
                written = file.read().hex()
        answer = [read._asdict(), written]
    except Exception as error:
        answer = ['%s: %s' % (type(error).__name__, error), '']
    print(json.dumps(answer), flush=True)
"""


def plain(value):
    """As JSON brings it back."""
    return json.loads(json.dumps(value))


def shorter(row, fields):
    """The row as read from bytes with so many fields."""
    lacking = {field.name: Beacon._field_defaults[field.name] for field in wire.FIELDS[fields:]}
    return row._replace(**lacking)


def test_the_row_is_sent_as_it_is_pinned():
    newest = list(ROWS.values())[-1]
    assert wire.encode(ROW) == newest.data, CHANGED % ('ROW', 'the last line of wire_rows.txt')
    assert newest.fields == len(wire.FIELDS)


def test_the_pinned_row_shows_every_field():
    same = [name for name, default in Beacon._field_defaults.items()
            if getattr(ROW, name) == default]
    assert same == [], 'a value that is the default shows nothing'
    assert wire.decode(wire.encode(ROW), CLUSTER, SIZE) == ROW


@pytest.mark.parametrize('version', ROWS)
def test_the_row_of_a_version_is_read_and_lacks_what_came_later(version):
    fields, data = ROWS[version].fields, ROWS[version].data
    assert wire.decode(data, CLUSTER, SIZE) == shorter(ROW, fields)


def test_the_state_is_saved_as_it_is_pinned():
    newest = list(STATES.values())[-1]
    assert pinned.state_bytes(STATE) == newest.data, CHANGED % (
        'STATE', 'the last line of state_files.txt')
    assert newest.fields == pinned.state_fields(newest.data)


def of_version(saved, fields):
    """The Saved as read from a state file with so many fields."""
    if fields < 14:
        saved = saved._replace(moved=False)
    if fields < 12:
        saved = saved._replace(maintenance=False, pause=Pause())
    return saved if fields > 9 else saved._replace(claim=Claim())


@pytest.mark.parametrize('version', STATES)
def test_the_state_file_of_a_version_is_read(version, tmp_path):
    memory = Memory(str(tmp_path), ADDRESSES)
    (tmp_path / 'ahm.state').write_bytes(STATES[version].data)
    (tmp_path / 'ahm.state').chmod(0o600)
    assert memory.load() == of_version(STATE, STATES[version].fields)
    assert memory.cluster_before in (CLUSTER, None)


class Earlier:
    """The code of an earlier version, asked what it reads."""

    def __init__(self, version, directory):
        source = versions.unpack(version, str(directory / 'source'))
        (directory / 'data').mkdir()
        self.process = subprocess.Popen(
            [sys.executable, '-c', ASKED, str(directory / 'data'), json.dumps(ADDRESSES)],
            cwd=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        #: By enumeration, the numbers that it knows.
        self.known = json.loads(self.process.stdout.readline())

    def reads(self, kind, data, size=SIZE):
        """(what it read, as a dict, or why not, as a text; the bytes that it writes of it)."""
        self.process.stdin.write(json.dumps([kind, CLUSTER, size, data.hex()]) + '\n')
        self.process.stdin.flush()
        read, written = json.loads(self.process.stdout.readline())
        return read, bytes.fromhex(written)

    def close(self):
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope='module', params=versions.VERSIONS, ids=lambda version: version.name)
def earlier(request, tmp_path_factory):
    """An Earlier of each version."""
    reason = versions.lacks(request.param)
    if reason:
        pytest.skip(reason)
    asked = Earlier(request.param, tmp_path_factory.mktemp('earlier'))
    yield asked
    asked.close()


def is_known(value, known):
    """Whether an earlier version, which knows these numbers, knows all that are in a value."""
    if isinstance(value, IntEnum):
        return value in known[type(value).__name__]
    return not isinstance(value, tuple) or all(is_known(item, known) for item in value)


@given(st.data(), st.integers(1, 7))
def test_an_earlier_version_reads_any_row_and_its_rows_are_read(earlier, data, size):
    row = data.draw(rows(size))
    datagram = wire.encode(row)
    if len(datagram) > wire.DATAGRAM_MAX:
        return
    read, written = earlier.reads('row', datagram, size)
    assert isinstance(read, dict) == is_known(row, earlier.known), read
    if isinstance(read, dict):
        assert read == {name: plain(getattr(row, name)) for name in read}
        again = wire.decode(written, CLUSTER, size)
        assert again == shorter(row, len(read) - 1)         # without the cluster


@given(saved=saved_states)
def test_an_earlier_version_reads_any_state_file_and_its_own_is_read(earlier, tmp_path_factory,
                                                                     saved):
    read, written = earlier.reads('state', pinned.state_bytes(saved))
    assert isinstance(read, dict), read
    assert read == {name: plain(getattr(saved, name)) for name in read}
    directory = tmp_path_factory.mktemp('state')
    (directory / 'ahm.state').write_bytes(written)
    (directory / 'ahm.state').chmod(0o600)
    assert Memory(str(directory), ADDRESSES).load() == saved._replace(
        **{name: Saved._field_defaults[name] for name in Saved._fields if name not in read})
