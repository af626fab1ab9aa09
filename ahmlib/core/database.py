"""The local database, as far as its checks tell.

A check is a new connection and a query.  `max_consec_failures` failed ones in a row make it FAILED.
What a check found last stays known (position, timeline) while later ones fail, for it is what an
election compares.

`out` is the reason why this database was reported out of the cluster; it stays until it is attached
again, even if the server comes back, because nobody has looked at it yet.
"""

from typing import Optional

from .beacon import Verdict
from .events import DatabaseChecked
from .settings import Settings
from .states import DatabaseState

#: A standby that does not stream is believed to have lost its primary only after this many seconds
#: beside a healthy primary: a walreceiver comes back after wal_retrieve_retry_interval, 5 s.
STREAM_GRACE_SECONDS = 10.0


class LocalDatabase:
    """What is known of the database of this host."""

    def __init__(self, settings: Settings) -> None:
        self.witness = settings.witness
        self.failures_max = settings.max_consec_failures
        self.failures = 0
        self.answer: Optional[DatabaseChecked] = None   # the newest check that succeeded
        self.reason = ''                    # why the newest check failed
        self.asked_at = 0.0                 # when the newest finished check began
        self.ok_at: Optional[float] = None  # when the newest successful check began
        self.checked = settings.witness     # whether any check has ended
        self.timeline = 0
        self.lsn = 0
        self.stopped = False                # stopped by this daemon, healthy as far as is known
        self.reached_by_others = False      # FAILED here, but another node reaches it
        self.second_primary = False         # found to be a second primary, and dealt with as one
        self.diverged = False               # found to hold what the primary does not have
        self.out = ''
        self.streaming: Optional[bool] = None
        self.unstreamed_since: Optional[float] = None
        self.streams_anew = False           # in the newest check, and not in the one before

    def apply(self, event: DatabaseChecked, asked_at: float) -> None:
        """Take the result of a check that began at this instant."""
        self.checked, self.asked_at = True, asked_at
        if event.verdict is not Verdict.REACHABLE or event.in_recovery is None:
            self.failures += 1
            self.reason = event.reason
            return
        self.failures, self.reason = 0, ''
        timeline = self._timeline_of(event)
        self.answer, self.ok_at = event, asked_at
        self.stopped = self.reached_by_others = False
        self.timeline, self.lsn = timeline, event.lsn
        if not event.in_recovery:
            self.out = ''       # rightful or second, a primary is no standby to be attached
            self.streaming = self.unstreamed_since = None
        else:
            self.second_primary = False

    def _timeline_of(self, event: DatabaseChecked) -> int:
        """Which timeline it has reached.

        A standby that has received a new timeline, and whose walreceiver is gone, tells of its last
        restartpoint only, which may be of the timeline before; what it has received stays so.
        """
        if event.in_recovery and self.in_recovery and event.lsn >= self.lsn \
                and event.system_id == self.system_id:
            return max(self.timeline, event.timeline)
        return event.timeline

    @property
    def streams(self) -> bool:
        """Whether this standby streams now, by more than one look where it did not before."""
        return self.answer.streaming and not self.streams_anew

    def judge_streaming(self, now: float, primary_ok_at: Optional[float]) -> None:
        """See whether this standby streams, or did when the primary was last healthy.

        `primary_ok_at`: when the leader's database last passed a check, as its row tells.
        A walreceiver says that it streams until the primary has refused it, for WAL that is gone,
        say, and is back some seconds later: so one check does not prove that it streams again.
        """
        if not self.in_recovery or self.failures:
            self.streams_anew = False
            return
        if self.answer.streaming:
            self.streams_anew = self.unstreamed_since is not None and not self.streams_anew
            if not self.streams_anew:
                self.streaming, self.unstreamed_since = True, None
            return
        self.streams_anew = False
        if self.unstreamed_since is None:
            self.unstreamed_since = now
        if primary_ok_at is not None \
                and primary_ok_at > self.unstreamed_since + STREAM_GRACE_SECONDS:
            self.streaming = False

    def promoted(self, timeline: int, lsn: int, now: float) -> None:
        """It accepts writes now, on this timeline."""
        before = self.answer or DatabaseChecked(0, Verdict.REACHABLE)
        self.answer = before._replace(in_recovery=False, timeline=timeline, lsn=lsn,
                                      streaming=False, upstream=None)
        self.failures, self.stopped, self.out = 0, False, ''
        self.timeline, self.lsn, self.ok_at = timeline, lsn, now
        self.streaming = self.unstreamed_since = None

    def trusted_by_force(self) -> None:
        """An operator wants it to be the primary, whatever was held against it."""
        self.out, self.second_primary, self.diverged = '', False, False

    def was_stopped(self, healthy: bool) -> None:
        """This daemon stopped it; a healthy one may be started again as a standby."""
        self.answer, self.stopped = None, healthy
        self.failures = max(self.failures, self.failures_max)

    def followed(self) -> None:
        """It was seen to follow the primary, after a restart perhaps, that failed checks."""
        self.failures, self.reason = 0, ''

    def attached(self) -> None:
        """Trusted again."""
        self.out, self.second_primary, self.diverged, self.failures = '', False, False, 0

    @property
    def failed(self) -> bool:
        """Whether the newest checks failed so often in a row that it counts as failed."""
        return self.failures >= self.failures_max

    @property
    def in_recovery(self) -> bool:
        """Whether it was a standby when it last answered."""
        return self.answer is not None and bool(self.answer.in_recovery)

    @property
    def runs_as_primary(self) -> bool:
        """Whether it accepted writes when it last answered, and was not stopped since."""
        return self.answer is not None and self.answer.in_recovery is False

    @property
    def system_id(self) -> str:
        """The system identifier, '' while unknown."""
        return self.answer.system_id if self.answer else ''

    @property
    def state(self) -> DatabaseState:
        """The manual's word for it."""
        if self.witness:
            return DatabaseState.NOT_CONFIGURED
        if self.second_primary or self.diverged or (self.failed and self.reached_by_others):
            return DatabaseState.QUARANTINED
        if self.out or self.failed:
            return DatabaseState.FAILED
        if self.answer is None:
            return DatabaseState.UNKNOWN
        return DatabaseState.STANDBY if self.in_recovery else DatabaseState.PRIMARY
