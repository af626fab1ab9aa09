"""What is needed on the bad day only, looked at on good days: to take over, and to hand over.

A takeover needs the right to raise the VIP, programs, hooks.  A primary that hands over needs the
right to CHECKPOINT, and to be let in as a standby by the server that takes its place; so does every
other standby.  What is found lasts until it is looked at again.  The own host and server are looked
at soon again, and whoever refused or did not say is asked; the others are left in peace.
"""

from typing import Dict, Optional, Tuple

from ..beacon import Beacon
from ..consensus.consensus import Consensus
from ..effects import Rehearse, RehearseHandover
from ..events import HandoverRehearsed, Rehearsed
from ..facts import Facts
from ..limits import REHEARSE_HANDOVER_SECONDS, REHEARSE_SECONDS
from ..out import Out
from ..plan import Plan
from ..states import DatabaseState, NodeState
from .database import LocalDatabase

#: Between two rehearsals of a takeover in which nothing fails.
TAKEOVER_SECONDS = 900.0
#: Between two of a handover, and between two in which all servers are asked: that is a line in the
#: log of each.
HANDOVER_SECONDS, ALL_SERVERS_SECONDS = 60.0, 900.0


class Rehearsals:
    """What would fail at this node."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 plan: Plan) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.plan = plan
        self.takeover_at = facts.now
        self.would_fail: Tuple[str, ...] = ()   # why a takeover here would, as was found last
        self.would_lack: Tuple[str, ...] = ()   # what it would lack
        self.handover_at = self.all_servers_at = self.facts.now
        self.asks_servers = False               # a question is under way
        self.rehearsed_for: Optional[Tuple[int, int]] = None    # under which leader, in which term
        #: What each server said to a standby of this node: why it would not let it in, or ''.
        self.said: Dict[int, str] = {}
        self.no_checkpoint = ''                 # why nothing can be handed over from here
        self.no_start = ''                      # why AHM could not start this database again
        self.unarchived = ''                    # what the archiver of this primary does not do

    def decide(self) -> None:
        """Start what is due."""
        if self.facts.settings.witness or self.database.maintained:
            return
        if self.facts.settings.priority and self.facts.reached(self.takeover_at):   # else never
            self.takeover_at = self.facts.now + TAKEOVER_SECONDS
            self.out.ask(Rehearse(0, REHEARSE_SECONDS), self._takeover_rehearsed)
        self._maybe_ask_servers()

    def soon(self) -> None:
        """Commands may be others now, and servers, too."""
        self.takeover_at = self.handover_at = self.all_servers_at = self.facts.now

    def _takeover_rehearsed(self, event: Rehearsed) -> None:
        if event.fails is None:
            return
        self.would_fail, self.would_lack = event.fails, event.lacks
        if event.fails or event.lacks:      # whoever mends it need not wait, nor reload
            self.takeover_at = self.facts.now + self.facts.settings.health_check_period

    # -- a handover ----------------------------------------------------------------------------

    def _maybe_ask_servers(self) -> None:
        """Under each new leader, once its standbys have been pointed to it; and now and then."""
        leader = self.consensus.leader_row()
        if self.consensus.state is NodeState.LEADER:
            leader = self.facts.row
        if leader is None or not self.database.checked or self.database.failures:
            return
        reign = leader.sender, leader.term
        if reign != self.rehearsed_for:
            self.rehearsed_for = reign
            self.handover_at = self.all_servers_at = \
                self.facts.now + self.facts.settings.health_check_period
        if self.asks_servers or not self.facts.reached(self.handover_at) or self.plan.busy:
            return
        # Whom it streams from has let it in.
        streams_from = leader.sender if self.database.streaming else None
        servers = tuple(row.sender for row in self.consensus.members.living()
                        if _may_lead(row) and row.sender != streams_from)
        self._forget(servers, streams_from)
        if self.facts.reached(self.all_servers_at):
            self.all_servers_at = self.facts.now + ALL_SERVERS_SECONDS
        else:
            servers = tuple(place for place in servers if self.said.get(place, 'not asked yet'))
        self.asks_servers, self.handover_at = True, self.facts.now + HANDOVER_SECONDS
        self.out.ask(RehearseHandover(0, servers, REHEARSE_HANDOVER_SECONDS),
                     self._handover_rehearsed)

    def _forget(self, servers: Tuple[int, ...], streams_from: Optional[int]) -> None:
        """One that let it in and is not there is asked again when it is back; a refusal lasts."""
        self.said = {place: why for place, why in self.said.items()
                     if place in servers or why and place != streams_from}

    def _handover_rehearsed(self, event: HandoverRehearsed) -> None:
        self.asks_servers = False
        if event.asked is None:
            return
        self.said.update(event.asked)
        self.no_checkpoint, self.no_start = event.no_checkpoint, event.no_start
        self.unarchived = event.unarchived

    def refused_by(self) -> Dict[int, str]:
        """Whose server would not let this one in as its standby, and why.

        Of a database that is down that is of before, and the least of its troubles.
        """
        if self.database.failed or not any(self.said.values()):
            return {}
        return {place: why for place, why in sorted(self.said.items()) if why}

    def is_well(self) -> bool:
        """Whether nothing was found, and the own database is there to be asked of."""
        return not (self.database.failed or self.refused_by() or self.no_checkpoint
                    or self.no_start)

    def why_no_handover(self) -> str:
        """Why nothing can be handed over from here; '' where it can, or there is nothing."""
        return (self.no_checkpoint or self.no_start) if self.consensus.leads else ''


def _may_lead(row: Beacon) -> bool:
    return not row.witness and not row.out and not row.maintenance and row.priority > 0 \
        and row.database in (DatabaseState.PRIMARY, DatabaseState.STANDBY)
