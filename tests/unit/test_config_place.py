"""Where the configuration file is looked for: one order, for the daemon and every utility."""

import os

import pytest

import ahmlib.main
from ahmlib.config import place
from ahmlib.utilities import (
    attach_node,
    check_config,
    cluster_status,
    common,
    promote_node,
    shutdown_cluster,
    simulate,
)

UTILITIES = (attach_node, check_config, cluster_status, promote_node, shutdown_cluster, simulate)


@pytest.fixture
def defaults(tmp_path, monkeypatch):
    """Three places of which none is there yet; paths."""
    paths = tuple(str(tmp_path / name) for name in ('first.yml', 'second.yml', 'last.yml'))
    monkeypatch.setattr(place, 'DEFAULT_PATHS', paths)
    monkeypatch.delenv(place.VARIABLE, raising=False)
    return paths


def write(path, text='node_name: a\n'):
    """A file with this text; its path."""
    with open(str(path), 'w') as file:
        file.write(text)
    return str(path)


def test_f_goes_before_the_variable_and_that_before_the_defaults(defaults, tmp_path):
    given, other = write(tmp_path / 'given.yml'), write(tmp_path / 'other.yml')
    assert place.find(None, {}) is None
    for path in reversed(defaults):
        assert place.find(None, {}) != place.Place(path)
        write(path)
        assert place.find(None, {}) == place.Place(path)
    assert place.find(None, {'AHM_CONFIG': other}) == place.Place(other, 'AHM_CONFIG')
    assert place.find(given, {'AHM_CONFIG': other}) == place.Place(given, '-f')


def test_an_empty_variable_is_as_none(defaults):
    path = write(defaults[1])
    assert place.demand(None, {'AHM_CONFIG': ''}) == path


def test_a_relative_path_is_taken_from_here(defaults, tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    write(tmp_path / 'here.yml')
    assert place.demand('here.yml', {}) == str(tmp_path / 'here.yml')
    assert place.demand(None, {'AHM_CONFIG': 'here.yml'}) == str(tmp_path / 'here.yml')


@pytest.mark.parametrize('given, environ, by', [
    ('/no/such.yml', {}, '-f'), (None, {'AHM_CONFIG': '/no/such.yml'}, 'AHM_CONFIG')])
def test_a_file_that_is_named_and_not_there_is_replaced_by_no_other(defaults, given, environ, by):
    write(defaults[0])
    with pytest.raises(place.NotThere) as caught:
        place.find(given, environ)
    assert str(caught.value).startswith('%s: found no file /no/such.yml, expected' % by)


def test_where_there_is_none_all_that_was_tried_is_named(defaults):
    with pytest.raises(place.NotThere) as caught:
        place.demand(None, {})
    assert all(tried in str(caught.value) for tried in defaults + ('-f', 'AHM_CONFIG'))


@pytest.mark.parametrize('utility', UTILITIES, ids=lambda module: module.__name__)
def test_a_named_file_that_is_missing_is_2_for_every_utility(utility, defaults, capsys):
    words = ['--fault', 'cut'] if utility is simulate else []
    assert common.run(utility.main, words + ['-f', '/no/such.yml']) == 2
    assert capsys.readouterr().err == (
        'Command Failed: -f: found no file /no/such.yml, expected the configuration file there; '
        'create it or correct the path\n')


@pytest.mark.parametrize('action', ['start', 'stop', 'restart', 'reload'])
def test_a_named_file_that_is_missing_is_2_for_the_daemon(action, defaults, capsys):
    assert ahmlib.main.main(['-f', '/no/such.yml', action]) == 2
    assert capsys.readouterr().err.startswith('-f: found no file /no/such.yml, expected')


@pytest.mark.parametrize('action', ['start', 'restart', 'reload'])
def test_without_any_file_the_daemon_names_the_places_and_is_2(action, defaults, capsys):
    assert ahmlib.main.main([action]) == 2
    said = capsys.readouterr().err
    assert all(path in said for path in defaults) and said.count('\n') == 1


def test_a_utility_takes_the_socket_of_the_file_that_the_variable_names(
        defaults, tmp_path, monkeypatch):
    monkeypatch.setenv('AHM_CONFIG', write(tmp_path / 'c.yml', 'socket_dir: /run/x\n'))
    found = common.where(common.arguments(cluster_status.__doc__, []))
    assert (found.socket_dir, found.port) == ('/run/x', 9595)


def test_a_default_file_that_cannot_be_used_stops_nobody_and_is_said_where_it_matters(
        defaults, tmp_path, capsys):
    path = write(defaults[0], 'socket_dir: [\n')
    found = common.where(common.arguments(cluster_status.__doc__, ['-s', str(tmp_path)]))
    assert found.socket_dir == str(tmp_path) and found.remark.startswith('%s was not used' % path)
    assert common.run(cluster_status.main, ['-s', str(tmp_path)]) == 3
    assert '%s was not used: ' % path in capsys.readouterr().err


def test_a_wrong_port_beside_a_broken_default_file_is_still_a_wrong_usage(defaults, capsys):
    write(defaults[0], 'socket_dir: [\n')
    assert common.run(cluster_status.main, ['-p', 'x']) == 2
    assert "--port: found 'x'" in capsys.readouterr().err


@pytest.mark.parametrize('module', UTILITIES + (ahmlib.main,), ids=lambda module: module.__name__)
def test_every_usage_names_the_places(module):
    words = module.__doc__
    assert '$' + place.VARIABLE in words
    for path in place.DEFAULT_PATHS:
        assert (path if module is ahmlib.main else os.path.dirname(path)) in words
