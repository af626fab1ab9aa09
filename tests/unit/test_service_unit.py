"""The systemd unit: what it must say, and that systemd understands it."""

import configparser
import os
import shutil
import subprocess

import pytest

from ahmlib.main import STOP_SECONDS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT = os.path.join(ROOT, 'conf', 'ahm.service')
DROP_IN = os.path.join(ROOT, 'conf', 'ahm-capabilities.conf')


@pytest.fixture
def unit():
    """The unit as configparser reads it; the same key twice is an error."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_a_database_that_ahm_started_outlives_it(unit):
    service = dict(unit['Service'])
    assert (service['KillMode'], service['OOMPolicy']) == ('process', 'continue')
    assert service['TasksMax'] == 'infinity' and int(service['LimitNOFILE']) >= 65536
    # PostgreSQL would inherit the one; sudo and the sockets in /tmp need the others to be off.
    assert not set(service) & {'OOMScoreAdjust', 'NoNewPrivileges', 'PrivateTmp', 'ProtectSystem',
                               'AmbientCapabilities'}


def test_systemd_waits_for_what_the_daemon_says_and_as_long_as_a_handover_takes(unit):
    service = dict(unit['Service'])
    assert (service['Type'], service['NotifyAccess']) == ('notify', 'main')
    assert ' -n ' in service['ExecStart'] and float(service['WatchdogSec']) >= 30
    assert float(service['TimeoutStopSec']) >= STOP_SECONDS
    assert (service['Restart'], service['ExecReload']) == (
        'on-failure', '/bin/kill -HUP $MAINPID')
    # Five starts in ten seconds would be the last for systemd (StartLimitBurst).
    assert float(service['RestartSec']) > 2


def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    if not shutil.which('systemd-analyze'):
        pytest.skip('NOT TRIED: no systemd-analyze here')
    with open(UNIT) as file:
        text = file.read().replace('/opt/ahm/bin/ahm ', '/bin/true ')
    (tmp_path / 'ahm.service').write_text(text)
    (tmp_path / 'ahm.service.d').mkdir()
    shutil.copy(DROP_IN, str(tmp_path / 'ahm.service.d' / 'capabilities.conf'))

    def said():
        return subprocess.run(['systemd-analyze', 'verify', '--man=no',
                               str(tmp_path / 'ahm.service')], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True).stdout
    assert [line for line in said().splitlines() if 'ahm' in line] == []
    (tmp_path / 'ahm.service').write_text(text.replace('KillMode', 'KillMood'))
    assert 'KillMood' in said()
