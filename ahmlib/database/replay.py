"""Whether a standby's replay can go on: what it has received is worth nothing until it is replayed.

Two kinds are told apart.  **A standstill** lasts until somebody does something:

    recovery target     It stops replay there, after a restart too.  Told to promote, PostgreSQL
                        becomes a primary at that point, without what it received beyond it; from
                        13 on it may end instead ("recovery ended before configured recovery
                        target was reached").  So it is never promoted, reached or not.
    lower settings      than the primary's.  From PostgreSQL 14 on replay pauses, and the server
                        ends when it is told to promote; before, it ended at once.  The control
                        file of a standby says what the primary's are.
    a pause by hand     pg_wal_replay_pause().  A promotion ends it.
    a stopped process   SIGSTOP; nothing goes on then, a promotion neither.

**Held** is what ends by itself: a reader's snapshot or lock, or recovery_min_apply_delay.  It shows
in the wait event of the startup process where our role may see that, and in its title ("waiting"),
which everybody sees in /proc and which is the only sign before PostgreSQL 13.  That
replayed is less than received proves nothing: half a record at the end of WAL looks the same.
"""
import os
import re
from typing import Dict, NamedTuple, Optional

from ahmlib.database import conffile, control, control_file
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.control import Process
from ahmlib.database.settings import DatabaseSettings

FIRST_VERSION_WITH_SETTINGS = 120000    # of recovery; before, they are in recovery.conf
TARGETS = ('recovery_target', 'recovery_target_lsn', 'recovery_target_name',
           'recovery_target_time', 'recovery_target_xid')
DELAY, ACTION = 'recovery_min_apply_delay', 'recovery_target_action'
NAMES = TARGETS + (ACTION, DELAY) + control_file.SETTING_NAMES
SETTINGS_SQL = 'SELECT pg_is_wal_replay_paused(), ' + ', '.join(
    "current_setting('%s', true)" % name for name in NAMES)
STARTUP_SQL = """SELECT pid, wait_event_type, wait_event FROM pg_stat_activity
                  WHERE backend_type = 'startup'"""
WAITING_TITLE = b' waiting'
HELD_TYPES = ('Lock', 'BufferPin')
HELD_EVENTS = re.compile('RecoveryConflict|RecoveryApplyDelay')
VALUE_MAX = 80


class Facts(NamedTuple):
    """What a standby says of its replay; None, {} where it does not."""

    is_paused: Optional[bool] = None
    settings: Dict[str, str] = {}
    pid: Optional[int] = None       # of the startup process, where our role may see it
    wait_type: Optional[str] = None
    wait_event: Optional[str] = None


class Replay(NamedTuple):
    """`standstill` '' where replay can go on by itself."""

    standstill: str = ''
    held: bool = False
    forbids: bool = False           # a promotion would lose what is received, or end the server


def ask(connection: Connection, settings: DatabaseSettings, version: int) -> Facts:
    """Return the Facts of the standby that this Connection goes to."""
    try:
        row = connection.query(SETTINGS_SQL)[0]
        known = {name: value for name, value in zip(NAMES, row[1:]) if value is not None}
        if version < FIRST_VERSION_WITH_SETTINGS:
            known.update(_on_file(settings))
        startups = connection.query(STARTUP_SQL) or [()]
    except (QueryFailed, ConnectionFailed):
        return Facts()
    return Facts(row[0], known, *startups[0])


def judge(settings: DatabaseSettings, facts: Facts, is_behind: bool) -> Replay:
    """Return the Replay that these Facts tell of; `is_behind`: not all is replayed."""
    target = _target(facts)
    lower = _lower_settings(settings, facts) if facts.is_paused else ''
    if lower:
        return Replay('replay is paused, for %s; raise it and restart this server' % lower,
                      forbids=True)
    if target:
        return Replay(_target_text(facts, target), forbids=True)
    if facts.is_paused:
        return Replay('replay is paused; pg_wal_replay_resume() lets it go on')
    if not is_behind:
        return Replay()
    process = _startup_process(settings, facts)
    if process is not None and process.state == 'T':
        return Replay('the process that replays WAL (PID %d) is stopped; SIGCONT lets it go on'
                      % process.pid)
    return Replay(held=_is_delayed(facts) or _waits(facts, process))


def _target(facts: Facts) -> Optional[str]:
    return next((name for name in TARGETS if facts.settings.get(name)), None)


def _target_text(facts: Facts, target: str) -> str:
    shown = '%s = %s' % (target, ' '.join(facts.settings[target].split())[:VALUE_MAX])
    action = facts.settings.get(ACTION) or 'pause'
    if facts.is_paused:
        found = 'replay is paused, and %s is set' % shown
    else:
        found = '%s is set, so replay will stop there (%s)' % (shown, action)
    return found + '; remove it and restart this server'


def _lower_settings(settings: DatabaseSettings, facts: Facts) -> str:
    """Which settings of this server are lower than the primary's were; '' where none is known."""
    try:
        needed = control_file.settings(settings.db_data_dir)
    except (OSError, ValueError):
        return ''
    return ', '.join(
        '%s = %s is lower than the primary\'s %d' % (name, facts.settings[name], value)
        for name, value in sorted(needed.items())
        if re.match(r'\d+$', facts.settings.get(name, '')) and int(facts.settings[name]) < value)


def _is_delayed(facts: Facts) -> bool:
    return not re.match(r'[ 0]*[a-z]*$', facts.settings.get(DELAY, ''))


def _waits(facts: Facts, process: Optional[Process]) -> bool:
    """Whether the startup process waits for a reader or for a delay."""
    if facts.wait_type in HELD_TYPES or HELD_EVENTS.match(facts.wait_event or ''):
        return True
    return process is not None and control.title(process.pid).rstrip(b' \0').endswith(
        WAITING_TITLE)


def _startup_process(settings: DatabaseSettings, facts: Facts) -> Optional[Process]:
    """The Process that replays; None where it cannot be seen from here."""
    if facts.pid:
        process = control.look_up(facts.pid)
        if process is not None and control.is_startup_process(facts.pid):
            return process
    if not settings.db_data_dir:
        return None
    return next((each for each in control.server_processes(settings.db_data_dir)
                 if control.is_startup_process(each.pid)), None)


def _on_file(settings: DatabaseSettings) -> Dict[str, str]:
    """What recovery.conf says, before PostgreSQL 12; read by the server when it starts."""
    try:
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            text = conffile.read(os.path.join(settings.db_data_dir, 'recovery.conf'))
    except OSError:
        return {}
    found = {name: conffile.value_of(text, name) for name in TARGETS + (ACTION, DELAY)}
    return {name: value for name, value in found.items() if value is not None}
