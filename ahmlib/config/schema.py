"""Every parameter of ahm_config.yml, once.

Parsing, limits, the reload policy, the sample file and ahm_config.yml(5) follow from this table.
To add a parameter: add its row in its section (and, where its default depends on others or on the
environment, a function in defaults.py), run `python3 -m ahmlib.config.sample` into
conf/ahm_config.yml.sample and `python3 -m ahmlib.config.manual_page` into man/ahm_config.yml.5, and
name it in the test that lists them all.
"""

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Tuple

from ahmlib.config import rules
from ahmlib.config.kinds import (
    ADDRESS,
    ADDRESSES,
    BOOLEAN,
    CHOICE,
    COMMAND,
    CONNINFO,
    CONNINFO_OPTIONS,
    FILE_NAME,
    INTEGER,
    LOG_PREFIX,
    MULTICAST,
    NODE_NAME_KIND,
    PATH,
    SECONDS,
    TEXT,
    VIP_COMMAND,
    Kind,
)
from ahmlib.config.libpq import OWN
from ahmlib.config.rules import RULES

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

__all__ = ['ADVICE', 'ALWAYS', 'BY_NAME', 'Derived', 'PARAMETERS', 'PAUSED', 'Parameter',
           'REQUIRED', 'RESTART', 'RULES', 'SECTIONS']

# When a changed value can take effect: at any reload, at a reload of a paused cluster, at a start.
ALWAYS, PAUSED, RESTART = 'any reload', 'a reload while the cluster is paused', 'a restart'

# The sections, in the order of the sample file.
(NODE, CLUSTER, HEALTH, VIP, LOGGING, DATABASE, PROMOTION, FAILOVER, REPLICATION,
 SAFETY) = SECTIONS = (
    'The node', 'The cluster', 'Database health check', 'Virtual IP', 'Logging',
    'The database', 'Promotion', 'Failover', 'Replication', 'Isolation and security')

BIGGEST = 2 ** 63 - 1
DAY = 86400


class Derived(NamedTuple):
    """A default that depends on other parameters or the environment, in words."""

    text: str


# In place of a default: the parameter has to be set.
REQUIRED = Derived('required')


class Parameter(NamedTuple):
    """One parameter.  `minimum` and `maximum` are in the parameter's own unit, both included."""

    name: str                               # as the manual writes it
    kind: Kind
    default: Any = None                     # None: not set
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    choices: Tuple[str, ...] = ()
    section: str = NODE
    beyond: bool = False                    # not in the manual of version 1.0
    reload: str = RESTART
    doc: str = ''
    example: Any = None                     # what the sample sets; None: it shows the default
    # Where this version reads and checks it, and no more: what it does not do, and what to do.
    without_effect: Optional[Tuple[str, str]] = None

    @property
    def attribute(self) -> str:
        """The name of its attribute in a Config."""
        return self.name.lower()


def _row(section: str, name: str, kind: Kind, default: Any = None, doc: str = '',
         **more: Any) -> Parameter:
    return Parameter(name, kind, default, section=section, doc=doc, **more)


def _seconds(section: str, name: str, default: float, doc: str, least: float = 0.1,
             most: float = DAY, **more: Any) -> Parameter:
    return _row(section, name, SECONDS, float(default), doc, minimum=least, maximum=float(most),
                reload=PAUSED, **more)


NO_KEY = ('this version does not authenticate beacons and commands',
          'keep strangers from the network of the nodes')
NO_WATCHDOG = ('this version does not feed a watchdog', 'do not count on it')


def _command(section: str, name: str, doc: str, kind: Kind = COMMAND, default: Any = None,
             **more: Any) -> Parameter:
    return _row(section, name, kind, default, doc, reload=ALWAYS, **more)


PARAMETERS = (
    _row(NODE, 'node_name', NODE_NAME_KIND, REQUIRED, 'The name of this node; the same as the '
         'application_name in the primary_conninfo of its database.', example='AHM-NODE-1'),
    _row(NODE, 'is_witness', BOOLEAN, False, 'This node has no database: it votes and confirms, '
         'and never leads.', example=False),
    _row(NODE, 'priority', INTEGER, 1, 'Priority at failover, lower is better. 0: a standby that '
         'is never promoted.', minimum=0, maximum=65535, reload=ALWAYS, example=1),
    _row(NODE, 'data_dir', PATH, '/tmp', 'Where AHM keeps its own files: the PID file, what it '
         'has to remember, what a server that it started prints. It has to outlive a reboot, '
         'and nobody else may write there, but in a directory with the sticky bit, such as /tmp.',
         example='/tmp/'),
    _row(NODE, 'socket_dir', PATH, '/tmp', 'Where AHM makes its UNIX socket, '
         '.s.AHM.<ipc_port>.', example='/tmp'),
    _row(NODE, 'pid_file_name', FILE_NAME, 'ahm.pid', 'The PID file in data_dir.',
         example='ahm.pid'),
    _row(NODE, 'conn_string', CONNINFO, Derived('built from db_user, db_database and db_port'),
         'How AHM connects to the local database. The databases of other nodes are reached at '
         'their address in nodes.conf with db_port, db_user and db_database.',
         example='host=localhost port=5432 dbname=postgres user=agens'),
    _command(NODE, 'service_restart_command', 'What "ahm restart" runs instead of stopping and '
             'starting the daemon itself. Unset: systemctl restart, where systemd runs it.'),

    _row(CLUSTER, 'nodes_filename', PATH, Derived(
        'nodes.conf in the working directory at start, else beside this file, else in '
        '$AHM_HOME/etc'), 'The list of nodes; a relative path is relative to this file.',
         reload=PAUSED),
    _row(CLUSTER, 'ahm_port', INTEGER, 9500, 'UDP port of the AHM nodes among themselves.',
         minimum=1, maximum=65535, example=9500),
    _row(CLUSTER, 'ipc_port', INTEGER, 9595, 'TCP port for the utilities.',
         minimum=1, maximum=65535, example=9595),
    _row(CLUSTER, 'listen_address', ADDRESS, Derived(
        'UDP on the own address in nodes.conf, TCP on all'), 'The only address to listen at; names '
         'the own entry where several addresses in nodes.conf are of this host. Utilities reach '
         'the node by this address then (-h), not by the virtual IP or 127.0.0.1.', beyond=True),
    _row(CLUSTER, 'http_port', INTEGER, None, 'TCP port for health checks, metrics and what is '
         'known of the cluster, by HTTP, for load balancers and monitors, and for a live page at '
         '/ui; 8008 is what they expect. The page links to those of other nodes by this port. '
         'Unset: there is no HTTP.', minimum=1, maximum=65535, beyond=True),
    _row(CLUSTER, 'http_listen_address', ADDRESS, Derived('listen_address, else all'), 'The only '
         'address to listen at for HTTP.', beyond=True),
    _seconds(CLUSTER, 'beacon_message_interval_seconds', 8, 'Seconds between beacons.',
             most=3600, example=8),
    _row(CLUSTER, 'beacon_message_retry_count', INTEGER, 2, 'Missed beacons after which a node '
         'counts as lost.', minimum=1, maximum=100, reload=PAUSED, example=2),
    _seconds(CLUSTER, 'promote_leader_timeout_seconds', 20, 'How long promotion may take.',
             example=20),
    _seconds(CLUSTER, 'wait_for_primary_timeout_seconds', 20, 'How long the cluster waits for a '
             'primary to appear, at start and before a takeover whose cause is not yet confirmed.',
             example=20),
    _row(CLUSTER, 'multicast_group', MULTICAST, None, 'Send beacons to this multicast group '
         'instead of to every node. The port is ahm_port.', beyond=True),
    _row(CLUSTER, 'multicast_interface', TEXT, None, 'The interface for multicast beacons; unset: '
             'the one that has the own address.', beyond=True),
    _row(CLUSTER, 'multicast_ttl', INTEGER, 1, 'How many routers multicast beacons may pass, plus '
         'one.', minimum=1, maximum=255, beyond=True),

    _seconds(HEALTH, 'db_connect_timeout', 5, 'How long a connection to a database, with a query, '
             'may take.', example=5),
    _seconds(HEALTH, 'health_check_period', 30, 'Time between checks of the local database, start '
             'to start.', example=30),
    _row(HEALTH, 'max_consec_failures', INTEGER, 5, 'Consecutive failed checks after which the '
         'database counts as failed.', minimum=1, maximum=1000, reload=PAUSED, example=5),

    _row(VIP, 'virtual_IP', ADDRESS, None, 'The virtual IP (VIP) that the clients use. Without one '
         'AHM manages none.', example='210.104.181.42'),
    _command(VIP, 'if_cmd_path', 'The directory of the program in if_up_cmd and if_down_cmd where '
             'that is no absolute path.', PATH, '/bin', example='/bin'),
    _command(VIP, 'if_up_cmd', 'Raises the VIP; $_IP_$ stands for it. Run without a shell.',
             VIP_COMMAND, example=('/usr/bin/sudo', '/sbin/ip', 'addr', 'add', '$_IP_$/24', 'dev',
                                   'eno1', 'label', 'eno1:0')),
    _command(VIP, 'if_down_cmd', 'Drops the VIP.', VIP_COMMAND,
             example=('/usr/bin/sudo', '/sbin/ip', 'addr', 'del', '$_IP_$/24', 'dev', 'eno1')),
    _command(VIP, 'if_check_cmd', 'Exits 0 when the VIP is on this host and 1 when it is not. '
             'What it prints with 1 is read: "not found", "permission denied" and the like mean '
             'that it could not look. Unset: AHM looks at the interfaces itself.', VIP_COMMAND,
             beyond=True),
    _command(VIP, 'arping_path', 'The directory of the program in arping_cmd where that is no '
             'absolute path.', PATH, '/usr/sbin', example='/usr/sbin'),
    _command(VIP, 'arping_cmd', 'Announces the VIP by gratuitous ARP. An IPv6 VIP is announced by '
             'AHM itself (it needs CAP_NET_RAW), unless this is another program than arping.',
             VIP_COMMAND,
             example=('/usr/bin/sudo', '/usr/sbin/arping', '-U', '$_IP_$', '-w', '1', '-I',
                      'eno1')),
    _command(VIP, 'ping_path', 'The directory of ping, used to see whether the VIP answers '
             'elsewhere and whether trusted servers answer.', PATH, '/bin', example='/bin'),

    _row(LOGGING, 'log_filename', PATH, None, 'The log file; a relative path lies in data_dir. '
         'Unset: stderr, or once detached syslog; where there is none, the log is lost.',
         reload=ALWAYS),
    _row(LOGGING, 'log_prefix', LOG_PREFIX, '%l PID:%p %t ', 'What starts each line: %l severity, '
         '%p PID, %t timestamp, %n node name, %% percent.', reload=ALWAYS,
         example='%l PID:%p %t '),
    _row(LOGGING, 'log_verbose', BOOLEAN, False, 'Detailed log, as with log_severity: DEBUG, '
         'which has no effect then: every check and command, what it found and how long it took.',
         reload=ALWAYS, example=False),
    _row(LOGGING, 'log_severity', CHOICE, 'INFO', 'The least severity that is logged.',
         choices=('DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL'), reload=ALWAYS),
    _command(LOGGING, 'notification_command', 'Run at every event in the cluster that is logged as '
             'NOTICE or worse; AHM_EVENT names it.', beyond=True),

    _row(DATABASE, 'db_user', TEXT, 'agens', 'The user that AHM connects as.', example='agens'),
    _row(DATABASE, 'db_database', TEXT, 'postgres', 'The database that AHM connects to.',
         example='postgres'),
    _row(DATABASE, 'db_port', INTEGER, 5432, "The port of every node's database.",
         minimum=1, maximum=65535, example=5432),
    _row(DATABASE, 'db_bin_dir', PATH, Derived('$AGHOME/bin, else found on PATH'),
         'The directory of ag_ctl or pg_ctl, whichever is there.',
         example='/home/agens/AgensSQL-2.13.7.0/bin'),
    _row(DATABASE, 'db_data_dir', PATH, Derived('$PGDATA, else $AGDATA'),
         "The database's data directory.", example='/home/agens/AgensSQL-2.13.7.0/db_cluster'),
    _row(DATABASE, 'db_config_dir', PATH, Derived('db_data_dir'), "The directory of the database's "
         'configuration files.', example='/home/agens/AgensSQL-2.13.7.0/db_cluster'),
    _command(DATABASE, 'db_start_command', 'Starts the database, where a service manager owns it. '
             'Unset: ag_ctl or pg_ctl.', beyond=True),
    _command(DATABASE, 'db_stop_command', 'Stops the database, likewise.', beyond=True),
    _command(DATABASE, 'db_restart_command', 'Restarts the database, likewise.', beyond=True),
    _row(DATABASE, 'db_start_at_boot', BOOLEAN, False, 'Start the database once its host has '
         'booted: a standby at once; the primary on record only where all other nodes that are '
         'heard have just started, too, as after a power cut.', beyond=True, reload=ALWAYS),

    _command(PROMOTION, 'pre_promotion_command', 'The fencing script, run on the successor before '
             'promotion. If it exits non-zero, there is no takeover.',
             example=('/home/agens/AHM/etc/failover.sh',)),
    _command(PROMOTION, 'promotion_command', 'Run instead of the built-in promotion. What counts '
             'is what the database says afterwards.'),
    _command(PROMOTION, 'post_promotion_command', 'Run after promotion.'),
    _seconds(PROMOTION, 'hook_timeout_seconds', 60, 'How long pre_promotion_command, '
             'post_promotion_command or notification_command may take before it is killed. '
             'promotion_command has promote_leader_timeout_seconds, follow_command two minutes '
             '(an hour while a node is attached).',
             beyond=True),

    _command(FAILOVER, 'follow_command', 'Run on a standby to make it follow a new primary. Unset: '
             'AHM does it itself.'),
    _seconds(FAILOVER, 'standby_startup_delay', 3, 'Wait before a re-pointed standby is started.',
             least=0.0, example=3),
    _row(FAILOVER, 'use_pg_rewind', BOOLEAN, False, 'Use pg_rewind when the history of a node '
         'diverged.', reload=ALWAYS, example=False),
    _row(FAILOVER, 'failover_consensus_with_half_votes', BOOLEAN, False, 'With an even number of '
         'nodes, exactly half the votes suffice: two-node clusters.', reload=PAUSED,
         example=True),
    _row(FAILOVER, 'db_failure_action', CHOICE, 'failover', 'What follows a failed primary '
         'database: restart tries to start it once before it fails over.',
         choices=('failover', 'restart'), beyond=True, reload=ALWAYS),
    _row(FAILOVER, 'failover_lag_limit_bytes', INTEGER, None, 'A standby further behind than this '
         'is never promoted. Unset: no limit.', minimum=1, maximum=BIGGEST, beyond=True,
         reload=ALWAYS),
    _row(FAILOVER, 'auto_attach', BOOLEAN, False, 'Take a repaired standby back without '
         'ahm_attach_node. It never rewinds.', beyond=True, reload=ALWAYS),

    _command(REPLICATION, 'restore_command', 'Written into the recovery settings of a standby that '
             'AHM re-points; run by the database, in a shell.', TEXT),
    _command(REPLICATION, 'archive_cleanup_command', 'Likewise.', TEXT),
    _row(REPLICATION, 'use_recovery_min_apply_delay', BOOLEAN, False, 'Write '
         'recovery_min_apply_delay as well.', reload=ALWAYS, example=False),
    _row(REPLICATION, 'recovery_min_apply_delay', INTEGER, 0, 'The delay in milliseconds.',
         minimum=0, maximum=2 ** 31 - 1, reload=ALWAYS, example=0),
    _row(REPLICATION, 'primary_conninfo_options', CONNINFO_OPTIONS, None, 'Appended to the '
         'primary_conninfo that AHM writes, which has %s already.' % ', '.join(OWN),
         reload=ALWAYS),
    _row(REPLICATION, 'replication_user', TEXT, Derived(
        'the user of an existing primary_conninfo, else db_user'), 'The user in the '
         'primary_conninfo that AHM writes.', beyond=True, reload=ALWAYS),
    _row(REPLICATION, 'synchronous_mode', CHOICE, 'off', 'AHM keeps synchronous_standby_names on '
         'the primary, and nothing that was acknowledged is lost in a failover. on: commits wait '
         'for fewer standbys, or for nobody, while too few are there, and nobody is promoted that '
         'may lack what was acknowledged. strict: they wait until enough are there. off: AHM '
         'leaves the setting as it is, and elections respect it. The same on all nodes.',
         choices=('off', 'on', 'strict'), beyond=True, reload=PAUSED),
    _row(REPLICATION, 'synchronous_node_count', INTEGER, 1, 'How many standbys confirm a commit, '
         'where synchronous_mode is on or strict. The same on all nodes.',
         minimum=1, maximum=1000, beyond=True, reload=PAUSED),

    _row(SAFETY, 'trusted_servers', ADDRESSES, (), 'Addresses outside the cluster to ping, for an '
         'even number of nodes with half votes: a half that reaches none of them counts itself '
         'isolated.', beyond=True, reload=PAUSED),
    _row(SAFETY, 'stop_isolated_primary', BOOLEAN, True, 'A leader that could be outvoted stops '
         'its database as well as dropping the VIP.', beyond=True, reload=PAUSED),
    _row(SAFETY, 'auth_key_file', PATH, None, 'The shared key of the cluster: beacons and commands '
         'without it are not accepted. Readable by the owner alone.', beyond=True,
         without_effect=NO_KEY),
    _row(SAFETY, 'watchdog_device', PATH, None, 'The watchdog that resets the host of a leader '
         'whose AHM cannot step down, such as /dev/watchdog.', beyond=True,
         without_effect=NO_WATCHDOG),
    _row(SAFETY, 'watchdog_mode', CHOICE, 'automatic', 'required: a node without a working '
         'watchdog does not lead; automatic: used where it works.',
         choices=('off', 'automatic', 'required'), beyond=True, without_effect=NO_WATCHDOG),
)

def _is_left_alone(row: Parameter) -> Callable[['Config'], bool]:
    """The test of a Config that asks for nothing by this parameter."""
    return lambda config: getattr(config, row.attribute) in (row.default, 'off')


ADVICE = rules.ADVICE + tuple(
    rules.Rule('no-effect', (row.name,), '%s yet' % row.without_effect[0], row.without_effect[1],
               _is_left_alone(row)) for row in PARAMETERS if row.without_effect)

BY_NAME = {parameter.attribute: parameter for parameter in PARAMETERS}
