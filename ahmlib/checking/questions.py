"""What is asked.  Each function runs in a child process with a limit, and changes nothing.

What the daemon asks, too, is asked by its own functions: `probe.check_local`,
`rehearsal.rehearse_handover` and `network.rehearsal.rehearse`, its sockets, its state file.
"""

import glob
import os
import stat
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ahmlib.checking.facts import Daemon, Host, Memory, Start, Takeover
from ahmlib.config import host as config_host
from ahmlib.config import loader
from ahmlib.core.limits import REHEARSE_SECONDS
from ahmlib.core.settings import split_address
from ahmlib.database import conninfo, control, control_file, probe
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.survey import survey
from ahmlib.ipc import client, listeners
from ahmlib.network import rehearsal, vip
from ahmlib.network.udp import BeaconSocket, UdpError
from ahmlib.process import units, users
from ahmlib.runtime import memory as daemon_memory
from ahmlib.runtime.find import LIMIT_SECONDS as FIND_SECONDS
from ahmlib.runtime.find import find_daemon, places, tells
from ahmlib.runtime.log import Log, syslog_problem
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.pid_file import PidFileError
from ahmlib.runtime.reload import StartError, check_log_file, pack
from ahmlib.runtime.settings import core_settings, hooks, multicast, needs_ping, vip_settings
from ahmlib.runtime.state_file import StateFileCorrupt, StateFileError

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

Answer = Dict[str, Any]

#: What a cleaner of /tmp leaves alone is in files of these directories.
TMPFILES = ('/etc/tmpfiles.d', '/run/tmpfiles.d', '/usr/lib/tmpfiles.d')
SYSTEMD = '/run/systemd/system'
PROBLEM_PARTS = ('path', 'line', 'key', 'found', 'expected', 'remedy', 'code')


def load(path: str) -> Answer:
    """The Config of this file as a start reads it, packed; or what is wrong with it, in parts."""
    try:
        return {'ok': True, 'config': pack(loader.load(path))}
    except loader.ConfigError as error:
        # What the user that runs AHM may do here is not known; all else can be asked.
        if [problem.code for problem in error.problems] == [config_host.USER]:
            return {'ok': True, 'config': pack(loader.load(path, check_host=False))}
        return {'ok': False, 'problems': [
            {part: getattr(problem, part) for part in PROBLEM_PARTS} for problem in error.problems]}


def host(config: 'Config') -> Host:
    """The Host as this process sees it."""
    uid = os.geteuid()
    found = Host(users.called(uid), uid, None, stat.S_IMODE(os.stat(config.path).st_mode),
                 os.path.isdir(SYSTEMD), _kept(), server_unit=_server_unit(config))
    path, owner = config_host.owner_of(config.data_dir)
    if owner is None:
        return found
    return found._replace(ahm_uid=owner, ahm_user='%s belongs to %s' % (path, users.called(owner)),
                          remedy=config_host.run_as(owner))


def _server_unit(config: 'Config') -> Optional[str]:
    """The unit of the server of db_data_dir; None where that cannot be told."""
    if not config.db_data_dir:
        return None
    try:
        pid = control.postmaster(config.db_data_dir)
        if pid is None:
            return None
        with open('/proc/%d/cgroup' % pid, encoding='utf-8', errors='replace') as file:
            return units.unit_of(file.read())
    except OSError:                     # Blind among them, which is told elsewhere
        return None


def _kept() -> List[str]:
    """The paths (patterns) that tmpfiles.d excepts from cleaning: lines of type x or X."""
    found = []
    for directory in TMPFILES:
        for path in sorted(glob.glob(os.path.join(directory, '*.conf'))):
            try:
                with open(path, encoding='utf-8', errors='replace') as file:
                    words = [line.split() for line in file]
            except OSError:
                continue                # who may not read it is told of the file in /tmp
            found += [line[1] for line in words if len(line) > 1 and line[0] in ('x', 'X')]
    return found


def daemon(config: 'Config') -> Any:
    """The Daemon of this Config; a dict with why, where one may run and cannot be told."""
    try:
        pid = find_daemon(places(config))
    except PidFileError as error:
        return {'ok': False, 'reason': str(error)}
    if pid is None:
        return Daemon(None)
    try:
        status = client.ask({'ask': 'status'}, port=config.ipc_port, socket_dir=config.socket_dir,
                            limit=FIND_SECONDS)['status']
        nodes = {line['address']: line for line in status['nodes']}
    except (client.NoDaemon, client.NotAllowed, client.ProtocolError, KeyError, TypeError):
        nodes = {}                      # it runs; what it would say of the others is not known
    return Daemon(pid, tells(places(config)).get('cluster'), nodes, rehearsal.passed_on(pid),
                  _runs_as(pid))


def _runs_as(pid: int) -> Optional[int]:
    """The user of this process; None where it is gone."""
    try:
        with open('/proc/%d/status' % pid) as lines:
            return next(int(line.split()[2]) for line in lines if line.startswith('Uid:'))
    except (OSError, StopIteration):
        return None


def memory(config: 'Config') -> Memory:
    """What a start would find in data_dir."""
    settings = core_settings(config)
    try:
        kept = daemon_memory.Memory(config.data_dir, settings.addresses, cluster=settings.cluster)
        saved = kept.load()
    except StateFileError as error:
        return Memory(refused=str(error))
    except StateFileCorrupt as error:
        return Memory(damaged=str(error))
    return Memory(is_there=saved is not None, cluster=kept.cluster_before)


def start(config: 'Config', runs: bool) -> Start:
    """What a start would meet.  `runs`: a daemon does, and has the ports."""
    why = ''
    if config.log_filename:
        try:
            check_log_file(os.path.join(config.data_dir, config.log_filename), is_made=False)
        except StartError as error:
            why = str(error)
    syslog = '' if config.log_filename else syslog_problem()
    return Start(why, syslog, () if runs else tuple(_refused_ports(config)))


def _refused_ports(config: 'Config') -> List[str]:
    """Why sockets cannot be opened; each is closed again at once."""
    settings, found = core_settings(config), []
    own, loop = split_address(settings.addresses[settings.own]), Loop(clock)
    try:
        log = Log('', 'CRITICAL', 'stderr', config.node_name, clock)
        BeaconSocket(own, (), lambda data, peer: None, loop, log, multicast(config)).close()
    except UdpError as error:
        found.append(str(error))
    for name, address in (('ipc_port', config.listen_address),
                          ('http_port', config.http_listen_address)):
        try:
            for listener in listeners.listen_tcp(getattr(config, name), address, name) \
                    if getattr(config, name) is not None else ():
                listener.close()
        except listeners.IpcError as error:
            found.append(str(error))
    try:
        listeners.is_left_over(listeners.unix_path(config.socket_dir, config.ipc_port))
    except listeners.IpcError as error:
        found.append(str(error))
    return found


def identifier(data_dir: str) -> Answer:
    """The system identifier of the database in this directory; '' where there is none."""
    try:
        os.stat(os.path.join(data_dir, 'PG_VERSION'))
    except (FileNotFoundError, NotADirectoryError):
        return {'ok': True, 'identifier': ''}
    except OSError:
        pass                            # it is there, and what cannot be read is told below
    try:
        return {'ok': True, 'identifier': control_file.stamp(data_dir).system_identifier}
    except (OSError, ValueError) as error:
        return {'ok': False, 'reason': 'the control file of %s cannot be read: %s' % (
            data_dir, getattr(error, 'strerror', None) or error)}


def other(settings: DatabaseSettings, address: Tuple[str, int], replication_user: str,
          limit: float) -> Answer:
    """The server of another node: what its probe finds, and its Survey where it answers."""
    found = probe.probe_remote(settings, address[0], address[1], limit)
    if not found.answered:
        return {'ok': True, 'found': found, 'survey': None}
    return {'ok': True, 'found': found, 'survey': survey(
        conninfo.remote_conn_string(settings, *address), replication_user, limit)}


def db_commands(config: 'Config') -> Dict[str, Any]:
    """Which of the commands that start and stop the database sudo refuses, {'refused': sentences}.
    """
    names = ('db_start_command', 'db_stop_command', 'db_restart_command')
    commands = {name: getattr(config, name) for name in names if getattr(config, name)}
    return {'ok': True, 'refused': rehearsal.refused_by_sudo(commands, REHEARSE_SECONDS)}


def takeover(config: 'Config') -> Takeover:
    """A rehearsal, as the daemon of this node has it: of ping alone where it never takes over."""
    settings = vip_settings(config)
    if not config.is_witness and config.priority:
        found = rehearsal.rehearse(settings, hooks(config), REHEARSE_SECONDS, needs_ping(config))
        return Takeover(found['fails'], found['lacks'])
    tried = vip.try_ping(settings, REHEARSE_SECONDS) if needs_ping(config) else {'ok': True}
    return Takeover((), () if tried['ok'] else ('ping: it does not work here: %s'
                                                % tried['reason'],))
