"""Making the server beside this node a standby of the primary again, seen to stream.

    it streams from there       nothing, or a primary_conninfo that says it rightly
    it is another's standby     compared, re-pointed
    it does not run             compared by its control file, set up, started, compared again
    it runs as a primary        stopped first: the caller knows that another one is the rightful

A position that the primary's history does not hold means that this server diverged (history.py).
It is rewound where that is allowed (rewind.py), else left stopped, and the message says how far it
is gone and how to rebuild it; nothing here deletes a data directory.  What a crashed server has
written is known only when it has recovered, so it is started as a standby and then compared.

Success is a walreceiver that receives the primary's present timeline from that host, and a primary
that knows it by its name (streaming.py), nothing less.
"""
import shlex
from typing import NamedTuple

from ahmlib.database import (conninfo, control, control_file, follow, history, lineage, probe,
                             recovery, rewind, settings_in_force, start, stop, streaming, wal)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

POLL_SECONDS = 0.2
#: How long a standby that accepts connections may stand still before it streams.
STREAM_SECONDS = 30.0
#: The same for one that does not accept them: it syncs and replays what it has.
REPLAY_SECONDS = 300.0
#: The same once its log gave a reason that waiting does not mend.
FINAL_SECONDS = 3.0
STOP_SECONDS = 60.0
ASK_SECONDS = 10.0

STARTED_AT = 'SELECT pg_postmaster_start_time()::text'


class Attached(NamedTuple):
    """What became of an attach."""

    ok: bool
    reason: str
    how: str                # 'nothing', 'reloaded', 'restarted', 'started', 'rewound' or 'command'
    diverged: bool          # its history is not the primary's
    behind: int             # bytes of the primary's WAL that it has yet to receive
    discarded: str          # in words: the WAL that a rewind threw away
    remark: str = ''        # what became of the slots of a server that was a primary


class Refused(Exception):
    """The attach ends here; `diverged` tells a history that is not the primary's."""

    def __init__(self, reason, diverged=False):
        Exception.__init__(self, reason)
        self.diverged = diverged


class NoAnswer(Refused):
    """The primary does not say where it is; it may in a moment."""


def attach_standby(settings, host, port, limit, environment=None):
    """Make the server of db_data_dir a standby of `host`:`port`, within `limit` seconds.

    use_pg_rewind lets a diverged history be rewound; follow_command, where set, says itself where
    the primary is, with `environment` added.

    """
    job = _Attach(settings, host, port, Deadline(limit), environment)
    try:
        how = job.run()
        job.remark = follow.without_stale_slots(settings, host, port, job.limit())
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
        self.behind, self.discarded, self.is_rewound = 0, '', False
        self.conninfo, self.wanted = '', {}
        self.slot_problem, self.remark = '', ''

    def result(self, ok, reason, how, diverged):
        """What the daemon gets."""
        return Attached(ok, reason, how, diverged, self.behind, self.discarded, self.remark)

    def run(self):
        """Do it; returns how.  Raises Refused, OSError, ValueError."""
        settings = self.settings
        blind = control.why_blind(settings.db_data_dir)
        if blind:
            raise Refused(blind)
        self.conninfo = recovery.new_conninfo(
            settings_in_force.primary_conninfo(settings, self.limit()), settings, self.host,
            self.port)
        self.wanted = conninfo.upstream(self.conninfo)
        self._check_primary()
        if rewind.is_interrupted(settings):
            raise Refused('an earlier pg_rewind of this data directory did not end, so it is '
                          'damaged: %s' % self._rebuild(), diverged=True)
        if control.server_processes(settings.db_data_dir):
            return self._of_a_running_one()
        return self._of_a_stopped_one()

    # -- the primary ---------------------------------------------------------------------------

    def _check_primary(self):
        """Refuse what is no primary, or one of another database system."""
        found = probe.probe_remote(self.settings, self.host, self.port, self.limit())
        if not found.answered:
            raise Refused('the primary at %s:%s does not answer: %s' % (
                self.host, self.port, found.reason))
        if found.in_recovery:
            raise Refused('the database at %s:%s is no primary, it is in recovery'
                          % (self.host, self.port))
        primary = self._primary()
        own = control_file.read(self.settings.db_data_dir).system_identifier
        if primary.system_identifier != own:
            raise Refused('this database has system identifier %s and the primary %s: it is another'
                          ' cluster; %s' % (own, primary.system_identifier, self._rebuild()),
                          diverged=True)

    def _primary(self):
        """The history.Primary as it is now."""
        primary, why = history.ask(self.settings, self.host, self.port, self.conninfo,
                                   self.limit())
        if primary is None:
            raise NoAnswer('the primary at %s:%s: %s' % (self.host, self.port, why))
        return primary

    def _fork(self, timeline, lsn):
        """The history.Fork of this position of ours.

        The primary is asked after the position is known, so it has what it sent until then.
        """
        switches = history.own_switches(self.settings.db_data_dir, timeline)
        primary = self._primary()
        fork = history.compare(primary, switches, timeline, lsn)
        if not fork.beyond:
            self.behind = max(0, primary.lsn - lsn)
        return fork, primary

    # -- a server that runs --------------------------------------------------------------------

    def _of_a_running_one(self):
        found = self._answer_of_ours()
        if found is None:                       # a standby that never became consistent
            self._stop()
            return self._of_a_stopped_one()
        if not found.in_recovery:
            if self._is_the_primary_itself():
                raise Refused('the primary at %s:%s is the very database that is to be attached '
                              'to it' % (self.host, self.port))
            self._stop()
            return self._of_a_stopped_one()
        here = history.position(self.settings, found, self.limit())
        if here:
            fork, primary = self._fork(*here)
            if fork.beyond:
                self._stop()
                return self._diverged(fork, here[1])
            self._refuse_own_work(control_file.read(self.settings.db_data_dir))
            # One that stops at a recovery target receives all the same.
            if _says(found.upstream, self.wanted) and self._streams(primary, here) \
                    and not settings_in_force.obstructing(self.settings, self.limit()):
                return 'nothing'
        log_at = streaming.log_size(self.settings)
        done = follow.point(self.settings, self.host, self.port,
                            max(1.0, self.deadline.remaining()), self.environment)
        if not done.ok:
            raise Refused(done.reason)
        self.slot_problem = done.slot_problem
        return self._await_stream(log_at) or done.how

    def _answer_of_ours(self):
        """What the running server says; None for a standby that is starting and gets nowhere."""
        waiting = _Patience(self.deadline, STREAM_SECONDS)
        while True:
            found = probe.check_local(self.settings, self.limit())
            if found.in_recovery is not None:
                return found
            waiting.see(streaming.progress(self.settings))
            if waiting.is_over() or found.verdict != probe.STARTING:
                break
            self.deadline.sleep(POLL_SECONDS)
        if found.verdict == probe.STARTING and recovery.is_standby_on_file(self.settings):
            return None
        raise Refused('the database here runs and does not answer (%s): stop it, or wait until '
                      'it does' % found.reason)

    def _is_the_primary_itself(self):
        told = []
        for text in (conninfo.local_conn_string(self.settings),
                     conninfo.remote_conn_string(self.settings, self.host, self.port)):
            try:
                with Connection(text, self.limit()) as connection:
                    told.append(connection.value(STARTED_AT))
            except (ConnectionFailed, QueryFailed):
                return False
        return told[0] == told[1]

    # -- a server that does not ----------------------------------------------------------------

    def _of_a_stopped_one(self):
        known = control_file.read(self.settings.db_data_dir)
        # The checkpoint record is what it has at least, and all it has after a clean shutdown.
        end = max(known.checkpoint_lsn + 1, wal.record_end(
            self.settings.db_data_dir, known.timeline, known.checkpoint_lsn))
        fork, _ = self._fork(known.timeline, end)
        if fork.beyond:
            return self._diverged(fork, end)
        self._refuse_own_work(known)
        log_at = streaming.log_size(self.settings)
        how = self._set_up()
        self._start()
        return self._await_stream(log_at) or how

    def _set_up(self):
        """Make the next start one of a standby of the primary; returns how."""
        command = self.settings.follow_command
        self._must(recovery.leave_standby_signal(self.settings))
        if command:
            outcome = programs.run(command, self.deadline.remaining(),
                                   environment=self.environment)
            if not outcome.ok:
                raise Refused('follow_command: ' + outcome.reason)
        self.slot_problem = follow.make_slot(self.settings, self.host, self.port, self.limit())
        if not command:
            self._must(recovery.write_primary(self.settings, self.host, self.port))
        return 'command' if command else 'started'

    def _start(self):
        """Start the server; one that does not accept connections yet is waited for later."""
        self.deadline.sleep(self.settings.standby_startup_delay)
        started = start.start_database(self.settings, max(1.0, min(
            STREAM_SECONDS, self.deadline.remaining())))
        if not started.ok and control.postmaster(self.settings.db_data_dir) is None:
            raise Refused('the database could not be started: %s' % started.reason)

    def _stop(self):
        self._must(stop.stop_database(self.settings, stop.FAST, min(
            STOP_SECONDS, max(1.0, self.deadline.remaining()))))

    @staticmethod
    def _must(done):
        if not done.ok:
            raise Refused(done.reason)

    # -- streaming -----------------------------------------------------------------------------

    def _await_stream(self, log_at):
        """Wait until it streams; returns None, or how it came to that after a rewind."""
        waiting, obstacle = _Patience(self.deadline, STREAM_SECONDS), ''
        while True:
            if control.postmaster(self.settings.db_data_dir) is None:
                raise Refused(self._why_it_ended(streaming.causes(self.settings, log_at)))
            found = probe.check_local(self.settings, self.limit())
            if found.answered and not found.in_recovery:
                raise Refused('the database is no standby, though it was set up as one; see '
                              'follow_command and db_start_command')
            here = found.answered and history.position(self.settings, found, self.limit())
            lost = None
            try:
                fork, primary = self._fork(*here) if here else (None, None)
            except NoAnswer as error:
                fork, lost = None, error
            if fork and fork.beyond:
                self._stop()
                return self._diverged(fork, here[1])
            if fork and self._streams(primary, here):
                return None
            # Where it reads what has been replayed; the position received goes to and fro.
            waiting.see(found.replayed_lsn if here else streaming.progress(self.settings))
            cause = streaming.causes(self.settings, log_at)
            if here and waiting.has_stood(FINAL_SECONDS):
                obstacle = streaming.obstacle(self.settings, self.host, self.port, here[1],
                                              self.limit())
            waiting.patience = FINAL_SECONDS if (cause.is_final or obstacle) \
                and not self.settings.restore_command else (
                    STREAM_SECONDS if here else REPLAY_SECONDS)
            if waiting.is_over():
                raise lost or Refused(self._why_it_does_not(found, here, cause, obstacle))
            self.deadline.sleep(POLL_SECONDS)

    def _streams(self, primary, here):
        return streaming.streams(self.settings, self.host, self.port, self.wanted, primary, here,
                                 self.limit())

    def _why_it_ended(self, cause):
        return 'the database ended before it streamed from %s:%s: %s%s' % (
            self.host, self.port, cause,
            '; ' + self._rebuild() if streaming.TORN in cause.meanings else '')

    def _why_it_does_not(self, found, here, cause, obstacle):
        if not here:
            return ('the database does not accept connections after %.0f s (%s), so it is not '
                    'known to stream from %s:%s: %s' % (
                        self.deadline.elapsed(), found.reason or found.verdict, self.host,
                        self.port, cause))
        obstacle = self.slot_problem or obstacle
        reason = str(streaming.Cause([obstacle], cause.said, True) if obstacle else cause)
        if streaming.REMOVED in reason:
            reason += '; ' + self._rebuild()
        return ('the database runs as a standby at %s on timeline %d, and does not stream from '
                '%s:%s after %.0f s: %s' % (history.lsn_text(here[1]), here[0], self.host,
                                            self.port, self.deadline.elapsed(), reason))

    # -- divergence ----------------------------------------------------------------------------

    def _diverged(self, fork, end):
        """Rewind the stopped server where that is allowed, else say how to rebuild it."""
        if fork.timeline == 0:
            where = 'the primary was never on its timeline'
        else:
            where = '%d bytes of WAL beyond %s on timeline %d, where the primary left it' % (
                fork.beyond, history.lsn_text(fork.lsn), fork.timeline)
        if not self.settings.use_pg_rewind or self.is_rewound:
            raise Refused('this database diverged: %s; %s%s' % (
                where, self._rebuild(), '' if self.is_rewound else ', or set use_pg_rewind'),
                diverged=True)
        self.is_rewound = True
        done = rewind.rewind(self.settings, self.host, self.port,
                             max(1.0, self.deadline.remaining()), fork, end)
        if done.changed:
            # It took them away, and what was rewound must never start as a primary.
            self._must(recovery.leave_standby_signal(self.settings))
        if not done.ok:
            raise Refused('this database diverged: %s; pg_rewind: %s; %s%s' % (
                where, done.reason, 'the data directory may be damaged now, ' if done.changed
                else '', self._rebuild()), diverged=True)
        self.discarded = done.discarded
        log_at = streaming.log_size(self.settings)
        self._set_up()
        self._start()
        self._await_stream(log_at)
        return 'rewound'

    def _refuse_own_work(self, known):
        """Refuse a server that was a primary where the primary's history has no fork to show.

        A rewind needs such a fork, so it is none of the remedies.
        """
        if lineage.is_own_work(self.settings, self.conninfo, known, self.limit()):
            self._stop()
            raise Refused('this database diverged: it ran as a second primary on timeline %d, and '
                          'its checkpoint at %s is none of the primary\'s; pg_rewind cannot help; '
                          '%s' % (known.timeline, history.lsn_text(known.checkpoint_lsn),
                                  self._rebuild()), diverged=True)

    def _rebuild(self):
        """The pg_basebackup command that rebuilds this standby; no password in it."""
        words = conninfo.parse(self.conninfo)
        for name in ('password', 'sslpassword', 'dbname', 'replication'):
            words.pop(name, None)
        first = [(name, words.pop(name)) for name in ('host', 'port', 'user', 'application_name')
                 if name in words]
        text = conninfo.build(dict(first + list(words.items())))
        text = '"%s"' % text if not set(text) & set('"\\$`!') else shlex.quote(text)
        return 'rebuild it into an empty directory: pg_basebackup -d %s -D %s -R -X stream -P' % (
            text, shlex.quote(self.settings.db_data_dir))

    def limit(self):
        """Seconds for one question."""
        return max(0.5, min(ASK_SECONDS, self.settings.db_connect_timeout,
                            self.deadline.remaining()))


class _Patience(object):
    """How long something may stand still: until `patience` seconds, or the deadline."""

    def __init__(self, deadline, patience):
        self.deadline, self.patience = deadline, patience
        self._seen, self._moved_at, self._told = None, deadline.elapsed(), 0

    def see(self, value):
        """What it is at now; None says nothing."""
        if value is not None and value != self._seen:
            self._seen, self._moved_at, self._told = value, self.deadline.elapsed(), 0

    def has_stood(self, seconds):
        """Whether it has stood still for so many seconds more since this last was true."""
        times = int((self.deadline.elapsed() - self._moved_at) / seconds)
        is_news, self._told = times > self._told, times
        return is_news

    def is_over(self):
        """Whether to give it up."""
        return self.deadline.is_over() \
            or self.deadline.elapsed() - self._moved_at > self.patience


def _says(upstream, wanted):
    """Whether an upstream is the wanted one already, in these very words."""
    return bool(upstream) and upstream == wanted
