"""A Consensus that is thawed from a tuple, does one thing, and is frozen again (see `frozen`).

What it does is what `Node.handle` does with its consensus: the deadline of the lease, the event,
then rounds of decisions until nothing changes any more, then the state is saved or the row leaves.
"""

import math
from typing import Any, Dict, NamedTuple, Optional, Tuple

from ahmlib.core.beacon import Beacon, Claim, Due, Farewell
from ahmlib.core.consensus.consensus import Consensus
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.consensus.wish import Wish
from ahmlib.core.facts import Facts
from ahmlib.core.out import Out
from ahmlib.core.states import DatabaseState, NodeState, Role
from ahmlib.simulation.host import make_settings

from .frozen import LOST, Frozen, Held, Owed, Peer, Row, Said

#: Rounds of decisions within one event.
ROUNDS_MAX = 16


class Mood(NamedTuple):
    """What a node is inclined to do, within what it may: stand, and vote for this one."""
    stands: bool = False
    votes_for: Optional[int] = None


IDLE, STANDS = Mood(), Mood(stands=True)
#: What is left of the row of one that is not alive: nobody asks for the rest.
NOTHING = Said(0, None, None, Due.NOBODY, None, NodeState.DEAD, False, Farewell.NONE, False, False)


class Unread:
    """What the walk has left out: nobody reads it, or the walk is wrong."""

    def _trip(self, *_: Any) -> Any:
        raise AssertionError('consensus reads what the walk leaves out of a stored row')

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _trip      # type: ignore
    __bool__ = __getitem__ = __int__ = __index__ = __iter__ = _trip


UNREAD: Any = Unread()


class Quiet(Out):
    """What is told to people costs time, and nobody reads it here."""

    def report(self, severity: str, event: str, text: str, kind: str = '',
               cause: str = '') -> None:
        """Nothing."""


class Body:
    """A Consensus onto which the states of one node are thawed, one after the other."""

    def __init__(self, size: int, own: int, tick: float, rate: float, slowest: float) -> None:
        settings = make_settings(size, interval=0.4, retries=1)[own]
        self.size, self.own, self.step = size, own, tick * rate
        self.places = [place for place in range(size) if place != own]
        self.facts, self.out = Facts(settings, 0.0), Quiet()
        timing = settings.timing
        #: Ticks after which a row is old, and an acknowledgement.
        self.hold, self.lease = self._ahead(timing.hold), self._ahead(timing.lease)
        #: And after which they are on every clock: others count the ages of what they have said.
        self.oldest, self.oldest_ack = (_ticks(timing.hold, tick * slowest),
                                        _ticks(timing.lease, tick * slowest))
        self.beacons: Dict[Any, Beacon] = {}
        self.rows: Dict[int, Row] = {}          # what each of these is once it is stored, by id
        self.plain = Beacon(settings.cluster, own, settings.name, 1, False, settings.interval,
                            settings.retries, 0, 0, 0.0, ())
        self.sent_at = {_seq(-age) + odd: -age * self.step for age in range(self.oldest + 1)
                        for odd in (0, 1)}
        self.owed_age = 0       # of what was promised for, as it was thawed
        self.consensus = self._born(Saved(), 1)
        self.primary = False

    def _born(self, disk: Optional[Saved], incarnation: int) -> Consensus:
        return Consensus(self.facts, self.out, disk, incarnation)

    def start(self, disk: Optional[Saved], incarnation: int, primary: bool) -> Frozen:
        """A node that starts with this on disk."""
        self.consensus, self.primary = self._born(disk, incarnation), primary
        blank: Any = [None] * len(Frozen._fields)
        return self.freeze(Frozen(*blank)._replace(disk=disk, calm=False, slept=0))

    # -- instants ------------------------------------------------------------------------------

    def _ahead(self, instant: float) -> int:
        return _ticks(instant, self.step)

    def _behind(self, instant: float, most: int) -> int:
        return max(-most, int(round(instant / self.step)))

    # -- rows ----------------------------------------------------------------------------------

    def said(self) -> Said:
        """What the node says of itself."""
        consensus = self.consensus
        ballot, contest = consensus.ballot, consensus.contest
        return Said(ballot.term, ballot.voted_for, ballot.leader, contest.due, contest.due_only,
                    ballot.state, ballot.steps_down, consensus.farewell, consensus.promise.bound,
                    self.primary)

    def own_row(self) -> Beacon:
        """Its row, as far as it reads it itself."""
        said = self.said()
        row = self.beacons.get(said)
        if row is None:
            row = self.beacons[said] = self._worded(self.plain, said)
        return row

    def _worded(self, row: Beacon, said: Said) -> Beacon:
        return row._replace(
            database=DatabaseState.PRIMARY if said.primary else DatabaseState.STANDBY,
            holds_vip=said.primary, rightful=said.primary, followed=True,
            **{name: value for name, value in zip(Said._fields, said) if name != 'primary'})

    def heard_row(self, sender: int, row: Row, seq: int, echo: int) -> Beacon:
        """A row that comes from another node, with this seq and this echo."""
        key = (sender, row, seq, echo)
        found = self.beacons.get(key)
        if found is None:
            heard = None if row.echo is None else (row.echo[0], echo)
            ack = (0, 0) if row.ack is None else (row.ack[0], _seq(row.ack[1]))
            found = self.beacons[key] = self._worded(self.plain, row.said)._replace(
                sender=sender, name='AHM-NODE-%d' % (sender + 1), incarnation=row.stamp[0],
                seq=seq, heard=tuple(heard if place == self.own else UNREAD
                                     for place in range(self.size)),
                leader_incarnation=ack[0], leader_seq=ack[1])
            self.rows[id(found)] = row._replace(ack=None, said=row.said._replace(
                leader=None, voted_for=self.own if row.said.voted_for == self.own else None))
        return found

    def _stored(self, sender: int, row: Row) -> Beacon:
        key = (sender, row)
        found = self.beacons.get(key)
        if found is None:
            found = self.heard_row(sender, row, _seq(row.stamp[1]),
                                   0 if row.echo is None else _seq(row.echo[1]))
            found = self.beacons[key] = found._replace(
                leader=UNREAD, leader_incarnation=UNREAD, leader_seq=UNREAD)
            self.rows[id(found)] = row
        return found

    # -- thawing -------------------------------------------------------------------------------

    def thaw(self, node: Frozen) -> Consensus:
        """The Consensus of this state."""
        consensus, self.primary = self.consensus, node.primary
        consensus.incarnation, consensus.farewell = node.incarnation, node.farewell
        ballot, contest, follower = consensus.ballot, consensus.contest, consensus.follower
        ballot.term, ballot.voted_for, ballot.leader = node.term, node.voted_for, node.leader
        ballot.pending_until = node.pending * self.step
        ballot.take(node.role)
        ballot.state = node.state
        contest.due, contest.due_only = node.due, node.due_only
        contest.stand_until = None if node.stand_until is None else node.stand_until * self.step
        contest.stand_after = 0.0       # who must wait may wait anyway
        follower.lost_at = 0.0 if node.lost else None
        follower.followed = True
        self._thaw_members(node)
        self._thaw_promise(node.owed)
        self._thaw_tenure(node.held)
        speaker = consensus.speaker
        speaker.disk, speaker.said, speaker.seq = node.disk, None, 0    # below all seqs of rows
        speaker.saving_since = None if node.saving is None else 0.0
        speaker.unsaved_since, speaker.save_retry_at = float('inf'), 0.0
        speaker.try_at = float('inf')
        self.facts.take_row(self.own_row())
        self.out.take()
        return consensus

    def _thaw_promise(self, owed: Owed) -> None:
        promise = self.consensus.promise
        promise.leader, promise.until = owed.leader, owed.until * self.step
        promise.incarnation, self.owed_age = owed.stamp
        row = None if owed.leader is None else self.consensus.members.row(owed.leader)
        promise.seq = 0 if row is None else row.seq if owed.taken else row.seq - 1
        promise.bound, promise.free_for, promise.hold = owed.bound, owed.free_for, owed.hold
        promise.reigned = False
        promise.blind = owed.blind_for is not None
        promise.blind_until = (owed.blind_for or 0) * self.step

    def _thaw_tenure(self, held: Optional[Held]) -> None:
        tenure, lease = self.consensus.tenure, self.consensus.tenure.lease
        tenure.reigns, tenure.acting = False, held is not None and held.acting
        lease.acked.clear()
        lease.left.clear()
        lease.returned_at.clear()
        if held is not None:
            for found, instants in ((lease.acked, held.acked), (lease.returned_at, held.returned)):
                found.update((place, ticks * self.step) for place, ticks in enumerate(instants)
                             if ticks is not None)
            lease.left.update(held.left)

    def _thaw_members(self, node: Frozen) -> None:
        members = self.consensus.members
        members.incarnation, members._counted = node.incarnation, None
        members.sent_at = self.sent_at
        for place in self.places:
            peer, frozen = members.peers[place], node.peers[place]
            assert frozen is not None
            peer.row = None if frozen.row is None else self._stored(place, frozen.row)
            peer.row_at, peer.past = frozen.row_at * self.step, set(frozen.past)
            peer.heard = None if frozen.heard is None else (
                frozen.heard[0], _seq(frozen.heard[1]))

    # -- freezing ------------------------------------------------------------------------------

    def freeze(self, before: Frozen) -> Frozen:
        """The state of the thawed Consensus; what the walk keeps for it is as it was before."""
        consensus = self.consensus
        ballot, contest, follower = consensus.ballot, consensus.contest, consensus.follower
        pending = 0
        stand_until: Optional[int] = 0
        if ballot.voted_for not in (None, SPENT, self.own):
            pending = self._ahead(ballot.pending_until)
        if ballot.role is Role.STANDS:
            stand_until = None if contest.stand_until is None \
                else self._ahead(contest.stand_until)
        return Frozen(
            consensus.incarnation, ballot.term, ballot.voted_for, ballot.leader, pending,
            ballot.role, ballot.state, self._owed(), self._held(),
            follower.lost_at is not None or consensus.promise.leader is None,
            contest.due, contest.due_only, stand_until,
            tuple(None if place == self.own else self._peer(place, before)
                  for place in range(self.size)),
            before.disk, before.saving, consensus.farewell, self.primary,
            before.calm, before.slept)

    def _owed(self) -> Owed:
        promise = self.consensus.promise
        blind_for = self._ahead(promise.blind_until) if promise.blind else None
        if promise.leader is None:
            return Owed(hold=promise.hold, blind_for=blind_for)
        row = self.consensus.members.row(promise.leader)
        taken = row is not None and (row.incarnation, row.seq) == (
            promise.incarnation, promise.seq)
        age = _age(promise.seq) if taken else self.owed_age
        return Owed(promise.leader, taken, (promise.incarnation, max(age, -self.oldest_ack)),
                    self._ahead(promise.until), promise.bound,
                    promise.free_for, promise.hold, blind_for)

    def _held(self) -> Optional[Held]:
        tenure, lease = self.consensus.tenure, self.consensus.tenure.lease
        if not self.consensus.ballot.leads:
            return None
        acked = [None if place not in lease.acked else self._behind(lease.acked[place], self.lease)
                 for place in range(self.size)]
        returned = [None if place not in lease.returned_at
                    else self._behind(lease.returned_at[place], self.lease)
                    for place in range(self.size)]
        return Held(tuple(None if ticks == -self.lease else ticks for ticks in acked),
                    frozenset(lease.left), tuple(returned), tenure.acting)

    def _peer(self, place: int, before: Frozen) -> Peer:
        peer = self.consensus.members.peers[place]
        past = frozenset(peer.past)
        heard = None if peer.heard is None else (peer.heard[0], _age(peer.heard[1]))
        if peer.row is None:
            return Peer(None, LOST, heard, past)
        row, row_at = self.rows[id(peer.row)], self._behind(peer.row_at, self.hold)
        if row_at > -self.hold:
            return Peer(row, row_at, heard, past)
        if place != self.consensus.promise.leader:
            row = row._replace(said=NOTHING._replace(term=row.said.term))
        return Peer(row, LOST, heard, past)

    # -- doing ---------------------------------------------------------------------------------

    def handle(self, node: Frozen, event: Tuple[Any, ...], mood: Mood) -> Frozen:
        """The state after this event; `saving` is what is to be on disk before anything is said."""
        consensus = self.thaw(node)
        late = node.slept * self.step - self.facts.settings.interval
        if late > self.facts.patience:
            consensus.members.slept(int(round(late / self.step)) * self.step)
        self._see_to_the_lease()
        getattr(self, '_on_' + event[0])(*event[1:])
        for _ in range(ROUNDS_MAX):
            before = self._picture()
            self._decide(node.calm, mood)
            if self._picture() == before:
                break
        else:
            raise AssertionError('the decisions of one event do not come to an end')
        self._publish()
        saving = node.saving if self.out.save is None else self.out.save.saved
        return self.freeze(node._replace(slept=0, saving=saving))

    def tells(self, node: Frozen) -> Frozen:
        """This state once its row has left, where it may."""
        self.thaw(node)
        self._publish()
        return self.freeze(node)

    def said_now(self, node: Frozen) -> Optional[Said]:
        """What its row says that may leave now; None where none may."""
        self.thaw(node)
        self._publish()
        return self.said() if self.out.rows else None

    def leads_on(self, node: Frozen) -> bool:
        """Whether it holds a lease at this instant."""
        return self.thaw(node).tenure.has_lease()

    def acts_on(self, node: Frozen) -> bool:
        """Whether it leads though the lease has ended under which it acted."""
        consensus = self.thaw(node)
        return consensus.leads and consensus.tenure.acting and not consensus.tenure.until() > 0.0

    def later(self, node: Frozen) -> Frozen:
        """This state a tick later, before it has looked."""
        owed, held = node.owed, node.held
        if held is not None:
            held = held._replace(
                acked=tuple(None if at is None or at - 1 <= -self.lease else at - 1
                            for at in held.acked),
                returned=tuple(None if at is None else max(at - 1, -self.lease)
                               for at in held.returned))
        return node._replace(
            pending=_less(node.pending), held=held,
            stand_until=None if node.stand_until is None else _less(node.stand_until),
            peers=tuple(peer and self._peer_later(peer) for peer in node.peers),
            slept=node.slept + 1,
            owed=owed._replace(
                until=_less(owed.until), stamp=self.older(owed.stamp, self.oldest_ack),
                blind_for=None if owed.blind_for is None else _less(owed.blind_for)))

    def _peer_later(self, peer: Peer) -> Peer:
        row = peer.row
        if row is not None:
            row = self.row_later(row)
        return Peer(row, peer.row_at if peer.row_at == LOST else peer.row_at - 1,
                    self.older(peer.heard, self.oldest), peer.past)

    def row_later(self, row: Row) -> Row:
        """This row a tick later."""
        return Row(self.older(row.stamp, self.oldest), self.older(row.echo, self.oldest),
                   self.older(row.ack, self.oldest_ack), row.said)

    def older(self, stamp: Any, most: int) -> Any:
        """This stamp a tick later; after so many ticks it counts no more."""
        return stamp and (stamp[0], max(stamp[1] - 1, -most))

    def _picture(self) -> Tuple[Any, ...]:
        promise, contest = self.consensus.promise, self.consensus.contest
        return (self.said(), promise.leader, promise.incarnation, promise.seq, promise.until,
                promise.blind, promise.free_for, contest.stand_until, contest.stand_after)

    def _decide(self, calm: bool, mood: Mood) -> None:
        consensus = self.consensus
        self.facts.take_row(self.own_row())
        if consensus.follow(None, NodeState.STANDBY).deposed_by is not None:
            consensus.step_down('deposed', False)
        self._see_to_the_lease()
        if consensus.tenure.has_lease():
            consensus.tenure.keep_term_above()
        self.facts.take_row(self.own_row())
        consensus.elect(self._wish(calm, mood))
        if consensus.role is Role.FOLLOWS:
            follows = consensus.leader_in_force() is not None
            consensus.ballot.show(NodeState.STANDBY if follows
                                  else NodeState.PARTICIPATE_IN_ELECTION, '')
        self.facts.take_row(self.own_row())

    def _wish(self, calm: bool, mood: Mood) -> Wish:
        consensus = self.consensus
        if calm or consensus.leads or consensus.steps_down:
            return Wish(abstains=True)
        rows = consensus.members.in_touch()
        level = _level(self.primary)
        agree = frozenset(row.sender for row in rows
                          if row.due >= level and row.due_only in (None, self.own))
        acceptable = tuple((row.sender, _level(row.rightful)) for row in rows
                           if row.sender == mood.votes_for and row.role is Role.STANDS)
        return Wish(due=Due.ANYBODY, holds_role=self.primary, acceptable=acceptable, level=level,
                    agree=agree, waits=not mood.stands)

    def _see_to_the_lease(self) -> None:
        if self.consensus.tenure.has_ended():
            self.consensus.step_down('lease', False)

    def _publish(self) -> None:
        self.consensus.speaker.want(self.consensus.to_save(None, (), Claim()))
        self.consensus.publish(self.own_row(), True, 0)

    # -- events --------------------------------------------------------------------------------

    def _on_look(self) -> None:
        """Time has passed, or nothing in particular has happened."""

    def _on_hear(self, sender: int, row: Row, is_newer: bool) -> None:
        """`is_newer`: than all that was heard of this life of its sender."""
        peer = self.consensus.members.peers[sender]
        seq, echo = _seq(row.stamp[1]) + 1, 0 if row.echo is None else _seq(row.echo[1])
        if not is_newer and peer.heard is not None and peer.heard[0] == row.stamp[0]:
            seq = peer.heard[1]
        if peer.row is not None and peer.row.incarnation < row.stamp[0]:
            echo += 1       # a later life echoes what was said later
        self.consensus.heard(self.heard_row(sender, row, seq, echo))

    def _on_lead(self) -> None:
        self.primary = True
        self.consensus.lead()

    def _on_resign(self) -> None:
        self.consensus.resign()

    def _on_hand_over(self) -> None:
        self.consensus.hand_over()

    def _on_stay(self) -> None:
        self.consensus.stay()

    def _on_step_down(self) -> None:
        self.consensus.step_down('told to', False)

    def _on_stepped_down(self) -> None:
        self.primary = False
        self.consensus.stepped_down('', NodeState.PARTICIPATE_IN_ELECTION)

    def _on_leave(self, farewell: Farewell) -> None:
        self.consensus.leave(farewell)

    def _on_saved(self, saved: Saved) -> None:
        self.consensus.speaker.saved(saved)


def _ticks(instant: float, step: float) -> int:
    """The first tick at which this instant has come."""
    return max(0, int(math.ceil(instant / step - 1e-6)))


def _seq(age: int) -> int:
    """A seq for a row of this age; one more is newer, and as old."""
    return 1000 + 2 * age


def _age(seq: int) -> int:
    return (seq - 1000) // 2


def _less(ticks: int) -> int:
    return max(ticks - 1, 0)


def _level(primary: bool) -> Due:
    """How due an election has to be for a node with a primary, or without."""
    return Due.PRIMARY if primary else Due.ANYBODY
