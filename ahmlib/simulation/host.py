"""The hosts of the simulated world, and settings for a cluster of them."""

from typing import Any, List, Optional

from ..core.node import Node
from ..core.saved import Saved
from ..core.settings import Settings
from .database import ToyDatabase


class Host:
    """One host of the world."""

    def __init__(self, settings: Settings, rate: float, origin: float,
                 database: Optional[ToyDatabase]) -> None:
        self.settings = settings
        self.rate, self.origin = rate, origin
        self.saved: Optional[Saved] = None
        self.lease_until = 0.0
        self.database = database
        self.has_vip = False
        self.powered = True
        self.paused = False
        self.fencing_works = True
        self.node: Optional[Node] = None
        self.life = 0                   # rises with every start and end of the daemon
        self.wake = 0                   # the newest wake-up scheduled
        self.backlog: List[Any] = []
        self.resumed_at = float('-inf')
        self.raising: Optional[int] = None      # the token of the command that raises the VIP

    def clock(self, now: float) -> float:
        """This host's own clock."""
        return self.origin + now * self.rate


def make_settings(size: int, **changes: Any) -> List[Settings]:
    """Settings of a cluster of so many nodes, fast unless told otherwise.

    `witnesses` (places) and `priorities` are per node; everything else is the same for all.
    """
    witnesses = changes.pop('witnesses', ())
    priorities = changes.pop('priorities', range(1, size + 1))
    addresses = tuple('10.0.0.%d:9500' % (place + 1) for place in range(size))
    common = dict(addresses=addresses, order=tuple(range(size)), cluster=77, interval=0.5,
                  retries=2, health_check_period=0.5, max_consec_failures=2, connect_timeout=1.0,
                  vip='10.0.0.100')
    common.update(changes)
    return [Settings(name='AHM-NODE-%d' % (place + 1), own=place, priority=priority,
                     witness=place in witnesses, **common)
            for place, priority in zip(range(size), priorities)]
