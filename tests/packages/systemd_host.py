"""A host with systemd as its first process: a copy of this machine, in namespaces of its own.

It has the root of this machine under a layer of its own (overlayfs on a tmpfs), an own network with
nothing but loopback, own devices but for the harmless ones, and of this machine's services only
what is enabled without an administrator.  When its first process is killed, nothing is left.
"""

import os
import signal
import subprocess
import time

import pytest

from .roots import why_not

SYSTEMD = '/lib/systemd/systemd'
LIMIT = 60

BOOT = '''
set -e
state=$1 given=$2
mount --make-rprivate /
exec 9<"$given"
mount -t tmpfs -o size=2g tmpfs "$state"
m=$state/m
mkdir "$state/u" "$state/w" "$m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$state/u,workdir=$state/w" "$m"
mount -t proc proc "$m/proc"
mount -t sysfs sysfs "$m/sys"
mount -t tmpfs -o mode=755 tmpfs "$m/run"
mount -t tmpfs -o mode=1777 tmpfs "$m/tmp"
mount -t tmpfs -o mode=755 tmpfs "$m/dev"
mkdir "$m/dev/pts" "$m/dev/shm"
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
rm -rf "$m"/etc/systemd/system/*
for each in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket \
        systemd-udevd-control.socket systemd-networkd.service systemd-resolved.service \
        systemd-timesyncd.service getty@tty1.service console-getty.service dbus.service \
        systemd-logind.service systemd-sysctl.service systemd-modules-load.service \
        systemd-remount-fs.service systemd-tmpfiles-setup-dev.service systemd-binfmt.service; do
    ln -s /dev/null "$m/etc/systemd/system/$each"
done
: >"$m/etc/fstab"
mount --bind /proc/self/fd/9 "$m/mnt"
mkdir "$m/old"
cd "$m"
pivot_root . old
umount -l /old
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin %s --unit=multi-user.target \
    --log-target=null --show-status=no </dev/null
''' % SYSTEMD


class SystemdHost:
    """It runs from its making to `close`.  What is in `given` is in /mnt there."""

    def __init__(self, state, given):
        self.log = os.path.join(given, 'boot.log')
        with open(self.log, 'w') as log:
            self._unshare = subprocess.Popen(
                ['unshare', '-m', '-u', '-i', '-p', '-n', '-C', '--fork', '--kill-child',
                 'sh', '-c', BOOT, 'sh', state, given], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        self._pid = None

    def boot(self):
        """Wait until it is up; returns why it is not, or None."""
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
        path = '/proc/%d/task/%d/children' % (self._unshare.pid, self._unshare.pid)
        with open(path) as file:
            children = file.read().split()
        return int(children[0]) if children else None

    def run(self, script):
        """Run a shell script there; returns (exit code, its output)."""
        done = subprocess.run(
            ['nsenter', '-t', str(self._pid), '-m', '-u', '-i', '-p', '-n', '-C', 'sh', '-c',
             script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True, timeout=2 * LIMIT)
        return done.returncode, done.stdout

    def says(self, script):
        """The output of a script, which must end with 0."""
        code, said = self.run(script)
        assert code == 0, '%s\n%s' % (script, said)
        return said

    def wait_until(self, script, wanted):
        """Wait until the output of a script is this text."""
        until, said = time.monotonic() + LIMIT, None
        while time.monotonic() < until:
            said = self.run(script)[1].strip()
            if said == wanted:
                return
            time.sleep(0.2)
        raise AssertionError('%s\nexpected %r, found %r after %d s' % (script, wanted, said, LIMIT))

    def close(self):
        """Kill its first process, and with it all others."""
        if self._pid is not None and self._unshare.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
        elif self._unshare.poll() is None:
            self._unshare.kill()
        self._unshare.wait(LIMIT)


def booted(state, given):
    """A SystemdHost that is up; skips where there can be none."""
    reason = why_not('nsenter', 'ip')
    if reason is None and not os.access(SYSTEMD, os.X_OK):
        reason = 'no %s here' % SYSTEMD
    if reason is None:
        host = SystemdHost(state, given)
        reason = host.boot()
        if reason is None:
            return host
        host.close()
    pytest.skip('NO HOST WITH SYSTEMD: %s' % reason)
    return None
