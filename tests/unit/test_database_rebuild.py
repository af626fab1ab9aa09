"""Where a rebuild works, what it carries along and how it copies; a real one in integration."""

import json
import os
import subprocess
from types import SimpleNamespace

import pytest

from ahmlib.database import base_backup, rebuild, rebuild_files, rebuild_place, rewind
from ahmlib.database.attach_job import Job, Refused
from ahmlib.database.base_backup import Progress
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing catches it."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The Place of a data directory with a file, as nobody in particular."""
    monkeypatch.setattr(rebuild_place.control, 'as_owner', lambda path: None)
    (tmp_path / 'main').mkdir(0o700)
    (tmp_path / 'main' / 'PG_VERSION').write_text('15\n')
    (tmp_path / 'main' / 'old').write_text('old')
    return rebuild_place.place_of(str(tmp_path / 'main'))


def copied(place):
    """Make a whole copy, as a rebuild does."""
    os.mkdir(place.data, 0o700)
    for name in ('PG_VERSION', 'new'):
        with open(os.path.join(place.data, name), 'w') as file:
            file.write('15\n')
    rebuild_place.mark_complete(place)


def names(place):
    """What lies in the directory above."""
    return sorted(os.listdir(place.parent))


def whole(path):
    """Which of the two a data directory is: 'old', 'new', or neither."""
    found = set(os.listdir(path)) - {'PG_VERSION'} if os.path.isdir(path) else set()
    return found.pop() if len(found) == 1 else None


def do_all(place):
    """The file operations of a rebuild, one after the other."""
    with rebuild_place.working(place):
        copied(place)
        rebuild_place.swap(place)


# -- the swap --------------------------------------------------------------------------------------


def test_the_copy_takes_the_place_and_what_was_there_is_kept(place):
    do_all(place)
    assert names(place) == ['main', 'main.ahm_old']
    assert whole(place.data_dir) == 'new' and whole(place.kept) == 'old'
    assert not rebuild_place.finish(place)


#: Whatever changes a name, or makes it durable.
CALLS = ('rename', 'mkdir', 'rmdir', 'unlink', 'fsync')


def count_calls(monkeypatch, dies_at=None):
    """Count these calls; die before the one of this number.  Returns the counter."""
    counter = [0]
    for name in CALLS:
        def counted(*arguments, _call=getattr(os, name), **more):
            counter[0] += 1
            if counter[0] == dies_at:
                raise Killed
            return _call(*arguments, **more)
        monkeypatch.setattr(os, name, counted)
    return counter


def test_whichever_call_it_dies_at_one_of_the_two_is_whole_and_the_next_one_goes_on(
        place, monkeypatch):
    with monkeypatch.context() as counted:
        counter = count_calls(counted)
        do_all(place)
    total, gaps = counter[0], 0
    assert total > 15
    for number in range(1, total + 1):
        os.rename(place.data_dir, place.data_dir + '.gone')
        os.rename(place.kept, place.data_dir)
        subprocess.check_call(['rm', '-r', place.data_dir + '.gone'])
        with monkeypatch.context() as dying:
            count_calls(dying, number)
            # A conffile that is cut short is undone there, and a second rename that fails is: a
            # process that is killed does neither.
            with pytest.raises(Killed):
                do_all(place)
        gaps += not os.path.exists(place.data_dir)
        was_swapped = os.path.exists(place.kept)
        if was_swapped:
            assert whole(place.kept) == 'old'
        else:
            assert whole(place.data_dir) == 'old'
        rebuild_place.finish(place)
        if was_swapped:
            assert whole(place.data_dir) == 'new', number
        else:
            assert whole(place.data_dir) == 'old', number
            do_all(place)
        if os.path.exists(place.copy):      # its marker was gone: the next rebuild takes it
            assert was_swapped and os.listdir(place.copy) == [], number
            os.rmdir(place.copy)
        assert names(place) == ['main', 'main.ahm_old'], number
        assert whole(place.data_dir) == 'new' and whole(place.kept) == 'old', number
    assert gaps == 2, 'before the second rename: the sync of the first, and itself'


def test_a_second_rename_that_is_refused_undoes_the_first(place, monkeypatch):
    rename = os.rename
    with rebuild_place.working(place):
        copied(place)
        with monkeypatch.context() as patched:
            def refused(source, target):
                if source == place.data:
                    raise OSError('no')
                rename(source, target)
            patched.setattr(os, 'rename', refused)
            with pytest.raises(OSError):
                rebuild_place.swap(place)
    assert whole(place.data_dir) == 'old' and names(place) == ['main', 'main.ahm_copy']


def test_a_copy_that_comes_to_nothing_takes_no_room(place):
    for moves in (False, True):
        with pytest.raises(Refused):
            with rebuild_place.working(place):
                copied(place)
                if moves:
                    os.rename(place.data_dir, place.kept)
                raise Refused('so')
        assert names(place) == (['main.ahm_copy', 'main.ahm_old'] if moves else ['main'])
    assert rebuild_place.finish(place) and whole(place.data_dir) == 'new'


def test_an_empty_directory_that_somebody_made_in_the_gap_is_no_data(place):
    with rebuild_place.working(place):
        copied(place)
        os.rename(place.data_dir, place.kept)
    os.mkdir(place.data_dir)
    assert rebuild_place.finish(place) and whole(place.data_dir) == 'new'


def test_a_gap_without_a_whole_copy_is_told(place):
    with rebuild_place.working(place):
        os.rename(place.data_dir, place.kept)
    with pytest.raises(Refused, match='is not complete: rename .*ahm_old back'):
        rebuild_place.finish(place)
    subprocess.check_call(['rm', '-r', place.copy])
    with pytest.raises(Refused, match='is missing, and .*ahm_old is what a rebuild kept'):
        rebuild_place.finish(place)


# -- what is AHM's own, and what is not ------------------------------------------------------------


def test_only_what_ahm_made_is_removed(place):
    os.mkdir(place.copy)
    rebuild_place.refuse_the_impossible(place)          # empty: made, and not yet marked
    with open(os.path.join(place.copy, 'precious'), 'w'):
        pass
    for marker in (None, 'no json', json.dumps(['x']), json.dumps({'data_dir': '/another'})):
        if marker is not None:
            with open(os.path.join(place.copy, rebuild_place.MARKER), 'w') as file:
                file.write(marker)
        assert not rebuild_place.is_ours(place)
        with pytest.raises(Refused, match='is in the way, and is no copy that AHM made'):
            rebuild_place.refuse_the_impossible(place)
        with pytest.raises(OSError):
            with rebuild_place.working(place):
                pass
    assert 'precious' in os.listdir(place.copy)


def test_a_link_of_that_name_is_not_ours(place, tmp_path):
    with rebuild_place.working(place):
        pass
    os.rename(place.copy, str(tmp_path / 'elsewhere'))
    os.symlink(str(tmp_path / 'elsewhere'), place.copy)
    assert not rebuild_place.is_ours(place)


def test_another_process_at_work_there_is_seen(place):
    with rebuild_place.working(place):
        with pytest.raises(Refused, match='another process of AHM is rebuilding'):
            with rebuild_place.working(place):
                pass
    with rebuild_place.working(place):
        pass


def test_what_was_kept_forbids_the_next(place):
    do_all(place)
    with pytest.raises(Refused, match='which an earlier rebuild kept, is still there'):
        rebuild_place.refuse_the_impossible(place)


@pytest.mark.parametrize('name, refused', [
    ('pg_wal', True), ('base', True), ('pg_stat_tmp', False), ('log', False)])
def test_parts_that_lie_elsewhere(place, tmp_path, name, refused):
    (tmp_path / 'disk').mkdir()
    os.symlink(str(tmp_path / 'disk'), os.path.join(place.data_dir, name))
    if refused:
        with pytest.raises(Refused, match='is a link to .*disk, and a copy would'):
            rebuild_place.refuse_the_impossible(place)
    else:
        rebuild_place.refuse_the_impossible(place)


@pytest.mark.parametrize('below, says', [
    ('', 'is a mount point, which cannot be renamed'),
    ('/pg_wal', 'is a mount point inside the data directory'), ('x', None)])
def test_mounts(tmp_path, monkeypatch, below, says):
    monkeypatch.setattr(rebuild_place.control, 'as_owner', lambda path: None)
    data_dir = tmp_path / 'with blank'
    data_dir.mkdir()
    (data_dir / 'PG_VERSION').write_text('15\n')
    mounts = tmp_path / 'mountinfo'
    mounts.write_text('1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / %s rw - ext4 x rw\n' % (
        (str(data_dir) + below).replace(' ', '\\040')))
    monkeypatch.setattr(rebuild_place, 'MOUNTS', str(mounts))
    place = rebuild_place.place_of(str(data_dir))
    if says is None:
        rebuild_place.refuse_the_impossible(place)
    else:
        with pytest.raises(Refused, match=says):
            rebuild_place.refuse_the_impossible(place)


def test_the_parent_has_to_be_open_to_the_owner(place, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode, effective_ids: False)
    with pytest.raises(Refused, match='may not write in'):
        rebuild_place.refuse_the_impossible(place)


def test_a_link_to_the_data_directory_is_followed(place, tmp_path):
    os.symlink(place.data_dir, str(tmp_path / 'link'))
    assert rebuild_place.place_of(str(tmp_path / 'link')) == place


def test_room_is_for_the_data_what_it_grows_by_and_the_wal(place, monkeypatch):
    needed = rebuild_place.needed_bytes(2000, 300)
    assert needed == 2000 + 100 + 300
    for free, is_enough in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(os, 'statvfs', lambda path, free=free: SimpleNamespace(
            f_bavail=free, f_frsize=1))
        if is_enough:
            rebuild_place.refuse_without_space(place, needed)
        else:
            with pytest.raises(Refused, match='a copy of the primary needs'):
                rebuild_place.refuse_without_space(place, needed)
    assert [rebuild_place.size_text(count) for count in (0, 5 << 20, 3 << 29)] \
        == ['0 MB', '5 MB', '1.5 GB']


# -- files -----------------------------------------------------------------------------------------


def test_the_files_of_this_server_go_along_and_those_of_the_primary_go(place, monkeypatch):
    settings = DatabaseSettings(db_data_dir=place.data_dir)
    here, there = place.data_dir, place.data

    def write(directory, **files):
        for name, text in files.items():
            path = os.path.join(directory, name.replace('__', '/').replace('_dot_', '.'))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as file:
                file.write(text)
    included = SimpleNamespace(paths=(here + '/site/more.inc', '/etc/elsewhere.conf'))
    monkeypatch.setattr(rebuild_files.settings_in_force, 'on_file', lambda settings: included)
    monkeypatch.setattr(rewind, 'kept_aside', lambda settings: {'pg_hba.conf': ('aside', 0o640)})
    write(here, postgresql_dot_conf='mine', pg_hba_dot_conf='damaged', base__1='data',
          conf_dot_d__1_dot_conf='mine', site__more_dot_inc='mine', postmaster_dot_opts='mine')
    os.symlink('/var/log/somewhere', here + '/log')
    with rebuild_place.working(place):
        write(there, postgresql_dot_conf='theirs', postgresql_dot_auto_dot_conf='theirs',
              conf_dot_d__2_dot_conf='theirs', server_dot_key='theirs', base__1='copied',
              log__x='theirs', backup_manifest='theirs', recovery_dot_done='theirs')
        os.chmod(there, 0o755)
        rebuild_files.carry(settings, place)
    found = {}
    for root, _, files in os.walk(there):
        for name in set(files) - {'log'}:
            with open(os.path.join(root, name)) as file:
                found[os.path.relpath(file.name, there)] = file.read()
    assert found == {
        'postgresql.conf': 'mine', 'pg_hba.conf': 'aside', 'conf.d/1.conf': 'mine',
        'site/more.inc': 'mine', 'postmaster.opts': 'mine', 'base/1': 'copied'}
    assert os.readlink(there + '/log') == '/var/log/somewhere'
    assert os.stat(there).st_mode & 0o777 == 0o700
    assert os.stat(there + '/pg_hba.conf').st_mode & 0o777 == 0o640


# -- pg_basebackup ---------------------------------------------------------------------------------


def job(conninfo='host=h port=1 user=u application_name=n password=s3cret passfile=/p'):
    """A job of node n."""
    made = Job(DatabaseSettings(node_name='n', db_data_dir='/data'), 'h', 1, Deadline(60), None)
    made.conninfo = conninfo
    return made


def test_the_command_holds_no_secret_and_another_name(monkeypatch):
    monkeypatch.setattr(base_backup, 'program', lambda job: '/bin/pg_basebackup')
    argv, environment = base_backup.command(job(), '/copy', True)
    assert argv == ['/bin/pg_basebackup', '-d', 'host=h port=1 user=u '
                    'application_name=ahm_copy_of_n passfile=/p', '-D', '/copy', '-X', 'stream',
                    '-c', 'fast', '-P', '-w']
    assert environment == {'LC_ALL': 'C', 'PGPASSWORD': 's3cret'}
    assert base_backup.command(job(), '/copy', False)[0][-1] == '--no-slot'
    with pytest.raises(Refused, match='sslpassword'):
        base_backup.command(job('host=h sslpassword=s3cret'), '/copy', True)


def test_the_printed_command_has_that_name_too():
    told = job().rebuild()
    assert 'application_name=ahm_copy_of_n' in told and 's3cret' not in told
    assert told.startswith('rebuild it with "ahm_attach_node --rebuild", or into an empty')
    assert job().rebuild(False).startswith('rebuild it into an empty directory: pg_basebackup -d')


def run_program(monkeypatch, tmp_path, script, seen=None):
    """Copy by a program of our own."""
    program = tmp_path / 'pg_basebackup'
    program.write_text('#!/bin/sh\n' + script)
    program.chmod(0o755)
    monkeypatch.setattr(base_backup, 'program', lambda job: str(program))
    monkeypatch.setattr(base_backup.control, 'as_owner', lambda path: None)
    watched = [] if seen is None else seen
    base_backup.take(job(), str(tmp_path / 'copy' / 'data'), True, watched.append)
    return watched


def test_how_far_it_is_comes_of_what_it_says(monkeypatch, tmp_path):
    seen = run_program(monkeypatch, tmp_path,
                       "echo '  512/2048 kB (25%), 0/1 tablespace'; echo '2048/2048 kB (100%)'\n")
    assert (seen[-1].done_bytes, seen[-1].total_bytes) == (2048 * 1024, 2048 * 1024)


def test_why_it_failed_is_what_it_said_of_it(monkeypatch, tmp_path):
    with pytest.raises(Refused, match='pg_basebackup failed: pg_basebackup: error: no entry$'):
        run_program(monkeypatch, tmp_path, "echo '1/2 kB (50%)'; echo 'pg_basebackup: error: no "
                    "entry'; echo 'removing data directory'; exit 1\n")


def test_what_outlives_a_killed_one_is_ended_too(monkeypatch, tmp_path):
    with pytest.raises(Refused, match='failed'):
        run_program(monkeypatch, tmp_path, 'sleep 300 &\nkill -9 $$\n')


def test_one_that_does_not_get_on_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(base_backup, 'STALL_SECONDS', 1.0)
    monkeypatch.setattr(base_backup, 'LOOK_SECONDS', 0.1)
    with pytest.raises(Refused, match='did not get on for 1 s, at 1024 of 2048 bytes'):
        run_program(monkeypatch, tmp_path, "echo '1/2 kB (50%)'; sleep 300\n")


def test_progress_is_told_in_words():
    assert rebuild.told(Progress()) == 'copies the primary: begins'
    assert rebuild.told(Progress(1 << 30, 4 << 30, 100.0)) \
        == 'copies the primary: 1.0 GB of 4.0 GB (25 %), about 5 min left'
    assert rebuild.told(Progress(5 << 20, 4 << 20, 2.0)) \
        == 'copies the primary: 5 MB of 4 MB (100 %), about 0 s left'


def test_who_asked_has_to_live(monkeypatch):
    made = job()
    made.refuse_an_orphan()
    monkeypatch.setattr(os, 'getppid', lambda: 1)
    made._parent = 4711
    with pytest.raises(Refused, match='the daemon that asked for it has ended'):
        made.refuse_an_orphan()


class Asked:
    """A connection to a primary that answers so."""

    def __init__(self, turn=True, spaces=(), names=''):
        self.turn, self.spaces, self.names = turn, spaces, names

    def value(self, sql, arguments=None):
        """The turn."""
        assert sql == rebuild.TAKE_TURN
        return self.turn

    def query(self, sql):
        """The rest."""
        return {rebuild.TABLESPACES: [(each,) for each in self.spaces],
                rebuild.SIZES: [(1000, 100, self.names)]}.get(sql, [])


@pytest.mark.parametrize('asked, says', [
    (Asked(turn=False), 'another node of the cluster is being rebuilt'),
    (Asked(spaces=['far in /far']), r'outside its data directory \(far in /far\)'),
    (Asked(names='ANY 1 (a, "AHM_copy_of_N")'), 'synchronous_standby_names of the primary names')])
def test_a_primary_that_forbids_it(asked, says):
    with pytest.raises(Refused, match=says):
        rebuild._take_turn(job(), asked)


def test_a_copy_reports_what_it_has_only_where_nobody_waits_for_everybody():
    assert rebuild._take_turn(job(), Asked(names='ANY 1 (n, m)')) == (1150, True)
    assert rebuild._take_turn(job(), Asked(names='*')) == (1150, False)
