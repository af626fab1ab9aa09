"""ahm_restart_database on real servers: one of them, in place, rolling, and by a command.

The stories share one cluster, whose programs lie behind a link, so that they can be exchanged as a
minor upgrade does.
"""

import json
import os

import pytest

from ahmlib.lab import record

from .scenarios import (
    FIRST,
    NAMES,
    PATIENT,
    SECOND,
    THIRD,
    Shared,
    all_stream_from,
    formed,
    refusal,
    run,
    succeeds,
    switched_over,
)


def exchangeable(cluster):
    """Have every AHM find the server's programs through a link; the directory of each link."""
    for node in cluster.nodes:
        install(node, 'one')
        node.host.run(['ln', '-s', 'one', os.path.join(node.host.directory, 'pg')])
        node.reconfigure(db_bin_dir=os.path.join(node.host.directory, 'pg', 'bin'))


def install(node, name):
    """The server's programs once more, in a directory of this name; the other files are linked."""
    old = os.path.dirname(node.database.installation.bin_dir.rstrip('/'))
    new = os.path.join(node.host.directory, name)
    node.host.run(['mkdir', new])
    node.host.run(['cp', '-aL', os.path.join(old, 'bin'), new])
    for other in sorted(set(os.listdir(old)) - {'bin'}):
        node.host.run(['ln', '-s', os.path.join(old, other), new])


def upgraded(node, name):
    """These programs are what the link leads to from now on."""
    install(node, name)
    link = os.path.join(node.host.directory, 'pg')
    node.host.run(['ln', '-sfn', name, link + '.new'])
    node.host.run(['mv', '-T', link + '.new', link])


def program_of(node):
    """The program that this node's server runs."""
    return os.readlink('/proc/%d/exe' % node.database.postmaster())


@pytest.fixture(scope='module')
def shared():
    """One cluster for all; nobody's checks would leave a restart the time that it takes."""
    with Shared(kind='loopback', prepare=exchangeable, settings=dict(
            PATIENT, max_consec_failures=2, health_check_period=0.2)) as one:
        yield one


@pytest.fixture
def scenario(shared):
    with shared.story() as one:
        yield one


def postmasters(scenario):
    """By node: the PID of its server."""
    return {node.name: node.database.postmaster() for node in scenario.cluster.nodes}


def changed(scenario, before):
    """The nodes whose server is another one than before."""
    return [name for name, pid in postmasters(scenario).items() if pid != before[name]]


def terms(scenario):
    """The terms that the nodes are in."""
    return {json.loads(succeeds(node, 'ahm_cluster_status', '--json'))['term']
            for node in scenario.cluster.nodes}


def outage_of(scenario, what):
    """How long no client could write since the fault, printed too."""
    seconds = record.write_outage(scenario.client.attempts(), scenario.fault_at)
    print('%s: the client could not write for %.2f s' % (what, seconds))
    return seconds


def test_a_standby_is_restarted_from_another_host_and_nothing_else(scenario):
    before, term = postmasters(scenario), terms(scenario)
    said = succeeds(scenario.cluster.node(FIRST), 'ahm_restart_database', THIRD)
    assert said.endswith('Command Success\nInfo: %s restarted\n' % THIRD), said
    assert 'AHM-NODE-3 (standby):\nrestart: ' in said
    assert changed(scenario, before) == [THIRD]
    scenario.healthy()
    assert terms(scenario) == term
    scenario.undisturbed(FIRST)
    assert 'FAILED' not in scenario.log(*scenario.cluster.nodes)


def test_a_primary_is_restarted_in_place_for_a_parameter_and_nobody_takes_over(scenario):
    first, term = scenario.cluster.node(FIRST), terms(scenario)
    before = postmasters(scenario)
    first.database.sql("ALTER SYSTEM SET wal_buffers = '2MB'")
    first.database.sql('SELECT pg_reload_conf()')
    scenario.next_fault()
    done = json.loads(succeeds(first, 'ahm_restart_database', '--pending', '--json'))
    assert done['ok'] and [(each['name'], each['result']) for each in done['nodes']] \
        == [(FIRST, 'restarted')]
    assert first.database.sql('SHOW wal_buffers') == [('2MB',)]
    scenario.written_through(FIRST)
    assert changed(scenario, before) == [FIRST]
    outage_of(scenario, 'in place')
    scenario.healthy()
    assert terms(scenario) == term
    again = json.loads(succeeds(first, 'ahm_restart_database', '--pending', '--json'))
    assert again['nodes'][0]['result'] == 'nothing to do'
    first.database.sql('ALTER SYSTEM RESET wal_buffers')
    succeeds(first, 'ahm_restart_database')
    scenario.healthy()
    assert scenario.accepting() == [FIRST]
    scenario.nothing_lost()


def test_a_rolling_restart_takes_other_programs_and_the_primary_stays_one(scenario):
    """A minor upgrade: the link leads to other programs, and each server runs them after it."""
    cluster, term = scenario.cluster, terms(scenario)
    for node in cluster.nodes:
        upgraded(node, 'two')
    assert not any('/two/' in program_of(node) for node in cluster.nodes)
    would = succeeds(cluster.node(SECOND), 'ahm_restart_database', '--rolling', '--dry-run')
    assert would == ''.join('%s (%s): would be restarted\n' % each for each in (
        (SECOND, 'standby'), (THIRD, 'standby'), (FIRST, 'primary')))
    scenario.next_fault()
    said = succeeds(cluster.node(SECOND), 'ahm_restart_database', '--rolling')
    assert 'Info: ' + '; '.join(name + ' restarted' for name in (SECOND, THIRD, FIRST)) in said
    assert all('/two/' in program_of(node) for node in cluster.nodes)
    scenario.written_through(FIRST)
    outage_of(scenario, 'rolling, in place')
    scenario.healthy()
    assert (terms(scenario), scenario.accepting()) == (term, [FIRST])
    scenario.nothing_lost()


def test_a_rolling_restart_with_a_switchover_restarts_all_three(scenario):
    cluster, before = scenario.cluster, postmasters(scenario)
    scenario.next_fault()
    done = json.loads(succeeds(cluster.node(THIRD), 'ahm_restart_database', '--rolling',
                               '--switchover', '--json'))
    assert [(each['name'], each['result']) for each in done['nodes']] == [
        (SECOND, 'restarted'), (THIRD, 'restarted'), (FIRST, 'switched over')]
    assert changed(scenario, before) == list(NAMES)
    new = cluster.node(THIRD).status().leader
    assert new in (SECOND, THIRD)
    scenario.written_through(new)
    outage_of(scenario, 'rolling, with a switchover')
    scenario.healthy(new)
    scenario.led_by(new)
    switched_over(scenario, cluster.node(FIRST))
    scenario.led_by(FIRST)
    scenario.healthy()


def test_a_primary_that_does_not_come_back_fails_over_at_once(scenario):
    first = scenario.cluster.node(FIRST)
    first.database.sql("ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'")
    scenario.next_fault()
    why = refusal(first, 'ahm_restart_database')
    assert why.startswith('AHM-NODE-1: ') and 'no_such_library' in why
    new = scenario.cluster.wait_until(
        lambda: scenario.cluster.node(THIRD).status().leader not in (None, FIRST)
        and scenario.cluster.node(THIRD).status().leader, 60, 'another leader')
    scenario.written_through(new)
    scenario.reads(scenario.cluster.nodes, new, scenario.table(new, {FIRST: ('FAILED', 'STANDBY')}))
    assert 'is FAILED' in refusal(first, 'ahm_restart_database')
    scenario.led_by(new)
    scenario.cluster.workspace.write(
        os.path.join(first.database.data_dir, 'postgresql.auto.conf'), '')
    succeeds(first, 'ahm_attach_node', '--wait')
    scenario.healthy(new)
    switched_over(scenario, first)
    scenario.led_by(FIRST)
    scenario.healthy()


def test_nothing_rolls_while_a_database_is_down(scenario):
    cluster, before = scenario.cluster, postmasters(scenario)
    cluster.node(THIRD).kill_database()
    scenario.reads(cluster.nodes, FIRST, scenario.table(others={THIRD: ('FAILED', 'LOST')}))
    assert refusal(cluster.node(FIRST), 'ahm_restart_database', '--rolling').startswith(
        'nothing was restarted: AHM-NODE-3 is LOST (FAILED), and ')
    assert changed(scenario, before) == [THIRD]
    succeeds(cluster.node(THIRD), 'ahm_attach_node')
    scenario.healthy()


def test_wrong_words_are_refused_with_what_was_expected(scenario):
    first = scenario.cluster.node(FIRST)
    for words, said in ((['AHM-NODE-9'], 'found no such node, expected one of AHM-NODE-1, '),
                        (['--timeout=0'], 'expected a number of seconds from 1 to 86400'),
                        (['--switchover'], '--switchover: found no --rolling besides'),
                        ([SECOND, '--rolling'], '--rolling: found NODE %s besides' % SECOND),
                        ([''], "NODE: found ''"),
                        (['--rolling', '--switchover', '--pending'],
                         '--switchover: found --pending besides')):
        done = run(first, 'ahm_restart_database', *words)
        assert done.code == 2 and said in done.output, done


def test_where_a_service_manager_owns_the_server_its_command_restarts_it():
    """And a command that does nothing is no restart."""
    def by_command(cluster):
        for node in cluster.nodes:
            node.reconfigure(db_restart_command=(
                "sh -c 'echo restarted >>%s/asked; test -e %s/broken || exec %s restart -w -s -m "
                "fast -D %s -l %s'" % (node.host.directory, node.host.directory,
                                       node.database.program('pg_ctl'), node.database.data_dir,
                                       node.database.log)))
    with formed(kind='loopback', nodes=2, prepare=by_command) as scenario:
        cluster, before = scenario.cluster, postmasters(scenario)
        succeeds(cluster.node(SECOND), 'ahm_restart_database', '--rolling')
        assert changed(scenario, before) == [FIRST, SECOND]
        scenario.healthy()
        before = postmasters(scenario)
        for node in cluster.nodes:
            with open(os.path.join(node.host.directory, 'asked')) as file:
                assert file.read() == 'restarted\n'
            node.host.run(['touch', os.path.join(node.host.directory, 'broken')])
        assert 'the server that ran before runs on (db_restart_command: ' in refusal(
            cluster.node(FIRST), 'ahm_restart_database')
        assert changed(scenario, before) == []
        all_stream_from(cluster, FIRST)
        scenario.healthy()
