"""The unit under a real systemd: what README says of it, walked."""

import os
import re
import shutil

import pytest

from release import tarball
from tests.lab.systemd_host import booted

CONFIGURATION = '''\
node_name: db1
is_witness: true
data_dir: /var/lib/ahm
socket_dir: /var/lib/ahm
listen_address: 127.0.0.1
'''
#: As README says in steps 1 and 4; a witness needs no right to change addresses.
INSTALLED = '''
set -e
tar -C /opt -xzf /mnt/AHM_1.0.tar.gz
ln -sfn AHM_1.0 /opt/ahm
getent passwd postgres >/dev/null || useradd -r postgres
install -d -o postgres -m 0700 /var/lib/ahm
install -d /etc/ahm /etc/systemd/system/ahm.service.d
cp /mnt/ahm_config.yml /mnt/nodes.conf /etc/ahm
install -m 0644 /opt/ahm/share/ahm/ahm.service /etc/systemd/system/
# Not half a minute: a test waits for it.
printf '[Service]\\nWatchdogSec=3\\nRestartSec=1\\n' >/etc/systemd/system/ahm.service.d/fast.conf
systemctl daemon-reload
'''


@pytest.fixture(scope='module')
def host(built, tmp_path_factory):
    """A host on which AHM was installed, with the files of a witness."""
    given, state = (str(tmp_path_factory.mktemp(name)) for name in ('given', 'state'))
    shutil.copy(built, given)
    with open(os.path.join(given, 'ahm_config.yml'), 'w') as file:
        file.write(CONFIGURATION)
    with open(os.path.join(given, 'nodes.conf'), 'w') as file:
        file.writelines('127.0.0.%d:9500\n' % number for number in (1, 2, 3))
    one = booted(state, given)
    try:
        one.says(INSTALLED)
        yield one
    finally:
        one.close()


@pytest.fixture
def started(host):
    """The same, with AHM started; it is stopped afterwards."""
    host.says('systemctl start ahm')
    yield host
    host.run('systemctl stop ahm; systemctl reset-failed ahm')


def shown(host, name):
    """A property of the unit."""
    return host.says('systemctl show -p %s --value ahm' % name).strip()


def test_a_start_returns_when_the_node_is_up_and_the_status_is_the_verdict(started):
    assert shown(started, 'ActiveState') == 'active'
    _, checked = started.run('/opt/ahm/bin/ahm_cluster_status -s /var/lib/ahm --check')
    assert checked.startswith('AHM CRITICAL - no leader; db1 is not in contact')
    text = shown(started, 'StatusText')
    assert text.startswith('CRITICAL: no leader; db1 is not in contact')


def test_a_reload_is_done_when_systemctl_returns_from_it(started):
    started.says('systemctl reload ahm')
    started.wait_until('systemctl show -p ActiveState --value ahm', 'active')
    started.wait_until('journalctl -q -u ahm -o cat | grep -c NOTICE.*reloaded', '1')


def test_a_reload_that_is_refused_fails_and_the_journal_says_why(started):
    started.says("echo 'priority: first' >>/etc/ahm/ahm_config.yml")
    try:
        assert started.run('systemctl reload ahm')[0] != 0
        assert shown(started, 'ActiveState') == 'active'
        assert 'ahm_config.yml:6: priority: found' in started.says('journalctl -q -u ahm -o cat')
    finally:
        started.says('sed -i /priority/d /etc/ahm/ahm_config.yml')
    started.says('systemctl reload ahm')


def test_what_logrotate_runs_reaches_the_daemon_also_where_its_file_is_refused(started):
    """Else the daemon would write on into a log that was compressed and removed."""
    with open(os.path.join(tarball.ROOT, 'conf', 'ahm.logrotate')) as file:
        command, = re.findall(r'postrotate\n +(.*)\n +endscript', file.read())
    asked = "journalctl -q -u ahm -o cat | grep -c 'ERROR.*reload refused'"
    before = int(started.run(asked)[1])
    started.says("echo 'priority: first' >>/etc/ahm/ahm_config.yml")
    try:
        started.says(command)
        started.wait_until(asked, str(before + 1))
    finally:
        started.says('sed -i /priority/d /etc/ahm/ahm_config.yml')


@pytest.fixture(params=['', 'ahm-capabilities.conf'])
def as_drop_in_says(host, request):
    """The same with a drop-in, or with none; started, and stopped afterwards."""
    drop_in = '/etc/systemd/system/ahm.service.d/more.conf'
    if request.param:
        host.says('cp /opt/ahm/share/ahm/%s %s; systemctl daemon-reload' % (request.param, drop_in))
    host.says('systemctl start ahm')
    yield host
    host.run('systemctl stop ahm; systemctl reset-failed ahm; rm -f %s; systemctl daemon-reload'
             % drop_in)


@pytest.mark.parametrize('user', ['root', 'postgres'])
def test_ahm_restart_leaves_a_daemon_of_systemd_to_systemd(as_drop_in_says, user):
    started = as_drop_in_says
    before = shown(started, 'MainPID')
    code, said = started.run('cd /; runuser -u %s -- /opt/ahm/bin/ahm restart' % user)
    after = shown(started, 'MainPID')
    assert shown(started, 'ActiveState') == 'active'
    if user == 'root':
        assert code == 0 and after != before, said
    else:                   # who may not restart the unit ends nothing
        assert code == 1 and after == before, said
        assert 'systemctl --no-ask-password restart ahm.service ended with' in said


def test_ahm_start_as_another_user_names_the_way_that_breaks_nothing(host):
    host.says('systemctl start ahm; systemctl stop ahm')
    said = host.run('/opt/ahm/bin/ahm start')[1]
    assert 'run AHM as its owner (systemctl start ahm, or sudo -u postgres ahm start)' in said


def test_a_daemon_that_hangs_is_started_again(started):
    before = shown(started, 'MainPID')
    started.says('kill -STOP %s' % before)
    started.wait_until('systemctl show -p NRestarts --value ahm', '1')
    started.wait_until('systemctl show -p ActiveState --value ahm', 'active')
    assert shown(started, 'MainPID') != before


def test_what_ahm_has_started_outlives_its_stop(started):
    pid = started.says("""
        setsid sh -c 'for each in /sys/fs/cgroup/*/system.slice/ahm.service; do
                          echo $$ >$each/cgroup.procs
                      done
                      echo $$; exec >/dev/null 2>&1; exec sleep 600' & sleep 1""").strip()
    assert '─%s sleep 600' % pid in started.says('systemctl status ahm --no-pager')
    started.says('systemctl stop ahm')
    assert shown(started, 'ActiveState') == 'inactive' and shown(started, 'Result') == 'success'
    started.says('kill -0 %s && kill %s' % (pid, pid))


def test_what_is_wrong_with_the_configuration_is_an_error_in_the_journal(host):
    host.says("echo 'priority: first' >>/etc/ahm/ahm_config.yml")
    try:
        assert host.run('systemctl start ahm')[0] != 0
        said = host.says('journalctl -q -u ahm -p err -o cat')
        assert '/etc/ahm/ahm_config.yml:6: priority: found' in said
    finally:
        host.says('systemctl stop ahm; systemctl reset-failed ahm; sed -i /priority/d '
                  '/etc/ahm/ahm_config.yml')


def test_the_tarball_has_the_unit_of_the_checkout(host):
    with open(os.path.join(tarball.ROOT, 'conf', 'ahm.service')) as file:
        assert host.says('cat /etc/systemd/system/ahm.service') == file.read()
