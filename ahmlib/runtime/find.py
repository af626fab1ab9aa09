"""Finds the daemon of a configuration: by its PID file, and where that was removed by its socket.

Whoever listens at the UNIX socket is asked whose PID file it holds, for two configurations may
name one socket. Its PID comes from the kernel, not from its answer, and so does its user: in a
directory that everybody can write, anybody may listen.
"""

import os
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple

from ahmlib.config.rules import LOCK_NAME
from ahmlib.ipc import client
from ahmlib.process import users
from ahmlib.runtime.pid_file import PidFileError, pid_path, running_pid

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: What the driver answers, and only at the UNIX socket.
REQUEST = {'ask': 'daemon'}
LIMIT_SECONDS = 5.0


class Places(NamedTuple):
    """Where a daemon can be found."""
    pid_path: str
    socket_dir: str
    ipc_port: int

    @property
    def lock_path(self) -> str:
        """The file that is locked for as long as its state may be written."""
        return os.path.join(os.path.dirname(self.pid_path), LOCK_NAME)

    @property
    def socket(self) -> str:
        """The path of the UNIX socket, for messages."""
        return os.path.join(self.socket_dir, '.s.AHM.%d' % self.ipc_port)


#: Of a daemon that runs with no configuration file where one is expected.
DEFAULTS = Places('/tmp/ahm.pid', client.DEFAULT_SOCKET_DIR, client.DEFAULT_PORT)


def places(config: 'Config') -> Places:
    """The Places of a Config."""
    return Places(pid_path(config), config.socket_dir, config.ipc_port)


def find_daemon(where: Places) -> Optional[int]:
    """The PID of the daemon at these Places; None: none runs.

    Raises PidFileError where one may run and cannot be told.
    """
    pid = running_pid(where.pid_path)
    return _at_socket(where) if pid is None else pid


def tells(where: Places) -> Dict[str, Any]:
    """What the daemon at these Places says of itself, a dict; {} where none answers."""
    try:
        _, _, answer = client.ask_with_peer(REQUEST, where.ipc_port, where.socket_dir,
                                            LIMIT_SECONDS)
    except (client.NoDaemon, client.ProtocolError):
        return {}
    found = answer or {}
    mine = found.get('pid_file')
    return found if isinstance(mine, str) and _is_same(mine, where.pid_path) else {}


def refuse_doubt(where: Places) -> None:
    """Raise PidFileError where `find_daemon` found none, but the state is locked by somebody."""
    holder = running_pid(where.lock_path)
    if holder is not None:
        raise PidFileError(
            'a process of an AHM daemon of %s runs (PID %d holds %s), but there is neither PID '
            'file %s nor an answer at %s: a daemon that runs makes both anew at its next health '
            'check, so try again after health_check_period; else its disk has stalled'
            % (os.path.dirname(where.pid_path), holder, where.lock_path, where.pid_path,
               where.socket))


def _at_socket(where: Places) -> Optional[int]:
    """The PID of who listens at the socket and holds this PID file, or None."""
    try:
        pid, uid, answer = client.ask_with_peer(REQUEST, where.ipc_port, where.socket_dir,
                                                LIMIT_SECONDS)
    except client.NotAllowed as error:
        raise PidFileError('there is no PID file %s of a running AHM daemon, and %s'
                           % (where.pid_path, error))
    except client.NoDaemon:
        return None
    except client.ProtocolError as error:
        raise PidFileError('there is no PID file %s of a running AHM daemon, and its socket is '
                           "another program's: %s" % (where.pid_path, error))
    if answer is None:
        raise PidFileError('there is no PID file %s of a running AHM daemon, and PID %d, which '
                           'listens at %s, did not answer within %g s: try again, or see whether '
                           'it is stopped' % (where.pid_path, pid, where.socket, LIMIT_SECONDS))
    mine = answer.get('pid_file')
    if not isinstance(mine, str) or not _is_same(mine, where.pid_path):
        return None
    if uid not in _trusted(where):
        raise PidFileError('there is no PID file %s of a running AHM daemon, and PID %d, which '
                           'listens at %s, belongs to %s: no signal is sent to it; run this '
                           'as the user that runs AHM' % (where.pid_path, pid, where.socket,
                                                          users.called(uid)))
    return pid


def _trusted(where: Places) -> Tuple[int, ...]:
    """The users whose process may be signalled: this one, and whose data_dir it is."""
    try:
        return os.geteuid(), os.stat(os.path.dirname(where.pid_path)).st_uid
    except OSError:
        return (os.geteuid(),)


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
