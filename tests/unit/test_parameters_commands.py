"""What the parameters about commands, databases and addresses change, from the line in
ahm_config.yml to the program that runs or the server that is spoken to.

The daemon's own driver performs the effect; its children run here and now, in this process.
"""

import contextlib
import os
import re
import socket
import struct
import threading
import time

import pytest

from ahmlib.core import effects, events
from ahmlib.core.node import Node
from ahmlib.core.states import NodeState, Role
from ahmlib.database import conffile, conninfo, follow, restart, start
from ahmlib.database.control import Process
from ahmlib.runtime import child_side
from ahmlib.runtime import settings as runtime_settings
from ahmlib.runtime.driver import Driver
from ahmlib.runtime.log import Log
from tests.conformance.configured import address, configured
from tests.unit.rows import row

LIMIT = 5.0
VARIABLES = (('AHM_EVENT', 'TESTED'), ('AHM_TERM', '7'))
SSL_REQUESTS = (80877103, 80877104)     # SSL and GSSAPI: libpq asks for them first
#: The default of standby_startup_delay.
DEFAULT_DELAY = 3.0


class Here:
    """Children that run in this process, at once, and are over when start() returns."""

    def __init__(self):
        self.limits = {}                # name -> the limit given

    def start(self, function, args, limit, on_end, name, on_news=None):
        """Run it, and tell its result; on_news is of no use here."""
        self.limits[name] = limit
        on_end(child_side.plain(function(*args)))


class Bench:
    """A driver with a core that notes events, for one ahm_config.yml; `bin` has its programs."""

    def __init__(self, directory):
        self.directory, self.bin, self.data = directory, directory / 'bin', directory / 'data'
        self.bin.mkdir()
        self.data.mkdir()
        (self.data / 'PG_VERSION').write_text('15\n')
        self.children = Here()

    def program(self, name, body='exit 0', where=None):
        """A script that notes how it was called; returns its path."""
        path = (where or self.bin) / name
        path.write_text('#!/bin/sh\ncd "%s"\necho "%s $*" >> calls\n%s\n'
                        % (self.directory, path, body))
        path.chmod(0o755)
        return str(path)

    def calls(self):
        """The lines that the programs have noted."""
        path = self.directory / 'calls'
        return path.read_text().splitlines() if path.exists() else []

    def driver(self, size=3, **lines):
        """A Driver for a node whose file has these lines."""
        lines.setdefault('db_data_dir', str(self.data))
        config = configured(self.directory, size, **lines)
        self.node = Node(runtime_settings.core_settings(config), None, 4711, 0.0, 0.0)
        log = Log('', 'DEBUG', str(self.directory / 'log'), '', time.monotonic)
        driver = Driver(config, self.node, None, self.children, log, time.monotonic, None)
        self.events = []
        driver.feed = self.events.append
        driver._still_wanted = lambda effect: True
        return driver

    def does(self, effect, **lines):
        """Perform an effect with these lines in the file; the event that answers it, if any."""
        driver = self.driver(**lines)
        driver.PERFORM[type(effect)](driver, effect)
        return self.events[-1] if self.events else None

    def log(self):
        """The text of the log."""
        return (self.directory / 'log').read_text()


@pytest.fixture
def bench(tmp_path):
    """A Bench."""
    return Bench(tmp_path)


# Hooks


@pytest.mark.parametrize('hook', ['pre_promotion_command', 'post_promotion_command'])
def test_a_promotion_hook_runs_with_its_words_and_variables(bench, hook):
    program = bench.program('hook', 'echo "$AHM_EVENT $AHM_TERM" >> calls; exit 3')
    answer = bench.does(effects.RunHook(1, hook, VARIABLES, LIMIT), **{
        hook: "%s 'two words' last" % program})
    assert bench.calls() == ['%s two words last' % program, 'TESTED 7']
    assert not answer.ok and 'status 3' in answer.reason


def test_promotion_command_runs_in_place_of_pg_ctl(bench):
    program = bench.program('promote', 'echo "$AHM_EVENT" >> calls; exit 4')
    bench.program('pg_ctl', 'exit 5')
    answer = bench.does(effects.Promote(1, 1.0), promotion_command=program + ' now',
                        db_bin_dir=str(bench.bin), conn_string='host=127.77.9.9 port=1')
    assert bench.calls() == ['%s now' % program, 'PROMOTION']
    assert not answer.ok and 'status 4' in answer.reason


def test_follow_command_does_all_the_following(bench):
    program = bench.program('follow', 'echo "$AHM_EVENT" >> calls')
    answer = bench.does(effects.FollowPrimary(1, 1, LIMIT, VARIABLES),
                        follow_command=program + ' it')
    assert answer.ok and bench.calls() == ['%s it' % program, 'TESTED']
    assert os.listdir(str(bench.data)) == ['PG_VERSION']


def test_notification_command_runs_at_what_is_worth_it_and_says_what(bench):
    program = bench.program('notify', 'echo "$AHM_EVENT $AHM_SEVERITY $AHM_MESSAGE" >> calls')
    bench.does(effects.Report('INFO', 'state', 'no news'), notification_command=program)
    assert bench.calls() == []
    bench.does(effects.Report('WARNING', 'second primary', 'it is there'),
               notification_command=program)
    assert bench.calls() == ['%s ' % program, 'SECOND_PRIMARY WARNING it is there']


@pytest.mark.parametrize('role, state, leader, told', [
    (Role.FOLLOWS, NodeState.IN_RESOURCE_LIMITATION, None, '<> <>'),
    (Role.FOLLOWS, NodeState.STANDBY, None, '<> <>'),
    (Role.FOLLOWS, NodeState.STANDBY, 1, '<second> <192.0.2.2>'),
    (Role.LEADS, NodeState.LEADER, None, '<AHM-NODE-1> <192.0.2.1>'),
    (Role.ELECTED, NodeState.TAKING_OVER, None, '<AHM-NODE-1> <192.0.2.1>')])
def test_a_notification_names_the_leader_as_new_primary_and_nobody_without_one(bench, role, state,
                                                                               leader, told):
    program = bench.program(
        'notify', 'echo "<$AHM_NEW_PRIMARY_NAME> <$AHM_NEW_PRIMARY_HOST>" >> calls')
    driver = bench.driver(notification_command=program)
    node = bench.node
    ballot = node.consensus.ballot
    ballot.role, ballot.state, ballot.leads = role, state, role is not Role.FOLLOWS
    node.facts.names[1] = 'second'
    if leader is not None:
        node.leader_row = lambda: row(leader, state=NodeState.LEADER)
    driver.PERFORM[effects.Report](driver, effects.Report('NOTICE', 'state', 'news'))
    assert bench.calls()[1:] == [told]


def test_hook_timeout_seconds_ends_a_notification_command(bench):
    program = bench.program('notify', 'sleep 4; touch ended')
    bench.does(effects.Report('ERROR', 'vip', 'gone'), notification_command=program,
               hook_timeout_seconds=0.3)
    assert 'notification_command failed' in bench.log() and '0.3 s' in bench.log()
    assert not (bench.directory / 'ended').exists()


# The VIP


#: It hears whom a file names, and this host itself.
PING = """for last; do :; done
if [ "$last" = 127.0.0.1 ] || test -e "answers_$last"; then
    echo '1 packets transmitted, 1 received, 0% packet loss'; exit 0
fi
echo '1 packets transmitted, 0 received, 100% packet loss'; exit 1"""


def vip_lines(bench, **changes):
    """Lines for a VIP that is a file, whose programs are named without their directories."""
    arping, ping = bench.directory / 'arpings', bench.directory / 'pings'
    for directory in (arping, ping):
        if not directory.exists():
            directory.mkdir()
    bench.program('up', 'touch here')
    bench.program('down', 'rm here')
    bench.program('check', 'test -e here')
    bench.program('arping', '', arping)
    bench.program('ping', PING, ping)
    return dict({'virtual_IP': '192.0.2.77', 'if_cmd_path': str(bench.bin),
                 'if_up_cmd': 'up $_IP_$/24', 'if_down_cmd': 'down $_IP_$',
                 'if_check_cmd': 'check $_IP_$', 'arping_path': str(arping),
                 'arping_cmd': 'arping -U $_IP_$', 'ping_path': str(ping)}, **changes)


def called(bench, name):
    """The calls of the programs of this name, as their arguments."""
    return [line.split(None, 1)[1] for line in bench.calls()
            if os.path.basename(line.split()[0]) == name]


def test_the_vip_is_raised_looked_for_and_dropped_by_the_configured_commands(bench):
    lines = vip_lines(bench)
    assert bench.does(effects.CheckVip(1, LIMIT), **lines).here is False
    assert bench.does(effects.RaiseVip(2, LIMIT), **lines).ok
    assert called(bench, 'up') == ['192.0.2.77/24']
    assert bench.does(effects.CheckVip(3, LIMIT), **lines).here is True
    assert bench.does(effects.LowerVip(4, LIMIT), **lines).ok
    assert called(bench, 'down') == ['192.0.2.77']
    assert set(called(bench, 'check')) == {'192.0.2.77'}


def test_the_vip_is_announced_by_arping_cmd_out_of_arping_path(bench):
    assert bench.does(effects.AnnounceVip(1, LIMIT), **vip_lines(bench)).ok
    assert called(bench, 'arping') == ['-U 192.0.2.77']


def test_the_vip_is_pinged_by_the_ping_of_ping_path(bench):
    assert bench.does(effects.PingVip(1, LIMIT), **vip_lines(bench)).answers is False
    (bench.directory / 'answers_192.0.2.77').write_text('')
    assert bench.does(effects.PingVip(1, LIMIT), **vip_lines(bench)).answers is True
    assert [line.split()[-1] for line in called(bench, 'ping')].count('192.0.2.77') == 2


def test_trusted_servers_are_those_that_are_pinged(bench):
    lines = vip_lines(bench, trusted_servers='198.51.100.1, 198.51.100.2',
                      failover_consensus_with_half_votes=True, size=2)
    assert bench.does(effects.PingTrusted(1, LIMIT), **lines) == events.TrustedPinged(1, False)
    (bench.directory / 'answers_198.51.100.2').write_text('')
    assert bench.does(effects.PingTrusted(1, LIMIT), **lines) == events.TrustedPinged(1, True)
    assert {line.split()[-1] for line in called(bench, 'ping')} == {
        '198.51.100.1', '198.51.100.2'}


# Connections


class Listener:
    """Takes connections on `host`, notes the startup packet's words of each, and hangs up."""

    def __init__(self, host, port=0):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(5)
        self.port = self.socket.getsockname()[1]
        self.heard = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError, struct.error):
                    self._listen(connection)

    def _listen(self, connection):
        connection.settimeout(LIMIT)
        while True:
            length, code = struct.unpack('!II', connection.recv(8))
            if code not in SSL_REQUESTS:
                words = connection.recv(length - 8).split(b'\0')
                names = [word.decode() for word in words]
                self.heard.append(dict(zip(names[::2], names[1::2])))
                return
            connection.sendall(b'N')

    def close(self):
        """Take no more."""
        self.socket.close()


@pytest.fixture
def listener():
    """A Listener on an address of this host."""
    one = Listener('127.0.0.1')
    yield one
    one.close()


def test_the_own_database_is_reached_by_conn_string(bench, listener):
    bench.does(effects.CheckDatabase(1, 2.0), conn_string='host=127.0.0.1 port=%d dbname=here '
               'user=me' % listener.port, db_user='other', db_database='elsewhere', db_port=1)
    assert {(heard['user'], heard['database']) for heard in listener.heard} == {('me', 'here')}


def test_without_a_conn_string_and_elsewhere_the_database_parameters_say_how(bench, listener,
                                                                             monkeypatch):
    lines = {'db_user': 'monitor', 'db_database': 'checks', 'db_port': listener.port}
    bench.does(effects.CheckDatabase(1, 2.0), **lines)
    assert {(heard['user'], heard['database']) for heard in listener.heard} == {
        ('monitor', 'checks')}
    del listener.heard[:]
    driver = bench.driver(**lines)
    monkeypatch.setattr(type(driver.node.settings), 'host', lambda self, place: '127.0.0.1')
    driver.PERFORM[effects.ProbeDatabase](driver, effects.ProbeDatabase(2, 1, 2.0))
    assert {(heard['user'], heard['database']) for heard in listener.heard} == {
        ('monitor', 'checks')}


# Programs and directories of the database


def test_db_bin_dir_is_where_the_control_program_is(bench):
    program = bench.program('pg_ctl', 'exit 6')
    answer = bench.does(effects.StartDatabase(1, 1.0), db_bin_dir=str(bench.bin),
                        data_dir=str(bench.directory))
    assert not answer.ok
    assert [line.split()[:2] for line in bench.calls()] == [[program, 'start']]


def test_db_config_dir_is_what_the_server_is_started_with(bench):
    program = bench.program('pg_ctl', 'exit 6')
    configuration = bench.directory / 'configuration'
    configuration.mkdir()
    bench.does(effects.StartDatabase(1, 1.0), db_bin_dir=str(bench.bin),
               data_dir=str(bench.directory), db_config_dir=str(configuration))
    assert bench.calls() == ['%s start -W -s -D %s -o -c data_directory=%s' % (
        program, configuration, bench.data)]


def test_db_start_command_runs_in_place_of_pg_ctl(bench):
    bench.program('pg_ctl')
    begin, end = bench.program('begin', 'exit 7'), bench.program('end')
    bench.does(effects.StartDatabase(1, 1.0), db_bin_dir=str(bench.bin),
               data_dir=str(bench.directory), db_start_command=begin + ' it', db_stop_command=end)
    assert bench.calls() == ['%s it' % begin]


@pytest.fixture
def server_that_is_stopped(monkeypatch):
    """Let control see a server, until `stopped` has been called."""
    from ahmlib.database import control, stop
    gone = control.look_up(os.getpid())._replace(started='0')
    seen = [[gone], []]
    monkeypatch.setattr(stop.control, 'server_processes', lambda data_dir: seen.pop(0))
    monkeypatch.setattr(stop.control, 'kill', lambda process, number: pytest.fail('a signal'))


@pytest.mark.usefixtures('server_that_is_stopped')
def test_db_stop_command_runs_before_any_signal(bench):
    begin, end = bench.program('begin'), bench.program('end')
    answer = bench.does(effects.StopDatabase(1, 'fast', LIMIT), db_start_command=begin,
                        db_stop_command=end + ' it')
    assert answer.ok and bench.calls() == ['%s it' % end]


# A restart, where primary_conninfo cannot be reloaded (before PostgreSQL 13)


@pytest.fixture
def restarts(monkeypatch):
    """What a restart does to the server, as a list of (what, when)."""
    done = []

    def note(what):
        def noted(*_):
            done.append((what, time.monotonic()))
            return start.Started(True, '', '')
        return noted
    monkeypatch.setattr(follow, '_state', lambda *_: ('standby', None))
    monkeypatch.setattr(follow, '_is_reloadable', lambda *_: False)
    monkeypatch.setattr(follow.stop, 'stop_database', note('stopped'))
    monkeypatch.setattr(follow.start, 'start_database', note('started'))
    monkeypatch.setattr(start, 'await_connections', note('awaited'))
    return done


def test_standby_startup_delay_is_waited_for_before_a_repointed_standby_is_started(bench,
                                                                                 restarts):
    for delay in (0.0, 0.7):
        del restarts[:]
        assert bench.does(effects.FollowPrimary(1, 1, LIMIT), standby_startup_delay=delay).ok
        (first, stopped_at), (second, started_at) = restarts
        assert (first, second) == ('stopped', 'started')
        assert delay <= started_at - stopped_at < DEFAULT_DELAY


def test_db_restart_command_restarts_the_standby(bench, restarts):
    again = bench.program('again')
    assert bench.does(effects.FollowPrimary(1, 1, LIMIT), db_restart_command=again + ' it',
                      standby_startup_delay=0).ok
    assert bench.calls() == ['%s it' % again] and [what for what, _ in restarts] == ['awaited']


def test_db_restart_command_restarts_a_server_on_request(bench, monkeypatch):
    """And nothing else does: stop and start are the service manager's there."""
    servers = [4711, 4712, 4712, 4712]
    monkeypatch.setattr(restart.control, 'postmaster', lambda data_dir: servers.pop(0))
    monkeypatch.setattr(restart.control, 'look_up', lambda pid: Process(pid, '1', 1, 'S'))
    monkeypatch.setattr(start, 'await_connections', lambda *_: start.Started(True, '', ''))
    again = bench.program('again')
    assert bench.does(effects.RestartDatabase(1, LIMIT), db_restart_command=again + ' it').ok
    assert bench.calls() == ['%s it' % again]
    monkeypatch.setattr(start, 'await_connections', lambda *_: pytest.fail('nothing has changed'))
    answer = bench.does(effects.RestartDatabase(1, LIMIT), db_restart_command=again)
    assert not answer.ok and answer.reason == \
        'the server that ran before runs on (db_restart_command: exited with 0)'
    servers += [4712, None]
    broken = bench.program('broken', 'exit 3')
    answer = bench.does(effects.RestartDatabase(1, LIMIT), db_restart_command=broken)
    assert not answer.ok and re.search('db_restart_command: .*status 3', answer.reason)


# Recovery settings


def written(bench, **lines):
    """postgresql.auto.conf after this node was told to follow the second one."""
    assert bench.does(effects.FollowPrimary(1, 1, LIMIT), **lines).ok
    return (bench.data / 'postgresql.auto.conf').read_text()


@pytest.mark.parametrize('name, value, found', [
    ('restore_command', "cp '/a b/%f' %p", "cp '/a b/%f' %p"),
    ('archive_cleanup_command', 'clean %r', 'clean %r')], ids=['restore', 'archive_cleanup'])
def test_commands_of_the_recovery_settings(bench, name, value, found):
    assert conffile.value_of(written(bench), name) is None
    assert conffile.value_of(written(bench, **{name: value}), name) == found


def test_recovery_min_apply_delay_is_written_where_it_is_used(bench):
    name = 'recovery_min_apply_delay'
    assert conffile.value_of(written(bench, recovery_min_apply_delay=250), name) is None
    text = written(bench, recovery_min_apply_delay=250, use_recovery_min_apply_delay=True)
    assert conffile.value_of(text, name) == '250'


def words(text):
    """primary_conninfo in a configuration file, as a dict."""
    return dict(conninfo.parse(conffile.value_of(text, 'primary_conninfo')))


def test_primary_conninfo_has_the_names_the_port_and_the_options_of_the_configuration(bench):
    found = words(written(bench, node_name='busan', db_port=5499, db_user='plain'))
    assert found == {'host': address(2), 'port': '5499', 'user': 'plain',
                     'application_name': 'busan'}
    found = words(written(bench, primary_conninfo_options='keepalives_idle=9 sslmode=require'))
    assert (found['keepalives_idle'], found['sslmode']) == ('9', 'require')


def test_replication_user_is_the_user_of_primary_conninfo(bench):
    assert words(written(bench, db_user='plain'))['user'] == 'plain'
    assert words(written(bench, db_user='plain', replication_user='copy'))['user'] == 'copy'


def test_db_data_dir_is_where_standby_signal_is_left(bench):
    other = bench.directory / 'other'
    other.mkdir()
    (other / 'PG_VERSION').write_text('15\n')
    assert bench.does(effects.LeaveStandbySignal(1, LIMIT), db_data_dir=str(other)).ok
    assert (other / 'standby.signal').exists() and not (bench.data / 'standby.signal').exists()


def test_use_pg_rewind_allows_a_rewind(bench, monkeypatch):
    allowed = []

    def attach(settings, *_):
        allowed.append(settings.use_pg_rewind)
        return {'ok': True}
    monkeypatch.setattr('ahmlib.runtime.driver.attach_standby', attach)
    for value in (True, False):
        bench.does(effects.AttachDatabase(1, 1, True, LIMIT), use_pg_rewind=value)
    assert allowed == [True, False]
