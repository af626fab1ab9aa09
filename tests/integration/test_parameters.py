"""Parameters on real databases and daemons: hooks with their variables, the recovery settings of a
re-pointed standby, who is attached by itself, the stop of an isolated primary.

One cluster lives through one story, in which every node has parameters of its own; the tests look
at what the story left behind.
"""

import os
import re
import time
from typing import Any, Dict, NamedTuple

import pytest

from ahmlib.core.consensus.timing import Timing
from tests.lab.cluster import Cluster, loopback_available

from .daemons import postgres

LIMIT = 60
#: Longer than the default, which has to be told from it.
DELAY = 4
FIRST, SECOND, THIRD = 'AHM-NODE-1', 'AHM-NODE-2', 'AHM-NODE-3'
VARIABLES = {'AHM_EVENT', 'AHM_NODE_NAME', 'AHM_NODE_HOST', 'AHM_OLD_PRIMARY_NAME',
             'AHM_OLD_PRIMARY_HOST', 'AHM_NEW_PRIMARY_NAME', 'AHM_NEW_PRIMARY_HOST', 'AHM_DB_PORT',
             'AHM_DB_DATA_DIR', 'AHM_VIRTUAL_IP', 'AHM_TERM'}

#: Writes its variables to a file of its own (`<name>.<n>`), then runs the rest of its words.
HOOK = """#!/bin/sh
name=$1
shift
file=$(mktemp "{directory}/$name.XXXXXX.part")
env | grep ^AHM_ > "$file"
date +%s.%N > "{directory}/$name.at"
mv "$file" "${{file%.part}}.done"
[ $# -eq 0 ] || exec "$@"
"""


class Call(NamedTuple):
    """One run of a hook: its name and its variables."""
    name: str
    variables: Dict[str, str]


class Story:
    """The cluster, its hooks' directory, and what was seen on the way."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.hooks = cluster.workspace.make_directory('hooks')
        self.script = os.path.join(self.hooks, 'hook.sh')
        cluster.workspace.write(self.script, HOOK.format(directory=self.hooks), executable=True)
        self.seen: Dict[str, Any] = {}

    def hook(self, name, *words):
        """The command line of the hook of this name, which goes on with these words."""
        return ' '.join((self.script, name) + words)

    def calls(self, name, **variables):
        """The runs of the hook of this name in which these variables were set so."""
        found = []
        for file_name in sorted(os.listdir(self.hooks)):
            if re.match(r'%s\.\w+\.done$' % re.escape(name), file_name):
                with open(os.path.join(self.hooks, file_name)) as file:
                    lines = [line.rstrip('\n').partition('=') for line in file]
                call = Call(name, {key: value for key, _, value in lines})
                if variables.items() <= call.variables.items():
                    found.append(call)
        return found

    def at(self, name):
        """When the hook of this name last ran, in seconds since 1970."""
        with open(os.path.join(self.hooks, name + '.at')) as file:
            return float(file.read())

    def called(self, name, **variables):
        """Wait until the hook of this name has run with these variables set so; its Calls."""
        return self.cluster.wait_until(lambda: self.calls(name, **variables), LIMIT,
                                       'the hook %s with %s' % (name, variables))

    def reads(self, rows, leader=None, asked=0):
        """Wait until this node's status has these rows, {name: (database, state)}."""
        def seen():
            status = self.cluster.nodes[asked].status()
            table = {name: (row.database, row.state) for name, row in status.rows.items()}
            return rows.items() <= table.items() and leader in (None, status.leader)
        self.cluster.wait_until(seen, LIMIT, '%s under %s' % (rows, leader))


def configure(cluster, **own):
    """Write the files of the nodes again, with lines of their own: FIRST=..., SECOND=..."""
    lines = ['%s:%d' % (node.host.address, cluster.plan.ahm_port) for node in cluster.nodes]
    for node, extra in zip(cluster.nodes, [own.get(key, {}) for key in
                                           ('first', 'second', 'third')]):
        node.configure(dict(cluster.settings, **extra), '\n'.join(lines) + '\n')


def set_up(story):
    """Give every node the parameters it shows, and start the daemons."""
    cluster = story.cluster
    first, second, third = cluster.nodes
    first.database.sql('CREATE ROLE copy LOGIN REPLICATION')
    control = first.database.program('pg_ctl')
    cleaned = os.path.join(story.hooks, 'cleaned')
    restored = os.path.join(story.hooks, 'restored')
    configure(
        cluster,
        first={
            # In phase 2 it hands its role over, in phase 3 it gets it back by a failover.
            'db_start_command': story.hook('start', control, 'start', '-D',
                                           first.database.data_dir, '-l', first.database.log, '-W'),
            'db_stop_command': story.hook('stop', control, 'stop', '-D', first.database.data_dir,
                                          '-m', 'fast', '-w'),
            'standby_startup_delay': DELAY,
            'pre_promotion_command': story.hook('pre'),
            'promotion_command': story.hook('promotion', control, 'promote', '-W', '-D',
                                            first.database.data_dir),
            'post_promotion_command': story.hook('post'),
            'notification_command': story.hook('notification'),
            'arping_cmd': story.hook('arping', 'true', '$_IP_$'),
        },
        second={
            'auto_attach': False, 'follow_command': story.hook('follow'),
            'notification_command': story.hook('slow', 'sleep', '60'),
            'hook_timeout_seconds': 1,
        },
        third={
            'priority': 0, 'auto_attach': True, 'replication_user': 'copy',
            'restore_command': 'echo %%f >> %s; false' % restored,
            'archive_cleanup_command': 'echo %%r >> %s' % cleaned,
            'use_recovery_min_apply_delay': True, 'recovery_min_apply_delay': 2000,
            'primary_conninfo_options': 'keepalives_idle=77',
        })
    cluster.start_ahm()
    story.reads({FIRST: ('PRIMARY', 'LEADER'), SECOND: ('STANDBY', 'STANDBY'),
                 THIRD: ('STANDBY', 'STANDBY')}, FIRST)


def break_and_repair_the_standbys(story):
    """Phase 1: both standbys fail and are started again; who is attached by itself?"""
    _, second, third = story.cluster.nodes
    lost = {SECOND: ('FAILED', 'LOST'), THIRD: ('FAILED', 'LOST')}
    for node in (second, third):
        node.kill_database()
    story.reads(lost)
    for node in (second, third):
        node.database.start()
    story.reads({THIRD: ('STANDBY', 'STANDBY')})
    story.cluster.wait_until(
        lambda: second.database.streams_from(story.cluster.nodes[0].database), LIMIT,
        'the second standby to stream')
    time.sleep(3)       # six checks: if it were attached by itself, it would be by now
    story.seen['not attached'] = story.cluster.nodes[0].status().rows[SECOND].state
    done = second.utility('ahm_attach_node', '--wait', check=False, limit=LIMIT)
    assert done.code == 0, done.output
    story.reads({SECOND: ('STANDBY', 'STANDBY')})


def hand_over(story):
    """Phase 2: the second node becomes the primary; the third one is re-pointed."""
    first, second, third = story.cluster.nodes
    done = second.utility('ahm_promote_node', '--wait', check=False, limit=LIMIT)
    assert done.code == 0, done.output + story.cluster.log_tails()
    story.reads({FIRST: ('STANDBY', 'STANDBY'), SECOND: ('PRIMARY', 'LEADER'),
                 THIRD: ('STANDBY', 'STANDBY')}, SECOND)
    for node in (first, third):
        story.cluster.wait_until(lambda: node.database.streams_from(second.database), LIMIT,
                                 '%s to stream' % node.name)
    for name in ('restore_command', 'archive_cleanup_command', 'recovery_min_apply_delay',
                 'primary_conninfo'):
        story.seen[name] = [node.database.sql("SELECT current_setting('%s')" % name)[0][0]
                            for node in (first, third)]
    story.seen['pause'] = story.at('start') - os.path.getmtime(auto_conf(first))
    story.seen['users'] = dict(second.database.sql(
        'SELECT application_name, usename::text FROM pg_stat_replication'))
    story.seen['behind'] = seconds_behind(second, third)
    story.seen['cleaned'] = cleanup(story, second, third)


def auto_conf(node):
    """The file into which AHM writes whom a node's server follows."""
    return os.path.join(node.database.data_dir, 'postgresql.auto.conf')


def seconds_behind(primary, standby):
    """Seconds until a row of the primary can be read on a standby, seen from here."""
    primary.database.sql('CREATE TABLE IF NOT EXISTS delayed (id int)')
    standby_has = "SELECT count(*) FROM pg_class WHERE relname = 'delayed'"
    began = time.monotonic()
    while standby.database.sql(standby_has) != [(1,)]:
        assert time.monotonic() < began + LIMIT
        time.sleep(0.02)
    return time.monotonic() - began


def cleanup(story, primary, standby):
    """Wait until a restart point on the standby has run archive_cleanup_command; its output."""
    path = os.path.join(story.hooks, 'cleaned')

    def ran():
        primary.database.sql('CHECKPOINT')
        standby.database.sql('CHECKPOINT')
        return os.path.exists(path) and open(path).read()
    return story.cluster.wait_until(ran, LIMIT, 'archive_cleanup_command to run')


def fail_over(story):
    """Phase 3: the database of the second node dies; only the first may take over."""
    first, second, third = story.cluster.nodes
    second.kill_database()
    story.reads({FIRST: ('PRIMARY', 'LEADER'), SECOND: ('FAILED', 'STANDBY'),
                 THIRD: ('STANDBY', 'STANDBY')}, FIRST)
    story.called('post')
    story.called('follow')
    story.cluster.wait_until(lambda: third.database.streams_from(first.database), LIMIT,
                             'the third node to stream')


@pytest.fixture(scope='module')
def story():
    """A Story that has been lived through."""
    if loopback_available():
        pytest.skip('PARAMETER TESTS SKIPPED: %s' % loopback_available())
    with Cluster('loopback') as cluster:
        if cluster.installation.version < 14:
            pytest.skip('PARAMETER TESTS SKIPPED: before PostgreSQL 14 restore_command is not '
                        'reloaded')
        one = Story(cluster)
        set_up(one)
        break_and_repair_the_standbys(one)
        hand_over(one)
        fail_over(one)
        yield one


def expected(story, event, node, old, new):
    """The variables of a hook, but for the term."""
    nodes = {item.name: item for item in story.cluster.nodes}
    return {
        'AHM_EVENT': event, 'AHM_NODE_NAME': node, 'AHM_NODE_HOST': nodes[node].host.address,
        'AHM_OLD_PRIMARY_NAME': old, 'AHM_OLD_PRIMARY_HOST': nodes[old].host.address,
        'AHM_NEW_PRIMARY_NAME': new, 'AHM_NEW_PRIMARY_HOST': nodes[new].host.address,
        'AHM_DB_PORT': str(story.cluster.plan.db_port),
        'AHM_DB_DATA_DIR': nodes[node].database.data_dir,
        'AHM_VIRTUAL_IP': story.cluster.plan.vip}


def variables_of(call):
    """The specified variables of a call, and its term apart."""
    rest = {name: value for name, value in call.items() if name in VARIABLES}
    return rest, int(rest.pop('AHM_TERM'))


OLD_PRIMARY = ('AHM_OLD_PRIMARY_NAME', 'AHM_OLD_PRIMARY_HOST')
AFTERWARDS = [('post', 'POST_PROMOTION', FIRST), ('follow', 'FOLLOW', SECOND)]


@postgres
@pytest.mark.parametrize('name, event', [('pre', 'PRE_PROMOTION'), ('promotion', 'PROMOTION')])
def test_the_hooks_of_a_promotion_have_their_variables(story, name, event):
    calls = story.calls(name)
    assert calls
    # More than one where a busy machine had a first try given up.
    for call in calls:
        found, term = variables_of(call.variables)
        assert found == expected(story, event, FIRST, SECOND, FIRST) and term > 0


@postgres
@pytest.mark.parametrize('name, event, node', AFTERWARDS)
def test_the_hooks_after_a_promotion_have_their_variables(story, name, event, node):
    found, term = variables_of(story.calls(name, AHM_NEW_PRIMARY_NAME=FIRST)[0].variables)
    wanted = expected(story, event, node, SECOND, FIRST)
    assert set(found) == set(wanted) and term > 0
    assert {key: found[key] for key in found if key not in OLD_PRIMARY} == {
        key: wanted[key] for key in wanted if key not in OLD_PRIMARY}


@postgres
@pytest.mark.parametrize('name, event, node', AFTERWARDS)
def test_the_hooks_after_a_promotion_are_told_the_old_primary(story, name, event, node):
    found, _ = variables_of(story.calls(name, AHM_NEW_PRIMARY_NAME=FIRST)[0].variables)
    assert found == expected(story, event, node, SECOND, FIRST)


@postgres
def test_the_hooks_of_a_promotion_run_in_order(story):
    assert story.at('pre') < story.at('promotion') < story.at('post')


@postgres
def test_follow_command_runs_in_place_of_what_ahm_would_write(story):
    assert {call.variables['AHM_NODE_NAME'] for call in story.calls('follow')} == {SECOND}
    texts = []
    for node in story.cluster.nodes[1:]:
        with open(auto_conf(node)) as file:
            texts.append(file.read())
    assert ['recovery_target_timeline' in text for text in texts] == [False, True]


@postgres
def test_notification_command_runs_at_events_with_its_variables(story):
    story.called('notification', AHM_EVENT='PROMOTED')
    found = story.calls('notification', AHM_EVENT='PROMOTED')[0].variables
    assert VARIABLES <= set(found)
    assert (found['AHM_NODE_NAME'], found['AHM_SEVERITY']) == (FIRST, 'NOTICE')
    assert 'is primary now' in found['AHM_MESSAGE']


@postgres
def test_a_notification_command_that_hangs_is_killed_after_hook_timeout_seconds(story):
    with open(story.cluster.nodes[1].log) as file:
        text = file.read()
    assert 'notification_command failed' in text and '1 s' in text


@postgres
def test_restore_command_and_the_other_recovery_settings_are_those_of_the_repointed_node(story):
    assert story.seen['restore_command'][0] == ''
    assert story.seen['restore_command'][1].startswith('echo %f >> ')
    assert story.seen['archive_cleanup_command'][0] == ''
    assert story.seen['archive_cleanup_command'][1].startswith('echo %r >> ')
    assert story.seen['recovery_min_apply_delay'] == ['0', '2s']


@postgres
def test_restore_command_and_archive_cleanup_command_are_run_by_the_database(story):
    assert os.path.exists(os.path.join(story.hooks, 'restored'))
    assert re.match(r'[0-9A-F]{24}\n', story.seen['cleaned'])


@postgres
def test_recovery_min_apply_delay_delays_what_clients_see(story):
    assert story.seen['behind'] > 1.0


@postgres
def test_primary_conninfo_options_are_in_force(story):
    first, third = story.seen['primary_conninfo']
    assert 'keepalives_idle=77' in third and 'keepalives_idle' not in first


@postgres
def test_replication_user_is_who_streams(story):
    assert story.seen['users'] == {FIRST: 'agens', THIRD: 'copy'}


@postgres
def test_only_where_auto_attach_is_on_a_repaired_standby_comes_back_by_itself(story):
    assert story.seen['not attached'] == 'LOST'
    with open(story.cluster.nodes[2].log) as file:
        assert 'attached (auto_attach)' in file.read()


@postgres
def test_a_database_with_commands_of_its_own_is_stopped_and_started_by_them(story):
    assert len(story.calls('stop')) == 1 and len(story.calls('start')) == 1


@postgres
def test_standby_startup_delay_passes_after_a_stopped_server_was_pointed_to_its_new_primary(story):
    assert DELAY <= story.seen['pause']


@postgres
def test_arping_cmd_announces_the_vip(story):
    assert story.calls('arping')


# Isolation


PING = """#!/bin/sh
for last; do :; done
[ "$last" = {trusted} ] || exec {lab} "$@"
test -e {answers} || {{ echo '1 packets transmitted, 0 received, 100% packet loss'; exit 1; }}
echo '1 packets transmitted, 1 received, 0% packet loss'
"""


@postgres
def test_an_isolated_primary_is_stopped_or_not_and_trusted_servers_say_when_it_is_one():
    """Half votes: a leader without the other half goes on while a trusted server answers."""
    patient = {'beacon_message_retry_count': 8}     # the witness is lost when it is killed only
    with Cluster('loopback', nodes=1, witnesses=1, settings=patient) as cluster:
        first, witness = cluster.nodes
        lease = Timing(cluster.settings['beacon_message_interval_seconds'],
                       cluster.settings['beacon_message_retry_count']).lease
        trusted = cluster.plan.prefix + '.250'
        directory = cluster.workspace.make_directory('ping')
        answers = os.path.join(directory, 'answers')
        cluster.workspace.write(os.path.join(directory, 'ping'), PING.format(
            trusted=trusted, answers=answers, lab=os.path.join(first.host.bin_dir, 'ping')),
            executable=True)
        lines = {'failover_consensus_with_half_votes': True, 'trusted_servers': trusted,
                 'ping_path': directory}
        for stops in (False, True):
            cluster.workspace.write(answers, '')
            configure(cluster, first=dict(lines, stop_isolated_primary=stops), second=lines)
            for node in cluster.nodes:
                if not node.ahm_runs():
                    node.start_ahm()
            cluster.wait_until(lambda: first.status().rows[FIRST].state == 'LEADER'
                               and first.host.holds_vip(), LIMIT, 'the first node to lead')
            witness.kill_ahm()
            cluster.wait_until(lambda: first.status().rows[witness.name].state == 'LOST', LIMIT,
                               'the witness to be lost')
            time.sleep(lease + 1)       # without a trusted server the lease would be over
            assert first.status().leader == FIRST and first.host.holds_vip()
            os.unlink(answers)
            cluster.wait_until(lambda: not first.host.holds_vip(), LIMIT, 'the VIP to be dropped')
            if stops:
                cluster.wait_until(lambda: not first.database.is_running(), LIMIT,
                                   'the database to be stopped')
            else:
                time.sleep(2)       # longer than the step-down takes
                assert first.database.sql('SELECT pg_is_in_recovery()') == [(False,)]
                first.terminate_ahm()
