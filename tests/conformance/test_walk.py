"""The walk of the manual's 19.8 from the first step to the last, on two hosts, in its order.

The files are those that the manual prints; what stands in PLACE is this lab's, and FAST is faster.
What the manual shows to be printed has to be printed, byte by byte, with the corrections of
printed.py and the lab's addresses, on both nodes and through the virtual IP.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile

import pytest
import yaml

from ahmlib.lab import LabError
from ahmlib.lab.users import ROOT, tool
from tests.integration.scenarios import Scenario
from tests.lab.cluster import Cluster
from tests.lab.ssh import PORT, Logins, ssh_unavailable

from . import manual
from .printed import corrected, laid_out
from .test_samples import listings

LIMIT = 90
FIRST, SECOND = 'AHM-NODE-1', 'AHM-NODE-2'
needs_ssh = pytest.mark.skipif(
    bool(ssh_unavailable()), reason='THE WALK IS SKIPPED: %s' % ssh_unavailable())

#: The lines of the manual's configuration that belong to its hosts; the lab has its own.
PLACE = ('data_dir', 'socket_dir', 'node_name', 'conn_string', 'virtual_IP', 'log_filename',
         'db_bin_dir', 'db_data_dir', 'db_config_dir', 'ping_path', 'arping_path', 'if_cmd_path',
         'pre_promotion_command')
#: With a check that may take longer than its period, the status would warn of that.
FAST = {'beacon_message_interval_seconds': 0.5, 'wait_for_primary_timeout_seconds': 5,
        'health_check_period': 2, 'db_connect_timeout': 2, 'max_consec_failures': 2}


def test_steps_1_and_2_what_is_unpacked_has_the_commands_and_the_samples(tmp_path):
    """tar -zxvf; export PATH=.../AHM/bin:$PATH"""
    archive = str(tmp_path / 'AHM.tar.gz')
    with tarfile.open(archive, 'w:gz') as tar:
        for name in ('bin', 'conf', 'ahmlib'):
            tar.add(os.path.join(ROOT, name), os.path.join('AHM', name))
    with tarfile.open(archive) as tar:
        tar.extractall(str(tmp_path))
    unpacked = str(tmp_path / 'AHM')
    python = os.path.dirname(sys.executable)
    for command in ['ahm'] + manual.utilities(manual.text()):
        done = subprocess.run(
            [command, '--help'], env={'PATH': '%s/bin:%s:/usr/bin:/bin' % (unpacked, python)},
            cwd='/', stdout=subprocess.PIPE, universal_newlines=True)
        assert done.returncode == 0 and 'Usage:\n  %s ' % command in done.stdout
    copied = [line.split()[2] for line in manual.text().splitlines()
              if line.startswith('$ cp ')]                      # cp ....sample ...
    assert [os.path.basename(path) for path in copied] == [
        'ahm_config.yml.sample', 'nodes.conf.sample', 'failover.sh.sample']
    for path in copied:
        assert os.path.isfile(os.path.join(unpacked, 'conf', os.path.basename(path)))


class Walk:
    """Two nodes with the manual's files, each with an sshd for the other one."""

    def __init__(self, cluster, logins):
        self.cluster, self.logins = cluster, logins
        self.first, self.second = cluster.nodes
        plan = cluster.plan
        self.addresses = {'210.104.181.77': plan.node(1), '210.104.181.78': plan.node(2),
                          '210.104.181.42': plan.vip}

    def configure(self):
        """Step 3: both files alike but for the node's name and directories; the fencing script."""
        text, = listings('19.8', '$ vi /home/agens/AHM/etc/ahm_config.yml')
        nodes = listings('19.8', '$ vi nodes.conf')[0].partition('Fail-Over')[0]
        for address, here in self.addresses.items():
            nodes = nodes.replace(address, here)
        for node in self.cluster.nodes:
            script = os.path.join(node.host.directory, 'failover.sh')
            shutil.copy(os.path.join(ROOT, 'conf', 'failover.sh.sample'), script)
            os.chmod(script, 0o755)
            lines = {name: value for name, value in yaml.safe_load(text).items()
                     if name not in PLACE}
            for name in ('if_up_cmd', 'if_down_cmd', 'arping_cmd'):
                lines[name] = self.command(lines[name])
            node.configure(dict(
                lines, pre_promotion_command='env PATH=%s:/usr/bin:/bin AHM_FENCE_SSH_PORT=%d '
                'AHM_FENCE_BIN_DIR=%s %s' % (self.logins.bin_dir(node), PORT,
                                             node.database.installation.bin_dir, script),
                **FAST), nodes)

    @staticmethod
    def command(line):
        """A command of the manual here: our interface and programs, and rights without sudo."""
        line = line.replace('/usr/bin/sudo ', '').replace('eno1', 'eth0')
        return line.replace('/sbin/ip', tool('ip')).replace('/usr/sbin/arping', tool('arping'))

    def prints(self, place, asked=None):
        """Wait until the status at this place of the manual is printed, by all and by the VIP."""
        expected = laid_out(corrected(place), self.addresses)
        for node in asked or self.cluster.nodes:
            for words in ((), ('-h', self.cluster.plan.vip)):
                self._prints(node, words, expected)

    def _prints(self, node, words, expected):
        said = []

        def printed():
            said.append(node.utility('ahm_cluster_status', *words, check=False, limit=15).output)
            return said[-1] == expected
        try:
            self.cluster.wait_until(printed, LIMIT, 'the table on ' + node.name)
        except LabError as error:
            raise LabError('%s\n--- expected:\n%s--- printed:\n%s' % (
                error, expected, said[-1] if said else ''))

    def rebuild(self, node, source):
        """The manual's own commands: rm -rf $PGDATA, pg_basebackup as it prints it."""
        shutil.rmtree(node.database.data_dir)
        words = manual.blocks(manual.text(), '19.8')
        line, = [block for block in words if block.startswith('$ pg_basebackup')]
        values = {'$AGDATA': node.database.data_dir, '210.104.181.77': source.host.address}
        words = [values.get(word, word) for word in line.split()[1:]]
        words[0] = node.database.program('pg_basebackup')
        node.host.run(words, limit=LIMIT)


@contextlib.contextmanager
def walking():
    """A Walk whose daemons do not run yet."""
    with Cluster('namespaces', nodes=2) as cluster, Logins(cluster) as logins:
        cluster.nodes[0].database.sql('CREATE ROLE repluser LOGIN REPLICATION')
        yield Walk(cluster, logins)


@needs_ssh
def test_the_walk_of_the_manual_from_step_3_to_the_last():
    with walking() as walk:
        cluster, first, second = walk.cluster, walk.first, walk.second
        scenario = Scenario(cluster)
        walk.configure()                                    # 3) AHM Config, Nodes, Fail-Over Script
        cluster.start_ahm()                                 # 4) nohup ahm -f ... &
        walk.prints(1)                                      # 5) ahm_cluster_status -h VIP
        scenario.observe()

        first.database.stop()                               # 1) ag_ctl stop
        walk.prints(2)                                      # 2) FailOver
        scenario.written_through(SECOND)
        first.database.start()                              # 1) ag_ctl start
        # 2) ahm_attach_node
        attached = first.utility('ahm_attach_node', check=False, limit=LIMIT)
        # Progress stands before it where that took a while.
        assert attached.code == 0 and attached.output.endswith(
            'Command Success\nInfo: attach database executed successfully\n'), attached
        walk.prints(3)                                      # 3) ahm_cluster_status

        assert second.stop_ahm() == 'AHM stopped\n'         # ahm stop, on the primary
        walk.prints(4, [first])                             # FailOver
        scenario.written_through(FIRST)
        assert not second.database.is_running()
        walk.rebuild(second, first)                         # 4) pg_basebackup ...
        second.database.start()                             #    ag_ctl start
        second.start_ahm()                                  # 5) nohup ahm -f ... &
        walk.prints(5)                                      # 6) ahm_cluster_status
        cluster.wait_until(lambda: second.database.streams_from(first.database), LIMIT,
                           'the rebuilt standby to stream under its own name')
        assert [node.name for node in cluster.vip_holders()] == [FIRST]
        assert [node.name for node in cluster.primaries()] == [FIRST]
