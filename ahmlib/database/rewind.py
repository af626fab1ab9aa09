"""Rewinding a diverged server to the primary's history with pg_rewind (use_pg_rewind).

pg_rewind throws away what this server wrote beyond the fork, so what that was is reported.  Its
conditions: wal_log_hints or data checksums, a server that was shut down (13 and later recover a
crashed one by themselves), and a checkpoint on the primary since its promotion, which is ordered
here.  It copies the primary's configuration files over ours, so ours are kept aside and put back.
Source: PostgreSQL's manual, pg_rewind.
"""
import os
import re

from ahmlib.database import conffile, control, control_file, probe, programs, start
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.deadline import Deadline

PROGRAMS = ('ag_rewind', 'pg_rewind')
KEPT = ('postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf', 'recovery.conf')
FIRST_VERSION_THAT_RECOVERS = 13
FORK = re.compile(r'servers diverged at WAL location (\S+) on timeline (\d+)')


def rewind(settings, host, port, limit):
    """Rewind the stopped server of db_data_dir to the primary at `host`:`port`.

    Returns {'ok', 'reason', 'discarded'}; `discarded` says in words what WAL is gone.
    """
    deadline = Deadline(limit)
    program = control.find_program(settings.db_bin_dir, *PROGRAMS)
    if program is None:
        return _result(False, 'there is no pg_rewind in %s' % (settings.db_bin_dir or 'PATH'))
    source = probe.remote_conn_string(settings, host, port)
    try:
        with Connection(source, max(1.0, deadline.remaining())) as connection:
            connection.query('CHECKPOINT')
        before = control_file.read(settings.db_data_dir)
        version = control.data_directory_version(settings.db_data_dir)
        if not before.is_clean and version < FIRST_VERSION_THAT_RECOVERS:
            return _result(False, 'the server was not shut down cleanly, and pg_rewind of '
                           'PostgreSQL %d does not recover it: start and stop it once' % version)
        kept = _read_kept(settings)
        start.forget_a_zombie(settings.db_data_dir)     # or it is not recovered
        outcome = programs.run([program, '-D', settings.db_data_dir, '--source-server', source],
                               max(1.0, deadline.remaining()),
                               control.as_owner(settings.db_data_dir),
                               environment={'LC_ALL': 'C'})
        _put_back(settings, kept)
    except (ConnectionFailed, QueryFailed) as error:
        return _result(False, 'the checkpoint on the primary failed: %s' % error)
    except (OSError, ValueError) as error:
        return _result(False, str(error))
    if not outcome.ok:
        said = ' '.join(outcome.output.split())[-400:]
        return _result(False, '%s: %s' % (outcome.reason, said))
    return _result(True, '', _discarded(outcome.output, before))


def _read_kept(settings):
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        return {name: conffile.read(os.path.join(settings.db_data_dir, name)) for name in KEPT
                if os.path.isfile(os.path.join(settings.db_data_dir, name))}


def _put_back(settings, kept):
    with control.acting_as(control.as_owner(settings.db_data_dir)):
        for name, text in kept.items():
            conffile.replace(os.path.join(settings.db_data_dir, name), text)


def _discarded(output, before):
    fork = FORK.search(output)
    if not fork:
        return 'nothing: no rewind was required'
    return 'all WAL of timeline %s beyond %s (its last checkpoint was at %X/%X)' % (
        fork.group(2), fork.group(1), before.checkpoint_lsn >> 32,
        before.checkpoint_lsn & 0xFFFFFFFF)


def _result(ok, reason, discarded=''):
    return {'ok': ok, 'reason': reason, 'discarded': discarded}
