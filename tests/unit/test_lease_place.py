"""Where the lease file is: in memory, the same for every start, and nobody else's."""

import os

import pytest

from ahmlib.runtime import lease_place, state_file
from ahmlib.runtime.lease_place import lease_paths
from ahmlib.runtime.memory import Memory

ADDRESSES = ('192.0.2.1:9500',)


@pytest.fixture
def data_dir(tmp_path):
    """A data_dir."""
    (tmp_path / 'data').mkdir()
    return str(tmp_path / 'data')


@pytest.fixture
def memory_place(tmp_path, monkeypatch):
    """A directory that counts as memory."""
    place = tmp_path / 'memory'
    place.mkdir()
    monkeypatch.setattr(lease_place, '_kinds', lambda: {os.stat(str(place)).st_dev: 'tmpfs'})
    return str(place)


def test_a_place_on_a_disk_is_none(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(lease_place, '_kinds', lambda: {os.stat(data_dir).st_dev: 'ext4'})
    assert lease_paths(data_dir, [str(tmp_path)]) == [os.path.join(data_dir, 'ahm.lease')]


def test_what_cannot_be_told_or_is_not_there_is_no_memory(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(lease_place, 'MOUNTS', '/nowhere/mountinfo')
    assert len(lease_paths(data_dir, [str(tmp_path), str(tmp_path / 'none')])) == 1


@pytest.mark.skipif(lease_place._kinds().get(os.stat('/dev/shm').st_dev) != 'tmpfs',
                    reason='/dev/shm is no tmpfs here')
def test_the_shared_memory_of_a_host_is_memory(data_dir):
    found = lease_paths(data_dir)
    assert os.path.dirname(found[0]) in lease_place.PLACES


def test_every_data_dir_and_user_has_a_file_of_its_own(tmp_path, data_dir, memory_place,
                                                       monkeypatch):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'link').symlink_to(data_dir)
    first = lease_paths(data_dir, [memory_place])[0]
    assert first == lease_paths(str(tmp_path / 'link'), [memory_place])[0]
    assert first != lease_paths(str(tmp_path / 'other'), [memory_place])[0]
    monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    assert first != lease_paths(data_dir, [memory_place])[0]


@pytest.mark.parametrize('make', [
    lambda path: os.symlink('/etc/passwd', path), os.mkfifo, os.mkdir,
    lambda path: os.link(__file__ if os.stat(__file__).st_dev == os.stat(
        os.path.dirname(path)).st_dev else _a_file(path), path)],
    ids=['link', 'fifo', 'directory', 'hard link'])
def test_what_somebody_put_there_is_left_alone_and_the_next_place_taken(data_dir, memory_place,
                                                                        make):
    path = lease_paths(data_dir, [memory_place])[0]
    make(path)
    assert lease_paths(data_dir, [memory_place]) == [os.path.join(data_dir, 'ahm.lease')]
    assert os.path.lexists(path)


def _a_file(path):
    with open(path + '.other', 'w') as file:
        file.write('x')
    return path + '.other'


def test_a_lease_of_the_version_before_is_taken_along(data_dir, memory_place):
    old = Memory(data_dir, ADDRESSES)
    state_file.save_lease(old.lease_path, {'boot': state_file.boot_id(), 'until': 77.5})
    paths = lease_paths(data_dir, [memory_place])
    assert Memory(data_dir, ADDRESSES, paths).load_lease() == 77.5
    assert not os.path.exists(old.lease_path) and os.stat(paths[0]).st_mode & 0o777 == 0o600
    assert Memory(data_dir, ADDRESSES, paths).load_lease() == 77.5


def test_of_two_leases_the_newest_counts_not_the_longest(data_dir, memory_place):
    paths = lease_paths(data_dir, [memory_place])
    Memory(data_dir, ADDRESSES, paths[:1]).save_lease(900.0)
    Memory(data_dir, ADDRESSES, paths[1:]).save_lease(0.0)
    assert Memory(data_dir, ADDRESSES, paths).load_lease() == 0.0
    assert Memory(data_dir, ADDRESSES, paths[:1]).load_lease() == 0.0


class Writer:
    """Stands where the disk is, and answers when it is told to."""

    def __init__(self):
        self.asked = []

    def replace(self, path, data, on_end, is_durable=True):
        """Take it."""
        self.asked.append((path, data, on_end, is_durable))


def test_a_lease_on_a_disk_is_handed_over_and_only_the_newest_waits(data_dir):
    writer, said = Writer(), []
    memory = Memory(data_dir, ADDRESSES, [os.path.join(data_dir, 'ahm.lease')], writer)
    for until in (1.0, 2.0, 3.0):
        memory.save_lease(until, said.append)
    assert len(writer.asked) == 1 and not writer.asked[0][3]
    writer.asked[0][2]('No space left on device')
    assert len(writer.asked) == 2 and b'"until": 3.0' in writer.asked[1][1]
    assert len(said) == 1 and 'No space left' in said[0] and data_dir in said[0]
    writer.asked[1][2]('')
    assert len(writer.asked) == 2 and len(said) == 1
