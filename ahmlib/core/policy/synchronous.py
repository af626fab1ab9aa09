"""AHM sets what the commits of its primary wait for (ahm_protocol(7), R66 to R69).

Three facts decide each step: the newest claim, the setting in force, and the one that is wanted.
A claim that covers both settings comes first, and has to be known by so many that nobody is elected
without it; then the setting is written; and once enough of its nodes have all that was there
before, it is claimed alone.  So a change may be left at any step, and goes on from what is there.
"""

from typing import Dict, FrozenSet, List, Optional, Set, Tuple

from ..beacon import Beacon, Claim, Farewell
from ..consensus.consensus import Consensus
from ..effects import SetSynchronous
from ..events import ActionEnded
from ..facts import Facts
from ..limits import SET_SYNCHRONOUS_SECONDS
from ..out import Out
from ..settings import SynchronousMode
from ..states import DatabaseState, Role
from .checks import Checks
from .claims import NOBODY, Claims, Setting, covers
from .database import LocalDatabase

#: One that was left out so often has shown what it is like; it is taken in once it has lasted.
LEFT_MAX = 5


class Synchronous:
    """The setting that this node wants as leader, and how far its change has come."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 claims: Claims, checks: Checks) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.claims, self.checks = claims, checks
        self.token: Optional[int] = None        # of the order that was not answered yet
        self._prepared_by = facts.now           # what a takeover had ordered is done by then
        self._lsn: Optional[int] = None         # read after the setting was seen in force
        self._before: Optional[Claim] = None    # the one that a takeover has replaced
        #: By node: whether it is fit to be a member, and since when.
        self._fit: Dict[int, Tuple[bool, float]] = {}
        self._left: Dict[int, int] = {}         # by node: how often it was left out of late
        self._short_since: Optional[float] = None       # fewer confirm than was asked for

    @property
    def enabled(self) -> bool:
        """Whether AHM sets what commits wait for."""
        return self.facts.settings.synchronous_mode is not SynchronousMode.OFF

    # -- a takeover ----------------------------------------------------------------------------

    def elected(self) -> None:
        """The election is won: what is claimed from now on covers this node's commits, too."""
        self._before, claim = None, self.claims.claim
        if self.enabled and claim.needed and not self.database.runs_as_primary:
            self._before = claim
            self.claims.make(1, {*claim.nodes, self.facts.own})

    def gave_up(self) -> None:
        """The takeover was stopped before anything was promoted: what was claimed is enough."""
        if self._before is not None:
            self.claims.make(self._before.needed, self._before.nodes)
        self._before = None

    def begin(self, promoted: bool) -> None:
        """This node leads over a primary from now on, which it has just promoted, or which ran."""
        self._before = None
        if not self.enabled:
            self.claims.begin()
        elif promoted and self.claims.claim.needed:
            self.claims.make(1, (self.facts.own,))
        else:
            # Anew, for one of an earlier leader that few have may be newer.
            self.claims.make(self.claims.claim.needed, self.claims.claim.nodes)

    def before_promotion(self) -> Optional[SetSynchronous]:
        """What has to be set before this standby is promoted: in mode strict no commit is alone."""
        if self.facts.settings.synchronous_mode is not SynchronousMode.STRICT:
            return None
        others = [place for place in range(self.facts.settings.size) if place != self.facts.own
                  and self.facts.names[place] and not self._is_witness(place)]
        count = self.facts.settings.synchronous_count
        self._prepared_by = self.facts.now + SET_SYNCHRONOUS_SECONDS
        return self._order_for(Setting(count, tuple(others) if len(others) >= count else ()))

    def _is_witness(self, place: int) -> bool:
        row = self.consensus.members.row(place)
        return row is not None and row.witness

    def hand_to(self, target: int) -> None:
        """The role goes to that node, which has all, as this server is down: who else need not."""
        if self.enabled and self.facts.own in self.claims.claim.nodes:
            self.claims.make(1, (target,))

    # -- a change ------------------------------------------------------------------------------

    def decide(self) -> None:
        """As leader: the next step, if the setting in force is not the one that is wanted."""
        if not self._acts():
            self._lsn = self._short_since = None
            self._fit.clear()
            self._left.clear()
            return
        self._watch_members()
        running = self.claims.setting
        short = running is None or self.commits_wait() \
            or running.needed < self.facts.settings.synchronous_count
        self._short_since = (self._short_since or self.facts.now) if short else None
        if self.token is not None or not self.facts.reached(self._prepared_by) \
                or running is None:
            return
        wanted = self._wanted(running)
        if wanted[:2] != running[:2]:
            self._lsn = None
        elif self._is_claimed(wanted):
            return
        elif self._lsn is not None or not wanted.needed:
            if self._is_caught(wanted):
                self.claims.make(*self._claim_of(wanted))
            return
        self._go_on(running, wanted)

    def _acts(self) -> bool:
        return self.enabled and self.consensus.role is Role.LEADS \
            and self.consensus.tenure.has_lease() and self.database.runs_as_primary \
            and not self.database.failures and not self.database.restarts

    def _go_on(self, running: Setting, wanted: Setting) -> None:
        """Claim what covers both, or, once that is known, order the setting."""
        if not all(covers(self.claims.claim, each.needed, each.nodes, self.facts.own)
                   for each in (running, wanted)):
            self.claims.make(*self._join(running, wanted))
        elif self.is_confirmed():
            order, term = self._order_for(wanted), self.consensus.term
            self.token = self.out.ask(order, lambda event: self._was_set(wanted, term, event))

    def _join(self, running: Setting, wanted: Setting) -> Tuple[int, Set[int]]:
        """What covers the claim and both settings."""
        claim, own = self.claims.claim, self.facts.own
        if not wanted.needed:
            return 1, {own}
        nodes = {*claim.nodes, *running.nodes, *wanted.nodes}
        if not running.needed:      # somebody has set it so by hand
            return 1, nodes | {own}
        return min(claim.needed, running.needed, wanted.needed), nodes

    def is_confirmed(self) -> bool:
        """Whether among any voters is one that has the claim on disk, and no vote under way."""
        facts, claim, disk = self.facts, self.claims.claim, self.consensus.speaker.disk
        know = [row for row in self.consensus.members.in_touch()
                if row.leader == facts.own and row.term == self.consensus.term
                and row.claim[:2] == claim[:2]]
        return disk is not None and disk.claim == claim \
            and 1 + len(know) >= facts.settings.size - facts.votes_needed + 1

    def _order_for(self, setting: Setting) -> SetSynchronous:
        names = tuple(self.facts.name_of(place) for place in setting.nodes)
        return SetSynchronous(0, setting.needed, names or (NOBODY,) * bool(setting.needed),
                              SET_SYNCHRONOUS_SECONDS)

    def _was_set(self, wanted: Setting, term: int, event: ActionEnded) -> None:
        self.token, before = None, self.claims.setting
        self.checks.look_anew()
        for place in before.nodes if before is not None and event.ok else ():
            if place not in wanted.nodes:
                self._left[place] = min(self._left.get(place, 0) + 1, LEFT_MAX)
        self.claims.was_set(wanted if event.ok else None)
        self._lsn = event.lsn if event.ok and term == self.consensus.term else None
        if event.ok:
            self.out.report('INFO', 'synchronous', 'commits wait for %s' % self._words(wanted))
        else:
            self.out.report('WARNING', 'synchronous', 'what commits wait for could not be set to '
                            '%s: %s' % (self._words(wanted), event.reason))

    def was_prepared(self) -> None:
        """What `before_promotion` asked for ended: a check says how it stands."""
        self._prepared_by = self.facts.now
        self.claims.was_set(None)
        self.checks.look_anew()

    def _words(self, setting: Setting) -> str:
        if not setting.needed:
            return 'nobody'
        if not setting.nodes:
            return '%d standbys, and too few are there' % setting.needed
        return '%d of %s' % (setting.needed, ', '.join(map(self.facts.name_of, setting.nodes)))

    def _claim_of(self, setting: Setting) -> Tuple[int, Tuple[int, ...]]:
        """The least that covers this setting, once it alone counts."""
        if setting.needed:
            return setting.needed, setting.nodes
        return (1, (self.facts.own,)) if self.claims.claim.needed else (0, ())

    def _is_claimed(self, setting: Setting) -> bool:
        claim = self.claims.claim
        waits = setting.needed > len(setting.nodes)     # and nothing is acknowledged
        return waits or (claim.needed, claim.nodes) == self._claim_of(setting)

    def _is_caught(self, setting: Setting) -> bool:
        """Whether as many of its nodes as it says have all that was there when it was in force."""
        having = [row for row in self.consensus.members.in_touch()
                  if row.sender in setting.nodes and row.database is DatabaseState.STANDBY
                  and row.timeline == self.database.timeline and row.lsn >= (self._lsn or 0)]
        return len(having) >= setting.needed

    # -- what people are told ------------------------------------------------------------------

    def commits_wait(self) -> bool:
        """Whether no commit can be confirmed, as too few standbys are there."""
        running = self.claims.setting
        return running is not None \
            and sum(self._lasts(place, True, 0.0) for place in running.nodes) < running.needed

    def shortage(self) -> str:
        """Why fewer confirm a commit than was asked for; '' where that has not lasted T_hold."""
        running, since = self.claims.setting, self._short_since
        if running is None or since is None \
                or not self.facts.reached(since + self.facts.hold_seconds):
            return ''
        whys = [self._why_unfit(place) for place in range(self.facts.settings.size)
                if place != self.facts.own and not self._is_witness(place)]
        waits = 'commits wait: too few standbys are there' if self.commits_wait() \
            else 'commits wait for %d' % running.needed
        return '%s, and synchronous_node_count is %d: %s' % (
            waits, self.facts.settings.synchronous_count,
            '; '.join(filter(None, whys)) or 'the others are about to be taken in')

    def _why_unfit(self, place: int) -> str:
        """Why this node confirms no commit; '' where it may."""
        row, name = self.consensus.members.living_row(place), self.facts.name_of(place)
        if row is None or row not in self.consensus.members.in_touch():
            return '%s is not in contact' % name
        if not self._is_fit(row):
            return '%s has no standby that follows' % name
        streams = self._names().count(row.name.lower())
        if streams != 1:
            return '%d connections stream under the name %s, its application_name, as far as AHM ' \
                'may see (pg_monitor)' % (streams, row.name)
        return ''

    # -- what is wanted ------------------------------------------------------------------------

    def _wanted(self, running: Setting) -> Setting:
        settings = self.facts.settings
        members, count = self._members(running), settings.synchronous_count
        if len(members) < count and settings.synchronous_mode is SynchronousMode.STRICT:
            keeps = count <= running.needed <= len(running.nodes)
            return running if keeps else Setting(count, ())
        return Setting(min(count, len(members)), tuple(sorted(members)))

    def _members(self, running: Setting) -> Set[int]:
        """Who is a member, by what has lasted for long enough (R67)."""
        interval = self.facts.settings.interval
        stay = {place for place in running.nodes if self._lasts(place, True, 0.0)
                or self.consensus.members.is_two_way(place)
                and not self._lasts(place, False, interval)}
        for place in [place for place in self._left if place in stay
                      and self._lasts(place, True, self._patience(LEFT_MAX + 1))]:
            del self._left[place]
        short = len(stay) < self.facts.settings.synchronous_count
        return stay | {place for place in self._fit if self._lasts(
            place, True, interval / 2 if short else self._patience(self._left.get(place, 0)))}

    def _patience(self, left: int) -> float:
        """For how many seconds one that was left out so often has to be fit."""
        return self.facts.hold_seconds * (1 << left)

    def _lasts(self, place: int, fit: bool, seconds: float) -> bool:
        """Whether it has been fit, or not, for so long."""
        found, since = self._fit.get(place, (False, self.facts.now))
        return found is fit and self.facts.reached(since + seconds)

    def _watch_members(self) -> None:
        fit = self._fit_now()
        for place in range(self.facts.settings.size):
            if place != self.facts.own \
                    and self._fit.get(place, (None,))[0] is not (place in fit):
                self._fit[place] = place in fit, self.facts.now

    def _fit_now(self) -> FrozenSet[int]:
        names = self._names()
        rows = [row for row in self.consensus.members.in_touch() if self._is_fit(row)
                and names.count(row.name.lower()) == 1]
        return frozenset(row.sender for row in [row for row in rows if row.priority] or rows)

    def _names(self) -> List[str]:
        """The names, in small letters, under which standbys stream from here."""
        answer = self.database.answer
        return [name.lower() for name, _ in answer.sync_peers] if answer is not None else []

    def _is_fit(self, row: Beacon) -> bool:
        return row.database is DatabaseState.STANDBY and row.timeline == self.database.timeline \
            and not row.out and not row.maintenance and row.farewell is Farewell.NONE
