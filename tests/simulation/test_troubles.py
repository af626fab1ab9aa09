"""What a node says of itself while something is wrong: once, everywhere, and that it is over.

The troubles of real servers and daemons stand in tests/integration; here is when they are told.
"""

import pytest

from ahmlib.core import events
from ahmlib.core.beacon import Trouble, Verdict
from ahmlib.core.clock import IDLE_SECONDS
from ahmlib.core.effects import Report
from ahmlib.core.node import build_parts
from ahmlib.core.policy.foreign import FOREIGN_SECONDS
from ahmlib.core.policy.trouble_kinds import KINDS
from ahmlib.core.policy.troubles import HOUR_SECONDS, TEXT_MAX, around, cut
from ahmlib.core.states import Role
from ahmlib.core.status import status
from ahmlib.simulation.faults import strike
from ahmlib.simulation.host import FAILS, make_settings
from ahmlib.utilities.status_check import CRITICAL, WARNING, check
from ahmlib.utilities.status_text import render

from .clusters import DEFAULTS
from .plans import formed
from .test_operators import ask

THREE = make_settings(3)
PATIENT = make_settings(3, **DEFAULTS)


def trace(world):
    """What happened, for a failure's message."""
    return '\n'.join(world.trace[-80:])


def told(world, text):
    """How often people were told this."""
    return sum(text in line for line in world.trace)


def lasts(world, own, kind):
    """The text of this trouble in the row of that node, as each of the others has it; '' if not."""
    texts = set()
    for host in world.hosts:
        node = host.node
        row = node.own_row() if node.own == own else node.consensus.members.row(own)
        texts.add(next((item.text for item in row.troubles if item.kind == kind), ''))
    return texts.pop() if len(texts) == 1 else ''


def says(world, asked):
    """(exit code, line) of --check, asked at that node."""
    return check(status(world.hosts[asked].node.parts))


def test_the_first_failed_check_of_a_primary_is_told_everywhere_long_before_the_failover():
    """At the default timings status and --check said OK for 140 of the 145 s of an outage."""
    world = formed(PATIENT, 1)
    strike(world, 'kill-database', 0)
    assert world.run_until(lambda: lasts(world, 0, 'checks'), 35.0), trace(world)
    text = lasts(world, 0, 'checks')
    assert text.startswith('1 of 5 checks of the database failed: ')
    assert text.endswith('; failover, if no other node reaches it either, in 90 to 120 s')
    for asked in range(3):
        code, line = says(world, asked)
        assert code == WARNING and text in line, line
        assert text in render(status(world.hosts[asked].node.parts))
    assert world.run_until(lambda: '3 of 5' in lasts(world, 0, 'checks'), 70.0), trace(world)
    assert told(world, 'checks of the database failed') == 1, trace(world)


def test_that_checks_pass_again_is_told_once_and_nothing_is_left():
    world = formed(PATIENT, 1)
    strike(world, 'hang-database', 0)
    assert world.run_until(lambda: lasts(world, 0, 'checks'), 45.0), trace(world)
    strike(world, 'thaw-database', 0)
    assert world.run_until(lambda: told(world, 'passes its checks again') == 1, 45.0), trace(world)
    assert world.run_until(lambda: says(world, 1)[0] == 0, 10.0), says(world, 1)
    assert world.hosts[0].node.own_row().troubles == ()


def test_a_failed_standby_says_once_how_to_bring_it_back():
    world = formed(THREE, 1)
    strike(world, 'kill-database', 1)
    assert world.run_until(lambda: lasts(world, 1, 'out'), 30.0), trace(world)
    assert 'reported out until attached again' in says(world, 2)[1]
    assert told(world, 'reported out until it is attached again') == 1
    assert not lasts(world, 1, 'checks')        # that it is out says it


@pytest.mark.parametrize('own', [0, 1])
def test_a_full_disk_is_told_everywhere_long_before_it_costs_a_vote(own):
    """A standby with one had no failover, rightly, and had not said so before."""
    world = formed(THREE, 1)
    strike(world, 'fill-disk', own)
    assert world.run_until(lambda: lasts(world, own, 'state'), 15.0), trace(world)
    text = 'the state file cannot be written: No space left on device; this node can neither vote'
    assert all(text in says(world, asked)[1] for asked in range(3))
    world.run(60.0)
    assert told(world, text) == 1 and world.serves() == 0, trace(world)
    strike(world, 'free-disk', own)
    over = 'the state file can be written again'
    assert world.run_until(lambda: told(world, over) == 1, 15.0), trace(world)
    assert world.hosts[own].node.own_row().troubles == ()


@pytest.mark.parametrize('own', [0, 1])
def test_a_disk_that_does_not_answer_is_told_everywhere_long_before_it_costs_a_vote(own):
    """It was in the log of its own host only, and nothing was amiss in any status."""
    world = formed(THREE, 1)
    world.run(1.0)
    strike(world, 'stall-disk', own)
    assert world.run_until(lambda: lasts(world, own, 'state'), 30.0), trace(world)
    text = 'AHM-NODE-%d: the state file cannot be written: the disk of data_dir has not answered ' \
        'for 5 s; this node can neither vote nor follow another leader until it can be' % (own + 1)
    for asked in range(3):
        assert text in says(world, asked)[1]
    assert world.leader() == 0
    strike(world, 'unstall-disk', own)
    assert world.run_until(lambda: told(world, 'the state file can be written again') == 1, 30.0)


def test_a_node_that_has_something_to_save_and_cannot_is_silent_and_says_that():
    world = formed(THREE, 1)
    strike(world, 'fill-disk', 1)
    assert world.run_until(lambda: lasts(world, 1, 'state'), 15.0), trace(world)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: told(world, 'No space left on device; silent until it can be'),
                           10.0), trace(world)
    assert [item.critical for item in world.hosts[1].node.own_row().troubles
            if item.kind == 'state'] == [True]


def test_trouble_with_the_pid_file_and_the_socket_is_in_the_row():
    world = formed(THREE, 1)
    reason = 'the PID file /run/ahm.pid is gone and cannot be made anew: Read-only file system'
    world.feed(world.hosts[2], events.OwnFilesLooked(reason))
    assert world.run_until(lambda: lasts(world, 2, 'own files') == reason, 5.0), trace(world)
    assert says(world, 0)[0] == WARNING and reason in says(world, 0)[1]
    world.feed(world.hosts[2], events.OwnFilesLooked(''))
    assert world.run_until(lambda: says(world, 0)[0] == 0, 5.0), says(world, 0)
    assert told(world, 'are there again') == 1


SHARED = (('virtual_IP', '10.0.0.100'), ('db_port', '5432'))
OTHER_VIP = (('virtual_IP', '10.0.0.101'), ('db_port', '5432'))


def odd_one(place, shared):
    """Three nodes, of which one shares other settings."""
    return [one._replace(shared=shared if one.own == place else SHARED)
            for one in make_settings(3)]


def test_a_node_with_another_vip_says_so_and_is_not_promoted_by_hand():
    """The next takeover would have moved the service to an address that nobody knows."""
    world = formed(odd_one(1, OTHER_VIP), 1)
    kind = 'unlike the leader'
    assert world.run_until(lambda: lasts(world, 1, kind), 5.0), trace(world)
    text = lasts(world, 1, kind)
    assert text == 'virtual_IP is 10.0.0.101 here and 10.0.0.100 at AHM-NODE-1, which leads: it ' \
        'has to be the same everywhere'
    assert all(text in says(world, asked)[1] for asked in range(3))
    assert not lasts(world, 2, kind)
    strike(world, 'promote', 1)
    world.run(10.0)
    assert world.serves() == 0 and told(world, '%s: %s' % (kind, text)) == 1, trace(world)
    assert world.hosts[1].node.parts.promotion.why_not() \
        == 'AHM-NODE-2 would serve elsewhere: ' + text
    world.feed(world.hosts[1], events.SettingsChanged(
        world.hosts[1].node.settings._replace(shared=SHARED)))
    over = 'the parameters that have to be the same everywhere are those of AHM-NODE-1'
    assert world.run_until(lambda: told(world, over) == 1, 5.0), trace(world)


def test_where_the_leader_is_the_odd_one_all_others_say_so():
    world = formed(odd_one(0, OTHER_VIP), 1)
    for own in (1, 2):
        assert world.run_until(lambda own=own: 'at AHM-NODE-1' in lasts(
            world, own, 'unlike the leader'), 5.0), trace(world)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() in (1, 2), 20.0), trace(world)
    world.run(5.0)
    assert not any(host.node.own_row().troubles for host in world.hosts[1:]), trace(world)


def test_a_node_of_another_cluster_is_told_everywhere_and_ends_once_it_is_silent():
    world = formed(THREE, 1)
    other = THREE[1].host(2)
    for _ in range(3):
        world.feed(world.hosts[1], events.ForeignHeard(
            other, 'AHM-NODE-9', THREE[1].addresses[:2] + ('192.0.2.9:9500',)))
        world.run(10.0)
    text = 'the node at %s (AHM-NODE-9) belongs to another cluster: only there: 192.0.2.9:9500' % (
        other)
    assert lasts(world, 1, 'foreign').startswith(text), trace(world)
    for asked in range(3):
        code, line = says(world, asked)
        assert code == WARNING and text in line, line
    world.run(FOREIGN_SECONDS)
    assert not lasts(world, 1, 'foreign') and told(world, text) == 1
    assert told(world, 'no node of another cluster is heard any more') == 1


def of_one_name(seed):
    """Another daemon takes the name of one that runs, and ends; then it is called as before."""
    world = formed(THREE, seed)
    strike(world, 'crash', 2)
    host = world.hosts[2]
    host.settings = host.settings._replace(name='AHM-NODE-2')
    strike(world, 'start', 2)
    text = 'the nodes at 10.0.0.2:9500 and 10.0.0.3:9500 have one name, AHM-NODE-2'
    assert world.run_until(lambda: text in says(world, 0)[1] and text in says(world, 1)[1],
                           5.0), trace(world)
    world.run(5.0)
    assert host.node is None, trace(world)
    host.settings = host.settings._replace(name='AHM-NODE-3')
    strike(world, 'start', 2)
    assert world.run_until(lambda: says(world, 0)[0] == 0 == says(world, 1)[0], 10.0), trace(world)
    assert told(world, 'every node has a name of its own') == 2, trace(world)   # both had heard


def test_two_nodes_of_one_name_are_told_by_all_others_too():
    """The one that started later ended; its own log said why, or that of whom it had heard first.

    It ended at the first row of the other, when the third did not count its own yet.
    """
    for seed in (1, 2, 3, 6):
        of_one_name(seed)


@pytest.mark.parametrize('fault, kind, over', [
    ('pause-replay', 'replay', 'the standby replays again'),
    ('refuse-checks', 'quarantined', 'the database is trusted again')])
def test_what_keeps_a_standby_from_being_promoted_is_told_until_it_ends(fault, kind, over):
    world = formed(THREE, 1)
    strike(world, fault, 2)
    assert world.run_until(lambda: lasts(world, 2, kind), 10.0), trace(world)
    text = lasts(world, 2, kind)
    assert all(text in says(world, asked)[1] for asked in range(3))
    world.run(20.0)
    assert told(world, text) == 1, trace(world)
    for end in ('commands-work', 'resume-replay'):
        strike(world, end, 2)
    assert world.run_until(lambda: told(world, over) == 1, 20.0), trace(world)
    assert world.hosts[2].node.own_row().troubles == ()


def test_commits_that_wait_for_a_standby_that_is_not_there_are_critical():
    """Status was green while every write hung."""
    world = formed(THREE, 1, synchronous=1)
    for own in (1, 2):
        strike(world, 'kill-database', own)
    assert world.run_until(lambda: lasts(world, 0, 'commits'), 10.0), trace(world)
    code, line = says(world, 1)
    assert code == CRITICAL and 'commits wait: synchronous_standby_names asks for 1 of' in line
    assert 'AHM-NODE-2' in line and told(world, 'commits wait:') == 1
    for own in (1, 2):
        strike(world, 'start-database', own)
    assert world.run_until(lambda: told(world, 'commits wait no more') == 1, 20.0), trace(world)


def test_the_vip_is_said_to_be_raised_announced_and_dropped():
    """None of this was ever logged where it worked."""
    world = formed(THREE, 1)
    strike(world, 'promote', 1)
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)
    world.run(5.0)
    for text in ('AHM-NODE-1 vip: dropped the VIP', 'AHM-NODE-2 vip: the VIP 10.0.0.100 is on this '
                 'host now', 'AHM-NODE-2 vip: announced the VIP'):
        assert told(world, text) == 1, trace(world)


def test_a_node_that_cannot_raise_the_vip_says_so_long_before_and_is_not_promoted_by_hand():
    """--dry-run said yes, the switchover "Command Success", and clients were out."""
    world = formed(THREE, 1)
    strike(world, 'vip-fails', 1)
    strike(world, 'reload', 1)
    assert world.run_until(lambda: lasts(world, 1, 'takeover'), 10.0), trace(world)
    assert all('AHM-NODE-2: a takeover here would fail: vip' in says(world, asked)[1]
               for asked in range(3))
    strike(world, 'promote', 1)
    assert world.hosts[1].answered == {
        'ok': False, 'reason': 'a takeover of AHM-NODE-2 would fail: vip: it fails'}
    world.run(5.0)
    assert world.serves() == 0
    strike(world, 'commands-work', 1)
    strike(world, 'reload', 1)
    assert world.run_until(lambda: told(world, 'a takeover here would get through now') == 1, 10.0)
    assert not lasts(world, 1, 'takeover')


def test_a_node_that_could_not_raise_the_vip_takes_over_only_where_nobody_else_can():
    """It was the successor by its priority, and clients were out."""
    world = formed(THREE, 1)
    strike(world, 'vip-fails', 1)
    strike(world, 'reload', 1)
    assert world.run_until(lambda: told(world, 'the successor is AHM-NODE-3') == 1, 10.0), \
        trace(world)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.serves() == 2, 30.0), trace(world)


def test_a_node_that_could_not_raise_the_vip_and_has_more_data_takes_over_all_the_same():
    world = formed(THREE, 1)
    strike(world, 'vip-fails', 1)
    strike(world, 'reload', 1)
    assert world.run_until(lambda: told(world, 'the successor is AHM-NODE-3') == 1, 10.0), \
        trace(world)
    strike(world, 'stop-replication', 2)
    world.run(3.0)
    strike(world, 'power-off', 0)
    assert world.run_until(lambda: world.leader() == 1, 30.0), trace(world)
    assert world.hosts[1].database.writable and not world.hosts[2].database.writable


def test_a_leader_that_may_not_checkpoint_says_so_long_before_a_switchover_is_asked_for():
    """--dry-run said yes, the switchover was undone."""
    world = formed(THREE, 1)
    world.hosts[0].behaves['checkpoint'] = FAILS
    strike(world, 'reload', 0)
    assert world.run_until(lambda: lasts(world, 0, 'handover'), 10.0), trace(world)
    assert all('AHM-NODE-1: a switchover from here would be undone: it fails' in says(
        world, asked)[1] for asked in range(3))
    for words in ({'dry_run': True}, {}):
        assert ask(world, 1, 'promote', **words) == {
            'ok': False, 'reason': 'AHM-NODE-1 cannot hand over: it fails'}
    strike(world, 'commands-work', 0)
    assert world.run_until(lambda: told(world, 'a switchover would get through now') == 1, 70.0), \
        trace(world)
    world.run(1.0)
    assert ask(world, 1, 'promote', dry_run=True) == {'ok': True}


def test_a_server_that_lets_no_standby_in_is_told_by_each_that_it_would_not_let_in():
    """pg_hba.conf of the third let in nobody: the switchover went well, and nobody streamed."""
    world = formed(THREE, 1)
    assert not lasts(world, 0, 'handover') and not lasts(world, 1, 'handover')
    world.hosts[2].database.is_closed = True
    for own in (0, 1):
        strike(world, 'reload', own)
    text = 'the database of AHM-NODE-3 would not let this one in as its standby: no pg_hba.conf'
    assert world.run_until(
        lambda: all(lasts(world, own, 'handover').startswith(text) for own in (0, 1)), 10.0), \
        trace(world)
    refused = ask(world, 2, 'promote', dry_run=True)
    assert refused['reason'].startswith('the database of AHM-NODE-1 would not be let in here')
    assert ask(world, 1, 'promote', dry_run=True) == {'ok': True}
    world.hosts[2].database.is_closed = False
    assert world.run_until(lambda: told(world, 'a switchover would get through now') == 2, 70.0), \
        trace(world)
    world.run(1.0)
    assert ask(world, 2, 'promote', dry_run=True) == {'ok': True}


def test_a_refusal_outlasts_that_its_server_is_off_and_one_that_was_off_is_asked_when_it_is_back():
    """It was "mended" by being silent, and nobody asked again for a quarter of an hour."""
    world = formed(THREE, 1)
    world.hosts[2].database.is_closed = True
    strike(world, 'reload', 0)
    assert world.run_until(lambda: lasts(world, 0, 'handover'), 10.0), trace(world)
    strike(world, 'power-off', 2)
    world.run(90.0)
    assert not told(world, 'a switchover would get through now')
    world.hosts[2].database.is_closed = False
    strike(world, 'power-on', 2)
    strike(world, 'start-database', 2)
    strike(world, 'attach', 2)
    assert world.run_until(lambda: told(world, 'a switchover would get through now') == 1, 130.0), \
        trace(world)
    strike(world, 'kill-database', 1)
    world.run(90.0)
    world.hosts[1].database.is_closed = True
    strike(world, 'start-database', 1)
    strike(world, 'attach', 1)
    assert world.run_until(lambda: 'AHM-NODE-2' in lasts(world, 0, 'handover'), 130.0), trace(world)


def test_neither_a_switchover_nor_a_failover_says_that_a_database_is_down_that_nobody_waits_for():
    """Each planned switchover paged somebody."""
    world = formed(THREE, 1)
    strike(world, 'promote', 1)
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)
    world.run(10.0)
    strike(world, 'kill-database', 1)
    assert world.run_until(lambda: world.serves() in (0, 2), 60.0), trace(world)
    assert not told(world, 'the database is down'), trace(world)


def test_a_new_leader_looks_at_once_whether_it_could_hand_over():
    """What nobody needed while another led is needed next time."""
    world = formed(THREE, 1)
    world.hosts[1].behaves['checkpoint'] = FAILS
    world.run(30.0)
    assert not lasts(world, 1, 'handover')
    strike(world, 'promote', 1)
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)
    assert world.run_until(lambda: lasts(world, 1, 'handover'), 10.0), trace(world)


def test_a_database_that_ahm_could_not_start_again_is_told_and_not_handed_over():
    """Its postgresql.conf is in /etc, and db_config_dir was not set."""
    world = formed(THREE, 1)
    for own in (0, 1):
        world.hosts[own].database.no_start = 'AHM would start this database with /data'
        strike(world, 'reload', own)
    assert world.run_until(lambda: lasts(world, 0, 'handover') and lasts(world, 1, 'handover'),
                           10.0), trace(world)
    assert lasts(world, 1, 'handover') == 'AHM would start this database with /data'
    assert ask(world, 2, 'promote', dry_run=True)['reason'] == \
        'AHM-NODE-1 cannot hand over: AHM would start this database with /data'
    for own in (0, 1):
        world.hosts[own].database.no_start = ''
    assert world.run_until(lambda: told(world, 'a switchover would get through now') == 2, 70.0)


def test_an_archiver_that_does_not_keep_up_is_told_by_the_leader():
    """It fills the disk of the primary, and of nobody else."""
    world = formed(THREE, 1)
    for own in (0, 1):
        world.hosts[own].database.unarchived = 'archive_command fails'
        strike(world, 'reload', own)
    assert world.run_until(lambda: lasts(world, 0, 'archiver'), 10.0), trace(world)
    assert told(world, 'archive_command fails') == 1 and not lasts(world, 1, 'archiver')
    world.hosts[0].database.unarchived = ''
    assert world.run_until(lambda: told(world, 'the archiver keeps up again') == 1, 70.0)


def test_a_promotion_whose_vip_is_not_up_is_no_success():
    """The problem was set, and cleared two lines later."""
    world = formed(THREE, 1)
    strike(world, 'vip-fails', 1)
    strike(world, 'promote', 1)
    task = world.hosts[1].node.parts.promotion.task
    assert world.run_until(lambda: not task.is_running, 60.0), trace(world)
    assert task.reason.startswith('AHM-NODE-2 leads over the primary, and clients are out: the VIP '
                                  'is not on this host, whose node leads: '), task.reason
    assert 'the VIP is not on this host' in lasts(world, 1, 'vip')
    strike(world, 'commands-work', 1)
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)
    assert world.run_until(lambda: not lasts(world, 1, 'vip'), 10.0)


@pytest.mark.parametrize('fault, kind, over', [
    ('pause-replay', 'replay', 'the standby replays again'),
    ('stop-replication', 'not streaming', 'the standby streams from the primary again'),
    ('refuse-checks', 'quarantined', 'the database is trusted again')])
def test_a_trouble_that_ends_with_its_database_is_not_said_to_be_mended(fault, kind, over):
    """It was "replaying again", "streaming again" and "trusted again", and was down."""
    world = formed(THREE, 1)
    strike(world, fault, 2)
    assert world.run_until(lambda: lasts(world, 2, kind), 30.0), trace(world)
    strike(world, 'kill-database', 2)
    assert world.run_until(lambda: lasts(world, 2, 'out'), 30.0), trace(world)
    world.run(5.0)
    assert not told(world, over), trace(world)


def test_commits_that_waited_for_a_standby_wait_on_when_their_primary_has_gone():
    """They were said to wait no more, as their leader stepped down."""
    world = formed(THREE, 1, synchronous=1)
    for own in (1, 2):
        strike(world, 'stop-replication', own)
    assert world.run_until(lambda: lasts(world, 0, 'commits'), 10.0), trace(world)
    strike(world, 'cut', 0)
    assert world.run_until(lambda: not world.hosts[0].node.leads, 30.0), trace(world)
    world.run(5.0)
    assert not told(world, 'commits wait no more'), trace(world)


def test_who_mends_what_a_takeover_needs_neither_waits_nor_reloads():
    """Another rehearsal was a quarter of an hour away, and the node was refused until then."""
    world = formed(THREE, 1)
    strike(world, 'vip-fails', 1)
    strike(world, 'reload', 1)
    assert world.run_until(lambda: lasts(world, 1, 'takeover'), 10.0), trace(world)
    strike(world, 'commands-work', 1)
    assert world.run_until(lambda: not lasts(world, 1, 'takeover'), 5.0), trace(world)
    strike(world, 'promote', 1)
    assert world.run_until(lambda: world.serves() == 1, 30.0), trace(world)


def test_who_steps_down_without_the_vip_does_not_say_that_it_dropped_it():
    world = formed(THREE, 1)
    strike(world, 'promote-by-hand', 1)
    assert world.run_until(lambda: lasts(world, 1, 'out'), 30.0), trace(world)
    assert told(world, 'AHM-NODE-2 vip: dropped the VIP') == 0, trace(world)


class Lasts:
    """A node at which a replay stands still, as far as troubles look at it."""

    def __init__(self):
        self.reports = []
        _, self.parts = build_parts(THREE[0], None, 1, 0.0, 0.0)
        self.troubles = self.parts.troubles
        self.replays('a recovery target was reached')

    @property
    def clock(self):
        return self.parts.facts.clock

    def replays(self, standstill):
        """What its newest check found."""
        self.parts.database.apply(events.DatabaseChecked(
            0, Verdict.REACHABLE, in_recovery=True, standstill=standstill), self.clock.now)

    def decide(self, now=0.0):
        """Look for troubles at this instant."""
        self.clock.advance(now)
        self.troubles.decide(self.parts, KINDS)
        self.reports += [(now,) + tuple(effect)[:3] for effect in self.parts.out.take().asked
                         if isinstance(effect, Report)]


def test_what_lasts_is_told_again_every_hour_with_how_long_by_now():
    node, now = Lasts(), 0.0
    while now < 2.5 * HOUR_SECONDS:
        node.decide(now)
        now = min(node.clock.wake_at, now + 600.0)
    assert [at for at, _, _, _ in node.reports] == [0.0, HOUR_SECONDS, 2 * HOUR_SECONDS]
    assert node.reports[-1][3].endswith('(for 120 min by now)')
    assert node.troubles.published()[0][:2] == ('replay', False)
    node.replays('')
    node.decide(now)
    assert node.reports[-1][1:] == ('NOTICE', 'replay', 'the standby replays again')
    assert node.troubles.published() == () and node.clock.wake_at == now + IDLE_SECONDS


def test_a_long_text_is_cut_between_words():
    text = cut('word ' * 100)
    assert len(text) <= TEXT_MAX and text.endswith('word ...')
    assert cut('short') == 'short' and cut('x' * TEXT_MAX) == 'x' * TEXT_MAX


def test_where_the_reason_is_long_what_comes_of_it_is_told_all_the_same():
    """libpq's own words filled the row, and "no other node may take over" was cut off."""
    text = around('the database is down (', 'connection refused ' * 30, '): start it')
    assert len(text) <= TEXT_MAX and text.endswith(' ...): start it')
    assert around('it is down (', 'refused', '): start it') == 'it is down (refused): start it'
    assert len(around('a' * 150, 'b' * 200, 'c' * 80)) <= TEXT_MAX


def test_the_critical_goes_first():
    node = Lasts()
    node.parts.consensus.ballot.take(Role.LEADS)
    node.parts.database.commits_wait = 'commits wait'
    node.decide()
    assert node.troubles.published() == (Trouble('commits', True, 'commits wait', 0.0), Trouble(
        'replay', False, node.troubles.lasting['replay'].text, 0.0))


#: For the test of what is reached.
STORIES = [story for name, story in sorted(globals().items())
           if name.startswith('test_') and not story.__code__.co_argcount]
