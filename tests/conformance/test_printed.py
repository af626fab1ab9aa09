"""What the utilities print: byte by byte as in the manual's 19.6 and 19.8, as it was settled.

On real daemons the same texts are compared in test_walk.py.
"""

import pytest

from ahmlib.utilities import attach_node, cluster_status, common, promote_node, shutdown_cluster
from ahmlib.utilities.status_text import render
from tests.unit import test_operator_utilities
from tests.unit.test_cluster_status import GOLDEN

from . import manual
from .printed import CORRECTIONS, corrected, laid_out

daemon = test_operator_utilities.daemon     # the fixture

PROGRAMS = {'ahm_cluster_status': cluster_status, 'ahm_attach_node': attach_node,
            'ahm_shutdown_cluster': shutdown_cluster, 'ahm_promote_node': promote_node}
STATUSES = range(len(manual.printed_statuses(manual.text())))


def section_of(utility):
    """The number of a utility's section."""
    return next(number for number, title in manual.headings(manual.text()) if title == utility)


def lines_of(utility):
    """The lines of a utility's section, as text."""
    return [line.text for line in manual.lines(manual.text())
            if line.section == section_of(utility)]


def answer(status):
    """The status object with which a daemon answers when this Status is to be printed."""
    values = {label: None if value == 'Not Set' else value for label, value in status.values}
    nodes = [{'name': row[0], 'database': row[1], 'address': row[2], 'port': int(row[3]),
              'priority': int(row[4]), 'witness': row[5] == 'True', 'state': row[6], 'reason': ''}
             for row in status.rows[1:]]
    return {'leader': values['Leader Node'], 'leader_host': values['Leader Host'],
            'successor': values['Successor Node'], 'successor_host': values['Successor Host'],
            'virtual_ip': values['Virtual IP'],
            'leader_holds_vip': values['Leader-Hold-VIP'] == 'True',
            'remote_nodes': int(values['Remote Nodes']), 'has_majority': True,
            'asked': 'AHM-NODE-1', 'warnings': [], 'nodes': nodes}


def test_the_manuals_first_status_is_the_specifications_example():
    assert laid_out(corrected(0)) == GOLDEN


@pytest.mark.parametrize('place', STATUSES)
def test_every_status_of_the_manual_is_printed_so(place):
    status = corrected(place)
    assert len(status.values) == 7 and len(status.rows) == 3
    assert render(answer(status)) == laid_out(status)


def test_the_corrections_are_of_statuses_that_are_printed_otherwise():
    printed = manual.printed_statuses(manual.text())
    for place, (changes, why) in CORRECTIONS.items():
        assert why and corrected(place) != printed[place], changes


@pytest.mark.parametrize('utility', manual.utilities(manual.text())[1:])
def test_each_utility_prints_the_two_lines_of_the_manual(utility, daemon, capsys):
    lines = lines_of(utility)
    promised = '\n'.join(lines[lines.index('Command Success'):]) + '\n'
    assert promised.count('\n') == 2
    daemon.answers = [test_operator_utilities.task('running'),
                      test_operator_utilities.task('done')]
    assert common.run(PROGRAMS[utility].main, []) == 0
    assert capsys.readouterr().out == promised


@pytest.mark.parametrize('utility', manual.utilities(manual.text()))
def test_each_utility_takes_the_options_of_the_manual(utility, capsys):
    options = [line.split(' 대상')[0].split(' PORT')[0] for line in lines_of(utility)
               if line.startswith('-') and line != '--']
    assert options == ([] if utility == 'ahm_shutdown_cluster' else ['-h, --host=', '-p, --port='])
    with pytest.raises(SystemExit):
        common.run(PROGRAMS[utility].main, ['--help'])
    helped = capsys.readouterr().out
    assert all('\n  ' + option in helped for option in options)


@pytest.mark.parametrize('words', [
    ['-h', '210.104.181.42', '-p', '9595'], ['--host=210.104.181.42', '--port=9595']])
def test_the_options_say_which_daemon_is_asked(monkeypatch, words):
    asked = []

    def ask(request, **where):
        asked.append((where['host'], where['port']))
        return {'ok': True, 'status': answer(corrected(0))}
    monkeypatch.setattr(common.client, 'ask', ask)
    assert common.run(cluster_status.main, words) == 0
    assert asked == [('210.104.181.42', 9595)]
