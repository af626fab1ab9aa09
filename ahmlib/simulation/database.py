"""A simulated database server: a history of timelines, a position, a role, and a standby.signal.

History is a tuple of (branch, timeline, start): every promotion opens a branch of its own, so two
promotions to the same timeline number differ, as they do in the bytes of real WAL.  A standby can
stream from a primary only if its own branch lies on the primary's history and it has not gone
past the point where the primary's history left that branch.

What a standby has received lies on its disk; what it shows is what it has replayed.  A replay that
stands still loses the rest where it is promoted; one that is held waits, for a reader, say.
"""

from typing import Optional, Tuple

SYSTEM_ID = '7000000000000000001'
FIRST_LSN = 1000
ROW_BYTES = 100
#: What a slow standby receives at a time: less than clients write meanwhile.
SLOW_BYTES = 40

Branch = Tuple[int, int, int]


class SimulatedDatabase:
    """One server.  `upstream` is the node it streams from."""

    def __init__(self, in_recovery: bool, upstream: Optional[int]) -> None:
        self.running = True
        self.hung = False                   # accepts connections and never answers (SIGSTOP)
        self.starting = False               # in crash recovery: refuses, says it is starting up
        self.in_recovery = in_recovery
        self.signal = in_recovery           # standby.signal lies in the data directory
        self.upstream = upstream
        self.history: Tuple[Branch, ...] = ((0, 1, 0),)
        self.lsn = self.replayed = FIRST_LSN
        self.standstill = ''                # why its replay cannot go on
        self.held = False                   # its replay waits
        self.is_closed = False              # its pg_hba.conf lets no standby in
        self.stop_lied = False              # the newest stop said that it ended, and it runs
        self.no_start = ''                  # why its daemon could not start it again
        self.unarchived = ''                # what its archiver does not do
        self.mismatch = ''                  # why it is not the server of its data directory
        self.hides_wal = False              # what lies unreplayed on its disk cannot be read
        #: The parameters that it takes at its next start; None: it does not tell.
        self.pending: Optional[Tuple[str, ...]] = ()
        self.copied_from: Optional[int] = None  # whose data the newest rebuild brought
        self.copies = 0
        #: What commits wait for, in the files and in force: so many of these names.
        self.synchronous: Tuple[int, Tuple[str, ...]] = (0, ())
        self.starts = self.starts_by_hand = self.promotions = self.thaws = 0

    @property
    def timeline(self) -> int:
        """The timeline number it is on."""
        return self.history[-1][1]

    @timeline.setter
    def timeline(self, timeline: int) -> None:
        branch, _, start = self.history[-1]
        self.history = self.history[:-1] + ((branch, timeline, start),)

    @property
    def writable(self) -> bool:
        """Whether it accepts a write now."""
        return self.running and not self.hung and not self.starting and not self.in_recovery

    @property
    def position(self) -> Tuple[int, int]:
        """(branch, lsn): where a write would have landed."""
        return self.history[-1][0], self.lsn

    def write(self) -> Tuple[int, int]:
        """One row -> its position."""
        self.lsn += ROW_BYTES
        self.replayed = self.lsn
        return self.position

    def contains(self, branch: int, lsn: int) -> bool:
        """Whether a row at this position is in the data of this server."""
        for place, (own, _, _) in enumerate(self.history):
            if own == branch:
                last = place + 1 == len(self.history)
                return lsn <= (self.lsn if last else self.history[place + 1][2])
        return False

    def stop(self) -> None:
        """However it ends."""
        self.running = self.hung = self.starting = self.stop_lied = False

    def start(self, by_hand: bool = False) -> None:
        """standby.signal decides what it comes up as."""
        self.starts += 1
        self.starts_by_hand += by_hand
        self.running, self.in_recovery, self.pending = True, self.signal, ()

    def become_copy(self, primary: 'SimulatedDatabase', of: int) -> None:
        """Have the data of that node's primary in place of one's own, stopped."""
        self.stop()
        self.history, self.lsn, self.replayed = primary.history, primary.lsn, primary.lsn
        self.standstill, self.held, self.hides_wal = '', False, False
        self.copied_from, self.copies = of, self.copies + 1

    def promote(self, branch: int) -> None:
        """Leave recovery on a new timeline of this branch; what cannot be replayed is lost."""
        if self.standstill:
            self.lsn = self.replayed
        self.in_recovery = self.signal = self.held = False
        self.standstill = ''
        self.history += ((branch, self.timeline + 1, self.lsn),)
        self.lsn += 10
        self.replayed = self.lsn
        self.promotions += 1

    def can_stream_from(self, primary: 'SimulatedDatabase') -> bool:
        """Whether that lets it in, and all that this one has is on its history."""
        return not primary.is_closed and primary.contains(*self.position)

    def stream_from(self, primary: 'SimulatedDatabase') -> None:
        """Receive all that the primary has, if it is on this one's history."""
        if self.can_stream_from(primary):
            self.history, self.lsn = primary.history, primary.lsn
            self.replay()

    def receive_slowly(self, primary: 'SimulatedDatabase') -> None:
        """Receive a little of what the primary has, if it is on this one's history."""
        if self.can_stream_from(primary):
            self.lsn = min(primary.lsn, self.lsn + SLOW_BYTES)
            self.history = tuple(item for item in primary.history if item[2] <= self.lsn)
            self.replay()

    def replay(self) -> None:
        """Replay what was received, where nothing keeps it from that."""
        if self.running and not self.hung and not self.standstill and not self.held:
            self.replayed = self.lsn
