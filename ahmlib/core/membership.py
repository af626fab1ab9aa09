"""Who is heard, who hears me, who is lost.

A row counts only if it echoes my present incarnation: then it was sent after I started, so a beacon
recorded last week proves nothing.  A row that does not echo me yet is entered in `heard`, which is
echoed back to its sender, and changes nothing else.

Of two incarnations of a peer the newer is the one that echoes the higher seq of mine; one that was
displaced so never comes back.

Silence is counted on my own clock, from receipt, and only while I was awake to listen.
"""

from typing import Dict, List, Optional, Set, Tuple

from .beacon import Beacon
from .settings import Settings

#: Beacons sent whose instants are remembered, for the age of echoes: far more than fit in T_hold.
SENT_MAX = 4096


class Peer:
    """One other node, as heard here."""

    def __init__(self) -> None:
        self.row: Optional[Beacon] = None       # newest row that counts
        self.row_at = 0.0                       # its receipt, shifted past my own sleeps
        self.heard: Optional[Tuple[int, int]] = None    # newest (incarnation, seq) at all
        self.heard_at = 0.0                     # its receipt
        self.past: Set[int] = set()             # incarnations displaced by a newer one
        self.was_alive = False

    def displaced_by(self, incarnation: int) -> None:
        """Remember the incarnation that a newer one has displaced."""
        if self.row is not None and self.row.incarnation != incarnation:
            self.past.add(self.row.incarnation)


class Membership:
    """All the other nodes, as heard here."""

    def __init__(self, settings: Settings, incarnation: int) -> None:
        self.own = settings.own
        self.incarnation = incarnation
        self.hold = settings.timing.hold
        self.interval = settings.interval
        self.peers: Dict[int, Peer] = {node: Peer() for node in range(settings.size)
                                       if node != settings.own}
        self.sent_at: Dict[int, float] = {}

    def sent(self, seq: int, now: float) -> None:
        """Note that a beacon with this seq leaves now."""
        self.sent_at[seq] = now
        if len(self.sent_at) > SENT_MAX:
            for old in sorted(self.sent_at)[:SENT_MAX // 2]:
                del self.sent_at[old]

    def echo(self, row: Beacon) -> Optional[int]:
        """Which seq of my present incarnation this row echoes, if any."""
        item = row.heard[self.own]
        if item is None or item[0] != self.incarnation or item[1] not in self.sent_at:
            return None
        return item[1]

    def echoed_at(self, node: int) -> Optional[float]:
        """When the newest row of mine was sent that this peer is known to have heard."""
        peer = self.peers.get(node)
        echo = self.echo(peer.row) if peer is not None and peer.row is not None else None
        return None if echo is None else self.sent_at[echo]

    def accept(self, row: Beacon, now: float) -> bool:
        """Take a row; whether it counts."""
        peer = self.peers[row.sender]
        if row.incarnation in peer.past:
            return False
        if peer.heard and peer.heard[0] == row.incarnation and row.seq <= peer.heard[1]:
            return False
        echo = self.echo(row)
        if peer.row is not None and peer.row.incarnation != row.incarnation:
            before = self.echo(peer.row)
            if echo is not None and before is not None and echo <= before:
                return False
        elif peer.row is not None and row.seq <= peer.row.seq:
            return False
        peer.heard, peer.heard_at = (row.incarnation, row.seq), now
        if echo is None:
            return False
        peer.displaced_by(row.incarnation)
        peer.row, peer.row_at = row, now
        return True

    def heard(self) -> Tuple[Optional[Tuple[int, int]], ...]:
        """The echo to publish: by node, the newest (incarnation, seq) heard."""
        size = len(self.peers) + 1
        return tuple(None if node == self.own else self.peers[node].heard for node in range(size))

    def restarted(self, row: Beacon) -> bool:
        """Whether this row is of another incarnation than the newest one that counted before."""
        peer = self.peers[row.sender]
        return (peer.row is not None and peer.row.incarnation != row.incarnation
                and row.incarnation not in peer.past)

    def all_rows(self) -> List[Beacon]:
        """Newest rows of all peers ever heard, alive or not."""
        return [peer.row for _, peer in sorted(self.peers.items()) if peer.row is not None]

    def slept(self, seconds: float) -> None:
        """Count nobody's silence during my own sleep."""
        for peer in self.peers.values():
            peer.row_at += seconds

    def row(self, node: int) -> Optional[Beacon]:
        """The newest row of a peer, alive or not."""
        peer = self.peers.get(node)
        return peer.row if peer else None

    def is_alive(self, node: int, now: float) -> bool:
        """Whether this peer was heard within T_hold."""
        peer = self.peers.get(node)
        return peer is not None and peer.row is not None and now < peer.row_at + self.hold

    def is_two_way(self, node: int, now: float) -> bool:
        """Whether it is alive, and has heard me within T_hold: a deaf peer echoes an old seq."""
        if not self.is_alive(node, now):
            return False
        echoed_at = self.echoed_at(node)
        return echoed_at is not None and now < echoed_at + self.hold

    def only_arrives(self, node: int, now: float) -> bool:
        """Whether its rows arrive, heard within T_hold, and none counts: it does not hear me."""
        return self.arrives(node, now) and not self.is_alive(node, now)

    def arrives(self, node: int, now: float) -> bool:
        """Whether rows of this peer arrive, heard within T_hold, whether they count or not."""
        peer = self.peers.get(node)
        return peer is not None and peer.heard is not None and now < peer.heard_at + self.hold

    def living(self, now: float) -> List[Beacon]:
        """Newest rows of the peers that are alive."""
        return [self.peers[node].row for node in sorted(self.peers) if self.is_alive(node, now)]

    def in_touch(self, now: float) -> List[Beacon]:
        """Newest rows of the peers in two-way contact."""
        return [self.peers[node].row for node in sorted(self.peers) if self.is_two_way(node, now)]

    def silence(self, node: int, now: float) -> float:
        """Seconds since the newest row of this peer that counts."""
        return now - self.peers[node].row_at

    def turned(self, now: float) -> List[Tuple[int, bool]]:
        """Peers that became alive (True) or lost (False) since the last call."""
        changes = []
        for node, peer in sorted(self.peers.items()):
            alive = self.is_alive(node, now)
            if alive != peer.was_alive:
                peer.was_alive = alive
                changes.append((node, alive))
        return changes

    def deadlines(self, now: float) -> List[float]:
        """When a living peer will count as lost, or as late, if it stays silent."""
        found = []
        for node, peer in self.peers.items():
            if peer.row is None:
                continue
            found.append(peer.row_at + self.hold)
            found.append(peer.row_at + 1.5 * self.interval)
            echoed_at = self.echoed_at(node)
            if echoed_at is not None:
                found.append(echoed_at + self.hold)
        return [instant for instant in found if instant > now]
