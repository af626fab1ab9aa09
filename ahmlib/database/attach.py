"""Making the server beside this node a standby of the primary again, seen to stream (SPEC 7.5).

    it streams from there       nothing, or a primary_conninfo that says it rightly
    it is another's standby     compared, re-pointed
    it does not run             compared by its control file, set up, started
    it runs as a primary        stopped first: the caller knows that another one is the rightful

A position that the primary's history does not hold means that this server diverged.  It is left
stopped then, and the message says how far it is gone and how to rebuild it; nothing here deletes a
data directory.  Success is a walreceiver that streams from that host, nothing less.
"""
from ahmlib.database import (conninfo, control, control_file, follow, history, probe, recovery,
                             rewind, start, stop)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.deadline import Deadline

POLL_SECONDS = 0.1
#: How long a standby that runs may take to stream, before its position is compared.
STREAM_SECONDS = 30.0
STOP_SECONDS = 60.0
ASK_SECONDS = 10.0

RECEIVER = "SELECT status, conninfo FROM pg_stat_wal_receiver"
#: What a server's log says, and what it means.
CAUSES = (
    ('has already been removed', 'the primary has removed WAL that this server needs: rebuild it'),
    ('no pg_hba.conf entry', 'pg_hba.conf of the primary does not let it in'),
    ('authentication failed', 'the primary does not accept its password'),
    ('replication slot', 'its replication slot is not there; see primary_slot_name'),
)


class Refused(Exception):
    """The attach ends here; `diverged` tells a history that is not the primary's."""

    def __init__(self, reason, diverged=False):
        Exception.__init__(self, reason)
        self.diverged = diverged


def attach_standby(settings, host, port, limit, environment=None):
    """Make the server of db_data_dir a standby of `host`:`port`, within `limit` seconds.

    use_pg_rewind lets a diverged history be rewound.  Returns {'ok', 'reason', 'how', 'diverged',
    'discarded'}: `how` is what was done ('nothing', 'reloaded', 'restarted', 'started', 'rewound',
    'command'), `discarded` the WAL that a rewind threw away, in words.
    """
    job = _Attach(settings, host, port, Deadline(limit), environment)
    try:
        how = job.run()
    except Refused as refused:
        return job.result(False, str(refused), '', refused.diverged)
    except (OSError, ValueError) as error:
        return job.result(False, str(error), '', False)
    return job.result(True, 'streams from %s:%s' % (host, job.port), how, False)


class _Attach(object):
    """One attach under way."""

    def __init__(self, settings, host, port, deadline, environment):
        self.settings, self.host, self.port = settings, host, port or settings.db_port
        self.deadline, self.environment = deadline, environment
        self.discarded = ''

    def result(self, ok, reason, how, diverged):
        """The dict that the daemon gets."""
        return {'ok': ok, 'reason': reason, 'how': how, 'diverged': diverged,
                'discarded': self.discarded}

    def run(self):
        """Do it; returns how.  Raises Refused."""
        settings = self.settings
        self.conninfo = recovery.new_conninfo(recovery.conninfo_on_file(settings), settings,
                                              self.host, self.port)
        primary = self._primary()
        if control.server_processes(settings.db_data_dir):
            how = self._of_a_running_one(primary)
        else:
            how = self._of_a_stopped_one(primary)
        return how

    def _primary(self):
        """What the primary says of itself; it must be of our kind, and a primary."""
        found = probe.probe_remote(self.settings, self.host, self.port, self._limit())
        if not found['answered']:
            raise Refused('the primary at %s:%s does not answer: %s' % (
                self.host, self.port, found['reason']))
        if found['in_recovery']:
            raise Refused('the database at %s:%s is no primary, it is in recovery'
                          % (self.host, self.port))
        primary, why = history.ask(self.conninfo, self._limit())
        if primary is None:
            raise Refused('%s; it must let replication user %s in from here' % (
                why, conninfo.parse(self.conninfo).get('user')))
        own = control_file.read(self.settings.db_data_dir).system_identifier
        if primary.system_identifier != own:
            raise Refused('this database has system identifier %s and the primary %s: it is another'
                          ' cluster; rebuild it: %s' % (own, primary.system_identifier,
                                                        self._rebuild()), diverged=True)
        return primary

    # -- a server that runs --------------------------------------------------------------------

    def _of_a_running_one(self, primary):
        found = probe.check_local(self.settings, self._limit())
        if found['in_recovery'] is None:
            raise Refused('the database here runs and does not answer (%s): stop it, or wait until '
                          'it does' % found['reason'])
        if not found['in_recovery']:
            self._stop()
            return self._of_a_stopped_one(primary)
        # While it follows somebody else, or nobody, its history may be ahead of the primary's.
        beyond = self._beyond(primary, found['timeline'], found['lsn'])
        if beyond:
            self._stop()
            return self._diverged(primary, found['timeline'], found['lsn'])
        if self._streams() and _same(found['upstream'], self.host, self.settings.node_name):
            return 'nothing'
        done = follow.follow_primary(self.settings, self.host, self.port,
                                     max(1.0, self.deadline.remaining()), self.environment)
        if not done['ok']:
            raise Refused(done['reason'])
        self._await_stream(primary)
        return done['how']

    # -- a server that does not ----------------------------------------------------------------

    def _of_a_stopped_one(self, primary):
        known = control_file.read(self.settings.db_data_dir)
        end = history.end_of(primary, known.timeline)
        # The checkpoint record itself has to lie before the end.
        if end is None or known.checkpoint_lsn >= end and (
                known.is_clean or known.timeline != primary.timeline):
            return self._diverged(primary, known.timeline, known.checkpoint_lsn + 1)
        self._set_up()
        self._start()
        self._await_stream(primary)
        return 'started'

    def _set_up(self):
        for step in (lambda: recovery.leave_standby_signal(self.settings),
                     lambda: recovery.write_primary(self.settings, self.host, self.port)):
            done = step()
            if not done['ok']:
                raise Refused(done['reason'])

    def _start(self):
        self.deadline.sleep(self.settings.standby_startup_delay)
        started = start.start_database(self.settings, max(1.0, self.deadline.remaining()))
        if not started['ok']:
            raise Refused('the database could not be started: %s' % started['reason'])

    def _stop(self):
        stopped = stop.stop_database(self.settings, stop.FAST,
                                     min(STOP_SECONDS, max(1.0, self.deadline.remaining())))
        if not stopped['ok']:
            raise Refused(stopped['reason'])

    # -- streaming -----------------------------------------------------------------------------

    def _streams(self):
        """Whether a walreceiver streams, from that host where it can be seen."""
        try:
            with Connection(probe.local_conn_string(self.settings), self._limit()) as connection:
                rows = connection.query(RECEIVER)
        except (ConnectionFailed, QueryFailed):
            return False
        if not rows:
            return False
        status, text = rows[0]
        if status is None:                      # this user may not see it: ask the primary
            return self._seen_by_primary()
        upstream = conninfo.upstream(text)
        return status == 'streaming' and (upstream is None or upstream.get('host') == self.host)

    def _seen_by_primary(self):
        try:
            with Connection(probe.remote_conn_string(self.settings, self.host, self.port),
                            self._limit()) as connection:
                return bool(connection.query(
                    "SELECT 1 FROM pg_stat_replication WHERE application_name = %s"
                    " AND coalesce(state, 'streaming') = 'streaming'",
                    (self.settings.node_name,)))
        except (ConnectionFailed, QueryFailed):
            return False

    def _await_stream(self, primary):
        began, log_at = self.deadline.elapsed(), _log_size(self.settings)
        while not self._streams():
            if control.postmaster(self.settings.db_data_dir) is None:
                raise Refused('the database ended before it streamed: %s' % self._causes(0))
            waited = self.deadline.elapsed() - began
            found = probe.check_local(self.settings, self._limit())
            if found['answered'] and found['in_recovery'] and found['timeline'] \
                    and self._beyond(self._primary(), found['timeline'], found['lsn']):
                self._stop()
                self._diverged(primary, found['timeline'], found['lsn'])
                return
            if waited > STREAM_SECONDS or self.deadline.is_over():
                raise Refused('the database runs as a standby, but does not stream from %s:%s '
                              'after %.0f s: %s' % (self.host, self.port, waited,
                                                    self._causes(log_at)))
            self.deadline.sleep(POLL_SECONDS)

    def _causes(self, log_at):
        """What the server's log gives as the reason, in words where the cause is a known one."""
        said = _log_since(self.settings, log_at)
        found = [meaning for words, meaning in CAUSES if words in said]
        last = [line.strip() for line in said.splitlines() if 'FATAL' in line or 'ERROR' in line]
        return '; '.join(found + last[-1:])[:600] or 'see the log of the database'

    # -- divergence ----------------------------------------------------------------------------

    def _beyond(self, primary, timeline, lsn):
        """How far a position is beyond the primary's history; 0 where it is on it, or unknown."""
        if not timeline or not lsn:
            return 0
        if timeline == primary.timeline:
            return 0            # it receives what the primary writes, while we look
        beyond = history.divergence(primary, timeline, lsn)
        return 1 if beyond is None else beyond

    def _diverged(self, primary, timeline, lsn):
        """Rewind where that is allowed; else leave it stopped, and say how to rebuild it."""
        if self.settings.use_pg_rewind:
            done = rewind.rewind(self.settings, self.host, self.port,
                                 max(1.0, self.deadline.remaining()))
            if not done['ok']:
                raise Refused('pg_rewind: %s' % done['reason'], diverged=True)
            self.discarded = done['discarded']
            self._set_up()
            self._start()
            self._await_rewound()
            return 'rewound'
        end = history.end_of(primary, timeline)
        if end is None:
            where = 'the primary was never on timeline %d' % timeline
        else:
            where = '%d bytes of WAL beyond %s on timeline %d, where the primary left it' % (
                max(1, lsn - end), history.lsn_text(end), timeline)
        raise Refused('this database diverged: %s; rebuild it into an empty directory: %s%s' % (
            where, self._rebuild(), '' if end is None else ', or set use_pg_rewind'),
            diverged=True)

    def _await_rewound(self):
        limit = self.deadline.elapsed() + STREAM_SECONDS
        log_at = _log_size(self.settings)
        while not self._streams():
            if self.deadline.elapsed() > limit or self.deadline.is_over() \
                    or control.postmaster(self.settings.db_data_dir) is None:
                raise Refused('rewound, but it does not stream: %s' % self._causes(log_at))
            self.deadline.sleep(POLL_SECONDS)

    def _rebuild(self):
        """The pg_basebackup command that rebuilds this standby; no password in it."""
        words = conninfo.parse(self.conninfo)
        return 'pg_basebackup -d "host=%s port=%s user=%s application_name=%s" -D %s -R ' \
            '-X stream -P' % (self.host, self.port, words.get('user'), self.settings.node_name,
                    self.settings.db_data_dir)

    def _limit(self):
        return max(0.5, min(ASK_SECONDS, self.settings.db_connect_timeout,
                            self.deadline.remaining()))


def _same(upstream, host, name):
    return bool(upstream) and upstream.get('host') == host \
        and upstream.get('application_name') == name


def _log_size(settings):
    try:
        with open(start.log_path(settings), 'rb') as file:
            return file.seek(0, 2)
    except OSError:
        return 0


def _log_since(settings, position):
    try:
        with open(start.log_path(settings), 'rb') as file:
            end = file.seek(0, 2)
            file.seek(max(position, end - 20000))
            return file.read().decode('utf-8', 'replace')
    except OSError:
        return ''
