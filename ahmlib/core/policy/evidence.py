"""What the living say of the old primary's database (ahm_protocol(7), R26 to R29).

A majority of votes says who may lead; it does not say that the old primary is gone.  So every node
tries the database of the primary on record by new connections: while its leader is merely late, so
that the verdict is at hand when it counts as lost, and for as long as nobody leads.  One REACHABLE
stops the failover, except for whoever can fence.  A leader may also ask everybody to look anew (an
inquiry): when its own checks fail, or when it has fenced.

Verdicts are published in the row; a node that died takes its verdict with it.
"""

from typing import Dict, List, Optional, Tuple

from ..beacon import Beacon, Evidence, Inquiry, Verdict
from ..consensus.consensus import Consensus
from ..effects import ProbeDatabase
from ..events import DatabaseProbed
from ..facts import Facts
from ..out import Out
from ..states import DatabaseState, NodeState
from .checks import Checks
from .database import LocalDatabase
from .grace import Grace
from .place import PrimaryPlace

#: Seconds that a living node may take to answer beyond the probe's own limit.
ANSWER_SLACK_SECONDS = 1.0
#: Between two inquiries about a server that is starting up.
LOOK_AGAIN_SECONDS = 1.0


def runs_by_its_word(row: Beacon) -> bool:
    """Whether the daemon of this row says that its database runs, and may accept writes.

    One that is not trusted while it runs may be a primary.  One that is out was dealt with.
    """
    return row.database is DatabaseState.PRIMARY or (
        row.database is DatabaseState.QUARANTINED and not row.out)


def _of(row: Beacon) -> Tuple[Tuple[Optional[int], int], int]:
    """((inquirer, number), about) of the inquiry in this row."""
    assert row.inquiry is not None
    return (row.sender, row.inquiry.number), row.inquiry.about


def has_not_looked(state: NodeState, looked: bool) -> bool:
    """Whether a daemon has just started, and does not know yet what its database is."""
    return state is NodeState.INITIALIZING and not looked


class Investigation:
    """This node's own verdict, and how it weighs everybody's."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 place: PrimaryPlace, checks: Checks) -> None:
        self.facts, self.out, self.consensus = facts, out, consensus
        self.database, self.place, self.checks = database, place, checks
        self.asked: Optional[Inquiry] = None    # by this node, as leader
        self.asked_at = 0.0
        self.inquiries = 0                      # by this node, in whatever role
        self.verdict: Optional[Verdict] = None
        self.about: Optional[int] = None
        self.formed_at = 0.0
        self.same_since = 0.0           # when the first of the newest verdicts that agree ended
        self.answers: Tuple[Optional[int], int] = (None, 0)     # (inquirer, number) it answers
        self.token: Optional[int] = None
        self.next_at = 0.0
        self.starting = Grace(facts)    # of the suspect's server
        self.said: Optional[Tuple[int, Verdict]] = None     # about whom, and what, to people
        self.answered: Dict[Optional[int], int] = {}    # by inquirer: the newest it answered
        self.said_until = 0.0                   # until then that answer is repeated

    # -- probing -------------------------------------------------------------------------------

    def decide(self) -> None:
        """Probe where there is a reason to, forget the verdict where there is none any more."""
        inquiry = self._inquiry()
        if inquiry is not None:
            if self.answers != inquiry[0] or self.about != inquiry[1]:
                self._forget()
                self.answers, self.about = inquiry
                self._probe()
                self.checks.soon()      # after fencing, positions are compared anew
            return
        if self.asked is not None:
            return      # a leader forms its own verdict for its own inquiry, and keeps it
        suspect, misses = self.place.suspect, self.consensus.follower.misses_leader
        if not misses or suspect is None or suspect == self.facts.own:
            if self.about is not None:
                self._forget()      # what is not looked at any more is not known any more
                self.said = None
            return
        if suspect != self.about:
            self._forget()
            self.about = suspect
        self._note_starting(suspect)
        if self.token is None and (self.facts.reached(self.next_at) or self.is_stale()):
            self._probe()

    def _note_starting(self, suspect: int) -> None:
        """Since when somebody finds it starting up, and nobody finds that it answers."""
        verdicts, own, _ = self._said_of(suspect)
        if Verdict.REACHABLE not in verdicts + [own]:
            self.starting.note(Verdict.STARTING in verdicts + [own])

    def _inquiry(self) -> Optional[Tuple[Tuple[Optional[int], int], int]]:
        """((inquirer, number), about) of the living row that asks, if one does.

        A leader's question goes first.  Who follows may ask about its own database, while no leader
        is missed; a question that was not answered yet goes before one that was.
        """
        term = self.consensus.term
        rows = [row for row in self.consensus.members.living() if row.inquiry is not None
                and (row.leads and row.term >= term or row.inquiry.about == row.sender)]
        asked = [_of(row) for row in rows]
        for row in rows:
            if row.leads:
                return _of(row)
        if self.consensus.follower.misses_leader or self.asked is not None or not asked:
            return None
        present = [item for item in asked if item[0] == self.answers]
        fresh = [item for item in asked if self.answered.get(item[0][0]) != item[0][1]]
        if present and (not fresh or self._is_being_said()):
            return present[0]
        return (fresh or asked)[0]

    def _is_being_said(self) -> bool:
        """Whether a verdict is being formed, or is so new that not everybody has heard it."""
        return self.token is not None or not self.facts.reached(self.said_until)

    def _forget(self) -> None:
        if self.token is not None:
            self.out.cancel(self.token)
        self.verdict = self.about = self.token = None
        self.starting.note(False)
        self.answers = (None, 0)
        self.next_at = self.facts.now

    def _probe(self) -> None:
        settings, timing = self.facts.settings, self.facts.timing
        assert self.about is not None
        limit = settings.connect_timeout
        if self.answers[0] is None:
            limit = min(limit, max(1.0, timing.hold - 1.5 * settings.interval))
        began = self.facts.now
        self.token = self.out.ask(ProbeDatabase(0, self.about, limit),
                                   lambda event: self._probed(event, began))

    def _probed(self, event: DatabaseProbed, began: float) -> None:
        self.token = None
        assert self.about is not None
        if self.said != (self.about, event.verdict):
            self.said = self.about, event.verdict
            self.out.report('INFO', 'evidence', 'the database of %s is %s from here%s' % (
                self.facts.name_of(self.about), event.verdict.name,
                ': ' + event.reason if event.reason else ''))
        if event.verdict is not self.verdict or self.is_stale():
            self.same_since = self.facts.now
        self.verdict, self.formed_at = event.verdict, began
        if self.answers[0] is not None:
            self.answered[self.answers[0]] = self.answers[1]
            self.said_until = self.facts.now + ANSWER_SLACK_SECONDS
        self.next_at = self.facts.now + max(0.5, self.facts.settings.interval / 2)

    def published(self) -> Optional[Evidence]:
        """The own verdict, for the row."""
        if self.verdict is None or self.about is None:
            return None
        age = max(0.0, self.facts.now - self.formed_at)
        return Evidence(self.about, self.verdict, age, self.answers[0], self.answers[1])

    # -- weighing ------------------------------------------------------------------------------

    def second_primary(self) -> Optional[int]:
        """The node, other than the suspect, that says that its database is a primary, or None.

        A verdict on the suspect, or a script that fenced it, tells nothing of that one.
        """
        said = [(self.facts.own, self.database.state)] + [
            (row.sender, row.database) for row in self.consensus.members.living()]
        return next((place for place, state in said if state is DatabaseState.PRIMARY
                     and place != self.place.suspect), None)

    @property
    def patience(self) -> float:
        """Seconds that a verdict of a living node is waited for."""
        return self.facts.settings.connect_timeout + ANSWER_SLACK_SECONDS

    def weigh(self, strict: bool = False) -> Optional[Verdict]:
        """What the living say of the suspect's database; None: not known yet.

        `strict`: every living node must have said something.
        """
        suspect = self.place.suspect
        if suspect is None:
            return None     # there was a leader, and nobody knows over which database
        if suspect == self.facts.own:
            return Verdict.UNREACHABLE
        theirs = self.consensus.members.living_row(suspect)
        if theirs is not None and theirs.database is DatabaseState.STANDBY:
            return Verdict.UNREACHABLE
        if theirs is not None and runs_by_its_word(theirs):
            return Verdict.REACHABLE
        if theirs is not None and has_not_looked(
                theirs.state, theirs.database is not DatabaseState.UNKNOWN):
            return None     # its own daemon is about to say
        if theirs is not None and theirs.system_id and not self._is_heard_since(suspect):
            return None     # it may have been cut off, beside a primary that fails its checks
        return self._sum(suspect, strict, theirs)

    def _said_of(self, suspect: int) -> Tuple[List[Verdict], Optional[Verdict], int]:
        """What the others say of it, what this node found, and how many living ones are silent."""
        rows = self._speaking(suspect)
        verdicts = [row.evidence.verdict for row in rows
                    if row.evidence is not None and row.evidence.about == suspect]
        own = self.verdict if self.about == suspect and not self.is_stale() else None
        return verdicts, own, len(rows) - len(verdicts)

    def _sum(self, suspect: int, strict: bool, theirs: Optional[Beacon]) -> Optional[Verdict]:
        verdicts, own, silent = self._said_of(suspect)
        if Verdict.REACHABLE in verdicts + [own]:
            return Verdict.REACHABLE
        if Verdict.STARTING in verdicts + [own]:
            if self.starting.since is None or self.starting.is_left():
                return None
            given_up = theirs is not None and not theirs.leads and not theirs.stepping_down
            return Verdict.UNREACHABLE if given_up else Verdict.REACHABLE
        if own is None:
            return None
        waited = self.facts.reached((self.consensus.follower.lost_at or 0.0) + self.patience)
        if silent and (strict or not waited):
            return None
        return Verdict.UNREACHABLE

    def is_stale(self) -> bool:
        """Whether the own verdict is older than a contact that was regained since."""
        return self.formed_at < self.consensus.members.regained_at

    def _is_heard_since(self, suspect: int) -> bool:
        """Whether that daemon was heard after its database was found as it is: not cut off then.

        Its own server has answered it, and it has not stopped it, so that may accept writes for as
        long as its rows are believed (R50).
        """
        return self.verdict is None or self.consensus.members.row_at(suspect) >= self.same_since

    def _speaking(self, suspect: int) -> List[Beacon]:
        return [row for row in self.consensus.members.in_touch() if row.sender != suspect]

    # -- inquiries of this node ----------------------------------------------------------------

    def new_inquiry(self) -> Inquiry:
        """A question of this node about its own database."""
        self.inquiries += 1
        return Inquiry(self.facts.own, self.inquiries)

    def inquire(self, about: int) -> None:
        """As leader: everybody is to try the database of that node anew."""
        self.asked = self.new_inquiry()._replace(about=about)
        self.asked_at = self.facts.now

    def ask_about(self, about: int) -> None:
        """The same, of this node as well."""
        self.inquire(about)
        self._forget()
        self.about = about
        self._probe()

    def close(self) -> None:
        """The answers are not waited for any more."""
        self.asked = None

    def has_waited(self) -> bool:
        """Whether everybody had the time to answer."""
        return self.facts.reached(self.asked_at + self.patience)

    def is_answered(self) -> bool:
        """Whether everybody in touch, and this node, has answered the inquiry."""
        return self.verdict is not None and not self.replies(self.asked)[1]

    def all_answers(self) -> Tuple[List[Verdict], int]:
        """The verdicts formed for the inquiry, and how many living nodes are silent."""
        verdicts, silent = self.replies(self.asked)
        own = self.verdict
        return verdicts + ([] if own is None else [own]), silent + (own is None)

    def replies(self, inquiry: Optional[Inquiry]) -> Tuple[List[Verdict], int]:
        """What everybody in touch answered to this inquiry of mine, and how many did not yet."""
        rows, own = self._speaking(self.facts.own), self.facts.own
        found = [row.evidence.verdict for row in rows if row.evidence is not None
                 and inquiry is not None and row.evidence.about == inquiry.about
                 and (row.evidence.inquirer, row.evidence.number) == (own, inquiry.number)]
        return found, len(rows) - len(found)
