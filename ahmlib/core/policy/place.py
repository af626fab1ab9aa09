"""Where the primary is, and was: what this node has seen, and what is on record (R32).

The record is learnt from rows, and made by whoever leads over a primary.  `suspect` is the node
whose database was the primary last: nobody is promoted beside it.
"""

from typing import Optional

from ..beacon import Beacon, Record, newer_record
from ..consensus.consensus import Consensus
from ..consensus.saved import Saved
from ..facts import Facts
from ..states import DatabaseState, NodeState, Role
from .database import LocalDatabase
from .record import is_rightful


class PrimaryPlace:
    """The primary role, as this node knows of it."""

    def __init__(self, facts: Facts, consensus: Consensus, database: LocalDatabase,
                 saved: Saved) -> None:
        self.facts, self.consensus, self.database = facts, consensus, database
        self.record: Optional[Record] = saved.record
        self.had_role = saved.record is not None and saved.record.node == facts.own
        self.seen: Optional[int] = None         # whom it last followed, or led as, over a primary
        self.replaced: Optional[int] = None     # whose primary was the one before that
        self.handed_to: Optional[int] = None    # whom this node handed over to
        self.lsn = 0                            # the last position known of the primary
        self.seen_timeline = 0      # of the newest primary that was followed, or led over

    @property
    def suspect(self) -> Optional[int]:
        """Whose database was the primary last."""
        if self.seen is not None:
            return self.seen
        return self.record.node if self.record else None

    # -- learning ------------------------------------------------------------------------------

    def learn(self) -> None:
        """Take the newest record from the rows of those who live."""
        if self._is_settled():
            return
        for row in self.consensus.members.living():
            if row.record is None:
                continue
            if self.record is None or self.record.system_id == row.record.system_id:
                self.record = newer_record(self.record, row.record)
            elif row.leads and row.record.node == row.sender:
                self.record = row.record    # this cluster's databases are others by now

    def _is_settled(self) -> bool:
        """Whether a leader is the one on record: then it is that for itself and its followers.

        A record that is newer all the same is of a primary beside it, which had no majority.
        """
        if self.consensus.role in (Role.LEADS, Role.YIELDS):
            return self.record is not None and self.record.node == self.facts.own
        leader = self.consensus.leader_in_force()
        if leader is None or leader.state is not NodeState.LEADER or leader.record is None \
                or leader.record.node != leader.sender:
            return False
        self.record = leader.record
        return True

    def followed(self, row: Beacon) -> None:
        """A leading row was taken."""
        self.handed_to = None
        if row.database is DatabaseState.PRIMARY:
            self._saw(row.sender)
            self.lsn, self.seen_timeline = row.lsn, row.timeline

    def _saw(self, place: int) -> None:
        """This node has the primary; hooks are told whose it was before."""
        if self.suspect not in (None, place):
            self.replaced = self.suspect
        self.seen = place

    # -- having it -----------------------------------------------------------------------------

    def elected(self) -> None:
        """This node leads: nothing is handed over any more."""
        self.handed_to = None

    def put_on_record(self) -> None:
        """This node leads over a primary database: that is on record from now on."""
        database = self.database
        self.had_role = True
        self._saw(self.facts.own)
        self.seen_timeline, self.lsn = database.timeline, database.lsn
        mine = Record(database.timeline, self.consensus.term, self.facts.own, database.system_id)
        known = self.record is not None and self.record.system_id == mine.system_id
        self.record = newer_record(self.record, mine) if known else mine

    def is_on_record(self) -> bool:
        """Whether a majority, the own disk included, repeats that this node leads over it."""
        record, disk = self.record, self.consensus.speaker.disk
        if record is None or disk is None or disk.record != record \
                or record.node != self.facts.own:
            return False
        rows = self.consensus.members.in_touch()
        needed = self.facts.votes_needed
        if self.consensus.tenure.reigns:
            needed = min(needed, 1 + len(rows))
        return 1 + sum(row.record == record for row in rows) >= needed

    def handed_over(self, target: int) -> None:
        """The role is that node's from now on, if it takes it."""
        self.handed_to = target

    def lost_role(self) -> None:
        """The database is somebody's standby from now on."""
        self.had_role = False

    # -- judging -------------------------------------------------------------------------------

    def is_rightful(self, row: Beacon, forced: bool) -> bool:
        """Whether the primary of this own row is the rightful one.

        One that leads is the one on record; any other is judged by the rows of a majority.  Where a
        majority is gone for good, an operator's word (`forced`) stands for these rows.
        """
        if row.database is not DatabaseState.PRIMARY or not self.database.runs_as_primary \
                or row.maintenance:
            return False
        if self.consensus.role in (Role.LEADS, Role.YIELDS) or forced:
            return True
        rows = self.consensus.members.in_touch() + [row]
        if len(rows) < self.facts.votes_needed:
            return False
        return is_rightful(self.facts.own, row.timeline, row.system_id, rows)
