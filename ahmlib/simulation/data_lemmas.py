"""The lemmas that keep the data (L4, L5, L14, L17, L20 to L27): who is promoted."""

from typing import TYPE_CHECKING, Any, Dict, Set, Tuple

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon, Verdict
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.node import Node
from ahmlib.core.policy.election import why_not_eligible
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.simulation.lemma import (
    Lemma,
    Violated,
    by_force,
    excused,
    halves,
    may_split,
    spared,
)

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World

#: The slowest clock of a host of this world.
CLOCK_RATE_LEAST = 0.95


class Evidence(Lemma):
    """Nothing is promoted while anybody alive says that the old primary answers."""
    number = 4
    watches = (effects.Promote, effects.RunHook, effects.SendBeacon)

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.fencing_asked_at: Dict[int, float] = {}
        self.told: Dict[int, Tuple[int, Verdict]] = {}      # by node: what it said last

    def performed(self, host: 'Host', effect: Any) -> None:
        own = host.settings.own
        if isinstance(effect, effects.SendBeacon):
            self._note(effect.beacon)
        elif isinstance(effect, effects.RunHook):
            if effect.hook == 'pre_promotion_command':
                self.fencing_asked_at[own] = self.world.now
        elif host.node.parts.place.seen not in (None, own):
            self._look(host, host.node.parts.place.seen)

    def _note(self, row: Beacon) -> None:
        """What this node says of the suspect stands until it follows that one again, or leads."""
        if row.evidence is not None:
            self.told[row.sender] = row.evidence[:2]
        elif row.leads or self.told.get(row.sender, (None,))[0] == row.leader:
            self.told.pop(row.sender, None)

    def _look(self, host: 'Host', suspect: int) -> None:
        if host.settings.pre_promotion:
            if host.fenced_others_at < self.fencing_asked_at.get(host.settings.own, float('inf')):
                raise Violated('%s promotes though its fencing script has not succeeded'
                               % host.settings.name)
            return
        old, node = self.world.hosts[suspect], host.node
        if not old.powered or not old.database.writable:
            return
        reaches = [row.name for row in node.consensus.members.in_touch()
                   if self.told.get(row.sender) == (suspect, Verdict.REACHABLE)]
        own = node.parts.investigation
        if (own.about, own.verdict) == (suspect, Verdict.REACHABLE):
            reaches.append(host.settings.name)
        if reaches:
            raise Violated('%s promotes though %s says that it reaches the database of %s' % (
                host.settings.name, reaches[0], old.settings.name))


class MostAdvanced(Lemma):
    """A voter votes for all that it has, and nothing is promoted beside one that has more."""
    number = 5
    watches = (effects.SaveState, effects.Promote)

    def performed(self, host: 'Host', effect: Any) -> None:
        if isinstance(effect, effects.Promote):
            self._promoted(host)
        else:
            self._voted(host, effect)

    def _promoted(self, host: 'Host') -> None:
        node = host.node
        assert node is not None
        if by_force(self.world, host):
            return
        mine, candidate = node.own_row(), node.parts.candidate
        for row in node.consensus.members.in_touch():
            if (row.timeline, row.lsn) > (mine.timeline, mine.lsn) \
                    and row.database is DatabaseState.STANDBY \
                    and not why_not_eligible(row, candidate.view()) \
                    and candidate.gave_way.get(row.sender) != (row.timeline, row.lsn):
                raise Violated('%s (position %d) is promoted beside %s (%d), which had no turn' % (
                    mine.name, mine.lsn, row.name, row.lsn))

    def _voted(self, host: 'Host', effect: effects.SaveState) -> None:
        saved, before, node = effect.saved, host.saved, host.node
        own = host.settings.own
        if saved.voted_for in (None, SPENT, own) or (
                before and (before.term, before.voted_for) == (saved.term, saved.voted_for)):
            return
        assert node is not None
        row, mine = node.consensus.members.row(saved.voted_for), node.own_row()
        if row is None or row.forced or row.database is DatabaseState.PRIMARY \
                or mine.database is not DatabaseState.STANDBY or not mine.fresh \
                or why_not_eligible(mine, node.parts.candidate.view()) or not self._could_win(node):
            return
        if (row.timeline, row.lsn) < (mine.timeline, mine.lsn):
            raise Violated('%s (timeline %d, position %d) votes for %s (%d, %d), which has less' % (
                mine.name, mine.timeline, mine.lsn, row.name, row.timeline, row.lsn))

    def _could_win(self, node: Node) -> bool:
        """Whether a majority finds an election due for everybody, or for whoever can fence."""
        rows = [row for row in node.consensus.contact_rows()
                if row.due == 3 and row.due_only is None]
        return len(rows) >= node.facts.votes_needed \
            and node.facts.now >= node.parts.candidate.stopped_until


class Eligible(Lemma):
    """No witness, failed, quarantined, out or priority-0 database, none known not to replay."""
    number = 14
    watches = (effects.Promote,)

    def performed(self, host: 'Host', effect: effects.Promote) -> None:
        node, settings = host.node, host.settings
        if by_force(self.world, host):
            return
        state = node.parts.database.state
        if node.parts.database.standstill:
            raise Violated('%s is promoted though it is known not to replay: %s' % (
                settings.name, node.parts.database.standstill))
        if settings.witness or settings.priority == 0 or node.parts.database.out \
                or state in (DatabaseState.QUARANTINED, DatabaseState.NOT_CONFIGURED):
            raise Violated('%s is promoted: %s, priority %d%s' % (
                settings.name, state.name, settings.priority,
                ', out: ' + node.parts.database.out if node.parts.database.out else ''))


class RestartsPromoteNothing(Lemma):
    """Restarts of daemons and questions promote nothing."""
    number = 17
    watches = (effects.Promote,)

    def performed(self, host: 'Host', effect: effects.Promote) -> None:
        if self.world.harmless:
            raise Violated('%s promotes its database, and nothing but restarts had happened'
                           % host.settings.name)


class OneWritable(Lemma):
    """Nothing is promoted while a database accepts writes on another host whose daemon runs."""
    number = 20
    watches = (effects.Promote,)
    watches_events = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        # By node: (life, when it has to have stopped on its own clock, when it began).
        self.began: Dict[int, Tuple[int, float, float]] = {}
        self.known: Dict[int, Tuple[Any, float]] = {}   # by node: as what it was seen, and when

    def handled(self, host: 'Host', event: Any) -> None:
        own = host.settings.own
        if host.node is None:
            return
        if self.began.get(own, (None,))[0] != host.life:
            now, timing = host.clock(self.world.now), host.settings.timing
            until = host.lease_until if host.lease_until > now else now + timing.hold
            self.began[own] = host.life, until + timing.fence, self.world.now
        if isinstance(event, events.DatabaseChecked) and event.in_recovery is False \
                and self.known.get(own, (None,))[0] != self._state(host):
            self.known[own] = self._state(host), self.world.now

    def performed(self, host: 'Host', effect: effects.Promote) -> None:
        world = self.world
        if halves(world) or by_force(world, host) or world.pause_forgotten:
            return
        for other in world.hosts:
            if other is not host and self._should_have_stopped(other):
                raise Violated('%s is promoted while the database of %s accepts writes, and its '
                               'daemon runs' % (host.settings.name, other.settings.name))

    def _should_have_stopped(self, host: 'Host') -> bool:
        """Whether its daemon had the time to see that it runs, and to stop it."""
        own, timing = host.settings.own, host.settings.timing
        if host.database is None or not host.database.writable or excused(self.world, host) \
                or not host.settings.stop_isolated_primary or host.node.consensus.tenure.reigns:
            return False
        if host.saved is None or host.saved.record is None or not host.lease_until:
            return False
        if host.clock(self.world.now) < self.began[own][1]:
            return False
        state, since = self.known.get(own, (None, 0.0))
        found_late = since > self.began[own][2] + host.settings.connect_timeout
        slack = timing.lease + timing.fence if found_late else 0.0
        return state == self._state(host) and self.world.now >= since + slack / CLOCK_RATE_LEAST

    def _state(self, host: 'Host') -> Any:
        """What changes whenever the server is started, promoted or thawed, by anybody."""
        mine = host.database
        return host.life, mine.starts, mine.promotions, mine.thaws


class SuccessorHasAll(Lemma):
    """Who hands over names a successor that has replayed all that it has."""
    number = 21
    watches = (effects.SendBeacon,)

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.named: Dict[int, Any] = {}         # by node: whom it named last without leading

    def performed(self, host: 'Host', effect: effects.SendBeacon) -> None:
        row, own = effect.beacon, host.settings.own
        successor = None if row.leads or row.stepping_down else row.successor
        before, self.named[own] = self.named.get(own), successor
        if successor is None or successor == before or host.database is None:
            return
        target = self.world.hosts[successor].database
        branch, lsn = host.database.position
        if not target.contains(branch, min(lsn, target.replayed)) or target.replayed < lsn:
            raise Violated('%s hands over to %s, which has replayed up to %d, and it has %d' % (
                row.name, self.world.hosts[successor].settings.name, target.replayed, lsn))


class AloneWithVip(Lemma):
    """A takeover raises the VIP only where no node in contact says that it holds it."""
    number = 22
    watches = (effects.RaiseVip,)

    def performed(self, host: 'Host', effect: effects.RaiseVip) -> None:
        node = host.node
        if halves(self.world) or host.has_vip:
            return
        holders = [row.name for row in node.consensus.members.in_touch() if row.holds_vip]
        if node.state is NodeState.TAKING_OVER and holders:
            raise Violated('%s raises the VIP, and %s says that it holds it' % (
                host.settings.name, holders[0]))


class StaysIn(Lemma):
    """A standby that runs, and that nobody was cut off from, is not reported out."""
    number = 23
    watches_events = True
    watches_steps = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.runs_since: Dict[int, Tuple[Any, float]] = {}  # by node: (starts and stops, when)
        self.out: Dict[int, bool] = {}

    def step(self) -> None:
        for host in self.world.hosts:
            mine = host.database
            if mine is None:
                continue
            state = mine.starts, mine.running and not mine.hung and not mine.starting
            if self.runs_since.get(host.settings.own, (None,))[0] != state:
                self.runs_since[host.settings.own] = state, self.world.now

    def handled(self, host: 'Host', event: Any) -> None:
        own, node = host.settings.own, host.node
        if node is None:
            return
        database = node.parts.database
        before, out = self.out.get(own, False), database.out.startswith('its database failed')
        self.out[own] = out
        if not out or before or self.world.network.was_disturbed or not database.in_recovery:
            return
        state, since = self.runs_since.get(own, ((0, False), 0.0))
        settings = host.settings
        lasted = settings.max_consec_failures * settings.health_check_period \
            + 2 * node.parts.investigation.patience
        if state[1] and self.world.now - since > lasted:
            raise Violated('%s reports its standby out, and it has run for %.1f s: %s' % (
                settings.name, self.world.now - since, database.out))


class LeftAlone(Lemma):
    """Of a node in maintenance nothing is promoted, and its daemon leaves its database alone."""
    number = 24
    watches = (effects.Promote, effects.StartDatabase, effects.StopDatabase,
               effects.LeaveStandbySignal, effects.FollowPrimary, effects.AttachDatabase,
               effects.Reply)
    watches_events = True
    watches_disks = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.maintained: Set[int] = set()       # whose disk said so, until an operator ended it
        self.out: Dict[int, str] = {}

    def saved(self, host: 'Host', saved: Saved) -> None:
        node = host.node    # a save that was under way when it was ended tells nothing
        if saved.maintenance and node is not None and node.parts.database.maintained:
            self.maintained.add(host.settings.own)

    def handled(self, host: 'Host', event: Any) -> None:
        own = host.settings.own
        if host.node is None:
            return
        out = host.node.parts.database.out
        before, self.out[own] = self.out.get(own, ''), out
        if self._is_maintained(host) and out.startswith('its database failed') and not before:
            raise Violated('%s reports its database out in maintenance: %s' % (
                host.settings.name, out))

    def performed(self, host: 'Host', effect: Any) -> None:
        if isinstance(effect, effects.Reply):
            if effect.answer.get('task', {}).get('name') == 'resume':
                self.maintained.discard(host.settings.own)
            return
        if not self._is_maintained(host):
            return
        stops = isinstance(effect, (effects.StopDatabase, effects.LeaveStandbySignal))
        if stops and host.node is not None and host.node.consensus.steps_down:
            return      # as beside any primary that runs beside a leader
        raise Violated('%s is in maintenance, and asks for %s' % (
            host.settings.name, type(effect).__name__))

    def _is_maintained(self, host: 'Host') -> bool:
        """Whether an operator has put it there; with its state file it has forgotten that."""
        if host.saved is None:
            self.maintained.discard(host.settings.own)
        return host.settings.own in self.maintained


class SparedAlone(Lemma):
    """While a pause spares a database that accepts writes, no other one is promoted."""
    number = 25
    watches = (effects.Promote,)

    def performed(self, host: 'Host', effect: effects.Promote) -> None:
        if by_force(self.world, host) or self.world.pause_forgotten:
            return
        for other in self.world.hosts:
            if other is not host and other.powered and spared(other) \
                    and other.database is not None and other.database.writable:
                raise Violated('%s is promoted while a pause spares the database of %s' % (
                    host.settings.name, other.settings.name))


class OneSays(Lemma):
    """At no instant do two nodes say of themselves that clients may write there."""
    number = 26
    watches_steps = True

    def step(self) -> None:
        world = self.world
        says = [host for host in world.hosts if host.node is not None and host.powered
                and not host.paused and host.node.parts.vip.serves(host.clock(world.now))]
        if len(says) > 1 and not may_split(world, says) and not world.pause_forgotten:
            raise Violated('%s say that clients may write there' % ' and '.join(
                host.settings.name for host in says))


class CopyOfTheLeaders(Lemma):
    """What a rebuild puts in place is a copy of the primary of the leader that is followed."""
    number = 27
    watches_steps = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.copies: Dict[int, int] = {}        # by node: how many it has seen

    def step(self) -> None:
        for host in self.world.hosts:
            own, mine, node = host.settings.own, host.database, host.node
            if mine is None or mine.copies == self.copies.get(own, 0):
                continue
            self.copies[own] = mine.copies
            if node is None or node.leads:
                raise Violated('%s leads, or has no daemon, and its database is replaced'
                               % host.settings.name)
            leader = node.consensus.leader_in_force()
            if leader is not None and leader.sender != mine.copied_from:
                raise Violated('%s follows %s, and gets a copy of the database of %s' % (
                    host.settings.name, leader.name, node.facts.name_of(mine.copied_from)))


DATA_LEMMAS = (Evidence, MostAdvanced, Eligible, RestartsPromoteNothing, OneWritable, AloneWithVip,
               SuccessorHasAll, StaysIn, LeftAlone, SparedAlone, OneSays, CopyOfTheLeaders)
