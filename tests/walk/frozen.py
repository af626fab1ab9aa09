"""One node's consensus as a tuple.

The idea: what a Consensus will do depends on few of its attributes, and on instants only by how
many ticks of the walk they lie ahead or behind.  So a node is frozen to a `Frozen` that holds these
and nothing else, two nodes that will act alike freeze to equal tuples, and a tuple is thawed onto
an object that is used again and again (`body`).

Instants.  The clock of a thawed node always shows 0, and time passes by moving all instants of the
tuple.  A deadline is the number of ticks until `reached` is true at a tick, at least 0; an age is a
number of ticks not above 0, and not below the one from which on it counts no more.

Seqs.  They rise for ever; but two rows on one way are only asked which is the newer, and the sender
of one only when that was.  So a row is named by its age, and comes with whether it is newer than
all that its receiver has heard.

What only makes a node wait before it stands (`stand_after`) is left out: nodes of the walk may wait
as long as they like, and stand as soon as they may.  Of a row that is stored, what nobody reads is
left out too: `body.Unread` stands there, and trips whoever begins to.
"""

from typing import FrozenSet, NamedTuple, Optional, Tuple, Union

from ahmlib.core.beacon import Due, Farewell
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.states import NodeState, Role

Stamp = Tuple[int, int]         # (incarnation, age): a row


#: `Peer.row_at` of one that is not alive.
LOST = -99


class Said(NamedTuple):
    """What a row says of its sender: the same to everybody."""
    term: int
    voted_for: Optional[int]
    leader: Optional[int]
    due: Due
    due_only: Optional[int]
    state: NodeState
    stepping_down: bool
    farewell: Farewell
    bound: bool
    primary: bool               # its database is a primary, and the VIP with it


class Row(NamedTuple):
    """A row on its way to one node: `echo` and `ack` are what it tells that one of its own rows."""
    stamp: Stamp
    echo: Optional[Stamp]
    ack: Optional[Stamp]
    said: Said


class Peer(NamedTuple):
    """Another node, as heard here; `row_at` counts silence, `row.stamp` since it was said."""
    row: Optional[Row] = None
    row_at: int = LOST
    heard: Optional[Stamp] = None
    past: FrozenSet[int] = frozenset()


class Owed(NamedTuple):
    """The promise.  `taken`: the newest row of that leader is the one that it was given for."""
    leader: Optional[int] = None
    taken: bool = False
    stamp: Stamp = (0, 0)
    until: int = 0
    bound: bool = False
    free_for: Optional[int] = None
    hold: float = 0.0
    blind_for: Optional[int] = None     # None: not blind


class Held(NamedTuple):
    """The acknowledgements of a leader, by node."""
    acked: Tuple[Optional[int], ...]
    left: FrozenSet[int]
    returned: Tuple[Optional[int], ...]
    acting: bool


class Frozen(NamedTuple):
    """A node that runs.  `saving`: what a slow disk is still to write."""
    incarnation: int
    term: int
    voted_for: Optional[int]
    leader: Optional[int]
    pending: int
    role: Role
    state: NodeState
    owed: Owed
    held: Optional[Held]
    lost: bool
    due: Due
    due_only: Optional[int]
    stand_until: Optional[int]  # None while no row has told of the candidacy
    peers: Tuple[Optional[Peer], ...]
    disk: Optional[Saved]
    saving: Optional[Saved]
    farewell: Farewell
    primary: bool
    calm: bool                  # finds no election due, and takes no part in one
    slept: int                  # ticks since it last looked at anything


class Down(NamedTuple):
    """A node that does not run; `incarnation` was its last one."""
    incarnation: int
    disk: Optional[Saved]
    primary: bool


Node = Union[Frozen, Down]
