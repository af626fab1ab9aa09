"""The hosts of the simulated world, and settings for a cluster of them."""

from typing import Any, Callable, Dict, List, Optional

from ahmlib.core import effects
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import Node
from ahmlib.core.settings import Settings
from ahmlib.simulation.database import SimulatedDatabase

#: How a command of a host behaves, where it does not simply work.
WORKS, SLOW, FAILS, HANGS, LIES = 'works', 'slow', 'fails', 'hangs', 'lies'

SAVE_SECONDS = 0.002


class Host:
    """One host of the world: a clock, a disk, an interface, maybe a database, maybe a daemon."""

    def __init__(self, settings: Settings, rate: float, origin: float,
                 database: Optional[SimulatedDatabase]) -> None:
        self.settings = settings
        self.rate, self.origin = rate, origin
        self.saved: Optional[Saved] = None      # the state file: fsynced, outlives everything
        self.booted = False             # and no daemon was started since
        self.lease_until = 0.0          # the lease file: written without fsync, lost with power
        self.database = database
        self.has_vip = False
        self.vip_usable = True          # the kernel uses it, where it is here
        self.powered = True
        self.paused = False
        self.disk_full = False
        self.disk_stalls = False        # what is written to it gets there when it goes on
        self.save_seconds = SAVE_SECONDS
        self.writing: Optional[Callable[[], None]] = None   # what waits for that
        self.refuses_checks = False     # its database refuses AHM, from everywhere
        self.fencing_works = True
        self.reaches_trusted = True
        self.trusted_lost_at = 0.0      # since when it does not, if so
        # 'vip', 'stop', 'promote', 'start', 'hook', 'check' ...: see above
        self.behaves: Dict[str, str] = {}
        self.node: Optional[Node] = None
        self.last_node: Optional[Node] = None   # of the life before, once it has ended
        self.life = 0                   # rises with every start and end of the daemon
        self.wake = 0                   # the newest wake-up scheduled
        self.backlog: List[Any] = []
        self.resumed_at = float('-inf')
        self.obstructed_until = float('-inf')   # its step-down could not be done in time till then
        self.answered: Dict[str, Any] = {}      # to the utility that asked last
        self.raising: Optional[int] = None      # the token of the command that raises the VIP
        self.history: List[effects.Record] = []     # of events, the newest last
        self.fenced_others_at = float('-inf')   # when its fencing script last succeeded

    def clock(self, now: float) -> float:
        """This host's own clock."""
        return self.origin + now * self.rate

    def behaviour(self, what: str) -> str:
        """How a command of this kind behaves here now."""
        return self.behaves.get(what, WORKS)


def make_settings(size: int, **changes: Any) -> List[Settings]:
    """Settings of a cluster of so many nodes, fast unless told otherwise.

    `witnesses` (places) and `priorities` are per node; everything else is the same for all.
    """
    witnesses = changes.pop('witnesses', ())
    priorities = changes.pop('priorities', range(1, size + 1))
    addresses = tuple('10.0.0.%d:9500' % (place + 1) for place in range(size))
    common: Dict[str, Any] = {
        'order': tuple(range(size)), 'cluster': 77, 'interval': 0.5, 'retries': 2,
        'health_check_period': 0.5, 'max_consec_failures': 2, 'connect_timeout': 1.0,
        'vip': '10.0.0.100', **changes}
    return [Settings(name='AHM-NODE-%d' % (place + 1), own=place, addresses=addresses,
                     priority=priority, witness=place in witnesses, **common)
            for place, priority in zip(range(size), priorities)]
