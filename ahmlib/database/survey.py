"""What a server, and the files beside it, say of what a failover will need; for ahm_check_config.

Nothing is judged here, and nothing is changed.  A survey is one connection with a few queries, each
of which everybody may ask; what the user that AHM connects as may not see is None.  Of a
primary_conninfo only what is no secret leaves this module.
"""
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.database import conninfo, control, identity, rewind, settings_in_force
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline

#: The settings that are asked for; a version that lacks one does not tell it.
NAMES = (
    'archive_command', 'archive_library', 'archive_mode', 'cluster_name', 'config_file',
    'data_checksums', 'data_directory', 'full_page_writes', 'hot_standby', 'hot_standby_feedback',
    'idle_replication_slot_timeout', 'listen_addresses', 'max_connections',
    'max_locks_per_transaction', 'max_prepared_transactions', 'max_replication_slots',
    'max_wal_senders', 'max_worker_processes', 'port', 'sync_replication_slots',
    'synchronized_standby_slots', 'synchronous_commit', 'synchronous_standby_names',
    'tcp_keepalives_idle', 'tcp_user_timeout', 'wal_level', 'wal_log_hints',
    'wal_receiver_timeout', 'wal_sender_timeout')
COMMANDS, SET = ('archive_command',), 'set'
COMMIT, COMMIT_DEFAULT = 'synchronous_commit', 'on'
# reset_val: what AHM sets for its own session is not meant.
SETTINGS = """SELECT name, reset_val, coalesce(sourcefile, ''), coalesce(sourceline, 0), context
                FROM pg_settings WHERE name = ANY (%s)"""
USER = """SELECT session_user::text, rolsuper, pg_has_role(session_user, 'pg_monitor', 'USAGE'),
                 current_setting('server_version_num')::int, pg_is_in_recovery(),
                 current_database()::text, coalesce(host(inet_server_addr()), '')
            FROM pg_roles WHERE rolname = session_user"""
ROLE = 'SELECT rolcanlogin, rolsuper OR rolreplication FROM pg_roles WHERE rolname = %s'
PER_ROLE = """SELECT coalesce(datname, ''), coalesce(rolname, ''), split_part(entry, '=', 2)
                FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS entry
                LEFT JOIN pg_database ON pg_database.oid = setdatabase
                LEFT JOIN pg_roles ON pg_roles.oid = setrole
               WHERE split_part(entry, '=', 1) = 'synchronous_commit' ORDER BY 1, 2"""
# As JSON, for later versions have more columns.
SLOTS = 'SELECT to_jsonb(slots) FROM pg_replication_slots AS slots ORDER BY slot_name'
#: Words of a primary_conninfo that end a connection to a host that is gone.
WORDS_OF_TIME = ('keepalives_idle', 'tcp_user_timeout')
#: What pg_rewind calls on its source, where its user is no superuser (its manual, "Notes").
REWIND_CALLS = ('pg_ls_dir(text, boolean, boolean)', 'pg_stat_file(text, boolean)',
                'pg_read_binary_file(text)',
                'pg_read_binary_file(text, bigint, bigint, boolean)')
MAY_CALL = "SELECT has_function_privilege(session_user, 'pg_catalog.' || %s, 'EXECUTE')"
FIRST_VERSION_WITH_REWIND_ROLES = 110000


class Shown(NamedTuple):
    """A setting: its value, and the line that sets it, where that may be seen."""

    value: str
    file: str = ''                  # '': a default, or not for us to see
    line: int = 0
    context: str = ''               # 'postmaster': a change needs a restart


class Slot(NamedTuple):
    """A replication slot; `failover` is of a logical one that standbys are to have, too."""

    name: str
    is_physical: bool
    active: bool
    failover: bool = False


class Survey(NamedTuple):
    """What a server says.  `ok` is False, with a reason, where it did not."""

    ok: bool
    reason: str = ''
    version: int = 0                # e.g. 150003
    in_recovery: bool = False
    user: str = ''                  # as whom AHM is connected
    database: str = ''              # and to which
    address: str = ''               # of the server; '': a socket
    is_superuser: bool = False
    is_monitor: bool = False        # a member of pg_monitor, or a superuser
    settings: Dict[str, Shown] = {}
    #: (database, role, value): synchronous_commit where it is set for some; '' means all.
    commits: Sequence[Tuple[str, str, str]] = ()
    #: Of the replication user: whether it may log in, and replicate; None: there is no such role.
    replication: Optional[Tuple[bool, bool]] = None
    #: Which functions that pg_rewind calls its user may not execute.
    no_rewind_calls: Sequence[str] = ()
    slots: Sequence[Slot] = ()


class Files(NamedTuple):
    """What the files of the server beside this node say.  `ok` is False where they do not."""

    ok: bool
    reason: str = ''
    version: int = 0                            # major
    has_conninfo: bool = False                  # whether a primary_conninfo is in force
    application_name: Optional[str] = None      # in it
    dbname: Optional[str] = None                # likewise
    replication_user: str = ''                  # as whom a standby of this node connects
    slot: str = ''                              # primary_slot_name
    #: name -> (value, the file that sets it): recovery targets, and a timeline other than latest.
    targets: Dict[str, Tuple[str, str]] = {}
    on_command_line: Sequence[str] = ()         # which of the recovery settings are there
    is_running: bool = True                     # else that is the command line of its last start
    has_rewind: bool = False                    # whether pg_rewind is beside the server
    #: Of primary_conninfo, what is there of WORDS_OF_TIME.
    times: Dict[str, str] = {}


def survey(conn_string: str, replication_user: str, limit: float) -> Survey:
    """Return the Survey of the server at `conn_string`, within `limit` seconds.

    replication_user: the role of which it is asked whether it may replicate; '' for none.
    """
    try:
        with Connection(conn_string, limit) as connection:
            user, is_superuser, is_monitor, version, in_recovery, database, address = \
                connection.query(USER)[0]
            rows = connection.query(SETTINGS, (list(NAMES),))
            roles = connection.query(ROLE, (replication_user,)) if replication_user else []
            return Survey(
                True, version=version, in_recovery=in_recovery, user=user,
                database=database, address=address, is_superuser=is_superuser,
                is_monitor=is_monitor,
                settings={name: Shown(_value(name, value), *more) for name, value, *more in rows},
                commits=connection.query(PER_ROLE),
                replication=(roles[0][0], roles[0][1]) if roles else None,
                no_rewind_calls=_no_rewind_calls(connection, version, is_superuser),
                slots=[_slot(row) for row, in connection.query(SLOTS)])
    except (ConnectionFailed, QueryFailed) as error:
        return Survey(False, str(error))


def survey_here(settings: DatabaseSettings, limit: float) -> Survey:
    """The Survey of the server beside this node, by the user that its standbys are.

    What its sessions have by default is its own: a role or a database may say otherwise for this
    very session.  Its directory is told where it is one of this host.
    """
    role = read_files(settings, limit).replication_user
    found = survey(conninfo.local_conn_string(settings),
                   role or settings.replication_user or settings.db_user, limit)
    shown = dict(found.settings)
    if found.address and not identity.is_of_this_host(found.address):
        shown.pop('data_directory', None)
    if any(role in ('', found.user) and database in ('', found.database)
           for database, role, _ in found.commits):
        value = settings_in_force.of_all_sessions(settings, COMMIT, COMMIT_DEFAULT)
        shown.pop(COMMIT, None)
        if value is not None:
            shown[COMMIT] = Shown(value.value, value.place)
    return found._replace(settings=shown)


def _value(name: str, value: Optional[str]) -> str:
    """A setting's value; of a command, which may hold a secret, only whether it is set."""
    return (value or '') and (SET if name in COMMANDS else value or '')


def _slot(row: Dict[str, Any]) -> Slot:
    return Slot(row['slot_name'], row['slot_type'] == 'physical', bool(row['active']),
                bool(row.get('failover')))


def _no_rewind_calls(connection: Connection, version: int, is_superuser: bool) -> List[str]:
    if is_superuser:
        return []
    if version < FIRST_VERSION_WITH_REWIND_ROLES:       # only a superuser may
        return list(REWIND_CALLS)
    return [call for call in REWIND_CALLS if not connection.value(MAY_CALL, (call,))]


def read_files(settings: DatabaseSettings, limit: float) -> Files:
    """Return what the Files beside this node say, within `limit` seconds but for a disk's."""
    deadline = Deadline(limit)
    try:
        version = control.data_directory_version(settings.db_data_dir)
        on_file = settings_in_force.on_file(settings)
        shown = settings_in_force.of_server(settings, deadline.remaining()) or {}
        text = settings_in_force.primary_conninfo(settings, max(0.1, deadline.remaining()))
        words = conninfo.parse(text or '')
        slot = settings_in_force.primary_slot_name(settings, max(0.1, deadline.remaining()))
    except (OSError, ValueError) as error:
        return Files(False, str(error))
    everything = dict(on_file.settings, **shown)
    return Files(
        True, version=version, has_conninfo=bool(text),
        application_name=words.get('application_name'), dbname=words.get('dbname'),
        replication_user=settings.replication_user or words.get('user') or settings.db_user,
        slot=slot, targets=_targets(everything),
        on_command_line=sorted(name for name, each in everything.items()
                               if each.place == settings_in_force.COMMAND_LINE and each.value),
        is_running=control.postmaster(settings.db_data_dir) is not None,
        has_rewind=control.find_program(settings.db_bin_dir, *rewind.PROGRAMS) is not None,
        times={word: words[word] for word in WORDS_OF_TIME if word in words})


def _targets(found: Dict[str, settings_in_force.Setting]) -> Dict[str, Tuple[str, str]]:
    """What ends or pauses replay, of all recovery settings."""
    wrong = {name: found[name] for name in settings_in_force.TARGETS
             if name in found and found[name].value}
    timeline = found.get('recovery_target_timeline')
    if timeline and timeline.value not in ('', 'latest'):
        wrong['recovery_target_timeline'] = timeline
    return {name: (each.value, each.place) for name, each in wrong.items()}
