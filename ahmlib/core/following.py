"""Follow the leader: take its rows, keep the promise, and notice when it is over (R7, R9)."""

from typing import List, Optional

from .beacon import Beacon, Due, Farewell, newer_record
from .promise import hold_for, resigns, returns
from .saved import SPENT
from .states import DatabaseState, NodeState


class Following:
    """This node as a follower."""

    def __init__(self, node) -> None:
        self.node = node
        self.free_for: Optional[int] = None     # the promise lets this node alone be elected

    def decide(self) -> None:
        """Learn, release, follow: in this order, from the newest rows."""
        node = self.node
        self._learn_records()
        if node.farewell is Farewell.LEAVING:
            return      # bound, on disk: what its leader still sends must not loosen that
        self._see_the_blind_through()
        self._release()
        if node.blind or (node.stepping_down and not node.is_leading):
            return
        row = self._leading_row()
        if row is not None:
            self._take(row)
        elif node.promise.leader is not None and self._leader_is_late():
            node.miss_leader()

    def _learn_records(self) -> None:
        node = self.node
        if self._is_settled():
            return
        for row in node.members.living(node.now):
            if row.record is None:
                continue
            if node.record is None or node.record.system_id == row.record.system_id:
                node.record = newer_record(node.record, row.record)
            elif row.leads and row.record.node == row.sender:
                node.record = row.record    # this cluster's databases are others by now

    def _is_settled(self) -> bool:
        """Whether a leader is the one on record: then it is that for itself and who follows it.

        A record that is newer all the same is of a primary beside it, which had no majority.
        """
        node = self.node
        if node.state is NodeState.LEADER:
            return node.record is not None and node.record.node == node.own
        leader = node.leader_row()
        if leader is None or leader.state is not NodeState.LEADER or leader.record is None \
                or leader.record.node != leader.sender or not node.promise.holds(node.now):
            return False
        node.record = leader.record
        return True

    # -- taking --------------------------------------------------------------------------------

    def _leading_row(self) -> Optional[Beacon]:
        """The newest leading row that may be taken and was not taken yet."""
        node, promise = self.node, self.node.promise
        rows = [row for row in node.members.living(node.now)
                if row.leads and row.term >= node.term
                and not node.elections.has_vote_pending(row.sender)]
        if promise.holds(node.now):
            rows = [row for row in rows if row.sender == promise.leader]
        if not rows:
            return None
        row = max(rows, key=lambda row: (not row.forced, row.term))
        if node.is_leading:
            if row.term > node.term and not (row.forced and node.force.is_backed()):
                node.leadership.deposed_by(row)
            return None
        taken = (promise.leader, promise.incarnation, promise.seq, node.term)
        return None if (row.sender, row.incarnation, row.seq, row.term) == taken else row

    def _take(self, row: Beacon) -> None:
        node = self.node
        if row.term > node.term:
            node.term, node.voted_for = row.term, None
        if node.leader != row.sender or not node.following:
            node.report('NOTICE', 'leader', '%s leads in term %d: following it' % (
                row.name, row.term))
        node.leader = row.sender
        node.hold = hold_for(row, node.timing.hold)
        node.promise.renew(row, node.now, node.hold)
        node.found_leader(row)
        self.free_for = None
        node.speaker.answers.add(row.sender)

    def _leader_is_late(self) -> bool:
        node = self.node
        leader = node.promise.leader
        row = node.members.row(leader)
        if row is None:
            return not node.promise.holds(node.now)
        if not row.leads:
            return True
        return node.members.silence(leader, node.now) >= 1.5 * node.settings.interval

    # -- being released ------------------------------------------------------------------------

    def _release(self) -> None:
        node, promise = self.node, self.node.promise
        if promise.leader is None:
            return
        if promise.bound and self._is_freed_by_others():
            self._end_promise()
            return
        row = node.members.row(promise.leader)
        if row is None or row.term < node.term:
            return
        if row.incarnation == promise.incarnation and row.seq <= promise.seq:
            return
        if resigns(row):
            node.report('NOTICE', 'leader', '%s leads no more%s' % (
                row.name, ': ' + row.problem if row.problem else ''))
            self._end_promise()
        elif returns(row, promise):
            self.free_for = promise.leader

    def _end_promise(self) -> None:
        """Owe nothing, and say so: a row that follows somebody has to be backed by the disk."""
        self.node.promise.end()
        self.node.leader = None
        self.node.miss_leader()

    def _is_freed_by_others(self) -> bool:
        """Whether somebody who is not bound owes my leader nothing any more.

        He finds an election due, and not for my leader's return alone, or leads in a later term.
        My leader counts me only while all who did not leave acknowledge it, so it counts me no
        more.  One that reigns needs nobody, so it takes a later leader, or one whom an operator
        wants by force, or wanted since.
        """
        node = self.node
        return any(not row.bound and self._frees(row) for row in node.members.in_touch(node.now))

    def _frees(self, row: Beacon) -> bool:
        node, promise = self.node, self.node.promise
        if row.leads:
            return row.term > node.term and row.sender != promise.leader
        if row.due is Due.NOBODY or row.due_only == promise.leader:
            return False
        return not promise.reigned or (row.forced and row.record == node.record)

    # -- without a state file ------------------------------------------------------------------

    def _see_the_blind_through(self) -> None:
        """A start without a state file: no vote and no acknowledgement before T_hold has passed.

        It ends early when a row of every configured node shows that nobody leads; beside one
        primary that runs, it ends for the election of that node alone.
        """
        node = self.node
        if not node.blind:
            return
        rows = node.contact_rows()
        if len(rows) < node.votes_needed and not node.force.is_heard():
            return
        if node.now < node.blind_until and not self._nobody_leads(rows):
            return
        node.blind = False
        term = max(row.term for row in rows)
        if term > node.term:
            node.term, node.voted_for = term, SPENT

    def _nobody_leads(self, rows: List[Beacon]) -> bool:
        node = self.node
        if len(rows) < node.settings.size:
            return False
        running = [row for row in rows if row.database is DatabaseState.PRIMARY]
        others = [row for row in rows if row not in running]
        if len(running) > 1 or not all(resigns(row) for row in others):
            return False
        if running and not _may_return(running[0]):
            return False
        if running and running[0].sender != node.own:
            node.promise.recall(running[0].sender, node.now, node.blind_until - node.now, False,
                                False)
            self.free_for = running[0].sender
        return True


def _may_return(row: Beacon) -> bool:
    """As `resigns`, for a node beside a primary that runs: it may hold the VIP."""
    return resigns(row._replace(holds_vip=False, database=DatabaseState.STANDBY))
