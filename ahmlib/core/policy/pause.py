"""The whole cluster is paused: nothing fails over (ahm_protocol(7), R57 to R61).

A pause names one node, its holder: the only one that may lead.  While its holder has it sealed,
nobody else can be elected, for among any voters is one who knows of it.  So the holder's primary,
and its VIP, may stay where they are when its lease ends, though it is cut off.  That freedom ends
on its own disk first: in a switchover, and at the end of the pause, which only a leader can order.

Meanwhile nodes may be restarted with another nodes.conf, for who knows of the pause votes for its
holder alone by whichever file (R62).  The holder ends it once all of its file are there by it.
"""

from typing import List, Optional, Tuple

from ..beacon import Beacon, Due, IntentKind, Pause
from ..consensus.consensus import Consensus
from ..consensus.saved import Saved
from ..facts import Facts
from ..out import Out
from ..states import Role
from .database import LocalDatabase
from .task import Task

#: Beyond T_hold, within which enough nodes have to acknowledge it.
SLACK_SECONDS = 5.0


class Paused:
    """The newest pause that this node knows, and its end; a leader's part makes a new one."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 saved: Saved) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.pause, self.moved = saved.pause, saved.moved
        self.task: Optional[Task] = None
        self.until = 0.0

    # -- what it means -------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether the cluster is paused, as far as is known here."""
        return self.pause.on

    @property
    def is_held(self) -> bool:
        """Whether it is, and this node is its holder."""
        return self.pause.on and self.pause.holder == self.facts.own

    def spares(self) -> bool:
        """Whether the primary and the VIP of this node stay, whatever becomes of its lease."""
        disk = self.consensus.speaker.disk
        return self.is_held and self.pause.sealed and disk is not None \
            and disk.pause == self.pause and not self.database.half_done

    def limit(self, due: Due, due_for: Optional[int]) -> Tuple[Due, Optional[int]]:
        """For whom an election is due at the most, where it would be so without a pause (R58)."""
        if not self.pause.on:
            return due, due_for
        holder = self.pause.holder
        wanted = {row.sender: row.intent.kind for row in self.consensus.contact_rows()
                  if row.intent is not None and row.intent.node == row.sender}
        forced = [place for place, kind in wanted.items() if kind is IntentKind.FORCE]
        if forced:
            return due, min(forced)
        asked = holder is not None and wanted.get(holder) is IntentKind.PROMOTE
        return due if asked or not self.pause.sealed else min(due, Due.PRIMARY), holder

    # -- learning ------------------------------------------------------------------------------

    def learn(self, row: Beacon) -> None:
        """A row repeats the newest pause that its sender knows."""
        if row.pause[:2] > self.pause[:2]:
            # What this node has not sealed itself spares nothing here: its disk was lost.
            own = row.pause.holder == self.facts.own
            self._take(row.pause._replace(sealed=False) if own else row.pause)

    def _take(self, pause: Pause) -> None:
        before, self.pause = self.pause, pause
        if pause.on is not before.on:
            self.out.report('NOTICE', 'pause', 'the cluster is paused: only %s may lead'
                            % self.facts.name_of(pause.holder) if pause.on
                            else 'the pause of the cluster is over')

    # -- the leader's part ---------------------------------------------------------------------

    def _make(self, on: bool, holder: int, sealed: bool = False) -> None:
        # Half votes and force may have made one in a higher term than that of this leader.
        term = max(self.consensus.term, self.pause.term)
        number = self.pause.version + 1 if self.pause.term == term else 0
        self._take(Pause(term, number, on, holder, sealed))

    def set(self, on: bool, task: Task) -> None:
        """Begin or end it, as its leader."""
        if on is not self.pause.on:
            self._make(on, self.facts.own)
        self.task = task
        self.until = self.facts.now + self.facts.hold_seconds + SLACK_SECONDS
        task.is_at('waits until enough nodes have it on disk' if on else 'waits for the disk')

    def hand_to(self, target: int) -> None:
        """The role goes to that node, and the pause with it: nothing is spared here any more."""
        if self.is_held:
            self._make(True, target)

    def decide(self) -> None:
        """As leader: seal it, or end one that another node holds; see how far the task is."""
        if self.moved:
            self.moved = bool(not self.consensus.leads or self._missing()) if self.is_held \
                else not self.consensus.follower.followed
        if self.consensus.role is Role.LEADS and self.consensus.tenure.has_lease() \
                and self.pause.on:
            if self.pause.holder != self.facts.own:
                self._make(self.consensus.tenure.reigns, self.facts.own)
            elif not self.pause.sealed and self._is_known():
                self._make(True, self.facts.own, sealed=True)
        if self.task is not None:
            self._see(self.task)

    def _knowing(self) -> List[Beacon]:
        """The rows that follow this leader, and repeat this pause from disk."""
        return [row for row in self.consensus.members.in_touch()
                if row.leader == self.facts.own and row.term == self.consensus.term
                and row.pause[:2] == self.pause[:2]]

    def _is_known(self) -> bool:
        """Whether among any voters is one that has it on disk, and whose vote is not under way."""
        facts, disk = self.facts, self.consensus.speaker.disk
        needed = max(facts.votes_needed, facts.settings.size - facts.votes_needed + 1)
        return disk is not None and disk.pause == self.pause \
            and 1 + len(self._knowing()) >= needed

    # -- another nodes.conf --------------------------------------------------------------------

    def known_by(self) -> List[int]:
        """Whose disks are known to have it, where it is sealed on this one; else nobody's (R62)."""
        disk = self.consensus.speaker.disk
        if not self.pause.on or not self.pause.sealed or disk is None or disk.pause != self.pause:
            return []
        return [self.facts.own] + [row.sender for row in self.consensus.members.all_rows()
                                   if row.pause[:2] == self.pause[:2]]

    def _missing(self) -> List[int]:
        """Who of nodes.conf does not follow this leader yet, and repeat the pause."""
        there = {self.facts.own}.union(row.sender for row in self._knowing())
        return [place for place in self.facts.settings.order if place not in there]

    def waits_for(self) -> str:
        """Why the pause can neither end nor be handed over by this leader yet; '' if it can."""
        if not self.moved or not self.consensus.leads:
            return ''
        missing = ' and '.join(self.facts.name_of(place) for place in self._missing())
        return 'the nodes.conf of %s was changed in this pause, and it waits for %s: start ' \
            'AHM there with that file ("ahm restart" where it runs by another), or take that ' \
            'node out' % (self.facts.settings.name, missing)

    def why_not_end(self) -> str:
        """Why this leader does not end it now; '' where it may (R63)."""
        ours = self.facts.settings
        odd = [row.name for row in self.consensus.members.in_touch()
               if (row.interval, row.retries) != (ours.interval, ours.retries)]
        return self.waits_for() or (
            '%s has other timings than %s: bring the same to all, with "ahm restart" there' % (
                ' and '.join(odd), ours.name) if odd else '')

    def _see(self, task: Task) -> None:
        disk = self.consensus.speaker.disk
        if disk is not None and disk.pause == self.pause and (
                self.pause.sealed or not self.pause.on):
            task.end()
        elif self.facts.reached(self.until) or not self.consensus.leads:
            why = self._why_not_done()
            if self.pause.on and self.consensus.leads:
                self._make(False, self.facts.own)
            task.end(why)
        if not task.is_running:
            self.task = None

    def _why_not_done(self) -> str:
        """Why what was asked for is not so, though it has been waited for."""
        speaker = self.consensus.speaker
        if speaker.disk is None or speaker.disk.pause != self.pause:
            what, means = ('the pause', 'the cluster is not paused') if self.pause.on else (
                'the end of the pause', 'the others keep the pause until it is')
            return '%s is not on the disk of %s (%s), so nobody was told of it: %s' % (
                what, self.facts.settings.name, speaker.refused or 'no answer', means)
        return 'too few nodes have acknowledged it: the cluster is not paused; see ' \
            'ahm_cluster_status'
