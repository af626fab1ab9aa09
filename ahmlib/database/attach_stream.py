"""Whether a server that is being attached comes to stream from the primary.

It is waited for as long as it gets on: it replays what it has, it receives.  What stands still is
given up, sooner where its log or the primary gives a reason that waiting does not mend.  What a
crashed server has written is known only once it has recovered, so it may turn out here that it
diverged; then it is stopped.
"""
from typing import Any, Optional

from ahmlib.database import conninfo, control, history, probe, streaming
from ahmlib.database.attach_job import Diverged, Job, NoAnswer, Outcome, Refused, Streams
from ahmlib.database.history import Position, Primary
from ahmlib.database.probe import Found
from ahmlib.database.streaming import Cause
from ahmlib.process.deadline import Deadline

POLL_SECONDS = 0.2
#: How long a standby that accepts connections may stand still before it streams.
STREAM_SECONDS = 30.0
#: The same for one that does not accept them: it syncs and replays what it has.
REPLAY_SECONDS = 300.0
#: The same once its log gave a reason that waiting does not mend.
FINAL_SECONDS = 3.0


class Patience:
    """How long something may stand still: until `patience` seconds, or the deadline."""

    def __init__(self, deadline: Deadline, patience: float) -> None:
        self.deadline, self.patience = deadline, patience
        self._seen: Any = None
        self._moved_at, self._told = deadline.elapsed(), 0

    def see(self, value: Any) -> None:
        """What it is at now; None says nothing."""
        if value is not None and value != self._seen:
            self._seen, self._moved_at, self._told = value, self.deadline.elapsed(), 0

    def has_stood(self, seconds: float) -> bool:
        """Whether it has stood still for so many seconds more since this last was true."""
        times = int((self.deadline.elapsed() - self._moved_at) / seconds)
        is_news, self._told = times > self._told, times
        return is_news

    def is_over(self) -> bool:
        """Whether to give it up."""
        return self.deadline.is_over() \
            or self.deadline.elapsed() - self._moved_at > self.patience


def await_stream(job: Job, log_at: int, how: str) -> Outcome:
    """Wait until the server here streams; it was set up in this way (`how`).

    `log_at` is where its log ended before.  Raises Refused where it does not come to that.
    """
    wait = _Wait(job, log_at)
    while True:
        outcome = wait.look(how)
        if outcome is not None:
            return outcome
        job.deadline.sleep(POLL_SECONDS)


def streams(job: Job, primary: Primary, here: Position) -> bool:
    """Whether a standby that is `here` streams by the primary_conninfo of this job."""
    return streaming.streams(job.settings, job.host, job.port, conninfo.upstream(job.conninfo),
                             primary, here, job.limit())


class _Wait:
    """One wait for a server to stream."""

    def __init__(self, job: Job, log_at: int) -> None:
        self.job, self.log_at = job, log_at
        self.waiting = Patience(job.deadline, STREAM_SECONDS)
        self.obstacle = ''              # why it cannot stream, as the primary shows it

    def look(self, how: str) -> Optional[Outcome]:
        """The outcome, where it is known by now; else None."""
        job, lost = self.job, None
        found = self._found()
        here = history.position(job.settings, found, job.limit()) if found.answered else None
        if here is not None:
            try:
                fork, primary = job.fork(*here)
                if fork.beyond:
                    job.stop()
                    return Diverged(fork, here[1])
                if streams(job, primary, here):
                    return Streams(how)
            except NoAnswer as error:
                lost = error
        self._give_up_in_time(found, here, lost)
        return None

    def _found(self) -> Found:
        """What the server says, which has to be a standby, and to run."""
        job = self.job
        if control.postmaster(job.data_dir) is None:
            cause = streaming.causes(job.settings, self.log_at)
            raise Refused(self._why_it_ended(cause), curable=streaming.TORN in cause.meanings)
        found = probe.check_local(job.settings, job.limit())
        if found.answered and not found.in_recovery:
            raise Refused('the database is no standby, though it was set up as one; see '
                          'follow_command and db_start_command')
        return found

    def _give_up_in_time(self, found: Found, here: Optional[Position],
                         lost: Optional[NoAnswer]) -> None:
        """Raise Refused once it has stood still for too long."""
        job = self.job
        # Where it reads what has been replayed; the position received goes to and fro.
        self.waiting.see(found.replayed_lsn if here else streaming.progress(job.settings))
        cause = streaming.causes(job.settings, self.log_at)
        if here and self.waiting.has_stood(FINAL_SECONDS):
            self.obstacle = streaming.obstacle(job.settings, job.host, job.port, here[1],
                                               job.limit())
        is_final = (cause.is_final or self.obstacle) and not job.settings.restore_command
        self.waiting.patience = FINAL_SECONDS if is_final else (
            STREAM_SECONDS if here else REPLAY_SECONDS)
        if self.waiting.is_over():
            reason = self._why_it_does_not(found, here, cause)
            raise lost or Refused(reason, curable=job.rebuild() in reason)

    def _why_it_ended(self, cause: Cause) -> str:
        return 'the database ended before it streamed from %s:%s: %s%s' % (
            self.job.host, self.job.port, cause,
            '; ' + self.job.rebuild() if streaming.TORN in cause.meanings else '')

    def _why_it_does_not(self, found: Found, here: Optional[Position], cause: Cause) -> str:
        job = self.job
        if here is None:
            return ('the database does not accept connections after %.0f s (%s), so it is not '
                    'known to stream from %s:%s: %s' % (
                        job.deadline.elapsed(), found.reason or found.verdict, job.host, job.port,
                        cause))
        obstacle = job.slot_problem or self.obstacle
        reason = str(Cause([obstacle], cause.said, True) if obstacle else cause)
        if streaming.REMOVED in reason:
            reason += '; ' + job.rebuild()
        return ('the database runs as a standby at %s on timeline %d, and does not stream from '
                '%s:%s after %.0f s: %s' % (history.lsn_text(here[1]), here[0], job.host,
                                            job.port, job.deadline.elapsed(), reason))
