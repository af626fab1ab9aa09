"""The settings that make a server a standby, and of which primary.

PostgreSQL 12 and later: the file standby.signal makes it a standby, and ordinary settings say
of whom.  They go to postgresql.auto.conf, where pg_basebackup -R puts them too: it is read last,
so it wins over postgresql.conf; and it is written as a file, not by ALTER SYSTEM, which needs a
running server that allows it (allow_alter_system, PostgreSQL 17).
Before PostgreSQL 12: all of it is in recovery.conf, whose presence alone makes a standby.

Order matters when a primary is to become a standby: standby.signal first, so that a start in
between makes a standby of nobody, never a second primary.

Files are read and written with the rights of the data directory's owner (control.acting_as).
"""
import os
from collections import OrderedDict

from ahmlib.database import conffile, conninfo, control

FIRST_VERSION_WITH_SIGNAL = 12
SIGNAL_FILE = 'standby.signal'


def leave_standby_signal(settings):
    """Make sure that the next start of this server makes a standby of it.

    Harmless while the server runs, and when done twice.  Returns {'ok', 'reason', 'changed'}:
    `changed` False where it was so already.
    """
    return _guarded(settings, _leave_signal)


def write_primary(settings, host, port):
    """Write the recovery settings that make this server follow `host`:`port`.

    What the existing primary_conninfo says is kept (user, password or passfile, sslmode ...)
    but for host, port and application_name; see new_conninfo.  It does not start, stop or
    reload anything.  Returns {'ok', 'reason', 'changed'}: `changed` False where the file said
    all of it already.
    """
    def action(settings, version):
        existing = conninfo_on_file(settings)
        return _rewrite(settings, version, recovery_values(
            settings, new_conninfo(existing, settings, host, port), version))
    return _guarded(settings, action)


def new_conninfo(existing, settings, host, port):
    """Return the primary_conninfo (text) for `host`:`port`, made from an existing one or ''.

    replication_user overrides the user.  primary_conninfo_options come last: the configuration
    takes none there of what is written here.
    Raises ValueError where one of the two is malformed, without quoting it.
    """
    words = conninfo.parse(existing or '')
    # hostaddr would win over host; the fallback name is never used beside application_name.
    for name in ('hostaddr', 'fallback_application_name', 'service'):
        words.pop(name, None)
    if settings.replication_user or not words.get('user'):
        words['user'] = settings.replication_user or settings.db_user
    words.update(host=host, port=str(port or settings.db_port),
                 application_name=settings.node_name)
    try:
        words.update(conninfo.parse(settings.primary_conninfo_options))
    except ValueError as error:
        raise ValueError('primary_conninfo_options: %s' % error)
    return conninfo.build(words)


def recovery_values(settings, primary_conninfo, version):
    """Return the entries to write (an ordered mapping) for this major version.

    A primary_slot_name and what is not set here are left as they are.
    """
    values = OrderedDict()
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


def conninfo_on_file(settings):
    """Return the primary_conninfo that the files of this server give it, or None.

    Files that postgresql.conf includes are not looked at.  Raises OSError, ValueError.
    """
    version = control.data_directory_version(settings.db_data_dir)
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        for path in _paths(settings, version):
            found = conffile.value_of(conffile.read(path), 'primary_conninfo')
            if found is not None:
                return found
    return None


def is_standby_on_file(settings):
    """Return True if the next start would make a standby of this server."""
    version = control.data_directory_version(settings.db_data_dir)
    name = SIGNAL_FILE if version >= FIRST_VERSION_WITH_SIGNAL else 'recovery.conf'
    path = os.path.join(settings.db_data_dir, name)
    if version >= FIRST_VERSION_WITH_SIGNAL:
        return os.path.exists(path)
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        mode = conffile.value_of(conffile.read(path), 'standby_mode')
    return (mode or '').lower() in ('on', 'true', 'yes', '1')


def _guarded(settings, action):
    """Do action(settings, version) as the owner; a result dict, with errors as its reason."""
    try:
        version = control.data_directory_version(settings.db_data_dir)
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            is_changed = action(settings, version)
    except OSError as error:
        return {'ok': False, 'changed': False, 'reason': 'cannot write %s: %s'
                % (error.filename or settings.db_data_dir, error.strerror or error)}
    except ValueError as error:
        return {'ok': False, 'changed': False, 'reason': str(error)}
    return {'ok': True, 'changed': is_changed, 'reason': ''}


def _leave_signal(settings, version):
    """Make the next start one of a standby; return whether anything had to be written."""
    if version < FIRST_VERSION_WITH_SIGNAL:
        return _rewrite(settings, version, recovery_values(settings, None, version))
    path = os.path.join(settings.db_data_dir, SIGNAL_FILE)
    if os.path.exists(path):
        return False
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    conffile.sync_directory(settings.db_data_dir)
    return True


def _rewrite(settings, version, values):
    """Put `values` into the file of this version; return whether it had to change."""
    path = _paths(settings, version)[0]
    present = conffile.read(path)
    base = present
    if not present and version < FIRST_VERSION_WITH_SIGNAL:
        # A promotion renames recovery.conf; what it said of the connection is still good.
        base = conffile.read(os.path.join(settings.db_data_dir, 'recovery.done'))
    if all(conffile.value_of(present, name) == str(value) for name, value in values.items()):
        return False
    conffile.replace(path, conffile.with_values(base, values))
    return True


def _paths(settings, version):
    """The files that may hold primary_conninfo, the one that wins (and is written) first."""
    data_dir = settings.db_data_dir
    if version < FIRST_VERSION_WITH_SIGNAL:
        return [os.path.join(data_dir, name) for name in ('recovery.conf', 'recovery.done')]
    config_dir = settings.db_config_dir or data_dir
    return [os.path.join(data_dir, 'postgresql.auto.conf'),
            os.path.join(config_dir, 'postgresql.conf')]
