"""A host with systemd as its first process: a copy of this machine, in namespaces of its own.

It has the root of this machine under a disk of its own (overlayfs on a tmpfs), maybe with packages
between them, a network namespace with nothing but loopback or with a port of the lab's
switch, own devices but for the harmless ones, and of this machine's services only what is enabled
without an administrator.  Its power can fail: then its first process and all others are killed, and
what it had in memory is gone; its disk stays for the next boot.

The disk is held by a process of its own, which ends with the test: nothing is left, neither mounts
nor processes nor files.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

from ahmlib.lab import LabError
from tests.lab.network import Switch

SYSTEMD = '/lib/systemd/systemd'
LIMIT = 60
DISK_SIZE = '3g'

#: Of the host's disk, as long as its standard input is open.
HOLD = '''
set -e
mount --make-rprivate /
mount -t tmpfs -o size=%s tmpfs "$1"
mkdir "$1/u" "$1/w" "$1/m" "$1/layer"
[ -z "$2" ] || tar -C "$1/layer" --xattrs --xattrs-include='*' -xf "$2"
echo ready
exec cat
''' % DISK_SIZE

BOOT = '''
set -e
state=$1 given=$2 name=$3
hostname "$name"
exec 9<"$given"
m=$state/m
mount -t overlay overlay -o "lowerdir=$state/layer:/,upperdir=$state/u,workdir=$state/w" "$m"
mount -t proc proc "$m/proc"
mount -t sysfs sysfs "$m/sys"
mount -t tmpfs -o mode=755 tmpfs "$m/run"
mount -t tmpfs -o mode=1777 tmpfs "$m/tmp"
mount -t tmpfs -o mode=755 tmpfs "$m/dev"
mkdir "$m/dev/pts"
mkdir -m 1777 "$m/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$m/dev/shm"
for each in null zero full random urandom tty; do
    touch "$m/dev/$each"
    mount --bind "/dev/$each" "$m/dev/$each"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$m/dev/pts"
ln -s pts/ptmx "$m/dev/ptmx"
ln -s /proc/self/fd "$m/dev/fd"
ln -s /proc/self/fd/1 "$m/dev/stdout"
ln -s /proc/self/fd/2 "$m/dev/stderr"
mount -t tmpfs tmpfs "$m/sys/fs/cgroup"
mkdir "$m/sys/fs/cgroup/systemd" "$m/sys/fs/cgroup/unified"
mount -t cgroup -o none,name=systemd cgroup "$m/sys/fs/cgroup/systemd"
mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup/unified"
ip link set lo up
if [ ! -e "$m/etc/systemd/.installed" ]; then      # the first boot of this disk
    rm -rf "$m"/etc/systemd/system/*
    for each in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket \
            systemd-udevd-control.socket systemd-networkd.service systemd-resolved.service \
            systemd-timesyncd.service getty@tty1.service console-getty.service dbus.service \
            systemd-logind.service systemd-sysctl.service systemd-modules-load.service \
            systemd-remount-fs.service systemd-tmpfiles-setup-dev.service \
            systemd-binfmt.service; do
        ln -s /dev/null "$m/etc/systemd/system/$each"
    done
    : >"$m/etc/fstab"
    echo "$name" >"$m/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$m/etc/hosts"
    : >"$m/etc/systemd/.installed"
fi
mount --bind /proc/self/fd/9 "$m/mnt"
mkdir -p "$m/old"
cd "$m"
pivot_root . old
umount -l /old
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD --unit=multi-user.target \
    --log-target=null --show-status=no </dev/null
'''.replace('SYSTEMD', SYSTEMD)


class SystemdHost:
    """It runs from `boot` to `close`, but for power cuts.  What is in `given` is in /mnt there.

    `layer`: a tarball that lies over the root of this machine (`packages.layer`).  `switch`: a
    Switch that has a host of this `name` plugged in; without it there is loopback alone.
    """

    def __init__(self, state, given, name='db1', switch=None, layer=''):
        self.name, self.switch = name, switch
        self.log = os.path.join(given, 'boot-%s.log' % name)
        self._state, self._given = str(state), str(given)
        self._unshare = self._pid = None
        self._disk = subprocess.Popen(['unshare', '-m', 'sh', '-c', HOLD, 'sh', self._state,
                                       layer],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._disk.stdout.readline() != b'ready\n':
            self.close()
            raise LabError('no disk could be made for the host %s' % name)

    def _network(self):
        if self.switch is None:
            return ['unshare', '-n']
        return ['ip', 'netns', 'exec', self.switch.namespace(self.name)]

    def boot(self):
        """Start it, and wait until it is up; returns why it is not, or None."""
        if self.switch is not None:
            self.switch.power_on(self.name)
        with open(self.log, 'w') as log:
            self._unshare = subprocess.Popen(
                ['nsenter', '-t', str(self._disk.pid), '-m'] + self._network() +
                ['unshare', '-m', '-u', '-i', '-p', '-C', '--fork', '--kill-child', 'sh', '-c',
                 BOOT, 'sh', self._state, self._given, self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._pid = None
        until = time.monotonic() + LIMIT
        while time.monotonic() < until and self._unshare.poll() is None:
            self._pid = self._pid or self._first_process()
            # Degraded: some service of this machine does not work there.
            if self._pid and self.run('systemctl is-system-running')[1].strip() in (
                    'running', 'degraded'):
                return None
            time.sleep(0.2)
        with open(self.log) as log:
            return log.read().strip() or 'systemd was not up after %d s' % LIMIT

    def _first_process(self):
        """The PID of its init, once that has its own root: before, a login would end up in the root
        of this machine.
        """
        path = '/proc/%d/task/%d/children' % (self._unshare.pid, self._unshare.pid)
        with open(path) as file:
            children = file.read().split()
        if not children:
            return None
        pid = int(children[0])
        try:
            is_init = os.path.basename(os.readlink('/proc/%d/exe' % pid)) == 'systemd'
        except OSError:
            return None
        return pid if is_init else None

    def run(self, script, shell='sh'):
        """Run a shell script there; returns (exit code, its output)."""
        done = subprocess.run(
            ['nsenter', '-t', str(self._pid), '-m', '-u', '-i', '-p', '-n', '-C', 'env', '-i',
             'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
             'LANG=C.UTF-8', shell, '-c', script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True, timeout=3 * LIMIT)
        return done.returncode, done.stdout

    def says(self, script, shell='sh'):
        """The output of a script, which must end with 0."""
        code, said = self.run(script, shell)
        assert code == 0, 'on %s: %s\n%s' % (self.name, script, said)
        return said

    def wait_until(self, script, wanted, limit=LIMIT):
        """Wait until the output of a script is this text."""
        until, said = time.monotonic() + limit, None
        while time.monotonic() < until:
            said = self.run(script)[1].strip()
            if said == wanted:
                return
            time.sleep(0.2)
        raise AssertionError('on %s: %s\nexpected %r, found %r after %d s' % (
            self.name, script, wanted, said, limit))

    def power_off(self):
        """Its power fails: nothing leaves it any more, then all its processes are gone."""
        if self.switch is not None:
            self.switch.power_off(self.name)
        self._kill()

    def shut_down(self, script='systemctl --no-block poweroff', shell='sh', limit=2 * LIMIT):
        """Run this script, which ends it, and wait until it has ended; what the script printed."""
        said = self.run(script, shell)[1]
        try:
            self._unshare.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError('%s does not go down: %s\n%s' % (self.name, script, said))
        if self.switch is not None:
            self.switch.power_off(self.name)
        return said

    def reboot(self, script='systemctl --no-block reboot', shell='sh'):
        """Run this script, which reboots it, and wait until it is up again; what it printed."""
        said = self.shut_down(script, shell)
        why = self.boot()
        assert why is None, why
        return said

    @property
    def runs(self):
        """Whether its first process lives."""
        return self._unshare is not None and self._unshare.poll() is None

    def _kill(self):
        if self._unshare is None or self._unshare.poll() is not None:
            return
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
        else:
            self._unshare.kill()
        self._unshare.wait(LIMIT)

    def close(self):
        """Kill its first process, and with it all others, and give its disk back."""
        self._kill()
        self._disk.stdin.close()
        self._disk.stdout.close()
        self._disk.wait(LIMIT)


def why_no_systemd():
    """Why there can be no such host here; None where there can."""
    if os.geteuid() != 0:
        return 'a host of its own needs root'
    missing = [name for name in ('unshare', 'nsenter', 'ip', 'hostname', 'pivot_root')
               if not shutil.which(name)]
    if missing:
        return 'not installed: %s' % ', '.join(missing)
    return None if os.access(SYSTEMD, os.X_OK) else 'no %s here' % SYSTEMD


def booted(state, given, *args, **options):
    """A SystemdHost that is up; skips where there can be none."""
    reason = why_no_systemd()
    if reason is None:
        host = SystemdHost(state, given, *args, **options)
        reason = host.boot()
        if reason is None:
            return host
        host.close()
    pytest.skip('NO HOST WITH SYSTEMD: %s' % reason)
    return None


class Room:
    """Hosts with systemd on one switch: {name: SystemdHost}, all of them up.  A context manager."""

    def __init__(self, directory, given, addresses, layer=''):
        self.hosts, self.switch = {}, None
        reason = why_no_systemd()
        if reason is None:
            reason = self._build(directory, given, addresses, layer)
        if reason is not None:
            self.close()
            pytest.skip('NO HOSTS WITH SYSTEMD: %s' % reason)

    def _build(self, directory, given, addresses, layer):
        try:
            self.switch = Switch()
            for name, address in addresses.items():
                state = os.path.join(str(directory), name)
                os.mkdir(state)
                self.switch.plug(name, address)
                self.hosts[name] = SystemdHost(state, given, name, self.switch, layer)
        except (LabError, OSError) as error:
            return str(error)
        return next(filter(None, (host.boot() for host in self.hosts.values())), None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """End all of it."""
        for host in self.hosts.values():
            host.close()
        if self.switch is not None:
            self.switch.close()
