"""docs/tutorial.md, followed to the letter on three hosts with its own addresses.

What it has done as `postgres` is done, its files are written, and what it says is printed has to
be printed.  Different here are the places of files, for three hosts share one machine's, and what
STAND_INS says.  What is done as root is not done here but for the service; the test names it, so
that a step that is added there is noticed.
"""

import glob
import os
import re
import time

import pytest

from ahmlib.lab import LabError
from ahmlib.lab.installations import find_postgres
from ahmlib.lab.users import lab_user, tool
from ahmlib.lab.workspace import Workspace
from tests.lab.hosts import NamespaceHost
from tests.lab.network import Switch
from tests.unit.documents import below, document, rows

from .scenarios import needs_namespaces

VIP = '192.0.2.100'
ADDRESSES = {'db1': '192.0.2.11', 'db2': '192.0.2.12', 'w1': '192.0.2.13'}
LEAD = re.compile(r'^On ((?:\*\*\w+\*\*(?:, | and )?)+), as `(\w+)`(?:, the file `([^`]+)`)?:$')
PRINTS = re.compile(r'^(?:.* )?(After some seconds it|It) prints(?: on both)?:$')
LIMIT = 90
#: The first words of what is done as root and not here: it installs, or tells systemd.
NOT_HERE = {'apt-get update', 'apt-get install', 'sed -ri', 'install -D', 'systemctl daemon-reload'}
#: The utilities find this host's socket, and the service manager is a daemon that detaches.
STAND_INS = '''
set -e
[ -e ~/.profile ] && . ~/.profile
for each in ahm ahm_check_config; do
    eval "$each() { '{python}' '{source}/bin/$each' \\"\\$@\\"; }"
done
for each in ahm_cluster_status ahm_attach_node ahm_promote_node ahm_events; do
    eval "$each() { '{python}' '{source}/bin/$each' -s '{directory}/ipc' \\"\\$@\\"; }"
done
systemctl() {
    case "$*" in
        "enable --now ahm" | "start ahm") ahm -f '{directory}/etc/ahm_config.yml' start ;;
        "stop ahm") kill $(head -1 '{directory}/lib/ahm.pid') ;;
        *) return 1 ;;
    esac
}
'''


def steps(text):
    """[(hosts, user, file, block, printed, repeated)] of the document, in order."""
    found, lead = [], None
    for part in re.split(r'\n\n(?!    )', '\n' + text):
        head, _, block = part.partition('\n\n    ')
        line = head.strip().splitlines()[-1] if head.strip() else ''
        block = re.sub('^    ', '', '    ' + block, flags=re.MULTILINE) if block else ''
        lead, prints = LEAD.match(line), PRINTS.match(line)
        if lead and block:
            found.append([re.findall(r'\*\*(\w+)\*\*', lead.group(1)), lead.group(2),
                          lead.group(3), block, None, False])
        elif prints and block:
            found[-1][4:] = [block, prints.group(1).startswith('After')]
    return found


def others(text):
    """The first two words of each command of the blocks that are not followed."""
    followed = {block for _, _, _, block, _, _ in steps(text)} | {
        printed for _, _, _, _, printed, _ in steps(text)}
    blocks = [re.sub('^    ', '', block, flags=re.MULTILINE) for block in re.findall(
        r'as root:\n\n((?:    .*\n)+)', text)]
    return {' '.join(line.split()[:2]) for block in blocks if block.strip() not in followed
            for line in block.splitlines()}


def test_what_is_not_followed_is_known():
    assert others(document('docs', 'tutorial.md')) == NOT_HERE


class Follower:
    """Three hosts, and who does there what the tutorial says."""

    def __init__(self, workspace, switch, installation):
        self.workspace, self.switch, self.installation = workspace, switch, installation
        self.well = None
        self.hosts = {name: NamespaceHost(workspace, name, address, VIP, switch)
                      for name, address in ADDRESSES.items()}
        for host in self.hosts.values():
            for name in ('etc', 'lib', 'ipc', 'pg'):
                workspace.make_directory(host.name, name)

    def here(self, text, host):
        """A text of the tutorial with the places of this host."""
        for path, place in (
                ('/etc/ahm/', '%s/etc/' % host.directory),
                ('/var/lib/ahm', '%s/lib' % host.directory),
                ('/var/lib/postgresql/15/', '%s/pg/' % host.directory),
                ('/usr/lib/postgresql/15/bin', self.installation.bin_dir),
                ('/sbin/ip ', tool('ip') + ' '), ('/usr/bin/arping', tool('arping'))):
            text = text.replace(path, place)
        return text

    def write(self, host, path, text):
        """A file of the tutorial; AHM's own has to say where the socket of this host is."""
        if path.endswith('ahm_config.yml'):
            text += 'socket_dir: %s/ipc\nlog_filename: %s/ahm.log\nping_path: %s\n' % (
                host.directory, host.directory, os.path.dirname(tool('ping')))
        self.workspace.write(self.here(path, host), self.here(text, host))

    def do(self, host, block, is_root=False):
        """A block of commands; what they printed.  Raises LabError where one fails."""
        script = STAND_INS.replace('{python}', self.workspace.interpreter.executable).replace(
            '{source}', self.workspace.source).replace('{directory}', host.directory)
        script += self.here(block, host)
        # Its socket lies beside its data directory: three servers share this machine's directories.
        if 'initdb' in block:
            script = script.replace('listen_addresses', "unix_socket_directories = '..'\n"
                                    'listen_addresses')
        env = {'HOME': host.directory, 'PGHOST': os.path.join(host.directory, 'pg')}
        done = host.run(['bash', '-c', script], limit=LIMIT, capabilities=is_root, env=env,
                        check=False)
        if done.code != 0:
            raise LabError('on %s exit code %d of\n%s\n%s\n%s' % (
                host.name, done.code, block, done.output, self.logs()))
        return done.output

    def follow(self, step):
        """One step of the tutorial, on all its hosts."""
        names, user, path, block, printed, repeated = step
        for name in names:
            host = self.hosts[name]
            if path:
                self.write(host, path, block + '\n')
            elif printed is None or not repeated:
                said = self.do(host, block, user == 'root')
                # Progress stands before it where that took a while.
                assert printed is None or said.strip().endswith(printed.strip()), said
            else:
                self.wait_until_printed(host, block, printed)

    def by_hand(self, text):
        """What the table of drills has done with cables and plugs of db1."""
        for words, what in BY_HAND.items():
            if words in text:
                getattr(self.switch, what)('db1')

    def by_table(self, text):
        """The commands of a cell of that table."""
        for name, command in DONE.findall(text):
            host = self.hosts[name]
            if command.startswith('ahm_promote_node'):      # "ask before"
                self.succeeds(host, 'ahm_promote_node --dry-run')
            if 'once %s shows the leader' % name in text:
                self.succeeds(host, 'ahm_cluster_status')
            self.do(host, command, command.startswith('systemctl'))

    def succeeds(self, host, command):
        """Do it again and again until it succeeds."""
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                return self.do(host, command)
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def waits_for(self, host, text):
        """Wait until the status shows this, and a leader over a primary."""
        deadline, said = time.monotonic() + LIMIT, ''
        while text not in said or not re.search(r' PRIMARY .* LEADER$', said, re.MULTILINE):
            if time.monotonic() > deadline:
                raise LabError('%s does not show %s\n%s\n%s' % (host.name, text, said, self.logs()))
            said = self.do(host, 'ahm_cluster_status || true')
            time.sleep(0.2)

    def logs(self):
        """The end of what daemons and servers have logged."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.workspace.directory, '*', 'ahm.log'))
                           + glob.glob(os.path.join(self.workspace.directory, '*', 'pg', 'log'))):
            with open(path, errors='replace') as file:
                found.append('--- %s\n%s' % (path, file.read()[-1500:]))
        return '\n'.join(found)

    def wait_until_printed(self, host, block, printed):
        """Do it again and again until it prints that."""
        deadline, said = time.monotonic() + LIMIT, ''
        while said.strip() != printed.strip():
            if time.monotonic() > deadline:
                raise LabError('%s on %s printed\n%s\nand not\n%s\n%s' % (
                    block, host.name, said, printed, self.logs()))
            try:
                said = self.do(host, block)
            except LabError as error:
                said = str(error)
            time.sleep(0.2)


@pytest.fixture(scope='module')
def follower():
    """A Follower who has followed all steps."""
    if lab_user().name != 'postgres':
        pytest.skip('the tutorial is for the user postgres, and this lab runs as another one')
    installation = find_postgres()
    if installation.version < 15 or not all(map(installation.program, ('pg_basebackup', 'psql'))):
        pytest.skip('the tutorial needs psql and pg_basebackup of PostgreSQL 15 or later')
    found = steps(document('docs', 'tutorial.md'))
    assert len(found) > 20
    with Workspace() as workspace, Switch() as switch:
        one = Follower(workspace, switch, installation)
        for step in found:
            one.follow(step)
        one.well = found[-2]        # what step 8 prints begins and ends each drill
        yield one


@needs_namespaces
def test_the_tutorial_is_followed_from_its_first_command_to_its_last(follower):
    """By the fixture; what step 8 prints is printed still."""
    assert follower.well[3].strip() == 'ahm_cluster_status'
    follower.follow(follower.well)


def drills():
    """The rows of the table of drills that can be done here."""
    return [row for row in rows(below(document('docs', 'tutorial.md'), '9. Drills, every quarter'))
            if row[0] != 'a monitor that sees it']


DONE = re.compile(r'on (\w+) `([^`]+)`')
#: What hands do, by the words of the table.
BY_HAND = {'pull the cable of db1': 'cut', 'put the cable back': 'heal',
           'pull the plug of db1': 'power_off', 'power on': 'power_on'}


@needs_namespaces
@pytest.mark.parametrize('drill, do, see, end', drills(), ids=[row[0] for row in drills()])
def test_a_drill_is_seen_and_ended_as_the_table_says(follower, drill, do, see, end):
    follower.by_hand(do)
    follower.by_table(do)
    host, text = (DONE.findall(see) + [('db1', 'LEADER')])[0]
    follower.waits_for(follower.hosts[host], text)
    if 'then step 3' in do:
        for step in steps(document('docs', 'tutorial.md')):
            if step[3].startswith('pg_basebackup '):
                follower.follow(step)
    follower.by_hand(end)
    follower.by_table(end)
    follower.follow(follower.well)
