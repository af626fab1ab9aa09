"""Making the standby beside this node the primary.

pg_ctl promote -W (or promotion_command) gives the order; the waiting is done here, every 20 ms,
because pg_ctl -w looks far more seldom.  What counts is what the database says on a new
connection: pg_is_in_recovery() is false.  Exit codes alone prove nothing.

**The order that is slept over.**  A startup process that loses its primary at the very moment
it is told to promote takes note of the order, and then sleeps for wal_retrieve_retry_interval
(5 s by default) before it carries it out.  Measured on PostgreSQL 15, up to 20 ms after a
kill -9 of the primary: 3 of 60 promotions took 5.07 s; the file `promote` was gone by then, so
repeating the order helps nothing.  What does is to set the startup process's latch, as SIGHUP
does in every version; so that process alone gets one now and then while the server is still in
recovery.  It reads its settings again, which change nothing for the others, and wakes up.
Measured with it: 150 such promotions, median 0.04 s, none above 0.16 s.

**The order that is never carried out.**  When the limit ends first, the file `promote` is
removed: else a standby might become a primary later, when nobody wants it to.  Before
PostgreSQL 14 that is no certain remedy: there the signal that came with the file suffices.

No CHECKPOINT is ordered here.  The server requests one itself, and whoever rewinds another
server from this one has to wait for a completed one in any case, so orders it then; at this
moment it would only compete with the clients that come back.
"""
import os
import signal

from ahmlib.database import control, probe, programs
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.deadline import Deadline

POLL_SECONDS = 0.02
NUDGE_SECONDS = 0.1         # between wakings of the startup process
LOOK_SECONDS = 2.0          # one look, at most
FIRST_VERSION_THAT_RESUMES = 130000     # a paused replay when it is told to promote
FIRST_VERSION_THAT_FORGETS = 14         # an order whose file is gone


def promote(settings, limit, environment=None):
    """Promote the server of db_data_dir, within `limit` seconds.

    promotion_command, where set, runs with the hook's `environment` added.  Returns {'ok',
    'reason', 'how', 'timeline', 'lsn', 'seconds', 'withdrawn'}: `how` is 'was primary',
    'command' or 'pg_ctl', timeline and lsn (ints) are those of the new primary.  `withdrawn`
    is True only where a promotion that failed cannot complete later by itself.
    """
    deadline = Deadline(limit)
    how = 'command' if settings.promotion_command else 'pg_ctl'
    watcher = _Watcher(settings, deadline)
    if watcher.in_recovery() is False:
        return _confirmed(settings, deadline, 'was primary')
    watcher.resume_replay()
    outcome = _order(settings, deadline, environment)
    reason = _await(settings, deadline, watcher, outcome)
    watcher.close()
    if reason is None:
        return _confirmed(settings, deadline, how)
    is_withdrawn, note = _withdraw(settings, outcome)
    return dict(_result(False, reason + note, how, deadline), withdrawn=is_withdrawn)


def _order(settings, deadline, environment):
    if settings.promotion_command:
        return programs.run(settings.promotion_command, deadline.remaining(),
                            environment=environment)
    program = control.pg_ctl(settings)
    if program is None:
        return programs.Outcome(False, None, False, '', 'found neither ag_ctl nor pg_ctl in %s; '
                                'set db_bin_dir' % (settings.db_bin_dir or 'PATH'))
    return programs.run([program, 'promote', '-W', '-s', '-D', settings.db_data_dir],
                        deadline.remaining(), control.as_owner(settings.db_data_dir))


def _await(settings, deadline, watcher, outcome):
    """Wait until the server has left recovery: None; a reason where it does not."""
    nudge_at = NUDGE_SECONDS
    while True:
        if watcher.in_recovery() is False:
            return None
        if not outcome.ok:
            return 'not promoted: ' + outcome.reason
        if control.postmaster(settings.db_data_dir) is None:
            return 'the database ended during its promotion; see its log'
        if deadline.is_over():
            return 'still in recovery after %.3g s; see the log of the database' % deadline.limit
        if deadline.elapsed() >= nudge_at:
            _nudge(settings)
            nudge_at = deadline.elapsed() + NUDGE_SECONDS
        deadline.sleep(POLL_SECONDS)


def _nudge(settings):
    """Wake the startup process (module docstring)."""
    for process in control.server_processes(settings.db_data_dir):
        if control.is_startup_process(process.pid):
            control.kill(process, signal.SIGHUP)


def _withdraw(settings, outcome):
    """Take back an order that was not carried out: (whether that is certain, what to add)."""
    path = os.path.join(settings.db_data_dir, 'promote')
    try:
        version = control.data_directory_version(settings.db_data_dir)
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            os.unlink(path)
    except FileNotFoundError:
        if not outcome.started:
            return True, ''                     # no order was ever given
        return False, '; a promotion that has begun may still complete'
    except (OSError, ValueError) as error:
        return False, '; cannot remove %s: %s' % (path, getattr(error, 'strerror', error))
    if version < FIRST_VERSION_THAT_FORGETS:
        return False, '; the order was withdrawn, but may have been noted already'
    return True, '; the order was withdrawn'


def _confirmed(settings, deadline, how):
    """The result of a promotion that took place, as a new connection sees it."""
    found = probe.check_local(settings, max(1.0, deadline.remaining()))
    if found['in_recovery'] is False:
        return dict(_result(True, 'promoted in %.2f s' % deadline.elapsed(), how, deadline),
                    timeline=found['timeline'], lsn=found['lsn'])
    return _result(False, 'the database left recovery, but a new connection says: %s %s'
                   % (found['verdict'], found['reason']), how, deadline)


def _result(ok, reason, how, deadline):
    return {'ok': ok, 'reason': reason, 'how': how, 'timeline': None, 'lsn': None,
            'seconds': round(deadline.elapsed(), 4), 'withdrawn': False}


class _Watcher(object):
    """One connection that is asked again and again, and made again where it is lost."""

    def __init__(self, settings, deadline):
        self._conn_string = probe.local_conn_string(settings)
        self._deadline = deadline
        self._connection = None

    def in_recovery(self):
        """Return True or False; None where the server does not answer now."""
        return self._ask('SELECT pg_is_in_recovery()')

    def resume_replay(self):
        """Before PostgreSQL 13 a standby whose replay is paused does not promote."""
        version = self._ask("SELECT current_setting('server_version_num')::int")
        if version is not None and version < FIRST_VERSION_THAT_RESUMES \
                and self._ask('SELECT pg_is_wal_replay_paused()'):
            self._ask('SELECT pg_wal_replay_resume()::text')

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, sql):
        try:
            if self._connection is None:
                limit = max(0.05, min(LOOK_SECONDS, self._deadline.remaining()))
                self._connection = Connection(self._conn_string, limit)
            self._connection.renew(LOOK_SECONDS)
            return self._connection.value(sql)
        except QueryFailed:
            return None
        except ConnectionFailed:
            self.close()
            return None
