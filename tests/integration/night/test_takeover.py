"""What only a takeover needs and this host lacks: it is said on a good day, by every node.

One cluster for all of them; each trouble is made by a reload with one other command, ended by
installing what lacks where that can be done (no reload, no restart), and read to be gone.
"""

import os

import pytest

from ahmlib.lab.users import tool

from ..scenarios import SECOND, refusal, succeeds
from .reading import WARNING, is_over, is_told

FAILS = 'a takeover here would fail: '
LACKS = 'a takeover here would lack: '
OVER = 'a takeover here would get through now, as far as can be tried'
THERE, NO_PROGRAM, NO_DIRECTORY, NOT_EXECUTABLE = range(4)


def path_of(scenario, name):
    """Where the program of this parameter will be, in a directory of its own."""
    return os.path.join(scenario.cluster.workspace.directory, 'of-' + name, name)


def make(scenario, path, how):
    """Bring the host into this state, from the one in which nothing is there."""
    if how in (NO_PROGRAM, NOT_EXECUTABLE, THERE) and not os.path.isdir(os.path.dirname(path)):
        os.mkdir(os.path.dirname(path))
        scenario.cluster.workspace.own(os.path.dirname(path))
    if how in (NOT_EXECUTABLE, THERE):
        scenario.cluster.workspace.write(path, '#!/bin/sh\nexit 0\n', executable=how == THERE)


def words_for(how):
    """What the finding says of it."""
    if how == NOT_EXECUTABLE:
        return 'may not be run by this user: see its mode and its owner'
    return 'is not there: install it, or correct the path'


@pytest.mark.parametrize('name, how, begins', [
    ('if_up_cmd', NO_PROGRAM, FAILS), ('if_down_cmd', NOT_EXECUTABLE, FAILS),
    ('arping_cmd', NO_PROGRAM, LACKS), ('pre_promotion_command', NO_DIRECTORY, FAILS),
    ('post_promotion_command', NOT_EXECUTABLE, LACKS)],
    ids=['if_up_cmd', 'if_down_cmd', 'arping_cmd', 'pre_promotion_command',
         'post_promotion_command'])
def test_a_command_whose_program_cannot_be_run(night, name, how, begins):
    scenario, first, second, _ = night
    path, before = path_of(scenario, name), second.host.vip_commands().get(name)
    make(scenario, path, how)
    text = '%s%s: %s %s' % (begins, name, path, words_for(how))
    second.reload_ahm(**{name: path + ' $_IP_$' * name.startswith('if_')})
    is_told(scenario, second, first, text, WARNING)
    if begins == FAILS:
        reason = refusal(second, 'ahm_promote_node', '--dry-run')
        assert reason == 'a takeover of %s would fail: %s' % (SECOND, text[len(FAILS):])
    else:
        succeeds(second, 'ahm_promote_node', '--dry-run')
    make(scenario, path, THERE)
    is_over(scenario, second, first, text, OVER)
    succeeds(second, 'ahm_promote_node', '--dry-run')
    second.reload_ahm(**{name: before})


def test_a_vip_that_would_be_raised_on_an_interface_that_is_not_there(night):
    scenario, first, second, _ = night
    text = FAILS + 'if_up_cmd: this host has no interface lost0: see "ip link"'
    second.reload_ahm(if_up_cmd='%s address add $_IP_$/32 dev lost0' % tool('ip'))
    is_told(scenario, second, first, text, WARNING)
    assert text[len(FAILS):] in refusal(second, 'ahm_promote_node', '--dry-run')
    second.reload_ahm(if_up_cmd=second.host.vip_commands()['if_up_cmd'])
    is_over(scenario, second, first, text, OVER)
