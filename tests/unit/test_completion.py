"""The completion by bash: the file is that of the usages, and bash completes by it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from ahmlib.utilities import completion, usage
from release import deb, tarball

from .test_cluster_status import ENTRANCE, ROOT, answerer, node, status  # noqa: F401

SCRIPT = os.path.join(ROOT, 'conf', 'ahm.bash_completion')
TYPED = """
. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_ahm
printf '%s\\n' "${COMPREPLY[@]}"
"""

needs_bash = pytest.mark.skipif(shutil.which('bash') is None, reason='there is no bash')


def test_the_file_is_that_of_the_usages():
    with open(SCRIPT, encoding='utf-8') as file:
        assert file.read() == completion.script(), \
            'run python3 -m ahmlib.utilities.completion > conf/ahm.bash_completion'


def test_every_command_is_completed():
    assert sorted(completion.COMMANDS) == sorted(os.listdir(os.path.join(ROOT, 'bin')))


@pytest.mark.parametrize('command', sorted(completion.COMMANDS))
def test_every_option_of_a_command_is_completed_and_every_value_has_its_kind(command):
    found = completion.usage_of(completion.COMMANDS[command])
    doc = sys.modules[completion.COMMANDS[command]].__doc__
    assert {'--help', '--version', '--json'} <= set(found.options)
    for option in usage.options(doc):
        assert set(option.names) <= set(found.options)
        taken = [kind for kind, names in found.takes.items() if set(option.names) & set(names)]
        assert taken == ([completion.VALUES[option.value]] if option.value else [])


def typed(*words, **environ):
    """What bash would offer for the last of these words."""
    done = subprocess.run(['bash', '-c', TYPED, 'bash', SCRIPT] + list(words), cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=dict(os.environ, **environ))
    assert done.stderr == b''
    return done.stdout.decode('utf-8').split('\n')[:-1]


@needs_bash
@pytest.mark.parametrize('words, offered', [
    (['ahm', 're'], ['restart', 'reload']), (['ahm', '-d', 'sto'], ['stop']),
    (['/opt/ahm/bin/ahm', '--js'], ['--json']), (['ahm_promote_node', '--dry'], ['--dry-run']),
    (['ahm_cluster_status', '--standbys-'], ['--standbys-warning', '--standbys-critical']),
    (['ahm', '-f', 'conf/nodes'], ['conf/nodes.conf.sample']),
    (['ahm_attach_node', '--config-file', '=', 'conf/nodes'], ['conf/nodes.conf.sample']),
    (['ahm_attach_node', '--socket-dir', '=', 'ahmlib/ip'], ['ahmlib/ipc']),
    (['ahm_attach_node', '-s', 'setup'], ['']), (['ahm_promote_node', '-p', ''], ['']),
    (['ahm_simulate', '--fault', 'power-'], ['power-off', 'power-on']),
    (['ahm_shutdown_cluster', 'x'], ['']), (['ahm', '--bogus'], [''])])
def test_what_is_offered(words, offered):
    assert typed(*words) == offered


@pytest.fixture
def commands(tmp_path):
    """A directory with an ahm_cluster_status that this Python runs."""
    path = tmp_path / 'ahm_cluster_status'
    path.write_text('#!/bin/sh\nexec "%s" "%s" "$@"\n' % (sys.executable, ENTRANCE))
    path.chmod(0o755)
    return str(tmp_path)


@needs_bash
def test_names_of_nodes_are_those_of_the_daemon_that_the_line_names(
        answerer, commands):  # noqa: F811
    answerer.answer = {'ok': True, 'status': status(
        nodes=[node(1, name='db1'), node(2, name='db2'), node(3, name=None), node(4, name='x')])}
    promote = os.path.join(commands, 'ahm_promote_node')
    assert typed(promote, '-s', answerer.directory, 'db') == ['db1', 'db2']
    assert typed(promote, '--socket-dir', '=', answerer.directory, '-h', '') == ['db1', 'db2', 'x']
    assert typed(promote, '-s', answerer.directory, '--host', '=') == ['db1', 'db2', 'x']


@needs_bash
def test_without_a_daemon_no_name_is_offered_and_nothing_is_said(commands, tmp_path):
    promote = os.path.join(commands, 'ahm_promote_node')
    assert typed(promote, '-s', str(tmp_path), '') == ['']


@needs_bash
def test_a_status_that_hangs_holds_nobody_up(commands):
    with open(os.path.join(commands, 'ahm_cluster_status'), 'w') as file:
        file.write('#!/bin/sh\nexec sleep 600\n')
    assert typed(os.path.join(commands, 'ahm_promote_node'), 'd') == ['']


def test_the_script_registers_every_command():
    with open(SCRIPT, encoding='utf-8') as file:
        names = re.search(r'^complete -F _ahm (.*)$', file.read(), re.MULTILINE).group(1).split()
    assert names == list(completion.COMMANDS)


@needs_bash
def test_the_tarball_has_a_file_for_each_command_that_leads_to_the_one(tmp_path):
    tree = tarball.own()
    for path in ('share/bash-completion/completions/ahm_promote_node',
                 'share/ahm/ahm.bash_completion'):
        target = tmp_path / path
        target.parent.mkdir(parents=True)
        target.write_bytes(tree[path].data)
    done = subprocess.run(['bash', '-c', '. "$1"; complete -p ahm_promote_node', 'bash', str(
        tmp_path / 'share/bash-completion/completions/ahm_promote_node')],
        stdout=subprocess.PIPE, timeout=60)
    assert done.stdout == b'complete -F _ahm ahm_promote_node\n'
    assert {path for path in tree if path.startswith('share/bash-completion/')} == {
        'share/bash-completion/completions/' + name for name in completion.COMMANDS}


def test_the_package_of_debian_has_one_for_each_command(tmp_path):
    deb.stage(str(tmp_path))
    place = str(tmp_path / deb.COMPLETIONS)
    assert sorted(os.listdir(place)) == sorted(completion.COMMANDS)
    with open(SCRIPT, encoding='utf-8') as file:
        text = file.read()
    for name in completion.COMMANDS:
        with open(os.path.join(place, name), encoding='utf-8') as file:
            assert file.read() == text


def test_the_rpm_has_them_too():
    with open(os.path.join(ROOT, 'conf', 'ahm.spec'), encoding='utf-8') as file:
        spec = file.read()
    assert spec.count('bash-completion/completions/') == 3
    assert '%{_datadir}/bash-completion/completions/ahm*' in spec.split('%files')[1]
