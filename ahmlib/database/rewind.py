"""Rewinding a diverged server to the primary's history with pg_rewind (use_pg_rewind).

pg_rewind throws away what this server wrote beyond the fork, so what that was is reported.  Its
conditions: wal_log_hints or data checksums (it looks itself, before it changes anything); a server
that was shut down (a crashed one is recovered first, by a single-user server, without the files
that make it a standby: those a single-user server refuses); and a checkpoint since the last
promotion on both servers.  On the primary it is ordered where it is missing.  Here it is missing
where this one died soon after it had been promoted; then the single-user server makes one, else
pg_rewind before 16 looks for the fork on the timeline before.

It copies the primary's configuration files, what they include, and certificates over ours: ours
are put back.

**A rewind that did not end.**  It must not be repeated: the first may have copied the primary's WAL
over ours, so that a second no longer knows all the blocks that differ.  Its last step is to replace
the control file.  So a copy of that and of our files is kept in AHM's data_dir until pg_rewind has
succeeded, or failed before its first change.  A copy that is found later, equal to the control file
that is in place, tells that this data directory is damaged.
Source: PostgreSQL's manual, pg_rewind; src/bin/pg_rewind/pg_rewind.c.
"""
import json
import os
import shutil
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.database import (
    conffile,
    conninfo,
    control,
    control_file,
    history,
    settings_in_force,
    start,
    wal,
)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.history import Fork
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

Kept = Dict[str, Tuple[str, int]]       # path -> (text, mode)
INDEX = 'ahm_index'                     # what the copies aside are copies of

PROGRAMS = ('ag_rewind', 'pg_rewind')
SERVERS = ('postgres', 'edb-postgres')
KEPT_ENDINGS = ('.conf', '.crt', '.key', '.pem', '.crl')
KEPT_DIRECTORIES = ('', 'conf.d')
MAKE_A_STANDBY = ('standby.signal', 'recovery.signal', 'recovery.conf')
FIRST_VERSION_THAT_RESTORES = 13        # WAL that it needs, with --restore-target-wal
# What pg_rewind says last before it may change something.
CHANGES_FROM = 'rewinding from last common checkpoint'
CHECKPOINTED = """SELECT timeline_id = ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))
                         ::bit(32)::int FROM pg_control_checkpoint()"""


class Rewound(NamedTuple):
    """What became of a rewind."""

    ok: bool
    reason: str             # one line; '' where it is ok
    discarded: str          # in words: the WAL that is gone, or was to go where it failed
    changed: bool           # False where nothing was touched


class Failed(Exception):
    """The rewind ends here, with this reason."""


def rewind(settings: DatabaseSettings, host: str, port: Optional[int], limit: float, fork: Fork,
           end: int) -> Rewound:
    """Rewind the stopped server of db_data_dir to the primary at `host`:`port`.

    `fork` is the history.Fork where it left the primary's history, `end` how far it went on.
    """
    deadline = Deadline(limit)
    changed = False
    discarded = ''
    try:
        if is_interrupted(settings):
            raise Failed('an earlier pg_rewind of this data directory did not end')
        source = conninfo.remote_conn_string(settings, host, port)
        program = _program(settings, PROGRAMS)
        _checkpoint_primary(source, deadline)
        known = control_file.read(settings.db_data_dir)
        if not known.is_clean or known.timeline < wal.timeline_at(settings.db_data_dir, end):
            _recover(settings, deadline)
        known = control_file.read(settings.db_data_dir)
        end = max(end, wal.record_end(settings.db_data_dir, known.timeline, known.checkpoint_lsn))
        discarded = describe(fork, end)
        kept = _keep(settings)
        outcome = programs.run(_arguments(settings, program, source), deadline.remaining(),
                               control.as_owner(settings.db_data_dir),
                               environment={'LC_ALL': 'C'})
        changed = outcome.ok or outcome.timed_out or CHANGES_FROM in outcome.output
        _put_back(settings, kept)
        if outcome.ok or not changed:
            shutil.rmtree(_place(settings))
        if not outcome.ok:
            raise Failed(_explain(outcome))
    except Failed as failed:
        return Rewound(False, str(failed), discarded, changed)
    except OSError as error:
        return Rewound(False, '%s: %s' % (error.filename or 'pg_rewind', error.strerror or error),
                       discarded, changed)
    except ValueError as error:
        return Rewound(False, str(error), discarded, changed)
    return Rewound(True, '', discarded, True)


def is_interrupted(settings: DatabaseSettings) -> bool:
    """Whether a rewind of this very data directory began and did not end well."""
    try:
        with open(os.path.join(_place(settings), 'pg_control'), 'rb') as file:
            return file.read() == control_file.raw(settings.db_data_dir)
    except OSError:
        return False


def kept_aside(settings: DatabaseSettings) -> Kept:
    """Return {path inside the data directory: (text, mode)} of our files before an interrupted
    rewind, which may have written over them; {} where none was interrupted."""
    if not is_interrupted(settings):
        return {}
    place = _place(settings)
    names = json.loads(conffile.read(os.path.join(place, INDEX)) or '{}')
    return {inside: (conffile.read(os.path.join(place, name)), mode)
            for inside, (name, mode) in names.items()}


def describe(fork: Fork, end: int) -> str:
    """Return in words the WAL from a Fork to `end`."""
    return '%s..%s on timeline %d (%d bytes)' % (
        history.lsn_text(fork.lsn), history.lsn_text(end), fork.timeline, max(0, end - fork.lsn))


def _checkpoint_primary(source: str, deadline: Deadline) -> None:
    """Have a checkpoint completed on the primary's present timeline."""
    try:
        with Connection(source, deadline.remaining()) as connection:
            try:
                if connection.value(CHECKPOINTED):
                    return
            except QueryFailed:
                pass                    # it may not look; a checkpoint more does no harm
            connection.query('CHECKPOINT')
    except (ConnectionFailed, QueryFailed) as error:
        raise Failed('the primary has to complete a checkpoint first, and a CHECKPOINT there '
                     'failed: %s' % error)


def _recover(settings: DatabaseSettings, deadline: Deadline) -> None:
    """Bring a server that was not shut down to a clean end, as pg_rewind does from 13 on."""
    start.forget_a_zombie(settings.db_data_dir)     # its lock files would forbid it
    data_dir = settings.db_data_dir
    program = _program(settings, SERVERS)
    argv = [program, '--single', '-F', '-D', settings.db_config_dir or data_dir,
            '-c', 'data_directory=' + data_dir, 'template1']
    user = control.as_owner(data_dir)
    with control.acting_as(user):
        aside = [name for name in MAKE_A_STANDBY if os.path.exists(os.path.join(data_dir, name))]
        for name in aside:
            os.rename(os.path.join(data_dir, name), os.path.join(data_dir, name + '.ahm'))
    try:
        outcome = programs.run(argv, deadline.remaining(), user, environment={'LC_ALL': 'C'})
    finally:
        with control.acting_as(user):
            for name in aside:
                os.rename(os.path.join(data_dir, name + '.ahm'), os.path.join(data_dir, name))
    if not outcome.ok or not control_file.read(data_dir).is_clean:
        raise Failed('the server was not shut down cleanly, and its recovery before pg_rewind '
                     'failed: %s' % (outcome.reason or programs.last_line(outcome.output)))


def _arguments(settings: DatabaseSettings, program: str, source: str) -> List[str]:
    argv = [program, '-D', settings.db_data_dir, '--source-server', source]
    has_config = os.path.exists(os.path.join(settings.db_data_dir, 'postgresql.conf'))
    if settings.restore_command and has_config and control.data_directory_version(
            settings.db_data_dir) >= FIRST_VERSION_THAT_RESTORES:
        argv.append('--restore-target-wal')
    return argv


def _program(settings: DatabaseSettings, names: Sequence[str]) -> str:
    """The path of a program that lies beside pg_ctl."""
    beside = control.pg_ctl(settings)
    places = [settings.db_bin_dir]
    if beside:
        places.append(os.path.dirname(os.path.realpath(beside)))
    for place in places:
        path = control.find_program(place, *names)
        if path:
            return path
    raise Failed('there is no %s in %s; install it, or rebuild the server'
                 % (' or '.join(names), ' or '.join(place or 'PATH' for place in places)))


def _explain(outcome: programs.Outcome) -> str:
    """Why pg_rewind failed, with what to do where that is known."""
    said = ' '.join(outcome.output.split())
    if 'wal_log_hints' in said or 'data checksums' in said:
        return ('pg_rewind needs wal_log_hints = on (or data checksums) in the server that it '
                'rewinds, from before it diverged; this one has neither')
    return '%s (%s)' % (outcome.reason, said[-400:])


def _place(settings: DatabaseSettings) -> str:
    """Where the copies are kept while pg_rewind works."""
    return os.path.join(settings.work_dir, 'ahm_rewind_%d' % settings.db_port)


def _keep(settings: DatabaseSettings) -> Kept:
    """Keep the control file and our own files aside; returns {path: (text, mode)} of the latter."""
    data_dir, place = settings.db_data_dir, _place(settings)
    shutil.rmtree(place, ignore_errors=True)
    os.mkdir(place, 0o700)
    kept = {}
    included = settings_in_force.on_file(settings).paths
    with control.acting_as(control.as_owner(data_dir)):
        for path in included:
            if path.startswith(os.path.join(data_dir, '')) and not os.path.islink(path):
                kept[path] = conffile.read(path), os.stat(path).st_mode & 0o7777
        for directory in KEPT_DIRECTORIES:
            below = os.path.join(data_dir, directory)
            for name in os.listdir(below) if os.path.isdir(below) else []:
                path = os.path.join(below, name)
                if name.endswith(KEPT_ENDINGS) and os.path.isfile(path) \
                        and not os.path.islink(path):
                    kept[path] = conffile.read(path), os.stat(path).st_mode & 0o7777
    names = {}
    for path, (text, mode) in kept.items():
        inside = os.path.relpath(path, data_dir)
        names[inside] = inside.replace(os.sep, '_'), mode
        conffile.replace(os.path.join(place, names[inside][0]), text)
    conffile.replace(os.path.join(place, INDEX), json.dumps(names))
    # Last, for it says that the others are complete.
    conffile.replace(os.path.join(place, 'pg_control'),
                     control_file.raw(data_dir).decode('utf-8', 'surrogateescape'))
    return kept


def _put_back(settings: DatabaseSettings, kept: Kept) -> None:
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        for path, (text, mode) in kept.items():
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            conffile.replace(path, text)
            os.chmod(path, mode)

