"""The host that a node lives on: here an address of the loopback network.

A host knows how to run a program as the lab's user where its node lives, which commands of the
configuration raise and drop the VIP there, and how it loses its power or stands still.  What a
loopback host cannot do (there is no switch between 127.x addresses) it says with LabError; the
tests have another kind, behind the same interface, that can (tests/lab/hosts.py).
"""
import os
import subprocess
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ahmlib.lab import LabError, procfs
from ahmlib.lab.users import demotion, tool
from ahmlib.lab.workspace import HOST_MARK, Workspace

Variables = Optional[Mapping[str, str]]

#: Whether the relay with this PID file runs.  Every node asks twice a second: too often for Python.
RELAY_RUNS = '''#!/bin/sh
[ -r "$1" ] && read -r pid < "$1" && grep -qaF "$1" "/proc/$pid/cmdline" 2>/dev/null || exit 1
'''

#: Whether any host's relay runs, asked as ping asks: every node does so all the time, and may not
#: wait long.  A start of Python can take longer than that.  It hears this machine itself, or AHM
#: would not believe its silence.
PING = '''#!/bin/sh
for last; do :; done
if [ "$last" = 127.0.0.1 ]; then
    echo '1 packets transmitted, 1 received, 0% packet loss'
    exit 0
fi
if [ "$last" = '{vip}' ]; then
    for file in '{directory}'/h*/relay.pid; do
        if '{relay_runs}' "$file"; then
            echo '1 packets transmitted, 1 received, 0% packet loss'
            exit 0
        fi
    done
fi
echo '1 packets transmitted, 0 received, 100% packet loss'
exit 1
'''


NO_SWITCH = 'a loopback lab has no switch: this fault needs network namespaces'


class Finished(NamedTuple):
    """How a program ended: exit code, and standard output and error as one text."""
    code: int
    output: str


class Host:
    """What all kinds share.  `directory` is the host's own; all its processes work below it."""

    kind = ''

    def __init__(self, workspace: Workspace, name: str, address: str, vip: str) -> None:
        self.workspace = workspace
        self.name = name
        self.address = address
        self.vip = vip
        self.directory = workspace.make_directory(name)

    def popen(self, argv: Sequence[str], log: Optional[str] = None, capabilities: bool = False,
              env: Variables = None) -> 'subprocess.Popen[bytes]':
        """Start a program here as the lab's user, in a session of its own; returns the Popen.

        `log` is the path its output is appended to (default: nowhere).  `capabilities` lets it,
        and what it starts, change addresses and send ARP where that takes more than the user has.
        """
        with open(log or os.devnull, 'ab') as output:
            return self._start(argv, capabilities, env, stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT)

    def run(self, argv: Sequence[str], limit: float = 60.0, check: bool = True,
            capabilities: bool = False, env: Variables = None) -> Finished:
        """Run a program to its end, at most `limit` seconds; returns Finished.

        Raises LabError when it takes longer, or (with `check`) when its exit code is not 0.
        """
        child = self._start(argv, capabilities, env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True)
        try:
            output, _ = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise LabError('%s takes longer than %g s' % (' '.join(argv), limit))
        if check and child.returncode != 0:
            raise LabError('%s on %s: exit code %d: %s'
                           % (' '.join(argv), self.name, child.returncode, output.strip()))
        return Finished(child.returncode, output)

    def environment(self, env: Variables = None) -> Dict[str, str]:
        """The environment of this host's processes, with `env` (a dict) merged over it."""
        return dict(self.workspace.environment(self.name), **(env or {}))

    def python(self, *words: str) -> List[str]:
        """The argument list that runs the lab's interpreter with these words."""
        return [self.workspace.interpreter.executable] + list(words)

    def vip_up(self) -> None:
        """Raise the VIP here by hand, with the commands AHM would use, and announce it."""
        commands = self.vip_commands()
        self._vip_command(commands['if_up_cmd'])
        if 'arping_cmd' in commands:
            self._vip_command(commands['arping_cmd'])

    def vip_down(self) -> None:
        """Drop the VIP here by hand."""
        self._vip_command(self.vip_commands()['if_down_cmd'])

    def _vip_command(self, command: str) -> None:
        self.run(command.replace('$_IP_$', self.vip).split(), capabilities=True)

    # What each kind does in its own way

    def _start(self, argv: Sequence[str], capabilities: bool, env: Variables,
               **options: Any) -> 'subprocess.Popen[Any]':
        raise NotImplementedError

    def pids(self) -> List[int]:
        """The ids of the processes of this host."""
        raise NotImplementedError

    def vip_commands(self) -> Dict[str, str]:
        """The lines of ahm_config.yml that say how the VIP is handled here."""
        raise NotImplementedError

    def holds_vip(self) -> bool:
        """Whether this host holds the VIP now."""
        raise NotImplementedError

    def power_off(self) -> None:
        """The power fails: nothing runs here any more."""
        raise NotImplementedError

    def power_on(self) -> None:
        """The power is back; nothing is started."""
        raise NotImplementedError

    # Faults of the network, where there is one

    def isolate(self) -> None:
        """Cut this host off from all others."""
        raise LabError(NO_SWITCH)

    def cut_one_way(self, direction: str) -> None:
        """Drop what goes to this host ('in') or comes from it ('out')."""
        raise LabError(NO_SWITCH)

    def cut_from(self, other: 'Host') -> None:
        """Cut the connection between this host and another one."""
        raise LabError(NO_SWITCH)

    def loss(self, percent: float) -> None:
        """Drop this percentage of what goes to this host and comes from it."""
        raise LabError(NO_SWITCH)

    def heal(self) -> None:
        """Take back all faults of this host's connection."""
        raise LabError(NO_SWITCH)

    # What all do alike

    def kill_everything(self) -> None:
        """SIGKILL every process of this host."""
        procfs.kill_all(self.pids)

    def freeze(self) -> None:
        """SIGSTOP every process of this host."""
        procfs.freeze_all(self.pids)

    def thaw(self) -> None:
        """SIGCONT every process of this host."""
        procfs.thaw_all(self.pids)


class MachineHost(Host):
    """The machine itself, no node of a cluster: where the prober runs, and loopback's client."""

    def __init__(self, workspace: Workspace, name: str, address: str = '',
                 vip: str = '') -> None:
        Host.__init__(self, workspace, name, address, vip)

    def _start(self, argv: Sequence[str], capabilities: bool, env: Variables,
               **options: Any) -> 'subprocess.Popen[Any]':
        return subprocess.Popen(argv, env=self.environment(env), cwd=self.directory,
                                preexec_fn=demotion(self.workspace.user),
                                start_new_session=True, **options)

    def pids(self) -> List[int]:
        """The ids of the processes that were started here."""
        mark = self.workspace.mark_of(self.name)
        return sorted(set(procfs.with_variable(HOST_MARK, mark)
                          + procfs.working_below(self.directory)) - {os.getpid()})


class LoopbackHost(MachineHost):
    """A 127.x address.  Its VIP is a relay; its `ping` is ours, for every 127.x address answers."""

    kind = 'loopback'

    def __init__(self, workspace: Workspace, name: str, address: str, vip: str,
                 db_port: int) -> None:
        MachineHost.__init__(self, workspace, name, address, vip)
        self.db_port = db_port
        self.pid_file = os.path.join(self.directory, 'relay.pid')
        self.bin_dir = workspace.make_directory(name, 'bin')
        self._relay_script()
        relay_runs = os.path.join(self.bin_dir, 'relay-runs')
        workspace.write(relay_runs, RELAY_RUNS, executable=True)
        workspace.write(os.path.join(self.bin_dir, 'ping'), PING.format(
            vip=vip, directory=workspace.directory, relay_runs=relay_runs), executable=True)

    def _relay_script(self) -> None:
        """A program that finds its modules whatever environment its caller leaves it."""
        env = self.environment()
        head = ''.join("%s='%s'\nexport %s\n" % (key, env[key], key)
                       for key in ('PYTHONPATH', 'PYTHONPYCACHEPREFIX'))
        text = '#!/bin/sh\n%sexec %s -m ahmlib.lab.relay "$@"\n' % (
            head, self.workspace.interpreter.executable)
        self.workspace.write(os.path.join(self.bin_dir, 'relay'), text, executable=True)

    def vip_commands(self) -> Dict[str, str]:
        """The lines of ahm_config.yml that say how the VIP is handled here, as a dict of str."""
        relay = os.path.join(self.bin_dir, 'relay')
        return {
            'if_up_cmd': '%s up --listen $_IP_$:%d --to %s:%d --pid-file %s'
                         % (relay, self.db_port, self.address, self.db_port, self.pid_file),
            'if_down_cmd': '%s down --pid-file %s' % (relay, self.pid_file),
            'if_check_cmd': '%s-runs %s' % (relay, self.pid_file),
            # There are no neighbours to tell; without a command AHM would warn of that.
            'arping_cmd': tool('true'),
            'ping_path': self.bin_dir,
        }

    def holds_vip(self) -> bool:
        """Whether this host holds the VIP now."""
        argv = self.vip_commands()['if_check_cmd'].split()
        return self.run(argv, check=False).code == 0

    def power_off(self) -> None:
        """Kill all that runs here.  The machine's kernel answers for it: connections are refused
        at once, where a host without power says nothing."""
        self.kill_everything()

    def power_on(self) -> None:
        """Nothing to do: an address of the loopback network never goes."""

