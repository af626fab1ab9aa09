"""HTTP of real daemons: who is the primary, while daemons stop, hosts die and clients are slow."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ahmlib.http import pages
from ahmlib.lab import LabError
from tests.lab.cluster import Cluster, loopback_available

from .doors import CHECK, HTTP_PORT, Doors, answer_of, ask, code_of, connect, page
from .scenarios import (
    CALM,
    FIRST,
    NAMES,
    PATIENT,
    PAUSE,
    SECOND,
    THIRD,
    formed,
    is_led_by_another,
    succeeds,
    switched_over,
    telling,
)

LACK = loopback_available()
pytestmark = pytest.mark.skipif(LACK is not None, reason=str(LACK))

#: Where it is not there, tests/unit/test_http_metrics.py says so.
PROMTOOL = os.environ.get('PROMTOOL') or shutil.which('promtool')
CHECK_PATRONI = os.environ.get('CHECK_PATRONI') or shutil.which(
    'check_patroni', path=os.pathsep.join([os.path.dirname(sys.executable), os.defpath]))
HTTP = {'http_port': HTTP_PORT}


@pytest.fixture(scope='module')
def healthy():
    """A cluster that no test hurts for long: no database is given up."""
    patient = dict(PATIENT, max_consec_failures=40)
    with formed(kind='loopback', settings=dict(patient, **HTTP)) as scenario:
        yield scenario


def codes(cluster, path):
    """{name: status} of what every node answers."""
    return {node.name: ask(node, path)[0] for node in cluster.nodes}


def only(*names):
    """The codes where these alone say yes."""
    return {name: 200 if name in names else 503 for name in NAMES}


def settles(cluster, path, expected):
    """Wait until every node answers so."""
    cluster.wait_until(lambda: codes(cluster, path) == expected, 30,
                       '%s at %s' % (expected, path), PAUSE)


@pytest.mark.parametrize('path, names', [
    ('/', [FIRST]), ('/primary', [FIRST]), ('//leader/', [FIRST]), ('/replica', NAMES[1:]),
    ('/replica?lag=64MB&replication_state=streaming', NAMES[1:]), ('/async', NAMES[1:]),
    ('/sync', []), ('/read-only', NAMES), ('/health', NAMES), ('/liveness', NAMES),
    ('/readiness', NAMES), ('/standby-leader', [])])
def test_every_node_says_what_it_is(healthy, path, names):
    settles(healthy.cluster, path, only(*names))


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'OPTIONS'])
def test_each_method_has_the_same_status(healthy, method):
    first, second, _ = healthy.cluster.nodes
    assert ask(first, '/', method)[0] == 200 and ask(second, '/', method)[0] == 503
    body = ask(first, '/', method)[1]
    assert bool(body) is (method == 'GET')


def test_what_is_changed_elsewhere_and_what_is_nowhere(healthy):
    first = healthy.cluster.nodes[0]
    code, body = ask(first, '/switchover', 'POST')
    assert code == 405 and b'ahm_promote_node' in body
    assert ask(first, '/metricss')[0] == 404


def test_the_pages_are_what_tools_of_patroni_read(healthy):
    first, second, _ = healthy.cluster.nodes
    found = {member['name']: member for member in page(second, '/cluster')['members']}
    assert set(found) == set(NAMES)
    assert (found[FIRST]['role'], found[FIRST]['state']) == ('leader', 'running')
    assert (found[SECOND]['role'], found[SECOND]['state']) == ('replica', 'streaming')
    assert isinstance(found[SECOND]['lag'], int) and isinstance(found[SECOND]['replay_lag'], int)
    assert found[SECOND]['api_url'] == 'http://%s:8008/patroni' % second.host.address
    own, other = page(first, '/patroni'), page(second, '/patroni')
    assert (own['role'], other['role']) == ('primary', 'replica')
    assert own['state'] == other['state'] == 'running' and not own['cluster_unlocked']
    assert own['xlog']['location'] and other['xlog']['replayed_location']
    assert {row['application_name'] for row in own['replication']} == set(NAMES[1:])
    assert own['database_system_identifier'] == other['database_system_identifier']
    assert own['patroni']['scope'] == page(second, '/cluster')['scope']
    status = page(first, '/status')
    assert status['leader'] == FIRST and len(status['nodes']) == 3
    assert page(first, '/config') == page(first, '/config')
    assert page(first, '/config')['ttl'] == pytest.approx(healthy.hold)
    assert page(first, '/history') == [], 'no timeline was left'
    version, = first.database.sql("SELECT current_setting('server_version_num')")[0]
    assert own['server_version'] == other['server_version'] == int(version)
    assert other['replication_state'] == 'streaming'


def test_events_are_lines_of_the_history_and_go_on_where_they_ended(healthy):
    first = healthy.cluster.nodes[0]
    lines = [json.loads(line) for line in ask(first, '/events')[1].decode().splitlines()]
    assert 'daemon started' in [line['kind'] for line in lines]
    after = lines[1]
    rest = ask(first, '/events?since=%d,%d' % (after['term'], after['seq']))[1]
    assert [json.loads(line)['seq'] for line in rest.decode().splitlines()][:len(lines) - 2] == [
        line['seq'] for line in lines[2:]]
    assert ask(first, '/events?since=yesterday')[0] == 400


def test_metrics_say_who_leads_and_how_long_the_failover_took(healthy):
    for node in healthy.cluster.nodes:
        code, body = ask(node, '/metrics?names=patroni')
        found = dict(line.rpartition(' ')[::2] for line in body.decode().splitlines())
        assert code == 200
        leads = '1' if node.name == FIRST else '0'
        assert found['ahm_leader'] == leads and found['ahm_unprotected'] == '0'
        assert found['ahm_streaming'] == str(1 - int(leads))
        assert int(found['ahm_wal_position_bytes']) > 0
        assert int(found['ahm_wal_free_bytes']) > 0
        assert int(found['ahm_database_checks_total{result="ok"}']) > 0
        others = [name for name in NAMES if name != node.name]
        for name in others:
            assert found['ahm_peer_alive{peer="%s"}' % name] == '1'
            assert int(found['ahm_beacons_received_total{peer="%s"}' % name]) > 0
            assert int(found['ahm_beacons_sent_total{peer="%s"}' % name]) > 0
        label = '{scope="%s",name="%s"}' % (page(node, '/cluster')['scope'], node.name)
        assert found['patroni_primary' + label] == leads
        assert float(found['patroni_dcs_last_seen' + label]) == pytest.approx(time.time(), abs=60)
        if PROMTOOL:
            done = subprocess.run([PROMTOOL, 'check', 'metrics'], input=body,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert (done.returncode, done.stdout) == (0, b'')


def test_what_a_slot_keeps_is_told_while_there_is_one(healthy):
    cluster, first = healthy.cluster, healthy.cluster.nodes[0]

    def told():
        body = ask(first, '/metrics')[1].decode()
        return [int(line.rpartition(' ')[2]) for line in body.splitlines()
                if line.startswith('ahm_slot_retained_bytes{slot="of_nobody"}')]
    first.database.sql("SELECT pg_create_physical_replication_slot('of_nobody', true)")
    try:
        first.database.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 100000))")
        cluster.wait_until(lambda: told() and told()[0] >= 100000, 30, 'what the slot keeps', PAUSE)
    finally:
        first.database.sql("SELECT pg_drop_replication_slot('of_nobody')")
    cluster.wait_until(lambda: told() == [], 30, 'the slot to be told of no more', PAUSE)


#: (Service and its words, its exit code at the leader, at a standby): 0 is OK, 2 is CRITICAL.
SERVICES = [
    ('cluster_has_leader', 0, 0), ('cluster_has_replica --critical 2:', 0, 0),
    ('cluster_has_replica --critical 2: --max-lag 64MB', 0, 0),
    ('cluster_has_replica --sync-critical 1:', 2, 2),
    ('cluster_node_count --critical 3: --healthy-critical 3:', 0, 0),
    ('cluster_is_in_maintenance', 0, 0), ('cluster_has_scheduled_action', 0, 0),
    ('cluster_config_has_changed --hash CONFIG', 0, 0),
    ('cluster_config_has_changed --hash 0', 2, 2),
    ('node_is_alive', 0, 0), ('node_is_primary', 0, 2), ('node_is_leader', 0, 2),
    ('node_is_replica', 2, 0), ('node_is_replica --max-lag 64MB', 2, 0),
    ('node_is_replica --is-async', 2, 0), ('node_is_replica --is-sync', 2, 2),
    ('node_is_pending_restart', 0, 0), ('node_tl_has_changed --timeline 1', 0, 0),
    ('node_tl_has_changed --timeline 2', 2, 2),
    ('node_patroni_version --patroni-version ' + pages.FORM_VERSION, 0, 0)]


@pytest.mark.skipif(CHECK_PATRONI is None, reason='CHECK_PATRONI NOT TRIED: it is not installed; '
                    'pip install check_patroni, or name it by CHECK_PATRONI')
@pytest.mark.parametrize('words, of_leader, of_standby', SERVICES)
def test_check_patroni_reads_ahm(healthy, words, of_leader, of_standby):
    for node, code in zip(healthy.cluster.nodes, (of_leader, of_standby)):
        # It hashes the page as Python writes it again.
        config = hashlib.md5(json.dumps(page(node, '/config')).encode()).hexdigest()
        says(node, words.replace('CONFIG', config), code)


def says(node, words, code):
    """What check_patroni says of this node, where it is installed: its exit code is this one."""
    if CHECK_PATRONI is None:
        return
    argv = [CHECK_PATRONI, '-e', 'http://%s:%d' % (node.host.address, HTTP_PORT), '--timeout', '10']
    done = subprocess.run(argv + words.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    assert done.returncode == code, (words, done.stdout)


@pytest.mark.parametrize('names, path, kind', [
    ('FIRST 1 ("%s")' % SECOND, '/sync', 'sync_standby'),
    ('ANY 1 ("%s", "%s")' % NAMES[1:], '/quorum', 'quorum_standby')])
def test_for_whom_commits_wait_is_said_by_each_standby(healthy, names, path, kind):
    cluster, (first, second, third) = healthy.cluster, healthy.cluster.nodes
    confirm = [name for name in NAMES[1:] if name in names]
    try:
        first.database.sql("ALTER SYSTEM SET synchronous_standby_names = '%s'" % names)
        first.database.sql('SELECT pg_reload_conf()')
        settles(cluster, path, only(*confirm))
        settles(cluster, '/read-only' + path.replace('/', '-'), only(FIRST, *confirm))
        settles(cluster, '/async', only(*[name for name in NAMES[1:] if name not in confirm]))
        cluster.wait_until(lambda: page(second, '/patroni').get(kind) is True, 30, kind, PAUSE)
        assert (kind in page(third, '/patroni')) is (THIRD in confirm)
        roles = {member['name']: member['role'] for member in page(first, '/cluster')['members']}
        assert roles[SECOND] == kind
        says(second, 'node_is_replica --is-sync', 0)
        says(second, 'node_is_replica --is-async', 2)
        says(first, 'cluster_has_replica --sync-critical 1:', 0)
    finally:
        first.database.sql('ALTER SYSTEM RESET synchronous_standby_names')
        first.database.sql('SELECT pg_reload_conf()')
        settles(cluster, '/async', only(*NAMES[1:]))


def test_a_server_that_waits_for_a_restart_says_so(healthy):
    """A parameter that needs one was changed, and changed back."""
    cluster, second = healthy.cluster, healthy.cluster.nodes[1]

    def waits(value):
        cluster.wait_until(lambda: page(second, '/patroni').get('pending_restart', False) is value,
                           30, 'pending_restart: %s' % value, PAUSE)
    def is_set(value):
        second.database.sql('ALTER SYSTEM SET max_worker_processes = %d' % value)
        second.database.sql('SELECT pg_reload_conf()')
    before = int(second.database.sql('SHOW max_worker_processes')[0][0])
    waits(False)
    try:
        is_set(before + 1)
        waits(True)
        says(second, 'node_is_pending_restart', 2)
    finally:
        is_set(before)      # where it is taken out of the file, the server goes on waiting
        waits(False)


def test_a_server_that_hangs_makes_nobody_wait(healthy):
    """A field story: checks asked SQL each time, and hung with the database they were about."""
    cluster, third = healthy.cluster, healthy.cluster.nodes[2]
    settles(cluster, '/replica', only(*NAMES[1:]))
    pids = third.database.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        settles(cluster, '/replica', only(SECOND))
        for path in ('/', '/health', '/replica', '/readiness'):
            assert ask(third, path)[0] == 503
        for path in ('/liveness', '/cluster', '/metrics?names=patroni', '/history', '/status'):
            assert ask(third, path)[0] == 200
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    settles(cluster, '/replica', only(*NAMES[1:]))
    healthy.healthy()


def test_no_secret_and_no_path_is_shown(healthy):
    for node in healthy.cluster.nodes:
        for path in ('/config', '/patroni', '/cluster', '/primary'):
            body = ask(node, path)[1].decode()
            assert node.host.directory not in body and 'password' not in body
            assert 'dbname' not in body


def test_slow_clients_cost_no_beacon_and_no_check(healthy):
    """The leader of before leads on, in the same term, and every check has its answer."""
    cluster = healthy.cluster
    terms = {node.name: page(node, '/status')['term'] for node in cluster.nodes}
    until = time.monotonic() + 3 * healthy.hold
    with contextlib.ExitStack() as stack:
        asked = 0
        while time.monotonic() < until or asked < 30:
            for node in cluster.nodes:
                for _ in range(30):
                    slow = connect(node)
                    stack.callback(slow.close)
                    slow.sendall(b'GET /primary HTTP/1.1\r\nX: ')
                assert ask(node, '/')[0] == (200 if node.name == FIRST else 503)
                asked += 1
            if asked > 30:      # descriptors of this process, not of the daemons, are the limit
                stack.pop_all().close()
    assert {node.name: page(node, '/status')['term'] for node in cluster.nodes} == terms
    assert 'was not run for' not in healthy.log(*cluster.nodes)
    assert healthy.client.runs() and cluster.vip_holders() == [cluster.nodes[0]]


def test_a_leader_that_was_stopped_beyond_its_lease_says_no_to_what_waited_in_its_socket():
    # Without a VIP: one that answers from a frozen host keeps everybody from taking over.
    with Cluster('loopback', settings=HTTP, vip=False) as cluster, telling(cluster):
        cluster.start_ahm()
        first = cluster.nodes[0]
        settles(cluster, '/', only(FIRST))
        first.freeze()
        with connect(first) as waits, connect(first) as comes_late:
            waits.sendall(CHECK)
            new = is_led_by_another(cluster, FIRST, cluster.nodes[2])
            cluster.wait_until(lambda: ask(cluster.node(new))[0] == 200, 30, '200 of ' + new)
            comes_late.sendall(CHECK)
            first.thaw()
            for connection in (waits, comes_late):
                connection.settimeout(30)
                assert code_of(answer_of(connection)) == 503
        settles(cluster, '/', only(new))


def test_a_leader_whose_daemon_alone_was_stopped_says_no_until_it_leads_again():
    """Its database answers, so nobody takes over; and nobody else says yes meanwhile."""
    with formed(kind='loopback', settings=HTTP) as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        with Doors([second, third]) as doors:
            first.freeze_ahm()
            with connect(first) as waits:
                waits.sendall(CHECK)
                cluster.wait_until(lambda: second.status().leader is None, 30, 'nobody to lead')
                first.thaw_ahm()
                waits.settimeout(30)
                assert code_of(answer_of(waits)) == 503
            cluster.wait_until(lambda: len(doors.looks) > 20, 30, 'looks at the others')
            assert doors.open_since(0) == []


def test_a_database_that_failed_is_no_primary_whatever_leads():
    """A field story: 200 at /primary while PostgreSQL had failed and could not be started."""
    with formed(kind='loopback', settings=dict(
            HTTP, pre_promotion_command="sh -c 'exit 1'")) as scenario:
        cluster = scenario.cluster
        first = cluster.nodes[0]
        settles(cluster, '/', only(FIRST))
        first.kill_database()
        settles(cluster, '/', only())
        assert ask(first, '/health')[0] == 503 and ask(first, '/liveness')[0] == 200


def test_in_a_pause_the_primary_is_where_the_vip_is():
    with formed(kind='loopback', settings=dict(CALM, **HTTP)) as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        succeeds(third, 'ahm_pause_cluster')
        for node in (second, third):
            node.kill_ahm()
        cluster.wait_until(lambda: first.status().leader is None, 30, 'the lease to end')
        since = time.monotonic()
        with Doors([first]) as doors:
            scenario.nothing_happens(FIRST, 2 * scenario.hold)
            assert {look.code for look in doors.looks if look.began > since} == {200}
        assert page(first, '/patroni')['pause'] is True


def moved(scenario, doors, old, new):
    """Wait until the new one is seen to be open; the old one was closed before."""
    def seen():
        return doors.moved(old, new, scenario.fault_at)
    scenario.cluster.wait_until(lambda: seen() is not None, 30, '200 of ' + new)
    assert seen(), '%s and %s say that they are the primary' % (old, new)


def test_never_do_two_say_that_they_are_the_primary():
    with formed(kind='loopback', settings=dict(CALM, **HTTP)) as scenario, \
            Doors(scenario.cluster.nodes) as doors:
        cluster = scenario.cluster
        first, second, _ = cluster.nodes
        settles(cluster, '/', only(FIRST))
        switched_over(scenario, second)
        settles(cluster, '/', only(SECOND))
        moved(scenario, doors, FIRST, SECOND)
        scenario.healthy(SECOND)
        scenario.next_fault()
        second.kill_database()
        new = is_led_by_another(cluster, SECOND, second)
        moved(scenario, doors, SECOND, new)
        assert ask(second)[0] == 503
        living = [node for node in cluster.nodes if node is not second]
        for node in living:
            history_is(cluster, node, [(1, SECOND), (2, new)])
        lsns = {tuple(row[1] for row in page(node, '/history')) for node in living}
        assert lsns == {tuple(switch_points(cluster.node(new).database.data_dir, 3))}
        # What was seen of others is kept, too.
        other, = [node for node in living if node.name != new]
        other.stop_ahm()
        other.start_ahm()
        cluster.wait_until(lambda: ask(other, '/liveness')[0] == 200, 60, 'its door')
        history_is(cluster, other, [(1, SECOND), (2, new)])


def history_is(cluster, node, expected):
    """Wait until /history of this node tells these timelines and who leads since, and each LSN."""
    def rows():
        return [row for row in page(node, '/history') if row[1]]
    cluster.wait_until(lambda: [(row[0], row[4]) for row in rows()] == expected, 60,
                       '%s in /history of %s' % (expected, node.name), PAUSE)
    for _, lsn, reason, at, _ in rows():
        assert lsn > 0 and reason and at.endswith('Z')
    assert [row[3] for row in rows()] == sorted(row[3] for row in rows())


def switch_points(data_dir, timeline):
    """Where the timelines before this one ended, as its history file says."""
    with open(os.path.join(data_dir, 'pg_wal', '%08X.history' % timeline)) as file:
        halves = [line.split()[1].split('/') for line in file if line.strip()]
    return [(int(high, 16) << 32) + int(low, 16) for high, low in halves]


def test_a_port_that_is_taken_keeps_the_daemon_from_starting():
    """It names the parameter to set; without http_port there is no HTTP at all."""
    with formed(kind='loopback', settings=dict(PATIENT)) as scenario:
        first = scenario.cluster.nodes[0]
        with pytest.raises(OSError):
            connect(first)
        with pytest.raises(LabError) as caught:
            first.reload_ahm(http_port=HTTP_PORT)
        assert 'http_port cannot change while the daemon runs' in str(caught.value)
