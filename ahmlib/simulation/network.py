"""A network that loses, delays, doubles and reorders datagrams, and can be cut in one direction."""

from collections import deque
from random import Random
from typing import Deque, Iterable, Set, Tuple

from ahmlib.core.beacon import Beacon

#: Old datagrams that are kept, to be replayed.
KEPT_MAX = 200


class Network:
    """Which datagrams arrive, and when.  Nodes are numbers; all chance comes from `random`."""

    def __init__(self, random: Random, loss: float = 0.0, delay: float = 0.001,
                 jitter: float = 0.002, doubled: float = 0.0) -> None:
        self.random = random
        self.loss, self.delay, self.jitter, self.doubled = loss, delay, jitter, doubled
        self.cuts: Set[Tuple[int, int]] = set()
        self.multicast_deaf: Set[int] = set()   # get no datagram that is meant for all
        self.was_disturbed = False              # at any time: somebody was not heard
        self.kept: Deque[Tuple[int, Beacon]] = deque(maxlen=KEPT_MAX)

    def cut(self, source: int, target: int) -> None:
        """Nothing of `source` reaches `target` from now on."""
        self.cuts.add((source, target))
        self.was_disturbed = True

    def part(self, some: Iterable[int], others: Iterable[int]) -> None:
        """Cut both ways between these two groups."""
        others = list(others)
        self.was_disturbed = True
        for one in some:
            self.cuts.update(pair for other in others if other != one
                              for pair in ((one, other), (other, one)))

    def isolate(self, node: int, others: Iterable[int]) -> None:
        """Cut both ways between a node and the others."""
        self.part((node,), others)

    def heal(self) -> None:
        """Undo all cuts."""
        self.cuts.clear()
        self.multicast_deaf.clear()

    def connects(self, source: int, target: int) -> bool:
        """Whether a connection between these two works: both directions are needed."""
        return source == target or not {(source, target), (target, source)} & self.cuts

    def arrivals(self, source: int, target: int, for_all: bool = False) -> Tuple[float, ...]:
        """After how many seconds a datagram arrives: never, once, or twice."""
        if (source, target) in self.cuts or (for_all and target in self.multicast_deaf) \
                or self.random.random() < self.loss:
            self.was_disturbed = True
            return ()
        once = self._delay()
        return (once, self._delay()) if self.random.random() < self.doubled else (once,)

    def _delay(self) -> float:
        return self.delay + self.random.random() * self.jitter
