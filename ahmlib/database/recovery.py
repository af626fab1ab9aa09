"""The settings that make a server a standby, and of which primary.

PostgreSQL 12 and later: the file standby.signal makes it a standby, and ordinary settings say
of whom.  They go to postgresql.auto.conf, where pg_basebackup -R puts them too: it is read last,
so it wins over postgresql.conf; and it is written as a file, not by ALTER SYSTEM, which needs a
running server that allows it (allow_alter_system, PostgreSQL 17).
Before PostgreSQL 12: all of it is in recovery.conf, whose presence alone makes a standby.

Order matters when a primary is to become a standby: standby.signal first, so that a start in
between makes a standby of nobody, never a second primary.

What a restore left goes at the same time.  A recovery target stops the replay of a standby for
ever, or promotes it as soon as it is reached (recovery_target_action), at once where it is
'immediate'.  recovery.signal is passed over beside standby.signal, but a promotion removes only
that one, and the primary's next start would then be an archive recovery.  A trigger file that
lies there already promotes the standby as soon as it starts.

What is there is read by settings_in_force.  Files are read and written with the rights of the data
directory's owner (control.acting_as).
"""
import ipaddress
import os
import stat
from collections import OrderedDict
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from ahmlib.database import conffile, conninfo, control, settings_in_force
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.settings_in_force import (
    AUTO_CONF,
    FIRST_VERSION_WITH_SIGNAL,
    RECOVERY_CONF,
    RECOVERY_DONE,
    TARGETS,
)

SIGNAL_FILE, OTHER_SIGNAL_FILE = 'standby.signal', 'recovery.signal'
#: Prefixes of what PostgreSQL reads as true, as far as no false word begins with them.
TRUE = ('on', '1') + tuple(word[:end] for word in ('true', 'yes') for end in range(1, 5))
ASK_SECONDS = 5.0

Values = Mapping[str, Any]          # of a configuration file, in their order; None: left out


class Written(NamedTuple):
    """What became of the files of a server."""

    ok: bool
    reason: str = ''            # one line; '' where it is ok
    changed: bool = False       # False where they said all of it already


def leave_standby_signal(settings: DatabaseSettings) -> Written:
    """Make sure that the next start of this server makes a standby of it.

    Harmless while the server runs, and when done twice.
    """
    return _guarded(settings, _leave_signal)


def write_primary(settings: DatabaseSettings, host: str, port: Optional[int]) -> Written:
    """Write the recovery settings that make this server follow `host`:`port`.

    What the primary_conninfo in force says is kept (user, password or passfile, sslmode ...)
    but for host, port and application_name; see new_conninfo.  Recovery targets are unset.  It does
    not start, stop or reload anything.
    """
    try:
        existing = settings_in_force.primary_conninfo(
            settings, min(ASK_SECONDS, settings.db_connect_timeout))
    except (OSError, ValueError) as error:
        return Written(False, str(error))
    return _guarded(settings, lambda settings, version: _rewrite(
        settings, version, recovery_values(
            settings, new_conninfo(existing, settings, host, port), version)))


def new_conninfo(existing: Optional[str], settings: DatabaseSettings, host: str,
                 port: Optional[int]) -> str:
    """Return the primary_conninfo (text) for `host`:`port`, made from an existing one or ''.

    replication_user overrides the user.  primary_conninfo_options come last: the configuration
    takes none there of what is written here.
    Raises ValueError where one of the two is malformed, without quoting it.
    """
    words = conninfo.parse(existing or '')
    # hostaddr would win over host; the fallback name is never used beside application_name.
    for name in ('hostaddr', 'fallback_application_name'):
        words.pop(name, None)
    if words.get('password') == conninfo.MASK:
        del words['password']           # somebody copied what libpq shows in its place
    if settings.replication_user or not (words.get('user') or words.get('service')):
        words['user'] = settings.replication_user or settings.db_user
    words.update(host=host, port=str(port or settings.db_port),
                 application_name=settings.node_name)
    if words.get('service') and _is_address(host):
        words['hostaddr'] = host        # the service, which fills the gaps, may have another one
    try:
        words.update(conninfo.parse(settings.primary_conninfo_options))
    except ValueError as error:
        raise ValueError('primary_conninfo_options: %s' % error)
    return conninfo.build(words)


def recovery_values(settings: DatabaseSettings, primary_conninfo: Optional[str],
                    version: int) -> Values:
    """Return the entries to write (an ordered mapping) for this major version.

    A primary_slot_name and what is not set here are left as they are.
    """
    values: Dict[str, Any] = OrderedDict()
    if version < FIRST_VERSION_WITH_SIGNAL:
        values['standby_mode'] = 'on'
    if primary_conninfo:
        values['primary_conninfo'] = primary_conninfo
    # The default from 12 on, but one that an older setting may have changed.
    values['recovery_target_timeline'] = 'latest'
    if settings.restore_command:
        values['restore_command'] = settings.restore_command
    if settings.archive_cleanup_command:
        values['archive_cleanup_command'] = settings.archive_cleanup_command
    if settings.use_recovery_min_apply_delay:
        values['recovery_min_apply_delay'] = settings.recovery_min_apply_delay
    return values


def conninfo_on_file(settings: DatabaseSettings) -> Optional[str]:
    """Return the primary_conninfo that the files of this server give it, or None.

    Raises OSError, ValueError.
    """
    found = settings_in_force.on_file(settings).settings.get('primary_conninfo')
    return found.value if found else None


def conninfo_written(settings: DatabaseSettings) -> Optional[str]:
    """Return the primary_conninfo in the file that AHM writes, whatever is in force."""
    version = control.data_directory_version(settings.db_data_dir)
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        return conffile.value_of(conffile.read(own_file(settings, version)), 'primary_conninfo')


def own_file(settings: DatabaseSettings, version: int) -> str:
    """Return the path of the file that AHM writes recovery settings to."""
    return os.path.join(settings.db_data_dir, AUTO_CONF if version >= FIRST_VERSION_WITH_SIGNAL
                        else RECOVERY_CONF)


def is_standby_on_file(settings: DatabaseSettings) -> bool:
    """Return True if the next start would make a standby of this server."""
    version = control.data_directory_version(settings.db_data_dir)
    name = SIGNAL_FILE if version >= FIRST_VERSION_WITH_SIGNAL else RECOVERY_CONF
    path = os.path.join(settings.db_data_dir, name)
    if version >= FIRST_VERSION_WITH_SIGNAL:
        return os.path.exists(path)
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        mode = conffile.value_of(conffile.read(path), 'standby_mode')
    return (mode or '').lower() in TRUE


def _guarded(settings: DatabaseSettings,
             action: Callable[[DatabaseSettings, int], bool]) -> Written:
    """Do action(settings, version) as the owner; the errors become its reason."""
    try:
        version = control.data_directory_version(settings.db_data_dir)
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            is_changed = action(settings, version)
    except OSError as error:
        return Written(False, 'cannot write %s: %s' % (
            error.filename or settings.db_data_dir, error.strerror or error))
    except ValueError as error:
        return Written(False, str(error))
    return Written(True, '', is_changed)


def _leave_signal(settings: DatabaseSettings, version: int) -> bool:
    """Make the next start one of a standby; return whether anything had to be written."""
    if version < FIRST_VERSION_WITH_SIGNAL:
        is_changed = _rewrite(settings, version, recovery_values(settings, None, version))
        return _withdraw_trigger(settings, 'trigger_file') or is_changed
    path = os.path.join(settings.db_data_dir, SIGNAL_FILE)
    is_changed = not os.path.exists(path)
    if is_changed:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        conffile.sync_directory(settings.db_data_dir)
    # Only now: what is left of a restore makes no primary of it meanwhile.
    is_changed |= _remove(os.path.join(settings.db_data_dir, OTHER_SIGNAL_FILE))
    is_changed |= _withdraw_trigger(settings, 'promote_trigger_file')
    return _rewrite(settings, version, OrderedDict()) or is_changed


def _rewrite(settings: DatabaseSettings, version: int, values: Values) -> bool:
    """Put `values` into the file of this version, without targets; return whether it changed."""
    path = own_file(settings, version)
    present = conffile.read(path)
    base = present
    if not present and version < FIRST_VERSION_WITH_SIGNAL:
        # A promotion renames recovery.conf; what it said of the connection is still good.
        base = conffile.read(os.path.join(settings.db_data_dir, RECOVERY_DONE))
    values = OrderedDict(list(_no_targets(settings, version)) + list(values.items()))
    if all(conffile.value_of(present, name) == (None if value is None else str(value))
           for name, value in values.items()):
        return False
    conffile.replace(path, conffile.with_values(base, values))
    return True


def _no_targets(settings: DatabaseSettings, version: int) -> Iterator[Tuple[str, Optional[str]]]:
    """Yield the entries that unset every recovery target: none, or '' above another file's."""
    below = settings_in_force.targets_below(settings)
    if below and version < FIRST_VERSION_WITH_SIGNAL:
        name, found = sorted(below.items())[0]
        raise ValueError('%s is set in %s, which recovery.conf includes: a standby must have no '
                         'recovery target, take it out there' % (name, found.place))
    for name in TARGETS:
        yield name, '' if name in below else None


def _withdraw_trigger(settings: DatabaseSettings, name: str) -> bool:
    """Remove the trigger file if it is there, as the promotion that it orders would."""
    found = settings_in_force.on_file(settings).settings.get(name)
    if not found or not found.value:
        return False
    return _remove(os.path.join(settings.db_data_dir, found.value))


def _remove(path: str) -> bool:
    """Remove a plain file; return whether there was one."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return False
    conffile.sync_directory(os.path.dirname(path))
    return True


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
