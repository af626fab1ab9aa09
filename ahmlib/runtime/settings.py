"""From the configuration to what the core, the database and the VIP functions are told."""

import hashlib
from typing import TYPE_CHECKING, Dict, Optional, Sequence, Tuple

from ahmlib.config.nodes_file import sorted_addresses
from ahmlib.core.settings import Settings, SynchronousMode
from ahmlib.database.settings import DatabaseSettings
from ahmlib.network.vip import VipSettings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

FINGERPRINT_BITS = 63
#: The commands that a takeover, or what follows it, runs.
HOOKS = ('pre_promotion_command', 'promotion_command', 'post_promotion_command', 'follow_command',
         'notification_command')


def fingerprint(addresses: Sequence[str], half_votes: bool) -> int:
    """The number that tells one cluster from another: its nodes and its quorum rule."""
    text = '\n'.join(addresses) + ('\nhalf votes' if half_votes else '')
    digest = hashlib.sha256(text.encode('ascii')).digest()
    return int.from_bytes(digest[:8], 'big') >> (64 - FINGERPRINT_BITS)


def core_settings(config: 'Config') -> Settings:
    """What the core is told."""
    assert config.nodes is not None and config.nodes.own is not None
    addresses = tuple(sorted_addresses(config.nodes))
    entries = [entry.address for entry in config.nodes.entries]
    half_votes = config.failover_consensus_with_half_votes
    return Settings(
        name=config.node_name, own=addresses.index(entries[config.nodes.own]),
        addresses=addresses, order=tuple(addresses.index(entry) for entry in entries),
        cluster=fingerprint(addresses, half_votes), priority=config.priority,
        witness=config.is_witness, interval=config.beacon_message_interval_seconds,
        retries=config.beacon_message_retry_count, half_votes=half_votes,
        trusted=bool(config.trusted_servers),
        health_check_period=config.health_check_period,
        max_consec_failures=config.max_consec_failures,
        connect_timeout=config.db_connect_timeout,
        promote_timeout=config.promote_leader_timeout_seconds,
        wait_for_primary=config.wait_for_primary_timeout_seconds,
        hook_timeout=config.hook_timeout_seconds, vip=config.virtual_ip or '',
        pre_promotion=bool(config.pre_promotion_command),
        post_promotion=bool(config.post_promotion_command),
        stop_isolated_primary=config.stop_isolated_primary, auto_attach=config.auto_attach,
        restart_failed=config.db_failure_action == 'restart',
        start_at_boot=config.db_start_at_boot,
        synchronous_mode=SynchronousMode[config.synchronous_mode.upper()],
        synchronous_count=config.synchronous_node_count,
        lag_limit=config.failover_lag_limit_bytes or 0, db_port=config.db_port,
        db_data_dir=config.db_data_dir or '', shared=shared(config),
        warnings=tuple(config.warnings), advice=tuple(config.advice))


def shared(config: 'Config') -> Tuple[Tuple[str, str], ...]:
    """What has to be the same on every node that may lead, as (parameter, value); of a witness ().

    Whoever takes over raises its own virtual_IP; db_port is where everybody looks for databases.
    """
    if config.is_witness:
        return ()
    return (('virtual_IP', config.virtual_ip or ''), ('db_port', str(config.db_port)),
            ('synchronous_mode', config.synchronous_mode),
            ('synchronous_node_count', str(config.synchronous_node_count)))


def database_settings(config: 'Config') -> DatabaseSettings:
    """What the functions of ahmlib.database are told: the parameters of the same names."""
    renamed = {'work_dir': config.data_dir}
    values = {name: renamed.get(name, getattr(config, name, None))
              for name in DatabaseSettings._fields}
    return DatabaseSettings()._replace(**{name: value for name, value in values.items()
                                          if value is not None})


def vip_settings(config: 'Config') -> VipSettings:
    """What the functions of ahmlib.network.vip are told: the parameters of the same names."""
    values = {name: getattr(config, name, None) for name in VipSettings._fields}
    return VipSettings()._replace(**{name: value for name, value in values.items()
                                     if value is not None})


def multicast(config: 'Config') -> Optional[Tuple[str, Optional[str], int]]:
    """(group, interface, ttl) of the beacons, as `BeaconSocket` takes it; None: unicast."""
    if not config.multicast_group:
        return None
    return config.multicast_group, config.multicast_interface, config.multicast_ttl


def hooks(config: 'Config') -> Dict[str, Sequence[str]]:
    """{name: the command} of the HOOKS that are set."""
    return {name: getattr(config, name) for name in HOOKS if getattr(config, name)}


def needs_ping(config: 'Config') -> bool:
    """Whether ping is needed at all: who has the VIP, and whether trusted servers answer."""
    return bool(config.virtual_ip or config.trusted_servers)
