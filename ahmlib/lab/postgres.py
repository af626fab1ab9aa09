"""One PostgreSQL server of the lab, from its making to its end.

Every server of a cluster has the same postgresql.conf, as clones and pg_rewind copy it about; what
differs (port, addresses, name) lies in `server.conf` beside the data directory, included by a
relative path, so that no copy can carry one server's settings into another.
"""
import os
import shutil
import subprocess
import time
from typing import Any, List, Optional, Sequence, Tuple

import psycopg2

from ahmlib.lab import LabError, base_backup, procfs
from ahmlib.lab.bounded import BoundedConnection, TimedOut
from ahmlib.lab.hosts import Finished, Host
from ahmlib.lab.installations import Installation
from ahmlib.lab.users import SAFE_PATH, give_to

SUPERUSER = 'agens'
DATABASE = 'postgres'

COMMON_SETTINGS = """
# The lab's settings; what differs between servers is in the file included last.
wal_level = replica
hot_standby = on
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
max_connections = 60
shared_buffers = 16MB
wal_retrieve_retry_interval = 500ms
wal_receiver_status_interval = 1s
log_line_prefix = '%m [%p] %a '
# Files in the data directory, which go with it; nothing is left in /dev/shm by kill -9.
dynamic_shared_memory_type = mmap
{wal_kept}
include '../server.conf'
"""


class Database:
    """One server on a host: its data directory, its UNIX socket's directory, its port.

    `name` is the AHM node's: the server's cluster_name, and as a standby its application_name.
    `listen` are the addresses it listens on ('*' or a comma-separated list), `network` is the
    network (CIDR) that may connect without a password, `settings` further lines of its
    configuration.
    """

    def __init__(self, installation: Installation, host: Host, name: str, port: int, listen: str,
                 network: str, settings: Sequence[str] = ()) -> None:
        self.installation = installation
        self.host = host
        self.name = name
        self.port = port
        self.listen = listen
        self.network = network
        self.settings = settings
        self.data_dir = os.path.join(host.directory, 'data')
        self.socket_dir = host.workspace.make_directory(host.name, 's')
        self.log = os.path.join(host.directory, 'postgresql.log')

    def program(self, name: str) -> Optional[str]:
        """The path of one of PostgreSQL's programs; None where this installation lacks it."""
        return self.installation.program(name)

    def init_primary(self) -> None:
        """Make a new database system with the superuser `agens`; it is not started."""
        # Nothing is synced here: a lab that loses its machine is made again.  The server itself
        # syncs as ever, or kill -9 would not be the test it is meant to be.
        self.host.run([self.installation.initdb, '-D', self.data_dir, '-U', SUPERUSER,
                       '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'])
        with open(os.path.join(self.data_dir, 'postgresql.conf'), 'a') as file:
            new = self.installation.version >= 13
            file.write(COMMON_SETTINGS.format(
                wal_kept='wal_keep_size = 256MB' if new else 'wal_keep_segments = 16'))
        lines = ['local all all trust', 'local replication all trust',
                 'host all all %s trust' % self.network,
                 'host replication all %s trust' % self.network]
        with open(os.path.join(self.data_dir, 'pg_hba.conf'), 'w') as file:
            file.write('\n'.join(lines) + '\n')
        self._write_server_settings()

    def _write_server_settings(self) -> None:
        path = os.path.join(self.host.directory, 'server.conf')
        self.host.workspace.write(path, (
            "port = %d\nlisten_addresses = '%s'\nunix_socket_directories = '%s'\n"
            "cluster_name = '%s'\n" % (self.port, self.listen, self.socket_dir, self.name)
            + ''.join(line + '\n' for line in self.settings)))

    def copy_of(self, data_dir: str, primary: Optional['Database'] = None) -> None:
        """Become a copy of a stopped server, and a standby of another copy where one is named."""
        self.host.run(['cp', '-a', data_dir, self.data_dir])
        if primary is not None:
            base_backup.make_standby(self.data_dir, self._conninfo_to(primary),
                                     self.installation.version)
            give_to(self.host.workspace.user, self.data_dir)
        self._write_server_settings()

    def _conninfo_to(self, primary: 'Database') -> str:
        return 'host=%s port=%d user=%s application_name=%s' % (
            primary.host.address, primary.port, SUPERUSER, self.name)

    def clone_from(self, primary: 'Database') -> None:
        """Become a standby of another Database, which runs; this one is not started.

        application_name goes in with the connection string: -R writes down what it was told.
        """
        self.discard()
        shutil.rmtree(self.data_dir, ignore_errors=True)
        conninfo = self._conninfo_to(primary)
        program = self.program('pg_basebackup')
        if program is not None:
            self.host.run([program, '-d', conninfo, '-D', self.data_dir, '-R', '-X', 'stream',
                           '-c', 'fast', '--no-sync'], limit=120)
        else:
            version = self.installation.version
            base_backup.take(primary.data_dir, self.data_dir, primary.conninfo(), version)
            base_backup.make_standby(self.data_dir, conninfo, version)
            give_to(self.host.workspace.user, self.data_dir)
        self._write_server_settings()

    def _control(self, action: str, *words: str, **options: Any) -> Finished:
        """Run pg_ctl, or ag_ctl where the installation has that instead."""
        program = self.installation.control_program
        assert program is not None
        return self.host.run([program, action, '-D', self.data_dir] + list(words), **options)

    def start(self, limit: float = 60) -> None:
        """Start the server and wait, at most `limit` seconds, until it accepts connections."""
        # PostgreSQL would take the zombie of a killed postmaster for one that runs.
        procfs.wait_reaped(self._pid_on_file() or 0)
        done = self._control('start', '-l', self.log, '-w', '-t', str(limit), limit=limit + 10,
                             check=False)
        if done.code != 0:
            raise LabError('%s does not start: %s\n%s'
                           % (self.name, done.output.strip(), self.log_tail()))

    def stop(self, mode: str = 'fast', limit: float = 60) -> None:
        """Stop the server with pg_ctl's fast or immediate mode; LabError if it does not."""
        self._control('stop', '-m', mode, '-w', '-t', str(limit), limit=limit + 10)

    def pids(self) -> List[int]:
        """The ids of the server's processes: those that work in its data directory."""
        return procfs.working_below(self.data_dir)

    def _pid_on_file(self) -> Optional[int]:
        """The process id in postmaster.pid; None without one."""
        try:
            with open(os.path.join(self.data_dir, 'postmaster.pid')) as file:
                return int(file.readline())
        except (OSError, ValueError):
            return None

    def postmaster(self) -> Optional[int]:
        """The id of the server's first process; None where it does not run."""
        pid = self._pid_on_file()
        return pid if pid in self.pids() else None

    def kill(self) -> None:
        """kill -9 of the postmaster and all its children.

        One whose child is killed alone would restart the others, and whose parent has died ends.
        """
        procfs.kill_all(self.pids, first=self.postmaster())

    def discard(self) -> None:
        """Kill the server for good: with what the kernel keeps for it after a kill -9.

        A restart in the same data directory removes the old shared memory segment by itself; where
        none will come, it is removed here (line 7 of postmaster.pid: its key and its id).
        """
        self.kill()
        try:
            with open(os.path.join(self.data_dir, 'postmaster.pid')) as file:
                segment = file.read().splitlines()[6].split()[1]
        except (OSError, IndexError):
            return
        if shutil.which('ipcrm', path=SAFE_PATH):
            subprocess.run(['ipcrm', '-m', segment], env={'PATH': SAFE_PATH},
                           stderr=subprocess.DEVNULL)

    def is_running(self) -> bool:
        """Whether the server has any process."""
        return bool(self.pids())

    def promote(self, limit: float = 60) -> None:
        """Promote the standby by hand and wait until it accepts writes."""
        self._control('promote', limit=limit)
        deadline = time.monotonic() + limit
        while self.sql('SELECT pg_is_in_recovery()') != [(False,)]:
            if time.monotonic() > deadline:
                raise LabError('%s is not promoted:\n%s' % (self.name, self.log_tail()))
            time.sleep(0.02)

    def conninfo(self) -> str:
        """The connection string through the UNIX socket, which no network fault stops."""
        return 'host=%s port=%d user=%s dbname=%s' % (
            self.socket_dir, self.port, SUPERUSER, DATABASE)

    def sql(self, statement: str, arguments: Any = None,
            limit: float = 10.0) -> List[Tuple[Any, ...]]:
        """Run one statement; a list of tuples.  LabError where the server cannot or is silent."""
        try:
            connection = BoundedConnection(self.conninfo(), limit)
            try:
                return connection.execute(statement, arguments)
            finally:
                connection.close()
        except (psycopg2.Error, TimedOut) as error:
            raise LabError('%s: %s: %s' % (self.name, statement, str(error).strip()))

    def streams_from(self, primary: 'Database') -> bool:
        """Whether `primary` streams to this server under this server's name now."""
        rows = primary.sql("SELECT application_name FROM pg_stat_replication "
                           "WHERE state = 'streaming'")
        return (self.name,) in rows

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the server's log."""
        return tail(self.log, lines)


def tail(path: str, lines: int) -> str:
    """The last lines of a text file, as one str; empty where there is none."""
    try:
        with open(path, errors='replace') as file:
            return ''.join(file.readlines()[-lines:])
    except OSError:
        return ''
