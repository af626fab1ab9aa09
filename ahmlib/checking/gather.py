"""Asks everything, side by side, each question in a child process with a limit of its own.

So nothing holds this command up for longer: no server that hangs, no disk, no name server.  The
children are those of the daemon (`runtime.children`): at its limit one is killed with all that it
started.
"""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, TypeVar, Union

from ahmlib.checking import questions
from ahmlib.checking.facts import (
    NO_ANSWER,
    Daemon,
    Facts,
    Host,
    Memory,
    Server,
    Start,
    Takeover,
)
from ahmlib.checking.finding import Unknown
from ahmlib.config.host import run_as
from ahmlib.core.limits import REHEARSE_HANDOVER_SECONDS, REHEARSE_SECONDS
from ahmlib.database.conninfo import Upstream
from ahmlib.database.probe import REACHABLE, Found, SyncStandby, check_local
from ahmlib.database.rehearsal import Rehearsed, rehearse_handover
from ahmlib.database.survey import Files, Shown, Slot, Survey, read_files, survey_here
from ahmlib.process import programs, users
from ahmlib.runtime.children import Children, Result
from ahmlib.runtime.find import LIMIT_SECONDS as FIND_SECONDS
from ahmlib.runtime.loop import Loop, clock
from ahmlib.runtime.reload import unpack
from ahmlib.runtime.settings import database_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

T = TypeVar('T')

#: For a look at files of this host.
FILES_SECONDS = 10.0
#: Beyond the limit that a function keeps itself.
SLACK_SECONDS = 2.0
WITNESS = Unknown('this node is a witness and has no database')


class Questions:
    """What is asked side by side; `results` by name, once `answered` has returned."""

    def __init__(self) -> None:
        self.results: Dict[str, Result] = {}
        self._asked = 0
        self._loop = Loop(clock)
        self._children = Children(self._loop, clock)

    def ask(self, name: str, function: Callable[..., Any], args: Tuple[Any, ...],
            limit: float) -> None:
        """Ask one more, which is to be answered within `limit` seconds."""
        def ended(result: Result) -> None:
            self.results[name] = result
        self._asked += 1
        self._children.start(_asked, (os.getpid(), function) + args, limit, ended,
                             'this question')

    def answered(self) -> Dict[str, Result]:
        """Wait for all that were asked; their results.

        A child that is killed and stays (a disk that is gone) is reported, and not waited for.
        """
        try:
            while len(self.results) < self._asked:
                self._loop.run_once(self._children.next_deadline())
                self._children.expire(clock())
        finally:
            self._children.cancel_all()
        return self.results


def _asked(parent: int, function: Callable[..., Any], *args: Any) -> Any:
    """In the child: it ends with who asked, for it has a process group of its own."""
    programs.end_with(parent)
    return function(*args)


def seconds(config: 'Config') -> float:
    """What loading a configuration and all its Facts take at the most."""
    first = max(3 * FIND_SECONDS, REHEARSE_SECONDS, 2 * config.db_connect_timeout,
                config.db_connect_timeout + FILES_SECONDS)
    return FILES_SECONDS + first + max(FILES_SECONDS, REHEARSE_HANDOVER_SECONDS) + 4 * SLACK_SECONDS


def load(path: str) -> Tuple[Optional['Config'], List[Dict[str, Any]]]:
    """(the Config of this file as a start reads it, []), or (None, what is wrong with it)."""
    asked = Questions()
    asked.ask('load', questions.load, (path,), FILES_SECONDS)
    result = asked.answered()['load']
    if result['ok']:
        return unpack(result['config']), []
    return None, result.get('problems') or [{
        'path': path, 'line': 1, 'key': '', 'found': 'files that are not read in time (%s)'
        % result['reason'], 'expected': 'a disk that answers', 'remedy': 'look at its disk',
        'code': 'config'}]


def facts(config: 'Config') -> Facts:
    """All Facts of this host and its cluster, as they are now."""
    first = _of_host(config)
    if not config.is_witness:
        _of_database(first, config)
    _of_others(first, config)
    found = first.answered()
    daemon = _made(found['daemon'], lambda of: Daemon(**of))
    told = daemon.nodes if isinstance(daemon, Daemon) else {}
    others = [
        each for each in _others(config, found)
        if not told.get(each.host, {}).get('witness')]
    probe = _made(found.get('probe'), _found)
    servers = _to_ask(others, probe)
    answers = isinstance(probe, Found) and probe.answered
    last = _last(config, daemon, servers, answers).answered()
    host = _as_its_daemon(_made(found['host'], lambda of: Host(**of)), daemon)
    return _but_of_another_user(Facts(
        config, host, daemon, _made(found['memory'], lambda of: Memory(**of)),
        _made(last['start'], lambda of: Start(**dict(of, ports=tuple(of['ports'])))),
        probe, _made(found.get('server'), survey_of) if answers or config.is_witness else NO_ANSWER,
        _made(found.get('files'), lambda of: Files(**of)),
        _made(found.get('identifier'), lambda of: str(of['identifier'])),
        _made(found['takeover'], lambda of: Takeover(**of)),
        _made(last['handover'], lambda of: Rehearsed(**of)) if answers else NO_ANSWER,
        tuple(others), tuple(each.host for each in servers),
        _made(found.get('db_commands'), lambda of: tuple(of['refused']))), host)


def _as_its_daemon(host: Union[Host, Unknown],
                   daemon: Union[Daemon, Unknown]) -> Union[Host, Unknown]:
    """Where data_dir does not tell as whom AHM runs, a daemon that runs does."""
    if isinstance(host, Unknown) or isinstance(daemon, Unknown) or daemon.uid is None \
            or host.ahm_uid is not None:
        return host
    return host._replace(ahm_uid=daemon.uid, remedy=run_as(daemon.uid), ahm_user='AHM runs as %s, '
                         'PID %d' % (users.called(daemon.uid), daemon.pid or 0))


def _but_of_another_user(known: Facts, host: Union[Host, Unknown]) -> Facts:
    """What root or a stranger may read, write and run, and as whom they log in, says nothing of
    AHM.
    """
    if isinstance(host, Unknown) or not known.another_user:
        return known
    why = Unknown(known.another_user)
    known = known._replace(memory=why, start=why, takeover=why, db_commands=why, others=tuple(
        each._replace(found=Found(reason=why.reason)) if _is_refused(each.found) else each
        for each in known.others))
    if isinstance(known.probe, Found) and _is_refused(known.probe):
        known = known._replace(probe=why, server=why, handover=why)
    if host.uid == 0:
        return known
    if isinstance(known.daemon, Daemon) and known.daemon.pid is None:
        known = known._replace(daemon=why)          # its PID file may be out of sight
    return known._replace(files=why, identifier=why, handover=why)


def _is_refused(found: Found) -> bool:
    """By a server that may let in the user that runs AHM, with its ~/.pgpass."""
    return not found.answered and found.verdict == REACHABLE


def _of_host(config: 'Config') -> Questions:
    asked = Questions()
    asked.ask('host', questions.host, (config,), FILES_SECONDS)
    asked.ask('daemon', questions.daemon, (config,), 3 * FIND_SECONDS + SLACK_SECONDS)
    asked.ask('memory', questions.memory, (config,), FILES_SECONDS)
    asked.ask('takeover', questions.takeover, (config,), REHEARSE_SECONDS + SLACK_SECONDS)
    return asked


def _of_database(asked: Questions, config: 'Config') -> None:
    settings, limit = database_settings(config), config.db_connect_timeout
    asked.ask('probe', check_local, (settings, limit), limit + SLACK_SECONDS)
    asked.ask('server', survey_here, (settings, limit), 2 * limit + SLACK_SECONDS)
    asked.ask('files', read_files, (settings, limit), limit + FILES_SECONDS)
    asked.ask('db_commands', questions.db_commands, (config,), REHEARSE_SECONDS + SLACK_SECONDS)
    asked.ask('identifier', questions.identifier, (settings.db_data_dir,), FILES_SECONDS)


def _of_others(asked: Questions, config: 'Config') -> None:
    settings, limit = database_settings(config), config.db_connect_timeout
    role = settings.replication_user or settings.db_user
    for host in _hosts(config):
        asked.ask('other ' + host, questions.other, (settings, (host, settings.db_port), role,
                                                     limit), 2 * limit + SLACK_SECONDS)


def _hosts(config: 'Config') -> List[str]:
    """The addresses of the other nodes."""
    assert config.nodes is not None and config.nodes.own is not None
    own = config.nodes.entries[config.nodes.own].host
    return [host for host in dict.fromkeys(entry.host for entry in config.nodes.entries)
            if host != own]


def _last(config: 'Config', daemon: Union[Daemon, Unknown], servers: List[Server],
          answers: bool) -> Questions:
    """What depends on the answers before; `answers`: whether the database here does."""
    asked = Questions()
    runs = not isinstance(daemon, Daemon) or daemon.pid is not None
    asked.ask('start', questions.start, (config, runs), FILES_SECONDS)
    if answers:
        asked.ask('handover', rehearse_handover, (
            database_settings(config), [(number, each.host, each.port)
                                        for number, each in enumerate(servers)],
            REHEARSE_HANDOVER_SECONDS), REHEARSE_HANDOVER_SECONDS + SLACK_SECONDS)
    return asked


def _to_ask(others: List[Server], probe: Union[Found, Unknown]) -> List[Server]:
    """All but the server that this one streams from: that has let it in."""
    upstream = probe.upstream if isinstance(probe, Found) and probe.streaming else None
    return [each for each in others if upstream is None or each.host != upstream.host]


# -- results that crossed a pipe, as what they were ----------------------------------------------


def _made(result: Optional[Result], make: Callable[[Result], T]) -> Union[T, Unknown]:
    """The fact that `make` makes of a result; Unknown where there is none."""
    if result is None:
        return WITNESS
    if result.get('ok') is False:
        return Unknown(result['reason'])
    return make(result)


def _found(of: Result) -> Found:
    nested = {
        'upstream': of['upstream'] and Upstream(**of['upstream']),
        'sync_names': of['sync_names'] if of['sync_names'] is None else tuple(of['sync_names']),
        'sync_standbys': of['sync_standbys'] and tuple(
            SyncStandby(**each) for each in of['sync_standbys']),
        'sync_peers': of['sync_peers'] if of['sync_peers'] is None else tuple(
            (name, address) for name, address in of['sync_peers'])}
    return Found(**dict(of, **nested))


def survey_of(of: Result) -> Survey:
    """The Survey that crossed a pipe, or the IPC."""
    replication = of['replication'] and (of['replication'][0], of['replication'][1])
    return Survey(**dict(of, replication=replication, settings={
        name: Shown(**each) for name, each in of['settings'].items()},
        slots=[Slot(**each) for each in of['slots']]))


def _others(config: 'Config', found: Dict[str, Result]) -> List[Server]:
    others = []
    for host in _hosts(config):
        result = found['other ' + host]
        if not result['ok']:            # killed at its limit: no answer of a server
            others.append(Server(host, config.db_port, Found(reason=result['reason']),
                                 Unknown(result['reason'])))
            continue
        probed = _found(result['found'])
        others.append(Server(host, config.db_port, probed, Unknown(
            probed.reason) if result['survey'] is None else _made(result['survey'], survey_of)))
    return others
