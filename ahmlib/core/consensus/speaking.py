"""Save, then say: the state file and the beacons.

No row leaves whose term, vote, leader or record is not on disk: while the disk lags behind, or
refuses, the node is silent, and counts as lost for the others.  A pause or a maintenance keeps
nobody silent: rows go on as before, and tell it once it is on disk.  A row leaves every interval,
at once when it changes in a way that matters, and quickly repeated while an election or a procedure
is under way; a leader's row is answered to the leader alone.

What is on disk may stay as it is for weeks, until an election changes it.  So the same is saved
again now and then: a disk that is full, or read-only, by then is known before it costs a vote.
"""

from typing import Any, Optional, Set

from ..beacon import Beacon, Farewell, significant
from ..effects import SaveState, SendBeacon
from ..facts import Facts
from ..out import Out
from .membership import Membership
from .saved import Saved

SAVE_RETRY_SECONDS = 1.0
#: Between two tries of the disk, where health checks do not come more seldom.
TRY_SECONDS = 10.0
#: After so long a disk that has not answered is told of.
STALL_SECONDS = 1.0
#: And so long where nothing had to be written but to find that out.
TRY_STALL_SECONDS = 5.0


class Speaker:
    """What this node writes and says; `wanted`: what has to be on disk, as of now."""

    def __init__(self, facts: Facts, out: Out, members: Membership,
                 disk: Optional[Saved]) -> None:
        self.facts, self.out, self.members = facts, out, members
        self.disk = disk                        # what is known to be on disk
        self.wanted = disk or Saved()
        self.saving_since: Optional[float] = None
        self.refused = ''                       # why the newest save failed
        self.save_retry_at = facts.now
        self.try_at = facts.now + self._try_period()
        self.unsaved_since = float('inf')       # silent since then, for the disk lags
        self.seq = 0
        self.sent_at = self.round_at = float('-inf')
        self.said: Any = None                   # what mattered in the last row for everybody
        self.answers: Set[int] = set()          # whose rows are to be answered at once
        self.answered_at = float('-inf')        # when one that does not lead was answered last

    @property
    def quick(self) -> float:
        """Seconds between rows that are repeated quickly."""
        return min(max(self.facts.settings.interval / 8, 0.05), 0.25)

    # -- the disk ------------------------------------------------------------------------------

    def want(self, saved: Saved) -> None:
        """This must not be forgotten."""
        self.wanted = saved

    def is_saved(self) -> bool:
        """Whether the disk has what rows may not leave without."""
        disk, wanted = self.disk, self.wanted
        return disk == wanted or (disk is not None and disk.backing() == wanted.backing())

    def has_vote(self, term: int, candidate: int) -> bool:
        """Whether the own vote for this candidate in this term is on disk."""
        return self.disk is not None and (self.disk.term, self.disk.voted_for) == (term, candidate)

    def stalls(self) -> float:
        """Seconds for which the disk has not answered, where that is long; else 0."""
        if self.saving_since is None:
            return 0.0
        if self.facts.reached(self.saving_since + TRY_STALL_SECONDS):
            return TRY_STALL_SECONDS
        return STALL_SECONDS if self.facts.reached(self.unsaved_since + STALL_SECONDS) else 0.0

    def saved(self, saved: Saved) -> None:
        """This is on disk."""
        self.disk, self.saving_since, self.refused = saved, None, ''

    def save_failed(self, reason: str) -> None:
        """It is not; try again later, and be silent until then, where it was news."""
        self.saving_since, self.refused = None, reason
        self.save_retry_at = self.facts.now + SAVE_RETRY_SECONDS

    # -- the network ---------------------------------------------------------------------------

    def answer(self, place: int) -> None:
        """This one's row is to be answered at once."""
        self.answers.add(place)

    def answer_quickly(self, place: int) -> None:
        """Likewise; two that answer each other do so no faster than rows are repeated."""
        if self.facts.reached(self.answered_at + self.quick):
            self.answered_at = self.facts.now
            self.answer(place)

    def publish(self, row: Beacon, hurried: bool, matters: Any) -> None:
        """Have the state saved, or say what there is to say: this row, as of now.

        `hurried`: rows are repeated quickly; `matters`: what is worth a row when it changes, beside
        what is significant in it.
        """
        if not self.is_saved():
            self.unsaved_since = min(self.unsaved_since, self.facts.now)
            self._save()
            return
        self.unsaved_since = float('inf')
        if self.disk != self.wanted:
            self._save()
        elif row.farewell is Farewell.NONE and self._is_try_due():
            self.try_at = self.facts.now + self._try_period()
            self._save()
        row = self._as_on_disk(row)
        round_due = self.facts.reached(self.round_at + self.facts.settings.interval)
        quick_due = hurried and self.facts.reached(self.sent_at + self.quick)
        said = significant(row), matters
        if round_due or quick_due or said != self.said:
            self.round_at = self.facts.now if round_due else self.round_at
            self.sent_at, self.said = self.facts.now, said
            self._send(row, None)
        else:
            for leader in sorted(self.answers):
                self._send(row, leader)
        self.answers.clear()

    def go_on(self, hurried: bool) -> None:
        """The next row is due an interval after this one, or soon: what was said may hurry it."""
        self.facts.clock.wake_by(self.round_at + self.facts.settings.interval)
        if hurried:
            self.facts.clock.wake_by(self.sent_at + self.quick)

    def say_last(self, row: Beacon) -> None:
        """Say this before the daemon ends, where nothing has to be on disk first."""
        if self.is_saved():
            self._send(self._as_on_disk(row), None)

    def _as_on_disk(self, row: Beacon) -> Beacon:
        """This row, which tells a pause and a maintenance as the disk has them."""
        disk = self.disk or Saved()
        if row.pause == disk.pause and row.maintenance is disk.maintenance:
            return row
        return row._replace(pause=disk.pause, maintenance=disk.maintenance)

    def _save(self) -> None:
        """Begin a save, where none is under way, and none has just failed."""
        if self.saving_since is None and self.facts.reached(self.save_retry_at):
            self.saving_since = self.facts.now
            self.out.write(SaveState(self.wanted))

    def _is_try_due(self) -> bool:
        """Whether what is on disk is to be saved again, to find out whether that could be done."""
        return self.saving_since is None and self.facts.reached(self.try_at)

    def _try_period(self) -> float:
        return max(TRY_SECONDS, self.facts.settings.health_check_period)

    def _send(self, row: Beacon, to: Optional[int]) -> None:
        self.check(row)
        self.seq += 1
        self.members.sent(self.seq, self.facts.now)
        self.out.say(SendBeacon(row._replace(seq=self.seq), to))

    def check(self, row: Beacon) -> None:
        """What this row says is on disk; else the daemon ends, as by a crash, before it is said."""
        disk = self.disk
        assert disk is not None and (
            row.term, row.voted_for, row.record, row.pause, row.maintenance) == (
                disk.term, disk.voted_for, disk.record, disk.pause, disk.maintenance), \
            'saved before said'
