"""What can be checked only on the host that a configuration is for: directories, programs, keys.

`check_host` finds what makes a start pointless, `advise_host` what will hurt later, when nobody
looks: a fencing script that is not there shows at the failover.
"""

import os
import shutil
import stat
from typing import (
    TYPE_CHECKING,
    Container,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from ahmlib.config import defaults
from ahmlib.config.problems import Problem, problem, show_path
from ahmlib.process import users

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

HOOKS = ('pre_promotion_command', 'promotion_command', 'post_promotion_command', 'follow_command',
         'notification_command', 'db_start_command', 'db_stop_command', 'db_restart_command',
         'if_check_cmd', 'service_restart_command')


class Lack(NamedTuple):
    """What will hurt later: a code that stays the same, the parameter, what is found, the remedy.
    """

    code: str
    name: str
    found: str
    remedy: str


def check_host(config: 'Config', skip: Container[str] = ()) -> List[Problem]:
    """What on this host keeps a daemon with this Config from working, as problem lines.

    The parameters in `skip` (attribute names) are left out: they have problems of their own.
    Where data_dir belongs to another user, that alone is told: the rest says nothing of AHM then.
    """
    found = [line for name, check in CHECKS if name not in skip for line in check(config, name)]
    return [line for line in found if line.code == USER] or found


def run_as(uid: int) -> str:
    """What to do where AHM runs as another user than who asks."""
    return 'run this as %s (sudo -u %s ...)' % (users.called(uid), users.for_sudo(uid))


def owner_of(path: str) -> Tuple[str, Optional[int]]:
    """(the directory `path`, its owner's UID); the UID is None where the owner says nothing.

    That is where there is no such directory, or a sticky one, as /tmp.  One that is out of sight
    belongs to the owner of the directory above that hides it, which is told in its place.
    """
    try:
        info = os.stat(path)
    except PermissionError:
        above = owner_of(os.path.dirname(path))
        return above if above[1] else (path, None)      # what root hides may be anybody's
    except OSError:
        return path, None
    is_told = stat.S_ISDIR(info.st_mode) and not info.st_mode & stat.S_ISVTX
    return path, info.st_uid if is_told else None


def belongs(path: str, uid: int) -> str:
    """What is found where the directory `path` belongs to the user `uid` and another one asks."""
    return '%s belongs to %s, and this is run by %s' % (path, users.called(uid),
                                                       users.called(os.geteuid()))


def advise_host(config: 'Config') -> List[str]:
    """What on this host will hurt later, as warnings."""
    return ['%s: %s; %s' % (lack.name, lack.found, lack.remedy) for lack in lacking(config)]


def lacking(config: 'Config') -> List[Lack]:
    """What `advise_host` says, taken apart."""
    found = [Lack('program', name, '%s cannot be run on this host' % show_path(program),
                  'correct the path or make it executable')
             for name, program in _programs(config) if shutil.which(program) is None]
    if not config.is_witness and config.db_data_dir and not os.path.isdir(config.db_data_dir):
        found.append(Lack('no-database', 'db_data_dir', 'there is no directory %s'
                          % show_path(config.db_data_dir),
                          'correct it unless the database is still to be made'))
    if not config.is_witness and config.db_config_dir not in (None, config.db_data_dir) \
            and not os.path.isdir(config.db_config_dir):
        found.append(Lack('no-database', 'db_config_dir', 'there is no directory %s'
                          % show_path(config.db_config_dir),
                          'correct it unless the database is still to be made'))
    return found


def program_path(command: Sequence[str], directory: str) -> str:
    """The program of a command (a tuple of words), taken from `directory` unless absolute."""
    return os.path.join(directory, command[0])


def _programs(config: 'Config') -> Iterator[Tuple[str, str]]:
    """(parameter, path or name of the program it runs) of all commands that are set."""
    for name in HOOKS:
        if getattr(config, name):
            yield name, getattr(config, name)[0]
    for name, directory in (('if_up_cmd', config.if_cmd_path), ('if_down_cmd', config.if_cmd_path),
                            ('arping_cmd', config.arping_path)):
        if config.virtual_ip is not None and getattr(config, name):
            yield name, program_path(getattr(config, name), directory)
    if config.virtual_ip is not None or config.trusted_servers:
        yield 'ping_path', os.path.join(config.ping_path, 'ping')


def _line(config: 'Config', name: str, found: str, wanted: str, remedy: str) -> Problem:
    return problem(config.path, config.line_of(name), name, found, wanted, remedy, CODES[name])


def _check_directory(config: 'Config', name: str) -> List[Problem]:
    path = getattr(config, name)
    wanted = 'a directory that the user %s may read and write' % users.word(os.geteuid())
    if not os.path.exists(path):
        found, remedy = 'no such directory: %s' % show_path(path), 'create it or name another'
    elif not os.path.isdir(path):
        found, remedy = 'no directory: %s' % show_path(path), 'name a directory'
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        found, remedy = 'no permission for %s' % show_path(path), 'change its owner or name another'
    else:
        return []
    return [_line(config, name, found, wanted, remedy)]


def _check_data_dir(config: 'Config', name: str) -> List[Problem]:
    """Who may write there may put another state file in place of AHM's, and so vote for it.

    In a directory with the sticky bit, such as /tmp, nobody else may rename or remove AHM's files.
    """
    path = getattr(config, name)
    problems = _check_directory(config, name)
    if problems:
        return _of_another_user(config, name, path) or problems
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if not mode & (stat.S_IWGRP | stat.S_IWOTH) or mode & stat.S_ISVTX:
        return []
    return [_line(config, name, 'mode %04o of %s: others may write there' % (mode, show_path(path)),
                  'a directory that the user %s alone may write' % users.word(os.geteuid()),
                  'chmod go-w %s, or name another' % show_path(path))]


def _of_another_user(config: 'Config', name: str, path: str) -> List[Problem]:
    """Who is told to change the owner of a running daemon's directory breaks that daemon."""
    path, uid = owner_of(path)
    if uid in (None, os.geteuid()):
        return []
    wanted = 'a directory that the user %s may read and write' % users.word(os.geteuid())
    if uid == 0:                        # made by root before the first start, as a rule
        return [_line(config, name, belongs(path, uid), wanted,
                      'chown %s %s, or run this as root where AHM runs as root' % (
                          users.word(os.geteuid()), path))]
    return [problem(config.path, config.line_of(name), name, belongs(path, uid), wanted,
                    run_as(uid), USER)]


def _check_programs(config: 'Config', name: str) -> List[Problem]:
    if config.is_witness:
        return []
    directory = config.db_bin_dir
    if directory and defaults.control_program(directory):
        return []
    found = 'neither ag_ctl nor pg_ctl is %s' % (
        'in ' + show_path(directory) if directory else 'on PATH')
    return [_line(config, name, found, 'the directory of one of them',
                  'set db_bin_dir, or is_witness: true where there is no database')]


def _check_key(config: 'Config', name: str) -> List[Problem]:
    path = config.auth_key_file
    if path is None:
        return []
    wanted = 'a key that its owner alone may read'
    try:
        with open(path, 'rb') as stream:
            key, status = stream.read(4096), os.fstat(stream.fileno())
    except OSError as error:
        return [_line(config, name, '%s: %s' % (show_path(path), error.strerror), wanted,
                      'copy the key of the cluster there')]
    if stat.S_IMODE(status.st_mode) & 0o077:
        return [_line(config, name, 'mode %04o' % stat.S_IMODE(status.st_mode), wanted,
                      'chmod 600 %s' % show_path(path))]
    if not key.strip():
        return [_line(config, name, 'an empty file', wanted,
                      'copy the key of the cluster there')]
    return []


def _check_watchdog(config: 'Config', name: str) -> List[Problem]:
    device = config.watchdog_device
    if config.watchdog_mode != 'required' or device is None or os.access(device, os.W_OK):
        return []
    return [_line(config, name, 'no device to write to at %s' % show_path(device),
                  'a watchdog', 'load its driver or correct its permissions')]


CHECKS = (
    ('data_dir', _check_data_dir),
    ('socket_dir', _check_directory),
    ('db_bin_dir', _check_programs),
    ('auth_key_file', _check_key),
    ('watchdog_device', _check_watchdog),
)
#: What ahm_check_config(1) calls them.
CODES = {'data_dir': 'data-dir', 'socket_dir': 'socket-dir', 'db_bin_dir': 'db-bin-dir',
         'auth_key_file': 'auth-key', 'watchdog_device': 'watchdog'}
#: The code of a data_dir that belongs to another user.
USER = 'user'
