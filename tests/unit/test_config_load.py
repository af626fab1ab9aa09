"""load(): ahm_config.yml with its nodes.conf, on the host it is for."""

import os

import pytest

from ahmlib.config import problems
from ahmlib.config.loader import ConfigError, load

WITNESS = 'node_name: w\nis_witness: true\n'


@pytest.fixture
def place(tmp_path):
    """A directory with a witness's configuration, a nodes.conf and directories of its own."""
    (tmp_path / 'state').mkdir()
    (tmp_path / 'ahm_config.yml').write_text(WITNESS + 'data_dir: state\nsocket_dir: state\n')
    (tmp_path / 'nodes.conf').write_text('192.0.2.1:9500\n192.0.2.2:9500\n192.0.2.3:9500\n')
    return tmp_path


def own(address):
    """Says that this host is the second node."""
    return address == '192.0.2.2'


def load_problems(path, **more):
    """The problems of a file that load() has to refuse."""
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ=more.pop('environ', {}), is_local=more.pop('is_local', own),
             **more)
    return caught.value.problems


def test_load_finds_the_nodes_and_this_one_among_them(place):
    config = load(str(place / 'ahm_config.yml'), {}, '/', own)
    assert config.nodes.own == 1 and len(config.nodes.entries) == 3
    assert config.nodes_filename == config.nodes.path == str(place / 'nodes.conf')
    assert config.path == str(place / 'ahm_config.yml')


def test_nodes_conf_is_looked_for_in_the_specified_order(place):
    for name in ('work', 'home', 'home/etc'):
        (place / name).mkdir()
    everywhere = [place / 'work', place, place / 'home' / 'etc']
    for directory in everywhere:
        (directory / 'nodes.conf').write_text('192.0.2.2:9500\n')
    path = str(place / 'ahm_config.yml')
    for directory in everywhere:
        config = load(path, {'AHM_HOME': str(place / 'home')}, str(place / 'work'), own)
        assert config.nodes_filename == str(directory / 'nodes.conf')
        (directory / 'nodes.conf').unlink()
    line, = load_problems(path, environ={'AHM_HOME': str(place / 'home')},
                          working_directory=str(place / 'work'))
    assert 'no such file' in line and line.count('nodes.conf') == 3


def test_a_relative_nodes_filename_is_relative_to_the_file(place):
    (place / 'work').mkdir()
    (place / 'nodes.conf').rename(place / 'state' / 'others')
    with open(str(place / 'ahm_config.yml'), 'a') as stream:
        stream.write('nodes_filename: state/others\n')
    config = load('../ahm_config.yml', {}, str(place / 'work'), own)
    assert config.nodes_filename == str(place / 'state' / 'others')
    (place / 'state' / 'others').unlink()
    assert ':5: nodes_filename: ' in load_problems(place / 'ahm_config.yml')[0]


def test_mistakes_in_both_files_and_of_the_host_are_reported_together(place):
    (place / 'ahm_config.yml').write_text('node_name: a\npriority: x\ndata_dir: gone\n')
    (place / 'nodes.conf').write_text('192.0.2.2:9500\nhost:9500\n')
    lines = load_problems(place / 'ahm_config.yml', environ={'PGDATA': '/pg', 'PATH': '/'})
    assert [word in line for word, line in zip(
        (':2: priority: ', 'nodes.conf:2: ', ':3: data_dir: ', ':1: db_bin_dir: '), lines)
            ] == [True] * 4 and len(lines) == 4


def test_nodes_are_checked_even_where_the_port_is_broken(place):
    (place / 'ahm_config.yml').write_text(WITNESS + 'ahm_port: x\n')
    assert len(load_problems(place / 'ahm_config.yml')) == 1
    (place / 'nodes.conf').write_text('nonsense\n')
    assert len(load_problems(place / 'ahm_config.yml')) == 2


@pytest.mark.parametrize('make, words', [
    (lambda path: None, 'no such file'),
    (lambda path: path.mkdir(), 'no regular file'),
    (lambda path: path.symlink_to(path), 'cannot be read'),
    (lambda path: path.write_bytes(b'#' * (problems.FILE_BYTES_MAX + 1)), 'more than'),
])
def test_a_file_that_cannot_be_read_is_refused(place, make, words):
    make(place / 'other.yml')
    line, = load_problems(place / 'other.yml')
    assert line.startswith('%s: found ' % (place / 'other.yml')) and words in line


def test_a_fifo_does_not_block_the_start(place):
    os.mkfifo(str(place / 'fifo.yml'))
    assert 'no regular file' in load_problems(place / 'fifo.yml')[0]


def test_without_host_checks_only_the_values_are_read(place):
    (place / 'ahm_config.yml').write_text(WITNESS + 'data_dir: gone\n')
    config = load(str(place / 'ahm_config.yml'), {}, '/', own, check_host=False)
    assert config.data_dir == str(place / 'gone')
    assert 'data_dir' in load_problems(place / 'ahm_config.yml')[0]


def test_warnings_of_the_nodes_and_of_the_host_are_in_the_config(place):
    with open(str(place / 'ahm_config.yml'), 'a') as stream:
        stream.write('post_promotion_command: /no/such/program\n')
    (place / 'nodes.conf').write_text('192.0.2.1:9500\n192.0.2.2:9500\n')
    warnings = load(str(place / 'ahm_config.yml'), {}, '/', own).warnings
    assert any('two nodes need both votes' in line for line in warnings)
    assert any('post_promotion_command' in line for line in warnings)


def test_listen_address_names_the_own_entry(place):
    with open(str(place / 'ahm_config.yml'), 'a') as stream:
        stream.write('listen_address: 192.0.2.3\n')
    config = load(str(place / 'ahm_config.yml'), {}, '/', lambda address: True)
    assert config.nodes.own == 2
    (place / 'ahm_config.yml').write_text(WITNESS)
    assert 'listen_address' in load_problems(place / 'ahm_config.yml',
                                             is_local=lambda address: True)[0]


def test_the_vip_in_nodes_conf_is_refused(place):
    with open(str(place / 'ahm_config.yml'), 'a') as stream:
        stream.write('virtual_IP: 192.0.2.1\nif_up_cmd: a\nif_down_cmd: a\n')
    line, = load_problems(place / 'ahm_config.yml')
    assert 'none of the addresses in nodes.conf' in line
