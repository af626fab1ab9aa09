"""All that can happen next to a few nodes, of which only `ahmlib/core/consensus` is real.

A state of the world is the state of each node (`frozen`), the rows that are late, and how many
faults are left.  From each the walk takes every step, and looks at every state once.

What keeps it finite, and why nothing is lost by it:

- Time passes in ticks, for all nodes at once, each by its own rate; all happens at ticks, in every
  order.  Which of two deadlines comes first follows from the durations, rounded up to ticks.
- A row leaves and is heard in one step, or is lost: then nobody hears it.  A node may say its row
  at any moment, so when it would have been said by itself does not matter.  One at a time may be
  late, and then comes never, once, or again and again.
- A state is saved at once, unless a fault has it be slow, or ends the daemon first; one that ends
  after the save ends in a step of its own.
- Policy is a wish, and consensus may rely on none.  Here everybody finds an election due for
  anybody (or, as a fault, abstains), votes for whom it likes, stands when it likes, takes over,
  resigns, hands over, stays, and has stepped down, whenever its role allows.  Who has a primary
  votes for nobody, since it holds the VIP.
- What only makes a node wait before it stands is left out: it may wait anyway.

What it leaves out: terms above the bound and faults beyond it, more than three nodes (R17 protects
from what takes four), half votes and trusted servers, force and reigns, saves that fail, nodes that
differ in interval or retries, settings that change, rates that change, instants between ticks, more
than one row late at once; that a node which starts has not looked yet; a candidate that withdraws
or gives way before its candidacy is over; nodes that others outrank.  A daemon that slept counts
silence from the nearest tick.  The records, databases and the VIP are not there, so L2, L4, L5,
L11, L13, L14, L16 to L18 and L20 to L23 are not checked, and nothing is said of liveness.
"""

import itertools
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ahmlib.core.beacon import Farewell
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.states import NodeState, Role

from .body import IDLE, STANDS, Body, Mood
from .frozen import Down, Frozen, Node, Row, Said
from .lemmas import Lemmas, Vote, new_vote

#: Rows that may be late at one time.
FLYING_MAX = 1
#: Steps that nobody walks: to the end.
DEEP = 1000


class Faults(NamedTuple):
    """How many of each may still happen; what is not here may happen at any time."""
    crashes: int = 0        # a daemon ends at any moment, and may be started again
    lost: int = 0           # one is started without its state file
    delays: int = 0         # a row is late, and may come again and again
    slow: int = 0           # a save takes its time
    sleeps: int = 0         # a daemon does not look for a tick
    leaves: int = 0         # one is asked to end, and may be started again
    moods: int = 0          # one finds no election due any more, or does again


class Bound(NamedTuple):
    """How far to walk: nodes, steps, the highest term, faults; and how finely time is cut.

    `tick` in seconds of a candidacy of half a second; `rates` of the clocks, by node.
    """
    size: int = 3
    depth: int = DEEP
    terms: int = 5
    faults: Faults = Faults()
    tick: float = 0.55
    rates: Tuple[float, ...] = ()

    def said(self) -> str:
        """In words."""
        faults = ['%d %s' % (count, kind) for kind, count in zip(Faults._fields, self.faults)
                  if count]
        rates = 'clocks at %s' % ', '.join(map(str, self.rates)) if self.rates else ''
        deep = self.depth < DEEP and '%d steps' % self.depth
        return '; '.join(word for word in ['%d nodes' % self.size, deep, 'terms to %d' % self.terms,
                                           'ticks of %g' % self.tick, rates] + faults if word)


class Flight(NamedTuple):
    """A row that is late; `is_newer` than all of its sender's present life that came before."""
    sender: int
    receiver: int
    row: Row
    is_newer: bool


class State(NamedTuple):
    """A state of the world.  Nodes are numbers of what the world has interned."""
    nodes: Tuple[int, ...]
    flights: Tuple[Flight, ...]
    votes: FrozenSet[Vote]          # on disk, of those that may still elect somebody
    faults: Faults


class Outcome(NamedTuple):
    """What may come of an event at a node; `costs`: the fault that it takes."""
    number: int
    costs: str = ''
    vote: Optional[Vote] = None         # new on disk
    cast: Optional[Vote] = None         # on its way to the disk
    elected: Optional[int] = None       # in this term


#: What happened, and the state after it; None where that is beyond the bound.
Step = Tuple[Tuple[Any, ...], Optional[State]]


class World:
    """The steps from a state to the next ones.  What one node does is computed once."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        rates = bound.rates or (1.0,) * bound.size
        self.bodies = [Body(bound.size, own, bound.tick, rate, min(rates))
                       for own, rate in enumerate(rates)]
        self.places = range(bound.size)
        self.numbers: Dict[Tuple[int, Node], int] = {}
        self.nodes: List[Node] = []
        self.lemmas = Lemmas(self.bodies, self.nodes)
        self.done: Dict[Any, Any] = {}

    def intern(self, place: int, node: Node) -> int:
        """The number of this state of this node."""
        number = self.numbers.get((place, node))
        if number is None:
            number = self.numbers[place, node] = len(self.nodes)
            self.nodes.append(node)
        return number

    # -- one node ------------------------------------------------------------------------------

    def outcomes(self, place: int, number: int, event: Tuple[Any, ...] = ('look',),
                 mood: Mood = IDLE) -> List[Outcome]:
        """What may come of this event."""
        key = (number, event, mood)
        found = self.done.get(key)
        if found is None:
            node = self.nodes[number]
            assert isinstance(node, Frozen)
            found = self.done[key] = self._computed(place, node, event, mood)
        return found

    def _computed(self, place: int, node: Frozen, event: Tuple[Any, ...],
                  mood: Mood) -> List[Outcome]:
        after = self.bodies[place].handle(node, event, mood)
        self.lemmas.handled(place, after)
        if event[0] == 'hear':
            idle = self.bodies[place].handle(node, ('look',), mood)
            self.lemmas.heard(place, *(event[1:] + (idle, after)))
        elected = after.term if after.role is Role.ELECTED is not node.role else None
        return self._saves(place, node, after, elected)

    def _saves(self, place: int, before: Frozen, after: Frozen,
               elected: Optional[int]) -> List[Outcome]:
        """At once; or later; or never, because the daemon ends before."""
        if after.saving is None or after.saving is before.saving:
            return [Outcome(self.intern(place, after), elected=elected)]
        cast = new_vote(place, after.disk, after.saving)
        self.lemmas.saved(place, after, after.saving)
        done = self.bodies[place].tells(after._replace(disk=after.saving, saving=None))
        dead = Down(after.incarnation, after.disk, after.primary)
        return [Outcome(self.intern(place, done), '', cast, cast, elected),
                Outcome(self.intern(place, after), 'slow', None, cast, elected),
                Outcome(self.intern(place, dead), 'crashes', None, cast, None)]

    def said(self, place: int, number: int) -> Optional[Said]:
        """What this node says now, if it may."""
        key = (number, 'says')
        if key not in self.done:
            node = self.nodes[number]
            assert isinstance(node, Frozen)
            said = self.done[key] = self.bodies[place].said_now(node)
            if said is not None:
                self.lemmas.said(place, node, said)
        return self.done[key]

    # -- rows ----------------------------------------------------------------------------------

    def _row(self, sender: int, number: int, receiver: int) -> Optional[Row]:
        """What this node says now to that one, if it may."""
        key = (number, 'row', receiver)
        if key not in self.done:
            said, node = self.said(sender, number), self.nodes[number]
            assert isinstance(node, Frozen)
            peer = node.peers[receiver]
            assert peer is not None
            self.done[key] = None if said is None or node.slept else Row(
                (node.incarnation, 0), peer.heard,
                node.owed.stamp if said.leader == receiver else None, said)
        return self.done[key]

    # -- states --------------------------------------------------------------------------------

    def _next(self, state: State, outcomes: Sequence[Tuple[int, Outcome]],
              flights: Optional[Sequence[Flight]] = None, costs: str = '') -> Optional[State]:
        """The state after these; None where no such fault is left, or terms rise too high."""
        faults = state.faults
        for cost in [outcome.costs for _, outcome in outcomes] + [costs]:
            if cost:
                left = getattr(faults, cost)
                if not left:
                    return None
                faults = faults._replace(**{cost: left - 1})
        numbers, votes = list(state.nodes), state.votes
        for place, outcome in outcomes:
            numbers[place] = outcome.number
            if outcome.cast is not None:
                self.lemmas.voted(state.nodes, outcome.cast)
            if outcome.vote is not None:
                votes = votes | {outcome.vote}
            if outcome.elected is not None:
                self.lemmas.elected(place, outcome.elected, votes)
            node = self.nodes[outcome.number]
            if isinstance(node, Frozen) and node.term > self.bound.terms:
                return None
        flying = state.flights if flights is None else tuple(flights)
        if votes:
            votes = frozenset(vote for vote in votes if self._may_elect(numbers, vote))
        return State(tuple(numbers), flying, votes, faults)

    def _may_elect(self, numbers: Sequence[int], vote: Vote) -> bool:
        node = self.nodes[numbers[vote[2]]]
        return isinstance(node, Frozen) and node.role is Role.STANDS and node.term == vote[0]

    def _forgotten(self, state: Optional[State]) -> Optional[State]:
        """Without what lives said that have ended, unless a late row may repeat it."""
        if state is None:
            return None
        lives = {(place, node.incarnation) for place, node in enumerate(
            self.nodes[number] for number in state.nodes) if isinstance(node, Frozen)}
        lives |= {(flight.sender, flight.row.stamp[0]) for flight in state.flights}
        return state._replace(nodes=tuple(
            self.intern(place, self._without(self.nodes[number], lives))
            for place, number in enumerate(state.nodes)))

    def _without(self, node: Node, lives: Set[Tuple[int, int]]) -> Node:
        if isinstance(node, Down):
            return node
        peers = list(node.peers)
        for place, peer in enumerate(peers):
            if peer is not None and peer.heard is not None and (
                    place, peer.heard[0]) not in lives:
                peers[place] = peer._replace(heard=None)
        return node._replace(peers=tuple(peers))

    # -- steps ---------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Tuple[Tuple[Any, ...], State]]:
        """All that can happen, and the state after each."""
        for name, found in self._all(state):
            if found is not None and found != state:
                yield name, found

    def _all(self, state: State) -> Iterator[Step]:
        for place in self.places:
            if isinstance(self.nodes[state.nodes[place]], Down):
                yield from self._starts(state, place)
            else:
                yield from self._decides(state, place)
                yield from self._ends(state, place)
                for other in self.places:
                    if other != place:
                        yield from self._speaks(state, place, other)
        yield from self._arrivals(state)
        yield from self._ticks(state)

    def _at(self, state: State, name: Tuple[Any, ...], place: int,
            event: Tuple[Any, ...] = ('look',), mood: Mood = IDLE,
            costs: str = '') -> Iterator[Step]:
        for outcome in self.outcomes(place, state.nodes[place], event, mood):
            yield name + (outcome.costs,), self._next(state, [(place, outcome)], costs=costs)

    def _decides(self, state: State, place: int) -> Iterator[Step]:
        """What a node may do by itself."""
        node = self.nodes[state.nodes[place]]
        assert isinstance(node, Frozen)
        if node.slept:
            yield from self._at(state, (place, 'wakes'), place)
            return
        yield from self._at(state, (place, 'looks, and stands'), place, mood=STANDS)
        for other, peer in enumerate(node.peers):
            if peer is not None and peer.row is not None \
                    and peer.row.said.state is NodeState.STAND_FOR_LEADER:
                yield from self._at(state, (place, 'votes for', other), place,
                                    mood=Mood(votes_for=other))
        for event in self._own_events(place, node):
            yield from self._at(state, (place,) + event, place, event)
        if node.saving is not None:
            yield from self._is_saved(state, place, node, node.saving)
        if state.faults.moods:
            moody = Outcome(self.intern(place, node._replace(calm=not node.calm)))
            yield (place, 'changes its mind'), self._next(state, [(place, moody)], costs='moods')

    def _own_events(self, place: int, node: Frozen) -> Iterator[Tuple[Any, ...]]:
        if node.role is Role.ELECTED:
            if self.bodies[place].leads_on(node):
                yield ('lead',)
            yield ('resign',)
        elif node.role is Role.LEADS:
            yield ('hand_over',)
        elif node.role is Role.YIELDS:
            yield ('stay',)
        if node.role in (Role.YIELDS, Role.RETREATS):
            yield ('stepped_down',)
        if node.role is Role.FOLLOWS and node.primary:
            yield ('step_down',)

    def _is_saved(self, state: State, place: int, node: Frozen,
                  saved: Saved) -> Iterator[Step]:
        """A slow save is done."""
        done = node._replace(disk=saved, saving=None)
        after = self.bodies[place].handle(done, ('look',), IDLE)
        for outcome in self._saves(place, done, after, None):
            vote = new_vote(place, node.disk, saved)
            votes = state.votes if vote is None else state.votes | {vote}
            yield (place, 'has saved', outcome.costs), self._next(
                state._replace(votes=votes), [(place, outcome)])

    def _ends(self, state: State, place: int) -> Iterator[Step]:
        node = self.nodes[state.nodes[place]]
        dead = Outcome(self.intern(place, Down(node.incarnation, node.disk, node.primary)))
        if state.faults.crashes:
            yield (place, 'ends'), self._next(state, [(place, dead)], costs='crashes')
        if node.role is Role.GONE:
            yield (place, 'exits'), self._next(state, [(place, dead)])
        elif state.faults.leaves and not node.slept:
            if node.role is Role.FOLLOWS:
                yield from self._at(state, (place, 'leaves for good'), place,
                                    ('leave', Farewell.LEAVING), costs='leaves')
            if node.role in (Role.FOLLOWS, Role.STANDS, Role.LEADS):
                yield from self._at(state, (place, 'leaves for a restart'), place,
                                    ('leave', Farewell.RESTARTING), costs='leaves')

    def _starts(self, state: State, place: int) -> Iterator[Step]:
        node = self.nodes[state.nodes[place]]
        for disk, costs in ((node.disk, ''), (None, 'lost')):
            if costs and (node.disk is None or not state.faults.lost):
                continue
            born = self.bodies[place].start(disk, node.incarnation + 1, node.primary)
            for outcome in self.outcomes(place, self.intern(place, born)):
                yield (place, 'starts', costs, outcome.costs), self._forgotten(self._next(
                    state, [(place, outcome)], costs=costs))

    def _speaks(self, state: State, sender: int, receiver: int) -> Iterator[Step]:
        """A row is heard at once, or late."""
        row = self._row(sender, state.nodes[sender], receiver)
        if row is None:
            return
        if isinstance(self.nodes[state.nodes[receiver]], Frozen):
            flights = [flight._replace(is_newer=False) if flight[:2] == (sender, receiver)
                       else flight for flight in state.flights]
            for outcome in self.outcomes(receiver, state.nodes[receiver],
                                         ('hear', sender, row, True)):
                yield (receiver, 'hears', sender, outcome.costs), self._next(
                    state, [(receiver, outcome)], flights)
        if state.faults.delays:
            flights = (state.flights + (Flight(sender, receiver, row, True),))[-FLYING_MAX:]
            yield (sender, 'says late to', receiver), self._next(state, [], flights, 'delays')

    def _arrivals(self, state: State) -> Iterator[Step]:
        """A late row comes, and may come again."""
        for sender, receiver, row, is_newer in state.flights:
            if isinstance(self.nodes[state.nodes[receiver]], Frozen):
                flights = [flight._replace(is_newer=False) if flight[:2] == (sender, receiver)
                           else flight for flight in state.flights]
                for outcome in self.outcomes(receiver, state.nodes[receiver],
                                             ('hear', sender, row, is_newer)):
                    yield (receiver, 'hears late', sender, outcome.costs), self._next(
                        state, [(receiver, outcome)], flights)

    def _ticks(self, state: State) -> Iterator[Step]:
        """Time passes for all; who does not sleep looks."""
        later = {place: self._later(place, state.nodes[place]) for place in self.places}
        sleepers = [None] + (list(self.places) if state.faults.sleeps else [])
        for sleeper in sleepers:
            if sleeper is not None and isinstance(self.nodes[state.nodes[sleeper]], Down):
                continue
            found = [self._looks(place, later[place], place == sleeper) for place in self.places]
            aged = state._replace(
                nodes=tuple(later[place] for place in self.places),
                flights=tuple(flight._replace(row=self.bodies[0].row_later(flight.row))
                              for flight in state.flights))
            for outcomes in itertools.product(*found):
                name = ('a tick', sleeper) + tuple(outcome.costs for outcome in outcomes)
                yield name, self._next(aged, list(zip(self.places, outcomes)),
                                       costs='' if sleeper is None else 'sleeps')

    def _looks(self, place: int, number: int, sleeps: bool) -> List[Outcome]:
        if sleeps or isinstance(self.nodes[number], Down):
            return [Outcome(number)]
        return self.outcomes(place, number)

    def _later(self, place: int, number: int) -> int:
        """This node a tick later, before it has looked."""
        key = (number, 'later')
        if key not in self.done:
            node = self.nodes[number]
            self.done[key] = number if isinstance(node, Down) else self.intern(
                place, self.bodies[place].later(node))
        return self.done[key]
