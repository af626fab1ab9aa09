"""The host whose node lives in a network namespace, with what a loopback host cannot do.

It has a real interface, so a real VIP that is announced by gratuitous ARP, and a port of the switch
(network.py), in which its connections are cut.
"""
import os
import subprocess

from ahmlib.lab.hosts import Host
from ahmlib.lab.users import tool
from tests.lab.network import PREFIX_LENGTH

CAPABILITIES = '+net_admin,+net_raw'


class NamespaceHost(Host):
    """A network namespace on the lab's switch, with a real interface and real addresses."""

    kind = 'namespaces'

    def __init__(self, workspace, name, address, vip, switch):
        Host.__init__(self, workspace, name, address, vip)
        self.switch = switch
        switch.plug(name, address)

    def _start(self, argv, capabilities, env, **options):
        # `ip netns exec` (not nsenter) gives a /sys of its own; both programs exec what follows,
        # so the Popen's pid is the program's.
        user = self.workspace.user
        words = [tool('ip'), 'netns', 'exec', self.switch.namespace(self.name),
                 tool('setpriv'), '--reuid', str(user.uid), '--regid', str(user.gid),
                 '--init-groups']
        if capabilities:
            words += ['--inh-caps', CAPABILITIES, '--ambient-caps', CAPABILITIES]
        return subprocess.Popen(words + ['--'] + list(argv), env=self.environment(env),
                                cwd=self.directory, start_new_session=True, **options)

    def vip_commands(self):
        """The lines of ahm_config.yml that say how the VIP is handled here, as a dict of str."""
        change = '%s addr %s $_IP_$/%d dev eth0'
        return {
            'if_up_cmd': change % (tool('ip'), 'add', PREFIX_LENGTH),
            'if_down_cmd': change % (tool('ip'), 'del', PREFIX_LENGTH),
            'arping_cmd': '%s -U -c 1 -w 1 -I eth0 $_IP_$' % tool('arping'),
            'ping_path': os.path.dirname(tool('ping')),
        }

    def holds_vip(self):
        """Whether the VIP is on this host's interface now."""
        shown = self.run([tool('ip'), '-o', '-4', 'addr', 'show', 'dev', 'eth0'])
        return ' %s/' % self.vip in shown.output

    def pids(self):
        """The ids of the processes of this host."""
        return self.switch.pids(self.name)

    def power_off(self):
        """The link goes down, then every process is killed; the addresses are gone with them."""
        self.switch.power_off(self.name)

    def power_on(self):
        """The link and the host's own address come back; nothing is started."""
        self.switch.power_on(self.name)

    def isolate(self):
        """The switch drops every frame from and to this host."""
        self.switch.cut(self.name)

    def cut_one_way(self, direction):
        """The switch drops every frame to this host ('in') or from it ('out')."""
        self.switch.cut_one_way(self.name, direction)

    def cut_from(self, other):
        """The switch drops every frame between this host and another Host."""
        self.switch.cut_between(self.name, other.name)

    def loss(self, percent):
        """The switch drops this percentage of the frames, each way."""
        self.switch.loss(self.name, percent)

    def heal(self):
        """Take back all faults of this host's port."""
        self.switch.heal(self.name)
