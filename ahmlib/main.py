"""ahm version 1.0,
HA manager for Agens[SQL|Graph] server

Usage:
  ahm [-f CONFIG_FILE] [-d] [-n] [--json] [start|stop|restart|reload]

-f, --config-file=CONFIG_FILE
    Set the path to the ahm_config.yml configuration file
    (default: /usr/local/etc/ahm_config.yml)
    Looked for before that one: $AHM_CONFIG, else
    /etc/ahm/ahm_config.yml, /usr/local/etc/ahm/ahm_config.yml
-h, --help      Print this help
-d, --debug     Debug mode
-n --no-detach  Do not detach terminal
--json          Print the outcome as one JSON object
--version       Print the version

start           Start the daemon of this host, and detach (the default)
stop            End it for good; a leader with a fencing script hands over
restart         End it and start it again; database and VIP stay.  A daemon
                that systemd runs is restarted by systemd, as root
reload          Have it read its configuration again, and say what it took

Exit status: 0 done; 1 failed; 2 wrong usage, or there is no such file; the
reason is on stderr.  See ahm(8).
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ahmlib import __version__
from ahmlib.config import loader, place
from ahmlib.config.host import run_as
from ahmlib.config.problems import read_bytes
from ahmlib.ipc import client
from ahmlib.process import units, users
from ahmlib.runtime import daemonize, service_manager
from ahmlib.runtime import reload as reading
from ahmlib.runtime.changed_nodes import why_not_restart
from ahmlib.runtime.daemon import LEAVING_SIGNAL, RESTARTING_SIGNALS, Daemon
from ahmlib.runtime.find import DEFAULTS, Places, find_daemon, places, refuse_doubt, tells
from ahmlib.runtime.log import marked, syslog_problem
from ahmlib.runtime.pid_file import PidFile, PidFileError, running_pid
from ahmlib.runtime.reload import StartError
from ahmlib.utilities import outcome, progress, usage
from ahmlib.utilities.progress import Progress

DONE, FAILED, USAGE = 0, 1, 2
#: Longer than any goodbye: a handover, and taking the role back where that fails.
STOP_SECONDS = 300.0
#: Then people are told that it is waited for.
PATIENT_SECONDS = progress.PATIENT_SECONDS
#: One reading that runs, and then the one that was asked for.
RELOAD_SECONDS = 2 * reading.LIMIT_SECONDS + 10.0
POLL_SECONDS = 0.05
RESTART_PARAMETER = 'service_restart_command'
SYSTEMCTL_RESTART = ('systemctl', '--no-ask-password', 'restart')
#: To see whose socket it is.
CHECK_SECONDS = 10.0


class Environment(NamedTuple):
    """Where and with what `start` was typed: a reload must find the same files again."""
    variables: Dict[str, str]
    directory: str
    #: What the service manager gave for this daemon: its own, and no child's.
    service: Dict[str, str]


class Refused(Exception):
    """The command cannot do what was asked.  Its lines go to stderr; `told`: of --json, besides."""

    def __init__(self, text: str, **told: Any) -> None:
        super().__init__(text)
        self.told = told


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    as_json = outcome.wants_json(argv)
    try:
        arguments = _arguments(argv)
        action = next((name for name in ('stop', 'restart', 'reload') if arguments[name]), 'start')
        return ACTIONS[action](arguments) or DONE
    except usage.Wrong as error:
        return _fail(as_json, USAGE, '%s; see "ahm --help"' % error, shows_usage=True)
    except (Refused, PidFileError) as error:
        return _fail(as_json, FAILED, str(error), **getattr(error, 'told', {}))
    except place.NotThere as error:
        return _fail(as_json, USAGE, str(error))
    except loader.ConfigError as error:
        return _fail(as_json, FAILED, '\n'.join(error.problems), problems=error.problems)
    except KeyboardInterrupt:
        return _fail(as_json, FAILED, 'interrupted')


def _arguments(argv: Sequence[str]) -> Dict[str, Any]:
    try:
        try:
            arguments = usage.parse(__doc__, argv, 'ahm %s' % __version__)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # `ahm --help | head` has seen enough.  The interpreter flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(DONE)
    if arguments['--config-file'] == '':    # of a variable of the shell that is not set, mostly
        raise usage.Wrong("-f: found '', expected the path of a configuration file; leave -f out "
                          'for the default')
    if arguments['--json'] and arguments['--no-detach']:
        raise usage.Wrong('--json: found -n besides, expected one of the two: what stays in the '
                          'foreground has no outcome yet')
    return arguments


def _fail(as_json: bool, code: int, text: str, shows_usage: bool = False, **told: Any) -> int:
    """Say why it failed, on stderr or as JSON; returns the exit code."""
    if as_json:
        outcome.put_object(False, '; '.join(text.split('\n')), code, **told)
        sys.stdout.flush()
    elif shows_usage:
        shown = __doc__.split('Usage:\n')[1].split('\n\n')[0]
        sys.stderr.write('%s\nUsage:\n%s\n' % (outcome.printable(text), shown))
    elif code == USAGE:
        sys.stderr.write(text + '\n')
    else:
        _complain('ERROR', text)
    return code


def _done(arguments: Dict[str, Any], text: str, lines: Sequence[str] = (), **told: Any) -> int:
    """Say what was done; `lines` are more of it, which JSON has in `told`."""
    if arguments['--json']:
        outcome.put_object(True, text, DONE, **told)
    else:
        for line in [text] + list(lines):
            outcome.put(line)
    return DONE


def _load(arguments: Dict[str, Any]) -> loader.Config:
    return loader.load(place.demand(arguments['--config-file']))


def start(arguments: Dict[str, Any]) -> int:
    """Start the daemon; returns 0 when it is up (or, with -n, its code when it has ended)."""
    detach = not arguments['--no-detach']
    # A daemon that detaches is not the process that the service manager started.
    service = service_manager.take(os.environ)
    config = _load(arguments)
    _refuse_second(config)
    environment = Environment(dict(os.environ), os.getcwd(), {} if detach else service)
    ready = daemonize.detach(_teller(arguments)) if detach else _say
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


def _teller(arguments: Dict[str, Any]) -> Callable[[bool, str], None]:
    """How the command tells what came of a start."""
    def tell(ok: bool, message: str) -> None:
        outcome.put_object(ok, message or 'AHM started', DONE if ok else FAILED)
    return tell if arguments['--json'] else daemonize.say


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


def stop(arguments: Dict[str, Any]) -> int:
    """Ask the daemon to leave for good, and wait until it is gone."""
    seconds = _end(_places(arguments), LEAVING_SIGNAL)
    return _done(arguments, 'AHM stopped', seconds=seconds)


def restart(arguments: Dict[str, Any]) -> Optional[int]:
    """End the daemon without saying farewell, and start it again."""
    config = _load(arguments)
    why = why_not_restart(tells(places(config)), config)
    if why:
        raise Refused(why)
    if config.service_restart_command:
        return _restart_by(arguments, config.service_restart_command, 'service_restart_command')
    pid = find_daemon(places(config))
    if pid is not None:
        unit = units.that_runs(pid)
        if unit:            # another daemon in its place would be none of systemd's
            return _restart_by(arguments, SYSTEMCTL_RESTART + (unit,))
        _refuse_another_user(pid)
        _end(places(config), RESTARTING_SIGNALS[0])
    return start(arguments)


def _restart_by(arguments: Dict[str, Any], command: Sequence[str],
                *parameter: str) -> Optional[int]:
    """Leave the restart to a service manager's command; `parameter`: which one has it."""
    shown = ' '.join(parameter + tuple(shlex.quote(word) for word in command))
    with Progress('restart') as waiting:
        waiting.step = '%s runs' % shown
        _run_service_command(command, shown)
    if arguments['--json']:
        return _done(arguments, 'AHM was restarted by %s' % shown)
    return None


def _refuse_another_user(pid: int) -> None:
    """Do not end what this user could not start again: its files are another one's.

    Where /proc hides whose it is, this user cannot end it anyway.
    """
    owner = users.of_process(pid)
    if owner not in (None, os.geteuid()):
        raise Refused('the AHM daemon with PID %d runs as %s, and this is run by %s, who could not '
                      'start it again: %s' % (pid, users.called(owner),
                                              users.called(os.geteuid()), run_as(owner)))


def _run_service_command(command: Sequence[str], shown: str) -> None:
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


def reload(arguments: Dict[str, Any]) -> int:
    """Have the daemon read its configuration again, and say what it took, or refused and why."""
    config = _load(arguments)
    where = places(config)
    pid = find_daemon(where)
    if pid is None:
        refuse_doubt(where)
        raise Refused('no AHM daemon runs with data_dir %s: nothing to reload' % config.data_dir)
    answer = _ask_reload(where, pid)
    if answer is None:
        _signal(pid, signal.SIGHUP)
        raise Refused('AHM was asked to reload by a signal, because PID %d does not tell at %s '
                      'what comes of it: that is in its log' % (pid, where.socket))
    changes = _changes(answer)
    if answer.get('ok') is not True:
        lines = ['AHM refused to reload %s: %s' % (config.path, answer.get('reason'))]
        raise Refused('\n'.join(lines + _refused(changes) + answer.get('problems', [])[1:]),
                      changes=changes)
    text = 'AHM reloaded %s: %s' % (config.path, 'no parameter has changed' if not changes else
                                    'changes taken: %d' % len(changes))
    return _done(arguments, text, ['taken: ' + _change(each) for each in changes], changes=changes)


def _ask_reload(where: Places, pid: int) -> Optional[Dict[str, Any]]:
    """The answer of the daemon with this PID; None: it cannot be asked."""
    try:
        with Progress('reload') as waiting:
            waiting.step = 'the daemon reads its configuration'
            listens, _, answer = client.ask_with_peer({'ask': 'daemon'}, where.ipc_port,
                                                      where.socket_dir, CHECK_SECONDS)
            if listens != pid or not answer:
                return None         # another one's socket, or a daemon that hangs
            answer = client.ask_with_peer(reading.REQUEST, where.ipc_port, where.socket_dir,
                                          RELOAD_SECONDS)[2]
    except (client.NoDaemon, client.ProtocolError):
        return None
    if answer is None:
        raise Refused('the AHM daemon with PID %d was asked to reload, and has not told within '
                      '%d s what came of it: look into its log' % (pid, RELOAD_SECONDS))
    # A daemon of the version before does not know the request.
    return answer if answer.get('ok') is True or 'changes' in answer or 'problems' in answer \
        else None


def _changes(answer: Dict[str, Any]) -> List[Dict[str, str]]:
    """What differed, as the daemon says (reload.changes)."""
    return [each for each in answer.get('changes') or () if isinstance(each, dict)]


def _change(change: Dict[str, str]) -> str:
    return outcome.printable('%s: %s -> %s' % tuple(
        change.get(key) for key in ('name', 'before', 'after')))


def _refused(changes: Sequence[Dict[str, str]]) -> List[str]:
    """A line for each change: why it was refused, and that the others were not taken with it."""
    return ['%s: %s; %s' % (('refused', _change(each), each['why']) if each.get('why') else (
        'not taken', _change(each), 'it is all of the file or nothing')) for each in changes]


def _places(arguments: Dict[str, Any]) -> Places:
    found = place.find(arguments['--config-file'])
    if found is None:
        return DEFAULTS
    # Not completely: a daemon can be stopped while its nodes.conf is being edited, or is gone.
    return places(loader.parse(read_bytes(found.path, 'the configuration file'), found.path))


def _end(where: Places, number: int) -> float:
    """Have the daemon end by this signal, and wait until it has; returns the seconds that took."""
    pid, path = find_daemon(where), where.pid_path
    if pid is None:
        refuse_doubt(where)
        stale = ' (a stale PID file was removed)' if _remove_stale(path) else ''
        raise Refused('no AHM daemon runs with PID file %s, and none of them listens at %s: '
                      "nothing to stop%s; name another daemon's configuration with -f"
                      % (path, where.socket, stale))
    born = _born(pid)
    _signal(pid, number)
    with Progress('stop') as waiting:
        waiting.step = 'the AHM daemon with PID %d finishes what it does, or hands over; its log ' \
                       'says what' % pid
        # The PID file goes a moment before the process does.
        while running_pid(path) == pid or (born is not None and _born(pid) == born):
            if waiting.seconds() > STOP_SECONDS:
                raise Refused('the AHM daemon with PID %d did not end within %d s: look into its '
                              'log' % (pid, STOP_SECONDS))
            time.sleep(POLL_SECONDS)
        return round(waiting.seconds(), 1)


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
