"""The pages of the commands say what the docopt text of each says, and that of the daemon what else
the program does.
"""

import os
import re
import signal
import types

import pytest

import ahmlib.main
from ahmlib.config import loader, place, rules
from ahmlib.core.node import Node
from ahmlib.database import start
from ahmlib.database.settings import DatabaseSettings
from ahmlib.runtime import daemon, event_file, lease_place, log
from ahmlib.utilities import (
    attach_node,
    check_config,
    cluster_status,
    events,
    pause_cluster,
    promote_node,
    restart_database,
    resume_cluster,
    shutdown_cluster,
    simulate,
)

from .pages import PAGES, ROOT, items, plain, section, shown, source, tags
from .rows import one_settings

#: Page -> the module whose docstring is the usage.
COMMANDS = {'ahm.8': ahmlib.main, 'ahm_attach_node.1': attach_node,
            'ahm_check_config.1': check_config, 'ahm_cluster_status.1': cluster_status,
            'ahm_events.1': events, 'ahm_pause_cluster.1': pause_cluster,
            'ahm_promote_node.1': promote_node, 'ahm_restart_database.1': restart_database,
            'ahm_resume_cluster.1': resume_cluster,
            'ahm_shutdown_cluster.1': shutdown_cluster, 'ahm_simulate.1': simulate}
DAEMON = 'ahm.8'
#: Lines of pages with one of these hold options of other programs.
OTHERS = re.compile(r'\b(jq|sh|arping|install|systemd-run|AmbientCapabilities)\b')

each_command = pytest.mark.parametrize('page', sorted(COMMANDS))


def usage_of(page):
    """The lines of the usage of a command."""
    lines = COMMANDS[page].__doc__.split('Usage:\n')[1].split('\n\n')[0]
    return [line.strip() for line in lines.splitlines()]


def options_of(page):
    """Its options as the docopt text writes them, in order: '-h, --host=HOST'."""
    found = re.findall(r'^ {0,2}(-\S.*?)(?:  .*)?$', COMMANDS[page].__doc__, re.MULTILINE)
    return [re.sub(r'^(-\w) -', r'\1, -', text) for text in found]


def test_every_command_has_a_page_and_no_page_is_of_none():
    commands = {name + ('.1' if '_' in name else '.8')
                for name in os.listdir(os.path.join(ROOT, 'bin'))}
    assert commands == set(COMMANDS) == {name for name in PAGES if name[-1] in '18'}


@each_command
def test_the_synopsis_of_a_page_is_the_usage_of_its_command(page):
    parts = section(page, 'SYNOPSIS').split('.br\n')
    assert [' '.join(map(shown, part.splitlines())) for part in parts] == usage_of(page)


@each_command
def test_every_option_of_a_command_has_its_paragraph_in_the_page(page):
    assert len(options_of(page)) > 3
    found = tags(page, 'OPTIONS')
    # An argument that docopt takes for a word of its own, not for a value of the option.
    words = [tag.split(', ')[-1] for tag in found if ' [' in tag]
    assert all(word in usage for word in words for usage in usage_of(page) if '--' in usage)
    assert [re.sub(r' \[\w+\]$', '', tag) for tag in found] == options_of(page)
    assert [tag for tag, text in items(page, 'OPTIONS').items() if len(text) < 8] == []


@each_command
def test_a_page_names_no_option_that_its_command_lacks(page):
    known = re.findall(r'(?<![\w-])--?[a-z][\w-]*', ' '.join(options_of(page)))
    lines = [line for line in source(page).splitlines() if not OTHERS.search(line)]
    named = re.findall(r'(?<![\w\\-])--?[a-z][\w-]*', '\n'.join(lines))
    assert len(set(named)) >= len(set(known)) and sorted(set(named) - set(known)) == []


# -- ahm(8) -----------------------------------------------------------------------------------


def test_the_commands_of_the_daemons_page_are_those_of_the_program():
    assert tags(DAEMON, 'COMMANDS') == list(ahmlib.main.ACTIONS)
    assert usage_of(DAEMON)[0].endswith('[%s]' % '|'.join(ahmlib.main.ACTIONS))
    assert 'After %d seconds the command says that it still waits; after %d it gives up' % (
        ahmlib.main.PATIENT_SECONDS, ahmlib.main.STOP_SECONDS) in plain(
            section(DAEMON, 'COMMANDS'))


def test_the_exit_codes_of_the_daemons_page_are_those_of_the_program():
    assert tags(DAEMON, 'EXIT STATUS') == ['0', str(ahmlib.main.FAILED), str(ahmlib.main.USAGE)]


def test_the_signals_of_the_daemons_page_are_those_that_it_waits_for():
    watched = []
    loop = types.SimpleNamespace(on_signal=lambda number, _: watched.append(number))
    daemon.Daemon._watch_signals(types.SimpleNamespace(loop=loop))
    assert tags(DAEMON, 'SIGNALS') == [signal.Signals(number).name for number in watched]
    texts = items(DAEMON, 'SIGNALS')
    assert 'what stop sends' in texts[daemon.LEAVING_SIGNAL.name]
    assert 'as for a restart' in texts[daemon.RESTARTING_SIGNALS[0].name]


def test_the_severities_of_the_daemons_page_are_those_of_the_log():
    assert tags(DAEMON, 'LOG') == list(log.SEVERITIES)


def test_what_the_daemons_page_says_of_the_unit_stands_in_the_unit():
    with open(os.path.join(ROOT, 'conf', 'ahm.service'), encoding='utf-8') as unit:
        settings = re.findall(r'^(\w+=.*)$', unit.read(), re.MULTILINE)
    named = re.findall(r'^\.B (\w+=\S+)$', section(DAEMON, 'STARTING AT BOOT'), re.MULTILINE)
    assert len(named) == 3 and set(named) <= set(settings)


def test_the_files_of_the_daemons_page_are_those_that_it_uses():
    found = tags(DAEMON, 'FILES')
    path = start.log_path(DatabaseSettings(work_dir='', db_port=5432))
    lease = lease_place.lease_paths('/')
    assert found[:2] == [place.DEFAULT_PATHS[0], loader.NODES_FILENAME]
    assert ', and then '.join(place.DEFAULT_PATHS[1:]) in plain(
        section(DAEMON, 'FILES')).replace(' ,', ',')
    assert found[2:5] == ['ahm.pid', rules.STATE_NAME, rules.LOCK_NAME]
    assert found.pop(5) == event_file.NAME
    assert found[5] == path.replace('5432', 'PORT') and found[6] == 'socket_dir/.s.AHM.ipc_port'
    assert all(re.fullmatch(r'ahm-\d+-\w+\.lease', os.path.basename(each)) for each in lease[:-1])
    assert found[7:] == ['ahm-UID-ID.lease']
    text = plain(section(DAEMON, 'FILES'))
    assert ' '.join(shown('.IR ' + part) for part in re.findall(
        r'^\.IR (/run/ahm .*)$', section(DAEMON, 'FILES'), re.MULTILINE)) == '%s, %s and %s' \
        % lease_place.PLACES
    assert rules.LEASE_NAME in text


class Asked(dict):
    """An environment that notes which variables it was asked for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def get(self, name, default=None):
        """Nothing is set."""
        self.names.append(name)
        return default


def test_the_variables_of_the_daemons_page_are_those_that_it_reads(tmp_path):
    environ = Asked()
    with pytest.raises(loader.ConfigError, match='nodes.conf'):
        (tmp_path / 'c.yml').write_text('node_name: a\n')
        loader.load(str(tmp_path / 'c.yml'), environ, str(tmp_path))
    text = section(DAEMON, 'ENVIRONMENT').split('.SS ')[0]
    named = [shown(line).split(', ') for line in re.findall(r'^\.TP\n(.*)$', text, re.MULTILINE)]
    place.find(None, environ)
    assert {name for names in named for name in names} == set(environ.names)


def test_the_variables_of_commands_are_those_that_the_core_gives_them():
    text = section(DAEMON, 'ENVIRONMENT').split('.SS ')[1]
    named = [shown(line).split(', ') for line in re.findall(r'^\.TP\n(.*)$', text, re.MULTILINE)]
    given = [name for name, _ in Node(one_settings(), None, 4711, 100.0).variables('FOLLOW')]
    assert [name for names in named for name in names] == given + ['AHM_SEVERITY', 'AHM_MESSAGE']
