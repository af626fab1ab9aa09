"""What survives a restart: state and lease, also where nodes.conf or the file has changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.core.beacon import Claim, Pause, Record
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.runtime import state_file
from ahmlib.runtime.memory import LEASE_NAME, STATE_NAME, Memory
from ahmlib.runtime.state_file import StateFileCorrupt, StateFileError

ADDRESSES = ('192.0.2.1:9500', '192.0.2.2:9500', '[2001:db8::1]:9500')
SAVED = Saved(7, 1, 2, 1.25, True, True, Record(3, 6, 1, '7300000000000000001'),
              ('AHM-NODE-1', None, 'node three'), True, Claim(6, 2, 1, (1, 2)))

nodes = st.integers(0, len(ADDRESSES) - 1)
numbers = st.integers(0, 2 ** 63 - 1)
saved_states = st.builds(
    Saved, numbers, st.none() | st.just(SPENT) | nodes, st.none() | nodes, st.floats(0, 1e6),
    st.booleans(), st.booleans(),
    st.none() | st.builds(Record, numbers, numbers, nodes, st.text(max_size=20)),
    st.tuples(*[st.none() | st.text(max_size=20)] * len(ADDRESSES)), st.booleans(),
    st.lists(nodes, unique=True).map(tuple).flatmap(lambda those: st.builds(
        Claim, numbers, numbers, st.integers(0, len(those)), st.just(those))), st.booleans(),
    st.builds(Pause, numbers, numbers, st.just(False), st.none() | nodes, st.booleans())
    | st.builds(Pause, numbers, numbers, st.booleans(), nodes, st.booleans()))


@pytest.fixture
def memory(tmp_path):
    """A Memory in an empty directory."""
    return Memory(str(tmp_path), ADDRESSES)


def test_without_files_there_is_nothing_to_remember(memory):
    assert memory.load() is None
    assert memory.load_lease() == 0.0


@given(saved=saved_states)
def test_what_was_saved_is_loaded(tmp_path_factory, saved):
    directory = str(tmp_path_factory.mktemp('memory'))
    Memory(directory, ADDRESSES).save(saved)
    assert Memory(directory, ADDRESSES).load() == saved


def test_the_first_daemon_of_a_boot_is_told_from_the_next(tmp_path, monkeypatch):
    def first():
        memory = Memory(str(tmp_path), ADDRESSES)
        memory.load_lease()
        return memory.is_first_of_boot
    assert first()
    assert first()                          # that one has not said yet that it was there
    Memory(str(tmp_path), ADDRESSES).save_lease(0.0)
    assert not first()
    monkeypatch.setattr(state_file, 'boot_id', lambda: 'another boot')
    assert first()


def test_another_cluster_than_before_is_noticed(tmp_path):
    assert Memory(str(tmp_path), ADDRESSES, cluster=5).cluster_before is None
    Memory(str(tmp_path), ADDRESSES, cluster=5).save(SAVED)
    memory = Memory(str(tmp_path), ADDRESSES, cluster=6)
    assert memory.load() == SAVED._replace(moved=True) and memory.cluster_before == 5


def test_what_a_change_of_nodes_conf_rests_on_is_remembered(tmp_path):
    pause = Pause(8, 2, True, 1, True)
    Memory(str(tmp_path), ADDRESSES, cluster=5).save(SAVED._replace(pause=pause))
    memory = Memory(str(tmp_path), ADDRESSES[:2], cluster=6)
    saved = memory.load()
    assert saved.moved and saved.pause == pause and memory.has_moved
    assert memory.nodes_before == ADDRESSES and memory.holder_before == ADDRESSES[1]
    memory.is_at_home = False           # it is not known yet whether the daemon stays
    memory.save(saved)
    again = Memory(str(tmp_path), ADDRESSES[:2], cluster=6)
    assert again.load() == saved and again.cluster_before == 5
    assert again.nodes_before == ADDRESSES
    again.save(saved)
    home = Memory(str(tmp_path), ADDRESSES[:2], cluster=6)
    assert home.load().moved and not home.has_moved
    for other in (pause._replace(sealed=False), pause._replace(on=False)):
        home.save(saved._replace(pause=other))
        memory = Memory(str(tmp_path), ADDRESSES[:2], cluster=6)
        memory.load()
        assert memory.holder_before is None


def test_the_files_belong_to_their_owner_alone(memory, tmp_path):
    memory.save(SAVED)
    memory.save_lease(12.5)
    assert {path.name for path in tmp_path.iterdir()} == {STATE_NAME, LEASE_NAME}
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_nodes_are_found_by_address_where_places_shifted(memory, tmp_path):
    memory.save(SAVED)
    more = ('192.0.2.0:9500',) + ADDRESSES
    assert Memory(str(tmp_path), more).load() == SAVED._replace(
        voted_for=2, leader=3, record=SAVED.record._replace(node=2),
        names=(None, 'AHM-NODE-1', None, 'node three'),
        claim=SAVED.claim._replace(nodes=(2, 3)))


def test_an_address_that_left_nodes_conf_is_nobody(memory, tmp_path):
    memory.save(SAVED)
    found = Memory(str(tmp_path), ADDRESSES[:1]).load()
    assert found == Saved(7, None, None, 1.25, True, True, None, ('AHM-NODE-1',), True,
                          Claim(6, 2, 0, ()))


def test_a_spent_vote_stays_spent_whoever_left(memory, tmp_path):
    memory.save(SAVED._replace(voted_for=SPENT))
    assert Memory(str(tmp_path), ADDRESSES[:1]).load().voted_for == SPENT


@pytest.mark.parametrize('damage', [
    lambda data: b'', lambda data: data[:-10], lambda data: data[:len(data) // 2],
    lambda data: data.replace(b'"term": 7', b'"term": 8'), lambda data: b'\0' * len(data),
    lambda data: b'{}', lambda data: b'[' * 10 ** 5, lambda data: b'[]',
    lambda data: data.replace(b'"term": 7', b'"term": NaN'),
    lambda data: data.replace(b'"format": 1', b'"format": 2'),
])
def test_a_damaged_state_file_is_corrupt_and_says_so_in_a_line(memory, tmp_path, damage):
    memory.save(SAVED)
    path = tmp_path / STATE_NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StateFileCorrupt) as corrupt:
        memory.load()
    assert str(path) in str(corrupt.value) and '\n' not in str(corrupt.value)


@pytest.mark.parametrize('changes', [
    {'term': None}, {'term': 'x'}, {'term': -1}, {'term': True}, {'term': 2 ** 63}, {'term': 1.5},
    {'hold': None}, {'hold': -1.0}, {'names': None}, {'names': []},
    {'names': {ADDRESSES[0]: 5}}, {'record': [1, 2]}, {'record': 5}, {'record': [1, 2, [], 'x']},
    {'record': ['a', 2, ADDRESSES[0], 'x']}, {'voted_for': []}, {'voted_for': 5},
    {'leader': {}}, {'bound': 'no'}, {'blind': None}, {'nodes': [5]}, {'nodes': {}}, {'moved': 1},
])
def test_a_sound_file_with_senseless_content_is_corrupt(memory, changes):
    memory.save(SAVED)
    content = dict(state_file.load(memory.state_path), **changes)
    state_file.save(memory.state_path, content)
    with pytest.raises(StateFileCorrupt) as corrupt:
        memory.load()
    assert memory.state_path in str(corrupt.value) and '\n' not in str(corrupt.value)


def test_a_file_that_lacks_a_part_is_corrupt(memory):
    memory.save(SAVED)
    whole = state_file.load(memory.state_path)
    for name in set(whole) - {'claim', 'cluster', 'maintenance', 'pause',
                              'nodes', 'moved'}:        # not written before
        state_file.save(memory.state_path,
                        {key: value for key, value in whole.items() if key != name})
        with pytest.raises(StateFileCorrupt) as corrupt:
            memory.load()
        assert repr(name) in str(corrupt.value)


def test_a_file_of_the_version_before_knows_of_no_claim(memory):
    memory.save(SAVED)
    whole = state_file.load(memory.state_path)
    del whole['claim']
    state_file.save(memory.state_path, whole)
    assert memory.load() == SAVED._replace(claim=Claim())


@pytest.mark.parametrize('claim', [
    5, [], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, [4]], [-1, 0, 0, []], [1, 2, 'x', []]])
def test_a_claim_that_ahm_does_not_write_is_corrupt(memory, claim):
    memory.save(SAVED)
    whole = state_file.load(memory.state_path)
    state_file.save(memory.state_path, dict(whole, claim=claim))
    with pytest.raises(StateFileCorrupt):
        memory.load()


@pytest.mark.parametrize('name', [STATE_NAME, LEASE_NAME])
def test_a_symlink_is_refused(memory, tmp_path, name):
    (tmp_path / 'elsewhere').write_text('{}')
    (tmp_path / name).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(StateFileError):
        memory.load()
        memory.load_lease()


def test_the_lease_of_this_boot_counts(memory):
    memory.save_lease(1234.5)
    assert memory.load_lease() == 1234.5


def test_the_lease_of_another_boot_does_not(memory, tmp_path, monkeypatch):
    memory.save_lease(1234.5)
    monkeypatch.setattr(state_file, 'boot_id', lambda: 'another boot')
    assert Memory(str(tmp_path), ADDRESSES).load_lease() == 0.0


@pytest.mark.parametrize('until', [None, 'soon', [], {}, True])
def test_a_senseless_lease_is_none(memory, until):
    state_file.save_lease(memory.lease_path, {'boot': state_file.boot_id(), 'until': until})
    assert memory.load_lease() == 0.0


def test_a_damaged_lease_is_none(memory, tmp_path):
    memory.save_lease(1234.5)
    path = tmp_path / LEASE_NAME
    whole = path.read_bytes()
    for damaged in (b'', whole[:-5], whole.replace(b'1234.5', b'9234.5'),
                    whole.replace(b'1234.5', b'NaN')):
        path.write_bytes(damaged)
        assert memory.load_lease() == 0.0


def test_maintenance_is_on_file_and_the_version_before_wrote_none(memory):
    memory.save(SAVED._replace(maintenance=True))
    assert memory.load().maintenance is True
    whole = state_file.load(memory.state_path)
    del whole['maintenance']
    state_file.save(memory.state_path, whole)
    assert memory.load().maintenance is False


def test_a_pause_is_on_file_and_over_where_its_holder_is_no_node_any_more(memory):
    pause = Pause(7, 2, True, 1, True)
    memory.save(SAVED._replace(pause=pause))
    assert memory.load().pause == pause
    whole = state_file.load(memory.state_path)
    whole['pause'][3] = '192.0.2.99:9500'
    state_file.save(memory.state_path, whole)
    assert memory.load().pause == Pause(7, 2, False, None, True)
    whole['pause'] = [1]
    state_file.save(memory.state_path, whole)
    with pytest.raises(StateFileCorrupt):
        memory.load()
    del whole['pause']
    state_file.save(memory.state_path, whole)
    assert memory.load().pause == Pause()
