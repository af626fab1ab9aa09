"""The simulated world: a heap of happenings on a virtual clock, and what each effect does here.

Every host has a clock of its own (rate and origin), a disk that keeps what was saved, a toy
database, an interface that may hold the VIP, and a daemon that runs the core.  After every
happening the world looks for what must never be: two leaders in one term, or two hosts that hold
the VIP over a writable database.  All chance comes from one seed, so that every run replays
exactly.
"""

import heapq
from random import Random
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from ..core import effects, events
from ..core.beacon import Farewell, Verdict
from ..core.node import Node
from ..core.settings import Settings
from ..core.states import NodeState
from ..network import wire
from .database import SYSTEM_ID, ToyDatabase
from .host import Host
from .network import Network

REPLICATION_SECONDS = 0.02
WRITE_SECONDS = 0.02
COMMAND_SECONDS = 0.03
PROBE_SECONDS = 0.02


class Broken(AssertionError):
    """What must never be, was; the message holds the trace."""


class World:
    """A cluster under faults."""

    def __init__(self, settings: List[Settings], seed: int = 0, primary: int = 0,
                 network: Optional[Network] = None, skewed: bool = True) -> None:
        self.random = Random(seed)
        self.network = network or Network(self.random)
        self.now = 0.0
        self.queue: List[Tuple[float, int, Callable[[], None]]] = []
        self.counter = 0
        self.trace: List[str] = []
        self.leaders: Dict[int, int] = {}
        self.writes: List[Tuple[float, int]] = []
        self.vip_unknown: Set[int] = set()      # hosts that cannot tell whether they hold the VIP
        self.vip_answers: Set[int] = set()      # hosts to which a stranger answers for the VIP
        self.fast_stop_seconds = 0.1
        self.spelled: Dict[int, str] = {}       # by host: its own name for its upstream
        self.local_path_fails: Set[int] = set()     # hosts whose own checks fail, others' do not
        self.hosts = [self._host(item, primary, skewed) for item in settings]
        self.at(0.0, self._replicate)
        self.at(0.0, self._client_writes)

    def _host(self, settings: Settings, primary: int, skewed: bool) -> Host:
        rate = 1.0 + (self.random.random() - 0.5) * 0.09 if skewed else 1.0
        database = None
        if not settings.witness:
            database = ToyDatabase(settings.own != primary,
                                   None if settings.own == primary else primary)
        return Host(settings, rate, self.random.random() * 1000, database)

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
            self._check()
        return True

    def note(self, host: Host, text: str) -> None:
        """One line of the trace."""
        self.trace.append('%9.3f %s %s' % (self.now, host.settings.name, text))

    # -- what must never be --------------------------------------------------------------------

    def _check(self) -> None:
        holders = [host for host in self.hosts if self._serves_clients(host)]
        if sum(not self._excused(host) for host in holders) > 1:
            self._broken('two hosts hold the VIP over a writable database: %s' % ', '.join(
                host.settings.name for host in holders))
        for host in self.hosts:
            if host.node is None or not host.node.is_leading:
                continue
            known = self.leaders.setdefault(host.node.term, host.node.own)
            if known != host.node.own:
                self._broken('term %d has two leaders' % host.node.term)

    def _serves_clients(self, host: Host) -> bool:
        return (host.has_vip and host.powered and host.database is not None
                and host.database.writable)

    def _excused(self, host: Host) -> bool:
        """Beyond any program in user space (DESIGN 3): a daemon that is dead, stopped, or was until
        less than T_fence ago cannot step down."""
        if host.node is None or host.paused:
            return True
        return self.now < host.resumed_at + host.settings.timing.fence

    def _broken(self, what: str) -> None:
        raise Broken('%s\n%s' % (what, '\n'.join(self.trace[-200:])))

    def _client_writes(self) -> None:
        for host in self.hosts:
            if self._serves_clients(host):
                host.database.write()
                self.writes.append((self.now, host.settings.own))
        self.after(WRITE_SECONDS, self._client_writes)

    def _replicate(self) -> None:
        for host in self.hosts:
            primary = self._upstream(host)
            if primary is not None:
                host.database.stream_from(primary)
        self.after(REPLICATION_SECONDS, self._replicate)

    def _upstream(self, host: Host) -> Optional[ToyDatabase]:
        """The running primary that this host's standby can stream from now."""
        mine = host.database
        if mine is None or not mine.running or not mine.in_recovery or mine.upstream is None \
                or not host.powered:
            return None
        other = self.hosts[mine.upstream]
        if not other.powered or not other.database.writable \
                or not self.network.connects(host.settings.own, mine.upstream):
            return None
        return other.database

    # -- daemons -------------------------------------------------------------------------------

    def start(self, own: int) -> None:
        """Start the daemon of this host."""
        host = self.hosts[own]
        host.life += 1
        host.paused, host.backlog, host.resumed_at = False, [], self.now
        now = host.clock(self.now)
        host.node = Node(host.settings, host.saved, self.random.randrange(1, 2 ** 32), now,
                         host.lease_until)
        self.note(host, 'daemon starts')
        self.feed(host, events.Started())

    def start_all(self) -> None:
        """Start every daemon, a little apart."""
        for own in range(len(self.hosts)):
            self.after(self.random.random() * 0.2, lambda own=own: self.start(own))

    def crash(self, own: int) -> None:
        """kill -9 of the daemon."""
        host = self.hosts[own]
        host.life += 1
        host.node = None
        self.note(host, 'daemon is killed')

    def power_off(self, own: int) -> None:
        """Everything on this host ends."""
        host = self.hosts[own]
        self.crash(own)
        host.powered = host.has_vip = False
        if host.database is not None:
            host.database.stop()
        self.note(host, 'loses power')

    def power_on(self, own: int) -> None:
        """The host boots: no VIP, no database, no daemon, another boot."""
        host = self.hosts[own]
        host.powered, host.lease_until = True, 0.0

    def pause(self, own: int) -> None:
        """SIGSTOP of the daemon."""
        self.hosts[own].paused = True
        self.note(self.hosts[own], 'daemon is stopped')

    def resume(self, own: int) -> None:
        """SIGCONT of the daemon: what came meanwhile is read now."""
        host = self.hosts[own]
        host.paused, host.resumed_at = False, self.now
        self.note(host, 'daemon goes on')
        backlog, host.backlog = host.backlog, []
        for event in [events.Ticked()] + backlog:
            self.feed(host, event)

    def stop(self, own: int, farewell: Farewell = Farewell.LEAVING) -> None:
        """`ahm stop`, or a signal."""
        self.feed(self.hosts[own], events.StopAsked(farewell))

    def feed(self, host: Host, event: Any) -> None:
        """One event through the core of this host; its effects are performed."""
        if host.node is None or not host.powered:
            return
        if host.paused:
            host.backlog.append(event)
            return
        node = host.node
        for effect in node.handle(event, host.clock(self.now)):
            if host.node is node:
                self.PERFORM[type(effect)](self, host, effect)
        if host.node is node:
            self._schedule(host)

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

    # -- effects -------------------------------------------------------------------------------

    def _save(self, host: Host, effect: effects.SaveState) -> None:
        host.saved = effect.saved
        self.feed(host, events.StateSaved(effect.saved))

    def _save_lease(self, host: Host, effect: effects.SaveLease) -> None:
        host.lease_until = effect.until

    def _send(self, host: Host, effect: effects.SendBeacon) -> None:
        data = wire.encode(effect.beacon)
        for other in self.hosts:
            if other is host or effect.to not in (None, other.settings.own):
                continue
            for delay in self.network.arrivals(host.settings.own, other.settings.own):
                self.after(delay, lambda other=other: self._arrive(other, data))

    def _arrive(self, host: Host, data: bytes) -> None:
        row = wire.decode(data, host.settings.cluster, host.settings.size)
        self.feed(host, events.BeaconHeard(row))

    def _check_database(self, host: Host, effect: effects.CheckDatabase) -> None:
        self._answer_check(host, host, effect, lambda: self._checked(host, effect.token))

    def _checked(self, host: Host, token: int) -> events.DatabaseChecked:
        mine = host.database
        if not mine.running or mine.hung or host.settings.own in self.local_path_fails:
            return events.DatabaseChecked(token, Verdict.UNREACHABLE, 'connection refused')
        upstream = None if mine.upstream is None else (
            self.spelled.get(host.settings.own) or host.settings.host(mine.upstream),
            host.settings.db_port)
        return events.DatabaseChecked(
            token, Verdict.REACHABLE, '', mine.in_recovery, SYSTEM_ID, mine.timeline, mine.lsn,
            self._upstream(host) is not None, upstream)

    def _answer_check(self, host: Host, target: Host, effect: Any, make) -> None:
        slow = not target.powered or (target.database is not None and target.database.hung) \
            or not self.network.connects(host.settings.own, target.settings.own)
        self.later(host, effect.limit if slow else PROBE_SECONDS, make)

    def _probe(self, host: Host, effect: effects.ProbeDatabase) -> None:
        target = self.hosts[effect.about]

        def probed() -> events.DatabaseProbed:
            mine = target.database
            if mine is None or not target.powered or not mine.running or mine.hung \
                    or not self.network.connects(host.settings.own, effect.about):
                return events.DatabaseProbed(effect.token, Verdict.UNREACHABLE, 'no answer')
            verdict = Verdict.STARTING if mine.in_recovery else Verdict.REACHABLE
            return events.DatabaseProbed(effect.token, verdict)
        self._answer_check(host, target, effect, probed)

    def _check_vip(self, host: Host, effect: effects.CheckVip) -> None:
        def checked() -> events.VipChecked:
            here = None if host.settings.own in self.vip_unknown else host.has_vip
            return events.VipChecked(effect.token, here, 'no answer')
        self.later(host, 0.001, checked)

    def _ping_vip(self, host: Host, effect: effects.PingVip) -> None:
        def pinged() -> events.VipPinged:
            holders = [other for other in self.hosts if other.has_vip and other.powered
                       and self.network.connects(host.settings.own, other.settings.own)]
            answers = bool(holders) or host.settings.own in self.vip_answers
            return events.VipPinged(effect.token, answers)
        self.later(host, effect.limit, pinged)

    def _ping_trusted(self, host: Host, effect: effects.PingTrusted) -> None:
        self.later(host, 0.01, lambda: events.TrustedPinged(effect.token, True))

    def _raise_vip(self, host: Host, effect: effects.RaiseVip) -> None:
        host.raising = effect.token

        def done() -> events.ActionEnded:
            if host.raising != effect.token:
                return events.ActionEnded(effect.token, False, 'overtaken', here=host.has_vip)
            host.has_vip = True
            self.note(host, 'holds the VIP')
            return events.ActionEnded(effect.token, True, here=True)
        self.later(host, COMMAND_SECONDS, done)

    def _lower_vip(self, host: Host, effect: effects.LowerVip) -> None:
        host.raising = None
        def done() -> events.ActionEnded:
            host.has_vip = False
            self.note(host, 'dropped the VIP')
            return events.ActionEnded(effect.token, True, here=False)
        self.later(host, COMMAND_SECONDS, done)

    def _announce(self, host: Host, effect: effects.AnnounceVip) -> None:
        self.later(host, COMMAND_SECONDS,
                   lambda: events.ActionEnded(effect.token, True))

    def _hook(self, host: Host, effect: effects.RunHook) -> None:
        """A fencing script that works, where it does: over a network that nothing cuts."""
        variables = dict(effect.variables)

        def done() -> events.ActionEnded:
            ok = host.fencing_works
            if ok and effect.hook == 'pre_promotion_command':
                self._fence(variables['AHM_OLD_PRIMARY_NAME'])
            return events.ActionEnded(effect.token, ok, '' if ok else 'exited with 1')
        self.later(host, COMMAND_SECONDS, done)

    def _fence(self, name: str) -> None:
        for other in self.hosts:
            if other.settings.name == name:
                other.has_vip = False
                if other.database is not None:
                    other.database.stop()
                self.note(other, 'is fenced')

    def _promote(self, host: Host, effect: effects.Promote) -> None:
        def done() -> events.ActionEnded:
            mine = host.database
            if not mine.running or mine.hung:
                return events.ActionEnded(effect.token, False, 'the server is not there')
            mine.promote()
            self.note(host, 'is promoted to timeline %d' % mine.timeline)
            return events.ActionEnded(effect.token, True, '', mine.timeline, mine.lsn)
        self.later(host, 0.2, done)

    def _stop_database(self, host: Host, effect: effects.StopDatabase) -> None:
        def done() -> events.ActionEnded:
            host.database.stop()
            self.note(host, 'database stopped (%s)' % effect.mode)
            return events.ActionEnded(effect.token, True)
        self.later(host, self.fast_stop_seconds if effect.mode == 'fast' else 0.1, done)

    def _start_database(self, host: Host, effect: effects.StartDatabase) -> None:
        def done() -> events.ActionEnded:
            host.database.start()
            self.note(host, 'database started')
            return events.ActionEnded(effect.token, True)
        self.later(host, 0.2, done)

    def _leave_signal(self, host: Host, effect: effects.LeaveStandbySignal) -> None:
        def done() -> events.ActionEnded:
            host.database.signal = True
            return events.ActionEnded(effect.token, True)
        self.later(host, 0.005, done)

    def _follow(self, host: Host, effect: effects.FollowPrimary) -> None:
        def done() -> events.ActionEnded:
            host.database.upstream, host.database.signal = effect.leader, True
            return events.ActionEnded(effect.token, True)
        self.later(host, 0.05, done)

    def _cancel(self, host: Host, effect: effects.Cancel) -> None:
        pass    # the core does not listen to the answer any more; the deed may still be done

    def _report(self, host: Host, effect: effects.Report) -> None:
        self.note(host, '%s: %s' % (effect.event, effect.text))

    def _reply(self, host: Host, effect: effects.Reply) -> None:
        pass

    def _exit(self, host: Host, effect: effects.Exit) -> None:
        host.life += 1
        host.node = None
        self.note(host, 'daemon ends: %s' % effect.reason)

    PERFORM = {
        effects.SaveState: _save, effects.SaveLease: _save_lease, effects.SendBeacon: _send,
        effects.CheckDatabase: _check_database, effects.ProbeDatabase: _probe,
        effects.CheckVip: _check_vip, effects.PingVip: _ping_vip,
        effects.PingTrusted: _ping_trusted, effects.RaiseVip: _raise_vip,
        effects.LowerVip: _lower_vip, effects.AnnounceVip: _announce, effects.RunHook: _hook,
        effects.Promote: _promote, effects.StopDatabase: _stop_database,
        effects.StartDatabase: _start_database, effects.LeaveStandbySignal: _leave_signal,
        effects.FollowPrimary: _follow, effects.Cancel: _cancel, effects.Report: _report,
        effects.Reply: _reply, effects.Exit: _exit,
    }

    # -- asking --------------------------------------------------------------------------------

    def leader(self) -> Optional[int]:
        """The one node that leads and is followed by all daemons that live, if so."""
        leaders = [host.settings.own for host in self.hosts
                   if host.node is not None and host.node.state is NodeState.LEADER]
        return leaders[0] if len(leaders) == 1 else None

    def serves(self) -> Optional[int]:
        """The one host that holds the VIP over a writable database, if so."""
        found = [host.settings.own for host in self.hosts if self._serves_clients(host)]
        return found[0] if len(found) == 1 and found[0] == self.leader() else None
