"""A toy database: a position, a timeline, a role, and a standby.signal."""

from typing import Optional

SYSTEM_ID = '7000000000000000001'


class ToyDatabase:
    """One server.  `upstream` is the node it streams from."""

    def __init__(self, in_recovery: bool, upstream: Optional[int]) -> None:
        self.running = True
        self.hung = False
        self.in_recovery = in_recovery
        self.signal = in_recovery           # standby.signal lies in the data directory
        self.upstream = upstream
        self.timeline, self.lsn = 1, 1000
        self.promotions = 0

    @property
    def writable(self) -> bool:
        """Whether it accepts a write now."""
        return self.running and not self.hung and not self.in_recovery

    def write(self) -> None:
        """One row."""
        self.lsn += 100

    def stop(self) -> None:
        """However it ends."""
        self.running = self.hung = False

    def start(self) -> None:
        """standby.signal decides what it comes up as."""
        self.running, self.in_recovery = True, self.signal

    def promote(self) -> None:
        """Leave recovery on a new timeline."""
        self.in_recovery = self.signal = False
        self.timeline += 1
        self.lsn += 10
        self.promotions += 1

    def stream_from(self, primary: 'ToyDatabase') -> None:
        """Receive all that the primary has, if it is on this one's history."""
        if primary.timeline >= self.timeline and primary.lsn >= self.lsn:
            self.timeline, self.lsn = primary.timeline, primary.lsn
