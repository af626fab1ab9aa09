"""What one row of a peer costs a node, by the number of nodes: a calm cluster, row by row.

    python -m benchmarks.event_cost [SIZE...]

Node 1 leads; node 0, a witness, follows it, and hears everybody's row in turn, once an interval.
Prints the processor time of one row, of the quickest of some rounds: the machine does other things
in the others.
"""

import sys
import time

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import Node
from ahmlib.core.settings import Settings
from ahmlib.core.states import NodeState

SIZES = (3, 30, 300)
ROUNDS = 5
#: A reading takes at least so many rows.
ROWS_MIN = 300


class Cluster:
    """One real node, and what all others say."""

    def __init__(self, size: int) -> None:
        addresses = tuple('10.0.%d.%d:9500' % divmod(place, 250) for place in range(size))
        self.settings = Settings('AHM-NODE-1', 0, addresses, tuple(range(size)), 1, witness=True,
                                 interval=1.0)
        self.size, self.now, self.seq, self.asked = size, 100.0, 0, 0
        self.node = Node(self.settings, Saved(), 4711, self.now)
        self.feed(events.Started())

    def feed(self, event: object) -> None:
        """One event; what is saved is on disk at once."""
        found = self.node.handle(event, self.now)
        for effect in getattr(found, 'in_order', lambda: found)():
            if isinstance(effect, effects.SaveState):
                self.feed(events.StateSaved(effect.saved))
            elif isinstance(effect, effects.SendBeacon):
                self.said = effect.beacon

    def hear(self, place: int) -> None:
        """The next row of this node, which leads or follows, and is as calm as can be."""
        self.seq += 1
        heard = ((4711, self.said.seq),) + (None,) * (self.size - 1)
        self.feed(events.BeaconHeard(Beacon(
            1, place, 'AHM-NODE-%d' % (place + 1), 2, True, 1.0, 2, 7, self.seq, self.now, heard,
            term=self.size + 1, leader=1, followed=True,
            state=NodeState.LEADER if place == 1 else NodeState.STANDBY)))

    def interval(self) -> int:
        """One interval of rows; how many."""
        for place in range(1, self.size):
            self.now += 1.0 / self.size
            if self.now >= self.node.wake_at:
                self.feed(events.Ticked())
            self.hear(place)
        return self.size - 1


def row_seconds(size: int) -> float:
    """The processor time of one row."""
    cluster = Cluster(size)
    for _ in range(3):
        cluster.interval()
    assert cluster.node.state is NodeState.STANDBY, 'it follows the leader'
    took = []
    for _ in range(ROUNDS):
        began, rows = time.process_time(), 0
        while rows < ROWS_MIN:
            rows += cluster.interval()
        took.append((time.process_time() - began) / rows)
    return min(took)


def main(sizes: 'tuple[int, ...]' = SIZES) -> None:
    """Measure, and print a line for each size."""
    for size in sizes:
        print('%4d nodes: %6.0f microseconds a row' % (size, 1e6 * row_seconds(size)))


if __name__ == '__main__':
    main(tuple(map(int, sys.argv[1:])) or SIZES)
