"""Clients that write through the VIP, and what was promised to them.

They write to whichever host answers for the VIP, and remember every row that was acknowledged and
where it lies.  So two primaries, an outage, and lost rows are observed here as a user would.
With synchronous replication a row is acknowledged only once as many standbys have it as the setting
of its server asks for, as that is when it is looked at.
"""

from typing import TYPE_CHECKING, List, NamedTuple, Optional, Tuple

from ahmlib.simulation.host import SLOW
from ahmlib.simulation.lemma import excused
from ahmlib.simulation.synchronous import is_promised, is_set_by_ahm

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

WRITE_SECONDS = 0.02
REPLICATION_SECONDS = 0.02


class Written(NamedTuple):
    """One acknowledged row."""
    at: float
    node: int
    branch: int
    lsn: int
    promised: bool = True       # False: by a host that no program can stop, beside a promoted one,
    #                             or, where AHM sets what commits wait for, before it promised


class Clients:
    """The writing clients, and replication, which decides what they are told."""

    def __init__(self, world: 'World', synchronous: int = 0) -> None:
        self.world = world
        self.synchronous = synchronous      # so many of all were set to confirm a commit at first
        for host in world.hosts if synchronous else ():
            if host.database is not None:
                host.database.synchronous = synchronous, tuple(
                    other.settings.name for other in world.hosts
                    if other is not host and other.database is not None)
        self.acknowledged: List[Written] = []
        self.waiting: List[Written] = []
        self.two_primaries_seconds = 0.0
        world.at(0.0, self._replicate)
        world.at(0.0, self._write)

    def _write(self) -> None:
        world = self.world
        served = [host for host in world.hosts if world.serves_clients(host)]
        if len(served) > 1:
            self.two_primaries_seconds += WRITE_SECONDS
        for host in served:
            branch, lsn = host.database.write()
            row = Written(world.now, host.settings.own, branch, lsn)
            if host.database.synchronous[0]:
                self.waiting.append(row)
            else:
                self._acknowledge(row)
        world.after(WRITE_SECONDS, self._write)

    def _replicate(self) -> None:
        world = self.world
        for host in world.hosts:
            primary = world.upstream_of(host)
            if primary is not None and host.behaviour('replication') == SLOW:
                host.database.receive_slowly(primary)
            elif primary is not None:
                host.database.stream_from(primary)
        if self.waiting:
            self._confirm()
        world.after(REPLICATION_SECONDS, self._replicate)

    def _confirm(self) -> None:
        world, left = self.world, []
        for row in self.waiting:
            primary = world.hosts[row.node].database
            if not world.hosts[row.node].powered or not primary.writable:
                continue        # the client's connection is gone, and nothing was promised
            needed, names = primary.synchronous
            having = sum(host.settings.name in names and world.upstream_of(host) is primary
                         and host.database.contains(row.branch, row.lsn) for host in world.hosts)
            if having >= needed:
                self._acknowledge(row)
            else:
                left.append(row)
        self.waiting = left

    def _acknowledge(self, row: Written) -> None:
        world, host = self.world, self.world.hosts[row.node]
        beyond = (self.synchronous or is_set_by_ahm(world)) and excused(world, host) \
            and self._left_behind(row)
        promised = not beyond and (not is_set_by_ahm(world) or is_promised(world))
        self.acknowledged.append(row._replace(at=world.now, promised=promised))

    def _left_behind(self, row: Written) -> bool:
        """Whether somebody has been promoted before this position."""
        return any(branch == row.branch and after[2] < row.lsn
                   for host in self.world.hosts if host.database is not None
                   for (branch, _, _), after in zip(host.database.history,
                                                    host.database.history[1:]))

    def lost_by(self, node: int, promised: bool = False) -> int:
        """Acknowledged rows that its database lacks; `promised`: only those that L18 counts."""
        database = self.world.hosts[node].database
        return sum(not database.contains(row.branch, row.lsn) for row in self.acknowledged
                   if row.promised or not promised)

    def outage_after(self, at: float, until: Optional[float] = None) -> float:
        """The longest time without an acknowledged row between these two instants."""
        until = self.world.now if until is None else until
        instants = [at] + [row.at for row in self.acknowledged if at < row.at <= until] + [until]
        return max(later - earlier for earlier, later in zip(instants, instants[1:]))

    def gap_after(self, at: float) -> Tuple[float, Optional[float]]:
        """(last row before the longest gap, first row after it or None), from this instant on."""
        before = [row.at for row in self.acknowledged if row.at <= at]
        instants = before[-1:] + [row.at for row in self.acknowledged if row.at > at]
        ended = instants + [self.world.now]
        start = max(range(len(instants)), key=lambda place: ended[place + 1] - ended[place])
        return instants[start], instants[start + 1] if start + 1 < len(instants) else None
