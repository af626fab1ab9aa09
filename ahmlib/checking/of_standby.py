"""Replication: whether this standby streams, under which name, and what will end its replay."""

import os
from typing import TYPE_CHECKING, Iterator

from ahmlib.checking import lines
from ahmlib.checking.finding import ERROR, UNKNOWN, WARNING, Rule, Verdict, well
from ahmlib.checking.of_server import hidden, shown
from ahmlib.database.probe import Found
from ahmlib.database.settings_in_force import COMMAND_LINE, FIRST_VERSION_WITH_SIGNAL
from ahmlib.database.survey import Files, Survey

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: What a walreceiver calls itself where neither application_name nor cluster_name says anything.
DEFAULT_NAME = 'walreceiver'
FIRST_VERSION_WITH_SLOT_SYNC = 170000
CONNINFO = 'primary_conninfo'


def streaming(config: 'Config', found: Found) -> Iterator[Verdict]:
    """A standby that does not stream is not promoted."""
    if not found.in_recovery:
        return
    place = found.upstream and '%s:%s' % (found.upstream.host or 'a socket',
                                          found.upstream.port or 'its default port')
    if found.streaming:
        yield well(config.node_name, 'it streams from %s' % (place or 'its primary'))
    elif found.streaming is None:
        yield Verdict(UNKNOWN, config.node_name, 'not known: the server does not tell this user',
                      'GRANT pg_monitor TO the role of conn_string')
    else:
        yield Verdict(WARNING, config.node_name, 'it does not stream from %s' % (
            place or 'a primary: primary_conninfo says nothing'),
            'see the log of the database, then run ahm_attach_node')


def replay(config: 'Config', found: Found) -> Iterator[Verdict]:
    """What is received and not replayed cannot be served."""
    if not found.in_recovery:
        return
    if found.standstill:
        yield Verdict(ERROR, config.node_name, found.standstill, 'end what holds it up')
    elif not found.lsn_known:
        yield Verdict(UNKNOWN, config.node_name, 'not known: how much WAL it holds cannot be read',
                      'run this as the user that runs AHM')
    else:
        yield well(config.node_name, 'its replay goes on')


def application_name(config: 'Config', found: Found, server: Survey,
                     files: Files) -> Iterator[Verdict]:
    """By its name a primary, and synchronous_standby_names, know a standby."""
    if not found.in_recovery:
        return
    if not files.has_conninfo:
        yield Verdict(WARNING, CONNINFO, 'none is set', 'run ahm_attach_node on this node once AHM '
                      'runs')
        return
    is_default = files.application_name is None
    default = shown(server, 'cluster_name') if files.version >= FIRST_VERSION_WITH_SIGNAL else ''
    name = files.application_name or default or DEFAULT_NAME
    if name == config.node_name:
        yield well(CONNINFO, 'application_name is %s' % name)
        return
    level = ERROR if shown(server, 'synchronous_standby_names') else WARNING
    yield Verdict(level, CONNINFO, 'application_name is %s%s, and node_name is %s' % (
        name, ', the default' if is_default else '', config.node_name),
        'in primary_conninfo: application_name=%s; ahm_attach_node writes it' % config.node_name)


def recovery_target(config: 'Config', found: Found, files: Files) -> Iterator[Verdict]:
    """What a restore left ends the replay of a standby for good."""
    del config
    if not found.in_recovery and files.version < FIRST_VERSION_WITH_SIGNAL:
        yield well('recovery targets', 'none: a primary of this version has no such settings')
        return
    for name, (value, place) in sorted(files.targets.items()):
        is_fatal = found.in_recovery or place == COMMAND_LINE
        what = 'in %s: take the line %s = %s out, then restart that server' % (
            place or 'its configuration', name, _quoted(value))
        if place == COMMAND_LINE:
            what = 'take %s out of the command line of the server, then restart it' % name
        yield Verdict(ERROR if is_fatal else WARNING, name, '%s, set in %s' % (
            _quoted(value), place or 'a file that is not shown'), what)
    if not files.targets:
        yield well('recovery targets', 'none')


def _quoted(value: str) -> str:
    return "'%s'" % value.replace("'", "''")


def command_line(config: 'Config', files: Files) -> Iterator[Verdict]:
    """It wins over all files, so over what AHM writes."""
    if not files.on_command_line:
        yield well('command line', 'no recovery setting is there')
    for name in files.on_command_line:
        if not files.is_running:
            yield Verdict(WARNING, name, 'was on the command line of the last start (%s)'
                          % os.path.join(config.db_data_dir or '', 'postmaster.opts'),
                          'take %s out of it (pg_ctl -o, the unit, start.conf) before the next '
                          'start' % name)
            continue
        yield Verdict(ERROR, name, 'set on the command line of the server',
                      'take %s out of it (pg_ctl -o, the unit, start.conf), then restart that '
                      'server' % name)


def replication_role(config: 'Config', server: Survey, files: Files) -> Iterator[Verdict]:
    """Each standby connects as this role, whoever is the primary."""
    del config
    role = files.replication_user
    if server.replication is None:
        yield Verdict(ERROR, role, 'there is no such role',
                      'on the primary: CREATE ROLE "%s" LOGIN REPLICATION;' % role)
        return
    missing = [word for word, is_there in zip(('LOGIN', 'REPLICATION'), server.replication)
               if not is_there]
    if missing:
        yield Verdict(ERROR, role, 'it lacks the attribute %s' % ' and '.join(missing),
                      'on the primary: ALTER ROLE "%s" %s;' % (role, ' '.join(missing)))
    else:
        yield well(role, 'it may log in, and replicate')


def slot_sync(config: 'Config', server: Survey, files: Files) -> Iterator[Verdict]:
    """A standby that synchronises logical slots does not without these."""
    del config
    if server.version < FIRST_VERSION_WITH_SLOT_SYNC or not server.in_recovery:
        return
    value = shown(server, 'sync_replication_slots')
    if value != 'on':
        yield hidden('sync_replication_slots') if value is None else well(
            'sync_replication_slots', value)
        return
    found = []
    if not files.dbname:
        found.append(Verdict(WARNING, CONNINFO, 'sync_replication_slots is on, and there is no '
                             'dbname', 'primary_conninfo_options: dbname=postgres, then '
                             'ahm_attach_node'))
    if not files.slot:
        found.append(Verdict(WARNING, 'primary_slot_name', 'sync_replication_slots is on, and '
                             'there is no slot', 'postgresql.conf: primary_slot_name = a slot of '
                             'this standby'))
    if shown(server, 'hot_standby_feedback') == 'off':
        found.append(Verdict(WARNING, 'hot_standby_feedback', 'off, and sync_replication_slots is '
                             'on', lines.of_setting(server, 'hot_standby_feedback', 'on')))
    yield from found or [well('sync_replication_slots', 'on, and nothing is missing')]


RULES = (
    Rule('streaming', 'a standby that does not stream is not promoted', ('found',), streaming),
    Rule('replay', 'a standby whose replay stands still is not promoted', ('found',), replay),
    Rule('application-name', 'by this name the primary, and synchronous_standby_names, know this '
         'standby; else its confirmations count for nobody, or for another one',
         ('found', 'server', 'files'), application_name),
    Rule('recovery-target', 'it ends or pauses the replay of a standby for good',
         ('found', 'files'), recovery_target),
    Rule('command-line', 'the command line wins over what AHM writes, so this server follows no '
         'other primary', ('files',), command_line),
    Rule('replication-role', 'every standby connects as this role, to whoever is the primary',
         ('server', 'files'), replication_role),
    Rule('slot-sync', 'logical slots are not there after a failover', ('server', 'files'),
         slot_sync),
)
