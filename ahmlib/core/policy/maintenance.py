"""One node left to its operator: ahm_pause_cluster --node (ahm_protocol(7), R56).

A node in maintenance is neither candidate nor judged: its standby may be stopped, rebuilt and
started at will.  Its daemon goes on voting and following, as that of a witness does, so the others
go on failing over.  What is left of its duties to the database is to say that one which accepts
writes does so, and to stop it beside a leader.

The word is the node's own, on its disk: nobody else has to agree, for who stays away from elections
takes nothing from anybody, and who comes back is bound by all their rules.
"""

from typing import List, Optional

from ..beacon import Beacon
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..out import Out
from ..states import DatabaseState, NodeState
from .candidate import Candidate
from .checks import Checks
from .database import LocalDatabase
from .election import why_not_eligible
from .task import Task

#: Within which the disk has to have it.
SAVE_SECONDS = 10.0


class Maintenance:
    """Beginning and end of it at this node; that it lasts is known to the database."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 checks: Checks, candidate: Candidate) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.checks, self.candidate = checks, candidate
        self.task: Optional[Task] = None
        self.until = 0.0

    # -- asking --------------------------------------------------------------------------------

    def why_not_begin(self) -> str:
        """Why this node cannot be put in maintenance now; '' where it can."""
        name = self.facts.settings.name
        if self.facts.settings.witness:
            return '%s is a witness: it has no database that would be judged; "ahm stop" there ' \
                'stops its daemon' % name
        if self.consensus.leads:
            return '%s leads, and maintenance is for standbys: make another node the primary ' \
                'first, with "ahm_promote_node" on %s, then ask again' % (
                    name, self._successor())
        leader = self.consensus.leader_in_force()
        if leader is None:
            return 'nobody leads: maintenance begins beside a leader, for others might need the ' \
                'database of %s; see ahm_cluster_status' % name
        return self._why_not_beside(leader)

    def _why_not_beside(self, leader: Beacon) -> str:
        if leader.state is not NodeState.LEADER or not leader.rightful or leader.stepping_down \
                or leader.record is None or leader.record.node != leader.sender:
            return '%s does not lead over a primary: try again when it does' % leader.name
        if leader.intent is not None:
            return '%s is carrying out something else: try again in a moment' % leader.name
        return ''

    def _successor(self) -> str:
        place = self.facts.row.successor
        return 'another node' if place is None else '%s (%s)' % (
            self.facts.name_of(place), self.facts.settings.host(place))

    def remarks(self) -> List[str]:
        """What whoever puts this node in maintenance should know."""
        leader, own = self.consensus.leader_row(), self.facts.own
        found: List[str] = []
        if leader is None:
            return found
        others = [row for row in self.consensus.members.in_touch() if row.sender != leader.sender]
        if all(why_not_eligible(row, self.candidate.view()) for row in others):
            found.append('no other node could take over from %s meanwhile' % leader.name)
        confirm = [row for row in others if row.sender in leader.sync_nodes
                   and row.database is DatabaseState.STANDBY and row.streaming is not False]
        if own in leader.sync_nodes and len(confirm) < leader.sync_needed:
            found.append('commits wait while the database of %s is down: take it out of '
                         'synchronous_standby_names at %s before you stop it' % (
                             self.facts.settings.name, leader.name))
        return found

    def set(self, on: bool, task: Task) -> None:
        """Begin or end it; the task is done once that is on disk."""
        if on is not self.database.maintained:
            self.database.maintain(on)
            self.checks.soon()
        self.task, self.until = task, self.facts.now + SAVE_SECONDS
        task.is_at('waits for the disk')

    # -- waiting -------------------------------------------------------------------------------

    def decide(self) -> None:
        """See whether the disk has it."""
        if self.task is None:
            return
        disk = self.consensus.speaker.disk
        if disk is not None and disk.maintenance is self.database.maintained:
            self.task.end()
        elif self.facts.reached(self.until):
            self.task.end('it counts, and is not on disk after %g s (%s): a restart of the daemon '
                          'would forget it' % (SAVE_SECONDS, self.consensus.speaker.refused
                                               or 'no answer'))
        if not self.task.is_running:
            self.task = None
