"""Save, then say: the state file and the beacons.

No row leaves whose term, vote, leader or record is not on disk: while the disk lags behind, or
refuses, the node is silent, and counts as lost for the others.  A row leaves every interval, at
once when it changes in a way that matters, and quickly repeated while an election or a procedure
is under way; a leader's row is answered to the leader alone.

What is on disk may stay as it is for weeks, until an election changes it.  So the same is saved
again now and then: a disk that is full, or read-only, by then is known before it costs a vote.
"""

from typing import Any, Optional, Set

from .beacon import Beacon, Farewell, significant
from .effects import SaveState, SendBeacon
from .saved import Saved
from .states import NodeState

SAVE_RETRY_SECONDS = 1.0
#: Between two tries of the disk, where health checks do not come more seldom.
TRY_SECONDS = 10.0
#: After so long a disk that has not answered is told of.
STALL_SECONDS = 1.0
#: And so long where nothing had to be written but to find that out.
TRY_STALL_SECONDS = 5.0


class Speaker:
    """What this node writes and says."""

    def __init__(self, node, disk: Optional[Saved]) -> None:
        self.node = node
        self.disk = disk                        # what is known to be on disk
        self.saving_since: Optional[float] = None
        self.refused = ''                       # why the newest save failed
        self.save_retry_at = node.now
        self.try_at = node.now + self._try_period()
        self.unsaved_since: Optional[float] = None      # silent since then, for the disk lags
        self.told_of: Optional[float] = None            # the silence that people were told of
        self.seq = 0
        self.sent_at = self.round_at = float('-inf')
        self.said: Any = None                   # what mattered in the last row for everybody
        self.answers: Set[int] = set()          # whose rows are to be answered at once
        self.quick = min(max(node.settings.interval / 8, 0.05), 0.25)

    # -- the disk ------------------------------------------------------------------------------

    def to_save(self) -> Saved:
        """What must not be forgotten, as of now."""
        node = self.node
        # Who stops a second primary beside its leader leads nothing, and owes its promise.
        leads = node.is_leading or node.force.reigns \
            or (node.stepping_down and node.promise.leader is None)
        leader = node.own if leads else node.promise.leader
        forced = node.force.reigns if leads else node.promise.reigned
        return Saved(node.term, node.voted_for, leader, node.hold, node.promise.bound,
                     node.blind, node.record, tuple(node.names), forced, node.claims.claim)

    def is_saved(self) -> bool:
        """Whether the disk is up to date."""
        return self.disk == self.to_save()

    @property
    def saving(self) -> bool:
        """Whether a save is under way."""
        return self.saving_since is not None

    def stalls(self) -> bool:
        """Whether the disk has not answered for long, whatever was to be written."""
        return self.saving_since is not None \
            and self.node.now >= self.saving_since + TRY_STALL_SECONDS

    def saved(self, saved: Saved) -> None:
        """This is on disk."""
        self.disk, self.saving_since, self.refused = saved, None, ''

    def save_failed(self, reason: str) -> None:
        """It is not; try again later, and be silent until then, where it was news."""
        self.saving_since, self.refused = None, reason
        self.save_retry_at = self.node.now + SAVE_RETRY_SECONDS

    # -- the network ---------------------------------------------------------------------------

    def publish(self, row: Beacon) -> None:
        """Have the state saved, or say what there is to say: this row, as of now."""
        node = self.node
        if not self.is_saved():
            if self.unsaved_since is None:
                self.unsaved_since = node.now
            self._tell_of_a_stall()
            if not self.saving and node.now >= self.save_retry_at:
                self.saving_since = node.now
                node.effects.insert(0, SaveState(self.to_save()))
            return
        self.unsaved_since = None
        self._try_disk()
        round_due = node.now >= self.round_at + node.settings.interval
        quick_due = self.is_hurried() and node.now >= self.sent_at + self.quick
        # In an election positions are compared, so those of others have to be the newest.
        matters = significant(row), row.lsn if node.misses_leader else 0
        if round_due or quick_due or matters != self.said:
            self.round_at = node.now if round_due else self.round_at
            self.sent_at, self.said = node.now, matters
            self._send(row, None)
        else:
            for leader in sorted(self.answers):
                self._send(row, leader)
        self.answers.clear()

    def say_last(self, row: Beacon) -> None:
        """Say this before the daemon ends, where nothing but names has to be on disk first."""
        wanted = self.to_save()
        if self.disk is not None and self.disk._replace(names=wanted.names) == wanted:
            self._send(row, None)

    def _try_disk(self) -> None:
        """Save again what is on disk, to find out whether that could be done."""
        node = self.node
        if self.saving or node.now < self.try_at or node.farewell is not Farewell.NONE:
            return
        self.try_at, self.saving_since = node.now + self._try_period(), node.now
        node.emit(SaveState(self.to_save()))

    def _try_period(self) -> float:
        return max(TRY_SECONDS, self.node.settings.health_check_period)

    @property
    def problem(self) -> str:
        """What is wrong with the disk, while a save is waited for; the own status shows it."""
        return 'the disk of data_dir does not answer: this node is silent' \
            if self.unsaved_since is not None and self.told_of == self.unsaved_since else ''

    def _tell_of_a_stall(self) -> None:
        """A disk that does not answer says nothing, so this node does, once."""
        if self.saving and self.told_of != self.unsaved_since \
                and self.node.now >= self.unsaved_since + STALL_SECONDS:
            self.told_of = self.unsaved_since
            self.node.report('WARNING', 'state', 'the state file has not been written for %g s, '
                             'and nothing was said: this node is silent until it is; see the disk '
                             'of data_dir' % STALL_SECONDS)

    def _send(self, row: Beacon, to: Optional[int]) -> None:
        self.seq += 1
        self.node.members.sent(self.seq, self.node.now)
        self.node.emit(SendBeacon(row._replace(seq=self.seq), to))

    def is_hurried(self) -> bool:
        """Whether rows are repeated quickly: an election or a procedure is under way."""
        node = self.node
        if node.leadership.wants_acknowledgements() or node.isolation.wants_echoes() \
                or node.stepping_down \
                or node.operator.is_hurried or node.leaving \
                or node.state in (NodeState.STAND_FOR_LEADER, NodeState.TAKING_OVER) \
                or node.farewell is not Farewell.NONE:
            return True
        return node.misses_leader and node.now < node.lost_at + node.timing.hold + 4 * node.patience

    def deadlines(self):
        """When the next row is due, or the next try to save."""
        found = [self.round_at + self.node.settings.interval, self.try_at]
        if self.is_hurried():
            found.append(self.sent_at + self.quick)
        if not self.saving:
            found.append(self.save_retry_at)
        elif self.unsaved_since is not None:
            found.append(self.unsaved_since + STALL_SECONDS)
        if self.saving_since is not None:
            found.append(self.saving_since + TRY_STALL_SECONDS)
        return found
