"""One daemon of its own for a test: its files, the command `ahm` for them, and what it says.

Most that an operator meets needs one daemon only: a witness of a three-node cluster whose other
nodes are not there.  The fixtures `lab` and `lone` are in conftest.py.
"""

import contextlib
import itertools
import os
import subprocess
import time
from typing import NamedTuple

import pytest
import yaml

from ahmlib.ipc import client
from ahmlib.lab import LabError, procfs
from ahmlib.lab.users import demotion
from ahmlib.lab.workspace import HOST_MARK
from tests.lab.cluster import loopback_available

LIMIT = 30
LACK = loopback_available()
postgres = pytest.mark.skipif(LACK is not None, reason=str(LACK))
numbers = itertools.count(1)


def wait_until(predicate, what, limit=LIMIT):
    """Wait until predicate() is true, and return its value."""
    deadline = time.monotonic() + limit
    while True:
        seen = predicate()
        if seen:
            return seen
        assert time.monotonic() < deadline, 'waited %g s in vain for %s' % (limit, what)
        time.sleep(0.05)


class Done(NamedTuple):
    """How a command ended."""
    code: int
    out: str
    err: str


class Lone:
    """One node of its own: its files, and the command `ahm` for them, run as the lab's user."""

    def __init__(self, workspace, plan):
        self.workspace, self.plan = workspace, plan
        self.name = 'd%d' % next(numbers)
        self.directory = workspace.make_directory(self.name)
        self.data_dir = workspace.make_directory(self.name, 'data')
        self.socket_dir = workspace.make_directory(self.name, 'ipc')
        self.config = os.path.join(self.directory, 'ahm_config.yml')
        self.nodes = os.path.join(self.directory, 'nodes.conf')
        self.pid_file = os.path.join(self.data_dir, 'ahm.pid')
        self.log = os.path.join(self.data_dir, 'ahm.log')
        self.socket = os.path.join(self.socket_dir, '.s.AHM.%d' % plan.ipc_port)
        self.stack = contextlib.ExitStack()
        self.settings = {
            'node_name': 'AHM-NODE-1', 'is_witness': True, 'nodes_filename': 'nodes.conf',
            'ahm_port': plan.ahm_port, 'ipc_port': plan.ipc_port, 'data_dir': self.data_dir,
            'socket_dir': self.socket_dir, 'listen_address': plan.node(1),
            'log_filename': 'ahm.log'}
        self.configure()
        self.write_nodes()

    def configure(self, **changes):
        """Write ahm_config.yml with these changes, None takes a line out."""
        self.settings.update(changes)
        kept = {key: value for key, value in self.settings.items() if value is not None}
        self.workspace.write(self.config, yaml.safe_dump(kept, default_flow_style=False))

    def write_nodes(self, *more, **options):
        """Write nodes.conf with the nodes `first` (1) to 3, and `more` lines."""
        lines = ['%s:%d' % (self.plan.node(number), self.plan.ahm_port)
                 for number in range(options.get('first', 1), 4)]
        self.workspace.write(self.nodes, '\n'.join(lines + list(more)) + '\n')

    def line(self, key):
        """'FILE:LINE:' of a key in ahm_config.yml."""
        with open(self.config) as file:
            found = [number for number, line in enumerate(file, 1) if line.startswith(key + ':')]
        return '%s:%d:' % (self.config, found[0])

    def popen(self, *words, **options):
        """Start `ahm` with these words; returns the Popen.  `variables` are added to its own."""
        variables = dict(self.workspace.environment(self.name), **options.pop('variables', {}))
        argv = [self.workspace.interpreter.executable,
                os.path.join(self.workspace.source, 'ahm.py'), '-f', self.config] + list(words)
        return subprocess.Popen(
            argv, env=variables, cwd=self.directory,
            stdin=subprocess.DEVNULL, preexec_fn=demotion(self.workspace.user),
            start_new_session=True, universal_newlines=True, **options)

    def ahm(self, *words):
        """Run `ahm` with these words to its end; returns Done."""
        process = self.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=2 * LIMIT)
        return Done(process.returncode, out, err)

    def start(self):
        """`ahm start`, which must succeed in silence; returns the daemon's PID."""
        assert self.ahm('start') == Done(0, '', '')
        return self.pid()

    def foreground(self, **variables):
        """`ahm -n` up and answering; returns its Popen, its stderr is the file `stderr`."""
        with open(os.path.join(self.directory, 'stderr'), 'w') as file:
            process = self.popen('-n', stdout=file, stderr=file, variables=variables)
        wait_until(self.answers, 'the daemon to answer')
        return process

    def stderr(self):
        """What `foreground` has said so far."""
        with open(os.path.join(self.directory, 'stderr')) as file:
            return file.read()

    def pid(self):
        """The PID in the PID file."""
        with open(self.pid_file) as file:
            return int(file.read())

    def status(self):
        """The daemon's own view, asked once through its UNIX socket."""
        answer = client.ask({'ask': 'status'}, port=self.plan.ipc_port,
                            socket_dir=self.socket_dir)
        return answer['status']

    def answers(self):
        """Whether the daemon answers."""
        try:
            return self.status()['asked'] == 'AHM-NODE-1'
        except (client.NoDaemon, client.ProtocolError):
            return False

    def log_text(self):
        """The log so far."""
        if not os.path.exists(self.log):
            return ''
        with open(self.log) as file:
            return file.read()

    def logs(self, text):
        """Wait until the log has this text."""
        wait_until(lambda: text in self.log_text(), '%r in %s' % (text, self.log))

    def processes(self):
        """The PIDs of all processes that were started here and live."""
        return procfs.with_variable(HOST_MARK, self.workspace.mark_of(self.name))

    def helpers(self):
        """{'state' or 'log': PID} of the processes that wait for the disks of the daemon."""
        found = {}
        for pid in self.processes():
            words = procfs.command_line(pid)
            if len(words) > 4 and words[2].endswith('disk_helper.py'):
                found[words[4].split()[0]] = pid
        return found

    def workers(self):
        """The PIDs of all processes that were started here but those two."""
        return sorted(set(self.processes()) - set(self.helpers().values()))

    def files(self):
        """All files in data_dir and socket_dir but the log."""
        return sorted(os.path.join(place, name) for place in (self.data_dir, self.socket_dir)
                      if os.path.isdir(place)
                      for name in os.listdir(place) if name != 'ahm.log')

    def close(self):
        """End everything that was started here."""
        procfs.kill_all(self.processes)
        self.stack.close()


def is_gone(pid):
    """Whether a process is no more; a zombie that its parent did not reap is none."""
    return procfs.state(pid) in 'ZX'


def one_line(text):
    """The only line of a text."""
    assert text.endswith('\n') and text.count('\n') == 1, text
    return text[:-1]


def view(node):
    """What a Node says of the cluster, without what changes all the time."""
    try:
        status = client.ask({'ask': 'status'}, port=node.plan.ipc_port,
                            socket_dir=node.socket_dir)['status']
    except (client.NoDaemon, client.ProtocolError) as error:
        raise LabError(str(error))
    return {'leader': status['leader'], 'successor': status['successor'], 'term': status['term'],
            'vip': status['leader_holds_vip'], 'majority': status['has_majority'],
            'states': {row['name'] or 'ABSENT': (row['database'], row['state'])
                       for row in status['nodes']}}
