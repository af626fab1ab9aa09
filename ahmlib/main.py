"""ahm version 1.0,
HA manager for Agens[SQL|Graph] server

Usage:
  ahm [-f CONFIG_FILE] [-d] [-n] [start|stop|restart|reload]

-f, --config-file=CONFIG_FILE
    Set the path to the ahm_config.yml configuration file
    (default: /usr/local/etc/ahm_config.yml)
-h, --help      Print this help
-d, --debug     Debug mode
-n --no-detach  Do not detach terminal
--version       Print the version
"""

import os
import shlex
import subprocess
import sys
import time
import warnings
from typing import Any, Dict, NamedTuple, Optional, Sequence

from ahmlib import __version__
from ahmlib.config import loader
from ahmlib.config.defaults import absolute
from ahmlib.config.problems import read_bytes
from ahmlib.runtime import daemonize, service_manager
from ahmlib.runtime.changed_nodes import why_not_restart
from ahmlib.runtime.daemon import LEAVING_SIGNAL, RESTARTING_SIGNALS, Daemon
from ahmlib.runtime.find import DEFAULTS, Places, find_daemon, places, refuse_doubt, tells
from ahmlib.runtime.log import marked, syslog_problem
from ahmlib.runtime.pid_file import PidFile, PidFileError, running_pid
from ahmlib.runtime.reload import StartError

with warnings.catch_warnings():
    # docopt 0.6.2 has four invalid escapes, which Python 3.12 reports when it compiles it.
    warnings.simplefilter('ignore')
    import docopt

FAILED, USAGE = 1, 2
#: Longer than any goodbye: a handover, and taking the role back where that fails.
STOP_SECONDS = 300.0
#: Then people are told that it is waited for.
PATIENT_SECONDS = 10.0
POLL_SECONDS = 0.05


class Environment(NamedTuple):
    """Where and with what `start` was typed: a reload must find the same files again."""
    variables: Dict[str, str]
    directory: str
    #: What the service manager gave for this daemon: its own, and no child's.
    service: Dict[str, str]


class Refused(Exception):
    """The command cannot do what was asked.  Its lines go to stderr."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = _arguments(argv)
    except docopt.DocoptExit as error:
        sys.stderr.write(_usage_problem(str(error), sys.argv[1:] if argv is None else argv))
        return USAGE
    if arguments['--config-file'] == '':    # of a variable of the shell that is not set, mostly
        sys.stderr.write("-f: found '', expected the path of a configuration file; leave -f out "
                         'for %s\n' % loader.DEFAULT_PATH)
        return USAGE
    action = next((name for name in ('stop', 'restart', 'reload') if arguments[name]), 'start')
    try:
        return ACTIONS[action](arguments) or 0
    except (Refused, PidFileError) as error:
        _complain('ERROR', str(error))
    except loader.ConfigError as error:
        _complain('ERROR', '\n'.join(error.problems))
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
    return FAILED


def _arguments(argv: Optional[Sequence[str]]) -> Dict[str, Any]:
    try:
        try:
            return docopt.docopt(__doc__, argv, version='ahm %s' % __version__)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # `ahm --help | head` has seen enough.  The interpreter flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


def _usage_problem(message: str, argv: Sequence[str]) -> str:
    """What was wrong in one line, and the usage after it."""
    reason, _, usage = message.partition('Usage:')
    given = ' '.join(shlex.quote(word) for word in argv)
    return '%s; see "ahm --help"\nUsage:%s\n' % (
        reason.strip() or 'these arguments are not understood: %s' % given, usage)


def _load(arguments: Dict[str, Any]) -> loader.Config:
    return loader.load(arguments['--config-file'] or loader.DEFAULT_PATH)


def start(arguments: Dict[str, Any]) -> int:
    """Start the daemon; returns 0 when it is up (or, with -n, its code when it has ended)."""
    detach = not arguments['--no-detach']
    # A daemon that detaches is not the process that the service manager started.
    service = service_manager.take(os.environ)
    config = _load(arguments)
    _refuse_second(config)
    environment = Environment(dict(os.environ), os.getcwd(), {} if detach else service)
    ready = daemonize.detach() if detach else _say
    daemonize.ensure_stdio()
    try:
        daemon = Daemon(config, environment, arguments['--debug'], detached=detach)
        daemon.open()
    except (StartError, OSError) as error:
        ready(False, str(error))
        return FAILED
    warning = _log_warning(config) if detach else ''
    return daemon.run(lambda ok, why='': ready(ok, why or warning))


def _log_warning(config: loader.Config) -> str:
    problem = '' if config.log_filename else syslog_problem()
    return 'warning: the log is lost: there is no syslog (%s); set log_filename' % problem \
        if problem else ''


def _say(ok: bool, message: str = '') -> None:
    if message:
        _complain('WARNING' if ok else 'ERROR', message)


def _complain(severity: str, text: str) -> None:
    sys.stderr.write(marked(severity, text) + '\n')


def _refuse_second(config: loader.Config) -> None:
    pid = find_daemon(places(config))
    if pid is not None:
        raise Refused('AHM is already running with data_dir %s (PID %d): stop it first, or give '
                      'this node another data_dir' % (config.data_dir, pid))


def stop(arguments: Dict[str, Any]) -> None:
    """Ask the daemon to leave for good, and wait until it is gone."""
    _end(_places(arguments), LEAVING_SIGNAL)
    print('AHM stopped')


def restart(arguments: Dict[str, Any]) -> Optional[int]:
    """End the daemon without saying farewell, and start it again."""
    config = _load(arguments)
    why = why_not_restart(tells(places(config)), config)
    if why:
        raise Refused(why)
    if config.service_restart_command:
        _run_service_command(config.service_restart_command)
        return None
    if find_daemon(places(config)) is not None:
        _end(places(config), RESTARTING_SIGNALS[0])
    return start(arguments)


def _run_service_command(command: Sequence[str]) -> None:
    shown = 'service_restart_command ' + ' '.join(shlex.quote(word) for word in command)
    try:
        code = subprocess.call(list(command), stdin=subprocess.DEVNULL)
    except OSError as error:
        raise Refused('%s cannot be run: %s; correct it' % (shown, error.strerror))
    if code < 0:
        raise Refused('%s was ended by signal %d; see with ahm_cluster_status whether AHM runs'
                      % (shown, -code))
    if code > 0:
        raise Refused('%s ended with exit code %d; see with ahm_cluster_status whether AHM runs'
                      % (shown, code))


def reload(arguments: Dict[str, Any]) -> None:
    """Have the daemon read its configuration again; what it refuses is in its log."""
    config = _load(arguments)
    pid = find_daemon(places(config))
    if pid is None:
        refuse_doubt(places(config))
        raise Refused('no AHM daemon runs with data_dir %s: nothing to reload' % config.data_dir)
    _signal(pid, 1)
    print('AHM was asked to reload: what it refuses is in its log')


def _places(arguments: Dict[str, Any]) -> Places:
    if arguments['--config-file'] is None and not os.path.exists(loader.DEFAULT_PATH):
        return DEFAULTS
    # Not completely: a daemon can be stopped while its nodes.conf is being edited, or is gone.
    path = absolute(arguments['--config-file'] or loader.DEFAULT_PATH, os.getcwd())
    return places(loader.parse(read_bytes(path, 'the configuration file'), path))


def _end(where: Places, number: int) -> None:
    pid, path = find_daemon(where), where.pid_path
    if pid is None:
        refuse_doubt(where)
        stale = ' (a stale PID file was removed)' if _remove_stale(path) else ''
        raise Refused('no AHM daemon runs with PID file %s, and none of them listens at %s: '
                      "nothing to stop%s; name another daemon's configuration with -f"
                      % (path, where.socket, stale))
    born = _born(pid)
    _signal(pid, number)
    began = time.monotonic()
    limit, told = began + STOP_SECONDS, False
    # The PID file goes a moment before the process does.
    while running_pid(path) == pid or (born is not None and _born(pid) == born):
        if time.monotonic() > limit:
            raise Refused('the AHM daemon with PID %d did not end within %d s: look into its log'
                          % (pid, STOP_SECONDS))
        if not told and time.monotonic() > began + PATIENT_SECONDS:
            told = True
            sys.stderr.write('still waiting: the AHM daemon with PID %d finishes what it does, or '
                             'hands over; its log says what\n' % pid)
        time.sleep(POLL_SECONDS)


def _born(pid: int) -> Optional[bytes]:
    """When the process began, which tells it from a later one with its PID; None: it has ended."""
    try:
        with open('/proc/%d/stat' % pid, 'rb') as file:
            fields = file.read().rpartition(b')')[2].split()
    except OSError:
        return None
    return None if fields[0] in (b'Z', b'X') else fields[19]


def _remove_stale(path: str) -> bool:
    if not os.path.lexists(path):
        return False
    stale = PidFile(path)
    stale.acquire()         # not a plain unlink: a daemon may be starting with it this instant
    stale.release()
    return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass        # it has just ended
    except PermissionError:
        raise Refused('the AHM daemon with PID %d belongs to another user: become that user, or '
                      'root' % pid)


ACTIONS = {'start': start, 'stop': stop, 'restart': restart, 'reload': reload}
