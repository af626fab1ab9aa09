"""One row and one state, pinned: what daemons of this version send and save, byte by byte.

    python -m tests.unit.pinned NAME

prints the lines for tests/data/wire_rows.txt and tests/data/state_files.txt that NAME, a version,
would write.  A field that is appended gets a value in ROW that is not its default, and the line is
added: lines that are there stay, for daemons that send them are still in use.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Dict, NamedTuple

from ahmlib.core.beacon import (
    Beacon,
    Claim,
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
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.network import wire
from ahmlib.runtime.memory import Memory

DATA = Path(__file__).parent.parent / 'data'
CLUSTER, SIZE = 2 ** 62 + 5, 3
ADDRESSES = ('192.0.2.1:9500', '192.0.2.2:9500', '[2001:db8::1]:9500')

#: No value is a default, and none stands twice where it could be taken for another.
ROW = Beacon(
    CLUSTER, 1, 'AHM-NODE-2', 22, True, 0.5, 3, 4711, 12, 3.25, ((101, 102), None, (103, 2 ** 40)),
    term=31, voted_for=2, leader=0, leader_incarnation=32, leader_seq=33, due=Due.FENCER,
    due_only=1, followed=True, record=Record(3, 30, 2, '7300000000000000001'),
    state=NodeState.TAKING_OVER, stepping_down=True, farewell=Farewell.RESTARTING, bound=True,
    successor=2, database=DatabaseState.STANDBY, system_id='7300000000000000002',
    timeline=4, lsn=2 ** 33 + 7, replayed=2 ** 33 + 1, held=True,
    standstill='replay is paused', fresh=True, streaming=False,
    rightful=True, out=True, ok_age=1.0625, primary_lsn=2 ** 33 + 9, sync_needed=2,
    sync_nodes=(2, 0), sync_term=29, sync_version=5, sync_doubt='a doubt',
    inquiry=Inquiry(2, 41), evidence=Evidence(0, Verdict.REACHABLE, 0.125, 2, 42), can_fence=True,
    holds_vip=False, problem='a problem \u1100', nodes=('192.0.2.1:9500', 'x'),
    intent=Intent(IntentKind.FORCE, 2, 51, 52, 53), forced=True,
    shared=(('virtual_IP', '192.0.2.100'), ('db_port', '5432')), hindered=True, refused_by=(0, 2),
    no_handover='why not', troubles=(Trouble('vip', True, 'a trouble', 61.5),
                                     Trouble('disk', False, 'another', 0.0)),
    state_age=7.5, database_age=8.5, events=71, maintenance=True, pause=Pause(28, 6, True, 2, True))

STATE = Saved(7, 1, 2, 1.25, True, True, Record(3, 6, 1, '7300000000000000001'),
              ('AHM-NODE-1', None, 'node \u1100'), True, Claim(6, 2, 1, (1, 2)),
              True, Pause(5, 3, True, 2, True), True)


class Pinned(NamedTuple):
    """A line of a file of DATA: the version that first wrote such bytes, how many fields, bytes."""
    version: str
    fields: int
    data: bytes


def pinned(name: str) -> Dict[str, Pinned]:
    """The lines of this file by version, the earliest first."""
    lines = [line.split() for line in (DATA / name).read_text().splitlines()
             if line and not line.startswith('#')]
    return {version: Pinned(version, int(fields), bytes.fromhex(data))
            for version, fields, data in lines}


def state_bytes(saved: Saved) -> bytes:
    """The state file that a daemon of this version leaves."""
    with tempfile.TemporaryDirectory() as directory:
        memory = Memory(directory, ADDRESSES, cluster=CLUSTER)
        memory.save(saved)
        return Path(memory.state_path).read_bytes()


def state_fields(data: bytes) -> int:
    """How many fields a state file has."""
    return len(json.loads(data.decode())['content'])


def main(version: str) -> None:
    """Print the lines."""
    row, state = wire.encode(ROW), state_bytes(STATE)
    print('wire_rows.txt:\n%s %d %s' % (version, len(wire.FIELDS), row.hex()))
    print('state_files.txt:\n%s %d %s' % (version, state_fields(state), state.hex()))


if __name__ == '__main__':
    main(*sys.argv[1:])
