"""The files, command lines and figures that the manual prints in 19.4, 19.5 and 19.8, as is."""

import os
import re

import pytest

import ahmlib.main
from ahmlib.config import loader, nodes_file
from ahmlib.config.schema import BY_NAME, PARAMETERS
from ahmlib.config.timing import failover_intervals

from . import manual

TEXT = manual.text()
SAMPLE = os.path.join(os.path.dirname(manual.PATH), 'manual_ahm_config.sample.yml')
PATH = '/home/agens/AHM/etc/ahm_config.yml'
ENTRIES = [('210.104.181.77', 9500), ('210.104.181.78', 9500)]


def listings(section, command):
    """What follows this command line in the listings of a section, one text each."""
    return [block.partition('\n')[2] for block in manual.blocks(TEXT, section)
            if block.startswith(command + '\n')]


CONFIGURATIONS = (listings('19.4.2', '> cat ahm_config.yml')
                  + listings('19.8', '$ vi /home/agens/AHM/etc/ahm_config.yml'))


@pytest.mark.parametrize('place', range(3))
def test_each_printed_configuration_loads_as_it_stands_value_for_value(place):
    with open(SAMPLE, 'rb') as file:
        meant = loader.parse(file.read(), PATH, {})
    printed = loader.parse(CONFIGURATIONS[place], PATH, {})
    assert printed.given == meant.given and len(printed.given) == 37
    assert loader.differences(printed, meant) == ()
    assert printed.warnings == meant.warnings


def test_no_other_configuration_is_printed():
    assert len(CONFIGURATIONS) == 3


@pytest.mark.parametrize('name', manual.parameters(TEXT))
def test_each_parameter_is_known_as_the_manual_spells_it(name):
    assert not BY_NAME[name.lower()].beyond


def test_the_defaults_in_the_table_of_the_parameters_are_the_products():
    told = {name: re.search(r'\((?:기본 포트 : )?([/\w.]+)\)$', text)
            for name, text in manual.table(TEXT, '19.4.1', r'[A-Za-z_]+$')}
    defaults = {name: found.group(1) for name, found in told.items() if found}
    assert set(defaults) == {'ahm_port', 'ipc_port', 'data_dir', 'socket_dir', 'if_cmd_path',
                             'arping_path', 'pid_file_name'}
    assert defaults == {name: str(BY_NAME[name].default) for name in defaults}


def figures(row):
    """The whole numbers in the last cell of a row."""
    return [int(found) for found in re.findall(r'\d+', row[-1])]


def test_the_defaults_of_the_intervals_table_are_the_products():
    rows = [row for row in manual.table(TEXT, '19.4.2', r'.*') if len(row) == 3
            and row[1] in BY_NAME]
    assert len(rows) == 7
    for row in rows:
        assert figures(row) == [BY_NAME[row[1]].default], row


def test_the_printed_failover_intervals_are_kept():
    config = loader.parse('node_name: x\nis_witness: true\n', PATH, {})
    promised = [figures(row) for row in manual.table(TEXT, '19.4.2', 'Failover Interval')]
    assert promised == [[36, 44], [195, 230]]
    takeover = 1.5      # votes, promotion and VIP, without a script; see test_intervals.py
    intervals = failover_intervals(config)
    assert intervals.lost_node.most + takeover < promised[0][0]
    assert intervals.database_hanging.most + takeover < promised[1][0]


@pytest.mark.parametrize('section, command', [
    ('19.4.3', '> cat nodes.conf'), ('19.8', '$ vi nodes.conf')])
def test_each_printed_nodes_conf_is_read(section, command):
    listing, = listings(section, command)
    entries, problems = nodes_file.parse(listing.partition('Fail-Over')[0], PATH)
    assert problems == [] and [tuple(entry) for entry, _ in entries] == ENTRIES


def test_without_f_the_configuration_is_where_the_manual_says(monkeypatch):
    # Of the places that are looked at, it is the only one where a file is; and -f names one.
    there = ['/usr/local/etc/ahm_config.yml', '/home/agens/etc/ahm_config.yml']
    monkeypatch.setattr(os.path, 'exists', there.__contains__)
    monkeypatch.setattr(os.path, 'lexists', there.__contains__)
    monkeypatch.delenv('AHM_CONFIG', raising=False)
    asked = []

    def load(path):
        asked.append(path)
        raise loader.ConfigError(['no more of it'])
    monkeypatch.setattr(ahmlib.main.loader, 'load', load)
    assert ahmlib.main.main([]) == 1
    assert ahmlib.main.main(['-f', '/home/agens/etc/ahm_config.yml']) == 1
    assert asked == there


def plain(text):
    """The words of a text, with the brackets of a usage closed up."""
    return text.replace('[ ', '[').replace(' ]', ']').split()


def test_the_usage_is_the_manuals_with_restart_and_reload():
    printed = manual.blocks(TEXT, '19.5')[0]
    usage = [line for line in ahmlib.main.__doc__.splitlines() if line.startswith('  ahm')]
    assert plain(printed) == ['ahm', '[-f', 'CONFIG_FILE]', '[-d]', '[-n]', '[stop|start]']
    assert [plain(line) for line in usage] == [
        plain(printed)[:-1] + ['[--json]', '[start|stop|restart|reload]']]


@pytest.mark.parametrize('word', ['--help', '-help'])
def test_the_help_has_every_line_of_the_manuals(word, capsys):
    listing, = listings('19.5', '> ahm -- help')
    with pytest.raises(SystemExit):
        ahmlib.main.main([word])
    helped = [' '.join(line.split()) for line in capsys.readouterr().out.splitlines()]
    lines = [' '.join(line.split()) for line in listing.splitlines() if line.strip()]
    assert len(lines) == 10
    for line in lines:
        assert line in helped or line == 'ahm [ -f CONFIG_FILE ] [ -d ] [stop|start]', line


def test_every_parameter_that_is_printed_somewhere_is_in_the_table_of_the_parameters():
    keys = set()
    for listing in CONFIGURATIONS:
        keys.update(re.findall(r'^#?([A-Za-z_]+) ?:', listing, re.MULTILINE))
    named = {name.lower() for name in manual.parameters(TEXT)}
    assert {key.lower() for key in keys} - named == {'log_severity'}
    assert named | {'log_severity'} == {row.attribute for row in PARAMETERS if not row.beyond}
