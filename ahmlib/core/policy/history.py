"""What the history of events keeps besides single lines: whole timelines, who asked, since when.

It looks on, and nothing that a node decides depends on it.  A takeover is told in one event, from
the last sign of life of the old primary to the VIP up: so "why, and why did it take so long" needs
no log, and not those of other nodes.
"""

from typing import Any, Dict, List, NamedTuple, Optional

from ..effects import Record
from ..facts import Facts
from ..out import Out
from ..plan import Ending, Plan
from ..states import DatabaseState, NodeState, Role
from ..steps import Step
from ..wanted import Attach, GaveUp, HandOver, StepDown, TakeOver, name_of

FAILOVER, SWITCHOVER, FORCED, TAKEOVER = 'failover', 'switchover', 'forced promotion', 'takeover'
STOPPED = 'takeover stopped'
ASKED, REFUSED = 'asked', 'refused'


class Missed(NamedTuple):
    """A leader is missed: since when, and its database's last good check as far as is known."""
    at: float
    seen_at: Optional[float]


class Elected(NamedTuple):
    """An election was won: what for, why, and what came before."""
    kind: str
    cause: str
    steps: List[Step]
    old: Optional[int]
    by: Optional[Dict[str, Any]]


class History:
    """What this node tells the history of events."""

    def __init__(self, facts: Facts, out: Out, plan: Plan) -> None:
        self.facts, self.out, self.plan = facts, out, plan
        self.state: Optional[NodeState] = None
        self.database: Optional[DatabaseState] = None
        self.state_since = self.database_since = facts.now
        self._missed: Optional[Missed] = None
        self._elected: Optional[Elected] = None
        self._by: Dict[str, Any] = {}       # by request: who asked last

    def state_age(self) -> float:
        """For how long this node has had its state."""
        return self.facts.now - self.state_since

    def database_age(self) -> float:
        """For how long its database has had its state."""
        return self.facts.now - self.database_since

    # -- operators -----------------------------------------------------------------------------

    def asked(self, what: str, by: Optional[Dict[str, Any]], who: str, why_not: str) -> None:
        """An operator asked for something, which was refused for this reason, or not ('')."""
        if why_not:
            self.out.emit(Record(REFUSED, why_not, '%s was refused to %s: %s' % (
                what, who, why_not), by))
            return
        self._by[what] = by
        self.out.emit(Record(ASKED, what, '%s was asked for by %s' % (what, who), by))

    # -- looking on ----------------------------------------------------------------------------

    def decide(self, parts: Any) -> None:
        """Note what has changed, and tell what has ended."""
        if parts.consensus.state is not self.state:
            self.state, self.state_since = parts.consensus.state, self.facts.now
        if parts.database.state is not self.database:
            self.database, self.database_since = parts.database.state, self.facts.now
        self._see_missed(parts)
        if parts.consensus.role is Role.ELECTED and self._elected is None:
            self._elected = self._of_election(parts)
        for ending in self.plan.endings():
            self._ended(parts, ending)
        if parts.consensus.role is Role.FOLLOWS:
            self._elected = None

    def _see_missed(self, parts: Any) -> None:
        lost_at = parts.consensus.follower.lost_at
        if parts.consensus.leads or lost_at is None:
            self._missed = self._missed if parts.consensus.leads else None
        elif self._missed is None or self._missed.at != lost_at:
            row = self._row_of(parts, parts.place.suspect)
            seen_at = None
            if row is not None and row.ok_age is not None:
                seen_at = min(lost_at, parts.consensus.members.row_at(row.sender) - row.ok_age)
            self._missed = Missed(lost_at, seen_at)

    def _row_of(self, parts: Any, place: Optional[int]) -> Any:
        """The newest row of another node."""
        if place is None or place == self.facts.own:
            return None
        return parts.consensus.members.row(place)

    def _of_election(self, parts: Any) -> Elected:
        old, missed = parts.place.suspect, self._missed
        row, handed = self._row_of(parts, old), False
        cause = 'nobody led'
        if row is not None and parts.consensus.members.living_row(old) is None:
            cause = '%s was not heard any more' % row.name
        elif row is not None and not row.leads:
            handed = row.successor == self.facts.own
            cause = '%s leads no more%s' % (row.name, row.problem and ': ' + row.problem)
        kind = FAILOVER
        if parts.consensus.tenure.reigns:
            kind = FORCED
        elif handed or parts.intents.promotion is not None:
            kind = SWITCHOVER
        by = self._by.get('promote') if parts.intents.promotion is not None else None
        steps = []
        if missed is not None:
            if missed.seen_at is not None:
                name = 'handover' if kind == SWITCHOVER else 'detection'
                steps.append(Step(name, missed.seen_at, missed.at - missed.seen_at))
            steps.append(Step('election', missed.at, self.facts.now - missed.at))
        return Elected(kind, cause, steps, old, by)

    # -- procedures ----------------------------------------------------------------------------

    def _ended(self, parts: Any, ending: Ending) -> None:
        wanted, outcome = ending.wanted, ending.outcome
        if isinstance(wanted, TakeOver):
            self._takeover_ended(ending, self._elected or self._of_election(parts))
            return
        by, cause, name = None, '', name_of(wanted)
        if isinstance(wanted, StepDown):
            cause = wanted.reason.text
        elif isinstance(wanted, HandOver):
            cause = 'an operator asked for it at %s' % self.facts.name_of(wanted.intent.node)
        elif isinstance(wanted, Attach):
            by, cause = self._by.pop('attach', None), wanted.task.reason
        if isinstance(outcome, StepDown):
            cause = outcome.reason.text
        self._tell(name, cause, name + ' ended' + (cause and ': ' + cause), ending, by)

    def _takeover_ended(self, ending: Ending, elected: Elected) -> None:
        outcome, own, by = ending.outcome, self.facts.settings.name, elected.by
        if isinstance(outcome, (GaveUp, StepDown)) or ending.overtaken_by:
            why = outcome.why if isinstance(outcome, GaveUp) else \
                outcome.reason.text if outcome is not None else elected.cause
            self._tell(STOPPED, why, 'the takeover of %s was stopped: %s' % (own, why), ending, by)
            return
        promoted = any(step.name == 'promotion' for step in ending.steps)
        kind, place = elected.kind if promoted else TAKEOVER, ''
        if elected.old not in (None, self.facts.own):
            place = ' in place of %s' % self.facts.name_of(elected.old)
        self._tell(kind, elected.cause, '%s leads over %s primary%s: %s' % (
            own, 'a new' if promoted else 'the', place, elected.cause),
            ending._replace(steps=tuple(elected.steps) + ending.steps), by)

    def _tell(self, kind: str, cause: str, text: str, ending: Ending,
              by: Optional[Dict[str, Any]]) -> None:
        seconds = sum(step.took for step in ending.steps)
        over = '; overtaken by %s' % ending.overtaken_by if ending.overtaken_by else ''
        self.out.emit(Record(kind, cause, '%s (%.2f s%s)' % (text, seconds, over), by,
                             ending.steps))
