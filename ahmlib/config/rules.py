"""How parameters have to fit each other.

RULES are requirements: a configuration that breaks one cannot be safe, or cannot work at all, and
is refused.  ADVICE are warnings: what is legal and unwise; the table in schema.py adds what has no
effect yet.  The text of a row is what the person at the terminal reads.
"""

import ipaddress
import os
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.config.nodes_file import Entry
from ahmlib.config.timing import timing_of
from ahmlib.database import conninfo
from ahmlib.network.addresses import canonical

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

SHELL_WORDS = frozenset(['|', '||', '&&', '&', ';', '>', '>>', '<', '2>', '2>&1', '>/dev/null'])
COMMANDS = ('pre_promotion_command', 'promotion_command', 'post_promotion_command',
            'follow_command', 'notification_command', 'service_restart_command',
            'db_start_command', 'db_stop_command', 'db_restart_command',
            'if_up_cmd', 'if_down_cmd', 'if_check_cmd', 'arping_cmd')
VIP_COMMANDS = ('if_up_cmd', 'if_down_cmd', 'if_check_cmd', 'arping_cmd')
# What AHM remembers, in data_dir: nothing else may be written there under these names.
STATE_NAME, LEASE_NAME, LOCK_NAME = MEMORY_NAMES = ('ahm.state', 'ahm.lease', 'ahm.state.lock')
# The most that the kernel takes as a UNIX socket's path.
SOCKET_PATH_MAX = 107
# Watchdogs count whole seconds, and at least one.
LEAST_WATCHDOG_SECONDS = 1.0
# What the core calls a standby that commits wait for while there are too few (claims.NOBODY).
NOBODY_YET = 'ahm_nobody_yet'


class Rule(NamedTuple):
    """`is_met(config)`: whether the parameters `keys` of a Config fit each other.

    `code`: what ahm_check_config(1) calls it, for good.
    `text`: in RULES what is required, in ADVICE what happens otherwise.
    `is_advice`: of ADVICE, it makes nothing worse that a monitor has to be told of.
    """

    code: str
    keys: Tuple[str, ...]
    text: str
    remedy: str
    is_met: Callable[['Config'], bool]
    needs_nodes: bool = False
    is_advice: bool = False


def _entries(config: 'Config') -> Tuple[Entry, ...]:
    """The nodes; for a Rule that needs them."""
    assert config.nodes is not None
    return config.nodes.entries


def _size(config: 'Config') -> int:
    return len(_entries(config))


def _node_hosts(config: 'Config') -> List[str]:
    return [entry.host for entry in _entries(config)]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _trusts_outsiders(config: 'Config') -> bool:
    """A node, the VIP or this host itself would answer an isolated leader as well."""
    inside = set(_node_hosts(config)) | {config.virtual_ip}
    return not inside.intersection(config.trusted_servers)


def _trusts_no_loopback(config: 'Config') -> bool:
    """A cluster that lives on loopback addresses is a laboratory and may."""
    return (any(_is_loopback(host) for host in _node_hosts(config))
            or not any(_is_loopback(server) for server in config.trusted_servers))


def _socket_path_fits(config: 'Config') -> bool:
    path = os.path.join(config.socket_dir, '.s.AHM.%d' % config.ipc_port)
    return len(os.fsencode(path)) <= SOCKET_PATH_MAX


def _in_data_dir(config: 'Config', name: str) -> str:
    return os.path.normpath(os.path.join(config.data_dir, name))


def _is_no_memory(config: 'Config', name: Optional[str]) -> bool:
    """Whether a file, relative to data_dir, is none of those that AHM needs for itself."""
    return name is None or _in_data_dir(config, name) not in [
        _in_data_dir(config, own) for own in MEMORY_NAMES]


def _is_no_pid_file(config: 'Config') -> bool:
    return config.log_filename is None or _in_data_dir(config, config.log_filename) != \
        _in_data_dir(config, config.pid_file_name)


def _watchdog_is_in_time(config: 'Config') -> bool:
    timing = timing_of(config)
    return (config.watchdog_device is None or config.watchdog_mode != 'required'
            or timing.lease + timing.fence > LEAST_WATCHDOG_SECONDS)


def _same_family(config: 'Config') -> bool:
    if config.multicast_group is None:
        return True
    version = ipaddress.ip_address(config.multicast_group).version
    return all(ipaddress.ip_address(host).version == version for host in _node_hosts(config))


RULES = (
    Rule('vip-commands', ('virtual_IP', 'if_up_cmd', 'if_down_cmd'),
         'virtual_IP comes with if_up_cmd and if_down_cmd, which raise and drop it',
         'set both, or leave virtual_IP out',
         lambda c: c.virtual_ip is None or bool(c.if_up_cmd and c.if_down_cmd)),
    Rule('vip-is-a-node', ('virtual_IP',),
         'virtual_IP is none of the addresses in nodes.conf: it moves, they stay',
         'choose an address that belongs to no host',
         lambda c: c.virtual_ip not in _node_hosts(c), needs_nodes=True),
    Rule('db-data-dir', ('db_data_dir', 'is_witness'),
         'db_data_dir, or PGDATA or AGDATA in the environment, is set on every node but a witness',
         'set db_data_dir, or is_witness: true where there is no database',
         lambda c: c.is_witness or c.db_data_dir is not None),
    Rule('tcp-ports', ('ipc_port', 'db_port', 'is_witness'),
         'ipc_port and db_port differ: both are TCP ports of one host',
         'choose another ipc_port',
         lambda c: c.is_witness or c.ipc_port != c.db_port),
    Rule('http-port', ('http_port', 'ipc_port', 'db_port', 'is_witness'),
         'http_port is neither ipc_port nor db_port: all are TCP ports of one host',
         'choose another http_port',
         lambda c: c.http_port is None or c.http_port != c.ipc_port and (
             c.is_witness or c.http_port != c.db_port)),
    Rule('db-commands', ('db_start_command', 'db_stop_command'),
         'db_start_command and db_stop_command are set together: a service manager that does not '
         'know of a stop starts the database again',
         'set both or neither',
         lambda c: (c.db_start_command is None) == (c.db_stop_command is None)),
    Rule('socket-path', ('socket_dir', 'ipc_port'),
         'the path of the UNIX socket, socket_dir with .s.AHM.<ipc_port>, has at most 107 bytes',
         'choose a shorter socket_dir', _socket_path_fits),
    Rule('pid-file', ('pid_file_name',),
         'the PID file is not %s, %s or %s, which hold what AHM remembers' % MEMORY_NAMES,
         'choose another name, such as ahm.pid',
         lambda c: _is_no_memory(c, c.pid_file_name)),
    Rule('log-name', ('log_filename', 'data_dir'),
         'the log is not %s, %s or %s in data_dir, which hold what AHM remembers' % MEMORY_NAMES,
         'choose another name, such as ahm.log',
         lambda c: _is_no_memory(c, c.log_filename)),
    Rule('log-and-pid', ('log_filename', 'pid_file_name'),
         'the log and the PID file are two files',
         'choose another log_filename, such as ahm.log', _is_no_pid_file),
    Rule('trusted-inside', ('trusted_servers', 'virtual_IP'),
         'trusted_servers are no addresses of the cluster: an isolated leader would still reach '
         'itself',
         'name routers or other servers that are always up',
         _trusts_outsiders, needs_nodes=True),
    Rule('trusted-loopback', ('trusted_servers',),
         'trusted_servers are no loopback addresses: an isolated node would still reach itself',
         'name routers or other servers that are always up',
         _trusts_no_loopback, needs_nodes=True),
    Rule('multicast-family', ('multicast_group',),
         'multicast_group and the addresses in nodes.conf are all IPv4 or all IPv6',
         'choose a group of the same family', _same_family, needs_nodes=True),
    Rule('synchronous-half', ('synchronous_mode', 'failover_consensus_with_half_votes'),
         'synchronous_mode is not on where half of the nodes elect a leader: each half would let '
         'its commits wait for nobody',
         'set synchronous_mode: strict, or add a witness and take '
         'failover_consensus_with_half_votes out',
         lambda c: c.synchronous_mode != 'on' or not c.failover_consensus_with_half_votes
         or _size(c) % 2 == 1, needs_nodes=True),
    Rule('synchronous-count', ('synchronous_mode', 'synchronous_node_count'),
         'synchronous_node_count is less than the number of nodes: the primary does not confirm '
         'its own commits',
         'lower synchronous_node_count',
         lambda c: c.synchronous_mode == 'off' or c.synchronous_node_count < _size(c),
         needs_nodes=True),
    Rule('node-name', ('node_name',),
         'no node is called %s, for which commits wait until enough standbys are there, or *, '
         'which PostgreSQL takes for all of them' % NOBODY_YET,
         'choose another name',
         lambda c: c.node_name.lower() not in (NOBODY_YET, '*')),
    Rule('watchdog-missing', ('watchdog_mode', 'watchdog_device'),
         'watchdog_mode: required comes with a watchdog_device',
         'set watchdog_device, usually /dev/watchdog',
         lambda c: c.watchdog_mode != 'required' or c.watchdog_device is not None),
    Rule('watchdog-time', ('watchdog_mode', 'beacon_message_interval_seconds',
                           'beacon_message_retry_count'),
         'a required watchdog, which counts whole seconds, fires before the others may elect: '
         'T_lease and T_fence together are longer than 1 second',
         'raise the beacon interval or the retry count', _watchdog_is_in_time),
)


def _is_outside_tmp(config: 'Config') -> bool:
    return not (os.path.normpath(config.data_dir) + '/').startswith('/tmp/')


def _has_two_node_majority(config: 'Config') -> bool:
    return _size(config) != 2 or config.failover_consensus_with_half_votes


def _can_break_a_tie(config: 'Config') -> bool:
    return bool(_size(config) % 2 or not config.failover_consensus_with_half_votes
                or config.trusted_servers or config.pre_promotion_command)


def _is_worth_its_nodes(config: 'Config') -> bool:
    size = _size(config)
    return bool(size % 2 or size == 2 or config.failover_consensus_with_half_votes)


def _needs_announcing(config: 'Config') -> bool:
    """Whether other hosts keep the VIP's hardware address, and only a command can tell them.

    AHM announces an IPv6 address by itself.
    """
    if config.virtual_ip is None:
        return False
    address = ipaddress.ip_address(config.virtual_ip)
    return address.version == 4 and not address.is_loopback


def _same_port(config: 'Config') -> bool:
    if 'conn_string' not in config.given or conninfo.is_uri(config.conn_string):
        return True
    port = conninfo.parse(config.conn_string).get('port')
    return config.is_witness or port is None or port == str(config.db_port)


def _address_rule(name: str) -> Rule:
    return Rule('vip-address', (name, 'virtual_IP'),
                'it names another address than virtual_IP, and $_IP_$ nowhere',
                'write $_IP_$ in place of the address',
                lambda c: c.virtual_ip is None or not _names_another_address(
                    getattr(c, name) or (), c.virtual_ip))


def _names_another_address(command: Sequence[str], virtual_ip: str) -> bool:
    if any('$_IP_$' in word for word in command):
        return False
    return any(_is_another_address(word.partition('/')[0], virtual_ip) for word in command)


def _is_another_address(word: str, virtual_ip: str) -> bool:
    try:
        return canonical(word) != virtual_ip
    except ValueError:
        return False


def _no_shell_rule(name: str) -> Rule:
    return Rule('no-shell', (name,), 'a word such as | && ; or > means nothing without a shell',
                "write sh -c '...' around the command",
                lambda c: not SHELL_WORDS.intersection(getattr(c, name) or ()))


ADVICE = (
    Rule('split', ('failover_consensus_with_half_votes', 'trusted_servers',
                   'pre_promotion_command'),
         'half the votes suffice, and neither trusted_servers nor pre_promotion_command is set: '
         'when the two halves lose sight of each other, both can have a primary',
         'set trusted_servers or pre_promotion_command, or add a witness',
         _can_break_a_tie, needs_nodes=True),
    Rule('two-nodes', ('failover_consensus_with_half_votes',),
         'two nodes need both votes, so neither can take over when the other is lost',
         'add a witness, or set failover_consensus_with_half_votes',
         _has_two_node_majority, needs_nodes=True),
    Rule('even-nodes', ('nodes_filename',),
         'an even number of nodes survives no more failures than one node less',
         'add or remove a node; a witness is enough', _is_worth_its_nodes, needs_nodes=True,
         is_advice=True),
    Rule('odd-half-votes', ('failover_consensus_with_half_votes',),
         'with an odd number of nodes half votes mean nothing',
         'leave failover_consensus_with_half_votes out',
         lambda c: not (_size(c) % 2 and c.failover_consensus_with_half_votes), needs_nodes=True,
         is_advice=True),
    Rule('one-node', ('nodes_filename',),
         'a single node has nobody to fail over to',
         'list all nodes in nodes.conf', lambda c: _size(c) > 1, needs_nodes=True),
    Rule('data-dir-tmp', ('data_dir',),
         '/tmp is cleaned, and with it goes what AHM has to remember',
         'name a directory that outlives a reboot, such as /var/lib/ahm', _is_outside_tmp,
         is_advice=True),
    Rule('priority-zero', ('priority',),
         'a node with priority 0 is never promoted',
         'give it 1 or more if it may be', lambda c: c.is_witness or c.priority != 0,
         is_advice=True),
    Rule('vip-announced', ('arping_cmd', 'virtual_IP'),
         'without arping_cmd nobody announces the moved virtual_IP, and clients keep sending to '
         'the old host until their ARP entries expire',
         'set arping_cmd', lambda c: c.arping_cmd is not None or not _needs_announcing(c)),
    Rule('isolated-primary', ('stop_isolated_primary',),
         'an isolated primary goes on accepting writes of clients that do not use the VIP',
         'leave stop_isolated_primary at true', lambda c: c.stop_isolated_primary),
    Rule('http-isolated', ('http_port', 'stop_isolated_primary'),
         'who is sent to the primary by its HTTP health check goes on writing to an isolated one: '
         'no address is taken from that, and its database is not stopped',
         'leave stop_isolated_primary at true',
         lambda c: c.http_port is None or c.stop_isolated_primary),
    Rule('check-period', ('db_connect_timeout', 'health_check_period'),
         'a hanging check takes longer than health_check_period, so checks come later than planned',
         'lower db_connect_timeout or raise health_check_period',
         lambda c: c.is_witness or c.db_connect_timeout <= c.health_check_period,
         is_advice=True),
    Rule('conn-string-port', ('conn_string', 'db_port'),
         'the port in conn_string is not db_port, where the other nodes look for this database',
         'correct one of them', _same_port),
    Rule('apply-delay', ('use_recovery_min_apply_delay', 'recovery_min_apply_delay'),
         'of use_recovery_min_apply_delay and recovery_min_apply_delay one does nothing without '
         'the other',
         'set both or neither',
         lambda c: c.use_recovery_min_apply_delay == (c.recovery_min_apply_delay > 0)),
    Rule('multicast-interface', ('multicast_interface', 'multicast_group'),
         'without multicast_group beacons go by unicast, whatever multicast_interface says',
         'set multicast_group or leave multicast_interface out',
         lambda c: c.multicast_interface is None or c.multicast_group is not None),
) + tuple(_address_rule(name) for name in VIP_COMMANDS) + tuple(
    _no_shell_rule(name) for name in COMMANDS)
