"""A whole cluster on loopback addresses, as one context manager.

    with Cluster(nodes=3, settings={'pre_promotion_command': '/bin/true'}) as cluster:
        cluster.start_ahm()
        cluster.wait_until(lambda: cluster.nodes[1].status().leader == 'AHM-NODE-1', 20, 'a leader')
        client, prober = cluster.start_client(), cluster.start_prober()
        fault_at = time.monotonic()
        cluster.nodes[0].kill_database()
        ...
        print(record.write_outage(client.stop(), fault_at))

Entering it makes and starts the databases (node 1 the primary, the others streaming standbys);
the AHM daemons are started when start_ahm() is called.  Leaving it, also by an exception or the
end of the interpreter, ends every process and file of it.  The tests have another Cluster on top of
this one, with more kinds of host and of fault (tests/lab/cluster.py).
"""
import atexit
import contextlib
import os
import signal
import subprocess
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple, TypeVar

from ahmlib.lab import LabError, addresses, record, template
from ahmlib.lab.hosts import Host, LoopbackHost, MachineHost
from ahmlib.lab.installations import Installation, find_postgres, usable_by
from ahmlib.lab.node import Node, node_name
from ahmlib.lab.postgres import DATABASE, SUPERUSER, Database
from ahmlib.lab.workspace import Workspace

T = TypeVar('T')
Settings = Dict[str, Any]        # lines of ahm_config.yml

# Fast, so that a failover is; every value is legal in production.
DEFAULTS = {
    'beacon_message_interval_seconds': 0.5,
    'beacon_message_retry_count': 2,
    'health_check_period': 0.5,
    'max_consec_failures': 2,
    'db_connect_timeout': 2,
    'wait_for_primary_timeout_seconds': 5,
    'promote_leader_timeout_seconds': 20,
    'standby_startup_delay': 0.5,
    'log_severity': 'DEBUG',
}
POLL_INTERVAL = 0.05
IDS_PER_CLIENT = 10 ** 9


class Recorder:
    """The client or the prober, running; what it has written down so far."""

    def __init__(self, host: Host, module: str, number: int, words: Sequence[str]) -> None:
        name = '%s-%d.jsonl' % (module.rpartition('.')[2], number)
        self.path = os.path.join(host.directory, name)
        self.log = self.path + '.log'
        argv = host.python('-m', module, '--record', self.path, *words)
        self.process = host.popen(argv, log=self.log)

    def attempts(self) -> List[record.Attempt]:
        """The record.Attempts so far, oldest first."""
        return record.load(self.path) if os.path.exists(self.path) else []

    def runs(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is attempted inside (SIGSTOP), but what was sent before may still take effect."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> List[record.Attempt]:
        """End the process and return all its attempts; LabError where it ended before."""
        if not self.runs():
            with open(self.log, errors='replace') as file:
                raise LabError('%s ended by itself: %s' % (self.path, file.read()))
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise LabError('%s did not end on SIGTERM' % self.path)
        return self.attempts()


class Cluster:
    """`nodes` nodes with a database and `witnesses` without.

    `settings` are lines of every ahm_config.yml (None takes one out), `node_settings` the same for
    single nodes: {'AHM-NODE-2': {'priority': 0}}.  `vip=False` leaves the VIP out of the
    configuration.  `installation` is the PostgreSQL to use (default: the machine's first),
    `server_settings` are lines of every server's configuration.  Raises LabError where the machine
    lacks what it takes.
    """

    def __init__(self, nodes: int = 3, witnesses: int = 0, settings: Optional[Settings] = None,
                 node_settings: Optional[Dict[str, Settings]] = None, vip: bool = True,
                 installation: Optional[Installation] = None,
                 server_settings: Sequence[str] = ()) -> None:
        self.size = nodes
        self.witnesses = witnesses
        self.settings = dict(DEFAULTS, **(settings or {}))
        self.node_settings = node_settings or {}
        if not vip:
            self.settings.update(dict.fromkeys(
                ('virtual_IP', 'if_up_cmd', 'if_down_cmd', 'if_check_cmd', 'arping_cmd')))
        self.installation = installation or find_postgres()
        self.server_settings = server_settings
        self.nodes: List[Node] = []
        self._recorders = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> 'Cluster':
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End and remove everything of this cluster."""
        atexit.unregister(self.close)
        self._stack.close()

    # Making it

    def _build(self) -> None:
        total = self.size + self.witnesses
        self.plan = self._choose_plan(total)
        self.workspace = self._stack.enter_context(Workspace())
        self.original_installation = self.installation
        self.installation = usable_by(self.workspace.user, self.installation,
                                      self.workspace.directory)
        for number in range(1, total + 1):
            self._make_node(number)
        self.client_host = self._host('cl', self.plan.client)
        self.prober_host = MachineHost(self.workspace, 'pr')
        self._make_databases()
        self._configure()

    def _choose_plan(self, total: int) -> addresses.Plan:
        """The addresses.Plan for so many nodes."""
        return addresses.loopback_plan(total)

    def _host(self, name: str, address: str) -> Host:
        """The Host of this name and address, made."""
        return LoopbackHost(self.workspace, name, address, self.plan.vip, self.plan.db_port)

    def _listening(self, host: Host) -> Tuple[str, str]:
        """(the addresses that the database of a host listens on, the network that may connect)."""
        return host.address, '127.0.0.0/8'

    def _make_node(self, number: int) -> None:
        host = self._host('h%d' % number, self.plan.node(number))
        database = None
        if number <= self.size:
            listen, network = self._listening(host)
            database = Database(self.installation, host, node_name(number), self.plan.db_port,
                                listen, network, self.server_settings)
            self._stack.callback(database.discard)
        self.nodes.append(Node(number, host, database, self.plan))

    def _make_databases(self) -> None:
        databases = self.databases()
        primary = databases[0]
        source = template.data_directory(self.original_installation, primary.network)
        for database in databases:
            database.copy_of(source, None if database is primary else primary)
            database.start()
        for standby in databases[1:]:
            self.wait_until(lambda: standby.streams_from(primary), 30,
                            '%s to stream from the primary' % standby.name)

    def _configure(self) -> None:
        lines = ['%s:%d' % (node.host.address, self.plan.ahm_port) for node in self.nodes]
        for node in self.nodes:
            own = self.node_settings.get(node.name, {})
            node.configure(dict(self.settings, **own), '\n'.join(lines) + '\n')

    # Using it

    def databases(self) -> List[Database]:
        """The Databases, in the order of the nodes."""
        return [node.database for node in self.nodes if node.database is not None]

    def node(self, name: str) -> Node:
        """The Node of this AHM name."""
        return next(node for node in self.nodes if node.name == name)

    def start_ahm(self) -> None:
        """Start the AHM daemons of all nodes."""
        for node in self.nodes:
            node.start_ahm()

    def primaries(self) -> List[Node]:
        """The nodes whose database accepts writes now, by what each says through its socket."""
        return [node for node in self.nodes if node.database is not None
                and _is_primary(node.database)]

    def vip_holders(self) -> List[Node]:
        """The nodes on whose host the VIP is now."""
        return [node for node in self.nodes if node.host.holds_vip()]

    def start_client(self, limit: Optional[float] = None) -> Recorder:
        """Start the client that writes through the VIP; returns its Recorder.

        `limit` bounds each of its connects and statements, in seconds (None: its own default).
        """
        conninfo = 'host=%s port=%d user=%s dbname=%s' % (self.plan.vip, self.plan.db_port,
                                                          SUPERUSER, DATABASE)
        # A second client must not write the first one's ids again.
        first = self._recorders * IDS_PER_CLIENT + 1
        return self._recorder(self.client_host, 'ahmlib.lab.client',
                              ['--conninfo', conninfo, '--first', str(first)], limit)

    def start_prober(self, limit: Optional[float] = None) -> Recorder:
        """Start the prober that tries an INSERT on every server; returns its Recorder.

        `limit` as that of start_client().
        """
        words = []
        for database in self.databases():
            words += ['--server', '%s=%s' % (database.name, database.conninfo())]
        return self._recorder(self.prober_host, 'ahmlib.lab.prober', words, limit)

    def _recorder(self, host: Host, module: str, words: List[str],
                  limit: Optional[float]) -> Recorder:
        self._recorders += 1
        if limit is not None:
            words = words + ['--limit', str(limit)]
        return Recorder(host, module, self._recorders, words)

    def ids_on(self, node: Node) -> Set[int]:
        """The ids of the client's rows that a node's database has, as a set of int."""
        assert node.database is not None
        return {row[0] for row in node.database.sql('SELECT id FROM lab_rows')}

    def wait_until(self, predicate: Callable[[], Optional[T]], limit: float, what: str,
                   pause: float = POLL_INTERVAL) -> T:
        """Wait until predicate() is true and return its value; `pause` seconds between two looks.

        A LabError in it counts as not yet.  Raises LabError after `limit` seconds, with what was
        seen last and the ends of the daemons' logs.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                seen = predicate()
            except LabError as error:
                seen, last = None, str(error)
            else:
                last = repr(seen)
            if seen:
                return seen
            if time.monotonic() > deadline:
                raise LabError('waited %g s in vain for %s; last seen: %s%s'
                               % (limit, what, last, self.log_tails()))
            time.sleep(pause)

    def log_tails(self) -> str:
        """The ends of all daemons' logs, headed by the nodes' names, as one text."""
        return ''.join('\n--- %s%s ---\n%s' % (node.name, '' if node.ahm_runs() else ' (ended)',
                                               node.log_tail())
                       for node in self.nodes if node.daemon is not None)


def _is_primary(database: Database) -> bool:
    """Whether it accepts writes; one that does not answer is none."""
    try:
        return database.sql('SELECT pg_is_in_recovery()') == [(False,)]
    except LabError:
        return False
