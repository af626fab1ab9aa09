"""Turns effects into actions and what comes back into events: the daemon's side of the seam.

One method an effect, in the table PERFORM; `simulation.world` is the same table over a virtual
clock. Nothing here decides anything.
"""

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Optional, Sequence

from ahmlib.checking import of_nodes
from ahmlib.core import effects, events
from ahmlib.core.asks import CHANGING
from ahmlib.core.policy.history import REFUSED
from ahmlib.database.attach import attach_standby
from ahmlib.database.checkpoint import checkpoint
from ahmlib.database.dormant import inspect
from ahmlib.database.follow import follow_primary
from ahmlib.database.probe import check_local, probe_remote
from ahmlib.database.promotion import promote
from ahmlib.database.recovery import leave_standby_signal
from ahmlib.database.rehearsal import rehearse_handover
from ahmlib.database.restart import restart_database
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.start import start_database
from ahmlib.database.stop import stop_database
from ahmlib.database.synchronous import set_synchronous
from ahmlib.network import vip, wire
from ahmlib.network.rehearsal import rehearse
from ahmlib.runtime import answers, child_side, details
from ahmlib.runtime.changed_nodes import Listening, pause_of
from ahmlib.runtime.checks import Checks
from ahmlib.runtime.children import CHILD_SLACK_SECONDS
from ahmlib.runtime.find import REQUEST
from ahmlib.runtime.hooks import HookQueue
from ahmlib.runtime.origins import in_words, is_inside, who
from ahmlib.runtime.pid_file import pid_path
from ahmlib.runtime.settings import database_settings, hooks, needs_ping, vip_settings
from ahmlib.runtime.state_file import StateFileError
from ahmlib.runtime.telling import Telling

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.node import Node
    from ahmlib.ipc.server import Origin
    from ahmlib.network.udp import Address, BeaconSocket
    from ahmlib.runtime.children import Children, Function, Result
    from ahmlib.runtime.history import History
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock
    from ahmlib.runtime.memory import Memory
    from ahmlib.runtime.reused import Reused

#: Checks that come so often share a child, which takes memory in between.
OFTEN_SECONDS = 2.0
#: Of one sender: between two lines about what is malformed; likewise of another cluster's rows.
MALFORMED_LOG_SECONDS = 60.0
FOREIGN_SECONDS = 10.0
#: Of what the daemon itself asks the core; the clients' come after it.
OWN_TOKEN = 0


class Driver:
    """Performs what the core wants.

    `beacons` is a BeaconSocket (set once it is open), `answer(client, dict)` replies to a utility,
    `on_exit(code, reason)` ends the daemon.
    `malformed` and `foreign` count the datagrams of peers that were no rows, and no rows of this
    cluster.
    """

    def __init__(self, config: 'Config', node: 'Node', memory: 'Memory', children: 'Children',
                 log: 'Log', clock: 'Clock', on_exit: Callable[[int, str], None]) -> None:
        self.node, self.memory, self.children = node, memory, children
        self.log, self.clock, self.on_exit = log, clock, on_exit
        #: Of questions that come often; the daemon's.
        self.reused: Optional[Reused] = None
        # These two are given by the daemon, once there are sockets.
        self.beacons: BeaconSocket
        self.answer: Callable[[Any, Dict[str, Any]], Any]
        #: Of events; the daemon's.
        self.history: Optional[History] = None
        #: Hears of other clusters, where that matters.
        self.listening: Optional[Listening] = None
        self.wanted: Deque[Any] = deque()           # effects, the next first
        self.performing = False
        self.clients: Dict[int, Any] = {}           # token -> client that waits
        self.running: Dict[int, Any] = {}           # token -> child, or what it is asked
        #: The token of a VIP command that puts it up.
        self.raising: Optional[int] = None
        self.watch: Callable[[Any], None] = lambda event: None     # is told of each event first
        self.client_tokens = OWN_TOKEN
        self.malformed = self.foreign = 0
        self.server = answers.Server()      # as the newest check that was answered told it
        #: Whether a row of this node has left it.
        self.has_spoken = False
        self.hooks = HookQueue(children.start)
        self.checks = Checks(children)
        self.telling = Telling(node, children.start, log, clock)
        self.configure(config)

    def configure(self, config: 'Config') -> None:
        """Take settings, at the start and at a reload."""
        self.config = config
        self.telling.config = config
        self.database = database_settings(config)
        self.vip = vip_settings(config)

    # -- the loop ------------------------------------------------------------------------------

    def feed(self, event: Any) -> None:
        """One event through the core; what it wants is done before anything else.

        What is fed while that is done (a child that could not be started, a timer that is due) is
        thought of at once, and its effects come after those that are wanted already.
        """
        self.watch(event)
        self.wanted.extend(self.node.handle(event, self.clock()).in_order())
        if self.performing:
            return
        self.performing = True
        try:
            while self.wanted:
                effect = self.wanted.popleft()
                self.PERFORM[type(effect)](self, effect)
        finally:
            self.performing = False

    def tick(self) -> None:
        """Wake the core if its time has come."""
        if self.clock() >= self.node.wake_at:
            self.feed(events.Ticked())

    def client_asked(self, client: Any, request: Dict[str, Any], origin: 'Origin') -> None:
        """A utility asked something."""
        self.client_tokens += 1
        self.clients[self.client_tokens] = client
        refusal = self._why_not_allowed(request, origin)
        if refusal:
            self.log.warning(refusal)
            self.keep(REFUSED, refusal, refusal, who(origin))
            self._reply(effects.Reply(self.client_tokens, {'ok': False, 'reason': refusal}))
            return
        if request == REQUEST and origin[0] == 'unix':
            # Of the daemon and none of the core's: `ahm stop` asks, whose PID file is gone.
            leader = self.node.own_row() if self.node.leads else self.node.leader_row()
            self._reply(effects.Reply(self.client_tokens, {
                'ok': True, 'pid_file': pid_path(self.config),
                'cluster': self.node.settings.cluster,
                'leader': '' if leader is None else leader.name, 'pause': pause_of(self.node)}))
            return
        if request == {'ask': of_nodes.ASK}:
            token = self.client_tokens
            self.checks.ask(self.config, lambda answer: self._reply(effects.Reply(token, answer)))
            return
        if request.get('ask') == 'events' and self.history is not None:
            self._reply(effects.Reply(self.client_tokens, self.history.answer(request)))
            return
        self.feed(events.ClientAsked(self.client_tokens, request, in_words(origin), who(origin)))

    def status(self) -> Dict[str, Any]:
        """The cluster as this node sees it now, as a utility is told (core.status).

        For the loop, not for what is called while effects are performed.
        """
        told: Dict[str, Any] = {}
        self.clients[OWN_TOKEN] = told
        self.feed(events.ClientAsked(OWN_TOKEN, {'ask': 'status'}))
        return told['status']

    def _why_not_allowed(self, request: Dict[str, Any], origin: 'Origin') -> str:
        """Why this client may not ask for this; '' where it may.

        What changes something may be asked through the UNIX socket, which only this user and root
        can open, and from the hosts of the cluster; so from this one by whichever address.
        """
        settings, asked = self.node.settings, request.get('ask')
        if not isinstance(asked, str) or asked not in CHANGING or origin[0] == 'unix':
            return ''
        inside = {settings.host(place) for place in range(settings.size)} | {settings.vip}
        if is_inside(origin[1], inside):
            return ''
        return ('%s is refused from %s: it is no host of this cluster; run it on a host of '
                'nodes.conf' % (asked, origin[1]))

    def datagram(self, data: bytes, peer: 'Address') -> None:
        """Bytes came from the address of a peer."""
        settings = self.node.settings
        try:
            row = wire.decode(data, settings.cluster, settings.size)
        except wire.ForeignRow as error:
            self._foreign(peer, error)
            return
        except wire.WireError as error:
            self.refuse(peer, str(error))
            return
        if self._peer(row.sender) != peer:
            self.refuse(peer, 'it claims to come from %s' % settings.addresses[row.sender])
            return
        if self.history is not None:
            self.history.heard(row.events)
        self.feed(events.BeaconHeard(row))

    def _foreign(self, peer: 'Address', error: wire.ForeignRow) -> None:
        self.foreign += 1
        if self.listening is not None:
            self.listening.heard(error, peer[0], self.clock())
        if self.log.bounded(('foreign', peer), FOREIGN_SECONDS):
            self.feed(events.ForeignHeard(peer[0], error.name, error.nodes))

    def refuse(self, peer: 'Address', why: str) -> None:
        """Count a datagram that is no row, and say so now and then."""
        self.malformed += 1
        if self.log.bounded(('malformed', peer), MALFORMED_LOG_SECONDS):
            self.log.warning('%d malformed datagrams so far; the newest from %s:%d: %s'
                             % (self.malformed, peer[0], peer[1], why))

    def _peer(self, place: int) -> 'Address':
        host, port = self.node.settings.host(place), self.node.settings.addresses[place]
        return host, int(port.rpartition(':')[2])

    # -- children ------------------------------------------------------------------------------

    def _child(self, effect: Any, function: 'Function', args: Sequence[Any],
               make: Callable[['Result'], Any], limit: Optional[float] = None,
               often: bool = False) -> None:
        """Run a blocking function for an effect; `make(result)` is the event that answers it.

        `often`: it only looks, again and again, so one child may do it every time.
        """
        token, began = effect.token, self.clock()

        def ended(result: 'Result') -> None:
            self.running.pop(token, None)
            event = make(result)
            if self.log.severity == 'DEBUG':
                self.log.debug('%s', details.line(effect, event, self.clock() - began))
            self.feed(event)
        limit = (effect.limit if limit is None else limit) + CHILD_SLACK_SECONDS
        if often and self.reused is not None \
                and self.config.health_check_period <= OFTEN_SECONDS:
            self.running[token] = self.reused.start(
                function, args, limit, ended, type(effect).__name__)
            return
        self.running[token] = self.children.start(
            function, args, limit, ended, type(effect).__name__,
            on_news=lambda text: self.feed(events.ActionProgressed(token, text)))

    def _action(self, effect: Any, function: 'Function', *args: Any) -> None:
        self._child(effect, function, args, lambda result: answers.ended(effect.token, result))

    def _still_wanted(self, effect: Any) -> bool:
        """Whether the core wants this now: this process may have been late since then."""
        self.tick()
        return self.node.waits_for(effect.token)

    def _cancel(self, effect: effects.Cancel) -> None:
        child = self.running.pop(effect.token, None)
        if child is not None:
            (self.reused or self.children).cancel(child)

    # -- disk and network ----------------------------------------------------------------------

    def _save_state(self, effect: effects.SaveState) -> None:
        def ended(reason: str) -> None:
            self.feed(events.StateSaveFailed(reason) if reason
                      else events.StateSaved(effect.saved))
        self.memory.save_later(effect.saved, ended)

    def _save_lease(self, effect: effects.SaveLease) -> None:
        try:
            self.memory.save_lease(effect.until, self._lease_not_saved)
        except StateFileError as error:
            self._lease_not_saved(error)

    def _lease_not_saved(self, reason: object) -> None:
        if self.log.bounded('lease', 60.0):
            self.log.error('the lease file cannot be written: %s' % reason)

    def _send(self, effect: effects.SendBeacon) -> None:
        to = None if effect.to is None else self._peer(effect.to)
        numbered = 0 if self.history is None else self.history.seq
        self.beacons.send(wire.encode(effect.beacon._replace(events=numbered)), to)
        self.has_spoken = True

    # -- database ------------------------------------------------------------------------------

    def _check(self, effect: effects.CheckDatabase) -> None:
        def ended(result: 'Result') -> events.DatabaseChecked:
            self.server = answers.server_of(result) or self.server
            return answers.checked(effect.token, result)
        self._child(effect, check_local, (self.database, effect.limit), ended, often=True)

    def _probe(self, effect: effects.ProbeDatabase) -> None:
        function, args = check_local, (self.database, effect.limit)     # type: Function, Any
        if effect.about != self.node.own:
            host = self.node.settings.host(effect.about)
            function, args = probe_remote, (self.database, host, self.config.db_port, effect.limit)
        self._child(effect, function, args, lambda result: events.DatabaseProbed(
            effect.token, *answers.verdict(result)), often=True)

    def _promote(self, effect: effects.Promote) -> None:
        if self._still_wanted(effect):
            environment = dict(self.node.variables('PROMOTION'))
            self._action(effect, promote, self.database, effect.limit, environment)

    def _stop_database(self, effect: effects.StopDatabase) -> None:
        self._action(effect, stop_database, self.database, effect.mode, effect.limit)

    def _start_database(self, effect: effects.StartDatabase) -> None:
        self._action(effect, start_database, self.database, effect.limit)

    def _restart_database(self, effect: effects.RestartDatabase) -> None:
        self._action(effect, restart_database, self.database, effect.limit)

    def _inspect_database(self, effect: effects.InspectDatabase) -> None:
        self._child(effect, inspect, (self.database,),
                    lambda result: answers.inspected(effect.token, result))

    def _leave_signal(self, effect: effects.LeaveStandbySignal) -> None:
        self._action(effect, leave_standby_signal, self.database)

    def _follow(self, effect: effects.FollowPrimary) -> None:
        host = self.node.settings.host(effect.leader)
        self._action(effect, follow_primary, self._of_all_nodes(), host, self.config.db_port,
                     effect.limit, dict(effect.variables))

    def _checkpoint(self, effect: effects.CheckpointDatabase) -> None:
        self._action(effect, checkpoint, self.database, effect.limit)

    def _set_synchronous(self, effect: effects.SetSynchronous) -> None:
        self._action(effect, set_synchronous, self.database, effect.needed, effect.names,
                     os.getpid(), effect.limit)

    def _attach(self, effect: effects.AttachDatabase) -> None:
        allowed = effect.rewind and self.database.use_pg_rewind
        host = self.node.settings.host(effect.leader)
        self._action(effect, attach_standby,
                     self._of_all_nodes()._replace(use_pg_rewind=allowed), host,
                     self.config.db_port, effect.limit, dict(effect.variables), effect.rebuild,
                     child_side.tell)

    def _of_all_nodes(self) -> DatabaseSettings:
        """The DatabaseSettings with what the nodes of the cluster are called, as far as known."""
        names = tuple(name for name in self.node.facts.names if name) + self.node.settings.addresses
        return self.database._replace(node_names=names)

    def _hook(self, effect: effects.RunHook) -> None:
        argv = getattr(self.config, effect.hook)
        self.hooks.add(effect.hook, argv, dict(effect.variables), effect.limit,
                       lambda result: self._hook_ended(effect, result))

    def _hook_ended(self, effect: effects.RunHook, result: 'Result') -> None:
        if result.get('output'):
            self.log.info('%s said: %s' % (effect.hook, result['output'].strip()))
        self.feed(answers.ended(effect.token, result))

    # -- VIP -----------------------------------------------------------------------------------

    def _check_vip(self, effect: effects.CheckVip) -> None:
        self._child(effect, vip.check_vip, (self.vip, effect.limit),
                    lambda result: answers.vip_checked(effect.token, result))

    def _ping_vip(self, effect: effects.PingVip) -> None:
        host = None if effect.about is None else self.node.settings.host(effect.about)
        self._child(effect, vip.ping_vip, (self.vip, effect.limit, host),
                    lambda result: answers.vip_pinged(effect.token, result))

    def _ping_trusted(self, effect: effects.PingTrusted) -> None:
        self._child(effect, vip.ping_any,
                    (list(self.config.trusted_servers), self.vip.ping_path, effect.limit),
                    lambda result: events.TrustedPinged(effect.token, bool(result.get('ok'))))

    def _rehearse(self, effect: effects.Rehearse) -> None:
        arguments = self.vip, hooks(self.config), effect.limit, needs_ping(self.config)
        self._child(effect, rehearse, arguments,
                    lambda result: answers.rehearsed(effect.token, result))

    def _rehearse_handover(self, effect: effects.RehearseHandover) -> None:
        settings = self.node.settings
        servers = [(place, settings.host(place), settings.db_port) for place in effect.servers]
        self._child(effect, rehearse_handover, (self.database, servers, effect.limit),
                    lambda result: answers.handover_rehearsed(effect.token, result))

    def _raise_vip(self, effect: effects.RaiseVip) -> None:
        if self._still_wanted(effect):
            self.raising = effect.token
            self._action(effect, vip.raise_vip, self.vip, effect.limit, False)

    def _lower_vip(self, effect: effects.LowerVip) -> None:
        """A command that puts the VIP up must not end after the one that takes it down."""
        token, self.raising = self.raising, None
        child = None if token is None else self.running.pop(token, None)
        if token is not None and child is not None:
            self.children.cancel(child)
            self.feed(events.ActionEnded(token, False, 'overtaken by the order to drop the VIP'))
        self._action(effect, vip.lower_vip, self.vip, effect.limit)

    def _announce_vip(self, effect: effects.AnnounceVip) -> None:
        self._action(effect, vip.announce_vip, self.vip, effect.limit)

    # -- people --------------------------------------------------------------------------------

    def _report(self, effect: effects.Report) -> None:
        is_news = self.telling.report(effect.severity, effect.event, effect.text)
        if is_news and effect.kind != effects.UNKEPT:
            self.keep(effect.kind or effect.event, effect.cause, effect.text)

    def _record(self, effect: effects.Record) -> None:
        self.keep(effect.kind, effect.cause, effect.text, effect.by, effect.steps)

    def keep(self, *event: Any) -> None:
        """Keep an event, where there is a history; as History.add takes it."""
        if self.history is not None:
            self.history.add(*event)

    def _reply(self, effect: effects.Reply) -> None:
        client = self.clients.pop(effect.token, None)
        if effect.token == OWN_TOKEN:
            client.update(effect.answer)
        elif client is not None:
            self.answer(client, effect.answer)

    def _exit(self, effect: effects.Exit) -> None:
        self.on_exit(effect.code, effect.reason)

    PERFORM: Dict[type, Callable[['Driver', Any], None]] = {
        effects.SaveState: _save_state, effects.SaveLease: _save_lease, effects.SendBeacon: _send,
        effects.CheckDatabase: _check, effects.ProbeDatabase: _probe, effects.CheckVip: _check_vip,
        effects.PingVip: _ping_vip, effects.PingTrusted: _ping_trusted, effects.Rehearse: _rehearse,
        effects.RehearseHandover: _rehearse_handover, effects.RaiseVip: _raise_vip,
        effects.LowerVip: _lower_vip, effects.AnnounceVip: _announce_vip, effects.RunHook: _hook,
        effects.Promote: _promote, effects.StopDatabase: _stop_database,
        effects.StartDatabase: _start_database, effects.RestartDatabase: _restart_database,
        effects.InspectDatabase: _inspect_database, effects.LeaveStandbySignal: _leave_signal,
        effects.FollowPrimary: _follow, effects.AttachDatabase: _attach,
        effects.CheckpointDatabase: _checkpoint, effects.Cancel: _cancel, effects.Report: _report,
        effects.Record: _record, effects.SetSynchronous: _set_synchronous, effects.Reply: _reply,
        effects.Exit: _exit,
    }
