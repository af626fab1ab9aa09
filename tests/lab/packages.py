"""Debian packages for the hosts of a lab: fetched once, over this machine's network, by apt.

The hosts of a lab have a network of their own, that leads nowhere.  So what they are to have
installed is installed in a copy of this machine that nobody sees, and what that changed is kept as
a tarball, which `SystemdHost` lays over this machine's root.
"""

import hashlib
import os
import shutil
import subprocess

from release.tarball import ROOT

PLACE = os.path.join(ROOT, 'build', 'layers')

INSTALL = '''
set -e
state=$1 target=$2
shift 2
exec 9>"$target"
mount --make-rprivate /
mount -t tmpfs -o size=2g tmpfs "$state"
mkdir "$state/u" "$state/w" "$state/m"
m=$state/m
mount -t overlay overlay -o "lowerdir=/,upperdir=$state/u,workdir=$state/w" "$m"
mount -t proc proc "$m/proc"
mount -t tmpfs tmpfs "$m/run"
mount -t tmpfs -o mode=1777 tmpfs "$m/tmp"
mount --rbind /dev "$m/dev"
# No service is started there.
printf '#!/bin/sh\\nexit 101\\n' >"$m/usr/sbin/policy-rc.d"
chmod 755 "$m/usr/sbin/policy-rc.d"
chroot "$m" /bin/sh -ec 'apt-get -q update; DEBIAN_FRONTEND=noninteractive \
    apt-get -y -q install --no-install-recommends "$@"; apt-get clean' sh "$@"
rm "$m/usr/sbin/policy-rc.d"
rm -rf "$state"/u/var/lib/apt/lists "$state"/u/var/cache/apt "$state"/u/root
tar -C "$state/u" --xattrs --xattrs-include='*' -cf - . >&9
'''


def layer(*packages):
    """The path of a tarball with what the installation of these changes here.

    Raises OSError, with what apt said, where it cannot be had.
    """
    with open('/etc/debian_version', 'rb') as file, open('/var/lib/dpkg/status', 'rb') as status:
        key = repr((packages, INSTALL)).encode() + file.read() + status.read()
    path = os.path.join(PLACE, hashlib.sha256(key).hexdigest()[:16] + '.tar')
    if os.path.exists(path):
        return path
    if not shutil.which('apt-get'):
        raise OSError('no apt-get here')
    os.makedirs(PLACE, exist_ok=True)
    state = path + '.d'
    os.makedirs(state, exist_ok=True)
    done = subprocess.run(
        ['unshare', '-m', '-p', '--fork', '--kill-child', 'sh', '-c', INSTALL, 'sh', state,
         path + '.new'] + list(packages), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, timeout=600)
    os.rmdir(state)
    if done.returncode != 0:
        raise OSError('%s could not be installed: %s' % (', '.join(packages), done.stdout[-600:]))
    os.rename(path + '.new', path)
    return path
