"""Making the server beside this node a standby of the primary again, seen to stream.

    it streams from there       nothing, or a primary_conninfo that says it rightly
    it is another's standby     compared, re-pointed
    it does not run             compared by its control file, set up, started, compared again
    it runs as a primary        stopped first: the caller knows that another one is the rightful

A position that the primary's history does not hold means that this server diverged (history.py).
It is rewound where that is allowed (rewind.py).  Else, and where it needs WAL that is gone, a copy
of the primary takes its place where an operator asked for that (rebuild.py).  Else it is left
stopped, and the message says how far it is gone and how to rebuild it; nothing here deletes a data
directory.  What a crashed server has
written is known only when it has recovered, so it is started as a standby and then compared.

Success is a walreceiver that receives the primary's present timeline from that host, and a primary
that knows it by its name (streaming.py), nothing less.

Each step takes the Job, and raises Refused where the attach ends.  A step that may find out that
the server diverged returns an Outcome.
"""
from typing import Callable, NamedTuple, Optional, Tuple

from ahmlib.database import (
    attach_stream,
    conninfo,
    control,
    control_file,
    follow,
    history,
    lineage,
    probe,
    rebuild,
    rebuild_place,
    recovery,
    rewind,
    settings_in_force,
    start,
    streaming,
    wal,
)
from ahmlib.database.attach_job import Diverged, Job, Outcome, Refused, Streams, must
from ahmlib.database.attach_stream import Patience, await_stream, streams
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.control_file import ControlFile
from ahmlib.database.probe import Found
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline
from ahmlib.process.programs import Environment

STARTED_AT = 'SELECT pg_postmaster_start_time()::text'


class Attached(NamedTuple):
    """What became of an attach."""

    ok: bool
    reason: str
    how: str                # 'nothing', 'reloaded', 'restarted', 'started', 'rewound', 'rebuilt'
                            # or 'command'
    diverged: bool          # its history is not the primary's
    behind: int             # bytes of the primary's WAL that it has yet to receive
    discarded: str          # in words: the WAL that a rewind threw away
    remark: str = ''        # of the slots of a server that was a primary, of what was kept


def attach_standby(settings: DatabaseSettings, host: str, port: Optional[int], limit: float,
                   environment: Optional[Environment] = None, rebuilds: bool = False,
                   tell: Callable[[str], None] = lambda step: None) -> Attached:
    """Make the server of db_data_dir a standby of `host`:`port`, within `limit` seconds.

    use_pg_rewind lets a diverged history be rewound; follow_command, where set, says itself where
    the primary is, with `environment` added.  rebuilds: where nothing else helps, a copy of the
    primary takes the place of the data directory; `tell` is called with what is being done.
    """
    job = Job(settings, host, port, Deadline(limit), environment, tell)
    try:
        finished = rebuild_place.finish(rebuild_place.place_of(settings.db_data_dir))
        how, kept = _attach_or_rebuild(job, rebuilds)
        remark = '; '.join(filter(None, (kept, follow.without_stale_slots(
            settings, host, port, job.limit()))))
    except Refused as refused:
        return Attached(False, str(refused), '', refused.diverged, job.behind, job.discarded)
    except (OSError, ValueError) as error:
        return Attached(False, str(error), '', False, job.behind, job.discarded)
    return Attached(True, 'streams from %s:%s' % (host, job.port), 'rebuilt' if finished else how,
                    False, job.behind, job.discarded, remark)


def _attach_or_rebuild(job: Job, rebuilds: bool) -> Tuple[str, str]:
    """All the steps; returns how it came to stream, and what is to be said of what was kept."""
    try:
        return _attach(job), ''
    except Refused as refused:
        if not (rebuilds and refused.curable):
            raise
        try:
            kept = rebuild.rebuild(job)
        except Refused as second:
            raise Refused('%s; it was not rebuilt: %s' % (refused, second), refused.diverged, True)
    try:
        outcome = _start(job)
    except Refused as refused:
        raise Refused('the copy of the primary is in place, and: %s; %s' % (refused, kept))
    if isinstance(outcome, Diverged):
        raise Refused('the copy of the primary diverged at once: %s' % _where(outcome), True)
    return 'rebuilt', kept


def _attach(job: Job) -> str:
    """The steps without a copy; returns how it came to stream.  Raises as attach_standby catches.
    """
    control.refuse_blind(job.data_dir)
    job.conninfo = recovery.new_conninfo(
        settings_in_force.primary_conninfo(job.settings, job.limit()), job.settings, job.host,
        job.port)
    _check_primary(job)
    _check_no_rewind_is_under_way(job)
    standby = _running_standby(job)
    outcome = _re_point(job, standby) if standby else _start_in_its_place(job)
    if isinstance(outcome, Streams):
        return outcome.how
    _rewind(job, outcome)
    outcome = _start(job)
    if isinstance(outcome, Diverged):
        raise Refused('this database diverged: %s; %s' % (_where(outcome), job.rebuild()),
                      diverged=True, curable=True)
    return 'rewound'


# -- what has to be so before anything is done ---------------------------------------------------


def _check_primary(job: Job) -> None:
    """Refuse what is no primary, or one of another database system."""
    found = probe.probe_remote(job.settings, job.host, job.port, job.limit())
    if not found.answered:
        raise Refused('the primary at %s:%s does not answer: %s' % (
            job.host, job.port, found.reason))
    if found.in_recovery:
        raise Refused('the database at %s:%s is no primary, it is in recovery'
                      % (job.host, job.port))
    primary = job.primary()
    own = control_file.read(job.data_dir).system_identifier
    if primary.system_identifier != own:
        raise Refused('this database has system identifier %s and the primary %s: it is another'
                      ' cluster; %s' % (own, primary.system_identifier, job.rebuild(False)),
                      diverged=True)


def _check_no_rewind_is_under_way(job: Job) -> None:
    if rewind.is_interrupted(job.settings):
        raise Refused('an earlier pg_rewind of this data directory did not end, so it is '
                      'damaged: %s' % job.rebuild(), diverged=True, curable=True)


# -- a server that runs --------------------------------------------------------------------------


def _running_standby(job: Job) -> Optional[Found]:
    """What the standby here says that runs; None where none runs, any more."""
    if not control.server_processes(job.data_dir):
        return None
    found = _answer(job)
    if found is not None and found.in_recovery:
        return found
    if found is not None and _is_the_primary_itself(job):
        raise Refused('the primary at %s:%s is the very database that is to be attached to it'
                      % (job.host, job.port))
    job.stop()
    return None


def _answer(job: Job) -> Optional[Found]:
    """What the running server says; None for a standby that is starting and gets nowhere."""
    waiting = Patience(job.deadline, attach_stream.STREAM_SECONDS)
    while True:
        found = probe.check_local(job.settings, job.limit())
        if found.in_recovery is not None:
            return found
        waiting.see(streaming.progress(job.settings))
        if waiting.is_over() or found.verdict != probe.STARTING:
            break
        job.deadline.sleep(attach_stream.POLL_SECONDS)
    if found.verdict == probe.STARTING and recovery.is_standby_on_file(job.settings):
        return None
    raise Refused('the database here runs and does not answer (%s): stop it, or wait until it does'
                  % found.reason)


def _is_the_primary_itself(job: Job) -> bool:
    told = []
    for text in (conninfo.local_conn_string(job.settings),
                 conninfo.remote_conn_string(job.settings, job.host, job.port)):
        try:
            with Connection(text, job.limit()) as connection:
                told.append(connection.value(STARTED_AT))
        except (ConnectionFailed, QueryFailed):
            return False
    return bool(told[0] == told[1])


def _re_point(job: Job, standby: Found) -> Outcome:
    """Let the standby that runs follow the primary, unless it does."""
    here = history.position(job.settings, standby, job.limit())
    if here is not None:
        fork, primary = job.fork(*here)
        if fork.beyond:
            job.stop()
            return Diverged(fork, here[1])
        _refuse_own_work(job, control_file.read(job.data_dir))
        # One that stops at a recovery target receives all the same.
        if standby.upstream == conninfo.upstream(job.conninfo) and streams(job, primary, here) \
                and not settings_in_force.obstructing(job.settings, job.limit()):
            return Streams('nothing')
    log_at = streaming.log_size(job.settings)
    done = follow.point(job.settings, job.host, job.port, max(1.0, job.deadline.remaining()),
                        job.environment)
    if not done.ok:
        raise Refused(done.reason)
    job.slot_problem = done.slot_problem
    return await_stream(job, log_at, done.how)


# -- a server that does not ----------------------------------------------------------------------


def _start_in_its_place(job: Job) -> Outcome:
    """Start the stopped server as a standby, unless its files tell that it diverged."""
    known = control_file.read(job.data_dir)
    # The checkpoint record is what it has at least, and all it has after a clean shutdown.
    end = max(known.checkpoint_lsn + 1, wal.record_end(
        job.data_dir, known.timeline, known.checkpoint_lsn))
    fork, _ = job.fork(known.timeline, end)
    if fork.beyond:
        return Diverged(fork, end)
    _refuse_own_work(job, known)
    return _start(job)


def _start(job: Job) -> Outcome:
    """Make a standby of the stopped server, and start it."""
    log_at = streaming.log_size(job.settings)
    how = _set_up(job)
    job.deadline.sleep(job.settings.standby_startup_delay)
    started = start.start_database(job.settings, max(1.0, min(
        attach_stream.STREAM_SECONDS, job.deadline.remaining())))
    # One that does not accept connections yet is waited for.
    if not started.ok and control.postmaster(job.data_dir) is None:
        raise Refused('the database could not be started: %s' % started.reason)
    return await_stream(job, log_at, how)


def _set_up(job: Job) -> str:
    """Make the next start one of a standby of the primary; returns how."""
    command = job.settings.follow_command
    must(recovery.leave_standby_signal(job.settings))
    if command:
        outcome = programs.run(command, job.deadline.remaining(), environment=job.environment)
        if not outcome.ok:
            raise Refused('follow_command: ' + outcome.reason)
    job.slot_problem = follow.make_slot(job.settings, job.host, job.port, job.limit())
    if not command:
        must(recovery.write_primary(job.settings, job.host, job.port))
    return 'command' if command else 'started'


# -- divergence ----------------------------------------------------------------------------------


def _rewind(job: Job, found: Diverged) -> None:
    """Rewind the stopped server where that is allowed, else say how to rebuild it."""
    if not job.settings.use_pg_rewind:
        raise Refused('this database diverged: %s; %s, or set use_pg_rewind' % (
            _where(found), job.rebuild()), diverged=True, curable=True)
    done = rewind.rewind(job.settings, job.host, job.port, max(1.0, job.deadline.remaining()),
                         found.fork, found.end)
    if done.changed:
        # It took them away, and what was rewound must never start as a primary.
        must(recovery.leave_standby_signal(job.settings))
    if not done.ok:
        raise Refused('this database diverged: %s; pg_rewind: %s; %s%s' % (
            _where(found), done.reason, 'the data directory may be damaged now, ' if done.changed
            else '', job.rebuild()), diverged=True, curable=True)
    job.discarded = done.discarded


def _where(found: Diverged) -> str:
    """Where the server left the primary's history, in words."""
    fork = found.fork
    if fork.timeline == 0:
        return 'the primary was never on its timeline'
    return '%d bytes of WAL beyond %s on timeline %d, where the primary left it' % (
        fork.beyond, history.lsn_text(fork.lsn), fork.timeline)


def _refuse_own_work(job: Job, known: ControlFile) -> None:
    """Refuse a server that was a primary where the primary's history has no fork to show.

    A rewind needs such a fork, so it is none of the remedies.
    """
    if lineage.is_own_work(job.settings, job.conninfo, known, job.limit()):
        job.stop()
        raise Refused('this database diverged: it ran as a second primary on timeline %d, and '
                      'its checkpoint at %s is none of the primary\'s; pg_rewind cannot help; '
                      '%s' % (known.timeline, history.lsn_text(known.checkpoint_lsn),
                              job.rebuild()), diverged=True, curable=True)
