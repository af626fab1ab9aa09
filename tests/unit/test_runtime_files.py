"""State file, lease and PID file: whole or not at all, and nobody else's."""

import json
import os
import stat
import subprocess
import sys

import pytest

from ahmlib.process import users
from ahmlib.runtime import pid_file, state_file
from ahmlib.runtime.pid_file import AlreadyRunning, PidFile, PidFileError, running_pid
from ahmlib.runtime.state_file import StateFileCorrupt, StateFileError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONTENT = {'term': 7, 'voted_for': 'AHM-NODE-2', 'names': {'10.0.0.1:9500': '노드'}, 'at': 1.5,
           'leader': None, 'list': [1, [2, {}]]}

HOLD = """
import sys
from ahmlib.runtime.pid_file import PidFile
PidFile(sys.argv[1]).acquire()
print('held', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'ahm.state')


def hold(path):
    """Another process that holds the PID file until it is killed."""
    process = subprocess.Popen([sys.executable, '-c', HOLD, path], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b'held\n'
    return process


def end(process):
    process.kill()
    process.communicate()


# -- state file -------------------------------------------------------------------------------


def test_no_file_is_none(path):
    assert state_file.load(path) is None
    assert state_file.load_lease(path) is None


@pytest.mark.parametrize('save, load', [(state_file.save, state_file.load),
                                        (state_file.save_lease, state_file.load_lease)])
def test_what_was_saved_is_loaded(path, save, load):
    save(path, {'term': 1})
    save(path, CONTENT)
    assert load(path) == CONTENT
    info = os.stat(path)
    assert stat.S_IMODE(info.st_mode) == 0o600
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_a_relative_path_works(path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(path))
    state_file.save('x', CONTENT)
    assert state_file.load('x') == CONTENT


def test_every_cut_and_every_changed_byte_is_noticed(path):
    state_file.save(path, {'term': 7, 'voted_for': 'b'})
    with open(path, 'rb') as file:
        whole = file.read()
    for size in range(len(whole) - 2):        # without its last line end it is still whole
        with open(path, 'wb') as file:
            file.write(whole[:size])
        with pytest.raises(StateFileCorrupt):
            state_file.load(path)
        assert state_file.load_lease(path) is None
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        with open(path, 'wb') as file:
            file.write(changed)
        try:
            found = state_file.load(path)
        except StateFileCorrupt:
            continue
        assert found == {'term': 7, 'voted_for': 'b'}, 'only white space may change unnoticed'


@pytest.mark.parametrize('junk', [b'', b'\0' * 100, b'[]', b'{}', b'null', b'\xff\xfe',
                                  b'{"content": 5}', b'[' * 100000])
def test_junk_is_corrupt_and_not_missing(path, junk):
    with open(path, 'wb') as file:
        file.write(junk)
    with pytest.raises(StateFileCorrupt) as caught:
        state_file.load(path)
    assert path in str(caught.value) and '\n' not in str(caught.value)


def test_another_format_is_corrupt(path):
    state_file.save(path, CONTENT)
    with open(path) as file:
        outer = json.load(file)
    outer['format'] = 2
    with open(path, 'w') as file:
        json.dump(outer, file)
    with pytest.raises(StateFileCorrupt) as caught:
        state_file.load(path)
    assert 'format 2, expected 1' in str(caught.value)


def test_a_file_that_is_too_big_is_corrupt(path, monkeypatch):
    monkeypatch.setattr(state_file, 'FILE_BYTES_MAX', 10)
    state_file.save(path, CONTENT)
    with pytest.raises(StateFileCorrupt):
        state_file.load(path)


def test_links_are_refused_and_replaced_by_saving(path):
    real = path + '.real'
    state_file.save(real, CONTENT)
    for link in (os.symlink, os.link):
        link(real, path)
        with pytest.raises(StateFileError) as caught:
            state_file.load(path)
        assert 'link' in str(caught.value)
        with pytest.raises(StateFileError):
            state_file.load_lease(path)
        state_file.save(path, {'term': 9})
        assert state_file.load(path) == {'term': 9}
        assert state_file.load(real) == CONTENT
        os.unlink(path)


def test_a_dangling_link_is_no_missing_file(path):
    os.symlink(path + '.nowhere', path)
    with pytest.raises(StateFileError):
        state_file.load(path)


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_without_waiting(path, make):
    make(path)
    with pytest.raises(StateFileError):
        state_file.load(path)


def assert_owner_is_told(path, text):
    """By name, and nobody is told to remove what holds votes."""
    here, other = users.called(os.getuid()), os.getuid() + 1
    assert 'owned by %s, expected %s' % (here, users.called(other)) in text
    assert text.endswith('; chown %s %s, or run AHM as its owner; do not remove it, it holds votes '
                         'and promises' % (users.word(other), path))


def test_a_link_is_to_be_replaced_by_its_content(path):
    state_file.save(path + '.elsewhere', CONTENT)
    os.symlink(path + '.elsewhere', path)
    with pytest.raises(StateFileError) as caught:
        state_file.load(path)
    assert str(caught.value).endswith('; put a regular file with its content in its place')


def test_a_file_of_two_names_is_to_be_replaced_by_a_copy(path):
    state_file.save(path, CONTENT)
    os.link(path, path + '.elsewhere')
    with pytest.raises(StateFileError) as caught:
        state_file.load(path)
    assert str(caught.value).endswith('; put a copy of it in its place')


def test_a_user_without_a_name_is_told_by_number():
    assert (users.called(0), users.word(0)) == ('root', 'root')
    assert (users.called(4711011), users.word(4711011)) == ('uid 4711011', '4711011')


def test_somebody_elses_file_is_refused(path, monkeypatch):
    state_file.save(path, CONTENT)
    monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    with pytest.raises(StateFileError) as caught:
        state_file.load(path)
    assert_owner_is_told(path, str(caught.value))


@pytest.mark.parametrize('number, words', [(13, 'Permission denied'), (5, 'Input/output error')])
@pytest.mark.parametrize('name', ['open', 'read'])
@pytest.mark.parametrize('load', [state_file.load, state_file.load_lease])
def test_a_file_that_cannot_be_read_is_refused_and_no_missing_memory(path, monkeypatch, load, name,
                                                                     number, words):
    state_file.save(path, CONTENT)

    def fail(*args):
        raise OSError(number, words)
    monkeypatch.setattr(os, name, fail)
    with pytest.raises(StateFileError) as caught:
        load(path)
    monkeypatch.undo()
    text = str(caught.value)
    assert path in text and words in text and 'make it readable' in text and '\n' not in text


def test_a_file_that_is_unreadable_because_another_user_wrote_it_names_that_user(path, monkeypatch):
    state_file.save(path, CONTENT)

    def fail(*args):
        raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(os, 'open', fail)
    monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    with pytest.raises(StateFileError) as caught:
        state_file.load(path)
    assert_owner_is_told(path, str(caught.value))


def test_a_write_that_fails_leaves_the_old_content(path, monkeypatch):
    state_file.save(path, CONTENT)

    def fail(fd):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(StateFileError) as caught:
        state_file.save(path, {'term': 8})
    assert 'No space left on device' in str(caught.value)
    assert state_file.load(path) == CONTENT
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_a_missing_directory_is_an_error_of_the_state_file(path):
    with pytest.raises(StateFileError):
        state_file.save(path + '/x/y', CONTENT)


def test_the_state_is_flushed_before_and_after_its_rename_and_the_lease_never(path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(fd):
        calls.append('directory' if stat.S_ISDIR(os.fstat(fd).st_mode) else 'file')
        fsync(fd)

    def note_rename(source, target):
        calls.append('rename')
        rename(source, target)
    monkeypatch.setattr(os, 'fsync', note_fsync)
    monkeypatch.setattr(os, 'rename', note_rename)
    state_file.save(path, CONTENT)
    assert calls == ['file', 'rename', 'directory']
    del calls[:]
    state_file.save_lease(path, CONTENT)
    assert calls == ['rename']


def test_what_json_cannot_hold_exactly_is_refused(path):
    with pytest.raises(ValueError):
        state_file.save(path, {'at': float('nan')})
    with pytest.raises(TypeError):
        state_file.save(path, [])
    assert state_file.load(path) is None


def test_the_boot_has_an_id_and_keeps_it(monkeypatch):
    assert len(state_file.boot_id()) == 36
    assert state_file.boot_id() == state_file.boot_id()
    monkeypatch.setattr(state_file, 'BOOT_ID_PATH', '/nowhere/boot_id')
    with pytest.raises(StateFileError):
        state_file.boot_id()


# -- PID file ---------------------------------------------------------------------------------


def test_the_pid_file_says_who_runs_and_goes_with_it(path):
    held = PidFile(path)
    held.acquire()
    with open(path) as file:
        assert file.read() == '%d\n' % os.getpid()
    assert running_pid(path) == os.getpid()
    held.release()
    assert not os.path.exists(path)
    assert running_pid(path) is None
    held.release()


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(path):
    first = hold(path)
    try:
        assert running_pid(path) == first.pid
        with pytest.raises(AlreadyRunning) as caught:
            PidFile(path).acquire()
        assert caught.value.pid == first.pid
        assert str(first.pid) in str(caught.value)
        assert running_pid(path) == first.pid
    finally:
        end(first)


def test_a_killed_daemon_leaves_a_stale_file(path):
    end(hold(path))
    assert os.path.exists(path)
    assert running_pid(path) is None
    held = PidFile(path)
    held.acquire()
    assert running_pid(path) == os.getpid()
    held.release()


@pytest.mark.parametrize('content', ['1\n', '%d\n' % os.getpid(), '', 'junk', '9' * 100])
def test_a_number_in_a_file_that_nobody_holds_counts_for_nothing(path, content):
    with open(path, 'w') as file:
        file.write(content)
    assert running_pid(path) is None
    held = PidFile(path)
    held.acquire()
    with open(path) as file:
        assert file.read() == '%d\n' % os.getpid()
    held.release()


def test_links_are_refused(path):
    real = path + '.real'
    with open(real, 'w') as file:
        file.write('precious')
    for link in (os.symlink, os.link):
        link(real, path)
        with pytest.raises(PidFileError):
            PidFile(path).acquire()
        with pytest.raises(PidFileError):
            running_pid(path)
        os.unlink(path)
    with open(real) as file:
        assert file.read() == 'precious'


def test_a_program_that_the_daemon_starts_does_not_keep_the_lock(path):
    script = HOLD.replace("print('held'", "import subprocess; subprocess.Popen(['sleep', '1000'],"
                          " close_fds=False, stdin=subprocess.DEVNULL,"
                          " stdout=subprocess.DEVNULL, preexec_fn=__import__('os').setsid);"
                          "print('held'")
    process = subprocess.Popen([sys.executable, '-c', script, path], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b'held\n'
    with open('/proc/%d/task/%d/children' % (process.pid, process.pid)) as file:
        sleeper = int(file.read())
    try:
        end(process)
        assert running_pid(path) is None
    finally:
        os.kill(sleeper, 9)


def test_a_released_file_is_not_removed_from_under_its_next_holder(path):
    held = PidFile(path)
    held.acquire()
    os.unlink(path)
    other = PidFile(path)
    other.acquire()
    held.release()
    assert running_pid(path) == os.getpid()
    other.release()


def test_a_missing_directory_is_said(path):
    with pytest.raises(PidFileError) as caught:
        PidFile(path + '/x').acquire()
    assert 'create its directory' in str(caught.value)
    assert running_pid(path + '/x') is None


def test_a_strangers_file_naming_somebody_elses_process_is_refused(path, monkeypatch):
    held = PidFile(path)
    held.acquire()
    monkeypatch.setattr(pid_file, '_read_pid', lambda fd: os.getpid())
    pid_file._check_owner(path, os.getpid(), os.getuid())
    with pytest.raises(PidFileError) as caught:
        pid_file._check_owner(path, os.getpid(), os.getuid() + 12345)
    assert 'remove it' in str(caught.value)
    held.release()
