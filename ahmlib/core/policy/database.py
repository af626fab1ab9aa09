"""The local database, as far as its checks tell.

A check is a new connection and a query.  `max_consec_failures` failed ones in a row make it FAILED.
What a check found last stays known (position, timeline) while later ones fail, for it is what an
election compares.

`out` is the reason why this database was reported out of the cluster; it stays until it is attached
again, even if the server comes back, because nobody has looked at it yet.

A server that refuses AHM runs, and so does one that another node reaches: it is QUARANTINED for as
long as that lasts.  So is one that is not the server of db_data_dir: what AHM stops and what
answers it are two servers then.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from ..beacon import Verdict
from ..events import DatabaseChecked
from ..facts import Facts
from ..out import Out
from ..states import DatabaseState

#: A standby that does not stream is believed to have lost its primary only after this many seconds
#: beside a healthy primary: a walreceiver comes back after wal_retrieve_retry_interval, 5 s.
#: Nor do commits count as waiting for it sooner after a promotion or a restart.
STREAM_GRACE_SECONDS = 10.0
#: A replay that lags and has not moved for so long is held up; a busy host may cost it less.
STUCK_SECONDS = 1.0


class Unpromotable(NamedTuple):
    """A promotion that was taken back: how far it had replayed, why, and until when that counts."""
    replayed: int
    until: float
    why: str


class LocalDatabase:
    """What is known of the database of this host."""

    def __init__(self, facts: Facts, out: Out, maintained: bool = False) -> None:
        self.facts, self.reports = facts, out
        self.maintained = maintained        # left to its operator (R56)
        self.failures = 0
        self.answer: Optional[DatabaseChecked] = None   # the newest check that succeeded
        self.reason = ''                    # why the newest check failed
        self.asked_at = 0.0                 # when the newest finished check began
        self.ok_at: Optional[float] = None  # when the newest successful check began
        self.checked = facts.settings.witness   # whether any check has ended
        self.timeline = 0
        self.lsn = 0
        self.stopped = False                # stopped by this daemon, healthy as far as is known
        self.reached_by_others = False      # FAILED here, but another node reaches it
        self.refused = False                # the newest check was answered, and we were refused
        self.is_there = False         # likewise, or it was told that the server starts
        self.mismatch = ''                  # why the server that answers is not ours
        self.replayed = 0                   # of a standby
        self.held = False                   # its replay waits, for a reader or a delay
        self.lsn_known = True               # False: more may be on its disk than `lsn`
        self.remark = ''                    # what its checks want people to know
        self._stuck_since: Optional[float] = None   # its replay lags, and has not moved since then
        self._stands_still = ''             # as its newest check says
        self._unpromotable: Optional[Unpromotable] = None
        self.second_primary = False         # found to be a second primary, and dealt with as one
        self.diverged = False               # found to hold what the primary does not have
        self.commits_wait = ''              # for standbys that are not there, as a check found
        self.came_up_at: Optional[float] = None     # by a promotion, or a restart on request
        self.out = ''
        self.streaming: Optional[bool] = None
        self.unstreamed_since: Optional[float] = None
        self.streams_anew = False           # in the newest check, and not in the one before
        #: It is being promoted, stopped or started: a step-down now must not leave it half done.
        self.half_done = False
        #: It is restarted because an operator asked for that: it is not checked meanwhile.
        self.restarts = False
        #: The parameters for which it waits for a restart; None: not known.
        self.pending: Optional[Tuple[str, ...]] = None

    def apply(self, event: DatabaseChecked, asked_at: float) -> None:
        """Take the result of a check that began at this instant."""
        self.checked, self.asked_at = True, asked_at
        self.refused = event.verdict is Verdict.REACHABLE and event.in_recovery is None
        self.is_there = event.verdict is not Verdict.UNREACHABLE
        if event.verdict is not Verdict.REACHABLE or event.in_recovery is None:
            self.failures += 1
            self.reason = event.reason
            return
        self.failures, self.reason = 0, ''
        timeline = self._timeline_of(event)
        self._take_replay(event, asked_at)
        self.answer, self.ok_at = event, asked_at
        self.stopped = self.reached_by_others = False
        self.timeline, self.lsn, self.lsn_known = timeline, event.lsn, event.lsn_known
        self.mismatch, self.remark, self.pending = event.mismatch, event.remark, event.pending
        comes = self.came_up_at is not None and asked_at < self.came_up_at + STREAM_GRACE_SECONDS
        self.commits_wait = '' if comes or event.in_recovery else \
            why_commits_wait(event.sync_needed or 0, event.sync_names, event.sync_peers)
        self.second_primary = False     # one that runs again after its stop is judged anew
        if not event.in_recovery:
            self.out = ''       # rightful or second, a primary is no standby to be attached
            self.streaming = self.unstreamed_since = None

    def _take_replay(self, event: DatabaseChecked, asked_at: float) -> None:
        """What its replay is about.  One that lags and has not moved for long waits for something.

        The end of a record that never came looks the same; it is level with a full replay.
        """
        lags = bool(event.in_recovery) and event.replayed < event.lsn
        if not lags or event.replayed != self.replayed:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = asked_at
        self.held = event.held or (self._stuck_since is not None
                                   and asked_at >= self._stuck_since + STUCK_SECONDS)
        self.replayed, self._stands_still = event.replayed, event.standstill
        failed = self._unpromotable
        if failed is not None and (not event.in_recovery or event.replayed != failed.replayed
                                   or asked_at >= failed.until):
            self._unpromotable = None

    @property
    def standstill(self) -> str:
        """Why its replay cannot go on by itself, so that a promotion would lack WAL; '' if not."""
        if not self.in_recovery:
            return ''
        return self._stands_still or (self._unpromotable.why if self._unpromotable else '')

    def not_promoted(self, why: str, until: float) -> None:
        """Its promotion was withdrawn: it is no candidate until its replay moves, or then."""
        self._unpromotable = Unpromotable(self.replayed, until, why)

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
        return self.answer is not None and self.answer.streaming and not self.streams_anew

    def judge_streaming(self, now: float, primary_ok_at: Optional[float]) -> None:
        """See whether this standby streams, or did when the primary was last healthy.

        `primary_ok_at`: when the leader's database last passed a check, as its row tells.
        A walreceiver says that it streams until the primary has refused it, for WAL that is gone,
        say, and is back some seconds later: so one check does not prove that it streams again.
        """
        if self.answer is None or not self.in_recovery or self.failures:
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
        self.lsn_known, self.held, self._unpromotable = True, False, None
        self.streaming = self.unstreamed_since = None
        self.commits_wait, self.came_up_at = '', now

    def trusted_by_force(self) -> None:
        """An operator wants it to be the primary, whatever was held against it."""
        self.out, self.second_primary, self.diverged = '', False, False

    def was_stopped(self, healthy: bool) -> None:
        """This daemon stopped it; a healthy one may be started again as a standby."""
        self.answer, self.stopped = None, healthy
        self.refused = self.is_there = self.reached_by_others = False
        self.failures = max(self.failures, self.facts.settings.max_consec_failures)

    def may_be_started(self, healthy: bool) -> None:
        """Whether what this daemon stopped may be started again as a standby, by whomever."""
        self.stopped = healthy

    def was_reached(self, by_others: bool) -> None:
        """It fails its checks here, and another node reaches it; or none does."""
        self.reached_by_others = by_others

    def begin_change(self) -> None:
        """It is promoted, stopped or started from now on, by a procedure that says when it is done.
        """
        self.half_done = True

    def end_change(self) -> None:
        """What was begun is done."""
        self.half_done = False

    def begin_restart(self) -> None:
        """An operator wants it to be restarted: it works, and where it was is of before (R15)."""
        self.restarts, self.lsn_known = True, False

    def end_restart(self) -> None:
        """It is checked again, whatever has become of it."""
        if self.restarts:
            self.restarts, self.came_up_at = False, self.facts.now

    def has_failed(self, why: str) -> None:
        """It was to answer by now, and does not: that counts as much as failed checks do."""
        self.failures = max(self.failures, self.facts.settings.max_consec_failures)
        self.reason = why

    def report_out(self, why: str) -> None:
        """It is out of the cluster until it is attached again."""
        self.out = why

    def tell_out(self, why: str) -> None:
        """The same, and people are told."""
        self.out = why
        self.reports.report('WARNING', 'out', 'reported out until attached again: %s' % why,
                            cause=why)

    def has_diverged(self, diverged: bool) -> None:
        """Whether it was found to hold what the primary does not have."""
        self.diverged = diverged

    def is_second(self) -> None:
        """It was a primary beside another one, and was stopped."""
        self.second_primary = True

    def followed(self) -> None:
        """It was seen to follow the primary, after a restart perhaps, that failed checks."""
        self.failures, self.reason = 0, ''

    def maintain(self, on: bool) -> None:
        """It is left to its operator; or not any more: then the next check judges it."""
        self.maintained = on
        if not on:
            self.failures = min(self.failures, self.facts.settings.max_consec_failures - 1)

    def attached(self) -> None:
        """Trusted again."""
        self.out, self.second_primary, self.diverged, self.failures = '', False, False, 0

    @property
    def failed(self) -> bool:
        """Whether the newest checks failed so often in a row that it counts as failed."""
        return self.failures >= self.facts.settings.max_consec_failures

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
    def distrust(self) -> str:
        """Why it is not trusted though it runs, for as long as that lasts; '' if it is."""
        if self.mismatch and not self.failures:
            return self.mismatch
        refused = self.refused and self.in_recovery     # of a primary all others are asked first
        if self.failed and not self.out and not self.maintained \
                and (refused or self.reached_by_others):
            return 'it runs, and %s: %s' % (
                'refuses AHM' if refused else 'fails its checks here only', self.reason)
        return ''

    @property
    def state(self) -> DatabaseState:
        """The manual's word for it."""
        if self.facts.settings.witness:
            return DatabaseState.NOT_CONFIGURED
        if self.second_primary or self.diverged or self.distrust:
            return DatabaseState.QUARANTINED
        if self.out or self.failed:
            left_alone = self.maintained and not self.out and not self.runs_as_primary
            return DatabaseState.UNKNOWN if left_alone else DatabaseState.FAILED
        if self.answer is None:
            return DatabaseState.UNKNOWN
        return DatabaseState.STANDBY if self.in_recovery else DatabaseState.PRIMARY


def why_commits_wait(needed: int, names: Sequence[str], peers: Sequence[Tuple[str, str]]) -> str:
    """Why no commit ends on a primary; '' where it does.

    Its synchronous_standby_names ask for so many of these names, and these (application_name,
    address) stream from it.
    """
    if not needed:
        return ''
    streams = [name for name, _ in peers
               if '*' in names or name.lower() in [listed.lower() for listed in names]]
    if len(streams) >= needed:
        return ''
    return 'commits wait: synchronous_standby_names asks for %d of %s, and %d of them stream ' \
        '(%s): start that standby, or take its name out of synchronous_standby_names' % (
            needed, ', '.join(names), len(streams), ', '.join(streams) or 'none')
