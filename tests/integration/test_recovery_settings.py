"""What AHM's recovery settings are laid over, on a real PostgreSQL: three servers on 127.77.0.x.

Stories of settings that somebody else left: in an included file, on the command line, by a restore;
and of the slots that standbys use.  Skipped, and said so, where no PostgreSQL is installed.
"""
import os
import signal

import pytest

from ahmlib.database import (
    conffile,
    conninfo,
    follow,
    follow_stream,
    probe,
    recovery,
    settings_in_force,
)
from ahmlib.process import programs
from tests.integration.test_attach import (
    NAMES,
    diverge,
    impatient,
    needs_rewind,
    reap,
    servers,
    templates,
    use_up_the_slots,
)
from tests.integration.test_database_children import (
    HAS_SERVER,
    LIMIT,
    adopt_orphans,
    owner,
    run_sql,
    until,
    version_of,
)

PASSWORD = "it's s3cret"
MANY = 'CREATE TABLE many AS SELECT generate_series(1, 1000) AS id'

pytestmark = pytest.mark.skipif(not HAS_SERVER, reason='NOT TESTED: no PostgreSQL server is '
                                'installed (pg_ctl not found); install one')

assert adopt_orphans and impatient and servers and templates            # fixtures


def has_signal(member):
    return version_of(member) >= recovery.FIRST_VERSION_WITH_SIGNAL


def needs_signal(member):
    if not has_signal(member):
        pytest.skip('before PostgreSQL 12 recovery settings are in recovery.conf only')


def own_file(member):
    return recovery.own_file(member.settings, version_of(member))


def put(path, text):
    """Write a file that belongs to the database's owner."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file:
        file.write(text)
    if owner():
        for each in (path, os.path.dirname(path)):
            os.chown(each, owner().uid, owner().gid)


def on_file(member, **values):
    """Set entries of the file that AHM writes; None takes one out."""
    path = own_file(member)
    put(path, conffile.with_values(conffile.read(path), values))


def value_on_file(member, name):
    return conffile.value_of(conffile.read(own_file(member)), name)


def ask(member, sql):
    import psycopg2
    connection = psycopg2.connect(member.settings.conn_string)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchone()[0]
    finally:
        connection.close()


def point(member, primary, limit=LIMIT, **changes):
    """follow_primary, as the daemon calls it."""
    reap()
    result = follow.follow_primary(member.settings._replace(**changes), primary.host, primary.port,
                                   limit)
    reap()
    return result


def restart(member):
    member.stop()
    member.start()


def fail_over(one, two, *standbys):
    """`two` becomes the primary once all have what `one` wrote; `one` is down."""
    for member in (two,) + standbys:
        member.settle(one)
    one.stop()
    two.promote()


def only_by_password(*members):
    """Replication of the role rep needs a password from now on, everywhere."""
    run_sql(members[0], 'CREATE ROLE rep LOGIN REPLICATION PASSWORD $p$%s$p$' % PASSWORD)
    for member in members:
        with open(member.path('pg_hba.conf'), 'w') as file:
            file.write('host replication rep 127.0.0.0/8 md5\nhost replication all 127.0.0.0/8 '
                       'reject\nhost all agens 127.0.0.0/8 trust\n')
        if member.is_running():
            member.signal(signal.SIGHUP)


def guarded_words(primary):
    return conninfo.build({'host': primary.host, 'port': primary.port, 'user': 'rep',
                           'password': PASSWORD, 'application_name': 'three'})


def slot_names(member):
    return set(filter(None, ask(member, "SELECT coalesce(string_agg(slot_name, ','), '') "
                                        'FROM pg_replication_slots').split(',')))


def is_fed(member, primary):
    """The primary streams to it; a walreceiver that is about to be refused says so too."""
    return (member.settings.node_name, 'streaming', 'async') in primary.look().sync_standbys


# primary_conninfo, wherever it is set

def place_included(member, text):
    put(member.path('more/base.conf'), "include_if_exists 'not_there.conf'\ninclude 'own.conf'\n")
    put(member.path('more/own.conf'), 'primary_conninfo = %s\n' % conffile.quote(text))
    member.configure("include 'more/base.conf'")


def place_in_directory(member, text):
    put(member.path('conf.d/10-old.conf'), "primary_conninfo = 'host=127.77.9.9'\n")
    put(member.path('conf.d/20-new.conf'), 'primary_conninfo=%s # why\n' % conffile.quote(text))
    put(member.path('conf.d/30-no.conf.bak'), "primary_conninfo = 'host=127.77.9.9'\n")
    put(member.path('conf.d/.40-no.conf'), "primary_conninfo = 'host=127.77.9.9'\n")
    member.configure("INCLUDE_DIR = 'conf.d'")


def place_beside_alter_system(member, text):
    member.configure('primary_conninfo%s' % conffile.quote(text))
    on_file(member, work_mem='5MB')


def place_behind_a_link(member, text):
    put(member.path('kept/auto.conf'), 'primary_conninfo = %s\n\n# odd\nwork_mem=5MB'
        % conffile.quote(text))
    os.unlink(member.path('postgresql.auto.conf'))
    os.symlink('kept/auto.conf', member.path('postgresql.auto.conf'))


PLACES = [place_included, place_in_directory, place_beside_alter_system, place_behind_a_link]


@pytest.mark.parametrize('place', PLACES)
def test_a_standby_keeps_its_user_and_password_wherever_they_are_set(servers, place):
    """It was pointed to the new primary without both, and never streamed again."""
    one, two, three = servers
    needs_signal(three)
    only_by_password(one, two, three)
    two.settle(one)
    on_file(two, primary_conninfo=guarded_words(one).replace('three', 'two'))
    restart(two)
    on_file(three, primary_conninfo=None)
    place(three, guarded_words(one))
    three.start()
    until(lambda: three.look().streaming)
    fail_over(one, two, three)
    result = point(three, two)
    assert result.ok and 'streams from' in result.reason, result
    words = conninfo.parse(value_on_file(three, 'primary_conninfo'))
    assert (words['user'], words['password'], words['host']) == ('rep', PASSWORD, two.host)


@pytest.mark.parametrize('place', PLACES)
def test_a_stopped_standby_keeps_them_too(servers, place):
    one, _, three = servers
    needs_signal(three)
    only_by_password(one, three)
    on_file(three, primary_conninfo=None)
    place(three, guarded_words(one).replace(one.host, '127.77.9.9'))
    result = three.attach(one)
    assert result.ok and result.how == 'started', result


def test_a_passfile_in_an_included_file_is_kept(servers):
    one, two, three = servers
    needs_signal(three)
    only_by_password(one, two, three)
    two.settle(one)
    on_file(two, primary_conninfo=guarded_words(one).replace('three', 'two'))
    restart(two)
    put(three.path('own/pass'), '*:*:*:rep:%s\n' % PASSWORD)
    os.chmod(three.path('own/pass'), 0o600)
    on_file(three, primary_conninfo=None)
    place_included(three, conninfo.build({'host': one.host, 'port': one.port, 'user': 'rep',
                                          'passfile': three.path('own/pass')}))
    three.start()
    until(lambda: three.look().streaming)
    fail_over(one, two, three)
    assert point(three, two).ok
    assert conninfo.parse(value_on_file(three, 'primary_conninfo'))['passfile'] \
        == three.path('own/pass')


def test_a_primary_conninfo_of_the_command_line_is_named_as_what_is_in_the_way(servers):
    one, two, three = servers
    needs_signal(three)
    settings = three.settings
    three.run('pg_ctl', 'start', '-w', '-s', '-D', settings.db_data_dir, '-l', os.devnull, '-o',
              "-c primary_conninfo='host=%s port=%d user=agens application_name=x'"
              % (one.host, one.port))
    until(lambda: three.look().streaming)
    found = settings_in_force.of_server(settings, LIMIT)['primary_conninfo']
    assert found.place == settings_in_force.COMMAND_LINE and 'application_name=x' in found.value
    assert settings_in_force.on_file(settings).settings['primary_conninfo'] == found
    fail_over(one, two, three)
    result = point(three, two)
    if version_of(three) >= 13:         # before, the restart that it needs takes it away
        assert not result.ok and 'command line' in result.reason, result
        restart(three)
    assert point(three, two).ok


def test_a_user_who_may_not_see_the_setting_overlooks_nothing(servers):
    one, two, three = servers
    needs_signal(three)
    run_sql(one, 'CREATE ROLE plain LOGIN')
    only_by_password(one, two, three)
    two.settle(one)
    on_file(two, primary_conninfo=guarded_words(one).replace('three', 'two'))
    restart(two)
    on_file(three, primary_conninfo=None)
    place_included(three, guarded_words(one))
    three.start()
    for member in (one, two, three):
        with open(member.path('pg_hba.conf'), 'a') as file:
            file.write('host all plain 127.0.0.0/8 trust\n')
        member.signal(signal.SIGHUP)
    fail_over(one, two, three)
    result = point(three, two, db_user='plain', conn_string=three.settings.conn_string.replace(
        'agens', 'plain'))
    assert result.ok, result
    assert 'it replays' not in result.remark
    assert is_fed(three, two)


ODD = """
work_mem'6MB'
Primary_Slot_Name 'first'   # a comment
include_dir='dir'
  include_if_exists 'none.conf'
%s
"""


@pytest.mark.parametrize('more', [
    '', "primary_slot_name = 'a\\142_c'", 'primary_slot_name=bare#x', "include './deep/0.conf'",
    "include '../three/deep/1.conf'", "#primary_slot_name = 'x'", "primary_slot_name\t=\t'tab'\r"])
def test_the_server_reads_its_files_as_they_are_read_here(servers, more):
    _, _, three = servers
    needs_signal(three)
    for number in range(11):
        put(three.path('deep/%d.conf' % number), "primary_slot_name = 'deep_%d'\n" % number + (
            "include '%d.conf'\n" % (number + 1) if number < 10 else ''))
    for name in ('b.conf', 'Z.conf', '.z.conf', 'z.conf~'):
        put(three.path('dir/' + name), "primary_slot_name = '%s'\n" % name[0])
    three.configure(ODD % more)
    outcome = programs.run([os.path.join(three.settings.db_bin_dir, 'postgres'), '-D',
                            three.settings.db_data_dir, '-C', 'primary_slot_name'], 20, owner())
    files = settings_in_force.on_file(three.settings)
    assert outcome.ok == (not files.problem), (outcome.output, files.problem)
    if outcome.ok:
        assert programs.last_line(outcome.output) == files.settings['primary_slot_name'].value


@needs_rewind
def test_a_rewind_does_not_take_an_included_password_along(servers):
    """pg_rewind removed the file, which the primary does not have."""
    one, two, three = servers
    needs_signal(three)
    only_by_password(one, two, three)
    two.settle(one)
    on_file(two, primary_conninfo=guarded_words(one).replace('three', 'two'))
    restart(two)
    on_file(one, primary_conninfo=None)
    place_included(one, guarded_words(two))
    diverge(one, two, 'fast')
    result = one.attach(two, use_pg_rewind=True)
    assert result.ok and result.how == 'rewound', result
    assert os.path.exists(one.path('more/own.conf'))


# Recovery targets

PAST = '2001-01-01 00:00:00+00'


def follows_and_replays(two, three):
    """Assert that the standby is pointed to the new primary, streams, and replays what it gets."""
    result = point(three, two)
    assert result.ok, result
    run_sql(two, MANY)
    until(lambda: three.has('many'))
    return result


def set_target(member, name, value):
    """Leave a target where a restore does; the running server has it after its restart."""
    on_file(member, **{name: value, 'recovery_target_action': 'pause'})


@pytest.mark.parametrize('name, value', [
    ('recovery_target_time', PAST), ('recovery_target_name', 'restored_to'),
    ('recovery_target_lsn', 'here'), ('recovery_target_xid', '3')])
def test_a_target_that_a_restore_left_stops_no_replay_any_more(servers, name, value):
    one, two, three = servers
    if value == 'here':
        value = ask(one, 'SELECT pg_current_wal_lsn()::text')
    set_target(three, name, value)
    run_sql(one, "SELECT pg_create_restore_point('restored_to')")
    run_sql(one, 'CREATE TABLE before ()')
    three.start()
    until(lambda: three.look().streaming or three.look().in_recovery)
    two.settle(one)
    one.stop()
    two.promote()
    result = follows_and_replays(two, three)
    assert result.how == 'restarted', 'no reload takes a target away'
    assert value_on_file(three, name) is None
    # Again costs no restart.
    assert point(three, two).how in ('reloaded', 'unchanged')


def test_a_target_in_an_included_file_is_overridden(servers):
    one, two, three = servers
    needs_signal(three)
    three.configure("recovery_target_name = 'restored_to'\ninclude 'more/x.conf'")
    put(three.path('more/x.conf'), "recovery_target_action = 'pause'\n")
    run_sql(one, "SELECT pg_create_restore_point('restored_to')")
    run_sql(one, 'CREATE TABLE before ()')
    three.start()
    two.settle(one)
    one.stop()
    two.promote()
    follows_and_replays(two, three)
    assert value_on_file(three, 'recovery_target_name') == ''
    assert value_on_file(three, 'recovery_target_time') is None, 'only what is set anywhere'
    size = os.path.getsize(own_file(three))
    assert point(three, two).ok and os.path.getsize(own_file(three)) == size


def test_attaching_a_standby_that_streams_takes_its_target_away(servers):
    """It receives all and replays nothing: "streams" was said of it."""
    one, _, three = servers
    set_target(three, 'recovery_target_time', PAST)
    run_sql(one, 'CREATE TABLE before ()')
    three.start()
    if has_signal(three):
        until(lambda: three.look().streaming)
        assert three.attach(one).ok
    else:
        three.stop()
        assert three.attach(one).ok
    run_sql(one, MANY)
    until(lambda: three.has('many'))


def test_a_demoted_server_is_not_promoted_by_the_target_of_its_restore(servers):
    """`immediate` with action promote, as pgBackRest leaves it: its start made a second primary."""
    one, two, _ = servers
    values = {'recovery_target': 'immediate', 'recovery_target_action': 'promote'}
    if has_signal(one):
        on_file(one, **values)
    else:
        put(one.path('recovery.done'), conffile.with_values('', values))
    fail_over(one, two)
    assert recovery.leave_standby_signal(one.settings).ok
    one.start()
    assert one.look().in_recovery is True
    assert point(one, two).ok
    run_sql(two, MANY)
    until(lambda: not one.look().in_recovery or one.has('many'))
    assert one.look().in_recovery is True and is_fed(one, two)


def test_a_recovery_signal_beside_does_not_outlive_the_promotion(servers):
    """The next start of that primary was an archive recovery, and failed."""
    one, two, _ = servers
    needs_signal(two)
    put(os.path.join(two.settings.db_data_dir, 'recovery.signal'), '')
    restart(two)
    assert two.look().in_recovery is True
    assert recovery.leave_standby_signal(two.settings).changed
    assert not recovery.leave_standby_signal(two.settings).changed
    fail_over(one, two)
    restart(two)
    found = two.look()
    assert (found.in_recovery, found.timeline) == (False, 2)


def test_a_trigger_file_that_lies_there_makes_no_second_primary(servers):
    one, two, _ = servers
    if version_of(one) >= 16:
        pytest.skip('from PostgreSQL 16 on there is no trigger file')
    trigger = os.path.join(one.settings.db_data_dir, 'promote_me')
    if has_signal(one):
        one.configure("promote_trigger_file = 'promote_me'")
    else:
        put(one.path('recovery.done'), "trigger_file = 'promote_me'\n")
    fail_over(one, two)
    put(trigger, '')
    assert recovery.leave_standby_signal(one.settings).ok
    assert not os.path.exists(trigger)
    one.start()
    assert point(one, two).ok
    assert one.look().in_recovery is True


def test_a_timeline_that_a_restore_left_is_taken_away_by_a_restart(servers):
    one, two, three = servers
    on_file(three, recovery_target_timeline='1')
    three.start()
    until(lambda: three.look().streaming)
    fail_over(one, two, three)
    follows_and_replays(two, three)
    assert three.look().timeline == 2


# Slots

def with_slots(one, two, three):
    """Both standbys stream by slots of the first primary only, as after a pg_basebackup -S."""
    for member, name in ((two, 'two'), (three, 'slot_of_3')):
        run_sql(one, "SELECT pg_create_physical_replication_slot('%s', true)" % name)
        on_file(member, primary_slot_name=name)
    restart(two)
    three.start()
    until(lambda: all(member.look().streaming for member in (two, three)))
    assert slot_names(one) == {'two', 'slot_of_3'}


def test_the_slot_of_a_standby_is_made_on_the_new_primary(servers):
    """After the first failover nobody streamed: the new primary had no such slots."""
    one, two, three = servers
    with_slots(one, two, three)
    fail_over(one, two, three)
    result = point(three, two)
    assert result.ok, result
    assert slot_names(two) == {'slot_of_3'}
    assert ask(two, 'SELECT active FROM pg_replication_slots')


def test_the_slot_is_made_by_the_walreceivers_user_or_by_ours(servers):
    one, two, three = servers
    run_sql(one, 'CREATE ROLE plain LOGIN')
    with_slots(one, two, three)
    fail_over(one, two, three)
    result = point(three, two, db_user='plain', replication_user='agens')
    assert result.ok and slot_names(two) == {'slot_of_3'}, result
    run_sql(two, 'CREATE ROLE copy LOGIN REPLICATION')
    on_file(three, primary_slot_name='another')
    with open(two.path('pg_hba.conf'), 'w') as file:
        file.write('host replication all 127.0.0.0/8 reject\nhost all all 127.0.0.0/8 trust\n')
    two.signal(signal.SIGHUP)
    until(lambda: 'another' in slot_names(two) or not point(three, two, 4.0).ok
          and 'another' in slot_names(two))


def test_a_stopped_standby_gets_its_slot_too(servers):
    one, two, three = servers
    with_slots(one, two, three)
    fail_over(one, two, three)
    three.stop()
    written = point(three, two)
    assert written.ok and written.how == 'written', written
    three.start()
    until(lambda: is_fed(three, two))


def test_the_slots_of_a_demoted_server_keep_no_wal(servers):
    """208 MB were kept after 190 MB of writes, and nothing said so."""
    one, two, three = servers
    with_slots(one, two, three)
    run_sql(one, "SELECT pg_create_physical_replication_slot('foreign_one', true)")
    fail_over(one, two, three)
    assert point(three, two).ok
    result = one.attach(two, node_names=NAMES + (one.host,))
    assert result.ok, result
    assert slot_names(one) == {'foreign_one'}
    assert '"two"' in result.remark and '"slot_of_3"' in result.remark, result
    for _ in range(5):
        run_sql(two, 'SELECT pg_switch_wal()')
        run_sql(two, "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000))")
    until(lambda: one.caught_up(two))
    said = one.look().remark
    assert '"foreign_one" more than 64 MB' in said and '"two"' not in said, said


def test_inactive_slots_that_keep_much_are_said_by_every_check(servers, monkeypatch):
    one, two, _ = servers
    monkeypatch.setattr(probe.slots, 'KEPT_MAX', 20 << 20)
    assert one.look().remark == ''
    for member in (one, two):
        run_sql(member, "SELECT pg_create_physical_replication_slot('nobody', true)")
        run_sql(member, "SELECT pg_create_physical_replication_slot('keeps_nothing')")
    for _ in range(4):
        run_sql(one, "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000))")
        run_sql(one, 'SELECT pg_switch_wal()')
    two.settle(one)
    for member in (one, two):
        said = member.look().remark
        assert '"nobody" more than' in said and 'keeps_nothing' not in said, said
        assert "pg_drop_replication_slot('nobody')" in said


def test_a_logical_slot_is_never_dropped(servers):
    one, two, _ = servers
    for member in (one, two):
        member.configure('wal_level = logical')
        restart(member)
    run_sql(one, "SELECT pg_create_logical_replication_slot('three', 'pgoutput')")
    run_sql(one, "SELECT pg_create_physical_replication_slot('two', true)")
    names = {'one', 'two', 'three'}
    assert probe.slots.drop_stale(one.settings.conn_string, names, LIMIT) == '', 'a primary'
    assert slot_names(one) == {'two', 'three'}
    fail_over(one, two)
    assert one.attach(two, node_names=NAMES).ok
    assert slot_names(one) == {'three'}


def test_a_slot_that_was_invalidated_when_that_server_was_a_primary_before_is_made_anew(servers):
    one, two, three = servers
    if version_of(one) < 13:
        pytest.skip('before PostgreSQL 13 no slot is invalidated')
    on_file(three, primary_slot_name='three')
    run_sql(one, "SELECT pg_create_physical_replication_slot('three', true)")
    run_sql(one, "ALTER SYSTEM SET wal_keep_size = '1MB'")
    run_sql(one, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    restart(one)

    def is_lost():
        run_sql(one, 'SELECT pg_switch_wal()')
        run_sql(one, 'CHECKPOINT')
        return ask(one, 'SELECT wal_status FROM pg_replication_slots') == 'lost'
    two.settle(one)
    until(is_lost)
    said = probe.slots.ensure('three', 'three', 'host=%s port=%d user=agens' % (one.host, one.port)
                              + " replication=true options='-c datestyle=ISO'",
                              one.settings.conn_string, LIMIT)
    assert said == '' and ask(one, 'SELECT wal_status FROM pg_replication_slots') == 'reserved'


def test_two_standbys_with_the_same_slot_are_told_so(servers, monkeypatch):
    monkeypatch.setattr(follow_stream, 'FINAL_SECONDS', 1.0)
    one, two, three = servers
    run_sql(one, "SELECT pg_create_physical_replication_slot('same', true)")
    for member in (two, three):
        on_file(member, primary_slot_name='same')
    restart(two)
    until(lambda: two.look().streaming)
    three.start()
    result = point(three, one, 6.0)
    assert not result.ok and 'in use on the primary by two' in result.reason, result


def test_a_slot_that_cannot_be_made_is_said_with_what_to_run(servers, monkeypatch):
    monkeypatch.setattr(follow_stream, 'FINAL_SECONDS', 1.0)
    one, two, three = servers
    with_slots(one, two, three)
    fail_over(one, two, three)
    use_up_the_slots(two)
    result = point(three, two, 6.0)
    assert not result.ok and 'max_replication_slots' in result.reason, result
    run_sql(two, "SELECT pg_drop_replication_slot('filler_1')")
    assert point(three, two).ok


# How following ends

def test_following_says_why_it_does_not_stream(servers, monkeypatch):
    monkeypatch.setattr(follow_stream, 'FINAL_SECONDS', 1.0)
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    fail_over(one, two, three)
    with open(two.path('pg_hba.conf'), 'w') as file:
        file.write('host all all 127.0.0.0/8 trust\n')
    two.signal(signal.SIGHUP)
    result = point(three, two)
    assert not result.ok and 'pg_hba.conf' in result.reason, result
    with open(two.path('pg_hba.conf'), 'a') as file:
        file.write('host replication all 127.0.0.0/8 trust\n')
    two.signal(signal.SIGHUP)
    before = three.postmaster()
    assert point(three, two).ok
    assert three.postmaster() == before, 'tried again without a restart'


def test_a_primary_that_is_not_there_yet_is_no_failure_for_good(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    for member in (two, three):
        member.settle(one)
    one.stop()
    two.stop()
    result = point(three, two, 6.0)
    assert not result.ok and 'refused' in result.reason, result
    two.start()
    two.promote()
    assert point(three, two).ok


def test_a_standby_that_diverged_is_told_so(servers):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    two.settle(one)
    two.stop()
    run_sql(one, MANY)
    three.settle(one)
    one.stop()
    two.start()
    two.promote()
    result = point(three, two)
    assert not result.ok and result.diverged and 'diverged' in result.reason, result


def test_a_follow_command_that_does_nothing_is_no_success(servers, monkeypatch):
    one, two, three = servers
    three.start()
    until(lambda: three.look().streaming)
    fail_over(one, two, three)
    lied = point(three, two, 4.0, follow_command=['true'])
    assert not lied.ok and 'does not stream' in lied.reason, lied
    if version_of(three) < 13:
        return                          # a restart is the script's business there
    done = point(three, two, follow_command=[
        'sh', '-c', 'sed -i "s/host=[0-9.]*/host=%s/" %s && kill -HUP %d'
        % (two.host, own_file(three), three.postmaster())])
    assert done.ok and done.how == 'command', done


def test_a_delayed_standby_is_no_failure(servers):
    one, two, three = servers
    on_file(three, recovery_min_apply_delay='600000')
    three.start()
    until(lambda: three.look().streaming)
    run_sql(one, MANY)
    until(lambda: three.look().lsn >= one.look().lsn)
    two.settle(one)
    one.stop()
    two.promote()
    result = point(three, two, 8.0, use_recovery_min_apply_delay=True,
                   recovery_min_apply_delay=600000)
    assert result.ok, result


def test_the_masked_password_of_a_walreceiver_is_never_written(servers):
    one, two, three = servers
    del one
    on_file(three, primary_conninfo='host=127.77.9.9 user=rep password=%s' % conninfo.MASK)
    assert recovery.write_primary(three.settings, two.host, two.port).ok
    words = conninfo.parse(value_on_file(three, 'primary_conninfo'))
    assert words['user'] == 'rep' and 'password' not in words
