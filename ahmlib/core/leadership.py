"""Lead: hold the lease, keep the term above everybody's, look after the database, name a successor.

A leader acts only under a valid lease.  When the lease ends it steps down at once, and does not ask
whether anybody else leads by now: the lease was made to end before anybody could (R8).
"""

from typing import List, Optional, Tuple

from .beacon import Beacon, Farewell, Inquiry, Intent, IntentKind, Verdict
from .effects import SaveLease
from .election import best, sentence, why_not_eligible
from .lease import FOREVER, Lease
from .procedures.restart import NAME, restart
from .procedures.step_down import Reason, step_down
from .procedures.switch_over import switch_over
from .procedures.take_over import LOOK_AGAIN_SECONDS, take_over
from .quorum import next_own_term
from .states import DatabaseState, NodeState


class Leadership:
    """This node as leader; idle while it is none."""

    def __init__(self, node) -> None:
        self.node = node
        self.lease = Lease(node.settings)
        self.acting = False             # a lease was held since the election was won
        self.inquiry: Optional[Inquiry] = None
        self.inquired_at = 0.0
        self.inquiries = 0
        self.starting_since: Optional[float] = None     # asked, somebody finds it starting up
        self.noted_lease = 0.0          # as last written to the lease file
        self.trusted_at: Optional[float] = None     # of the newest answer of a trusted server
        self.trusted_since: Optional[float] = None  # the first without a long gap since
        self.successor: Optional[int] = None
        self.wal_rate = 0.0             # bytes a second that the primary writes
        self._wal_seen = (0.0, 0)
        self.restarted = False          # db_failure_action: restart was tried for this failure
        self.has_no_heir = False        # the database is down, and nobody could take over
        self.taken_up: Optional[Intent] = None

    # -- beginning and end ---------------------------------------------------------------------

    def begin(self, votes: int) -> None:
        """The election is won: announce it and take over."""
        node = self.node
        self.lease = Lease(node.settings)
        if self.trusted_at is not None:
            self.lease.trusted_at = self.trusted_at
        self.acting, self.inquiry, self.has_no_heir = False, None, False
        node.leader = node.own
        node.promise.end()
        node.followed, node.successor, node.chores.handed_over = True, None, False
        node.force.elected(votes)
        node.become(NodeState.TAKING_OVER, 'elected in term %d by %d of %d nodes' % (
            node.term, votes, node.settings.size))
        node.plan.start('take over', take_over(node), node.now)

    def trusted(self, began: float) -> None:
        """A trusted server answered the ping that began at this instant."""
        if self.trusted_at is None or began > self.trusted_at + self.lease.seconds:
            self.trusted_since = began
        self.trusted_at = self.lease.trusted_at = began

    def lease_until(self) -> float:
        """When the right to act ends."""
        node = self.node
        if not node.force.reigns:
            return self.lease.until(node.now)
        # A reign needs nobody, but has to be heard by who comes back.
        silent_since = node.speaker.unsaved_since
        return FOREVER if silent_since is None else silent_since + self.lease.seconds

    def has_lease(self) -> bool:
        """Whether this node may act as leader now."""
        return self.node.is_leading and self.node.now < self.lease_until()

    def check_lease(self) -> None:
        """The deadline that comes before every event."""
        node = self.node
        if not node.is_leading:
            return
        if self.has_lease():
            self.acting = True
        elif self.acting:
            self.acting = False
            held = self._acknowledging()
            self._step_down(Reason('lease', 'no majority acknowledges any more (%d of the %d nodes '
                                   'that are needed): others may elect a leader' % (
                                       held, self.lease.needed), 'immediate'))

    def deposed_by(self, row: Beacon) -> None:
        """Another node leads in a higher term: whatever my clock says, my lease is over."""
        self._step_down(Reason('deposed', '%s leads in term %d, above mine (%d)' % (
            row.name, row.term, self.node.term), 'immediate'))

    def _step_down(self, reason: Reason) -> None:
        node = self.node
        node.report('WARNING', 'step-down', 'steps down: %s' % reason.text)
        node.plan.start('step down', step_down(node, reason), node.now)

    def ended(self) -> None:
        """This leadership is over."""
        self.acting, self.inquiry, self.successor = False, None, None
        self.starting_since = None
        self.node.lost_at = None        # a leader is missed from now on, not since the last time
        self.node.force.ended()

    def _acknowledging(self) -> int:
        least = self.node.now - self.lease.seconds
        return 1 + sum(1 for instant in self.lease.acked.values() if instant > least)

    # -- rows ----------------------------------------------------------------------------------

    def heard(self, row: Beacon, counts: bool, restarted: bool) -> None:
        """A row came: it may acknowledge, or show that who had left is back."""
        node = self.node
        if not node.is_leading:
            return
        if restarted:
            self.lease.returned(row.sender, node.now)
        if not counts or row.term != node.term or row.leader != node.own:
            return
        sent_at = node.members.sent_at.get(row.leader_seq)
        if row.leader_incarnation == node.incarnation and sent_at is not None:
            self.lease.acknowledged(row, sent_at)

    def decide(self) -> None:
        """All that a leader does besides its procedures."""
        node = self.node
        if not node.is_leading:
            return
        self.check_lease()
        if not self.has_lease():
            return
        self._keep_term_above()
        self._note_lease()
        if node.state is NodeState.LEADER and not node.leaving and not node.stepping_down:
            self._mind_database()
            self._name_successor()
            self._hear_wishes()

    def _hear_wishes(self) -> None:
        """A follower is to be the primary instead: hand over to it (R40)."""
        node = self.node
        if node.plan.busy or node.stepping_down or not node.database.runs_as_primary \
                or node.database.failures:
            return
        for row in node.members.in_touch(node.now):
            intent = row.intent
            if intent is None or intent.kind is not IntentKind.PROMOTE or intent == self.taken_up \
                    or (intent.node, intent.incarnation) != (row.sender, row.incarnation) \
                    or row.leader != node.own or intent.term > node.term:
                continue
            self.taken_up = intent
            why = why_not_eligible(row, node.view)
            if why:
                node.problem = 'no switchover: %s' % sentence(row.name, why)
                node.report('ERROR', 'switchover', node.problem)
                continue
            node.plan.start('switch over', switch_over(node, intent), node.now)
            return

    def _keep_term_above(self) -> None:
        """Terms only rise: a live node in a higher one could not follow me any more."""
        node = self.node
        terms = [row.term for row in node.members.in_touch(node.now)
                 if not row.leads or (row.forced and node.force.is_backed())]
        highest = max(terms) if terms else 0
        if highest > node.term:
            node.term = next_own_term(highest, node.own, node.settings.size)
            node.voted_for = node.leader = node.own
            node.report('NOTICE', 'term', 'goes on leading in term %d: a node had reached %d' % (
                node.term, highest))

    def _note_lease(self) -> None:
        node = self.node
        until = self.lease_until()
        if until == FOREVER:
            until = node.now + self.lease.seconds
        if not node.stepping_down and until > self.noted_lease + node.settings.interval / 4:
            self.noted_lease = until
            node.emit(SaveLease(until))

    # -- the database --------------------------------------------------------------------------

    def _mind_database(self) -> None:
        node, database = self.node, self.node.database
        if node.settings.witness or node.plan.name == NAME:
            return
        if database.in_recovery and not database.failures:
            self._step_down(Reason('not primary', 'its database is in recovery: it is no primary '
                                   'any more', 'none'))
        elif not database.failed:
            if self.inquiry is not None:
                node.report('NOTICE', 'database', 'the database answers its checks again')
            self.inquiry, self.starting_since, self.restarted = None, None, False
            self.has_no_heir = False
        else:
            self._ask_everybody()

    def _ask_everybody(self) -> None:
        """The own checks fail: it is down only if nobody else reaches it either (R34)."""
        node, settings = self.node, self.node.settings
        if self.inquiry is None:
            node.report('WARNING', 'database', 'the database failed %d checks (%s): asking all '
                        'nodes whether they reach it' % (node.database.failures,
                                                         node.database.reason))
            self._inquire()
            return
        verdicts, silent = node.investigation.replies(self.inquiry)
        waited = node.now >= self.inquired_at + node.investigation.patience
        if verdicts and not silent and Verdict.STARTING not in verdicts:
            self.starting_since = None
        if Verdict.REACHABLE in verdicts:
            self._quarantine()
        elif silent and not waited:
            return
        elif Verdict.STARTING in verdicts and self._leaves_it_time_to_start():
            return
        elif settings.restart_failed and not self.restarted and not node.plan.busy:
            self.restarted = True
            node.plan.start(NAME, restart(node), node.now)
        elif self._somebody_could_take_over():
            node.database.reached_by_others = self.has_no_heir = False
            self._step_down(Reason('database', 'its database failed: %s' % node.database.reason,
                                   'fast'))
        elif waited:
            node.problem = 'the database failed, and no other node could take over'
            self.has_no_heir = True
            self._inquire()

    def _leaves_it_time_to_start(self) -> bool:
        """Whether to wait on for a server that is starting up; asked again whether it still is."""
        now = self.node.now
        if self.starting_since is None:
            self.starting_since = now
        if now >= self.starting_since + self.node.settings.wait_for_primary:
            return False
        if now >= self.inquired_at + LOOK_AGAIN_SECONDS:
            self._inquire()
        return True

    def _inquire(self, about: Optional[int] = None) -> None:
        self.inquiries += 1
        self.inquiry = Inquiry(self.node.own if about is None else about, self.inquiries)
        self.inquired_at = self.node.now

    def ask_about(self, about: int) -> None:
        """Ask everybody, this node among them, to try the database of that node anew."""
        self._inquire(about)
        self.node.investigation.look_again(about)

    def is_answered(self) -> bool:
        """Whether everybody in touch, and this node, has answered the inquiry."""
        return not self.node.investigation.replies(self.inquiry)[1] \
            and self.node.investigation.verdict is not None

    def answers(self) -> Tuple[List[Verdict], int]:
        """The verdicts formed for the inquiry, and how many living nodes are silent."""
        verdicts, silent = self.node.investigation.replies(self.inquiry)
        own = self.node.investigation.verdict
        return verdicts + ([] if own is None else [own]), silent + (own is None)

    def _quarantine(self) -> None:
        node = self.node
        node.database.reached_by_others, self.has_no_heir = True, False
        if node.now >= self.inquired_at + max(node.settings.health_check_period,
                                              node.settings.connect_timeout):
            self._inquire()

    def _somebody_could_take_over(self) -> bool:
        node = self.node
        return any(not why_not_eligible(row, node.view)
                   for row in node.members.in_touch(node.now))

    # -- the successor -------------------------------------------------------------------------

    def _name_successor(self) -> None:
        """Who would win an election now, with positions of one interval's WAL counted as equal."""
        node = self.node
        self._measure_wal()
        rows = [row for row in node.members.in_touch(node.now)
                if row.database is DatabaseState.STANDBY and row.streaming is not False
                and row.farewell is Farewell.NONE]
        span = max(node.settings.interval, node.settings.health_check_period)
        winner = best(rows, node.view, int(self.wal_rate * span) + 16 * 1024 * 1024)
        successor = winner.sender if winner else None
        if successor != self.successor:
            self.successor = successor
            node.report('NOTICE', 'successor', 'the successor is %s' % (
                winner.name if winner else 'nobody: no node is eligible'))

    def _measure_wal(self) -> None:
        database = self.node.database
        at, lsn = self._wal_seen
        if database.ok_at is None or database.ok_at <= at:
            return
        if lsn and database.lsn >= lsn:
            self.wal_rate = (database.lsn - lsn) / (database.ok_at - at)
        self._wal_seen = (database.ok_at, database.lsn)

    # -- time ----------------------------------------------------------------------------------

    def wants_acknowledgements(self) -> bool:
        """Whether the newest beacon was not acknowledged by enough nodes yet."""
        node = self.node
        if not node.is_leading or self.lease.needed <= 1 or node.force.reigns:
            return False
        return self.lease.basis(node.now, self.lease.needed) < node.speaker.round_at

    def deadlines(self) -> List[float]:
        """When the lease ends, and when waiting for answers does."""
        if not self.node.is_leading:
            return []
        found = [self.lease_until()]
        if self.inquiry is not None:
            found += [self.inquired_at + self.node.investigation.patience,
                      self.inquired_at + LOOK_AGAIN_SECONDS]
        if self.starting_since is not None:
            found.append(self.starting_since + self.node.settings.wait_for_primary)
        return found
