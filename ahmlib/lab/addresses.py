"""Which addresses and ports a lab uses.

Loopback labs share the machine with each other and with whatever listens on all addresses (a
PostgreSQL of the machine's on 0.0.0.0:5432): so a /24 of 127.77.0.0/16 is looked for in which the
ports are free, and which no other process has chosen for its labs and may just be about to use.
"""
import os
import socket
from typing import Dict, NamedTuple

from ahmlib.lab import LabError

DB_PORT = 5432
AHM_PORT = 9500
IPC_PORT = 9595
FIRST_NODE = 11
VIP = 100
CLIENT = 200


class Plan(NamedTuple):
    """The addresses and ports of a lab; `prefix` is the first three numbers of its addresses."""
    prefix: str
    db_port: int = DB_PORT
    ahm_port: int = AHM_PORT
    ipc_port: int = IPC_PORT

    def node(self, number: int) -> str:
        """The address of node 1, 2, ..."""
        return '%s.%d' % (self.prefix, FIRST_NODE + number - 1)

    @property
    def vip(self) -> str:
        """The virtual IP."""
        return '%s.%d' % (self.prefix, VIP)

    @property
    def client(self) -> str:
        """The client's address."""
        return '%s.%d' % (self.prefix, CLIENT)

    @property
    def network(self) -> str:
        """The network of all of them, as CIDR."""
        return self.prefix + '.0/24'


def loopback_plan(nodes: int) -> Plan:
    """A Plan for this many nodes in 127.77.0.0/16 whose ports are free; LabError without one."""
    for offset in range(100):
        third = (os.getpid() + 7 * offset) % 250 + 1
        if not _is_ours(third):
            continue
        # The default ports first, in several networks; then others, for who holds them everywhere.
        plan = Plan('127.77.%d' % third, DB_PORT + offset // 4, AHM_PORT + offset // 4,
                    IPC_PORT + offset // 4)
        if _is_free(plan, nodes):
            return plan
    raise LabError('no free ports in 127.77.0.0/16 near %d, %d, %d'
                   % (DB_PORT, AHM_PORT, IPC_PORT))


#: Third number -> the socket whose name says so, held until this process ends.
_ours: Dict[int, socket.socket] = {}


def _is_ours(third: int) -> bool:
    """Whether the /24 with this third number is this process's, from now on if not before.

    Two processes whose ids are alike would find the same ports free, and then both use them.
    """
    if third not in _ours:
        # An abstract name: it goes with its socket, and needs no file.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind('\0ahmlab-%d' % third)
        except OSError:
            claim.close()
            return False
        _ours[third] = claim
    return True


def _is_free(plan: Plan, nodes: int) -> bool:
    wanted = [(plan.vip, plan.db_port, socket.SOCK_STREAM)]
    for number in range(1, nodes + 1):
        address = plan.node(number)
        wanted += [(address, plan.db_port, socket.SOCK_STREAM),
                   (address, plan.ipc_port, socket.SOCK_STREAM),
                   (address, plan.ahm_port, socket.SOCK_DGRAM)]
    return all(_can_bind(*each) for each in wanted)


def _can_bind(address: str, port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as trial:
        if kind == socket.SOCK_STREAM:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True
