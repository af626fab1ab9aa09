"""The daemon put together: files, sockets, children, core, and the loop around them.

Starting either ends with everything open, or raises StartError with one line and leaves nothing.
"""

import os
import random
import signal
import traceback
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from ahmlib.config.rules import LEASE_NAME, LOCK_NAME
from ahmlib.core import events
from ahmlib.core.beacon import Farewell
from ahmlib.core.node import Node
from ahmlib.core.policy.foreign import ORDER
from ahmlib.core.settings import split_address
from ahmlib.http.service import HttpService
from ahmlib.ipc.listeners import IpcError
from ahmlib.ipc.server import IpcServer
from ahmlib.network.udp import BeaconSocket, UdpError
from ahmlib.runtime import event_file, ping_trial, reload, state_file
from ahmlib.runtime.changed_nodes import Listening, why_not_changed
from ahmlib.runtime.children import Children
from ahmlib.runtime.disk import LOG_SYNC_SECONDS, LogWriter, StateWriter
from ahmlib.runtime.driver import Driver
from ahmlib.runtime.event_file import EventWriter
from ahmlib.runtime.history import History
from ahmlib.runtime.lease_place import lease_paths
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.memory import Memory
from ahmlib.runtime.origins import learn_users
from ahmlib.runtime.own_files import OwnFiles
from ahmlib.runtime.pid_file import PidFile, PidFileError, StateLock, pid_path
from ahmlib.runtime.reload import Reload, StartError, check_log_file
from ahmlib.runtime.reused import Reused
from ahmlib.runtime.service_manager import ServiceManager
from ahmlib.runtime.settings import core_settings, multicast
from ahmlib.runtime.state_file import StateFileCorrupt, StateFileError
from ahmlib.utilities import status_check

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.settings import Settings
    from ahmlib.ipc.server import Origin
    from ahmlib.main import Environment

#: `ahm stop` says LEAVING with this one; the others are what service managers and terminals send.
LEAVING_SIGNAL = signal.SIGUSR1
RESTARTING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Characters of a traceback in the log; its end says most.
TRACEBACK_MAX = 3000
#: Of a daemon that must not stay.
FAILED = 1
#: What a disk may take at the end, for the state and its files, and for the log.
EXIT_SECONDS = 2.0


def late_seconds(settings: 'Settings') -> float:
    """How long one step of the loop may take before people are told.

    What stays below does not cost a leader that steps down more than a quarter of T_fence, the time
    it has for that.
    """
    return settings.timing.fence / 4


class Daemon:
    """One running AHM."""

    def __init__(self, config: 'Config', environment: 'Environment', debug: bool = False,
                 detached: bool = False) -> None:
        self.config, self.environment, self.debug = config, environment, debug
        self.detached = detached
        #: Severity and text, to log once the start has succeeded.
        self.remarks: List[Tuple[str, str]] = []
        #: Of the exit, once it was decided.
        self.code: Optional[int] = None
        self.reason = ''
        self.loop = Loop(clock)
        self.log_writer = LogWriter(self.loop, clock, self._lines_lost, self._helper_died)
        self.log = Log(config.log_prefix, self._severity(config), self.destination(config),
                       config.node_name, clock, self.log_writer.open)
        self.loop.log = self.log
        self.disk = StateWriter(self.loop, clock, config.data_dir, self._helper_died,
                                self._disk_is_slow, self._disk_answers)
        self.state_lock = StateLock(os.path.join(config.data_dir, LOCK_NAME))
        self.children = Children(self.loop, clock)
        self.reused = Reused(self.children, self.loop, clock)
        self.ipc = IpcServer(self.loop, self.log, clock)
        self.http: Optional[HttpService] = None     # where it is wanted, from open() on
        self.pid_file = PidFile(pid_path(config))
        self.service = ServiceManager(environment.service, self.log, clock, self._verdict)
        self.event_writer = EventWriter(self.loop, clock, config.data_dir, self._helper_died)
        # These three from open() on.
        self.driver: Driver
        self.history: History
        self.own_files: OwnFiles
        self.beacons: Optional[BeaconSocket] = None
        #: Where nodes.conf was changed since the last run.
        self.listening: Optional[Listening] = None
        self.reloading = Reload(self)

    def _severity(self, config: 'Config') -> str:
        return 'DEBUG' if self.debug or config.log_verbose else config.log_severity

    def destination(self, config: 'Config') -> str:
        """Where the log goes with this configuration, as `Log` is told."""
        if not config.log_filename:
            return 'syslog' if self.detached else 'stderr'
        return os.path.join(config.data_dir, config.log_filename)

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> None:
        """Take the PID file, read the memory, open the sockets.  Raises StartError."""
        try:
            self.state_lock.acquire_after(self.pid_file.path)
            # Before there is a socket that it could inherit.
            lock_fd = self.state_lock.fileno()
            assert lock_fd is not None
            self.disk.hold(lock_fd)
            self.pid_file.acquire()
            check_log_file(self.log.destination)
            self._make_node()
            self._open_sockets()
            self._watch_signals()
        except (PidFileError, StateFileError, UdpError, IpcError) as error:
            self.close()
            raise StartError(str(error))
        except BaseException:           # SIGINT, too: nothing may stay behind
            self.close()
            raise
        self.own_files = OwnFiles(self.pid_file, self.ipc, self.children, self.log, clock,
                                  lambda: self.config.health_check_period,
                                  lambda reason: self.driver.feed(events.OwnFilesLooked(reason)),
                                  lambda text: self.history.add('own files', 'made anew', text))
        self._say_hello()
        self.log_writer.sync(LOG_SYNC_SECONDS)

    def _make_node(self) -> None:
        settings = core_settings(self.config)
        self.loop.late_seconds = late_seconds(settings)
        memory = Memory(self.config.data_dir, settings.addresses,
                        lease_paths(self.config.data_dir), self.disk, settings.cluster)
        for path in (memory.state_path, os.path.join(self.config.data_dir, LEASE_NAME)):
            state_file.remove_left_over(path)
        try:
            saved = memory.load()
        except StateFileCorrupt as error:
            self.remarks.append(('WARNING', '%s: starting without it; look at the disk of data_dir'
                                 % error))
            saved = None
        if saved is None:
            self.remarks.append(('NOTICE', 'no state file: no vote and no acknowledgement for '
                                 '%.1f s, or until every node was heard and none of them leads'
                                 % settings.timing.hold))
        if memory.has_moved:
            self._refuse_change(memory, settings)
            self.listening = Listening(settings.timing, clock(), memory.holder_before is not None)
            memory.is_at_home = False
            self.remarks.append(('NOTICE', 'nodes.conf or the quorum rule was changed since AHM '
                                 'ran here last: listening for a leader by the one before, for '
                                 '%.4g s' % settings.timing.lease))
        incarnation = random.SystemRandom().randrange(1, 2 ** 32)
        lease_until = memory.load_lease()
        node = Node(settings, saved, incarnation, clock(), lease_until, memory.is_first_of_boot)
        self._mark_boot(memory)
        self.driver = Driver(self.config, node, memory, self.children, self.log, clock,
                             self._exit)
        self.driver.reused, self.driver.listening = self.reused, self.listening
        self._open_history(node)

    def _refuse_change(self, memory: Memory, settings: 'Settings') -> None:
        """Raise StartError where a pause does not outlast this change of nodes.conf (R62)."""
        holder, before = memory.holder_before, memory.nodes_before
        why = holder and why_not_changed(before, settings, holder, before)
        if why:
            raise StartError(why)

    def _open_history(self, node: Node) -> None:
        learn_users()
        self.history = History(
            self.event_writer, self.config.node_name, clock, lambda: node.consensus.term,
            self._events_are_lost)
        try:
            self.history.go_on(event_file.read(self.config.data_dir))
        except OSError as error:
            self.remarks.append(('WARNING', 'the history of events before this start is not shown: '
                                 '%s' % error))
        self.driver.history = self.history

    def _mark_boot(self, memory: Memory) -> None:
        """Leave a lease that has ended: the next daemon of this boot is not the first."""
        if not memory.is_first_of_boot:
            return
        try:
            memory.save_lease(0.0)
        except StateFileError as error:
            self.remarks.append(('WARNING', '%s; the next start counts as the first since this '
                                 'host booted (db_start_at_boot)' % error))

    def _open_sockets(self) -> None:
        config, driver = self.config, self.driver
        addresses = [split_address(address) for address in driver.node.settings.addresses]
        own = addresses[driver.node.own]
        driver.answer = self.ipc.answer
        self.ipc.open(self._client_asked, config.socket_dir, config.ipc_port,
                      config.listen_address)
        if config.http_port is not None:
            self.http = HttpService(driver, self.reloading, self.loop, self.log, clock)
            self.http.open(config)
        # Last: it may log, and what is said of a start that fails is one line.
        self.beacons = driver.beacons = BeaconSocket(
            own, [peer for peer in addresses if peer != own], driver.datagram, self.loop,
            self.log, multicast(config))

    def _watch_signals(self) -> None:
        for number in RESTARTING_SIGNALS:
            self.loop.on_signal(number, lambda number: self._stop(Farewell.RESTARTING))
        self.loop.on_signal(LEAVING_SIGNAL, lambda number: self._stop(Farewell.LEAVING))
        self.loop.on_signal(signal.SIGHUP, lambda number: self.reload())

    def _stop(self, farewell: Farewell) -> None:
        self.service.stopping()
        self.driver.feed(events.StopAsked(farewell))

    def _verdict(self) -> str:
        """What `ahm_cluster_status --check` would say now."""
        code, text = status_check.verdict(self.driver.status())
        return '%s: %s' % (status_check.WORDS[code], text)

    def _say_hello(self) -> None:
        settings, timing = self.driver.node.settings, self.driver.node.facts.timing
        assert self.config.nodes is not None
        self.log.notice('%s starts at %s with %s and %s; lease %.4g s, hold %.4g s, fence %.4g s'
                        % (settings.name, settings.addresses[settings.own], self.config.path,
                           self.config.nodes.path, timing.lease, timing.hold, timing.fence))
        self.history.add('daemon started', '', '%s starts at %s' % (
            settings.name, settings.addresses[settings.own]))
        for severity, text in self.remarks:
            self.log.write(severity, text)
        for warning in self.config.warnings:
            self.log.warning(warning)

    def close(self) -> None:
        """Let go of everything, within a bounded time, however long a disk takes.

        What the disk does not let go in time is a left-over, which the next start recognises.
        """
        self.children.cancel_all()
        if self.http is not None:
            self.http.close()
        if self.beacons is not None:
            self.beacons.close()
        if self.disk.pid is None:
            self.ipc.close()
            self.pid_file.release()
            self.state_lock.release()
        else:
            names = [self.ipc.leave_file(), self.pid_file.fileno() and self.pid_file.path,
                     self.state_lock.path]
            self.ipc.close()
            self.disk.finish([name for name in names if name], EXIT_SECONDS)
            self.pid_file.let_go()
            self.state_lock.let_go()
        self.event_writer.finish(EXIT_SECONDS)
        self.log_writer.finish(EXIT_SECONDS)
        self.loop.close()

    # -- running -------------------------------------------------------------------------------

    def run(self, ready: Callable[..., None]) -> int:
        """Run until the core, or a signal, ends it; returns the exit code.

        `ready(True)` is called once it stays, `ready(False, why)` where it does not.
        """
        try:
            if self.listening is None:
                ready(True)
            self.driver.feed(events.Started())
            ping_trial.begin(self.config, self.children, self.log)
            while self.code is None:
                self.loop.run_once(self._next_deadline())
                self.children.expire(clock())
                self.reused.expire(clock())
                self.ipc.expire(clock())
                if self.http is not None:
                    self.http.expire(clock())
                self.disk.expire(clock())
                self.driver.telling.expire(clock())
                self.own_files.expire(clock())
                self.history.expire(clock())
                self.driver.tick()
                self._decide_to_stay(ready)
                self._tell_service_manager()
        except Exception:               # a bug: detached, nobody would ever see the traceback
            self.log.critical('ends by a bug: %s' % traceback.format_exc()[-TRACEBACK_MAX:])
            self.history.add('daemon ended', 'a bug', 'ends by a bug: see the log')
            self.event_writer.finish(EXIT_SECONDS)
            self.log_writer.finish(EXIT_SECONDS)
            raise
        self.log.notice('ends: %s' % self.reason)
        self.history.add('daemon ended', self.reason, 'the daemon ends: %s' % self.reason)
        self.log.flush()
        self.close()
        return self.code

    def _decide_to_stay(self, ready: Callable[..., None]) -> None:
        """Listen on, stay, or end beside somebody who leads by another nodes.conf."""
        listening, node = self.listening, self.driver.node
        if listening is None:
            return
        why = listening.why_not_started()
        stays = node.leads or node.leader_row() is not None \
            or node.parts.database.runs_as_primary or node.parts.vip.here
        if why and not stays:
            self.log.error(why)
            ready(False, why)
            self._exit(FAILED, 'a leader lives by another nodes.conf')
        elif why or stays or clock() >= listening.ends_at():
            self.listening = self.driver.listening = None
            self.driver.memory.is_at_home = True
            ready(True)

    def _tell_service_manager(self) -> None:
        if self.code is not None:
            return
        if self.driver.has_spoken and self.listening is None:
            self.service.started()
        self.service.expire(clock())

    def _next_deadline(self) -> float:
        found = [None if self.listening is None else self.listening.ends_at(),
                 self.driver.node.wake_at, self.children.next_deadline(),
                 self.reused.next_deadline(),
                 self.ipc.next_deadline(), self.disk.next_deadline(),
                 self.driver.telling.next_deadline(), self.own_files.next_deadline(),
                 self.service.next_deadline(), self.history.next_deadline(),
                 None if self.http is None else self.http.next_deadline()]
        return min(instant for instant in found if instant is not None)

    def _exit(self, code: int, reason: str) -> None:
        self.service.stopping()
        self.code, self.reason = code, reason

    def _client_asked(self, client: Any, request: Dict[str, Any], origin: 'Origin') -> None:
        """A utility asked something; a reload is none of the core's."""
        if request != reload.REQUEST:
            if self.http is not None:
                self.http.counters.asked(client, request)
            self.driver.client_asked(client, request, origin)
        elif origin[0] != 'unix':
            self.ipc.answer(client, {'ok': False, 'reason': 'a reload is asked for on the host of '
                                     'the daemon: run `ahm reload` there'})
        else:
            self.log.notice('a reload was asked for by user %s of this host', origin[1])
            self.reload(client)

    def reload(self, client: Any = None) -> None:
        """Read the configuration again; take what can change while running, or nothing."""
        self.log.reopen()
        self.reloading.ask(client)

    def take(self, new: 'Config') -> Dict[str, Any]:
        """Take a configuration that was read anew, as far as it can change while running.

        Returns what `ahm reload` is answered.
        """
        paused = bool(self.driver.node.parts.paused.known_by())
        nodes_change = core_settings(new).cluster != self.driver.node.settings.cluster
        order = ORDER if nodes_change and not paused else 'use `ahm restart`'
        changes = reload.changes(self.config, new, order, paused and not nodes_change)
        refused = [change['name'] for change in changes if change['why']]
        if refused:
            reason = '%s cannot change while the daemon runs; %s' % (', '.join(refused), order)
            self.log.error('reload refused: %s' % reason)
            self.history.add('reload refused', reason, 'reload refused: %s' % reason)
            return {'ok': False, 'reason': reason, 'changes': changes}
        self.config = new
        self.log.configure(new.log_prefix, self._severity(new), self.destination(new))
        self.driver.configure(new)
        self.loop.late_seconds = late_seconds(core_settings(new))
        self.driver.feed(events.SettingsChanged(core_settings(new)))
        self.log.notice('reloaded %s' % new.path)
        self.history.add('reloaded', '', 'reloaded %s' % new.path)
        return {'ok': True, 'changes': changes}

    # -- disks ---------------------------------------------------------------------------------

    def _lines_lost(self, count: int) -> None:
        self.log.lost_lines += count

    def _helper_died(self, text: str) -> None:
        self.log.warning('%s; another one is made' % text)

    def _events_are_lost(self, text: str) -> None:
        if self.code is None:           # else it is the last words that could not be written
            self.driver.feed(events.HistoryLooked(text))

    def _disk_is_slow(self, seconds: float) -> None:
        self.log.warning('the disk of %s has not answered for %.1f s: nothing new is remembered '
                         'until it does, and what needs that is not said'
                         % (self.config.data_dir, seconds))

    def _disk_answers(self, seconds: float) -> None:
        self.log.notice('the disk of %s answers again, after %.1f s'
                        % (self.config.data_dir, seconds))
