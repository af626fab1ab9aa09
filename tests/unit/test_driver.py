"""The seam: every effect is performed, every event handled; strangers' bytes reach no core."""

import inspect
import types

import pytest

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon, Pause
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.facts import Facts
from ahmlib.core.node import Node
from ahmlib.core.out import Ready
from ahmlib.core.policy.pause import Paused
from ahmlib.core.settings import Settings
from ahmlib.network import wire
from ahmlib.runtime import driver as driver_module
from ahmlib.runtime import find, telling
from ahmlib.runtime.driver import Driver
from ahmlib.runtime.log import Log
from ahmlib.simulation import perform

ADDRESSES = ('192.0.2.1:9500', '192.0.2.2:9500', '192.0.2.3:9500')
PEER, OTHER_PEER = ('192.0.2.2', 9500), ('192.0.2.3', 9500)
CLUSTER = 4711


def classes(module):
    """The classes that a module itself defines."""
    return {value for value in vars(module).values()
            if inspect.isclass(value) and value.__module__ == module.__name__}


def test_driver_world_and_node_cover_all_effects_and_events():
    assert len(classes(effects)) > 15 and len(classes(events)) > 10
    assert set(Driver.PERFORM) == classes(effects)
    assert set(perform.PERFORM) == classes(effects)
    assert set(Node.DISPATCH) == classes(events)


class Core:
    """Stands where the core is, and notes what reaches it."""

    def __init__(self):
        self.settings = Settings('AHM-NODE-1', 0, ADDRESSES, (0, 1, 2), CLUSTER)
        self.own, self.wake_at = 0, float('inf')
        self.names = ['AHM-NODE-1', None, None]
        self.leads, self.leader = False, None
        self.speaker = types.SimpleNamespace(disk=None)
        self.members = types.SimpleNamespace(all_rows=list)
        self.parts = types.SimpleNamespace(paused=Paused(
            Facts(self.settings, 0.0), None, self, None, Saved()))
        self.events = []
        self.ready = {}         # by kind of event: what it wants

    def handle(self, event, now):
        """Take an event; want what the test says, nothing else."""
        self.events.append(event)
        return self.ready.get(type(event), Ready())

    def waits_for(self, token):
        """It waits for nothing."""
        return False

    def leader_row(self):
        """The row of whom it follows."""
        return self.leader


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


class Shell:
    """A driver around a Core, with its log in a file."""

    def __init__(self, path, monkeypatch, children=None):
        # Settings have tests of their own; a driver of three addresses needs none of them.
        monkeypatch.setattr(driver_module, 'database_settings', lambda config: None)
        monkeypatch.setattr(driver_module, 'vip_settings', lambda config: None)
        self.path, self.clock, self.core = path, Clock(), Core()
        self.children = children or type('Children', (), {'start': None})()
        log = Log('', 'DEBUG', str(path), '', self.clock)
        self.driver = Driver(None, self.core, None, self.children, log, self.clock, None)

    def lines(self):
        """The lines of the log."""
        return self.path.read_text().splitlines()


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A Shell."""
    return Shell(tmp_path / 'log', monkeypatch)


def a_row(sender=1, cluster=CLUSTER, name='AHM-NODE-2', **changes):
    """A plain row."""
    return Beacon(cluster, sender, name, 2, False, 0.5, 2, 1, 1, 1.0,
                  (None,) * 3)._replace(**changes)


def row(**fields):
    """The datagram of a plain row."""
    return wire.encode(a_row(**fields))


def test_what_a_timer_wants_that_is_due_meanwhile_comes_after_what_was_wanted_before(shell):
    """It came in between: so a Cancel was done before what it is to cancel, which then ran on."""
    done, core = [], shell.core

    def does(driver, effect):
        done.append(effect)
    shell.driver.PERFORM = {
        **Driver.PERFORM, effects.CheckVip: does, effects.Cancel: does}
    raising, check = effects.RaiseVip(1, 1.0), effects.CheckVip(2, 1.0)
    core.ready = {events.Started: Ready(asked=(raising, check)),
                  events.Ticked: Ready(asked=(effects.Cancel(2),))}
    core.wake_at = shell.clock.now
    shell.driver.feed(events.Started())
    assert [type(event) for event in core.events] == [events.Started, events.Ticked]
    assert done == [check, effects.Cancel(2)] and not shell.driver.wanted


def test_a_row_of_its_sender_reaches_the_core(shell):
    shell.driver.datagram(row(), PEER)
    assert [type(event) for event in shell.core.events] == [events.BeaconHeard]
    assert shell.core.events[0].beacon.sender == 1


@pytest.mark.parametrize('data', [
    b'', b'\xff' * 100, row()[:-1], row() + b'x', row(sender=2), row(sender=0)])
def test_what_is_no_row_of_its_sender_is_counted_and_changes_nothing(shell, data):
    shell.driver.datagram(data, PEER)
    assert (shell.core.events, shell.driver.malformed) == ([], 1)


def test_malformed_datagrams_are_logged_once_a_minute_for_each_peer(shell):
    for _ in range(1000):
        shell.driver.datagram(b'junk', PEER)
        shell.driver.datagram(b'junk', OTHER_PEER)
    assert len(shell.lines()) == 2 and shell.driver.malformed == 2000
    shell.clock.now += 61
    shell.driver.datagram(b'junk', PEER)
    assert len(shell.lines()) == 3 and '2001 malformed' in shell.lines()[-1]


def test_rows_of_another_cluster_reach_the_core_at_a_bounded_rate(shell):
    for number in range(1000):
        shell.driver.datagram(row(cluster=CLUSTER + 1, name='no %d' % number), PEER)
    assert [type(event) for event in shell.core.events] == [events.ForeignHeard]
    assert shell.driver.foreign == 1000
    shell.clock.now += 11
    shell.driver.datagram(row(cluster=CLUSTER + 1), PEER)
    assert [event.name for event in shell.core.events] == ['no 0', 'AHM-NODE-2']


def test_a_client_that_was_answered_is_forgotten(shell):
    answered = []
    shell.driver.answer = lambda client, message: answered.append((client, message))
    shell.driver.client_asked('somebody', {'ask': 'status'}, ('unix', 0))
    token = shell.core.events[-1].token
    for _ in range(2):
        shell.driver.PERFORM[effects.Reply](shell.driver, effects.Reply(token, {'ok': True}))
    assert answered == [('somebody', {'ok': True})] and shell.driver.clients == {}


@pytest.mark.parametrize('origin', [('unix', 0), ('tcp', '192.0.2.3'), ('tcp', '::ffff:192.0.2.3'),
                                    ('tcp', '127.0.0.1'), ('tcp', '::1'), ('tcp', '192.0.2.100')])
@pytest.mark.parametrize('what', ['attach', 'promote', 'restart', 'shutdown', 'pause', 'resume'])
def test_the_hosts_of_the_cluster_and_the_unix_socket_may_change_something(shell, what, origin):
    shell.core.settings = shell.core.settings._replace(vip='192.0.2.100')
    shell.driver.client_asked('somebody', {'ask': what}, origin)
    assert [event.request for event in shell.core.events] == [{'ask': what}]
    assert origin[0] == 'unix' and 'of this host' in shell.core.events[0].origin \
        or shell.core.events[0].origin == origin[1]


@pytest.mark.parametrize('origin', [('tcp', '192.0.2.4'), ('tcp', '2001:db8::1'), ('tcp', '')])
@pytest.mark.parametrize('what', ['attach', 'promote', 'restart', 'shutdown', 'pause', 'resume'])
def test_strangers_may_change_nothing_and_are_told_so(shell, what, origin):
    answered = []
    shell.driver.answer = lambda client, message: answered.append(message)
    shell.driver.client_asked('somebody', {'ask': what}, origin)
    assert shell.core.events == [] and shell.driver.clients == {}
    assert answered[0]['ok'] is False and 'no host of this cluster' in answered[0]['reason']
    assert what in shell.lines()[-1]


@pytest.mark.parametrize('origin', [('tcp', '192.0.2.4'), ('unix', 1000)])
def test_everybody_may_see_the_status(shell, origin):
    shell.driver.client_asked('somebody', {'ask': 'status'}, origin)
    assert len(shell.core.events) == 1


def test_a_request_that_is_no_word_is_nobodys_to_refuse(shell):
    shell.driver.client_asked('somebody', {'ask': ['promote']}, ('tcp', '192.0.2.4'))
    assert len(shell.core.events) == 1


def test_whose_pid_file_is_gone_is_told_by_the_daemon_at_its_own_socket_only(shell):
    shell.driver.config = types.SimpleNamespace(data_dir='/d', pid_file_name='a.pid')
    answered = []
    shell.driver.answer = lambda client, message: answered.append(message)
    shell.driver.client_asked('somebody', dict(find.REQUEST), ('unix', 0))
    said = {'ok': True, 'pid_file': '/d/a.pid', 'cluster': CLUSTER, 'leader': '', 'pause': None}
    assert answered == [said] and shell.core.events == []
    shell.core.leader = a_row(name='AHM-NODE-2')
    shell.driver.client_asked('somebody', dict(find.REQUEST), ('unix', 0))
    assert answered[1:] == [dict(said, leader='AHM-NODE-2')]
    shell.driver.client_asked('somebody', dict(find.REQUEST), ('tcp', '192.0.2.2'))
    assert len(answered) == 2 and [event.request for event in shell.core.events] == [find.REQUEST]


def test_a_daemon_tells_what_a_change_of_nodes_conf_rests_on(shell):
    shell.driver.config = types.SimpleNamespace(data_dir='/d', pid_file_name='a.pid')
    answered, pause = [], Pause(4, 2, True, 1, True)
    shell.driver.answer = lambda client, message: answered.append(message['pause'])
    shell.core.parts.paused.pause = pause
    shell.core.members.all_rows = lambda: [
        a_row(sender=1, pause=pause), a_row(sender=2, pause=pause._replace(version=1))]
    for disk in (Saved(), Saved(pause=pause)):
        shell.core.speaker.disk = disk
        shell.driver.client_asked('somebody', dict(find.REQUEST), ('unix', 0))
    assert answered == [None, {'holder': ADDRESSES[1], 'known_by': list(ADDRESSES[:2]),
                               'nodes': list(ADDRESSES)}]


# The history of events


class Kept:
    """Stands where the history is, and notes what it gets."""

    seq = 41

    def __init__(self):
        self.added, self.heard_of = [], []

    def add(self, *event):
        """Note an event."""
        self.added.append(event)

    def heard(self, seq):
        """Note the number of another node."""
        self.heard_of.append(seq)

    def answer(self, request):
        """Whatever is asked."""
        return {'ok': True, 'asked': request}


@pytest.fixture
def kept(shell):
    """The Kept of a Shell."""
    shell.driver.history = Kept()
    return shell.driver.history


def test_what_is_told_is_kept_once_and_what_a_record_tells_better_is_not(shell, kept):
    shell.driver.configure(types.SimpleNamespace(notification_command=()))

    def tell(*report):
        shell.driver.PERFORM[effects.Report](shell.driver, effects.Report(*report))
    tell('NOTICE', 'state', 'A -> B: why', '', 'why')
    for _ in range(3):
        tell('ERROR', 'vip', 'a VIP command failed: ended with status 2')
    tell('NOTICE', 'asked', 'by somebody', effects.UNKEPT)
    tell('ERROR', 'not streaming', 'it is so', 'another name')
    record = effects.Record('failover', 'gone', 'text', {'uid': 0}, (('lease', 1.0, 2.0),))
    shell.driver.PERFORM[effects.Record](shell.driver, record)
    assert kept.added == [
        ('state', 'why', 'A -> B: why'), ('vip', '', 'a VIP command failed: ended with status 2'),
        ('another name', '', 'it is so'), tuple(record)]


def test_a_stranger_who_is_refused_is_an_event_with_his_address(shell, kept):
    shell.driver.answer = lambda client, message: None
    shell.driver.client_asked('somebody', {'ask': 'promote'}, ('tcp', '192.0.2.4'))
    (kind, _, text, by), = kept.added
    assert kind == 'refused' and 'promote is refused from 192.0.2.4' in text
    assert by == {'address': '192.0.2.4', 'uid': None, 'user': None}


def test_everybody_may_ask_for_events_and_the_core_is_not_asked(shell, kept):
    answered = []
    shell.driver.answer = lambda client, message: answered.append(message)
    request = {'ask': 'events', 'after': [1, 2]}
    shell.driver.client_asked('somebody', request, ('tcp', '192.0.2.4'))
    assert answered == [{'ok': True, 'asked': request}] and shell.core.events == []


def test_rows_carry_the_number_of_the_newest_event_both_ways(shell, kept):
    sent = []
    shell.driver.beacons = types.SimpleNamespace(send=lambda data, to: sent.append(data))
    shell.driver.PERFORM[effects.SendBeacon](shell.driver, effects.SendBeacon(a_row()))
    assert wire.decode(sent[0], CLUSTER, 3).events == 41
    shell.driver.datagram(row(events=99), PEER)
    shell.driver.datagram(row(events=100), OTHER_PEER)      # it claims to be another one
    assert kept.heard_of == [99]


# Troubles that last


VIP_TROUBLES = (
    effects.Report('WARNING', 'vip', 'the VIP is not on this host, whose node leads: raising it'),
    effects.Report('ERROR', 'vip', 'a VIP command failed: ended with status 2'))


class Notified:
    """Children that note what notification_command is told, and have ended at once."""

    def __init__(self):
        self.told = []

    def start(self, function, args, limit, on_end, name):
        """Note the variables of a notification."""
        self.told.append((args[1]['AHM_SEVERITY'], args[1]['AHM_MESSAGE']))
        on_end({'ok': True})


@pytest.fixture
def notified(tmp_path, monkeypatch):
    """A Shell whose driver has a notification_command."""
    children = Notified()
    monkeypatch.setattr(telling, '_notified_of', lambda node, event: {})
    made = Shell(tmp_path / 'log', monkeypatch, children)
    made.driver.configure(types.SimpleNamespace(notification_command=('notify',),
                                                hook_timeout_seconds=1))
    made.told = children.told
    return made


def test_a_vip_that_cannot_be_raised_is_notified_once_and_not_72_times(notified):
    driver = notified.driver
    for _ in range(36):
        for report in VIP_TROUBLES:
            driver.PERFORM[effects.Report](driver, report)
        notified.clock.now += 1
    assert notified.told == [(report.severity, report.text) for report in VIP_TROUBLES]
    notified.clock.now = driver.telling.next_deadline()
    driver.telling.expire(notified.clock.now)
    ended = notified.told[2:]
    assert [severity for severity, _ in ended] == ['NOTICE'] * 2
    assert all('has not come again for 60 s; it came 36 times in 35 s' in text
               for _, text in ended)
    driver.telling.expire(notified.clock.now + 1000)
    assert len(notified.told) == 4 and driver.telling.next_deadline() is None


def test_a_trouble_that_comes_again_is_in_the_log_at_debug_only(notified):
    driver = notified.driver
    driver.log.configure('%l ', 'DEBUG', str(notified.path))
    for _ in range(3):
        for report in VIP_TROUBLES:
            driver.PERFORM[effects.Report](driver, report)
    severities = [line.split()[0] for line in notified.lines()]
    assert severities == ['WARNING', 'ERROR'] + ['DEBUG'] * 4


def test_a_node_has_spoken_once_a_row_was_sent(shell):
    sent = []
    shell.driver.beacons = types.SimpleNamespace(send=lambda data, to: sent.append(to))
    assert not shell.driver.has_spoken
    Driver.PERFORM[effects.SendBeacon](shell.driver, effects.SendBeacon(a_row(), None))
    assert shell.driver.has_spoken and sent == [None]
