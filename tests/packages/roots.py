"""Other roots to install packages into: a new Debian, and a copy of this machine that nobody sees.

What is written goes into a directory of the test (overlayfs), in mount and process namespaces of
their own, so nothing is left when a command ends: no mount, and no process.
"""

import os
import shutil
import subprocess

import pytest

from release.tarball import ROOT

SUITE = 'bookworm'
#: Made once: that takes minutes.
DEBIAN = os.path.join(ROOT, 'build', SUITE)
MIRROR = 'http://deb.debian.org/debian'

ENTER = '''
set -e
lower=$1 state=$2 script=$3
# What is written over this machine's own root must not lie below it.
[ "$lower" != / ] || mount -t tmpfs -o size=2g tmpfs "$state"
mkdir -p "$state/upper" "$state/work" "$state/merged"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$state/upper,workdir=$state/work" \
    "$state/merged"
mount -t proc proc "$state/merged/proc"
mount -t tmpfs tmpfs "$state/merged/run"
mount -t tmpfs tmpfs "$state/merged/tmp"
mount --rbind /dev "$state/merged/dev"
mount --bind "$state/given" "$state/merged/mnt"
exec chroot "$state/merged" /bin/sh -ec "$script"
'''


def why_not(*programs):
    """Why such a root cannot be made here; None where it can."""
    if os.geteuid() != 0:
        return 'another root needs root'
    missing = [name for name in ('unshare', 'chroot') + programs if not shutil.which(name)]
    return 'not installed: %s' % ', '.join(missing) if missing else None


def debian():
    """The directory with a new Debian; skips where it cannot be made."""
    reason = why_not('debootstrap', 'dpkg-deb')
    if reason:
        pytest.skip('NO DEBIAN TO INSTALL INTO: %s' % reason)
    if not os.path.exists(DEBIAN):
        os.makedirs(os.path.dirname(DEBIAN), exist_ok=True)
        shutil.rmtree(DEBIAN + '.new', ignore_errors=True)
        subprocess.check_call(['debootstrap', '--variant=minbase', SUITE, DEBIAN + '.new', MIRROR],
                              stdout=subprocess.DEVNULL)
        os.rename(DEBIAN + '.new', DEBIAN)
    return DEBIAN


class Root:
    """A root on top of `lower`; `state` is a directory for what is written.

    What is written over '/' is gone after each `run`; over another one it stays.
    """

    def __init__(self, lower, state, *files):
        self.lower, self.state = lower, str(state)
        self.given = os.path.join(self.state, 'given')
        os.mkdir(self.given)
        for path in files:
            shutil.copy(path, self.given)

    def run(self, script):
        """Run a shell script in it, which finds the files in /mnt; returns its output."""
        # The directory that is bound must be seen where a tmpfs hides the state, too.
        enter = ENTER.replace('"$state/given"', '"$given"')
        opened = 'exec 9<"$2/given"; given=/proc/self/fd/9\n'
        done = subprocess.run(
            ['unshare', '-m', '-p', '--fork', '--kill-child', 'sh', '-ec', opened + enter, 'sh',
             self.lower, self.state, script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True, timeout=600)
        assert done.returncode == 0, '%s\n%s' % (script, done.stdout)
        return done.stdout
