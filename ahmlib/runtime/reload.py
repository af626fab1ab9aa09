"""The configuration is read again, in a child: its files may be on a disk that stalls.

The child reads and checks all of it as a start does, and hands the Config back as it is: a pickle
that crosses nothing but the pipe between the daemon and its own fork.
"""

import base64
import errno
import os
import pickle
from typing import TYPE_CHECKING, Any, Dict, List

from ahmlib.config import loader
from ahmlib.config.nodes_file import sorted_addresses
from ahmlib.config.schema import ALWAYS, PAUSED

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.runtime.children import Result
    from ahmlib.runtime.daemon import Daemon

#: What the driver does not answer, and only at the UNIX socket.
REQUEST = {'ask': 'reload'}
#: What reading may take, disk and checks of the host together.
LIMIT_SECONDS = 60.0


class StartError(Exception):
    """The daemon cannot start.  One line: what was found, what to do."""


class Reload:
    """Reads the configuration of a Daemon again and has it taken; one at a time.

    A client that asked for it is told what came of the first reading that began afterwards.
    """

    def __init__(self, daemon: 'Daemon') -> None:
        self._daemon = daemon
        self.taken = True       # what the newest one brought
        self._runs = False
        self._asked_again = False
        self._waiting: List[Any] = []
        self._served: List[Any] = []

    def ask(self, client: Any = None) -> None:
        """Read it now; once more after that, if it is being read already."""
        if client is not None:
            self._waiting.append(client)
        if self._runs:
            self._asked_again = True
            return
        self._runs = True
        self._served, self._waiting = self._waiting, []
        daemon = self._daemon
        daemon.service.reloading()
        daemon.children.start(read, (daemon,), LIMIT_SECONDS, self._read, 'reading %s'
                              % daemon.config.path)

    def _read(self, result: 'Result') -> None:
        self._runs = False
        problems = result.get('problems') or ([] if result['ok'] else [result['reason']])
        for text in problems:
            self._daemon.log.error('reload refused: %s' % text)
        answer = {'ok': False, 'reason': problems[0], 'problems': problems} if problems \
            else self._daemon.take(unpack(result['config']))
        self.taken = bool(answer['ok'])
        self._daemon.service.reloaded()
        for client in self._served:
            self._daemon.ipc.answer(client, answer)
        self._served = []
        if self._asked_again:
            self._asked_again = False
            self.ask()


def read(daemon: 'Daemon') -> 'Result':
    """In the child: the Config of a Daemon as it stands in its files now, or what is wrong."""
    environment = daemon.environment
    try:
        new = loader.load(daemon.config.path, environment.variables, environment.directory)
        check_log_file(daemon.destination(new))
    except loader.ConfigError as error:
        return {'ok': False, 'problems': error.problems}
    except StartError as error:
        return {'ok': False, 'problems': [str(error)]}
    return {'ok': True, 'config': pack(new)}


def changes(old: 'Config', new: 'Config', order: str, paused: bool = False
            ) -> List[Dict[str, str]]:
    """What differs between two Configs, with the values as they can be shown.

    `paused`: what can change in a pause of the cluster can change now.
    `why` says of what cannot change while the daemon runs what to do: `order`.  '' of all others.
    """
    at_once = (ALWAYS, PAUSED) if paused else (ALWAYS,)
    why = 'cannot change while the daemon runs: ' + order
    found = [{'name': parameter.name, 'before': loader.shown(old, parameter.name),
              'after': loader.shown(new, parameter.name),
              'why': '' if parameter.reload in at_once else why}
             for parameter in loader.differences(old, new)]
    before, after = _nodes(old), _nodes(new)
    if before != after:
        found.append({'name': 'nodes.conf', 'before': before, 'after': after, 'why': why})
    return found


def _nodes(config: 'Config') -> str:
    assert config.nodes is not None
    return ', '.join(sorted_addresses(config.nodes))


def pack(config: 'Config') -> str:
    """A Config as text that JSON can hold, for the pipe between a process and its own fork."""
    return base64.b64encode(pickle.dumps(config)).decode('ascii')


def unpack(text: str) -> 'Config':
    """The Config that `pack` made a text of."""
    config: Config = pickle.loads(base64.b64decode(text))
    return config


def check_log_file(destination: str, is_made: bool = True) -> None:
    """Raise StartError where the log would be lost; a file that is not there is made.

    With `is_made` false nothing is: it is looked whether that could be done.
    """
    if not os.path.isabs(destination):
        return                          # stderr or syslog
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if is_made or os.path.lexists(destination):
            os.close(os.open(destination, flags | (os.O_CREAT if is_made else 0), 0o640))
        else:
            _refuse_directory(os.path.dirname(destination))
    except OSError as error:
        raise StartError('cannot write the log %s: %s; correct log_filename or the permissions'
                         % (destination, error.strerror))


def _refuse_directory(path: str) -> None:
    """Raise OSError where no file can be made in this directory."""
    os.stat(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
