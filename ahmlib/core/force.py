"""Promotion by force: a majority of the nodes is gone for good, as an operator says (R45 to R49).

In place of a majority, everybody who is left elects: a forced candidate needs a majority or the
vote of each living node, and no eligibility.  That the others are not alive behind a cut network is
the operator's word; nothing here can check it.  What can be checked is: nobody who is left follows
another leader or owes a promise, nobody reaches the old primary's database, nobody else answers for
the VIP.

A leader that was elected so *reigns*: its right to act has no end, also over a restart (it is on
disk), until a majority acknowledges it.  Then it is a leader like any other.  Who acknowledges a
reigning leader is bound to it without end, like one who left: its reign may still be on its disk
when it dies, and then nobody else may be elected by those who knew it, except by force again.

Where a reigning leader meets one whom a majority acknowledges, it yields, whatever the terms.
"""

from typing import List, Optional

from .beacon import Beacon, Farewell, IntentKind, Verdict
from .election import sentence, why_not_eligible
from .foreign import ORDER_OF_FEW
from .states import DatabaseState


class Force:
    """The operator's word in place of a majority, as far as this node goes by it."""

    def __init__(self, node, reigns: bool) -> None:
        self.node = node
        self.said = False           # to people, that this node leads by force
        self.reigns = reigns        # leads, or led when its daemon last ended, without a majority
        # Who came after this reign may lead by now: that is listened for.  Shortly only where the
        # lease on file still runs, for then nobody can have come.
        quick = node.vip.tolerated_until > node.started_at
        self.listens_until = node.started_at + (node.patience if quick else node.timing.hold)

    @property
    def wanted(self) -> bool:
        """Whether an operator waits for this node to be promoted by force."""
        intent = self.node.operator.promotion.intent
        return intent is not None and intent.kind is IntentKind.FORCE

    @property
    def claims(self) -> bool:
        """Whether this node leads, or may be elected, without a majority."""
        return self.wanted or (self.reigns and self.node.database.runs_as_primary)

    @property
    def lost(self) -> str:
        """What became of a reign that is on disk, where nothing is left of it."""
        return 'its database is no primary any more: promote it by force again' \
            if self.reigns and not self.claims else ''

    def is_heard(self) -> bool:
        """Whether anybody in contact, this node among them, claims so."""
        return self.claims or any(row.forced for row in self.node.members.in_touch(self.node.now))

    # -- may it be asked for -------------------------------------------------------------------

    def why_not(self) -> str:
        """What force does not override; '' where nothing is in its way."""
        return (self._why_no_database() or self._why_somebody_leads() or self._why_not_all_vote()
                or self._why_two_primaries() or self._why_not_gone())

    def _why_no_database(self) -> str:
        node, database, record = self.node, self.node.database, self.node.record
        name = node.settings.name
        if database.answer is None or database.failures:
            return 'the database of %s does not answer: start it first, as a standby' % name
        if record is None:
            return ''
        if record.system_id != database.system_id:
            return 'the database of %s is not of this cluster: its system identifier is %s, and ' \
                'that of the primary on record %s' % (name, database.system_id, record.system_id)
        would_have = database.timeline + (not database.runs_as_primary)
        if would_have < record.timeline:
            return '%s would be on timeline %d, and %s was the primary on timeline %d: it could ' \
                'not be told from older ones; stop all AHMs that are left, remove their state ' \
                'files (ahm.state), start them, and promote again' % (
                    name, would_have, node.name_of(record.node), record.timeline)
        return ''

    def _why_somebody_leads(self) -> str:
        node, promise = self.node, self.node.promise
        leading = [row.name for row in node.members.living(node.now) if row.leads]
        if leading:
            return '%s leads, and --force is for where nobody can lead; without it: %s' % (
                leading[0], node.operator.promotion.why_not())
        until = max(promise.until if promise.leader is not None else 0.0,
                    node.blind_until if node.blind else 0.0)
        if node.now < until:
            return '%s may still lead: wait %.0f s' % (
                node.name_of(promise.leader) if promise.leader is not None else 'somebody',
                until - node.now + 0.5)
        return ''

    def _why_not_all_vote(self) -> str:
        """Whoever lives has to vote; a row that does not echo this node's cannot carry a vote."""
        node = self.node
        deaf = [row.name for row in self._others()
                if not node.members.is_two_way(row.sender, node.now)]
        deaf += [node.name_of(place) for place in node.settings.order
                 if node.members.only_arrives(place, node.now)]
        return '' if not deaf else \
            '%s is heard, and does not hear %s: mend the network, or stop its AHM' % (
                deaf[0], node.settings.name)

    def _why_two_primaries(self) -> str:
        running = [row.name for row in self._others() if row.database is DatabaseState.PRIMARY]
        return '' if not running else \
            'the database of %s is a primary: stop it, or promote that one' % running[0]

    def _why_not_gone(self) -> str:
        node = self.node
        if node.suspect is not None and not node.settings.pre_promotion \
                and node.investigation.weigh() is Verdict.REACHABLE:
            return 'the database of %s still answers: stop it first' % node.name_of(node.suspect)
        return ''

    def _others(self) -> List[Beacon]:
        """Who else lives, and does not leave."""
        return [row for row in self.node.members.living(self.node.now)
                if row.farewell is Farewell.NONE]

    def risks(self) -> List[str]:
        """What the operator vouches for, or gives up: a sentence each."""
        node, own = self.node, self.node.own_row()
        rows = node.contact_rows()
        missing = [node.name_of(place) for place in node.settings.order
                   if place not in [row.sender for row in rows]]
        found = []
        if len(rows) < self._majority:
            found.append('%s: not heard; where such a host is alive behind a cut network, there '
                         'will be two primaries' % ', '.join(missing))
        for why in (why_not_eligible(own, node.view), node.elections.why_stale(own),
                    node.elections.why_claim_forbids(own)):
            if why:
                found.append(sentence(own.name, why))
        found += ['%s has more data than %s (%s), which would be lost' % (
            row.name, own.name, '%d bytes' % (row.lsn - own.lsn)
            if row.timeline == own.timeline else 'timeline %d and %d' % (
                row.timeline, own.timeline))
                  for row in rows if (row.timeline, row.lsn) > (own.timeline, own.lsn)]
        last = '' if node.suspect is None else ' (%s)' % node.name_of(node.suspect)
        return found + ['what the last primary%s had acknowledged, and %s has not received, is '
                        'lost' % (last, own.name)]

    # -- standing ------------------------------------------------------------------------------

    def why_not_stand(self) -> str:
        """Why a forced candidate does not stand yet; the evidence was weighed before."""
        node, own = self.node, self.node.own_row()
        why = self._why_no_database() \
            or (self._why_two_primaries() if self.wanted else self._why_not_return())
        agree = [row.sender for row in node.contact_rows() if node.elections.agrees(row, own)]
        if why or len(agree) >= self._majority:
            return why
        waits = [row.name for row in self._others() if row.sender not in agree]
        return self._why_not_all_vote() or (
            '%s finds no election due for it' % waits[0] if waits else '')

    def _why_not_return(self) -> str:
        """Why a reign is not taken up again after a restart, or not yet."""
        return 'listens whether somebody else was promoted meanwhile' \
            if self.node.now < self.listens_until else ''

    def votes_needed(self) -> int:
        """Votes that elect a forced candidate: of everybody who is left, or of a majority."""
        return min(1 + len(self._others()), self._majority)

    # -- reigning ------------------------------------------------------------------------------

    def begin(self) -> None:
        """An operator has asked for it: his word ends a promise that has no end."""
        node, self.said = self.node, False
        if node.promise.bound:
            node.promise.end()
            node.leader = None
            node.miss_leader()

    def elected(self, votes: int) -> None:
        """This node was elected by so many."""
        node = self.node
        self.reigns = self.claims and votes < self._majority
        if self.claims:
            node.database.trusted_by_force()
            if self.reigns and not self.said:
                self.said = True
                node.report('CRITICAL', 'forced', 'leads by force: %d of %d nodes elected it, as '
                            'an operator asked; the others must not come back out of its reach'
                            % (votes, node.settings.size))

    @property
    def _majority(self) -> int:
        return self.node.settings.size // 2 + 1

    def is_backed(self) -> bool:
        """Whether a majority acknowledges this leader, force apart."""
        node, lease = self.node, self.node.leadership.lease
        return lease.basis(node.now, self._majority) + lease.seconds > node.now

    def decide(self) -> None:
        """A reign ends where a majority acknowledges it, or where another one was put on record."""
        node = self.node
        if not self.reigns:
            return
        if node.is_leading:
            if not node.stepping_down and self.is_backed():
                node.report('NOTICE', 'forced', 'a majority acknowledges this leader: it leads by '
                            'force no more')
                self.reigns = False
        elif node.record is None or node.record.node != node.own:
            self.reigns = False

    def ended(self) -> None:
        """This node leads no more."""
        self.reigns = False

    def stopped(self) -> None:
        """Its takeover was stopped; a reign that only returns is taken up again later."""
        self.reigns = self.reigns and not self.wanted and self.node.database.runs_as_primary

    def deadlines(self) -> List[float]:
        """When a reign that returns has listened long enough."""
        return [self.listens_until]

    def warning(self, leader: Optional[Beacon]) -> str:
        """What the status says of it; '' where there is nothing to say."""
        if leader is None or not leader.forced:
            return ''
        return '%s leads by force, without a majority: the nodes that are lost must not come ' \
            'back out of its reach, and the next failover would have to be forced, too; to ' \
            'go on without them %s' % (leader.name, ORDER_OF_FEW)
