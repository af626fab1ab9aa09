"""Metrics: their text, the names of others, and the alerts on them, by promtool where it is."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.core.beacon import Verdict
from ahmlib.core.events import BeaconHeard, DatabaseChecked
from ahmlib.core.node import Node
from ahmlib.core.settings import Settings
from ahmlib.core.states import DatabaseState
from ahmlib.core.status import status
from ahmlib.database.monitored import Monitored
from ahmlib.http import exposition, pages
from ahmlib.http.counters import OTHER, Counters, path_label
from ahmlib.http.exposition import COUNTER, GAUGE, Family, one, render
from ahmlib.http.request import Request
from ahmlib.http.site import Site
from ahmlib.runtime.answers import Server
from ahmlib.runtime.log import Log
from ahmlib.runtime.loop import BUSY_SECONDS, Loop, clock

from .documents import document, headings
from .pages import ROOT
from .rows import row

RULES = os.path.join(ROOT, 'conf', 'prometheus', 'ahm.rules.yml')
PROMTOOL = os.environ.get('PROMTOOL') or shutil.which('promtool')
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason='METRICS NOT LINTED: no promtool; install prometheus, or name it by '
    'PROMTOOL')
ADDRESSES = ('192.0.2.1:9500', '192.0.2.2:9500', '192.0.2.3:9500')
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\["\\n])*",?)*)\})? (\S+)')


# -- the text ----------------------------------------------------------------------------------


def test_a_family_has_its_help_its_type_and_its_samples():
    assert render([Family('a', GAUGE, 'One.', one(True)), Family('b_total', COUNTER, 'None.', []),
                   Family('c', GAUGE, 'x\ny\\', [({'d': '"e"\n'}, 0.5)])]) == (
        '# HELP a One.\n# TYPE a gauge\na 1\n'
        '# HELP c x\\ny\\\\\n# TYPE c gauge\nc{d="\\"e\\"\\n"} 0.5\n')


def test_a_histogram_adds_up():
    text = exposition.histogram('h_seconds', 'H.', (0.1, 1.0), [3, 2, 1], 4.5)
    assert text.splitlines()[2:] == [
        'h_seconds_bucket{le="0.1"} 3', 'h_seconds_bucket{le="1.0"} 5',
        'h_seconds_bucket{le="+Inf"} 6', 'h_seconds_sum 4.5', 'h_seconds_count 6']


@given(st.dictionaries(st.sampled_from('abc'), st.text(), max_size=3),
       st.one_of(st.floats(), st.integers(), st.booleans()))
def test_no_label_and_no_number_breaks_a_line(labels, value):
    line = render([Family('a', GAUGE, 'A.', [(labels, value)])]).split('\n')[2]
    assert LINE.fullmatch(line), line


def test_how_long_the_loop_was_busy_is_counted():
    loop = Loop()
    loop.measure(lambda: None)
    assert sum(loop.busy_counts) == 1 and len(loop.busy_counts) == len(BUSY_SECONDS) + 1
    loop._note_duration(None, 100.0)
    assert loop.busy_counts[-1] == 1 and loop.busy_seconds >= 100.0
    loop.close()


# -- of a node ---------------------------------------------------------------------------------


class Beacons:
    """Where a BeaconSocket is."""
    sent, received_from, foreign = {('192.0.2.2', 9500): 3}, {}, 7


class History:
    """Where a history is."""

    kinds = {'failover': 2}

    def kept(self):
        """One failover."""
        return [{'kind': 'failover', 'term': 1, 'seq': 1, 'steps': [
            {'name': 'detection', 'took': 1.0}, {'name': 'promotion', 'took': 0.25},
            {'name': 'on record', 'took': 0.5}]}]


class Driver:
    """Where a Driver is: a node that has just started."""

    def __init__(self):
        self.node = Node(Settings('AHM "1"', 0, ADDRESSES, (0, 1, 2), 4711), None, 1, 100.0)
        self.beacons, self.history, self.malformed, self.foreign = Beacons(), History(), 1, 2
        self.config, self.server, self.kept = Config(), Server(150013, (('db2', 4096),)), []

    def keep(self, *event):
        """Into the history of events."""
        self.kept.append(event)

    def status(self):
        """What utilities are told."""
        return status(self.node.parts)

    def tick(self):
        """Nothing is due."""


class Config:
    """Where a Config is."""

    http_port = 8008

    def __getattr__(self, name):
        return 1


def site_of(driver, counters=None, log=None, clock=lambda: 101.0):
    """A Site of this Driver."""
    reload = type('Reload', (), {'taken': True})()
    looks = type('Looks', (), {'found': Monitored(True, '', 1, 2 ** 40)})()
    return Site(driver, counters or Counters(driver), looks, reload, Loop(), log, clock)


def text_of(names=''):
    """/metrics of a Driver."""
    driver = Driver()
    counters = Counters(driver, lambda: 1.7e9)
    counters.checks['ok'] += 4
    counters.hooks['notification_command', 'ok'] += 1
    counters.http_answered('/primary', 503)
    site = site_of(driver, counters)
    request = Request('GET', '/metrics', (('names', names),) if names else ())
    response = site._answer(request)
    assert response.code == 200 and response.kind == exposition.KIND
    return response.body.decode()


def values_of(text):
    """{name and labels: value} of every sample."""
    return dict(line.rpartition(' ')[::2] for line in text.splitlines() if line[0] != '#')


def test_every_line_is_one_and_no_series_is_there_twice():
    text = text_of('patroni')
    samples = [line for line in text.splitlines() if not line.startswith('#')]
    assert all(LINE.fullmatch(line) for line in samples) and len(samples) > 80
    assert len({line.rpartition(' ')[0] for line in samples}) == len(samples)
    heads = re.findall(r'^# TYPE (\S+)', text, re.MULTILINE)
    assert len(set(heads)) == len(heads)


def test_the_numbers_are_those_of_the_node():
    found = values_of(text_of())
    assert found['ahm_leader'] == '0' and found['ahm_nodes'] == '3'
    assert found['ahm_nodes_alive'] == '1' and found['ahm_has_majority'] == '0'
    assert found['ahm_node_state{state="INITIALIZING"}'] == '1'
    assert found['ahm_node_state{state="LEADER"}'] == '0'
    assert found['ahm_node_info{name="AHM \\"1\\"",priority="1",witness="false"}'] == '1'
    assert found['ahm_beacons_sent_total{peer="192.0.2.2:9500"}'] == '3'
    assert found['ahm_beacons_rejected_total{cause="stranger"}'] == '7'
    assert found['ahm_failovers_total'] == '2'
    assert found['ahm_last_failover_seconds{step="detect"}'] == '1.0'
    assert found['ahm_last_failover_seconds{step="total"}'] == '1.75'
    assert found['ahm_database_checks_total{result="ok"}'] == '4'
    assert found['ahm_http_requests_total{path="/primary",code="503"}'] == '1'
    assert int(found['process_resident_memory_bytes']) > 2 ** 20
    assert found['ahm_wal_free_bytes'] == str(2 ** 40)
    assert found['ahm_step_downs_total{cause="lease"}'] == '0'
    assert found['ahm_takeovers_stopped_total{cause="vip"}'] == '0'
    for name in ('ahm_timeline', 'ahm_vip_held', 'ahm_slot_retained_bytes'):        # not known
        assert name not in found and name + '{slot="db2"}' not in found


def checked(driver, **changes):
    """The database of this node has answered a check."""
    values = dict(token=0, verdict=Verdict.REACHABLE, in_recovery=True, system_id='7', timeline=3,
                  lsn=100, streaming=True)
    driver.node.parts.database.apply(DatabaseChecked(**dict(values, **changes)), 100.0)


def metrics_of(driver, names=''):
    """{name and labels: value} of /metrics of this Driver."""
    query = (('names', names),) if names else ()
    return values_of(site_of(driver).answer(Request('GET', '/metrics', query)).body.decode())


def test_what_slots_keep_is_told_while_the_server_answers():
    driver = Driver()
    checked(driver)
    assert metrics_of(driver)['ahm_slot_retained_bytes{slot="db2"}'] == '4096'
    assert metrics_of(driver)['ahm_timeline'] == '3'
    checked(driver, verdict=Verdict.UNREACHABLE, in_recovery=None)
    assert 'ahm_slot_retained_bytes{slot="db2"}' not in metrics_of(driver)


def test_room_that_nobody_knows_any_more_is_not_told():
    site = site_of(Driver())
    site._looks.found = site._looks.found._replace(ok=False)
    assert b'ahm_wal_free_bytes' not in site.answer(Request('GET', '/metrics')).body


def test_the_version_of_the_server_and_a_restart_that_it_waits_for():
    driver = Driver()
    label = '{scope="ahm-4711",name="AHM \\"1\\""}'
    assert metrics_of(driver, 'patroni')['patroni_postgres_server_version' + label] == '150013'
    checked(driver, pending=('max_connections',))
    page = json.loads(site_of(driver).answer(Request('GET', '/patroni')).body.decode())
    assert page['server_version'] == 150013 and page['pending_restart'] is True
    assert metrics_of(driver, 'patroni')['patroni_pending_restart' + label] == '1'
    checked(driver, pending=())
    driver.server = Server()
    page = json.loads(site_of(driver).answer(Request('GET', '/patroni')).body.decode())
    assert 'server_version' not in page and 'pending_restart' not in page


def test_a_standby_that_fails_its_check_is_a_replica_no_more_at_once(monkeypatch):
    """A field story: /replica was 200 while the server was starting up, and refused its clients."""
    driver = Driver()
    monkeypatch.setattr('ahmlib.http.view.is_cut_off', lambda parts: False)

    def replica():
        return site_of(driver).answer(Request('OPTIONS', '/replica')).code
    checked(driver)
    assert replica() == 200
    for verdict in (Verdict.STARTING, Verdict.UNREACHABLE, Verdict.REACHABLE):
        checked(driver, verdict=verdict, in_recovery=None)
        assert driver.node.parts.database.state is DatabaseState.STANDBY and replica() == 503
        checked(driver)
        assert replica() == 200


@pytest.mark.parametrize('needed, nodes, told', [
    (0, (), {}), (1, (0,), {'sync_standby'}), (1, (0, 1), {'quorum_standby'}), (1, (1,), {})])
def test_a_standby_says_whether_commits_wait_for_it(monkeypatch, needed, nodes, told):
    """check_patroni's node_is_replica --is-sync and --is-async ask for it."""
    driver = Driver()
    checked(driver)
    leader = row(2, database=DatabaseState.PRIMARY, sync_needed=needed, sync_nodes=nodes)
    monkeypatch.setattr(pages, 'primary_row', lambda parts: leader)
    page = pages.node_page(driver.node, 0, 0.0)
    assert {'sync_standby', 'quorum_standby'} & set(page) == set(told)
    assert page['replication_state'] == 'streaming'
    checked(driver, in_recovery=False)
    assert not {'sync_standby', 'quorum_standby', 'replication_state'} & set(
        pages.node_page(driver.node, 0, 0.0))


def test_a_row_that_is_late_or_doubled_is_counted():
    driver = Driver()
    counters = Counters(driver)
    peer = driver.node.consensus.members.peers[1]
    for heard, past, stale in ((None, (), 0), ((101, 4), (), 0), ((101, 5), (), 1),
                               ((102, 1), (), 1), ((102, 1), (101,), 2)):
        peer.heard, peer.past = heard, set(past)
        counters.watch(BeaconHeard(row(1, incarnation=101, seq=5)))
        assert counters.stale == stale, (heard, past)


def test_the_names_of_patroni_are_there_on_request_only():
    assert 'patroni_' not in text_of()
    found = values_of(text_of('patroni'))
    label = '{scope="ahm-4711",name="AHM \\"1\\""}'
    for name in ('primary', 'replica', 'standby_leader', 'sync_standby', 'quorum_standby',
                 'postgres_running', 'postgres_streaming', 'postgres_timeline', 'xlog_location',
                 'xlog_received_location', 'xlog_replayed_location', 'xlog_paused',
                 'cluster_unlocked', 'postgres_server_version',
                 'is_paused', 'pending_restart', 'dcs_last_seen'):
        assert 'patroni_%s%s' % (name, label) in found, name
    assert found['patroni_cluster_unlocked' + label] == '1'


def test_no_stranger_makes_a_series():
    assert path_label(Request('GET', '/x'), {'/primary'}) == OTHER == path_label(None, {'/'})
    assert path_label(Request('GET', '/primary'), {'/primary'}) == '/primary'
    counters = Counters(Driver())
    client = type('Client', (), {})()
    counters.asked(client, {'ask': 'no such command'})
    counters.answered(client, {'ok': False})
    counters.answered(client, {'ok': True})
    assert counters.requests == {(OTHER, 'refused'): 1}


def test_a_page_of_a_node_that_knows_nothing_yet_says_so():
    driver = Driver()
    page = pages.node_page(driver.node, 0, 0.0)
    assert (page['state'], page['role']) == ('unknown', 'uninitialized')
    members = pages.cluster_page(driver.node, driver.status(), 8008)['members']
    assert [member['lag'] for member in members] == ['unknown'] * 3
    # check_patroni reads the timeline of every member, of one that never was heard, too.
    assert [member['timeline'] for member in members] == [0] * 3


# -- the site ----------------------------------------------------------------------------------


def test_a_page_is_rendered_once_in_a_while_and_a_check_is_judged_each_time():
    driver, now, told, ticks = Driver(), [101.0], [], []
    status_of, serves = driver.status, [True, False, True]
    driver.status = lambda: told.append(now[0]) or status_of()
    driver.tick = lambda: ticks.append(now[0])
    driver.node.parts.vip.serves = lambda at: serves.pop(0)
    site = site_of(driver, clock=lambda: now[0])
    for now[0] in (101.0, 101.05, 101.09, 101.2):
        assert site.answer(Request('GET', '/status')).code == 200
    assert told == [101.0, 101.2]
    checked = [site.answer(Request('OPTIONS', '/primary')) for _ in range(3)]
    assert [response.code for response in checked] == [200, 503, 200]
    assert ticks == [101.2] * 3, 'a deadline that is due comes before the answer'


def test_a_bug_costs_an_answer_and_is_told(tmp_path):
    driver = Driver()
    driver.status = lambda: 1 / 0
    log = Log('%l ', 'DEBUG', str(tmp_path / 'log'), 'n', clock)
    site = site_of(driver, log=log)
    assert [site.answer(Request('GET', '/status')).code for _ in range(3)] == [500] * 3
    log.close()
    text = (tmp_path / 'log').read_text()
    assert text.count('a bug in the answer to an HTTP request') == 1 and 'ZeroDivision' in text


@pytest.mark.parametrize('method, path, code', [
    ('POST', '/switchover', 405), ('DELETE', '/', 405), ('GET', '/x', 404),
    ('GET', '/events', 200), ('HEAD', '/cluster', 200), ('OPTIONS', '/replica', 503)])
def test_what_is_asked_otherwise(method, path, code):
    response = site_of(Driver()).answer(Request(method, path))
    assert response.code == code
    assert code != 405 or ('Allow', 'GET, HEAD, OPTIONS') in response.headers


@needs_promtool
@pytest.mark.parametrize('names', ['', 'patroni'])
def test_promtool_has_nothing_to_say_of_the_metrics(names):
    done = subprocess.run([PROMTOOL, 'check', 'metrics'], input=text_of(names).encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout.decode()) == (0, '')


# -- the alerts --------------------------------------------------------------------------------


def alerts():
    """The alerts of the file."""
    with open(RULES, encoding='utf-8') as file:
        return [rule for group in yaml.safe_load(file)['groups'] for rule in group['rules']]


def test_every_alert_asks_for_metrics_that_are_there_and_names_its_section():
    known = set(re.findall(r'^# TYPE (\S+)', text_of(), re.MULTILINE))
    # What a node tells that has just started is not all; these come with a database.
    known |= {'ahm_replication_lag_bytes', 'ahm_slot_retained_bytes',
              'ahm_loop_lateness_seconds_count', 'ahm_loop_lateness_seconds_bucket'}
    anchors = {re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')
               for level in (2, 3) for title in headings(document('docs', 'runbook.md'), level)}
    for alert in alerts():
        assert set(re.findall(r'\bahm_\w+', alert['expr'])) <= known, alert
        page, _, anchor = alert['annotations']['runbook'].partition('#')
        assert page == 'docs/runbook.md' and anchor in anchors, alert


#: Alert -> (series that raise it, for how long they last).
RAISED = {
    'AhmNoLeader': ({'ahm_leader{job="ahm",instance="a"}': 0,
                     'ahm_leader{job="ahm",instance="b"}': 0}, '1m'),
    'AhmTwoLeaders': ({'ahm_leader{job="ahm",instance="a"}': 1,
                       'ahm_leader{job="ahm",instance="b"}': 1}, '2m'),
    'AhmUnprotected': ({'ahm_leader{job="ahm",instance="a"}': 1,
                        'ahm_unprotected{job="ahm",instance="a"}': 1}, '6m'),
    'AhmNodeDown': ({'up{job="ahm",instance="a"}': 0}, '2m'),
    'AhmPausedLong': ({'ahm_paused{job="ahm",instance="a"}': 1}, '61m'),
    'AhmReplicationLag': ({'ahm_replication_lag_bytes{job="ahm",instance="a"}': 3 * 10 ** 8}, '6m'),
    'AhmSlotKeepsWal': ({'ahm_slot_retained_bytes{job="ahm",instance="a",slot="x"}': 2 * 10 ** 10},
                        '11m'),
    'AhmWalRoomLow': ({'ahm_wal_free_bytes{job="ahm",instance="a"}': 2 * 10 ** 9}, '6m'),
    'AhmCommitsBlocked': ({'ahm_sync_commits_blocked{job="ahm",instance="a"}': 1}, '1m'),
    'AhmConfigurationsDiffer': ({'ahm_config_info{job="ahm",instance="a",fingerprint="1"}': 1,
                                 'ahm_config_info{job="ahm",instance="b",fingerprint="2"}': 1},
                                '11m'),
    'AhmReloadFailed': ({'ahm_config_last_reload_successful{job="ahm",instance="a"}': 0}, '2m'),
    'AhmLoopLate': ({'ahm_loop_lateness_seconds_count{job="ahm",instance="a"}': '0+2x120',
                     'ahm_loop_lateness_seconds_bucket{job="ahm",instance="a",le="0.3"}':
                     '0+1x120'}, '15m'),
}
WELL = {'ahm_leader{job="ahm",instance="a"}': 1, 'ahm_leader{job="ahm",instance="b"}': 0,
        'ahm_unprotected{job="ahm",instance="a"}': 0, 'up{job="ahm",instance="a"}': 1,
        'ahm_paused{job="ahm",instance="a"}': 0,
        'ahm_replication_lag_bytes{job="ahm",instance="a"}': 1000,
        'ahm_slot_retained_bytes{job="ahm",instance="a",slot="x"}': 1000,
        'ahm_wal_free_bytes{job="ahm",instance="a"}': 10 ** 11,
        'ahm_sync_commits_blocked{job="ahm",instance="a"}': 0,
        'ahm_config_info{job="ahm",instance="a",fingerprint="1"}': 1,
        'ahm_config_info{job="ahm",instance="b",fingerprint="1"}': 1,
        'ahm_config_last_reload_successful{job="ahm",instance="a"}': 1,
        'ahm_loop_lateness_seconds_count{job="ahm",instance="a"}': '0+2x120',
        'ahm_loop_lateness_seconds_bucket{job="ahm",instance="a",le="0.3"}': '0+2x120'}


def series(values):
    """As promtool reads them: the same for two hours, or as is said."""
    return [{'series': name, 'values': value if isinstance(value, str)
             else '%d+0x120' % value} for name, value in values.items()]


def test_every_alert_has_a_case():
    assert {alert['alert'] for alert in alerts()} == set(RAISED)


@needs_promtool
@pytest.mark.parametrize('name', sorted(RAISED))
def test_an_alert_is_raised_by_its_cause_and_not_where_all_is_well(name, tmp_path):
    values, at = RAISED[name]
    quiet = [{'eval_time': at, 'alertname': name, 'exp_alerts': []}]
    # Where nothing is expected and something is raised, the tool fails and prints what.
    path = tmp_path / 'test.yml'
    path.write_text(yaml.safe_dump({
        'rule_files': [RULES], 'evaluation_interval': '15s',
        'tests': [{'interval': '1m', 'input_series': series(WELL), 'alert_rule_test': quiet}]}))
    assert judged(path, name) == (0, False), 'raised though all is well'
    path.write_text(yaml.safe_dump({
        'rule_files': [RULES], 'evaluation_interval': '15s',
        'tests': [{'interval': '1m', 'input_series': series(dict(WELL, **values)),
                   'alert_rule_test': quiet}]}))
    assert judged(path, name) == (1, True), 'not raised'


def judged(path, name):
    """(exit code of `promtool test rules`, whether it prints that this alert is raised)."""
    done = subprocess.run([PROMTOOL, 'test', 'rules', str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    return done.returncode, 'Labels:{alertname="%s"' % name in done.stdout
