"""One node of a lab cluster: its host, its database (a witness has none) and its AHM daemon.

The daemon runs in the foreground (`ahm.py -n`) as a child of the lab with its output in a file, so
that the lab knows at every moment whether it lives.
"""
import os
import signal
import subprocess
import time
from typing import Any, Dict, List, Mapping, Optional

import yaml

from ahmlib.ipc import client
from ahmlib.lab import LabError
from ahmlib.lab.addresses import Plan
from ahmlib.lab.hosts import Finished, Host
from ahmlib.lab.postgres import DATABASE, SUPERUSER, Database, tail
from ahmlib.lab.status import Status, parse_status
from ahmlib.utilities import status_text

Settings = Dict[str, Any]        # lines of ahm_config.yml

STOP_LIMIT = 60.0
STATUS_LIMIT = 10.0


class Node:
    """AHM-NODE-<number> and everything that belongs to it."""

    def __init__(self, number: int, host: Host, database: Optional[Database], plan: Plan) -> None:
        self.number = number
        self.name = node_name(number)
        self.host = host
        self.database = database
        self.plan = plan
        self.config_file = os.path.join(host.directory, 'ahm_config.yml')
        self.log = os.path.join(host.directory, 'ahm.log')
        self.data_dir = host.workspace.make_directory(host.name, 'ahm')
        self.socket_dir = host.workspace.make_directory(host.name, 'ipc')
        self.daemon: Optional[subprocess.Popen[bytes]] = None
        #: The directory whose AHM and utilities run here; a test has another version in it.
        self.source = host.workspace.source

    def configure(self, settings: Settings, nodes_conf: str) -> None:
        """Write ahm_config.yml (this node's own values under `settings`) and nodes.conf."""
        self.write_nodes(nodes_conf)
        self._write(dict(self._own_settings(), **settings))

    @property
    def nodes_file(self) -> str:
        """The path of its nodes.conf."""
        return os.path.join(self.host.directory, 'nodes.conf')

    def write_nodes(self, text: str) -> Optional[str]:
        """Write its nodes.conf anew; a daemon has yet to read it.  Returns what it was before."""
        before = None
        if os.path.exists(self.nodes_file):
            with open(self.nodes_file) as file:
                before = file.read()
        self.host.workspace.write(self.nodes_file, text)
        return before

    def reconfigure(self, **changes: Any) -> None:
        """Change lines of ahm_config.yml (None takes one out); a daemon has yet to read it."""
        with open(self.config_file) as file:
            values = dict(yaml.safe_load(file), **changes)
        self._write(values)

    def _write(self, values: Settings) -> None:
        values = {key: value for key, value in values.items() if value is not None}
        self.host.workspace.write(self.config_file,
                                  yaml.safe_dump(values, default_flow_style=False))

    def _own_settings(self) -> Settings:
        plan = self.plan
        values = {
            'node_name': self.name, 'priority': self.number, 'nodes_filename': 'nodes.conf',
            'is_witness': self.database is None, 'ahm_port': plan.ahm_port,
            'ipc_port': plan.ipc_port, 'data_dir': self.data_dir, 'socket_dir': self.socket_dir,
            'db_user': SUPERUSER, 'db_database': DATABASE, 'db_port': plan.db_port,
        }
        if self.host.kind == 'loopback':
            values['listen_address'] = self.host.address
        if self.database is not None:
            values.update(self.host.vip_commands(), virtual_IP=self.host.vip,
                          conn_string=self.database.conninfo(),
                          db_bin_dir=self.database.installation.bin_dir,
                          db_data_dir=self.database.data_dir)
        return values

    # The daemon

    def _ahm(self, *words: str) -> List[str]:
        script = os.path.join(self.source, 'ahm.py')
        return self.host.python(script, '-f', self.config_file, *words)

    def start_ahm(self, env: Optional[Mapping[str, str]] = None) -> None:
        """Start the daemon in the foreground; returns at once (cluster.wait_until for more).

        `env` is added to its environment.
        """
        if self.ahm_runs():
            raise LabError('the AHM of %s runs already' % self.name)
        self.daemon = self.host.popen(self._ahm('-n', 'start'), log=self.log, capabilities=True,
                                      env=env)

    def ahm_runs(self) -> bool:
        """Whether the daemon started by start_ahm() still runs."""
        return self.daemon is not None and self.daemon.poll() is None

    def restart_ahm(self) -> Finished:
        """`ahm restart` of the daemon that runs in the foreground; its Finished.

        Where it is not refused, the new daemon is nobody's child: for refusals.
        """
        return self.host.run(self._ahm('restart'), check=False, limit=STOP_LIMIT)

    def stop_ahm(self) -> str:
        """`ahm stop`, a goodbye, and wait until the daemon has ended; returns what it said."""
        done = self.host.run(self._ahm('stop'), limit=STOP_LIMIT)
        self._reap()
        return done.output

    def reload_ahm(self, limit: float = STOP_LIMIT, **changes: Any) -> None:
        """Change these lines of ahm_config.yml, and have the daemon take them: `ahm reload`.

        LabError if it does not within `limit` seconds.
        """
        def taken() -> int:
            return tail(self.log, 10 ** 9).count('reloaded ' + self.config_file)
        if changes:
            with open(self.config_file) as file:
                values = dict(yaml.safe_load(file), **changes)
            self.host.workspace.write(self.config_file,
                                      yaml.safe_dump(values, default_flow_style=False))
        before = taken()
        done = self.ask_to_reload(limit)
        if done.code != 0:
            raise LabError('the AHM of %s does not reload: %s' % (self.name, done.output))
        deadline = time.monotonic() + limit
        while taken() == before:
            if time.monotonic() > deadline:
                raise LabError('the AHM of %s does not reload:\n%s' % (self.name, self.log_tail()))
            time.sleep(0.05)

    def ask_to_reload(self, limit: float = STOP_LIMIT) -> Finished:
        """`ahm reload`, as an operator types it, also where it is refused."""
        return self.host.run(self._ahm('reload'), check=False, limit=limit)

    def terminate_ahm(self) -> None:
        """SIGTERM, as a service manager's restart sends it, and wait until it has ended."""
        self._signal(signal.SIGTERM)
        self._reap()

    def kill_ahm(self) -> None:
        """SIGKILL the daemon (not its children) and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._reap()

    def freeze_ahm(self) -> None:
        """SIGSTOP the daemon alone."""
        self._signal(signal.SIGSTOP)

    def thaw_ahm(self) -> None:
        """SIGCONT the daemon."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.daemon is None or not self.ahm_runs():
            raise LabError('the AHM of %s does not run' % self.name)
        self.daemon.send_signal(number)

    def _reap(self, limit: float = STOP_LIMIT) -> None:
        if self.daemon is not None:
            try:
                self.daemon.wait(limit)
            except subprocess.TimeoutExpired:
                raise LabError('the AHM of %s does not end:\n%s' % (self.name, self.log_tail()))

    def log_tail(self, lines: int = 25) -> str:
        """The last lines of the daemon's log, but those of each check."""
        said = [line for line in tail(self.log, 20 * lines).splitlines()
                if not line.startswith('DEBUG ')]
        return '\n'.join(said[-lines:])

    # The utilities

    def utility(self, name: str, *words: str, **options: Any) -> Finished:
        """Run bin/<name> on this host against this node; returns hosts.Finished.

        `check` (default True) raises LabError on failure, `limit` (default 60) bounds its seconds.
        """
        script = os.path.join(self.source, 'bin', name)
        argv = self.host.python(script, '-s', self.socket_dir, '-p', str(self.plan.ipc_port))
        return self.host.run(argv + list(words), **options)

    def status_text(self) -> str:
        """What ahm_cluster_status prints here; exit code 4 (no leader) is a status, too."""
        done = self.utility('ahm_cluster_status', check=False, limit=STATUS_LIMIT)
        if done.code not in (0, 4):
            raise LabError('no status from %s: %s' % (self.name, done.output.strip()))
        return done.output

    def status(self) -> Status:
        """The Status as this node sees the cluster; LabError where its AHM does not answer.

        It is asked from here and printed by the utility's own code: waiting for a table would else
        start one program after the other, and slow down what is waited for.
        """
        try:
            answer = client.ask({'ask': 'status'}, port=self.plan.ipc_port,
                                socket_dir=self.socket_dir, limit=STATUS_LIMIT)
        except (client.NoDaemon, client.NotAllowed, client.ProtocolError) as error:
            raise LabError('no status from %s: %s' % (self.name, error))
        return parse_status(status_text.render(answer['status']))

    # Faults

    def kill_database(self) -> None:
        """kill -9 of the postmaster and all its children."""
        assert self.database is not None
        self.database.kill()

    def power_off(self) -> None:
        """The host's link goes down (in namespaces), then everything on it is killed."""
        self.host.power_off()
        self._reap()

    def power_on(self) -> None:
        """The host is back, with nothing running on it."""
        self.host.power_on()

    def freeze(self) -> None:
        """SIGSTOP of everything on the host (see Switch.freeze for what it is not)."""
        self.host.freeze()

    def thaw(self) -> None:
        """SIGCONT of everything on the host."""
        self.host.thaw()

    def isolate(self) -> None:
        """Cut the host off from all others, silently."""
        self.host.isolate()

    def cut_one_way(self, direction: str) -> None:
        """Nothing reaches the host any more ('in') or leaves it ('out')."""
        self.host.cut_one_way(direction)

    def cut_from(self, other: 'Node') -> None:
        """Cut the connection between this node's host and another Node's only."""
        self.host.cut_from(other.host)

    def loss(self, percent: float) -> None:
        """Lose this percentage of the frames from and to the host."""
        self.host.loss(percent)

    def heal(self) -> None:
        """Take back the faults of the network at this host."""
        self.host.heal()


def node_name(number: int) -> str:
    """The AHM name of node 1, 2, ..."""
    return 'AHM-NODE-%d' % number
