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
from tests.unit.documents import document

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
for each in ahm_cluster_status ahm_attach_node ahm_promote_node; do
    eval "$each() { '{python}' '{source}/bin/$each' -s '{directory}/ipc' \\"\\$@\\"; }"
done
systemctl() {
    [ "$*" = "enable --now ahm" ] && ahm -f '{directory}/etc/ahm_config.yml' start
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
        self.workspace, self.installation = workspace, installation
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
                assert printed is None or said.strip() == printed.strip(), said
            else:
                self.wait_until_printed(host, block, printed)

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


@needs_namespaces
def test_the_tutorial_is_followed_from_its_first_command_to_its_last():
    if lab_user().name != 'postgres':
        pytest.skip('the tutorial is for the user postgres, and this lab runs as another one')
    installation = find_postgres()
    if installation.version < 15 or not all(map(installation.program, ('pg_basebackup', 'psql'))):
        pytest.skip('the tutorial needs psql and pg_basebackup of PostgreSQL 15 or later')
    text = document('docs', 'tutorial.md')
    found = steps(text)
    assert len(found) > 20
    with Workspace() as workspace, Switch() as switch:
        follower = Follower(workspace, switch, installation)
        for step in found:
            follower.follow(step)
