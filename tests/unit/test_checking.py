"""The rules of ahm_check_config, one by one, of facts that are made up.

tests/integration/test_check_config.py asks real servers.
"""

import os
import re

import pytest

from ahmlib import checking
from ahmlib.checking import of_config, of_minors, table
from ahmlib.checking.facts import Daemon, Facts, Host, Memory, Server, Start, Takeover
from ahmlib.checking.finding import ERROR, LEVELS, OK, UNKNOWN, WARNING, Rule, Unknown
from ahmlib.config import nodes_file, schema
from ahmlib.config.loader import parse
from ahmlib.core.settings import Settings
from ahmlib.database.conninfo import Upstream
from ahmlib.database.probe import REACHABLE, Found
from ahmlib.database.rehearsal import Rehearsed
from ahmlib.database.survey import Files, Shown, Slot, Survey
from ahmlib.process.units import unit_of
from ahmlib.runtime.settings import core_settings

PATH = '/etc/ahm/ahm_config.yml'
BASE = ('node_name: two\ndata_dir: /var/lib/ahm\nsocket_dir: /run/ahm\ndb_data_dir: /pg\n'
        'db_bin_dir: /pg/bin\npriority: 2\n')
IN_TMP = BASE.replace('/run/ahm', '/tmp')
OWN, FIRST, THIRD = '192.0.2.2', '192.0.2.1', '192.0.2.3'
VALUES = {
    'archive_command': 'set', 'archive_library': '', 'archive_mode': 'on', 'cluster_name': '',
    'config_file': '/pg/postgresql.conf', 'data_checksums': 'off', 'full_page_writes': 'on',
    'hot_standby': 'on', 'hot_standby_feedback': 'on', 'idle_replication_slot_timeout': '0',
    'listen_addresses': '*', 'max_connections': '100', 'max_locks_per_transaction': '64',
    'max_prepared_transactions': '0', 'max_replication_slots': '10', 'max_wal_senders': '10',
    'max_worker_processes': '8', 'port': '5432', 'sync_replication_slots': 'on',
    'synchronized_standby_slots': 'two', 'synchronous_commit': 'on',
    'synchronous_standby_names': 'two', 'tcp_keepalives_idle': '0', 'tcp_user_timeout': '0',
    'wal_level': 'replica', 'wal_log_hints': 'on', 'wal_receiver_timeout': '60000',
    'wal_sender_timeout': '60000'}
SERVER = Survey(
    True, version=180003, in_recovery=True, user='ahm', is_monitor=True, replication=(True, True),
    settings={name: Shown(value, '/pg/postgresql.conf', 7, 'sighup')
              for name, value in VALUES.items()})
PRIMARY = SERVER._replace(in_recovery=False, slots=(
    Slot('two', True, True), Slot('feed', False, True, failover=True)))
FOUND = Found(REACHABLE, answered=True, in_recovery=True, system_identifier='77', lsn=5,
              streaming=True, upstream=Upstream(FIRST, 5432, 'two'), server_version=180003)
OF_PRIMARY = FOUND._replace(
    in_recovery=False, streaming=None, upstream=None, sync_names=('two',), sync_needed=1,
    sync_peers=(('two', OWN), ('three', THIRD)))
FILES = Files(True, version=18, has_conninfo=True, application_name='two', dbname='postgres',
              replication_user='rep', slot='two', has_rewind=True)
HOST = Host('postgres', 26, 26, 0o644, True, (), '/var/lib/ahm belongs to postgres',
            'run this as postgres')


def config_of(text='', nodes=3, base=BASE):
    """A Config of the second node."""
    config = parse(base + text, PATH, {})
    config.nodes = nodes_file.NodeList(tuple(
        nodes_file.Entry('192.0.2.%d' % number, 9500) for number in range(1, nodes + 1)), 1,
        '/etc/ahm/nodes.conf')
    return config


def facts_of(config=None, **changes):
    """Facts of a standby with which all is well, but for these."""
    facts = Facts(
        config or config_of(), HOST, Daemon(None), Memory(), Start(), FOUND, SERVER, FILES, '77',
        Takeover((), ()), Rehearsed(True, asked=((0, ''),)),
        (Server(FIRST, 5432, OF_PRIMARY, PRIMARY),
         Server(THIRD, 5432, FOUND, SERVER)), (THIRD,))
    return facts._replace(**changes)


def of_primary(**changes):
    """Likewise of a primary."""
    return facts_of(**dict({'probe': OF_PRIMARY, 'server': PRIMARY, 'others': (
        Server(THIRD, 5432, FOUND, SERVER),)}, **changes))


def setting(server, **changes):
    """A Survey with other settings."""
    return server._replace(settings=dict(server.settings, **{
        name: server.settings[name]._replace(value=value) for name, value in changes.items()}))


def server(**changes):
    """Facts of a standby whose server has other settings."""
    return facts_of(server=setting(SERVER, **changes))


def elsewhere(directory):
    """A Survey of a server that runs there."""
    return SERVER._replace(settings=dict(SERVER.settings, data_directory=Shown(directory)))


def without(name):
    """Facts of a server that does not show this setting."""
    return facts_of(server=SERVER._replace(settings={
        each: shown for each, shown in SERVER.settings.items() if each != name}))


def others(found=OF_PRIMARY, survey=PRIMARY):
    """Facts with another server of node 1."""
    return facts_of(others=(Server(FIRST, 5432, found, survey),))


def of_minor(version, text=''):
    """Facts where all servers are of that server_version_num."""
    return facts_of(config_of(text), server=SERVER._replace(version=version), others=(
        Server(FIRST, 5432, OF_PRIMARY, PRIMARY._replace(version=version)),))


def slots(value, *there):
    """Facts of a primary with this synchronized_standby_slots, and these slots."""
    return of_primary(server=setting(PRIMARY, synchronized_standby_slots=value)._replace(
        slots=there))


def handover(**changes):
    """Facts with another outcome of that rehearsal."""
    return facts_of(handover=Rehearsed(True, asked=((0, ''),))._replace(**changes))


def files(**changes):
    """Facts with other files."""
    return facts_of(files=FILES._replace(**changes))


def in_unit(unit, text=''):
    """Facts of a server that runs in this unit, with these lines in ahm_config.yml."""
    return facts_of(config_of(text), host=HOST._replace(server_unit=unit))


def rightless(daemon):
    """Facts of who asks without the right that raises the VIP, beside this daemon."""
    return facts_of(daemon=daemon, takeover=Takeover(
        ('if_up_cmd: no right to run "ip" (CAP_NET_ADMIN): use sudo',), ()))


REFUSED = Found(REACHABLE, 'no pg_hba.conf entry for host "192.0.2.2"')
SILENT = Found(reason='Connection refused')
UNRESOLVED = Found(reason='could not translate host name "nowhere" to address: Name or service not '
                          'known')
NO_PING = Takeover((), ('ping: no failover of a lost host: it cannot be run: set ping_path',))
WITH_VIP = ('virtual_IP: 192.0.2.100\nif_up_cmd: ip addr add $_IP_$/24 dev lo\n'
            'if_down_cmd: ip addr del $_IP_$/24 dev lo\n')
#: Code -> [(facts, level, subject, what is found has these words, so has what is to do)].
CASES = {
    'user': [(facts_of(host=HOST._replace(user='root', uid=0)), WARNING, 'root',
              '/var/lib/ahm belongs to postgres, and this is run by root', 'run this as postgres')],
    'socket-dir-tmp': [(facts_of(config_of(base=IN_TMP)), WARNING, 'socket_dir',
                        '/tmp/.s.AHM.9595', 'x /tmp/.s.AHM.*')],
    'password-file': [
        (facts_of(config_of('conn_string: host=a password=secret\n')), ERROR, 'conn_string',
         'mode 0644, which everybody may read', 'chmod 600 ' + PATH),
        (facts_of(config_of('conn_string: postgresql://u:secret@h/d\n'),
                  host=HOST._replace(config_mode=0o640)), WARNING, 'conn_string', 'its group',
         'chmod 600'),
        (facts_of(config_of('primary_conninfo_options: password=secret\n')), ERROR,
         'primary_conninfo_options', 'everybody', 'chmod 600')],
    'daemon': [],       # a daemon that cannot be told is unknown; that one runs, or none, is well
    'nodes-changed': [
        (facts_of(memory=Memory(is_there=True, cluster=1)), WARNING, 'nodes.conf',
         'ran here last', 'ahm_shutdown_cluster'),
        (facts_of(daemon=Daemon(7, 1)), WARNING, 'nodes.conf', 'runs here',
         'ahm_shutdown_cluster')],
    'state-file': [
        (facts_of(memory=Memory(refused='it is a link; remove it')), ERROR, 'data_dir',
         'it is a link', 'remove it'),
        (facts_of(memory=Memory(refused='/tmp/ahm.state is owned by al, expected bo; chown it')),
         ERROR, 'data_dir', 'owned by al', 'chown it'),
        (facts_of(memory=Memory(damaged='cut short')), WARNING, 'data_dir', 'cut short', 'disk')],
    'log': [
        (facts_of(start=Start(log='cannot write it; correct log_filename')), ERROR,
         'log_filename', 'cannot write', 'correct log_filename'),
        (facts_of(start=Start(syslog='/dev/log: gone')), WARNING, 'log_filename', 'no syslog',
         'log_filename: ahm.log')],
    'ports': [
        (facts_of(start=Start(ports=('cannot bind the beacon port, UDP; check it',))), ERROR,
         'ahm_port', 'cannot bind', 'check it'),
        (facts_of(start=Start(ports=('cannot listen on TCP; stop it',))), ERROR, 'ipc_port',
         'cannot listen on TCP', 'stop it')],
    'db-answers': [
        (facts_of(probe=REFUSED), ERROR, 'conn_string', 'refuses AHM: no pg_hba', 'pg_hba.conf'),
        (facts_of(config_of('db_user: al\ndb_database: shop\ndb_port: 5433\n'), probe=SILENT),
         UNKNOWN, 'conn_string',
         'server localhost:5433, database shop, user al: it does not answer: Connection refused',
         'start AHM, then the database, and run this again; or %s:9: correct db_port' % PATH),
        (facts_of(config_of('conn_string: host=h dbname=d user=u password=secret\n'),
                  probe=SILENT), UNKNOWN, 'conn_string', 'server h:5432, database d, user u: ',
         'or %s:7: correct conn_string' % PATH),
        (facts_of(config_of('conn_string: host=nowhere\n'), probe=UNRESOLVED), ERROR,
         'conn_string', 'server nowhere:5432, database that of the environment, user that of the '
         'environment: could not translate', PATH + ':7: correct conn_string')],
    'db-identity': [
        (facts_of(probe=FOUND._replace(mismatch='another server; correct it')), ERROR,
         'db_data_dir', 'another server', PATH + ':4: correct db_data_dir'),
        (facts_of(probe=FOUND._replace(system_identifier=None)), UNKNOWN, 'db_data_dir',
         'does not tell', 'pg_control_system'),
        (facts_of(identifier='', server=elsewhere('/data/18')), ERROR, 'db_data_dir',
         '/pg is no data directory (no PG_VERSION), and the server at localhost:5432 runs in '
         '/data/18', PATH + ':4: db_data_dir: /data/18'),
        (facts_of(identifier=''), ERROR, 'db_data_dir', 'a directory that it does not tell',
         PATH + ':4: correct db_data_dir')],
    'listen-addresses': [
        (server(listen_addresses='localhost'), ERROR, 'listen_addresses', 'localhost',
         "/pg/postgresql.conf:7: listen_addresses = '*'"),
        (server(listen_addresses=''), ERROR, 'listen_addresses', 'nothing', "= '*'"),
        (server(listen_addresses='db2.example'), UNKNOWN, 'listen_addresses', 'not looked up',
         OWN)],
    'db-port': [(server(port='5433'), ERROR, 'db_port', 'port 5433', PATH + ': db_port: 5433')],
    'monitor-right': [(facts_of(server=SERVER._replace(is_monitor=False)), ERROR, 'ahm',
                       'neither', 'GRANT pg_monitor TO "ahm";')],
    'wal-level': [(server(wal_level='minimal'), ERROR, 'wal_level', 'minimal',
                   '/pg/postgresql.conf:7: wal_level = replica'),
                  (without('wal_level'), UNKNOWN, 'wal_level', 'not show', 'pg_monitor')],
    'hot-standby': [(server(hot_standby='off'), ERROR, 'hot_standby', 'off', 'hot_standby = on')],
    'max-wal-senders': [
        (server(max_wal_senders='0'), ERROR, 'max_wal_senders', '0, for up to 2', '= 10'),
        (server(max_wal_senders='3'), WARNING, 'max_wal_senders', '3, for up to 2', '= 10'),
        (server(max_replication_slots='1'), WARNING, 'max_replication_slots', '1', '= 10'),
        (without('max_wal_senders'), UNKNOWN, 'max_wal_senders', 'not show', 'pg_monitor')],
    'archive': [(server(archive_command=''), WARNING, 'archive_mode', 'command is empty',
                 'set archive_command; or /pg/postgresql.conf:7: archive_mode = off, then reload '
                 'that server, where nothing is to be archived')],
    'rewind': [
        (facts_of(config_of('use_pg_rewind: true\n'), files=FILES._replace(has_rewind=False)),
         ERROR, 'use_pg_rewind', 'no pg_rewind in /pg/bin', PATH + ':7: use_pg_rewind: false'),
        (facts_of(config_of('use_pg_rewind: true\n'), server=setting(
            SERVER, wal_log_hints='off')), ERROR, 'wal_log_hints', 'no data checksums', '= on'),
        (facts_of(config_of('use_pg_rewind: true\n'), server=setting(
            SERVER, full_page_writes='off')), ERROR, 'full_page_writes', 'off', '= on'),
        (facts_of(config_of('use_pg_rewind: true\n'), server=SERVER._replace(
            no_rewind_calls=['pg_stat_file(text, boolean)'])), ERROR, 'ahm', 'may not execute',
         'GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO "ahm";')],
    'idle-slot-timeout': [(server(idle_replication_slot_timeout='60'), WARNING,
                           'idle_replication_slot_timeout', '60', 'timeout = 0')],
    'synchronous-commit': [
        (server(synchronous_commit='local'), WARNING, 'synchronous_commit', 'local', '= on'),
        (facts_of(server=SERVER._replace(commits=(('', 'app', 'off'),))), WARNING, 'role app',
         'off', 'ALTER ROLE "app" RESET'),
        (facts_of(server=SERVER._replace(commits=(('shop', '', 'local'),))), WARNING,
         'database shop', 'local', 'ALTER DATABASE "shop" RESET'),
        (facts_of(server=SERVER._replace(commits=(('shop', 'app', 'off'),))), WARNING,
         'role app in database shop', 'off', 'ALTER ROLE "app" IN DATABASE "shop" RESET'),
        (facts_of(server=setting(SERVER, synchronous_commit='off')._replace(
            commits=(('', 'ahm', 'on'),))), WARNING, 'synchronous_commit', 'off', '= on'),
        (facts_of(server=setting(SERVER, synchronous_commit='on')._replace(
            commits=(('', 'ahm', 'off'),))), WARNING, 'role ahm', 'off', 'ALTER ROLE "ahm" RESET'),
        (without('synchronous_commit'), UNKNOWN, 'synchronous_commit', 'cannot be read',
         'run this as the user')],
    'known-faults': [
        (of_minor(140021), WARNING, 'PostgreSQL 14.21', 'truncation of multixids in the WAL of a '
         'primary of an older minor; mended in 14.22: see https://www.postgresql.org/docs/release/'
         '14.22/', 'to the newest 14, 14.22 at least: the standbys first'),
        (of_minor(150009, 'use_pg_rewind: true\n'), WARNING, 'PostgreSQL 15.9', 'pg_rewind '
         'removes WAL', '15.10 at least'),
        (of_minor(100021), WARNING, 'PostgreSQL 10.21', 'CREATE DATABASE', '10.22 at least')],
    'mixed-versions': [
        (others(survey=PRIMARY._replace(version=180001)), WARNING, 'PostgreSQL',
         'servers of 18.1, 18.3', 'update all to 18.3: the standbys first'),
        (others(survey=PRIMARY._replace(version=170001)), ERROR, 'PostgreSQL',
         'servers of 17.1, 18.3', 'pg_upgrade')],
    'db-service': [
        (in_unit('postgresql@15-main.service'), WARNING, 'db_start_command',
         'it runs in the unit postgresql@15-main.service, and AHM would start it by pg_ctl',
         PATH + ': db_start_command: /usr/bin/sudo /usr/bin/systemctl start postgresql@15-main; '
         'db_stop_command: /usr/bin/sudo /usr/bin/systemctl --job-mode=ignore-dependencies stop '
         'postgresql@15-main; '),
        (in_unit('ahm.service', 'db_config_dir: /etc/postgresql/15/main\n'), WARNING,
         'db_start_command', 'AHM has started it by pg_ctl, so it runs in ahm.service',
         'systemctl start postgresql@15-main; '),
        (in_unit('ahm.service'), WARNING, 'db_start_command', 'so it runs in ahm.service',
         'systemctl start UNIT; '),
        (in_unit('postgresql-15.service', 'db_start_command: sudo systemctl start postgresql\n'
                 'db_stop_command: sudo systemctl stop postgresql\n'), WARNING,
         'db_start_command', 'it starts postgresql.service, and the server runs in '
         'postgresql-15.service', PATH + ':7: db_start_command: /usr/bin/sudo /usr/bin/systemctl '
         'start postgresql-15; '),
        (in_unit('', 'db_start_command: sudo systemctl start postgresql-15\n'
                 'db_stop_command: sudo systemctl stop postgresql-15\n'), WARNING,
         'db_start_command', 'it starts postgresql-15.service, and the server runs in no unit',
         'stop that server, and start it by systemctl start postgresql-15.service')],
    'db-sudo': [
        (facts_of(config_of('db_start_command: sudo systemctl start x\n'
                            'db_stop_command: sudo systemctl stop y\n'), db_commands=(
            'db_stop_command: sudo does not let this user run "systemctl stop y" without a '
            'password (sudo: a password is required): see sudoers(5)',)), ERROR, 'db_stop_command',
         'sudo does not let this user run "systemctl stop y" without a password (sudo: a password '
         'is required)', PATH + ':8: this command, and a line of sudoers that allows it as it '
         'stands: see sudoers(5)')],
    'streaming': [
        (facts_of(probe=FOUND._replace(streaming=False)), WARNING, 'two',
         'does not stream from 192.0.2.1:5432', 'ahm_attach_node'),
        (facts_of(probe=FOUND._replace(streaming=None)), UNKNOWN, 'two', 'does not tell',
         'pg_monitor')],
    'replay': [
        (facts_of(probe=FOUND._replace(standstill='it is paused')), ERROR, 'two', 'paused', 'end'),
        (facts_of(probe=FOUND._replace(lsn_known=False)), UNKNOWN, 'two', 'cannot be read', 'run')],
    'application-name': [
        (files(application_name='one'), ERROR, 'primary_conninfo',
         'application_name is one, and node_name is two', 'application_name=two'),
        (facts_of(files=FILES._replace(application_name=None), server=setting(
            SERVER, synchronous_standby_names='')), WARNING, 'primary_conninfo',
         'walreceiver, the default', 'application_name=two'),
        (files(has_conninfo=False), WARNING, 'primary_conninfo', 'none is set', 'ahm_attach_node')],
    'recovery-target': [
        (files(targets={'recovery_target_time': ('now', '/pg/a.conf')}), ERROR,
         'recovery_target_time', "'now', set in /pg/a.conf",
         "/pg/a.conf: take the line recovery_target_time = 'now' out"),
        (of_primary(files=FILES._replace(targets={'recovery_target_time': ('now', '/pg/a')})),
         WARNING, 'recovery_target_time', '/pg/a', 'out'),
        (of_primary(files=FILES._replace(targets={
            'recovery_target_time': ('now', 'the command line')})), ERROR, 'recovery_target_time',
         'the command line', 'take recovery_target_time out of the command line')],
    'command-line': [(files(on_command_line=['primary_conninfo']), ERROR, 'primary_conninfo',
                      'command line', 'pg_ctl -o'),
                     (files(on_command_line=['primary_conninfo'], is_running=False), WARNING,
                      'primary_conninfo', 'was on the command line of the last start '
                      '(/pg/postmaster.opts)', 'before the next start')],
    'replication-role': [
        (facts_of(server=SERVER._replace(replication=None)), ERROR, 'rep', 'no such role',
         'CREATE ROLE "rep" LOGIN REPLICATION;'),
        (facts_of(server=SERVER._replace(replication=(True, False))), ERROR, 'rep',
         'lacks the attribute REPLICATION', 'ALTER ROLE "rep" REPLICATION;'),
        (facts_of(server=SERVER._replace(replication=(False, False))), ERROR, 'rep',
         'LOGIN and REPLICATION', 'ALTER ROLE "rep" LOGIN REPLICATION;')],
    'slot-sync': [
        (files(dbname=None), WARNING, 'primary_conninfo', 'no dbname', 'dbname=postgres'),
        (files(slot=''), WARNING, 'primary_slot_name', 'no slot', 'primary_slot_name'),
        (server(hot_standby_feedback='off'), WARNING, 'hot_standby_feedback', 'off', '= on')],
    'primary-slot': [
        (facts_of(probe=FOUND._replace(streaming=False), files=FILES._replace(slot='lost')),
         WARNING, 'primary_slot_name', 'lost, and the primary has no such physical slot (it has '
         'two)', 'ahm_attach_node'),
        (facts_of(probe=FOUND._replace(streaming=False), others=(Server(
            FIRST, 5432, OF_PRIMARY, PRIMARY._replace(slots=())),)), WARNING, 'primary_slot_name',
         'two, and the primary has no such physical slot (it has none)',
         "pg_create_physical_replication_slot('two')")],
    'replication-timeouts': [
        (facts_of(server=setting(SERVER, wal_sender_timeout='0')), WARNING, 'wal_sender_timeout',
         '0: no limit, and neither', "wal_sender_timeout = '60s'"),
        (facts_of(server=setting(SERVER, wal_receiver_timeout='900000')), WARNING,
         'wal_receiver_timeout', '900 s, and neither tcp_user_timeout nor keepalives_idle in '
         'primary_conninfo', "wal_receiver_timeout = '60s'"),
        (without('wal_sender_timeout'), UNKNOWN, 'wal_sender_timeout', 'not show', 'pg_monitor')],
    'synchronized-slots': [
        (slots('one, "three"', Slot('one', True, True)), WARNING, 'synchronized_standby_slots',
         'it lists three, and there is no such', "synchronized_standby_slots = 'one'"),
        (slots('one', Slot('one', True, False)), WARNING, 'synchronized_standby_slots',
         'it lists one, and no standby uses', "synchronized_standby_slots = ''"),
        (slots('', Slot('feed', False, False, True)), WARNING, 'synchronized_standby_slots',
         'not set, and the logical slots feed have failover', 'the slots of the standbys')],
    'other-servers': [
        (others(REFUSED, Unknown('')), ERROR, FIRST + ':5432', 'refuses AHM', 'pg_hba.conf'),
        (others(SILENT, Unknown('')), UNKNOWN, FIRST + ':5432', 'does not answer', 'witness')],
    'one-system': [
        (others(OF_PRIMARY._replace(system_identifier='78')), ERROR, FIRST + ':5432',
         'is 78, and that of this one 77', 'pg_basebackup'),
        (others(OF_PRIMARY._replace(system_identifier=None)), UNKNOWN, FIRST + ':5432',
         'not told', 'pg_control_system')],
    'one-primary': [
        (of_primary(others=(Server(FIRST, 5432, OF_PRIMARY, PRIMARY),)), ERROR, 'primaries',
         '2 servers are primaries: this server, 192.0.2.1:5432', 'stop all but one'),
        (facts_of(others=()), UNKNOWN, 'primaries', 'no server that answers', 'see')],
    'standby-settings': [
        (server(max_connections='90'), ERROR, 'max_connections',
         '90 at this standby, and 100 at its primary',
         'on this standby: /pg/postgresql.conf:7: max_connections = 100'),
        (server(max_worker_processes='9'), WARNING, 'max_worker_processes',
         '9 at this standby, and 8', 'on the primary: /pg/postgresql.conf:7: '
         'max_worker_processes = 9'),
        (of_primary(others=(Server(THIRD, 5432, FOUND, setting(
            SERVER, max_wal_senders='9')),)), ERROR, 'max_wal_senders', '9 at 192.0.2.3:5432',
         'on 192.0.2.3:5432: /pg/postgresql.conf:7: max_wal_senders = 10'),
        (others(SILENT, Unknown('it is away')), UNKNOWN, '', 'no primary answers', '')],
    'unique-names': [
        (others(OF_PRIMARY._replace(sync_peers=(('two', OWN), ('two', THIRD)))), ERROR, 'two',
         '2 connections to the primary have this name, from 192.0.2.2, 192.0.2.3',
         'application_name'),
        (others(OF_PRIMARY._replace(sync_peers=(('a', OWN), ('a', THIRD)))), WARNING, 'a',
         '2 connections', 'application_name'),
        (others(OF_PRIMARY._replace(sync_peers=None)), UNKNOWN, 'pg_stat_replication',
         'does not show', 'pg_monitor')],
    'sync-names': [(others(OF_PRIMARY._replace(sync_names=('*',))), WARNING,
                    'synchronous_standby_names', 'everybody', 'node_name'),
                   (others(OF_PRIMARY._replace(sync_needed=2, sync_names=('two', 'gone'))), ERROR,
                    'synchronous_standby_names', 'commits wait: synchronous_standby_names asks for '
                    '2 of two, gone, and 1 of them stream (two)', 'start that standby')],
    'same-archiving': [(server(archive_mode='off'), WARNING, 'archive_mode',
                        'off, and on at the primary', 'archive_mode = on')],
    'takeover': [(facts_of(takeover=Takeover(
        ('if_up_cmd: /x is not there: install it, or correct the path',), ())), ERROR, 'if_up_cmd',
        '/x is not there', 'if_up_cmd: install it'),
        (rightless(Daemon(None)), UNKNOWN, 'if_up_cmd', 'not known: no right to run',
         'if_up_cmd: use sudo'),
        (rightless(Daemon(7, capabilities=1 << 13)), ERROR, 'if_up_cmd', 'no right to run',
         'if_up_cmd: use sudo'),
        (rightless(Daemon(7)), ERROR, 'if_up_cmd', 'no right to run', 'if_up_cmd: use sudo'),
        (facts_of(config_of(WITH_VIP), takeover=NO_PING), ERROR, 'ping_path', 'it cannot be run',
         'ping_path: set')],
    'takeover-lacks': [
        (facts_of(config_of('trusted_servers: 192.0.2.254\n'), takeover=NO_PING), WARNING,
         'ping_path', 'it cannot be run', 'ping_path: set'),
        (facts_of(takeover=Takeover((), ('arping_cmd: /x is not there: install it',))), WARNING,
         'arping_cmd', '/x is not there', 'arping_cmd: install it')],
    'checkpoint': [(handover(no_checkpoint='ahm may not run CHECKPOINT: GRANT pg_checkpoint TO '
                             'ahm'), ERROR, 'CHECKPOINT', 'may not run CHECKPOINT',
                    'on the primary: GRANT pg_checkpoint TO ahm;')],
    'config-dir': [(handover(no_start='AHM would start this database with /pg, and it was started '
                             'with /etc/pg: set db_config_dir'), ERROR, 'db_config_dir', '/etc/pg',
                    PATH + ': db_config_dir: /etc/pg')],
    'archiver': [(handover(unarchived='archive_command fails: see the log of the database'),
                  WARNING, 'archive_command', 'fails', 'see the log')],
    'standby-refused': [
        (handover(asked=((0, 'no pg_hba.conf entry'),)), ERROR, THIRD, 'no pg_hba.conf entry',
         'host replication agens 192.0.2.2/32'),
        (handover(asked=()), UNKNOWN, THIRD, 'it is down', 'witness')],
}


def found_of(facts, code):
    """The Findings of one code."""
    return [finding for finding in table.judge(facts) if finding.code == code]


def test_where_all_is_well_nothing_is_asked_for():
    for facts in (facts_of(), of_primary()):
        assert [finding for finding in table.judge(facts) if finding.level != OK
                and finding.code not in ('program', 'no-database', 'data-dir-tmp')] == []


@pytest.mark.parametrize('code, case', [
    (code, number) for code in CASES for number in range(len(CASES[code]))])
def test_what_is_wrong_is_told_with_the_line_to_change(code, case):
    facts, level, subject, found, fix = CASES[code][case]
    told = [finding for finding in found_of(facts, code) if finding.level == level]
    assert [finding.subject for finding in told] == [subject], found_of(facts, code)
    assert found in told[0].found and fix in told[0].fix and len(told[0].why) > 20, told


@pytest.mark.parametrize('unit, text', [
    ('', ''), ('postgresql-15.service', 'db_start_command: systemctl start postgresql-15\n'
               'db_stop_command: systemctl stop postgresql-15\n'),
    ('postgresql-15.service', 'db_start_command: /usr/local/bin/start\n'
     'db_stop_command: /usr/local/bin/stop\n')])
def test_a_server_that_is_started_by_whom_it_belongs_to_is_well(unit, text):
    assert [finding.level for finding in found_of(in_unit(unit, text), 'db-service')] == [OK]


def test_where_no_server_runs_or_no_systemd_is_there_nothing_is_said_of_units():
    assert found_of(in_unit(None), 'db-service') == []
    host = HOST._replace(server_unit='postgresql-15.service', has_systemd=False)
    assert found_of(facts_of(host=host), 'db-service') == []


@pytest.mark.parametrize('cgroups, unit', [
    ('1:name=systemd:/system.slice/system-postgresql.slice/postgresql@15-main.service\n0::/x\n',
     'postgresql@15-main.service'),
    ('0::/system.slice/postgresql-15.service\n', 'postgresql-15.service'),
    ('0::/user.slice/user-0.slice/session-3.scope\n', ''), ('2:cpu:/system.slice/a.service\n', ''),
    ('nonsense', ''), ('', '')])
def test_the_unit_of_a_process_is_read_from_its_control_groups(cgroups, unit):
    assert unit_of(cgroups) == unit


def test_every_rule_has_a_case_and_every_code_a_reason():
    assert [rule.code for rule in table.RULES] == list(CASES)
    assert [code for code, why in table.codes().items() if len(why) < 10] == []
    assert set(table.codes()) >= {rule.code for rule in schema.RULES + schema.ADVICE}


@pytest.mark.parametrize('fact', [
    'host', 'daemon', 'memory', 'start', 'probe', 'server', 'files', 'identifier', 'takeover',
    'handover', 'db_commands'])
def test_what_was_not_answered_is_never_well(fact):
    """The same rules as ever are told, and those that need it say why they do not know."""
    facts = facts_of(**{fact: Unknown('it hangs')})
    if fact == 'server':            # its primary is asked apart
        facts = facts._replace(others=())
    needing = [rule.code for rule in table.RULES if fact in rule.needs
               or fact == 'probe' and 'found' in rule.needs]
    assert needing
    for code in needing:
        told = found_of(facts, code)
        assert [finding.level for finding in told] == [UNKNOWN], code
        assert told[0].found.startswith('not known: ')


def test_a_database_that_is_down_leaves_nothing_of_it_well():
    facts = facts_of(probe=SILENT, server=Unknown('down'), files=Unknown('down'),
                     handover=Unknown('down'))
    well = {finding.code for finding in table.judge(facts) if finding.level == OK}
    of_database = {rule.code for rule in table.RULES if rule.of_database}
    assert well & of_database == {'db-sudo', 'unique-names', 'sync-names'}


def test_a_witness_is_asked_nothing_of_databases():
    facts = facts_of(config_of('is_witness: true\n'), **{
        name: Unknown('a witness') for name in ('probe', 'server', 'files', 'identifier',
                                                'handover')})
    codes = {finding.code for finding in table.judge(facts)}
    assert not codes & {rule.code for rule in table.RULES if rule.of_database}
    assert {'ports', 'takeover', 'user'} <= codes


def test_a_server_that_refuses_a_witness_is_told_as_it_prevents_the_failover():
    told, = found_of(facts_of(config_of('is_witness: true\n'), others=(
        Server(FIRST, 5432, REFUSED, Unknown('')),)), 'other-servers')
    assert told.level == ERROR and 'no pg_hba.conf entry' in told.found


def test_ping_that_a_takeover_needs_is_told_once_and_says_what_it_is_for():
    with_vip = facts_of(config_of(WITH_VIP), takeover=NO_PING)
    told, = found_of(with_vip, 'takeover')
    lacks, = found_of(with_vip, 'takeover-lacks')
    assert 'nobody is promoted' in told.why and lacks.level == OK
    idle, = found_of(facts_of(config_of(WITH_VIP + 'is_witness: true\n'), takeover=NO_PING),
                     'takeover-lacks')
    assert idle.level == WARNING and 'never takes over' in idle.why
    told, = found_of(facts_of(config_of('trusted_servers: 192.0.2.254\n'), takeover=NO_PING),
                     'takeover-lacks')
    assert 'trusted_servers' in told.why and 'failover' not in told.found


def test_a_socket_that_the_cleaner_leaves_alone_is_well():
    config = config_of(base=IN_TMP)
    for host in (HOST._replace(kept_in_tmp=('/tmp/.s.AHM.*',)), HOST._replace(has_systemd=False)):
        told, = found_of(facts_of(config, host=host), 'socket-dir-tmp')
        assert told.level == OK


def test_a_right_that_the_daemon_has_is_no_matter_to_who_asks():
    told, = found_of(rightless(Daemon(7, capabilities=1 << 12)), 'takeover')
    assert told.level == OK


def test_a_program_that_the_rehearsal_missed_too_is_told_once():
    config = config_of('notification_command: /no/such/a\npost_promotion_command: /no/such/b\n')
    facts = facts_of(config, takeover=Takeover((), (
        'notification_command: /no/such/a is not there: install it',)))
    assert [each.subject for each in table.judge(facts) if each.level == WARNING
            and each.code in ('program', 'takeover-lacks')] == [
                'post_promotion_command', 'notification_command']


def test_what_ends_a_silent_connection_may_be_any_of_three():
    for facts in (server(wal_sender_timeout='0', tcp_keepalives_idle='60'),
                  server(wal_sender_timeout='0', tcp_user_timeout='30000'),
                  facts_of(server=setting(SERVER, wal_receiver_timeout='0'),
                           files=FILES._replace(times={'keepalives_idle': '60'}))):
        assert {each.level for each in found_of(facts, 'replication-timeouts')} == {OK}
    for idle in ('0', '7200', 'many'):
        facts = facts_of(server=setting(SERVER, wal_receiver_timeout='0'),
                         files=FILES._replace(times={'keepalives_idle': idle}))
        assert WARNING in {each.level for each in found_of(facts, 'replication-timeouts')}


def test_a_slot_that_nobody_lists_is_no_matter_to_who_has_no_logical_ones():
    for facts in (slots(''), slots('', Slot('feed', False, False))):
        assert [each.level for each in found_of(facts, 'synchronized-slots')] == [OK]


@pytest.mark.parametrize('version, count', [
    (100022, 0), (100018, 2), (110017, 0), (120009, 2), (130008, 0), (140000, 4), (140003, 2),
    (140020, 0), (140022, 0), (150000, 0), (160012, 1), (180001, 0), (180002, 1), (190000, 0)])
def test_only_the_minors_that_have_a_fault_are_told_of_it(version, count):
    told = [each for each in found_of(of_minor(version), 'known-faults') if each.level == WARNING]
    assert len(told) == count


def test_a_fault_of_pg_rewind_is_told_where_it_is_used():
    assert [each.level for each in found_of(of_minor(150009), 'known-faults')] == [OK]


def test_every_fault_has_a_minor_that_mends_it_and_none_is_told_twice():
    for fault in of_minors.FAULTS:
        assert all(10 <= major <= 18 and 0 <= first < mended
                   for major, (first, mended) in fault.fixed.items())
    assert len({fault.text for fault in of_minors.FAULTS}) == len(of_minors.FAULTS)


def test_a_fingerprint_that_is_the_same_is_well():
    config = config_of()
    settings = core_settings(config)
    assert isinstance(settings, Settings)
    told, = found_of(facts_of(config, daemon=Daemon(7, settings.cluster)), 'nodes-changed')
    assert told.level == OK


def test_settings_of_auto_conf_are_set_by_alter_system_and_hidden_ones_in_the_main_file():
    for shown, words in (
            (Shown('minimal', '/pg/postgresql.auto.conf', 3, 'postmaster'),
             'ALTER SYSTEM SET wal_level = replica;'),
            (Shown('minimal', context='postmaster'), '/pg/postgresql.conf: wal_level = replica')):
        told, = found_of(facts_of(server=SERVER._replace(
            settings=dict(SERVER.settings, wal_level=shown))), 'wal-level')
        assert words in told.fix and told.fix.endswith('then restart that server')


def test_advice_is_told_with_its_line_once_for_each_parameter():
    config = config_of('auth_key_file: /etc/k\nwatchdog_device: /dev/w\n', nodes=4)
    told = {(finding.code, finding.subject): finding for finding in of_config.judge(config)
            if finding.level == WARNING and finding.code not in ('program', 'no-database')}
    assert sorted(told) == [('even-nodes', 'nodes_filename'), ('no-effect', 'auth_key_file'),
                            ('no-effect', 'watchdog_device')]
    assert told['even-nodes', 'nodes_filename'].fix.startswith('/etc/ahm/nodes.conf: add or')
    assert told['no-effect', 'auth_key_file'].fix.startswith(PATH + ':7: ')


def test_a_refused_configuration_is_told_in_the_same_form():
    told, = of_config.refused([{
        'path': PATH, 'line': 3, 'key': 'priority', 'found': "'x'", 'expected': 'a number',
        'remedy': 'correct it', 'code': 'config'}])
    assert told == (ERROR, 'config', 'priority', "'x'", 'AHM does not start: expected is a number',
                    PATH + ':3: correct it')


def test_the_package_says_where_everything_is():
    directory = os.path.dirname(checking.__file__)
    modules = {name for name in os.listdir(directory)
               if name.endswith('.py') and name != '__init__.py'}
    assert modules == set(re.findall(r'^    (\w+\.py)  ', checking.__doc__, re.MULTILINE))


def test_the_table_is_of_rules_and_levels_are_four():
    assert all(isinstance(rule, Rule) for rule in table.RULES)
    assert LEVELS == ('OK', 'UNKNOWN', 'WARNING', 'ERROR')
