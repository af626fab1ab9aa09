"""A network that loses, delays, doubles and reorders datagrams, and can be cut in one direction."""

from random import Random
from typing import Iterable, Set, Tuple


class Network:
    """Which datagrams arrive, and when.  Nodes are numbers; all chance comes from `random`."""

    def __init__(self, random: Random, loss: float = 0.0, delay: float = 0.001,
                 jitter: float = 0.002, doubled: float = 0.0) -> None:
        self.random = random
        self.loss, self.delay, self.jitter, self.doubled = loss, delay, jitter, doubled
        self.cuts: Set[Tuple[int, int]] = set()

    def cut(self, source: int, target: int) -> None:
        """Nothing of `source` reaches `target` from now on."""
        self.cuts.add((source, target))

    def isolate(self, node: int, others: Iterable[int]) -> None:
        """Cut both ways between a node and the others."""
        for other in others:
            if other != node:
                self.cuts.update(((node, other), (other, node)))

    def heal(self) -> None:
        """Undo all cuts."""
        self.cuts.clear()

    def connects(self, source: int, target: int) -> bool:
        """Whether a connection between these two works: both directions are needed."""
        return source == target or not {(source, target), (target, source)} & self.cuts

    def arrivals(self, source: int, target: int) -> Tuple[float, ...]:
        """After how many seconds a datagram arrives: never, once, or twice."""
        if (source, target) in self.cuts or self.random.random() < self.loss:
            return ()
        once = self._delay()
        return (once, self._delay()) if self.random.random() < self.doubled else (once,)

    def _delay(self) -> float:
        return self.delay + self.random.random() * self.jitter
