"""The safety argument as numbered lemmas, one checker each.

    L1   A term has at most one leader.
    L2   At no instant do two hosts hold the VIP over a database that accepts writes.
    L3   Who leads was elected: as many nodes as it needs have their vote for it on disk.
    L4   Nothing is promoted while anybody alive says that the old primary answers,
         unless it was fenced first.
    L5   A voter that could lead itself votes only for a database that has all that it has, and
         nothing is promoted beside one in contact that may lead, has more, and had no turn.
    L6   Term and vote on disk never go back.
    L7   What a row says is on disk: term, vote, leader, record, pause, maintenance.
    L8   No two nodes hold a lease at one instant.
    L9   A lease is backed: enough nodes are bound to that leader while it lasts.
    L10  No vote for another while the voter's own acknowledgement still backs a lease.
    L11  VIP and promotion are asked for under a lease only, the VIP only once a majority has
         the record of this primary on disk.
    L12  A leader whose lease has ended steps down before anything else.
    L13  Who says that it leads no more holds no VIP and no database that accepts writes, unless a
         pause spares them.
    L14  No witness, failed, quarantined, reported out or priority-0 database is promoted, and
         none that is known not to replay what it has received.
    L15  Old, doubled and replayed rows change nothing.
    L16  Every procedure ends.
    L17  Restarts of daemons and questions promote nothing.
    L18  With synchronous replication a promotion loses no acknowledged row.
    L19  A node stands and leads only in terms of its own.
    L20  Nothing is promoted while a database accepts writes on another host whose daemon runs,
         beyond its lease on file or for T_hold, if that node led since its host booted, unless
         it was fenced.
    L21  Who hands over names a successor that has replayed all that it has.
    L22  A takeover raises the VIP only where no node in contact says that it holds it.
    L23  A standby that runs, and that nobody was cut off from, is not reported out.
    L24  Of a node in maintenance nothing is promoted, and its daemon leaves its database alone,
         unless that accepts writes.
    L25  While a pause spares a database that accepts writes, no other one is promoted, unless by
         force.
    L26  At no instant do two nodes say of themselves that clients may write there.
    L27  What a rebuild puts in place is a copy of the primary of the leader that is followed.
    L28  Where AHM sets what commits wait for, every claim that may be the newest of some q voters
         covers the setting in force.
    L29  Where AHM sets what commits wait for, as many nodes of every new claim as it says have all
         that was acknowledged.

L1 and L2 are what users care about; the others are the steps of the proof.  Any q voters and any
n - q + 1 acknowledgers share a node.  That node is bound to the leader it acknowledged for as long
as the acknowledgement backs a lease (L9), and does not vote before (L10); so when the next leader
is elected (L3) the last lease has ended (L8), and T_fence later its holder has stepped down (L12,
L13); hence L2.  L6 and L7 carry this across crashes, L15 across the network; L20 keeps it beside
daemons that do not lead; L4, L5, L14, L18 and L21 keep the data.

Beyond any program in user space, and so no breach of L2: a daemon that is dead or stopped, or was
until less than T_fence ago, and commands of the host that do not do their work within T_fence.
A daemon that finds a primary where it last saw none, because somebody started or promoted one by
hand, or its server was frozen and goes on, or its checks fail, has not seen it before its next
check, so L20 does not speak of it.  What clients are told there once somebody else has been
promoted is no row of L18.  Half votes break L8 and L22 by their nature, and L2 where nothing breaks
the tie: there they are not checked, only observed.

A promotion by force is an operator's word in place of votes, backing and eligibility: L3, L5, L9,
L11, L14 and L18 do not speak of the node at which it was asked for, as long as it leads by force.
L2 and L8 hold for it where the word is true.
"""

from typing import TYPE_CHECKING, Any, Dict, Optional, Set, Tuple

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon, Farewell, Record
from ahmlib.core.consensus.lease import FOREVER
from ahmlib.core.consensus.quorum import votes_needed
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.limits import FOLLOW_SECONDS, VIP_COMMAND_SECONDS
from ahmlib.core.node import Node
from ahmlib.core.settings import Settings
from ahmlib.core.states import NodeState
from ahmlib.simulation.data_lemmas import DATA_LEMMAS
from ahmlib.simulation.synchronous_lemmas import Caught, Covered, NothingLost

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World
from ahmlib.simulation.lemma import (
    Lemma,
    Violated,
    by_force,
    excused,
    halves,
    leases,
    may_split,
    spared,
)


class OneLeader(Lemma):
    """A term has at most one leader."""
    number = 1
    watches = (effects.SendBeacon,)

    def performed(self, host: 'Host', effect: effects.SendBeacon) -> None:
        row, leaders = effect.beacon, self.world.leaders
        if row.leads and leaders.setdefault(row.term, row.sender) != row.sender:
            raise Violated('term %d is led by %s and by %s' % (
                row.term, row.name, self.world.hosts[leaders[row.term]].settings.name))


class OnePrimary(Lemma):
    """At no instant do two hosts hold the VIP over a database that accepts writes."""
    number = 2
    watches_steps = True

    def step(self) -> None:
        world = self.world
        serving = [host for host in world.hosts if host.has_vip and world.serves_clients(host)]
        if len(serving) > 1 and not may_split(world, serving) and not world.pause_forgotten \
                and sum(not excused(world, host) for host in serving) > 1:
            raise Violated('%s hold the VIP over a database that accepts writes' % ' and '.join(
                host.settings.name for host in serving))


class Elected(Lemma):
    """Who leads was elected: as many nodes as it needs have their vote for it on disk."""
    number = 3
    watches_events = True
    watches_disks = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.votes: Dict[int, Set[Tuple[int, int]]] = {}    # by term: (voter, candidate)
        self.leading: Dict[int, int] = {}                   # by node: the life in which it leads

    def saved(self, host: 'Host', saved: Saved) -> None:
        if saved.voted_for not in (None, SPENT):
            self.votes.setdefault(saved.term, set()).add((host.settings.own, saved.voted_for))

    def handled(self, host: 'Host', event: Any) -> None:
        own = host.settings.own
        if host.node is None or not host.node.leads:
            self.leading.pop(own, None)
        elif self.leading.get(own) != host.life:
            self.leading[own] = host.life
            self._look(host, own, host.node.consensus.term)

    def _look(self, host: 'Host', own: int, term: int) -> None:
        """At the instant at which it is elected, before it does anything."""
        needed = votes_needed(host.settings.size, host.settings.half_votes)
        if by_force(self.world, host):
            needed = 1
        given = {voter for voter, whom in self.votes.get(term, ()) if whom == own}
        if len(given) < needed:
            raise Violated('%s leads in term %d with %d votes on disk and needs %d' % (
                host.settings.name, term, len(given), needed))


class NeverBack(Lemma):
    """Term and vote on disk never go back."""
    number = 6
    watches_disks = True

    def saved(self, host: 'Host', saved: Saved) -> None:
        before = host.saved
        if before is None:
            return
        if saved.term < before.term:
            raise Violated('the term of %s goes from %d back to %d' % (
                host.settings.name, before.term, saved.term))
        if saved.term == before.term and before.voted_for not in (None, saved.voted_for):
            raise Violated('%s votes twice in term %d' % (host.settings.name, saved.term))


class SavedBeforeSaid(Lemma):
    """What a row says is on disk: term, vote, leader, record, pause, maintenance."""
    number = 7
    watches = (effects.SendBeacon,)

    def performed(self, host: 'Host', effect: effects.SendBeacon) -> None:
        row, disk = effect.beacon, host.saved
        said = (row.term, row.voted_for, row.record, row.pause, row.maintenance)
        kept = disk and (disk.term, disk.voted_for, disk.record, disk.pause, disk.maintenance)
        followed = row.leader in (None, row.sender) \
            or (disk is not None and disk.leader == row.leader)
        if said != kept or not followed:
            raise Violated('%s says leader %s, term, vote, record, pause, maintenance %s, and its '
                           'disk says %s, %s' % (row.name, row.leader, said,
                                                 disk and disk.leader, kept))


class OneLease(Lemma):
    """No two nodes hold a lease at one instant."""
    number = 8
    watches_events = True

    def handled(self, host: 'Host', event: Any) -> None:
        if host.node is None or not host.node.leads or halves(self.world):
            return
        held = leases(self.world)
        if len(held) > 1:
            raise Violated('%s hold a lease' % ' and '.join(
                self.world.hosts[own].settings.name for own in sorted(held)))


class Backed(Lemma):
    """A lease is backed: enough nodes are bound to that leader while it lasts."""
    number = 9
    watches_events = True

    def handled(self, host: 'Host', event: Any) -> None:
        for own, until in leases(self.world).items():
            leader = self.world.hosts[own]
            lease = leader.node.consensus.tenure.lease
            if lease.needed <= 1 or until == FOREVER or by_force(self.world, leader):
                continue
            bound = 1 + sum(other is not leader and self._bound(other, own)
                            for other in self.world.hosts[:leader.settings.size])
            if bound < lease.needed:
                raise Violated('%s holds a lease that %d nodes back, itself among them, and '
                               'needs %d' % (leader.settings.name, bound, lease.needed))

    def _bound(self, host: 'Host', leader: int) -> bool:
        """Whether this node, alive or restarted at once, could vote for nobody else now."""
        node = host.node
        if node is None:
            return host.saved is None or host.saved.blind or host.saved.leader == leader
        now = host.clock(self.world.now)
        promise = node.consensus.promise
        return promise.blind or (promise.leader == leader and promise.holds_at(now))


class NoVoteUnderPromise(Lemma):
    """No vote for another while the voter's own acknowledgement still backs a lease."""
    number = 10
    watches = (effects.SaveState,)

    def performed(self, host: 'Host', effect: effects.SaveState) -> None:
        saved, before, own = effect.saved, host.saved, host.settings.own
        if saved.voted_for in (None, SPENT) or (
                before and (before.term, before.voted_for) == (saved.term, saved.voted_for)):
            return
        for leader in self.world.hosts:
            place, node = leader.settings.own, leader.node
            if place in (own, saved.voted_for) or node is None or not node.leads:
                continue
            lease = node.consensus.tenure.lease
            acked = lease.acked.get(own)
            if acked is not None and leader.clock(self.world.now) < acked + lease.seconds:
                raise Violated('%s votes for %s while its acknowledgement backs the lease of %s' % (
                    host.settings.name, self.world.hosts[saved.voted_for].settings.name,
                    leader.settings.name))


class UnderLease(Lemma):
    """VIP and promotion are asked for under a lease, the VIP once a majority has the record."""
    number = 11
    watches = (effects.RaiseVip, effects.Promote)
    watches_disks = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.told: Dict[Record, Set[int]] = {}      # by record: the nodes that saved it

    def saved(self, host: 'Host', saved: Saved) -> None:
        if saved.record is not None:
            self.told.setdefault(saved.record, set()).add(host.settings.own)

    def performed(self, host: 'Host', effect: Any) -> None:
        world, node = self.world, host.node
        what = type(effect).__name__
        if host.settings.own not in leases(world):
            raise Violated('%s asks for %s without a lease' % (host.settings.name, what))
        if isinstance(effect, effects.Promote):
            return
        assert node is not None
        on_disk = self._disks(node)
        if on_disk < node.facts.votes_needed and not by_force(world, host):
            raise Violated('%s raises the VIP with its record on %d disks and needs %d' % (
                host.settings.name, on_disk, node.facts.votes_needed))

    def _disks(self, node: Node) -> int:
        """How many disks have had the record of this leader, whatever became of them later.

        With half votes the other half may have put its own primary on record since.
        """
        if halves(self.world):
            return max([len(disks) for record, disks in self.told.items()
                        if record.node == node.own], default=0)
        if node.parts.place.record is None or node.parts.place.record.node != node.own:
            return 0
        return len(self.told.get(node.parts.place.record, ()))


class DeadlinesFirst(Lemma):
    """A leader whose lease has ended steps down before anything else."""
    number = 12
    watches_events = True

    def handled(self, host: 'Host', event: Any) -> None:
        node = host.node
        if node is None or not node.leads or not node.consensus.tenure.acting:
            return
        if node.facts.now >= node.consensus.tenure.until():
            raise Violated('%s acts on though its lease ended %.3f s ago' % (
                host.settings.name, node.facts.now - node.consensus.tenure.until()))


class CompleteStepDown(Lemma):
    """Who says that it leads no more holds no VIP and no database that accepts writes."""
    number = 13
    watches = (effects.SendBeacon, effects.StopDatabase)

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.led: Dict[int, Tuple[int, int]] = {}   # by node: (life, starts by hand till then)
        self.asked: Dict[int, int] = {}             # by node: starts by hand when it last stopped

    def performed(self, host: 'Host', effect: Any) -> None:
        own = host.settings.own
        if isinstance(effect, effects.StopDatabase):
            self.asked[own] = self._starts(host)
            return
        row = effect.beacon
        if row.leads:
            if row.state is NodeState.LEADER or host.node.parts.database.half_done:
                self.led[own] = (host.life, self._starts(host))
            return
        if spared(host):
            return
        if self.led.get(own, (None,))[0] != host.life or row.stepping_down \
                or row.farewell is not Farewell.NONE or not host.settings.stop_isolated_primary:
            return
        _, starts = self.led.pop(own)
        starts = min(starts, self.asked.pop(own, starts))
        if host.settings.vip and host.has_vip:
            raise Violated('%s says that it leads no more, and holds the VIP' % row.name)
        if host.database is not None and host.database.writable \
                and self._starts(host) == starts and not host.database.stop_lied:
            raise Violated('%s says that it leads no more, and its database accepts writes'
                           % row.name)

    def _starts(self, host: 'Host') -> int:
        """How often somebody else than the daemon started the server."""
        return 0 if host.database is None else host.database.starts_by_hand


class OldRowsIgnored(Lemma):
    """Old, doubled and replayed rows change nothing."""
    number = 15
    watches_events = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.newest: Dict[Tuple[int, int, int], Tuple[int, int]] = {}
        self.gone: Dict[Tuple[int, int, int], Set[int]] = {}

    def handled(self, host: 'Host', event: Any) -> None:
        if not isinstance(event, events.BeaconHeard) or host.node is None:
            return
        row: Optional[Beacon] = host.node.consensus.members.row(event.beacon.sender)
        if row is None:
            return
        key = (host.settings.own, host.life, row.sender)
        before, gone = self.newest.get(key), self.gone.setdefault(key, set())
        if before is not None and before[0] == row.incarnation and row.seq < before[1]:
            raise Violated('%s goes back from row %d of %s to row %d' % (
                host.settings.name, before[1], row.name, row.seq))
        if row.incarnation in gone:
            raise Violated('%s goes back to an incarnation of %s that had ended' % (
                host.settings.name, row.name))
        echo = row.heard[host.settings.own]
        if echo is None or echo[0] != host.node.consensus.incarnation:
            raise Violated('%s takes a row of %s that does not echo its present incarnation' % (
                host.settings.name, row.name))
        if before is not None and before[0] != row.incarnation:
            gone.add(before[0])
        self.newest[key] = (row.incarnation, row.seq)


class ProceduresEnd(Lemma):
    """Every procedure ends."""
    number = 16
    watches_events = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.since: Dict[int, Tuple[Any, float]] = {}

    def handled(self, host: 'Host', event: Any) -> None:
        if host.node is None:
            return
        own, steps = host.settings.own, host.node.plan.under_way
        if self.since.get(own, (None,))[0] is not steps:
            self.since[own] = (steps, self.world.now)
        elif steps is not None and not host.node.consensus.steps_down:
            lasted = self.world.now - self.since[own][1]
            if lasted > self._limit(host.settings, host.node.plan.name):
                raise Violated('%s has been at "%s" for %.0f s' % (
                    host.settings.name, host.node.plan.name, lasted))

    def _limit(self, settings: Settings, name: str) -> float:
        """All limits of all its steps together, on a slow clock."""
        if name == 'shut down':
            return float('inf')     # it gives up the role, which is tried until it works
        if name != 'take over':
            return 1.1 * FOLLOW_SECONDS
        return 1.1 * (settings.timing.lease + settings.timing.hold + settings.hook_timeout
                      + 2 * settings.wait_for_primary + settings.connect_timeout
                      + settings.promote_timeout + 2 * VIP_COMMAND_SECONDS)


class OwnTerms(Lemma):
    """A node stands and leads only in terms of its own."""
    number = 19
    watches = (effects.SendBeacon,)

    def performed(self, host: 'Host', effect: effects.SendBeacon) -> None:
        row, size = effect.beacon, host.settings.size
        if (row.leads or row.state is NodeState.STAND_FOR_LEADER) and row.term % size != row.sender:
            raise Violated('%s is %s in term %d, which is not its own' % (
                row.name, row.state.name, row.term))


#: By number.
LEMMAS = tuple(sorted(DATA_LEMMAS + (
    OneLeader, OnePrimary, Elected, NeverBack, SavedBeforeSaid, OneLease, Backed,
    NoVoteUnderPromise, UnderLease, DeadlinesFirst, CompleteStepDown, OldRowsIgnored,
    ProceduresEnd, OwnTerms, NothingLost, Covered, Caught), key=lambda lemma: lemma.number))
