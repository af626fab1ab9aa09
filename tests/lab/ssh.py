"""A real sshd on every namespace host, and a sudoers entry of one line: what fencing needs.

    h2: AHM -> failover.sh -> ssh ==== switch ==== sshd -> sh -s -> sudo -n ip addr del ...   :h1

Each sshd has its own host key, and runs as the lab's user, who can log in as himself only.  It runs
in a mount namespace of its own, in which three things lie over what the machine has there:

    /etc/sudoers    the entry, and nothing else.  Nothing is written below /etc.
    /etc/passwd     with a shell for the lab's user, for `nobody` has none that runs anything
    data            the paths of all nodes' databases lead to this host's own, for the fencing
                    script takes the data directory to be the same on all nodes
"""
import contextlib
import os
import subprocess
import time

from ahmlib.lab import LabError
from ahmlib.lab.users import tool
from tests.lab.network import PREFIX_LENGTH, call, namespaces_available

PORT = 2222
START_LIMIT = 15.0
END_LIMIT = 5.0

SSHD_CONFIG = """Port {port}
ListenAddress {address}
HostKey {host_key}
AuthorizedKeysFile {authorized_keys}
AllowUsers {user}
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
LogLevel VERBOSE
"""

SSH_CONFIG = """Port {port}
User {user}
IdentityFile {identity}
IdentitiesOnly yes
UserKnownHostsFile {known_hosts}
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
"""

# Run by root: bind SOURCE TARGET pairs up to `--`, then become what follows.
BIND_AND_EXEC = """
while [ "$1" != -- ]; do
    mount --bind "$1" "$2" || exit 1
    shift 2
done
shift
exec "$@"
"""


def ssh_unavailable():
    """None where a lab's hosts can have an sshd and sudo, else the reason why not (str)."""
    reason = namespaces_available()
    if reason:
        return reason
    try:
        for name in ('sshd', 'ssh', 'ssh-keygen', 'sudo', 'visudo'):
            tool(name)
    except LabError as error:
        return str(error)
    return None


def sudoers_entry(user, vip, device='eth0'):
    """All that fencing needs of sudo, as the text of a file for /etc/sudoers.d."""
    return 'Defaults:%s !requiretty\n%s ALL=(root) NOPASSWD: %s addr del %s/%d dev %s\n' % (
        user, user, tool('ip'), vip, PREFIX_LENGTH, device)


class Logins:
    """An sshd on each of the lab's nodes, and an `ssh` on each that logs in to the others unasked.

    A context manager, entered within the cluster's.  `bin_dir(node)` goes in front of the PATH of
    who calls ssh there.
    """

    def __init__(self, cluster):
        self.workspace = cluster.workspace
        self.user = cluster.workspace.user.name
        self.switch = cluster.switch
        self.vip = cluster.plan.vip
        self.nodes = cluster.nodes
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """End every sshd; what is logged in ends with its host."""
        self._stack.close()

    def bin_dir(self, node):
        """The directory with this node's `ssh`."""
        return os.path.join(self._directory(node), 'bin')

    def run(self, node, other, command, check=True):
        """Run a shell command on another node's host by ssh; returns hosts.Finished."""
        argv = [os.path.join(self.bin_dir(node), 'ssh'), other.host.address, command]
        return node.host.run(argv, limit=30, check=check)

    @contextlib.contextmanager
    def forgotten(self):
        """Within this no node's `ssh` knows any host's key, so that it refuses them all."""
        known = {path: _text(path) for path in (
            self._path(node, 'known_hosts') for node in self.nodes)}
        for path in known:
            self.workspace.write(path, '')
        try:
            yield
        finally:
            for path, text in known.items():
                self.workspace.write(path, text)

    # Making it

    def _directory(self, node):
        return os.path.join(node.host.directory, 'ssh')

    def _path(self, node, name):
        return os.path.join(self._directory(node), name)

    def _open(self):
        for node in self.nodes:
            self.workspace.make_directory(node.host.name, 'ssh')
            for name in ('host_key', 'identity'):
                node.host.run([tool('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-f',
                               self._path(node, name)])
        authorized = ''.join(_text(self._path(node, 'identity.pub')) for node in self.nodes)
        known = ''.join('[%s]:%d %s' % (node.host.address, PORT,
                                        _text(self._path(node, 'host_key.pub')))
                        for node in self.nodes)
        for node in self.nodes:
            self._configure(node, authorized, known)
            self._serve(node)

    def _configure(self, node, authorized, known):
        def path(name):
            return self._path(node, name)
        write = self.workspace.write
        write(path('authorized_keys'), authorized)
        write(path('known_hosts'), known)
        write(path('sshd_config'), SSHD_CONFIG.format(
            port=PORT, address=node.host.address, host_key=path('host_key'), user=self.user,
            authorized_keys=path('authorized_keys')))
        write(path('ssh_config'), SSH_CONFIG.format(
            port=PORT, user=self.user, identity=path('identity'), known_hosts=path('known_hosts')))
        self.workspace.make_directory(node.host.name, 'ssh', 'bin')
        write(os.path.join(self.bin_dir(node), 'ssh'),
              '#!/bin/sh\nexec %s -F %s "$@"\n' % (tool('ssh'), path('ssh_config')),
              executable=True)
        _write_for_root(path('sudoers'), sudoers_entry(self.user, self.vip), 0o440)
        call('visudo', '-c', '-f', path('sudoers'))
        _write_for_root(path('passwd'), self._passwd(), 0o644)

    def _passwd(self):
        """The machine's users, with a shell for the lab's."""
        lines = []
        for line in _text('/etc/passwd').splitlines():
            fields = line.split(':')
            if fields[0] == self.user:
                line = ':'.join(fields[:-2] + [self.workspace.directory, '/bin/sh'])
            lines.append(line + '\n')
        return ''.join(lines)

    def _serve(self, node):
        binds = [self._path(node, 'sudoers'), '/etc/sudoers',
                 self._path(node, 'passwd'), '/etc/passwd']
        for other in self.nodes:
            if other is not node and other.database is not None and node.database is not None:
                binds += [node.database.data_dir, other.database.data_dir]
        user = self.workspace.user
        # `ip netns exec` gives each program a mount namespace, whose mounts end with it.
        argv = [tool('ip'), 'netns', 'exec', self.switch.namespace(node.host.name),
                '/bin/sh', '-c', BIND_AND_EXEC, 'sh'] + binds + [
                    '--', tool('setpriv'), '--reuid', str(user.uid), '--regid', str(user.gid),
                    '--init-groups', '--', tool('sshd'), '-D', '-e', '-f',
                    self._path(node, 'sshd_config')]
        log = self._path(node, 'sshd.log')
        with open(log, 'ab') as output:
            process = subprocess.Popen(argv, env=node.host.environment(),
                                       cwd=node.host.directory, start_new_session=True,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._stack.callback(_end, process)
        self._wait(process, log)

    @staticmethod
    def _wait(process, log):
        """Wait until it listens."""
        deadline = time.monotonic() + START_LIMIT
        while 'Server listening on' not in _text(log):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError('the sshd did not come up: %s' % _text(log).strip())
            time.sleep(0.02)


def _end(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(END_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write_for_root(path, text, mode):
    """Write a file that stays root's: sudo takes no other, and nobody else may change it."""
    with open(path, 'w') as file:
        file.write(text)
    os.chmod(path, mode)


def _text(path):
    with open(path, errors='replace') as file:
        return file.read()
