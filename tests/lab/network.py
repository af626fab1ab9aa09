"""A switch and hosts made of network namespaces; faults are made in the switch.

    namespace ahmlab<pid>a-sw                     namespace ahmlab<pid>a-h1
      br0 --- port-h1 ====== veth pair ============ eth0  10.77.0.11/24
          --- port-h2 ...                         namespace ahmlab<pid>a-h2 ...

The bridge lies in a namespace of its own: nothing of the lab touches the machine's network, and
the firewall rules that drop frames are seen by nobody else.  A fault is an entry in a list; the
list is rendered to one nftables chain, replaced as a whole, so faults add up and heal in any order.
Silent drops in the switch are the honest fault: hosts keep their carrier and learn nothing.
(No delays: many kernels come without the netem queue, so nothing here relies on it.)
"""
import contextlib
import itertools
import os
import string
import subprocess
from typing import NamedTuple, Optional

from ahmlib.lab import LabError, procfs
from ahmlib.lab.users import tool

PREFIX_LENGTH = 24
TABLE = '''
table bridge lab {
    chain faults {
        type filter hook forward priority 0; policy accept;
    }
}
'''

_labs = itertools.count()


class Drop(NamedTuple):
    """Frames that the switch drops: from the port of `source` to that of `target`; None is any."""
    source: Optional[str]
    target: Optional[str]
    percent: float = 100.0


def call(*argv, **options):
    """Run a program as root; returns its output (str).  Raises LabError with what it said."""
    done = subprocess.run((tool(argv[0]),) + argv[1:], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, timeout=60,
                          input=options.get('text', ''))
    if done.returncode != 0:
        raise LabError('%s: %s' % (' '.join(argv), done.stdout.strip()))
    return done.stdout


class Switch:
    """A bridge with hosts plugged in.  A context manager: close() removes all of it.

    Hosts are named by short words (at most 9 letters: an interface's name has 15 characters).
    """

    def __init__(self):
        number = next(_labs)
        letters = string.ascii_lowercase
        self.prefix = 'ahmlab%d%s-' % (os.getpid(), letters[number % 26] * (1 + number // 26))
        self.addresses = {}
        self.faults = []
        self.namespaces = []
        self.is_filtering = False
        try:
            self._make_namespace('sw')
            self._in_switch('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0')
            self._in_switch('link', 'set', 'br0', 'up')
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def namespace(self, host):
        """The name of a host's network namespace, as `ip netns` knows it."""
        return self.prefix + host

    def _make_namespace(self, host):
        call('ip', 'netns', 'add', self.namespace(host))
        self.namespaces.append(self.namespace(host))

    def _in_switch(self, *words):
        return call('ip', '-n', self.namespace('sw'), *words)

    def _in_host(self, host, *words):
        return call('ip', '-n', self.namespace(host), *words)

    def _nft(self, text):
        call('ip', 'netns', 'exec', self.namespace('sw'), tool('nft'), '-f', '-', text=text)

    def plug(self, host, address):
        """Make a host with one interface, eth0, of this IPv4 address."""
        port = 'port-' + host
        self._make_namespace(host)
        call('ip', 'link', 'add', port, 'netns', self.namespace('sw'), 'type', 'veth',
             'peer', 'name', 'eth0', 'netns', self.namespace(host))
        self._in_switch('link', 'set', port, 'master', 'br0', 'up')
        self._in_host(host, 'link', 'set', 'lo', 'up')
        self.addresses[host] = address
        self.power_on(host)

    # Faults

    def cut(self, host):
        """Isolate a host: the switch drops every frame from and to it."""
        self._add(Drop(host, None), Drop(None, host))

    def cut_one_way(self, host, direction):
        """Drop every frame to the host ('in') or from it ('out')."""
        if direction not in ('in', 'out'):
            raise ValueError("direction is 'in' or 'out', not %r" % (direction,))
        self._add(Drop(None, host) if direction == 'in' else Drop(host, None))

    def cut_between(self, one, other):
        """Drop every frame between two hosts; both still reach all others."""
        self._add(Drop(one, other), Drop(other, one))

    def loss(self, host, percent):
        """Drop this percentage of the frames from the host, and of those to it, at random."""
        self._add(Drop(host, None, percent), Drop(None, host, percent))

    def heal(self, host=None):
        """Take back the faults of a host (also those between it and others), or all faults."""
        self.faults = [drop for drop in self.faults
                       if host is not None and host not in (drop.source, drop.target)]
        self._render()

    def _add(self, *drops):
        self.faults.extend(drops)
        self._render()

    def _render(self):
        if not self.is_filtering:       # a switch without faults needs no nft
            self._nft(TABLE)
            self.is_filtering = True
        lines = ['flush chain bridge lab faults']
        lines += ['add rule bridge lab faults ' + _rule(drop) for drop in self.faults]
        self._nft('\n'.join(lines) + '\n')

    # Power

    def pids(self, host):
        """The ids of the processes that run on a host."""
        return procfs.in_network_namespace(self.namespace(host))

    def power_off(self, host):
        """The power fails: first nothing leaves the host any more, then nothing runs on it.

        In this order, or the dying processes' last words (connection resets) would reach the
        others, which no dead machine sends.  The addresses go with the machine.
        """
        self._in_switch('link', 'set', 'port-' + host, 'down')
        procfs.kill_all(lambda: self.pids(host))
        self._in_host(host, 'addr', 'flush', 'dev', 'eth0')

    def power_on(self, host):
        """Give the host its own address and its link; what ran on it must be started by others."""
        address = '%s/%d' % (self.addresses[host], PREFIX_LENGTH)
        self._in_host(host, 'addr', 'replace', address, 'dev', 'eth0')
        self._in_host(host, 'link', 'set', 'eth0', 'up')
        self._in_switch('link', 'set', 'port-' + host, 'up')

    def freeze(self, host):
        """SIGSTOP every process of a host.  Its kernel still answers ARP, ping and TCP's SYN: add
        cut() where it should look like a stopped virtual machine."""
        procfs.freeze_all(lambda: self.pids(host))

    def thaw(self, host):
        """SIGCONT every process of a host."""
        procfs.thaw_all(lambda: self.pids(host))

    def close(self):
        """Kill what runs in the namespaces of this switch and remove them."""
        with contextlib.ExitStack() as stack:
            for name in self.namespaces:
                stack.callback(_remove_namespace, name)
            self.namespaces = []


def _remove_namespace(name):
    procfs.kill_all(lambda: procfs.in_network_namespace(name))
    call('ip', 'netns', 'del', name)


def _rule(drop):
    words = []
    if drop.source is not None:
        words.append('iifname "port-%s"' % drop.source)
    if drop.target is not None:
        words.append('oifname "port-%s"' % drop.target)
    if drop.percent < 100:
        words.append('numgen random mod 1000 < %d' % round(drop.percent * 10))
    return ' '.join(words + ['drop'])


_reason = []


def namespaces_available():
    """None where this machine can run namespace labs, else the reason why not (str).

    A real namespace, veth pair and firewall table are made and removed: containers often refuse
    what their root seems to be allowed.  Asked once a process.
    """
    if not _reason:
        _reason.append(_trial())
    return _reason[0]


def _trial():
    if os.geteuid() != 0:
        return 'network namespaces need root'
    try:
        for name in ('ip', 'nft', 'arping', 'setpriv'):
            tool(name)
        with Switch() as switch:
            switch.plug('h1', '10.77.0.11')
            switch.cut('h1')
    except (LabError, OSError) as error:
        return 'network namespaces do not work here: %s' % error
    return None
