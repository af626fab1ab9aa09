"""What a node is told at its start: the part of the configuration that decisions need."""

from enum import IntEnum
from typing import NamedTuple, Tuple

from .consensus.timing import Timing


class SynchronousMode(IntEnum):
    """Who sets what commits wait for, and what becomes of them without enough standbys (R66)."""
    OFF = 0         # AHM leaves the setting alone
    ON = 1          # they wait for fewer, or nobody
    STRICT = 2      # they wait


class Settings(NamedTuple):
    """One node's settings; durations in seconds, sizes in bytes."""
    name: str
    own: int                                # place among the sorted addresses of nodes.conf
    addresses: Tuple[str, ...]              # sorted, 'host:port'
    order: Tuple[int, ...]                  # places in the order of nodes.conf, for the status
    cluster: int                            # fingerprint
    priority: int = 1
    witness: bool = False
    interval: float = 8.0
    retries: int = 2
    half_votes: bool = False
    trusted: bool = False                   # trusted_servers are configured
    health_check_period: float = 30.0
    max_consec_failures: int = 5
    connect_timeout: float = 5.0
    promote_timeout: float = 20.0
    wait_for_primary: float = 20.0
    hook_timeout: float = 60.0
    vip: str = ''
    pre_promotion: bool = False             # a pre_promotion_command is configured
    post_promotion: bool = False
    stop_isolated_primary: bool = True
    auto_attach: bool = False
    restart_failed: bool = False            # db_failure_action: restart
    start_at_boot: bool = False             # db_start_at_boot
    lag_limit: int = 0                      # bytes; 0: none
    db_port: int = 5432
    db_data_dir: str = ''
    synchronous_mode: SynchronousMode = SynchronousMode.OFF
    synchronous_count: int = 1              # standbys that are to confirm a commit
    shared: Tuple[Tuple[str, str], ...] = ()    # what has to be the same everywhere, by parameter
    warnings: Tuple[str, ...] = ()          # of the configuration, shown in the status
    advice: Tuple[str, ...] = ()            # those of them that no monitor has to be told of

    @property
    def size(self) -> int:
        """How many nodes nodes.conf has."""
        return len(self.addresses)

    @property
    def handover_seconds(self) -> float:
        """How long the primary role may be on its way from one node to another, at the most."""
        return self.hook_timeout + self.promote_timeout + 2 * self.wait_for_primary \
            + 2 * self.timing.hold

    @property
    def timing(self) -> Timing:
        """Lease, promise and fence that follow from interval and retries."""
        return Timing(self.interval, self.retries)

    def host(self, node: int) -> str:
        """The host part of a node's address."""
        return split_address(self.addresses[node])[0]


def split_address(address: str) -> Tuple[str, int]:
    """'host:port' or '[host]:port' -> (host, port)."""
    host, _, port = address.rpartition(':')
    return host.strip('[]'), int(port)
