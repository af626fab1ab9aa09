"""What a start meets beside its configuration: a daemon that runs, files, ports, rights."""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Iterator, List, Tuple

from ahmlib.checking import lines
from ahmlib.checking.facts import Daemon, Host, Memory, Start
from ahmlib.checking.finding import ERROR, WARNING, Rule, Verdict, well
from ahmlib.core.policy.foreign import ORDER
from ahmlib.database import conninfo
from ahmlib.ipc.listeners import unix_path
from ahmlib.runtime.settings import core_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

GROUP_MAY_READ, OTHERS_MAY_READ = 0o040, 0o004
#: The parameters that may hold a password.
STRINGS = ('conn_string', 'primary_conninfo_options')


def user(config: 'Config', host: Host) -> Iterator[Verdict]:
    """AHM runs as whom data_dir belongs to."""
    del config
    if host.another_user:
        yield Verdict(WARNING, host.user, host.another_user, host.remedy)
    else:
        yield well(host.user, 'asked as %s' % host.user)


def socket_in_tmp(config: 'Config', host: Host) -> Iterator[Verdict]:
    """A cleaner of /tmp takes sockets, too."""
    path = unix_path(config.socket_dir, config.ipc_port)
    if not (config.socket_dir + '/').startswith('/tmp/') or not host.has_systemd:
        yield well('socket_dir', config.socket_dir)
    elif any(fnmatchcase(path, pattern) for pattern in host.kept_in_tmp):
        yield well('socket_dir', '%s, which tmpfiles.d excepts from cleaning' % path)
    else:
        yield Verdict(WARNING, 'socket_dir', '%s, and no line of tmpfiles.d excepts it' % path,
                      '/etc/tmpfiles.d/ahm.conf: x /tmp/.s.AHM.*')


def password_file(config: 'Config', host: Host) -> Iterator[Verdict]:
    """Who reads the file has the password."""
    holders = _with_password(config)
    who = 'everybody' if host.config_mode & OTHERS_MAY_READ else \
        'its group' if host.config_mode & GROUP_MAY_READ else ''
    if not holders or not who:
        yield well(config.path, 'no password that others could read')
        return
    for name in holders:
        yield Verdict(ERROR if who == 'everybody' else WARNING, name,
                      'a password in %s, mode %04o, which %s may read' % (
                          config.path, host.config_mode, who),
                      'chmod 600 %s, or put the password into ~/.pgpass' % config.path)


def _with_password(config: 'Config') -> List[str]:
    return [name for name in STRINGS if conninfo.parse(getattr(config, name) or '').get('password')]


def daemon(config: 'Config', running: Daemon) -> Iterator[Verdict]:
    """Whether one runs: it has the ports then, and a start is refused."""
    yield well(config.data_dir, 'no daemon runs' if running.pid is None else
               'a daemon runs, PID %d' % running.pid)


def nodes_changed(config: 'Config', running: Daemon, memory: Memory) -> Iterator[Verdict]:
    """To change nodes.conf, or the quorum rule, node by node takes the majority from both."""
    before = memory.cluster if running.cluster is None else running.cluster
    assert config.nodes is not None
    if before in (None, core_settings(config).cluster):
        yield well('nodes.conf', 'the nodes and the quorum rule of the last start')
        return
    yield Verdict(WARNING, 'nodes.conf', '%s or failover_consensus_with_half_votes is another than '
                  'that by which AHM %s' % (config.nodes.path, 'runs here' if running.pid else
                                            'ran here last'), ORDER)


def state_file(config: 'Config', memory: Memory) -> Iterator[Verdict]:
    """A start without its memory would forget votes and promises."""
    if memory.refused:
        found, remedy = _apart(memory.refused)
        yield Verdict(ERROR, 'data_dir', found, remedy)
    elif memory.damaged:
        yield Verdict(WARNING, 'data_dir', memory.damaged,
                      'look at the disk of %s; a start counts it as none' % config.data_dir)
    else:
        yield well('data_dir', 'the state file can be read' if memory.is_there
                   else 'no state file, as before the first start')


def _apart(text: str) -> Tuple[str, str]:
    """(what was found, what to do) of what a start would say."""
    found, _, remedy = text.partition('; ')
    return found, remedy or 'look at what is named'


def log(config: 'Config', start: Start) -> Iterator[Verdict]:
    """Why a failover happened, or did not, is in the log alone."""
    if start.log:
        found, remedy = _apart(start.log)
        yield Verdict(ERROR, 'log_filename', found, lines.of_config(
            config, 'log_filename', remedy))
    elif start.syslog:
        yield Verdict(WARNING, 'log_filename', 'not set, and there is no syslog (%s)'
                      % start.syslog, lines.of_config(
                          config, 'log_filename', 'log_filename: ahm.log'))
    else:
        yield well('log_filename', config.log_filename or 'syslog')


def ports(config: 'Config', running: Daemon, start: Start) -> Iterator[Verdict]:
    """Without them there is no start."""
    for why in start.ports:
        found, remedy = _apart(why)
        key = 'ahm_port' if why.startswith('cannot bind') or 'multicast' in why else 'ipc_port'
        yield Verdict(ERROR, 'http_port' if why.endswith('http_port') else key, found, remedy)
    if not start.ports:
        yield well('ahm_port, ipc_port', '%d and %d %s' % (
            config.ahm_port, config.ipc_port, 'can be had' if running.pid is None
            else 'are those of the daemon that runs'))


RULES = (
    Rule('user', 'what another user may read, run and bind says nothing of AHM', ('host',), user,
         of_database=False),
    Rule('socket-dir-tmp', 'the cleaner of /tmp removes sockets that are older than ten days; the '
         'utilities reach no daemon until its next health check', ('host',), socket_in_tmp,
         of_database=False),
    Rule('password-file', 'whoever reads it can log in as the user that AHM connects as',
         ('host',), password_file, of_database=False),
    Rule('daemon', 'two daemons of one data_dir are refused', ('daemon',), daemon,
         of_database=False),
    Rule('nodes-changed', 'restarted node by node, no majority is left for either',
         ('daemon', 'memory'), nodes_changed, of_database=False),
    Rule('state-file', 'a start without it would forget votes and promises', ('memory',),
         state_file, of_database=False),
    Rule('log', 'why a failover happened, or did not, is in the log alone', ('start',), log,
         of_database=False),
    Rule('ports', 'AHM does not start without its ports', ('daemon', 'start'), ports,
         of_database=False),
)
