"""Which recovery settings are in force for the server beside this node, and where they are set.

AHM lays its own recovery settings over those that are there.  What it has not read it would
destroy: the user and the password of a primary_conninfo in an included file, the slot, a recovery
target that goes on stopping replay.  So there is one function here for each question, and two
places to ask:

    the server   pg_settings, from PostgreSQL 12 on, where it runs and shows them to AHM's user
    the files    postgresql.conf with all that it includes, in the order of guc-file.l, and
                 postgresql.auto.conf after it; before PostgreSQL 12 recovery.conf; above all of
                 them the command line, while the server that was started with it runs

An edit that no server has loaded yet is what the next reload brings, so a file that was read goes
before the server that read it earlier.  What is hidden or cannot be read is not known, never unset.
"""
import os
import re
from collections import OrderedDict
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from ahmlib.database import conffile, conninfo, control
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings

FIRST_VERSION_WITH_SIGNAL = 12
#: At most one of them may be set; each of them ends or pauses replay.
TARGETS = ('recovery_target', 'recovery_target_name', 'recovery_target_time',
           'recovery_target_xid', 'recovery_target_lsn')
NAMES = TARGETS + ('primary_conninfo', 'primary_slot_name', 'recovery_target_timeline',
                   'promote_trigger_file', 'trigger_file')
AUTO_CONF, RECOVERY_CONF, RECOVERY_DONE = ('postgresql.auto.conf', 'recovery.conf',
                                           'recovery.done')
COMMAND_LINE = 'the command line'
DEPTH_MAX = 10                          # CONF_FILE_MAX_DEPTH of conffiles.h

_OPTION = re.compile(r'"([^"]*)"')
SETTINGS = """SELECT name, setting, source, coalesce(sourcefile, '') FROM pg_settings
               WHERE name = ANY (%s)"""


class Setting(NamedTuple):
    """A value, and the file (or other place) that sets it."""

    value: str
    place: str


class Files(NamedTuple):
    """What files say: the last entry of every name, why one cannot be read, those that were."""

    settings: Dict[str, Setting]
    problem: str
    paths: Tuple[str, ...]


def primary_conninfo(settings: DatabaseSettings, limit: float) -> Optional[str]:
    """Return the primary_conninfo in force (text), None where none is set.

    Raises ValueError where it cannot be known, OSError.
    """
    return _value(settings, limit, 'primary_conninfo')


def primary_slot_name(settings: DatabaseSettings, limit: float) -> str:
    """Return the primary_slot_name in force, '' where none is; raises as primary_conninfo."""
    return _value(settings, limit, 'primary_slot_name') or ''


def targets_below(settings: DatabaseSettings) -> Dict[str, Setting]:
    """Return {name: Setting} of the recovery targets that are set below the file AHM writes.

    That is in postgresql.conf and what it includes, from PostgreSQL 12 on; before, in what
    recovery.conf includes.
    """
    below = on_file(settings, without_own=True).settings
    return {name: below[name] for name in TARGETS if name in below and below[name].value}


def obstructing(settings: DatabaseSettings, limit: float) -> Optional[Dict[str, Setting]]:
    """Return {name: Setting} of what only a restart takes away from a standby that is to follow.

    A recovery target that the running server has, or a timeline other than the latest.  None where
    the server does not say.
    """
    found = of_server(settings, limit)
    if found is None:
        return None
    wrong = {name: found[name] for name in TARGETS if name in found and found[name].value}
    timeline = found.get('recovery_target_timeline')
    if timeline and timeline.value != 'latest':
        wrong['recovery_target_timeline'] = timeline
    return wrong


def of_server(settings: DatabaseSettings, limit: float) -> Optional[Dict[str, Setting]]:
    """Return {name: Setting} as the running server shows it to AHM's user.

    None where it does not run or does not answer; {} before PostgreSQL 12, which has no such
    settings.  A name that is missing is hidden from the user.
    """
    if control.postmaster(settings.db_data_dir) is None:
        return None
    try:
        with Connection(conninfo.local_conn_string(settings), limit) as connection:
            rows = connection.query(SETTINGS, (list(NAMES),))
    except (ConnectionFailed, QueryFailed):
        return None
    return {name: Setting(value or '', COMMAND_LINE if source == 'command line' else place)
            for name, value, source, place in rows}


def on_file(settings: DatabaseSettings, without_own: bool = False) -> Files:
    """Return the Files of this server; `without_own`: without those that AHM writes."""
    data_dir = settings.db_data_dir
    version = control.data_directory_version(data_dir)
    with control.acting_as(control.as_owner(data_dir)):
        options = command_line(data_dir)
        reader = _Reader()
        if version < FIRST_VERSION_WITH_SIGNAL:
            _read_recovery_conf(reader, data_dir, without_own)
        else:
            reader.read(config_file(settings, options), 0, is_needed=False)
            if not without_own:
                reader.read(os.path.join(data_dir, AUTO_CONF), 0, is_needed=False)
            _lay_over(reader.settings, options, control.postmaster(data_dir) is not None)
        return Files(reader.settings, reader.problem, tuple(reader.paths))


def of_all_sessions(settings: DatabaseSettings, name: str, default: str) -> Optional[Setting]:
    """Return what the files, or the command line, give every session for a setting of any name.

    None where they cannot be read.  default: PostgreSQL's own, where nothing sets it.
    """
    try:
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            options, reader = command_line(settings.db_data_dir), _Reader((name,))
            reader.read(config_file(settings, options), 0, is_needed=True)
            reader.read(os.path.join(settings.db_data_dir, AUTO_CONF), 0, is_needed=False)
    except OSError:
        return None
    if reader.problem:
        return None
    if name in options:
        return Setting(options[name], COMMAND_LINE)
    return reader.settings.get(name, Setting(default, ''))


def config_file(settings: DatabaseSettings, options: Mapping[str, str]) -> str:
    """Return the path of postgresql.conf, by `options` of the last start and db_config_dir."""
    directory = settings.db_config_dir or settings.db_data_dir
    path = os.path.join(directory, 'postgresql.conf')
    told = options.get('config_file') or os.path.join(options.get('-D', ''), 'postgresql.conf')
    is_told = os.path.isabs(told) and os.path.exists(told)
    # A server that runs reads what it was started with; the next start is AHM's, or a command's.
    if is_told and (not os.path.exists(path) or settings.db_start_command
                    or control.postmaster(settings.db_data_dir) is not None):
        return told
    return path


def command_line(data_dir: str) -> Dict[str, str]:
    """Return {name: value} of the options of the server's last start, '-D' among them."""
    try:
        words = _OPTION.findall(conffile.read(os.path.join(data_dir, 'postmaster.opts')))
    except OSError:
        return {}
    found, position = {}, 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in ('-c', '-D') and position < len(words):
            word, position = word + words[position], position + 1
        if word.startswith('-D'):
            found['-D'] = word[2:]
        elif word.startswith(('-c', '--')):
            name, _, value = word[2:].partition('=')
            found[name.replace('-', '_').lower()] = value
    return found


class _Reader:
    """Reads configuration files as the server does; the first problem is kept and passed over.

    A server does not start with such a problem, and a running one loads nothing.
    """

    def __init__(self, names: Tuple[str, ...] = NAMES) -> None:
        self.settings: Dict[str, Setting] = OrderedDict()
        self._names = names
        self.problem = ''
        self.paths: List[str] = []

    def read(self, path: str, depth: int, is_needed: bool) -> None:
        """Take the entries of one file, and of those that it includes where it does."""
        if depth > DEPTH_MAX:
            return self._fail('%s is included too deep (more than %d files)' % (path, DEPTH_MAX))
        try:
            os.stat(path)
            text = conffile.read(path)
        except OSError as error:
            if is_needed or (depth == 0 and not isinstance(error, FileNotFoundError)):
                self._fail('cannot read %s: %s' % (path, error.strerror))
            return None
        self.paths.append(path)
        for name, value in conffile.entries(text):
            if name in INCLUDES:
                INCLUDES[name](self, os.path.normpath(os.path.join(os.path.dirname(path), value)),
                               depth + 1)
            elif name in self._names:
                self.settings[name] = Setting(value, path)
        return None

    def include(self, path: str, depth: int) -> None:
        """include 'file'"""
        self.read(path, depth, is_needed=True)

    def include_if_exists(self, path: str, depth: int) -> None:
        """include_if_exists 'file'"""
        self.read(path, depth, is_needed=False)

    def include_dir(self, path: str, depth: int) -> None:
        """include_dir 'directory': its *.conf in the order of their bytes, hidden ones not."""
        try:
            names = sorted(os.listdir(os.fsencode(path)))
        except OSError as error:
            self._fail('cannot read %s: %s' % (path, error.strerror))
            return
        for name in names:
            each = os.path.join(path, os.fsdecode(name))
            if name.endswith(b'.conf') and not name.startswith(b'.') and not os.path.isdir(each):
                self.read(each, depth, is_needed=True)

    def _fail(self, problem: str) -> None:
        self.problem = self.problem or problem


INCLUDES = {'include': _Reader.include, 'include_if_exists': _Reader.include_if_exists,
            'include_dir': _Reader.include_dir}


def _read_recovery_conf(reader: _Reader, data_dir: str, without_own: bool) -> None:
    """recovery.conf, or what a promotion made of it: what that says of the connection is good."""
    path = os.path.join(data_dir, RECOVERY_CONF)
    if not os.path.exists(path):
        path = os.path.join(data_dir, RECOVERY_DONE)
    reader.read(path, 0, is_needed=False)
    if without_own:
        for name in [name for name, each in reader.settings.items() if each.place == path]:
            del reader.settings[name]


def _lay_over(found: Dict[str, Setting], options: Mapping[str, str], is_running: bool) -> None:
    """The command line wins over all files while its server runs; else it fills gaps."""
    for name in NAMES:
        fills_gap = name not in found and name not in TARGETS
        if name in options and (is_running or fills_gap):
            found[name] = Setting(options[name], COMMAND_LINE)


def _value(settings: DatabaseSettings, limit: float, name: str) -> Optional[str]:
    files = on_file(settings)
    told = files.settings.get(name)
    shown = (of_server(settings, limit) or {}).get(name)
    if shown is None:
        if told is None and files.problem:
            raise ValueError('%s, so it is not known which %s is in force: mend that first'
                             % (files.problem, name))
        return told.value if told else None
    # What the server shows was read from a file that is known here: then the file is newer.
    is_of_files = not shown.value or not shown.place or any(
        os.path.realpath(shown.place) == os.path.realpath(path) for path in files.paths)
    if told is not None and is_of_files:
        return told.value
    return shown.value or None
