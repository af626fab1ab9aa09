"""The simulated world: a heap of happenings on a virtual clock.

Every host has a clock of its own (rate and origin), a disk that keeps what was saved, a database,
an interface that may hold the VIP, and a daemon that runs the core.  The core is the daemon's, and
every row goes through the real wire code; what its effects do here stands in `perform`.  All chance
comes from one seed, so that every run replays exactly.

After every happening, event and effect the lemmas of the safety argument (`lemmas`) are checked.
"""

import heapq
from functools import partial
from random import Random
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ahmlib.core import effects, events
from ahmlib.core.beacon import Farewell
from ahmlib.core.node import Node
from ahmlib.core.settings import Settings
from ahmlib.core.states import NodeState
from ahmlib.simulation import perform
from ahmlib.simulation.clients import Clients
from ahmlib.simulation.database import SimulatedDatabase
from ahmlib.simulation.host import Host
from ahmlib.simulation.lemma import Lemma, Violated
from ahmlib.simulation.lemmas import LEMMAS
from ahmlib.simulation.network import Network

#: Between two looks whether the writer of a daemon that ended has ended, too.
WRITING_SECONDS = 0.05
#: Lines of the trace that a violation shows.
TRACE_SHOWN = 200


class Broken(AssertionError):
    """A lemma did not hold; the message names it, and holds the trace."""

    def __init__(self, lemma: Lemma, what: str, trace: List[str]) -> None:
        self.lemma, self.what = lemma, what
        super().__init__('%s: %s\n%s' % (lemma.title, what, '\n'.join(trace[-TRACE_SHOWN:])))


class World:
    """A cluster under faults.

    `synchronous`: how many standbys confirm a commit.  `lemmas`: which of them are checked.
    """

    def __init__(self, settings: List[Settings], seed: int = 0, primary: int = 0,
                 network: Optional[Network] = None, skewed: bool = True, synchronous: int = 0,
                 lemmas: Optional[Sequence[Any]] = None) -> None:
        self.random = Random(seed)
        self.network = network or Network(self.random)
        self.now = 0.0
        self.queue: List[Tuple[float, int, Callable[[], None]]] = []
        self.counter = self.branches = 0
        self.trace: List[str] = []
        self.harmless = False                   # nothing happens but restarts and questions
        self.tampered = False                   # promoted, or set what commits wait for, by hand
        self.forced: Set[int] = set()           # nodes that somebody promoted by force
        self.gone: Set[int] = set()             # hosts that never come back
        self.pause_forgotten = False            # a state file was lost that told of a pause
        self.claim_forgotten = False            # so many were that voters may know of no claim
        self.leaders: Dict[int, int] = {}       # by term: who led in it
        self.vip_unknown: Set[int] = set()      # hosts that cannot tell whether they hold the VIP
        self.vip_answers: Set[int] = set()      # hosts to which a stranger answers for the VIP
        self.pings_in_vain: Set[int] = set()    # hosts whose ping may not send
        self.fast_stop_seconds = 0.1
        self.spelled: Dict[int, str] = {}       # by host: its own name for its upstream
        self.local_path_fails: Set[int] = set()     # hosts whose own checks fail, others' do not
        self.hosts = [self._host(item, primary, skewed) for item in settings]
        self.clients = Clients(self, synchronous)
        self.lemmas = [make(self) for make in (LEMMAS if lemmas is None else lemmas)]
        self.on_step = [lemma for lemma in self.lemmas if lemma.watches_steps]
        self.on_handled = [lemma for lemma in self.lemmas if lemma.watches_events]
        self.on_saved = [lemma for lemma in self.lemmas if lemma.watches_disks]
        self.on_effect: Dict[type, List[Lemma]] = {}
        for lemma in self.lemmas:
            for kind in lemma.watches:
                self.on_effect.setdefault(kind, []).append(lemma)

    def _host(self, settings: Settings, primary: int, skewed: bool) -> Host:
        rate = 1.0 + (self.random.random() - 0.5) * 0.09 if skewed else 1.0
        database = None
        if not settings.witness:
            database = SimulatedDatabase(settings.own != primary,
                                         None if settings.own == primary else primary)
        return Host(settings, rate, self.random.random() * 1000, database)

    @property
    def settings(self) -> Settings:
        """The first node's settings: what is the same for all."""
        return self.hosts[0].settings

    # -- time ----------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Let this happen at that instant."""
        self.counter += 1
        heapq.heappush(self.queue, (max(when, self.now), self.counter, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let this happen after so many seconds."""
        self.at(self.now + seconds, action)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until the condition holds; whether it did within so many seconds."""
        limit = self.now + seconds
        while not condition():
            if not self.queue or self.queue[0][0] > limit:
                self.now = limit
                return condition()
            self.now, _, action = heapq.heappop(self.queue)
            action()
            self._check_step()
        return True

    def _check_step(self) -> None:
        """`check` of all that look at every happening; there are many."""
        for lemma in self.on_step:
            try:
                lemma.step()
            except Violated as found:
                raise Broken(lemma, str(found), self.trace) from None

    def note(self, host: Host, text: str) -> None:
        """One line of the trace."""
        self.trace.append('%9.3f %s %s' % (self.now, host.settings.name, text))

    def check(self, lemma: Lemma, look: Callable[..., None], *facts: Any) -> None:
        """Let a lemma look; where it does not hold, the run ends here, with the trace."""
        try:
            look(*facts)
        except Violated as found:
            raise Broken(lemma, str(found), self.trace) from None

    # -- what clients see ----------------------------------------------------------------------

    def serves_clients(self, host: Host) -> bool:
        """Whether a client that comes through the VIP can write on this host."""
        reached = host.has_vip and host.vip_usable if host.settings.vip else (
            host.node is not None and host.node.state is NodeState.LEADER)
        return (reached and host.powered and host.database is not None
                and host.database.writable)

    @property
    def writes(self) -> List[Tuple[float, int]]:
        """(instant, node) of every row written through the VIP."""
        return [(row.at, row.node) for row in self.clients.acknowledged]

    def upstream_of(self, host: Host) -> Optional[SimulatedDatabase]:
        """The running primary that this host's standby can stream from now."""
        mine = host.database
        if mine is None or not mine.running or mine.hung or mine.starting \
                or not mine.in_recovery or mine.upstream is None \
                or not host.powered or host.behaviour('replication') not in ('works', 'slow'):
            return None
        other = self.hosts[mine.upstream]
        theirs = other.database
        if not other.powered or theirs is None or not theirs.writable \
                or not self.network.connects(host.settings.own, mine.upstream) \
                or not mine.can_stream_from(theirs):
            return None
        return theirs

    def streaming_from(self, host: Host) -> List[Tuple[str, str]]:
        """(name, address) of the standbys that stream from the primary of this host now."""
        return [(other.settings.name, other.settings.host(other.settings.own))
                for other in self.hosts if self.upstream_of(other) is host.database]

    # -- daemons and hosts ---------------------------------------------------------------------

    def start(self, own: int) -> None:
        """Start the daemon of this host; it waits for what its predecessor has still to write."""
        host = self.hosts[own]
        if host.writing is not None:
            life = host.life
            self.after(WRITING_SECONDS, lambda: self.start(own)
                       if host.life == life and host.powered else None)
            return
        host.life += 1
        host.paused, host.backlog, host.resumed_at = False, [], self.now
        now = host.clock(self.now)
        host.node = Node(host.settings, host.saved, self.random.randrange(1, 2 ** 32), now,
                         host.lease_until, host.booted)
        host.booted = False
        host.raising = None
        self.note(host, 'daemon starts')
        self.feed(host, events.Started())

    def start_all(self) -> None:
        """Start every daemon, a little apart."""
        for own in range(len(self.hosts)):
            self.after(self.random.random() * 0.2, partial(self.start, own))

    def crash(self, own: int) -> None:
        """kill -9 of the daemon; the commands it had started die with it."""
        host = self.hosts[own]
        self.end_daemon(host)
        self.note(host, 'daemon is killed')

    def end_daemon(self, host: Host) -> None:
        """However it ends, nothing comes to it any more."""
        host.life += 1
        self.network.was_disturbed = True
        host.last_node, host.node, host.paused = host.node or host.last_node, None, False

    def power_off(self, own: int) -> None:
        """Everything on this host ends."""
        host = self.hosts[own]
        self.crash(own)
        host.powered = host.has_vip = False
        host.writing = None
        if host.database is not None:
            host.database.stop()
        self.note(host, 'loses power')

    def power_on(self, own: int) -> None:
        """The host boots: no VIP, no database, no daemon, another boot."""
        host = self.hosts[own]
        host.powered, host.lease_until, host.booted = True, 0.0, True

    def pause(self, own: int) -> None:
        """SIGSTOP of the daemon."""
        self.hosts[own].paused = self.network.was_disturbed = True
        self.note(self.hosts[own], 'daemon is stopped')

    def resume(self, own: int) -> None:
        """SIGCONT of the daemon: what came meanwhile is read now, before its timers."""
        host = self.hosts[own]
        host.paused, host.resumed_at = False, self.now
        self.note(host, 'daemon goes on')
        backlog, host.backlog = host.backlog, []
        for event in backlog + [events.Ticked()]:
            self.feed(host, event)

    def stop(self, own: int, farewell: Farewell = Farewell.LEAVING) -> None:
        """`ahm stop`, or a signal."""
        self.feed(self.hosts[own], events.StopAsked(farewell))

    def fence(self, name: str) -> None:
        """What a fencing script does to the host of this node."""
        for other in self.hosts:
            if other.settings.name == name:
                other.has_vip = False
                if other.database is not None:
                    other.database.stop()
                self.note(other, 'is fenced')

    # -- events and effects --------------------------------------------------------------------

    def feed(self, host: Host, event: Any) -> None:
        """One event through the core of this host; its effects are performed."""
        if host.node is None or not host.powered:
            return
        if host.paused:
            host.backlog.append(event)
            return
        node = host.node
        if isinstance(event, events.ClientAsked) and event.request.get('force'):
            self.forced.add(host.settings.own)
        wanted = node.handle(event, host.clock(self.now))
        for effect in wanted.in_order():
            if host.node is node:
                for lemma in self.on_effect.get(type(effect), ()):
                    self.check(lemma, lemma.performed, host, effect)
                perform.PERFORM[type(effect)](self, host, effect)
        if host.node is node:
            for lemma in self.on_handled:
                self.check(lemma, lemma.handled, host, event)
            self._schedule(host)

    def saved(self, host: Host, effect: effects.SaveState) -> None:
        """This state is on the disk of this host now."""
        for lemma in self.on_saved:
            self.check(lemma, lemma.saved, host, effect.saved)
        host.saved = effect.saved

    def _schedule(self, host: Host) -> None:
        host.wake += 1
        wake, life = host.wake, host.life
        local = max(host.node.wake_at - host.clock(self.now), 0.0)

        def tick() -> None:
            if host.life == life and host.wake == wake:
                self.feed(host, events.Ticked())
        self.after(local / host.rate + 1e-9, tick)

    def later(self, host: Host, seconds: float, make: Callable[[], Any]) -> None:
        """Bring the event that `make` makes after so many seconds, to this life of the daemon."""
        life = host.life

        def bring() -> None:
            if host.life == life:
                self.feed(host, make())
        self.after(seconds, bring)

    # -- asking --------------------------------------------------------------------------------

    def leader(self) -> Optional[int]:
        """The one node that leads and is followed by all daemons that live, if so."""
        leaders = [host.settings.own for host in self.hosts
                   if host.node is not None and host.node.state is NodeState.LEADER]
        return leaders[0] if len(leaders) == 1 else None

    def serves(self) -> Optional[int]:
        """The one host that holds the VIP over a writable database, if so."""
        found = [host.settings.own for host in self.hosts if self.serves_clients(host)]
        return found[0] if len(found) == 1 and found[0] == self.leader() else None
