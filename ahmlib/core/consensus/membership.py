"""Who is heard, who hears me, who is lost.

A row counts only if it echoes my present incarnation: then it was sent after I started, so a beacon
recorded last week proves nothing.  A row that does not echo me yet is entered in `heard`, which is
echoed back to its sender, and changes nothing else.

Of two incarnations of a peer the newer is the one that echoes the higher seq of mine; one that was
displaced so never comes back.

Silence is counted on my own clock, from receipt, and only while I was awake to listen.
"""

from typing import Dict, List, Optional, Set, Tuple

from ..beacon import Beacon
from ..facts import Facts

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

    def displaced_by(self, incarnation: int) -> None:
        """Remember the incarnation that a newer one has displaced."""
        if self.row is not None and self.row.incarnation != incarnation:
            self.past.add(self.row.incarnation)


class Membership:
    """All the other nodes, as heard here."""

    def __init__(self, facts: Facts, incarnation: int) -> None:
        self.facts = facts
        self.incarnation = incarnation
        self.peers: Dict[int, Peer] = {place: Peer() for place in range(facts.settings.size)
                                       if place != facts.own}
        self.sent_at: Dict[int, float] = {}
        self.regained_at = facts.now        # when a peer was last heard that had not been
        self._were_alive: Set[int] = set()      # when `turned` was asked last
        self._alive: Set[int] = set()       # as of `_counted`: (turn, rows taken, T_hold)
        self._living: List[Beacon] = []
        self._two_way: Set[int] = set()
        self._in_touch: List[Beacon] = []
        self._counted: Optional[Tuple[int, int, float]] = None
        self._changes = 0

    def sent(self, seq: int, now: float) -> None:
        """Note that a beacon with this seq leaves now."""
        self.sent_at[seq] = now
        if len(self.sent_at) > SENT_MAX:
            for old in sorted(self.sent_at)[:SENT_MAX // 2]:
                del self.sent_at[old]

    def echo(self, row: Beacon) -> Optional[int]:
        """Which seq of my present incarnation this row echoes, if any."""
        item = row.heard[self.facts.own]
        if item is None or item[0] != self.incarnation or item[1] not in self.sent_at:
            return None
        return item[1]

    def echoed_at(self, place: int) -> Optional[float]:
        """When the newest row of mine was sent that this peer is known to have heard."""
        peer = self.peers.get(place)
        echo = self.echo(peer.row) if peer is not None and peer.row is not None else None
        return None if echo is None else self.sent_at[echo]

    def accept(self, row: Beacon) -> bool:
        """Take a row; whether it counts."""
        self._changes += 1
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
        peer.heard, peer.heard_at = (row.incarnation, row.seq), self.facts.now
        if echo is None:
            return False
        peer.displaced_by(row.incarnation)
        peer.row, peer.row_at = row, self.facts.now
        return True

    def heard(self) -> Tuple[Optional[Tuple[int, int]], ...]:
        """The echo to publish: by node, the newest (incarnation, seq) heard."""
        newest = [peer.heard for peer in self.peers.values()]     # in the order of places
        return (*newest[:self.facts.own], None, *newest[self.facts.own:])

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
        self._changes += 1
        for peer in self.peers.values():
            peer.row_at += seconds

    def row(self, place: int) -> Optional[Beacon]:
        """The newest row of a peer, alive or not."""
        peer = self.peers.get(place)
        return peer.row if peer else None

    def row_at(self, place: int) -> float:
        """When the newest row of this peer that counts was received."""
        return self.peers[place].row_at

    def living_row(self, place: int) -> Optional[Beacon]:
        """The newest row of a living peer."""
        return self.row(place) if self.is_alive(place) else None

    def is_alive(self, place: int) -> bool:
        """Whether this peer was heard within T_hold."""
        self._count()
        return place in self._alive

    def is_two_way(self, place: int) -> bool:
        """Whether it is alive, and has heard me within T_hold: a deaf peer echoes an old seq."""
        self._count()
        return place in self._two_way

    def only_arrives(self, place: int) -> bool:
        """Whether its rows arrive, heard within T_hold, and none counts: it does not hear me."""
        return self.arrives(place) and not self.is_alive(place)

    def arrives(self, place: int) -> bool:
        """Whether rows of this peer arrive, heard within T_hold, whether they count or not."""
        peer = self.peers.get(place)
        return peer is not None and peer.heard is not None and self._within_hold(peer.heard_at)

    def _within_hold(self, at: float) -> bool:
        return not self.facts.reached(at + self.facts.hold_seconds)

    def living(self) -> List[Beacon]:
        """Newest rows of the peers that are alive."""
        self._count()
        return self._living

    def in_touch(self) -> List[Beacon]:
        """Newest rows of the peers in two-way contact."""
        self._count()
        return self._in_touch

    def _count(self) -> None:
        """Look once an event, and again where a row was taken since."""
        counted = self.facts.clock.turn, self._changes, self.facts.hold_seconds
        if counted == self._counted:
            return
        self._counted = counted
        reached, hold = self.facts.clock.reached, self.facts.hold_seconds
        self._living = [peer.row for peer in self.peers.values()
                        if peer.row is not None and not reached(peer.row_at + hold)]
        self._alive = {row.sender for row in self._living}
        echoed = [(row, self.echo(row)) for row in self._living]
        self._in_touch = [row for row, seq in echoed
                          if seq is not None and not reached(self.sent_at[seq] + hold)]
        self._two_way = {row.sender for row in self._in_touch}

    def has_majority(self) -> bool:
        """Whether as many nodes as an election needs are in contact, I among them."""
        return len(self.in_touch()) + 1 >= self.facts.votes_needed

    def silence(self, place: int) -> float:
        """Seconds since the newest row of this peer that counts."""
        return self.facts.now - self.peers[place].row_at

    def is_late(self, place: int) -> bool:
        """Whether a beacon of this peer is overdue."""
        return self.facts.reached(self.peers[place].row_at + 1.5 * self.facts.settings.interval)

    def turned(self) -> List[Tuple[int, bool]]:
        """Peers that became alive (True) or lost (False) since the last call."""
        self._count()
        changed, self._were_alive = self._alive ^ self._were_alive, self._alive
        if changed & self._alive:
            self.regained_at = self.facts.now
        return [(place, place in self._alive) for place in sorted(changed)]
