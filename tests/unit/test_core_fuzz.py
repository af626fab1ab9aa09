"""Anything may happen to a node, in any order: the core never raises, and keeps its contract.

The idea: a daemon whose core raises is gone, and a row of a stranger, or an answer of a command,
must not be able to do that.  So events are drawn at random, most of them such that they get
somewhere (rows that count, answers that were asked for, a while in which all is well), some of them
with any value that the wire lets through.  What holds after each event is the contract of
`ahmlib/core/__init__.py`, as far as one node can break it alone.
"""

import inspect
from typing import Any, Dict, List, NamedTuple, Optional

from hypothesis import given
from hypothesis import strategies as st

from ahmlib.core import effects, events
from ahmlib.core.beacon import (
    Beacon,
    Claim,
    Due,
    Evidence,
    Farewell,
    Inquiry,
    Intent,
    IntentKind,
    Pause,
    Record,
    Verdict,
)
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.core.node import Node
from ahmlib.core.requests import REQUESTS
from ahmlib.core.settings import Settings
from ahmlib.core.states import DatabaseState, NodeState, Role

from .rows import SYSTEM, one_settings, row
from .test_wire import fields

EFFECTS = tuple(kind for _, kind in inspect.getmembers(effects, inspect.isclass)
                if kind.__module__ == effects.__name__)
#: Effects that are answered by no event with their token.
UNANSWERED = (effects.SaveState, effects.SaveLease, effects.SendBeacon, effects.Cancel,
              effects.Report, effects.Record, effects.Reply, effects.Exit)


class World:
    """One node, its disk, and what it has asked for and was not told yet."""

    def __init__(self, settings: Settings, saved: Optional[Saved], lease_until: float,
                 primary: bool) -> None:
        self.now, self.disk = 1000.0, saved
        self.saving: List[Saved] = []
        self.asked: Dict[int, Any] = {}
        self.seqs: Dict[int, int] = {}
        self.node = Node(settings, saved, 4711, self.now, lease_until)
        self.exited = self.promoted = self.here = False
        self.primary, self.term, self.wants = primary, 0, 0
        self.feed(events.Started())

    def feed(self, event: Any) -> None:
        """This happens now."""
        if self.exited:
            return
        for effect in self.node.handle(event, self.now).in_order():
            assert isinstance(effect, EFFECTS), effect
            self._perform(effect)
        assert self.exited or self.node.wake_at > self.now

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, effects.SaveState):
            self.saving.append(effect.saved)
        elif isinstance(effect, effects.SendBeacon):
            self._said(effect.beacon)
        elif isinstance(effect, effects.Cancel):
            self.asked.pop(effect.token, None)
        elif isinstance(effect, effects.Exit):
            self.exited = True
        elif not isinstance(effect, UNANSWERED):
            assert effect.token not in self.asked, 'a token is used twice'
            self.asked[effect.token] = effect

    def _said(self, said: Beacon) -> None:
        """L7, and L19."""
        disk = self.disk
        assert disk is not None, 'it speaks before anything is on disk'
        assert (said.term, said.voted_for, said.record) == (disk.term, disk.voted_for, disk.record)
        assert said.leader in (None, said.sender, disk.leader)
        if said.leads or said.state is NodeState.STAND_FOR_LEADER:
            assert said.term % self.node.settings.size == said.sender

    # -- all is well for a while ---------------------------------------------------------------

    def calm(self, rounds: int, leader: Optional[int], wants: bool = False) -> None:
        """Peers, disk and commands do what this node would like: it leads, or this one.

        `wants`: the first peer is to be promoted.
        """
        self.wants += wants
        for _ in range(rounds):
            self.save(True)
            for token, effect in sorted(self.asked.items()):
                if token in self.asked:
                    self.answer(token, self._success(effect))
            for peer in range(self.node.settings.size):
                if peer != self.node.own:
                    self.hear(Heard(dict(self._healthy(peer, leader), sender=peer)))
            self.tick(None)

    def _success(self, effect: Any) -> Any:
        kind = ANSWERS.get(type(effect), events.ActionEnded)
        if kind is events.DatabaseChecked:
            return kind(0, Verdict.REACHABLE, in_recovery=not self.primary, system_id=SYSTEM,
                        timeline=2 if self.promoted else 1, lsn=1000, streaming=not self.primary,
                        replayed=1000)
        if isinstance(effect, (effects.Promote, effects.RaiseVip, effects.LowerVip)):
            self.here = isinstance(effect, effects.RaiseVip)
            self.primary = self.promoted = self.promoted or isinstance(effect, effects.Promote)
            return kind(0, True, timeline=2, lsn=1000, here=self.here)
        return {events.DatabaseProbed: kind(0, Verdict.UNREACHABLE),
                events.VipChecked: kind(0, self.here), events.VipPinged: kind(0, False),
                events.TrustedPinged: kind(0, True), events.Rehearsed: kind(0, ()),
                events.HandoverRehearsed: kind(0, ())}.get(kind) or kind(0, True)

    def _healthy(self, peer: int, leader: Optional[int]) -> Dict[str, Any]:
        node = self.node
        values = dict(followed=True, due=Due.ANYBODY, state=NodeState.PARTICIPATE_IN_ELECTION,
                      record=node.parts.place.record, lsn=900, priority=9, term=node.consensus.term)
        if peer == 1 and self.wants:
            values['intent'] = Intent(IntentKind.PROMOTE, 1, 101, self.wants, node.consensus.term)
        suspect = node.parts.place.suspect
        if suspect is not None:
            values['evidence'] = Evidence(suspect, Verdict.UNREACHABLE, 0.0, None, 0)
        if leader is not None:
            self.term = max(self.term, node.consensus.term)
            self.term += (leader - self.term) % node.settings.size
            values.update(leader=leader, term=self.term, due=Due.NOBODY, state=NodeState.STANDBY)
            if peer == leader:
                values.update(state=NodeState.LEADER, database=DatabaseState.PRIMARY,
                              holds_vip=True, record=Record(1, self.term, leader, SYSTEM))
        elif node.leads:
            values.update(leader=node.own, leader_incarnation=4711, due=Due.NOBODY,
                          leader_seq=node.consensus.speaker.seq, state=NodeState.STANDBY)
        elif node.consensus.role is Role.STANDS:
            values['voted_for'] = node.own
        return values

    # -- what can happen -----------------------------------------------------------------------

    def tick(self, seconds: Optional[float]) -> None:
        """So much time passes, or as much as the node has asked for."""
        self.now = self.node.wake_at if seconds is None else self.now + seconds
        self.feed(events.Ticked())

    def save(self, succeeds: bool) -> None:
        """The oldest save ends."""
        if self.saving:
            saved = self.saving.pop(0)
            if succeeds:
                self.disk = saved
                self.feed(events.StateSaved(saved))
            else:
                self.feed(events.StateSaveFailed('no space left on device'))

    def hear(self, drawn: 'Heard') -> None:
        """A row of this peer, that counts unless it is told otherwise."""
        node, peer = self.node, drawn.values['sender']
        speaker = node.consensus.speaker
        heard = [None] * node.settings.size     # type: List[Any]
        heard[node.own] = (4711, max(0, speaker.seq - drawn.behind))
        seq = self.seqs[peer] = self.seqs.get(peer, 0) + 1
        term = drawn.values.get('term', max(0, node.consensus.term + drawn.terms))
        values = dict(drawn.values, seq=seq, heard=tuple(heard), incarnation=100 + drawn.life,
                      term=term)
        if drawn.acknowledges:
            values.update(leader=node.own, leader_incarnation=4711, leader_seq=speaker.seq,
                          term=node.consensus.term)
        if drawn.votes:
            values.update(voted_for=node.own, term=node.consensus.term)
        values.update(drawn.strange)
        self.feed(events.BeaconHeard(row(size=node.settings.size, **values)))

    def answer(self, token: int, event: Any) -> None:
        """This is the answer to what was asked with this token, if anything was."""
        self.asked.pop(token, None)
        self.feed(event._replace(token=token))


class Heard(NamedTuple):
    """A row as it was drawn, as far as it does not depend on the node."""
    values: Dict[str, Any]
    terms: int = 0          # above those of the node
    behind: int = 0         # so many rows behind is what it has heard of the node
    life: int = 1           # of its sender
    acknowledges: bool = False
    votes: bool = False
    strange: Dict[str, Any] = {}


ANSWERS: Dict[type, type] = {
    effects.CheckDatabase: events.DatabaseChecked, effects.ProbeDatabase: events.DatabaseProbed,
    effects.CheckVip: events.VipChecked, effects.PingVip: events.VipPinged,
    effects.PingTrusted: events.TrustedPinged, effects.Rehearse: events.Rehearsed,
    effects.RehearseHandover: events.HandoverRehearsed,
}

SIZES = (2, 3, 4)
truths = st.booleans()
words = st.sampled_from(['', 'no route to host'])
numbers = st.sampled_from([0, 1, 1000, 2 ** 40]) | st.integers(0, 2 ** 63 - 1)
timelines = st.integers(0, 4)
verdicts = st.sampled_from(Verdict)
systems = st.sampled_from([SYSTEM, SYSTEM, SYSTEM, '', '8'])
maybe = st.none() | truths


def plain_values(size: int) -> Any:
    """Values of a row that might be true; the own node is node 0."""
    nodes, maybe_node = st.integers(0, size - 1), st.none() | st.integers(0, size - 1)
    return st.fixed_dictionaries({
        'sender': st.integers(1, size - 1), 'state': st.sampled_from(NodeState),
        'database': st.sampled_from(DatabaseState), 'due': st.sampled_from(Due),
        'due_only': st.sampled_from([None, None, 0]), 'leader': maybe_node,
        'voted_for': maybe_node | st.just(SPENT), 'followed': truths, 'rightful': truths,
        'stepping_down': st.sampled_from([False, False, True]), 'bound': truths,
        'farewell': st.sampled_from([Farewell.NONE] * 3 + list(Farewell)),
        'timeline': timelines, 'lsn': numbers, 'replayed': numbers, 'system_id': systems,
        'successor': maybe_node, 'out': st.sampled_from([False, False, True]),
        'forced': st.sampled_from([False, False, False, True]), 'holds_vip': maybe,
        'streaming': maybe, 'fresh': truths, 'can_fence': truths,
        'ok_age': st.none() | st.floats(0, 100),
        'record': st.none() | st.builds(Record, timelines, st.integers(0, 20), nodes, systems),
        'inquiry': st.none() | st.builds(Inquiry, nodes, st.integers(0, 3)),
        'evidence': st.none() | st.builds(Evidence, nodes, verdicts, st.floats(0, 5), maybe_node,
                                          st.integers(0, 3)),
        'intent': st.none() | st.builds(Intent, st.sampled_from(IntentKind), nodes,
                                        st.sampled_from([101, 4711]), st.integers(0, 3),
                                        st.integers(0, 20)),
        'sync_needed': st.integers(0, 3), 'sync_term': st.integers(0, 9),
        'sync_nodes': st.lists(nodes, max_size=size).map(tuple),
    })


def strange_values(size: int) -> Any:
    """Up to three fields that have any value that the wire lets through."""
    found = [st.tuples(st.just(name), values) for name, values in sorted(fields(size).items())
             if name not in ('cluster', 'sender')]
    return st.just({}) | st.lists(st.one_of(found), max_size=3).map(dict)


def heard_rows(size: int) -> Any:
    """Rows of peers."""
    return st.builds(Heard, plain_values(size), st.sampled_from([0, 0, 0, 1, 2, 3, -1, -3]),
                     st.sampled_from([0, 0, 0, 1, 9]), st.sampled_from([1, 1, 1, 1, 2, 3]),
                     st.sampled_from([True, False, False]), st.sampled_from([True, False, False]),
                     strange_values(size))


def answers(size: int) -> Dict[type, Any]:
    """By kind of event, what may be answered."""
    texts = st.none() | st.lists(words, max_size=2).map(tuple)
    return {
        events.DatabaseChecked: st.builds(
            events.DatabaseChecked, st.just(0), verdicts, words, maybe, systems, timelines, numbers,
            truths, st.none() | st.just(('10.0.0.2', 5432)), st.none() | st.integers(0, 3),
            st.lists(st.sampled_from(['AHM-NODE-2', '*', 'x']), max_size=3).map(tuple),
            st.lists(st.tuples(st.just('x'), st.sampled_from(['10.0.0.2', ''])),
                     max_size=2).map(tuple),
            numbers, words, truths, truths, words, words),
        events.DatabaseProbed: st.builds(events.DatabaseProbed, st.just(0), verdicts, words),
        events.VipChecked: st.builds(events.VipChecked, st.just(0), maybe, words, truths),
        events.VipPinged: st.builds(events.VipPinged, st.just(0), maybe, words,
                                    st.sampled_from(['', '02:00:00:00:00:01']), truths),
        events.TrustedPinged: st.builds(events.TrustedPinged, st.just(0), truths),
        events.Rehearsed: st.builds(events.Rehearsed, st.just(0), texts),
        events.HandoverRehearsed: st.builds(
            events.HandoverRehearsed, st.just(0), st.none() | st.lists(st.tuples(
                st.integers(0, size - 1), words), max_size=2).map(tuple), words, words, words),
        events.ActionEnded: st.builds(
            events.ActionEnded, st.just(0), st.sampled_from([True, True, False]), words, timelines,
            numbers, maybe, truths, numbers, numbers, truths, words),
    }


requests = st.fixed_dictionaries({
    'ask': st.sampled_from(sorted(REQUESTS) + ['', 'destroy', None, 7]),
    'force': truths | st.none(), 'dry_run': truths | st.none(),
    'task': st.integers(0, 3) | st.none() | st.text(max_size=2)})
changes = st.fixed_dictionaries({
    'priority': st.integers(0, 3), 'auto_attach': truths, 'restart_failed': truths,
    'lag_limit': st.sampled_from([0, 1000]), 'pre_promotion': truths, 'post_promotion': truths,
    'warnings': st.just(()) | st.just(('x',))})
strangers = st.builds(events.ForeignHeard, st.sampled_from(['10.0.0.2', '10.0.0.9']), words,
                      st.lists(st.text(max_size=3), max_size=3).map(tuple))


steps = st.none() | st.none() | st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0]) | st.floats(0, 1e7)
asked = st.builds(events.ClientAsked, st.integers(0, 9), requests, words,
                  st.sampled_from([None, {'uid': 0}]))
rare = st.sampled_from([Farewell.LEAVING, Farewell.RESTARTING]).map(events.StopAsked) \
    | asked | asked | strangers \
    | st.builds(events.OwnFilesLooked, words) | st.builds(events.HistoryLooked, words) | changes
saved_states = st.none() | st.builds(
    Saved, st.integers(0, 9), st.none() | st.just(SPENT) | st.integers(0, 1),
    st.none() | st.integers(0, 1), st.sampled_from([0.0, 2.0, 1e6]), truths, truths,
    st.none() | st.builds(Record, timelines, st.integers(0, 9), st.integers(0, 1), systems),
    st.just(()), truths, st.builds(
        Claim, st.integers(0, 9), st.integers(0, 3), st.integers(0, 2),
        st.lists(st.integers(0, 1), unique=True, max_size=2).map(tuple)),
    truths, st.builds(Pause, st.integers(0, 9), st.integers(0, 3), st.just(False),
                      st.none() | st.integers(0, 1), truths)
    | st.builds(Pause, st.integers(0, 9), st.integers(0, 3), truths, st.integers(0, 1), truths))
HEAR, ANSWER, SAVE, TICK, RARE, CALM = 'hear', 'answer', 'save', 'tick', 'rare', 'calm'
kinds = st.sampled_from([HEAR, ANSWER] * 4 + [SAVE] * 3 + [TICK, RARE, CALM] * 2)
clusters = st.fixed_dictionaries({
    'half_votes': truths, 'trusted': truths, 'witnesses': st.sampled_from([(), (), (0,)]),
    'vip': st.sampled_from(['', '10.0.0.100']), 'pre_promotion': truths,
    'priorities': st.sampled_from([(1, 2, 3, 4), (0, 1, 2, 3)]), 'stop_isolated_primary': truths,
    'auto_attach': truths, 'restart_failed': truths})


class Drawn:
    """What happens next, of a cluster of this size."""

    rows = {size: heard_rows(size) for size in SIZES}
    answers = {size: answers(size) for size in SIZES}

    def __init__(self, draw: Any, world: World) -> None:
        self.draw, self.world = draw, world
        self.size = world.node.settings.size

    def happens(self) -> None:
        """One thing."""
        getattr(self, '_' + self.draw(kinds))()

    def _hear(self) -> None:
        self.world.hear(self.draw(self.rows[self.size]))

    def _save(self) -> None:
        self.world.save(self.draw(st.sampled_from([True, True, True, False])))

    def _tick(self) -> None:
        self.world.tick(self.draw(steps))

    def _answer(self) -> None:
        """Sometimes to what nobody waits for any more."""
        asked = self.world.asked
        token = self.draw(st.sampled_from(sorted(asked) + [10 ** 6]))
        kind = ANSWERS.get(type(asked.get(token)), events.ActionEnded)
        self.world.answer(token, self.draw(self.answers[self.size][kind]))

    def _calm(self) -> None:
        self.world.calm(self.draw(st.sampled_from([1, 2, 5, 20, 60])),
                        self.draw(st.sampled_from([None, None, 1])),
                        self.draw(st.sampled_from([False, False, True])))

    def _rare(self) -> None:
        event = self.draw(rare)
        if isinstance(event, dict):
            event = events.SettingsChanged(self.world.node.settings._replace(**event))
        self.world.feed(event)


@given(st.data())
def test_a_node_keeps_its_contract_whatever_happens(data):
    size = data.draw(st.sampled_from(SIZES))
    changed = data.draw(clusters)
    changed['priorities'] = changed['priorities'][:size]
    world = World(one_settings(size, **changed), data.draw(saved_states),
                  data.draw(st.sampled_from([0.0, 1001.0])), data.draw(truths))
    drawn = Drawn(data.draw, world)
    for leader in data.draw(st.sampled_from([(), (None,), (1,), (1, None)])):
        world.calm(12, leader)
    for _ in range(data.draw(st.integers(1, 40))):
        drawn.happens()
