"""The server beside this node: whether AHM reaches it, may ask what it has to, and can use it."""

from typing import TYPE_CHECKING, Iterator, Optional

from ahmlib.checking import lines
from ahmlib.checking.finding import ERROR, UNKNOWN, WARNING, Rule, Verdict, well
from ahmlib.database import conninfo, identity
from ahmlib.database.probe import REACHABLE, Found
from ahmlib.database.survey import Files, Survey
from ahmlib.runtime.settings import database_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: What pg_basebackup takes beside the standbys, for a node that has to be rebuilt.
BACKUP_SENDERS = 2
UNRESOLVED = 'could not translate host name'        # as libpq says it
LOCAL = ('localhost', '127.0.0.1', '::1')
EVERYWHERE = ('*', '0.0.0.0', '::')


def shown(server: Survey, name: str) -> Optional[str]:
    """The value of a setting; None where this version, or the user that asks, does not have it."""
    found = server.settings.get(name)
    return None if found is None else found.value


def number(server: Survey, name: str) -> Optional[int]:
    """Likewise, of a number."""
    text = shown(server, name)
    return int(text) if text and text.lstrip('-').isdigit() else None


def hidden(name: str) -> Verdict:
    """What is said of a setting that the server does not show."""
    return Verdict(UNKNOWN, name, 'not known: the server does not show %s to this user' % name,
                   'GRANT pg_monitor TO the role of conn_string')


def answers(config: 'Config', found: Found) -> Iterator[Verdict]:
    """A server that refuses AHM counts as alive, whatever else is wrong with it."""
    if found.answered:
        yield well('conn_string', 'it answers: PostgreSQL %s, a %s' % (
            _version(found.server_version), 'standby' if found.in_recovery else 'primary'))
    elif found.verdict == REACHABLE:
        yield Verdict(ERROR, 'conn_string', '%s: it refuses AHM: %s' % (
            _login(config), found.reason), 'see the role, pg_hba.conf, and ~/.pgpass of the user '
            'that runs AHM; or %s' % _correct(config))
    elif UNRESOLVED in found.reason:
        yield Verdict(ERROR, 'conn_string', '%s: %s' % (_login(config), found.reason),
                      _correct(config))
    else:
        yield Verdict(UNKNOWN, 'conn_string', 'not known: %s: it does not answer: %s' % (
            _login(config), found.reason), 'start AHM, then the database, and run this again; or '
            '%s' % _correct(config))


def _login(config: 'Config') -> str:
    """Where AHM looks for the server beside it, and as whom; nothing secret."""
    settings = database_settings(config)
    words = conninfo.parse(conninfo.local_conn_string(settings))
    return 'server %s, database %s, user %s' % (
        identity.place_text(settings), words.get('dbname') or 'that of the environment',
        words.get('user') or 'that of the environment')


def _correct(config: 'Config') -> str:
    """The line that leads AHM to this server."""
    if 'conn_string' in config.given:
        return lines.of_config(config, 'conn_string', 'correct conn_string')
    return lines.of_config(config, 'db_port', 'correct db_port, or db_user and db_database')


def _version(number: Optional[int]) -> str:
    return '%d.%d' % divmod(number, 10000) if number else 'of a version that it does not tell'


def is_ours(config: 'Config', found: Found, identifier: str, directory: str) -> Iterator[Verdict]:
    """AHM stops and starts the server of db_data_dir, and looks at the one that answers.

    identifier: '' where db_data_dir is no data directory.  directory: in which the server runs
    on this host; '' where it does not tell.
    """
    if not identifier:
        yield Verdict(ERROR, 'db_data_dir', '%s is no data directory (no PG_VERSION), and the '
                      'server at %s runs in %s' % (
                          config.db_data_dir, identity.place_text(database_settings(config)),
                          directory or 'a directory that it does not tell'),
                      lines.of_config(config, 'db_data_dir', 'db_data_dir: %s' % directory
                                      if directory else 'correct db_data_dir, or conn_string and '
                                      'db_port'))
    elif found.mismatch:
        yield Verdict(ERROR, 'db_data_dir', found.mismatch.rpartition('; ')[0], lines.of_config(
            config, 'db_data_dir', 'correct db_data_dir, or conn_string and db_port'))
    elif found.system_identifier == identifier:
        yield well('db_data_dir', 'the system identifier %s is that of %s' % (
            identifier, config.db_data_dir))
    else:
        yield Verdict(UNKNOWN, 'db_data_dir', 'not known: the server does not tell its system '
                      'identifier', 'GRANT EXECUTE ON FUNCTION pg_control_system() TO the role of '
                      'conn_string')


def listens(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """A server of a new installation listens on localhost alone."""
    text = shown(server, 'listen_addresses')
    assert config.nodes is not None and config.nodes.own is not None
    own = config.nodes.entries[config.nodes.own].host
    if text is None:
        yield hidden('listen_addresses')
        return
    words = [word.strip() for word in text.split(',') if word.strip()]
    if own in words or any(word in EVERYWHERE for word in words):
        yield well('listen_addresses', text)
    elif all(word in LOCAL for word in words):
        yield Verdict(ERROR, 'listen_addresses', text or 'nothing', lines.of_setting(
            server, 'listen_addresses', "'*'"))
    else:
        yield Verdict(UNKNOWN, 'listen_addresses', 'not known: %s; whether one of them is %s is '
                      'not looked up' % (text, own), lines.of_setting(
                          server, 'listen_addresses', "'%s, localhost'" % own))


def port(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """All nodes look for all databases at db_port."""
    found = number(server, 'port')
    if found in (None, config.db_port):
        yield well('db_port', '%d' % config.db_port)
        return
    yield Verdict(ERROR, 'db_port', '%d, and the server listens on port %d' % (
        config.db_port, found or 0), lines.of_config(config, 'db_port', 'db_port: %s' % found))


def monitor(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """Without it a standby that streams looks like one that does not."""
    del config
    if server.is_monitor:
        yield well(server.user, 'a superuser' if server.is_superuser else 'a member of pg_monitor')
        return
    yield Verdict(ERROR, server.user, 'neither a superuser nor a member of pg_monitor',
                  'on the primary: GRANT pg_monitor TO "%s";' % server.user)


def wal_level(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """What a standby needs has to be in the WAL."""
    del config
    value = shown(server, 'wal_level')
    if value is None:
        yield hidden('wal_level')
    elif value == 'minimal':
        yield Verdict(ERROR, 'wal_level', value, lines.of_setting(server, 'wal_level', 'replica'))
    else:
        yield well('wal_level', value)


def hot_standby(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """AHM asks standbys who they are and how far they are."""
    del config
    value = shown(server, 'hot_standby')
    if value is None:
        yield hidden('hot_standby')
    elif value == 'off':
        yield Verdict(ERROR, 'hot_standby', value, lines.of_setting(server, 'hot_standby', 'on'))
    else:
        yield well('hot_standby', value)


def senders(config: 'Config', server: Survey, files: Files) -> Iterator[Verdict]:
    """Each of the other nodes streams from here once this is the primary."""
    assert config.nodes is not None
    others = len(config.nodes.entries) - 1
    names = ['max_wal_senders'] + ['max_replication_slots'] * bool(files.slot)
    for name in names:
        value = number(server, name)
        enough = others + (BACKUP_SENDERS if name == 'max_wal_senders' else 0)
        if value is None:
            yield hidden(name)
        elif value >= enough:
            yield well(name, '%d' % value)
        else:
            yield Verdict(ERROR if value == 0 else WARNING, name, '%d, for up to %d standbys%s' % (
                value, others, ' and a pg_basebackup' if name == 'max_wal_senders' else ''),
                lines.of_setting(server, name, '%d' % max(10, enough)))


def archive(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """Archiving that is on and goes nowhere keeps all WAL."""
    del config
    mode = shown(server, 'archive_mode')
    if mode is None:
        yield hidden('archive_mode')
    elif mode == 'off':
        yield well('archive_mode', mode)
    elif shown(server, 'archive_command') or shown(server, 'archive_library'):
        yield well('archive_mode', '%s, and there is a command or a library' % mode)
    else:
        yield Verdict(WARNING, 'archive_mode', '%s, and archive_command is empty' % mode,
                      'set archive_command; or %s, where nothing is to be archived'
                      % lines.of_setting(server, 'archive_mode', 'off'))


def rewind(config: 'Config', server: Survey, files: Files) -> Iterator[Verdict]:
    """An old primary that has to be rewound has nobody who could prepare that any more."""
    if not config.use_pg_rewind:
        yield well('use_pg_rewind', 'false: a diverged node is rebuilt')
        return
    found = []
    if not files.has_rewind:
        found.append(Verdict(ERROR, 'use_pg_rewind', 'no pg_rewind in %s' % config.db_bin_dir,
                             'install it there, or %s' % lines.of_config(
                                 config, 'use_pg_rewind', 'use_pg_rewind: false')))
    if 'on' not in (shown(server, 'wal_log_hints'), shown(server, 'data_checksums')):
        found.append(Verdict(ERROR, 'wal_log_hints', 'off, and there are no data checksums',
                             lines.of_setting(server, 'wal_log_hints', 'on')))
    if shown(server, 'full_page_writes') == 'off':
        found.append(Verdict(ERROR, 'full_page_writes', 'off', lines.of_setting(
            server, 'full_page_writes', 'on')))
    found += [Verdict(ERROR, server.user, 'it may not execute %s' % call,
                      'on the primary: GRANT EXECUTE ON FUNCTION pg_catalog.%s TO "%s";' % (
                          call, server.user)) for call in server.no_rewind_calls]
    yield from found or [well('use_pg_rewind', 'true, and nothing is missing')]


def idle_slots(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """A standby that was away for longer has to be rebuilt."""
    del config
    value = shown(server, 'idle_replication_slot_timeout')
    if value is None:
        return
    if value == '0':
        yield well('idle_replication_slot_timeout', '0')
    else:
        yield Verdict(WARNING, 'idle_replication_slot_timeout', value, lines.of_setting(
            server, 'idle_replication_slot_timeout', '0'))


def commits(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """What is acknowledged without the WAL on disk, or without the standby, is lost at a failover.
    """
    names = shown(server, 'synchronous_standby_names')
    lax = ('off', 'local') if names else ('off',)
    value = shown(server, 'synchronous_commit')
    if names is None:
        yield hidden('synchronous_standby_names')
        return
    found = [Verdict(WARNING, _whom(database, role), 'synchronous_commit = %s' % each,
                     _reset(database, role))
             for database, role, each in server.commits if each in lax]
    if value is None:
        found.append(Verdict(UNKNOWN, 'synchronous_commit', 'not known: it is set for the role or '
                             'the database of this session, and the files of %s cannot be read'
                             % config.db_data_dir, 'run this as the user that runs AHM'))
    elif value in lax:
        found.append(Verdict(WARNING, 'synchronous_commit', value, lines.of_setting(
            server, 'synchronous_commit', 'on')))
    yield from found or [well('synchronous_commit', value or '')]


def _whom(database: str, role: str) -> str:
    words = ['role %s' % role] * bool(role) + ['database %s' % database] * bool(database)
    return ' in '.join(words) or 'all roles'


def _reset(database: str, role: str) -> str:
    if not role:
        return 'on the primary: ALTER DATABASE "%s" RESET synchronous_commit;' % database \
            if database else 'on the primary: ALTER ROLE ALL RESET synchronous_commit;'
    return 'on the primary: ALTER ROLE "%s"%s RESET synchronous_commit;' % (
        role, ' IN DATABASE "%s"' % database if database else '')


RULES = (
    Rule('db-answers', 'a server that refuses AHM counts as alive: after a failure there is no '
         'failover', ('probe',), answers),
    Rule('db-identity', 'AHM would stop one server and look at another; such a node does not lead '
         'and is not promoted', ('found', 'identifier', 'directory'), is_ours),
    Rule('listen-addresses', 'the other nodes have to reach this database, to see whether it lives '
         'and to stream from it', ('server',), listens),
    Rule('db-port', 'all nodes look for all databases at db_port', ('server',), port),
    Rule('monitor-right', 'without it AHM cannot see whether a standby streams, and holds it '
         'ineligible', ('server',), monitor),
    Rule('wal-level', 'a standby cannot be made from WAL of that level', ('server',), wal_level),
    Rule('hot-standby', 'AHM cannot ask a standby that takes no connections, and does not promote '
         'it', ('server',), hot_standby),
    Rule('max-wal-senders', 'once this server is the primary, every other node streams from it',
         ('server', 'files'), senders),
    Rule('archive', 'all WAL is kept until it is archived, and the disk fills', ('server',),
         archive),
    Rule('rewind', 'a diverged node could not be rewound, and has to be rebuilt',
         ('server', 'files'), rewind),
    Rule('idle-slot-timeout', 'the slot of a standby that is down for longer is '
         'invalidated, and the standby has to be rebuilt', ('server',), idle_slots),
    Rule('synchronous-commit', 'such commits are acknowledged before they are safe, and a failover '
         'loses them', ('server',), commits),
)
