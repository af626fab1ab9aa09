"""Stories of standbys that have received more than they have replayed, on a real PostgreSQL.

A primary and its standby on 127.77.0.x, as in test_database_children; LAB_POSTGRES runs them on
another version.
"""
import contextlib
import glob
import os
import shutil
import signal

import pytest

from ahmlib.database import conffile, control, promotion, wal
from ahmlib.process import programs
from tests.integration.test_database_children import (
    ADOPTED,
    HAS_SERVER,
    LIMIT,
    adopt_orphans,
    owner,
    pair,
    reap_orphans,
    run_sql,
    templates,
    until,
    version_of,
)

assert adopt_orphans and pair and templates     # fixtures

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')

ROWS = 'INSERT INTO story SELECT generate_series(1, 100)'


# What the stories are told with

def rows(server):
    """How many rows of the story the server has; 0 without the table."""
    import psycopg2
    with contextlib.closing(psycopg2.connect(server.settings.conn_string)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT to_regclass('story') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute('SELECT count(*) FROM story')
        return cursor.fetchone()[0]


def clock(server):
    """What time it is there, as a recovery target."""
    import psycopg2
    with contextlib.closing(psycopg2.connect(server.settings.conn_string)) as connection:
        cursor = connection.cursor()
        cursor.execute('SELECT clock_timestamp()::text')
        return cursor.fetchone()[0]


def recovery_settings(standby, **values):
    """Lay recovery settings over those that the stopped standby has."""
    new = version_of(standby) >= 12
    path = standby.path('postgresql.auto.conf' if new else 'recovery.conf')
    if not new:
        values = {name: value for name, value in values.items()
                  if name.startswith('recovery') or name == 'restore_command'}
    conffile.replace(path, conffile.with_values(conffile.read(path), values))
    if owner():
        os.chown(path, owner().uid, owner().gid)


def restart(server, **values):
    """Start the server anew, with other recovery settings."""
    assert server.stop('fast').ok
    reap_orphans()
    if values:
        recovery_settings(server, **values)
    return server.start()


def settle(primary, standby):
    """Wait until the standby has replayed all that the primary wrote."""
    until(lambda: standby.look().replayed_lsn == primary.look().lsn)


def received_all(primary, standby):
    """Whether the standby has, on disk, all that the primary has written."""
    return standby.look().lsn >= primary.look().lsn


@contextlib.contextmanager
def reader(primary, standby):
    """A reader's snapshot on the standby that holds replay back at a vacuum of the primary."""
    import psycopg2
    with contextlib.closing(psycopg2.connect(standby.settings.conn_string)) as connection:
        cursor = connection.cursor()
        cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
        cursor.execute('SELECT count(*) FROM story')
        run_sql(primary, 'DELETE FROM story')
        run_sql(primary, 'VACUUM story')
        run_sql(primary, ROWS)
        yield


def story(primary, standby):
    """The table of the story, on both."""
    run_sql(primary, 'CREATE TABLE story (id int)')
    run_sql(primary, ROWS)
    settle(primary, standby)


def still_follows(primary, standby):
    """It is a standby, and goes on to be one: it replays what the primary writes now."""
    ADOPTED.add(standby.postmaster())
    run_sql(primary, 'CREATE TABLE later ()')
    settle(primary, standby)
    assert standby.look().in_recovery is True


def kill_primary(primary):
    """Its host is lost."""
    assert primary.stop('kill').ok


# What a check of a standby says of its replay

def test_a_standby_that_replays_says_that_nothing_is_in_its_way(pair):
    primary, standby = pair
    story(primary, standby)
    found = standby.look()
    assert (found.standstill, found.held, found.lsn_known) == ('', False, True), found
    assert found.lsn == found.replayed_lsn == primary.look().lsn


def test_a_recovery_target_of_a_restore_left_in_the_configuration_stops_replay(pair):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_target_time=clock(primary), recovery_target_action='pause')
    run_sql(primary, ROWS)
    found = until(lambda: (lambda f: received_all(primary, standby)
                           and f.standstill.startswith('replay is paused') and f)(
                               standby.look()))
    assert 'and recovery_target_time = 2' in found.standstill, found
    assert found.replayed_lsn < found.lsn and not found.held, found
    assert rows(standby) == 100, 'received, and not replayed'


@pytest.mark.parametrize('name, value', [
    ('recovery_target_name', 'later'), ('recovery_target_xid', '4000000'),
    ('recovery_target_lsn', 'F/0'), ('recovery_target_time', '2099-01-01 00:00:00+00')])
def test_a_recovery_target_that_is_still_to_come_is_named(pair, name, value):
    primary, standby = pair
    story(primary, standby)
    restart(standby, **{name: value})
    run_sql(primary, ROWS)
    settle(primary, standby)
    found = standby.look()
    assert '%s = %s is set' % (name, value) in found.standstill, found


def test_replay_that_was_paused_by_hand_is_a_standstill_until_it_is_resumed(pair):
    primary, standby = pair
    story(primary, standby)
    run_sql(standby, 'SELECT pg_wal_replay_pause()')
    run_sql(primary, ROWS)
    found = until(lambda: (lambda f: received_all(primary, standby) and f)(standby.look()))
    assert 'paused' in found.standstill and 'pg_wal_replay_resume' in found.standstill, found
    run_sql(standby, 'SELECT pg_wal_replay_resume()')
    settle(primary, standby)
    assert standby.look().standstill == ''


@pytest.mark.parametrize('name, value', [
    ('max_connections', 60), ('max_worker_processes', 20), ('max_wal_senders', 15),
    ('max_prepared_transactions', 7), ('max_locks_per_transaction', 128)])
def test_a_setting_raised_on_the_primary_alone_stops_replay(pair, name, value):
    """Replay paused for days, and the standby that was promoted then ended."""
    primary, standby = pair
    if version_of(standby) < 14:
        pytest.skip('before PostgreSQL 14 the server ends at once')
    story(primary, standby)
    assert primary.stop('fast').ok
    primary.configure('%s = %d' % (name, value))
    primary.start()
    run_sql(primary, ROWS)
    found = until(lambda: (lambda f: f.standstill and f)(standby.look()))
    assert '%s = ' % name in found.standstill and 'primary\'s %d' % value in found.standstill
    refused = promotion.promote(standby.settings, LIMIT)
    assert not refused.ok and refused.withdrawn and name in refused.reason, refused
    assert standby.look().in_recovery is True, 'and it was not told to promote, which ends it'
    assert not os.path.exists(standby.path('promote'))


def test_a_reader_on_the_standby_holds_replay_back(pair):
    primary, standby = pair
    standby.configure('max_standby_streaming_delay = -1')
    restart(standby)
    story(primary, standby)
    with reader(primary, standby):
        found = until(lambda: (lambda f: f.held and f)(standby.look()))
        assert found.standstill == '' and found.replayed_lsn < found.lsn, found
    settle(primary, standby)
    assert standby.look().held is False


def test_a_lock_on_the_standby_holds_replay_back(pair):
    import psycopg2
    primary, standby = pair
    standby.configure('max_standby_streaming_delay = -1')
    restart(standby)
    story(primary, standby)
    with contextlib.closing(psycopg2.connect(standby.settings.conn_string)) as connection:
        cursor = connection.cursor()
        cursor.execute('BEGIN')
        cursor.execute('SELECT count(*) FROM story')
        run_sql(primary, 'ALTER TABLE story ADD more int')
        assert until(lambda: standby.look().held)
    settle(primary, standby)


def test_who_may_not_see_wait_events_sees_that_a_reader_holds_replay_back(pair):
    primary, standby = pair
    standby.configure('max_standby_streaming_delay = -1')
    restart(standby)
    story(primary, standby)
    run_sql(primary, 'CREATE ROLE plain LOGIN')
    settle(primary, standby)
    standby.settings = standby.settings._replace(
        conn_string=standby.settings.conn_string.replace('agens', 'plain'))
    try:
        with reader(primary, _as_superuser(standby)):
            found = until(lambda: (lambda f: f.held and f)(standby.look()))
            assert found.streaming is None, 'hidden from it'
    finally:
        standby.settings = _as_superuser(standby).settings


class _as_superuser:
    """The same server, asked as the superuser."""

    def __init__(self, server):
        self.settings = server.settings._replace(
            conn_string=server.settings.conn_string.replace('plain', 'agens'))


def test_a_delay_holds_replay_back(pair):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_min_apply_delay='1h')
    until(lambda: standby.look().streaming)
    run_sql(primary, ROWS)
    found = until(lambda: (lambda f: received_all(primary, standby) and f)(standby.look()))
    assert found.held and found.standstill == '', found


def test_a_stopped_startup_process_is_a_standstill(pair):
    primary, standby = pair
    story(primary, standby)
    process = startup_process(standby)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        run_sql(primary, ROWS)
        found = until(lambda: (lambda f: f.standstill and f)(standby.look()))
        assert str(process.pid) in found.standstill and 'SIGCONT' in found.standstill, found
    finally:
        os.kill(process.pid, signal.SIGCONT)


def startup_process(server):
    return next(each for each in control.server_processes(server.settings.db_data_dir)
                if control.is_startup_process(each.pid))


# The end of the WAL of a standby that does not stream

def without_its_primary(primary, standby, **values):
    """The standby's server is started again after its primary is gone."""
    kill_primary(primary)
    restart(standby, **values)
    found = standby.look()
    assert not found.streaming and found.lsn_known, found
    return found


def test_wal_that_a_restarted_standby_had_confirmed_is_counted_though_it_is_not_replayed(pair):
    """Another standby, which lacked rows, was promoted beside it."""
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_min_apply_delay='1h')
    until(lambda: standby.look().streaming)
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    found = without_its_primary(primary, standby)
    assert found.lsn == written and found.replayed_lsn < written, found
    assert found.timeline == 1
    assert promotion.promote(standby.settings, LIMIT).switch_lsn == written
    assert rows(standby) == 200


def test_many_segments_and_a_switch_of_segment_are_read_through(pair):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_min_apply_delay='1h')
    until(lambda: standby.look().streaming)
    # Each of about 12 MB, with full pages of 8 kB and records that cross into the next segment.
    for _ in range(4):
        run_sql(primary, "INSERT INTO story SELECT generate_series(1, 150000)")
        run_sql(primary, 'SELECT pg_switch_wal()')
        run_sql(primary, 'CHECKPOINT')
    run_sql(primary, "INSERT INTO story SELECT generate_series(1, 30000)")
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    found = without_its_primary(primary, standby)
    assert found.lsn >= written and found.lsn - found.replayed_lsn > 40 << 20
    # The server itself is the judge of where the end is.
    recovered = promotion.promote(standby.settings, 60.0)
    assert recovered.ok and recovered.switch_lsn == found.lsn, (recovered, found)


def test_the_end_is_found_where_pg_wal_is_a_link(pair, templates):
    primary, standby = pair
    story(primary, standby)
    assert standby.stop('fast').ok
    elsewhere = os.path.join(templates[0], 'elsewhere')
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.copytree(standby.path('pg_wal'), elsewhere)
    if owner():
        programs.run(['chown', '-R', owner().name, elsewhere], 5)
    shutil.rmtree(standby.path('pg_wal'))
    os.symlink(elsewhere, standby.path('pg_wal'))
    recovery_settings(standby, recovery_min_apply_delay='1h')
    standby.start()
    until(lambda: standby.look().streaming)
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    assert without_its_primary(primary, standby).lsn == written


def last_segment(standby, lsn):
    size = wal.segment_size(standby.settings.db_data_dir)
    return os.path.join(standby.path('pg_wal'), wal.segment_name(1, lsn - 1, size)), size


@pytest.mark.parametrize('damage', ['half a page is missing', 'a byte is wrong', 'it is cut off'])
def test_a_torn_end_is_the_end(pair, damage):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_min_apply_delay='1h')
    until(lambda: standby.look().streaming)
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    before = primary.look().lsn
    run_sql(primary, 'INSERT INTO story SELECT generate_series(1, 2000)')
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    kill_primary(primary)
    assert standby.stop('fast').ok
    path, size = last_segment(standby, written)
    torn_at = written - 8192 - 4096
    assert torn_at > before
    with open(path, 'r+b') as file:
        if damage == 'it is cut off':
            file.truncate(torn_at % size)
        else:
            file.seek(torn_at % size)
            data = file.read(4096)
            file.seek(torn_at % size)
            file.write(bytes(4096) if damage == 'half a page is missing'
                       else bytes([data[0] ^ 1]) + data[1:])
    reap_orphans()
    standby.start()
    found = standby.look()
    assert before <= found.lsn <= torn_at and found.lsn_known, (found, before, torn_at)
    # The server itself is the judge of where the end is.
    recovered = promotion.promote(standby.settings, LIMIT)
    assert recovered.ok and recovered.switch_lsn == found.lsn, (recovered, found)


def test_wal_of_a_later_timeline_is_followed(pair):
    """What recovery_target_timeline = latest replays, and what it does not."""
    primary, standby = pair
    story(primary, standby)
    assert primary.stop('fast').ok
    assert promotion.promote(standby.settings, LIMIT).timeline == 2
    run_sql(standby, ROWS)
    written = standby.look().lsn
    # The old primary gets the files of the new one, as from an archive, and replays none of them.
    for name in glob.glob(standby.path('pg_wal') + '/00000002*'):
        shutil.copy2(name, primary.path('pg_wal'))
    if owner():
        programs.run(['chown', '-R', owner().name, primary.path('pg_wal')], 5)
    make_standby(primary, recovery_min_apply_delay='1h')
    assert standby.stop('fast').ok
    reap_orphans()
    primary.start()
    found = primary.look()
    assert found.lsn >= written > found.replayed_lsn and found.timeline == 2, found
    recovered = promotion.promote(primary.settings, LIMIT)
    assert recovered.timeline == 3 and recovered.switch_lsn == found.lsn, recovered
    assert rows(primary) == 200


def make_standby(server, **values):
    """Make a stopped server a standby of nobody."""
    if version_of(server) >= 12:
        path = server.path('standby.signal')
        open(path, 'w').close()
    else:
        path = server.path('recovery.conf')
        with open(path, 'w') as file:
            file.write("standby_mode = 'on'\n")
    if owner():
        os.chown(path, owner().uid, owner().gid)
    recovery_settings(server, recovery_target_timeline='latest', **values)


def test_what_cannot_be_read_is_not_known(pair):
    primary, standby = pair
    story(primary, standby)
    kill_primary(primary)
    restart(standby)
    hidden = standby.path('pg_wal') + '.hidden'
    os.rename(standby.path('pg_wal'), hidden)
    try:
        found = standby.look()
        assert found.lsn_known is False and found.lsn == found.replayed_lsn, found
    finally:
        os.rename(hidden, standby.path('pg_wal'))


# Promotion

def test_a_promotion_says_where_the_timeline_before_ended(pair):
    primary, standby = pair
    story(primary, standby)
    stopped = primary.look().lsn
    kill_primary(primary)
    done = promotion.promote(standby.settings, LIMIT)
    assert done.ok and done.switch_lsn == stopped, (done, stopped)
    again = promotion.promote(standby.settings, LIMIT)
    assert again.how == 'was primary' and again.switch_lsn == stopped


@pytest.mark.parametrize('target', ['recovery_target_time', 'recovery_target_lsn'])
def test_a_standby_at_a_recovery_target_is_not_promoted(pair, target):
    """Both planned switchovers and failovers lost every row behind the target."""
    primary, standby = pair
    story(primary, standby)
    value = clock(primary) if target.endswith('time') \
        else '%X/%X' % (0, primary.look().lsn + 1)
    restart(standby, **{target: value})
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    kill_primary(primary)
    refused = promotion.promote(standby.settings, LIMIT)
    assert not refused.ok and refused.withdrawn and target in refused.reason, refused
    assert standby.look().in_recovery is True and not os.path.exists(standby.path('promote'))


def test_a_standby_whose_recovery_target_is_still_to_come_is_not_promoted(pair):
    """From PostgreSQL 13 on the server ended: its target was never reached."""
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_target_name='later')
    settle(primary, standby)
    refused = promotion.promote(standby.settings, LIMIT)
    assert not refused.ok and refused.withdrawn, refused
    still_follows(primary, standby)


def test_a_promotion_that_a_reader_holds_back_is_given_up_and_withdrawn(pair):
    """It went on to its limit; the server was killed for it, readers and all."""
    primary, standby = pair
    standby.configure('max_standby_streaming_delay = -1')
    restart(standby)
    story(primary, standby)
    with reader(primary, standby):
        until(lambda: standby.look().held)
        result = promotion.promote(standby.settings, 12.0)
        assert not result.ok and result.withdrawn, result
        assert 'has stood at' in result.reason and result.seconds < 12.0, result
        assert control.server_processes(standby.settings.db_data_dir)
    still_follows(primary, standby)
    assert promotion.promote(standby.settings, LIMIT).ok, 'and can be promoted later'
    assert rows(standby) == 100


def test_a_promotion_that_a_reader_holds_back_for_a_while_goes_through(pair):
    primary, standby = pair
    standby.configure('max_standby_streaming_delay = 1s')
    restart(standby)
    story(primary, standby)
    with reader(primary, standby):
        result = promotion.promote(standby.settings, 40.0)
        assert result.ok and result.switch_lsn, result
    assert rows(standby) == 100


def test_a_promotion_while_replay_is_paused_by_hand_replays_all(pair):
    primary, standby = pair
    story(primary, standby)
    run_sql(standby, 'SELECT pg_wal_replay_pause()')
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    kill_primary(primary)
    result = promotion.promote(standby.settings, LIMIT)
    assert result.ok and result.switch_lsn == written, result
    assert rows(standby) == 200


def test_a_promotion_does_not_wait_for_a_delay(pair):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_min_apply_delay='1h')
    until(lambda: standby.look().streaming)
    run_sql(primary, ROWS)
    until(lambda: received_all(primary, standby))
    written = primary.look().lsn
    kill_primary(primary)
    result = promotion.promote(standby.settings, LIMIT)
    assert result.ok and result.switch_lsn == written, result
    assert rows(standby) == 200


def test_an_order_that_was_read_and_not_carried_out_is_withdrawn_by_a_restart(pair):
    """The file `promote` was gone, and the promotion might have completed at any time later."""
    primary, standby = pair
    story(primary, standby)
    settings = standby.settings._replace(promotion_command=['true'])
    before = standby.postmaster()
    result = promotion.promote(settings, 6.0)
    assert not result.ok and result.withdrawn, result
    assert standby.postmaster() != before
    still_follows(primary, standby)


def test_a_promotion_behind_a_restore_command_that_hangs_is_withdrawn(pair):
    """The archive is asked before pg_wal, and does not answer."""
    primary, standby = pair
    story(primary, standby)
    kill_primary(primary)
    hangs, asked = standby.path('hangs'), standby.path('asked')
    restart(standby, restore_command='test -e %s && touch %s && sleep 600; false' % (hangs, asked))
    open(hangs, 'w').close()
    until(lambda: os.path.exists(asked))
    result = promotion.promote(standby.settings, 8.0)
    assert not result.ok and result.withdrawn, result
    os.unlink(hangs)
    ADOPTED.add(standby.postmaster())
    restart(standby)
    assert standby.look().in_recovery is True
    assert promotion.promote(standby.settings, LIMIT).ok


def test_a_promotion_that_may_still_complete_is_not_called_withdrawn(pair):
    primary, standby = pair
    story(primary, standby)
    restart(standby, recovery_end_command='sleep 600')
    settle(primary, standby)
    result = promotion.promote(standby.settings, 6.0)
    assert not result.ok and result.withdrawn is False, result
    assert 'may still complete' in result.reason, result


# What a primary says of who confirms its commits

@pytest.mark.parametrize('text, needed, names', [
    ('', 0, ()), ('ANY 1 (h2, h3)', 1, ('h2', 'h3')), ('h2, "B b"', 1, ('h2', 'B b')),
    ('FIRST 2 (h2, old, h3)', 2, ('h2', 'old', 'h3')), ('2 (a, b)', 2, ('a', 'b')),
    ('ANY 1 (*)', 1, ('*',)), ('ANY 3 (a, b)', 2, ('a', 'b'))])
def test_the_claim_is_all_that_the_setting_names_connected_or_not(pair, text, needed, names):
    primary, standby = pair
    primary.configure("synchronous_standby_names = '%s'" % text)
    primary.signal(signal.SIGHUP)
    found = until(lambda: (lambda f: f.sync_names == names and f)(primary.look()))
    assert found.sync_needed == needed, found
    peers = until(lambda: primary.look().sync_peers)
    assert peers == (('old', '127.0.0.1'),), 'whence the standby comes'


def test_a_standby_under_a_name_that_is_no_nodes_is_seen(pair):
    """`ANY 1 (*)` with a standby called walreceiver was read as: nobody confirms."""
    primary, standby = pair
    assert standby.stop('fast').ok
    path = standby.path('postgresql.auto.conf' if version_of(standby) >= 12 else 'recovery.conf')
    text = conffile.read(path).replace('application_name=old', '')
    conffile.replace(path, text)
    if owner():
        os.chown(path, owner().uid, owner().gid)
    reap_orphans()
    standby.start()
    primary.configure("synchronous_standby_names = 'ANY 1 (*)'")
    primary.signal(signal.SIGHUP)
    found = until(lambda: (lambda f: f.sync_names and f.sync_peers and f)(primary.look()))
    assert (found.sync_needed, found.sync_names) == (1, ('*',))
    assert [name for name, _ in found.sync_peers] == ['walreceiver']


def test_peers_that_are_hidden_from_our_role_are_not_known(pair):
    primary, standby = pair
    run_sql(primary, 'CREATE ROLE plain LOGIN')
    until(lambda: primary.look().sync_peers)
    found = primary.ask(db_user='plain')
    assert found.sync_peers is None and found.sync_names == (), found
