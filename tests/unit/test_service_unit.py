"""What a host is given beside AHM itself: each file says what it must, and its reader takes it."""

import configparser
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest
import yaml

from ahmlib.config.schema import BY_NAME
from ahmlib.core.consensus.timing import Timing
from ahmlib.main import STOP_SECONDS
from ahmlib.utilities import promote_node
from tests.lab import walk

from .test_readme import block_after

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, 'conf')
UNIT = os.path.join(CONF, 'ahm.service')
DROP_INS = ('ahm-capabilities.conf', 'ahm-witness.conf')
HANDOVER = os.path.join(CONF, 'ahm-handover.service')
QUICK_STARTS = {'quick-start-debian.md': 'postgresql@15-main', 'quick-start-el.md': 'postgresql-15'}
VIP = '192.0.2.100'


def read(*path):
    """The text of a file of the project."""
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


def judged(program, *words):
    """(exit code, what it said) of a program that judges a file; skips where it is missing."""
    path = shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not path:
        pytest.skip('NOT JUDGED: no %s here' % program)
    done = subprocess.run((path,) + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    return done.returncode, done.stdout


def parsed(path):
    """A unit as configparser reads it; the same key twice is an error."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read(path)
    return parser


@pytest.fixture
def unit():
    """The unit of AHM."""
    return parsed(UNIT)


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
    # With the defaults; whoever listens for a leader is not up yet.
    defaults = Timing(BY_NAME['beacon_message_interval_seconds'].default,
                      BY_NAME['beacon_message_retry_count'].default)
    assert float(service['TimeoutStartSec']) > 10 * defaults.hold
    assert (service['Restart'], service['ExecReload']) == (
        'on-failure', '/opt/ahm/bin/ahm -f /etc/ahm/ahm_config.yml reload')
    # Five starts in ten seconds would be the last for systemd (StartLimitBurst).
    assert float(service['RestartSec']) > 2


def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    text = read('conf', 'ahm.service').replace('/opt/ahm/bin/ahm ', '/bin/true ')
    (tmp_path / 'ahm.service').write_text(text)
    (tmp_path / 'ahm.service.d').mkdir()
    for name in DROP_INS:
        shutil.copy(os.path.join(CONF, name), str(tmp_path / 'ahm.service.d'))

    def said():
        _, text = judged('systemd-analyze', 'verify', '--man=no', str(tmp_path / 'ahm.service'))
        return [line for line in text.splitlines() if 'ahm' in line]
    assert said() == []
    (tmp_path / 'ahm.service').write_text(text.replace('KillMode', 'KillMood'))
    assert 'KillMood' in said()[0]


def test_where_the_host_goes_down_the_handover_is_before_the_end_of_ahm_and_of_postgresql():
    handover, drop_in = parsed(HANDOVER), parsed(os.path.join(CONF, 'ahm-postgresql.conf'))
    # What is started last is stopped first.
    assert 'ahm.service' in handover['Unit']['After'].split()
    assert drop_in['Unit']['Before'] == 'ahm-handover.service'
    assert drop_in['Unit']['After'] == 'ahm.service'
    command = handover['Service']['ExecStop'].split()
    assert command[0] == '-/opt/ahm/bin/ahm_promote_node'       # a failure does not hold up the end
    assert set(command[3:]) == {'--elsewhere', '--at-shutdown', '--wait'}
    assert float(handover['Service']['TimeoutStopSec']) > promote_node.SHUTDOWN_SECONDS
    assert (handover['Service']['Type'], handover['Service']['RemainAfterExit']) == (
        'oneshot', 'yes')


def test_systemd_finds_nothing_wrong_with_the_handover(tmp_path):
    text = read('conf', 'ahm-handover.service').replace('/opt/ahm/bin/ahm_promote_node',
                                                        '/bin/true')
    path = tmp_path / 'ahm-handover.service'
    path.write_text(text)

    def said():
        _, text = judged('systemd-analyze', 'verify', '--man=no', str(path))
        return [line for line in text.splitlines() if 'ahm-handover' in line]
    assert said() == []
    path.write_text(text.replace('RemainAfterExit', 'StaysAfterExit'))
    assert 'StaysAfterExit' in said()[0]


@pytest.mark.parametrize('name', sorted(QUICK_STARTS))
def test_a_quick_start_is_blocks_for_known_hosts_and_its_rights_fit_its_commands(name):
    text = read('docs', name)
    found = walk.blocks(text)
    assert len(found) == text.count('```') / 2 > 8
    assert {host for block in found for host in block.hosts} == {'db1', 'db2', 'db3'}
    written = ''.join(block.text for block in found)
    config = yaml.safe_load(re.search(r"ahm_config.yml <<'END'\n(.*?)^END$", written,
                                      re.DOTALL | re.MULTILINE).group(1))
    assert {key.lower() for key in config} <= {key.lower() for key in BY_NAME}
    granted = [each.replace('\\', '') for each in re.findall(r'NOPASSWD: (.*)', written)]
    assert granted == [config[key].replace('/usr/bin/sudo ', '', 1)
                       for key in ('db_start_command', 'db_stop_command')]
    assert all(each.endswith(' ' + QUICK_STARTS[name]) for each in granted)
    # The same lines are in the sample, commented out: they name a version.
    commented = [each.replace('\\', '') for each in re.findall(
        r'^#postgres ALL=\(root\) NOPASSWD: (.*)', read('conf', 'ahm.sudoers'), re.MULTILINE)]
    assert set(granted) <= set(commented)


def test_a_block_that_does_not_say_where_it_is_typed_is_refused():
    with pytest.raises(ValueError):
        walk.blocks('```sh\nrm -rf /var/lib/postgresql\n```\n')


def test_sudo_permits_what_the_quick_start_configures_word_for_word_and_nothing_else():
    readme, sudoers = read('README.md'), read('conf', 'ahm.sudoers')
    granted = re.findall(r'^postgres ALL=\(root\) NOPASSWD: (.*)$', sudoers, re.MULTILINE)
    configured = yaml.safe_load(block_after(readme, '\n### 3. '))
    wanted = [configured[name].replace('$_IP_$', VIP)
              for name in ('if_up_cmd', 'if_down_cmd', 'arping_cmd')]
    assert granted[:3] == wanted and len(granted) == 4
    assert not re.search('[*?!]', ''.join(granted)), 'an argument list that is not exact'
    rules = [line for line in sudoers.splitlines() if line and not line.startswith('#')]
    assert len(rules) == 5 and 'Defaults:postgres !requiretty' in rules
    assert rules == block_after(readme, '\nOr sudo, for exactly these commands').splitlines()


def test_sudo_takes_its_file(tmp_path):
    path = tmp_path / 'ahm'
    shutil.copy(os.path.join(CONF, 'ahm.sudoers'), str(path))
    path.chmod(0o440)
    code, said = judged('visudo', '-cf', str(path))
    assert code == 0, said
    path.chmod(0o640)
    path.write_text('postgres ALL=(root NOPASSWD: /sbin/ip\n')
    assert judged('visudo', '-cf', str(path))[0] == 1


def test_logrotate_takes_its_file_and_the_daemon_makes_the_new_log(tmp_path):
    text = read('conf', 'ahm.logrotate')
    # Not `systemctl reload`: a file that is refused would leave the daemon in the old log.
    assert 'nocreate' in text and 'systemctl kill -s HUP --kill-who=main ahm.service' in text
    path = tmp_path / 'ahm'
    # Whom it is rotated as has to be a user of this machine.
    path.write_text(text.replace('su postgres postgres', 'su root root'))
    code, said = judged('logrotate', '-d', '-s', str(tmp_path / 'state'), str(path))
    assert code == 0 and 'error' not in said.lower(), said
    path.write_text(text.replace('weekly', 'weakly'))
    assert 'weakly' in judged('logrotate', '-d', '-s', str(tmp_path / 'state'), str(path))[1]


def test_the_firewall_opens_the_ports_that_are_the_defaults():
    service = xml.etree.ElementTree.parse(os.path.join(CONF, 'ahm.xml')).getroot()
    ports = {(port.get('protocol'), int(port.get('port'))) for port in service.findall('port')}
    assert service.tag == 'service'
    assert ports == {('udp', BY_NAME['ahm_port'].default), ('tcp', BY_NAME['ipc_port'].default)}


def test_the_firewall_opens_the_port_for_http_that_the_parameter_suggests_by_a_service_of_its_own():
    service = xml.etree.ElementTree.parse(os.path.join(CONF, 'ahm-http.xml')).getroot()
    port, = service.findall('port')
    assert (port.get('protocol'), port.get('port')) == ('tcp', '8008')
    assert ' 8008 ' in BY_NAME['http_port'].doc


def test_the_cleaners_leave_the_files_in_tmp_alone():
    lines = [line.split() for line in read('conf', 'ahm.tmpfiles').splitlines()
             if not line.startswith('#')]
    assert lines == [['x', '/tmp/ahm.*'], ['x', '/tmp/.s.AHM.*']]
