"""conf/failover.sh.sample, run with ssh, ping and the other host's programs replaced by fakes.

The fake ssh notes its arguments and either fails as told or runs what it is given, as the other
host would.
"""

import os
import subprocess

import pytest

SCRIPT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..',
                                       'conf', 'failover.sh.sample'))
VIP = '192.0.2.42'
FAKES = {
    'ssh': """echo "$@" > "$FAKE/ssh.args"
[ -z "$SSH_SAYS" ] || echo "$SSH_SAYS" >&2
[ -z "$SSH_CODE" ] || { cat >/dev/null; exit "$SSH_CODE"; }
exec sh -s""",
    'ping': '''echo "$@" > "$FAKE/ping.args"
[ -z "$PING_SAYS" ] || { echo "$PING_SAYS" >&2; exit "${PING_CODE:-1}"; }
echo "1 packets transmitted, $((1 - ${PING_CODE:-1})) received"; exit ${PING_CODE:-1}''',
    'nc': 'echo "$@" > "$FAKE/nc.args"; exit ${NC_CODE:-1}',
    'sudo': '[ "$1" = -n ] && shift; exec "$@"',
    'id': 'case $1 in -u) echo 1000 ;; *) echo agens ;; esac',
    'ip': """case "$*" in
    "-o addr show to $VIP_NOW") [ -z "$IP_FAILS" ] || { echo "Dump terminated" >&2; exit 1; }
        cat "$FAKE/vip" 2>/dev/null ;;
    "addr del "*) echo "$3 $5" >> "$FAKE/dropped"; [ -n "$VIP_STUCK" ] || rm -f "$FAKE/vip" ;;
esac
exit 0""",
}
PG_CTL = """echo "$@" >> "$FAKE/pg_ctl.args"
case $1 in
    status) [ -e "$FAKE/running" ] || exit 3 ;;
    stop) [ -n "$DB_STUCK" ] || rm -f "$FAKE/running" ;;
esac
exit 0"""


class Place:
    """A directory of fakes, and what happened in it."""

    def __init__(self, directory):
        self.directory = directory
        self.data_dir = directory / "it's data"
        self.data_dir.mkdir()
        (directory / 'bin').mkdir()
        (directory / 'fakes').mkdir()
        for name, text in FAKES.items():
            self.program('fakes', name, text)
        self.program('bin', 'pg_ctl', PG_CTL)
        self.output = ''

    def program(self, where, name, text):
        """Make one fake."""
        path = self.directory / where / name
        path.write_text('#!/bin/sh\n%s\n' % text)
        path.chmod(0o755)

    def serve(self, vip=True, database=True):
        """Let the old primary hold the VIP and run its database."""
        if vip:
            (self.directory / 'vip').write_text(
                '2: eth0    inet %s/24 scope global secondary eth0:0\n' % VIP)
        if database:
            (self.directory / 'running').write_text('')

    def run(self, **environ):
        """Run the script; the exit code."""
        settings = {
            'PATH': '%s:/usr/bin:/bin' % (self.directory / 'fakes'), 'FAKE': str(self.directory),
            'SSH_CODE': '', 'SSH_SAYS': '', 'PING_SAYS': '', 'IP_FAILS': '', 'VIP_STUCK': '',
            'DB_STUCK': '', 'VIP_NOW': VIP,
            'AHM_OLD_PRIMARY_HOST': '192.0.2.1', 'AHM_OLD_PRIMARY_NAME': 'AHM-NODE-1',
            'AHM_NODE_HOST': '192.0.2.2', 'AHM_VIRTUAL_IP': VIP,
            'AHM_DB_DATA_DIR': str(self.data_dir), 'AHM_DB_PORT': '5432',
            'AHM_FENCE_BIN_DIR': str(self.directory / 'bin'),
        }
        settings.update(environ)
        done = subprocess.Popen(['sh', SCRIPT], env=settings, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                universal_newlines=True)
        self.output = done.communicate(timeout=30)[0]
        return done.returncode

    def text(self, name):
        """What a fake noted; '' where it was not called."""
        path = self.directory / name
        return path.read_text() if path.exists() else ''


@pytest.fixture
def place(tmp_path):
    """The fakes."""
    return Place(tmp_path)


def test_a_running_old_primary_loses_vip_and_database(place):
    place.serve()
    assert place.run() == 0, place.output
    assert place.text('dropped') == '%s/24 eth0\n' % VIP
    assert 'stop -D %s -m immediate' % place.data_dir in place.text('pg_ctl.args')
    assert not (place.directory / 'running').exists() and not (place.directory / 'vip').exists()
    assert 'AHM-NODE-1 (192.0.2.1) is fenced' in place.output


def test_ssh_is_called_so_that_it_can_neither_ask_nor_hang(place):
    place.run()
    arguments = place.text('ssh.args')
    assert '-o BatchMode=yes -o ConnectTimeout=3 ' in arguments
    assert '-p 22 -l agens -- 192.0.2.1 sh -s' in arguments
    place.run(AHM_FENCE_SSH_USER='root', AHM_FENCE_SSH_PORT='2222')
    assert '-p 2222 -l root -- 192.0.2.1' in place.text('ssh.args')


def test_what_is_stopped_already_is_fenced(place):
    assert place.run() == 0, place.output
    assert 'stop ' not in place.text('pg_ctl.args') and place.text('dropped') == ''
    assert 'was stopped already' in place.output


def test_without_a_vip_only_the_database_is_stopped(place):
    place.serve(vip=False)
    assert place.run(AHM_VIRTUAL_IP='') == 0, place.output
    assert not (place.directory / 'running').exists()


def test_ag_ctl_is_preferred(place):
    place.serve()
    place.program('bin', 'ag_ctl', PG_CTL.replace('pg_ctl.args', 'ag_ctl.args'))
    assert place.run() == 0, place.output
    assert 'stop ' in place.text('ag_ctl.args') and place.text('pg_ctl.args') == ''


def test_the_control_program_is_found_under_aghome_and_on_the_path(place):
    place.serve()
    assert place.run(AHM_FENCE_BIN_DIR='', AGHOME=str(place.directory)) == 0, place.output
    place.serve()
    path = '%s:%s:/usr/bin:/bin' % (place.directory / 'fakes', place.directory / 'bin')
    assert place.run(AHM_FENCE_BIN_DIR='', PATH=path) == 0, place.output
    assert not (place.directory / 'running').exists()


@pytest.mark.parametrize('environ, words', [
    ({'VIP_STUCK': '1'}, 'the VIP is still there'),
    ({'IP_FAILS': '1'}, 'ip cannot show where the VIP is'),
    ({'DB_STUCK': '1'}, 'the database still runs'),
    ({'AHM_FENCE_BIN_DIR': '/nowhere'}, 'neither ag_ctl nor pg_ctl'),
    ({'AHM_DB_DATA_DIR': '/nowhere'}, 'no data directory'),
    ({'AHM_DB_DATA_DIR': ''}, 'AHM_DB_DATA_DIR is not set'),
])
def test_a_host_that_answers_and_is_not_fenced_stops_the_takeover(place, environ, words):
    place.serve()
    assert place.run(**environ) == 1
    assert words in place.output


def test_a_stuck_vip_does_not_keep_the_database_up(place):
    place.serve()
    assert place.run(VIP_STUCK='1') == 1
    assert not (place.directory / 'running').exists()


DEAD = 'ssh: connect to host 192.0.2.1 port 22: Connection timed out'


@pytest.mark.parametrize('says', [
    DEAD, 'ssh: connect to host 192.0.2.1 port 22: No route to host',
    'ssh: connect to host 192.0.2.1 port 22: Connection refused\n' + DEAD,
    'Timeout, server 192.0.2.1 not responding.',
])
def test_a_dead_host_is_accepted_only_where_that_is_said(place, says):
    assert place.run(SSH_CODE='255', SSH_SAYS=says) == 0, place.output
    assert 'does not answer' in place.output
    assert place.run(SSH_CODE='255', SSH_SAYS=says, AHM_FENCE_UNREACHABLE='ok') == 0
    assert place.run(SSH_CODE='255', SSH_SAYS=says, AHM_FENCE_UNREACHABLE='no') == 2
    assert '192.0.2.1' in place.text('ping.args')
    assert place.text('nc.args') == '-z -w 3 192.0.2.1 22\n'


@pytest.mark.parametrize('says', [
    'agens@192.0.2.1: Permission denied (publickey,password).',
    'Host key verification failed.',
    'Connection timed out during banner exchange',
    'kex_exchange_identification: Connection closed by remote host',
    'Bad configuration option: nonsense', '',
])
def test_a_refusal_comes_from_a_host_that_lives(place, says):
    assert place.run(SSH_CODE='255', SSH_SAYS=says, AHM_FENCE_UNREACHABLE='ok') == 1
    assert 'answers, but fencing it failed' in place.output


@pytest.mark.parametrize('unreachable', ['ok', 'no'])
@pytest.mark.parametrize('says, words', [
    ('ssh: connect to host 192.0.2.1 port 2222: Connection refused',
     'AHM-NODE-1 (192.0.2.1) answers, but refuses connections to its ssh port 2222: not fenced'),
    ('ssh: Could not resolve hostname 192.0.2.1: Name or service not known',
     'the name of AHM-NODE-1 (192.0.2.1) could not be resolved: not fenced'),
])
def test_what_kept_ssh_from_its_work_is_said(place, says, words, unreachable):
    assert place.run(SSH_CODE='255', SSH_SAYS=says, AHM_FENCE_SSH_PORT='2222',
                     AHM_FENCE_UNREACHABLE=unreachable) == 1
    assert place.output.splitlines()[-1] == 'failover.sh: ' + words


def test_without_an_ssh_program_nothing_is_said_of_the_other_host(place):
    (place.directory / 'fakes' / 'ssh').unlink()
    for name in ('sh', 'id', 'cat', 'sed'):
        if not (place.directory / 'fakes' / name).exists():
            (place.directory / 'fakes' / name).symlink_to('/bin/' + name)
    assert place.run(PATH=str(place.directory / 'fakes')) == 1
    assert place.output.splitlines()[-1] == (
        'failover.sh: there is no ssh program on this host: AHM-NODE-1 (192.0.2.1) is not fenced')


@pytest.mark.parametrize('answer', ['PING_CODE', 'NC_CODE'])
def test_a_host_that_answers_elsewhere_lives(place, answer):
    environ = {'SSH_CODE': '255', 'SSH_SAYS': DEAD, answer: '0'}
    assert place.run(AHM_FENCE_UNREACHABLE='ok', **environ) == 1


def test_a_host_without_network_does_not_take_over(place):
    says = 'ssh: connect to host 192.0.2.1 port 22: Network is unreachable'
    assert place.run(SSH_CODE='255', SSH_SAYS=says, AHM_FENCE_UNREACHABLE='ok') == 2


@pytest.mark.parametrize('says', [
    'ping: permission denied (are you root?)', 'ping: sendto: Operation not permitted',
    '0 packets transmitted, 0 received', 'sh: 1: ping: not found'])
def test_a_ping_that_could_not_ask_makes_no_host_dead(place, says):
    """Its exit status is that of silence, and the old primary lived."""
    assert place.run(SSH_CODE='255', SSH_SAYS=DEAD, PING_SAYS=says,
                     AHM_FENCE_UNREACHABLE='ok') == 1
    assert 'ping did not say whether' in place.output and says in place.output


def test_an_ssh_that_ran_something_else_has_fenced_nobody(place):
    """A forced command, or a login shell that ends with 0."""
    place.serve()
    assert place.run(SSH_CODE='0', SSH_SAYS='This account is not available.') == 1
    assert 'did not run what it was given' in place.output


def test_a_missing_ssh_is_no_dead_host(place):
    assert place.run(SSH_CODE='127', AHM_FENCE_UNREACHABLE='ok') == 1


@pytest.mark.parametrize('environ', [
    {'AHM_OLD_PRIMARY_HOST': ''}, {'AHM_NODE_HOST': '192.0.2.1'},
])
def test_where_there_is_no_old_primary_there_is_nothing_to_fence(place, environ):
    place.serve()
    assert place.run(**environ) == 0
    assert 'nothing to fence' in place.output and place.text('ssh.args') == ''


def test_the_script_is_executable_and_says_when_it_exits_how():
    assert os.access(SCRIPT, os.X_OK)
    with open(SCRIPT) as stream:
        text = stream.read()
    assert text.startswith('#!/bin/sh\n')
    assert all('exit %d   ' % code in text for code in (0, 1, 2))
