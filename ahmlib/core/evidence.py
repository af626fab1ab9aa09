"""What the living say of the old primary's database (ahm_protocol(7), R26 to R29).

A majority of votes says who may lead; it does not say that the old primary is gone.  So every node
tries the database of the primary on record by new connections: while its leader is merely late, so
that the verdict is at hand when it counts as lost, and for as long as nobody leads.  One REACHABLE
stops the failover, except for who can fence.  A leader may also ask everybody to look anew (an
inquiry): when its own checks fail, or when it has fenced.

Verdicts are published in the row; a node that died takes its verdict with it.
"""

from typing import Dict, List, Optional, Tuple

from .beacon import Beacon, Evidence, Inquiry, Verdict
from .effects import ProbeDatabase
from .isolation import has_not_looked
from .states import DatabaseState

#: Seconds that a living node may take to answer beyond the probe's own limit.
ANSWER_SLACK_SECONDS = 1.0


def runs_by_its_word(row: Beacon) -> bool:
    """Whether the daemon of this row says that its database runs, and may accept writes.

    One that is not trusted while it runs may be a primary.  One that is out was dealt with.
    """
    return row.database is DatabaseState.PRIMARY or (
        row.database is DatabaseState.QUARANTINED and not row.out)


class Investigation:
    """This node's own verdict, and how it weighs everybody's."""

    def __init__(self, node) -> None:
        self.node = node
        self.verdict: Optional[Verdict] = None
        self.about: Optional[int] = None
        self.formed_at = 0.0
        self.same_since = 0.0           # when the first of the newest verdicts that agree ended
        self.answers: Tuple[Optional[int], int] = (None, 0)     # (inquirer, number) it answers
        self.token: Optional[int] = None
        self.next_at = 0.0
        self.starting_since: Optional[float] = None
        self.said: Optional[Tuple[int, Verdict]] = None     # about whom, and what, to people
        self.answered: Dict[int, int] = {}      # by inquirer: the newest question it answered
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
                self.node.chores.check_soon()   # after fencing, positions are compared anew
            return
        if self.node.leadership.inquiry is not None:
            return      # a leader forms its own verdict for its own inquiry, and keeps it
        suspect = self.node.suspect
        if not self.node.misses_leader or suspect is None or suspect == self.node.own:
            if self.about is not None:
                self._forget()      # what is not looked at any more is not known any more
                self.said = None
            return
        if suspect != self.about:
            self._forget()
            self.about = suspect
        if self.token is None and (self.node.now >= self.next_at or self._is_stale()):
            self._probe()

    def _inquiry(self):
        """((inquirer, number), about) of the living row that asks, if one does.

        A leader's question goes first.  Who follows may ask about its own database, while no leader
        is missed; a question that was not answered yet goes before one that was.
        """
        node = self.node
        asked = [((row.sender, row.inquiry.number), row.inquiry.about, row.leads)
                 for row in node.members.living(node.now) if row.inquiry is not None
                 and (row.leads and row.term >= node.term or row.inquiry.about == row.sender)]
        for inquiry, about, leads in asked:
            if leads:
                return inquiry, about
        if node.misses_leader or node.leadership.inquiry is not None or not asked:
            return None
        present = [item for item in asked if item[0] == self.answers]
        fresh = [item for item in asked if self.answered.get(item[0][0]) != item[0][1]]
        if present and (not fresh or self._is_being_said()):
            return present[0][:2]
        return (fresh or asked)[0][:2]

    def _is_being_said(self) -> bool:
        """Whether a verdict is being formed, or is so new that not everybody has heard it."""
        return self.token is not None or self.node.now < self.said_until

    def _forget(self) -> None:
        if self.token is not None:
            self.node.cancel(self.token)
        self.verdict = self.about = self.token = self.starting_since = None
        self.answers = (None, 0)
        self.next_at = self.node.now

    def _probe(self) -> None:
        settings, timing = self.node.settings, self.node.timing
        limit = settings.connect_timeout
        if self.answers[0] is None:
            limit = min(limit, max(1.0, timing.hold - 1.5 * settings.interval))
        began = self.node.now
        self.token = self.node.ask(ProbeDatabase(0, self.about, limit),
                                   lambda event: self._probed(event, began))

    def _probed(self, event, began: float) -> None:
        self.token = None
        if self.said != (self.about, event.verdict):
            self.said = self.about, event.verdict
            self.node.report('INFO', 'evidence', 'the database of %s is %s from here%s' % (
                self.node.name_of(self.about), event.verdict.name,
                ': ' + event.reason if event.reason else ''))
        if event.verdict is not self.verdict or self._is_stale():
            self.same_since = self.node.now
        self.verdict, self.formed_at = event.verdict, began
        if self.answers[0] is not None:
            self.answered[self.answers[0]] = self.answers[1]
            self.said_until = self.node.now + ANSWER_SLACK_SECONDS
        self.next_at = self.node.now + max(0.5, self.node.settings.interval / 2)

    def published(self) -> Optional[Evidence]:
        """The own verdict, for the row."""
        if self.verdict is None:
            return None
        age = max(0.0, self.node.now - self.formed_at)
        return Evidence(self.about, self.verdict, age, self.answers[0], self.answers[1])

    def deadlines(self) -> List[float]:
        """When the next probe is due, and when waiting for others ends."""
        found = [self.next_at, self.said_until]
        if self.starting_since is not None:
            found.append(self.starting_since + self.node.settings.wait_for_primary)
        if self.node.lost_at is not None:
            found.append(self.node.lost_at + self.patience)
        return found

    # -- weighing ------------------------------------------------------------------------------

    def second_primary(self) -> Optional[int]:
        """The node, other than the suspect, that says that its database is a primary, or None.

        A verdict on the suspect, or a script that fenced it, tells nothing of that one.
        """
        node = self.node
        said = [(node.own, node.database.state)] + [
            (row.sender, row.database) for row in node.members.living(node.now)]
        return next((place for place, state in said if state is DatabaseState.PRIMARY
                     and place != node.suspect), None)

    @property
    def patience(self) -> float:
        """Seconds that a verdict of a living node is waited for."""
        return self.node.settings.connect_timeout + ANSWER_SLACK_SECONDS

    def weigh(self, strict: bool = False, fenced: bool = False) -> Optional[Verdict]:
        """What the living say of the suspect's database; None: not known yet.

        `strict`: every living node must have said something.  `fenced`: fencing has succeeded, so a
        server that is STARTING for too long counts as gone.
        """
        node, suspect = self.node, self.node.suspect
        if suspect is None:
            return None     # there was a leader, and nobody knows over which database
        if suspect == node.own:
            return Verdict.UNREACHABLE
        theirs = node.living_row(suspect)
        if theirs is not None and theirs.database is DatabaseState.STANDBY:
            return Verdict.UNREACHABLE
        if theirs is not None and runs_by_its_word(theirs):
            return Verdict.REACHABLE
        if theirs is not None and has_not_looked(
                theirs.state, theirs.database is not DatabaseState.UNKNOWN):
            return None     # its own daemon is about to say
        if theirs is not None and theirs.system_id and not self._is_heard_since(suspect):
            return None     # it may have been cut off, beside a primary that fails its checks
        verdicts = [row.evidence.verdict for row in self._speaking(suspect)
                    if row.evidence is not None and row.evidence.about == suspect]
        silent = len(self._speaking(suspect)) - len(verdicts)
        own = self.verdict if self.about == suspect and not self._is_stale() else None
        verdicts += [] if own is None else [own]
        return self._sum(verdicts, own is None, silent, strict, fenced, theirs)

    def _is_stale(self) -> bool:
        """Whether the own verdict is older than a contact that was regained since."""
        return self.formed_at < self.node.regained_at

    def _is_heard_since(self, suspect: int) -> bool:
        """Whether that daemon was heard after its database was found as it is: not cut off then.

        Its own server has answered it, and it has not stopped it, so that may accept writes for as
        long as its rows are believed (R50).
        """
        return self.verdict is None or self.node.members.peers[suspect].row_at >= self.same_since

    def _speaking(self, suspect: int) -> List[Beacon]:
        return [row for row in self.node.members.in_touch(self.node.now) if row.sender != suspect]

    def _sum(self, verdicts, own_missing, silent, strict, fenced, theirs) -> Optional[Verdict]:
        now = self.node.now
        if Verdict.REACHABLE in verdicts:
            return Verdict.REACHABLE
        if Verdict.STARTING in verdicts:
            if self.starting_since is None:
                self.starting_since = now
            if now < self.starting_since + self.node.settings.wait_for_primary:
                return None
            given_up = theirs is not None and not theirs.leads and not theirs.stepping_down
            return Verdict.UNREACHABLE if given_up or fenced else Verdict.REACHABLE
        self.starting_since = None
        if own_missing:
            return None
        waited = now >= (self.node.lost_at or 0.0) + self.patience
        if silent and (strict or not waited):
            return None
        return Verdict.UNREACHABLE

    # -- inquiries of this node ----------------------------------------------------------------

    def replies(self, inquiry: Inquiry) -> Tuple[List[Verdict], int]:
        """What everybody in touch answered to this inquiry of mine, and how many did not yet."""
        rows = self._speaking(self.node.own)
        own = self.node.own
        found = [row.evidence.verdict for row in rows if row.evidence is not None
                 and (row.evidence.inquirer, row.evidence.number) == (own, inquiry.number)
                 and row.evidence.about == inquiry.about]
        return found, len(rows) - len(found)

    def look_again(self, about: int) -> None:
        """Form an own verdict anew, for an inquiry of mine."""
        self._forget()
        self.about = about
        self._probe()
