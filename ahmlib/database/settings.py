"""DatabaseSettings: everything the database functions need to know, in one picklable tuple.

The daemon fills it from the configuration once (and at each reload); the functions get it as
their first argument.  It carries plain values only, so it crosses a pipe or a fork unchanged.
"""
from typing import List, NamedTuple, Optional, Tuple

Command = Optional[List[str]]


class DatabaseSettings(NamedTuple):
    """The configuration of one node as the database functions see it.

    Commands are argument vectors that are already split, or None or [] where not set.  Texts
    that are not set are ''.  Durations are seconds.
    """

    node_name: str = ''                         # also the application_name AHM writes
    node_names: Tuple[str, ...] = ()            # names and addresses of all nodes, where known
    conn_string: str = ''                       # libpq, for the local database
    db_user: str = 'agens'
    db_database: str = 'postgres'
    db_port: int = 5432
    db_bin_dir: str = ''                        # of pg_ctl or ag_ctl; '': found on PATH
    db_data_dir: str = ''
    db_config_dir: str = ''                     # '': the same as db_data_dir
    db_connect_timeout: float = 5.0
    promotion_command: Command = None
    follow_command: Command = None
    restore_command: str = ''                   # PostgreSQL's own, written as it stands
    archive_cleanup_command: str = ''           # likewise
    use_recovery_min_apply_delay: bool = False
    recovery_min_apply_delay: int = 0           # milliseconds, as PostgreSQL reads it
    primary_conninfo_options: str = ''          # libpq key=value words
    replication_user: str = ''                  # '': the user of the existing primary_conninfo
    standby_startup_delay: float = 3.0
    use_pg_rewind: bool = False                 # a diverged history may be rewound at an attach
    db_start_command: Command = None
    db_stop_command: Command = None
    db_restart_command: Command = None
    work_dir: str = '/tmp'                      # AHM's own data_dir
